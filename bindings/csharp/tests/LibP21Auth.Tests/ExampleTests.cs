using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Threading.Tasks;
using LibP21Auth;
using NUnit.Framework;

namespace LibP21Auth.Tests
{
    /// <summary>The programs of <c>examples/csharp</c>, against the emulator. ServiceLoop has a minute of its own, in tests/Service.</summary>
    [TestFixture]
    public class ExampleTests
    {
        private static readonly string Folder = Path.GetDirectoryName(typeof(ExampleTests).Assembly.Location);

        private static readonly Dictionary<string, string> User =
            new Dictionary<string, string> { { "P21_USERNAME", Emulator.User }, { "P21_PASSWORD", Emulator.Password } };

        private static readonly Dictionary<string, string> Key = new Dictionary<string, string> { { "P21_CONSUMER_KEY", Emulator.Key } };

        [Test]
        public void ODataQueryReadsAllPages()
        {
            using (var p21 = new Emulator())
            {
                Assert.That(Run(p21, "ODataQuery", User), Is.EqualTo("25 customers"));
                Assert.That(p21.TokenRequests, Is.EqualTo(1));
            }
        }

        [Test]
        public void InteractiveSessionKeepsItsToken()
        {
            using (var p21 = new Emulator())
            {
                Assert.That(Run(p21, "InteractiveSession", User), Is.EqualTo("session opened\nsession closed"));
            }
        }

        [Test]
        public void ManyUsersGetATokenEach()
        {
            using (var p21 = new Emulator())
            {
                Assert.That(Run(p21, "ManyUsers", Key), Is.EqualTo("100 requests, 10 tokens"));
                Assert.That(p21.TokenRequests, Is.EqualTo(10));
            }
        }

        /// <summary>Everything that the emulator can do to a reply and that ends by itself.</summary>
        private static readonly string[] Anywhere =
        {
            "\"close\"", "\"reset\"", "\"reset_after_headers\"", "{\"truncate\":{\"bytes\":10}}", "\"empty\"", "\"html\"",
            "{\"redirect\":{\"location\":\"https://elsewhere.invalid/\"}}", "{\"redirect\":{\"location\":\"/nowhere\",\"status\":302}}",
            Answer(400, ""), Answer(401, ""), Answer(401, "<TokenError>expired</TokenError>"), Answer(403, "denied"),
            Answer(404, "<html>not found</html>"), Answer(429, ""), Answer(500, "{\\\"ErrorMessage\\\":\\\"x\\\"}"), Answer(503, "down"),
        };

        /// <summary>What the library's own deadline and limits must end.</summary>
        private static readonly string[] OnTheTokenEndpoint =
        {
            "\"flood\"", "{\"drip\":{\"bytes_per_s\":5}}", "{\"answer\":{\"status\":200,\"body\":\"{\\\"AccessToken\\\":7}\"}}",
        };

        private static string Answer(int status, string body)
        {
            return "{\"answer\":{\"status\":" + status + ",\"body\":\"" + body + "\"}}";
        }

        [TestCase("ODataQuery", "/token")]
        [TestCase("ODataQuery", "/odata")]
        [TestCase("InteractiveSession", "/token")]
        [TestCase("InteractiveSession", "/router")]
        [TestCase("InteractiveSession", "/interactive")]
        [TestCase("ManyUsers", "/token")]
        public void EveryFailureOfTheServerEndsInOneLine(string example, string path)
        {
            using (var p21 = new Emulator())
            {
                int number = 0;
                foreach (var action in Anywhere.Concat(path == "/token" ? OnTheTokenEndpoint : new string[0]))
                {
                    // An identity of its own each time, with no failure behind it.
                    string name = "user" + ++number;
                    p21.Configure("{\"users\":[{\"name\":\"" + name + "\",\"password\":\"p\"}],\"keys\":[{\"uid\":\"" + (100 + number) + "\",\"key\":\"" + name + "\"}]}");
                    p21.ClearFaults();
                    p21.Fault("{\"path\":\"" + path + "\",\"times\":0,\"action\":" + action + "}");
                    var variables = example == "ManyUsers"
                        ? new Dictionary<string, string> { { "P21_CONSUMER_KEY", name } }
                        : new Dictionary<string, string> { { "P21_USERNAME", name }, { "P21_PASSWORD", "p" } };
                    variables["P21_BASE_URL"] = p21.BaseUrl;
                    variables["P21_TIMEOUT_MS"] = "500";
                    variables["P21_MAX_RETRIES"] = "0";
                    string said = RunInside(example, variables, out int status);
                    Assert.That(status, Is.EqualTo(1), action + ": " + said);
                    Assert.That(said.Trim(), Has.Length.GreaterThan(20), action);
                    Assert.That(said.Trim(), Does.Not.Contain("\n").And.Not.Contain("A task was canceled"), action);
                }
            }
        }

        /// <summary>Runs an example in this process; what it throws is what would end it.</summary>
        private static string RunInside(string example, Dictionary<string, string> variables, out int status)
        {
            var output = Console.Out;
            var errors = Console.Error;
            var said = new StringWriter();
            foreach (var variable in variables)
            {
                Environment.SetEnvironmentVariable(variable.Key, variable.Value);
            }
            Console.SetOut(new StringWriter());
            Console.SetError(said);
            try
            {
                var program = Assembly.LoadFrom(Path.Combine(Folder, example + (typeof(object).Assembly.GetName().Name == "mscorlib" ? ".exe" : ".dll")));
                status = ((Task<int>)program.GetType(example).GetMethod("Main").Invoke(null, null)).GetAwaiter().GetResult();
                P21Auth.Default.Dispose();
            }
            finally
            {
                Console.SetOut(output);
                Console.SetError(errors);
                foreach (var variable in variables)
                {
                    Environment.SetEnvironmentVariable(variable.Key, null);
                }
            }
            return said.ToString();
        }

        private static string Run(Emulator p21, string example, Dictionary<string, string> variables)
        {
#if NET
            var start = new ProcessStartInfo(Files.Dotnet, Path.Combine(Folder, example + ".dll"));
#else
            var start = new ProcessStartInfo("mono", Path.Combine(Folder, example + ".exe"));
#endif
            start.UseShellExecute = false;
            start.RedirectStandardOutput = true;
            start.EnvironmentVariables["P21_BASE_URL"] = p21.BaseUrl;
            foreach (var variable in variables)
            {
                start.EnvironmentVariables[variable.Key] = variable.Value;
            }
            using (var process = Process.Start(start))
            {
                string output = process.StandardOutput.ReadToEnd();
                process.WaitForExit();
                Assert.That(process.ExitCode, Is.EqualTo(0), output);
                return output.Trim();
            }
        }
    }
}
