/* One child, as its supervisor sees it: making it, giving it orders, taking it out. */

#include "actors/core/supervise.h"

#include <string.h>
#include <troupe/assert.h>

#define SHUTDOWN_DEFAULT_NS 5000000000u

TROUPE_STATIC_ASSERT(sizeof(struct trp_child_start) + TROUPE_CHILD_ARG_MAX <=
                         TROUPE_MSG_PAYLOAD_MAX,
                     "the request to start carries the argument");

enum troupe_status trp_child_check(const struct troupe_ctx *ctx,
                                   const struct troupe_child_spec *spec)
{
    bool is_placed = spec->worker == TROUPE_WORKER_HERE || spec->worker == TROUPE_WORKER_SPREAD ||
                     spec->worker < troupe_worker_count(ctx);
    bool is_good = spec->type != NULL && is_placed && spec->arg_len <= TROUPE_CHILD_ARG_MAX &&
                   (spec->arg_len == 0) == (spec->arg == NULL) &&
                   (unsigned)spec->restart <= TROUPE_TEMPORARY &&
                   (unsigned)spec->shutdown <= TROUPE_SHUTDOWN_KILL &&
                   (spec->name == NULL ||
                    strnlen(spec->name, TROUPE_CHILD_NAME_MAX + 1) <= TROUPE_CHILD_NAME_MAX);
    return is_good ? TROUPE_OK : TROUPE_EINVAL;
}

/* --- making --- */

static struct troupe_msg *make_order(struct troupe_ctx *ctx,
                                     const struct trp_child *child,
                                     const struct troupe_child_spec *spec)
{
    uint32_t size = (uint32_t)sizeof(struct trp_child_start) + spec->arg_len;
    struct troupe_msg *msg =
        trp_msg_alloc(&ctx->worker->heap, TRP_MSG_CORE_CHILD_START, size, false);
    if (msg == NULL) {
        return NULL;
    }
    struct trp_child_start *start = troupe_msg_data(msg);
    memset(start, 0, sizeof(*start));
    start->note.id = trp_relation_id(child->relation);
    start->note.supervisor = trp_cell_ref(ctx->cell);
    start->type = spec->type;
    start->restart = spec->restart;
    start->arg_len = spec->arg_len;
    if (spec->arg_len != 0) {
        memcpy(start->arg, spec->arg, spec->arg_len);
    }
    return msg;
}

/* The half of a child that is only memory. */
static void free_child(struct trp_child *child)
{
    if (child->order != NULL) {
        trp_msg_free(child->order);
    }
    if (child->last != NULL) {
        trp_msg_free(child->last);
    }
    trp_heap_free(child);
}

static void fill(struct troupe_ctx *ctx,
                 const struct trp_supervisor *sup,
                 struct trp_child *child,
                 const struct troupe_child_spec *spec)
{
    child->number = sup->next_number;
    child->restart = spec->restart;
    child->shutdown = spec->shutdown;
    child->shutdown_ns = spec->shutdown_ns != 0 ? spec->shutdown_ns : SHUTDOWN_DEFAULT_NS;
    child->worker = spec->worker == TROUPE_WORKER_HERE ? troupe_self_worker(ctx)
                    : spec->worker == TROUPE_WORKER_SPREAD
                        ? (troupe_self_worker(ctx) + child->number) % troupe_worker_count(ctx)
                        : spec->worker;
    if (spec->name != NULL) {
        memcpy(child->name, spec->name, strnlen(spec->name, TROUPE_CHILD_NAME_MAX));
    }
}

enum troupe_status trp_child_add(struct troupe_ctx *ctx,
                                 struct trp_supervisor *sup,
                                 struct trp_child **out,
                                 const struct troupe_child_spec *spec)
{
    struct trp_worker *worker = ctx->worker;
    if (sup->child_count == TROUPE_CHILDREN_MAX || sup->next_number == UINT32_MAX) {
        return TROUPE_EBUSY;
    }
    struct trp_child *child = trp_heap_alloc(&worker->heap, sizeof(*child));
    if (child == NULL) {
        return TROUPE_ENOMEM;
    }
    memset(child, 0, sizeof(*child));
    child->relation = trp_relation_new(worker, ctx->cell, TRP_RELATION_CHILD);
    if (child->relation == NULL) {
        free_child(child);
        return TROUPE_ENOMEM;
    }
    child->order = make_order(ctx, child, spec);
    child->last = trp_msg_alloc(&worker->heap, TRP_MSG_CORE_CHILD_ORDER,
                                sizeof(struct trp_child_note), false);
    if (child->order == NULL || child->last == NULL) {
        trp_relation_free(worker, child->relation);
        free_child(child);
        return TROUPE_ENOMEM;
    }
    fill(ctx, sup, child, spec);
    child->relation->child.child = child;
    child->previous = sup->last;
    if (sup->last != NULL) {
        sup->last->next = child;
    } else {
        sup->first = child;
    }
    sup->last = child;
    sup->child_count++;
    sup->next_number++;
    *out = child;
    return TROUPE_OK;
}

/* --- taking out --- */

/* Whoever asked for the child's start or end gets its answer. */
static void answer_askers(struct trp_worker *worker,
                          struct trp_child *child,
                          enum troupe_status start_status,
                          bool is_stop_done)
{
    if (child->starter != NULL) {
        trp_ask_unanswered(worker, child->starter, start_status);
        child->starter = NULL;
    }
    if (child->stopper != NULL && is_stop_done) {
        /* fits into the request's node: cannot fail */
        enum troupe_status status = trp_ask_answer(worker, child->stopper, 0, troupe_span(NULL, 0));
        TROUPE_ASSERT(status == TROUPE_OK);
    } else if (child->stopper != NULL) {
        trp_ask_unanswered(worker, child->stopper, TROUPE_EDEAD);
    }
    child->stopper = NULL;
}

void trp_child_remove(struct troupe_ctx *ctx, struct trp_supervisor *sup, struct trp_child *child)
{
    troupe_timer_cancel(ctx, &child->timer);
    answer_askers(ctx->worker, child, TROUPE_ECLOSED, true);
    if (child->previous != NULL) {
        child->previous->next = child->next;
    } else {
        sup->first = child->next;
    }
    if (child->next != NULL) {
        child->next->previous = child->previous;
    } else {
        sup->last = child->previous;
    }
    if (sup->fresh == child) {
        sup->fresh = child->next;
    }
    sup->child_count--;
    trp_relation_free(ctx->worker, child->relation);
    free_child(child);
}

void trp_child_abandon(struct trp_worker *worker, struct trp_relation *relation)
{
    struct trp_child *child = relation->child.child;
    struct troupe_msg *last = child->last;
    troupe_ref ref = child->ref;
    answer_askers(worker, child, TROUPE_EDEAD, false);
    if (ref != TROUPE_NOBODY || child->order == NULL) {
        trp_ward_add_orphan(relation->owner); /* it runs, or is just starting */
    }
    trp_relation_free(worker, relation);
    if (ref != TROUPE_NOBODY) {
        struct trp_child_note *note = trp_child_note_of(last);
        memset(note, 0, sizeof(*note));
        note->order = TRP_CHILD_ABANDON;
        child->last = NULL;
    }
    free_child(child); /* one that is just starting is found out when its notice comes */
    if (ref != TROUPE_NOBODY) {
        trp_worker_post(worker, ref, TROUPE_LANE_CONTROL, last);
    }
}

/* --- orders --- */

static void send_order(struct troupe_ctx *ctx,
                       struct trp_child *child,
                       uint16_t type,
                       troupe_ref to,
                       enum trp_child_order order)
{
    struct troupe_msg *msg = child->order;
    TROUPE_ASSERT(msg != NULL);
    struct trp_child_note *note = trp_child_note_of(msg);
    note->order = order;
    note->child = child->ref;
    note->shutdown = child->shutdown;
    msg->type = type;
    child->order = NULL;
    trp_worker_post(ctx->worker, to, TROUPE_LANE_CONTROL, msg);
}

void trp_child_send_up(struct troupe_ctx *ctx, struct trp_child *child)
{
    if (child->ref != TROUPE_NOBODY) {
        send_order(ctx, child, TRP_MSG_CORE_CHILD_ORDER, child->ref, TRP_CHILD_RESTART);
        return;
    }
    /* Slot 0 is nobody's: the message reaches core itself on that worker. Here it takes a turn of
     * the supervisor, so that a tree of supervisors does not start from one init within another. */
    bool is_here = child->worker == troupe_self_worker(ctx);
    troupe_ref to = is_here ? troupe_self(ctx) : trp_ref_make(child->worker, 0, 0);
    send_order(ctx, child, TRP_MSG_CORE_CHILD_START, to, TRP_CHILD_RESTART);
}

void trp_child_send_suspend(struct troupe_ctx *ctx, struct trp_child *child)
{
    send_order(ctx, child, TRP_MSG_CORE_CHILD_ORDER, child->ref, TRP_CHILD_SUSPEND);
}

void trp_child_send_end(struct troupe_ctx *ctx, struct trp_child *child)
{
    child->state = TROUPE_CHILD_ENDING;
    child->is_end_wanted = false;
    troupe_timer_cancel(ctx, &child->timer);
    if (child->shutdown != TROUPE_SHUTDOWN_KILL && child->shutdown_ns != UINT64_MAX) {
        troupe_timer_start(ctx, &child->timer, child->shutdown_ns, 0, TRP_SUPERVISOR_CHILD_DUE);
    }
    send_order(ctx, child, TRP_MSG_CORE_CHILD_ORDER, child->ref, TRP_CHILD_END);
}

void trp_child_status(const struct trp_child *child, struct troupe_child_status *status)
{
    status->ref = child->ref;
    status->state = child->state;
    status->restarts = child->restarts;
    memcpy(status->name, child->name, sizeof(status->name));
}
