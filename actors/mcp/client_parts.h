#ifndef ACTORS_MCP_CLIENT_PARTS_H
#define ACTORS_MCP_CLIENT_PARTS_H

/*
 * The parts of the client actor: client.c (life, sessions, routes), client_in.c (what the client
 * sends), client_out.c (what its backend sends).
 */

#include "actors/mcp/outbox.h"
#include "actors/mcp/service.h"
#include "io/codec/jsonrpc.h"

#define TRP_MCP_SESSIONS_MAX 8u

enum {
    TRP_MCP_MSG_TIMER = 0x110,   /* the oldest route may be due */
    TRP_MCP_MSG_GONE = 0x111,    /* monitor: an instance ended; payload struct troupe_down */
    TRP_MCP_MSG_CHECK = 0x112,   /* to itself behind the instance's last texts; payload its ref */
    TRP_MCP_MSG_GIVE_UP = 0x113, /* the server ends: answer what is open; no payload */
};

/* One MCP session of the client with a backend instance of its own. */
struct trp_mcp_session {
    uint64_t id; /* of the front end */
    troupe_ref instance;
    bool is_used;
    bool is_initialized;         /* notifications/initialized was seen */
    struct trp_mcp_address last; /* of its newest message: where broadcasts go */
};

struct trp_mcp_client {
    struct trp_mcp_service *service;
    struct trp_mcp_worker *worker;
    struct troupe_client *record;
    struct troupe_key key;
    struct trp_mcp_session sessions[TRP_MCP_SESSIONS_MAX];
    struct trp_mcp_route_list waiting;
    struct trp_mcp_route_list running;  /* by due time */
    struct trp_mcp_route_list canceled; /* by due time */
    uint32_t waiting_bytes;
    bool is_leaving;
    struct troupe_timer timer;
    struct trp_mcp_early_cancels early;
};

/* One text in hand: the document lives in the worker's parser. */
struct trp_mcp_text {
    struct troupe_span bytes;
    struct trp_json_doc doc;
    struct trp_jsonrpc rpc;
};

/* Parses; readable as trp_json_read. False when it is no JSON; rpc.kind may still be INVALID. */
bool trp_mcp_text_read(struct trp_mcp_worker *worker,
                       struct trp_mcp_text *text,
                       struct troupe_span bytes,
                       size_t readable);

/* --- client.c --- */

/* Sends an error to an address. retry_ms negative = no hint. */
void trp_mcp_send_error(struct troupe_ctx *ctx,
                        struct trp_mcp_worker *worker,
                        const struct trp_mcp_address *to,
                        struct troupe_span id,
                        int code,
                        const char *message,
                        int64_t retry_ms);

struct trp_mcp_route_list *trp_mcp_client_list(struct trp_mcp_client *client,
                                               const struct trp_mcp_route *route);

/* Ends a route: frees it, gives its hold back. Answering comes first. */
void trp_mcp_client_close(struct troupe_ctx *ctx,
                          struct trp_mcp_client *client,
                          struct trp_mcp_route *route);

/* Hands a RUNNING or WAITING route to its instance. False: it was answered and closed. */
bool trp_mcp_client_start(struct troupe_ctx *ctx,
                          struct trp_mcp_client *client,
                          struct trp_mcp_route *route);

/* Starts what waits, as far as there is room. */
void trp_mcp_client_pump(struct troupe_ctx *ctx, struct trp_mcp_client *client);

/* Sends the backend a cancel for a route. */
void trp_mcp_client_tell_cancel(struct troupe_ctx *ctx,
                                struct trp_mcp_client *client,
                                const struct trp_mcp_route *route,
                                const char *reason);

/* Sets a route's due time and sees that the timer fires by then. */
void trp_mcp_client_arm(struct troupe_ctx *ctx,
                        struct trp_mcp_client *client,
                        struct trp_mcp_route *route,
                        uint64_t after_ns);

/* Answers every route of a session with an error and closes it. */
void trp_mcp_client_fail_session(struct troupe_ctx *ctx,
                                 struct trp_mcp_client *client,
                                 uint32_t session,
                                 const struct trp_backend_down *down);

/* Makes sure that a session has an instance. */
enum troupe_status
trp_mcp_client_spawn(struct troupe_ctx *ctx, struct trp_mcp_client *client, uint32_t session);

/* --- client_in.c --- */
void trp_mcp_client_inbound(struct troupe_ctx *ctx,
                            struct trp_mcp_client *client,
                            const struct trp_mcp_inbound *inbound);

/* --- client_out.c --- */
void trp_mcp_client_outbound(struct troupe_ctx *ctx,
                             struct trp_mcp_client *client,
                             const struct troupe_msg *msg);

/* The answer to a request that a server sent towards its client; NULL when out of memory. */
struct troupe_msg *trp_mcp_answer_server(struct troupe_ctx *ctx, const struct trp_mcp_text *text);

#endif
