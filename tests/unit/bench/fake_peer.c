#include "tests/cmocka.h"

#include "fake_peer.h"

#include <stdio.h>
#include <string.h>

#include <troupe/io.h>

#include "io/codec/jsonrpc.h"
#include "io/codec/nostr_wire.h"
#include "io/net/ws_conn.h"

#define SUBS_MAX 64

struct sub {
    char id[80];
    char pubkey[65];
    bool was_refused;
};

struct conn {
    struct fake_peer *peer;
    struct trp_ws_conn ws;
    struct sub subs[SUBS_MAX];
    uint32_t sub_count;
    bool is_gone;
};

/* One worker: scratch shared by all connections. */
static _Alignas(8) uint8_t request_area[1 << 20];
static _Alignas(8) uint8_t answer_area[1 << 20];
static char text_area[1 << 18];
static char wire_area[1 << 18];
static char content_copy[1 << 18];

static void send_text(struct troupe_ctx *ctx, struct conn *conn, const struct trp_text *text)
{
    assert_false(text->overflow);
    assert_int_equal(
        trp_ws_conn_send_copy(ctx, &conn->ws, troupe_span(text->data, text->len), true), TROUPE_OK);
}

static struct sub *find_sub(struct conn *conn, const char *pubkey)
{
    for (uint32_t i = 0; i < conn->sub_count; i++) {
        if (strcmp(conn->subs[i].pubkey, pubkey) == 0) {
            return &conn->subs[i];
        }
    }
    return NULL;
}

/* An event for a client; request_id NULL: a notification. */
static void send_event(struct troupe_ctx *ctx,
                       struct conn *conn,
                       const struct sub *sub,
                       const char *request_id,
                       struct troupe_span content,
                       enum fake_fault fault)
{
    static uint64_t serial = 1000;
    struct fake_peer *peer = conn->peer;
    char number[24];
    snprintf(number, sizeof(number), "%llu", (unsigned long long)serial++);
    struct troupe_span p[2] = {troupe_span_cstr("p"), troupe_span_cstr(sub->pubkey)};
    struct troupe_span n[2] = {troupe_span_cstr("n"), troupe_span_cstr(number)};
    struct troupe_span e[2] = {troupe_span_cstr("e"),
                               troupe_span_cstr(request_id != NULL ? request_id : "")};
    struct trp_nostr_draft_tag tags[3] = {{p, 2}, {n, 2}, {e, 2}};
    struct trp_nostr_draft draft = {.created_at = 1700000000,
                                    .kind = 25910,
                                    .tags = tags,
                                    .tag_count = request_id != NULL ? 3 : 2,
                                    .content = content};
    const struct trp_nostr_key *key = fault == FAKE_AUTHOR ? &peer->stranger : &peer->key;
    assert_int_equal(
        trp_nostr_event_sign(peer->crypto, answer_area, sizeof(answer_area), key, &draft, NULL),
        TROUPE_OK);
    struct trp_nostr_event *event = (struct trp_nostr_event *)(void *)answer_area;
    if (fault == FAKE_SIGNATURE) {
        event->sig[40] ^= 1;
    }
    struct trp_text json = trp_text_init(text_area, sizeof(text_area));
    struct trp_text wire = trp_text_init(wire_area, sizeof(wire_area));
    trp_nostr_event_write_json(&json, event);
    trp_nostr_wire_write_event(&wire, troupe_span_cstr(sub->id), troupe_span(json.data, json.len));
    send_text(ctx, conn, &wire);
}

static void answer_call(struct troupe_ctx *ctx,
                        struct conn *conn,
                        const struct sub *sub,
                        const char *request_id,
                        const char *rpc_id,
                        const char *message)
{
    static char text[1 << 19]; /* room for a message of any size we take */
    struct fake_peer *peer = conn->peer;
    enum fake_fault fault = peer->calls % peer->every == 0 ? peer->fault : FAKE_NONE;

    if (fault == FAKE_SILENT || fault == FAKE_UNCONFIRMED || fault == FAKE_REJECT) {
        return;
    }
    if (fault == FAKE_CUT) {
        trp_ws_conn_abort(ctx, &conn->ws);
        return;
    }
    if (fault == FAKE_GARBAGE) {
        struct trp_text garbage = trp_text_init(wire_area, sizeof(wire_area));
        trp_text_cstr(&garbage, "{\"what\":");
        send_text(ctx, conn, &garbage);
    }
    if (fault == FAKE_NOTIFICATION) {
        send_event(ctx, conn, sub, NULL,
                   troupe_span_cstr("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\"}"),
                   fault);
    }
    if (fault == FAKE_BUSY || fault == FAKE_ERROR) {
        snprintf(text, sizeof(text),
                 "{\"jsonrpc\":\"2.0\",\"id\":%s,\"error\":{\"code\":%d,\"message\":\"no\","
                 "\"data\":{\"retryAfterMs\":5}}}",
                 rpc_id, fault == FAKE_BUSY ? -32000 : -32603);
    } else {
        snprintf(text, sizeof(text),
                 "{\"jsonrpc\":\"2.0\",\"id\":%s%s,\"result\":{\"content\":[{\"type\":\"text\","
                 "\"text\":\"%s%s\"}]%s}}",
                 rpc_id, fault == FAKE_ID ? "0" : "", message, fault == FAKE_TEXT ? "x" : "",
                 fault == FAKE_IS_ERROR ? ",\"isError\":true" : "");
    }
    send_event(ctx, conn, sub, request_id, troupe_span_cstr(text), fault);
    if (fault == FAKE_TWICE) {
        send_event(ctx, conn, sub, request_id, troupe_span_cstr(text), fault);
    }
}

static void answer_init(struct troupe_ctx *ctx,
                        struct conn *conn,
                        struct sub *sub,
                        const char *request_id,
                        const char *rpc_id)
{
    char text[512];
    conn->peer->inits++;
    bool is_refused = conn->peer->fault == FAKE_BUSY_SETUP && !sub->was_refused;
    sub->was_refused = is_refused;
    if (is_refused) {
        snprintf(text, sizeof(text),
                 "{\"jsonrpc\":\"2.0\",\"id\":%s,\"error\":{\"code\":-32000,\"message\":\"no\","
                 "\"data\":{\"retryAfterMs\":30}}}",
                 rpc_id);
    } else {
        snprintf(text, sizeof(text),
                 "{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{\"protocolVersion\":\"2025-06-18\","
                 "\"capabilities\":{},\"serverInfo\":{\"name\":\"fake\",\"version\":\"1\"}}}",
                 rpc_id);
    }
    send_event(ctx, conn, sub, request_id, troupe_span_cstr(text), FAKE_NONE);
}

static void say_ok(struct troupe_ctx *ctx, struct conn *conn, const uint8_t *id, bool is_call)
{
    struct fake_peer *peer = conn->peer;
    enum fake_fault fault = is_call && peer->calls % peer->every == 0 ? peer->fault : FAKE_NONE;
    struct trp_text wire = trp_text_init(wire_area, sizeof(wire_area));

    if (fault != FAKE_UNCONFIRMED) {
        trp_nostr_wire_write_ok(&wire, id, fault != FAKE_REJECT,
                                troupe_span_cstr(fault == FAKE_REJECT ? "rate-limited: no" : ""));
        send_text(ctx, conn, &wire);
    }
}

static void on_event(struct troupe_ctx *ctx, struct conn *conn, const struct trp_nostr_event *event)
{
    struct fake_peer *peer = conn->peer;
    struct troupe_span content = trp_nostr_event_content(event);
    struct trp_json_doc doc;
    struct trp_jsonrpc rpc;
    char hex[65] = "";
    char id[65] = "";
    char number[32] = "";
    struct trp_text out = trp_text_init(hex, 64);

    assert_true(trp_nostr_event_check_id(event));
    assert_true(trp_nostr_event_check_sig(event, peer->crypto));
    assert_true(trp_nostr_event_has_value(event, 'p', troupe_span_cstr(peer->pubkey_hex)));
    trp_text_hex(&out, event->pubkey, 32);
    out = trp_text_init(id, 64);
    trp_text_hex(&out, event->id, 32);
    struct sub *sub = find_sub(conn, hex);
    assert_non_null(sub); /* it must have subscribed before it asks */
    assert_int_equal(trp_json_read(peer->json, &doc, content.data, content.len, content.len),
                     TROUPE_OK);
    trp_jsonrpc_read(&rpc, &doc);
    bool is_call = troupe_span_is(rpc.method, "tools/call");
    peer->calls += is_call;
    say_ok(ctx, conn, event->id, is_call);
    if (rpc.kind == TRP_JSONRPC_NOTIFICATION) {
        assert_true(troupe_span_is(rpc.method, "notifications/initialized"));
        peer->ready++;
        return;
    }
    struct troupe_span raw = trp_jsonrpc_raw(&doc, rpc.id);
    snprintf(number, sizeof(number), "%.*s", (int)raw.len, raw.data);
    if (!is_call) {
        assert_true(troupe_span_is(rpc.method, "initialize"));
        answer_init(ctx, conn, sub, id, number);
        return;
    }
    const struct trp_json_node *arguments = trp_json_member(&doc, rpc.params, "arguments");
    struct troupe_span message = trp_json_text(&doc, trp_json_member(&doc, arguments, "message"));
    snprintf(content_copy, sizeof(content_copy), "%.*s", (int)message.len, message.data);
    answer_call(ctx, conn, sub, id, number, content_copy);
}

static void on_req(struct troupe_ctx *ctx,
                   struct conn *conn,
                   const struct trp_nostr_client_msg *msg,
                   const struct trp_json_doc *doc)
{
    struct sub *sub = &conn->subs[conn->sub_count++];
    struct trp_text wire = trp_text_init(wire_area, sizeof(wire_area));
    assert_true(conn->sub_count <= SUBS_MAX);
    const struct trp_json_node *key = trp_json_first(doc, trp_json_member(doc, msg->filter, "#p"));
    const struct trp_json_node *kind =
        trp_json_first(doc, trp_json_member(doc, msg->filter, "kinds"));
    assert_true(troupe_span_is(trp_json_raw(doc, kind), "25910"));
    struct troupe_span text = trp_json_text(doc, key);
    snprintf(sub->id, sizeof(sub->id), "%.*s", (int)msg->sub.len, msg->sub.data);
    snprintf(sub->pubkey, sizeof(sub->pubkey), "%.*s", (int)text.len, text.data);
    if (conn->peer->fault == FAKE_CLOSED) {
        trp_nostr_wire_write_closed(&wire, msg->sub, troupe_span_cstr("restricted: no"));
    } else {
        trp_nostr_wire_write_eose(&wire, msg->sub);
    }
    send_text(ctx, conn, &wire);
}

static void on_message(struct troupe_ctx *ctx,
                       void *owner,
                       struct trp_ws_conn *ws,
                       struct troupe_span payload,
                       bool is_text)
{
    struct conn *conn = owner;
    struct trp_json_doc doc;
    struct trp_nostr_client_msg msg;
    struct trp_nostr_event_limits limits = trp_nostr_event_limits_default();
    (void)ws;
    assert_true(is_text);
    assert_int_equal(
        trp_json_read(conn->peer->json, &doc, payload.data, payload.len, payload.len + 64),
        TROUPE_OK);
    assert_int_equal(trp_nostr_wire_read_client(&msg, &doc, 10, NULL), TROUPE_OK);
    if (msg.type == TRP_NOSTR_CLIENT_REQ) {
        on_req(ctx, conn, &msg, &doc);
        return;
    }
    assert_int_equal(msg.type, TRP_NOSTR_CLIENT_EVENT);
    assert_int_equal(
        trp_nostr_event_read(request_area, sizeof(request_area), &doc, msg.event, &limits, NULL),
        TROUPE_OK);
    on_event(ctx, conn, (const struct trp_nostr_event *)(void *)request_area);
}

static void on_open(struct troupe_ctx *ctx, void *owner, struct trp_ws_conn *ws)
{
    (void)ctx;
    (void)owner;
    (void)ws;
}

static void
on_close(struct troupe_ctx *ctx, void *owner, struct trp_ws_conn *ws, const struct trp_ws_end *end)
{
    struct conn *conn = owner;
    (void)ctx;
    (void)ws;
    (void)end;
    conn->is_gone = true;
}

static struct trp_ws_config ws_config;

static enum troupe_status init(struct troupe_ctx *ctx, void *state, const void *arg)
{
    const struct trp_accept *accept = arg;
    struct conn *conn = state;
    conn->peer = accept->user;
    trp_ws_conn_serve(ctx, &conn->ws, trp_accept_take(accept), &ws_config, conn);
    return TROUPE_OK;
}

static enum troupe_verdict receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct conn *conn = state;
    (void)trp_ws_conn_receive(ctx, &conn->ws, msg);
    return conn->is_gone ? TROUPE_STOP : TROUPE_CONTINUE;
}

static void terminate(struct troupe_ctx *ctx, void *state, enum troupe_down_reason reason)
{
    struct conn *conn = state;
    (void)reason;
    trp_ws_conn_fini(ctx, &conn->ws);
}

static const struct troupe_actor_type conn_type = {
    .name = "fake-peer",
    .state_size = sizeof(struct conn),
    .init_cb = init,
    .receive_cb = receive,
    .terminate_cb = terminate,
};

void fake_peer_start(struct fake_peer *peer, enum fake_fault fault, uint32_t every)
{
    struct troupe_pool_config config = {
        .workers = 1, .pin = "none", .driver = troupe_ring_driver()};
    char error[TROUPE_RING_ERROR_MAX] = "";
    troupe_ref ref;

    *peer = (struct fake_peer){.fault = fault, .every = every};
    trp_ws_config_default(&ws_config);
    ws_config.callbacks = (struct trp_ws_callbacks){
        .open_cb = on_open, .message_cb = on_message, .close_cb = on_close};
    peer->crypto = trp_nostr_crypto_create();
    peer->json = trp_json_create(trp_json_limits_default());
    assert_non_null(peer->crypto);
    assert_non_null(peer->json);
    assert_int_equal(trp_nostr_key_generate(peer->crypto, &peer->key, NULL), TROUPE_OK);
    assert_int_equal(trp_nostr_key_generate(peer->crypto, &peer->stranger, NULL), TROUPE_OK);
    struct trp_text hex = trp_text_init(peer->pubkey_hex, 64);
    trp_text_hex(&hex, peer->key.pubkey, 32);

    assert_int_equal(trp_listener_open(&peer->listeners, "127.0.0.1:0", 1, 0, error, sizeof(error)),
                     TROUPE_OK);
    snprintf(peer->url, sizeof(peer->url), "ws://%s", peer->listeners.address);
    peer->listener =
        (struct trp_listener_config){.set = &peer->listeners, .type = &conn_type, .user = peer};
    assert_int_equal(troupe_pool_create(&peer->pool, &config, error, sizeof(error)), TROUPE_OK);
    assert_int_equal(troupe_pool_spawn(peer->pool, &ref, 0, &trp_listener_type, &peer->listener),
                     TROUPE_OK);
    assert_int_equal(troupe_pool_start(peer->pool, error, sizeof(error)), TROUPE_OK);
}

void fake_peer_stop(struct fake_peer *peer)
{
    troupe_pool_stop(peer->pool);
    troupe_pool_join(peer->pool);
    troupe_pool_destroy(peer->pool);
    trp_listener_close(&peer->listeners);
    trp_json_destroy(peer->json);
    trp_nostr_crypto_destroy(peer->crypto);
}
