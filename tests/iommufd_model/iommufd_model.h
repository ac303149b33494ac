/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the parts of the program share. rules.c is the model: it has space->page and space->rules, and does not call
 * the library. The rest asks the door and the model, and compares.
 */
#ifndef TIDEMARK_TESTS_IOMMUFD_MODEL_H
#define TIDEMARK_TESTS_IOMMUFD_MODEL_H

#include <tidemark/iommufd.h>

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "support/alloc.h"
#include "support/random.h"

#define IDS    4   /* max_ioas */
#define MOST   256 /* mappings of one IOAS */
#define RANGES 4   /* reserved, or allowed */
#define ADDED  2   /* containers of the program's own */
#define REFUSE (-EXDEV)
#define FAILED 200 /* above the errors that are counted */

struct world {
    const char *name;
    uint64_t page, added_page[ADDED];
    bool rcu;
};

/* A list of what is mapped, in any order. */
struct list {
    struct tide_mapping at[MOST];
    size_t count;
};

struct ranges {
    struct tide_range at[RANGES];
    size_t count;
};

/* What there is to be said of one IOAS. */
struct rules {
    struct list mapped;
    struct ranges reserved, allowed;
    uint64_t first, last;
};

struct space {
    struct tide_container *container;
    uint64_t page;
    bool added;
    struct rules rules;
    struct list backend, mirror;
    struct tide_listener listeners[2];
};

extern const struct world *world;
extern struct random_source source;
extern struct test_alloc memory;
extern struct tide_iommufd *door;
extern struct space *spaces[IDS + 1]; /* by id */
extern struct space added[ADDED], made[IDS + 1];
extern uint64_t request; /* which it is */
extern uint64_t succeeded, refused, starved, failed[FAILED];
extern unsigned refuse_in; /* the so-many-th question to a backend is refused; 0: none */
extern bool was_refused;

/* main.c: where it was, what, and how to have it again; then the program ends. */
_Noreturn void fail(const char *what);
void check(bool so, const char *what);

/* rules.c: lists. */
void list_add(struct list *list, const struct tide_mapping *mapping);
void list_remove(struct list *list, const struct tide_mapping *mapping);
bool same(const struct tide_mapping *a, const struct tide_mapping *b);

/* The mapping that has an address, or NULL. */
const struct tide_mapping *mapping_of(const struct list *list, uint64_t address);
bool is_valid(const struct rules *rules, uint64_t start, uint64_t last);

/* rules.c: the requests. A space is NULL where there is none. Each returns 0 or the error, writes the argument as the
 * door has to, and changes nothing where it fails. */
int rules_map(struct space *space, struct tide_iommufd_ioas_map *arg);
int rules_unmap(struct space *space, struct tide_iommufd_ioas_unmap *arg);
int rules_copy(struct space *to, const struct space *from, struct tide_iommufd_ioas_copy *arg);
int rules_allow(struct space *space, const struct tide_iommufd_ioas_allow_iovas *arg,
                const struct tide_range *ranges);

/* Returns the number of valid ranges, and stores them: at most one more than there are reserved ones. */
size_t valid_ranges(const struct rules *rules, struct tide_range *valid);

/* spaces.c: begin with an empty container, and compare one, or all that the door has. */
void begin_space(struct space *space, struct tide_container *container, uint64_t page,
                 bool is_added);
void compare_space(const struct space *space);
void compare(void);

/* requests.c. */
bool one_in(uint64_t n);

/* Whether it is time to unmap: lists have room for what one copy adds. */
bool is_full(void);

/* One random request, after remember(). */
void remember(void);
void do_map(void);
void do_unmap(void);
void do_copy(void);
void do_allow(void);
void do_iova_ranges(void);
void do_alloc(void);
void do_destroy(void);
void do_add(void);
void do_valid(void);

#endif /* TIDEMARK_TESTS_IOMMUFD_MODEL_H */
