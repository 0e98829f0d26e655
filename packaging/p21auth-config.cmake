# find_package(p21auth) gives the targets p21auth::p21auth (shared) and p21auth::p21auth_static. Where there is no shared
# library, p21auth::p21auth is the static one.
cmake_policy(VERSION 3.10...3.30)

# Found from where this file lies, so that the package can be moved: lib/cmake/p21auth, or share/p21auth from vcpkg.
get_filename_component(_p21auth_prefix "${CMAKE_CURRENT_LIST_DIR}" ABSOLUTE)
while(NOT EXISTS "${_p21auth_prefix}/include/p21auth.h")
    get_filename_component(_p21auth_parent "${_p21auth_prefix}" DIRECTORY)
    if(_p21auth_parent STREQUAL _p21auth_prefix)
        set(p21auth_FOUND FALSE)
        set(p21auth_NOT_FOUND_MESSAGE "include/p21auth.h is in no folder above ${CMAKE_CURRENT_LIST_DIR}")
        return()
    endif()
    set(_p21auth_prefix "${_p21auth_parent}")
endwhile()

# The first of the named files that is there; empty if none is.
function(_p21auth_first result)
    set(found "")
    foreach(name IN LISTS ARGN)
        if(NOT found AND EXISTS "${_p21auth_prefix}/${name}")
            set(found "${_p21auth_prefix}/${name}")
        endif()
    endforeach()
    set(${result} "${found}" PARENT_SCOPE)
endfunction()

_p21auth_first(_p21auth_static lib/libp21auth.a)
_p21auth_first(_p21auth_shared bin/p21auth.dll lib/libp21auth.so lib/libp21auth.dylib)
if(MSVC)
    _p21auth_first(_p21auth_import lib/p21auth.lib)
else()
    _p21auth_first(_p21auth_import lib/libp21auth.dll.a lib/p21auth.lib)
endif()

if(_p21auth_static AND NOT TARGET p21auth::p21auth_static)
    add_library(p21auth::p21auth_static STATIC IMPORTED)
    set_target_properties(p21auth::p21auth_static PROPERTIES
        IMPORTED_LOCATION "${_p21auth_static}"
        INTERFACE_INCLUDE_DIRECTORIES "${_p21auth_prefix}/include")
    if(CMAKE_SYSTEM_NAME STREQUAL "Linux")
        set_property(TARGET p21auth::p21auth_static PROPERTY INTERFACE_LINK_LIBRARIES pthread dl m rt util)
    endif()
endif()
if(_p21auth_shared AND NOT TARGET p21auth::p21auth)
    add_library(p21auth::p21auth SHARED IMPORTED)
    set_target_properties(p21auth::p21auth PROPERTIES
        IMPORTED_LOCATION "${_p21auth_shared}"
        INTERFACE_INCLUDE_DIRECTORIES "${_p21auth_prefix}/include")
    if(_p21auth_import)
        set_property(TARGET p21auth::p21auth PROPERTY IMPORTED_IMPLIB "${_p21auth_import}")
    endif()
elseif(TARGET p21auth::p21auth_static AND NOT TARGET p21auth::p21auth)
    add_library(p21auth::p21auth INTERFACE IMPORTED)
    set_property(TARGET p21auth::p21auth PROPERTY INTERFACE_LINK_LIBRARIES p21auth::p21auth_static)
endif()

if(NOT TARGET p21auth::p21auth)
    set(p21auth_FOUND FALSE)
    set(p21auth_NOT_FOUND_MESSAGE "no library in ${_p21auth_prefix}")
endif()
unset(_p21auth_prefix)
unset(_p21auth_static)
unset(_p21auth_shared)
unset(_p21auth_import)
