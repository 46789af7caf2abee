/* Operations of the driver: submitting, completions, and what is left of them when their owner
 * ends. */

#include "pool/worker.h"

#include <troupe/assert.h>
#include <unistd.h>

static void unlink_op(struct trp_op *op)
{
    *op->armed_pprev = op->armed_next;
    if (op->armed_next != NULL) {
        op->armed_next->armed_pprev = op->armed_pprev;
    }
    op->armed_next = NULL;
    op->armed_pprev = NULL;
}

/* The owner is gone and the operation is final. */
static void orphan(struct trp_worker *worker, struct trp_op *op)
{
    unlink_op(op);
    if (op->orphan_cb != NULL) {
        op->orphan_cb(&worker->ctx, op);
    }
}

static void close_accepted(const struct trp_op *op)
{
    for (uint32_t i = 0; i < op->accept->count; i++) {
        close(op->accept->fds[i]);
    }
    op->accept->count = 0;
}

void trp_ops_cancel(struct trp_worker *worker, struct trp_cell *cell)
{
    struct trp_op *op = cell->ops;
    while (op != NULL) {
        struct trp_op *next = op->armed_next;
        if (op->kind == TRP_OP_ACCEPT) {
            close_accepted(op);
        }
        if (op->is_armed) {
            worker->driver->cancel(worker->driver_state, op);
        } else {
            orphan(worker, op);
        }
        op = next;
    }
}

void trp_op_received(struct trp_op *op)
{
    op->is_queued = false;
    if (!op->is_armed) {
        unlink_op(op);
    }
}

void trp_worker_complete_op(struct trp_worker *worker, struct trp_op *op)
{
    struct trp_cell *cell = trp_cells_find(&worker->cells, op->msg.to);
    TROUPE_ASSERT(cell != NULL); /* an armed operation keeps its cell */
    if (cell->status == TRP_CELL_ZOMBIE || cell->status == TRP_CELL_SUSPENDED) {
        if (op->kind == TRP_OP_ACCEPT) {
            close_accepted(op);
        }
        if (!op->is_armed) {
            orphan(worker, op);
            trp_cell_free_zombie(worker, cell);
        }
        return;
    }
    if (!op->is_queued) {
        op->is_queued = true;
        trp_cell_enqueue(worker, cell, &op->msg);
    }
}

void trp_worker_complete_rx(struct trp_worker *worker, struct trp_rx *rx)
{
    rx->msg.type = TRP_MSG_RX;
    rx->msg.flags = TROUPE_MSG_EMBEDDED | TROUPE_LANE_REPLY;
    rx->msg.to = rx->op->msg.to;
    struct trp_cell *cell = trp_cells_find(&worker->cells, rx->msg.to);
    TROUPE_ASSERT(cell != NULL);
    if (cell->status == TRP_CELL_ZOMBIE || cell->status == TRP_CELL_SUSPENDED) {
        worker->driver->release(worker->driver_state, rx);
        return;
    }
    trp_cell_enqueue(worker, cell, &rx->msg);
}

void trp_op_submit(struct troupe_ctx *ctx, struct trp_op *op)
{
    struct trp_cell *cell = ctx->cell;
    TROUPE_ASSERT(cell != NULL);
    TROUPE_ASSERT(!op->is_armed);
    TROUPE_ASSERT(!op->is_queued); /* its final completion has not been handled yet */
    TROUPE_ASSERT(ctx->worker->driver->submit != NULL);
    op->msg.type = TRP_MSG_OP;
    op->msg.flags = TROUPE_MSG_EMBEDDED | TROUPE_LANE_REPLY;
    op->msg.to = trp_cell_ref(cell);
    op->msg.size = 0;
    op->is_armed = true;
    if (op->armed_pprev == NULL) {
        op->armed_next = cell->ops;
        op->armed_pprev = &cell->ops;
        if (cell->ops != NULL) {
            cell->ops->armed_pprev = &op->armed_next;
        }
        cell->ops = op;
    }
    ctx->worker->driver->submit(ctx->worker->driver_state, op);
}

void trp_op_cancel(struct troupe_ctx *ctx, struct trp_op *op)
{
    if (op->is_armed) {
        ctx->worker->driver->cancel(ctx->worker->driver_state, op);
    }
}
