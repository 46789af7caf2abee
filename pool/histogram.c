#include "pool/histogram.h"

#include <troupe/assert.h>

uint64_t trp_histogram_upper(uint32_t bucket)
{
    TROUPE_ASSERT(bucket < TRP_HISTOGRAM_BUCKETS);
    if (bucket == 0) {
        return (1ull << TRP_HISTOGRAM_LOW_BITS) - 1;
    }
    if (bucket == TRP_HISTOGRAM_BUCKETS - 1) {
        return UINT64_MAX;
    }
    uint32_t power = TRP_HISTOGRAM_LOW_BITS + (bucket - 1) / 4;
    uint64_t quarter = (bucket - 1) % 4;
    return ((quarter + 5) << (power - 2)) - 1;
}

void trp_histogram_merge(struct trp_histogram *into, const struct trp_histogram *from)
{
    for (uint32_t i = 0; i < TRP_HISTOGRAM_BUCKETS; i++) {
        into->counts[i] += trp_load_relaxed_u64(&from->counts[i]); /* partner: trp_histogram_add */
    }
    into->sum_ns += trp_load_relaxed_u64(&from->sum_ns);
    uint64_t max_ns = trp_load_relaxed_u64(&from->max_ns);
    if (max_ns > into->max_ns) {
        into->max_ns = max_ns;
    }
}

uint64_t trp_histogram_total(const struct trp_histogram *histogram)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < TRP_HISTOGRAM_BUCKETS; i++) {
        total += histogram->counts[i];
    }
    return total;
}

uint64_t trp_histogram_percentile(const struct trp_histogram *histogram, uint32_t per_mille10)
{
    TROUPE_ASSERT(per_mille10 <= 10000);
    uint64_t total = trp_histogram_total(histogram);
    /* how many entries lie at or below it, rounded up, without overflow */
    uint64_t rank = total / 10000 * per_mille10 + (total % 10000 * per_mille10 + 9999) / 10000;
    uint64_t seen = 0;
    for (uint32_t i = 0; i < TRP_HISTOGRAM_BUCKETS; i++) {
        seen += histogram->counts[i];
        if (seen != 0 && seen >= rank) {
            uint64_t upper = trp_histogram_upper(i);
            return upper < histogram->max_ns ? upper : histogram->max_ns;
        }
    }
    return 0;
}
