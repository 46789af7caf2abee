#ifndef IO_CODEC_WS_H
#define IO_CODEC_WS_H

/*
 * WebSocket framing (RFC 6455), both roles, without extensions.
 *
 * Decoder: bytes in, at most one event out of each call. It keeps whatever a frame cut anywhere
 * leaves behind, so a caller never has to hold on to input: on NEED_MORE everything was consumed.
 * A data frame that is a message of its own and lies whole in the input is unmasked in place and
 * handed out from there; everything else is assembled in storage that the caller provides.
 * Unfinished control frames live in the decoder itself.
 *
 * Encoder: writes a frame header; the payload follows it, masked by trp_ws_mask in the client role.
 *
 * Threads: a decoder belongs to one thread at a time. Nothing here is shared. Nothing allocates.
 */

#include <troupe/span.h>

#include "io/codec/text.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Who WE are: a server takes only masked frames, a client only unmasked ones. */
enum trp_ws_role {
    TRP_WS_SERVER,
    TRP_WS_CLIENT,
};

enum trp_ws_opcode {
    TRP_WS_OP_CONTINUATION = 0x0,
    TRP_WS_OP_TEXT = 0x1,
    TRP_WS_OP_BINARY = 0x2,
    TRP_WS_OP_CLOSE = 0x8,
    TRP_WS_OP_PING = 0x9,
    TRP_WS_OP_PONG = 0xa,
};

/* Close codes (RFC 6455 section 7.4 and the registry behind it). */
enum trp_ws_code {
    TRP_WS_CODE_NORMAL = 1000,
    TRP_WS_CODE_GOING_AWAY = 1001,
    TRP_WS_CODE_PROTOCOL = 1002,
    TRP_WS_CODE_UNSUPPORTED = 1003,
    TRP_WS_CODE_NONE = 1005, /* never on the wire: the close frame had no code */
    TRP_WS_CODE_BAD_DATA = 1007,
    TRP_WS_CODE_POLICY = 1008,
    TRP_WS_CODE_TOO_BIG = 1009,
    TRP_WS_CODE_INTERNAL = 1011,
    TRP_WS_CODE_TRY_LATER = 1013,
};

#define TRP_WS_HEADER_MAX  14  /* bytes of the longest frame header */
#define TRP_WS_CONTROL_MAX 125 /* payload bytes of a ping, pong or close */
#define TRP_WS_REASON_MAX  123 /* bytes of the reason in a close */

struct trp_ws_limits {
    size_t message_max;  /* payload bytes of one message, all fragments together */
    uint32_t frames_max; /* data frames that one message may be cut into, at least 1 */
};

/*
 * Where messages are put together.
 *
 * grow_cb returns storage of at least `size` bytes that begins with the first `used` bytes of the
 * storage it returned last; NULL when there is none (the decoder then reports an error with code
 * 1011). used == 0 starts a message: the last storage may be reused or may have been given away.
 * `size` never exceeds message_max and never runs far ahead of the bytes that have arrived (at most
 * twice as many, or 4 KiB), so a length promised by the peer costs nothing before it is kept.
 */
struct trp_ws_storage {
    void *(*grow_cb)(void *arg, size_t used, size_t size);
    void *arg;
};

enum trp_ws_event_kind {
    TRP_WS_NEED_MORE, /* all input consumed, nothing complete */
    TRP_WS_MESSAGE,   /* a whole text or binary message */
    TRP_WS_PING,      /* answer with a pong that carries the payload */
    TRP_WS_PONG,
    TRP_WS_CLOSE, /* the peer's close; later input is swallowed */
    TRP_WS_ERROR, /* the peer broke a rule or a limit; send a close with `code` and hang up */
};

struct trp_ws_event {
    enum trp_ws_event_kind kind;
    bool is_text;      /* MESSAGE: text, checked to be UTF-8; else binary */
    bool is_assembled; /* MESSAGE: payload is at the start of the storage, not in the input */
    uint16_t code;     /* CLOSE: the peer's code, 1005 when it gave none. ERROR: the code to send */
    /*
     * MESSAGE, PING, PONG: the payload. CLOSE: the reason. It may lie in the input, the storage or
     * the decoder: valid until the next decode, and only as long as the input.
     */
    struct troupe_span payload;
    const char *error; /* ERROR: static text, fits into a close reason; else NULL */
};

/* Fields are private. */
struct trp_ws_decoder {
    enum trp_ws_role role;
    enum {
        TRP_WS_STATE_HEADER,
        TRP_WS_STATE_PAYLOAD,
        TRP_WS_STATE_CLOSED,
        TRP_WS_STATE_FAILED
    } state;
    struct trp_ws_limits limits;
    struct trp_ws_storage storage;
    /* the frame being read */
    uint8_t header[TRP_WS_HEADER_MAX];
    uint8_t header_len;
    uint8_t header_need;
    uint8_t opcode;
    bool is_final;
    uint8_t key[4];
    uint64_t frame_len;
    uint64_t frame_at; /* payload bytes of this frame seen so far */
    uint8_t control[TRP_WS_CONTROL_MAX];
    /* the message being put together; message_opcode 0 = none */
    uint8_t message_opcode;
    uint32_t frame_count;
    struct trp_utf8 utf8;
    uint8_t *stored;
    size_t stored_len;
    size_t stored_cap;
    /* after a failure */
    uint16_t failed_code;
    const char *failed_text;
};

/* Makes a decoder in caller storage; nothing to release afterwards. */
void trp_ws_decoder_init(struct trp_ws_decoder *decoder,
                         enum trp_ws_role role,
                         struct trp_ws_limits limits,
                         struct trp_ws_storage storage);

/*
 * Reads input up to the next event and says in *consumed how much that was; call again with the
 * rest until NEED_MORE. Masked input is unmasked in place, so the bytes must be writable and each
 * byte must be given once. An ERROR comes again at each later call.
 */
void trp_ws_decode(struct trp_ws_decoder *decoder,
                   struct trp_ws_event *event,
                   size_t *consumed,
                   uint8_t *data,
                   size_t len);

/* True between the first byte of a message or control frame and its end (for read deadlines). */
bool trp_ws_decoder_is_midway(const struct trp_ws_decoder *decoder);

/*
 * Writes the header of a frame with len payload bytes (below 2^63; at most 125 and final for a
 * control frame) in its shortest form. key: 4 unpredictable bytes, fresh for each frame, in the
 * client role; NULL in the server role. Returns the bytes written, 2..14.
 */
size_t trp_ws_header_write(uint8_t out[TRP_WS_HEADER_MAX],
                           enum trp_ws_opcode opcode,
                           bool is_final,
                           uint64_t len,
                           const uint8_t *key);

/*
 * Masks or unmasks in place. offset: how many payload bytes of the frame come before data, so a
 * payload may be treated piece by piece.
 */
void trp_ws_mask(uint8_t *data, size_t len, const uint8_t key[4], uint64_t offset);

/* True for codes that may stand in a close frame: 1000-1003, 1007-1014, 3000-4999. */
bool trp_ws_code_is_valid(unsigned code);

/*
 * Writes the payload of a close frame: the code and as much of the UTF-8 reason as fits, cut
 * between characters. A code of 1005 gives the empty payload. Returns the bytes written.
 */
size_t
trp_ws_close_write(uint8_t out[TRP_WS_CONTROL_MAX], uint16_t code, struct troupe_span reason);

#ifdef __cplusplus
}
#endif

#endif
