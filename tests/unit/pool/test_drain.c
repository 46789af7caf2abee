/*
 * Draining a pool: work under way is finished, whatever way it takes (other workers, offload
 * threads, ports), and the report tells what was not.
 */

#include "pool_fixture.h"
#include "tests/cmocka.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <troupe/assert.h>

#define WORKERS    3u
#define ACTORS     12u
#define TOKENS     40u
#define ROUNDS     60u
#define PORTS      2u
#define HOPS_MAX   200u
#define FOREVER_NS UINT64_MAX

enum { MSG_TOKEN = MSG_GO + 1, MSG_TICK, MSG_FILL };

struct token {
    uint32_t hops_left;
};

static struct {
    troupe_ref refs[ACTORS];
    uint32_t done;     /* tokens that made all their hops; atomic */
    uint32_t jobs;     /* jobs run; atomic */
    uint32_t accepted; /* by ports; atomic */
} world;

static void make_pool(uint32_t workers, enum troupe_spin spin)
{
    memset(&world, 0, sizeof(world));
    fixture_create(&(struct troupe_pool_config){.workers = workers,
                                                .spin = spin,
                                                .pin = "none",
                                                .offload_threads = 2,
                                                .offload_queue_max = 16});
}

static void spawn(uint32_t index, uint32_t worker, const struct troupe_actor_type *type)
{
    world.refs[index] = fixture_add(worker, type, NULL);
}

/* --- tokens that hop over all workers and through offload --- */

static void nothing(void *payload)
{
    (void)payload;
    __atomic_add_fetch(&world.jobs, 1, __ATOMIC_SEQ_CST);
}

/* Every hop is work; a token never waits for anything but its own way. */
static void hop(struct troupe_ctx *ctx, struct troupe_msg *msg)
{
    struct token *token = troupe_msg_data(msg);
    if (token->hops_left == 0) {
        __atomic_add_fetch(&world.done, 1, __ATOMIC_SEQ_CST);
        troupe_msg_free(ctx, msg);
        return;
    }
    token->hops_left--;
    if (token->hops_left % 8 == 0 && troupe_offload(ctx, &msg, nothing) == TROUPE_OK) {
        return;
    }
    if (troupe_send(ctx, world.refs[troupe_random(ctx) % ACTORS], &msg) != TROUPE_OK) {
        __atomic_add_fetch(&world.done, 1, __ATOMIC_SEQ_CST); /* busy: its way ends here */
        troupe_msg_free(ctx, msg);
    }
}

static enum troupe_verdict relay(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)state;
    hop(ctx, troupe_msg_take(ctx, msg));
    return TROUPE_CONTINUE;
}

static const struct troupe_actor_type relay_type = {.name = "relay", .receive_cb = relay};

static bool port_token(struct troupe_port *port, uint32_t n)
{
    struct troupe_msg *msg = troupe_port_msg_new(port, MSG_TOKEN, sizeof(struct token));
    TROUPE_ASSERT(msg != NULL);
    ((struct token *)troupe_msg_data(msg))->hops_left = n * 7 % HOPS_MAX;
    enum troupe_status status = troupe_port_send(port, world.refs[n % ACTORS], &msg);
    if (status == TROUPE_OK) {
        __atomic_add_fetch(&world.accepted, 1, __ATOMIC_SEQ_CST);
        return true;
    }
    TROUPE_ASSERT(status == TROUPE_ECLOSED || status == TROUPE_EBUSY);
    troupe_port_msg_free(port, msg);
    return status == TROUPE_EBUSY;
}

/* Sends until it is told that the pool is closed. */
static void *produce(void *arg)
{
    struct troupe_port *port = fixture_port();
    for (uint32_t n = 0; port_token(port, n); n++) {
        if (n >= TOKENS) {
            sched_yield();
        }
        if (n == TOKENS) {
            sem_post(&fixture.entered);
        }
    }
    troupe_port_close(port);
    return arg;
}

static void drain_while_ports_send(enum troupe_spin spin)
{
    pthread_t threads[PORTS];
    make_pool(WORKERS, spin);
    for (uint32_t i = 0; i < ACTORS; i++) {
        spawn(i, i % WORKERS, &relay_type);
    }
    fixture_start();
    for (uint32_t i = 0; i < PORTS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, produce, NULL), 0);
    }
    for (uint32_t i = 0; i < PORTS; i++) {
        sem_wait(&fixture.entered);
    }
    troupe_pool_drain(fixture.pool, FOREVER_NS);
    for (uint32_t i = 0; i < PORTS; i++) {
        pthread_join(threads[i], NULL);
    }
    struct troupe_pool_report report = fixture_finish().report;
    /* quiet means that each accepted token made its whole way */
    assert_true(report.was_drained);
    assert_true(report.is_drained_in_time);
    assert_int_equal(report.reported, 0);
    assert_int_equal(report.abandoned, 0);
    assert_int_equal(world.done, world.accepted);
    assert_int_equal(report.actor_count, 0);
}

static void everything_accepted_is_finished(void **state)
{
    (void)state;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        drain_while_ports_send(TROUPE_SPIN_PARK);
    }
}

static void workers_that_never_park_drain_too(void **state)
{
    (void)state;
    for (uint32_t round = 0; round < 5; round++) {
        drain_while_ports_send(TROUPE_SPIN_BUSY);
    }
}

/* --- an idle pool with a timer armed and a port open is quiet at once --- */

struct idler {
    struct troupe_timer timer;
};

static enum troupe_status arm_for_ever(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct idler *idler = state;
    (void)arg;
    troupe_timer_start(ctx, &idler->timer, 3600000000000ull, 3600000000000ull, MSG_TICK);
    return TROUPE_OK;
}

static const struct troupe_actor_type idler_type = {.name = "idler",
                                                    .state_size = sizeof(struct idler),
                                                    .init_cb = arm_for_ever,
                                                    .receive_cb = fixture_ignore};

static void an_armed_timer_is_no_work(void **state)
{
    (void)state;
    make_pool(2, TROUPE_SPIN_PARK);
    spawn(0, 0, &idler_type);
    spawn(1, 1, &idler_type);
    struct troupe_port *port = fixture_port();
    fixture_start();
    troupe_pool_drain(fixture.pool, FOREVER_NS);
    assert_false(port_token(port, 0)); /* refused from the first moment */
    troupe_port_close(port);
    struct troupe_pool_report report = fixture_finish().report;
    assert_true(report.is_drained_in_time);
    assert_int_equal(report.accepted, 0);
}

/* --- a drain asked for by a handler; the offload job it began is waited for --- */

static void wait_for_leave(void *payload)
{
    (void)payload;
    sem_post(&fixture.entered);
    sem_wait(&fixture.leave);
    __atomic_add_fetch(&world.jobs, 1, __ATOMIC_SEQ_CST);
}

static enum troupe_verdict
offload_and_drain(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)state;
    if (msg->type == MSG_GO) {
        struct troupe_msg *job = troupe_msg_new(ctx, MSG_TOKEN, 8);
        TROUPE_ASSERT(job != NULL && troupe_offload(ctx, &job, wait_for_leave) == TROUPE_OK);
        troupe_pool_drain(fixture.pool, FOREVER_NS);
    } else {
        world.done++;
    }
    return TROUPE_CONTINUE;
}

static void a_running_job_is_waited_for(void **state)
{
    (void)state;
    static const struct troupe_actor_type type = {
        .name = "offloader", .init_cb = fixture_go, .receive_cb = offload_and_drain};
    for (uint32_t round = 0; round < 20; round++) {
        make_pool(2, TROUPE_SPIN_PARK);
        spawn(0, round % 2, &type);
        fixture_start();
        sem_wait(&fixture.entered);
        sem_post(&fixture.leave);
        struct troupe_pool_report report = fixture_finish().report;
        assert_int_equal(world.jobs, 1);
        assert_int_equal(world.done, 1); /* its result was handled */
        assert_true(report.is_drained_in_time);
        assert_int_equal(report.reported, 0);
    }
}

/* --- the deadline --- */

/* Keeps itself busy for ever. */
static enum troupe_verdict go_on(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)state;
    if (msg->type == MSG_GO && world.done++ == 0) {
        sem_post(&fixture.entered);
    }
    struct troupe_msg *again = troupe_msg_take(ctx, msg);
    TROUPE_ASSERT(troupe_send(ctx, troupe_self(ctx), &again) == TROUPE_OK);
    return TROUPE_CONTINUE;
}

static const struct troupe_actor_type busy_type = {
    .name = "busybody", .init_cb = fixture_go, .receive_cb = go_on};

static void start_busy(uint32_t worker)
{
    make_pool(2, TROUPE_SPIN_PARK);
    spawn(0, worker, &busy_type);
    fixture_start();
    sem_wait(&fixture.entered);
}

static void a_pool_that_is_never_quiet_stops_at_the_deadline(void **state)
{
    (void)state;
    start_busy(1);
    troupe_pool_drain(fixture.pool, 30000000);
    struct troupe_pool_report report = fixture_finish().report;
    assert_true(report.was_drained);
    assert_false(report.is_drained_in_time);
    assert_true(report.drain_ns >= 30000000);
    assert_int_equal(report.abandoned, 1);
    assert_int_equal(report.dropped[TROUPE_DROP_SHUTDOWN], 1);
    assert_int_equal(report.actor_count, 1);
    assert_string_equal(report.actors[0].type_name, "busybody");
    assert_true(report.actors[0].ref == world.refs[0]);
    assert_int_equal(report.actors[0].messages, 1);
}

static void a_second_call_shortens_the_time(void **state)
{
    (void)state;
    start_busy(0);
    troupe_pool_drain(fixture.pool, FOREVER_NS);
    troupe_pool_drain(fixture.pool, 0);
    troupe_pool_drain(fixture.pool, FOREVER_NS); /* no effect */
    assert_false(fixture_finish().report.is_drained_in_time);
}

static void a_stop_ends_the_drain(void **state)
{
    (void)state;
    start_busy(0);
    troupe_pool_drain(fixture.pool, FOREVER_NS);
    troupe_pool_stop(fixture.pool);
    struct troupe_pool_report report = fixture_finish().report;
    assert_true(report.was_drained);
    assert_false(report.is_drained_in_time);
    assert_int_equal(report.abandoned, 1);
}

static void a_drain_after_a_stop_does_nothing(void **state)
{
    (void)state;
    make_pool(2, TROUPE_SPIN_PARK);
    spawn(0, 0, &idler_type);
    fixture_start();
    troupe_pool_stop(fixture.pool);
    troupe_pool_drain(fixture.pool, FOREVER_NS);
    struct troupe_pool_report report = fixture_finish().report;
    assert_false(report.was_drained);
    assert_false(report.is_drained_in_time);
    assert_int_equal(report.drain_ns, 0);
}

/* --- the worst of many --- */

struct heap_of_mail {
    uint32_t count;
};

/* Fills its own lane and blocks, so that nothing of it is handled before the stop. */
static enum troupe_status fill_up(struct troupe_ctx *ctx, void *state, const void *arg)
{
    (void)state;
    for (uint32_t i = 0; i < ((const struct heap_of_mail *)arg)->count; i++) {
        TROUPE_ASSERT(troupe_send_copy(ctx, troupe_self(ctx), MSG_FILL, NULL, 0) == TROUPE_OK);
    }
    troupe_pool_stop(fixture.pool);
    return TROUPE_OK;
}

static void the_report_names_the_worst(void **state)
{
    (void)state;
    static const struct troupe_actor_type type = {
        .name = "hoarder", .init_cb = fill_up, .receive_cb = fixture_ignore};
    enum { COUNT = 50 };
    struct heap_of_mail mail[COUNT];
    troupe_ref refs[COUNT];
    uint64_t sum = 0;
    make_pool(2, TROUPE_SPIN_PARK);
    for (uint32_t i = 0; i < COUNT; i++) {
        mail[i].count = (i * 37 + 11) % COUNT; /* each of 0 .. COUNT-1 once */
        sum += mail[i].count;
        refs[i] = fixture_add(i % 2, &type, &mail[i]);
    }
    fixture_start();
    struct troupe_pool_report report = fixture_finish().report;
    assert_int_equal(report.abandoned, sum);
    assert_int_equal(report.dropped[TROUPE_DROP_SHUTDOWN], sum);
    assert_int_equal(report.actor_count, TROUPE_ABANDONED_MAX);
    for (uint32_t i = 0; i < TROUPE_ABANDONED_MAX; i++) {
        assert_int_equal(report.actors[i].messages, COUNT - 1 - i);
        uint32_t who = 0;
        while (refs[who] != report.actors[i].ref) {
            who++;
            assert_true(who < COUNT);
        }
        assert_int_equal(mail[who].count, report.actors[i].messages);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_accepted_is_finished),
        cmocka_unit_test(workers_that_never_park_drain_too),
        cmocka_unit_test(an_armed_timer_is_no_work),
        cmocka_unit_test(a_running_job_is_waited_for),
        cmocka_unit_test(a_pool_that_is_never_quiet_stops_at_the_deadline),
        cmocka_unit_test(a_second_call_shortens_the_time),
        cmocka_unit_test(a_stop_ends_the_drain),
        cmocka_unit_test(a_drain_after_a_stop_does_nothing),
        cmocka_unit_test(the_report_names_the_worst),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
