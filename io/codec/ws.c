#include "io/codec/ws.h"

#include <troupe/assert.h>

/* Storage of this size is asked for at once: smaller steps would not save memory worth having. */
#define GROW_FLOOR 4096

/* ---- shared ------------------------------------------------------------------------------ */

static bool is_control(unsigned opcode)
{
    return (opcode & 0x8) != 0;
}

static uint64_t load_be(const uint8_t *bytes, unsigned count)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < count; i++) {
        value = value << 8 | bytes[i];
    }
    return value;
}

void trp_ws_mask(uint8_t *data, size_t len, const uint8_t key[4], uint64_t offset)
{
    uint8_t pattern[8];
    uint64_t wide;
    size_t at = 0;
    for (unsigned i = 0; i < 8; i++) {
        pattern[i] = key[(offset + i) & 3];
    }
    memcpy(&wide, pattern, sizeof(wide));
    for (; len - at >= sizeof(wide); at += sizeof(wide)) {
        uint64_t word;
        memcpy(&word, data + at, sizeof(word));
        word ^= wide;
        memcpy(data + at, &word, sizeof(word));
    }
    for (; at < len; at++) {
        data[at] ^= pattern[at & 7];
    }
}

bool trp_ws_code_is_valid(unsigned code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
           (code >= 3000 && code <= 4999);
}

/* ---- encoder ----------------------------------------------------------------------------- */

size_t trp_ws_header_write(uint8_t out[TRP_WS_HEADER_MAX],
                           enum trp_ws_opcode opcode,
                           bool is_final,
                           uint64_t len,
                           const uint8_t *key)
{
    size_t at = 2;
    unsigned len_bytes = 0;
    TROUPE_ASSERT((unsigned)opcode <= 0xf);
    TROUPE_ASSERT(len >> 63 == 0);
    TROUPE_ASSERT(!is_control(opcode) || (is_final && len <= TRP_WS_CONTROL_MAX));
    out[0] = (uint8_t)((is_final ? 0x80U : 0U) | (unsigned)opcode);
    if (len <= 125) {
        out[1] = (uint8_t)len;
    } else if (len <= UINT16_MAX) {
        out[1] = 126;
        len_bytes = 2;
    } else {
        out[1] = 127;
        len_bytes = 8;
    }
    for (unsigned i = len_bytes; i > 0; i--) {
        out[at++] = (uint8_t)(len >> (8 * (i - 1)));
    }
    if (key != NULL) {
        out[1] |= 0x80;
        memcpy(out + at, key, 4);
        at += 4;
    }
    return at;
}

size_t trp_ws_close_write(uint8_t out[TRP_WS_CONTROL_MAX], uint16_t code, struct troupe_span reason)
{
    size_t len = reason.len;
    if (code == TRP_WS_CODE_NONE) {
        return 0;
    }
    TROUPE_ASSERT(trp_ws_code_is_valid(code));
    if (len > TRP_WS_REASON_MAX) {
        len = TRP_WS_REASON_MAX;
        while (len > 0 && ((uint8_t)reason.data[len] & 0xc0) == 0x80) {
            len--;
        }
    }
    out[0] = (uint8_t)(code >> 8);
    out[1] = (uint8_t)code;
    if (len > 0) {
        memcpy(out + 2, reason.data, len);
    }
    return len + 2;
}

/* ---- decoder: frame header --------------------------------------------------------------- */

void trp_ws_decoder_init(struct trp_ws_decoder *decoder,
                         enum trp_ws_role role,
                         struct trp_ws_limits limits,
                         struct trp_ws_storage storage)
{
    TROUPE_ASSERT(storage.grow_cb != NULL);
    TROUPE_ASSERT(limits.frames_max >= 1);
    memset(decoder, 0, sizeof(*decoder));
    decoder->role = role;
    decoder->limits = limits;
    decoder->storage = storage;
    decoder->header_need = 2;
}

bool trp_ws_decoder_is_midway(const struct trp_ws_decoder *decoder)
{
    if (decoder->state == TRP_WS_STATE_HEADER) {
        return decoder->header_len > 0 || decoder->message_opcode != 0;
    }
    return decoder->state == TRP_WS_STATE_PAYLOAD;
}

static bool fail(struct trp_ws_decoder *decoder, enum trp_ws_code code, const char *text)
{
    decoder->state = TRP_WS_STATE_FAILED;
    decoder->failed_code = (uint16_t)code;
    decoder->failed_text = text;
    return false;
}

/* The first byte is judged as soon as it is there: a peer that speaks nonsense gets no second. */
static bool accept_first_byte(struct trp_ws_decoder *decoder)
{
    uint8_t byte = decoder->header[0];
    unsigned opcode = byte & 0xf;
    bool is_final = (byte & 0x80) != 0;
    if ((byte & 0x70) != 0) {
        return fail(decoder, TRP_WS_CODE_PROTOCOL, "reserved bit set without an extension");
    }
    if ((opcode > TRP_WS_OP_BINARY && opcode < TRP_WS_OP_CLOSE) || opcode > TRP_WS_OP_PONG) {
        return fail(decoder, TRP_WS_CODE_PROTOCOL, "unknown opcode");
    }
    if (is_control(opcode)) {
        if (!is_final) {
            return fail(decoder, TRP_WS_CODE_PROTOCOL, "fragmented control frame");
        }
    } else if (opcode == TRP_WS_OP_CONTINUATION) {
        if (decoder->message_opcode == 0) {
            return fail(decoder, TRP_WS_CODE_PROTOCOL, "continuation of no message");
        }
    } else if (decoder->message_opcode != 0) {
        return fail(decoder, TRP_WS_CODE_PROTOCOL, "new message inside a fragmented one");
    }
    decoder->opcode = (uint8_t)opcode;
    decoder->is_final = is_final;
    return true;
}

static bool accept_second_byte(struct trp_ws_decoder *decoder)
{
    uint8_t byte = decoder->header[1];
    bool is_masked = (byte & 0x80) != 0;
    unsigned short_len = byte & 0x7f;
    if (decoder->role == TRP_WS_SERVER && !is_masked) {
        return fail(decoder, TRP_WS_CODE_PROTOCOL, "frame from a client is not masked");
    }
    if (decoder->role == TRP_WS_CLIENT && is_masked) {
        return fail(decoder, TRP_WS_CODE_PROTOCOL, "frame from a server is masked");
    }
    if (is_control(decoder->opcode) && short_len > TRP_WS_CONTROL_MAX) {
        return fail(decoder, TRP_WS_CODE_PROTOCOL, "control frame is longer than 125 bytes");
    }
    if (decoder->opcode == TRP_WS_OP_CLOSE && short_len == 1) {
        return fail(decoder, TRP_WS_CODE_PROTOCOL, "close frame with half a code");
    }
    decoder->header_need = is_masked ? 6 : 2;
    if (short_len == 126) {
        decoder->header_need = (uint8_t)(decoder->header_need + 2);
    } else if (short_len == 127) {
        decoder->header_need = (uint8_t)(decoder->header_need + 8);
    }
    return true;
}

/* Length rules of a data frame and its place in the message. */
static bool accept_data_frame(struct trp_ws_decoder *decoder)
{
    if (decoder->opcode != TRP_WS_OP_CONTINUATION) {
        decoder->message_opcode = decoder->opcode;
        decoder->frame_count = 0;
        decoder->stored = NULL;
        decoder->stored_len = 0;
        decoder->stored_cap = 0;
        memset(&decoder->utf8, 0, sizeof(decoder->utf8));
    }
    TROUPE_ASSERT(decoder->stored_len <= decoder->limits.message_max);
    if (decoder->frame_len > decoder->limits.message_max - decoder->stored_len) {
        return fail(decoder, TRP_WS_CODE_TOO_BIG, "message is too big");
    }
    if (decoder->frame_count >= decoder->limits.frames_max) {
        return fail(decoder, TRP_WS_CODE_POLICY, "message is cut into too many frames");
    }
    decoder->frame_count++;
    return true;
}

static bool accept_header(struct trp_ws_decoder *decoder)
{
    const uint8_t *header = decoder->header;
    unsigned short_len = header[1] & 0x7f;
    unsigned len_bytes = short_len == 127 ? 8 : short_len == 126 ? 2 : 0;
    uint64_t len = len_bytes == 0 ? short_len : load_be(header + 2, len_bytes);
    if (len >> 63 != 0) {
        return fail(decoder, TRP_WS_CODE_PROTOCOL, "frame length has its top bit set");
    }
    if ((len_bytes == 2 && len < 126) || (len_bytes == 8 && len <= UINT16_MAX)) {
        return fail(decoder, TRP_WS_CODE_PROTOCOL, "frame length is not in its shortest form");
    }
    if ((header[1] & 0x80) != 0) {
        memcpy(decoder->key, header + 2 + len_bytes, sizeof(decoder->key));
    }
    decoder->frame_len = len;
    decoder->frame_at = 0;
    decoder->state = TRP_WS_STATE_PAYLOAD;
    return is_control(decoder->opcode) || accept_data_frame(decoder);
}

/* Takes header bytes; returns how many. The state says afterwards what came of it. */
static size_t read_header(struct trp_ws_decoder *decoder, const uint8_t *data, size_t len)
{
    size_t at = 0;
    while (at < len) {
        bool is_fine = true;
        decoder->header[decoder->header_len++] = data[at++];
        if (decoder->header_len == 1) {
            is_fine = accept_first_byte(decoder);
        } else if (decoder->header_len == 2) {
            is_fine = accept_second_byte(decoder);
        }
        if (is_fine && decoder->header_len == decoder->header_need) {
            decoder->header_len = 0;
            decoder->header_need = 2;
            (void)accept_header(decoder);
            break;
        }
        if (!is_fine) {
            break;
        }
    }
    return at;
}

/* ---- decoder: payload -------------------------------------------------------------------- */

/* A text may end only between characters; its bytes are judged piece by piece as they come. */
static bool accept_message_bytes(struct trp_ws_decoder *decoder, const uint8_t *data, size_t len)
{
    bool is_end = decoder->is_final && decoder->frame_at + len == decoder->frame_len;
    if (decoder->message_opcode != TRP_WS_OP_TEXT) {
        return true;
    }
    if (!trp_utf8_feed(&decoder->utf8, data, len) || (is_end && !trp_utf8_done(&decoder->utf8))) {
        return fail(decoder, TRP_WS_CODE_BAD_DATA, "text message is not UTF-8");
    }
    return true;
}

/* Makes room for `more` bytes, looking ahead as far as the promise in storage.grow_cb allows. */
static bool reserve(struct trp_ws_decoder *decoder, size_t more)
{
    size_t need = decoder->stored_len + more;
    size_t frame_end = decoder->stored_len + (size_t)(decoder->frame_len - decoder->frame_at);
    size_t ahead = need > SIZE_MAX / 2 ? SIZE_MAX : need * 2;
    size_t size;
    if (need <= decoder->stored_cap) {
        return true;
    }
    ahead = ahead > GROW_FLOOR ? ahead : GROW_FLOOR;
    if (decoder->is_final) {
        size = ahead < frame_end ? ahead : frame_end;
    } else {
        size = ahead < decoder->limits.message_max ? ahead : decoder->limits.message_max;
    }
    TROUPE_ASSERT(size >= need);
    decoder->stored = decoder->storage.grow_cb(decoder->storage.arg, decoder->stored_len, size);
    if (decoder->stored == NULL) {
        return fail(decoder, TRP_WS_CODE_INTERNAL, "no memory for the message");
    }
    decoder->stored_cap = size;
    return true;
}

static void end_message(struct trp_ws_decoder *decoder,
                        struct trp_ws_event *event,
                        const uint8_t *data,
                        size_t len)
{
    event->kind = TRP_WS_MESSAGE;
    event->is_text = decoder->message_opcode == TRP_WS_OP_TEXT;
    event->is_assembled = data == decoder->stored && data != NULL;
    event->payload = troupe_span(data, len);
    decoder->message_opcode = 0;
}

static void
read_data(struct trp_ws_decoder *decoder, struct trp_ws_event *event, uint8_t *data, size_t len)
{
    bool is_masked = decoder->role == TRP_WS_SERVER;
    bool is_whole = decoder->frame_at == 0 && len == decoder->frame_len;
    uint8_t *place = data;
    if (!(is_whole && decoder->is_final && decoder->stored_len == 0) && len > 0) {
        if (!reserve(decoder, len)) {
            return;
        }
        place = decoder->stored + decoder->stored_len;
        memcpy(place, data, len);
        decoder->stored_len += len;
    }
    if (is_masked) {
        trp_ws_mask(place, len, decoder->key, decoder->frame_at);
    }
    if (!accept_message_bytes(decoder, place, len)) {
        return;
    }
    decoder->frame_at += len;
    if (decoder->frame_at < decoder->frame_len) {
        return;
    }
    decoder->state = TRP_WS_STATE_HEADER;
    if (!decoder->is_final) {
        return;
    }
    if (decoder->stored_len > 0) {
        end_message(decoder, event, decoder->stored, decoder->stored_len);
    } else {
        end_message(decoder, event, data, len);
    }
}

static bool end_close(struct trp_ws_decoder *decoder,
                      struct trp_ws_event *event,
                      const uint8_t *payload,
                      size_t len)
{
    event->code = TRP_WS_CODE_NONE;
    if (len >= 2) {
        unsigned code = (unsigned)load_be(payload, 2);
        if (!trp_ws_code_is_valid(code)) {
            return fail(decoder, TRP_WS_CODE_PROTOCOL, "close code is not allowed");
        }
        if (!trp_utf8_valid(troupe_span(payload + 2, len - 2))) {
            return fail(decoder, TRP_WS_CODE_BAD_DATA, "close reason is not UTF-8");
        }
        event->code = (uint16_t)code;
        event->payload = troupe_span(payload + 2, len - 2);
    }
    event->kind = TRP_WS_CLOSE;
    decoder->state = TRP_WS_STATE_CLOSED;
    return true;
}

static void
read_control(struct trp_ws_decoder *decoder, struct trp_ws_event *event, uint8_t *data, size_t len)
{
    uint8_t *payload = data;
    size_t whole = (size_t)decoder->frame_len;
    if (decoder->role == TRP_WS_SERVER) {
        trp_ws_mask(data, len, decoder->key, decoder->frame_at);
    }
    if (len < whole) {
        TROUPE_ASSERT(decoder->frame_at + len <= sizeof(decoder->control));
        memcpy(decoder->control + decoder->frame_at, data, len);
        payload = decoder->control;
    }
    decoder->frame_at += len;
    if (decoder->frame_at < decoder->frame_len) {
        return;
    }
    decoder->state = TRP_WS_STATE_HEADER;
    if (decoder->opcode == TRP_WS_OP_CLOSE) {
        (void)end_close(decoder, event, payload, whole);
        return;
    }
    event->kind = decoder->opcode == TRP_WS_OP_PING ? TRP_WS_PING : TRP_WS_PONG;
    event->payload = troupe_span(payload, whole);
}

static void set_event(struct trp_ws_event *event, enum trp_ws_event_kind kind)
{
    memset(event, 0, sizeof(*event));
    event->kind = kind;
    event->payload = troupe_span("", 0);
}

void trp_ws_decode(struct trp_ws_decoder *decoder,
                   struct trp_ws_event *event,
                   size_t *consumed,
                   uint8_t *data,
                   size_t len)
{
    size_t at = 0;
    set_event(event, TRP_WS_NEED_MORE);
    do {
        if (decoder->state == TRP_WS_STATE_HEADER) {
            at += read_header(decoder, data + at, len - at);
        }
        if (decoder->state == TRP_WS_STATE_PAYLOAD) {
            uint64_t missing = decoder->frame_len - decoder->frame_at;
            size_t piece = len - at < missing ? len - at : (size_t)missing;
            if (is_control(decoder->opcode)) {
                read_control(decoder, event, data + at, piece);
            } else {
                read_data(decoder, event, data + at, piece);
            }
            at += piece;
        }
        if (decoder->state == TRP_WS_STATE_FAILED) {
            set_event(event, TRP_WS_ERROR);
            event->code = decoder->failed_code;
            event->error = decoder->failed_text;
            at = len;
        }
        if (decoder->state == TRP_WS_STATE_CLOSED && event->kind == TRP_WS_NEED_MORE) {
            at = len;
        }
    } while (event->kind == TRP_WS_NEED_MORE && at < len);
    TROUPE_ASSERT(at <= len);
    *consumed = at;
}
