#include "io/net/stream.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <troupe/assert.h>
#include <unistd.h>

/* One queued write: payload of a message node. */
struct entry {
    struct troupe_msg *next;
    struct troupe_buf *buf; /* NULL when everything is in the prefix */
    uint32_t offset;
    uint32_t len;
    uint32_t prefix_len;
    uint32_t sent;       /* of prefix and buffer together */
    struct iovec iov[2]; /* for a send of this entry alone */
    uint8_t prefix[];
};

TROUPE_STATIC_ASSERT(sizeof(struct entry) + TRP_STREAM_COPY_MAX <= TROUPE_MSG_PAYLOAD_MAX,
                     "an entry with the longest copy is one node");
TROUPE_STATIC_ASSERT(TRP_IOV_MAX * sizeof(struct iovec) <= TROUPE_MSG_PAYLOAD_MAX,
                     "the parts of a gathered send are one node");
TROUPE_STATIC_ASSERT(sizeof(struct trp_stream) <= 576, "idle connections are small");

static struct entry *entry_of(const struct troupe_msg *msg)
{
    return troupe_msg_data(msg);
}

static void set_state(struct trp_stream *stream, enum trp_stream_state to)
{
    static const uint8_t allowed[TRP_STREAM_STATES] = {
        [TRP_STREAM_IDLE] = 1u << TRP_STREAM_CONNECTING | 1u << TRP_STREAM_OPEN,
        [TRP_STREAM_CONNECTING] = 1u << TRP_STREAM_OPEN | 1u << TRP_STREAM_ABORTING,
        [TRP_STREAM_OPEN] = 1u << TRP_STREAM_DRAINING | 1u << TRP_STREAM_ABORTING,
        [TRP_STREAM_DRAINING] = 1u << TRP_STREAM_LINGERING | 1u << TRP_STREAM_ABORTING,
        [TRP_STREAM_LINGERING] = 1u << TRP_STREAM_ABORTING,
        [TRP_STREAM_ABORTING] = 1u << TRP_STREAM_IDLE,
    };
    TROUPE_ASSERT(stream->state < TRP_STREAM_STATES);
    TROUPE_ASSERT((allowed[stream->state] & 1u << to) != 0);
    stream->state = (uint8_t)to;
}

/* --- an owner that was ended from outside --- */

static void drop_queue(struct troupe_ctx *ctx, struct trp_stream *stream);
static void close_fds(struct trp_stream *stream);

/* The last completion of an operation whose owner is gone. */
static void orphan_done(struct troupe_ctx *ctx, struct trp_stream *stream)
{
    if (!stream->is_reading && !stream->is_writing) {
        drop_queue(ctx, stream);
        close_fds(stream);
        stream->state = TRP_STREAM_IDLE; /* from anywhere */
    }
}

static void orphan_read(struct troupe_ctx *ctx, struct trp_op *op)
{
    struct trp_stream *stream =
        (struct trp_stream *)(void *)((char *)op - offsetof(struct trp_stream, read_op));
    stream->is_reading = false;
    orphan_done(ctx, stream);
}

static void orphan_write(struct troupe_ctx *ctx, struct trp_op *op)
{
    struct trp_stream *stream =
        (struct trp_stream *)(void *)((char *)op - offsetof(struct trp_stream, write_op));
    stream->is_writing = false;
    orphan_done(ctx, stream);
}

/* Every operation is submitted through these, so that it can outlive its owner. */
static void submit_read_op(struct troupe_ctx *ctx, struct trp_stream *stream)
{
    stream->is_reading = true;
    stream->read_op.orphan_cb = orphan_read;
    trp_op_submit(ctx, &stream->read_op);
}

static void submit_write_op(struct troupe_ctx *ctx, struct trp_stream *stream)
{
    stream->is_writing = true;
    stream->write_op.orphan_cb = orphan_write;
    trp_op_submit(ctx, &stream->write_op);
}

static void submit_read(struct troupe_ctx *ctx, struct trp_stream *stream)
{
    TROUPE_ASSERT(!stream->is_reading);
    TROUPE_ASSERT(!stream->is_ended);
    TROUPE_ASSERT(stream->read_fd >= 0);
    stream->read_op.kind = stream->is_socket ? TRP_OP_RECV : TRP_OP_READ;
    stream->read_op.fd = stream->read_fd;
    submit_read_op(ctx, stream);
}

/* Arms reading when it is wanted and possible. */
static void arm_read(struct troupe_ctx *ctx, struct trp_stream *stream)
{
    if (stream->is_reading_wanted && !stream->is_reading && !stream->is_ended &&
        stream->read_fd >= 0) {
        submit_read(ctx, stream);
    }
}

/* --- the queue --- */

static void free_head(struct troupe_ctx *ctx, struct trp_stream *stream)
{
    struct troupe_msg *msg = stream->head;
    struct entry *entry = entry_of(msg);
    TROUPE_ASSERT(stream->queue_entries > 0);
    stream->head = entry->next;
    if (stream->head == NULL) {
        stream->tail = NULL;
    }
    stream->queue_entries--;
    troupe_buf_release(entry->buf);
    troupe_msg_free(ctx, msg);
}

static void drop_queue(struct troupe_ctx *ctx, struct trp_stream *stream)
{
    while (stream->head != NULL) {
        free_head(ctx, stream);
    }
    TROUPE_ASSERT(stream->queue_entries == 0);
    stream->queue_bytes = 0;
    troupe_msg_free(ctx, stream->parts);
    stream->parts = NULL;
}

/* Takes sent bytes off the queue. */
static void advance_queue(struct troupe_ctx *ctx, struct trp_stream *stream, uint32_t sent)
{
    TROUPE_ASSERT(sent <= stream->queue_bytes);
    stream->queue_bytes -= sent;
    while (sent > 0) {
        struct entry *entry = entry_of(stream->head);
        uint32_t left = entry->prefix_len + entry->len - entry->sent;
        if (sent < left) {
            entry->sent += sent;
            return;
        }
        sent -= left;
        free_head(ctx, stream);
    }
}

/* Writes the unsent parts of an entry, returns how many (1 or 2). */
static uint32_t fill_parts(struct iovec *iov, struct entry *entry)
{
    uint32_t count = 0;
    uint32_t sent = entry->sent;
    if (sent < entry->prefix_len) {
        iov[count].iov_base = entry->prefix + sent;
        iov[count++].iov_len = entry->prefix_len - sent;
        sent = 0;
    } else {
        sent -= entry->prefix_len;
    }
    if (sent < entry->len) {
        iov[count].iov_base = entry->buf->data + entry->offset + sent;
        iov[count++].iov_len = entry->len - sent;
    }
    TROUPE_ASSERT(count > 0);
    return count;
}

static void submit_write(struct troupe_ctx *ctx, struct trp_stream *stream)
{
    TROUPE_ASSERT(!stream->is_writing);
    TROUPE_ASSERT(stream->head != NULL);
    TROUPE_ASSERT(stream->parts == NULL);
    struct entry *entry = entry_of(stream->head);
    struct iovec *iov = entry->iov;
    uint32_t count;
    if (entry->next != NULL) {
        uint32_t most = 2 * stream->queue_entries;
        most = most > TRP_IOV_MAX ? TRP_IOV_MAX : most;
        /* without memory for the array the entries go out one by one */
        stream->parts = troupe_msg_new(ctx, TRP_MSG_NET, most * (uint32_t)sizeof(struct iovec));
    }
    if (stream->parts == NULL) {
        count = fill_parts(iov, entry);
    } else {
        iov = troupe_msg_data(stream->parts);
        count = 0;
        for (struct troupe_msg *msg = stream->head; msg != NULL && count + 2 <= TRP_IOV_MAX;
             msg = entry_of(msg)->next) {
            count += fill_parts(iov + count, entry_of(msg));
        }
    }
    stream->write_op.kind = stream->is_socket ? TRP_OP_SEND : TRP_OP_WRITE;
    stream->write_op.fd = stream->write_fd;
    stream->write_op.send.iov = iov;
    stream->write_op.send.iov_count = count;
    submit_write_op(ctx, stream);
}

static enum troupe_status check_room(const struct trp_stream *stream, uint64_t len, uint32_t spare)
{
    const struct trp_stream_limits *limits = stream->limits;
    if (stream->state != TRP_STREAM_OPEN) {
        return TROUPE_ECLOSED;
    }
    if (stream->write_fd < 0) {
        return TROUPE_ECLOSED;
    }
    if ((uint64_t)stream->queue_entries >= (uint64_t)limits->queue_entries_max + spare ||
        stream->queue_bytes + len > UINT32_MAX) {
        return TROUPE_EBUSY;
    }
    if (spare == 0 && stream->queue_bytes > 0 &&
        stream->queue_bytes + len > limits->queue_bytes_max) {
        return TROUPE_EBUSY;
    }
    return TROUPE_OK;
}

/* Queues an entry; prefix_len and len together are not 0. The caller retains the buffer after. */
static enum troupe_status enqueue(struct troupe_ctx *ctx,
                                  struct trp_stream *stream,
                                  struct troupe_span prefix,
                                  struct troupe_buf *buf,
                                  uint32_t offset,
                                  uint32_t len)
{
    struct troupe_msg *msg =
        troupe_msg_new(ctx, TRP_MSG_NET, (uint32_t)(sizeof(struct entry) + prefix.len));
    if (msg == NULL) {
        return TROUPE_ENOMEM;
    }
    struct entry *entry = entry_of(msg);
    entry->next = NULL;
    entry->buf = buf;
    entry->offset = offset;
    entry->len = len;
    entry->prefix_len = (uint32_t)prefix.len;
    entry->sent = 0;
    if (prefix.len > 0) {
        memcpy(entry->prefix, prefix.data, prefix.len);
    }
    if (stream->tail == NULL) {
        stream->head = msg;
    } else {
        entry_of(stream->tail)->next = msg;
    }
    stream->tail = msg;
    stream->queue_entries++;
    stream->queue_bytes += entry->prefix_len + len;
    return TROUPE_OK;
}

enum troupe_status trp_stream_write(struct troupe_ctx *ctx,
                                    struct trp_stream *stream,
                                    struct troupe_buf *buf,
                                    uint32_t offset,
                                    uint32_t len)
{
    TROUPE_ASSERT(offset <= buf->size);
    TROUPE_ASSERT(len <= buf->size - offset);
    enum troupe_status status = check_room(stream, len, 0);
    if (status != TROUPE_OK || len == 0) {
        return status;
    }
    status = enqueue(ctx, stream, troupe_span(NULL, 0), buf, offset, len);
    if (status == TROUPE_OK) {
        troupe_buf_retain(buf);
    }
    return status;
}

enum troupe_status trp_stream_write_framed(struct troupe_ctx *ctx,
                                           struct trp_stream *stream,
                                           const void *prefix,
                                           uint32_t prefix_len,
                                           struct troupe_buf *buf)
{
    TROUPE_ASSERT(prefix_len <= TRP_STREAM_PREFIX_MAX);
    enum troupe_status status = check_room(stream, (uint64_t)prefix_len + buf->size, 0);
    if (status != TROUPE_OK || prefix_len + buf->size == 0) {
        return status;
    }
    bool has_data = buf->size > 0;
    status =
        enqueue(ctx, stream, troupe_span(prefix, prefix_len), has_data ? buf : NULL, 0, buf->size);
    if (status == TROUPE_OK && has_data) {
        troupe_buf_retain(buf);
    }
    return status;
}

static enum troupe_status write_copy(struct troupe_ctx *ctx,
                                     struct trp_stream *stream,
                                     const void *data,
                                     uint32_t len,
                                     uint32_t spare)
{
    TROUPE_ASSERT(len <= TRP_STREAM_COPY_MAX);
    enum troupe_status status = check_room(stream, len, spare);
    if (status != TROUPE_OK || len == 0) {
        return status;
    }
    return enqueue(ctx, stream, troupe_span(data, len), NULL, 0, 0);
}

enum troupe_status trp_stream_write_copy(struct troupe_ctx *ctx,
                                         struct trp_stream *stream,
                                         const void *data,
                                         uint32_t len)
{
    return write_copy(ctx, stream, data, len, 0);
}

enum troupe_status trp_stream_write_control(struct troupe_ctx *ctx,
                                            struct trp_stream *stream,
                                            const void *data,
                                            uint32_t len)
{
    return write_copy(ctx, stream, data, len, TRP_STREAM_SPARE_ENTRIES);
}

void trp_stream_flush(struct troupe_ctx *ctx, struct trp_stream *stream)
{
    bool may_send = stream->state == TRP_STREAM_OPEN || stream->state == TRP_STREAM_DRAINING;
    if (may_send && stream->head != NULL && !stream->is_writing) {
        submit_write(ctx, stream);
    }
}

/* --- beginning and end --- */

static void
begin(struct trp_stream *stream, int read_fd, int write_fd, const struct trp_stream_limits *limits)
{
    TROUPE_ASSERT(stream->state == TRP_STREAM_IDLE);
    TROUPE_ASSERT(limits->queue_entries_max > 0);
    TROUPE_ASSERT(stream->head == NULL);
    stream->limits = limits;
    stream->read_fd = read_fd;
    stream->write_fd = write_fd;
    stream->is_socket = read_fd == write_fd;
    stream->status = TROUPE_OK;
    stream->is_reading_wanted = false;
    stream->is_reading = false;
    stream->is_writing = false;
    stream->is_ended = false;
}

void trp_stream_open(struct troupe_ctx *ctx,
                     struct trp_stream *stream,
                     int read_fd,
                     int write_fd,
                     const struct trp_stream_limits *limits)
{
    TROUPE_ASSERT(ctx != NULL);
    TROUPE_ASSERT(read_fd >= 0 || write_fd >= 0);
    begin(stream, read_fd, write_fd, limits);
    set_state(stream, TRP_STREAM_OPEN);
}

enum troupe_status trp_stream_connect(struct troupe_ctx *ctx,
                                      struct trp_stream *stream,
                                      const union trp_address *address,
                                      socklen_t address_len,
                                      uint64_t timeout_ns,
                                      const struct trp_stream_limits *limits)
{
    TROUPE_ASSERT(address_len <= sizeof(*address));
    int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return troupe_status_from_errno(-errno);
    }
    if (address->any.sa_family != AF_UNIX) {
        int one = 1;
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    }
    begin(stream, fd, fd, limits);
    set_state(stream, TRP_STREAM_CONNECTING);
    stream->write_op.kind = TRP_OP_CONNECT;
    stream->write_op.fd = fd;
    stream->write_op.connect.address = *address;
    stream->write_op.connect.len = address_len;
    submit_write_op(ctx, stream);
    troupe_timer_start(ctx, &stream->timer, timeout_ns, 0, TRP_MSG_NET_TIMER);
    return TROUPE_OK;
}

void trp_stream_resume(struct troupe_ctx *ctx, struct trp_stream *stream)
{
    if (stream->state == TRP_STREAM_OPEN && !stream->is_reading_wanted) {
        stream->is_reading_wanted = true;
        arm_read(ctx, stream);
    }
}

void trp_stream_pause(struct troupe_ctx *ctx, struct trp_stream *stream)
{
    if (stream->state == TRP_STREAM_OPEN && stream->is_reading_wanted) {
        stream->is_reading_wanted = false;
        if (stream->is_reading) {
            trp_op_cancel(ctx, &stream->read_op);
        }
    }
}

static void close_fds(struct trp_stream *stream)
{
    if (stream->read_fd >= 0) {
        close(stream->read_fd);
    }
    if (stream->write_fd >= 0 && !stream->is_socket) {
        close(stream->write_fd);
    }
    stream->read_fd = -1;
    stream->write_fd = -1;
}

/* Everything has completed: the stream is idle again. */
static void finish(struct troupe_ctx *ctx, struct trp_stream *stream)
{
    TROUPE_ASSERT(!stream->is_reading);
    TROUPE_ASSERT(!stream->is_writing);
    troupe_timer_cancel(ctx, &stream->timer);
    drop_queue(ctx, stream);
    close_fds(stream);
    set_state(stream, TRP_STREAM_IDLE);
}

/* Towards CLOSED; the caller sees to it that something wakes the stream. */
static void
start_abort(struct troupe_ctx *ctx, struct trp_stream *stream, enum troupe_status status)
{
    if (stream->state == TRP_STREAM_ABORTING) {
        return;
    }
    stream->status = (int8_t)status;
    set_state(stream, TRP_STREAM_ABORTING);
    troupe_timer_cancel(ctx, &stream->timer);
    if (stream->is_reading) {
        trp_op_cancel(ctx, &stream->read_op);
    }
    if (stream->is_writing) {
        trp_op_cancel(ctx, &stream->write_op);
    }
}

void trp_stream_abort(struct troupe_ctx *ctx, struct trp_stream *stream, enum troupe_status status)
{
    if (stream->state == TRP_STREAM_IDLE || stream->state == TRP_STREAM_ABORTING) {
        return;
    }
    start_abort(ctx, stream, status);
    if (!stream->is_reading && !stream->is_writing) {
        troupe_timer_start(ctx, &stream->timer, 0, 0, TRP_MSG_NET_TIMER);
    }
}

/* The queue is sent: our side ends. */
static void shut_writing(struct troupe_ctx *ctx, struct trp_stream *stream)
{
    TROUPE_ASSERT(stream->head == NULL);
    TROUPE_ASSERT(!stream->is_writing);
    if (stream->is_socket) {
        /* fails only when the peer is gone already, which reading finds out */
        (void)shutdown(stream->write_fd, SHUT_WR);
    } else if (stream->write_fd >= 0) {
        close(stream->write_fd);
        stream->write_fd = -1;
    }
    set_state(stream, TRP_STREAM_LINGERING);
    if (stream->is_ended || stream->read_fd < 0) {
        start_abort(ctx, stream, TROUPE_OK);
    }
}

void trp_stream_close(struct troupe_ctx *ctx, struct trp_stream *stream)
{
    if (stream->state == TRP_STREAM_CONNECTING) {
        trp_stream_abort(ctx, stream, TROUPE_ECANCELED);
    }
    if (stream->state != TRP_STREAM_OPEN) {
        return;
    }
    set_state(stream, TRP_STREAM_DRAINING);
    stream->is_reading_wanted = true; /* for the peer's end; what arrives is dropped */
    troupe_timer_start(ctx, &stream->timer, stream->limits->linger_ns, 0, TRP_MSG_NET_TIMER);
    arm_read(ctx, stream);
    if (stream->head != NULL) {
        trp_stream_flush(ctx, stream);
        return;
    }
    shut_writing(ctx, stream);
    if (stream->state == TRP_STREAM_ABORTING && !stream->is_reading) {
        troupe_timer_start(ctx, &stream->timer, 0, 0, TRP_MSG_NET_TIMER);
    }
}

/* --- completions --- */

static void
on_read_end(struct troupe_ctx *ctx, struct trp_stream *stream, struct trp_stream_event *event)
{
    int32_t result = stream->read_op.result;
    stream->is_reading = false;
    if (stream->state == TRP_STREAM_ABORTING) {
        return;
    }
    if (result == 0) {
        stream->is_ended = true;
        if (stream->state == TRP_STREAM_OPEN) {
            event->kind = TRP_STREAM_END;
        } else if (stream->state == TRP_STREAM_LINGERING) {
            start_abort(ctx, stream, TROUPE_OK);
        }
        return;
    }
    /* ended without a reason (the kernel may do that), or cancelled by a pause that is over */
    if (result > 0 || result == -ECANCELED) {
        arm_read(ctx, stream);
        return;
    }
    start_abort(ctx, stream, troupe_status_from_errno(result));
}

static void
on_write_end(struct troupe_ctx *ctx, struct trp_stream *stream, struct trp_stream_event *event)
{
    int32_t result = stream->write_op.result;
    stream->is_writing = false;
    troupe_msg_free(ctx, stream->parts);
    stream->parts = NULL;
    if (stream->state == TRP_STREAM_ABORTING) {
        return;
    }
    if (stream->state == TRP_STREAM_CONNECTING) {
        if (result < 0) {
            start_abort(ctx, stream, troupe_status_from_errno(result));
            return;
        }
        troupe_timer_cancel(ctx, &stream->timer);
        set_state(stream, TRP_STREAM_OPEN);
        event->kind = TRP_STREAM_CONNECTED;
        return;
    }
    if (result <= 0 && result != -EINTR) {
        start_abort(ctx, stream, result == 0 ? TROUPE_EIO : troupe_status_from_errno(result));
        return;
    }
    if (result > 0) {
        advance_queue(ctx, stream, (uint32_t)result);
    }
    if (stream->head != NULL) {
        submit_write(ctx, stream);
        return;
    }
    TROUPE_ASSERT(stream->queue_bytes == 0);
    if (stream->state == TRP_STREAM_DRAINING) {
        shut_writing(ctx, stream);
        return;
    }
    event->kind = TRP_STREAM_DRAINED;
}

static void on_timer(struct troupe_ctx *ctx, struct trp_stream *stream)
{
    if (stream->state != TRP_STREAM_ABORTING) {
        TROUPE_ASSERT(stream->state != TRP_STREAM_IDLE);
        TROUPE_ASSERT(stream->state != TRP_STREAM_OPEN);
        start_abort(ctx, stream, TROUPE_EEXPIRED);
    }
}

bool trp_stream_receive(struct troupe_ctx *ctx,
                        struct trp_stream *stream,
                        struct troupe_msg *msg,
                        struct trp_stream_event *event)
{
    event->kind = TRP_STREAM_NONE;
    event->status = TROUPE_OK;
    event->data = NULL;
    event->len = 0;
    if (msg->type == TRP_MSG_RX) {
        struct trp_rx *rx = (struct trp_rx *)msg;
        if (rx->op != &stream->read_op) {
            return false;
        }
        if (stream->state == TRP_STREAM_OPEN) {
            event->kind = TRP_STREAM_DATA;
            event->data = rx->data;
            event->len = rx->len;
        }
        return true;
    }
    if (msg == &stream->read_op.msg) {
        if (!stream->read_op.is_armed) {
            on_read_end(ctx, stream, event);
        }
    } else if (msg == &stream->write_op.msg) {
        if (!stream->write_op.is_armed) {
            on_write_end(ctx, stream, event);
        }
    } else if (msg == &stream->timer.msg) {
        on_timer(ctx, stream);
    } else {
        return false;
    }
    if (stream->state == TRP_STREAM_ABORTING && !stream->is_reading && !stream->is_writing) {
        event->kind = TRP_STREAM_CLOSED;
        event->status = (enum troupe_status)stream->status;
        finish(ctx, stream);
    }
    return true;
}

void trp_stream_fini(struct troupe_ctx *ctx, struct trp_stream *stream)
{
    if (stream->state == TRP_STREAM_IDLE) {
        return;
    }
    if (stream->state != TRP_STREAM_ABORTING) {
        start_abort(ctx, stream, TROUPE_ECANCELED);
    }
    troupe_timer_cancel(ctx, &stream->timer);
    if (stream->is_socket) {
        /* a send that is retried from here on fails before it looks at its buffers */
        (void)shutdown(stream->write_fd, SHUT_RDWR);
    }
    if (stream->is_reading || stream->is_writing) {
        return; /* the pool cancels them; the last completion releases and closes */
    }
    finish(ctx, stream);
}
