#ifndef IO_CODEC_HTTP1_H
#define IO_CODEC_HTTP1_H

/*
 * HTTP/1.0 and 1.1 messages: heads of requests and responses, bodies as spans, writing heads.
 *
 * The grammar is llhttp's; in front of it stands a stricter look at the lines of a head: CRLF only,
 * no folded headers, no control bytes. What two readers could understand differently (two lengths,
 * a length beside chunks) is an error.
 *
 * Threads: a parser belongs to one thread at a time. Nothing here allocates.
 */

#include <llhttp.h>

#include <troupe/span.h>

#include "io/codec/text.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TRP_HTTP1_HEADERS_MAX 64
#define TRP_HTTP1_HEAD_MAX    16384 /* bytes, with the empty line at the end */

struct trp_http1_header {
    struct troupe_span name;
    struct troupe_span value; /* without white space around it */
};

enum trp_http1_body {
    TRP_HTTP1_BODY_NONE,
    TRP_HTTP1_BODY_LENGTH,      /* content_length bytes, at least 1 */
    TRP_HTTP1_BODY_CHUNKED,     /* ends by itself */
    TRP_HTTP1_BODY_UNTIL_CLOSE, /* responses only: the end of the connection ends it */
};

/* All spans point into the bytes that trp_http1_head was given. */
struct trp_http1_head {
    struct troupe_span method; /* request; empty in a response */
    struct troupe_span target; /* request: as on the wire, never empty */
    unsigned status;           /* response: 100..999; 0 in a request */
    struct troupe_span reason; /* response: may be empty */
    unsigned minor;            /* HTTP/1.minor: 0 or 1 */
    bool keep_alive;           /* the connection may serve another message after this one */
    enum trp_http1_body body;  /* the answer to a HEAD request has none, whatever this says */
    uint64_t content_length;   /* bytes, for TRP_HTTP1_BODY_LENGTH, else 0 */
    size_t header_count;
    struct trp_http1_header headers[TRP_HTTP1_HEADERS_MAX];
};

enum trp_http1_kind {
    TRP_HTTP1_REQUEST,
    TRP_HTTP1_RESPONSE,
};

enum trp_http1_result {
    TRP_HTTP1_NEED_MORE,
    TRP_HTTP1_DONE,
    TRP_HTTP1_ERROR,
};

/* Reader of one message; init again for the next one. Read `error` and `status`, nothing else. */
struct trp_http1 {
    const char *error; /* static text after TRP_HTTP1_ERROR, else NULL */
    unsigned status;   /* what a server answers then: 400, 431, 501, 505 */
    enum trp_http1_kind kind;
    llhttp_t parser;
    struct trp_http1_head *head; /* only during trp_http1_head */
    enum trp_http1_body body;
    bool is_head_done;
    bool is_body_done;
    bool is_overfull;   /* more headers than the table holds */
    size_t start;       /* where the start line begins, after empty lines */
    size_t line;        /* where the line being looked at begins */
    size_t scanned;     /* bytes of the head looked at so far */
    uint64_t body_len;  /* body bytes handed out */
    uint64_t frame_len; /* bytes of chunk headers and trailers between them */
    void (*body_cb)(void *arg, struct troupe_span piece);
    void *body_arg;
};

void trp_http1_init(struct trp_http1 *http, enum trp_http1_kind kind);

/*
 * Reads the head. data: everything received since init, growing from call to call (it may have
 * moved); bytes already looked at are not looked at again until the head is complete.
 *
 * DONE: *head is filled and *consumed says how many bytes the head took. NEED_MORE and ERROR leave
 * both alone. ERROR is final.
 */
enum trp_http1_result trp_http1_head(struct trp_http1 *http,
                                     struct trp_http1_head *head,
                                     size_t *consumed,
                                     struct troupe_span data);

/*
 * Reads body bytes that follow the head (only new bytes in each call) and hands out the pieces, in
 * order, with chunk framing taken away. The caller counts and limits them.
 *
 * NEED_MORE: all of it was consumed. DONE: the message is complete after *consumed bytes; a message
 * without a body is DONE at once with 0. ERROR is final. Chunk headers and trailers may not
 * outweigh the body by more than 64 KiB plus 16 bytes for each body byte.
 */
enum trp_http1_result trp_http1_body(struct trp_http1 *http,
                                     size_t *consumed,
                                     struct troupe_span data,
                                     void (*body_cb)(void *arg, struct troupe_span piece),
                                     void *arg);

/* The connection ended: DONE when that ends the body properly, ERROR when it was cut off. */
enum trp_http1_result trp_http1_end(struct trp_http1 *http);

/* ASCII letters of either case are the same. */
bool trp_http1_same(struct troupe_span a, const char *b);

/* Fields of that name (either case). */
size_t trp_http1_count(const struct trp_http1_head *head, const char *name);

/* Value of the first field of that name; empty with data NULL when there is none. */
struct troupe_span trp_http1_value(const struct trp_http1_head *head, const char *name);

/*
 * True when the comma-separated list in the fields of that name has the token (either case), as in
 * "Connection: keep-alive, Upgrade".
 */
bool trp_http1_has_token(const struct trp_http1_head *head, const char *name, const char *token);

/*
 * True when the Accept fields name exactly this media type, parameters aside; ranges such as any
 * type at all do not count, nor does a type with q=0.
 */
bool trp_http1_accepts(const struct trp_http1_head *head, const char *type);

/* Reason phrase of a status that Troupe sends; "Status" for any other. */
const char *trp_http1_reason(unsigned status);

/*
 * Writes a status line, the header fields and the empty line. Headers with a control byte in name
 * or value would split the message: false, and nothing useful was written.
 */
bool trp_http1_response_write(struct trp_text *out,
                              unsigned status,
                              const struct trp_http1_header *headers,
                              size_t header_count);

/* Writes header fields only; same rule. */
bool trp_http1_headers_write(struct trp_text *out,
                             const struct trp_http1_header *headers,
                             size_t header_count);

#ifdef __cplusplus
}
#endif

#endif
