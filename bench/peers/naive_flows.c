/* The kernels of the naive pool that measure messages: pingpong, flows, fjthrput, threadring. */

#include "bench/peers/naive_kernels.h"

enum { BALL = TRP_NAIVE_FIRST, GO, ITEM, TOKEN, DONE };

/* --- pingpong --- */

/* The first of the two serves and counts; each answers the sender and counts the ball up. */
static bool receive_player(struct trp_naive_actor *self, const struct trp_naive_msg *msg)
{
    self->sum++;
    if (self->place == 0 && self->sum == self->run->work->each) {
        trp_naive_send(self, self->run->main, DONE, msg->value);
    } else {
        trp_naive_send(self, msg->from, BALL, msg->value + 1);
    }
    return true;
}

static bool receive_umpire(struct trp_naive_actor *self, const struct trp_naive_msg *msg)
{
    struct trp_naive_run *run = self->run;
    if (msg->type == TRP_NAIVE_START) {
        trp_naive_send(run->actors[0], run->actors[1], BALL, 1);
    } else {
        self->sum = msg->value;
        trp_naive_pool_finish(run->pool);
    }
    return true;
}

static bool is_pingpong_right(const struct trp_naive_run *run)
{
    return run->main->sum == 2 * run->work->each && run->actors[1]->sum == run->work->each;
}

const struct trp_naive_kernel trp_naive_pingpong = {receive_umpire, receive_player,
                                                    is_pingpong_right};

/* --- count, fanin --- */

static bool receive_sender(struct trp_naive_actor *self, const struct trp_naive_msg *msg)
{
    (void)msg;
    for (uint64_t left = self->run->work->each; left > 0; left--) {
        trp_naive_send(self, self->run->main, ITEM, left);
    }
    return true;
}

static bool receive_sink(struct trp_naive_actor *self, const struct trp_naive_msg *msg)
{
    struct trp_naive_run *run = self->run;
    if (msg->type == TRP_NAIVE_START) {
        self->left = run->work->ops;
        for (uint32_t i = 0; i < run->work->actors; i++) {
            trp_naive_send(self, run->actors[i], GO, 0);
        }
        return true;
    }
    self->sum += msg->value;
    if (--self->left == 0) {
        trp_naive_pool_finish(run->pool);
    }
    return true;
}

static bool is_flow_right(const struct trp_naive_run *run)
{
    uint64_t each = run->work->each;
    return run->main->left == 0 && run->main->sum == each * (each + 1) / 2 * run->work->actors;
}

const struct trp_naive_kernel trp_naive_flow = {receive_sink, receive_sender, is_flow_right};

/* --- fjthrput --- */

static bool receive_item(struct trp_naive_actor *self, const struct trp_naive_msg *msg)
{
    self->sum += msg->value;
    if (++self->left == self->run->work->each) {
        trp_naive_send(self, self->run->main, DONE, self->sum);
    }
    return true;
}

static bool receive_dealer(struct trp_naive_actor *self, const struct trp_naive_msg *msg)
{
    struct trp_naive_run *run = self->run;
    if (msg->type == TRP_NAIVE_START) {
        self->left = run->work->actors;
        for (uint64_t value = run->work->each; value > 0; value--) {
            for (uint32_t i = 0; i < run->work->actors; i++) {
                trp_naive_send(self, run->actors[i], ITEM, value);
            }
        }
        return true;
    }
    self->sum += msg->value;
    if (--self->left == 0) {
        trp_naive_pool_finish(run->pool);
    }
    return true;
}

const struct trp_naive_kernel trp_naive_fjthrput = {receive_dealer, receive_item, is_flow_right};

/* --- threadring --- */

static bool receive_token(struct trp_naive_actor *self, const struct trp_naive_msg *msg)
{
    struct trp_naive_run *run = self->run;
    self->sum++;
    if (msg->value == 1) {
        trp_naive_send(self, run->main, DONE, 0);
    } else {
        trp_naive_send(self, run->actors[(self->place + 1) % run->work->actors], TOKEN,
                       msg->value - 1);
    }
    return true;
}

static bool receive_starter(struct trp_naive_actor *self, const struct trp_naive_msg *msg)
{
    if (msg->type == TRP_NAIVE_START) {
        trp_naive_send(self, self->run->actors[0], TOKEN, self->run->work->each);
    } else {
        trp_naive_pool_finish(self->run->pool);
    }
    return true;
}

static bool is_threadring_right(const struct trp_naive_run *run)
{
    uint64_t hops = 0;
    for (uint32_t i = 0; i < run->work->actors; i++) {
        hops += run->actors[i]->sum;
    }
    return hops == run->work->each;
}

const struct trp_naive_kernel trp_naive_threadring = {receive_starter, receive_token,
                                                      is_threadring_right};
