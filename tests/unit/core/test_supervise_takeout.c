/* Taking children out: ones that never started, by asking again, and what the next life inherits.
 */

#include "actors/core/supervise.h"
#include "tests/unit/core/puppet.h"

#include <string.h>
#include <troupe/assert.h>

#define SEEDS 60u
#define MS    1000000ull

enum { A = 0, B = 1, C = 2, WATCHER = 10, OTHER = 11 };

static troupe_ref top;
static troupe_ref watcher;

static const struct book *watched(void)
{
    return &world.books[WATCHER];
}

/* --- a child that cannot start --- */

static const char *wanted_name;

static void act_stop_named(struct troupe_ctx *ctx, uint32_t who, uint64_t status)
{
    (void)who;
    TROUPE_ASSERT(troupe_supervise_stop_named(ctx, top, troupe_span_cstr(wanted_name), 5000 * MS,
                                              note_answer,
                                              0) == (enum troupe_status)(int64_t)status);
}

static void stop_named(const char *name, enum troupe_status status)
{
    uint32_t answers = watched()->answers;
    wanted_name = name;
    make(watcher, act_stop_named, TROUPE_OK);
    world_run_ms(10);
    assert_int_equal(watched()->answers, answers + 1);
    assert_int_equal(watched()->answer_statuses[answers], status);
}

static void count_children(uint32_t count)
{
    make(watcher, act_list, top);
    world_run_ms(5);
    assert_int_equal(world.list.total, count);
}

/* B's init fails for ever; it is between two tries, or one is under way, depending on the seed. */
static void open_failing(uint64_t seed)
{
    struct troupe_child_spec children[3];
    for (uint32_t who = A; who <= C; who++) {
        children[who] = child_of(who, (uint32_t)((seed + who) % 3), TROUPE_PERMANENT);
    }
    children[A].name = "first";
    children[B].name = "broken";
    children[C].name = "last";
    struct troupe_supervisor_spec spec = {.strategy = (enum troupe_strategy)(seed / 3 % 3),
                                          .intensity_max = TROUPE_INTENSITY_MAX,
                                          .period_ns = 1,
                                          .backoff_min_ns = seed % 2 * 3 * MS,
                                          .children = children,
                                          .child_count = 3};
    world_open(seed, 3);
    world.books[B].inits_to_fail = UINT32_MAX;
    top = world_supervisor((uint32_t)(seed % 3), &spec);
    watcher = world_puppet(1, WATCHER);
    trp_sim_start(world.sim);
    /* without a backoff it would fail more often than events can be noted */
    for (uint64_t steps = 40 + seed; steps > 0; steps--) {
        (void)trp_sim_step(world.sim);
    }
}

static void who_never_started_is_taken_out_by_name(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        open_failing(seed);
        stop_named("broken", TROUPE_OK);
        uint32_t tries = UINT32_MAX - world.books[B].inits_to_fail;
        assert_true(tries > 0);
        world_run_ms(50);
        assert_int_equal(UINT32_MAX - world.books[B].inits_to_fail, tries);
        count_children(2);
        assert_int_equal(world.books[A].lives, world.books[A].terminates + 1);
        assert_int_equal(world.books[C].lives, world.books[C].terminates + 1); /* started now */
        stop_named("broken", TROUPE_ENOTFOUND);
        stop_named("last", TROUPE_OK); /* one that runs */
        assert_int_equal(world.books[C].lives, world.books[C].terminates);
        count_children(1);
        world_close();
    }
}

static void bad_names_are_refused(void **state)
{
    struct troupe_supervisor_spec spec = {.intensity_max = 1};
    (void)state;
    world_open(1, 1);
    top = world_supervisor(0, &spec);
    watcher = world_puppet(0, WATCHER);
    world_start();
    wanted_name = "";
    make(watcher, act_stop_named, (uint64_t)(int64_t)TROUPE_EINVAL);
    world_run_ms(5);
    wanted_name = "a name of more than thirty-one b";
    make(watcher, act_stop_named, (uint64_t)(int64_t)TROUPE_EINVAL);
    world_run_ms(5);
    assert_int_equal(watched()->answers, 0);
    stop_named("nobody", TROUPE_ENOTFOUND);
    world_close();
}

/* --- asking again --- */

static troupe_ref slow;
static uint32_t expired;

static enum troupe_verdict ignore(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)ctx;
    (void)state;
    (void)msg;
    return TROUPE_CONTINUE;
}

static enum troupe_status note_slow(struct troupe_ctx *ctx, void *state, const void *arg)
{
    (void)state;
    (void)arg;
    slow = troupe_self(ctx);
    return TROUPE_OK;
}

static const struct troupe_actor_type slow_type = {
    .name = "slow", .data_count_max = 40000, .init_cb = note_slow, .receive_cb = ignore};

static void act_stop_slow(struct troupe_ctx *ctx, uint32_t who, uint64_t timeout_ns)
{
    (void)who;
    TROUPE_ASSERT(troupe_supervise_stop(ctx, top, slow, timeout_ns, note_answer, 0) == TROUPE_OK);
}

/* In the very turn in which it hears that its time is up. */
static enum troupe_verdict
try_again(struct troupe_ctx *ctx, void *state, const struct troupe_answer *answer, uint64_t cookie)
{
    (void)state;
    TROUPE_ASSERT(answer->status == TROUPE_EEXPIRED);
    if (++expired < 3) {
        TROUPE_ASSERT(troupe_supervise_stop(ctx, top, slow, MS, try_again, 0) == TROUPE_OK);
    } else {
        act_stop_slow(ctx, (uint32_t)cookie, 5000 * MS);
    }
    return TROUPE_CONTINUE;
}

static void act_stop_hastily(struct troupe_ctx *ctx, uint32_t who, uint64_t value)
{
    (void)who;
    (void)value;
    TROUPE_ASSERT(troupe_supervise_stop(ctx, top, slow, MS, try_again, 0) == TROUPE_OK);
}

static void who_waits_no_more_is_in_nobodys_way(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct troupe_child_spec child = {.type = &slow_type,
                                          .worker = (uint32_t)(seed % 3),
                                          .shutdown = TROUPE_SHUTDOWN_DRAIN,
                                          .shutdown_ns = UINT64_MAX};
        struct troupe_supervisor_spec spec = {.children = &child, .child_count = 1};
        world_open(seed, 3);
        expired = 0;
        top = world_supervisor((uint32_t)(seed / 3), &spec);
        watcher = world_puppet(1, WATCHER);
        troupe_ref other = world_puppet(2, OTHER);
        world_start();
        for (uint32_t i = 0; i < 35000; i++) {
            tell(slow, MSG_WORK, i);
        }
        make(watcher, act_stop_hastily, 0);
        while (expired < 3) {
            assert_true(trp_sim_step(world.sim));
        }
        for (uint32_t i = 0; i < 100; i++) {
            (void)trp_sim_step(world.sim);
        }
        assert_int_equal(watched()->answers, 0);
        make(other, act_stop_slow, 5000 * MS); /* one that does wait is */
        world_run_ms(1000);
        assert_int_equal(watched()->answers, 1);
        assert_int_equal(watched()->answer_statuses[0], TROUPE_OK);
        assert_int_equal(world.books[OTHER].answers, 1);
        assert_int_equal(world.books[OTHER].answer_statuses[0], TROUPE_EBUSY);
        world_close();
    }
}

/* --- what the next life inherits --- */

static void compute(void *payload)
{
    uint64_t value = 77;
    memcpy(payload, &value, sizeof(value));
}

static void act_offload_and_die(struct troupe_ctx *ctx, uint32_t who, uint64_t value)
{
    (void)who;
    (void)value;
    struct troupe_msg *msg = troupe_msg_new(ctx, MSG_WORK, 2 * sizeof(uint64_t));
    TROUPE_ASSERT(msg != NULL);
    memset(troupe_msg_data(msg), 0, 2 * sizeof(uint64_t));
    TROUPE_ASSERT(troupe_offload(ctx, &msg, compute) == TROUPE_OK);
    troupe_kill(ctx, troupe_self(ctx));
}

static void the_result_of_an_offload_finds_the_next_life(void **state)
{
    struct troupe_child_spec child = child_of(A, 0, TROUPE_PERMANENT);
    struct troupe_supervisor_spec spec = {.intensity_max = 1, .children = &child, .child_count = 1};
    (void)state;
    world_open(1, 1);
    (void)world_supervisor(0, &spec);
    world_start();
    make(world.books[A].ref, act_offload_and_die, 0);
    world_run_ms(10);
    assert_int_equal(world.books[A].lives, 2);
    assert_int_equal(world.books[A].logged, 1);
    assert_int_equal(world.books[A].log[0], 77);
    world_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_never_started_is_taken_out_by_name),
        cmocka_unit_test(bad_names_are_refused),
        cmocka_unit_test(who_waits_no_more_is_in_nobodys_way),
        cmocka_unit_test(the_result_of_an_offload_finds_the_next_life),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
