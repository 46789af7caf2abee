#ifndef TESTS_UNIT_NOSTR_STUBS_H
#define TESTS_UNIT_NOSTR_STUBS_H

/* What the front end meets on the other side: admission's placement and the MCP layer. */

#include "actors/mcp/frontend.h"

/* Receives what trp_mcp_deliver gets; releases inbound->buf. */
extern void (*nostr_stub_deliver)(struct troupe_ctx *ctx,
                                  struct trp_mcp_service *service,
                                  const struct trp_mcp_inbound *inbound);

/* The home of every key. */
extern uint32_t nostr_stub_home;

#endif
