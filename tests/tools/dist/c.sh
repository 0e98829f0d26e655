#!/usr/bin/env bash
# shellcheck disable=SC2154
# Sourced by tests/tools/dist.sh: programs in C and C++ by pkg-config and CMake, from the tarball and from `make install`.

# The project's own programs, taken out of it.
mkdir "$work/source"
cp tests/c/{api.c,check.h,threads.c,wrapper.cpp} examples/c/{quick_start.c,configured.c} "$work/source/"
cp examples/cpp/quick_start.cpp "$work/source/cpp_quick_start.cpp"
cat >"$work/source/CMakeLists.txt" <<'END'
cmake_minimum_required(VERSION 3.10)
project(consumer C CXX)
find_package(p21auth 0.1 CONFIG REQUIRED)
foreach(way p21auth p21auth_static)
    add_executable(cpp_${way} cpp_quick_start.cpp)
    add_executable(wrapper_${way} wrapper.cpp)
    add_executable(c_${way} quick_start.c)
    foreach(program cpp wrapper c)
        target_compile_features(${program}_${way} PRIVATE cxx_std_17)
        target_link_libraries(${program}_${way} PRIVATE p21auth::${way})
    endforeach()
endforeach()
END
sed -i "s/p21auth 0\.1 CONFIG/p21auth ${version%.*} CONFIG/" "$work/source/CMakeLists.txt"

# eval: pkg-config puts a backslash before the blank in a path.
with_pkg_config() { # PREFIX PACKAGE PROGRAM SOURCE FLAGS…
    local prefix=$1 package=$2 program=$3 source=$4
    shift 4
    local compiler=cc
    case $source in *.cpp) compiler="c++ -std=c++17" ;; esac
    # shellcheck disable=SC2086
    clean PKG_CONFIG_PATH="$prefix/lib/pkgconfig" pkg-config $package >"$work/flags"
    eval "$compiler -Wall -Wextra -Werror -pthread $* -o '$work/$program' 'source/$source' $(cat "$work/flags")"
}
loads_from() { ldd "$2" | grep -F "libp21auth.so.$abi => $1/lib/libp21auth.so.$abi"; } # PREFIX PROGRAM
loads_none() { ! ldd "$1" | grep -F libp21auth; }

with_library_path() { # FOLDER COMMAND…
    local LD_LIBRARY_PATH=$1
    export LD_LIBRARY_PATH
    shift
    "$@"
}

by_pkg_config() { # PREFIX NAME
    local prefix=$1 name=$2
    for source in quick_start.c api.c threads.c wrapper.cpp; do
        check "$name, pkg-config, shared: $source is compiled" \
            with_pkg_config "$prefix" "--cflags --libs p21auth" "shared-$source.exe" "$source"
        check "$name, pkg-config, shared: $source runs" clean LD_LIBRARY_PATH="$prefix/lib" "$work/shared-$source.exe"
        check "$name, pkg-config, p21auth-static: $source is compiled" \
            with_pkg_config "$prefix" "--cflags --libs p21auth-static" "static-$source.exe" "$source"
        check "$name, pkg-config, p21auth-static: $source runs" clean "$work/static-$source.exe"
    done
    check "$name: the program loads the library from there" \
        with_library_path "$prefix/lib" loads_from "$prefix" shared-quick_start.c.exe
    check "$name: the static program loads none" loads_none static-quick_start.c.exe
    check "$name, pkg-config --static: quick_start.c is compiled into a program without any library" \
        with_pkg_config "$prefix" "--static --cflags --libs p21auth" all-static.exe quick_start.c -static
    check "$name, pkg-config --static: it runs" clean "$work/all-static.exe"
    check "$name: pkg-config knows the version" says "$version" clean PKG_CONFIG_PATH="$prefix/lib/pkgconfig" pkg-config --modversion p21auth
    rm -f "$work"/*.exe
}

by_cmake() { # PREFIX NAME
    local prefix=$1 name=$2
    rm -rf "$work/build"
    check "$name, CMake: find_package finds it" clean "$cmake" -S source -B build -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_BUILD_TYPE=Release
    check "$name, CMake: C and C++ programs are built, shared and static" clean "$cmake" --build build
    for way in p21auth p21auth_static; do
        check "$name, CMake, $way: the C program gets a token" says "Authorization: Bearer" clean "$work/build/c_$way"
        check "$name, CMake, $way: the C++ program gets a token" says "Authorization: Bearer" clean "$work/build/cpp_$way"
        check "$name, CMake, $way: the C++ tests pass" clean "$work/build/wrapper_$way"
    done
    check "$name, CMake: the program loads the library from there" loads_from "$prefix" build/cpp_p21auth
    check "$name, CMake: the static program loads none" loads_none build/cpp_p21auth_static
}

step "C and C++ from the unpacked tarball"
by_pkg_config "$unpacked" tarball
by_cmake "$unpacked" tarball
cat >"$work/source/older.cmake" <<'END'
find_package(p21auth 99.0 CONFIG QUIET PATHS "${PREFIX}" NO_DEFAULT_PATH)
if(p21auth_FOUND)
    message(FATAL_ERROR "version 99.0 was found")
endif()
list(GET p21auth_CONSIDERED_VERSIONS 0 seen)
message("seen: ${seen}")
END
check "CMake refuses it to who asks for a newer one" says "seen: $version" clean "$cmake" -DPREFIX="$unpacked" -P source/older.cmake

step "C and C++ from make install"
mkdir "$work/root"
check "make install with PREFIX and DESTDIR" make -C "$project" --no-print-directory install PREFIX=/opt/p21auth DESTDIR="$work/root"
check "and once more, over it" make -C "$project" --no-print-directory install PREFIX=/opt/p21auth DESTDIR="$work/root"
installed=$work/root/opt/p21auth
check "it is the tarball's content" diff -r --no-dereference --exclude=SHA256SUMS "$unpacked" "$installed"
by_pkg_config "$installed" installed
by_cmake "$installed" installed
