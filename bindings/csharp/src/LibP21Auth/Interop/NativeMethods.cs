using System;
using System.Runtime.InteropServices;

namespace LibP21Auth.Interop
{
    /// <summary>The functions of <c>include/p21auth.h</c> that this package uses, in the header's order. A test compares the two.</summary>
    /// <remarks>
    /// <para>Text goes in as NUL-terminated UTF-8 in a <c>byte[]</c> (see <see cref="Utf8"/>), never as the ANSI default; numbers have a
    /// fixed width; there is no <c>bool</c>.</para>
    /// <para>A client is passed as its raw key, not as a <see cref="ClientHandle"/>: a <c>SafeHandle</c> argument would put off the free
    /// until the call returns, and a call that waits in the library must be woken by <c>Dispose</c>. That is safe because handles are keys
    /// that the library checks; <see cref="NativeClient"/> keeps the handle alive across each call.</para>
    /// </remarks>
    internal static class NativeMethods
    {
        internal const string Library = "p21auth";
        private const CallingConvention Cdecl = CallingConvention.Cdecl;

        // library
        [DllImport(Library, CallingConvention = Cdecl, ExactSpelling = true)]
        internal static extern IntPtr p21_version();

        [DllImport(Library, CallingConvention = Cdecl, ExactSpelling = true)]
        internal static extern int p21_abi_version();

        [DllImport(Library, CallingConvention = Cdecl, ExactSpelling = true)]
        internal static extern IntPtr p21_status_name(int status);

        [DllImport(Library, CallingConvention = Cdecl, ExactSpelling = true)]
        internal static extern IntPtr p21_options_json();

        [DllImport(Library, CallingConvention = Cdecl, ExactSpelling = true)]
        internal static extern ulong p21_live_objects();

        [DllImport(Library, CallingConvention = Cdecl, ExactSpelling = true)]
        internal static extern void p21_free(IntPtr owned);

        // configuration
        [DllImport(Library, CallingConvention = Cdecl, ExactSpelling = true)]
        internal static extern int p21_config_new(out ConfigHandle config, out ErrorHandle error);

        [DllImport(Library, CallingConvention = Cdecl, ExactSpelling = true)]
        internal static extern int p21_config_set(ConfigHandle config, byte[] name, byte[]? value, IntPtr error);

        [DllImport(Library, CallingConvention = Cdecl, ExactSpelling = true)]
        internal static extern int p21_config_load_profile(ConfigHandle config, byte[] name, IntPtr error);

        [DllImport(Library, CallingConvention = Cdecl, ExactSpelling = true)]
        internal static extern void p21_config_free(IntPtr config);

        // client
        [DllImport(Library, CallingConvention = Cdecl, ExactSpelling = true)]
        internal static extern int p21_client_new(ConfigHandle config, out ClientHandle client, out ErrorHandle error);

        [DllImport(Library, CallingConvention = Cdecl, ExactSpelling = true)]
        internal static extern void p21_client_free(IntPtr client);

        [DllImport(Library, CallingConvention = Cdecl, ExactSpelling = true)]
        internal static extern int p21_client_update(IntPtr client, ConfigHandle config, out ErrorHandle error);

        [DllImport(Library, CallingConvention = Cdecl, ExactSpelling = true)]
        internal static extern int p21_token_snapshot(
            IntPtr client, uint flags, uint waitMs, uint minValidS, out TokenHandle token, out ErrorHandle error);

        [DllImport(Library, CallingConvention = Cdecl, ExactSpelling = true)]
        internal static extern int p21_token_report(
            IntPtr client, byte[] token, int httpStatus, byte[] body, UIntPtr length, out int verdict, out ErrorHandle error);

        [DllImport(Library, CallingConvention = Cdecl, ExactSpelling = true)]
        internal static extern int p21_token_invalidate(IntPtr client, byte[]? token, out ErrorHandle error);

        [DllImport(Library, CallingConvention = Cdecl, ExactSpelling = true)]
        internal static extern int p21_ui_url(IntPtr client, uint flags, uint waitMs, out NativeString url, out ErrorHandle error);

        [DllImport(Library, CallingConvention = Cdecl, ExactSpelling = true)]
        internal static extern int p21_client_stats(IntPtr client, out NativeString json, out ErrorHandle error);

        [DllImport(Library, CallingConvention = Cdecl, ExactSpelling = true)]
        internal static extern int p21_client_generation(IntPtr client, out IntPtr word, out ErrorHandle error);

        // snapshot
        [DllImport(Library, CallingConvention = Cdecl, ExactSpelling = true)]
        internal static extern IntPtr p21_token_value(TokenHandle token);

        [DllImport(Library, CallingConvention = Cdecl, ExactSpelling = true)]
        internal static extern int p21_token_json(TokenHandle token, out NativeString json, out ErrorHandle error);

        [DllImport(Library, CallingConvention = Cdecl, ExactSpelling = true)]
        internal static extern long p21_token_reuse_ms(TokenHandle token);

        [DllImport(Library, CallingConvention = Cdecl, ExactSpelling = true)]
        internal static extern long p21_token_expires_in(TokenHandle token);

        [DllImport(Library, CallingConvention = Cdecl, ExactSpelling = true)]
        internal static extern long p21_token_expires_at(TokenHandle token);

        [DllImport(Library, CallingConvention = Cdecl, ExactSpelling = true)]
        internal static extern ulong p21_token_generation(TokenHandle token);

        [DllImport(Library, CallingConvention = Cdecl, ExactSpelling = true)]
        internal static extern void p21_token_free(IntPtr token);

        // without a cache
        [DllImport(Library, CallingConvention = Cdecl, ExactSpelling = true)]
        internal static extern int p21_token_request(ConfigHandle config, out NativeString json, out ErrorHandle error);

        [DllImport(Library, CallingConvention = Cdecl, ExactSpelling = true)]
        internal static extern int p21_parse_token_response(byte[] body, UIntPtr length, out NativeString json, out ErrorHandle error);

        internal const uint DoctorToken = 16;

        [DllImport(Library, CallingConvention = Cdecl, ExactSpelling = true)]
        internal static extern int p21_doctor(ConfigHandle config, uint flags, uint waitMs, out NativeString json, out ErrorHandle error);

        // log
        [DllImport(Library, CallingConvention = Cdecl, ExactSpelling = true)]
        internal static extern int p21_log_read(ref ulong cursor, int maxLevel, out NativeString lines, IntPtr error);

        // errors
        [DllImport(Library, CallingConvention = Cdecl, ExactSpelling = true)]
        internal static extern int p21_error_code(ErrorHandle error);

        [DllImport(Library, CallingConvention = Cdecl, ExactSpelling = true)]
        internal static extern int p21_error_http_status(ErrorHandle error);

        [DllImport(Library, CallingConvention = Cdecl, ExactSpelling = true)]
        internal static extern IntPtr p21_error_message(ErrorHandle error);

        [DllImport(Library, CallingConvention = Cdecl, ExactSpelling = true)]
        internal static extern IntPtr p21_error_hint(ErrorHandle error);

        [DllImport(Library, CallingConvention = Cdecl, ExactSpelling = true)]
        internal static extern long p21_error_retry_after_ms(ErrorHandle error);

        [DllImport(Library, CallingConvention = Cdecl, ExactSpelling = true)]
        internal static extern int p21_error_is_retryable(ErrorHandle error);

        [DllImport(Library, CallingConvention = Cdecl, ExactSpelling = true)]
        internal static extern void p21_error_free(IntPtr error);

        [DllImport(Library, CallingConvention = Cdecl, ExactSpelling = true)]
        internal static extern IntPtr p21_verdict_hint(int verdict);
    }
}
