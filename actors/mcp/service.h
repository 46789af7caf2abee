#ifndef ACTORS_MCP_SERVICE_H
#define ACTORS_MCP_SERVICE_H

/*
 * The MCP service of a pool: admission with a client actor per client, and the backend behind them.
 *
 *     trp_mcp_service_create   before troupe_pool_start: reserves admission, the process manager
 *                              and the shared backend
 *     trp_mcp_deliver          front ends, on any worker
 *     trp_mcp_service_destroy  after troupe_pool_join, before troupe_pool_destroy
 *
 * Policies that the texts leave open:
 * - A request that its client cancels gets no answer, as MCP asks. Its route stays, as does the
 *   hold, until the backend answers or 10 s have passed, because the backend may still be at work.
 *   `initialize` cannot be cancelled.
 * - Two running requests with equal ids of one client are both served; a cancel means the newest.
 * - Requests of a server towards its client are answered by us: ping with {}, others -32601, for
 *   no front end can carry them yet.
 * - While a command is in backoff, requests are answered -32603 with data.retryAfterMs at once;
 *   when no process place came free within 30 s, -32000 (busy).
 * - A notification never starts a backend instance.
 * - With a child process per client the capacity is at most backend_max, so that a client waits in
 *   admission's queue, where idle clients make room, and not for a process.
 */

#include "actors/mcp/backend.h"
#include "actors/mcp/frontend.h"
#include "actors/mcp/routes.h"
#include "io/codec/json.h"
#include "io/process/command.h"
#include "io/process/spawner.h"

/* Zeroed members = the defaults named. */
struct trp_mcp_config {
    const char *backend;        /* "builtin:demo" or "stdio:COMMAND", cstr; NULL = builtin:demo */
    bool is_shared;             /* one instance for all clients */
    uint32_t running_max;       /* requests of one client at its backend; 0 = 100 */
    uint32_t waiting_max;       /* requests of one client waiting for that; UINT32_MAX = none,
                                   0 = 100 */
    uint32_t waiting_bytes_max; /* their size, one may exceed it; 0 = 8 MiB */
    uint32_t routes_max;        /* of all clients; 0 = 10,000 */
    uint64_t route_timeout_ns;  /* restarted by progress; 0 = 600 s */
    uint64_t cancel_grace_ns;   /* how long a cancelled route stays; 0 = 10 s */
    uint32_t backend_max;       /* processes, ending ones included; 0 = 64 */
    uint32_t starting_max;      /* processes in start at a time; 0 = 4 */
    uint64_t start_timeout_ns;  /* for a process to start, and to wait for its place; 0 = 30 s */
    uint64_t early_ns;          /* ending before that puts the command into backoff; 0 = 10 s */
    uint64_t backoff_first_ns;  /* doubles with each early end; 0 = 500 ms */
    uint64_t backoff_max_ns;    /* 0 = 60 s */
    uint32_t stop_grace_ms;     /* between SIGTERM and SIGKILL; 0 = 2000 */
    uint32_t line_bytes_max;    /* longest line of a child; 0 = 16 MiB, at most 32 MiB */
    uint32_t child_queue_max;   /* bytes waiting for a child that does not read; 0 = 16 MiB */
    uint64_t retry_after_ms;    /* base of hints in refusals, jittered +-50 %; 0 = 1000 */
    /* Optional: no process can ever be started again; called once, inside a handler. */
    void (*spawner_lost_cb)(struct troupe_ctx *ctx, void *arg);
    void *spawner_lost_arg;
};

/* X(name): counters, each of them monotonic. */
#define TRP_MCP_COUNTERS(X)                                                                        \
    X(requests)           /* accepted: each ends in exactly one of the next seven */               \
    X(answered)           /* with the backend's response */                                        \
    X(too_large)          /* answered -32603: the response does not fit its client */              \
    X(timed_out)          /* answered -32603 */                                                    \
    X(failed)             /* answered -32603: the backend ended or was replaced */                 \
    X(busy_late)          /* answered -32000 after acceptance: no process, or it does not read */  \
    X(canceled)           /* by the client: no answer */                                           \
    X(abandoned)          /* its client actor was ended (shutdown) */                              \
    X(refused_client)     /* requests answered -32000: the client has too many */                  \
    X(refused_total)      /* requests answered -32000: too many routes */                          \
    X(refused_admission)  /* requests answered -32000: admission said no */                        \
    X(refused_invalid)    /* answered -32600 */                                                    \
    X(refused_memory)     /* answered -32603: no memory */                                         \
    X(canceled_early)     /* requests whose cancel was there first: no answer */                   \
    X(dropped_invalid)    /* inbound texts that are no JSON-RPC */                                 \
    X(dropped_notes)      /* notifications: refused, too early or without an instance */           \
    X(dropped_responses)  /* sent by clients */                                                    \
    X(dropped_cancels)    /* for unknown or uncancellable requests, no room to remember */         \
    X(notes_in)           /* notifications passed to backends */                                   \
    X(progress)           /* sent to clients */                                                    \
    X(progress_unknown)   /* dropped: no such token */                                             \
    X(broadcasts)         /* other notifications sent to clients */                                \
    X(broadcasts_held)    /* dropped: the client is not initialized */                             \
    X(late)               /* responses to no route */                                              \
    X(server_requests)    /* of backends towards clients, answered here */                         \
    X(backend_invalid)    /* lines or texts of backends that are no JSON-RPC */                    \
    X(instances)          /* backend instances started */                                          \
    X(instances_replaced) /* by a new initialize */                                                \
    X(instances_down)     /* that ended by themselves */                                           \
    X(processes_started)                                                                           \
    X(processes_failed) /* starts that did not work */                                             \
    X(processes_ended)                                                                             \
    X(backoffs)    /* times the command was put into backoff */                                    \
    X(send_errors) /* answers a front end could not take */

struct trp_mcp_stats {
#define TRP_MCP_COUNTER_MEMBER(name) uint64_t name;
    TRP_MCP_COUNTERS(TRP_MCP_COUNTER_MEMBER)
#undef TRP_MCP_COUNTER_MEMBER
    uint32_t routes_open;     /* now */
    uint32_t processes_alive; /* now, starting and ending ones included */
    uint32_t processes_peak;
    uint32_t processes_waiting; /* instances that wait for a place */
};

/* What each worker has for itself. */
struct trp_mcp_worker {
    struct trp_json_parser *parser; /* for the time of one handler */
    struct trp_mcp_route_index routes;
    uint64_t route_counter;
    char *scratch; /* for texts that are only borrowed by send */
    size_t scratch_cap;
    troupe_ref ender;              /* see give_up.h */
    struct trp_mcp_stats counters; /* written by the worker only, read relaxed */
} __attribute__((aligned(64)));

struct trp_processes;

struct trp_mcp_service {
    struct trp_mcp_service *self; /* what init of the shared backend's actor gets */
    struct trp_mcp_config config; /* with defaults filled in */
    struct troupe_pool *pool;
    struct troupe_admission *admission;
    struct trp_mcp_worker *workers; /* one each */
    uint32_t worker_count;
    struct trp_backend backend; /* what clients spawn, or (is_shared) the inner one */
    troupe_ref shared;          /* the shared backend's actor, or TROUPE_NOBODY */
    struct trp_command command; /* of stdio */
    struct trp_processes *processes;
    uint32_t routes_open;   /* all workers: fetch and add */
    uint32_t next_instance; /* the same */
};

/*
 * Builds the service. `admission` gives capacity, queue and so on; client_type, client_user,
 * refused_cb and user are set here (a released_cb, which is optional, gets the service as user).
 * `spawner` is needed for stdio backends only and must outlive the pool.
 *
 * On failure error is a static text of what is wrong. TROUPE_OK; TROUPE_EINVAL (backend text);
 * TROUPE_EUNAVAIL (unknown backend); TROUPE_ENOMEM Threads: startup
 */
enum troupe_status trp_mcp_service_create(struct trp_mcp_service **service,
                                          struct troupe_pool *pool,
                                          const struct trp_mcp_config *config,
                                          const struct troupe_admission_config *admission,
                                          struct trp_spawner *spawner,
                                          const char **error) TROUPE_MUST_USE;
void trp_mcp_service_destroy(struct trp_mcp_service *service);

/*
 * Answers every open request with -32603, "Server is shutting down": for what still runs when a
 * drain has no time left. The clients then have no hold any more and admission can let them go.
 * Threads: in a handler, on any worker
 */
void trp_mcp_service_give_up(struct troupe_ctx *ctx, struct trp_mcp_service *service);

/* Threads: any. A relaxed snapshot. */
void trp_mcp_service_stats(const struct trp_mcp_service *service, struct trp_mcp_stats *stats);

/* --- for the parts of mcp/, inside handlers --- */

static inline struct trp_mcp_worker *trp_mcp_here(struct trp_mcp_service *service,
                                                  struct troupe_ctx *ctx)
{
    return &service->workers[troupe_self_worker(ctx)];
}

/* Counts one: trp_mcp_count(worker, answered). */
#define trp_mcp_count(worker, name) trp_mcp_count_at(&(worker)->counters.name)
void trp_mcp_count_at(uint64_t *counter);

/* Scratch memory of the worker, valid until the next call; NULL when out of memory. */
char *trp_mcp_scratch(struct trp_mcp_worker *worker, size_t size);

/* A jittered hint, milliseconds. */
uint64_t trp_mcp_retry_after(struct troupe_ctx *ctx, const struct trp_mcp_service *service);

/* The number of a new instance. */
uint32_t trp_mcp_next_instance(struct trp_mcp_service *service);

/* The client actor; its client_user is the service. */
extern const struct troupe_actor_type trp_mcp_client_type;

#endif
