#include "actors/server/worker_names.h"

#include "actors/core/log.h"

static enum troupe_status init(struct troupe_ctx *ctx, void *state, const void *arg)
{
    (void)state;
    (void)arg;
    trp_log_set_worker((int)troupe_self_worker(ctx));
    return TROUPE_OK;
}

/* Nobody writes to it: it has done its work when it exists. */
static enum troupe_verdict receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)ctx;
    (void)state;
    (void)msg;
    return TROUPE_CONTINUE;
}

static const struct troupe_actor_type worker_name_type = {
    .name = "worker-name", .state_size = 1, .init_cb = init, .receive_cb = receive};

enum troupe_status trp_worker_names_set(struct troupe_pool *pool)
{
    enum troupe_status status = TROUPE_OK;
    for (uint32_t i = 0; i < troupe_pool_workers(pool) && status == TROUPE_OK; i++) {
        troupe_ref ref;
        status = troupe_pool_spawn(pool, &ref, i, &worker_name_type, NULL);
    }
    return status;
}
