/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bytes in memory that grow as they are written and are read again, in small parts or with errors where a
 * test wants them: what tide_save writes to and tide_load reads from.
 */
#ifndef TIDEMARK_TESTS_BYTES_H
#define TIDEMARK_TESTS_BYTES_H

#include <stddef.h>
#include <stdint.h>

#include <tidemark/save.h>

/* Zeroes are no bytes. Running out of memory ends the test program. */
struct bytes {
    unsigned char *data;
    size_t size, capacity;
    size_t at;         /* read so far */
    size_t most;       /* given at once, if less than is asked for; 0: no limit */
    size_t calls;      /* of both functions since bytes_rewind */
    size_t error_call; /* the one of them, from 1 on, that returns the error; 0: none */
    int error;
};

/* The sizes of the parts of the binary form. */
enum { FORM_HEADER = 48, FORM_RECORD = 32, FORM_CHECKSUM = 8 };

/* A tide_write_fn and a tide_read_fn. arg is a struct bytes. */
int bytes_write(const void *bytes, size_t size, void *arg);
int bytes_read(void *bytes, size_t size, void *arg);

/* Read from the start. */
void bytes_rewind(struct bytes *bytes);

void bytes_copy(struct bytes *to, const struct bytes *from);
void bytes_free(struct bytes *bytes);

/* Put a number into what is there, the lowest byte first. */
void bytes_put(struct bytes *bytes, size_t at, uint64_t value, size_t size);

/* CRC-64/XZ, bit by bit as its definition has it. */
uint64_t bytes_crc64(const unsigned char *data, size_t size);

/* Make the last 8 bytes the checksum of those before. */
void bytes_seal(struct bytes *bytes);

#endif /* TIDEMARK_TESTS_BYTES_H */
