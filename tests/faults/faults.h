/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the scenarios share: the container that most of them act on, and numbers of pages.
 */
#ifndef TIDEMARK_TESTS_FAULTS_H
#define TIDEMARK_TESTS_FAULTS_H

#include <tidemark/container.h>

#include <errno.h>

#include "support/fault.h"

/* Pages, in the build with tiny nodes too, for the doors have them. */
#define PAGE     UINT64_C(4096)
#define AT(page) ((uint64_t)(page)*2 * PAGE)
#define TARGET   UINT64_C(0x70000000) /* a process address everywhere */
enum { PAGES = 60 };

/* Mapped are a page at AT(0), AT(1), ... AT(PAGES - 1), every third to be read only, and [AT(100), AT(110) - 1],
 * and in containers pages without holes between them from AT(120) on. */
struct tide_mapping page_of(uint64_t page);
#define WIDE                                                           \
    (struct tide_mapping)                                              \
    {                                                                  \
        AT(100), AT(110) - 1, TARGET + AT(100), TIDE_READ | TIDE_WRITE \
    }

/* A container of the kind that the scenario has, as the way wants it: one that fault_show_tree and listeners are
 * asked about. Three listen: a backend, a mirror that knows ranges by masks, an owner. */
extern struct tide_container *container;
void container_open(const struct fault_scenario *scenario);
void container_show(struct fault_text *text);
void container_show_last(struct fault_text *text);
void container_close(void);

struct scenarios {
    const struct fault_scenario *at;
    size_t count;
};
extern const struct scenarios scenarios_of_trees, scenarios_of_containers, scenarios_of_doors,
    scenarios_of_devices;
#define SCENARIOS(list)                          \
    {                                            \
        (list), sizeof(list) / sizeof((list)[0]) \
    }

#endif /* TIDEMARK_TESTS_FAULTS_H */
