#ifndef IO_CODEC_NOSTR_WIRE_H
#define IO_CODEC_NOSTR_WIRE_H

/*
 * Messages between Nostr clients and relays (NIP-01, NIP-42): both directions, read and write.
 *
 * Reading takes a parsed JSON document; the spans and nodes of a message belong to that document.
 * Elements behind those a message needs are ignored.
 */

#include "io/codec/nostr_event.h"
#include "io/codec/nostr_filter.h"

enum {
    TRP_NOSTR_SUB_CHARS_MAX = 64,  /* characters of a subscription id, NIP-01 */
    TRP_NOSTR_SUB_BYTES_MAX = 256, /* what they take in UTF-8 at most */
};

enum trp_nostr_client_type {
    TRP_NOSTR_CLIENT_EVENT,
    TRP_NOSTR_CLIENT_REQ,
    TRP_NOSTR_CLIENT_CLOSE,
    TRP_NOSTR_CLIENT_AUTH,
};

/* Client to relay. */
struct trp_nostr_client_msg {
    enum trp_nostr_client_type type;
    struct troupe_span sub;             /* REQ, CLOSE: 1..64 characters, unescaped */
    const struct trp_json_node *event;  /* EVENT, AUTH: an object */
    const struct trp_json_node *filter; /* REQ: the first filter, an object; see next_filter */
    uint32_t filter_count;              /* REQ: at least 1 */
};

enum trp_nostr_relay_type {
    TRP_NOSTR_RELAY_EVENT,
    TRP_NOSTR_RELAY_OK,
    TRP_NOSTR_RELAY_EOSE,
    TRP_NOSTR_RELAY_CLOSED,
    TRP_NOSTR_RELAY_NOTICE,
    TRP_NOSTR_RELAY_AUTH,
};

/* Relay to client. */
struct trp_nostr_relay_msg {
    enum trp_nostr_relay_type type;
    struct troupe_span sub;            /* EVENT, EOSE, CLOSED: 1..64 characters, unescaped */
    struct troupe_span text;           /* OK, CLOSED (empty if not sent), NOTICE; AUTH: challenge */
    const struct trp_json_node *event; /* EVENT: an object */
    uint8_t id[TRP_NOSTR_ID_LEN];      /* OK */
    bool accepted;                     /* OK */
};

/*
 * Reads the message a document holds.
 *
 * TROUPE_OK; TROUPE_ENOTFOUND (an array that begins with a string, but with no message name known
 * here: answer with a NOTICE or ignore); TROUPE_EPARSE (anything else that is wrong);
 * TROUPE_ETOOLARGE (more than filters_max filters). error is optional.
 */
enum troupe_status trp_nostr_wire_read_client(struct trp_nostr_client_msg *msg,
                                              const struct trp_json_doc *doc,
                                              uint32_t filters_max,
                                              struct trp_nostr_error *error) TROUPE_MUST_USE;

/* The filter of a REQ after this one, NULL after the last. */
const struct trp_json_node *trp_nostr_wire_next_filter(const struct trp_json_doc *doc,
                                                       const struct trp_json_node *filter);

/* Same results, except that nothing is too large. */
enum troupe_status trp_nostr_wire_read_relay(struct trp_nostr_relay_msg *msg,
                                             const struct trp_json_doc *doc,
                                             struct trp_nostr_error *error) TROUPE_MUST_USE;

/* True for 1..64 characters of UTF-8. */
bool trp_nostr_wire_sub_valid(struct troupe_span sub);

/*
 * Writers. Texts and subscription ids are UTF-8 and get escaped; event_json is a JSON object that
 * goes out as it is (a raw span of a document that was read, or trp_nostr_event_write_json).
 */

/* Client to relay: ["EVENT",event] */
void trp_nostr_wire_write_publish(struct trp_text *text, const struct trp_nostr_event *event);
/* ["REQ",sub,filter...]; count is at least 1 */
void trp_nostr_wire_write_req(struct trp_text *text,
                              struct troupe_span sub,
                              const struct trp_nostr_filter_draft *filters,
                              uint32_t count);
/* ["CLOSE",sub] */
void trp_nostr_wire_write_close(struct trp_text *text, struct troupe_span sub);
/* ["AUTH",event] */
void trp_nostr_wire_write_auth(struct trp_text *text, const struct trp_nostr_event *event);

/* Relay to client: ["EVENT",sub,event] */
void trp_nostr_wire_write_event(struct trp_text *text,
                                struct troupe_span sub,
                                struct troupe_span event_json);
/* ["OK",id,accepted,why] */
void trp_nostr_wire_write_ok(struct trp_text *text,
                             const uint8_t id[TRP_NOSTR_ID_LEN],
                             bool accepted,
                             struct troupe_span why);
/* ["EOSE",sub] */
void trp_nostr_wire_write_eose(struct trp_text *text, struct troupe_span sub);
/* ["CLOSED",sub,why] */
void trp_nostr_wire_write_closed(struct trp_text *text,
                                 struct troupe_span sub,
                                 struct troupe_span why);
/* ["NOTICE",what] */
void trp_nostr_wire_write_notice(struct trp_text *text, struct troupe_span what);
/* ["AUTH",challenge] */
void trp_nostr_wire_write_challenge(struct trp_text *text, struct troupe_span challenge);

#endif
