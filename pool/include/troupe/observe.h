#ifndef TROUPE_OBSERVE_H
#define TROUPE_OBSERVE_H

/**
 * Looking into a running pool: what happened last, where time goes, who is busy, who is stuck.
 *
 * Everything here is always on; what it costs is said with each part. Nothing here needs the
 * workers to cooperate except troupe_pool_top. All of it reads words that the workers keep writing:
 * a snapshot is made of values that were true at slightly different moments. Functions that take a
 * pool want it between create and destroy. They have no result where nothing can fail.
 *
 * Names (`const char *`) point to the actor types' own names: type objects must be static.
 */

#include <troupe/pool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- the flight recorder --- */

/**
 * Adds an event of your own to the worker's flight recorder. It stands before the event of the
 * actor's turn, which is recorded when the turn ends.
 *
 * @param[in] tag    what it means, chosen by you
 * @param[in] value  shown as a number
 * Threads: a worker's, from a handler
 * Cost: three stores; the oldest of 4,096 events is overwritten
 */
TROUPE_API void troupe_record(struct troupe_ctx *ctx, uint16_t tag, uint64_t value);

/**
 * Writes the flight recorders of all workers as lines of text, per worker, newest event last, and
 * what each worker does at this moment. Names of actor types are looked up while writing: an actor
 * that is gone appears as its ref only (worker/slot.generation).
 *
 * Uses write(2) and nothing else, so it may be called from a signal handler for fatal signals, from
 * any thread, at any time between create and destroy. Workers go on meanwhile; events that they
 * overwrite are left out. Times are coarse (the worker's last look at the clock, up to some tens of
 * microseconds old) and wrap after 71 minutes.
 *
 * @param[in] fd  where to; what it does not take (an error, a full pipe that must not block) is
 * left out Threads: any; async-signal-safe Cost: may block on the descriptor; about 60 bytes per
 * event
 */
TROUPE_API void troupe_recorder_dump(const struct troupe_pool *pool, int fd);

/**
 * Where a failed assertion writes the last 128 events per worker of the process's pools (the first
 * 16 of them): a descriptor that stays open, standard error by default, -1 = nowhere.
 *
 * The dump is hooked in when the first pool is created; a hook set before that with
 * troupe_assert_set_hook runs after the dump, one set later takes the dump's place unless it calls
 * the hook it got back.
 *
 * Threads: any. Cost: one store
 */
TROUPE_API void troupe_recorder_on_assert(int fd);

/* --- where time goes, per actor type --- */

/**
 * Durations, nanoseconds. Percentiles come from a histogram with four buckets per power of two from
 * 64 ns to 1,100 s: never below the true value of the samples, at most 25 % above. max and mean are
 * exact for the samples; a maximum between two samples is not seen.
 */
struct troupe_durations {
    uint64_t samples;
    uint64_t p50_ns;
    uint64_t p90_ns;
    uint64_t p99_ns;
    uint64_t p999_ns;
    uint64_t max_ns;
    uint64_t mean_ns;
};

/** What a pool knows about one actor type, all workers together, since the pool began. */
struct troupe_type_stats {
    const char *name;                /**< of the type; "(other)" = types beyond the table */
    uint64_t messages;               /**< handled, estimated: samples times messages per sample */
    uint64_t overruns;               /**< sampled handlers over 200 us */
    uint64_t busy_ns;                /**< time in handlers, estimated in the same way */
    struct troupe_durations waited;  /**< time in the mailbox */
    struct troupe_durations handled; /**< time in the handler */
};

/** Actor types of one worker that are told apart; further ones share the entry "(other)". */
#define TROUPE_OBSERVED_TYPES 256u

/**
 * Fills in one entry per actor type that was ever sampled, in no particular order. Two types of the
 * same name are two entries.
 *
 * @param[out] stats  up to cap entries
 * @param[in]  cap    entries at stats
 * @param[out] count  types there are; more than cap = the rest was left out
 * Threads: any
 * Cost: O(types x workers), some microseconds per type; does not disturb the workers. Being
 * measured costs a worker two looks at the clock and two histogram entries per about 64 messages.
 */
TROUPE_API void troupe_pool_type_stats(const struct troupe_pool *pool,
                                       struct troupe_type_stats *stats,
                                       uint32_t cap,
                                       uint32_t *count);

/** A handler that took longer than the 200 us an actor's turn may take. */
struct troupe_overrun {
    const char *type_name;
    troupe_ref actor;  /**< may be dead by now */
    uint64_t took_ns;  /**< wall time: includes time the thread was not running */
    uint64_t at_ns;    /**< when it returned, monotonic */
    uint16_t msg_type; /**< of the message in work */
};

/** Over-budget handlers kept per worker. */
#define TROUPE_OVERRUNS_KEPT 32u

/**
 * The newest over-budget handlers of all workers, newest first. Only handlers that were timed are
 * seen: sampled ones (about 1 in 64 while handlers are quick, more often when they are slow); what
 * runs for more than 25 ms the watchdog sees in any case.
 *
 * @param[out] overruns  up to cap entries
 * @param[out] count     entries written
 * Threads: any. Cost: O(workers), does not disturb them
 */
TROUPE_API void troupe_pool_overruns(const struct troupe_pool *pool,
                                     struct troupe_overrun *overruns,
                                     uint32_t cap,
                                     uint32_t *count);

/* --- who is busy --- */

/** What the top actors are chosen by. */
enum troupe_top_by {
    TROUPE_TOP_DEPTH = 0, /**< messages waiting in the data lane */
    TROUPE_TOP_BYTES = 1, /**< bytes waiting there; shared buffers count in each message */
    TROUPE_TOP_BUSY = 2,  /**< time in its handler since it was spawned, estimated from samples */
};

struct troupe_top_entry {
    troupe_ref actor;
    const char *type_name;
    uint64_t bytes;         /**< waiting */
    uint64_t processed;     /**< messages handled since it was spawned */
    uint64_t busy_ns;       /**< time in its handler since it was spawned, estimated from samples */
    uint64_t since_turn_ns; /**< since the end of its last turn, to about 0.1 ms; UINT64_MAX = not
                                 among the last 4,095 events of its worker */
    uint32_t depth;         /**< messages waiting */
    uint32_t depth_max;     /**< most that were seen waiting */
};

/** Most entries of one snapshot. */
#define TROUPE_TOP_MAX 64u

/**
 * The actors with the most of something, all workers together, highest first.
 *
 * Each worker looks through its own actors, in steps of 4,096 per loop turn; a parked one is woken
 * for it. A worker that does not answer in time (a handler is stuck, or it has very many actors) is
 * left out.
 *
 * @param[out] entries     up to cap, also when the answer is TROUPE_EEXPIRED
 * @param[in]  cap         1 .. TROUPE_TOP_MAX
 * @param[out] count       entries written
 * @param[in]  timeout_ns  how long to wait at most
 * @return TROUPE_OK; TROUPE_EEXPIRED when a worker did not answer in time (the pool may not have
 *         been started); TROUPE_EBUSY when another thread asks at this moment; TROUPE_ECLOSED when
 *         the pool is stopped; TROUPE_EINVAL on a worker's own thread (a handler must not wait for
 *         its own worker) or with a cap out of range
 * Threads: foreign ones only
 * Cost: blocks up to timeout_ns; each worker about 10 ns per actor slot in use
 */
TROUPE_API enum troupe_status troupe_pool_top(struct troupe_pool *pool,
                                              enum troupe_top_by by,
                                              struct troupe_top_entry *entries,
                                              uint32_t cap,
                                              uint32_t *count,
                                              uint64_t timeout_ns) TROUPE_MUST_USE;

/* --- who is stuck --- */

/**
 * Where the stall watchdogs of this process write: a descriptor that stays open, standard error by
 * default, -1 = nowhere.
 *
 * A handler that runs longer than the pool's watchdog limit (25 ms by default) is reported once,
 * between one and two limits after it began: actor, message type, how long so far, CPU time used
 * since, and the stack of its thread, which is interrupted by a real-time signal for it (the first
 * free one from SIGRTMAX - 1 down; a system call that cannot be restarted, such as nanosleep,
 * returns EINTR). Another line follows when the worker goes on. A thread that is merely not being
 * scheduled is not reported. Without a symbol table (link with -rdynamic) the stack shows
 * addresses.
 *
 * Threads: any. Cost: one store
 */
TROUPE_API void troupe_watchdog_output(int fd);

/**
 * How many handlers the watchdog has reported since the pool began; 0 before the start.
 * Threads: any. Cost: one load.
 */
TROUPE_API uint64_t troupe_pool_stalls(const struct troupe_pool *pool);

#ifdef __cplusplus
}
#endif

#endif
