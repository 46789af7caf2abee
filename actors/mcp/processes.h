#ifndef ACTORS_MCP_PROCESSES_H
#define ACTORS_MCP_PROCESSES_H

/*
 * The process manager: one actor on worker 0 that owns the spawner's socket. Instances ask it for a
 * child of the service's command and hear what became of it. It keeps the limits (processes alive,
 * starting at a time, time to start, time to wait) and the backoff of the command.
 *
 *   instance -> manager  TRP_PROC_MSG_START    a child, please
 *                        TRP_PROC_MSG_KILL     end it at once
 *   manager -> instance  TRP_PROC_MSG_STARTED  it runs; take its descriptors
 *                        TRP_PROC_MSG_FAILED   it does not; nothing else follows
 *                        TRP_PROC_MSG_EXITED   after STARTED: it is gone
 *
 * The manager watches the instance: when that ends, the child gets SIGTERM, and SIGKILL after the
 * grace. Messages travel on the reply lane and are never refused.
 *
 * Descriptors stay in the manager's record until the instance takes them; a record is not reused
 * before its instance is dead, so none is lost whoever dies when.
 */

#include "actors/mcp/backend.h"
#include "io/process/spawner.h"

enum {
    TRP_PROC_MSG_START = 0x280,
    TRP_PROC_MSG_KILL = 0x281,
    TRP_PROC_MSG_STARTED = 0x282,
    TRP_PROC_MSG_FAILED = 0x283, /* payload struct trp_backend_down */
    TRP_PROC_MSG_EXITED = 0x284, /* payload struct trp_backend_down */
};

struct trp_mcp_service;
struct trp_processes;
struct trp_process; /* a record */

/* Payload of KILL. */
struct trp_process_kill {
    uint64_t id;
    bool is_fault; /* it misbehaved: counts like a crash */
};

/* Payload of STARTED. */
struct trp_process_started {
    uint64_t id;
    struct trp_process *process; /* valid while the instance lives */
    pid_t pid;
};

/* Reserves the actor; before the pool starts. NULL when out of memory. */
struct trp_processes *trp_processes_create(struct trp_mcp_service *service,
                                           struct trp_spawner *spawner);
/* Closes descriptors that nobody took. After the pool has joined. */
void trp_processes_destroy(struct trp_processes *processes);

/* Asks for a child for the running actor. False when out of memory. */
bool trp_processes_start(struct troupe_ctx *ctx, struct trp_processes *processes);
/* See KILL. Without memory it does nothing: the end of the instance has the same effect later. */
void trp_processes_kill(struct troupe_ctx *ctx,
                        struct trp_processes *processes,
                        uint64_t id,
                        bool is_fault);

/* Takes a descriptor (0, 1 or 2) of a started child; -1 when it has none. Threads: any. */
int trp_process_take_fd(struct trp_process *process, unsigned which);

/* Now; threads: any, relaxed. */
void trp_processes_counts(const struct trp_processes *processes,
                          uint32_t *alive,
                          uint32_t *peak,
                          uint32_t *waiting);

#endif
