#ifndef ACTORS_SERVER_RELAY_COMMAND_H
#define ACTORS_SERVER_RELAY_COMMAND_H

/** `troupe relay --listen ADDR:PORT`: the relay alone. */

#include "actors/server/options.h"

/** Runs until SIGTERM; the exit code. Threads: the program's first. */
int trp_relay_command_run(const struct trp_options *options);

#endif
