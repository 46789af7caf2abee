/* The time of a turn: an actor whose handlers are slow lets others have their turns in between. */

#include "pool/futex.h"
#include "pool/worker.h"
#include "pool_fixture.h"
#include "tests/cmocka.h"

#include <string.h>
#include <troupe/assert.h>

#define MESSAGES (TRP_TURN_MESSAGES - 4u) /* alone they would not end a turn */
#define SLOW_NS  (TRP_TURN_NS + 50000u)

enum { MSG_DATA = MSG_GO + 1 };

static struct {
    uint32_t handled; /* by the slow one */
    uint32_t in_a_row;
    uint32_t first_row;   /* before the other one had a turn at all */
    uint32_t longest_row; /* of those after that */
    uint32_t other_turns; /* while the slow one still had messages */
} world;

static enum troupe_status fill_own_lane(struct troupe_ctx *ctx, void *state, const void *arg)
{
    (void)state;
    (void)arg;
    for (uint32_t i = 0; i < MESSAGES; i++) {
        TROUPE_ASSERT(troupe_send_copy(ctx, troupe_self(ctx), MSG_DATA, NULL, 0) == TROUPE_OK);
    }
    return TROUPE_OK;
}

static enum troupe_verdict be_slow(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    uint64_t until_ns = trp_monotonic_ns() + SLOW_NS;
    (void)ctx;
    (void)state;
    (void)msg;
    while (trp_monotonic_ns() < until_ns) {
    }
    uint32_t *longest = world.other_turns == 0 ? &world.first_row : &world.longest_row;
    world.in_a_row++;
    *longest = world.in_a_row > *longest ? world.in_a_row : *longest;
    if (++world.handled == MESSAGES) {
        sem_post(&fixture.entered);
    }
    return TROUPE_CONTINUE;
}

/* Always has one message, and asks for no more than its turn. */
static enum troupe_verdict come_again(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)state;
    (void)msg;
    world.in_a_row = 0;
    if (world.handled < MESSAGES) {
        world.other_turns++;
        TROUPE_ASSERT(troupe_send_copy(ctx, troupe_self(ctx), MSG_GO, NULL, 0) == TROUPE_OK);
    }
    return TROUPE_YIELD;
}

static void slow_handlers_do_not_keep_the_worker(void **state)
{
    (void)state;
    static const struct troupe_actor_type slow = {
        .name = "slow", .init_cb = fill_own_lane, .receive_cb = be_slow};
    static const struct troupe_actor_type other = {
        .name = "other", .init_cb = fixture_go, .receive_cb = come_again};
    memset(&world, 0, sizeof(world));
    fixture_create_parking(1);
    fixture_add(0, &slow, NULL); /* begins first, so it also runs first */
    fixture_add(0, &other, NULL);
    fixture_start();
    sem_wait(&fixture.entered);
    fixture_stop();
    /* until it is known to be slow the clock is read every 32 messages */
    assert_in_range(world.first_row, 1, TRP_TICK_EVERY);
    assert_in_range(world.longest_row, 1, TRP_TICK_EVERY / 4);
    assert_true(world.other_turns > MESSAGES / TRP_TICK_EVERY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slow_handlers_do_not_keep_the_worker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
