#ifndef IO_CODEC_NOSTR_EVENT_H
#define IO_CODEC_NOSTR_EVENT_H

/*
 * Nostr events (NIP-01): read from JSON, checked, built and signed, written.
 *
 * An event is ONE run of bytes: the struct below and behind it everything it refers to, by offset
 * from the start of the struct. It may be copied with memcpy (trp_nostr_event.size bytes, 8-byte
 * aligned) and so travels in a counted buffer between threads. It is made by the functions of this
 * file only; the offsets inside are trusted.
 *
 * No allocation, no clock, no global state. Threads: any; an event that nobody writes may be read
 * by all.
 */

#include <troupe/span.h>
#include <troupe/status.h>

#include "io/codec/json.h"
#include "io/codec/nostr_crypto.h"
#include "io/codec/nostr_error.h"
#include "io/codec/text.h"

/* Seconds that a JavaScript peer can still represent exactly; later ones would break its ids. */
#define TRP_NOSTR_SECONDS_MAX ((uint64_t)9007199254740991)

enum { TRP_NOSTR_KIND_MAX = 65535 };

/* "No such tag" of the tag searches. */
#define TRP_NOSTR_NO_TAG UINT32_MAX

struct trp_nostr_slice {
    uint32_t at; /* bytes from the start of the event */
    uint32_t len;
};

struct trp_nostr_tag {
    uint32_t first; /* index into the element table */
    uint32_t count; /* elements; 0 for an empty tag */
};

struct trp_nostr_event {
    uint32_t size;       /* bytes of the whole event, this struct included */
    uint32_t kind;       /* 0..65535 */
    uint64_t created_at; /* whole seconds since 1970, at most TRP_NOSTR_SECONDS_MAX */
    uint8_t id[TRP_NOSTR_ID_LEN];
    uint8_t pubkey[TRP_NOSTR_PUBKEY_LEN];
    uint8_t sig[TRP_NOSTR_SIG_LEN];
    struct trp_nostr_slice preimage;     /* [0,"pubkey",created_at,kind,tags,"content"]: hashed */
    struct trp_nostr_slice tags_json;    /* the tags inside the preimage */
    struct trp_nostr_slice content_json; /* the content inside the preimage, with its quotes */
    struct trp_nostr_slice content;      /* unescaped */
    uint32_t tags_at;                    /* offset of struct trp_nostr_tag[tag_count] */
    uint32_t tag_count;
    uint32_t elements_at; /* offset of struct trp_nostr_slice[element_count], unescaped texts */
    uint32_t element_count;
};

struct trp_nostr_event_limits {
    uint32_t tags_max;          /* tags in one event */
    uint32_t elements_max;      /* elements in one tag */
    uint32_t element_bytes_max; /* unescaped bytes of one element */
    uint32_t content_bytes_max; /* unescaped bytes of the content */
};

/* 2000 tags, 100 elements of at most 64 KiB each, content of at most 1 MiB. */
struct trp_nostr_event_limits trp_nostr_event_limits_default(void);

/*
 * An upper bound of the bytes that trp_nostr_event_read needs for this node (about twice the JSON
 * text and 8 bytes per value in it). The event itself says how much it used. Cost: O(1).
 */
size_t trp_nostr_event_bound(const struct trp_json_doc *doc, const struct trp_json_node *node);

/*
 * Reads an event from a JSON object into area (cap bytes, 8-byte aligned).
 *
 * Checked: all seven members there, each once; id, pubkey, sig lower-case hex of the right length;
 * created_at and kind in range; tags an array of arrays of strings; content a string; limits. Other
 * members are ignored. NOT checked: that the id is right (trp_nostr_event_check_id) and the
 * signature (trp_nostr_event_check_sig).
 *
 * TROUPE_OK; TROUPE_EPARSE (malformed); TROUPE_ETOOLARGE (over a limit); TROUPE_ENOMEM (area too
 * small; never with trp_nostr_event_bound bytes). error, optional, names the member. On an error
 * the area holds nothing of use.
 */
enum troupe_status trp_nostr_event_read(void *area,
                                        size_t cap,
                                        const struct trp_json_doc *doc,
                                        const struct trp_json_node *node,
                                        const struct trp_nostr_event_limits *limits,
                                        struct trp_nostr_error *error) TROUPE_MUST_USE;

/*
 * Only the id of an event that may otherwise be malformed, for answers and duplicate checks before
 * the whole is read. False when there is no well-formed id.
 */
bool trp_nostr_event_peek_id(const struct trp_json_doc *doc,
                             const struct trp_json_node *node,
                             uint8_t id[TRP_NOSTR_ID_LEN]);

/* Hashes the preimage: true when the id is right. Cost: 0.2 us per 256 bytes. */
bool trp_nostr_event_check_id(const struct trp_nostr_event *event) TROUPE_MUST_USE;

/* True when sig is the signature of the id by pubkey. Says nothing about the id. Cost: 30 us. */
bool trp_nostr_event_check_sig(const struct trp_nostr_event *event,
                               struct trp_nostr_crypto *crypto) TROUPE_MUST_USE;

/* Appends the event as a JSON object; equal events give equal texts. */
void trp_nostr_event_write_json(struct trp_text *text, const struct trp_nostr_event *event);

/* One's own events. */
struct trp_nostr_draft_tag {
    const struct troupe_span *elements; /* UTF-8 */
    uint32_t count;
};

struct trp_nostr_draft {
    uint64_t created_at; /* whole seconds since 1970 */
    uint32_t kind;
    const struct trp_nostr_draft_tag *tags; /* may be NULL when tag_count is 0 */
    uint32_t tag_count;
    struct troupe_span content; /* UTF-8 */
};

/* Bytes of area that trp_nostr_event_sign needs for this draft. Cost: O(draft). */
size_t trp_nostr_draft_bound(const struct trp_nostr_draft *draft);

/*
 * Builds the event of a draft in area (cap bytes, 8-byte aligned): preimage, id, signature.
 * aux: as in trp_nostr_sign, usually NULL.
 *
 * TROUPE_OK; TROUPE_EINVAL (kind or created_at out of range, or not UTF-8); TROUPE_ENOMEM (area too
 * small); TROUPE_EIO (no random source). Cost: 17 us and the hash.
 */
enum troupe_status trp_nostr_event_sign(struct trp_nostr_crypto *crypto,
                                        void *area,
                                        size_t cap,
                                        const struct trp_nostr_key *key,
                                        const struct trp_nostr_draft *draft,
                                        const uint8_t *aux) TROUPE_MUST_USE;

static inline struct troupe_span trp_nostr_event_slice(const struct trp_nostr_event *event,
                                                       struct trp_nostr_slice slice)
{
    return troupe_span((const char *)event + slice.at, slice.len);
}

/* The unescaped content. */
static inline struct troupe_span trp_nostr_event_content(const struct trp_nostr_event *event)
{
    return trp_nostr_event_slice(event, event->content);
}

/* Number of elements of a tag, its name included; 0 when there is no such tag. */
uint32_t trp_nostr_event_tag_len(const struct trp_nostr_event *event, uint32_t tag);

/* Element (0 = name) of a tag, unescaped; data is NULL when there is none. */
struct troupe_span
trp_nostr_event_element(const struct trp_nostr_event *event, uint32_t tag, uint32_t element);

/*
 * Index of the first tag at or after `from` with this name, TRP_NOSTR_NO_TAG when there is none.
 * Cost: O(tags).
 */
uint32_t
trp_nostr_event_find_tag(const struct trp_nostr_event *event, const char *name, uint32_t from);

/* Value (element 1) of the first tag with this name; data is NULL when there is none. */
struct troupe_span trp_nostr_event_tag_value(const struct trp_nostr_event *event, const char *name);

/* True when some tag of this single-letter name has exactly this value. Cost: O(tags). */
bool trp_nostr_event_has_value(const struct trp_nostr_event *event,
                               char letter,
                               struct troupe_span value);

/* Classes of kinds, NIP-01. */
static inline bool trp_nostr_kind_is_ephemeral(uint32_t kind)
{
    return kind >= 20000 && kind < 30000;
}

/* Only the newest per (pubkey, kind) is kept. */
static inline bool trp_nostr_kind_is_replaceable(uint32_t kind)
{
    return kind == 0 || kind == 3 || (kind >= 10000 && kind < 20000);
}

/* Only the newest per (pubkey, kind, value of the d tag) is kept. */
static inline bool trp_nostr_kind_is_addressable(uint32_t kind)
{
    return kind >= 30000 && kind < 40000;
}

#endif
