/* The client actor: its life, its sessions and the ends of its routes. */

#include "actors/mcp/client_parts.h"

#include "actors/core/log.h"
#include "mailbox/atomic.h"

#include <stdio.h>
#include <troupe/assert.h>
#include <troupe/relations.h>

/* --- texts --- */

bool trp_mcp_text_read(struct trp_mcp_worker *worker,
                       struct trp_mcp_text *text,
                       struct troupe_span bytes,
                       size_t readable)
{
    text->bytes = bytes;
    if (trp_json_read(worker->parser, &text->doc, bytes.data, bytes.len, readable) != TROUPE_OK) {
        return false;
    }
    (void)trp_jsonrpc_read(&text->rpc, &text->doc);
    return true;
}

void trp_mcp_send_error(struct troupe_ctx *ctx,
                        struct trp_mcp_worker *worker,
                        const struct trp_mcp_address *to,
                        struct troupe_span id,
                        int code,
                        const char *message,
                        int64_t retry_ms)
{
    char bytes[TRP_MCP_ID_MAX + 2048];
    struct trp_text text = trp_text_init(bytes, sizeof(bytes));
    trp_jsonrpc_write_error(&text, id, code, troupe_span_cstr(message), retry_ms);
    if (text.overflow || to->frontend->send(ctx, to->frontend->arg, to, TRP_MCP_RESPONSE,
                                            troupe_span(bytes, text.len)) != TROUPE_OK) {
        trp_mcp_count(worker, send_errors);
    }
}

/* --- routes --- */

struct trp_mcp_route_list *trp_mcp_client_list(struct trp_mcp_client *client,
                                               const struct trp_mcp_route *route)
{
    switch ((enum trp_mcp_route_state)route->state) {
    case TRP_MCP_ROUTE_WAITING:
        return &client->waiting;
    case TRP_MCP_ROUTE_RUNNING:
        return &client->running;
    case TRP_MCP_ROUTE_CANCELED:
        break;
    }
    return &client->canceled;
}

/* Everything but the hold, for a client that is ended from outside has none to give back. */
static void free_route(struct trp_mcp_client *client, struct trp_mcp_route *route)
{
    trp_mcp_route_list_remove(trp_mcp_client_list(client, route), route);
    trp_mcp_route_index_remove(&client->worker->routes, route);
    if (route->text != NULL) {
        client->waiting_bytes -= route->text->size;
        troupe_buf_release(route->text);
    }
    /* a bound only: no order with anything else is needed */
    (void)trp_faa_u32(&client->service->routes_open, (uint32_t)-1);
    troupe_buf_release(route->memory);
}

void trp_mcp_client_close(struct troupe_ctx *ctx,
                          struct trp_mcp_client *client,
                          struct trp_mcp_route *route)
{
    free_route(client, route);
    troupe_client_close_route(ctx, client->record);
}

void trp_mcp_client_arm(struct troupe_ctx *ctx,
                        struct trp_mcp_client *client,
                        struct trp_mcp_route *route,
                        uint64_t after_ns)
{
    uint64_t now_ns = troupe_now(ctx);
    route->due_ns = now_ns + after_ns;
    /* A timer that fires too early looks again; only a too late one must be moved. */
    if (!troupe_timer_is_armed(&client->timer) || client->timer.due_ns > route->due_ns) {
        troupe_timer_start(ctx, &client->timer, after_ns, 0, TRP_MCP_MSG_TIMER);
    }
}

static void send_to_instance(struct troupe_ctx *ctx, troupe_ref instance, struct troupe_msg *msg)
{
    if (troupe_send(ctx, instance, &msg) != TROUPE_OK) {
        troupe_msg_free(ctx, msg);
    }
}

void trp_mcp_client_tell_cancel(struct troupe_ctx *ctx,
                                struct trp_mcp_client *client,
                                const struct trp_mcp_route *route,
                                const char *reason)
{
    char params[160];
    struct troupe_buf *buf = trp_backend_text_buf(ctx, 256);
    if (buf == NULL) {
        return; /* only a courtesy to the backend */
    }
    int len = snprintf(params, sizeof(params), "{\"requestId\":%llu,\"reason\":\"%s\"}",
                       (unsigned long long)route->number, reason);
    TROUPE_ASSERT(len > 0 && (size_t)len < sizeof(params));
    struct trp_text text = trp_text_init((char *)buf->data, 256);
    trp_jsonrpc_write_notification(&text, troupe_span_cstr("notifications/cancelled"),
                                   troupe_span(params, (size_t)len));
    TROUPE_ASSERT(!text.overflow);
    buf->size = (uint32_t)text.len;
    struct troupe_msg *msg = trp_backend_text_msg(ctx, TRP_BACKEND_MSG_SEND, buf, 0, buf->size);
    if (msg != NULL) {
        send_to_instance(ctx, client->sessions[route->session].instance, msg);
    }
}

bool trp_mcp_client_start(struct troupe_ctx *ctx,
                          struct trp_mcp_client *client,
                          struct trp_mcp_route *route)
{
    struct troupe_buf *buf = route->text;
    trp_mcp_route_list_remove(&client->waiting, route);
    client->waiting_bytes -= buf->size;
    route->text = NULL;
    route->state = TRP_MCP_ROUTE_RUNNING;
    trp_mcp_route_list_push(&client->running, route);
    trp_mcp_client_arm(ctx, client, route, client->service->config.route_timeout_ns);

    enum troupe_status status = TROUPE_ENOMEM;
    struct troupe_msg *msg = trp_backend_text_msg(ctx, TRP_BACKEND_MSG_SEND, buf, 0, buf->size);
    if (msg != NULL) {
        status = troupe_send(ctx, client->sessions[route->session].instance, &msg);
        troupe_msg_free(ctx, msg);
    }
    if (status == TROUPE_OK) {
        return true;
    }
    if (status == TROUPE_EBUSY) {
        trp_mcp_count(client->worker, busy_late);
        trp_log_warn("request refused", trp_log_client(client->key.bytes),
                     trp_log_str("reason", "the backend does not read"));
        trp_mcp_send_error(ctx, client->worker, &route->reply_to, trp_mcp_route_id(route), -32000,
                           troupe_status_text(TROUPE_EBUSY),
                           (int64_t)trp_mcp_retry_after(ctx, client->service));
    } else {
        trp_mcp_count(client->worker, failed);
        trp_mcp_send_error(ctx, client->worker, &route->reply_to, trp_mcp_route_id(route), -32603,
                           "Backend does not take the request", TRP_JSONRPC_NO_RETRY);
    }
    trp_mcp_client_close(ctx, client, route);
    return false;
}

void trp_mcp_client_pump(struct troupe_ctx *ctx, struct trp_mcp_client *client)
{
    while (client->waiting.head != NULL &&
           client->running.count + client->canceled.count < client->service->config.running_max) {
        (void)trp_mcp_client_start(ctx, client, client->waiting.head);
    }
}

static void expire(struct troupe_ctx *ctx, struct trp_mcp_client *client)
{
    uint64_t now_ns = troupe_now(ctx);
    struct trp_mcp_route *route;
    while ((route = client->canceled.head) != NULL && route->due_ns <= now_ns) {
        trp_mcp_client_close(ctx, client, route);
    }
    while ((route = client->running.head) != NULL && route->due_ns <= now_ns) {
        trp_log_warn("request timed out", trp_log_client(client->key.bytes),
                     trp_log_u64("route", route->number));
        trp_mcp_client_tell_cancel(ctx, client, route, "Request timed out");
        trp_mcp_count(client->worker, timed_out);
        trp_mcp_send_error(ctx, client->worker, &route->reply_to, trp_mcp_route_id(route), -32603,
                           "Request timed out", TRP_JSONRPC_NO_RETRY);
        trp_mcp_client_close(ctx, client, route);
    }
    trp_mcp_client_pump(ctx, client);

    uint64_t next_ns = UINT64_MAX;
    if (client->running.head != NULL) {
        next_ns = client->running.head->due_ns;
    }
    if (client->canceled.head != NULL && client->canceled.head->due_ns < next_ns) {
        next_ns = client->canceled.head->due_ns;
    }
    if (next_ns != UINT64_MAX) {
        troupe_timer_start(ctx, &client->timer, next_ns - now_ns, 0, TRP_MCP_MSG_TIMER);
    }
}

/* --- sessions --- */

static void fail_list(struct troupe_ctx *ctx,
                      struct trp_mcp_client *client,
                      struct trp_mcp_route_list *list,
                      uint32_t session,
                      const struct trp_backend_down *down)
{
    int64_t retry_ms = down->retry_after_ms != 0 ? (int64_t)down->retry_after_ms : -1;
    struct trp_mcp_route *next;
    for (struct trp_mcp_route *route = list->head; route != NULL; route = next) {
        next = route->next;
        if (route->session != session) {
            continue;
        }
        if (route->state == TRP_MCP_ROUTE_CANCELED) {
            trp_mcp_client_close(ctx, client, route);
            continue;
        }
        if (down->is_busy) {
            trp_mcp_count(client->worker, busy_late);
            trp_mcp_send_error(ctx, client->worker, &route->reply_to, trp_mcp_route_id(route),
                               -32000, troupe_status_text(TROUPE_EBUSY), retry_ms);
        } else {
            trp_mcp_count(client->worker, failed);
            trp_mcp_send_error(ctx, client->worker, &route->reply_to, trp_mcp_route_id(route),
                               -32603, down->reason, retry_ms);
        }
        trp_mcp_client_close(ctx, client, route);
    }
}

void trp_mcp_client_fail_session(struct troupe_ctx *ctx,
                                 struct trp_mcp_client *client,
                                 uint32_t session,
                                 const struct trp_backend_down *down)
{
    fail_list(ctx, client, &client->running, session, down);
    fail_list(ctx, client, &client->canceled, session, down);
    fail_list(ctx, client, &client->waiting, session, down);
}

enum troupe_status
trp_mcp_client_spawn(struct troupe_ctx *ctx, struct trp_mcp_client *client, uint32_t session)
{
    struct trp_mcp_service *service = client->service;
    struct trp_mcp_session *it = &client->sessions[session];
    if (it->instance != TROUPE_NOBODY) {
        return TROUPE_OK;
    }
    if (service->shared != TROUPE_NOBODY) {
        it->instance = service->shared;
        return TROUPE_OK;
    }
    struct trp_backend_arg arg = {
        .user = troupe_self(ctx),
        .instance = trp_mcp_next_instance(service),
        .backend_state = service->backend.backend_state,
    };
    memcpy(arg.client, client->key.bytes, sizeof(arg.client));
    troupe_ref ref = TROUPE_NOBODY;
    enum troupe_status status = troupe_spawn(ctx, &ref, service->backend.type, &arg);
    if (status != TROUPE_OK) {
        return status;
    }
    status = troupe_monitor(ctx, ref, TRP_MCP_MSG_GONE, 0, NULL);
    if (status != TROUPE_OK) {
        troupe_stop(ctx, ref);
        return status;
    }
    it->instance = ref;
    trp_mcp_count(client->worker, instances);
    trp_log_debug("backend instance started", trp_log_client(client->key.bytes),
                  trp_log_u64("instance", arg.instance));
    return TROUPE_OK;
}

static struct trp_mcp_session *session_of(struct trp_mcp_client *client, troupe_ref instance)
{
    for (uint32_t i = 0; i < TRP_MCP_SESSIONS_MAX; i++) {
        if (client->sessions[i].is_used && client->sessions[i].instance == instance) {
            return &client->sessions[i];
        }
    }
    return NULL;
}

static enum troupe_verdict try_leave(struct troupe_ctx *ctx, struct trp_mcp_client *client)
{
    client->is_leaving = true;
    return troupe_client_leave(ctx, client->record) ? TROUPE_STOP : TROUPE_CONTINUE;
}

/* The instance of a session is gone; without any session left the client goes, too. */
static enum troupe_verdict session_down(struct troupe_ctx *ctx,
                                        struct trp_mcp_client *client,
                                        troupe_ref instance,
                                        const struct trp_backend_down *down)
{
    struct trp_mcp_session *session = session_of(client, instance);
    if (session == NULL) {
        return TROUPE_CONTINUE; /* replaced meanwhile */
    }
    uint32_t index = (uint32_t)(session - client->sessions);
    trp_mcp_count(client->worker, instances_down);
    trp_log_warn("backend instance ended", trp_log_client(client->key.bytes),
                 trp_log_str("reason", down->reason));
    trp_mcp_client_fail_session(ctx, client, index, down);
    *session = (struct trp_mcp_session){0};
    for (uint32_t i = 0; i < TRP_MCP_SESSIONS_MAX; i++) {
        if (client->sessions[i].is_used && client->sessions[i].instance != TROUPE_NOBODY) {
            trp_mcp_client_pump(ctx, client);
            return TROUPE_CONTINUE;
        }
    }
    return try_leave(ctx, client);
}

static const struct trp_backend_down vanished = {.reason = "Backend ended unexpectedly"};

/* Its last texts may still wait in the data lane: look again behind them. */
static enum troupe_verdict
instance_gone(struct troupe_ctx *ctx, struct trp_mcp_client *client, const struct troupe_down *down)
{
    if (session_of(client, down->ref) == NULL ||
        troupe_send_copy(ctx, troupe_self(ctx), TRP_MCP_MSG_CHECK, &down->ref,
                         (uint32_t)sizeof(down->ref)) == TROUPE_OK) {
        return TROUPE_CONTINUE;
    }
    return session_down(ctx, client, down->ref, &vanished);
}

static void give_up(struct troupe_ctx *ctx, struct trp_mcp_client *client)
{
    static const struct trp_backend_down ending = {.reason = "Server is shutting down"};
    for (uint32_t i = 0; i < TRP_MCP_SESSIONS_MAX; i++) {
        trp_mcp_client_fail_session(ctx, client, i, &ending);
    }
}

/* --- the actor --- */

static enum troupe_status client_init(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct trp_mcp_client *client = state;
    const struct troupe_client_arg *admitted = arg;
    client->service = admitted->user;
    client->worker = trp_mcp_here(client->service, ctx);
    client->record = admitted->client;
    client->key = admitted->key;
    return TROUPE_OK;
}

static enum troupe_verdict
client_inbound(struct troupe_ctx *ctx, struct trp_mcp_client *client, struct troupe_msg *msg)
{
    if (client->is_leaving) {
        troupe_client_give_back(ctx, client->record, troupe_msg_take(ctx, msg));
        return try_leave(ctx, client);
    }
    trp_mcp_client_inbound(ctx, client, troupe_msg_data(msg));
    troupe_client_handled(ctx, client->record);
    return TROUPE_CONTINUE;
}

static enum troupe_verdict
client_receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct trp_mcp_client *client = state;
    troupe_ref instance;
    switch (msg->type) {
    case TRP_MCP_MSG_INBOUND:
        return client_inbound(ctx, client, msg);
    case TRP_BACKEND_MSG_TEXT:
        if (session_of(client, msg->from) != NULL) {
            trp_mcp_client_outbound(ctx, client, msg);
        }
        return TROUPE_CONTINUE;
    case TRP_BACKEND_MSG_DOWN:
        return session_down(ctx, client, msg->from, troupe_msg_data(msg));
    case TRP_MCP_MSG_TIMER:
        expire(ctx, client);
        return TROUPE_CONTINUE;
    case TRP_MCP_MSG_GIVE_UP:
        give_up(ctx, client);
        return TROUPE_CONTINUE;
    case TRP_MCP_MSG_GONE:
        return instance_gone(ctx, client, troupe_msg_data(msg));
    case TRP_MCP_MSG_CHECK:
        memcpy(&instance, troupe_msg_data(msg), sizeof(instance));
        return session_down(ctx, client, instance, &vanished);
    default:
        return TROUPE_CONTINUE; /* READY */
    }
}

static void client_terminate(struct troupe_ctx *ctx, void *state, enum troupe_down_reason reason)
{
    struct trp_mcp_client *client = state;
    struct trp_mcp_route_list *lists[] = {&client->running, &client->waiting, &client->canceled};
    (void)reason;
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        while (lists[i]->head != NULL) {
            if (lists[i]->head->state != TRP_MCP_ROUTE_CANCELED) {
                trp_mcp_count(client->worker, abandoned);
            }
            free_route(client, lists[i]->head);
        }
    }
    for (uint32_t i = 0; i < TRP_MCP_SESSIONS_MAX; i++) {
        troupe_ref instance = client->sessions[i].instance;
        if (instance != TROUPE_NOBODY && instance != client->service->shared) {
            troupe_stop(ctx, instance);
        }
    }
}

const struct troupe_actor_type trp_mcp_client_type = {
    .name = "mcp client",
    .state_size = sizeof(struct trp_mcp_client),
    /* requests are bounded by routes and holds; this is for the backend's lines */
    .data_count_max = 10000,
    .data_bytes_max = 64u << 20,
    .init_cb = client_init,
    .receive_cb = client_receive,
    .terminate_cb = client_terminate,
};
