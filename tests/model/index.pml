/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An index beside what is mapped: the versions that are coming and of now, and readers that look into both.
 *
 *   write     tide__special_map, tide__special_unmap (indexed.c): a version with what will be mapped;
 *             tide__indexes_publish_coming; the change; tide__indexes_publish_now (ledger.c, PUB-INDEX)
 *   undo      tide__indexes_undo: hide_coming, which waits for a grace period; the version is free
 *   find      tide_find_source (reverse.c): load_versions, next_candidate, confirm
 *
 * Two mappings come and go, for ever. A version is one node that has entries as bits. Whether a mapping is
 * found must be whether it was mapped at some instant of the call: so one that stays is found.
 *
 * Mutants: 1 a version is published before it is filled (no release). 2 the version of now is exchanged
 * before the change, and none is coming. 3 a reader loads that of now first. 4 the coming one is taken back
 * before that of now is exchanged. 5 an undo does not wait for a grace period. 6 the version replaced is
 * freed with no grace period.
 */
#define READERS 2
#define NODES   3
#define BUFFER  5

#define COMING   0
#define NOW      1
#define TREE     2 /* what is mapped, as bits */
#define THERE(n) (3 + (n))
#define WORDS    (3 + NODES)

byte entries[NODES];

#define poison(n)      \
    entries[n] = 0;    \
    mem[THERE(n)] = 0

#include "common.pml"

byte now, next, mapped; /* the writer's */

#define map_of(bits) (((bits) & 1) | ((bits) & 2) << 3)

inline begin(a)
{
    d_step {
        under_way == 0 && used != bit_of(NODES) - 1 ->
        get_node(next);
        entries[next] = mapped ^ (1 << (a));
        store_relaxed(THERE(next), 1);
#if MUTANT != 2
        put(COMING, next, MUTANT != 1, NOTHING)
#endif
    }
}

active proctype writer()
{
    byte old;

    d_step {
        used = 1;
        mem[THERE(0)] = 1;
        mem[COMING] = NONE;
        begun = true
    }
end:
    do
    :: if
       :: begin(0)
       :: begin(1)
       fi;
       if
       :: d_step { /* the change, and its end */
            room(3) ->
            old = now;
            now = next;
            next = 0;
            mapped = entries[now];
#if MUTANT == 2
            store_release(NOW, now, NOTHING);
            store_release(TREE, mapped, map_of(mapped))
#elif MUTANT == 4
            store_release(TREE, mapped, map_of(mapped));
            store_release(COMING, NONE, NOTHING);
            store_release(NOW, now, NOTHING)
#else
            store_release(TREE, mapped, map_of(mapped));
            store_release(NOW, now, NOTHING);
            store_release(COMING, NONE, NOTHING)
#endif
          };
#if MUTANT == 6
          d_step { under_way == 0 -> free_node(old); old = 0 }
#else
          d_step { retire(bit_of(old)); old = 0 }
#endif
#if MUTANT != 2
       :: d_step { /* undo */
            under_way == 0 ->
            store_release(COMING, NONE, NOTHING)
          };
#if MUTANT == 5
          d_step { under_way == 0 -> free_node(next); next = 0 }
#else
          d_step { under_way == 0 -> retire(bit_of(next)); next = 0 };
          (retired | waiting) == 0
#endif
#endif
       fi
    od
}

inline load(place, word)
{
    place = mem[word]; /* ACQ-INDEX */
    if
    :: place != NONE ->
        assert(is_used(place) && mem[THERE(place)]);
        found = found | ((entries[place] >> key[r]) & 1)
    :: else
    fi
}

active [READERS] proctype reader()
{
    byte r, found;

    atomic {
        begun;
        r = _pid % READERS
    };
end:
    do
    :: atomic {
        enter(r);
        if
        :: ask(r, 0)
        :: ask(r, 1)
        fi;
#if MUTANT == 3
        load(kept[r], NOW)
#else
        load(at[r], COMING)
#endif
       };
#if MUTANT == 3
       atomic { load(at[r], COMING) };
#else
       atomic { load(kept[r], NOW) };
#endif
       atomic {
        answer(r, found & ((mem[TREE] >> key[r]) & 1));
        found = 0;
        leave(r)
       }
    od
}
