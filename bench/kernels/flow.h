#ifndef BENCH_KERNELS_FLOW_H
#define BENCH_KERNELS_FLOW_H

/*
 * Senders that send their whole share to one sink as fast as they are let: the setup that count and
 * fanin share. Where the kernel places them, senders are spread over the workers and the sink lives
 * on the last one. A refused sender waits for room.
 */

#include "bench/kernels/kernel.h"

bool trp_flow_setup(struct trp_kernel_run *run);

#endif
