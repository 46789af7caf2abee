#ifndef ACTORS_SERVER_CALL_H
#define ACTORS_SERVER_CALL_H

/**
 * `troupe call --relay URL --server HEX METHOD [PARAMS-JSON]`: one MCP request, for people and
 * scripts.
 */

#include "actors/server/options.h"

/**
 * Connects, sends initialize (unless METHOD is initialize itself) and then the request; prints the
 * result as one line of JSON on standard output. A JSON-RPC error goes to standard error.
 *
 * @return the exit code: 0 answered with a result; 1 error, refusal or timeout; 2 bad PARAMS-JSON
 * Threads: the program's first
 */
int trp_call_run(const struct trp_options *options);

#endif
