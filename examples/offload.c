/*
 * offload: long or blocking work on threads of its own, so that no worker ever waits. The queue of
 * the offload pool is bounded; its "busy" is the signal to hold back until something came back.
 *
 * Output:
 *     8 slices, at most 3 under way
 *     17984 primes below 200000
 */

#include <stdio.h>
#include <string.h>
#include <troupe/pool.h>

#define LIMIT  200000u
#define SLICES 8u

enum { MSG_SLICE = 1 };

/* Payload of a job: what the work needs, and room for what it finds. */
struct slice {
    uint32_t from, to;
    uint32_t primes;
};

static struct troupe_pool *pool;

/* Runs on an offload thread. It sees the payload and nothing else: no context, no actor state. */
static void count_primes(void *payload)
{
    struct slice *slice = payload;
    for (uint32_t n = slice->from; n < slice->to; n++) {
        uint32_t divisor = 2;
        while (divisor * divisor <= n && n % divisor != 0) {
            divisor++;
        }
        slice->primes += n >= 2 && divisor * divisor > n;
    }
}

struct counter {
    uint32_t next; /* slice to hand out */
    uint32_t under_way, under_way_max;
    uint32_t done, primes;
};

/* Hands out slices until there is no more room. */
static void hand_out(struct troupe_ctx *ctx, struct counter *counter)
{
    const uint32_t size = LIMIT / SLICES;
    while (counter->next < SLICES && counter->under_way < 3) {
        struct troupe_msg *msg = troupe_msg_new(ctx, MSG_SLICE, sizeof(struct slice));
        if (msg == NULL) {
            return;
        }
        struct slice slice = {counter->next * size, (counter->next + 1) * size, 0};
        memcpy(troupe_msg_data(msg), &slice, sizeof(slice));
        /* The message goes to a thread, its payload is worked on, and it comes back to us. */
        if (troupe_offload(ctx, &msg, count_primes) != TROUPE_OK) {
            troupe_msg_free(ctx, msg); /* busy: try again when the next result arrives */
            return;
        }
        counter->next++;
        counter->under_way++;
        if (counter->under_way > counter->under_way_max) {
            counter->under_way_max = counter->under_way;
        }
    }
}

static enum troupe_status start(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct counter *counter = state;
    (void)arg;
    hand_out(ctx, counter);
    return counter->under_way > 0 ? TROUPE_OK : TROUPE_ENOMEM;
}

/* Results come back on the reply lane, which is never full. */
static enum troupe_verdict receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct counter *counter = state;
    struct slice slice;
    memcpy(&slice, troupe_msg_data(msg), sizeof(slice));
    counter->primes += slice.primes;
    counter->under_way--;
    counter->done++;
    if (counter->done == SLICES) {
        printf("%u slices, at most %u under way\n", counter->done, counter->under_way_max);
        printf("%u primes below %u\n", counter->primes, LIMIT);
        troupe_pool_stop(pool);
        return TROUPE_STOP;
    }
    hand_out(ctx, counter);
    return TROUPE_CONTINUE;
}

static const struct troupe_actor_type counter_type = {
    .name = "counter",
    .state_size = sizeof(struct counter),
    .init_cb = start,
    .receive_cb = receive,
};

int main(int argc, char **argv)
{
    struct troupe_pool_config config = {
        .workers = 1,
        .offload_threads = 2,
        .offload_queue_max = 4, /* jobs waiting beyond those being worked on */
    };
    troupe_ref ref;
    char error[256] = "no memory";
    if (argc > 1) {
        bool is_help = argc == 2 && strcmp(argv[1], "--help") == 0;
        fprintf(is_help ? stdout : stderr, "usage: offload\n");
        return is_help ? 0 : 2;
    }
    if (troupe_pool_create(&pool, &config, error, sizeof(error)) != TROUPE_OK ||
        troupe_pool_spawn(pool, &ref, 0, &counter_type, NULL) != TROUPE_OK ||
        troupe_pool_start(pool, error, sizeof(error)) != TROUPE_OK) {
        fprintf(stderr, "cannot start: %s\n", error);
        return 1;
    }
    troupe_pool_join(pool);
    troupe_pool_destroy(pool);
    return 0;
}
