#!/usr/bin/env bash
# The debug library, installed in several layouts and then moved away: pkg-config and CMake find it, shared and static. A minute.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tools/dist/common.sh
. tools/dist/common.sh
"${CARGO:-cargo}" build --quiet --workspace

# A blank in every path.
work=$(mktemp -d)/"with blank"
trap 'rm -rf "${work%/*}"' EXIT
mkdir "$work"
binaries "$work/stage" target/debug/libp21auth.so target/debug/libp21auth.a target/debug/p21auth
common_files "$work/stage"
cat >"$work/program.c" <<'END'
#include <p21auth.h>
#include <stdio.h>
int main(void) { puts(p21_version()); return 0; }
END
cat >"$work/CMakeLists.txt" <<'END'
cmake_minimum_required(VERSION 3.10)
project(consumer C)
find_package(p21auth CONFIG REQUIRED)
foreach(way p21auth p21auth_static)
    add_executable(${way} program.c)
    target_link_libraries(${way} PRIVATE p21auth::${way})
endforeach()
END

# Runs a program that must tell the version, and load the library from the folder or not at all.
runs() { # PROGRAM FOLDER|""
    local said loaded
    said=$(LD_LIBRARY_PATH=$2 "$1")
    [ "$said" = "$version" ] || fail "$1 says '$said'"
    loaded=$(LD_LIBRARY_PATH=$2 ldd "$1" | sed -n "s/.*libp21auth.so.$abi => \(.*\) (0x.*/\1/p")
    [ -z "$2" ] || loaded=$(realpath "${loaded%/*}")
    [ "$loaded" = "${2:+$(realpath "$2")}" ] || fail "$1 loads '$loaded', not what is in '$2'"
}

try() { # PREFIX LIBDIR INCLUDEDIR [WHERE LIBDIR IS REACHED, IN THE MOVED TREE]
    local tree=$work/moved libdir way package
    rm -rf "$tree" "$work/root" "$work/build"
    P21AUTH_STAGE=$work/stage make --no-print-directory install PREFIX="$1" LIBDIR="$2" INCLUDEDIR="$3" DESTDIR="$work/root" >/dev/null
    mv "$work/root" "$tree"
    case $2 in /*) libdir=$tree$2 ;; *) libdir=$tree$1/$2 ;; esac
    if [ $# = 4 ]; then
        ln -s "${1#/}/${2%%/*}" "$tree/${2%%/*}"
        libdir=$tree$4
    fi
    for package in p21auth p21auth-static; do
        way=$libdir
        [ $package = p21auth ] || way=
        # pkg-config writes a backslash before a blank.
        eval "cc -Wall -Werror -pthread -o '$work/program' '$work/program.c' $(PKG_CONFIG_PATH=$libdir/pkgconfig pkg-config --cflags --libs $package)"
        runs "$work/program" "$way"
    done
    cmake -S "$work" -B "$work/build" -Dp21auth_DIR="$libdir/cmake/p21auth" >"$work/log" && cmake --build "$work/build" >>"$work/log" ||
        fail "$(cat "$work/log")"
    runs "$work/build/p21auth" "$libdir"
    runs "$work/build/p21auth_static" ""
    echo "   PREFIX=$1 LIBDIR=$2 INCLUDEDIR=$3"
}
try /usr/local lib include
try /opt/p21auth lib64 include/p21auth-1
try /srv/p21auth /srv/libraries /srv/headers
try "/opt/two words" lib "include & more"
# Reached through /lib, which is a link to /usr/lib.
try /usr lib/x86_64-linux-gnu include /lib/x86_64-linux-gnu

# As the vcpkg port lays it out: the file for CMake is as it is here, and looks for the headers itself.
mkdir -p "$work/vcpkg/share/p21auth"
cp -R "$work/stage/include" "$work/stage/lib" "$work/vcpkg/"
cp packaging/p21auth-config.cmake "$work/vcpkg/share/p21auth/"
cmake -S "$work" -B "$work/build-vcpkg" -Dp21auth_DIR="$work/vcpkg/share/p21auth" >"$work/log" && cmake --build "$work/build-vcpkg" >>"$work/log" ||
    fail "$(cat "$work/log")"
runs "$work/build-vcpkg/p21auth" "$work/vcpkg/lib"
runs "$work/build-vcpkg/p21auth_static" ""
