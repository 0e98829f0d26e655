#!/usr/bin/env bash
# Makes the release in dist/: the tarball for C and C++, Debian and RPM packages, the Python wheels, the NuGet package, and SHA256SUMS over them.
#
# What tools/windows/build.sh left in target/windows goes into zip files, wheels and the package for Windows; without it
# the release is for Linux alone. Takes 15 minutes the first time, one or two after a change.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tools/dist/common.sh
. tools/dist/common.sh

tools/dist/stage.sh
# After the builds: they look at it too, and a new one would make them begin again.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 315532800)}
export SOURCE_DATE_EPOCH
stage=$(echo "$dist"/stage/*)
name=$(basename "$stage")
doc=$stage/share/doc/libp21auth
rm -rf dist "$dist/licenses" "$dist/windows"
mkdir dist
step "the tarball"
tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner -C "$dist/stage" -c "$name" |
    gzip -9n >"dist/$name.tar.gz"

step "Debian and RPM packages (3 minutes)"
P21AUTH_STAGE=$stage tools/dist/deb.sh dist
P21AUTH_STAGE=$stage tools/dist/rpm.sh dist

# The licenses of everything, of us and of what is linked, for a system.
licenses() { # FOLDER
    mkdir -p "$1"
    cp LICENSE-MIT LICENSE-APACHE "$1/"
}
licenses "$dist/licenses/linux"
cp "$doc"/{THIRD-PARTY-NOTICES.md,RUST-STANDARD-LIBRARY.html} "$dist/licenses/linux/"
[ ! -f "$doc/ZIG-LICENSE" ] || cp "$doc/ZIG-LICENSE" "$dist/licenses/linux/"

# Those of the two kinds of Windows that are built.
windows=()
for arch in x86_64 i686; do
    built=target/windows/$arch
    if [ -f "$built/p21auth.dll" ] && [ -f "$built/p21auth.exe" ]; then
        windows+=("$arch")
        newer=$(find src cli emulator build.rs Cargo.toml Cargo.lock -type f -newer "$built/p21auth.dll" -print -quit)
        [ -z "$newer" ] || loud "$built is older than $newer: tools/windows/build.sh builds it again"
    else
        loud "WITHOUT WINDOWS $arch: tools/windows/build.sh has not built $built"
    fi
done
if [ ${#windows[@]} != 0 ]; then
    step "C and C++ on Windows"
    licenses "$dist/licenses/windows"
    notices "$dist/licenses/windows" x86_64-pc-windows-gnu
fi
for arch in "${windows[@]}"; do
    built=target/windows/$arch
    folder=$dist/windows/libp21auth-$version-$arch-windows
    common_files "$folder"
    mkdir "$folder/bin"
    cp "$built"/p21auth.{dll,exe} "$folder/bin/"
    cp "$built"/{p21auth.lib,libp21auth.dll.a,p21auth.def} "$folder/lib/"
    cp "$dist"/licenses/windows/* "$folder/share/doc/libp21auth/"
    printf 'libp21auth %s for Windows, %s\ncommit: %s\n' "$version" "$arch" "$(commit)" >"$folder/share/doc/libp21auth/BUILD"
    sums "$folder"
    python3 tools/dist/archive.py "dist/$(basename "$folder").zip" "$folder"
done

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
for arch in "${windows[@]}"; do
    case $arch in x86_64) platform=win_amd64 ;; *) platform=win32 ;; esac
    wheel "$platform" "$PWD/target/windows/$arch"/p21auth.{dll,exe} "$PWD/$dist/licenses/windows"
done

step "the NuGet package"
case $machine in x86_64) rid=linux-x64 ;; aarch64) rid=linux-arm64 ;; *) rid=linux-$machine ;; esac
# In a shell of its own, for the names in the compiler's script.
compiled=0
bash -euo pipefail -c '. bindings/csharp/tools/compile.sh; prepare || exit 75; compile_package' || compiled=$?
if [ "$compiled" = 0 ]; then
    parts=(--native "$rid=$stage/lib/libp21auth.so")
    licenses "$dist/licenses/nuget"
    for file in "$dist"/licenses/{linux,windows}/*; do
        case $file in */LICENSE-* | *'*') ;; *) cp "$file" "$dist/licenses/nuget/$(basename "${file%/*}")-$(basename "$file")" ;; esac
    done
    for arch in "${windows[@]}"; do
        case $arch in x86_64) rid=win-x64 ;; *) rid=win-x86 ;; esac
        parts+=(--native "$rid=target/windows/$arch/p21auth.dll")
    done
    python3 tools/dist/nupkg.py --out dist --assemblies target/csharp --licenses "$dist/licenses/nuget" "${parts[@]}"
elif [ "$compiled" = 75 ]; then
    loud "WITHOUT NUGET: the C# compiler cannot be installed"
else
    fail "the assemblies cannot be compiled"
fi
(cd dist && sha256sum -- * >SHA256SUMS)
sign dist
step "made, with their checksums in dist/SHA256SUMS:"
ls -l dist
