#ifndef BENCH_PEERS_PEER_H
#define BENCH_PEERS_PEER_H

/*
 * What all peers have in common: the kernels with their sizes, and the protocol.
 *
 *     PEER KERNEL --threads N [--scale D]
 *
 * runs the kernel once to warm up and once measured, in one process, checks both results and prints
 * one line, `ops=N ns=T`. Exit status 0 good, 1 wrong result or no memory, 2 unknown kernel or bad
 * options. `--scale D` divides the work, for tests.
 *
 * Peers are programs of their own: this file and what includes it under peers/ need nothing but the
 * C library, so that a plain `cc -O2` builds them.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum trp_peer_kernel {
    TRP_PEER_PINGPONG,
    TRP_PEER_COUNT,
    TRP_PEER_FANIN8,
    TRP_PEER_FANIN64,
    TRP_PEER_FANIN1000,
    TRP_PEER_FJTHRPUT,
    TRP_PEER_FJCREATE,
    TRP_PEER_FJCREATE_WAVES,
    TRP_PEER_THREADRING100,
    TRP_PEER_THREADRING503,
    TRP_PEER_BIG,
    TRP_PEER_CHAMENEOS,
    TRP_PEER_KERNELS,
};

#define TRP_PEER_THREADS_MAX 256u
#define TRP_PEER_SCALE_MAX   1000000u

/* One kernel with its sizes. */
struct trp_peer_work {
    enum trp_peer_kernel kernel;
    const char *name;
    const char *op;  /* what one operation is */
    uint32_t actors; /* senders, receivers, creatures, actors of one wave, places in the ring */
    uint64_t each;   /* rounds: per actor when ops is their product, else of all together */
    uint64_t ops;    /* operations of the measured part */
};

struct trp_peer_result {
    uint64_t ops;
    uint64_t ns; /* wall clock of the measured part */
};

/* Runs work twice and measures the second time. False: the result was wrong, or no memory. */
typedef bool
trp_peer_run_fn(const struct trp_peer_work *work, uint32_t threads, struct trp_peer_result *result);

/* The name of a kernel, for tables. */
const char *trp_peer_name(enum trp_peer_kernel kernel);

/* True when there is a kernel of this name. */
bool trp_peer_find(const char *name, enum trp_peer_kernel *kernel);

/* The sizes of a kernel, its rounds divided by scale (at least one is left). */
void trp_peer_size(struct trp_peer_work *work, enum trp_peer_kernel kernel, uint64_t scale);

/*
 * Reads what a peer printed: one line `ops=N ns=T`, nothing before and nothing after it. False,
 * with *result untouched: it is something else, or a number is 0 or too large.
 */
bool trp_peer_read_line(struct trp_peer_result *result, const char *text, size_t len);

/* Monotonic clock, ns. */
uint64_t trp_peer_now_ns(void);

/* Both sides of a meeting of two creatures take the colour that is returned. Colours: 0 to 2. */
static inline uint32_t trp_peer_complement(uint32_t mine, uint32_t theirs)
{
    return mine == theirs ? mine : 3 - mine - theirs;
}

/* The next number of a xorshift generator; never 0 when it was not. */
static inline uint32_t trp_peer_random(uint32_t seed)
{
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed;
}

/* Where the generator of an actor begins; small seeds would yield small numbers at first. Not 0. */
static inline uint32_t trp_peer_seed(uint32_t place)
{
    return (place + 1) * 2654435769u;
}

/* A place among count that is not one's own, from a random number. count: at least 2. */
static inline uint32_t trp_peer_other(uint32_t random, uint32_t own, uint32_t count)
{
    uint32_t place = (uint32_t)(((uint64_t)random * (count - 1)) >> 32);
    return place + (place >= own ? 1 : 0);
}

/* The whole program of a peer written in C; returns its exit status. */
int trp_peer_main(int argc, char **argv, trp_peer_run_fn *run);

#endif
