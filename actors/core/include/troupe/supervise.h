#ifndef TROUPE_SUPERVISE_H
#define TROUPE_SUPERVISE_H

/**
 * Supervisors: ready-made actors that start other actors (their children, on any worker), restart
 * them when they end, and give up when that happens too often.
 *
 * A child "ends" when its handler or init returns a failure, when somebody stops, drains or kills
 * it, or when a link pulls it down. A crash of the process (a signal, an assertion) is not
 * something a supervisor can see.
 *
 * What a restart keeps: the ref, the name under which the supervisor lists it, the monitors set on
 * it, and its mailbox in order. While the child waits for its restart it takes messages up to its
 * usual bounds. What a restart does not keep: the state (init_cb runs anew, with a zeroed state and
 * the original argument), timers, operations, and the asks, monitors, links, registered names and
 * children that the old life had begun. terminate_cb runs before, except after a kill. The message
 * that failed is reported (TROUPE_DROP_FAILED, its asker gets TROUPE_ENOREPLY) and not tried again.
 * Monitors on a child fire when it ends for good, not before.
 *
 * A child that drains (somebody drained it, or its supervisor ends it with TROUPE_SHUTDOWN_DRAIN)
 * refuses new data as any draining actor: a sender on its worker gets TROUPE_ECLOSED, what other
 * workers send is reported (TROUPE_DROP_STOPPED). When such a drain is cut short, by a failure or a
 * kill, and the child restarted, it takes messages again. Then those accepted before the drain and
 * those accepted after it are handled in order, and those in between were reported.
 *
 * Answers to asks of the old life are reported (TROUPE_DROP_LATE). The result of a troupe_offload
 * is a message of the mailbox like any other: when the old life began it and ends first, the next
 * one gets it.
 *
 * troupe_stop, troupe_drain and troupe_kill by anybody else are ends like any other: a permanent
 * child is restarted after them, and while it waits for its restart they do nothing; a transient
 * one is ended for good by the first two, also while it waits. Only its supervisor ends a child for
 * good: troupe_supervise_stop (or _stop_named), its own end, or the end of the pool (which restarts
 * nobody).
 *
 * Threads: the calls are for handlers, with the handler's context, like all of troupe/actor.h.
 *
 * Ends, restarts and everything between a supervisor and a running child need no memory: their
 * messages are reserved when the child is started. Only the new state
 * takes memory; when there is none, the restart has failed like an init. Cost: O(1) messages per
 * restart; with one-for-all and rest-for-one each step of a recovery walks the list of children.
 *
 *     static const struct troupe_child_spec children[] = {
 *         {.name = "store", .type = &store_type},
 *         {.name = "cache", .type = &cache_type, .restart = TROUPE_TRANSIENT},
 *     };
 *     struct troupe_supervisor_spec spec = {.strategy = TROUPE_ONE_FOR_ONE,
 *                                           .intensity_max = 5,
 *                                           .period_ns = 10000000000ull,
 *                                           .children = children,
 *                                           .child_count = 2};
 *     status = troupe_supervisor_spawn(ctx, &supervisor, &spec);
 */

#include <troupe/relations.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Who else is restarted when a child has to be. Children have an order: that of their start. */
enum troupe_strategy {
    TROUPE_ONE_FOR_ONE = 0,  /**< nobody else */
    TROUPE_ONE_FOR_ALL = 1,  /**< all the others */
    TROUPE_REST_FOR_ONE = 2, /**< those that were started after it */
};

/** When a child is restarted by itself. Siblings that a strategy restarts are so in any case,
 *  except temporary ones, which are ended for good then. */
enum troupe_restart {
    TROUPE_PERMANENT = 0, /**< after any end, also a normal one */
    TROUPE_TRANSIENT = 1, /**< after TROUPE_DOWN_FAILED and TROUPE_DOWN_KILLED, unless it was being
                               drained; a normal end is its final one */
    TROUPE_TEMPORARY = 2, /**< never */
};

/** How the supervisor ends a child for good. */
enum troupe_shutdown {
    TROUPE_SHUTDOWN_STOP = 0,  /**< as troupe_stop */
    TROUPE_SHUTDOWN_DRAIN = 1, /**< as troupe_drain */
    TROUPE_SHUTDOWN_KILL = 2,  /**< as troupe_kill, at once */
};

/** Bytes of a child's argument, and of its name without the NUL. */
#define TROUPE_CHILD_ARG_MAX  512u
#define TROUPE_CHILD_NAME_MAX 31u

/** Most children of one supervisor, and the largest intensity_max. */
#define TROUPE_CHILDREN_MAX  65536u
#define TROUPE_INTENSITY_MAX 255u

/** For troupe_child_spec.worker: the supervisor's own, or one worker after the other. */
#define TROUPE_WORKER_HERE   UINT32_MAX
#define TROUPE_WORKER_SPREAD (UINT32_MAX - 1)

/** One child. Zeroed but for type = a permanent child on worker 0. */
struct troupe_child_spec {
    const char *name; /**< cstr for lists, at most TROUPE_CHILD_NAME_MAX bytes, copied; optional */
    const struct troupe_actor_type *type; /**< lives as long as the pool */
    const void *arg;                      /**< what init_cb gets, copied; optional */
    uint32_t arg_len; /**< bytes at arg, at most TROUPE_CHILD_ARG_MAX; 0 if and only if arg is
                           NULL: otherwise the spec is refused (TROUPE_EINVAL) */
    uint32_t worker;  /**< an index or TROUPE_WORKER_* */
    enum troupe_restart restart;
    enum troupe_shutdown shutdown;
    /** nanoseconds that STOP and DRAIN may take before the child is killed; 0 = 5 s, UINT64_MAX =
     *  for ever (what one wants for a child that is a supervisor) */
    uint64_t shutdown_ns;
};

/** A supervisor. Zeroed = one-for-one, the first end of a child is already one too many. */
struct troupe_supervisor_spec {
    enum troupe_strategy strategy;

    /**
     * More than this many restarts within period_ns (0 = 5 s): the supervisor ends all its children
     * in reverse order and then fails itself, which is its own supervisor's affair. At most
     * TROUPE_INTENSITY_MAX. The ends of all its children count together; that a strategy restarts
     * siblings too does not.
     */
    uint32_t intensity_max;
    uint64_t period_ns;

    /**
     * A child waits before its restart: backoff_min_ns the first time, then twice as long each
     * time, at most backoff_max_ns (0 = backoff_min_ns). jitter_percent (0 .. 100) of that is left
     * off at random, so that the wait is between (100 - jitter_percent) % and 100 %. A start that
     * succeeds changes nothing: only a child that ran for stable_ns (0 = 60 s) begins again with
     * backoff_min_ns. 0 = restarts at once. Resolution 1 ms.
     */
    uint64_t backoff_min_ns;
    uint64_t backoff_max_ns;
    uint32_t jitter_percent;
    uint64_t stable_ns;

    /** Started in this order, each after the init of the one before; borrowed for the spawn. */
    const struct troupe_child_spec *children;
    uint32_t child_count;
};

/**
 * The actor type of supervisors; its argument is a struct troupe_supervisor_spec. For
 * troupe_pool_spawn, and for supervisors under supervisors: such a child has this type and, as arg,
 * the bytes of its own spec. What that spec points at is read at every start of that supervisor and
 * must stay valid; the specs of a fixed tree are static constants.
 *
 * A supervisor that another one ends or restarts first ends its own children, in reverse order,
 * waiting for each. One that is killed, or stopped by somebody else, cannot; but its restart waits
 * until they all have ended: a handler among them that does not return holds it up.
 */
TROUPE_API extern const struct troupe_actor_type troupe_supervisor_type;

/**
 * Spawns a supervisor on this worker. Its children start one after the other, in the turns that
 * follow. One whose start fails (init, no memory) is started again like one that failed later: it
 * counts against the intensity and waits its backoff; a temporary one is left out. Until it has
 * started it has no ref: troupe_supervise_stop_named takes it out.
 *
 * A supervisor that is stopped or killed from outside asks its children to stop, in reverse order,
 * without waiting for them (only a restart of itself does).
 *
 * @param[out] ref  the supervisor
 * @return TROUPE_OK; TROUPE_EINVAL (a value out of range, no type, no such worker, arg without
 * arg_len or the other way round); TROUPE_ENOMEM; TROUPE_ECLOSED Cost: O(children); per child about
 * 1 KiB here and 0.5 KiB on the child's worker
 */
TROUPE_API enum troupe_status
troupe_supervisor_spawn(struct troupe_ctx *ctx,
                        troupe_ref *ref,
                        const struct troupe_supervisor_spec *spec) TROUPE_MUST_USE;

/** What a child does at the moment. */
enum troupe_child_state {
    TROUPE_CHILD_STARTING = 0,  /**< not yet started, or the first start is under way or failed */
    TROUPE_CHILD_RUNNING = 1,   /**< its init has succeeded */
    TROUPE_CHILD_SUSPENDED = 2, /**< waits for its restart */
    TROUPE_CHILD_ENDING = 3,    /**< was told to end for good */
};

/** One entry of a list, and the payload of the answer to troupe_supervise_start. */
struct troupe_child_status {
    troupe_ref ref; /**< TROUPE_NOBODY before the first start */
    enum troupe_child_state state;
    uint32_t restarts;                    /**< how often it ended and was to be restarted */
    char name[TROUPE_CHILD_NAME_MAX + 1]; /**< cstr */
};

/** Most entries in one answer to troupe_supervise_list. */
#define TROUPE_CHILD_LIST_MAX 20u

/** Payload of the answer to troupe_supervise_list. */
struct troupe_child_list {
    uint32_t total;                                            /**< children of the supervisor */
    uint32_t first;                                            /**< as asked for */
    uint32_t count;                                            /**< entries that follow */
    struct troupe_child_status entries[TROUPE_CHILD_LIST_MAX]; /**< in start order */
};

/**
 * Adds a child to a running supervisor, behind the others. The answer comes when it has started:
 * TROUPE_OK with a struct troupe_child_status, or the status of its init (TROUPE_ENOMEM,
 * TROUPE_ECLOSED, ...), and then there is no such child: only a child that has started once is
 * restarted.
 *
 * These four are asks: `answer_cb` as in troupe_ask, with its statuses; a supervisor that is
 * ending its children answers TROUPE_ECLOSED, except to a list.
 *
 * @param[in] sup         any worker's; sent to anything but a supervisor it is that actor's to
 *                        ignore (message types 0xEF81 .. 0xEF86)
 * @param[in] spec        copied
 * @param[in] timeout_ns  as in troupe_ask
 * @return as troupe_ask; TROUPE_EINVAL as troupe_supervisor_spawn
 */
TROUPE_API enum troupe_status troupe_supervise_start(struct troupe_ctx *ctx,
                                                     troupe_ref sup,
                                                     const struct troupe_child_spec *spec,
                                                     uint64_t timeout_ns,
                                                     troupe_answer_cb answer_cb,
                                                     uint64_t cookie) TROUPE_MUST_USE;

/**
 * Ends a child for good, in the way its spec says. The answer (no payload) comes when it is gone:
 * TROUPE_OK, or TROUPE_ENOTFOUND when there is no such child, TROUPE_EBUSY when somebody waits for
 * its end already. When the timeout passes first the child ends all the same, and whoever asks then
 * waits for that.
 *
 * @param[in] child  its ref; TROUPE_NOBODY is no child, see troupe_supervise_stop_named
 * @return as troupe_ask: TROUPE_OK says that answer_cb will run, not that the child is gone
 * Cost: as troupe_ask; the supervisor looks through its children
 */
TROUPE_API enum troupe_status troupe_supervise_stop(struct troupe_ctx *ctx,
                                                    troupe_ref sup,
                                                    troupe_ref child,
                                                    uint64_t timeout_ns,
                                                    troupe_answer_cb answer_cb,
                                                    uint64_t cookie) TROUPE_MUST_USE;

/**
 * As troupe_supervise_stop, for the first child, in start order, that has this name in its spec.
 * Also takes out one that has no ref because no start of it has succeeded; a start that is under
 * way is waited for.
 *
 * @param[in] name  1 .. TROUPE_CHILD_NAME_MAX bytes
 * @return as troupe_ask; TROUPE_EINVAL (length)
 * Cost: as troupe_supervise_stop
 */
TROUPE_API enum troupe_status troupe_supervise_stop_named(struct troupe_ctx *ctx,
                                                          troupe_ref sup,
                                                          struct troupe_span name,
                                                          uint64_t timeout_ns,
                                                          troupe_answer_cb answer_cb,
                                                          uint64_t cookie) TROUPE_MUST_USE;

/**
 * Lists the children, TROUPE_CHILD_LIST_MAX at a time: struct troupe_child_list.
 *
 * The answer is TROUPE_ENOMEM when there is no memory for the list.
 *
 * @param[in] first  how many to leave out at the beginning
 * @return as troupe_ask
 * Cost: as troupe_ask; the supervisor looks through its children
 */
TROUPE_API enum troupe_status troupe_supervise_list(struct troupe_ctx *ctx,
                                                    troupe_ref sup,
                                                    uint32_t first,
                                                    uint64_t timeout_ns,
                                                    troupe_answer_cb answer_cb,
                                                    uint64_t cookie) TROUPE_MUST_USE;

#ifdef __cplusplus
}
#endif

#endif
