#ifndef BENCH_PEERS_OWN_H
#define BENCH_PEERS_OWN_H

/* Our own kernels behind the protocol of the peers, so that all are run and measured alike. */

#include "bench/kernels/kernel.h"
#include "bench/peers/peer.h"

/*
 * Which case of which kernel answers to a peer's kernel: with one thread that of one worker, with
 * more the one where the runtime places the actors, or with is_spread the one where the kernel
 * spreads them over the workers. False: there is none.
 */
bool trp_own_find(enum trp_peer_kernel kernel,
                  uint32_t threads,
                  bool is_spread,
                  const struct trp_kernel **own,
                  const struct trp_kernel_case **own_case);

/*
 * `troupe-bench peer-self KERNEL --threads N [--scale D] [--placement runtime|spread]`; argv
 * without the first two words. Returns the exit status of the protocol.
 */
int trp_bench_peer_self(int argc, char **argv);

#endif
