#ifndef TROUPE_SPAN_H
#define TROUPE_SPAN_H

/**
 * A borrowed run of bytes. It owns nothing; who lends the bytes says how long they live.
 *
 * Threads: any. Cost: that of strlen and memcmp, where they are used; otherwise none.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

struct troupe_span {
    const char *data; /* may be NULL when len is 0 */
    size_t len;       /* bytes */
};

/** Wraps `len` bytes; `data` may be NULL when there are none. Borrowed: nothing is copied. */
static inline struct troupe_span troupe_span(const void *data, size_t len)
{
    struct troupe_span span = {(const char *)data, len};
    return span;
}

/** Wraps a NUL-terminated text without its NUL; not NULL. Borrowed: nothing is copied. */
static inline struct troupe_span troupe_span_cstr(const char *text)
{
    return troupe_span(text, strlen(text));
}

/** True when both hold the same bytes. Not constant time: never for secrets. */
static inline bool troupe_span_equal(struct troupe_span a, struct troupe_span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/** True when the span holds exactly this NUL-terminated text. */
static inline bool troupe_span_is(struct troupe_span span, const char *text)
{
    return troupe_span_equal(span, troupe_span_cstr(text));
}

#ifdef __cplusplus
}
#endif

#endif
