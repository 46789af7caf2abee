#ifndef TROUPE_RELATIONS_H
#define TROUPE_RELATIONS_H

/**
 * Relations between actors: asking with a deadline, watching for the end of another, sharing its
 * fate, finding another by name.
 *
 * Threads: everything here is called from a handler with that handler's context, like everything in
 * troupe/actor.h, and acts for the running actor. Cost: unless a call says otherwise O(1), no
 * system call, no lock, no system heap. Asks, monitors, links, names and waits for room end with
 * the actor that they belong to.
 */

#include <troupe/actor.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- ask --- */

/** How an ask ended. */
struct troupe_answer {
    /**
     * TROUPE_OK: the receiver replied. TROUPE_EDEAD: it was dead or died first. TROUPE_ENOREPLY: it
     * dropped the request. TROUPE_EEXPIRED: the deadline passed. A full lane is not among them: it
     * refuses the ask itself. Asks with a function of their own (troupe_spawn_on, those of
     * troupe/supervise.h) have further ones, which it lists.
     */
    enum troupe_status status;
    struct troupe_msg *msg; /**< the reply, borrowed for the call; NULL unless TROUPE_OK */
};

/** Continues after an ask; runs once, in a turn of the asker. `state` is the asker's. */
typedef enum troupe_verdict (*troupe_answer_cb)(struct troupe_ctx *ctx,
                                                void *state,
                                                const struct troupe_answer *answer,
                                                uint64_t cookie);

/**
 * Sends a request and continues in `answer_cb` exactly once, unless the asker ends first.
 *
 * The reply's place is reserved here, so it can never be refused; the request's node travels back
 * as the reply. The deadline is mandatory and also travels with the request: an expired request is
 * dropped at dequeue. A late reply is counted (TROUPE_DROP_LATE) and dropped.
 *
 * @param[in] payload     copied; optional when size is 0; at most TROUPE_MSG_PAYLOAD_MAX bytes
 * @param[in] timeout_ns  1 ms .. 24 h; what is less or more is taken for the nearer one of these
 * @param[in] cookie      handed to answer_cb
 * @return TROUPE_OK: answer_cb will run; TROUPE_ENOMEM; TROUPE_ECLOSED (the pool stops);
 *         TROUPE_EDEAD, TROUPE_EBUSY, and TROUPE_ECLOSED for one of this worker that drains, as
 *         troupe_send. On an error answer_cb does not run.
 * Cost: O(1); one message, one slot in a per-worker table, one timer, one look at the clock
 */
TROUPE_API enum troupe_status troupe_ask(struct troupe_ctx *ctx,
                                         troupe_ref to,
                                         uint16_t type,
                                         struct troupe_span payload,
                                         uint64_t timeout_ns,
                                         troupe_answer_cb answer_cb,
                                         uint64_t cookie) TROUPE_MUST_USE;

/** True when somebody waits for an answer to this message, which is the caller's or borrowed. */
static inline bool troupe_wants_reply(const struct troupe_msg *msg)
{
    return (msg->flags & TROUPE_MSG_ASK) != 0;
}

/**
 * Answers an ask. The handler's borrowed message (or one it took) becomes the reply.
 *
 * @param[in] msg      a request, see troupe_wants_reply
 * @param[in] type     of the answer, below TROUPE_MSG_RESERVED
 * @param[in] payload  copied; at most TROUPE_MSG_PAYLOAD_MAX. What fits into the request's own node
 *                     needs no memory.
 * @return TROUPE_OK; TROUPE_EINVAL when nobody waits; TROUPE_ENOMEM when a larger node was needed
 *         and there is none (the asker then gets TROUPE_ENOREPLY when the message is freed)
 * Ownership: on success the message is gone; otherwise it is as before
 */
TROUPE_API enum troupe_status troupe_reply(struct troupe_ctx *ctx,
                                           struct troupe_msg *msg,
                                           uint16_t type,
                                           struct troupe_span payload) TROUPE_MUST_USE;

/* --- monitor --- */

/** What a monitor delivers, exactly once. */
struct troupe_down {
    troupe_ref ref; /**< who is gone */
    enum troupe_down_reason reason;
    uint64_t cookie; /**< as given to troupe_monitor */
};

/** Identifies one monitor, 0 = none. Monitors of the same actor stack. */
typedef uint64_t troupe_monitor_id;

/**
 * Watches an actor on any worker. When it ends for good (a restart by its supervisor is not seen,
 * troupe/supervise.h), or at once (reason TROUPE_DOWN_UNKNOWN) when it is
 * dead already, the watcher receives a message of `type` on the control lane whose payload is
 * struct troupe_down. A monitor dies with its watcher.
 *
 * @param[out] id  optional
 * @return TROUPE_OK; TROUPE_ENOMEM; TROUPE_ECLOSED (the pool stops)
 * Cost: O(1), also for the watched actor when a watcher ends; two nodes (one is request, record and
 *       then the notice, one takes the monitor away) and one slot, all reserved here
 */
TROUPE_API enum troupe_status troupe_monitor(struct troupe_ctx *ctx,
                                             troupe_ref ref,
                                             uint16_t type,
                                             uint64_t cookie,
                                             troupe_monitor_id *id) TROUPE_MUST_USE;

/**
 * Takes a monitor of the running actor away; its notice is never seen after this. The id of another
 * actor's, of one that has delivered its notice, or 0, is ignored. Needs no memory.
 */
TROUPE_API void troupe_demonitor(struct troupe_ctx *ctx, troupe_monitor_id id);

/* --- link --- */

/**
 * Ties the running actor and another one together, in both directions: when one of them ends
 * abnormally (TROUPE_DOWN_FAILED, TROUPE_DOWN_KILLED), the other one ends too, with
 * TROUPE_DOWN_FAILED, unless it traps exits. A normal end (also TROUPE_DOWN_SHUTDOWN) only takes
 * the link away.
 *
 * Linking to a dead actor is felt at once as an abnormal exit with reason TROUPE_DOWN_UNKNOWN.
 * There is at most one link between two actors, whoever asked for it; asking again, or for a link
 * with oneself, does nothing. Links belong to one life of an actor: a supervised actor that fails
 * tells its links before it is restarted (its monitors hear only of its final end), and its next
 * life begins without any: a link with an actor that waits for its restart is answered with an exit
 * at once, whose reason is that of the end of its last life.
 *
 * An actor of the same worker is linked when this returns: whatever ends it afterwards, be it a
 * message that was sent before, is the reason that is felt here.
 *
 * On another worker TROUPE_OK says that the request is on its way, or that there is a link already
 * as far as this side knows. When the other side asked for a link of its own at the same moment and
 * took it away again (troupe_unlink) before this request reached it, the two may cancel each other:
 * TROUPE_OK here, and no link is left.
 *
 * @param[in] ref  any worker's
 * @return TROUPE_OK; TROUPE_ENOMEM; TROUPE_ECLOSED (the pool stops)
 * Cost: O(1), at its end as well; two nodes and one slot, reserved here, so that an exit needs no
 *       memory. The first link in a pool makes a table of 192 KiB per worker, used as far as needed
 */
TROUPE_API enum troupe_status troupe_link(struct troupe_ctx *ctx, troupe_ref ref) TROUPE_MUST_USE;

/**
 * Takes the link with another actor away, whoever asked for it. An exit of that actor which is
 * under way is never felt after this. Without a link it does nothing.
 *
 * Cost: O(1); no memory
 */
TROUPE_API void troupe_unlink(struct troupe_ctx *ctx, troupe_ref ref);

/** For troupe_trap_exits: do not trap any more. */
#define TROUPE_TRAP_NONE TROUPE_MSG_RESERVED

/**
 * From now on the running actor survives the exits of its links: each one, normal or not, arrives
 * as a message of `type` on the control lane whose payload is struct troupe_down (cookie 0).
 *
 * Called again it changes the type.
 *
 * @param[in] type  below TROUPE_MSG_RESERVED; TROUPE_TRAP_NONE ends the trapping
 * @return TROUPE_OK; TROUPE_ENOMEM, never for TROUPE_TRAP_NONE
 */
TROUPE_API enum troupe_status troupe_trap_exits(struct troupe_ctx *ctx,
                                                uint16_t type) TROUPE_MUST_USE;

/**
 * Spawns on this worker and links, without a moment in between: as troupe_spawn, then troupe_link.
 * A child whose init already asked for its own end (troupe_stop, troupe_kill) ends linked, with the
 * reason that this has. On an error there is neither actor nor link.
 *
 * @return as troupe_spawn; TROUPE_ENOMEM also when the link cannot be made
 * Cost: as both
 */
TROUPE_API enum troupe_status troupe_spawn_link(struct troupe_ctx *ctx,
                                                troupe_ref *ref,
                                                const struct troupe_actor_type *type,
                                                const void *arg) TROUPE_MUST_USE;

/* --- room --- */

/** What a wait for room delivers, exactly once. */
struct troupe_room {
    troupe_ref ref; /**< whose room it is */
    /**
     * TROUPE_OK: at least half of its data lane was free; TROUPE_EDEAD: it is dead or never was;
     * TROUPE_ECLOSED: it drains and takes nothing more.
     */
    enum troupe_status status;
};

/**
 * For a sender whose send was refused (TROUPE_EBUSY): asks to be told when the receiver's data lane
 * has room again. The running actor then receives one message of `type` on the reply lane whose
 * payload is struct troupe_room; it sends on from there and, refused again, waits again.
 *
 * Who waits is told in the order of asking, once the lane is filled to at most half of each of its
 * bounds; when it is so already, at once. Not all are told together: at first one, then twice as
 * many each time those told left half of it free, at most one per 64 free messages (and 4 KiB),
 * but always one. The next one has its turn when one that was told has handled its notice, whether
 * it sent or not, so nobody is forgotten and a room for one does not wake a thousand. The notice
 * is a hint: others may have filled the lane meanwhile, who did not wait among them.
 *
 * A send that the window between two workers refused waits the same way: the question arrives
 * behind what was under way.
 *
 * A wait ends with the life of the actor that waits. It outlasts a restart of the receiver by its
 * supervisor. Waiting twice means two notices. Drained, a receiver answers TROUPE_ECLOSED at the
 * end of its next turn, TROUPE_EDEAD when it ended first.
 *
 * @param[in] ref   any worker's, also the running actor's own
 * @param[in] type  of the notice, below TROUPE_MSG_RESERVED
 * @return TROUPE_OK: the notice will come; TROUPE_ENOMEM; TROUPE_ECLOSED (the pool stops)
 * Cost: O(1); two nodes and one slot, reserved here: telling and ending need no memory. An actor
 *       that ends while it waits walks the waiters before it at that receiver.
 */
TROUPE_API enum troupe_status
troupe_await_room(struct troupe_ctx *ctx, troupe_ref ref, uint16_t type) TROUPE_MUST_USE;

/* --- registry --- */

/** Bytes of a name at most. */
#define TROUPE_NAME_MAX 63u

/** Most names in a pool at the same time. */
#define TROUPE_NAMES_MAX 65536u

/**
 * Gives the running actor a name, unique in its pool, until it ends or takes it back. Then the name
 * is free for anybody, and so is its place: there is no bound on names used one after the other.
 *
 * @param[in] name  1 .. TROUPE_NAME_MAX bytes without NUL
 * @return TROUPE_OK; TROUPE_EEXIST; TROUPE_EINVAL (length); TROUPE_ENOMEM (no memory, or
 *         TROUPE_NAMES_MAX names are in use)
 * Cost: O(1); takes a lock shared with other registrations only, never with lookups. About 144
 *       bytes per name, for as many as were in use at once; they go with the pool
 */
TROUPE_API enum troupe_status troupe_register(struct troupe_ctx *ctx,
                                              struct troupe_span name) TROUPE_MUST_USE;
/**
 * Takes a name back. One that the running actor does not bear is ignored.
 *
 * Cost: walks the actor's own relations; the lock of troupe_register
 */
TROUPE_API void troupe_unregister(struct troupe_ctx *ctx, struct troupe_span name);

/**
 * Finds an actor by name; TROUPE_NOBODY when there is none. It waits for nobody.
 *
 * Cost: O(1), lock-free: it looks again only when names changed in the middle of it
 */
TROUPE_API troupe_ref troupe_whereis(struct troupe_ctx *ctx, struct troupe_span name);

/**
 * Spawns on any worker, also this one. The actor starts there later; `answer_cb` gets a reply
 * whose payload is the troupe_ref. Otherwise its status is that of the spawn there: what init
 * returned as an error, TROUPE_ENOMEM, TROUPE_ECLOSED.
 *
 * @param[in] worker  below troupe_worker_count
 * @param[in] type    lives as long as the pool: a static constant
 * @param[in] arg     at most 512 bytes, copied; init gets a pointer to the copy, valid for that
 *                    call and aligned to 16 bytes, NULL when it is empty
 * @param[in] cookie  handed to answer_cb
 * @return TROUPE_OK: answer_cb will run; TROUPE_EINVAL (no such worker); TROUPE_ENOMEM;
 *         TROUPE_ECLOSED (the pool stops). On an error answer_cb does not run.
 * Cost: as troupe_ask, and there as troupe_spawn
 */
TROUPE_API enum troupe_status troupe_spawn_on(struct troupe_ctx *ctx,
                                              uint32_t worker,
                                              const struct troupe_actor_type *type,
                                              struct troupe_span arg,
                                              troupe_answer_cb answer_cb,
                                              uint64_t cookie) TROUPE_MUST_USE;

#ifdef __cplusplus
}
#endif

#endif
