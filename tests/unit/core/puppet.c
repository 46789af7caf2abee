#include "tests/unit/core/puppet.h"

#include <string.h>
#include <troupe/assert.h>

struct puppet {
    uint32_t who;
    uint32_t dirt; /* a zeroed state is clean at init */
};

struct order {
    uint64_t value;
    act_fn act;
};

struct world world;

#define ARG(n)                                                                                     \
    {                                                                                              \
        n, PUPPET_CHECK                                                                            \
    }
const struct puppet_arg puppet_args[PUPPETS] = {
    ARG(0),  ARG(1),  ARG(2),  ARG(3),  ARG(4),  ARG(5),  ARG(6),  ARG(7),
    ARG(8),  ARG(9),  ARG(10), ARG(11), ARG(12), ARG(13), ARG(14), ARG(15),
    ARG(16), ARG(17), ARG(18), ARG(19), ARG(20), ARG(21), ARG(22), ARG(23)};

/* --- the actor --- */

static void
note_event(struct troupe_ctx *ctx, uint32_t who, enum event_kind kind, enum troupe_down_reason why)
{
    TROUPE_ASSERT(world.event_count < LOG_MAX);
    world.events[world.event_count++] = (struct event){who, kind, why, troupe_now(ctx)};
}

static enum troupe_status begin(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct puppet *puppet = state;
    const struct puppet_arg *mine = arg;
    TROUPE_ASSERT(mine->check == PUPPET_CHECK);
    struct book *book = &world.books[mine->who];
    book->state_seen |= puppet->who | puppet->dirt;
    puppet->who = mine->who;
    puppet->dirt = 1;
    book->ref = troupe_self(ctx);
    if (book->inits_to_fail > 0) {
        book->inits_to_fail--;
        note_event(ctx, mine->who, EVENT_INIT_FAILED, TROUPE_DOWN_FAILED);
        return TROUPE_EIO;
    }
    book->lives++;
    note_event(ctx, mine->who, EVENT_INIT, TROUPE_DOWN_NORMAL);
    return TROUPE_OK;
}

static void end(struct troupe_ctx *ctx, void *state, enum troupe_down_reason reason)
{
    struct puppet *puppet = state;
    world.books[puppet->who].terminates++;
    note_event(ctx, puppet->who, EVENT_TERMINATE, reason);
}

static void log_value(struct book *book, uint64_t value)
{
    TROUPE_ASSERT(book->logged < LOG_MAX);
    book->log[book->logged++] = value;
}

static enum troupe_verdict receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct puppet *puppet = state;
    struct book *book = &world.books[puppet->who];
    struct order order = {0};
    if (msg->size == sizeof(order)) {
        memcpy(&order, troupe_msg_data(msg), sizeof(order));
    }
    switch (msg->type) {
    case MSG_WORK:
        log_value(book, order.value);
        return TROUPE_CONTINUE;
    case MSG_QUESTION:
        log_value(book, order.value);
        TROUPE_ASSERT(troupe_reply(ctx, msg, MSG_QUESTION,
                                   troupe_span(&order.value, sizeof(order.value))) == TROUPE_OK);
        return TROUPE_CONTINUE;
    case MSG_FAIL:
        return TROUPE_FAIL;
    case MSG_QUIT:
        return TROUPE_STOP;
    case MSG_DO:
        order.act(ctx, puppet->who, order.value);
        return TROUPE_CONTINUE;
    case MSG_DOWN:
        book->downs++;
        memcpy(&book->last_down, troupe_msg_data(msg), sizeof(book->last_down));
        return TROUPE_CONTINUE;
    case MSG_EXIT:
        book->exits++;
        memcpy(&book->last_exit, troupe_msg_data(msg), sizeof(book->last_exit));
        return TROUPE_CONTINUE;
    default:
        world.ghosts++;
        return TROUPE_CONTINUE;
    }
}

const struct troupe_actor_type puppet_type = {.name = "puppet",
                                              .state_size = sizeof(struct puppet),
                                              .init_cb = begin,
                                              .receive_cb = receive,
                                              .terminate_cb = end};

/* Without anything to wait for the virtual clock would stand still, and with one far timer jump. */
static enum troupe_status wind_up(struct troupe_ctx *ctx, void *state, const void *arg)
{
    (void)arg;
    troupe_timer_start(ctx, state, 1000000, 1000000, MSG_WORK);
    return TROUPE_OK;
}

static enum troupe_verdict tick(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)ctx;
    (void)state;
    (void)msg;
    return TROUPE_CONTINUE;
}

static const struct troupe_actor_type metronome_type = {.name = "metronome",
                                                        .state_size = sizeof(struct troupe_timer),
                                                        .init_cb = wind_up,
                                                        .receive_cb = tick};

/* --- the world --- */

static void dead_letter(void *arg, const struct troupe_msg *msg, enum troupe_drop_reason reason)
{
    (void)arg;
    (void)msg;
    world.drops[reason]++;
}

void world_open_with(uint64_t seed, uint32_t workers, uint64_t memory_max)
{
    struct troupe_pool_config config = {
        .workers = workers, .memory_max = memory_max, .dead_letter_cb = dead_letter};
    memset(&world, 0, sizeof(world));
    world.sim = trp_sim_create(seed, &config, NULL);
    assert_non_null(world.sim);
    world.pool = trp_sim_pool(world.sim);
    assert_int_equal(troupe_port_open(world.pool, &world.port), TROUPE_OK);
    troupe_ref metronome;
    assert_int_equal(troupe_pool_spawn(world.pool, &metronome, 0, &metronome_type, NULL),
                     TROUPE_OK);
}

void world_open(uint64_t seed, uint32_t workers)
{
    world_open_with(seed, workers, 256u << 20);
}

troupe_ref world_puppet(uint32_t worker, uint32_t who)
{
    troupe_ref ref;
    assert_int_equal(troupe_pool_spawn(world.pool, &ref, worker, &puppet_type, &puppet_args[who]),
                     TROUPE_OK);
    return ref;
}

troupe_ref world_supervisor(uint32_t worker, const struct troupe_supervisor_spec *spec)
{
    troupe_ref ref;
    assert_int_equal(troupe_pool_spawn(world.pool, &ref, worker, &troupe_supervisor_type, spec),
                     TROUPE_OK);
    return ref;
}

void world_start(void)
{
    trp_sim_start(world.sim);
    world_run_ms(10);
}

void world_run_ms(uint64_t ms)
{
    (void)trp_sim_run(world.sim, trp_sim_now(world.sim) + ms * 1000000u);
}

void world_close(void)
{
    trp_sim_stop(world.sim);
    trp_sim_destroy(world.sim);
    for (uint32_t who = 0; who < PUPPETS; who++) {
        assert_int_equal(world.books[who].state_seen, 0);
    }
    assert_int_equal(world.ghosts, 0);
}

struct troupe_child_spec child_of(uint32_t who, uint32_t worker, enum troupe_restart restart)
{
    return (struct troupe_child_spec){.name = "puppet",
                                      .type = &puppet_type,
                                      .arg = &puppet_args[who],
                                      .arg_len = sizeof(puppet_args[who]),
                                      .worker = worker,
                                      .restart = restart};
}

static void post(troupe_ref to, uint16_t type, struct order order)
{
    struct troupe_msg *msg = troupe_port_msg_new(world.port, type, sizeof(order));
    assert_non_null(msg);
    memcpy(troupe_msg_data(msg), &order, sizeof(order));
    enum troupe_status status;
    while ((status = troupe_port_send(world.port, to, &msg)) == TROUPE_EBUSY) {
        assert_true(trp_sim_step(world.sim)); /* the window is full: let the workers deal */
    }
    assert_int_equal(status, TROUPE_OK);
}

void tell(troupe_ref to, uint16_t type, uint64_t value)
{
    post(to, type, (struct order){value, NULL});
}

void make(troupe_ref to, act_fn act, uint64_t value)
{
    post(to, MSG_DO, (struct order){value, act});
}

/* --- acts --- */

void act_stop(struct troupe_ctx *ctx, uint32_t who, uint64_t ref)
{
    (void)who;
    troupe_stop(ctx, ref);
}

void act_drain(struct troupe_ctx *ctx, uint32_t who, uint64_t ref)
{
    (void)who;
    troupe_drain(ctx, ref);
}

void act_kill(struct troupe_ctx *ctx, uint32_t who, uint64_t ref)
{
    (void)who;
    troupe_kill(ctx, ref);
}

void act_monitor(struct troupe_ctx *ctx, uint32_t who, uint64_t ref)
{
    TROUPE_ASSERT(troupe_monitor(ctx, ref, MSG_DOWN, who, NULL) == TROUPE_OK);
}

void act_link(struct troupe_ctx *ctx, uint32_t who, uint64_t ref)
{
    (void)who;
    TROUPE_ASSERT(troupe_link(ctx, ref) == TROUPE_OK);
}

void act_unlink(struct troupe_ctx *ctx, uint32_t who, uint64_t ref)
{
    (void)who;
    troupe_unlink(ctx, ref);
}

void act_trap(struct troupe_ctx *ctx, uint32_t who, uint64_t type)
{
    (void)who;
    TROUPE_ASSERT(troupe_trap_exits(ctx, (uint16_t)type) == TROUPE_OK);
}

void act_hoard(struct troupe_ctx *ctx, uint32_t who, uint64_t value)
{
    (void)who;
    (void)value;
    /* never freed: nothing is left on this worker, of any size */
    for (uint32_t size = 1024; size > 0; size /= 2) {
        while (troupe_msg_new(ctx, MSG_WORK, size) != NULL) {
        }
    }
}

enum troupe_verdict note_answer(struct troupe_ctx *ctx,
                                void *state,
                                const struct troupe_answer *answer,
                                uint64_t cookie)
{
    struct book *book = &world.books[((struct puppet *)state)->who];
    (void)ctx;
    (void)cookie;
    TROUPE_ASSERT(book->answers < LOG_MAX);
    if (answer->msg != NULL && answer->msg->size >= sizeof(uint64_t)) {
        memcpy(&book->answer_values[book->answers], troupe_msg_data(answer->msg), sizeof(uint64_t));
    }
    book->answer_statuses[book->answers++] = answer->status;
    return TROUPE_CONTINUE;
}

static enum troupe_verdict
note_list(struct troupe_ctx *ctx, void *state, const struct troupe_answer *answer, uint64_t cookie)
{
    (void)ctx;
    (void)state;
    (void)cookie;
    TROUPE_ASSERT(answer->status == TROUPE_OK);
    TROUPE_ASSERT(answer->msg->size <= sizeof(world.list));
    memset(&world.list, 0, sizeof(world.list));
    memcpy(&world.list, troupe_msg_data(answer->msg), answer->msg->size);
    return TROUPE_CONTINUE;
}

void act_list(struct troupe_ctx *ctx, uint32_t who, uint64_t sup)
{
    (void)who;
    TROUPE_ASSERT(troupe_supervise_list(ctx, sup, 0, 1000000000u, note_list, 0) == TROUPE_OK);
}
