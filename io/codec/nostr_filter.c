#include "io/codec/nostr_filter.h"

#include <troupe/assert.h>

/* What the first pass over the members finds. */
struct plan {
    const struct trp_json_node *ids;
    const struct trp_json_node *authors;
    const struct trp_json_node *kinds;
    const struct trp_json_node *since;
    const struct trp_json_node *until;
    const struct trp_json_node *limit;
    const struct trp_json_node *tags[TRP_NOSTR_FILTER_TAGS_MAX]; /* by letter_index */
    uint32_t tag_count;
    uint32_t value_count;
};

/* ---- sorted lists: heap sort, because qsort() may allocate and may be quadratic ---- */

typedef int (*compare_fn)(const void *a, const void *b, const void *base);

struct list {
    uint8_t *entries;
    uint32_t count;
    uint32_t width; /* bytes of one entry, at most 32 */
    compare_fn compare;
    const void *base; /* what slices in the entries refer to */
};

static int compare_hash(const void *a, const void *b, const void *base)
{
    (void)base;
    return memcmp(a, b, 32);
}

static int compare_kind(const void *a, const void *b, const void *base)
{
    (void)base;
    uint16_t left;
    uint16_t right;
    memcpy(&left, a, sizeof(left));
    memcpy(&right, b, sizeof(right));
    return (left > right) - (left < right);
}

static int compare_text(struct troupe_span a, struct troupe_span b)
{
    if (a.len != b.len) {
        return a.len < b.len ? -1 : 1;
    }
    return a.len == 0 ? 0 : memcmp(a.data, b.data, a.len);
}

static struct troupe_span slice_span(const void *base, const void *slice)
{
    const struct trp_nostr_slice *entry = slice;
    return troupe_span((const char *)base + entry->at, entry->len);
}

static int compare_slice(const void *a, const void *b, const void *base)
{
    return compare_text(slice_span(base, a), slice_span(base, b));
}

static uint8_t *entry_of(const struct list *list, uint32_t index)
{
    return list->entries + (size_t)index * list->width;
}

static void swap_entries(const struct list *list, uint32_t a, uint32_t b)
{
    uint8_t kept[32];
    memcpy(kept, entry_of(list, a), list->width);
    memcpy(entry_of(list, a), entry_of(list, b), list->width);
    memcpy(entry_of(list, b), kept, list->width);
}

static void sift_down(const struct list *list, uint32_t root, uint32_t end)
{
    for (;;) {
        uint64_t child = 2 * (uint64_t)root + 1;
        if (child >= end) {
            return;
        }
        uint32_t larger = (uint32_t)child;
        if (larger + 1 < end &&
            list->compare(entry_of(list, larger), entry_of(list, larger + 1), list->base) < 0) {
            larger++;
        }
        if (list->compare(entry_of(list, root), entry_of(list, larger), list->base) >= 0) {
            return;
        }
        swap_entries(list, root, larger);
        root = larger;
    }
}

static void sort_list(const struct list *list)
{
    TROUPE_ASSERT(list->width <= 32);
    for (uint32_t root = list->count / 2; root > 0; root--) {
        sift_down(list, root - 1, list->count);
    }
    for (uint32_t end = list->count; end > 1; end--) {
        swap_entries(list, 0, end - 1);
        sift_down(list, 0, end - 1);
    }
}

static bool list_has_hash(const uint8_t *hashes, uint32_t count, const uint8_t *wanted)
{
    uint32_t low = 0;
    uint32_t high = count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = memcmp(hashes + (size_t)middle * 32, wanted, 32);
        if (order == 0) {
            return true;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return false;
}

static bool list_has_kind(const uint16_t *kinds, uint32_t count, uint32_t wanted)
{
    uint32_t low = 0;
    uint32_t high = count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (kinds[middle] == wanted) {
            return true;
        }
        if (kinds[middle] < wanted) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return false;
}

static bool list_has_text(const struct trp_nostr_filter *filter,
                          const struct trp_nostr_filter_tag *tag,
                          struct troupe_span wanted)
{
    const struct trp_nostr_slice *values =
        (const struct trp_nostr_slice *)((const char *)filter + filter->values_at) + tag->first;
    uint32_t low = 0;
    uint32_t high = tag->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = compare_text(slice_span(filter, &values[middle]), wanted);
        if (order == 0) {
            return true;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return false;
}

/* ---- reading ---- */

struct trp_nostr_filter_limits trp_nostr_filter_limits_default(void)
{
    struct trp_nostr_filter_limits limits = {
        .filters_max = 20,
        .values_max = 1000,
        .value_bytes_max = 1024,
    };
    return limits;
}

size_t trp_nostr_filter_bound(const struct trp_json_doc *doc, const struct trp_json_node *node)
{
    /*
     * A value costs at most 8 bytes of table and its own bytes, which its raw text covers; a tag
     * condition costs 12 and is two nodes (key and list).
     */
    size_t nodes = node->after - (size_t)(node - doc->nodes);
    return sizeof(struct trp_nostr_filter) + 8 * nodes + (size_t)node->len;
}

static enum troupe_status
refuse(struct trp_nostr_error *error, enum troupe_status status, const char *name, const char *what)
{
    trp_nostr_error_set(error, name, what);
    return status;
}

/* 0..51 for a letter, -1 for anything else. */
static int letter_index(char letter)
{
    if (letter >= 'a' && letter <= 'z') {
        return letter - 'a';
    }
    if (letter >= 'A' && letter <= 'Z') {
        return letter - 'A' + 26;
    }
    return -1;
}

static char index_letter(int index)
{
    return (char)(index < 26 ? 'a' + index : 'A' + index - 26);
}

/* Where the plan keeps the member of this name; NULL for one to be ignored. */
static const struct trp_json_node **member_place(struct plan *plan, struct troupe_span name)
{
    if (name.len == 2 && name.data[0] == '#') {
        int index = letter_index(name.data[1]);
        return index < 0 ? NULL : &plan->tags[index];
    }
    const struct {
        const char *name;
        const struct trp_json_node **place;
    } known[] = {
        {"ids", &plan->ids},     {"authors", &plan->authors}, {"kinds", &plan->kinds},
        {"since", &plan->since}, {"until", &plan->until},     {"limit", &plan->limit},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (troupe_span_is(name, known[i].name)) {
            return known[i].place;
        }
    }
    return NULL;
}

static enum troupe_status find_members(struct plan *plan,
                                       const struct trp_json_doc *doc,
                                       const struct trp_json_node *object,
                                       struct trp_nostr_error *error)
{
    if (object->kind != TRP_JSON_OBJECT) {
        return refuse(error, TROUPE_EPARSE, NULL, "filter must be an object");
    }
    const struct trp_json_node *key = trp_json_first(doc, object);
    while (key != NULL) {
        const struct trp_json_node *value = trp_json_next(doc, object, key);
        struct troupe_span name = trp_json_text(doc, key);
        const struct trp_json_node **place = member_place(plan, name);
        if (place != NULL) {
            if (*place != NULL) {
                char label[8] = {0}; /* the longest known name has 7 letters */
                memcpy(label, name.data, name.len);
                return refuse(error, TROUPE_EPARSE, label, "is there twice");
            }
            *place = value;
        }
        key = trp_json_next(doc, object, value);
    }
    return TROUPE_OK;
}

static enum troupe_status check_list(const struct trp_json_node *list,
                                     const char *name,
                                     const char *wanted,
                                     const struct trp_nostr_filter_limits *limits,
                                     struct trp_nostr_error *error)
{
    if (list == NULL) {
        return TROUPE_OK;
    }
    if (list->kind != TRP_JSON_ARRAY) {
        return refuse(error, TROUPE_EPARSE, name, wanted);
    }
    if (list->count > limits->values_max) {
        return refuse(error, TROUPE_ETOOLARGE, name, "too many values");
    }
    return TROUPE_OK;
}

static const char *const hex_list = "must be an array of 64 lower-case hex digits each";
static const char *const kind_list = "must be an array of whole numbers, 0 to 65535";
static const char *const text_list = "must be an array of strings";

/* Keeps the promise of the bound: an entry that takes 32 bytes had at least as many in the text. */
static enum troupe_status check_hashes(const struct trp_json_doc *doc,
                                       const struct trp_json_node *list,
                                       const char *name,
                                       const struct trp_nostr_filter_limits *limits,
                                       struct trp_nostr_error *error)
{
    enum troupe_status status = check_list(list, name, hex_list, limits, error);
    if (status != TROUPE_OK || list == NULL) {
        return status;
    }
    const struct trp_json_node *value = trp_json_first(doc, list);
    for (; value != NULL; value = trp_json_next(doc, list, value)) {
        if (value->kind != TRP_JSON_STRING || value->text_len != 64) {
            return refuse(error, TROUPE_EPARSE, name, hex_list);
        }
    }
    return TROUPE_OK;
}

static enum troupe_status check_tag(struct plan *plan,
                                    int index,
                                    const struct trp_json_doc *doc,
                                    const struct trp_nostr_filter_limits *limits,
                                    struct trp_nostr_error *error)
{
    const struct trp_json_node *list = plan->tags[index];
    const char name[3] = {'#', index_letter(index), '\0'};
    enum troupe_status status = check_list(list, name, text_list, limits, error);
    if (status != TROUPE_OK || list == NULL) {
        return status;
    }
    const struct trp_json_node *value = trp_json_first(doc, list);
    for (; value != NULL; value = trp_json_next(doc, list, value)) {
        if (value->kind != TRP_JSON_STRING) {
            return refuse(error, TROUPE_EPARSE, name, text_list);
        }
        if (value->text_len > limits->value_bytes_max) {
            return refuse(error, TROUPE_ETOOLARGE, name, "value too long");
        }
    }
    plan->tag_count++;
    plan->value_count += list->count;
    return TROUPE_OK;
}

static enum troupe_status check_lists(struct plan *plan,
                                      const struct trp_json_doc *doc,
                                      const struct trp_nostr_filter_limits *limits,
                                      struct trp_nostr_error *error)
{
    enum troupe_status status = check_hashes(doc, plan->ids, "ids", limits, error);
    if (status == TROUPE_OK) {
        status = check_hashes(doc, plan->authors, "authors", limits, error);
    }
    if (status == TROUPE_OK) {
        status = check_list(plan->kinds, "kinds", kind_list, limits, error);
    }
    for (int i = 0; i < TRP_NOSTR_FILTER_TAGS_MAX && status == TROUPE_OK; i++) {
        status = check_tag(plan, i, doc, limits, error);
    }
    return status;
}

/* Places the lists; false when they do not fit. Wider units come first, so all are aligned. */
static bool
place_lists(struct trp_nostr_filter *filter, const struct plan *plan, size_t cap, size_t *texts_at)
{
    size_t at = sizeof(*filter);
    size_t tags_at = at;
    at += plan->tag_count * sizeof(struct trp_nostr_filter_tag);
    size_t values_at = at;
    at += plan->value_count * sizeof(struct trp_nostr_slice);
    size_t kinds_at = at;
    size_t kind_count = plan->kinds != NULL ? plan->kinds->count : 0;
    at += kind_count * sizeof(uint16_t);
    size_t ids_at = at;
    size_t id_count = plan->ids != NULL ? plan->ids->count : 0;
    at += id_count * TRP_NOSTR_ID_LEN;
    size_t authors_at = at;
    size_t author_count = plan->authors != NULL ? plan->authors->count : 0;
    at += author_count * TRP_NOSTR_PUBKEY_LEN;
    if (at > cap || at > UINT32_MAX) {
        return false;
    }
    memset(filter, 0, sizeof(*filter));
    filter->has_ids = plan->ids != NULL;
    filter->has_authors = plan->authors != NULL;
    filter->has_kinds = plan->kinds != NULL;
    filter->has_limit = plan->limit != NULL;
    filter->id_count = (uint32_t)id_count;
    filter->author_count = (uint32_t)author_count;
    filter->kind_count = (uint32_t)kind_count;
    filter->tag_count = plan->tag_count;
    filter->value_count = plan->value_count;
    filter->tags_at = (uint32_t)tags_at;
    filter->values_at = (uint32_t)values_at;
    filter->kinds_at = (uint32_t)kinds_at;
    filter->ids_at = (uint32_t)ids_at;
    filter->authors_at = (uint32_t)authors_at;
    *texts_at = at;
    return true;
}

/* Reads a list of 32-byte values and sorts it; NULL reads nothing. */
static bool
read_hashes(uint8_t *out, const struct trp_json_doc *doc, const struct trp_json_node *list)
{
    if (list == NULL) {
        return true;
    }
    uint8_t *next = out;
    const struct trp_json_node *value = trp_json_first(doc, list);
    for (; value != NULL; value = trp_json_next(doc, list, value)) {
        if (!trp_hex_decode_lower(next, 32, trp_json_text(doc, value))) {
            return false;
        }
        next += 32;
    }
    struct list sorted = {out, list->count, 32, compare_hash, NULL};
    sort_list(&sorted);
    return true;
}

static bool
read_kinds(uint16_t *out, const struct trp_json_doc *doc, const struct trp_json_node *list)
{
    if (list == NULL) {
        return true;
    }
    uint32_t count = 0;
    const struct trp_json_node *value = trp_json_first(doc, list);
    for (; value != NULL; value = trp_json_next(doc, list, value)) {
        uint64_t kind;
        if (!trp_json_u64(doc, value, &kind) || kind > TRP_NOSTR_KIND_MAX) {
            return false;
        }
        out[count++] = (uint16_t)kind;
    }
    struct list sorted = {(uint8_t *)out, count, sizeof(uint16_t), compare_kind, NULL};
    sort_list(&sorted);
    return true;
}

/* Copies the tag values behind everything else; false when they do not fit. */
static bool read_tags(struct trp_nostr_filter *filter,
                      size_t cap,
                      size_t at,
                      const struct trp_json_doc *doc,
                      const struct plan *plan)
{
    char *area = (char *)filter;
    struct trp_nostr_filter_tag *tags = (struct trp_nostr_filter_tag *)(area + filter->tags_at);
    struct trp_nostr_slice *values = (struct trp_nostr_slice *)(area + filter->values_at);
    uint32_t tag_count = 0;
    uint32_t value_count = 0;
    for (int i = 0; i < TRP_NOSTR_FILTER_TAGS_MAX; i++) {
        const struct trp_json_node *list = plan->tags[i];
        if (list == NULL) {
            continue;
        }
        struct trp_nostr_filter_tag *tag = &tags[tag_count++];
        tag->letter = (uint32_t)index_letter(i);
        tag->first = value_count;
        tag->count = list->count;
        const struct trp_json_node *value = trp_json_first(doc, list);
        for (; value != NULL; value = trp_json_next(doc, list, value)) {
            struct troupe_span text = trp_json_text(doc, value);
            if (text.len > cap - at || at + text.len > UINT32_MAX) {
                return false;
            }
            values[value_count].at = (uint32_t)at;
            values[value_count].len = (uint32_t)text.len;
            value_count++;
            memcpy(area + at, text.data, text.len);
            at += text.len;
        }
        struct list sorted = {(uint8_t *)&values[tag->first], tag->count,
                              sizeof(struct trp_nostr_slice), compare_slice, area};
        sort_list(&sorted);
    }
    filter->size = (uint32_t)at;
    return true;
}

static enum troupe_status read_numbers(struct trp_nostr_filter *filter,
                                       const struct trp_json_doc *doc,
                                       const struct plan *plan,
                                       struct trp_nostr_error *error)
{
    filter->since = 0;
    filter->until = UINT64_MAX;
    filter->limit = UINT32_MAX;
    if (plan->since != NULL && !trp_json_u64(doc, plan->since, &filter->since)) {
        return refuse(error, TROUPE_EPARSE, "since", "must be a whole number of seconds");
    }
    if (plan->until != NULL && !trp_json_u64(doc, plan->until, &filter->until)) {
        return refuse(error, TROUPE_EPARSE, "until", "must be a whole number of seconds");
    }
    uint64_t limit = UINT32_MAX;
    if (plan->limit != NULL && !trp_json_u64(doc, plan->limit, &limit)) {
        return refuse(error, TROUPE_EPARSE, "limit", "must be a whole number");
    }
    filter->limit = limit > UINT32_MAX ? UINT32_MAX : (uint32_t)limit;
    return TROUPE_OK;
}

enum troupe_status trp_nostr_filter_read(void *area,
                                         size_t cap,
                                         const struct trp_json_doc *doc,
                                         const struct trp_json_node *node,
                                         const struct trp_nostr_filter_limits *limits,
                                         struct trp_nostr_error *error)
{
    TROUPE_ASSERT((uintptr_t)area % _Alignof(struct trp_nostr_filter) == 0);
    static const char *const too_small = "filter too large for its buffer";
    struct plan plan = {0};
    enum troupe_status status = find_members(&plan, doc, node, error);
    if (status == TROUPE_OK) {
        status = check_lists(&plan, doc, limits, error);
    }
    if (status != TROUPE_OK) {
        return status;
    }
    struct trp_nostr_filter *filter = area;
    size_t texts_at = 0;
    if (!place_lists(filter, &plan, cap, &texts_at)) {
        return refuse(error, TROUPE_ENOMEM, NULL, too_small);
    }
    status = read_numbers(filter, doc, &plan, error);
    if (status != TROUPE_OK) {
        return status;
    }
    if (!read_hashes((uint8_t *)area + filter->ids_at, doc, plan.ids)) {
        return refuse(error, TROUPE_EPARSE, "ids", hex_list);
    }
    if (!read_hashes((uint8_t *)area + filter->authors_at, doc, plan.authors)) {
        return refuse(error, TROUPE_EPARSE, "authors", hex_list);
    }
    if (!read_kinds((uint16_t *)((char *)area + filter->kinds_at), doc, plan.kinds)) {
        return refuse(error, TROUPE_EPARSE, "kinds", kind_list);
    }
    if (!read_tags(filter, cap, texts_at, doc, &plan)) {
        return refuse(error, TROUPE_ENOMEM, NULL, too_small);
    }
    return TROUPE_OK;
}

/* ---- matching ---- */

static bool match_tag(const struct trp_nostr_filter *filter,
                      const struct trp_nostr_filter_tag *tag,
                      const struct trp_nostr_event *event)
{
    for (uint32_t i = 0; i < event->tag_count; i++) {
        struct troupe_span name = trp_nostr_event_element(event, i, 0);
        if (name.len != 1 || name.data[0] != (char)tag->letter) {
            continue;
        }
        struct troupe_span value = trp_nostr_event_element(event, i, 1);
        if (value.data != NULL && list_has_text(filter, tag, value)) {
            return true;
        }
    }
    return false;
}

bool trp_nostr_filter_match(const struct trp_nostr_filter *filter,
                            const struct trp_nostr_event *event)
{
    const char *area = (const char *)filter;
    if (filter->has_kinds && !list_has_kind((const uint16_t *)(area + filter->kinds_at),
                                            filter->kind_count, event->kind)) {
        return false;
    }
    if (event->created_at < filter->since || event->created_at > filter->until) {
        return false;
    }
    if (filter->has_authors && !list_has_hash((const uint8_t *)area + filter->authors_at,
                                              filter->author_count, event->pubkey)) {
        return false;
    }
    if (filter->has_ids &&
        !list_has_hash((const uint8_t *)area + filter->ids_at, filter->id_count, event->id)) {
        return false;
    }
    const struct trp_nostr_filter_tag *tags =
        (const struct trp_nostr_filter_tag *)(area + filter->tags_at);
    for (uint32_t i = 0; i < filter->tag_count; i++) {
        if (!match_tag(filter, &tags[i], event)) {
            return false;
        }
    }
    return true;
}

/* ---- writing ---- */

/* Starts a member: a comma unless it is the first, then "name": */
static void write_name(struct trp_text *text, bool *first, const char *name)
{
    trp_text_cstr(text, *first ? "\"" : ",\"");
    trp_text_cstr(text, name);
    trp_text_cstr(text, "\":");
    *first = false;
}

static void write_hashes(struct trp_text *text, const uint8_t (*hashes)[32], uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        trp_text_cstr(text, i == 0 ? "[\"" : ",\"");
        trp_text_hex(text, hashes[i], 32);
        trp_text_cstr(text, "\"");
    }
    trp_text_cstr(text, "]");
}

static void write_number(struct trp_text *text, bool *first, const char *name, uint64_t value)
{
    write_name(text, first, name);
    trp_text_u64(text, value);
}

void trp_nostr_filter_write(struct trp_text *text, const struct trp_nostr_filter_draft *draft)
{
    bool first = true;
    trp_text_cstr(text, "{");
    if (draft->id_count > 0) {
        write_name(text, &first, "ids");
        write_hashes(text, draft->ids, draft->id_count);
    }
    if (draft->author_count > 0) {
        write_name(text, &first, "authors");
        write_hashes(text, draft->authors, draft->author_count);
    }
    if (draft->kind_count > 0) {
        write_name(text, &first, "kinds");
        for (uint32_t i = 0; i < draft->kind_count; i++) {
            trp_text_cstr(text, i == 0 ? "[" : ",");
            trp_text_u64(text, draft->kinds[i]);
        }
        trp_text_cstr(text, "]");
    }
    for (uint32_t t = 0; t < draft->tag_count; t++) {
        const struct trp_nostr_filter_draft_tag *tag = &draft->tags[t];
        const char name[3] = {'#', tag->letter, '\0'};
        TROUPE_ASSERT(letter_index(tag->letter) >= 0);
        if (tag->count == 0) {
            continue;
        }
        write_name(text, &first, name);
        for (uint32_t i = 0; i < tag->count; i++) {
            trp_text_cstr(text, i == 0 ? "[" : ",");
            trp_text_json(text, tag->values[i]);
        }
        trp_text_cstr(text, "]");
    }
    if (draft->has_since) {
        write_number(text, &first, "since", draft->since);
    }
    if (draft->has_until) {
        write_number(text, &first, "until", draft->until);
    }
    if (draft->has_limit) {
        write_number(text, &first, "limit", draft->limit);
    }
    trp_text_cstr(text, "}");
}
