/*
 * A supervisor that is a child itself and ends without ending its own children first: its next
 * life's children start when the old ones are gone.
 */

#include "tests/unit/core/puppet.h"

#include <troupe/assert.h>

#define SEEDS 120u
#define MS    1000000ull

enum { WATCHER = 10 };

static struct {
    uint32_t alive;
    uint32_t alive_max;
    uint32_t begun;
    uint32_t refused; /* inits that found the name taken */
} keepers[2];

static const uint32_t numbers[] = {0, 1};
static const char *const keeper_names[] = {"the store", "the cache"};

/* What there must be one of at most: it has a name. */
struct keeper {
    uint32_t number;
};

static enum troupe_status keeper_begin(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct keeper *keeper = state;
    keeper->number = *(const uint32_t *)arg;
    if (troupe_register(ctx, troupe_span_cstr(keeper_names[keeper->number])) != TROUPE_OK) {
        keepers[keeper->number].refused++;
        return TROUPE_EEXIST;
    }
    keepers[keeper->number].begun++;
    uint32_t alive = ++keepers[keeper->number].alive;
    if (alive > keepers[keeper->number].alive_max) {
        keepers[keeper->number].alive_max = alive;
    }
    return TROUPE_OK;
}

static enum troupe_verdict
keeper_receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)ctx;
    (void)state;
    (void)msg;
    return TROUPE_CONTINUE;
}

static void keeper_end(struct troupe_ctx *ctx, void *state, enum troupe_down_reason reason)
{
    const struct keeper *keeper = state;
    (void)ctx;
    (void)reason;
    if (keepers[keeper->number].alive > 0) { /* else its init was refused */
        keepers[keeper->number].alive--;
    }
}

static const struct troupe_actor_type keeper_type = {.name = "keeper",
                                                     .state_size = sizeof(struct keeper),
                                                     .init_cb = keeper_begin,
                                                     .receive_cb = keeper_receive,
                                                     .terminate_cb = keeper_end};

/* top -> middle -> lower -> one keeper; middle -> the other one. */
static struct troupe_child_spec lower_children[1];
static struct troupe_child_spec middle_children[2];
static struct troupe_child_spec top_children[1];
static struct troupe_supervisor_spec lower_spec;
static struct troupe_supervisor_spec middle_spec;
static struct troupe_supervisor_spec top_spec;

static troupe_ref top;
static troupe_ref watcher;

static struct troupe_child_spec keeper_of(uint32_t number, uint32_t worker)
{
    return (struct troupe_child_spec){.type = &keeper_type,
                                      .arg = &numbers[number],
                                      .arg_len = sizeof(numbers[number]),
                                      .worker = worker};
}

static struct troupe_child_spec branch_of(const struct troupe_supervisor_spec *spec,
                                          uint32_t worker)
{
    return (struct troupe_child_spec){.type = &troupe_supervisor_type,
                                      .arg = spec,
                                      .arg_len = sizeof(*spec),
                                      .worker = worker,
                                      .shutdown_ns = UINT64_MAX};
}

static struct troupe_supervisor_spec spec_of(const struct troupe_child_spec *children,
                                             uint32_t count)
{
    return (struct troupe_supervisor_spec){
        .intensity_max = 20, .period_ns = 1000 * MS, .children = children, .child_count = count};
}

static void plant(uint64_t seed)
{
    for (uint32_t i = 0; i < 2; i++) {
        keepers[i].alive = keepers[i].alive_max = keepers[i].begun = keepers[i].refused = 0;
    }
    lower_children[0] = keeper_of(0, (uint32_t)(seed % 3));
    lower_spec = spec_of(lower_children, 1);
    middle_children[0] = branch_of(&lower_spec, (uint32_t)(seed / 3 % 3));
    middle_children[1] = keeper_of(1, (uint32_t)(seed / 9 % 3));
    middle_spec = spec_of(middle_children, 2);
    top_children[0] = branch_of(&middle_spec, (uint32_t)(seed / 27 % 3));
    top_spec = spec_of(top_children, 1);
    world_open(seed, 3);
    top = world_supervisor(0, &top_spec);
    watcher = world_puppet(1, WATCHER);
    trp_sim_start(world.sim);
}

static troupe_ref find_middle(void)
{
    world_run_ms(10);
    make(watcher, act_list, top);
    world_run_ms(10);
    return world.list.entries[0].ref;
}

static void check_alive(uint32_t begun)
{
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(keepers[i].alive, 1);
        assert_int_equal(keepers[i].alive_max, 1);
        assert_int_equal(keepers[i].refused, 0);
        assert_in_range(keepers[i].begun, 2, begun);
    }
}

static void the_next_life_waits_for_the_old_children(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        plant(seed);
        troupe_ref middle = find_middle();
        make(watcher, seed % 2 == 0 ? act_kill : act_stop, middle);
        world_run_ms(20);
        check_alive(2);
        world_close();
    }
}

/* Killed again and again, also while children are being started, or while it waits for the old. */
static void however_often_it_is_killed(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        plant(seed);
        troupe_ref middle = find_middle();
        for (uint32_t i = 0; i < 8; i++) {
            make(watcher, i % 3 == 0 ? act_stop : act_kill, middle);
            for (uint64_t steps = (seed * 7 + i * 5) % 60; steps > 0; steps--) {
                (void)trp_sim_step(world.sim);
            }
        }
        world_run_ms(20);
        check_alive(9);
        world_close();
    }
}

/* The top ends for good, or the pool does, while the middle one waits for its old children. */
static void nothing_is_left_when_all_ends_meanwhile(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 2 * SEEDS; seed++) {
        plant(seed);
        troupe_ref middle = find_middle();
        make(watcher, act_kill, middle);
        for (uint64_t steps = seed % 20; steps > 0; steps--) {
            (void)trp_sim_step(world.sim);
        }
        if (seed % 3 != 0) {
            make(watcher, seed % 3 == 1 ? act_kill : act_stop, top);
            world_run_ms(20);
            assert_int_equal(keepers[0].alive + keepers[1].alive, 0);
        }
        world_close();
        assert_int_equal(keepers[0].alive + keepers[1].alive, 0);
        assert_int_equal(keepers[0].refused + keepers[1].refused, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_next_life_waits_for_the_old_children),
        cmocka_unit_test(however_often_it_is_killed),
        cmocka_unit_test(nothing_is_left_when_all_ends_meanwhile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
