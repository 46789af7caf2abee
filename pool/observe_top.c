/* Who has the most: a foreign thread asks, each worker looks through its own actors. */

#include "pool/futex.h"
#include "pool/observe.h"
#include "pool/watchdog.h"

#include <stdlib.h>
#include <string.h>
#include <troupe/assert.h>

/* Actors that a worker looks at in one loop turn: some 40 us. */
#define STEP_SLOTS 4096u

enum slot_state {
    SLOT_IDLE = 0,
    SLOT_ASKED = 1,
    SLOT_SERVING = 2,
    SLOT_DONE = 3,
    SLOT_CANCELED = 4,
};

/* One worker's answer. Who may write what: see observe.h. */
struct slot {
    uint32_t state;    /* enum slot_state; asker and worker */
    uint64_t question; /* by << 32 | cap; written by the asker before ASKED */
    /* the worker's, for the asker in DONE */
    enum troupe_top_by by;
    uint32_t cap;
    uint32_t cursor; /* next slot of the cell table */
    uint32_t count;
    struct troupe_top_entry entries[TROUPE_TOP_MAX];
} __attribute__((aligned(TRP_CACHE_LINE)));

struct trp_observe_pool {
    pthread_mutex_t lock; /* one asker at a time */
    uint32_t answered;    /* counts answers; the asker sleeps on it */
    struct slot slots[];  /* one per worker */
};

enum troupe_status trp_observe_pool_init(struct troupe_pool *pool)
{
    size_t size = sizeof(struct trp_observe_pool) + pool->worker_count * sizeof(struct slot);
    struct trp_observe_pool *observe = aligned_alloc(TRP_CACHE_LINE, size);
    if (observe == NULL) {
        return TROUPE_ENOMEM;
    }
    memset(observe, 0, size);
    pthread_mutex_init(&observe->lock, NULL);
    pool->observe = observe;
    trp_recorder_register(pool);
    return TROUPE_OK;
}

void trp_observe_pool_fini(struct troupe_pool *pool)
{
    trp_watchdog_fini(pool);
    if (pool->observe == NULL) {
        return;
    }
    trp_recorder_unregister(pool);
    pthread_mutex_destroy(&pool->observe->lock);
    free(pool->observe);
    pool->observe = NULL;
}

static uint64_t key_of(enum troupe_top_by by, const struct troupe_top_entry *entry)
{
    switch (by) {
    case TROUPE_TOP_DEPTH:
        return entry->depth;
    case TROUPE_TOP_BYTES:
        return entry->bytes;
    case TROUPE_TOP_BUSY:
        break;
    }
    return entry->busy_ns;
}

/* Keeps the highest `cap` sorted, highest first. */
static void insert(struct troupe_top_entry *entries,
                   uint32_t cap,
                   uint32_t *count,
                   enum troupe_top_by by,
                   const struct troupe_top_entry *entry)
{
    uint64_t key = key_of(by, entry);
    uint32_t at = *count;
    while (at > 0 && key_of(by, &entries[at - 1]) < key) {
        at--;
    }
    if (at >= cap) {
        return;
    }
    uint32_t kept = *count < cap ? *count : cap - 1;
    memmove(&entries[at + 1], &entries[at], (kept - at) * sizeof(entries[0]));
    entries[at] = *entry;
    *count = kept + 1;
}

/* --- the worker --- */

static void look_at(struct slot *slot, const struct trp_cell *cell)
{
    if (cell->status != TRP_CELL_ALIVE && cell->status != TRP_CELL_DRAINING &&
        cell->status != TRP_CELL_SUSPENDED) {
        return;
    }
    struct troupe_top_entry entry = {
        .actor = trp_cell_ref(cell),
        .type_name = cell->type->name,
        .bytes = trp_cell_bytes(cell),
        .processed = cell->processed,
        .busy_ns = cell->extra.busy_ns,
        .since_turn_ns = UINT64_MAX,
        .depth = trp_cell_depth(cell),
        .depth_max = trp_cell_depth_max(cell),
    };
    if (entry.depth_max < entry.depth) {
        entry.depth_max = entry.depth; /* it may not have had a turn since */
    }
    insert(slot->entries, slot->cap, &slot->count, slot->by, &entry);
}

/* The next step; true = that was the last. */
static bool look_on(const struct trp_worker *worker, struct slot *slot)
{
    for (uint32_t i = 0; i < STEP_SLOTS && slot->cursor < worker->cells.used; i++, slot->cursor++) {
        look_at(slot, trp_cells_at(&worker->cells, slot->cursor));
    }
    return slot->cursor >= worker->cells.used;
}

/* Takes the pointer back, unless the next question has come already: then true. */
static bool take_back_request(struct trp_worker *worker, struct slot *slot)
{
    /* Full barrier between taking it back and the look at the state; ask_worker writes the state
     * first and then the pointer, so one of the two sees the other. */
    trp_fas_ptr(&worker->request, NULL);
    if (trp_load_acquire_u32(&slot->state) != SLOT_ASKED) {
        return false;
    }
    trp_store_release_ptr(&worker->request, slot); /* nobody but this thread reads it */
    return true;
}

bool trp_observe_serve(struct trp_worker *worker)
{
    struct slot *slot = trp_load_acquire_ptr(&worker->request); /* pairs with ask_worker */
    if (slot == NULL) {
        return false;
    }
    uint32_t seen = SLOT_ASKED;
    if (trp_cas_u32(&slot->state, &seen, SLOT_SERVING)) { /* partner: ask_worker, give_up */
        uint64_t question = trp_load_relaxed_u64(&slot->question);
        slot->by = (enum troupe_top_by)(question >> 32);
        slot->cap = (uint32_t)question;
        slot->cursor = 1; /* slot 0 is nobody's */
        slot->count = 0;
    } else if (seen != SLOT_SERVING) {
        return take_back_request(worker, slot);
    }
    if (!look_on(worker, slot)) {
        return true;
    }
    seen = SLOT_SERVING;
    bool is_wanted = trp_cas_u32(&slot->state, &seen, SLOT_DONE); /* partner: give_up, collect */
    bool has_more = take_back_request(worker, slot);
    if (is_wanted) {
        struct trp_observe_pool *observe = worker->pool->observe;
        trp_faa_u32(&observe->answered, 1); /* partner: wait_for_answers */
        trp_futex_wake(&observe->answered);
    }
    return has_more;
}

/* --- who asks --- */

static void ask_worker(struct troupe_pool *pool, uint32_t index, uint64_t question)
{
    struct trp_worker *worker = &pool->workers[index];
    struct slot *slot = &pool->observe->slots[index];
    /* The state is IDLE, DONE or CANCELED here, which the worker never leaves by itself. */
    trp_store_relaxed_u64(&slot->question, question); /* released by the next line */
    trp_fas_u32(&slot->state, SLOT_ASKED);            /* partner: trp_observe_serve */
    /* full barrier before the look at the park word: partner trp_worker_announce_park */
    trp_fas_ptr(&worker->request, slot);
    trp_worker_wake(worker, NULL);
}

static bool has_answered(const struct slot *slot)
{
    return trp_load_acquire_u32(&slot->state) == SLOT_DONE; /* pairs with trp_observe_serve */
}

static void wait_for_answers(struct troupe_pool *pool, uint64_t deadline_ns)
{
    struct trp_observe_pool *observe = pool->observe;
    for (;;) {
        /* before the states: an answer after this changes the word that we sleep on */
        uint32_t answered = trp_load_acquire_u32(&observe->answered);
        uint32_t done = 0;
        while (done < pool->worker_count && has_answered(&observe->slots[done])) {
            done++;
        }
        uint64_t now_ns = trp_monotonic_ns();
        if (done == pool->worker_count || now_ns >= deadline_ns) {
            return;
        }
        trp_futex_wait(&observe->answered, answered, deadline_ns - now_ns);
    }
}

/* True when the answer came in the last moment after all. */
static bool give_up(struct slot *slot)
{
    uint32_t seen = SLOT_ASKED;
    if (trp_cas_u32(&slot->state, &seen, SLOT_IDLE)) { /* partner: trp_observe_serve */
        return false;
    }
    seen = SLOT_SERVING;
    return !trp_cas_u32(&slot->state, &seen, SLOT_CANCELED) && seen == SLOT_DONE;
}

static uint64_t since_turn(const struct troupe_pool *pool, troupe_ref ref)
{
    const struct trp_recorder *recorder = &pool->workers[troupe_ref_worker(ref)].recorder;
    uint64_t first;
    uint64_t end;
    trp_recorder_range(recorder, &first, &end);
    for (uint64_t i = end; i > first; i--) {
        struct trp_recorded event;
        if (trp_recorder_get(recorder, i - 1, &event) && event.kind == TRP_EVENT_TURN &&
            event.who == ref) {
            uint32_t now_us = (uint32_t)(trp_monotonic_ns() / 1000);
            return (uint64_t)(now_us - event.time_us) * 1000;
        }
    }
    return UINT64_MAX;
}

enum troupe_status troupe_pool_top(struct troupe_pool *pool,
                                   enum troupe_top_by by,
                                   struct troupe_top_entry *entries,
                                   uint32_t cap,
                                   uint32_t *count,
                                   uint64_t timeout_ns)
{
    if (trp_heap_current != NULL || cap == 0 || cap > TROUPE_TOP_MAX) {
        return TROUPE_EINVAL;
    }
    if (trp_load_relaxed_u32(&pool->is_stopping) != 0) { /* partner: troupe_pool_stop */
        return TROUPE_ECLOSED;
    }
    struct trp_observe_pool *observe = pool->observe;
    if (pthread_mutex_trylock(&observe->lock) != 0) {
        return TROUPE_EBUSY;
    }
    uint64_t now_ns = trp_monotonic_ns();
    for (uint32_t i = 0; i < pool->worker_count; i++) {
        ask_worker(pool, i, (uint64_t)by << 32 | cap);
    }
    wait_for_answers(pool, timeout_ns > UINT64_MAX - now_ns ? UINT64_MAX : now_ns + timeout_ns);
    enum troupe_status status = TROUPE_OK;
    *count = 0;
    for (uint32_t i = 0; i < pool->worker_count; i++) {
        const struct slot *slot = &observe->slots[i];
        if (!has_answered(slot) && !give_up(&observe->slots[i])) {
            status = TROUPE_EEXPIRED;
            continue;
        }
        for (uint32_t j = 0; j < slot->count; j++) {
            insert(entries, cap, count, by, &slot->entries[j]);
        }
    }
    pthread_mutex_unlock(&observe->lock);
    for (uint32_t i = 0; i < *count; i++) {
        entries[i].since_turn_ns = since_turn(pool, entries[i].actor);
    }
    return status;
}
