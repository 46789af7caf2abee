#ifndef ACTORS_NOSTR_FRONT_PARTS_H
#define ACTORS_NOSTR_FRONT_PARTS_H

/* What the files of the Nostr front end share; nobody else includes it. */

#include "actors/nostr/backoff.h"
#include "actors/nostr/front.h"
#include "actors/nostr/key_table.h"
#include "actors/nostr/rate.h"
#include "actors/nostr/seen.h"
#include "io/codec/json.h"
#include "io/codec/nostr_event.h"
#include "io/net/ws_conn.h"
#include "mailbox/atomic.h"

#include <troupe/assert.h>

/* Largest text of one discovery tag. */
#define TRP_NOSTR_DISCOVERY_MAX 1024u

enum trp_nostr_counter {
#define TRP_NOSTR_COUNTER(name) TRP_NOSTR_N_##name,
    TRP_NOSTR_COUNTERS(TRP_NOSTR_COUNTER)
#undef TRP_NOSTR_COUNTER
        TRP_NOSTR_N,
};

/* Messages between the actors of the front end. */
enum {
    TRP_NOSTR_MSG_EVENT = 1,   /* connection or embedded relay -> gate: struct trp_nostr_incoming */
    TRP_NOSTR_MSG_FORGET = 2,  /* -> gate: struct troupe_key */
    TRP_NOSTR_MSG_PUBLISH = 3, /* sender -> connection: struct trp_publish */
    TRP_NOSTR_MSG_RETRY = 4,   /* timers of the connection, from here on */
    TRP_NOSTR_MSG_PROBE = 5,
    TRP_NOSTR_MSG_QUEUE = 6,
    TRP_NOSTR_MSG_HELD = 7,
    TRP_NOSTR_MSG_STOP = 8,
    TRP_NOSTR_MSG_SETTLE = 9,    /* timer, then a message of the connection to itself */
    TRP_NOSTR_MSG_OVERFLOW = 10, /* timer of the gate */
};

/* Payload of TRP_NOSTR_MSG_EVENT. */
struct trp_nostr_incoming {
    struct troupe_buf *buf; /* first: released with the message */
    uint32_t event_at;      /* the event inside buf */
    bool is_verified;       /* id and signature were checked by who handed it in */
};

/* Targets of messages that may have to wait; below these two: the connection of that relay. */
enum {
    TRP_NOSTR_TO_EMBEDDED = TRP_NOSTR_RELAYS_MAX,
    TRP_NOSTR_TO_GATES, /* events of the embedded relay; connections wait by not reading */
    TRP_NOSTR_TARGETS,
};

/* Messages that one target refused, oldest first. */
struct trp_nostr_overflow {
    struct troupe_msg *head;
    struct troupe_msg *tail;
    uint32_t count;
};

/* What the address of a request remembers. */
struct trp_nostr_cookie {
    uint64_t created_at;
    uint32_t wrap_kind; /* 0 = came in the clear */
    uint8_t id[TRP_NOSTR_ID_LEN];
};

/* All that belongs to one worker; used by actors on it only, counters may be read by all. */
struct trp_nostr_part {
    struct trp_nostr_crypto *crypto;
    struct trp_nostr_key key;
    struct trp_json_parser *parser;
    struct trp_seen *seen;
    struct trp_key_words *rates;
    struct trp_key_words *greeted;
    struct trp_key_cache *keys;
    uint64_t greet_clock;
    troupe_ref gate;
    struct trp_nostr_overflow overflow[TRP_NOSTR_TARGETS];
    struct troupe_msg overflow_note; /* wakes the gate to try again */
    bool is_overflow_noted;          /* from posting the note until nothing is left */
    uint64_t counters[TRP_NOSTR_N];
} __attribute__((aligned(TRP_CACHE_LINE)));

/* One relay; the connection actor owns it except where said. */
struct trp_nostr_relay {
    struct trp_nostr_front *front;
    char *url;
    troupe_ref conn;
    uint32_t accepts;             /* written by the connection, read by senders: publish here */
    uint32_t is_connected;        /* the same, for statistics */
    struct troupe_msg drain_note; /* posted once by trp_nostr_front_drain */
    struct troupe_msg stop_note;  /* posted once by trp_nostr_front_stop */
};

struct trp_nostr_front {
    struct trp_mcp_frontend frontend;
    struct troupe_admission *admission;
    struct trp_mcp_service *service;
    struct trp_nostr_front_limits limits;
    struct trp_nostr_embedded embedded;
    struct trp_ws_config ws;
    struct trp_rate rate;
    struct trp_rate key_rate;
    struct trp_backoff backoff;
    enum trp_nostr_encryption encryption;
    void (*ready_cb)(struct troupe_ctx *ctx, void *arg, const char *relay);
    void *ready_arg;
    uint32_t is_ready_told;
    char *discovery[4]; /* name, about, website, picture; NULL = not told */
    bool has_discovery;
    uint8_t pubkey[TRP_NOSTR_PUBKEY_LEN];
    char pubkey_hex[2 * TRP_NOSTR_PUBKEY_LEN];
    uint32_t worker_count;
    uint32_t relay_count;
    struct trp_nostr_part *parts; /* one per worker */
    struct trp_nostr_relay relays[TRP_NOSTR_RELAYS_MAX];
    uint64_t start_s; /* wall clock when the first actor ran; 0 = none did; set once by cas */
    uint64_t bucket;  /* of the global rate, shared */
    uint32_t is_draining;
    uint32_t is_stopping;
    uint32_t running;  /* connections that have not said goodbye */
    uint64_t flush_ns; /* written before the stop notes are posted, as the next two */
    troupe_ref done_to;
    uint16_t done_type;
};

/* The caller's worker's part. */
static inline struct trp_nostr_part *trp_nostr_part_here(const struct troupe_ctx *ctx,
                                                         struct trp_nostr_front *front)
{
    return &front->parts[troupe_self_worker(ctx)];
}

/* One writer per word, so no atomic addition. */
static inline void trp_nostr_count(struct trp_nostr_part *part, enum trp_nostr_counter counter)
{
    trp_store_relaxed_u64(&part->counters[counter], part->counters[counter] + 1);
}

static inline bool trp_nostr_is_draining(const struct trp_nostr_front *front)
{
    return trp_load_relaxed_u32(&front->is_draining) != 0;
}

/* Whole seconds of the wall clock. */
static inline uint64_t trp_nostr_seconds(const struct troupe_ctx *ctx)
{
    return troupe_wall_now(ctx) / 1000000000u;
}

/* Wall clock second at which the front end began to work; the same for all its actors. */
uint64_t trp_nostr_start_s(const struct troupe_ctx *ctx, struct trp_nostr_front *front);

/*
 * Checks of an event that cost nothing: kind, addressee, age (created_at at least `since`), global
 * rate, draining. False when it is to be dropped; that is counted. `source` is for the log.
 */
bool trp_nostr_admissible(struct troupe_ctx *ctx,
                          struct trp_nostr_front *front,
                          const struct trp_nostr_event *event,
                          uint64_t since_s,
                          const char *source);

/* The gate an event goes to. */
troupe_ref trp_nostr_gate_of(const struct trp_nostr_front *front,
                             const struct trp_nostr_event *event);

/*
 * overflow.c: hands a message to a target, or lets it wait behind those that wait already. On an
 * error (TROUPE_EBUSY: too many wait) it is still the caller's.
 */
enum troupe_status trp_nostr_send_or_wait(struct troupe_ctx *ctx,
                                          struct trp_nostr_front *front,
                                          uint32_t target,
                                          struct troupe_msg **msg);
/* Tries again what waits on this worker; true when something is left. */
bool trp_nostr_overflow_flush(struct troupe_ctx *ctx, struct trp_nostr_front *front);
/* Frees it. */
void trp_nostr_overflow_drop(struct troupe_ctx *ctx, struct trp_nostr_front *front);

/* gate.c; its argument is the front. */
extern const struct troupe_actor_type trp_nostr_gate_type;

/* relay_conn.c; its argument is the relay. */
extern const struct troupe_actor_type trp_nostr_relay_type;

/* publish.c: frontend.send; arg is the front. */
enum troupe_status trp_nostr_send(struct troupe_ctx *ctx,
                                  void *arg,
                                  const struct trp_mcp_address *to,
                                  enum trp_mcp_outbound kind,
                                  struct troupe_span text);

#endif
