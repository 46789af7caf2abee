#include "actors/core/core.h"

#include <troupe/assert.h>

/* Payload of MONITOR and DOWN: the same node all its life. */
struct monitor_node {
    struct trp_watcher watcher; /* first */
    uint16_t user_type;
};

/*
 * Payload of DEMONITOR. It is sent while the relation lives, so no notice has come; when it finds
 * its actor alive none was sent, and the request came before it: then the record hangs there.
 */
struct demonitor_node {
    struct troupe_msg *record;
    troupe_monitor_id id;
};

static struct monitor_node *node_of(const struct troupe_msg *msg)
{
    return troupe_msg_data(msg);
}

enum troupe_status troupe_monitor(
    struct troupe_ctx *ctx, troupe_ref ref, uint16_t type, uint64_t cookie, troupe_monitor_id *id)
{
    struct trp_worker *worker = ctx->worker;
    struct trp_pair pair = {.request_type = TRP_MSG_CORE_MONITOR,
                            .request_size = sizeof(struct monitor_node),
                            .ending_type = TRP_MSG_CORE_DEMONITOR,
                            .ending_size = sizeof(struct demonitor_node)};
    TROUPE_ASSERT(ctx->cell != NULL);
    TROUPE_ASSERT(type < TROUPE_MSG_RESERVED);
    if (worker->is_stopping) {
        return TROUPE_ECLOSED;
    }
    struct trp_relation *relation =
        trp_relation_reserve(worker, ctx->cell, TRP_RELATION_MONITOR, &pair);
    if (relation == NULL) {
        return TROUPE_ENOMEM;
    }
    struct monitor_node *node = node_of(pair.request);
    node->watcher.down.ref = ref;
    node->watcher.down.reason = TROUPE_DOWN_UNKNOWN;
    node->watcher.down.cookie = cookie;
    node->watcher.asker = trp_cell_ref(ctx->cell);
    node->watcher.id = trp_relation_id(relation);
    node->user_type = type;
    struct demonitor_node *end = troupe_msg_data(pair.ending);
    end->record = pair.request;
    end->id = node->watcher.id;
    relation->monitor.target = ref;
    relation->monitor.demonitor = pair.ending;
    if (id != NULL) {
        *id = node->watcher.id;
    }
    struct trp_cell *cell = trp_core_cell_here(worker, ref);
    if (cell != NULL) {
        trp_watcher_hang(cell, pair.request);
    } else {
        trp_worker_post(worker, ref, TROUPE_LANE_CONTROL, pair.request);
    }
    return TROUPE_OK;
}

/* Sends the reserved node to the watched actor's worker; the relation ends. */
void trp_monitor_end(struct trp_worker *worker, struct trp_relation *relation)
{
    struct troupe_msg *ending = relation->monitor.demonitor;
    troupe_ref target = relation->monitor.target;
    trp_relation_free(worker, relation);
    trp_worker_post(worker, target, TROUPE_LANE_CONTROL, ending);
}

void troupe_demonitor(struct troupe_ctx *ctx, troupe_monitor_id id)
{
    struct trp_relation *relation = trp_relation_find(ctx->worker, id, TRP_RELATION_MONITOR);
    if (relation != NULL && relation->owner == ctx->cell) {
        trp_monitor_end(ctx->worker, relation);
    }
}

/* The record travels to the watcher as its notice. */
static void
send_down(struct trp_worker *worker, struct troupe_msg *msg, enum troupe_down_reason reason)
{
    struct trp_watcher *watcher = trp_watcher_of(msg);
    watcher->down.reason = reason;
    msg->type = TRP_MSG_CORE_DOWN;
    trp_worker_post(worker, watcher->asker, TROUPE_LANE_CONTROL, msg);
}

void trp_monitor_tell(struct trp_worker *worker,
                      struct trp_cell *cell,
                      enum troupe_down_reason reason,
                      bool is_only_links)
{
    struct troupe_msg **link = &cell->extra.watchers;
    while (*link != NULL) {
        struct troupe_msg *msg = *link;
        if (msg->type != TRP_MSG_CORE_LINK && is_only_links) {
            link = &msg->next;
            continue;
        }
        trp_watcher_take(msg);
        if (msg->type == TRP_MSG_CORE_LINK) {
            trp_link_tell(worker, cell, msg, reason);
        } else {
            send_down(worker, msg, reason);
        }
    }
}

static void remove_record(const struct demonitor_node *end)
{
    struct troupe_msg *record = end->record;
    TROUPE_ASSERT(record->type == TRP_MSG_CORE_MONITOR);
    TROUPE_ASSERT(trp_watcher_of(record)->id == end->id);
    trp_watcher_take(record);
    trp_msg_free(record);
}

/* A notice reached the watcher: deliver it unless its monitor was taken away meanwhile. */
static enum troupe_verdict
deliver_down(struct troupe_ctx *ctx, struct trp_cell *cell, struct troupe_msg *msg)
{
    struct trp_worker *worker = ctx->worker;
    struct monitor_node *node = node_of(msg);
    struct trp_relation *relation =
        trp_relation_find(worker, node->watcher.id, TRP_RELATION_MONITOR);
    if (cell == NULL || relation == NULL || relation->owner != cell) {
        trp_msg_free(msg);
        return TROUPE_CONTINUE;
    }
    trp_msg_free(relation->monitor.demonitor);
    trp_relation_free(worker, relation);
    msg->type = node->user_type;
    msg->size = sizeof(struct troupe_down);
    return trp_core_hand_over(ctx, cell, msg);
}

enum troupe_verdict
trp_monitor_control(struct troupe_ctx *ctx, struct trp_cell *cell, struct troupe_msg *msg)
{
    struct trp_worker *worker = ctx->worker;
    switch (msg->type) {
    case TRP_MSG_CORE_MONITOR:
        if (cell == NULL) {
            send_down(worker, msg, TROUPE_DOWN_UNKNOWN);
        } else {
            trp_watcher_hang(cell, msg);
        }
        return TROUPE_CONTINUE;
    case TRP_MSG_CORE_DEMONITOR:
        if (cell != NULL) {
            remove_record(troupe_msg_data(msg));
        }
        trp_msg_free(msg);
        return TROUPE_CONTINUE;
    default:
        TROUPE_ASSERT(msg->type == TRP_MSG_CORE_DOWN);
        return deliver_down(ctx, cell, msg);
    }
}
