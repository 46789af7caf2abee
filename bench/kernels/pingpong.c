/* Two actors and one message, which each of them counts up: the latency of a hop. */

#include "bench/kernels/cast.h"

enum { MSG_BALL = TRP_KERNEL_FIRST_TYPE };

struct player {
    struct trp_part part;
    uint64_t left; /* lead: round trips of this round */
};

static void count_up(struct troupe_msg *ball)
{
    uint64_t *value = troupe_msg_data(ball);
    ++*value;
}

static enum troupe_verdict receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct player *player = state;
    count_up(msg);
    trp_kernel_forward(ctx, player->part.run, msg->from, MSG_BALL, msg);
    return TROUPE_CONTINUE;
}

static void serve(struct troupe_ctx *ctx, struct player *lead)
{
    struct trp_kernel_run *run = lead->part.run;
    const uint64_t value = 1;
    lead->left = run->ops;
    trp_kernel_tell(ctx, run, run->refs[0], MSG_BALL, troupe_span(&value, sizeof(value)));
}

static void end_round(struct troupe_ctx *ctx, struct player *lead, uint64_t value)
{
    struct trp_kernel_run *run = lead->part.run;
    trp_kernel_done(run);
    if (value != 2 * run->ops) {
        trp_kernel_fail(run, "the ball was lost, doubled or changed");
    } else if (trp_kernel_next(ctx, run)) {
        serve(ctx, lead);
    }
}

/* The lead serves, counts round trips and ends the rounds. */
static enum troupe_verdict receive_lead(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct player *lead = state;
    struct trp_kernel_run *run = lead->part.run;
    if (msg->type == TRP_KERNEL_START) {
        serve(ctx, lead);
    } else if (--lead->left == 0) {
        end_round(ctx, lead, trp_kernel_value(msg));
    } else {
        count_up(msg);
        trp_kernel_forward(ctx, run, run->refs[0], MSG_BALL, msg);
    }
    return TROUPE_CONTINUE;
}

static const struct troupe_actor_type type = {
    .name = "player",
    .state_size = sizeof(struct player),
    .init_cb = trp_part_init,
    .receive_cb = receive,
};

static const struct troupe_actor_type lead_type = {
    .name = "serving-player",
    .state_size = sizeof(struct player),
    .init_cb = trp_part_init,
    .receive_cb = receive_lead,
};

static bool setup(struct trp_kernel_run *run)
{
    const struct trp_role roles[] = {
        {&type, 1, TRP_PLACE_IN_TURN},
        {&lead_type, 1, TRP_PLACE_LAST},
    };
    return trp_cast(run, roles, 2);
}

static const struct trp_kernel_case cases[] = {
    {.name = "same-worker",
     .parameters = "1 pair on one worker, {n} round trips",
     .ops = 1000000,
     .workers = 1,
     .limit = TRP_LIMIT_FLOOR_PINGPONG,
     .share_min = 0.40},
    {.name = "placed",
     .parameters = "1 pair where the runtime puts it, {n} round trips",
     .ops = 1000000,
     .placement = TRP_PLACEMENT_RUNTIME,
     .limit = TRP_LIMIT_FLOOR_PINGPONG},
    {.name = "cross-hot",
     .parameters = "1 pair on two workers that never park, {n} round trips",
     .ops = 1000000,
     .workers = 2,
     .spin = TROUPE_SPIN_BUSY,
     .limit = TRP_LIMIT_HOP},
    {.name = "cross-parked",
     .parameters = "1 pair on two workers that park at once, {n} round trips",
     .ops = 5000,
     .workers = 2,
     .spin = TROUPE_SPIN_PARK,
     .limit = TRP_LIMIT_WAKE_FUTEX},
};

const struct trp_kernel trp_kernel_pingpong = {
    .name = "pingpong",
    .about = "a message back and forth between two actors",
    .op = "round trip",
    .cases = cases,
    .case_count = sizeof(cases) / sizeof(cases[0]),
    .setup = setup,
};
