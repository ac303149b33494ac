/* SPDX-License-Identifier: BSD-2-Clause */
/* Doors that lie: each kind is honest, and the replay finds whatever else it may say or do. */
#include "door_kinds.h"
#include "replay.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct door_kind *honest; /* what the liar is made of */

static int
tell_less(struct door *door, uint64_t start, uint64_t last, uint64_t *told)
{
    int error = honest->unmap(door, start, last, told);

    *told -= 1;
    return error;
}

static int
refuse_nothing(struct door *door, uint64_t start, uint64_t last, uint64_t *told)
{
    (void)honest->unmap(door, start, last, told);
    return 0;
}

static int
refuse_all(struct door *door, uint64_t start, uint64_t last, uint64_t *told)
{
    (void)door;
    (void)start;
    (void)last;
    (void)told;
    return -ENOENT;
}

static int
take_nothing(struct door *door, uint64_t start, uint64_t last, uint64_t *told)
{
    (void)door;
    *told = last - start + 1;
    return 0;
}

static int
take_all(struct door *door, uint64_t start, uint64_t last, uint64_t *told)
{
    (void)start;
    (void)last;
    return honest->unmap(door, 0, UINT64_MAX, told);
}

static int
map_elsewhere(struct door *door, const struct tide_mapping *mapping)
{
    struct tide_mapping other = *mapping;

    other.target += 4096;
    return honest->map(door, &other);
}

static int
map_nothing(struct door *door, const struct tide_mapping *mapping)
{
    (void)door;
    (void)mapping;
    return 0;
}

static int
close_badly(struct door *door)
{
    honest->close(door);
    return -EBUSY;
}

/* Of a lie, one function; text is what has to be said of it. */
static const struct lie {
    const char *kind, *text;
    struct door_kind says;
} lies[] = {
    { "type1v1",
      "the result counts 2 mappings, 0 splits, 0 * 2^64 + 8191",
      { .unmap = tell_less } },
    { "type1v2",
      "the result counts 2 mappings, 0 splits, 0 * 2^64 + 8191",
      { .unmap = tell_less } },
    { "iommufd",
      "the result counts 2 mappings, 0 splits, 0 * 2^64 + 8191",
      { .unmap = tell_less } },
    { "type1v2", "expected EINVAL, got success", { .unmap = refuse_nothing } },
    { "iommufd", "expected ENOENT, got success", { .unmap = refuse_nothing } },
    { "virtio-iommu", "expected ERANGE, got success", { .unmap = refuse_nothing } },
    { "type1v2", "expected EINVAL, got ENOENT", { .unmap = refuse_all } },
    { "vhost", "expected success, got ENOENT", { .unmap = refuse_all } },
    { "virtio-iommu", "removed 0", { .unmap = take_nothing } },
    { "vdpa", "removed 0", { .unmap = take_nothing } },
    { "iommufd", "expected to remove 1 mappings, removed 5", { .unmap = take_all } },
    { "split", "expected to remove 1 mappings, removed 5", { .unmap = take_all } },
    { "type1v1", "expected 4e04fff, got 4e05fff", { .map = map_elsewhere } },
    { "virtio-iommu", "nothing is mapped there", { .map = map_nothing } },
    { "vfio-user", "expected ENOENT, got success", { .unmap = refuse_nothing } },
    { "vfio-user", "expected success, got ENOENT", { .unmap = refuse_all } },
    { "vhost", "its door can't be closed: EBUSY", { .close = close_badly } },
};

static bool
says(const struct findings *findings, const char *text)
{
    for (unsigned i = 0; i < findings->kept; i++)
        if (strstr(findings->text[i], text) != NULL)
            return true;
    return false;
}

/* Whether a replay finds a text; NULL: nothing at all. */
static bool
replay(const struct trace *trace, const struct history *history, const struct door_kind *kind,
       const char *text)
{
    struct run_options options = { .readers = 1, .container = kind };
    struct timing timing = { .ticks_per_ns = 1 };
    struct run run;
    bool good = replay_run(&run, trace, history, &timing, &options) &&
                (text == NULL ? run.findings.count == 0 : says(&run.findings, text));

    if (!good) {
        fprintf(stderr, "%s: expected to find %s; found\n", kind->name,
                text == NULL ? "nothing" : text);
        for (unsigned i = 0; i < run.findings.kept; i++)
            fprintf(stderr, "    %s\n", run.findings.text[i]);
    }
    run_free(&run);
    return good;
}

static struct door_kind
make_liar(const struct lie *lie)
{
    struct door_kind liar;

    honest = door_kind_find(lie->kind);
    liar = *honest;
    if (lie->says.map != NULL)
        liar.map = lie->says.map;
    if (lie->says.unmap != NULL)
        liar.unmap = lie->says.unmap;
    if (lie->says.close != NULL)
        liar.close = lie->says.close;
    return liar;
}

int
main(int argc, char **argv)
{
    struct trace trace;
    struct history history;
    bool good = true;

    if (argc != 2 || !trace_read(&trace, argv[1], NULL) ||
        !history_build(&history, &trace, NULL, false))
        return 2;
    for (size_t i = 0; i < sizeof(lies) / sizeof(*lies); i++) {
        const struct door_kind liar = make_liar(&lies[i]);

        good = replay(&trace, &history, honest, NULL) && good;
        good = replay(&trace, &history, &liar, lies[i].text) && good;
    }
    history_free(&history);
    trace_free(&trace);
    return good ? 0 : 1;
}
