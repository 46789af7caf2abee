#include "tests/cmocka.h"

#include "actors/nostr/backoff.h"
#include "actors/nostr/key_table.h"
#include "actors/nostr/rate.h"
#include "actors/nostr/seen.h"

#include <string.h>

static void make_id(uint8_t id[32], uint32_t number)
{
    memset(id, 0, 32);
    memcpy(id, &number, sizeof(number));
}

/* --- seen ids --- */

static void an_id_is_new_once(void **state)
{
    (void)state;
    struct trp_seen *seen = trp_seen_create(16, 16, 0, 7);
    uint8_t id[32];
    make_id(id, 1);
    assert_false(trp_seen_has(seen, id));
    assert_true(trp_seen_add(seen, id, 5));
    assert_true(trp_seen_has(seen, id));
    assert_false(trp_seen_add(seen, id, 6));
    assert_int_equal(trp_seen_count(seen), 1);
    trp_seen_destroy(seen);
}

static void the_oldest_is_forgotten_at_the_limit(void **state)
{
    (void)state;
    struct trp_seen *seen = trp_seen_create(64, 64, UINT64_MAX, 99);
    uint8_t id[32];
    for (uint32_t i = 0; i < 5000; i++) {
        make_id(id, i);
        assert_true(trp_seen_add(seen, id, i));
        assert_true(trp_seen_count(seen) <= 64);
        /* exactly the newest 64 are there: also a check of the index after each deletion */
        for (uint32_t back = 0; back < 66 && back <= i; back++) {
            make_id(id, i - back);
            assert_int_equal(trp_seen_has(seen, id), back < 64);
        }
    }
    trp_seen_destroy(seen);
}

static void young_ids_make_the_set_grow(void **state)
{
    (void)state;
    struct trp_seen *seen = trp_seen_create(16, 64, 100, 3);
    uint8_t id[32];
    for (uint32_t i = 0; i < 40; i++) {
        make_id(id, i);
        assert_true(trp_seen_add(seen, id, 10));
    }
    assert_int_equal(trp_seen_capacity(seen), 64);
    for (uint32_t i = 0; i < 40; i++) {
        make_id(id, i);
        assert_true(trp_seen_has(seen, id));
    }
    for (uint32_t i = 40; i < 200; i++) {
        make_id(id, i);
        assert_true(trp_seen_add(seen, id, 10));
    }
    assert_int_equal(trp_seen_capacity(seen), 64);
    assert_int_equal(trp_seen_count(seen), 64);
    trp_seen_destroy(seen);
}

static void old_ids_make_room_without_growing(void **state)
{
    (void)state;
    struct trp_seen *seen = trp_seen_create(16, 64, 100, 3);
    uint8_t id[32];
    for (uint32_t i = 0; i < 100; i++) {
        make_id(id, i);
        assert_true(trp_seen_add(seen, id, i * 100));
    }
    assert_int_equal(trp_seen_capacity(seen), 16);
    trp_seen_destroy(seen);
}

/* --- rates --- */

static void a_bucket_gives_its_burst_and_then_the_rate(void **state)
{
    (void)state;
    struct trp_rate rate = trp_rate_make(10, 3); /* one per 100 ms */
    uint64_t bucket = 0;
    uint64_t now = 1000000000;
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(trp_rate_allow(&rate, &bucket, now));
    }
    assert_false(trp_rate_allow(&rate, &bucket, now));
    assert_false(trp_rate_allow(&rate, &bucket, now + 99999999));
    assert_true(trp_rate_allow(&rate, &bucket, now + 100000000));
    assert_false(trp_rate_allow(&rate, &bucket, now + 100000000));
    /* a long rest fills it, but not beyond the burst */
    now += 100000000000;
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(trp_rate_allow(&rate, &bucket, now));
    }
    assert_false(trp_rate_allow(&rate, &bucket, now));
}

static void no_rate_is_no_limit(void **state)
{
    (void)state;
    struct trp_rate rate = trp_rate_make(0, 0);
    uint64_t bucket = 0;
    for (uint32_t i = 0; i < 1000; i++) {
        assert_true(trp_rate_allow(&rate, &bucket, 1));
        assert_true(trp_rate_allow_shared(&rate, &bucket, 1));
    }
}

static void a_shared_bucket_counts_like_an_own_one(void **state)
{
    (void)state;
    struct trp_rate rate = trp_rate_make(1, 2);
    uint64_t bucket = 0;
    assert_true(trp_rate_allow_shared(&rate, &bucket, 50));
    assert_true(trp_rate_allow_shared(&rate, &bucket, 50));
    assert_false(trp_rate_allow_shared(&rate, &bucket, 50));
    assert_true(trp_rate_allow_shared(&rate, &bucket, 50 + 1000000000));
}

/* --- tables by key --- */

static void words_belong_to_their_key(void **state)
{
    (void)state;
    struct trp_key_words *table = trp_key_words_create(1024, 5);
    uint8_t key[32];
    bool is_new;
    for (uint32_t i = 0; i < 100; i++) {
        make_id(key, i);
        *trp_key_words_get(table, key, &is_new) = i + 1;
        assert_true(is_new);
    }
    for (uint32_t i = 0; i < 100; i++) {
        make_id(key, i);
        assert_int_equal(*trp_key_words_get(table, key, &is_new), i + 1);
        assert_false(is_new);
    }
    make_id(key, 42);
    trp_key_words_forget(table, key);
    assert_int_equal(*trp_key_words_get(table, key, &is_new), 0);
    assert_true(is_new);
    trp_key_words_destroy(table);
}

static void the_smallest_word_leaves_a_full_table(void **state)
{
    (void)state;
    struct trp_key_words *table = trp_key_words_create(8, 5); /* one set */
    uint8_t key[32];
    bool is_new;
    for (uint32_t i = 0; i < 8; i++) {
        make_id(key, i);
        *trp_key_words_get(table, key, NULL) = i == 3 ? 1 : 100 + i;
    }
    make_id(key, 1000);
    *trp_key_words_get(table, key, &is_new) = 500;
    assert_true(is_new);
    for (uint32_t i = 0; i < 8; i++) {
        if (i != 3) {
            make_id(key, i);
            assert_int_equal(*trp_key_words_get(table, key, &is_new), 100 + i);
            assert_false(is_new);
        }
    }
    make_id(key, 3);
    (void)trp_key_words_get(table, key, &is_new);
    assert_true(is_new);
    trp_key_words_destroy(table);
}

static void the_least_recently_used_key_leaves_the_cache(void **state)
{
    (void)state;
    struct trp_key_cache *cache = trp_key_cache_create(8, 1);
    struct trp_nostr_pubkey parsed;
    uint8_t key[32];
    for (uint32_t i = 0; i < 8; i++) {
        make_id(key, i);
        memset(&parsed, (int)i, sizeof(parsed));
        assert_null(trp_key_cache_find(cache, key));
        trp_key_cache_put(cache, key, &parsed);
    }
    make_id(key, 0);
    assert_non_null(trp_key_cache_find(cache, key)); /* now 1 is the oldest */
    make_id(key, 99);
    trp_key_cache_put(cache, key, &parsed);
    make_id(key, 1);
    assert_null(trp_key_cache_find(cache, key));
    make_id(key, 0);
    const struct trp_nostr_pubkey *found = trp_key_cache_find(cache, key);
    assert_non_null(found);
    assert_int_equal(found->opaque[0], 0);
    make_id(key, 5);
    found = trp_key_cache_find(cache, key);
    assert_non_null(found);
    assert_int_equal(found->opaque[63], 5);
    trp_key_cache_destroy(cache);
}

/* --- backoff --- */

static const struct trp_backoff usual = {.quick_min_ns = 250,
                                         .quick_max_ns = 1000,
                                         .base_ns = 3000,
                                         .max_ns = 30000,
                                         .factor_percent = 150};

static void the_first_retry_is_quick(void **state)
{
    (void)state;
    uint64_t smallest = UINT64_MAX;
    uint64_t largest = 0;
    for (uint64_t random = 0; random < 3000; random++) {
        uint64_t delay = trp_backoff_delay(&usual, 0, random);
        smallest = delay < smallest ? delay : smallest;
        largest = delay > largest ? delay : largest;
    }
    assert_int_equal(smallest, 250);
    assert_int_equal(largest, 1000);
}

static void later_retries_grow_to_the_maximum(void **state)
{
    (void)state;
    /* nominal delays: 3000, 4500, 6750, 10050 (steps of a hundredth), ... 30000 */
    for (uint64_t random = 0; random < 10000; random += 7) {
        uint64_t delay = trp_backoff_delay(&usual, 1, random);
        assert_in_range(delay, 2250, 3000);
        delay = trp_backoff_delay(&usual, 2, random);
        assert_in_range(delay, 3375, 4500);
        delay = trp_backoff_delay(&usual, 3, random);
        assert_in_range(delay, 5000, 6750);
        delay = trp_backoff_delay(&usual, 20, random);
        assert_in_range(delay, 22500, 30000);
        delay = trp_backoff_delay(&usual, UINT32_MAX, random);
        assert_in_range(delay, 22500, 30000);
    }
}

static void a_backoff_without_range_is_constant(void **state)
{
    (void)state;
    struct trp_backoff same = {
        .quick_min_ns = 5, .quick_max_ns = 5, .base_ns = 1, .max_ns = 1, .factor_percent = 100};
    assert_int_equal(trp_backoff_delay(&same, 0, UINT64_MAX), 5);
    assert_int_equal(trp_backoff_delay(&same, 9, UINT64_MAX), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_id_is_new_once),
        cmocka_unit_test(the_oldest_is_forgotten_at_the_limit),
        cmocka_unit_test(young_ids_make_the_set_grow),
        cmocka_unit_test(old_ids_make_room_without_growing),
        cmocka_unit_test(a_bucket_gives_its_burst_and_then_the_rate),
        cmocka_unit_test(no_rate_is_no_limit),
        cmocka_unit_test(a_shared_bucket_counts_like_an_own_one),
        cmocka_unit_test(words_belong_to_their_key),
        cmocka_unit_test(the_smallest_word_leaves_a_full_table),
        cmocka_unit_test(the_least_recently_used_key_leaves_the_cache),
        cmocka_unit_test(the_first_retry_is_quick),
        cmocka_unit_test(later_retries_grow_to_the_maximum),
        cmocka_unit_test(a_backoff_without_range_is_constant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
