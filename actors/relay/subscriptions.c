#include "actors/relay/subscriptions.h"

#include "actors/relay/hash.h"

#include <stdlib.h>
#include <troupe/assert.h>

#define BUCKETS_MAX (1u << 24)

struct trp_relay_subs {
    uint64_t seed;
    uint64_t stamp;
    uint32_t bucket_mask;
    struct trp_relay_key **buckets;
    struct trp_relay_sub *scan; /* subscriptions with a filter that has no #p condition */
};

/* --- filters --- */

static const struct trp_nostr_filter *next_filter(const struct trp_nostr_filter *filter)
{
    return (const void *)((const char *)filter + trp_relay_filter_room(filter->size));
}

/* The #p condition of a filter, NULL when it has none. */
static const struct trp_nostr_filter_tag *p_condition(const struct trp_nostr_filter *filter)
{
    const struct trp_nostr_filter_tag *tags =
        (const void *)((const char *)filter + filter->tags_at);
    for (uint32_t i = 0; i < filter->tag_count; i++) {
        if (tags[i].letter == 'p') {
            return &tags[i];
        }
    }
    return NULL;
}

static struct troupe_span
value_at(const struct trp_nostr_filter *filter, const struct trp_nostr_filter_tag *tag, uint32_t i)
{
    const struct trp_nostr_slice *values = (const void *)((const char *)filter + filter->values_at);
    const struct trp_nostr_slice *slice = &values[tag->first + i];
    return troupe_span((const char *)filter + slice->at, slice->len);
}

/* --- one subscription --- */

/* Where the parts of a subscription lie. */
struct layout {
    size_t filters_at; /* pointers */
    size_t remaining_at;
    size_t keys_at;
    size_t area_at;
    size_t area_len;
    size_t texts_at;
    size_t size;
    uint32_t key_count;
};

static struct layout lay_out(const struct trp_relay_filters *filters, struct troupe_span id)
{
    struct layout layout = {0};
    const struct trp_nostr_filter *filter = filters->area;
    for (uint32_t i = 0; i < filters->count; i++) {
        const struct trp_nostr_filter_tag *tag = p_condition(filter);
        layout.key_count += tag != NULL ? tag->count : 0;
        layout.area_len += trp_relay_filter_room(filter->size);
        filter = next_filter(filter);
    }
    layout.filters_at = trp_relay_filter_room(sizeof(struct trp_relay_sub));
    layout.remaining_at = layout.filters_at + filters->count * sizeof(void *);
    layout.keys_at = layout.remaining_at + trp_relay_filter_room(filters->count * sizeof(uint32_t));
    layout.area_at = layout.keys_at + layout.key_count * sizeof(struct trp_relay_key);
    layout.texts_at = layout.area_at + layout.area_len;
    layout.size = layout.texts_at + id.len + TRP_RELAY_PREFIX_MAX;
    return layout;
}

size_t trp_relay_sub_size(const struct trp_relay_filters *filters, struct troupe_span id)
{
    return lay_out(filters, id).size;
}

static void write_texts(struct trp_relay_sub *sub, char *texts, struct troupe_span id)
{
    memcpy(texts, id.data, id.len);
    sub->id = troupe_span(texts, id.len);
    struct trp_text prefix = trp_text_init(texts + id.len, TRP_RELAY_PREFIX_MAX);
    trp_text_cstr(&prefix, "[\"EVENT\",");
    trp_text_json(&prefix, id);
    trp_text_cstr(&prefix, ",");
    TROUPE_ASSERT(!prefix.overflow);
    sub->prefix = troupe_span(prefix.data, prefix.len);
}

struct trp_relay_sub *trp_relay_sub_init(struct troupe_buf *memory,
                                         const struct trp_relay_filters *filters,
                                         struct troupe_span id)
{
    struct layout layout = lay_out(filters, id);
    TROUPE_ASSERT(layout.size <= memory->capacity);
    TROUPE_ASSERT(id.len <= TRP_NOSTR_SUB_BYTES_MAX);
    char *base = (char *)memory->data;
    struct trp_relay_sub *sub = (void *)base;
    const struct trp_nostr_filter **pointers = (void *)(base + layout.filters_at);
    memset(sub, 0, sizeof(*sub));
    memory->size = (uint32_t)layout.size;
    memcpy(base + layout.area_at, filters->area, layout.area_len);
    sub->memory = memory;
    sub->filters = pointers;
    sub->filter_count = filters->count;
    sub->keys = (void *)(base + layout.keys_at);
    sub->key_count = layout.key_count;
    write_texts(sub, base + layout.texts_at, id);
    const struct trp_nostr_filter *filter = (const void *)(base + layout.area_at);
    uint32_t key = 0;
    for (uint32_t i = 0; i < filters->count; i++) {
        const struct trp_nostr_filter_tag *tag = p_condition(filter);
        pointers[i] = filter;
        for (uint32_t v = 0; tag != NULL && v < tag->count; v++) {
            struct trp_relay_key *node = &sub->keys[key++];
            memset(node, 0, sizeof(*node));
            node->sub = sub;
            node->filter = filter;
            node->value = value_at(filter, tag, v);
        }
        filter = next_filter(filter);
    }
    TROUPE_ASSERT(key == layout.key_count);
    return sub;
}

uint32_t *trp_relay_sub_remaining(struct trp_relay_sub *sub)
{
    char *pointers = (char *)sub + trp_relay_filter_room(sizeof(*sub));
    return (void *)(pointers + sub->filter_count * sizeof(void *));
}

void trp_relay_sub_free(struct trp_relay_sub *sub)
{
    TROUPE_ASSERT(!sub->is_added);
    troupe_buf_release(sub->memory);
}

/* --- all of them --- */

struct trp_relay_subs *trp_relay_subs_create(uint32_t buckets, uint64_t seed)
{
    TROUPE_ASSERT(buckets <= BUCKETS_MAX);
    struct trp_relay_subs *subs = calloc(1, sizeof(*subs));
    if (subs == NULL) {
        return NULL;
    }
    uint32_t rounded = 64;
    while (rounded < buckets) {
        rounded *= 2;
    }
    subs->seed = seed;
    subs->bucket_mask = rounded - 1;
    subs->buckets = calloc(rounded, sizeof(void *));
    if (subs->buckets == NULL) {
        free(subs);
        return NULL;
    }
    return subs;
}

void trp_relay_subs_destroy(struct trp_relay_subs *subs)
{
    if (subs == NULL) {
        return;
    }
    TROUPE_ASSERT(subs->scan == NULL);
    for (uint32_t i = 0; i <= subs->bucket_mask; i++) {
        TROUPE_ASSERT(subs->buckets[i] == NULL);
    }
    free(subs->buckets);
    free(subs);
}

static void link_key(struct trp_relay_subs *subs, struct trp_relay_key *key)
{
    key->hash = trp_relay_hash(subs->seed, key->value);
    struct trp_relay_key **bucket = &subs->buckets[key->hash & subs->bucket_mask];
    key->next = *bucket;
    key->pprev = bucket;
    if (key->next != NULL) {
        key->next->pprev = &key->next;
    }
    *bucket = key;
}

static void unlink_key(struct trp_relay_key *key)
{
    *key->pprev = key->next;
    if (key->next != NULL) {
        key->next->pprev = key->pprev;
    }
    key->pprev = NULL;
}

static bool needs_scan(const struct trp_relay_sub *sub)
{
    for (uint32_t i = 0; i < sub->filter_count; i++) {
        if (p_condition(sub->filters[i]) == NULL) {
            return true;
        }
    }
    return false;
}

void trp_relay_subs_add(struct trp_relay_subs *subs, struct trp_relay_sub *sub)
{
    TROUPE_ASSERT(!sub->is_added);
    sub->is_added = true;
    sub->stamp = 0;
    for (uint32_t i = 0; i < sub->key_count; i++) {
        link_key(subs, &sub->keys[i]);
    }
    if (needs_scan(sub)) {
        sub->scan_next = subs->scan;
        sub->scan_pprev = &subs->scan;
        if (subs->scan != NULL) {
            subs->scan->scan_pprev = &sub->scan_next;
        }
        subs->scan = sub;
    }
}

void trp_relay_subs_remove(struct trp_relay_subs *subs, struct trp_relay_sub *sub)
{
    TROUPE_ASSERT(subs != NULL);
    TROUPE_ASSERT(sub->is_added);
    sub->is_added = false;
    for (uint32_t i = 0; i < sub->key_count; i++) {
        unlink_key(&sub->keys[i]);
    }
    if (sub->scan_pprev != NULL) {
        *sub->scan_pprev = sub->scan_next;
        if (sub->scan_next != NULL) {
            sub->scan_next->scan_pprev = sub->scan_pprev;
        }
        sub->scan_pprev = NULL;
    }
}

/* --- matching --- */

static void match_value(struct trp_relay_subs *subs,
                        const struct trp_nostr_event *event,
                        struct troupe_span value,
                        trp_relay_match_cb match_cb,
                        void *arg)
{
    uint64_t hash = trp_relay_hash(subs->seed, value);
    struct trp_relay_key *key = subs->buckets[hash & subs->bucket_mask];
    for (; key != NULL; key = key->next) {
        struct trp_relay_sub *sub = key->sub;
        if (key->hash == hash && sub->stamp != subs->stamp &&
            troupe_span_equal(key->value, value) && trp_nostr_filter_match(key->filter, event)) {
            sub->stamp = subs->stamp;
            match_cb(arg, sub);
        }
    }
}

static bool matches_unkeyed(const struct trp_relay_sub *sub, const struct trp_nostr_event *event)
{
    for (uint32_t i = 0; i < sub->filter_count; i++) {
        if (p_condition(sub->filters[i]) == NULL &&
            trp_nostr_filter_match(sub->filters[i], event)) {
            return true;
        }
    }
    return false;
}

void trp_relay_subs_match(struct trp_relay_subs *subs,
                          const struct trp_nostr_event *event,
                          trp_relay_match_cb match_cb,
                          void *arg)
{
    subs->stamp++;
    uint32_t tag = trp_nostr_event_find_tag(event, "p", 0);
    while (tag != TRP_NOSTR_NO_TAG) {
        struct troupe_span value = trp_nostr_event_element(event, tag, 1);
        if (value.data != NULL) {
            match_value(subs, event, value, match_cb, arg);
        }
        tag = trp_nostr_event_find_tag(event, "p", tag + 1);
    }
    for (struct trp_relay_sub *sub = subs->scan; sub != NULL; sub = sub->scan_next) {
        if (sub->stamp != subs->stamp && matches_unkeyed(sub, event)) {
            sub->stamp = subs->stamp;
            match_cb(arg, sub);
        }
    }
}
