/* Actors that live for one message: what making and ending them costs. */

#include "bench/kernels/cast.h"

enum { MSG_GO = TRP_KERNEL_FIRST_TYPE, MSG_WORK, MSG_DONE };

struct child {
    struct trp_kernel_run *run;
};

struct parent {
    struct trp_part part;
    uint64_t left;    /* children still to be made in later waves */
    uint64_t wave;    /* children of this wave */
    uint64_t waiting; /* of these not done */
    uint64_t sum;     /* of the numbers of those that are */
};

struct lead {
    struct trp_part part;
    uint32_t waiting; /* parents that are not done */
};

static enum troupe_status init_child(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct child *child = state;
    (void)ctx;
    child->run = (struct trp_kernel_run *)(uintptr_t)arg;
    return TROUPE_OK;
}

/* Its number goes back in the message it came in. */
static enum troupe_verdict
receive_child(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct child *child = state;
    trp_kernel_forward(ctx, child->run, msg->from, MSG_DONE, msg);
    return TROUPE_STOP;
}

static const struct troupe_actor_type child_type = {
    .name = "child",
    .state_size = sizeof(struct child),
    .init_cb = init_child,
    .receive_cb = receive_child,
};

static bool make_child(struct troupe_ctx *ctx, struct trp_kernel_run *run, uint64_t number)
{
    troupe_ref ref;
    return troupe_spawn(ctx, &ref, &child_type, run) == TROUPE_OK &&
           troupe_send_copy(ctx, ref, MSG_WORK, &number, sizeof(number)) == TROUPE_OK;
}

/* How many children live at the same time. */
static uint64_t wave_of(const struct trp_kernel_run *run, uint64_t left)
{
    uint64_t most = run->the_case->actors;
    return most != 0 && most < left ? most : left;
}

static void start_wave(struct troupe_ctx *ctx, struct parent *parent)
{
    struct trp_kernel_run *run = parent->part.run;
    parent->wave = wave_of(run, parent->left);
    parent->waiting = parent->wave;
    parent->left -= parent->wave;
    parent->sum = 0;
    for (uint64_t i = 1; i <= parent->wave; i++) {
        if (!make_child(ctx, run, i)) {
            trp_kernel_fail(run, "no room for a child");
            return;
        }
    }
}

static void next_wave(struct troupe_ctx *ctx, struct parent *parent)
{
    struct trp_kernel_run *run = parent->part.run;
    if (parent->left > 0) {
        start_wave(ctx, parent);
    } else {
        trp_kernel_tell(ctx, run, trp_cast_lead(run), MSG_DONE, troupe_span(NULL, 0));
    }
}

static void start_share(struct troupe_ctx *ctx, struct parent *parent)
{
    struct trp_kernel_run *run = parent->part.run;
    uint32_t parents = run->actors - 1;
    parent->left = run->ops / parents + (parent->part.index < run->ops % parents);
    next_wave(ctx, parent);
}

static void child_done(struct troupe_ctx *ctx, struct parent *parent, uint64_t number)
{
    struct trp_kernel_run *run = parent->part.run;
    parent->sum += number;
    if (--parent->waiting > 0) {
        return;
    }
    if (parent->sum != parent->wave * (parent->wave + 1) / 2) {
        trp_kernel_fail(run, "a child was lost or counted twice");
    } else {
        next_wave(ctx, parent);
    }
}

static enum troupe_verdict
receive_parent(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct parent *parent = state;
    if (msg->type == MSG_GO) {
        start_share(ctx, parent);
    } else {
        child_done(ctx, parent, trp_kernel_value(msg));
    }
    return TROUPE_CONTINUE;
}

static void start_round(struct troupe_ctx *ctx, struct lead *lead)
{
    struct trp_kernel_run *run = lead->part.run;
    lead->waiting = run->actors - 1;
    trp_cast_tell(ctx, run, 0, lead->waiting, MSG_GO, troupe_span(NULL, 0));
}

static enum troupe_verdict receive_lead(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct lead *lead = state;
    struct trp_kernel_run *run = lead->part.run;
    if (msg->type == TRP_KERNEL_START) {
        start_round(ctx, lead);
    } else if (--lead->waiting == 0) {
        trp_kernel_done(run);
        if (trp_kernel_next(ctx, run)) {
            start_round(ctx, lead);
        }
    }
    return TROUPE_CONTINUE;
}

static const struct troupe_actor_type parent_type = {
    .name = "parent",
    .state_size = sizeof(struct parent),
    .data_count_max = TRP_KERNEL_LANE_COUNT, /* a million children are done at once */
    .data_bytes_max = TRP_KERNEL_LANE_BYTES,
    .init_cb = trp_part_init,
    .receive_cb = receive_parent,
};

static const struct troupe_actor_type lead_type = {
    .name = "fjcreate-lead",
    .state_size = sizeof(struct lead),
    .init_cb = trp_part_init,
    .receive_cb = receive_lead,
};

/* One parent; when the kernel spreads the work, one on each worker. */
static bool setup(struct trp_kernel_run *run)
{
    bool is_spread = run->the_case->placement == TRP_PLACEMENT_SPREAD;
    const struct trp_role roles[] = {
        {&parent_type, is_spread ? run->workers : 1, TRP_PLACE_IN_TURN},
        {&lead_type, 1, TRP_PLACE_LAST},
    };
    return trp_cast(run, roles, 2);
}

#define AT_ONCE(name_, parameters_, workers_, placement_)                                          \
    {                                                                                              \
        .name = "at-once-" name_, .parameters = parameters_ ", {n} children at once",              \
        .ops = 1000000, .workers = (workers_), .placement = (placement_),                          \
        .limit = TRP_LIMIT_FLOOR_FJCREATE, .share_min = (workers_) == 1 ? 0.55 : 0                 \
    }

#define WAVES(name_, parameters_, workers_, placement_)                                            \
    {                                                                                              \
        .name = "waves-" name_,                                                                    \
        .parameters = parameters_ ", {n} children in waves of at most 1000", .ops = 1000000,       \
        .actors = 1000, .workers = (workers_), .placement = (placement_),                          \
        .limit = TRP_LIMIT_FLOOR_FJCREATE_WAVES, .share_min = (workers_) == 1 ? 0.25 : 0           \
    }

static const struct trp_kernel_case cases[] = {
    AT_ONCE("1-worker", "1 parent", 1, TRP_PLACEMENT_RUNTIME),
    AT_ONCE("placed", "1 parent", 0, TRP_PLACEMENT_RUNTIME),
    AT_ONCE("spread", "1 parent on each worker", 0, TRP_PLACEMENT_SPREAD),
    WAVES("1-worker", "1 parent", 1, TRP_PLACEMENT_RUNTIME),
    WAVES("placed", "1 parent", 0, TRP_PLACEMENT_RUNTIME),
    WAVES("spread", "1 parent on each worker", 0, TRP_PLACEMENT_SPREAD),
};

const struct trp_kernel trp_kernel_fjcreate = {
    .name = "fjcreate",
    .about = "actors made, given one message, and ended",
    .op = "actor",
    .cases = cases,
    .case_count = sizeof(cases) / sizeof(cases[0]),
    .setup = setup,
};
