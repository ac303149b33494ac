/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every peer that is there. All take whole mappings, refuse overlaps, split on unmap and answer
 * with whole mappings; bench_check holds them to it. splus is read-only: it has only lookup.
 */
#ifndef BENCH_PEERS_ALL_H
#define BENCH_PEERS_ALL_H

#include <string>
#include <type_traits>

#include "splus.h"
#include "std_map.h"
#include "tidemark.h"

#ifdef TIDE_BENCH_ABSL
#include "absl.h"
#endif
#ifdef TIDE_BENCH_GTREE
#include "gtree.h"
#endif
#ifdef TIDE_BENCH_JUDY
#include "judy.h"
#endif
#ifdef TIDE_BENCH_BOOST_ICL
#include "boost_icl.h"
#endif
#ifdef TIDE_BENCH_LINUX
#include "interval_tree.h"
#include "maple.h"
#endif

/* A peer as an argument: f(peer_type<X>()), X by decltype(p)::type. */
template <typename Peer> struct peer_type {
    using type = Peer;
};

template <typename F>
void
for_each_writable_peer(F &&f)
{
    f(peer_type<tidemark_peer>());
    f(peer_type<tidemark_rcu_peer>());
#ifdef TIDE_BENCH_URCU
    f(peer_type<tidemark_urcu_peer>());
#endif
#ifdef TIDE_BENCH_ABSL
    f(peer_type<absl_peer>());
#endif
    f(peer_type<std_map_peer>());
#ifdef TIDE_BENCH_GTREE
    f(peer_type<gtree_peer>());
#endif
#ifdef TIDE_BENCH_JUDY
    f(peer_type<judy_peer>());
#endif
#ifdef TIDE_BENCH_BOOST_ICL
    f(peer_type<boost_icl_peer>());
#endif
#ifdef TIDE_BENCH_LINUX
    f(peer_type<maple_peer>());
    f(peer_type<interval_tree_peer>());
#endif
}

template <typename F>
void
for_each_peer(F &&f)
{
    for_each_writable_peer(f);
    f(peer_type<splus_peer>());
}

template <typename Peer> constexpr bool is_writable = !std::is_same_v<Peer, splus_peer>;

/* liburcu works behind the writer's back, in a thread of its own. */
#ifdef TIDE_BENCH_URCU
template <typename Peer> constexpr bool has_urcu = std::is_same_v<Peer, tidemark_urcu_peer>;
#else
template <typename Peer> constexpr bool has_urcu = false;
#endif

inline std::string
peer_names()
{
    std::string names;

    for_each_peer([&](auto p) {
        if (!names.empty())
            names += ',';
        names += decltype(p)::type::name;
    });
    return names;
}

#endif /* BENCH_PEERS_ALL_H */
