#include "io/codec/nostr_wire.h"

#include <troupe/assert.h>

static enum troupe_status refuse(struct trp_nostr_error *error, const char *name, const char *what)
{
    trp_nostr_error_set(error, name, what);
    return TROUPE_EPARSE;
}

bool trp_nostr_wire_sub_valid(struct troupe_span sub)
{
    if (sub.len == 0 || sub.len > TRP_NOSTR_SUB_BYTES_MAX) {
        return false;
    }
    size_t chars = 0;
    for (size_t i = 0; i < sub.len; i++) {
        /* Every character has exactly one byte that is not of the form 10xxxxxx. */
        chars += ((unsigned char)sub.data[i] & 0xc0u) != 0x80u;
    }
    return chars <= TRP_NOSTR_SUB_CHARS_MAX && trp_utf8_valid(sub);
}

/* The elements of a message, one after the other; NULL behind the last. */
struct cursor {
    const struct trp_json_doc *doc;
    const struct trp_json_node *next;
};

static const struct trp_json_node *take(struct cursor *cursor)
{
    const struct trp_json_node *node = cursor->next;
    if (node != NULL) {
        cursor->next = trp_json_next(cursor->doc, trp_json_root(cursor->doc), node);
    }
    return node;
}

/* Opens the array and takes its name. */
static enum troupe_status
open_message(struct cursor *cursor, struct troupe_span *name, struct trp_nostr_error *error)
{
    const struct trp_json_node *root = trp_json_root(cursor->doc);
    if (root->kind != TRP_JSON_ARRAY) {
        return refuse(error, NULL, "message must be an array");
    }
    cursor->next = trp_json_first(cursor->doc, root);
    const struct trp_json_node *first = take(cursor);
    if (first == NULL || first->kind != TRP_JSON_STRING) {
        return refuse(error, NULL, "message must begin with its name");
    }
    *name = trp_json_text(cursor->doc, first);
    return TROUPE_OK;
}

static bool take_sub(struct cursor *cursor, struct troupe_span *sub)
{
    const struct trp_json_node *node = take(cursor);
    if (node == NULL || node->kind != TRP_JSON_STRING) {
        return false;
    }
    *sub = trp_json_text(cursor->doc, node);
    return trp_nostr_wire_sub_valid(*sub);
}

static bool take_object(struct cursor *cursor, const struct trp_json_node **object)
{
    *object = take(cursor);
    return *object != NULL && (*object)->kind == TRP_JSON_OBJECT;
}

static bool take_text(struct cursor *cursor, struct troupe_span *out)
{
    const struct trp_json_node *node = take(cursor);
    if (node == NULL || node->kind != TRP_JSON_STRING) {
        return false;
    }
    *out = trp_json_text(cursor->doc, node);
    return true;
}

/* Some relays leave the text out. */
static bool take_optional_text(struct cursor *cursor, struct troupe_span *out)
{
    *out = troupe_span("", 0);
    return cursor->next == NULL || take_text(cursor, out);
}

static const char *const sub_wanted = "subscription id must be a string of 1 to 64 characters";

static enum troupe_status read_req(struct trp_nostr_client_msg *msg,
                                   struct cursor *cursor,
                                   uint32_t filters_max,
                                   struct trp_nostr_error *error)
{
    if (!take_sub(cursor, &msg->sub)) {
        return refuse(error, "REQ", sub_wanted);
    }
    const struct trp_json_node *filter;
    while ((filter = take(cursor)) != NULL) {
        if (filter->kind != TRP_JSON_OBJECT) {
            return refuse(error, "REQ", "filter must be an object");
        }
        if (msg->filter == NULL) {
            msg->filter = filter;
        }
        if (msg->filter_count == filters_max) {
            trp_nostr_error_set(error, "REQ", "too many filters");
            return TROUPE_ETOOLARGE;
        }
        msg->filter_count++;
    }
    return msg->filter_count > 0 ? TROUPE_OK : refuse(error, "REQ", "needs at least one filter");
}

enum troupe_status trp_nostr_wire_read_client(struct trp_nostr_client_msg *msg,
                                              const struct trp_json_doc *doc,
                                              uint32_t filters_max,
                                              struct trp_nostr_error *error)
{
    struct cursor cursor = {doc, NULL};
    struct troupe_span name;
    enum troupe_status status = open_message(&cursor, &name, error);
    if (status != TROUPE_OK) {
        return status;
    }
    struct trp_nostr_client_msg found = {0};
    if (troupe_span_is(name, "EVENT")) {
        found.type = TRP_NOSTR_CLIENT_EVENT;
        if (!take_object(&cursor, &found.event)) {
            return refuse(error, "EVENT", "event must be an object");
        }
    } else if (troupe_span_is(name, "REQ")) {
        found.type = TRP_NOSTR_CLIENT_REQ;
        status = read_req(&found, &cursor, filters_max, error);
        if (status != TROUPE_OK) {
            return status;
        }
    } else if (troupe_span_is(name, "CLOSE")) {
        found.type = TRP_NOSTR_CLIENT_CLOSE;
        if (!take_sub(&cursor, &found.sub)) {
            return refuse(error, "CLOSE", sub_wanted);
        }
    } else if (troupe_span_is(name, "AUTH")) {
        found.type = TRP_NOSTR_CLIENT_AUTH;
        if (!take_object(&cursor, &found.event)) {
            return refuse(error, "AUTH", "event must be an object");
        }
    } else {
        trp_nostr_error_set(error, NULL, "unknown message");
        return TROUPE_ENOTFOUND;
    }
    *msg = found;
    return TROUPE_OK;
}

const struct trp_json_node *trp_nostr_wire_next_filter(const struct trp_json_doc *doc,
                                                       const struct trp_json_node *filter)
{
    return trp_json_next(doc, trp_json_root(doc), filter);
}

static enum troupe_status
read_ok(struct trp_nostr_relay_msg *msg, struct cursor *cursor, struct trp_nostr_error *error)
{
    struct troupe_span id;
    if (!take_text(cursor, &id) || !trp_hex_decode_lower(msg->id, sizeof(msg->id), id)) {
        return refuse(error, "OK", "id must be 64 lower-case hex digits");
    }
    const struct trp_json_node *flag = take(cursor);
    if (flag == NULL || (flag->kind != TRP_JSON_TRUE && flag->kind != TRP_JSON_FALSE)) {
        return refuse(error, "OK", "third element must be true or false");
    }
    msg->accepted = flag->kind == TRP_JSON_TRUE;
    return take_optional_text(cursor, &msg->text) ? TROUPE_OK
                                                  : refuse(error, "OK", "text must be a string");
}

static enum troupe_status read_relay_event(struct trp_nostr_relay_msg *msg,
                                           struct cursor *cursor,
                                           struct trp_nostr_error *error)
{
    if (!take_sub(cursor, &msg->sub)) {
        return refuse(error, "EVENT", sub_wanted);
    }
    return take_object(cursor, &msg->event) ? TROUPE_OK
                                            : refuse(error, "EVENT", "event must be an object");
}

static enum troupe_status
read_closed(struct trp_nostr_relay_msg *msg, struct cursor *cursor, struct trp_nostr_error *error)
{
    if (!take_sub(cursor, &msg->sub)) {
        return refuse(error, "CLOSED", sub_wanted);
    }
    return take_optional_text(cursor, &msg->text)
               ? TROUPE_OK
               : refuse(error, "CLOSED", "text must be a string");
}

enum troupe_status trp_nostr_wire_read_relay(struct trp_nostr_relay_msg *msg,
                                             const struct trp_json_doc *doc,
                                             struct trp_nostr_error *error)
{
    struct cursor cursor = {doc, NULL};
    struct troupe_span name;
    enum troupe_status status = open_message(&cursor, &name, error);
    if (status != TROUPE_OK) {
        return status;
    }
    struct trp_nostr_relay_msg found = {0};
    if (troupe_span_is(name, "EVENT")) {
        found.type = TRP_NOSTR_RELAY_EVENT;
        status = read_relay_event(&found, &cursor, error);
    } else if (troupe_span_is(name, "OK")) {
        found.type = TRP_NOSTR_RELAY_OK;
        status = read_ok(&found, &cursor, error);
    } else if (troupe_span_is(name, "EOSE")) {
        found.type = TRP_NOSTR_RELAY_EOSE;
        if (!take_sub(&cursor, &found.sub)) {
            status = refuse(error, "EOSE", sub_wanted);
        }
    } else if (troupe_span_is(name, "CLOSED")) {
        found.type = TRP_NOSTR_RELAY_CLOSED;
        status = read_closed(&found, &cursor, error);
    } else if (troupe_span_is(name, "NOTICE")) {
        found.type = TRP_NOSTR_RELAY_NOTICE;
        if (!take_text(&cursor, &found.text)) {
            status = refuse(error, "NOTICE", "text must be a string");
        }
    } else if (troupe_span_is(name, "AUTH")) {
        found.type = TRP_NOSTR_RELAY_AUTH;
        if (!take_text(&cursor, &found.text)) {
            status = refuse(error, "AUTH", "challenge must be a string");
        }
    } else {
        trp_nostr_error_set(error, NULL, "unknown message");
        status = TROUPE_ENOTFOUND;
    }
    if (status == TROUPE_OK) {
        *msg = found;
    }
    return status;
}

void trp_nostr_wire_write_publish(struct trp_text *text, const struct trp_nostr_event *event)
{
    trp_text_cstr(text, "[\"EVENT\",");
    trp_nostr_event_write_json(text, event);
    trp_text_cstr(text, "]");
}

void trp_nostr_wire_write_req(struct trp_text *text,
                              struct troupe_span sub,
                              const struct trp_nostr_filter_draft *filters,
                              uint32_t count)
{
    TROUPE_ASSERT(count > 0);
    trp_text_cstr(text, "[\"REQ\",");
    trp_text_json(text, sub);
    for (uint32_t i = 0; i < count; i++) {
        trp_text_cstr(text, ",");
        trp_nostr_filter_write(text, &filters[i]);
    }
    trp_text_cstr(text, "]");
}

/* ["name",string] */
static void write_one(struct trp_text *text, const char *head, struct troupe_span string)
{
    trp_text_cstr(text, head);
    trp_text_json(text, string);
    trp_text_cstr(text, "]");
}

void trp_nostr_wire_write_close(struct trp_text *text, struct troupe_span sub)
{
    write_one(text, "[\"CLOSE\",", sub);
}

void trp_nostr_wire_write_auth(struct trp_text *text, const struct trp_nostr_event *event)
{
    trp_text_cstr(text, "[\"AUTH\",");
    trp_nostr_event_write_json(text, event);
    trp_text_cstr(text, "]");
}

void trp_nostr_wire_write_event(struct trp_text *text,
                                struct troupe_span sub,
                                struct troupe_span event_json)
{
    trp_text_cstr(text, "[\"EVENT\",");
    trp_text_json(text, sub);
    trp_text_cstr(text, ",");
    trp_text_span(text, event_json);
    trp_text_cstr(text, "]");
}

void trp_nostr_wire_write_ok(struct trp_text *text,
                             const uint8_t id[TRP_NOSTR_ID_LEN],
                             bool accepted,
                             struct troupe_span why)
{
    trp_text_cstr(text, "[\"OK\",\"");
    trp_text_hex(text, id, TRP_NOSTR_ID_LEN);
    write_one(text, accepted ? "\",true," : "\",false,", why);
}

void trp_nostr_wire_write_eose(struct trp_text *text, struct troupe_span sub)
{
    write_one(text, "[\"EOSE\",", sub);
}

void trp_nostr_wire_write_closed(struct trp_text *text,
                                 struct troupe_span sub,
                                 struct troupe_span why)
{
    trp_text_cstr(text, "[\"CLOSED\",");
    trp_text_json(text, sub);
    write_one(text, ",", why);
}

void trp_nostr_wire_write_notice(struct trp_text *text, struct troupe_span what)
{
    write_one(text, "[\"NOTICE\",", what);
}

void trp_nostr_wire_write_challenge(struct trp_text *text, struct troupe_span challenge)
{
    write_one(text, "[\"AUTH\",", challenge);
}
