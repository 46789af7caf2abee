#ifndef TESTS_UNIT_MCP_ODD_BACKEND_H
#define TESTS_UNIT_MCP_ODD_BACKEND_H

/*
 * A backend that does what its requests' methods say:
 *
 *   odd/mute      never answers
 *   odd/twice     answers twice
 *   odd/stranger  an answer to nobody, progress of nobody, something that is no JSON-RPC; answers
 *   odd/big       answers with 100,000 bytes
 *   odd/down      ends with DOWN
 *   odd/fail      answers, then fails without DOWN
 *   odd/notify    a notification, then answers
 *   odd/ask       asks the client twice; odd/asked answers with the replies
 *   odd/tick      progress every 3 s, four times, then answers
 *   odd/cancels   answers with the number of cancels seen
 *   odd/params    answers with the parameters as they came
 */

#include "actors/mcp/backend.h"

extern const struct troupe_actor_type odd_backend_type;

#endif
