/* Timers with slack: never early, never later than allowed, and few wakes for many timers. */

#include "pool/random.h"
#include "pool/wheel.h"
#include "pool_fixture.h"
#include "tests/cmocka.h"

#include <stdlib.h>
#include <string.h>
#include <troupe/assert.h>

#define MS     1000000ull
#define TIMERS 100u
#define RUNS   300u

enum { MSG_FIRE = 1 };

/* --- the wheel alone --- */

struct probe {
    struct troupe_timer timer;
    uint64_t fired_ns;
    uint32_t fired;
};

static uint64_t wheel_now_ns;

static void on_fire(void *arg, struct troupe_timer *timer)
{
    struct probe *probe = (struct probe *)timer;
    (void)arg;
    probe->fired_ns = wheel_now_ns;
    probe->fired++;
}

static void it_fires_between_due_and_slack(void **state)
{
    (void)state;
    struct trp_random random = {7};
    static struct probe probes[TIMERS];
    for (uint32_t round = 0; round < RUNS; round++) {
        struct trp_wheel wheel;
        uint64_t start_ns = trp_random_below(&random, 1ull << 50);
        memset(probes, 0, sizeof(probes));
        trp_wheel_init(&wheel, start_ns);
        for (uint32_t i = 0; i < TIMERS; i++) {
            uint64_t scale = 1ull << trp_random_below(&random, 40);
            probes[i].timer.due_ns = start_ns + trp_random_below(&random, scale);
            probes[i].timer.slack_ms =
                (uint32_t)trp_random_below(&random, 1ull << trp_random_below(&random, 20));
            trp_wheel_add(&wheel, &probes[i].timer);
        }
        while (trp_wheel_next_ns(&wheel) != UINT64_MAX) {
            wheel_now_ns = trp_wheel_next_ns(&wheel);
            trp_wheel_advance(&wheel, wheel_now_ns, on_fire, NULL);
        }
        for (uint32_t i = 0; i < TIMERS; i++) {
            uint64_t due_ns = probes[i].timer.due_ns;
            assert_int_equal(probes[i].fired, 1);
            assert_true(probes[i].fired_ns >= due_ns);
            assert_true(probes[i].fired_ns <= due_ns + probes[i].timer.slack_ms * MS + 2 * MS);
        }
    }
}

/* --- an actor with many timers: how often its worker has to wake --- */

struct owner {
    struct troupe_timer timers[TIMERS];
    uint64_t earliest_ns[TIMERS];
    uint32_t fired;
};

static struct {
    uint64_t slack_ns;
    uint64_t period_ns;
    uint64_t wakes; /* turns at which something fired */
    uint64_t last_turn_ns;
    uint32_t fired;
    uint32_t rounds;
} world;

static enum troupe_status arm_all(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct owner *owner = state;
    (void)arg;
    for (uint32_t i = 0; i < TIMERS; i++) {
        uint64_t after_ns = 500 * MS + troupe_random(ctx) % (1000 * MS);
        troupe_timer_start_slack(ctx, &owner->timers[i], after_ns, world.period_ns, world.slack_ns,
                                 MSG_FIRE);
        owner->earliest_ns[i] = owner->timers[i].due_ns;
    }
    return TROUPE_OK;
}

static enum troupe_verdict fire(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct owner *owner = state;
    struct troupe_timer *timer = (struct troupe_timer *)msg;
    uint32_t i = (uint32_t)(timer - owner->timers);
    TROUPE_ASSERT(i < TIMERS);
    TROUPE_ASSERT(troupe_now(ctx) >= owner->earliest_ns[i]);
    TROUPE_ASSERT(troupe_now(ctx) <= owner->earliest_ns[i] + world.slack_ns + 3 * MS);
    owner->earliest_ns[i] += world.period_ns;
    if (troupe_now(ctx) - world.last_turn_ns > MS / 2) {
        world.wakes++;
    }
    world.last_turn_ns = troupe_now(ctx);
    world.fired++;
    if (world.period_ns != 0 && world.fired >= TIMERS * world.rounds) {
        troupe_timer_cancel(ctx, timer);
    }
    return TROUPE_CONTINUE;
}

static void simulate(uint64_t seed, const struct troupe_actor_type *type, uint64_t ns)
{
    fixture_create_sim(seed, &(struct troupe_pool_config){.workers = 1});
    fixture_add(0, type, NULL);
    fixture_start();
    fixture_run_sim(ns);
    fixture_finish();
}

/* Returns how many times the worker woke up to fire. */
static uint64_t run(uint64_t slack_ns, uint64_t period_ns, uint32_t rounds)
{
    static const struct troupe_actor_type type = {.name = "owner",
                                                  .state_size = sizeof(struct owner),
                                                  .init_cb = arm_all,
                                                  .receive_cb = fire};
    memset(&world, 0, sizeof(world));
    world.slack_ns = slack_ns;
    world.period_ns = period_ns;
    world.rounds = rounds;
    simulate(21, &type, 100000 * MS);
    assert_true(world.fired >= TIMERS * rounds);
    return world.wakes;
}

static void slack_saves_wakes(void **state)
{
    (void)state;
    uint64_t exact = run(0, 0, 1);
    uint64_t loose = run(100 * MS, 0, 1);
    /* 100 timers over a second: nearly a wake each; with 100 ms of slack they meet at multiples of
     * 64 ms or rounder */
    assert_true(exact >= 80);
    assert_true(loose <= 1000 / 64 + 2);
}

static void periodic_ones_keep_their_grid(void **state)
{
    (void)state;
    uint64_t exact = run(0, 300 * MS, 5);
    uint64_t loose = run(100 * MS, 300 * MS, 5); /* the handler checks each firing */
    assert_true(loose * 4 < exact);
}

/* What a timer was armed with before does not stick to it. */
static enum troupe_status arm_again(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct owner *owner = state;
    (void)arg;
    troupe_timer_start_slack(ctx, &owner->timers[0], MS, 0, UINT64_MAX, MSG_FIRE);
    TROUPE_ASSERT(owner->timers[0].slack_ms == UINT32_MAX);
    troupe_timer_start(ctx, &owner->timers[0], 10 * MS, 0, MSG_FIRE);
    owner->earliest_ns[0] = owner->timers[0].due_ns;
    return TROUPE_OK;
}

static void a_plain_start_has_no_slack(void **state)
{
    (void)state;
    static const struct troupe_actor_type type = {.name = "again",
                                                  .state_size = sizeof(struct owner),
                                                  .init_cb = arm_again,
                                                  .receive_cb = fire};
    memset(&world, 0, sizeof(world));
    simulate(22, &type, 1000 * MS);
    assert_int_equal(world.fired, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_fires_between_due_and_slack),
        cmocka_unit_test(slack_saves_wakes),
        cmocka_unit_test(periodic_ones_keep_their_grid),
        cmocka_unit_test(a_plain_start_has_no_slack),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
