/* SPDX-License-Identifier: BSD-2-Clause */
/* The report as JSON. Addresses are strings of hex digits, for many readers of JSON keep only 53
 * bits of a number; times are in nanoseconds. */
#define _POSIX_C_SOURCE 200809L

#include "report.h"

#include <inttypes.h>

/* Bytes that are not printable ASCII are escaped one by one, as if the text were Latin-1. */
void
json_string(FILE *file, const char *text)
{
    fputc('"', file);
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;

        if (c == '"' || c == '\\')
            fprintf(file, "\\%c", c);
        else if (c < ' ' || c > '~')
            fprintf(file, "\\u%04x", c);
        else
            fputc(c, file);
    }
    fputc('"', file);
}

static void
put_times(FILE *file, const char *name, const struct timing *timing,
          const struct histogram *histogram)
{
    double rate = timing->ticks_per_ns;
    double mean =
        histogram->count == 0 ? 0 : (double)histogram->sum / rate / (double)histogram->count;

    fprintf(file,
            "      \"%s\": {\"calls\": %" PRIu64 ", \"mean\": %.2f, \"p50\": %.2f, \"p99\": %.2f, "
            "\"p99_9\": %.2f, \"max\": %.2f, \"total\": %.0f},\n",
            name, histogram->count, mean, (double)histogram_percentile(histogram, 50) / rate,
            (double)histogram_percentile(histogram, 99) / rate,
            (double)histogram_percentile(histogram, 99.9) / rate, (double)histogram->highest / rate,
            (double)histogram->sum / rate);
}

static void
put_counts(FILE *file, const struct trace_counts *counts)
{
    fprintf(file,
            "      \"operations\": {\"map\": %" PRIu64 ", \"unmap\": %" PRIu64
            ", \"translate\": %" PRIu64 ", \"faults\": %" PRIu64 ", \"bypasses\": %" PRIu64
            ", \"find\": %" PRIu64 ", \"destroy\": %" PRIu64 ", \"attach\": %" PRIu64
            ", \"detach\": %" PRIu64 "},\n",
            counts->maps, counts->unmaps, counts->translates, counts->faults, counts->bypasses,
            counts->finds, counts->destroys, counts->attaches, counts->detaches);
}

static void
put_findings(FILE *file, const struct findings *findings)
{
    fprintf(file, "      \"mismatches\": %" PRIu64 ",\n      \"first_mismatches\": [",
            findings->count);
    for (unsigned i = 0; i < findings->kept; i++) {
        fprintf(file, "%s", i == 0 ? "" : ", ");
        json_string(file, findings->text[i]);
    }
    fprintf(file, "],\n");
}

static void
put_readers(FILE *file, const struct run *run)
{
    fprintf(file, "      \"reader_wrong\": %" PRIu64 ",\n      \"readers\": [", run->reader_wrong);
    for (unsigned i = 0; i < run->reader_count; i++) {
        const struct reader_result *reader = &run->readers[i];
        uint64_t lookups = reader->hits + reader->misses;

        fprintf(file,
                "%s\n        {\"lookups\": %" PRIu64 ", \"hits\": %" PRIu64 ", \"misses\": %" PRIu64
                ", \"during_write\": %" PRIu64 ", \"wrong\": %" PRIu64
                ", \"million_per_second\": %.3f}",
                i == 0 ? "" : ",", lookups, reader->hits, reader->misses, reader->changed,
                reader->wrong, reader->ns == 0 ? 0.0 : (double)lookups * 1e3 / (double)reader->ns);
    }
    fprintf(file, "],\n");
}

static void
put_doors(FILE *file, const struct run *run)
{
    const struct door_counts *doors = &run->doors;

    if (run->container == NULL)
        fprintf(file, "      \"container\": null,\n");
    else
        fprintf(file,
                "      \"container\": {\"kind\": \"%s\", \"requests\": %" PRIu64
                ", \"refused\": %" PRIu64 ", \"refused_by_rule\": %" PRIu64
                ", \"maps_beside\": %" PRIu64 ", \"unmaps_left_out\": %" PRIu64 "},\n",
                door_kind_name(run->container), doors->requests, doors->refused, doors->by_rule,
                doors->beside, doors->left_out);
}

static void
put_run(FILE *file, const struct timing *timing, const struct run *run)
{
    const struct peak *peak = &run->peak;

    put_findings(file, &run->findings);
    fprintf(file, "      \"loaded_mappings\": %zu,\n", run->loaded);
    put_times(file, "map_ns", timing, &run->map);
    put_times(file, "unmap_ns", timing, &run->unmap);
    put_times(file, "transaction_ns", timing, &run->batch);
    put_times(file, "translate_ns", timing, &run->translate);
    put_times(file, "find_ns", timing, &run->find);
    put_doors(file, run);
    put_readers(file, run);
    fprintf(file,
            "      \"batched_writes\": %" PRIu64 ",\n      \"snapshots\": {\"taken\": %" PRIu64
            ", \"checked\": %" PRIu64 ", \"most_at_once\": %u, \"most_nodes\": %" PRIu64 "},\n",
            run->batched, run->snapshots.taken, run->snapshots.checked, run->snapshots.most_at_once,
            run->snapshots.most_nodes);
    fprintf(file,
            "      \"most_live\": {\"mappings\": %" PRIu64 ", \"trees\": %" PRIu64
            ", \"height\": %" PRIu64 ", \"memory\": %" PRIu64 ", \"retired\": %" PRIu64
            ", \"memory_per_mapping\": %.2f},\n",
            peak->mappings, peak->trees, peak->height, peak->memory, peak->retired,
            peak->mappings == 0 ? 0.0 : (double)peak->memory / (double)peak->mappings);
    if (run->ever_mapped)
        fprintf(file,
                "      \"watermarks\": {\"lowest\": \"%" PRIx64 "\", \"highest\": \"%" PRIx64
                "\"},\n",
                run->lowest, run->highest);
    else
        fprintf(file, "      \"watermarks\": null,\n");
    fprintf(file, "      \"tide_checks\": %" PRIu64 ",\n      \"replay_ns\": %" PRIu64 "\n",
            run->checks, run->ns);
}

bool
report_json(FILE *file, const struct timing *timing, const struct outcome *outcomes, size_t count)
{
    fprintf(file, "{\n  \"program\": \"tidemark-replay\",\n  \"version\": \"%d.%d.%d\",\n",
            TIDE_VERSION_MAJOR, TIDE_VERSION_MINOR, TIDE_VERSION_PATCH);
    fprintf(file, "  \"rcu\": \"%s\",\n", REPORT_RCU);
    fprintf(file, "  \"clock\": {\"kind\": \"%s\", \"overhead_ns\": %.2f},\n",
            timing->counter ? "tsc" : "clock_gettime",
            (double)timing->overhead / timing->ticks_per_ns);
    fprintf(file, "  \"traces\": [");
    for (size_t i = 0; i < count; i++) {
        const struct outcome *outcome = &outcomes[i];

        fprintf(file, "%s\n    {\n      \"path\": ", i == 0 ? "" : ",");
        json_string(file, outcome->path);
        fprintf(file, ",\n      \"replayed\": %s",
                outcome->state == OUTCOME_DONE ? "true,\n" : "false\n");
        if (outcome->state == OUTCOME_DONE) {
            fprintf(file, "      \"name\": ");
            json_string(file, outcome->name);
            fprintf(file, ",\n      \"workload\": ");
            json_string(file, outcome->workload);
            fprintf(file, ",\n");
            put_counts(file, &outcome->counts);
            put_run(file, timing, &outcome->run);
        }
        fprintf(file, "    }");
    }
    fprintf(file, "\n  ]\n}\n");
    return fflush(file) == 0 && !ferror(file);
}
