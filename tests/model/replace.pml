/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A leaf that has run out of slots is replaced by a copy, and cursors that have the old one.
 *
 *   map, in place    map_in_place (write.c): a fresh slot, PUB-LIVE
 *   map, by a copy   map_into_copy (write.c): tide__leaf_copy, tide__leaf_fill, tide__publish_leaving
 *                    (PUB-DEAD), PUB-CHILD, tide__retire
 *   unmap            unmap_in_place (write.c)
 *   grace period     flush, grace_period_over, collect (retire.c)
 *   cursor           is_there (cursor.c), tide__seek_any (lookup.h): its mapping, its leaf, the way down
 *
 * The leaf owns two addresses and has two slots. That slots are there before their bits is shown by
 * leaf.pml; here the words are the live masks, and one for each new node as a whole. The parent is the
 * word that points to the leaf. The writer goes on for ever. One reader has
 * a cursor, the other has none.
 *
 * Mutants: 1 the child pointer is published before the copy is filled (no release). 2 no dead mark. 3 the
 * old leaf is retired before it is unlinked. 4 it is freed with no grace period. 5 a grace period does not
 * wait for one of the readers.
 */
#define READERS 2
#define KEYS    2
#define SLOTS   2
#define NODES   3
#define BUFFER  3

#define CHILD    0
#define LIVE(n)  (1 + 2 * (n))
#define THERE(n) (2 + 2 * (n)) /* all that was stored to a new node is visible */
#define WORDS    (1 + 2 * NODES)
#define DEAD       4 /* in a live mask */

#define slot_of(address, value) ((address) << 4 | (value))
#define address_in(slot)        ((slot) >> 4)
#define value_in(slot)          ((slot) & 15)
byte slots[SLOTS * NODES]; /* of all nodes: nobody looks at what is not live */
#define poison(n)        \
    mem[LIVE(n)] = 0;    \
    mem[THERE(n)] = 0;   \
    slots[2 * (n)] = 0;  \
    slots[2 * (n) + 1] = 0

#if MUTANT == 5
#define waits_for (sections & 1)
#endif

#include "common.pml"

/* What the writer has stored, visible or not. */
byte leaf, live, used_slots;
int mapped;

inline unmap(address)
{
    d_step {
        under_way == 0 && value_at(mapped, address) != 0 ->
        i = (((live & 1) && address_in(slots[2 * leaf]) == address) -> 0 : 1);
        live = live & ~(1 << i);
        mapped = with_value(mapped, address, 0);
        store_release(LIVE(leaf), live, mapped);
        i = 0
    }
}

inline map_in_place(address, value)
{
    d_step {
        under_way == 0 && used_slots != 3 && value_at(mapped, address) == 0 ->
        i = used_slots & 1;
        slots[2 * leaf + i] = slot_of(address, value);
        used_slots = used_slots | (1 << i);
        live = live | (1 << i);
        mapped = with_value(mapped, address, value);
        store_release(LIVE(leaf), live, mapped);
        i = 0
    }
}

/* The live slot keeps its place; the other one is given away. */
inline map_into_copy(address, value)
{
    d_step {
        under_way == 0 && used_slots == 3 && live != 3 && used != 7 && value_at(mapped, address) == 0 ->
        get_node(copy);
        i = live & 1;
        slots[2 * copy + i] = slot_of(address, value);
        slots[2 * copy + 1 - i] = (live != 0 -> slots[2 * leaf + 1 - i] : 0);
        used_slots = live | (1 << i);
        mapped = with_value(mapped, address, value);
        mem[LIVE(copy)] = used_slots;
        store_relaxed(THERE(copy), 1);
#if MUTANT != 2
        store_relaxed(LIVE(leaf), live | DEAD);
#endif
#if MUTANT == 3
    };
    d_step {
        retire(bit_of(leaf))
    };
    d_step {
#endif
        put(CHILD, copy, MUTANT != 1, mapped);
        i = leaf;
        leaf = copy;
        live = used_slots;
        copy = 0
    };
#if MUTANT == 4
    d_step { under_way == 0 -> free_node(i); i = 0 }
#elif MUTANT == 3
    i = 0
#else
    d_step { retire(bit_of(i)); i = 0 }
#endif
}

active proctype writer()
{
    byte i, copy;

    d_step {
        used = bit_of(0);
        mem[THERE(0)] = 1;
        slots[0] = slot_of(0, 1);
        used_slots = 1;
        live = 1;
        mem[LIVE(0)] = 1;
        mapped = 1;
        map = 1;
        begun = true
    }
end:
    do
    :: map_in_place(1, 1)
    :: map_into_copy(1, 1)
    :: unmap(1)
    :: unmap(0)
    od
}

/* Which of the slots in a mask has the address. */
inline match(n, mask)
{
    d_step {
        assert(is_used(n));
        i = SLOTS;
        if
        :: ((mask) & 1) && address_in(slots[2 * (n)]) == key[r] -> i = 0
        :: else
        fi;
        if
        :: ((mask) & 2) && address_in(slots[2 * (n) + 1]) == key[r] ->
            assert(i == SLOTS);
            i = 1
        :: else
        fi
    }
}

/* The cursor has this slot of this leaf. */
inline remember(n)
{
    kept[r] = n;
    had = 1 << i;
    slot = slots[2 * (n) + i]
}

inline forget()
{
    kept[r] = NONE;
    had = 0;
    slot = 0
}

active [READERS] proctype reader()
{
    byte r, i, mask, had, slot;

    r = _pid % READERS;
    begun;
end:
    do
    :: enter(r);
       do
       :: atomic {
            if
            :: r == 0 -> ask(r, 0)
            :: ask(r, 1)
            fi;
            if
            :: kept[r] == NONE -> goto down
            :: else
            fi;
            mask = mem[LIVE(kept[r])]; /* ACQ-LIVE */
            assert(is_used(kept[r]));
            if
            :: mask & DEAD -> goto down
            :: (mask & DEAD) == 0 && address_in(slot) == key[r] && (mask & had) != 0 -> /* is_there */
                answer(r, value_in(slot));
                mask = 0;
                goto answered
            :: else
            fi
          };
          atomic { /* tide__seek_any, first half */
            match(kept[r], mask);
            if
            :: i < SLOTS ->
                remember(kept[r]);
                answer(r, value_in(slot));
                i = 0;
                mask = 0;
                goto answered
            :: else
            fi
          };
down:
          atomic {
            at[r] = mem[CHILD]; /* ACQ-CHILD */
            assert(is_used(at[r]) && mem[THERE(at[r])]);
            forget();
            i = 0;
            mask = 0
          };
          mask = mem[LIVE(at[r])] & ~DEAD; /* ACQ-LIVE */
          atomic {
            match(at[r], mask);
            if
            :: i < SLOTS ->
                remember(at[r]);
                answer(r, value_in(slot))
            :: else -> answer(r, 0)
            fi;
            if
            :: r == 1 -> forget() /* no cursor */
            :: else
            fi;
            at[r] = NONE;
            i = 0;
            mask = 0
          };
answered:
          skip
       :: break
       od;
       atomic {
        forget();
        leave(r)
       }
    od
}
