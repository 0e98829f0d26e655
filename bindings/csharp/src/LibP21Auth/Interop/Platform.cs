using System;
using System.IO;
using System.Linq;
using System.Runtime.InteropServices;

namespace LibP21Auth.Interop
{
    /// <summary>What kind of process this is, in the words of NuGet's runtime identifiers.</summary>
    internal static class Platform
    {
        /// <summary>What the released package brings.</summary>
        private static readonly string[] Shipped = { "win-x64", "win-x86", "linux-x64" };

        internal static bool IsWindows => Path.DirectorySeparatorChar == '\\';

        // The marker of Apple's system library's loader; .NET Framework has no RuntimeInformation before 4.7.1.
        private static bool IsMac => !IsWindows && File.Exists("/usr/lib/dyld");

#if NETFRAMEWORK
        /// <summary>x86, x64, arm or arm64.</summary>
        internal static string Architecture => IsWindows
            ? IntPtr.Size == 4 ? "x86" : Environment.GetEnvironmentVariable("PROCESSOR_ARCHITECTURE") == "ARM64" ? "arm64" : "x64"
            : LibraryFile.ProcessorOf("/proc/self/exe") ?? (IntPtr.Size == 4 ? "x86" : "x64");

        private static string Runtime => "CLR " + Environment.Version + " on " + Environment.OSVersion;

        private static string? Told => null;
#else
        /// <summary>x86, x64, arm or arm64.</summary>
        internal static string Architecture => RuntimeInformation.ProcessArchitecture.ToString().ToLowerInvariant();

        private static string Runtime => RuntimeInformation.FrameworkDescription + " on " + RuntimeInformation.OSDescription.Trim();

#if NET5_0_OR_GREATER
        private static string? Told => RuntimeInformation.RuntimeIdentifier;
#else
        // Since .NET 5, and so not in what this is compiled against.
        private static string? Told => typeof(RuntimeInformation).GetProperty("RuntimeIdentifier")?.GetValue(null) as string;
#endif
#endif

        /// <summary>The identifiers whose libraries may fit, such as <c>win-x86</c> or <c>linux-x64</c>, best first. Where the runtime does not
        /// say which C library it was built for, both kinds: the one that loads is the right one.</summary>
        internal static string[] Rids => RidsOf(Told, IsWindows ? "win" : IsMac ? "osx" : "linux", Architecture);

        /// <summary>An identifier as runtimes tell it, such as <c>ubuntu.22.04-x64</c> or <c>alpine.3.19-arm64</c>, without the distribution.</summary>
        internal static string[] RidsOf(string? told, string system, string architecture)
        {
            if (system != "linux")
            {
                return new[] { system + "-" + architecture };
            }
            string glibc = "linux-" + architecture, musl = "linux-musl-" + architecture;
            return string.IsNullOrEmpty(told) ? new[] { glibc, musl }
                : told!.StartsWith("alpine", StringComparison.Ordinal) || told.Contains("-musl-") ? new[] { musl } : new[] { glibc };
        }

        internal static string[] FileNames => IsWindows ? new[] { "p21auth.dll" }
            : IsMac ? new[] { "libp21auth.dylib", "libp21auth.1.dylib" }
            : new[] { "libp21auth.so", "libp21auth.so.1" };

        /// <summary>Where a library for this process comes from.</summary>
        internal static string Advice => Rids.Intersect(Shipped).FirstOrDefault() is { } rid
            ? "Install the package LibP21Auth, which brings " + FileNames[0] + " for " + rid + "; or put that file"
            : "The package LibP21Auth brings no library for " + Rids[0] + ", only for " + string.Join(", ", Shipped) + ": build it from source, and put "
                + FileNames[0];

        /// <summary>Platform, bitness and C library, for error messages.</summary>
        internal static string Describe() =>
            string.Join(" or ", Rids) + ", " + IntPtr.Size * 8 + "-bit, " + Runtime + (IsWindows || IsMac ? "" : ", " + Libc());

        private static string Libc()
        {
            try
            {
                return "glibc " + Utf8.Read(gnu_get_libc_version());
            }
            catch (Exception error) when (error is DllNotFoundException or EntryPointNotFoundException)
            {
                return "a C library other than glibc";
            }
        }

        [DllImport("libc", CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        private static extern IntPtr gnu_get_libc_version();
    }
}
