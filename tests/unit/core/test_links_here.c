/*
 * Links and monitors with actors of the same worker, which are there at once; with actors that wait
 * for their restart; and with so many that nothing may walk over all of them.
 */

#include "tests/unit/core/puppet.h"

#include <stdlib.h>
#include <troupe/assert.h>

#define SEEDS 20u
#define MS    1000000ull

enum { A = 0, B = 1, WATCHER = 10 };

static troupe_ref ref_a;
static troupe_ref ref_b;

static const struct book *book_of(uint32_t who)
{
    return &world.books[who];
}

/* --- ended before the relation is made --- */

/* What ends an actor whose end is on its way when the other one asks for the relation. */
static void (*const verbs[])(struct troupe_ctx *ctx, troupe_ref ref) = {troupe_stop, troupe_kill};
static const enum troupe_down_reason reasons[] = {TROUPE_DOWN_NORMAL, TROUPE_DOWN_KILLED};

static void act_end_then_link(struct troupe_ctx *ctx, uint32_t who, uint64_t verb)
{
    (void)who;
    verbs[verb](ctx, ref_b);
    TROUPE_ASSERT(troupe_link(ctx, ref_b) == TROUPE_OK);
    TROUPE_ASSERT(troupe_monitor(ctx, ref_b, MSG_DOWN, 0, NULL) == TROUPE_OK);
}

static void the_end_that_was_under_way_is_the_reason(void **state)
{
    (void)state;
    for (uint32_t verb = 0; verb < 2; verb++) {
        world_open(1, 1);
        ref_a = world_puppet(0, A);
        ref_b = world_puppet(0, B);
        world_start();
        make(ref_a, act_trap, MSG_EXIT);
        make(ref_a, act_end_then_link, verb);
        world_run_ms(5);
        assert_int_equal(book_of(A)->exits, 1);
        assert_int_equal(book_of(A)->last_exit.reason, reasons[verb]);
        assert_int_equal(book_of(A)->downs, 1);
        assert_int_equal(book_of(A)->last_down.reason, reasons[verb]);
        world_close();
    }
}

static uint32_t init_verb;

static enum troupe_status end_itself(struct troupe_ctx *ctx, void *state, const void *arg)
{
    (void)state;
    (void)arg;
    verbs[init_verb](ctx, troupe_self(ctx));
    return TROUPE_OK;
}

static enum troupe_verdict ignore(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)ctx;
    (void)state;
    (void)msg;
    return TROUPE_CONTINUE;
}

static const struct troupe_actor_type mayfly_type = {
    .name = "mayfly", .init_cb = end_itself, .receive_cb = ignore};

static void act_spawn_mayfly(struct troupe_ctx *ctx, uint32_t who, uint64_t verb)
{
    troupe_ref ref;
    (void)who;
    init_verb = (uint32_t)verb;
    TROUPE_ASSERT(troupe_spawn_link(ctx, &ref, &mayfly_type, NULL) == TROUPE_OK);
}

static void a_child_that_ends_in_its_init_ends_linked(void **state)
{
    (void)state;
    for (uint32_t verb = 0; verb < 2; verb++) {
        for (uint32_t is_trapping = 0; is_trapping < 2; is_trapping++) {
            world_open(1, 1);
            ref_a = world_puppet(0, A);
            world_start();
            if (is_trapping != 0) {
                make(ref_a, act_trap, MSG_EXIT);
            }
            make(ref_a, act_spawn_mayfly, verb);
            world_run_ms(5);
            bool is_felt = is_trapping == 0 && reasons[verb] == TROUPE_DOWN_KILLED;
            assert_int_equal(book_of(A)->terminates, is_felt ? 1 : 0);
            assert_int_equal(book_of(A)->exits, is_trapping);
            assert_int_equal(book_of(A)->last_exit.reason,
                             is_trapping != 0 ? reasons[verb] : TROUPE_DOWN_NORMAL);
            world_close();
        }
    }
}

/* --- waiting for a restart --- */

/* A is a child that waits 50 ms for its restart; the watcher is beside it or elsewhere. */
static void open_suspended(uint64_t seed, act_fn verb)
{
    struct troupe_child_spec child = child_of(A, 0, TROUPE_PERMANENT);
    struct troupe_supervisor_spec spec = {
        .intensity_max = 9, .backoff_min_ns = 50 * MS, .children = &child, .child_count = 1};
    world_open(seed, 2);
    (void)world_supervisor((uint32_t)(seed / 2 % 2), &spec);
    ref_b = world_puppet((uint32_t)(seed % 2), WATCHER);
    world_start();
    ref_a = book_of(A)->ref;
    make(ref_b, act_trap, MSG_EXIT);
    make(ref_b, verb, ref_a);
    world_run_ms(10);
    assert_int_equal(book_of(A)->lives, 1);
}

static void a_link_with_who_waits_ends_at_once(void **state)
{
    static const act_fn acts[] = {act_stop, act_kill};
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        open_suspended(seed, acts[seed / 4 % 2]);
        make(ref_b, act_link, ref_a);
        world_run_ms(10);
        assert_int_equal(book_of(A)->lives, 1);
        assert_int_equal(book_of(WATCHER)->exits, 1);
        assert_int_equal(book_of(WATCHER)->last_exit.reason, reasons[seed / 4 % 2]);
        assert_true(book_of(WATCHER)->last_exit.ref == ref_a);
        world_run_ms(60);
        assert_int_equal(book_of(A)->lives, 2);
        tell(ref_a, MSG_FAIL, 0); /* the next life has no links */
        world_run_ms(10);
        assert_int_equal(book_of(WATCHER)->exits, 1);
        world_run_ms(120);
        /* nor is anything left of it that would be in the way of one */
        make(seed % 3 == 0 ? ref_b : ref_a, act_link, seed % 3 == 0 ? ref_a : ref_b);
        world_run_ms(5);
        tell(ref_a, MSG_FAIL, 0);
        world_run_ms(5);
        assert_int_equal(book_of(WATCHER)->exits, 2);
        assert_int_equal(book_of(WATCHER)->last_exit.reason, TROUPE_DOWN_FAILED);
        world_close();
    }
}

static void a_link_with_who_failed_pulls_down(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        open_suspended(seed, act_kill);
        make(ref_b, act_trap, TROUPE_TRAP_NONE);
        make(ref_b, act_link, ref_a);
        world_run_ms(10);
        assert_int_equal(book_of(WATCHER)->terminates, 1);
        world_run_ms(60);
        assert_int_equal(book_of(A)->lives, 2);
        assert_int_equal(book_of(A)->terminates, 0); /* killed once, and linked to nobody */
        world_close();
    }
}

static void a_monitor_outlasts_the_wait(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        open_suspended(seed, act_kill);
        make(ref_b, act_monitor, ref_a);
        world_run_ms(60);
        assert_int_equal(book_of(A)->lives, 2);
        assert_int_equal(book_of(WATCHER)->downs, 0);
        world_close(); /* its supervisor ends with the pool */
        assert_in_range(book_of(WATCHER)->downs, 0, 1);
    }
}

/* --- many --- */

/* With a walk over all of them for each of them this would take hours. */
#define MANY 300000u

static struct {
    troupe_ref service;
    troupe_ref *refs;
    uint32_t count;
    enum tie { MONITORS_IT, LINKS_TO_IT, IS_LINKED_BY_IT } tie;
} many;

static enum troupe_status guest_begin(struct troupe_ctx *ctx, void *state, const void *arg)
{
    (void)state;
    (void)arg;
    return many.tie == MONITORS_IT   ? troupe_monitor(ctx, many.service, 1, 0, NULL)
           : many.tie == LINKS_TO_IT ? troupe_link(ctx, many.service)
                                     : TROUPE_OK;
}

static const struct troupe_actor_type guest_type = {
    .name = "guest", .init_cb = guest_begin, .receive_cb = ignore};

static void act_invite(struct troupe_ctx *ctx, uint32_t who, uint64_t count)
{
    (void)who;
    for (uint64_t i = 0; i < count; i++) {
        enum troupe_status status =
            many.tie == IS_LINKED_BY_IT
                ? troupe_spawn_link(ctx, &many.refs[many.count], &guest_type, NULL)
                : troupe_spawn(ctx, &many.refs[many.count], &guest_type, NULL);
        TROUPE_ASSERT(status == TROUPE_OK);
        many.count++;
    }
}

/* The oldest first: they hang at the far end of the list. */
static void act_dismiss(struct troupe_ctx *ctx, uint32_t who, uint64_t value)
{
    (void)who;
    (void)value;
    for (uint32_t i = 0; i < many.count; i++) {
        troupe_stop(ctx, many.refs[i]);
    }
}

/* Nobody watches it, it waits for nothing, and nothing waits for it. */
static bool is_alone(troupe_ref ref)
{
    struct trp_worker *worker = &world.pool->workers[troupe_ref_worker(ref)];
    const struct trp_cell *cell = trp_cells_find(&worker->cells, ref);
    return cell->extra.watchers == NULL && trp_lane_is_empty(&cell->control);
}

static void one_more_costs_the_same(enum tie tie)
{
    world_open_with(1, 1, 2048ull << 20);
    trp_sim_set_check_budget(world.sim, 0);
    many.service = world_puppet(0, A);
    ref_b = world_puppet(0, B);
    many.tie = tie;
    many.count = 0;
    many.refs = calloc(MANY, sizeof(many.refs[0]));
    assert_non_null(many.refs);
    world_start();
    make(many.service, act_trap, MSG_EXIT);
    make(tie == IS_LINKED_BY_IT ? many.service : ref_b, act_invite, MANY);
    world_run_ms(5);
    assert_int_equal(many.count, MANY);
    make(ref_b, act_dismiss, 0);
    uint32_t exits = tie == MONITORS_IT ? 0 : MANY;
    for (uint32_t i = 0; i < 600 && !(is_alone(many.service) && book_of(A)->exits == exits); i++) {
        world_run_ms(1000);
    }
    assert_true(is_alone(many.service));
    assert_int_equal(book_of(A)->exits, exits);
    assert_int_equal(book_of(A)->terminates, 0);
    world_close();
    free(many.refs);
}

static void watchers_end_one_by_one(void **state)
{
    (void)state;
    one_more_costs_the_same(MONITORS_IT);
}

static void linked_ones_end_one_by_one(void **state)
{
    (void)state;
    one_more_costs_the_same(LINKS_TO_IT);
    one_more_costs_the_same(IS_LINKED_BY_IT);
}

/* --- one link, or none --- */

/* A child whose init links to its parent, and may take that back. */
static bool is_unlinked_again;

static enum troupe_status link_parent(struct troupe_ctx *ctx, void *state, const void *arg)
{
    (void)state;
    (void)arg;
    TROUPE_ASSERT(troupe_link(ctx, ref_a) == TROUPE_OK);
    if (is_unlinked_again) {
        troupe_unlink(ctx, ref_a);
    }
    return TROUPE_OK;
}

static enum troupe_verdict
fail_when_told(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)ctx;
    (void)state;
    return msg->type == MSG_FAIL ? TROUPE_FAIL : TROUPE_CONTINUE;
}

static const struct troupe_actor_type clinging_type = {
    .name = "clinging", .init_cb = link_parent, .receive_cb = fail_when_told};

static void act_spawn_clinging(struct troupe_ctx *ctx, uint32_t who, uint64_t is_spawn_link)
{
    (void)who;
    if (is_spawn_link != 0) {
        TROUPE_ASSERT(troupe_spawn_link(ctx, &ref_b, &clinging_type, NULL) == TROUPE_OK);
    } else {
        TROUPE_ASSERT(troupe_spawn(ctx, &ref_b, &clinging_type, NULL) == TROUPE_OK);
        TROUPE_ASSERT(troupe_link(ctx, ref_b) == TROUPE_OK);
    }
}

static void exits_of_the_parent(uint32_t is_spawn_link)
{
    world_open(1, 1);
    ref_a = world_puppet(0, A);
    world_start();
    make(ref_a, act_trap, MSG_EXIT);
    make(ref_a, act_spawn_clinging, is_spawn_link);
    world_run_ms(5);
    tell(ref_b, MSG_FAIL, 0);
    world_run_ms(5);
    assert_int_equal(book_of(A)->exits, 1);
    assert_int_equal(book_of(A)->last_exit.reason, TROUPE_DOWN_FAILED);
    world_close();
}

static void a_child_that_links_its_parent_is_linked_once(void **state)
{
    (void)state;
    is_unlinked_again = false;
    exits_of_the_parent(0);
    exits_of_the_parent(1);
}

static void a_link_after_an_unlink_holds(void **state)
{
    (void)state;
    is_unlinked_again = true;
    exits_of_the_parent(0);
    exits_of_the_parent(1);
}

static void an_unlinked_one_feels_nothing(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 2; i++) {
        world_open(1, 1);
        ref_a = world_puppet(0, A);
        ref_b = world_puppet(0, B);
        world_start();
        make(ref_a, act_link, ref_b);
        make(i == 0 ? ref_a : ref_b, act_unlink, i == 0 ? ref_b : ref_a);
        world_run_ms(5);
        tell(ref_b, MSG_FAIL, 0);
        world_run_ms(5);
        assert_int_equal(book_of(B)->terminates, 1);
        assert_int_equal(book_of(A)->terminates, 0);
        world_close();
    }
}

/* --- the report of a drain --- */

static void a_quiet_tree_leaves_nothing_behind(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct troupe_child_spec children[8];
        for (uint32_t i = 0; i < 8; i++) {
            children[i] = child_of(i, i % 2, TROUPE_PERMANENT);
        }
        struct troupe_supervisor_spec spec = {
            .intensity_max = 5, .period_ns = 1000 * MS, .children = children, .child_count = 8};
        world_open(seed, 2);
        (void)world_supervisor(1, &spec);
        world_start();
        troupe_pool_drain(world.pool, 1000 * MS);
        while (trp_sim_step(world.sim)) {
        }
        trp_sim_stop(world.sim);
        struct troupe_pool_report report;
        troupe_pool_report(world.pool, &report);
        assert_true(report.is_drained_in_time);
        assert_int_equal(report.abandoned, 0);
        assert_int_equal(world.drops[TROUPE_DROP_SHUTDOWN], 0);
        trp_sim_destroy(world.sim);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_end_that_was_under_way_is_the_reason),
        cmocka_unit_test(a_child_that_ends_in_its_init_ends_linked),
        cmocka_unit_test(a_link_with_who_waits_ends_at_once),
        cmocka_unit_test(a_link_with_who_failed_pulls_down),
        cmocka_unit_test(a_monitor_outlasts_the_wait),
        cmocka_unit_test(watchers_end_one_by_one),
        cmocka_unit_test(linked_ones_end_one_by_one),
        cmocka_unit_test(a_child_that_links_its_parent_is_linked_once),
        cmocka_unit_test(a_link_after_an_unlink_holds),
        cmocka_unit_test(an_unlinked_one_feels_nothing),
        cmocka_unit_test(a_quiet_tree_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
