#ifndef POOL_OBSERVE_H
#define POOL_OBSERVE_H

/*
 * What a worker keeps about its actors for those who look from outside: histograms per actor type,
 * the last over-budget handlers, and answers to "who has the most" (troupe_pool_top).
 *
 * The worker writes, anybody reads: numbers are relaxed words, a type's entry is published by the
 * release store of its type, an overrun by the release store of the count.
 *
 * A top request. One thread at a time asks (under a lock of its own). Per worker there is one
 * answer slot with a state word; the request pointer in struct trp_worker only says "look there".
 *
 *     IDLE/DONE --asker--> ASKED --worker--> SERVING --worker--> DONE
 *     ASKED --asker gives up--> IDLE         SERVING --asker gives up--> CANCELED --asker--> ASKED
 *
 * The worker writes the answer only in SERVING or CANCELED, the asker reads it only in DONE, and
 * the question is one word of its own; so an asker that gave up leaves nothing behind that a late
 * worker could write into: slots belong to the pool. A worker that has not noticed its cancellation
 * when the next question comes simply starts anew.
 */

#include "pool/histogram.h"
#include "pool/worker.h"

#include <troupe/observe.h>

struct trp_type_stats {
    const struct troupe_actor_type *type; /* NULL = free, or the entry of all others */
    uint64_t messages;                    /* estimate */
    uint64_t overruns;
    uint64_t busy_ns; /* estimate */
    struct trp_histogram waited;
    struct trp_histogram handled;
};

/*
 * The pool's and each worker's part, from the system heap. A worker's includes its recorder.
 * Threads: startup.
 */
enum troupe_status trp_observe_worker_init(struct trp_worker *worker);
void trp_observe_worker_fini(struct trp_worker *worker);
/* After all workers' parts. Registers the pool for dumps of failed assertions. */
enum troupe_status trp_observe_pool_init(struct troupe_pool *pool);
/* Before the workers' parts; a no-op if there was no init. */
void trp_observe_pool_fini(struct troupe_pool *pool);

/*
 * The entry of a type, made on first use; the common entry of all others when the table is full.
 * Threads: the worker's own. Cost: O(1) below 256 types, then a look at all of them.
 */
struct trp_type_stats *trp_observe_type(struct trp_worker *worker,
                                        const struct troupe_actor_type *type);

/* A sampled message waited this long in the actor's mailbox. */
void trp_observe_waited(struct trp_worker *worker, const struct trp_cell *cell, uint64_t waited_ns);

/*
 * A timed handler took this long; call it before the actor may end.
 *
 * interval: how many messages this sample stands for (1 = only itself)
 */
void trp_observe_handled(struct trp_worker *worker,
                         struct trp_cell *cell,
                         uint16_t msg_type,
                         uint64_t took_ns,
                         uint32_t interval);

/*
 * To be called in each loop turn in which worker->request is not NULL: looks at the next 4,096
 * actors for who asks and answers after the last. True = there is more to look at.
 *
 * A worker must not park while the pointer is set. It looks at it (relaxed) after the announcement
 * of the park, which is a full barrier, as is the asker's store before it looks at the park word;
 * so one of the two sees the other.
 */
bool trp_observe_serve(struct trp_worker *worker);

#endif
