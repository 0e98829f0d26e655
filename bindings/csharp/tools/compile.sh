# Sourced by the scripts beside it: compiles the package and what uses it, for .NET 8 and for .NET Framework.
# After `prepare`: $out is where everything lies, $net and $mono hold the options for users of the package.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
csharp=$root/bindings/csharp
tools=$root/target/dotnet
out=$root/target/csharp
# Newtonsoft.Json: version 13 for .NET 8, Debian's for Mono.
newtonsoft=$tools/packages/Newtonsoft.Json.dll
newtonsoft_mono=/usr/lib/cli/Newtonsoft.Json-5.0/Newtonsoft.Json.dll

# Installs what is missing; with net8.0, what .NET 8 alone needs. False, with one loud line, where that cannot be done.
prepare() { # [net8.0]
    local packages=()
    if [ "${1:-}" != net8.0 ]; then
        command -v mono >/dev/null || packages+=(mono-complete)
        [ -f "$newtonsoft_mono" ] || packages+=(libnewtonsoft-json5.0-cil)
    fi
    if [ ${#packages[@]} -gt 0 ]; then
        echo "   installing ${packages[*]} (up to a minute)"
        if ! { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${packages[@]}"; } >/dev/null </dev/null; then
            "$root/tools/not-tested.sh" "C#: ${packages[*]} cannot be installed"
            return 1
        fi
    fi
    if ! "$csharp/tools/setup.sh" "$tools" </dev/null; then
        "$root/tools/not-tested.sh" "C#: the compiler, runtime or test framework cannot be fetched; see bindings/csharp/tools/setup.sh"
        return 1
    fi
    export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1
    mkdir -p "$out/net8.0" "$out/net462"
}

# CS1701: NUnit and Debian's Newtonsoft.Json were built against older versions of what they refer to.
# Between `together` and `compile_all` compilations are only noted down, and then done in one process, which is several times faster.
csc() {
    local options=(-nologo -nowarn:CS1701 -debug:portable -deterministic "$@")
    if [ -n "${batch:-}" ]; then
        printf '%s\n' "${options[@]}" "" >>"$batch"
    else
        "$tools/dotnet/dotnet" "$tools/roslyn/csc.dll" "${options[@]}"
    fi
}
together() { batch=$out/batch && : >"$batch"; }
compile_all() {
    local file=$batch
    batch=
    "$tools/dotnet/dotnet" "$tools/roslyn/csc.dll" "-batch:$file"
}

# References to an API version of .NET Framework: framework 4.6.2 mscorlib System …
framework() {
    local version=$1 name
    shift
    for name in "$@"; do echo "-r:/usr/lib/mono/$version-api/$name.dll"; done
}

# What an SDK writes into each assembly: its names and versions, from the one place where they stand.
assembly_info() { # NAME
    local version
    version=$(sed -n 's:.*<Version>\(.*\)</Version>.*:\1:p' "$csharp/Directory.Build.props")
    cat <<END
using System.Reflection;
[assembly: AssemblyTitle("$1")]
[assembly: AssemblyProduct("libp21auth")]
[assembly: AssemblyVersion("${version%.*}.0.0")]
[assembly: AssemblyFileVersion("$version.0")]
[assembly: AssemblyInformationalVersion("$version")]
END
}

# The assemblies of the package, in one process, with documentation and every warning an error; with net8.0, for .NET 8 alone.
compile_package() { # [net8.0]
    local library=(-target:library -langversion:9 -nullable:enable -unsafe -optimize+ -warnaserror -define:TRACE "-pathmap:$root=/_" "-keyfile:$csharp/LibP21Auth.snk")
    local core=NETCOREAPP,NET5_0_OR_GREATER,NET6_0_OR_GREATER,NET7_0_OR_GREATER,NET8_0,NET8_0_OR_GREATER
    local base=()
    [ "${1:-}" = net8.0 ] || base=(-nostdlib $(framework 4.6.2 mscorlib System System.Core System.Net.Http System.Net.Http.WebRequest Facades/System.Runtime))
    local name reference=() reference_mono=()
    together
    for name in LibP21Auth LibP21Auth.Newtonsoft; do
        mapfile -t sources < <(find "$csharp/src/$name" -name '*.cs' -not -path '*/obj/*' | LC_ALL=C sort)
        assembly_info "$name" >"$out/$name.AssemblyInfo.cs"
        sources+=("$out/$name.AssemblyInfo.cs")
        csc "${library[@]}" -define:$core "${reference[@]}" "-doc:$out/net8.0/$name.xml" "-out:$out/net8.0/$name.dll" "${sources[@]}"
        [ ${#base[@]} = 0 ] ||
            csc "${library[@]}" -define:NETFRAMEWORK,NET462 "${base[@]}" "${reference_mono[@]}" "-doc:$out/net462/$name.xml" "-out:$out/net462/$name.dll" "${sources[@]}"
        reference=("-r:$out/net8.0/LibP21Auth.dll" "-r:$newtonsoft")
        reference_mono=("-r:$out/net462/LibP21Auth.dll" "-r:$newtonsoft_mono")
    done
    net=(-langversion:12 -define:NET,NET8_0_OR_GREATER "-r:$out/net8.0/LibP21Auth.dll" "-r:$out/net8.0/LibP21Auth.Newtonsoft.dll" "-r:$newtonsoft"
        "-r:$tools/packages/Microsoft.Extensions.DependencyInjection.Abstractions.dll" "-r:$tools/packages/Microsoft.Extensions.Logging.Abstractions.dll")
    if [ ${#base[@]} = 0 ]; then
        compile_all
        return
    fi
    # The reference assemblies of netstandard2.0 are not to be had here; its own code is compiled against newer ones.
    mapfile -t sources < <(find "$csharp/src/LibP21Auth" -name '*.cs' -not -path '*/obj/*' | LC_ALL=C sort)
    sources+=("$out/LibP21Auth.AssemblyInfo.cs")
    mkdir -p "$out/netstandard2.0"
    csc "${library[@]}" -define:NETSTANDARD2_0 -nostdlib $(framework 4.7.2 mscorlib System System.Core System.Net.Http Facades/System.Runtime Facades/netstandard Facades/System.Runtime.InteropServices.RuntimeInformation) \
        "-doc:$out/netstandard2.0/LibP21Auth.xml" "-out:$out/netstandard2.0/LibP21Auth.dll" "${sources[@]}"
    compile_all
    mono=(-langversion:7.3 -define:NETFRAMEWORK -nostdlib
        $(framework 4.7.2 mscorlib System System.Core System.Net.Http System.Net.Http.WebRequest System.ServiceProcess Facades/System.Runtime Facades/netstandard)
        "-r:$out/net462/LibP21Auth.dll" "-r:$out/net462/LibP21Auth.Newtonsoft.dll" "-r:$newtonsoft_mono")
}

# A program for .NET 8: program NAME FOLDER SOURCE…
net_program() {
    csc "${net[@]}" -target:exe "-out:$2/$1.dll" "${@:3}"
    cp "$tools/nunit/runner.runtimeconfig.json" "$2/$1.runtimeconfig.json"
}

mono_program() { csc "${mono[@]}" -target:exe "-out:$2/$1.exe" "${@:3}"; }
