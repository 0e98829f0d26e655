using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text;

namespace LibP21Auth.Interop
{
    /// <summary>Finds the native library and loads it by its absolute path, so that no search path of the system decides.</summary>
    /// <remarks>
    /// Order: the file that <c>P21AUTH_LIBRARY</c> names (if it is set, nothing else is tried), then beside the package: the folders of
    /// the assembly and of the application, each also with <c>runtimes/{rid}/native</c>, then where the host unpacked or resolved native files.
    /// </remarks>
    internal static class NativeLoader
    {
        internal const string Variable = "P21AUTH_LIBRARY";

        internal static void Load()
        {
            var tried = new List<string>();
            foreach (var path in Candidates())
            {
                if (!File.Exists(path))
                {
                    tried.Add(path + ": no such file");
                    continue;
                }
                string? problem = LibraryFile.Problem(path) ?? NativeImport.Bind(path);
                if (problem == null)
                {
                    return;
                }
                // Told only if no other fits: a folder may hold those of several platforms.
                tried.Add(path + ": " + problem);
            }
            throw new DllNotFoundException(Explain(tried));
        }

        /// <summary>Every absolute path that may hold the library, best first.</summary>
        internal static IEnumerable<string> Candidates()
        {
            string? chosen = Environment.GetEnvironmentVariable(Variable);
            if (!string.IsNullOrEmpty(chosen))
            {
                yield return Path.GetFullPath(chosen!);
                yield break;
            }
            var seen = new HashSet<string>(StringComparer.Ordinal);
            foreach (var folder in Folders())
            {
                foreach (var place in new[] { folder }.Concat(Platform.Rids.Select(rid => Path.Combine(folder, "runtimes", rid, "native"))))
                {
                    foreach (var name in Platform.FileNames)
                    {
                        string path = Path.Combine(place, name);
                        if (seen.Add(path))
                        {
                            yield return path;
                        }
                    }
                }
            }
        }

        private static IEnumerable<string> Folders()
        {
            var assembly = typeof(NativeLoader).Assembly;
            // Empty in a single-file application.
#pragma warning disable IL3000
            if (FolderOf(assembly.Location) is { } own)
            {
                yield return own;
            }
#pragma warning restore IL3000
#if !NET5_0_OR_GREATER
            // Under shadow copy Location is the copy, which has no native library beside it; CodeBase is where it was installed.
            if (assembly.CodeBase is { } codeBase && codeBase.StartsWith("file:", StringComparison.OrdinalIgnoreCase)
                && FolderOf(new Uri(codeBase).LocalPath) is { } installed)
            {
                yield return installed;
            }
            // ASP.NET: the bin folder.
            foreach (var bin in (AppDomain.CurrentDomain.RelativeSearchPath ?? "").Split(new[] { ';' }, StringSplitOptions.RemoveEmptyEntries))
            {
                yield return Path.Combine(AppDomain.CurrentDomain.BaseDirectory, bin);
            }
#endif
            yield return Trimmed(AppContext.BaseDirectory);
            // The host's list: where a single file was unpacked, or the package cache while developing.
            if (AppDomain.CurrentDomain.GetData("NATIVE_DLL_SEARCH_DIRECTORIES") is string folders)
            {
                foreach (var folder in folders.Split(new[] { Path.PathSeparator }, StringSplitOptions.RemoveEmptyEntries))
                {
                    yield return Trimmed(folder);
                }
            }
        }

        private static string? FolderOf(string? file) => string.IsNullOrEmpty(file) ? null : Path.GetDirectoryName(file);

        private static string Trimmed(string folder) => folder.Length > 3 ? folder.TrimEnd('/', '\\') : folder;

        private static string Explain(List<string> tried)
        {
            var text = new StringBuilder("The native library of LibP21Auth cannot be loaded. Tried:");
            foreach (var line in tried)
            {
                text.Append("\n  ").Append(line);
            }
            text.Append("\nThis process: ").Append(Platform.Describe());
            text.Append('\n').Append(Platform.Advice)
                .Append(" beside LibP21Auth.dll, or its path into the environment variable ").Append(Variable).Append('.');
            return text.ToString();
        }
    }
}
