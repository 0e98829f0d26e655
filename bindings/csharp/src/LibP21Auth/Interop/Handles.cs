using System;
using System.Runtime.InteropServices;

namespace LibP21Auth.Interop
{
    /// <summary>A key or pointer that the library gave us and wants back. 0 is none.</summary>
    internal abstract class NativeHandle : SafeHandle
    {
        protected NativeHandle() : base(IntPtr.Zero, ownsHandle: true)
        {
        }

        public override bool IsInvalid => handle == IntPtr.Zero;
    }

    internal sealed class ConfigHandle : NativeHandle
    {
        protected override bool ReleaseHandle()
        {
            NativeMethods.p21_config_free(handle);
            return true;
        }
    }

    internal sealed class ClientHandle : NativeHandle
    {
        /// <summary>The key for a call that may wait; stale after <c>Dispose</c>, which the library answers with an error.</summary>
        internal IntPtr Key => handle;

        protected override bool ReleaseHandle()
        {
            NativeMethods.p21_client_free(handle);
            return true;
        }
    }

    internal sealed class TokenHandle : NativeHandle
    {
        protected override bool ReleaseHandle()
        {
            NativeMethods.p21_token_free(handle);
            return true;
        }
    }

    internal sealed class ErrorHandle : NativeHandle
    {
        protected override bool ReleaseHandle()
        {
            NativeMethods.p21_error_free(handle);
            return true;
        }
    }

    /// <summary>An owned <c>char *</c>; the library zeroizes it when it is freed.</summary>
    internal sealed class NativeString : NativeHandle
    {
        /// <summary>The text, or <see langword="null"/> for NULL. Frees it.</summary>
        internal string? Take()
        {
            try
            {
                return Utf8.Read(handle);
            }
            finally
            {
                Dispose();
            }
        }

        protected override bool ReleaseHandle()
        {
            NativeMethods.p21_free(handle);
            return true;
        }
    }
}
