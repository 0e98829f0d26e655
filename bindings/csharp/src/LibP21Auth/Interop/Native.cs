using System;
using System.Collections.Generic;
using System.Linq;

namespace LibP21Auth.Interop
{
    /// <summary>The loaded library, and what it says of itself.</summary>
    internal static class Native
    {
        /// <summary>The version of the C interface that the prototypes were written for; the digit in the library's SONAME.</summary>
        internal const int AbiVersion = 0;

        private static readonly object Gate = new object();
        private static volatile bool loaded;
        private static string[]? optionNames;

        /// <summary>Loads the library once; a failure is reported to each caller anew, since a missing file may appear.</summary>
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

        internal static string Version
        {
            get
            {
                Load();
                return Utf8.Read(NativeMethods.p21_version())!;
            }
        }

        /// <summary>The names of all options, from the library's own table.</summary>
        internal static string[] OptionNames
        {
            get
            {
                Load();
                return optionNames ??= ((List<object?>)Json.Parse(Utf8.Read(NativeMethods.p21_options_json())!)!)
                    .Select(row => (string)((Dictionary<string, object?>)row!)["name"]!).ToArray();
            }
        }
    }
}
