#ifndef TROUPE_BUF_H
#define TROUPE_BUF_H

/**
 * Counted buffers: bytes that several messages, actors and connections share without copying.
 *
 * A buffer is written by the one who made it and is read-only from the moment it is sent or
 * retained a second time. The count may be changed on any thread; the last release gives the memory
 * back to the worker that allocated it. There is always at least TROUPE_BUF_PADDING readable bytes
 * after the data, so that vectorised readers may look past the end.
 *
 * Made by troupe_buf_new (troupe/actor.h), at most TROUPE_BUF_MAX bytes each.
 */

#include <troupe/span.h>
#include <troupe/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Readable bytes behind every buffer's capacity; their content is unspecified. */
#define TROUPE_BUF_PADDING 64

/** Largest capacity of one buffer: 64 MiB. */
#define TROUPE_BUF_MAX (64u << 20)

struct troupe_buf {
    uint32_t count;               /**< references; private, changed by retain and release only */
    uint32_t capacity;            /**< bytes that may be written */
    uint32_t size;                /**< bytes of content, set by the maker */
    uint32_t reserved;            /**< private */
    __extension__ uint8_t data[]; /**< the bytes; standard in C, an extension in C++ */
};

/**
 * One more owner. The caller holds a reference of his own meanwhile.
 *
 * @return buf, for use in an expression
 * Threads: any
 * Cost: one atomic add
 */
TROUPE_API struct troupe_buf *troupe_buf_retain(struct troupe_buf *buf);

/**
 * One owner less; the last one frees. NULL is a no-op. The caller's reference is gone: he must not
 * look at buf any more.
 *
 * Threads: any, between the creation and the destruction of the pool it comes from
 * Cost: at most one atomic operation; the last release of a buffer above 64 KiB calls free(3)
 */
TROUPE_API void troupe_buf_release(struct troupe_buf *buf);

/** The content as a span that lives as long as the reference held. Threads: any. Cost: none. */
static inline struct troupe_span troupe_buf_span(const struct troupe_buf *buf)
{
    return troupe_span(buf->data, buf->size);
}

#ifdef __cplusplus
}
#endif

#endif
