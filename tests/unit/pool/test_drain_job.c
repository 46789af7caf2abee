/*
 * A draining pool and an offload job that begins and ends while somebody looks whether the pool is
 * quiet. The test plays the workers' part and acts between the looker's steps: the questions about
 * jobs, the first and the last of a look, are wrapped by the linker.
 */

#include "pool/worker.h"
#include "pool_fixture.h"
#include "tests/cmocka.h"

#include <sched.h>
#include <string.h>
#include <troupe/assert.h>

#define LOOKER 0u
#define BUSY   1u

static struct {
    uint32_t questions; /* of the look; counted while it is watched */
    bool is_watched;
    bool is_job_begun;
} world;

bool __real_trp_offload_is_idle(struct troupe_pool *pool, uint64_t *begun);
bool __wrap_trp_offload_is_idle(struct troupe_pool *pool, uint64_t *begun);

static void wait_for_leave(void *payload)
{
    (void)payload;
    sem_wait(&fixture.leave);
}

static const struct troupe_actor_type type = {.name = "busy", .receive_cb = fixture_ignore};

/* A turn of the other worker, woken by a timer, say: its actor begins a job. */
static void begin_job(struct troupe_pool *pool)
{
    struct trp_worker *worker = &pool->workers[BUSY];
    uint64_t deadline_ns = UINT64_MAX;
    worker->park_word = TRP_RUNNING;
    worker->stats.turns++;
    worker->ctx.cell = trp_cells_take(&worker->cells, &type);
    TROUPE_ASSERT(worker->ctx.cell != NULL);
    trp_cell_set_status(worker->ctx.cell, TRP_CELL_ALIVE);
    trp_heap_current = &worker->heap;
    struct troupe_msg *msg = troupe_msg_new(&worker->ctx, MSG_GO, 0);
    TROUPE_ASSERT(msg != NULL);
    TROUPE_ASSERT(troupe_offload(&worker->ctx, &msg, wait_for_leave) == TROUPE_OK);
    worker->ctx.cell = NULL;
    trp_heap_current = NULL;
    /* it parks again and, because it was asked, says that none of its actors has messages */
    worker->park_word = TRP_PARKED;
    TROUPE_ASSERT(!trp_drain_look(worker, &deadline_ns));
    world.is_job_begun = true;
}

static void end_job(struct troupe_pool *pool)
{
    uint64_t begun;
    sem_post(&fixture.leave);
    while (!__real_trp_offload_is_idle(pool, &begun)) {
        sched_yield();
    }
    TROUPE_ASSERT(begun == 1);
    TROUPE_ASSERT(trp_inbox_has_work(&pool->workers[BUSY].inbox)); /* its result */
}

bool __wrap_trp_offload_is_idle(struct troupe_pool *pool, uint64_t *begun)
{
    if (!world.is_watched) {
        return __real_trp_offload_is_idle(pool, begun);
    }
    bool is_first = world.questions++ == 0;
    world.is_watched = false; /* what follows asks as well */
    if (!is_first) {
        end_job(pool);
    }
    bool is_idle = __real_trp_offload_is_idle(pool, begun);
    if (is_first) {
        begin_job(pool);
    }
    world.is_watched = true;
    return is_idle;
}

/* --- what the looks need of a driver --- */

static uint64_t no_time(void *state)
{
    (void)state;
    return 1;
}

static void ring(void *target_state, void *caller_state)
{
    (void)target_state;
    (void)caller_state;
}

static void nothing(void *state)
{
    (void)state;
}

static const struct troupe_driver driver = {
    .name = "played", .now = no_time, .poll = nothing, .flush = nothing, .wake = ring};

static void a_job_within_a_look_is_seen(void **state)
{
    (void)state;
    uint64_t deadline_ns = UINT64_MAX;
    memset(&world, 0, sizeof(world));
    fixture_create(&(struct troupe_pool_config){.workers = 2, .driver = &driver});
    struct troupe_pool *pool = fixture.pool;
    struct trp_worker *busy = &pool->workers[BUSY];
    troupe_pool_drain(pool, UINT64_MAX);
    for (uint32_t i = 0; i < 2; i++) {
        pool->workers[i].stats.turns = 1;
        pool->workers[i].park_word = TRP_PARKED;
    }
    /* the first look only asks the other one what its actors have */
    assert_false(trp_drain_look(&pool->workers[LOOKER], &deadline_ns));
    world.is_watched = true;
    assert_false(trp_drain_look(&pool->workers[LOOKER], &deadline_ns));
    world.is_watched = false;
    assert_true(world.is_job_begun);
    assert_int_equal(world.questions, 2); /* the look did not end before */
    assert_int_equal(pool->drain.outcome, TRP_DRAIN_OPEN);
    trp_msg_free(trp_inbox_take(&busy->inbox));
    troupe_pool_destroy(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_within_a_look_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
