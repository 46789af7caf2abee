/*
 * Links. Who asks for one keeps a relation with a reserved node; the other end keeps the request's
 * node as its record. When an end goes, its half travels to the other one: the reserved node as
 * UNRECORD, the record as EXIT. Nothing is allocated then, and each half travels once.
 */

#include "actors/core/core.h"

#include <troupe/assert.h>

/* Payload of all three kinds of node. */
struct link_node {
    struct troupe_down down; /* first: what a trapping actor gets; `ref` is who went */
    troupe_ref asker;        /* who asked for the link */
    uint64_t id;             /* its relation */
    bool is_unlink;          /* the link ends, the actor does not */
};

static struct link_node *node_of(const struct troupe_msg *msg)
{
    return troupe_msg_data(msg);
}

/* --- finding --- */

static struct trp_relation *find_relation(struct trp_worker *worker,
                                          const struct trp_cell *cell,
                                          enum trp_relation_kind kind,
                                          troupe_ref target)
{
    uint32_t slot = cell->relations;
    while (slot != 0) {
        struct trp_relation *relation = trp_relation_at(worker, slot);
        if (relation->kind == kind &&
            (kind != TRP_RELATION_LINK || relation->link.target == target)) {
            return relation;
        }
        slot = relation->next;
    }
    return NULL;
}

/* The place in the list of watchers where the record of this asker hangs; id 0 = any. */
static struct troupe_msg **find_record(struct trp_cell *cell, troupe_ref asker, uint64_t id)
{
    struct troupe_msg **link = &cell->extra.watchers;
    while (*link != NULL) {
        const struct link_node *node = node_of(*link);
        if ((*link)->type == TRP_MSG_CORE_LINK && node->asker == asker &&
            (id == 0 || node->id == id)) {
            return link;
        }
        link = &(*link)->next;
    }
    return NULL;
}

/* --- making --- */

/* Everything a link needs but its target. */
static struct trp_relation *
reserve(struct trp_worker *worker, struct trp_cell *cell, struct trp_pair *pair)
{
    *pair = (struct trp_pair){.request_type = TRP_MSG_CORE_LINK,
                              .request_size = sizeof(struct link_node),
                              .ending_type = TRP_MSG_CORE_UNRECORD,
                              .ending_size = sizeof(struct link_node)};
    struct trp_relation *relation = trp_relation_reserve(worker, cell, TRP_RELATION_LINK, pair);
    if (relation == NULL) {
        return NULL;
    }
    struct link_node *record = node_of(pair->request);
    record->asker = trp_cell_ref(cell);
    record->id = trp_relation_id(relation);
    *node_of(pair->ending) = *record;
    relation->link.ending = pair->ending;
    return relation;
}

static void aim(struct trp_worker *worker,
                struct trp_relation *relation,
                struct troupe_msg *request,
                troupe_ref target)
{
    relation->link.target = target;
    trp_worker_post(worker, target, TROUPE_LANE_CONTROL, request);
}

enum troupe_status troupe_link(struct troupe_ctx *ctx, troupe_ref ref)
{
    struct trp_worker *worker = ctx->worker;
    struct trp_cell *cell = ctx->cell;
    struct trp_pair pair;
    TROUPE_ASSERT(cell != NULL);
    if (worker->is_stopping) {
        return TROUPE_ECLOSED;
    }
    if (ref == trp_cell_ref(cell) || find_relation(worker, cell, TRP_RELATION_LINK, ref) != NULL ||
        find_record(cell, ref, 0) != NULL) {
        return TROUPE_OK;
    }
    struct trp_relation *relation = reserve(worker, cell, &pair);
    if (relation == NULL) {
        return TROUPE_ENOMEM;
    }
    aim(worker, relation, pair.request, ref);
    return TROUPE_OK;
}

enum troupe_status troupe_spawn_link(struct troupe_ctx *ctx,
                                     troupe_ref *ref,
                                     const struct troupe_actor_type *type,
                                     const void *arg)
{
    struct trp_worker *worker = ctx->worker;
    struct trp_pair pair;
    TROUPE_ASSERT(ctx->cell != NULL);
    struct trp_relation *relation = reserve(worker, ctx->cell, &pair);
    if (relation == NULL) {
        return TROUPE_ENOMEM;
    }
    troupe_ref made;
    enum troupe_status status = troupe_spawn(ctx, &made, type, arg);
    if (status != TROUPE_OK) {
        trp_relation_unreserve(worker, relation, &pair);
        return status;
    }
    aim(worker, relation, pair.request, made);
    *ref = made;
    return TROUPE_OK;
}

enum troupe_status troupe_trap_exits(struct troupe_ctx *ctx, uint16_t type)
{
    TROUPE_ASSERT(ctx->cell != NULL);
    TROUPE_ASSERT(type <= TROUPE_TRAP_NONE);
    struct trp_relation *relation = find_relation(ctx->worker, ctx->cell, TRP_RELATION_TRAP, 0);
    if (type == TROUPE_TRAP_NONE) {
        if (relation != NULL) {
            trp_relation_free(ctx->worker, relation);
        }
        return TROUPE_OK;
    }
    if (relation == NULL) {
        relation = trp_relation_new(ctx->worker, ctx->cell, TRP_RELATION_TRAP);
    }
    if (relation == NULL) {
        return TROUPE_ENOMEM;
    }
    relation->trap.type = type;
    return TROUPE_OK;
}

/* --- ending --- */

/* The asker's half goes to the other end. */
static void send_half(struct trp_worker *worker,
                      struct trp_relation *relation,
                      enum troupe_down_reason reason,
                      bool is_unlink)
{
    struct troupe_msg *msg = relation->link.ending;
    troupe_ref target = relation->link.target;
    struct link_node *node = node_of(msg);
    node->down.ref = node->asker;
    node->down.reason = reason;
    node->is_unlink = is_unlink;
    trp_relation_free(worker, relation);
    trp_worker_post(worker, target, TROUPE_LANE_CONTROL, msg);
}

/* The record goes back to the asker. */
static void send_record(struct trp_worker *worker,
                        troupe_ref from,
                        struct troupe_msg *msg,
                        enum troupe_down_reason reason,
                        bool is_unlink)
{
    struct link_node *node = node_of(msg);
    node->down.ref = from;
    node->down.reason = reason;
    node->is_unlink = is_unlink;
    msg->type = TRP_MSG_CORE_EXIT;
    trp_worker_post(worker, node->asker, TROUPE_LANE_CONTROL, msg);
}

void trp_link_end(struct trp_worker *worker,
                  struct trp_relation *relation,
                  enum troupe_down_reason reason)
{
    send_half(worker, relation, reason, false);
}

void trp_link_tell(struct trp_worker *worker,
                   struct trp_cell *cell,
                   struct troupe_msg *msg,
                   enum troupe_down_reason reason)
{
    send_record(worker, trp_cell_ref(cell), msg, reason, false);
}

void troupe_unlink(struct troupe_ctx *ctx, troupe_ref ref)
{
    struct trp_worker *worker = ctx->worker;
    struct trp_cell *cell = ctx->cell;
    TROUPE_ASSERT(cell != NULL);
    struct trp_relation *relation = find_relation(worker, cell, TRP_RELATION_LINK, ref);
    if (relation != NULL) {
        send_half(worker, relation, TROUPE_DOWN_NORMAL, true);
    }
    struct troupe_msg **link = find_record(cell, ref, 0);
    if (link != NULL) {
        struct troupe_msg *msg = *link;
        *link = msg->next;
        send_record(worker, trp_cell_ref(cell), msg, TROUPE_DOWN_NORMAL, true);
    }
}

/* --- what arrives --- */

/*
 * Two actors asked each other at the same time. Both come to the same answer: the link that the
 * smaller ref asked for stays. The other one's request is dropped here, or its half sent after it.
 */
static void accept_record(struct trp_worker *worker, struct trp_cell *cell, struct troupe_msg *msg)
{
    troupe_ref asker = node_of(msg)->asker;
    struct trp_relation *mine = find_relation(worker, cell, TRP_RELATION_LINK, asker);
    if (mine != NULL && trp_cell_ref(cell) < asker) {
        trp_msg_free(msg);
        return;
    }
    if (mine != NULL) {
        send_half(worker, mine, TROUPE_DOWN_NORMAL, true);
    }
    msg->next = cell->extra.watchers;
    cell->extra.watchers = msg;
}

/* An exit reached the other end. */
static enum troupe_verdict
exit_arrived(struct troupe_ctx *ctx, struct trp_cell *cell, struct troupe_msg *msg)
{
    const struct link_node *node = node_of(msg);
    enum troupe_down_reason reason = node->down.reason;
    bool is_felt = !node->is_unlink && cell->status != TRP_CELL_SUSPENDED;
    struct trp_relation *trap =
        is_felt ? find_relation(ctx->worker, cell, TRP_RELATION_TRAP, 0) : NULL;
    if (trap != NULL) {
        msg->type = trap->trap.type;
        msg->size = sizeof(struct troupe_down);
        return trp_core_hand_over(ctx, cell, msg);
    }
    trp_msg_free(msg);
    bool is_normal = reason == TROUPE_DOWN_NORMAL || reason == TROUPE_DOWN_SHUTDOWN;
    return is_felt && !is_normal ? TROUPE_FAIL : TROUPE_CONTINUE;
}

/* The asker's half arrived: what this side has of the link goes; false when there is nothing. */
static bool forget(struct trp_worker *worker, struct trp_cell *cell, const struct link_node *node)
{
    struct troupe_msg **link = find_record(cell, node->asker, node->id);
    if (link != NULL) {
        struct troupe_msg *record = *link;
        *link = record->next;
        trp_msg_free(record);
        return true;
    }
    /* the request was dropped by accept_record in favour of ours, which the asker never saw */
    struct trp_relation *mine = find_relation(worker, cell, TRP_RELATION_LINK, node->asker);
    if (mine == NULL || node->is_unlink) {
        return false;
    }
    send_half(worker, mine, TROUPE_DOWN_NORMAL, true);
    return true;
}

enum troupe_verdict
trp_link_control(struct troupe_ctx *ctx, struct trp_cell *cell, struct troupe_msg *msg)
{
    struct trp_worker *worker = ctx->worker;
    const struct link_node *node = node_of(msg);
    if (msg->type == TRP_MSG_CORE_LINK) {
        if (cell == NULL) {
            send_record(worker, msg->to, msg, TROUPE_DOWN_UNKNOWN, false);
        } else {
            accept_record(worker, cell, msg);
        }
        return TROUPE_CONTINUE;
    }
    if (msg->type == TRP_MSG_CORE_UNRECORD) {
        if (cell == NULL || !forget(worker, cell, node)) {
            trp_msg_free(msg); /* unlinked from this side meanwhile */
            return TROUPE_CONTINUE;
        }
        return exit_arrived(ctx, cell, msg);
    }
    struct trp_relation *relation = trp_relation_find(worker, node->id, TRP_RELATION_LINK);
    if (cell == NULL || relation == NULL || relation->owner != cell) {
        trp_msg_free(msg);
        return TROUPE_CONTINUE;
    }
    trp_msg_free(relation->link.ending);
    trp_relation_free(worker, relation);
    return exit_arrived(ctx, cell, msg);
}
