using System;
using System.ComponentModel;
using System.Reflection;
using System.Runtime.InteropServices;

namespace LibP21Auth.Interop
{
    /// <summary>Makes <see cref="DllImportAttribute"/> mean the file that was chosen, on each kind of runtime.</summary>
    internal static class NativeImport
    {
#if NET5_0_OR_GREATER
        private static IntPtr module;

        /// <summary>Loads the file; the problem, or <see langword="null"/>.</summary>
        internal static string? Bind(string path)
        {
            try
            {
                var handle = NativeLibrary.Load(path);
                if (module == IntPtr.Zero)
                {
                    NativeLibrary.SetDllImportResolver(typeof(NativeMethods).Assembly, Resolve);
                }
                module = handle;
                return null;
            }
            catch (Exception error) when (error is DllNotFoundException or BadImageFormatException)
            {
                return error.Message;
            }
        }

        private static IntPtr Resolve(string name, Assembly assembly, DllImportSearchPath? search) =>
            name == NativeMethods.Library ? module : IntPtr.Zero;
#else
        /// <summary>Loads the file; the problem, or <see langword="null"/>.</summary>
        internal static string? Bind(string path)
        {
            if (Type.GetType("Mono.Runtime") != null)
            {
                // Mono asks dlopen for variants of the bare name; this tells it the path instead.
                mono_dllmap_insert(IntPtr.Zero, Utf8.Bytes(NativeMethods.Library, "name"), null, Utf8.Bytes(path, "path"), null);
                return Try();
            }
            if (Platform.IsWindows)
            {
                // A module that is already loaded is found by its bare name.
                return LoadLibraryEx(path, IntPtr.Zero, LoadWithAlteredSearchPath) == IntPtr.Zero
                    ? new Win32Exception(Marshal.GetLastWin32Error()).Message
                    : null;
            }
            return BindByReflection(path);
        }

        /// <summary>This assembly on a modern .NET that is not Windows: the resolver exists there, but not in what we compile against.</summary>
        private static string? BindByReflection(string path)
        {
            var library = Type.GetType("System.Runtime.InteropServices.NativeLibrary, System.Runtime.InteropServices");
            var resolver = Type.GetType("System.Runtime.InteropServices.DllImportResolver, System.Runtime.InteropServices");
            if (library == null || resolver == null)
            {
                return "this runtime cannot load a library by its path; use .NET Core 3.0 or newer";
            }
            try
            {
                var handle = (IntPtr)library.GetMethod("Load", new[] { typeof(string) })!.Invoke(null, new object[] { path })!;
                if (module == IntPtr.Zero)
                {
                    var resolve = typeof(NativeImport).GetMethod(nameof(Resolve), BindingFlags.NonPublic | BindingFlags.Static)!;
                    library.GetMethod("SetDllImportResolver")!.Invoke(
                        null, new object[] { typeof(NativeMethods).Assembly, Delegate.CreateDelegate(resolver, resolve) });
                }
                module = handle;
                return null;
            }
            catch (TargetInvocationException error) when (error.InnerException is DllNotFoundException or BadImageFormatException)
            {
                return error.InnerException.Message;
            }
        }

        private static IntPtr module;

        private static IntPtr Resolve(string name, Assembly assembly, DllImportSearchPath? search) =>
            name == NativeMethods.Library ? module : IntPtr.Zero;

        private static string? Try()
        {
            try
            {
                NativeMethods.p21_abi_version();
                return null;
            }
            catch (DllNotFoundException error)
            {
                return error.Message;
            }
            catch (EntryPointNotFoundException)
            {
                // Said better by the check of the version.
                return null;
            }
        }

        private const uint LoadWithAlteredSearchPath = 8;

        [DllImport("kernel32", CharSet = CharSet.Unicode, EntryPoint = "LoadLibraryExW", ExactSpelling = true, SetLastError = true)]
        private static extern IntPtr LoadLibraryEx(string path, IntPtr reserved, uint flags);

        [DllImport("__Internal", CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        private static extern void mono_dllmap_insert(IntPtr assembly, byte[] library, byte[]? function, byte[] path, byte[]? target);
#endif
    }
}
