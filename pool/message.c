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

struct troupe_buf *troupe_buf_new(struct troupe_ctx *ctx, uint32_t capacity)
{
    return trp_buf_alloc(&ctx->worker->heap, capacity);
}
