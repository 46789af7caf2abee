/* What no other test noticed when a mutant broke it. */

#include "mailbox/atomic.h"
#include "tests/cmocka.h"

#include <string.h>
#include <time.h>
#include <troupe/assert.h>
#include <troupe/io.h>
#include <troupe/relations.h>

enum { MSG_GO = 1, MSG_TICK, MSG_RELEASE, MSG_QUESTION, MSG_DATA };

static struct {
    struct troupe_pool *pool;
    troupe_ref other;
    troupe_ref third;
    uint32_t flag; /* shared word */
    uint32_t rounds;
    uint32_t good_rounds;
    uint32_t answers;
    enum troupe_status statuses[2];
    uint64_t values[2];
    uint32_t received;
    enum troupe_status last_send;
    bool is_kept; /* the refused message stayed the sender's */
} world;

static void make_pool(uint32_t workers, const struct troupe_driver *driver)
{
    char error[256];
    struct troupe_pool_config config = {
        .workers = workers, .pin = "none", .spin = TROUPE_SPIN_PARK, .driver = driver};
    memset(&world, 0, sizeof(world));
    assert_int_equal(troupe_pool_create(&world.pool, &config, error, sizeof(error)), TROUPE_OK);
}

static troupe_ref add(uint32_t worker, const struct troupe_actor_type *type)
{
    troupe_ref ref;
    assert_int_equal(troupe_pool_spawn(world.pool, &ref, worker, type, NULL), TROUPE_OK);
    return ref;
}

static void run_pool(struct troupe_pool_report *report)
{
    char error[256];
    assert_int_equal(troupe_pool_start(world.pool, error, sizeof(error)), TROUPE_OK);
    troupe_pool_join(world.pool);
    troupe_pool_report(world.pool, report);
    troupe_pool_destroy(world.pool);
    assert_int_equal(report->accepted, report->processed + report->reported);
}

static enum troupe_status post_go(struct troupe_ctx *ctx, void *state, const void *arg)
{
    (void)state;
    (void)arg;
    return troupe_send_copy(ctx, troupe_self(ctx), MSG_GO, NULL, 0);
}

/* --- a doorbell is submitted before the next actor runs --- */

#define ROUNDS  5u
#define LONG_NS 5000000000u

static enum troupe_verdict raise_flag(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)ctx;
    (void)state;
    (void)msg;
    trp_store_release_u32(&world.flag, 1); /* partner: hog */
    return TROUPE_CONTINUE;
}

static uint64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Lets nobody else run on its worker until the other worker has done its part. */
static enum troupe_verdict hog(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    uint64_t until_ns = clock_ns() + LONG_NS;
    (void)ctx;
    (void)state;
    (void)msg;
    while (trp_load_acquire_u32(&world.flag) == 0 && clock_ns() < until_ns) { /* raise_flag */
        trp_spin_pause();
    }
    world.good_rounds += trp_load_acquire_u32(&world.flag); /* partner: raise_flag */
    trp_store_release_u32(&world.flag, 0);                  /* partner: the next raise_flag */
    return TROUPE_CONTINUE;
}

static enum troupe_status begin_ringer(struct troupe_ctx *ctx, void *state, const void *arg)
{
    (void)arg;
    troupe_timer_start(ctx, state, 20000000, 20000000, MSG_TICK); /* the other one sleeps by then */
    return TROUPE_OK;
}

static enum troupe_verdict ring_and_yield(struct troupe_ctx *ctx, void *state, struct troupe_msg *m)
{
    (void)state;
    (void)m;
    if (world.rounds++ == ROUNDS || world.good_rounds + 1 < world.rounds) {
        troupe_pool_stop(world.pool);
        return TROUPE_CONTINUE;
    }
    TROUPE_ASSERT(troupe_send_copy(ctx, world.other, MSG_GO, NULL, 0) == TROUPE_OK);
    TROUPE_ASSERT(troupe_send_copy(ctx, world.third, MSG_GO, NULL, 0) == TROUPE_OK);
    return TROUPE_CONTINUE;
}

static void a_doorbell_does_not_wait_for_the_next_actor(void **state)
{
    static const struct troupe_actor_type ringer = {.name = "ringer",
                                                    .state_size = sizeof(struct troupe_timer),
                                                    .init_cb = begin_ringer,
                                                    .receive_cb = ring_and_yield};
    static const struct troupe_actor_type hogger = {.name = "hog", .receive_cb = hog};
    static const struct troupe_actor_type raiser = {.name = "raiser", .receive_cb = raise_flag};
    char error[TROUPE_RING_ERROR_MAX];
    struct troupe_pool_report report;
    (void)state;
    if (troupe_ring_probe(error, sizeof(error)) != TROUPE_OK) {
        skip();
    }
    make_pool(2, troupe_ring_driver());
    add(0, &ringer);
    world.third = add(0, &hogger);
    world.other = add(1, &raiser);
    run_pool(&report);
    assert_int_equal(world.good_rounds, ROUNDS);
}

/* --- a late answer is nobody's --- */

static enum troupe_verdict
ask_again(struct troupe_ctx *ctx, void *state, const struct troupe_answer *answer, uint64_t cookie);

static enum troupe_status ask(struct troupe_ctx *ctx, uint64_t number, uint64_t timeout_ns)
{
    return troupe_ask(ctx, world.other, MSG_QUESTION, troupe_span(&number, sizeof(number)),
                      timeout_ns, ask_again, number);
}

static enum troupe_verdict
ask_again(struct troupe_ctx *ctx, void *state, const struct troupe_answer *answer, uint64_t cookie)
{
    (void)state;
    TROUPE_ASSERT(cookie < 2 && world.answers == cookie);
    world.answers++;
    world.statuses[cookie] = answer->status;
    if (answer->status == TROUPE_OK) {
        memcpy(&world.values[cookie], troupe_msg_data(answer->msg), sizeof(world.values[0]));
    }
    if (cookie == 0) {
        TROUPE_ASSERT(ask(ctx, 1, 60000000000u) == TROUPE_OK);
        TROUPE_ASSERT(troupe_send_copy(ctx, world.other, MSG_RELEASE, NULL, 0) == TROUPE_OK);
    } else {
        troupe_pool_stop(world.pool);
    }
    return TROUPE_CONTINUE;
}

static enum troupe_verdict begin_asking(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)state;
    (void)msg;
    TROUPE_ASSERT(ask(ctx, 0, 5000000) == TROUPE_OK);
    return TROUPE_CONTINUE;
}

struct keeper {
    uint32_t count;
    struct troupe_msg *kept[2];
};

static enum troupe_verdict
keep_until_told(struct troupe_ctx *ctx, void *state, struct troupe_msg *m)
{
    struct keeper *keeper = state;
    if (m->type == MSG_QUESTION) {
        TROUPE_ASSERT(keeper->count < 2);
        keeper->kept[keeper->count++] = troupe_msg_take(ctx, m);
        return TROUPE_CONTINUE;
    }
    for (uint32_t i = 0; i < keeper->count; i++) { /* the late one first */
        uint64_t number;
        memcpy(&number, troupe_msg_data(keeper->kept[i]), sizeof(number));
        number += 100;
        TROUPE_ASSERT(troupe_reply(ctx, keeper->kept[i], MSG_QUESTION,
                                   troupe_span(&number, sizeof(number))) == TROUPE_OK);
    }
    return TROUPE_CONTINUE;
}

static void a_late_answer_is_not_the_next_ones(void **state)
{
    static const struct troupe_actor_type asker = {
        .name = "asker", .init_cb = post_go, .receive_cb = begin_asking};
    static const struct troupe_actor_type keeper = {
        .name = "keeper", .state_size = sizeof(struct keeper), .receive_cb = keep_until_told};
    struct troupe_pool_report report;
    (void)state;
    make_pool(1, NULL);
    add(0, &asker);
    world.other = add(0, &keeper);
    run_pool(&report);
    assert_int_equal(world.answers, 2);
    assert_int_equal(world.statuses[0], TROUPE_EEXPIRED);
    assert_int_equal(world.statuses[1], TROUPE_OK);
    assert_int_equal(world.values[1], 101);
    assert_int_equal(report.dropped[TROUPE_DROP_LATE], 1);
}

/* --- an actor that drains refuses what comes from its own worker --- */

#define QUEUED 300u /* more than one turn handles */

static enum troupe_verdict swallow(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)ctx;
    (void)state;
    (void)msg;
    world.received++;
    return TROUPE_CONTINUE;
}

static void stop_pool(struct troupe_ctx *ctx, void *state, enum troupe_down_reason reason)
{
    (void)ctx;
    (void)state;
    (void)reason;
    troupe_pool_stop(world.pool);
}

static enum troupe_verdict drain_and_send(struct troupe_ctx *ctx, void *state, struct troupe_msg *m)
{
    (void)state;
    if (m->type == MSG_GO) {
        for (uint32_t i = 0; i < QUEUED; i++) {
            TROUPE_ASSERT(troupe_send_copy(ctx, world.other, MSG_DATA, NULL, 0) == TROUPE_OK);
        }
        troupe_drain(ctx, world.other);
        return troupe_send_copy(ctx, troupe_self(ctx), MSG_TICK, NULL, 0) == TROUPE_OK
                   ? TROUPE_CONTINUE
                   : TROUPE_FAIL;
    }
    if (world.received == 0) { /* it has not had its turn yet */
        (void)!troupe_send_copy(ctx, troupe_self(ctx), MSG_TICK, NULL, 0);
        return TROUPE_CONTINUE;
    }
    TROUPE_ASSERT(world.received < QUEUED);
    struct troupe_msg *msg = troupe_msg_new(ctx, MSG_DATA, 0);
    TROUPE_ASSERT(msg != NULL);
    world.last_send = troupe_send(ctx, world.other, &msg);
    world.is_kept = msg != NULL;
    troupe_msg_free(ctx, msg);
    return TROUPE_CONTINUE;
}

static void a_draining_actor_takes_nothing_new_from_near(void **state)
{
    static const struct troupe_actor_type drainer = {
        .name = "drainer", .init_cb = post_go, .receive_cb = drain_and_send};
    static const struct troupe_actor_type victim = {
        .name = "victim", .receive_cb = swallow, .terminate_cb = stop_pool};
    struct troupe_pool_report report;
    (void)state;
    make_pool(1, NULL);
    add(0, &drainer);
    world.other = add(0, &victim);
    run_pool(&report);
    assert_int_equal(world.last_send, TROUPE_ECLOSED);
    assert_true(world.is_kept);
    assert_int_equal(world.received, QUEUED);
    assert_int_equal(report.reported, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_doorbell_does_not_wait_for_the_next_actor),
        cmocka_unit_test(a_late_answer_is_not_the_next_ones),
        cmocka_unit_test(a_draining_actor_takes_nothing_new_from_near),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
