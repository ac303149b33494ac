/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Changes of one leaf in place, word by word: rule (b) of docs/memory-model.md.
 *
 *   edit                plan_in_place, apply_in_place (edit.c); map_in_place, unmap_in_place (write.c)
 *   slot from before    slot_from_before (write.c)
 *   fill                tide__leaf_fill, tide__slot_set (leaf.h): bounds and target are stores of their own
 *   publish             PUB-LIVE (publish.h)
 *   lookup              tide__compact_lookup (search.h): the mask, the bounds of all slots, the target of one
 *
 * The writer maps, replaces, cuts and unmaps for ever, until slots run out and then by those that come back.
 *
 * Mutants: 1 the mask is published before the slots are filled (no release). 2 a cut takes two stores.
 * 3 a slot is written again when its mapping is gone. 4 a reader loads the bounds before the mask. 5 a
 * slot comes back for a mapping with another target.
 */
#define READERS 2
#define KEYS    3
#define SLOTS   4
#define BUFFER  5

#define LIVE      0
#define BOUNDS(i) (1 + (i))
#define TARGET(i) (1 + SLOTS + (i))
#define WORDS     (1 + 2 * SLOTS)

#include "common.pml"

/* The bounds of a slot: both in one number. */
#define bounds(s, l)  ((s) * 4 + (l))
#define first_of(b)   ((b) / 4)
#define last_of(b)    ((b) % 4)
#define has(b, s, l)  (first_of(b) <= (l) && (s) <= last_of(b))
#define JUNK          12 /* what a slot never written leads to: no such target is ever mapped */

/* What the writer has stored, visible or not. */
byte slot_bounds[SLOTS], slot_target[SLOTS];
byte live, used_slots;
int mapped;

inline fill(b, t)
{
    i = 0;
    do
    :: ((MUTANT == 3 -> live | fresh : used_slots) >> i) & 1 -> i++
    :: else -> break
    od;
    slot_bounds[i] = b;
    slot_target[i] = t;
    used_slots = used_slots | (1 << i);
    fresh = fresh | (1 << i);
    store_relaxed(BOUNDS(i), b);
    store_relaxed(TARGET(i), t)
}

inline publish(mask, after)
{
    put(LIVE, mask, MUTANT != 1, after)
}

/* What sticks out of s..l of each mapping stays; t is mapped there, or nothing where it is 0. */
inline edit(s, l, t)
{
    d_step {
        gone = 0;
        before = SLOTS;
        pieces = (t != 0 -> 1 : 0);
        free_slots = 0;
        for (j : 0 .. SLOTS - 1) {
            if
            :: (((MUTANT == 3 -> live : used_slots) >> j) & 1) == 0 -> free_slots++
            :: ((live >> j) & 1) && has(slot_bounds[j], s, l) ->
                gone = gone | (1 << j);
                pieces = pieces + (first_of(slot_bounds[j]) < s -> 1 : 0) +
                         (last_of(slot_bounds[j]) > l -> 1 : 0)
            :: ((live >> j) & 1) == 0 && ((used_slots >> j) & 1) && has(slot_bounds[j], s, l) ->
                before = j /* the highest */
            :: else
            fi
        }
        after = mapped;
        for (j : s .. l) {
            after = with_value(after, j, (t != 0 -> t + j - s : 0))
        }
        if
        :: gone == 0 && t != 0 && before < SLOTS && room(1) && slot_bounds[before] == bounds(s, l) &&
           (slot_target[before] == t || MUTANT == 5) ->
            live = live | (1 << before);
            mapped = after;
            publish(live, after)
        :: else ->
            if
            :: (gone != 0 || t != 0) && pieces <= free_slots && room(2 * pieces + (MUTANT == 2 -> 2 : 1)) ->
                fresh = 0;
                for (j : 0 .. SLOTS - 1) {
                    if
                    :: ((gone >> j) & 1) && first_of(slot_bounds[j]) < s ->
                        fill(bounds(first_of(slot_bounds[j]), s - 1), slot_target[j])
                    :: else
                    fi;
                    if
                    :: ((gone >> j) & 1) && last_of(slot_bounds[j]) > l ->
                        fill(bounds(l + 1, last_of(slot_bounds[j])),
                             slot_target[j] + l + 1 - first_of(slot_bounds[j]))
                    :: else
                    fi
                }
                if
                :: t != 0 -> fill(bounds(s, l), t)
                :: else
                fi;
#if MUTANT == 2
                publish(live & ~gone, NOTHING);
#endif
                live = (live & ~gone) | fresh;
                mapped = after;
                publish(live, after)
            :: else
            fi
        fi;
        i = 0; j = 0; gone = 0; fresh = 0; before = 0; pieces = 0; free_slots = 0; after = 0
    }
}

active proctype writer()
{
    byte i, j, gone, fresh, before, pieces, free_slots;
    int after;

    d_step { /* memory from before: all slots seem to have all addresses */
        for (i : 0 .. SLOTS - 1) {
            mem[BOUNDS(i)] = bounds(0, KEYS - 1);
            mem[TARGET(i)] = JUNK
        }
        i = 0;
        begun = true
    }
end:
    do
    :: edit(0, 2, 1)
    :: edit(1, 1, 0)
    :: edit(1, 1, 5)
    :: edit(1, 1, 9)
    od
}

/* The slots that have an address, of those in a mask. */
inline match(mask)
{
    hit = 0;
    for (i : 0 .. SLOTS - 1) {
        if
        :: ((mask >> i) & 1) && has(mem[BOUNDS(i)], key[r], key[r]) -> hit = hit | (1 << i)
        :: else
        fi
    }
    i = 0
}

active [READERS] proctype reader()
{
    byte r, i, mask, hit;

    r = _pid % READERS;
    begun;
end:
    do
    :: atomic {
        if
        :: i = r
        :: i = r + 1
        fi;
        ask(r, i);
#if MUTANT == 4
        d_step { match(15) }
#else
        mask = mem[LIVE]; /* ACQ-LIVE */
        i = 0
#endif
       }
#if MUTANT == 4
       d_step { mask = mem[LIVE]; hit = hit & mask }
#else
       d_step { match(mask) }
#endif
       d_step {
        if
        :: hit == 0 -> answer(r, 0)
        :: else ->
            assert((hit & (hit - 1)) == 0); /* mappings do not overlap */
            do
            :: ((hit >> i) & 1) == 0 -> i++
            :: else -> break
            od;
            answer(r, mem[TARGET(i)] + key[r] - first_of(mem[BOUNDS(i)]))
        fi;
        i = 0;
        mask = 0;
        hit = 0
       }
    od
}
