/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is mapped in a tree, as bytes that another machine can load (live migration, files), and as text
 * for people and their tools (bug reports, grep, diff). The library has no output of its own (G9): bytes
 * go and come by callbacks, from a buffer of 1 KiB on the stack, and nothing is allocated but the nodes of
 * the tree that is loaded. C11 and C++17.
 *
 *     static int to_file(const void *bytes, size_t size, void *file)
 *     {
 *         return fwrite(bytes, 1, size, file) == size ? 0 : -EIO;
 *     }
 *
 *     error = tide_save(tide_snapshot_tree(snapshot), to_file, file);
 *
 * docs/save-format.md says what each byte is; the text is described below.
 */
#ifndef TIDEMARK_SAVE_H
#define TIDEMARK_SAVE_H

#include <tidemark/tidemark.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Take size bytes, all of them; size is 1 to 1024. Returns 0, or anything else to stop: the function that
 * called it then returns that. */
typedef int tide_write_fn(const void *bytes, size_t size, void *arg);

/* Give up to size bytes; size is 1 to 1024, and never more than the form still has, but for one byte at
 * the end, which should not be there. Returns how many there are now, 1 to size; 0 at the end; or a
 * negative number to stop, which tide_load then returns. */
typedef int tide_read_fn(void *bytes, size_t size, void *arg);

/* --------------------------------------------------------------------------------- binary form -- */

/* How many bytes tide_save writes. Context: that of tide_save. */
uint64_t tide_save_size(const struct tide *tree);

/* Write what is mapped, with the aperture and the granule of the tree, in the binary form. Trees with the
 * same mappings, aperture and granule give the same bytes, whatever was written to them before and on
 * whatever machine. Limits, indexes, watermarks "ever" and snapshots are not saved.
 * Returns
 *   0         all is written
 *   -EAGAIN   write, which must not, has changed how many mappings there are; what it was given is
 *             no complete form
 *   what write returned, if not 0
 * Context: of a tree or a transaction, Writer; of a snapshot, any thread, while the tree is written to.
 * Steps: a walk over all that is mapped. */
TIDE_NODISCARD int tide_save(const struct tide *tree, tide_write_fn *write, void *arg);

/* Make a tree what was saved: at one instant all that is mapped is gone, and all of the form is mapped
 * (in an empty tree, which is the usual case, it is just mapped). Nobody is told of what goes; tide_diff of
 * a snapshot from before tells, and which mappings are the same.
 * The aperture and the granule of the form need not be the tree's: what counts is that each mapping
 * satisfies both.
 * Returns, for the first reason that is met as the bytes come,
 *   0         loaded
 *   -EBUSY    called from a removal callback, or a transaction is open; nothing is read
 *   -EBADMSG  it is not a binary form, it is cut short, it goes on after its end, or it is damaged:
 *             mappings that overlap or do not ascend, flags that tide_map refuses, bounds that the form
 *             itself excludes, or a wrong checksum
 *   -ENOTSUP  a version that this library does not know, or a damaged one
 *   -ERANGE   a mapping lies outside the tree's aperture
 *   -EINVAL   a mapping is not on the tree's granule; or read returned more than it was asked for
 *   -ENOSPC   there are more mappings than the entry limit allows
 *   -ENOMEM   no memory
 *   what read returned, if negative
 * On any error nothing has changed (G5): all is done in a transaction, committed when the last byte is
 * verified. Whatever the bytes are, the memory that is needed grows with the mappings read so far, never
 * with what the form announces; who does not trust its source sets an entry limit.
 * While it runs, read may ask questions of the tree, and is answered as before the load; a write from
 * there returns -EBUSY.
 * Context: Writer. Atomicity: one instant, as of tide_txn_commit. Ordering: release on success.
 * Reclaim: after the return readers may still use what was mapped before until a grace period ends. */
TIDE_NODISCARD int tide_load(struct tide *tree, tide_read_fn *read, void *arg);

/* --------------------------------------------------------------------------------------- text -- */

/* Write what is mapped as lines of ASCII: two that begin with '#', then one for each mapping, ascending:
 *
 *     # tidemark 1: mappings 2 addresses 0x1800 first 0x0 last 0xffffffffffffffff granule 0x1 limit 0
 *     # height 0 nodes 1 index_nodes 0 snapshots 0 held 0 retired 0 reserve 28 memory 8896
 *     0x0000000000001000-0x0000000000001fff 0x00007f0000000000 rw-- 0000
 *     0x0000000000003000-0x00000000000037ff 0x0000000000000005 r--o 8001
 *
 * A mapping has its bounds (last inclusive), its target, TIDE_READ, TIDE_WRITE, TIDE_EXEC and TIDE_OPAQUE
 * as "rwxo" or '-' in their place, and the caller's flags (bits 16-31) in hexadecimal: fixed columns, so
 * that lines sort as mappings do and two dumps can be compared. After the first line, which depends on what
 * is mapped and the options only, the second has tide_stats. The number after "tidemark" changes when
 * the columns do; lines that begin with '#' may be added to.
 * Returns 0, or what write returned, if not 0. Context: that of tide_save. */
TIDE_NODISCARD int tide_dump(const struct tide *tree, tide_write_fn *write, void *arg);

#ifdef __cplusplus
}
#endif

#endif /* TIDEMARK_SAVE_H */
