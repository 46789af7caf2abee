/* What the offload threads count, what they refuse and what they never run. */

#include "pool/worker.h"
#include "pool_fixture.h"
#include "tests/cmocka.h"

#include <sched.h>
#include <string.h>
#include <troupe/assert.h>

#define ROUNDS 10u

enum { MSG_JOB = MSG_GO + 1 };

static struct {
    uint32_t came_back;
    uint32_t runs; /* atomic */
    uint32_t refused;
    uint32_t jobs; /* to post at once */
    struct troupe_offload_stats busy;
} world;

static void count_run(void *payload)
{
    (void)payload;
    __atomic_add_fetch(&world.runs, 1, __ATOMIC_SEQ_CST);
}

static void block(void *payload)
{
    sem_post(&fixture.entered);
    sem_wait(&fixture.leave);
    count_run(payload);
}

static enum troupe_status post_job(struct troupe_ctx *ctx, void (*work_cb)(void *))
{
    struct troupe_msg *msg = troupe_msg_new(ctx, MSG_JOB, 8);
    TROUPE_ASSERT(msg != NULL);
    enum troupe_status status = troupe_offload(ctx, &msg, work_cb);
    TROUPE_ASSERT((status == TROUPE_OK) == (msg == NULL));
    troupe_msg_free(ctx, msg);
    return status;
}

static void make_pool(uint32_t threads, uint32_t queue)
{
    memset(&world, 0, sizeof(world));
    fixture_create(&(struct troupe_pool_config){.workers = 2,
                                                .spin = TROUPE_SPIN_PARK,
                                                .pin = "none",
                                                .offload_threads = threads,
                                                .offload_queue_max = queue});
}

static void start_pool(const struct troupe_actor_type *type)
{
    fixture_add(1, type, NULL);
    fixture_start();
}

static struct troupe_offload_stats finish_pool(struct troupe_pool_report *report)
{
    struct troupe_offload_stats stats;
    troupe_pool_join(fixture.pool);
    troupe_pool_offload_stats(fixture.pool, &stats);
    *report = fixture_finish().report;
    assert_int_equal(stats.queued, 0);
    assert_int_equal(stats.running, 0);
    assert_int_equal(stats.done, world.runs);
    assert_true(stats.wait_max_ns <= stats.wait_ns);
    assert_true(stats.run_max_ns <= stats.run_ns);
    return stats;
}

/* --- the refusing side, seen while it is busy --- */

/* One thread, held by the first job; the queue takes two; three are refused. */
static enum troupe_verdict overfill(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)state;
    if (msg->type == MSG_JOB) {
        world.came_back++;
        return TROUPE_CONTINUE;
    }
    TROUPE_ASSERT(post_job(ctx, block) == TROUPE_OK);
    sem_wait(&fixture.entered);
    for (uint32_t i = 0; i < 5; i++) {
        enum troupe_status status = post_job(ctx, count_run);
        TROUPE_ASSERT(status == (i < 2 ? TROUPE_OK : TROUPE_EBUSY));
    }
    troupe_pool_offload_stats(fixture.pool, &world.busy);
    sem_post(&fixture.leave);
    troupe_pool_drain(fixture.pool, UINT64_MAX); /* the jobs are done all the same */
    return TROUPE_CONTINUE;
}

static void refusals_are_counted_and_the_accepted_are_done(void **state)
{
    (void)state;
    static const struct troupe_actor_type type = {
        .name = "offloader", .init_cb = fixture_go, .receive_cb = overfill};
    struct troupe_pool_report report;
    make_pool(1, 2);
    start_pool(&type);
    struct troupe_offload_stats stats = finish_pool(&report);
    assert_int_equal(world.busy.threads, 1);
    assert_int_equal(world.busy.running, 1);
    assert_int_equal(world.busy.queued, 2);
    assert_int_equal(world.busy.rejected, 3);
    assert_int_equal(world.busy.done, 0);
    assert_int_equal(stats.threads, 1);
    assert_int_equal(stats.done, 3);
    assert_int_equal(stats.rejected, 3);
    assert_int_equal(stats.canceled, 0);
    assert_int_equal(world.came_back, 3);
    assert_true(stats.wait_ns > 0);
    assert_true(stats.run_ns > 0);
    assert_true(report.is_drained_in_time);
}

/* --- the pool stops: what waits is not run, what runs ends --- */

static enum troupe_verdict stop_at_once(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)state;
    if (msg->type == MSG_GO) {
        TROUPE_ASSERT(post_job(ctx, block) == TROUPE_OK);
        sem_wait(&fixture.entered);
        for (uint32_t i = 0; i < world.jobs; i++) {
            TROUPE_ASSERT(post_job(ctx, count_run) == TROUPE_OK);
        }
        troupe_pool_stop(fixture.pool);
    } else {
        world.came_back++;
    }
    return TROUPE_CONTINUE;
}

/* Lets the running job go when all actors have ended, as the counter of the pool says. */
static void *release_after_end(void *arg)
{
    while (trp_load_acquire_u32(&fixture.pool->quiet_workers) < 2) {
        sched_yield();
    }
    sem_post(&fixture.leave);
    return arg;
}

static void queued_jobs_are_not_run_after_a_stop(void **state)
{
    (void)state;
    static const struct troupe_actor_type type = {
        .name = "offloader", .init_cb = fixture_go, .receive_cb = stop_at_once};
    for (uint32_t round = 0; round < ROUNDS; round++) {
        struct troupe_pool_report report;
        pthread_t thread;
        make_pool(1, 0);
        world.jobs = 9;
        assert_int_equal(pthread_create(&thread, NULL, release_after_end, NULL), 0);
        start_pool(&type);
        troupe_pool_join(fixture.pool);
        pthread_join(thread, NULL);
        struct troupe_offload_stats stats = finish_pool(&report);
        assert_int_equal(stats.done, 1);
        assert_int_equal(stats.canceled, 9);
        assert_int_equal(world.came_back, 0); /* nobody took an unrun job for a done one */
        assert_int_equal(report.abandoned, 10);
        assert_false(report.was_drained);
    }
}

/* --- the actor is gone: its job is run and reported --- */

static enum troupe_verdict leave_job(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)state;
    (void)msg;
    TROUPE_ASSERT(post_job(ctx, block) == TROUPE_OK);
    TROUPE_ASSERT(post_job(ctx, count_run) == TROUPE_OK);
    sem_wait(&fixture.entered);
    return TROUPE_STOP;
}

static void drain_when_gone(struct troupe_ctx *ctx, void *state, enum troupe_down_reason reason)
{
    (void)ctx;
    (void)state;
    TROUPE_ASSERT(reason == TROUPE_DOWN_NORMAL);
    troupe_pool_drain(fixture.pool, UINT64_MAX);
    sem_post(&fixture.leave);
}

static void jobs_of_a_dead_actor_run_and_are_reported(void **state)
{
    (void)state;
    static const struct troupe_actor_type type = {.name = "offloader",
                                                  .state_size = 8,
                                                  .init_cb = fixture_go,
                                                  .receive_cb = leave_job,
                                                  .terminate_cb = drain_when_gone};
    for (uint32_t round = 0; round < ROUNDS; round++) {
        struct troupe_pool_report report;
        make_pool(1, 0);
        start_pool(&type);
        struct troupe_offload_stats stats = finish_pool(&report);
        assert_int_equal(stats.done, 2); /* the drain waited for both */
        assert_true(report.is_drained_in_time);
        assert_int_equal(report.reported, 2);
        assert_int_equal(report.dropped[TROUPE_DROP_DEAD] + report.dropped[TROUPE_DROP_STOPPED], 2);
    }
}

/* --- before the first job, and in a simulation --- */

static void no_job_no_threads(void **state)
{
    (void)state;
    static const struct troupe_actor_type type = {.name = "nobody", .receive_cb = leave_job};
    const struct troupe_offload_stats zero = {0};
    struct troupe_pool_report report;
    make_pool(2, 0);
    start_pool(&type);
    troupe_pool_stop(fixture.pool);
    struct troupe_offload_stats stats = finish_pool(&report);
    assert_memory_equal(&stats, &zero, sizeof(zero));
}

static enum troupe_verdict simulated(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)state;
    if (msg->type == MSG_GO) {
        TROUPE_ASSERT(post_job(ctx, count_run) == TROUPE_OK);
        TROUPE_ASSERT(post_job(ctx, count_run) == TROUPE_OK);
    } else {
        world.came_back++;
    }
    return TROUPE_CONTINUE;
}

static void a_simulation_counts_as_well(void **state)
{
    (void)state;
    static const struct troupe_actor_type type = {
        .name = "simulated", .init_cb = fixture_go, .receive_cb = simulated};
    struct troupe_offload_stats stats;
    memset(&world, 0, sizeof(world));
    fixture_create_sim(1, &(struct troupe_pool_config){.workers = 1});
    fixture_add(0, &type, NULL);
    fixture_start();
    fixture_run_sim(1000000000u);
    troupe_pool_offload_stats(fixture.pool, &stats);
    fixture_finish();
    assert_int_equal(stats.done, 2);
    assert_int_equal(stats.threads, 0);
    assert_int_equal(stats.wait_ns + stats.run_ns, 0);
    assert_int_equal(world.came_back, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refusals_are_counted_and_the_accepted_are_done),
        cmocka_unit_test(queued_jobs_are_not_run_after_a_stop),
        cmocka_unit_test(jobs_of_a_dead_actor_run_and_are_reported),
        cmocka_unit_test(no_job_no_threads),
        cmocka_unit_test(a_simulation_counts_as_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
