#ifndef BENCH_KERNELS_KERNEL_H
#define BENCH_KERNELS_KERNEL_H

/*
 * A kernel: a few actors that do one thing over and over, in one or more cases. The runner makes a
 * fresh pool for each run, calls setup, starts the pool and waits until a handler said
 * trp_kernel_end; time runs from the first trp_kernel_begin to that.
 *
 * Handlers report what must not happen with trp_kernel_fail; the run is invalid then.
 */

#include <troupe/actor.h>
#include <troupe/pool.h>

#include "bench/kernels/limit.h"

#define TRP_KERNEL_SENDERS_MAX 1000u

struct trp_kernel_case {
    const char *name;
    const char *parameters; /* for people: "1 pair, 1000000 round trips" */
    uint64_t ops;           /* operations of one run */
    uint32_t senders;
    uint32_t workers; /* 0 = as many as were asked for; more than usable CPUs: left out */
    enum troupe_spin spin;
    enum trp_limit limit; /* what it is held against */
};

struct trp_kernel_run;

struct trp_kernel {
    const char *name;
    const char *about;
    const char *op; /* what one operation is */
    const struct trp_kernel_case *cases;
    uint32_t case_count;
    /* Reserves the actors. False when that failed. */
    bool (*setup)(struct trp_kernel_run *run);
};

/* One run. Written by handlers through the functions below, read after the pool was joined. */
struct trp_kernel_run {
    const struct trp_kernel_case *the_case;
    struct troupe_pool *pool;
    uint32_t workers;
    uint64_t begin_ns[TROUPE_WORKERS_MAX]; /* each by its own worker; 0 = never */
    uint64_t end_ns;
    void *failure;                               /* a static cstr; NULL = none */
    troupe_ref refs[TRP_KERNEL_SENDERS_MAX + 1]; /* the kernel's own, written by setup */
};

/* The measured part begins on this worker; only the first call counts. */
void trp_kernel_begin(struct troupe_ctx *ctx, struct trp_kernel_run *run);

/* The work is done: takes the time and stops the pool. One actor, once. */
void trp_kernel_end(struct trp_kernel_run *run);

/* Something went wrong: the run is invalid. Stops the pool. text: static. */
void trp_kernel_fail(struct trp_kernel_run *run, const char *text);

extern const struct trp_kernel trp_kernel_pingpong;
extern const struct trp_kernel trp_kernel_count;
extern const struct trp_kernel trp_kernel_fanin;

#endif
