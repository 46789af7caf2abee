#ifndef IO_NET_STREAM_H
#define IO_NET_STREAM_H

/*
 * A byte stream owned by an actor: a connected socket or a pair of pipe ends, with the write queue
 * and the references to buffers that the kernel still reads.
 *
 * The struct lives in the owner's state (zeroed = idle). The owner hands every TRP_MSG_RX,
 * TRP_MSG_OP and timer message to trp_stream_receive, which says what happened in a
 * struct trp_stream_event:
 *
 *     connect -> CONNECTED -> { DATA | DRAINED }* -> END? -> ... -> CLOSED
 *     open    ------------->  { DATA | DRAINED }* -> END? -> ... -> CLOSED
 *
 * CLOSED comes exactly once for each open or connect, always from trp_stream_receive, never from
 * inside another call, whoever ended the stream. After it the descriptors are closed, every queued
 * buffer is released and the struct may be opened again or freed. An owner that wants to end
 * closes first, waits for CLOSED and then returns TROUPE_STOP. An owner that is ended from outside
 * (troupe_stop, pool shutdown) calls trp_stream_fini from its terminate_cb. Owners should not be
 * ended with troupe_kill: with no operation armed nobody would close the descriptors.
 *
 * Writing: writes only queue; trp_stream_flush at the end of the owner's handler makes one gathered
 * send of everything queued (at most TRP_IOV_MAX parts); while a send is in flight its completion
 * starts the next one. Queue entries are message nodes of the worker's slabs.
 *
 * Threads: the owner's worker.
 */

#include <troupe/actor.h>

#include "pool/driver.h"

/*
 * Message types that the structs of io/net send to their own owner. Owners number their own
 * messages outside of this range.
 */
enum {
    TRP_MSG_NET = 0xEF00,
    TRP_MSG_NET_TIMER = TRP_MSG_NET,        /* an embedded timer */
    TRP_MSG_NET_CONTINUE = TRP_MSG_NET + 1, /* the rest of a long turn */
    TRP_MSG_NET_LOOKUP = TRP_MSG_NET + 2,   /* a name lookup came back */
    TRP_MSG_NET_LISTENER_STOP = TRP_MSG_NET + 3,
};

/* Bytes that trp_stream_write_copy takes, and the prefix of trp_stream_write_framed. */
#define TRP_STREAM_COPY_MAX   896u
#define TRP_STREAM_PREFIX_MAX 896u

/* What trp_stream_write_control may put on top of a full queue, in entries. */
#define TRP_STREAM_SPARE_ENTRIES 4u

/* Shared by many streams, must outlive them; the numbers are the caller's, there is no default. */
struct trp_stream_limits {
    uint32_t queue_bytes_max;   /* unsent bytes, sends in flight included; one write into an empty
                                   queue may exceed it */
    uint32_t queue_entries_max; /* queued writes, at least 1 */
    uint64_t linger_ns;         /* from trp_stream_close to the end, however slow the peer is */
};

/*
 * IDLE -> CONNECTING -> OPEN -> DRAINING -> LINGERING -> ABORTING -> IDLE, and from any state but
 * IDLE straight to ABORTING.
 */
enum trp_stream_state {
    TRP_STREAM_IDLE = 0,   /* nothing is held */
    TRP_STREAM_CONNECTING, /* a connect is in flight */
    TRP_STREAM_OPEN,
    TRP_STREAM_DRAINING,  /* close was asked for; the queue is still being sent */
    TRP_STREAM_LINGERING, /* our side is shut down; waiting for the peer's end */
    TRP_STREAM_ABORTING,  /* waiting for final completions */
    TRP_STREAM_STATES,
};

/* Fields are private; read through the functions below. */
struct trp_stream {
    struct trp_op read_op;
    struct trp_op write_op; /* also the connect */
    struct troupe_timer timer;
    const struct trp_stream_limits *limits;
    struct troupe_msg *head; /* oldest unsent entry */
    struct troupe_msg *tail;
    struct troupe_msg *parts; /* iovec array of a gathered send in flight */
    int read_fd;              /* -1 = none; equal to write_fd for sockets */
    int write_fd;
    uint32_t queue_bytes;
    uint32_t queue_entries;
    uint8_t state; /* enum trp_stream_state */
    int8_t status; /* enum troupe_status: why it ends, first cause */
    bool is_socket;
    bool is_reading_wanted; /* the owner wants data */
    bool is_reading;        /* read_op armed, its final completion not handled yet */
    bool is_writing;        /* the same for write_op */
    bool is_ended;          /* the peer's end was seen */
};

enum trp_stream_event_kind {
    TRP_STREAM_NONE = 0, /* the message was the stream's, the owner has nothing to do */
    TRP_STREAM_CONNECTED,
    TRP_STREAM_DATA,    /* data, len: valid until the handler returns, writable */
    TRP_STREAM_END,     /* the peer will send nothing more; writing is still possible */
    TRP_STREAM_DRAINED, /* everything queued was sent */
    TRP_STREAM_CLOSED,  /* status says why */
};

struct trp_stream_event {
    enum trp_stream_event_kind kind;
    enum troupe_status status; /* CLOSED: TROUPE_OK after an orderly close, TROUPE_ECANCELED after
                                  trp_stream_abort, TROUPE_EEXPIRED when linger or connect timed
                                  out, otherwise the error of the kernel */
    uint8_t *data;             /* DATA: at least 64 readable bytes behind len */
    uint32_t len;
};

/*
 * Takes over a connected, non-blocking socket, or pipe ends (read_fd != write_fd; -1 = none). The
 * descriptors are the stream's from here. Receiving starts with trp_stream_resume.
 *
 * The stream must be idle.
 */
void trp_stream_open(struct troupe_ctx *ctx,
                     struct trp_stream *stream,
                     int read_fd,
                     int write_fd,
                     const struct trp_stream_limits *limits);

/*
 * Makes a socket (TCP with TCP_NODELAY, or Unix) and connects it: CONNECTED or CLOSED follows.
 *
 * TROUPE_OK, or the error of socket(2); the stream then stays idle and no event follows.
 */
enum troupe_status trp_stream_connect(struct troupe_ctx *ctx,
                                      struct trp_stream *stream,
                                      const union trp_address *address,
                                      socklen_t address_len,
                                      uint64_t timeout_ns,
                                      const struct trp_stream_limits *limits) TROUPE_MUST_USE;

/*
 * Starts or stops receiving. After a pause the data that the kernel had already delivered still
 * arrives. Both are no-ops when nothing changes and once the stream is closing.
 */
void trp_stream_resume(struct troupe_ctx *ctx, struct trp_stream *stream);
void trp_stream_pause(struct troupe_ctx *ctx, struct trp_stream *stream);

/*
 * Queues len bytes of a counted buffer from offset; the stream takes a reference of its own and
 * releases it when the bytes are sent or the stream ends. Nothing is copied: the buffer must not
 * change any more.
 *
 * TROUPE_OK; TROUPE_EBUSY when the queue is full (a DRAINED event follows); TROUPE_ECLOSED unless
 * the stream is open; TROUPE_ENOMEM
 */
enum troupe_status trp_stream_write(struct troupe_ctx *ctx,
                                    struct trp_stream *stream,
                                    struct troupe_buf *buf,
                                    uint32_t offset,
                                    uint32_t len) TROUPE_MUST_USE;

/* As trp_stream_write of the whole buffer, with a copied prefix (a frame header) in front of it. */
enum troupe_status trp_stream_write_framed(struct troupe_ctx *ctx,
                                           struct trp_stream *stream,
                                           const void *prefix,
                                           uint32_t prefix_len,
                                           struct troupe_buf *buf) TROUPE_MUST_USE;

/* Queues a copy of at most TRP_STREAM_COPY_MAX bytes. */
enum troupe_status trp_stream_write_copy(struct troupe_ctx *ctx,
                                         struct trp_stream *stream,
                                         const void *data,
                                         uint32_t len) TROUPE_MUST_USE;

/*
 * As trp_stream_write_copy, with TRP_STREAM_SPARE_ENTRIES entries of room beyond a full queue: for
 * the few bytes that end a protocol (a close frame).
 */
enum troupe_status trp_stream_write_control(struct troupe_ctx *ctx,
                                            struct trp_stream *stream,
                                            const void *data,
                                            uint32_t len) TROUPE_MUST_USE;

/* Starts sending what is queued unless a send is in flight. Cost: none when nothing is queued. */
void trp_stream_flush(struct troupe_ctx *ctx, struct trp_stream *stream);

/*
 * Orderly end: sends what is queued, shuts our side down, drops what still arrives and waits for
 * the peer's end, all within linger_ns. Writes get TROUPE_ECLOSED. A second call does nothing.
 */
void trp_stream_close(struct troupe_ctx *ctx, struct trp_stream *stream);

/* Ends at once, the queue is dropped; `status` is what CLOSED will say unless a cause is known. */
void trp_stream_abort(struct troupe_ctx *ctx, struct trp_stream *stream, enum troupe_status status);

/* See above: what the message meant. False when it is not this stream's; event is NONE then. */
bool trp_stream_receive(struct troupe_ctx *ctx,
                        struct trp_stream *stream,
                        struct troupe_msg *msg,
                        struct trp_stream_event *event);

/*
 * For terminate_cb: ends the stream without an event. Descriptors are closed and buffers released;
 * those of a send in flight when its final completion has arrived. Safe on an idle stream.
 */
void trp_stream_fini(struct troupe_ctx *ctx, struct trp_stream *stream);

static inline enum trp_stream_state trp_stream_state(const struct trp_stream *stream)
{
    return (enum trp_stream_state)stream->state;
}

/* Unsent bytes, those of a send in flight included: for policies about slow readers. */
static inline uint32_t trp_stream_queue_bytes(const struct trp_stream *stream)
{
    return stream->queue_bytes;
}

#endif
