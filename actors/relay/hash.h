#ifndef ACTORS_RELAY_HASH_H
#define ACTORS_RELAY_HASH_H

/*
 * Keyed hashing for tables whose keys come from clients: without the seed nobody can choose keys
 * that meet in one bucket. Not cryptographic.
 */

#include <troupe/span.h>

static inline uint64_t trp_relay_hash_mix(uint64_t a, uint64_t b)
{
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)(a ^ 0x9E3779B97F4A7C15u) * (b ^ 0xD6E8FEB86659FD93u);
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t trp_relay_hash(uint64_t seed, struct troupe_span bytes)
{
    uint64_t hash = trp_relay_hash_mix(seed, bytes.len);
    size_t at = 0;
    while (at < bytes.len) {
        uint64_t word = 0;
        size_t left = bytes.len - at;
        memcpy(&word, bytes.data + at, left < sizeof(word) ? left : sizeof(word));
        hash = trp_relay_hash_mix(hash ^ word, seed);
        at += sizeof(word);
    }
    return hash;
}

#endif
