#ifndef BENCH_LOAD_HIST_H
#define BENCH_LOAD_HIST_H

/*
 * A latency histogram with a fixed relative error: compatible with HdrHistogram (same buckets, same
 * percentiles, and hist_export.h writes its exchange format).
 *
 *     struct trp_hist hist;
 *     if (!trp_hist_init(&hist, 1, 3600000000000u, 3)) { ... }
 *     trp_hist_record(&hist, latency_ns, 1);
 *     ... trp_hist_percentile(&hist, 99.9) ...
 *     trp_hist_fini(&hist);
 *
 * With 3 digits a value is kept to within 1 part in 1,000. Recording is a few instructions and
 * allocates nothing; the smallest histogram of 1 ns .. 3,600 s takes 264 KiB.
 *
 * Threads: one at a time. One per worker, merged at the end.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#define TRP_HIST_DIGITS_MAX 5u

struct trp_hist {
    uint64_t *counts;
    uint64_t lowest;  /* smallest value that must be told from 0 */
    uint64_t highest; /* largest value kept */
    uint64_t total;   /* values recorded */
    uint64_t min;     /* exact; UINT64_MAX when empty */
    uint64_t max;     /* exact, also for clamped values */
    uint64_t clamped; /* values above `highest`, recorded as `highest` */
    uint32_t counts_len;
    uint32_t digits;
    uint32_t unit_shift;      /* log2 of the width of the finest bucket */
    uint32_t half_count;      /* half the sub-buckets, a power of two */
    uint32_t half_count_log2; /* of half_count */
};

/*
 * An empty histogram. lowest: at least 1. highest: at least 2 x lowest, at most 2^62. digits: 1..5.
 * False when an argument is out of range or memory is short; nothing is held then.
 */
bool trp_hist_init(struct trp_hist *hist, uint64_t lowest, uint64_t highest, uint32_t digits);

/* The usual one: 1 ns to 3,600 s, 3 digits. */
bool trp_hist_init_latency(struct trp_hist *hist);

void trp_hist_fini(struct trp_hist *hist);

/* Forgets all values. */
void trp_hist_reset(struct trp_hist *hist);

/* Adds a value `count` times. Cost: O(1). */
void trp_hist_record(struct trp_hist *hist, uint64_t value, uint64_t count);

/*
 * Adds a value and, when it is above the interval at which values were expected, the values that a
 * stalled observer did not see: value - interval, value - 2 x interval, ... down to the interval.
 * interval 0 adds the value only. Cost: O(buckets).
 */
void trp_hist_record_corrected(struct trp_hist *hist, uint64_t value, uint64_t interval);

/* Adds everything in `from`; exact when both have the same shape, otherwise to the precision. */
void trp_hist_merge(struct trp_hist *into, const struct trp_hist *from);

/*
 * The value below or at which `percent` of all values lie, 0..100; the upper end of its bucket, but
 * never above the largest value seen. 0 when empty.
 */
uint64_t trp_hist_percentile(const struct trp_hist *hist, double percent);

/* From the middles of the buckets; 0 when empty. */
double trp_hist_mean(const struct trp_hist *hist);
double trp_hist_stddev(const struct trp_hist *hist);

/* Smallest value recorded, 0 when empty. */
uint64_t trp_hist_min(const struct trp_hist *hist);

/* The values that share a bucket with this one. */
uint64_t trp_hist_bucket_low(const struct trp_hist *hist, uint64_t value);
uint64_t trp_hist_bucket_high(const struct trp_hist *hist, uint64_t value);

/* One bucket that holds something. */
struct trp_hist_entry {
    uint32_t index; /* into counts */
    uint64_t low;   /* smallest and largest value it stands for */
    uint64_t high;
    uint64_t count;
    uint64_t cumulative; /* values in it and below */
};

/*
 * Walks the buckets that hold something, in ascending order. Start with a zeroed entry; false at
 * the end.
 *
 *     struct trp_hist_entry entry = {0};
 *     while (trp_hist_next(&hist, &entry)) { ... }
 */
bool trp_hist_next(const struct trp_hist *hist, struct trp_hist_entry *entry);

/* Index of the last bucket up to the largest value, plus 1; 0 when empty. */
uint32_t trp_hist_used(const struct trp_hist *hist);

#endif
