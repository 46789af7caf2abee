#include "pool/worker.h"

#include <string.h>
#include <troupe/assert.h>

/*
 * One node that carries the addresses of all: the receiver can fetch their cache lines at once
 * instead of one after the other along a chain. NULL when there is no memory.
 */
static struct troupe_msg *make_batch(struct trp_worker *worker, const struct trp_outgoing *out)
{
    uint32_t bytes = out->count * (uint32_t)sizeof(out->messages[0]);
    struct troupe_msg *batch = trp_msg_alloc(&worker->heap, TRP_MSG_BATCH, bytes, false);
    if (batch != NULL) {
        memcpy(troupe_msg_data(batch), out->messages, bytes);
    }
    return batch;
}

/* The same without memory: newest first, as the inbox wants it. */
static struct troupe_msg *make_chain(const struct trp_outgoing *out)
{
    for (uint32_t i = 1; i < out->count; i++) {
        out->messages[i]->next = out->messages[i - 1];
    }
    return out->messages[out->count - 1];
}

/* Pushes what is gathered for one destination: one compare-and-swap, at most one wake. */
static void push_batch(struct trp_worker *worker, uint32_t target)
{
    struct trp_outgoing *out = &worker->out[target];
    struct trp_worker *receiver = &worker->pool->workers[target];
    struct troupe_msg *oldest = out->messages[0];
    struct troupe_msg *newest = oldest;
    if (out->count > 1) {
        struct troupe_msg *batch = make_batch(worker, out);
        newest = batch != NULL ? batch : make_chain(out);
        oldest = batch != NULL ? batch : oldest;
    }
    trp_count(&worker->stats.remote_out, out->count);
    trp_count(&worker->stats.batches_out, 1);
    out->count = 0;
    worker->out_pending--;
    if (trp_inbox_push(&receiver->inbox, newest, oldest)) {
        trp_worker_wake(receiver, worker);
        return;
    }
    /* The receiver has gone down: what was accepted is reported here. */
    oldest->next = NULL;
    (void)trp_worker_drop_chain(worker, trp_inbox_reverse(newest));
}

uint32_t trp_worker_drop_chain(struct trp_worker *worker, struct troupe_msg *msg)
{
    uint32_t dropped = 0;
    while (msg != NULL) {
        struct troupe_msg *next = msg->next;
        uint32_t count = 1;
        struct troupe_msg **messages = &msg;
        struct troupe_msg *batch = msg->type == TRP_MSG_BATCH ? msg : NULL;
        if (batch != NULL) {
            count = trp_batch_count(batch);
            messages = troupe_msg_data(batch);
        }
        for (uint32_t i = 0; i < count; i++) {
            trp_worker_drop(worker, messages[i], TROUPE_DROP_SHUTDOWN);
        }
        if (batch != NULL) {
            trp_msg_free(batch);
        }
        dropped += count;
        msg = next;
    }
    return dropped;
}

void trp_worker_send_remote(struct trp_worker *worker, uint32_t target, struct troupe_msg *msg)
{
    struct trp_outgoing *out = &worker->out[target];
    out->messages[out->count] = msg;
    if (out->count++ == 0) {
        worker->out_pending++;
        worker->attention |= TRP_ATTENTION_OUT;
    }
    if (out->count == TRP_OUT_BATCH) {
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

/* To a cell of this worker: exact. */
static enum troupe_status
send_here(struct trp_worker *worker, struct trp_cell *cell, struct troupe_msg *msg)
{
    switch ((enum trp_cell_status)cell->status) {
    case TRP_CELL_DRAINING:
        return TROUPE_ECLOSED;
    case TRP_CELL_FREE:
    case TRP_CELL_ZOMBIE:
        return TROUPE_EDEAD;
    case TRP_CELL_RESERVED:
    case TRP_CELL_ALIVE:
    case TRP_CELL_SUSPENDED:
        break;
    }
    if ((cell->gate & TRP_GATE_FULL) != 0) {
        trp_count(&worker->stats.refused, 1);
        return TROUPE_EBUSY;
    }
    trp_cell_enqueue(worker, cell, msg);
    return TROUPE_OK;
}

/* True when no more data messages may be under way to this worker. */
static bool is_window_full(struct trp_worker *worker, struct trp_outgoing *out, uint32_t target)
{
    if (out->data_sent - out->dealt_seen < TRP_WINDOW) {
        return false;
    }
    /* relaxed: pairs with publish_dealt; an old value only makes the window smaller. Looked at only
     * when what was seen last is used up: the line belongs to the receiver. */
    out->dealt_seen = trp_load_relaxed_u32(&worker->pool->workers[target].dealt[worker->index]);
    return out->data_sent - out->dealt_seen >= TRP_WINDOW;
}

static enum troupe_status
send_window(struct trp_worker *worker, uint32_t target, struct troupe_msg *msg)
{
    struct trp_outgoing *out = &worker->out[target];
    if (trp_load_relaxed_u32(&worker->pool->is_stopping) != 0) {
        return TROUPE_ECLOSED; /* partner: troupe_pool_stop */
    }
    if (is_window_full(worker, out, target) ||
        trp_cells_is_full_hint(&worker->pool->workers[target].cells, msg->to)) {
        trp_count(&worker->stats.refused, 1);
        return TROUPE_EBUSY;
    }
    out->data_sent++;
    trp_worker_send_remote(worker, target, msg);
    return TROUPE_OK;
}

/* Every so often a message carries the time, for the histogram of waiting. */
static void stamp(struct trp_worker *worker, struct troupe_msg *msg)
{
    worker->sample_next = 0;
    trp_msg_put_stamp(msg, worker->now_ns);
}

static __attribute__((noinline)) enum troupe_status
send_slow(struct troupe_ctx *ctx, troupe_ref to, struct troupe_msg **msg_ptr)
{
    struct trp_worker *worker = ctx->worker;
    struct troupe_msg *msg = *msg_ptr;
    uint32_t target = troupe_ref_worker(to);
    troupe_ref self = troupe_self(ctx);
    TROUPE_ASSERT((msg->flags & TROUPE_MSG_EMBEDDED) == 0);
    if ((msg->flags & TROUPE_MSG_ASK) != 0 && msg->from != self) {
        return TROUPE_EINVAL; /* somebody else's ask: `from` is where its answer has to go */
    }
    struct troupe_msg before = *msg;
    msg->to = to;
    msg->from = self;
    /* data lane; an answer that is sent on is an answer no more */
    msg->flags &= (uint8_t) ~(TROUPE_MSG_LANE_MASK | TROUPE_MSG_REPLY);
    if (worker->sample_next != 0) {
        stamp(worker, msg);
    }
    enum troupe_status status = TROUPE_EDEAD;
    if (target == worker->index) {
        struct trp_cell *cell = trp_cells_find(&worker->cells, to);
        status = cell != NULL ? send_here(worker, cell, msg) : TROUPE_EDEAD;
    } else if (target < worker->pool->worker_count) {
        status = send_window(worker, target, msg);
    }
    if (status == TROUPE_OK) {
        trp_count(&worker->stats.accepted, 1);
        *msg_ptr = NULL;
        if (ctx->msg == msg) {
            ctx->msg = NULL; /* passed on, so no longer borrowed */
        }
    } else {
        *msg = before; /* who refused it may still matter less than who sent it */
    }
    return status;
}

/* The message just sent was the last one for now. */
static __attribute__((noinline)) enum troupe_status close_gate(struct trp_worker *worker,
                                                               struct trp_cell *cell)
{
    trp_cell_became_full(worker, cell, cell->data.tail->type);
    return TROUPE_OK;
}

/* What the fast path leaves to the slow one. */
#define UNCOMMON_FLAGS                                                                             \
    (TROUPE_MSG_EMBEDDED | TROUPE_MSG_ASK | TROUPE_MSG_OWNS_BUF | TROUPE_MSG_OWNS_MSG)

/*
 * A plain message from a running actor to a live one of the same worker whose lane has room is
 * appended right here; anything else takes the slow path, which does the same and more.
 */
enum troupe_status troupe_send(struct troupe_ctx *ctx, troupe_ref to, struct troupe_msg **msg_ptr)
{
    struct trp_worker *worker = ctx->worker;
    struct troupe_msg *msg = *msg_ptr;
    struct trp_cell *cell = trp_cells_find(&worker->cells, to);
    if (__builtin_expect(cell == NULL || (cell->gate & ~TRP_GATE_AWAITED) != 0 ||
                             ctx->cell == NULL || (msg->flags & UNCOMMON_FLAGS) != 0 ||
                             worker->sample_next != 0,
                         0)) {
        return send_slow(ctx, to, msg_ptr);
    }
    *msg_ptr = NULL;
    if (ctx->msg == msg) {
        ctx->msg = NULL; /* passed on, so no longer borrowed */
    }
    msg->to = to;
    msg->from = trp_cell_ref(ctx->cell);
    msg->flags &= (uint8_t) ~(TROUPE_MSG_LANE_MASK | TROUPE_MSG_REPLY);
    trp_count(&worker->stats.accepted, 1);
    bool is_full = trp_cell_push_data(cell, msg, (uint32_t)sizeof(*msg) + msg->size);
    if (!cell->is_scheduled) {
        cell->is_scheduled = 1;
        trp_run_queue_push(&worker->normal, cell);
    }
    return __builtin_expect(is_full, 0) ? close_gate(worker, cell) : TROUPE_OK;
}
