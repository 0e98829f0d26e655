#!/usr/bin/env bash
# Proves the release from its built files alone, in an empty folder: programs in C and C++ by pkg-config and CMake, shared and
# static, from the tarball and from `make install`; a Python script by the wheel; C# programs by the NuGet package's files. Each
# gets a token over TLS from the emulator in the tarball.
#
#   tests/tools/dist.sh           makes the release first (15 minutes the first time)
#   tests/tools/dist.sh --built   takes what is in dist/
#
# The last line is `N passed, N failed`; what could not be run is a loud NOT TESTED line and neither.
set -euo pipefail
cd "$(dirname "$0")/../.."
[ "${1:-}" = --built ] || make dist
tools/dist/setup.sh --tests
# shellcheck source=tools/dist/common.sh
. tools/dist/common.sh
project=$PWD
rm -f "$dist/tested"
tarball=$(echo dist/libp21auth-"$version"-*.tar.gz)
cmake=$project/$venv/bin/cmake

# A blank in its path, as in C:\Program Files or a home of somebody with two names.
work=$(mktemp -d)/"with blank"
mkdir "$work"
emulator=
cleanup() {
    exec 9>&- || true
    [ -z "$emulator" ] || wait "$emulator" 2>/dev/null || true
    rm -rf "${work%/*}"
}
trap cleanup EXIT

passed=0
failed=0
# Runs a command that must succeed, with nothing of the environment but a path and the emulator's address.
check() { # WHAT COMMAND…
    local what=$1
    shift
    if (cd "$work" && "$@") >"$work/log" 2>&1 </dev/null; then
        passed=$((passed + 1))
        echo "ok      $what"
    else
        failed=$((failed + 1))
        echo "FAILED  $what"
        sed 's/^/        /' "$work/log"
    fi
}
says() { # TEXT COMMAND…
    local text=$1 said
    shift
    said=$("$@" 2>&1) || {
        echo "$said"
        return 1
    }
    echo "$said"
    case $said in *"$text"*) ;; *) return 1 ;; esac
}
not_tested() { echo "!! NOT TESTED: $*"; }
clean() {
    env -i PATH=/usr/local/bin:/usr/bin:/bin HOME="$work" LANG=C.UTF-8 P21_BASE_URL="$base" P21_CA_FILE="$work/ca.pem" \
        P21_USERNAME=demo P21_PASSWORD=demo-password "$@"
}

step "the tarball, unpacked"
tar -xzf "$tarball" -C "$work"
check "the checksums of the release" sh -c "cd '$project/dist' && sha256sum --check --strict --quiet SHA256SUMS"
mv "$work/$(basename "$tarball" .tar.gz)" "$work/p21auth"
unpacked=$work/p21auth
check "the checksums in the tarball" sh -c "cd p21auth && sha256sum --check --strict --quiet SHA256SUMS"
check "every file of the tarball has one" sh -c \
    "cd p21auth && [ \"\$(find . -type f ! -name SHA256SUMS | wc -l)\" = \"\$(wc -l <SHA256SUMS)\" ]"
for file in LICENSE-MIT LICENSE-APACHE THIRD-PARTY-NOTICES.md RUST-STANDARD-LIBRARY.html CHANGELOG.md; do
    check "it brings $file" test -s "p21auth/share/doc/libp21auth/$file"
done
check "no file of it names the folder that it was built in" sh -c "! grep -rIlF '$project' p21auth"

step "the shared library, as loaders see it"
shared=p21auth/lib/libp21auth.so
check "the links: .so to .so.$abi to the file" sh -c \
    "[ \$(readlink $shared) = libp21auth.so.$abi ] && [ \$(readlink $shared.$abi) = libp21auth.so.$abi.$version ]"
check "SONAME libp21auth.so.$abi" sh -c "readelf -dW $shared | grep -F '(SONAME)' | grep -F '[libp21auth.so.$abi]'"
check "it stays in memory once loaded" sh -c "readelf -dW $shared | grep FLAGS_1 | grep NODELETE"
exports() { nm -D --defined-only --format=posix "$1" | cut -d' ' -f1 | LC_ALL=C sort; }
declared() { sed -n '/^ \*/!s/.*[ *]\(p21_[a-z_]*\)(.*/\1/p' "$1" | LC_ALL=C sort; }
same_functions() { diff <(exports "$shared") <(declared p21auth/include/p21auth.h); }
check "it exports the functions of the header and nothing else" same_functions
check "it needs nothing but glibc" sh -c \
    "! readelf -dW $shared p21auth/bin/p21auth | grep -F '(NEEDED)' | grep -vE '\[(libc|libm|libdl|libpthread|librt|libutil|ld-linux-x86-64|ld-linux-aarch64)\.so\.[0-9]\]'"
check "no library is missing for it" sh -c "! ldd $shared | grep 'not found'"
case $tarball in
    *-glibc*) not_tested "the floor of glibc $floor: this release was made without zig and does NOT HOLD it" ;;
    *) for file in "$shared" p21auth/bin/p21auth; do
        check "$(basename "$file") needs glibc $floor at most" holds_floor "$file"
    done ;;
esac
check "the tool is of this version" says "p21auth $version" p21auth/bin/p21auth --version

step "the emulator of the tarball, over TLS"
mkfifo "$work/in"
env -i PATH=/usr/bin:/bin "$unpacked/bin/p21auth" mock --tls --json --until-stdin-ends --ca-file "$work/ca.pem" <"$work/in" >"$work/hello" &
emulator=$!
exec 9>"$work/in"
until [ -s "$work/hello" ] || ! kill -0 "$emulator" 2>/dev/null; do sleep 0.02; done
base=$(grep -o '"base_url":"[^"]*' "$work/hello" | cut -d'"' -f4)
case $base in https://*) ;; *) fail "the emulator has not started: $(cat "$work/hello")" ;; esac
check "the tool gets a token" clean "$unpacked/bin/p21auth" token

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

step "the vcpkg port"
# Its steps with stand-ins for vcpkg's functions and for cargo, which hands out the built libraries.
cat >"$work/cargo" <<END
#!/bin/sh
for argument; do [ "\$before" != --target-dir ] || folder=\$argument; before=\$argument; done
mkdir -p "\$folder/x86_64-unknown-linux-gnu/release"
cp "$unpacked"/lib/libp21auth.so "$unpacked"/lib/libp21auth.a "\$folder/x86_64-unknown-linux-gnu/release/"
END
chmod +x "$work/cargo"
cat >"$work/port.cmake" <<'END'
function(vcpkg_execute_required_process)
    cmake_parse_arguments(PARSE_ARGV 0 arg "" "WORKING_DIRECTORY;LOGNAME" "COMMAND")
    execute_process(COMMAND ${arg_COMMAND} WORKING_DIRECTORY "${arg_WORKING_DIRECTORY}" COMMAND_ERROR_IS_FATAL ANY)
endfunction()
function(vcpkg_fixup_pkgconfig)
endfunction()
function(vcpkg_install_copyright)
    cmake_parse_arguments(PARSE_ARGV 0 arg "" "" "FILE_LIST")
    file(INSTALL ${arg_FILE_LIST} DESTINATION "${CURRENT_PACKAGES_DIR}/share/${PORT}")
endfunction()
file(READ "${CURRENT_PORT_DIR}/vcpkg.json" about)
string(JSON PORT GET "${about}" name)
string(JSON VERSION GET "${about}" version)
set(VCPKG_TARGET_ARCHITECTURE x64)
set(TARGET_TRIPLET "x64-linux-${VCPKG_LIBRARY_LINKAGE}")
set(CURRENT_BUILDTREES_DIR "${CURRENT_PACKAGES_DIR}-build")
include("${CURRENT_PORT_DIR}/portfile.cmake")
END
sed 's/p21auth p21auth_static)/p21auth)/' "$work/source/CMakeLists.txt" >"$work/vcpkg-consumer.txt"
mkdir "$work/vcpkg-source"
cp "$work"/source/*.{c,cpp,h} "$work/vcpkg-source/"
mv "$work/vcpkg-consumer.txt" "$work/vcpkg-source/CMakeLists.txt"
for linkage in dynamic static; do
    check "vcpkg, $linkage: the portfile installs" clean "$cmake" -DCARGO="$work/cargo" -DVCPKG_LIBRARY_LINKAGE=$linkage \
        -DCURRENT_PORT_DIR="$project/packaging/vcpkg/p21auth" -DCURRENT_PACKAGES_DIR="$work/vcpkg-$linkage" -P port.cmake
    check "vcpkg, $linkage: find_package finds it" clean "$cmake" -S vcpkg-source -B "vcpkg-build-$linkage" -DCMAKE_PREFIX_PATH="$work/vcpkg-$linkage"
    check "vcpkg, $linkage: p21auth::p21auth links" clean "$cmake" --build "vcpkg-build-$linkage"
    check "vcpkg, $linkage: the program gets a token" says "Authorization: Bearer" clean "$work/vcpkg-build-$linkage/cpp_p21auth"
done
not_tested "the port with vcpkg itself, which cannot be fetched here"

step "Python, from the wheel"
machine=${host%%-*}
wheel=$(echo dist/p21auth-"$version"-py3-none-*"_$machine.whl")
# Name and SHA-256 of each file of a zip file below a folder.
bundled() { # ARCHIVE FOLDER
    python3 - "$@" <<'END'
import hashlib, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as archive:
    for name in sorted(archive.namelist()):
        if name.startswith(sys.argv[2]) and not name.endswith("/"):
            print(hashlib.sha256(archive.read(name)).hexdigest(), name[len(sys.argv[2]):])
END
}
hash_of() { sha256sum <"$1" | cut -d' ' -f1; }
holds() { # ARCHIVE FOLDER NAME FILE: the archive's FOLDER/NAME is that file
    bundled "$1" "$2/" | grep -Fx "$(hash_of "$4") $3"
}
in_wheel=p21auth/_bundled
check "it holds the tarball's library" holds "$project/$wheel" $in_wheel libp21auth.so p21auth/lib/libp21auth.so
check "it holds the tarball's tool" holds "$project/$wheel" $in_wheel p21auth p21auth/bin/p21auth
check "it holds the licences" holds "$project/$wheel" $in_wheel licenses/THIRD-PARTY-NOTICES.md p21auth/share/doc/libp21auth/THIRD-PARTY-NOTICES.md
case $tarball in
    *-glibc*) check "its tag promises no floor" test "${wheel%-linux_"$machine".whl}" != "$wheel" ;;
    *) check "its tag is manylinux2014" test "${wheel%-manylinux2014_"$machine".whl}" != "$wheel" ;;
esac
"$(python3 -c 'import sys; print(sys.executable)')" -m venv "$work/venv"
python=$work/venv/bin/python
check "pip installs it, with nothing else" clean "$python" -m pip install -q --no-index --disable-pip-version-check "$project/$wheel"
cat >"$work/source/token.py" <<'END'
import os

import p21auth
import p21auth.testing

with p21auth.Client.from_env() as client:
    print("Authorization:", client.get_headers()["Authorization"][:12])
    print("from", client.url("/"))
reply = p21auth.get_token_v2(os.environ["P21_BASE_URL"], "demo", "demo-password", ca_file=os.environ["P21_CA_FILE"])
print(reply["TokenType"], reply["ExpiresInSeconds"])
with p21auth.testing.Emulator() as emulator, emulator.client() as client:
    print(len(client.get_token()) > 20, "from an emulator of its own")
END
mv "$work/source/token.py" "$work/with_p21auth.py"
check "a script gets tokens" says "Authorization: Bearer" clean "$python" with_p21auth.py
check "python -m p21auth is the tool" says "p21auth $version" clean "$python" -m p21auth --version

windows_wheel=dist/p21auth-$version-py3-none-win_amd64.whl
if [ -f "$windows_wheel" ]; then
    check "the wheel for Windows holds p21auth.dll" holds "$project/$windows_wheel" $in_wheel p21auth.dll "$project/target/windows/x86_64/p21auth.dll"
    check "the wheel for Windows holds p21auth.exe" holds "$project/$windows_wheel" $in_wheel p21auth.exe "$project/target/windows/x86_64/p21auth.exe"
    other_files() { bundled "$project/$windows_wheel" $in_wheel/ | grep -vE ' (p21auth\.(dll|exe)|licenses/.*)$'; }
    check "the wheel for Windows holds no other binary" eval '! other_files'
    not_tested "the wheel on Windows: there is no Python for it here"
else
    not_tested "a wheel for Windows: tools/windows/build.sh had not built the library"
fi

step ".NET, from the files of the NuGet package"
nupkg=dist/LibP21Auth.$version.nupkg
# As NuGet's cache has it.
package=$work/packages/libp21auth/$version
# shellcheck source=bindings/csharp/tools/compile.sh
if [ ! -f "$nupkg" ]; then
    not_tested "the NuGet package: there was no C# compiler to make it"
elif . bindings/csharp/tools/compile.sh && prepare; then
    mkdir -p "$package"
    python3 -m zipfile -e "$nupkg" "$package"
    case $machine in x86_64) rid=linux-x64 ;; aarch64) rid=linux-arm64 ;; esac
    native=runtimes/$rid/native/libp21auth.so
    check "it holds the tarball's library" cmp "$package/$native" p21auth/lib/libp21auth.so
    check "it holds the tarball's tool" cmp "$package/tools/$rid/p21auth" p21auth/bin/p21auth
    cp examples/csharp/ODataQuery.cs "$work/source/"
    dotnet() { clean DOTNET_CLI_TELEMETRY_OPTOUT=1 "$tools/dotnet/dotnet" "$@"; }

    # A published program: everything beside it.
    published() { # NAME FRAMEWORK COMPILER-OPTIONS…: compiles against the package and lays it out
        local app=$work/$1 framework=$2 ending=dll
        shift 2
        [ "$framework" != net462 ] || ending=exe
        mkdir -p "$app/${native%/*}"
        cp "$package/lib/$framework/LibP21Auth.dll" "$app/"
        cp "$package/$native" "$app/${native%/*}/"
        csc "$@" -target:exe "-r:$app/LibP21Auth.dll" "-out:$app/ODataQuery.$ending" "$work/source/ODataQuery.cs"
        cp "$tools/nunit/runner.runtimeconfig.json" "$app/ODataQuery.runtimeconfig.json"
    }
    mapfile -t framework < <(framework 4.7.2 mscorlib System System.Core System.Net.Http Facades/System.Runtime Facades/netstandard)
    check ".NET 8: ODataQuery.cs compiles against lib/net8.0" published net8 net8.0 -langversion:latest
    check ".NET 8, published: it reads customers with a token" says " customers" dotnet net8/ODataQuery.dll
    check ".NET Standard 2.0: it compiles against lib/netstandard2.0" published netstandard netstandard2.0 -langversion:latest
    check ".NET Standard 2.0, published, on .NET 8: it reads customers" says " customers" dotnet netstandard/ODataQuery.dll
    check ".NET Framework: it compiles against lib/net462" published net462 net462 -langversion:7.3 -nostdlib "${framework[@]}"
    check ".NET Framework, on Mono: it reads customers" says " customers" clean mono net462/ODataQuery.exe

    # A program under development: .NET finds the package in NuGet's cache, by what is written beside the program.
    mkdir "$work/develop"
    cp "$work"/net8/ODataQuery.{dll,runtimeconfig.json} "$work/develop/"
    cat >"$work/develop/ODataQuery.deps.json" <<END
{
  "runtimeTarget": { "name": ".NETCoreApp,Version=v8.0" },
  "targets": {
    ".NETCoreApp,Version=v8.0": {
      "ODataQuery/1.0.0": { "dependencies": { "LibP21Auth": "$version" }, "runtime": { "ODataQuery.dll": {} } },
      "LibP21Auth/$version": {
        "runtime": { "lib/net8.0/LibP21Auth.dll": {} },
        "runtimeTargets": { "$native": { "rid": "$rid", "assetType": "native" } }
      }
    }
  },
  "libraries": {
    "ODataQuery/1.0.0": { "type": "project", "serviceable": false, "sha512": "" },
    "LibP21Auth/$version": { "type": "package", "serviceable": true, "sha512": "", "path": "libp21auth/$version" }
  }
}
END
    check ".NET 8, from NuGet's cache: it reads customers" says " customers" \
        dotnet exec --additionalprobingpath packages develop/ODataQuery.dll

    if [ -f "$package/runtimes/win-x64/native/p21auth.dll" ]; then
        check "the package holds p21auth.dll" cmp "$package/runtimes/win-x64/native/p21auth.dll" "$project/target/windows/x86_64/p21auth.dll"
        mkdir "$work/project"
        cp "$work/source/ODataQuery.cs" "$work/project/"
        cat >"$work/project/ODataQuery.csproj" <<END
<Project DefaultTargets="Build" xmlns="http://schemas.microsoft.com/developer/msbuild/2003">
  <PropertyGroup>
    <OutputType>Exe</OutputType>
    <AssemblyName>ODataQuery</AssemblyName>
    <TargetFrameworkVersion>v4.7.2</TargetFrameworkVersion>
    <OutputPath>bin/</OutputPath>
  </PropertyGroup>
  <ItemGroup>
    <Compile Include="ODataQuery.cs" />
    <Reference Include="System.Net.Http" />
    <Reference Include="LibP21Auth"><HintPath>$package/lib/net462/LibP21Auth.dll</HintPath></Reference>
  </ItemGroup>
  <Import Project="\$(MSBuildToolsPath)/Microsoft.CSharp.targets" />
  <Import Project="$package/build/net462/LibP21Auth.targets" />
</Project>
END
        check ".NET Framework, built with the package's targets" clean xbuild /nologo /verbosity:minimal project/ODataQuery.csproj
        for native in "$package"/runtimes/win-*/native/p21auth.dll; do
            place=${native#"$package"/}
            check "the build has put $place beside the program" cmp "project/bin/$place" "$native"
        done
    else
        not_tested "Windows in the NuGet package: tools/windows/build.sh had not built the library"
    fi
    not_tested "the NuGet package with NuGet and on Windows, which are not here"
else
    not_tested "the NuGet package: its compiler and runtime cannot be fetched"
fi

echo "$passed passed, $failed failed"
[ "$failed" = 0 ] || exit 1
# For tools/release-check.sh: which files these were.
cp dist/SHA256SUMS "$project/$dist/tested"
