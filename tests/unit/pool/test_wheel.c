#include "tests/cmocka.h"

#include "pool/random.h"
#include "pool/wheel.h"

#include <stdlib.h>
#include <string.h>

#define MS     1000000ull
#define TIMERS 500u

struct probe {
    struct troupe_timer timer;
    uint64_t fired_ns;
    uint32_t fired;
};

static uint64_t test_now_ns;

static void on_fire(void *arg, struct troupe_timer *timer)
{
    struct probe *probe = (struct probe *)timer;
    (void)arg;
    probe->fired_ns = test_now_ns;
    probe->fired++;
}

/* Steps exactly from wake to wake, as a worker that sleeps until trp_wheel_next_ns does. */
static void run_until(struct trp_wheel *wheel, uint64_t end_ns)
{
    while (trp_wheel_next_ns(wheel) <= end_ns) {
        test_now_ns = trp_wheel_next_ns(wheel);
        trp_wheel_advance(wheel, test_now_ns, on_fire, NULL);
    }
    test_now_ns = end_ns;
    trp_wheel_advance(wheel, end_ns, on_fire, NULL);
}

static void never_early_and_at_most_a_tick_late(void **state)
{
    (void)state;
    struct trp_random random = {42};
    static struct probe probes[TIMERS];
    for (int round = 0; round < 50; round++) {
        struct trp_wheel wheel;
        uint64_t start_ns = trp_random_below(&random, 1ull << 50);
        memset(probes, 0, sizeof(probes));
        trp_wheel_init(&wheel, start_ns);
        for (uint32_t i = 0; i < TIMERS; i++) {
            uint64_t scale = 1ull << trp_random_below(&random, 45);
            probes[i].timer.due_ns = start_ns + trp_random_below(&random, scale);
            trp_wheel_add(&wheel, &probes[i].timer);
        }
        run_until(&wheel, start_ns + (1ull << 45));
        assert_true(trp_wheel_next_ns(&wheel) == UINT64_MAX);
        for (uint32_t i = 0; i < TIMERS; i++) {
            assert_int_equal(probes[i].fired, 1);
            assert_true(probes[i].fired_ns >= probes[i].timer.due_ns);
            assert_true(probes[i].fired_ns <= probes[i].timer.due_ns + 2 * MS);
        }
    }
}

static void one_long_jump_fires_everything_due(void **state)
{
    (void)state;
    struct trp_wheel wheel;
    static struct probe probes[3];
    trp_wheel_init(&wheel, 0);
    memset(probes, 0, sizeof(probes));
    probes[0].timer.due_ns = 5 * MS;
    probes[1].timer.due_ns = 5000 * MS;
    probes[2].timer.due_ns = 3600000 * MS;
    for (int i = 0; i < 3; i++) {
        trp_wheel_add(&wheel, &probes[i].timer);
    }
    test_now_ns = 6000 * MS;
    trp_wheel_advance(&wheel, test_now_ns, on_fire, NULL);
    assert_int_equal(probes[0].fired, 1);
    assert_int_equal(probes[1].fired, 1);
    assert_int_equal(probes[2].fired, 0);
}

static void removed_timers_stay_silent(void **state)
{
    (void)state;
    struct trp_wheel wheel;
    static struct probe probes[4];
    trp_wheel_init(&wheel, 77 * MS);
    memset(probes, 0, sizeof(probes));
    for (int i = 0; i < 4; i++) {
        probes[i].timer.due_ns = 100 * MS;
        trp_wheel_add(&wheel, &probes[i].timer);
    }
    trp_wheel_remove(&wheel, &probes[0].timer);
    trp_wheel_remove(&wheel, &probes[2].timer);
    run_until(&wheel, 200 * MS);
    assert_int_equal(probes[0].fired, 0);
    assert_int_equal(probes[1].fired, 1);
    assert_int_equal(probes[2].fired, 0);
    assert_int_equal(probes[3].fired, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(never_early_and_at_most_a_tick_late),
        cmocka_unit_test(one_long_jump_fires_everything_due),
        cmocka_unit_test(removed_timers_stay_silent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
