#include "pool_fixture.h"
#include "tests/cmocka.h"

#include <string.h>
#include <troupe/assert.h>

/* cmocka's assertions work on the test's own thread only */
#define WORKER_EQUAL(a, b) TROUPE_ASSERT((a) == (b))

#define PER_SENDER 200000u

enum { MSG_NUMBER = MSG_GO + 1, MSG_TICK, MSG_DONE };

/* --- order and window between workers --- */

struct sender {
    troupe_ref to;
    uint32_t next;
    struct troupe_timer pause;
};

static struct {
    troupe_ref receiver;
    uint32_t expected[4];
    uint32_t done;
    bool is_wrong;
} order;

static enum troupe_status start_sending(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct sender *sender = state;
    sender->to = *(const troupe_ref *)arg;
    return troupe_send_copy(ctx, troupe_self(ctx), MSG_GO, NULL, 0);
}

static enum troupe_verdict keep_sending(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct sender *sender = state;
    (void)msg;
    while (sender->next < PER_SENDER) {
        enum troupe_status status =
            troupe_send_copy(ctx, sender->to, MSG_NUMBER, &sender->next, sizeof(sender->next));
        if (status == TROUPE_EBUSY) {
            troupe_timer_start(ctx, &sender->pause, 1000000, 0, MSG_TICK);
            return TROUPE_CONTINUE;
        }
        if (status != TROUPE_OK) {
            return TROUPE_FAIL;
        }
        sender->next++;
    }
    return TROUPE_STOP;
}

static enum troupe_verdict check_number(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)state;
    (void)ctx;
    uint32_t number;
    memcpy(&number, troupe_msg_data(msg), sizeof(number));
    uint32_t from = troupe_ref_worker(msg->from);
    order.is_wrong |= order.expected[from] != number;
    order.expected[from]++;
    if (++order.done == 2 * PER_SENDER) {
        troupe_pool_stop(fixture.pool);
    }
    return TROUPE_CONTINUE;
}

static void senders_keep_their_order_across_workers(void **state)
{
    (void)state;
    static const struct troupe_actor_type receiver = {.name = "receiver",
                                                      .receive_cb = check_number};
    static const struct troupe_actor_type sender = {.name = "sender",
                                                    .state_size = sizeof(struct sender),
                                                    .init_cb = start_sending,
                                                    .receive_cb = keep_sending};
    memset(&order, 0, sizeof(order));
    fixture_create_parking(2);
    order.receiver = fixture_add(0, &receiver, NULL);
    for (uint32_t worker = 0; worker < 2; worker++) {
        fixture_add(worker, &sender, &order.receiver);
    }
    fixture_start();
    fixture_finish();
    assert_false(order.is_wrong);
    assert_int_equal(order.expected[0], PER_SENDER);
    assert_int_equal(order.expected[1], PER_SENDER);
}

/* --- what a script actor sees of others on its own worker --- */

static struct {
    void (*script)(struct troupe_ctx *ctx);
    uint32_t received;
    uint32_t terminated;
    enum troupe_down_reason reason;
    struct troupe_timer *timer;
    uint64_t fired_ns;
} world;

static enum troupe_verdict run_script(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    world.timer = state;
    if (msg->type == MSG_GO) {
        world.script(ctx);
        return TROUPE_CONTINUE;
    }
    troupe_pool_stop(fixture.pool);
    return TROUPE_CONTINUE;
}

static enum troupe_verdict count_one(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)ctx;
    (void)state;
    (void)msg;
    world.received++;
    return TROUPE_CONTINUE;
}

static void count_end(struct troupe_ctx *ctx, void *state, enum troupe_down_reason reason)
{
    (void)ctx;
    (void)state;
    world.terminated++;
    world.reason = reason;
}

static const struct troupe_actor_type victim = {.name = "victim",
                                                .state_size = 8,
                                                .data_count_max = 5,
                                                .receive_cb = count_one,
                                                .terminate_cb = count_end};

static void run(void (*script)(struct troupe_ctx *ctx))
{
    static const struct troupe_actor_type scripted = {.name = "script",
                                                      .state_size = sizeof(struct troupe_timer),
                                                      .init_cb = fixture_go,
                                                      .receive_cb = run_script};
    memset(&world, 0, sizeof(world));
    world.script = script;
    fixture_create_parking(1);
    fixture_add(0, &scripted, NULL);
    fixture_start();
    fixture_finish();
}

/* Comes back to the script's actor after everything queued before it was handled. */
static void finish_later(struct troupe_ctx *ctx)
{
    WORKER_EQUAL(troupe_send_copy(ctx, troupe_self(ctx), MSG_DONE, NULL, 0), TROUPE_OK);
}

static void script_bound(struct troupe_ctx *ctx)
{
    troupe_ref ref;
    WORKER_EQUAL(troupe_spawn(ctx, &ref, &victim, NULL), TROUPE_OK);
    for (int i = 0; i < 5; i++) {
        WORKER_EQUAL(troupe_send_copy(ctx, ref, MSG_NUMBER, NULL, 0), TROUPE_OK);
    }
    struct troupe_msg *msg = troupe_msg_new(ctx, MSG_NUMBER, 0);
    struct troupe_msg *kept = msg;
    WORKER_EQUAL(troupe_send(ctx, ref, &msg), TROUPE_EBUSY);
    WORKER_EQUAL(msg, kept); /* still the caller's */
    troupe_msg_free(ctx, msg);
    finish_later(ctx);
}

static void a_full_lane_says_busy(void **state)
{
    (void)state;
    run(script_bound);
    assert_int_equal(world.received, 5);
    assert_int_equal(world.terminated, 1);
    assert_int_equal(world.reason, TROUPE_DOWN_SHUTDOWN);
}

static void script_stop(struct troupe_ctx *ctx)
{
    troupe_ref ref;
    WORKER_EQUAL(troupe_spawn(ctx, &ref, &victim, NULL), TROUPE_OK);
    WORKER_EQUAL(troupe_send_copy(ctx, ref, MSG_NUMBER, NULL, 0), TROUPE_OK);
    troupe_stop(ctx, ref);
    troupe_stop(ctx, ref);
    finish_later(ctx);
}

static void stop_comes_before_queued_data(void **state)
{
    (void)state;
    run(script_stop);
    assert_int_equal(world.received, 0);
    assert_int_equal(world.terminated, 1);
    assert_int_equal(world.reason, TROUPE_DOWN_NORMAL);
}

static void script_drain(struct troupe_ctx *ctx)
{
    troupe_ref ref;
    WORKER_EQUAL(troupe_spawn(ctx, &ref, &victim, NULL), TROUPE_OK);
    for (int i = 0; i < 3; i++) {
        WORKER_EQUAL(troupe_send_copy(ctx, ref, MSG_NUMBER, NULL, 0), TROUPE_OK);
    }
    troupe_drain(ctx, ref);
    finish_later(ctx);
}

static void drain_processes_what_is_queued(void **state)
{
    (void)state;
    run(script_drain);
    assert_int_equal(world.received, 3);
    assert_int_equal(world.terminated, 1);
    assert_int_equal(world.reason, TROUPE_DOWN_NORMAL);
}

static void script_kill(struct troupe_ctx *ctx)
{
    troupe_ref ref;
    WORKER_EQUAL(troupe_spawn(ctx, &ref, &victim, NULL), TROUPE_OK);
    troupe_drain(ctx, ref);
    troupe_kill(ctx, ref); /* the harsher verb wins */
    finish_later(ctx);
}

static void kill_skips_terminate(void **state)
{
    (void)state;
    run(script_kill);
    assert_int_equal(world.terminated, 0);
}

static troupe_ref stale_ref;

static void script_stale_check(struct troupe_ctx *ctx)
{
    troupe_ref fresh;
    TROUPE_ASSERT(!(troupe_is_alive_here(ctx, stale_ref)));
    WORKER_EQUAL(troupe_send_copy(ctx, stale_ref, MSG_NUMBER, NULL, 0), TROUPE_EDEAD);
    troupe_stop(ctx, stale_ref); /* ignored, also when the slot has a new owner */
    WORKER_EQUAL(troupe_spawn(ctx, &fresh, &victim, NULL), TROUPE_OK);
    troupe_kill(ctx, stale_ref);
    WORKER_EQUAL(troupe_send_copy(ctx, fresh, MSG_NUMBER, NULL, 0), TROUPE_OK);
    finish_later(ctx);
}

static void script_stale(struct troupe_ctx *ctx)
{
    WORKER_EQUAL(troupe_spawn(ctx, &stale_ref, &victim, NULL), TROUPE_OK);
    troupe_stop(ctx, stale_ref);
    world.script = script_stale_check;
    troupe_timer_start(ctx, world.timer, 1000000, 0, MSG_GO); /* after the victim's turn */
}

static void a_stale_ref_finds_nobody(void **state)
{
    (void)state;
    run(script_stale);
    assert_int_equal(world.received, 1);
}

/* --- timers --- */

struct ticker {
    struct troupe_timer periodic;
    struct troupe_timer once;
    struct troupe_timer never;
    uint64_t started_ns;
    uint32_t ticks;
};

static enum troupe_status start_ticker(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct ticker *ticker = state;
    (void)arg;
    ticker->started_ns = troupe_now(ctx);
    troupe_timer_start(ctx, &ticker->periodic, 2000000, 2000000, MSG_TICK);
    troupe_timer_start(ctx, &ticker->once, 9000000, 0, MSG_DONE);
    troupe_timer_start(ctx, &ticker->never, 1000000, 0, MSG_NUMBER);
    troupe_timer_cancel(ctx, &ticker->never);
    return TROUPE_OK;
}

static enum troupe_verdict on_tick(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct ticker *ticker = state;
    if (msg->type == MSG_NUMBER) {
        world.received++;
    }
    if (msg == &ticker->periodic.msg) {
        ticker->ticks++;
        TROUPE_ASSERT(troupe_timer_is_armed(&ticker->periodic));
    }
    if (msg == &ticker->once.msg) {
        TROUPE_ASSERT(!(troupe_timer_is_armed(&ticker->once)));
        world.fired_ns = troupe_now(ctx) - ticker->started_ns;
        TROUPE_ASSERT(ticker->ticks >= 1);
        troupe_pool_stop(fixture.pool);
    }
    return TROUPE_CONTINUE;
}

static void timers_fire_and_die_with_their_actor(void **state)
{
    (void)state;
    static const struct troupe_actor_type ticker = {.name = "ticker",
                                                    .state_size = sizeof(struct ticker),
                                                    .init_cb = start_ticker,
                                                    .receive_cb = on_tick};
    memset(&world, 0, sizeof(world));
    fixture_create_parking(1);
    fixture_add(0, &ticker, NULL);
    fixture_start();
    fixture_finish();
    assert_true(world.fired_ns >= 9000000);
    assert_int_equal(world.received, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(senders_keep_their_order_across_workers),
        cmocka_unit_test(a_full_lane_says_busy),
        cmocka_unit_test(stop_comes_before_queued_data),
        cmocka_unit_test(drain_processes_what_is_queued),
        cmocka_unit_test(kill_skips_terminate),
        cmocka_unit_test(a_stale_ref_finds_nobody),
        cmocka_unit_test(timers_fire_and_die_with_their_actor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
