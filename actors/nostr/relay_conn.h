#ifndef ACTORS_NOSTR_RELAY_CONN_H
#define ACTORS_NOSTR_RELAY_CONN_H

/* State of the actor that owns the connection to one relay, shared by its two files. */

#include "actors/nostr/front_parts.h"
#include "actors/nostr/publish_queue.h"
#include "io/codec/nostr_wire.h"

/* Hex digits of a subscription id. */
#define TRP_RELAY_SUB_LEN 16u

struct trp_relay_conn {
    struct trp_nostr_relay *relay;
    struct trp_nostr_front *front;
    struct trp_nostr_part *part;
    struct trp_ws_conn ws;
    struct troupe_timer retry_timer; /* to connect when idle, to subscribe when open */
    struct troupe_timer probe_timer; /* the next probe, or its answer overdue */
    struct troupe_timer queue_timer;
    struct troupe_timer held_timer;
    struct troupe_timer stop_timer; /* the end of flushing; then retries of the farewell */
    struct troupe_timer settle_timer;
    struct troupe_msg *held; /* an event whose gate was full; receiving is paused */
    struct trp_publish_queue queue;
    uint64_t queue_timer_ns; /* when queue_timer fires, valid while armed */
    uint64_t since_s;        /* of the subscription */
    uint64_t newest_s;       /* newest date of an event, never in the future */
    uint64_t opened_ns;      /* 0 = this attempt has not opened */
    uint64_t subscribed_ns;
    uint64_t down_ns; /* when it was last cut */
    uint32_t connect_attempt;
    uint32_t subscribe_attempt;
    bool is_subscribed;
    bool is_probing;
    bool is_auth_logged;
    bool is_stopping; /* publishes what is queued, then ends */
    bool is_settled;  /* stopping, and what was under way to it has arrived */
    bool is_finished; /* no more of that: closing */
    bool is_counted_out;
    bool is_last;
    bool is_gone; /* the actor ends after this message */
    char sub[TRP_RELAY_SUB_LEN];
    char probe_sub[TRP_RELAY_SUB_LEN];
};

TROUPE_STATIC_ASSERT(sizeof(struct trp_relay_conn) <= TROUPE_ACTOR_STATE_MAX, "must fit");

/* --- relay_conn.c --- */

extern const struct trp_ws_callbacks trp_nostr_relay_callbacks;

/* The relay answered the probe; is_open: the probe's subscription is still there. */
void trp_relay_probe_answered(struct troupe_ctx *ctx, struct trp_relay_conn *conn, bool is_open);

/* --- relay_publish.c --- */

/* A message of type TRP_NOSTR_MSG_PUBLISH, borrowed from the handler. */
void trp_relay_publish_take(struct troupe_ctx *ctx,
                            struct trp_relay_conn *conn,
                            struct troupe_msg *msg);

/* Writes what waits, as far as the connection takes it. */
void trp_relay_publish_flush(struct troupe_ctx *ctx, struct trp_relay_conn *conn);

/* An OK came. */
void trp_relay_publish_answer(struct troupe_ctx *ctx,
                              struct trp_relay_conn *conn,
                              const struct trp_nostr_relay_msg *msg);

/* Retries and gives up what is due. */
void trp_relay_publish_expire(struct troupe_ctx *ctx, struct trp_relay_conn *conn);

/* Makes queue_timer fire in time; at the end of each handler. */
void trp_relay_publish_arm(struct troupe_ctx *ctx, struct trp_relay_conn *conn);

/* Frees all that is queued. */
void trp_relay_publish_drop(struct troupe_ctx *ctx, struct trp_relay_conn *conn);

#endif
