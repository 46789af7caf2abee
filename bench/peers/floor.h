#ifndef BENCH_PEERS_FLOOR_H
#define BENCH_PEERS_FLOOR_H

/*
 * The floor: the least any actor runtime has to do on one core. One thread, no atomics, messages
 * and short-lived actors from free lists, an intrusive mailbox per actor, an intrusive first-in
 * first-out run queue, at most 64 messages a turn, an indirect call per message. No bounds, no
 * accounting, no names, no timers, no other threads.
 *
 * It is part of troupe-bench, as a limit, and a peer program of its own (floor_main.c). Its shapes
 * other than the plain one are for comparison and only there as limits of fjthrput.
 */

#include "bench/peers/peer.h"

/* What our own runtime has and the floor has not, one by one. Zeroes: the plain floor. */
struct trp_floor_shape {
    /*
     * fjthrput: so many messages to each receiver, then it is their turn; 0 = all of them. What our
     * bounded lanes bring about: messages that wait stay in the cache.
     */
    uint64_t deal_max;
    /* A message begins at a cache line and fills it, as ours do, instead of 32 bytes. */
    bool is_line;
};

/* threads: looked at by nobody, it is always the calling one. */
trp_peer_run_fn trp_floor_run;

/* The same in a shape. */
bool trp_floor_run_shaped(const struct trp_peer_work *work,
                          const struct trp_floor_shape *shape,
                          struct trp_peer_result *result);

#endif
