#ifndef ACTORS_MCP_SHARED_H
#define ACTORS_MCP_SHARED_H

/*
 * --backend-mode shared: one backend instance for all clients. An actor between the clients and the
 * instance: clients use it as their instance, for the instance it is the user. Route numbers are
 * unique in the server run, so answers and progress find their client by number.
 *
 * The server is initialized once, by us; each client's `initialize` is answered with the same
 * result. Other notifications of clients than cancels do not reach the server. Notifications of the
 * server go to every client that has sent notifications/initialized. When the instance ends, open
 * requests are answered -32603 and it is started again with backoff; clients stay.
 */

#include "actors/mcp/backend.h"

extern const struct troupe_actor_type trp_mcp_shared_type; /* arg: pointer to the service's */

#endif
