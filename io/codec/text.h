#ifndef IO_CODEC_TEXT_H
#define IO_CODEC_TEXT_H

/*
 * Writing text into caller storage: JSON strings, hex, numbers. A writer never writes past its end:
 * when something does not fit it sets `overflow` and writes nothing more, so a caller checks once
 * at the end. `needed` counts what would have been written, so one pass can also measure.
 */

#include <troupe/span.h>

#ifdef __cplusplus
extern "C" {
#endif

struct trp_text {
    char *data;
    size_t cap;    /* bytes of storage; 0 with data NULL = measure only */
    size_t len;    /* bytes written */
    size_t needed; /* bytes that all calls so far wanted to write */
    bool overflow;
};

static inline struct trp_text trp_text_init(char *data, size_t cap)
{
    struct trp_text text = {data, cap, 0, 0, false};
    return text;
}

void trp_text_bytes(struct trp_text *text, const void *data, size_t len);
void trp_text_cstr(struct trp_text *text, const char *cstr);
void trp_text_span(struct trp_text *text, struct troupe_span span);
void trp_text_u64(struct trp_text *text, uint64_t value);
void trp_text_i64(struct trp_text *text, int64_t value);
void trp_text_hex(struct trp_text *text, const uint8_t *bytes, size_t len); /* lower case */

/*
 * A JSON string with its quotes, escaped exactly as JavaScript's JSON.stringify does for
 * well-formed text: \" \\ \b \f \n \r \t, other bytes below 0x20 as \u00xx (lower-case hex),
 * everything else as it is. The input must be UTF-8.
 */
void trp_text_json(struct trp_text *text, struct troupe_span utf8);

/* Decodes exactly 2*len hex digits (either case); false on any other byte or length. */
bool trp_hex_decode(uint8_t *out, size_t len, struct troupe_span hex);

/* Same, but upper-case digits are refused: what NIP-01 asks for. */
bool trp_hex_decode_lower(uint8_t *out, size_t len, struct troupe_span hex);

/* True when the bytes are well-formed UTF-8 (RFC 3629: no surrogates, nothing above U+10FFFF). */
bool trp_utf8_valid(struct troupe_span bytes);

/*
 * The same check over pieces that may be cut anywhere, also inside a character. A zeroed struct is
 * the start; it holds what the character that was cut off still allows.
 */
struct trp_utf8 {
    uint8_t missing; /* continuation bytes that must still come, 0 between characters */
    uint8_t low;     /* smallest and largest value of the next one */
    uint8_t high;
};

/* False when the bytes cannot be part of well-formed UTF-8; feed nothing more then. */
bool trp_utf8_feed(struct trp_utf8 *state, const void *data, size_t len);

/* True when no character is cut off at the end of what was fed. */
static inline bool trp_utf8_done(const struct trp_utf8 *state)
{
    return state->missing == 0;
}

#ifdef __cplusplus
}
#endif

#endif
