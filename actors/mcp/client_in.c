/* What the client sends: requests get a route, notifications pass, cancels are translated. */

#include "actors/mcp/client_parts.h"

#include "actors/core/log.h"
#include "mailbox/atomic.h"

#include <troupe/assert.h>

/* The route's number in decimal, thrice, in place of shorter texts. */
#define NUMBERS_ROOM 64u

static const struct trp_backend_down replaced = {
    .reason = "Backend was replaced by a new initialize",
};
static const struct trp_backend_down not_started = {.reason = "Backend could not be started"};

struct request {
    const struct trp_mcp_inbound *inbound;
    const struct trp_mcp_text *text;
    uint32_t session;
    uint64_t id_hash;
    bool is_initialize;
};

static uint64_t hash_of(const struct trp_mcp_text *text, const struct trp_json_node *node)
{
    char key[TRP_MCP_ID_MAX + 64];
    struct trp_text out = trp_text_init(key, sizeof(key));
    trp_jsonrpc_id_key(&out, &text->doc, node);
    return trp_mcp_id_hash(troupe_span(key, out.len));
}

static void refuse(struct troupe_ctx *ctx,
                   struct trp_mcp_client *client,
                   const struct request *request,
                   int code,
                   const char *message)
{
    int64_t retry_ms =
        code == -32000 ? (int64_t)trp_mcp_retry_after(ctx, client->service) : TRP_JSONRPC_NO_RETRY;
    trp_mcp_send_error(ctx, client->worker, &request->inbound->reply_to,
                       trp_jsonrpc_raw(&request->text->doc, request->text->rpc.id), code, message,
                       retry_ms);
}

/* --- requests --- */

/* Our own number in place of id and token: what the backend will read. */
static struct troupe_buf *
renumbered(struct troupe_ctx *ctx, const struct trp_mcp_text *text, uint64_t number)
{
    size_t cap = text->bytes.len + NUMBERS_ROOM;
    struct troupe_buf *buf = trp_backend_text_buf(ctx, cap);
    if (buf != NULL) {
        struct trp_text out = trp_text_init((char *)buf->data, cap);
        trp_jsonrpc_renumber(&out, &text->doc, &text->rpc, number);
        TROUPE_ASSERT(!out.overflow);
        buf->size = (uint32_t)out.len;
    }
    return buf;
}

/* Makes the route, WAITING, with its hold; NULL when there is no memory. */
static struct trp_mcp_route *
open_route(struct troupe_ctx *ctx, struct trp_mcp_client *client, const struct request *request)
{
    struct troupe_span id = trp_jsonrpc_raw(&request->text->doc, request->text->rpc.id);
    struct troupe_span token = trp_jsonrpc_raw(&request->text->doc, request->text->rpc.token);
    size_t size = sizeof(struct trp_mcp_route) + id.len + token.len;
    struct troupe_buf *memory = troupe_buf_new(ctx, (uint32_t)size);
    if (memory == NULL) {
        return NULL;
    }
    struct trp_mcp_route *route = (struct trp_mcp_route *)(void *)memory->data;
    *route = (struct trp_mcp_route){
        .memory = memory,
        .number = trp_mcp_number(troupe_self_worker(ctx), &client->worker->route_counter),
        .id_hash = request->id_hash,
        .owner = troupe_self(ctx),
        .state = TRP_MCP_ROUTE_WAITING,
        .session = (uint8_t)request->session,
        .is_initialize = request->is_initialize,
        .id_len = (uint32_t)id.len,
        .token_len = (uint32_t)token.len,
        .reply_to = request->inbound->reply_to,
    };
    memcpy(route->raw, id.data, id.len);
    if (token.len != 0) {
        memcpy(route->raw + id.len, token.data, token.len);
    }
    route->text = renumbered(ctx, request->text, route->number);
    if (route->text == NULL) {
        troupe_buf_release(memory);
        return NULL;
    }
    trp_mcp_route_index_add(&client->worker->routes, route);
    trp_mcp_route_list_push(&client->waiting, route);
    client->waiting_bytes += route->text->size;
    (void)trp_faa_u32(&client->service->routes_open, 1); /* a bound only */
    bool is_open = troupe_client_open_route(ctx, client->record);
    TROUPE_ASSERT(is_open); /* the message in hand holds the client */
    trp_mcp_count(client->worker, requests);
    return route;
}

static bool
has_room(struct troupe_ctx *ctx, struct trp_mcp_client *client, const struct request *request)
{
    const struct trp_mcp_config *config = &client->service->config;
    bool must_wait = client->running.count + client->canceled.count >= config->running_max;
    if (must_wait &&
        (client->waiting.count >= config->waiting_max ||
         (client->waiting.count != 0 &&
          client->waiting_bytes + request->text->bytes.len > config->waiting_bytes_max))) {
        trp_mcp_count(client->worker, refused_client);
        trp_log_info("request refused", trp_log_client(client->key.bytes),
                     trp_log_str("reason", "the client has too many requests"));
        refuse(ctx, client, request, -32000, troupe_status_text(TROUPE_EBUSY));
        return false;
    }
    /* relaxed: workers that look at once may overshoot by one each */
    if (trp_load_relaxed_u32(&client->service->routes_open) >= config->routes_max) {
        trp_mcp_count(client->worker, refused_total);
        trp_log_warn("request refused", trp_log_client(client->key.bytes),
                     trp_log_str("reason", "too many requests of all clients"));
        refuse(ctx, client, request, -32000, troupe_status_text(TROUPE_EBUSY));
        return false;
    }
    return true;
}

/* A new initialize: whatever ran for the session before is over. */
static void replace(struct troupe_ctx *ctx, struct trp_mcp_client *client, uint32_t index)
{
    struct trp_mcp_session *session = &client->sessions[index];
    session->is_initialized = false;
    trp_mcp_early_cancel_clear(&client->early, index);
    if (session->instance == TROUPE_NOBODY || session->instance == client->service->shared) {
        return;
    }
    trp_mcp_count(client->worker, instances_replaced);
    trp_mcp_client_fail_session(ctx, client, index, &replaced);
    if (troupe_send_copy(ctx, session->instance, TRP_BACKEND_MSG_KILL, NULL, 0) != TROUPE_OK) {
        troupe_stop(ctx, session->instance);
    }
    session->instance = TROUPE_NOBODY;
}

static void
client_request(struct troupe_ctx *ctx, struct trp_mcp_client *client, struct request *request)
{
    const struct trp_mcp_text *text = request->text;
    struct troupe_span id = trp_jsonrpc_raw(&text->doc, text->rpc.id);
    struct troupe_span token = trp_jsonrpc_raw(&text->doc, text->rpc.token);
    if (id.len > TRP_MCP_ID_MAX || token.len > TRP_MCP_ID_MAX) {
        trp_mcp_count(client->worker, refused_invalid);
        refuse(ctx, client, request, -32600,
               id.len > TRP_MCP_ID_MAX ? "id is too long" : "progressToken is too long");
        return;
    }
    request->id_hash = hash_of(text, text->rpc.id);
    request->is_initialize = troupe_span_is(text->rpc.method, "initialize");
    if (!request->is_initialize && trp_mcp_early_cancel_take(&client->early, request->session,
                                                             request->id_hash, troupe_now(ctx))) {
        trp_mcp_count(client->worker, canceled_early);
        return;
    }
    if (request->is_initialize && request->inbound->reply_to.frontend->initialize_replaces) {
        replace(ctx, client, request->session);
    }
    if (!has_room(ctx, client, request)) {
        return;
    }
    struct trp_mcp_route *route = open_route(ctx, client, request);
    if (route == NULL) {
        trp_mcp_count(client->worker, refused_memory);
        refuse(ctx, client, request, -32603, troupe_status_text(TROUPE_ENOMEM));
        return;
    }
    if (trp_mcp_client_spawn(ctx, client, request->session) != TROUPE_OK) {
        trp_mcp_client_fail_session(ctx, client, request->session, &not_started);
        return;
    }
    trp_mcp_client_pump(ctx, client);
}

/* --- notifications --- */

static void
client_cancel(struct troupe_ctx *ctx, struct trp_mcp_client *client, const struct request *request)
{
    const struct trp_mcp_text *text = request->text;
    struct troupe_span id = trp_jsonrpc_raw(&text->doc, text->rpc.request_id);
    if (id.len == 0 || id.len > TRP_MCP_ID_MAX) {
        trp_mcp_count(client->worker, dropped_cancels);
        return;
    }
    uint64_t hash = hash_of(text, text->rpc.request_id);
    struct trp_mcp_route *route = trp_mcp_route_list_find(&client->waiting, request->session, hash);
    if (route == NULL) {
        route = trp_mcp_route_list_find(&client->running, request->session, hash);
    }
    if (route == NULL) {
        if (trp_mcp_route_list_find(&client->canceled, request->session, hash) == NULL) {
            trp_mcp_early_cancel_put(&client->early, request->session, hash, troupe_now(ctx));
        }
        return;
    }
    if (route->is_initialize) {
        trp_mcp_count(client->worker, dropped_cancels);
        return;
    }
    trp_mcp_count(client->worker, canceled);
    if (route->state == TRP_MCP_ROUTE_WAITING) {
        trp_mcp_client_close(ctx, client, route);
        return;
    }
    struct troupe_buf *buf = renumbered(ctx, text, route->number);
    struct troupe_msg *msg =
        buf != NULL ? trp_backend_text_msg(ctx, TRP_BACKEND_MSG_SEND, buf, 0, buf->size) : NULL;
    if (msg != NULL &&
        troupe_send(ctx, client->sessions[route->session].instance, &msg) != TROUPE_OK) {
        troupe_msg_free(ctx, msg); /* the backend works in vain; the answer is dropped anyway */
    }
    trp_mcp_route_list_remove(&client->running, route);
    route->state = TRP_MCP_ROUTE_CANCELED;
    trp_mcp_route_list_push(&client->canceled, route);
    trp_mcp_client_arm(ctx, client, route, client->service->config.cancel_grace_ns);
}

static void pass_notification(struct troupe_ctx *ctx,
                              struct trp_mcp_client *client,
                              const struct request *request)
{
    struct trp_mcp_session *session = &client->sessions[request->session];
    const struct trp_mcp_text *text = request->text;
    if (troupe_span_is(text->rpc.method, "notifications/initialized")) {
        session->is_initialized = true;
    }
    enum troupe_status status = TROUPE_EDEAD;
    if (session->instance != TROUPE_NOBODY) {
        struct troupe_buf *buf = trp_backend_text_buf(ctx, text->bytes.len);
        struct troupe_msg *msg = NULL;
        if (buf != NULL) {
            memcpy(buf->data, text->bytes.data, text->bytes.len);
            buf->size = (uint32_t)text->bytes.len;
            msg = trp_backend_text_msg(ctx, TRP_BACKEND_MSG_SEND, buf, 0, buf->size);
        }
        if (msg != NULL) {
            status = troupe_send(ctx, session->instance, &msg);
            troupe_msg_free(ctx, msg);
        }
    }
    if (status == TROUPE_OK) {
        trp_mcp_count(client->worker, notes_in);
    } else {
        trp_mcp_count(client->worker, dropped_notes);
    }
}

/* --- all of it --- */

/* The session of a message, made when there is room; TRP_MCP_SESSIONS_MAX when there is none. */
static uint32_t find_session(struct trp_mcp_client *client, uint64_t id)
{
    uint32_t place = TRP_MCP_SESSIONS_MAX;
    for (uint32_t i = 0; i < TRP_MCP_SESSIONS_MAX; i++) {
        if (client->sessions[i].is_used && client->sessions[i].id == id) {
            return i;
        }
        if (!client->sessions[i].is_used && place == TRP_MCP_SESSIONS_MAX) {
            place = i;
        }
    }
    if (place < TRP_MCP_SESSIONS_MAX) {
        client->sessions[place] = (struct trp_mcp_session){.id = id, .is_used = true};
    }
    return place;
}

static void invalid(struct troupe_ctx *ctx,
                    struct trp_mcp_client *client,
                    const struct request *request,
                    const char *problem)
{
    const struct trp_mcp_text *text = request->text;
    trp_log_warn("message is no JSON-RPC", trp_log_client(client->key.bytes),
                 trp_log_str("problem", problem));
    /* only what looks like a request is answered: an answer to a broken answer helps nobody */
    if (text != NULL && text->rpc.id != NULL &&
        trp_json_member(&text->doc, trp_json_root(&text->doc), "method") != NULL &&
        trp_jsonrpc_raw(&text->doc, text->rpc.id).len <= TRP_MCP_ID_MAX) {
        trp_mcp_count(client->worker, refused_invalid);
        refuse(ctx, client, request, -32600, problem);
        return;
    }
    trp_mcp_count(client->worker, dropped_invalid);
}

void trp_mcp_client_inbound(struct troupe_ctx *ctx,
                            struct trp_mcp_client *client,
                            const struct trp_mcp_inbound *inbound)
{
    struct trp_mcp_text text;
    struct request request = {.inbound = inbound};
    struct troupe_span bytes =
        troupe_span(inbound->buf->data + inbound->text_offset, inbound->text_len);
    if (!trp_mcp_text_read(client->worker, &text, bytes, bytes.len + TROUPE_BUF_PADDING)) {
        invalid(ctx, client, &request, trp_json_error(client->worker->parser));
        return;
    }
    request.text = &text;
    if (text.rpc.kind == TRP_JSONRPC_INVALID) {
        invalid(ctx, client, &request, text.rpc.problem);
        return;
    }
    if (text.rpc.kind == TRP_JSONRPC_RESPONSE) {
        trp_mcp_count(client->worker, dropped_responses);
        return;
    }
    request.session = find_session(client, inbound->session);
    bool is_request = text.rpc.kind == TRP_JSONRPC_REQUEST;
    if (request.session == TRP_MCP_SESSIONS_MAX) {
        if (is_request) {
            trp_mcp_count(client->worker, refused_client);
            refuse(ctx, client, &request, -32000, troupe_status_text(TROUPE_EBUSY));
        } else {
            trp_mcp_count(client->worker, dropped_notes);
        }
        return;
    }
    client->sessions[request.session].last = inbound->reply_to;
    if (is_request) {
        client_request(ctx, client, &request);
    } else if (troupe_span_is(text.rpc.method, "notifications/cancelled")) {
        client_cancel(ctx, client, &request);
    } else {
        pass_notification(ctx, client, &request);
    }
}
