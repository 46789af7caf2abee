/* Which message comes next, and when one is too late: what all lanes promise to each other. */

#include "tests/unit/core/puppet.h"

#include "pool/recorder.h"
#include "pool/worker.h"

#include <string.h>
#include <troupe/assert.h>
#include <troupe/observe.h>

#define IN_FLIGHT  300u
#define ENOUGH     20000u
#define MANY       5000u
#define DATA       10u
#define SEEDS      20u
#define TIMEOUT_NS 60000000000u
#define ASKER      0u /* a puppet */
#define ECHOES     4u /* together they answer faster than the asker can listen */

static struct {
    troupe_ref refs[2]; /* puppets */
    troupe_ref echoes[ECHOES];
    uint32_t asked;
    uint32_t answered;    /* by echoes */
    uint32_t answers;     /* that the asker heard */
    uint32_t logged_then; /* data messages that the asker had handled after MANY answers */
    bool is_endless;      /* asks again for each answer, also while it drains */
} play;

static void ask_echo(struct troupe_ctx *ctx, troupe_answer_cb answered)
{
    uint64_t value[4] = {0};
    TROUPE_ASSERT(troupe_ask(ctx, play.echoes[play.asked++ % ECHOES], MSG_QUESTION,
                             troupe_span(value, sizeof(value)), TIMEOUT_NS, answered,
                             0) == TROUPE_OK);
}

static enum troupe_verdict
again(struct troupe_ctx *ctx, void *state, const struct troupe_answer *answer, uint64_t cookie)
{
    (void)state;
    (void)cookie;
    TROUPE_ASSERT(answer->status == TROUPE_OK);
    if (++play.answers == MANY) {
        play.logged_then = world.books[ASKER].logged;
    }
    if (play.is_endless && play.answers < ENOUGH) {
        ask_echo(ctx, again);
    }
    return TROUPE_CONTINUE;
}

static void act_ask_many(struct troupe_ctx *ctx, uint32_t who, uint64_t count)
{
    (void)who;
    for (uint64_t i = 0; i < count; i++) {
        ask_echo(ctx, again);
    }
}

static void open_play(uint64_t seed, uint32_t workers, const struct troupe_actor_type *echo)
{
    memset(&play, 0, sizeof(play));
    world_open(seed, workers);
    play.refs[ASKER] = world_puppet(0, ASKER);
    for (uint32_t i = 0; i < ECHOES; i++) {
        assert_int_equal(troupe_pool_spawn(world.pool, &play.echoes[i], workers - 1, echo, NULL),
                         TROUPE_OK);
    }
    world_start();
}

static enum troupe_verdict echo_receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)state;
    if (msg->type == MSG_QUESTION) {
        TROUPE_ASSERT(troupe_reply(ctx, msg, MSG_QUESTION, troupe_span(NULL, 0)) == TROUPE_OK);
    }
    return TROUPE_CONTINUE;
}

static const struct troupe_actor_type echo_type = {.name = "echo", .receive_cb = echo_receive};

static void open_endless(uint64_t seed, uint32_t workers)
{
    open_play(seed, workers, &echo_type);
    play.is_endless = true;
    make(play.refs[ASKER], act_ask_many, IN_FLIGHT);
}

static void answers_that_never_run_dry_let_data_through(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        open_endless(seed, 1 + seed % 2);
        for (uint64_t i = 0; i < DATA; i++) {
            tell(play.refs[ASKER], MSG_WORK, i);
        }
        world_run_ms(100);
        assert_true(play.answers >= ENOUGH);
        assert_int_equal(play.logged_then, DATA);
        world_close();
    }
}

static void a_drain_ends_although_each_answer_asks_again(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        open_endless(seed, 1 + seed % 2);
        make(play.refs[ASKER], act_drain, play.refs[ASKER]);
        world_run_ms(100);
        assert_true(play.answers < ENOUGH);
        assert_int_equal(world.books[ASKER].terminates, 1);
        world_close();
    }
}

/* Drains the asker behind the last answer of all. */
static enum troupe_verdict
answer_and_drain(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)state;
    TROUPE_ASSERT(troupe_reply(ctx, msg, MSG_QUESTION, troupe_span(NULL, 0)) == TROUPE_OK);
    if (++play.answered == IN_FLIGHT) {
        troupe_drain(ctx, play.refs[ASKER]);
    }
    return TROUPE_CONTINUE;
}

static const struct troupe_actor_type drainer_type = {.name = "drainer",
                                                      .receive_cb = answer_and_drain};

static void a_drain_handles_the_answers_that_wait(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        open_play(seed, 1 + seed % 2, &drainer_type);
        make(play.refs[ASKER], act_ask_many, IN_FLIGHT);
        world_run_ms(100);
        assert_int_equal(world.books[ASKER].terminates, 1);
        assert_int_equal(play.answers, IN_FLIGHT);
        world_close();
    }
}

/* --- ends --- */

static enum troupe_verdict kill_then(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)state;
    troupe_kill(ctx, troupe_self(ctx));
    return msg->type == MSG_FAIL ? TROUPE_FAIL : TROUPE_STOP;
}

static uint32_t last_words;

static void say_last_words(struct troupe_ctx *ctx, void *state, enum troupe_down_reason reason)
{
    (void)ctx;
    (void)state;
    (void)reason;
    last_words++;
}

static const struct troupe_actor_type suicide_type = {
    .name = "suicide", .receive_cb = kill_then, .terminate_cb = say_last_words};

static void the_harsher_end_wins_over_a_verdict(void **state)
{
    (void)state;
    static const uint16_t types[2] = {MSG_FAIL, MSG_QUIT};
    for (uint32_t i = 0; i < 2; i++) {
        troupe_ref suicide;
        last_words = 0;
        memset(&play, 0, sizeof(play));
        world_open(1, 1);
        play.refs[0] = world_puppet(0, 0);
        assert_int_equal(troupe_pool_spawn(world.pool, &suicide, 0, &suicide_type, NULL),
                         TROUPE_OK);
        world_start();
        make(play.refs[0], act_monitor, suicide);
        world_run_ms(5);
        tell(suicide, types[i], 0);
        world_run_ms(5);
        assert_int_equal(world.books[0].downs, 1);
        assert_int_equal(world.books[0].last_down.reason, TROUPE_DOWN_KILLED);
        assert_int_equal(last_words, 0);
        world_close();
    }
}

/* --- refused messages and refs that nobody gave out --- */

static struct {
    troupe_ref to;
    troupe_ref sender;
    enum troupe_status status;
    bool is_same;
} forward;

static enum troupe_verdict pass_on(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)state;
    struct troupe_msg before = *msg;
    struct troupe_msg *sent = msg;
    forward.status = troupe_send(ctx, forward.to, &sent);
    forward.is_same = sent == msg && memcmp(&before, msg, sizeof(before)) == 0;
    forward.sender = msg->from;
    return TROUPE_CONTINUE;
}

static const struct troupe_actor_type forwarder_type = {.name = "forwarder", .receive_cb = pass_on};

static void act_send(struct troupe_ctx *ctx, uint32_t who, uint64_t to)
{
    (void)who;
    (void)!troupe_send_copy(ctx, to, MSG_WORK, NULL, 0);
}

static void a_refused_message_keeps_its_sender(void **state)
{
    (void)state;
    troupe_ref forwarder;
    memset(&play, 0, sizeof(play));
    memset(&forward, 0, sizeof(forward));
    world_open(1, 1);
    play.refs[0] = world_puppet(0, 0);
    forward.to = world_puppet(0, 1);
    assert_int_equal(troupe_pool_spawn(world.pool, &forwarder, 0, &forwarder_type, NULL),
                     TROUPE_OK);
    world_start();
    tell(forward.to, MSG_QUIT, 0);
    world_run_ms(5);
    make(play.refs[0], act_send, forwarder);
    world_run_ms(5);
    assert_int_equal(forward.status, TROUPE_EDEAD);
    assert_true(forward.is_same);
    assert_int_equal(forward.sender, play.refs[0]);
    world_close();
}

static void a_forged_ref_is_dead(void **state)
{
    (void)state;
    memset(&play, 0, sizeof(play));
    world_open(1, 2);
    play.refs[0] = world_puppet(0, 0);
    play.refs[1] = world_puppet(1, 1);
    world_start();
    tell(play.refs[1], MSG_QUIT, 0);
    world_run_ms(5);
    /* the cell is free and will have exactly this ref next */
    troupe_ref next = play.refs[1] + 1;
    for (uint32_t worker = 0; worker < 2; worker++) {
        troupe_ref unused = trp_ref_make(worker, 100, 0);
        make(play.refs[0], act_stop, unused);
        make(play.refs[0], act_kill, unused);
        make(play.refs[0], act_send, unused);
        make(play.refs[0], act_stop, trp_ref_make(worker, 0, 0));
    }
    make(play.refs[0], act_send, next);
    make(play.refs[0], act_kill, next);
    make(play.refs[0], act_monitor, next);
    world_run_ms(5);
    trp_sim_check(world.sim);
    assert_int_equal(world.books[0].downs, 1);
    assert_true(world.drops[TROUPE_DROP_DEAD] >= 1); /* what went to the other worker */
    world_close();
}

/* --- the recorder --- */

static uint32_t events_of(uint32_t worker, enum trp_event kind, uint16_t count)
{
    const struct trp_recorder *recorder = &world.pool->workers[worker].recorder;
    struct trp_recorded event;
    uint64_t first;
    uint64_t end;
    uint32_t found = 0;
    trp_recorder_range(recorder, &first, &end);
    for (; first < end; first++) {
        if (trp_recorder_get(recorder, first, &event) && event.kind == kind &&
            event.count == count) {
            found++;
        }
    }
    return found;
}

static const struct troupe_actor_type narrow_type = {
    .name = "narrow", .data_count_max = 2, .receive_cb = echo_receive};

static void act_fill(struct troupe_ctx *ctx, uint32_t who, uint64_t to)
{
    (void)who;
    TROUPE_ASSERT(troupe_send_copy(ctx, to, MSG_WORK, NULL, 0) == TROUPE_OK);
    TROUPE_ASSERT(troupe_send_copy(ctx, to, MSG_WORK, NULL, 0) == TROUPE_OK);
    TROUPE_ASSERT(troupe_send_copy(ctx, to, MSG_WORK, NULL, 0) == TROUPE_EBUSY);
}

static void the_recorder_tells_of_full_lanes_and_counts_restarts(void **state)
{
    (void)state;
    troupe_ref narrow;
    struct troupe_child_spec child = child_of(1, 0, TROUPE_PERMANENT);
    struct troupe_supervisor_spec spec = {
        .intensity_max = 10, .period_ns = 1000000000, .children = &child, .child_count = 1};
    memset(&play, 0, sizeof(play));
    world_open(1, 1);
    play.refs[0] = world_puppet(0, 0);
    assert_int_equal(troupe_pool_spawn(world.pool, &narrow, 0, &narrow_type, NULL), TROUPE_OK);
    (void)world_supervisor(0, &spec);
    world_start();
    make(play.refs[0], act_fill, narrow);
    for (uint32_t i = 0; i < 3; i++) {
        tell(world.books[1].ref, MSG_FAIL, 0);
        world_run_ms(50);
    }
    assert_int_equal(world.books[1].lives, 4);
    assert_int_equal(events_of(0, TRP_EVENT_FULL, 0), 1);
    for (uint16_t time = 1; time <= 3; time++) {
        assert_int_equal(events_of(0, TRP_EVENT_RESTART, time), 1);
    }
    world_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_that_never_run_dry_let_data_through),
        cmocka_unit_test(a_drain_ends_although_each_answer_asks_again),
        cmocka_unit_test(a_drain_handles_the_answers_that_wait),
        cmocka_unit_test(the_harsher_end_wins_over_a_verdict),
        cmocka_unit_test(a_refused_message_keeps_its_sender),
        cmocka_unit_test(a_forged_ref_is_dead),
        cmocka_unit_test(the_recorder_tells_of_full_lanes_and_counts_restarts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
