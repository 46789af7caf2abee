#include "bench/load/nostr_run.h"

#include "io/codec/jsonrpc.h"
#include "io/codec/nostr_wire.h"

#define PATIENCE_NS 200000000u /* after a refusal that does not say how long */
#define BUSY_CODE   (-32000)

void trp_load_slot_free(struct load_conn *conn, struct load_client *client, struct load_slot *slot)
{
    (void)trp_slot_table_remove(&conn->table, slot->id);
    slot->is_busy = false;
    client->in_flight--;
    conn->in_flight--;
}

/* An answer that must not be; what says why. */
static void note_wrong(struct load_conn *conn, const char *what, struct troupe_span detail)
{
    conn->worker->counts.wrong++;
    trp_load_note(conn->worker, what, detail);
}

static struct load_client *client_of_slot(struct load_conn *conn, uint32_t value)
{
    return &conn->clients[value / conn->run->options.inflight];
}

static struct load_slot *slot_of(struct load_conn *conn, uint32_t value)
{
    return &client_of_slot(conn, value)->slots[value % conn->run->options.inflight];
}

/* The client that a subscription id ("c" and its number) belongs to; NULL when it is not ours. */
static struct load_client *client_of_sub(struct load_conn *conn, struct troupe_span sub)
{
    uint64_t number = 0;
    if (sub.len < 2 || sub.len > 8 || sub.data[0] != 'c') {
        return NULL;
    }
    for (size_t i = 1; i < sub.len; i++) {
        if (sub.data[i] < '0' || sub.data[i] > '9') {
            return NULL;
        }
        number = 10 * number + (uint64_t)(sub.data[i] - '0');
    }
    uint64_t first = conn->clients[0].index;
    if (number < first || number - first >= conn->client_count) {
        return NULL;
    }
    return &conn->clients[number - first];
}

/* --- answers --- */

static bool is_text_right(struct load_conn *conn,
                          const struct load_client *client,
                          const struct load_slot *slot,
                          const struct trp_json_doc *doc,
                          const struct trp_json_node *result)
{
    const struct trp_json_node *list = trp_json_member(doc, result, "content");
    const struct trp_json_node *item = list != NULL ? trp_json_first(doc, list) : NULL;
    const struct trp_json_node *text = item != NULL ? trp_json_member(doc, item, "text") : NULL;

    if (text == NULL || text->kind != TRP_JSON_STRING) {
        return false;
    }
    trp_load_text(conn->run, conn->worker->text, client->index, slot->seq);
    return troupe_span_equal(trp_json_text(doc, text),
                             troupe_span(conn->worker->text, conn->run->options.payload));
}

static uint64_t patience_of(const struct trp_json_doc *doc, const struct trp_json_node *error)
{
    const struct trp_json_node *data = trp_json_member(doc, error, "data");
    uint64_t retry_ms;
    if (data != NULL && trp_json_u64(doc, trp_json_member(doc, data, "retryAfterMs"), &retry_ms) &&
        retry_ms <= 60000) {
        return retry_ms * 1000000u;
    }
    return PATIENCE_NS;
}

static void take_error(struct load_conn *conn,
                       struct load_client *client,
                       const struct load_slot *slot,
                       const struct trp_json_doc *doc,
                       const struct trp_json_node *error,
                       uint64_t now_ns)
{
    struct load_counts *counts = &conn->worker->counts;
    int64_t code = 0;
    bool is_busy =
        trp_json_i64(doc, trp_json_member(doc, error, "code"), &code) && code == BUSY_CODE;

    client->resume_ns = now_ns + (is_busy ? patience_of(doc, error) : 0);
    if (is_busy && slot->is_call) {
        counts->refused++;
    } else if (is_busy) {
        counts->setup_refused++;
    } else {
        client->resume_ns = now_ns + PATIENCE_NS;
        counts->errors++;
        trp_load_note(conn->worker, "answered with an error", trp_json_raw(doc, error));
    }
}

static bool
take_initialized(struct troupe_ctx *ctx, struct load_conn *conn, struct load_client *client)
{
    client->state = LOAD_CLIENT_READY;
    conn->ready_count++;
    if (!trp_load_send_initialized(ctx, conn, client)) {
        return false;
    }
    if (conn->ready_count == conn->client_count &&
        troupe_send_copy(ctx, conn->run->control, LOAD_MSG_READY, NULL, 0) != TROUPE_OK) {
        trp_load_fail(conn->run, conn->worker, "the control actor is gone");
        return false;
    }
    return true;
}

static void take_result(struct load_conn *conn,
                        const struct load_client *client,
                        const struct load_slot *slot,
                        const struct trp_json_doc *doc,
                        const struct trp_json_node *result,
                        uint64_t now_ns)
{
    struct load_worker *worker = conn->worker;
    const struct trp_json_node *is_error = trp_json_member(doc, result, "isError");

    if (is_error != NULL && is_error->kind == TRP_JSON_TRUE) {
        worker->counts.errors++;
        trp_load_note(worker, "answered with isError", trp_json_raw(doc, result));
    } else if (!is_text_right(conn, client, slot, doc, result)) {
        note_wrong(conn, "answered with another text", trp_json_raw(doc, result));
    } else {
        worker->counts.good++;
        if (trp_load_is_measured(&conn->window, now_ns)) {
            trp_hist_record(&worker->latency, now_ns - slot->sent_ns, 1);
            worker->counts.good_measured += now_ns < conn->window.end_ns;
        }
    }
}

/* A response to the request in this slot, which is free afterwards. */
static bool take_response(struct troupe_ctx *ctx,
                          struct load_conn *conn,
                          struct load_client *client,
                          struct load_slot *slot,
                          struct troupe_span content,
                          uint64_t now_ns)
{
    struct trp_json_doc doc;
    struct trp_jsonrpc rpc;
    uint64_t id = 0;
    bool is_good = true;

    trp_load_slot_free(conn, client, slot);
    if (trp_json_read(conn->worker->json, &doc, content.data, content.len, content.len) !=
            TROUPE_OK ||
        trp_jsonrpc_read(&rpc, &doc) != TRP_JSONRPC_RESPONSE) {
        note_wrong(conn, "the content is no JSON-RPC response", content);
    } else if (!trp_json_u64(&doc, rpc.id, &id) || id != slot->seq) {
        note_wrong(conn, "answered with another id", content);
    } else if (rpc.error != NULL) {
        take_error(conn, client, slot, &doc, rpc.error, now_ns);
    } else if (!slot->is_call) {
        is_good = take_initialized(ctx, conn, client);
    } else {
        take_result(conn, client, slot, &doc, rpc.result, now_ns);
    }
    return is_good && trp_load_fill(ctx, conn, client, now_ns);
}

/* --- events --- */

static bool is_signature_due(struct load_conn *conn)
{
    switch (conn->run->options.verify) {
    case LOAD_VERIFY_ALL:
        return true;
    case LOAD_VERIFY_SAMPLE:
        return conn->worker->sample++ % LOAD_SAMPLE_EVERY == 0;
    case LOAD_VERIFY_NONE:
        break;
    }
    return false;
}

/* NULL when the event is what the client asked for, otherwise what is wrong with it. */
static const char *check_event(struct load_conn *conn,
                               const struct load_client *client,
                               const struct trp_nostr_event *event)
{
    struct load_worker *worker = conn->worker;
    if (event->kind != LOAD_KIND) {
        return "an event of another kind came";
    }
    if (memcmp(event->pubkey, conn->run->options.server, TRP_NOSTR_PUBKEY_LEN) != 0) {
        return "an event of somebody else came";
    }
    if (!trp_nostr_event_has_value(event, 'p', troupe_span_cstr(client->pubkey_hex))) {
        return "an event for somebody else came";
    }
    if (conn->run->options.verify == LOAD_VERIFY_NONE) {
        return NULL;
    }
    if (!trp_nostr_event_check_id(event)) {
        return "an event with a wrong id came";
    }
    if (is_signature_due(conn)) {
        worker->counts.verified++;
        if (!trp_nostr_event_check_sig(event, worker->crypto)) {
            return "an event with a wrong signature came";
        }
    }
    return NULL;
}

/* An event for this client with nothing wrong about it. */
static bool take_event(struct troupe_ctx *ctx,
                       struct load_conn *conn,
                       struct load_client *client,
                       const struct trp_nostr_event *event,
                       uint64_t now_ns)
{
    struct troupe_span tag = trp_nostr_event_tag_value(event, "e");
    struct troupe_span content = trp_nostr_event_content(event);
    uint8_t id[TRP_NOSTR_ID_LEN];

    if (tag.data == NULL) {
        conn->worker->counts.ignored++; /* a notification of the server */
        return true;
    }
    uint32_t value = trp_hex_decode_lower(id, sizeof(id), tag)
                         ? trp_slot_table_find(&conn->table, id)
                         : TRP_SLOT_NONE;
    if (value == TRP_SLOT_NONE && client->timeouts > 0) {
        conn->worker->counts.late++;
        return true;
    }
    if (value == TRP_SLOT_NONE || client_of_slot(conn, value) != client) {
        note_wrong(conn, "an answer came twice, or to nothing asked", content);
        return true;
    }
    return take_response(ctx, conn, client, slot_of(conn, value), content, now_ns);
}

static bool receive_event(struct troupe_ctx *ctx,
                          struct load_conn *conn,
                          const struct trp_nostr_relay_msg *msg,
                          const struct trp_json_doc *doc,
                          uint64_t now_ns)
{
    struct load_worker *worker = conn->worker;
    struct load_client *client = client_of_sub(conn, msg->sub);
    struct trp_nostr_event_limits limits = trp_nostr_event_limits_default();
    struct trp_nostr_error error = {{0}};

    if (client == NULL) {
        note_wrong(conn, "an event for a subscription that is not ours", msg->sub);
        return true;
    }
    if (trp_nostr_event_read(worker->event, worker->event_cap, doc, msg->event, &limits, &error) !=
        TROUPE_OK) {
        note_wrong(conn, "an event cannot be read", troupe_span_cstr(error.text));
        return true;
    }
    const struct trp_nostr_event *event = (const struct trp_nostr_event *)(void *)worker->event;
    const char *problem = check_event(conn, client, event);
    if (problem != NULL) {
        note_wrong(conn, problem, trp_nostr_event_content(event));
        return true;
    }
    return take_event(ctx, conn, client, event, now_ns);
}

/* --- the relay itself --- */

static void
receive_ok(struct load_conn *conn, const struct trp_nostr_relay_msg *msg, uint64_t now_ns)
{
    uint32_t value = trp_slot_table_find(&conn->table, msg->id);
    if (value == TRP_SLOT_NONE) {
        return; /* answered before, or the notification that nobody waits for */
    }
    struct load_client *client = client_of_slot(conn, value);
    struct load_slot *slot = slot_of(conn, value);
    if (msg->accepted) {
        slot->is_accepted = true;
        return;
    }
    conn->worker->counts.rejected++;
    client->resume_ns = now_ns + PATIENCE_NS;
    trp_load_note(conn->worker, "the relay refused a request", msg->text);
    trp_load_slot_free(conn, client, slot);
}

static bool receive_eose(struct troupe_ctx *ctx,
                         struct load_conn *conn,
                         struct troupe_span sub,
                         uint64_t now_ns)
{
    struct load_client *client = client_of_sub(conn, sub);
    if (client == NULL || client->state != LOAD_CLIENT_SUBSCRIBING) {
        return true;
    }
    client->state = LOAD_CLIENT_INITIALIZING;
    return trp_load_fill(ctx, conn, client, now_ns);
}

bool trp_load_receive(struct troupe_ctx *ctx,
                      struct load_conn *conn,
                      struct troupe_span message,
                      uint64_t now_ns)
{
    struct trp_json_doc doc;
    struct trp_nostr_relay_msg msg;
    struct trp_nostr_error error;

    /* A WebSocket message has the padding that the JSON reader wants. */
    if (trp_json_read(conn->worker->json, &doc, message.data, message.len,
                      message.len + TROUPE_BUF_PADDING) != TROUPE_OK ||
        trp_nostr_wire_read_relay(&msg, &doc, &error) != TROUPE_OK) {
        note_wrong(conn, "the relay sent something that is no message", message);
        return true;
    }
    switch (msg.type) {
    case TRP_NOSTR_RELAY_EVENT:
        return receive_event(ctx, conn, &msg, &doc, now_ns);
    case TRP_NOSTR_RELAY_OK:
        receive_ok(conn, &msg, now_ns);
        return true;
    case TRP_NOSTR_RELAY_EOSE:
        return receive_eose(ctx, conn, msg.sub, now_ns);
    case TRP_NOSTR_RELAY_NOTICE:
        trp_load_note(conn->worker, "the relay says", msg.text);
        return true;
    case TRP_NOSTR_RELAY_CLOSED:
        trp_load_fail(conn->run, conn->worker, "the relay closed a subscription: %.*s",
                      (int)(msg.text.len < 100 ? msg.text.len : 100), msg.text.data);
        return false;
    case TRP_NOSTR_RELAY_AUTH:
        break; /* it may ask; only when it insists a request is refused */
    }
    return true;
}
