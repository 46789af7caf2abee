/*
 * Fuzz entry for the Nostr codecs: bytes -> JSON -> message -> events and filters -> text -> again.
 * What was read must come out equal after writing and reading it back.
 */

#include <stdlib.h>

#include <troupe/assert.h>

#include "io/codec/nostr_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Exactly cap bytes, so that AddressSanitizer sees the first byte too much. */
static void *allocate(size_t cap)
{
    void *area = malloc(cap);
    TROUPE_ASSERT(area != NULL);
    return area;
}

static struct trp_json_parser *make_parser(void)
{
    struct trp_json_parser *parser = trp_json_create(trp_json_limits_default());
    TROUPE_ASSERT(parser != NULL);
    return parser;
}

static struct trp_nostr_event *read_event(const struct trp_json_doc *doc,
                                          const struct trp_json_node *node)
{
    struct trp_nostr_event_limits limits = trp_nostr_event_limits_default();
    struct trp_nostr_error error = {{0}};
    size_t cap = trp_nostr_event_bound(doc, node);
    struct trp_nostr_event *event = allocate(cap);
    enum troupe_status status = trp_nostr_event_read(event, cap, doc, node, &limits, &error);
    TROUPE_ASSERT(status != TROUPE_ENOMEM);
    if (status != TROUPE_OK) {
        TROUPE_ASSERT(error.text[0] != '\0');
        free(event);
        return NULL;
    }
    TROUPE_ASSERT(event->size <= cap);
    return event;
}

/* Every accessor, over every tag. */
static size_t walk(const struct trp_nostr_event *event)
{
    size_t bytes = trp_nostr_event_content(event).len;
    for (uint32_t t = 0; t < event->tag_count; t++) {
        for (uint32_t e = 0; e < trp_nostr_event_tag_len(event, t); e++) {
            struct troupe_span text = trp_nostr_event_element(event, t, e);
            TROUPE_ASSERT(text.data != NULL && trp_utf8_valid(text));
            bytes += text.len;
        }
    }
    uint32_t tag = trp_nostr_event_find_tag(event, "p", 0);
    TROUPE_ASSERT(tag == TRP_NOSTR_NO_TAG || tag < event->tag_count);
    struct troupe_span value = trp_nostr_event_tag_value(event, "p");
    TROUPE_ASSERT(value.data == NULL || trp_nostr_event_has_value(event, 'p', value));
    return bytes;
}

static void check_event(const struct trp_json_doc *doc, const struct trp_json_node *node)
{
    struct trp_nostr_event *event = read_event(doc, node);
    if (event == NULL) {
        return;
    }
    size_t bytes = walk(event);
    struct trp_text text = trp_text_init(NULL, 0);
    trp_nostr_event_write_json(&text, event);
    size_t needed = text.needed;
    text = trp_text_init(allocate(needed), needed);
    trp_nostr_event_write_json(&text, event);
    TROUPE_ASSERT(!text.overflow && text.len == needed);

    static struct trp_json_parser *second;
    struct trp_json_doc again;
    if (second == NULL) {
        second = make_parser();
    }
    enum troupe_status status = trp_json_read(second, &again, text.data, text.len, text.len);
    TROUPE_ASSERT(status == TROUPE_OK);
    struct trp_nostr_event *copy = read_event(&again, trp_json_root(&again));
    TROUPE_ASSERT(copy != NULL && copy->size == event->size);
    TROUPE_ASSERT(memcmp(copy, event, event->size) == 0);
    TROUPE_ASSERT(walk(copy) == bytes);
    TROUPE_ASSERT(trp_nostr_event_check_id(copy) == trp_nostr_event_check_id(event));
    free(copy);
    free(text.data);
    free(event);
}

/* An event for filters to look at. */
static const struct trp_nostr_event *sample_event(void)
{
    static struct trp_nostr_event *event;
    if (event == NULL) {
        const struct troupe_span elements[] = {troupe_span_cstr("p"), troupe_span_cstr("x")};
        const struct trp_nostr_draft_tag tag = {elements, 2};
        const struct trp_nostr_draft draft = {
            .created_at = 1000, .kind = 1, .tags = &tag, .tag_count = 1};
        const uint8_t secret[32] = {1};
        struct trp_nostr_key key;
        struct trp_nostr_crypto *crypto = trp_nostr_crypto_create();
        TROUPE_ASSERT(crypto != NULL);
        enum troupe_status status = trp_nostr_key_init(crypto, &key, secret);
        TROUPE_ASSERT(status == TROUPE_OK);
        size_t cap = trp_nostr_draft_bound(&draft);
        event = allocate(cap);
        status = trp_nostr_event_sign(crypto, event, cap, &key, &draft, secret);
        TROUPE_ASSERT(status == TROUPE_OK);
        trp_nostr_crypto_destroy(crypto);
    }
    return event;
}

static void check_filter(const struct trp_json_doc *doc, const struct trp_json_node *node)
{
    struct trp_nostr_filter_limits limits = trp_nostr_filter_limits_default();
    struct trp_nostr_error error = {{0}};
    size_t cap = trp_nostr_filter_bound(doc, node);
    struct trp_nostr_filter *filter = allocate(cap);
    enum troupe_status status = trp_nostr_filter_read(filter, cap, doc, node, &limits, &error);
    TROUPE_ASSERT(status != TROUPE_ENOMEM);
    if (status == TROUPE_OK) {
        TROUPE_ASSERT(filter->size <= cap);
        (void)trp_nostr_filter_match(filter, sample_event());
    } else {
        TROUPE_ASSERT(error.text[0] != '\0');
    }
    free(filter);
}

static void check_client(const struct trp_json_doc *doc)
{
    struct trp_nostr_client_msg msg;
    if (trp_nostr_wire_read_client(&msg, doc, 20, NULL) != TROUPE_OK) {
        return;
    }
    if (msg.event != NULL) {
        check_event(doc, msg.event);
    }
    uint32_t filters = 0;
    const struct trp_json_node *filter = msg.filter;
    for (; filter != NULL; filter = trp_nostr_wire_next_filter(doc, filter)) {
        check_filter(doc, filter);
        filters++;
    }
    TROUPE_ASSERT(filters == msg.filter_count);
}

static void check_relay(const struct trp_json_doc *doc)
{
    struct trp_nostr_relay_msg msg;
    if (trp_nostr_wire_read_relay(&msg, doc, NULL) == TROUPE_OK && msg.event != NULL) {
        check_event(doc, msg.event);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct trp_json_parser *parser;
    struct trp_json_doc doc;
    if (parser == NULL) {
        parser = make_parser();
    }
    if (trp_json_read(parser, &doc, (const char *)data, size, size) != TROUPE_OK) {
        return 0;
    }
    check_client(&doc);
    check_relay(&doc);
    check_event(&doc, trp_json_root(&doc)); /* a bare event or filter reaches further, sooner */
    check_filter(&doc, trp_json_root(&doc));
    return 0;
}
