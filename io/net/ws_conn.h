#ifndef IO_NET_WS_CONN_H
#define IO_NET_WS_CONN_H

/*
 * A WebSocket connection (RFC 6455, no extensions, no subprotocols) inside the state of the actor
 * that owns it, in either role: stream, codec, opening and closing handshake, keepalive.
 *
 * The owner's receive_cb gives every message first to trp_ws_conn_receive; the struct answers
 * through a table of callbacks, which run inside the owner's turn:
 *
 *     serve or connect -> open_cb -> { message_cb | drained_cb }* -> close_cb
 *
 * close_cb is called exactly once for each serve or connect that was accepted, also when open_cb
 * never was, and always from trp_ws_conn_receive. After it nothing is held and the struct may be
 * used again (from inside close_cb too) or freed with its actor.
 *
 *     static enum troupe_verdict receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *m)
 *     {
 *         struct client *client = state;
 *         if (trp_ws_conn_receive(ctx, &client->ws, m)) {
 *             return client->is_gone ? TROUPE_STOP : TROUPE_CONTINUE;   // set by close_cb
 *         }
 *         ... own messages: trp_ws_conn_send(ctx, &client->ws, buf) ...
 *         trp_ws_conn_flush(ctx, &client->ws);
 *         return TROUPE_CONTINUE;
 *     }
 *
 * Callbacks may call send, close, abort, pause and resume; trp_ws_conn_receive flushes at its end.
 * Sends made elsewhere are flushed by the owner, once at the end of its handler.
 *
 * Threads: the owner's worker.
 */

#include "io/codec/http1.h"
#include "io/codec/ws.h"
#include "io/codec/ws_handshake.h"
#include "io/net/stream.h"

struct trp_ws_conn;
struct trp_ws_dial;

/* What a finished connection ended with. */
struct trp_ws_end {
    uint16_t code; /* the peer's close code (1005 = it gave none); 1006 when it sent no close frame;
                      for a violation by the peer the code that we sent */
    struct troupe_span reason; /* the peer's reason (cut to 123 bytes), or our text of what was
                                  wrong; may be empty; valid during the callback */
    enum troupe_status status; /* TROUPE_OK: closing handshake done, or a plain HTTP answer;
                                  TROUPE_EPROTO: the peer broke a rule, or refused the upgrade;
                                  TROUPE_ETOOLARGE: message over the limit;
                                  TROUPE_EEXPIRED: handshake, keepalive or close timed out;
                                  TROUPE_ECANCELED: trp_ws_conn_abort;
                                  TROUPE_ENOTFOUND: the name was not found;
                                  TROUPE_EIO and others: the connection failed */
    unsigned http_status;      /* client: answer of a server that did not upgrade; else 0 */
};

/* A request at the server. All spans point into head and live during the callback. */
struct trp_ws_request {
    const struct trp_http1_head *head; /* method, target, headers */
    bool is_upgrade;                   /* asks for a WebSocket */
};

/*
 * What the request callback answers. Zeroed when it is called; status 0 means: upgrade it if it is
 * one, otherwise 426.
 */
struct trp_ws_reply {
    unsigned status;                        /* 200, 404, 503 ... */
    const struct trp_http1_header *headers; /* extra fields; must live until the callback returned
                                               to its caller (static, or in the owner's state) */
    size_t header_count;                    /* at most 8; Content-Type among them */
    struct troupe_buf *body;                /* optional; the reference passes to the connection */
};

struct trp_ws_callbacks {
    /*
     * Server, optional: a complete request head, before anything is answered. GET and HEAD of
     * plain HTTP and upgrades come here; other methods are answered 405.
     */
    void (*request_cb)(struct troupe_ctx *ctx,
                       void *owner,
                       struct trp_ws_conn *ws,
                       const struct trp_ws_request *request,
                       struct trp_ws_reply *reply);
    /* The opening handshake is done; sending is possible from here on. */
    void (*open_cb)(struct troupe_ctx *ctx, void *owner, struct trp_ws_conn *ws);
    /*
     * A whole message. The payload is valid during the callback, writable nowhere, with at least
     * 64 readable bytes behind it. Text was checked to be UTF-8.
     */
    void (*message_cb)(struct troupe_ctx *ctx,
                       void *owner,
                       struct trp_ws_conn *ws,
                       struct troupe_span payload,
                       bool is_text);
    /* The end, see struct trp_ws_end. */
    void (*close_cb)(struct troupe_ctx *ctx,
                     void *owner,
                     struct trp_ws_conn *ws,
                     const struct trp_ws_end *end);
    /* Optional: everything queued was sent. */
    void (*drained_cb)(struct troupe_ctx *ctx, void *owner, struct trp_ws_conn *ws);
};

/* Shared by many connections, must outlive them. */
struct trp_ws_config {
    struct trp_ws_callbacks callbacks;
    struct trp_stream_limits stream; /* write queue; linger_ns bounds the end of the TCP stream */
    uint32_t message_max;            /* payload bytes of one message received */
    uint32_t fragments_max;          /* frames that one message may be cut into */
    uint32_t turn_frames_max;        /* events handled in one turn; the rest follows in the next */
    uint32_t head_max;               /* bytes of an HTTP head, at most TRP_HTTP1_HEAD_MAX */
    uint64_t handshake_ns;           /* limit of the opening handshake, from serve or connect; the
                                        client's includes name lookup and connect */
    uint64_t close_ns;               /* from our close frame to the peer's */
    uint64_t ping_after_ns;          /* silence of the peer after which it is pinged; 0 = never */
    uint64_t dead_after_ns;          /* silence after which the connection is given up; 0 = never.
                                        Silence is not counted while receiving is paused */
};

/*
 * Sensible values: queue 4 MiB and 1024 entries, linger 2 s, message 1 MiB, 1024 fragments, 256
 * events a turn, head 8 KiB, handshake 10 s, close 5 s, ping after 30 s, dead after 75 s. The
 * caller sets the callbacks.
 */
void trp_ws_config_default(struct trp_ws_config *config);

enum trp_ws_conn_state {
    TRP_WS_CONN_IDLE = 0,   /* nothing is held */
    TRP_WS_CONN_LOOKUP,     /* client: the name is being looked up */
    TRP_WS_CONN_CONNECTING, /* client: connecting */
    TRP_WS_CONN_HANDSHAKE,  /* reading the request or the response */
    TRP_WS_CONN_OPEN,
    TRP_WS_CONN_CLOSING, /* our close frame is sent, the peer's is awaited */
    TRP_WS_CONN_ENDING,  /* the stream is closing; input is dropped */
    TRP_WS_CONN_STATES,
};

/* Fields are private; read through the functions below. */
struct trp_ws_conn {
    struct trp_stream stream;
    struct troupe_timer timer; /* handshake, keepalive or close */
    const struct trp_ws_config *config;
    void *owner;
    struct troupe_ctx *ctx;     /* of the turn that decodes, for the storage callback */
    struct troupe_buf *storage; /* a head or a message being put together */
    struct troupe_buf *backlog; /* input not decoded yet: long turn or paused */
    struct trp_ws_dial *dial;   /* client: URL, key, addresses; until open */
    uint64_t heard_ns;          /* when the peer was last heard */
    uint64_t deadline_ns;       /* of the timer, except in OPEN */
    uint32_t backlog_at;        /* how much of the backlog is decoded */
    uint32_t lookup;            /* number of the lookup awaited, 0 = none */
    uint8_t state;              /* enum trp_ws_conn_state */
    uint8_t role;               /* enum trp_ws_role */
    int8_t end_status;          /* struct trp_ws_end, collected until close_cb */
    uint16_t end_code;
    uint16_t end_http_status;
    bool is_end_known;             /* the first cause counts */
    bool is_paused;                /* by the owner */
    bool is_continuing;            /* a CONTINUE message or its timer is under way */
    bool is_peer_ended;            /* seen while the backlog was not used up */
    bool is_ping_sent;             /* since the peer was last heard */
    const char *end_text;          /* a static reason, or */
    struct troupe_buf *end_reason; /* the one of the peer */
    union {
        struct trp_http1 http;         /* until open */
        struct trp_ws_decoder decoder; /* from then on */
    };
};

/*
 * Server: takes over an accepted socket and waits for a request. Call it from init_cb or a handler.
 */
void trp_ws_conn_serve(struct troupe_ctx *ctx,
                       struct trp_ws_conn *ws,
                       int fd,
                       const struct trp_ws_config *config,
                       void *owner);

/*
 * Client: connects to ws://host:port/path. Addresses and localhost (127.0.0.1) are used directly,
 * other names are looked up on an offload thread, and up to 4 of their addresses are tried in turn.
 *
 * TROUPE_OK: close_cb will follow, after open_cb when all went well; TROUPE_EINVAL with *error (a
 * static text) for a URL that is none, and for wss; TROUPE_ENOMEM; TROUPE_EBUSY when the offload
 * queue is full; TROUPE_EIO
 */
enum troupe_status trp_ws_conn_connect(struct troupe_ctx *ctx,
                                       struct trp_ws_conn *ws,
                                       struct troupe_span url,
                                       const struct trp_ws_config *config,
                                       void *owner,
                                       const char **error) TROUPE_MUST_USE;

/* Hands a message to the connection; false when it is not for it. */
bool trp_ws_conn_receive(struct troupe_ctx *ctx, struct trp_ws_conn *ws, struct troupe_msg *msg);

/*
 * Sends the content of a buffer as one text message (UTF-8, the caller's duty). The connection
 * takes its own reference; in the server role the bytes are not copied, so one buffer can go to any
 * number of connections; in the client role they are copied because they must be masked. Masks come
 * from the DRBG of OpenSSL (RAND_bytes), drawn in advance per thread.
 *
 * TROUPE_OK; TROUPE_EBUSY when the queue is full (drained_cb follows); TROUPE_ECLOSED unless open;
 * TROUPE_ENOMEM; TROUPE_EIO when there is no randomness
 */
enum troupe_status trp_ws_conn_send(struct troupe_ctx *ctx,
                                    struct trp_ws_conn *ws,
                                    struct troupe_buf *buf) TROUPE_MUST_USE;

/* The same for bytes of any kind, copied; up to TRP_STREAM_COPY_MAX - 14 bytes stay in the slab. */
enum troupe_status trp_ws_conn_send_copy(struct troupe_ctx *ctx,
                                         struct trp_ws_conn *ws,
                                         struct troupe_span payload,
                                         bool is_text) TROUPE_MUST_USE;

/* Starts sending what the owner queued outside of a callback. */
void trp_ws_conn_flush(struct troupe_ctx *ctx, struct trp_ws_conn *ws);

/*
 * Closing handshake: what is queued is sent, then a close frame with this code (1000, 1001 when the
 * server stops, 1008, 1013 ...) and reason, then the peer's close is awaited for close_ns. Messages
 * that arrive meanwhile are dropped. Before open the connection is ended without a frame. A second
 * call does nothing.
 */
void trp_ws_conn_close(struct troupe_ctx *ctx,
                       struct trp_ws_conn *ws,
                       uint16_t code,
                       struct troupe_span reason);

/* Ends at once without a close frame; close_cb follows. */
void trp_ws_conn_abort(struct troupe_ctx *ctx, struct trp_ws_conn *ws);

/*
 * Back-pressure: after pause no message_cb follows until resume; the kernel's buffer fills and
 * then the peer's. Input that had arrived before is kept (bounded by the driver's buffers).
 */
void trp_ws_conn_pause(struct troupe_ctx *ctx, struct trp_ws_conn *ws);
void trp_ws_conn_resume(struct troupe_ctx *ctx, struct trp_ws_conn *ws);

/* For terminate_cb: ends everything without callbacks. Safe when idle. */
void trp_ws_conn_fini(struct troupe_ctx *ctx, struct trp_ws_conn *ws);

static inline enum trp_ws_conn_state trp_ws_conn_state(const struct trp_ws_conn *ws)
{
    return (enum trp_ws_conn_state)ws->state;
}

static inline bool trp_ws_conn_is_open(const struct trp_ws_conn *ws)
{
    return ws->state == TRP_WS_CONN_OPEN;
}

/* Bytes not sent yet: for policies about slow readers. */
static inline uint32_t trp_ws_conn_queue_bytes(const struct trp_ws_conn *ws)
{
    return trp_stream_queue_bytes(&ws->stream);
}

#endif
