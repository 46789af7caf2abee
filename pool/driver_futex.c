/* The driver for programs without I/O: real clock, workers park on a futex. */

#include "mailbox/atomic.h"
#include "pool/driver.h"

#include <troupe/assert.h>
#include <troupe/pool.h>

#include <limits.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct futex_state {
    uint32_t rung; /* 1 = a wake has not been consumed; any thread */
};

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static enum troupe_status
futex_open(void **state, struct trp_worker *worker, char *error, size_t error_cap)
{
    (void)worker;
    struct futex_state *futex = aligned_alloc(TRP_CACHE_LINE, TRP_CACHE_LINE);
    if (futex == NULL) {
        snprintf(error, error_cap, "out of memory");
        return TROUPE_ENOMEM;
    }
    futex->rung = 0;
    *state = futex;
    return TROUPE_OK;
}

static void futex_close(void *state)
{
    free(state);
}

static uint64_t futex_now(void *state)
{
    (void)state;
    return clock_ns(CLOCK_MONOTONIC);
}

static uint64_t futex_wall_now(void *state)
{
    (void)state;
    return clock_ns(CLOCK_REALTIME);
}

static void futex_nothing(void *state)
{
    (void)state;
}

static void futex_park(void *state, uint64_t deadline_ns)
{
    struct futex_state *futex = state;
    struct timespec until = {(time_t)(deadline_ns / 1000000000u),
                             (long)(deadline_ns % 1000000000u)};
    if (trp_load_relaxed_u32(&futex->rung) == 0) {
        /* FUTEX_WAIT_BITSET takes an absolute monotonic time. The kernel looks at the word again
         * under its own lock, so a wake in between is not lost. */
        syscall(SYS_futex, &futex->rung, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, 0,
                deadline_ns == UINT64_MAX ? NULL : &until, NULL, FUTEX_BITSET_MATCH_ANY);
    }
    trp_fas_u32(&futex->rung, 0); /* partner: futex_wake */
}

static void futex_wake(void *target_state, void *caller_state)
{
    struct futex_state *futex = target_state;
    (void)caller_state;
    if (trp_fas_u32(&futex->rung, 1) == 0) { /* partner: futex_park */
        syscall(SYS_futex, &futex->rung, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, INT_MAX);
    }
}

const struct troupe_driver *troupe_futex_driver(void)
{
    static const struct troupe_driver driver = {
        .name = "futex",
        .open = futex_open,
        .close = futex_close,
        .now = futex_now,
        .wall_now = futex_wall_now,
        .poll = futex_nothing,
        .flush = futex_nothing,
        .park = futex_park,
        .wake = futex_wake,
    };
    return &driver;
}
