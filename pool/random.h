#ifndef POOL_RANDOM_H
#define POOL_RANDOM_H

/* A small seeded generator (splitmix64 sequence): schedules, jitter, placement; never secrets. */

#include <stdint.h>

struct trp_random {
    uint64_t state;
};

static inline uint64_t trp_random_next(struct trp_random *random)
{
    uint64_t z = (random->state += 0x9E3779B97F4A7C15ull);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}

/* 0 .. bound-1; bound > 0. */
static inline uint64_t trp_random_below(struct trp_random *random, uint64_t bound)
{
    __extension__ typedef unsigned __int128 wide;
    return (uint64_t)(((wide)trp_random_next(random) * bound) >> 64);
}

#endif
