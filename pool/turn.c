#include "pool/worker.h"

#include <troupe/assert.h>

const struct trp_core_hooks *trp_core_hooks;

static void run_queue_push(struct trp_run_queue *queue, struct trp_cell *cell)
{
    cell->run_next = NULL;
    if (queue->head == NULL) {
        queue->head = cell;
    } else {
        queue->tail->run_next = cell;
    }
    queue->tail = cell;
}

static struct trp_cell *run_queue_pop(struct trp_run_queue *queue)
{
    struct trp_cell *cell = queue->head;
    if (cell != NULL) {
        queue->head = cell->run_next;
        cell->run_next = NULL;
    }
    return cell;
}

void trp_cell_schedule(struct trp_worker *worker, struct trp_cell *cell)
{
    if (!cell->is_scheduled) {
        cell->is_scheduled = 1;
        bool is_urgent = !trp_lane_is_empty(&cell->control);
        run_queue_push(is_urgent ? &worker->urgent : &worker->normal, cell);
    }
}

static bool is_at_bound(const struct trp_cell *cell)
{
    return cell->data_count >= cell->data_count_max || cell->data_bytes >= cell->data_bytes_max;
}

void trp_cell_enqueue(struct trp_worker *worker, struct trp_cell *cell, struct troupe_msg *msg)
{
    switch (troupe_msg_lane(msg)) {
    case TROUPE_LANE_CONTROL:
        trp_lane_push(&cell->control, msg);
        break;
    case TROUPE_LANE_REPLY:
        trp_lane_push(&cell->reply, msg);
        break;
    case TROUPE_LANE_DATA:
        trp_lane_push(&cell->data, msg);
        cell->data_count++;
        cell->data_bytes += trp_msg_weight(msg);
        if (!cell->is_full && is_at_bound(cell)) {
            trp_cells_publish_full(&worker->cells, cell, true);
        }
        break;
    }
    if (cell->status != TRP_CELL_RESERVED) {
        trp_cell_schedule(worker, cell);
    }
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
    trp_count(&worker->stats.dropped[reason], 1);
    trp_count(&worker->stats.reported, 1);
    if (worker->pool->config.dead_letter_cb != NULL) {
        /* a message in a carrier is what somebody misses, not the carrier */
        const struct troupe_msg *carried = trp_msg_carried(msg);
        worker->pool->config.dead_letter_cb(worker->pool->config.dead_letter_arg,
                                            carried != NULL ? carried : msg, reason);
    }
    if ((msg->flags & TROUPE_MSG_ASK) != 0) {
        trp_core()->unanswered(worker, msg,
                               reason == TROUPE_DROP_EXPIRED ? TROUPE_EEXPIRED : TROUPE_EDEAD);
        return;
    }
    trp_msg_free(msg);
}

void trp_worker_deliver(struct trp_worker *worker, struct troupe_msg *msg)
{
    struct trp_cell *cell = trp_cells_find(&worker->cells, msg->to);
    bool is_live = cell != NULL && cell->status != TRP_CELL_ZOMBIE;
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
    if (cell->status == TRP_CELL_DRAINING && troupe_msg_lane(msg) == TROUPE_LANE_DATA) {
        /* as send_local refuses it; otherwise remote senders could keep it from ever ending */
        trp_worker_drop(worker, msg, TROUPE_DROP_STOPPED);
        return;
    }
    trp_cell_enqueue(worker, cell, msg);
}

/* --- the turn --- */

static enum troupe_verdict take_end_node(struct trp_cell *cell, enum troupe_down_reason *reason)
{
    switch (trp_cell_take_end(cell)) {
    case TRP_END_DRAIN:
        cell->status = TRP_CELL_DRAINING;
        return TROUPE_CONTINUE;
    case TRP_END_KILL:
        *reason = TROUPE_DOWN_KILLED;
        return TROUPE_STOP;
    case TRP_END_STOP:
    case TRP_END_NONE:
    case TRP_END_OVER:
        break;
    }
    *reason = TROUPE_DOWN_NORMAL;
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

static bool is_expired(const struct trp_worker *worker, const struct troupe_msg *msg)
{
    if ((msg->flags & TROUPE_MSG_EXTENDED) == 0 || troupe_msg_lane(msg) != TROUPE_LANE_DATA) {
        return false;
    }
    uint64_t deadline_ns = ((const struct troupe_msg_extension *)(msg + 1))->deadline_ns;
    return deadline_ns != 0 && worker->now_ns >= deadline_ns;
}

static enum troupe_verdict handle(struct trp_worker *worker,
                                  struct trp_cell *cell,
                                  struct troupe_msg *msg,
                                  enum troupe_down_reason *reason)
{
    struct troupe_ctx *ctx = &worker->ctx;
    enum troupe_verdict verdict;
    bool is_embedded = (msg->flags & TROUPE_MSG_EMBEDDED) != 0;
    /* an embedded node may be gone with its object when the handler returns; only a received
     * buffer is the worker's to finish */
    ctx->msg = !is_embedded || msg->type == TRP_MSG_RX ? msg : NULL;
    if (msg->type >= TROUPE_MSG_RESERVED) {
        if (msg->type == TRP_MSG_STOP) {
            ctx->msg = NULL;
            return take_end_node(cell, reason);
        }
        if (msg->type >= TRP_MSG_CORE && troupe_msg_lane(msg) == TROUPE_LANE_CONTROL) {
            ctx->msg = NULL;
            trp_count(&worker->stats.processed, 1);
            return trp_core()->control(ctx, cell, msg);
        }
        if (msg->type == TRP_MSG_OP) {
            trp_op_received((struct trp_op *)msg);
        }
    } else if (is_embedded) {
        trp_timer_received((struct troupe_timer *)msg);
    }
    if (!is_embedded) {
        trp_count(&worker->stats.processed, 1);
    }
    if ((msg->flags & TROUPE_MSG_REPLY) != 0) {
        verdict = trp_core()->reply(ctx, msg);
    } else {
        verdict = cell->type->receive_cb(ctx, cell->state, msg);
    }
    if (ctx->msg != NULL) {
        finish_message(worker, ctx->msg);
        ctx->msg = NULL;
    }
    return verdict;
}

/* The next message in order of lanes; a run of control messages lets others through now and then.
 */
static struct troupe_msg *
next_message(struct trp_worker *worker, struct trp_cell *cell, uint32_t *control_run)
{
    struct troupe_msg *msg;
    if (*control_run < TRP_TURN_CONTROL_MAX) {
        msg = trp_lane_pop(&cell->control);
        if (msg != NULL) {
            (*control_run)++;
            return msg;
        }
    }
    *control_run = 0;
    msg = trp_lane_pop(&cell->reply);
    if (msg != NULL) {
        return msg;
    }
    msg = trp_lane_pop(&cell->data);
    if (msg != NULL) {
        cell->data_count--;
        cell->data_bytes -= trp_msg_weight(msg);
        if (cell->is_full && !is_at_bound(cell)) {
            trp_cells_publish_full(&worker->cells, cell, false);
        }
        return msg;
    }
    return trp_lane_pop(&cell->control);
}

static void run_cell(struct trp_worker *worker, struct trp_cell *cell)
{
    uint64_t started_ns = worker->now_ns;
    uint32_t control_run = 0;
    enum troupe_down_reason reason = TROUPE_DOWN_NORMAL;
    enum troupe_verdict verdict = TROUPE_CONTINUE;
    worker->ctx.cell = cell;
    for (uint32_t n = 1; n <= worker->turn_messages_max && verdict == TROUPE_CONTINUE; n++) {
        struct troupe_msg *msg = next_message(worker, cell, &control_run);
        if (msg == NULL) {
            break;
        }
        if (is_expired(worker, msg)) {
            trp_worker_drop(worker, msg, TROUPE_DROP_EXPIRED);
            continue;
        }
        verdict = handle(worker, cell, msg, &reason);
        if (++worker->since_clock >= TRP_TURN_CLOCK_EVERY) {
            trp_worker_read_clock(worker);
        }
        /* timers and asks read the clock too, and start the count of messages anew */
        if (worker->now_ns - started_ns >= TRP_TURN_NS) {
            break;
        }
    }
    worker->ctx.cell = NULL;
    bool has_more = trp_cell_has_messages(cell);
    if (verdict == TROUPE_CONTINUE && cell->status == TRP_CELL_DRAINING &&
        trp_lane_is_empty(&cell->data)) {
        verdict = TROUPE_STOP;
    }
    if (verdict != TROUPE_CONTINUE) {
        trp_cell_end(worker, cell, verdict == TROUPE_FAIL ? TROUPE_DOWN_FAILED : reason);
        return;
    }
    cell->is_scheduled = 0;
    if (has_more) {
        trp_cell_schedule(worker, cell);
    }
}

bool trp_worker_run_next(struct trp_worker *worker)
{
    struct trp_cell *cell = NULL;
    if (worker->urgent_run < TRP_URGENT_RUN_MAX) {
        cell = run_queue_pop(&worker->urgent);
        worker->urgent_run++;
    }
    if (cell == NULL) {
        worker->urgent_run = 0; /* actors that keep getting control messages let others through */
        cell = run_queue_pop(&worker->normal);
    }
    if (cell == NULL) {
        cell = run_queue_pop(&worker->urgent);
    }
    if (cell == NULL) {
        return false;
    }
    run_cell(worker, cell);
    return true;
}
