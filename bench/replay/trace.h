/* SPDX-License-Identifier: BSD-2-Clause */
/* A recorded trace in memory: the records that ask something of a table, in order, with the answers
 * that were recorded. bench/traces/README.md describes the text. */
#ifndef REPLAY_TRACE_H
#define REPLAY_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct source;

enum op_kind {
    OP_MAP,
    OP_UNMAP_ONE, /* removed exactly one mapping with exactly these bounds */
    OP_UNMAP_SET, /* removed the mappings of a list */
    OP_UNMAP_ANY, /* removed whatever overlapped, whole */
    OP_DESTROY,
    OP_TRANSLATE,
    OP_FIND,
};

enum op_answer { ANSWER_HIT, ANSWER_MISS, ANSWER_BYPASS };

/* start and last are the range of a write or a find; of a translate both are the address. */
struct op {
    uint64_t start, last;
    uint64_t value; /* map: target; translate: resulting address; unmap of a set: its size */
    uint32_t line;
    uint32_t space;   /* which life of which domain; see spaces below */
    uint32_t removed; /* unmap of a set: where it begins in removed[] */
    uint8_t kind;
    uint8_t access; /* map: what is allowed; translate: what is asked for; bit 0 r, bit 1 w */
    uint8_t answer;
};

struct bounds {
    uint64_t start, last;
};

struct trace_counts {
    uint64_t maps, unmaps, translates, faults, bypasses, finds, destroys, attaches, detaches;
};

/* A domain number may be used again after it was destroyed. Each of its lives is a space. */
struct trace {
    const char *path;
    char name[64];
    char workload[160];
    struct op *ops;
    size_t op_count, op_capacity;
    struct bounds *removed;
    size_t removed_count, removed_capacity;
    uint64_t *space_domain; /* the domain number of each space */
    size_t space_count, space_capacity;
    struct trace_counts counts;
};

enum domains {
    DOMAINS_ALL,
    DOMAINS_ONE,   /* there must not be two */
    DOMAINS_NAMED, /* one; the others are left out */
};

/* Which records of a file are taken: those that begin in a line behind after, up to until. */
struct selection {
    uint32_t after, until;
    enum domains domains;
    uint64_t domain; /* the one that is named */
};

/* Read a file, all of it where selection is NULL. Of a single domain, the last space is the one
 * that there is at the end: one in which nothing is mapped, where the domain is not named, or was
 * destroyed. On failure prints file, line and reason on stderr, leaves nothing behind and
 * returns false. */
bool trace_read(struct trace *trace, const char *path, const struct selection *selection);

/* The same of lines that are there; what is wrong is said in *reason and not printed. */
bool trace_parse(struct trace *trace, struct source *source, const struct selection *selection,
                 const char **reason);

/* A trace of no records and one space. False: no memory. */
bool trace_of_nothing(struct trace *trace, const char *path, uint64_t domain);
void trace_free(struct trace *trace);

static inline bool
op_is_write(const struct op *op)
{
    return op->kind <= OP_DESTROY;
}

#endif
