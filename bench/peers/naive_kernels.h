#ifndef BENCH_PEERS_NAIVE_KERNELS_H
#define BENCH_PEERS_NAIVE_KERNELS_H

/*
 * The kernels on the naive pool. A round makes the actors, sends TRP_NAIVE_START to the main one
 * (sink, parent, mall) and waits until that has called trp_naive_pool_finish.
 */

#include "bench/peers/naive_pool.h"

/* The first message of all. The kernels' own begin above. */
enum { TRP_NAIVE_START, TRP_NAIVE_FIRST };

/* One round. */
struct trp_naive_run {
    struct trp_naive_pool *pool;
    const struct trp_peer_work *work;
    struct trp_naive_actor *main;
    struct trp_naive_actor **actors; /* work->actors, unless the kernel makes them itself */
    struct trp_naive_actor *waiting; /* chameneos, the main actor's own: */
    uint32_t waiting_colour;
};

struct trp_naive_kernel {
    trp_naive_receive_fn *receive_main;
    trp_naive_receive_fn *receive; /* NULL: the main actor makes the others */
    /* After a round, of main and actors: did they do what they had to? */
    bool (*is_right)(const struct trp_naive_run *run);
};

extern const struct trp_naive_kernel trp_naive_pingpong;
extern const struct trp_naive_kernel trp_naive_flow;
extern const struct trp_naive_kernel trp_naive_fjthrput;
extern const struct trp_naive_kernel trp_naive_fjcreate;
extern const struct trp_naive_kernel trp_naive_threadring;
extern const struct trp_naive_kernel trp_naive_big;
extern const struct trp_naive_kernel trp_naive_chameneos;

#endif
