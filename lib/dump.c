/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is mapped, as text. Numbers are written here, for the library needs nothing of stdio.
 */
#include "tree.h"

#include <string.h>

#include <tidemark/save.h>

enum { BUFFER = 1024, LONGEST = 32 }; /* of what is put at once */

struct text {
    tide_write_fn *write;
    void *arg;
    int error; /* the first: nothing is written any more */
    size_t used;
    char buffer[BUFFER];
};

static void
flush(struct text *text)
{
    if (text->error == 0)
        text->error = text->write(text->buffer, text->used, text->arg);
    text->used = 0;
}

static void
put(struct text *text, const char *string, size_t size)
{
    if (text->used + size > BUFFER)
        flush(text);
    memcpy(text->buffer + text->used, string, size);
    text->used += size;
}

/* A number with at least so many digits. */
static void
put_digits(struct text *text, uint64_t value, unsigned base, unsigned digits)
{
    char string[LONGEST];
    unsigned at = LONGEST;

    while (value != 0 || at > LONGEST - digits) {
        /* cppcheck-suppress zerodivcond ; base is 10 or 16, the tool takes it for value */
        string[--at] = "0123456789abcdef"[value % base];
        value /= base;
    }
    put(text, string + at, LONGEST - at);
}

/* A word with its spaces, and what follows it. */
static void
put_word(struct text *text, const char *word)
{
    for (; *word != '\0'; word++)
        put(text, word, 1);
}

static void
put_count(struct text *text, const char *word, uint64_t value)
{
    put_word(text, word);
    put_digits(text, value, 10, 1);
}

static void
put_hex(struct text *text, const char *word, uint64_t value, unsigned digits)
{
    put_word(text, word);
    put_digits(text, value, 16, digits);
}

static void
put_head(struct text *text, const struct tide *tree)
{
    struct tide_statistics stats;

    tide_stats(tree, &stats);
    put_count(text, "# tidemark 1: mappings ", stats.mappings);
    if (stats.bytes.high != 0) {
        put_hex(text, " addresses 0x", stats.bytes.high, 1);
        put_hex(text, "", stats.bytes.low, 16);
    } else {
        put_hex(text, " addresses 0x", stats.bytes.low, 1);
    }
    put_hex(text, " first 0x", tree->first, 1);
    put_hex(text, " last 0x", tree->last, 1);
    put_hex(text, " granule 0x", UINT64_C(1) << tree->granule_shift, 1);
    put_count(text, " limit ", tree->max_mappings);
    put_count(text, "\n# height ", stats.height);
    put_count(text, " nodes ", stats.nodes);
    put_count(text, " index_nodes ", stats.index_nodes);
    put_count(text, " snapshots ", stats.snapshots);
    put_count(text, " held ", stats.held_nodes);
    put_count(text, " retired ", stats.retired_nodes);
    put_count(text, " reserve ", stats.reserve_nodes);
    put_count(text, " memory ", stats.memory);
    put_word(text, "\n");
}

static void
put_mapping(struct text *text, const struct tide_mapping *mapping)
{
    const char flags[6] = {
        ' ',
        (mapping->flags & TIDE_READ) != 0 ? 'r' : '-',
        (mapping->flags & TIDE_WRITE) != 0 ? 'w' : '-',
        (mapping->flags & TIDE_EXEC) != 0 ? 'x' : '-',
        (mapping->flags & TIDE_OPAQUE) != 0 ? 'o' : '-',
        ' ',
    };

    put_hex(text, "0x", mapping->start, 16);
    put_hex(text, "-0x", mapping->last, 16);
    put_hex(text, " 0x", mapping->target, 16);
    put(text, flags, sizeof(flags));
    put_digits(text, mapping->flags >> 16, 16, 4);
    put_word(text, "\n");
}

int
tide_dump(const struct tide *tree, tide_write_fn *write, void *arg)
{
    struct text text;
    struct tide_iterator walk;
    struct tide_mapping mapping;

    text.write = write;
    text.arg = arg;
    text.error = 0;
    text.used = 0;
    put_head(&text, tree);
    tide_iterate_up(&walk, tree, 0, UINT64_MAX);
    while (text.error == 0 && tide_iterate_next(&walk, &mapping))
        put_mapping(&text, &mapping);
    flush(&text);
    return text.error;
}
