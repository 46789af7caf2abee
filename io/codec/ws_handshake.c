#include "io/codec/ws_handshake.h"

#include <openssl/evp.h>
#include <openssl/sha.h>

#include <troupe/assert.h>

#define KEY_TEXT_LEN 24 /* base64 of 16 bytes */

static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

bool trp_ws_accept(char out[TRP_WS_ACCEPT_LEN], struct troupe_span key_text)
{
    uint8_t input[KEY_TEXT_LEN + sizeof(guid) - 1];
    uint8_t digest[SHA_DIGEST_LENGTH];
    uint8_t base64[TRP_WS_ACCEPT_LEN + 1];
    TROUPE_ASSERT(key_text.len == KEY_TEXT_LEN);
    memcpy(input, key_text.data, KEY_TEXT_LEN);
    memcpy(input + KEY_TEXT_LEN, guid, sizeof(guid) - 1);
    if (SHA1(input, sizeof(input), digest) == NULL) {
        return false;
    }
    (void)EVP_EncodeBlock(base64, digest, (int)sizeof(digest));
    memcpy(out, base64, TRP_WS_ACCEPT_LEN);
    return true;
}

static bool is_base64(char byte)
{
    return (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') ||
           (byte >= '0' && byte <= '9') || byte == '+' || byte == '/';
}

/* 16 bytes are 22 characters and two of padding. The value itself is never needed. */
static bool is_key(struct troupe_span text)
{
    if (text.len != KEY_TEXT_LEN || memcmp(text.data + 22, "==", 2) != 0) {
        return false;
    }
    for (size_t i = 0; i < 22; i++) {
        if (!is_base64(text.data[i])) {
            return false;
        }
    }
    return true;
}

bool trp_ws_is_upgrade(const struct trp_http1_head *request)
{
    return trp_http1_has_token(request, "upgrade", "websocket");
}

static struct trp_ws_refusal refuse(unsigned status, const char *text)
{
    struct trp_ws_refusal refusal = {status, text};
    return refusal;
}

/* status 0: nothing is wrong */
static struct trp_ws_refusal check_request(const struct trp_http1_head *request)
{
    if (!troupe_span_is(request->method, "GET")) {
        return refuse(400, "a WebSocket is opened with GET");
    }
    if (request->minor < 1) {
        return refuse(400, "a WebSocket needs HTTP/1.1");
    }
    if (trp_http1_count(request, "host") != 1 || trp_http1_value(request, "host").len == 0) {
        return refuse(400, "exactly one Host header is needed");
    }
    if (request->body != TRP_HTTP1_BODY_NONE) {
        return refuse(400, "a WebSocket request has no body");
    }
    if (!trp_ws_is_upgrade(request)) {
        return refuse(426, "this address speaks WebSocket: Upgrade header is missing");
    }
    if (!trp_http1_has_token(request, "connection", "upgrade")) {
        return refuse(400, "Connection header does not say Upgrade");
    }
    if (trp_http1_count(request, "sec-websocket-version") != 1 ||
        !troupe_span_is(trp_http1_value(request, "sec-websocket-version"), "13")) {
        return refuse(426, "only WebSocket version 13 is supported");
    }
    if (trp_http1_count(request, "sec-websocket-key") != 1 ||
        !is_key(trp_http1_value(request, "sec-websocket-key"))) {
        return refuse(400, "Sec-WebSocket-Key is not 16 bytes in base64");
    }
    return refuse(0, NULL);
}

void trp_ws_refusal_write(struct trp_text *out, const struct trp_ws_refusal *refusal)
{
    trp_text_cstr(out, "HTTP/1.1 ");
    trp_text_u64(out, refusal->status);
    trp_text_cstr(out, " ");
    trp_text_cstr(out, trp_http1_reason(refusal->status));
    trp_text_cstr(out, "\r\n");
    if (refusal->status == 426) {
        trp_text_cstr(out, "Upgrade: websocket\r\nConnection: close, Upgrade\r\n");
        trp_text_cstr(out, "Sec-WebSocket-Version: 13\r\n");
    } else {
        trp_text_cstr(out, "Connection: close\r\n");
    }
    trp_text_cstr(out, "Content-Type: text/plain; charset=utf-8\r\nContent-Length: ");
    trp_text_u64(out, strlen(refusal->text) + 1);
    trp_text_cstr(out, "\r\n\r\n");
    trp_text_cstr(out, refusal->text);
    trp_text_cstr(out, "\n");
}

bool trp_ws_handshake_answer(struct trp_text *out,
                             struct trp_ws_refusal *refusal,
                             const struct trp_http1_head *request)
{
    char accept[TRP_WS_ACCEPT_LEN];
    struct trp_ws_refusal result = check_request(request);
    if (result.status == 0 &&
        !trp_ws_accept(accept, trp_http1_value(request, "sec-websocket-key"))) {
        result = refuse(500, "SHA-1 is not available on this server");
    }
    if (result.status != 0) {
        trp_ws_refusal_write(out, &result);
        *refusal = result;
        return false;
    }
    trp_text_cstr(out, "HTTP/1.1 101 Switching Protocols\r\n");
    trp_text_cstr(out, "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ");
    trp_text_bytes(out, accept, sizeof(accept));
    trp_text_cstr(out, "\r\n\r\n");
    return true;
}

static void encode_key(char out[KEY_TEXT_LEN], const uint8_t key[TRP_WS_KEY_LEN])
{
    uint8_t base64[KEY_TEXT_LEN + 1];
    (void)EVP_EncodeBlock(base64, key, TRP_WS_KEY_LEN);
    memcpy(out, base64, KEY_TEXT_LEN);
}

bool trp_ws_handshake_request(struct trp_text *out,
                              const struct trp_url *url,
                              const uint8_t key[TRP_WS_KEY_LEN],
                              const struct trp_http1_header *extra,
                              size_t extra_count)
{
    char key_text[KEY_TEXT_LEN];
    TROUPE_ASSERT(url->is_websocket);
    encode_key(key_text, key);
    trp_text_cstr(out, "GET ");
    trp_url_target_write(out, url);
    trp_text_cstr(out, " HTTP/1.1\r\nHost: ");
    trp_url_host_write(out, url);
    trp_text_cstr(out, "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n");
    trp_text_cstr(out, "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ");
    trp_text_bytes(out, key_text, sizeof(key_text));
    trp_text_cstr(out, "\r\n");
    if (!trp_http1_headers_write(out, extra, extra_count)) {
        return false;
    }
    trp_text_cstr(out, "\r\n");
    return true;
}

const char *trp_ws_handshake_check(const struct trp_http1_head *response,
                                   const uint8_t key[TRP_WS_KEY_LEN])
{
    char key_text[KEY_TEXT_LEN];
    char accept[TRP_WS_ACCEPT_LEN];
    if (response->status != 101) {
        return "server did not switch to WebSocket";
    }
    if (response->minor < 1) {
        return "server switched to WebSocket over HTTP/1.0";
    }
    if (trp_http1_count(response, "upgrade") != 1 ||
        !trp_http1_same(trp_http1_value(response, "upgrade"), "websocket")) {
        return "server switched to something other than WebSocket";
    }
    if (!trp_http1_has_token(response, "connection", "upgrade")) {
        return "Connection header of the server does not say Upgrade";
    }
    if (trp_http1_count(response, "sec-websocket-extensions") != 0) {
        return "server chose an extension nobody asked for";
    }
    if (trp_http1_count(response, "sec-websocket-protocol") != 0) {
        return "server chose a subprotocol nobody asked for";
    }
    encode_key(key_text, key);
    if (!trp_ws_accept(accept, troupe_span(key_text, sizeof(key_text)))) {
        return "SHA-1 is not available here";
    }
    if (trp_http1_count(response, "sec-websocket-accept") != 1 ||
        !troupe_span_equal(trp_http1_value(response, "sec-websocket-accept"),
                           troupe_span(accept, sizeof(accept)))) {
        return "Sec-WebSocket-Accept of the server does not match our key";
    }
    return NULL;
}
