/*
 * The admission contract, one behaviour per test. Each script runs on two threads with the futex
 * driver and then in the simulation under several seeds; world_check holds every run against the
 * general promises (each message ends once, nobody with a hold is evicted, capacity, releases).
 */

#include "tests/unit/admission/scenario.h"

#include "tests/cmocka.h"

#include <string.h>
#include <troupe/assert.h>

#define MS    1000000u
#define SEEDS 12u

/* Continues a script here on each tick until the condition holds. */
#define AWAIT(n, condition)                                                                        \
    world->step = (n);                                                                             \
    __attribute__((fallthrough));                                                                  \
    case (n):                                                                                      \
        if (!(condition)) {                                                                        \
            return false;                                                                          \
        }

#define CHECK(condition) TROUPE_ASSERT(condition) /* on a worker, where cmocka cannot fail */
#define KEY(i)           (&world->keys[i])
#define SEND(key, act)   CHECK(world_deliver(ctx, world, key, act) == TROUPE_OK)
#define ALL_ENDED        (seen(&world->ended_total) == seen(&world->sent))

static struct world_config small(world_script script, uint32_t capacity, uint32_t queue_max)
{
    return (struct world_config){
        .admission = {.capacity = capacity,
                      .queue_max = queue_max == 0 ? UINT32_MAX : queue_max,
                      .retry_after_ms = 1000},
        .workers = 2,
        .keys = 64,
        .script = script,
    };
}

static void run(const struct world_config *config)
{
    world_run_threads(config);
    struct world_config simulated = *config;
    for (uint32_t seed = 1; seed <= SEEDS; seed++) {
        simulated.workers = 2 + seed % 2;
        world_run_simulated(&simulated, seed, 600000ull * MS);
    }
}

/* --- admission and affinity --- */

static bool many_clients(struct troupe_ctx *ctx, struct world *world)
{
    switch (world->step) {
    case 0:
        for (uint32_t key = 0; key < 40; key++) {
            SEND(key, ACT_HANDLE);
            SEND(key, ACT_HANDLE);
        }
        AWAIT(1, ALL_ENDED);
        for (uint32_t key = 0; key < 40; key++) {
            SEND(key, ACT_HANDLE);
        }
        AWAIT(2, ALL_ENDED && world_stats(world).idle == 40);
        CHECK(world_stats(world).active == 40);
        return true;
    default:
        return true;
    }
}

static void check_forty(struct world *world)
{
    uint32_t at[8] = {0};
    for (uint32_t key = 0; key < 40; key++) {
        assert_int_equal(world->keys[key].started, 1);
        assert_int_equal(world->keys[key].received, 3);
        at[world->keys[key].home]++;
    }
    assert_true(at[0] != 0);
    assert_true(at[1] != 0);
    assert_int_equal(world->final.admitted, 40);
    assert_int_equal(world->final.handled, 120);
    assert_int_equal(world->final.released[TROUPE_RELEASE_SHUTDOWN], 40);
}

static void clients_live_at_their_home(void **state)
{
    (void)state;
    struct world_config config = small(many_clients, 100, 0);
    config.check_order = true;
    config.after = check_forty;
    run(&config);
}

static void round_robin_alternates(void **state)
{
    (void)state;
    struct world_config config = small(many_clients, 100, 0);
    config.admission.placement = TROUPE_PLACE_ROUND_ROBIN;
    config.after = check_forty;
    run(&config);
}

static void least_loaded_uses_all(void **state)
{
    (void)state;
    struct world_config config = small(many_clients, 100, 0);
    config.admission.placement = TROUPE_PLACE_LEAST_LOADED;
    config.after = check_forty;
    run(&config);
}

/* --- eviction --- */

static bool evict_lru(struct troupe_ctx *ctx, struct world *world)
{
    switch (world->step) {
    case 0:
        SEND(0, ACT_HANDLE);
        AWAIT(1, ALL_ENDED);
        SEND(1, ACT_HANDLE);
        AWAIT(2, ALL_ENDED && world_stats(world).idle == 2);
        SEND(0, ACT_HANDLE); /* now 1 is the least recently active */
        AWAIT(3, ALL_ENDED && world_stats(world).idle == 2);
        SEND(2, ACT_HANDLE);
        AWAIT(4, ALL_ENDED && world_stats(world).idle == 2);
        CHECK(seen(&KEY(1)->released[TROUPE_RELEASE_EVICTED]) == 1);
        CHECK(seen(&KEY(0)->released[TROUPE_RELEASE_EVICTED]) == 0);
        SEND(1, ACT_HANDLE); /* comes back with a fresh actor */
        AWAIT(5, ALL_ENDED && world_stats(world).idle == 2);
        CHECK(seen(&KEY(1)->started) == 2);
        CHECK(seen(&KEY(0)->released[TROUPE_RELEASE_EVICTED]) == 1);
        CHECK(world_stats(world).refused_busy == 0);
        return true;
    default:
        return true;
    }
}

static void least_recently_active_is_evicted(void **state)
{
    (void)state;
    struct world_config config = small(evict_lru, 2, 0);
    run(&config);
}

static bool spare_holders(struct troupe_ctx *ctx, struct world *world)
{
    switch (world->step) {
    case 0:
        SEND(0, ACT_ROUTE);
        SEND(1, ACT_KEEP);
        AWAIT(1, ALL_ENDED);
        SEND(2, ACT_HANDLE);
        AWAIT(2, ALL_ENDED);
        CHECK(seen(&KEY(2)->busy) == 1);
        CHECK(world_stats(world).routes == 1);
        world_poke(ctx, world, 0);
        AWAIT(3, world_stats(world).idle == 1);
        SEND(2, ACT_ROUTE);
        AWAIT(4, ALL_ENDED);
        CHECK(seen(&KEY(2)->received) == 1);
        CHECK(seen(&KEY(0)->released[TROUPE_RELEASE_EVICTED]) == 1);
        CHECK(seen(&KEY(1)->alive) == 1);
        world_poke(ctx, world, 1);
        world_poke(ctx, world, 2);
        return true;
    default:
        return true;
    }
}

static void holders_are_spared_and_others_refused(void **state)
{
    (void)state;
    struct world_config config = small(spare_holders, 2, 0);
    run(&config);
}

static bool evict_past_many(struct troupe_ctx *ctx, struct world *world)
{
    switch (world->step) {
    case 0:
        for (uint32_t key = 0; key < 200; key++) {
            SEND(key, key < 150 ? ACT_ROUTE : ACT_HANDLE);
        }
        AWAIT(1, ALL_ENDED && world_stats(world).idle == 50);
        for (uint32_t key = 199; key > 150; key--) {
            SEND(key, ACT_HANDLE); /* all stamps but one move */
        }
        AWAIT(2, ALL_ENDED && world_stats(world).idle == 50);
        SEND(200, ACT_HANDLE);
        AWAIT(3, ALL_ENDED);
        CHECK(seen(&KEY(200)->received) == 1);
        CHECK(seen(&KEY(150)->released[TROUPE_RELEASE_EVICTED]) == 1);
        for (uint32_t key = 0; key < 150; key++) {
            world_poke(ctx, world, key);
        }
        return true;
    default:
        return true;
    }
}

static void victim_behind_many_holders_is_found(void **state)
{
    (void)state;
    struct world_config config = small(evict_past_many, 200, 0);
    config.keys = 256;
    run(&config);
}

static bool wait_min_idle(struct troupe_ctx *ctx, struct world *world)
{
    switch (world->step) {
    case 0:
        SEND(0, ACT_HANDLE);
        AWAIT(1, ALL_ENDED && world_stats(world).idle == 1);
        world->since_ns = troupe_now(ctx);
        SEND(0, ACT_HANDLE);
        SEND(1, ACT_HANDLE);
        SEND(2, ACT_HANDLE);
        AWAIT(2, seen(&KEY(1)->received) == 1);
        CHECK(troupe_now(ctx) - world->since_ns >= 20 * MS);
        CHECK(seen(&KEY(2)->busy) == 1);
        return true;
    default:
        return true;
    }
}

static void recently_active_stay_for_a_while(void **state)
{
    (void)state;
    struct world_config config = small(wait_min_idle, 1, 1);
    config.admission.evict_min_idle_ns = 20 * MS;
    run(&config);
}

static bool reserve_place(struct troupe_ctx *ctx, struct world *world)
{
    switch (world->step) {
    case 0:
        SEND(0, ACT_HANDLE);
        AWAIT(1, ALL_ENDED && world_stats(world).idle == 1);
        SEND(1, ACT_ROUTE); /* takes the place of 0 */
        SEND(2, ACT_HANDLE);
        AWAIT(2, seen(&KEY(1)->received) == 1 && seen(&KEY(2)->busy) == 1);
        SEND(0, ACT_HANDLE);
        SEND(0, ACT_HANDLE);
        AWAIT(3, seen(&KEY(0)->busy) == 2);
        CHECK(seen(&KEY(0)->received) == 1);
        world_poke(ctx, world, 1);
        return true;
    default:
        return true;
    }
}

static void coming_place_is_reserved_for_the_newcomer(void **state)
{
    (void)state;
    struct world_config config = small(reserve_place, 1, 0);
    run(&config);
}

/* --- queue --- */

static bool queue_order(struct troupe_ctx *ctx, struct world *world)
{
    switch (world->step) {
    case 0:
        SEND(0, ACT_ROUTE);
        AWAIT(1, ALL_ENDED);
        for (uint32_t key = 1; key <= 4; key++) {
            SEND(key, ACT_HANDLE);
        }
        SEND(2, ACT_HANDLE); /* joins its own backlog, not the queue */
        AWAIT(2, world_stats(world).waiting == 3 && seen(&KEY(4)->busy) == 1);
        world_poke(ctx, world, 0);
        AWAIT(3, ALL_ENDED);
        CHECK(world_stats(world).queued == 3);
        CHECK(world_stats(world).queue_wait_ns > 0);
        return true;
    default:
        return true;
    }
}

static void check_queue_order(struct world *world)
{
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(world->start_log[i], i);
    }
    assert_int_equal(world->keys[2].received, 2);
}

static void queue_is_first_in_first_out(void **state)
{
    (void)state;
    struct world_config config = small(queue_order, 1, 3);
    config.after = check_queue_order;
    run(&config);
}

static bool bound_backlog(struct troupe_ctx *ctx, struct world *world)
{
    switch (world->step) {
    case 0:
        SEND(0, ACT_ROUTE);
        AWAIT(1, ALL_ENDED);
        SEND(1, ACT_HANDLE);
        SEND(1, ACT_HANDLE);
        SEND(1, ACT_HANDLE);
        AWAIT(2, seen(&KEY(1)->busy) == 1);
        world_poke(ctx, world, 0);
        AWAIT(3, ALL_ENDED);
        CHECK(seen(&KEY(1)->received) == 2);
        return true;
    default:
        return true;
    }
}

static void backlog_of_a_waiting_client_is_bounded(void **state)
{
    (void)state;
    struct world_config config = small(bound_backlog, 1, 1);
    config.admission.backlog_max = 2;
    config.check_order = true;
    run(&config);
}

static bool time_out(struct troupe_ctx *ctx, struct world *world)
{
    switch (world->step) {
    case 0:
        SEND(0, ACT_ROUTE);
        AWAIT(1, ALL_ENDED);
        world->since_ns = troupe_now(ctx);
        SEND(1, ACT_HANDLE);
        SEND(1, ACT_HANDLE);
        AWAIT(2, seen(&KEY(1)->busy) == 2);
        CHECK(troupe_now(ctx) - world->since_ns >= 20 * MS);
        CHECK(world_stats(world).refused_timeout == 2);
        CHECK(world_stats(world).waiting == 0);
        world_poke(ctx, world, 0);
        AWAIT(3, world_stats(world).idle == 1);
        SEND(1, ACT_HANDLE);
        AWAIT(4, ALL_ENDED);
        CHECK(seen(&KEY(1)->received) == 1);
        return true;
    default:
        return true;
    }
}

static void waiting_too_long_is_refused(void **state)
{
    (void)state;
    struct world_config config = small(time_out, 1, 4);
    config.admission.queue_timeout_ns = 20 * MS;
    run(&config);
}

/* --- ends of clients --- */

static bool idle_out(struct troupe_ctx *ctx, struct world *world)
{
    switch (world->step) {
    case 0:
        SEND(0, ACT_HANDLE);
        SEND(1, ACT_ROUTE);
        AWAIT(1, seen(&KEY(0)->released[TROUPE_RELEASE_IDLE]) == 1);
        world->since_ns = troupe_now(ctx);
        AWAIT(2, troupe_now(ctx) - world->since_ns > 60 * MS);
        CHECK(seen(&KEY(1)->alive) == 1); /* its route protects it */
        CHECK(world_stats(world).active == 1);
        world->since_ns = troupe_now(ctx);
        world_poke(ctx, world, 1);
        SEND(0, ACT_HANDLE);
        AWAIT(3, seen(&KEY(1)->released[TROUPE_RELEASE_IDLE]) == 1);
        CHECK(troupe_now(ctx) - world->since_ns >= 20 * MS); /* counted from the last hold */
        CHECK(seen(&KEY(0)->started) == 2);
        AWAIT(4, world_stats(world).active == 0);
        return true;
    default:
        return true;
    }
}

static void idle_clients_are_released(void **state)
{
    (void)state;
    struct world_config config = small(idle_out, 4, 0);
    config.admission.idle_timeout_ns = 20 * MS;
    run(&config);
}

static bool leave_early(struct troupe_ctx *ctx, struct world *world)
{
    switch (world->step) {
    case 0:
        SEND(6, ACT_ROUTE);
        SEND(7, ACT_ROUTE);
        AWAIT(1, ALL_ENDED);
        for (uint32_t key = 0; key < 2; key++) {
            SEND(key, ACT_ROUTE);
            SEND(key, ACT_LEAVE);
            for (uint32_t n = 0; n < 3; n++) {
                SEND(key, ACT_HANDLE); /* in its mailbox when it leaves */
            }
        }
        AWAIT(2, world_stats(world).waiting == 2);
        world_poke(ctx, world, 6);
        world_poke(ctx, world, 7);
        AWAIT(3, seen(&KEY(0)->given_back) == 3 && seen(&KEY(1)->given_back) == 3);
        SEND(0, ACT_HANDLE);
        SEND(1, ACT_HANDLE);
        world->since_ns = troupe_now(ctx);
        AWAIT(4, troupe_now(ctx) - world->since_ns > 10 * MS);
        for (uint32_t key = 0; key < 2; key++) {
            CHECK(seen(&KEY(key)->received) == 2);
            CHECK(seen(&KEY(key)->started) == 1); /* its place is taken until it is gone */
            world_poke(ctx, world, key);
        }
        AWAIT(5, ALL_ENDED);
        for (uint32_t key = 0; key < 2; key++) {
            CHECK(seen(&KEY(key)->received) == 6);
            CHECK(seen(&KEY(key)->started) == 2);
            CHECK(seen(&KEY(key)->released[TROUPE_RELEASE_LEFT]) == 1);
        }
        CHECK(world_stats(world).refused_busy == 0);
        return true;
    default:
        return true;
    }
}

static void leaving_client_gives_back_what_comes_late(void **state)
{
    (void)state;
    struct world_config config = small(leave_early, 2, 2);
    run(&config);
}

static bool leave_when_idle(struct troupe_ctx *ctx, struct world *world)
{
    switch (world->step) {
    case 0:
        SEND(0, ACT_HANDLE);
        AWAIT(1, world_stats(world).idle == 1);
        world_poke_leave(ctx, world, 0);
        AWAIT(2, seen(&KEY(0)->released[TROUPE_RELEASE_LEFT]) == 1);
        CHECK(world_stats(world).active == 0);
        CHECK(world_stats(world).idle == 0);
        return true;
    default:
        return true;
    }
}

static void idle_client_leaves_at_once(void **state)
{
    (void)state;
    struct world_config config = small(leave_when_idle, 1, 0);
    run(&config);
}

static bool die(struct troupe_ctx *ctx, struct world *world)
{
    switch (world->step) {
    case 0:
        SEND(0, ACT_KEEP);
        SEND(0, ACT_ROUTE);
        SEND(0, ACT_FAIL);
        for (uint32_t n = 0; n < 5; n++) {
            SEND(0, ACT_HANDLE);
        }
        AWAIT(1, ALL_ENDED && seen(&KEY(0)->released[TROUPE_RELEASE_DIED]) == 1);
        CHECK(seen(&KEY(0)->busy) == 0);
        CHECK(seen(&KEY(0)->received) + seen(&KEY(0)->dead) == 8);
        SEND(1, ACT_HANDLE); /* the place came back */
        AWAIT(2, ALL_ENDED);
        CHECK(seen(&KEY(1)->received) == 1);
        CHECK(world_stats(world).routes == 0);
        return true;
    default:
        return true;
    }
}

static void failing_actor_frees_its_place(void **state)
{
    (void)state;
    struct world_config config = small(die, 1, 0);
    run(&config);
}

static bool stop_from_outside(struct troupe_ctx *ctx, struct world *world)
{
    switch (world->step) {
    case 0:
        SEND(0, ACT_ROUTE);
        SEND(1, ACT_KEEP);
        AWAIT(1, ALL_ENDED);
        troupe_stop(ctx, trp_load_relaxed_u64(&KEY(0)->actor));
        troupe_kill(ctx, trp_load_relaxed_u64(&KEY(1)->actor));
        for (uint32_t n = 0; n < 3; n++) {
            SEND(0, ACT_HANDLE);
        }
        AWAIT(2, seen(&KEY(1)->released[TROUPE_RELEASE_DIED]) == 1);
        trp_faa_u32(&KEY(1)->alive, (uint32_t)-1); /* a killed actor runs no terminate_cb */
        trp_faa_u32(&world->alive, (uint32_t)-1);
        SEND(1, ACT_HANDLE);
        AWAIT(3, ALL_ENDED && seen(&KEY(0)->released[TROUPE_RELEASE_DIED]) == 1);
        CHECK(seen(&KEY(0)->received) + seen(&KEY(0)->dead) == 4);
        CHECK(seen(&KEY(1)->received) == 2);
        return true;
    default:
        return true;
    }
}

static void actor_ended_from_outside_frees_its_place(void **state)
{
    (void)state;
    struct world_config config = small(stop_from_outside, 2, 0);
    config.may_end_with_holds = true;
    run(&config);
}

static bool drain_actor(struct troupe_ctx *ctx, struct world *world)
{
    switch (world->step) {
    case 0:
        SEND(0, ACT_HANDLE);
        AWAIT(1, ALL_ENDED);
        troupe_drain(ctx, trp_load_relaxed_u64(&KEY(0)->actor));
        for (uint32_t n = 0; n < 3; n++) {
            SEND(0, ACT_HANDLE);
        }
        AWAIT(2, ALL_ENDED && seen(&KEY(0)->started) == 2);
        CHECK(seen(&KEY(0)->received) == 4);
        return true;
    default:
        return true;
    }
}

static void draining_actor_is_followed_by_a_fresh_one(void **state)
{
    (void)state;
    struct world_config config = small(drain_actor, 1, 0);
    run(&config);
}

static bool no_actor(struct troupe_ctx *ctx, struct world *world)
{
    switch (world->step) {
    case 0:
        SEND(0, ACT_HANDLE);
        SEND(0, ACT_HANDLE);
        SEND(1, ACT_HANDLE);
        AWAIT(1, ALL_ENDED && world_stats(world).active == 0);
        CHECK(seen(&KEY(0)->busy) == 2);
        CHECK(seen(&KEY(0)->released[TROUPE_RELEASE_DIED]) >= 1);
        return true;
    default:
        return true;
    }
}

static void actor_that_cannot_start_is_refused(void **state)
{
    (void)state;
    struct world_config config = small(no_actor, 1, 4);
    config.fail_init = true;
    run(&config);
}

/* --- drain and shutdown --- */

static bool drain_full(struct troupe_ctx *ctx, struct world *world)
{
    switch (world->step) {
    case 0:
        CHECK(world_deliver_for(ctx, world, 0, ACT_ROUTE, 20 * MS) == TROUPE_OK);
        SEND(1, ACT_HANDLE);
        AWAIT(1, world_stats(world).waiting == 1);
        troupe_admission_drain(ctx, world->admission, TROUPE_NOBODY, 0); /* again by the world */
        SEND(2, ACT_HANDLE);
        AWAIT(2, seen(&KEY(1)->closed) == 1 && seen(&KEY(2)->closed) == 1);
        return true;
    default:
        return true;
    }
}

static void check_drained(struct world *world)
{
    assert_int_equal(world->keys[0].received, 1);
    assert_int_equal(world->keys[0].released[TROUPE_RELEASE_SHUTDOWN], 1);
    assert_int_equal(world->final.refused_shutdown, 2);
}

static bool drain_plain(struct troupe_ctx *ctx, struct world *world)
{
    switch (world->step) {
    case 0:
        CHECK(world_deliver_for(ctx, world, 0, ACT_ROUTE, 20 * MS) == TROUPE_OK);
        SEND(1, ACT_HANDLE);
        SEND(2, ACT_HANDLE);
        AWAIT(1, world_stats(world).waiting == 2);
        return true;
    default:
        return true;
    }
}

static void drain_refuses_newcomers_and_waits_for_holders(void **state)
{
    (void)state;
    struct world_config config = small(drain_plain, 1, 4);
    config.after = check_drained;
    run(&config);
}

static void only_the_first_drain_of_a_worker_counts(void **state)
{
    (void)state;
    struct world_config config = small(drain_full, 1, 4);
    /* nobody is told, so the world's own drain is the second one: it must end by the script */
    config.no_drain = true;
    run(&config);
}

static bool stop_in_the_middle(struct troupe_ctx *ctx, struct world *world)
{
    for (uint32_t n = 0; n < 100; n++) {
        SEND(n % 50, n % 3 == 0 ? ACT_ROUTE : ACT_KEEP);
    }
    return world->ticks == 3;
}

static void stopped_pool_loses_nothing(void **state)
{
    (void)state;
    struct world_config config = small(stop_in_the_middle, 20, 20);
    config.no_drain = true;
    run(&config);
}

/* --- full mailboxes --- */

/* A client that lives where the script runs: there the bound of a mailbox is exact. */
static uint32_t local_key(struct world *world)
{
    uint32_t key = 10;
    struct troupe_key bytes = world_key(key);
    while (troupe_admission_home(world->admission, &bytes) != 0) {
        bytes = world_key(++key);
    }
    return key;
}

static bool overfill(struct troupe_ctx *ctx, struct world *world)
{
    uint32_t local = local_key(world);
    switch (world->step) {
    case 0:
        SEND(local, ACT_HANDLE);
        AWAIT(1, ALL_ENDED && world_stats(world).idle == 1);
        for (uint32_t n = 0; n < 10100; n++) {
            enum troupe_status status = world_deliver(ctx, world, local, ACT_HANDLE);
            CHECK(status == TROUPE_OK || status == TROUPE_EBUSY);
        }
        CHECK(seen(&world->undelivered) == 100); /* their holds were opened and must be gone */
        AWAIT(2, ALL_ENDED && world_stats(world).idle == 1);
        SEND(1, ACT_HANDLE);
        AWAIT(3, ALL_ENDED);
        CHECK(seen(&KEY(1)->received) == 1);
        for (uint32_t n = 0; n < 10100; n++) { /* the same on the long way */
            (void)world_deliver(ctx, world, 2, ACT_HANDLE);
        }
        CHECK(seen(&world->undelivered) == 200);
        AWAIT(4, ALL_ENDED);
        return true;
    default:
        return true;
    }
}

static void full_mailboxes_refuse_and_take_no_hold(void **state)
{
    (void)state;
    struct world_config config = small(overfill, 1, 4);
    config.check_order = true;
    run(&config);
}

/* --- setting up --- */

static void bad_configuration_is_refused(void **state)
{
    (void)state;
    struct troupe_pool_config pool_config = {.workers = 1};
    struct troupe_pool *pool;
    assert_int_equal(troupe_pool_create(&pool, &pool_config, NULL, 0), TROUPE_OK);
    struct troupe_admission_config config = {0};
    struct troupe_admission *admission = NULL;
    assert_int_equal(troupe_admission_create(&admission, pool, &config), TROUPE_EINVAL);
    assert_null(admission);
    troupe_admission_destroy(NULL);
    troupe_pool_destroy(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clients_live_at_their_home),
        cmocka_unit_test(round_robin_alternates),
        cmocka_unit_test(least_loaded_uses_all),
        cmocka_unit_test(least_recently_active_is_evicted),
        cmocka_unit_test(holders_are_spared_and_others_refused),
        cmocka_unit_test(victim_behind_many_holders_is_found),
        cmocka_unit_test(recently_active_stay_for_a_while),
        cmocka_unit_test(coming_place_is_reserved_for_the_newcomer),
        cmocka_unit_test(queue_is_first_in_first_out),
        cmocka_unit_test(backlog_of_a_waiting_client_is_bounded),
        cmocka_unit_test(waiting_too_long_is_refused),
        cmocka_unit_test(idle_clients_are_released),
        cmocka_unit_test(leaving_client_gives_back_what_comes_late),
        cmocka_unit_test(idle_client_leaves_at_once),
        cmocka_unit_test(failing_actor_frees_its_place),
        cmocka_unit_test(actor_ended_from_outside_frees_its_place),
        cmocka_unit_test(draining_actor_is_followed_by_a_fresh_one),
        cmocka_unit_test(actor_that_cannot_start_is_refused),
        cmocka_unit_test(drain_refuses_newcomers_and_waits_for_holders),
        cmocka_unit_test(only_the_first_drain_of_a_worker_counts),
        cmocka_unit_test(stopped_pool_loses_nothing),
        cmocka_unit_test(full_mailboxes_refuse_and_take_no_hold),
        cmocka_unit_test(bad_configuration_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
