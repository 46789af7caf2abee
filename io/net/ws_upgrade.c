/* The opening handshake, both roles, and plain HTTP answers of the server. */

#include "io/net/ws_parts.h"

#include <troupe/assert.h>

#define ANSWER_MAX      512u  /* what trp_ws_handshake_answer needs */
#define REQUEST_MAX     4096u /* a URL of the longest kind and the fixed headers */
#define REPLY_HEADERS   8u
#define REPLY_HEAD_MAX  TRP_STREAM_PREFIX_MAX
#define LENGTH_TEXT_MAX 24u

/* --- client --- */

void trp_ws_upgrade_start(struct troupe_ctx *ctx, struct trp_ws_conn *ws)
{
    TROUPE_ASSERT(ws->state == TRP_WS_CONN_HANDSHAKE);
    TROUPE_ASSERT(ws->dial != NULL);
    enum troupe_status status = TROUPE_ENOMEM;
    struct troupe_buf *buf = troupe_buf_new(ctx, REQUEST_MAX);
    if (buf != NULL) {
        struct trp_text text = trp_text_init((char *)buf->data, REQUEST_MAX);
        bool is_fine = trp_ws_handshake_request(&text, &ws->dial->url, ws->dial->key, NULL, 0) &&
                       !text.overflow;
        buf->size = (uint32_t)text.len;
        status = is_fine ? trp_stream_write(ctx, &ws->stream, buf, 0, buf->size) : TROUPE_EINVAL;
        troupe_buf_release(buf);
    }
    if (status != TROUPE_OK) {
        trp_ws_set_end(ws, TRP_WS_CODE_ABNORMAL, "request could not be sent", status);
        trp_ws_end_now(ctx, ws);
        return;
    }
    trp_http1_init(&ws->http, TRP_HTTP1_RESPONSE);
    trp_stream_resume(ctx, &ws->stream);
}

static void
on_response(struct troupe_ctx *ctx, struct trp_ws_conn *ws, const struct trp_http1_head *head)
{
    const char *problem = trp_ws_handshake_check(head, ws->dial->key);
    if (problem != NULL) {
        ws->end_http_status = (uint16_t)head->status;
        trp_ws_set_end(ws, TRP_WS_CODE_ABNORMAL, problem, TROUPE_EPROTO);
        trp_ws_end_orderly(ctx, ws);
        return;
    }
    trp_ws_opened(ctx, ws);
}

/* --- server --- */

static void
refuse(struct troupe_ctx *ctx, struct trp_ws_conn *ws, unsigned status, const char *text)
{
    char answer[ANSWER_MAX];
    struct trp_text out = trp_text_init(answer, sizeof(answer));
    struct trp_ws_refusal refusal = {status, text};
    trp_ws_refusal_write(&out, &refusal);
    TROUPE_ASSERT(!out.overflow);
    /* without memory for the answer the connection just ends */
    (void)!trp_stream_write_copy(ctx, &ws->stream, answer, (uint32_t)out.len);
    trp_ws_set_end(ws, TRP_WS_CODE_ABNORMAL, text, TROUPE_EPROTO);
    trp_ws_end_orderly(ctx, ws);
}

static void
upgrade(struct troupe_ctx *ctx, struct trp_ws_conn *ws, const struct trp_http1_head *head)
{
    char answer[ANSWER_MAX];
    struct trp_text out = trp_text_init(answer, sizeof(answer));
    struct trp_ws_refusal refusal = {0, NULL};
    bool is_upgraded = trp_ws_handshake_answer(&out, &refusal, head);
    TROUPE_ASSERT(!out.overflow);
    enum troupe_status status = trp_stream_write_copy(ctx, &ws->stream, answer, (uint32_t)out.len);
    if (!is_upgraded) {
        trp_ws_set_end(ws, TRP_WS_CODE_ABNORMAL, refusal.text, TROUPE_EPROTO);
        trp_ws_end_orderly(ctx, ws);
    } else if (status != TROUPE_OK) {
        trp_ws_set_end(ws, TRP_WS_CODE_ABNORMAL, "answer could not be sent", status);
        trp_ws_end_now(ctx, ws);
    } else {
        trp_ws_opened(ctx, ws);
    }
}

/* Writes the head of a plain answer; false when it does not fit or a header is no header. */
static bool write_reply_head(struct trp_text *out, const struct trp_ws_reply *reply)
{
    char length[LENGTH_TEXT_MAX];
    struct trp_text length_text = trp_text_init(length, sizeof(length));
    trp_text_u64(&length_text, reply->body != NULL ? reply->body->size : 0);
    struct trp_http1_header headers[REPLY_HEADERS + 2];
    size_t count = 0;
    headers[count].name = troupe_span_cstr("Connection");
    headers[count++].value = troupe_span_cstr("close");
    headers[count].name = troupe_span_cstr("Content-Length");
    headers[count++].value = troupe_span(length, length_text.len);
    if (reply->header_count > REPLY_HEADERS) {
        return false;
    }
    for (size_t i = 0; i < reply->header_count; i++) {
        headers[count++] = reply->headers[i];
    }
    return trp_http1_response_write(out, reply->status, headers, count) && !out->overflow;
}

static void answer_plain(struct troupe_ctx *ctx,
                         struct trp_ws_conn *ws,
                         const struct trp_http1_head *head,
                         const struct trp_ws_reply *reply)
{
    char text[REPLY_HEAD_MAX];
    struct trp_text out = trp_text_init(text, sizeof(text));
    if (!write_reply_head(&out, reply)) {
        refuse(ctx, ws, 500, "the answer has headers that cannot be sent");
        return;
    }
    bool has_body = reply->body != NULL && !troupe_span_is(head->method, "HEAD");
    uint32_t len = (uint32_t)out.len;
    enum troupe_status status =
        has_body ? trp_stream_write_framed(ctx, &ws->stream, text, len, reply->body)
                 : trp_stream_write_copy(ctx, &ws->stream, text, len);
    trp_ws_set_end(ws, TRP_WS_CODE_ABNORMAL, NULL, status);
    trp_ws_end_orderly(ctx, ws);
}

static void
on_request(struct troupe_ctx *ctx, struct trp_ws_conn *ws, const struct trp_http1_head *head)
{
    struct trp_ws_request request = {head, trp_ws_is_upgrade(head)};
    struct trp_ws_reply reply = {0};
    if (!troupe_span_is(head->method, "GET") && !troupe_span_is(head->method, "HEAD")) {
        refuse(ctx, ws, 405, "only GET and HEAD are answered here");
        return;
    }
    if (ws->config->callbacks.request_cb != NULL) {
        ws->config->callbacks.request_cb(ctx, ws->owner, ws, &request, &reply);
    }
    if (ws->state == TRP_WS_CONN_HANDSHAKE) { /* the callback may have ended it */
        if (reply.status != 0) {
            answer_plain(ctx, ws, head, &reply);
        } else {
            upgrade(ctx, ws, head);
        }
    }
    troupe_buf_release(reply.body);
}

/* --- both --- */

static void
on_bad_head(struct troupe_ctx *ctx, struct trp_ws_conn *ws, unsigned status, const char *text)
{
    if (ws->role == TRP_WS_SERVER) {
        refuse(ctx, ws, status, text);
        return;
    }
    trp_ws_set_end(ws, TRP_WS_CODE_ABNORMAL, text, TROUPE_EPROTO);
    trp_ws_end_now(ctx, ws);
}

/* Appends to the head being put together; false when there is no memory. */
static bool store(struct troupe_ctx *ctx, struct trp_ws_conn *ws, const uint8_t *data, size_t len)
{
    if (ws->storage == NULL) {
        ws->storage = troupe_buf_new(ctx, ws->config->head_max);
        if (ws->storage == NULL) {
            return false;
        }
        ws->storage->size = 0;
    }
    TROUPE_ASSERT(len <= ws->storage->capacity - ws->storage->size);
    memcpy(ws->storage->data + ws->storage->size, data, len);
    ws->storage->size += (uint32_t)len;
    return true;
}

size_t
trp_ws_upgrade_feed(struct troupe_ctx *ctx, struct trp_ws_conn *ws, const uint8_t *data, size_t len)
{
    struct trp_http1_head head;
    size_t consumed = 0;
    size_t before = ws->storage != NULL ? ws->storage->size : 0;
    size_t room = ws->config->head_max - before;
    size_t taken = len < room ? len : room;
    struct troupe_span seen = troupe_span(data, taken);
    if (before > 0) {
        (void)store(ctx, ws, data, taken);
        seen = troupe_buf_span(ws->storage);
    }
    switch (trp_http1_head(&ws->http, &head, &consumed, seen)) {
    case TRP_HTTP1_NEED_MORE:
        if (taken == room) {
            on_bad_head(ctx, ws, 431, "head is too large");
        } else if (before == 0 && !store(ctx, ws, data, taken)) {
            trp_ws_set_end(ws, TRP_WS_CODE_ABNORMAL, "out of memory", TROUPE_ENOMEM);
            trp_ws_end_now(ctx, ws);
        }
        return len;
    case TRP_HTTP1_ERROR:
        on_bad_head(ctx, ws, ws->http.status, ws->http.error);
        return len;
    case TRP_HTTP1_DONE:
        break;
    }
    TROUPE_ASSERT(consumed > before);
    TROUPE_ASSERT(consumed <= before + taken);
    /* open_cb and the decoder must find the storage free; the head still lies in it */
    struct troupe_buf *storage = ws->storage;
    ws->storage = NULL;
    if (ws->role == TRP_WS_SERVER) {
        on_request(ctx, ws, &head);
    } else {
        on_response(ctx, ws, &head);
    }
    troupe_buf_release(storage);
    return consumed - before;
}
