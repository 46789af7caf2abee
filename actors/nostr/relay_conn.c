/*
 * The connection to one relay: connect, subscribe, read, probe, reconnect. Publishing is in
 * relay_publish.c.
 */

#include "actors/nostr/relay_conn.h"

#include "actors/core/log.h"
#include "io/codec/nostr_wire.h"

#include <string.h>
#include <troupe/assert.h>

/* How often a message that its gate refused is tried again. */
#define HELD_RETRY_NS 1000000u

/* How often the farewell is tried again when its receiver is full. */
#define DONE_RETRY_NS 10000000u

/*
 * After the order to stop, answers may still be on their way here from other workers: the order
 * overtakes them. They have this long, and then all that is in the mailbox is taken first.
 */
#define SETTLE_NS 10000000u

/* Room for ["REQ",...] and ["CLOSE",...] of ours. */
#define REQUEST_MAX 512u

static void count(struct trp_relay_conn *conn, enum trp_nostr_counter counter)
{
    trp_nostr_count(conn->part, counter);
}

static struct trp_log_field log_relay(const struct trp_relay_conn *conn)
{
    return trp_log_str("relay", conn->relay->url);
}

static void random_sub(struct troupe_ctx *ctx, char sub[TRP_RELAY_SUB_LEN])
{
    uint64_t random = troupe_random(ctx);
    struct trp_text text = trp_text_init(sub, TRP_RELAY_SUB_LEN);
    trp_text_hex(&text, (const uint8_t *)&random, TRP_RELAY_SUB_LEN / 2);
}

static struct troupe_span sub_span(const char sub[TRP_RELAY_SUB_LEN])
{
    return troupe_span(sub, TRP_RELAY_SUB_LEN);
}

/* Sends a small request; when the queue is full the relay does not read, and the probe finds out.
 */
static bool
send_request(struct troupe_ctx *ctx, struct trp_relay_conn *conn, const struct trp_text *text)
{
    TROUPE_ASSERT(!text->overflow);
    return trp_ws_conn_send_copy(ctx, &conn->ws, troupe_span(text->data, text->len), true) ==
           TROUPE_OK;
}

static void send_close(struct troupe_ctx *ctx, struct trp_relay_conn *conn, const char *sub)
{
    char storage[REQUEST_MAX];
    struct trp_text text = trp_text_init(storage, sizeof(storage));
    trp_nostr_wire_write_close(&text, sub_span(sub));
    (void)send_request(ctx, conn, &text);
}

/* --- coming and going --- */

static void schedule_retry(struct troupe_ctx *ctx, struct trp_relay_conn *conn, uint32_t *attempt)
{
    uint64_t delay_ns = trp_backoff_delay(&conn->front->backoff, *attempt, troupe_random(ctx));
    if (*attempt < UINT32_MAX) {
        (*attempt)++;
    }
    troupe_timer_start(ctx, &conn->retry_timer, delay_ns, 0, TRP_NOSTR_MSG_RETRY);
}

static void connect_relay(struct troupe_ctx *ctx, struct trp_relay_conn *conn)
{
    const char *error = "";
    conn->opened_ns = 0;
    enum troupe_status status = trp_ws_conn_connect(
        ctx, &conn->ws, troupe_span_cstr(conn->relay->url), &conn->front->ws, conn, &error);
    if (status != TROUPE_OK) {
        count(conn, TRP_NOSTR_N_connect_failures);
        trp_log_warn("cannot connect to relay", log_relay(conn), trp_log_status(status),
                     trp_log_str("why", error));
        schedule_retry(ctx, conn, &conn->connect_attempt);
    }
}

/* The last of all connections says that the front end has stopped. */
static void say_goodbye(struct troupe_ctx *ctx, struct trp_relay_conn *conn)
{
    struct trp_nostr_front *front = conn->front;
    if (!conn->is_counted_out) {
        conn->is_counted_out = true;
        conn->is_last = trp_faa_u32(&front->running, (uint32_t)-1) == 1;
    }
    if (conn->is_last) {
        enum troupe_status status =
            troupe_send_copy(ctx, front->done_to, front->done_type, NULL, 0);
        if (status == TROUPE_EBUSY || status == TROUPE_ENOMEM) {
            troupe_timer_start(ctx, &conn->stop_timer, DONE_RETRY_NS, 0, TRP_NOSTR_MSG_STOP);
            return;
        }
    }
    conn->is_gone = true;
}

/* While stopping: ends the connection once nothing is left to be published, or it is forced to. */
static void finish_stop(struct troupe_ctx *ctx, struct trp_relay_conn *conn, bool is_forced)
{
    bool is_empty = conn->is_settled && conn->queue.count == 0;
    if (!conn->is_stopping || conn->is_finished || !(is_empty || is_forced)) {
        return;
    }
    conn->is_finished = true;
    trp_store_relaxed_u32(&conn->relay->accepts, 0);
    troupe_timer_cancel(ctx, &conn->retry_timer);
    troupe_timer_cancel(ctx, &conn->stop_timer);
    switch (trp_ws_conn_state(&conn->ws)) {
    case TRP_WS_CONN_IDLE:
        say_goodbye(ctx, conn);
        break;
    case TRP_WS_CONN_OPEN:
        trp_ws_conn_close(ctx, &conn->ws, 1001, troupe_span_cstr("server stops"));
        break;
    case TRP_WS_CONN_LOOKUP:
    case TRP_WS_CONN_CONNECTING:
    case TRP_WS_CONN_HANDSHAKE:
    case TRP_WS_CONN_CLOSING:
    case TRP_WS_CONN_ENDING:
    case TRP_WS_CONN_STATES:
        trp_ws_conn_abort(ctx, &conn->ws);
        break;
    }
}

/* --- subscription --- */

/* A resubscription begins before the newest event seen, but never before the start. */
static uint64_t since_s(struct troupe_ctx *ctx, const struct trp_relay_conn *conn)
{
    uint64_t start_s = trp_nostr_start_s(ctx, conn->front);
    uint64_t margin_s = conn->front->limits.since_margin_s;
    uint64_t from_s = conn->newest_s > margin_s ? conn->newest_s - margin_s : 0;
    return from_s > start_s ? from_s : start_s;
}

static void subscribe(struct troupe_ctx *ctx, struct trp_relay_conn *conn)
{
    static const uint16_t kinds[] = {TRP_NOSTR_KIND_MESSAGE, TRP_NOSTR_KIND_WRAP,
                                     TRP_NOSTR_KIND_WRAP_EPHEMERAL};
    if (trp_nostr_is_draining(conn->front)) {
        return;
    }
    struct troupe_span own = troupe_span(conn->front->pubkey_hex, sizeof(conn->front->pubkey_hex));
    struct trp_nostr_filter_draft_tag tag = {.letter = 'p', .values = &own, .count = 1};
    conn->since_s = since_s(ctx, conn);
    struct trp_nostr_filter_draft filter = {
        .kinds = kinds,
        .kind_count = sizeof(kinds) / sizeof(kinds[0]),
        .tags = &tag,
        .tag_count = 1,
        .since = conn->since_s,
        .has_since = true,
    };
    char storage[REQUEST_MAX];
    struct trp_text text = trp_text_init(storage, sizeof(storage));
    random_sub(ctx, conn->sub);
    trp_nostr_wire_write_req(&text, sub_span(conn->sub), &filter, 1);
    if (!send_request(ctx, conn, &text)) {
        schedule_retry(ctx, conn, &conn->subscribe_attempt);
        return;
    }
    conn->is_subscribed = true;
    conn->subscribed_ns = troupe_now(ctx);
    count(conn, TRP_NOSTR_N_subscriptions);
}

static void unsubscribe(struct troupe_ctx *ctx, struct trp_relay_conn *conn)
{
    if (conn->is_subscribed && trp_ws_conn_is_open(&conn->ws)) {
        send_close(ctx, conn, conn->sub);
    }
    conn->is_subscribed = false;
}

static void on_eose(struct troupe_ctx *ctx, struct trp_relay_conn *conn, struct troupe_span sub)
{
    if (conn->is_probing && troupe_span_equal(sub, sub_span(conn->probe_sub))) {
        trp_relay_probe_answered(ctx, conn, true);
    } else if (conn->is_subscribed && troupe_span_equal(sub, sub_span(conn->sub))) {
        struct trp_nostr_front *front = conn->front;
        /* the exchange makes one of several relays the first */
        if (front->ready_cb != NULL && trp_fas_u32(&front->is_ready_told, 1) == 0) {
            front->ready_cb(ctx, front->ready_arg, conn->relay->url);
        }
    }
}

static void on_closed(struct troupe_ctx *ctx,
                      struct trp_relay_conn *conn,
                      const struct trp_nostr_relay_msg *msg)
{
    if (conn->is_probing && troupe_span_equal(msg->sub, sub_span(conn->probe_sub))) {
        trp_relay_probe_answered(ctx, conn, false); /* refused, but it lives */
    } else if (conn->is_subscribed && troupe_span_equal(msg->sub, sub_span(conn->sub))) {
        conn->is_subscribed = false;
        count(conn, TRP_NOSTR_N_subscriptions_closed);
        trp_log_warn("relay ended the subscription", log_relay(conn),
                     trp_log_bytes("text", msg->text.data, msg->text.len));
        if (troupe_now(ctx) - conn->subscribed_ns >= conn->front->limits.retry_base_ns) {
            conn->subscribe_attempt = 0;
        }
        schedule_retry(ctx, conn, &conn->subscribe_attempt);
    }
}

/* --- liveness --- */

static void start_probe_timer(struct troupe_ctx *ctx, struct trp_relay_conn *conn)
{
    uint64_t period_ns = conn->front->limits.probe_ns;
    if (period_ns != 0) {
        /* a little earlier each time, so that many connections do not probe together */
        uint64_t early_ns = troupe_random(ctx) % (period_ns / 20 + 1);
        troupe_timer_start(ctx, &conn->probe_timer, period_ns - early_ns, 0, TRP_NOSTR_MSG_PROBE);
    }
}

static void start_probe(struct troupe_ctx *ctx, struct trp_relay_conn *conn)
{
    uint8_t id[1][TRP_NOSTR_ID_LEN];
    memset(id, 0xaa, sizeof(id)); /* the id of no event */
    struct trp_nostr_filter_draft filter = {
        .ids = (const uint8_t(*)[TRP_NOSTR_ID_LEN])id, .id_count = 1, .has_limit = true};
    char storage[REQUEST_MAX];
    struct trp_text text = trp_text_init(storage, sizeof(storage));
    random_sub(ctx, conn->probe_sub);
    trp_nostr_wire_write_req(&text, sub_span(conn->probe_sub), &filter, 1);
    (void)send_request(ctx, conn, &text);
    conn->is_probing = true;
    count(conn, TRP_NOSTR_N_probes);
    troupe_timer_start(ctx, &conn->probe_timer, conn->front->limits.probe_wait_ns, 0,
                       TRP_NOSTR_MSG_PROBE);
}

static void on_probe_timer(struct troupe_ctx *ctx, struct trp_relay_conn *conn)
{
    if (!trp_ws_conn_is_open(&conn->ws)) {
        return;
    }
    if (!conn->is_probing) {
        start_probe(ctx, conn);
    } else if (conn->held != NULL) {
        /* it is us who do not read just now */
        troupe_timer_start(ctx, &conn->probe_timer, conn->front->limits.probe_wait_ns, 0,
                           TRP_NOSTR_MSG_PROBE);
    } else {
        count(conn, TRP_NOSTR_N_probes_failed);
        trp_log_warn("relay does not answer, reconnecting", log_relay(conn));
        trp_ws_conn_abort(ctx, &conn->ws);
    }
}

void trp_relay_probe_answered(struct troupe_ctx *ctx, struct trp_relay_conn *conn, bool is_open)
{
    conn->is_probing = false;
    if (is_open) {
        send_close(ctx, conn, conn->probe_sub);
    }
    start_probe_timer(ctx, conn);
}

/* --- events --- */

/* Hands an event to its gate. When that is full nothing more is read until it took this one. */
static void dispatch(struct troupe_ctx *ctx, struct trp_relay_conn *conn, struct troupe_msg *msg)
{
    const struct trp_nostr_incoming *incoming = troupe_msg_data(msg);
    const struct trp_nostr_event *event = (const void *)(incoming->buf->data + incoming->event_at);
    enum troupe_status status = troupe_send(ctx, trp_nostr_gate_of(conn->front, event), &msg);
    if (status == TROUPE_OK) {
        return;
    }
    if (status == TROUPE_EBUSY) {
        conn->held = msg;
        trp_ws_conn_pause(ctx, &conn->ws);
        troupe_timer_start(ctx, &conn->held_timer, HELD_RETRY_NS, 0, TRP_NOSTR_MSG_HELD);
        return;
    }
    count(conn, TRP_NOSTR_N_dropped_drain); /* the pool stops */
    troupe_msg_free(ctx, msg);
}

static void on_held_timer(struct troupe_ctx *ctx, struct trp_relay_conn *conn)
{
    struct troupe_msg *msg = conn->held;
    if (msg != NULL) {
        conn->held = NULL;
        dispatch(ctx, conn, msg);
        if (conn->held == NULL) {
            trp_ws_conn_resume(ctx, &conn->ws);
        }
    }
}

/* Reads the event into a buffer of its own; NULL when it is none, which is counted. */
static struct troupe_buf *read_event(struct troupe_ctx *ctx,
                                     struct trp_relay_conn *conn,
                                     const struct trp_json_doc *doc,
                                     const struct trp_json_node *node)
{
    size_t cap = trp_nostr_event_bound(doc, node);
    struct troupe_buf *buf = cap <= TROUPE_BUF_MAX ? troupe_buf_new(ctx, (uint32_t)cap) : NULL;
    if (buf == NULL) {
        count(conn, TRP_NOSTR_N_dropped_memory);
        trp_log_error("event dropped: no memory", log_relay(conn));
        return NULL;
    }
    struct trp_nostr_event_limits limits = trp_nostr_event_limits_default();
    limits.content_bytes_max = conn->front->limits.content_bytes_max;
    struct trp_nostr_error error = {""};
    enum troupe_status status = trp_nostr_event_read(buf->data, cap, doc, node, &limits, &error);
    if (status == TROUPE_OK) {
        buf->size = ((const struct trp_nostr_event *)(const void *)buf->data)->size;
        return buf;
    }
    bool is_oversized = status == TROUPE_ETOOLARGE;
    count(conn, is_oversized ? TRP_NOSTR_N_oversized : TRP_NOSTR_N_garbage);
    trp_log_warn(is_oversized ? "oversized event dropped" : "malformed event dropped",
                 log_relay(conn), trp_log_str("why", error.text));
    troupe_buf_release(buf);
    return NULL;
}

static void on_event(struct troupe_ctx *ctx,
                     struct trp_relay_conn *conn,
                     const struct trp_json_doc *doc,
                     const struct trp_nostr_relay_msg *msg)
{
    if (!conn->is_subscribed || !troupe_span_equal(msg->sub, sub_span(conn->sub))) {
        count(conn, TRP_NOSTR_N_stray);
        return;
    }
    struct troupe_buf *buf = read_event(ctx, conn, doc, msg->event);
    if (buf == NULL) {
        return;
    }
    const struct trp_nostr_event *event = (const void *)buf->data;
    if (!trp_nostr_admissible(ctx, conn->front, event, conn->since_s, conn->relay->url)) {
        troupe_buf_release(buf);
        return;
    }
    struct troupe_msg *out =
        troupe_msg_new_buf(ctx, TRP_NOSTR_MSG_EVENT, sizeof(struct trp_nostr_incoming), buf);
    if (out == NULL) {
        count(conn, TRP_NOSTR_N_dropped_memory);
        troupe_buf_release(buf);
        return;
    }
    /* a date in the future must not make us deaf after the next reconnect */
    uint64_t now_s = trp_nostr_seconds(ctx);
    uint64_t date_s = event->created_at < now_s ? event->created_at : now_s;
    conn->newest_s = date_s > conn->newest_s ? date_s : conn->newest_s;
    dispatch(ctx, conn, out);
}

/* --- what the WebSocket tells --- */

static void on_relay_message(struct troupe_ctx *ctx,
                             struct trp_relay_conn *conn,
                             const struct trp_json_doc *doc,
                             const struct trp_nostr_relay_msg *msg)
{
    switch (msg->type) {
    case TRP_NOSTR_RELAY_EVENT:
        on_event(ctx, conn, doc, msg);
        break;
    case TRP_NOSTR_RELAY_OK:
        trp_relay_publish_answer(ctx, conn, msg);
        finish_stop(ctx, conn, false);
        break;
    case TRP_NOSTR_RELAY_EOSE:
        on_eose(ctx, conn, msg->sub);
        break;
    case TRP_NOSTR_RELAY_CLOSED:
        on_closed(ctx, conn, msg);
        break;
    case TRP_NOSTR_RELAY_NOTICE:
        count(conn, TRP_NOSTR_N_notices);
        trp_log_info("relay says", log_relay(conn),
                     trp_log_bytes("text", msg->text.data, msg->text.len));
        break;
    case TRP_NOSTR_RELAY_AUTH:
        if (!conn->is_auth_logged) {
            conn->is_auth_logged = true;
            trp_log_warn("relay asks for authentication, which is not available yet",
                         log_relay(conn));
        }
        break;
    }
}

static void on_message(struct troupe_ctx *ctx,
                       void *owner,
                       struct trp_ws_conn *ws,
                       struct troupe_span payload,
                       bool is_text)
{
    (void)ws;
    struct trp_relay_conn *conn = owner;
    struct trp_json_doc doc;
    struct trp_nostr_relay_msg msg;
    struct trp_nostr_error error = {"binary message"};
    enum troupe_status status = TROUPE_EPARSE;
    if (is_text) {
        status = trp_json_read(conn->part->parser, &doc, payload.data, payload.len,
                               payload.len + TROUPE_BUF_PADDING);
        if (status == TROUPE_OK) {
            status = trp_nostr_wire_read_relay(&msg, &doc, &error);
        } else {
            trp_nostr_error_set(&error, NULL, trp_json_error(conn->part->parser));
        }
    }
    if (status == TROUPE_OK) {
        on_relay_message(ctx, conn, &doc, &msg);
    } else {
        count(conn, status == TROUPE_ENOTFOUND ? TRP_NOSTR_N_unknown : TRP_NOSTR_N_garbage);
        trp_log_warn("relay sent what cannot be understood", log_relay(conn),
                     trp_log_str("why", error.text));
    }
}

static void on_open(struct troupe_ctx *ctx, void *owner, struct trp_ws_conn *ws)
{
    (void)ws;
    struct trp_relay_conn *conn = owner;
    conn->opened_ns = troupe_now(ctx);
    conn->subscribe_attempt = 0;
    count(conn, TRP_NOSTR_N_connects);
    trp_log_info("relay connected", log_relay(conn));
    if (!conn->is_finished) {
        trp_store_relaxed_u32(&conn->relay->accepts, 1);
    }
    trp_store_relaxed_u32(&conn->relay->is_connected, 1);
    subscribe(ctx, conn);
    start_probe_timer(ctx, conn);
    trp_relay_publish_flush(ctx, conn);
}

static void
on_close(struct troupe_ctx *ctx, void *owner, struct trp_ws_conn *ws, const struct trp_ws_end *end)
{
    (void)ws;
    struct trp_relay_conn *conn = owner;
    bool was_open = conn->opened_ns != 0;
    count(conn, was_open ? TRP_NOSTR_N_disconnects : TRP_NOSTR_N_connect_failures);
    trp_store_relaxed_u32(&conn->relay->is_connected, 0);
    conn->is_subscribed = false;
    conn->is_probing = false;
    troupe_timer_cancel(ctx, &conn->probe_timer);
    troupe_timer_cancel(ctx, &conn->retry_timer);
    trp_publish_requeue(&conn->queue);
    if (conn->is_finished) {
        say_goodbye(ctx, conn);
        return;
    }
    if (was_open) {
        conn->down_ns = troupe_now(ctx);
        if (conn->down_ns - conn->opened_ns >= conn->front->limits.retry_base_ns) {
            conn->connect_attempt = 0;
        }
    }
    schedule_retry(ctx, conn, &conn->connect_attempt);
    trp_log_warn(was_open ? "relay connection lost" : "cannot connect to relay", log_relay(conn),
                 trp_log_status(end->status), trp_log_u64("code", end->code),
                 trp_log_bytes("why", end->reason.data, end->reason.len));
    finish_stop(ctx, conn, false);
}

static void on_drained(struct troupe_ctx *ctx, void *owner, struct trp_ws_conn *ws)
{
    (void)ws;
    trp_relay_publish_flush(ctx, owner);
}

const struct trp_ws_callbacks trp_nostr_relay_callbacks = {
    .open_cb = on_open,
    .message_cb = on_message,
    .close_cb = on_close,
    .drained_cb = on_drained,
};

/* --- the actor --- */

static enum troupe_status start_conn(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct trp_relay_conn *conn = state;
    conn->relay = (struct trp_nostr_relay *)arg;
    conn->front = conn->relay->front;
    conn->part = trp_nostr_part_here(ctx, conn->front);
    conn->queue.limits = (struct trp_publish_limits){
        .count_max = conn->front->limits.publish_max,
        .bytes_max = conn->front->limits.publish_bytes_max,
        .publish_ns = conn->front->limits.publish_ns,
        .ok_ns = conn->front->limits.ok_ns,
    };
    (void)trp_nostr_start_s(ctx, conn->front);
    connect_relay(ctx, conn);
    return TROUPE_OK;
}

static void on_retry_timer(struct troupe_ctx *ctx, struct trp_relay_conn *conn)
{
    if (trp_ws_conn_state(&conn->ws) == TRP_WS_CONN_IDLE) {
        if (troupe_now(ctx) - conn->down_ns >= conn->front->limits.publish_ns) {
            /* nothing can be published in time any more, so senders need not try */
            trp_store_relaxed_u32(&conn->relay->accepts, 0);
        }
        connect_relay(ctx, conn);
    } else if (trp_ws_conn_is_open(&conn->ws) && !conn->is_subscribed) {
        subscribe(ctx, conn);
    }
}

static void on_note(struct troupe_ctx *ctx, struct trp_relay_conn *conn, struct troupe_msg *note)
{
    unsubscribe(ctx, conn);
    if (note == &conn->relay->stop_note && !conn->is_stopping) {
        conn->is_stopping = true;
        troupe_timer_start(ctx, &conn->stop_timer, conn->front->flush_ns, 0, TRP_NOSTR_MSG_STOP);
        troupe_timer_start(ctx, &conn->settle_timer, SETTLE_NS, 0, TRP_NOSTR_MSG_SETTLE);
    }
}

/* The timer, and then the message that went behind everything in the mailbox. */
static void on_settle(struct troupe_ctx *ctx, struct trp_relay_conn *conn, bool is_timer)
{
    if (is_timer) {
        if (troupe_send_copy(ctx, troupe_self(ctx), TRP_NOSTR_MSG_SETTLE, NULL, 0) != TROUPE_OK) {
            troupe_timer_start(ctx, &conn->settle_timer, SETTLE_NS, 0, TRP_NOSTR_MSG_SETTLE);
        }
        return;
    }
    conn->is_settled = true;
    finish_stop(ctx, conn, false);
}

static void
on_own_message(struct troupe_ctx *ctx, struct trp_relay_conn *conn, struct troupe_msg *msg)
{
    switch (msg->type) {
    case TRP_MSG_NOTE:
        on_note(ctx, conn, msg);
        break;
    case TRP_NOSTR_MSG_PUBLISH:
        trp_relay_publish_take(ctx, conn, msg);
        break;
    case TRP_NOSTR_MSG_RETRY:
        on_retry_timer(ctx, conn);
        break;
    case TRP_NOSTR_MSG_PROBE:
        on_probe_timer(ctx, conn);
        break;
    case TRP_NOSTR_MSG_QUEUE:
        trp_relay_publish_expire(ctx, conn);
        finish_stop(ctx, conn, false);
        break;
    case TRP_NOSTR_MSG_HELD:
        on_held_timer(ctx, conn);
        break;
    case TRP_NOSTR_MSG_SETTLE:
        on_settle(ctx, conn, msg == &conn->settle_timer.msg);
        break;
    case TRP_NOSTR_MSG_STOP:
        if (conn->is_finished) {
            say_goodbye(ctx, conn);
        } else {
            finish_stop(ctx, conn, true);
        }
        break;
    default:
        break;
    }
}

static enum troupe_verdict receive_conn(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct trp_relay_conn *conn = state;
    if (!trp_ws_conn_receive(ctx, &conn->ws, msg)) {
        on_own_message(ctx, conn, msg);
    }
    trp_ws_conn_flush(ctx, &conn->ws);
    trp_relay_publish_arm(ctx, conn);
    return conn->is_gone ? TROUPE_STOP : TROUPE_CONTINUE;
}

static void end_conn(struct troupe_ctx *ctx, void *state, enum troupe_down_reason reason)
{
    (void)reason;
    struct trp_relay_conn *conn = state;
    trp_store_relaxed_u32(&conn->relay->accepts, 0);
    trp_store_relaxed_u32(&conn->relay->is_connected, 0);
    trp_ws_conn_fini(ctx, &conn->ws);
    troupe_msg_free(ctx, conn->held);
    conn->held = NULL;
    trp_relay_publish_drop(ctx, conn);
}

const struct troupe_actor_type trp_nostr_relay_type = {
    .name = "nostr-relay",
    .state_size = sizeof(struct trp_relay_conn),
    .data_count_max = 65536,
    .data_bytes_max = 64u << 20,
    .init_cb = start_conn,
    .receive_cb = receive_conn,
    .terminate_cb = end_conn,
};
