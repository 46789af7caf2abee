#ifndef TROUPE_POOL_H
#define TROUPE_POOL_H

/**
 * The pool: pinned workers that run actors. One process may have several.
 *
 *     create -> spawn the first actors -> start -> ... -> stop -> join -> destroy
 *
 * Threads: said with each call. "Startup" is the one thread that prepares the pool before
 * troupe_pool_start, "foreign" one that is neither a worker of this pool nor one of its offload
 * threads, "any" all of these. A pool that is destroyed must not be named any more.
 * Cost: unless stated otherwise O(1); only the calls that say so block. Wrong order, or an argument
 * out of its range where no status is named for it, is an assertion.
 */

#include <troupe/actor.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A set of workers and the actors that live on them. */
struct troupe_pool;

/** How workers wait for the outside world; troupe_futex_driver() or troupe_ring_driver(). */
struct troupe_driver;

/** What a worker does before it parks. */
enum troupe_spin {
    TROUPE_SPIN_ADAPTIVE = 0, /**< spin only with a CPU of one's own and recent gaps below a wake */
    TROUPE_SPIN_BUSY = 1,     /**< never park: lowest latency, one core per worker burnt */
    TROUPE_SPIN_PARK = 2,     /**< park at once */
};

/** Bounds of a pool's configuration. */
#define TROUPE_WORKERS_MAX         64u
#define TROUPE_MEMORY_MIN          (256u << 10) /**< one chunk, for nodes of one size */
#define TROUPE_ACTORS_MAX          2097151u
#define TROUPE_OFFLOAD_THREADS_MAX 1024u
#define TROUPE_OFFLOAD_QUEUE_MAX   (1u << 20)
#define TROUPE_WATCHDOG_MIN_NS     1000000u

/**
 * Called for each message that was accepted and could not be processed. The message is borrowed for
 * the call. Threads: any worker, and offload threads while the pool goes down (what a job was to
 * bring back); several may call at the same time. It must not block.
 */
typedef void (*troupe_dead_letter_cb)(void *arg,
                                      const struct troupe_msg *msg,
                                      enum troupe_drop_reason reason);

/** Zeroed = defaults. What is out of range is refused, never cut. */
struct troupe_pool_config {
    uint32_t workers;           /**< 0 = usable CPUs: affinity mask and cgroup quota */
    const char *pin;            /**< NULL or "auto", "none", or a CPU list such as "0,2-3" */
    enum troupe_spin spin;      /**< see above */
    uint64_t memory_max;        /**< byte budget of each worker's slabs; 0 = 1 GiB, at least
                                     TROUPE_MEMORY_MIN */
    uint32_t actors_max;        /**< live actors per worker; 0 = TROUPE_ACTORS_MAX */
    uint64_t seed;              /**< of troupe_random; 0 = from the system */
    uint32_t offload_threads;   /**< for blocking work; 0 = 2 */
    uint32_t offload_queue_max; /**< jobs of the whole pool waiting before TROUPE_EBUSY; 0 = 256 */
    uint64_t watchdog_ns; /**< a handler that runs longer is reported, see troupe/observe.h; 0 = 25
                             ms, at least TROUPE_WATCHDOG_MIN_NS, UINT64_MAX = never */
    const struct troupe_driver *driver;   /**< NULL = troupe_futex_driver() */
    troupe_dead_letter_cb dead_letter_cb; /**< optional */
    void *dead_letter_arg;
};

/**
 * Builds a pool; no thread runs yet.
 *
 * @param[out] pool    written on success; destroy it with troupe_pool_destroy
 * @param[in] config   copied; optional
 * @param[out] error   text of what went wrong and the remedy, cstr; optional
 * @param[in] error_cap bytes at error
 * @return TROUPE_OK; TROUPE_EINVAL (a value out of range: error names field, value and bound);
 *         TROUPE_ENOMEM; TROUPE_EUNAVAIL (a CPU list outside the affinity mask)
 * Ownership: the pool is the caller's, who destroys it
 * Threads: startup
 * Cost: O(workers); reserves addresses, 176 bytes per actor of actors_max (352 MiB per worker by
 * default), which become memory as actors are spawned
 */
TROUPE_API enum troupe_status troupe_pool_create(struct troupe_pool **pool,
                                                 const struct troupe_pool_config *config,
                                                 char *error,
                                                 size_t error_cap) TROUPE_MUST_USE;

/**
 * Reserves an actor before the pool starts; its init runs on its worker right after start, in the
 * order of these calls per worker. `arg` must live until then.
 *
 * troupe_pool_start does not wait for the inits, so it cannot tell when one fails: that actor ends
 * (TROUPE_DOWN_FAILED), messages sent to it are reported, and the flight recorder shows its end. A
 * program that cannot do without it has its init stop the pool.
 *
 * @param[out] ref    the actor, written on success; others may be told of it at once
 * @param[in] worker  below troupe_pool_workers
 * @param[in] type    lives as long as the pool: a static constant
 * @param[in] arg     handed to init; optional
 * @return TROUPE_OK; TROUPE_ENOMEM at the slot limit; TROUPE_ECLOSED when the pool was started and
 *         has ended. Once reserved an actor cannot be taken back.
 * Threads: startup; not while the pool runs (see troupe_spawn and troupe_spawn_on)
 */
TROUPE_API enum troupe_status troupe_pool_spawn(struct troupe_pool *pool,
                                                troupe_ref *ref,
                                                uint32_t worker,
                                                const struct troupe_actor_type *type,
                                                const void *arg) TROUPE_MUST_USE;

/**
 * Starts the workers and waits until each has set up its driver.
 *
 * @param[out] error     text of what went wrong and the remedy, cstr; optional
 * @param[in] error_cap  bytes at error
 * @return TROUPE_OK; otherwise no worker runs and error says why and what to do: TROUPE_ENOMEM (no
 *         thread, no memory), TROUPE_EUNAVAIL or TROUPE_EIO (the driver; for example io_uring is
 *         refused), TROUPE_ECLOSED when the pool was started before: after a join, or a start whose
 *         workers failed, destroy it and create another
 * Threads: startup. Cost: blocks until the workers are there
 */
TROUPE_API enum troupe_status
troupe_pool_start(struct troupe_pool *pool, char *error, size_t error_cap) TROUPE_MUST_USE;

/**
 * Asks all workers to stop: ends every actor (terminate_cb runs, reason TROUPE_DOWN_SHUTDOWN) and
 * then the threads. Returns at once; wait with troupe_pool_join. A second call does nothing.
 *
 * From now on sends of foreign threads and to other workers answer TROUPE_ECLOSED. A send to an
 * actor of the same worker may still answer TROUPE_OK until that worker has ended it: such a
 * message, as all that was accepted and is not processed any more, is reported.
 *
 * Threads: any, also from handlers. Cost: O(workers) wakes, no memory
 */
TROUPE_API void troupe_pool_stop(struct troupe_pool *pool);

/**
 * Lets the pool finish what it has, then stops it (as troupe_pool_stop). Returns at once; wait with
 * troupe_pool_join.
 *
 * From now on foreign sends answer TROUPE_ECLOSED; actors go on, send, ask and spawn as before. The
 * pool stops as soon as it is quiet, or when the time is over, whichever comes first. Quiet means
 * that at one moment no actor is runnable, no message is in an inbox or on its way between workers,
 * no offload job is queued or running, and no supervised actor that waits for its restart has
 * messages in its mailbox: supervisors go on restarting, and it will handle them. An armed timer
 * and I/O that has not completed are not work, nor is the restart of an actor without messages: an
 * idle service has these for ever. Who needs more time for a peer's answer ends its own actors
 * first and calls this when they are done.
 *
 * A second call can only shorten the time. troupe_pool_stop ends a drain at once. After a stop this
 * does nothing.
 *
 * @param[in] timeout_ns  from now; 0 = stop at once, UINT64_MAX = wait for quiet however long
 * Threads: any, also from handlers; the pool has been started
 * Cost: O(workers) wakes, no memory; while draining each worker that falls asleep looks at all
 * others, and when all sleep each walks over its own actors
 */
TROUPE_API void troupe_pool_drain(struct troupe_pool *pool, uint64_t timeout_ns);

/**
 * Waits for the workers to end, and for running offload jobs. It ends nothing itself: see
 * troupe_pool_stop and troupe_pool_drain. Before the start, and once it has returned, it does
 * nothing.
 *
 * Threads: foreign ones only; asserts on a worker or offload thread of this pool, which would wait
 * for itself
 * Cost: blocks. Besides, troupe_pool_start and troupe_pool_top block.
 */
TROUPE_API void troupe_pool_join(struct troupe_pool *pool);

/** How many actors a report names. */
#define TROUPE_ABANDONED_MAX 32u

/** An actor that still had messages when the pool went down. */
struct troupe_abandoned {
    const char *type_name; /**< of its type */
    troupe_ref ref;
    uint32_t messages; /**< accepted for it and not processed */
};

/** How the pool ended; see troupe_pool_report. */
struct troupe_pool_report {
    uint64_t accepted; /**< over all workers and ports, as in troupe_worker_stats */
    uint64_t processed;
    uint64_t reported; /**< accepted = processed + reported */
    uint64_t dropped[TROUPE_DROP_REASONS];
    /**
     * Of the reported ones, those reported since their worker began to shut down, whatever the
     * reason: what waited in lanes, what arrived for actors ended already, what terminate_cb sent.
     */
    uint64_t abandoned;
    bool was_drained;        /**< troupe_pool_drain was called before a stop */
    bool is_drained_in_time; /**< and the pool became quiet before its deadline and before a stop */
    uint64_t drain_ns;       /**< from the first troupe_pool_drain to the decision to stop */
    uint64_t stop_ns;        /**< from the first worker's shutdown to the last one's end */
    uint32_t actor_count;    /**< used entries of actors */
    /** Actors that had messages in their own lanes, the most first; the worst of each worker. */
    struct troupe_abandoned actors[TROUPE_ABANDONED_MAX];
};

/**
 * Tells how the pool ended: what was done, what was left, by whom and how long it took.
 *
 * @param[out] report  about 1 KiB, overwritten
 * Threads: foreign, after troupe_pool_join and before troupe_pool_destroy
 * Cost: O(workers)
 */
TROUPE_API void troupe_pool_report(struct troupe_pool *pool, struct troupe_pool_report *report);

/**
 * Frees everything: actors, messages, buffers, ports. What was made for the pool (listeners,
 * admission) is destroyed before. NULL is a no-op.
 *
 * Threads: foreign; the pool is joined or was never started
 * Cost: O(memory used)
 */
TROUPE_API void troupe_pool_destroy(struct troupe_pool *pool);

/** How many workers it has, the same from create on: 1 .. TROUPE_WORKERS_MAX. Threads: any. */
TROUPE_API uint32_t troupe_pool_workers(const struct troupe_pool *pool);

/** Counters of one worker; sums over workers obey accepted = processed + reported at the end. */
struct troupe_worker_stats {
    uint64_t accepted;  /**< messages whose send answered TROUPE_OK here */
    uint64_t processed; /**< messages handed to a handler */
    uint64_t reported;  /**< sum of dropped[] */
    uint64_t dropped[TROUPE_DROP_REASONS];
    uint64_t refused;     /**< sends answered TROUPE_EBUSY; of all ports in those of worker 0 */
    uint64_t remote_out;  /**< messages pushed to other workers */
    uint64_t remote_in;   /**< messages taken from the inbox */
    uint64_t batches_out; /**< pushes that carried them */
    uint64_t wakes;       /**< doorbells rung */
    uint64_t wakes_saved; /**< pushes to a worker that was awake */
    uint64_t parks;       /**< times the worker went to sleep */
    uint64_t turns;       /**< loop turns */
    uint64_t overruns;    /**< handlers over the time budget of a turn */
    uint64_t spawned;     /**< actors ever made */
    uint64_t alive;       /**< actors living */
    uint64_t memory;      /**< bytes of slabs mapped */
};

/**
 * A relaxed snapshot, exact when the pool is joined. What ports sent and what foreign threads
 * dropped is counted with worker 0.
 *
 * @param[in] worker  below troupe_pool_workers
 * @param[out] stats  overwritten
 * Threads: any
 * Cost: O(1); for worker 0 O(ports), and a lock shared with troupe_port_open
 */
TROUPE_API void troupe_pool_stats(const struct troupe_pool *pool,
                                  uint32_t worker,
                                  struct troupe_worker_stats *stats);

/**
 * A foreign thread's way in: a registered producer with its own memory (config.memory_max at most).
 * One port, one thread at a time.
 */
struct troupe_port;

/**
 * Opens a port: one that was closed before, with what its memory still holds, or a new one. So the
 * memory of ports is that of the most that were ever open at the same time.
 *
 * @param[out] port  written on success
 * @return TROUPE_OK; TROUPE_ENOMEM
 * Threads: any
 * Cost: a lock shared with other opens and closes; a new port comes from the system heap
 */
TROUPE_API enum troupe_status troupe_port_open(struct troupe_pool *pool,
                                               struct troupe_port **port) TROUPE_MUST_USE;

/**
 * Gives a port back for the next troupe_port_open. Messages it sent stay under way; messages made
 * and neither sent nor freed stay allocated until the pool is destroyed, as do ports never closed.
 * NULL is a no-op.
 *
 * Threads: the port's; before troupe_pool_destroy
 * Cost: as troupe_port_open of one that was closed
 */
TROUPE_API void troupe_port_close(struct troupe_port *port);

/**
 * As troupe_msg_new: the message is for this port to send or free.
 *
 * @param[in] type  below TROUPE_MSG_RESERVED
 * @param[in] size  at most TROUPE_MSG_PAYLOAD_MAX
 * @return the message, owned by the caller; NULL when the port's byte budget is used up
 * Threads: the port's
 */
TROUPE_API struct troupe_msg *
troupe_port_msg_new(struct troupe_port *port, uint16_t type, uint32_t size) TROUPE_MUST_USE;

/** Frees a message of this port that was not sent. NULL is a no-op. Threads: the port's */
TROUPE_API void troupe_port_msg_free(struct troupe_port *port, struct troupe_msg *msg);

/**
 * As troupe_send; the receiver's worker is woken at once.
 *
 * All ports of the pool share one window of 4,096 messages per worker: so many can be on their way
 * to it without having reached their lanes, never more. A busy worker that does not look at its
 * inbox is therefore refused to foreign threads after that, and the bound of a receiver's lane can
 * be overshot by at most those 4,096, however many ports there are.
 *
 * @param[in,out] msg  NULL after success, unchanged otherwise
 * @return TROUPE_OK; TROUPE_EBUSY when the receiver's lane or the window is full; TROUPE_EDEAD when
 *         no such worker exists (a dead actor is found out later, by the dead-letter hook);
 *         TROUPE_ECLOSED when the pool drains or is stopped
 * Threads: the port's
 * Cost: two atomic read-modify-writes; a system call when the worker sleeps
 */
TROUPE_API enum troupe_status
troupe_port_send(struct troupe_port *port, troupe_ref to, struct troupe_msg **msg) TROUPE_MUST_USE;

/**
 * Blocking work for the offload pool (files, name lookup). `work_cb` runs on a foreign thread with
 * `payload`; then the message comes back to the sender on the reply lane with the same type.
 *
 * Jobs start in the order in which they were accepted. A job is not cancelled when its actor ends:
 * it may be half done and others may rely on it. Its message is then reported to the dead-letter
 * hook (an ask in it is answered TROUPE_EDEAD). While the pool drains jobs are taken and run as
 * before; once it has stopped and its actors have ended, running ones end, queued ones are not run,
 * and the messages of both are reported. troupe_pool_join waits for running ones.
 *
 * @param[in,out] msg  payload is what work_cb gets and may change; one of one's own or the borrowed
 *                     one, as in troupe_send: NULL after success and no longer the handler's;
 *                     otherwise unchanged, and the borrowed one still borrowed. Not a timer
 * @param[in] work_cb  may block and take its time; must not use a struct troupe_ctx, of which it
 * has none
 * @return TROUPE_OK; TROUPE_EBUSY when the queue is full; TROUPE_ECLOSED when the pool is stopped;
 *         TROUPE_ENOMEM when the threads cannot be started
 * Threads: a worker's, from a handler
 * Cost: may take a lock shared with the offload threads only; the first call starts the threads
 */
TROUPE_API enum troupe_status troupe_offload(struct troupe_ctx *ctx,
                                             struct troupe_msg **msg,
                                             void (*work_cb)(void *payload)) TROUPE_MUST_USE;

/** What the offload threads of a pool did. All zero before the first job. */
struct troupe_offload_stats {
    uint64_t threads;     /**< that run, or ran until the join */
    uint64_t queued;      /**< accepted, not started */
    uint64_t running;     /**< in work_cb now */
    uint64_t done;        /**< came back from work_cb */
    uint64_t rejected;    /**< answered TROUPE_EBUSY */
    uint64_t canceled;    /**< never run because the pool stopped */
    uint64_t wait_ns;     /**< sum over started jobs, from acceptance to start */
    uint64_t wait_max_ns; /**< the longest of them */
    uint64_t run_ns;      /**< sum over done jobs */
    uint64_t run_max_ns;  /**< the longest of them */
};

/**
 * Reads the counters; they belong to one moment. After the join: accepted = done + canceled. In a
 * simulation work is done at once, so nothing waits and times are 0.
 *
 * Threads: any
 * Cost: a lock shared with the offload threads
 */
TROUPE_API void troupe_pool_offload_stats(struct troupe_pool *pool,
                                          struct troupe_offload_stats *stats);

/** The driver for programs without I/O: workers park on a futex. Static. Threads: any. */
TROUPE_API const struct troupe_driver *troupe_futex_driver(void);

#ifdef __cplusplus
}
#endif

#endif
