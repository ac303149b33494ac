/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Abseil's B-tree.
 */
#ifndef BENCH_PEERS_ABSL_H
#define BENCH_PEERS_ABSL_H

#include <absl/container/btree_map.h>

#include "ordered_map.h"

class absl_peer : public ordered_map_peer<absl::btree_map<uint64_t, ordered_map_value>>
{
  public:
    static constexpr const char *name = "absl";
};

#endif /* BENCH_PEERS_ABSL_H */
