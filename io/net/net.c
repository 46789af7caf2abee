/* The public face of listeners and streams: troupe/net.h. */

#include <troupe/net.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <troupe/assert.h>

#include "io/codec/url.h"
#include "io/net/listener.h"
#include "io/net/stream.h"
#include "pool/worker.h"

#define QUEUE_BYTES_DEFAULT  (1u << 20)
#define QUEUE_WRITES_DEFAULT 256u
#define LINGER_DEFAULT_NS    5000000000u

TROUPE_STATIC_ASSERT(TROUPE_NET_MSG == TRP_MSG_NET, "the range that the header promises");
TROUPE_STATIC_ASSERT(TROUPE_CONN_COPY_MAX == TRP_STREAM_COPY_MAX, "the maximum of the header");
TROUPE_STATIC_ASSERT(TROUPE_NET_ADDRESS_MAX >= INET6_ADDRSTRLEN + sizeof("[]:65535"),
                     "every address fits");

/* --- listening --- */

struct troupe_listener {
    struct trp_listener_set set;
    uint32_t count; /* accepting actors */
    troupe_ref refs[TROUPE_WORKERS_MAX];
    struct trp_listener_config configs[TROUPE_WORKERS_MAX]; /* read when the pool starts */
    struct trp_listener_stats stats[TROUPE_WORKERS_MAX];
};

static enum troupe_status
fail(char *error, size_t error_cap, enum troupe_status status, const char *text)
{
    if (error != NULL && error_cap > 0) {
        snprintf(error, error_cap, "%s", text);
    }
    return status;
}

enum troupe_status troupe_listener_create(struct troupe_listener **out,
                                          struct troupe_pool *pool,
                                          const struct troupe_listener_config *config,
                                          char *error,
                                          size_t error_cap)
{
    if (pool->config.driver->submit == NULL) {
        return fail(error, error_cap, TROUPE_EINVAL,
                    "a pool with sockets needs the ring driver: troupe_ring_driver()");
    }
    struct troupe_listener *listener = calloc(1, sizeof(*listener));
    if (listener == NULL) {
        return fail(error, error_cap, TROUPE_ENOMEM, "out of memory");
    }
    enum troupe_status status =
        trp_listener_open(&listener->set, config->address, troupe_pool_workers(pool),
                          config->backlog, error, error_cap);
    if (status != TROUPE_OK) {
        free(listener);
        return status;
    }
    listener->count = listener->set.count;
    for (uint32_t i = 0; i < listener->count && status == TROUPE_OK; i++) {
        listener->configs[i] = (struct trp_listener_config){
            .set = &listener->set,
            .index = i,
            .type = config->conn_type,
            .user = config->user,
            .stats = &listener->stats[i],
        };
        status = troupe_pool_spawn(pool, &listener->refs[i], i, &trp_listener_type,
                                   &listener->configs[i]);
    }
    if (status != TROUPE_OK) {
        trp_listener_close(&listener->set);
        free(listener);
        return fail(error, error_cap, status, "no room for the accepting actors");
    }
    *out = listener;
    return TROUPE_OK;
}

void troupe_listener_destroy(struct troupe_listener *listener)
{
    if (listener != NULL) {
        trp_listener_close(&listener->set);
        free(listener);
    }
}

const char *troupe_listener_address(const struct troupe_listener *listener)
{
    return listener->set.address;
}

uint16_t troupe_listener_port(const struct troupe_listener *listener)
{
    return listener->set.port;
}

enum troupe_status troupe_listener_stop(struct troupe_ctx *ctx, struct troupe_listener *listener)
{
    enum troupe_status worst = TROUPE_OK;
    for (uint32_t i = 0; i < listener->count; i++) {
        enum troupe_status status = trp_listener_stop(ctx, listener->refs[i]);
        if (status != TROUPE_OK && status != TROUPE_EDEAD) {
            worst = status;
        }
    }
    return worst;
}

void troupe_listener_stats(const struct troupe_listener *listener,
                           struct troupe_listener_stats *stats)
{
    struct troupe_listener_stats sum = {0};
    for (uint32_t i = 0; i < listener->count; i++) {
        struct trp_listener_stats one = trp_listener_stats_read(&listener->stats[i]);
        sum.accepted += one.accepted;
        sum.refused += one.refused;
        sum.pauses += one.pauses;
    }
    *stats = sum;
}

/* What a listener hands to init_cb is a struct trp_accept. */
static const struct trp_accept *inner(const struct troupe_accept *accept)
{
    return (const struct trp_accept *)(const void *)accept;
}

void *troupe_accept_user(const struct troupe_accept *accept)
{
    return inner(accept)->user;
}

uint32_t troupe_accept_uid(const struct troupe_accept *accept)
{
    return inner(accept)->uid;
}

void troupe_accept_peer(const struct troupe_accept *accept, char *text, size_t cap)
{
    const union trp_address *peer = &inner(accept)->peer;
    char host[INET6_ADDRSTRLEN] = "";
    if (cap == 0) {
        return;
    }
    text[0] = '\0';
    if (inner(accept)->peer_len == 0) {
        return;
    }
    switch (peer->any.sa_family) {
    case AF_INET:
        (void)inet_ntop(AF_INET, &peer->in.sin_addr, host, sizeof(host));
        snprintf(text, cap, "%s:%u", host, ntohs(peer->in.sin_port));
        break;
    case AF_INET6:
        (void)inet_ntop(AF_INET6, &peer->in6.sin6_addr, host, sizeof(host));
        snprintf(text, cap, "[%s]:%u", host, ntohs(peer->in6.sin6_port));
        break;
    default:
        snprintf(text, cap, "unix");
        break;
    }
}

/* --- connections --- */

/* What the words of a struct troupe_conn hold. */
struct conn {
    struct trp_stream stream; /* first: zeroed = idle */
    struct trp_stream_limits limits;
};

TROUPE_STATIC_ASSERT(sizeof(struct conn) <= sizeof(struct troupe_conn), "it fits the public type");
TROUPE_STATIC_ASSERT(_Alignof(struct conn) <= _Alignof(struct troupe_conn), "and so it may lie");

static struct conn *conn_of(struct troupe_conn *conn)
{
    return (struct conn *)(void *)conn;
}

static struct trp_stream *stream_of(struct troupe_conn *conn)
{
    return &conn_of(conn)->stream;
}

static void set_limits(struct conn *conn, const struct troupe_conn_limits *limits)
{
    const struct troupe_conn_limits none = {0};
    const struct troupe_conn_limits *wanted = limits != NULL ? limits : &none;
    TROUPE_ASSERT(trp_stream_state(&conn->stream) == TRP_STREAM_IDLE);
    conn->limits = (struct trp_stream_limits){
        .queue_bytes_max =
            wanted->queue_bytes_max != 0 ? wanted->queue_bytes_max : QUEUE_BYTES_DEFAULT,
        .queue_entries_max =
            wanted->queue_writes_max != 0 ? wanted->queue_writes_max : QUEUE_WRITES_DEFAULT,
        .linger_ns = wanted->linger_ns != 0 ? wanted->linger_ns : LINGER_DEFAULT_NS,
    };
}

void troupe_conn_accept(struct troupe_ctx *ctx,
                        struct troupe_conn *conn,
                        const struct troupe_accept *accept,
                        const struct troupe_conn_limits *limits)
{
    struct conn *made = conn_of(conn);
    int fd = trp_accept_take(inner(accept));
    TROUPE_ASSERT(fd >= 0);
    set_limits(made, limits);
    trp_stream_open(ctx, &made->stream, fd, fd, &made->limits);
    trp_stream_resume(ctx, &made->stream);
}

/* Returns the length, 0 when it is no address to connect to. */
static socklen_t parse_address(union trp_address *address, const char *text)
{
    struct trp_listen parsed;
    const char *why;
    bool is_unix = strncmp(text, "unix:", 5) == 0;
    memset(address, 0, sizeof(*address));
    if (is_unix || strchr(text, '/') != NULL) {
        const char *path = is_unix ? text + 5 : text;
        size_t len = strlen(path);
        if (len == 0 || len >= sizeof(address->un.sun_path)) {
            return 0;
        }
        address->un.sun_family = AF_UNIX;
        memcpy(address->un.sun_path, path, len + 1);
        return sizeof(address->un);
    }
    if (trp_listen_parse(&parsed, &why, troupe_span_cstr(text)) != TROUPE_OK || parsed.port == 0) {
        return 0;
    }
    if (parsed.is_ipv6) {
        address->in6.sin6_family = AF_INET6;
        address->in6.sin6_port = htons(parsed.port);
        memcpy(&address->in6.sin6_addr, parsed.bytes, 16);
        return sizeof(address->in6);
    }
    address->in.sin_family = AF_INET;
    address->in.sin_port = htons(parsed.port);
    memcpy(&address->in.sin_addr, parsed.bytes, 4);
    return sizeof(address->in);
}

enum troupe_status troupe_conn_connect(struct troupe_ctx *ctx,
                                       struct troupe_conn *conn,
                                       const char *address,
                                       uint64_t timeout_ns,
                                       const struct troupe_conn_limits *limits)
{
    struct conn *made = conn_of(conn);
    union trp_address to;
    socklen_t len = parse_address(&to, address);
    if (len == 0) {
        return TROUPE_EINVAL;
    }
    set_limits(made, limits);
    return trp_stream_connect(ctx, &made->stream, &to, len, timeout_ns, &made->limits);
}

bool troupe_conn_receive(struct troupe_ctx *ctx,
                         struct troupe_conn *conn,
                         struct troupe_msg *msg,
                         struct troupe_conn_event *event)
{
    static const uint8_t kinds[] = {
        [TRP_STREAM_NONE] = TROUPE_CONN_NONE,       [TRP_STREAM_CONNECTED] = TROUPE_CONN_CONNECTED,
        [TRP_STREAM_DATA] = TROUPE_CONN_DATA,       [TRP_STREAM_END] = TROUPE_CONN_END,
        [TRP_STREAM_DRAINED] = TROUPE_CONN_DRAINED, [TRP_STREAM_CLOSED] = TROUPE_CONN_CLOSED,
    };
    struct trp_stream_event seen;
    bool is_ours = trp_stream_receive(ctx, stream_of(conn), msg, &seen);
    TROUPE_ASSERT(seen.kind < sizeof(kinds));
    event->kind = (enum troupe_conn_event_kind)kinds[seen.kind];
    event->status = seen.status;
    event->data = troupe_span(seen.data, seen.len);
    if (event->kind == TROUPE_CONN_CONNECTED) {
        trp_stream_resume(ctx, stream_of(conn));
    }
    return is_ours;
}

enum troupe_status
troupe_conn_send(struct troupe_ctx *ctx, struct troupe_conn *conn, struct troupe_buf *buf)
{
    return trp_stream_write(ctx, stream_of(conn), buf, 0, buf->size);
}

enum troupe_status
troupe_conn_send_copy(struct troupe_ctx *ctx, struct troupe_conn *conn, struct troupe_span data)
{
    if (data.len > TROUPE_CONN_COPY_MAX) {
        return TROUPE_ETOOLARGE;
    }
    return trp_stream_write_copy(ctx, stream_of(conn), data.data, (uint32_t)data.len);
}

void troupe_conn_flush(struct troupe_ctx *ctx, struct troupe_conn *conn)
{
    trp_stream_flush(ctx, stream_of(conn));
}

uint32_t troupe_conn_queue_bytes(const struct troupe_conn *conn)
{
    return trp_stream_queue_bytes(&((const struct conn *)(const void *)conn)->stream);
}

void troupe_conn_pause(struct troupe_ctx *ctx, struct troupe_conn *conn)
{
    trp_stream_pause(ctx, stream_of(conn));
}

void troupe_conn_resume(struct troupe_ctx *ctx, struct troupe_conn *conn)
{
    trp_stream_resume(ctx, stream_of(conn));
}

void troupe_conn_close(struct troupe_ctx *ctx, struct troupe_conn *conn)
{
    trp_stream_close(ctx, stream_of(conn));
}

void troupe_conn_abort(struct troupe_ctx *ctx, struct troupe_conn *conn)
{
    trp_stream_abort(ctx, stream_of(conn), TROUPE_ECANCELED);
}

void troupe_conn_fini(struct troupe_ctx *ctx, struct troupe_conn *conn)
{
    trp_stream_fini(ctx, stream_of(conn));
}
