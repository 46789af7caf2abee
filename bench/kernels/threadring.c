/* Actors in a ring and one token: what scheduling costs when nothing can run beside it. */

#include "bench/kernels/cast.h"

enum { MSG_TOKEN = TRP_KERNEL_FIRST_TYPE, MSG_DONE };

struct member {
    struct trp_part part;
};

static uint32_t next_of(const struct trp_part *part)
{
    return part->index + 1 < part->run->actors ? part->index + 1 : 0;
}

/* The token carries the hops that are left; it is the same message all the way. */
static enum troupe_verdict receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    const struct trp_part *part = &((struct member *)state)->part;
    struct trp_kernel_run *run = part->run;
    uint64_t *left = troupe_msg_data(msg);
    if (--*left == 0) {
        trp_kernel_forward(ctx, run, trp_cast_lead(run), MSG_DONE, msg);
    } else {
        trp_kernel_forward(ctx, run, run->refs[next_of(part)], MSG_TOKEN, msg);
    }
    return TROUPE_CONTINUE;
}

/* Its first hop takes the token from the lead to the first member. */
static void start_round(struct troupe_ctx *ctx, struct trp_kernel_run *run)
{
    trp_kernel_tell(ctx, run, run->refs[0], MSG_TOKEN, troupe_span(&run->ops, sizeof(run->ops)));
}

static enum troupe_verdict receive_lead(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct member *lead = state;
    struct trp_kernel_run *run = lead->part.run;
    if (msg->type == MSG_TOKEN) {
        return receive(ctx, state, msg);
    }
    if (msg->type == MSG_DONE) {
        trp_kernel_done(run);
        if (msg->from != run->refs[(run->ops - 1) % run->actors]) {
            trp_kernel_fail(run, "the token ended at the wrong member");
            return TROUPE_CONTINUE;
        }
        if (!trp_kernel_next(ctx, run)) {
            return TROUPE_CONTINUE;
        }
    }
    start_round(ctx, run);
    return TROUPE_CONTINUE;
}

static const struct troupe_actor_type member_type = {
    .name = "ring-member",
    .state_size = sizeof(struct member),
    .init_cb = trp_part_init,
    .receive_cb = receive,
};

static const struct troupe_actor_type lead_type = {
    .name = "ring-lead",
    .state_size = sizeof(struct member),
    .init_cb = trp_part_init,
    .receive_cb = receive_lead,
};

/* The lead is a member, too. */
static bool setup(struct trp_kernel_run *run)
{
    const struct trp_role roles[] = {
        {&member_type, run->the_case->actors - 1, TRP_PLACE_IN_BLOCKS},
        {&lead_type, 1, TRP_PLACE_LAST},
    };
    return trp_cast(run, roles, 2);
}

#define RING(actors_, name_, workers_, placement_)                                                 \
    {                                                                                              \
        .name = #actors_ "-actors-" name_,                                                         \
        .parameters = #actors_ " actors in a ring, 1 token, {n} hops", .ops = 1000000,             \
        .actors = (actors_), .workers = (workers_), .placement = (placement_),                     \
        .limit = TRP_LIMIT_FLOOR_THREADRING##actors_, .share_min = (workers_) == 1 ? 0.25 : 0      \
    }

static const struct trp_kernel_case cases[] = {
    RING(100, "1-worker", 1, TRP_PLACEMENT_RUNTIME),
    RING(100, "placed", 0, TRP_PLACEMENT_RUNTIME),
    RING(100, "spread", 0, TRP_PLACEMENT_SPREAD),
    RING(503, "1-worker", 1, TRP_PLACEMENT_RUNTIME),
    RING(503, "placed", 0, TRP_PLACEMENT_RUNTIME),
    RING(503, "spread", 0, TRP_PLACEMENT_SPREAD),
};

const struct trp_kernel trp_kernel_threadring = {
    .name = "threadring",
    .about = "a token goes round a ring; spread: an arc of the ring on each worker",
    .op = "hop",
    .cases = cases,
    .case_count = sizeof(cases) / sizeof(cases[0]),
    .setup = setup,
};
