#ifndef ACTORS_MCP_LINES_H
#define ACTORS_MCP_LINES_H

/*
 * Cutting a byte stream into lines. A line that came in one piece is copied once; one that came in
 * several is gathered in a buffer that grows up to the limit.
 */

#include "actors/mcp/outbox.h"

struct trp_mcp_lines {
    struct troupe_buf *partial; /* the line so far, without its end; NULL = none */
    uint32_t bytes_max;
};

/* A line as a buffer of its own (the callee's), without line end; never empty. */
typedef void (*trp_mcp_line_cb)(struct troupe_ctx *ctx, void *arg, struct troupe_buf *line);

/*
 * TROUPE_OK; TROUPE_ETOOLARGE when a line is longer than the limit; TROUPE_ENOMEM. After an error
 * only fini is allowed.
 */
enum troupe_status trp_mcp_lines_feed(struct troupe_ctx *ctx,
                                      struct trp_mcp_lines *lines,
                                      struct troupe_span bytes,
                                      trp_mcp_line_cb line_cb,
                                      void *arg) TROUPE_MUST_USE;
void trp_mcp_lines_fini(struct trp_mcp_lines *lines);

#endif
