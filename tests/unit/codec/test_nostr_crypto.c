#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "io/codec/nostr_crypto.h"
#include "io/codec/text.h"
#include "tests/vectors/bip340.h"

static struct trp_nostr_crypto *crypto;

static int setup(void **state)
{
    (void)state;
    crypto = trp_nostr_crypto_create();
    return crypto == NULL;
}

static int teardown(void **state)
{
    (void)state;
    trp_nostr_crypto_destroy(crypto);
    return 0;
}

static void unhex(uint8_t *out, size_t len, const char *hex)
{
    assert_true(trp_hex_decode(out, len, troupe_span_cstr(hex)));
}

static void test_published_signatures(void **state)
{
    (void)state;
    int signed_count = 0;
    for (int i = 0; i < BIP340_COUNT; i++) {
        const struct bip340_vector *vector = &bip340_vectors[i];
        uint8_t pubkey[32];
        uint8_t msg[32];
        uint8_t sig[64];
        unhex(pubkey, 32, vector->pubkey);
        unhex(msg, 32, vector->msg);
        unhex(sig, 64, vector->sig);
        assert_int_equal(trp_nostr_verify(crypto, sig, msg, pubkey), vector->is_valid);
        struct trp_nostr_pubkey parsed;
        assert_int_equal(trp_nostr_pubkey_parse(crypto, &parsed, pubkey), vector->is_point);
        if (vector->is_point) {
            assert_int_equal(trp_nostr_verify_parsed(crypto, sig, msg, &parsed), vector->is_valid);
        }
        if (vector->secret != NULL) {
            uint8_t secret[32];
            uint8_t aux[32];
            uint8_t made[64];
            struct trp_nostr_key key;
            unhex(secret, 32, vector->secret);
            unhex(aux, 32, vector->aux);
            assert_int_equal(trp_nostr_key_init(crypto, &key, secret), TROUPE_OK);
            assert_memory_equal(key.pubkey, pubkey, 32);
            assert_int_equal(trp_nostr_sign(crypto, made, &key, msg, aux), TROUPE_OK);
            assert_memory_equal(made, sig, 64);
            signed_count++;
        }
    }
    assert_int_equal(signed_count, 4);
}

static void test_every_flipped_bit_fails(void **state)
{
    (void)state;
    uint8_t pubkey[32];
    uint8_t msg[32];
    uint8_t sig[64];
    unhex(pubkey, 32, bip340_vectors[1].pubkey);
    unhex(msg, 32, bip340_vectors[1].msg);
    unhex(sig, 64, bip340_vectors[1].sig);
    for (size_t i = 0; i < 64; i++) {
        sig[i] ^= (uint8_t)(1u << (i % 8));
        assert_false(trp_nostr_verify(crypto, sig, msg, pubkey));
        sig[i] ^= (uint8_t)(1u << (i % 8));
    }
    for (size_t i = 0; i < 32; i++) {
        msg[i] ^= (uint8_t)(1u << (i % 8));
        assert_false(trp_nostr_verify(crypto, sig, msg, pubkey));
        msg[i] ^= (uint8_t)(1u << (i % 8));
    }
    assert_true(trp_nostr_verify(crypto, sig, msg, pubkey));
}

static void test_fresh_randomness_in_each_signature(void **state)
{
    (void)state;
    struct trp_nostr_key key;
    uint8_t msg[32] = {7};
    uint8_t first[64];
    uint8_t second[64];
    assert_int_equal(trp_nostr_key_generate(crypto, &key, NULL), TROUPE_OK);
    assert_int_equal(trp_nostr_sign(crypto, first, &key, msg, NULL), TROUPE_OK);
    assert_int_equal(trp_nostr_sign(crypto, second, &key, msg, NULL), TROUPE_OK);
    assert_memory_not_equal(first, second, 64);
    assert_true(trp_nostr_verify(crypto, first, msg, key.pubkey));
    assert_true(trp_nostr_verify(crypto, second, msg, key.pubkey));
    trp_nostr_key_wipe(&key);
}

static void test_secrets_out_of_range(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141", /* the order */
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    };
    static const uint8_t zeros[sizeof(struct trp_nostr_key)];
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint8_t secret[32];
        struct trp_nostr_key key;
        memset(&key, 0x55, sizeof(key));
        unhex(secret, 32, bad[i]);
        assert_int_equal(trp_nostr_key_init(crypto, &key, secret), TROUPE_EINVAL);
        assert_memory_equal(&key, zeros, sizeof(key));
    }
}

static void test_generated_keys(void **state)
{
    (void)state;
    struct trp_nostr_key key;
    struct trp_nostr_key again;
    uint8_t secret[32];
    assert_int_equal(trp_nostr_key_generate(crypto, &key, secret), TROUPE_OK);
    assert_int_equal(trp_nostr_key_init(crypto, &again, secret), TROUPE_OK);
    assert_memory_equal(&key, &again, sizeof(key));
    assert_int_equal(trp_nostr_key_generate(crypto, &again, NULL), TROUPE_OK);
    assert_memory_not_equal(key.pubkey, again.pubkey, 32);

    static const uint8_t zeros[sizeof(struct trp_nostr_key)];
    trp_nostr_key_wipe(&key);
    assert_memory_equal(&key, zeros, sizeof(key));
}

static void test_public_keys_of_small_secrets(void **state)
{
    (void)state;
    static const char *const pubkeys[] = {
        "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
        "c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5",
    };
    for (uint8_t i = 0; i < 2; i++) {
        uint8_t secret[32] = {0};
        uint8_t wanted[32];
        struct trp_nostr_key key;
        secret[31] = (uint8_t)(i + 1);
        unhex(wanted, 32, pubkeys[i]);
        assert_int_equal(trp_nostr_key_init(crypto, &key, secret), TROUPE_OK);
        assert_memory_equal(key.pubkey, wanted, 32);
    }
}

static void test_sha256(void **state)
{
    (void)state;
    /* FIPS 180-2, appendix B, and the empty message. */
    static const struct {
        const char *text;
        const char *hash;
    } vectors[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        uint8_t wanted[32];
        uint8_t made[32];
        unhex(wanted, 32, vectors[i].hash);
        trp_nostr_sha256(made, troupe_span_cstr(vectors[i].text));
        assert_memory_equal(made, wanted, 32);
    }
    trp_nostr_crypto_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_signatures),
        cmocka_unit_test(test_every_flipped_bit_fails),
        cmocka_unit_test(test_fresh_randomness_in_each_signature),
        cmocka_unit_test(test_secrets_out_of_range),
        cmocka_unit_test(test_generated_keys),
        cmocka_unit_test(test_public_keys_of_small_secrets),
        cmocka_unit_test(test_sha256),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
