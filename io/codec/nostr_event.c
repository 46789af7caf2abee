#include "io/codec/nostr_event.h"

#include <troupe/assert.h>

enum member {
    MEMBER_ID,
    MEMBER_PUBKEY,
    MEMBER_CREATED_AT,
    MEMBER_KIND,
    MEMBER_TAGS,
    MEMBER_CONTENT,
    MEMBER_SIG,
    MEMBER_COUNT,
};

static const char *const member_names[MEMBER_COUNT] = {"id",   "pubkey",  "created_at", "kind",
                                                       "tags", "content", "sig"};

/*
 * Fills the bytes behind the struct. The preimage grows upwards behind the tables. A string that
 * the preimage holds letter for letter is not stored twice; the others are copied to the end of
 * the area, growing downwards, and moved next to the preimage when all is known.
 */
struct builder {
    struct trp_nostr_event *event;
    struct trp_nostr_tag *tags;
    struct trp_nostr_slice *elements;
    char *area;
    uint32_t tags_done;
    uint32_t elements_done;
    size_t text_at;       /* offset of the preimage */
    size_t top;           /* offset of the lowest copied string */
    size_t cap;           /* bytes of the area that offsets can reach */
    struct trp_text text; /* the preimage */
};

/* False when not even the tables fit. */
static bool
builder_init(struct builder *builder, void *area, size_t cap, uint32_t tags, uint32_t elements)
{
    TROUPE_ASSERT((uintptr_t)area % _Alignof(struct trp_nostr_event) == 0);
    size_t tags_at = sizeof(struct trp_nostr_event);
    size_t elements_at = tags_at + (size_t)tags * sizeof(struct trp_nostr_tag);
    size_t text_at = elements_at + (size_t)elements * sizeof(struct trp_nostr_slice);
    if (cap > UINT32_MAX) {
        cap = UINT32_MAX;
    }
    if (text_at > cap) {
        return false;
    }
    struct trp_nostr_event *event = area;
    memset(event, 0, sizeof(*event));
    event->tags_at = (uint32_t)tags_at;
    event->tag_count = tags;
    event->elements_at = (uint32_t)elements_at;
    event->element_count = elements;
    builder->event = event;
    builder->area = area;
    builder->tags = (struct trp_nostr_tag *)(builder->area + tags_at);
    builder->elements = (struct trp_nostr_slice *)(builder->area + elements_at);
    builder->tags_done = 0;
    builder->elements_done = 0;
    builder->text_at = text_at;
    builder->top = cap;
    builder->cap = cap;
    builder->text = trp_text_init(builder->area + text_at, cap - text_at);
    return true;
}

/* Where the next byte of the preimage goes. */
static size_t builder_at(const struct builder *builder)
{
    return builder->text_at + builder->text.len;
}

static struct trp_nostr_slice make_slice(size_t at, size_t len)
{
    struct trp_nostr_slice slice = {(uint32_t)at, (uint32_t)len};
    return slice;
}

/* Appends a JSON string to the preimage and says where its unescaped bytes are. */
static struct trp_nostr_slice builder_string(struct builder *builder, struct troupe_span string)
{
    struct trp_text *text = &builder->text;
    size_t at = builder_at(builder);
    trp_text_json(text, string);
    if (text->overflow) {
        return make_slice(0, 0);
    }
    /* Escapes only lengthen: same length means same bytes. */
    if (builder_at(builder) - at == string.len + 2) {
        return make_slice(at + 1, string.len);
    }
    if (string.len > builder->top - builder_at(builder)) {
        text->overflow = true;
        return make_slice(0, 0);
    }
    builder->top -= string.len;
    text->cap = builder->top - builder->text_at;
    memcpy(builder->area + builder->top, string.data, string.len);
    return make_slice(builder->top, string.len);
}

static void builder_head(struct builder *builder, uint64_t created_at, uint32_t kind)
{
    struct trp_nostr_event *event = builder->event;
    event->created_at = created_at;
    event->kind = kind;
    trp_text_cstr(&builder->text, "[0,\"");
    trp_text_hex(&builder->text, event->pubkey, sizeof(event->pubkey));
    trp_text_cstr(&builder->text, "\",");
    trp_text_u64(&builder->text, created_at);
    trp_text_cstr(&builder->text, ",");
    trp_text_u64(&builder->text, kind);
    trp_text_cstr(&builder->text, ",");
    event->tags_json.at = (uint32_t)builder_at(builder);
    trp_text_cstr(&builder->text, "[");
}

static void builder_tag_begin(struct builder *builder)
{
    TROUPE_ASSERT(builder->tags_done < builder->event->tag_count);
    trp_text_cstr(&builder->text, builder->tags_done == 0 ? "[" : ",[");
    builder->tags[builder->tags_done].first = builder->elements_done;
    builder->tags[builder->tags_done].count = 0;
}

static void builder_element(struct builder *builder, struct troupe_span element)
{
    TROUPE_ASSERT(builder->elements_done < builder->event->element_count);
    struct trp_nostr_tag *tag = &builder->tags[builder->tags_done];
    if (tag->count > 0) {
        trp_text_cstr(&builder->text, ",");
    }
    builder->elements[builder->elements_done] = builder_string(builder, element);
    builder->elements_done++;
    tag->count++;
}

static void builder_tag_end(struct builder *builder)
{
    trp_text_cstr(&builder->text, "]");
    builder->tags_done++;
}

/* Content and end; false when the area was too small. */
static bool builder_finish(struct builder *builder, struct troupe_span content)
{
    struct trp_nostr_event *event = builder->event;
    TROUPE_ASSERT(builder->tags_done == event->tag_count);
    TROUPE_ASSERT(builder->elements_done == event->element_count);
    trp_text_cstr(&builder->text, "]");
    event->tags_json.len = (uint32_t)(builder_at(builder) - event->tags_json.at);
    trp_text_cstr(&builder->text, ",");
    size_t content_at = builder_at(builder);
    event->content = builder_string(builder, content);
    event->content_json = make_slice(content_at, builder_at(builder) - content_at);
    trp_text_cstr(&builder->text, "]");
    if (builder->text.overflow) {
        return false;
    }
    event->preimage = make_slice(builder->text_at, builder->text.len);

    size_t end = builder_at(builder);
    size_t shift = builder->top - end;
    size_t copied = builder->cap - builder->top;
    memmove(builder->area + end, builder->area + builder->top, copied);
    for (uint32_t i = 0; i < event->element_count; i++) {
        if (builder->elements[i].at >= builder->top) {
            builder->elements[i].at -= (uint32_t)shift;
        }
    }
    if (event->content.at >= builder->top) {
        event->content.at -= (uint32_t)shift;
    }
    event->size = (uint32_t)(end + copied);
    return true;
}

struct trp_nostr_event_limits trp_nostr_event_limits_default(void)
{
    struct trp_nostr_event_limits limits = {
        .tags_max = 2000,
        .elements_max = 100,
        .element_bytes_max = 64 * 1024,
        .content_bytes_max = 1024 * 1024,
    };
    return limits;
}

size_t trp_nostr_event_bound(const struct trp_json_doc *doc, const struct trp_json_node *node)
{
    /*
     * The preimage is never longer than the object it comes from: the object has an id, a
     * signature and member names besides, and JSON has no shorter escapes than the canonical ones.
     * Unescaped strings are not longer than their escaped form. Each tag and element is a node.
     */
    size_t nodes = node->after - (size_t)(node - doc->nodes);
    return sizeof(struct trp_nostr_event) + 8 * nodes + 2 * (size_t)node->len;
}

static enum troupe_status malformed(struct trp_nostr_error *error, enum member member)
{
    static const char *const wanted[MEMBER_COUNT] = {
        "must be 64 lower-case hex digits",
        "must be 64 lower-case hex digits",
        "must be a whole number of seconds, 0 to 9007199254740991",
        "must be a whole number, 0 to 65535",
        "must be an array of arrays of strings",
        "must be a string",
        "must be 128 lower-case hex digits",
    };
    trp_nostr_error_set(error, member_names[member], wanted[member]);
    return TROUPE_EPARSE;
}

/* Finds the seven members. */
static enum troupe_status find_members(const struct trp_json_node *members[MEMBER_COUNT],
                                       const struct trp_json_doc *doc,
                                       const struct trp_json_node *object,
                                       struct trp_nostr_error *error)
{
    if (object->kind != TRP_JSON_OBJECT) {
        trp_nostr_error_set(error, NULL, "event must be an object");
        return TROUPE_EPARSE;
    }
    for (int m = 0; m < MEMBER_COUNT; m++) {
        members[m] = NULL;
    }
    const struct trp_json_node *key = trp_json_first(doc, object);
    while (key != NULL) {
        const struct trp_json_node *value = trp_json_next(doc, object, key);
        struct troupe_span name = trp_json_text(doc, key);
        for (int m = 0; m < MEMBER_COUNT; m++) {
            if (!troupe_span_is(name, member_names[m])) {
                continue;
            }
            if (members[m] != NULL) {
                trp_nostr_error_set(error, member_names[m], "is there twice");
                return TROUPE_EPARSE;
            }
            members[m] = value;
            break;
        }
        key = trp_json_next(doc, object, value);
    }
    for (int m = 0; m < MEMBER_COUNT; m++) {
        if (members[m] == NULL) {
            trp_nostr_error_set(error, member_names[m], "is missing");
            return TROUPE_EPARSE;
        }
    }
    return TROUPE_OK;
}

static bool
read_hex(uint8_t *out, size_t len, const struct trp_json_doc *doc, const struct trp_json_node *node)
{
    return node->kind == TRP_JSON_STRING &&
           trp_hex_decode_lower(out, len, trp_json_text(doc, node));
}

/* Checks the shape of the tags and counts their elements. */
static enum troupe_status check_tags(uint32_t *elements,
                                     const struct trp_json_doc *doc,
                                     const struct trp_json_node *tags,
                                     const struct trp_nostr_event_limits *limits,
                                     struct trp_nostr_error *error)
{
    if (tags->kind != TRP_JSON_ARRAY) {
        return malformed(error, MEMBER_TAGS);
    }
    if (tags->count > limits->tags_max) {
        trp_nostr_error_set(error, "tags", "too many tags");
        return TROUPE_ETOOLARGE;
    }
    uint32_t total = 0; /* cannot wrap: each element is a node, nodes have 32-bit indices */
    const struct trp_json_node *tag = trp_json_first(doc, tags);
    for (; tag != NULL; tag = trp_json_next(doc, tags, tag)) {
        if (tag->kind != TRP_JSON_ARRAY) {
            return malformed(error, MEMBER_TAGS);
        }
        if (tag->count > limits->elements_max) {
            trp_nostr_error_set(error, "tags", "too many elements in one tag");
            return TROUPE_ETOOLARGE;
        }
        const struct trp_json_node *element = trp_json_first(doc, tag);
        for (; element != NULL; element = trp_json_next(doc, tag, element)) {
            if (element->kind != TRP_JSON_STRING) {
                return malformed(error, MEMBER_TAGS);
            }
            if (element->text_len > limits->element_bytes_max) {
                trp_nostr_error_set(error, "tags", "element too long");
                return TROUPE_ETOOLARGE;
            }
        }
        total += tag->count;
    }
    *elements = total;
    return TROUPE_OK;
}

static enum troupe_status check_content(const struct trp_json_node *content,
                                        const struct trp_nostr_event_limits *limits,
                                        struct trp_nostr_error *error)
{
    if (content->kind != TRP_JSON_STRING) {
        return malformed(error, MEMBER_CONTENT);
    }
    if (content->text_len > limits->content_bytes_max) {
        trp_nostr_error_set(error, "content", "too long");
        return TROUPE_ETOOLARGE;
    }
    return TROUPE_OK;
}

/* id, pubkey, sig, created_at, kind into *head. */
static enum troupe_status read_scalars(struct trp_nostr_event *head,
                                       const struct trp_json_doc *doc,
                                       const struct trp_json_node *const members[MEMBER_COUNT],
                                       struct trp_nostr_error *error)
{
    if (!read_hex(head->id, sizeof(head->id), doc, members[MEMBER_ID])) {
        return malformed(error, MEMBER_ID);
    }
    if (!read_hex(head->pubkey, sizeof(head->pubkey), doc, members[MEMBER_PUBKEY])) {
        return malformed(error, MEMBER_PUBKEY);
    }
    if (!read_hex(head->sig, sizeof(head->sig), doc, members[MEMBER_SIG])) {
        return malformed(error, MEMBER_SIG);
    }
    if (!trp_json_u64(doc, members[MEMBER_CREATED_AT], &head->created_at) ||
        head->created_at > TRP_NOSTR_SECONDS_MAX) {
        return malformed(error, MEMBER_CREATED_AT);
    }
    uint64_t kind;
    if (!trp_json_u64(doc, members[MEMBER_KIND], &kind) || kind > TRP_NOSTR_KIND_MAX) {
        return malformed(error, MEMBER_KIND);
    }
    head->kind = (uint32_t)kind;
    return TROUPE_OK;
}

/* Tags and content, once all members are known to be well formed. */
static bool build_from_json(struct builder *builder,
                            const struct trp_nostr_event *head,
                            const struct trp_json_doc *doc,
                            const struct trp_json_node *tags,
                            const struct trp_json_node *content)
{
    struct trp_nostr_event *event = builder->event;
    memcpy(event->id, head->id, sizeof(event->id));
    memcpy(event->pubkey, head->pubkey, sizeof(event->pubkey));
    memcpy(event->sig, head->sig, sizeof(event->sig));
    builder_head(builder, head->created_at, head->kind);
    const struct trp_json_node *tag = trp_json_first(doc, tags);
    for (; tag != NULL; tag = trp_json_next(doc, tags, tag)) {
        builder_tag_begin(builder);
        const struct trp_json_node *element = trp_json_first(doc, tag);
        for (; element != NULL; element = trp_json_next(doc, tag, element)) {
            builder_element(builder, trp_json_text(doc, element));
        }
        builder_tag_end(builder);
    }
    return builder_finish(builder, trp_json_text(doc, content));
}

enum troupe_status trp_nostr_event_read(void *area,
                                        size_t cap,
                                        const struct trp_json_doc *doc,
                                        const struct trp_json_node *node,
                                        const struct trp_nostr_event_limits *limits,
                                        struct trp_nostr_error *error)
{
    const struct trp_json_node *members[MEMBER_COUNT];
    enum troupe_status status = find_members(members, doc, node, error);
    if (status != TROUPE_OK) {
        return status;
    }
    struct trp_nostr_event head = {0};
    status = read_scalars(&head, doc, members, error);
    if (status != TROUPE_OK) {
        return status;
    }
    uint32_t elements = 0;
    status = check_tags(&elements, doc, members[MEMBER_TAGS], limits, error);
    if (status != TROUPE_OK) {
        return status;
    }
    status = check_content(members[MEMBER_CONTENT], limits, error);
    if (status != TROUPE_OK) {
        return status;
    }
    struct builder builder;
    if (!builder_init(&builder, area, cap, members[MEMBER_TAGS]->count, elements) ||
        !build_from_json(&builder, &head, doc, members[MEMBER_TAGS], members[MEMBER_CONTENT])) {
        trp_nostr_error_set(error, NULL, "event too large for its buffer");
        return TROUPE_ENOMEM;
    }
    return TROUPE_OK;
}

bool trp_nostr_event_peek_id(const struct trp_json_doc *doc,
                             const struct trp_json_node *node,
                             uint8_t id[TRP_NOSTR_ID_LEN])
{
    const struct trp_json_node *value = trp_json_member(doc, node, "id");
    return value != NULL && read_hex(id, TRP_NOSTR_ID_LEN, doc, value);
}

bool trp_nostr_event_check_id(const struct trp_nostr_event *event)
{
    uint8_t hash[32];
    trp_nostr_sha256(hash, trp_nostr_event_slice(event, event->preimage));
    return memcmp(hash, event->id, sizeof(hash)) == 0;
}

bool trp_nostr_event_check_sig(const struct trp_nostr_event *event, struct trp_nostr_crypto *crypto)
{
    return trp_nostr_verify(crypto, event->sig, event->id, event->pubkey);
}

void trp_nostr_event_write_json(struct trp_text *text, const struct trp_nostr_event *event)
{
    trp_text_cstr(text, "{\"id\":\"");
    trp_text_hex(text, event->id, sizeof(event->id));
    trp_text_cstr(text, "\",\"pubkey\":\"");
    trp_text_hex(text, event->pubkey, sizeof(event->pubkey));
    trp_text_cstr(text, "\",\"created_at\":");
    trp_text_u64(text, event->created_at);
    trp_text_cstr(text, ",\"kind\":");
    trp_text_u64(text, event->kind);
    trp_text_cstr(text, ",\"tags\":");
    trp_text_span(text, trp_nostr_event_slice(event, event->tags_json));
    trp_text_cstr(text, ",\"content\":");
    trp_text_span(text, trp_nostr_event_slice(event, event->content_json));
    trp_text_cstr(text, ",\"sig\":\"");
    trp_text_hex(text, event->sig, sizeof(event->sig));
    trp_text_cstr(text, "\"}");
}

static size_t draft_elements(const struct trp_nostr_draft *draft)
{
    size_t total = 0;
    for (uint32_t t = 0; t < draft->tag_count; t++) {
        total += draft->tags[t].count;
    }
    return total;
}

size_t trp_nostr_draft_bound(const struct trp_nostr_draft *draft)
{
    /* 64 hex digits, two numbers of at most 16 and 5 digits, and the marks between them. */
    size_t frame = sizeof("[0,\"\",,,[],]") + 64 + 16 + 5;
    struct trp_text strings = trp_text_init(NULL, 0); /* measures */
    size_t plain = draft->content.len;
    trp_text_json(&strings, draft->content);
    for (uint32_t t = 0; t < draft->tag_count; t++) {
        for (uint32_t e = 0; e < draft->tags[t].count; e++) {
            trp_text_json(&strings, draft->tags[t].elements[e]);
            plain += draft->tags[t].elements[e].len;
        }
    }
    size_t elements = draft_elements(draft);
    /* Behind the tables: "[],", once per tag, and a comma per element. */
    return sizeof(struct trp_nostr_event) + draft->tag_count * (sizeof(struct trp_nostr_tag) + 3) +
           elements * (sizeof(struct trp_nostr_slice) + 1) + frame + strings.needed + plain;
}

static bool draft_valid(const struct trp_nostr_draft *draft)
{
    if (draft->kind > TRP_NOSTR_KIND_MAX || draft->created_at > TRP_NOSTR_SECONDS_MAX ||
        !trp_utf8_valid(draft->content)) {
        return false;
    }
    for (uint32_t t = 0; t < draft->tag_count; t++) {
        for (uint32_t e = 0; e < draft->tags[t].count; e++) {
            if (!trp_utf8_valid(draft->tags[t].elements[e])) {
                return false;
            }
        }
    }
    return true;
}

enum troupe_status trp_nostr_event_sign(struct trp_nostr_crypto *crypto,
                                        void *area,
                                        size_t cap,
                                        const struct trp_nostr_key *key,
                                        const struct trp_nostr_draft *draft,
                                        const uint8_t *aux)
{
    if (!draft_valid(draft)) {
        return TROUPE_EINVAL;
    }
    size_t elements = draft_elements(draft);
    struct builder builder;
    if (elements > UINT32_MAX ||
        !builder_init(&builder, area, cap, draft->tag_count, (uint32_t)elements)) {
        return TROUPE_ENOMEM;
    }
    struct trp_nostr_event *event = builder.event;
    memcpy(event->pubkey, key->pubkey, sizeof(event->pubkey));
    builder_head(&builder, draft->created_at, draft->kind);
    for (uint32_t t = 0; t < draft->tag_count; t++) {
        builder_tag_begin(&builder);
        for (uint32_t e = 0; e < draft->tags[t].count; e++) {
            builder_element(&builder, draft->tags[t].elements[e]);
        }
        builder_tag_end(&builder);
    }
    if (!builder_finish(&builder, draft->content)) {
        return TROUPE_ENOMEM;
    }
    trp_nostr_sha256(event->id, trp_nostr_event_slice(event, event->preimage));
    return trp_nostr_sign(crypto, event->sig, key, event->id, aux);
}

static const struct trp_nostr_tag *tag_table(const struct trp_nostr_event *event)
{
    return (const struct trp_nostr_tag *)((const char *)event + event->tags_at);
}

uint32_t trp_nostr_event_tag_len(const struct trp_nostr_event *event, uint32_t tag)
{
    return tag < event->tag_count ? tag_table(event)[tag].count : 0;
}

struct troupe_span
trp_nostr_event_element(const struct trp_nostr_event *event, uint32_t tag, uint32_t element)
{
    if (element >= trp_nostr_event_tag_len(event, tag)) {
        return troupe_span(NULL, 0);
    }
    const struct trp_nostr_slice *elements =
        (const struct trp_nostr_slice *)((const char *)event + event->elements_at);
    return trp_nostr_event_slice(event, elements[tag_table(event)[tag].first + element]);
}

uint32_t
trp_nostr_event_find_tag(const struct trp_nostr_event *event, const char *name, uint32_t from)
{
    struct troupe_span wanted = troupe_span_cstr(name);
    for (uint32_t tag = from; tag < event->tag_count; tag++) {
        struct troupe_span found = trp_nostr_event_element(event, tag, 0);
        if (found.data != NULL && troupe_span_equal(found, wanted)) {
            return tag;
        }
    }
    return TRP_NOSTR_NO_TAG;
}

struct troupe_span trp_nostr_event_tag_value(const struct trp_nostr_event *event, const char *name)
{
    return trp_nostr_event_element(event, trp_nostr_event_find_tag(event, name, 0), 1);
}

bool trp_nostr_event_has_value(const struct trp_nostr_event *event,
                               char letter,
                               struct troupe_span value)
{
    for (uint32_t tag = 0; tag < event->tag_count; tag++) {
        struct troupe_span name = trp_nostr_event_element(event, tag, 0);
        struct troupe_span found = trp_nostr_event_element(event, tag, 1);
        if (found.data != NULL && name.len == 1 && name.data[0] == letter &&
            troupe_span_equal(found, value)) {
            return true;
        }
    }
    return false;
}
