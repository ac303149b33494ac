/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * In place of libvfio-user's, for docs/from-libvfio-user-btree.md: the same functions over an array in the order of the
 * keys.
 */
#ifndef TIDEMARK_TESTS_BTREE_H
#define TIDEMARK_TESTS_BTREE_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { BTREE_MOST = 256 };

typedef struct {
    struct {
        uintptr_t key;
        void *value;
    } entry[BTREE_MOST];
    size_t count;
} btree_t;

typedef struct {
    btree_t *tree;
    size_t at;
} btree_iter_t;

static inline void
btree_init(btree_t *tree)
{
    tree->count = 0;
}

static inline size_t
btree_size(const btree_t *tree)
{
    return tree->count;
}

/* At the first key that is not below. */
static inline void
btree_iter_init(btree_t *tree, uintptr_t key, btree_iter_t *iter)
{
    iter->tree = tree;
    for (iter->at = 0; iter->at < tree->count && tree->entry[iter->at].key < key; iter->at++)
        ;
}

static inline void *
btree_iter_get(const btree_iter_t *iter, uintptr_t *key)
{
    if (iter->at == iter->tree->count)
        return NULL;
    if (key != NULL)
        *key = iter->tree->entry[iter->at].key;
    return iter->tree->entry[iter->at].value;
}

static inline void *
btree_iter_next(btree_iter_t *iter)
{
    iter->at += iter->at < iter->tree->count;
    return btree_iter_get(iter, NULL);
}

static inline int
btree_iter_insert(btree_iter_t *iter, uintptr_t key, void *value)
{
    btree_t *tree = iter->tree;

    if ((iter->at < tree->count && key > tree->entry[iter->at].key) ||
        (iter->at > 0 && key < tree->entry[iter->at - 1].key)) {
        errno = EINVAL;
        return -1;
    }
    if (tree->count == BTREE_MOST) {
        errno = ENOMEM;
        return -1;
    }
    memmove(&tree->entry[iter->at + 1], &tree->entry[iter->at],
            (tree->count++ - iter->at) * sizeof(tree->entry[0]));
    tree->entry[iter->at].key = key;
    tree->entry[iter->at].value = value;
    return 0;
}

static inline void *
btree_iter_remove(btree_iter_t *iter)
{
    btree_t *tree = iter->tree;
    void *value = btree_iter_get(iter, NULL);

    if (value != NULL)
        memmove(&tree->entry[iter->at], &tree->entry[iter->at + 1],
                (--tree->count - iter->at) * sizeof(tree->entry[0]));
    return value;
}

#endif /* TIDEMARK_TESTS_BTREE_H */
