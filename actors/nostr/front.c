#include "actors/nostr/front_parts.h"

#include "actors/nostr/publish_queue.h"
#include "actors/nostr/relay_conn.h"
#include "io/codec/url.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MS_NS     1000000u
#define SECOND_NS UINT64_C(1000000000)

/* A content byte takes at most 6 bytes as JSON (\u0001); the rest is for tags and members. */
#define JSON_FACTOR     6u
#define JSON_EXTRA      (256u << 10)
#define CONTENT_MAX_MAX (8u << 20)

void trp_nostr_front_limits_default(struct trp_nostr_front_limits *limits)
{
    *limits = (struct trp_nostr_front_limits){
        .content_bytes_max = 1u << 20,
        .event_bytes_max = 1u << 20,
        .rate = 200000,
        .rate_burst = 200000,
        .key_rate = 20000,
        .key_rate_burst = 20000,
        .keys = 16384,
        .key_cache = 4096,
        .greeted = 16384,
        .seen = 65536,
        .seen_max = 1u << 20,
        .seen_age_ns = 120 * SECOND_NS,
        .publish_max = 8192,
        .publish_bytes_max = 32u << 20,
        .publish_ns = 30 * SECOND_NS,
        .ok_ns = 10 * SECOND_NS,
        .probe_ns = 120 * SECOND_NS,
        .probe_wait_ns = 20 * SECOND_NS,
        .handshake_ns = 10 * SECOND_NS,
        .retry_quick_min_ns = 250 * MS_NS,
        .retry_quick_max_ns = 1000 * MS_NS,
        .retry_base_ns = 3 * SECOND_NS,
        .retry_max_ns = 30 * SECOND_NS,
        .since_margin_s = 60,
    };
}

/* --- checks --- */

static enum troupe_status
check_limits(const struct trp_nostr_front_limits *limits, char *error, size_t error_cap)
{
    const char *wrong = NULL;
    if (limits->content_bytes_max == 0 || limits->content_bytes_max > CONTENT_MAX_MAX) {
        wrong = "content_bytes_max must be 1 byte to 8 MiB";
    } else if (limits->event_bytes_max < 1024 || limits->event_bytes_max > CONTENT_MAX_MAX) {
        wrong = "event_bytes_max must be 1 KiB to 8 MiB";
    } else if (limits->publish_max == 0 || limits->publish_bytes_max == 0) {
        wrong = "the publish queue must hold something";
    } else if (limits->publish_ns == 0 || limits->ok_ns == 0 || limits->handshake_ns == 0 ||
               limits->retry_base_ns == 0 || limits->probe_wait_ns == 0) {
        wrong = "times must not be 0";
    } else if (limits->retry_quick_max_ns < limits->retry_quick_min_ns ||
               limits->retry_max_ns < limits->retry_base_ns) {
        wrong = "a longest retry is shorter than its shortest";
    }
    if (wrong == NULL) {
        return TROUPE_OK;
    }
    (void)snprintf(error, error_cap, "nostr limits: %s", wrong);
    return TROUPE_EINVAL;
}

static enum troupe_status check_relay(const char *text, char *error, size_t error_cap)
{
    struct trp_url url;
    const char *why = "";
    enum troupe_status status = trp_url_parse(&url, &why, troupe_span_cstr(text));
    if (status == TROUPE_OK && !url.is_websocket) {
        why = "a relay is ws://HOST[:PORT][/PATH]";
        status = TROUPE_EINVAL;
    }
    if (status == TROUPE_OK && url.is_tls) {
        why = "wss:// is not available yet";
        status = TROUPE_EUNAVAIL;
    }
    if (status != TROUPE_OK) {
        (void)snprintf(error, error_cap, "relay %.200s: %s", text, why);
    }
    return status;
}

static enum troupe_status
check_config(const struct trp_nostr_front_config *config, char *error, size_t error_cap)
{
    if (config->secret == NULL || config->relay_count > TRP_NOSTR_RELAYS_MAX) {
        (void)snprintf(error, error_cap, "nostr: a key and at most %u relays are needed",
                       TRP_NOSTR_RELAYS_MAX);
        return TROUPE_EINVAL;
    }
    if (config->encryption == TRP_NOSTR_ENCRYPTION_REQUIRED) {
        (void)snprintf(error, error_cap, "encryption required: not available yet");
        return TROUPE_EUNAVAIL;
    }
    const struct trp_nostr_discovery *told = &config->discovery;
    const char *texts[] = {told->name, told->about, told->website, told->picture};
    for (size_t i = 0; i < 4; i++) {
        if (texts[i] != NULL && (strlen(texts[i]) > TRP_NOSTR_DISCOVERY_MAX ||
                                 !trp_utf8_valid(troupe_span_cstr(texts[i])))) {
            (void)snprintf(error, error_cap,
                           "nostr: name, about, website and picture are UTF-8 of at most %u bytes",
                           TRP_NOSTR_DISCOVERY_MAX);
            return TROUPE_EINVAL;
        }
    }
    for (uint32_t i = 0; i < config->relay_count; i++) {
        enum troupe_status status = check_relay(config->relays[i], error, error_cap);
        if (status != TROUPE_OK) {
            return status;
        }
    }
    return check_limits(&config->limits, error, error_cap);
}

/* --- making --- */

static bool copy_text(char **copy, const char *text)
{
    *copy = text != NULL ? strdup(text) : NULL;
    return text == NULL || *copy != NULL;
}

static bool copy_texts(struct trp_nostr_front *front, const struct trp_nostr_front_config *config)
{
    const struct trp_nostr_discovery *told = &config->discovery;
    bool is_copied = copy_text(&front->discovery[0], told->name) &&
                     copy_text(&front->discovery[1], told->about) &&
                     copy_text(&front->discovery[2], told->website) &&
                     copy_text(&front->discovery[3], told->picture);
    for (uint32_t i = 0; i < 4; i++) {
        front->has_discovery |= front->discovery[i] != NULL;
    }
    for (uint32_t i = 0; is_copied && i < config->relay_count; i++) {
        front->relays[i].front = front;
        is_copied = copy_text(&front->relays[i].url, config->relays[i]);
    }
    return is_copied;
}

static void set_up_rules(struct trp_nostr_front *front, const struct trp_nostr_front_config *config)
{
    const struct trp_nostr_front_limits *limits = &config->limits;
    front->limits = *limits;
    front->encryption = config->encryption;
    front->embedded = config->embedded;
    front->ready_cb = config->ready_cb;
    front->ready_arg = config->ready_arg;
    front->rate = trp_rate_make(limits->rate, limits->rate_burst);
    front->key_rate = trp_rate_make(limits->key_rate, limits->key_rate_burst);
    front->backoff = (struct trp_backoff){
        .quick_min_ns = limits->retry_quick_min_ns,
        .quick_max_ns = limits->retry_quick_max_ns,
        .base_ns = limits->retry_base_ns,
        .max_ns = limits->retry_max_ns,
        .factor_percent = 150,
    };
    trp_ws_config_default(&front->ws);
    front->ws.callbacks = trp_nostr_relay_callbacks;
    front->ws.message_max = JSON_FACTOR * limits->content_bytes_max + JSON_EXTRA;
    front->ws.handshake_ns = limits->handshake_ns;
    /* a few events of up to 4 us each, so that other actors get their turn */
    front->ws.turn_frames_max = 32;
    /* no relay may hold up the end of the program */
    front->ws.close_ns = SECOND_NS;
    front->ws.stream.linger_ns = SECOND_NS;
    /* answers come in bursts; the bytes are bounded by the publish queue already */
    front->ws.stream.queue_entries_max = 4096;
}

static enum troupe_status set_up_part(struct trp_nostr_front *front,
                                      struct trp_nostr_part *part,
                                      const struct trp_nostr_front_config *config)
{
    const struct trp_nostr_front_limits *limits = &config->limits;
    uint64_t seed;
    if (RAND_bytes((unsigned char *)&seed, sizeof(seed)) != 1) {
        return TROUPE_EIO;
    }
    struct trp_json_limits json = trp_json_limits_default();
    json.bytes_max = front->ws.message_max;
    part->crypto = trp_nostr_crypto_create();
    part->parser = trp_json_create(json);
    part->seen = trp_seen_create(limits->seen, limits->seen_max, limits->seen_age_ns, seed);
    part->rates = trp_key_words_create(limits->keys, seed);
    part->greeted = trp_key_words_create(front->has_discovery ? limits->greeted : 0, seed);
    part->keys = trp_key_cache_create(limits->key_cache, seed);
    if (part->crypto == NULL || part->parser == NULL || part->seen == NULL || part->rates == NULL ||
        part->greeted == NULL || part->keys == NULL) {
        return TROUPE_ENOMEM;
    }
    return trp_nostr_key_init(part->crypto, &part->key, config->secret);
}

static enum troupe_status set_up_parts(struct trp_nostr_front *front,
                                       const struct trp_nostr_front_config *config)
{
    size_t bytes = front->worker_count * sizeof(*front->parts);
    front->parts = aligned_alloc(TRP_CACHE_LINE, bytes);
    if (front->parts == NULL) {
        return TROUPE_ENOMEM;
    }
    memset(front->parts, 0, bytes);
    for (uint32_t i = 0; i < front->worker_count; i++) {
        enum troupe_status status = set_up_part(front, &front->parts[i], config);
        if (status != TROUPE_OK) {
            return status;
        }
    }
    memcpy(front->pubkey, front->parts[0].key.pubkey, sizeof(front->pubkey));
    struct trp_text hex = trp_text_init(front->pubkey_hex, sizeof(front->pubkey_hex));
    trp_text_hex(&hex, front->pubkey, sizeof(front->pubkey));
    return TROUPE_OK;
}

static enum troupe_status spawn_actors(struct trp_nostr_front *front, struct troupe_pool *pool)
{
    for (uint32_t i = 0; i < front->worker_count; i++) {
        enum troupe_status status =
            troupe_pool_spawn(pool, &front->parts[i].gate, i, &trp_nostr_gate_type, front);
        if (status != TROUPE_OK) {
            return status;
        }
    }
    for (uint32_t i = 0; i < front->relay_count; i++) {
        struct trp_nostr_relay *relay = &front->relays[i];
        enum troupe_status status = troupe_pool_spawn(pool, &relay->conn, i % front->worker_count,
                                                      &trp_nostr_relay_type, relay);
        if (status != TROUPE_OK) {
            return status;
        }
    }
    return TROUPE_OK;
}

enum troupe_status trp_nostr_front_create(struct trp_nostr_front **out,
                                          struct troupe_pool *pool,
                                          struct troupe_admission *admission,
                                          const struct trp_nostr_front_config *config,
                                          char *error,
                                          size_t error_cap)
{
    enum troupe_status status = check_config(config, error, error_cap);
    if (status != TROUPE_OK) {
        return status;
    }
    struct trp_nostr_front *front = calloc(1, sizeof(*front));
    if (front == NULL) {
        (void)snprintf(error, error_cap, "nostr: out of memory");
        return TROUPE_ENOMEM;
    }
    front->frontend = (struct trp_mcp_frontend){
        .name = "nostr", .arg = front, .send = trp_nostr_send, .initialize_replaces = true};
    front->admission = admission;
    front->service = config->service;
    front->worker_count = troupe_pool_workers(pool);
    front->relay_count = config->relay_count;
    front->running = config->relay_count;
    set_up_rules(front, config);
    status = copy_texts(front, config) ? set_up_parts(front, config) : TROUPE_ENOMEM;
    if (status == TROUPE_OK) {
        status = spawn_actors(front, pool);
    }
    if (status != TROUPE_OK) {
        (void)snprintf(error, error_cap, "nostr: %s",
                       status == TROUPE_EINVAL ? "the secret key is not valid"
                                               : troupe_status_text(status));
        trp_nostr_front_destroy(front);
        return status;
    }
    *out = front;
    return TROUPE_OK;
}

void trp_nostr_front_destroy(struct trp_nostr_front *front)
{
    if (front == NULL) {
        return;
    }
    for (uint32_t i = 0; front->parts != NULL && i < front->worker_count; i++) {
        struct trp_nostr_part *part = &front->parts[i];
        trp_nostr_key_wipe(&part->key);
        trp_nostr_crypto_destroy(part->crypto);
        trp_json_destroy(part->parser);
        trp_seen_destroy(part->seen);
        trp_key_words_destroy(part->rates);
        trp_key_words_destroy(part->greeted);
        trp_key_cache_destroy(part->keys);
    }
    free(front->parts);
    for (uint32_t i = 0; i < 4; i++) {
        free(front->discovery[i]);
    }
    for (uint32_t i = 0; i < front->relay_count; i++) {
        free(front->relays[i].url);
    }
    free(front);
}

const uint8_t *trp_nostr_front_pubkey(const struct trp_nostr_front *front)
{
    return front->pubkey;
}

const struct trp_mcp_frontend *trp_nostr_front_frontend(const struct trp_nostr_front *front)
{
    return &front->frontend;
}

/* --- ending --- */

void trp_nostr_front_drain(struct troupe_ctx *ctx, struct trp_nostr_front *front)
{
    /* the exchange lets one caller post the notes */
    if (trp_fas_u32(&front->is_draining, 1) != 0) {
        return;
    }
    for (uint32_t i = 0; i < front->relay_count; i++) {
        trp_note_post(ctx, front->relays[i].conn, &front->relays[i].drain_note);
    }
}

void trp_nostr_front_stop(struct troupe_ctx *ctx,
                          struct trp_nostr_front *front,
                          uint64_t flush_ns,
                          troupe_ref done_to,
                          uint16_t done_type)
{
    trp_nostr_front_drain(ctx, front);
    if (trp_fas_u32(&front->is_stopping, 1) != 0) {
        return;
    }
    /* read by the connections after their note arrived, which orders it */
    front->flush_ns = flush_ns;
    front->done_to = done_to;
    front->done_type = done_type;
    for (uint32_t i = 0; i < front->relay_count; i++) {
        trp_note_post(ctx, front->relays[i].conn, &front->relays[i].stop_note);
    }
    if (front->relay_count == 0) {
        enum troupe_status status = troupe_send_copy(ctx, done_to, done_type, NULL, 0);
        (void)status; /* a receiver that cannot be told has other ways to give up */
    }
}

/* --- statistics --- */

void trp_nostr_front_stats(const struct trp_nostr_front *front, struct trp_nostr_front_stats *stats)
{
    uint64_t sums[TRP_NOSTR_N] = {0};
    for (uint32_t i = 0; i < front->worker_count; i++) {
        for (uint32_t counter = 0; counter < TRP_NOSTR_N; counter++) {
            sums[counter] += trp_load_relaxed_u64(&front->parts[i].counters[counter]);
        }
    }
#define TRP_NOSTR_SUM(name) stats->name = sums[TRP_NOSTR_N_##name];
    TRP_NOSTR_COUNTERS(TRP_NOSTR_SUM)
#undef TRP_NOSTR_SUM
    stats->relays_connected = 0;
    for (uint32_t i = 0; i < front->relay_count; i++) {
        stats->relays_connected += trp_load_relaxed_u32(&front->relays[i].is_connected);
    }
}
