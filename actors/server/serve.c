#include "actors/server/serve.h"

#include "actors/core/log.h"
#include "actors/server/key_file.h"
#include "actors/server/warden.h"
#include "actors/server/worker_names.h"
#include "mailbox/atomic.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <troupe/assert.h>
#include <troupe/io.h>

#define ERROR_MAX        512u
#define SPAWNER_LIMIT_MS 5000u

TROUPE_STATIC_ASSERT(TRP_OPTION_PROCESSES_MAX <= TRP_SPAWN_CHILDREN_MAX, "the spawner's table");

/* --- what connects the services with each other --- */

static void on_relay_ready(struct troupe_ctx *ctx, void *arg, const char *relay)
{
    struct trp_server *server = arg;
    trp_log_info("relay is ready", trp_log_str("relay", relay));
    if (troupe_send_copy(ctx, server->warden, TRP_WARDEN_MSG_RELAY_READY, NULL, 0) != TROUPE_OK) {
        trp_log_warn("the ready notice was lost");
    }
}

static enum troupe_status
publish_to_embedded(struct troupe_ctx *ctx, void *arg, struct troupe_buf *packet)
{
    struct trp_server *server = arg;
    return trp_relay_publish(ctx, server->relay, packet);
}

static void on_embedded_event(struct troupe_ctx *ctx,
                              void *arg,
                              struct troupe_buf *packet,
                              const struct trp_nostr_event *event)
{
    struct trp_server *server = arg;
    (void)event;
    /* what the front end could not take it has counted; the client may retry */
    (void)!trp_nostr_front_event(ctx, server->front, packet);
}

/* Nothing can be started any more: drain, and let whoever supervises us start afresh. */
static void on_spawner_lost(struct troupe_ctx *ctx, void *arg)
{
    struct trp_server *server = arg;
    trp_store_relaxed_u32(&server->has_failed, 1); /* partner: trp_serve_run, after the join */
    if (troupe_send_copy(ctx, server->warden, TRP_WARDEN_MSG_TERMINATE, NULL, 0) != TROUPE_OK) {
        trp_control_done(&server->control);
    }
}

static void on_released(struct troupe_ctx *ctx,
                        void *user,
                        const struct troupe_key *key,
                        enum troupe_release_reason reason)
{
    static const char *const reasons[TROUPE_RELEASE_REASONS] = {
        [TROUPE_RELEASE_EVICTED] = "evicted",   [TROUPE_RELEASE_IDLE] = "idle",
        [TROUPE_RELEASE_LEFT] = "left",         [TROUPE_RELEASE_DIED] = "died",
        [TROUPE_RELEASE_SHUTDOWN] = "shutdown",
    };
    struct trp_server *server = user;
    trp_log_debug("client released", trp_log_client(key->bytes),
                  trp_log_str("reason", reasons[reason]));
    trp_nostr_front_forget(ctx, server->front, key);
}

/* --- building --- */

static enum troupe_status build_pool(struct trp_server *server, char *error)
{
    const struct trp_options *options = server->options;
    struct troupe_pool_config config = {
        .workers = options->workers, .pin = options->pin, .driver = troupe_ring_driver()};
    enum troupe_status status = troupe_pool_create(&server->pool, &config, error, ERROR_MAX);
    if (status == TROUPE_OK) {
        status = trp_worker_names_set(server->pool);
        snprintf(error, ERROR_MAX, "%s", troupe_status_text(status));
    }
    return status;
}

static void write_backend(char *text, size_t cap, const struct trp_options *options)
{
    if (options->backend.kind == TRP_BACKEND_STDIO) {
        snprintf(text, cap, "stdio:%s", options->backend.argument);
    } else {
        snprintf(text, cap, "builtin:demo");
    }
}

static enum troupe_status build_mcp(struct trp_server *server, char *error)
{
    const struct trp_options *options = server->options;
    char backend[TRP_OPTION_TEXT_MAX];
    const char *why = "unknown";
    write_backend(backend, sizeof(backend), options);
    struct trp_mcp_config config = {
        .backend = backend,
        .is_shared = options->backend_mode == TRP_BACKEND_SHARED,
        .running_max = options->client_routes,
        .waiting_max = options->client_backlog == 0 ? UINT32_MAX : options->client_backlog,
        .routes_max = options->routes,
        .route_timeout_ns = options->route_timeout_ns,
        .backend_max = options->backend_max,
        .starting_max = options->backend_starting,
        .start_timeout_ns = options->backend_start_timeout_ns,
        .spawner_lost_cb = on_spawner_lost,
        .spawner_lost_arg = server,
    };
    struct troupe_admission_config admission = {
        .capacity = options->capacity,
        .queue_max = options->queue == 0 ? UINT32_MAX : options->queue,
        .queue_timeout_ns = options->queue_timeout_ns,
        .idle_timeout_ns = options->idle_timeout_ns,
        .evict_min_idle_ns = options->evict_min_idle_ns,
        .released_cb = on_released,
        .released_user = server,
    };
    enum troupe_status status =
        trp_mcp_service_create(&server->mcp, server->pool, &config, &admission,
                               server->has_spawner ? &server->spawner : NULL, &why);
    if (status != TROUPE_OK) {
        snprintf(error, ERROR_MAX, "--backend: %s", why);
    }
    return status;
}

static enum troupe_status
build_relay(struct trp_server *server, const struct trp_nostr_key *key, char *error)
{
    char address[64];
    if (!server->options->embedded_relay.is_set) {
        return TROUPE_OK;
    }
    struct trp_relay_config config;
    trp_relay_config_default(&config);
    trp_listen_write(address, sizeof(address), &server->options->embedded_relay.listen);
    config.address = address;
    config.version = TROUPE_VERSION;
    config.tap_cb = on_embedded_event;
    config.tap_arg = server;
    memcpy(config.tap_pubkey, key->pubkey, sizeof(config.tap_pubkey));
    enum troupe_status status =
        trp_relay_create(&server->relay, server->pool, &config, error, ERROR_MAX);
    if (status == TROUPE_OK) {
        server->relay_urls[server->relay_count++] = trp_relay_url(server->relay);
    }
    return status;
}

static bool is_same_host(struct troupe_span a, struct troupe_span b)
{
    struct troupe_span local = troupe_span_cstr("127.0.0.1");
    a = troupe_span_is(a, "localhost") ? local : a;
    b = troupe_span_is(b, "localhost") ? local : b;
    return a.len == b.len && strncasecmp(a.data, b.data, a.len) == 0;
}

/* One relay named twice would get every answer twice. */
static bool is_same_relay(const char *one, const char *other)
{
    struct trp_url a;
    struct trp_url b;
    const char *error;
    return trp_url_parse(&a, &error, troupe_span_cstr(one)) == TROUPE_OK &&
           trp_url_parse(&b, &error, troupe_span_cstr(other)) == TROUPE_OK &&
           a.scheme == b.scheme && a.port == b.port && is_same_host(a.host, b.host) &&
           troupe_span_equal(a.path, b.path) && troupe_span_equal(a.query, b.query);
}

/* Adds what the command line names, each relay once; how many are in urls. */
static uint32_t collect_relays(struct trp_server *server, const char **urls)
{
    const struct trp_option_relays *relays = &server->options->relays;
    uint32_t count = 0;
    for (uint32_t i = 0; i < relays->count; i++) {
        const char *url = relays->entries[i].url;
        bool is_known = false;
        for (uint32_t k = 0; k < server->relay_count && !is_known; k++) {
            is_known = is_same_relay(url, server->relay_urls[k]);
        }
        if (is_known) {
            trp_log_warn("relay named twice, used once", trp_log_str("relay", url));
            continue;
        }
        urls[count++] = url;
        server->relay_urls[server->relay_count++] = url;
    }
    return count;
}

static enum troupe_status
build_front(struct trp_server *server, const struct trp_nostr_key *key, char *error)
{
    const struct trp_options *options = server->options;
    uint8_t secret[TRP_NOSTR_SECRET_LEN];
    const char *urls[TRP_OPTION_RELAYS_MAX];
    struct trp_nostr_crypto *crypto = trp_nostr_crypto_create();
    if (crypto == NULL) {
        snprintf(error, ERROR_MAX, "out of memory");
        return TROUPE_ENOMEM;
    }
    trp_nostr_key_secret(crypto, secret, key);
    trp_nostr_crypto_destroy(crypto);
    uint32_t url_count = collect_relays(server, urls);
    struct trp_nostr_front_config config = {
        .secret = secret,
        .service = server->mcp,
        .relays = urls,
        .relay_count = url_count,
        .encryption = options->encryption == TRP_ENCRYPTION_DISABLED
                          ? TRP_NOSTR_ENCRYPTION_DISABLED
                          : TRP_NOSTR_ENCRYPTION_OPTIONAL,
        .ready_cb = on_relay_ready,
        .ready_arg = server,
    };
    if (server->relay != NULL) {
        config.embedded = (struct trp_nostr_embedded){publish_to_embedded, server};
    }
    trp_nostr_front_limits_default(&config.limits);
    enum troupe_status status = trp_nostr_front_create(
        &server->front, server->pool, server->mcp->admission, &config, error, ERROR_MAX);
    OPENSSL_cleanse(secret, sizeof(secret));
    return status;
}

/* Relay and front end each need the other's actors to exist, which is all that build does. */
static enum troupe_status
build(struct trp_server *server, const struct trp_nostr_key *key, char *error)
{
    enum troupe_status status = build_pool(server, error);
    if (status == TROUPE_OK) {
        status = build_mcp(server, error);
    }
    if (status == TROUPE_OK) {
        status = build_relay(server, key, error);
    }
    if (status == TROUPE_OK) {
        status = build_front(server, key, error);
    }
    if (status == TROUPE_OK) {
        status = troupe_pool_spawn(server->pool, &server->warden, 0, &trp_warden_type, server);
    }
    return status == TROUPE_OK ? troupe_pool_start(server->pool, error, ERROR_MAX) : status;
}

static void destroy(struct trp_server *server)
{
    trp_nostr_front_destroy(server->front);
    trp_relay_destroy(server->relay);
    trp_mcp_service_destroy(server->mcp);
    troupe_pool_destroy(server->pool);
    if (server->has_spawner) {
        int wait_status;
        trp_spawner_close(&server->spawner);
        if (trp_spawner_wait(&server->spawner, &wait_status, SPAWNER_LIMIT_MS) != TROUPE_OK) {
            trp_log_warn("backend processes are still ending");
        }
    }
    trp_control_close(&server->control);
}

/* --- running --- */

/* The first signal asks the warden to drain; the second ends everything at once. */
static void wait_for_end(struct trp_server *server)
{
    struct troupe_port *port;
    if (trp_control_wait(&server->control) != TRP_CONTROL_TERMINATE ||
        troupe_port_open(server->pool, &port) != TROUPE_OK) {
        return;
    }
    struct troupe_msg *msg = troupe_port_msg_new(port, TRP_WARDEN_MSG_TERMINATE, 0);
    if (msg == NULL || troupe_port_send(port, server->warden, &msg) != TROUPE_OK) {
        trp_log_warn("cannot drain: ending at once");
        if (msg != NULL) {
            troupe_port_msg_free(port, msg);
        }
    } else if (trp_control_wait(&server->control) == TRP_CONTROL_TERMINATE) {
        trp_log_warn("second signal: ending at once");
    }
    troupe_port_close(port);
}

int trp_serve_run(const struct trp_options *options)
{
    struct trp_server server = {.options = options, .control = {-1, -1, 0}};
    struct trp_key_error key_error;
    struct trp_nostr_key key;
    char error[ERROR_MAX] = "";
    /* the spawner forks before any thread or ring exists */
    if (options->backend.kind == TRP_BACKEND_STDIO) {
        if (trp_spawner_start(&server.spawner, options->backend_max) != TROUPE_OK) {
            fprintf(stderr, "troupe serve: cannot start the process that starts backends\n");
            return 1;
        }
        server.has_spawner = true;
    }
    if (trp_key_file_for_server(&key, &key_error, options->key_path) != TROUPE_OK) {
        fprintf(stderr, "troupe serve: %s\n", key_error.text);
        destroy(&server);
        return 1;
    }
    bool is_started = false;
    if (!trp_control_open(&server.control)) {
        snprintf(error, sizeof(error), "cannot set up signals");
    } else {
        is_started = build(&server, &key, error) == TROUPE_OK;
    }
    trp_nostr_key_wipe(&key);
    if (is_started) {
        wait_for_end(&server);
        troupe_pool_stop(server.pool);
        troupe_pool_join(server.pool);
        trp_warden_account(&server);
    } else {
        fprintf(stderr, "troupe serve: %s\n", error);
    }
    destroy(&server);
    trp_log_flush_suppressed();
    return is_started && trp_load_relaxed_u32(&server.has_failed) == 0 ? 0 : 1;
}
