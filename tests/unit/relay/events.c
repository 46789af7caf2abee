#include "tests/unit/relay/events.h"

#include "mailbox/slab.h"

#include <stdlib.h>
#include <troupe/assert.h>

void event_maker_init(struct event_maker *maker)
{
    maker->crypto = trp_nostr_crypto_create();
    maker->parser = trp_json_create(trp_json_limits_default());
    TROUPE_ASSERT(maker->crypto != NULL);
    TROUPE_ASSERT(maker->parser != NULL);
    for (uint32_t i = 0; i < EVENT_KEYS; i++) {
        uint8_t secret[32] = {0};
        secret[31] = (uint8_t)(i + 1);
        enum troupe_status status = trp_nostr_key_init(maker->crypto, &maker->keys[i], secret);
        TROUPE_ASSERT(status == TROUPE_OK);
        struct trp_text hex = trp_text_init(maker->pubkeys[i], 64);
        trp_text_hex(&hex, maker->keys[i].pubkey, 32);
        maker->pubkeys[i][64] = '\0';
    }
}

void event_maker_fini(struct event_maker *maker)
{
    trp_nostr_crypto_destroy(maker->crypto);
    trp_json_destroy(maker->parser);
}

struct trp_nostr_event *event_make(struct event_maker *maker, const struct event_spec *spec)
{
    struct troupe_span elements[8][2];
    struct trp_nostr_draft_tag tags[8];
    uint32_t count = 0;
    for (; count < 8 && spec->tags[count][0] != NULL; count++) {
        elements[count][0] = troupe_span_cstr(spec->tags[count][0]);
        elements[count][1] = troupe_span_cstr(spec->tags[count][1]);
        tags[count].elements = elements[count];
        tags[count].count = 2;
    }
    struct trp_nostr_draft draft = {
        .created_at = spec->created_at,
        .kind = spec->kind,
        .tags = tags,
        .tag_count = count,
        .content = troupe_span_cstr(spec->content != NULL ? spec->content : ""),
    };
    static const uint8_t aux[32];
    size_t bound = trp_nostr_draft_bound(&draft);
    void *area = malloc(bound);
    TROUPE_ASSERT(area != NULL);
    enum troupe_status status =
        trp_nostr_event_sign(maker->crypto, area, bound, &maker->keys[spec->key], &draft, aux);
    TROUPE_ASSERT(status == TROUPE_OK);
    return area;
}

char *event_json(const struct trp_nostr_event *event)
{
    struct trp_text measure = trp_text_init(NULL, 0);
    trp_nostr_event_write_json(&measure, event);
    char *data = malloc(measure.needed + 1);
    TROUPE_ASSERT(data != NULL);
    struct trp_text text = trp_text_init(data, measure.needed);
    trp_nostr_event_write_json(&text, event);
    data[text.len] = '\0';
    return data;
}

void event_id_hex(char out[65], const struct trp_nostr_event *event)
{
    struct trp_text hex = trp_text_init(out, 64);
    trp_text_hex(&hex, event->id, 32);
    out[64] = '\0';
}

struct troupe_buf *event_packet(struct event_maker *maker, const struct event_spec *spec)
{
    struct trp_nostr_event *event = event_make(maker, spec);
    struct troupe_buf *buf =
        trp_buf_alloc(trp_heap_current, (uint32_t)trp_nostr_packet_bound(event));
    TROUPE_ASSERT(buf != NULL);
    bool is_written = trp_nostr_packet_write(buf, event);
    TROUPE_ASSERT(is_written);
    free(event);
    return buf;
}

struct trp_nostr_filter *event_filter(struct event_maker *maker, const char *json)
{
    struct trp_json_doc doc;
    struct trp_nostr_error error = {""};
    size_t len = strlen(json);
    struct trp_nostr_filter_limits limits = trp_nostr_filter_limits_default();
    enum troupe_status status = trp_json_read(maker->parser, &doc, json, len, len);
    TROUPE_ASSERT(status == TROUPE_OK);
    size_t bound = trp_nostr_filter_bound(&doc, trp_json_root(&doc));
    struct trp_nostr_filter *filter = malloc(bound);
    TROUPE_ASSERT(filter != NULL);
    status = trp_nostr_filter_read(filter, bound, &doc, trp_json_root(&doc), &limits, &error);
    TROUPE_ASSERT(status == TROUPE_OK);
    return filter;
}
