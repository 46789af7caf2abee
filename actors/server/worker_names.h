#ifndef ACTORS_SERVER_WORKER_NAMES_H
#define ACTORS_SERVER_WORKER_NAMES_H

/** Worker numbers in the log: lines that a worker writes carry worker=N. */

#include <troupe/pool.h>

/**
 * Has each worker of the pool name its thread for the log. Before all other actors, so that their
 * init is covered, too.
 *
 * @return TROUPE_OK; TROUPE_ENOMEM (the pool must not be started then)
 * Threads: startup
 */
enum troupe_status trp_worker_names_set(struct troupe_pool *pool) TROUPE_MUST_USE;

#endif
