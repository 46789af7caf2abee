#ifndef IO_NET_WS_PARTS_H
#define IO_NET_WS_PARTS_H

/* What the files behind ws_conn.h share: ws_conn.c (life), ws_upgrade.c, ws_dial.c, ws_mask.c. */

#include "io/net/ws_conn.h"

#include "io/codec/url.h"

#define TRP_WS_ADDRESSES_MAX 4u
#define TRP_WS_CODE_ABNORMAL 1006 /* never on the wire */

/* What a client needs until it is open; in a counted buffer with the text of the URL behind it. */
struct trp_ws_dial {
    struct troupe_buf *buf; /* that holds this */
    struct trp_url url;     /* spans point into text */
    uint8_t key[TRP_WS_KEY_LEN];
    uint32_t address_count;
    uint32_t address_next;
    struct {
        union {
            struct sockaddr any;
            struct sockaddr_in in;
            struct sockaddr_in6 in6;
        } address;
        socklen_t len;
    } addresses[TRP_WS_ADDRESSES_MAX];
    char text[];
};

/* --- ws_conn.c --- */

void trp_ws_set_state(struct trp_ws_conn *ws, enum trp_ws_conn_state to);

/* Notes how it ended; the first cause counts. text: static, or NULL. */
void trp_ws_set_end(struct trp_ws_conn *ws,
                    uint16_t code,
                    const char *text,
                    enum troupe_status status);

/* A connection that is idle gets a new life. */
void trp_ws_begin(struct trp_ws_conn *ws,
                  enum trp_ws_role role,
                  const struct trp_ws_config *config,
                  void *owner);

/* The opening handshake is done: decoder, keepalive, open_cb. */
void trp_ws_opened(struct troupe_ctx *ctx, struct trp_ws_conn *ws);

/* No more input is looked at; the stream closes in order (what is queued is sent) or at once. */
void trp_ws_end_orderly(struct troupe_ctx *ctx, struct trp_ws_conn *ws);
void trp_ws_end_now(struct troupe_ctx *ctx, struct trp_ws_conn *ws);

/* Arms the timer for a state other than OPEN. */
void trp_ws_set_deadline(struct troupe_ctx *ctx, struct trp_ws_conn *ws, uint64_t after_ns);

/* Releases and forgets; NULL is fine. */
void trp_ws_release(struct troupe_buf **buf);

/* --- ws_upgrade.c --- */

/* Sends the request of a client whose stream is connected. */
void trp_ws_upgrade_start(struct troupe_ctx *ctx, struct trp_ws_conn *ws);

/* Reads handshake bytes; returns how many were consumed: all of them unless the state changed. */
size_t trp_ws_upgrade_feed(struct troupe_ctx *ctx,
                           struct trp_ws_conn *ws,
                           const uint8_t *data,
                           size_t len);

/* --- ws_dial.c --- */

/* Tries the next address. False when there is none left. */
bool trp_ws_dial_next(struct troupe_ctx *ctx, struct trp_ws_conn *ws);

/* A LOOKUP message: true when it belongs to this connection, however late. */
bool trp_ws_dial_receive(struct troupe_ctx *ctx, struct trp_ws_conn *ws, struct troupe_msg *msg);

void trp_ws_dial_free(struct trp_ws_conn *ws);

/* --- ws_mask.c --- */

/*
 * Unpredictable bytes for masks and keys (RFC 6455 section 10.3), from the DRBG of OpenSSL, drawn
 * 1 KiB at a time per thread. False when OpenSSL has none. Threads: any.
 */
bool trp_ws_random(uint8_t *out, uint32_t len);

#endif
