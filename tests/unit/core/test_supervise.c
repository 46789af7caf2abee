/* One supervisor and its children: restarts, policies, intensity, backoff, strategies. */

#include "tests/unit/core/puppet.h"

#include <string.h>
#include <troupe/assert.h>

#define SEEDS 30u
#define MS    1000000ull

enum { A = 0, B = 1, C = 2, D = 3, WATCHER = 10 };

static troupe_ref supervisor;
static troupe_ref watcher;

/* A supervisor on worker 0 with these children, and somebody who watches it, on worker 1. */
static void open_world(uint64_t seed, const struct troupe_supervisor_spec *spec)
{
    world_open(seed, 3);
    supervisor = world_supervisor(0, spec);
    watcher = world_puppet(1, WATCHER);
    world_start();
    make(watcher, act_monitor, supervisor);
    world_run_ms(5);
}

static troupe_ref ref_of(uint32_t who)
{
    return world.books[who].ref;
}

static uint32_t lives(uint32_t who)
{
    return world.books[who].lives;
}

/* --- one child --- */

static void a_restart_keeps_ref_and_mailbox(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct troupe_child_spec child = child_of(A, (uint32_t)(seed % 3), TROUPE_PERMANENT);
        struct troupe_supervisor_spec spec = {.intensity_max = 3,
                                              .backoff_min_ns = seed % 2 * 20 * MS,
                                              .children = &child,
                                              .child_count = 1};
        open_world(seed, &spec);
        troupe_ref ref = ref_of(A);
        make(watcher, act_monitor, ref);
        world_run_ms(5);
        for (uint64_t i = 1; i <= 20; i++) {
            tell(ref, i == 8 ? MSG_FAIL : MSG_WORK, i);
        }
        world_run_ms(5);
        tell(ref, MSG_WORK, 21);
        world_run_ms(50);
        assert_int_equal(lives(A), 2);
        assert_int_equal(world.books[A].terminates, 1);
        assert_true(ref_of(A) == ref);
        assert_int_equal(world.books[A].logged, 20);
        for (uint32_t i = 0; i < 20; i++) {
            assert_int_equal(world.books[A].log[i], i < 7 ? i + 1 : i + 2);
        }
        assert_int_equal(world.drops[TROUPE_DROP_FAILED], 1);
        assert_int_equal(world.drops[TROUPE_DROP_STOPPED], 0);
        assert_int_equal(world.books[WATCHER].downs, 0);
        make(watcher, act_stop, supervisor);
        world_run_ms(10);
        assert_int_equal(world.books[WATCHER].downs, 2);
        world_close();
    }
}

static void what_comes_meanwhile_waits(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct troupe_child_spec child = child_of(A, (uint32_t)(seed % 3), TROUPE_PERMANENT);
        struct troupe_supervisor_spec spec = {
            .intensity_max = 3, .backoff_min_ns = 100 * MS, .children = &child, .child_count = 1};
        open_world(seed, &spec);
        tell(ref_of(A), MSG_FAIL, 0);
        world_run_ms(20);
        for (uint64_t i = 1; i <= 9; i++) {
            tell(ref_of(A), MSG_WORK, i);
        }
        world_run_ms(20);
        assert_int_equal(lives(A), 1);
        assert_int_equal(world.books[A].logged, 0);
        world_run_ms(100);
        assert_int_equal(lives(A), 2);
        assert_int_equal(world.books[A].logged, 9);
        world_close();
    }
}

static void act_ask(struct troupe_ctx *ctx, uint32_t who, uint64_t type)
{
    uint64_t order[2] = {who + 100, 0};
    TROUPE_ASSERT(troupe_ask(ctx, ref_of(A), (uint16_t)type, troupe_span(order, sizeof(order)),
                             2000 * MS, note_answer, 0) == TROUPE_OK);
}

static void askers_of_queued_messages_are_answered(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct troupe_child_spec child = child_of(A, (uint32_t)(seed % 3), TROUPE_PERMANENT);
        struct troupe_supervisor_spec spec = {
            .intensity_max = 3, .backoff_min_ns = 50 * MS, .children = &child, .child_count = 1};
        open_world(seed, &spec);
        make(watcher, act_ask, MSG_QUESTION);
        make(watcher, act_ask, MSG_FAIL);
        make(watcher, act_ask, MSG_QUESTION);
        make(watcher, act_ask, MSG_QUESTION);
        world_run_ms(200);
        const struct book *book = &world.books[WATCHER];
        uint32_t unanswered = 0;
        assert_int_equal(book->answers, 4);
        for (uint32_t i = 0; i < 4; i++) {
            if (book->answer_statuses[i] == TROUPE_ENOREPLY) {
                unanswered++;
            } else {
                assert_int_equal(book->answer_statuses[i], TROUPE_OK);
                assert_int_equal(book->answer_values[i], WATCHER + 100);
            }
        }
        assert_int_equal(unanswered, 1);
        assert_int_equal(world.books[A].logged, 3);
        world_close();
    }
}

/* --- policies --- */

enum cause { BY_FAILING, BY_QUITTING, BY_STOP, BY_DRAIN, BY_KILL, CAUSES };

static void cause_end(enum cause cause)
{
    switch (cause) {
    case BY_FAILING:
        tell(ref_of(A), MSG_FAIL, 0);
        break;
    case BY_QUITTING:
        tell(ref_of(A), MSG_QUIT, 0);
        break;
    case BY_STOP:
        make(watcher, act_stop, ref_of(A));
        break;
    case BY_DRAIN:
        make(watcher, act_drain, ref_of(A));
        break;
    case BY_KILL:
    case CAUSES:
        make(watcher, act_kill, ref_of(A));
        break;
    }
}

static void each_policy_after_each_end(void **state)
{
    (void)state;
    for (uint32_t run = 0; run < 3 * CAUSES * 3; run++) {
        enum troupe_restart restart = (enum troupe_restart)(run % 3);
        enum cause cause = (enum cause)(run / 3 % CAUSES);
        struct troupe_child_spec child = child_of(A, run / 3 / CAUSES, restart);
        struct troupe_supervisor_spec spec = {
            .intensity_max = 3, .children = &child, .child_count = 1};
        open_world(run + 1, &spec);
        make(watcher, act_monitor, ref_of(A));
        world_run_ms(5);
        cause_end(cause);
        world_run_ms(10);
        bool is_abnormal = cause == BY_FAILING || cause == BY_KILL;
        bool is_restarted =
            restart == TROUPE_PERMANENT || (restart == TROUPE_TRANSIENT && is_abnormal);
        assert_int_equal(lives(A), is_restarted ? 2 : 1);
        assert_int_equal(world.books[A].terminates, cause == BY_KILL ? 0 : 1);
        assert_int_equal(world.books[WATCHER].downs, is_restarted ? 0 : 1);
        if (!is_restarted) {
            assert_int_equal(world.books[WATCHER].last_down.reason,
                             cause == BY_FAILING ? TROUPE_DOWN_FAILED
                             : cause == BY_KILL  ? TROUPE_DOWN_KILLED
                                                 : TROUPE_DOWN_NORMAL);
        } else {
            /* and once more: the verb works in the next life too */
            cause_end(cause);
            world_run_ms(10);
            assert_int_equal(lives(A), 3);
        }
        world_close();
    }
}

static void a_verb_finds_a_child_that_waits(void **state)
{
    (void)state;
    for (uint32_t run = 0; run < 3 * 3 * 2; run++) {
        enum troupe_restart restart = run % 2 == 0 ? TROUPE_PERMANENT : TROUPE_TRANSIENT;
        enum cause cause = (enum cause)(BY_STOP + run / 2 % 3);
        struct troupe_child_spec child = child_of(A, run / 6, restart);
        struct troupe_supervisor_spec spec = {
            .intensity_max = 3, .backoff_min_ns = 50 * MS, .children = &child, .child_count = 1};
        open_world(run + 1, &spec);
        make(watcher, act_monitor, ref_of(A));
        tell(ref_of(A), MSG_FAIL, 0);
        world_run_ms(10);
        cause_end(cause);
        world_run_ms(100);
        bool is_over = restart == TROUPE_TRANSIENT && cause != BY_KILL;
        assert_int_equal(lives(A), is_over ? 1 : 2);
        assert_int_equal(world.books[WATCHER].downs, is_over ? 1 : 0);
        world_close();
    }
}

/* --- intensity --- */

static void intensity_trips_at_one_more(void **state)
{
    (void)state;
    for (uint32_t most = 0; most <= 5; most++) {
        struct troupe_child_spec children[] = {child_of(A, 1, TROUPE_PERMANENT),
                                               child_of(B, 2, TROUPE_PERMANENT)};
        struct troupe_supervisor_spec spec = {
            .intensity_max = most, .period_ns = 1000 * MS, .children = children, .child_count = 2};
        open_world(most + 1, &spec);
        make(watcher, act_monitor, ref_of(A));
        make(watcher, act_monitor, ref_of(B));
        for (uint32_t i = 0; i < most; i++) {
            tell(ref_of(i % 2 == 0 ? A : B), MSG_FAIL, 0);
            world_run_ms(20);
        }
        assert_int_equal(lives(A) + lives(B), 2 + most);
        assert_int_equal(world.books[WATCHER].downs, 0);
        tell(ref_of(B), MSG_FAIL, 0);
        world_run_ms(20);
        assert_int_equal(lives(A) + lives(B), 2 + most);
        assert_int_equal(world.books[WATCHER].downs, 3);
        assert_true(world.books[WATCHER].last_down.ref == supervisor);
        assert_int_equal(world.books[WATCHER].last_down.reason, TROUPE_DOWN_FAILED);
        /* the youngest went first */
        assert_int_equal(world.events[world.event_count - 1].who, A);
        assert_int_equal(world.events[world.event_count - 1].reason, TROUPE_DOWN_NORMAL);
        world_close();
    }
}

static void restarts_over_a_long_time_do_not_trip(void **state)
{
    (void)state;
    struct troupe_child_spec child = child_of(A, 1, TROUPE_PERMANENT);
    struct troupe_supervisor_spec spec = {
        .intensity_max = 2, .period_ns = 100 * MS, .children = &child, .child_count = 1};
    open_world(7, &spec);
    for (uint32_t i = 0; i < 30; i++) {
        tell(ref_of(A), MSG_FAIL, 0);
        world_run_ms(60);
    }
    assert_int_equal(lives(A), 31);
    assert_int_equal(world.books[WATCHER].downs, 0);
    world_close();
}

/* --- backoff --- */

/* How long the child waited for its newest life. */
static uint64_t newest_wait_ns(void)
{
    uint32_t i = world.event_count - 1;
    assert_int_equal(world.events[i].kind, EVENT_INIT);
    assert_int_equal(world.events[i - 1].kind, EVENT_TERMINATE);
    return world.events[i].at_ns - world.events[i - 1].at_ns;
}

static void assert_wait(uint64_t base_ms)
{
    /* jitter of 40 %; a timer fires up to a tick and a slow step late */
    uint64_t wait_ns = newest_wait_ns();
    assert_in_range(wait_ns, base_ms * MS / 100 * 60, base_ms * MS + 4 * MS);
}

static void backoff_grows_and_resets_after_a_stable_run(void **state)
{
    static const uint64_t base_ms[] = {20, 40, 80, 160, 200, 200};
    uint64_t shortest = UINT64_MAX;
    uint64_t longest = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct troupe_child_spec child = child_of(A, (uint32_t)(seed % 3), TROUPE_PERMANENT);
        struct troupe_supervisor_spec spec = {.intensity_max = 100,
                                              .backoff_min_ns = 20 * MS,
                                              .backoff_max_ns = 200 * MS,
                                              .jitter_percent = 40,
                                              .stable_ns = 1000 * MS,
                                              .children = &child,
                                              .child_count = 1};
        open_world(seed, &spec);
        for (uint32_t i = 0; i < 6; i++) {
            tell(ref_of(A), MSG_FAIL, 0);
            world_run_ms(400); /* each start succeeds and runs for a while: that changes nothing */
            assert_wait(base_ms[i]);
        }
        uint64_t wait_ns = newest_wait_ns();
        shortest = wait_ns < shortest ? wait_ns : shortest;
        longest = wait_ns > longest ? wait_ns : longest;
        world_run_ms(1500);
        tell(ref_of(A), MSG_FAIL, 0);
        world_run_ms(400);
        assert_wait(20);
        tell(ref_of(A), MSG_FAIL, 0);
        world_run_ms(400);
        assert_wait(40);
        world_close();
    }
    assert_true(longest - shortest > 30 * MS); /* of 80 that the jitter may take off */
}

/* --- init --- */

static void a_failing_init_is_one_more_failure(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        bool is_first = seed % 2 == 0;
        uint32_t failures = 1 + (uint32_t)(seed % 5);
        struct troupe_child_spec children[] = {child_of(A, (uint32_t)(seed % 3), TROUPE_TRANSIENT),
                                               child_of(B, 0, TROUPE_PERMANENT)};
        struct troupe_supervisor_spec spec = {.strategy = (enum troupe_strategy)(seed % 3),
                                              .intensity_max = 4,
                                              .backoff_min_ns = seed % 4 * MS,
                                              .children = children,
                                              .child_count = 2};
        world_open(seed, 3);
        supervisor = world_supervisor(0, &spec);
        watcher = world_puppet(1, WATCHER);
        if (is_first) {
            world.books[A].inits_to_fail = failures;
        }
        world_start();
        make(watcher, act_monitor, supervisor);
        world_run_ms(100);
        if (!is_first) {
            world.books[A].inits_to_fail = failures - 1;
            tell(ref_of(A), MSG_FAIL, 0);
            tell(ref_of(A), MSG_WORK, 5);
            world_run_ms(100);
        }
        bool is_over = failures > 4;
        assert_int_equal(lives(A), (is_first ? 0 : 1) + (is_over ? 0 : 1));
        assert_int_equal(world.books[WATCHER].downs, is_over ? 1 : 0);
        assert_int_equal(world.books[A].logged, is_first || is_over ? 0 : 1);
        if (!is_over) {
            assert_in_range(lives(B), 1, 5);
        }
        world_close();
    }
}

static void a_temporary_child_that_cannot_start_is_left_out(void **state)
{
    (void)state;
    for (uint32_t strategy = 0; strategy < 3; strategy++) {
        struct troupe_child_spec children[] = {child_of(A, 1, TROUPE_TEMPORARY),
                                               child_of(B, 2, TROUPE_PERMANENT)};
        struct troupe_supervisor_spec spec = {
            .strategy = (enum troupe_strategy)strategy, .children = children, .child_count = 2};
        world_open(strategy, 3);
        supervisor = world_supervisor(0, &spec);
        world.books[A].inits_to_fail = 1;
        world_start();
        world_run_ms(10);
        assert_int_equal(lives(A), 0);
        assert_int_equal(lives(B), 1);
        world_close();
    }
}

/* --- strategies --- */

static const struct event *event_after(uint32_t *at, enum event_kind kind)
{
    while (*at < world.event_count) {
        const struct event *event = &world.events[(*at)++];
        if (event->kind == kind) {
            return event;
        }
    }
    fail_msg("no such event");
    return NULL;
}

static void check_group(enum troupe_strategy strategy, uint32_t failing, uint32_t since)
{
    uint32_t first = strategy == TROUPE_ONE_FOR_ALL    ? A
                     : strategy == TROUPE_REST_FOR_ONE ? failing
                                                       : failing;
    uint32_t last = strategy == TROUPE_ONE_FOR_ONE ? failing : D;
    uint32_t at = since;
    const struct event *event = event_after(&at, EVENT_TERMINATE);
    assert_int_equal(event->who, failing);
    assert_int_equal(event->reason, TROUPE_DOWN_FAILED);
    for (uint32_t who = last + 1; who-- > first;) {
        if (who != failing) {
            event = event_after(&at, EVENT_TERMINATE);
            assert_int_equal(event->who, who);
            assert_int_equal(event->reason, TROUPE_DOWN_NORMAL);
        }
    }
    for (uint32_t who = first; who <= last; who++) {
        assert_int_equal(event_after(&at, EVENT_INIT)->who, who);
    }
    assert_int_equal(at, world.event_count);
    for (uint32_t who = A; who <= D; who++) {
        assert_int_equal(lives(who), who >= first && who <= last ? 2 : 1);
    }
}

static void each_strategy_restarts_its_group_in_order(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 3 * 4 * 6; seed++) {
        enum troupe_strategy strategy = (enum troupe_strategy)(seed % 3);
        uint32_t failing = (uint32_t)(seed / 3 % 4);
        struct troupe_child_spec children[4];
        troupe_ref refs[4];
        for (uint32_t who = A; who <= D; who++) {
            children[who] = child_of(who, (uint32_t)((who + seed) % 3), TROUPE_PERMANENT);
        }
        struct troupe_supervisor_spec spec = {.strategy = strategy,
                                              .intensity_max = 1, /* a group counts once */
                                              .backoff_min_ns = seed % 2 * 30 * MS,
                                              .children = children,
                                              .child_count = 4};
        open_world(seed + 1, &spec);
        uint32_t at = 0;
        for (uint32_t who = A; who <= D; who++) {
            const struct event *event = event_after(&at, EVENT_INIT);
            if (event->who == WATCHER) {
                event = event_after(&at, EVENT_INIT);
            }
            assert_int_equal(event->who, who); /* started in order */
            refs[who] = ref_of(who);
            make(watcher, act_monitor, refs[who]);
        }
        uint32_t since = world.event_count;
        tell(refs[failing], MSG_FAIL, 0);
        for (uint64_t i = 1; i <= 3; i++) {
            for (uint32_t who = A; who <= D; who++) {
                tell(refs[who], MSG_WORK, i);
            }
            world_run_ms(10);
        }
        world_run_ms(50);
        check_group(strategy, failing, since);
        for (uint32_t who = A; who <= D; who++) {
            assert_true(ref_of(who) == refs[who]);
            assert_int_equal(world.books[who].logged, 3);
            assert_int_equal(world.books[who].log[2], 3);
        }
        assert_int_equal(world.books[WATCHER].downs, 0);
        world_close();
    }
}

static void temporary_siblings_are_ended(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct troupe_child_spec children[] = {child_of(A, 0, TROUPE_TRANSIENT),
                                               child_of(B, 1, TROUPE_TEMPORARY),
                                               child_of(C, 2, TROUPE_TRANSIENT)};
        struct troupe_supervisor_spec spec = {.strategy = TROUPE_ONE_FOR_ALL,
                                              .intensity_max = 2,
                                              .children = children,
                                              .child_count = 3};
        open_world(seed, &spec);
        tell(ref_of(seed % 2 == 0 ? A : C), MSG_FAIL, 0);
        world_run_ms(20);
        assert_int_equal(lives(A), 2);
        assert_int_equal(lives(B), 1);
        assert_int_equal(world.books[B].terminates, 1);
        assert_int_equal(lives(C), 2);
        world_close();
    }
}

/* Several of a group fail at once, and again while the group is being restarted. */
static void failures_during_a_recovery_join_it(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4 * SEEDS; seed++) {
        struct troupe_child_spec children[4];
        for (uint32_t who = A; who <= D; who++) {
            children[who] = child_of(who, (uint32_t)((who + seed) % 3), TROUPE_PERMANENT);
        }
        struct troupe_supervisor_spec spec = {.strategy = seed % 2 == 0 ? TROUPE_ONE_FOR_ALL
                                                                        : TROUPE_REST_FOR_ONE,
                                              .intensity_max = 20,
                                              .backoff_min_ns = seed % 3 * 2 * MS,
                                              .children = children,
                                              .child_count = 4};
        open_world(seed, &spec);
        for (uint64_t i = 0; i < 12; i++) {
            uint32_t who = (uint32_t)((i * 7 + seed * 5) % 4);
            tell(ref_of(who), i % 2 == 0 ? MSG_FAIL : MSG_WORK, i);
            if ((i + seed) % 3 == 0) {
                world_run_ms((i + seed) % 4);
            }
        }
        world_run_ms(200);
        uint32_t logged = 0;
        for (uint32_t who = A; who <= D; who++) {
            assert_int_equal(lives(who), world.books[who].terminates + 1);
            logged += world.books[who].logged;
        }
        assert_int_equal(logged, 6);
        assert_int_equal(world.drops[TROUPE_DROP_FAILED], 6);
        assert_int_equal(world.books[WATCHER].downs, 0);
        world_close();
    }
}

/* --- links and memory --- */

static void links_feel_a_failure_that_monitors_do_not(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct troupe_child_spec child = child_of(A, (uint32_t)(seed % 3), TROUPE_PERMANENT);
        struct troupe_supervisor_spec spec = {
            .intensity_max = 3, .children = &child, .child_count = 1};
        open_world(seed, &spec);
        make(watcher, act_trap, MSG_EXIT);
        make(watcher, act_monitor, ref_of(A));
        make(seed % 2 == 0 ? watcher : ref_of(A), act_link, seed % 2 == 0 ? ref_of(A) : watcher);
        world_run_ms(5);
        tell(ref_of(A), MSG_FAIL, 0);
        world_run_ms(10);
        assert_int_equal(world.books[WATCHER].exits, 1);
        assert_int_equal(world.books[WATCHER].downs, 0);
        tell(ref_of(A), MSG_FAIL, 0); /* the next life has no links */
        world_run_ms(10);
        assert_int_equal(world.books[WATCHER].exits, 1);
        assert_int_equal(lives(A), 3);
        world_close();
    }
}

static void a_restart_needs_no_memory(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct troupe_child_spec children[] = {child_of(A, (uint32_t)(seed % 3), TROUPE_PERMANENT),
                                               child_of(B, 0, TROUPE_PERMANENT)};
        struct troupe_supervisor_spec spec = {.strategy = (enum troupe_strategy)(seed % 3),
                                              .intensity_max = 20,
                                              .backoff_min_ns = MS,
                                              .children = children,
                                              .child_count = 2};
        troupe_ref hoarders[3];
        world_open_with(seed, 3, 4u << 20);
        supervisor = world_supervisor(0, &spec);
        for (uint32_t i = 0; i < 3; i++) {
            hoarders[i] = world_puppet(i, 5 + i);
        }
        world_start();
        for (uint32_t i = 0; i < 3; i++) {
            make(hoarders[i], act_hoard, 0);
        }
        world_run_ms(10);
        for (uint32_t i = 0; i < 10; i++) {
            tell(ref_of(A), MSG_FAIL, 0);
            world_run_ms(20);
        }
        assert_int_equal(lives(A), 11);
        world_close();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_restart_keeps_ref_and_mailbox),
        cmocka_unit_test(what_comes_meanwhile_waits),
        cmocka_unit_test(askers_of_queued_messages_are_answered),
        cmocka_unit_test(each_policy_after_each_end),
        cmocka_unit_test(a_verb_finds_a_child_that_waits),
        cmocka_unit_test(intensity_trips_at_one_more),
        cmocka_unit_test(restarts_over_a_long_time_do_not_trip),
        cmocka_unit_test(backoff_grows_and_resets_after_a_stable_run),
        cmocka_unit_test(a_failing_init_is_one_more_failure),
        cmocka_unit_test(a_temporary_child_that_cannot_start_is_left_out),
        cmocka_unit_test(each_strategy_restarts_its_group_in_order),
        cmocka_unit_test(temporary_siblings_are_ended),
        cmocka_unit_test(failures_during_a_recovery_join_it),
        cmocka_unit_test(links_feel_a_failure_that_monitors_do_not),
        cmocka_unit_test(a_restart_needs_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
