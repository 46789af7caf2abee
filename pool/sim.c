#include "pool/sim_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <troupe/assert.h>

/* Virtual time starts here, so that "some time ago" never underflows. */
#define START_NS       1000000000000ull
#define WALL_OFFSET_NS 1700000000000000000ull
/* A step takes up to this long, a slow one up to SLOW_STEP_NS. */
#define STEP_NS      2000u
#define SLOW_STEP_NS 300000u
/* What trp_sim_step looks at for its check per step, unless told otherwise. */
#define CHECK_NODES_PER_STEP 48u

/* --- the driver --- */

/* The simulation being created: open() has no other way to find it. One thread by definition. */
static __thread struct trp_sim *opening;

static enum troupe_status
sim_open(void **state, struct trp_worker *worker, char *error, size_t error_cap)
{
    (void)error;
    (void)error_cap;
    struct trp_sim_worker *mine = &opening->workers[opening->opened++];
    mine->sim = opening;
    mine->worker = worker;
    *state = mine;
    return TROUPE_OK;
}

static void sim_close(void *state)
{
    (void)state;
}

static uint64_t sim_now(void *state)
{
    return ((struct trp_sim_worker *)state)->sim->now_ns;
}

static uint64_t sim_wall_now(void *state)
{
    return ((struct trp_sim_worker *)state)->sim->now_ns + WALL_OFFSET_NS;
}

static void sim_submit(void *state, struct trp_op *op)
{
    struct trp_sim_worker *mine = state;
    TROUPE_ASSERT(mine->sim->has_io);
    mine->sim->io.submit(mine->sim->io.arg, mine->worker, op);
}

static void sim_cancel(void *state, struct trp_op *op)
{
    struct trp_sim_worker *mine = state;
    mine->sim->io.cancel(mine->sim->io.arg, mine->worker, op);
}

static void sim_release(void *state, struct trp_rx *rx)
{
    struct trp_sim_worker *mine = state;
    mine->sim->io.release(mine->sim->io.arg, mine->worker, rx);
}

static void sim_poll(void *state)
{
    struct trp_sim_worker *mine = state;
    if (mine->sim->has_io) {
        mine->sim->io.deliver(mine->sim->io.arg, mine->worker, mine->sim->now_ns);
    }
}

static void sim_flush(void *state)
{
    (void)state;
}

static void sim_park(void *state, uint64_t deadline_ns)
{
    (void)state;
    (void)deadline_ns;
    TROUPE_ASSERT(!"the scheduler parks simulated workers itself");
}

static void sim_wake(void *target_state, void *caller_state)
{
    (void)caller_state;
    ((struct trp_sim_worker *)target_state)->is_rung = true;
}

static const struct troupe_driver sim_driver = {
    .name = "simulated",
    .open = sim_open,
    .close = sim_close,
    .now = sim_now,
    .wall_now = sim_wall_now,
    .submit = sim_submit,
    .cancel = sim_cancel,
    .release = sim_release,
    .poll = sim_poll,
    .flush = sim_flush,
    .park = sim_park,
    .wake = sim_wake,
};

/* --- life --- */

struct trp_sim *
trp_sim_create(uint64_t seed, const struct troupe_pool_config *config, const struct trp_sim_io *io)
{
    struct troupe_pool_config full = config != NULL ? *config : (struct troupe_pool_config){0};
    struct trp_sim *sim = calloc(1, sizeof(*sim));
    char error[200] = "";
    if (sim == NULL) {
        return NULL;
    }
    sim->random.state = seed;
    sim->now_ns = START_NS;
    sim->check_budget = CHECK_NODES_PER_STEP;
    sim->has_io = io != NULL;
    if (io != NULL) {
        sim->io = *io;
    }
    full.driver = &sim_driver;
    full.pin = "none";
    full.seed = seed == 0 ? 1 : seed;
    if (full.workers == 0) {
        full.workers = 1 + (uint32_t)trp_random_below(&sim->random, 4);
    }
    if (troupe_pool_create(&sim->pool, &full, error, sizeof(error)) != TROUPE_OK) {
        fprintf(stderr, "simulation: %s\n", error);
        free(sim);
        return NULL;
    }
    sim->pool->is_simulated = true;
    return sim;
}

struct troupe_pool *trp_sim_pool(struct trp_sim *sim)
{
    return sim->pool;
}

struct trp_worker *trp_sim_enter(struct trp_sim *sim, uint32_t index)
{
    struct trp_worker *worker = &sim->pool->workers[index];
    trp_heap_current = &worker->heap;
    return worker;
}

void trp_sim_leave(void)
{
    trp_heap_current = NULL;
}

void trp_sim_start(struct trp_sim *sim)
{
    char error[1];
    opening = sim;
    for (uint32_t i = 0; i < sim->pool->worker_count; i++) {
        enum troupe_status status = trp_worker_open(trp_sim_enter(sim, i), error, sizeof(error));
        TROUPE_ASSERT(status == TROUPE_OK);
    }
    opening = NULL;
    for (uint32_t i = 0; i < sim->pool->worker_count; i++) {
        trp_worker_start_reserved(trp_sim_enter(sim, i));
    }
    trp_sim_leave();
}

/* --- stepping --- */

static uint64_t next_ns(struct trp_sim *sim, uint32_t i)
{
    uint64_t deadline_ns = sim->workers[i].deadline_ns;
    if (sim->has_io) {
        uint64_t io_ns = sim->io.next_ns(sim->io.arg, sim->workers[i].worker);
        deadline_ns = io_ns < deadline_ns ? io_ns : deadline_ns;
    }
    return deadline_ns;
}

static bool is_awake(struct trp_sim *sim, uint32_t i)
{
    const struct trp_sim_worker *mine = &sim->workers[i];
    return !mine->is_parked || mine->is_rung || next_ns(sim, i) <= sim->now_ns;
}

/* A worker that sleeps unrung must have nothing to do: otherwise a wake was lost. */
static void check_sleepers(struct trp_sim *sim)
{
    for (uint32_t i = 0; i < sim->pool->worker_count; i++) {
        const struct trp_sim_worker *mine = &sim->workers[i];
        if (mine->is_parked && !mine->is_rung) {
            TROUPE_ASSERT(!trp_inbox_has_work(&mine->worker->inbox));
            TROUPE_ASSERT(mine->worker->urgent.head == NULL);
            TROUPE_ASSERT(mine->worker->normal.head == NULL);
            TROUPE_ASSERT(mine->worker->out_pending == 0);
        }
    }
}

/* The pool says that it became quiet: nobody may have anything left to do. */
static void check_quiet(struct trp_sim *sim)
{
    if (trp_load_relaxed_u32(&sim->pool->drain.outcome) != TRP_DRAIN_QUIET) {
        return; /* partner: trp_drain_look */
    }
    for (uint32_t i = 0; i < sim->pool->worker_count; i++) {
        const struct trp_worker *worker = sim->workers[i].worker;
        TROUPE_ASSERT(!trp_inbox_has_work(&worker->inbox));
        TROUPE_ASSERT(worker->urgent.head == NULL);
        TROUPE_ASSERT(worker->normal.head == NULL);
        TROUPE_ASSERT(worker->out_pending == 0);
    }
}

/* Puts back what was hidden in the inbox, below what came meanwhile. */
static void unhide(struct trp_inbox *inbox, struct troupe_msg *hidden)
{
    struct troupe_msg *oldest = inbox->head;
    if (oldest == NULL) {
        inbox->head = hidden;
        return;
    }
    while (oldest->next != NULL) {
        oldest = oldest->next;
    }
    oldest->next = hidden;
}

/*
 * A turn. What lies in the inbox is sometimes hidden from it, as if it had been pushed a moment
 * later, between taking the inbox in and running an actor: otherwise messages of two workers could
 * never cross, for a step is both.
 */
static bool run_turn(struct trp_sim *sim, struct trp_worker *worker)
{
    struct trp_inbox *inbox = &worker->inbox;
    if (!trp_inbox_has_work(inbox) || trp_random_below(&sim->random, 3) != 0) {
        return trp_worker_turn(worker);
    }
    struct troupe_msg *hidden = inbox->head;
    inbox->head = NULL;
    bool did_work = trp_worker_turn(worker);
    unhide(inbox, hidden);
    return did_work;
}

static void run_worker(struct trp_sim *sim, uint32_t i)
{
    struct trp_sim_worker *mine = &sim->workers[i];
    struct trp_worker *worker = trp_sim_enter(sim, i);
    if (mine->is_parked) {
        trp_worker_unpark(worker);
        mine->is_parked = false;
    }
    mine->is_rung = false;
    worker->turn_messages_max = 1 + (uint32_t)trp_random_below(&sim->random, 8);
    if (!run_turn(sim, worker)) {
        uint64_t deadline_ns;
        if (trp_worker_announce_park(worker, &deadline_ns)) {
            mine->is_parked = true;
            mine->deadline_ns = deadline_ns;
        }
    }
    trp_sim_leave();
}

static void tick(struct trp_sim *sim)
{
    uint64_t most = trp_random_below(&sim->random, 64) == 0 ? SLOW_STEP_NS : STEP_NS;
    sim->now_ns += trp_random_below(&sim->random, most);
    sim->steps++;
}

bool trp_sim_step(struct trp_sim *sim)
{
    uint32_t count = sim->pool->worker_count;
    if (trp_load_relaxed_u32(&sim->pool->is_stopping) != 0) {
        return false;
    }
    tick(sim);
    uint32_t first = (uint32_t)trp_random_below(&sim->random, count);
    uint64_t soonest_ns = UINT64_MAX;
    for (uint32_t n = 0; n < count; n++) {
        uint32_t i = (first + n) % count;
        if (is_awake(sim, i)) {
            run_worker(sim, i);
            check_sleepers(sim);
            check_quiet(sim);
            trp_sim_check_sometimes(sim);
            return true;
        }
        uint64_t at_ns = next_ns(sim, i);
        soonest_ns = at_ns < soonest_ns ? at_ns : soonest_ns;
    }
    if (soonest_ns == UINT64_MAX) {
        return false;
    }
    sim->now_ns = soonest_ns;
    return true;
}

bool trp_sim_run(struct trp_sim *sim, uint64_t until_ns)
{
    while (sim->now_ns < until_ns) {
        if (!trp_sim_step(sim)) {
            return true;
        }
    }
    return false;
}

/* --- the end --- */

static void check_conservation(struct trp_sim *sim)
{
    struct troupe_worker_stats sum;
    trp_sim_sum(sim, &sum);
    TROUPE_ASSERT(sum.alive == 0);
    TROUPE_ASSERT(sum.accepted == sum.processed + sum.reported);
}

void trp_sim_stop(struct trp_sim *sim)
{
    uint32_t count = sim->pool->worker_count;
    bool is_quiet[TROUPE_WORKERS_MAX] = {false};
    uint32_t quiet = 0;
    uint32_t rounds = 0;
    if (sim->check_budget != 0 && sim->opened == count) {
        trp_sim_check(sim);
    }
    troupe_pool_stop(sim->pool);
    while (quiet < count) {
        TROUPE_ASSERT(rounds++ < 1000000); /* an operation that never completes */
        uint32_t i = (uint32_t)trp_random_below(&sim->random, count);
        struct trp_worker *worker = trp_sim_enter(sim, i);
        tick(sim);
        if (trp_worker_shut_actors(worker) && !is_quiet[i]) {
            trp_worker_say_quiet(worker);
            is_quiet[i] = true;
            quiet++;
        }
        trp_sim_check_sometimes(sim);
    }
    for (uint32_t i = 0; i < count; i++) {
        bool is_shut = trp_worker_shut_inbox(trp_sim_enter(sim, i));
        TROUPE_ASSERT(is_shut);
    }
    trp_sim_leave();
    check_conservation(sim);
}

void trp_sim_destroy(struct trp_sim *sim)
{
    if (sim != NULL) {
        troupe_pool_destroy(sim->pool);
        free(sim);
    }
}

uint64_t trp_sim_now(const struct trp_sim *sim)
{
    return sim->now_ns;
}

uint64_t trp_sim_steps(const struct trp_sim *sim)
{
    return sim->steps;
}

struct trp_random *trp_sim_random(struct trp_sim *sim)
{
    return &sim->random;
}
