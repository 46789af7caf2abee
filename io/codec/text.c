#include "io/codec/text.h"

#include <troupe/assert.h>

#define ONES UINT64_C(0x0101010101010101)
#define TOPS UINT64_C(0x8080808080808080)

static uint64_t load_word(const uint8_t *bytes)
{
    uint64_t word;
    memcpy(&word, bytes, sizeof(word));
    return word;
}

void trp_text_bytes(struct trp_text *text, const void *data, size_t len)
{
    TROUPE_ASSERT(text->len <= text->cap);
    text->needed += len;
    if (text->overflow || len > text->cap - text->len) {
        text->overflow = text->overflow || len > 0;
        return;
    }
    if (len > 0) {
        memcpy(text->data + text->len, data, len);
        text->len += len;
    }
}

void trp_text_cstr(struct trp_text *text, const char *cstr)
{
    trp_text_bytes(text, cstr, strlen(cstr));
}

void trp_text_span(struct trp_text *text, struct troupe_span span)
{
    trp_text_bytes(text, span.data, span.len);
}

void trp_text_u64(struct trp_text *text, uint64_t value)
{
    char digits[20]; /* UINT64_MAX has 20 digits */
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    trp_text_bytes(text, digits + at, sizeof(digits) - at);
}

void trp_text_i64(struct trp_text *text, int64_t value)
{
    uint64_t magnitude = (uint64_t)value;
    if (value < 0) {
        trp_text_bytes(text, "-", 1);
        magnitude = 0 - magnitude; /* right for INT64_MIN too, which -value is not */
    }
    trp_text_u64(text, magnitude);
}

void trp_text_hex(struct trp_text *text, const uint8_t *bytes, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    char piece[128];
    size_t fill = 0;
    for (size_t i = 0; i < len; i++) {
        piece[fill++] = digits[bytes[i] >> 4];
        piece[fill++] = digits[bytes[i] & 15];
        if (fill == sizeof(piece)) {
            trp_text_bytes(text, piece, fill);
            fill = 0;
        }
    }
    trp_text_bytes(text, piece, fill);
}

static bool must_escape(uint8_t byte)
{
    return byte < 0x20 || byte == '"' || byte == '\\';
}

/*
 * Bytes before the first one that needs an escape. Words are tested first: for each of the three
 * conditions the borrow of a subtraction reaches the top bit of a byte that matches. A borrow may
 * also run into the byte above a match; that byte is then looked at singly, which is harmless.
 */
static size_t clean_run(const uint8_t *bytes, size_t len)
{
    size_t at = 0;
    while (len - at >= sizeof(uint64_t)) {
        uint64_t word = load_word(bytes + at);
        uint64_t quote = word ^ (ONES * '"');
        uint64_t slash = word ^ (ONES * '\\');
        uint64_t hit = (word - ONES * 0x20) & ~word;
        hit |= (quote - ONES) & ~quote;
        hit |= (slash - ONES) & ~slash;
        if ((hit & TOPS) != 0) {
            break;
        }
        at += sizeof(word);
    }
    while (at < len && !must_escape(bytes[at])) {
        at++;
    }
    return at;
}

static void write_escape(struct trp_text *text, uint8_t byte)
{
    static const char digits[] = "0123456789abcdef";
    char escape[6] = {'\\', 'u', '0', '0', digits[byte >> 4], digits[byte & 15]};
    switch (byte) {
    case '"':
    case '\\':
        escape[1] = (char)byte;
        break;
    case '\b':
        escape[1] = 'b';
        break;
    case '\f':
        escape[1] = 'f';
        break;
    case '\n':
        escape[1] = 'n';
        break;
    case '\r':
        escape[1] = 'r';
        break;
    case '\t':
        escape[1] = 't';
        break;
    default:
        break;
    }
    trp_text_bytes(text, escape, escape[1] == 'u' ? 6 : 2);
}

void trp_text_json(struct trp_text *text, struct troupe_span utf8)
{
    const uint8_t *bytes = (const uint8_t *)utf8.data;
    size_t at = 0;
    trp_text_bytes(text, "\"", 1);
    while (at < utf8.len) {
        size_t run = clean_run(bytes + at, utf8.len - at);
        trp_text_bytes(text, bytes + at, run);
        at += run;
        if (at < utf8.len) {
            write_escape(text, bytes[at]);
            at++;
        }
    }
    trp_text_bytes(text, "\"", 1);
}

/* 0..15, or -1. */
static int hex_digit(char digit, bool is_upper_allowed)
{
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    if (digit >= 'a' && digit <= 'f') {
        return digit - 'a' + 10;
    }
    if (is_upper_allowed && digit >= 'A' && digit <= 'F') {
        return digit - 'A' + 10;
    }
    return -1;
}

static bool hex_decode(uint8_t *out, size_t len, struct troupe_span hex, bool is_upper_allowed)
{
    if (hex.len % 2 != 0 || hex.len / 2 != len) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        int high = hex_digit(hex.data[2 * i], is_upper_allowed);
        int low = hex_digit(hex.data[2 * i + 1], is_upper_allowed);
        if (high < 0 || low < 0) {
            return false;
        }
        out[i] = (uint8_t)(high * 16 + low);
    }
    return true;
}

bool trp_hex_decode(uint8_t *out, size_t len, struct troupe_span hex)
{
    return hex_decode(out, len, hex, true);
}

bool trp_hex_decode_lower(uint8_t *out, size_t len, struct troupe_span hex)
{
    return hex_decode(out, len, hex, false);
}

static size_t ascii_run(const uint8_t *bytes, size_t len)
{
    size_t at = 0;
    while (len - at >= sizeof(uint64_t) && (load_word(bytes + at) & TOPS) == 0) {
        at += sizeof(uint64_t);
    }
    while (at < len && bytes[at] < 0x80) {
        at++;
    }
    return at;
}

/*
 * What may follow a lead byte. The narrowed second-byte ranges are the ones that shut out long
 * forms (E0, F0), surrogates (ED) and values above U+10FFFF (F4).
 */
static bool utf8_lead(struct trp_utf8 *state, uint8_t lead)
{
    state->low = 0x80;
    state->high = 0xbf;
    if (lead >= 0xc2 && lead <= 0xdf) {
        state->missing = 1;
    } else if (lead >= 0xe0 && lead <= 0xef) {
        state->missing = 2;
        state->low = lead == 0xe0 ? 0xa0 : 0x80;
        state->high = lead == 0xed ? 0x9f : 0xbf;
    } else if (lead >= 0xf0 && lead <= 0xf4) {
        state->missing = 3;
        state->low = lead == 0xf0 ? 0x90 : 0x80;
        state->high = lead == 0xf4 ? 0x8f : 0xbf;
    } else {
        return false;
    }
    return true;
}

bool trp_utf8_feed(struct trp_utf8 *state, const void *data, size_t len)
{
    const uint8_t *bytes = data;
    size_t at = 0;
    while (at < len) {
        if (state->missing == 0) {
            at += ascii_run(bytes + at, len - at);
            if (at < len && !utf8_lead(state, bytes[at++])) {
                return false;
            }
            continue;
        }
        if (bytes[at] < state->low || bytes[at] > state->high) {
            return false;
        }
        state->low = 0x80;
        state->high = 0xbf;
        state->missing--;
        at++;
    }
    return true;
}

bool trp_utf8_valid(struct troupe_span bytes)
{
    struct trp_utf8 state = {0};
    return trp_utf8_feed(&state, bytes.data, bytes.len) && trp_utf8_done(&state);
}
