/*
 * ask: a question, a deadline, and a function that goes on with the answer. Nothing waits: while a
 * question is open its asker handles other messages. An ask always ends, and says how.
 *
 * Output:
 *     adder: 2 + 3 = 5
 *     mute: request was dropped without a reply
 *     slow: deadline passed
 *     dead: actor is dead
 */

#include <stdio.h>
#include <string.h>
#include <troupe/pool.h>
#include <troupe/relations.h>

#define MS 1000000ull
enum { MSG_ADD = 1, MSG_SUM = 2 };
struct numbers {
    int a, b;
};

static struct troupe_pool *pool;

/* Answers at once: the message becomes the reply, so answering needs no memory and cannot fail. */
static enum troupe_verdict adder(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct numbers numbers;
    (void)state;
    memcpy(&numbers, troupe_msg_data(msg), sizeof(numbers));
    int sum = numbers.a + numbers.b;
    (void)!troupe_reply(ctx, msg, MSG_SUM, troupe_span(&sum, sizeof(sum)));
    return TROUPE_CONTINUE;
}

/* Lets the request go without an answer: the asker is told so by itself. */
static enum troupe_verdict mute(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)ctx, (void)state, (void)msg;
    return TROUPE_CONTINUE;
}

/* Keeps the request to answer it later, but never does; the asker's deadline ends the wait. */
struct slow {
    struct troupe_msg *kept;
};

static enum troupe_verdict slow(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    ((struct slow *)state)->kept = troupe_msg_take(ctx, msg);
    return TROUPE_CONTINUE;
}

static void slow_end(struct troupe_ctx *ctx, void *state, enum troupe_down_reason reason)
{
    (void)reason;
    troupe_msg_free(ctx, ((struct slow *)state)->kept);
}

static enum troupe_verdict dead(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)ctx, (void)state, (void)msg;
    return TROUPE_STOP;
}

static const struct troupe_actor_type types[] = {
    {.name = "adder", .receive_cb = adder},
    {.name = "mute", .receive_cb = mute},
    {.name = "slow",
     .state_size = sizeof(struct slow),
     .receive_cb = slow,
     .terminate_cb = slow_end},
    {.name = "dead", .receive_cb = dead},
};
#define TYPES (sizeof(types) / sizeof(types[0]))

struct asker {
    troupe_ref others[TYPES];
};
static enum troupe_status ask_next(struct troupe_ctx *ctx, struct asker *asker, uint64_t index);

/* Goes on where the question was asked: the asker's state, and a cookie that says which one. */
static enum troupe_verdict
answered(struct troupe_ctx *ctx, void *state, const struct troupe_answer *answer, uint64_t cookie)
{
    const char *name = types[cookie].name;
    if (answer->status == TROUPE_OK) {
        int sum;
        memcpy(&sum, troupe_msg_data(answer->msg), sizeof(sum));
        printf("%s: 2 + 3 = %d\n", name, sum);
    } else {
        printf("%s: %s\n", name, troupe_status_text(answer->status));
    }
    return ask_next(ctx, state, cookie + 1) == TROUPE_OK ? TROUPE_CONTINUE : TROUPE_FAIL;
}

static enum troupe_status ask_next(struct troupe_ctx *ctx, struct asker *asker, uint64_t index)
{
    struct numbers numbers = {2, 3};
    if (index == TYPES) {
        troupe_pool_stop(pool);
        return TROUPE_OK;
    }
    uint64_t timeout_ns = types[index].receive_cb == slow ? 50 * MS : 10000 * MS;
    enum troupe_status status =
        troupe_ask(ctx, asker->others[index], MSG_ADD, troupe_span(&numbers, sizeof(numbers)),
                   timeout_ns, answered, index);
    if (status == TROUPE_EDEAD) { /* on the same worker this is known at once */
        printf("%s: %s\n", types[index].name, troupe_status_text(status));
        return ask_next(ctx, asker, index + 1);
    }
    return status;
}

static enum troupe_status start(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct asker *asker = state;
    enum troupe_status status = TROUPE_OK;
    (void)arg;
    for (size_t i = 0; i < TYPES && status == TROUPE_OK; i++) {
        status = troupe_spawn(ctx, &asker->others[i], &types[i], NULL);
    }
    troupe_stop(ctx, asker->others[TYPES - 1]); /* long dead when it is asked */
    return status == TROUPE_OK ? ask_next(ctx, asker, 0) : status;
}

static const struct troupe_actor_type asker_type = {
    .name = "asker", .state_size = sizeof(struct asker), .init_cb = start, .receive_cb = mute};

int main(int argc, char **argv)
{
    troupe_ref ref;
    char error[256] = "no memory";
    if (argc > 1) {
        bool is_help = argc == 2 && strcmp(argv[1], "--help") == 0;
        fprintf(is_help ? stdout : stderr, "usage: ask\n");
        return is_help ? 0 : 2;
    }
    if (troupe_pool_create(&pool, NULL, error, sizeof(error)) != TROUPE_OK ||
        troupe_pool_spawn(pool, &ref, 0, &asker_type, NULL) != TROUPE_OK ||
        troupe_pool_start(pool, error, sizeof(error)) != TROUPE_OK) {
        fprintf(stderr, "cannot start: %s\n", error);
        return 1;
    }
    troupe_pool_join(pool);
    troupe_pool_destroy(pool);
    return 0;
}
