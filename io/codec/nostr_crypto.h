#ifndef IO_CODEC_NOSTR_CRYPTO_H
#define IO_CODEC_NOSTR_CRYPTO_H

/*
 * Keys, BIP-340 signatures and SHA-256 for Nostr, on libsecp256k1 and OpenSSL.
 *
 * Threads: a trp_nostr_crypto belongs to one thread; make one per worker. Keys and parsed public
 * keys are plain bytes: they may be copied and read from any thread.
 * Allocates only in create. Source: BIP-340, NIP-01.
 */

#include <troupe/span.h>
#include <troupe/status.h>

enum {
    TRP_NOSTR_ID_LEN = 32,
    TRP_NOSTR_PUBKEY_LEN = 32,
    TRP_NOSTR_SECRET_LEN = 32,
    TRP_NOSTR_SIG_LEN = 64,
};

struct trp_nostr_crypto;

/* A key pair. Secret: wipe it with trp_nostr_key_wipe, never log it. */
struct trp_nostr_key {
    uint8_t opaque[96];
    uint8_t pubkey[TRP_NOSTR_PUBKEY_LEN]; /* x-only, as it stands in events */
};

/* A public key found to be a point of the curve; keeps 3.7 us out of each verification. */
struct trp_nostr_pubkey {
    uint8_t opaque[64];
};

/* Blinded with fresh random bytes. NULL when out of memory or without a random source. */
struct trp_nostr_crypto *trp_nostr_crypto_create(void);
void trp_nostr_crypto_destroy(struct trp_nostr_crypto *crypto);

/*
 * Key pair of a secret (32 bytes, big-endian). TROUPE_EINVAL when the number is 0 or not below the
 * order of the curve; then *key is wiped.
 */
enum troupe_status trp_nostr_key_init(struct trp_nostr_crypto *crypto,
                                      struct trp_nostr_key *key,
                                      const uint8_t secret[TRP_NOSTR_SECRET_LEN]) TROUPE_MUST_USE;

/*
 * New random key pair. secret: optional, receives the 32 secret bytes (caller wipes them).
 * TROUPE_EIO without a random source. Cost: 16 us.
 */
enum troupe_status trp_nostr_key_generate(struct trp_nostr_crypto *crypto,
                                          struct trp_nostr_key *key,
                                          uint8_t *secret) TROUPE_MUST_USE;

void trp_nostr_key_wipe(struct trp_nostr_key *key);

/* The 32 secret bytes of a key pair, for handing it to another context; the caller wipes them. */
void trp_nostr_key_secret(const struct trp_nostr_crypto *crypto,
                          uint8_t secret[TRP_NOSTR_SECRET_LEN],
                          const struct trp_nostr_key *key);

/*
 * BIP-340 signature of a 32-byte message. aux: 32 fresh random bytes, or NULL to draw them from
 * OpenSSL (a caller gives its own only to be reproducible, in simulation and tests).
 * TROUPE_EIO without a random source. Cost: 17 us.
 */
enum troupe_status trp_nostr_sign(struct trp_nostr_crypto *crypto,
                                  uint8_t sig[TRP_NOSTR_SIG_LEN],
                                  const struct trp_nostr_key *key,
                                  const uint8_t msg[32],
                                  const uint8_t *aux) TROUPE_MUST_USE;

/* False when the 32 bytes are no x coordinate of the curve. Cost: 3.7 us. */
bool trp_nostr_pubkey_parse(struct trp_nostr_crypto *crypto,
                            struct trp_nostr_pubkey *out,
                            const uint8_t pubkey[TRP_NOSTR_PUBKEY_LEN]) TROUPE_MUST_USE;

/* True when sig is pubkey's signature of msg. Any bytes are allowed. Cost: 30 us. */
bool trp_nostr_verify(struct trp_nostr_crypto *crypto,
                      const uint8_t sig[TRP_NOSTR_SIG_LEN],
                      const uint8_t msg[32],
                      const uint8_t pubkey[TRP_NOSTR_PUBKEY_LEN]) TROUPE_MUST_USE;

/* Same with a public key from trp_nostr_pubkey_parse. Cost: 26.5 us. */
bool trp_nostr_verify_parsed(struct trp_nostr_crypto *crypto,
                             const uint8_t sig[TRP_NOSTR_SIG_LEN],
                             const uint8_t msg[32],
                             const struct trp_nostr_pubkey *pubkey) TROUPE_MUST_USE;

/* SHA-256 in one go. Threads: any. Cost: 155 ns for 256 bytes. */
void trp_nostr_sha256(uint8_t out[32], struct troupe_span bytes);

#endif
