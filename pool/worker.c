#include "pool/worker.h"
#include "pool/observe.h"
#include "pool/watchdog.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <troupe/assert.h>

/* A wake costs about this much; spinning longer than that before parking cannot pay. */
#define SPIN_NS 20000u

enum troupe_status trp_worker_init(struct trp_worker *worker, struct troupe_pool *pool, uint32_t i)
{
    uint32_t count = pool->worker_count;
    memset(worker, 0, sizeof(*worker));
    worker->pool = pool;
    worker->index = i;
    worker->ctx.worker = worker;
    worker->driver = pool->config.driver;
    worker->turn_messages_max = TRP_TURN_MESSAGES;
    worker->tick_every = TRP_TICK_EVERY;
    worker->tick_left = TRP_TICK_EVERY;
    worker->cpu = -1;
    worker->random.state = pool->config.seed + 0x51ED2701u * (uint64_t)(i + 1);
    worker->gap_ns = UINT64_MAX / 2;
    worker->out = calloc(count, sizeof(worker->out[0]));
    worker->dealt_now = calloc(count, sizeof(worker->dealt_now[0]));
    size_t dealt_bytes = (count * sizeof(uint32_t) + TRP_CACHE_LINE - 1) & ~(size_t)63;
    worker->dealt = aligned_alloc(TRP_CACHE_LINE, dealt_bytes);
    if (worker->out == NULL || worker->dealt_now == NULL || worker->dealt == NULL) {
        return TROUPE_ENOMEM;
    }
    memset(worker->dealt, 0, dealt_bytes);
    if (trp_observe_worker_init(worker) != TROUPE_OK) {
        return TROUPE_ENOMEM;
    }
    trp_heap_init(&worker->heap, pool->config.memory_max);
    return trp_cells_init(&worker->cells, i, pool->config.actors_max);
}

void trp_worker_fini(struct trp_worker *worker)
{
    free(worker->out);
    free(worker->dealt_now);
    free(worker->dealt);
    trp_observe_worker_fini(worker);
    trp_cells_fini(&worker->cells);
    trp_heap_fini(&worker->heap);
}

/* --- one loop turn --- */

static void publish_dealt(struct trp_worker *worker)
{
    for (uint32_t i = 0; i < worker->pool->worker_count; i++) {
        if (worker->dealt_now[i] != 0) {
            /* relaxed: partner send_window */
            trp_store_relaxed_u32(&worker->dealt[i], worker->dealt[i] + worker->dealt_now[i]);
            worker->dealt_now[i] = 0;
        }
    }
}

static inline void deal(struct trp_worker *worker, struct troupe_msg *msg)
{
    if (troupe_msg_lane(msg) == TROUPE_LANE_DATA) {
        if (msg->from != TROUPE_NOBODY) {
            worker->dealt_now[troupe_ref_worker(msg->from)]++;
        } else {
            /* release: whoever sees the count sees this worker awake; partners troupe_port_send and
             * trp_drain_look */
            trp_store_release_u32(&worker->foreign_dealt, worker->foreign_dealt + 1);
        }
    }
    trp_worker_deliver(worker, msg);
}

#define PREFETCH_AHEAD 6u

static uint32_t deal_batch(struct trp_worker *worker, struct troupe_msg *batch)
{
    struct troupe_msg **messages = troupe_msg_data(batch);
    uint32_t count = trp_batch_count(batch);
    for (uint32_t i = 0; i < PREFETCH_AHEAD && i < count; i++) {
        __builtin_prefetch(messages[i], 1);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (i + PREFETCH_AHEAD < count) {
            __builtin_prefetch(messages[i + PREFETCH_AHEAD], 1);
        }
        deal(worker, messages[i]);
    }
    trp_msg_free(batch);
    return count;
}

bool trp_worker_deal_inbox(struct trp_worker *worker)
{
    struct troupe_msg *msg = trp_inbox_take(&worker->inbox);
    if (msg == NULL) {
        return false;
    }
    uint64_t taken = 0;
    while (msg != NULL) {
        struct troupe_msg *next = msg->next;
        if (msg->type == TRP_MSG_BATCH) {
            taken += deal_batch(worker, msg);
        } else {
            deal(worker, msg);
            taken++;
        }
        msg = next;
    }
    trp_count(&worker->stats.remote_in, taken);
    publish_dealt(worker);
    return true;
}

static uint64_t add_saturated(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static void fire_timer(void *arg, struct troupe_timer *timer)
{
    struct trp_worker *worker = arg;
    struct trp_cell *cell = trp_cells_find(&worker->cells, timer->msg.to);
    TROUPE_ASSERT(cell != NULL); /* timers die with their actor */
    if (timer->period_ns != 0) {
        uint64_t due_ns = add_saturated(timer->due_ns, timer->period_ns);
        timer->due_ns =
            due_ns > worker->now_ns ? due_ns : add_saturated(worker->now_ns, timer->period_ns);
        trp_wheel_add(&worker->wheel, timer);
    }
    if (!timer->is_queued) {
        timer->is_queued = true;
        trp_record(&worker->recorder, TRP_EVENT_TIMER, timer->msg.to, timer->msg.type, 0);
        trp_cell_enqueue(worker, cell, &timer->msg);
    }
}

static bool is_draining(const struct trp_worker *worker)
{
    return trp_load_relaxed_u32(&worker->pool->drain.is_on) != 0; /* partner: troupe_pool_drain */
}

static void poll_driver(struct trp_worker *worker)
{
    worker->polled_ns = worker->now_ns;
    worker->driver->poll(worker->driver_state);
}

/* How long it takes from running dry to the next work, smoothed: what adaptive spinning goes by. */
static void note_gap(struct trp_worker *worker)
{
    uint64_t gap_ns = worker->now_ns - worker->waiting_since_ns;
    worker->waiting_since_ns = 0;
    uint64_t old = worker->gap_ns > 1000000 ? 1000000 : worker->gap_ns;
    uint64_t new_gap = gap_ns > 1000000 ? 1000000 : gap_ns;
    worker->gap_ns = old - old / 8 + new_gap / 8;
}

bool trp_worker_turn(struct trp_worker *worker)
{
    trp_worker_read_clock(worker);
    worker->ticked_ns = worker->now_ns;
    if (worker->waiting_since_ns != 0) {
        note_gap(worker);
    }
    trp_count(&worker->stats.turns, 1);
    trp_count(&worker->heartbeat, 1);
    trp_store_relaxed_u64(&worker->stats.memory, worker->heap.mapped_bytes);
    if (trp_load_relaxed_ptr(&worker->request) != NULL) {
        (void)trp_observe_serve(worker);
    }
    if (is_draining(worker)) {
        trp_drain_tick(worker);
    }
    bool did_work = trp_worker_deal_inbox(worker);
    trp_wheel_advance(&worker->wheel, worker->now_ns, fire_timer, worker);
    poll_driver(worker);
    trp_worker_settle(worker);
    return trp_worker_run(worker) || did_work;
}

/* --- parking --- */

static bool has_runnable(const struct trp_worker *worker)
{
    return worker->urgent.head != NULL || worker->normal.head != NULL;
}

static bool is_stop_requested(const struct trp_worker *worker)
{
    return trp_load_acquire_u32(&worker->pool->is_stopping) != 0; /* pairs with troupe_pool_stop */
}

bool trp_worker_announce_park(struct trp_worker *worker, uint64_t *deadline_ns)
{
    trp_worker_flush(worker);
    trp_heap_settle(&worker->heap);
    /* Full barrier between the announcement and the look at the inbox: either the pusher sees
     * PARKED (trp_worker_wake) or we see its message here. */
    trp_fas_u32(&worker->park_word, TRP_PARKED);
    if (trp_inbox_has_work(&worker->inbox) || has_runnable(worker) ||
        trp_load_relaxed_ptr(&worker->request) != NULL ||
        (is_stop_requested(worker) && !worker->is_stopping)) {
        trp_worker_unpark(worker);
        return false;
    }
    *deadline_ns = trp_wheel_next_ns(&worker->wheel);
    if (is_draining(worker) && trp_drain_look(worker, deadline_ns)) {
        trp_worker_unpark(worker);
        return false;
    }
    return true;
}

void trp_worker_unpark(struct trp_worker *worker)
{
    trp_fas_u32(&worker->park_word, TRP_RUNNING); /* partner: trp_worker_wake */
    trp_watchdog_stir(worker->pool);
}

void trp_worker_wake(struct trp_worker *target, struct trp_worker *caller)
{
    /* The push before this was a full barrier. */
    uint32_t seen = trp_load_relaxed_u32(&target->park_word);
    if (seen == TRP_PARKED && trp_cas_u32(&target->park_word, &seen, TRP_NOTIFIED)) {
        if (caller != NULL) {
            trp_count(&caller->stats.wakes, 1);
            trp_record(&caller->recorder, TRP_EVENT_WAKE, target->index, 0, 0);
            caller->attention |= TRP_ATTENTION_DOORBELL;
        }
        target->driver->wake(target->driver_state, caller != NULL ? caller->driver_state : NULL);
    } else if (caller != NULL) {
        trp_count(&caller->stats.wakes_saved, 1);
    }
}

/* Spins for a while when that may be cheaper than a wake; true when work turned up. */
static bool spin(struct trp_worker *worker)
{
    enum troupe_spin policy = worker->pool->config.spin;
    if (policy == TROUPE_SPIN_PARK || is_draining(worker) ||
        (policy == TROUPE_SPIN_ADAPTIVE && (worker->cpu < 0 || worker->gap_ns > SPIN_NS))) {
        return false;
    }
    uint64_t started_ns = worker->waiting_since_ns;
    uint64_t timer_ns = trp_wheel_next_ns(&worker->wheel);
    for (;;) {
        for (uint32_t i = 0; i < 32; i++) {
            if (trp_inbox_has_work(&worker->inbox)) {
                return true;
            }
            trp_spin_pause();
        }
        worker->driver->poll(worker->driver_state);
        uint64_t now_ns = worker->driver->now(worker->driver_state);
        if (has_runnable(worker) || now_ns >= timer_ns || is_stop_requested(worker)) {
            return true;
        }
        if (is_draining(worker) || (policy != TROUPE_SPIN_BUSY && now_ns - started_ns >= SPIN_NS)) {
            return false;
        }
    }
}

static void wait_for_work(struct trp_worker *worker)
{
    uint64_t deadline_ns;
    worker->waiting_since_ns = worker->driver->now(worker->driver_state);
    if (!spin(worker) && trp_worker_announce_park(worker, &deadline_ns)) {
        trp_count(&worker->stats.parks, 1);
        trp_record(&worker->recorder, TRP_EVENT_PARK, deadline_ns, 0, 0);
        worker->driver->park(worker->driver_state, deadline_ns);
        trp_worker_unpark(worker);
    }
}

/* --- the thread --- */

enum troupe_status trp_worker_open(struct trp_worker *worker, char *error, size_t error_cap)
{
    trp_heap_current = &worker->heap;
    enum troupe_status status =
        worker->driver->open(&worker->driver_state, worker, error, error_cap);
    if (status != TROUPE_OK) {
        return status;
    }
    trp_worker_read_clock(worker);
    trp_wheel_init(&worker->wheel, worker->now_ns);
    return TROUPE_OK;
}

void trp_worker_start_reserved(struct trp_worker *worker)
{
    for (uint32_t slot = 0; slot < worker->cells.used; slot++) {
        struct trp_cell *cell = trp_cells_at(&worker->cells, slot);
        if (cell->status == TRP_CELL_RESERVED) {
            const void *arg = cell->state;
            cell->state = NULL;
            (void)!trp_cell_start(worker, cell, arg); /* a failed init ends the actor by itself */
        }
    }
}

static void pin_thread(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    (void)!pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

/* Tells troupe_pool_start how it went and waits for the others. */
static bool report_start(struct trp_worker *worker, enum troupe_status status, const char *error)
{
    struct troupe_pool *pool = worker->pool;
    pthread_mutex_lock(&pool->lock);
    if (status != TROUPE_OK && pool->start_status == TROUPE_OK) {
        pool->start_status = status;
        snprintf(pool->start_error, sizeof(pool->start_error), "%s", error);
    }
    pool->started_workers++;
    pthread_cond_broadcast(&pool->started);
    while (pool->started_workers < pool->worker_count) {
        pthread_cond_wait(&pool->started, &pool->lock);
    }
    bool is_good = pool->start_status == TROUPE_OK;
    pthread_mutex_unlock(&pool->lock);
    return is_good;
}

void *trp_worker_main(void *arg)
{
    struct trp_worker *worker = arg;
    char error[256] = "";
    char name[16];
    snprintf(name, sizeof(name), "troupe-%u", worker->index);
    pthread_setname_np(pthread_self(), name);
    if (worker->cpu >= 0) {
        pin_thread(worker->cpu);
    }
    trp_watchdog_attach(worker);
    enum troupe_status status = trp_worker_open(worker, error, sizeof(error));
    bool is_good = report_start(worker, status, error);
    if (is_good) {
        trp_worker_start_reserved(worker);
        while (!is_stop_requested(worker)) {
            if (!trp_worker_turn(worker) && !has_runnable(worker)) {
                wait_for_work(worker);
            }
        }
        trp_worker_shut_down(worker);
    }
    trp_store_relaxed_u64(&worker->stats.memory, worker->heap.mapped_bytes);
    trp_watchdog_detach(worker);
    trp_heap_current = NULL;
    return NULL;
}
