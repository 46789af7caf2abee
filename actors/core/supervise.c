/* The supervisor actor: what it does about the ends of its children. */

#include "actors/core/supervise.h"

#include <string.h>
#include <troupe/assert.h>

#define PERIOD_DEFAULT_NS 5000000000u
#define STABLE_DEFAULT_NS 60000000000u

TROUPE_STATIC_ASSERT(sizeof(struct trp_supervisor) <= TROUPE_ACTOR_STATE_MAX, "fits into an actor");

/* --- counting --- */

/* Notes one more restart; false when there were too many of them within the period. */
static bool admit_restart(struct trp_supervisor *sup, uint64_t now_ns)
{
    /* the ring holds at most intensity_max times: when it is full its oldest one decides */
    if (sup->restart_count == sup->intensity_max) {
        if (sup->intensity_max == 0 ||
            now_ns - sup->restart_ns[sup->restart_next] <= sup->period_ns) {
            return false;
        }
    } else {
        sup->restart_count++;
    }
    sup->restart_ns[sup->restart_next] = now_ns;
    sup->restart_next = (sup->restart_next + 1) % sup->intensity_max;
    return true;
}

/* How long the child waits this time. */
static uint64_t
next_wait(struct troupe_ctx *ctx, const struct trp_supervisor *sup, struct trp_child *child)
{
    uint64_t now_ns = troupe_now(ctx);
    if (child->started_ns != 0 && now_ns - child->started_ns >= sup->stable_ns) {
        child->failures = 0;
    }
    uint64_t wait_ns = sup->backoff_min_ns;
    for (uint32_t i = 0; i < child->failures && wait_ns < sup->backoff_max_ns; i++) {
        wait_ns = wait_ns > UINT64_MAX / 2 ? UINT64_MAX : wait_ns * 2;
    }
    if (wait_ns > sup->backoff_max_ns) {
        wait_ns = sup->backoff_max_ns;
    }
    if (child->failures < UINT32_MAX) {
        child->failures++;
    }
    uint64_t spread_ns = wait_ns / 100 * sup->jitter_percent;
    return spread_ns == 0 ? wait_ns : wait_ns - troupe_random(ctx) % (spread_ns + 1);
}

/* --- the next step --- */

/* Ends the youngest child; the supervisor's own end follows the last one. */
static enum troupe_verdict end_next(struct troupe_ctx *ctx, struct trp_supervisor *sup)
{
    while (sup->last != NULL) {
        struct trp_child *child = sup->last;
        if (child->order == NULL) {
            return TROUPE_CONTINUE; /* its notice brings us back */
        }
        if (child->ref != TROUPE_NOBODY) {
            trp_child_send_end(ctx, child);
            return TROUPE_CONTINUE;
        }
        trp_child_remove(ctx, sup, child); /* never started */
    }
    return sup->end_verdict;
}

/* Suspends the younger ones of a group, the youngest first; true when all are. */
static bool suspend_next(struct troupe_ctx *ctx, struct trp_supervisor *sup)
{
    struct trp_child *child = sup->last;
    for (; child != NULL && child->number >= sup->recover_from; child = child->previous) {
        if (child->order == NULL) {
            return false;
        }
        if (child->state == TROUPE_CHILD_RUNNING) {
            if (child->restart == TROUPE_TEMPORARY) {
                trp_child_send_end(ctx, child);
            } else {
                trp_child_send_suspend(ctx, child);
            }
            return false;
        }
    }
    return true;
}

/* Starts or restarts the next one of a group. */
static void restart_next(struct troupe_ctx *ctx, struct trp_supervisor *sup)
{
    for (struct trp_child *child = sup->first; child != NULL; child = child->next) {
        if (child->number < sup->recover_from) {
            continue;
        }
        if (child->order == NULL) {
            return;
        }
        if (child->state != TROUPE_CHILD_RUNNING) {
            trp_child_send_up(ctx, child);
            return;
        }
    }
    sup->is_recovering = false;
}

/* One-for-all and rest-for-one: one step of the recovery. */
static void recover(struct troupe_ctx *ctx, struct trp_supervisor *sup)
{
    if (!sup->is_restarting) {
        if (!suspend_next(ctx, sup)) {
            return;
        }
        uint64_t now_ns = troupe_now(ctx);
        if (now_ns < sup->due_ns) {
            troupe_timer_start(ctx, &sup->timer, sup->due_ns - now_ns, 0, TRP_SUPERVISOR_DUE);
            return;
        }
        sup->is_restarting = true;
    }
    restart_next(ctx, sup);
}

/* One-for-one: starts the next child of the spec after the one before. */
static void start_next(struct troupe_ctx *ctx, struct trp_supervisor *sup)
{
    while (sup->fresh != NULL && sup->fresh->order != NULL) {
        struct trp_child *child = sup->fresh;
        if (child->state == TROUPE_CHILD_STARTING && child->failures == 0) {
            trp_child_send_up(ctx, child);
            return;
        }
        sup->fresh = child->next; /* it runs, or it waits for another try */
    }
}

static enum troupe_verdict proceed(struct troupe_ctx *ctx, struct trp_supervisor *sup)
{
    if (sup->is_ending) {
        return end_next(ctx, sup);
    }
    if (sup->strategy == TROUPE_ONE_FOR_ONE) {
        start_next(ctx, sup);
    } else if (sup->is_recovering) {
        recover(ctx, sup);
    }
    return TROUPE_CONTINUE;
}

enum troupe_verdict
trp_supervisor_drop(struct troupe_ctx *ctx, struct trp_supervisor *sup, struct trp_child *child)
{
    trp_child_remove(ctx, sup, child);
    return proceed(ctx, sup);
}

enum troupe_verdict trp_supervisor_shut(struct troupe_ctx *ctx,
                                        struct trp_supervisor *sup,
                                        enum troupe_verdict end_verdict)
{
    if (!sup->is_ending) {
        sup->is_ending = true;
        sup->end_verdict = end_verdict;
        troupe_timer_cancel(ctx, &sup->timer);
    }
    return end_next(ctx, sup);
}

/* --- failures --- */

/* One-for-one: restarts a child whose wait is over as soon as it can get an order. */
static void restart_when_due(struct troupe_ctx *ctx, struct trp_child *child)
{
    if (child->is_due && child->order != NULL) {
        child->is_due = false;
        trp_child_send_up(ctx, child);
    }
}

/* A child ended, or could not be started, and is to be restarted. */
static enum troupe_verdict
failed(struct troupe_ctx *ctx, struct trp_supervisor *sup, struct trp_child *child)
{
    uint64_t now_ns = troupe_now(ctx);
    if (sup->is_ending) {
        return proceed(ctx, sup);
    }
    child->restarts++;
    if (!admit_restart(sup, now_ns)) {
        return trp_supervisor_shut(ctx, sup, TROUPE_FAIL);
    }
    uint64_t wait_ns = next_wait(ctx, sup, child);
    child->started_ns = 0;
    if (sup->strategy == TROUPE_ONE_FOR_ONE) {
        child->is_due = wait_ns == 0;
        if (wait_ns != 0) {
            troupe_timer_start(ctx, &child->timer, wait_ns, 0, TRP_SUPERVISOR_CHILD_DUE);
        }
        restart_when_due(ctx, child);
        return proceed(ctx, sup);
    }
    uint32_t from = sup->strategy == TROUPE_ONE_FOR_ALL ? 0 : child->number;
    uint64_t due_ns = wait_ns > UINT64_MAX - now_ns ? UINT64_MAX : now_ns + wait_ns;
    if (!sup->is_recovering || from < sup->recover_from) {
        sup->recover_from = from;
    }
    if (!sup->is_recovering || due_ns > sup->due_ns) {
        sup->due_ns = due_ns;
    }
    sup->is_recovering = true;
    sup->is_restarting = false;
    return proceed(ctx, sup);
}

/* --- notices --- */

static enum troupe_verdict
child_started(struct troupe_ctx *ctx, struct trp_supervisor *sup, struct trp_child *child)
{
    child->state = TROUPE_CHILD_RUNNING;
    child->started_ns = troupe_now(ctx);
    if (child->starter != NULL) {
        struct troupe_msg *starter = child->starter;
        struct troupe_child_status status;
        child->starter = NULL;
        trp_child_status(child, &status);
        if (trp_ask_answer(ctx->worker, starter, TRP_SUPERVISOR_START,
                           troupe_span(&status, sizeof(status))) != TROUPE_OK) {
            trp_ask_unanswered(ctx->worker, starter, TROUPE_ENOMEM);
        }
    }
    return proceed(ctx, sup);
}

static enum troupe_verdict child_not_started(struct troupe_ctx *ctx,
                                             struct trp_supervisor *sup,
                                             struct trp_child *child,
                                             enum troupe_status status)
{
    if (child->starter != NULL) {
        trp_ask_unanswered(ctx->worker, child->starter, status);
        child->starter = NULL;
        trp_child_remove(ctx, sup, child);
        return proceed(ctx, sup);
    }
    if (child->restart == TROUPE_TEMPORARY || child->is_end_wanted) {
        trp_child_remove(ctx, sup, child);
        return proceed(ctx, sup);
    }
    return failed(ctx, sup, child);
}

/* The notice goes home, before any order to restart. */
static void send_back(struct troupe_ctx *ctx, struct troupe_msg *msg)
{
    struct trp_child_note *note = trp_child_note_of(msg);
    note->order = TRP_CHILD_BACK;
    msg->type = TRP_MSG_CORE_CHILD_ORDER;
    trp_worker_post(ctx->worker, note->child, TROUPE_LANE_CONTROL, msg);
}

static enum troupe_verdict child_ended(struct troupe_ctx *ctx,
                                       struct trp_supervisor *sup,
                                       struct trp_child *child,
                                       struct troupe_msg *msg)
{
    send_back(ctx, msg);
    if (child->state == TROUPE_CHILD_ENDING) {
        return TROUPE_CONTINUE; /* the order to end it is on its way */
    }
    child->state = TROUPE_CHILD_SUSPENDED;
    return failed(ctx, sup, child);
}

/* The order came back: what had to wait for it. */
static void
order_back(struct troupe_ctx *ctx, const struct trp_supervisor *sup, struct trp_child *child)
{
    if (sup->is_ending) {
        return;
    }
    if (child->is_end_wanted && child->ref != TROUPE_NOBODY) {
        child->is_due = false;
        trp_child_send_end(ctx, child);
        return;
    }
    restart_when_due(ctx, child);
}

static enum troupe_verdict heard(struct troupe_ctx *ctx,
                                 struct trp_supervisor *sup,
                                 struct trp_child *child,
                                 struct troupe_msg *msg)
{
    const struct trp_child_note *note = trp_child_note_of(msg);
    switch (note->notice) {
    case TRP_CHILD_STARTED:
        child->order = msg;
        child->ref = note->child;
        child->state = TROUPE_CHILD_RUNNING;
        order_back(ctx, sup, child);
        if (child->state == TROUPE_CHILD_ENDING) {
            return proceed(ctx, sup);
        }
        return child_started(ctx, sup, child);
    case TRP_CHILD_NOT_STARTED:
        child->order = msg;
        return child_not_started(ctx, sup, child, note->status);
    case TRP_CHILD_SUSPENDED:
        child->order = msg;
        child->state = TROUPE_CHILD_SUSPENDED;
        order_back(ctx, sup, child);
        return proceed(ctx, sup);
    case TRP_CHILD_ENDED:
        return child_ended(ctx, sup, child, msg);
    case TRP_CHILD_GONE:
        break;
    }
    trp_msg_free(msg);
    trp_child_remove(ctx, sup, child);
    return proceed(ctx, sup);
}

enum troupe_verdict
trp_supervisor_notice(struct troupe_ctx *ctx, struct trp_cell *cell, struct troupe_msg *msg)
{
    struct trp_worker *worker = ctx->worker;
    struct trp_child_note *note = trp_child_note_of(msg);
    struct trp_relation *relation = trp_relation_find(worker, note->id, TRP_RELATION_CHILD);
    if (cell != NULL && relation != NULL && relation->owner == cell) {
        return heard(ctx, cell->state, relation->child.child, msg);
    }
    bool is_over = note->notice == TRP_CHILD_GONE || note->notice == TRP_CHILD_NOT_STARTED;
    if (cell != NULL && is_over) {
        trp_msg_free(msg);
        trp_ward_orphan_ended(worker, cell); /* a child of an earlier life */
        return TROUPE_CONTINUE;
    }
    if (note->notice == TRP_CHILD_STARTED) {
        /* the supervisor ended before it knew the ref */
        note->order = TRP_CHILD_ABANDON;
        msg->type = TRP_MSG_CORE_CHILD_ORDER;
        trp_worker_post(worker, note->child, TROUPE_LANE_CONTROL, msg);
        return TROUPE_CONTINUE;
    }
    trp_msg_free(msg);
    return TROUPE_CONTINUE;
}

/* --- the actor --- */

static enum troupe_status check_spec(const struct troupe_supervisor_spec *spec)
{
    bool is_good = spec != NULL && (unsigned)spec->strategy <= TROUPE_REST_FOR_ONE &&
                   spec->intensity_max <= TROUPE_INTENSITY_MAX && spec->jitter_percent <= 100 &&
                   (spec->backoff_max_ns == 0 || spec->backoff_max_ns >= spec->backoff_min_ns) &&
                   spec->child_count <= TROUPE_CHILDREN_MAX &&
                   (spec->child_count == 0 || spec->children != NULL);
    return is_good ? TROUPE_OK : TROUPE_EINVAL;
}

static enum troupe_status begin(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct trp_supervisor *sup = state;
    const struct troupe_supervisor_spec *spec = arg;
    enum troupe_status status = check_spec(spec);
    if (status != TROUPE_OK) {
        return status;
    }
    sup->strategy = spec->strategy;
    sup->intensity_max = spec->intensity_max;
    sup->period_ns = spec->period_ns != 0 ? spec->period_ns : PERIOD_DEFAULT_NS;
    sup->backoff_min_ns = spec->backoff_min_ns;
    sup->backoff_max_ns = spec->backoff_max_ns != 0 ? spec->backoff_max_ns : spec->backoff_min_ns;
    sup->jitter_percent = spec->jitter_percent;
    sup->stable_ns = spec->stable_ns != 0 ? spec->stable_ns : STABLE_DEFAULT_NS;
    for (uint32_t i = 0; i < spec->child_count && status == TROUPE_OK; i++) {
        struct trp_child *child;
        status = trp_child_check(ctx, &spec->children[i]);
        if (status == TROUPE_OK) {
            status = trp_child_add(ctx, sup, &child, &spec->children[i]);
        }
    }
    if (status != TROUPE_OK) {
        return status; /* what was added goes with the supervisor */
    }
    sup->fresh = sup->first;
    sup->is_recovering = sup->strategy != TROUPE_ONE_FOR_ONE;
    sup->is_restarting = true;
    (void)proceed(ctx, sup); /* it does not end here */
    return TROUPE_OK;
}

static void
child_timer_fired(struct troupe_ctx *ctx, const struct trp_supervisor *sup, struct trp_child *child)
{
    if (child->state == TROUPE_CHILD_ENDING) {
        troupe_kill(ctx, child->ref); /* it had its time */
    } else if (!sup->is_ending) {
        child->is_due = true;
        restart_when_due(ctx, child);
    }
}

static enum troupe_verdict receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct trp_supervisor *sup = state;
    bool is_own = (msg->flags & TROUPE_MSG_EMBEDDED) != 0;
    if (is_own && msg->type == TRP_SUPERVISOR_DUE) {
        return proceed(ctx, sup);
    }
    if (is_own && msg->type == TRP_SUPERVISOR_CHILD_DUE) {
        char *timer = (char *)msg;
        child_timer_fired(ctx, sup,
                          (struct trp_child *)(void *)(timer - offsetof(struct trp_child, timer)));
        return TROUPE_CONTINUE;
    }
    return is_own ? TROUPE_CONTINUE : trp_supervisor_asked(ctx, sup, msg);
}

const struct troupe_actor_type troupe_supervisor_type = {
    .name = "supervisor",
    .state_size = sizeof(struct trp_supervisor),
    .init_cb = begin,
    .receive_cb = receive,
};

enum troupe_status troupe_supervisor_spawn(struct troupe_ctx *ctx,
                                           troupe_ref *ref,
                                           const struct troupe_supervisor_spec *spec)
{
    return troupe_spawn(ctx, ref, &troupe_supervisor_type, spec);
}
