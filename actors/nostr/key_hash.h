#ifndef ACTORS_NOSTR_KEY_HASH_H
#define ACTORS_NOSTR_KEY_HASH_H

/*
 * A seeded hash of 32 bytes (a public key or an event id) for tables whose keys strangers choose:
 * without the seed nobody can aim at one bucket.
 */

#include <stdint.h>
#include <string.h>

static inline uint64_t trp_key_hash(uint64_t seed, const uint8_t key[32])
{
    uint64_t hash = seed;
    for (unsigned i = 0; i < 4; i++) {
        uint64_t word;
        memcpy(&word, key + 8 * i, sizeof(word));
        hash ^= word;
        hash = (hash ^ (hash >> 30)) * 0xBF58476D1CE4E5B9u;
        hash = (hash ^ (hash >> 27)) * 0x94D049BB133111EBu;
        hash ^= hash >> 31;
        hash += seed;
    }
    return hash;
}

#endif
