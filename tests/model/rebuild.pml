/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Changes over several leaves, published by one store at the node above them all: separators move, a
 * subtree is dropped unseen, a leaf stays under a new parent, gaps change hands.
 *
 *   unmap 1..3       tide__edit_rebuild (rebuild.c): two leaves are cut, what is between goes with its
 *                    parent; tell_cursors (PUB-DEAD, PUB-SEVERED), PUB-CHILD, tide__publish_severed, finish
 *   map 1..3         the same where the separator is in its way; else map_in_place (write.c)
 *   unmap it         unmap_in_place
 *   then one of      unmap_in_place that leaves a leaf empty; tide__edit_rebuild where it goes and its
 *                    neighbour is all that is left; tide__split (split.c) where the full leaf stays
 *   map in a gap     map_in_place
 *   cursor           is_there (cursor.c), tide__seek_any (lookup.h)
 *
 * TOP is the child pointer of the common ancestor, or the root. The writer goes through this once, in every
 * way. One reader has a cursor and asks for 2 and 4, the other has none and asks for 1. New nodes have one
 * word together that says whether what was stored to them is visible; slots are those of leaf.pml.
 *
 * Mutants: 1 TOP is published before the nodes are filled and the dead marks made (no release). 2 a cut in
 * two leaves takes two stores. 3 no dead marks. 4 no count of severed subtrees. 5 the count is even before
 * the unlinking. 6 dead marks come after the unlinking. 7 what goes with its parent is freed with no grace
 * period. 8 a reader loads the count after its way down. 9 it remembers a leaf at an odd count. 10 a miss
 * in the leaf remembered is an answer. 11 a mapping across a separator is put into one leaf. 12 a node is
 * not retired.
 */
#define READERS 2
#define SLOTS   3
#define NODES   12
#define BUFFER  6

#define TOP       0
#define SEVERED   1
#define LIVE(n)   (2 + (n))
#define THERE(op) (2 + NODES + (op)) /* 0: what the model begins with */
#define WORDS     (2 + NODES + 4)
#define DEAD      8 /* in a live mask */

/* A slot: bounds and value in one number. */
#define slot_of(s, l, value)  (((s) * 5 + (l)) << 3 | (value))
#define first_of(slot)        (((slot) >> 3) / 5)
#define last_of(slot)         (((slot) >> 3) % 5)
#define value_in(slot)        ((slot) & 7)
#define has(slot, address)    (first_of(slot) <= (address) && (address) <= last_of(slot))
#define map_of(a, b, c, d, e) ((a) | (b) << 4 | (c) << 8 | (d) << 12 | (e) << 16)

#define poison(n) skip

#include "common.pml"

byte slots[SLOTS * NODES]; /* of leaves */
byte kids[3 * NODES], separators[2 * NODES], count[NODES]; /* of inner nodes; count is 0 in a leaf */
byte made[NODES]; /* by which operation */

byte live[NODES]; /* what the writer has stored */

inline make_leaf(n, op, slot)
{
    used = used | bit_of(n);
    made[n] = op;
    slots[SLOTS * n] = slot;
    live[n] = 1;
    mem[LIVE(n)] = 1
}

inline make_inner(n, op, children, kid0, separator0, kid1, separator1, kid2)
{
    used = used | bit_of(n);
    made[n] = op;
    count[n] = children;
    kids[3 * n] = kid0;
    separators[2 * n] = separator0;
    kids[3 * n + 1] = kid1;
    separators[2 * n + 1] = separator1;
    kids[3 * n + 2] = kid2
}

inline dead(n)
{
#if MUTANT != 3
    store_relaxed(LIVE(n), live[n] | DEAD)
#else
    skip
#endif
}

#if MUTANT == 6
#define dead_before(n) skip
#define dead_after(n)  store_release(LIVE(n), live[n] | DEAD, NOTHING)
#else
#define dead_before(n) dead(n)
#define dead_after(n)  skip
#endif

#define publish_top(n, after) put(TOP, n, MUTANT != 1, after)

byte parent, left, right, owner;
int mapped;

#define all_is_done (under_way == 0 && retired == 0 && waiting == 0)

active proctype writer()
{
    byte separator;

    d_step {
        make_leaf(1, 0, slot_of(0, 1, 1));
        make_leaf(2, 0, slot_of(2, 2, 2));
        make_leaf(3, 0, slot_of(3, 4, 3));
        make_inner(0, 0, 3, 1, 1, 2, 2, 3);
        mem[THERE(0)] = 1;
        map = map_of(1, 1, 2, 3, 3);
        begun = true
    }

    /* Unmap 1..3: the gap is divided somehow. */
    if
    :: separator = 2
    :: separator = 3
    fi;
    d_step {
        left = 4;
        right = 5;
        parent = 6;
        make_leaf(4, 1, slot_of(0, 0, 1));
        make_leaf(5, 1, slot_of(4, 4, 3));
        make_inner(6, 1, 2, 4, separator, 5, 0, 0);
        store_relaxed(THERE(1), 1);
        dead_before(1);
        dead_before(3);
#if MUTANT != 4
        store_relaxed(SEVERED, 1);
#endif
#if MUTANT == 5
        store_relaxed(SEVERED, 2)
#endif
    };
#if MUTANT == 2
    d_step { under_way == 0 -> kids[0] = 4 }; /* a store of its own */
#endif
    d_step {
        mapped = map_of(1, 0, 0, 0, 3);
        publish_top(6, mapped)
    };
#if MUTANT == 6
    d_step { room(2) -> dead_after(1); dead_after(3) };
#endif
    d_step {
        room(1) ->
#if MUTANT != 4 && MUTANT != 5
        store_release(SEVERED, 2, NOTHING);
#endif
#if MUTANT == 12
        retire(bit_of(0) | bit_of(1) | bit_of(3))
#elif MUTANT != 7
        retire(bit_of(0) | bit_of(1) | bit_of(2) | bit_of(3))
#else
        retire(bit_of(0) | bit_of(1) | bit_of(3))
#endif
    };
#if MUTANT == 7
    d_step { under_way == 0 -> free_node(2) };
#endif

    /* Map 1..3. */
    mapped = map_of(1, 4, 4, 4, 3);
    if
    :: d_step {
        separator == 3 && under_way == 0 ->
        owner = left;
        slots[SLOTS * owner + 1] = slot_of(1, 3, 4);
        live[owner] = 3;
        store_release(LIVE(owner), 3, mapped)
       }
#if MUTANT == 11
    :: d_step {
        separator == 2 && under_way == 0 ->
        owner = right;
        slots[SLOTS * owner + 1] = slot_of(1, 3, 4);
        live[owner] = 3;
        store_release(LIVE(owner), 3, mapped)
       }
#else
    :: atomic {
        separator == 2 && under_way == 0 ->
        if
        :: separator = 0
        :: separator = 3
        fi;
        d_step {
            left = 7;
            right = 8;
            parent = 9;
            make_leaf(7, 2, slot_of(0, 0, 1));
            make_leaf(8, 2, slot_of(4, 4, 3));
            make_inner(9, 2, 2, 7, separator, 8, 0, 0);
            owner = (separator == 3 -> 7 : 8);
            slots[SLOTS * owner + 1] = slot_of(1, 3, 4);
            live[owner] = 3;
            mem[LIVE(owner)] = 3;
            store_relaxed(THERE(2), 1);
            dead(4);
            dead(5);
            publish_top(9, mapped)
        };
        retire(bit_of(4) | bit_of(5) | bit_of(6))
       }
#endif
    fi;

    /* Unmap it. */
    d_step {
        under_way == 0 ->
        mapped = map_of(1, 0, 0, 0, 3);
        live[owner] = 1;
        store_release(LIVE(owner), 1, mapped)
    };

    if
    :: d_step { /* unmap 4: the leaf stays, with nothing mapped */
        under_way == 0 ->
        mapped = map_of(1, 0, 0, 0, 0);
        live[right] = 0;
        store_release(LIVE(right), 0, mapped)
       };
       d_step { /* map 4 */
        under_way == 0 ->
        mapped = map_of(1, 0, 0, 0, 5);
        slots[SLOTS * right + 2] = slot_of(4, 4, 5);
        live[right] = 4;
        store_release(LIVE(right), 4, mapped)
       }
    :: d_step { /* unmap 4: the leaf goes, and the other is all there is */
        under_way == 0 ->
        mapped = map_of(1, 0, 0, 0, 0);
        dead_before(right);
        publish_top(left, mapped);
        dead_after(right);
        retire(bit_of(right) | bit_of(parent));
        right = NONE;
        parent = NONE
       };
       d_step { /* map 4, in the leaf that has been given the gap */
        under_way == 0 ->
        mapped = map_of(1, 0, 0, 0, 5);
        slots[SLOTS * left + 2] = slot_of(4, 4, 5);
        live[left] = live[left] | 4;
        store_release(LIVE(left), live[left], mapped)
       }
    :: d_step { /* map 1: a full leaf stays, and what follows it is given the gap */
        separator == 3 && under_way == 0 ->
        mapped = map_of(1, 6, 0, 0, 3);
        make_leaf(10, 3, slot_of(1, 1, 6));
        make_inner(11, 3, 3, left, 0, 10, 3, right);
        store_relaxed(THERE(3), 1);
        publish_top(11, mapped);
        retire(bit_of(parent));
        parent = 11
       }
    fi;

    /* Nothing is lost, and nothing is left over. */
    d_step {
        all_is_done ->
        assert(map == mapped);
        separator = 0;
        if
        :: right == NONE -> assert(used == bit_of(left))
        :: parent == 11 -> assert(used == (bit_of(left) | bit_of(right) | bit_of(10) | bit_of(11)))
        :: else -> assert(used == (bit_of(left) | bit_of(right) | bit_of(parent)))
        fi
    }
}

#define is_there(n) (is_used(n) && mem[THERE(made[n])])

/* Which of the live slots has the address: what a mask says is read as it was (leaf.pml). */
inline match(n)
{
    assert(is_there(n));
    hit = NONE;
    for (i : 0 .. SLOTS - 1) {
        if
        :: ((mem[LIVE(n)] >> i) & 1) && has(slots[SLOTS * (n) + i], key[r]) ->
            assert(hit == NONE);
            hit = i
        :: else
        fi
    }
    i = 0
}

inline remember(n, value_is)
{
    slot = slots[SLOTS * (n) + hit];
    answer(r, value_in(slot));
    slot = 0;
    if
    :: r == 0 && value_is ->
        kept[r] = n;
        had = 1 << hit
    :: else ->
        kept[r] = NONE;
        had = 0
    fi;
    hit = NONE
}

inline forget()
{
    kept[r] = NONE;
    had = 0;
    severed = 0
}

#define mapping_kept slots[SLOTS * kept[r] + (had == 1 -> 0 : (had == 2 -> 1 : 2))]

active [READERS] proctype reader()
{
    byte r, i, hit = NONE, had, slot, severed;

    atomic {
        begun;
        r = _pid % READERS
    };
end:
    do
    :: atomic {
        if
        :: r == 0 -> i = 2
        :: r == 0 -> i = 4
        :: r == 1 -> i = 1
        fi;
        ask(r, i);
        i = 0;
        enter(r);
        if
        :: kept[r] == NONE || severed != mem[SEVERED] -> goto down /* ACQ-SEVERED */
        :: else
        fi
       };
       atomic {
        assert(is_used(kept[r]));
        if
        :: mem[LIVE(kept[r])] & DEAD -> goto down /* ACQ-LIVE */
        :: (mem[LIVE(kept[r])] & (DEAD | had)) == had && has(mapping_kept, key[r]) ->
            answer(r, value_in(mapping_kept)); /* of the cursor's own mapping */
            goto answered
        :: else
        fi;
        match(kept[r]);
        if
        :: hit != NONE ->
            answer(r, value_in(slots[SLOTS * kept[r] + hit]));
            had = 1 << hit;
            hit = NONE;
            goto answered
        :: else
        fi;
#if MUTANT == 10
        answer(r, 0);
        goto answered
#endif
       };
down:
#if MUTANT != 8
       atomic {
        forget();
        severed = mem[SEVERED] /* ACQ-SEVERED */
       };
#endif
       atomic {
        at[r] = mem[TOP]; /* ACQ-CHILD, ACQ-ROOT */
        assert(is_there(at[r]))
       };
       if
       :: count[at[r]] != 0 ->
          d_step {
            if
            :: count[at[r]] > 1 && key[r] > separators[2 * at[r]] -> i = 1
            :: else
            fi;
            if
            :: count[at[r]] > 2 && key[r] > separators[2 * at[r] + 1] -> i = 2
            :: else
            fi;
            at[r] = kids[3 * at[r] + i]; /* ACQ-CHILD */
            i = 0
          }
       :: else
       fi;
#if MUTANT == 8
       severed = mem[SEVERED];
#endif
       atomic {
        match(at[r]); /* ACQ-LIVE */
        if
        :: hit != NONE -> remember(at[r], (severed & 1) == 0 || MUTANT == 9)
        :: else -> answer(r, 0); forget()
        fi;
        if
        :: kept[r] == NONE -> severed = 0
        :: else
        fi;
        at[r] = NONE
       };
answered:
       atomic {
        if
        :: r == 0 && kept[r] != NONE /* stay in the section */
        :: leave(r); forget()
        fi
       }
    od
}
