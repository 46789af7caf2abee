#include "actors/admission/keyhash.h"

#include <string.h>

struct sip {
    uint64_t v0, v1, v2, v3;
};

static uint64_t rotate(uint64_t word, unsigned bits)
{
    return word << bits | word >> (64 - bits);
}

static void sip_round(struct sip *s)
{
    s->v0 += s->v1;
    s->v2 += s->v3;
    s->v1 = rotate(s->v1, 13) ^ s->v0;
    s->v3 = rotate(s->v3, 16) ^ s->v2;
    s->v0 = rotate(s->v0, 32);
    s->v2 += s->v1;
    s->v0 += s->v3;
    s->v1 = rotate(s->v1, 17) ^ s->v2;
    s->v3 = rotate(s->v3, 21) ^ s->v0;
    s->v2 = rotate(s->v2, 32);
}

static void absorb(struct sip *s, uint64_t word)
{
    s->v3 ^= word;
    sip_round(s);
    sip_round(s);
    s->v0 ^= word;
}

/* Reads the key as little-endian words; Linux on the supported CPUs is little-endian. */
uint64_t trp_key_hash(const struct trp_hash_secret *secret, const struct troupe_key *key)
{
    struct sip s = {
        .v0 = secret->words[0] ^ 0x736F6D6570736575ull,
        .v1 = secret->words[1] ^ 0x646F72616E646F6Dull,
        .v2 = secret->words[0] ^ 0x6C7967656E657261ull,
        .v3 = secret->words[1] ^ 0x7465646279746573ull,
    };
    for (size_t i = 0; i < TROUPE_KEY_BYTES; i += 8) {
        uint64_t word;
        memcpy(&word, key->bytes + i, sizeof(word));
        absorb(&s, word);
    }
    absorb(&s, (uint64_t)TROUPE_KEY_BYTES << 56);
    s.v2 ^= 0xFF;
    for (int i = 0; i < 4; i++) {
        sip_round(&s);
    }
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
