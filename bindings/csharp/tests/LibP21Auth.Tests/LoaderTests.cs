using System;
using System.Diagnostics;
using System.IO;
using System.Linq;
using LibP21Auth;
using NUnit.Framework;

namespace LibP21Auth.Tests
{
    /// <summary>Finding the native library, each time in a process of its own, in a folder as an installation has it.</summary>
    [TestFixture]
    public class LoaderTests
    {
        private string folder;

        [SetUp]
        public void MakeAnInstallation()
        {
            folder = Path.Combine(Path.GetTempPath(), "p21-probe-" + Guid.NewGuid().ToString("N"));
            Directory.CreateDirectory(folder);
            string own = Path.GetDirectoryName(typeof(LoaderTests).Assembly.Location);
            foreach (var file in Directory.GetFiles(own, "probe*").Concat(Directory.GetFiles(own, "LibP21Auth.dll")))
            {
                File.Copy(file, Path.Combine(folder, Path.GetFileName(file)));
            }
        }

        [TearDown]
        public void RemoveTheInstallation()
        {
            Directory.Delete(folder, true);
        }

        [Test]
        public void TheFileThatTheVariableNamesIsLoaded()
        {
            Assert.That(Run(Files.Library, "load"), Is.EqualTo("loaded " + P21Auth.NativeVersion));
        }

        [Test]
        public void AMissingFileOfTheVariableIsAnErrorEvenIfAnotherWouldDo()
        {
            Bundle("");
            string missing = Path.Combine(folder, "nowhere", "libp21auth.so");
            string said = Run(missing, "load");
            Assert.That(said, Does.Contain(missing + ": no such file"));
            Assert.That(said, Does.Contain((IntPtr.Size * 8) + "-bit").And.Contains("glibc").And.Contains("P21AUTH_LIBRARY"));
        }

        [TestCase("")]
        [TestCase("runtimes/linux-x64/native")]
        public void ABundledLibraryIsFound(string place)
        {
            Bundle(place);
            Assert.That(Run(null, "load"), Is.EqualTo("loaded " + P21Auth.NativeVersion));
        }

        [Test]
        public void AnAssemblyWithoutAPlaceFindsTheLibraryBesideTheApplication()
        {
            Bundle("");
            string elsewhere = Path.Combine(folder, "memory");
            Directory.CreateDirectory(elsewhere);
            File.Move(Path.Combine(folder, "LibP21Auth.dll"), Path.Combine(elsewhere, "LibP21Auth.dll"));
            Assert.That(Run(null, "bytes " + elsewhere), Is.EqualTo("loaded " + P21Auth.NativeVersion + " from memory"));
        }

        [Test]
        public void WithoutALibraryEveryPathTriedIsListed()
        {
            string said = Run(null, "load");
            foreach (var path in new[] { "libp21auth.so", "libp21auth.so.1", "runtimes/linux-x64/native/libp21auth.so" })
            {
                Assert.That(said, Does.Contain(Path.Combine(folder, path) + ": no such file"));
            }
            Assert.That(said, Does.Contain("Install the package LibP21Auth"));
        }

        [Test]
        public void ALibraryForAnotherProcessorIsNamedAsSuch()
        {
            // An ELF header for 32-bit x86.
            var header = new byte[64];
            new byte[] { 0x7F, 0x45, 0x4C, 0x46, 1, 1, 1 }.CopyTo(header, 0);
            header[18] = 3;
            string file = Path.Combine(folder, "libp21auth.so");
            File.WriteAllBytes(file, header);
            Assert.That(Run(null, "load"), Does.Contain(file + ": is built for x86, but this process is x64"));
        }

        [TestCase("")]
        [TestCase("this is not a library, whatever its name says")]
        public void AFileThatIsNoLibraryIsNamed(string content)
        {
            string file = Path.Combine(folder, "libp21auth.so");
            File.WriteAllText(file, content);
            Assert.That(Run(file, "load"), Does.Contain(file + ": "));
        }

        [Test]
        public void AnotherLibraryIsNotMistakenForThis()
        {
            string other = Directory.GetFiles("/lib/x86_64-linux-gnu", "libm.so.6").Concat(Directory.GetFiles("/lib/x86_64-linux-gnu", "libc.so.6")).First();
            Assert.That(Run(other, "load"), Does.Contain("not this library"));
        }

        [Test]
        public void AProcessEndsAtOnceWhileARequestIsUnderWay()
        {
            using (var p21 = new Emulator())
            {
                p21.Hold();
                using (var process = Start(Files.Library, "exit " + p21.BaseUrl))
                {
                    p21.WaitFor("held", 1);
                    process.StandardInput.WriteLine();
                    // Far less than the 30 seconds of the request.
                    Assert.That(process.WaitForExit(15000), Is.True);
                    Assert.That(process.ExitCode, Is.EqualTo(0));
                }
                p21.Release();
            }
        }

        [Test]
        public void ProcessesThatShareAStoreSendOneRequest()
        {
            using (var p21 = new Emulator())
            {
                string arguments = "token " + p21.BaseUrl + " file://" + Path.Combine(folder, "store");
                p21.Hold();
                using (var one = Start(Files.Library, arguments))
                using (var other = Start(Files.Library, arguments))
                {
                    p21.WaitFor("held", 1);
                    p21.Release();
                    string token = one.StandardOutput.ReadToEnd();
                    Assert.That(token.Trim(), Is.Not.Empty);
                    Assert.That(other.StandardOutput.ReadToEnd(), Is.EqualTo(token));
                }
                Assert.That(p21.TokenRequests, Is.EqualTo(1));
            }
        }

#if NET
        [Test]
        public void TheAssemblyForNetStandardLoadsItToo()
        {
            string own = Path.GetDirectoryName(typeof(LoaderTests).Assembly.Location);
            File.Copy(Path.Combine(own, "netstandard2.0", "LibP21Auth.dll"), Path.Combine(folder, "LibP21Auth.dll"), true);
            Assert.That(Run(Files.Library, "load"), Is.EqualTo("loaded " + P21Auth.NativeVersion));
        }
#else
        [Test]
        public void AShadowCopiedAssemblyFindsTheLibraryWhereItWasInstalled()
        {
            Bundle("");
            string[] said = Run(null, "shadow " + Path.Combine(folder, "cache")).Split('\n');
            Assert.That(said, Is.EqualTo(new[] { "loaded " + P21Auth.NativeVersion + " from a copy", "P21ConfigException Config", "unloaded" }));
        }
#endif

        private void Bundle(string place)
        {
            string target = Path.Combine(folder, place);
            Directory.CreateDirectory(target);
            File.Copy(Files.Library, Path.Combine(target, "libp21auth.so"));
        }

        private string Run(string library, string arguments)
        {
            using (var process = Start(library, arguments))
            {
                process.StandardInput.Close();
                string output = process.StandardOutput.ReadToEnd();
                process.WaitForExit();
                return output.Trim();
            }
        }

        private Process Start(string library, string arguments)
        {
#if NET
            var start = new ProcessStartInfo(Environment.ProcessPath, Path.Combine(folder, "probe.dll") + " " + arguments);
#else
            var start = new ProcessStartInfo("mono", Path.Combine(folder, "probe.exe") + " " + arguments);
#endif
            start.UseShellExecute = false;
            start.RedirectStandardOutput = true;
            start.RedirectStandardInput = true;
            start.EnvironmentVariables.Remove("P21AUTH_LIBRARY");
            if (library != null)
            {
                start.EnvironmentVariables["P21AUTH_LIBRARY"] = library;
            }
            return Process.Start(start);
        }
    }
}
