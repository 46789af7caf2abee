#include "bench/load/nostr_run.h"

#include <stdio.h>

#include "bench/report/machine.h"
#include "io/codec/jsonrpc.h"
#include "io/codec/nostr_wire.h"

#define CLIENT_INFO                                                                                \
    "{\"protocolVersion\":\"2025-06-18\",\"capabilities\":{},"                                     \
    "\"clientInfo\":{\"name\":\"troupe-bench\",\"version\":\"" TROUPE_VERSION "\"}}"

void trp_load_text(const struct load_run *run, char *out, uint32_t client, uint64_t seq)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    char head[LOAD_PAYLOAD_MIN + 1];
    uint32_t len = (uint32_t)snprintf(head, sizeof(head), "%05x.%llx.", client & 0xfffff,
                                      (unsigned long long)seq & 0xffffffffffffffu);
    uint64_t random = run->options.seed ^ ((uint64_t)client << 40) ^ seq;

    memcpy(out, head, len);
    for (; len < run->options.payload; len++) {
        if (len % 8 == 0) {
            random = random * 6364136223846793005u + 1442695040888963407u;
        }
        out[len] = letters[(random >> (16 + 6 * (len % 8))) & 63];
    }
}

static bool send_wire(struct troupe_ctx *ctx, struct load_conn *conn, const struct trp_text *wire)
{
    enum troupe_status status =
        wire->overflow
            ? TROUPE_ETOOLARGE
            : trp_ws_conn_send_copy(ctx, &conn->ws, troupe_span(wire->data, wire->len), true);
    if (status != TROUPE_OK) {
        trp_load_fail(conn->run, conn->worker, "cannot send to the relay: %s",
                      troupe_status_text(status));
        return false;
    }
    return true;
}

bool trp_load_subscribe(struct troupe_ctx *ctx, struct load_conn *conn, struct load_client *client)
{
    static const uint16_t kinds[] = {LOAD_KIND};
    struct troupe_span key = troupe_span_cstr(client->pubkey_hex);
    struct trp_nostr_filter_draft_tag tag = {.letter = 'p', .values = &key, .count = 1};
    struct trp_nostr_filter_draft filter = {
        .kinds = kinds, .kind_count = 1, .tags = &tag, .tag_count = 1};
    struct trp_text wire = trp_text_init(conn->worker->wire, conn->worker->wire_cap);
    char sub[16];

    snprintf(sub, sizeof(sub), "c%u", client->index);
    trp_nostr_wire_write_req(&wire, troupe_span_cstr(sub), &filter, 1);
    return send_wire(ctx, conn, &wire);
}

/* Signs and sends an event with this content. id: optional, receives its id. */
static bool publish(struct troupe_ctx *ctx,
                    struct load_conn *conn,
                    const struct load_client *client,
                    struct troupe_span content,
                    uint8_t *id)
{
    struct load_worker *worker = conn->worker;
    struct troupe_span to[2] = {troupe_span_cstr("p"),
                                troupe_span_cstr(conn->run->options.server_hex)};
    struct trp_nostr_draft_tag tag = {.elements = to, .count = 2};
    struct trp_nostr_draft draft = {.created_at = troupe_wall_now(ctx) / 1000000000u,
                                    .kind = LOAD_KIND,
                                    .tags = &tag,
                                    .tag_count = 1,
                                    .content = content};
    struct trp_text wire = trp_text_init(worker->wire, worker->wire_cap);
    enum troupe_status status = trp_nostr_event_sign(worker->crypto, worker->event,
                                                     worker->event_cap, &client->key, &draft, NULL);
    if (status != TROUPE_OK) {
        trp_load_fail(conn->run, worker, "cannot sign: %s", troupe_status_text(status));
        return false;
    }
    const struct trp_nostr_event *event = (const struct trp_nostr_event *)(void *)worker->event;
    if (id != NULL) {
        memcpy(id, event->id, TRP_NOSTR_ID_LEN);
    }
    trp_nostr_wire_write_publish(&wire, event);
    return send_wire(ctx, conn, &wire);
}

static bool send_request(struct troupe_ctx *ctx,
                         struct load_conn *conn,
                         struct load_client *client,
                         struct load_slot *slot,
                         const char *method,
                         struct troupe_span params)
{
    struct trp_text content = trp_text_init(conn->worker->content, conn->worker->wire_cap);
    char number[24];

    slot->seq = client->next_seq++;
    snprintf(number, sizeof(number), "%llu", (unsigned long long)slot->seq);
    trp_jsonrpc_write_request(&content, troupe_span_cstr(number), troupe_span_cstr(method), params);
    slot->sent_ns = trp_machine_now_ns();
    slot->is_accepted = false;
    if (!publish(ctx, conn, client, troupe_span(content.data, content.len), slot->id)) {
        return false;
    }
    uint32_t number_of_client = (uint32_t)(client - conn->clients);
    uint32_t number_of_slot = (uint32_t)(slot - client->slots);
    if (!trp_slot_table_add(&conn->table, slot->id,
                            number_of_client * conn->run->options.inflight + number_of_slot)) {
        trp_load_fail(conn->run, conn->worker, "two requests have the same event id");
        return false;
    }
    slot->is_busy = true;
    client->in_flight++;
    conn->in_flight++;
    return true;
}

static bool
send_initialize(struct troupe_ctx *ctx, struct load_conn *conn, struct load_client *client)
{
    client->slots[0].is_call = false;
    return send_request(ctx, conn, client, &client->slots[0], "initialize",
                        troupe_span_cstr(CLIENT_INFO));
}

bool trp_load_send_initialized(struct troupe_ctx *ctx,
                               struct load_conn *conn,
                               struct load_client *client)
{
    struct trp_text content = trp_text_init(conn->worker->content, conn->worker->wire_cap);
    trp_jsonrpc_write_notification(&content, troupe_span_cstr("notifications/initialized"),
                                   troupe_span(NULL, 0));
    return publish(ctx, conn, client, troupe_span(content.data, content.len), NULL);
}

static bool send_call(struct troupe_ctx *ctx,
                      struct load_conn *conn,
                      struct load_client *client,
                      struct load_slot *slot)
{
    struct load_worker *worker = conn->worker;
    struct trp_text params = trp_text_init(worker->params, worker->wire_cap);

    trp_load_text(conn->run, worker->text, client->index, client->next_seq);
    trp_text_cstr(&params, "{\"name\":\"echo\",\"arguments\":{\"message\":\"");
    trp_text_bytes(&params, worker->text, conn->run->options.payload);
    trp_text_cstr(&params, "\"}}");
    slot->is_call = true;
    worker->counts.sent++;
    return send_request(ctx, conn, client, slot, "tools/call",
                        troupe_span(params.data, params.len));
}

bool trp_load_fill(struct troupe_ctx *ctx,
                   struct load_conn *conn,
                   struct load_client *client,
                   uint64_t now_ns)
{
    if (now_ns < client->resume_ns) {
        return true;
    }
    if (client->state == LOAD_CLIENT_INITIALIZING && client->in_flight == 0) {
        return send_initialize(ctx, conn, client);
    }
    if (client->state != LOAD_CLIENT_READY || now_ns >= conn->window.end_ns) {
        return true;
    }
    for (uint32_t i = 0; i < conn->run->options.inflight; i++) {
        struct load_slot *slot = &client->slots[i];
        if (!slot->is_busy && !send_call(ctx, conn, client, slot)) {
            return false;
        }
    }
    return true;
}
