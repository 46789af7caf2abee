/* Ending other actors: stop, drain, kill, stop-after. */

#include "pool/handle.h"

#include <troupe/assert.h>

static void request_end(struct troupe_ctx *ctx, troupe_ref ref, enum trp_end_verb verb)
{
    uint32_t target = troupe_ref_worker(ref);
    if (target >= ctx->worker->pool->worker_count) {
        return;
    }
    struct trp_cell_table *table = &ctx->worker->pool->workers[target].cells;
    struct troupe_msg *node = trp_cells_request_end(table, ref, verb);
    if (node == NULL) {
        return;
    }
    /* The node lies in the cell: its owner reads `to` as its own ref, so nothing but the link may
     * be written here. */
    if (target == ctx->worker->index) {
        trp_worker_deliver(ctx->worker, node);
    } else {
        trp_worker_send_remote(ctx->worker, target, node);
    }
}

void troupe_stop(struct troupe_ctx *ctx, troupe_ref ref)
{
    request_end(ctx, ref, TRP_END_STOP);
}

void troupe_drain(struct troupe_ctx *ctx, troupe_ref ref)
{
    request_end(ctx, ref, TRP_END_DRAIN);
}

void troupe_kill(struct troupe_ctx *ctx, troupe_ref ref)
{
    request_end(ctx, ref, TRP_END_KILL);
}

/* --- stop-after --- */

/* Frees a carrier without what it carries. */
static void free_shell(struct troupe_msg *carrier)
{
    carrier->flags &= (uint8_t)~TROUPE_MSG_OWNS_MSG;
    trp_msg_free(carrier);
}

enum troupe_status
troupe_stop_after(struct troupe_ctx *ctx, troupe_ref ref, struct troupe_msg **msg_ptr)
{
    const unsigned unfit = TROUPE_MSG_ASK | TROUPE_MSG_OWNS_MSG;
    struct trp_worker *worker = ctx->worker;
    struct troupe_msg *msg = *msg_ptr;
    TROUPE_ASSERT(msg != NULL);
    TROUPE_ASSERT((msg->flags & TROUPE_MSG_EMBEDDED) == 0);
    if ((msg->flags & unfit) != 0) {
        return TROUPE_EINVAL;
    }
    struct troupe_msg *carrier =
        trp_msg_alloc(&worker->heap, TRP_MSG_STOP_AFTER, sizeof(struct troupe_msg *), false);
    if (carrier == NULL) {
        return TROUPE_ENOMEM;
    }
    struct troupe_msg before = *msg;
    msg->to = ref; /* what the dead-letter hook looks at */
    msg->from = troupe_self(ctx);
    msg->flags &= (uint8_t) ~(TROUPE_MSG_LANE_MASK | TROUPE_MSG_REPLY);
    *(struct troupe_msg **)troupe_msg_data(carrier) = msg;
    carrier->flags |= TROUPE_MSG_OWNS_MSG;
    struct troupe_msg *sent = carrier;
    enum troupe_status status = troupe_send(ctx, ref, &sent);
    if (status != TROUPE_OK) {
        free_shell(carrier);
        *msg = before; /* a handler may still want to know who sent it */
        return status;
    }
    *msg_ptr = NULL;
    if (ctx->msg == msg) {
        ctx->msg = NULL; /* passed on, so no longer borrowed */
    }
    return TROUPE_OK;
}

enum troupe_verdict trp_stop_after_received(struct trp_worker *worker,
                                            struct trp_cell *cell,
                                            struct troupe_msg *carrier)
{
    struct troupe_ctx *ctx = &worker->ctx;
    struct troupe_msg *msg = trp_msg_carried(carrier);
    TROUPE_ASSERT(msg != NULL);
    ctx->msg = NULL;
    if (trp_is_expired(worker, msg)) {
        trp_worker_drop(worker, carrier, TROUPE_DROP_EXPIRED);
        return TROUPE_STOP; /* the message was late, the wish to stop is not */
    }
    free_shell(carrier);
    ctx->msg = msg;
    enum troupe_verdict verdict = cell->type->receive_cb(ctx, cell->state, msg);
    return trp_handle_rest(worker, verdict) == TROUPE_FAIL ? TROUPE_FAIL : TROUPE_STOP;
}
