#include "actors/core/log_line.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <troupe/assert.h>

/* Kept free for what must always fit: a closing quote, the truncation mark, brace and newline. */
#define TAIL_ROOM     32u
#define HEX_BYTES_MAX 64u
/* Longest escape of one character: six bytes, as in \u0000. */
#define ESCAPE_MAX 6u

TROUPE_STATIC_ASSERT(sizeof("\",\"truncated\":true}\n") <= TAIL_ROOM, "the tail must always fit");

static void put(struct trp_log_line *line, const char *text, size_t len)
{
    /* A sum, not a difference: closing quotes may have taken a byte of the tail's room. */
    if (line->is_truncated || line->len + len > sizeof(line->text) - TAIL_ROOM) {
        line->is_truncated = true;
        return;
    }
    memcpy(line->text + line->len, text, len);
    line->len += len;
}

static void put_cstr(struct trp_log_line *line, const char *text)
{
    put(line, text, strlen(text));
}

/* Into the room that put() leaves free. */
static void put_tail(struct trp_log_line *line, const char *text)
{
    size_t len = strlen(text);

    TROUPE_ASSERT(len <= sizeof(line->text) - line->len);
    memcpy(line->text + line->len, text, len);
    line->len += len;
}

static void put_key(struct trp_log_line *line, const char *key)
{
    bool is_json = line->format == TRP_LOG_JSON;
    bool is_first =
        line->len == 0 || line->text[line->len - 1] == '\n' || line->text[line->len - 1] == '{';

    if (!is_first) {
        put_cstr(line, is_json ? "," : " ");
    }
    put_cstr(line, is_json ? "\"" : "");
    put_cstr(line, key);
    put_cstr(line, is_json ? "\":" : "=");
}

/*
 * Length of the well-formed UTF-8 character at data, 0 if there is none; its code point goes to
 * *code. Overlong forms, surrogates and values over U+10FFFF are not characters.
 */
static size_t decode_character(uint32_t *code, const uint8_t *data, size_t len)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    uint8_t first = data[0];
    size_t need = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    uint32_t value = need < 2 ? first : first & (0x7fu >> need);

    if (need == 0 || first > 0xf4 || need > len) {
        return 0;
    }
    for (size_t i = 1; i < need; i++) {
        if ((data[i] & 0xc0) != 0x80) {
            return 0;
        }
        value = (value << 6) | (data[i] & 0x3fu);
    }
    if (value < smallest[need] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) {
        return 0;
    }
    *code = value;
    return need;
}

/* Characters that a terminal or a log viewer obeys instead of showing. */
static bool is_unsafe(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code <= 0x9f) || (code >= 0x200e && code <= 0x200f) ||
           (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069) ||
           code == 0xfeff;
}

static void put_escaped(struct trp_log_line *line, const uint8_t *data, size_t len)
{
    size_t at = 0;

    while (at < len && !line->is_truncated) {
        uint32_t code = 0xfffd;
        size_t width = decode_character(&code, data + at, len - at);
        char escape[ESCAPE_MAX + 1];

        if (width == 0 || is_unsafe(code)) {
            snprintf(escape, sizeof(escape), "\\u%04x", (unsigned)(code & 0xffffu));
            put(line, escape, ESCAPE_MAX);
        } else if (code == '"' || code == '\\') {
            escape[0] = '\\';
            escape[1] = (char)code;
            put(line, escape, 2);
        } else {
            put(line, (const char *)data + at, width);
        }
        at += width == 0 ? 1 : width;
    }
}

/* Bare values are letters, digits and the marks of names, paths, addresses and numbers. */
static bool needs_quotes(const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        uint8_t c = data[i];
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                        (c >= '0' && c <= '9') || (c != 0 && strchr("-_./:@+,%[]", c) != NULL);
        if (!is_plain) {
            return true;
        }
    }
    return len == 0;
}

static void put_text(struct trp_log_line *line, const uint8_t *data, size_t len)
{
    bool has_quotes = line->format == TRP_LOG_JSON || needs_quotes(data, len);

    if (has_quotes) {
        put_cstr(line, "\"");
    }
    if (line->is_truncated) {
        return;
    }
    put_escaped(line, data, len);
    if (has_quotes) {
        /* A cut text is closed from the tail's room, so that the line stays well-formed. */
        put_tail(line, "\"");
    }
}

static void put_hex(struct trp_log_line *line, const struct trp_log_field *field)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *data = field->value.bytes.data;
    char text[2 * HEX_BYTES_MAX] = {0};
    size_t count = field->hex_digits < sizeof(text) ? field->hex_digits : sizeof(text);

    for (size_t i = 0; i < count; i++) {
        text[i] = digits[i % 2 == 0 ? data[i / 2] >> 4 : data[i / 2] & 15];
    }
    put_text(line, (const uint8_t *)text, count);
}

static void put_value(struct trp_log_line *line, const struct trp_log_field *field)
{
    char number[24];

    switch (field->kind) {
    case TRP_LOG_KIND_TEXT:
        put_text(line, field->value.bytes.data, field->value.bytes.len);
        break;
    case TRP_LOG_KIND_U64:
        snprintf(number, sizeof(number), "%" PRIu64, field->value.u64);
        put_cstr(line, number);
        break;
    case TRP_LOG_KIND_I64:
        snprintf(number, sizeof(number), "%" PRId64, field->value.i64);
        put_cstr(line, number);
        break;
    case TRP_LOG_KIND_BOOL:
        put_cstr(line, field->value.u64 != 0 ? "true" : "false");
        break;
    case TRP_LOG_KIND_HEX:
        put_hex(line, field);
        break;
    case TRP_LOG_KIND_END:
        break;
    }
}

void trp_log_line_begin(struct trp_log_line *line, enum trp_log_format format, bool after_torn)
{
    line->len = 0;
    line->format = format;
    line->is_truncated = false;
    if (after_torn) {
        put_cstr(line, "\n");
    }
    if (format == TRP_LOG_JSON) {
        put_cstr(line, "{");
    }
}

void trp_log_line_time(struct trp_log_line *line, uint64_t now_ns)
{
    time_t seconds = (time_t)(now_ns / 1000000000u);
    struct tm utc;
    char text[64];

    if (gmtime_r(&seconds, &utc) == NULL) {
        memset(&utc, 0, sizeof(utc));
    }
    snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d.%06uZ", utc.tm_year + 1900,
             utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
             (unsigned)(now_ns / 1000u % 1000000u));
    put_key(line, "ts");
    put_text(line, (const uint8_t *)text, strlen(text));
}

void trp_log_line_field(struct trp_log_line *line, const struct trp_log_field *field)
{
    size_t mark = line->len;
    size_t value_at;

    if (line->is_truncated) {
        return;
    }
    put_key(line, field->key);
    value_at = line->len;
    if (!line->is_truncated) {
        put_value(line, field);
    }
    /* A key without a value, or a number cut in half, would be worse than nothing. */
    if (line->is_truncated && (line->len == value_at || field->kind != TRP_LOG_KIND_TEXT)) {
        line->len = mark;
    }
}

void trp_log_line_end(struct trp_log_line *line)
{
    bool is_json = line->format == TRP_LOG_JSON;

    if (line->is_truncated) {
        put_tail(line, is_json ? ",\"truncated\":true" : " truncated=true");
    }
    put_tail(line, is_json ? "}\n" : "\n");
    TROUPE_ASSERT(line->len <= sizeof(line->text));
}
