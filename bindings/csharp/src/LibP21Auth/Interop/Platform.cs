using System;
using System.IO;
using System.Linq;
using System.Runtime.InteropServices;

namespace LibP21Auth.Interop
{
    /// <summary>What kind of process this is, in the words of NuGet's runtime identifiers.</summary>
    internal static class Platform
    {
        internal static bool IsWindows => Path.DirectorySeparatorChar == '\\';

        // The marker of Apple's system library's loader; .NET Framework has no RuntimeInformation before 4.7.1.
        private static bool IsMac => !IsWindows && File.Exists("/usr/lib/dyld");

        /// <summary>Alpine and its kin; their loader has a fixed name.</summary>
        private static bool IsMusl => !IsWindows && !IsMac && Directory.Exists("/lib")
            && Directory.EnumerateFiles("/lib", "ld-musl-*").Any();

#if NETFRAMEWORK
        /// <summary>x86, x64, arm or arm64.</summary>
        internal static string Architecture => IsWindows
            ? IntPtr.Size == 4 ? "x86" : Environment.GetEnvironmentVariable("PROCESSOR_ARCHITECTURE") == "ARM64" ? "arm64" : "x64"
            : Bitness.Of("/proc/self/exe") ?? (IntPtr.Size == 4 ? "x86" : "x64");

        private static string Runtime => "CLR " + Environment.Version + " on " + Environment.OSVersion;
#else
        /// <summary>x86, x64, arm or arm64.</summary>
        internal static string Architecture => RuntimeInformation.ProcessArchitecture.ToString().ToLowerInvariant();

        private static string Runtime => RuntimeInformation.FrameworkDescription + " on " + RuntimeInformation.OSDescription.Trim();
#endif

        /// <summary>Such as <c>win-x86</c>, <c>linux-x64</c>, <c>linux-musl-arm64</c>.</summary>
        internal static string Rid => (IsWindows ? "win-" : IsMac ? "osx-" : IsMusl ? "linux-musl-" : "linux-") + Architecture;

        internal static string[] FileNames => IsWindows ? new[] { "p21auth.dll" }
            : IsMac ? new[] { "libp21auth.dylib", "libp21auth.1.dylib" }
            : new[] { "libp21auth.so", "libp21auth.so.1" };

        /// <summary>Platform, bitness and C library, for error messages.</summary>
        internal static string Describe() =>
            Rid + ", " + IntPtr.Size * 8 + "-bit, " + Runtime + (IsWindows || IsMac ? "" : IsMusl ? ", musl" : ", " + Glibc());

        private static string Glibc()
        {
            try
            {
                return "glibc " + Utf8.Read(gnu_get_libc_version());
            }
            catch (Exception error) when (error is DllNotFoundException or EntryPointNotFoundException)
            {
                return "unknown C library";
            }
        }

        [DllImport("libc", CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        private static extern IntPtr gnu_get_libc_version();
    }
}
