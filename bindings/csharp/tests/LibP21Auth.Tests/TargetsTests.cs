#if !NET
using System;
using System.Diagnostics;
using System.IO;
using NUnit.Framework;

namespace LibP21Auth.Tests
{
    /// <summary>The package's targets for .NET Framework, in a build.</summary>
    [TestFixture]
    public class TargetsTests
    {
        [Test]
        public void ABuildTakesTheLibrariesAlongOrSaysThatThereAreNone()
        {
            string folder = Path.Combine(Path.GetTempPath(), "p21-targets-" + Guid.NewGuid().ToString("N"));
            string package = Path.Combine(folder, "package");
            Directory.CreateDirectory(Path.Combine(package, "build", "net462"));
            File.Copy(
                Path.Combine(Files.Root, "bindings/csharp/src/LibP21Auth/build/LibP21Auth.targets"), Path.Combine(package, "build", "net462", "LibP21Auth.targets"));
            File.WriteAllText(Path.Combine(folder, "Program.cs"), "public static class Program { public static void Main() { } }");
            File.WriteAllText(Path.Combine(folder, "Program.csproj"), @"<Project DefaultTargets=""Build"" xmlns=""http://schemas.microsoft.com/developer/msbuild/2003"">
  <PropertyGroup>
    <OutputType>Exe</OutputType>
    <AssemblyName>Program</AssemblyName>
    <TargetFrameworkVersion>v4.5</TargetFrameworkVersion>
    <OutputPath>bin/</OutputPath>
  </PropertyGroup>
  <ItemGroup>
    <Compile Include=""Program.cs"" />
  </ItemGroup>
  <Import Project=""$(MSBuildToolsPath)/Microsoft.CSharp.targets"" />
  <Import Project=""package/build/net462/LibP21Auth.targets"" />
</Project>");
            try
            {
                Assert.That(Build(folder), Does.Contain("warning : This package LibP21Auth holds no p21auth.dll"));
                string library = Path.Combine("runtimes", "win-x86", "native", "p21auth.dll");
                Directory.CreateDirectory(Path.Combine(package, Path.GetDirectoryName(library)));
                File.WriteAllText(Path.Combine(package, library), "a library");
                Assert.That(Build(folder), Does.Not.Contain("holds no p21auth.dll"));
                Assert.That(File.ReadAllText(Path.Combine(folder, "bin", library)), Is.EqualTo("a library"));
            }
            finally
            {
                Directory.Delete(folder, true);
            }
        }

        private static string Build(string folder)
        {
            using (var process = Process.Start(new ProcessStartInfo("xbuild", "/nologo /verbosity:minimal Program.csproj")
            {
                WorkingDirectory = folder, UseShellExecute = false, RedirectStandardOutput = true, RedirectStandardError = true,
            }))
            {
                process.ErrorDataReceived += (sender, e) => { };
                process.BeginErrorReadLine();
                string output = process.StandardOutput.ReadToEnd();
                process.WaitForExit();
                Assert.That(process.ExitCode, Is.EqualTo(0), output);
                return output;
            }
        }
    }
}
#endif
