/*
 * Links. Who asks for one keeps a relation with a reserved node; the other end keeps the request's
 * node as its record. When an end goes, its half travels to the other one: the reserved node as
 * UNRECORD, the record as EXIT. Nothing is allocated then, and each half travels once.
 *
 * The request travels only to another worker; on the same one the record is made at once.
 */

#include "actors/core/core.h"

#include <troupe/assert.h>

/* Payload of all three kinds of node. */
struct link_node {
    struct trp_watcher watcher; /* first; `down.ref` is who went */
    struct troupe_msg *chain;   /* records in trp_link_table */
    bool is_unlink;             /* the link ends, the actor does not */
};

static struct link_node *node_of(const struct troupe_msg *msg)
{
    return troupe_msg_data(msg);
}

/* --- finding --- */

/* Those that one actor has with many lie beside each other. */
static uint32_t chain_of(troupe_ref mine, troupe_ref other)
{
    uint32_t mixed = trp_ref_slot(mine) * 0x9E3779B1u + troupe_ref_worker(other) * 0x85EBCA6Bu;
    return (mixed + trp_ref_slot(other)) % TRP_LINK_CHAINS;
}

/* The link that this actor asked for, NULL = none. */
static struct trp_relation *
find_link(struct trp_worker *worker, const struct trp_cell *cell, troupe_ref target)
{
    const struct trp_link_table *table = trp_registry_links(worker, false);
    uint32_t slot = table != NULL ? table->links[chain_of(trp_cell_ref(cell), target)] : 0;
    while (slot != 0) {
        struct trp_relation *relation = trp_relation_at(worker, slot);
        if (relation->owner == cell && relation->link.target == target) {
            return relation;
        }
        slot = relation->link.chain;
    }
    return NULL;
}

static void chain_link(struct trp_worker *worker, struct trp_relation *relation, troupe_ref target)
{
    struct trp_link_table *table = trp_registry_links(worker, false);
    uint32_t *first = &table->links[chain_of(trp_cell_ref(relation->owner), target)];
    relation->link.target = target;
    relation->link.chain = *first;
    *first = relation->slot;
}

/* The reserved node has to be gone, or somebody else's. */
static void free_link(struct trp_worker *worker, struct trp_relation *relation)
{
    struct trp_link_table *table = trp_registry_links(worker, false);
    uint32_t *place = &table->links[chain_of(trp_cell_ref(relation->owner), relation->link.target)];
    while (*place != relation->slot) {
        place = &trp_relation_at(worker, *place)->link.chain;
    }
    *place = relation->link.chain;
    trp_relation_free(worker, relation);
}

/* The record of a link that this asker asked for; id 0 = the newest, NULL = none. The owner of a
 * record is the actor in whose list it hangs. */
static struct troupe_msg *
find_record(struct trp_worker *worker, const struct trp_cell *cell, troupe_ref asker, uint64_t id)
{
    const struct trp_link_table *table = trp_registry_links(worker, false);
    struct troupe_msg *msg =
        table != NULL ? table->records[chain_of(trp_cell_ref(cell), asker)] : NULL;
    while (msg != NULL) {
        const struct link_node *node = node_of(msg);
        if (msg->to == trp_cell_ref(cell) && node->watcher.asker == asker &&
            (id == 0 || node->watcher.id == id)) {
            return msg;
        }
        msg = node->chain;
    }
    return NULL;
}

static void hang_record(struct trp_worker *worker, struct trp_cell *cell, struct troupe_msg *msg)
{
    struct link_node *node = node_of(msg);
    struct trp_link_table *table = trp_registry_links(worker, false);
    struct troupe_msg **first = &table->records[chain_of(trp_cell_ref(cell), node->watcher.asker)];
    msg->to = trp_cell_ref(cell);
    node->chain = *first;
    *first = msg;
    trp_watcher_hang(cell, msg);
}

/* Out of the table; the actor's list is the caller's affair. */
static void unchain_record(struct trp_worker *worker, const struct troupe_msg *msg)
{
    const struct link_node *node = node_of(msg);
    struct trp_link_table *table = trp_registry_links(worker, false);
    struct troupe_msg **place = &table->records[chain_of(msg->to, node->watcher.asker)];
    while (*place != msg) {
        place = &node_of(*place)->chain;
    }
    *place = node->chain;
}

static void take_record(struct trp_worker *worker, struct troupe_msg *msg)
{
    unchain_record(worker, msg);
    trp_watcher_take(msg);
}

static struct trp_relation *find_trap(struct trp_worker *worker, const struct trp_cell *cell)
{
    struct trp_relation *first =
        cell->relations != 0 ? trp_relation_at(worker, cell->relations) : NULL;
    return first != NULL && first->kind == TRP_RELATION_TRAP ? first : NULL;
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
    struct trp_relation *relation =
        trp_registry_links(worker, true) != NULL
            ? trp_relation_reserve(worker, cell, TRP_RELATION_LINK, pair)
            : NULL;
    if (relation == NULL) {
        return NULL;
    }
    struct link_node *record = node_of(pair->request);
    record->watcher.asker = trp_cell_ref(cell);
    record->watcher.id = trp_relation_id(relation);
    *node_of(pair->ending) = *record;
    relation->link.ending = pair->ending;
    return relation;
}

/* The record goes back to the asker. */
static void send_record(struct trp_worker *worker,
                        troupe_ref from,
                        struct troupe_msg *msg,
                        enum troupe_down_reason reason,
                        bool is_unlink)
{
    struct link_node *node = node_of(msg);
    node->watcher.down.ref = from;
    node->watcher.down.reason = reason;
    node->is_unlink = is_unlink;
    msg->type = TRP_MSG_CORE_EXIT;
    trp_worker_post(worker, node->watcher.asker, TROUPE_LANE_CONTROL, msg);
}

/*
 * An actor that waits for its restart has ended as far as links go, and its next life begins
 * without any: who asks meanwhile feels the end at once. One that is there gets its record now, so
 * that whatever ends it next is what the asker hears of.
 */
static void aim(struct trp_worker *worker,
                struct trp_relation *relation,
                struct troupe_msg *request,
                troupe_ref target)
{
    struct trp_cell *cell = trp_core_cell_here(worker, target);
    chain_link(worker, relation, target);
    if (cell == NULL) {
        trp_worker_post(worker, target, TROUPE_LANE_CONTROL, request);
    } else if (cell->status == TRP_CELL_SUSPENDED) {
        send_record(worker, target, request, trp_ward_reason(cell), false);
    } else {
        /* A link of its own to the asker, if there is one, has no record there: its exit is on the
         * way. So requests do not cross here. */
        hang_record(worker, cell, request);
    }
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
    if (ref == trp_cell_ref(cell) || find_link(worker, cell, ref) != NULL ||
        find_record(worker, cell, ref, 0) != NULL) {
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
    *ref = made;
    if (find_record(worker, ctx->cell, made, 0) != NULL) {
        trp_relation_unreserve(worker, relation, &pair); /* its init has linked us already */
        return TROUPE_OK;
    }
    aim(worker, relation, pair.request, made);
    return TROUPE_OK;
}

enum troupe_status troupe_trap_exits(struct troupe_ctx *ctx, uint16_t type)
{
    TROUPE_ASSERT(ctx->cell != NULL);
    TROUPE_ASSERT(type <= TROUPE_TRAP_NONE);
    struct trp_relation *relation = find_trap(ctx->worker, ctx->cell);
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
    node->watcher.down.ref = node->watcher.asker;
    node->watcher.down.reason = reason;
    node->is_unlink = is_unlink;
    free_link(worker, relation);
    trp_worker_post(worker, target, TROUPE_LANE_CONTROL, msg);
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
    unchain_record(worker, msg);
    send_record(worker, trp_cell_ref(cell), msg, reason, false);
}

/* Both halves are on this worker: nothing has to travel. */
static void
cut_here(struct trp_worker *worker, struct trp_relation *relation, struct troupe_msg *record)
{
    take_record(worker, record);
    trp_msg_free(record);
    trp_msg_free(relation->link.ending);
    free_link(worker, relation);
}

/* The link that this actor asked for. */
static void unlink_mine(struct trp_worker *worker,
                        struct trp_cell *cell,
                        struct trp_cell *other,
                        struct trp_relation *relation)
{
    struct troupe_msg *record =
        other != NULL ? find_record(worker, other, trp_cell_ref(cell), trp_relation_id(relation))
                      : NULL;
    if (record != NULL) {
        cut_here(worker, relation, record);
    } else {
        send_half(worker, relation, TROUPE_DOWN_NORMAL, true);
    }
}

/* The link that the other one asked for. */
static void unlink_theirs(struct trp_worker *worker,
                          struct trp_cell *cell,
                          struct trp_cell *other,
                          struct troupe_msg *record)
{
    struct trp_relation *relation =
        other != NULL ? trp_relation_find(worker, node_of(record)->watcher.id, TRP_RELATION_LINK)
                      : NULL;
    if (relation != NULL && relation->owner == other) {
        cut_here(worker, relation, record);
    } else {
        take_record(worker, record);
        send_record(worker, trp_cell_ref(cell), record, TROUPE_DOWN_NORMAL, true);
    }
}

void troupe_unlink(struct troupe_ctx *ctx, troupe_ref ref)
{
    struct trp_worker *worker = ctx->worker;
    struct trp_cell *cell = ctx->cell;
    TROUPE_ASSERT(cell != NULL);
    struct trp_cell *other = trp_core_cell_here(worker, ref);
    struct trp_relation *relation = find_link(worker, cell, ref);
    if (relation != NULL) {
        unlink_mine(worker, cell, other, relation);
    }
    struct troupe_msg *record = find_record(worker, cell, ref, 0);
    if (record != NULL) {
        unlink_theirs(worker, cell, other, record);
    }
}

/* --- what arrives --- */

/*
 * Two actors asked each other at the same time. Both come to the same answer: the link that the
 * smaller ref asked for stays. The other one's request is dropped here, or its half sent after it.
 */
static void accept_record(struct trp_worker *worker, struct trp_cell *cell, struct troupe_msg *msg)
{
    troupe_ref asker = node_of(msg)->watcher.asker;
    if (cell->status == TRP_CELL_SUSPENDED) {
        send_record(worker, trp_cell_ref(cell), msg, trp_ward_reason(cell), false);
        return;
    }
    struct trp_relation *mine = find_link(worker, cell, asker);
    if (mine != NULL && trp_cell_ref(cell) < asker) {
        trp_msg_free(msg);
        return;
    }
    if (mine != NULL) {
        send_half(worker, mine, TROUPE_DOWN_NORMAL, true);
    }
    hang_record(worker, cell, msg);
}

/* An exit reached the other end. */
static enum troupe_verdict
exit_arrived(struct troupe_ctx *ctx, struct trp_cell *cell, struct troupe_msg *msg)
{
    const struct link_node *node = node_of(msg);
    enum troupe_down_reason reason = node->watcher.down.reason;
    bool is_felt = !node->is_unlink && cell->status != TRP_CELL_SUSPENDED;
    struct trp_relation *trap = is_felt ? find_trap(ctx->worker, cell) : NULL;
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
    troupe_ref asker = node->watcher.asker;
    struct troupe_msg *record = find_record(worker, cell, asker, node->watcher.id);
    if (record != NULL) {
        take_record(worker, record);
        trp_msg_free(record);
        return true;
    }
    /* the request was dropped by accept_record in favour of ours, which the asker never saw; on
     * this worker nothing crosses, so it was unlinked */
    struct trp_relation *mine =
        troupe_ref_worker(asker) != worker->index ? find_link(worker, cell, asker) : NULL;
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
    struct trp_relation *relation = trp_relation_find(worker, node->watcher.id, TRP_RELATION_LINK);
    if (cell == NULL || relation == NULL || relation->owner != cell) {
        trp_msg_free(msg);
        return TROUPE_CONTINUE;
    }
    trp_msg_free(relation->link.ending);
    free_link(worker, relation);
    return exit_arrived(ctx, cell, msg);
}
