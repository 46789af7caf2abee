#ifndef TRP_PROCESS_SPAWNER_MAIN_H
#define TRP_PROCESS_SPAWNER_MAIN_H

/** The spawner's own side: only spawner_client.c, which forks it, and its child code need this. */

#include <signal.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "io/process/spawner.h"

struct trp_spawner_state;

/**
 * All memory the spawner will ever use, made before the fork so that its failure can be reported.
 *
 * @param[in] children_max  1..TRP_SPAWN_CHILDREN_MAX
 * @return NULL when out of memory
 */
struct trp_spawner_state *trp_spawner_state_create(uint32_t children_max);
void trp_spawner_state_destroy(struct trp_spawner_state *state);

/**
 * The life of the spawner process. Expects all signals blocked.
 *
 * @param[in] socket_fd  its end of the socket pair; every other descriptor but 2 is closed
 */
_Noreturn void trp_spawner_run(struct trp_spawner_state *state, int socket_fd);

/** What a forked child needs to become the program; all descriptors are above 2. */
struct trp_spawn_launch {
    int stdin_fd;
    int stdout_fd;
    int stderr_fd; /* -1: keep the spawner's */
    int error_fd;  /* close-on-exec: tells success by its end, failure by a trp_spawn_failure */
    pid_t spawner_pid;
    struct rlimit files; /* the limit of descriptors to give back */
    char *const *argv;
    char *const *environment;
    const char *cwd; /* or NULL */
};

/** What the child writes when it could not become the program; fits one atomic pipe write. */
struct trp_spawn_failure {
    int32_t error;
    char text[TRP_SPAWN_TEXT_MAX];
};

/** Runs in the forked child. */
_Noreturn void trp_spawn_exec(const struct trp_spawn_launch *launch);

#endif
