#!/usr/bin/env bash
# Builds the library and the command line tool for Windows: build.sh [ARCH...], x86_64 and i686 if none is named. They go
# to target/windows/ARCH:
#   p21auth.dll        the library
#   p21auth.lib        its import library for MSVC
#   libp21auth.dll.a   its import library for MinGW
#   p21auth.def        its exports, for any other tool chain
#   p21auth.exe        the command line tool
#   debug/             the debug information of both
# Takes about 10 minutes for each the first time. tools/windows/setup.sh installs what it needs.
set -euo pipefail
cd "$(dirname "$0")/../.."
tools/windows/setup.sh
# shellcheck source=tools/windows/environment.sh
. tools/windows/environment.sh
# shellcheck source=tools/dist/common.sh
. tools/dist/common.sh

# An object for the linker that tells Windows which version a file is.
version_of() { # ARCH FILE TYPE
    local object=$PWD/target/windows/$2-$1.o numbers=${version%%[-+]*}
    "$1-w64-mingw32-windres" -D "FILE_TYPE=$3" -D "FILE_NAME=\\\"$2\\\"" -D "VERSION_TEXT=\\\"$version\\\"" \
        -D "VERSION_NUMBERS=${numbers//./,},0" tools/windows/version.rc "$object" >&2 &&
        echo "$object"
}

# A file that was built goes to $out, and its debug information into the folder beside it. Dates are preserved, for the linker wrote
# none into the file.
take() { # ARCH FILE
    local name=${2##*/} tool=$1-w64-mingw32
    "$tool-objcopy" --preserve-dates --only-keep-debug "$2" "$out/debug/$name.debug"
    "$tool-strip" --preserve-dates --strip-all -o "$out/$name" "$2"
    (cd "$out/debug" && "$tool-objcopy" --preserve-dates --add-gnu-debuglink="$name.debug" "../$name")
    # Not of the linker's: tools/dist/package.sh asks whether sources are newer.
    touch "$out/$name"
}

[ $# -gt 0 ] || set -- x86_64 i686
for arch in "$@"; do
    case $arch in
        x86_64) machine=i386:x86-64 ;;
        i686) machine=i386 ;;
        *)
            echo "build.sh: no such architecture: $arch" >&2
            exit 2
            ;;
    esac
    echo "== Windows $arch (up to 10 minutes the first time)"
    about_library=$(version_of "$arch" p21auth.dll VFT_DLL)
    about_tool=$(version_of "$arch" p21auth.exe VFT_APP)
    out=target/windows/$arch
    mkdir -p "$out/debug"
    build_neutrally "$arch-pc-windows-gnu" -Clink-arg=-Wl,--no-insert-timestamp
    # Alone, so that link-time optimization works.
    windows_cargo "$arch" rustc --quiet --release --lib --crate-type cdylib -- -C "link-arg=$about_library"
    take "$arch" "$CARGO_TARGET_DIR/$arch-pc-windows-gnu/release/p21auth.dll"
    {
        echo "LIBRARY p21auth.dll"
        echo "EXPORTS"
        dll_exports "$out/p21auth.dll"
    } >"$out/p21auth.def"
    llvm-dlltool -m "$machine" -d "$out/p21auth.def" -l "$out/p21auth.lib"
    "$arch-w64-mingw32-dlltool" --temp-prefix p21auth -d "$out/p21auth.def" -l "$out/libp21auth.dll.a"

    # In a folder of its own: its build makes a library too, and in one folder each would undo the other.
    windows_cargo "$arch" rustc --quiet --release --package p21auth-cli --bin p21auth --target-dir "$CARGO_TARGET_DIR-tool" \
        -- -C "link-arg=$about_tool"
    take "$arch" "$CARGO_TARGET_DIR-tool/$arch-pc-windows-gnu/release/p21auth.exe"
    ls -l "$out"
done
