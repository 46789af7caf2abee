#ifndef ACTORS_RELAY_CONNECTION_H
#define ACTORS_RELAY_CONNECTION_H

/* One client of the relay: an actor, sole owner of its WebSocket. */

#include "actors/relay/shard.h"

struct trp_relay_conn {
    struct trp_ws_conn ws;
    struct trp_relay_shard *shard;
    struct trp_relay_conn *next; /* all connections of the shard */
    struct trp_relay_conn **pprev;
    troupe_ref ref;
    struct trp_relay_sub *subs; /* newest first */
    uint32_t sub_count;
    uint32_t sub_bytes;
    uint32_t replay_count;    /* subscriptions whose stored events are still being sent */
    uint32_t bad_count;       /* unreadable messages in a row */
    struct troupe_timer step; /* when STEP could not be sent */
    struct troupe_msg note;   /* from the shard: the relay stops */
    bool is_step_pending;
    bool is_overrun; /* its mailbox was full: to be closed */
    bool is_gone;    /* the WebSocket is over */
};

/* Spawned by the listener with a struct trp_accept; user is the struct trp_relay_shard. */
extern const struct troupe_actor_type trp_relay_connection_type;

/* Sends a short message; a connection that cannot take it is closed. */
void trp_relay_conn_send(struct troupe_ctx *ctx,
                         struct trp_relay_conn *conn,
                         const struct trp_text *text);

/* The subscription of that id, NULL when there is none. */
struct trp_relay_sub *trp_relay_conn_find(struct trp_relay_conn *conn, struct troupe_span id);

/* Takes over a subscription: it is added, its stored events follow, then EOSE, then live ones. */
void trp_relay_conn_open_sub(struct troupe_ctx *ctx,
                             struct trp_relay_conn *conn,
                             struct trp_relay_sub *sub);

void trp_relay_conn_close_sub(struct trp_relay_conn *conn, struct trp_relay_sub *sub);

/* Closes the connection with 1008; its subscriptions go at once. */
void trp_relay_conn_expel(struct troupe_ctx *ctx, struct trp_relay_conn *conn, const char *why);

/* What the connections' WebSockets call. */
void trp_relay_ws_callbacks(struct trp_ws_callbacks *callbacks);

/* --- commands.c --- */

/* A text message of the client. payload: 64 readable bytes behind it. */
void trp_relay_command(struct troupe_ctx *ctx,
                       struct trp_relay_conn *conn,
                       struct troupe_span payload);

/* Counts an unreadable message and says so; too many in a row end the connection. */
void trp_relay_complain(struct troupe_ctx *ctx, struct trp_relay_conn *conn, const char *what);

#endif
