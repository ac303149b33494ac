# SPDX-License-Identifier: BSD-2-Clause
#
# The trees of the Linux kernel, from a kernel source that is installed (Debian: linux-source-6.12).
# Only the few files that are needed are taken, into the build directory.
#
#   TIDE_LINUX_SOURCE    in: an unpacked source tree or a tarball; empty: the one in /usr/src
#   LinuxSource_FOUND
#   LinuxSource_DIR      with lib/*.c and include/linux/*.h
#   LinuxSource_VERSION  as the kernel's Makefile has it

set(TIDE_LINUX_SOURCE "" CACHE STRING
    "Linux source tree or tarball for the benchmarks' peers; empty: /usr/src/linux-source-*.tar.xz")

set(linux_files lib/maple_tree.c lib/rbtree.c lib/interval_tree.c include/linux/maple_tree.h
    include/linux/rbtree.h include/linux/rbtree_augmented.h include/linux/rbtree_types.h
    include/linux/interval_tree.h include/linux/interval_tree_generic.h)

set(linux_from "${TIDE_LINUX_SOURCE}")
if(NOT linux_from)
    # The version that the peers were written for, else the newest.
    file(GLOB linux_tarballs "/usr/src/linux-source-*.tar.xz")
    list(SORT linux_tarballs COMPARE NATURAL ORDER DESCENDING)
    list(FILTER linux_tarballs EXCLUDE REGEX "/linux-source-6\\.12\\.tar\\.xz$")
    foreach(tarball IN ITEMS /usr/src/linux-source-6.12.tar.xz LISTS linux_tarballs)
        if(EXISTS "${tarball}")
            set(linux_from "${tarball}")
            break()
        endif()
    endforeach()
endif()

set(LinuxSource_DIR "${PROJECT_BINARY_DIR}/linux-source")
unset(LinuxSource_VERSION)

# Taken again only when it is another source, or a newer one.
set(linux_stamp "")
if(linux_from AND EXISTS "${linux_from}")
    file(TIMESTAMP "${linux_from}" linux_time)
    set(linux_stamp "${linux_from} ${linux_time}")
endif()
set(linux_stamp_before "")
if(EXISTS "${LinuxSource_DIR}/stamp")
    file(READ "${LinuxSource_DIR}/stamp" linux_stamp_before)
endif()

if(linux_stamp AND NOT linux_stamp STREQUAL linux_stamp_before)
    file(REMOVE_RECURSE "${LinuxSource_DIR}")
    set(linux_unpacked "${linux_from}")
    if(NOT IS_DIRECTORY "${linux_from}")
        message(STATUS "Taking the trees of the kernel out of ${linux_from}")
        # A tarball has one directory at its top, of whatever name.
        list(TRANSFORM linux_files PREPEND "*/" OUTPUT_VARIABLE linux_patterns)
        string(REGEX REPLACE "\\.tar(\\.[a-z0-9]+)?$" "" linux_top "${linux_from}")
        get_filename_component(linux_top "${linux_top}" NAME)
        execute_process(
            COMMAND "${CMAKE_COMMAND}" -E make_directory "${LinuxSource_DIR}/unpacked")
        execute_process(
            COMMAND "${CMAKE_COMMAND}" -E tar xf "${linux_from}" -- ${linux_patterns}
                    "${linux_top}/Makefile"
            WORKING_DIRECTORY "${LinuxSource_DIR}/unpacked" OUTPUT_QUIET ERROR_QUIET)
        file(GLOB linux_unpacked "${LinuxSource_DIR}/unpacked/*/lib/maple_tree.c")
        list(TRANSFORM linux_unpacked REPLACE "/lib/maple_tree\\.c$" "")
    endif()
    set(linux_complete ON)
    foreach(name IN LISTS linux_files)
        if(EXISTS "${linux_unpacked}/${name}")
            get_filename_component(linux_directory "${LinuxSource_DIR}/${name}" DIRECTORY)
            file(COPY "${linux_unpacked}/${name}" DESTINATION "${linux_directory}")
        else()
            set(linux_complete OFF)
        endif()
    endforeach()
    if(EXISTS "${linux_unpacked}/Makefile")
        file(COPY "${linux_unpacked}/Makefile" DESTINATION "${LinuxSource_DIR}")
    endif()
    file(REMOVE_RECURSE "${LinuxSource_DIR}/unpacked")
    if(linux_complete)
        file(WRITE "${LinuxSource_DIR}/stamp" "${linux_stamp}")
    endif()
endif()

if(linux_stamp AND EXISTS "${LinuxSource_DIR}/stamp")
    set(LinuxSource_VERSION "unknown")
    if(EXISTS "${LinuxSource_DIR}/Makefile")
        file(STRINGS "${LinuxSource_DIR}/Makefile" linux_lines LIMIT_COUNT 8
             REGEX "^(VERSION|PATCHLEVEL|SUBLEVEL) *=")
        string(REGEX REPLACE "[^0-9;]" "" linux_lines "${linux_lines}")
        string(REPLACE ";" "." LinuxSource_VERSION "${linux_lines}")
    endif()
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(LinuxSource
    REQUIRED_VARS LinuxSource_DIR LinuxSource_VERSION VERSION_VAR LinuxSource_VERSION
    REASON_FAILURE_MESSAGE "no complete source in \"${linux_from}\"")
