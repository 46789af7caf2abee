#include "io/codec/http1.h"

#include <troupe/assert.h>

#define EMPTY_LINES_MAX   2 /* RFC 9112 section 2.2 asks to forgive one in front of a request */
#define FRAMING_ALLOWANCE 65536
#define FRAMING_PER_BYTE  16

static enum trp_http1_result fail(struct trp_http1 *http, unsigned status, const char *text)
{
    http->error = text;
    http->status = status;
    return TRP_HTTP1_ERROR;
}

/* ---- llhttp's callbacks ------------------------------------------------------------------ */

/* A head is parsed from one piece of memory, so the parts of a span are neighbours. */
static void extend(struct troupe_span *span, const char *at, size_t len)
{
    if (span->len == 0) {
        span->data = at;
    }
    TROUPE_ASSERT(span->data + span->len == at || len == 0);
    span->len += len;
}

static int on_method(llhttp_t *parser, const char *at, size_t len)
{
    struct trp_http1 *http = parser->data;
    extend(&http->head->method, at, len);
    return 0;
}

static int on_target(llhttp_t *parser, const char *at, size_t len)
{
    struct trp_http1 *http = parser->data;
    extend(&http->head->target, at, len);
    return 0;
}

static int on_reason(llhttp_t *parser, const char *at, size_t len)
{
    struct trp_http1 *http = parser->data;
    extend(&http->head->reason, at, len);
    return 0;
}

/* Trailers come through the same callbacks as headers; they are read over. */
static int on_field(llhttp_t *parser, const char *at, size_t len)
{
    struct trp_http1 *http = parser->data;
    if (http->is_head_done) {
        return 0;
    }
    if (http->head->header_count == TRP_HTTP1_HEADERS_MAX) {
        http->is_overfull = true;
        return HPE_USER;
    }
    extend(&http->head->headers[http->head->header_count].name, at, len);
    return 0;
}

static int on_field_complete(llhttp_t *parser)
{
    struct trp_http1 *http = parser->data;
    if (!http->is_head_done) {
        http->head->header_count++;
    }
    return 0;
}

static int on_value(llhttp_t *parser, const char *at, size_t len)
{
    struct trp_http1 *http = parser->data;
    if (!http->is_head_done) {
        TROUPE_ASSERT(http->head->header_count > 0);
        extend(&http->head->headers[http->head->header_count - 1].value, at, len);
    }
    return 0;
}

static int on_headers_complete(llhttp_t *parser)
{
    struct trp_http1 *http = parser->data;
    struct trp_http1_head *head = http->head;
    TROUPE_ASSERT(!http->is_head_done);
    head->minor = parser->http_minor;
    head->status = parser->type == HTTP_RESPONSE ? parser->status_code : 0;
    head->keep_alive = llhttp_should_keep_alive(parser) != 0;
    if ((parser->flags & F_CHUNKED) != 0) {
        head->body = TRP_HTTP1_BODY_CHUNKED;
    } else if ((parser->flags & F_CONTENT_LENGTH) != 0 && parser->content_length > 0) {
        head->body = TRP_HTTP1_BODY_LENGTH;
        head->content_length = parser->content_length;
    } else if (llhttp_message_needs_eof(parser)) {
        head->body = TRP_HTTP1_BODY_UNTIL_CLOSE;
    }
    http->is_head_done = true;
    return HPE_PAUSED;
}

static int on_body(llhttp_t *parser, const char *at, size_t len)
{
    struct trp_http1 *http = parser->data;
    http->body_len += len;
    http->body_cb(http->body_arg, troupe_span(at, len));
    return 0;
}

static int on_message_complete(llhttp_t *parser)
{
    struct trp_http1 *http = parser->data;
    http->is_body_done = true;
    return HPE_PAUSED;
}

static const llhttp_settings_t callbacks = {
    .on_method = on_method,
    .on_url = on_target,
    .on_status = on_reason,
    .on_header_field = on_field,
    .on_header_field_complete = on_field_complete,
    .on_header_value = on_value,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

/* ---- head -------------------------------------------------------------------------------- */

void trp_http1_init(struct trp_http1 *http, enum trp_http1_kind kind)
{
    memset(http, 0, sizeof(*http));
    http->kind = kind;
    llhttp_init(&http->parser, kind == TRP_HTTP1_REQUEST ? HTTP_REQUEST : HTTP_RESPONSE,
                &callbacks);
}

/*
 * Looks at one complete line, http->line up to http->scanned, which stands behind its CRLF.
 * DONE: that was the empty line at the end of the head.
 */
static enum trp_http1_result accept_line(struct trp_http1 *http, const char *data)
{
    bool is_empty = http->scanned - http->line == 2;
    bool is_first = http->line == http->start;
    char first = data[http->line];
    if (is_first && is_empty) {
        if (http->kind == TRP_HTTP1_RESPONSE || http->scanned > 2 * (size_t)EMPTY_LINES_MAX) {
            return fail(http, 400, "empty line instead of a start line");
        }
        http->start = http->scanned;
    } else if (is_empty) {
        return TRP_HTTP1_DONE;
    } else if (first == ' ' || first == '\t') {
        return fail(http, 400, "line begins with white space");
    }
    http->line = http->scanned;
    return TRP_HTTP1_NEED_MORE;
}

static enum trp_http1_result scan_head(struct trp_http1 *http, struct troupe_span data)
{
    while (http->scanned < data.len) {
        char byte = data.data[http->scanned];
        bool is_after_cr = http->scanned > http->line && data.data[http->scanned - 1] == '\r';
        if (http->scanned >= TRP_HTTP1_HEAD_MAX) {
            return fail(http, 431, "head is longer than 16 KiB");
        }
        if (is_after_cr != (byte == '\n')) {
            return fail(http, 400, "line does not end with CR LF");
        }
        if (((uint8_t)byte < 0x20 && byte != '\t' && byte != '\r' && byte != '\n') ||
            byte == 0x7f) {
            return fail(http, 400, "control byte in the head");
        }
        http->scanned++;
        if (byte == '\n') {
            enum trp_http1_result result = accept_line(http, data.data);
            if (result != TRP_HTTP1_NEED_MORE) {
                return result;
            }
        }
    }
    return TRP_HTTP1_NEED_MORE;
}

/*
 * llhttp also reads the versions and start lines of related protocols; here only HTTP/1.0 and 1.1
 * exist. The version is the last word of a request line and the first of a status line.
 */
static enum trp_http1_result check_version(struct trp_http1 *http, struct troupe_span head)
{
    const char *end = memchr(head.data, '\r', head.len);
    size_t len = end == NULL ? head.len : (size_t)(end - head.data);
    size_t at = 0;
    const char *version;
    if (http->kind == TRP_HTTP1_REQUEST) {
        at = len;
        while (at > 0 && head.data[at - 1] != ' ') {
            at--;
        }
        len -= at;
    }
    version = head.data + at;
    if (len < 8 || memcmp(version, "HTTP/", 5) != 0) {
        return fail(http, 400, "start line is not HTTP");
    }
    if (memcmp(version, "HTTP/1.0", 8) != 0 && memcmp(version, "HTTP/1.1", 8) != 0) {
        return fail(http, 505, "HTTP version is not 1.0 or 1.1");
    }
    if (len > 8 && version[8] != ' ') {
        return fail(http, 400, "start line is not HTTP");
    }
    return TRP_HTTP1_DONE;
}

static const char *parse_error_text(llhttp_errno_t code)
{
    switch ((int)code) {
    case HPE_INVALID_METHOD:
        return "unknown method";
    case HPE_INVALID_URL:
        return "malformed request target";
    case HPE_INVALID_STATUS:
        return "malformed status line";
    case HPE_INVALID_HEADER_TOKEN:
        return "malformed header";
    case HPE_INVALID_CONTENT_LENGTH:
    case HPE_UNEXPECTED_CONTENT_LENGTH:
        return "malformed or contradictory content length";
    case HPE_INVALID_TRANSFER_ENCODING:
        return "transfer encoding does not end with chunked";
    case HPE_INVALID_CHUNK_SIZE:
        return "malformed chunk size";
    default:
        return "malformed HTTP message";
    }
}

static void trim_end(struct troupe_span *span)
{
    while (span->len > 0 &&
           (span->data[span->len - 1] == ' ' || span->data[span->len - 1] == '\t')) {
        span->len--;
    }
}

/* What llhttp leaves to its user, or would only find out when it looks for the body. */
static enum trp_http1_result finish_head(struct trp_http1 *http, struct trp_http1_head *head)
{
    for (size_t i = 0; i < head->header_count; i++) {
        struct trp_http1_header *header = &head->headers[i];
        size_t name_len = header->name.len;
        trim_end(&header->name);
        trim_end(&header->value);
        if (header->name.len == 0 || header->name.len != name_len) {
            return fail(http, 400, "malformed header");
        }
    }
    if (http->kind == TRP_HTTP1_RESPONSE) {
        if (head->status < 100) {
            return fail(http, 400, "malformed status line");
        }
        return TRP_HTTP1_DONE;
    }
    if (http->parser.method == HTTP_CONNECT) {
        return fail(http, 501, "CONNECT is not supported");
    }
    if ((http->parser.flags & F_TRANSFER_ENCODING) != 0 && head->body != TRP_HTTP1_BODY_CHUNKED) {
        return fail(http, 400, "transfer encoding does not end with chunked");
    }
    return TRP_HTTP1_DONE;
}

static enum trp_http1_result
parse_head(struct trp_http1 *http, struct trp_http1_head *head, struct troupe_span bytes)
{
    llhttp_errno_t code;
    if (check_version(http, bytes) == TRP_HTTP1_ERROR) {
        return TRP_HTTP1_ERROR;
    }
    memset(head, 0, sizeof(*head));
    http->head = head;
    http->parser.data = http;
    code = llhttp_execute(&http->parser, bytes.data, bytes.len);
    http->head = NULL;
    if (http->is_overfull) {
        return fail(http, 431, "more than 64 headers");
    }
    if (code != HPE_PAUSED || !http->is_head_done) {
        return fail(http, 400, parse_error_text(code));
    }
    return finish_head(http, head);
}

enum trp_http1_result trp_http1_head(struct trp_http1 *http,
                                     struct trp_http1_head *head,
                                     size_t *consumed,
                                     struct troupe_span data)
{
    struct trp_http1_head parsed;
    enum trp_http1_result result;
    TROUPE_ASSERT(!http->is_head_done || http->error != NULL);
    if (http->error != NULL) {
        return TRP_HTTP1_ERROR;
    }
    TROUPE_ASSERT(data.len >= http->scanned);
    result = scan_head(http, data);
    if (result == TRP_HTTP1_DONE) {
        result = parse_head(http, &parsed,
                            troupe_span(data.data + http->start, http->scanned - http->start));
    }
    if (result == TRP_HTTP1_DONE) {
        http->body = parsed.body;
        *head = parsed;
        *consumed = http->scanned;
    }
    return result;
}

/* ---- body -------------------------------------------------------------------------------- */

enum trp_http1_result trp_http1_body(struct trp_http1 *http,
                                     size_t *consumed,
                                     struct troupe_span data,
                                     void (*body_cb)(void *arg, struct troupe_span piece),
                                     void *arg)
{
    uint64_t body_before = http->body_len;
    llhttp_errno_t code;
    size_t used = data.len;
    TROUPE_ASSERT(http->is_head_done);
    if (http->error != NULL) {
        return TRP_HTTP1_ERROR;
    }
    if (http->body == TRP_HTTP1_BODY_NONE || http->is_body_done) {
        *consumed = 0;
        return TRP_HTTP1_DONE;
    }
    if (data.len == 0) {
        *consumed = 0;
        return TRP_HTTP1_NEED_MORE;
    }
    http->parser.data = http;
    http->body_cb = body_cb;
    http->body_arg = arg;
    llhttp_resume(&http->parser);
    code = llhttp_execute(&http->parser, data.data, data.len);
    if (http->is_body_done && code == HPE_PAUSED) {
        used = (size_t)(llhttp_get_error_pos(&http->parser) - data.data);
    } else if (code != HPE_OK) {
        return fail(http, 400, parse_error_text(code));
    }
    TROUPE_ASSERT(used <= data.len);
    http->frame_len += used - (http->body_len - body_before);
    if (http->frame_len > FRAMING_ALLOWANCE + FRAMING_PER_BYTE * http->body_len) {
        return fail(http, 400, "more chunk framing than body");
    }
    *consumed = used;
    return http->is_body_done ? TRP_HTTP1_DONE : TRP_HTTP1_NEED_MORE;
}

enum trp_http1_result trp_http1_end(struct trp_http1 *http)
{
    if (http->error != NULL) {
        return TRP_HTTP1_ERROR;
    }
    if (!http->is_head_done) {
        return fail(http, 400, "connection ended inside the head");
    }
    if (http->body == TRP_HTTP1_BODY_NONE || http->body == TRP_HTTP1_BODY_UNTIL_CLOSE ||
        http->is_body_done) {
        http->is_body_done = true;
        return TRP_HTTP1_DONE;
    }
    return fail(http, 400, "connection ended inside the body");
}

/* ---- header lookup ----------------------------------------------------------------------- */

static int lower(char letter)
{
    return letter >= 'A' && letter <= 'Z' ? letter - 'A' + 'a' : letter;
}

bool trp_http1_same(struct troupe_span a, const char *b)
{
    size_t at = 0;
    while (at < a.len && b[at] != '\0' && lower(a.data[at]) == lower(b[at])) {
        at++;
    }
    return at == a.len && b[at] == '\0';
}

size_t trp_http1_count(const struct trp_http1_head *head, const char *name)
{
    size_t count = 0;
    for (size_t i = 0; i < head->header_count; i++) {
        count += trp_http1_same(head->headers[i].name, name) ? 1 : 0;
    }
    return count;
}

struct troupe_span trp_http1_value(const struct trp_http1_head *head, const char *name)
{
    for (size_t i = 0; i < head->header_count; i++) {
        if (trp_http1_same(head->headers[i].name, name)) {
            return head->headers[i].value;
        }
    }
    return troupe_span(NULL, 0);
}

/* Takes the part up to the separator off the front of *rest, without white space around it. */
static struct troupe_span next_part(struct troupe_span *rest, char separator)
{
    struct troupe_span part = *rest;
    const char *end = rest->len == 0 ? NULL : memchr(rest->data, separator, rest->len);
    if (end == NULL) {
        rest->data += rest->len; /* nothing is left, and the pointer stays inside the value */
        rest->len = 0;
    } else {
        part.len = (size_t)(end - rest->data);
        rest->data += part.len + 1;
        rest->len -= part.len + 1;
    }
    while (part.len > 0 && (part.data[0] == ' ' || part.data[0] == '\t')) {
        part.data++;
        part.len--;
    }
    trim_end(&part);
    return part;
}

bool trp_http1_has_token(const struct trp_http1_head *head, const char *name, const char *token)
{
    for (size_t i = 0; i < head->header_count; i++) {
        struct troupe_span rest = head->headers[i].value;
        if (!trp_http1_same(head->headers[i].name, name)) {
            continue;
        }
        while (rest.len > 0) {
            if (trp_http1_same(next_part(&rest, ','), token)) {
                return true;
            }
        }
    }
    return false;
}

/* "q=0", "q=0.", "q=0.000" */
static bool is_zero_weight(struct troupe_span parameter)
{
    if (parameter.len < 3 || lower(parameter.data[0]) != 'q' || parameter.data[1] != '=') {
        return false;
    }
    for (size_t i = 2; i < parameter.len; i++) {
        if (parameter.data[i] != '0' && !(i == 3 && parameter.data[i] == '.')) {
            return false;
        }
    }
    return true;
}

static bool is_wanted_type(struct troupe_span item, const char *type)
{
    if (!trp_http1_same(next_part(&item, ';'), type)) {
        return false;
    }
    while (item.len > 0) {
        if (is_zero_weight(next_part(&item, ';'))) {
            return false;
        }
    }
    return true;
}

bool trp_http1_accepts(const struct trp_http1_head *head, const char *type)
{
    for (size_t i = 0; i < head->header_count; i++) {
        struct troupe_span rest = head->headers[i].value;
        if (!trp_http1_same(head->headers[i].name, "accept")) {
            continue;
        }
        while (rest.len > 0) {
            if (is_wanted_type(next_part(&rest, ','), type)) {
                return true;
            }
        }
    }
    return false;
}

/* ---- writing ----------------------------------------------------------------------------- */

static const struct {
    unsigned status;
    const char *reason;
} reasons[] = {
    {101, "Switching Protocols"},
    {200, "OK"},
    {202, "Accepted"},
    {204, "No Content"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {413, "Content Too Large"},
    {415, "Unsupported Media Type"},
    {426, "Upgrade Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {503, "Service Unavailable"},
    {505, "HTTP Version Not Supported"},
};

const char *trp_http1_reason(unsigned status)
{
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (reasons[i].status == status) {
            return reasons[i].reason;
        }
    }
    return "Status";
}

static bool is_plain(struct troupe_span text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = (uint8_t)text.data[i];
        if ((byte < 0x20 && byte != '\t') || byte == 0x7f) {
            return false;
        }
    }
    return true;
}

static bool is_name(struct troupe_span text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = (uint8_t)text.data[i];
        if (byte <= 0x20 || byte >= 0x7f || byte == ':') {
            return false;
        }
    }
    return text.len > 0;
}

bool trp_http1_headers_write(struct trp_text *out,
                             const struct trp_http1_header *headers,
                             size_t header_count)
{
    for (size_t i = 0; i < header_count; i++) {
        if (!is_name(headers[i].name) || !is_plain(headers[i].value)) {
            return false;
        }
        trp_text_span(out, headers[i].name);
        trp_text_cstr(out, ": ");
        trp_text_span(out, headers[i].value);
        trp_text_cstr(out, "\r\n");
    }
    return true;
}

bool trp_http1_response_write(struct trp_text *out,
                              unsigned status,
                              const struct trp_http1_header *headers,
                              size_t header_count)
{
    TROUPE_ASSERT(status >= 100 && status <= 999);
    trp_text_cstr(out, "HTTP/1.1 ");
    trp_text_u64(out, status);
    trp_text_cstr(out, " ");
    trp_text_cstr(out, trp_http1_reason(status));
    trp_text_cstr(out, "\r\n");
    if (!trp_http1_headers_write(out, headers, header_count)) {
        return false;
    }
    trp_text_cstr(out, "\r\n");
    return true;
}
