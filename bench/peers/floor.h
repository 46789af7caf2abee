#ifndef BENCH_PEERS_FLOOR_H
#define BENCH_PEERS_FLOOR_H

/*
 * The floor: the least any actor runtime has to do on one core. One thread, no atomics, messages
 * and short-lived actors from free lists, an intrusive mailbox per actor, an intrusive first-in
 * first-out run queue, at most 64 messages a turn, an indirect call per message. No bounds, no
 * accounting, no names, no timers, no other threads.
 *
 * It is part of troupe-bench, as a limit, and a peer program of its own (floor_main.c).
 */

#include "bench/peers/peer.h"

/* threads: looked at by nobody, it is always the calling one. */
trp_peer_run_fn trp_floor_run;

#endif
