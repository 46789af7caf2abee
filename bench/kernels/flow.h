#ifndef BENCH_KERNELS_FLOW_H
#define BENCH_KERNELS_FLOW_H

/*
 * Senders that send their whole share to one sink as fast as they are let: the setup that count and
 * fanin share. Each run makes one round to warm the memory up and measures the second. Senders are
 * spread over the workers, the sink lives on the last one. A refused sender goes on in its next
 * turn.
 */

#include "bench/kernels/kernel.h"

bool trp_flow_setup(struct trp_kernel_run *run);

#endif
