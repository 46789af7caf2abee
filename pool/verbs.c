/* Ending other actors: stop, drain, kill. */

#include "pool/worker.h"

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
