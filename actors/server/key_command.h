#ifndef ACTORS_SERVER_KEY_COMMAND_H
#define ACTORS_SERVER_KEY_COMMAND_H

/** `troupe key new|show`. */

#include "actors/server/options.h"

#include <stdio.h>

/**
 * Runs the command: prints the public key (64 hex digits and a newline) to out, or one line saying
 * what went wrong to err. Without --key it works on the default path; `new` makes the directories
 * of the default path, but not those of a path that was given.
 *
 * @return the exit code: 0, or 1 after an error
 * Threads: startup
 */
int trp_key_command_run(const struct trp_options *options, FILE *out, FILE *err);

#endif
