/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bytes in memory.
 */
#include "bytes.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static void
grow(struct bytes *bytes, size_t capacity)
{
    if (capacity <= bytes->capacity) {
        return;
    }
    bytes->capacity = capacity * 2;
    bytes->data = realloc(bytes->data, bytes->capacity);
    if (bytes->data == NULL) {
        abort();
    }
}

static bool
must_fail(struct bytes *bytes)
{
    return ++bytes->calls == bytes->error_call;
}

int
bytes_write(const void *from, size_t size, void *arg)
{
    struct bytes *bytes = arg;

    if (must_fail(bytes)) {
        return bytes->error;
    }
    if (size == 0 || size > 1024) {
        abort();
    }
    grow(bytes, bytes->size + size);
    memcpy(bytes->data + bytes->size, from, size);
    bytes->size += size;
    return 0;
}

int
bytes_read(void *to, size_t size, void *arg)
{
    struct bytes *bytes = arg;

    if (must_fail(bytes)) {
        return bytes->error;
    }
    if (size == 0 || size > 1024) {
        abort();
    }
    if (bytes->most != 0 && size > bytes->most) {
        size = bytes->most;
    }
    if (size > bytes->size - bytes->at) {
        size = bytes->size - bytes->at;
    }
    if (size > 0) {
        memcpy(to, bytes->data + bytes->at, size);
    }
    bytes->at += size;
    return (int)size;
}

void
bytes_rewind(struct bytes *bytes)
{
    bytes->at = bytes->calls = 0;
}

void
bytes_copy(struct bytes *to, const struct bytes *from)
{
    grow(to, from->size);
    memcpy(to->data, from->data, from->size);
    to->size = from->size;
    bytes_rewind(to);
}

void
bytes_free(struct bytes *bytes)
{
    free(bytes->data);
    *bytes = (struct bytes){ 0 };
}

void
bytes_put(struct bytes *bytes, size_t at, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        bytes->data[at + i] = (unsigned char)(value >> 8 * i);
    }
}

uint64_t
bytes_crc64(const unsigned char *data, size_t size)
{
    uint64_t crc = UINT64_MAX;

    for (size_t i = 0; i < size * 8; i++) {
        bool one = ((crc ^ (unsigned)data[i / 8] >> i % 8) & 1) != 0;

        crc = crc >> 1 ^ (one ? UINT64_C(0xc96c5795d7870f42) : 0);
    }
    return ~crc;
}

void
bytes_seal(struct bytes *bytes)
{
    size_t end = bytes->size - FORM_CHECKSUM;

    bytes_put(bytes, end, bytes_crc64(bytes->data, end), FORM_CHECKSUM);
}
