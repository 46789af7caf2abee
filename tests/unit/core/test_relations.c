#include "tests/cmocka.h"

#include <stdio.h>
#include <string.h>
#include <troupe/assert.h>
#include <troupe/pool.h>
#include <troupe/relations.h>

enum { MSG_GO = 1, MSG_ASK, MSG_DOWN, MSG_DIE, MSG_KEEP, MSG_TICK };

/* What one test wants of the asker; it runs on worker 0, its partner where `partner_worker` says.
 */
struct plan {
    void (*start)(struct troupe_ctx *ctx, troupe_ref partner);
    uint32_t partner_worker;
    uint32_t answers_wanted;
    uint32_t downs_wanted;
};

static struct {
    struct troupe_pool *pool;
    struct plan plan;
    troupe_ref partner;
    uint32_t answers;
    enum troupe_status last_status;
    uint64_t last_value;
    uint64_t cookies;
    uint32_t downs;
    struct troupe_down last_down;
    uint64_t dropped[TROUPE_DROP_REASONS];
} world;

static void finish_when_done(void)
{
    if (world.answers == world.plan.answers_wanted && world.downs == world.plan.downs_wanted) {
        troupe_pool_stop(world.pool);
    }
}

static enum troupe_verdict
on_answer(struct troupe_ctx *ctx, void *state, const struct troupe_answer *answer, uint64_t cookie)
{
    (void)ctx;
    (void)state;
    world.answers++;
    world.last_status = answer->status;
    world.cookies += cookie;
    TROUPE_ASSERT((answer->msg != NULL) == (answer->status == TROUPE_OK));
    if (answer->msg != NULL && answer->msg->size >= sizeof(uint64_t)) {
        memcpy(&world.last_value, troupe_msg_data(answer->msg), sizeof(world.last_value));
    }
    finish_when_done();
    return TROUPE_CONTINUE;
}

static enum troupe_status post_go(struct troupe_ctx *ctx, void *state, const void *arg)
{
    (void)state;
    (void)arg;
    return troupe_send_copy(ctx, troupe_self(ctx), MSG_GO, NULL, 0);
}

static enum troupe_verdict
asker_receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)state;
    if (msg->type == MSG_GO) {
        world.plan.start(ctx, world.partner);
    } else if (msg->type == MSG_DOWN) {
        memcpy(&world.last_down, troupe_msg_data(msg), sizeof(world.last_down));
        world.downs++;
        finish_when_done();
    }
    return TROUPE_CONTINUE;
}

/* The partner: doubles a number, keeps a request for ever, drops it, or dies. */
static enum troupe_verdict
partner_receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct troupe_msg **kept = state;
    if (msg->type == MSG_ASK && msg->size == sizeof(uint64_t)) {
        uint64_t value[100] = {0};
        memcpy(&value[0], troupe_msg_data(msg), sizeof(value[0]));
        value[0] *= 2;
        /* 800 bytes do not fit into the request's node */
        size_t len = value[0] > 1000 ? sizeof(value) : sizeof(value[0]);
        TROUPE_ASSERT(troupe_reply(ctx, msg, MSG_ASK, troupe_span(value, len)) == TROUPE_OK);
    } else if (msg->type == MSG_KEEP) {
        *kept = troupe_msg_take(ctx, msg);
    } else if (msg->type == MSG_DIE) {
        return TROUPE_FAIL;
    }
    return TROUPE_CONTINUE;
}

static void partner_end(struct troupe_ctx *ctx, void *state, enum troupe_down_reason reason)
{
    struct troupe_msg **kept = state;
    (void)reason;
    troupe_msg_free(ctx, *kept); /* a kept request is answered "no reply" */
}

static const struct troupe_actor_type asker_type = {
    .name = "asker", .state_size = 16, .init_cb = post_go, .receive_cb = asker_receive};
static const struct troupe_actor_type partner_type = {.name = "partner",
                                                      .state_size = sizeof(struct troupe_msg *),
                                                      .data_count_max = 50,
                                                      .receive_cb = partner_receive,
                                                      .terminate_cb = partner_end};

static void run(struct plan plan)
{
    struct troupe_pool_config config = {.workers = 2, .spin = TROUPE_SPIN_PARK};
    char error[200] = "";
    troupe_ref asker;
    memset(&world, 0, sizeof(world));
    world.plan = plan;
    assert_int_equal(troupe_pool_create(&world.pool, &config, error, sizeof(error)), TROUPE_OK);
    assert_int_equal(
        troupe_pool_spawn(world.pool, &world.partner, plan.partner_worker, &partner_type, NULL),
        TROUPE_OK);
    assert_int_equal(troupe_pool_spawn(world.pool, &asker, 0, &asker_type, NULL), TROUPE_OK);
    assert_int_equal(troupe_pool_start(world.pool, error, sizeof(error)), TROUPE_OK);
    troupe_pool_join(world.pool);
    struct troupe_worker_stats sum = {0};
    for (uint32_t i = 0; i < 2; i++) {
        struct troupe_worker_stats stats;
        troupe_pool_stats(world.pool, i, &stats);
        sum.accepted += stats.accepted;
        sum.processed += stats.processed;
        sum.reported += stats.reported;
        for (int reason = 0; reason < TROUPE_DROP_REASONS; reason++) {
            world.dropped[reason] += stats.dropped[reason];
        }
    }
    assert_int_equal(sum.accepted, sum.processed + sum.reported);
    troupe_pool_destroy(world.pool);
}

static void ask_value(struct troupe_ctx *ctx, troupe_ref partner, uint64_t value)
{
    enum troupe_status status = troupe_ask(
        ctx, partner, MSG_ASK, troupe_span(&value, sizeof(value)), 5000000000ull, on_answer, value);
    TROUPE_ASSERT(status == TROUPE_OK);
}

static void ask_many(struct troupe_ctx *ctx, troupe_ref partner)
{
    for (uint64_t i = 1; i <= 40; i++) {
        ask_value(ctx, partner, i * 20);
    }
}

static void replies_come_back(void **state)
{
    (void)state;
    for (uint32_t worker = 0; worker < 2; worker++) {
        run((struct plan){ask_many, worker, 40, 0});
        assert_int_equal(world.answers, 40);
        assert_int_equal(world.last_status, TROUPE_OK);
        assert_int_equal(world.last_value, 1600);
        assert_int_equal(world.cookies, 20 * 820);
    }
}

static void ask_and_be_ignored(struct troupe_ctx *ctx, troupe_ref partner)
{
    TROUPE_ASSERT(troupe_ask(ctx, partner, MSG_TICK, troupe_span(NULL, 0), 5000000000ull, on_answer,
                             7) == TROUPE_OK);
}

static void a_dropped_request_answers_by_itself(void **state)
{
    (void)state;
    for (uint32_t worker = 0; worker < 2; worker++) {
        run((struct plan){ask_and_be_ignored, worker, 1, 0});
        assert_int_equal(world.last_status, TROUPE_ENOREPLY);
        assert_int_equal(world.cookies, 7);
    }
}

static void ask_and_wait(struct troupe_ctx *ctx, troupe_ref partner)
{
    TROUPE_ASSERT(troupe_ask(ctx, partner, MSG_KEEP, troupe_span("abc", 3), 3000000, on_answer,
                             1) == TROUPE_OK);
}

static void the_deadline_ends_an_ask(void **state)
{
    (void)state;
    for (uint32_t worker = 0; worker < 2; worker++) {
        run((struct plan){ask_and_wait, worker, 1, 0});
        assert_int_equal(world.last_status, TROUPE_EEXPIRED);
        assert_int_equal(world.answers, 1); /* the late "no reply" at the end is not seen */
    }
}

static void ask_the_dying(struct troupe_ctx *ctx, troupe_ref partner)
{
    TROUPE_ASSERT(troupe_send_copy(ctx, partner, MSG_DIE, NULL, 0) == TROUPE_OK);
    for (uint64_t i = 1; i <= 10; i++) {
        ask_value(ctx, partner, i);
    }
}

static void death_answers_what_was_queued(void **state)
{
    (void)state;
    for (uint32_t worker = 0; worker < 2; worker++) {
        run((struct plan){ask_the_dying, worker, 10, 0});
        assert_int_equal(world.last_status, TROUPE_EDEAD);
    }
}

static void watch_three_times(struct troupe_ctx *ctx, troupe_ref partner)
{
    troupe_monitor_id id;
    TROUPE_ASSERT(troupe_monitor(ctx, partner, MSG_DOWN, 1, NULL) == TROUPE_OK);
    TROUPE_ASSERT(troupe_monitor(ctx, partner, MSG_DOWN, 2, NULL) == TROUPE_OK);
    TROUPE_ASSERT(troupe_monitor(ctx, partner, MSG_DOWN, 4, &id) == TROUPE_OK);
    troupe_demonitor(ctx, id);
    troupe_demonitor(ctx, id);
    TROUPE_ASSERT(troupe_send_copy(ctx, partner, MSG_DIE, NULL, 0) == TROUPE_OK);
}

static void monitors_stack_and_tell_the_reason(void **state)
{
    (void)state;
    for (uint32_t worker = 0; worker < 2; worker++) {
        run((struct plan){watch_three_times, worker, 0, 2});
        assert_int_equal(world.downs, 2);
        assert_int_equal(world.last_down.reason, TROUPE_DOWN_FAILED);
        assert_true(world.last_down.ref == world.partner);
    }
}

static void watch_nobody(struct troupe_ctx *ctx, troupe_ref partner)
{
    troupe_ref stale = partner + 1; /* a generation that never was */
    TROUPE_ASSERT(troupe_monitor(ctx, stale, MSG_DOWN, 9, NULL) == TROUPE_OK);
}

static void the_dead_are_reported_at_once(void **state)
{
    (void)state;
    for (uint32_t worker = 0; worker < 2; worker++) {
        run((struct plan){watch_nobody, worker, 0, 1});
        assert_int_equal(world.last_down.reason, TROUPE_DOWN_UNKNOWN);
        assert_int_equal(world.last_down.cookie, 9);
    }
}

static void use_names(struct troupe_ctx *ctx, troupe_ref partner)
{
    (void)partner;
    struct troupe_span name = troupe_span_cstr("asker");
    TROUPE_ASSERT(troupe_whereis(ctx, name) == TROUPE_NOBODY);
    TROUPE_ASSERT(troupe_register(ctx, name) == TROUPE_OK);
    TROUPE_ASSERT(troupe_register(ctx, name) == TROUPE_EEXIST);
    TROUPE_ASSERT(troupe_whereis(ctx, name) == troupe_self(ctx));
    TROUPE_ASSERT(troupe_register(ctx, troupe_span_cstr("")) == TROUPE_EINVAL);
    troupe_unregister(ctx, name);
    TROUPE_ASSERT(troupe_whereis(ctx, name) == TROUPE_NOBODY);
    for (int i = 0; i < 1000; i++) {
        char text[20];
        int len = snprintf(text, sizeof(text), "n%d", i);
        TROUPE_ASSERT(troupe_register(ctx, troupe_span(text, (size_t)len)) == TROUPE_OK);
    }
    TROUPE_ASSERT(troupe_whereis(ctx, troupe_span_cstr("n777")) == troupe_self(ctx));
    troupe_pool_stop(world.pool);
}

static void names_find_their_actor(void **state)
{
    (void)state;
    run((struct plan){use_names, 0, 0, 0});
}

static void spawn_elsewhere(struct troupe_ctx *ctx, troupe_ref partner)
{
    (void)partner;
    for (uint32_t worker = 0; worker < 2; worker++) {
        TROUPE_ASSERT(troupe_spawn_on(ctx, worker, &partner_type, troupe_span(NULL, 0), on_answer,
                                      worker) == TROUPE_OK);
    }
}

static void actors_spawn_on_other_workers(void **state)
{
    (void)state;
    run((struct plan){spawn_elsewhere, 0, 2, 0});
    assert_int_equal(world.last_status, TROUPE_OK);
    assert_int_equal(world.cookies, 1);
    assert_int_not_equal(world.last_value, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_come_back),
        cmocka_unit_test(a_dropped_request_answers_by_itself),
        cmocka_unit_test(the_deadline_ends_an_ask),
        cmocka_unit_test(death_answers_what_was_queued),
        cmocka_unit_test(monitors_stack_and_tell_the_reason),
        cmocka_unit_test(the_dead_are_reported_at_once),
        cmocka_unit_test(names_find_their_actor),
        cmocka_unit_test(actors_spawn_on_other_workers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
