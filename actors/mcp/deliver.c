/* The way in: wrapping what front ends bring, and answering what admission refuses. */

#include "actors/mcp/client_parts.h"

#include "actors/core/log.h"

static const char shutting_down[] = "Server is shutting down";

/* What the client is told, and what the operator reads. */
struct refusal {
    const char *message;
    const char *reason;
    int64_t retry_ms;
};

/* Tells the sender of a request that it was not taken; nobody is told about anything else. */
static void refuse(struct troupe_ctx *ctx,
                   struct trp_mcp_service *service,
                   const struct trp_mcp_inbound *inbound,
                   const struct refusal *refusal)
{
    struct trp_mcp_worker *worker = trp_mcp_here(service, ctx);
    struct trp_mcp_text text;
    struct troupe_span bytes =
        troupe_span(inbound->buf->data + inbound->text_offset, inbound->text_len);
    if (!trp_mcp_text_read(worker, &text, bytes, bytes.len + TROUPE_BUF_PADDING) ||
        text.rpc.kind == TRP_JSONRPC_INVALID) {
        trp_mcp_count(worker, dropped_invalid);
        return;
    }
    struct troupe_span id = trp_jsonrpc_raw(&text.doc, text.rpc.id);
    if (text.rpc.kind == TRP_JSONRPC_REQUEST && id.len <= TRP_MCP_ID_MAX) {
        trp_mcp_count(worker, refused_admission);
        trp_log_warn("request refused", trp_log_client(inbound->reply_to.key.bytes),
                     trp_log_str("reason", refusal->reason));
        trp_mcp_send_error(ctx, worker, &inbound->reply_to, id, -32000, refusal->message,
                           refusal->retry_ms);
    } else if (text.rpc.kind == TRP_JSONRPC_RESPONSE) {
        trp_mcp_count(worker, dropped_responses);
    } else {
        trp_mcp_count(worker, dropped_notes);
    }
}

void trp_mcp_deliver(struct troupe_ctx *ctx,
                     struct trp_mcp_service *service,
                     const struct trp_mcp_inbound *inbound)
{
    enum troupe_status status = TROUPE_EBUSY;
    struct troupe_msg *msg =
        troupe_msg_new_buf(ctx, TRP_MCP_MSG_INBOUND, (uint32_t)sizeof(*inbound), inbound->buf);
    if (msg != NULL) {
        *(struct trp_mcp_inbound *)troupe_msg_data(msg) = *inbound;
        status = troupe_admission_deliver(ctx, service->admission, &inbound->reply_to.key, &msg);
        if (status == TROUPE_OK) {
            return;
        }
    }
    struct refusal refusal = {shutting_down, shutting_down, TRP_JSONRPC_NO_RETRY};
    if (status == TROUPE_EBUSY || status == TROUPE_ENOMEM) {
        refusal = (struct refusal){troupe_status_text(TROUPE_EBUSY),
                                   status == TROUPE_EBUSY ? "mailbox full" : "out of memory",
                                   (int64_t)trp_mcp_retry_after(ctx, service)};
    }
    refuse(ctx, service, inbound, &refusal);
    if (msg != NULL) {
        troupe_msg_free(ctx, msg); /* with the buffer */
    } else {
        troupe_buf_release(inbound->buf);
    }
}

void trp_mcp_refused(struct troupe_ctx *ctx,
                     void *user,
                     const struct troupe_key *key,
                     struct troupe_msg *msg,
                     enum troupe_status status,
                     uint64_t retry_after_ms)
{
    (void)key;
    struct refusal refusal = {shutting_down, shutting_down, TRP_JSONRPC_NO_RETRY};
    if (status != TROUPE_ECLOSED) {
        refusal = (struct refusal){troupe_status_text(TROUPE_EBUSY), "no place for the client",
                                   (int64_t)retry_after_ms};
    }
    refuse(ctx, user, troupe_msg_data(msg), &refusal);
}
