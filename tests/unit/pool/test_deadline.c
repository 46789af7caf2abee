/* Deadlines in messages: dropped when their turn comes too late, counted once, asker told. */

#include "pool/futex.h"
#include "pool/worker.h"
#include "pool_fixture.h"
#include "tests/cmocka.h"

#include <string.h>
#include <troupe/assert.h>
#include <troupe/relations.h>

#define MS    1000000ull
#define SEEDS 40u
#define EACH  30u

enum { MSG_DATED = MSG_GO + 1, MSG_WAKE, MSG_QUESTION, MSG_PASS };

/* What a dated message says; checked by the receiver. */
struct dated {
    uint64_t deadline_ns;
    uint32_t number;
};

static struct {
    troupe_ref receiver;
    uint32_t sent;
    uint32_t handled;
    uint32_t answers;
    enum troupe_status answer;
} world;

static enum troupe_verdict receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct dated dated;
    (void)state;
    if (msg->type == MSG_DATED) {
        TROUPE_ASSERT(msg->size == sizeof(dated));
        memcpy(&dated, troupe_msg_data(msg), sizeof(dated));
        TROUPE_ASSERT(dated.deadline_ns == 0 || troupe_now(ctx) < dated.deadline_ns);
        world.handled++;
    }
    return TROUPE_CONTINUE;
}

static const struct troupe_actor_type receiver_type = {.name = "receiver", .receive_cb = receive};

static void send_dated(struct troupe_ctx *ctx, troupe_ref to, uint64_t deadline_ns)
{
    struct dated dated = {deadline_ns, world.sent};
    struct troupe_msg *msg = troupe_msg_new_deadline(ctx, MSG_DATED, sizeof(dated), deadline_ns);
    TROUPE_ASSERT(msg != NULL);
    memcpy(troupe_msg_data(msg), &dated, sizeof(dated));
    TROUPE_ASSERT(troupe_send(ctx, to, &msg) == TROUPE_OK);
    world.sent++;
}

/* Some are late already, some have all the time in the world, some none at all. */
static enum troupe_verdict send_mixed(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)state;
    (void)msg;
    for (uint32_t i = 0; i < EACH; i++) {
        send_dated(ctx, world.receiver, troupe_now(ctx) - 1);
        send_dated(ctx, world.receiver, troupe_now(ctx) + 3600000 * MS);
        send_dated(ctx, world.receiver, 0);
    }
    return TROUPE_CONTINUE;
}

static void
run(uint64_t seed, const struct troupe_actor_type *sender, const struct troupe_actor_type *receiver)
{
    memset(&world, 0, sizeof(world));
    fixture_create_sim(seed, &(struct troupe_pool_config){.workers = 2});
    world.receiver = fixture_add((uint32_t)(seed % 2), receiver, NULL);
    fixture_add(0, sender, NULL);
    fixture_start();
    fixture_run_sim(100000 * MS);
    fixture_finish();
}

static void late_ones_are_dropped_and_counted_once(void **state)
{
    (void)state;
    static const struct troupe_actor_type sender = {
        .name = "sender", .init_cb = fixture_go, .receive_cb = send_mixed};
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        run(seed, &sender, &receiver_type);
        assert_int_equal(world.sent, 3 * EACH);
        assert_int_equal(fixture.letters[TROUPE_DROP_EXPIRED], EACH);
        assert_int_equal(world.handled, 2 * EACH);
    }
}

/* --- deadlines that pass while the message waits, at the moment of its turn --- */

static enum troupe_verdict send_soon(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)state;
    (void)msg;
    for (uint32_t i = 0; i < EACH; i++) {
        send_dated(ctx, world.receiver, troupe_now(ctx) + 1 + troupe_random(ctx) % 20000);
    }
    return TROUPE_CONTINUE;
}

static void each_is_handled_in_time_or_dropped(void **state)
{
    (void)state;
    static const struct troupe_actor_type sender = {
        .name = "sender", .init_cb = fixture_go, .receive_cb = send_soon};
    uint32_t handled = 0;
    uint32_t dropped = 0;
    for (uint64_t seed = 1; seed <= 10 * SEEDS; seed++) {
        run(seed, &sender, &receiver_type);
        assert_int_equal(world.handled + fixture.letters[TROUPE_DROP_EXPIRED], world.sent);
        handled += world.handled;
        dropped += fixture.letters[TROUPE_DROP_EXPIRED];
    }
    assert_true(handled > 0); /* the sweep saw both */
    assert_true(dropped > 0);
}

/* --- a deadline that passes while the handler before it runs, on a thread --- */

static uint64_t slow_deadline_ns; /* written before fixture.entered is posted */

static enum troupe_verdict hold(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    if (msg->type != MSG_GO) {
        return receive(ctx, state, msg);
    }
    slow_deadline_ns = troupe_now(ctx) + 2 * MS;
    send_dated(ctx, troupe_self(ctx), slow_deadline_ns);
    sem_post(&fixture.entered);
    while (sem_wait(&fixture.leave) != 0) {
    }
    return TROUPE_CONTINUE;
}

static void one_slow_handler_makes_the_next_message_late(void **state)
{
    (void)state;
    static const struct troupe_actor_type slow = {
        .name = "slow", .init_cb = fixture_go, .receive_cb = hold};
    memset(&world, 0, sizeof(world));
    fixture_create_parking(1);
    fixture_add(0, &slow, NULL);
    fixture_start();
    while (sem_wait(&fixture.entered) != 0) {
    }
    while (trp_monotonic_ns() < slow_deadline_ns) {
        trp_spin_pause();
    }
    sem_post(&fixture.leave);
    troupe_pool_drain(fixture.pool, 10000 * MS);
    fixture_finish();
    assert_int_equal(world.sent, 1);
    assert_int_equal(world.handled, 0);
    assert_int_equal(fixture.letters[TROUPE_DROP_EXPIRED], 1);
}

/* --- sent on: the deadline goes with it --- */

static enum troupe_verdict pass_on(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)state;
    if (msg->type == MSG_GO) {
        send_dated(ctx, troupe_self(ctx), troupe_now(ctx) + 3600000 * MS);
        return TROUPE_CONTINUE;
    }
    struct troupe_msg *taken = troupe_msg_take(ctx, msg);
    struct troupe_msg_extension *extension = (struct troupe_msg_extension *)(taken + 1);
    TROUPE_ASSERT(extension->deadline_ns > troupe_now(ctx));
    extension->deadline_ns = 1; /* as if it had waited here for long */
    TROUPE_ASSERT(troupe_send(ctx, world.receiver, &taken) == TROUPE_OK);
    return TROUPE_CONTINUE;
}

static void the_deadline_goes_on_with_the_message(void **state)
{
    (void)state;
    static const struct troupe_actor_type sender = {
        .name = "passer", .init_cb = fixture_go, .receive_cb = pass_on};
    run(2, &sender, &receiver_type);
    assert_int_equal(fixture.letters[TROUPE_DROP_EXPIRED], 1);
    assert_int_equal(world.handled, 0);
}

/* --- asks: the request expires in the queue of one that is slow, the asker is told --- */

static enum troupe_verdict
on_answer(struct troupe_ctx *ctx, void *state, const struct troupe_answer *answer, uint64_t cookie)
{
    (void)ctx;
    (void)state;
    (void)cookie;
    world.answers++;
    world.answer = answer->status;
    return TROUPE_CONTINUE;
}

static enum troupe_verdict ask(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)state;
    (void)msg;
    TROUPE_ASSERT(troupe_ask(ctx, world.receiver, MSG_QUESTION, troupe_span(NULL, 0), 2 * MS,
                             on_answer, 0) == TROUPE_OK);
    return TROUPE_CONTINUE;
}

struct sleeper {
    struct troupe_timer timer;
    struct troupe_msg *kept;
};

/* Answers half a second later: the time of the ask is over by then. */
static enum troupe_verdict dawdle(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct sleeper *sleeper = state;
    if (msg->type == MSG_QUESTION) {
        world.handled++;
        sleeper->kept = troupe_msg_take(ctx, msg); /* answered too late */
        troupe_timer_start(ctx, &sleeper->timer, 500 * MS, 0, MSG_WAKE);
    } else if (msg->type == MSG_WAKE) {
        TROUPE_ASSERT(troupe_reply(ctx, sleeper->kept, MSG_PASS, troupe_span(NULL, 0)) ==
                      TROUPE_OK);
    }
    return TROUPE_CONTINUE;
}

static void an_asker_is_told_once(void **state)
{
    (void)state;
    static const struct troupe_actor_type asker = {
        .name = "asker", .init_cb = fixture_go, .receive_cb = ask};
    static const struct troupe_actor_type slow = {
        .name = "slow", .state_size = sizeof(struct sleeper), .receive_cb = dawdle};
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        run(seed, &asker, &slow);
        assert_int_equal(world.handled, 1);
        assert_int_equal(world.answers, 1);
        assert_int_equal(world.answer, TROUPE_EEXPIRED);
        assert_int_equal(fixture.letters[TROUPE_DROP_LATE], 1);
    }
}

/* The request is in the lane when its time is over: dropped there, answered from there. */
static enum troupe_verdict
expire_in_lane(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct trp_worker *worker = trp_ctx_worker(ctx);
    struct trp_cell *cell = trp_cells_find(&worker->cells, world.receiver);
    (void)ask(ctx, state, msg);
    TROUPE_ASSERT(cell != NULL && cell->data.tail != NULL);
    ((struct troupe_msg_extension *)(cell->data.tail + 1))->deadline_ns = 1;
    return TROUPE_CONTINUE;
}

static void an_expired_request_answers_its_asker(void **state)
{
    (void)state;
    static const struct troupe_actor_type asker = {
        .name = "asker", .init_cb = fixture_go, .receive_cb = expire_in_lane};
    run(2, &asker, &receiver_type); /* same worker */
    assert_int_equal(world.handled, 0);
    assert_int_equal(fixture.letters[TROUPE_DROP_EXPIRED], 1);
    assert_int_equal(fixture.letters[TROUPE_DROP_LATE], 0);
    assert_int_equal(world.answers, 1);
    assert_int_equal(world.answer, TROUPE_EEXPIRED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(late_ones_are_dropped_and_counted_once),
        cmocka_unit_test(each_is_handled_in_time_or_dropped),
        cmocka_unit_test(one_slow_handler_makes_the_next_message_late),
        cmocka_unit_test(the_deadline_goes_on_with_the_message),
        cmocka_unit_test(an_asker_is_told_once),
        cmocka_unit_test(an_expired_request_answers_its_asker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
