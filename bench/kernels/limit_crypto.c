/* Limits of cryptography: what no server of signed events can do faster on one core. */

#include "bench/kernels/limit.h"

#include <math.h>
#include <string.h>

#include "io/codec/nostr_crypto.h"

#define CURVE_OPS 1000u
#define HASH_OPS  100000u

enum work { VERIFY, SIGN, HASH };

struct crypto_run {
    enum work work;
    bool is_good;
    uint64_t took_ns;
};

/* The same message is never signed or verified twice, so that no branch learns its bits. */
static void number_message(uint8_t msg[32], uint32_t number)
{
    memset(msg, 0x5a, 32);
    memcpy(msg, &number, sizeof(number));
}

static bool sign_all(struct trp_nostr_crypto *crypto,
                     const struct trp_nostr_key *key,
                     uint8_t (*sigs)[TRP_NOSTR_SIG_LEN])
{
    for (uint32_t i = 0; i < CURVE_OPS; i++) {
        uint8_t msg[32];
        number_message(msg, i);
        if (trp_nostr_sign(crypto, sigs[i], key, msg, NULL) != TROUPE_OK) {
            return false;
        }
    }
    return true;
}

static bool verify_all(struct trp_nostr_crypto *crypto,
                       const struct trp_nostr_key *key,
                       uint8_t (*sigs)[TRP_NOSTR_SIG_LEN])
{
    for (uint32_t i = 0; i < CURVE_OPS; i++) {
        uint8_t msg[32];
        number_message(msg, i);
        if (!trp_nostr_verify(crypto, sigs[i], msg, key->pubkey)) {
            return false;
        }
    }
    return true;
}

static void run_curve(struct crypto_run *run)
{
    static uint8_t sigs[CURVE_OPS][TRP_NOSTR_SIG_LEN]; /* one measurement at a time */
    struct trp_nostr_key key;
    struct trp_nostr_crypto *crypto = trp_nostr_crypto_create();

    if (crypto == NULL || trp_nostr_key_generate(crypto, &key, NULL) != TROUPE_OK) {
        trp_nostr_crypto_destroy(crypto);
        return;
    }
    uint64_t begin_ns = trp_machine_now_ns();
    run->is_good = sign_all(crypto, &key, sigs);
    if (run->work == VERIFY) {
        begin_ns = trp_machine_now_ns();
        run->is_good = run->is_good && verify_all(crypto, &key, sigs);
    }
    run->took_ns = trp_machine_now_ns() - begin_ns;
    trp_nostr_key_wipe(&key);
    trp_nostr_crypto_destroy(crypto);
}

static void run_hash(struct crypto_run *run)
{
    uint8_t data[256] = {0};
    uint8_t digest[32];

    uint64_t begin_ns = trp_machine_now_ns();
    for (uint32_t i = 0; i < HASH_OPS; i++) {
        trp_nostr_sha256(digest, troupe_span(data, sizeof(data)));
        memcpy(data, digest, sizeof(digest)); /* each needs the one before */
    }
    run->took_ns = trp_machine_now_ns() - begin_ns;
    run->is_good = true;
}

static void run_crypto(void *arg)
{
    struct crypto_run *run = arg;
    if (run->work == HASH) {
        run_hash(run);
    } else {
        run_curve(run);
    }
}

static double measure(const struct trp_machine *machine, enum work work, uint32_t ops)
{
    struct crypto_run run = {.work = work};
    if (!trp_limit_on_cpu(machine->first_cpu, run_crypto, &run) || !run.is_good) {
        return NAN;
    }
    return (double)run.took_ns / ops;
}

double trp_limit_verify(const struct trp_machine *machine)
{
    return measure(machine, VERIFY, CURVE_OPS);
}

double trp_limit_sign(const struct trp_machine *machine)
{
    return measure(machine, SIGN, CURVE_OPS);
}

double trp_limit_sha256(const struct trp_machine *machine)
{
    return measure(machine, HASH, HASH_OPS);
}
