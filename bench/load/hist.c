#include "bench/load/hist.h"

#include <troupe/assert.h>

#include <math.h>
#include <string.h>

/*
 * Buckets. The first 2 x half_count buckets have the width of one unit; after them each group of
 * half_count buckets has twice the width of the group before. half_count is chosen so that a bucket
 * is never wider than 10^-digits of its values.
 */

static uint32_t log2_floor(uint64_t value)
{
    return 63u - (uint32_t)__builtin_clzll(value);
}

/* Number of doublings that a value lies above the first, linear part. */
static uint32_t group_of(const struct trp_hist *hist, uint64_t value)
{
    uint64_t linear = ((uint64_t)hist->half_count * 2 - 1) << hist->unit_shift;
    return log2_floor(value | linear) - (hist->unit_shift + hist->half_count_log2);
}

static uint32_t index_of(const struct trp_hist *hist, uint64_t value)
{
    uint32_t group = group_of(hist, value);
    uint64_t sub = value >> (group + hist->unit_shift);
    return (uint32_t)((uint64_t)group * hist->half_count + sub);
}

static uint64_t low_of(const struct trp_hist *hist, uint32_t index, uint64_t *width)
{
    uint32_t group = index < 2 * hist->half_count ? 0 : index / hist->half_count - 1;
    uint64_t sub = index - (uint64_t)group * hist->half_count;
    *width = (uint64_t)1 << (group + hist->unit_shift);
    return sub << (group + hist->unit_shift);
}

static uint64_t power_of_10(uint32_t digits)
{
    uint64_t power = 1;
    while (digits-- > 0) {
        power *= 10;
    }
    return power;
}

bool trp_hist_init(struct trp_hist *hist, uint64_t lowest, uint64_t highest, uint32_t digits)
{
    if (lowest < 1 || lowest > highest / 2 || highest > (uint64_t)1 << 62 || digits < 1 ||
        digits > TRP_HIST_DIGITS_MAX) {
        return false;
    }
    struct trp_hist made = {.lowest = lowest, .highest = highest, .digits = digits};
    made.unit_shift = log2_floor(lowest);
    made.half_count_log2 = log2_floor(2 * power_of_10(digits) - 1);
    made.half_count = 1u << made.half_count_log2;
    if (made.unit_shift + made.half_count_log2 + 1 > 61) {
        return false;
    }
    made.counts_len = (group_of(&made, highest) + 2) * made.half_count;
    made.counts = calloc(made.counts_len, sizeof(*made.counts));
    if (made.counts == NULL) {
        return false;
    }
    made.min = UINT64_MAX;
    *hist = made;
    return true;
}

bool trp_hist_init_latency(struct trp_hist *hist)
{
    return trp_hist_init(hist, 1, 3600000000000u, 3);
}

void trp_hist_fini(struct trp_hist *hist)
{
    free(hist->counts);
    memset(hist, 0, sizeof(*hist));
}

void trp_hist_reset(struct trp_hist *hist)
{
    memset(hist->counts, 0, hist->counts_len * sizeof(*hist->counts));
    hist->total = 0;
    hist->clamped = 0;
    hist->min = UINT64_MAX;
    hist->max = 0;
}

void trp_hist_record(struct trp_hist *hist, uint64_t value, uint64_t count)
{
    if (count == 0) {
        return;
    }
    uint64_t kept = value;
    if (value > hist->highest) {
        kept = hist->highest;
        hist->clamped += count;
    }
    uint32_t index = index_of(hist, kept);
    TROUPE_ASSERT(index < hist->counts_len);
    hist->counts[index] += count;
    hist->total += count;
    hist->min = value < hist->min ? value : hist->min;
    hist->max = value > hist->max ? value : hist->max;
}

void trp_hist_record_corrected(struct trp_hist *hist, uint64_t value, uint64_t interval)
{
    trp_hist_record(hist, value, 1);
    if (interval == 0) {
        return;
    }
    /* All missing values of one bucket at once: a long stall costs no more than the buckets. */
    while (value >= 2 * interval && value > interval) {
        value -= interval;
        uint64_t low = trp_hist_bucket_low(hist, value < hist->highest ? value : hist->highest);
        low = low < interval ? interval : low;
        uint64_t more = (value - low) / interval;
        trp_hist_record(hist, value, more + 1);
        value -= more * interval;
        hist->min = value < hist->min ? value : hist->min;
    }
}

void trp_hist_merge(struct trp_hist *into, const struct trp_hist *from)
{
    if (from->total == 0) {
        return;
    }
    struct trp_hist_entry entry = {0};
    uint64_t clamped = into->clamped;
    uint64_t min = into->min;
    uint64_t max = into->max;
    while (trp_hist_next(from, &entry)) {
        /* The bucket's own values stay within the exact bounds of what was recorded. */
        uint64_t value = entry.low < from->min ? from->min : entry.low;
        trp_hist_record(into, value, entry.count);
    }
    bool is_same_range = into->highest >= from->highest;
    into->clamped = (is_same_range ? clamped : into->clamped) + from->clamped;
    into->min = from->min < min ? from->min : min;
    into->max = from->max > max ? from->max : max;
}

uint64_t trp_hist_percentile(const struct trp_hist *hist, double percent)
{
    if (hist->total == 0) {
        return 0;
    }
    percent = percent < 0 ? 0 : percent > 100 ? 100 : percent;
    double exact = percent / 100.0 * (double)hist->total;
    /* One part in 10^12 of slack: 99.9 % of 1,000 must be 999, however the quotient is rounded. */
    uint64_t wanted = (uint64_t)ceil(exact - exact * 1e-12);
    wanted = wanted == 0 ? 1 : wanted;
    struct trp_hist_entry entry = {0};
    while (trp_hist_next(hist, &entry)) {
        if (entry.cumulative >= wanted) {
            return entry.high < hist->max ? entry.high : hist->max;
        }
    }
    return hist->max;
}

static double middle_of(const struct trp_hist_entry *entry)
{
    return (double)entry->low + (double)(entry->high - entry->low + 1) / 2.0 -
           (entry->high == entry->low ? 0.5 : 0.0);
}

double trp_hist_mean(const struct trp_hist *hist)
{
    struct trp_hist_entry entry = {0};
    double sum = 0;

    while (trp_hist_next(hist, &entry)) {
        sum += middle_of(&entry) * (double)entry.count;
    }
    return hist->total == 0 ? 0 : sum / (double)hist->total;
}

double trp_hist_stddev(const struct trp_hist *hist)
{
    struct trp_hist_entry entry = {0};
    double mean = trp_hist_mean(hist);
    double sum = 0;

    while (trp_hist_next(hist, &entry)) {
        double off = middle_of(&entry) - mean;
        sum += off * off * (double)entry.count;
    }
    return hist->total == 0 ? 0 : sqrt(sum / (double)hist->total);
}

uint64_t trp_hist_min(const struct trp_hist *hist)
{
    return hist->total == 0 ? 0 : hist->min;
}

uint64_t trp_hist_bucket_low(const struct trp_hist *hist, uint64_t value)
{
    uint64_t width;
    return low_of(hist, index_of(hist, value), &width);
}

uint64_t trp_hist_bucket_high(const struct trp_hist *hist, uint64_t value)
{
    uint64_t width;
    uint64_t low = low_of(hist, index_of(hist, value), &width);
    return low + width - 1;
}

bool trp_hist_next(const struct trp_hist *hist, struct trp_hist_entry *entry)
{
    uint32_t index = entry->cumulative == 0 ? 0 : entry->index + 1;

    while (entry->cumulative < hist->total && index < hist->counts_len) {
        if (hist->counts[index] > 0) {
            uint64_t width;
            entry->index = index;
            entry->low = low_of(hist, index, &width);
            entry->high = entry->low + width - 1;
            entry->count = hist->counts[index];
            entry->cumulative += entry->count;
            return true;
        }
        index++;
    }
    return false;
}

uint32_t trp_hist_used(const struct trp_hist *hist)
{
    if (hist->total == 0) {
        return 0;
    }
    return index_of(hist, hist->max < hist->highest ? hist->max : hist->highest) + 1;
}
