/* Clients: from a URL to a connected stream. */

#include "io/net/ws_parts.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stddef.h>
#include <troupe/assert.h>
#include <troupe/pool.h>

#define HOST_TEXT_MAX 256u

/* Payload of the message that travels to the offload thread and back. */
struct lookup {
    const struct trp_ws_conn *ws; /* who asked; compared, never followed */
    uint32_t number;
    uint16_t port;
    uint32_t count; /* addresses found */
    struct {
        union {
            struct sockaddr any;
            struct sockaddr_in in;
            struct sockaddr_in6 in6;
        } address;
        socklen_t len;
    } found[TRP_WS_ADDRESSES_MAX];
    char host[HOST_TEXT_MAX]; /* cstr */
};

TROUPE_STATIC_ASSERT(sizeof(struct lookup) <= TROUPE_MSG_PAYLOAD_MAX, "a lookup is one message");

/* On an offload thread. */
static void look_up(void *payload)
{
    struct lookup *lookup = payload;
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_ADDRCONFIG,
    };
    struct addrinfo *list = NULL;
    lookup->count = 0;
    if (getaddrinfo(lookup->host, NULL, &hints, &list) != 0) {
        return;
    }
    for (struct addrinfo *info = list; info != NULL && lookup->count < TRP_WS_ADDRESSES_MAX;
         info = info->ai_next) {
        if ((info->ai_family != AF_INET && info->ai_family != AF_INET6) ||
            info->ai_addrlen > sizeof(lookup->found[0].address)) {
            continue;
        }
        memcpy(&lookup->found[lookup->count].address, info->ai_addr, info->ai_addrlen);
        lookup->found[lookup->count].len = info->ai_addrlen;
        if (info->ai_family == AF_INET) {
            lookup->found[lookup->count].address.in.sin_port = htons(lookup->port);
        } else {
            lookup->found[lookup->count].address.in6.sin6_port = htons(lookup->port);
        }
        lookup->count++;
    }
    freeaddrinfo(list);
}

void trp_ws_dial_free(struct trp_ws_conn *ws)
{
    if (ws->dial != NULL) {
        troupe_buf_release(ws->dial->buf);
        ws->dial = NULL;
    }
}

bool trp_ws_dial_next(struct troupe_ctx *ctx, struct trp_ws_conn *ws)
{
    struct trp_ws_dial *dial = ws->dial;
    TROUPE_ASSERT(ws->state == TRP_WS_CONN_CONNECTING);
    while (dial->address_next < dial->address_count) {
        uint32_t i = dial->address_next++;
        union trp_address address;
        memset(&address, 0, sizeof(address));
        memcpy(&address, &dial->addresses[i].address, dial->addresses[i].len);
        /* one address that swallows packets must not use up the time of the others */
        uint64_t timeout_ns = ws->config->handshake_ns / dial->address_count;
        if (trp_stream_connect(ctx, &ws->stream, &address, dial->addresses[i].len, timeout_ns,
                               &ws->config->stream) == TROUPE_OK) {
            return true;
        }
    }
    return false;
}

/* Fills in the address when the host is one, or localhost. */
static bool find_literal(struct trp_ws_dial *dial)
{
    char host[INET6_ADDRSTRLEN];
    struct troupe_span text = dial->url.host;
    if (trp_http1_same(text, "localhost")) {
        text = troupe_span_cstr("127.0.0.1");
    }
    if (text.len >= sizeof(host)) {
        return false;
    }
    memcpy(host, text.data, text.len);
    host[text.len] = '\0';
    if (inet_pton(AF_INET, host, &dial->addresses[0].address.in.sin_addr) == 1) {
        dial->addresses[0].address.in.sin_family = AF_INET;
        dial->addresses[0].address.in.sin_port = htons(dial->url.port);
        dial->addresses[0].len = sizeof(struct sockaddr_in);
    } else if (inet_pton(AF_INET6, host, &dial->addresses[0].address.in6.sin6_addr) == 1) {
        dial->addresses[0].address.in6.sin6_family = AF_INET6;
        dial->addresses[0].address.in6.sin6_port = htons(dial->url.port);
        dial->addresses[0].len = sizeof(struct sockaddr_in6);
    } else {
        return false;
    }
    dial->address_count = 1;
    return true;
}

static enum troupe_status send_lookup(struct troupe_ctx *ctx, struct trp_ws_conn *ws)
{
    struct troupe_span host = ws->dial->url.host;
    if (host.len >= HOST_TEXT_MAX) {
        return TROUPE_EINVAL;
    }
    struct troupe_msg *msg = troupe_msg_new(ctx, TRP_MSG_NET_LOOKUP, sizeof(struct lookup));
    if (msg == NULL) {
        return TROUPE_ENOMEM;
    }
    struct lookup *lookup = troupe_msg_data(msg);
    memset(lookup, 0, sizeof(*lookup));
    lookup->ws = ws;
    /* a number that an earlier life of this memory has not used */
    ws->lookup = (uint32_t)troupe_random(ctx) | 1u;
    lookup->number = ws->lookup;
    lookup->port = ws->dial->url.port;
    memcpy(lookup->host, host.data, host.len);
    enum troupe_status status = troupe_offload(ctx, &msg, look_up);
    if (status != TROUPE_OK) {
        ws->lookup = 0;
        troupe_msg_free(ctx, msg);
    }
    return status;
}

bool trp_ws_dial_receive(struct troupe_ctx *ctx, struct trp_ws_conn *ws, struct troupe_msg *msg)
{
    if (msg->type != TRP_MSG_NET_LOOKUP || msg->size != sizeof(struct lookup)) {
        return false;
    }
    const struct lookup *lookup = troupe_msg_data(msg);
    if (lookup->ws != ws) {
        return false;
    }
    if (ws->state != TRP_WS_CONN_LOOKUP || ws->lookup != lookup->number) {
        return true; /* asked for by a life that is over */
    }
    struct trp_ws_dial *dial = ws->dial;
    ws->lookup = 0;
    dial->address_count = lookup->count;
    for (uint32_t i = 0; i < lookup->count; i++) {
        memcpy(&dial->addresses[i].address, &lookup->found[i].address, lookup->found[i].len);
        dial->addresses[i].len = lookup->found[i].len;
    }
    if (lookup->count == 0) {
        trp_ws_set_end(ws, TRP_WS_CODE_ABNORMAL, "host name was not found", TROUPE_ENOTFOUND);
        trp_ws_end_now(ctx, ws);
        return true;
    }
    trp_ws_set_state(ws, TRP_WS_CONN_CONNECTING);
    if (!trp_ws_dial_next(ctx, ws)) {
        trp_ws_set_end(ws, TRP_WS_CODE_ABNORMAL, "no socket for connecting", TROUPE_EIO);
        trp_ws_end_now(ctx, ws);
    }
    return true;
}

static struct trp_ws_dial *
make_dial(struct troupe_ctx *ctx, struct troupe_span url, const char **error)
{
    struct troupe_buf *buf = troupe_buf_new(ctx, (uint32_t)(sizeof(struct trp_ws_dial) + url.len));
    if (buf == NULL) {
        *error = "out of memory";
        return NULL;
    }
    struct trp_ws_dial *dial = (struct trp_ws_dial *)(void *)buf->data;
    memset(dial, 0, sizeof(*dial));
    dial->buf = buf;
    memcpy(dial->text, url.data, url.len);
    return dial;
}

enum troupe_status trp_ws_conn_connect(struct troupe_ctx *ctx,
                                       struct trp_ws_conn *ws,
                                       struct troupe_span url,
                                       const struct trp_ws_config *config,
                                       void *owner,
                                       const char **error)
{
    TROUPE_ASSERT(ws->state == TRP_WS_CONN_IDLE);
    if (url.len > TRP_URL_MAX) {
        *error = "URL is too long";
        return TROUPE_EINVAL;
    }
    struct trp_ws_dial *dial = make_dial(ctx, url, error);
    if (dial == NULL) {
        return TROUPE_ENOMEM;
    }
    enum troupe_status status = trp_url_parse(&dial->url, error, troupe_span(dial->text, url.len));
    if (status == TROUPE_OK && (!dial->url.is_websocket || dial->url.is_tls)) {
        *error = "only ws:// URLs can be connected to";
        status = TROUPE_EINVAL;
    }
    if (status == TROUPE_OK && !trp_ws_random(dial->key, sizeof(dial->key))) {
        *error = "no random bytes";
        status = TROUPE_EIO;
    }
    if (status != TROUPE_OK) {
        troupe_buf_release(dial->buf);
        return status;
    }
    bool is_literal = find_literal(dial);
    trp_ws_begin(ws, TRP_WS_CLIENT, config, owner);
    ws->dial = dial;
    if (is_literal) {
        trp_ws_set_state(ws, TRP_WS_CONN_CONNECTING);
        if (!trp_ws_dial_next(ctx, ws)) {
            *error = "no socket for connecting";
            status = TROUPE_EIO;
        }
    } else {
        trp_ws_set_state(ws, TRP_WS_CONN_LOOKUP);
        status = send_lookup(ctx, ws);
        *error = status == TROUPE_OK ? NULL : "name lookup is not possible now";
    }
    if (status != TROUPE_OK) {
        trp_ws_dial_free(ws);
        ws->state = TRP_WS_CONN_IDLE; /* nothing was begun that an event would end */
        return status;
    }
    trp_ws_set_deadline(ctx, ws, config->handshake_ns);
    return TROUPE_OK;
}
