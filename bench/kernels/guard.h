#ifndef BENCH_KERNELS_GUARD_H
#define BENCH_KERNELS_GUARD_H

/*
 * A thread that sleeps beside a run and ends it when it takes too long: a kernel that lost a
 * message becomes an invalid run instead of a program that hangs.
 */

#include "bench/kernels/kernel.h"

#include <pthread.h>

struct trp_guard {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct trp_kernel_run *run;
    uint64_t patience_ms;
    bool is_over; /* under the lock: the run has ended */
};

/* False when there is no thread; the guard must not be stopped then. */
bool trp_guard_start(struct trp_guard *guard, struct trp_kernel_run *run, uint64_t patience_ms);

/* The run has ended. Waits for the thread. */
void trp_guard_stop(struct trp_guard *guard);

#endif
