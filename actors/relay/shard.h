#ifndef ACTORS_RELAY_SHARD_H
#define ACTORS_RELAY_SHARD_H

/*
 * The part of the relay that lives on one worker, shared by the actors of that worker only: its
 * shard actor (events from other workers, what could not be sent yet, the end) and its connection
 * actors. They call each other's functions directly where no wire is touched; what a connection has
 * to write reaches it as a message, because it is the sole owner of its wire.
 *
 * Threads: the worker's own, unless a function says otherwise.
 */

#include "actors/relay/relay.h"
#include "actors/relay/store.h"
#include "actors/relay/subscriptions.h"

#include "io/codec/json.h"
#include "io/net/listener.h"
#include "io/net/ws_conn.h"
#include "mailbox/atomic.h"

/* Messages of the relay's actors. */
enum {
    TRP_RELAY_MSG_EVENT = 1,   /* to a shard, from another worker: struct troupe_buf * */
    TRP_RELAY_MSG_DELIVER = 2, /* to a connection: struct trp_relay_deliver */
    TRP_RELAY_MSG_RETRY = 3,   /* a shard's timer */
    TRP_RELAY_MSG_STEP = 4,    /* a connection's next piece of stored events */
};

struct trp_relay_deliver {
    struct troupe_buf *packet;
    uint64_t serial; /* of the subscription */
};

/* A message that waits for room at another worker. */
struct trp_relay_waiting {
    struct troupe_msg *msg;
    uint32_t worker;
};

struct trp_relay_conn;

struct trp_relay_shard {
    struct trp_relay *relay;
    uint32_t worker;
    troupe_ref ref;
    troupe_ref listener;
    bool
        is_open; /* between start and stop of the shard actor; others publish on this worker only */
    struct trp_json_parser *parser;
    struct trp_nostr_crypto *crypto;
    struct trp_relay_store *store;
    struct trp_relay_subs *subs;
    struct trp_relay_conn *conns;
    uint64_t last_serial;
    struct trp_relay_waiting *outbox; /* ring */
    uint32_t outbox_first;
    uint32_t outbox_count;
    struct troupe_msg note; /* to the shard actor: look at the outbox */
    bool is_note_posted;
    struct trp_listener_config listener_config;
    struct trp_relay_stats stats; /* single writer: this worker; read relaxed */
} __attribute__((aligned(TRP_CACHE_LINE)));

struct trp_relay {
    struct trp_relay_config config; /* texts in it belong to the relay */
    struct trp_ws_config ws_config;
    struct trp_listener_set listeners;
    char url[160];
    char tap_hex[2 * TRP_NOSTR_PUBKEY_LEN];
    char *info; /* the NIP-11 document */
    size_t info_len;
    uint32_t worker_count;
    uint32_t connections; /* atomic: all workers, against connections_max */
    struct trp_relay_shard *shards;
};

/* Counts; single writer, partner trp_relay_stats. */
static inline void trp_relay_count(uint64_t *counter, uint64_t delta)
{
    trp_store_relaxed_u64(counter, *counter + delta);
}

enum trp_relay_verdict {
    TRP_RELAY_ACCEPTED,
    TRP_RELAY_DUPLICATE,
    TRP_RELAY_OUTDATED,
    TRP_RELAY_DELETED,
    TRP_RELAY_BUSY,
    TRP_RELAY_NO_MEMORY,
    TRP_RELAY_STOPPED,
};

/*
 * Brings a verified event in: store, own subscriptions, all other shards; all of it or nothing.
 * The packet stays the caller's.
 */
enum trp_relay_verdict
trp_relay_accept(struct troupe_ctx *ctx, struct trp_relay_shard *shard, struct troupe_buf *packet);

/* arg of its spawn: struct trp_relay_shard. */
extern const struct troupe_actor_type trp_relay_shard_type;

/* --- info.c --- */

/* Writes the NIP-11 document; measures when text has no storage. */
void trp_relay_info_write(struct trp_text *text, const struct trp_relay_config *config);

#endif
