#include "net_harness.h"

#include "../../cmocka.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <troupe/assert.h>
#include <troupe/io.h>
#include <unistd.h>

enum {
    MSG_COMMAND = 1,
    MSG_CONNECT = 2,
};

#define FILL_SIZE 65536u

struct command {
    enum net_command_kind kind;
    uint16_t code;
    uint32_t text_len;
    char text[256];
};

struct conn {
    struct trp_ws_conn ws;
    struct net *net;
    struct net_side *side;
    struct troupe_buf *shared;
    bool is_gone;
};

static void changed(struct net *net)
{
    pthread_cond_broadcast(&net->changed);
    pthread_mutex_unlock(&net->lock);
}

/* --- connection actors of both roles --- */

static void on_open(struct troupe_ctx *ctx, void *owner, struct trp_ws_conn *ws)
{
    struct conn *conn = owner;
    (void)ws;
    pthread_mutex_lock(&conn->net->lock);
    conn->side->opened++;
    conn->side->newest = troupe_self(ctx);
    changed(conn->net);
}

static void on_message(struct troupe_ctx *ctx,
                       void *owner,
                       struct trp_ws_conn *ws,
                       struct troupe_span payload,
                       bool is_text)
{
    struct conn *conn = owner;
    struct net_side *side = conn->side;
    /* the padding must be readable: the address sanitizer looks */
    volatile char beyond = payload.data[payload.len + TROUPE_BUF_PADDING - 1];
    (void)beyond;
    if (side == &conn->net->server && !conn->net->is_silent) {
        (void)!trp_ws_conn_send_copy(ctx, ws, payload, is_text);
    }
    pthread_mutex_lock(&conn->net->lock);
    side->messages++;
    side->bytes += payload.len;
    side->was_text = is_text;
    size_t len = payload.len < sizeof(side->text) - 1 ? payload.len : sizeof(side->text) - 1;
    memcpy(side->text, payload.data, len);
    side->text[len] = '\0';
    changed(conn->net);
}

static void
on_close(struct troupe_ctx *ctx, void *owner, struct trp_ws_conn *ws, const struct trp_ws_end *end)
{
    struct conn *conn = owner;
    struct net_side *side = conn->side;
    (void)ctx;
    TROUPE_ASSERT(trp_ws_conn_state(ws) == TRP_WS_CONN_IDLE);
    TROUPE_ASSERT(!conn->is_gone);
    conn->is_gone = true;
    pthread_mutex_lock(&conn->net->lock);
    side->closed++;
    side->code = end->code;
    side->status = end->status;
    side->http_status = end->http_status;
    snprintf(side->reason, sizeof(side->reason), "%.*s", (int)end->reason.len,
             end->reason.len > 0 ? end->reason.data : "");
    changed(conn->net);
}

static void on_drained(struct troupe_ctx *ctx, void *owner, struct trp_ws_conn *ws)
{
    struct conn *conn = owner;
    (void)ctx;
    TROUPE_ASSERT(trp_ws_conn_queue_bytes(ws) == 0);
    pthread_mutex_lock(&conn->net->lock);
    conn->side->drained++;
    changed(conn->net);
}

static void on_request(struct troupe_ctx *ctx,
                       void *owner,
                       struct trp_ws_conn *ws,
                       const struct trp_ws_request *request,
                       struct trp_ws_reply *reply)
{
    static struct trp_http1_header type;
    struct conn *conn = owner;
    (void)ws;
    if (troupe_span_is(request->head->target, "/info")) {
        type.name = troupe_span_cstr("Content-Type");
        type.value = troupe_span_cstr("application/nostr+json");
        reply->status = 200;
        reply->headers = &type;
        reply->header_count = 1;
        reply->body = troupe_buf_new(ctx, 16);
        memcpy(reply->body->data, "{\"name\":\"test\"}", 15);
        reply->body->size = 15;
    } else if (troupe_span_is(request->head->target, "/full")) {
        reply->status = 503;
    }
    pthread_mutex_lock(&conn->net->lock);
    conn->side->requests++;
    changed(conn->net);
}

static void fill(struct troupe_ctx *ctx, struct conn *conn)
{
    if (conn->shared == NULL) {
        conn->shared = troupe_buf_new(ctx, FILL_SIZE);
        TROUPE_ASSERT(conn->shared != NULL);
        memset(conn->shared->data, 'x', FILL_SIZE);
        conn->shared->size = FILL_SIZE;
    }
    uint32_t sent = 0;
    while (trp_ws_conn_send(ctx, &conn->ws, conn->shared) == TROUPE_OK) {
        sent++;
        TROUPE_ASSERT(sent < 10000);
    }
    TROUPE_ASSERT(trp_ws_conn_send(ctx, &conn->ws, conn->shared) == TROUPE_EBUSY);
    pthread_mutex_lock(&conn->net->lock);
    conn->side->sent = sent;
    conn->side->queue_bytes_max = trp_ws_conn_queue_bytes(&conn->ws);
    pthread_mutex_unlock(&conn->net->lock);
}

static enum troupe_verdict
carry_out(struct troupe_ctx *ctx, struct conn *conn, const struct command *command)
{
    struct troupe_span text = troupe_span(command->text, command->text_len);
    enum troupe_verdict verdict = TROUPE_CONTINUE;
    switch (command->kind) {
    case CMD_SEND:
        (void)!trp_ws_conn_send_copy(ctx, &conn->ws, text, true);
        break;
    case CMD_CLOSE:
        trp_ws_conn_close(ctx, &conn->ws, command->code, text);
        TROUPE_ASSERT(trp_ws_conn_send_copy(ctx, &conn->ws, text, true) == TROUPE_ECLOSED);
        trp_ws_conn_close(ctx, &conn->ws, 1000, text); /* does nothing */
        break;
    case CMD_ABORT:
        trp_ws_conn_abort(ctx, &conn->ws);
        break;
    case CMD_PAUSE:
        trp_ws_conn_pause(ctx, &conn->ws);
        break;
    case CMD_RESUME:
        trp_ws_conn_resume(ctx, &conn->ws);
        break;
    case CMD_FILL:
        fill(ctx, conn);
        break;
    case CMD_STOP:
        verdict = TROUPE_STOP;
        break;
    }
    trp_ws_conn_flush(ctx, &conn->ws);
    pthread_mutex_lock(&conn->net->lock);
    conn->side->commands++;
    changed(conn->net);
    return verdict;
}

static enum troupe_verdict conn_receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct conn *conn = state;
    if (trp_ws_conn_receive(ctx, &conn->ws, msg)) {
        return conn->is_gone ? TROUPE_STOP : TROUPE_CONTINUE;
    }
    TROUPE_ASSERT(msg->type == MSG_COMMAND);
    return carry_out(ctx, conn, troupe_msg_data(msg));
}

static void conn_end(struct troupe_ctx *ctx, void *state, enum troupe_down_reason reason)
{
    struct conn *conn = state;
    bool was_idle = trp_ws_conn_state(&conn->ws) == TRP_WS_CONN_IDLE;
    (void)reason;
    trp_ws_conn_fini(ctx, &conn->ws);
    if (conn->net == NULL) {
        return;
    }
    pthread_mutex_lock(&conn->net->lock);
    if (conn->shared != NULL && was_idle && conn->shared->count != 1) {
        conn->side->leaks++;
    }
    conn->side->ended++;
    troupe_buf_release(conn->shared);
    changed(conn->net);
}

static enum troupe_status server_init(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct conn *conn = state;
    const struct trp_accept *accept = arg;
    conn->net = accept->user;
    conn->side = &conn->net->server;
    trp_ws_conn_serve(ctx, &conn->ws, trp_accept_take(accept), &conn->net->server_config, conn);
    return TROUPE_OK;
}

static enum troupe_status client_init(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct conn *conn = state;
    struct net *net = *(struct net *const *)arg;
    const char *error = NULL;
    enum troupe_status status = trp_ws_conn_connect(ctx, &conn->ws, troupe_span_cstr(net->url),
                                                    &net->client_config, conn, &error);
    TROUPE_ASSERT(status == TROUPE_OK || error != NULL);
    if (status == TROUPE_OK) {
        conn->net = net;
        conn->side = &net->client;
    }
    return status;
}

static const struct troupe_actor_type server_type = {
    .name = "server",
    .state_size = sizeof(struct conn),
    .init_cb = server_init,
    .receive_cb = conn_receive,
    .terminate_cb = conn_end,
};

static const struct troupe_actor_type client_type = {
    .name = "client",
    .state_size = sizeof(struct conn),
    .init_cb = client_init,
    .receive_cb = conn_receive,
    .terminate_cb = conn_end,
};

static enum troupe_verdict
spawner_receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct net *net = *(struct net **)troupe_msg_data(msg);
    troupe_ref ref;
    (void)state;
    enum troupe_status status = troupe_spawn(ctx, &ref, &client_type, &net);
    pthread_mutex_lock(&net->lock);
    net->connect_status = status;
    net->connects++;
    if (status == TROUPE_OK) {
        net->client.newest = ref;
    }
    changed(net);
    return TROUPE_CONTINUE;
}

static const struct troupe_actor_type spawner_type = {
    .name = "spawner",
    .receive_cb = spawner_receive,
};

/* --- life --- */

void net_init(struct net *net)
{
    static const struct trp_ws_callbacks callbacks = {
        .request_cb = on_request,
        .open_cb = on_open,
        .message_cb = on_message,
        .close_cb = on_close,
        .drained_cb = on_drained,
    };
    memset(net, 0, sizeof(*net));
    trp_ws_config_default(&net->server_config);
    trp_ws_config_default(&net->client_config);
    net->server_config.callbacks = callbacks;
    net->client_config.callbacks = callbacks;
    net->client_config.callbacks.request_cb = NULL;
    pthread_mutex_init(&net->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&net->changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

void net_start(struct net *net, uint32_t workers, const char *address)
{
    char error[512] = "";
    struct troupe_pool_config config = {
        .workers = workers,
        .pin = "none",
        .driver = troupe_ring_driver(),
    };
    assert_int_equal(troupe_pool_create(&net->pool, &config, error, sizeof(error)), TROUPE_OK);
    assert_int_equal(trp_listener_open(&net->set, address, workers, 0, error, sizeof(error)),
                     TROUPE_OK);
    net->listener_config = (struct trp_listener_config){
        .set = &net->set,
        .type = &server_type,
        .user = net,
        .stats = &net->stats,
    };
    snprintf(net->url, sizeof(net->url), "ws://localhost:%u/", net->set.port);
    assert_int_equal(
        troupe_pool_spawn(net->pool, &net->listener, 0, &trp_listener_type, &net->listener_config),
        TROUPE_OK);
    assert_int_equal(troupe_pool_spawn(net->pool, &net->spawner, 0, &spawner_type, NULL),
                     TROUPE_OK);
    if (troupe_pool_start(net->pool, error, sizeof(error)) != TROUPE_OK) {
        fprintf(stderr, "%s\n", error);
        fail();
    }
    assert_int_equal(troupe_port_open(net->pool, &net->port), TROUPE_OK);
}

void net_stop(struct net *net)
{
    troupe_port_close(net->port);
    troupe_pool_stop(net->pool);
    troupe_pool_join(net->pool);
    for (uint32_t i = 0; i < troupe_pool_workers(net->pool); i++) {
        struct troupe_worker_stats stats;
        troupe_pool_stats(net->pool, i, &stats);
        assert_int_equal(stats.accepted, stats.processed + stats.reported);
    }
    troupe_pool_destroy(net->pool);
    trp_listener_close(&net->set);
    assert_int_equal(net->server.leaks, 0);
    assert_int_equal(net->client.leaks, 0);
    pthread_cond_destroy(&net->changed);
    pthread_mutex_destroy(&net->lock);
}

void net_connect(struct net *net, const char *url)
{
    if (url != NULL) {
        snprintf(net->url, sizeof(net->url), "%s", url);
    }
    uint32_t before = net->connects;
    struct troupe_msg *msg = troupe_port_msg_new(net->port, MSG_CONNECT, sizeof(net));
    assert_non_null(msg);
    memcpy(troupe_msg_data(msg), &net, sizeof(net));
    assert_int_equal(troupe_port_send(net->port, net->spawner, &msg), TROUPE_OK);
    net_wait(net, &net->connects, before + 1);
}

void net_command(
    struct net *net, troupe_ref to, enum net_command_kind kind, uint16_t code, const char *text)
{
    struct troupe_msg *msg = troupe_port_msg_new(net->port, MSG_COMMAND, sizeof(struct command));
    assert_non_null(msg);
    struct command *command = troupe_msg_data(msg);
    memset(command, 0, sizeof(*command));
    command->kind = kind;
    command->code = code;
    command->text_len = (uint32_t)strlen(text);
    memcpy(command->text, text, command->text_len);
    assert_int_equal(troupe_port_send(net->port, to, &msg), TROUPE_OK);
}

void net_wait(struct net *net, const uint32_t *counter, uint32_t value)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += NET_WAIT_S;
    int result = 0;
    pthread_mutex_lock(&net->lock);
    while (*counter < value && result == 0) {
        result = pthread_cond_timedwait(&net->changed, &net->lock, &until);
    }
    uint32_t seen = *counter;
    pthread_mutex_unlock(&net->lock);
    if (seen < value) {
        fail_msg("waited in vain: %u of %u", seen, value);
    }
}

struct net_side net_look(struct net *net, const struct net_side *side)
{
    pthread_mutex_lock(&net->lock);
    struct net_side copy = *side;
    pthread_mutex_unlock(&net->lock);
    return copy;
}

/* --- raw peers --- */

int raw_connect(const struct net *net)
{
    union trp_address address;
    socklen_t len;
    memset(&address, 0, sizeof(address));
    if (net->set.port != 0) {
        address.in.sin_family = AF_INET;
        address.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        address.in.sin_port = htons(net->set.port);
        len = sizeof(address.in);
    } else {
        address.un.sun_family = AF_UNIX;
        snprintf(address.un.sun_path, sizeof(address.un.sun_path), "%s", net->set.address + 5);
        len = sizeof(address.un);
    }
    int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, &address.any, len), 0);
    return fd;
}

void raw_wait(int fd, short events)
{
    struct pollfd poller = {.fd = fd, .events = events};
    int count = poll(&poller, 1, NET_WAIT_S * 1000);
    if (count != 1) {
        fail_msg("socket was not ready in time");
    }
}

void raw_send(int fd, const void *data, size_t len)
{
    const char *at = data;
    while (len > 0) {
        raw_wait(fd, POLLOUT);
        ssize_t count = send(fd, at, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count < 0 && errno == EAGAIN) {
            continue;
        }
        assert_true(count > 0);
        at += count;
        len -= (size_t)count;
    }
}

void raw_send_text(int fd, const char *text)
{
    raw_send(fd, text, strlen(text));
}

size_t raw_recv_all(int fd, void *data, size_t cap)
{
    size_t len = 0;
    while (len < cap) {
        raw_wait(fd, POLLIN);
        ssize_t count = recv(fd, (char *)data + len, cap - len, MSG_DONTWAIT);
        if (count < 0 && errno == EAGAIN) {
            continue;
        }
        if (count <= 0) {
            assert_true(count == 0 || errno == ECONNRESET);
            break;
        }
        len += (size_t)count;
    }
    return len;
}

void raw_recv(int fd, void *data, size_t len)
{
    assert_int_equal(raw_recv_all(fd, data, len), len);
}

void raw_upgrade(int fd)
{
    char answer[512];
    size_t len = 0;
    raw_send_text(fd, "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                      "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    do {
        assert_true(len < sizeof(answer));
        raw_recv(fd, answer + len, 1);
        len++;
    } while (len < 4 || memcmp(answer + len - 4, "\r\n\r\n", 4) != 0);
    assert_memory_equal(answer, "HTTP/1.1 101 ", 13);
}

void raw_frame(int fd, uint8_t first_byte, const void *payload, size_t len)
{
    static const uint8_t key[4] = {1, 2, 3, 4};
    uint8_t header[TRP_WS_HEADER_MAX];
    size_t header_len = trp_ws_header_write(header, TRP_WS_OP_TEXT, true, len, key);
    header[0] = first_byte;
    uint8_t *frame = malloc(header_len + len + 1);
    assert_non_null(frame);
    memcpy(frame, header, header_len);
    if (len > 0) {
        memcpy(frame + header_len, payload, len);
    }
    trp_ws_mask(frame + header_len, len, key, 0);
    raw_send(fd, frame, header_len + len);
    free(frame);
}
