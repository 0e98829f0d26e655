using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;
using Microsoft.Build.Evaluation;
using NuGet.Packaging;
using NUnit.Framework;

namespace LibP21Auth.Tests
{
    /// <summary>The project files as MSBuild reads them, and what NuGet would pack. For test.sh alone: an SDK shows it by packing.</summary>
    [TestFixture]
    public class ProjectTests
    {
        private static readonly string[] Planted = { "win-x64/p21auth.dll", "win-x86/p21auth.dll", "linux-x64/libp21auth.so" };
        private string folder;

        /// <summary>A copy of the projects with libraries in it, and an SDK that adds nothing of its own.</summary>
        [OneTimeSetUp]
        public void CopyTheProjects()
        {
            folder = Path.Combine(Path.GetTempPath(), "p21-projects-" + Guid.NewGuid().ToString("N"));
            string from = Path.Combine(Files.Root, "bindings", "csharp");
            foreach (var file in Directory.GetFiles(from, "*.*", SearchOption.AllDirectories))
            {
                string name = Path.GetRelativePath(from, file);
                if (!name.StartsWith("native") && new[] { ".csproj", ".props", ".targets", ".sln", ".md", ".png", ".snk", ".cs" }.Contains(Path.GetExtension(file)))
                {
                    Directory.CreateDirectory(Path.GetDirectoryName(Path.Combine(folder, name)));
                    File.Copy(file, Path.Combine(folder, name));
                }
            }
            foreach (var file in Planted.Select(p => Path.Combine(folder, "native", p)))
            {
                Directory.CreateDirectory(Path.GetDirectoryName(file));
                File.WriteAllText(file, "a library");
            }
            string sdk = Path.Combine(folder, "sdks", "Microsoft.NET.Sdk", "Sdk");
            Directory.CreateDirectory(sdk);
            File.WriteAllText(
                Path.Combine(sdk, "Sdk.props"),
                "<Project><Import Project=\"$([MSBuild]::GetDirectoryNameOfFileAbove($(MSBuildProjectDirectory), 'Directory.Build.props'))/Directory.Build.props\" /></Project>");
            File.WriteAllText(Path.Combine(sdk, "Sdk.targets"), "<Project />");
            Environment.SetEnvironmentVariable("MSBuildSDKsPath", Path.Combine(folder, "sdks"));
            Environment.SetEnvironmentVariable("MSBUILD_EXE_PATH", Path.Combine(folder, "MSBuild.dll"));
        }

        [OneTimeTearDown]
        public void RemoveTheCopy()
        {
            Environment.SetEnvironmentVariable("MSBuildSDKsPath", null);
            Environment.SetEnvironmentVariable("MSBUILD_EXE_PATH", null);
            Directory.Delete(folder, true);
        }

        private Project Load(string path, params string[] properties)
        {
            var globals = properties.ToDictionary(p => p.Split('=')[0], p => p.Split('=', 2)[1]);
            return new Project(Path.Combine(folder, path), globals, null, new ProjectCollection(globals));
        }

        /// <summary>Where NuGet puts an item: below its package path the folder that a ** matched, unless the path already ends like the file.</summary>
        private static IEnumerable<string> PackedTo(ProjectItem item)
        {
            string file = Path.GetFileName(item.EvaluatedInclude);
            string extension = Path.GetExtension(file);
            foreach (var path in item.GetMetadataValue("PackagePath").Split(';'))
            {
                bool isFile = extension.Length > 0 && Path.GetExtension(path).Equals(extension, StringComparison.OrdinalIgnoreCase);
                yield return (isFile ? path : Path.Combine(path, item.GetMetadataValue("RecursiveDir"), file)).Replace('\\', '/');
            }
        }

        private static IEnumerable<string> Packed(Project project) =>
            project.GetItems("None").Where(i => i.GetMetadataValue("Pack") == "true").SelectMany(PackedTo);

        [Test]
        public void EachFileIsPackedWhereNuGetLooksForIt()
        {
            var package = Load("src/LibP21Auth/LibP21Auth.csproj");
            Assert.That(Packed(package), Is.EquivalentTo(new[]
            {
                "README.md", "icon.png", "build/net462/LibP21Auth.targets", "buildTransitive/net462/LibP21Auth.targets",
            }.Concat(Planted.Select(p => "runtimes/" + p.Replace("/", "/native/")))));
            foreach (var item in package.GetItems("None"))
            {
                Assert.That(File.Exists(Path.Combine(package.DirectoryPath, item.EvaluatedInclude)), item.EvaluatedInclude);
            }
            Assert.That(Packed(Load("src/LibP21Auth.Newtonsoft/LibP21Auth.Newtonsoft.csproj")), Is.EquivalentTo(new[] { "README.md", "icon.png" }));
        }

        [TestCase("LibP21Auth")]
        [TestCase("LibP21Auth.Newtonsoft")]
        public void APackageIsTheSameWhereverItIsMade(string name)
        {
            string path = "src/" + name + "/" + name + ".csproj";
            foreach (var system in new[] { "Unix", "Windows_NT" })
            {
                var package = Load(path, "OS=" + system);
                Assert.That(package.GetPropertyValue("TargetFrameworks"), Is.EqualTo("net462;netstandard2.0;net8.0"));
                Assert.That(package.GetPropertyValue("SignAssembly"), Is.EqualTo("true"));
                Assert.That(package.GetPropertyValue("GenerateDocumentationFile"), Is.EqualTo("true"));
            }
            var plain = Load(path);
            var version = new Version(plain.GetPropertyValue("Version"));
            Assert.That(plain.GetPropertyValue("AssemblyVersion"), Is.EqualTo(version.ToString(2) + ".0.0"));
            Assert.That(plain.GetPropertyValue("SymbolPackageFormat"), Is.EqualTo("snupkg"));
            Assert.That(Packed(plain), Does.Contain(plain.GetPropertyValue("PackageIcon")).And.Contains(plain.GetPropertyValue("PackageReadmeFile")));
            // What is found in a dependency tomorrow must not break the build of today.
            Assert.That(plain.GetPropertyValue("TreatWarningsAsErrors"), Is.EqualTo("true"));
            Assert.That(plain.GetPropertyValue("WarningsNotAsErrors").Split(';'), Is.SupersetOf(new[] { "NU1901", "NU1902", "NU1903", "NU1904" }));
            Assert.That(plain.GetPropertyValue("RepositoryUrl"), Is.Empty);
            Assert.That(plain.GetPropertyValue("EnableSourceLink"), Is.EqualTo("false"));
            var published = Load(path, "P21AuthRepositoryUrl=https://git.example/p21");
            Assert.That(published.GetPropertyValue("RepositoryUrl"), Is.EqualTo("https://git.example/p21"));
            Assert.That(published.GetPropertyValue("EnableSourceLink"), Is.Empty);
        }

        [Test]
        public void EveryProjectIsThereAndNamesItsLanguage()
        {
            string tests = "tests/LibP21Auth.Tests/LibP21Auth.Tests.csproj";
            string solution = File.ReadAllText(Path.Combine(folder, "LibP21Auth.sln"));
            var programs = Load(tests).GetItems("ProjectReference").Select(i => i.EvaluatedInclude).Where(i => i.Contains("Programs")).ToArray();
            // Every example that the tests start is built with them.
            Assert.That(programs.Select(Path.GetFileNameWithoutExtension), Is.EquivalentTo(new[] { "probe", "ODataQuery", "InteractiveSession", "ManyUsers" }));
            foreach (var path in Directory.GetFiles(folder, "*.csproj", SearchOption.AllDirectories))
            {
                var project = Load(path);
                Assert.That(project.GetPropertyValue("LangVersion"), Does.Match(@"^\d+(\.\d)?$"), path);
                foreach (var reference in project.GetItems("ProjectReference"))
                {
                    Assert.That(File.Exists(Path.Combine(project.DirectoryPath, reference.EvaluatedInclude)), reference.EvaluatedInclude);
                }
                Assert.That(solution.Contains(Path.GetFileName(path)) || path.Contains("Programs"), path);
            }
            string own = Path.GetFullPath(Path.Combine(folder, "tests/LibP21Auth.Tests/bin/Release/net8.0")) + "/";
            foreach (var program in programs)
            {
                var project = Load(Path.Combine("tests/LibP21Auth.Tests", program), "Configuration=Release");
                Assert.That(Path.GetFullPath(project.GetPropertyValue("OutDir")), Is.EqualTo(own), program);
                // Relative to the repository, not to this copy.
                string source = Path.Combine(Files.Root, "bindings/csharp", Path.GetRelativePath(folder, project.DirectoryPath), project.GetItems("Compile").Single().EvaluatedInclude);
                Assert.That(File.Exists(source), source);
            }
        }

        /// <summary>The packages that are made without an SDK, read by NuGet itself.</summary>
        [Test]
        public void ThePackagesOfTheReleaseAreWhatNuGetReads()
        {
            string made = Path.Combine(folder, "made");
            string licenses = Path.Combine(folder, "licenses");
            Directory.CreateDirectory(made);
            Directory.CreateDirectory(licenses);
            File.WriteAllText(Path.Combine(licenses, "linux-NOTICES.md"), "notices");
            string assemblies = Path.Combine(Files.Root, "target", "csharp");
            string native = Path.Combine(folder, "native");
            var start = new ProcessStartInfo("python3")
            {
                ArgumentList =
                {
                    Path.Combine(Files.Root, "tools/dist/nupkg.py"), "--out", made, "--assemblies", assemblies, "--licenses", licenses,
                    "--native", "linux-x64=" + native + "/linux-x64/libp21auth.so", "--native", "win-x64=" + native + "/win-x64/p21auth.dll",
                },
                RedirectStandardOutput = true,
            };
            start.Environment["P21AUTH_REPOSITORY_URL"] = "https://git.example/p21";
            using (var process = Process.Start(start))
            {
                process.StandardOutput.ReadToEnd();
                process.WaitForExit();
                Assert.That(process.ExitCode, Is.EqualTo(0));
            }
            string version = Load("src/LibP21Auth/LibP21Auth.csproj").GetPropertyValue("Version");
            using (var core = new PackageArchiveReader(Path.Combine(made, "LibP21Auth." + version + ".nupkg")))
            {
                Assert.That(core.NuspecReader.GetId() + " " + core.NuspecReader.GetVersion(), Is.EqualTo("LibP21Auth " + version));
                Assert.That(core.NuspecReader.GetIcon(), Is.EqualTo("icon.png"));
                Assert.That(core.NuspecReader.GetRepositoryMetadata().Url, Is.EqualTo("https://git.example/p21"));
                Assert.That(
                    core.GetLibItems().Select(g => g.TargetFramework.GetShortFolderName()), Is.EquivalentTo(new[] { "net462", "netstandard2.0", "net8.0" }));
                Assert.That(core.GetPackageDependencies().SelectMany(g => g.Packages), Is.Empty);
                Assert.That(core.GetItems("build").Single().TargetFramework.GetShortFolderName(), Is.EqualTo("net462"));
                Assert.That(core.GetFiles("runtimes"), Is.EquivalentTo(new[] { "runtimes/linux-x64/native/libp21auth.so", "runtimes/win-x64/native/p21auth.dll" }));
            }
            using (var newtonsoft = new PackageArchiveReader(Path.Combine(made, "LibP21Auth.Newtonsoft." + version + ".nupkg")))
            {
                Assert.That(newtonsoft.GetLibItems().Single().TargetFramework.GetShortFolderName(), Is.EqualTo("net8.0"));
                Assert.That(
                    newtonsoft.GetPackageDependencies().Single().Packages.Select(p => p.Id + " " + p.VersionRange.MinVersion),
                    Is.EquivalentTo(new[] { "LibP21Auth " + version, "Newtonsoft.Json 13.0.3" }));
            }
            using (var symbols = new PackageArchiveReader(Path.Combine(made, "LibP21Auth." + version + ".snupkg")))
            {
                Assert.That(symbols.NuspecReader.GetPackageTypes().Single().Name, Is.EqualTo("SymbolsPackage"));
                foreach (var file in symbols.GetFiles("lib").ToArray())
                {
                    var copy = new MemoryStream();
                    symbols.GetStream(file).CopyTo(copy);
                    copy.Position = 0;
                    using (var provider = System.Reflection.Metadata.MetadataReaderProvider.FromPortablePdbStream(copy))
                    {
                        var reader = provider.GetMetadataReader();
                        var sources = reader.Documents.Select(d => reader.GetString(reader.GetDocument(d).Name)).ToArray();
                        Assert.That(sources, Is.Not.Empty);
                        Assert.That(sources, Has.All.StartsWith("/_/"), "not the path of the machine that built it");
                    }
                }
            }
        }
    }
}
