#ifndef POOL_WORKER_H
#define POOL_WORKER_H

/*
 * A worker: one pinned thread (or one logical worker of a simulation) with its run queue, timer
 * wheel, slab heap and driver. All fields are private to the worker unless marked.
 */

#include "mailbox/inbox.h"
#include "mailbox/slab.h"
#include "pool/cell.h"
#include "pool/drain.h"
#include "pool/random.h"
#include "pool/recorder.h"
#include "pool/wheel.h"

#include <troupe/pool.h>

#include <pthread.h>

/* Limits of one actor turn and of one loop turn. */
#define TRP_TURN_MESSAGES 64u
#define TRP_TURN_NS       200000u
/* Messages handled between two looks at the clock: many while handlers are quick, each when not. */
#define TRP_TICK_EVERY       32u
#define TRP_TICK_QUICK_NS    20000u
#define TRP_SAMPLE_TICKS     4u /* ticks per sample of a handler's time */
#define TRP_POLL_EVERY_NS    500000u
#define TRP_URGENT_RUN_MAX   16u /* turns of the urgent queue before the normal one has its turn */

/* Messages for another worker gathered before they are pushed. */
#define TRP_OUT_BATCH 28u /* their addresses fill a node of 256 bytes */
/* Data messages under way between two workers before a send answers TROUPE_EBUSY. */
#define TRP_WINDOW 4096u

/* What a handler's context points at; one per worker. */
struct troupe_ctx {
    struct trp_worker *worker;
    struct trp_cell *cell;  /* the running actor, NULL between turns */
    struct troupe_msg *msg; /* the borrowed message, NULL once taken */
};

/* Messages gathered for one other worker, oldest first. */
struct trp_outgoing {
    uint32_t count;
    uint32_t data_sent;  /* data messages ever sent there (wraps); partner: dealt of the receiver */
    uint32_t dealt_seen; /* newest count of the receiver that we looked at */
    struct troupe_msg *messages[TRP_OUT_BATCH];
};

/* How many messages a batch (TRP_MSG_BATCH) carries the addresses of. */
static inline uint32_t trp_batch_count(const struct troupe_msg *batch)
{
    return batch->size / (uint32_t)sizeof(struct troupe_msg *);
}

enum trp_park_state {
    TRP_RUNNING = 0,
    TRP_PARKED = 1,   /* announced: whoever pushes must wake */
    TRP_NOTIFIED = 2, /* somebody rings already */
};

enum {
    TRP_ATTENTION_OUT = 1,      /* messages are gathered for other workers */
    TRP_ATTENTION_DOORBELL = 2, /* the driver has a doorbell to submit */
    TRP_ATTENTION_POLL = 4,     /* the driver wants to be polled: the run ends after this actor */
};

struct trp_run_queue {
    struct trp_cell *head;
    struct trp_cell *tail;
};

/* Relations of actors/core, called by the pool when the library user uses them. */
struct trp_core_hooks {
    /* An answer arrived for a live actor. */
    enum troupe_verdict (*reply)(struct troupe_ctx *ctx, struct troupe_msg *msg);
    /* A control message of core (type >= TRP_MSG_CORE) arrived, at a live cell or (cell NULL) not.
     */
    enum troupe_verdict (*control)(struct troupe_ctx *ctx,
                                   struct trp_cell *cell,
                                   struct troupe_msg *msg);
    /* An ask will not be answered: send the node back with this status. Takes the message. */
    void (*unanswered)(struct trp_worker *worker,
                       struct troupe_msg *msg,
                       enum troupe_status status);
    /* The actor is about to end; true = its supervisor keeps it for a restart. */
    bool (*ending)(struct troupe_ctx *ctx, struct trp_cell *cell, enum troupe_down_reason reason);
    /* The actor is gone: settle monitors, links, pending asks. */
    void (*ended)(struct troupe_ctx *ctx, struct trp_cell *cell, enum troupe_down_reason reason);
    /* A turn is over and actors wait for room in the lane (TRP_GATE_AWAITED): tell who may go on.
     */
    void (*room)(struct trp_worker *worker, struct trp_cell *cell);
    /* The pool goes: free what core keeps. */
    void (*pool_fini)(struct troupe_pool *pool);
};

/* Set once by actors/core before its first use; never taken away. Read it with trp_core(). */
extern const struct trp_core_hooks *trp_core_hooks;

/* The hooks, NULL as long as nobody used core. */
static inline const struct trp_core_hooks *trp_core(void)
{
    /* acquire: pairs with the release store in trp_core_get */
    return trp_load_acquire_ptr((void *const *)(uintptr_t)&trp_core_hooks);
}

struct trp_worker {
    /* --- written by other threads --- */
    struct trp_inbox inbox __attribute__((aligned(TRP_CACHE_LINE)));
    uint32_t park_word __attribute__((aligned(TRP_CACHE_LINE))); /* enum trp_park_state */
    void *request;         /* troupe_pool_top looks for an answer; partner: trp_observe_serve */
    uint32_t foreign_sent; /* data messages from ports; partner: foreign_dealt */

    /* --- written by the owner, read by other threads --- */
    /* dealt[i]: data messages from worker i that reached their lanes; published once a turn */
    uint32_t *dealt __attribute__((aligned(TRP_CACHE_LINE)));
    uint32_t foreign_dealt; /* data messages from ports that reached their lanes */
    uint64_t heartbeat;     /* loop turns and ticks; for the watchdog */
    struct trp_cell_table cells __attribute__((aligned(TRP_CACHE_LINE)));

    /* --- private: what each message touches first --- */
    struct troupe_ctx ctx __attribute__((aligned(TRP_CACHE_LINE)));
    uint32_t index;
    uint32_t handled;    /* messages of this actor's turn */
    uint32_t tick_left;  /* messages until the clock is read again */
    uint32_t tick_every; /* messages between two ticks at present */
    struct trp_run_queue normal;
    struct trp_run_queue urgent; /* actors with control messages */
    uint32_t urgent_run;         /* turns given to urgent in a row */
    uint32_t sample_next; /* the next message sent carries the time */
    uint32_t attention;   /* TRP_ATTENTION_*: what must not wait for the end of the run */
    uint32_t out_pending; /* destinations with gathered messages */
    uint32_t end_reason;  /* enum troupe_down_reason of an actor that stops in this turn */
    uint64_t turn_started_ns;
    uint32_t turn_messages_max; /* TRP_TURN_MESSAGES, smaller in a simulation */
    uint64_t now_ns;
    struct troupe_worker_stats stats;
    uint16_t last_type; /* of the newest message of this turn */
    struct trp_recorder recorder;
    struct trp_heap heap;

    struct troupe_pool *pool;
    bool is_stopping;
    struct trp_outgoing *out; /* one per worker */
    uint32_t *dealt_now;      /* counts of this turn, before publishing */
    uint32_t ticks;
    uint64_t ticked_ns;
    uint64_t polled_ns;
    uint64_t waiting_since_ns; /* 0 = it has had work since */
    uint64_t gap_ns; /* smoothed time between parking and the next work, for adaptive spinning */
    struct trp_wheel wheel;
    struct trp_random random;
    const struct troupe_driver *driver;
    void *driver_state;
    struct trp_observe *observe; /* histograms and overruns, see pool/observe.h */
    void *core;                  /* of actors/core */
    pthread_t thread;
    int cpu; /* -1 = not pinned */
};

struct troupe_pool {
    struct troupe_pool_config config;
    uint32_t worker_count;
    struct trp_worker *workers; /* array */
    bool is_simulated;
    uint32_t is_stopping __attribute__((aligned(TRP_CACHE_LINE))); /* any thread */
    uint32_t quiet_workers;                                        /* workers that send no more */
    struct trp_drain drain;
    /* start-up handshake (startup only, under the lock) */
    pthread_mutex_t lock;
    pthread_cond_t started;
    uint32_t started_workers;
    enum troupe_status start_status;
    char start_error[256];
    bool is_running;
    struct trp_offload *offload;
    uint64_t foreign_dropped;         /* messages that offload threads reported; any thread */
    struct trp_registry *registry;    /* of actors/core; made under the lock, then never changed */
    struct trp_watchdog *watchdog;    /* NULL = none */
    uint32_t watchdog_asleep;         /* any thread; see pool/watchdog.h */
    struct trp_observe_pool *observe; /* see pool/observe.h */
    struct troupe_port *ports;        /* all ever opened, freed with the pool; under the lock */
    struct troupe_port *closed_ports; /* those waiting for the next open; under the lock */
};

/* --- worker.c, shutdown.c: one loop turn and the thread around it --- */

enum troupe_status trp_worker_init(struct trp_worker *worker, struct troupe_pool *pool, uint32_t i);
void trp_worker_fini(struct trp_worker *worker);
void *trp_worker_main(void *worker);

/* Opens the driver, on the worker's own thread. */
enum troupe_status trp_worker_open(struct trp_worker *worker, char *error, size_t error_cap);

/* Runs init of the actors spawned before start, once all workers are open. */
void trp_worker_start_reserved(struct trp_worker *worker);

/* One loop turn; false when there was nothing to do. */
bool trp_worker_turn(struct trp_worker *worker);

/* Deals the inbox out to the private lanes; false when it was empty. */
bool trp_worker_deal_inbox(struct trp_worker *worker);

/* Announces the park and looks again: true = sleep until the deadline, false = there is work. */
bool trp_worker_announce_park(struct trp_worker *worker, uint64_t *deadline_ns);
/* After the sleep. */
void trp_worker_unpark(struct trp_worker *worker);

/*
 * Shutdown in three steps, each returns true when done: end all actors and wait for their
 * operations; say that nothing more will be sent; close the inbox and report what is in it (once
 * all workers have said so).
 */
bool trp_worker_shut_actors(struct trp_worker *worker);
void trp_worker_say_quiet(struct trp_worker *worker);
bool trp_worker_shut_inbox(struct trp_worker *worker);

/* All of it, on the worker's own thread. */
void trp_worker_shut_down(struct trp_worker *worker);

/* Rings the bell of a worker if it sleeps; caller NULL = foreign thread. */
void trp_worker_wake(struct trp_worker *target, struct trp_worker *caller);

/* Reads the clock. */
static inline void trp_worker_read_clock(struct trp_worker *worker)
{
    worker->now_ns = worker->driver->now(worker->driver_state);
    trp_recorder_tick(&worker->recorder, worker->now_ns);
}

/* --- turn.c: delivery and the turn of one actor --- */

/* A message for an actor of this worker, from the inbox or local: enqueue or report. */
void trp_worker_deliver(struct trp_worker *worker, struct troupe_msg *msg);

/* Puts a message into a live cell's lane and schedules the cell. No bound is checked. */
void trp_cell_enqueue(struct trp_worker *worker, struct trp_cell *cell, struct troupe_msg *msg);

/* Reports a message that was accepted and will not be processed; frees it or answers the asker. */
void trp_worker_drop(struct trp_worker *worker,
                     struct troupe_msg *msg,
                     enum troupe_drop_reason reason);

/*
 * Runs actors' turns until none is runnable, the driver wants to be polled or the inbox has work;
 * false when none was runnable.
 */
bool trp_worker_run(struct trp_worker *worker);

static inline void trp_run_queue_push(struct trp_run_queue *queue, struct trp_cell *cell)
{
    cell->run_next = NULL;
    if (queue->head == NULL) {
        queue->head = cell;
    } else {
        queue->tail->run_next = cell;
    }
    queue->tail = cell;
}

/* Appends to the data lane; true when that brought it to its bound. */
static inline bool
trp_cell_push_data(struct trp_cell *cell, struct troupe_msg *msg, uint32_t weight)
{
    trp_lane_push(&cell->data, msg);
    cell->byte_room -= weight;
    cell->data_room--;
    return trp_cell_is_at_bound(cell);
}

/* A message of this type brought the data lane to its bound: from now on senders are refused. */
void trp_cell_became_full(struct trp_worker *worker, struct trp_cell *cell, uint16_t type);

/* --- handle.c: handing a message over --- */

/* A plain data message has none of these (and is not stamped). */
#define TRP_MSG_SPECIAL_FLAGS                                                                      \
    (TROUPE_MSG_LANE_MASK | TROUPE_MSG_EMBEDDED | TROUPE_MSG_EXTENDED | TROUPE_MSG_ASK |           \
     TROUPE_MSG_REPLY | TROUPE_MSG_OWNS_BUF | TROUPE_MSG_OWNS_MSG)

/* Any message taken out of a live cell's lanes. */
enum troupe_verdict
trp_handle(struct trp_worker *worker, struct trp_cell *cell, struct troupe_msg *msg);

/* The handler of a sent message has returned: counts and finishes what it left in the context. */
enum troupe_verdict trp_handle_rest(struct trp_worker *worker, enum troupe_verdict verdict);

/* The clock was just read after tick_every messages: sets how many until the next time. */
void trp_worker_ticked(struct trp_worker *worker);

/* Puts a cell that is not in a run queue into one. */
void trp_cell_schedule(struct trp_worker *worker, struct trp_cell *cell);

/* --- life.c: how an actor begins and ends --- */

/* A control message for an actor that waits for its restart. */
void trp_cell_suspended_control(struct trp_worker *worker,
                                struct trp_cell *cell,
                                struct troupe_msg *msg);

/* Starts the actor in a cell: state, init. On failure the cell is gone. */
enum troupe_status
trp_cell_start(struct trp_worker *worker, struct trp_cell *cell, const void *arg);

/* Ends the actor in a cell now; it becomes a zombie while operations are armed. */
void trp_cell_end(struct trp_worker *worker, struct trp_cell *cell, enum troupe_down_reason reason);

/* Frees an ended cell once nothing outside points into it any more. */
void trp_cell_free_zombie(struct trp_worker *worker, struct trp_cell *cell);

/* --- op.c: operations of the driver --- */

/* Cancels what is armed; what is complete leaves the list. */
void trp_ops_cancel(struct trp_worker *worker, struct trp_cell *cell);

/* The completion was taken out of the mailbox: a final one leaves its actor's list. */
void trp_op_received(struct trp_op *op);

/* --- verbs.c --- */

/* The carrier of a message after which the actor stops. */
enum troupe_verdict trp_stop_after_received(struct trp_worker *worker,
                                            struct trp_cell *cell,
                                            struct troupe_msg *carrier);

/* --- context.c --- */

/*
 * As troupe_timer_start for any cell of this worker and any type; extra_flags go to the timer's
 * message.
 */
void trp_timer_arm(struct trp_worker *worker,
                   struct trp_cell *cell,
                   struct troupe_timer *timer,
                   uint64_t after_ns,
                   uint16_t type,
                   uint8_t extra_flags);

/* The timer's message was taken out of the mailbox: a spent timer leaves its actor's list. */
void trp_timer_received(struct troupe_timer *timer);

/* --- send.c --- */

/* Appends to what is gathered for another worker; pushed at the batch size or trp_worker_flush. */
void trp_worker_send_remote(struct trp_worker *worker, uint32_t target, struct troupe_msg *msg);
void trp_worker_flush(struct trp_worker *worker);

/* Reports a chain out of an inbox when the pool went down; returns how many messages it was. */
uint32_t trp_worker_drop_chain(struct trp_worker *worker, struct troupe_msg *msg);

/*
 * Pushes what is gathered and has the driver submit the doorbells: one that waits there is a lost
 * wake, so this comes before the next actor runs.
 */
static inline void trp_worker_settle(struct trp_worker *worker)
{
    if (worker->out_pending != 0) {
        trp_worker_flush(worker);
    }
    if ((worker->attention & TRP_ATTENTION_DOORBELL) != 0) {
        worker->driver->flush(worker->driver_state);
    }
    worker->attention &= TRP_ATTENTION_POLL;
}

/* Sends on a lane that is never refused; takes the message (embedded nodes too). */
void trp_worker_post(struct trp_worker *worker,
                     troupe_ref to,
                     enum troupe_lane lane,
                     struct troupe_msg *msg);

/* Relaxed bump of a private counter that other threads may read. */
static inline void trp_count(uint64_t *counter, uint64_t delta)
{
    trp_store_relaxed_u64(counter, *counter + delta);
}

/* --- offload.c --- */

struct trp_offload *trp_offload_create(struct troupe_pool *pool, uint32_t threads, uint32_t queue);
/* Lets running jobs end, reports queued ones and ends the threads; the counters stay. */
void trp_offload_close(struct trp_offload *offload);
void trp_offload_destroy(struct trp_offload *offload);
/* True when no job is queued, running or on its way home; *begun = jobs ever accepted. */
bool trp_offload_is_idle(struct troupe_pool *pool, uint64_t *begun);

/* --- port.c --- */
void trp_ports_free(struct troupe_pool *pool);
/* Messages that foreign threads sent and that were accepted. */
uint64_t trp_ports_accepted(struct troupe_pool *pool);

#endif
