/*
 * Waiting for room. The request's node is the record at the receiver and travels back as the
 * notice; who waits keeps a relation with a reserved node that always goes to the receiver once,
 * after the notice was handled or when the wait ended before. So the receiver knows how many of
 * those it told have not had their try yet: it tells the next ones when they had, and a notice that
 * nobody makes use of wakes somebody else. Whatever was sent in answer to a notice is in the lane
 * when the reserved node arrives, for it took the same way.
 */

#include "actors/core/core.h"

#include <troupe/assert.h>

/* What has to be free for each one that is told. */
#define ROOM_MESSAGES 64
#define ROOM_BYTES    4096
/* So many at a time need no bound but the above. */
#define RAMP_MAX 15u

/* Payload of request and notice: the same node all its life. */
struct room_node {
    struct troupe_room room; /* first: what the handler gets */
    troupe_ref waiter;
    uint64_t id;
    uint16_t user_type;
};

/* Payload of the reserved node. */
struct end_node {
    troupe_ref waiter;
    uint64_t id;
    bool was_told; /* else it may still wait */
};

static struct room_node *node_of(const struct troupe_msg *msg)
{
    return troupe_msg_data(msg);
}

/* --- who waits --- */

enum troupe_status troupe_await_room(struct troupe_ctx *ctx, troupe_ref ref, uint16_t type)
{
    struct trp_worker *worker = ctx->worker;
    struct trp_pair pair = {.request_type = TRP_MSG_CORE_ROOM,
                            .request_size = sizeof(struct room_node),
                            .ending_type = TRP_MSG_CORE_ROOM_END,
                            .ending_size = sizeof(struct end_node)};
    TROUPE_ASSERT(ctx->cell != NULL);
    TROUPE_ASSERT(type < TROUPE_MSG_RESERVED);
    if (worker->is_stopping) {
        return TROUPE_ECLOSED;
    }
    struct trp_relation *relation =
        trp_relation_reserve(worker, ctx->cell, TRP_RELATION_ROOM, &pair);
    if (relation == NULL) {
        return TROUPE_ENOMEM;
    }
    relation->room.target = ref;
    relation->room.ending = pair.ending;
    struct room_node *node = node_of(pair.request);
    node->room.ref = ref;
    node->waiter = trp_cell_ref(ctx->cell);
    node->id = trp_relation_id(relation);
    node->user_type = type;
    struct end_node *end = troupe_msg_data(pair.ending);
    end->waiter = node->waiter;
    end->id = node->id;
    trp_worker_post(worker, ref, TROUPE_LANE_CONTROL, pair.request);
    return TROUPE_OK;
}

void trp_room_end(struct trp_worker *worker, struct trp_relation *relation)
{
    struct troupe_msg *ending = relation->room.ending;
    troupe_ref target = relation->room.target;
    trp_relation_free(worker, relation);
    trp_worker_post(worker, target, TROUPE_LANE_CONTROL, ending);
}

enum troupe_verdict trp_room_notice(struct troupe_ctx *ctx, struct troupe_msg *msg)
{
    struct trp_worker *worker = ctx->worker;
    struct trp_cell *cell = ctx->cell;
    const struct room_node *node = node_of(msg);
    struct trp_relation *relation = trp_relation_find(worker, node->id, TRP_RELATION_ROOM);
    if (relation == NULL || relation->owner != cell) {
        return TROUPE_CONTINUE; /* of an earlier life */
    }
    struct troupe_msg *ending = relation->room.ending;
    troupe_ref target = relation->room.target;
    trp_relation_free(worker, relation);
    msg->type = node->user_type;
    msg->size = sizeof(struct troupe_room);
    enum troupe_verdict verdict = cell->type->receive_cb(ctx, cell->state, msg);
    struct end_node *end = troupe_msg_data(ending);
    end->was_told = true;
    trp_worker_post(worker, target, TROUPE_LANE_CONTROL, ending);
    return verdict;
}

/* --- the receiver --- */

/* The record travels to who waits as its notice. */
static void
send_notice(struct trp_worker *worker, struct troupe_msg *msg, enum troupe_status status)
{
    struct room_node *node = node_of(msg);
    node->room.status = status;
    msg->type = TRP_MSG_ROOM;
    msg->from = node->room.ref;
    msg->flags |= TROUPE_MSG_REPLY;
    trp_worker_post(worker, node->waiter, TROUPE_LANE_REPLY, msg);
}

static void tell_oldest(struct trp_worker *worker, struct trp_cell *cell, enum troupe_status status)
{
    struct troupe_msg *msg = trp_lane_pop(&cell->extra.waiters);
    if (trp_lane_is_empty(&cell->extra.waiters)) {
        cell->gate &= (uint8_t)~TRP_GATE_AWAITED;
    }
    if (cell->room_told < UINT16_MAX) {
        cell->room_told++;
    }
    send_notice(worker, msg, status);
}

static bool is_half_free(const struct trp_cell *cell)
{
    return cell->data_room + 1 >= trp_cell_count_max(cell) - trp_cell_count_max(cell) / 2 &&
           cell->byte_room + 1 >= trp_cell_bytes_max(cell) - trp_cell_bytes_max(cell) / 2;
}

/* How many may have been told and not have had their try. Only for a lane that is half free. */
static uint32_t allowance(const struct trp_cell *cell)
{
    int64_t by_count = (cell->data_room + (int64_t)1) / ROOM_MESSAGES;
    int64_t by_bytes = (cell->byte_room + (int64_t)1) / ROOM_BYTES;
    int64_t most = by_count < by_bytes ? by_count : by_bytes;
    int64_t ramp = (int64_t)1 << cell->room_ramp;
    most = most < ramp ? most : ramp;
    return most < 1 ? 1 : (uint32_t)most;
}

void trp_room_tell(struct trp_worker *worker, struct trp_cell *cell)
{
    bool is_closed = cell->status == TRP_CELL_DRAINING;
    if (!is_closed && !is_half_free(cell)) {
        return;
    }
    uint32_t most = is_closed ? UINT32_MAX : allowance(cell);
    while (!trp_lane_is_empty(&cell->extra.waiters) && cell->room_told < most) {
        tell_oldest(worker, cell, is_closed ? TROUPE_ECLOSED : TROUPE_OK);
    }
}

void trp_room_tell_dead(struct trp_worker *worker, struct trp_cell *cell)
{
    while (!trp_lane_is_empty(&cell->extra.waiters)) {
        tell_oldest(worker, cell, TROUPE_EDEAD);
    }
}

/* Takes the record of a wait that ended away; false when it has left as a notice. */
static bool remove_record(struct trp_cell *cell, const struct end_node *end)
{
    struct troupe_msg *tail = cell->extra.waiters.tail;
    struct troupe_msg *msg = tail;
    if (tail == NULL) {
        return false;
    }
    do {
        msg = msg->next; /* oldest first */
        const struct room_node *node = node_of(msg);
        if (node->id == end->id && node->waiter == end->waiter) {
            bool was_there = trp_lane_remove(&cell->extra.waiters, msg);
            TROUPE_ASSERT(was_there);
            trp_msg_free(msg);
            if (trp_lane_is_empty(&cell->extra.waiters)) {
                cell->gate &= (uint8_t)~TRP_GATE_AWAITED;
            }
            return true;
        }
    } while (msg != tail);
    return false;
}

/* One that was told had its try, or will never have it. */
static void try_ended(struct trp_cell *cell)
{
    if (cell->room_told > 0) {
        cell->room_told--;
    }
    if (!is_half_free(cell)) {
        cell->room_ramp = 0;
    } else if (cell->room_ramp < RAMP_MAX) {
        cell->room_ramp++;
    }
}

enum troupe_verdict
trp_room_control(struct troupe_ctx *ctx, struct trp_cell *cell, struct troupe_msg *msg)
{
    struct trp_worker *worker = ctx->worker;
    if (msg->type == TRP_MSG_CORE_ROOM) {
        if (cell == NULL) {
            send_notice(worker, msg, TROUPE_EDEAD);
            return TROUPE_CONTINUE;
        }
        trp_lane_push(&cell->extra.waiters, msg);
        cell->gate |= TRP_GATE_AWAITED;
        trp_room_tell(worker, cell);
        return TROUPE_CONTINUE;
    }
    TROUPE_ASSERT(msg->type == TRP_MSG_CORE_ROOM_END);
    if (cell != NULL) {
        const struct end_node *end = troupe_msg_data(msg);
        if (end->was_told || !remove_record(cell, end)) {
            try_ended(cell);
        }
        trp_room_tell(worker, cell);
    }
    trp_msg_free(msg);
    return TROUPE_CONTINUE;
}
