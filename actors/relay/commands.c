/* What clients say: EVENT, REQ, CLOSE. */

#include "actors/relay/connection.h"

#include "io/codec/nostr_wire.h"

#include <troupe/assert.h>

/* Longest answer: a subscription id with every character escaped, a hash, our own texts. */
#define ANSWER_MAX 800u

/* --- answers --- */

/* Our texts begin with a machine-readable word (NIP-01) and hold at most one found by a codec. */
static struct troupe_span why_text(char *out, size_t cap, const char *word, const char *what)
{
    struct trp_text text = trp_text_init(out, cap);
    trp_text_cstr(&text, word);
    trp_text_cstr(&text, what);
    return troupe_span(out, text.len);
}

static void answer_ok(struct troupe_ctx *ctx,
                      struct trp_relay_conn *conn,
                      const uint8_t *id,
                      bool is_accepted,
                      struct troupe_span why)
{
    char data[ANSWER_MAX];
    struct trp_text text = trp_text_init(data, sizeof(data));
    trp_nostr_wire_write_ok(&text, id, is_accepted, why);
    trp_relay_conn_send(ctx, conn, &text);
}

static void answer_closed(struct troupe_ctx *ctx,
                          struct trp_relay_conn *conn,
                          struct troupe_span sub,
                          const char *word,
                          const char *what)
{
    char data[ANSWER_MAX];
    char why[200];
    struct trp_text text = trp_text_init(data, sizeof(data));
    trp_relay_count(&conn->shard->stats.bad_requests, 1);
    trp_nostr_wire_write_closed(&text, sub, why_text(why, sizeof(why), word, what));
    trp_relay_conn_send(ctx, conn, &text);
}

void trp_relay_complain(struct troupe_ctx *ctx, struct trp_relay_conn *conn, const char *what)
{
    char data[ANSWER_MAX];
    char why[200];
    struct trp_text text = trp_text_init(data, sizeof(data));
    trp_relay_count(&conn->shard->stats.bad_messages, 1);
    trp_nostr_wire_write_notice(&text, why_text(why, sizeof(why), "invalid: ", what));
    trp_relay_conn_send(ctx, conn, &text);
    if (++conn->bad_count >= conn->shard->relay->config.bad_messages_max &&
        trp_ws_conn_is_open(&conn->ws)) {
        trp_relay_count(&conn->shard->stats.abusive, 1);
        trp_relay_conn_expel(ctx, conn, "too many unreadable messages");
    }
}

/* --- EVENT --- */

/* An event under examination. */
struct candidate {
    struct trp_nostr_event *event; /* in scratch */
    struct troupe_buf *scratch;
    uint8_t id[TRP_NOSTR_ID_LEN];
    bool has_id;
};

static void refuse(struct troupe_ctx *ctx,
                   struct trp_relay_conn *conn,
                   const struct candidate *candidate,
                   uint64_t *counter,
                   const char *what)
{
    char why[200];
    trp_relay_count(counter, 1);
    if (candidate->has_id) {
        conn->bad_count = 0;
        answer_ok(ctx, conn, candidate->id, false, why_text(why, sizeof(why), "invalid: ", what));
    } else {
        trp_relay_complain(ctx, conn, what);
    }
}

/* Size, form, time: false when it was refused. */
static bool examine(struct troupe_ctx *ctx,
                    struct trp_relay_conn *conn,
                    struct candidate *candidate,
                    const struct trp_json_doc *doc,
                    const struct trp_json_node *node)
{
    struct trp_relay_stats *stats = &conn->shard->stats;
    struct trp_nostr_event_limits limits = trp_nostr_event_limits_default();
    struct trp_nostr_error error = {""};
    size_t bound = trp_nostr_event_bound(doc, node);
    candidate->has_id = trp_nostr_event_peek_id(doc, node, candidate->id);
    candidate->scratch = bound <= TROUPE_BUF_MAX ? troupe_buf_new(ctx, (uint32_t)bound) : NULL;
    if (candidate->scratch == NULL) {
        refuse(ctx, conn, candidate, &stats->malformed, "the event needs too much memory");
        return false;
    }
    candidate->event = (void *)candidate->scratch->data;
    if (trp_nostr_event_read(candidate->event, bound, doc, node, &limits, &error) != TROUPE_OK) {
        refuse(ctx, conn, candidate, &stats->malformed, error.text);
        return false;
    }
    uint64_t now_s = troupe_wall_now(ctx) / 1000000000u;
    if (candidate->event->created_at > now_s + conn->shard->relay->config.future_s_max) {
        refuse(ctx, conn, candidate, &stats->malformed, "created_at is too far in the future");
        return false;
    }
    if (!trp_nostr_event_check_id(candidate->event)) {
        refuse(ctx, conn, candidate, &stats->bad_ids, "id is not the hash of the event");
        return false;
    }
    return true;
}

static void tap(struct troupe_ctx *ctx, struct trp_relay_shard *shard, struct troupe_buf *packet)
{
    const struct trp_relay *relay = shard->relay;
    const struct trp_nostr_event *event = trp_nostr_packet_event(packet);
    if (relay->config.tap_cb != NULL &&
        trp_nostr_event_has_value(event, 'p',
                                  troupe_span(relay->tap_hex, sizeof(relay->tap_hex)))) {
        trp_relay_count(&shard->stats.tapped, 1);
        relay->config.tap_cb(ctx, relay->config.tap_arg, packet, event);
    }
}

static void answer_verdict(struct troupe_ctx *ctx,
                           struct trp_relay_conn *conn,
                           const uint8_t *id,
                           enum trp_relay_verdict verdict)
{
    static const struct {
        bool is_accepted;
        const char *why;
    } answers[] = {
        [TRP_RELAY_ACCEPTED] = {true, ""},
        [TRP_RELAY_DUPLICATE] = {true, "duplicate: already have this event"},
        [TRP_RELAY_OUTDATED] = {true, "duplicate: already have a newer version"},
        [TRP_RELAY_DELETED] = {false, "blocked: its author deleted it"},
        [TRP_RELAY_BUSY] = {false, "rate-limited: the relay is busy, please retry"},
        [TRP_RELAY_NO_MEMORY] = {false, "error: the relay is out of memory"},
        [TRP_RELAY_STOPPED] = {false, "error: the relay is stopping"},
    };
    struct trp_relay_stats *stats = &conn->shard->stats;
    if (verdict == TRP_RELAY_DUPLICATE || verdict == TRP_RELAY_OUTDATED) {
        trp_relay_count(&stats->duplicates, 1);
    } else if (verdict == TRP_RELAY_BUSY || verdict == TRP_RELAY_NO_MEMORY) {
        trp_relay_count(&stats->busy, 1);
    }
    answer_ok(ctx, conn, id, answers[verdict].is_accepted, troupe_span_cstr(answers[verdict].why));
}

static void
admit(struct troupe_ctx *ctx, struct trp_relay_conn *conn, const struct candidate *candidate)
{
    struct trp_relay_shard *shard = conn->shard;
    const struct trp_nostr_event *event = candidate->event;
    conn->bad_count = 0;
    if (trp_relay_store_has(shard->store, event->id)) {
        answer_verdict(ctx, conn, event->id, TRP_RELAY_DUPLICATE);
        return;
    }
    if (!trp_nostr_event_check_sig(event, shard->crypto)) {
        refuse(ctx, conn, candidate, &shard->stats.bad_signatures, "signature does not verify");
        return;
    }
    struct troupe_buf *packet = troupe_buf_new(ctx, (uint32_t)trp_nostr_packet_bound(event));
    if (packet == NULL) {
        answer_verdict(ctx, conn, event->id, TRP_RELAY_NO_MEMORY);
        return;
    }
    bool is_written = trp_nostr_packet_write(packet, event);
    TROUPE_ASSERT(is_written);
    enum trp_relay_verdict verdict = trp_relay_accept(ctx, shard, packet);
    if (verdict == TRP_RELAY_ACCEPTED) {
        tap(ctx, shard, packet);
    }
    answer_verdict(ctx, conn, event->id, verdict);
    troupe_buf_release(packet);
}

static void on_event(struct troupe_ctx *ctx,
                     struct trp_relay_conn *conn,
                     const struct trp_json_doc *doc,
                     const struct trp_json_node *node)
{
    struct candidate candidate = {0};
    trp_relay_count(&conn->shard->stats.events, 1);
    if (examine(ctx, conn, &candidate, doc, node)) {
        admit(ctx, conn, &candidate);
    }
    troupe_buf_release(candidate.scratch);
}

/* --- REQ --- */

/* Reads the filters into a buffer of its own; NULL when refused, with what was wrong. */
static struct troupe_buf *read_filters(struct troupe_ctx *ctx,
                                       const struct trp_relay_config *config,
                                       const struct trp_json_doc *doc,
                                       const struct trp_nostr_client_msg *request,
                                       struct trp_nostr_error *error)
{
    struct trp_nostr_filter_limits limits = trp_nostr_filter_limits_default();
    limits.filters_max = config->filters_max;
    limits.values_max = config->filter_values_max;
    size_t bound = 0;
    const struct trp_json_node *node = request->filter;
    for (; node != NULL; node = trp_nostr_wire_next_filter(doc, node)) {
        bound += trp_relay_filter_room(trp_nostr_filter_bound(doc, node));
    }
    struct troupe_buf *area = bound <= TROUPE_BUF_MAX ? troupe_buf_new(ctx, (uint32_t)bound) : NULL;
    if (area == NULL) {
        trp_nostr_error_set(error, NULL, "the filters need too much memory");
        return NULL;
    }
    for (node = request->filter; node != NULL; node = trp_nostr_wire_next_filter(doc, node)) {
        struct trp_nostr_filter *filter = (void *)(area->data + area->size);
        if (trp_nostr_filter_read(filter, area->capacity - area->size, doc, node, &limits, error) !=
            TROUPE_OK) {
            troupe_buf_release(area);
            return NULL;
        }
        area->size += (uint32_t)trp_relay_filter_room(filter->size);
    }
    return area;
}

static void open_sub(struct troupe_ctx *ctx,
                     struct trp_relay_conn *conn,
                     const struct trp_relay_filters *filters,
                     struct troupe_span id)
{
    const struct trp_relay_config *config = &conn->shard->relay->config;
    struct trp_relay_sub *old = trp_relay_conn_find(conn, id);
    if (old != NULL) {
        trp_relay_conn_close_sub(conn, old);
    }
    if (conn->sub_count >= config->subs_max) {
        answer_closed(ctx, conn, id, "error: ", "too many subscriptions");
        return;
    }
    size_t size = trp_relay_sub_size(filters, id);
    if (size > config->sub_bytes_max - conn->sub_bytes) {
        answer_closed(ctx, conn, id, "error: ", "the subscriptions take too much memory");
        return;
    }
    struct troupe_buf *memory = troupe_buf_new(ctx, (uint32_t)size);
    if (memory == NULL) {
        answer_closed(ctx, conn, id, "error: ", "the relay is out of memory");
        return;
    }
    trp_relay_conn_open_sub(ctx, conn, trp_relay_sub_init(memory, filters, id));
}

static void on_req(struct troupe_ctx *ctx,
                   struct trp_relay_conn *conn,
                   const struct trp_json_doc *doc,
                   const struct trp_nostr_client_msg *request)
{
    struct trp_nostr_error error = {""};
    struct troupe_buf *area = read_filters(ctx, &conn->shard->relay->config, doc, request, &error);
    if (area == NULL) {
        answer_closed(ctx, conn, request->sub, "invalid: ", error.text);
        return;
    }
    struct trp_relay_filters filters = {area->data, request->filter_count};
    open_sub(ctx, conn, &filters, request->sub);
    troupe_buf_release(area);
}

/* --- all --- */

/* A message whose form is wrong; REQ is answered with CLOSED when it has a subscription id. */
static void on_malformed(struct troupe_ctx *ctx,
                         struct trp_relay_conn *conn,
                         const struct trp_json_doc *doc,
                         const struct trp_nostr_error *error)
{
    const struct trp_json_node *root = trp_json_root(doc);
    const struct trp_json_node *sub = trp_json_at(doc, root, 1);
    if (trp_json_is(doc, trp_json_at(doc, root, 0), "REQ") && sub != NULL &&
        sub->kind == TRP_JSON_STRING && trp_nostr_wire_sub_valid(trp_json_text(doc, sub))) {
        conn->bad_count = 0;
        answer_closed(ctx, conn, trp_json_text(doc, sub), "invalid: ", error->text);
        return;
    }
    trp_relay_complain(ctx, conn, error->text);
}

void trp_relay_command(struct troupe_ctx *ctx,
                       struct trp_relay_conn *conn,
                       struct troupe_span payload)
{
    struct trp_relay_shard *shard = conn->shard;
    struct trp_nostr_client_msg msg;
    struct trp_nostr_error error = {""};
    struct trp_json_doc doc;
    if (!shard->is_open) {
        return; /* the close is on its way */
    }
    if (trp_json_read(shard->parser, &doc, payload.data, payload.len,
                      payload.len + TROUPE_BUF_PADDING) != TROUPE_OK) {
        trp_relay_complain(ctx, conn, trp_json_error(shard->parser));
        return;
    }
    if (trp_nostr_wire_read_client(&msg, &doc, shard->relay->config.filters_max, &error) !=
        TROUPE_OK) {
        on_malformed(ctx, conn, &doc, &error);
        return;
    }
    switch (msg.type) {
    case TRP_NOSTR_CLIENT_EVENT:
        on_event(ctx, conn, &doc, msg.event);
        break;
    case TRP_NOSTR_CLIENT_REQ:
        conn->bad_count = 0;
        trp_relay_count(&shard->stats.requests, 1);
        on_req(ctx, conn, &doc, &msg);
        break;
    case TRP_NOSTR_CLIENT_CLOSE: {
        struct trp_relay_sub *sub = trp_relay_conn_find(conn, msg.sub);
        conn->bad_count = 0;
        if (sub != NULL) {
            trp_relay_conn_close_sub(conn, sub);
        }
        break;
    }
    case TRP_NOSTR_CLIENT_AUTH:
        trp_relay_complain(ctx, conn, "authentication is not asked for here");
        break;
    }
}
