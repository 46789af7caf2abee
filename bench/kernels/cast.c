#include "bench/kernels/cast.h"

#include <troupe/assert.h>

enum troupe_status trp_part_init(struct troupe_ctx *ctx, void *state, const void *arg)
{
    (void)ctx;
    memcpy(state, arg, sizeof(struct trp_part));
    return TROUPE_OK;
}

void trp_cast_tell(struct troupe_ctx *ctx,
                   struct trp_kernel_run *run,
                   uint32_t first,
                   uint32_t count,
                   uint16_t type,
                   struct troupe_span payload)
{
    for (uint32_t i = 0; i < count; i++) {
        trp_kernel_tell(ctx, run, run->refs[first + i], type, payload);
    }
}

static uint32_t worker_of(const struct trp_kernel_run *run, const struct trp_role *role, uint32_t i)
{
    switch (role->place) {
    case TRP_PLACE_IN_TURN:
        return i % run->workers;
    case TRP_PLACE_IN_BLOCKS:
        return (uint32_t)((uint64_t)i * run->workers / role->count);
    case TRP_PLACE_FIRST:
        return 0;
    case TRP_PLACE_LAST:
        break;
    }
    return run->workers - 1;
}

/* Spawns actor `i` of a role where its kind of placement wants it. ctx: NULL before the start. */
static bool
spawn(struct trp_kernel_run *run, struct troupe_ctx *ctx, const struct trp_role *role, uint32_t i)
{
    struct trp_part *part = &run->parts[run->actors];
    troupe_ref *ref = &run->refs[run->actors];
    TROUPE_ASSERT(run->actors < TRP_KERNEL_ACTORS_MAX);
    *part = (struct trp_part){run, run->actors};
    run->actors++;
    return ctx != NULL ? troupe_spawn(ctx, ref, role->type, part) == TROUPE_OK
                       : troupe_pool_spawn(run->pool, ref, worker_of(run, role, i), role->type,
                                           part) == TROUPE_OK;
}

static bool spawn_all(struct trp_kernel_run *run, struct troupe_ctx *ctx)
{
    run->actors = 0;
    for (uint32_t r = 0; r < run->role_count; r++) {
        for (uint32_t i = 0; i < run->roles[r].count; i++) {
            if (!spawn(run, ctx, &run->roles[r], i)) {
                return false;
            }
        }
    }
    return true;
}

/* With one worker, too: then a case of one worker differs from a placed one by nothing else. */
static bool is_runtimes_choice(const struct trp_kernel_run *run)
{
    return run->workers == 1 || run->the_case->placement == TRP_PLACEMENT_RUNTIME;
}

static enum troupe_status init_starter(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct trp_kernel_run *run = (struct trp_kernel_run *)(uintptr_t)arg;
    (void)state;
    if (is_runtimes_choice(run) && !spawn_all(run, ctx)) {
        trp_kernel_fail(run, "no room for the actors");
        return TROUPE_ENOMEM;
    }
    trp_kernel_tell(ctx, run, trp_cast_lead(run), TRP_KERNEL_START, troupe_span(NULL, 0));
    return TROUPE_OK;
}

static enum troupe_verdict
receive_starter(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)ctx;
    (void)state;
    (void)msg;
    return TROUPE_STOP; /* nobody knows it */
}

static const struct troupe_actor_type starter_type = {
    .name = "starter", .init_cb = init_starter, .receive_cb = receive_starter};

bool trp_cast(struct trp_kernel_run *run, const struct trp_role *roles, uint32_t role_count)
{
    troupe_ref starter;
    uint32_t worker = 0;

    TROUPE_ASSERT(role_count <= TRP_KERNEL_ROLES_MAX);
    memcpy(run->roles, roles, role_count * sizeof(*roles));
    run->role_count = role_count;
    if (!is_runtimes_choice(run)) {
        if (!spawn_all(run, NULL)) {
            return false;
        }
        worker = troupe_ref_worker(trp_cast_lead(run)); /* there its init runs after the lead's */
    }
    return troupe_pool_spawn(run->pool, &starter, worker, &starter_type, run) == TROUPE_OK;
}
