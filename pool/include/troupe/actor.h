#ifndef TROUPE_ACTOR_H
#define TROUPE_ACTOR_H

/**
 * Actors: state plus a receive function, living on exactly one worker.
 *
 * Threads: everything here is called from inside a handler (init_cb, receive_cb, terminate_cb, the
 * continuation of an ask), with the context the handler was given; it is valid until the handler
 * returns and on that thread only. To talk to actors from other threads see troupe/pool.h (ports).
 * Cost: unless a call says otherwise O(1), no system call, no lock, no system heap. Nothing blocks.
 * A programmer's error (a type or size out of its range, a message that is not the caller's) is an
 * assertion, not a status.
 *
 * An actor's turn: it handles up to 64 messages, or as many as fit into about 200 us; then the
 * other runnable actors of the worker have theirs. The clock is read every 32 messages while
 * handlers are quick, more often, down to each message, while they are slow: of handlers that
 * suddenly become slow up to 31 run before the turn ends. Control messages and replies come before
 * data; when 32 of them have been handled in a row, a data message that waits has its turn.
 *
 * Message types, who numbers which:
 *
 *     0x0000 .. 0xEEFF  the program
 *     0xEF00 .. 0xEF7F  an actor's connections and listeners, to itself (troupe/net.h)
 *     0xEF80 .. 0xEFFF  supervisors (troupe/supervise.h)
 *     0xF000 .. 0xFFFF  the runtime: TROUPE_MSG_RESERVED
 */

#include <troupe/msg.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What a handler may do: the running actor, its worker, the time. Opaque. */
struct troupe_ctx;

/** What a handler says when it returns. Anything else is an assertion. */
enum troupe_verdict {
    TROUPE_CONTINUE = 0, /**< wait for the next message */
    TROUPE_STOP = 1,     /**< stop normally; queued messages go to the dead-letter hook */
    TROUPE_FAIL = 2,     /**< stop with reason TROUPE_DOWN_FAILED; a supervisor may restart */
    /**
     * as TROUPE_CONTINUE, but the turn ends here: what waits in the mailbox is handled in the
     * actor's next turn, after the other runnable actors had theirs. It does not make a turn: with
     * an empty mailbox the actor waits for its next message.
     */
    TROUPE_YIELD = 3,
};

/** Why an actor is gone. */
enum troupe_down_reason {
    TROUPE_DOWN_NORMAL = 0,   /**< it returned TROUPE_STOP or was stopped or drained */
    TROUPE_DOWN_FAILED = 1,   /**< it returned TROUPE_FAIL, init failed, or a link pulled it down */
    TROUPE_DOWN_KILLED = 2,   /**< troupe_kill */
    TROUPE_DOWN_SHUTDOWN = 3, /**< the pool went down */
    TROUPE_DOWN_UNKNOWN = 4,  /**< it was dead before anybody asked */
};

/** Why an accepted message was reported instead of processed. */
enum troupe_drop_reason {
    TROUPE_DROP_DEAD = 0,     /**< the receiver was dead when the message arrived */
    TROUPE_DROP_STOPPED = 1,  /**< queued at an actor that stopped */
    TROUPE_DROP_EXPIRED = 2,  /**< its deadline passed in the queue */
    TROUPE_DROP_SHUTDOWN = 3, /**< the pool went down */
    TROUPE_DROP_LATE = 4,     /**< an answer after its ask had ended */
    TROUPE_DROP_FAILED = 5,   /**< its handler returned TROUPE_FAIL; it is not tried again */
    TROUPE_DROP_REASONS = 6,
};

/**
 * One kind of actor; a static constant shared by all actors of that kind.
 *
 * `state_size` bytes are allocated zeroed beside the actor and freed with it.
 */
struct troupe_actor_type {
    const char *name; /**< for logs and metrics, cstr */

    /** bytes of state, at most TROUPE_ACTOR_STATE_MAX */
    uint32_t state_size;

    /** bound of the data lane in messages; 0 = 10,000 */
    uint32_t data_count_max;

    /**
     * Bound of the data lane in bytes (header plus payload plus buffers); 0 = 16 MiB. A message is
     * accepted while the lane is below both bounds, whatever its size: one message may cross this
     * bound by any amount, and the next one is refused.
     */
    uint32_t data_bytes_max;

    /**
     * Called once on the actor's worker before its first message; optional. `arg` is what spawn
     * was given. Any status but TROUPE_OK ends the actor with TROUPE_DOWN_FAILED.
     */
    enum troupe_status (*init_cb)(struct troupe_ctx *ctx, void *state, const void *arg);

    /** Called for each message. The message is borrowed, see troupe/msg.h. */
    enum troupe_verdict (*receive_cb)(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg);

    /**
     * Called once when the actor ends, except after kill; optional. It may send; its asks and
     * timers end with it. It runs after an init_cb that failed too, on the state as init_cb left
     * it: what it gives back must be told from what was never there (the state begins zeroed). It
     * does not run when there was no memory for the state, for then init_cb did not run either.
     */
    void (*terminate_cb)(struct troupe_ctx *ctx, void *state, enum troupe_down_reason reason);
};

/** Bytes of state at most. */
#define TROUPE_ACTOR_STATE_MAX (64u << 10)

/** The running actor: never TROUPE_NOBODY in a handler. */
TROUPE_API troupe_ref troupe_self(const struct troupe_ctx *ctx);

/** The worker the caller runs on, 0 .. workers-1. */
TROUPE_API uint32_t troupe_self_worker(const struct troupe_ctx *ctx);

/** How many workers the pool has: 1 .. TROUPE_WORKERS_MAX, the same all its life. */
TROUPE_API uint32_t troupe_worker_count(const struct troupe_ctx *ctx);

/**
 * The worker a ref lives on, dead or alive; for a number that is no ref (TROUPE_NOBODY gives 0) it
 * means nothing. Threads: any. Cost: none.
 */
static inline uint32_t troupe_ref_worker(troupe_ref ref)
{
    return (uint32_t)(ref >> 56);
}

/**
 * Monotonic time, nanoseconds, as the worker read it last: at least every 32 messages (each while
 * handlers are slow), and for each timer that starts. It stands still otherwise while a handler
 * runs. Cost: none.
 */
TROUPE_API uint64_t troupe_now(const struct troupe_ctx *ctx);

/** Wall clock, nanoseconds since 1970; simulated in a simulation. Cost: one clock_gettime(2). */
TROUPE_API uint64_t troupe_wall_now(const struct troupe_ctx *ctx);

/** A pseudo-random number of the worker's seeded generator: for jitter, never for secrets. */
TROUPE_API uint64_t troupe_random(struct troupe_ctx *ctx);

/**
 * Allocates a message of `size` payload bytes (uninitialised).
 *
 * @param[in] type  below TROUPE_MSG_RESERVED
 * @param[in] size  at most TROUPE_MSG_PAYLOAD_MAX
 * @return the message, owned by the caller, who sends or frees it in this handler or a later one;
 *         NULL when the worker's byte budget is used up
 * Cost: O(1), no atomic read-modify-write; mmap(2) when the worker's slabs grow
 */
TROUPE_API struct troupe_msg *
troupe_msg_new(struct troupe_ctx *ctx, uint16_t type, uint32_t size) TROUPE_MUST_USE;

/**
 * Allocates a message that owns a buffer: payload of `size` bytes (at least a pointer), zeroed,
 * whose first member is set to `buf`.
 *
 * @param[in] type  below TROUPE_MSG_RESERVED
 * @param[in] size  sizeof(buf) .. TROUPE_MSG_PAYLOAD_MAX
 * @return as troupe_msg_new
 * Ownership: the buffer reference goes to the message on success and stays the caller's on NULL.
 * Cost: as troupe_msg_new
 */
TROUPE_API struct troupe_msg *troupe_msg_new_buf(struct troupe_ctx *ctx,
                                                 uint16_t type,
                                                 uint32_t size,
                                                 struct troupe_buf *buf) TROUPE_MUST_USE;

/**
 * Allocates a message that is worth nothing after a moment. When its turn comes at or after that
 * moment it is not handled but reported (TROUPE_DROP_EXPIRED); before, it is handled as any other.
 * The deadline goes on with the message when a handler takes it and sends it on. troupe_ask puts
 * such a deadline into every request by itself and its asker hears TROUPE_EEXPIRED.
 *
 * @param[in] type         below TROUPE_MSG_RESERVED
 * @param[in] size         at most TROUPE_MSG_PAYLOAD_MAX
 * @param[in] deadline_ns  absolute, on the clock of troupe_now; 0 = none
 * @return as troupe_msg_new; the message is 16 bytes larger
 * Cost: as troupe_msg_new; nothing is looked at before the message's turn, so an expired one holds
 * its place in the lane until then
 */
TROUPE_API struct troupe_msg *troupe_msg_new_deadline(struct troupe_ctx *ctx,
                                                      uint16_t type,
                                                      uint32_t size,
                                                      uint64_t deadline_ns) TROUPE_MUST_USE;

/**
 * Frees a message the caller owns, releasing its buffer. NULL is a no-op. When somebody waits for
 * an answer to it, his ask ends with TROUPE_ENOREPLY.
 *
 * @param[in] msg  not the borrowed one: that is freed by itself
 */
TROUPE_API void troupe_msg_free(struct troupe_ctx *ctx, struct troupe_msg *msg);

/**
 * Makes the handler's borrowed message the handler's own, to keep it beyond the turn. It must then
 * be sent or freed. Sending a borrowed message on needs no take: a send that succeeds is one.
 *
 * @param[in] msg  the message the handler was given, not taken or sent before; not a timer, nor one
 *                 of a connection or listener (those live inside other objects)
 * @return msg
 */
TROUPE_API struct troupe_msg *troupe_msg_take(struct troupe_ctx *ctx, struct troupe_msg *msg);

/**
 * Allocates a counted buffer with one reference; size is 0, content uninitialised.
 *
 * @param[in] capacity  bytes, at most TROUPE_BUF_MAX; above 64 KiB it comes from the system heap
 * @return the buffer, one reference of which is the caller's; NULL when over the byte budget or the
 *         maximum
 * Cost: as troupe_msg_new; above 64 KiB malloc(3) and one atomic operation
 */
TROUPE_API struct troupe_buf *troupe_buf_new(struct troupe_ctx *ctx,
                                             uint32_t capacity) TROUPE_MUST_USE;

/**
 * Sends a message on the data lane: one of one's own, or the borrowed one, which is then passed on
 * and no longer the handler's.
 *
 * To an actor on the same worker the answer is exact. To another worker: TROUPE_OK means that it
 * will be processed or reported to the dead-letter hook; a dead receiver is found out there.
 * The remote bound may be overshot by at most the window between two workers (4,096 messages).
 *
 * @param[in,out] msg  NULL after success, unchanged otherwise; not a timer, nor one of a connection
 *                     or listener
 * @return TROUPE_OK; TROUPE_EBUSY when the receiver's lane or the window is full; TROUPE_EDEAD when
 *         the receiver is on this worker and dead (or never existed), or its worker does not exist;
 *         TROUPE_ECLOSED when the receiver is on another worker and the pool is stopped, or it is
 *         on this one and drains; TROUPE_EINVAL for a request of another actor's ask, which cannot
 *         be passed on: answer it or ask in turn
 * After troupe_pool_stop a send to an actor of the same worker answers TROUPE_OK until that actor
 * has gone down with its worker; what is not handled any more is reported.
 * Order: first in, first out per sender and receiver within a lane
 * Cost: O(1); same worker: no atomic read-modify-write; another worker: one compare-and-swap and at
 * most one wake (a system call when the worker sleeps) for up to 28 messages
 */
TROUPE_API enum troupe_status
troupe_send(struct troupe_ctx *ctx, troupe_ref to, struct troupe_msg **msg) TROUPE_MUST_USE;

/**
 * Allocates a message, copies the payload and sends it: troupe_msg_new and troupe_send.
 *
 * @param[in] type     below TROUPE_MSG_RESERVED
 * @param[in] payload  `size` bytes, copied; optional when size is 0
 * @param[in] size     at most TROUPE_MSG_PAYLOAD_MAX
 * @return as troupe_send; TROUPE_ENOMEM when there is no memory. On an error nothing is left.
 * Cost: as both, and the copy
 */
TROUPE_API enum troupe_status troupe_send_copy(struct troupe_ctx *ctx,
                                               troupe_ref to,
                                               uint16_t type,
                                               const void *payload,
                                               uint32_t size) TROUPE_MUST_USE;

/** Most receivers of one troupe_send_many or troupe_send_each. */
#define TROUPE_SEND_MANY_MAX (1u << 20)

/**
 * Sends one buffer to many actors, on any workers: each gets a message of its own (type as given,
 * payload one pointer, TROUPE_MSG_OWNS_BUF; read it with troupe_msg_buf) with a reference to the
 * same bytes. Every receiver is tried, whatever became of those before.
 *
 * @param[in] to     receivers, `count` of them (at most TROUPE_SEND_MANY_MAX); one named twice gets
 * two
 * @param[in] buf    read-only from now on
 * @param[out] sent  how many messages were accepted; written unless TROUPE_EINVAL is returned
 * @return TROUPE_OK when all were accepted; otherwise what the first refused one answered (as
 *         troupe_send, or TROUPE_ENOMEM), the others may have been accepted; TROUPE_EINVAL and
 *         nothing done when count is too large
 * Ownership: the caller's reference to buf stays the caller's
 * Cost: O(count); at most two atomic operations on the buffer, one message of 64 bytes each. A
 * lane's byte bound counts the whole buffer for each receiver.
 */
TROUPE_API enum troupe_status troupe_send_many(struct troupe_ctx *ctx,
                                               const troupe_ref *to,
                                               uint32_t count,
                                               uint16_t type,
                                               struct troupe_buf *buf,
                                               uint32_t *sent) TROUPE_MUST_USE;

/**
 * As troupe_send_many, with an answer per receiver.
 *
 * @param[out] statuses  `count` entries, statuses[i] is what to[i] answered; untouched on
 *                       TROUPE_EINVAL
 * @return as troupe_send_many
 */
TROUPE_API enum troupe_status troupe_send_each(struct troupe_ctx *ctx,
                                               enum troupe_status *statuses,
                                               const troupe_ref *to,
                                               uint32_t count,
                                               uint16_t type,
                                               struct troupe_buf *buf) TROUPE_MUST_USE;

/**
 * Spawns an actor on this worker; its init runs before this returns.
 *
 * @param[out] ref  the new actor, written on success
 * @param[in] type  lives as long as the pool: a static constant
 * @param[in] arg   handed to init, borrowed for the call; optional
 * @return TROUPE_OK; TROUPE_ENOMEM at the slot or byte limit; TROUPE_ECLOSED when the pool goes
 *         down; what init returned, and then there is no such actor any more
 * Cost: O(state_size), and init's
 */
TROUPE_API enum troupe_status troupe_spawn(struct troupe_ctx *ctx,
                                           troupe_ref *ref,
                                           const struct troupe_actor_type *type,
                                           const void *arg) TROUPE_MUST_USE;

/**
 * Ends an actor, on any worker, also the running one. Each needs no memory and never fails; a
 * second verb is folded into the first, the harsher one wins. A dead ref is ignored. A child of a
 * supervisor may come back afterwards, see troupe/supervise.h.
 *
 * stop:  finish the current message; the rest of the mailbox goes to the dead-letter hook.
 * drain: refuse new data messages (a sender on the same worker is told TROUPE_ECLOSED, what comes
 *        from other workers is reported), handle the data that is queued and the answers that wait
 *        when the drain arrives, then stop. It does not wait for answers that are still to come:
 *        they are reported.
 * kill:  as stop, without terminate_cb.
 *
 * Cost: one compare-and-swap; to another worker as troupe_send
 */
TROUPE_API void troupe_stop(struct troupe_ctx *ctx, troupe_ref ref);
TROUPE_API void troupe_drain(struct troupe_ctx *ctx, troupe_ref ref);
TROUPE_API void troupe_kill(struct troupe_ctx *ctx, troupe_ref ref);

/**
 * Sends a last message: it waits its turn on the data lane; the receiver handles everything before
 * it, then the message itself, and stops (TROUPE_DOWN_NORMAL, or TROUPE_DOWN_FAILED when the
 * handler answers it with TROUPE_FAIL). What is queued behind goes to the dead-letter hook. A
 * message made with a deadline that has passed by then is reported instead of handled; the receiver
 * stops all the same.
 *
 * @param[in,out] msg  one of one's own or the borrowed one, as in troupe_send: NULL after success
 *                     and no longer the handler's; otherwise unchanged, and the borrowed one still
 *                     borrowed
 * @return as troupe_send, with the same bounds; TROUPE_ENOMEM when there is no memory for the 64
 *         bytes around it; TROUPE_EINVAL for a request of an ask or a message that carries another
 * Cost: as troupe_send, and one more small message
 */
TROUPE_API enum troupe_status
troupe_stop_after(struct troupe_ctx *ctx, troupe_ref ref, struct troupe_msg **msg) TROUPE_MUST_USE;

/**
 * True when the ref names a live actor on the caller's own worker: one that drains, and a child
 * that waits for its restart, included. Of other workers' actors it knows nothing: false.
 */
TROUPE_API bool troupe_is_alive_here(const struct troupe_ctx *ctx, troupe_ref ref);

/**
 * A timer. It lives inside the state of the actor that uses it (zeroed = never armed) and dies with
 * that actor. When it fires, the actor receives the embedded message (type as given, reply lane);
 * the handler finds the timer as `(struct troupe_timer *)msg`.
 */
struct troupe_timer {
    struct troupe_msg msg;             /**< first member: what the handler receives */
    struct troupe_timer *next;         /**< private: wheel slot */
    struct troupe_timer **pprev;       /**< private: NULL = not in the wheel */
    struct troupe_timer *owned_next;   /**< private: all armed timers of the actor */
    struct troupe_timer **owned_pprev; /**< private */
    uint64_t due_ns;                   /**< private */
    uint64_t period_ns;                /**< private: 0 = once */
    bool is_queued;                    /**< private: fired, waiting in the mailbox */
    uint8_t level;                     /**< private: wheel level + slot for bitmap upkeep */
    uint8_t slot;                      /**< private */
    uint32_t slack_ms;                 /**< private: how much later it may fire */
};

/**
 * Arms a timer of the running actor; an armed one is moved. Resolution 1 ms, never early.
 *
 * @param[in] timer      in the state of the running actor
 * @param[in] after_ns   from now: the clock is read for it
 * @param[in] period_ns  0 = once, otherwise repeated; a late tick is not made up for
 * @param[in] type       message type it fires with, below TROUPE_MSG_RESERVED
 * Cost: O(1), one look at the clock, no memory; as troupe_timer_cancel when it was armed
 */
TROUPE_API void troupe_timer_start(struct troupe_ctx *ctx,
                                   struct troupe_timer *timer,
                                   uint64_t after_ns,
                                   uint64_t period_ns,
                                   uint16_t type);

/**
 * As troupe_timer_start for one that need not be exact: it fires up to slack_ns later than it
 * could, never early, at a moment that others with slack choose as well. Many such timers then cost
 * few wakes of a sleeping worker. A periodic one keeps to its grid: each firing may be late by the
 * slack, lateness does not add up, so two firings can be closer together than the period.
 *
 * @param[in] slack_ns  0 = as troupe_timer_start; whole milliseconds count, at most 49 days
 * Cost: as troupe_timer_start
 */
TROUPE_API void troupe_timer_start_slack(struct troupe_ctx *ctx,
                                         struct troupe_timer *timer,
                                         uint64_t after_ns,
                                         uint64_t period_ns,
                                         uint64_t slack_ns,
                                         uint16_t type);

/**
 * Disarms; a fired message still queued is withdrawn, so it is never seen after this. One that is
 * not armed: nothing happens. Cost: O(1); when it has fired and waits, a walk over the actor's
 * replies that wait.
 */
TROUPE_API void troupe_timer_cancel(struct troupe_ctx *ctx, struct troupe_timer *timer);

/** True between start and firing (or cancel); for periodic ones until cancel. */
static inline bool troupe_timer_is_armed(const struct troupe_timer *timer)
{
    return timer->pprev != NULL;
}

#ifdef __cplusplus
}
#endif

#endif
