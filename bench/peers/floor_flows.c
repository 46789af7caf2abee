/* The kernels of the floor that measure messages: pingpong, count, fanin, fjthrput, threadring. */

#include "bench/peers/floor_core.h"

/* --- pingpong: one message back and forth; each knows the other one, which is the least --- */

static uint64_t one_message(const struct trp_peer_work *work)
{
    (void)work;
    return 1;
}

static bool
receive_ball(struct trp_floor *floor, struct trp_floor_actor *self, struct trp_floor_msg *msg)
{
    if (self->left == 0) {
        floor->main->sum = msg->value;
        trp_floor_give(floor, msg);
        return true;
    }
    self->left--;
    msg->from = self;
    msg->value++;
    trp_floor_post(floor, self->peer, msg);
    return true;
}

static void start_pingpong(struct trp_floor *floor)
{
    struct trp_floor_msg *ball = trp_floor_take(floor);
    ball->value = 0;
    trp_floor_init(floor->main, receive_ball, NULL);
    for (uint32_t i = 0; i < 2; i++) {
        trp_floor_init(&floor->actors[i], receive_ball, &floor->actors[1 - i]);
        floor->actors[i].left = floor->work->each;
    }
    trp_floor_post(floor, &floor->actors[0], ball);
}

/* Each of the two has counted the ball up each time it sent it. */
static bool is_pingpong_right(const struct trp_floor *floor)
{
    return floor->actors[0].left == 0 && floor->actors[1].left == 0 &&
           floor->main->sum == 2 * floor->work->each;
}

const struct trp_floor_kernel trp_floor_pingpong = {
    .messages = one_message, .start = start_pingpong, .is_right = is_pingpong_right};

/*
 * --- count, fanin: each sender posts its whole share in one go ---
 *
 * Here is no bound and nothing that holds a sender back. On the pool the sink's lane is bounded at
 * 1024 messages and the senders wait for room, so that what waits stays in the cache.
 */

static uint64_t flow_messages(const struct trp_peer_work *work)
{
    return work->ops + work->actors;
}

static bool
receive_go(struct trp_floor *floor, struct trp_floor_actor *self, struct trp_floor_msg *msg)
{
    trp_floor_give(floor, msg);
    while (self->left > 0) {
        struct trp_floor_msg *out = trp_floor_take(floor);
        out->from = self;
        out->type = 0;
        out->value = self->left--;
        trp_floor_post(floor, self->peer, out);
    }
    return true;
}

static bool
receive_item(struct trp_floor *floor, struct trp_floor_actor *self, struct trp_floor_msg *msg)
{
    self->left--;
    self->sum += msg->value;
    trp_floor_give(floor, msg);
    return true;
}

static void start_flow(struct trp_floor *floor)
{
    trp_floor_init(floor->main, receive_item, NULL);
    floor->main->left = floor->work->ops;
    for (uint32_t i = 0; i < floor->work->actors; i++) {
        trp_floor_init(&floor->actors[i], receive_go, floor->main);
        floor->actors[i].left = floor->work->each;
        trp_floor_post(floor, &floor->actors[i], trp_floor_take(floor));
    }
}

/* Each share is the numbers from its size down to 1. */
static bool is_flow_right(const struct trp_floor *floor)
{
    uint64_t each = floor->work->each;
    return floor->main->left == 0 &&
           floor->main->sum == each * (each + 1) / 2 * floor->work->actors;
}

const struct trp_floor_kernel trp_floor_flow = {
    .messages = flow_messages, .start = start_flow, .is_right = is_flow_right};

/*
 * --- fjthrput: one actor sends to many in turns ---
 *
 * Plain, everything is posted before the first receiver runs: 600000 messages that have left the
 * cache by then. On the pool each receiver's lane is bounded at 32 messages and the sender waits
 * for room. With deal_max = 32 the same happens here, and it is about three times as fast.
 */

static uint64_t fjthrput_messages(const struct trp_peer_work *work)
{
    return work->ops + 1;
}

static bool
receive_deal(struct trp_floor *floor, struct trp_floor_actor *self, struct trp_floor_msg *msg)
{
    uint32_t actors = floor->work->actors;
    uint64_t rest = self->left > floor->deal_max ? self->left - floor->deal_max : 0;
    trp_floor_give(floor, msg);
    while (self->left > rest) {
        for (uint32_t i = 0; i < actors; i++) {
            struct trp_floor_msg *out = trp_floor_take(floor);
            out->from = self;
            out->type = 0;
            out->value = self->left;
            trp_floor_post(floor, &floor->actors[i], out);
        }
        self->left--;
    }
    if (rest > 0) {
        trp_floor_post(floor, &floor->relay, trp_floor_take(floor));
    }
    return true;
}

/* The dealer's own mailbox would be looked at again in the same turn. */
static bool
receive_relayed(struct trp_floor *floor, struct trp_floor_actor *self, struct trp_floor_msg *msg)
{
    trp_floor_post(floor, self->peer, msg);
    return true;
}

static void start_fjthrput(struct trp_floor *floor)
{
    trp_floor_init(&floor->relay, receive_relayed, floor->main);
    trp_floor_init(floor->main, receive_deal, NULL);
    floor->main->left = floor->work->each;
    for (uint32_t i = 0; i < floor->work->actors; i++) {
        trp_floor_init(&floor->actors[i], receive_item, floor->main);
        floor->actors[i].left = floor->work->each;
    }
    trp_floor_post(floor, floor->main, trp_floor_take(floor));
}

static bool is_fjthrput_right(const struct trp_floor *floor)
{
    uint64_t each = floor->work->each;
    for (uint32_t i = 0; i < floor->work->actors; i++) {
        if (floor->actors[i].left != 0 || floor->actors[i].sum != each * (each + 1) / 2) {
            return false;
        }
    }
    return floor->main->left == 0;
}

const struct trp_floor_kernel trp_floor_fjthrput = {
    .messages = fjthrput_messages, .start = start_fjthrput, .is_right = is_fjthrput_right};

/* --- threadring: one message around a ring --- */

static bool
receive_token(struct trp_floor *floor, struct trp_floor_actor *self, struct trp_floor_msg *msg)
{
    self->sum++;
    if (--msg->value == 0) {
        floor->main->sum = 1;
        trp_floor_give(floor, msg);
        return true;
    }
    msg->from = self;
    trp_floor_post(floor, self->peer, msg);
    return true;
}

static void start_threadring(struct trp_floor *floor)
{
    uint32_t actors = floor->work->actors;
    trp_floor_init(floor->main, receive_token, NULL);
    for (uint32_t i = 0; i < actors; i++) {
        trp_floor_init(&floor->actors[i], receive_token, &floor->actors[(i + 1) % actors]);
    }
    struct trp_floor_msg *token = trp_floor_take(floor);
    token->value = floor->work->each;
    trp_floor_post(floor, &floor->actors[0], token);
}

static bool is_threadring_right(const struct trp_floor *floor)
{
    uint64_t hops = 0;
    for (uint32_t i = 0; i < floor->work->actors; i++) {
        hops += floor->actors[i].sum;
    }
    return floor->main->sum == 1 && hops == floor->work->each;
}

const struct trp_floor_kernel trp_floor_threadring = {
    .messages = one_message, .start = start_threadring, .is_right = is_threadring_right};
