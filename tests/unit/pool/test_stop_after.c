/* stop-after: a last message, and what is queued before and behind it. */

#include "pool_fixture.h"
#include "tests/cmocka.h"

#include <string.h>
#include <troupe/assert.h>

#define SEEDS  60u
#define BEFORE 5u
#define BEHIND 4u

enum { MSG_NUMBER = MSG_GO + 1, MSG_LAST, MSG_KEEP };

static struct {
    troupe_ref target;
    uint32_t handled;      /* numbers before the last message */
    uint32_t last;         /* the last message was handled */
    uint32_t after;        /* anything was handled behind it */
    uint32_t letters_last; /* reported messages of type MSG_LAST */
    enum troupe_status status;
    enum troupe_verdict verdict; /* of the last message's handler */
    enum troupe_down_reason reason;
    uint32_t ended;
    uint64_t deadline_after_ns; /* 0 = none; 1 = passed already */
    bool is_taken;
} world;

static void look_at_letter(void *arg, const struct troupe_msg *msg, enum troupe_drop_reason reason)
{
    TROUPE_ASSERT(msg->type < TROUPE_MSG_RESERVED); /* never the carrier */
    TROUPE_ASSERT(msg->to == world.target);
    fixture_count_letter(arg, msg, reason);
    world.letters_last += msg->type == MSG_LAST ? 1 : 0;
}

static enum troupe_verdict receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)state;
    world.after += world.last;
    if (msg->type == MSG_NUMBER) {
        world.handled++;
        return TROUPE_CONTINUE;
    }
    TROUPE_ASSERT(msg->type == MSG_LAST && msg->size == 4 && msg->from != TROUPE_NOBODY);
    TROUPE_ASSERT(memcmp(troupe_msg_data(msg), "last", 4) == 0);
    TROUPE_ASSERT(world.handled == BEFORE);
    world.last++;
    if (world.is_taken) {
        troupe_msg_free(ctx, troupe_msg_take(ctx, msg));
    }
    return world.verdict;
}

static void ended(struct troupe_ctx *ctx, void *state, enum troupe_down_reason reason)
{
    (void)ctx;
    (void)state;
    world.reason = reason;
    world.ended++;
}

static const struct troupe_actor_type target_type = {.name = "target",
                                                     .state_size = 8,
                                                     .data_count_max = 20,
                                                     .receive_cb = receive,
                                                     .terminate_cb = ended};

static struct troupe_msg *new_last(struct troupe_ctx *ctx)
{
    struct troupe_msg *msg =
        world.deadline_after_ns == 0
            ? troupe_msg_new(ctx, MSG_LAST, 4)
            : troupe_msg_new_deadline(ctx, MSG_LAST, 4, troupe_now(ctx) + world.deadline_after_ns);
    TROUPE_ASSERT(msg != NULL);
    memcpy(troupe_msg_data(msg), "last", 4);
    return msg;
}

static void send_numbers(struct troupe_ctx *ctx, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        TROUPE_ASSERT(troupe_send_copy(ctx, world.target, MSG_NUMBER, NULL, 0) == TROUPE_OK);
    }
}

static enum troupe_verdict
numbers_and_last(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)state;
    (void)msg;
    struct troupe_msg *last = new_last(ctx);
    send_numbers(ctx, BEFORE);
    world.status = troupe_stop_after(ctx, world.target, &last);
    TROUPE_ASSERT(last == NULL);
    send_numbers(ctx, BEHIND);
    return TROUPE_CONTINUE;
}

typedef enum troupe_verdict (*receive_cb)(struct troupe_ctx *, void *, struct troupe_msg *);

/* One run of a sender on worker 0 and the target on the worker given. */
static void run(uint64_t seed, uint32_t target_worker, receive_cb send_cb)
{
    struct troupe_actor_type sender = {
        .name = "sender", .init_cb = fixture_go, .receive_cb = send_cb};
    fixture_create_sim(
        seed, &(struct troupe_pool_config){.workers = 2, .dead_letter_cb = look_at_letter});
    world.target = fixture_add(target_worker, &target_type, NULL);
    fixture_add(0, &sender, NULL);
    fixture_start();
    fixture_run_sim(1000000000u);
    uint32_t alive_letters = fixture.letters[TROUPE_DROP_SHUTDOWN];
    fixture_finish();
    assert_int_equal(alive_letters, 0);
}

static void reset(void)
{
    memset(&world, 0, sizeof(world));
}

static void it_is_the_last_thing_handled(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        reset();
        world.is_taken = seed % 3 == 0;
        run(seed, (uint32_t)(seed % 2), numbers_and_last);
        assert_int_equal(world.status, TROUPE_OK);
        assert_int_equal(world.handled, BEFORE);
        assert_int_equal(world.last, 1);
        assert_int_equal(world.after, 0);
        assert_int_equal(world.ended, 1);
        assert_int_equal(world.reason, TROUPE_DOWN_NORMAL);
        /* queued behind: reported, as stopped or, when it came later, as dead */
        assert_int_equal(fixture.letters[TROUPE_DROP_STOPPED] + fixture.letters[TROUPE_DROP_DEAD],
                         BEHIND);
        assert_int_equal(world.letters_last, 0);
    }
}

static void a_failing_last_handler_fails_the_actor(void **state)
{
    (void)state;
    for (uint32_t taken = 0; taken < 2; taken++) {
        reset();
        world.verdict = TROUPE_FAIL;
        world.is_taken = taken != 0;
        run(7, 0, numbers_and_last);
        assert_int_equal(world.last, 1);
        assert_int_equal(world.reason, TROUPE_DOWN_FAILED);
        /* what a failing handler left is reported once, what it took is its own */
        assert_int_equal(world.letters_last, 1 - taken);
    }
}

static void an_expired_last_message_stops_all_the_same(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        reset();
        world.deadline_after_ns = 1;
        run(seed, 1, numbers_and_last); /* the clock moves between two workers' turns */
        assert_int_equal(world.last + fixture.letters[TROUPE_DROP_EXPIRED], 1);
        assert_int_equal(world.letters_last, fixture.letters[TROUPE_DROP_EXPIRED]);
        assert_int_equal(world.handled, BEFORE);
        assert_int_equal(world.ended, 1);
        assert_int_equal(world.reason, TROUPE_DOWN_NORMAL);
    }
}

static void a_deadline_far_away_changes_nothing(void **state)
{
    (void)state;
    reset();
    world.deadline_after_ns = 100000000000u;
    run(3, 1, numbers_and_last);
    assert_int_equal(world.last, 1);
    assert_int_equal(fixture.letters[TROUPE_DROP_EXPIRED], 0);
}

/* --- refusals: the message stays the caller's, untouched --- */

static void try_after(struct troupe_ctx *ctx, troupe_ref to)
{
    struct troupe_msg *last = new_last(ctx);
    struct troupe_msg *kept = last;
    world.status = troupe_stop_after(ctx, to, &last);
    TROUPE_ASSERT(last == kept);
    TROUPE_ASSERT(last->type == MSG_LAST && memcmp(troupe_msg_data(last), "last", 4) == 0);
    troupe_msg_free(ctx, last);
}

static enum troupe_verdict to_nobody(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)state;
    (void)msg;
    try_after(ctx, troupe_self(ctx) + 1);
    return TROUPE_CONTINUE;
}

static void a_dead_receiver_is_told_at_once(void **state)
{
    (void)state;
    reset();
    run(1, 1, to_nobody);
    assert_int_equal(world.status, TROUPE_EDEAD);
    assert_int_equal(fixture_letters(), 0);
}

static enum troupe_verdict to_full(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)state;
    (void)msg;
    send_numbers(ctx, 20);
    try_after(ctx, world.target);
    return TROUPE_CONTINUE;
}

static void a_full_lane_is_busy_for_it_too(void **state)
{
    (void)state;
    reset();
    run(1, 0, to_full);
    assert_int_equal(world.status, TROUPE_EBUSY);
    assert_int_equal(world.handled, 20);
    assert_int_equal(world.ended, 1);
    assert_int_equal(world.reason, TROUPE_DOWN_SHUTDOWN); /* it went on living */
    assert_int_equal(fixture_letters(), 0);
}

/* Forbidden: a message that carries one already, and somebody's ask. */
static enum troupe_verdict unfit(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    const uint8_t flags[] = {TROUPE_MSG_OWNS_MSG, TROUPE_MSG_ASK};
    (void)state;
    (void)msg;
    for (uint32_t i = 0; i < 2; i++) {
        struct troupe_msg *last = troupe_msg_new(ctx, MSG_LAST, sizeof(void *));
        TROUPE_ASSERT(last != NULL);
        *(void **)troupe_msg_data(last) = NULL;
        last->flags |= flags[i];
        world.status = troupe_stop_after(ctx, world.target, &last);
        TROUPE_ASSERT(world.status == TROUPE_EINVAL && last != NULL);
        last->flags &= (uint8_t)~flags[i];
        troupe_msg_free(ctx, last);
    }
    return TROUPE_CONTINUE;
}

static void carriers_and_asks_are_refused(void **state)
{
    (void)state;
    reset();
    run(1, 0, unfit);
    assert_int_equal(world.status, TROUPE_EINVAL);
    assert_int_equal(world.last, 0);
    assert_int_equal(world.reason, TROUPE_DOWN_SHUTDOWN);
}

static enum troupe_verdict
use_up_memory(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    enum { MOST = 100000 };
    static struct troupe_msg *all[MOST];
    (void)state;
    (void)msg;
    uint32_t count = 0;
    struct troupe_msg *last = new_last(ctx);
    struct troupe_msg *kept = last;
    while (count < MOST && (all[count] = troupe_msg_new(ctx, MSG_KEEP, 8)) != NULL) {
        count++;
    }
    TROUPE_ASSERT(count < MOST);
    world.status = troupe_stop_after(ctx, world.target, &last);
    TROUPE_ASSERT(last == kept);
    troupe_msg_free(ctx, last);
    while (count > 0) {
        troupe_msg_free(ctx, all[--count]);
    }
    return TROUPE_CONTINUE;
}

static void without_memory_the_message_stays(void **state)
{
    (void)state;
    static const struct troupe_actor_type hog = {
        .name = "hog", .init_cb = fixture_go, .receive_cb = use_up_memory};
    reset();
    fixture_create_sim(5, &(struct troupe_pool_config){.workers = 1, .memory_max = 1u << 20});
    world.target = fixture_add(0, &target_type, NULL);
    fixture_add(0, &hog, NULL);
    fixture_start();
    fixture_run_sim(1000000000u);
    fixture_finish();
    assert_int_equal(world.status, TROUPE_ENOMEM);
    assert_int_equal(world.last, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_the_last_thing_handled),
        cmocka_unit_test(a_failing_last_handler_fails_the_actor),
        cmocka_unit_test(an_expired_last_message_stops_all_the_same),
        cmocka_unit_test(a_deadline_far_away_changes_nothing),
        cmocka_unit_test(a_dead_receiver_is_told_at_once),
        cmocka_unit_test(a_full_lane_is_busy_for_it_too),
        cmocka_unit_test(carriers_and_asks_are_refused),
        cmocka_unit_test(without_memory_the_message_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
