#ifndef ACTORS_MCP_OUTBOX_H
#define ACTORS_MCP_OUTBOX_H

/*
 * Sending that must not lose: messages that a full mailbox refuses wait here, in order, and are
 * tried again every millisecond. Lives in the state of the sending actor (zeroed = empty), which
 * hands every TRP_MCP_MSG_OUTBOX to trp_mcp_outbox_retry and stops producing while
 * trp_mcp_outbox_is_blocked.
 */

#include "actors/mcp/backend.h"

enum { TRP_MCP_MSG_OUTBOX = 0x2F0 };

struct trp_mcp_outbox {
    struct troupe_timer timer;
    struct troupe_msg *head;
    struct troupe_msg *tail;
    uint32_t count;
};

/* Takes the message. One to a dead actor or a stopping pool is freed. */
void trp_mcp_outbox_send(struct troupe_ctx *ctx,
                         struct trp_mcp_outbox *outbox,
                         troupe_ref to,
                         struct troupe_msg *msg);

/* On TRP_MCP_MSG_OUTBOX. */
void trp_mcp_outbox_retry(struct troupe_ctx *ctx, struct trp_mcp_outbox *outbox);

static inline bool trp_mcp_outbox_is_blocked(const struct trp_mcp_outbox *outbox)
{
    return outbox->head != NULL;
}

/* Frees what waits. */
void trp_mcp_outbox_fini(struct troupe_ctx *ctx, struct trp_mcp_outbox *outbox);

/* --- texts --- */

/*
 * Room for a text of `cap` bytes and one more; NULL when out of memory. Write into
 * buf->data, set buf->size, then trp_backend_text_send.
 */
struct troupe_buf *trp_backend_text_buf(struct troupe_ctx *ctx, size_t cap) TROUPE_MUST_USE;

/* A SEND or TEXT message around a buffer (taken, also on failure); NULL when out of memory. */
struct troupe_msg *trp_backend_text_msg(struct troupe_ctx *ctx,
                                        uint16_t type,
                                        struct troupe_buf *buf,
                                        uint32_t offset,
                                        uint32_t len) TROUPE_MUST_USE;

/* The text of a SEND or TEXT message. */
struct troupe_span trp_backend_text_span(const struct troupe_msg *msg);

#endif
