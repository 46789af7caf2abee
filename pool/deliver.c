/* Where a message that reached its worker goes: into a lane, or to the dead-letter hook. */

#include "pool/worker.h"

#include <troupe/assert.h>

const struct trp_core_hooks *trp_core_hooks;

void trp_cell_schedule(struct trp_worker *worker, struct trp_cell *cell)
{
    if (!cell->is_scheduled) {
        cell->is_scheduled = 1;
        bool is_urgent = !trp_lane_is_empty(&cell->control);
        trp_run_queue_push(is_urgent ? &worker->urgent : &worker->normal, cell);
    }
}

void trp_cell_became_full(struct trp_worker *worker, struct trp_cell *cell, uint16_t type)
{
    trp_cells_publish_full(&worker->cells, cell, true);
    trp_record(&worker->recorder, TRP_EVENT_FULL, trp_cell_ref(cell), type, 0);
}

void trp_cell_enqueue(struct trp_worker *worker, struct trp_cell *cell, struct troupe_msg *msg)
{
    switch (troupe_msg_lane(msg)) {
    case TROUPE_LANE_CONTROL:
        trp_lane_push(&cell->control, msg);
        cell->priority |= TRP_PRIORITY_LANES;
        break;
    case TROUPE_LANE_REPLY:
        trp_lane_push(&cell->reply, msg);
        cell->priority |= TRP_PRIORITY_LANES;
        break;
    case TROUPE_LANE_DATA:
        if (trp_cell_push_data(cell, msg, trp_msg_weight(msg)) &&
            (cell->gate & TRP_GATE_FULL) == 0) {
            trp_cell_became_full(worker, cell, msg->type);
        }
        break;
    }
    if (cell->status != TRP_CELL_RESERVED && cell->status != TRP_CELL_SUSPENDED) {
        trp_cell_schedule(worker, cell);
    }
}

/* What an asker hears when its request is dropped. */
static enum troupe_status status_of_drop(enum troupe_drop_reason reason)
{
    return reason == TROUPE_DROP_EXPIRED  ? TROUPE_EEXPIRED
           : reason == TROUPE_DROP_FAILED ? TROUPE_ENOREPLY
                                          : TROUPE_EDEAD;
}

void trp_worker_drop(struct trp_worker *worker,
                     struct troupe_msg *msg,
                     enum troupe_drop_reason reason)
{
    if ((msg->flags & TROUPE_MSG_EMBEDDED) != 0) {
        if (msg->type == TRP_MSG_RX) {
            worker->driver->release(worker->driver_state, (struct trp_rx *)msg);
        }
        return; /* embedded nodes are not counted: nobody sent them */
    }
    bool is_of_core = msg->type >= TRP_MSG_CORE && troupe_msg_lane(msg) == TROUPE_LANE_CONTROL &&
                      (msg->flags & TROUPE_MSG_ASK) == 0;
    if (msg->type == TRP_MSG_ROOM || is_of_core) {
        trp_count(&worker->stats.processed, 1); /* nobody is left who wanted to know */
        trp_msg_free(msg);
        return;
    }
    trp_count(&worker->stats.dropped[reason], 1);
    trp_record(&worker->recorder, TRP_EVENT_DROP, msg->to, msg->type, (uint16_t)reason);
    trp_count(&worker->stats.reported, 1);
    if (worker->pool->config.dead_letter_cb != NULL) {
        /* a message in a carrier is what somebody misses, not the carrier */
        const struct troupe_msg *carried = trp_msg_carried(msg);
        worker->pool->config.dead_letter_cb(worker->pool->config.dead_letter_arg,
                                            carried != NULL ? carried : msg, reason);
    }
    if ((msg->flags & TROUPE_MSG_ASK) != 0) {
        trp_core()->unanswered(worker, msg, status_of_drop(reason));
        return;
    }
    trp_msg_free(msg);
}

void trp_worker_deliver(struct trp_worker *worker, struct troupe_msg *msg)
{
    struct trp_cell *cell = trp_cells_find(&worker->cells, msg->to);
    /* a free cell's ref is one that nobody was given yet: it is forged, or of another pool */
    bool is_live = cell != NULL && cell->status != TRP_CELL_ZOMBIE && cell->status != TRP_CELL_FREE;
    if (msg->type == TRP_MSG_STOP && !is_live) {
        TROUPE_ASSERT(cell != NULL); /* its own node on the way keeps a cell */
        (void)trp_cell_take_end(cell);
        cell->is_end_coming = 0;
        trp_cell_free_zombie(worker, cell);
        return;
    }
    if (!is_live && msg->type >= TRP_MSG_CORE && trp_core() != NULL &&
        troupe_msg_lane(msg) == TROUPE_LANE_CONTROL) {
        trp_count(&worker->stats.processed, 1);
        (void)trp_core()->control(&worker->ctx, NULL, msg);
        return;
    }
    if (!is_live) {
        trp_worker_drop(worker, msg, TROUPE_DROP_DEAD);
        return;
    }
    if (cell->status == TRP_CELL_SUSPENDED && troupe_msg_lane(msg) == TROUPE_LANE_CONTROL) {
        trp_cell_suspended_control(worker, cell, msg);
        return;
    }
    if (cell->status == TRP_CELL_DRAINING && troupe_msg_lane(msg) == TROUPE_LANE_DATA) {
        /* as send_local refuses it; otherwise remote senders could keep it from ever ending */
        trp_worker_drop(worker, msg, TROUPE_DROP_STOPPED);
        return;
    }
    trp_cell_enqueue(worker, cell, msg);
}
