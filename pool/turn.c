/*
 * The turn of an actor: up to 64 messages or 200 us. This file is what every message passes
 * through, so it holds the short way only; whatever is out of the ordinary goes to handle.c.
 */

#include "pool/observe.h"
#include "pool/worker.h"

#include <string.h>
#include <troupe/assert.h>

static struct trp_cell *run_queue_pop(struct trp_run_queue *queue)
{
    struct trp_cell *cell = queue->head;
    if (cell != NULL) {
        queue->head = cell->run_next;
    }
    return cell;
}

/* --- the next message --- */

static struct troupe_msg *pop_data(struct trp_worker *worker, struct trp_cell *cell)
{
    struct troupe_msg *msg = trp_lane_pop(&cell->data);
    if (msg == NULL) {
        return NULL;
    }
    cell->data_room++;
    cell->byte_room += trp_msg_weight(msg);
    if ((cell->gate & TRP_GATE_FULL) != 0 && !trp_cell_is_at_bound(cell)) {
        trp_cells_publish_full(&worker->cells, cell, false);
    }
    return msg;
}

/* A control message, unless a run of them lets others through; counts it. */
static struct troupe_msg *pop_control(struct trp_cell *cell)
{
    bool is_run_over = (cell->priority & TRP_PRIORITY_CONTROLS) == TRP_PRIORITY_CONTROLS;
    struct troupe_msg *msg = is_run_over ? NULL : trp_lane_pop(&cell->control);
    if (msg != NULL) {
        cell->priority = (uint8_t)(cell->priority + TRP_PRIORITY_CONTROL);
    } else {
        cell->priority &= (uint8_t)~TRP_PRIORITY_CONTROLS;
    }
    return msg;
}

/* A reply, unless it is a data message's turn; counts it. */
static struct troupe_msg *pop_reply(struct trp_cell *cell)
{
    bool is_run_over = (cell->priority & TRP_PRIORITY_REPLIES) == TRP_PRIORITY_REPLIES;
    if (is_run_over && !trp_lane_is_empty(&cell->data)) {
        return NULL;
    }
    struct troupe_msg *msg = trp_lane_pop(&cell->reply);
    if (msg == NULL) {
        return NULL;
    }
    if (!is_run_over) {
        cell->priority = (uint8_t)(cell->priority + TRP_PRIORITY_REPLY);
    }
    if (cell->status == TRP_CELL_DRAINING && cell->end_msg.size != 0) {
        cell->end_msg.size--;
    }
    return msg;
}

/*
 * In order of lanes: a single stop or kill comes before anything else. But a run of control
 * messages lets another one through, and a run of replies a data message: a lane that never runs
 * dry must not starve those below it, however short the turns are. So the runs are counted in the
 * cell.
 */
static struct troupe_msg *next_by_lane(struct trp_worker *worker, struct trp_cell *cell)
{
    struct troupe_msg *msg = pop_control(cell);
    if (msg == NULL) {
        msg = pop_reply(cell);
    }
    if (msg != NULL) {
        return msg;
    }
    msg = pop_data(worker, cell);
    if (msg == NULL) {
        msg = trp_lane_pop(&cell->control); /* there was nobody to let through */
    }
    bool has_more = !trp_lane_is_empty(&cell->control) || !trp_lane_is_empty(&cell->reply);
    cell->priority = has_more ? TRP_PRIORITY_LANES : 0;
    return msg;
}

/* True for a data message with nothing out of the ordinary. */
static inline bool is_plain(const struct troupe_msg *msg)
{
    static const uint8_t special[2] = {TRP_MSG_SPECIAL_FLAGS, TRP_MSG_STAMPED};
    uint16_t unwanted;
    uint16_t found;
    memcpy(&unwanted, special, sizeof(unwanted));
    memcpy(&found, &msg->flags, sizeof(found)); /* flags and size_class */
    return (found & unwanted) == 0;
}

static inline void
pop_plain(struct trp_worker *worker, struct trp_cell *cell, struct troupe_msg *msg)
{
    struct troupe_msg *tail = cell->data.tail;
    if (msg == tail) {
        cell->data.tail = NULL;
    } else {
        tail->next = msg->next;
    }
    cell->data_room++;
    cell->byte_room += (uint32_t)sizeof(*msg) + msg->size;
    if (__builtin_expect((cell->gate & TRP_GATE_FULL) != 0, 0) && !trp_cell_is_at_bound(cell)) {
        trp_cells_publish_full(&worker->cells, cell, false);
    }
}

/* --- ticks --- */

void trp_worker_ticked(struct trp_worker *worker)
{
    bool is_quick = worker->now_ns - worker->ticked_ns < TRP_TICK_QUICK_NS;
    uint32_t every = is_quick ? worker->tick_every * 2 : worker->tick_every / 4;
    worker->tick_every = every == 0 ? 1 : every > TRP_TICK_EVERY ? TRP_TICK_EVERY : every;
    worker->tick_left = worker->tick_every;
    worker->ticked_ns = worker->now_ns;
    trp_count(&worker->heartbeat, 1);
    if (worker->now_ns - worker->polled_ns >= TRP_POLL_EVERY_NS) {
        worker->attention |= TRP_ATTENTION_POLL;
    }
}

/*
 * A message at which the clock is read. Every fourth time, and each time while handlers are slow,
 * it is read before the handler too, which makes a sample of the actor's type.
 */
static __attribute__((noinline)) enum troupe_verdict
handle_ticked(struct trp_worker *worker, struct trp_cell *cell, struct troupe_msg *msg)
{
    uint16_t type = msg->type;
    uint32_t every = worker->tick_every;
    bool is_sampled = worker->ticks++ % TRP_SAMPLE_TICKS == 0 || every == 1;
    if (is_sampled) {
        trp_worker_read_clock(worker);
    }
    uint64_t before_ns = worker->now_ns;
    enum troupe_verdict verdict = trp_handle(worker, cell, msg);
    trp_worker_read_clock(worker);
    if (is_sampled) {
        trp_observe_handled(worker, cell, type, worker->now_ns - before_ns,
                            every == 1 ? 1 : every * TRP_SAMPLE_TICKS);
        worker->sample_next = 1;
    }
    trp_worker_ticked(worker);
    bool is_over = worker->now_ns - worker->turn_started_ns >= TRP_TURN_NS;
    return verdict == TROUPE_CONTINUE && is_over ? TROUPE_YIELD : verdict;
}

/* --- the turn --- */

/* The turn ends for want of messages: no handler says this. */
#define VERDICT_DRY ((enum troupe_verdict)0x64727921)

/* Anything but a plain message. */
static __attribute__((noinline)) enum troupe_verdict run_other(struct trp_worker *worker,
                                                               struct trp_cell *cell)
{
    struct troupe_msg *msg = next_by_lane(worker, cell);
    if (msg == NULL) {
        return VERDICT_DRY;
    }
    worker->last_type = msg->type;
    return --worker->tick_left == 0 ? handle_ticked(worker, cell, msg)
                                    : trp_handle(worker, cell, msg);
}

/* A plain data message, counted, handed over and freed. */
static inline enum troupe_verdict
run_plain(struct trp_worker *worker, struct trp_cell *cell, struct troupe_msg *msg)
{
    struct troupe_ctx *ctx = &worker->ctx;
    worker->last_type = msg->type;
    pop_plain(worker, cell, msg);
    if (__builtin_expect(--worker->tick_left == 0, 0)) {
        return handle_ticked(worker, cell, msg);
    }
    ctx->msg = msg;
    enum troupe_verdict verdict = cell->type->receive_cb(ctx, cell->state, msg);
    if (__builtin_expect(verdict != TROUPE_CONTINUE, 0)) {
        return trp_handle_rest(worker, verdict);
    }
    worker->handled++;
    if (ctx->msg != NULL) {
        ctx->msg = NULL;
        trp_heap_free_to(&worker->heap, msg);
    }
    return TROUPE_CONTINUE;
}

/* Of two ends that meet, the harsher one wins: also when the actor killed itself and then stops. */
static void
end_by_verdict(struct trp_worker *worker, struct trp_cell *cell, enum troupe_verdict verdict)
{
    enum troupe_down_reason reason =
        verdict == TROUPE_FAIL ? TROUPE_DOWN_FAILED : (enum troupe_down_reason)worker->end_reason;
    worker->end_reason = TROUPE_DOWN_NORMAL;
    if (trp_cell_asked_end(cell) == TRP_END_KILL) {
        reason = TROUPE_DOWN_KILLED;
    }
    trp_cell_end(worker, cell, reason);
}

/* What is left to do after the messages of a turn, other than nothing. */
static __attribute__((noinline)) void
finish_turn(struct trp_worker *worker, struct trp_cell *cell, enum troupe_verdict verdict)
{
    bool is_drained = cell->status == TRP_CELL_DRAINING && trp_lane_is_empty(&cell->data) &&
                      (cell->end_msg.size == 0 || trp_lane_is_empty(&cell->reply));
    TROUPE_ASSERT(verdict == VERDICT_DRY || (unsigned)verdict <= TROUPE_YIELD); /* of a handler */
    if (verdict == TROUPE_FAIL || verdict == TROUPE_STOP) {
        end_by_verdict(worker, cell, verdict);
    } else if (is_drained) {
        trp_cell_end(worker, cell, TROUPE_DOWN_NORMAL);
    } else {
        cell->is_scheduled = 0;
        if (trp_cell_has_messages(cell)) {
            trp_cell_schedule(worker, cell);
        }
        if ((cell->gate & TRP_GATE_AWAITED) != 0) {
            trp_core()->room(worker, cell);
        }
    }
}

/* The next message, whatever it is. */
static inline enum troupe_verdict run_next(struct trp_worker *worker, struct trp_cell *cell)
{
    struct troupe_msg *tail = cell->data.tail;
    if (__builtin_expect(cell->priority != 0, 0)) {
        return run_other(worker, cell);
    }
    if (tail == NULL) {
        return VERDICT_DRY;
    }
    return __builtin_expect(is_plain(tail->next), 1) ? run_plain(worker, cell, tail->next)
                                                     : run_other(worker, cell);
}

static inline void run_cell(struct trp_worker *worker, struct trp_cell *cell)
{
    enum troupe_verdict verdict;
    uint32_t left = worker->turn_messages_max;
    if (__builtin_expect(cell->data_room < cell->data_room_min, 0)) {
        cell->data_room_min = cell->data_room;
    }
    worker->ctx.cell = cell;
    worker->handled = 0;
    worker->turn_started_ns = worker->now_ns;
    do {
        verdict = run_next(worker, cell);
    } while (verdict == TROUPE_CONTINUE && --left != 0);
    trp_count(&worker->stats.processed, worker->handled);
    cell->processed += worker->handled;
    trp_record_turn(&worker->recorder, trp_cell_ref(cell), worker->last_type, worker->handled);
    if (__builtin_expect(verdict == VERDICT_DRY && cell->gate == 0, 1)) {
        cell->is_scheduled = 0;
    } else {
        finish_turn(worker, cell, verdict);
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
    struct trp_cell *cell;
    worker->attention = worker->pool->is_simulated ? TRP_ATTENTION_POLL : 0;
    while ((cell = next_cell(worker)) != NULL) {
        did_work = true;
        run_cell(worker, cell);
        if (__builtin_expect(worker->attention != 0, 0)) {
            trp_worker_settle(worker);
            if ((worker->attention & TRP_ATTENTION_POLL) != 0) {
                break;
            }
        }
        if (trp_inbox_is_touched(&worker->inbox)) {
            break;
        }
    }
    worker->ctx.cell = NULL;
    return did_work;
}
