#ifndef ACTORS_MCP_BACKEND_STDIO_H
#define ACTORS_MCP_BACKEND_STDIO_H

/*
 * stdio:COMMAND, an MCP server in a child process: one actor per instance owns the pipes. One JSON
 * text per line both ways; lines of its standard error go to our log. Lines of the child that are
 * no JSON-RPC are skipped and counted; one over the limit ends the instance. What is sent before
 * the child runs waits in order; when the child does not read, requests are answered busy.
 *
 * After the child's end its output is read to the end before DOWN is sent.
 */

#include "actors/mcp/backend.h"

extern const struct troupe_actor_type trp_mcp_stdio_type; /* backend_state = the service */

#endif
