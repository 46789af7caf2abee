#include "pool/observe.h"

#include <stdlib.h>
#include <string.h>
#include <troupe/assert.h>

#define TYPES        TROUPE_OBSERVED_TYPES
#define OVERRUN_WORD 5u /* words per overrun */
/* one more than is shown: the oldest place may be the one that is being written */
#define OVERRUNS (TROUPE_OVERRUNS_KEPT + 1)

struct trp_observe {
    struct trp_type_stats types[TYPES]; /* open addressing by the type's address */
    struct trp_type_stats other;
    /* the last over-budget handlers: type, actor, message type, duration, when */
    uint64_t overruns[OVERRUNS][OVERRUN_WORD];
    uint64_t overrun_count; /* ever; released after each one */
};

TROUPE_STATIC_ASSERT((TYPES & (TYPES - 1)) == 0, "the table is addressed with a mask");

enum troupe_status trp_observe_worker_init(struct trp_worker *worker)
{
    worker->observe = calloc(1, sizeof(*worker->observe)); /* pages come with their first use */
    if (worker->observe == NULL) {
        return TROUPE_ENOMEM;
    }
    return trp_recorder_init(&worker->recorder, TRP_RECORDER_EVENTS);
}

void trp_observe_worker_fini(struct trp_worker *worker)
{
    trp_recorder_fini(&worker->recorder);
    free(worker->observe);
    worker->observe = NULL;
}

/* --- writing: the worker --- */

static uint32_t home_of(const struct troupe_actor_type *type)
{
    return (uint32_t)(((uint64_t)(uintptr_t)type * 0x9E3779B97F4A7C15ull) >> 32) & (TYPES - 1);
}

struct trp_type_stats *trp_observe_type(struct trp_worker *worker,
                                        const struct troupe_actor_type *type)
{
    struct trp_observe *observe = worker->observe;
    uint32_t home = home_of(type);
    for (uint32_t i = 0; i < TYPES; i++) {
        struct trp_type_stats *stats = &observe->types[(home + i) & (TYPES - 1)];
        if (stats->type == type) {
            return stats;
        }
        if (stats->type == NULL) {
            /* release: pairs with find_type; numbers start from zero, nothing else to publish */
            trp_store_release_ptr((void **)&stats->type, (void *)(uintptr_t)type);
            return stats;
        }
    }
    return &observe->other;
}

void trp_observe_waited(struct trp_worker *worker, const struct trp_cell *cell, uint64_t waited_ns)
{
    TROUPE_ASSERT(cell->type != NULL);
    trp_histogram_add(&trp_observe_type(worker, cell->type)->waited, waited_ns);
}

static void keep_overrun(struct trp_worker *worker,
                         const struct trp_cell *cell,
                         uint16_t msg_type,
                         uint64_t took_ns)
{
    struct trp_observe *observe = worker->observe;
    uint64_t at = observe->overrun_count;
    uint64_t *words = observe->overruns[at % OVERRUNS];
    /* relaxed: ordered by the release below; partner read_overrun */
    trp_store_relaxed_u64(&words[0], (uint64_t)(uintptr_t)cell->type);
    trp_store_relaxed_u64(&words[1], trp_cell_ref(cell));
    trp_store_relaxed_u64(&words[2], msg_type);
    trp_store_relaxed_u64(&words[3], took_ns);
    trp_store_relaxed_u64(&words[4], worker->now_ns);
    trp_store_release_u64(&observe->overrun_count, at + 1); /* pairs with read_overrun */
    trp_record(&worker->recorder, TRP_EVENT_OVERRUN, trp_cell_ref(cell), msg_type,
               trp_event_squeeze(took_ns / 1000));
}

void trp_observe_handled(struct trp_worker *worker,
                         struct trp_cell *cell,
                         uint16_t msg_type,
                         uint64_t took_ns,
                         uint32_t interval)
{
    TROUPE_ASSERT(cell->type != NULL);
    struct trp_type_stats *stats = trp_observe_type(worker, cell->type);
    uint64_t busy_ns = took_ns > UINT64_MAX / UINT32_MAX ? took_ns : took_ns * interval;
    trp_histogram_add(&stats->handled, took_ns);
    trp_count(&stats->messages, interval);
    trp_count(&stats->busy_ns, busy_ns);
    cell->extra.busy_ns += busy_ns;
    if (took_ns > TRP_TURN_NS) {
        trp_count(&stats->overruns, 1);
        keep_overrun(worker, cell, msg_type, took_ns);
    }
}

/* --- reading: anybody --- */

static const struct troupe_actor_type *type_of(const struct trp_type_stats *stats)
{
    /* acquire: pairs with trp_observe_type */
    return trp_load_acquire_ptr((void *const *)&stats->type);
}

static const struct trp_type_stats *find_type(const struct trp_worker *worker,
                                              const struct troupe_actor_type *type)
{
    const struct trp_observe *observe = worker->observe;
    uint32_t home = home_of(type);
    for (uint32_t i = 0; i < TYPES; i++) {
        const struct trp_type_stats *stats = &observe->types[(home + i) & (TYPES - 1)];
        const struct troupe_actor_type *found = type_of(stats);
        if (found == type) {
            return stats;
        }
        if (found == NULL) {
            return NULL;
        }
    }
    return NULL;
}

struct merged {
    struct trp_histogram waited;
    struct trp_histogram handled;
    struct troupe_type_stats stats;
};

static void merge(struct merged *merged, const struct trp_type_stats *from)
{
    trp_histogram_merge(&merged->waited, &from->waited);
    trp_histogram_merge(&merged->handled, &from->handled);
    /* relaxed: partner trp_count in trp_observe_handled */
    merged->stats.messages += trp_load_relaxed_u64(&from->messages);
    merged->stats.overruns += trp_load_relaxed_u64(&from->overruns);
    merged->stats.busy_ns += trp_load_relaxed_u64(&from->busy_ns);
}

static void summarise(struct troupe_durations *out, const struct trp_histogram *histogram)
{
    out->samples = trp_histogram_total(histogram);
    out->p50_ns = trp_histogram_percentile(histogram, 5000);
    out->p90_ns = trp_histogram_percentile(histogram, 9000);
    out->p99_ns = trp_histogram_percentile(histogram, 9900);
    out->p999_ns = trp_histogram_percentile(histogram, 9990);
    out->max_ns = histogram->max_ns;
    out->mean_ns = out->samples == 0 ? 0 : histogram->sum_ns / out->samples;
}

static bool is_known_before(const struct troupe_pool *pool,
                            uint32_t worker,
                            const struct troupe_actor_type *type)
{
    for (uint32_t i = 0; i < worker; i++) {
        if (find_type(&pool->workers[i], type) != NULL) {
            return true;
        }
    }
    return false;
}

/* The entry of one type over the workers from `worker` on; type NULL = all others, from 0 on. */
static void
collect(struct merged *merged, const struct troupe_pool *pool, uint32_t worker, const void *type)
{
    memset(merged, 0, sizeof(*merged));
    for (uint32_t i = worker; i < pool->worker_count; i++) {
        const struct trp_type_stats *stats =
            type == NULL ? &pool->workers[i].observe->other : find_type(&pool->workers[i], type);
        if (stats != NULL) {
            merge(merged, stats);
        }
    }
    summarise(&merged->stats.waited, &merged->waited);
    summarise(&merged->stats.handled, &merged->handled);
}

void troupe_pool_type_stats(const struct troupe_pool *pool,
                            struct troupe_type_stats *stats,
                            uint32_t cap,
                            uint32_t *count)
{
    struct merged merged;
    uint32_t found = 0;
    for (uint32_t i = 0; i < pool->worker_count; i++) {
        for (uint32_t j = 0; j < TYPES; j++) {
            const struct troupe_actor_type *type = type_of(&pool->workers[i].observe->types[j]);
            if (type == NULL || is_known_before(pool, i, type)) {
                continue;
            }
            if (found < cap) {
                collect(&merged, pool, i, type);
                merged.stats.name = type->name;
                stats[found] = merged.stats;
            }
            found++;
        }
    }
    collect(&merged, pool, 0, NULL);
    if (merged.stats.waited.samples + merged.stats.handled.samples != 0) {
        merged.stats.name = "(other)";
        if (found < cap) {
            stats[found] = merged.stats;
        }
        found++;
    }
    *count = found;
}

static bool
read_overrun(const struct trp_observe *observe, uint64_t index, struct troupe_overrun *overrun)
{
    const uint64_t *words = observe->overruns[index % OVERRUNS];
    uint64_t copy[OVERRUN_WORD];
    for (uint32_t i = 0; i < OVERRUN_WORD; i++) {
        copy[i] = trp_load_acquire_u64(&words[i]); /* before the look at the count below */
    }
    /* the place of the next one may be half written; acquire: pairs with keep_overrun */
    if (trp_load_acquire_u64(&observe->overrun_count) - index >= OVERRUNS) {
        return false;
    }
    overrun->type_name = ((const struct troupe_actor_type *)(uintptr_t)copy[0])->name;
    overrun->actor = copy[1];
    overrun->msg_type = (uint16_t)copy[2];
    overrun->took_ns = copy[3];
    overrun->at_ns = copy[4];
    return true;
}

/* Keeps the newest `cap` sorted, newest first. */
static void insert_overrun(struct troupe_overrun *overruns,
                           uint32_t cap,
                           uint32_t *count,
                           const struct troupe_overrun *overrun)
{
    uint32_t at = *count;
    while (at > 0 && overruns[at - 1].at_ns < overrun->at_ns) {
        at--;
    }
    if (at >= cap) {
        return;
    }
    uint32_t kept = *count < cap ? *count : cap - 1;
    memmove(&overruns[at + 1], &overruns[at], (kept - at) * sizeof(overruns[0]));
    overruns[at] = *overrun;
    *count = kept + 1;
}

void troupe_pool_overruns(const struct troupe_pool *pool,
                          struct troupe_overrun *overruns,
                          uint32_t cap,
                          uint32_t *count)
{
    *count = 0;
    for (uint32_t i = 0; i < pool->worker_count; i++) {
        const struct trp_observe *observe = pool->workers[i].observe;
        uint64_t end = trp_load_acquire_u64(&observe->overrun_count); /* pairs with keep_overrun */
        uint64_t first = end > TROUPE_OVERRUNS_KEPT ? end - TROUPE_OVERRUNS_KEPT : 0;
        for (uint64_t index = first; index < end; index++) {
            struct troupe_overrun overrun;
            if (read_overrun(observe, index, &overrun)) {
                insert_overrun(overruns, cap, count, &overrun);
            }
        }
    }
}
