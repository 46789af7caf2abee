#ifndef ACTORS_MCP_ROUTES_H
#define ACTORS_MCP_ROUTES_H

/*
 * Routes: one request of a client on its way through a backend.
 *
 * A route is named by a number of ours, unique in the server run and exact in a double (below
 * 2^53), because servers written in JavaScript read it as one. The number goes to the backend as id
 * and progress token; the route keeps what the client had there, as raw bytes.
 *
 * Each worker has one index (number -> route); a client has three lists. Nothing here is shared.
 */

#include "actors/mcp/frontend.h"

#include <troupe/buf.h>

/* Longest raw id or progress token of a client, bytes. */
#define TRP_MCP_ID_MAX 4096u

enum trp_mcp_route_state {
    TRP_MCP_ROUTE_WAITING,  /* not sent yet: the client has too many running */
    TRP_MCP_ROUTE_RUNNING,  /* the backend has it */
    TRP_MCP_ROUTE_CANCELED, /* the same, but nobody wants the answer */
};

struct trp_mcp_route {
    struct trp_mcp_route *hash_next;
    struct trp_mcp_route *next; /* in the list of its state */
    struct trp_mcp_route *prev;
    struct troupe_buf *memory; /* what this struct lives in */
    struct troupe_buf *text;   /* WAITING: what the backend will get */
    uint64_t number;
    uint64_t due_ns;  /* RUNNING, CANCELED: when it is given up */
    uint64_t id_hash; /* of the client's id, by value */
    troupe_ref owner; /* the client actor */
    uint8_t state;
    uint8_t session; /* index in the client */
    bool is_initialize;
    uint32_t id_len;
    uint32_t token_len; /* 0 = the client wants no progress */
    struct trp_mcp_address reply_to;
    char raw[]; /* id, then token */
};

static inline struct troupe_span trp_mcp_route_id(const struct trp_mcp_route *route)
{
    return troupe_span(route->raw, route->id_len);
}

static inline struct troupe_span trp_mcp_route_token(const struct trp_mcp_route *route)
{
    return troupe_span(route->raw + route->id_len, route->token_len);
}

/* --- numbers --- */

#define TRP_MCP_NUMBER_WORKER_SHIFT 46u

/* The prefix of numbers made by no client: 64 workers use 0 .. 63. */
#define TRP_MCP_NUMBER_OWN ((uint64_t)64 << TRP_MCP_NUMBER_WORKER_SHIFT)

/* The next number of a worker; counter is the worker's own, starting at 0. */
static inline uint64_t trp_mcp_number(uint32_t worker, uint64_t *counter)
{
    *counter = (*counter + 1) & (((uint64_t)1 << TRP_MCP_NUMBER_WORKER_SHIFT) - 1);
    return (uint64_t)worker << TRP_MCP_NUMBER_WORKER_SHIFT | *counter;
}

/* --- index of a worker --- */

struct trp_mcp_route_index {
    struct trp_mcp_route **buckets;
    uint32_t mask;
    uint32_t count;
};

/* size: about how many routes will be open at most. TROUPE_OK or TROUPE_ENOMEM. */
enum troupe_status trp_mcp_route_index_init(struct trp_mcp_route_index *index,
                                            uint32_t size) TROUPE_MUST_USE;
void trp_mcp_route_index_fini(struct trp_mcp_route_index *index);

void trp_mcp_route_index_add(struct trp_mcp_route_index *index, struct trp_mcp_route *route);
void trp_mcp_route_index_remove(struct trp_mcp_route_index *index, struct trp_mcp_route *route);
/* NULL when there is none (any more). */
struct trp_mcp_route *trp_mcp_route_index_find(const struct trp_mcp_route_index *index,
                                               uint64_t number);

/* --- list of a client: oldest first --- */

struct trp_mcp_route_list {
    struct trp_mcp_route *head;
    struct trp_mcp_route *tail;
    uint32_t count;
};

void trp_mcp_route_list_push(struct trp_mcp_route_list *list, struct trp_mcp_route *route);
void trp_mcp_route_list_remove(struct trp_mcp_route_list *list, struct trp_mcp_route *route);
/* The newest route with this id of the client in a session, NULL when there is none. */
struct trp_mcp_route *
trp_mcp_route_list_find(const struct trp_mcp_route_list *list, uint32_t session, uint64_t id_hash);

/* --- cancels that overtook their request --- */

#define TRP_MCP_EARLY_CANCELS   16u
#define TRP_MCP_EARLY_CANCEL_NS UINT64_C(5000000000)

struct trp_mcp_early_cancel {
    uint64_t id_hash;
    uint64_t until_ns; /* 0 = free */
    uint32_t session;
};

struct trp_mcp_early_cancels {
    struct trp_mcp_early_cancel entries[TRP_MCP_EARLY_CANCELS];
};

/* Remembers one; the oldest makes room. */
void trp_mcp_early_cancel_put(struct trp_mcp_early_cancels *cancels,
                              uint32_t session,
                              uint64_t id_hash,
                              uint64_t now_ns);
/* True when the request was cancelled already; forgets it. */
bool trp_mcp_early_cancel_take(struct trp_mcp_early_cancels *cancels,
                               uint32_t session,
                               uint64_t id_hash,
                               uint64_t now_ns);
/* Forgets those of a session. */
void trp_mcp_early_cancel_clear(struct trp_mcp_early_cancels *cancels, uint32_t session);

/*
 * Hash of an id key (trp_jsonrpc_id_key). Only ids of one client are ever compared, so a collision
 * that somebody constructs hurts nobody else.
 */
uint64_t trp_mcp_id_hash(struct troupe_span key);

#endif
