#!/usr/bin/env bash
# Makes the release in dist/: the tarball for C and C++, the Python wheels, the NuGet package, and SHA256SUMS over them.
#
# What tools/windows/build.sh left in target/windows goes into the wheel and the package for Windows; without it they are
# for Linux alone. Takes 15 minutes the first time, one or two after a change.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tools/dist/common.sh
. tools/dist/common.sh

tools/dist/stage.sh
# After the builds: they look at it too, and a new one would make them begin anew.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 315532800)}
export SOURCE_DATE_EPOCH
stage=$(echo "$dist"/stage/*)
name=$(basename "$stage")
doc=$stage/share/doc/libp21auth
rm -rf dist
mkdir dist
step "the tarball"
tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner -C "$dist/stage" -c "$name" |
    gzip -9n >"dist/$name.tar.gz"

# The licences of everything, of us and of what is linked, for a system.
licenses() { # FOLDER
    rm -rf "$1"
    mkdir -p "$1"
    cp LICENSE-MIT LICENSE-APACHE "$1/"
}
licenses "$dist/licenses/linux"
cp "$doc"/{THIRD-PARTY-NOTICES.md,RUST-STANDARD-LIBRARY.html} "$dist/licenses/linux/"
[ ! -f "$doc/ZIG-LICENSE" ] || cp "$doc/ZIG-LICENSE" "$dist/licenses/linux/"

windows=target/windows/x86_64
if [ -f "$windows/p21auth.dll" ] && [ -f "$windows/p21auth.exe" ]; then
    newer=$(find src build.rs Cargo.toml Cargo.lock -type f -newer "$windows/p21auth.dll" -print -quit)
    [ -z "$newer" ] || loud "$windows is older than $newer: tools/windows/build.sh builds it anew"
    licenses "$dist/licenses/windows"
    "${CARGO:-cargo}" run --quiet --locked --features cli --example notices -- "$dist/licenses/windows" x86_64-pc-windows-gnu
else
    windows=
    loud "WITHOUT WINDOWS: tools/windows/build.sh has not built target/windows; the packages are for Linux alone"
fi

wheel() { # PLATFORM LIBRARY TOOL LICENCES
    P21AUTH_BUILD_PLATFORM=$1 P21AUTH_BUILD_LIBRARY=$2 P21AUTH_BUILD_CLI=$3 P21AUTH_BUILD_LICENSES=$4 \
        "$wheels/bin/python" -m pip wheel -q --disable-pip-version-check --no-deps --no-build-isolation -w dist bindings/python
}
step "the Python wheels"
wheels=$venv
if [ ! -f "$wheels/made-of" ]; then
    # Where zig can't be installed hatchling may still be there.
    wheels=$dist/venv-without-zig
    python3 -m venv "$wheels"
    "$wheels/bin/python" -m pip install -q --disable-pip-version-check "$(grep ^hatchling tools/dist/requirements.txt)"
fi
case $name in
    *-glibc*) platform=linux_$machine ;;
    *) platform=manylinux2014_$machine ;;
esac
wheel "$platform" "$PWD/$stage/lib/libp21auth.so" "$PWD/$stage/bin/p21auth" "$PWD/$dist/licenses/linux"
[ -z "$windows" ] || wheel win_amd64 "$PWD/$windows/p21auth.dll" "$PWD/$windows/p21auth.exe" "$PWD/$dist/licenses/windows"

step "the NuGet package"
case $machine in x86_64) rid=linux-x64 ;; aarch64) rid=linux-arm64 ;; *) rid=linux-$machine ;; esac
# In a shell of its own, for the names in the compiler's script.
compiled=0
bash -euo pipefail -c '. bindings/csharp/tools/compile.sh; prepare || exit 75; compile_package' || compiled=$?
if [ "$compiled" = 0 ]; then
    parts=(--native "$rid=$stage/lib/libp21auth.so" --tool "$rid=$stage/bin/p21auth")
    licenses "$dist/licenses/nuget"
    for system in linux ${windows:+windows}; do
        for file in "$dist/licenses/$system"/*; do
            case $file in */LICENSE-*) ;; *) cp "$file" "$dist/licenses/nuget/$system-$(basename "$file")" ;; esac
        done
    done
    if [ -n "$windows" ]; then
        parts+=(--native "win-x64=$windows/p21auth.dll" --tool "win-x64=$windows/p21auth.exe")
        if [ -f target/windows/i686/p21auth.dll ]; then
            parts+=(--native win-x86=target/windows/i686/p21auth.dll)
        else
            loud "WITHOUT 32-BIT WINDOWS: there is no target/windows/i686/p21auth.dll"
        fi
    fi
    python3 tools/dist/nupkg.py --out dist --assemblies target/csharp --licenses "$dist/licenses/nuget" "${parts[@]}"
elif [ "$compiled" = 75 ]; then
    loud "WITHOUT NUGET: the C# compiler cannot be installed"
else
    fail "the assemblies cannot be compiled"
fi
(cd dist && sha256sum -- * >SHA256SUMS)
step "made, with their checksums in dist/SHA256SUMS:"
ls -l dist
