#!/usr/bin/env bash
# shellcheck disable=SC2154
# Sourced by tests/tools/dist.sh: what the vcpkg port installs.

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
