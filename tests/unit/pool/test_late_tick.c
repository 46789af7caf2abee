/* A periodic timer whose actor was late: the ticks it missed are not made up for. */

#include "pool/sim_parts.h"
#include "pool_fixture.h"
#include "tests/cmocka.h"

#include <string.h>
#include <troupe/assert.h>

#define MS     1000000ull
#define PERIOD (10 * MS)
#define LATE   (98 * MS) /* the next tick of the old grid would be 2 ms later */
#define TICKS  20u
#define SEEDS  10u

/* The handlers of these ticks take LATE. */
static const uint32_t slow_ticks[] = {3, 9};

enum { MSG_TICK = 1 };

static struct {
    uint64_t at_ns[TICKS];
    uint32_t ticks;
} world;

static bool is_slow(uint32_t tick)
{
    return tick == slow_ticks[0] || tick == slow_ticks[1];
}

static enum troupe_status wind_up(struct troupe_ctx *ctx, void *state, const void *arg)
{
    (void)arg;
    troupe_timer_start(ctx, state, PERIOD, PERIOD, MSG_TICK);
    return TROUPE_OK;
}

static enum troupe_verdict tick(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    uint32_t number = world.ticks++;
    (void)msg;
    world.at_ns[number] = trp_sim_now(fixture.sim);
    if (is_slow(number)) {
        fixture.sim->now_ns += LATE; /* the handler takes that long */
    }
    if (number + 1 == TICKS) {
        troupe_timer_cancel(ctx, state);
    }
    return TROUPE_CONTINUE;
}

static void missed_ticks_are_not_made_up_for(void **state)
{
    (void)state;
    static const struct troupe_actor_type clock = {.name = "clock",
                                                   .state_size = sizeof(struct troupe_timer),
                                                   .init_cb = wind_up,
                                                   .receive_cb = tick};
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        memset(&world, 0, sizeof(world));
        fixture_create_sim(seed, &(struct troupe_pool_config){.workers = 1});
        fixture_add(0, &clock, NULL);
        fixture_start();
        fixture_run_sim(10000 * MS);
        assert_int_equal(world.ticks, TICKS);
        for (uint32_t i = 1; i < TICKS; i++) {
            uint64_t gap_ns = world.at_ns[i] - world.at_ns[i - 1];
            if (is_slow(i - 1)) { /* the one tick that is late comes at once */
                assert_in_range(gap_ns, LATE, LATE + PERIOD / 2);
            } else if (i > 1 && is_slow(i - 2)) { /* and a whole period later the next */
                assert_in_range(gap_ns, PERIOD, PERIOD * 3 / 2);
            } else {
                assert_in_range(gap_ns, PERIOD / 2, PERIOD * 3 / 2);
            }
        }
        fixture_finish();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(missed_ticks_are_not_made_up_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
