#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "io/codec/ws_handshake.h"

/* The key and answer that RFC 6455 section 1.3 gives: the key is "the sample nonce". */
static const char sample_key[] = "dGhlIHNhbXBsZSBub25jZQ==";
static const char sample_accept[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
static const uint8_t sample_bytes[] = "the sample nonce";

static void parse(struct trp_http1_head *head, enum trp_http1_kind kind, const char *text)
{
    struct trp_http1 http;
    size_t consumed = 0;
    trp_http1_init(&http, kind);
    if (trp_http1_head(&http, head, &consumed, troupe_span_cstr(text)) != TRP_HTTP1_DONE) {
        fail_msg("%s", text);
    }
}

/* Answers a request; returns the status and leaves the response in out as a cstr. */
static unsigned answer(char *out, size_t cap, const char *request)
{
    struct trp_http1_head head;
    struct trp_text text = trp_text_init(out, cap - 1);
    struct trp_ws_refusal refusal = {0, NULL};
    bool is_open;
    parse(&head, TRP_HTTP1_REQUEST, request);
    is_open = trp_ws_handshake_answer(&text, &refusal, &head);
    assert_false(text.overflow);
    out[text.len] = '\0';
    if (is_open) {
        assert_int_equal(refusal.status, 0);
        return 101;
    }
    assert_non_null(refusal.text);
    return refusal.status;
}

static const char good_request[] = "GET /chat HTTP/1.1\r\n"
                                   "Host: server.example\r\n"
                                   "Upgrade: websocket\r\n"
                                   "Connection: Upgrade\r\n"
                                   "Sec-WebSocket-Version: 13\r\n"
                                   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

static void computes_the_accept_of_the_rfc(void **state)
{
    char accept[TRP_WS_ACCEPT_LEN];
    (void)state;
    assert_true(trp_ws_accept(accept, troupe_span_cstr(sample_key)));
    assert_memory_equal(accept, sample_accept, sizeof(accept));
}

static void accepts_a_good_request(void **state)
{
    char out[512];
    char request[512];
    (void)state;
    snprintf(request, sizeof(request), "%s%s", good_request,
             "Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Protocol: x\r\n\r\n");
    assert_int_equal(answer(out, sizeof(out), request), 101);
    /* extensions and subprotocols that were offered are not answered: nothing was chosen */
    assert_string_equal(out, "HTTP/1.1 101 Switching Protocols\r\n"
                             "Upgrade: websocket\r\n"
                             "Connection: Upgrade\r\n"
                             "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
                             "\r\n");
}

/* The good request with one line replaced, or left out when the new line is empty. */
static const struct {
    const char *line;
    const char *instead;
    unsigned status;
} changes[] = {
    {"GET /chat HTTP/1.1\r\n", "POST /chat HTTP/1.1\r\n", 400},
    {"GET /chat HTTP/1.1\r\n", "GET /chat HTTP/1.0\r\n", 400},
    {"Host: server.example\r\n", "", 400},
    {"Host: server.example\r\n", "Host:\r\n", 400},
    {"Host: server.example\r\n", "Host: a\r\nHost: b\r\n", 400},
    {"Upgrade: websocket\r\n", "", 426},
    {"Upgrade: websocket\r\n", "Upgrade: h2c\r\n", 426},
    {"Upgrade: websocket\r\n", "Upgrade: h2c, WebSocket\r\n", 101},
    {"Connection: Upgrade\r\n", "", 400},
    {"Connection: Upgrade\r\n", "Connection: close\r\n", 400},
    {"Connection: Upgrade\r\n", "Connection: keep-alive, upgrade\r\n", 101},
    {"Connection: Upgrade\r\n", "Connection: Upgrade\r\nContent-Length: 1\r\n", 400},
    {"Connection: Upgrade\r\n", "Connection: Upgrade\r\nTransfer-Encoding: chunked\r\n", 400},
    {"Sec-WebSocket-Version: 13\r\n", "", 426},
    {"Sec-WebSocket-Version: 13\r\n", "Sec-WebSocket-Version: 8\r\n", 426},
    {"Sec-WebSocket-Version: 13\r\n", "Sec-WebSocket-Version: 13, 8\r\n", 426},
    {"dGhlIHNhbXBsZSBub25jZQ==", "", 400},
    {"dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25j", 400},
    {"dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZWU=", 400},
    {"dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQQ==", 400},
    {"dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSB-b25jZQ==", 400},
    {"dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSB=b25jZQ==", 400},
    {"dGhlIHNhbXBsZSBub25jZQ==\r\n",
     "dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", 400},
};

/* Both ends of each range of the alphabet, and the bytes next to them. */
static void knows_the_base64_alphabet(void **state)
{
    (void)state;
    for (unsigned byte = 0x21; byte < 0x7f; byte++) {
        char request[512];
        char out[512];
        bool is_base64 = strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
                                (int)byte) != NULL;
        char *key;
        snprintf(request, sizeof(request), "%s\r\n", good_request);
        key = strstr(request, sample_key);
        assert_non_null(key);
        key[byte % 22] = (char)byte;
        assert_int_equal(answer(out, sizeof(out), request), is_base64 ? 101 : 400);
    }
}

static void judges_each_part_of_a_request(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        char request[1024];
        char out[512];
        const char *at = strstr(good_request, changes[i].line);
        unsigned status;
        assert_non_null(at);
        snprintf(request, sizeof(request), "%.*s%s%s\r\n", (int)(at - good_request), good_request,
                 changes[i].instead, at + strlen(changes[i].line));
        status = answer(out, sizeof(out), request);
        if (status != changes[i].status) {
            fail_msg("%s -> %s: %u", changes[i].line, changes[i].instead, status);
        }
        assert_int_equal(strstr(out, "Sec-WebSocket-Version: 13\r\n") != NULL, status == 426);
        assert_int_equal(strstr(out, "Sec-WebSocket-Accept") != NULL, status == 101);
        assert_int_equal(strstr(out, "Connection: close") != NULL, status != 101);
    }
}

/* A refusal is a complete response: its length is right and the connection ends. */
static void refusals_are_whole_responses(void **state)
{
    char out[512];
    struct trp_text text = trp_text_init(out, sizeof(out));
    struct trp_ws_refusal refusal = {503, "no room"};
    struct trp_http1 http;
    struct trp_http1_head head;
    size_t used = 0;
    (void)state;
    trp_ws_refusal_write(&text, &refusal);
    trp_http1_init(&http, TRP_HTTP1_RESPONSE);
    assert_int_equal(trp_http1_head(&http, &head, &used, troupe_span(out, text.len)),
                     TRP_HTTP1_DONE);
    assert_int_equal(head.status, 503);
    assert_false(head.keep_alive);
    assert_int_equal(head.content_length, text.len - used);
    assert_memory_equal(out + used, "no room\n", 8);
}

static void tells_an_upgrade_from_plain_http(void **state)
{
    struct trp_http1_head head;
    (void)state;
    parse(&head, TRP_HTTP1_REQUEST, "GET / HTTP/1.1\r\nAccept: application/nostr+json\r\n\r\n");
    assert_false(trp_ws_is_upgrade(&head));
    parse(&head, TRP_HTTP1_REQUEST, "GET / HTTP/1.1\r\nUpgrade: WebSocket\r\n\r\n");
    assert_true(trp_ws_is_upgrade(&head));
}

static void writes_a_request(void **state)
{
    char out[512];
    struct trp_text text = trp_text_init(out, sizeof(out) - 1);
    struct trp_url url;
    struct trp_http1_header extra = {troupe_span_cstr("User-Agent"), troupe_span_cstr("t/1")};
    const char *error = NULL;
    (void)state;
    assert_int_equal(trp_url_parse(&url, &error, troupe_span_cstr("ws://[::1]:7777/r?x=1")),
                     TROUPE_OK);
    assert_true(trp_ws_handshake_request(&text, &url, sample_bytes, &extra, 1));
    assert_false(text.overflow);
    out[text.len] = '\0';
    assert_string_equal(out, "GET /r?x=1 HTTP/1.1\r\n"
                             "Host: [::1]:7777\r\n"
                             "Upgrade: websocket\r\n"
                             "Connection: Upgrade\r\n"
                             "Sec-WebSocket-Version: 13\r\n"
                             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                             "User-Agent: t/1\r\n"
                             "\r\n");
    extra.value = troupe_span_cstr("t\r\nX: y");
    text = trp_text_init(out, sizeof(out));
    assert_false(trp_ws_handshake_request(&text, &url, sample_bytes, &extra, 1));
}

/* Our client and our server understand each other. */
static void both_roles_agree(void **state)
{
    char request[512];
    char response[512];
    struct trp_text text = trp_text_init(request, sizeof(request) - 1);
    struct trp_http1_head head;
    struct trp_url url;
    const char *error = NULL;
    uint8_t key[TRP_WS_KEY_LEN];
    (void)state;
    for (size_t i = 0; i < sizeof(key); i++) {
        key[i] = (uint8_t)(255 - 13 * i);
    }
    assert_int_equal(trp_url_parse(&url, &error, troupe_span_cstr("wss://h")), TROUPE_OK);
    assert_true(trp_ws_handshake_request(&text, &url, key, NULL, 0));
    request[text.len] = '\0';
    assert_int_equal(answer(response, sizeof(response), request), 101);
    parse(&head, TRP_HTTP1_RESPONSE, response);
    assert_null(trp_ws_handshake_check(&head, key));
    key[15] ^= 0x10;
    assert_string_equal(trp_ws_handshake_check(&head, key),
                        "Sec-WebSocket-Accept of the server does not match our key");
}

static void judge(const char *start, const char *headers, const char *want)
{
    char text[512];
    struct trp_http1_head head;
    const char *got;
    snprintf(text, sizeof(text), "%s\r\n%s\r\n", start, headers);
    parse(&head, TRP_HTTP1_RESPONSE, text);
    got = trp_ws_handshake_check(&head, sample_bytes);
    if (want == NULL) {
        assert_null(got);
    } else {
        assert_non_null(got);
        assert_string_equal(got, want);
    }
}

#define UPGRADE    "Upgrade: WebSocket\r\n"
#define CONNECTION "Connection: keep-alive, Upgrade\r\n"
#define ACCEPT     "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"

static void judges_each_part_of_a_response(void **state)
{
    static const char ok[] = "HTTP/1.1 101 Switching Protocols";
    static const char mismatch[] = "Sec-WebSocket-Accept of the server does not match our key";
    static const char other[] = "server switched to something other than WebSocket";
    static const char no_upgrade[] = "Connection header of the server does not say Upgrade";
    (void)state;
    judge(ok, UPGRADE CONNECTION ACCEPT, NULL);
    judge("HTTP/1.1 200 OK", UPGRADE CONNECTION ACCEPT, "server did not switch to WebSocket");
    judge("HTTP/1.0 101 Switching Protocols", UPGRADE CONNECTION ACCEPT,
          "server switched to WebSocket over HTTP/1.0");
    judge(ok, CONNECTION ACCEPT, other);
    judge(ok, "Upgrade: h2c\r\n" CONNECTION ACCEPT, other);
    judge(ok, UPGRADE ACCEPT, no_upgrade);
    judge(ok, UPGRADE "Connection: close\r\n" ACCEPT, no_upgrade);
    judge(ok, UPGRADE CONNECTION, mismatch);
    judge(ok, UPGRADE CONNECTION ACCEPT ACCEPT, mismatch);
    judge(ok, UPGRADE CONNECTION "Sec-WebSocket-Accept: S3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n",
          mismatch);
    judge(ok, UPGRADE CONNECTION ACCEPT "Sec-WebSocket-Extensions: permessage-deflate\r\n",
          "server chose an extension nobody asked for");
    judge(ok, UPGRADE CONNECTION ACCEPT "Sec-WebSocket-Protocol: chat\r\n",
          "server chose a subprotocol nobody asked for");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(computes_the_accept_of_the_rfc),
        cmocka_unit_test(accepts_a_good_request),
        cmocka_unit_test(judges_each_part_of_a_request),
        cmocka_unit_test(knows_the_base64_alphabet),
        cmocka_unit_test(refusals_are_whole_responses),
        cmocka_unit_test(tells_an_upgrade_from_plain_http),
        cmocka_unit_test(writes_a_request),
        cmocka_unit_test(both_roles_agree),
        cmocka_unit_test(judges_each_part_of_a_response),
    };
    return cmocka_run_group_tests_name("ws_handshake", tests, NULL, NULL);
}
