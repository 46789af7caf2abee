/*
 * The steady state of mailbox, pool and core touches no system heap: messages, buffers, asks,
 * timers, spawns and ends between two workers are watched through wrapped malloc functions.
 */

#include "tests/cmocka.h"

#include "mailbox/atomic.h"
#include "pool_fixture.h"

#include <stdlib.h>
#include <string.h>
#include <troupe/assert.h>
#include <troupe/relations.h>

#define WARM_UP 20000u
#define ROUNDS  100000u

enum { MSG_BALL = 1, MSG_QUESTION, MSG_TICK };

static uint64_t heap_calls;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

void *__wrap_malloc(size_t size)
{
    trp_faa_u64(&heap_calls, 1);
    return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    trp_faa_u64(&heap_calls, 1);
    return __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    trp_faa_u64(&heap_calls, 1);
    return __real_realloc(old, size);
}

struct player {
    troupe_ref other;
    uint32_t rounds;
    struct troupe_timer tick;
};

static struct {
    troupe_ref players[2];
    uint64_t calls_when_warm;
    uint64_t calls_at_end;
} world;

static enum troupe_verdict
on_answer(struct troupe_ctx *ctx, void *state, const struct troupe_answer *answer, uint64_t cookie)
{
    (void)ctx;
    (void)state;
    (void)cookie;
    (void)answer;
    return TROUPE_CONTINUE;
}

static const struct troupe_actor_type fly_type;

/* One of everything that a busy service does for a message. */
static void do_a_round(struct troupe_ctx *ctx, struct player *player)
{
    struct troupe_buf *buf = troupe_buf_new(ctx, 3000);
    TROUPE_ASSERT(buf != NULL);
    struct troupe_msg *ball = troupe_msg_new_buf(ctx, MSG_BALL, 64, buf);
    TROUPE_ASSERT(ball != NULL);
    TROUPE_ASSERT(troupe_send(ctx, player->other, &ball) == TROUPE_OK);
    enum troupe_status status =
        troupe_ask(ctx, player->other, MSG_QUESTION, troupe_span("?", 1), 1000000000, on_answer, 0);
    TROUPE_ASSERT(status == TROUPE_OK);
    troupe_timer_start(ctx, &player->tick, 1000000, 0, MSG_TICK);
    troupe_ref fly;
    TROUPE_ASSERT(troupe_spawn(ctx, &fly, &fly_type, NULL) == TROUPE_OK);
    troupe_stop(ctx, fly);
}

static enum troupe_verdict receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct player *player = state;
    if (msg->type == MSG_QUESTION) {
        TROUPE_ASSERT(troupe_reply(ctx, msg, MSG_QUESTION, troupe_span("!", 1)) == TROUPE_OK);
        return TROUPE_CONTINUE;
    }
    if (msg->type != MSG_BALL) {
        return TROUPE_CONTINUE;
    }
    player->rounds++;
    if (player->rounds == WARM_UP && troupe_self_worker(ctx) == 0) {
        world.calls_when_warm = trp_faa_u64(&heap_calls, 0);
    }
    if (player->rounds == ROUNDS && troupe_self_worker(ctx) == 0) {
        world.calls_at_end = trp_faa_u64(&heap_calls, 0);
        troupe_pool_stop(fixture.pool);
        return TROUPE_CONTINUE;
    }
    do_a_round(ctx, player);
    return TROUPE_CONTINUE;
}

static enum troupe_status init(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct player *player = state;
    player->other = *(const troupe_ref *)arg;
    if (troupe_self_worker(ctx) == 0) {
        do_a_round(ctx, player);
    }
    return TROUPE_OK;
}

static const struct troupe_actor_type player_type = {
    .name = "player", .state_size = sizeof(struct player), .init_cb = init, .receive_cb = receive};
static const struct troupe_actor_type fly_type = {
    .name = "fly", .state_size = 100, .receive_cb = receive};

static void the_steady_state_uses_no_system_heap(void **state)
{
    (void)state;
    fixture_create_parking(2);
    for (uint32_t i = 0; i < 2; i++) {
        world.players[i] = fixture_add(i, &player_type, &world.players[1 - i]);
    }
    fixture_start();
    fixture_finish();
    assert_int_not_equal(world.calls_when_warm, 0); /* the wrapping works */
    assert_int_equal(world.calls_at_end, world.calls_when_warm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_steady_state_uses_no_system_heap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
