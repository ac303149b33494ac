/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The C++ library's red-black tree.
 */
#ifndef BENCH_PEERS_STD_MAP_H
#define BENCH_PEERS_STD_MAP_H

#include <map>

#include "ordered_map.h"

class std_map_peer : public ordered_map_peer<std::map<uint64_t, ordered_map_value>>
{
  public:
    static constexpr const char *name = "std_map";
};

#endif /* BENCH_PEERS_STD_MAP_H */
