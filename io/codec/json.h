#ifndef IO_CODEC_JSON_H
#define IO_CODEC_JSON_H

/*
 * JSON reading: one text in, an array of nodes in document order out, each with the span of raw
 * bytes it was read from. The whole text is validated (syntax, UTF-8, depth) before the first node
 * is handed out, so raw spans may be forwarded as they are.
 *
 * Not part of the library core. Backed by simdjson behind this C interface (json.cc).
 *
 * Threads: a parser belongs to one thread at a time. Nothing here is shared.
 */

#include <troupe/span.h>
#include <troupe/status.h>

#ifdef __cplusplus
extern "C" {
#endif

enum trp_json_kind {
    TRP_JSON_NULL,
    TRP_JSON_FALSE,
    TRP_JSON_TRUE,
    TRP_JSON_INTEGER, /* fits int64_t or uint64_t; no fraction and no exponent in the text */
    TRP_JSON_NUMBER,  /* any other number */
    TRP_JSON_STRING,
    TRP_JSON_ARRAY,
    TRP_JSON_OBJECT,
};

/* In an object the children alternate: key (a string node), value, key, value. */
struct trp_json_node {
    uint32_t start; /* byte offset of the raw text in the source */
    uint32_t len;   /* bytes of raw text; strings with their quotes, containers with brackets */
    uint32_t after; /* index of the first node after this one and all it contains */
    uint32_t count; /* array: elements; object: members; otherwise 0 */
    uint32_t text_start; /* string: offset of the unescaped bytes in the parser's text arena */
    uint32_t text_len;   /* string: unescaped bytes */
    enum trp_json_kind kind;
};

struct trp_json_limits {
    size_t bytes_max;   /* longest text, at most 1 GiB */
    uint32_t depth_max; /* deepest nesting accepted; 1 = a scalar or an empty container */
    uint32_t nodes_max; /* most nodes in one text */
};

/* A document: valid until the next trp_json_read on the same parser, or its destruction. */
struct trp_json_doc {
    const struct trp_json_node *nodes; /* nodes[0] is the root */
    uint32_t node_count;
    const char *source; /* the text as given (or a padded copy of it inside the parser) */
    const char *texts;  /* arena of unescaped strings */
};

struct trp_json_parser;

/*
 * Makes a parser; memory grows up to what the limits allow and is reused by each read.
 * Returns NULL when out of memory.
 */
struct trp_json_parser *trp_json_create(struct trp_json_limits limits);
void trp_json_destroy(struct trp_json_parser *parser);

/* Sensible limits for messages from outside: 2 MiB, depth 128, 262,144 nodes. */
struct trp_json_limits trp_json_limits_default(void);

/*
 * Reads one JSON text. White space around it is fine, anything else after it is not.
 *
 * readable: how many bytes may be read from text, at least len. With readable >= len + 64 the text
 * is parsed where it stands; otherwise it is copied first.
 *
 * TROUPE_OK; TROUPE_ETOOLARGE (bytes, depth or nodes over the limit); TROUPE_EPARSE (not JSON, not
 * UTF-8, a lone surrogate escape); TROUPE_ENOMEM. On an error *doc is
 * untouched and trp_json_error says what was wrong and where.
 */
enum troupe_status trp_json_read(struct trp_json_parser *parser,
                                 struct trp_json_doc *doc,
                                 const char *text,
                                 size_t len,
                                 size_t readable) TROUPE_MUST_USE;

/* What the last failed read found; a static or parser-owned text without a full stop. */
const char *trp_json_error(const struct trp_json_parser *parser);

static inline const struct trp_json_node *trp_json_root(const struct trp_json_doc *doc)
{
    return &doc->nodes[0];
}

/* The raw bytes of a node, as they stood in the text. */
static inline struct troupe_span trp_json_raw(const struct trp_json_doc *doc,
                                              const struct trp_json_node *node)
{
    return troupe_span(doc->source + node->start, node->len);
}

/* The unescaped bytes of a string node; empty for any other kind. */
static inline struct troupe_span trp_json_text(const struct trp_json_doc *doc,
                                               const struct trp_json_node *node)
{
    return troupe_span(doc->texts + node->text_start, node->text_len);
}

/*
 * First child: the first element of an array, the first KEY of an object; NULL when there is none
 * or the node is no container.
 */
const struct trp_json_node *trp_json_first(const struct trp_json_doc *doc,
                                           const struct trp_json_node *node);

/*
 * The node after this one inside the same parent (for a key: its value), NULL at the end.
 */
const struct trp_json_node *trp_json_next(const struct trp_json_doc *doc,
                                          const struct trp_json_node *parent,
                                          const struct trp_json_node *node);

/*
 * Value of the named member (name compared with the unescaped key), NULL when absent or when the
 * node is no object. When a name occurs twice the last one counts, as in JavaScript.
 */
const struct trp_json_node *trp_json_member(const struct trp_json_doc *doc,
                                            const struct trp_json_node *object,
                                            const char *name);

/* Element i of an array, NULL when out of range or no array. Cost: O(i). */
const struct trp_json_node *
trp_json_at(const struct trp_json_doc *doc, const struct trp_json_node *array, uint32_t index);

/* True when the node is a string holding exactly this text. NULL node: false. */
bool trp_json_is(const struct trp_json_doc *doc,
                 const struct trp_json_node *node,
                 const char *text);

/* Integer value; false when the node is NULL, no integer, or out of range of the type. */
bool trp_json_u64(const struct trp_json_doc *doc, const struct trp_json_node *node, uint64_t *out);
bool trp_json_i64(const struct trp_json_doc *doc, const struct trp_json_node *node, int64_t *out);

#ifdef __cplusplus
}
#endif

#endif
