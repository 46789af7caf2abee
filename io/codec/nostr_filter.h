#ifndef IO_CODEC_NOSTR_FILTER_H
#define IO_CODEC_NOSTR_FILTER_H

/*
 * Nostr filters (NIP-01): read from JSON, matched against events, written.
 *
 * Like an event, a filter is ONE run of bytes without pointers: it may be copied with memcpy
 * (trp_nostr_filter.size bytes, 8-byte aligned) and matched by any thread. It is made by
 * trp_nostr_filter_read only; the offsets inside are trusted.
 *
 * A condition that is there with an empty list matches nothing, as in JavaScript peers.
 */

#include "io/codec/nostr_event.h"

enum { TRP_NOSTR_FILTER_TAGS_MAX = 52 }; /* one condition per letter, a-z and A-Z */

/* One condition of the form "#<letter>". */
struct trp_nostr_filter_tag {
    uint32_t letter;
    uint32_t first; /* index into the value table */
    uint32_t count;
};

struct trp_nostr_filter {
    uint32_t size;  /* bytes of the whole filter, this struct included */
    uint32_t limit; /* most stored events wanted; UINT32_MAX when not given */
    uint64_t since; /* seconds, inclusive; 0 when not given */
    uint64_t until; /* seconds, inclusive; UINT64_MAX when not given */
    bool has_ids;
    bool has_authors;
    bool has_kinds;
    bool has_limit;
    uint32_t id_count; /* the lists are sorted; repeated values stay */
    uint32_t author_count;
    uint32_t kind_count;
    uint32_t tag_count;
    uint32_t value_count;
    uint32_t tags_at;    /* struct trp_nostr_filter_tag[tag_count] */
    uint32_t values_at;  /* struct trp_nostr_slice[value_count], sorted within each tag */
    uint32_t kinds_at;   /* uint16_t[kind_count] */
    uint32_t ids_at;     /* uint8_t[id_count][32] */
    uint32_t authors_at; /* uint8_t[author_count][32] */
};

struct trp_nostr_filter_limits {
    uint32_t filters_max;     /* filters in one REQ */
    uint32_t values_max;      /* entries in one list of a filter */
    uint32_t value_bytes_max; /* unescaped bytes of one tag value */
};

/* 20 filters, 1000 values a list, 1 KiB a value. */
struct trp_nostr_filter_limits trp_nostr_filter_limits_default(void);

/* An upper bound of the bytes that trp_nostr_filter_read needs for this node. Cost: O(1). */
size_t trp_nostr_filter_bound(const struct trp_json_doc *doc, const struct trp_json_node *node);

/*
 * Reads a filter from a JSON object into area (cap bytes, 8-byte aligned).
 *
 * ids and authors must be full lower-case hex (prefixes left NIP-01 long ago). A limit above
 * UINT32_MAX is read as UINT32_MAX. Members other than ids, authors, kinds, since, until, limit and
 * "#" with one letter are ignored; one of these given twice is refused.
 *
 * TROUPE_OK; TROUPE_EPARSE (malformed); TROUPE_ETOOLARGE (over a limit); TROUPE_ENOMEM (area too
 * small; never with trp_nostr_filter_bound bytes). error, optional, names the member.
 * Cost: O(n log n) in the values.
 */
enum troupe_status trp_nostr_filter_read(void *area,
                                         size_t cap,
                                         const struct trp_json_doc *doc,
                                         const struct trp_json_node *node,
                                         const struct trp_nostr_filter_limits *limits,
                                         struct trp_nostr_error *error) TROUPE_MUST_USE;

/*
 * True when the event meets every condition; `limit` plays no part.
 * Cost: O(log values) per condition, per tag of the event for tag conditions.
 */
bool trp_nostr_filter_match(const struct trp_nostr_filter *filter,
                            const struct trp_nostr_event *event);

/* A filter to be sent. Lists with count 0 are left out. */
struct trp_nostr_filter_draft_tag {
    char letter;
    const struct troupe_span *values; /* UTF-8 */
    uint32_t count;
};

struct trp_nostr_filter_draft {
    const uint8_t (*ids)[TRP_NOSTR_ID_LEN];
    uint32_t id_count;
    const uint8_t (*authors)[TRP_NOSTR_PUBKEY_LEN];
    uint32_t author_count;
    const uint16_t *kinds;
    uint32_t kind_count;
    const struct trp_nostr_filter_draft_tag *tags;
    uint32_t tag_count;
    uint64_t since;
    uint64_t until;
    uint32_t limit;
    bool has_since;
    bool has_until;
    bool has_limit;
};

/* Appends the filter as a JSON object. */
void trp_nostr_filter_write(struct trp_text *text, const struct trp_nostr_filter_draft *draft);

#endif
