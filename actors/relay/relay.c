#include "actors/relay/relay.h"

#include "actors/core/log.h"
#include "actors/relay/connection.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <troupe/assert.h>

/* A turn verifies at most this many events: about a quarter of a millisecond. */
#define TURN_FRAMES 8u
#define DEPTH_MAX   32u
#define KEY_BUCKETS 16384u
/* OK answers and EOSE on top of what queue_events_max allows. */
#define SPARE_ENTRIES 64u

void trp_relay_config_default(struct trp_relay_config *config)
{
    const uint64_t second_ns = 1000000000u;
    memset(config, 0, sizeof(*config));
    config->name = "troupe";
    config->description = "a small Nostr relay";
    config->connections_max = 10000;
    config->message_bytes_max = 512u << 10;
    config->subs_max = 64;
    config->sub_bytes_max = 1u << 20;
    config->filters_max = 16;
    config->filter_values_max = 1000;
    config->limit_max = 500;
    config->future_s_max = 900;
    config->bad_messages_max = 100;
    config->queue_bytes_max = 4u << 20;
    config->queue_events_max = 4096;
    config->outbox_max = 8192;
    config->store_count_max = 20000;
    config->store_bytes_max = 64u << 20;
    config->ping_after_ns = 30 * second_ns;
    config->dead_after_ns = 75 * second_ns;
}

/* --- checking --- */

/* NULL, or the member that is out of range. */
static const char *find_fault(const struct trp_relay_config *config, uint32_t workers)
{
    const struct {
        const char *name;
        uint64_t value;
        uint64_t low;
        uint64_t high;
    } ranges[] = {
        {"connections_max", config->connections_max, 1, UINT32_MAX / 2},
        {"message_bytes_max", config->message_bytes_max, 1024, 4u << 20},
        {"subs_max", config->subs_max, 1, 65536},
        {"sub_bytes_max", config->sub_bytes_max, 1024, 64u << 20},
        {"filters_max", config->filters_max, 1, 1024},
        {"filter_values_max", config->filter_values_max, 1, 100000},
        {"limit_max", config->limit_max, 1, 1u << 20},
        {"bad_messages_max", config->bad_messages_max, 1, UINT32_MAX},
        {"queue_bytes_max", config->queue_bytes_max, 4096, 1u << 30},
        {"queue_events_max", config->queue_events_max, 4, 1u << 20},
        {"outbox_max", config->outbox_max, workers, 1u << 20},
        {"store_count_max", config->store_count_max, 1, 1u << 22},
        {"store_bytes_max", config->store_bytes_max, 4096, UINT64_MAX / 2},
    };
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        if (ranges[i].value < ranges[i].low || ranges[i].value > ranges[i].high) {
            return ranges[i].name;
        }
    }
    if (!trp_utf8_valid(troupe_span_cstr(config->name))) {
        return "name";
    }
    return trp_utf8_valid(troupe_span_cstr(config->description)) ? NULL : "description";
}

/* --- making --- */

static bool copy_text(const char **text)
{
    if (*text != NULL) {
        *text = strdup(*text);
        return *text != NULL;
    }
    return true;
}

static bool copy_config(struct trp_relay *relay, const struct trp_relay_config *config)
{
    relay->config = *config;
    relay->config.address = NULL;
    bool is_fine = copy_text(&relay->config.name);
    is_fine = copy_text(&relay->config.description) && is_fine;
    is_fine = copy_text(&relay->config.version) && is_fine;
    struct trp_text hex = trp_text_init(relay->tap_hex, sizeof(relay->tap_hex));
    trp_text_hex(&hex, config->tap_pubkey, sizeof(config->tap_pubkey));
    TROUPE_ASSERT(!hex.overflow);
    return is_fine;
}

static bool make_info(struct trp_relay *relay)
{
    struct trp_text measure = trp_text_init(NULL, 0);
    trp_relay_info_write(&measure, &relay->config);
    relay->info = malloc(measure.needed);
    if (relay->info == NULL) {
        return false;
    }
    struct trp_text text = trp_text_init(relay->info, measure.needed);
    trp_relay_info_write(&text, &relay->config);
    TROUPE_ASSERT(!text.overflow);
    relay->info_len = text.len;
    return true;
}

static void make_ws_config(struct trp_relay *relay)
{
    struct trp_ws_config *ws = &relay->ws_config;
    trp_ws_config_default(ws);
    trp_relay_ws_callbacks(&ws->callbacks);
    ws->message_max = relay->config.message_bytes_max;
    ws->turn_frames_max = TURN_FRAMES;
    ws->stream.queue_bytes_max = relay->config.queue_bytes_max;
    ws->stream.queue_entries_max = 2 * relay->config.queue_events_max + SPARE_ENTRIES;
    ws->ping_after_ns = relay->config.ping_after_ns;
    ws->dead_after_ns = relay->config.dead_after_ns;
}

static bool make_shard(struct trp_relay *relay, uint32_t index)
{
    struct trp_relay_shard *shard = &relay->shards[index];
    struct trp_json_limits json = trp_json_limits_default();
    struct trp_relay_store_limits store = {relay->config.store_count_max,
                                           relay->config.store_bytes_max};
    json.bytes_max = relay->config.message_bytes_max;
    json.depth_max = DEPTH_MAX;
    shard->relay = relay;
    shard->worker = index;
    shard->parser = trp_json_create(json);
    shard->crypto = trp_nostr_crypto_create();
    shard->store = trp_relay_store_create(store, relay->config.seed);
    shard->subs = trp_relay_subs_create(KEY_BUCKETS, relay->config.seed);
    shard->outbox = calloc(relay->config.outbox_max, sizeof(*shard->outbox));
    shard->listener_config.set = &relay->listeners;
    shard->listener_config.index = index;
    shard->listener_config.type = &trp_relay_connection_type;
    shard->listener_config.user = shard;
    return shard->parser != NULL && shard->crypto != NULL && shard->store != NULL &&
           shard->subs != NULL && shard->outbox != NULL;
}

static enum troupe_status make_all(struct trp_relay *relay, const struct trp_relay_config *config)
{
    if (!copy_config(relay, config) || !make_info(relay)) {
        return TROUPE_ENOMEM;
    }
    if (relay->config.seed == 0 && getrandom(&relay->config.seed, sizeof(relay->config.seed), 0) !=
                                       (ssize_t)sizeof(relay->config.seed)) {
        return TROUPE_EIO;
    }
    make_ws_config(relay);
    size_t bytes = relay->worker_count * sizeof(*relay->shards);
    relay->shards = aligned_alloc(TRP_CACHE_LINE, bytes);
    if (relay->shards == NULL) {
        return TROUPE_ENOMEM;
    }
    memset(relay->shards, 0, bytes);
    for (uint32_t i = 0; i < relay->worker_count; i++) {
        if (!make_shard(relay, i)) {
            return TROUPE_ENOMEM;
        }
    }
    return TROUPE_OK;
}

/* The shard of a worker starts before its listener. */
static enum troupe_status reserve(struct trp_relay *relay, struct troupe_pool *pool)
{
    enum troupe_status status = TROUPE_OK;
    for (uint32_t i = 0; i < relay->worker_count && status == TROUPE_OK; i++) {
        struct trp_relay_shard *shard = &relay->shards[i];
        status = troupe_pool_spawn(pool, &shard->ref, i, &trp_relay_shard_type, shard);
        if (status == TROUPE_OK) {
            status = troupe_pool_spawn(pool, &shard->listener, i, &trp_listener_type,
                                       &shard->listener_config);
        }
    }
    return status;
}

enum troupe_status trp_relay_create(struct trp_relay **relay,
                                    struct troupe_pool *pool,
                                    const struct trp_relay_config *config,
                                    char *error,
                                    size_t error_cap)
{
    uint32_t workers = troupe_pool_workers(pool);
    const char *fault = find_fault(config, workers);
    if (fault != NULL) {
        (void)snprintf(error, error_cap, "relay: %s is out of range", fault);
        return TROUPE_EINVAL;
    }
    struct trp_relay *made = calloc(1, sizeof(*made));
    if (made == NULL) {
        (void)snprintf(error, error_cap, "relay: out of memory");
        return TROUPE_ENOMEM;
    }
    made->worker_count = workers;
    enum troupe_status status =
        trp_listener_open(&made->listeners, config->address, workers, 0, error, error_cap);
    if (status != TROUPE_OK) {
        free(made); /* the set was never opened and must not be closed */
        return status;
    }
    if (made->listeners.port == 0) {
        (void)snprintf(error, error_cap, "relay: the address must be ADDR:PORT, not a path");
        status = TROUPE_EINVAL;
    } else {
        (void)snprintf(made->url, sizeof(made->url), "ws://%s", made->listeners.address);
        status = make_all(made, config);
        status = status == TROUPE_OK ? reserve(made, pool) : status;
        if (status != TROUPE_OK) {
            (void)snprintf(error, error_cap, "relay: %s", troupe_status_text(status));
        }
    }
    if (status != TROUPE_OK) {
        trp_relay_destroy(made);
        return status;
    }
    *relay = made;
    return TROUPE_OK;
}

const char *trp_relay_url(const struct trp_relay *relay)
{
    return relay->url;
}

void trp_relay_destroy(struct trp_relay *relay)
{
    if (relay == NULL) {
        return;
    }
    trp_listener_close(&relay->listeners);
    for (uint32_t i = 0; relay->shards != NULL && i < relay->worker_count; i++) {
        struct trp_relay_shard *shard = &relay->shards[i];
        trp_json_destroy(shard->parser);
        trp_nostr_crypto_destroy(shard->crypto);
        trp_relay_store_destroy(shard->store);
        trp_relay_subs_destroy(shard->subs);
        free(shard->outbox);
    }
    free(relay->shards);
    free(relay->info);
    free((char *)relay->config.name);
    free((char *)relay->config.description);
    free((char *)relay->config.version);
    free(relay);
}

/* --- while it runs --- */

enum troupe_status
trp_relay_publish(struct troupe_ctx *ctx, struct trp_relay *relay, struct troupe_buf *packet)
{
    struct trp_relay_shard *shard = &relay->shards[troupe_self_worker(ctx)];
    switch (trp_relay_accept(ctx, shard, packet)) {
    case TRP_RELAY_ACCEPTED:
        trp_relay_count(&shard->stats.published, 1);
        return TROUPE_OK;
    case TRP_RELAY_DUPLICATE:
    case TRP_RELAY_OUTDATED:
    case TRP_RELAY_DELETED:
        trp_relay_count(&shard->stats.duplicates, 1);
        return TROUPE_OK;
    case TRP_RELAY_BUSY:
        trp_relay_count(&shard->stats.busy, 1);
        return TROUPE_EBUSY;
    case TRP_RELAY_NO_MEMORY:
        trp_relay_count(&shard->stats.busy, 1);
        return TROUPE_ENOMEM;
    case TRP_RELAY_STOPPED:
        break;
    }
    return TROUPE_ECLOSED;
}

void trp_relay_stop(struct troupe_ctx *ctx, struct trp_relay *relay)
{
    for (uint32_t i = 0; i < relay->worker_count; i++) {
        troupe_stop(ctx, relay->shards[i].ref);
    }
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

void trp_relay_stats(const struct trp_relay *relay, struct trp_relay_stats *stats)
{
    memset(stats, 0, sizeof(*stats));
    for (uint32_t i = 0; i < relay->worker_count; i++) {
        const struct trp_relay_stats *own = &relay->shards[i].stats;
        /* relaxed: partner trp_relay_count */
#define ADD_STAT(name) stats->name += trp_load_relaxed_u64(&own->name);
        TRP_RELAY_STATS(ADD_STAT)
#undef ADD_STAT
        stats->stored = larger(stats->stored, trp_load_relaxed_u64(&own->stored));
        stats->stored_bytes = larger(stats->stored_bytes, trp_load_relaxed_u64(&own->stored_bytes));
    }
}
