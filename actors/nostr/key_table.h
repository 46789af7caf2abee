#ifndef ACTORS_NOSTR_KEY_TABLE_H
#define ACTORS_NOSTR_KEY_TABLE_H

/*
 * Two bounded tables by public key. Both are set-associative: a key may stand in one of 8 places;
 * when all are taken, the one with the smallest word makes room. Nothing is allocated after create.
 *
 * Threads: the worker that owns the table.
 */

#include "io/codec/nostr_crypto.h"

/*
 * Key -> one 64-bit word. The word decides who leaves: for rate buckets it is the time at which
 * the bucket is full again, so the emptiest history goes; for "last used" it is the oldest use.
 * Keys are kept as a seeded 64-bit hash; two keys sharing one is as likely as guessing it.
 */
struct trp_key_words;

/* capacity is rounded up to a power of two, at least 8. NULL when out of memory. */
struct trp_key_words *trp_key_words_create(uint32_t capacity, uint64_t seed);
void trp_key_words_destroy(struct trp_key_words *table);

/* The key's word; a new one is 0. Valid until the next call. is_new is optional. */
uint64_t *trp_key_words_get(struct trp_key_words *table,
                            const uint8_t key[TRP_NOSTR_PUBKEY_LEN],
                            bool *is_new);

/* Forgets a key; an unknown one is ignored. */
void trp_key_words_forget(struct trp_key_words *table, const uint8_t key[TRP_NOSTR_PUBKEY_LEN]);

/* Parsed public keys, least recently used leaves. */
struct trp_key_cache;

struct trp_key_cache *trp_key_cache_create(uint32_t capacity, uint64_t seed);
void trp_key_cache_destroy(struct trp_key_cache *cache);

/* NULL when it is not here. Valid until the next put. */
const struct trp_nostr_pubkey *trp_key_cache_find(struct trp_key_cache *cache,
                                                  const uint8_t key[TRP_NOSTR_PUBKEY_LEN]);

/*
 * Adds a key that find did not know. Call it for keys that have signed something: then filling the
 * cache costs a stranger a signature each.
 */
void trp_key_cache_put(struct trp_key_cache *cache,
                       const uint8_t key[TRP_NOSTR_PUBKEY_LEN],
                       const struct trp_nostr_pubkey *parsed);

#endif
