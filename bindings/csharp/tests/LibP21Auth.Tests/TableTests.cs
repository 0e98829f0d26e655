using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Text.RegularExpressions;
using LibP21Auth;
using NUnit.Framework;

namespace LibP21Auth.Tests
{
    /// <summary>The C header and what was written down after it.</summary>
    [TestFixture]
    public class TableTests
    {
        // The string forms of what snapshots give, and what is read in managed code.
        private static readonly string[] NotUsed =
        {
            "p21_config_load_env", "p21_config_load_file", "p21_token_copy", "p21_token_field", "p21_token_get",
        };

        private static readonly string Header = Regex.Replace(
            File.ReadAllText(Path.Combine(Files.Root, "include", "p21auth.h")), @"/\*.*?\*/|//[^\n]*", "", RegexOptions.Singleline);

        [Test]
        public void ThePrototypesAreThoseOfTheHeader()
        {
            var header = Regex.Matches(Header, @"^([\w\s\*]+?)\b(p21_\w+)\(([^)]*)\)\s*;", RegexOptions.Multiline).Cast<Match>().ToDictionary(
                m => m.Groups[2].Value,
                m => KindOfC(m.Groups[1].Value) + "(" + string.Join(",", m.Groups[3].Value.Split(',').Select(KindOfC).Where(k => k != "void")) + ")");
            var table = typeof(TokenManager).Assembly.GetType("LibP21Auth.Interop.NativeMethods", true)
                .GetMethods(BindingFlags.Static | BindingFlags.NonPublic).Where(m => m.IsDefined(typeof(DllImportAttribute)))
                .ToDictionary(
                    m => m.Name,
                    m => KindOf(m.ReturnType) + "(" + string.Join(",", m.GetParameters().Select(p => KindOf(p.ParameterType))) + ")");
            Assert.That(table.Count, Is.GreaterThan(30));
            foreach (var function in table)
            {
                Assert.That(header.ContainsKey(function.Key), Is.True, function.Key);
                Assert.That(function.Value, Is.EqualTo(header[function.Key]), function.Key);
            }
            Assert.That(header.Keys.Except(table.Keys).OrderBy(n => n), Is.EqualTo(NotUsed));
        }

        [Test]
        public void ThePrototypesAreCdeclAndExact()
        {
            foreach (var method in typeof(TokenManager).Assembly.GetType("LibP21Auth.Interop.NativeMethods", true)
                .GetMethods(BindingFlags.Static | BindingFlags.NonPublic))
            {
                var import = method.GetCustomAttribute<DllImportAttribute>();
                if (import != null)
                {
                    Assert.That(import.CallingConvention, Is.EqualTo(CallingConvention.Cdecl), method.Name);
                    Assert.That(import.ExactSpelling, Is.True, method.Name);
                }
            }
        }

        [Test]
        public void TheNumbersAreThoseOfTheHeader()
        {
            var header = Regex.Matches(Header, @"\bP21_(E|VERDICT)_(\w+)\s*(?:=\s*)?(\d+)").Cast<Match>()
                .ToLookup(m => m.Groups[1].Value, m => m.Groups[2].Value.Replace("_", "") + " " + m.Groups[3].Value);
            var codes = Enum.GetValues(typeof(P21ErrorCode)).Cast<P21ErrorCode>().Where(c => c != P21ErrorCode.Ok)
                .Select(c => c.ToString().ToUpperInvariant() + " " + (int)c);
            Assert.That(codes, Is.EquivalentTo(header["E"]));
            var verdicts = Enum.GetValues(typeof(P21Verdict)).Cast<P21Verdict>().Select(v => v.ToString().ToUpperInvariant() + " " + (int)v);
            Assert.That(verdicts, Is.EquivalentTo(header["VERDICT"]));
            Assert.That(Header, Does.Match(@"P21_FORCE_REFRESH\s+1\b").And.Match(@"P21_CACHED_ONLY\s+2\b").And.Match(@"P21_NO_WAIT\s+8\b"));
        }

        [Test]
        public void TheVersionIsTheLibrarys()
        {
            var version = typeof(TokenManager).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>().InformationalVersion;
            Assert.That(version, Is.EqualTo(P21Auth.NativeVersion));
            Assert.That(typeof(TokenManager).Assembly.GetName().GetPublicKeyToken(), Is.Not.Empty, "strong name");
        }

        private static string KindOfC(string declaration)
        {
            if (declaration.Contains("*"))
            {
                return "pointer";
            }
            foreach (var kind in new Dictionary<string, string>
            {
                { "p21_status", "i32" }, { "uint64_t", "u64" }, { "int64_t", "i64" }, { "uint32_t", "u32" }, { "int32_t", "i32" }, { "size_t", "size" },
            })
            {
                if (Regex.IsMatch(declaration, "\\b" + kind.Key + "\\b"))
                {
                    return kind.Value;
                }
            }
            return declaration.Trim() == "void" ? "void" : "unknown: " + declaration;
        }

        private static string KindOf(Type type)
        {
            return type.IsByRef || type == typeof(IntPtr) || type == typeof(byte[]) || typeof(SafeHandle).IsAssignableFrom(type) ? "pointer"
                : type == typeof(int) ? "i32"
                : type == typeof(uint) ? "u32"
                : type == typeof(long) ? "i64"
                : type == typeof(ulong) ? "u64"
                : type == typeof(UIntPtr) ? "size"
                : type == typeof(void) ? "void"
                : "unsuitable: " + type;
        }
    }
}
