/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Transactions: many changes by one store of the root, or none.
 *
 *   begin         tide_txn_begin (txn.c): all that readers have is frozen
 *   change        tide__thaw (thaw.c), or a rebuild, on the transaction's tree: a frozen leaf, and a frozen
 *                 node above it, are copied, and noted down; what is the transaction's own is changed in
 *                 place
 *   remake        a leaf of its own is replaced, and free at once: free_if_private (retire.c)
 *   commit        tide_txn_commit: PUB-SEVERED, PUB-ROOT, PUB-SEVERED; then what was noted is retired
 *   abort         tide_txn_abort: tide__retire_private, tide__retire_aborted
 *   write         outside of transactions, a change of a leaf in place
 *   cursor        is_there (cursor.c), tide__seek_any (lookup.h)
 *
 * A tree of two leaves below one node, each the owner of one address; a leaf is one word, which stands for
 * mask and slots (leaf.pml). There are ROUNDS of writes or transactions. One reader has a cursor, the other
 * has none.
 *
 * Mutants: 1 the root is published before the nodes are filled, and the count (no release). 2 cursors are
 * not told. 3 the count is even before the store of the root. 4 a commit takes two stores. 5 a frozen leaf
 * is changed in place. 6 an abort retires what was noted. 7 an abort leaves what the transaction made. 8 a
 * commit forgets what was noted.
 */
#define READERS 2
#define NODES   9
#define ROUNDS  2
#define BUFFER  5

#define ROOT     0
#define SEVERED  1
#define LEAF(n)  (2 + (n)) /* what it maps; of a node of two leaves, which they are: 16 * left + right */
#define THERE    (2 + NODES) /* what was stored to the fresh nodes is visible */
#define WORDS    (3 + NODES)

#define poison(n) mem[LEAF(n)] = 0; fresh = fresh & ~bit_of(n)

int fresh; /* nodes of the latest commit */

#include "common.pml"

/* The trees of the writer: of readers, and of the transaction. */
byte root, leaf[2], work_root, work[2];
int mapped, work_mapped;
int noted;   /* frozen nodes that the transaction has taken out of its tree */
byte severed; /* as stored */

#define is_frozen(n)  ((n) == root || (n) == leaf[0] || (n) == leaf[1])
#define tree_nodes    (bit_of(root) | bit_of(leaf[0]) | bit_of(leaf[1]))
#define work_nodes    (bit_of(work_root) | bit_of(work[0]) | bit_of(work[1]))
#define pair(a, b)    ((a) << 4 | (b))

inline copy_root()
{
    if
    :: is_frozen(work_root) ->
        get_node(i);
        noted = noted | bit_of(work_root);
        work_root = i;
        i = 0
    :: else
    fi;
    mem[LEAF(work_root)] = pair(work[0], work[1])
}

/* Within the transaction: nobody sees these stores before the root. */
inline change(a, value)
{
    if
    :: is_frozen(work[a]) && MUTANT != 5 ->
        get_node(i);
        noted = noted | bit_of(work[a]);
        work[a] = i;
        i = 0;
        copy_root()
    :: else
    fi;
    mem[LEAF(work[a])] = value;
    work_mapped = with_value(work_mapped, a, value)
}

inline remake(a)
{
    get_node(i);
    mem[LEAF(i)] = mem[LEAF(work[a])];
    free_node(work[a]);
    work[a] = i;
    i = 0;
    mem[LEAF(work_root)] = pair(work[0], work[1])
}

inline commit()
{
    fresh = work_nodes & ~tree_nodes;
    mem[THERE] = 0;
    store_relaxed(THERE, 1);
#if MUTANT == 3
    store_relaxed(SEVERED, severed + 1);
    severed = severed + 2;
    store_relaxed(SEVERED, severed);
#elif MUTANT != 2
    store_relaxed(SEVERED, severed + 1);
#endif
#if MUTANT == 4
    store_release(LEAF(root), pair(work[0], leaf[1]), NOTHING); /* a part of it is seen before */
#endif
    put(ROOT, work_root, MUTANT != 1, work_mapped);
#if MUTANT != 2 && MUTANT != 3
    severed = severed + 2;
    store_release(SEVERED, severed, NOTHING);
#endif
    root = work_root;
    leaf[0] = work[0];
    leaf[1] = work[1];
    mapped = work_mapped;
#if MUTANT != 8
    if
    :: noted != 0 -> retire(noted)
    :: else
    fi;
#endif
    noted = 0
}

inline abort()
{
#if MUTANT == 6
    if
    :: noted != 0 -> retire(noted)
    :: else
    fi;
#endif
    noted = 0;
#if MUTANT != 7
    for (i : 0 .. NODES - 1) {
        if
        :: ((work_nodes & ~tree_nodes) >> i) & 1 -> free_node(i)
        :: else
        fi
    }
    i = 0
#endif
}

active proctype writer()
{
    byte i, changes, rounds;

    d_step {
        used = 7;
        root = 0;
        leaf[0] = 1;
        leaf[1] = 2;
        mem[LEAF(0)] = pair(1, 2);
        mem[LEAF(1)] = 1;
        mem[LEAF(2)] = 1;
        mapped = 17;
        map = 17;
        begun = true
    }
    do
    :: d_step { /* nothing is lost, and nothing is left over */
        under_way == 0 ->
        assert(map == mapped && (used & ~retired & ~waiting) == tree_nodes);
        fresh = 0
       };
       if
       :: rounds == ROUNDS -> break
       :: else -> rounds++
       fi;
       if
       :: atomic { /* write */
            if
            :: i = 0
            :: i = 1
            fi;
            mapped = with_value(mapped, i, 3 - value_at(mapped, i));
            store_release(LEAF(leaf[i]), value_at(mapped, i), mapped);
            i = 0
          }
       :: atomic { /* a transaction: until the commit nobody else is concerned */
            retired == 0 ->
            work_root = root;
            work[0] = leaf[0];
            work[1] = leaf[1];
            work_mapped = mapped;
            do
            :: changes < 2 -> changes++; change(0, 3 - value_at(work_mapped, 0))
            :: changes < 2 -> changes++; change(1, 3 - value_at(work_mapped, 1))
            :: changes < 2 && work[0] != leaf[0] && MUTANT != 5 -> changes++; remake(0)
            :: work_mapped != mapped -> commit(); break
            :: changes != 0 -> abort(); break
            od;
            changes = 0;
            work_root = 0;
            work[0] = 0;
            work[1] = 0;
            work_mapped = 0
          }
       fi
    od;
    (retired | waiting) == 0;
    assert(used == tree_nodes)
}

#define is_there(n) (is_used(n) && (((fresh >> (n)) & 1) == 0 || mem[THERE]))

inline forget()
{
    kept[r] = NONE;
    had = 0;
    severed_then = 0
}

active [READERS] proctype reader()
{
    byte r, i, had, severed_then;

    atomic {
        begun;
        r = _pid % READERS
    };
end:
    do
    :: atomic {
        if
        :: i = 0
        :: i = 1
        fi;
        ask(r, i);
        i = 0;
        enter(r);
        if
        :: kept[r] == NONE || had >> 4 != key[r] || severed_then != mem[SEVERED] -> goto down /* ACQ-SEVERED */
        :: else
        fi
       };
       atomic {
        assert(is_used(kept[r]));
        if
        :: mem[LEAF(kept[r])] == (had & 15) -> /* ACQ-LIVE: its bit is there */
            answer(r, had & 15);
            goto answered
        :: else
        fi
       };
down:
       atomic {
        forget();
        severed_then = mem[SEVERED] /* ACQ-SEVERED */
       };
       atomic {
        at[r] = mem[ROOT]; /* ACQ-ROOT */
        assert(is_there(at[r]))
       };
       atomic {
        at[r] = (mem[LEAF(at[r])] >> (key[r] == 0 -> 4 : 0)) & 15; /* ACQ-CHILD */
        assert(is_there(at[r]))
       };
       atomic {
        if
        :: r == 0 && (severed_then & 1) == 0 ->
            had = pair(key[r], mem[LEAF(at[r])]); /* ACQ-LIVE */
            kept[r] = at[r]
        :: else -> severed_then = 0
        fi;
        answer(r, mem[LEAF(at[r])]);
        at[r] = NONE
       };
answered:
       atomic {
        if
        :: kept[r] != NONE /* stay in the section */
        :: leave(r); forget()
        fi
       }
    od
}
