#ifndef TESTS_UNIT_RELAY_EVENTS_H
#define TESTS_UNIT_RELAY_EVENTS_H

/* Signed events for the tests of the relay. */

#include "io/codec/nostr_filter.h"
#include "io/codec/nostr_packet.h"

#define EVENT_KEYS 4u

/* Keys 0..3 are those of the secrets 1..4. */
struct event_maker {
    struct trp_nostr_crypto *crypto;
    struct trp_json_parser *parser;
    struct trp_nostr_key keys[EVENT_KEYS];
    char pubkeys[EVENT_KEYS][65]; /* hex, cstr */
};

void event_maker_init(struct event_maker *maker);
void event_maker_fini(struct event_maker *maker);

/* What an event says; tags end with a NULL name. */
struct event_spec {
    uint32_t key;
    uint32_t kind;
    uint64_t created_at;
    const char *content;
    const char *tags[8][2];
};

/* Caller frees. */
struct trp_nostr_event *event_make(struct event_maker *maker, const struct event_spec *spec);

/* Its JSON object; caller frees. */
char *event_json(const struct trp_nostr_event *event);

/* id as hex, cstr */
void event_id_hex(char out[65], const struct trp_nostr_event *event);

/* A packet from the heap of the calling thread. */
struct troupe_buf *event_packet(struct event_maker *maker, const struct event_spec *spec);

/* A filter read from JSON; caller frees. */
struct trp_nostr_filter *event_filter(struct event_maker *maker, const char *json);

#endif
