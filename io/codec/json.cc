/*
 * simdjson's first stage finds the start of every token and checks UTF-8 and the shape of strings
 * at memory speed; the grammar, the numbers and the escapes are checked here, in one loop over
 * those starts that writes the nodes directly. Doing without simdjson's own second stage gives
 * exact error offsets, saves its tape (8 bytes of memory per byte of text) and lets numbers that no
 * 64-bit type holds (1e400, thirty digits) pass as TRP_JSON_NUMBER: whoever forwards raw bytes need
 * not care.
 *
 * What is relied upon from the first stage, once it has succeeded: the text is UTF-8; every string
 * is closed and holds no raw control character; each of { } [ ] : , outside strings and the first
 * byte of each string and scalar is in the index, in order; between the start of a scalar and the
 * next index lie only that scalar and white space. So a scalar ends where the white space before
 * the next token begins, and no closing quote has to be searched for.
 */

/* A function may carry the name of its type in C; C++ calls that hiding a constructor. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#include "io/codec/json.h"
#pragma GCC diagnostic pop

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include <endian.h>

#define SIMDJSON_EXCEPTIONS 0
#include <simdjson.h>

namespace
{

constexpr size_t BYTES_MAX = size_t{1} << 30;
constexpr size_t START_BYTES = 1024; /* what a new parser has room for */
constexpr uint32_t NO_NODE = UINT32_MAX;
constexpr size_t NO_OFFSET = SIZE_MAX;
constexpr size_t PADDING = 64; /* promised in json.h; at least simdjson's */

static_assert(PADDING >= simdjson::SIMDJSON_PADDING, "json.h promises too little padding");

struct buffer {
    void *data;
    size_t cap;
};

/* What the grammar allows at the next token. */
enum class expect { value, element_or_end, key_or_end, key, colon, separator };

struct walk {
    trp_json_parser *parser;
    const char *source;
    size_t len;
    const uint32_t *index; /* starts of tokens */
    uint32_t tokens;
    uint32_t at; /* token being looked at */
    trp_json_node *nodes;
    uint32_t node_count;
    uint32_t open;  /* innermost container not yet closed; its `after` holds the one around it */
    uint32_t depth; /* containers not yet closed */
    char *texts;
    uint32_t text_len;
    expect next;
};

} // namespace

struct trp_json_parser {
    std::unique_ptr<simdjson::internal::dom_parser_implementation> scanner;
    trp_json_limits limits;
    buffer nodes;
    buffer copy;
    buffer texts;
    char error[112];
};

namespace
{

enum troupe_status
fail(trp_json_parser *parser, enum troupe_status status, const char *what, size_t offset)
{
    if (offset == NO_OFFSET) {
        (void)snprintf(parser->error, sizeof parser->error, "%s", what);
    } else {
        (void)snprintf(parser->error, sizeof parser->error, "%s at byte %zu", what, offset);
    }
    return status;
}

/* Makes room. The contents are not kept: each read starts afresh. */
bool reserve(buffer *room, size_t needed, size_t most)
{
    if (room->cap >= needed) {
        return true;
    }
    size_t want = room->cap * 2;
    want = want > most ? most : want;
    want = want < needed ? needed : want;
    void *fresh = malloc(want);
    if (fresh == nullptr) {
        return false;
    }
    free(room->data);
    room->data = fresh;
    room->cap = want;
    return true;
}

bool reserve_scanner(trp_json_parser *parser, size_t len)
{
    size_t cap = parser->scanner->capacity();
    if (cap >= len && cap > 0) {
        return true;
    }
    size_t want = cap * 2 > parser->limits.bytes_max ? parser->limits.bytes_max : cap * 2;
    want = want < len ? len : want;
    want = want < START_BYTES ? START_BYTES : want;
    return parser->scanner->set_capacity(want) == simdjson::SUCCESS;
}

bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

const char *scan_error_text(simdjson::error_code code)
{
    switch (static_cast<int>(code)) {
    case simdjson::UTF8_ERROR:
        return "text is not UTF-8";
    case simdjson::EMPTY:
        return "text is empty";
    case simdjson::UNESCAPED_CHARS:
        return "raw control character in a string";
    case simdjson::UNCLOSED_STRING:
        return "string without its closing quote";
    default:
        return "text cannot be scanned";
    }
}

/* First byte after the scalar that starts at the current token. */
size_t scalar_end(const walk *w)
{
    size_t start = w->index[w->at];
    size_t end = w->at + 1 < w->tokens ? w->index[w->at + 1] : w->len;
    while (end > start + 1 && is_space(w->source[end - 1])) {
        end--;
    }
    return end;
}

/* Magnitude of a run of digits; false when it needs more than 64 bits. */
bool magnitude(const char *digits, const char *end, uint64_t *out)
{
    uint64_t value = 0;
    for (; digits < end; digits++) {
        uint64_t digit = static_cast<uint64_t>(*digits - '0');
        if (value > (UINT64_MAX - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    *out = value;
    return true;
}

const char *skip_digits(const char *at, const char *end)
{
    while (at < end && is_digit(*at)) {
        at++;
    }
    return at;
}

/* True when all of the bytes are one number of the JSON grammar. */
bool number_kind(const char *at, const char *end, enum trp_json_kind *kind)
{
    bool negative = at < end && *at == '-';
    const char *digits = at + (negative ? 1 : 0);
    const char *stop = skip_digits(digits, end);
    if (stop == digits || (*digits == '0' && stop - digits > 1)) {
        return false;
    }
    uint64_t value = 0;
    bool fits = magnitude(digits, stop, &value) && (!negative || value <= UINT64_C(1) << 63);
    *kind = stop == end && fits ? TRP_JSON_INTEGER : TRP_JSON_NUMBER;
    if (stop < end && *stop == '.') {
        const char *fraction = stop + 1;
        stop = skip_digits(fraction, end);
        if (stop == fraction) {
            return false;
        }
    }
    if (stop < end && (*stop == 'e' || *stop == 'E')) {
        const char *exponent = stop + 1;
        if (exponent < end && (*exponent == '+' || *exponent == '-')) {
            exponent++;
        }
        stop = skip_digits(exponent, end);
        if (stop == exponent) {
            return false;
        }
    }
    return stop == end;
}

/* Four hex digits; UINT32_MAX when they are not. */
uint32_t hex4(const char *at, const char *end)
{
    if (end - at < 4) {
        return UINT32_MAX;
    }
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) {
        char c = at[i];
        uint32_t digit = 0;
        if (is_digit(c)) {
            digit = static_cast<uint32_t>(c - '0');
        } else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') {
            digit = static_cast<uint32_t>((c | 0x20) - 'a' + 10);
        } else {
            return UINT32_MAX;
        }
        value = value << 4 | digit;
    }
    return value;
}

char *put_utf8(char *out, uint32_t point)
{
    if (point < 0x80) {
        *out++ = static_cast<char>(point);
        return out;
    }
    if (point < 0x800) {
        *out++ = static_cast<char>(0xc0 | point >> 6);
    } else {
        if (point < 0x10000) {
            *out++ = static_cast<char>(0xe0 | point >> 12);
        } else {
            *out++ = static_cast<char>(0xf0 | point >> 18);
            *out++ = static_cast<char>(0x80 | (point >> 12 & 0x3f));
        }
        *out++ = static_cast<char>(0x80 | (point >> 6 & 0x3f));
    }
    *out++ = static_cast<char>(0x80 | (point & 0x3f));
    return out;
}

/* One \uXXXX or surrogate pair at `at`; bytes consumed, 0 when it names no code point. */
size_t unescape_unicode(const char *at, const char *end, char **out)
{
    uint32_t point = hex4(at + 2, end);
    size_t used = 6;
    if (point == UINT32_MAX || (point >= 0xdc00 && point <= 0xdfff)) {
        return 0;
    }
    if (point >= 0xd800 && point <= 0xdbff) {
        if (end - at < 12 || at[6] != '\\' || at[7] != 'u') {
            return 0;
        }
        uint32_t low = hex4(at + 8, end);
        if (low < 0xdc00 || low > 0xdfff) {
            return 0;
        }
        point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
        used = 12;
    }
    *out = put_utf8(*out, point);
    return used;
}

/* One escape sequence at `at` (a backslash); bytes consumed, 0 when it is none. */
size_t unescape_one(const char *at, const char *end, char **out)
{
    if (end - at < 2) {
        return 0;
    }
    char plain = 0;
    switch (at[1]) {
    case '"':
    case '\\':
    case '/':
        plain = at[1];
        break;
    case 'b':
        plain = '\b';
        break;
    case 'f':
        plain = '\f';
        break;
    case 'n':
        plain = '\n';
        break;
    case 'r':
        plain = '\r';
        break;
    case 't':
        plain = '\t';
        break;
    case 'u':
        return unescape_unicode(at, end, out);
    default:
        return 0;
    }
    *(*out)++ = plain;
    return 2;
}

/*
 * Copies bytes up to a backslash or the end; returns how many. Escapes come in clusters and names
 * are short, so this works on words instead of calling memchr and memcpy for each run. Writes no
 * further behind what it returns than there are bytes up to the end.
 */
size_t copy_run(char *out, const char *at, const char *end)
{
    constexpr uint64_t ones = UINT64_C(0x0101010101010101);
    const char *from = at;
    for (; end - at >= 8; at += 8, out += 8) {
        uint64_t word = 0;
        memcpy(&word, at, 8);
        memcpy(out, &word, 8);
        uint64_t rest = le64toh(word) ^ (ones * '\\');
        uint64_t found = (rest - ones) & ~rest & (ones << 7);
        if (found != 0) {
            /* Exact for the lowest zero byte, which is all that counts. */
            return static_cast<size_t>(at - from) +
                   (static_cast<size_t>(__builtin_ctzll(found)) >> 3);
        }
    }
    while (at < end && *at != '\\') {
        *out++ = *at++;
    }
    return static_cast<size_t>(at - from);
}

/* Appends the unescaped bytes; never more than the raw ones, so the arena needs no check. */
enum troupe_status unescape(walk *w, const char *at, const char *end)
{
    char *out = w->texts + w->text_len;
    while (at < end) {
        size_t run = copy_run(out, at, end);
        out += run;
        at += run;
        if (at < end) {
            size_t used = unescape_one(at, end, &out);
            if (used == 0) {
                return fail(w->parser, TROUPE_EPARSE, "bad escape sequence",
                            static_cast<size_t>(at - w->source));
            }
            at += used;
        }
    }
    w->text_len = static_cast<uint32_t>(out - w->texts);
    return TROUPE_OK;
}

/* A new node for bytes [start, end) inside the open container. */
enum troupe_status
add_node(walk *w, enum trp_json_kind kind, size_t start, size_t end, trp_json_node **out)
{
    const trp_json_limits *limits = &w->parser->limits;
    if (w->depth >= limits->depth_max) {
        return fail(w->parser, TROUPE_ETOOLARGE, "nested too deep", start);
    }
    if (w->node_count >= limits->nodes_max) {
        return fail(w->parser, TROUPE_ETOOLARGE, "too many values", start);
    }
    trp_json_node *node = &w->nodes[w->node_count++];
    node->start = static_cast<uint32_t>(start);
    node->len = static_cast<uint32_t>(end - start);
    node->after = w->node_count;
    node->count = 0;
    node->text_start = 0;
    node->text_len = 0;
    node->kind = kind;
    *out = node;
    return TROUPE_OK;
}

enum troupe_status add_string(walk *w)
{
    size_t start = w->index[w->at];
    size_t end = scalar_end(w);
    if (end - start < 2 || w->source[end - 1] != '"') {
        return fail(w->parser, TROUPE_EPARSE, "string without its closing quote", start);
    }
    trp_json_node *node = nullptr;
    enum troupe_status status = add_node(w, TRP_JSON_STRING, start, end, &node);
    if (status != TROUPE_OK) {
        return status;
    }
    node->text_start = w->text_len;
    status = unescape(w, w->source + start + 1, w->source + end - 1);
    if (status == TROUPE_OK) {
        node->text_len = w->text_len - node->text_start;
    }
    return status;
}

/* null, true, false or a number. */
enum troupe_status add_scalar(walk *w)
{
    size_t start = w->index[w->at];
    size_t end = scalar_end(w);
    const char *raw = w->source + start;
    size_t len = end - start;
    enum trp_json_kind kind = TRP_JSON_NULL;
    if (len == 4 && memcmp(raw, "true", 4) == 0) {
        kind = TRP_JSON_TRUE;
    } else if (len == 5 && memcmp(raw, "false", 5) == 0) {
        kind = TRP_JSON_FALSE;
    } else if (!(len == 4 && memcmp(raw, "null", 4) == 0) &&
               !number_kind(raw, w->source + end, &kind)) {
        return fail(w->parser, TROUPE_EPARSE, "not a JSON value", start);
    }
    trp_json_node *node = nullptr;
    return add_node(w, kind, start, end, &node);
}

/* The brackets are validated pairwise: a container is closed only by its own kind. */
enum troupe_status open_container(walk *w, enum trp_json_kind kind)
{
    size_t start = w->index[w->at];
    trp_json_node *node = nullptr;
    enum troupe_status status = add_node(w, kind, start, start + 1, &node);
    if (status != TROUPE_OK) {
        return status;
    }
    node->after = w->open;
    w->open = w->node_count - 1;
    w->depth++;
    w->next = kind == TRP_JSON_ARRAY ? expect::element_or_end : expect::key_or_end;
    return TROUPE_OK;
}

void close_container(walk *w)
{
    trp_json_node *node = &w->nodes[w->open];
    node->len = w->index[w->at] + 1 - node->start;
    w->open = node->after;
    node->after = w->node_count;
    w->depth--;
    w->next = expect::separator;
}

enum troupe_status step_value(walk *w)
{
    char c = w->source[w->index[w->at]];
    if (w->open != NO_NODE && w->nodes[w->open].kind == TRP_JSON_ARRAY) {
        w->nodes[w->open].count++;
    }
    if (c == '[') {
        return open_container(w, TRP_JSON_ARRAY);
    }
    if (c == '{') {
        return open_container(w, TRP_JSON_OBJECT);
    }
    w->next = expect::separator;
    return c == '"' ? add_string(w) : add_scalar(w);
}

enum troupe_status step_key(walk *w)
{
    size_t start = w->index[w->at];
    if (w->source[start] != '"') {
        return fail(w->parser, TROUPE_EPARSE, "member name expected", start);
    }
    w->nodes[w->open].count++;
    w->next = expect::colon;
    return add_string(w);
}

/* After a complete value: a comma, the end of its container, or the end of the text. */
enum troupe_status step_separator(walk *w)
{
    size_t start = w->index[w->at];
    char c = w->source[start];
    if (w->open == NO_NODE) {
        return fail(w->parser, TROUPE_EPARSE, "something after the value", start);
    }
    bool in_array = w->nodes[w->open].kind == TRP_JSON_ARRAY;
    if (c == ',') {
        w->next = in_array ? expect::value : expect::key;
        return TROUPE_OK;
    }
    if (c == (in_array ? ']' : '}')) {
        close_container(w);
        return TROUPE_OK;
    }
    return fail(w->parser, TROUPE_EPARSE, in_array ? "',' or ']' expected" : "',' or '}' expected",
                start);
}

enum troupe_status step(walk *w)
{
    size_t start = w->index[w->at];
    char c = w->source[start];
    switch (w->next) {
    case expect::element_or_end:
        if (c == ']') {
            close_container(w);
            return TROUPE_OK;
        }
        return step_value(w);
    case expect::value:
        return step_value(w);
    case expect::key_or_end:
        if (c == '}') {
            close_container(w);
            return TROUPE_OK;
        }
        return step_key(w);
    case expect::key:
        return step_key(w);
    case expect::colon:
        w->next = expect::value;
        return c == ':' ? TROUPE_OK : fail(w->parser, TROUPE_EPARSE, "':' expected", start);
    case expect::separator:
        return step_separator(w);
    }
    return fail(w->parser, TROUPE_EPARSE, "not JSON", start);
}

enum troupe_status build_nodes(trp_json_parser *parser, const char *source, size_t len, walk *w)
{
    *w = {};
    w->tokens = parser->scanner->n_structural_indexes;
    /* A token makes at most one node. */
    uint32_t most = parser->limits.nodes_max;
    size_t nodes = w->tokens < most ? w->tokens : most;
    if (!reserve(&parser->nodes, nodes * sizeof(trp_json_node), most * sizeof(trp_json_node)) ||
        !reserve(&parser->texts, len, parser->limits.bytes_max)) {
        return fail(parser, TROUPE_ENOMEM, "out of memory", NO_OFFSET);
    }
    w->parser = parser;
    w->source = source;
    w->len = len;
    w->index = parser->scanner->structural_indexes.get();
    w->nodes = static_cast<trp_json_node *>(parser->nodes.data);
    w->open = NO_NODE;
    w->texts = static_cast<char *>(parser->texts.data);
    w->next = expect::value;
    for (; w->at < w->tokens; w->at++) {
        enum troupe_status status = step(w);
        if (status != TROUPE_OK) {
            return status;
        }
    }
    if (w->next != expect::separator || w->open != NO_NODE) {
        return fail(parser, TROUPE_EPARSE, "text ends too early", len);
    }
    return TROUPE_OK;
}

} // namespace

extern "C" {

struct trp_json_limits trp_json_limits_default(void)
{
    return {size_t{2} << 20, 128, 262144};
}

struct trp_json_parser *trp_json_create(struct trp_json_limits limits)
{
    trp_json_parser *parser = new (std::nothrow) trp_json_parser{};
    if (parser == nullptr) {
        return nullptr;
    }
    parser->limits = limits;
    if (limits.bytes_max > BYTES_MAX) {
        parser->limits.bytes_max = BYTES_MAX;
    }
    /* The depth given here is that of the second stage, which never runs. */
    if (simdjson::get_active_implementation()->create_dom_parser_implementation(
            START_BYTES, 1, parser->scanner) != simdjson::SUCCESS) {
        delete parser;
        return nullptr;
    }
    return parser;
}

void trp_json_destroy(struct trp_json_parser *parser)
{
    if (parser == nullptr) {
        return;
    }
    free(parser->nodes.data);
    free(parser->copy.data);
    free(parser->texts.data);
    delete parser;
}

enum troupe_status trp_json_read(struct trp_json_parser *parser,
                                 struct trp_json_doc *doc,
                                 const char *text,
                                 size_t len,
                                 size_t readable)
{
    if (len > parser->limits.bytes_max) {
        return fail(parser, TROUPE_ETOOLARGE, "text is too long", NO_OFFSET);
    }
    if (len == 0) {
        return fail(parser, TROUPE_EPARSE, "text is empty", NO_OFFSET);
    }
    if (!reserve_scanner(parser, len)) {
        return fail(parser, TROUPE_ENOMEM, "out of memory", NO_OFFSET);
    }
    const char *source = text;
    if (readable < len || readable - len < PADDING) {
        if (!reserve(&parser->copy, len + PADDING, parser->limits.bytes_max + PADDING)) {
            return fail(parser, TROUPE_ENOMEM, "out of memory", NO_OFFSET);
        }
        char *copy = static_cast<char *>(parser->copy.data);
        memcpy(copy, text, len);
        memset(copy + len, ' ', PADDING);
        source = copy;
    }
    simdjson::error_code code = parser->scanner->stage1(reinterpret_cast<const uint8_t *>(source),
                                                        len, simdjson::stage1_mode::regular);
    if (code != simdjson::SUCCESS) {
        return fail(parser, TROUPE_EPARSE, scan_error_text(code), NO_OFFSET);
    }
    walk w;
    enum troupe_status status = build_nodes(parser, source, len, &w);
    if (status != TROUPE_OK) {
        return status;
    }
    doc->nodes = w.nodes;
    doc->node_count = w.node_count;
    doc->source = source;
    doc->texts = w.texts;
    return TROUPE_OK;
}

const char *trp_json_error(const struct trp_json_parser *parser)
{
    return parser->error;
}

const struct trp_json_node *trp_json_first(const struct trp_json_doc *doc,
                                           const struct trp_json_node *node)
{
    (void)doc;
    /* Children stand directly behind their container; only containers have a count. */
    return node->count > 0 ? node + 1 : nullptr;
}

const struct trp_json_node *trp_json_next(const struct trp_json_doc *doc,
                                          const struct trp_json_node *parent,
                                          const struct trp_json_node *node)
{
    return node->after < parent->after ? &doc->nodes[node->after] : nullptr;
}

const struct trp_json_node *trp_json_member(const struct trp_json_doc *doc,
                                            const struct trp_json_node *object,
                                            const char *name)
{
    if (object->kind != TRP_JSON_OBJECT) {
        return nullptr;
    }
    struct troupe_span wanted = troupe_span_cstr(name);
    const struct trp_json_node *found = nullptr;
    const struct trp_json_node *key = trp_json_first(doc, object);
    while (key != nullptr) {
        const struct trp_json_node *value = key + 1;
        if (troupe_span_equal(trp_json_text(doc, key), wanted)) {
            found = value;
        }
        key = trp_json_next(doc, object, value);
    }
    return found;
}

const struct trp_json_node *
trp_json_at(const struct trp_json_doc *doc, const struct trp_json_node *array, uint32_t index)
{
    if (array->kind != TRP_JSON_ARRAY || index >= array->count) {
        return nullptr;
    }
    const struct trp_json_node *node = array + 1;
    for (uint32_t i = 0; i < index; i++) {
        node = &doc->nodes[node->after];
    }
    return node;
}

bool trp_json_is(const struct trp_json_doc *doc, const struct trp_json_node *node, const char *text)
{
    return node != nullptr && node->kind == TRP_JSON_STRING &&
           troupe_span_is(trp_json_text(doc, node), text);
}

bool trp_json_u64(const struct trp_json_doc *doc, const struct trp_json_node *node, uint64_t *out)
{
    if (node == nullptr || node->kind != TRP_JSON_INTEGER) {
        return false;
    }
    const char *raw = doc->source + node->start;
    bool negative = *raw == '-';
    uint64_t value = 0;
    if (!magnitude(raw + (negative ? 1 : 0), raw + node->len, &value) || (negative && value != 0)) {
        return false;
    }
    *out = value;
    return true;
}

bool trp_json_i64(const struct trp_json_doc *doc, const struct trp_json_node *node, int64_t *out)
{
    if (node == nullptr || node->kind != TRP_JSON_INTEGER) {
        return false;
    }
    const char *raw = doc->source + node->start;
    bool negative = *raw == '-';
    uint64_t value = 0;
    uint64_t most = static_cast<uint64_t>(INT64_MAX) + (negative ? 1 : 0);
    if (!magnitude(raw + (negative ? 1 : 0), raw + node->len, &value) || value > most) {
        return false;
    }
    if (negative) {
        /* -2^63 has no positive counterpart: step aside by one before negating. */
        *out = value == 0 ? 0 : -static_cast<int64_t>(value - 1) - 1;
    } else {
        *out = static_cast<int64_t>(value);
    }
    return true;
}

} // extern "C"
