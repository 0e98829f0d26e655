#!/usr/bin/env bash
# shellcheck disable=SC2154
# Sourced by tests/tools/dist.sh: programs for Windows in C and C++, from the zip files, by CMake and pkg-config. The 64-bit
# ones run under Wine.

[ ${#windows[@]} != 0 ] || not_tested "C and C++ for Windows: tools/windows/build.sh had not built the library"
# The Wine that tests/tools/windows.sh has set up.
export WINEPREFIX=$project/target/windows/wine WINEDEBUG=-all
wine() { clean env -u DISPLAY WINEPREFIX="$WINEPREFIX" WINEDEBUG="$WINEDEBUG" P21_CA_FILE="Z:$work/ca.pem" timeout 60 /usr/lib/wine/wine64 "$@"; }

mkdir "$work/windows-source"
cp "$work"/source/{quick_start.c,cpp_quick_start.cpp} "$work/windows-source/"
cat >"$work/windows-source/CMakeLists.txt" <<END
cmake_minimum_required(VERSION 3.13)
project(consumer C CXX)
find_package(p21auth ${version%.*} CONFIG REQUIRED)
add_executable(c quick_start.c)
add_executable(cpp cpp_quick_start.cpp)
target_compile_features(cpp PRIVATE cxx_std_17)
target_link_options(cpp PRIVATE -static)
foreach(program c cpp)
    target_link_libraries(\${program} PRIVATE p21auth::p21auth)
endforeach()
END

for arch in "${windows[@]}"; do
    step "C and C++ for Windows, $arch"
    name=libp21auth-$version-$arch-windows
    check "$arch: the zip file can be unpacked" python3 -m zipfile -e "$project/dist/$name.zip" .
    prefix=$work/$name
    check "$arch: the checksums in it" sh -c "cd $name && sha256sum --check --strict --quiet SHA256SUMS"
    check "$arch: every file of it has one" sh -c \
        "cd $name && [ \"\$(find . -type f ! -name SHA256SUMS | wc -l)\" = \"\$(wc -l <SHA256SUMS)\" ]"
    for file in bin/p21auth.dll bin/p21auth.exe lib/p21auth.lib lib/libp21auth.dll.a include/p21auth.hpp; do
        check "$arch: it holds $file" test -s "$name/$file"
    done
    for file in LICENSE-MIT LICENSE-APACHE THIRD-PARTY-NOTICES.md RUST-STANDARD-LIBRARY.html CHANGELOG.md; do
        check "$arch: it brings $file" test -s "$name/share/doc/libp21auth/$file"
    done
    check "$arch: no file of it names the folder that it was built in" sh -c "! grep -rlF '$project' $name"

    if ! command -v "$arch-w64-mingw32-gcc-win32" >/dev/null; then
        not_tested "$arch: there is no compiler for it; tools/windows/setup.sh installs it"
        continue
    fi
    compiled=$work/$arch
    mkdir "$compiled"
    cp "$prefix/bin/p21auth.dll" "$compiled/"
    by_flags() {
        clean PKG_CONFIG_PATH="$prefix/lib/pkgconfig" pkg-config --cflags --libs p21auth >"$work/flags"
        eval "$arch-w64-mingw32-gcc-win32 -Wall -Wextra -Werror -o '$compiled/flags.exe' source/quick_start.c $(cat "$work/flags")"
    }
    check "$arch, pkg-config: quick_start.c is compiled" by_flags
    check "$arch, the import library for MSVC: quick_start.c is compiled" "$arch-w64-mingw32-gcc-win32" -Wall -Wextra -Werror \
        -I "$prefix/include" -o "$compiled/msvc.exe" source/quick_start.c "$prefix/lib/p21auth.lib"
    programs=(flags msvc)
    if [ "$arch" = x86_64 ]; then
        check "$arch, CMake: find_package finds it" clean "$cmake" -S windows-source -B "$arch-build" -DCMAKE_PREFIX_PATH="$prefix" \
            -DCMAKE_SYSTEM_NAME=Windows -DCMAKE_C_COMPILER="$arch-w64-mingw32-gcc-posix" \
            -DCMAKE_CXX_COMPILER="$arch-w64-mingw32-g++-posix" -DCMAKE_BUILD_TYPE=Release
        check "$arch, CMake: C and C++ programs are built" clean "$cmake" --build "$arch-build"
        check "$arch, CMake: they are put beside the library" cp "$arch-build/c.exe" "$arch-build/cpp.exe" "$compiled/"
        programs+=(c cpp)
    fi
    if [ "$arch" = x86_64 ] && [ -d "$WINEPREFIX/drive_c" ]; then
        for program in "${programs[@]}"; do
            check "$arch, under Wine: $program.exe gets a token" says "Authorization: Bearer" wine "$compiled/$program.exe"
        done
        check "$arch, under Wine: the tool gets a token" wine "$prefix/bin/p21auth.exe" token
    else
        not_tested "$arch: the programs were built and not run; tests/tools/windows.sh sets up Wine, which has no 32 bits here"
    fi
done
