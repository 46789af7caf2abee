#include "io/codec/jsonrpc.h"

#include <string.h>

#include <troupe/assert.h>

/* Looks a member up. Returns false when its name occurs more than once; absent is NULL. */
static bool find_once(const struct trp_json_node **out,
                      const struct trp_json_doc *doc,
                      const struct trp_json_node *object,
                      const char *name)
{
    struct troupe_span wanted = troupe_span_cstr(name);
    *out = NULL;
    if (object == NULL || object->kind != TRP_JSON_OBJECT) {
        return true;
    }
    const struct trp_json_node *key = trp_json_first(doc, object);
    while (key != NULL) {
        const struct trp_json_node *value = key + 1;
        if (troupe_span_equal(trp_json_text(doc, key), wanted)) {
            if (*out != NULL) {
                return false;
            }
            *out = value;
        }
        key = trp_json_next(doc, object, value);
    }
    return true;
}

static bool is_id(const struct trp_json_node *node)
{
    return node->kind == TRP_JSON_STRING || node->kind == TRP_JSON_INTEGER;
}

/* Null is how some languages write an optional member that is not there. */
static const struct trp_json_node *null_is_absent(const struct trp_json_node *node)
{
    return node != NULL && node->kind == TRP_JSON_NULL ? NULL : node;
}

struct members {
    const struct trp_json_node *jsonrpc;
    const struct trp_json_node *id;
    const struct trp_json_node *method;
    const struct trp_json_node *params;
    const struct trp_json_node *result;
    const struct trp_json_node *error;
};

/*
 * All top-level members in one pass over the message. Returns false when one of them is there
 * twice; an id that is there twice comes back as absent, so that nobody answers to either.
 */
static bool
find_members(struct members *out, const struct trp_json_doc *doc, const struct trp_json_node *root)
{
    struct {
        const char *name;
        const struct trp_json_node **slot;
    } wanted[] = {
        {"jsonrpc", &out->jsonrpc}, {"id", &out->id},         {"method", &out->method},
        {"params", &out->params},   {"result", &out->result}, {"error", &out->error},
    };
    bool once = true;
    bool two_ids = false;
    const struct trp_json_node *key = trp_json_first(doc, root);
    while (key != NULL) {
        const struct trp_json_node *value = key + 1;
        struct troupe_span name = trp_json_text(doc, key);
        for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
            if (!troupe_span_is(name, wanted[i].name)) {
                continue;
            }
            if (*wanted[i].slot != NULL) {
                once = false;
                two_ids = two_ids || wanted[i].slot == &out->id;
            }
            *wanted[i].slot = value;
            break;
        }
        key = trp_json_next(doc, root, value);
    }
    if (two_ids) {
        out->id = NULL;
    }
    return once;
}

/* Finds params._meta.progressToken; returns what is wrong with it or NULL. */
static const char *read_request_token(struct trp_jsonrpc *msg, const struct trp_json_doc *doc)
{
    const struct trp_json_node *meta = NULL;
    if (!find_once(&meta, doc, msg->params, "_meta")) {
        return "params._meta occurs twice";
    }
    meta = null_is_absent(meta);
    if (meta == NULL) {
        return NULL;
    }
    if (meta->kind != TRP_JSON_OBJECT) {
        return "params._meta must be an object";
    }
    if (!find_once(&msg->token, doc, meta, "progressToken")) {
        return "progressToken occurs twice";
    }
    msg->token = null_is_absent(msg->token);
    if (msg->token != NULL && !is_id(msg->token)) {
        return "progressToken must be a string or an integer";
    }
    return NULL;
}

static const char *read_notification(struct trp_jsonrpc *msg, const struct trp_json_doc *doc)
{
    if (troupe_span_is(msg->method, "notifications/progress")) {
        if (!find_once(&msg->token, doc, msg->params, "progressToken")) {
            return "progressToken occurs twice";
        }
        msg->token = null_is_absent(msg->token);
        if (msg->token != NULL && !is_id(msg->token)) {
            return "progressToken must be a string or an integer";
        }
    } else if (troupe_span_is(msg->method, "notifications/cancelled")) {
        if (!find_once(&msg->request_id, doc, msg->params, "requestId")) {
            return "requestId occurs twice";
        }
        msg->request_id = null_is_absent(msg->request_id);
        if (msg->request_id != NULL && !is_id(msg->request_id)) {
            return "requestId must be a string or an integer";
        }
    }
    return NULL;
}

static const char *
read_call(struct trp_jsonrpc *msg, const struct trp_json_doc *doc, const struct members *m)
{
    if (m->method->kind != TRP_JSON_STRING) {
        return "method must be a string";
    }
    if (m->result != NULL || m->error != NULL) {
        return "message has both method and result or error";
    }
    if (m->id != NULL && !is_id(m->id)) {
        return "id must be a string or a 64-bit integer";
    }
    if (m->params != NULL && m->params->kind != TRP_JSON_OBJECT &&
        m->params->kind != TRP_JSON_ARRAY) {
        return "params must be an object or an array";
    }
    msg->method = trp_json_text(doc, m->method);
    msg->params = m->params;
    if (m->id != NULL) {
        msg->kind = TRP_JSONRPC_REQUEST;
        return read_request_token(msg, doc);
    }
    msg->kind = TRP_JSONRPC_NOTIFICATION;
    return read_notification(msg, doc);
}

static const char *
read_response(struct trp_jsonrpc *msg, const struct trp_json_doc *doc, const struct members *m)
{
    if ((m->result == NULL) == (m->error == NULL)) {
        return m->result == NULL ? "message has neither method, result nor error"
                                 : "message has both result and error";
    }
    if (m->id == NULL) {
        return "response has no id";
    }
    /* Null answers a message whose id could not be read: only an error can do that. */
    if (!is_id(m->id) && (m->id->kind != TRP_JSON_NULL || m->error == NULL)) {
        return "id must be a string or a 64-bit integer";
    }
    if (m->error != NULL) {
        const struct trp_json_node *code = NULL;
        const struct trp_json_node *message = NULL;
        if (!find_once(&code, doc, m->error, "code") ||
            !find_once(&message, doc, m->error, "message")) {
            return "code or message of the error occurs twice";
        }
        if (code == NULL || code->kind != TRP_JSON_INTEGER || message == NULL ||
            message->kind != TRP_JSON_STRING) {
            return "error must have an integer code and a string message";
        }
    }
    msg->kind = TRP_JSONRPC_RESPONSE;
    msg->result = m->result;
    msg->error = m->error;
    return NULL;
}

static const char *read_message(struct trp_jsonrpc *msg, const struct trp_json_doc *doc)
{
    const struct trp_json_node *root = trp_json_root(doc);
    if (root->kind == TRP_JSON_ARRAY) {
        return "batches are not supported";
    }
    if (root->kind != TRP_JSON_OBJECT) {
        return "message must be an object";
    }
    struct members members = {NULL, NULL, NULL, NULL, NULL, NULL};
    bool once = find_members(&members, doc, root);
    if (members.id != NULL && (is_id(members.id) || members.id->kind == TRP_JSON_NULL)) {
        msg->id = members.id;
    }
    if (!once) {
        return "a member of the message occurs twice";
    }
    if (!trp_json_is(doc, members.jsonrpc, "2.0")) {
        return "jsonrpc must be \"2.0\"";
    }
    return members.method != NULL ? read_call(msg, doc, &members)
                                  : read_response(msg, doc, &members);
}

enum trp_jsonrpc_kind trp_jsonrpc_read(struct trp_jsonrpc *msg, const struct trp_json_doc *doc)
{
    memset(msg, 0, sizeof *msg);
    msg->problem = read_message(msg, doc);
    if (msg->problem != NULL) {
        /* Only the id is of use to whoever answers. */
        struct trp_jsonrpc invalid = {.problem = msg->problem, .id = null_is_absent(msg->id)};
        *msg = invalid;
    }
    return msg->kind;
}

struct troupe_span trp_jsonrpc_raw(const struct trp_json_doc *doc, const struct trp_json_node *node)
{
    return node != NULL ? trp_json_raw(doc, node) : troupe_span(NULL, 0);
}

void trp_jsonrpc_id_key(struct trp_text *out,
                        const struct trp_json_doc *doc,
                        const struct trp_json_node *node)
{
    int64_t number = 0;
    uint64_t large = 0;
    if (node == NULL) {
        return;
    }
    if (node->kind == TRP_JSON_STRING) {
        trp_text_bytes(out, "s", 1);
        trp_text_span(out, trp_json_text(doc, node));
    } else if (trp_json_i64(doc, node, &number)) {
        trp_text_bytes(out, "i", 1);
        trp_text_i64(out, number);
    } else if (trp_json_u64(doc, node, &large)) {
        trp_text_bytes(out, "i", 1);
        trp_text_u64(out, large);
    }
}

/* Copies the patches in document order; false when they cannot be applied. */
static bool sort_patches(struct trp_jsonrpc_patch *sorted,
                         const struct trp_json_doc *doc,
                         const struct trp_jsonrpc_patch *patches,
                         size_t count)
{
    if (count > TRP_JSONRPC_PATCHES_MAX) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        const struct trp_json_node *node = patches[i].node;
        if (node < doc->nodes || node >= doc->nodes + doc->node_count) {
            return false;
        }
        size_t place = i;
        for (; place > 0 && sorted[place - 1].node > node; place--) {
            sorted[place] = sorted[place - 1];
        }
        sorted[place] = patches[i];
    }
    /* Nodes stand in document order; those inside a node come before its `after`. */
    for (size_t i = 1; i < count; i++) {
        if (sorted[i].node < doc->nodes + sorted[i - 1].node->after) {
            return false;
        }
    }
    return true;
}

enum troupe_status trp_jsonrpc_splice(struct trp_text *out,
                                      const struct trp_json_doc *doc,
                                      const struct trp_jsonrpc_patch *patches,
                                      size_t count)
{
    struct trp_jsonrpc_patch sorted[TRP_JSONRPC_PATCHES_MAX];
    if (!sort_patches(sorted, doc, patches, count)) {
        return TROUPE_EINVAL;
    }
    const struct trp_json_node *root = trp_json_root(doc);
    size_t at = root->start;
    size_t end = at + root->len;
    for (size_t i = 0; i < count; i++) {
        trp_text_bytes(out, doc->source + at, sorted[i].node->start - at);
        trp_text_span(out, sorted[i].with);
        at = (size_t)sorted[i].node->start + sorted[i].node->len;
    }
    trp_text_bytes(out, doc->source + at, end - at);
    return TROUPE_OK;
}

/* Splices all references of the message that are there. */
static void replace(struct trp_text *out,
                    const struct trp_json_doc *doc,
                    const struct trp_jsonrpc *msg,
                    struct troupe_span with)
{
    const struct trp_json_node *nodes[] = {msg->id, msg->token, msg->request_id};
    struct trp_jsonrpc_patch patches[sizeof nodes / sizeof nodes[0]];
    size_t count = 0;
    for (size_t i = 0; i < sizeof nodes / sizeof nodes[0]; i++) {
        if (nodes[i] != NULL) {
            patches[count].node = nodes[i];
            patches[count].with = with;
            count++;
        }
    }
    /* Three scalars of one document can neither overlap nor be too many. */
    enum troupe_status status = trp_jsonrpc_splice(out, doc, patches, count);
    TROUPE_ASSERT(status == TROUPE_OK);
}

void trp_jsonrpc_renumber(struct trp_text *out,
                          const struct trp_json_doc *doc,
                          const struct trp_jsonrpc *msg,
                          uint64_t number)
{
    char digits[20];
    struct trp_text text = trp_text_init(digits, sizeof digits);
    trp_text_u64(&text, number);
    replace(out, doc, msg, troupe_span(digits, text.len));
}

void trp_jsonrpc_restore(struct trp_text *out,
                         const struct trp_json_doc *doc,
                         const struct trp_jsonrpc *msg,
                         struct troupe_span raw)
{
    replace(out, doc, msg, raw);
}

bool trp_jsonrpc_has_newline(struct troupe_span json)
{
    return json.len > 0 &&
           (memchr(json.data, '\n', json.len) != NULL || memchr(json.data, '\r', json.len) != NULL);
}

void trp_jsonrpc_one_line(char *json, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (json[i] == '\n' || json[i] == '\r') {
            json[i] = ' ';
        }
    }
}

static void write_head(struct trp_text *out, struct troupe_span id)
{
    trp_text_cstr(out, "{\"jsonrpc\":\"2.0\",\"id\":");
    trp_text_span(out, id.len > 0 ? id : troupe_span_cstr("null"));
}

static void write_call(struct trp_text *out, struct troupe_span method, struct troupe_span params)
{
    trp_text_cstr(out, ",\"method\":");
    trp_text_json(out, method);
    if (params.len > 0) {
        trp_text_cstr(out, ",\"params\":");
        trp_text_span(out, params);
    }
    trp_text_cstr(out, "}");
}

void trp_jsonrpc_write_error(struct trp_text *out,
                             struct troupe_span id,
                             int code,
                             struct troupe_span message,
                             int64_t retry_after_ms)
{
    write_head(out, id);
    trp_text_cstr(out, ",\"error\":{\"code\":");
    trp_text_i64(out, code);
    trp_text_cstr(out, ",\"message\":");
    trp_text_json(out, message);
    if (retry_after_ms >= 0) {
        trp_text_cstr(out, ",\"data\":{\"retryAfterMs\":");
        trp_text_i64(out, retry_after_ms);
        trp_text_cstr(out, "}");
    }
    trp_text_cstr(out, "}}");
}

void trp_jsonrpc_write_result(struct trp_text *out,
                              struct troupe_span id,
                              struct troupe_span result)
{
    write_head(out, id);
    trp_text_cstr(out, ",\"result\":");
    trp_text_span(out, result);
    trp_text_cstr(out, "}");
}

void trp_jsonrpc_write_request(struct trp_text *out,
                               struct troupe_span id,
                               struct troupe_span method,
                               struct troupe_span params)
{
    write_head(out, id);
    write_call(out, method, params);
}

void trp_jsonrpc_write_notification(struct trp_text *out,
                                    struct troupe_span method,
                                    struct troupe_span params)
{
    trp_text_cstr(out, "{\"jsonrpc\":\"2.0\"");
    write_call(out, method, params);
}
