#include "pool/affinity.h"
#include "pool/foreign.h"
#include "pool/observe.h"
#include "pool/watchdog.h"
#include "pool/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <troupe/assert.h>

TROUPE_STATIC_ASSERT(TROUPE_MEMORY_MIN == TRP_SLAB_CHUNK_BYTES, "no chunk fits in less");
TROUPE_STATIC_ASSERT(TROUPE_ACTORS_MAX == TRP_CELLS_MAX - 1, "slot 0 is nobody's");

/* What a field of the configuration may be; 0 is always allowed. */
struct range {
    const char *field;
    uint64_t value;
    uint64_t least;
    uint64_t most;
};

static enum troupe_status
check_ranges(const struct troupe_pool_config *config, char *error, size_t error_cap)
{
    const struct range ranges[] = {
        {"workers", config->workers, 1, TROUPE_WORKERS_MAX},
        {"spin", (uint32_t)config->spin, 0, TROUPE_SPIN_PARK},
        {"memory_max", config->memory_max, TROUPE_MEMORY_MIN, UINT64_MAX},
        {"actors_max", config->actors_max, 1, TROUPE_ACTORS_MAX},
        {"offload_threads", config->offload_threads, 1, TROUPE_OFFLOAD_THREADS_MAX},
        {"offload_queue_max", config->offload_queue_max, 1, TROUPE_OFFLOAD_QUEUE_MAX},
        {"watchdog_ns", config->watchdog_ns, TROUPE_WATCHDOG_MIN_NS, UINT64_MAX},
    };
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        const struct range *range = &ranges[i];
        if (range->value != 0 && (range->value < range->least || range->value > range->most)) {
            bool is_small = range->value < range->least;
            snprintf(error, error_cap, "%s: %llu, at %s %llu; 0 = the default", range->field,
                     (unsigned long long)range->value, is_small ? "least" : "most",
                     (unsigned long long)(is_small ? range->least : range->most));
            return TROUPE_EINVAL;
        }
    }
    return TROUPE_OK;
}

static void set_defaults(struct troupe_pool_config *config)
{
    if (config->workers == 0) {
        uint32_t usable = trp_cpus_usable();
        config->workers = usable < TROUPE_WORKERS_MAX ? usable : TROUPE_WORKERS_MAX;
    }
    if (config->memory_max == 0) {
        config->memory_max = 1ull << 30;
    }
    if (config->offload_threads == 0) {
        config->offload_threads = 2;
    }
    if (config->offload_queue_max == 0) {
        config->offload_queue_max = 256;
    }
    if (config->watchdog_ns == 0) {
        config->watchdog_ns = 25000000u;
    }
    if (config->driver == NULL) {
        config->driver = troupe_futex_driver();
    }
    if (config->seed == 0 &&
        getrandom(&config->seed, sizeof(config->seed), 0) != sizeof(config->seed)) {
        config->seed = 1;
    }
}

/* Chooses a CPU for each worker; without enough CPUs of their own workers are not pinned. */
static enum troupe_status assign_cpus(struct troupe_pool *pool, char *error, size_t error_cap)
{
    const char *pin = pool->config.pin;
    struct trp_cpus allowed;
    struct trp_cpus chosen;
    trp_cpus_allowed(&allowed);
    if (pin != NULL && strcmp(pin, "none") == 0) {
        return TROUPE_OK;
    }
    if (pin == NULL || strcmp(pin, "auto") == 0) {
        chosen = allowed;
        if (pool->worker_count > chosen.count) {
            return TROUPE_OK;
        }
    } else {
        enum troupe_status status = trp_cpus_parse(&chosen, &allowed, pin, error, error_cap);
        if (status != TROUPE_OK) {
            return status;
        }
        if (chosen.count < pool->worker_count) {
            snprintf(error, error_cap, "%u workers need as many CPUs, the list \"%s\" has %u",
                     pool->worker_count, pin, chosen.count);
            return TROUPE_EINVAL;
        }
    }
    for (uint32_t i = 0; i < pool->worker_count; i++) {
        pool->workers[i].cpu = chosen.ids[i];
    }
    return TROUPE_OK;
}

static struct troupe_pool *allocate_pool(uint32_t workers)
{
    struct troupe_pool *pool = aligned_alloc(TRP_CACHE_LINE, sizeof(*pool));
    if (pool == NULL) {
        return NULL;
    }
    memset(pool, 0, sizeof(*pool));
    pool->worker_count = workers;
    pool->workers = aligned_alloc(TRP_CACHE_LINE, workers * sizeof(pool->workers[0]));
    if (pool->workers == NULL) {
        free(pool);
        return NULL;
    }
    memset(pool->workers, 0, workers * sizeof(pool->workers[0]));
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->started, NULL);
    return pool;
}

enum troupe_status troupe_pool_create(struct troupe_pool **out,
                                      const struct troupe_pool_config *config,
                                      char *error,
                                      size_t error_cap)
{
    struct troupe_pool_config full = {0};
    char unused[1];
    if (error == NULL) {
        error = unused;
        error_cap = sizeof(unused);
    }
    if (config != NULL) {
        full = *config;
    }
    if (check_ranges(&full, error, error_cap) != TROUPE_OK) {
        return TROUPE_EINVAL;
    }
    set_defaults(&full);
    struct troupe_pool *pool = allocate_pool(full.workers);
    if (pool == NULL) {
        snprintf(error, error_cap, "out of memory");
        return TROUPE_ENOMEM;
    }
    pool->config = full;
    enum troupe_status status = trp_drain_init(pool);
    for (uint32_t i = 0; i < pool->worker_count && status == TROUPE_OK; i++) {
        status = trp_worker_init(&pool->workers[i], pool, i);
    }
    if (status == TROUPE_OK) {
        status = trp_observe_pool_init(pool);
    }
    if (status == TROUPE_OK) {
        status = assign_cpus(pool, error, error_cap);
    }
    if (status == TROUPE_ENOMEM) {
        snprintf(error, error_cap, "out of memory or address space for %u workers; try fewer",
                 pool->worker_count);
    }
    if (status != TROUPE_OK) {
        troupe_pool_destroy(pool);
        return status;
    }
    *out = pool;
    return TROUPE_OK;
}

/* A pool is started once; a start that failed counts, too. */
static bool was_started(struct troupe_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    uint32_t started = pool->started_workers;
    pthread_mutex_unlock(&pool->lock);
    return started != 0;
}

enum troupe_status troupe_pool_spawn(struct troupe_pool *pool,
                                     troupe_ref *ref,
                                     uint32_t worker,
                                     const struct troupe_actor_type *type,
                                     const void *arg)
{
    TROUPE_ASSERT(!pool->is_running);
    TROUPE_ASSERT(worker < pool->worker_count);
    TROUPE_ASSERT(type->state_size <= TROUPE_ACTOR_STATE_MAX);
    if (was_started(pool)) {
        return TROUPE_ECLOSED;
    }
    struct trp_cell *cell = trp_cells_take(&pool->workers[worker].cells, type);
    if (cell == NULL) {
        return TROUPE_ENOMEM;
    }
    trp_cell_set_status(cell, TRP_CELL_RESERVED);
    cell->state = (void *)(uintptr_t)arg; /* kept here until the worker starts it */
    *ref = trp_cell_ref(cell);
    return TROUPE_OK;
}

static uint32_t create_threads(struct troupe_pool *pool)
{
    uint32_t created = 0;
    while (created < pool->worker_count) {
        struct trp_worker *worker = &pool->workers[created];
        if (pthread_create(&worker->thread, NULL, trp_worker_main, worker) != 0) {
            break;
        }
        created++;
    }
    return created;
}

static enum troupe_status
say_why(enum troupe_status status, const char *why, char *error, size_t error_cap)
{
    if (error != NULL) {
        snprintf(error, error_cap, "%s", why);
    }
    return status;
}

enum troupe_status troupe_pool_start(struct troupe_pool *pool, char *error, size_t error_cap)
{
    TROUPE_ASSERT(!pool->is_running);
    if (was_started(pool)) {
        return say_why(TROUPE_ECLOSED, "a pool is started once: create another one", error,
                       error_cap);
    }
    if (trp_watchdog_start(pool) != TROUPE_OK) {
        trp_watchdog_fini(pool); /* without its thread; the next start may be luckier */
        return say_why(TROUPE_ENOMEM, "cannot create the watchdog thread", error, error_cap);
    }
    uint32_t created = create_threads(pool);
    pthread_mutex_lock(&pool->lock);
    if (created < pool->worker_count) {
        pool->start_status = TROUPE_ENOMEM;
        snprintf(pool->start_error, sizeof(pool->start_error), "cannot create a thread");
        pool->started_workers += pool->worker_count - created;
        pthread_cond_broadcast(&pool->started);
    }
    while (pool->started_workers < pool->worker_count) {
        pthread_cond_wait(&pool->started, &pool->lock);
    }
    enum troupe_status status = pool->start_status;
    pthread_mutex_unlock(&pool->lock);
    pool->is_running = status == TROUPE_OK;
    if (status != TROUPE_OK) {
        for (uint32_t i = 0; i < created; i++) {
            pthread_join(pool->workers[i].thread, NULL);
        }
        trp_watchdog_stop(pool);
        return say_why(status, pool->start_error, error, error_cap);
    }
    return TROUPE_OK;
}

static bool is_on_own_worker(const struct troupe_pool *pool)
{
    for (uint32_t i = 0; i < pool->worker_count; i++) {
        if (trp_heap_current == &pool->workers[i].heap) {
            return true;
        }
    }
    return false;
}

void troupe_pool_join(struct troupe_pool *pool)
{
    TROUPE_ASSERT(!is_on_own_worker(pool) &&
                  "troupe_pool_join is for foreign threads: a handler would wait for itself");
    TROUPE_ASSERT(!trp_offload_is_own_thread(pool) &&
                  "troupe_pool_join is for foreign threads: a job would wait for itself");
    if (!pool->is_running) {
        return;
    }
    for (uint32_t i = 0; i < pool->worker_count; i++) {
        pthread_join(pool->workers[i].thread, NULL);
    }
    trp_watchdog_stop(pool);
    trp_offload_close(pool->offload);
    pool->is_running = false;
}

void troupe_pool_destroy(struct troupe_pool *pool)
{
    if (pool == NULL) {
        return;
    }
    TROUPE_ASSERT(!pool->is_running);
    trp_observe_pool_fini(pool);
    for (uint32_t i = 0; i < pool->worker_count; i++) {
        struct trp_worker *worker = &pool->workers[i];
        if (worker->driver_state != NULL) {
            worker->driver->close(worker->driver_state);
        }
    }
    if (trp_core() != NULL) {
        trp_core()->pool_fini(pool);
    }
    for (uint32_t i = 0; i < pool->worker_count; i++) {
        trp_worker_fini(&pool->workers[i]);
    }
    trp_ports_free(pool);
    trp_offload_destroy(pool->offload);
    trp_drain_fini(pool);
    pthread_mutex_destroy(&pool->lock);
    pthread_cond_destroy(&pool->started);
    free(pool->workers);
    free(pool);
}

uint32_t troupe_pool_workers(const struct troupe_pool *pool)
{
    return pool->worker_count;
}

void troupe_pool_stats(const struct troupe_pool *pool,
                       uint32_t worker,
                       struct troupe_worker_stats *stats)
{
    TROUPE_ASSERT(worker < pool->worker_count);
    const uint64_t *from = (const uint64_t *)&pool->workers[worker].stats;
    uint64_t *to = (uint64_t *)stats;
    for (size_t i = 0; i < sizeof(*stats) / sizeof(uint64_t); i++) {
        to[i] = trp_load_relaxed_u64(&from[i]); /* partner: trp_count */
    }
    if (worker == 0) {
        stats->accepted += trp_ports_accepted(
            (struct troupe_pool *)(uintptr_t)pool); /* foreign sends have no worker */
        stats->refused += trp_ports_refused((struct troupe_pool *)(uintptr_t)pool);
        uint64_t dropped = trp_load_relaxed_u64(&pool->foreign_dropped);
        stats->reported += dropped;
        stats->dropped[TROUPE_DROP_SHUTDOWN] += dropped;
    }
}
