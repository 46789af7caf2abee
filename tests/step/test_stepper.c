/* The stepper itself: it finds what it must find, and tries as many interleavings as there are. */

#include "tests/cmocka.h"

#include "mailbox/atomic.h"
#include "tests/step/stepper.h"

#include <string.h>
#include <troupe/assert.h>

static uint64_t words[4];
static uint64_t seen[STEP_THREADS_MAX];
static uint32_t outcomes; /* set of (seen[0], seen[1]), one bit each */
static uint32_t visits;   /* states */

static void reset(void)
{
    memset(words, 0, sizeof(words));
    memset(seen, 0, sizeof(seen));
}

static void explore(struct step_report *report, const struct step_case *one, bool is_plain)
{
    struct step_options options = {.is_plain = is_plain, .is_quiet = true};
    outcomes = 0;
    visits = 0;
    step_explore(report, one, &options);
}

/* --- how many --- */

static void three_on_one_word(void)
{
    for (int i = 0; i < 3; i++) {
        trp_faa_u64(&words[0], 1);
    }
}

static void three_on_another(void)
{
    for (int i = 0; i < 3; i++) {
        trp_faa_u64(&words[1], 1);
    }
}

static void three_looks(void)
{
    for (int i = 0; i < 3; i++) {
        seen[step_thread()] += trp_load_relaxed_u64(&words[0]);
    }
}

static void every_interleaving_is_tried_once(void **state)
{
    (void)state;
    const struct step_case two = {.name = "two",
                                  .thread_count = 2,
                                  .threads = {three_on_one_word, three_on_one_word},
                                  .setup = reset};
    const struct step_case three = {
        .name = "three",
        .thread_count = 3,
        .threads = {three_on_one_word, three_on_one_word, three_on_one_word},
        .setup = reset};
    struct step_report report;
    for (int is_plain = 0; is_plain < 2; is_plain++) {
        explore(&report, &two, is_plain != 0);
        assert_false(report.has_failed);
        assert_int_equal(report.executions, 20); /* 6! / (3! 3!) */
        assert_int_equal(report.repeats, 0);
        assert_int_equal(report.steps_max, 6);
        explore(&report, &three, is_plain != 0);
        assert_int_equal(report.executions, 1680); /* 9! / (3! 3! 3!) */
    }
}

static void independent_steps_are_not_swapped(void **state)
{
    (void)state;
    struct step_case one = {.name = "independent",
                            .thread_count = 2,
                            .threads = {three_on_one_word, three_on_another},
                            .setup = reset};
    struct step_report report;
    explore(&report, &one, true);
    assert_int_equal(report.executions, 20);
    explore(&report, &one, false);
    assert_int_equal(report.executions, 1);
    one.threads[0] = three_looks;
    one.threads[1] = three_looks;
    explore(&report, &one, false);
    assert_int_equal(report.executions, 1);
    one.threads[1] = three_on_one_word;
    explore(&report, &one, false);
    assert_int_equal(report.executions, 20);
}

static bool is_first(const void *word)
{
    return word == &words[0];
}

static void hints_are_no_steps(void **state)
{
    (void)state;
    struct step_case one = {.name = "hints",
                            .thread_count = 2,
                            .threads = {three_on_one_word, three_on_one_word},
                            .setup = reset,
                            .is_hint = is_first};
    struct step_report report;
    explore(&report, &one, false);
    assert_int_equal(report.executions, 1);
    assert_int_equal(report.steps_max, 0);
}

/* --- what it finds --- */

static void lose_an_update(void)
{
    uint64_t value = trp_load_relaxed_u64(&words[0]);
    trp_store_relaxed_u64(&words[0], value + 1);
}

static void both_counted(void)
{
    STEP_CHECK(trp_load_relaxed_u64(&words[0]) == 2);
}

static const struct step_case lost_update = {.name = "lost_update",
                                             .thread_count = 2,
                                             .threads = {lose_an_update, lose_an_update},
                                             .setup = reset,
                                             .check = both_counted};

static void a_lost_update_is_found_and_replayed(void **state)
{
    (void)state;
    struct step_report report;
    explore(&report, &lost_update, true);
    assert_true(report.has_failed);
    explore(&report, &lost_update, false);
    assert_true(report.has_failed);
    assert_int_equal(report.schedule_count, 4);
    struct step_report again;
    struct step_options options = {
        .replay = report.schedule, .replay_count = report.schedule_count, .is_quiet = true};
    step_explore(&again, &lost_update, &options);
    assert_true(again.has_failed);
    assert_string_equal(again.failure, report.failure);
    const uint8_t harmless[] = {0, 0, 1, 1};
    options.replay = harmless;
    options.replay_count = 4;
    step_explore(&again, &lost_update, &options);
    assert_false(again.has_failed);
    assert_int_equal(again.executions, 1);
}

static void say_and_look(void)
{
    uint32_t me = step_thread();
    trp_store_relaxed_u64(&words[me], 1);
    seen[me] = trp_load_relaxed_u64(&words[1 - me]);
}

static void note_outcome(void)
{
    outcomes |= 1u << (seen[0] * 2 + seen[1]);
}

static void note_visit(void)
{
    visits |= 1u << (words[0] * 2 + words[1]);
}

static void outcomes_are_those_of_sequential_consistency(void **state)
{
    (void)state;
    const struct step_case one = {.name = "say_and_look",
                                  .thread_count = 2,
                                  .threads = {say_and_look, say_and_look},
                                  .setup = reset,
                                  .invariant = note_visit,
                                  .check = note_outcome};
    struct step_report report;
    for (int is_plain = 0; is_plain < 2; is_plain++) {
        explore(&report, &one, is_plain != 0);
        assert_int_equal(outcomes, 1u << 1 | 1u << 2 | 1u << 3);
        assert_int_equal(visits, 0xF);
    }
    assert_int_equal(report.executions, 6);
}

static bool is_set(const void *word)
{
    return *(const uint64_t *)word != 0;
}

static void wait_for_other(void)
{
    step_wait(&words[1 - step_thread()], is_set);
    trp_store_relaxed_u64(&words[step_thread()], 1);
}

static void set_then_wait(void)
{
    trp_store_relaxed_u64(&words[step_thread()], 1);
    step_wait(&words[1 - step_thread()], is_set);
}

static void waiting_works_and_waiting_in_vain_is_found(void **state)
{
    (void)state;
    struct step_case one = {.name = "wait",
                            .thread_count = 2,
                            .threads = {wait_for_other, set_then_wait},
                            .setup = reset};
    struct step_report report;
    explore(&report, &one, false);
    assert_false(report.has_failed);
    assert_int_equal(report.executions, 1);
    one.threads[1] = wait_for_other;
    explore(&report, &one, false);
    assert_true(report.has_failed);
    assert_non_null(strstr(report.failure, "in vain"));
}

static void spin_for_other(void)
{
    while (trp_load_relaxed_u64(&words[0]) == 0) {
    }
}

static void assert_something(void)
{
    TROUPE_ASSERT(trp_load_relaxed_u64(&words[0]) != 3);
}

static void remember(void)
{
    static uint32_t runs; /* the mistake */
    trp_faa_u64(&words[0], 1);
    if (++runs % 2 == 1) {
        trp_faa_u64(&words[0], 1);
    }
}

static void other_mistakes_are_found(void **state)
{
    (void)state;
    struct step_case one = {.name = "mistake",
                            .thread_count = 2,
                            .threads = {three_on_another, spin_for_other},
                            .setup = reset};
    struct step_report report;
    explore(&report, &one, false);
    assert_true(report.has_failed);
    assert_non_null(strstr(report.failure, "spin"));
    one.threads[0] = three_on_one_word;
    one.threads[1] = assert_something;
    explore(&report, &one, false);
    assert_true(report.has_failed);
    assert_non_null(strstr(report.failure, "assertion"));
    one.threads[1] = remember;
    explore(&report, &one, false);
    assert_true(report.has_failed);
    assert_non_null(strstr(report.failure, "repeat itself"));
}

/* --- bounded --- */

static void look_twice(void)
{
    seen[0] = trp_load_relaxed_u64(&words[0]);
    seen[1] = trp_load_relaxed_u64(&words[0]);
}

static void count_two(void)
{
    trp_faa_u64(&words[0], 1);
    trp_faa_u64(&words[0], 1);
}

static void not_one_and_two(void)
{
    STEP_CHECK(seen[0] != 1 || seen[1] != 2);
}

static void bounds_bound(void **state)
{
    (void)state;
    /* 0 sees 1, then 2: 1 is preempted, and so is 0 */
    struct step_case one = {.name = "bounds",
                            .thread_count = 2,
                            .threads = {look_twice, count_two},
                            .setup = reset,
                            .check = not_one_and_two};
    struct step_report report;
    explore(&report, &one, false);
    assert_true(report.has_failed);
    one.preemptions_max = 1;
    explore(&report, &one, false);
    assert_false(report.has_failed);
    uint64_t bounded = report.executions;
    one.preemptions_max = 2;
    explore(&report, &one, false);
    assert_true(report.has_failed);
    one.check = NULL;
    one.preemptions_max = 0;
    explore(&report, &one, true);
    assert_int_equal(report.executions, 6);
    assert_true(bounded < 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_interleaving_is_tried_once),
        cmocka_unit_test(independent_steps_are_not_swapped),
        cmocka_unit_test(hints_are_no_steps),
        cmocka_unit_test(a_lost_update_is_found_and_replayed),
        cmocka_unit_test(outcomes_are_those_of_sequential_consistency),
        cmocka_unit_test(waiting_works_and_waiting_in_vain_is_found),
        cmocka_unit_test(other_mistakes_are_found),
        cmocka_unit_test(bounds_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
