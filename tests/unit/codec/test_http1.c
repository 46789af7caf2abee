#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "io/codec/http1.h"

/* ---- helpers ----------------------------------------------------------------------------------
 */

/* Parses bytes that must be a complete head; *head points into them. */
static void parse(struct trp_http1 *http,
                  struct trp_http1_head *head,
                  enum trp_http1_kind kind,
                  const char *text)
{
    size_t consumed = 0;
    trp_http1_init(http, kind);
    if (trp_http1_head(http, head, &consumed, troupe_span_cstr(text)) != TRP_HTTP1_DONE) {
        fail_msg("%s: %s", text, http->error == NULL ? "incomplete" : http->error);
    }
}

static void request(struct trp_http1_head *head, const char *text)
{
    struct trp_http1 http;
    parse(&http, head, TRP_HTTP1_REQUEST, text);
}

/* The head must be refused, whole and byte by byte. */
static void refuse(enum trp_http1_kind kind, struct troupe_span text, unsigned status)
{
    struct trp_http1 http;
    struct trp_http1_head head;
    size_t consumed = 77;
    enum trp_http1_result result = TRP_HTTP1_NEED_MORE;
    trp_http1_init(&http, kind);
    if (trp_http1_head(&http, &head, &consumed, text) != TRP_HTTP1_ERROR) {
        fail_msg("not refused: %.*s", (int)text.len, text.data);
    }
    assert_int_equal(http.status, status);
    assert_non_null(http.error);
    assert_int_equal(consumed, 77);
    assert_int_equal(trp_http1_head(&http, &head, &consumed, text), TRP_HTTP1_ERROR);
    trp_http1_init(&http, kind);
    for (size_t len = 0; len <= text.len && result == TRP_HTTP1_NEED_MORE; len++) {
        result = trp_http1_head(&http, &head, &consumed, troupe_span(text.data, len));
    }
    assert_int_equal(result, TRP_HTTP1_ERROR);
    assert_int_equal(http.status, status);
}

#define REFUSE_REQUEST(literal, status)                                                            \
    refuse(TRP_HTTP1_REQUEST, troupe_span(literal, sizeof(literal) - 1), status)
#define REFUSE_RESPONSE(literal)                                                                   \
    refuse(TRP_HTTP1_RESPONSE, troupe_span(literal, sizeof(literal) - 1), 400)

struct body {
    char data[4096];
    size_t len;
};

static void keep(void *arg, struct troupe_span piece)
{
    struct body *body = arg;
    assert_true(piece.len <= sizeof(body->data) - body->len);
    memcpy(body->data + body->len, piece.data, piece.len);
    body->len += piece.len;
}

/* ---- heads -------------------------------------------------------------------------------------
 */

static const char upgrade_request[] = "GET /chat?room=1 HTTP/1.1\r\n"
                                      "Host: server.example\r\n"
                                      "Upgrade:   WebSocket \t\r\n"
                                      "connection: keep-alive,Upgrade\r\n"
                                      "Empty:\r\n"
                                      "Accept: text/html, application/nostr+json;q=0.9\r\n"
                                      "X-Long: a b  c\r\n"
                                      "\r\n";

static void check_upgrade_request(const struct trp_http1_head *head)
{
    assert_true(troupe_span_is(head->method, "GET"));
    assert_true(troupe_span_is(head->target, "/chat?room=1"));
    assert_int_equal(head->minor, 1);
    assert_int_equal(head->status, 0);
    assert_true(head->keep_alive);
    assert_int_equal(head->body, TRP_HTTP1_BODY_NONE);
    assert_int_equal(head->header_count, 6);
    assert_true(troupe_span_is(trp_http1_value(head, "HOST"), "server.example"));
    assert_true(troupe_span_is(trp_http1_value(head, "upgrade"), "WebSocket"));
    assert_true(troupe_span_is(trp_http1_value(head, "empty"), ""));
    assert_non_null(trp_http1_value(head, "empty").data);
    assert_true(troupe_span_is(trp_http1_value(head, "x-long"), "a b  c"));
    assert_null(trp_http1_value(head, "absent").data);
}

/* The bytes move at each call and what follows the head must stay. */
static void reads_a_request_cut_anywhere(void **state)
{
    char stream[sizeof(upgrade_request) + 4];
    const size_t len = sizeof(upgrade_request) - 1;
    (void)state;
    memcpy(stream, upgrade_request, len);
    memcpy(stream + len, "\x81\x85\x01\x02", 4);
    for (size_t first = 0; first <= len + 4; first++) {
        struct trp_http1 http;
        struct trp_http1_head head;
        size_t consumed = 0;
        char *early = malloc(first + 1);
        char *late = malloc(len + 4);
        enum trp_http1_result result;
        assert_non_null(early);
        assert_non_null(late);
        memcpy(early, stream, first);
        memcpy(late, stream, len + 4);
        trp_http1_init(&http, TRP_HTTP1_REQUEST);
        result = trp_http1_head(&http, &head, &consumed, troupe_span(early, first));
        assert_int_equal(result, first < len ? TRP_HTTP1_NEED_MORE : TRP_HTTP1_DONE);
        if (result == TRP_HTTP1_NEED_MORE) {
            free(early);
            early = NULL;
            result = trp_http1_head(&http, &head, &consumed, troupe_span(late, len + 4));
        }
        assert_int_equal(result, TRP_HTTP1_DONE);
        assert_int_equal(consumed, len);
        check_upgrade_request(&head);
        free(early);
        free(late);
    }
}

static void reads_a_response(void **state)
{
    struct trp_http1 http;
    struct trp_http1_head head;
    (void)state;
    parse(&http, &head, TRP_HTTP1_RESPONSE,
          "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
          "Upgrade\r\nA: b\r\n\r\n");
    assert_int_equal(head.status, 101);
    assert_int_equal(head.body, TRP_HTTP1_BODY_NONE);
    assert_true(troupe_span_is(head.reason, "Switching Protocols"));
    assert_int_equal(head.method.len, 0);
    assert_int_equal(head.header_count, 3);
    parse(&http, &head, TRP_HTTP1_RESPONSE, "HTTP/1.0 503 \r\nRetry-After: 1\r\n\r\n");
    assert_int_equal(head.status, 503);
    assert_int_equal(head.minor, 0);
    assert_false(head.keep_alive);
    assert_int_equal(head.body, TRP_HTTP1_BODY_UNTIL_CLOSE);
    parse(&http, &head, TRP_HTTP1_RESPONSE, "HTTP/1.1 204 No Content\r\n\r\n");
    assert_int_equal(head.body, TRP_HTTP1_BODY_NONE);
}

static void knows_the_body_kind(void **state)
{
    struct trp_http1_head head;
    (void)state;
    request(&head, "POST /mcp HTTP/1.1\r\nHost: h\r\nContent-Length: 12\r\n\r\n");
    assert_int_equal(head.body, TRP_HTTP1_BODY_LENGTH);
    assert_int_equal(head.content_length, 12);
    request(&head, "POST /mcp HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(head.body, TRP_HTTP1_BODY_NONE);
    request(&head, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n");
    assert_int_equal(head.body, TRP_HTTP1_BODY_CHUNKED);
    assert_int_equal(head.content_length, 0);
    request(&head, "GET / HTTP/1.1\r\nConnection: close\r\n\r\n");
    assert_false(head.keep_alive);
    request(&head, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_true(head.keep_alive);
}

static void forgives_an_empty_line_in_front(void **state)
{
    struct trp_http1_head head;
    (void)state;
    request(&head, "\r\n\r\nGET / HTTP/1.1\r\n\r\n");
    assert_true(troupe_span_is(head.method, "GET"));
    REFUSE_REQUEST("\r\n\r\n\r\nGET / HTTP/1.1\r\n\r\n", 400);
    REFUSE_RESPONSE("\r\nHTTP/1.1 200 OK\r\n\r\n");
}

static void refuses_bad_lines(void **state)
{
    (void)state;
    REFUSE_REQUEST("GET / HTTP/1.1\n\n", 400);
    REFUSE_REQUEST("GET / HTTP/1.1\r\nA: b\nC: d\r\n\r\n", 400);
    REFUSE_REQUEST("GET / HTTP/1.1\r\nA: b\rC: d\r\n\r\n", 400);
    REFUSE_REQUEST("GET / HTTP/1.1\r\nA: b\r\r\n\r\n", 400);
    REFUSE_REQUEST("GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", 400);
    REFUSE_REQUEST("GET / HTTP/1.1\r\nA: b\r\n\tc\r\n\r\n", 400);
    REFUSE_REQUEST("GET / HTTP/1.1\r\n A: b\r\n\r\n", 400);
    REFUSE_REQUEST("GET / HTTP/1.1\r\nA: b\0c\r\n\r\n", 400);
    REFUSE_REQUEST("GET / HTTP/1.1\r\nA: b\x01\r\n\r\n", 400);
    REFUSE_REQUEST("GET / HTTP/1.1\r\nA: b\x7f\r\n\r\n", 400);
    REFUSE_REQUEST("\x16\x03\x01\x02", 400); /* a TLS client at a plain port: known at once */
}

static void refuses_bad_start_lines(void **state)
{
    (void)state;
    REFUSE_REQUEST("GET /\r\n\r\n", 400);
    REFUSE_REQUEST("GET\r\n\r\n", 400);
    REFUSE_REQUEST("BREW / HTTP/1.1\r\n\r\n", 400);
    REFUSE_REQUEST("get / HTTP/1.1\r\n\r\n", 400);
    REFUSE_REQUEST("GET / HTTP/2.0\r\n\r\n", 505);
    REFUSE_REQUEST("GET / HTTP/0.9\r\n\r\n", 505);
    REFUSE_REQUEST("GET / HTTP/1.2\r\n\r\n", 505);
    REFUSE_REQUEST("GET / HTTP/1.10\r\n\r\n", 400);
    REFUSE_REQUEST("GET / HTTP/1.1 \r\n\r\n", 400);
    REFUSE_REQUEST("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505);
    REFUSE_REQUEST("DESCRIBE rtsp://h RTSP/1.0\r\n\r\n", 400);
    REFUSE_REQUEST("CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n", 501);
    REFUSE_RESPONSE("HTTP/1.1 99 Low\r\n\r\n");
    REFUSE_RESPONSE("HTTP/1.1 2000 High\r\n\r\n");
    REFUSE_RESPONSE("HTTP/1.1 abc\r\n\r\n");
    REFUSE_RESPONSE("ICY 200 OK\r\n\r\n");
    REFUSE_RESPONSE("GET / HTTP/1.1\r\n\r\n");
}

static void refuses_what_can_be_read_two_ways(void **state)
{
    (void)state;
    REFUSE_REQUEST("POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400);
    REFUSE_REQUEST("POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", 400);
    REFUSE_REQUEST("POST / HTTP/1.1\r\nContent-Length: 1, 1\r\n\r\n", 400);
    REFUSE_REQUEST("POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400);
    REFUSE_REQUEST("POST / HTTP/1.1\r\nContent-Length: 1 2\r\n\r\n", 400);
    REFUSE_REQUEST("POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", 400);
    REFUSE_REQUEST("POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                   400);
    REFUSE_REQUEST("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
                   400);
    REFUSE_REQUEST("POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 400);
    REFUSE_REQUEST("POST / HTTP/1.1\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", 400);
    REFUSE_REQUEST("POST / HTTP/1.1\r\nTransfer-Encoding : chunked\r\n\r\n", 400);
    REFUSE_REQUEST("GET / HTTP/1.1\r\nHost : h\r\n\r\n", 400);
    REFUSE_REQUEST("GET / HTTP/1.1\r\n: h\r\n\r\n", 400);
    REFUSE_REQUEST("GET / HTTP/1.1\r\nno colon\r\n\r\n", 400);
}

static void bounds_the_head(void **state)
{
    char text[TRP_HTTP1_HEAD_MAX + 64];
    size_t len = (size_t)snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nA: ");
    struct trp_http1_head head;
    (void)state;
    memset(text + len, 'x', TRP_HTTP1_HEAD_MAX - len - 4);
    memcpy(text + TRP_HTTP1_HEAD_MAX - 4, "\r\n\r\n", 5);
    request(&head, text);
    memcpy(text + TRP_HTTP1_HEAD_MAX - 4, "x\r\n\r\n", 6);
    refuse(TRP_HTTP1_REQUEST, troupe_span_cstr(text), 431);
}

static void bounds_the_header_table(void **state)
{
    char text[4096];
    (void)state;
    for (unsigned count = 64; count <= 65; count++) {
        struct trp_http1_head head;
        size_t len = (size_t)snprintf(text, sizeof(text), "GET / HTTP/1.1\r\n");
        for (unsigned i = 0; i < count; i++) {
            len += (size_t)snprintf(text + len, sizeof(text) - len, "H%u: %u\r\n", i, i);
        }
        memcpy(text + len, "\r\n", 3);
        if (count == 64) {
            request(&head, text);
            assert_int_equal(head.header_count, 64);
            assert_true(troupe_span_is(trp_http1_value(&head, "h63"), "63"));
        } else {
            refuse(TRP_HTTP1_REQUEST, troupe_span_cstr(text), 431);
        }
    }
}

/* ---- lookup
 * -------------------------------------------------------------------------------------- */

static void finds_tokens_in_lists(void **state)
{
    struct trp_http1_head head;
    (void)state;
    request(&head, "GET / HTTP/1.1\r\nConnection: keep-alive ,\t Upgrade,\r\nX: upgrade-not\r\n"
                   "connection: last\r\nCon: Upgrade\r\n\r\n");
    assert_true(trp_http1_has_token(&head, "connection", "upgrade"));
    assert_true(trp_http1_has_token(&head, "CONNECTION", "Keep-Alive"));
    assert_true(trp_http1_has_token(&head, "connection", "last"));
    assert_false(trp_http1_has_token(&head, "connection", "keep"));
    assert_false(trp_http1_has_token(&head, "connection", "upgrades"));
    assert_false(trp_http1_has_token(&head, "x", "upgrade"));
    assert_false(trp_http1_has_token(&head, "absent", "upgrade"));
    assert_int_equal(trp_http1_count(&head, "Connection"), 2);
    assert_int_equal(trp_http1_count(&head, "absent"), 0);
}

static void knows_accepted_types(void **state)
{
    static const struct {
        const char *accept;
        bool is_accepted;
    } cases[] = {
        {"application/nostr+json", true},
        {"Application/Nostr+JSON", true},
        {"text/html, application/nostr+json;q=0.5, */*", true},
        {"application/nostr+json ; charset=utf-8", true},
        {"application/nostr+json; q=1.0", true},
        {"application/nostr+json; q=0.001", true},
        {"application/nostr+json;q=0", false},
        {"application/nostr+json; Q=0.000", false},
        {"application/nostr+json; x=0", true},
        {"application/nostr+json; q-0", true},
        {"*/*", false},
        {"application/json", false},
        {"application/nostr+jsonx", false},
        {"", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct trp_http1_head head;
        char text[256];
        snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nAccept: %s\r\n\r\n", cases[i].accept);
        request(&head, text);
        assert_int_equal(trp_http1_accepts(&head, "application/nostr+json"), cases[i].is_accepted);
    }
}

/* ---- bodies
 * -------------------------------------------------------------------------------------- */

static const char chunked[] = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                              "5\r\nhello\r\n6;name=value\r\n world\r\n1\r\n!\r\n"
                              "0\r\nTrailer: x\r\n\r\n";
static const char sized[] = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 12\r\n\r\nhello world!";

static void read_message(const char *text, size_t len, size_t cut)
{
    struct trp_http1 http;
    struct trp_http1_head head;
    struct body body = {.len = 0};
    size_t at = 0;
    size_t used = 0;
    enum trp_http1_result result;
    parse(&http, &head, TRP_HTTP1_REQUEST, text);
    at = (size_t)(strstr(text, "\r\n\r\n") - text) + 4;
    if (cut > at) {
        result = trp_http1_body(&http, &used, troupe_span(text + at, cut - at), keep, &body);
        assert_int_equal(result, cut < len ? TRP_HTTP1_NEED_MORE : TRP_HTTP1_DONE);
        at += used;
        assert_true(at == (cut < len ? cut : len));
    }
    result = trp_http1_body(&http, &used, troupe_span(text + at, strlen(text) - at), keep, &body);
    assert_int_equal(result, TRP_HTTP1_DONE);
    assert_int_equal(at + used, len);
    assert_true(troupe_span_is(troupe_span(body.data, body.len), "hello world!"));
    assert_int_equal(trp_http1_end(&http), TRP_HTTP1_DONE);
}

/* A second message follows and must be left alone. */
static void reads_bodies_cut_anywhere(void **state)
{
    char text[512];
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        const char *message = i == 0 ? chunked : sized;
        size_t len = strlen(message);
        snprintf(text, sizeof(text), "%sGET / HTTP/1.1\r\n\r\n", message);
        for (size_t cut = 0; cut <= strlen(text); cut++) {
            read_message(text, len, cut);
        }
    }
}

static void reads_bodies_up_to_the_end(void **state)
{
    struct trp_http1 http;
    struct trp_http1_head head;
    struct body body = {.len = 0};
    size_t used = 0;
    (void)state;
    parse(&http, &head, TRP_HTTP1_RESPONSE, "HTTP/1.1 200 OK\r\n\r\n");
    assert_int_equal(head.body, TRP_HTTP1_BODY_UNTIL_CLOSE);
    assert_int_equal(trp_http1_body(&http, &used, troupe_span("abc", 3), keep, &body),
                     TRP_HTTP1_NEED_MORE);
    assert_int_equal(used, 3);
    assert_int_equal(body.len, 3);
    assert_int_equal(trp_http1_end(&http), TRP_HTTP1_DONE);

    parse(&http, &head, TRP_HTTP1_RESPONSE, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n");
    assert_int_equal(trp_http1_body(&http, &used, troupe_span("abc", 3), keep, &body),
                     TRP_HTTP1_NEED_MORE);
    assert_int_equal(trp_http1_end(&http), TRP_HTTP1_ERROR);
    assert_string_equal(http.error, "connection ended inside the body");

    trp_http1_init(&http, TRP_HTTP1_RESPONSE);
    assert_int_equal(trp_http1_end(&http), TRP_HTTP1_ERROR);
    assert_string_equal(http.error, "connection ended inside the head");

    parse(&http, &head, TRP_HTTP1_REQUEST, "GET / HTTP/1.1\r\n\r\n");
    assert_int_equal(trp_http1_body(&http, &used, troupe_span("GET", 3), keep, &body),
                     TRP_HTTP1_DONE);
    assert_int_equal(used, 0);
}

static void refuses_bad_chunks(void **state)
{
    static const char *const bad[] = {"x\r\n", "5\r\nhelloX", "-1\r\n", "fffffffffffffffff\r\n"};
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct trp_http1 http;
        struct trp_http1_head head;
        struct body body = {.len = 0};
        size_t used = 0;
        parse(&http, &head, TRP_HTTP1_REQUEST, chunked);
        assert_int_equal(trp_http1_body(&http, &used, troupe_span_cstr(bad[i]), keep, &body),
                         TRP_HTTP1_ERROR);
        assert_non_null(http.error);
        assert_int_equal(trp_http1_body(&http, &used, troupe_span("0", 1), keep, &body),
                         TRP_HTTP1_ERROR);
    }
}

/* Chunk extensions and trailers without end would be work for nothing. */
static void bounds_chunk_framing(void **state)
{
    struct trp_http1 http;
    struct trp_http1_head head;
    struct body body = {.len = 0};
    char piece[1024];
    size_t used = 0;
    enum trp_http1_result result;
    unsigned rounds = 0;
    (void)state;
    memset(piece, 'x', sizeof(piece));
    parse(&http, &head, TRP_HTTP1_REQUEST, chunked);
    result = trp_http1_body(&http, &used, troupe_span("5;", 2), keep, &body);
    while (result == TRP_HTTP1_NEED_MORE && rounds < 1000) {
        result = trp_http1_body(&http, &used, troupe_span(piece, sizeof(piece)), keep, &body);
        rounds++;
    }
    assert_int_equal(result, TRP_HTTP1_ERROR);
    assert_int_equal(rounds, 64);
    assert_string_equal(http.error, "more chunk framing than body");
}

/* ---- writing and garbage
 * --------------------------------------------------------------------------- */

static void writes_a_response(void **state)
{
    char room[256];
    struct trp_text text = trp_text_init(room, sizeof(room));
    struct trp_http1_header header = {troupe_span_cstr("Retry-After"), troupe_span_cstr("3")};
    (void)state;
    assert_true(trp_http1_response_write(&text, 503, &header, 1));
    assert_true(troupe_span_is(troupe_span(room, text.len),
                               "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 3\r\n\r\n"));
    header.value = troupe_span_cstr("3\r\nSet-Cookie: x");
    assert_false(trp_http1_response_write(&text, 503, &header, 1));
    header.value = troupe_span_cstr("3");
    header.name = troupe_span_cstr("Bad Name");
    assert_false(trp_http1_response_write(&text, 503, &header, 1));
    header.name = troupe_span_cstr("");
    assert_false(trp_http1_response_write(&text, 503, &header, 1));
    assert_string_equal(trp_http1_reason(426), "Upgrade Required");
    assert_string_equal(trp_http1_reason(299), "Status");
}

static uint32_t next_random(uint32_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed;
}

static void survives_garbage(void **state)
{
    uint32_t seed = 77;
    unsigned done = 0;
    (void)state;
    for (unsigned round = 0; round < 30000; round++) {
        const char *source = round % 3 == 0 ? upgrade_request : round % 3 == 1 ? chunked : sized;
        struct troupe_span rest = {NULL, strlen(source)};
        char *text = malloc(rest.len);
        struct trp_http1 http;
        struct trp_http1_head head;
        struct body body = {.len = 0};
        size_t used = 0;
        assert_non_null(text);
        memcpy(text, source, rest.len);
        for (unsigned hits = next_random(&seed) % 4; hits > 0; hits--) {
            text[next_random(&seed) % rest.len] = (char)next_random(&seed);
        }
        trp_http1_init(&http, round % 5 == 0 ? TRP_HTTP1_RESPONSE : TRP_HTTP1_REQUEST);
        rest.data = text;
        if (trp_http1_head(&http, &head, &used, rest) == TRP_HTTP1_DONE) {
            assert_true(used <= rest.len && head.header_count <= TRP_HTTP1_HEADERS_MAX);
            rest = troupe_span(text + used, rest.len - used);
            done += trp_http1_body(&http, &used, rest, keep, &body) == TRP_HTTP1_DONE ? 1 : 0;
        }
        free(text);
    }
    assert_true(done > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_request_cut_anywhere),
        cmocka_unit_test(reads_a_response),
        cmocka_unit_test(knows_the_body_kind),
        cmocka_unit_test(forgives_an_empty_line_in_front),
        cmocka_unit_test(refuses_bad_lines),
        cmocka_unit_test(refuses_bad_start_lines),
        cmocka_unit_test(refuses_what_can_be_read_two_ways),
        cmocka_unit_test(bounds_the_head),
        cmocka_unit_test(bounds_the_header_table),
        cmocka_unit_test(finds_tokens_in_lists),
        cmocka_unit_test(knows_accepted_types),
        cmocka_unit_test(reads_bodies_cut_anywhere),
        cmocka_unit_test(reads_bodies_up_to_the_end),
        cmocka_unit_test(refuses_bad_chunks),
        cmocka_unit_test(bounds_chunk_framing),
        cmocka_unit_test(writes_a_response),
        cmocka_unit_test(survives_garbage),
    };
    return cmocka_run_group_tests_name("http1", tests, NULL, NULL);
}
