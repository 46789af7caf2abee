#include "actors/mcp/outbox.h"

#define RETRY_NS UINT64_C(1000000)

static void append(struct trp_mcp_outbox *outbox, struct troupe_msg *msg)
{
    msg->next = NULL;
    if (outbox->tail != NULL) {
        outbox->tail->next = msg;
    } else {
        outbox->head = msg;
    }
    outbox->tail = msg;
    outbox->count++;
}

void trp_mcp_outbox_send(struct troupe_ctx *ctx,
                         struct trp_mcp_outbox *outbox,
                         troupe_ref to,
                         struct troupe_msg *msg)
{
    if (outbox->head == NULL) {
        enum troupe_status status = troupe_send(ctx, to, &msg);
        if (status == TROUPE_OK) {
            return;
        }
        if (status != TROUPE_EBUSY) {
            troupe_msg_free(ctx, msg);
            return;
        }
    }
    msg->to = to;
    append(outbox, msg);
    if (!troupe_timer_is_armed(&outbox->timer) && !outbox->timer.is_queued) {
        troupe_timer_start(ctx, &outbox->timer, RETRY_NS, 0, TRP_MCP_MSG_OUTBOX);
    }
}

void trp_mcp_outbox_retry(struct troupe_ctx *ctx, struct trp_mcp_outbox *outbox)
{
    while (outbox->head != NULL) {
        struct troupe_msg *msg = outbox->head;
        struct troupe_msg *next = msg->next;
        enum troupe_status status = troupe_send(ctx, msg->to, &msg);
        if (status == TROUPE_EBUSY) {
            troupe_timer_start(ctx, &outbox->timer, RETRY_NS, 0, TRP_MCP_MSG_OUTBOX);
            return;
        }
        if (status != TROUPE_OK) {
            troupe_msg_free(ctx, msg);
        }
        outbox->head = next;
        outbox->count--;
        if (next == NULL) {
            outbox->tail = NULL;
        }
    }
}

void trp_mcp_outbox_fini(struct troupe_ctx *ctx, struct trp_mcp_outbox *outbox)
{
    while (outbox->head != NULL) {
        struct troupe_msg *msg = outbox->head;
        outbox->head = msg->next;
        troupe_msg_free(ctx, msg);
    }
    outbox->tail = NULL;
    outbox->count = 0;
}

struct troupe_buf *trp_backend_text_buf(struct troupe_ctx *ctx, size_t cap)
{
    return cap < TROUPE_BUF_MAX ? troupe_buf_new(ctx, (uint32_t)cap + 1) : NULL;
}

struct troupe_msg *trp_backend_text_msg(
    struct troupe_ctx *ctx, uint16_t type, struct troupe_buf *buf, uint32_t offset, uint32_t len)
{
    struct troupe_msg *msg =
        troupe_msg_new_buf(ctx, type, (uint32_t)sizeof(struct trp_backend_text), buf);
    if (msg == NULL) {
        troupe_buf_release(buf);
        return NULL;
    }
    struct trp_backend_text *text = troupe_msg_data(msg);
    text->offset = offset;
    text->len = len;
    return msg;
}

struct troupe_span trp_backend_text_span(const struct troupe_msg *msg)
{
    const struct trp_backend_text *text = troupe_msg_data(msg);
    return troupe_span(text->buf->data + text->offset, text->len);
}
