#include "actors/mcp/shared.h"

#include "actors/core/log.h"
#include "actors/mcp/client_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <troupe/assert.h>
#include <troupe/relations.h>

enum {
    MSG_INNER_DOWN = 0x2A0,
    MSG_INNER_CHECK = 0x2A1,
    MSG_CLIENT_DOWN = 0x2A2,
    MSG_TIMER = 0x2A3,
};

#define BUCKETS     4096u /* of both tables, a power of two */
#define WAITING_MAX 1000u /* requests while the server starts */

enum state {
    STATE_IDLE,     /* nobody needed it yet */
    STATE_STARTING, /* up to the answer to our initialize */
    STATE_READY,
    STATE_BACKOFF,
};

struct user {
    struct user *next; /* in its bucket */
    struct troupe_buf *memory;
    troupe_ref ref;
    bool is_initialized;
};

struct route {
    struct route *next;
    struct troupe_buf *memory;
    uint64_t number;
    troupe_ref user;
};

struct shared {
    struct trp_mcp_service *service;
    struct trp_mcp_worker *worker;
    troupe_ref inner;
    enum state state;
    uint64_t own_counter;
    uint64_t init_number;
    uint64_t ready_ns;   /* when it became ready */
    uint64_t restart_ns; /* BACKOFF: when */
    uint32_t failures;
    struct user **users;
    struct route **routes;
    struct troupe_buf *init_result; /* raw JSON, NULL = the server refused */
    struct troupe_msg *waiting_head;
    struct troupe_msg *waiting_tail;
    uint32_t waiting_count;
    uint64_t waiting_bytes;
    struct troupe_timer timer;
    struct trp_mcp_outbox outbox;
    char reason[TRP_BACKEND_REASON_MAX];
};

/* --- tables --- */

static uint32_t bucket_of(uint64_t key)
{
    return (uint32_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> 40) & (BUCKETS - 1);
}

static struct user *find_user(struct shared *shared, troupe_ref ref)
{
    struct user *user = shared->users[bucket_of(ref)];
    while (user != NULL && user->ref != ref) {
        user = user->next;
    }
    return user;
}

/* A client that was never seen before is watched from now on. NULL when out of memory. */
static struct user *know_user(struct troupe_ctx *ctx, struct shared *shared, troupe_ref ref)
{
    struct user *user = find_user(shared, ref);
    if (user != NULL) {
        return user;
    }
    struct troupe_buf *memory = troupe_buf_new(ctx, (uint32_t)sizeof(struct user));
    if (memory == NULL) {
        return NULL;
    }
    if (troupe_monitor(ctx, ref, MSG_CLIENT_DOWN, 0, NULL) != TROUPE_OK) {
        troupe_buf_release(memory);
        return NULL;
    }
    struct user **head = &shared->users[bucket_of(ref)];
    user = (struct user *)(void *)memory->data;
    *user = (struct user){.next = *head, .memory = memory, .ref = ref};
    *head = user;
    return user;
}

static bool
add_route(struct troupe_ctx *ctx, struct shared *shared, uint64_t number, troupe_ref user)
{
    struct troupe_buf *memory = troupe_buf_new(ctx, (uint32_t)sizeof(struct route));
    if (memory == NULL) {
        return false;
    }
    struct route **head = &shared->routes[bucket_of(number)];
    struct route *route = (struct route *)(void *)memory->data;
    *route = (struct route){.next = *head, .memory = memory, .number = number, .user = user};
    *head = route;
    return true;
}

/* The user of a route, TROUPE_NOBODY when there is none; takes the route away if asked to. */
static troupe_ref route_user(struct shared *shared, uint64_t number, bool is_over)
{
    struct route **link = &shared->routes[bucket_of(number)];
    while (*link != NULL && (*link)->number != number) {
        link = &(*link)->next;
    }
    struct route *route = *link;
    if (route == NULL) {
        return TROUPE_NOBODY;
    }
    troupe_ref user = route->user;
    if (is_over) {
        *link = route->next;
        troupe_buf_release(route->memory);
    }
    return user;
}

/* --- towards clients --- */

static void tell_user(struct troupe_ctx *ctx,
                      struct shared *shared,
                      troupe_ref user,
                      struct troupe_buf *buf,
                      size_t len)
{
    buf->size = (uint32_t)len;
    struct troupe_msg *msg = trp_backend_text_msg(ctx, TRP_BACKEND_MSG_TEXT, buf, 0, (uint32_t)len);
    if (msg != NULL) {
        trp_mcp_outbox_send(ctx, &shared->outbox, user, msg);
    }
}

static void tell_error(struct troupe_ctx *ctx,
                       struct shared *shared,
                       troupe_ref user,
                       uint64_t number,
                       int code,
                       const char *message)
{
    char id[32];
    int id_len = snprintf(id, sizeof(id), "%llu", (unsigned long long)number);
    uint64_t now_ns = troupe_now(ctx);
    int64_t retry_ms = TRP_JSONRPC_NO_RETRY;
    if (code == -32000) {
        retry_ms = (int64_t)trp_mcp_retry_after(ctx, shared->service);
    } else if (shared->state == STATE_BACKOFF) {
        uint64_t left_ns = shared->restart_ns > now_ns ? shared->restart_ns - now_ns : 0;
        retry_ms = (int64_t)(left_ns / 1000000 + 1);
    }
    size_t cap = 512 + 6 * TRP_BACKEND_REASON_MAX;
    struct troupe_buf *buf = trp_backend_text_buf(ctx, cap);
    if (buf != NULL) {
        struct trp_text out = trp_text_init((char *)buf->data, cap);
        trp_jsonrpc_write_error(&out, troupe_span(id, (size_t)id_len), code,
                                troupe_span_cstr(message), retry_ms);
        tell_user(ctx, shared, user, buf, out.len);
    }
}

static void
tell_initialized(struct troupe_ctx *ctx, struct shared *shared, troupe_ref user, uint64_t number)
{
    char id[32];
    int id_len = snprintf(id, sizeof(id), "%llu", (unsigned long long)number);
    if (shared->init_result == NULL) {
        tell_error(ctx, shared, user, number, -32603, "Backend refused initialize");
        return;
    }
    size_t cap = shared->init_result->size + 128u;
    struct troupe_buf *buf = trp_backend_text_buf(ctx, cap);
    if (buf != NULL) {
        struct trp_text out = trp_text_init((char *)buf->data, cap);
        trp_jsonrpc_write_result(&out, troupe_span(id, (size_t)id_len),
                                 troupe_buf_span(shared->init_result));
        tell_user(ctx, shared, user, buf, out.len);
    }
}

/* --- towards the server --- */

static enum troupe_status
send_own(struct troupe_ctx *ctx, struct shared *shared, struct troupe_buf *buf, size_t len)
{
    buf->size = (uint32_t)len;
    struct troupe_msg *msg = trp_backend_text_msg(ctx, TRP_BACKEND_MSG_SEND, buf, 0, (uint32_t)len);
    enum troupe_status status = TROUPE_ENOMEM;
    if (msg != NULL) {
        status = troupe_send(ctx, shared->inner, &msg);
        troupe_msg_free(ctx, msg);
    }
    return status;
}

static enum troupe_status send_initialize(struct troupe_ctx *ctx, struct shared *shared)
{
    static const char params[] =
        "{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{},\"clientInfo\":"
        "{\"name\":\"troupe\",\"version\":\"" TROUPE_VERSION "\"}}";
    char id[32];
    shared->init_number = TRP_MCP_NUMBER_OWN | ++shared->own_counter;
    int id_len = snprintf(id, sizeof(id), "%llu", (unsigned long long)shared->init_number);
    struct troupe_buf *buf = trp_backend_text_buf(ctx, 512);
    if (buf == NULL) {
        return TROUPE_ENOMEM;
    }
    struct trp_text out = trp_text_init((char *)buf->data, 512);
    trp_jsonrpc_write_request(&out, troupe_span(id, (size_t)id_len), troupe_span_cstr("initialize"),
                              troupe_span_cstr(params));
    TROUPE_ASSERT(!out.overflow);
    return send_own(ctx, shared, buf, out.len);
}

static enum troupe_status start_inner(struct troupe_ctx *ctx, struct shared *shared)
{
    struct trp_mcp_service *service = shared->service;
    struct trp_backend_arg arg = {
        .user = troupe_self(ctx),
        .instance = trp_mcp_next_instance(service),
        .backend_state = service->backend.backend_state,
    };
    enum troupe_status status = troupe_spawn(ctx, &shared->inner, service->backend.type, &arg);
    if (status != TROUPE_OK) {
        return status;
    }
    trp_mcp_count(shared->worker, instances);
    status = troupe_monitor(ctx, shared->inner, MSG_INNER_DOWN, 0, NULL);
    if (status == TROUPE_OK) {
        status = send_initialize(ctx, shared);
    }
    if (status != TROUPE_OK) {
        troupe_stop(ctx, shared->inner);
        shared->inner = TROUPE_NOBODY;
        return status;
    }
    shared->state = STATE_STARTING;
    /* the process has one limit to wait and start, the answer to initialize another */
    troupe_timer_start(ctx, &shared->timer, 3 * service->config.start_timeout_ns, 0, MSG_TIMER);
    return TROUPE_OK;
}

/* --- the end of the server, and its return --- */

static struct troupe_msg *pop_waiting(struct shared *shared)
{
    struct troupe_msg *msg = shared->waiting_head;
    if (msg != NULL) {
        shared->waiting_head = msg->next;
        if (msg->next == NULL) {
            shared->waiting_tail = NULL;
        }
        shared->waiting_count--;
        shared->waiting_bytes -= trp_backend_text_span(msg).len;
    }
    return msg;
}

static void accept_text(struct troupe_ctx *ctx, struct shared *shared, struct troupe_msg *msg);

static void serve_waiting(struct troupe_ctx *ctx, struct shared *shared)
{
    struct troupe_msg *msg;
    while (shared->state != STATE_STARTING && (msg = pop_waiting(shared)) != NULL) {
        accept_text(ctx, shared, msg); /* it waits no more: it is passed on or answered */
    }
}

static void set_backoff(struct troupe_ctx *ctx, struct shared *shared, uint32_t at_least_ms)
{
    const struct trp_mcp_config *config = &shared->service->config;
    uint64_t delay_ns = config->backoff_first_ns;
    for (uint32_t i = 0; i < shared->failures && delay_ns < config->backoff_max_ns; i++) {
        delay_ns *= 2;
    }
    if (delay_ns > config->backoff_max_ns) {
        delay_ns = config->backoff_max_ns;
    }
    delay_ns = delay_ns / 4 * 3 + troupe_random(ctx) % (delay_ns / 2 + 1); /* +-25 % */
    if (delay_ns < at_least_ms * UINT64_C(1000000)) {
        delay_ns = at_least_ms * UINT64_C(1000000);
    }
    shared->failures++;
    shared->state = STATE_BACKOFF;
    shared->restart_ns = troupe_now(ctx) + delay_ns;
    troupe_timer_start(ctx, &shared->timer, delay_ns, 0, MSG_TIMER);
    trp_log_warn("shared backend ended", trp_log_str("reason", shared->reason),
                 trp_log_u64("restart_ms", delay_ns / 1000000));
}

static void inner_down(struct troupe_ctx *ctx,
                       struct shared *shared,
                       const char *reason,
                       uint32_t retry_after_ms)
{
    if (shared->state == STATE_READY &&
        troupe_now(ctx) - shared->ready_ns >= shared->service->config.early_ns) {
        shared->failures = 0;
    }
    shared->inner = TROUPE_NOBODY;
    (void)snprintf(shared->reason, sizeof(shared->reason), "%s", reason);
    troupe_buf_release(shared->init_result);
    shared->init_result = NULL;
    trp_mcp_count(shared->worker, instances_down);
    set_backoff(ctx, shared, retry_after_ms);
    for (uint32_t i = 0; i < BUCKETS; i++) {
        while (shared->routes[i] != NULL) {
            struct route *route = shared->routes[i];
            shared->routes[i] = route->next;
            tell_error(ctx, shared, route->user, route->number, -32603, shared->reason);
            troupe_buf_release(route->memory);
        }
    }
    serve_waiting(ctx, shared);
}

static void timer(struct troupe_ctx *ctx, struct shared *shared)
{
    if (shared->state == STATE_STARTING) {
        troupe_ref inner = shared->inner;
        inner_down(ctx, shared, "Backend did not answer initialize in time", 0);
        troupe_stop(ctx, inner);
    } else if (shared->state == STATE_BACKOFF && start_inner(ctx, shared) != TROUPE_OK) {
        (void)snprintf(shared->reason, sizeof(shared->reason), "%s",
                       "Backend could not be started");
        set_backoff(ctx, shared, 0);
    }
}

/* --- what clients send --- */

static void
pass_request(struct troupe_ctx *ctx, struct shared *shared, struct troupe_msg *msg, uint64_t number)
{
    troupe_ref user = msg->from;
    if (!add_route(ctx, shared, number, user)) {
        tell_error(ctx, shared, user, number, -32603, troupe_status_text(TROUPE_ENOMEM));
        troupe_msg_free(ctx, msg);
        return;
    }
    enum troupe_status status = troupe_send(ctx, shared->inner, &msg);
    if (status != TROUPE_OK) {
        troupe_msg_free(ctx, msg);
        (void)route_user(shared, number, true);
        tell_error(ctx, shared, user, number, status == TROUPE_EBUSY ? -32000 : -32603,
                   status == TROUPE_EBUSY ? troupe_status_text(status)
                                          : "Backend does not take the request");
    }
}

static void wait_for_start(struct troupe_ctx *ctx,
                           struct shared *shared,
                           struct troupe_msg *msg,
                           uint64_t number)
{
    size_t len = trp_backend_text_span(msg).len;
    if (shared->waiting_count >= WAITING_MAX ||
        (shared->waiting_count != 0 &&
         shared->waiting_bytes + len > shared->service->config.child_queue_max)) {
        tell_error(ctx, shared, msg->from, number, -32000, troupe_status_text(TROUPE_EBUSY));
        troupe_msg_free(ctx, msg);
        return;
    }
    msg->next = NULL;
    if (shared->waiting_tail != NULL) {
        shared->waiting_tail->next = msg;
    } else {
        shared->waiting_head = msg;
    }
    shared->waiting_tail = msg;
    shared->waiting_count++;
    shared->waiting_bytes += len;
}

static void client_request(struct troupe_ctx *ctx,
                           struct shared *shared,
                           const struct trp_mcp_text *text,
                           struct troupe_msg *msg)
{
    uint64_t number = 0;
    (void)trp_json_u64(&text->doc, text->rpc.id, &number); /* ours: always one */
    if (shared->state == STATE_IDLE && start_inner(ctx, shared) != TROUPE_OK) {
        (void)snprintf(shared->reason, sizeof(shared->reason), "%s",
                       "Backend could not be started");
        set_backoff(ctx, shared, 0);
    }
    switch (shared->state) {
    case STATE_STARTING:
        wait_for_start(ctx, shared, msg, number);
        return;
    case STATE_READY:
        if (troupe_span_is(text->rpc.method, "initialize")) {
            tell_initialized(ctx, shared, msg->from, number);
            break;
        }
        pass_request(ctx, shared, msg, number);
        return;
    case STATE_IDLE:
    case STATE_BACKOFF:
        tell_error(ctx, shared, msg->from, number, -32603, shared->reason);
        break;
    }
    troupe_msg_free(ctx, msg);
}

static struct troupe_msg *take_waiting(struct shared *shared, uint64_t number)
{
    struct troupe_msg **link = &shared->waiting_head;
    struct troupe_msg *before = NULL;
    struct trp_mcp_text text;
    for (; *link != NULL; before = *link, link = &(*link)->next) {
        uint64_t id = 0;
        struct troupe_span bytes = trp_backend_text_span(*link);
        if (trp_mcp_text_read(shared->worker, &text, bytes, bytes.len + TROUPE_BUF_PADDING) &&
            trp_json_u64(&text.doc, text.rpc.id, &id) && id == number) {
            struct troupe_msg *msg = *link;
            *link = msg->next;
            if (shared->waiting_tail == msg) {
                shared->waiting_tail = before;
            }
            shared->waiting_count--;
            shared->waiting_bytes -= bytes.len;
            return msg;
        }
    }
    return NULL;
}

static void client_notification(struct troupe_ctx *ctx,
                                struct shared *shared,
                                const struct trp_mcp_text *text,
                                struct troupe_msg *msg)
{
    uint64_t number = 0;
    if (troupe_span_is(text->rpc.method, "notifications/initialized")) {
        struct user *user = find_user(shared, msg->from);
        TROUPE_ASSERT(user != NULL);
        user->is_initialized = true;
    } else if (trp_json_u64(&text->doc, text->rpc.request_id, &number)) {
        if (route_user(shared, number, true) != TROUPE_NOBODY) {
            if (troupe_send(ctx, shared->inner, &msg) == TROUPE_OK) {
                return;
            }
        } else {
            troupe_msg_free(ctx, take_waiting(shared, number));
        }
    }
    troupe_msg_free(ctx, msg);
}

/* Takes the message. */
static void accept_text(struct troupe_ctx *ctx, struct shared *shared, struct troupe_msg *msg)
{
    struct trp_mcp_text text;
    struct troupe_span bytes = trp_backend_text_span(msg);
    bool is_known = know_user(ctx, shared, msg->from) != NULL;
    if (!trp_mcp_text_read(shared->worker, &text, bytes, bytes.len + TROUPE_BUF_PADDING)) {
        troupe_msg_free(ctx, msg);
        return;
    }
    uint64_t number = 0;
    switch (text.rpc.kind) {
    case TRP_JSONRPC_REQUEST:
        if (is_known) {
            client_request(ctx, shared, &text, msg);
            return;
        }
        (void)trp_json_u64(&text.doc, text.rpc.id, &number);
        tell_error(ctx, shared, msg->from, number, -32603, troupe_status_text(TROUPE_ENOMEM));
        break;
    case TRP_JSONRPC_NOTIFICATION:
        if (is_known) {
            client_notification(ctx, shared, &text, msg);
            return;
        }
        break;
    case TRP_JSONRPC_RESPONSE:
    case TRP_JSONRPC_INVALID:
        break;
    }
    troupe_msg_free(ctx, msg);
}

static void client_down(struct troupe_ctx *ctx, struct shared *shared, troupe_ref ref)
{
    struct user **link = &shared->users[bucket_of(ref)];
    (void)ctx;
    while (*link != NULL && (*link)->ref != ref) {
        link = &(*link)->next;
    }
    if (*link != NULL) {
        struct user *user = *link;
        *link = user->next;
        troupe_buf_release(user->memory);
    }
    /* A client ends with open routes only at shutdown; their answers then find nobody. */
}

/* --- what the server sends --- */

static void
server_ready(struct troupe_ctx *ctx, struct shared *shared, const struct trp_mcp_text *text)
{
    struct troupe_span result = trp_jsonrpc_raw(&text->doc, text->rpc.result);
    if (result.len != 0) {
        shared->init_result = trp_backend_text_buf(ctx, result.len);
    }
    if (shared->init_result != NULL) {
        memcpy(shared->init_result->data, result.data, result.len);
        shared->init_result->size = (uint32_t)result.len;
        struct troupe_buf *buf = trp_backend_text_buf(ctx, 128);
        if (buf != NULL) {
            struct trp_text out = trp_text_init((char *)buf->data, 128);
            trp_jsonrpc_write_notification(&out, troupe_span_cstr("notifications/initialized"),
                                           troupe_span(NULL, 0));
            (void)send_own(ctx, shared, buf, out.len);
        }
    } else {
        trp_log_warn("shared backend refused initialize");
    }
    troupe_timer_cancel(ctx, &shared->timer);
    shared->state = STATE_READY;
    shared->ready_ns = troupe_now(ctx);
    serve_waiting(ctx, shared);
}

static void broadcast(struct troupe_ctx *ctx, struct shared *shared, const struct troupe_msg *msg)
{
    const struct trp_backend_text *text = troupe_msg_data(msg);
    for (uint32_t i = 0; i < BUCKETS; i++) {
        for (struct user *user = shared->users[i]; user != NULL; user = user->next) {
            if (!user->is_initialized) {
                continue;
            }
            struct troupe_msg *copy = trp_backend_text_msg(
                ctx, TRP_BACKEND_MSG_TEXT, troupe_buf_retain(text->buf), text->offset, text->len);
            if (copy != NULL) {
                trp_mcp_outbox_send(ctx, &shared->outbox, user->ref, copy);
            }
        }
    }
}

static void server_text(struct troupe_ctx *ctx, struct shared *shared, struct troupe_msg *msg)
{
    struct trp_mcp_text text;
    struct troupe_span bytes = trp_backend_text_span(msg);
    uint64_t number = 0;
    troupe_ref user = TROUPE_NOBODY;
    if (!trp_mcp_text_read(shared->worker, &text, bytes, bytes.len + TROUPE_BUF_PADDING)) {
        trp_mcp_count(shared->worker, backend_invalid);
        return;
    }
    bool is_response = text.rpc.kind == TRP_JSONRPC_RESPONSE;
    bool is_progress = troupe_span_is(text.rpc.method, "notifications/progress");
    if (trp_json_u64(&text.doc, is_response ? text.rpc.id : text.rpc.token, &number) &&
        (is_response || is_progress)) {
        user = route_user(shared, number, is_response);
    }
    if (user != TROUPE_NOBODY) {
        trp_mcp_outbox_send(ctx, &shared->outbox, user, troupe_msg_take(ctx, msg));
    } else if (is_response) {
        if (shared->state == STATE_STARTING && number == shared->init_number) {
            server_ready(ctx, shared, &text);
        } else {
            trp_mcp_count(shared->worker, late);
        }
    } else if (is_progress) {
        trp_mcp_count(shared->worker, progress_unknown);
    } else if (text.rpc.kind == TRP_JSONRPC_NOTIFICATION) {
        broadcast(ctx, shared, msg);
    } else if (text.rpc.kind == TRP_JSONRPC_REQUEST) {
        trp_mcp_count(shared->worker, server_requests);
        struct troupe_msg *reply = trp_mcp_answer_server(ctx, &text);
        if (reply != NULL && troupe_send(ctx, shared->inner, &reply) != TROUPE_OK) {
            troupe_msg_free(ctx, reply);
        }
    }
}

/* --- the actor --- */

static enum troupe_status shared_init(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct shared *shared = state;
    shared->service = *(struct trp_mcp_service *const *)arg;
    shared->worker = trp_mcp_here(shared->service, ctx);
    shared->users = calloc(BUCKETS, sizeof(struct user *));
    shared->routes = calloc(BUCKETS, sizeof(struct route *));
    return shared->users != NULL && shared->routes != NULL ? TROUPE_OK : TROUPE_ENOMEM;
}

static enum troupe_verdict
shared_receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct shared *shared = state;
    const struct trp_backend_down *down;
    const struct troupe_down *gone;
    troupe_ref ref;
    switch (msg->type) {
    case TRP_BACKEND_MSG_SEND:
        accept_text(ctx, shared, troupe_msg_take(ctx, msg));
        break;
    case TRP_BACKEND_MSG_TEXT:
        if (msg->from == shared->inner) {
            server_text(ctx, shared, msg);
        }
        break;
    case TRP_BACKEND_MSG_DOWN:
        down = troupe_msg_data(msg);
        if (msg->from == shared->inner) {
            inner_down(ctx, shared, down->reason, down->retry_after_ms);
        }
        break;
    case MSG_INNER_DOWN:
        gone = troupe_msg_data(msg);
        /* its last texts may still wait: look again behind them */
        if (gone->ref == shared->inner &&
            troupe_send_copy(ctx, troupe_self(ctx), MSG_INNER_CHECK, &gone->ref,
                             (uint32_t)sizeof(gone->ref)) != TROUPE_OK) {
            inner_down(ctx, shared, "Backend ended unexpectedly", 0);
        }
        break;
    case MSG_INNER_CHECK:
        memcpy(&ref, troupe_msg_data(msg), sizeof(ref));
        if (ref == shared->inner) {
            inner_down(ctx, shared, "Backend ended unexpectedly", 0);
        }
        break;
    case MSG_CLIENT_DOWN:
        gone = troupe_msg_data(msg);
        client_down(ctx, shared, gone->ref);
        break;
    case MSG_TIMER:
        timer(ctx, shared);
        break;
    case TRP_MCP_MSG_OUTBOX:
        trp_mcp_outbox_retry(ctx, &shared->outbox);
        break;
    default:
        break;
    }
    return TROUPE_CONTINUE;
}

static void shared_terminate(struct troupe_ctx *ctx, void *state, enum troupe_down_reason reason)
{
    struct shared *shared = state;
    struct troupe_msg *msg;
    (void)reason;
    for (uint32_t i = 0; i < BUCKETS && shared->users != NULL && shared->routes != NULL; i++) {
        while (shared->users[i] != NULL) {
            struct user *user = shared->users[i];
            shared->users[i] = user->next;
            troupe_buf_release(user->memory);
        }
        while (shared->routes[i] != NULL) {
            struct route *route = shared->routes[i];
            shared->routes[i] = route->next;
            troupe_buf_release(route->memory);
        }
    }
    while ((msg = pop_waiting(shared)) != NULL) {
        troupe_msg_free(ctx, msg);
    }
    trp_mcp_outbox_fini(ctx, &shared->outbox);
    troupe_buf_release(shared->init_result);
    if (shared->inner != TROUPE_NOBODY) {
        troupe_stop(ctx, shared->inner);
    }
    free(shared->users);
    free(shared->routes);
}

const struct troupe_actor_type trp_mcp_shared_type = {
    .name = "mcp shared backend",
    .state_size = sizeof(struct shared),
    .data_count_max = 40000,
    .data_bytes_max = 256u << 20,
    .init_cb = shared_init,
    .receive_cb = shared_receive,
    .terminate_cb = shared_terminate,
};
