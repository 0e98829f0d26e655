#!/usr/bin/env bash
# Makes the release in dist/: tarballs for C and C++ and their debug information, Debian and RPM packages, the Python wheels, the NuGet
# package, a list of the components of each, and SHA256SUMS over all of it.
#
# It is for this machine, or for the TARGETS that are named; tools/dist/stage.sh says which can be built. What tools/windows/build.sh
# left in target/windows goes into zip files, wheels and the package for Windows; without it the release is for Linux alone. Takes
# 15 minutes the first time, one or two after a change.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tools/dist/common.sh
. tools/dist/common.sh
read -ra targets <<<"${TARGETS:-$host}"

mkdir -p "$dist"
rm -rf dist "$dist"/{stage,debug,components,licenses,windows,times}
# How long each step takes, if nothing was built before: tests/tools/dist.sh and platforms.sh make a table of it.
export P21AUTH_TIMES=$PWD/$dist/times
for target in "${targets[@]}"; do
    [ ! -d "$dist/build-lib/$target" ] || unset P21AUTH_TIMES
done
for target in "${targets[@]}"; do
    tools/dist/stage.sh "$target"
done
date_files
mkdir dist

tarball() { # FOLDER
    tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner -C "${1%/*}" -c "${1##*/}" |
        gzip -9n >"dist/${1##*/}.tar.gz"
}
# The licenses of everything, of us and of what is linked, for a system.
licenses() { # FOLDER
    mkdir -p "$1"
    cp LICENSE-MIT LICENSE-APACHE "$1/"
}
step "the tarballs"
for target in "${targets[@]}"; do
    stage=$(staged "$target")
    tarball "$stage"
    tarball "$dist/debug/${stage##*/}-debug"
    licenses "$dist/licenses/$target"
    for file in THIRD-PARTY-NOTICES.md RUST-STANDARD-LIBRARY.html ZIG-LICENSE; do
        [ ! -f "$stage/share/doc/libp21auth/$file" ] || cp "$stage/share/doc/libp21auth/$file" "$dist/licenses/$target/"
    done
done
stage=$(staged "$host")
if [ -n "$stage" ]; then
    step "Debian and RPM packages (3 minutes)"
    P21AUTH_TIMES='' P21AUTH_STAGE=$stage tools/dist/deb.sh dist
    P21AUTH_TIMES='' P21AUTH_STAGE=$stage tools/dist/rpm.sh dist
fi

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
    components "$dist/components/$arch-windows" "$arch-pc-windows-gnu"
    common_files "$folder"
    mkdir "$folder/bin"
    cp "$built"/p21auth.{dll,exe} "$folder/bin/"
    cp "$built"/{p21auth.lib,libp21auth.dll.a,p21auth.def} "$folder/lib/"
    cp "$dist"/licenses/windows/* "$folder/share/doc/libp21auth/"
    printf 'libp21auth %s for Windows, %s\ncommit: %s\n' "$version" "$arch" "$(commit)" >"$folder/share/doc/libp21auth/BUILD"
    sums "$folder"
    python3 tools/dist/archive.py "dist/${folder##*/}.zip" "$folder"
    mkdir -p "$folder-debug/bin"
    cp "$built"/debug/* "$folder-debug/bin/"
    python3 tools/dist/archive.py "dist/${folder##*/}-debug.zip" "$folder-debug"
done

wheel() { # PLATFORM LIBRARY TOOL LICENSES
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
for target in "${targets[@]}"; do
    stage=$(staged "$target")
    case ${stage##*/} in
        *-glibc*) platform=linux_${target%%-*} ;;
        *-musl) platform=musllinux_1_2_${target%%-*} ;;
        *) platform=manylinux2014_${target%%-*} ;;
    esac
    wheel "$platform" "$PWD/$stage/lib/libp21auth.so" "$PWD/$stage/bin/p21auth" "$PWD/$dist/licenses/$target"
done
for arch in "${windows[@]}"; do
    case $arch in x86_64) platform=win_amd64 ;; *) platform=win32 ;; esac
    wheel "$platform" "$PWD/target/windows/$arch"/p21auth.{dll,exe} "$PWD/$dist/licenses/windows"
done

step "the NuGet package"
rid() { # TARGET
    case ${1%%-*} in x86_64) set -- "$1" x64 ;; aarch64) set -- "$1" arm64 ;; *) set -- "$1" "${1%%-*}" ;; esac
    case $1 in *-musl) echo "linux-musl-$2" ;; *) echo "linux-$2" ;; esac
}
# In a shell of its own, for the names in the compiler's script.
compiled=0
bash -euo pipefail -c '. bindings/csharp/tools/compile.sh; prepare || exit 75; compile_package' || compiled=$?
if [ "$compiled" = 0 ]; then
    natives=()
    for target in "${targets[@]}"; do
        natives+=(--native "$(rid "$target")=$(staged "$target")/lib/libp21auth.so")
    done
    for arch in "${windows[@]}"; do
        case $arch in x86_64) rid=win-x64 ;; *) rid=win-x86 ;; esac
        natives+=(--native "$rid=target/windows/$arch/p21auth.dll")
    done
    licenses "$dist/licenses/nuget"
    for folder in "${targets[@]}" ${windows[0]:+windows}; do
        for file in "$dist/licenses/$folder"/*; do
            name=${file##*/}
            case $name in LICENSE-*) ;; *) cp "$file" "$dist/licenses/nuget/$folder-$name" ;; esac
        done
    done
    python3 tools/dist/nupkg.py --out dist --assemblies target/csharp --licenses "$dist/licenses/nuget" "${natives[@]}"
elif [ "$compiled" = 75 ]; then
    loud "WITHOUT NUGET: the C# compiler cannot be installed"
else
    fail "the assemblies cannot be compiled"
fi

step "the components of each file"
# The lists of what is linked into it.
linked_into() { # FILE
    local name=${1##*/} lists=$dist/components kind
    case $name in
        *.Newtonsoft.*) ;;
        *.nupkg) echo "$lists"/*/library.json ;;
        libp21auth*.deb | libp21auth*.rpm) echo "$lists/$host/library.json" ;;
        *.deb | *.rpm) echo "$lists/$host/tool.json" ;;
        *.whl | *.zip | *.tar.gz)
            case $name in
                *-win_amd64.whl) kind=x86_64-windows ;;
                *-win32.whl) kind=i686-windows ;;
                *-musllinux_*_x86_64.whl) kind=x86_64-unknown-linux-musl ;;
                *-*linux*_aarch64.whl) kind=aarch64-unknown-linux-gnu ;;
                *.whl) kind=$host ;;
                *) kind=${name#"libp21auth-$version-"} && kind=${kind%-glibc*} && kind=${kind%.tar.gz} && kind=${kind%.zip} ;;
            esac
            echo "$lists/$kind"/{library,tool}.json
            ;;
    esac
}
for file in dist/*; do
    case $file in *-debug.* | *.snupkg) continue ;; esac
    read -ra lists < <(linked_into "$file"; echo)
    python3 tools/dist/sbom.py "$file" "${lists[@]}"
done

(cd dist && sha256sum -- * >SHA256SUMS)
sign dist
step "made, with their checksums in dist/SHA256SUMS:"
ls -l dist
