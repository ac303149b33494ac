/* SPDX-License-Identifier: BSD-2-Clause */
/* What stands in for QEMU's header of this name: what it is known by, and the names used here. */
#ifndef QEMU_OSDEP_H
#define QEMU_OSDEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QEMU_PACKED __attribute__((packed))

/* Of GLib. */
typedef int gboolean;
#define G_DEFINE_AUTOPTR_CLEANUP_FUNC(type, free_it)       \
    static inline void autoptr_cleanup_##type(type **tree) \
    {                                                      \
        free_it(*tree);                                    \
    }
#define g_autoptr(type) __attribute__((cleanup(autoptr_cleanup_##type))) type *

#endif
