/*
 * Draining while supervised actors wait for their restart: one with messages in its mailbox is
 * waited for, until the deadline; one without is not.
 */

#include "pool/sim.h"
#include "pool_fixture.h"
#include "tests/cmocka.h"

#include <string.h>
#include <troupe/assert.h>
#include <troupe/supervise.h>

#define WORKERS    3u
#define CHILDREN   4u
#define WORK       5u
#define SEEDS      60u
#define MS         1000000ull
#define FOREVER_NS UINT64_MAX

enum { MSG_FAIL = MSG_GO + 1, MSG_WORK };

static struct {
    troupe_ref refs[CHILDREN]; /* atomic */
    uint32_t lives;            /* atomic */
    uint32_t worked;           /* atomic */
    uint32_t lost;             /* work in dead letters; atomic */
    uint32_t failed;           /* letters of what they failed at; atomic */
    struct troupe_port *port;
} world;

static enum troupe_status be_born(struct troupe_ctx *ctx, void *state, const void *arg)
{
    uint32_t index;
    (void)state;
    memcpy(&index, arg, sizeof(index));
    __atomic_store_n(&world.refs[index], troupe_self(ctx), __ATOMIC_SEQ_CST);
    __atomic_add_fetch(&world.lives, 1, __ATOMIC_SEQ_CST);
    sem_post(&fixture.entered);
    return TROUPE_OK;
}

static enum troupe_verdict work(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)ctx;
    (void)state;
    if (msg->type == MSG_FAIL) {
        return TROUPE_FAIL;
    }
    __atomic_add_fetch(&world.worked, 1, __ATOMIC_SEQ_CST);
    return TROUPE_CONTINUE;
}

static const struct troupe_actor_type child_type = {
    .name = "child", .init_cb = be_born, .receive_cb = work};

/* Supervision has messages of its own, which may find nobody when the pool goes down. */
static void count_own(void *arg, const struct troupe_msg *msg, enum troupe_drop_reason reason)
{
    fixture_count_letter(arg, msg, reason);
    if (msg->type == MSG_FAIL && reason == TROUPE_DROP_FAILED) {
        __atomic_add_fetch(&world.failed, 1, __ATOMIC_SEQ_CST);
    } else if (msg->type < TROUPE_MSG_RESERVED) {
        __atomic_add_fetch(&world.lost, 1, __ATOMIC_SEQ_CST);
    }
}

/* A supervisor on the last worker, its children on all. */
static void add_family(uint64_t backoff_ns)
{
    static const uint32_t indices[CHILDREN] = {0, 1, 2, 3};
    static struct troupe_child_spec specs[CHILDREN]; /* borrowed until init has run */
    static struct troupe_supervisor_spec spec;
    memset(&world, 0, sizeof(world));
    for (uint32_t i = 0; i < CHILDREN; i++) {
        specs[i] = (struct troupe_child_spec){.type = &child_type,
                                              .worker = i % WORKERS,
                                              .arg = &indices[i],
                                              .arg_len = sizeof(indices[i])};
    }
    spec = (struct troupe_supervisor_spec){.intensity_max = 200,
                                           .backoff_min_ns = backoff_ns,
                                           .children = specs,
                                           .child_count = CHILDREN};
    fixture_add(WORKERS - 1, &troupe_supervisor_type, &spec);
    world.port = fixture_port();
}

static void tell(uint32_t child, uint16_t type)
{
    struct troupe_msg *msg = troupe_port_msg_new(world.port, type, 0);
    TROUPE_ASSERT(msg != NULL);
    troupe_ref ref = __atomic_load_n(&world.refs[child], __ATOMIC_SEQ_CST);
    TROUPE_ASSERT(troupe_port_send(world.port, ref, &msg) == TROUPE_OK);
}

static void fail_with_work(uint32_t child, uint32_t count)
{
    tell(child, MSG_FAIL);
    for (uint32_t i = 0; i < count; i++) {
        tell(child, MSG_WORK);
    }
}

static void start_sim(uint64_t seed, uint64_t backoff_ns)
{
    fixture_create_sim(
        seed, &(struct troupe_pool_config){.workers = WORKERS, .dead_letter_cb = count_own});
    add_family(backoff_ns);
    fixture_start();
    (void)trp_sim_run(fixture.sim, trp_sim_now(fixture.sim) + 5 * MS);
    assert_int_equal(world.lives, CHILDREN);
}

/* Drains, before or right after the first failure. */
static struct troupe_pool_report drain_sim(uint64_t seed, uint64_t timeout_ns)
{
    while (seed % 2 == 0 && world.failed == 0) {
        assert_true(trp_sim_step(fixture.sim));
    }
    troupe_pool_drain(fixture.pool, timeout_ns);
    while (trp_sim_step(fixture.sim)) {
    }
    assert_int_equal(fixture.pool->is_stopping, 1); /* not asleep for ever */
    return fixture_finish().report;
}

/* --- in the simulation --- */

static void a_restart_with_messages_is_waited_for(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        start_sim(seed, 10 * MS);
        fail_with_work((uint32_t)seed % CHILDREN, WORK);
        struct troupe_pool_report report = drain_sim(seed, seed % 3 == 0 ? FOREVER_NS : 10000 * MS);
        assert_true(report.is_drained_in_time);
        assert_int_equal(world.worked, WORK);
        assert_int_equal(world.lives, CHILDREN + 1);
        assert_int_equal(world.lost, 0);
        assert_int_equal(world.failed, 1);
        assert_int_equal(report.actor_count, 0);
        assert_true(report.drain_ns >= 8 * MS);
    }
}

static void every_restart_is_waited_for(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        start_sim(seed, 1 * MS + seed % 7 * MS);
        for (uint32_t round = 0; round < 3; round++) { /* fails anew in each of its next lives */
            for (uint32_t i = 0; i < CHILDREN; i++) {
                fail_with_work(i, i);
            }
        }
        struct troupe_pool_report report = drain_sim(seed, FOREVER_NS);
        assert_true(report.is_drained_in_time);
        assert_int_equal(world.worked, 3 * (0 + 1 + 2 + 3));
        assert_int_equal(world.lost, 0);
        assert_int_equal(world.failed, 3 * CHILDREN);
        /* the one without work behind its last failure may be left as it is */
        assert_in_range(world.lives, CHILDREN + 3 * CHILDREN - 1, CHILDREN + 3 * CHILDREN);
    }
}

static void the_deadline_is_not_waited_beyond(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        start_sim(seed, 60000 * MS);
        fail_with_work(1, WORK);
        fail_with_work(3, 2);
        struct troupe_pool_report report = drain_sim(seed, 50 * MS);
        assert_false(report.is_drained_in_time);
        assert_true(report.drain_ns >= 50 * MS);
        assert_true(report.drain_ns < 60000 * MS);
        assert_int_equal(world.worked, 0);
        assert_int_equal(world.lost, WORK + 2);
        assert_true(report.abandoned >= WORK + 2);
        assert_int_equal(report.actor_count, 2);
        assert_string_equal(report.actors[0].type_name, "child");
        assert_true(report.actors[0].ref == world.refs[1]);
        assert_int_equal(report.actors[0].messages, WORK);
        assert_int_equal(report.actors[1].messages, 2);
    }
}

static void a_restart_without_messages_is_not_waited_for(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        start_sim(seed, 60000 * MS);
        for (uint32_t i = 0; i < CHILDREN; i++) {
            fail_with_work(i, 0);
        }
        struct troupe_pool_report report = drain_sim(seed, 30000 * MS);
        assert_true(report.is_drained_in_time);
        assert_true(report.drain_ns < 30000 * MS);
        assert_int_equal(world.lives, CHILDREN);
        assert_int_equal(world.failed, CHILDREN);
        assert_int_equal(world.lost, 0);
    }
}

/* --- on threads --- */

static void threads_wait_for_restarts_too(void **state)
{
    (void)state;
    for (uint32_t round = 0; round < 15; round++) {
        fixture_create(&(struct troupe_pool_config){
            .workers = WORKERS, .spin = TROUPE_SPIN_PARK, .dead_letter_cb = count_own});
        add_family((1 + round % 3) * MS);
        fixture_start();
        for (uint32_t i = 0; i < CHILDREN; i++) {
            sem_wait(&fixture.entered);
        }
        for (uint32_t i = 0; i < CHILDREN; i++) {
            fail_with_work(i, WORK);
            fail_with_work(i, WORK);
        }
        troupe_pool_drain(fixture.pool, FOREVER_NS);
        struct troupe_pool_report report = fixture_finish().report;
        assert_true(report.is_drained_in_time);
        assert_int_equal(world.worked, 2 * CHILDREN * WORK);
        assert_int_equal(world.lives, 3 * CHILDREN);
        assert_int_equal(world.lost, 0);
        assert_int_equal(world.failed, 2 * CHILDREN);
        assert_int_equal(report.actor_count, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_restart_with_messages_is_waited_for),
        cmocka_unit_test(every_restart_is_waited_for),
        cmocka_unit_test(the_deadline_is_not_waited_beyond),
        cmocka_unit_test(a_restart_without_messages_is_not_waited_for),
        cmocka_unit_test(threads_wait_for_restarts_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
