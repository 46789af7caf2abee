/* Two actors and one message: the latency of a hop. */

#include "bench/kernels/kernel.h"

enum { MSG_BALL = 1 };

struct player_arg {
    struct trp_kernel_run *run;
    bool is_server; /* serves, counts round trips and ends the run */
};

struct player {
    struct trp_kernel_run *run;
    uint64_t left;
    bool is_server;
};

static enum troupe_status init(struct troupe_ctx *ctx, void *state, const void *arg)
{
    const struct player_arg *given = arg;
    struct player *player = state;

    player->run = given->run;
    player->is_server = given->is_server;
    player->left = given->run->the_case->ops;
    if (!given->is_server) {
        return TROUPE_OK;
    }
    trp_kernel_begin(ctx, player->run);
    return troupe_send_copy(ctx, player->run->refs[1], MSG_BALL, NULL, 0);
}

static enum troupe_verdict receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct player *player = state;
    if (player->is_server && --player->left == 0) {
        trp_kernel_end(player->run);
        return TROUPE_CONTINUE;
    }
    troupe_ref from = msg->from;
    msg = troupe_msg_take(ctx, msg);
    if (troupe_send(ctx, from, &msg) != TROUPE_OK) {
        troupe_msg_free(ctx, msg);
        trp_kernel_fail(player->run, "the ball was refused");
    }
    return TROUPE_CONTINUE;
}

static const struct troupe_actor_type type = {
    .name = "player",
    .state_size = sizeof(struct player),
    .init_cb = init,
    .receive_cb = receive,
};

static bool setup(struct trp_kernel_run *run)
{
    static struct player_arg args[2]; /* one run at a time */
    for (uint32_t i = 0; i < 2; i++) {
        args[i] = (struct player_arg){run, i == 0};
        uint32_t worker = i == 0 ? 0 : run->workers - 1;
        if (troupe_pool_spawn(run->pool, &run->refs[i], worker, &type, &args[i]) != TROUPE_OK) {
            return false;
        }
    }
    return true;
}

static const struct trp_kernel_case cases[] = {
    {.name = "same-worker",
     .parameters = "1 pair on one worker, 1000000 round trips",
     .ops = 1000000,
     .workers = 1,
     .limit = TRP_LIMIT_FLOOR_PINGPONG},
    {.name = "cross-hot",
     .parameters = "1 pair on two workers that never park, 500000 round trips",
     .ops = 500000,
     .workers = 2,
     .spin = TROUPE_SPIN_BUSY,
     .limit = TRP_LIMIT_HOP},
    {.name = "cross-parked",
     .parameters = "1 pair on two workers that park at once, 5000 round trips",
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
