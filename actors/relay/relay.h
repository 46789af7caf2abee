#ifndef ACTORS_RELAY_RELAY_H
#define ACTORS_RELAY_RELAY_H

/*
 * A small Nostr relay: NIP-01, the information document of NIP-11 on the same port, deletion of
 * one's own events (NIP-09). Ephemeral kinds are forwarded and not stored; the rest lives in a
 * bounded store in memory.
 *
 *     trp_relay_config_default(&config); config.address = "127.0.0.1:0"; ...
 *     trp_relay_create(&relay, pool, &config, error, sizeof(error))     before troupe_pool_start
 *     trp_relay_url(relay) -> ws://127.0.0.1:40123
 *     ... trp_relay_publish(ctx, relay, packet), trp_relay_stop(ctx, relay) ...
 *     trp_relay_destroy(relay)                 after troupe_pool_join, before troupe_pool_destroy
 *
 * Each worker has a shard: listener, subscriptions of the worker's own connections, and a replica
 * of the store whose entries are references to shared packets. An event is parsed and verified
 * once, on the worker of the connection it came from, and every shard gets a reference to the one
 * packet (io/codec/nostr_packet.h). Subscriptions are answered by the worker's own replica; the
 * replicas agree once what is under way has arrived.
 *
 * Order: events of one publisher reach each subscription in the order in which they were accepted.
 * A subscription gets each stored event once: what was there when REQ arrived before EOSE (newest
 * first; while that takes long, live events may come between), what came later live.
 *
 * Bounds: everything has one, see the config. What a connection cannot take is not kept for it: it
 * is closed with 1008 and counted (slow).
 */

#include "io/codec/nostr_packet.h"

#include <troupe/pool.h>

struct trp_relay;

/*
 * A verified event that names tap_pubkey in a p tag. Called once per accepted event, on the worker
 * it came in on, inside a turn of some actor of the relay; ctx may be used to send. The packet is
 * borrowed: retain it to keep it. Duplicates of stored events do not come again.
 */
typedef void (*trp_relay_tap_cb)(struct troupe_ctx *ctx,
                                 void *arg,
                                 struct troupe_buf *packet,
                                 const struct trp_nostr_event *event);

struct trp_relay_config {
    const char *address;     /* ADDR:PORT, port 0 = chosen by the system; no default */
    const char *name;        /* NIP-11, UTF-8; "troupe" */
    const char *description; /* NIP-11, UTF-8; "a small Nostr relay" */
    const char *version;     /* NIP-11; NULL = left out */

    uint32_t connections_max;   /* all workers together; 10,000. More are closed at once */
    uint32_t message_bytes_max; /* one message of a client; 524,288. Larger: closed with 1009 */
    uint32_t subs_max;          /* subscriptions of one connection; 64 */
    uint32_t sub_bytes_max;     /* memory they may take together; 1,048,576 */
    uint32_t filters_max;       /* filters in one REQ; 16 */
    uint32_t filter_values_max; /* entries of one list in a filter; 1,000 */
    uint32_t limit_max;         /* stored events for one filter, also without `limit`; 500 */
    uint32_t future_s_max;      /* how far ahead created_at may be, seconds; 900 */
    uint32_t bad_messages_max;  /* unreadable messages in a row before a close with 1008; 100 */
    uint32_t queue_bytes_max;   /* unsent bytes of one connection; 4,194,304 */
    uint32_t queue_events_max;  /* unsent messages of one connection; 4,096 */
    uint32_t outbox_max;        /* events waiting for a busy worker; 8,192. More: OK false */
    uint32_t store_count_max;   /* stored events; 20,000 */
    uint64_t store_bytes_max;   /* stored bytes; 64 MiB */
    uint64_t ping_after_ns;     /* silence before a ping; 30 s */
    uint64_t dead_after_ns;     /* silence before the end; 75 s */
    uint64_t seed;              /* of the hash tables; 0 = from the system */

    trp_relay_tap_cb tap_cb; /* optional */
    void *tap_arg;
    uint8_t tap_pubkey[TRP_NOSTR_PUBKEY_LEN];
};

void trp_relay_config_default(struct trp_relay_config *config);

/*
 * Binds the port and reserves shards and listeners on all workers. config is copied, the texts in
 * it too.
 *
 * TROUPE_OK; TROUPE_EINVAL (a value out of range, a path as address), TROUPE_EEXIST (address in
 * use), TROUPE_EIO, TROUPE_ENOMEM, with error telling cause and remedy. On an error nothing of the
 * relay will run; the pool itself must then be destroyed, not started.
 * Threads: startup
 */
enum troupe_status trp_relay_create(struct trp_relay **relay,
                                    struct troupe_pool *pool,
                                    const struct trp_relay_config *config,
                                    char *error,
                                    size_t error_cap) TROUPE_MUST_USE;

/* ws://ADDR:PORT with the real port. Threads: any */
const char *trp_relay_url(const struct trp_relay *relay);

/*
 * Brings an own, signed event into the relay from any actor: stored and forwarded as if a client
 * had sent it, but neither verified nor tapped. The packet stays the caller's reference.
 *
 * TROUPE_OK (also when it is a duplicate); TROUPE_EBUSY when another worker cannot take it now,
 * nobody got it then; TROUPE_ECLOSED before start and after stop; TROUPE_ENOMEM
 */
enum troupe_status trp_relay_publish(struct troupe_ctx *ctx,
                                     struct trp_relay *relay,
                                     struct troupe_buf *packet) TROUPE_MUST_USE;

/*
 * Stops it: no connection is accepted any more, all are closed with 1001, stored events are
 * forgotten. Over when trp_relay_stats says connections 0. From any actor; a second call is fine.
 */
void trp_relay_stop(struct troupe_ctx *ctx, struct trp_relay *relay);

/* Frees it; the pool must be joined or never started, and not destroyed yet. NULL is a no-op. */
void trp_relay_destroy(struct trp_relay *relay);

#define TRP_RELAY_STATS(X)                                                                         \
    X(connections)    /* open now */                                                               \
    X(connected)      /* ever */                                                                   \
    X(refused)        /* over connections_max */                                                   \
    X(subscriptions)  /* open now */                                                               \
    X(events)         /* EVENT messages */                                                         \
    X(accepted)       /* of these and of trp_relay_publish: went to the shards */                  \
    X(published)      /* accepted from trp_relay_publish */                                        \
    X(duplicates)     /* stored already, or an older version */                                    \
    X(malformed)      /* not an event, over a limit, or too far ahead */                           \
    X(bad_ids)        /* id is not the hash */                                                     \
    X(bad_signatures) /* */                                                                        \
    X(busy)           /* refused because a worker could not take more */                           \
    X(requests)       /* REQ messages */                                                           \
    X(bad_requests)   /* answered CLOSED */                                                        \
    X(bad_messages)   /* answered NOTICE */                                                        \
    X(replayed)       /* stored events sent */                                                     \
    X(delivered)      /* live events sent */                                                       \
    X(slow)           /* connections closed because they did not keep up */                        \
    X(abusive)        /* connections closed because of bad_messages_max */                         \
    X(tapped)         /* events handed to tap_cb */

struct trp_relay_stats {
#define TRP_RELAY_STAT(name) uint64_t name;
    TRP_RELAY_STATS(TRP_RELAY_STAT)
#undef TRP_RELAY_STAT
    uint64_t stored;       /* events in the largest replica */
    uint64_t stored_bytes; /* of the largest replica */
};

/* Sums over the workers, a relaxed snapshot. Threads: any */
void trp_relay_stats(const struct trp_relay *relay, struct trp_relay_stats *stats);

#endif
