/* SPDX-License-Identifier: BSD-2-Clause */
/* Calibration of the clock, and the histogram. */
#define _POSIX_C_SOURCE 200809L

#include "timing.h"

#include <stdlib.h>
#include <time.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

uint64_t
timing_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Whether the time stamp counter runs at one rate whatever the processor does. */
static bool
counter_is_even(void)
{
#if defined(__x86_64__)
    unsigned eax, ebx, ecx, edx;

    if (__get_cpuid(0x80000001, &eax, &ebx, &ecx, &edx) == 0 || (edx & 1u << 27) == 0)
        return false; /* no rdtscp */
    if (__get_cpuid(0x80000007, &eax, &ebx, &ecx, &edx) == 0)
        return false;
    return (edx & 1u << 8) != 0;
#else
    return false;
#endif
}

static int
compare_ticks(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

void
timing_calibrate(struct timing *timing)
{
    enum { SAMPLES = 1001 };
    uint64_t samples[SAMPLES];

    *timing = (struct timing){ .counter = counter_is_even(), .ticks_per_ns = 1 };
    if (timing->counter) {
        uint64_t ns = timing_now_ns(), ticks = timing_begin(timing), now;

        do
            now = timing_now_ns();
        while (now - ns < 20000000);
        ticks = timing_end(timing) - ticks;
        timing->ticks_per_ns = (double)ticks / (double)(now - ns);
    }
    for (int i = 0; i < SAMPLES; i++) {
        uint64_t begin = timing_begin(timing);

        samples[i] = timing_end(timing) - begin;
    }
    qsort(samples, SAMPLES, sizeof(samples[0]), compare_ticks);
    timing->overhead = samples[SAMPLES / 2];
}

static unsigned
bucket_of(uint64_t value)
{
    unsigned shift;

    if (value < UINT64_C(1) << HISTOGRAM_FINE)
        return (unsigned)value;
    shift = 63 - HISTOGRAM_FINE - (unsigned)__builtin_clzll(value);
    return ((shift + 1) << HISTOGRAM_FINE) +
           (unsigned)((value >> shift) & ((1u << HISTOGRAM_FINE) - 1));
}

/* The middle of what a bucket holds. */
static uint64_t
value_of(unsigned bucket)
{
    unsigned group = bucket >> HISTOGRAM_FINE, fine = bucket & ((1u << HISTOGRAM_FINE) - 1);

    if (group == 0)
        return fine;
    return ((UINT64_C(1) << HISTOGRAM_FINE | fine) << (group - 1)) +
           ((UINT64_C(1) << (group - 1)) >> 1);
}

void
histogram_add(struct histogram *histogram, uint64_t value)
{
    histogram->count++;
    histogram->sum += value;
    if (value > histogram->highest)
        histogram->highest = value;
    histogram->buckets[bucket_of(value)]++;
}

uint64_t
histogram_percentile(const struct histogram *histogram, double percent)
{
    double wanted = (double)histogram->count * percent / 100;
    uint64_t seen = 0;

    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += histogram->buckets[i];
        if (histogram->buckets[i] != 0 && (double)seen >= wanted)
            return value_of(i) < histogram->highest ? value_of(i) : histogram->highest;
    }
    return histogram->highest;
}
