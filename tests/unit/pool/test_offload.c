/* Offload: blocking work on foreign threads, and what becomes of it when actor or pool end. */

#include "pool/worker.h"
#include "pool_fixture.h"
#include "tests/cmocka.h"

#include <sched.h>
#include <string.h>
#include <troupe/assert.h>
#include <troupe/relations.h>

#define JOBS   6u
#define ROUNDS 20u
/* from the system heap: a lost one is a leak for the sanitizer */
#define BUF_CAPACITY (100u << 10)

enum { MSG_JOB = MSG_GO + 1, MSG_QUESTION, MSG_ANSWER };

/* The payload of a job; the buffer first, owned by the message. */
struct job {
    struct troupe_buf *buf;
    uint32_t number;
    uint32_t result;
    pthread_t thread;
};

static struct {
    troupe_ref ref;     /* the actor that offloads */
    uint32_t came_back; /* worker only */
    uint32_t runs;      /* of work_cb; atomic */
    bool is_stopped_by_letter;
    enum troupe_status answer;
} world;

static void stop_by_letter(void *arg, const struct troupe_msg *msg, enum troupe_drop_reason reason)
{
    fixture_count_letter(arg, msg, reason);
    if (world.is_stopped_by_letter) {
        troupe_pool_stop(fixture.pool);
    }
}

static void
make_pool(uint32_t workers, uint32_t threads, uint32_t queue, const struct troupe_actor_type *type)
{
    memset(&world, 0, sizeof(world));
    fixture_create(&(struct troupe_pool_config){.workers = workers,
                                                .spin = TROUPE_SPIN_PARK,
                                                .offload_threads = threads,
                                                .offload_queue_max = queue,
                                                .dead_letter_cb = stop_by_letter});
    world.ref = fixture_add(workers - 1, type, NULL);
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
    sem_post(&fixture.entered);
    sem_wait(&fixture.leave);
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
        troupe_pool_stop(fixture.pool);
    }
    return TROUPE_CONTINUE;
}

static void work_runs_elsewhere_and_comes_back(void **state)
{
    (void)state;
    static const struct troupe_actor_type type = {
        .name = "offloader", .init_cb = fixture_go, .receive_cb = go_and_return};
    make_pool(2, 2, 0, &type);
    fixture_start();
    fixture_finish();
    assert_int_equal(world.came_back, JOBS);
    assert_int_equal(world.runs, JOBS);
}

/* --- the bound --- */

static enum troupe_verdict fill_queue(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)state;
    if (msg->type == MSG_GO) {
        TROUPE_ASSERT(offload_job(ctx, 0, block) == TROUPE_OK);
        sem_wait(&fixture.entered); /* the only thread is busy now */
        TROUPE_ASSERT(offload_job(ctx, 1, square) == TROUPE_OK);
        TROUPE_ASSERT(offload_job(ctx, 2, square) == TROUPE_OK);
        TROUPE_ASSERT(offload_job(ctx, 3, square) == TROUPE_EBUSY);
        sem_post(&fixture.leave);
    } else if (++world.came_back == 3) {
        TROUPE_ASSERT(offload_job(ctx, 4, square) == TROUPE_OK);
    } else if (world.came_back == 4) {
        troupe_pool_stop(fixture.pool);
    }
    return TROUPE_CONTINUE;
}

static void a_full_queue_says_busy(void **state)
{
    (void)state;
    static const struct troupe_actor_type type = {
        .name = "offloader", .init_cb = fixture_go, .receive_cb = fill_queue};
    make_pool(1, 1, 2, &type);
    fixture_start();
    fixture_finish();
    assert_int_equal(world.came_back, 4);
}

/* --- a borrowed message --- */

static void send_jobs(struct troupe_ctx *ctx, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct troupe_msg *msg = new_job(ctx, i);
        TROUPE_ASSERT(troupe_send(ctx, troupe_self(ctx), &msg) == TROUPE_OK);
    }
}

static void offload_lent(struct troupe_ctx *ctx, struct troupe_msg *msg, void (*work_cb)(void *))
{
    TROUPE_ASSERT(troupe_offload(ctx, &msg, work_cb) == TROUPE_OK);
    TROUPE_ASSERT(msg == NULL);
}

/* The last of four finds the queue full: it stays lent, and is finished as any other. */
static enum troupe_verdict
offload_what_comes(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    const struct job *job = troupe_msg_data(msg);
    struct troupe_msg *lent = msg;
    (void)state;
    if (msg->type == MSG_GO) {
        send_jobs(ctx, 4);
    } else if (troupe_msg_lane(msg) == TROUPE_LANE_REPLY) {
        TROUPE_ASSERT(job->result == job->number * job->number);
        if (++world.came_back == 3) {
            troupe_pool_stop(fixture.pool);
        }
    } else if (job->number == 0) {
        offload_lent(ctx, msg, block);
        sem_wait(&fixture.entered); /* the only thread is busy now */
    } else if (job->number < 3) {
        offload_lent(ctx, msg, square);
    } else {
        TROUPE_ASSERT(troupe_offload(ctx, &lent, square) == TROUPE_EBUSY);
        TROUPE_ASSERT(lent == msg && msg->from == troupe_self(ctx));
        TROUPE_ASSERT(troupe_msg_lane(msg) == TROUPE_LANE_DATA);
        sem_post(&fixture.leave);
    }
    return TROUPE_CONTINUE;
}

static void a_borrowed_message_can_be_the_job(void **state)
{
    (void)state;
    static const struct troupe_actor_type type = {
        .name = "offloader", .init_cb = fixture_go, .receive_cb = offload_what_comes};
    make_pool(1, 1, 2, &type);
    fixture_start();
    struct fixture_end end = fixture_finish();
    assert_int_equal(world.runs, 3);
    assert_int_equal(end.sum.reported, 0);
    assert_int_equal(end.sum.processed, 1 + 4 + 3);
}

static enum troupe_verdict
offload_at_once(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)state;
    if (msg->type == MSG_GO) {
        send_jobs(ctx, JOBS);
    } else if (troupe_msg_lane(msg) == TROUPE_LANE_DATA) {
        offload_lent(ctx, msg, square);
    } else {
        world.came_back++;
    }
    return TROUPE_CONTINUE;
}

static void so_it_can_in_a_simulation(void **state)
{
    (void)state;
    static const struct troupe_actor_type type = {
        .name = "offloader", .init_cb = fixture_go, .receive_cb = offload_at_once};
    memset(&world, 0, sizeof(world));
    fixture_create_sim(7, &(struct troupe_pool_config){.workers = 1});
    fixture_add(0, &type, NULL);
    fixture_start();
    fixture_run_sim(1000000000);
    struct fixture_end end = fixture_finish();
    assert_int_equal(world.came_back, JOBS);
    assert_int_equal(end.sum.processed, 1 + 2 * JOBS);
    assert_int_equal(end.sum.reported, 0);
}

/* --- the actor or the pool ends first --- */

static enum troupe_verdict stop_itself(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)state;
    (void)msg;
    TROUPE_ASSERT(offload_job(ctx, 0, block) == TROUPE_OK);
    sem_wait(&fixture.entered);
    return TROUPE_STOP;
}

static void let_work_end(struct troupe_ctx *ctx, void *state, enum troupe_down_reason reason)
{
    (void)ctx;
    (void)state;
    (void)reason;
    sem_post(&fixture.leave);
}

static void work_for_a_dead_actor_is_reported(void **state)
{
    (void)state;
    static const struct troupe_actor_type type = {.name = "offloader",
                                                  .state_size = 8,
                                                  .init_cb = fixture_go,
                                                  .receive_cb = stop_itself,
                                                  .terminate_cb = let_work_end};
    make_pool(1, 1, 0, &type);
    world.is_stopped_by_letter = true;
    fixture_start();
    fixture_finish();
    assert_int_equal(fixture.letters[TROUPE_DROP_DEAD] + fixture.letters[TROUPE_DROP_STOPPED], 1);
}

static enum troupe_verdict leave_jobs(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)state;
    (void)msg;
    for (uint32_t i = 0; i < JOBS; i++) {
        TROUPE_ASSERT(offload_job(ctx, i, i == 0 ? block : square) == TROUPE_OK);
    }
    sem_wait(&fixture.entered);
    troupe_pool_stop(fixture.pool);
    return TROUPE_CONTINUE;
}

/* Lets the blocked job go once no inbox takes anything any more. */
static void *release_after_close(void *arg)
{
    for (uint32_t i = 0; i < fixture.pool->worker_count; i++) {
        const struct trp_inbox *inbox = &fixture.pool->workers[i].inbox;
        while (trp_load_relaxed_ptr(&inbox->head) != TRP_INBOX_CLOSED) {
            sched_yield();
        }
    }
    sem_post(&fixture.leave);
    return arg;
}

static void run_and_release_after_close(void)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, release_after_close, NULL), 0);
    fixture_start();
    troupe_pool_join(fixture.pool);
    pthread_join(thread, NULL);
    fixture_finish();
}

static void jobs_left_when_the_pool_stops_are_reported(void **state)
{
    (void)state;
    static const struct troupe_actor_type type = {
        .name = "offloader", .init_cb = fixture_go, .receive_cb = leave_jobs};
    for (uint32_t round = 0; round < ROUNDS; round++) {
        make_pool(2, 1, 0, &type);
        run_and_release_after_close();
        assert_int_equal(fixture.letters[TROUPE_DROP_SHUTDOWN], JOBS);
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
    troupe_pool_stop(fixture.pool);
    return TROUPE_CONTINUE;
}

static void jobs_that_end_during_shutdown_are_counted_once(void **state)
{
    (void)state;
    static const struct troupe_actor_type type = {
        .name = "offloader", .init_cb = fixture_go, .receive_cb = flood_self};
    for (uint32_t round = 0; round < ROUNDS; round++) {
        make_pool(2, 4, 0, &type);
        fixture_start();
        fixture_finish();
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
    troupe_pool_stop(fixture.pool);
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
    .name = "asker", .init_cb = fixture_go, .receive_cb = ask_worker};

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
        make_pool(2, 1, 0, &type);
        world.answer = TROUPE_EINVAL;
        fixture_add(worker, &asker_type, NULL);
        fixture_start();
        fixture_finish();
        assert_int_equal(world.answer, TROUPE_OK);
    }
}

static enum troupe_verdict
offload_question_and_stop(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)state;
    struct troupe_msg *taken = troupe_msg_take(ctx, msg);
    TROUPE_ASSERT(troupe_offload(ctx, &taken, block) == TROUPE_OK);
    sem_wait(&fixture.entered);
    troupe_pool_stop(fixture.pool);
    return TROUPE_CONTINUE;
}

static void an_ask_left_in_offload_at_shutdown_is_reported(void **state)
{
    (void)state;
    static const struct troupe_actor_type type = {.name = "server",
                                                  .receive_cb = offload_question_and_stop};
    for (uint32_t worker = 0; worker < 2; worker++) {
        make_pool(2, 1, 0, &type);
        fixture_add(worker, &asker_type, NULL);
        run_and_release_after_close();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(work_runs_elsewhere_and_comes_back),
        cmocka_unit_test(a_full_queue_says_busy),
        cmocka_unit_test(a_borrowed_message_can_be_the_job),
        cmocka_unit_test(so_it_can_in_a_simulation),
        cmocka_unit_test(work_for_a_dead_actor_is_reported),
        cmocka_unit_test(jobs_left_when_the_pool_stops_are_reported),
        cmocka_unit_test(jobs_that_end_during_shutdown_are_counted_once),
        cmocka_unit_test(an_ask_survives_the_way_through_offload),
        cmocka_unit_test(an_ask_left_in_offload_at_shutdown_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
