/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A log of what is written to a device's IOMMU table, a line for each event, in the manner of QEMU's log
 * backend: a name, and what it is about. The hook of the tree writes it, so it needs no probes and no rights.
 */
#include <inttypes.h>
#include <stdio.h>

#include <tidemark/tidemark.h>

enum { PAGE = 4096 };

struct log {
    const char *name; /* of the device */
    FILE *out;
};

static void
log_event(void *context, const struct tide_event *event)
{
    static const char *const names[] = {
        [TIDE_EVENT_MAP] = "map",         [TIDE_EVENT_REPLACE] = "replace",
        [TIDE_EVENT_UNMAP] = "unmap",     [TIDE_EVENT_PROTECT] = "protect",
        [TIDE_EVENT_SPLIT] = "split",     [TIDE_EVENT_COMMIT] = "commit",
        [TIDE_EVENT_ABORT] = "abort",     [TIDE_EVENT_SNAPSHOT] = "snapshot",
        [TIDE_EVENT_RELEASE] = "release",
    };
    const struct log *log = context;
    const struct tide_mapping *m = &event->mapping;

    fprintf(log->out, "tidemark_%s %s", names[event->kind], log->name);
    if (event->kind == TIDE_EVENT_MAP || event->kind == TIDE_EVENT_REPLACE ||
        event->kind == TIDE_EVENT_SPLIT)
        fprintf(log->out,
                " iova 0x%" PRIx64 " - 0x%" PRIx64 " target 0x%" PRIx64 " flags 0x%" PRIx32,
                m->start, m->last, m->target, m->flags);
    if (event->kind == TIDE_EVENT_SPLIT)
        fprintf(log->out, " cut 0x%" PRIx64 " - 0x%" PRIx64, event->start, event->last);
    if (event->kind == TIDE_EVENT_PROTECT)
        fprintf(log->out, " iova 0x%" PRIx64 " - 0x%" PRIx64 " flags 0x%" PRIx32, event->start,
                event->last, event->flags);
    if (event->kind == TIDE_EVENT_UNMAP)
        fprintf(log->out, " iova 0x%" PRIx64 " - 0x%" PRIx64 " policy %d mappings %" PRIu64,
                event->start, event->last, (int)event->policy, event->result.mappings);
    fputc('\n', log->out);
}

int
main(void)
{
    struct log log = { "virtio-net", stdout };
    const struct tide_trace trace = { log_event, &log };
    struct tide_options options = tide_options_default();
    struct tide_mapping ram = { 0, 16 * PAGE - 1, 0x7f0000000000, TIDE_READ | TIDE_WRITE };
    struct tide_mapping rom = { 32 * PAGE, 33 * PAGE - 1, 0x7f8000000000, TIDE_READ };
    struct tide_txn *txn;
    struct tide *iommu;

    options.trace = &trace;
    if (tide_create(&options, &iommu) != 0 || tide_map(iommu, &ram) != 0)
        return 1;
    if (tide_map(iommu, &ram) == 0) /* -EEXIST: nothing happens, nothing is logged */
        return 1;
    if (tide_unmap(iommu, 4 * PAGE, 5 * PAGE - 1, TIDE_UNMAP_SPLIT, NULL, NULL, NULL) != 0 ||
        tide_protect(iommu, 0, PAGE - 1, TIDE_READ) != 0 || tide_txn_begin(iommu, &txn) != 0)
        return 1;
    if (tide_txn_map(txn, &rom) != 0 ||
        tide_txn_unmap(txn, 0, UINT64_MAX, TIDE_UNMAP_WHOLE, NULL, NULL, NULL) != 0)
        return 1;
    tide_txn_abort(txn);
    tide_destroy(iommu);
    return 0;
}
