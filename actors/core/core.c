#include "actors/core/core.h"
#include "actors/core/supervise.h"

#include <stdlib.h>
#include <string.h>
#include <troupe/assert.h>

static enum troupe_verdict
core_control(struct troupe_ctx *ctx, struct trp_cell *cell, struct troupe_msg *msg)
{
    switch (msg->type) {
    case TRP_MSG_CORE_SPAWN:
        trp_spawn_request(ctx, msg);
        return TROUPE_CONTINUE;
    case TRP_MSG_CORE_LINK:
    case TRP_MSG_CORE_UNRECORD:
    case TRP_MSG_CORE_EXIT:
        return trp_link_control(ctx, cell, msg);
    case TRP_MSG_CORE_ROOM:
    case TRP_MSG_CORE_ROOM_END:
        return trp_room_control(ctx, cell, msg);
    case TRP_MSG_CORE_CHILD_START:
        trp_ward_start(ctx, msg);
        return TROUPE_CONTINUE;
    case TRP_MSG_CORE_CHILD_ORDER:
        return trp_ward_order(ctx, cell, msg);
    case TRP_MSG_CORE_CHILD_NOTICE:
        return trp_supervisor_notice(ctx, cell, msg);
    default:
        return trp_monitor_control(ctx, cell, msg);
    }
}

static enum troupe_verdict core_reply(struct troupe_ctx *ctx, struct troupe_msg *msg)
{
    return msg->type == TRP_MSG_ROOM ? trp_room_notice(ctx, msg) : trp_ask_reply(ctx, msg);
}

void trp_relations_end_all(struct trp_worker *worker,
                           struct trp_cell *cell,
                           enum troupe_down_reason reason)
{
    while (cell->relations != 0) {
        /* the newest first: children end in reverse order of their start */
        struct trp_relation *relation = trp_relation_at(worker, cell->relations);
        switch (relation->kind) {
        case TRP_RELATION_ASK:
            trp_ask_end(worker, relation);
            break;
        case TRP_RELATION_MONITOR:
            trp_monitor_end(worker, relation);
            break;
        case TRP_RELATION_NAME:
            trp_registry_end(worker, relation);
            break;
        case TRP_RELATION_LINK:
            trp_link_end(worker, relation, reason);
            break;
        case TRP_RELATION_ROOM:
            trp_room_end(worker, relation);
            break;
        case TRP_RELATION_TRAP:
            trp_relation_free(worker, relation);
            break;
        case TRP_RELATION_CHILD:
            trp_child_abandon(worker, relation);
            break;
        case TRP_RELATION_FREE:
            TROUPE_ASSERT(relation->kind != TRP_RELATION_FREE);
            break;
        }
    }
}

static bool
core_ending(struct troupe_ctx *ctx, struct trp_cell *cell, enum troupe_down_reason reason)
{
    struct trp_worker *worker = ctx->worker;
    if (!trp_ward_keeps(worker, cell, reason)) {
        return false;
    }
    trp_monitor_tell(worker, cell, reason, true);
    trp_relations_end_all(worker, cell, reason);
    return true;
}

static void
core_ended(struct troupe_ctx *ctx, struct trp_cell *cell, enum troupe_down_reason reason)
{
    struct trp_worker *worker = ctx->worker;
    trp_monitor_tell(worker, cell, reason, false);
    trp_room_tell_dead(worker, cell);
    trp_relations_end_all(worker, cell, reason);
    if (cell->extra.child != NULL) {
        trp_ward_ended(worker, cell, reason);
    }
}

enum troupe_verdict
trp_core_hand_over(struct troupe_ctx *ctx, struct trp_cell *cell, struct troupe_msg *msg)
{
    struct trp_worker *worker = ctx->worker;
    /* counted when it came to core; the user may fail it, so it is counted by the rest instead */
    trp_count(&worker->stats.processed, (uint64_t)-1);
    ctx->msg = msg;
    enum troupe_verdict verdict = cell->type->receive_cb(ctx, cell->state, msg);
    return trp_handle_rest(worker, verdict);
}

static void core_pool_fini(struct troupe_pool *pool)
{
    for (uint32_t i = 0; i < pool->worker_count; i++) {
        free(pool->workers[i].core); /* its chunks lie in the worker's slabs */
        pool->workers[i].core = NULL;
    }
    trp_registry_free(pool->registry);
    pool->registry = NULL;
}

static const struct trp_core_hooks hooks = {
    .reply = core_reply,
    .control = core_control,
    .unanswered = trp_ask_unanswered,
    .ending = core_ending,
    .ended = core_ended,
    .room = trp_room_tell,
    .pool_fini = core_pool_fini,
};

struct trp_core *trp_core_get(struct trp_worker *worker)
{
    struct trp_core *core = worker->core;
    if (core == NULL) {
        core = calloc(1, sizeof(*core)); /* once per worker, mostly never touched */
        if (core == NULL) {
            return NULL;
        }
        core->used = 1;
        worker->core = core;
        /* Every thread stores the same value; a message that needs the hooks elsewhere is pushed
         * after this with a full barrier. */
        trp_store_release_ptr((void **)(uintptr_t)&trp_core_hooks, (void *)(uintptr_t)&hooks);
    }
    return core;
}

struct trp_relation *trp_relation_at(struct trp_worker *worker, uint32_t slot)
{
    struct trp_core *core = worker->core;
    return &core->chunks[slot / TRP_RELATIONS_PER_CHUNK][slot % TRP_RELATIONS_PER_CHUNK];
}

static bool add_chunk(struct trp_worker *worker, struct trp_core *core, uint32_t index)
{
    if (index >= TRP_RELATION_CHUNKS_MAX) {
        return false;
    }
    size_t bytes = TRP_RELATIONS_PER_CHUNK * sizeof(struct trp_relation);
    struct trp_relation *chunk = trp_heap_alloc(&worker->heap, bytes);
    if (chunk == NULL) {
        return false;
    }
    memset(chunk, 0, bytes);
    core->chunks[index] = chunk;
    return true;
}

TROUPE_STATIC_ASSERT(TRP_RELATIONS_PER_CHUNK * sizeof(struct trp_relation) <= TRP_SLAB_NODE_MAX,
                     "a chunk of relations is one slab node");

/* In front of the others, but behind a trap, which each exit has to find. */
static void
put_in_list(struct trp_worker *worker, struct trp_cell *owner, struct trp_relation *relation)
{
    struct trp_relation *first =
        owner->relations != 0 ? trp_relation_at(worker, owner->relations) : NULL;
    if (first != NULL && first->kind == TRP_RELATION_TRAP) {
        relation->previous = first->slot;
        relation->next = first->next;
        first->next = relation->slot;
    } else {
        relation->next = owner->relations;
        owner->relations = relation->slot;
    }
    if (relation->next != 0) {
        trp_relation_at(worker, relation->next)->previous = relation->slot;
    }
}

struct trp_relation *
trp_relation_new(struct trp_worker *worker, struct trp_cell *owner, enum trp_relation_kind kind)
{
    struct trp_core *core = trp_core_get(worker);
    if (core == NULL) {
        return NULL;
    }
    uint32_t slot = core->free_slot;
    if (slot != 0) {
        core->free_slot = trp_relation_at(worker, slot)->next;
    } else {
        slot = core->used;
        uint32_t index = slot / TRP_RELATIONS_PER_CHUNK;
        if (index >= TRP_RELATION_CHUNKS_MAX ||
            (core->chunks[index] == NULL && !add_chunk(worker, core, index))) {
            return NULL;
        }
        core->used++;
    }
    struct trp_relation *relation = trp_relation_at(worker, slot);
    uint32_t generation = relation->generation + 1;
    memset(relation, 0, sizeof(*relation));
    relation->generation = generation == 0 ? 1 : generation;
    relation->slot = slot;
    relation->kind = kind;
    relation->owner = owner;
    put_in_list(worker, owner, relation);
    return relation;
}

void trp_relation_free(struct trp_worker *worker, struct trp_relation *relation)
{
    struct trp_core *core = worker->core;
    TROUPE_ASSERT(relation->kind != TRP_RELATION_FREE);
    if (relation->next != 0) {
        trp_relation_at(worker, relation->next)->previous = relation->previous;
    }
    if (relation->previous != 0) {
        trp_relation_at(worker, relation->previous)->next = relation->next;
    } else {
        relation->owner->relations = relation->next;
    }
    relation->kind = TRP_RELATION_FREE;
    relation->owner = NULL;
    relation->next = core->free_slot;
    core->free_slot = relation->slot;
}

static struct troupe_msg *make_node(struct trp_worker *worker, uint16_t type, uint32_t size)
{
    struct troupe_msg *msg = trp_msg_alloc(&worker->heap, type, size, false);
    if (msg != NULL) {
        memset(troupe_msg_data(msg), 0, size);
    }
    return msg;
}

struct trp_relation *trp_relation_reserve(struct trp_worker *worker,
                                          struct trp_cell *owner,
                                          enum trp_relation_kind kind,
                                          struct trp_pair *pair)
{
    struct trp_relation *relation = trp_relation_new(worker, owner, kind);
    if (relation == NULL) {
        return NULL;
    }
    pair->request = make_node(worker, pair->request_type, pair->request_size);
    pair->ending = make_node(worker, pair->ending_type, pair->ending_size);
    if (pair->request == NULL || pair->ending == NULL) {
        trp_relation_unreserve(worker, relation, pair);
        return NULL;
    }
    return relation;
}

void trp_relation_unreserve(struct trp_worker *worker,
                            struct trp_relation *relation,
                            const struct trp_pair *pair)
{
    if (pair->request != NULL) {
        trp_msg_free(pair->request);
    }
    if (pair->ending != NULL) {
        trp_msg_free(pair->ending);
    }
    trp_relation_free(worker, relation);
}

struct trp_relation *
trp_relation_find(struct trp_worker *worker, uint64_t id, enum trp_relation_kind kind)
{
    struct trp_core *core = worker->core;
    uint32_t slot = (uint32_t)(id >> 32);
    if (core == NULL || slot == 0 || slot >= core->used) {
        return NULL;
    }
    struct trp_relation *relation = trp_relation_at(worker, slot);
    return relation->kind == kind && relation->generation == (uint32_t)id ? relation : NULL;
}
