using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;
using LibP21Auth;
using NUnit.Framework;

namespace LibP21Auth.Tests
{
    /// <summary>What users may rely on is written down in <c>api</c>, and each change of it with its reason.</summary>
    [TestFixture]
    public class ApiTests
    {
        private const BindingFlags All = BindingFlags.Instance | BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly;
#if NET
        private const string Target = "net8.0";
#else
        private const string Target = "net462";
#endif
        private static readonly string Folder = Path.Combine(Files.Root, "bindings", "csharp", "api");

        [Test]
        public void ThePublicApiIsTheOneThatIsWrittenDown()
        {
            string file = Path.Combine(Folder, Target + ".txt");
            string api = Describe();
            if (Environment.GetEnvironmentVariable("P21AUTH_REFRESH") == "1")
            {
                File.WriteAllText(file, api);
            }
            Assert.That(api, Is.EqualTo(File.ReadAllText(file)), "P21AUTH_REFRESH=1 bindings/csharp/test.sh ApiTests writes it anew; then say why in api/CHANGES.md");
        }

        [Test]
        public void EachChangeHasAReason()
        {
            var entries = Regex.Matches(File.ReadAllText(Path.Combine(Folder, "CHANGES.md")), @"^## ([0-9a-f]{8})\n\n(.+)", RegexOptions.Multiline).Cast<Match>().ToArray();
            using (var sha = SHA256.Create())
            {
                var both = File.ReadAllBytes(Path.Combine(Folder, "net462.txt")).Concat(File.ReadAllBytes(Path.Combine(Folder, "net8.0.txt"))).ToArray();
                string digest = BitConverter.ToString(sha.ComputeHash(both), 0, 4).Replace("-", "").ToLowerInvariant();
                Assert.That(entries.FirstOrDefault()?.Groups[1].Value, Is.EqualTo(digest), "the newest entry of api/CHANGES.md must be '## " + digest + "' and say why the API changed");
            }
            Assert.That(entries.Select(e => e.Groups[2].Value.Length), Has.All.GreaterThan(20));
        }

        private static string Describe()
        {
            var text = new StringBuilder();
            foreach (var assembly in new[] { typeof(TokenManager).Assembly, typeof(LibP21Auth.Newtonsoft.TokenManager).Assembly })
            {
                text.Append("# ").Append(assembly.GetName().Name).Append('\n');
                foreach (var type in assembly.GetExportedTypes().OrderBy(t => t.FullName, StringComparer.Ordinal))
                {
                    text.Append('\n').Append(Head(type)).Append('\n');
                    var lines = type.IsEnum
                        ? Enum.GetNames(type).Select(name => name + " = " + Convert.ToInt64(Enum.Parse(type, name), CultureInfo.InvariantCulture))
                        : Members(type).OrderBy(line => line, StringComparer.Ordinal);
                    foreach (var line in lines)
                    {
                        text.Append("    ").Append(line).Append('\n');
                    }
                }
                text.Append('\n');
            }
            return text.ToString().TrimEnd('\n') + "\n";
        }

        private static string Head(Type type)
        {
            string kind = type.IsEnum ? "enum" : type.IsInterface ? "interface" : type.IsValueType ? "struct" : "class";
            string how = type.IsEnum || type.IsInterface || type.IsValueType ? "" : type.IsAbstract && type.IsSealed ? "static " : type.IsAbstract ? "abstract " : type.IsSealed ? "sealed " : "";
            var bases = new List<string>();
            if (type.BaseType != null && type.BaseType != typeof(object) && type.BaseType != typeof(ValueType) && !type.IsEnum)
            {
                bases.Add(type.BaseType.FullName);
            }
            var inherited = type.BaseType == null ? new Type[0] : type.BaseType.GetInterfaces();
            bases.AddRange(type.GetInterfaces().Except(inherited).Where(i => i == typeof(IDisposable) || i.Assembly == type.Assembly).Select(i => i.FullName));
            return how + kind + " " + type.FullName + (bases.Count > 0 && !type.IsEnum ? " : " + string.Join(", ", bases) : "");
        }

        private static IEnumerable<string> Members(Type type)
        {
            foreach (var field in type.GetFields(All).Where(f => f.IsPublic || f.IsFamily))
            {
                yield return (field.IsStatic ? "static " : "") + (field.IsInitOnly ? "readonly " : "") + Name(field.FieldType) + " " + field.Name;
            }
            foreach (var constructor in type.GetConstructors(All).Where(Visible))
            {
                yield return Access(constructor) + "new(" + Parameters(constructor) + ")";
            }
            foreach (var property in type.GetProperties(All))
            {
                var get = property.GetMethod;
                var set = property.SetMethod;
                if ((get != null && Visible(get)) || (set != null && Visible(set)))
                {
                    string index = property.GetIndexParameters().Length == 0 ? property.Name : "this[" + Parameters(get) + "]";
                    yield return Access(get ?? set) + Name(property.PropertyType) + " " + index + " {" + (get != null && Visible(get) ? " get;" : "") + (set != null && Visible(set) ? " set;" : "") + " }";
                }
            }
            foreach (var one in type.GetEvents(All).Where(e => Visible(e.AddMethod)))
            {
                yield return Access(one.AddMethod) + "event " + Name(one.EventHandlerType) + " " + one.Name;
            }
            foreach (var method in type.GetMethods(All).Where(Visible))
            {
                if (!method.IsSpecialName || method.Name.StartsWith("op_", StringComparison.Ordinal))
                {
                    string generic = method.IsGenericMethodDefinition ? "<" + string.Join(", ", method.GetGenericArguments().Select(a => a.Name)) + ">" : "";
                    yield return Access(method) + Name(method.ReturnType) + " " + method.Name + generic + "(" + Parameters(method) + ")";
                }
            }
        }

        private static bool Visible(MethodBase method) { return method.IsPublic || method.IsFamily || method.IsFamilyOrAssembly; }

        private static string Access(MethodBase method)
        {
            string virtually = method.IsAbstract ? "abstract " : method.IsVirtual && !method.IsFinal
                ? ((MethodInfo)method).GetBaseDefinition() == method ? "virtual " : "override " : "";
            return (method.IsPublic ? "" : "protected ") + (method.IsStatic ? "static " : method.DeclaringType.IsInterface ? "" : virtually);
        }

        private static string Parameters(MethodBase method)
        {
            return string.Join(", ", method.GetParameters().Select(p => (p.IsOut ? "out " : "") + Name(p.ParameterType) + " " + p.Name + (p.IsOptional ? " = " + Value(p) : "")));
        }

        private static string Value(ParameterInfo parameter)
        {
            object value = parameter.DefaultValue;
            return value == null || parameter.ParameterType.IsValueType && !parameter.ParameterType.IsEnum && !parameter.ParameterType.IsPrimitive ? "default"
                : value is string text ? "\"" + text + "\""
                : Convert.ToString(value, CultureInfo.InvariantCulture);
        }

        private static string Name(Type type)
        {
            if (type.IsByRef)
            {
                return Name(type.GetElementType());
            }
            if (type.IsArray)
            {
                return Name(type.GetElementType()) + "[]";
            }
            if (Nullable.GetUnderlyingType(type) is Type inner)
            {
                return Name(inner) + "?";
            }
            string name = type.FullName ?? type.Name;
            return type.IsGenericType
                ? type.GetGenericTypeDefinition().FullName.Split('`')[0] + "<" + string.Join(", ", type.GetGenericArguments().Select(Name)) + ">"
                : name.StartsWith("System.", StringComparison.Ordinal) && name.Count(c => c == '.') == 1 ? name.Substring(7) : name;
        }
    }
}
