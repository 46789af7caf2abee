/*
 * Handing a message to its actor, whatever it is: ends, asks, answers, timers, completions, control
 * messages. turn.c does the plain ones by itself.
 */

#include "pool/handle.h"

#include "pool/observe.h"

#include <troupe/assert.h>

static enum troupe_verdict take_end_node(struct trp_worker *worker, struct trp_cell *cell)
{
    switch (trp_cell_take_end(cell)) {
    case TRP_END_DRAIN:
        trp_cell_set_status(cell, TRP_CELL_DRAINING);
        cell->end_msg.size = trp_lane_length(&cell->reply); /* what comes later is not waited for */
        return TROUPE_CONTINUE;
    case TRP_END_KILL:
        worker->end_reason = TROUPE_DOWN_KILLED;
        return TROUPE_STOP;
    case TRP_END_STOP:
    case TRP_END_NONE:
    case TRP_END_OVER:
        break;
    }
    worker->end_reason = TROUPE_DOWN_NORMAL;
    return TROUPE_STOP;
}

/* What remains to do with a message after its handler returned. */
static void finish_message(struct trp_worker *worker, struct troupe_msg *msg)
{
    if ((msg->flags & TROUPE_MSG_EMBEDDED) != 0) {
        worker->driver->release(worker->driver_state, (struct trp_rx *)msg);
        return;
    }
    if ((msg->flags & TROUPE_MSG_ASK) != 0) {
        trp_core()->unanswered(worker, msg, TROUPE_ENOREPLY);
        return;
    }
    trp_msg_free(msg);
}

enum troupe_verdict trp_handle_rest(struct trp_worker *worker, enum troupe_verdict verdict)
{
    struct troupe_ctx *ctx = &worker->ctx;
    struct troupe_msg *msg = ctx->msg;
    ctx->msg = NULL;
    if (msg == NULL) {
        worker->handled++; /* kept or passed on */
    } else if (verdict == TROUPE_FAIL) {
        trp_worker_drop(worker, msg, TROUPE_DROP_FAILED); /* reported, not processed */
    } else {
        worker->handled++;
        finish_message(worker, msg);
    }
    return verdict;
}

/* A failed message is reported, not processed. */
static enum troupe_verdict
handle_plain(struct trp_worker *worker, struct trp_cell *cell, struct troupe_msg *msg)
{
    struct troupe_ctx *ctx = &worker->ctx;
    ctx->msg = msg;
    enum troupe_verdict verdict = cell->type->receive_cb(ctx, cell->state, msg);
    return trp_handle_rest(worker, verdict);
}

/* Nodes inside other objects: they are nobody's to free, and not counted, for nobody sent them. */
static enum troupe_verdict
handle_embedded(struct trp_worker *worker, struct trp_cell *cell, struct troupe_msg *msg)
{
    struct troupe_ctx *ctx = &worker->ctx;
    /* the node may be gone with its object when the handler returns; only a received buffer is the
     * worker's to finish */
    ctx->msg = msg->type == TRP_MSG_RX ? msg : NULL;
    if (msg->type == TRP_MSG_OP) {
        trp_op_received((struct trp_op *)msg);
    } else if (msg->type < TROUPE_MSG_RESERVED) {
        trp_timer_received((struct troupe_timer *)msg);
    }
    enum troupe_verdict verdict = (msg->flags & TROUPE_MSG_REPLY) != 0
                                      ? trp_core()->reply(ctx, msg)
                                      : cell->type->receive_cb(ctx, cell->state, msg);
    if (ctx->msg != NULL) {
        finish_message(worker, ctx->msg);
        ctx->msg = NULL;
    }
    return verdict;
}

static enum troupe_verdict handle_reply(struct trp_worker *worker, struct troupe_msg *msg)
{
    struct troupe_ctx *ctx = &worker->ctx;
    ctx->msg = msg;
    enum troupe_verdict verdict = trp_core()->reply(ctx, msg);
    return trp_handle_rest(worker, verdict);
}

/* A sampled message has arrived; the sender's clock may be a little ahead of ours. */
static void note_wait(struct trp_worker *worker, struct trp_cell *cell, struct troupe_msg *msg)
{
    uint64_t sent_ns = trp_msg_take_stamp(msg);
    uint64_t now_ns = worker->now_ns;
    trp_observe_waited(worker, cell, now_ns > sent_ns ? now_ns - sent_ns : 0);
}

enum troupe_verdict
trp_handle(struct trp_worker *worker, struct trp_cell *cell, struct troupe_msg *msg)
{
    struct troupe_ctx *ctx = &worker->ctx;
    if ((msg->size_class & TRP_MSG_STAMPED) != 0) {
        note_wait(worker, cell, msg);
    }
    if (trp_is_expired(worker, msg)) {
        trp_worker_drop(worker, msg, TROUPE_DROP_EXPIRED);
        return TROUPE_CONTINUE;
    }
    if (msg->type == TRP_MSG_STOP) {
        ctx->msg = NULL;
        return take_end_node(worker, cell);
    }
    if (msg->type == TRP_MSG_STOP_AFTER) {
        return trp_stop_after_received(worker, cell, msg);
    }
    if (msg->type >= TRP_MSG_CORE && troupe_msg_lane(msg) == TROUPE_LANE_CONTROL) {
        ctx->msg = NULL;
        trp_count(&worker->stats.processed, 1);
        return trp_core()->control(ctx, cell, msg);
    }
    if ((msg->flags & TROUPE_MSG_EMBEDDED) != 0) {
        return handle_embedded(worker, cell, msg);
    }
    if ((msg->flags & TROUPE_MSG_REPLY) != 0) {
        return handle_reply(worker, msg);
    }
    return handle_plain(worker, cell, msg);
}
