/* A supervised actor with operations in the driver: its state lives until their last completion,
 * and its restart waits for that. */

#include "tests/cmocka.h"

#include "pool/sim.h"

#include <errno.h>
#include <string.h>
#include <troupe/assert.h>
#include <troupe/supervise.h>

#define MS    1000000ull
#define SEEDS 60u
#define OPS   3u

enum { MSG_FAIL = 1, MSG_PING, MSG_BEAT };

static struct {
    struct trp_sim *sim;
    struct troupe_port *port;
    troupe_ref ref;
    uint32_t lives;
    uint32_t ends;
    uint32_t pings;
    uint64_t life_ns; /* start of the newest life */
    uint32_t orphans;
    uint32_t rx_released;
    /* the driver */
    struct trp_op *armed[8];
    uint64_t due_ns[8]; /* of a final completion; UINT64_MAX = not cancelled */
    struct trp_worker *worker;
    uint64_t last_final_ns;
    uint64_t delay_ns; /* from cancel to completion */
    struct trp_rx rx;
    bool is_rx_wanted;
} world;

/* --- the driver --- */

static void submit(void *arg, struct trp_worker *worker, struct trp_op *op)
{
    (void)arg;
    world.worker = worker;
    for (uint32_t i = 0; i < 8; i++) {
        if (world.armed[i] == NULL) {
            world.armed[i] = op;
            world.due_ns[i] = UINT64_MAX;
            return;
        }
    }
    fail_msg("too many operations");
}

static void cancel(void *arg, struct trp_worker *worker, struct trp_op *op)
{
    (void)arg;
    (void)worker;
    for (uint32_t i = 0; i < 8; i++) {
        if (world.armed[i] == op) {
            TROUPE_ASSERT(world.due_ns[i] == UINT64_MAX); /* once */
            world.due_ns[i] = trp_sim_now(world.sim) + world.delay_ns * (i + 1);
        }
    }
}

static void release(void *arg, struct trp_worker *worker, struct trp_rx *rx)
{
    (void)arg;
    (void)worker;
    (void)rx;
    world.rx_released++;
}

static void deliver(void *arg, struct trp_worker *worker, uint64_t now_ns)
{
    (void)arg;
    for (uint32_t i = 0; worker == world.worker && i < 8; i++) {
        struct trp_op *op = world.armed[i];
        if (op == NULL) {
            continue;
        }
        if (world.is_rx_wanted) {
            world.is_rx_wanted = false;
            world.rx.op = op;
            trp_worker_complete_rx(worker, &world.rx);
        }
        if (world.due_ns[i] <= now_ns) {
            world.armed[i] = NULL;
            op->result = -ECANCELED; /* memory of the old life */
            op->is_armed = false;
            world.last_final_ns = now_ns;
            trp_worker_complete_op(worker, op);
        }
    }
}

static uint64_t next_ns(void *arg, struct trp_worker *worker)
{
    uint64_t soonest_ns = UINT64_MAX;
    (void)arg;
    for (uint32_t i = 0; worker == world.worker && i < 8; i++) {
        if (world.armed[i] != NULL && world.due_ns[i] < soonest_ns) {
            soonest_ns = world.due_ns[i];
        }
    }
    return soonest_ns;
}

/* --- the actor --- */

struct watchman {
    struct trp_op ops[OPS];
    struct troupe_timer beat;
    uint32_t mark;
};

static void orphaned(struct troupe_ctx *ctx, struct trp_op *op)
{
    (void)ctx;
    TROUPE_ASSERT(op->kind == TRP_OP_POLL); /* the state is still there */
    world.orphans++;
}

static enum troupe_status begin(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct watchman *mine = state;
    (void)arg;
    TROUPE_ASSERT(mine->mark == 0);
    mine->mark = 1;
    world.lives++;
    world.ref = troupe_self(ctx);
    world.life_ns = troupe_now(ctx);
    for (uint32_t i = 0; i < OPS; i++) {
        mine->ops[i].kind = TRP_OP_POLL;
        mine->ops[i].orphan_cb = orphaned;
        trp_op_submit(ctx, &mine->ops[i]);
    }
    troupe_timer_start(ctx, &mine->beat, MS, MS, MSG_BEAT);
    return TROUPE_OK;
}

static enum troupe_verdict receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)ctx;
    (void)state;
    world.pings += msg->type == MSG_PING ? 1 : 0;
    return msg->type == MSG_FAIL ? TROUPE_FAIL : TROUPE_CONTINUE;
}

static void end(struct troupe_ctx *ctx, void *state, enum troupe_down_reason reason)
{
    (void)ctx;
    (void)state;
    (void)reason;
    world.ends++;
}

static const struct troupe_actor_type watchman_type = {.name = "watchman",
                                                       .state_size = sizeof(struct watchman),
                                                       .init_cb = begin,
                                                       .receive_cb = receive,
                                                       .terminate_cb = end};

static void tell(uint16_t type)
{
    struct troupe_msg *msg = troupe_port_msg_new(world.port, type, 0);
    assert_non_null(msg);
    assert_int_equal(troupe_port_send(world.port, world.ref, &msg), TROUPE_OK);
}

static const struct trp_sim_io io = {NULL, submit, cancel, release, deliver, next_ns};

static troupe_ref
open_world(uint64_t seed, uint64_t delay_ns, const struct troupe_child_spec *child)
{
    struct troupe_pool_config config = {.workers = 2};
    struct troupe_supervisor_spec spec = {.intensity_max = 5, .children = child, .child_count = 1};
    troupe_ref supervisor;
    memset(&world, 0, sizeof(world));
    world.delay_ns = delay_ns;
    world.sim = trp_sim_create(seed, &config, &io);
    assert_non_null(world.sim);
    struct troupe_pool *pool = trp_sim_pool(world.sim);
    assert_int_equal(troupe_port_open(pool, &world.port), TROUPE_OK);
    assert_int_equal(troupe_pool_spawn(pool, &supervisor, 0, &troupe_supervisor_type, &spec),
                     TROUPE_OK);
    trp_sim_start(world.sim);
    (void)trp_sim_run(world.sim, trp_sim_now(world.sim) + 10 * MS);
    assert_int_equal(world.lives, 1);
    return supervisor;
}

static void run_ms(uint64_t ms)
{
    (void)trp_sim_run(world.sim, trp_sim_now(world.sim) + ms * MS);
}

static void a_restart_waits_for_the_kernel(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct troupe_child_spec child = {.type = &watchman_type, .worker = (uint32_t)(seed % 2)};
        (void)open_world(seed, seed % 3 * 5 * MS, &child);
        world.is_rx_wanted = true; /* a buffer may lie in the mailbox when it fails */
        tell(MSG_PING);
        tell(MSG_FAIL);
        tell(MSG_PING);
        run_ms(100);
        assert_int_equal(world.lives, 2);
        assert_int_equal(world.ends, 1);
        assert_int_equal(world.pings, 2);
        assert_int_equal(world.orphans, OPS);
        assert_int_equal(world.rx_released, 1);
        assert_true(world.life_ns >= world.last_final_ns);
        trp_sim_stop(world.sim);
        assert_int_equal(world.orphans, 2 * OPS);
        trp_sim_destroy(world.sim);
    }
}

/* The pool ends while the restart still waits for the kernel. */
static void the_pool_may_end_meanwhile(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct troupe_child_spec child = {.type = &watchman_type, .worker = (uint32_t)(seed % 2)};
        (void)open_world(seed, 1 * MS, &child);
        tell(MSG_FAIL);
        tell(MSG_PING);
        for (uint64_t steps = seed % 12; steps > 0; steps--) {
            (void)trp_sim_step(world.sim);
        }
        trp_sim_stop(world.sim);
        assert_int_equal(world.orphans, world.lives * OPS);
        assert_int_equal(world.ends, world.lives);
        trp_sim_destroy(world.sim);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_restart_waits_for_the_kernel),
        cmocka_unit_test(the_pool_may_end_meanwhile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
