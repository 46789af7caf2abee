/* What a handler may ask of its context: identity, time, spawn, timers. */

#include "pool/worker.h"

#include <troupe/assert.h>

troupe_ref troupe_self(const struct troupe_ctx *ctx)
{
    return ctx->cell != NULL ? trp_cell_ref(ctx->cell) : TROUPE_NOBODY;
}

uint32_t troupe_self_worker(const struct troupe_ctx *ctx)
{
    return ctx->worker->index;
}

uint32_t troupe_worker_count(const struct troupe_ctx *ctx)
{
    return ctx->worker->pool->worker_count;
}

uint64_t troupe_now(const struct troupe_ctx *ctx)
{
    return ctx->worker->now_ns;
}

uint64_t troupe_wall_now(const struct troupe_ctx *ctx)
{
    return ctx->worker->driver->wall_now(ctx->worker->driver_state);
}

uint64_t troupe_random(struct troupe_ctx *ctx)
{
    return trp_random_next(&ctx->worker->random);
}

struct trp_worker *trp_ctx_worker(struct troupe_ctx *ctx)
{
    return ctx->worker;
}

void *trp_worker_driver_state(struct trp_worker *worker)
{
    return worker->driver_state;
}

uint32_t trp_worker_index(const struct trp_worker *worker)
{
    return worker->index;
}

bool troupe_is_alive_here(const struct troupe_ctx *ctx, troupe_ref ref)
{
    if (troupe_ref_worker(ref) != ctx->worker->index) {
        return false;
    }
    const struct trp_cell *cell = trp_cells_find(&ctx->worker->cells, ref);
    return cell != NULL && cell->status != TRP_CELL_ZOMBIE;
}

enum troupe_status troupe_spawn(struct troupe_ctx *ctx,
                                troupe_ref *ref,
                                const struct troupe_actor_type *type,
                                const void *arg)
{
    struct trp_worker *worker = ctx->worker;
    TROUPE_ASSERT(type->state_size <= TROUPE_ACTOR_STATE_MAX);
    if (worker->is_stopping) {
        return TROUPE_ECLOSED;
    }
    struct trp_cell *cell = trp_cells_take(&worker->cells, type);
    if (cell == NULL) {
        return TROUPE_ENOMEM;
    }
    troupe_ref made = trp_cell_ref(cell);
    enum troupe_status status = trp_cell_start(worker, cell, arg);
    if (status == TROUPE_OK) {
        *ref = made;
    }
    return status;
}

/* --- timers --- */

static void own_timer(struct trp_cell *cell, struct troupe_timer *timer)
{
    timer->owned_next = cell->timers;
    timer->owned_pprev = &cell->timers;
    if (cell->timers != NULL) {
        cell->timers->owned_pprev = &timer->owned_next;
    }
    cell->timers = timer;
}

static void disown_timer(struct troupe_timer *timer)
{
    *timer->owned_pprev = timer->owned_next;
    if (timer->owned_next != NULL) {
        timer->owned_next->owned_pprev = timer->owned_pprev;
    }
    timer->owned_next = NULL;
    timer->owned_pprev = NULL;
}

static void
arm(struct trp_worker *worker, struct trp_cell *cell, struct troupe_timer *timer, uint64_t after_ns)
{
    trp_worker_read_clock(worker); /* never early, whatever the handler did since */
    timer->msg.to = trp_cell_ref(cell);
    timer->msg.from = timer->msg.to;
    timer->msg.size = 0;
    timer->due_ns = after_ns > UINT64_MAX - worker->now_ns ? UINT64_MAX : worker->now_ns + after_ns;
    trp_wheel_add(&worker->wheel, timer);
    own_timer(cell, timer);
}

void trp_timer_arm(struct trp_worker *worker,
                   struct trp_cell *cell,
                   struct troupe_timer *timer,
                   uint64_t after_ns,
                   uint16_t type,
                   uint8_t extra_flags)
{
    timer->msg.type = type;
    timer->msg.flags = (uint8_t)(TROUPE_MSG_EMBEDDED | TROUPE_LANE_REPLY | extra_flags);
    timer->period_ns = 0;
    timer->slack_ms = 0;
    arm(worker, cell, timer, after_ns);
}

void trp_timer_received(struct troupe_timer *timer)
{
    timer->is_queued = false;
    if (timer->pprev == NULL && timer->owned_pprev != NULL) {
        disown_timer(timer);
    }
}

void troupe_timer_start(struct troupe_ctx *ctx,
                        struct troupe_timer *timer,
                        uint64_t after_ns,
                        uint64_t period_ns,
                        uint16_t type)
{
    troupe_timer_start_slack(ctx, timer, after_ns, period_ns, 0, type);
}

void troupe_timer_start_slack(struct troupe_ctx *ctx,
                              struct troupe_timer *timer,
                              uint64_t after_ns,
                              uint64_t period_ns,
                              uint64_t slack_ns,
                              uint16_t type)
{
    uint64_t slack_ms = slack_ns / 1000000;
    TROUPE_ASSERT(ctx->cell != NULL);
    TROUPE_ASSERT(type < TROUPE_MSG_RESERVED);
    troupe_timer_cancel(ctx, timer);
    timer->msg.type = type;
    timer->msg.flags = TROUPE_MSG_EMBEDDED | TROUPE_LANE_REPLY;
    timer->period_ns = period_ns;
    timer->slack_ms = slack_ms < UINT32_MAX ? (uint32_t)slack_ms : UINT32_MAX;
    arm(ctx->worker, ctx->cell, timer, after_ns);
}

void troupe_timer_cancel(struct troupe_ctx *ctx, struct troupe_timer *timer)
{
    if (timer->pprev != NULL) {
        trp_wheel_remove(&ctx->worker->wheel, timer);
    }
    if (timer->owned_pprev != NULL) {
        disown_timer(timer);
    }
    if (timer->is_queued) {
        struct trp_cell *cell = trp_cells_find(&ctx->worker->cells, timer->msg.to);
        TROUPE_ASSERT(cell != NULL);
        bool was_there = trp_lane_remove(&cell->reply, &timer->msg);
        TROUPE_ASSERT(was_there);
        timer->is_queued = false;
    }
}
