#include "bench/kernels/flow.h"

enum { MSG_GO = 1, MSG_MORE = 2, MSG_ITEM = 3 };

/* No bound of the sink's mailbox is to be met: the kernel measures sending and draining. */
#define LANE_COUNT_MAX 0x40000000u
#define LANE_BYTES_MAX 0xffffffffu

struct flow_actor {
    struct trp_kernel_run *run;
    uint64_t left; /* sender: to be sent; sink: to be received */
    uint64_t sum;  /* sink: of what arrived */
    bool is_warm;  /* the second round */
};

static uint64_t share_of(const struct trp_kernel_run *run)
{
    return run->the_case->ops / run->the_case->senders;
}

static enum troupe_status init(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct flow_actor *actor = state;
    (void)ctx;
    actor->run = (struct trp_kernel_run *)(uintptr_t)arg;
    return TROUPE_OK;
}

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
    struct trp_kernel_run *run = sender->run;
    troupe_ref sink = run->refs[run->the_case->senders];

    if (msg->type == MSG_GO) {
        sender->left = share_of(run);
        if (sender->is_warm) {
            trp_kernel_begin(ctx, run);
        }
        sender->is_warm = true;
    }
    while (sender->left > 0 && send_item(ctx, sink, sender->left)) {
        sender->left--;
    }
    if (sender->left > 0) {
        msg = troupe_msg_take(ctx, msg);
        msg->type = MSG_MORE;
        if (troupe_send(ctx, troupe_self(ctx), &msg) != TROUPE_OK) {
            troupe_msg_free(ctx, msg);
            trp_kernel_fail(run, "a sender cannot remind itself");
        }
    }
    return TROUPE_CONTINUE;
}

static bool start_round(struct troupe_ctx *ctx, struct flow_actor *sink)
{
    struct trp_kernel_run *run = sink->run;
    sink->left = share_of(run) * run->the_case->senders;
    sink->sum = 0;
    for (uint32_t i = 0; i < run->the_case->senders; i++) {
        if (troupe_send_copy(ctx, run->refs[i], MSG_GO, NULL, 0) != TROUPE_OK) {
            return false;
        }
    }
    return true;
}

static enum troupe_status init_sink(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct flow_actor *sink = state;
    (void)init(ctx, sink, arg);
    return start_round(ctx, sink) ? TROUPE_OK : TROUPE_EBUSY;
}

/* Each sender's share is the numbers from its size down to 1. */
static bool is_sum_right(const struct flow_actor *sink)
{
    uint64_t share = share_of(sink->run);
    return sink->sum == share * (share + 1) / 2 * sink->run->the_case->senders;
}

static void end_round(struct troupe_ctx *ctx, struct flow_actor *sink)
{
    if (!is_sum_right(sink)) {
        trp_kernel_fail(sink->run, "messages arrived twice or changed");
    } else if (sink->is_warm) {
        trp_kernel_end(sink->run);
    } else {
        sink->is_warm = true;
        if (!start_round(ctx, sink)) {
            trp_kernel_fail(sink->run, "the second round did not start");
        }
    }
}

static enum troupe_verdict receive_sink(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct flow_actor *sink = state;
    uint64_t value;
    memcpy(&value, troupe_msg_data(msg), sizeof(value));
    sink->sum += value;
    if (--sink->left == 0) {
        end_round(ctx, sink);
    }
    return TROUPE_CONTINUE;
}

static const struct troupe_actor_type sender_type = {
    .name = "sender",
    .state_size = sizeof(struct flow_actor),
    .init_cb = init,
    .receive_cb = receive_sender,
};

static const struct troupe_actor_type sink_type = {
    .name = "sink",
    .state_size = sizeof(struct flow_actor),
    .data_count_max = LANE_COUNT_MAX,
    .data_bytes_max = LANE_BYTES_MAX,
    .init_cb = init_sink,
    .receive_cb = receive_sink,
};

bool trp_flow_setup(struct trp_kernel_run *run)
{
    uint32_t senders = run->the_case->senders;
    for (uint32_t i = 0; i < senders; i++) {
        if (troupe_pool_spawn(run->pool, &run->refs[i], i % run->workers, &sender_type, run) !=
            TROUPE_OK) {
            return false;
        }
    }
    return troupe_pool_spawn(run->pool, &run->refs[senders], run->workers - 1, &sink_type, run) ==
           TROUPE_OK;
}
