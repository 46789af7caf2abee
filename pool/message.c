/* Messages and buffers as handlers make, keep and free them. */

#include "pool/worker.h"

#include <string.h>
#include <troupe/assert.h>

enum troupe_status troupe_send_copy(
    struct troupe_ctx *ctx, troupe_ref to, uint16_t type, const void *payload, uint32_t size)
{
    struct troupe_msg *msg = troupe_msg_new(ctx, type, size);
    if (msg == NULL) {
        return TROUPE_ENOMEM;
    }
    if (size != 0) {
        memcpy(troupe_msg_data(msg), payload, size);
    }
    enum troupe_status status = troupe_send(ctx, to, &msg);
    if (status != TROUPE_OK) {
        trp_msg_free(msg);
    }
    return status;
}

struct troupe_msg *troupe_msg_new(struct troupe_ctx *ctx, uint16_t type, uint32_t size)
{
    TROUPE_ASSERT(type < TROUPE_MSG_RESERVED);
    return trp_msg_alloc(&ctx->worker->heap, type, size, false);
}

struct troupe_msg *
troupe_msg_new_deadline(struct troupe_ctx *ctx, uint16_t type, uint32_t size, uint64_t deadline_ns)
{
    TROUPE_ASSERT(type < TROUPE_MSG_RESERVED);
    struct troupe_msg *msg = trp_msg_alloc(&ctx->worker->heap, type, size, true);
    if (msg != NULL) {
        ((struct troupe_msg_extension *)(msg + 1))->deadline_ns = deadline_ns;
    }
    return msg;
}

struct troupe_msg *
troupe_msg_new_buf(struct troupe_ctx *ctx, uint16_t type, uint32_t size, struct troupe_buf *buf)
{
    TROUPE_ASSERT(size >= sizeof(buf));
    struct troupe_msg *msg = troupe_msg_new(ctx, type, size);
    if (msg != NULL) {
        memset(troupe_msg_data(msg), 0, size);
        *(struct troupe_buf **)troupe_msg_data(msg) = buf;
        msg->flags |= TROUPE_MSG_OWNS_BUF;
    }
    return msg;
}

void troupe_msg_free(struct troupe_ctx *ctx, struct troupe_msg *msg)
{
    if (msg == NULL) {
        return;
    }
    TROUPE_ASSERT(msg != ctx->msg);
    if ((msg->flags & TROUPE_MSG_ASK) != 0) {
        trp_core()->unanswered(ctx->worker, msg, TROUPE_ENOREPLY);
        return;
    }
    trp_msg_free(msg);
}

struct troupe_msg *troupe_msg_take(struct troupe_ctx *ctx, struct troupe_msg *msg)
{
    TROUPE_ASSERT(msg == ctx->msg);
    TROUPE_ASSERT((msg->flags & TROUPE_MSG_EMBEDDED) == 0);
    ctx->msg = NULL;
    return msg;
}

/* --- one buffer to many --- */

/* One message with one reference; the reference is the message's when it was sent. */
static enum troupe_status
send_reference(struct troupe_ctx *ctx, troupe_ref to, uint16_t type, struct troupe_buf *buf)
{
    struct troupe_msg *msg = troupe_msg_new_buf(ctx, type, sizeof(buf), buf);
    if (msg == NULL) {
        return TROUPE_ENOMEM;
    }
    enum troupe_status status = troupe_send(ctx, to, &msg);
    if (status != TROUPE_OK) {
        msg->flags &= (uint8_t)~TROUPE_MSG_OWNS_BUF;
        trp_msg_free(msg);
    }
    return status;
}

struct fan_out {
    const troupe_ref *to;
    uint32_t count;
    uint16_t type;
    struct troupe_buf *buf;
    enum troupe_status *statuses; /* optional */
    uint32_t sent;
};

/* Tries them all; returns the first failure. */
static enum troupe_status fan_out(struct troupe_ctx *ctx, struct fan_out *fan)
{
    enum troupe_status first = TROUPE_OK;
    /* One atomic add for all of them; partner: troupe_buf_release. The caller's own reference keeps
     * the buffer, so giving the unused ones back never frees it. */
    uint32_t before = trp_faa_u32(&fan->buf->count, fan->count);
    TROUPE_ASSERT(before != 0);
    for (uint32_t i = 0; i < fan->count; i++) {
        enum troupe_status status = send_reference(ctx, fan->to[i], fan->type, fan->buf);
        if (status == TROUPE_OK) {
            fan->sent++;
        } else if (first == TROUPE_OK) {
            first = status;
        }
        if (fan->statuses != NULL) {
            fan->statuses[i] = status;
        }
    }
    if (fan->sent < fan->count) {
        trp_faa_u32(&fan->buf->count, fan->sent - fan->count); /* partner: troupe_buf_release */
    }
    return first;
}

enum troupe_status troupe_send_many(struct troupe_ctx *ctx,
                                    const troupe_ref *to,
                                    uint32_t count,
                                    uint16_t type,
                                    struct troupe_buf *buf,
                                    uint32_t *sent)
{
    struct fan_out fan = {to, count, type, buf, NULL, 0};
    if (count > TROUPE_SEND_MANY_MAX) {
        return TROUPE_EINVAL;
    }
    enum troupe_status status = fan_out(ctx, &fan);
    *sent = fan.sent;
    return status;
}

enum troupe_status troupe_send_each(struct troupe_ctx *ctx,
                                    enum troupe_status *statuses,
                                    const troupe_ref *to,
                                    uint32_t count,
                                    uint16_t type,
                                    struct troupe_buf *buf)
{
    struct fan_out fan = {to, count, type, buf, statuses, 0};
    return count > TROUPE_SEND_MANY_MAX ? TROUPE_EINVAL : fan_out(ctx, &fan);
}

struct troupe_buf *troupe_buf_new(struct troupe_ctx *ctx, uint32_t capacity)
{
    return trp_buf_alloc(&ctx->worker->heap, capacity);
}
