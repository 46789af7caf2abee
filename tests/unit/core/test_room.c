/*
 * Waiting for room in a bounded mailbox: one notice per wait, in order, no herd, nobody forgotten,
 * whoever dies. All in the simulation.
 */

#include "tests/cmocka.h"

#include "pool/sim.h"

#include <string.h>
#include <troupe/assert.h>
#include <troupe/relations.h>
#include <troupe/supervise.h>

#define SENDERS 50u
#define BOUND   256u
#define SEEDS   100u
#define LOG_MAX 4096u
#define STEPS   400u

enum { MSG_ITEM = 1, MSG_SEND, MSG_WAIT, MSG_FILL, MSG_FAIL, MSG_QUIT, MSG_ROOM, MSG_HOARD };

/* What a sender does when it is told of room. */
enum manner {
    IDLE,   /* nothing */
    GREEDY, /* sends until it is refused, then waits again */
    POLITE, /* sends a few, then waits again */
};

struct sender {
    uint32_t who;
    bool has_begun;
};

/* What a test sees of a sender, over all its lives. */
struct book {
    troupe_ref ref;
    enum manner manner;
    uint32_t quota; /* still to be sent */
    uint32_t waits;
    uint32_t notices;
    struct troupe_room newest;
    enum troupe_status last_await;
    uint32_t lives;
};

static struct {
    struct trp_sim *sim;
    struct troupe_port *port;
    troupe_ref sink;
    bool is_held;             /* the sink keeps what it has */
    uint32_t handled;         /* by the sink */
    uint32_t handled_at_told; /* when the first notice was handled */
    uint32_t told[LOG_MAX];   /* who, in this order */
    uint32_t told_count;
    uint32_t vain; /* notices of which nothing could be made */
    uint32_t reported;
    uint32_t refusals; /* waits that could not begin for want of memory */
    uint32_t sink_lives;
    uint32_t sink_lives_at_told; /* when the newest notice was handled */
    struct book books[SENDERS];
} world;

static uint32_t bound_now = BOUND;

/* Calls of the system heap, see the link options. */
static uint32_t heap_calls;

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);

void *__wrap_malloc(size_t bytes)
{
    heap_calls++;
    return __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
    heap_calls++;
    return __real_calloc(count, bytes);
}

/* --- actors --- */

static enum troupe_status sink_begin(struct troupe_ctx *ctx, void *state, const void *arg)
{
    (void)state;
    (void)arg;
    world.sink = troupe_self(ctx);
    world.sink_lives++;
    return TROUPE_OK;
}

/* Held, it puts each message back behind the others, so that its lane stays as full as it is. */
static enum troupe_verdict sink_receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)state;
    if (world.is_held && troupe_send(ctx, troupe_self(ctx), &msg) == TROUPE_OK) {
        return TROUPE_YIELD;
    }
    if (msg->type == MSG_FAIL) {
        return TROUPE_FAIL;
    }
    world.handled++;
    return TROUPE_CONTINUE;
}

static struct troupe_actor_type sink_type = {
    .name = "sink", .data_count_max = BOUND, .init_cb = sink_begin, .receive_cb = sink_receive};

static void wait_for(struct troupe_ctx *ctx, struct book *book, troupe_ref ref)
{
    book->last_await = troupe_await_room(ctx, ref, MSG_ROOM);
    book->waits += book->last_await == TROUPE_OK ? 1 : 0;
}

/* Sends up to `most`; false when it was refused. */
static bool send_some(struct troupe_ctx *ctx, struct book *book, uint32_t most)
{
    for (; most > 0 && book->quota > 0; most--) {
        enum troupe_status status = troupe_send_copy(ctx, world.sink, MSG_ITEM, NULL, 0);
        if (status == TROUPE_EBUSY) {
            return false;
        }
        TROUPE_ASSERT(status == TROUPE_OK || status == TROUPE_EDEAD || status == TROUPE_ECLOSED);
        book->quota--;
    }
    return true;
}

static void go_on(struct troupe_ctx *ctx, struct book *book)
{
    uint32_t before = book->quota;
    if (book->manner == IDLE) {
        return;
    }
    (void)send_some(ctx, book, book->manner == GREEDY ? UINT32_MAX : 3);
    world.vain += book->quota == before ? 1 : 0;
    if (book->quota > 0) {
        wait_for(ctx, book, world.sink);
    }
}

static void told(struct troupe_ctx *ctx, struct book *book, const struct troupe_msg *msg)
{
    TROUPE_ASSERT(msg->size == sizeof(book->newest));
    memcpy(&book->newest, troupe_msg_data(msg), sizeof(book->newest));
    if (world.told_count == 0) {
        world.handled_at_told = world.handled;
    }
    if (world.told_count < LOG_MAX) {
        world.told[world.told_count++] = (uint32_t)(book - world.books);
    }
    book->notices++;
    world.sink_lives_at_told = world.sink_lives;
    if (book->newest.status == TROUPE_OK) {
        go_on(ctx, book);
    }
}

static enum troupe_status sender_begin(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct sender *sender = state;
    memcpy(&sender->who, arg, sizeof(sender->who));
    sender->has_begun = true;
    world.books[sender->who].ref = troupe_self(ctx);
    world.books[sender->who].lives++;
    return TROUPE_OK;
}

/*
 * Takes all memory there is, then gives it back piece by piece until a wait can begin; returns how
 * often it could not.
 */
static uint32_t wait_without_memory(struct troupe_ctx *ctx, struct book *book)
{
    struct troupe_msg *hoard = NULL;
    struct troupe_msg *msg;
    uint32_t refusals = 0;
    for (uint32_t size = 1024; size > 0; size /= 2) {
        while ((msg = troupe_msg_new(ctx, MSG_ITEM, size)) != NULL) {
            msg->next = hoard;
            hoard = msg;
        }
    }
    while (hoard != NULL) {
        wait_for(ctx, book, world.sink);
        if (book->last_await == TROUPE_ENOMEM) {
            refusals++;
        }
        do { /* one per try, then all of them */
            msg = hoard;
            hoard = msg->next;
            troupe_msg_free(ctx, msg);
        } while (hoard != NULL && book->last_await == TROUPE_OK);
    }
    return refusals;
}

static enum troupe_verdict
sender_receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct sender *sender = state;
    struct book *book = &world.books[sender->who];
    troupe_ref ref = world.sink;
    TROUPE_ASSERT(sender->has_begun);
    switch (msg->type) {
    case MSG_SEND:
        go_on(ctx, book);
        return TROUPE_CONTINUE;
    case MSG_WAIT:
        memcpy(&ref, troupe_msg_data(msg), sizeof(ref));
        wait_for(ctx, book, ref);
        return TROUPE_CONTINUE;
    case MSG_FILL:
        while (troupe_send_copy(ctx, world.sink, MSG_ITEM, NULL, 0) == TROUPE_OK) {
        }
        return TROUPE_CONTINUE;
    case MSG_ROOM:
        told(ctx, book, msg);
        return TROUPE_CONTINUE;
    case MSG_HOARD:
        world.refusals = wait_without_memory(ctx, book);
        return TROUPE_CONTINUE;
    case MSG_FAIL:
        return TROUPE_FAIL;
    default:
        TROUPE_ASSERT(msg->type == MSG_QUIT);
        return TROUPE_STOP;
    }
}

/* When the pool stops no wait begins any more. */
static void sender_end(struct troupe_ctx *ctx, void *state, enum troupe_down_reason reason)
{
    struct sender *sender = state;
    if (reason == TROUPE_DOWN_SHUTDOWN) {
        TROUPE_ASSERT(troupe_await_room(ctx, world.sink, MSG_ROOM) == TROUPE_ECLOSED);
    }
    sender->has_begun = false;
}

static const struct troupe_actor_type sender_type = {.name = "sender",
                                                     .state_size = sizeof(struct sender),
                                                     .init_cb = sender_begin,
                                                     .receive_cb = sender_receive,
                                                     .terminate_cb = sender_end};

/* --- the world --- */

static void dead_letter(void *arg, const struct troupe_msg *msg, enum troupe_drop_reason reason)
{
    (void)arg;
    TROUPE_ASSERT(msg->type == MSG_ITEM || msg->type == MSG_FAIL || msg->type == MSG_QUIT ||
                  reason == TROUPE_DROP_SHUTDOWN || msg->type == MSG_SEND);
    world.reported++;
}

static void open_world_with(uint64_t seed, uint32_t workers, uint64_t memory_max)
{
    struct troupe_pool_config config = {
        .workers = workers, .memory_max = memory_max, .dead_letter_cb = dead_letter};
    memset(&world, 0, sizeof(world));
    world.sim = trp_sim_create(seed, &config, NULL);
    assert_non_null(world.sim);
    trp_sim_set_check_budget(world.sim, 64);
    assert_int_equal(troupe_port_open(trp_sim_pool(world.sim), &world.port), TROUPE_OK);
    sink_type.data_count_max = bound_now;
}

static void open_world(uint64_t seed, uint32_t workers)
{
    open_world_with(seed, workers, 256u << 20);
}

static void add_sink(uint32_t worker)
{
    assert_int_equal(
        troupe_pool_spawn(trp_sim_pool(world.sim), &world.sink, worker, &sink_type, NULL),
        TROUPE_OK);
}

static uint32_t numbers[SENDERS]; /* init reads them when the pool starts */

static void add_sender(uint32_t who, uint32_t worker, enum manner manner, uint32_t quota)
{
    numbers[who] = who;
    world.books[who].manner = manner;
    world.books[who].quota = quota;
    assert_int_equal(troupe_pool_spawn(trp_sim_pool(world.sim), &world.books[who].ref, worker,
                                       &sender_type, &numbers[who]),
                     TROUPE_OK);
}

static void add_supervised(const struct troupe_child_spec *child)
{
    /* init reads them when the pool starts */
    static struct troupe_child_spec children[1];
    static struct troupe_supervisor_spec spec;
    troupe_ref supervisor;
    children[0] = *child;
    spec = (struct troupe_supervisor_spec){.strategy = TROUPE_ONE_FOR_ONE,
                                           .intensity_max = 3,
                                           .period_ns = 1000000000,
                                           .children = children,
                                           .child_count = 1};
    assert_int_equal(
        troupe_pool_spawn(trp_sim_pool(world.sim), &supervisor, 0, &troupe_supervisor_type, &spec),
        TROUPE_OK);
}

/* A sink and sender 0 on worker 0 and idle senders 1, 2 ... on either, as the seed has it. */
static void open_scene(uint64_t seed, uint32_t idle_count)
{
    open_world(seed, 2);
    add_sink(0);
    add_sender(0, 0, IDLE, 0);
    for (uint32_t i = 1; i <= idle_count; i++) {
        add_sender(i, (uint32_t)(seed >> (i - 1)) % 2, IDLE, 0);
    }
}

static void step(uint32_t steps)
{
    for (uint32_t i = 0; i < steps && trp_sim_step(world.sim); i++) {
    }
}

/* Until nothing can happen any more; only without timers and with a sink that is not held. */
static void settle(void)
{
    assert_false(world.is_held);
    uint32_t steps = 0;
    while (trp_sim_step(world.sim)) {
        assert_true(++steps < 4000000);
    }
}

static void post(troupe_ref to, uint16_t type, troupe_ref value)
{
    struct troupe_msg *msg = troupe_port_msg_new(world.port, type, sizeof(value));
    assert_non_null(msg);
    memcpy(troupe_msg_data(msg), &value, sizeof(value));
    enum troupe_status status;
    while ((status = troupe_port_send(world.port, to, &msg)) == TROUPE_EBUSY) {
        assert_true(trp_sim_step(world.sim));
    }
    assert_int_equal(status, TROUPE_OK);
}

static void command(uint32_t who, uint16_t type)
{
    post(world.books[who].ref, type, world.sink);
}

/* The simulation checks that no message was lost; nodes are counted here. */
static void close_world(void)
{
    world.is_held = false;
    trp_sim_stop(world.sim);
    assert_int_equal(trp_sim_live_nodes(world.sim, 1024), 0);
    trp_sim_destroy(world.sim);
}

/* Sender 0 fills the sink, which keeps it all. */
static void fill_and_hold(void)
{
    trp_sim_start(world.sim);
    world.is_held = true;
    command(0, MSG_FILL);
    step(STEPS);
    assert_int_equal(world.handled, 0);
}

/* --- what a wait delivers --- */

static void one_notice_comes_when_half_of_the_lane_is_free(uint64_t seed)
{
    open_scene(seed, 1);
    fill_and_hold();
    command(1, MSG_WAIT);
    step(STEPS);
    assert_int_equal(world.books[1].waits, 1);
    assert_int_equal(world.books[1].notices, 0);
    world.is_held = false;
    settle();
    assert_int_equal(world.books[1].notices, 1);
    assert_int_equal(world.books[1].newest.status, TROUPE_OK);
    assert_true(world.books[1].newest.ref == world.sink);
    assert_true(world.handled_at_told >= BOUND / 2);
    assert_int_equal(world.handled, BOUND);
}

static void it_comes_at_once_when_there_is_room(uint64_t seed)
{
    open_world(seed, 2);
    add_sink(0);
    add_sender(0, (uint32_t)(seed % 2), IDLE, 0);
    trp_sim_start(world.sim);
    command(0, MSG_WAIT);
    command(0, MSG_WAIT);
    settle();
    assert_int_equal(world.books[0].waits, 2);
    assert_int_equal(world.books[0].notices, 2); /* one per wait */
    assert_int_equal(world.books[0].newest.status, TROUPE_OK);
}

/* Nobody who is told sends anything: each hands the chance on. */
static void all_are_told_in_the_order_of_asking(uint64_t seed)
{
    open_world(seed, 1);
    add_sink(0);
    for (uint32_t i = 0; i < SENDERS; i++) {
        add_sender(i, 0, IDLE, 0);
    }
    fill_and_hold();
    for (uint32_t i = 0; i < SENDERS; i++) {
        command(i, MSG_WAIT);
        step(STEPS);
    }
    assert_int_equal(world.told_count, 0);
    world.is_held = false;
    settle();
    assert_int_equal(world.told_count, SENDERS);
    for (uint32_t i = 0; i < SENDERS; i++) {
        assert_int_equal(world.told[i], i);
    }
}

/* Each fills the lane by itself: to tell more than one is in vain. */
static void greedy_senders_are_not_woken_in_vain(uint64_t seed)
{
    open_world(seed, 1);
    add_sink(0);
    for (uint32_t i = 0; i < SENDERS; i++) {
        add_sender(i, 0, GREEDY, 5 * BOUND);
    }
    trp_sim_start(world.sim);
    /* those told before left all of it free: it tells many at a time now */
    world.books[0].manner = IDLE;
    for (uint32_t i = 0; i < 20; i++) {
        command(0, MSG_WAIT);
        settle();
    }
    world.books[0].manner = GREEDY;
    world.told_count = 0;
    for (uint32_t i = 0; i < SENDERS; i++) {
        command(i, MSG_SEND);
    }
    step(STEPS); /* all have waited once: core has its table */
    assert_true(heap_calls > 0);
    heap_calls = 0;
    settle();
    assert_int_equal(heap_calls, 0);
    assert_int_equal(world.handled, SENDERS * 5 * BOUND);
    /* each began in vain but the first; from then on hardly any */
    assert_true(world.vain < SENDERS + world.told_count / 20);
    assert_true(world.told_count < SENDERS * 15);
}

static void a_wait_without_memory_is_refused_and_leaves_nothing(uint64_t seed)
{
    open_world_with(seed, 1, 2u << 20);
    add_sink(0);
    add_sender(0, 0, IDLE, 0);
    trp_sim_start(world.sim);
    command(0, MSG_WAIT);
    settle();
    assert_int_equal(world.books[0].notices, 1);
    command(0, MSG_HOARD);
    settle();
    assert_true(world.refusals >= 2); /* for either node */
    assert_int_equal(world.books[0].waits, 2);
    assert_int_equal(world.books[0].notices, 2);
}

/* --- who waits ends --- */

static void a_wait_ends_with_its_actor(uint64_t seed)
{
    open_scene(seed, 5);
    fill_and_hold();
    for (uint32_t i = 1; i <= 5; i++) {
        command(i, MSG_WAIT);
        step(STEPS);
    }
    bool is_in_flight = seed % 3 == 0;
    world.is_held = !is_in_flight;
    step(is_in_flight ? (uint32_t)seed / 3 : 0);
    command(1, MSG_QUIT);
    command(3, MSG_FAIL);
    command(5, MSG_QUIT);
    step(is_in_flight ? 0 : STEPS);
    world.is_held = false;
    settle();
    assert_true(is_in_flight || world.told_count == 2);
    assert_int_equal(world.books[2].notices, 1);
    assert_int_equal(world.books[4].notices, 1);
}

/* The next life hears nothing of the waits of the one before. */
static void a_restarted_waiter_is_not_told(uint64_t seed)
{
    static const uint32_t who = 1;
    struct troupe_child_spec child = {.type = &sender_type,
                                      .arg = &who,
                                      .arg_len = sizeof(who),
                                      .worker = (uint32_t)(seed % 2),
                                      .restart = TROUPE_PERMANENT};
    open_scene(seed, 0);
    add_supervised(&child);
    fill_and_hold();
    command(1, MSG_WAIT);
    step(STEPS);
    assert_int_equal(world.books[1].waits, 1);
    command(1, MSG_FAIL);
    world.is_held = seed % 4 < 2;
    step(STEPS);
    world.is_held = false;
    settle();
    assert_int_equal(world.books[1].lives, 2);
    assert_true(world.books[1].notices == 0 || !(seed % 4 < 2)); /* it may win that race */
    command(1, MSG_WAIT);
    settle();
    assert_true(world.books[1].notices >= 1);
}

/* --- the receiver ends --- */

static void the_dead_are_answered_for(uint64_t seed)
{
    open_scene(seed, 2);
    fill_and_hold();
    command(1, MSG_WAIT);
    command(2, MSG_WAIT);
    step(STEPS);
    world.is_held = false;
    post(world.sink, MSG_FAIL, 0); /* when it gets there: told before, or answered for */
    settle();
    assert_int_equal(world.books[1].notices, 1);
    assert_int_equal(world.books[2].notices, 1);
    /* and whoever asks afterwards, for this one or for nobody at all */
    command(1, MSG_WAIT);
    post(world.books[2].ref, MSG_WAIT, seed % 3 == 0 ? TROUPE_NOBODY : (troupe_ref)255 << 56);
    settle();
    assert_int_equal(world.books[1].notices, 2);
    assert_int_equal(world.books[1].newest.status, TROUPE_EDEAD);
    assert_int_equal(world.books[2].notices, 2);
    assert_int_equal(world.books[2].newest.status, TROUPE_EDEAD);
}

/* Ends the sink while it is held: a verb is a control message, it needs no room. */
static enum troupe_verdict
ender_receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)state;
    if (msg->type == MSG_QUIT) {
        troupe_drain(ctx, world.sink);
    } else {
        troupe_kill(ctx, world.sink);
    }
    return TROUPE_CONTINUE;
}

static const struct troupe_actor_type ender_type = {.name = "ender", .receive_cb = ender_receive};

static void waiters_hear_of_a_drain_and_of_a_kill(uint64_t seed)
{
    troupe_ref ender;
    bool is_drain = seed % 8 < 4;
    open_scene(seed, 2);
    assert_int_equal(troupe_pool_spawn(trp_sim_pool(world.sim), &ender, 1, &ender_type, NULL),
                     TROUPE_OK);
    fill_and_hold();
    command(1, MSG_WAIT);
    command(2, MSG_WAIT);
    step(STEPS);
    post(ender, is_drain ? MSG_QUIT : MSG_FAIL, 0);
    step(STEPS);
    for (uint32_t i = 1; i <= 2; i++) {
        assert_int_equal(world.books[i].notices, 1);
        assert_int_equal(world.books[i].newest.status, is_drain ? TROUPE_ECLOSED : TROUPE_EDEAD);
    }
    assert_int_equal(world.reported, is_drain ? 0 : BOUND);
    world.is_held = false;
    settle();
}

static uint32_t outlasted; /* restarts, over the seeds */

static void waiters_outlast_a_restart_of_the_receiver(uint64_t seed)
{
    struct troupe_child_spec child = {.type = &sink_type, .worker = 0, .restart = TROUPE_PERMANENT};
    open_world(seed, 2);
    add_sender(0, 0, IDLE, 0);
    add_sender(1, (uint32_t)(seed % 2), IDLE, 0);
    add_supervised(&child);
    trp_sim_start(world.sim);
    settle();
    world.is_held = true;
    post(world.sink, MSG_FAIL, 0); /* kept somewhere among the others */
    command(0, MSG_FILL);
    command(1, MSG_WAIT);
    step(STEPS);
    world.is_held = false;
    settle();
    assert_int_equal(world.sink_lives, 2);
    outlasted += world.sink_lives_at_told == 2 ? 1 : 0;
    assert_true(seed < SEEDS || outlasted > SEEDS / 4);
    assert_int_equal(world.books[1].waits, 1);
    assert_int_equal(world.books[1].notices, 1);
    assert_int_equal(world.books[1].newest.status, TROUPE_OK);
}

/* --- all of it at once --- */

/* Whatever the bound, the placement and who dies on the way: who lives finishes. */
static void every_sender_finishes(uint64_t seed)
{
    uint32_t workers = 1 + (uint32_t)(seed % 3);
    uint32_t expected = 0;
    bound_now = seed % 5 == 0 ? 1 : 1u << (seed % 10);
    open_world(seed, workers);
    struct trp_random *random = trp_sim_random(world.sim);
    add_sink(0);
    for (uint32_t i = 0; i < SENDERS; i++) {
        add_sender(i, i % workers, trp_random_below(random, 2) == 0 ? GREEDY : POLITE,
                   1 + (uint32_t)trp_random_below(random, 400));
    }
    trp_sim_start(world.sim);
    for (uint32_t i = 0; i < SENDERS; i++) {
        command(i, MSG_SEND);
    }
    for (uint32_t i = 0; i < SENDERS; i += 7) {
        step((uint32_t)trp_random_below(random, 200));
        command(i, MSG_QUIT);
    }
    settle();
    for (uint32_t i = 0; i < SENDERS; i++) {
        const struct book *book = &world.books[i];
        assert_true(i % 7 == 0 || book->quota == 0);
        assert_true(i % 7 == 0 || book->waits == book->notices);
        assert_true(book->notices <= book->waits);
        expected += book->quota;
    }
    assert_true(expected > 0 || world.handled > 0);
}

/* --- the sweeps --- */

struct sweep {
    void (*test)(uint64_t seed); /* from an open_... to where the world can be closed */
    uint64_t seeds;
};

static void run_sweep(void **state)
{
    const struct sweep *sweep = *state;
    for (uint64_t seed = 1; seed <= sweep->seeds; seed++) {
        bound_now = BOUND;
        sweep->test(seed);
        close_world();
    }
}

/* clang-format off */
#define SWEEP(test, seeds) {#test, run_sweep, NULL, NULL, &(struct sweep){test, seeds}}
/* clang-format on */

int main(void)
{
    const struct CMUnitTest tests[] = {
        SWEEP(one_notice_comes_when_half_of_the_lane_is_free, SEEDS),
        SWEEP(it_comes_at_once_when_there_is_room, SEEDS),
        SWEEP(all_are_told_in_the_order_of_asking, SEEDS),
        SWEEP(greedy_senders_are_not_woken_in_vain, 20),
        SWEEP(a_wait_without_memory_is_refused_and_leaves_nothing, 1),
        SWEEP(a_wait_ends_with_its_actor, SEEDS),
        SWEEP(a_restarted_waiter_is_not_told, SEEDS),
        SWEEP(the_dead_are_answered_for, SEEDS),
        SWEEP(waiters_hear_of_a_drain_and_of_a_kill, SEEDS),
        SWEEP(waiters_outlast_a_restart_of_the_receiver, SEEDS),
        SWEEP(every_sender_finishes, SEEDS),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
