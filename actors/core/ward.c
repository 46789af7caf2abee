/* A supervised actor, at its own worker: how it is started, suspended, restarted and ended. */

#include "actors/core/supervise.h"

#include <string.h>
#include <troupe/assert.h>

/* Behind the cell of a supervised actor. */
struct trp_ward {
    struct trp_cell_keeper keeper; /* first: life.c knows it */
    uint64_t id;
    troupe_ref supervisor;
    struct troupe_msg *notice; /* NULL while it is away */
    struct troupe_msg *gone;
    struct troupe_msg *order; /* here until it is obeyed */
    enum troupe_restart restart;
    enum troupe_down_reason reason; /* of the newest end */
    uint32_t orphans;   /* a supervisor: children of lives that ended, which have not ended yet */
    bool is_suspending; /* its supervisor ordered this end */
    bool is_final;      /* the next end is for good */
    bool is_unsaid;     /* an end that the supervisor has not heard of */
    _Alignas(16) char arg[];
};

static struct trp_ward *ward_of(const struct trp_cell *cell)
{
    return cell->extra.child;
}

/* Sends one of the reserved nodes to the supervisor. */
static void tell(struct trp_worker *worker,
                 const struct trp_ward *ward,
                 troupe_ref child,
                 struct troupe_msg *msg,
                 enum trp_child_notice notice)
{
    struct trp_child_note *note = trp_child_note_of(msg);
    note->id = ward->id;
    note->supervisor = ward->supervisor;
    note->child = child;
    note->notice = notice;
    msg->type = TRP_MSG_CORE_CHILD_NOTICE;
    trp_worker_post(worker, ward->supervisor, TROUPE_LANE_CONTROL, msg);
}

/* --- start --- */

/* Nothing of the old life is left but, perhaps, its children: the next one's come after them. */
static void suspended(struct trp_worker *worker, struct trp_cell *cell)
{
    struct trp_ward *ward = ward_of(cell);
    troupe_ref ref = trp_cell_ref(cell);
    if (ward->orphans != 0) {
        return; /* again when the last one has ended */
    }
    if (ward->is_unsaid) {
        struct troupe_msg *notice = ward->notice;
        TROUPE_ASSERT(notice != NULL); /* it came back before the order to restart */
        ward->is_unsaid = false;
        ward->notice = NULL;
        tell(worker, ward, ref, notice, TRP_CHILD_ENDED);
    }
    ward->is_suspending = false;
    if (ward->order != NULL) {
        struct troupe_msg *order = ward->order;
        ward->order = NULL;
        tell(worker, ward, ref, order, TRP_CHILD_SUSPENDED);
    }
}

static void free_ward(struct trp_ward *ward)
{
    if (ward->notice != NULL) {
        trp_msg_free(ward->notice);
    }
    if (ward->gone != NULL) {
        trp_msg_free(ward->gone);
    }
    if (ward->order != NULL) {
        trp_msg_free(ward->order);
    }
    trp_heap_free(ward);
}

static struct trp_ward *new_ward(struct trp_worker *worker, const struct trp_child_start *start)
{
    struct trp_ward *ward = trp_heap_alloc(&worker->heap, sizeof(*ward) + start->arg_len);
    if (ward == NULL) {
        return NULL;
    }
    memset(ward, 0, sizeof(*ward));
    ward->keeper.arg = start->arg_len != 0 ? ward->arg : NULL;
    ward->keeper.restarts = 0;
    ward->keeper.suspended_cb = suspended;
    ward->id = start->note.id;
    ward->supervisor = start->note.supervisor;
    ward->restart = start->restart;
    memcpy(ward->arg, start->arg, start->arg_len);
    uint32_t size = sizeof(struct trp_child_note);
    ward->notice = trp_msg_alloc(&worker->heap, TRP_MSG_CORE_CHILD_NOTICE, size, false);
    ward->gone = trp_msg_alloc(&worker->heap, TRP_MSG_CORE_CHILD_NOTICE, size, false);
    if (ward->notice == NULL || ward->gone == NULL) {
        free_ward(ward);
        return NULL;
    }
    memset(trp_child_note_of(ward->notice), 0, size);
    memset(trp_child_note_of(ward->gone), 0, size);
    return ward;
}

/* The order travels back with how it went. */
static void
answer_start(struct trp_worker *worker, struct troupe_msg *msg, enum trp_child_notice notice)
{
    struct trp_child_note *note = trp_child_note_of(msg);
    note->notice = notice;
    msg->type = TRP_MSG_CORE_CHILD_NOTICE;
    trp_worker_post(worker, note->supervisor, TROUPE_LANE_CONTROL, msg);
}

void trp_ward_start(struct troupe_ctx *ctx, struct troupe_msg *msg)
{
    struct trp_worker *worker = ctx->worker;
    struct trp_child_start *start = troupe_msg_data(msg);
    struct trp_ward *ward = new_ward(worker, start);
    if (ward == NULL) {
        start->note.status = TROUPE_ENOMEM;
        answer_start(worker, msg, TRP_CHILD_NOT_STARTED);
        return;
    }
    struct troupe_ctx saved = *ctx;
    troupe_ref ref;
    ctx->cell = NULL;
    ctx->msg = NULL;
    /* a first start that fails is an end for good: nobody knows the ref yet */
    enum troupe_status status = troupe_spawn(ctx, &ref, start->type, ward->keeper.arg);
    *ctx = saved;
    if (status != TROUPE_OK) {
        free_ward(ward);
        start->note.status = status;
        answer_start(worker, msg, TRP_CHILD_NOT_STARTED);
        return;
    }
    struct trp_cell *cell = trp_cells_find(&worker->cells, ref);
    TROUPE_ASSERT(cell != NULL);
    cell->extra.child = ward;
    start->note.child = ref;
    answer_start(worker, msg, TRP_CHILD_STARTED);
}

/* --- end --- */

bool trp_ward_keeps(struct trp_worker *worker,
                    struct trp_cell *cell,
                    enum troupe_down_reason reason)
{
    struct trp_ward *ward = ward_of(cell);
    if (ward == NULL || ward->is_final || worker->is_stopping || reason == TROUPE_DOWN_SHUTDOWN) {
        return false;
    }
    bool is_wanted = reason == TROUPE_DOWN_NORMAL || cell->status == TRP_CELL_DRAINING;
    if (!ward->is_suspending &&
        (ward->restart == TROUPE_TEMPORARY || (ward->restart == TROUPE_TRANSIENT && is_wanted))) {
        return false;
    }
    if (cell->status != TRP_CELL_SUSPENDED) {
        ward->reason = reason;
        ward->is_unsaid = !ward->is_suspending;
    }
    return true;
}

void trp_ward_ended(struct trp_worker *worker,
                    struct trp_cell *cell,
                    enum troupe_down_reason reason)
{
    struct trp_ward *ward = ward_of(cell);
    struct troupe_msg *gone = ward->gone;
    (void)reason;
    cell->extra.child = NULL;
    ward->gone = NULL;
    tell(worker, ward, trp_cell_ref(cell), gone, TRP_CHILD_GONE);
    free_ward(ward);
}

enum troupe_down_reason trp_ward_reason(const struct trp_cell *cell)
{
    return ward_of(cell)->reason;
}

void trp_ward_add_orphan(struct trp_cell *cell)
{
    struct trp_ward *ward = ward_of(cell);
    if (ward != NULL) {
        ward->orphans++;
    }
}

void trp_ward_orphan_ended(struct trp_worker *worker, struct trp_cell *cell)
{
    struct trp_ward *ward = ward_of(cell);
    if (ward == NULL) {
        return;
    }
    TROUPE_ASSERT(ward->orphans > 0);
    ward->orphans--;
    if (ward->orphans == 0 && trp_cell_is_settled(cell)) {
        suspended(worker, cell);
    }
}

/* --- orders --- */

/* A supervisor ends its own children first. */
static bool is_supervisor(const struct trp_cell *cell)
{
    return cell->type == &troupe_supervisor_type;
}

static enum troupe_verdict obey_suspend(struct troupe_ctx *ctx, struct trp_cell *cell)
{
    struct trp_ward *ward = ward_of(cell);
    if (cell->status == TRP_CELL_SUSPENDED) {
        if (trp_cell_is_settled(cell)) {
            suspended(ctx->worker, cell);
        }
        return TROUPE_CONTINUE; /* otherwise when it is */
    }
    ward->is_suspending = true;
    return is_supervisor(cell) ? trp_supervisor_shut(ctx, cell->state, TROUPE_STOP) : TROUPE_STOP;
}

static void obey_restart(struct troupe_ctx *ctx, struct trp_cell *cell)
{
    struct trp_ward *ward = ward_of(cell);
    troupe_ref ref = trp_cell_ref(cell);
    if (trp_cell_restart(ctx->worker, cell) != TROUPE_OK) {
        return; /* suspended again and said so, or gone */
    }
    struct troupe_msg *order = ward->order;
    ward->order = NULL;
    tell(ctx->worker, ward, ref, order, TRP_CHILD_STARTED);
}

static enum troupe_verdict
obey_end(struct troupe_ctx *ctx, struct trp_cell *cell, enum troupe_shutdown shutdown)
{
    struct trp_ward *ward = ward_of(cell);
    troupe_ref ref = trp_cell_ref(cell);
    ward->is_final = true;
    if (cell->status == TRP_CELL_SUSPENDED) {
        trp_cell_end(ctx->worker, cell, ward->reason);
        return TROUPE_CONTINUE;
    }
    if (is_supervisor(cell) && shutdown != TROUPE_SHUTDOWN_KILL) {
        return trp_supervisor_shut(ctx, cell->state, TROUPE_STOP);
    }
    switch (shutdown) {
    case TROUPE_SHUTDOWN_STOP:
        troupe_stop(ctx, ref);
        break;
    case TROUPE_SHUTDOWN_DRAIN:
        troupe_drain(ctx, ref);
        break;
    case TROUPE_SHUTDOWN_KILL:
        troupe_kill(ctx, ref);
        break;
    }
    return TROUPE_CONTINUE;
}

enum troupe_verdict
trp_ward_order(struct troupe_ctx *ctx, struct trp_cell *cell, struct troupe_msg *msg)
{
    struct trp_ward *ward = cell != NULL ? ward_of(cell) : NULL;
    if (ward == NULL) {
        trp_msg_free(msg); /* it is gone, and its supervisor hears so */
        return TROUPE_CONTINUE;
    }
    const struct trp_child_note *note = trp_child_note_of(msg);
    if (note->order == TRP_CHILD_BACK) {
        TROUPE_ASSERT(ward->notice == NULL);
        ward->notice = msg;
        return TROUPE_CONTINUE;
    }
    if (note->order == TRP_CHILD_ABANDON) {
        trp_msg_free(msg);
        return obey_end(ctx, cell, TROUPE_SHUTDOWN_STOP);
    }
    TROUPE_ASSERT(ward->order == NULL); /* one at a time */
    ward->order = msg;
    if (note->order == TRP_CHILD_END) {
        return obey_end(ctx, cell, note->shutdown);
    }
    if (note->order == TRP_CHILD_SUSPEND) {
        return obey_suspend(ctx, cell);
    }
    TROUPE_ASSERT(note->order == TRP_CHILD_RESTART);
    obey_restart(ctx, cell);
    return TROUPE_CONTINUE;
}
