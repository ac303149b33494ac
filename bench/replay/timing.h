/* SPDX-License-Identifier: BSD-2-Clause */
/* Timing of single calls: a cheap clock whose own cost is known, and a histogram of what it said. */
#ifndef REPLAY_TIMING_H
#define REPLAY_TIMING_H

#include <stdbool.h>
#include <stdint.h>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Ticks are of the processor's time stamp counter where that runs evenly, else nanoseconds. */
struct timing {
    bool counter;
    double ticks_per_ns;
    uint64_t overhead; /* ticks that pass between begin and end with nothing in between */
};

/* 32 buckets to each power of two: values are off by 3 % at most. */
enum { HISTOGRAM_FINE = 5, HISTOGRAM_BUCKETS = (64 - HISTOGRAM_FINE + 1) << HISTOGRAM_FINE };

struct histogram {
    uint64_t count, sum, highest;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

/* Nanoseconds of a clock that never goes back. */
uint64_t timing_now_ns(void);

/* Choose the clock, measure its rate and its cost. Takes some 20 ms. */
void timing_calibrate(struct timing *timing);

void histogram_add(struct histogram *histogram, uint64_t value);
uint64_t histogram_percentile(const struct histogram *histogram, double percent);

/* The fences keep the call that is timed from beginning early or ending late. */
static inline uint64_t
timing_begin(const struct timing *timing)
{
#if defined(__x86_64__)
    if (timing->counter) {
        uint64_t ticks;

        _mm_lfence();
        ticks = __rdtsc();
        _mm_lfence();
        return ticks;
    }
#endif
    (void)timing;
    return timing_now_ns();
}

static inline uint64_t
timing_end(const struct timing *timing)
{
#if defined(__x86_64__)
    if (timing->counter) {
        unsigned processor;
        uint64_t ticks = __rdtscp(&processor);

        _mm_lfence();
        return ticks;
    }
#endif
    (void)timing;
    return timing_now_ns();
}

static inline void
timing_record(const struct timing *timing, struct histogram *histogram, uint64_t begin,
              uint64_t end)
{
    uint64_t ticks = end - begin;

    histogram_add(histogram, ticks > timing->overhead ? ticks - timing->overhead : 0);
}

#ifdef __cplusplus
}
#endif

#endif
