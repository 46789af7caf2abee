#include "bench/kernels/flow.h"

#include "bench/kernels/cast.h"

enum { MSG_GO = TRP_KERNEL_FIRST_TYPE, MSG_ROOM, MSG_ITEM };

struct flow_actor {
    struct trp_part part;
    uint64_t left; /* sender: to be sent; sink: to be received */
    uint64_t sum;  /* sink: of what arrived */
};

static bool send_item(struct troupe_ctx *ctx, troupe_ref sink, uint64_t value)
{
    struct troupe_msg *msg = troupe_msg_new(ctx, MSG_ITEM, sizeof(value));
    if (msg == NULL) {
        return false;
    }
    memcpy(troupe_msg_data(msg), &value, sizeof(value));
    if (troupe_send(ctx, sink, &msg) != TROUPE_OK) {
        troupe_msg_free(ctx, msg);
        return false;
    }
    return true;
}

static enum troupe_verdict
receive_sender(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct flow_actor *sender = state;
    struct trp_kernel_run *run = sender->part.run;
    troupe_ref sink = trp_cast_lead(run);

    if (msg->type == MSG_GO) {
        sender->left = run->share;
    }
    while (sender->left > 0 && send_item(ctx, sink, sender->left)) {
        sender->left--;
    }
    if (sender->left > 0) {
        trp_kernel_await_room(ctx, run, sink, MSG_ROOM);
    }
    return TROUPE_CONTINUE;
}

/* Out of line, so that the handler of the other messages needs no registers saved. */
static __attribute__((noinline)) void start_round(struct troupe_ctx *ctx, struct flow_actor *sink)
{
    struct trp_kernel_run *run = sink->part.run;
    sink->left = run->ops;
    sink->sum = 0;
    trp_cast_tell(ctx, run, 0, run->actors - 1, MSG_GO, troupe_span(NULL, 0));
}

static __attribute__((noinline)) void end_round(struct troupe_ctx *ctx, struct flow_actor *sink)
{
    struct trp_kernel_run *run = sink->part.run;
    /* each sender's share is the numbers from its size down to 1 */
    uint64_t sum = run->share * (run->share + 1) / 2 * (run->actors - 1);

    trp_kernel_done(run);
    if (sink->sum != sum) {
        trp_kernel_fail(run, "messages arrived twice or changed");
    } else if (trp_kernel_next(ctx, run)) {
        start_round(ctx, sink);
    }
}

static enum troupe_verdict receive_sink(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct flow_actor *sink = state;
    if (msg->type == TRP_KERNEL_START) {
        start_round(ctx, sink);
        return TROUPE_CONTINUE;
    }
    sink->sum += trp_kernel_value(msg);
    if (--sink->left == 0) {
        end_round(ctx, sink);
    }
    return TROUPE_CONTINUE;
}

static const struct troupe_actor_type sender_type = {
    .name = "sender",
    .state_size = sizeof(struct flow_actor),
    .init_cb = trp_part_init,
    .receive_cb = receive_sender,
};

/*
 * 1,024 messages of a cache line each: what waits stays in the cache and its memory comes back
 * soon, as a channel's capacity brings about in Go. One worker is as fast from 256 on and slower
 * beyond 1,024; across workers more is better, as a refused sender's way back takes a while.
 */
static const struct troupe_actor_type sink_type = {
    .name = "sink",
    .state_size = sizeof(struct flow_actor),
    .data_count_max = 1024,
    .data_bytes_max = TRP_KERNEL_LANE_BYTES,
    .init_cb = trp_part_init,
    .receive_cb = receive_sink,
};

/* For comparison: a sender's whole share waits in memory before the sink's next turn. */
static const struct troupe_actor_type unbounded_sink_type = {
    .name = "sink",
    .state_size = sizeof(struct flow_actor),
    .data_count_max = TRP_KERNEL_LANE_COUNT,
    .data_bytes_max = TRP_KERNEL_LANE_BYTES,
    .init_cb = trp_part_init,
    .receive_cb = receive_sink,
};

bool trp_flow_setup(struct trp_kernel_run *run)
{
    const struct troupe_actor_type *sink =
        run->the_case->is_unbounded ? &unbounded_sink_type : &sink_type;
    const struct trp_role roles[] = {
        {&sender_type, run->the_case->actors, TRP_PLACE_IN_TURN},
        {sink, 1, TRP_PLACE_LAST},
    };
    trp_kernel_divide(run, run->the_case->actors);
    return trp_cast(run, roles, 2);
}
