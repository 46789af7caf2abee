#ifndef ACTORS_NOSTR_FRONT_H
#define ACTORS_NOSTR_FRONT_H

/*
 * The Nostr front end: MCP clients that speak through relays (ContextVM).
 *
 *   relay ==ws==> relay connection actor --event--> gate actor of the author's home worker
 *                                                     | id, duplicates, signature
 *                                                     v
 *                                              trp_mcp_deliver
 *
 *   client actor --frontend.send--> signed event (one counted buffer) --> every relay connection
 *                                                                    \--> the embedded relay
 *
 * One connection actor per relay URL, round robin over the workers; one gate per worker. Checks
 * come in the order size, kind, addressee, age, global rate (connection); per-key rate, recomputed
 * id, duplicates, signature (gate); admission. Nothing a relay sends touches admission before the
 * signature was verified, and trouble with one relay is never seen by another.
 *
 * Kind 25910 in the clear; gift wraps (1059, 21059) are subscribed to, counted and logged.
 */

#include "actors/mcp/frontend.h"

#include <troupe/pool.h>

#include <stddef.h>

/* Kinds of events that carry MCP. */
enum {
    TRP_NOSTR_KIND_MESSAGE = 25910,
    TRP_NOSTR_KIND_WRAP = 1059,
    TRP_NOSTR_KIND_WRAP_EPHEMERAL = 21059,
};

#define TRP_NOSTR_RELAYS_MAX 16u

enum trp_nostr_encryption {
    TRP_NOSTR_ENCRYPTION_DISABLED,
    TRP_NOSTR_ENCRYPTION_OPTIONAL, /* until wraps can be opened: as disabled, nothing advertised */
    TRP_NOSTR_ENCRYPTION_REQUIRED, /* refused by create until then */
};

/* What the first message to a client tells about the server; each optional (NULL), cstr, UTF-8. */
struct trp_nostr_discovery {
    const char *name;
    const char *about;
    const char *website;
    const char *picture;
};

struct trp_nostr_front_limits {
    uint32_t content_bytes_max; /* content of an event that comes in */
    uint32_t event_bytes_max;   /* JSON text of an event that goes out */
    uint32_t rate;              /* events per second from all clients; 0 = no limit */
    uint32_t rate_burst;
    uint32_t key_rate; /* events per second that name one author; 0 = no limit */
    uint32_t key_rate_burst;
    uint32_t keys;              /* rate buckets per worker */
    uint32_t key_cache;         /* parsed public keys per worker */
    uint32_t greeted;           /* clients per worker remembered as having got the discovery tags */
    uint32_t seen;              /* verified ids remembered per worker */
    uint32_t seen_max;          /* up to this many while the oldest is younger than seen_age_ns */
    uint32_t publish_max;       /* events waiting or unanswered per relay */
    uint32_t publish_bytes_max; /* their bytes */
    uint64_t seen_age_ns;
    uint64_t publish_ns;    /* an event is given up on a relay after this long */
    uint64_t ok_ns;         /* from sending an event to sending it once more, and to giving up */
    uint64_t probe_ns;      /* from one liveness probe to the next; 0 = never */
    uint64_t probe_wait_ns; /* an unanswered probe means reconnecting */
    uint64_t handshake_ns;  /* name lookup, connect and WebSocket handshake together */
    uint64_t retry_quick_min_ns; /* first retry after a cut, between these two */
    uint64_t retry_quick_max_ns;
    uint64_t retry_base_ns; /* the next one; then times 1.5 each; a connection or subscription that
                               lasted this long starts over */
    uint64_t retry_max_ns;
    uint64_t since_margin_s; /* how far before the newest event a resubscription begins, seconds */
};

/* Hooks of a relay in the same process; events that it hands in are verified already. */
struct trp_nostr_embedded {
    /*
     * Takes an event of ours (io/codec/nostr_packet.h) inside a handler on any worker; NULL = there
     * is no embedded relay. It retains what it keeps. After TROUPE_EBUSY it is asked again soon.
     */
    enum troupe_status (*publish)(struct troupe_ctx *ctx, void *arg, struct troupe_buf *packet);
    void *arg;
};

struct trp_nostr_front_config {
    struct trp_mcp_service *service; /* handed to trp_mcp_deliver */
    const uint8_t *secret;     /* 32 bytes, copied into each worker's part; the caller wipes his */
    const char *const *relays; /* ws:// URLs, copied */
    uint32_t relay_count;      /* at most TRP_NOSTR_RELAYS_MAX, may be 0 */
    enum trp_nostr_encryption encryption;
    struct trp_nostr_discovery discovery; /* copied */
    struct trp_nostr_embedded embedded;
    struct trp_nostr_front_limits limits; /* trp_nostr_front_limits_default, then changed */
    /* Optional: a relay answered the first subscription (EOSE). Called once, on its worker. */
    void (*ready_cb)(struct troupe_ctx *ctx, void *arg, const char *relay);
    void *ready_arg;
};

/*
 * Content and event 1 MiB; 200,000 events/s, per author 20,000/s, both with as many at once;
 * 16,384 buckets, 4,096 keys, 16,384 greeted; 65,536 ids, up to 1,048,576 while younger than
 * 120 s; 8,192 events or 32 MiB to publish per relay for 30 s, answered within 10 s; probe every
 * 120 s, 20 s to answer; handshake 10 s; retry after 0.25-1 s, then 3 s to 30 s; margin 60 s.
 */
void trp_nostr_front_limits_default(struct trp_nostr_front_limits *limits);

struct trp_nostr_front;

/*
 * Sets the front end up on a pool (ring driver) that has not started: reserves gates and connection
 * actors. `admission` says which worker is an author's home.
 *
 * TROUPE_OK; TROUPE_EINVAL (key, URL or limit, named in error); TROUPE_EUNAVAIL (wss://, encryption
 * required); TROUPE_ENOMEM. error: cstr, cut at error_cap.
 * Threads: startup
 */
enum troupe_status trp_nostr_front_create(struct trp_nostr_front **front,
                                          struct troupe_pool *pool,
                                          struct troupe_admission *admission,
                                          const struct trp_nostr_front_config *config,
                                          char *error,
                                          size_t error_cap) TROUPE_MUST_USE;

/* Frees it and wipes the keys. The pool must be joined or never started. NULL is a no-op. */
void trp_nostr_front_destroy(struct trp_nostr_front *front);

/* The x-only public key, 32 bytes. Threads: any */
const uint8_t *trp_nostr_front_pubkey(const struct trp_nostr_front *front);

/* What addresses of this front end point at. Threads: any */
const struct trp_mcp_frontend *trp_nostr_front_frontend(const struct trp_nostr_front *front);

/*
 * The embedded relay hands in an event it has verified (a packet of io/codec/nostr_packet.h);
 * events of other kinds or for others are dropped and counted. Called inside a handler, any worker.
 * The front retains what it keeps.
 *
 * TROUPE_OK: taken, or of no interest; TROUPE_EBUSY: publish_max events wait for a gate (dropped);
 * TROUPE_ENOMEM; TROUPE_ECLOSED
 */
enum troupe_status trp_nostr_front_event(struct troupe_ctx *ctx,
                                         struct trp_nostr_front *front,
                                         struct troupe_buf *packet);

/*
 * A client's record ended: the next message to that key carries the discovery tags again. Inside a
 * handler, any worker; best effort (a full gate ignores it).
 */
void trp_nostr_front_forget(struct troupe_ctx *ctx,
                            struct trp_nostr_front *front,
                            const struct troupe_key *key);

/*
 * No new event is taken from now on and the subscriptions are closed; answers are still sent. A
 * second call does nothing. Inside a handler, any worker.
 */
void trp_nostr_front_drain(struct troupe_ctx *ctx, struct trp_nostr_front *front);

/*
 * As drain; then each relay gets flush_ns to take and answer what is queued, is disconnected, and
 * done_to gets an empty message of done_type. Once.
 */
void trp_nostr_front_stop(struct troupe_ctx *ctx,
                          struct trp_nostr_front *front,
                          uint64_t flush_ns,
                          troupe_ref done_to,
                          uint16_t done_type);

/* Everything that happens to an event is counted. X(name) */
#define TRP_NOSTR_COUNTERS(X)                                                                      \
    X(received) /* events from relays and the embedded relay */                                    \
    X(garbage)  /* messages that are no JSON, no relay message, binary, or hold no event */        \
    X(unknown)  /* well-formed messages with a name not known here */                              \
    X(notices)                                                                                     \
    X(stray)     /* for a subscription that is not ours */                                         \
    X(oversized) /* content over the limit */                                                      \
    X(wraps)     /* gift wraps, dropped until they can be opened */                                \
    X(wrong_kind)                                                                                  \
    X(wrong_addressee) /* no p tag with our key */                                                 \
    X(stale)           /* older than what was asked for */                                         \
    X(rate_global)                                                                                 \
    X(rate_key)                                                                                    \
    X(bad_id)                                                                                      \
    X(duplicates)                                                                                  \
    X(bad_key) /* the author's key is no point of the curve */                                     \
    X(bad_signature)                                                                               \
    X(verified)      /* signatures that were right */                                              \
    X(delivered)     /* handed to trp_mcp_deliver */                                               \
    X(dropped_drain) /* came while draining */                                                     \
    X(dropped_busy)  /* too many of the embedded relay wait (connections stop reading) */          \
    X(dropped_memory)                                                                              \
    X(sent) /* events signed and handed out */                                                     \
    X(send_too_large)                                                                              \
    X(send_failed)    /* no memory, no random source, or text that is not UTF-8 */                 \
    X(send_nowhere)   /* no relay was there to take it */                                          \
    X(publish_queued) /* per relay, as the following */                                            \
    X(delayed)        /* answers and embedded events that waited for a full receiver */            \
    X(publish_full)   /* the queue was full */                                                     \
    X(publish_ok)                                                                                  \
    X(publish_duplicate) /* the relay had it already */                                            \
    X(publish_refused)                                                                             \
    X(publish_retried)                                                                             \
    X(publish_unanswered) /* sent twice, no OK */                                                  \
    X(publish_expired)                                                                             \
    X(connects)                                                                                    \
    X(connect_failures)                                                                            \
    X(disconnects)                                                                                 \
    X(subscriptions)                                                                               \
    X(subscriptions_closed) /* by the relay */                                                     \
    X(probes)                                                                                      \
    X(probes_failed)

struct trp_nostr_front_stats {
#define TRP_NOSTR_STAT(name) uint64_t name;
    TRP_NOSTR_COUNTERS(TRP_NOSTR_STAT)
#undef TRP_NOSTR_STAT
    uint32_t relays_connected; /* now */
};

/* Sums over all workers; counters of different moments. Threads: any */
void trp_nostr_front_stats(const struct trp_nostr_front *front,
                           struct trp_nostr_front_stats *stats);

#endif
