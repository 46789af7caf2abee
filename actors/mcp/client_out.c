/* What the backend sends: answers go back under the client's own id, progress under its token. */

#include "actors/mcp/client_parts.h"

#include "actors/core/log.h"

/* The message as the client knows it, borrowed from scratch; empty when out of memory. */
static struct troupe_span
restored(struct trp_mcp_worker *worker, const struct trp_mcp_text *text, struct troupe_span raw)
{
    size_t cap = text->bytes.len + raw.len;
    char *bytes = trp_mcp_scratch(worker, cap + 64); /* readable behind, as parsers like it */
    if (bytes == NULL) {
        return troupe_span(NULL, 0);
    }
    struct trp_text out = trp_text_init(bytes, cap);
    trp_jsonrpc_restore(&out, &text->doc, &text->rpc, raw);
    return troupe_span(bytes, out.overflow ? 0 : out.len);
}

static void
answer(struct troupe_ctx *ctx, struct trp_mcp_client *client, const struct trp_mcp_text *text)
{
    struct trp_mcp_worker *worker = client->worker;
    uint64_t number = 0;
    struct trp_mcp_route *route = NULL;
    if (trp_json_u64(&text->doc, text->rpc.id, &number)) {
        route = trp_mcp_route_index_find(&worker->routes, number);
    }
    /* a waiting route was never sent: who answers it guesses */
    if (route == NULL || route->owner != troupe_self(ctx) ||
        route->state == TRP_MCP_ROUTE_WAITING) {
        trp_mcp_count(worker, late);
        return;
    }
    if (route->state == TRP_MCP_ROUTE_RUNNING) {
        struct troupe_span out = restored(worker, text, trp_mcp_route_id(route));
        enum troupe_status status = TROUPE_ETOOLARGE;
        if (out.len != 0) {
            status = route->reply_to.frontend->send(ctx, route->reply_to.frontend->arg,
                                                    &route->reply_to, TRP_MCP_RESPONSE, out);
        }
        if (status == TROUPE_ETOOLARGE) {
            trp_mcp_count(worker, too_large);
            trp_mcp_send_error(ctx, worker, &route->reply_to, trp_mcp_route_id(route), -32603,
                               "Response is too large", TRP_JSONRPC_NO_RETRY);
        } else {
            trp_mcp_count(worker, answered);
            if (status != TROUPE_OK) {
                trp_mcp_count(worker, send_errors);
            }
        }
    }
    trp_mcp_client_close(ctx, client, route);
    trp_mcp_client_pump(ctx, client);
}

static void
progress(struct troupe_ctx *ctx, struct trp_mcp_client *client, const struct trp_mcp_text *text)
{
    struct trp_mcp_worker *worker = client->worker;
    uint64_t number = 0;
    struct trp_mcp_route *route = NULL;
    if (trp_json_u64(&text->doc, text->rpc.token, &number)) {
        route = trp_mcp_route_index_find(&worker->routes, number);
    }
    if (route == NULL || route->owner != troupe_self(ctx) || route->token_len == 0 ||
        route->state != TRP_MCP_ROUTE_RUNNING) {
        trp_mcp_count(worker, progress_unknown);
        return;
    }
    /* the list stays sorted by due time: all wait equally long */
    trp_mcp_route_list_remove(&client->running, route);
    trp_mcp_route_list_push(&client->running, route);
    trp_mcp_client_arm(ctx, client, route, client->service->config.route_timeout_ns);

    struct troupe_span out = restored(worker, text, trp_mcp_route_token(route));
    if (out.len == 0 ||
        route->reply_to.frontend->send(ctx, route->reply_to.frontend->arg, &route->reply_to,
                                       TRP_MCP_NOTIFICATION, out) != TROUPE_OK) {
        trp_mcp_count(worker, send_errors);
        return;
    }
    trp_mcp_count(worker, progress);
}

static void notification(struct troupe_ctx *ctx,
                         struct trp_mcp_client *client,
                         struct trp_mcp_session *session,
                         const struct trp_mcp_text *text)
{
    if (troupe_span_is(text->rpc.method, "notifications/progress")) {
        progress(ctx, client, text);
        return;
    }
    /* a cancel would mean one of the requests that we answered at once */
    if (!session->is_initialized || troupe_span_is(text->rpc.method, "notifications/cancelled")) {
        trp_mcp_count(client->worker, broadcasts_held);
        return;
    }
    const struct trp_mcp_frontend *frontend = session->last.frontend;
    if (frontend->send(ctx, frontend->arg, &session->last, TRP_MCP_BROADCAST, text->bytes) ==
        TROUPE_OK) {
        trp_mcp_count(client->worker, broadcasts);
    } else {
        trp_mcp_count(client->worker, send_errors);
    }
}

struct troupe_msg *trp_mcp_answer_server(struct troupe_ctx *ctx, const struct trp_mcp_text *text)
{
    struct troupe_span id = trp_jsonrpc_raw(&text->doc, text->rpc.id);
    size_t cap = id.len + 128;
    struct troupe_buf *buf = trp_backend_text_buf(ctx, cap);
    if (buf == NULL) {
        return NULL;
    }
    struct trp_text out = trp_text_init((char *)buf->data, cap);
    if (troupe_span_is(text->rpc.method, "ping")) {
        trp_jsonrpc_write_result(&out, id, troupe_span_cstr("{}"));
    } else {
        trp_jsonrpc_write_error(&out, id, -32601, troupe_span_cstr("Method not found"),
                                TRP_JSONRPC_NO_RETRY);
    }
    buf->size = (uint32_t)out.len;
    return trp_backend_text_msg(ctx, TRP_BACKEND_MSG_SEND, buf, 0, buf->size);
}

void trp_mcp_client_outbound(struct troupe_ctx *ctx,
                             struct trp_mcp_client *client,
                             const struct troupe_msg *msg)
{
    struct trp_mcp_session *session = client->sessions;
    struct troupe_span bytes = trp_backend_text_span(msg);
    struct trp_mcp_text text;
    while (session->instance != msg->from) {
        session++; /* the caller found it there */
    }
    if (!trp_mcp_text_read(client->worker, &text, bytes, bytes.len + TROUPE_BUF_PADDING)) {
        trp_mcp_count(client->worker, backend_invalid);
        return;
    }
    struct troupe_msg *reply;
    switch (text.rpc.kind) {
    case TRP_JSONRPC_RESPONSE:
        answer(ctx, client, &text);
        break;
    case TRP_JSONRPC_NOTIFICATION:
        notification(ctx, client, session, &text);
        break;
    case TRP_JSONRPC_REQUEST:
        trp_mcp_count(client->worker, server_requests);
        reply = trp_mcp_answer_server(ctx, &text);
        if (reply != NULL && troupe_send(ctx, session->instance, &reply) != TROUPE_OK) {
            troupe_msg_free(ctx, reply);
        }
        break;
    case TRP_JSONRPC_INVALID:
        trp_mcp_count(client->worker, backend_invalid);
        break;
    }
}
