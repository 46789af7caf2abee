#include "pool/observe.h"
#include "pool/worker.h"

#include <troupe/assert.h>

const struct trp_core_hooks *trp_core_hooks;

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
        trp_run_queue_push(is_urgent ? &worker->urgent : &worker->normal, cell);
    }
}

void trp_cell_enqueue(struct trp_worker *worker, struct trp_cell *cell, struct troupe_msg *msg)
{
    switch (troupe_msg_lane(msg)) {
    case TROUPE_LANE_CONTROL:
        trp_lane_push(&cell->control, msg);
        cell->has_priority = 1;
        break;
    case TROUPE_LANE_REPLY:
        trp_lane_push(&cell->reply, msg);
        cell->has_priority = 1;
        break;
    case TROUPE_LANE_DATA:
        if (trp_cell_push_data(cell, msg, trp_msg_weight(msg)) &&
            (cell->gate & TRP_GATE_FULL) == 0) {
            trp_cells_publish_full(&worker->cells, cell, true);
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

/* --- the turn --- */

static enum troupe_verdict take_end_node(struct trp_cell *cell, enum troupe_down_reason *reason)
{
    switch (trp_cell_take_end(cell)) {
    case TRP_END_DRAIN:
        trp_cell_set_status(cell, TRP_CELL_DRAINING);
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

/* With none of these a message is over when its node is free. */
#define FINISH_FLAGS                                                                               \
    (TROUPE_MSG_EMBEDDED | TROUPE_MSG_ASK | TROUPE_MSG_OWNS_BUF | TROUPE_MSG_OWNS_MSG)

/* Of one actor. */
struct turn {
    enum troupe_verdict verdict;
    enum troupe_down_reason reason; /* when the verdict is to stop */
    uint64_t started_ns;
};

/* Hands a message to the actor and finishes it. A failed one is reported, not processed. */
static inline __attribute__((always_inline)) enum troupe_verdict
call(struct trp_worker *worker, struct trp_cell *cell, struct troupe_msg *msg)
{
    struct troupe_ctx *ctx = &worker->ctx;
    ctx->msg = msg;
    worker->handled++;
    enum troupe_verdict verdict = cell->type->receive_cb(ctx, cell->state, msg);
    msg = ctx->msg;
    if (msg == NULL) {
        return verdict; /* taken */
    }
    ctx->msg = NULL;
    if (__builtin_expect(verdict == TROUPE_FAIL, 0)) {
        worker->handled--;
        trp_worker_drop(worker, msg, TROUPE_DROP_FAILED);
    } else if (__builtin_expect((msg->flags & FINISH_FLAGS) == 0, 1)) {
        trp_heap_free(msg);
    } else {
        finish_message(worker, msg);
    }
    return verdict;
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
    trp_count(&worker->stats.processed, 1);
    enum troupe_verdict verdict = trp_core()->reply(ctx, msg);
    msg = ctx->msg;
    ctx->msg = NULL;
    if (msg != NULL && verdict == TROUPE_FAIL) {
        trp_count(&worker->stats.processed, (uint64_t)-1);
        trp_worker_drop(worker, msg, TROUPE_DROP_FAILED);
    } else if (msg != NULL) {
        finish_message(worker, msg);
    }
    return verdict;
}

/* Everything but a plain data message. */
static enum troupe_verdict handle_special(struct trp_worker *worker,
                                          struct trp_cell *cell,
                                          struct troupe_msg *msg,
                                          enum troupe_down_reason *reason)
{
    struct troupe_ctx *ctx = &worker->ctx;
    if ((msg->size_class & TRP_MSG_STAMPED) != 0) {
        trp_observe_waited(worker, cell, worker->now_ns - trp_msg_take_stamp(msg));
    }
    if (is_expired(worker, msg)) {
        trp_worker_drop(worker, msg, TROUPE_DROP_EXPIRED);
        return TROUPE_CONTINUE;
    }
    if (msg->type == TRP_MSG_STOP) {
        ctx->msg = NULL;
        return take_end_node(cell, reason);
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
    return call(worker, cell, msg);
}

/* A plain data message has none of these and lies in the data lane. */
#define SPECIAL_FLAGS                                                                              \
    (TROUPE_MSG_LANE_MASK | TROUPE_MSG_EMBEDDED | TROUPE_MSG_EXTENDED | TROUPE_MSG_REPLY |         \
     TROUPE_MSG_OWNS_MSG)

static inline bool is_special(const struct troupe_msg *msg)
{
    return (msg->flags & SPECIAL_FLAGS) != 0 || (msg->size_class & TRP_MSG_STAMPED) != 0;
}

static inline enum troupe_verdict handle(struct trp_worker *worker,
                                         struct trp_cell *cell,
                                         struct troupe_msg *msg,
                                         enum troupe_down_reason *reason)
{
    if (__builtin_expect(is_special(msg), 0)) {
        return handle_special(worker, cell, msg, reason);
    }
    return call(worker, cell, msg);
}

static inline struct troupe_msg *pop_data(struct trp_worker *worker, struct trp_cell *cell)
{
    struct troupe_msg *msg = trp_lane_pop(&cell->data);
    if (msg == NULL) {
        return NULL;
    }
    cell->data_room++;
    cell->byte_room += trp_msg_weight(msg);
    if (__builtin_expect((cell->gate & TRP_GATE_FULL) != 0, 0) && !trp_cell_is_at_bound(cell)) {
        trp_cells_publish_full(&worker->cells, cell, false);
    }
    return msg;
}

/* The next message in order of lanes; a run of control messages lets others through now and then.
 */
static __attribute__((noinline)) struct troupe_msg *next_by_lane(struct trp_worker *worker,
                                                                 struct trp_cell *cell)
{
    struct troupe_msg *msg;
    if (worker->control_run < TRP_TURN_CONTROL_MAX) {
        msg = trp_lane_pop(&cell->control);
        if (msg != NULL) {
            worker->control_run++;
            return msg;
        }
    }
    worker->control_run = 0;
    msg = trp_lane_pop(&cell->reply);
    if (msg == NULL) {
        cell->has_priority = !trp_lane_is_empty(&cell->control);
        msg = pop_data(worker, cell);
    }
    return msg != NULL ? msg : trp_lane_pop(&cell->control);
}

static inline struct troupe_msg *next_message(struct trp_worker *worker, struct trp_cell *cell)
{
    return __builtin_expect(cell->has_priority, 0) ? next_by_lane(worker, cell)
                                                   : pop_data(worker, cell);
}

/* --- ticks --- */

/*
 * A message at which the clock is read. Every fourth time, and each time while handlers are slow,
 * it is read before the handler too, which makes a sample of the actor's type.
 */
static enum troupe_verdict handle_ticked(struct trp_worker *worker,
                                         struct trp_cell *cell,
                                         struct troupe_msg *msg,
                                         enum troupe_down_reason *reason)
{
    uint16_t type = msg->type;
    uint32_t every = worker->tick_every;
    bool is_sampled = worker->ticks++ % TRP_SAMPLE_TICKS == 0 || every == 1;
    if (is_sampled) {
        trp_worker_read_clock(worker);
    }
    uint64_t before_ns = worker->now_ns;
    enum troupe_verdict verdict = handle(worker, cell, msg, reason);
    trp_worker_read_clock(worker);
    if (is_sampled) {
        trp_observe_handled(worker, cell, type, worker->now_ns - before_ns,
                            every == 1 ? 1 : every * TRP_SAMPLE_TICKS);
    }
    trp_worker_ticked(worker);
    return verdict;
}

void trp_worker_ticked(struct trp_worker *worker)
{
    bool is_quick = worker->now_ns - worker->ticked_ns < TRP_TICK_QUICK_NS;
    uint32_t every = is_quick ? worker->tick_every * 2 : worker->tick_every / 4;
    worker->tick_every = every == 0 ? 1 : every > TRP_TICK_EVERY ? TRP_TICK_EVERY : every;
    worker->tick_left = worker->tick_every;
    worker->ticked_ns = worker->now_ns;
    trp_count(&worker->heartbeat, 1);
    worker->sample_next = 1;
    if (worker->now_ns - worker->polled_ns >= TRP_POLL_EVERY_NS) {
        worker->is_poll_due = 1;
    }
}

/* --- the turn --- */

/* A message, and a look at the clock when it is time for one. True = the turn is used up. */
static inline bool run_message(struct trp_worker *worker,
                               struct trp_cell *cell,
                               struct troupe_msg *msg,
                               struct turn *turn)
{
    worker->last_type = msg->type; /* for the recorder */
    if (__builtin_expect(--worker->tick_left == 0, 0)) {
        turn->verdict = handle_ticked(worker, cell, msg, &turn->reason);
        return worker->now_ns - turn->started_ns >= TRP_TURN_NS;
    }
    turn->verdict = handle(worker, cell, msg, &turn->reason);
    return false;
}

/* What is left to do after the messages of a turn, other than nothing. */
static __attribute__((noinline)) void
finish_turn(struct trp_worker *worker, struct trp_cell *cell, const struct turn *turn)
{
    enum troupe_verdict verdict = turn->verdict;
    if (verdict == TROUPE_CONTINUE && cell->status == TRP_CELL_DRAINING &&
        trp_lane_is_empty(&cell->data)) {
        verdict = TROUPE_STOP;
    }
    if (verdict != TROUPE_CONTINUE) {
        trp_cell_end(worker, cell, verdict == TROUPE_FAIL ? TROUPE_DOWN_FAILED : turn->reason);
        return;
    }
    cell->is_scheduled = 0;
    if (trp_cell_has_messages(cell)) {
        trp_cell_schedule(worker, cell);
    }
}

static inline void run_cell(struct trp_worker *worker, struct trp_cell *cell)
{
    struct turn turn = {TROUPE_CONTINUE, TROUPE_DOWN_NORMAL, worker->now_ns};
    if (__builtin_expect(cell->data_room < cell->data_room_min, 0)) {
        cell->data_room_min = cell->data_room;
    }
    worker->ctx.cell = cell;
    worker->handled = 0;
    worker->control_run = 0;
    struct troupe_msg *msg = NULL;
    for (uint32_t left = worker->turn_messages_max; left > 0; left--) {
        msg = next_message(worker, cell);
        if (msg == NULL) {
            break;
        }
        bool is_over = run_message(worker, cell, msg, &turn);
        if (__builtin_expect(turn.verdict != TROUPE_CONTINUE || is_over, 0)) {
            break;
        }
    }
    worker->ctx.cell = NULL;
    trp_count(&worker->stats.processed, worker->handled);
    cell->processed += worker->handled;
    trp_record(&worker->recorder, TRP_EVENT_TURN, trp_cell_ref(cell), worker->last_type,
               (uint16_t)worker->handled);
    if (__builtin_expect(msg == NULL && cell->gate == 0, 1)) {
        cell->is_scheduled = 0; /* it ran dry */
    } else {
        finish_turn(worker, cell, &turn);
    }
}

/* Actors with control messages come first, but let others through now and then. */
static __attribute__((noinline)) struct trp_cell *next_urgent(struct trp_worker *worker)
{
    if (worker->urgent_run < TRP_URGENT_RUN_MAX || worker->normal.head == NULL) {
        worker->urgent_run++;
        return run_queue_pop(&worker->urgent);
    }
    worker->urgent_run = 0;
    return run_queue_pop(&worker->normal);
}

static inline struct trp_cell *next_cell(struct trp_worker *worker)
{
    if (__builtin_expect(worker->urgent.head != NULL, 0)) {
        return next_urgent(worker);
    }
    return run_queue_pop(&worker->normal);
}

bool trp_worker_run(struct trp_worker *worker)
{
    bool did_work = false;
    worker->is_poll_due = worker->pool->is_simulated;
    struct trp_cell *cell;
    while ((cell = next_cell(worker)) != NULL) {
        did_work = true;
        run_cell(worker, cell);
        trp_worker_settle(worker);
        if (worker->is_poll_due || trp_inbox_is_touched(&worker->inbox)) {
            break;
        }
    }
    return did_work;
}
