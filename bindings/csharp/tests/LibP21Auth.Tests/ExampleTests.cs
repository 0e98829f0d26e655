using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using NUnit.Framework;

namespace LibP21Auth.Tests
{
    /// <summary>The programs of <c>examples/csharp</c>, against the emulator.</summary>
    [TestFixture]
    public class ExampleTests
    {
        [Test]
        public void ODataQueryReadsAllPages()
        {
            using (var p21 = new Emulator())
            {
                Assert.That(Run(p21, "ODataQuery", ""), Is.EqualTo("25 customers"));
                Assert.That(p21.TokenRequests, Is.EqualTo(1));
            }
        }

        [Test]
        public void InteractiveSessionKeepsItsToken()
        {
            using (var p21 = new Emulator())
            {
                Assert.That(Run(p21, "InteractiveSession", ""), Is.EqualTo("session opened\nsession closed"));
            }
        }

        [Test]
        public void ManyUsersGetATokenEach()
        {
            using (var p21 = new Emulator())
            {
                Assert.That(Run(p21, "ManyUsers", "", withKey: true), Is.EqualTo("100 requests, 10 tokens"));
                Assert.That(p21.TokenRequests, Is.EqualTo(10));
            }
        }

#if !NET
        [Test]
        public void ServiceLoopWorksRoundAfterRound()
        {
            using (var p21 = new Emulator())
            {
                Assert.That(Run(p21, "ServiceLoop", "--console"), Is.EqualTo("round 1 done\nround 2 done"));
                Assert.That(p21.TokenRequests, Is.EqualTo(1));
            }
        }
#endif

        private static string Run(Emulator p21, string example, string arguments, bool withKey = false)
        {
            string folder = Path.GetDirectoryName(typeof(ExampleTests).Assembly.Location);
#if NET
            var start = new ProcessStartInfo(Environment.ProcessPath, Path.Combine(folder, example + ".dll") + " " + arguments);
#else
            var start = new ProcessStartInfo("mono", Path.Combine(folder, example + ".exe") + " " + arguments);
#endif
            start.UseShellExecute = false;
            start.RedirectStandardOutput = true;
            start.EnvironmentVariables["P21_BASE_URL"] = p21.BaseUrl;
            foreach (var variable in withKey
                ? new Dictionary<string, string> { { "P21_CONSUMER_KEY", Emulator.Key } }
                : new Dictionary<string, string> { { "P21_USERNAME", Emulator.User }, { "P21_PASSWORD", Emulator.Password } })
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
