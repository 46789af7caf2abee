#ifndef POOL_DRAIN_H
#define POOL_DRAIN_H

/*
 * Draining a pool and the report of how it ended.
 *
 * Quiet is a moment at which every worker is parked, every inbox is empty, no offload job is queued
 * or running and no suspended actor has messages. It is found without stopping anybody:
 *
 *   1. A message is, at any time, in one of five places: in the private memory of a worker that is
 *      not parked (lanes, or gathered for another worker: both are empty before a park is
 *      announced), in the lanes of an actor that waits for its restart, in an inbox, with an
 *      offload thread, or with a foreign thread between taking its ticket
 *      (trp_worker.foreign_sent) and its push.
 *   2. Foreign threads are shut out first. A ticket taken after the flag was raised is given back
 *      (both sides use full barriers, see troupe_port_send), so the messages that count are the
 *      tickets taken by then; they have reached their lanes when foreign_sent = foreign_dealt.
 *   3. The workers are looked at twice: (turns, parked, inbox empty), then (parked, turns, inbox
 *      empty). A worker counts a turn between leaving a park and announcing the next one. One that
 *      was parked both times with the same count was parked all the while; when that holds for all,
 *      there was a moment (the end of the first look) at which all were. Nobody but a worker that
 *      was not parked could have pushed before that moment, and only the owner takes: so what was
 *      in an inbox then would still be there at the second look.
 *   4. Offload counts jobs begun and ended; a job ends after its result was pushed. None under way
 *      before the first look and none begun until after the second: none at that moment.
 *   5. Only a worker itself can look at its actors, so each says whether suspended ones have
 *      messages (trp_drain_mail.said), together with its count of turns: between announcing a
 *      park and its next turn nothing in its lanes changes, so what it said holds while the count
 *      is the same. Saying so costs a walk over all its actors; therefore it is done only when all
 *      are found asleep, by whoever found it and by those whom it asks (and wakes) then. Saying is
 *      a full barrier before the look at what the others said: of two that say at the same time at
 *      most one asks the other, so asking ends. Who says that it has some is not asked again before
 *      its next turn: the restart, or the end, of the actor is one, and then it looks anew.
 *
 * From a quiet moment only a timer, I/O or a stranger could start work again, and those do not
 * count (the restart of an actor without messages is a timer's, too). Whoever announces a park
 * looks; of two workers that announce at the same time at least one sees the other parked, and what
 * can spoil a look (a ticket given back, a job that ended) wakes a worker afterwards, which then
 * announces again. So the last one to fall asleep finds the quiet.
 */

#include <troupe/pool.h>

struct trp_cell;
struct trp_worker;

enum trp_drain_outcome {
    TRP_DRAIN_OPEN = 0,    /* not decided */
    TRP_DRAIN_QUIET = 1,   /* nothing was left to do */
    TRP_DRAIN_LATE = 2,    /* the deadline passed first */
    TRP_DRAIN_STOPPED = 3, /* troupe_pool_stop came first */
};

/* What a worker says of its suspended actors while the pool drains. */
struct trp_drain_mail {
    /* turns << 1 | 1 = some have messages; 0 = nothing said, for who parks has made a turn; by the
     * worker, any thread reads */
    uint64_t said;
    uint32_t is_asked; /* 1 = somebody wants to know; any thread */
    uint32_t slot;     /* where it was found last; the worker's */
};

/* What one worker leaves behind; written by it during shutdown, read after the join. */
struct trp_worker_end {
    uint64_t reported_before; /* messages reported until the shutdown began */
    uint64_t began_ns;        /* when the shutdown began, 0 = it did not */
    uint64_t ended_ns;
    uint32_t actor_count;
    struct troupe_abandoned actors[TROUPE_ABANDONED_MAX]; /* no order */
};

/* One per pool. */
struct trp_drain {
    uint32_t is_on;              /* 1 = foreign sends are refused; any thread */
    uint32_t outcome;            /* enum trp_drain_outcome; any thread, changed once */
    uint64_t deadline_ns;        /* UINT64_MAX = none; any thread, only ever lowered */
    uint64_t began_ns;           /* set once, before is_on */
    uint64_t ended_ns;           /* set by whoever set the outcome */
    struct trp_worker_end *ends; /* one per worker */
    struct trp_drain_mail mails[TROUPE_WORKERS_MAX];
};

enum troupe_status trp_drain_init(struct troupe_pool *pool);
void trp_drain_fini(struct troupe_pool *pool);

/* At the start of a turn while draining: stops the pool when the deadline has passed. */
void trp_drain_tick(struct trp_worker *worker);

/*
 * After a park was announced while draining and nothing to do was found: true when the pool is
 * being stopped, so that this worker must not sleep; otherwise lowers *deadline_ns to the drain's.
 */
bool trp_drain_look(struct trp_worker *worker, uint64_t *deadline_ns);

/* Something that a look may have stumbled over is gone: somebody looks again. Threads: any. */
void trp_drain_nudge(struct trp_worker *worker);

/* The worker begins, or has finished, to shut down. */
void trp_drain_shutdown_begins(struct trp_worker *worker);
void trp_drain_shutdown_ended(struct trp_worker *worker);

/*
 * An actor that ended because the pool goes down had so many messages in its lanes. Called by
 * trp_cell_end before the cell is freed; does nothing outside a shutdown or for 0.
 */
void trp_report_abandoned(struct trp_worker *worker,
                          const struct trp_cell *cell,
                          uint32_t messages);

#endif
