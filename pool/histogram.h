#ifndef POOL_HISTOGRAM_H
#define POOL_HISTOGRAM_H

/*
 * A histogram of durations of fixed size: four buckets per power of two from 64 ns to 2^40 ns
 * (1,100 s), one below and one above. Adding is a shift, a count and a sum. One writer, any number
 * of readers (relaxed words).
 */

#include "mailbox/atomic.h"

#define TRP_HISTOGRAM_LOW_BITS  6u  /* below 2^6 ns: bucket 0 */
#define TRP_HISTOGRAM_HIGH_BITS 40u /* from 2^40 ns on: the last bucket */
#define TRP_HISTOGRAM_BUCKETS   (2u + 4u * (TRP_HISTOGRAM_HIGH_BITS - TRP_HISTOGRAM_LOW_BITS))

struct trp_histogram {
    uint64_t counts[TRP_HISTOGRAM_BUCKETS];
    uint64_t sum_ns;
    uint64_t max_ns;
};

static inline uint32_t trp_histogram_bucket(uint64_t ns)
{
    if (ns < 1ull << TRP_HISTOGRAM_LOW_BITS) {
        return 0;
    }
    if (ns >= 1ull << TRP_HISTOGRAM_HIGH_BITS) {
        return TRP_HISTOGRAM_BUCKETS - 1;
    }
    uint32_t power = 63u - (uint32_t)__builtin_clzll(ns);
    return 1 + 4 * (power - TRP_HISTOGRAM_LOW_BITS) + (uint32_t)(ns >> (power - 2) & 3);
}

/* Threads: the writer. */
static inline void trp_histogram_add(struct trp_histogram *histogram, uint64_t ns)
{
    uint64_t *count = &histogram->counts[trp_histogram_bucket(ns)];
    /* relaxed: partner trp_histogram_merge, which takes any recent value */
    trp_store_relaxed_u64(count, *count + 1);
    trp_store_relaxed_u64(&histogram->sum_ns, histogram->sum_ns + ns);
    if (ns > histogram->max_ns) {
        trp_store_relaxed_u64(&histogram->max_ns, ns);
    }
}

/* The largest duration that falls into a bucket; UINT64_MAX for the last one. */
uint64_t trp_histogram_upper(uint32_t bucket);

/* Adds what `from` holds at present to `into`, which is the caller's own. Threads: any for `from`.
 */
void trp_histogram_merge(struct trp_histogram *into, const struct trp_histogram *from);

/* Entries of a histogram that nobody writes. */
uint64_t trp_histogram_total(const struct trp_histogram *histogram);

/*
 * The duration that `per_mille10` in 10,000 entries (9,900 = p99) do not exceed, as the upper end
 * of its bucket, no more than the maximum; 0 when empty. For a histogram that nobody writes.
 */
uint64_t trp_histogram_percentile(const struct trp_histogram *histogram, uint32_t per_mille10);

#endif
