#ifndef ACTORS_MCP_GIVE_UP_H
#define ACTORS_MCP_GIVE_UP_H

#include "actors/mcp/service.h"

/* Reserves the actors behind trp_mcp_service_give_up. TROUPE_OK or TROUPE_ENOMEM. Startup. */
enum troupe_status trp_mcp_enders_spawn(struct trp_mcp_service *service) TROUPE_MUST_USE;

#endif
