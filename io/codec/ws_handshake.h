#ifndef IO_CODEC_WS_HANDSHAKE_H
#define IO_CODEC_WS_HANDSHAKE_H

/*
 * The opening handshake of a WebSocket (RFC 6455 section 4), both roles, offering and accepting
 * neither extensions nor subprotocols.
 *
 * Threads: any. Hashing goes through OpenSSL, which may allocate.
 */

#include <troupe/span.h>
#include <troupe/status.h>

#include "io/codec/http1.h"
#include "io/codec/text.h"
#include "io/codec/url.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TRP_WS_KEY_LEN    16 /* random bytes that the client chooses */
#define TRP_WS_ACCEPT_LEN 28 /* characters of Sec-WebSocket-Accept */

/* Why a request was refused: the HTTP status to answer and a static text for the body. */
struct trp_ws_refusal {
    unsigned status; /* 400; 426 when the request asks for no WebSocket or another version; 500 */
    const char *text;
};

/* True when the request wants a WebSocket at all (else it is plain HTTP, such as NIP-11). */
bool trp_ws_is_upgrade(const struct trp_http1_head *request);

/*
 * Server: checks a request and writes the answer, 101 or the refusal, with everything up to the
 * end of the response. true = the connection is a WebSocket after these bytes; false = refused, the
 * answer says "Connection: close", and *refusal says why. 512 bytes of room always suffice.
 */
bool trp_ws_handshake_answer(struct trp_text *out,
                             struct trp_ws_refusal *refusal,
                             const struct trp_http1_head *request);

/* Writes a refusal alone, for reasons that the handshake does not know (503 when full, 404). */
void trp_ws_refusal_write(struct trp_text *out, const struct trp_ws_refusal *refusal);

/*
 * Client: writes the request for a ws or wss URL. key: 16 unpredictable bytes, kept for the check
 * of the response. extra: header fields to add, such as User-Agent; false when one of them has a
 * control byte.
 */
bool trp_ws_handshake_request(struct trp_text *out,
                              const struct trp_url *url,
                              const uint8_t key[TRP_WS_KEY_LEN],
                              const struct trp_http1_header *extra,
                              size_t extra_count);

/*
 * Client: NULL when the server accepted, else a static text saying what is wrong (with a status
 * other than 101, response->status tells more).
 */
const char *trp_ws_handshake_check(const struct trp_http1_head *response,
                                   const uint8_t key[TRP_WS_KEY_LEN]);

/*
 * Sec-WebSocket-Accept for the text of a Sec-WebSocket-Key, 24 characters. False when SHA-1 is not
 * available (OpenSSL configured without it).
 */
bool trp_ws_accept(char out[TRP_WS_ACCEPT_LEN], struct troupe_span key_text);

#ifdef __cplusplus
}
#endif

#endif
