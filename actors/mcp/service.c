#include "actors/mcp/service.h"

#include "actors/core/log.h"
#include "actors/mcp/backend_demo.h"
#include "actors/mcp/backend_stdio.h"
#include "actors/mcp/give_up.h"
#include "actors/mcp/processes.h"
#include "actors/mcp/shared.h"
#include "mailbox/atomic.h"

#include <stdlib.h>
#include <string.h>
#include <troupe/assert.h>

#define SCRATCH_KEEP (1u << 20) /* more than that is given back */
#define LINE_MAX_MAX (32u << 20)

/* --- inside handlers --- */

void trp_mcp_count_at(uint64_t *counter)
{
    /* single writer; relaxed: pairs with the loads of trp_mcp_service_stats */
    trp_store_relaxed_u64(counter, *counter + 1);
}

char *trp_mcp_scratch(struct trp_mcp_worker *worker, size_t size)
{
    bool is_too_big = worker->scratch_cap > SCRATCH_KEEP && size <= SCRATCH_KEEP;
    if (size > worker->scratch_cap || is_too_big) {
        size_t cap = 4096;
        while (cap < size) {
            cap *= 2;
        }
        free(worker->scratch);
        worker->scratch = malloc(cap);
        worker->scratch_cap = worker->scratch != NULL ? cap : 0;
    }
    return worker->scratch;
}

uint64_t trp_mcp_retry_after(struct troupe_ctx *ctx, const struct trp_mcp_service *service)
{
    uint64_t base_ms = service->config.retry_after_ms;
    return base_ms / 2 + troupe_random(ctx) % (base_ms + 1);
}

uint32_t trp_mcp_next_instance(struct trp_mcp_service *service)
{
    return trp_faa_u32(&service->next_instance, 1) + 1; /* unique is all it must be */
}

/* --- set-up --- */

static void default_u32(uint32_t *value, uint32_t otherwise)
{
    *value = *value != 0 ? *value : otherwise;
}

static void default_u64(uint64_t *value, uint64_t otherwise)
{
    *value = *value != 0 ? *value : otherwise;
}

static void set_defaults(struct trp_mcp_config *config)
{
    const uint64_t second = UINT64_C(1000000000);
    if (config->backend == NULL) {
        config->backend = "builtin:demo";
    }
    default_u32(&config->running_max, 100);
    default_u32(&config->waiting_max, 100);
    if (config->waiting_max == UINT32_MAX) {
        config->waiting_max = 0;
    }
    default_u32(&config->waiting_bytes_max, 8u << 20);
    default_u32(&config->routes_max, 10000);
    default_u64(&config->route_timeout_ns, 600 * second);
    default_u64(&config->cancel_grace_ns, 10 * second);
    default_u32(&config->backend_max, 64);
    default_u32(&config->starting_max, 4);
    default_u64(&config->start_timeout_ns, 30 * second);
    default_u64(&config->early_ns, 10 * second);
    default_u64(&config->backoff_first_ns, second / 2);
    default_u64(&config->backoff_max_ns, 60 * second);
    default_u32(&config->stop_grace_ms, 2000);
    default_u32(&config->line_bytes_max, 16u << 20);
    default_u32(&config->child_queue_max, 16u << 20);
    default_u64(&config->retry_after_ms, 1000);
    if (config->line_bytes_max > LINE_MAX_MAX) {
        config->line_bytes_max = LINE_MAX_MAX;
    }
    if (config->backend_max > TRP_SPAWN_CHILDREN_MAX) {
        config->backend_max = TRP_SPAWN_CHILDREN_MAX;
    }
}

static enum troupe_status
set_backend(struct trp_mcp_service *service, struct trp_spawner *spawner, const char **error)
{
    static const char prefix[] = "stdio:";
    const char *text = service->config.backend;
    service->backend.backend_state = service;
    service->backend.is_shared = service->config.is_shared;
    if (strcmp(text, "builtin:demo") == 0) {
        service->backend.name = "builtin:demo";
        service->backend.type = &trp_mcp_demo_type;
        return TROUPE_OK;
    }
    if (strncmp(text, prefix, sizeof(prefix) - 1) != 0) {
        *error = "unknown backend: known are builtin:demo and stdio:COMMAND";
        return TROUPE_EUNAVAIL;
    }
    struct trp_command_error problem = {0};
    text += sizeof(prefix) - 1;
    enum troupe_status status = trp_command_split(&service->command, &problem, text, strlen(text));
    if (status != TROUPE_OK) {
        *error = problem.text;
        return status == TROUPE_ENOMEM ? status : TROUPE_EINVAL;
    }
    if (spawner == NULL) {
        *error = "a stdio backend needs the process spawner";
        return TROUPE_EINVAL;
    }
    service->backend.name = "stdio";
    service->backend.type = &trp_mcp_stdio_type;
    if (trp_processes_create(service, spawner) == NULL) {
        *error = "out of memory";
        return TROUPE_ENOMEM;
    }
    return TROUPE_OK;
}

static enum troupe_status make_workers(struct trp_mcp_service *service)
{
    const struct trp_json_limits limits = {
        .bytes_max = service->config.line_bytes_max,
        .depth_max = 128,
        .nodes_max = 1u << 20,
    };
    service->worker_count = troupe_pool_workers(service->pool);
    size_t size = sizeof(struct trp_mcp_worker) * service->worker_count;
    service->workers = aligned_alloc(_Alignof(struct trp_mcp_worker), size);
    if (service->workers == NULL) {
        return TROUPE_ENOMEM;
    }
    memset(service->workers, 0, size);
    for (uint32_t i = 0; i < service->worker_count; i++) {
        struct trp_mcp_worker *worker = &service->workers[i];
        worker->parser = trp_json_create(limits);
        if (worker->parser == NULL ||
            trp_mcp_route_index_init(&worker->routes, service->config.routes_max) != TROUPE_OK) {
            return TROUPE_ENOMEM;
        }
    }
    return TROUPE_OK;
}

static void nobody_cares(struct troupe_ctx *ctx,
                         void *user,
                         const struct troupe_key *key,
                         enum troupe_release_reason reason)
{
    (void)ctx;
    (void)user;
    (void)key;
    (void)reason;
}

static enum troupe_status make_admission(struct trp_mcp_service *service,
                                         const struct troupe_admission_config *given)
{
    struct troupe_admission_config config = {0};
    if (given != NULL) {
        config = *given;
    }
    config.client_type = &trp_mcp_client_type;
    config.client_user = service;
    config.refused_cb = trp_mcp_refused;
    config.user = service;
    if (config.released_cb == NULL) {
        config.released_cb = nobody_cares;
    }
    if (service->processes != NULL && !service->backend.is_shared) {
        uint32_t wanted = config.capacity != 0 ? config.capacity : 1000;
        uint32_t most = service->config.backend_max;
        config.capacity = wanted < most ? wanted : most;
        if (wanted > most) {
            trp_log_info("capacity is limited by the number of backend processes",
                         trp_log_u64("capacity", most));
        }
    }
    return troupe_admission_create(&service->admission, service->pool, &config);
}

enum troupe_status trp_mcp_service_create(struct trp_mcp_service **service,
                                          struct troupe_pool *pool,
                                          const struct trp_mcp_config *config,
                                          const struct troupe_admission_config *admission,
                                          struct trp_spawner *spawner,
                                          const char **error)
{
    struct trp_mcp_service *made = calloc(1, sizeof(*made));
    *error = "out of memory";
    if (made == NULL) {
        return TROUPE_ENOMEM;
    }
    made->pool = pool;
    if (config != NULL) {
        made->config = *config;
    }
    set_defaults(&made->config);
    enum troupe_status status = make_workers(made);
    if (status == TROUPE_OK) {
        status = trp_mcp_enders_spawn(made);
    }
    if (status == TROUPE_OK) {
        status = set_backend(made, spawner, error);
    }
    if (status == TROUPE_OK) {
        status = make_admission(made, admission);
    }
    if (status == TROUPE_OK && made->backend.is_shared) {
        /* away from admission and the process manager, where there is another worker; init gets
         * the address of a pointer to the service, which must live until then */
        made->self = made;
        status = troupe_pool_spawn(pool, &made->shared, made->worker_count - 1,
                                   &trp_mcp_shared_type, &made->self);
    }
    if (status != TROUPE_OK) {
        trp_mcp_service_destroy(made);
        return status;
    }
    *service = made;
    return TROUPE_OK;
}

void trp_mcp_service_destroy(struct trp_mcp_service *service)
{
    if (service == NULL) {
        return;
    }
    troupe_admission_destroy(service->admission);
    trp_processes_destroy(service->processes);
    for (uint32_t i = 0; service->workers != NULL && i < service->worker_count; i++) {
        trp_json_destroy(service->workers[i].parser);
        trp_mcp_route_index_fini(&service->workers[i].routes);
        free(service->workers[i].scratch);
    }
    free(service->workers);
    trp_command_fini(&service->command);
    free(service);
}

void trp_mcp_service_stats(const struct trp_mcp_service *service, struct trp_mcp_stats *stats)
{
    *stats = (struct trp_mcp_stats){0};
    for (uint32_t i = 0; i < service->worker_count; i++) {
        const struct trp_mcp_stats *from = &service->workers[i].counters;
        /* relaxed: a snapshot, no two counters are tied together */
#define TRP_MCP_COUNTER_ADD(name) stats->name += trp_load_relaxed_u64(&from->name);
        TRP_MCP_COUNTERS(TRP_MCP_COUNTER_ADD)
#undef TRP_MCP_COUNTER_ADD
    }
    stats->routes_open = trp_load_relaxed_u32(&service->routes_open);
    if (service->processes != NULL) {
        trp_processes_counts(service->processes, &stats->processes_alive, &stats->processes_peak,
                             &stats->processes_waiting);
    }
}
