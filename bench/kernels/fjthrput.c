/* One driver, many receivers: what fanning out costs. */

#include "bench/kernels/cast.h"

enum { MSG_ITEM = TRP_KERNEL_FIRST_TYPE, MSG_ROOM, MSG_DONE };

struct receiver {
    struct trp_part part;
    uint64_t left; /* items of this round; 0 = it has not begun */
    uint64_t sum;
};

struct driver {
    struct trp_part part;
    uint64_t sent;    /* of this round, to all */
    uint32_t next;    /* receiver */
    uint32_t waiting; /* receivers that are not done */
};

/* The work done for an item is the sum, which also tells one lost or doubled. */
static enum troupe_verdict receive_item(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct receiver *receiver = state;
    struct trp_kernel_run *run = receiver->part.run;
    if (receiver->left == 0) {
        receiver->left = run->share;
        receiver->sum = 0;
    }
    receiver->sum += trp_kernel_value(msg);
    if (--receiver->left == 0) {
        trp_kernel_tell(ctx, run, msg->from, MSG_DONE,
                        troupe_span(&receiver->sum, sizeof(receiver->sum)));
    }
    return TROUPE_CONTINUE;
}

/* The values share .. 1, each to all receivers before the next. Stops where it is refused. */
static void send_items(struct troupe_ctx *ctx, struct driver *driver)
{
    struct trp_kernel_run *run = driver->part.run;
    uint32_t receivers = run->actors - 1;
    uint64_t value = run->share - driver->sent / receivers;

    while (driver->sent < run->ops) {
        struct troupe_msg *msg = troupe_msg_new(ctx, MSG_ITEM, sizeof(value));
        if (msg == NULL) {
            return;
        }
        memcpy(troupe_msg_data(msg), &value, sizeof(value));
        if (troupe_send(ctx, run->refs[driver->next], &msg) != TROUPE_OK) {
            troupe_msg_free(ctx, msg);
            return;
        }
        driver->sent++;
        if (++driver->next == receivers) {
            driver->next = 0;
            value--;
        }
    }
}

static void send_more(struct troupe_ctx *ctx, struct driver *driver)
{
    struct trp_kernel_run *run = driver->part.run;
    send_items(ctx, driver);
    if (driver->sent < run->ops) {
        trp_kernel_await_room(ctx, run, run->refs[driver->next], MSG_ROOM);
    }
}

static void start_round(struct troupe_ctx *ctx, struct driver *driver)
{
    driver->sent = 0;
    driver->next = 0;
    driver->waiting = driver->part.run->actors - 1;
    send_more(ctx, driver);
}

static void receiver_done(struct troupe_ctx *ctx, struct driver *driver, uint64_t sum)
{
    struct trp_kernel_run *run = driver->part.run;
    if (sum != run->share * (run->share + 1) / 2) {
        trp_kernel_fail(run, "messages were lost, arrived twice or changed");
    } else if (--driver->waiting == 0) {
        trp_kernel_done(run);
        if (trp_kernel_next(ctx, run)) {
            start_round(ctx, driver);
        }
    }
}

static enum troupe_verdict
receive_driver(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct driver *driver = state;
    if (msg->type == TRP_KERNEL_START) {
        start_round(ctx, driver);
    } else if (msg->type == MSG_ROOM) {
        send_more(ctx, driver);
    } else {
        receiver_done(ctx, driver, trp_kernel_value(msg));
    }
    return TROUPE_CONTINUE;
}

/*
 * 32 messages of a cache line each for all 60 receivers stay in the nearer caches, as a channel's
 * capacity brings about in Go: 16 is a little faster still on one worker, 128 and more slower, and
 * across workers it makes no difference.
 */
static const struct troupe_actor_type receiver_type = {
    .name = "receiver",
    .data_count_max = 32,
    .state_size = sizeof(struct receiver),
    .init_cb = trp_part_init,
    .receive_cb = receive_item,
};

/* For comparison: everything is sent before the first receiver's turn. */
static const struct troupe_actor_type unbounded_receiver_type = {
    .name = "receiver",
    .data_count_max = TRP_KERNEL_LANE_COUNT,
    .data_bytes_max = TRP_KERNEL_LANE_BYTES,
    .state_size = sizeof(struct receiver),
    .init_cb = trp_part_init,
    .receive_cb = receive_item,
};

static const struct troupe_actor_type driver_type = {
    .name = "driver",
    .state_size = sizeof(struct driver),
    .init_cb = trp_part_init,
    .receive_cb = receive_driver,
};

static bool setup(struct trp_kernel_run *run)
{
    const struct troupe_actor_type *receiver =
        run->the_case->is_unbounded ? &unbounded_receiver_type : &receiver_type;
    const struct trp_role roles[] = {
        {receiver, run->the_case->actors, TRP_PLACE_IN_TURN},
        {&driver_type, 1, TRP_PLACE_LAST},
    };
    trp_kernel_divide(run, run->the_case->actors);
    return trp_cast(run, roles, 2);
}

#define FJTHRPUT(name_, workers_, placement_, is_unbounded_)                                       \
    {                                                                                              \
        .name = (name_), .parameters = "1 driver, 60 receivers, {each} messages to each",          \
        .ops = 600000, .actors = 60, .workers = (workers_), .placement = (placement_),             \
        .limit = TRP_LIMIT_FLOOR_FJTHRPUT, .is_unbounded = (is_unbounded_),                        \
        .share_min = (workers_) == 1 && !(is_unbounded_) ? 0.85 : 0,                               \
        .others = {TRP_LIMIT_FLOOR_FJTHRPUT_32, TRP_LIMIT_FLOOR_FJTHRPUT_LINE,                     \
                   TRP_LIMIT_FLOOR_FJTHRPUT_32_LINE},                                              \
        .other_count = (workers_) == 1 ? 3 : 0                                                     \
    }

static const struct trp_kernel_case cases[] = {
    FJTHRPUT("1-worker", 1, TRP_PLACEMENT_RUNTIME, false),
    FJTHRPUT("unbounded-1-worker", 1, TRP_PLACEMENT_RUNTIME, true),
    FJTHRPUT("placed", 0, TRP_PLACEMENT_RUNTIME, false),
    FJTHRPUT("spread", 0, TRP_PLACEMENT_SPREAD, false),
};

const struct trp_kernel trp_kernel_fjthrput = {
    .name = "fjthrput",
    .about = "one actor sends to many, each does a little work",
    .op = "message",
    .cases = cases,
    .case_count = sizeof(cases) / sizeof(cases[0]),
    .setup = setup,
};
