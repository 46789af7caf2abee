#include "actors/admission/keyhash.h"
#include "actors/admission/word.h"
#include "tests/cmocka.h"

/* The published SipHash-2-4 vector for the message 00 01 .. 1f under the key 00 01 .. 0f. */
static void hash_is_siphash(void **state)
{
    (void)state;
    struct trp_hash_secret secret;
    struct troupe_key key;
    uint8_t *bytes = (uint8_t *)&secret;
    for (uint8_t i = 0; i < 16; i++) {
        bytes[i] = i;
    }
    for (uint8_t i = 0; i < TROUPE_KEY_BYTES; i++) {
        key.bytes[i] = i;
    }
    assert_true(trp_key_hash(&secret, &key) == 0x7127512F72F27CCEull);
}

static void secret_changes_hash(void **state)
{
    (void)state;
    struct trp_hash_secret a = {{1, 2}};
    struct trp_hash_secret b = {{1, 3}};
    struct troupe_key key = {{7}};
    assert_true(trp_key_hash(&a, &key) != trp_key_hash(&b, &key));
}

static void eviction_is_final(void **state)
{
    (void)state;
    uint64_t word = 0;
    uint64_t before;
    assert_int_equal(trp_word_evict(&word), TRP_LOOK_CLOSED);
    assert_true(trp_word_is_final(word));
    assert_false(trp_word_open(&word, false, &before));
    assert_false(trp_word_open(&word, true, &before));
    assert_int_equal(trp_word_evict(&word), TRP_LOOK_LEAVING);
}

static void holder_is_watched_until_its_last_hold(void **state)
{
    (void)state;
    uint64_t word = 0;
    uint64_t before;
    assert_true(trp_word_open(&word, false, &before));
    assert_true(trp_word_open(&word, false, &before));
    assert_int_equal(trp_word_evict(&word), TRP_LOOK_WATCHED);
    assert_true(trp_word_open(&word, false, &before));
    before = trp_word_close(&word, 2, 0);
    assert_false(trp_word_emptied(before, 2));
    assert_true((word & TRP_WORD_WATCHED) != 0);
    before = trp_word_close(&word, 1, 0);
    assert_true(trp_word_emptied(before, 1));
    assert_true((before & TRP_WORD_WATCHED) != 0);
    assert_true(word == 0);
}

static void leaving_client_joins_only_its_own_holds(void **state)
{
    (void)state;
    uint64_t word = 1;
    uint64_t before = trp_word_close(&word, 0, TRP_WORD_CLOSING);
    assert_false(trp_word_emptied(before, 0));
    assert_false(trp_word_open(&word, false, &before));
    assert_true(trp_word_open(&word, true, &before));
    (void)trp_word_close(&word, 2, 0);
    assert_true(trp_word_is_final(word));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hash_is_siphash),
        cmocka_unit_test(secret_changes_hash),
        cmocka_unit_test(eviction_is_final),
        cmocka_unit_test(holder_is_watched_until_its_last_hold),
        cmocka_unit_test(leaving_client_joins_only_its_own_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
