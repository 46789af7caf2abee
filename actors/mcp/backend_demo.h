#ifndef ACTORS_MCP_BACKEND_DEMO_H
#define ACTORS_MCP_BACKEND_DEMO_H

/*
 * builtin:demo, an MCP server as an actor: initialize, ping, tools/list, tools/call with the tools
 *
 *   echo {message}        the message verbatim
 *   sleep {ms}            "slept N" after that time; many at once, can be cancelled
 *   add {a,b}             the sum, printed as JavaScript does
 *   count {}              {"count":n}, n = calls to this instance so far
 *   whoami {}             {"client":HEX,"worker":n,"instance":n}
 *   progress {steps,ms}   a progress notification every ms when a token is given, then a text
 *   fail {}               a result with isError
 */

#include "actors/mcp/backend.h"

struct trp_mcp_service;

extern const struct troupe_actor_type trp_mcp_demo_type; /* backend_state = the service */

/* Limits of the demo. */
#define TRP_MCP_DEMO_TASKS_MAX 10000u    /* sleeping and progressing calls of one instance */
#define TRP_MCP_DEMO_MS_MAX    86400000u /* of one sleep or step */
#define TRP_MCP_DEMO_STEPS_MAX 100000u

#endif
