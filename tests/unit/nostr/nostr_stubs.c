#include "nostr_stubs.h"

void (*nostr_stub_deliver)(struct troupe_ctx *ctx,
                           struct trp_mcp_service *service,
                           const struct trp_mcp_inbound *inbound);
uint32_t nostr_stub_home;

void trp_mcp_deliver(struct troupe_ctx *ctx,
                     struct trp_mcp_service *service,
                     const struct trp_mcp_inbound *inbound)
{
    nostr_stub_deliver(ctx, service, inbound);
}

uint32_t troupe_admission_home(const struct troupe_admission *admission,
                               const struct troupe_key *key)
{
    (void)admission;
    (void)key;
    return nostr_stub_home;
}
