/* Supervisors as actors: escalation, trees, dynamic children, ends with and without patience. */

#include "actors/core/supervise.h"
#include "tests/unit/core/puppet.h"

#include <string.h>
#include <troupe/assert.h>

#define SEEDS   30u
#define MS      1000000ull
#define TIMEOUT (5000 * MS)

enum { A = 0, B = 1, C = 2, D = 3, WATCHER = 10 };

static troupe_ref top;
static troupe_ref watcher;

static void open_world(uint64_t seed, const struct troupe_supervisor_spec *spec)
{
    world_open(seed, 3);
    top = world_supervisor((uint32_t)(seed % 3), spec);
    watcher = world_puppet(1, WATCHER);
    world_start();
    make(watcher, act_monitor, top);
    world_run_ms(10);
}

static troupe_ref ref_of(uint32_t who)
{
    return world.books[who].ref;
}

static const struct book *watched(void)
{
    return &world.books[WATCHER];
}

static struct troupe_child_spec child_supervisor(const struct troupe_supervisor_spec *spec,
                                                 uint32_t worker)
{
    return (struct troupe_child_spec){.name = "supervisor",
                                      .type = &troupe_supervisor_type,
                                      .arg = spec,
                                      .arg_len = sizeof(*spec),
                                      .worker = worker,
                                      .shutdown_ns = UINT64_MAX};
}

/* --- levels --- */

/* top -> middle -> A, B; top -> C. */
static struct troupe_child_spec leaves[2];
static struct troupe_child_spec branches[2];
static struct troupe_supervisor_spec middle_spec;
static struct troupe_supervisor_spec top_spec;

static void plant_tree(uint64_t seed)
{
    leaves[0] = child_of(A, (uint32_t)(seed % 3), TROUPE_PERMANENT);
    leaves[1] = child_of(B, (uint32_t)(seed / 3 % 3), TROUPE_PERMANENT);
    middle_spec = (struct troupe_supervisor_spec){
        .intensity_max = 1, .period_ns = 1000 * MS, .children = leaves, .child_count = 2};
    branches[0] = child_supervisor(&middle_spec, TROUPE_WORKER_SPREAD);
    branches[1] = child_of(C, TROUPE_WORKER_HERE, TROUPE_TRANSIENT);
    top_spec = (struct troupe_supervisor_spec){.strategy = TROUPE_ONE_FOR_ALL,
                                               .intensity_max = 1,
                                               .period_ns = 1000 * MS,
                                               .children = branches,
                                               .child_count = 2};
    open_world(seed, &top_spec);
}

static void fail_one(uint32_t who)
{
    tell(ref_of(who), MSG_FAIL, 0);
    world_run_ms(20);
}

static void failures_escalate_level_by_level(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        plant_tree(seed);
        make(watcher, act_monitor, ref_of(A));
        make(watcher, act_monitor, ref_of(C));
        world_run_ms(5);
        fail_one(A); /* restarted by the middle one */
        assert_int_equal(world.books[A].lives, 2);
        assert_int_equal(world.books[C].lives, 1);
        assert_int_equal(watched()->downs, 0);
        fail_one(B); /* too much for the middle one: it fails and is restarted, and C with it */
        assert_int_equal(world.books[A].lives, 3);
        assert_int_equal(world.books[B].lives, 2);
        assert_int_equal(world.books[C].lives, 2);
        assert_int_equal(watched()->downs, 1); /* the A it knew is gone for good */
        fail_one(A);
        assert_int_equal(world.books[A].lives, 4);
        assert_int_equal(watched()->downs, 1);
        fail_one(A); /* too much for the middle one, and for the top */
        assert_int_equal(world.books[A].lives, 4);
        assert_int_equal(world.books[C].lives, 2);
        assert_int_equal(world.books[C].terminates, 2);
        assert_int_equal(watched()->downs, 3);
        assert_true(watched()->last_down.ref == top);
        assert_int_equal(watched()->last_down.reason, TROUPE_DOWN_FAILED);
        world_close();
    }
}

static void a_tree_falls_with_its_top(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        plant_tree(seed);
        if (seed % 4 == 3) {
            fail_one(A); /* a child that was restarted, or still waits */
        }
        make(watcher, seed % 2 == 0 ? act_kill : act_stop, top);
        world_run_ms(20);
        for (uint32_t who = A; who <= C; who++) {
            assert_int_equal(world.books[who].terminates, world.books[who].lives);
        }
        assert_int_equal(watched()->downs, 1);
        assert_int_equal(watched()->last_down.reason,
                         seed % 2 == 0 ? TROUPE_DOWN_KILLED : TROUPE_DOWN_NORMAL);
        world_close();
    }
}

/* The middle one is killed: it is restarted, with new children; the old ones end. */
static void a_killed_supervisor_starts_anew(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        plant_tree(seed);
        troupe_ref old_a = ref_of(A);
        make(watcher, act_monitor, old_a);
        make(watcher, act_list, top);
        world_run_ms(5);
        make(watcher, act_kill, world.list.entries[0].ref);
        world_run_ms(20);
        assert_int_equal(world.books[A].lives, 2);
        assert_int_equal(world.books[A].terminates, 1);
        assert_true(ref_of(A) != old_a);
        assert_int_equal(watched()->downs, 1);
        assert_int_equal(world.books[C].lives, 2);
        world_close();
    }
}

/* A supervisor that is killed before its children have started leaves none behind. */
static void an_early_kill_leaves_nobody(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4 * SEEDS; seed++) {
        struct troupe_child_spec children[4];
        for (uint32_t who = A; who <= D; who++) {
            children[who] = child_of(who, (who + 1) % 3, TROUPE_PERMANENT);
        }
        struct troupe_supervisor_spec spec = {
            .strategy = (enum troupe_strategy)(seed % 3), .children = children, .child_count = 4};
        world_open(seed, 3);
        top = world_supervisor(0, &spec);
        watcher = world_puppet((uint32_t)(seed % 3), WATCHER);
        trp_sim_start(world.sim);
        make(watcher, act_kill, top);
        world_run_ms(20);
        for (uint32_t who = A; who <= D; who++) {
            assert_int_equal(world.books[who].terminates, world.books[who].lives);
        }
        world_close();
    }
}

/* --- the end of the pool --- */

static void the_end_of_the_pool_restarts_nobody(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4 * SEEDS; seed++) {
        struct troupe_child_spec children[4];
        for (uint32_t who = A; who <= D; who++) {
            children[who] = child_of(who, (uint32_t)((who + seed) % 3), TROUPE_PERMANENT);
        }
        struct troupe_supervisor_spec spec = {.strategy = (enum troupe_strategy)(seed % 3),
                                              .intensity_max = 9,
                                              .backoff_min_ns = seed % 4 * MS,
                                              .children = children,
                                              .child_count = 4};
        open_world(seed, &spec);
        for (uint32_t who = A; who <= D; who++) {
            make(watcher, act_monitor, ref_of(who));
            tell(ref_of(who), MSG_FAIL, 0);
            tell(ref_of(who), MSG_WORK, 0);
        }
        for (uint64_t steps = seed % 30; steps > 0; steps--) {
            (void)trp_sim_step(world.sim);
        }
        uint32_t lives = 0;
        for (uint32_t who = A; who <= D; who++) {
            lives += world.books[who].lives;
        }
        struct trp_sim *sim = world.sim;
        trp_sim_stop(sim); /* nothing lost */
        for (uint32_t who = A; who <= D; who++) {
            lives -= world.books[who].lives;
            assert_int_equal(world.books[who].terminates, world.books[who].lives);
        }
        assert_int_equal(lives, 0);
        trp_sim_destroy(sim);
    }
}

/* --- children on demand --- */

static struct troupe_child_spec wanted;

static void act_start_child(struct troupe_ctx *ctx, uint32_t who, uint64_t sup)
{
    (void)who;
    TROUPE_ASSERT(troupe_supervise_start(ctx, sup, &wanted, TIMEOUT, note_answer, 0) == TROUPE_OK);
}

static void act_stop_child(struct troupe_ctx *ctx, uint32_t who, uint64_t child)
{
    (void)who;
    TROUPE_ASSERT(troupe_supervise_stop(ctx, top, child, TIMEOUT, note_answer, 0) == TROUPE_OK);
}

static void start_child(uint32_t who, uint32_t worker, enum troupe_status status)
{
    uint32_t answers = watched()->answers;
    wanted = child_of(who, worker, TROUPE_PERMANENT);
    make(watcher, act_start_child, top);
    world_run_ms(10);
    assert_int_equal(watched()->answers, answers + 1);
    assert_int_equal(watched()->answer_statuses[answers], status);
    if (status == TROUPE_OK) {
        assert_true(watched()->answer_values[answers] == ref_of(who));
    }
}

static void stop_child(troupe_ref child, enum troupe_status status)
{
    uint32_t answers = watched()->answers;
    make(watcher, act_stop_child, child);
    world_run_ms(10);
    assert_int_equal(watched()->answers, answers + 1);
    assert_int_equal(watched()->answer_statuses[answers], status);
}

static void children_come_and_go(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct troupe_supervisor_spec spec = {.strategy = (enum troupe_strategy)(seed % 3),
                                              .intensity_max = 3,
                                              .backoff_min_ns = 30 * MS};
        open_world(seed, &spec);
        world.books[B].inits_to_fail = 1;
        start_child(A, (uint32_t)(seed % 2), TROUPE_OK);
        start_child(B, (uint32_t)(seed % 3), TROUPE_EIO); /* not kept, not counted */
        start_child(C, TROUPE_WORKER_SPREAD, TROUPE_OK);
        world_run_ms(100);
        assert_int_equal(world.books[B].lives, 0);
        make(watcher, act_list, top);
        world_run_ms(5);
        assert_int_equal(world.list.total, 2);
        assert_int_equal(world.list.count, 2);
        assert_true(world.list.entries[0].ref == ref_of(A));
        assert_true(world.list.entries[1].ref == ref_of(C));
        assert_string_equal(world.list.entries[0].name, "puppet");
        assert_int_equal(world.list.entries[0].state, TROUPE_CHILD_RUNNING);
        tell(ref_of(A), MSG_FAIL, 0);
        world_run_ms(10);
        make(watcher, act_list, top);
        world_run_ms(5);
        assert_int_equal(world.list.entries[0].state, TROUPE_CHILD_SUSPENDED);
        assert_int_equal(world.list.entries[0].restarts, 1);
        make(watcher, act_monitor, ref_of(A));
        make(watcher, act_monitor, ref_of(C));
        stop_child(ref_of(A), TROUPE_OK); /* while it waits */
        assert_int_equal(watched()->downs, 1);
        stop_child(ref_of(A), TROUPE_ENOTFOUND);
        stop_child(TROUPE_NOBODY, TROUPE_ENOTFOUND);
        world_run_ms(50);
        stop_child(ref_of(C), TROUPE_OK);
        assert_int_equal(watched()->downs, 2);
        assert_int_equal(world.books[A].lives, 1);
        world_close();
    }
}

static void act_bad_specs(struct troupe_ctx *ctx, uint32_t who, uint64_t sup)
{
    static const char long_name[] = "a name of more than thirty-one by";
    struct troupe_child_spec good = child_of(A, 0, TROUPE_PERMANENT);
    struct troupe_child_spec bad[7];
    troupe_ref ref = 77;
    (void)who;
    for (uint32_t i = 0; i < 7; i++) {
        bad[i] = good;
    }
    bad[0].type = NULL;
    bad[1].worker = 3;
    bad[2].arg_len = TROUPE_CHILD_ARG_MAX + 1;
    bad[3].arg = NULL;
    bad[4].name = long_name;
    bad[5].restart = (enum troupe_restart)3;
    bad[6].arg_len = 0; /* an argument that would silently be none */
    for (uint32_t i = 0; i < 7; i++) {
        struct troupe_child_spec both[] = {good, bad[i]};
        struct troupe_supervisor_spec spec = {.children = both, .child_count = 2};
        TROUPE_ASSERT(troupe_supervise_start(ctx, sup, &bad[i], TIMEOUT, note_answer, 0) ==
                      TROUPE_EINVAL);
        TROUPE_ASSERT(troupe_supervisor_spawn(ctx, &ref, &spec) == TROUPE_EINVAL);
    }
    struct troupe_supervisor_spec wrong[] = {
        {.strategy = (enum troupe_strategy)3},
        {.intensity_max = TROUPE_INTENSITY_MAX + 1},
        {.jitter_percent = 101},
        {.backoff_min_ns = 2, .backoff_max_ns = 1},
        {.child_count = 1},
    };
    for (uint32_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        TROUPE_ASSERT(troupe_supervisor_spawn(ctx, &ref, &wrong[i]) == TROUPE_EINVAL);
    }
    TROUPE_ASSERT(troupe_supervisor_spawn(ctx, &ref, NULL) == TROUPE_EINVAL);
    TROUPE_ASSERT(ref == 77);
    /* what is no request for a supervisor is answered by itself */
    TROUPE_ASSERT(troupe_ask(ctx, sup, TRP_SUPERVISOR_START, troupe_span("x", 1), TIMEOUT,
                             note_answer, 0) == TROUPE_OK);
    TROUPE_ASSERT(troupe_send_copy(ctx, sup, TRP_SUPERVISOR_DUE, "x", 1) == TROUPE_OK);
}

static void bad_specs_are_refused(void **state)
{
    struct troupe_supervisor_spec spec = {.intensity_max = 3};
    (void)state;
    open_world(3, &spec);
    make(watcher, act_bad_specs, top);
    world_run_ms(10);
    assert_int_equal(world.books[A].lives, 0);
    assert_int_equal(watched()->answers, 1);
    assert_int_equal(watched()->answer_statuses[0], TROUPE_ENOREPLY);
    assert_int_equal(watched()->downs, 0);
    world_close();
}

static void act_spawn_poor(struct troupe_ctx *ctx, uint32_t who, uint64_t count)
{
    struct troupe_child_spec children[3];
    struct troupe_supervisor_spec spec = {.children = children, .child_count = (uint32_t)count};
    troupe_ref ref = 77;
    (void)who;
    for (uint32_t i = 0; i < 3; i++) {
        children[i] = child_of(A, TROUPE_WORKER_HERE, TROUPE_PERMANENT);
    }
    TROUPE_ASSERT(troupe_supervisor_spawn(ctx, &ref, &spec) == TROUPE_ENOMEM);
    TROUPE_ASSERT(ref == 77);
}

/* Without memory there is no start, here or there, and nothing is left of the attempt. */
static void a_start_without_memory_is_refused(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct troupe_supervisor_spec spec = {.intensity_max = 3};
        world_open_with(seed, 3, 4u << 20);
        top = world_supervisor(0, &spec);
        watcher = world_puppet(1, WATCHER);
        troupe_ref hoarder = world_puppet(2, D);
        world_start();
        start_child(B, 2, TROUPE_OK);
        make(hoarder, act_hoard, 0);
        world_run_ms(10);
        start_child(A, 2, TROUPE_ENOMEM);
        make(hoarder, act_spawn_poor, seed % 4);
        world_run_ms(10);
        start_child(C, 0, TROUPE_OK);
        assert_int_equal(world.books[A].lives, 0);
        assert_int_equal(world.books[B].terminates, 0);
        world_close();
    }
}

/* --- ends with patience --- */

static void a_drained_child_finishes_its_work(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct troupe_child_spec child = child_of(A, 1, TROUPE_PERMANENT);
        child.shutdown = TROUPE_SHUTDOWN_DRAIN;
        struct troupe_supervisor_spec spec = {.children = &child, .child_count = 1};
        open_world(seed, &spec);
        for (uint64_t i = 0; i < 200; i++) {
            tell(ref_of(A), MSG_WORK, i);
        }
        /* its own worker's: comes behind the work */
        world_run_ms(0);
        stop_child(ref_of(A), TROUPE_OK);
        assert_int_equal(world.books[A].logged, 200);
        assert_int_equal(world.books[A].terminates, 1);
        world_close();
    }
}

static enum troupe_verdict forget(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)ctx;
    (void)state;
    (void)msg;
    return TROUPE_CONTINUE;
}

static uint32_t slow_ends;

static void slow_end(struct troupe_ctx *ctx, void *state, enum troupe_down_reason reason)
{
    (void)ctx;
    (void)state;
    (void)reason;
    slow_ends++;
}

static const struct troupe_actor_type slow_type = {
    .name = "slow", .data_count_max = 40000, .receive_cb = forget, .terminate_cb = slow_end};

/* Draining takes longer than it may: killed, without its last words. */
static void patience_has_an_end(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct troupe_supervisor_spec spec = {.intensity_max = 1};
        open_world(seed, &spec);
        slow_ends = 0;
        wanted = (struct troupe_child_spec){.type = &slow_type,
                                            .worker = (uint32_t)(seed % 3),
                                            .shutdown = TROUPE_SHUTDOWN_DRAIN,
                                            .shutdown_ns = seed == 1 ? UINT64_MAX : 2 * MS};
        make(watcher, act_start_child, top);
        world_run_ms(10);
        troupe_ref slow = watched()->answer_values[0];
        for (uint32_t i = 0; i < 30000; i++) {
            tell(slow, MSG_WORK, i);
        }
        make(watcher, act_stop_child, slow);
        world_run_ms(1000);
        assert_int_equal(watched()->answers, 2);
        assert_int_equal(slow_ends, seed == 1 ? 1 : 0);
        assert_true((world.drops[TROUPE_DROP_STOPPED] == 0) == (seed == 1));
        world_close();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failures_escalate_level_by_level),
        cmocka_unit_test(a_tree_falls_with_its_top),
        cmocka_unit_test(a_killed_supervisor_starts_anew),
        cmocka_unit_test(an_early_kill_leaves_nobody),
        cmocka_unit_test(the_end_of_the_pool_restarts_nobody),
        cmocka_unit_test(children_come_and_go),
        cmocka_unit_test(bad_specs_are_refused),
        cmocka_unit_test(a_start_without_memory_is_refused),
        cmocka_unit_test(a_drained_child_finishes_its_work),
        cmocka_unit_test(patience_has_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
