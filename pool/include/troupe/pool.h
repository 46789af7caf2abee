#ifndef TROUPE_POOL_H
#define TROUPE_POOL_H

/**
 * The pool: pinned workers that run actors. One process may have several.
 *
 *     create -> spawn the first actors -> start -> ... -> stop -> join -> destroy
 */

#include <troupe/actor.h>

#ifdef __cplusplus
extern "C" {
#endif

struct troupe_pool;

/** How workers wait for the outside world; troupe_futex_driver() or troupe_ring_driver(). */
struct troupe_driver;

/** What a worker does before it parks. */
enum troupe_spin {
    TROUPE_SPIN_ADAPTIVE = 0, /**< spin only with a CPU of one's own and recent gaps below a wake */
    TROUPE_SPIN_BUSY = 1,     /**< never park: lowest latency, one core per worker burnt */
    TROUPE_SPIN_PARK = 2,     /**< park at once */
};

#define TROUPE_WORKERS_MAX 64u

/** Called for each message that was accepted and could not be processed. Borrowed; any worker. */
typedef void (*troupe_dead_letter_cb)(void *arg,
                                      const struct troupe_msg *msg,
                                      enum troupe_drop_reason reason);

/** Zeroed = defaults. */
struct troupe_pool_config {
    uint32_t workers;           /**< 0 = usable CPUs: affinity mask and cgroup quota */
    const char *pin;            /**< NULL or "auto", "none", or a CPU list such as "0,2-3" */
    enum troupe_spin spin;      /**< see above */
    uint64_t memory_max;        /**< byte budget of each worker's slabs; 0 = 1 GiB */
    uint32_t actors_max;        /**< live actors per worker; 0 = 2,097,152 */
    uint64_t seed;              /**< of troupe_random; 0 = from the system */
    uint32_t offload_threads;   /**< for blocking work; 0 = 2 */
    uint32_t offload_queue_max; /**< jobs waiting before TROUPE_EBUSY; 0 = 256 */
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
 * @return TROUPE_OK; TROUPE_EINVAL (a value out of range, named in error); TROUPE_ENOMEM;
 *         TROUPE_EUNAVAIL (a CPU list outside the affinity mask)
 * Threads: startup
 */
TROUPE_API enum troupe_status troupe_pool_create(struct troupe_pool **pool,
                                                 const struct troupe_pool_config *config,
                                                 char *error,
                                                 size_t error_cap) TROUPE_MUST_USE;

/**
 * Reserves an actor before the pool starts; its init runs on its worker right after start, in the
 * order of these calls per worker. `arg` must live until then.
 *
 * Threads: startup
 */
TROUPE_API enum troupe_status troupe_pool_spawn(struct troupe_pool *pool,
                                                troupe_ref *ref,
                                                uint32_t worker,
                                                const struct troupe_actor_type *type,
                                                const void *arg) TROUPE_MUST_USE;

/**
 * Starts the workers and waits until each has set up its driver.
 *
 * @return TROUPE_OK; otherwise no worker runs and error says why and what to do (for example that
 *         io_uring is refused)
 */
TROUPE_API enum troupe_status
troupe_pool_start(struct troupe_pool *pool, char *error, size_t error_cap) TROUPE_MUST_USE;

/**
 * Asks all workers to stop: ends every actor (terminate_cb runs, reason TROUPE_DOWN_SHUTDOWN) and
 * then the threads. Foreign sends get TROUPE_ECLOSED from now on. Threads: any, also from handlers.
 */
TROUPE_API void troupe_pool_stop(struct troupe_pool *pool);

/** Waits for the workers to end. The only call that blocks. Threads: foreign. */
TROUPE_API void troupe_pool_join(struct troupe_pool *pool);

/** Frees everything; the pool must be joined or never started. NULL is a no-op. */
TROUPE_API void troupe_pool_destroy(struct troupe_pool *pool);

TROUPE_API uint32_t troupe_pool_workers(const struct troupe_pool *pool);

/** Counters of one worker; sums over workers obey accepted = processed + reported at the end. */
struct troupe_worker_stats {
    uint64_t accepted;  /**< messages whose send answered TROUPE_OK here */
    uint64_t processed; /**< messages handed to a handler */
    uint64_t reported;  /**< sum of dropped[] */
    uint64_t dropped[TROUPE_DROP_REASONS];
    uint64_t refused;     /**< sends answered TROUPE_EBUSY */
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

/** A relaxed snapshot, exact when the pool is joined. Threads: any. Cost: O(1). */
TROUPE_API void troupe_pool_stats(const struct troupe_pool *pool,
                                  uint32_t worker,
                                  struct troupe_worker_stats *stats);

/**
 * A foreign thread's way in: a registered producer with its own memory. One port, one thread.
 */
struct troupe_port;

TROUPE_API enum troupe_status troupe_port_open(struct troupe_pool *pool,
                                               struct troupe_port **port) TROUPE_MUST_USE;
/** The memory of messages still under way lives on until the pool is destroyed. */
TROUPE_API void troupe_port_close(struct troupe_port *port);

/** As troupe_msg_new, troupe_msg_free, troupe_send; a send wakes the worker at once. */
TROUPE_API struct troupe_msg *
troupe_port_msg_new(struct troupe_port *port, uint16_t type, uint32_t size) TROUPE_MUST_USE;
TROUPE_API void troupe_port_msg_free(struct troupe_port *port, struct troupe_msg *msg);
TROUPE_API enum troupe_status
troupe_port_send(struct troupe_port *port, troupe_ref to, struct troupe_msg **msg) TROUPE_MUST_USE;

/**
 * Blocking work for the offload pool (files, name lookup). `work_cb` runs on a foreign thread with
 * `payload`; then the message comes back to the sender on the reply lane with the same type.
 *
 * @param[in,out] msg  payload is what work_cb gets and may change; NULL after success
 * @return TROUPE_OK; TROUPE_EBUSY when the queue is full; TROUPE_ECLOSED
 * Cost: may take a lock shared with the offload threads only
 */
TROUPE_API enum troupe_status troupe_offload(struct troupe_ctx *ctx,
                                             struct troupe_msg **msg,
                                             void (*work_cb)(void *payload)) TROUPE_MUST_USE;

/** The driver for programs without I/O: workers park on a futex. */
TROUPE_API const struct troupe_driver *troupe_futex_driver(void);

#ifdef __cplusplus
}
#endif

#endif
