/*
 * Meetings that the crowd (crowd.h) comes upon too seldom, each over many seeds: a message with a
 * drain, two requests for the same link, a failure with somebody who waits for room.
 */

#include "tests/cmocka.h"

#include "pool/sim.h"

#include <string.h>
#include <troupe/assert.h>
#include <troupe/supervise.h>

#define SEEDS   300u
#define QUEUED  60u
#define LOG_MAX 128u
#define SOON_NS 1000000u
#define STEPS   100000u /* of one meeting; more means that it never happens */

enum { MSG_NUMBER = 1, MSG_SEND, MSG_DRAIN, MSG_KILL, MSG_TICK, MSG_EXIT, MSG_ROOM, MSG_DEADLY };

static struct {
    struct trp_sim *sim;
    struct troupe_port *port;
    troupe_ref child; /* supervised, on worker 0 */
    uint32_t lives;   /* of it */
    uint32_t log[LOG_MAX];
    uint32_t logged;
    uint32_t reported; /* numbers */
    uint32_t reported_number;
    enum troupe_drop_reason reason;
    enum troupe_status last_send;
    /* links */
    troupe_ref trapper;
    troupe_ref loser;
    enum troupe_verdict last_verdict; /* of the loser */
    bool has_asked;                   /* the trapper, for the link */
    bool is_crossing;
    uint32_t exits[TROUPE_DOWN_UNKNOWN + 1];
    uint32_t exits_before; /* it asked */
    /* room */
    uint32_t notices;
    struct troupe_room room;
} world;

static void dead_letter(void *arg, const struct troupe_msg *msg, enum troupe_drop_reason reason)
{
    (void)arg;
    if (msg->type == MSG_NUMBER) {
        memcpy(&world.reported_number, troupe_msg_data(msg), sizeof(world.reported_number));
        world.reported++;
        world.reason = reason;
    }
}

static void open_world(uint64_t seed)
{
    struct troupe_pool_config config = {
        .workers = 2, .memory_max = 64u << 20, .dead_letter_cb = dead_letter};
    memset(&world, 0, sizeof(world));
    world.sim = trp_sim_create(seed, &config, NULL);
    assert_non_null(world.sim);
    trp_sim_set_check_budget(world.sim, UINT32_MAX);
    assert_int_equal(troupe_port_open(trp_sim_pool(world.sim), &world.port), TROUPE_OK);
}

static troupe_ref add(uint32_t worker, const struct troupe_actor_type *type, const void *arg)
{
    troupe_ref ref;
    assert_int_equal(troupe_pool_spawn(trp_sim_pool(world.sim), &ref, worker, type, arg),
                     TROUPE_OK);
    return ref;
}

/* What the specs point at must stay valid. */
static struct troupe_child_spec child_spec;
static struct troupe_supervisor_spec supervisor_spec;

/* The child of a supervisor on its own worker, restarted at once after any end. */
static void add_child(uint32_t worker, const struct troupe_actor_type *type)
{
    child_spec = (struct troupe_child_spec){.type = type, .worker = worker};
    supervisor_spec = (struct troupe_supervisor_spec){
        .intensity_max = 5, .children = &child_spec, .child_count = 1};
    (void)add(worker, &troupe_supervisor_type, &supervisor_spec);
}

static void settle(void)
{
    for (uint32_t steps = 0; trp_sim_step(world.sim); steps++) {
        assert_true(steps < STEPS);
    }
}

/* Goes on until the condition holds. */
#define STEP_UNTIL(condition)                                                                      \
    do {                                                                                           \
        for (uint32_t steps = 0; !(condition); steps++) {                                          \
            assert_true(steps < STEPS);                                                            \
            assert_true(trp_sim_step(world.sim));                                                  \
        }                                                                                          \
    } while (0)

/* From outside: an order for a messenger. */
static void post(troupe_ref to, uint16_t type, uint32_t first, uint32_t last)
{
    uint32_t numbers[2] = {first, last};
    struct troupe_msg *msg = troupe_port_msg_new(world.port, type, sizeof(numbers));
    assert_non_null(msg);
    memcpy(troupe_msg_data(msg), numbers, sizeof(numbers));
    assert_int_equal(troupe_port_send(world.port, to, &msg), TROUPE_OK);
}

static void close_world(void)
{
    trp_sim_stop(world.sim);
    assert_int_equal(trp_sim_live_nodes(world.sim, 1024), 0);
    trp_sim_destroy(world.sim);
}

static struct trp_cell *cell_of(troupe_ref ref)
{
    struct troupe_pool *pool = trp_sim_pool(world.sim);
    return trp_cells_find(&pool->workers[troupe_ref_worker(ref)].cells, ref);
}

/* --- a message meets a drain that is cut short --- */

static enum troupe_status child_begin(struct troupe_ctx *ctx, void *state, const void *arg)
{
    (void)state;
    (void)arg;
    world.child = troupe_self(ctx);
    world.lives++;
    return TROUPE_OK;
}

static enum troupe_verdict log_number(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)ctx;
    (void)state;
    TROUPE_ASSERT(msg->type == MSG_NUMBER && world.logged < LOG_MAX);
    memcpy(&world.log[world.logged++], troupe_msg_data(msg), sizeof(world.log[0]));
    return TROUPE_YIELD; /* one a turn */
}

static const struct troupe_actor_type logger = {
    .name = "logger", .init_cb = child_begin, .receive_cb = log_number};

static enum troupe_verdict obey(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    uint32_t numbers[2];
    (void)state;
    memcpy(numbers, troupe_msg_data(msg), sizeof(numbers));
    if (msg->type == MSG_DRAIN) {
        troupe_drain(ctx, world.child);
    } else if (msg->type == MSG_KILL) {
        troupe_kill(ctx, world.child);
    } else {
        for (uint32_t i = numbers[0]; i <= numbers[1]; i++) {
            world.last_send = troupe_send_copy(ctx, world.child, MSG_NUMBER, &i, sizeof(i));
        }
    }
    return TROUPE_CONTINUE;
}

static const struct troupe_actor_type messenger = {.name = "messenger", .receive_cb = obey};

static void check_log(void)
{
    assert_int_equal(world.logged, QUEUED + 2);
    for (uint32_t i = 0; i < QUEUED; i++) {
        assert_int_equal(world.log[i], i + 1);
    }
    assert_int_equal(world.log[QUEUED], 200);
    assert_int_equal(world.log[QUEUED + 1], 201);
    assert_int_equal(world.reported, 1);
}

static void a_message_that_meets_a_drain_is_reported_once(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        open_world(seed);
        add_child(0, &logger);
        troupe_ref near = add(0, &messenger, NULL);
        troupe_ref far = add(1, &messenger, NULL);
        trp_sim_start(world.sim);
        settle();
        post(seed % 2 == 0 ? near : far, MSG_SEND, 1, QUEUED);
        STEP_UNTIL(world.logged > 0);
        post(seed % 3 == 0 ? near : far, MSG_DRAIN, 0, 0);
        STEP_UNTIL(cell_of(world.child)->status == TRP_CELL_DRAINING);

        /* from another worker: accepted, then reported; from its own: refused */
        post(far, MSG_SEND, 100, 100);
        STEP_UNTIL(world.reported == 1);
        assert_int_equal(world.reported_number, 100);
        assert_int_equal(world.reason, TROUPE_DROP_STOPPED);
        assert_int_equal(world.last_send, TROUPE_OK);
        post(near, MSG_SEND, 101, 101);
        STEP_UNTIL(world.last_send != TROUPE_OK);
        assert_int_equal(world.last_send, TROUPE_ECLOSED);
        assert_int_equal(cell_of(world.child)->status, TRP_CELL_DRAINING);
        assert_true(world.logged < QUEUED);

        /* the next life gets what the drain left and what comes after it */
        post(far, MSG_KILL, 0, 0);
        STEP_UNTIL(world.lives == 2);
        assert_true(world.logged < QUEUED);
        post(seed % 2 == 0 ? near : far, MSG_SEND, 200, 201);
        settle();
        check_log();
        close_world();
    }
}

/* --- two who ask each other for a link --- */

static enum troupe_verdict ask_and_feel(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)state;
    if (msg->type == MSG_EXIT) {
        struct troupe_down down;
        memcpy(&down, troupe_msg_data(msg), sizeof(down));
        TROUPE_ASSERT(down.ref == world.loser);
        world.exits[down.reason]++;
        return TROUPE_CONTINUE;
    }
    world.exits_before = world.exits[TROUPE_DOWN_FAILED] + world.exits[TROUPE_DOWN_NORMAL];
    world.has_asked = true;
    TROUPE_ASSERT(troupe_link(ctx, world.loser) == TROUPE_OK);
    return TROUPE_CONTINUE;
}

static enum troupe_status trapper_begin(struct troupe_ctx *ctx, void *state, const void *arg)
{
    (void)arg;
    world.trapper = troupe_self(ctx);
    troupe_timer_start(ctx, state, SOON_NS, 0, MSG_TICK);
    return troupe_trap_exits(ctx, MSG_EXIT);
}

static const struct troupe_actor_type trapper = {.name = "trapper",
                                                 .state_size = sizeof(struct troupe_timer),
                                                 .init_cb = trapper_begin,
                                                 .receive_cb = ask_and_feel};

/* Its last words: the request is on its way when its end is. */
static enum troupe_verdict ask_and_end(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)state;
    (void)msg;
    world.is_crossing = world.has_asked && cell_of(world.loser)->extra.watchers == NULL;
    TROUPE_ASSERT(troupe_link(ctx, world.trapper) == TROUPE_OK);
    return world.last_verdict;
}

static enum troupe_status loser_begin(struct troupe_ctx *ctx, void *state, const void *arg)
{
    (void)arg;
    world.loser = troupe_self(ctx);
    if (++world.lives == 1) {
        troupe_timer_start(ctx, state, SOON_NS, 0, MSG_TICK);
    }
    return TROUPE_OK;
}

static const struct troupe_actor_type loser = {.name = "loser",
                                               .state_size = sizeof(struct troupe_timer),
                                               .init_cb = loser_begin,
                                               .receive_cb = ask_and_end};

/* Returns whether the requests crossed. */
static bool let_them_link(uint64_t seed, bool is_supervised, enum troupe_verdict verdict)
{
    enum troupe_down_reason felt = verdict == TROUPE_FAIL ? TROUPE_DOWN_FAILED : TROUPE_DOWN_NORMAL;
    open_world(seed);
    world.last_verdict = verdict;
    (void)add((uint32_t)(seed % 2), &trapper, NULL);
    if (is_supervised) {
        add_child((uint32_t)(1 - seed % 2), &loser);
    } else {
        (void)add((uint32_t)(1 - seed % 2), &loser, NULL);
    }
    trp_sim_start(world.sim);
    settle();
    assert_true(world.has_asked);
    assert_int_equal(world.lives, is_supervised ? 2 : 1);
    assert_int_equal(world.exits[felt], 1);
    /* who asks after it heard of the end asks the dead, or the next life */
    assert_int_equal(world.exits[TROUPE_DOWN_UNKNOWN], is_supervised ? 0 : world.exits_before);
    if (world.exits_before == 0) {
        assert_int_equal(cell_of(world.trapper)->extra.watchers, NULL);
        assert_true(!is_supervised || cell_of(world.loser)->extra.watchers == NULL);
    }
    bool is_crossing = world.is_crossing;
    close_world();
    return is_crossing;
}

/*
 * Of requests that cross one is dropped, by the smaller ref, and nothing else of that one's link
 * ever arrives but its end: that end is the other link's.
 */
static void the_end_of_a_dropped_request_is_felt(void **state)
{
    (void)state;
    uint32_t crossings[2] = {0, 0}; /* by the worker of the trapper: on 0 it drops the request */
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        for (uint32_t kind = 0; kind < 4; kind++) {
            enum troupe_verdict verdict = kind < 2 ? TROUPE_FAIL : TROUPE_STOP;
            crossings[seed % 2] += let_them_link(seed, kind % 2 == 1, verdict) ? 1 : 0;
        }
    }
    assert_true(crossings[0] > SEEDS / 10);
    assert_true(crossings[1] > SEEDS / 10);
}

/* --- a receiver fails with the last message, and somebody waits for room --- */

static enum troupe_verdict fail_on_it(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)ctx;
    (void)state;
    return msg->type == MSG_DEADLY ? TROUPE_FAIL : TROUPE_CONTINUE;
}

static const struct troupe_actor_type narrow = {
    .name = "narrow", .data_count_max = 1, .init_cb = child_begin, .receive_cb = fail_on_it};

static enum troupe_verdict
fill_and_wait(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)state;
    if (msg->type == MSG_ROOM) {
        world.notices++;
        memcpy(&world.room, troupe_msg_data(msg), sizeof(world.room));
        return TROUPE_CONTINUE;
    }
    TROUPE_ASSERT(troupe_send_copy(ctx, world.child, MSG_DEADLY, NULL, 0) == TROUPE_OK);
    TROUPE_ASSERT(troupe_send_copy(ctx, world.child, MSG_DEADLY, NULL, 0) == TROUPE_EBUSY);
    TROUPE_ASSERT(troupe_await_room(ctx, world.child, MSG_ROOM) == TROUPE_OK);
    return TROUPE_CONTINUE;
}

static const struct troupe_actor_type waiter = {.name = "waiter", .receive_cb = fill_and_wait};

static void a_receiver_that_begins_anew_empty_tells_who_waits(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        open_world(seed);
        add_child(0, &narrow);
        troupe_ref near = add(0, &waiter, NULL);
        trp_sim_start(world.sim);
        settle();
        post(near, MSG_SEND, 0, 0);
        settle();
        assert_int_equal(world.lives, 2);
        assert_int_equal(world.notices, 1);
        assert_int_equal(world.room.status, TROUPE_OK);
        close_world();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_that_meets_a_drain_is_reported_once),
        cmocka_unit_test(the_end_of_a_dropped_request_is_felt),
        cmocka_unit_test(a_receiver_that_begins_anew_empty_tells_who_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
