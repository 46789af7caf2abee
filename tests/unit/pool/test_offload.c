/* Offload: blocking work on foreign threads, and what becomes of it when actor or pool end. */

#include "pool/worker.h"
#include "tests/cmocka.h"

#include <sched.h>
#include <semaphore.h>
#include <string.h>
#include <troupe/assert.h>
#include <troupe/relations.h>

#define JOBS   6u
#define ROUNDS 20u
/* from the system heap: a lost one is a leak for the sanitizer */
#define BUF_CAPACITY (100u << 10)

enum { MSG_GO = 1, MSG_JOB, MSG_QUESTION, MSG_ANSWER };

/* The payload of a job; the buffer first, owned by the message. */
struct job {
    struct troupe_buf *buf;
    uint32_t number;
    uint32_t result;
    pthread_t thread;
};

static struct {
    struct troupe_pool *pool;
    troupe_ref ref;                        /* the actor that offloads */
    uint32_t came_back;                    /* worker only */
    uint32_t runs;                         /* of work_cb; atomic */
    uint32_t letters[TROUPE_DROP_REASONS]; /* atomic */
    bool is_stopped_by_letter;
    enum troupe_status answer;
    sem_t entered;
    sem_t leave;
} world;

static void count_letter(void *arg, const struct troupe_msg *msg, enum troupe_drop_reason reason)
{
    (void)arg;
    (void)msg;
    __atomic_add_fetch(&world.letters[reason], 1, __ATOMIC_SEQ_CST);
    if (world.is_stopped_by_letter) {
        troupe_pool_stop(world.pool);
    }
}

static enum troupe_status post_go(struct troupe_ctx *ctx, void *state, const void *arg)
{
    (void)state;
    (void)arg;
    return troupe_send_copy(ctx, troupe_self(ctx), MSG_GO, NULL, 0);
}

static void
make_pool(uint32_t workers, uint32_t threads, uint32_t queue, const struct troupe_actor_type *type)
{
    struct troupe_pool_config config = {.workers = workers,
                                        .spin = TROUPE_SPIN_PARK,
                                        .offload_threads = threads,
                                        .offload_queue_max = queue,
                                        .dead_letter_cb = count_letter};
    char error[200] = "";
    memset(&world, 0, sizeof(world));
    sem_init(&world.entered, 0, 0);
    sem_init(&world.leave, 0, 0);
    if (troupe_pool_create(&world.pool, &config, error, sizeof(error)) != TROUPE_OK) {
        fail_msg("%s", error);
    }
    assert_int_equal(troupe_pool_spawn(world.pool, &world.ref, workers - 1, type, NULL), TROUPE_OK);
}

static void start_pool(void)
{
    char error[200] = "";
    if (troupe_pool_start(world.pool, error, sizeof(error)) != TROUPE_OK) {
        fail_msg("%s", error);
    }
}

static void finish_pool(void)
{
    struct troupe_worker_stats sum = {0};
    uint64_t letters = 0;
    troupe_pool_join(world.pool);
    for (uint32_t i = 0; i < troupe_pool_workers(world.pool); i++) {
        struct troupe_worker_stats stats;
        troupe_pool_stats(world.pool, i, &stats);
        sum.accepted += stats.accepted;
        sum.processed += stats.processed;
        sum.reported += stats.reported;
    }
    for (uint32_t i = 0; i < TROUPE_DROP_REASONS; i++) {
        letters += world.letters[i];
    }
    troupe_pool_destroy(world.pool);
    assert_int_equal(sum.accepted, sum.processed + sum.reported);
    assert_int_equal(sum.reported, letters);
}

static struct troupe_msg *new_job(struct troupe_ctx *ctx, uint32_t number)
{
    struct troupe_buf *buf = troupe_buf_new(ctx, BUF_CAPACITY);
    TROUPE_ASSERT(buf != NULL);
    struct troupe_msg *msg = troupe_msg_new_buf(ctx, MSG_JOB, sizeof(struct job), buf);
    TROUPE_ASSERT(msg != NULL);
    ((struct job *)troupe_msg_data(msg))->number = number;
    return msg;
}

static enum troupe_status
offload_job(struct troupe_ctx *ctx, uint32_t number, void (*work_cb)(void *))
{
    struct troupe_msg *msg = new_job(ctx, number);
    struct troupe_msg *kept = msg;
    enum troupe_status status = troupe_offload(ctx, &msg, work_cb);
    TROUPE_ASSERT(msg == (status == TROUPE_OK ? NULL : kept));
    troupe_msg_free(ctx, msg);
    return status;
}

static void square(void *payload)
{
    struct job *job = payload;
    job->result = job->number * job->number;
    job->thread = pthread_self();
    __atomic_add_fetch(&world.runs, 1, __ATOMIC_SEQ_CST);
}

static void block(void *payload)
{
    sem_post(&world.entered);
    sem_wait(&world.leave);
    square(payload);
}

/* --- there and back --- */

static enum troupe_verdict
go_and_return(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)state;
    if (msg->type == MSG_GO) {
        for (uint32_t i = 0; i < JOBS; i++) {
            TROUPE_ASSERT(offload_job(ctx, i, square) == TROUPE_OK);
        }
        return TROUPE_CONTINUE;
    }
    const struct job *job = troupe_msg_data(msg);
    TROUPE_ASSERT(msg->type == MSG_JOB && troupe_msg_lane(msg) == TROUPE_LANE_REPLY);
    TROUPE_ASSERT(job->result == job->number * job->number);
    TROUPE_ASSERT(!pthread_equal(job->thread, pthread_self()));
    if (++world.came_back == JOBS) {
        troupe_pool_stop(world.pool);
    }
    return TROUPE_CONTINUE;
}

static void work_runs_elsewhere_and_comes_back(void **state)
{
    (void)state;
    static const struct troupe_actor_type type = {
        .name = "offloader", .init_cb = post_go, .receive_cb = go_and_return};
    make_pool(2, 2, 0, &type);
    start_pool();
    finish_pool();
    assert_int_equal(world.came_back, JOBS);
    assert_int_equal(world.runs, JOBS);
}

/* --- the bound --- */

static enum troupe_verdict fill_queue(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)state;
    if (msg->type == MSG_GO) {
        TROUPE_ASSERT(offload_job(ctx, 0, block) == TROUPE_OK);
        sem_wait(&world.entered); /* the only thread is busy now */
        TROUPE_ASSERT(offload_job(ctx, 1, square) == TROUPE_OK);
        TROUPE_ASSERT(offload_job(ctx, 2, square) == TROUPE_OK);
        TROUPE_ASSERT(offload_job(ctx, 3, square) == TROUPE_EBUSY);
        sem_post(&world.leave);
    } else if (++world.came_back == 3) {
        TROUPE_ASSERT(offload_job(ctx, 4, square) == TROUPE_OK);
    } else if (world.came_back == 4) {
        troupe_pool_stop(world.pool);
    }
    return TROUPE_CONTINUE;
}

static void a_full_queue_says_busy(void **state)
{
    (void)state;
    static const struct troupe_actor_type type = {
        .name = "offloader", .init_cb = post_go, .receive_cb = fill_queue};
    make_pool(1, 1, 2, &type);
    start_pool();
    finish_pool();
    assert_int_equal(world.came_back, 4);
}

/* --- the actor or the pool ends first --- */

static enum troupe_verdict stop_itself(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)state;
    (void)msg;
    TROUPE_ASSERT(offload_job(ctx, 0, block) == TROUPE_OK);
    sem_wait(&world.entered);
    return TROUPE_STOP;
}

static void let_work_end(struct troupe_ctx *ctx, void *state, enum troupe_down_reason reason)
{
    (void)ctx;
    (void)state;
    (void)reason;
    sem_post(&world.leave);
}

static void work_for_a_dead_actor_is_reported(void **state)
{
    (void)state;
    static const struct troupe_actor_type type = {.name = "offloader",
                                                  .state_size = 8,
                                                  .init_cb = post_go,
                                                  .receive_cb = stop_itself,
                                                  .terminate_cb = let_work_end};
    make_pool(1, 1, 0, &type);
    world.is_stopped_by_letter = true;
    start_pool();
    finish_pool();
    assert_int_equal(world.letters[TROUPE_DROP_DEAD] + world.letters[TROUPE_DROP_STOPPED], 1);
}

static enum troupe_verdict leave_jobs(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)state;
    (void)msg;
    for (uint32_t i = 0; i < JOBS; i++) {
        TROUPE_ASSERT(offload_job(ctx, i, i == 0 ? block : square) == TROUPE_OK);
    }
    sem_wait(&world.entered);
    troupe_pool_stop(world.pool);
    return TROUPE_CONTINUE;
}

/* Lets the blocked job go once no inbox takes anything any more. */
static void *release_after_close(void *arg)
{
    for (uint32_t i = 0; i < world.pool->worker_count; i++) {
        const struct trp_inbox *inbox = &world.pool->workers[i].inbox;
        while (trp_load_relaxed_ptr(&inbox->head) != TRP_INBOX_CLOSED) {
            sched_yield();
        }
    }
    sem_post(&world.leave);
    return arg;
}

static void jobs_left_when_the_pool_stops_are_reported(void **state)
{
    (void)state;
    static const struct troupe_actor_type type = {
        .name = "offloader", .init_cb = post_go, .receive_cb = leave_jobs};
    for (uint32_t round = 0; round < ROUNDS; round++) {
        pthread_t thread;
        make_pool(2, 1, 0, &type);
        assert_int_equal(pthread_create(&thread, NULL, release_after_close, NULL), 0);
        start_pool();
        troupe_pool_join(world.pool);
        pthread_join(thread, NULL);
        finish_pool();
        assert_int_equal(world.letters[TROUPE_DROP_SHUTDOWN], JOBS);
        assert_in_range(world.runs, 1, JOBS);
    }
}

/* Jobs that come home while the worker empties its inbox for the last time: both report. */
static enum troupe_verdict flood_self(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)state;
    (void)msg;
    for (uint32_t i = 0; i < 200; i++) {
        TROUPE_ASSERT(offload_job(ctx, i, square) == TROUPE_OK);
    }
    troupe_pool_stop(world.pool);
    return TROUPE_CONTINUE;
}

static void jobs_that_end_during_shutdown_are_counted_once(void **state)
{
    (void)state;
    static const struct troupe_actor_type type = {
        .name = "offloader", .init_cb = post_go, .receive_cb = flood_self};
    for (uint32_t round = 0; round < ROUNDS; round++) {
        make_pool(2, 4, 0, &type);
        start_pool();
        finish_pool();
    }
}

/* --- an ask whose work is offloaded --- */

static enum troupe_verdict
on_answer(struct troupe_ctx *ctx, void *state, const struct troupe_answer *answer, uint64_t cookie)
{
    (void)ctx;
    (void)state;
    (void)cookie;
    world.answer = answer->status;
    troupe_pool_stop(world.pool);
    return TROUPE_CONTINUE;
}

static enum troupe_verdict ask_worker(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct job job = {0};
    (void)state;
    (void)msg;
    TROUPE_ASSERT(troupe_ask(ctx, world.ref, MSG_QUESTION, troupe_span(&job, sizeof(job)),
                             8000000000ull, on_answer, 0) == TROUPE_OK);
    return TROUPE_CONTINUE;
}

static const struct troupe_actor_type asker_type = {
    .name = "asker", .init_cb = post_go, .receive_cb = ask_worker};

static enum troupe_verdict
answer_by_offload(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)state;
    if (troupe_msg_lane(msg) == TROUPE_LANE_DATA) {
        struct troupe_msg *taken = troupe_msg_take(ctx, msg);
        TROUPE_ASSERT(troupe_offload(ctx, &taken, square) == TROUPE_OK);
        return TROUPE_CONTINUE;
    }
    TROUPE_ASSERT(troupe_reply(ctx, msg, MSG_ANSWER, troupe_span(NULL, 0)) == TROUPE_OK);
    return TROUPE_CONTINUE;
}

static void an_ask_survives_the_way_through_offload(void **state)
{
    (void)state;
    static const struct troupe_actor_type type = {.name = "server",
                                                  .receive_cb = answer_by_offload};
    for (uint32_t worker = 0; worker < 2; worker++) {
        troupe_ref asker;
        make_pool(2, 1, 0, &type);
        world.answer = TROUPE_EINVAL;
        assert_int_equal(troupe_pool_spawn(world.pool, &asker, worker, &asker_type, NULL),
                         TROUPE_OK);
        start_pool();
        finish_pool();
        assert_int_equal(world.answer, TROUPE_OK);
    }
}

static enum troupe_verdict
offload_question_and_stop(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)state;
    struct troupe_msg *taken = troupe_msg_take(ctx, msg);
    TROUPE_ASSERT(troupe_offload(ctx, &taken, block) == TROUPE_OK);
    sem_wait(&world.entered);
    troupe_pool_stop(world.pool);
    return TROUPE_CONTINUE;
}

static void an_ask_left_in_offload_at_shutdown_is_reported(void **state)
{
    (void)state;
    static const struct troupe_actor_type type = {.name = "server",
                                                  .receive_cb = offload_question_and_stop};
    for (uint32_t worker = 0; worker < 2; worker++) {
        troupe_ref asker;
        pthread_t thread;
        make_pool(2, 1, 0, &type);
        assert_int_equal(troupe_pool_spawn(world.pool, &asker, worker, &asker_type, NULL),
                         TROUPE_OK);
        assert_int_equal(pthread_create(&thread, NULL, release_after_close, NULL), 0);
        start_pool();
        troupe_pool_join(world.pool);
        pthread_join(thread, NULL);
        finish_pool();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(work_runs_elsewhere_and_comes_back),
        cmocka_unit_test(a_full_queue_says_busy),
        cmocka_unit_test(work_for_a_dead_actor_is_reported),
        cmocka_unit_test(jobs_left_when_the_pool_stops_are_reported),
        cmocka_unit_test(jobs_that_end_during_shutdown_are_counted_once),
        cmocka_unit_test(an_ask_survives_the_way_through_offload),
        cmocka_unit_test(an_ask_left_in_offload_at_shutdown_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
