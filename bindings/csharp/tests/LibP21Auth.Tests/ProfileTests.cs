using System;
using System.Diagnostics;
using System.IO;
using LibP21Auth;
using NUnit.Framework;

namespace LibP21Auth.Tests
{
    /// <summary>Secrets and options that stand elsewhere: variables, and profiles, which only a process that was started with another folder
    /// finds.</summary>
    [TestFixture]
    public class ProfileTests
    {
        private const string Variable = "P21_CS_SECRET";

        [TearDown]
        public void ForgetTheVariable()
        {
            Environment.SetEnvironmentVariable(Variable, null);
        }

        [Test]
        public void AVariableThatDotNetHasSetIsReadWhenAManagerIsOpened()
        {
            using (var p21 = new Emulator())
            {
                var options = new P21Options { BaseUrl = p21.BaseUrl, Username = Emulator.User, PasswordFrom = "env:" + Variable };
                var missing = Assert.Throws<P21ConfigException>(() => new TokenManager(options));
                Assert.That(missing.Message, Does.Contain(Variable + ", which is not set"));
                Environment.SetEnvironmentVariable(Variable, "planted-and-wrong");
                using (var manager = new TokenManager(options))
                {
                    var refused = Assert.Throws<P21HttpException>(() => manager.GetToken());
                    Assert.That(refused.ToString(), Does.Not.Contain("planted"));
                }
                Environment.SetEnvironmentVariable(Variable, Emulator.Password);
                using (var manager = new TokenManager(options))
                {
                    Environment.SetEnvironmentVariable(Variable, null);
                    Assert.That(manager.GetToken(), Is.Not.Empty);
                }
            }
        }

        [Test]
        public void AProfileIsFoundByNameAndByVariable()
        {
            string folder = Path.Combine(Path.GetTempPath(), "p21-profiles-" + Guid.NewGuid().ToString("N"));
            Directory.CreateDirectory(Path.Combine(folder, "p21auth"));
            try
            {
                using (var p21 = new Emulator())
                {
                    File.WriteAllText(Path.Combine(folder, "secret"), Emulator.Password);
                    File.WriteAllText(
                        Path.Combine(folder, "p21auth", "profiles.toml"),
                        "[play]\nbase_url = \"" + p21.BaseUrl + "\"\nusername = \"" + Emulator.User + "\"\npassword_from = \"command:cat "
                            + folder + "/secret\"\n[bad]\npassword = \"planted\"\n");
                    string token = Run(folder, "profile play");
                    Assert.That(token, Has.Length.GreaterThan(20).And.Not.Contain("Exception"));
                    Assert.That(Run(folder, "profile -"), Has.Length.EqualTo(token.Length));
                    // What is set afterwards comes before it.
                    Assert.That(Run(folder, "profile play planted"), Does.StartWith("P21HttpException").And.Not.Contain("planted"));
                    Assert.That(Run(folder, "profile none"), Does.Contain("P21ConfigException: P21_E_CONFIG: there is no profile 'none'"));
                    Assert.That(Run(folder, "profile bad"), Does.Contain("password is a secret").And.Not.Contain("planted"));
                    Assert.That(p21.TokenRequests, Is.EqualTo(3));
                }
            }
            finally
            {
                Directory.Delete(folder, true);
            }
            Assert.Throws<P21ConfigException>(() => TokenManager.FromProfile(null));
        }

        private static string Run(string folder, string arguments)
        {
            string own = Path.GetDirectoryName(typeof(ProfileTests).Assembly.Location);
#if NET
            var start = new ProcessStartInfo(Files.Dotnet, Path.Combine(own, "probe.dll") + " " + arguments);
#else
            var start = new ProcessStartInfo("mono", Path.Combine(own, "probe.exe") + " " + arguments);
#endif
            start.UseShellExecute = false;
            start.RedirectStandardOutput = true;
            start.EnvironmentVariables["P21AUTH_LIBRARY"] = Files.Library;
            start.EnvironmentVariables["XDG_CONFIG_HOME"] = folder;
            start.EnvironmentVariables["P21_PROFILE"] = "play";
            using (var process = Process.Start(start))
            {
                string output = process.StandardOutput.ReadToEnd();
                process.WaitForExit();
                return output.Trim();
            }
        }
    }
}
