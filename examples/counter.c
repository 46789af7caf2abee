/*
 * counter: state without a lock. Four foreign threads add to one number; only its actor touches it.
 * Shows ports, a bounded mailbox that says "busy" instead of growing, and state with init.
 *
 * Output:
 *     4 threads added 40000
 */

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <troupe/pool.h>

#define THREADS 4
#define ADDS    10000

enum { MSG_ADD = 1 };

struct result {
    struct troupe_pool *pool;
    unsigned long total;
};

/* State is zeroed memory beside the actor. Nobody else sees it: no lock, no atomic. */
struct counter {
    struct result *result;
    unsigned long total;
    unsigned added;
};

static enum troupe_status start(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct counter *counter = state;
    (void)ctx;
    counter->result = *(struct result *const *)arg;
    return TROUPE_OK; /* anything else would end the actor at once */
}

static enum troupe_verdict receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct counter *counter = state;
    unsigned amount;
    (void)ctx;
    memcpy(&amount, troupe_msg_data(msg), sizeof(amount));
    counter->total += amount;
    counter->added++;
    if (counter->added == THREADS * ADDS) {
        counter->result->total = counter->total; /* main reads it after the join */
        troupe_pool_stop(counter->result->pool);
    }
    return TROUPE_CONTINUE;
}

static const struct troupe_actor_type counter_type = {
    .name = "counter",
    .state_size = sizeof(struct counter),
    .data_count_max = 1000, /* more unprocessed messages than this are refused */
    .init_cb = start,
    .receive_cb = receive,
};

struct adder {
    pthread_t thread;
    struct troupe_port *port; /* one port, one thread */
    troupe_ref counter;
};

static void *add(void *arg)
{
    struct adder *adder = arg;
    for (int i = 0; i < ADDS; i++) {
        unsigned one = 1;
        struct troupe_msg *msg;
        while ((msg = troupe_port_msg_new(adder->port, MSG_ADD, sizeof(one))) == NULL) {
            sched_yield(); /* over the port's memory budget until the counter has caught up */
        }
        memcpy(troupe_msg_data(msg), &one, sizeof(one));
        /* Busy is an answer for the sender to act on. A worker would shed load; a thread may wait.
         */
        while (troupe_port_send(adder->port, adder->counter, &msg) == TROUPE_EBUSY) {
            sched_yield();
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    struct result result = {0};
    struct result *shared = &result;
    struct adder adders[THREADS];
    troupe_ref counter;
    char error[256] = "no memory";
    if (argc > 1) {
        bool is_help = argc == 2 && strcmp(argv[1], "--help") == 0;
        fprintf(is_help ? stdout : stderr, "usage: counter\n");
        return is_help ? 0 : 2;
    }

    /* `arg` of a spawn is lent to init_cb; before the start of a pool it must live until then. */
    if (troupe_pool_create(&result.pool, NULL, error, sizeof(error)) != TROUPE_OK ||
        troupe_pool_spawn(result.pool, &counter, 0, &counter_type, &shared) != TROUPE_OK ||
        troupe_pool_start(result.pool, error, sizeof(error)) != TROUPE_OK) {
        fprintf(stderr, "cannot start: %s\n", error);
        return 1;
    }
    for (int i = 0; i < THREADS; i++) {
        adders[i].counter = counter;
        if (troupe_port_open(result.pool, &adders[i].port) != TROUPE_OK ||
            pthread_create(&adders[i].thread, NULL, add, &adders[i]) != 0) {
            fprintf(stderr, "cannot start a thread\n");
            return 1;
        }
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(adders[i].thread, NULL);
        troupe_port_close(adders[i].port);
    }
    troupe_pool_join(result.pool);
    troupe_pool_destroy(result.pool);
    printf("%d threads added %lu\n", THREADS, result.total);
    return 0;
}
