#ifndef IO_CODEC_NOSTR_PACKET_H
#define IO_CODEC_NOSTR_PACKET_H

/*
 * A packet: one verified (or own, signed) Nostr event in a counted buffer, as it travels between
 * actors. It holds the parsed event and its JSON text, so that whoever receives it neither parses
 * nor serialises:
 *
 *     struct trp_nostr_packet | the event (8-byte aligned) | its JSON object | ']'
 *
 * The bracket behind the object lets a relay send ["EVENT","sub", and then the tail of the shared
 * buffer as it is (trp_nostr_packet_tail).
 *
 * Packets are made by trp_nostr_packet_write only; whoever makes one vouches for id and signature.
 * They never come from outside the process, so their offsets are trusted.
 *
 * Threads: any; a packet that was written may be read by all.
 */

#include "io/codec/nostr_event.h"

#include <troupe/buf.h>

#define TRP_NOSTR_PACKET_MAGIC 0x54504B54u

struct trp_nostr_packet {
    uint32_t magic;
    uint32_t event_at; /* bytes from the start of this struct */
    uint32_t event_len;
    uint32_t json_at;
    uint32_t json_len; /* without the bracket */
    uint32_t reserved;
};

/* Room for the members' names, hex digits and numbers of the JSON text. */
#define TRP_NOSTR_PACKET_FRAME 512u

/* Bytes that trp_nostr_packet_write may need: capacity for the buffer. Cost: O(1). */
static inline size_t trp_nostr_packet_bound(const struct trp_nostr_event *event)
{
    return sizeof(struct trp_nostr_packet) + event->size + 8u + TRP_NOSTR_PACKET_FRAME +
           event->tags_json.len + event->content_json.len;
}

/*
 * Makes the packet of an event in a buffer that nobody else has yet; sets buf->size. The event must
 * not lie inside the buffer. False when the capacity is too small (never with
 * trp_nostr_packet_bound bytes); the buffer then holds nothing of use.
 */
static inline bool trp_nostr_packet_write(struct troupe_buf *buf,
                                          const struct trp_nostr_event *event)
{
    uint32_t json_at = (uint32_t)((sizeof(struct trp_nostr_packet) + event->size + 7u) & ~7u);
    if (buf->capacity <= json_at) {
        return false;
    }
    struct trp_nostr_packet head = {
        .magic = TRP_NOSTR_PACKET_MAGIC,
        .event_at = (uint32_t)sizeof(head),
        .event_len = event->size,
        .json_at = json_at,
    };
    struct trp_text text = trp_text_init((char *)buf->data + json_at, buf->capacity - json_at);
    trp_nostr_event_write_json(&text, event);
    head.json_len = (uint32_t)text.len;
    trp_text_cstr(&text, "]");
    if (text.overflow) {
        return false;
    }
    memcpy(buf->data + sizeof(head), event, event->size);
    memcpy(buf->data, &head, sizeof(head));
    buf->size = json_at + (uint32_t)text.len;
    return true;
}

/* True when the buffer holds a packet: a check against mixing up buffers, not against attackers. */
static inline bool trp_nostr_packet_is(const struct troupe_buf *buf)
{
    return buf->size > sizeof(struct trp_nostr_packet) &&
           ((const struct trp_nostr_packet *)(const void *)buf->data)->magic ==
               TRP_NOSTR_PACKET_MAGIC;
}

static inline const struct trp_nostr_packet *trp_nostr_packet_head(const struct troupe_buf *buf)
{
    return (const struct trp_nostr_packet *)(const void *)buf->data;
}

/* The event, valid as long as the reference to the buffer held. */
static inline const struct trp_nostr_event *trp_nostr_packet_event(const struct troupe_buf *buf)
{
    return (const struct trp_nostr_event *)(const void *)(buf->data +
                                                          trp_nostr_packet_head(buf)->event_at);
}

/* Its JSON object. */
static inline struct troupe_span trp_nostr_packet_json(const struct troupe_buf *buf)
{
    const struct trp_nostr_packet *head = trp_nostr_packet_head(buf);
    return troupe_span(buf->data + head->json_at, head->json_len);
}

/* The JSON object and the bracket behind it: where in the buffer, and how long. */
static inline struct trp_nostr_slice trp_nostr_packet_tail(const struct troupe_buf *buf)
{
    const struct trp_nostr_packet *head = trp_nostr_packet_head(buf);
    struct trp_nostr_slice tail = {head->json_at, head->json_len + 1u};
    return tail;
}

#endif
