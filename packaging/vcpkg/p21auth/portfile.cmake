# Builds the source tree that this port lies in, with cargo:
#
#     vcpkg install p21auth --overlay-ports=PATH/TO/libp21auth/packaging/vcpkg
find_program(CARGO cargo HINTS "$ENV{HOME}/.cargo/bin" "$ENV{USERPROFILE}/.cargo/bin")
if(NOT CARGO)
    message(FATAL_ERROR "p21auth is built with cargo: https://rustup.rs")
endif()
get_filename_component(SOURCE_PATH "${CURRENT_PORT_DIR}/../../.." ABSOLUTE)

if(VCPKG_TARGET_ARCHITECTURE STREQUAL "x64")
    set(machine x86_64)
elseif(VCPKG_TARGET_ARCHITECTURE STREQUAL "x86")
    set(machine i686)
elseif(VCPKG_TARGET_ARCHITECTURE STREQUAL "arm64")
    set(machine aarch64)
else()
    message(FATAL_ERROR "p21auth does not know ${VCPKG_TARGET_ARCHITECTURE}")
endif()
if(VCPKG_TARGET_IS_MINGW)
    set(target ${machine}-pc-windows-gnu)
elseif(VCPKG_TARGET_IS_WINDOWS)
    set(target ${machine}-pc-windows-msvc)
else()
    set(target ${machine}-unknown-linux-gnu)
endif()
if(VCPKG_LIBRARY_LINKAGE STREQUAL "dynamic")
    set(crate_type cdylib)
else()
    set(crate_type staticlib)
endif()

vcpkg_execute_required_process(
    COMMAND "${CARGO}" rustc --release --locked --lib --crate-type ${crate_type} --target ${target}
        --manifest-path "${SOURCE_PATH}/Cargo.toml" --target-dir "${CURRENT_BUILDTREES_DIR}/${TARGET_TRIPLET}"
    WORKING_DIRECTORY "${SOURCE_PATH}"
    LOGNAME cargo-${TARGET_TRIPLET})
set(built "${CURRENT_BUILDTREES_DIR}/${TARGET_TRIPLET}/${target}/release")

# The same for debug: behind its C interface a release library serves both.
set(VCPKG_POLICY_MISMATCHED_NUMBER_OF_BINARIES enabled)
file(INSTALL "${SOURCE_PATH}/include/p21auth.h" "${SOURCE_PATH}/include/p21auth.hpp" DESTINATION "${CURRENT_PACKAGES_DIR}/include")
if(crate_type STREQUAL "staticlib")
    file(INSTALL "${built}/libp21auth.a" DESTINATION "${CURRENT_PACKAGES_DIR}/lib")
elseif(VCPKG_TARGET_IS_MINGW)
    file(INSTALL "${built}/p21auth.dll" DESTINATION "${CURRENT_PACKAGES_DIR}/bin")
    file(INSTALL "${built}/libp21auth.dll.a" DESTINATION "${CURRENT_PACKAGES_DIR}/lib")
elseif(VCPKG_TARGET_IS_WINDOWS)
    file(INSTALL "${built}/p21auth.dll" DESTINATION "${CURRENT_PACKAGES_DIR}/bin")
    file(INSTALL "${built}/p21auth.dll.lib" DESTINATION "${CURRENT_PACKAGES_DIR}/lib" RENAME p21auth.lib)
else()
    file(STRINGS "${SOURCE_PATH}/src/capi/types.rs" abi REGEX "P21_ABI_VERSION: i32 = ")
    string(REGEX REPLACE ".*= ([0-9]+).*" "\\1" abi "${abi}")
    file(INSTALL "${built}/libp21auth.so" DESTINATION "${CURRENT_PACKAGES_DIR}/lib" RENAME libp21auth.so.${abi})
    file(CREATE_LINK libp21auth.so.${abi} "${CURRENT_PACKAGES_DIR}/lib/libp21auth.so" SYMBOLIC)
endif()

file(INSTALL "${SOURCE_PATH}/packaging/p21auth-config.cmake" DESTINATION "${CURRENT_PACKAGES_DIR}/share/${PORT}")
configure_file("${SOURCE_PATH}/packaging/p21auth-config-version.cmake.in"
    "${CURRENT_PACKAGES_DIR}/share/${PORT}/p21auth-config-version.cmake" @ONLY)
if(NOT VCPKG_TARGET_IS_WINDOWS)
    configure_file("${SOURCE_PATH}/packaging/p21auth.pc.in" "${CURRENT_PACKAGES_DIR}/lib/pkgconfig/p21auth.pc" @ONLY)
    vcpkg_fixup_pkgconfig()
endif()
file(INSTALL "${CMAKE_CURRENT_LIST_DIR}/usage" DESTINATION "${CURRENT_PACKAGES_DIR}/share/${PORT}")
vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/LICENSE-MIT" "${SOURCE_PATH}/LICENSE-APACHE")
