/* Ports: the bound towards a worker that does not look at its inbox, and recycling. */

#include "pool/worker.h"
#include "pool_fixture.h"
#include "tests/cmocka.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <troupe/assert.h>

#define THREADS 3u
#define CYCLES  20000u

enum { MSG_HOLD = MSG_GO + 1, MSG_NUMBER };

static struct {
    troupe_ref refs[2];
    uint32_t received; /* atomic */
} world;

static enum troupe_verdict receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)ctx;
    (void)state;
    if (msg->type == MSG_HOLD) {
        sem_post(&fixture.entered);
        sem_wait(&fixture.leave);
    } else {
        __atomic_add_fetch(&world.received, 1, __ATOMIC_SEQ_CST);
    }
    return TROUPE_CONTINUE;
}

static const struct troupe_actor_type type = {
    .name = "receiver", .data_count_max = 100000, .receive_cb = receive};

static void start_pool(void)
{
    memset(&world, 0, sizeof(world));
    fixture_create(
        &(struct troupe_pool_config){.workers = 2, .spin = TROUPE_SPIN_PARK, .pin = "none"});
    for (uint32_t i = 0; i < 2; i++) {
        world.refs[i] = fixture_add(i, &type, NULL);
    }
    fixture_start();
}

static enum troupe_status send_one(struct troupe_port *port, troupe_ref to, uint16_t what)
{
    struct troupe_msg *msg = troupe_port_msg_new(port, what, 8);
    TROUPE_ASSERT(msg != NULL);
    enum troupe_status status = troupe_port_send(port, to, &msg);
    TROUPE_ASSERT((status == TROUPE_OK) == (msg == NULL));
    troupe_port_msg_free(port, msg);
    return status;
}

/* Drains, so that all that was accepted is handled; returns how many were accepted. */
static uint64_t finish_pool(void)
{
    troupe_pool_drain(fixture.pool, UINT64_MAX);
    struct troupe_pool_report report = fixture_finish().report;
    assert_true(report.is_drained_in_time);
    assert_int_equal(report.reported, 0);
    assert_int_equal(report.accepted, report.processed);
    return report.accepted;
}

/* --- the window --- */

static void hold_worker(struct troupe_port *port)
{
    assert_int_equal(send_one(port, world.refs[0], MSG_HOLD), TROUPE_OK);
    sem_wait(&fixture.entered);
}

static void a_busy_worker_is_full_after_a_window(void **state)
{
    (void)state;
    start_pool();
    struct troupe_port *first = fixture_port();
    struct troupe_port *second = fixture_port();
    uint32_t accepted = 0;
    hold_worker(first);
    while (send_one(accepted % 2 == 0 ? first : second, world.refs[0], MSG_NUMBER) == TROUPE_OK) {
        accepted++;
        assert_true(accepted <= TRP_WINDOW);
    }
    assert_int_equal(send_one(first, world.refs[0], MSG_NUMBER), TROUPE_EBUSY);
    assert_int_equal(send_one(second, world.refs[0], MSG_NUMBER), TROUPE_EBUSY);
    struct troupe_worker_stats stats;
    troupe_pool_stats(fixture.pool, 0, &stats);
    assert_int_equal(stats.refused, 3); /* of both ports */
    troupe_pool_stats(fixture.pool, 1, &stats);
    assert_int_equal(stats.refused, 0);
    /* the message that holds it was dealt before, or is published as such when the turn ends */
    assert_in_range(accepted, TRP_WINDOW - 1, TRP_WINDOW);
    /* the other worker is not concerned */
    assert_int_equal(send_one(first, world.refs[1], MSG_NUMBER), TROUPE_OK);
    sem_post(&fixture.leave);
    /* once dealt there is room again */
    while (send_one(second, world.refs[0], MSG_NUMBER) != TROUPE_OK) {
        sched_yield();
    }
    assert_int_equal(finish_pool(), (uint64_t)accepted + 3);
    assert_int_equal(world.received, accepted + 2);
}

struct producer {
    pthread_t thread;
    uint32_t accepted;
};

static void *fill_window(void *arg)
{
    struct producer *producer = arg;
    struct troupe_port *port = fixture_port();
    uint32_t refused = 0;
    while (refused < 1000) {
        if (send_one(port, world.refs[0], MSG_NUMBER) == TROUPE_OK) {
            producer->accepted++;
        } else {
            refused++;
        }
    }
    troupe_port_close(port);
    return NULL;
}

static void threads_at_once_never_pass_the_window(void **state)
{
    (void)state;
    for (uint32_t round = 0; round < 5; round++) {
        struct producer producers[THREADS] = {0};
        uint32_t accepted = 0;
        start_pool();
        struct troupe_port *port = fixture_port();
        hold_worker(port);
        for (uint32_t i = 0; i < THREADS; i++) {
            assert_int_equal(pthread_create(&producers[i].thread, NULL, fill_window, &producers[i]),
                             0);
        }
        for (uint32_t i = 0; i < THREADS; i++) {
            pthread_join(producers[i].thread, NULL);
            accepted += producers[i].accepted;
        }
        assert_in_range(accepted, TRP_WINDOW - 1, TRP_WINDOW);
        sem_post(&fixture.leave);
        troupe_port_close(port);
        assert_int_equal(finish_pool(), (uint64_t)accepted + 1);
        assert_int_equal(world.received, accepted);
    }
}

/* --- recycling --- */

static uint32_t count_ports(void)
{
    uint32_t count = 0;
    struct troupe_port *ports[64];
    while (fixture.pool->closed_ports != NULL && count < 64) {
        ports[count++] = fixture_port();
    }
    for (uint32_t i = 0; i < count; i++) {
        troupe_port_close(ports[i]);
    }
    return count;
}

static void opening_and_closing_uses_the_same_port(void **state)
{
    (void)state;
    start_pool();
    uint64_t accepted = 0;
    for (uint32_t i = 0; i < CYCLES; i++) {
        struct troupe_port *port = fixture_port();
        enum troupe_status status = send_one(port, world.refs[i % 2], MSG_NUMBER);
        accepted += status == TROUPE_OK ? 1 : 0;
        troupe_port_close(port); /* the message may be under way still */
        if (status == TROUPE_EBUSY) {
            sched_yield();
        }
    }
    troupe_port_close(NULL);
    assert_int_equal(count_ports(), 1);
    struct troupe_worker_stats stats;
    troupe_pool_stats(fixture.pool, 0, &stats);
    assert_true(stats.accepted >= accepted); /* counts of all its users */
    assert_int_equal(finish_pool(), accepted);
    assert_int_equal(world.received, accepted);
}

static void *open_and_close(void *arg)
{
    struct producer *producer = arg;
    for (uint32_t i = 0; i < CYCLES / 10; i++) {
        struct troupe_port *port = fixture_port();
        for (uint32_t n = 0; n < 3; n++) {
            if (send_one(port, world.refs[(i + n) % 2], MSG_NUMBER) == TROUPE_OK) {
                producer->accepted++;
            }
        }
        troupe_port_close(port);
    }
    return NULL;
}

static void threads_hand_ports_over_to_each_other(void **state)
{
    (void)state;
    struct producer producers[THREADS] = {0};
    uint64_t accepted = 0;
    start_pool();
    for (uint32_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&producers[i].thread, NULL, open_and_close, &producers[i]),
                         0);
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        pthread_join(producers[i].thread, NULL);
        accepted += producers[i].accepted;
    }
    assert_in_range(count_ports(), 1, THREADS);
    assert_int_equal(finish_pool(), accepted);
    assert_int_equal(world.received, accepted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_busy_worker_is_full_after_a_window),
        cmocka_unit_test(threads_at_once_never_pass_the_window),
        cmocka_unit_test(opening_and_closing_uses_the_same_port),
        cmocka_unit_test(threads_hand_ports_over_to_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
