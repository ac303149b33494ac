/* SPDX-License-Identifier: BSD-2-Clause */
/* Arrays that grow: the one place where the replayer calls realloc. */
#ifndef REPLAY_VECTOR_H
#define REPLAY_VECTOR_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* Room for one more item behind count items. Returns the array, moved perhaps, or NULL: no memory,
 * and the old array is as it was. */
static inline void *
vector_room(void *items, size_t *capacity, size_t count, size_t size)
{
    size_t wanted;
    void *grown;

    if (count < *capacity)
        return items;
    wanted = *capacity == 0 ? 64 : *capacity;
    if (wanted > SIZE_MAX / size / 2)
        return NULL;
    if (*capacity != 0)
        wanted *= 2;
    grown = realloc(items, wanted * size);
    if (grown != NULL)
        *capacity = wanted;
    return grown;
}

#endif
