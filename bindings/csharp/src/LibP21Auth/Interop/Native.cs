using System;
using System.Collections.Generic;
using System.Linq;
using System.Runtime.CompilerServices;

namespace LibP21Auth.Interop
{
    /// <summary>The loaded library, and what it says of itself.</summary>
    internal static class Native
    {
        /// <summary>The version of the C interface that the prototypes were written for; the digit in the library's SONAME.</summary>
        internal const int AbiVersion = 1;

        private static readonly object Gate = new object();
        private static volatile bool loaded;
        private static string[]? optionNames;

        /// <summary>Loads the library once; a failure is reported to each caller anew, since a missing file may appear.</summary>
        /// <remarks>Mono looks a function up when it compiles a method that calls it. So a method that calls this must leave the first native
        /// call to another one.</remarks>
        internal static void Load()
        {
            if (loaded)
            {
                return;
            }
            lock (Gate)
            {
                if (!loaded)
                {
                    NativeLoader.Load();
                    loaded = true;
                }
            }
        }

        internal static bool IsLoaded => loaded;

        internal static string Version
        {
            get
            {
                Load();
                return ReadVersion();
            }
        }

        /// <summary>The names of all options, from the library's own table.</summary>
        internal static string[] OptionNames
        {
            get
            {
                Load();
                return optionNames ??= ReadOptionNames();
            }
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private static string ReadVersion() => Utf8.Read(NativeMethods.p21_version())!;

        [MethodImpl(MethodImplOptions.NoInlining)]
        private static string[] ReadOptionNames() => ((List<object?>)Json.Parse(Utf8.Read(NativeMethods.p21_options_json())!)!)
            .Select(row => (string)((Dictionary<string, object?>)row!)["name"]!).ToArray();
    }
}
