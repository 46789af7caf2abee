/* Actors whose control messages never run dry: what they must let through. */

#include "tests/unit/core/puppet.h"

#include <string.h>
#include <troupe/assert.h>

#define ENOUGH   20000u
#define TIMERS   10u
#define DATA     10u
#define WORKS    20u
#define SEEDS    10u
#define WATCHERS 2u

enum { MSG_TICK = 100, MSG_DATA };

struct watcher {
    struct troupe_timer timers[TIMERS];
};

/* What one watcher has handled, and had handled after ENOUGH control messages. */
struct seen {
    uint32_t downs;
    uint32_t ticks;
    uint32_t data;
    uint32_t ticks_then;
    uint32_t data_then;
    uint32_t works_then;
};

static struct {
    troupe_ref dead;
    troupe_ref bystander;
    troupe_ref watchers[WATCHERS];
    struct seen seen[WATCHERS];
} play;

static struct seen *seen_of(struct troupe_ctx *ctx)
{
    return &play.seen[troupe_self(ctx) == play.watchers[0] ? 0 : 1];
}

/* Watching who is dead is answered at once, so the control lane always has the next notice. */
static void watch(struct troupe_ctx *ctx)
{
    TROUPE_ASSERT(troupe_monitor(ctx, play.dead, MSG_DOWN, 0, NULL) == TROUPE_OK);
}

static enum troupe_verdict receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct watcher *watcher = state;
    struct seen *seen = seen_of(ctx);
    switch (msg->type) {
    case MSG_WORK:
        watch(ctx);
        watch(ctx);
        for (uint32_t i = 0; i < TIMERS; i++) {
            troupe_timer_start(ctx, &watcher->timers[i], 1000000, 0, MSG_TICK);
        }
        break;
    case MSG_DOWN:
        if (++seen->downs == ENOUGH) {
            seen->ticks_then = seen->ticks;
            seen->data_then = seen->data;
            seen->works_then = world.books[1].logged;
        } else if (seen->downs < ENOUGH) {
            watch(ctx);
        }
        break;
    case MSG_TICK:
        seen->ticks++;
        break;
    default:
        seen->data++;
        break;
    }
    return TROUPE_CONTINUE;
}

static const struct troupe_actor_type watcher_type = {
    .name = "watcher", .state_size = sizeof(struct watcher), .receive_cb = receive};

static void run_watchers(uint64_t seed, uint32_t count)
{
    memset(&play, 0, sizeof(play));
    world_open(seed, 1);
    play.dead = world_puppet(0, 0);
    play.bystander = world_puppet(0, 1);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(troupe_pool_spawn(world.pool, &play.watchers[i], 0, &watcher_type, NULL),
                         TROUPE_OK);
    }
    world_start();
    tell(play.dead, MSG_QUIT, 0);
    world_run_ms(5);
    for (uint32_t i = 0; i < count; i++) {
        tell(play.watchers[i], MSG_WORK, 0);
    }
    world_run_ms(1); /* the timers are still to come */
    for (uint32_t n = 0; n < DATA; n++) {
        for (uint32_t i = 0; i < count; i++) {
            tell(play.watchers[i], MSG_DATA, 0);
        }
    }
    for (uint32_t n = 0; n < WORKS; n++) {
        tell(play.bystander, MSG_WORK, n);
    }
    world_run_ms(500);
    for (uint32_t i = 0; i < count; i++) {
        assert_true(play.seen[i].downs >= ENOUGH);
    }
}

static void they_let_answers_and_data_through(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        run_watchers(seed, 1);
        assert_int_equal(play.seen[0].ticks_then, TIMERS);
        assert_int_equal(play.seen[0].data_then, DATA);
        world_close();
    }
}

static void two_of_them_let_others_run(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        run_watchers(seed, WATCHERS);
        for (uint32_t i = 0; i < WATCHERS; i++) {
            assert_int_equal(play.seen[i].works_then, WORKS);
            assert_int_equal(play.seen[i].data_then, DATA);
            assert_int_equal(play.seen[i].ticks_then, TIMERS);
        }
        world_close();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_let_answers_and_data_through),
        cmocka_unit_test(two_of_them_let_others_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
