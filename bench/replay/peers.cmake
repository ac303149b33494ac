# SPDX-License-Identifier: BSD-2-Clause
#
# The peers of tidemark-replay, where the benchmarks, which otherwise find them, are not built.

find_package(absl QUIET)
if(TARGET absl::btree)
    target_link_libraries(tidemark-replay PRIVATE absl::btree)
    target_compile_definitions(tidemark-replay PRIVATE TIDE_BENCH_ABSL)
endif()

if(PkgConfig_FOUND)
    pkg_check_modules(TIDE_GLIB QUIET IMPORTED_TARGET glib-2.0>=2.68)
    if(TARGET PkgConfig::TIDE_GLIB)
        target_link_libraries(tidemark-replay PRIVATE PkgConfig::TIDE_GLIB)
        target_compile_definitions(tidemark-replay PRIVATE TIDE_BENCH_GTREE)
    endif()
endif()

find_path(TIDE_JUDY_INCLUDE Judy.h)
find_library(TIDE_JUDY_LIBRARY Judy)
if(TIDE_JUDY_INCLUDE AND TIDE_JUDY_LIBRARY)
    target_link_libraries(tidemark-replay PRIVATE "${TIDE_JUDY_LIBRARY}")
    target_include_directories(tidemark-replay SYSTEM PRIVATE "${TIDE_JUDY_INCLUDE}")
    target_compile_definitions(tidemark-replay PRIVATE TIDE_BENCH_JUDY)
endif()

find_path(TIDE_BOOST_ICL_INCLUDE boost/icl/split_interval_map.hpp)
if(TIDE_BOOST_ICL_INCLUDE)
    target_include_directories(tidemark-replay SYSTEM PRIVATE "${TIDE_BOOST_ICL_INCLUDE}")
    target_compile_definitions(tidemark-replay PRIVATE TIDE_BENCH_BOOST_ICL)
endif()

add_subdirectory("${CMAKE_CURRENT_SOURCE_DIR}/../peers/linux" linux_peers)
if(TARGET tide_linux_peers)
    target_link_libraries(tidemark-replay PRIVATE tide_linux_peers)
endif()
