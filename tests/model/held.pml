/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Snapshots, and what they hold of what has left the tree: epochs, lists, releases in any order.
 *
 *   take        tide_snapshot_take (snapshot.c), tide__freeze (version.c)
 *   change      tide__thaw (thaw.c): what is frozen is copied and retired; then in place
 *   exchange    tide__edit_rebuild (rebuild.c): a new parent with one child as it was; the other goes with
 *               the old parent, unseen
 *   drop, make  all is unmapped, one subtree; and mapped again
 *   flush       flush (retire.c): what was retired is handed over, with the epoch of its death
 *   over        grace_period_over: no reader from before is left
 *   collect     collect, free_chain (retire.c); tide__held_take, sift_item, sift_children (held.c)
 *   release     tide_snapshot_release, from any thread; later, by the writer, tide__snapshot_free and
 *               tide__held_release
 *
 * A tree is empty, or two leaves below one node. Stores are seen in order: that the orders suffice is for
 * the other models. One reader, for the states there are; and two snapshots with a thread each. The writer
 * makes CHANGES changes. Epochs are not given anew, and no transaction is open while a snapshot is taken,
 * as in the library.
 *
 * Whenever a node is freed, neither the tree, nor a snapshot that is not released, nor the reader has it.
 * After each step all nodes in use are in the tree or in a list, once (I6).
 *
 * Mutants: 1 nothing is held. 2 nothing is frozen. 3 what the released one held is freed, whatever the
 * older needs. 4 what leaves the tree goes to the oldest snapshot. 5 it is held at once, and is freed with no
 * grace period when that is released. 6 the death is the epoch before. 7 a sieve forgets the children of a
 * node that is too young. 8 it does not free the node itself when one
 * child is left.
 */
#ifndef MUTANT
#define MUTANT 0
#endif

#define NODES     11
#define ITEMS     6
#define SNAPSHOTS 2
#define CHANGES   4
#define NONE      255

/* Nodes: of two leaves, if there is a left one; or a leaf with a value. */
byte kid[2 * NODES] = NONE, value[NODES], epoch[NODES];
int used;

byte root = NONE, now = 1, frozen; /* now: tree->epoch */

/* Lists: items of retired nodes, each with the children first..last (none: 1..0). Where it is: nowhere,
   in the open chain, with the RCU, over; or held by a snapshot. */
#define NOWHERE 0
#define OPEN    1
#define WAITS   2
#define OVER    3
#define HELD(s) (4 + (s))
byte word[ITEMS] = NONE, first[ITEMS], last[ITEMS], where[ITEMS];
byte death; /* of the chain with the RCU; there is one at a time */
bool reader_waited;

/* Snapshots: in the list of the tree from the taking until the writer has seen the release. */
byte snap_state[SNAPSHOTS]; /* 0 not taken, 1 held by its thread, 2 released, 3 gone */
byte snap_epoch[SNAPSHOTS], snap_root[SNAPSHOTS], snap_map[SNAPSHOTS];

/* The map: two bits for each address; 0 is nothing. */
byte map;
byte ok, key, at = NONE;
bool in_section;

#define bit_of(n)    (1 << (n))
#define is_used(n)   ((used >> (n)) & 1)
#define left_of(n)   kid[2 * (n)]
#define right_of(n)  kid[2 * (n) + 1]
#define has(t, n)    ((t) != NONE && ((t) == (n) || left_of(t) == (n) || right_of(t) == (n)))
#define shows(s, n)  (snap_state[s] == 1 && has(snap_root[s], n))
#define is_shown(n)  (shows(0, n) || shows(1, n))
#define frozen_at(n) (epoch[n] <= frozen && MUTANT != 2)
#define value_at(m, a) (((m) >> (2 * (a))) & 3)

inline get_node(n)
{
    n = 0;
    do
    :: is_used(n) -> n++
    :: else -> break
    od;
    assert(n < NODES);
    used = used | bit_of(n);
    epoch[n] = now
}

inline free_node(n)
{
    assert(is_used(n) && !has(root, n) && !is_shown(n) && at != n);
    used = used & ~bit_of(n);
    value[n] = 0;
    epoch[n] = 0;
    left_of(n) = NONE;
    right_of(n) = NONE
}

inline retire(n, from, to)
{
    k = 0;
    do
    :: where[k] != NOWHERE -> k++
    :: else -> break
    od;
    word[k] = n;
    first[k] = from;
    last[k] = to;
    where[k] = OPEN
}

inline forget_item(i)
{
    word[i] = NONE;
    first[i] = 0;
    last[i] = 0;
    where[i] = NOWHERE
}

inline changed()
{
    map = (root == NONE -> 0 : value[left_of(root)] | value[right_of(root)] << 2);
    if
    :: ok != 0 -> ok = ok | (1 << value_at(map, key))
    :: else
    fi
}

/* What snapshot s needs of an item is held by it, the rest is freed. */
inline sift(i, s)
{
    if
    :: epoch[word[i]] <= snap_epoch[s] && MUTANT != 1 -> where[i] = HELD(s) /* and all below it */
    :: !(epoch[word[i]] <= snap_epoch[s] && MUTANT != 1) && first[i] > last[i] ->
        free_node(word[i]);
        forget_item(i)
    :: else ->
        kept = 0;
        child = NONE;
        for (k : first[i] .. last[i]) {
            n = kid[2 * word[i] + k];
            if
            :: epoch[n] <= snap_epoch[s] && MUTANT != 7 && MUTANT != 1 ->
                kid[2 * word[i] + kept] = n;
                kept++;
                child = n
            :: else -> free_node(n)
            fi
        }
        if
        :: kept == 2 -> /* it keeps them together */
            assert(!has(root, word[i]) && !is_shown(word[i]) && at != word[i]);
            first[i] = 0;
            last[i] = 1;
            where[i] = HELD(s)
        :: kept == 1 ->
#if MUTANT != 8
            free_node(word[i]);
#endif
            word[i] = child;
            first[i] = 1;
            last[i] = 0;
            where[i] = HELD(s)
        :: else ->
            free_node(word[i]);
            forget_item(i)
        fi;
        kept = 0;
        child = 0;
        k = 0;
        n = 0
    fi
}

inline free_item(i)
{
    if
    :: first[i] <= last[i] ->
        for (k : first[i] .. last[i]) {
            n = kid[2 * word[i] + k];
            free_node(n)
        }
    :: else
    fi;
    free_node(word[i]);
    forget_item(i);
    k = 0;
    n = 0
}

/* The newest snapshot in the list with an epoch below e, or SNAPSHOTS. (4: the oldest.) */
#define in_list(s) (snap_state[s] == 1 || snap_state[s] == 2)
inline find_older(e)
{
    older = SNAPSHOTS;
    for (k : 0 .. SNAPSHOTS - 1) {
        if
        :: in_list(k) && snap_epoch[k] < (e) &&
           (older == SNAPSHOTS || (snap_epoch[k] > snap_epoch[older] && MUTANT != 4) ||
            (snap_epoch[k] < snap_epoch[older] && MUTANT == 4)) -> older = k
        :: else
        fi
    }
    k = 0
}

/* Give the items that are somewhere to the snapshot that was found, or free them. */
inline give(from)
{
    for (i : 0 .. ITEMS - 1) {
        if
        :: where[i] == (from) ->
            if
            :: older == SNAPSHOTS -> free_item(i)
            :: else -> sift(i, older)
            fi
        :: else
        fi
    }
    i = 0;
    older = 0
}

/* tide__frozen_by_snapshots */
inline thaw_what_is_free()
{
    find_older(255);
    frozen = (older == SNAPSHOTS -> 0 : snap_epoch[older]);
    older = 0
}

#define items_at(i) (where[i] == NOWHERE -> 0 : 1 + (first[i] <= last[i] -> last[i] - first[i] + 1 : 0))
#define listed      (items_at(0) + items_at(1) + items_at(2) + items_at(3) + items_at(4) + items_at(5))
#define any_at(w)   (where[0] == (w) || where[1] == (w) || where[2] == (w) || where[3] == (w) || \
                     where[4] == (w) || where[5] == (w))
#define spare(i)    (where[i] == NOWHERE -> 1 : 0)
#define spare_items (spare(0) + spare(1) + spare(2) + spare(3) + spare(4) + spare(5))

inline count_all()
{
    k = 0;
    for (i : 0 .. NODES - 1) {
        k = k + is_used(i)
    }
    assert(k == listed + (root == NONE -> 0 : 3));
    i = 0;
    k = 0
}

inline change(a)
{
    leaf = kid[2 * root + a];
    if
    :: frozen_at(leaf) ->
        get_node(copy);
        value[copy] = value[leaf];
        if
        :: frozen_at(root) ->
            get_node(parent);
            kid[2 * parent + a] = copy;
            kid[2 * parent + 1 - a] = kid[2 * root + 1 - a];
            n = root;
            root = parent;
            retire(leaf, 1, 0);
            retire(n, 1, 0)
        :: else ->
            kid[2 * root + a] = copy;
            retire(leaf, 1, 0)
        fi;
        leaf = copy
    :: else
    fi;
    value[leaf] = 3 - value[leaf];
    changed();
    leaf = 0; copy = 0; parent = 0; n = 0; k = 0
}

inline make()
{
    get_node(parent);
    get_node(n);
    left_of(parent) = n;
    value[n] = 1;
    get_node(n);
    right_of(parent) = n;
    value[n] = 1;
    root = parent;
    changed();
    parent = 0;
    n = 0
}

inline exchange()
{
    get_node(parent);
    get_node(copy);
    value[copy] = 3 - value[right_of(root)];
    left_of(parent) = left_of(root);
    right_of(parent) = copy;
    n = root;
    root = parent;
    retire(n, 1, 1);
    changed();
    parent = 0; copy = 0; n = 0; k = 0
}

inline drop()
{
    n = root;
    root = NONE;
    retire(n, 0, 1);
    changed();
    n = 0;
    k = 0
}

inline collect_released(s)
{
    snap_state[s] = 3;
    find_older(snap_epoch[s]);
#if MUTANT == 3
    older = SNAPSHOTS;
#endif
    give(HELD(s));
    snap_root[s] = NONE;
    snap_map[s] = 0;
    thaw_what_is_free()
}

active proctype writer()
{
    byte i, k, n, leaf, copy, parent, child, kept, older, changes, taken;

    d_step {
        make();
        changes = 0
    };
    do
    :: d_step { changes < CHANGES && root != NONE && spare_items >= 2 -> changes++; change(0); count_all() }
    :: d_step { changes < CHANGES && root != NONE && spare_items >= 2 -> changes++; exchange(); count_all() }
    :: d_step { changes < CHANGES && root != NONE && spare_items >= 2 -> changes++; drop(); count_all() }
    :: d_step { changes < CHANGES && root == NONE -> changes++; make(); count_all() }
    :: d_step { /* take */
        taken < SNAPSHOTS ->
        frozen = now;
        snap_epoch[taken] = now;
        now++;
        snap_root[taken] = root;
        snap_map[taken] = map;
        snap_state[taken] = 1;
        taken++
       }
    :: d_step { /* flush */
        any_at(OPEN) && !any_at(WAITS) && !any_at(OVER) ->
        death = now - (MUTANT == 6 -> 1 : 0);
        for (i : 0 .. ITEMS - 1) {
            if
            :: where[i] == OPEN -> where[i] = (MUTANT == 5 -> OVER : WAITS)
            :: else
            fi
        }
        reader_waited = in_section && MUTANT != 5;
        i = 0
       }
    :: d_step { /* over; by the RCU */
        any_at(WAITS) && !reader_waited ->
        for (i : 0 .. ITEMS - 1) {
            if
            :: where[i] == WAITS -> where[i] = OVER
            :: else
            fi
        }
        i = 0
       }
    :: d_step { /* collect a chain */
        any_at(OVER) ->
        find_older(death);
        give(OVER);
        death = 0;
        thaw_what_is_free();
        count_all()
       }
    :: d_step { snap_state[0] == 2 -> collect_released(0); count_all() }
    :: d_step { snap_state[1] == 2 -> collect_released(1); count_all() }
    :: changes == CHANGES && taken == SNAPSHOTS && snap_state[0] == 3 && snap_state[1] == 3 &&
       spare_items == ITEMS -> break
    od;
    atomic {
        for (i : 0 .. NODES - 1) {
            assert(is_used(i) == has(root, i)) /* nothing is left over */
        }
    }
}

/* A thread with a snapshot: it is what it was when it was taken. */
active [SNAPSHOTS] proctype holder()
{
    byte s, n;

    s = _pid % SNAPSHOTS;
    snap_state[s] == 1;
    do
    :: d_step {
        n = snap_root[s];
        if
        :: n == NONE -> assert(snap_map[s] == 0)
        :: else ->
            assert(is_used(n) && is_used(left_of(n)) && is_used(right_of(n)));
            assert((value[left_of(n)] | value[right_of(n)] << 2) == snap_map[s])
        fi;
        n = 0
       }
    :: snap_state[s] = 2 -> break
    od
}

/* A reader of the tree, in its section. */
active proctype reader()
{
end:
    do
    :: d_step {
        in_section = true;
        ok = 1 << value_at(map, 0);
        at = root
       };
       if
       :: at != NONE ->
          d_step { assert(is_used(at)); at = left_of(at) };
          d_step {
            assert(is_used(at) && ((ok >> value[at]) & 1));
            ok = 0;
            at = NONE
          }
       :: else -> ok = 0
       fi;
       d_step {
        in_section = false;
        reader_waited = false
       }
    od
}
