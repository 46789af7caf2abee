/* The admission service as a whole: set up, taken down, counted. */

#include "actors/admission/admission_internal.h"

#include <stdlib.h>
#include <sys/random.h>
#include <troupe/assert.h>

#define CAPACITY_MAX (1u << 24)

static const uint64_t second_ns = 1000000000u;

static bool set_defaults(struct troupe_admission_config *config)
{
    if (config->client_type == NULL || config->refused_cb == NULL || config->released_cb == NULL ||
        config->capacity > CAPACITY_MAX || config->placement > TROUPE_PLACE_LEAST_LOADED) {
        return false;
    }
    if (config->capacity == 0) {
        config->capacity = 1000;
    }
    if (config->queue_max == UINT32_MAX) {
        config->queue_max = 0;
    } else if (config->queue_max == 0) {
        config->queue_max = 100;
    }
    if (config->queue_max > CAPACITY_MAX) {
        config->queue_max = CAPACITY_MAX;
    }
    if (config->backlog_max == 0) {
        config->backlog_max = 100;
    }
    if (config->queue_timeout_ns == 0) {
        config->queue_timeout_ns = 30 * second_ns;
    }
    if (config->idle_timeout_ns == 0) {
        config->idle_timeout_ns = 300 * second_ns;
    }
    if (config->retry_after_ms == 0) {
        config->retry_after_ms = 1000;
    }
    /* times are added to the clock: keep them far from the end of the number range */
    uint64_t *const times[] = {&config->queue_timeout_ns, &config->idle_timeout_ns,
                               &config->evict_min_idle_ns};
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        *times[i] = *times[i] > UINT64_MAX / 4 ? UINT64_MAX / 4 : *times[i];
    }
    return true;
}

/* A secret nobody can guess; in a simulation it follows from the seed. */
static bool choose_secret(struct trp_hash_secret *secret, const struct troupe_pool *pool)
{
    if (pool->is_simulated) {
        struct trp_random random = {pool->config.seed};
        secret->words[0] = trp_random_next(&random);
        secret->words[1] = trp_random_next(&random);
        return true;
    }
    return getrandom(secret, sizeof(*secret), 0) == (ssize_t)sizeof(*secret);
}

static bool allocate(struct troupe_admission *admission)
{
    uint32_t buckets = 64;
    while (buckets < admission->config.capacity) {
        buckets *= 2;
    }
    size_t agents_bytes = admission->workers * sizeof(admission->agents[0]);
    admission->table_mask = buckets - 1;
    admission->table = calloc(buckets, sizeof(struct troupe_client *));
    admission->heap = calloc(admission->config.capacity, sizeof(struct troupe_client *));
    admission->agents = aligned_alloc(TRP_CACHE_LINE, agents_bytes);
    if (admission->table == NULL || admission->heap == NULL || admission->agents == NULL) {
        return false;
    }
    memset(admission->agents, 0, agents_bytes);
    return trp_directory_init(&admission->directory, admission->config.capacity);
}

static void free_memory(struct troupe_admission *admission)
{
    free(admission->table);
    free(admission->heap);
    free(admission->agents);
    free(admission);
}

static enum troupe_status spawn_actors(struct troupe_admission *admission)
{
    enum troupe_status status =
        troupe_pool_spawn(admission->pool, &admission->actor, 0, &trp_admission_type, admission);
    for (uint32_t i = 0; i < admission->workers && status == TROUPE_OK; i++) {
        struct trp_agent *agent = &admission->agents[i];
        agent->admission = admission;
        agent->worker = i;
        ck_epoch_register(&admission->directory.epoch, &agent->epoch, NULL);
        status = troupe_pool_spawn(admission->pool, &agent->ref, i, &trp_agent_type, agent);
    }
    return status;
}

enum troupe_status troupe_admission_create(struct troupe_admission **out,
                                           struct troupe_pool *pool,
                                           const struct troupe_admission_config *config)
{
    struct troupe_admission_config full = *config;
    if (!set_defaults(&full)) {
        return TROUPE_EINVAL;
    }
    struct troupe_admission *admission = aligned_alloc(TRP_CACHE_LINE, sizeof(*admission));
    if (admission == NULL) {
        return TROUPE_ENOMEM;
    }
    memset(admission, 0, sizeof(*admission));
    admission->config = full;
    admission->pool = pool;
    admission->workers = troupe_pool_workers(pool);
    admission->lru_due_ns = UINT64_MAX;
    admission->wait_due_ns = UINT64_MAX;
    if (!choose_secret(&admission->secret, pool) || !allocate(admission)) {
        free_memory(admission);
        return TROUPE_ENOMEM;
    }
    enum troupe_status status = spawn_actors(admission);
    if (status != TROUPE_OK) {
        /* A reserved actor cannot be taken back: the pool must not be started after this. */
        trp_directory_fini(&admission->directory);
        free_memory(admission);
        return status;
    }
    *out = admission;
    return TROUPE_OK;
}

/* A backlog whose ADMIT note the end of the pool caught under way. */
static void report_backlog(struct troupe_admission *admission, struct troupe_client *client)
{
    const struct troupe_pool_config *config = &admission->pool->config;
    struct troupe_msg *msg;
    while ((msg = trp_lane_pop(&client->backlog)) != NULL) {
        if (config->dead_letter_cb != NULL) {
            config->dead_letter_cb(config->dead_letter_arg, trp_msg_carried(msg),
                                   TROUPE_DROP_SHUTDOWN);
        }
        trp_msg_free(msg);
    }
}

void troupe_admission_destroy(struct troupe_admission *admission)
{
    if (admission == NULL) {
        return;
    }
    TROUPE_ASSERT(!admission->pool->is_running);
    for (uint32_t i = 0; i <= admission->table_mask; i++) {
        struct troupe_client *client = admission->table[i];
        while (client != NULL) {
            struct troupe_client *next = client->hash_next;
            report_backlog(admission, client);
            trp_heap_free(client);
            client = next;
        }
    }
    trp_directory_fini(&admission->directory);
    free_memory(admission);
}

void troupe_admission_drain(struct troupe_ctx *ctx,
                            struct troupe_admission *admission,
                            troupe_ref done_to,
                            uint16_t done_type)
{
    struct trp_agent *agent = trp_agent_here(ctx, admission);
    if (agent->is_drain_asked) {
        return;
    }
    agent->is_drain_asked = true;
    agent->done_to = done_to;
    agent->done_type = done_type;
    trp_note_post(ctx, admission->actor, &agent->drain_note);
}

void troupe_admission_stats(const struct troupe_admission *admission,
                            struct troupe_admission_stats *stats)
{
    const struct trp_admission_counts *counts = &admission->counts;
    memset(stats, 0, sizeof(*stats));
    stats->capacity = admission->config.capacity;
    stats->active = trp_load_relaxed_u64(&counts->active);
    stats->active_peak = trp_load_relaxed_u64(&counts->active_peak);
    stats->waiting = trp_load_relaxed_u64(&counts->waiting);
    stats->admitted = trp_load_relaxed_u64(&counts->admitted);
    stats->queued = trp_load_relaxed_u64(&counts->queued);
    stats->queue_wait_ns = trp_load_relaxed_u64(&counts->queue_wait_ns);
    for (size_t i = 0; i < TROUPE_RELEASE_REASONS; i++) {
        stats->released[i] = trp_load_relaxed_u64(&counts->released[i]);
    }
    uint64_t went_idle = 0;
    uint64_t went_busy = 0;
    uint64_t closed = 0;
    for (uint32_t i = 0; i < admission->workers; i++) {
        const struct trp_agent_counts *here = &admission->agents[i].counts;
        stats->delivered += trp_load_relaxed_u64(&here->delivered);
        stats->handled += trp_load_relaxed_u64(&here->handled);
        stats->abandoned += trp_load_relaxed_u64(&here->abandoned);
        stats->refused_busy += trp_load_relaxed_u64(&here->refused_busy);
        stats->refused_timeout += trp_load_relaxed_u64(&here->refused_timeout);
        stats->refused_shutdown += trp_load_relaxed_u64(&here->refused_shutdown);
        stats->routes += trp_load_relaxed_u64(&here->routes_opened);
        closed += trp_load_relaxed_u64(&here->routes_closed);
        went_idle += trp_load_relaxed_u64(&here->went_idle);
        went_busy += trp_load_relaxed_u64(&here->went_busy);
    }
    /* the counters of different workers are not read at one moment */
    stats->routes = stats->routes > closed ? stats->routes - closed : 0;
    stats->idle = went_idle > went_busy ? went_idle - went_busy : 0;
    if (stats->idle > stats->active) {
        stats->idle = stats->active;
    }
}
