#ifndef POOL_WATCHDOG_H
#define POOL_WATCHDOG_H

/*
 * The stall watchdog: one thread per pool that notices a worker whose handler does not come back.
 *
 * Every `limit` (config.watchdog_ns, default 25 ms) it compares each worker's heartbeat with the
 * last one. The heartbeat moves with every loop turn, every actor turn and every tick of the clock,
 * so it stands still only while one handler runs (or up to 32 messages that became slow all at
 * once). Unmoved for a limit, with an actor running and the thread either out of CPU time by half a
 * limit or blocked in the kernel (a thread that is just not scheduled is no fault of the handler):
 * it is reported, once, and again when it goes on.
 *
 * Sleeping. An idle pool must not be woken, so the watchdog sleeps without a timeout while all
 * workers are parked. Invariants:
 *
 *  1. watchdog_asleep is 1 only from before the watchdog's last look at the park words until
 *     somebody (a worker, stop, or the watchdog itself) sets it back.
 *  2. The watchdog sets it with a full barrier and then looks at all park words; a worker leaves
 * its park with a full barrier and then looks at watchdog_asleep (trp_watchdog_stir). So either the
 *     watchdog sees a worker awake and does not sleep, or that worker sees the watchdog asleep and
 *     wakes it.
 *  3. Only who changes 1 to 0 wakes, so a sleep costs at most one system call on the workers' side.
 *  4. It falls asleep only after a whole limit in which nobody moved, so a pool that works now and
 *     then is not made to ring it each time.
 *
 * Simulations have no watchdog: pool->watchdog is NULL and watchdog_asleep stays 0.
 */

#include "pool/futex.h"
#include "pool/worker.h"

#include <troupe/observe.h>

#define TRP_WATCHDOG_DEFAULT_NS 25000000u

/*
 * Starts the thread, before the workers' threads; a no-op with config.watchdog_ns = UINT64_MAX.
 * TROUPE_ENOMEM when there is no memory or no thread. Threads: startup
 */
enum troupe_status trp_watchdog_start(struct troupe_pool *pool);
/* Ends it, after the workers' threads. A no-op when it does not run. */
void trp_watchdog_stop(struct troupe_pool *pool);
/* Frees what is left; called by trp_observe_pool_fini. */
void trp_watchdog_fini(struct troupe_pool *pool);

/* A worker's thread begins and ends; no-ops without a watchdog. Threads: the worker's own. */
void trp_watchdog_attach(struct trp_worker *worker);
void trp_watchdog_detach(struct trp_worker *worker);

/* Wakes the watchdog, whose word was seen to be 1. */
void trp_watchdog_wake(struct troupe_pool *pool);

/* A worker has left its park; a full barrier must lie in between. Cost: one load. */
static inline void trp_watchdog_stir(struct troupe_pool *pool)
{
    /* relaxed: ordered by the barrier named above; partner fall_asleep */
    if (__builtin_expect(trp_load_relaxed_u32(&pool->watchdog_asleep) != 0, 0)) {
        trp_watchdog_wake(pool);
    }
}

/* How often the watchdog has looked around. For tests. Threads: any */
uint64_t trp_watchdog_ticks(const struct troupe_pool *pool);

#endif
