#include "actors/server/call.h"

#include "actors/server/control.h"
#include "actors/server/key_file.h"
#include "io/codec/json.h"
#include "io/codec/jsonrpc.h"
#include "io/codec/nostr_wire.h"
#include "io/net/ws_conn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <troupe/io.h>
#include <troupe/pool.h>

#define EVENT_KIND   25910u
#define TEXT_MAX     (2u << 20)
#define SUBSCRIPTION "call"
#define SECOND_NS    1000000000ull

enum { MSG_TIMEOUT = 1 };

/* Shared by the first thread and the actor; the actor alone writes it while the pool runs. */
struct call {
    const struct trp_options *options;
    struct trp_control control;
    struct troupe_pool *pool;
    struct trp_nostr_key key;
    int exit_code;
};

struct caller {
    struct call *call;
    struct trp_ws_conn ws;
    struct trp_ws_config config;
    struct troupe_timer timeout;
    struct trp_json_parser *outer; /* relay messages */
    struct trp_json_parser *inner; /* JSON-RPC texts */
    struct trp_nostr_crypto *crypto;
    uint64_t first_id;                       /* of initialize; the request's is the next */
    uint8_t request_id[TRP_NOSTR_ID_LEN];    /* event of the request itself */
    uint8_t initialize_id[TRP_NOSTR_ID_LEN]; /* event of initialize */
    bool is_initialized;
    bool is_over;
};

static void finish(struct caller *caller, int exit_code)
{
    if (!caller->is_over) {
        caller->is_over = true;
        caller->call->exit_code = exit_code;
        trp_control_done(&caller->call->control);
    }
}

/* Parts of the text may come from a relay: bytes that a terminal would obey are not shown. */
static void fail(struct caller *caller, const char *what)
{
    char shown[512];
    size_t len = 0;
    for (; what[len] != '\0' && len < sizeof(shown) - 1; len++) {
        bool is_printable = what[len] >= ' ' && what[len] < 0x7f;
        shown[len] = (char)(is_printable ? what[len] : '?');
    }
    shown[len] = '\0';
    if (!caller->is_over) {
        fprintf(stderr, "troupe call: %s\n", shown);
    }
    finish(caller, 1);
}

static void fail_quoting(struct caller *caller, const char *what, struct troupe_span text)
{
    char line[300];
    snprintf(line, sizeof(line), "%s: %.*s", what, (int)(text.len < 200 ? text.len : 200),
             text.len != 0 ? text.data : "");
    fail(caller, line);
}

/* --- sending --- */

static void send_text(struct troupe_ctx *ctx, struct caller *caller, const struct trp_text *text)
{
    struct troupe_span span = troupe_span(text->data, text->len);
    if (text->overflow || trp_ws_conn_send_copy(ctx, &caller->ws, span, true) != TROUPE_OK) {
        fail(caller, "the request could not be sent (too large?)");
    }
}

/* Signs one JSON-RPC text as an event for the server and sends it. */
static void publish(struct troupe_ctx *ctx,
                    struct caller *caller,
                    struct troupe_span content,
                    uint8_t id[TRP_NOSTR_ID_LEN])
{
    char hex[64];
    struct trp_text hex_text = trp_text_init(hex, sizeof(hex));
    trp_text_hex(&hex_text, caller->call->options->server.bytes, 32);
    struct troupe_span elements[2] = {troupe_span_cstr("p"), troupe_span(hex, sizeof(hex))};
    struct trp_nostr_draft_tag tag = {elements, 2};
    struct trp_nostr_draft draft = {.created_at = troupe_wall_now(ctx) / SECOND_NS,
                                    .kind = EVENT_KIND,
                                    .tags = &tag,
                                    .tag_count = 1,
                                    .content = content};
    size_t bound = trp_nostr_draft_bound(&draft);
    struct trp_nostr_event *event = malloc(bound);
    char *out = malloc(TEXT_MAX);
    if (event == NULL || out == NULL ||
        trp_nostr_event_sign(caller->crypto, event, bound, &caller->call->key, &draft, NULL) !=
            TROUPE_OK) {
        fail(caller, "the request could not be signed");
    } else {
        struct trp_text text = trp_text_init(out, TEXT_MAX);
        memcpy(id, event->id, TRP_NOSTR_ID_LEN);
        trp_nostr_wire_write_publish(&text, event);
        send_text(ctx, caller, &text);
    }
    free(event);
    free(out);
}

static void publish_rpc(struct troupe_ctx *ctx,
                        struct caller *caller,
                        const uint64_t *id,
                        const char *method,
                        const char *params,
                        uint8_t event_id[TRP_NOSTR_ID_LEN])
{
    char number[32];
    char *out = malloc(TEXT_MAX);
    if (out == NULL) {
        fail(caller, "out of memory");
        return;
    }
    struct trp_text text = trp_text_init(out, TEXT_MAX);
    struct troupe_span raw = params == NULL ? troupe_span(NULL, 0) : troupe_span_cstr(params);
    if (id == NULL) {
        trp_jsonrpc_write_notification(&text, troupe_span_cstr(method), raw);
    } else {
        snprintf(number, sizeof(number), "%llu", (unsigned long long)*id);
        trp_jsonrpc_write_request(&text, troupe_span_cstr(number), troupe_span_cstr(method), raw);
    }
    if (text.overflow) {
        fail(caller, "the request could not be sent (too large?)");
    } else {
        publish(ctx, caller, troupe_span(text.data, text.len), event_id);
    }
    free(out);
}

static void send_request(struct troupe_ctx *ctx, struct caller *caller)
{
    const struct trp_options *options = caller->call->options;
    uint64_t id = caller->first_id + 1;
    publish_rpc(ctx, caller, &id, options->method, options->params, caller->request_id);
}

static void send_initialize(struct troupe_ctx *ctx, struct caller *caller)
{
    publish_rpc(ctx, caller, &caller->first_id, "initialize",
                "{\"protocolVersion\":\"2025-06-18\",\"capabilities\":{},"
                "\"clientInfo\":{\"name\":\"troupe call\",\"version\":\"" TROUPE_VERSION "\"}}",
                caller->initialize_id);
}

static void subscribe(struct troupe_ctx *ctx, struct caller *caller)
{
    char storage[512];
    char hex[64];
    struct trp_text hex_text = trp_text_init(hex, sizeof(hex));
    trp_text_hex(&hex_text, caller->call->key.pubkey, 32);
    struct troupe_span value = troupe_span(hex, sizeof(hex));
    struct trp_nostr_filter_draft_tag tag = {'p', &value, 1};
    uint16_t kind = EVENT_KIND;
    struct trp_nostr_filter_draft filter = {.kinds = &kind,
                                            .kind_count = 1,
                                            .tags = &tag,
                                            .tag_count = 1,
                                            .since = troupe_wall_now(ctx) / SECOND_NS,
                                            .has_since = true};
    struct trp_text text = trp_text_init(storage, sizeof(storage));
    trp_nostr_wire_write_req(&text, troupe_span_cstr(SUBSCRIPTION), &filter, 1);
    send_text(ctx, caller, &text);
}

/* --- receiving --- */

static bool answers(const struct trp_nostr_event *event, const uint8_t id[TRP_NOSTR_ID_LEN])
{
    char hex[64];
    struct trp_text text = trp_text_init(hex, sizeof(hex));
    trp_text_hex(&text, id, TRP_NOSTR_ID_LEN);
    return trp_nostr_event_has_value(event, 'e', troupe_span(hex, sizeof(hex)));
}

static void print_line(FILE *stream, struct troupe_span json)
{
    fwrite(json.data, 1, json.len, stream);
    fputc('\n', stream);
    fflush(stream);
}

static void
on_response(struct troupe_ctx *ctx, struct caller *caller, const struct trp_nostr_event *event)
{
    struct troupe_span content = trp_nostr_event_content(event);
    struct trp_json_doc doc;
    struct trp_jsonrpc rpc;
    if (trp_json_read(caller->inner, &doc, content.data, content.len, content.len) != TROUPE_OK ||
        trp_jsonrpc_read(&rpc, &doc) == TRP_JSONRPC_INVALID) {
        fail(caller, "the server's answer is not JSON-RPC");
        return;
    }
    if (rpc.kind != TRP_JSONRPC_RESPONSE) {
        return; /* progress and other notifications */
    }
    if (rpc.error != NULL) {
        print_line(stderr, trp_json_raw(&doc, rpc.error));
        finish(caller, 1);
    } else if (answers(event, caller->request_id)) {
        print_line(stdout, trp_json_raw(&doc, rpc.result));
        finish(caller, 0);
    } else if (!caller->is_initialized) {
        uint8_t unused[TRP_NOSTR_ID_LEN];
        caller->is_initialized = true;
        publish_rpc(ctx, caller, NULL, "notifications/initialized", NULL, unused);
        send_request(ctx, caller);
    }
}

static void on_event(struct troupe_ctx *ctx,
                     struct caller *caller,
                     const struct trp_json_doc *doc,
                     const struct trp_json_node *node)
{
    struct trp_nostr_event_limits limits = trp_nostr_event_limits_default();
    size_t bound = trp_nostr_event_bound(doc, node);
    struct trp_nostr_event *event = malloc(bound);
    if (event != NULL &&
        trp_nostr_event_read(event, bound, doc, node, &limits, NULL) == TROUPE_OK &&
        memcmp(event->pubkey, caller->call->options->server.bytes, sizeof(event->pubkey)) == 0 &&
        (answers(event, caller->request_id) || answers(event, caller->initialize_id)) &&
        trp_nostr_event_check_id(event) && trp_nostr_event_check_sig(event, caller->crypto)) {
        on_response(ctx, caller, event);
    }
    free(event);
}

static void on_message(struct troupe_ctx *ctx,
                       void *owner,
                       struct trp_ws_conn *ws,
                       struct troupe_span payload,
                       bool is_text)
{
    struct caller *caller = owner;
    struct trp_json_doc doc;
    struct trp_nostr_relay_msg msg;
    (void)ws;
    if (!is_text || caller->is_over ||
        trp_json_read(caller->outer, &doc, payload.data, payload.len, payload.len + 64) !=
            TROUPE_OK ||
        trp_nostr_wire_read_relay(&msg, &doc, NULL) != TROUPE_OK) {
        return;
    }
    if (msg.type == TRP_NOSTR_RELAY_EVENT) {
        on_event(ctx, caller, &doc, msg.event);
    } else if (msg.type == TRP_NOSTR_RELAY_OK && !msg.accepted) {
        fail_quoting(caller, "the relay refused the request", msg.text);
    } else if (msg.type == TRP_NOSTR_RELAY_CLOSED) {
        fail_quoting(caller, "the relay refused the subscription", msg.text);
    }
}

static void on_open(struct troupe_ctx *ctx, void *owner, struct trp_ws_conn *ws)
{
    struct caller *caller = owner;
    (void)ws;
    subscribe(ctx, caller);
    if (strcmp(caller->call->options->method, "initialize") == 0) {
        send_request(ctx, caller);
    } else {
        send_initialize(ctx, caller);
    }
}

static void
on_close(struct troupe_ctx *ctx, void *owner, struct trp_ws_conn *ws, const struct trp_ws_end *end)
{
    char what[256];
    (void)ctx;
    (void)ws;
    snprintf(what, sizeof(what), "no connection to the relay (%s%s%.*s)",
             troupe_status_text(end->status), end->reason.len != 0 ? ": " : "",
             (int)(end->reason.len < 123 ? end->reason.len : 123), end->reason.data);
    fail(owner, what);
}

/* --- the actor --- */

static enum troupe_status caller_init(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct caller *caller = state;
    const char *error = "out of memory";
    caller->call = (struct call *)(uintptr_t)arg;
    /* two equal texts of one key in one second would be one event, which is answered once */
    caller->first_id = troupe_random(ctx) >> 16;
    caller->outer = trp_json_create(trp_json_limits_default());
    caller->inner = trp_json_create(trp_json_limits_default());
    caller->crypto = trp_nostr_crypto_create();
    if (caller->outer == NULL || caller->inner == NULL || caller->crypto == NULL) {
        fail(caller, error);
        return TROUPE_OK;
    }
    trp_ws_config_default(&caller->config);
    caller->config.message_max = TEXT_MAX;
    caller->config.callbacks = (struct trp_ws_callbacks){
        .open_cb = on_open, .message_cb = on_message, .close_cb = on_close};
    troupe_timer_start(ctx, &caller->timeout, caller->call->options->call_timeout_ns, 0,
                       MSG_TIMEOUT);
    struct troupe_span url = troupe_span_cstr(caller->call->options->relays.entries[0].url);
    if (trp_ws_conn_connect(ctx, &caller->ws, url, &caller->config, caller, &error) != TROUPE_OK) {
        fail(caller, error);
    }
    return TROUPE_OK;
}

static enum troupe_verdict
caller_receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct caller *caller = state;
    if (!trp_ws_conn_receive(ctx, &caller->ws, msg) && msg->type == MSG_TIMEOUT) {
        fail(caller, "no answer within the time given");
    }
    return TROUPE_CONTINUE;
}

static void caller_end(struct troupe_ctx *ctx, void *state, enum troupe_down_reason reason)
{
    struct caller *caller = state;
    (void)reason;
    trp_ws_conn_fini(ctx, &caller->ws);
    trp_json_destroy(caller->outer);
    trp_json_destroy(caller->inner);
    trp_nostr_crypto_destroy(caller->crypto);
}

static const struct troupe_actor_type caller_type = {.name = "caller",
                                                     .state_size = sizeof(struct caller),
                                                     .init_cb = caller_init,
                                                     .receive_cb = caller_receive,
                                                     .terminate_cb = caller_end};

/* --- the first thread --- */

static bool is_params_good(const char *params)
{
    if (params == NULL) {
        return true;
    }
    struct trp_json_parser *parser = trp_json_create(trp_json_limits_default());
    struct trp_json_doc doc;
    bool is_good = false;
    if (parser == NULL) {
        fprintf(stderr, "troupe call: out of memory\n");
    } else if (trp_json_read(parser, &doc, params, strlen(params), strlen(params)) != TROUPE_OK) {
        fprintf(stderr, "troupe call: PARAMS-JSON: %s\n", trp_json_error(parser));
    } else if (trp_json_root(&doc)->kind != TRP_JSON_OBJECT &&
               trp_json_root(&doc)->kind != TRP_JSON_ARRAY) {
        fprintf(stderr, "troupe call: PARAMS-JSON: expected an object\n");
    } else {
        is_good = true;
    }
    trp_json_destroy(parser);
    return is_good;
}

static bool get_key(struct call *call)
{
    struct trp_key_error error;
    if (call->options->key_path != NULL) {
        if (trp_key_file_load(&call->key, &error, call->options->key_path) == TROUPE_OK) {
            return true;
        }
        fprintf(stderr, "troupe call: %s\n", error.text);
        return false;
    }
    struct trp_nostr_crypto *crypto = trp_nostr_crypto_create();
    bool is_made = crypto != NULL && trp_nostr_key_generate(crypto, &call->key, NULL) == TROUPE_OK;
    trp_nostr_crypto_destroy(crypto);
    if (!is_made) {
        fprintf(stderr, "troupe call: cannot make a key\n");
    }
    return is_made;
}

static void run_pool(struct call *call)
{
    char error[512] = "";
    struct troupe_pool_config config = {
        .workers = 1, .pin = "none", .driver = troupe_ring_driver()};
    troupe_ref ref;
    if (troupe_pool_create(&call->pool, &config, error, sizeof(error)) != TROUPE_OK ||
        troupe_pool_spawn(call->pool, &ref, 0, &caller_type, call) != TROUPE_OK ||
        troupe_pool_start(call->pool, error, sizeof(error)) != TROUPE_OK) {
        fprintf(stderr, "troupe call: %s\n", error);
    } else {
        (void)trp_control_wait(&call->control);
        troupe_pool_stop(call->pool);
        troupe_pool_join(call->pool);
    }
    troupe_pool_destroy(call->pool);
}

int trp_call_run(const struct trp_options *options)
{
    struct call call = {.options = options, .control = {-1, -1, 0}, .exit_code = 1};
    if (!is_params_good(options->params)) {
        return 2;
    }
    if (!get_key(&call)) {
        return 1;
    }
    if (trp_control_open(&call.control)) {
        run_pool(&call);
        trp_control_close(&call.control);
    }
    trp_nostr_key_wipe(&call.key);
    return call.exit_code;
}
