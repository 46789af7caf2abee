/* Links: both directions, both placements, trapping, dead targets, crossing requests, unlinking. */

#include "tests/unit/core/puppet.h"

#include <troupe/assert.h>

#define SEEDS 40u

enum { A = 0, B = 1, C = 2 };

static troupe_ref ref_a;
static troupe_ref ref_b;

/* Two puppets, on one worker or on two, depending on the seed. */
static void open_two(uint64_t seed)
{
    world_open(seed, 2);
    ref_a = world_puppet(0, A);
    ref_b = world_puppet((uint32_t)(seed % 2), B);
    world_start();
}

static bool is_gone(uint32_t who, enum troupe_down_reason reason)
{
    for (uint32_t i = 0; i < world.event_count; i++) {
        const struct event *event = &world.events[i];
        if (event->who == who && event->kind == EVENT_TERMINATE) {
            return event->reason == reason;
        }
    }
    return false;
}

static bool is_alive(uint32_t who)
{
    return world.books[who].terminates == 0;
}

static void an_abnormal_end_pulls_the_other_one_down(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        open_two(seed);
        bool is_asker_to_fail = seed % 4 < 2;
        make(ref_a, act_link, ref_b);
        world_run_ms(5);
        tell(is_asker_to_fail ? ref_a : ref_b, MSG_FAIL, 0);
        world_run_ms(5);
        assert_true(is_gone(A, TROUPE_DOWN_FAILED));
        assert_true(is_gone(B, TROUPE_DOWN_FAILED));
        world_close();
    }
}

static void a_kill_is_felt_as_a_failure(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        open_two(seed);
        make(ref_a, act_link, ref_b);
        world_run_ms(5);
        make(ref_a, act_kill, ref_b);
        world_run_ms(5);
        assert_true(is_gone(A, TROUPE_DOWN_FAILED));
        world_close();
    }
}

static void a_normal_end_stays_alone(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        open_two(seed);
        make(ref_a, act_link, ref_b);
        world_run_ms(5);
        tell(seed % 4 < 2 ? ref_a : ref_b, MSG_QUIT, 0);
        world_run_ms(5);
        assert_int_equal(world.books[A].terminates + world.books[B].terminates, 1);
        world_close();
    }
}

static void a_trapping_actor_gets_a_message(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        open_two(seed);
        bool is_normal = seed % 3 == 0;
        bool is_asker_to_trap = seed % 4 < 2;
        uint32_t trapper = is_asker_to_trap ? A : B;
        make(is_asker_to_trap ? ref_a : ref_b, act_trap, MSG_EXIT);
        make(ref_a, act_link, ref_b);
        world_run_ms(5);
        tell(is_asker_to_trap ? ref_b : ref_a, is_normal ? MSG_QUIT : MSG_FAIL, 0);
        world_run_ms(5);
        assert_true(is_alive(trapper));
        assert_int_equal(world.books[trapper].exits, 1);
        assert_true(world.books[trapper].last_exit.ref == (is_asker_to_trap ? ref_b : ref_a));
        assert_int_equal(world.books[trapper].last_exit.reason,
                         is_normal ? TROUPE_DOWN_NORMAL : TROUPE_DOWN_FAILED);
        world_close();
    }
}

static void trapping_can_be_given_up(void **state)
{
    (void)state;
    open_two(1);
    make(ref_a, act_trap, MSG_WORK);
    make(ref_a, act_trap, MSG_EXIT);
    make(ref_a, act_trap, TROUPE_TRAP_NONE);
    make(ref_a, act_trap, TROUPE_TRAP_NONE);
    make(ref_a, act_link, ref_b);
    world_run_ms(5);
    tell(ref_b, MSG_FAIL, 0);
    world_run_ms(5);
    assert_true(is_gone(A, TROUPE_DOWN_FAILED));
    world_close();
}

static void linking_to_the_dead_is_felt_at_once(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        open_two(seed);
        bool is_trapping = seed % 4 < 2;
        troupe_ref dead = seed % 3 == 0 ? TROUPE_NOBODY : ref_b;
        tell(ref_b, MSG_QUIT, 0);
        world_run_ms(5);
        if (is_trapping) {
            make(ref_a, act_trap, MSG_EXIT);
        }
        make(ref_a, act_link, dead);
        world_run_ms(5);
        if (is_trapping) {
            assert_int_equal(world.books[A].exits, 1);
            assert_int_equal(world.books[A].last_exit.reason, TROUPE_DOWN_UNKNOWN);
            assert_true(world.books[A].last_exit.ref == dead);
        } else {
            assert_true(is_gone(A, TROUPE_DOWN_FAILED));
        }
        world_close();
    }
}

/* Both ask, several times, at the same moment: one link, one exit. */
static void there_is_one_link_between_two(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4 * SEEDS; seed++) {
        open_two(seed);
        make(ref_b, act_trap, MSG_EXIT);
        world_run_ms(5);
        make(ref_a, act_link, ref_b);
        make(ref_b, act_link, ref_a);
        make(ref_a, act_link, ref_b);
        make(ref_b, act_link, ref_a);
        make(ref_a, act_link, ref_a);
        bool is_settled = seed % 5 != 0;
        if (is_settled) {
            world_run_ms(5);
        }
        tell(ref_a, MSG_FAIL, 0);
        world_run_ms(5);
        /* otherwise its two requests may have come to a dead actor */
        assert_in_range(world.books[B].exits, 1, is_settled ? 1 : 3);
        world_close();
    }
}

static void an_unlinked_exit_is_not_felt(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4 * SEEDS; seed++) {
        open_two(seed);
        bool is_asker_to_unlink = seed % 4 < 2;
        troupe_ref lucky = is_asker_to_unlink ? ref_a : ref_b;
        troupe_ref other = is_asker_to_unlink ? ref_b : ref_a;
        make(ref_a, act_link, ref_b);
        world_run_ms(5);
        make(lucky, act_unlink, other);
        make(lucky, act_unlink, other);
        world_run_ms(5);
        tell(other, MSG_FAIL, 0);
        world_run_ms(5);
        assert_true(is_alive(is_asker_to_unlink ? A : B));
        world_close();
    }
}

/* The other one fails while the unlink is on its way: felt before it, or not at all. */
static void unlinking_races_with_the_exit(void **state)
{
    uint32_t felt = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= 6 * SEEDS; seed++) {
        open_two(seed);
        make(ref_a, act_link, ref_b);
        world_run_ms(5);
        tell(ref_b, MSG_FAIL, 0);
        make(ref_a, act_unlink, ref_b);
        world_run_ms(5);
        /* a dead one has not handled its order to unlink */
        assert_int_equal(world.drops[TROUPE_DROP_STOPPED], is_alive(A) ? 0 : 1);
        felt += is_alive(A) ? 0 : 1;
        world_close();
    }
    assert_in_range(felt, 1, 6 * SEEDS - 1);
}

static void act_link_and_unlink(struct troupe_ctx *ctx, uint32_t who, uint64_t ref)
{
    act_link(ctx, who, ref);
    troupe_unlink(ctx, ref);
}

static void a_link_taken_back_at_once_is_none(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        open_two(seed);
        tell(ref_b, MSG_FAIL, 0);
        make(ref_a, act_link_and_unlink, ref_b);
        world_run_ms(5);
        assert_true(is_alive(A));
        world_close();
    }
}

/* Links, unlinks and failures at once: whatever the order, nothing is felt twice or lost. */
static void races_end_well(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6 * SEEDS; seed++) {
        open_two(seed);
        make(ref_a, act_trap, MSG_EXIT);
        make(ref_b, act_trap, MSG_EXIT);
        world_run_ms(5);
        uint64_t bits = seed * 0x9E3779B97F4A7C15ull;
        for (uint32_t i = 0; i < 12; i++, bits >>= 3) {
            bool is_a = (bits & 1) != 0;
            make(is_a ? ref_a : ref_b, (bits & 6) != 0 ? act_link : act_unlink,
                 is_a ? ref_b : ref_a);
            if ((bits & 7) == 5) {
                world_run_ms(1);
            }
        }
        world_run_ms(5);
        make(ref_a, act_link, ref_b);
        world_run_ms(5);
        tell(ref_b, MSG_FAIL, 0);
        world_run_ms(5);
        assert_int_equal(world.books[A].exits, 1);
        assert_int_equal(world.books[B].exits, 0);
        world_close();
    }
}

static void act_spawn_link(struct troupe_ctx *ctx, uint32_t who, uint64_t other)
{
    troupe_ref ref;
    (void)who;
    enum troupe_status status = troupe_spawn_link(ctx, &ref, &puppet_type, &puppet_args[other]);
    if (other == B) {
        TROUPE_ASSERT(status == TROUPE_OK);
        TROUPE_ASSERT(ref == world.books[B].ref);
    } else {
        TROUPE_ASSERT(status == TROUPE_EIO); /* what its init said */
    }
}

static void spawn_link_links(void **state)
{
    (void)state;
    world_open(1, 1);
    ref_a = world_puppet(0, A);
    world.books[C].inits_to_fail = 1;
    world_start();
    make(ref_a, act_spawn_link, C);
    make(ref_a, act_spawn_link, B);
    world_run_ms(5);
    assert_true(is_alive(A)); /* a failed init leaves no link behind */
    tell(world.books[B].ref, MSG_FAIL, 0);
    world_run_ms(5);
    assert_true(is_gone(A, TROUPE_DOWN_FAILED));
    world_close();
}

/* A ring and a full mesh of links: one failure ends all, once each. */
static void a_crowd_ends_once(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        troupe_ref refs[PUPPETS];
        world_open(seed, 3);
        for (uint32_t i = 0; i < PUPPETS; i++) {
            refs[i] = world_puppet(i % 3, i);
        }
        world_start();
        for (uint32_t i = 0; i < PUPPETS; i++) {
            for (uint32_t j = 0; j < PUPPETS; j++) {
                if (seed % 2 == 0 ? j == (i + 1) % PUPPETS : j != i) {
                    make(refs[i], act_link, refs[j]);
                }
            }
        }
        world_run_ms(20);
        tell(refs[seed % PUPPETS], MSG_FAIL, 0);
        world_run_ms(20);
        for (uint32_t i = 0; i < PUPPETS; i++) {
            assert_int_equal(world.books[i].terminates, 1);
            assert_true(is_gone(i, TROUPE_DOWN_FAILED));
        }
        world_close();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_abnormal_end_pulls_the_other_one_down),
        cmocka_unit_test(a_kill_is_felt_as_a_failure),
        cmocka_unit_test(a_normal_end_stays_alone),
        cmocka_unit_test(a_trapping_actor_gets_a_message),
        cmocka_unit_test(trapping_can_be_given_up),
        cmocka_unit_test(linking_to_the_dead_is_felt_at_once),
        cmocka_unit_test(there_is_one_link_between_two),
        cmocka_unit_test(an_unlinked_exit_is_not_felt),
        cmocka_unit_test(unlinking_races_with_the_exit),
        cmocka_unit_test(a_link_taken_back_at_once_is_none),
        cmocka_unit_test(races_end_well),
        cmocka_unit_test(spawn_link_links),
        cmocka_unit_test(a_crowd_ends_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
