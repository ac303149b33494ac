/* SPDX-License-Identifier: BSD-2-Clause */
/* The report as text: a block for each trace, and a table of all of them. */
#define _POSIX_C_SOURCE 200809L

#include "report.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum { NUMBERS = 8, NUMBER_LENGTH = 32 };

const char *
report_colour(const struct report *report, const char *code)
{
    return report->colours ? code : "";
}

const char *
report_grouped(uint64_t value)
{
    static char rooms[NUMBERS][NUMBER_LENGTH];
    static unsigned next;
    char *room = rooms[next++ % NUMBERS], digits[24];
    int count = snprintf(digits, sizeof(digits), "%" PRIu64, value), used = 0;

    for (int i = 0; i < count; i++) {
        if (i != 0 && (count - i) % 3 == 0)
            room[used++] = ',';
        room[used++] = digits[i];
    }
    room[used] = '\0';
    return room;
}

static double
ns_of(const struct report *report, uint64_t ticks)
{
    return (double)ticks / report->timing->ticks_per_ns;
}

static double
mean_ns(const struct report *report, const struct histogram *histogram)
{
    return histogram->count == 0 ? 0 : ns_of(report, histogram->sum) / (double)histogram->count;
}

static double
percentile_ns(const struct report *report, const struct histogram *histogram, double percent)
{
    return ns_of(report, histogram_percentile(histogram, percent));
}

FILE *
output_open(const char *path)
{
    return strcmp(path, "-") == 0 ? stdout : fopen(path, "w");
}

bool
output_close(FILE *file, const char *path, bool good)
{
    if (file != NULL && file != stdout)
        good = fclose(file) == 0 && good;
    if (!good)
        fprintf(stderr, "tidemark-replay: %s: %s\n", path, strerror(errno));
    return good;
}

const char *
report_base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == NULL || slash[1] == '\0' ? path : slash + 1;
}

void
report_head(const struct report *report)
{
    fprintf(report->out, "tidemark-replay %d.%d.%d, readers under %s\n", TIDE_VERSION_MAJOR,
            TIDE_VERSION_MINOR, TIDE_VERSION_PATCH, REPORT_RCU);
    fprintf(report->out, "clock: %s; its own cost, %.1f ns, is subtracted from each time\n",
            report->timing->counter ? "time stamp counter" : "clock_gettime",
            ns_of(report, report->timing->overhead));
}

static void
print_times(const struct report *report, const char *name, const struct histogram *histogram)
{
    if (histogram->count == 0)
        return;
    fprintf(report->out, "  %-12s %12s %9.1f %9.1f %9.1f %9.1f %11.0f %10.3f\n", name,
            report_grouped(histogram->count), mean_ns(report, histogram),
            percentile_ns(report, histogram, 50), percentile_ns(report, histogram, 99),
            percentile_ns(report, histogram, 99.9), ns_of(report, histogram->highest),
            ns_of(report, histogram->sum) / 1e6);
}

static void
print_readers(const struct report *report, const struct run *run)
{
    double total = 0;
    uint64_t checked = 0, changed = 0;

    if (run->reader_count == 0) {
        fprintf(report->out, "  readers      none\n");
        return;
    }
    for (unsigned i = 0; i < run->reader_count; i++) {
        const struct reader_result *reader = &run->readers[i];

        checked += reader->hits + reader->misses;
        changed += reader->changed;
        if (reader->ns != 0)
            total += (double)(reader->hits + reader->misses) * 1e3 / (double)reader->ns;
    }
    fprintf(report->out,
            "  readers      %u: %s lookups, each checked, %s of them during a write; "
            "%s%s wrong%s\n",
            run->reader_count, report_grouped(checked), report_grouped(changed),
            run->reader_wrong == 0 ? REPORT_GREEN(report) : REPORT_RED(report),
            report_grouped(run->reader_wrong), REPORT_PLAIN(report));
    fprintf(report->out, "               %.2f M lookups/s in all (checks included):", total);
    for (unsigned i = 0; i < run->reader_count; i++) {
        const struct reader_result *reader = &run->readers[i];

        fprintf(report->out, " %.2f",
                reader->ns == 0
                    ? 0.0
                    : (double)(reader->hits + reader->misses) * 1e3 / (double)reader->ns);
    }
    fprintf(report->out, "\n");
}

static void
print_doors(const struct report *report, const struct run *run)
{
    const struct door_counts *doors = &run->doors;

    if (run->container == NULL)
        return;
    fprintf(report->out, "  container    %s: %s requests, %s refused, %s of them as its rules say",
            door_kind_name(run->container), report_grouped(doors->requests),
            report_grouped(doors->refused), report_grouped(doors->by_rule));
    if (doors->beside != 0)
        fprintf(report->out, "; %s maps it has no words for", report_grouped(doors->beside));
    if (doors->left_out != 0)
        fprintf(report->out, "; %s unmaps left out, for it would not refuse them",
                report_grouped(doors->left_out));
    fprintf(report->out, "\n");
}

static void
print_versions(const struct report *report, const struct run *run)
{
    const struct snapshots_result *snapshots = &run->snapshots;

    if (run->batch.count != 0)
        fprintf(report->out, "  batches      %s commits of %s writes, %.1f each\n",
                report_grouped(run->batch.count), report_grouped(run->batched),
                (double)run->batched / (double)run->batch.count);
    if (snapshots->taken != 0)
        fprintf(report->out,
                "  snapshots    %s taken, %s checked, %u at once; at most %s nodes held for them\n",
                report_grouped(snapshots->taken), report_grouped(snapshots->checked),
                snapshots->most_at_once, report_grouped(snapshots->most_nodes));
}

static void
print_tables(const struct report *report, const struct run *run)
{
    const struct peak *peak = &run->peak;

    fprintf(report->out, "  most live    %s mappings", report_grouped(peak->mappings));
    if (peak->mappings != 0)
        fprintf(report->out,
                " in %s %s of height %s%" PRIu64 "\n"
                "  memory       %s bytes then, %.1f for each mapping; %.1f without the %s bytes "
                "that awaited readers",
                report_grouped(peak->trees), peak->trees == 1 ? "tree" : "trees",
                peak->trees == 1 ? "" : "<= ", peak->height, report_grouped(peak->memory),
                (double)peak->memory / (double)peak->mappings,
                ((double)peak->memory - (double)peak->retired) / (double)peak->mappings,
                report_grouped(peak->retired));
    if (run->ever_mapped)
        fprintf(report->out, "\n  watermarks   lowest %" PRIx64 ", highest %" PRIx64, run->lowest,
                run->highest);
    fprintf(report->out, "\n  tide_check   %s times over all trees\n", report_grouped(run->checks));
}

static void
print_findings(const struct report *report, const struct findings *findings, const char *path)
{
    if (findings->count == 0) {
        fprintf(report->out, "  mismatches   %s0%s\n", REPORT_GREEN(report), REPORT_PLAIN(report));
        return;
    }
    fprintf(report->out, "  mismatches   %s%s%s\n", REPORT_RED(report),
            report_grouped(findings->count), REPORT_PLAIN(report));
    for (unsigned i = 0; i < findings->kept; i++)
        fprintf(report->out, "    %s:%s\n", report_base_name(path), findings->text[i]);
    if (findings->count > findings->kept)
        fprintf(report->out, "    ... and %s more\n",
                report_grouped(findings->count - findings->kept));
}

void
report_outcome(const struct report *report, const struct outcome *outcome)
{
    const struct trace_counts *counts = &outcome->counts;
    const struct run *run = &outcome->run;

    fprintf(report->out, "\n%s%s%s\n", REPORT_BOLD(report), report_base_name(outcome->path),
            REPORT_PLAIN(report));
    if (outcome->workload[0] != '\0')
        fprintf(report->out, "  workload     %.84s%s\n", outcome->workload,
                strlen(outcome->workload) > 84 ? "..." : "");
    fprintf(report->out,
            "  operations   %s map, %s unmap, %s translate (%s faults, %s bypass), %s range find, "
            "%s destroy\n",
            report_grouped(counts->maps), report_grouped(counts->unmaps),
            report_grouped(counts->translates), report_grouped(counts->faults),
            report_grouped(counts->bypasses), report_grouped(counts->finds),
            report_grouped(counts->destroys));
    if (run->loaded != 0)
        fprintf(report->out, "  loaded       %s mappings\n", report_grouped(run->loaded));
    print_findings(report, &run->findings, outcome->path);
    fprintf(report->out, "  %-12s %12s %9s %9s %9s %9s %11s %10s\n", "ns per call", "calls", "mean",
            "p50", "p99", "p99.9", "max", "total ms");
    print_times(report, "map", &run->map);
    print_times(report, "unmap", &run->unmap);
    print_times(report, "transaction", &run->batch);
    print_times(report, "translate", &run->translate);
    print_times(report, "range find", &run->find);
    fprintf(report->out, "  total        %.3f ms in the library, %.1f ms with all checks\n",
            ns_of(report, run->map.sum + run->unmap.sum + run->batch.sum + run->translate.sum +
                              run->find.sum) /
                1e6,
            (double)run->ns / 1e6);
    print_doors(report, run);
    print_readers(report, run);
    print_versions(report, run);
    print_tables(report, run);
}

void
report_summary(const struct report *report, const struct outcome *outcomes, size_t count)
{
    if (count < 2)
        return;
    fprintf(report->out, "\n%s%-34s %11s %9s %9s %9s %10s %9s %10s%s\n", REPORT_BOLD(report),
            "trace", "operations", "map ns", "unmap ns", "transl ns", "most live", "B/mapping",
            "mismatches", REPORT_PLAIN(report));
    for (size_t i = 0; i < count; i++) {
        const struct outcome *outcome = &outcomes[i];
        const struct run *run = &outcome->run;
        const struct peak *peak = &run->peak;
        bool bad = outcome->state != OUTCOME_DONE || run->findings.count != 0;

        fprintf(report->out, "%-34.34s ", report_base_name(outcome->path));
        if (outcome->state != OUTCOME_DONE) {
            fprintf(report->out, "%s%11s%s\n", REPORT_RED(report), "not replayed",
                    REPORT_PLAIN(report));
            continue;
        }
        fprintf(report->out, "%11s %9.1f %9.1f %9.1f %10s %9.1f %s%10s%s\n",
                report_grouped(outcome->counts.maps + outcome->counts.unmaps +
                               outcome->counts.translates + outcome->counts.finds),
                mean_ns(report, &run->map), mean_ns(report, &run->unmap),
                mean_ns(report, &run->translate), report_grouped(peak->mappings),
                peak->mappings == 0 ? 0.0 : (double)peak->memory / (double)peak->mappings,
                bad ? REPORT_RED(report) : REPORT_GREEN(report),
                report_grouped(run->findings.count), REPORT_PLAIN(report));
    }
}
