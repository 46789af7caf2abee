/* How an actor begins and ends: state, init, the last drops, the zombie that waits for the kernel,
 * and the pause of a supervised actor between two lives.
 */

#include "pool/life.h"

#include <stddef.h>
#include <string.h>
#include <troupe/assert.h>

/* The smallest node is a cache line, which is zeroed without a call. */
#define SMALL_STATE 64u

static void *make_state(struct trp_worker *worker, uint32_t bytes)
{
    if (bytes <= SMALL_STATE) {
        void *node = trp_heap_alloc_class(&worker->heap, trp_slab_small_classes[1]);
        return node != NULL ? memset(node, 0, SMALL_STATE) : NULL;
    }
    void *node = trp_heap_alloc(&worker->heap, bytes);
    return node != NULL ? memset(node, 0, bytes) : NULL;
}

/* Fresh state and init; whatever waits in the mailbox comes after. */
static enum troupe_status begin(struct trp_worker *worker, struct trp_cell *cell, const void *arg)
{
    const struct troupe_actor_type *type = cell->type;
    enum troupe_status status = TROUPE_OK;
    trp_cell_set_status(cell, TRP_CELL_ALIVE);
    if (type->state_size != 0) {
        cell->state = make_state(worker, type->state_size);
        status = cell->state != NULL ? TROUPE_OK : TROUPE_ENOMEM;
    }
    if (status == TROUPE_OK && type->init_cb != NULL) {
        struct trp_cell *spawner = worker->ctx.cell;
        struct troupe_msg *borrowed = worker->ctx.msg;
        worker->ctx.cell = cell;
        worker->ctx.msg = NULL;
        cell->is_scheduled = 1; /* what init sends to itself must not schedule it twice */
        status = type->init_cb(&worker->ctx, cell->state, arg);
        cell->is_scheduled = 0;
        worker->ctx.cell = spawner;
        worker->ctx.msg = borrowed;
    }
    if (status != TROUPE_OK) {
        trp_cell_end(worker, cell, TROUPE_DOWN_FAILED);
        return status;
    }
    /* who waited for room at an earlier life is told at the end of a turn */
    if (trp_cell_has_messages(cell) || (cell->gate & TRP_GATE_AWAITED) != 0) {
        trp_cell_schedule(worker, cell);
    }
    return TROUPE_OK;
}

enum troupe_status trp_cell_start(struct trp_worker *worker, struct trp_cell *cell, const void *arg)
{
    trp_count(&worker->stats.spawned, 1);
    trp_record(&worker->recorder, TRP_EVENT_SPAWN, trp_cell_ref(cell), 0, 0);
    trp_count(&worker->stats.alive, 1);
    return begin(worker, cell, arg);
}

enum troupe_status trp_cell_restart(struct trp_worker *worker, struct trp_cell *cell)
{
    TROUPE_ASSERT(trp_cell_is_settled(cell));
    struct trp_cell_keeper *keeper = cell->extra.child;
    uint32_t restarts = ++keeper->restarts;
    trp_record(&worker->recorder, TRP_EVENT_RESTART, trp_cell_ref(cell), 0,
               (uint16_t)(restarts < UINT16_MAX ? restarts : UINT16_MAX));
    return begin(worker, cell, keeper->arg);
}

/* --- suspension --- */

/* The state goes as soon as no operation points into it any more. */
static void settle(struct trp_worker *worker, struct trp_cell *cell)
{
    if (cell->ops != NULL) {
        return;
    }
    if (cell->state != NULL) {
        trp_heap_free(cell->state);
        cell->state = NULL;
    }
    const struct trp_cell_keeper *keeper = cell->extra.child;
    keeper->suspended_cb(worker, cell);
}

/* Verbs that were obeyed are over; one still on its way is for whoever receives its node. */
static void reopen_end(struct trp_cell *cell)
{
    uint64_t seen = trp_load_relaxed_u64(&cell->end_word);
    while ((seen & TRP_END_QUEUED) == 0 &&
           /* partner: trp_cells_request_end */
           !trp_cas_u64(&cell->end_word, &seen, seen & ~(uint64_t)TRP_END_VERB_MASK)) {
    }
}

/* Takes out what lies in the state that goes, or in the driver; everything else keeps its order. */
static void strip_reply_lane(struct trp_worker *worker, struct trp_cell *cell)
{
    struct trp_lane kept = {NULL};
    struct troupe_msg *msg;
    while ((msg = trp_lane_pop(&cell->reply)) != NULL) {
        bool is_embedded = (msg->flags & TROUPE_MSG_EMBEDDED) != 0;
        bool is_foreign_note = msg->type == TRP_MSG_NOTE && msg->from != trp_cell_ref(cell);
        if (!is_embedded || is_foreign_note) {
            trp_lane_push(&kept, msg);
        } else if (msg->type == TRP_MSG_OP) {
            ((struct trp_op *)msg)->is_queued = false;
        } else {
            trp_worker_drop(worker, msg, TROUPE_DROP_STOPPED); /* gives a received buffer back */
        }
    }
    cell->reply = kept;
}

static void suspend(struct trp_worker *worker, struct trp_cell *cell)
{
    troupe_ref ref = trp_cell_ref(cell);
    struct troupe_msg *msg;
    trp_record(&worker->recorder, TRP_EVENT_SUSPEND, ref, 0, 0);
    trp_cell_set_status(cell, TRP_CELL_SUSPENDED);
    reopen_end(cell);
    strip_reply_lane(worker, cell);
    trp_ops_cancel(worker, cell);
    cell->is_scheduled = 0;
    settle(worker, cell);
    /* control messages do not wait; one of them may end it for good */
    while (trp_cells_find(&worker->cells, ref) == cell && cell->status == TRP_CELL_SUSPENDED &&
           (msg = trp_lane_pop(&cell->control)) != NULL) {
        trp_cell_suspended_control(worker, cell, msg);
    }
}

void trp_cell_suspended_control(struct trp_worker *worker,
                                struct trp_cell *cell,
                                struct troupe_msg *msg)
{
    if (msg->type == TRP_MSG_STOP) {
        bool is_kill = trp_cell_take_end(cell) == TRP_END_KILL;
        enum troupe_down_reason reason = is_kill ? TROUPE_DOWN_KILLED : TROUPE_DOWN_NORMAL;
        reopen_end(cell);
        /* as for a running one: its policy may restart it after this end too */
        if (!trp_core()->ending(&worker->ctx, cell, reason)) {
            trp_cell_end(worker, cell, reason);
        }
        return;
    }
    trp_count(&worker->stats.processed, 1);
    (void)trp_core()->control(&worker->ctx, cell, msg);
}

/* --- the end --- */

/* Returns how many messages were reported. */
static uint32_t
drop_lane(struct trp_worker *worker, struct trp_lane *lane, enum troupe_drop_reason reason)
{
    struct troupe_msg *msg;
    uint32_t reported = 0;
    while ((msg = trp_lane_pop(lane)) != NULL) {
        if (msg->type == TRP_MSG_OP) {
            ((struct trp_op *)msg)->is_queued = false;
            continue;
        }
        if (msg->type == TRP_MSG_STOP) {
            (void)trp_cell_take_end(
                (struct trp_cell *)(void *)((char *)msg - offsetof(struct trp_cell, end_msg)));
            continue;
        }
        if (msg->type >= TRP_MSG_CORE && troupe_msg_lane(msg) == TROUPE_LANE_CONTROL) {
            trp_count(&worker->stats.processed, 1);
            (void)trp_core()->control(&worker->ctx, NULL, msg);
            continue;
        }
        bool is_missed = (msg->flags & TROUPE_MSG_EMBEDDED) == 0 && msg->type != TRP_MSG_ROOM;
        reported += is_missed ? 1 : 0;
        trp_worker_drop(worker, msg, reason);
    }
    return reported;
}

void trp_cell_free_zombie(struct trp_worker *worker, struct trp_cell *cell)
{
    if (cell->status == TRP_CELL_SUSPENDED) {
        settle(worker, cell);
        return;
    }
    if (cell->ops != NULL || cell->is_end_coming) {
        return;
    }
    if (cell->state != NULL) {
        trp_heap_free(cell->state);
    }
    trp_cells_give(&worker->cells, cell);
}

/* The actor's last words. */
static void
terminate(struct trp_worker *worker, struct trp_cell *cell, enum troupe_down_reason reason)
{
    /* without the state it asked for an actor never began */
    bool has_begun = cell->state != NULL || cell->type->state_size == 0;
    if (reason != TROUPE_DOWN_KILLED && cell->type->terminate_cb != NULL && has_begun) {
        cell->type->terminate_cb(&worker->ctx, cell->state, reason);
    }
    while (cell->timers != NULL) {
        troupe_timer_cancel(&worker->ctx, cell->timers);
    }
}

static void
end_for_good(struct trp_worker *worker, struct trp_cell *cell, enum troupe_down_reason reason)
{
    bool was_suspended = cell->status == TRP_CELL_SUSPENDED;
    /* most actors have none of these, and then nobody has to hear of it */
    if (cell->extra.watchers != NULL || cell->relations != 0 || cell->extra.child != NULL ||
        !trp_lane_is_empty(&cell->extra.waiters)) {
        trp_core()->ended(&worker->ctx, cell, reason);
    }
    /* From here on it is dead for everybody: an answer to its own ask that a drop below causes is
     * reported like any other. The flag keeps completions from freeing the cell under our feet. */
    trp_cell_set_status(cell, TRP_CELL_ZOMBIE);
    cell->is_end_coming = 1;
    enum troupe_drop_reason drop =
        reason == TROUPE_DOWN_SHUTDOWN ? TROUPE_DROP_SHUTDOWN : TROUPE_DROP_STOPPED;
    uint32_t reported = drop_lane(worker, &cell->control, drop);
    reported += drop_lane(worker, &cell->reply, drop);
    reported += drop_lane(worker, &cell->data, drop);
    trp_report_abandoned(worker, cell, reported);
    if ((cell->gate & TRP_GATE_FULL) != 0) {
        trp_cells_publish_full(&worker->cells, cell, false);
    }
    if (!was_suspended) { /* else they were cancelled then */
        trp_ops_cancel(worker, cell);
    }
    trp_count(&worker->stats.alive, (uint64_t)-1);
    cell->is_scheduled = 0;
    cell->is_end_coming = trp_cell_close_end(cell) ? 1 : 0;
    trp_cell_free_zombie(worker, cell);
}

/* Most actors end with nothing to settle: no last words, no timers, nobody who wants to know. */
static bool is_bare(const struct trp_cell *cell)
{
    return cell->type->terminate_cb == NULL && cell->timers == NULL && cell->ops == NULL &&
           !trp_cell_has_messages(cell) && cell->extra.watchers == NULL &&
           cell->extra.child == NULL && cell->relations == 0 &&
           (cell->gate & ~TRP_GATE_STATUS) == 0 && cell->status != TRP_CELL_SUSPENDED;
}

static void end_bare(struct trp_worker *worker, struct trp_cell *cell)
{
    trp_count(&worker->stats.alive, (uint64_t)-1);
    cell->is_scheduled = 0;
    if (__builtin_expect(trp_cell_close_end(cell), 0)) { /* somebody has just asked it to end */
        trp_cell_set_status(cell, TRP_CELL_ZOMBIE);
        cell->is_end_coming = 1;
        return;
    }
    if (cell->state != NULL) {
        trp_heap_free_to(&worker->heap, cell->state);
    }
    trp_cells_give(&worker->cells, cell);
}

void trp_cell_end(struct trp_worker *worker, struct trp_cell *cell, enum troupe_down_reason reason)
{
    trp_record(&worker->recorder, TRP_EVENT_END, trp_cell_ref(cell), 0, (uint16_t)reason);
    if (is_bare(cell)) {
        end_bare(worker, cell);
        return;
    }
    struct troupe_ctx saved = worker->ctx;
    worker->ctx.cell = cell;
    worker->ctx.msg = NULL;
    cell->is_scheduled = 1; /* nothing it receives from now on may schedule it */
    bool was_suspended = cell->status == TRP_CELL_SUSPENDED;
    if (!was_suspended) {
        terminate(worker, cell, reason);
    }
    if (!was_suspended && cell->extra.child != NULL &&
        trp_core()->ending(&worker->ctx, cell, reason)) {
        suspend(worker, cell);
    } else {
        end_for_good(worker, cell, reason);
    }
    worker->ctx = saved;
}
