/*
 * How workers go down, with the pool's own shutdown, cells, parking and ports, under all
 * interleavings: every accepted message is released once, nothing but an answer is refused among
 * workers, each actor's cell is free at the end, and all workers end. (One that sleeps for ever
 * leaves the stepper waiting: the bell here has none of the driver's early looks.)
 *
 * A message is an embedded node of a kind that whoever drops it releases to the driver, so that the
 * test can count and no memory is needed. The same protocol in Promela: tests/model/shutdown.pml.
 */

#include "pool/worker.h"
#include "tests/step/stepper.h"

#include <string.h>
#include <troupe/assert.h>

#define WORKERS 2u
#define STRANGE WORKERS /* the foreign message */
#define ROUNDS  64u     /* of one worker; more means that it spins */

static struct troupe_pool pool;
static struct trp_worker workers[WORKERS];
static uint32_t bells[WORKERS];
static struct trp_cell cells[WORKERS][2];       /* slot 0 is nobody's */
static struct troupe_msg messages[WORKERS + 1]; /* by sender */
static uint32_t released[WORKERS][WORKERS + 1]; /* by thread and message; by that thread */
static bool is_accepted[WORKERS + 1];           /* by its sender */
static struct troupe_port *port;                /* made once, so that it stays at its address */

/* --- a driver that is a bell --- */

static bool is_set(const void *word)
{
    return trp_load_relaxed_u32(word) != 0;
}

static void sleep_until_rung(void *state, uint64_t deadline_ns)
{
    (void)deadline_ns;
    step_wait(state, is_set);
    trp_fas_u32(state, 0); /* partner: ring */
}

static void ring(void *target_state, void *caller_state)
{
    (void)caller_state;
    trp_fas_u32(target_state, 1); /* partner: sleep_until_rung */
}

static uint64_t no_time(void *state)
{
    (void)state;
    return 1;
}

static void nothing(void *state)
{
    (void)state;
}

static void release(void *state, struct trp_rx *rx)
{
    const struct troupe_msg *msg = (const struct troupe_msg *)(const void *)rx;
    (void)state;
    STEP_CHECK(msg >= messages && msg <= &messages[STRANGE]);
    STEP_CHECK(step_thread() < WORKERS);
    released[step_thread()][msg - messages]++;
}

static const struct troupe_driver driver = {.name = "bell",
                                            .now = no_time,
                                            .poll = nothing,
                                            .flush = nothing,
                                            .park = sleep_until_rung,
                                            .wake = ring,
                                            .release = release};

/* --- actors --- */

static troupe_ref actor_of(uint32_t worker)
{
    return trp_ref_make(worker, 1, 1);
}

static void make_message(uint32_t number, enum troupe_lane lane)
{
    struct troupe_msg *msg = &messages[number];
    msg->type = TRP_MSG_RX;
    msg->flags = (uint8_t)(TROUPE_MSG_EMBEDDED | (unsigned)lane);
    is_accepted[number] = true;
}

/* To the other worker's actor, which may have gone. */
static void send_number(struct trp_worker *worker)
{
    make_message(worker->index, TROUPE_LANE_DATA);
    trp_worker_post(worker, actor_of(1 - worker->index), TROUPE_LANE_DATA,
                    &messages[worker->index]);
}

static void say_last_word(struct troupe_ctx *ctx, void *state, enum troupe_down_reason reason)
{
    (void)state;
    STEP_CHECK(reason == TROUPE_DOWN_SHUTDOWN);
    send_number(trp_ctx_worker(ctx));
}

static void stop_the_other(struct troupe_ctx *ctx, void *state, enum troupe_down_reason reason)
{
    (void)state;
    (void)reason;
    troupe_stop(ctx, actor_of(1 - trp_ctx_worker(ctx)->index));
}

/* A request whose node comes back as the answer, whoever drops it. */
static void ask_the_other(struct troupe_ctx *ctx, void *state, enum troupe_down_reason reason)
{
    struct trp_worker *worker = trp_ctx_worker(ctx);
    struct troupe_msg *msg = &messages[worker->index];
    (void)state;
    (void)reason;
    msg->flags = TROUPE_MSG_ASK;
    msg->from = actor_of(worker->index);
    is_accepted[worker->index] = true;
    trp_worker_post(worker, actor_of(1 - worker->index), TROUPE_LANE_DATA, msg);
}

static void answer(struct trp_worker *worker, struct troupe_msg *msg, enum troupe_status status)
{
    STEP_CHECK(status == TROUPE_EDEAD);
    make_message((uint32_t)(msg - messages), TROUPE_LANE_REPLY);
    trp_worker_post(worker, msg->from, TROUPE_LANE_REPLY, msg);
}

/* What core does when a request is dropped; the rest of it is not needed here. */
static const struct trp_core_hooks hooks = {.unanswered = answer};

static enum troupe_verdict handle(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)ctx;
    (void)state;
    (void)msg;
    return TROUPE_CONTINUE; /* the worker releases the message then */
}

static const struct troupe_actor_type quiet_type = {.name = "quiet", .receive_cb = handle};
static const struct troupe_actor_type sender_type = {.name = "sender",
                                                     .terminate_cb = say_last_word};
static const struct troupe_actor_type stopper_type = {.name = "stopper",
                                                      .terminate_cb = stop_the_other};
static const struct troupe_actor_type asker_type = {.name = "asker", .terminate_cb = ask_the_other};

/* --- the world --- */

static void add_actor(uint32_t i, const struct troupe_actor_type *type)
{
    static uint8_t full[WORKERS][2];
    struct trp_cell_table *table = &workers[i].cells;
    memset(cells[i], 0, sizeof(cells[i]));
    cells[i][0].ref = UINT64_MAX;
    table->cells = cells[i];
    table->full = full[i];
    table->used = 1;
    table->committed = table->limit = 2;
    table->worker = i;
    struct trp_cell *cell = trp_cells_take(table, type);
    STEP_CHECK(cell == &cells[i][1] && trp_cell_ref(cell) == actor_of(i));
    trp_cell_set_status(cell, TRP_CELL_ALIVE);
}

static void reset_worker(uint32_t i, const struct troupe_actor_type *type)
{
    static uint32_t dealt[WORKERS][WORKERS];
    static uint32_t dealt_now[WORKERS][WORKERS];
    static struct trp_outgoing out[WORKERS][WORKERS];
    static uint64_t events[WORKERS][2];
    memset(dealt[i], 0, sizeof(dealt[i]));
    memset(dealt_now[i], 0, sizeof(dealt_now[i]));
    memset(out[i], 0, sizeof(out[i]));
    workers[i].recorder.words = events[i]; /* a ring of one */
    workers[i].pool = &pool;
    workers[i].ctx.worker = &workers[i];
    workers[i].index = i;
    workers[i].driver = &driver;
    workers[i].driver_state = &bells[i];
    workers[i].out = out[i];
    workers[i].dealt = dealt[i];
    workers[i].dealt_now = dealt_now[i];
    workers[i].turn_messages_max = 1;
    workers[i].tick_every = workers[i].tick_left = TRP_TICK_EVERY;
    trp_heap_init(&workers[i].heap, TRP_SLAB_CHUNK_BYTES);
    trp_wheel_init(&workers[i].wheel, 0);
    add_actor(i, type);
}

static void reset(const struct troupe_actor_type *first, const struct troupe_actor_type *second)
{
    static struct trp_worker_end ends[WORKERS];
    memset(&pool, 0, sizeof(pool));
    if (port == NULL && troupe_port_open(&pool, &port) != TROUPE_OK) {
        STEP_CHECK(!"a port");
    }
    memset(&pool, 0, sizeof(pool));
    memset(workers, 0, sizeof(workers));
    memset(bells, 0, sizeof(bells));
    memset(messages, 0, sizeof(messages));
    memset(released, 0, sizeof(released));
    memset(is_accepted, 0, sizeof(is_accepted));
    memset(ends, 0, sizeof(ends));
    trp_core_hooks = &hooks;
    pool.worker_count = WORKERS;
    pool.workers = workers;
    pool.drain.deadline_ns = UINT64_MAX;
    pool.drain.ends = ends;
    reset_worker(0, first);
    reset_worker(1, second);
}

static void both_send(void)
{
    reset(&sender_type, &sender_type);
    pool.is_stopping = 1;
}

static void both_send_later(void)
{
    reset(&sender_type, &sender_type);
}

static void both_stop(void)
{
    reset(&stopper_type, &stopper_type);
    pool.is_stopping = 1;
}

static void one_stops(void)
{
    reset(&stopper_type, &sender_type);
    pool.is_stopping = 1;
}

static void both_ask(void)
{
    reset(&asker_type, &asker_type);
    pool.is_stopping = 1;
}

static void one_asks(void)
{
    reset(&asker_type, &sender_type);
    pool.is_stopping = 1;
}

static void nobody_sends(void)
{
    reset(&quiet_type, &quiet_type);
}

/* --- threads --- */

static void shut_down(void)
{
    trp_worker_shut_down(&workers[step_thread()]);
}

/* As trp_worker_main; before all, the first one sends. */
static void work_and_shut_down(void)
{
    struct trp_worker *worker = &workers[step_thread()];
    uint32_t round = 0;
    if (worker->index == 0) {
        send_number(worker);
    }
    while (trp_load_acquire_u32(&pool.is_stopping) == 0) { /* partner: troupe_pool_stop */
        uint64_t deadline_ns;
        STEP_CHECK(round++ < ROUNDS);
        if (!trp_worker_turn(worker) && trp_worker_announce_park(worker, &deadline_ns)) {
            worker->driver->park(worker->driver_state, deadline_ns);
            trp_worker_unpark(worker);
        }
    }
    trp_worker_shut_down(worker);
}

static void stop(void)
{
    troupe_pool_stop(&pool);
}

/* Raises the flag only: nobody sleeps yet. */
static void begin_to_stop(void)
{
    trp_fas_u32(&pool.is_stopping, 1);
    trp_worker_shut_down(&workers[step_thread()]);
}

static void send_foreign(void)
{
    struct troupe_msg *msg = &messages[STRANGE];
    make_message(STRANGE, TROUPE_LANE_DATA);
    enum troupe_status status = troupe_port_send(port, actor_of(0), &msg);
    STEP_CHECK(status == TROUPE_OK || status == TROUPE_ECLOSED);
    STEP_CHECK((status == TROUPE_OK) == (msg == NULL));
    is_accepted[STRANGE] = status == TROUPE_OK;
}

/* --- what must hold --- */

static void nothing_is_lost(void)
{
    for (uint32_t number = 0; number <= STRANGE; number++) {
        STEP_CHECK(released[0][number] + released[1][number] == (is_accepted[number] ? 1 : 0));
    }
    STEP_CHECK(pool.quiet_workers == WORKERS);
    for (uint32_t i = 0; i < WORKERS; i++) {
        const struct trp_worker *worker = &workers[i];
        STEP_CHECK(worker->inbox.head == TRP_INBOX_CLOSED);
        STEP_CHECK(cells[i][1].status == TRP_CELL_FREE);
        STEP_CHECK(worker->out_pending == 0);
        STEP_CHECK(worker->park_word == TRP_RUNNING);
        STEP_CHECK(pool.drain.ends[i].ended_ns != 0);
    }
}

/* Everything but an answer that its sender reported came in where it was sent. */
static void all_came_in(void)
{
    nothing_is_lost();
    uint64_t sent = workers[0].stats.remote_out + workers[1].stats.remote_out;
    uint64_t came = workers[0].stats.remote_in + workers[1].stats.remote_in;
    STEP_CHECK(came == sent + (is_accepted[STRANGE] ? 1 : 0));
}

/* What threads decide by; all other words are counters, constant or one thread's own. */
static bool is_hint(const void *word)
{
    for (uint32_t i = 0; i < WORKERS; i++) {
        if (word == &workers[i].inbox || word == &workers[i].park_word || word == &bells[i] ||
            word == &cells[i][1].end_word) {
            return false;
        }
    }
    return word != &pool.is_stopping && word != &pool.quiet_workers;
}

int main(int argc, char **argv)
{
    static const struct step_case cases[] = {
        {.name = "last_words",
         .thread_count = 2,
         .threads = {shut_down, shut_down},
         .setup = both_send,
         .check = all_came_in,
         .is_hint = is_hint},
        {.name = "stop_both",
         .thread_count = 2,
         .threads = {shut_down, shut_down},
         .setup = both_stop,
         .check = all_came_in,
         .is_hint = is_hint},
        {.name = "stop_one",
         .thread_count = 2,
         .threads = {shut_down, shut_down},
         .setup = one_stops,
         .check = all_came_in,
         .is_hint = is_hint},
        {.name = "asks",
         .thread_count = 2,
         .threads = {shut_down, shut_down},
         .setup = both_ask,
         .check = nothing_is_lost,
         .is_hint = is_hint},
        {.name = "ask_and_last_word",
         .thread_count = 2,
         .threads = {shut_down, shut_down},
         .setup = one_asks,
         .check = nothing_is_lost,
         .is_hint = is_hint},
        {.name = "port",
         .thread_count = 3,
         .threads = {begin_to_stop, begin_to_stop, send_foreign},
         .setup = nobody_sends,
         .check = all_came_in,
         .is_hint = is_hint},
        {.name = "port_and_last_words",
         .thread_count = 3,
         .threads = {begin_to_stop, begin_to_stop, send_foreign},
         .setup = both_send_later,
         .check = all_came_in,
         .is_hint = is_hint,
         .preemptions_max = 2},
        {.name = "stop_comes",
         .thread_count = 3,
         .threads = {work_and_shut_down, work_and_shut_down, stop},
         .setup = nobody_sends,
         .check = all_came_in,
         .is_hint = is_hint,
         .preemptions_max = 2},
    };
    return step_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
