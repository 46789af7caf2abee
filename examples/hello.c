/*
 * hello: the smallest program. One pool, one actor, one message.
 *
 * Output:
 *     hello, world
 */

#include <stdio.h>
#include <string.h>
#include <troupe/pool.h>

enum { MSG_GREET = 1 }; /* our own message types; those from 0xEF00 on are taken */

static struct troupe_pool *pool; /* set before any worker runs */

/* Called on the actor's worker for each message; `msg` is borrowed until it returns. */
static enum troupe_verdict receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct troupe_span name = troupe_msg_span(msg);
    (void)ctx;   /* needed for sending, spawning, timers, the time */
    (void)state; /* this actor has none */
    printf("hello, %.*s\n", (int)name.len, name.data);
    troupe_pool_stop(pool); /* ends all actors and then the threads */
    return TROUPE_CONTINUE; /* TROUPE_STOP would end this actor only */
}

static const struct troupe_actor_type greeter = {.name = "greeter", .receive_cb = receive};

int main(int argc, char **argv)
{
    struct troupe_pool_config config = {.workers = 1}; /* what is left out has defaults */
    troupe_ref ref; /* a handle: a number, safe to keep after the actor has gone */
    char error[256] = "no memory";

    if (argc > 1) {
        bool is_help = argc == 2 && strcmp(argv[1], "--help") == 0;
        fprintf(is_help ? stdout : stderr, "usage: hello\n");
        return is_help ? 0 : 2;
    }

    /* First the pool and its first actors, then the threads. */
    if (troupe_pool_create(&pool, &config, error, sizeof(error)) != TROUPE_OK ||
        troupe_pool_spawn(pool, &ref, 0, &greeter, NULL) != TROUPE_OK ||
        troupe_pool_start(pool, error, sizeof(error)) != TROUPE_OK) {
        fprintf(stderr, "cannot start: %s\n", error);
        return 1;
    }

    /* A thread that is no worker sends through a port of its own. */
    struct troupe_port *port;
    if (troupe_port_open(pool, &port) != TROUPE_OK) {
        return 1;
    }
    struct troupe_msg *msg = troupe_port_msg_new(port, MSG_GREET, 5);
    if (msg == NULL) {
        return 1;
    }
    memcpy(troupe_msg_data(msg), "world", 5);
    if (troupe_port_send(port, ref, &msg) != TROUPE_OK) {
        troupe_port_msg_free(port, msg); /* what was not sent is still ours */
        troupe_pool_stop(pool);
    }
    troupe_port_close(port);
    troupe_pool_join(pool); /* the only call that blocks */
    troupe_pool_destroy(pool);
    return 0;
}
