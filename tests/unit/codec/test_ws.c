#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "io/codec/ws.h"

/* ---- fixture: storage that counts, and events written down as text ------------------------ */

struct store {
    uint8_t *data;
    size_t cap;
    size_t largest_ask;
    unsigned calls;
    bool is_empty; /* true: there is no memory */
};

/* Always moves, so that a stale pointer is seen by the sanitizer. */
static void *grow(void *arg, size_t used, size_t size)
{
    struct store *store = arg;
    uint8_t *fresh;
    store->calls++;
    store->largest_ask = size > store->largest_ask ? size : store->largest_ask;
    if (store->is_empty) {
        return NULL;
    }
    fresh = malloc(size);
    assert_non_null(fresh);
    if (used > 0) {
        assert_true(used <= store->cap);
        memcpy(fresh, store->data, used);
    }
    free(store->data);
    store->data = fresh;
    store->cap = size;
    return fresh;
}

static const struct trp_ws_limits roomy = {1 << 20, 1000};

static void open_decoder(struct trp_ws_decoder *decoder,
                         struct store *store,
                         enum trp_ws_role role,
                         struct trp_ws_limits limits)
{
    struct trp_ws_storage storage = {grow, store};
    memset(store, 0, sizeof(*store));
    trp_ws_decoder_init(decoder, role, limits, storage);
}

struct log {
    char text[4096];
    size_t len;
    struct trp_ws_event last;
};

static void note(struct log *log, const struct trp_ws_event *event)
{
    static const char *const names[] = {"more", "message", "ping", "pong", "close", "error"};
    int wrote;
    log->last = *event;
    wrote = snprintf(log->text + log->len, sizeof(log->text) - log->len, "%s%s %u %zu[%.*s]\n",
                     names[event->kind],
                     event->kind == TRP_WS_MESSAGE ? event->is_text ? " text" : " binary" : "",
                     event->code, event->payload.len,
                     (int)(event->payload.len < 40 ? event->payload.len : 40), event->payload.data);
    assert_true(wrote > 0 && (size_t)wrote < sizeof(log->text) - log->len);
    log->len += (size_t)wrote;
}

/* Gives one piece of input, in memory of exactly its size. */
static void give(struct trp_ws_decoder *decoder, struct log *log, const uint8_t *data, size_t len)
{
    uint8_t *copy = malloc(len > 0 ? len : 1);
    size_t at = 0;
    struct trp_ws_event event;
    assert_non_null(copy);
    memcpy(copy, data, len);
    do {
        size_t consumed = SIZE_MAX;
        trp_ws_decode(decoder, &event, &consumed, copy + at, len - at);
        assert_true(consumed <= len - at);
        at += consumed;
        if (event.kind != TRP_WS_NEED_MORE) {
            note(log, &event);
        }
    } while (event.kind != TRP_WS_NEED_MORE && event.kind != TRP_WS_ERROR);
    assert_int_equal(at, len);
    free(copy);
}

struct wire {
    uint8_t bytes[4096];
    size_t len;
    const uint8_t *key;
};

static void
frame(struct wire *wire, enum trp_ws_opcode opcode, bool is_final, struct troupe_span payload)
{
    uint8_t *at = wire->bytes + wire->len;
    size_t head;
    assert_true(payload.len + TRP_WS_HEADER_MAX <= sizeof(wire->bytes) - wire->len);
    head = trp_ws_header_write(at, opcode, is_final, payload.len, wire->key);
    if (payload.len > 0) {
        memcpy(at + head, payload.data, payload.len);
    }
    if (wire->key != NULL) {
        trp_ws_mask(at + head, payload.len, wire->key, 0);
    }
    wire->len += head + payload.len;
}

static struct troupe_span cstr(const char *text)
{
    return troupe_span_cstr(text);
}

/* Decodes raw bytes as the role; they must end in an error with this code and text. */
static void
expect_error(enum trp_ws_role role, struct troupe_span bytes, unsigned code, const char *text)
{
    struct trp_ws_decoder decoder;
    struct store store;
    for (size_t step = 1; step <= bytes.len; step += bytes.len > 1 ? bytes.len - 1 : 1) {
        struct log log = {0};
        open_decoder(&decoder, &store, role, roomy);
        for (size_t at = 0; at < bytes.len && log.last.kind != TRP_WS_ERROR; at += step) {
            size_t len = bytes.len - at < step ? bytes.len - at : step;
            give(&decoder, &log, (const uint8_t *)bytes.data + at, len);
        }
        assert_int_equal(log.last.kind, TRP_WS_ERROR);
        assert_int_equal(log.last.code, code);
        assert_string_equal(log.last.error, text);
        assert_true(strlen(log.last.error) <= TRP_WS_REASON_MAX);
        free(store.data);
    }
}

static void expect_log(enum trp_ws_role role, struct troupe_span bytes, const char *want)
{
    struct trp_ws_decoder decoder;
    struct store store;
    struct log log = {0};
    open_decoder(&decoder, &store, role, roomy);
    give(&decoder, &log, (const uint8_t *)bytes.data, bytes.len);
    assert_string_equal(log.text, want);
    free(store.data);
}

#define BYTES(literal) troupe_span(literal, sizeof(literal) - 1)

/* ---- RFC 6455 section 5.7 ------------------------------------------------------------------ */

static void reads_the_examples_of_the_rfc(void **state)
{
    (void)state;
    expect_log(TRP_WS_CLIENT, BYTES("\x81\x05\x48\x65\x6c\x6c\x6f"), "message text 0 5[Hello]\n");
    expect_log(TRP_WS_SERVER, BYTES("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"),
               "message text 0 5[Hello]\n");
    expect_log(TRP_WS_CLIENT, BYTES("\x01\x03\x48\x65\x6c\x80\x02\x6c\x6f"),
               "message text 0 5[Hello]\n");
    expect_log(TRP_WS_CLIENT, BYTES("\x89\x05\x48\x65\x6c\x6c\x6f"), "ping 0 5[Hello]\n");
    expect_log(TRP_WS_SERVER, BYTES("\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"),
               "pong 0 5[Hello]\n");
}

static void reads_the_long_examples_of_the_rfc(void **state)
{
    static const size_t sizes[] = {256, 65536};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct trp_ws_decoder decoder;
        struct store store;
        struct trp_ws_event event;
        size_t consumed = 0;
        uint8_t *bytes = calloc(1, sizes[i] + 10);
        size_t head = sizes[i] == 256 ? 4 : 10;
        assert_non_null(bytes);
        memcpy(bytes, i == 0 ? "\x82\x7e\x01\x00" : "\x82\x7f\0\0\0\0\0\1\0\0", head);
        open_decoder(&decoder, &store, TRP_WS_CLIENT, roomy);
        trp_ws_decode(&decoder, &event, &consumed, bytes, sizes[i] + head);
        assert_int_equal(event.kind, TRP_WS_MESSAGE);
        assert_false(event.is_text);
        assert_int_equal(event.payload.len, sizes[i]);
        /* a whole frame is handed out from where it lies */
        assert_ptr_equal(event.payload.data, bytes + head);
        assert_false(event.is_assembled);
        assert_int_equal(store.calls, 0);
        assert_int_equal(consumed, sizes[i] + head);
        free(bytes);
    }
}

static void writes_the_headers_of_the_rfc(void **state)
{
    static const uint8_t key[4] = {0x37, 0xfa, 0x21, 0x3d};
    uint8_t out[TRP_WS_HEADER_MAX];
    (void)state;
    assert_int_equal(trp_ws_header_write(out, TRP_WS_OP_TEXT, true, 5, NULL), 2);
    assert_memory_equal(out, "\x81\x05", 2);
    assert_int_equal(trp_ws_header_write(out, TRP_WS_OP_TEXT, false, 3, NULL), 2);
    assert_memory_equal(out, "\x01\x03", 2);
    assert_int_equal(trp_ws_header_write(out, TRP_WS_OP_TEXT, true, 5, key), 6);
    assert_memory_equal(out, "\x81\x85\x37\xfa\x21\x3d", 6);
    assert_int_equal(trp_ws_header_write(out, TRP_WS_OP_BINARY, true, 125, NULL), 2);
    assert_int_equal(trp_ws_header_write(out, TRP_WS_OP_BINARY, true, 126, NULL), 4);
    assert_memory_equal(out, "\x82\x7e\x00\x7e", 4);
    assert_int_equal(trp_ws_header_write(out, TRP_WS_OP_BINARY, true, 65535, NULL), 4);
    assert_memory_equal(out, "\x82\x7e\xff\xff", 4);
    assert_int_equal(trp_ws_header_write(out, TRP_WS_OP_BINARY, true, 65536, key), 14);
    assert_memory_equal(out, "\x82\xff\0\0\0\0\0\1\0\0\x37\xfa\x21\x3d", 14);
}

/* ---- rules, each with its failing side ----------------------------------------------------- */

static void refuses_bad_first_bytes(void **state)
{
    static const char reserved[] = "reserved bit set without an extension";
    (void)state;
    expect_error(TRP_WS_CLIENT, BYTES("\xc1"), 1002, reserved);
    expect_error(TRP_WS_CLIENT, BYTES("\xa1"), 1002, reserved);
    expect_error(TRP_WS_CLIENT, BYTES("\x91"), 1002, reserved);
    expect_error(TRP_WS_CLIENT, BYTES("\xc9"), 1002, reserved);
    for (unsigned opcode = 0; opcode < 16; opcode++) {
        char first = (char)(0x80 | opcode);
        if ((opcode >= 3 && opcode <= 7) || opcode >= 11) {
            expect_error(TRP_WS_CLIENT, troupe_span(&first, 1), 1002, "unknown opcode");
        }
    }
    expect_error(TRP_WS_CLIENT, BYTES("\x09"), 1002, "fragmented control frame");
    expect_error(TRP_WS_CLIENT, BYTES("\x0a"), 1002, "fragmented control frame");
    expect_error(TRP_WS_CLIENT, BYTES("\x08"), 1002, "fragmented control frame");
}

static void refuses_bad_sequences(void **state)
{
    (void)state;
    expect_error(TRP_WS_CLIENT, BYTES("\x80"), 1002, "continuation of no message");
    expect_error(TRP_WS_CLIENT, BYTES("\x00"), 1002, "continuation of no message");
    expect_error(TRP_WS_CLIENT, BYTES("\x81\x01x\x80"), 1002, "continuation of no message");
    expect_error(TRP_WS_CLIENT, BYTES("\x01\x01x\x81"), 1002,
                 "new message inside a fragmented one");
    expect_error(TRP_WS_CLIENT, BYTES("\x01\x01x\x89\x00\x02"), 1002,
                 "new message inside a fragmented one");
    expect_error(TRP_WS_CLIENT, BYTES("\x01\x01x\x80\x01y\x80"), 1002,
                 "continuation of no message");
}

static void demands_masks_by_role(void **state)
{
    (void)state;
    expect_error(TRP_WS_SERVER, BYTES("\x81\x05"), 1002, "frame from a client is not masked");
    expect_error(TRP_WS_SERVER, BYTES("\x89\x00"), 1002, "frame from a client is not masked");
    expect_error(TRP_WS_CLIENT, BYTES("\x81\x85"), 1002, "frame from a server is masked");
    expect_error(TRP_WS_CLIENT, BYTES("\x8a\x80"), 1002, "frame from a server is masked");
}

static void demands_the_shortest_length(void **state)
{
    static const char shortest[] = "frame length is not in its shortest form";
    static const char top[] = "frame length has its top bit set";
    (void)state;
    expect_error(TRP_WS_CLIENT, BYTES("\x82\x7e\x00\x7d"), 1002, shortest);
    expect_error(TRP_WS_CLIENT, BYTES("\x82\x7e\x00\x00"), 1002, shortest);
    expect_error(TRP_WS_CLIENT, BYTES("\x82\x7f\0\0\0\0\0\0\xff\xff"), 1002, shortest);
    expect_error(TRP_WS_CLIENT, BYTES("\x82\x7f\0\0\0\0\0\0\0\1"), 1002, shortest);
    expect_error(TRP_WS_CLIENT, BYTES("\x82\x7f\x80\0\0\0\0\1\0\0"), 1002, top);
    expect_error(TRP_WS_CLIENT, BYTES("\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff"), 1002, top);
    expect_error(TRP_WS_CLIENT, BYTES("\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff"), 1009,
                 "message is too big");
}

static void refuses_bad_control_frames(void **state)
{
    static const char longer[] = "control frame is longer than 125 bytes";
    (void)state;
    expect_error(TRP_WS_CLIENT, BYTES("\x89\x7e"), 1002, longer);
    expect_error(TRP_WS_CLIENT, BYTES("\x8a\x7f"), 1002, longer);
    expect_error(TRP_WS_SERVER, BYTES("\x88\xfe"), 1002, longer);
    expect_error(TRP_WS_CLIENT, BYTES("\x88\x01"), 1002, "close frame with half a code");
    expect_error(TRP_WS_CLIENT, BYTES("\x88\x04\x03\xe8\xc3\x28"), 1007,
                 "close reason is not UTF-8");
    expect_error(TRP_WS_CLIENT, BYTES("\x88\x03\x03\xe8\xc3"), 1007, "close reason is not UTF-8");
}

static bool code_in_rfc_ranges(unsigned code)
{
    switch (code) {
    case 1004:
    case 1005:
    case 1006:
        return false;
    default:
        return (code >= 1000 && code <= 1014) || (code >= 3000 && code < 5000);
    }
}

static void judges_every_close_code(void **state)
{
    (void)state;
    for (unsigned code = 0; code <= UINT16_MAX; code++) {
        struct trp_ws_decoder decoder;
        struct store store;
        struct trp_ws_event event;
        size_t consumed = 0;
        uint8_t bytes[4] = {0x88, 2, (uint8_t)(code >> 8), (uint8_t)code};
        bool is_fine = code_in_rfc_ranges(code);
        open_decoder(&decoder, &store, TRP_WS_CLIENT, roomy);
        trp_ws_decode(&decoder, &event, &consumed, bytes, sizeof(bytes));
        assert_int_equal(event.kind, is_fine ? TRP_WS_CLOSE : TRP_WS_ERROR);
        assert_int_equal(event.code, is_fine ? code : 1002);
        assert_int_equal(trp_ws_code_is_valid(code), is_fine);
    }
}

static void reports_close_and_swallows_the_rest(void **state)
{
    (void)state;
    expect_log(TRP_WS_CLIENT, BYTES("\x88\x00"), "close 1005 0[]\n");
    expect_log(TRP_WS_CLIENT,
               BYTES("\x88\x05\x03\xe9"
                     "bye"
                     "\xff\xff\xff\x81\x01x"),
               "close 1001 3[bye]\n");
}

static void an_error_stays(void **state)
{
    struct trp_ws_decoder decoder;
    struct store store;
    struct log log = {0};
    (void)state;
    open_decoder(&decoder, &store, TRP_WS_CLIENT, roomy);
    give(&decoder, &log, (const uint8_t *)"\xff\x81\x01x", 4);
    give(&decoder, &log, (const uint8_t *)"\x81\x01x", 3);
    assert_string_equal(log.text, "error 1002 0[]\nerror 1002 0[]\n");
    assert_non_null(log.last.error);
}

static void text_must_be_utf8(void **state)
{
    static const char text[] = "text message is not UTF-8";
    (void)state;
    expect_error(TRP_WS_CLIENT, BYTES("\x81\x02\xc3\x28"), 1007, text);
    expect_error(TRP_WS_CLIENT, BYTES("\x81\x01\xc3"), 1007, text);
    expect_error(TRP_WS_CLIENT, BYTES("\x01\x01\xc3\x80\x00"), 1007, text);
    expect_error(TRP_WS_CLIENT, BYTES("\x01\x01\xc3\x80\x01("), 1007, text);
    /* wrong bytes are seen before the frame, let alone the message, is complete */
    expect_error(TRP_WS_CLIENT, BYTES("\x01\x10\xff"), 1007, text);
    expect_log(TRP_WS_CLIENT, BYTES("\x01\x01\xc3\x80\x01\xa9"), "message text 0 2[\xc3\xa9]\n");
    expect_log(TRP_WS_CLIENT, BYTES("\x82\x01\xff"), "message binary 0 1[\xff]\n");
}

/* A text cut off in a character must not spoil the text that follows a new start. */
static void utf8_state_is_per_message(void **state)
{
    (void)state;
    expect_log(TRP_WS_CLIENT, BYTES("\x02\x01\xc3\x80\x01\xc3\x81\x01x"),
               "message binary 0 2[\xc3\xc3]\nmessage text 0 1[x]\n");
}

static void keeps_the_size_limit(void **state)
{
    struct trp_ws_limits limits = {10, 1000};
    struct trp_ws_decoder decoder;
    struct store store;
    struct log log = {0};
    (void)state;
    open_decoder(&decoder, &store, TRP_WS_CLIENT, limits);
    give(&decoder, &log,
         (const uint8_t *)"\x82\x0a"
                          "0123456789",
         12);
    assert_string_equal(log.text, "message binary 0 10[0123456789]\n");
    give(&decoder, &log,
         (const uint8_t *)"\x02\x06"
                          "012345\x80\x04"
                          "6789",
         14);
    assert_int_equal(log.last.payload.len, 10);
    give(&decoder, &log,
         (const uint8_t *)"\x02\x06"
                          "012345\x80\x05",
         10);
    assert_int_equal(log.last.kind, TRP_WS_ERROR);
    assert_int_equal(log.last.code, 1009);
    free(store.data);
    open_decoder(&decoder, &store, TRP_WS_CLIENT, limits);
    give(&decoder, &log, (const uint8_t *)"\x82\x0b", 2);
    assert_int_equal(log.last.code, 1009);
    assert_int_equal(store.calls, 0);
}

static void keeps_the_frame_limit(void **state)
{
    struct trp_ws_limits limits = {10, 3};
    struct trp_ws_decoder decoder;
    struct store store;
    struct log log = {0};
    (void)state;
    open_decoder(&decoder, &store, TRP_WS_CLIENT, limits);
    for (unsigned i = 0; i < 2; i++) {
        give(&decoder, &log, (const uint8_t *)"\x02\x00\x89\x00\x00\x00\x89\x00\x80\x00", 10);
    }
    assert_int_equal(log.last.kind, TRP_WS_MESSAGE);
    assert_int_equal(log.last.payload.len, 0);
    give(&decoder, &log, (const uint8_t *)"\x02\x00\x00\x00\x00\x00\x80\x00", 8);
    assert_int_equal(log.last.kind, TRP_WS_ERROR);
    assert_int_equal(log.last.code, 1008);
    free(store.data);
}

static void reports_missing_memory(void **state)
{
    struct trp_ws_decoder decoder;
    struct store store;
    struct log log = {0};
    (void)state;
    open_decoder(&decoder, &store, TRP_WS_CLIENT, roomy);
    store.is_empty = true;
    give(&decoder, &log, (const uint8_t *)"\x81\x02xy", 4);
    assert_int_equal(log.last.kind, TRP_WS_MESSAGE);
    give(&decoder, &log, (const uint8_t *)"\x81\x02x", 3);
    assert_int_equal(log.last.kind, TRP_WS_ERROR);
    assert_int_equal(log.last.code, 1011);
}

/* A promised length costs no memory before bytes arrive, whatever the frame says. */
static void memory_follows_what_arrived(void **state)
{
    struct trp_ws_decoder decoder;
    struct store store;
    struct log log = {0};
    uint8_t piece[1000];
    (void)state;
    memset(piece, 'x', sizeof(piece));
    open_decoder(&decoder, &store, TRP_WS_CLIENT, roomy);
    give(&decoder, &log, (const uint8_t *)"\x82\x7f\0\0\0\0\0\x10\0\0", 10);
    assert_int_equal(store.calls, 0);
    for (size_t got = 1000; got <= 1 << 20; got += 1000) {
        give(&decoder, &log, piece, sizeof(piece));
        assert_true(store.largest_ask <= 4096 || store.largest_ask <= 2 * got);
    }
    assert_true(store.calls <= 16);
    give(&decoder, &log, piece, (1 << 20) % 1000);
    assert_int_equal(log.last.kind, TRP_WS_MESSAGE);
    assert_true(log.last.is_assembled);
    assert_int_equal(log.last.payload.len, 1 << 20);
    assert_int_equal(store.largest_ask, 1 << 20);
    free(store.data);
}

/* ---- masks ---------------------------------------------------------------------------------- */

static void masks_at_every_offset_and_length(void **state)
{
    static const uint8_t key[4] = {0x01, 0x80, 0x5a, 0xff};
    (void)state;
    for (size_t offset = 0; offset < 12; offset++) {
        for (size_t len = 0; len < 40; len++) {
            uint8_t data[48];
            for (size_t i = 0; i < sizeof(data); i++) {
                data[i] = (uint8_t)(i * 7);
            }
            trp_ws_mask(data + 1, len, key, offset);
            assert_int_equal(data[0], 0);
            for (size_t i = 1; i < sizeof(data); i++) {
                uint8_t mask = i <= len ? key[(offset + i - 1) % 4] : 0;
                assert_int_equal(data[i], (uint8_t)(i * 7) ^ mask);
            }
        }
    }
}

/* ---- streams cut at every byte --------------------------------------------------------------- */

static void build_stream(struct wire *wire)
{
    char long_text[300];
    memset(long_text, 'L', sizeof(long_text));
    frame(wire, TRP_WS_OP_TEXT, true, cstr("Gr\xc3\xbc\xc3\x9f"));
    frame(wire, TRP_WS_OP_PING, true, cstr("p1"));
    frame(wire, TRP_WS_OP_TEXT, false, cstr("a\xf0\x9f"));
    frame(wire, TRP_WS_OP_PING, true, cstr(""));
    frame(wire, TRP_WS_OP_CONTINUATION, false, cstr(""));
    frame(wire, TRP_WS_OP_PONG, true, cstr("in between"));
    frame(wire, TRP_WS_OP_CONTINUATION, false, cstr("\x98"));
    frame(wire, TRP_WS_OP_CONTINUATION, true, cstr("\x80z"));
    frame(wire, TRP_WS_OP_BINARY, true, troupe_span(long_text, 126));
    frame(wire, TRP_WS_OP_BINARY, false, cstr(""));
    frame(wire, TRP_WS_OP_CONTINUATION, true, troupe_span(long_text, sizeof(long_text)));
    frame(wire, TRP_WS_OP_TEXT, true, cstr(""));
    frame(wire, TRP_WS_OP_PONG, true, troupe_span(long_text, 125));
    frame(wire, TRP_WS_OP_CLOSE, true,
          BYTES("\x03\xe8"
                "fin"));
}

#define FORTY_L "LLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLL"

static const char stream_log[] = "message text 0 6[Gr\xc3\xbc\xc3\x9f]\n"
                                 "ping 0 2[p1]\n"
                                 "ping 0 0[]\n"
                                 "pong 0 10[in between]\n"
                                 "message text 0 6[a\xf0\x9f\x98\x80z]\n"
                                 "message binary 0 126[" FORTY_L "]\n"
                                 "message binary 0 300[" FORTY_L "]\n"
                                 "message text 0 0[]\n"
                                 "pong 0 125[" FORTY_L "]\n"
                                 "close 1000 3[fin]\n";

static void reads_a_stream_cut_at_two_places(void **state)
{
    static const uint8_t key[4] = {0xde, 0xad, 0xbe, 0xef};
    (void)state;
    for (unsigned role = 0; role < 2; role++) {
        struct wire wire = {.key = role == TRP_WS_SERVER ? key : NULL};
        build_stream(&wire);
        for (size_t first = 0; first <= wire.len; first++) {
            for (size_t gap = 0; gap < 12 && first + gap <= wire.len; gap++) {
                struct trp_ws_decoder decoder;
                struct store store;
                struct log log = {0};
                size_t second = first + gap;
                open_decoder(&decoder, &store, (enum trp_ws_role)role, roomy);
                give(&decoder, &log, wire.bytes, first);
                give(&decoder, &log, wire.bytes + first, gap);
                give(&decoder, &log, wire.bytes + second, wire.len - second);
                assert_string_equal(log.text, stream_log);
                free(store.data);
            }
        }
    }
}

static void reads_a_stream_in_equal_pieces(void **state)
{
    static const uint8_t key[4] = {0, 1, 2, 3};
    struct wire wire = {.key = key};
    (void)state;
    build_stream(&wire);
    for (size_t step = 1; step <= wire.len; step++) {
        struct trp_ws_decoder decoder;
        struct store store;
        struct log log = {0};
        open_decoder(&decoder, &store, TRP_WS_SERVER, roomy);
        for (size_t at = 0; at < wire.len; at += step) {
            give(&decoder, &log, wire.bytes + at, wire.len - at < step ? wire.len - at : step);
        }
        assert_string_equal(log.text, stream_log);
        free(store.data);
    }
}

static void knows_when_it_is_midway(void **state)
{
    struct trp_ws_decoder decoder;
    struct store store;
    struct log log = {0};
    (void)state;
    open_decoder(&decoder, &store, TRP_WS_CLIENT, roomy);
    assert_false(trp_ws_decoder_is_midway(&decoder));
    give(&decoder, &log, (const uint8_t *)"\x01", 1);
    assert_true(trp_ws_decoder_is_midway(&decoder));
    give(&decoder, &log, (const uint8_t *)"\x01", 1);
    assert_true(trp_ws_decoder_is_midway(&decoder));
    give(&decoder, &log, (const uint8_t *)"x", 1);
    assert_true(trp_ws_decoder_is_midway(&decoder));
    give(&decoder, &log, (const uint8_t *)"\x80\x00", 2);
    assert_int_equal(log.last.kind, TRP_WS_MESSAGE);
    assert_false(trp_ws_decoder_is_midway(&decoder));
    free(store.data);
}

/* ---- close payloads -------------------------------------------------------------------------- */

static void writes_close_payloads(void **state)
{
    uint8_t out[TRP_WS_CONTROL_MAX];
    char reason[200];
    (void)state;
    assert_int_equal(trp_ws_close_write(out, TRP_WS_CODE_NONE, cstr("unused")), 0);
    assert_int_equal(trp_ws_close_write(out, 1013, cstr("later")), 7);
    assert_memory_equal(out, "\x03\xf5later", 7);
    for (size_t i = 0; i + 1 < sizeof(reason); i += 2) {
        memcpy(reason + i, "\xc3\xa9", 2);
    }
    /* 123 bytes would cut a character in two */
    assert_int_equal(trp_ws_close_write(out, 1000, troupe_span(reason, sizeof(reason))), 124);
    assert_true(trp_utf8_valid(troupe_span(out + 2, 122)));
}

/* ---- garbage --------------------------------------------------------------------------------- */

static uint32_t next_random(uint32_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed;
}

/* Damaged streams in random pieces: any end is fine, reading outside is not (sanitizers look). */
static void survives_garbage(void **state)
{
    uint32_t seed = 20240229;
    struct trp_ws_limits limits = {500, 5};
    static const uint8_t key[4] = {9, 8, 7, 6};
    (void)state;
    for (unsigned round = 0; round < 20000; round++) {
        struct wire wire = {.key = round % 2 == 0 ? key : NULL};
        enum trp_ws_role role = round % 2 == 0 ? TRP_WS_SERVER : TRP_WS_CLIENT;
        struct trp_ws_decoder decoder;
        struct store store;
        struct log log = {0};
        size_t at = 0;
        build_stream(&wire);
        for (unsigned hits = next_random(&seed) % 6; hits > 0; hits--) {
            wire.bytes[next_random(&seed) % wire.len] = (uint8_t)next_random(&seed);
        }
        open_decoder(&decoder, &store, role, limits);
        while (at < wire.len && log.last.kind != TRP_WS_ERROR) {
            size_t len = next_random(&seed) % 40;
            len = len < wire.len - at ? len : wire.len - at;
            give(&decoder, &log, wire.bytes + at, len);
            at += len;
        }
        assert_true(store.largest_ask <= limits.message_max);
        free(store.data);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_examples_of_the_rfc),
        cmocka_unit_test(reads_the_long_examples_of_the_rfc),
        cmocka_unit_test(writes_the_headers_of_the_rfc),
        cmocka_unit_test(refuses_bad_first_bytes),
        cmocka_unit_test(refuses_bad_sequences),
        cmocka_unit_test(demands_masks_by_role),
        cmocka_unit_test(demands_the_shortest_length),
        cmocka_unit_test(refuses_bad_control_frames),
        cmocka_unit_test(judges_every_close_code),
        cmocka_unit_test(reports_close_and_swallows_the_rest),
        cmocka_unit_test(an_error_stays),
        cmocka_unit_test(text_must_be_utf8),
        cmocka_unit_test(utf8_state_is_per_message),
        cmocka_unit_test(keeps_the_size_limit),
        cmocka_unit_test(keeps_the_frame_limit),
        cmocka_unit_test(reports_missing_memory),
        cmocka_unit_test(memory_follows_what_arrived),
        cmocka_unit_test(masks_at_every_offset_and_length),
        cmocka_unit_test(reads_a_stream_cut_at_two_places),
        cmocka_unit_test(reads_a_stream_in_equal_pieces),
        cmocka_unit_test(knows_when_it_is_midway),
        cmocka_unit_test(writes_close_payloads),
        cmocka_unit_test(survives_garbage),
    };
    return cmocka_run_group_tests_name("ws", tests, NULL, NULL);
}
