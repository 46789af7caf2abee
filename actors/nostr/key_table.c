#include "actors/nostr/key_table.h"

#include "actors/nostr/key_hash.h"

#include <stdlib.h>
#include <string.h>

#define WAYS 8u

/* Largest table; with the entries below at most 128 MiB. */
#define CAPACITY_MAX (1u << 20)

static uint32_t round_capacity(uint32_t capacity)
{
    uint32_t rounded = WAYS;
    while (rounded < capacity && rounded < CAPACITY_MAX) {
        rounded *= 2;
    }
    return rounded;
}

/* --- words --- */

struct word_entry {
    uint64_t tag; /* hash of the key, 0 = free */
    uint64_t word;
};

struct trp_key_words {
    uint64_t seed;
    uint64_t set_mask;
    struct word_entry entries[];
};

struct trp_key_words *trp_key_words_create(uint32_t capacity, uint64_t seed)
{
    uint32_t rounded = round_capacity(capacity);
    struct trp_key_words *table = calloc(1, sizeof(*table) + rounded * sizeof(struct word_entry));
    if (table != NULL) {
        table->seed = seed;
        table->set_mask = rounded / WAYS - 1;
    }
    return table;
}

void trp_key_words_destroy(struct trp_key_words *table)
{
    free(table);
}

static uint64_t tag_of(const struct trp_key_words *table, const uint8_t *key)
{
    uint64_t tag = trp_key_hash(table->seed, key);
    return tag != 0 ? tag : 1;
}

static struct word_entry *set_of(struct trp_key_words *table, uint64_t tag)
{
    return &table->entries[(tag & table->set_mask) * WAYS];
}

uint64_t *trp_key_words_get(struct trp_key_words *table,
                            const uint8_t key[TRP_NOSTR_PUBKEY_LEN],
                            bool *is_new)
{
    uint64_t tag = tag_of(table, key);
    struct word_entry *set = set_of(table, tag);
    struct word_entry *victim = &set[0];
    for (uint32_t i = 0; i < WAYS; i++) {
        if (set[i].tag == tag) {
            if (is_new != NULL) {
                *is_new = false;
            }
            return &set[i].word;
        }
        if (victim->tag != 0 && (set[i].tag == 0 || set[i].word < victim->word)) {
            victim = &set[i];
        }
    }
    victim->tag = tag;
    victim->word = 0;
    if (is_new != NULL) {
        *is_new = true;
    }
    return &victim->word;
}

void trp_key_words_forget(struct trp_key_words *table, const uint8_t key[TRP_NOSTR_PUBKEY_LEN])
{
    uint64_t tag = tag_of(table, key);
    struct word_entry *set = set_of(table, tag);
    for (uint32_t i = 0; i < WAYS; i++) {
        if (set[i].tag == tag) {
            set[i].tag = 0;
            set[i].word = 0;
        }
    }
}

/* --- parsed public keys --- */

struct cache_entry {
    uint64_t used; /* clock of the newest use, 0 = free */
    uint8_t key[TRP_NOSTR_PUBKEY_LEN];
    struct trp_nostr_pubkey parsed;
};

struct trp_key_cache {
    uint64_t seed;
    uint64_t set_mask;
    uint64_t clock;
    struct cache_entry entries[];
};

struct trp_key_cache *trp_key_cache_create(uint32_t capacity, uint64_t seed)
{
    uint32_t rounded = round_capacity(capacity);
    struct trp_key_cache *cache = calloc(1, sizeof(*cache) + rounded * sizeof(struct cache_entry));
    if (cache != NULL) {
        cache->seed = seed;
        cache->set_mask = rounded / WAYS - 1;
    }
    return cache;
}

void trp_key_cache_destroy(struct trp_key_cache *cache)
{
    free(cache);
}

static struct cache_entry *cache_set(struct trp_key_cache *cache, const uint8_t *key)
{
    return &cache->entries[(trp_key_hash(cache->seed, key) & cache->set_mask) * WAYS];
}

const struct trp_nostr_pubkey *trp_key_cache_find(struct trp_key_cache *cache,
                                                  const uint8_t key[TRP_NOSTR_PUBKEY_LEN])
{
    struct cache_entry *set = cache_set(cache, key);
    for (uint32_t i = 0; i < WAYS; i++) {
        if (set[i].used != 0 && memcmp(set[i].key, key, sizeof(set[i].key)) == 0) {
            set[i].used = ++cache->clock;
            return &set[i].parsed;
        }
    }
    return NULL;
}

void trp_key_cache_put(struct trp_key_cache *cache,
                       const uint8_t key[TRP_NOSTR_PUBKEY_LEN],
                       const struct trp_nostr_pubkey *parsed)
{
    struct cache_entry *set = cache_set(cache, key);
    struct cache_entry *victim = &set[0];
    for (uint32_t i = 1; i < WAYS; i++) {
        if (set[i].used < victim->used) {
            victim = &set[i];
        }
    }
    victim->used = ++cache->clock;
    memcpy(victim->key, key, sizeof(victim->key));
    victim->parsed = *parsed;
}
