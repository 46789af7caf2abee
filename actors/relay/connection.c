#include "actors/relay/connection.h"

#include "actors/core/log.h"
#include "io/codec/nostr_wire.h"

#include <troupe/assert.h>

/* Stored events looked at in one turn. */
#define STEP_BUDGET 1024u

TROUPE_STATIC_ASSERT(TRP_WS_HEADER_MAX + TRP_RELAY_PREFIX_MAX <= TRP_STREAM_COPY_MAX,
                     "what goes in front of an event is one queue entry");

/* --- sending --- */

/* Two queue entries: the frame header with the prefix, and the tail of the shared packet. */
static enum troupe_status send_event(struct troupe_ctx *ctx,
                                     struct trp_relay_conn *conn,
                                     const struct trp_relay_sub *sub,
                                     struct troupe_buf *packet)
{
    struct trp_stream *stream = &conn->ws.stream;
    struct trp_nostr_slice tail = trp_nostr_packet_tail(packet);
    uint8_t head[TRP_WS_HEADER_MAX + TRP_RELAY_PREFIX_MAX];
    if (!trp_ws_conn_is_open(&conn->ws)) {
        return TROUPE_ECLOSED;
    }
    size_t len = trp_ws_header_write(head, TRP_WS_OP_TEXT, true, sub->prefix.len + tail.len, NULL);
    memcpy(head + len, sub->prefix.data, sub->prefix.len);
    len += sub->prefix.len;
    /* both halves or none: a full queue must not cut a frame in two */
    uint64_t queued = trp_stream_queue_bytes(stream);
    if (stream->queue_entries + 2 > stream->limits->queue_entries_max ||
        (queued > 0 && queued + len + tail.len > stream->limits->queue_bytes_max)) {
        return TROUPE_EBUSY;
    }
    enum troupe_status status = trp_stream_write_copy(ctx, stream, head, (uint32_t)len);
    if (status != TROUPE_OK) {
        return status;
    }
    status = trp_stream_write(ctx, stream, packet, tail.at, tail.len);
    if (status != TROUPE_OK) {
        trp_ws_conn_abort(ctx, &conn->ws);
    }
    return status;
}

static void drop_subs(struct trp_relay_conn *conn)
{
    while (conn->subs != NULL) {
        trp_relay_conn_close_sub(conn, conn->subs);
    }
}

void trp_relay_conn_expel(struct troupe_ctx *ctx, struct trp_relay_conn *conn, const char *why)
{
    drop_subs(conn);
    trp_ws_conn_close(ctx, &conn->ws, TRP_WS_CODE_POLICY, troupe_span_cstr(why));
}

static void give_up(struct troupe_ctx *ctx, struct trp_relay_conn *conn)
{
    if (trp_ws_conn_is_open(&conn->ws)) {
        trp_relay_count(&conn->shard->stats.slow, 1);
        trp_log_warn("relay closes a connection that does not keep up",
                     trp_log_u64("queued", trp_ws_conn_queue_bytes(&conn->ws)));
    }
    trp_relay_conn_expel(ctx, conn, "does not keep up");
}

void trp_relay_conn_send(struct troupe_ctx *ctx,
                         struct trp_relay_conn *conn,
                         const struct trp_text *text)
{
    TROUPE_ASSERT(!text->overflow);
    enum troupe_status status =
        trp_ws_conn_send_copy(ctx, &conn->ws, troupe_span(text->data, text->len), true);
    if (status != TROUPE_OK && status != TROUPE_ECLOSED) {
        give_up(ctx, conn);
    }
}

/* --- stored events --- */

struct replay {
    struct troupe_ctx *ctx;
    struct trp_relay_conn *conn;
    struct trp_relay_sub *sub;
    enum troupe_status status;
};

/* A replay fills half of the queue, the other half is for live events. */
static bool has_room(const struct trp_relay_conn *conn)
{
    const struct trp_stream *stream = &conn->ws.stream;
    return stream->queue_entries < stream->limits->queue_entries_max / 2 &&
           stream->queue_bytes < stream->limits->queue_bytes_max / 2;
}

static bool send_found(void *arg, struct troupe_buf *packet)
{
    struct replay *replay = arg;
    replay->status = send_event(replay->ctx, replay->conn, replay->sub, packet);
    if (replay->status != TROUPE_OK) {
        return false;
    }
    trp_relay_count(&replay->conn->shard->stats.replayed, 1);
    return has_room(replay->conn);
}

static void
send_eose(struct troupe_ctx *ctx, struct trp_relay_conn *conn, const struct trp_relay_sub *sub)
{
    char data[TRP_RELAY_PREFIX_MAX];
    struct trp_text text = trp_text_init(data, sizeof(data));
    trp_nostr_wire_write_eose(&text, sub->id);
    trp_relay_conn_send(ctx, conn, &text);
}

static void schedule_step(struct troupe_ctx *ctx, struct trp_relay_conn *conn)
{
    if (conn->is_step_pending) {
        return;
    }
    conn->is_step_pending = true;
    if (troupe_send_copy(ctx, conn->ref, TRP_RELAY_MSG_STEP, NULL, 0) != TROUPE_OK) {
        troupe_timer_start(ctx, &conn->step, 0, 0, TRP_RELAY_MSG_STEP);
    }
}

static struct trp_relay_sub *find_replaying(const struct trp_relay_conn *conn)
{
    struct trp_relay_sub *sub = conn->subs;
    while (sub != NULL && !sub->is_replaying) {
        sub = sub->next;
    }
    return sub;
}

/* Sends stored events as far as the turn and the queue allow. */
static void continue_replays(struct troupe_ctx *ctx, struct trp_relay_conn *conn)
{
    uint32_t budget = STEP_BUDGET;
    struct trp_relay_sub *sub = find_replaying(conn);
    while (sub != NULL && trp_ws_conn_is_open(&conn->ws)) {
        if (!has_room(conn)) {
            return; /* drained_cb goes on */
        }
        struct replay replay = {ctx, conn, sub, TROUPE_OK};
        trp_relay_query_run(conn->shard->store, &sub->query, &budget, send_found, &replay);
        if (replay.status != TROUPE_OK) {
            give_up(ctx, conn);
            return;
        }
        if (sub->query.is_done) {
            sub->is_replaying = false;
            conn->replay_count--;
            send_eose(ctx, conn, sub);
        } else if (budget == 0) {
            schedule_step(ctx, conn);
            return;
        }
        sub = find_replaying(conn);
    }
}

/* --- subscriptions --- */

struct trp_relay_sub *trp_relay_conn_find(struct trp_relay_conn *conn, struct troupe_span id)
{
    struct trp_relay_sub *sub = conn->subs;
    while (sub != NULL && !troupe_span_equal(sub->id, id)) {
        sub = sub->next;
    }
    return sub;
}

void trp_relay_conn_close_sub(struct trp_relay_conn *conn, struct trp_relay_sub *sub)
{
    struct trp_relay_sub **link = &conn->subs;
    while (*link != sub) {
        TROUPE_ASSERT(*link != NULL);
        link = &(*link)->next;
    }
    *link = sub->next;
    conn->sub_count--;
    conn->sub_bytes -= sub->memory->capacity;
    conn->replay_count -= sub->is_replaying ? 1 : 0;
    trp_relay_count(&conn->shard->stats.subscriptions, (uint64_t)-1);
    trp_relay_subs_remove(conn->shard->subs, sub);
    trp_relay_sub_free(sub);
}

void trp_relay_conn_open_sub(struct troupe_ctx *ctx,
                             struct trp_relay_conn *conn,
                             struct trp_relay_sub *sub)
{
    struct trp_relay_shard *shard = conn->shard;
    sub->owner = conn;
    sub->serial = ++shard->last_serial;
    sub->next = conn->subs;
    conn->subs = sub;
    conn->sub_count++;
    conn->sub_bytes += sub->memory->capacity;
    trp_relay_count(&shard->stats.subscriptions, 1);
    trp_relay_subs_add(shard->subs, sub);
    trp_relay_query_begin(shard->store, &sub->query, sub->filters, sub->filter_count,
                          trp_relay_sub_remaining(sub), shard->relay->config.limit_max);
    sub->is_replaying = true;
    conn->replay_count++;
    /* an earlier one that waits for its turn or for room goes first */
    if (!conn->is_step_pending) {
        continue_replays(ctx, conn);
    }
}

static void on_deliver(struct troupe_ctx *ctx, struct trp_relay_conn *conn, struct troupe_msg *msg)
{
    const struct trp_relay_deliver *deliver = troupe_msg_data(msg);
    struct trp_relay_sub *sub = conn->subs;
    while (sub != NULL && sub->serial != deliver->serial) {
        sub = sub->next;
    }
    if (sub == NULL) {
        return; /* closed since */
    }
    enum troupe_status status = send_event(ctx, conn, sub, deliver->packet);
    if (status == TROUPE_OK) {
        trp_relay_count(&conn->shard->stats.delivered, 1);
        if (conn->replay_count > 0 && has_room(conn)) {
            schedule_step(ctx, conn); /* under steady traffic the queue may never be empty */
        }
    } else if (status != TROUPE_ECLOSED) {
        give_up(ctx, conn);
    }
}

/* --- callbacks of the WebSocket --- */

static void on_request(struct troupe_ctx *ctx,
                       void *owner,
                       struct trp_ws_conn *ws,
                       const struct trp_ws_request *request,
                       struct trp_ws_reply *reply)
{
    static const struct trp_http1_header headers[] = {
        {{"Content-Type", 12}, {"application/nostr+json", 22}},
        {{"Access-Control-Allow-Origin", 27}, {"*", 1}},
        {{"Access-Control-Allow-Headers", 28}, {"*", 1}},
        {{"Access-Control-Allow-Methods", 28}, {"GET, HEAD", 9}},
    };
    const struct trp_relay_conn *conn = owner;
    const struct trp_relay *relay = conn->shard->relay;
    (void)ws;
    if (request->is_upgrade || !trp_http1_accepts(request->head, "application/nostr+json")) {
        return;
    }
    reply->body = troupe_buf_new(ctx, (uint32_t)relay->info_len);
    if (reply->body == NULL) {
        reply->status = 503;
        return;
    }
    memcpy(reply->body->data, relay->info, relay->info_len);
    reply->body->size = (uint32_t)relay->info_len;
    reply->status = 200;
    reply->headers = headers;
    reply->header_count = sizeof(headers) / sizeof(headers[0]);
}

static void on_message(struct troupe_ctx *ctx,
                       void *owner,
                       struct trp_ws_conn *ws,
                       struct troupe_span payload,
                       bool is_text)
{
    struct trp_relay_conn *conn = owner;
    (void)ws;
    if (is_text) {
        trp_relay_command(ctx, conn, payload);
    } else {
        trp_relay_complain(ctx, conn, "only text messages are understood here");
    }
}

static void
on_close(struct troupe_ctx *ctx, void *owner, struct trp_ws_conn *ws, const struct trp_ws_end *end)
{
    struct trp_relay_conn *conn = owner;
    (void)ctx;
    (void)ws;
    (void)end;
    drop_subs(conn);
    conn->is_gone = true;
}

static void on_drained(struct troupe_ctx *ctx, void *owner, struct trp_ws_conn *ws)
{
    struct trp_relay_conn *conn = owner;
    (void)ws;
    if (!conn->is_step_pending) {
        continue_replays(ctx, conn);
    }
}

void trp_relay_ws_callbacks(struct trp_ws_callbacks *callbacks)
{
    callbacks->request_cb = on_request;
    callbacks->message_cb = on_message;
    callbacks->close_cb = on_close;
    callbacks->drained_cb = on_drained;
}

/* --- the actor --- */

static enum troupe_status start(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct trp_relay_conn *conn = state;
    const struct trp_accept *accept = arg;
    struct trp_relay_shard *shard = accept->user;
    struct trp_relay *relay = shard->relay;
    if (!shard->is_open) {
        return TROUPE_ECLOSED;
    }
    /* relaxed count, partner: end; the bound holds exactly because add and look are one step */
    if (trp_faa_u32(&relay->connections, 1) >= relay->config.connections_max) {
        (void)trp_faa_u32(&relay->connections, (uint32_t)-1);
        trp_relay_count(&shard->stats.refused, 1);
        return TROUPE_EBUSY;
    }
    conn->shard = shard;
    conn->ref = troupe_self(ctx);
    conn->next = shard->conns;
    conn->pprev = &shard->conns;
    if (conn->next != NULL) {
        conn->next->pprev = &conn->next;
    }
    shard->conns = conn;
    trp_relay_count(&shard->stats.connections, 1);
    trp_relay_count(&shard->stats.connected, 1);
    trp_ws_conn_serve(ctx, &conn->ws, trp_accept_take(accept), &relay->ws_config, conn);
    return TROUPE_OK;
}

static void on_note(struct troupe_ctx *ctx, struct trp_relay_conn *conn)
{
    if (conn->is_overrun) {
        give_up(ctx, conn);
        return;
    }
    drop_subs(conn);
    trp_ws_conn_close(ctx, &conn->ws, TRP_WS_CODE_GOING_AWAY,
                      troupe_span_cstr("the relay is stopping"));
}

static enum troupe_verdict receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct trp_relay_conn *conn = state;
    if (trp_ws_conn_receive(ctx, &conn->ws, msg)) {
        return conn->is_gone ? TROUPE_STOP : TROUPE_CONTINUE;
    }
    if (msg == &conn->note) {
        on_note(ctx, conn);
    } else if (msg->type == TRP_RELAY_MSG_DELIVER) {
        on_deliver(ctx, conn, msg);
    } else if (msg->type == TRP_RELAY_MSG_STEP) {
        conn->is_step_pending = false;
        continue_replays(ctx, conn);
    }
    trp_ws_conn_flush(ctx, &conn->ws);
    return TROUPE_CONTINUE;
}

static void end(struct troupe_ctx *ctx, void *state, enum troupe_down_reason reason)
{
    struct trp_relay_conn *conn = state;
    (void)reason;
    if (conn->shard == NULL) {
        return; /* refused in start */
    }
    drop_subs(conn);
    *conn->pprev = conn->next;
    if (conn->next != NULL) {
        conn->next->pprev = conn->pprev;
    }
    trp_relay_count(&conn->shard->stats.connections, (uint64_t)-1);
    (void)trp_faa_u32(&conn->shard->relay->connections, (uint32_t)-1);
    trp_ws_conn_fini(ctx, &conn->ws);
}

const struct troupe_actor_type trp_relay_connection_type = {
    .name = "relay-connection",
    .state_size = sizeof(struct trp_relay_conn),
    .data_count_max = 8192,
    .data_bytes_max = 32u << 20,
    .init_cb = start,
    .receive_cb = receive,
    .terminate_cb = end,
};
