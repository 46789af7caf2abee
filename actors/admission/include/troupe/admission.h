#ifndef TROUPE_ADMISSION_H
#define TROUPE_ADMISSION_H

/**
 * Admission: who gets in, where they live, who has to leave. For any service that keeps one actor
 * per client; it knows nothing of protocols. One admission actor (on worker 0) owns the truth, one
 * agent per worker hands messages to the clients that live there.
 *
 * A client is a 32-byte key that somebody verified. Its actor lives on one worker, its home, from
 * admission to release. Messages for it go through troupe_admission_deliver on any worker.
 *
 * The promise: every delivered message ends in exactly one of
 *   - handled: the client's actor received it (and called troupe_client_handled),
 *   - refused: refused_cb was called with it (busy, or shutdown),
 *   - reported: the client's actor or the pool ended first; the dead-letter hook of the pool gets
 * it unless the actor had received it. Messages of one worker for one client are handed over in the
 * order of their delivery; a message that is given back comes again at the end. No client that
 * holds a route or an unhandled message is ever evicted; the number of clients (leaving ones
 * included) never exceeds the capacity.
 *
 * The state word of a client = number of holds + a closing flag. A hold is a route or a message on
 * its way; opening is a compare-and-swap of +1 that fails when closing; eviction is a
 * compare-and-swap of 0 holds to closing, which is final: a client that returns gets a new record.
 *
 * Threads: what takes a struct troupe_ctx is called from a handler with that handler's context; the
 * troupe_client_ calls from the handlers of the client's own actor. Cost: unless stated otherwise
 * O(1), no lock.
 */

#include <troupe/pool.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Bytes of a key. */
#define TROUPE_KEY_BYTES 32u

/** Names a client: any 32 bytes that tell clients apart, such as a public key or a hash. */
struct troupe_key {
    uint8_t bytes[TROUPE_KEY_BYTES];
};

/** The admission service of a pool. */
struct troupe_admission;

/** The record of one admitted client; valid for its actor as long as that lives. */
struct troupe_client;

/** Why a client's record ended. */
enum troupe_release_reason {
    TROUPE_RELEASE_EVICTED = 0,  /**< made room for a newcomer */
    TROUPE_RELEASE_IDLE = 1,     /**< idle timeout */
    TROUPE_RELEASE_LEFT = 2,     /**< its actor left by itself (disconnect, backend death) */
    TROUPE_RELEASE_DIED = 3,     /**< its actor ended without leaving */
    TROUPE_RELEASE_SHUTDOWN = 4, /**< the service drains or stops */
    TROUPE_RELEASE_REASONS = 5,
};

/** Where a new client lives. */
enum troupe_placement {
    TROUPE_PLACE_KEY_HASH = 0,    /**< troupe_admission_home: known before admission */
    TROUPE_PLACE_ROUND_ROBIN = 1, /**< next worker */
    TROUPE_PLACE_LEAST_LOADED = 2 /**< the better of two random workers */
};

/** What init of the client's actor gets as its argument. */
struct troupe_client_arg {
    struct troupe_client *client;
    struct troupe_key key;
    void *user; /**< client_user of the configuration */
};

/** Zeroed members = the defaults named. */
struct troupe_admission_config {
    uint32_t capacity;          /**< clients; 0 = 1000 */
    uint32_t queue_max;         /**< waiting clients when nobody may leave; UINT32_MAX = 0 places,
                                     0 = 100 */
    uint32_t backlog_max;       /**< messages one waiting client may have queued; 0 = 100 */
    uint64_t queue_timeout_ns;  /**< longest wait; 0 = 30 s */
    uint64_t idle_timeout_ns;   /**< released after this long without a hold; 0 = 300 s */
    uint64_t evict_min_idle_ns; /**< a client idle for less is not evicted; 0 = none */
    uint64_t retry_after_ms;    /**< base of the hint in refusals, jittered +-50 %; 0 = 1000 */
    enum troupe_placement placement;

    /** Actor of each client. Its init gets a struct troupe_client_arg. */
    const struct troupe_actor_type *client_type;
    void *client_user;

    /**
     * A message was not admitted. Called once per message on the worker that decided; the message
     * is borrowed and freed afterwards. status: TROUPE_EBUSY, or TROUPE_ECLOSED while draining.
     */
    void (*refused_cb)(struct troupe_ctx *ctx,
                       void *user,
                       const struct troupe_key *key,
                       struct troupe_msg *msg,
                       enum troupe_status status,
                       uint64_t retry_after_ms);

    /** A client's record ended; exactly once per record, on the admission actor's worker. */
    void (*released_cb)(struct troupe_ctx *ctx,
                        void *user,
                        const struct troupe_key *key,
                        enum troupe_release_reason reason);
    void *user;          /**< for refused_cb */
    void *released_user; /**< for released_cb */
};

/**
 * Everything is counted. When nothing is under way: delivered = handled + abandoned + refused_busy
 * + refused_timeout + refused_shutdown (a message given back counts once, where it ends); admitted
 * = active + sum of released.
 */
struct troupe_admission_stats {
    uint64_t capacity;
    uint64_t active;      /**< records now, leaving ones included */
    uint64_t active_peak; /**< most ever: never above capacity */
    uint64_t idle;        /**< of these without a hold (counted at the call) */
    uint64_t waiting;     /**< clients in the queue now */
    uint64_t admitted;
    uint64_t released[TROUPE_RELEASE_REASONS];
    uint64_t queued;           /**< clients that ever waited */
    uint64_t queue_wait_ns;    /**< summed waiting time of those admitted from the queue */
    uint64_t refused_busy;     /**< messages: no place, queue or backlog full */
    uint64_t refused_timeout;  /**< messages: waited too long */
    uint64_t refused_shutdown; /**< messages */
    uint64_t delivered;        /**< messages accepted by troupe_admission_deliver */
    uint64_t handled;          /**< messages that a client's actor called handled */
    uint64_t abandoned;        /**< messages handed to an actor that ended before it handled them:
                                    in the dead-letter hook if it never saw them */
    uint64_t routes;           /**< route holds now */
};

/**
 * Sets up admission on a pool that has not started: reserves the admission actor on worker 0 and an
 * agent on each worker.
 *
 * @param[out] admission  written on success; the caller's, who destroys it
 * @param[in] pool        not started
 * @param[in] config      copied; client_type and what the `user` members point at outlive the pool
 * @return TROUPE_OK; TROUPE_EINVAL (no client_type or callbacks, no such placement, or more than
 *         16,777,216 clients); TROUPE_ENOMEM (the pool must not be started then); TROUPE_ECLOSED
 *         when the pool was started before and has ended
 * Threads: startup
 * Cost: O(capacity) memory of the system heap
 */
TROUPE_API enum troupe_status
troupe_admission_create(struct troupe_admission **admission,
                        struct troupe_pool *pool,
                        const struct troupe_admission_config *config) TROUPE_MUST_USE;

/**
 * Frees it. NULL is a no-op.
 *
 * Threads: foreign; the pool is joined or was never started, and is not destroyed yet
 */
TROUPE_API void troupe_admission_destroy(struct troupe_admission *admission);

/** The worker where a key lives under TROUPE_PLACE_KEY_HASH. Threads: any. Cost: one hash. */
TROUPE_API uint32_t troupe_admission_home(const struct troupe_admission *admission,
                                          const struct troupe_key *key);

/**
 * Delivers a message of a verified client, from any worker. Its type and payload are the client
 * actor's business.
 *
 * @param[in] key      copied
 * @param[in,out] msg  the caller's own (a borrowed one is taken first), no request of an ask, no
 *                     timer; NULL after success; otherwise still the caller's, refused_cb is not
 *                     called
 * @return TROUPE_OK: it ends in one of the three ways named above; TROUPE_EBUSY (a mailbox on the
 *         way is full); TROUPE_ENOMEM; TROUPE_ECLOSED (the pool stops)
 * Cost: one small message; known client: one epoch section, one lookup, one compare-and-swap, one
 * send
 */
TROUPE_API enum troupe_status troupe_admission_deliver(struct troupe_ctx *ctx,
                                                       struct troupe_admission *admission,
                                                       const struct troupe_key *key,
                                                       struct troupe_msg **msg) TROUPE_MUST_USE;

/* --- for the client's actor, on its home worker --- */

/** The client's key; lives as long as the record. */
TROUPE_API const struct troupe_key *troupe_client_key(const struct troupe_client *client);

/**
 * The hold of one delivered message ends; once per message received, at any later time before the
 * actor ends; once more often is an assertion. What the actor still holds when it ends is ended for
 * it.
 */
TROUPE_API void troupe_client_handled(struct troupe_ctx *ctx, struct troupe_client *client);

/**
 * Opens and closes a route: while one is open the client cannot be evicted. Opening cannot fail
 * while the actor holds a message or another route, also when it is leaving. Without any hold
 * (from a timer) it returns false when the client is being evicted: the actor will be stopped.
 * Routes nest: as many as were opened are closed, more is an assertion; what is open when the actor
 * ends is closed for it.
 *
 * Cost: one compare-and-swap
 */
TROUPE_API bool troupe_client_open_route(struct troupe_ctx *ctx, struct troupe_client *client);
TROUPE_API void troupe_client_close_route(struct troupe_ctx *ctx, struct troupe_client *client);

/**
 * The actor wants to leave (its connection closed, its backend died): no new message comes from now
 * on, newer ones wait for its successor. Returns true when nothing is held: the actor returns
 * TROUPE_STOP now. Otherwise it closes its routes and, for each message it has or still finds in
 * its mailbox, calls handled or give_back; when its last hold has ended it may ask again, and in
 * any case it is stopped then.
 */
TROUPE_API bool troupe_client_leave(struct troupe_ctx *ctx, struct troupe_client *client);

/**
 * A leaving actor gives a message back (the borrowed one, or one it took): it is delivered as if it
 * came now, to a new record. Ends the message's hold, as troupe_client_handled does. It cannot
 * fail: when a mailbox on the way is full, or there is no memory, refused_cb is called with the
 * message before this returns.
 *
 * Ownership: the message is gone
 */
TROUPE_API void troupe_client_give_back(struct troupe_ctx *ctx,
                                        struct troupe_client *client,
                                        struct troupe_msg *msg);

/**
 * A snapshot; its numbers belong to slightly different moments until the pool is joined.
 * Threads: any. Cost: O(workers).
 */
TROUPE_API void troupe_admission_stats(const struct troupe_admission *admission,
                                       struct troupe_admission_stats *stats);

/**
 * Stops admitting: newcomers and waiting clients are refused with TROUPE_ECLOSED, clients without
 * a hold are released, the others as soon as their last hold ends. `done_to` gets a message of
 * `done_type` when no client is left. It cannot be undone. Only the first call on each worker
 * counts. Cost: no memory, cannot fail.
 */
TROUPE_API void troupe_admission_drain(struct troupe_ctx *ctx,
                                       struct troupe_admission *admission,
                                       troupe_ref done_to,
                                       uint16_t done_type);

#ifdef __cplusplus
}
#endif

#endif
