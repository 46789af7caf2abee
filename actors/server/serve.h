#ifndef ACTORS_SERVER_SERVE_H
#define ACTORS_SERVER_SERVE_H

/** `troupe serve`: wires front ends, admission, backends and the embedded relay together. */

#include "actors/server/options.h"

/** Runs until SIGTERM, drains, returns the exit code. Threads: the program's first. */
int trp_serve_run(const struct trp_options *options);

#endif
