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
        public void ASymbolicLinkIsFollowed()
        {
            string link = Path.Combine(folder, "libp21auth.so");
            Assert.That(symlink(Files.Library, link), Is.EqualTo(0));
            Assert.That(Run(link, "load"), Is.EqualTo("loaded " + P21Auth.NativeVersion));
        }

        [System.Runtime.InteropServices.DllImport("libc")]
        private static extern int symlink(string target, string link);

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
            Assert.That(said, Does.Contain("Install the package LibP21Auth, which brings libp21auth.so for linux-x64; or put that file beside LibP21Auth.dll"));
#if NET
            Assert.That(said, Does.Not.Contain("musl"), "no matter what packages are installed");
#endif
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
        [TestCase("this is not a library, no matter what its name says")]
        public void AFileThatIsNoLibraryIsNamed(string content)
        {
            string file = Path.Combine(folder, "libp21auth.so");
            File.WriteAllText(file, content);
            Assert.That(Run(file, "load"), Does.Contain(file + ": "));
        }

        [Test]
        public void ALibraryThatIsCutShortIsRefusedAndNotLoadedIntoACrash()
        {
            var whole = File.ReadAllBytes(Files.Library);
            string file = Path.Combine(folder, "libp21auth.so");
            foreach (int length in new[] { 1, 19, 40, 64, 100, 4096, whole.Length / 10, whole.Length / 2, whole.Length - 5000, whole.Length - 1 })
            {
                File.WriteAllBytes(file, whole.Take(length).ToArray());
                string said = Run(file, "load");
                Assert.That(said, Does.Contain(file + ": ").And.Contains("cut short"), length.ToString());
                Assert.That(said, Does.Contain("This process: "), length.ToString());
            }
        }

        [Test]
        public void OtherFormatsAreMeasuredToo()
        {
            // What a library's headers say of its length, for the kinds that this process cannot load anyway.
            var method = typeof(TokenManager).Assembly.GetType("LibP21Auth.Interop.LibraryFile", true)
                .GetMethod("LeastLength", System.Reflection.BindingFlags.Static | System.Reflection.BindingFlags.NonPublic);
            foreach (var one in new[] { Pe(), Elf32() })
            {
                string file = Path.Combine(folder, "library");
                File.WriteAllBytes(file, one);
                Assert.That(method.Invoke(null, new object[] { file }), Is.EqualTo(7000L));
            }
        }

        private static byte[] Pe()
        {
            var file = new byte[512];
            new byte[] { 0x4D, 0x5A }.CopyTo(file, 0);
            file[0x3C] = 0x80;
            new byte[] { 0x50, 0x45, 0, 0, 0x64, 0x86, 2, 0 }.CopyTo(file, 0x80);
            file[0x80 + 20] = 16;
            int table = 0x80 + 24 + 16;
            BitConverter.GetBytes(1000).CopyTo(file, table + 16);
            BitConverter.GetBytes(512).CopyTo(file, table + 20);
            BitConverter.GetBytes(2000).CopyTo(file, table + 40 + 16);
            BitConverter.GetBytes(5000).CopyTo(file, table + 40 + 20);
            return file;
        }

        private static byte[] Elf32()
        {
            var file = new byte[512];
            new byte[] { 0x7F, 0x45, 0x4C, 0x46, 1, 1, 1 }.CopyTo(file, 0);
            file[18] = 3;
            file[28] = 52;
            BitConverter.GetBytes(6600).CopyTo(file, 32);
            file[42] = 32;
            file[44] = 1;
            file[46] = 40;
            file[48] = 10;
            BitConverter.GetBytes(1000).CopyTo(file, 52 + 4);
            BitConverter.GetBytes(5000).CopyTo(file, 52 + 16);
            return file;
        }

        [Test]
        public void AnotherLibraryIsNotMistakenForThis()
        {
            Assert.That(Run(Other, "load"), Does.Contain("not this library"));
        }

        private static string Other
        {
            get
            {
                return Directory.GetFiles("/lib/x86_64-linux-gnu", "libm.so.6").Concat(Directory.GetFiles("/lib/x86_64-linux-gnu", "libc.so.6")).First();
            }
        }

        [TestCase("another library")]
        [TestCase("one that is cut short")]
        [TestCase("no library")]
        public void AnUnfitFileDoesNotHideAFitOne(string unfit)
        {
            string first = Path.Combine(folder, "libp21auth.so");
            if (unfit == "another library")
            {
                File.Copy(Other, first);
            }
            else
            {
                File.WriteAllBytes(first, unfit == "no library" ? new byte[] { 1, 2, 3, 4 } : File.ReadAllBytes(Files.Library).Take(5000).ToArray());
            }
            Bundle("runtimes/linux-x64/native");
            Assert.That(Run(null, "load"), Is.EqualTo("loaded " + P21Auth.NativeVersion));
            using (var p21 = new Emulator())
            {
                // Every function comes from the one that fits.
                using (var process = Start(null, "token " + p21.BaseUrl + " memory"))
                {
                    process.StandardInput.Close();
                    Assert.That(process.StandardOutput.ReadToEnd().Trim(), Has.Length.GreaterThan(100));
                }
            }
        }

        [TestCase("linux-x64", "linux", "x64", "linux-x64")]
        [TestCase("debian.12-x64", "linux", "x64", "linux-x64")]
        [TestCase("ubuntu.22.04-arm64", "linux", "arm64", "linux-arm64")]
        [TestCase("linux-musl-x64", "linux", "x64", "linux-musl-x64")]
        [TestCase("alpine.3.19-arm64", "linux", "arm64", "linux-musl-arm64")]
        [TestCase("void-musl-x64", "linux", "x64", "linux-musl-x64")]
        [TestCase(null, "linux", "x64", "linux-x64 linux-musl-x64")]
        [TestCase("", "linux", "arm", "linux-arm linux-musl-arm")]
        [TestCase("win10-x86", "win", "x86", "win-x86")]
        [TestCase(null, "win", "x64", "win-x64")]
        [TestCase("osx.14-arm64", "osx", "arm64", "osx-arm64")]
        public void ThePlatformIsWhatTheRuntimeSaysWithoutTheDistribution(string told, string system, string architecture, string rids)
        {
            var method = typeof(TokenManager).Assembly.GetType("LibP21Auth.Interop.Platform", true)
                .GetMethod("RidsOf", System.Reflection.BindingFlags.Static | System.Reflection.BindingFlags.NonPublic);
            Assert.That(string.Join(" ", (string[])method.Invoke(null, new object[] { told, system, architecture })), Is.EqualTo(rids));
        }

#if !NET
        [Test]
        public void WhereTheRuntimeDoesNotSayBothKindsAreTriedAndTheOneThatLoadsIsTaken()
        {
            Bundle("runtimes/linux-musl-x64/native");
            Directory.CreateDirectory(Path.Combine(folder, "runtimes/linux-x64/native"));
            File.WriteAllBytes(Path.Combine(folder, "runtimes/linux-x64/native/libp21auth.so"), File.ReadAllBytes(Files.Library).Take(9000).ToArray());
            Assert.That(Run(null, "load"), Is.EqualTo("loaded " + P21Auth.NativeVersion));
        }
#endif

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
            // Where test.sh puts it, or where an SDK builds it.
            string built = new[]
            {
                Path.Combine(Path.GetDirectoryName(typeof(LoaderTests).Assembly.Location), "netstandard2.0", "LibP21Auth.dll"),
                Path.Combine(Files.Root, "bindings/csharp/src/LibP21Auth/bin/Debug/netstandard2.0/LibP21Auth.dll"),
                Path.Combine(Files.Root, "bindings/csharp/src/LibP21Auth/bin/Release/netstandard2.0/LibP21Auth.dll"),
            }.FirstOrDefault(File.Exists);
            Assert.That(built, Is.Not.Null, "build LibP21Auth.sln first");
            File.Copy(built, Path.Combine(folder, "LibP21Auth.dll"), true);
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
            var start = new ProcessStartInfo(Files.Dotnet, Path.Combine(folder, "probe.dll") + " " + arguments);
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
