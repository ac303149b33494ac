/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The binary form of what is mapped: docs/save-format.md. Bytes are put and taken one by one, so the
 * machine's order of them does not matter.
 */
#include "tree.h"

#include <errno.h>
#include <string.h>

#include <tidemark/save.h>

enum { HEADER = 48, RECORD = 32, CHECKSUM = 8, BUFFER = 1024, FORM_VERSION = 1 };

static_assert(BUFFER % RECORD == 0 && HEADER <= BUFFER, "a buffer holds whole records");

/* Not ASCII, and with both line ends in it: text tools and transfers spoil it at once. */
static const unsigned char magic[8] = { 0x89, 'T', 'I', 'D', 'E', '\r', '\n', 0x1a };

/* CRC-64/XZ: ECMA-182 reflected, begun with and finished by an inversion; four bits at a time. */
static uint64_t
checksum(uint64_t crc, const unsigned char *bytes, size_t size)
{
    static const uint64_t of_nibble[16] = {
        UINT64_C(0x0000000000000000), UINT64_C(0x7d9ba13851336649), UINT64_C(0xfb374270a266cc92),
        UINT64_C(0x86ace348f355aadb), UINT64_C(0x64b62bcaebc387a1), UINT64_C(0x192d8af2baf0e1e8),
        UINT64_C(0x9f8169ba49a54b33), UINT64_C(0xe21ac88218962d7a), UINT64_C(0xc96c5795d7870f42),
        UINT64_C(0xb4f7f6ad86b4690b), UINT64_C(0x325b15e575e1c3d0), UINT64_C(0x4fc0b4dd24d2a599),
        UINT64_C(0xadda7c5f3c4488e3), UINT64_C(0xd041dd676d77eeaa), UINT64_C(0x56ed3e2f9e224471),
        UINT64_C(0x2b769f17cf112238),
    };

    crc = ~crc;
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        crc = crc >> 4 ^ of_nibble[crc & 15];
        crc = crc >> 4 ^ of_nibble[crc & 15];
    }
    return ~crc;
}

static unsigned char *
put(unsigned char *at, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        at[i] = (unsigned char)(value >> 8 * i);
    return at + size;
}

static uint64_t
get(const unsigned char *at, unsigned size)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)at[i] << 8 * i;
    return value;
}

/* ------------------------------------------------------------------------------------ saving -- */

uint64_t
tide_save_size(const struct tide *tree)
{
    return HEADER + RECORD * tree->mappings + CHECKSUM;
}

static void
put_header(unsigned char *at, const struct tide *tree)
{
    memcpy(at, magic, sizeof(magic));
    at = put(at + sizeof(magic), FORM_VERSION, 4);
    at = put(at, 0, 4);
    at = put(at, tree->first, 8);
    at = put(at, tree->last, 8);
    at = put(at, UINT64_C(1) << tree->granule_shift, 8);
    put(at, tree->mappings, 8);
}

static void
put_record(unsigned char *at, const struct tide_mapping *mapping)
{
    at = put(at, mapping->start, 8);
    at = put(at, mapping->last, 8);
    at = put(at, mapping->target, 8);
    at = put(at, mapping->flags, 4);
    put(at, 0, 4);
}

int
tide_save(const struct tide *tree, tide_write_fn *write, void *arg)
{
    uint64_t crc, count = tree->mappings, saved = 0;
    unsigned char buffer[BUFFER];
    struct tide_iterator walk;
    struct tide_mapping mapping;
    size_t used = HEADER;
    bool more;
    int error;

    put_header(buffer, tree);
    crc = checksum(0, buffer, used);
    tide_iterate_up(&walk, tree, 0, UINT64_MAX);
    do {
        error = write(buffer, used, arg);
        if (error != 0)
            return error;
        used = 0;
        while ((more = tide_iterate_next(&walk, &mapping))) {
            put_record(buffer + used, &mapping);
            used += RECORD;
            saved++;
            if (used == BUFFER)
                break;
        }
        crc = checksum(crc, buffer, used);
    } while (more);
    if (saved != count || tree->mappings != count)
        return -EAGAIN;
    if (used > 0) {
        error = write(buffer, used, arg);
        if (error != 0)
            return error;
    }
    put(buffer, crc, CHECKSUM);
    return write(buffer, CHECKSUM, arg);
}

/* ----------------------------------------------------------------------------------- loading -- */

/* What is being read. */
struct form {
    tide_read_fn *read;
    void *arg;
    uint64_t crc;                  /* of all before buffer */
    uint64_t first, last, granule; /* as the header says */
    uint64_t count;                /* of records that are to come */
    bool any;                      /* there was a record, */
    uint64_t previous;             /* which ended here */
    unsigned char buffer[BUFFER];
};

/* Fill the buffer with exactly so many bytes. */
static int
fetch(struct form *form, size_t size)
{
    for (size_t done = 0; done < size;) {
        int got = form->read(form->buffer + done, size - done, form->arg);

        if (got < 0)
            return got;
        if (got == 0)
            return -EBADMSG;
        if ((size_t)got > size - done)
            return -EINVAL;
        done += (size_t)got;
    }
    return 0;
}

static int
read_header(struct form *form, const struct tide *tree)
{
    const unsigned char *at = form->buffer;
    int error = fetch(form, HEADER);

    if (error != 0)
        return error;
    if (memcmp(at, magic, sizeof(magic)) != 0)
        return -EBADMSG;
    if (get(at + 8, 4) != FORM_VERSION)
        return -ENOTSUP;
    form->first = get(at + 16, 8);
    form->last = get(at + 24, 8);
    form->granule = get(at + 32, 8);
    form->count = get(at + 40, 8);
    if (get(at + 12, 4) != 0 || form->granule == 0 || (form->granule & (form->granule - 1)) != 0 ||
        form->first > form->last || ((form->first | (form->last + 1)) & (form->granule - 1)) != 0)
        return -EBADMSG;
    if (form->count != 0 && (form->count - 1) > (form->last - form->first) / form->granule)
        return -EBADMSG;
    if (tree->max_mappings != 0 && form->count > tree->max_mappings)
        return -ENOSPC;
    form->crc = checksum(0, at, HEADER);
    return 0;
}

static int
load_record(struct form *form, const unsigned char *at, struct tide_txn *txn)
{
    struct tide_mapping mapping = { get(at, 8), get(at + 8, 8), get(at + 16, 8),
                                    (uint32_t)get(at + 24, 4) };

    if (get(at + 28, 4) != 0 || !tide__flags_are_good(mapping.flags) ||
        mapping.start > mapping.last || mapping.start < form->first || mapping.last > form->last ||
        ((mapping.start | (mapping.last + 1)) & (form->granule - 1)) != 0 ||
        (form->any && mapping.start <= form->previous))
        return -EBADMSG;
    form->any = true;
    form->previous = mapping.last;
    return tide_txn_map(txn, &mapping);
}

static int
read_end(struct form *form)
{
    int error = fetch(form, CHECKSUM), more;

    if (error != 0)
        return error;
    if (!tide__planted(28) && get(form->buffer, CHECKSUM) != form->crc)
        return -EBADMSG;
    more = form->read(form->buffer, 1, form->arg);
    return more > 0 ? -EBADMSG : more;
}

static int
load(struct form *form, const struct tide *tree, struct tide_txn *txn)
{
    int error = read_header(form, tree);

    if (error == 0)
        error = tide_txn_unmap(txn, 0, UINT64_MAX, TIDE_UNMAP_SPLIT, NULL, NULL, NULL);
    while (error == 0 && form->count > 0) {
        uint64_t records = form->count < BUFFER / RECORD ? form->count : BUFFER / RECORD;
        size_t size = (size_t)records * RECORD;

        error = fetch(form, size);
        form->crc = error == 0 ? checksum(form->crc, form->buffer, size) : 0;
        for (size_t at = 0; error == 0 && at < size; at += RECORD)
            error = load_record(form, form->buffer + at, txn);
        form->count -= records;
    }
    return error != 0 ? error : read_end(form);
}

int
tide_load(struct tide *tree, tide_read_fn *read, void *arg)
{
    struct form form = { .read = read, .arg = arg };
    struct tide_txn *txn;
    int error;

    tide__writes(tree);
    error = tide_txn_begin(tree, &txn);
    if (error != 0)
        return error;
    error = load(&form, tree, txn);
    if (error == 0)
        tide_txn_commit(txn);
    else
        tide_txn_abort(txn);
    return error;
}
