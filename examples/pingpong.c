/*
 * pingpong: two actors on two workers and one message that travels between them. Shows placement,
 * refs inside messages, and taking a message to send it on instead of making a new one.
 *
 * Output:
 *     ping lives on worker 0, pong on worker 1
 *     1000 round trips, one message
 */

#include <stdio.h>
#include <string.h>
#include <troupe/pool.h>

#define ROUNDS 1000

enum { MSG_BALL = 1 };

static struct troupe_pool *pool; /* set before any worker runs, read-only afterwards */
static troupe_ref pong_ref;

struct ping {
    int rounds;
};

/* Sends a message on, or gives up on the whole program. */
static void send_or_stop(struct troupe_ctx *ctx, troupe_ref to, struct troupe_msg *msg)
{
    enum troupe_status status = troupe_send(ctx, to, &msg);
    if (status != TROUPE_OK) {
        fprintf(stderr, "send: %s\n", troupe_status_text(status));
        troupe_msg_free(ctx, msg); /* not sent: still ours */
        troupe_pool_stop(pool);
    }
}

/* init runs on the actor's own worker when the pool starts. */
static enum troupe_status serve(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct troupe_msg *ball = troupe_msg_new(ctx, MSG_BALL, 0);
    (void)state;
    (void)arg;
    if (ball == NULL) {
        return TROUPE_ENOMEM;
    }
    /* The ref was handed out before the start, so it does not matter which worker is up first. */
    printf("ping lives on worker %u, pong on worker %u\n", troupe_self_worker(ctx),
           troupe_ref_worker(pong_ref));
    send_or_stop(ctx, pong_ref, ball);
    return TROUPE_OK;
}

static enum troupe_verdict ping(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct ping *self = state;
    self->rounds++;
    if (self->rounds == ROUNDS) {
        printf("%d round trips, one message\n", self->rounds);
        troupe_pool_stop(pool);
        return TROUPE_STOP;
    }
    /* A handler borrows its message. Taking makes it ours; then it must be sent or freed. */
    send_or_stop(ctx, msg->from, troupe_msg_take(ctx, msg));
    return TROUPE_CONTINUE;
}

static enum troupe_verdict pong(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)state;
    send_or_stop(ctx, msg->from, troupe_msg_take(ctx, msg)); /* `from` was set by send */
    return TROUPE_CONTINUE;
}

static const struct troupe_actor_type ping_type = {
    .name = "ping",
    .state_size = sizeof(struct ping),
    .init_cb = serve,
    .receive_cb = ping,
};

static const struct troupe_actor_type pong_type = {.name = "pong", .receive_cb = pong};

int main(int argc, char **argv)
{
    /* Workers are pinned to CPUs of their own if there are enough; on one CPU this works too. */
    struct troupe_pool_config config = {.workers = 2};
    troupe_ref ping_ref;
    char error[256] = "no memory";
    if (argc > 1) {
        bool is_help = argc == 2 && strcmp(argv[1], "--help") == 0;
        fprintf(is_help ? stdout : stderr, "usage: pingpong\n");
        return is_help ? 0 : 2;
    }
    if (troupe_pool_create(&pool, &config, error, sizeof(error)) != TROUPE_OK ||
        troupe_pool_spawn(pool, &pong_ref, 1, &pong_type, NULL) != TROUPE_OK ||
        troupe_pool_spawn(pool, &ping_ref, 0, &ping_type, NULL) != TROUPE_OK ||
        troupe_pool_start(pool, error, sizeof(error)) != TROUPE_OK) {
        fprintf(stderr, "cannot start: %s\n", error);
        return 1;
    }
    troupe_pool_join(pool);
    troupe_pool_destroy(pool);
    return 0;
}
