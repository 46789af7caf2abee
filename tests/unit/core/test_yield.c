/* The verdict TROUPE_YIELD: two actors take turns, whatever kind of message they handle. */

#include "tests/cmocka.h"

#include "pool/sim.h"

#include <string.h>
#include <troupe/assert.h>
#include <troupe/relations.h>

#define EACH    20u
#define LOG_MAX 256u

enum { MSG_WORK = 1, MSG_ASK, MSG_TICK, MSG_DOWN, MSG_LAST, MSG_GO };

enum kind { PLAIN, EXTENDED, CARRIED, ANSWERS, TIMERS, DOWNS, KINDS };

struct actor {
    uint32_t who; /* 0, 1: they take turns; 2: answers and dies for them */
    struct troupe_timer timers[EACH];
};

static struct {
    struct trp_sim *sim;
    troupe_ref refs[3];
    uint32_t log[LOG_MAX]; /* who handled something */
    uint32_t logged;
    bool is_yielding;
} world;

static enum troupe_verdict note(const struct actor *actor)
{
    TROUPE_ASSERT(world.logged < LOG_MAX);
    world.log[world.logged++] = actor->who;
    return world.is_yielding ? TROUPE_YIELD : TROUPE_CONTINUE;
}

static enum troupe_verdict
answered(struct troupe_ctx *ctx, void *state, const struct troupe_answer *answer, uint64_t cookie)
{
    (void)ctx;
    (void)cookie;
    TROUPE_ASSERT(answer->status == TROUPE_OK);
    return note(state);
}

/* Makes EACH messages of this kind come to the running actor. */
static void prepare(struct troupe_ctx *ctx, struct actor *actor, enum kind kind)
{
    for (uint32_t i = 0; i < EACH; i++) {
        struct troupe_msg *msg = NULL;
        switch (kind) {
        case EXTENDED:
            msg = troupe_msg_new_deadline(ctx, MSG_WORK, 0, UINT64_MAX);
            TROUPE_ASSERT(msg != NULL);
            TROUPE_ASSERT(troupe_send(ctx, troupe_self(ctx), &msg) == TROUPE_OK);
            break;
        case ANSWERS:
            TROUPE_ASSERT(troupe_ask(ctx, world.refs[2], MSG_ASK, troupe_span(NULL, 0), 1000000000,
                                     answered, 0) == TROUPE_OK);
            break;
        case TIMERS:
            troupe_timer_start(ctx, &actor->timers[i], 5000000, 0, MSG_TICK);
            break;
        case DOWNS:
            TROUPE_ASSERT(troupe_monitor(ctx, world.refs[2], MSG_DOWN, 0, NULL) == TROUPE_OK);
            break;
        case PLAIN:
        case CARRIED:
        case KINDS:
            TROUPE_ASSERT(troupe_send_copy(ctx, troupe_self(ctx), MSG_WORK, NULL, 0) == TROUPE_OK);
            break;
        }
    }
    if (kind == CARRIED) {
        struct troupe_msg *msg = troupe_msg_new(ctx, MSG_LAST, 0);
        TROUPE_ASSERT(msg != NULL);
        TROUPE_ASSERT(troupe_stop_after(ctx, troupe_self(ctx), &msg) == TROUPE_OK);
    }
}

static enum troupe_status begin(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct actor *actor = state;
    memcpy(&actor->who, arg, sizeof(actor->who));
    world.refs[actor->who] = troupe_self(ctx);
    return TROUPE_OK;
}

static enum troupe_verdict receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct actor *actor = state;
    enum kind kind;
    switch (msg->type) {
    case MSG_GO:
        memcpy(&kind, troupe_msg_data(msg), sizeof(kind));
        prepare(ctx, actor, kind);
        return TROUPE_YIELD;
    case MSG_ASK:
        TROUPE_ASSERT(troupe_reply(ctx, msg, MSG_ASK, troupe_span(NULL, 0)) == TROUPE_OK);
        return TROUPE_CONTINUE;
    case MSG_LAST:
        return actor->who == 2 ? TROUPE_STOP : note(actor);
    default:
        return note(actor);
    }
}

static const struct troupe_actor_type type = {
    .name = "actor", .state_size = sizeof(struct actor), .init_cb = begin, .receive_cb = receive};

static void post(struct troupe_port *port, uint32_t who, uint16_t msg_type, enum kind kind)
{
    struct troupe_msg *msg = troupe_port_msg_new(port, msg_type, sizeof(kind));
    assert_non_null(msg);
    memcpy(troupe_msg_data(msg), &kind, sizeof(kind));
    assert_int_equal(troupe_port_send(port, world.refs[who], &msg), TROUPE_OK);
}

static void settle(void)
{
    while (trp_sim_step(world.sim)) {
    }
}

/* How often the same actor handled two messages in a row. */
static uint32_t run(uint64_t seed, enum kind kind, bool is_yielding)
{
    static const uint32_t numbers[3] = {0, 1, 2};
    struct troupe_pool_config config = {.workers = 1, .memory_max = 64u << 20};
    struct troupe_port *port;
    uint32_t repeats = 0;
    memset(&world, 0, sizeof(world));
    world.is_yielding = is_yielding;
    world.sim = trp_sim_create(seed, &config, NULL);
    assert_non_null(world.sim);
    struct troupe_pool *pool = trp_sim_pool(world.sim);
    assert_int_equal(troupe_port_open(pool, &port), TROUPE_OK);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(troupe_pool_spawn(pool, &world.refs[i], 0, &type, &numbers[i]), TROUPE_OK);
    }
    trp_sim_start(world.sim);
    post(port, 0, MSG_GO, kind);
    post(port, 1, MSG_GO, kind);
    if (kind == DOWNS) {
        settle();
        post(port, 2, MSG_LAST, kind);
    }
    settle();
    /* the last message is handled once although it comes in a carrier */
    assert_int_equal(world.logged, 2 * (kind == CARRIED ? EACH + 1 : EACH));
    for (uint32_t i = 1; i < world.logged; i++) {
        repeats += world.log[i] == world.log[i - 1] ? 1 : 0;
    }
    trp_sim_stop(world.sim);
    trp_sim_destroy(world.sim);
    return repeats;
}

static void who_yields_lets_the_other_one_through(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        for (enum kind kind = PLAIN; kind < KINDS; kind++) {
            if (kind == ANSWERS) {
                continue; /* these come one by one: see below */
            }
            assert_true(run(seed, kind, true) <= 1); /* the second one begins a turn later */
        }
        assert_true(run(seed, ANSWERS, true) < run(seed, ANSWERS, false));
    }
}

static void who_does_not_yield_keeps_its_turn(void **state)
{
    (void)state;
    for (enum kind kind = PLAIN; kind < KINDS; kind++) {
        /* a few turns at most, however many messages; the simulation may cut turns short */
        assert_true(run(1, kind, false) > EACH / 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_yields_lets_the_other_one_through),
        cmocka_unit_test(who_does_not_yield_keeps_its_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
