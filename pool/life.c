/* How an actor begins and ends: state, init, the last drops, the zombie that waits for the kernel.
 */

#include "pool/worker.h"

#include <stddef.h>
#include <string.h>
#include <troupe/assert.h>

enum troupe_status trp_cell_start(struct trp_worker *worker, struct trp_cell *cell, const void *arg)
{
    const struct troupe_actor_type *type = cell->type;
    cell->status = TRP_CELL_ALIVE;
    trp_count(&worker->stats.spawned, 1);
    trp_count(&worker->stats.alive, 1);
    enum troupe_status status = TROUPE_OK;
    if (type->state_size != 0) {
        cell->state = trp_heap_alloc(&worker->heap, type->state_size);
        if (cell->state == NULL) {
            status = TROUPE_ENOMEM;
        } else {
            memset(cell->state, 0, type->state_size);
        }
    }
    if (status == TROUPE_OK && type->init_cb != NULL) {
        struct troupe_ctx saved = worker->ctx;
        worker->ctx.cell = cell;
        worker->ctx.msg = NULL;
        cell->is_scheduled = 1; /* what init sends to itself must not schedule it twice */
        status = type->init_cb(&worker->ctx, cell->state, arg);
        cell->is_scheduled = 0;
        worker->ctx = saved;
    }
    if (status != TROUPE_OK) {
        trp_cell_end(worker, cell, TROUPE_DOWN_FAILED);
        return status;
    }
    if (trp_cell_has_messages(cell)) {
        trp_cell_schedule(worker, cell);
    }
    return TROUPE_OK;
}

static void
drop_lane(struct trp_worker *worker, struct trp_lane *lane, enum troupe_drop_reason reason)
{
    struct troupe_msg *msg;
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
        trp_worker_drop(worker, msg, reason);
    }
}

void trp_cell_free_zombie(struct trp_worker *worker, struct trp_cell *cell)
{
    if (cell->ops != NULL || cell->is_end_coming) {
        return;
    }
    if (cell->state != NULL) {
        trp_heap_free(cell->state);
    }
    trp_cells_give(&worker->cells, cell);
}

void trp_cell_end(struct trp_worker *worker, struct trp_cell *cell, enum troupe_down_reason reason)
{
    struct troupe_ctx saved = worker->ctx;
    worker->ctx.cell = cell;
    worker->ctx.msg = NULL;
    cell->is_scheduled = 1; /* nothing it receives from now on may schedule it */
    /* without the state it asked for an actor never began */
    bool has_begun = cell->state != NULL || cell->type->state_size == 0;
    if (reason != TROUPE_DOWN_KILLED && cell->type->terminate_cb != NULL && has_begun) {
        cell->type->terminate_cb(&worker->ctx, cell->state, reason);
    }
    while (cell->timers != NULL) {
        troupe_timer_cancel(&worker->ctx, cell->timers);
    }
    if (trp_core() != NULL) {
        trp_core()->ended(&worker->ctx, cell, reason);
    }
    /* From here on it is dead for everybody: an answer to its own ask that a drop below causes is
     * reported like any other. The flag keeps completions from freeing the cell under our feet. */
    cell->status = TRP_CELL_ZOMBIE;
    cell->is_end_coming = 1;
    enum troupe_drop_reason drop =
        reason == TROUPE_DOWN_SHUTDOWN ? TROUPE_DROP_SHUTDOWN : TROUPE_DROP_STOPPED;
    drop_lane(worker, &cell->control, drop);
    drop_lane(worker, &cell->reply, drop);
    drop_lane(worker, &cell->data, drop);
    cell->data_count = 0;
    cell->data_bytes = 0;
    if (cell->is_full) {
        trp_cells_publish_full(&worker->cells, cell, false);
    }
    trp_ops_cancel(worker, cell);
    worker->ctx = saved;
    trp_count(&worker->stats.alive, (uint64_t)-1);
    cell->is_scheduled = 0;
    cell->is_end_coming = trp_cell_close_end(cell) ? 1 : 0;
    trp_cell_free_zombie(worker, cell);
}
