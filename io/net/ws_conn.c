#include "io/net/ws_conn.h"

#include "io/net/ws_parts.h"

#include <troupe/assert.h>

/* Input kept back before reading is paused, and before the connection is given up. */
#define BACKLOG_PAUSE (64u << 10)
#define BACKLOG_MAX   (4u << 20)
#define BACKLOG_MIN   4096u

void trp_ws_config_default(struct trp_ws_config *config)
{
    const uint64_t second_ns = 1000000000u;
    memset(config, 0, sizeof(*config));
    config->stream.queue_bytes_max = 4u << 20;
    config->stream.queue_entries_max = 1024;
    config->stream.linger_ns = 2 * second_ns;
    config->message_max = 1u << 20;
    config->fragments_max = 1024;
    config->turn_frames_max = 256;
    config->head_max = 8192;
    config->handshake_ns = 10 * second_ns;
    config->close_ns = 5 * second_ns;
    config->ping_after_ns = 30 * second_ns;
    config->dead_after_ns = 75 * second_ns;
}

void trp_ws_set_state(struct trp_ws_conn *ws, enum trp_ws_conn_state to)
{
    static const uint8_t allowed[TRP_WS_CONN_STATES] = {
        [TRP_WS_CONN_IDLE] =
            1u << TRP_WS_CONN_LOOKUP | 1u << TRP_WS_CONN_CONNECTING | 1u << TRP_WS_CONN_HANDSHAKE,
        [TRP_WS_CONN_LOOKUP] = 1u << TRP_WS_CONN_CONNECTING | 1u << TRP_WS_CONN_ENDING,
        [TRP_WS_CONN_CONNECTING] =
            1u << TRP_WS_CONN_HANDSHAKE | 1u << TRP_WS_CONN_ENDING | 1u << TRP_WS_CONN_IDLE,
        [TRP_WS_CONN_HANDSHAKE] =
            1u << TRP_WS_CONN_OPEN | 1u << TRP_WS_CONN_ENDING | 1u << TRP_WS_CONN_IDLE,
        [TRP_WS_CONN_OPEN] =
            1u << TRP_WS_CONN_CLOSING | 1u << TRP_WS_CONN_ENDING | 1u << TRP_WS_CONN_IDLE,
        [TRP_WS_CONN_CLOSING] = 1u << TRP_WS_CONN_ENDING | 1u << TRP_WS_CONN_IDLE,
        [TRP_WS_CONN_ENDING] = 1u << TRP_WS_CONN_IDLE,
    };
    TROUPE_ASSERT(ws->state < TRP_WS_CONN_STATES);
    TROUPE_ASSERT((allowed[ws->state] & 1u << to) != 0);
    ws->state = (uint8_t)to;
}

void trp_ws_release(struct troupe_buf **buf)
{
    troupe_buf_release(*buf);
    *buf = NULL;
}

void trp_ws_set_end(struct trp_ws_conn *ws,
                    uint16_t code,
                    const char *text,
                    enum troupe_status status)
{
    if (!ws->is_end_known) {
        ws->is_end_known = true;
        ws->end_code = code;
        ws->end_text = text;
        ws->end_status = (int8_t)status;
    }
}

void trp_ws_begin(struct trp_ws_conn *ws,
                  enum trp_ws_role role,
                  const struct trp_ws_config *config,
                  void *owner)
{
    TROUPE_ASSERT(ws->state == TRP_WS_CONN_IDLE);
    TROUPE_ASSERT(config->head_max > 0);
    TROUPE_ASSERT(config->head_max <= TRP_HTTP1_HEAD_MAX);
    TROUPE_ASSERT(config->turn_frames_max > 0);
    TROUPE_ASSERT(config->message_max <= TROUPE_BUF_MAX);
    TROUPE_ASSERT(ws->storage == NULL);
    TROUPE_ASSERT(ws->backlog == NULL);
    ws->config = config;
    ws->owner = owner;
    ws->role = (uint8_t)role;
    ws->backlog_at = 0;
    ws->lookup = 0;
    ws->end_text = NULL;
    ws->end_code = TRP_WS_CODE_ABNORMAL;
    ws->end_status = TROUPE_OK;
    ws->end_http_status = 0;
    ws->is_end_known = false;
    ws->is_paused = false;
    ws->is_ping_sent = false;
    ws->is_peer_ended = false;
}

void trp_ws_set_deadline(struct troupe_ctx *ctx, struct trp_ws_conn *ws, uint64_t after_ns)
{
    ws->deadline_ns = troupe_now(ctx) + after_ns;
    troupe_timer_start(ctx, &ws->timer, after_ns, 0, TRP_MSG_NET_TIMER);
}

void trp_ws_conn_serve(struct troupe_ctx *ctx,
                       struct trp_ws_conn *ws,
                       int fd,
                       const struct trp_ws_config *config,
                       void *owner)
{
    trp_ws_begin(ws, TRP_WS_SERVER, config, owner);
    trp_ws_set_state(ws, TRP_WS_CONN_HANDSHAKE);
    trp_http1_init(&ws->http, TRP_HTTP1_REQUEST);
    trp_stream_open(ctx, &ws->stream, fd, fd, &config->stream);
    trp_stream_resume(ctx, &ws->stream);
    trp_ws_set_deadline(ctx, ws, config->handshake_ns);
}

/* --- the end --- */

static void release_all(struct troupe_ctx *ctx, struct trp_ws_conn *ws)
{
    troupe_timer_cancel(ctx, &ws->timer);
    trp_ws_release(&ws->storage);
    trp_ws_release(&ws->backlog);
    trp_ws_dial_free(ws);
    ws->backlog_at = 0;
    ws->lookup = 0;
}

/* The stream is gone, or never was. The last thing that happens in a turn. */
static void finalize(struct troupe_ctx *ctx, struct trp_ws_conn *ws)
{
    TROUPE_ASSERT(trp_stream_state(&ws->stream) == TRP_STREAM_IDLE);
    release_all(ctx, ws);
    trp_ws_set_state(ws, TRP_WS_CONN_IDLE);
    struct troupe_buf *reason = ws->end_reason;
    ws->end_reason = NULL;
    struct trp_ws_end end = {
        .code = ws->end_code,
        .status = (enum troupe_status)ws->end_status,
        .http_status = ws->end_http_status,
    };
    if (reason != NULL) {
        end.reason = troupe_buf_span(reason);
    } else if (ws->end_text != NULL) {
        end.reason = troupe_span_cstr(ws->end_text);
    }
    ws->config->callbacks.close_cb(ctx, ws->owner, ws, &end);
    troupe_buf_release(reason);
}

static void enter_ending(struct troupe_ctx *ctx, struct trp_ws_conn *ws)
{
    if (ws->state != TRP_WS_CONN_ENDING) {
        trp_ws_set_state(ws, TRP_WS_CONN_ENDING);
        troupe_timer_cancel(ctx, &ws->timer);
        ws->is_paused = false;
        trp_stream_resume(ctx, &ws->stream); /* to see the peer's end; a no-op unless open */
    }
}

void trp_ws_end_orderly(struct troupe_ctx *ctx, struct trp_ws_conn *ws)
{
    enter_ending(ctx, ws);
    trp_stream_close(ctx, &ws->stream);
}

void trp_ws_end_now(struct troupe_ctx *ctx, struct trp_ws_conn *ws)
{
    enter_ending(ctx, ws);
    if (trp_stream_state(&ws->stream) == TRP_STREAM_IDLE) {
        /* close_cb must not come from inside the caller */
        trp_ws_set_deadline(ctx, ws, 0);
    } else {
        trp_stream_abort(ctx, &ws->stream, TROUPE_ECANCELED);
    }
}

/* --- sending --- */

/* The payload in a buffer of its own, for frames that are too large for a queue entry. */
static struct troupe_buf *
copy_payload(struct troupe_ctx *ctx, struct troupe_span payload, const uint8_t *key)
{
    struct troupe_buf *buf = troupe_buf_new(ctx, (uint32_t)payload.len);
    if (buf != NULL) {
        buf->size = (uint32_t)payload.len;
        memcpy(buf->data, payload.data, payload.len);
        if (key != NULL) {
            trp_ws_mask(buf->data, payload.len, key, 0);
        }
    }
    return buf;
}

/* Queues a frame with a copy of the payload, masked in the client role. */
static enum troupe_status send_frame(struct troupe_ctx *ctx,
                                     struct trp_ws_conn *ws,
                                     enum trp_ws_opcode opcode,
                                     struct troupe_span payload)
{
    uint8_t mask[4];
    uint8_t frame[TRP_STREAM_COPY_MAX];
    const uint8_t *key = ws->role == TRP_WS_CLIENT ? mask : NULL;
    if (payload.len > TROUPE_BUF_MAX) {
        return TROUPE_ETOOLARGE;
    }
    if (key != NULL && !trp_ws_random(mask, sizeof(mask))) {
        return TROUPE_EIO;
    }
    uint32_t len = (uint32_t)trp_ws_header_write(frame, opcode, true, payload.len, key);
    if (len + payload.len > sizeof(frame)) {
        struct troupe_buf *buf = copy_payload(ctx, payload, key);
        if (buf == NULL) {
            return TROUPE_ENOMEM;
        }
        enum troupe_status status = trp_stream_write_framed(ctx, &ws->stream, frame, len, buf);
        troupe_buf_release(buf);
        return status;
    }
    if (payload.len > 0) {
        memcpy(frame + len, payload.data, payload.len);
        if (key != NULL) {
            trp_ws_mask(frame + len, payload.len, key, 0);
        }
        len += (uint32_t)payload.len;
    }
    /* only the close may go beyond the bound: pings and pongs are worth nothing in a full queue */
    return opcode == TRP_WS_OP_CLOSE ? trp_stream_write_control(ctx, &ws->stream, frame, len)
                                     : trp_stream_write_copy(ctx, &ws->stream, frame, len);
}

static enum troupe_status
send_close(struct troupe_ctx *ctx, struct trp_ws_conn *ws, uint16_t code, struct troupe_span reason)
{
    uint8_t payload[TRP_WS_CONTROL_MAX];
    size_t len = trp_ws_close_write(payload, code, reason);
    return send_frame(ctx, ws, TRP_WS_OP_CLOSE, troupe_span(payload, len));
}

enum troupe_status
trp_ws_conn_send(struct troupe_ctx *ctx, struct trp_ws_conn *ws, struct troupe_buf *buf)
{
    if (ws->state != TRP_WS_CONN_OPEN) {
        return TROUPE_ECLOSED;
    }
    if (ws->role == TRP_WS_CLIENT) {
        return send_frame(ctx, ws, TRP_WS_OP_TEXT, troupe_buf_span(buf));
    }
    uint8_t header[TRP_WS_HEADER_MAX];
    size_t len = trp_ws_header_write(header, TRP_WS_OP_TEXT, true, buf->size, NULL);
    return trp_stream_write_framed(ctx, &ws->stream, header, (uint32_t)len, buf);
}

enum troupe_status trp_ws_conn_send_copy(struct troupe_ctx *ctx,
                                         struct trp_ws_conn *ws,
                                         struct troupe_span payload,
                                         bool is_text)
{
    if (ws->state != TRP_WS_CONN_OPEN) {
        return TROUPE_ECLOSED;
    }
    return send_frame(ctx, ws, is_text ? TRP_WS_OP_TEXT : TRP_WS_OP_BINARY, payload);
}

void trp_ws_conn_flush(struct troupe_ctx *ctx, struct trp_ws_conn *ws)
{
    trp_stream_flush(ctx, &ws->stream);
}

/* --- keepalive --- */

static uint64_t silence_ns(const struct troupe_ctx *ctx, const struct trp_ws_conn *ws)
{
    uint64_t now_ns = troupe_now(ctx);
    return now_ns > ws->heard_ns ? now_ns - ws->heard_ns : 0;
}

/* Arms the timer for the next thing that silence would lead to. */
static void arm_keepalive(struct troupe_ctx *ctx, struct trp_ws_conn *ws)
{
    const struct trp_ws_config *config = ws->config;
    uint64_t silent_ns = silence_ns(ctx, ws);
    uint64_t after_ns = UINT64_MAX;
    if (config->ping_after_ns != 0) {
        /* with a ping under way: look again when the next one could be due */
        uint64_t due_ns =
            ws->is_ping_sent ? silent_ns + config->ping_after_ns : config->ping_after_ns;
        after_ns = due_ns > silent_ns ? due_ns - silent_ns : 0;
    }
    if (config->dead_after_ns != 0) {
        uint64_t left_ns =
            config->dead_after_ns > silent_ns ? config->dead_after_ns - silent_ns : 0;
        after_ns = left_ns < after_ns ? left_ns : after_ns;
    }
    if (after_ns != UINT64_MAX) {
        troupe_timer_start(ctx, &ws->timer, after_ns, 0, TRP_MSG_NET_TIMER);
    }
}

static void check_silence(struct troupe_ctx *ctx, struct trp_ws_conn *ws)
{
    const struct trp_ws_config *config = ws->config;
    if (ws->is_paused || ws->backlog != NULL) {
        ws->heard_ns = troupe_now(ctx); /* we are the ones who do not listen */
    }
    uint64_t silent_ns = silence_ns(ctx, ws);
    if (config->dead_after_ns != 0 && silent_ns >= config->dead_after_ns) {
        trp_ws_set_end(ws, TRP_WS_CODE_ABNORMAL, "nothing heard for too long", TROUPE_EEXPIRED);
        trp_ws_end_now(ctx, ws);
        return;
    }
    if (config->ping_after_ns != 0 && silent_ns >= config->ping_after_ns && !ws->is_ping_sent) {
        ws->is_ping_sent = true;
        /* a full queue says as much about the peer as a lost ping */
        (void)!send_frame(ctx, ws, TRP_WS_OP_PING, troupe_span(NULL, 0));
    }
    arm_keepalive(ctx, ws);
}

/* Storage for the decoder; runs inside trp_ws_decode. */
static void *grow(void *arg, size_t used, size_t size)
{
    struct trp_ws_conn *ws = arg;
    TROUPE_ASSERT(ws->ctx != NULL);
    TROUPE_ASSERT(size <= ws->config->message_max);
    struct troupe_buf *buf = troupe_buf_new(ws->ctx, (uint32_t)size);
    if (buf == NULL) {
        return NULL;
    }
    if (used > 0) {
        TROUPE_ASSERT(ws->storage != NULL);
        memcpy(buf->data, ws->storage->data, used);
    }
    troupe_buf_release(ws->storage);
    ws->storage = buf;
    return buf->data;
}

void trp_ws_opened(struct troupe_ctx *ctx, struct trp_ws_conn *ws)
{
    struct trp_ws_limits limits = {ws->config->message_max, ws->config->fragments_max};
    struct trp_ws_storage storage = {grow, ws};
    trp_ws_set_state(ws, TRP_WS_CONN_OPEN);
    trp_ws_dial_free(ws);
    trp_ws_decoder_init(&ws->decoder, (enum trp_ws_role)ws->role, limits, storage);
    ws->heard_ns = troupe_now(ctx);
    ws->is_ping_sent = false;
    troupe_timer_cancel(ctx, &ws->timer);
    arm_keepalive(ctx, ws);
    if (ws->config->callbacks.open_cb != NULL) {
        ws->config->callbacks.open_cb(ctx, ws->owner, ws);
    }
}

/* --- input --- */

static bool wants_input(const struct trp_ws_conn *ws)
{
    return ws->state == TRP_WS_CONN_HANDSHAKE || ws->state == TRP_WS_CONN_CLOSING ||
           (ws->state == TRP_WS_CONN_OPEN && !ws->is_paused);
}

static void
on_peer_close(struct troupe_ctx *ctx, struct trp_ws_conn *ws, const struct trp_ws_event *event)
{
    if (!ws->is_end_known && event->payload.len > 0) {
        /* without memory the reason is lost, the code is not */
        ws->end_reason = troupe_buf_new(ctx, (uint32_t)event->payload.len);
        if (ws->end_reason != NULL) {
            memcpy(ws->end_reason->data, event->payload.data, event->payload.len);
            ws->end_reason->size = (uint32_t)event->payload.len;
        }
    }
    trp_ws_set_end(ws, event->code, NULL, TROUPE_OK);
    if (ws->state == TRP_WS_CONN_OPEN) {
        (void)!send_close(ctx, ws, event->code, troupe_span(NULL, 0));
    }
    if (ws->role == TRP_WS_SERVER) {
        trp_ws_end_orderly(ctx, ws);
        return;
    }
    /* the server ends the TCP connection first, so that the waiting state stays with it */
    enter_ending(ctx, ws);
    trp_ws_set_deadline(ctx, ws, ws->config->close_ns);
}

static void
on_peer_error(struct troupe_ctx *ctx, struct trp_ws_conn *ws, const struct trp_ws_event *event)
{
    enum troupe_status status = event->code == TRP_WS_CODE_TOO_BIG    ? TROUPE_ETOOLARGE
                                : event->code == TRP_WS_CODE_INTERNAL ? TROUPE_ENOMEM
                                                                      : TROUPE_EPROTO;
    trp_ws_set_end(ws, event->code, event->error, status);
    if (ws->state == TRP_WS_CONN_OPEN) {
        (void)!send_close(ctx, ws, event->code, troupe_span_cstr(event->error));
    }
    trp_ws_end_orderly(ctx, ws);
}

static void
on_decoded(struct troupe_ctx *ctx, struct trp_ws_conn *ws, const struct trp_ws_event *event)
{
    switch (event->kind) {
    case TRP_WS_NEED_MORE:
    case TRP_WS_PONG:
        break;
    case TRP_WS_MESSAGE:
        if (ws->state == TRP_WS_CONN_OPEN) {
            ws->config->callbacks.message_cb(ctx, ws->owner, ws, event->payload, event->is_text);
        }
        if (event->is_assembled) {
            trp_ws_release(&ws->storage);
        }
        break;
    case TRP_WS_PING:
        if (ws->state == TRP_WS_CONN_OPEN) {
            (void)!send_frame(ctx, ws, TRP_WS_OP_PONG, event->payload);
        }
        break;
    case TRP_WS_CLOSE:
        on_peer_close(ctx, ws, event);
        break;
    case TRP_WS_ERROR:
        on_peer_error(ctx, ws, event);
        break;
    }
}

/*
 * Reads input as far as the turn and the owner allow; returns how much is done with. Input of a
 * connection that is ending is dropped.
 */
static size_t process(struct troupe_ctx *ctx, struct trp_ws_conn *ws, uint8_t *data, size_t len)
{
    size_t at = 0;
    uint32_t left = ws->config->turn_frames_max;
    ws->ctx = ctx;
    while (at < len && wants_input(ws) && left > 0) {
        if (ws->state == TRP_WS_CONN_HANDSHAKE) {
            at += trp_ws_upgrade_feed(ctx, ws, data + at, len - at);
            continue;
        }
        struct trp_ws_event event;
        size_t consumed = 0;
        trp_ws_decode(&ws->decoder, &event, &consumed, data + at, len - at);
        TROUPE_ASSERT(consumed <= len - at);
        at += consumed;
        on_decoded(ctx, ws, &event);
        left--;
    }
    ws->ctx = NULL;
    return ws->state == TRP_WS_CONN_ENDING ? len : at;
}

/* The rest of the input is looked at in a turn of its own. */
static void schedule_continue(struct troupe_ctx *ctx, struct trp_ws_conn *ws)
{
    if (ws->is_continuing || !wants_input(ws)) {
        return;
    }
    const void *payload = ws;
    if (troupe_send_copy(ctx, troupe_self(ctx), TRP_MSG_NET_CONTINUE, &payload, sizeof(payload)) ==
        TROUPE_OK) {
        ws->is_continuing = true;
    } else {
        /* own mailbox full: by timer, which is armed anew for its own purpose afterwards */
        troupe_timer_start(ctx, &ws->timer, 0, 0, TRP_MSG_NET_TIMER);
    }
}

/* Appends to the backlog; false when it would be too large or there is no memory. */
static bool keep(struct troupe_ctx *ctx, struct trp_ws_conn *ws, const uint8_t *data, size_t len)
{
    struct troupe_buf *old = ws->backlog;
    size_t kept = old != NULL ? old->size - ws->backlog_at : 0;
    if (old == NULL || len > old->capacity - old->size) {
        size_t capacity = 2 * (kept + len);
        capacity = capacity < BACKLOG_MIN ? BACKLOG_MIN : capacity;
        if (kept + len > BACKLOG_MAX) {
            return false;
        }
        struct troupe_buf *buf = troupe_buf_new(ctx, (uint32_t)capacity);
        if (buf == NULL) {
            return false;
        }
        if (kept > 0) {
            memcpy(buf->data, old->data + ws->backlog_at, kept);
        }
        buf->size = (uint32_t)kept;
        ws->backlog_at = 0;
        ws->backlog = buf;
        troupe_buf_release(old);
    }
    memcpy(ws->backlog->data + ws->backlog->size, data, len);
    ws->backlog->size += (uint32_t)len;
    if (kept + len >= BACKLOG_PAUSE) {
        trp_stream_pause(ctx, &ws->stream);
    }
    return true;
}

/* The peer sends nothing more. */
static void on_peer_end(struct troupe_ctx *ctx, struct trp_ws_conn *ws)
{
    if (ws->backlog != NULL && ws->state != TRP_WS_CONN_ENDING) {
        /* what came before the end counts first; the end is seen again when it is used up */
        ws->is_peer_ended = true;
        schedule_continue(ctx, ws);
        return;
    }
    trp_ws_set_end(ws, TRP_WS_CODE_ABNORMAL, "connection was closed without a closing handshake",
                   TROUPE_ECLOSED);
    trp_ws_end_orderly(ctx, ws);
}

static void on_backlog(struct troupe_ctx *ctx, struct trp_ws_conn *ws)
{
    struct troupe_buf *backlog = ws->backlog;
    if (backlog == NULL) {
        return;
    }
    ws->backlog_at +=
        (uint32_t)process(ctx, ws, backlog->data + ws->backlog_at, backlog->size - ws->backlog_at);
    TROUPE_ASSERT(ws->backlog == backlog);
    if (ws->backlog_at < backlog->size) {
        schedule_continue(ctx, ws);
        return;
    }
    trp_ws_release(&ws->backlog);
    ws->backlog_at = 0;
    if (ws->is_peer_ended) {
        on_peer_end(ctx, ws);
    } else if (!ws->is_paused) {
        trp_stream_resume(ctx, &ws->stream);
    }
}

static void on_data(struct troupe_ctx *ctx, struct trp_ws_conn *ws, uint8_t *data, uint32_t len)
{
    ws->heard_ns = troupe_now(ctx);
    ws->is_ping_sent = false;
    size_t done = ws->state == TRP_WS_CONN_ENDING ? len : 0;
    if (ws->backlog == NULL && done == 0) {
        done = process(ctx, ws, data, len);
    }
    if (done == len) {
        return;
    }
    if (!keep(ctx, ws, data + done, len - done)) {
        trp_ws_set_end(ws, TRP_WS_CODE_ABNORMAL, "no memory for input", TROUPE_ENOMEM);
        trp_ws_end_now(ctx, ws);
        return;
    }
    schedule_continue(ctx, ws);
}

static void on_timer(struct troupe_ctx *ctx, struct trp_ws_conn *ws)
{
    uint64_t now_ns = troupe_now(ctx);
    if (ws->state != TRP_WS_CONN_OPEN && now_ns < ws->deadline_ns) {
        troupe_timer_start(ctx, &ws->timer, ws->deadline_ns - now_ns, 0, TRP_MSG_NET_TIMER);
        on_backlog(ctx, ws);
        return;
    }
    switch (trp_ws_conn_state(ws)) {
    case TRP_WS_CONN_LOOKUP:
    case TRP_WS_CONN_CONNECTING:
    case TRP_WS_CONN_HANDSHAKE:
        trp_ws_set_end(ws, TRP_WS_CODE_ABNORMAL, "opening handshake took too long",
                       TROUPE_EEXPIRED);
        trp_ws_end_now(ctx, ws);
        break;
    case TRP_WS_CONN_OPEN:
        check_silence(ctx, ws);
        if (ws->state == TRP_WS_CONN_OPEN && wants_input(ws) && !ws->is_continuing) {
            on_backlog(ctx, ws);
        }
        break;
    case TRP_WS_CONN_CLOSING:
        trp_ws_set_end(ws, TRP_WS_CODE_ABNORMAL, "close frame was not answered", TROUPE_EEXPIRED);
        trp_ws_end_now(ctx, ws);
        break;
    case TRP_WS_CONN_ENDING:
        if (trp_stream_state(&ws->stream) == TRP_STREAM_IDLE) {
            finalize(ctx, ws);
        } else {
            trp_stream_close(ctx, &ws->stream);
        }
        break;
    case TRP_WS_CONN_IDLE:
    case TRP_WS_CONN_STATES:
        TROUPE_ASSERT(false);
    }
}

/* The stream is closed. */
static void
on_stream_closed(struct troupe_ctx *ctx, struct trp_ws_conn *ws, enum troupe_status status)
{
    if (ws->state == TRP_WS_CONN_CONNECTING && trp_ws_dial_next(ctx, ws)) {
        return;
    }
    const char *text =
        ws->state == TRP_WS_CONN_CONNECTING ? "connecting failed" : "connection failed";
    trp_ws_set_end(ws, TRP_WS_CODE_ABNORMAL, text, status == TROUPE_OK ? TROUPE_ECLOSED : status);
    finalize(ctx, ws);
}

static void on_stream_event(struct troupe_ctx *ctx,
                            struct trp_ws_conn *ws,
                            const struct trp_stream_event *event)
{
    switch (event->kind) {
    case TRP_STREAM_NONE:
        break;
    case TRP_STREAM_CONNECTED:
        if (ws->state == TRP_WS_CONN_CONNECTING) {
            trp_ws_set_state(ws, TRP_WS_CONN_HANDSHAKE);
            trp_ws_upgrade_start(ctx, ws);
        }
        break;
    case TRP_STREAM_DATA:
        on_data(ctx, ws, event->data, event->len);
        break;
    case TRP_STREAM_END:
        on_peer_end(ctx, ws);
        break;
    case TRP_STREAM_DRAINED:
        if (ws->state == TRP_WS_CONN_OPEN && ws->config->callbacks.drained_cb != NULL) {
            ws->config->callbacks.drained_cb(ctx, ws->owner, ws);
        }
        break;
    case TRP_STREAM_CLOSED:
        on_stream_closed(ctx, ws, event->status);
        break;
    }
}

bool trp_ws_conn_receive(struct troupe_ctx *ctx, struct trp_ws_conn *ws, struct troupe_msg *msg)
{
    struct trp_stream_event event;
    if (msg == &ws->timer.msg) {
        on_timer(ctx, ws);
    } else if (msg->type == TRP_MSG_NET_CONTINUE && msg->size == sizeof(void *)) {
        if (*(void *const *)troupe_msg_data(msg) != ws) {
            return false;
        }
        ws->is_continuing = false;
        on_backlog(ctx, ws);
    } else if (trp_ws_dial_receive(ctx, ws, msg)) {
        return true;
    } else if (trp_stream_receive(ctx, &ws->stream, msg, &event)) {
        on_stream_event(ctx, ws, &event);
    } else {
        return false;
    }
    trp_stream_flush(ctx, &ws->stream);
    return true;
}

/* --- the owner's verbs --- */

void trp_ws_conn_close(struct troupe_ctx *ctx,
                       struct trp_ws_conn *ws,
                       uint16_t code,
                       struct troupe_span reason)
{
    if (ws->state == TRP_WS_CONN_IDLE || ws->state == TRP_WS_CONN_CLOSING ||
        ws->state == TRP_WS_CONN_ENDING) {
        return;
    }
    if (ws->state != TRP_WS_CONN_OPEN) {
        trp_ws_conn_abort(ctx, ws);
        return;
    }
    if (send_close(ctx, ws, code, reason) != TROUPE_OK) {
        trp_ws_set_end(ws, TRP_WS_CODE_ABNORMAL, "close frame could not be sent", TROUPE_ENOMEM);
        trp_ws_end_now(ctx, ws);
        return;
    }
    trp_ws_set_state(ws, TRP_WS_CONN_CLOSING);
    ws->is_paused = false;
    trp_ws_set_deadline(ctx, ws, ws->config->close_ns);
    if (ws->backlog != NULL) {
        schedule_continue(ctx, ws);
    } else {
        trp_stream_resume(ctx, &ws->stream);
    }
    trp_stream_flush(ctx, &ws->stream);
}

void trp_ws_conn_abort(struct troupe_ctx *ctx, struct trp_ws_conn *ws)
{
    if (ws->state != TRP_WS_CONN_IDLE) {
        trp_ws_set_end(ws, TRP_WS_CODE_ABNORMAL, NULL, TROUPE_ECANCELED);
        trp_ws_end_now(ctx, ws);
    }
}

void trp_ws_conn_pause(struct troupe_ctx *ctx, struct trp_ws_conn *ws)
{
    if (ws->state == TRP_WS_CONN_OPEN) {
        ws->is_paused = true;
        trp_stream_pause(ctx, &ws->stream);
    }
}

void trp_ws_conn_resume(struct troupe_ctx *ctx, struct trp_ws_conn *ws)
{
    if (ws->state != TRP_WS_CONN_OPEN || !ws->is_paused) {
        return;
    }
    ws->is_paused = false;
    ws->heard_ns = troupe_now(ctx);
    if (ws->backlog != NULL) {
        schedule_continue(ctx, ws);
    } else {
        trp_stream_resume(ctx, &ws->stream);
    }
}

void trp_ws_conn_fini(struct troupe_ctx *ctx, struct trp_ws_conn *ws)
{
    if (ws->state != TRP_WS_CONN_IDLE) {
        trp_stream_fini(ctx, &ws->stream);
        release_all(ctx, ws);
        trp_ws_release(&ws->end_reason);
        ws->state = TRP_WS_CONN_IDLE; /* from anywhere: the owner is going */
    }
}
