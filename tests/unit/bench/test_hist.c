#include "tests/cmocka.h"

#include "bench/load/hist.h"

#include <math.h>

static void setup_latency(struct trp_hist *hist)
{
    assert_true(trp_hist_init_latency(hist));
}

static void bounds_of_arguments(void **state)
{
    struct trp_hist hist;
    (void)state;

    assert_false(trp_hist_init(&hist, 0, 1000, 3));
    assert_false(trp_hist_init(&hist, 10, 19, 3));
    assert_false(trp_hist_init(&hist, 1, 1000, 0));
    assert_false(trp_hist_init(&hist, 1, 1000, 6));
    assert_false(trp_hist_init(&hist, 1, ((uint64_t)1 << 62) + 1, 3));
    assert_false(trp_hist_init(&hist, (uint64_t)1 << 60, (uint64_t)1 << 61, 3));
    assert_true(trp_hist_init(&hist, 1, (uint64_t)1 << 62, 5));
    trp_hist_record(&hist, (uint64_t)1 << 62, 1);
    assert_int_equal(hist.clamped, 0);
    trp_hist_fini(&hist);
}

/* Bucket widths as HdrHistogram defines them for 3 digits: 1 up to 2047, then 2, 4, ... */
static void buckets_are_those_of_hdr(void **state)
{
    struct trp_hist hist;
    (void)state;
    setup_latency(&hist);

    assert_int_equal(trp_hist_bucket_low(&hist, 0), 0);
    assert_int_equal(trp_hist_bucket_high(&hist, 2047), 2047);
    assert_int_equal(trp_hist_bucket_low(&hist, 2049), 2048);
    assert_int_equal(trp_hist_bucket_high(&hist, 2049), 2049);
    assert_int_equal(trp_hist_bucket_low(&hist, 4097), 4096);
    assert_int_equal(trp_hist_bucket_high(&hist, 4097), 4099);
    assert_int_equal(trp_hist_bucket_low(&hist, 1000001), 1000000 - 1000000 % 512);
    trp_hist_fini(&hist);

    assert_true(trp_hist_init(&hist, 1000, 3600000000u, 3));
    assert_int_equal(trp_hist_bucket_low(&hist, 1000), 512); /* the unit is 2^9 */
    assert_int_equal(trp_hist_bucket_high(&hist, 1000), 1023);
    trp_hist_fini(&hist);
}

/* Every bucket begins where the one before ends, and none is wider than one part in 1,000. */
static void buckets_cover_without_gap(void **state)
{
    struct trp_hist hist;
    uint64_t next = 0;
    (void)state;
    setup_latency(&hist);

    while (next < hist.highest) {
        uint64_t low = trp_hist_bucket_low(&hist, next);
        uint64_t high = trp_hist_bucket_high(&hist, next);
        assert_int_equal(low, next);
        assert_true(high - low == 0 || (high - low) <= low / 1000);
        next = high + 1;
    }
    trp_hist_fini(&hist);
}

static void percentiles_of_a_ramp(void **state)
{
    struct trp_hist hist;
    (void)state;
    setup_latency(&hist);

    assert_int_equal(trp_hist_percentile(&hist, 50), 0);
    for (uint64_t i = 1; i <= 1000; i++) {
        trp_hist_record(&hist, i, 1);
    }
    assert_int_equal(trp_hist_percentile(&hist, 0), 1);
    assert_int_equal(trp_hist_percentile(&hist, 50), 500);
    assert_int_equal(trp_hist_percentile(&hist, 99), 990);
    assert_int_equal(trp_hist_percentile(&hist, 99.9), 999);
    assert_int_equal(trp_hist_percentile(&hist, 99.91), 1000);
    assert_int_equal(trp_hist_percentile(&hist, 100), 1000);
    assert_int_equal(trp_hist_min(&hist), 1);
    assert_int_equal(hist.max, 1000);
    assert_true(fabs(trp_hist_mean(&hist) - 500.5) < 0.001);
    assert_true(fabs(trp_hist_stddev(&hist) - 288.675) < 0.01);
    trp_hist_reset(&hist);
    assert_int_equal(hist.total, 0);
    assert_int_equal(trp_hist_min(&hist), 0);
    assert_int_equal(trp_hist_used(&hist), 0);
    trp_hist_fini(&hist);
}

static void precision_over_the_range(void **state)
{
    struct trp_hist hist;
    (void)state;

    for (uint64_t value = 3; value < 3600000000000u; value = value * 3 + 1) {
        setup_latency(&hist);
        trp_hist_record(&hist, value, 1);
        trp_hist_record(&hist, 3600000000000u, 9);
        uint64_t found = trp_hist_percentile(&hist, 10);
        assert_true(found >= value && found - value <= value / 1000);
        trp_hist_fini(&hist);
    }
}

static void too_large_is_clamped_never_dropped(void **state)
{
    struct trp_hist hist;
    (void)state;
    assert_true(trp_hist_init(&hist, 1, 1000, 3));

    trp_hist_record(&hist, 5000, 2);
    assert_int_equal(hist.total, 2);
    assert_int_equal(hist.clamped, 2);
    assert_int_equal(hist.max, 5000);
    assert_in_range(trp_hist_percentile(&hist, 50), 1000, 5000);
    trp_hist_fini(&hist);
}

static void correction_adds_the_missing(void **state)
{
    struct trp_hist hist;
    (void)state;
    setup_latency(&hist);

    trp_hist_record_corrected(&hist, 1000, 100); /* and 900, 800 ... 100 */
    assert_int_equal(hist.total, 10);
    assert_int_equal(trp_hist_min(&hist), 100);
    assert_int_equal(trp_hist_percentile(&hist, 50), 500);
    trp_hist_reset(&hist);
    trp_hist_record_corrected(&hist, 199, 100); /* nothing lies between */
    assert_int_equal(hist.total, 1);
    trp_hist_record_corrected(&hist, 5, 0);
    assert_int_equal(hist.total, 2);
    trp_hist_fini(&hist);
}

/* Adding in bulk must give what adding one by one gives, and end soon for absurd ratios. */
static void correction_in_bulk_is_exact(void **state)
{
    static const uint64_t cases[][2] = {{1000000, 7}, {999999, 3}, {65536, 64}, {123457, 1000}};
    struct trp_hist bulk;
    struct trp_hist single;
    (void)state;
    setup_latency(&bulk);
    setup_latency(&single);

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        trp_hist_record_corrected(&bulk, cases[i][0], cases[i][1]);
        for (uint64_t value = cases[i][0]; value >= cases[i][1]; value -= cases[i][1]) {
            trp_hist_record(&single, value, 1);
        }
    }
    assert_int_equal(bulk.total, single.total);
    assert_int_equal(bulk.min, single.min);
    assert_memory_equal(bulk.counts, single.counts, bulk.counts_len * sizeof(uint64_t));
    trp_hist_record_corrected(&bulk, 3600000000000u, 1);
    assert_int_equal(bulk.total, single.total + 3600000000000u);
    trp_hist_fini(&bulk);
    trp_hist_fini(&single);
}

static void merge_is_lossless(void **state)
{
    struct trp_hist a;
    struct trp_hist b;
    struct trp_hist all;
    (void)state;
    setup_latency(&a);
    setup_latency(&b);
    setup_latency(&all);

    for (uint64_t i = 1; i < 100000; i += 7) {
        trp_hist_record(i % 2 == 0 ? &a : &b, i * i, i % 3 + 1);
        trp_hist_record(&all, i * i, i % 3 + 1);
    }
    trp_hist_record(&b, 4000000000000u, 1);
    trp_hist_record(&all, 4000000000000u, 1);
    trp_hist_merge(&a, &b);
    assert_int_equal(a.total, all.total);
    assert_int_equal(a.min, all.min);
    assert_int_equal(a.max, all.max);
    assert_int_equal(a.clamped, all.clamped);
    assert_memory_equal(a.counts, all.counts, a.counts_len * sizeof(uint64_t));
    trp_hist_fini(&a);
    trp_hist_fini(&b);
    trp_hist_fini(&all);
}

static void merge_of_empty_and_of_other_shape(void **state)
{
    struct trp_hist into;
    struct trp_hist from;
    (void)state;
    setup_latency(&into);
    assert_true(trp_hist_init(&from, 1, 1000000, 2));

    trp_hist_merge(&into, &from);
    assert_int_equal(into.total, 0);
    assert_int_equal(trp_hist_min(&into), 0);
    trp_hist_record(&from, 123456, 3);
    trp_hist_merge(&into, &from);
    assert_int_equal(into.total, 3);
    assert_int_equal(into.max, 123456);
    assert_in_range(trp_hist_percentile(&into, 50), 122000, 125000);
    trp_hist_fini(&into);
    trp_hist_fini(&from);
}

static void iteration_sees_each_bucket_once(void **state)
{
    struct trp_hist hist;
    struct trp_hist_entry entry = {0};
    (void)state;
    setup_latency(&hist);

    assert_false(trp_hist_next(&hist, &entry));
    trp_hist_record(&hist, 0, 2);
    trp_hist_record(&hist, 5000, 1);
    assert_true(trp_hist_next(&hist, &entry));
    assert_int_equal(entry.low, 0);
    assert_int_equal(entry.count, 2);
    assert_true(trp_hist_next(&hist, &entry));
    assert_int_equal(entry.low, 5000);
    assert_int_equal(entry.high, 5003);
    assert_int_equal(entry.cumulative, 3);
    assert_false(trp_hist_next(&hist, &entry));
    trp_hist_fini(&hist);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bounds_of_arguments),
        cmocka_unit_test(buckets_are_those_of_hdr),
        cmocka_unit_test(buckets_cover_without_gap),
        cmocka_unit_test(percentiles_of_a_ramp),
        cmocka_unit_test(precision_over_the_range),
        cmocka_unit_test(too_large_is_clamped_never_dropped),
        cmocka_unit_test(correction_adds_the_missing),
        cmocka_unit_test(correction_in_bulk_is_exact),
        cmocka_unit_test(merge_is_lossless),
        cmocka_unit_test(merge_of_empty_and_of_other_shape),
        cmocka_unit_test(iteration_sees_each_bucket_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
