#!/bin/bash
# The tests of the .NET package: on .NET 8, and on Mono in the place of .NET Framework. Installs what is missing.
# Usage: bindings/csharp/test.sh [pattern of test names]
# P21AUTH_PREBUILT=DIR: tests libp21auth.so and p21auth from there (or from its lib and bin) instead of building them; cargo is not needed.
# The first run takes up to three minutes more, for the toolchain (kept in target/dotnet) and the library.
set -euo pipefail
. "$(dirname "$0")/tools/compile.sh"
cd "$root"
prepare || exit 0
if [ -n "${P21AUTH_PREBUILT:-}" ]; then
    native=$(realpath "$P21AUTH_PREBUILT")
    library=$native/libp21auth.so tool=$native/p21auth
    [ -f "$library" ] || library=$native/lib/libp21auth.so tool=$native/bin/p21auth
    for file in "$library" "$tool"; do
        [ -f "$file" ] || { echo "P21AUTH_PREBUILT: there is no $file" >&2; exit 1; }
    done
    echo "   testing $library and $tool as they are"
else
    echo "   building the library and the emulator"
    cargo build --quiet --workspace
    library=$root/target/debug/libp21auth.so tool=$root/target/debug/p21auth
fi
echo "   compiling (half a minute)"
compile_package

tests=$out/tests
rm -rf "$tests"
mkdir -p "$tests/net" "$tests/mono" "$tests/readme"
sdk=("$tools"/sdk/*.dll)
cp "$out"/net8.0/* "$tools"/packages/* "${sdk[@]}" "$tools/nunit/nunit.framework.dll" "$tests/net"
cp "$out"/net462/* "$newtonsoft_mono" "$tools/nunit/nunit.framework.dll" "$tools/nunit/runner-mono.exe" "$tests/mono"
mkdir "$tests/net/netstandard2.0"
cp "$out"/netstandard2.0/LibP21Auth.dll "$tests/net/netstandard2.0"
together
csc "${net[@]}" -warnaserror -target:library "-r:$tools/nunit/nunit.framework.dll" "${sdk[@]/#/-r:}" "-out:$tests/net/LibP21Auth.Tests.dll" \
    "$csharp"/tests/LibP21Auth.Tests/*.cs "$csharp"/tests/Projects/*.cs
csc "${mono[@]}" -warnaserror -target:library "-r:$tools/nunit/nunit.framework.dll" "-out:$tests/mono/LibP21Auth.Tests.dll" "$csharp"/tests/LibP21Auth.Tests/*.cs
net_program probe "$tests/net" "$csharp/tests/Probe/Probe.cs"
mono_program probe "$tests/mono" "$csharp/tests/Probe/Probe.cs"
service=("$csharp"/tests/Service/*.cs "$csharp/tests/LibP21Auth.Tests/Emulator.cs" examples/csharp/ServiceLoop.cs)
net_program service "$tests/net" -main:ServiceMinute "${service[@]}"
mono_program service "$tests/mono" -main:ServiceMinute "${service[@]}"
for example in examples/csharp/*.cs; do
    name=$(basename "$example" .cs)
    net_program "$name" "$tests/net" "$example"
    mono_program "$name" "$tests/mono" "$example"
done
# Every C# example of the users' pages must compile.
python3 "$csharp/tools/readme_examples.py" "$tests/readme" "$csharp/README.md" README.md docs/*.md
for example in "$tests"/readme/*.cs; do
    csc "${net[@]}" -target:exe "-out:$tests/readme/$(basename "$example" .cs).dll" "$example"
done
net_program testing-your-code "$tests/net" "$tests/readme/docs-testing-your-code-1.cs"
compile_all

export P21AUTH_ROOT=$root P21AUTH_CLI=$tool P21AUTH_LIBRARY=$library
dotnet=$tools/dotnet/dotnet
failed=0
# Runs a program of tests and shows its last line; all of it, if it fails.
run() {
    local log="$tests/$1.log"
    if "${@:2}" >"$log" 2>&1 </dev/null; then
        grep -E '^(Skipped|[0-9]+ passed)' "$log" | sed "s/^/   $1: /"
    else
        echo "   $1: FAILED"
        grep -v '^Passed' "$log"
        return 1
    fi
}
if [ $# = 0 ]; then
    echo "   a minute in the life of a service, in the background"
    run "Service on .NET 8" "$dotnet" "$tests/net/service.dll" &
    minute_net=$!
    run "Service on Mono" mono "$tests/mono/service.exe" &
    minute_mono=$!
fi
echo "   running on .NET 8, then on Mono (under a minute each)"
run ".NET 8" "$dotnet" "$tools/nunit/runner.dll" "$tests/net/LibP21Auth.Tests.dll" "$@" || failed=1
run "Mono" mono "$tests/mono/runner-mono.exe" "$tests/mono/LibP21Auth.Tests.dll" "$@" || failed=1
if [ $# = 0 ]; then
    # The page's test runs as it stands there.
    "$dotnet" "$tests/net/testing-your-code.dll" || failed=1
    wait "$minute_net" || failed=1
    wait "$minute_mono" || failed=1
fi
exit $failed
