#ifndef TESTS_UNIT_CODEC_NOSTR_HELPER_H
#define TESTS_UNIT_CODEC_NOSTR_HELPER_H

/* What the tests of the Nostr codecs share. Include it behind cmocka.h. */

#include <stdio.h>
#include <stdlib.h>

#include "io/codec/nostr_wire.h"

#define PUBKEY_1 "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
#define PUBKEY_2 "c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5"
#define HEX_0    "0000000000000000000000000000000000000000000000000000000000000000"
#define HEX_A    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

struct nostr_fixture {
    struct trp_nostr_crypto *crypto;
    struct trp_json_parser *parser;
    struct trp_json_doc doc;
    struct trp_nostr_error error;
    struct trp_nostr_key key; /* of secret 1 */
};

static inline int nostr_fixture_setup(void **state)
{
    struct nostr_fixture *fixture = calloc(1, sizeof(*fixture));
    uint8_t secret[32] = {0};
    secret[31] = 1;
    if (fixture == NULL) {
        return 1;
    }
    fixture->crypto = trp_nostr_crypto_create();
    fixture->parser = trp_json_create(trp_json_limits_default());
    *state = fixture;
    return fixture->crypto == NULL || fixture->parser == NULL ||
           trp_nostr_key_init(fixture->crypto, &fixture->key, secret) != TROUPE_OK;
}

static inline int nostr_fixture_teardown(void **state)
{
    struct nostr_fixture *fixture = *state;
    trp_nostr_crypto_destroy(fixture->crypto);
    trp_json_destroy(fixture->parser);
    free(fixture);
    return 0;
}

/* Parses a text that must be JSON. */
static inline const struct trp_json_node *nostr_parse(struct nostr_fixture *fixture,
                                                      struct troupe_span json)
{
    enum troupe_status status =
        trp_json_read(fixture->parser, &fixture->doc, json.data, json.len, json.len);
    assert_int_equal(status, TROUPE_OK);
    memset(&fixture->error, 0, sizeof(fixture->error));
    return trp_json_root(&fixture->doc);
}

/* Reads an event into exactly as many bytes as its bound says; caller frees. NULL when refused. */
static inline struct trp_nostr_event *
nostr_read_event(struct nostr_fixture *fixture, struct troupe_span json, enum troupe_status wanted)
{
    const struct trp_json_node *root = nostr_parse(fixture, json);
    struct trp_nostr_event_limits limits = trp_nostr_event_limits_default();
    size_t cap = trp_nostr_event_bound(&fixture->doc, root);
    struct trp_nostr_event *event = malloc(cap);
    assert_non_null(event);
    enum troupe_status status =
        trp_nostr_event_read(event, cap, &fixture->doc, root, &limits, &fixture->error);
    if (status != wanted) {
        print_error("refused: %s\n", fixture->error.text);
    }
    assert_int_equal(status, wanted);
    if (status == TROUPE_OK) {
        assert_true(event->size <= cap);
        return event;
    }
    assert_true(fixture->error.text[0] != '\0');
    free(event);
    return NULL;
}

/* Signs a draft with key 1 into exactly as many bytes as its bound says; caller frees. */
static inline struct trp_nostr_event *nostr_sign(struct nostr_fixture *fixture,
                                                 const struct trp_nostr_draft *draft)
{
    size_t cap = trp_nostr_draft_bound(draft);
    struct trp_nostr_event *event = malloc(cap);
    assert_non_null(event);
    assert_int_equal(trp_nostr_event_sign(fixture->crypto, event, cap, &fixture->key, draft, NULL),
                     TROUPE_OK);
    assert_true(event->size <= cap);
    return event;
}

/* The JSON text of an event; caller frees .data. */
static inline struct trp_text nostr_json(const struct trp_nostr_event *event)
{
    struct trp_text measure = trp_text_init(NULL, 0);
    trp_nostr_event_write_json(&measure, event);
    struct trp_text text = trp_text_init(malloc(measure.needed), measure.needed);
    assert_non_null(text.data);
    trp_nostr_event_write_json(&text, event);
    assert_false(text.overflow);
    assert_int_equal(text.len, measure.needed);
    return text;
}

static inline void nostr_assert_span(struct troupe_span span, const char *wanted)
{
    assert_int_equal(span.len, strlen(wanted));
    assert_memory_equal(span.data, wanted, span.len);
}

#endif
