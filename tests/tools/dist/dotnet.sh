#!/usr/bin/env bash
# shellcheck disable=SC2154
# Sourced by tests/tools/dist.sh: C# programs by the files of the NuGet package.

step ".NET, from the files of the NuGet package"
nupkg=dist/LibP21Auth.$version.nupkg
# As NuGet's cache has it.
package=$work/packages/libp21auth/$version
# shellcheck source=bindings/csharp/tools/compile.sh
if [ ! -f "$nupkg" ]; then
    not_tested "the NuGet package: there was no C# compiler to make it"
elif . bindings/csharp/tools/compile.sh && prepare; then
    mkdir -p "$package"
    python3 -m zipfile -e "$nupkg" "$package"
    case $machine in x86_64) rid=linux-x64 ;; aarch64) rid=linux-arm64 ;; esac
    native=runtimes/$rid/native/libp21auth.so
    check "it holds the tarball's library" cmp "$package/$native" p21auth/lib/libp21auth.so
    check "it does not hold the tool" test ! -e "$package/tools"
    cp examples/csharp/ODataQuery.cs "$work/source/"
    dotnet() { clean DOTNET_CLI_TELEMETRY_OPTOUT=1 "$tools/dotnet/dotnet" "$@"; }

    # A published program: everything beside it.
    published() { # NAME FRAMEWORK COMPILER-OPTIONS…: compiles against the package and lays it out
        local app=$work/$1 framework=$2 ending=dll
        shift 2
        [ "$framework" != net462 ] || ending=exe
        mkdir -p "$app/${native%/*}"
        cp "$package/lib/$framework/LibP21Auth.dll" "$app/"
        cp "$package/$native" "$app/${native%/*}/"
        csc "$@" -target:exe "-r:$app/LibP21Auth.dll" "-out:$app/ODataQuery.$ending" "$work/source/ODataQuery.cs"
        cp "$tools/nunit/runner.runtimeconfig.json" "$app/ODataQuery.runtimeconfig.json"
    }
    mapfile -t framework < <(framework 4.7.2 mscorlib System System.Core System.Net.Http Facades/System.Runtime Facades/netstandard)
    check ".NET 8: ODataQuery.cs compiles against lib/net8.0" published net8 net8.0 -langversion:latest
    check ".NET 8, published: it reads customers with a token" says " customers" dotnet net8/ODataQuery.dll
    check ".NET Standard 2.0: it compiles against lib/netstandard2.0" published netstandard netstandard2.0 -langversion:latest
    check ".NET Standard 2.0, published, on .NET 8: it reads customers" says " customers" dotnet netstandard/ODataQuery.dll
    check ".NET Framework: it compiles against lib/net462" published net462 net462 -langversion:7.3 -nostdlib "${framework[@]}"
    # Mono's own HTTP client cannot build a chain of elliptic-curve certificates, so here the certificate is pinned.
    check ".NET Framework, on Mono: it reads customers" says " customers" \
        clean env -u P21_CA_FILE P21_TLS_PIN_SHA256="$(hello tls_pin_sha256)" mono net462/ODataQuery.exe

    # Code that declares JObject, by the second package alone.
    mkdir "$work/jobject" "$work/packages/newtonsoft"
    python3 -m zipfile -e "dist/LibP21Auth.Newtonsoft.$version.nupkg" "$work/packages/newtonsoft"
    cp "$package/lib/net8.0/LibP21Auth.dll" "$work/packages/newtonsoft/lib/net8.0/LibP21Auth.Newtonsoft.dll" "$newtonsoft" "$work/jobject/"
    mkdir -p "$work/jobject/${native%/*}"
    cp "$package/$native" "$work/jobject/${native%/*}/"
    cat >"$work/source/JObjects.cs" <<END
using LibP21Auth.Newtonsoft;
using Newtonsoft.Json.Linq;
public static class Program
{
    public static void Main()
    {
        JObject data = P21Auth.RequestTokenAsync(P21Options.FromEnvironment()).Result;
        System.Console.WriteLine("a token of " + ((string)data["AccessToken"]).Length + " characters");
    }
}
END
    jobjects() {
        csc -langversion:latest -target:exe "-r:$work/jobject/LibP21Auth.dll" "-r:$work/jobject/LibP21Auth.Newtonsoft.dll" \
            "-r:$work/jobject/Newtonsoft.Json.dll" "-out:$work/jobject/JObjects.dll" "$work/source/JObjects.cs"
        cp "$tools/nunit/runner.runtimeconfig.json" "$work/jobject/JObjects.runtimeconfig.json"
    }
    check ".NET 8: code with JObject compiles against LibP21Auth.Newtonsoft" jobjects
    check ".NET 8: it gets a token" says "a token of " dotnet jobject/JObjects.dll

    # A program under development: .NET finds the package in NuGet's cache, by what is written beside the program.
    mkdir "$work/develop"
    cp "$work"/net8/ODataQuery.{dll,runtimeconfig.json} "$work/develop/"
    cat >"$work/develop/ODataQuery.deps.json" <<END
{
  "runtimeTarget": { "name": ".NETCoreApp,Version=v8.0" },
  "targets": {
    ".NETCoreApp,Version=v8.0": {
      "ODataQuery/1.0.0": { "dependencies": { "LibP21Auth": "$version" }, "runtime": { "ODataQuery.dll": {} } },
      "LibP21Auth/$version": {
        "runtime": { "lib/net8.0/LibP21Auth.dll": {} },
        "runtimeTargets": { "$native": { "rid": "$rid", "assetType": "native" } }
      }
    }
  },
  "libraries": {
    "ODataQuery/1.0.0": { "type": "project", "serviceable": false, "sha512": "" },
    "LibP21Auth/$version": { "type": "package", "serviceable": true, "sha512": "", "path": "libp21auth/$version" }
  }
}
END
    check ".NET 8, from NuGet's cache: it reads customers" says " customers" \
        dotnet exec --additionalprobingpath packages develop/ODataQuery.dll

    if [ -f "$package/runtimes/win-x64/native/p21auth.dll" ]; then
        check "the package holds p21auth.dll" cmp "$package/runtimes/win-x64/native/p21auth.dll" "$project/target/windows/x86_64/p21auth.dll"
        mkdir "$work/project"
        cat >"$work/project/Program.cs" <<END
using LibP21Auth;
public static class Program
{
    public static void Main() { System.Console.WriteLine("a token of " + P21Auth.Default.GetToken().Length + " characters"); }
}
END
        cat >"$work/project/Program.csproj" <<END
<Project DefaultTargets="Build" xmlns="http://schemas.microsoft.com/developer/msbuild/2003">
  <PropertyGroup>
    <OutputType>Exe</OutputType>
    <AssemblyName>Program</AssemblyName>
    <TargetFrameworkVersion>v4.7.1</TargetFrameworkVersion>
    <OutputPath>bin/</OutputPath>
  </PropertyGroup>
  <ItemGroup>
    <Compile Include="Program.cs" />
    <Reference Include="LibP21Auth"><HintPath>$package/lib/net462/LibP21Auth.dll</HintPath></Reference>
  </ItemGroup>
  <Import Project="\$(MSBuildToolsPath)/Microsoft.CSharp.targets" />
  <Import Project="$package/build/net462/LibP21Auth.targets" />
</Project>
END
        check ".NET Framework, built with the package's targets" clean xbuild /nologo /verbosity:minimal project/Program.csproj
        check "what was built gets a token" says "a token of " \
            clean P21AUTH_LIBRARY="$package/$native" mono project/bin/Program.exe
        for library in "$package"/runtimes/win-*/native/p21auth.dll; do
            place=${library#"$package"/}
            check "the build has put $place beside the program" cmp "project/bin/$place" "$library"
        done
    else
        not_tested "Windows in the NuGet package: tools/windows/build.sh had not built the library"
    fi
    not_tested "the NuGet package with NuGet and on Windows, which are not here"
else
    not_tested "the NuGet package: its compiler and runtime cannot be fetched"
fi
