/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the models share: a memory in which the writer's stores become visible late and out of order, the
 * map that a lookup's answer is held to, and grace periods.
 *
 * A model defines WORDS (of memory), BUFFER (stores that may be under way), READERS, NODES and poison(n)
 * (what becomes of the memory of a free node), and includes this.
 */
#ifndef MUTANT
#define MUTANT 0
#endif

#define NONE 255 /* no node */

#ifndef waits_for
#define waits_for sections /* a grace period: for all readers that are in one */
#endif

/* ---------------------------------------------------------------------------------- the map -- */
/* What is mapped: four bits for each address, 0 where nothing is. */
#define value_at(m, address)    (((m) >> (4 * (address))) & 15)
#define with_value(m, address, value) (((m) & ~(15 << (4 * (address)))) | ((value) << (4 * (address))))

int map;
byte key[READERS]; /* what a reader asks for */
int ok[READERS];   /* the values that it has had since the question began, as bits; 0: there is no question */

inline ask(r, address)
{
    key[r] = address;
    ok[r] = 1 << value_at(map, address)
}

/* Each answer was true at some instant since the question. */
inline answer(r, value)
{
    assert((ok[r] >> (value)) & 1);
    key[r] = 0;
    ok[r] = 0
}

/* ------------------------------------------------------------------------------------ memory -- */
/* lib/atomic.h as the writer uses it: a store that is not a release may be overtaken by any later one to
   another word; a release waits for all before it. Readers load what is visible. */
#define NOTHING (-1)

typedef store { byte word, value; bool release; int after };
byte mem[WORDS];
store way[BUFFER];
byte under_way;
bool begun; /* the writer has made the tree that the model begins with */

/* after: what is mapped from the moment that this is visible, or NOTHING for no change. */
inline put(w, v, r, a)
{
    assert(under_way < BUFFER);
    way[under_way].word = w;
    way[under_way].value = v;
    way[under_way].release = r;
    way[under_way].after = a;
    under_way++
}

#define store_relaxed(w, v)    put(w, v, false, NOTHING)
#define store_release(w, v, a) put(w, v, true, a)
#define room(n)                (under_way + (n) <= BUFFER)

active proctype memory()
{
    byte i, j;
    bool may;

end:
    do
    :: atomic {
        under_way > 0 ->
        i = 0;
        do
        :: i + 1 < under_way -> i++
        :: break
        od;
        d_step {
            may = true;
            for (j : 0 .. BUFFER - 1) {
                if
                :: j < i && (way[i].release || way[j].word == way[i].word) -> may = false
                :: else
                fi
            }
            if
            :: may ->
                mem[way[i].word] = way[i].value;
                if
                :: way[i].after != NOTHING ->
                    map = way[i].after;
                    for (j : 0 .. READERS - 1) {
                        if
                        :: ok[j] != 0 -> ok[j] = ok[j] | (1 << value_at(map, key[j]))
                        :: else
                        fi
                    }
                :: else
                fi;
                under_way--;
                for (j : 0 .. BUFFER - 2) {
                    if
                    :: j >= i && j < under_way ->
                        way[j].word = way[j + 1].word;
                        way[j].value = way[j + 1].value;
                        way[j].release = way[j + 1].release;
                        way[j].after = way[j + 1].after
                    :: else
                    fi
                }
                way[under_way].word = 0;
                way[under_way].value = 0;
                way[under_way].release = false;
                way[under_way].after = 0
            :: else
            fi;
            i = 0;
            j = 0;
            may = false
        }
       }
    od
}

/* ----------------------------------------------------------------------------- grace periods -- */
#ifdef NODES
/* Nodes as bits: in use, unlinked, and those of them that a grace period goes on for. It waits for
   the readers that were in a section when it began; what was stored before is visible by then. */
int used, retired, waiting;
byte sections, waited;
byte at[READERS] = NONE, kept[READERS] = NONE; /* nodes that readers are at, or have in a cursor */

#define bit_of(n)      (1 << (n))
#define is_used(n)     ((used >> (n)) & 1)
#define is_free_for(n) (at[0] != n && kept[0] != n && at[READERS - 1] != n && kept[READERS - 1] != n)

/* Memory may be used again, so nobody may have it. */
inline free_node(n)
{
    assert(is_used(n) && is_free_for(n));
    used = used & ~bit_of(n);
    poison(n)
}

/* A free node; there is one. */
inline get_node(n)
{
    n = 0;
    do
    :: is_used(n) -> n++
    :: else -> break
    od;
    assert(n < NODES);
    used = used | bit_of(n)
}

/* tide__retire: after the unlinking was stored. */
inline retire(nodes)
{
    assert((retired & (nodes)) == 0 && (waiting & (nodes)) == 0 && (used & (nodes)) == (nodes));
    retired = retired | (nodes)
}

inline enter(r)
{
    sections = sections | bit_of(r)
}

inline leave(r)
{
    at[r] = NONE;
    kept[r] = NONE;
    sections = sections & ~bit_of(r);
    waited = waited & ~bit_of(r)
}

active proctype rcu()
{
    byte n;

end:
    do
    :: d_step { /* [flush] */
        retired != 0 && waiting == 0 && under_way == 0 ->
        waiting = retired;
        retired = 0;
        waited = waits_for
       }
    :: d_step { /* [grace_period_over, collect] */
        waiting != 0 && waited == 0 ->
        for (n : 0 .. NODES - 1) {
            if
            :: (waiting >> n) & 1 -> free_node(n)
            :: else
            fi
        }
        waiting = 0;
        n = 0
       }
    od
}
#endif
