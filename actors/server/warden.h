#ifndef ACTORS_SERVER_WARDEN_H
#define ACTORS_SERVER_WARDEN_H

/*
 * The actor that leads the server through its life: it says when it is ready, and takes it down in
 * order - no new events, clients done or out of time, answers flushed, relay closed.
 */

#include "actors/mcp/service.h"
#include "actors/nostr/front.h"
#include "actors/relay/relay.h"
#include "actors/server/control.h"
#include "actors/server/options.h"

enum {
    TRP_WARDEN_MSG_RELAY_READY = 1, /* a relay answered the first subscription */
    TRP_WARDEN_MSG_TERMINATE = 2,   /* SIGTERM */
};

/* The parts of a running server; built by serve.c, read-only while the pool runs. */
struct trp_server {
    const struct trp_options *options;
    struct troupe_pool *pool;
    struct trp_spawner spawner;
    bool has_spawner;
    struct trp_mcp_service *mcp;
    struct trp_nostr_front *front;
    struct trp_relay *relay; /* embedded, NULL without */
    struct trp_control control;
    troupe_ref warden;
    uint32_t has_failed; /* 1 = it ends because it must, not because it was told to; any thread */
    const char *relay_urls[TRP_OPTION_RELAYS_MAX + 1]; /* embedded one first */
    uint32_t relay_count;
};

/*
 * Logs the account of the whole run: operators compare it, tests check it. After the pool was
 * joined, so that what was abandoned at the end is in it. Threads: the program's first
 */
void trp_warden_account(const struct trp_server *server);

/* On worker 0; its argument is the struct trp_server. */
extern const struct troupe_actor_type trp_warden_type;

#endif
