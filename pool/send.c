#include "pool/worker.h"

#include <troupe/assert.h>

/* Pushes what is gathered for one destination: one compare-and-swap, at most one wake. */
static void push_batch(struct trp_worker *worker, uint32_t target)
{
    struct trp_outgoing *out = &worker->out[target];
    struct trp_worker *receiver = &worker->pool->workers[target];
    struct troupe_msg *newest = out->newest;
    struct troupe_msg *oldest = out->oldest;
    trp_count(&worker->stats.remote_out, out->count);
    trp_count(&worker->stats.batches_out, 1);
    out->newest = NULL;
    out->oldest = NULL;
    out->count = 0;
    worker->out_pending--;
    if (trp_inbox_push(&receiver->inbox, newest, oldest)) {
        trp_worker_wake(receiver, worker);
        return;
    }
    /* The receiver has gone down: what was accepted is reported here. */
    struct troupe_msg *msg = trp_inbox_reverse(newest);
    while (msg != NULL) {
        struct troupe_msg *next = msg->next;
        trp_worker_drop(worker, msg, TROUPE_DROP_SHUTDOWN);
        msg = next;
    }
}

void trp_worker_send_remote(struct trp_worker *worker, uint32_t target, struct troupe_msg *msg)
{
    struct trp_outgoing *out = &worker->out[target];
    msg->next = out->newest;
    out->newest = msg;
    if (out->count++ == 0) {
        out->oldest = msg;
        worker->out_pending++;
    }
    if (out->count >= TRP_OUT_BATCH) {
        push_batch(worker, target);
    }
}

void trp_worker_flush(struct trp_worker *worker)
{
    for (uint32_t i = 0; worker->out_pending != 0 && i < worker->pool->worker_count; i++) {
        if (worker->out[i].count != 0) {
            push_batch(worker, i);
        }
    }
}

void trp_flush(struct troupe_ctx *ctx)
{
    trp_worker_flush(ctx->worker);
}

void trp_worker_post(struct trp_worker *worker,
                     troupe_ref to,
                     enum troupe_lane lane,
                     struct troupe_msg *msg)
{
    uint32_t target = troupe_ref_worker(to);
    msg->to = to;
    msg->flags = (uint8_t)((msg->flags & ~(unsigned)TROUPE_MSG_LANE_MASK) | (unsigned)lane);
    if ((msg->flags & TROUPE_MSG_EMBEDDED) == 0) {
        trp_count(&worker->stats.accepted, 1);
    }
    if (target == worker->index) {
        trp_worker_deliver(worker, msg);
    } else if (target < worker->pool->worker_count) {
        trp_worker_send_remote(worker, target, msg);
    } else if (lane == TROUPE_LANE_CONTROL && msg->type >= TRP_MSG_CORE) {
        trp_count(&worker->stats.processed, 1); /* no such worker: core answers as for the dead */
        (void)trp_core()->control(&worker->ctx, NULL, msg);
    } else {
        trp_worker_drop(worker, msg, TROUPE_DROP_DEAD);
    }
}

void trp_note_post(struct troupe_ctx *ctx, troupe_ref to, struct troupe_msg *note)
{
    note->type = TRP_MSG_NOTE;
    note->flags = TROUPE_MSG_EMBEDDED;
    note->size = 0;
    note->from = troupe_self(ctx);
    trp_worker_post(ctx->worker, to, TROUPE_LANE_REPLY, note);
}

static enum troupe_status send_local(struct trp_worker *worker, struct troupe_msg *msg)
{
    struct trp_cell *cell = trp_cells_find(&worker->cells, msg->to);
    if (cell == NULL || cell->status == TRP_CELL_ZOMBIE) {
        return TROUPE_EDEAD;
    }
    if (cell->status == TRP_CELL_DRAINING) {
        return TROUPE_ECLOSED;
    }
    if (cell->is_full) {
        trp_count(&worker->stats.refused, 1);
        return TROUPE_EBUSY;
    }
    trp_cell_enqueue(worker, cell, msg);
    return TROUPE_OK;
}

static enum troupe_status
send_window(struct trp_worker *worker, uint32_t target, struct troupe_msg *msg)
{
    struct trp_worker *receiver = &worker->pool->workers[target];
    struct trp_outgoing *out = &worker->out[target];
    /* relaxed: pairs with publish_dealt; an old value only makes the window smaller */
    uint32_t dealt = trp_load_relaxed_u32(&receiver->dealt[worker->index]);
    if (out->data_sent - dealt >= TRP_WINDOW || trp_cells_is_full_hint(&receiver->cells, msg->to)) {
        trp_count(&worker->stats.refused, 1);
        return TROUPE_EBUSY;
    }
    out->data_sent++;
    trp_worker_send_remote(worker, target, msg);
    return TROUPE_OK;
}

enum troupe_status troupe_send(struct troupe_ctx *ctx, troupe_ref to, struct troupe_msg **msg_ptr)
{
    struct trp_worker *worker = ctx->worker;
    struct troupe_msg *msg = *msg_ptr;
    TROUPE_ASSERT(msg != NULL);
    TROUPE_ASSERT((msg->flags & TROUPE_MSG_EMBEDDED) == 0);
    TROUPE_ASSERT(msg != ctx->msg); /* a borrowed message must be taken before it is sent on */
    uint32_t target = troupe_ref_worker(to);
    troupe_ref self = troupe_self(ctx);
    if ((msg->flags & TROUPE_MSG_ASK) != 0 && msg->from != self) {
        return TROUPE_EINVAL; /* somebody else's ask: `from` is where its answer has to go */
    }
    msg->to = to;
    msg->from = self;
    /* data lane; an answer that is sent on is an answer no more */
    msg->flags &= (uint8_t) ~(TROUPE_MSG_LANE_MASK | TROUPE_MSG_REPLY);
    enum troupe_status status;
    if (target == worker->index) {
        status = send_local(worker, msg);
    } else if (target >= worker->pool->worker_count) {
        status = TROUPE_EDEAD;
    } else if (trp_load_relaxed_u32(&worker->pool->is_stopping) != 0) {
        status = TROUPE_ECLOSED; /* partner: troupe_pool_stop */
    } else {
        status = send_window(worker, target, msg);
    }
    if (status == TROUPE_OK) {
        trp_count(&worker->stats.accepted, 1);
        *msg_ptr = NULL;
    }
    return status;
}
