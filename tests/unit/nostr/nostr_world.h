#ifndef TESTS_UNIT_NOSTR_WORLD_H
#define TESTS_UNIT_NOSTR_WORLD_H

/*
 * A pool of two workers on the ring driver with a front end on it, clients that sign events, and a
 * record of what the MCP layer got. Every wait has a deadline.
 */

#include "fake_relay.h"
#include "nostr_stubs.h"

#include "actors/nostr/front.h"
#include "io/codec/nostr_event.h"

#include <pthread.h>

#define WORLD_DELIVERIES_MAX 4096u
#define WORLD_TEXT_MAX       256u

#define WORLD_MS UINT64_C(1000000)

struct world_delivery {
    char text[WORLD_TEXT_MAX]; /* cut */
    uint32_t text_len;
    uint32_t worker;
    struct trp_mcp_address reply_to;
};

struct world {
    struct troupe_pool *pool;
    struct troupe_port *port;
    struct trp_nostr_front *front;
    troupe_ref agents[2];
    struct trp_nostr_front_config config; /* to be changed before world_start */
    const char *relays[4];
    struct trp_nostr_crypto *crypto; /* of the test's thread */
    struct trp_nostr_key server;
    char server_hex[65];
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint32_t delivered;
    uint32_t ran;       /* scripts */
    uint32_t ready;     /* ready_cb calls */
    uint32_t done;      /* farewells */
    uint32_t blocked;   /* a handler waits */
    uint32_t unblocked; /* it may go on */
    uint32_t refusals;  /* so often the embedded relay is busy first */
    uint32_t published; /* packets that the embedded relay got */
    char published_text[WORLD_TEXT_MAX * 8];
    struct world_delivery deliveries[WORLD_DELIVERIES_MAX];
};

struct world_client {
    struct trp_nostr_key key;
    char hex[65];
};

/* An event to be made; zeroed members = the usual ones. */
struct world_event {
    const char *content;
    const char *to; /* hex; NULL = the server */
    uint32_t kind;
    int64_t date_offset; /* seconds from now */
};

/* Defaults with short times; up to 4 relay URLs in relays. */
void world_init(struct world *world, uint32_t relay_count);
void world_start(struct world *world);
/* Stops, checks that no message was lost, frees. */
void world_finish(struct world *world);

void world_client_init(struct world *world, struct world_client *client, uint8_t secret);

/* Seconds since 1970 as workers see them; time(2) may be a tick, and thus a second, behind. */
uint64_t world_now_s(void);

/* JSON text of a signed event; the caller frees it. Each call makes another id. */
char *world_event(struct world *world,
                  const struct world_client *client,
                  const struct world_event *event);
/* The same as an event; the caller frees it. */
struct trp_nostr_event *
world_sign(struct world *world, const struct world_client *client, const struct world_event *event);
/* Sends ["EVENT",sub,event] with this content. */
void world_say(struct world *world,
               struct fake_conn *conn,
               const char *sub,
               const struct world_client *client,
               const char *content);

/* Runs a function inside a handler on a worker and waits for its end. */
void world_run(struct world *world,
               uint32_t worker,
               void (*script)(struct troupe_ctx *ctx, struct world *world, void *arg),
               void *arg);

/* Keeps a worker inside one handler from here to world_unblock. */
void world_block(struct world *world, uint32_t worker);
void world_unblock(struct world *world);

/* A counter of the world that handlers change. */
uint32_t world_get(struct world *world, const uint32_t *word);

/* Waits until that many texts were delivered; more is a failure. */
void world_wait_delivered(struct world *world, uint32_t count);
const struct world_delivery *world_last(struct world *world);
void world_wait_done(struct world *world);
void world_wait_ready(struct world *world);
void world_wait_published(struct world *world, uint32_t count);
/* Calls trp_nostr_front_drain, trp_nostr_front_stop. */
void world_drain(struct world *world);
void world_stop(struct world *world, uint64_t flush_ns);

struct trp_nostr_front_stats world_stats(struct world *world);

/* Waits until a counter of the statistics has reached this value. */
#define world_wait_stat(world, name, value)                                                        \
    world_wait_counter((world), offsetof(struct trp_nostr_front_stats, name), (value))
void world_wait_counter(struct world *world, size_t offset, uint64_t value);

/* Sends an answer from worker 0 to where a delivery came from; the status of send. */
enum troupe_status world_answer(struct world *world,
                                const struct world_delivery *delivery,
                                enum trp_mcp_outbound kind,
                                struct troupe_span text);

#endif
