#ifndef ACTORS_MCP_FRONTEND_H
#define ACTORS_MCP_FRONTEND_H

/*
 * Where MCP clients come from, as seen by the client actor. A front end (nostr, later http, ws,
 * uds, grpc) verifies who speaks, wraps each JSON-RPC text into a struct trp_mcp_inbound and
 * delivers it through admission; answers come back through its `send`.
 *
 *   front end --trp_mcp_deliver--> admission --> client actor --> backend
 *   front end <------- send ---------------------- client actor <-- backend
 */

#include <troupe/admission.h>

#define TRP_MCP_COOKIE_BYTES 96u

/* Message type of everything a front end delivers. */
enum { TRP_MCP_MSG_INBOUND = 0x100 };

struct trp_mcp_frontend;

/* Where an answer goes; made by the front end, kept with the route, not looked into by others. */
struct trp_mcp_address {
    const struct trp_mcp_frontend *frontend;
    struct troupe_key key;                /* the client */
    uint8_t cookie[TRP_MCP_COOKIE_BYTES]; /* for nostr: request event id, created_at, wrap kind */
};

/* Payload of TRP_MCP_MSG_INBOUND (the message owns buf). */
struct trp_mcp_inbound {
    struct troupe_buf *buf; /* first: released with the message */
    uint32_t text_offset;   /* the JSON-RPC text inside buf; followed by >= 64 readable bytes */
    uint32_t text_len;
    uint64_t session; /* 0 = the client's only session (nostr) */
    struct trp_mcp_address reply_to;
};

enum trp_mcp_outbound {
    TRP_MCP_RESPONSE,     /* the one answer to the request behind the address */
    TRP_MCP_NOTIFICATION, /* tied to that request: progress, or its cookie is of the last message */
    TRP_MCP_BROADCAST,    /* a notification of the client's server, tied to no request */
};

struct trp_mcp_frontend {
    const char *name;
    void *arg;
    /*
     * Sends one JSON-RPC text to a client; called on any worker, inside a handler. The text is
     * borrowed. The front end queues and retries by itself; TROUPE_ETOOLARGE when this client can
     * never get it (the caller then sends a small error instead); other errors are counted by the
     * front end and final.
     */
    enum troupe_status (*send)(struct troupe_ctx *ctx,
                               void *arg,
                               const struct trp_mcp_address *to,
                               enum trp_mcp_outbound kind,
                               struct troupe_span text);
    /* One session per client: a second initialize replaces the backend instance. */
    bool initialize_replaces;
};

struct trp_mcp_service;

/*
 * Wraps and delivers through the service's admission; on failure answers the client itself: busy
 * (-32000 with its own id and data.retryAfterMs) for requests, nothing for notifications. Takes one
 * reference of buf.
 */
void trp_mcp_deliver(struct troupe_ctx *ctx,
                     struct trp_mcp_service *service,
                     const struct trp_mcp_inbound *inbound);

/* refused_cb of the admission configuration (user = the service): busy, or shutting down. */
void trp_mcp_refused(struct troupe_ctx *ctx,
                     void *user,
                     const struct troupe_key *key,
                     struct troupe_msg *msg,
                     enum troupe_status status,
                     uint64_t retry_after_ms);

#endif
