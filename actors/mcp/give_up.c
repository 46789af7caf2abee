/* The end of a drain that has no time left: every open request gets an answer. */

#include "actors/mcp/give_up.h"

#include "actors/core/log.h"
#include "actors/mcp/client_parts.h"

/* One on each worker, for the index of routes is the worker's own. */
struct ender {
    const struct trp_mcp_worker *worker;
};

static enum troupe_status ender_init(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct ender *ender = state;
    (void)ctx;
    ender->worker = arg;
    return TROUPE_OK;
}

static enum troupe_verdict
ender_receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    const struct trp_mcp_route_index *index = &((struct ender *)state)->worker->routes;
    troupe_ref told = TROUPE_NOBODY;
    (void)msg;
    for (uint32_t i = 0; index->count != 0 && i <= index->mask; i++) {
        const struct trp_mcp_route *route = index->buckets[i];
        for (; route != NULL; route = route->hash_next) {
            if (route->owner == told) {
                continue; /* to be told twice does no harm, it is only needless */
            }
            told = route->owner;
            if (troupe_send_copy(ctx, told, TRP_MCP_MSG_GIVE_UP, NULL, 0) != TROUPE_OK) {
                trp_log_warn("a client cannot be told that the server ends");
            }
        }
    }
    return TROUPE_CONTINUE;
}

static const struct troupe_actor_type ender_type = {
    .name = "mcp ender",
    .state_size = sizeof(struct ender),
    .init_cb = ender_init,
    .receive_cb = ender_receive,
};

enum troupe_status trp_mcp_enders_spawn(struct trp_mcp_service *service)
{
    enum troupe_status status = TROUPE_OK;
    for (uint32_t i = 0; i < service->worker_count && status == TROUPE_OK; i++) {
        struct trp_mcp_worker *worker = &service->workers[i];
        status = troupe_pool_spawn(service->pool, &worker->ender, i, &ender_type, worker);
    }
    return status;
}

void trp_mcp_service_give_up(struct troupe_ctx *ctx, struct trp_mcp_service *service)
{
    for (uint32_t i = 0; i < service->worker_count; i++) {
        if (troupe_send_copy(ctx, service->workers[i].ender, TRP_MCP_MSG_GIVE_UP, NULL, 0) !=
            TROUPE_OK) {
            trp_log_warn("the clients of a worker cannot be told that the server ends",
                         trp_log_u64("of", i));
        }
    }
}
