/* Ports: foreign threads that send, also while the pool stops. */

#include "pool_fixture.h"
#include "tests/cmocka.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <troupe/assert.h>

#define THREADS     3u
#define WORKERS     2u
#define STOP_AFTER  30000u
#define ROUND_TRIPS 3000u

enum { MSG_NUMBER = MSG_GO + 1, MSG_FILL };

struct numbered {
    uint32_t thread;
    uint32_t number;
};

static struct {
    troupe_ref refs[WORKERS];
    uint32_t received; /* by all actors; atomic */
} world;

static void make_pool(uint32_t workers, const struct troupe_actor_type *type)
{
    memset(&world, 0, sizeof(world));
    fixture_create_parking(workers);
    for (uint32_t i = 0; i < workers; i++) {
        world.refs[i] = fixture_add(i, type, NULL);
    }
    fixture_start();
}

static enum troupe_status send_number(struct troupe_port *port, troupe_ref to, uint32_t number)
{
    struct numbered numbered = {0, number};
    struct troupe_msg *msg = troupe_port_msg_new(port, MSG_NUMBER, sizeof(numbered));
    TROUPE_ASSERT(msg != NULL);
    memcpy(troupe_msg_data(msg), &numbered, sizeof(numbered));
    struct troupe_msg *kept = msg;
    enum troupe_status status = troupe_port_send(port, to, &msg);
    if (status != TROUPE_OK) {
        TROUPE_ASSERT(msg == kept); /* still the caller's */
        troupe_port_msg_free(port, msg);
    } else {
        TROUPE_ASSERT(msg == NULL);
    }
    return status;
}

/* --- several threads while the pool stops --- */

struct sink {
    uint32_t next[THREADS];
};

/* What is processed comes in order; only the tail of a thread's messages may be missing. */
static enum troupe_verdict swallow(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct sink *sink = state;
    struct numbered numbered;
    (void)ctx;
    memcpy(&numbered, troupe_msg_data(msg), sizeof(numbered));
    TROUPE_ASSERT(numbered.number == sink->next[numbered.thread]);
    sink->next[numbered.thread]++;
    if (__atomic_add_fetch(&world.received, 1, __ATOMIC_SEQ_CST) == STOP_AFTER) {
        troupe_pool_stop(fixture.pool);
    }
    return TROUPE_CONTINUE;
}

struct producer {
    pthread_t thread;
    struct troupe_port *port;
    uint32_t index;
    uint64_t accepted;
};

static void *produce(void *arg)
{
    struct producer *producer = arg;
    struct numbered numbered[WORKERS] = {{producer->index, 0}, {producer->index, 0}};
    struct troupe_msg *msg = NULL;
    enum troupe_status status = TROUPE_OK;
    for (uint32_t turn = 0; status != TROUPE_ECLOSED; turn++) {
        uint32_t to = turn % WORKERS;
        if (msg == NULL) {
            msg = troupe_port_msg_new(producer->port, MSG_NUMBER, sizeof(numbered[0]));
            TROUPE_ASSERT(msg != NULL);
        }
        memcpy(troupe_msg_data(msg), &numbered[to], sizeof(numbered[to]));
        status = troupe_port_send(producer->port, world.refs[to], &msg);
        if (status == TROUPE_OK) {
            numbered[to].number++;
            producer->accepted++;
        } else {
            TROUPE_ASSERT(status == TROUPE_EBUSY || status == TROUPE_ECLOSED);
            sched_yield();
        }
    }
    troupe_port_msg_free(producer->port, msg);
    troupe_port_close(producer->port);
    return NULL;
}

static void what_foreign_threads_sent_is_processed_or_reported(void **state)
{
    (void)state;
    static const struct troupe_actor_type sink = {.name = "sink",
                                                  .state_size = sizeof(struct sink),
                                                  .data_count_max = 256,
                                                  .receive_cb = swallow};
    struct producer producers[THREADS] = {0};
    uint64_t accepted = 0;
    make_pool(WORKERS, &sink);
    for (uint32_t i = 0; i < THREADS; i++) {
        producers[i].index = i;
        producers[i].port = fixture_port();
        assert_int_equal(pthread_create(&producers[i].thread, NULL, produce, &producers[i]), 0);
    }
    troupe_pool_join(fixture.pool);
    for (uint32_t i = 0; i < THREADS; i++) {
        pthread_join(producers[i].thread, NULL);
        accepted += producers[i].accepted;
    }
    struct troupe_worker_stats sum = fixture_finish().sum;
    assert_int_equal(sum.accepted, accepted);
    assert_int_equal(sum.processed, world.received);
    assert_true(world.received >= STOP_AFTER);
}

/* --- a foreign send wakes a sleeping worker, every time --- */

static enum troupe_verdict acknowledge(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)ctx;
    (void)state;
    (void)msg;
    world.received++;
    sem_post(&fixture.entered);
    return TROUPE_CONTINUE;
}

static void each_foreign_send_wakes_the_worker(void **state)
{
    (void)state;
    static const struct troupe_actor_type echo = {.name = "echo", .receive_cb = acknowledge};
    make_pool(WORKERS, &echo);
    struct troupe_port *port = fixture_port();
    for (uint32_t i = 0; i < ROUND_TRIPS; i++) {
        assert_int_equal(send_number(port, world.refs[i % WORKERS], i), TROUPE_OK);
        sem_wait(&fixture.entered); /* a lost wake stays here until ctest's timeout */
    }
    troupe_pool_stop(fixture.pool);
    troupe_pool_join(fixture.pool);
    assert_int_equal(send_number(port, world.refs[0], 0), TROUPE_ECLOSED);
    assert_int_equal(fixture_finish().sum.processed, ROUND_TRIPS);
}

/* --- the refusals --- */

/* Fills its own lane, then lets the test look. */
static enum troupe_verdict fill(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)state;
    if (msg->type == MSG_NUMBER) {
        for (int i = 0; i < 4; i++) {
            TROUPE_ASSERT(troupe_send_copy(ctx, troupe_self(ctx), MSG_FILL, NULL, 0) == TROUPE_OK);
        }
        sem_post(&fixture.entered);
        sem_wait(&fixture.leave);
    } else if (++world.received == 4) {
        sem_post(&fixture.entered);
    }
    return TROUPE_CONTINUE;
}

static void a_full_lane_refuses_foreign_sends(void **state)
{
    (void)state;
    static const struct troupe_actor_type filler = {
        .name = "filler", .data_count_max = 4, .receive_cb = fill};
    make_pool(1, &filler);
    struct troupe_port *port = fixture_port();
    assert_int_equal(send_number(port, world.refs[0], 0), TROUPE_OK);
    sem_wait(&fixture.entered);
    assert_int_equal(send_number(port, world.refs[0], 1), TROUPE_EBUSY);
    struct troupe_worker_stats stats;
    troupe_pool_stats(fixture.pool, 0, &stats);
    assert_int_equal(stats.refused, 1);
    sem_post(&fixture.leave);
    sem_wait(&fixture.entered); /* the four are handled: there is room again */
    assert_int_equal(send_number(port, world.refs[0], 2), TROUPE_OK);
    sem_post(&fixture.leave);
    assert_true(fixture_stop().sum.accepted >= 6);
}

static enum troupe_verdict hold_worker(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)ctx;
    (void)state;
    (void)msg;
    sem_post(&fixture.entered);
    sem_wait(&fixture.leave);
    return TROUPE_CONTINUE;
}

static void stop_refuses_foreign_sends_at_once(void **state)
{
    (void)state;
    static const struct troupe_actor_type holder = {.name = "holder", .receive_cb = hold_worker};
    make_pool(1, &holder);
    struct troupe_port *port = fixture_port();
    assert_int_equal(send_number(port, world.refs[0], 0), TROUPE_OK);
    sem_wait(&fixture.entered); /* the worker cannot shut down yet */
    troupe_pool_stop(fixture.pool);
    enum troupe_status status = send_number(port, world.refs[0], 1);
    struct troupe_worker_stats stats;
    troupe_pool_stats(fixture.pool, 0, &stats);
    sem_post(&fixture.leave);
    fixture_finish();
    assert_int_equal(status, TROUPE_ECLOSED);
    assert_int_equal(stats.refused, 0); /* counts busy receivers only */
}

static void a_foreign_send_to_nobody_is_reported(void **state)
{
    (void)state;
    static const struct troupe_actor_type echo = {.name = "echo", .receive_cb = acknowledge};
    make_pool(1, &echo);
    struct troupe_port *port = fixture_port();
    assert_int_equal(send_number(port, world.refs[0] + 1, 0), TROUPE_OK); /* other generation */
    assert_int_equal(send_number(port, TROUPE_NOBODY, 0), TROUPE_OK);
    assert_int_equal(send_number(port, world.refs[0] | 7ull << 56, 0), TROUPE_EDEAD);
    assert_int_equal(send_number(port, world.refs[0], 0), TROUPE_OK);
    sem_wait(&fixture.entered);
    assert_int_equal(fixture_stop().sum.reported, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_foreign_threads_sent_is_processed_or_reported),
        cmocka_unit_test(each_foreign_send_wakes_the_worker),
        cmocka_unit_test(a_full_lane_refuses_foreign_sends),
        cmocka_unit_test(stop_refuses_foreign_sends_at_once),
        cmocka_unit_test(a_foreign_send_to_nobody_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
