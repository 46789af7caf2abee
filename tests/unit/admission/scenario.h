#ifndef TESTS_ADMISSION_SCENARIO_H
#define TESTS_ADMISSION_SCENARIO_H

/*
 * A world around an admission service: client actors that do what their messages say, senders that
 * deliver at random, and a conductor that runs a script (or waits for the senders), drains and
 * stops the pool. It knows nothing of threads or real time, so the same world runs on threads and
 * in the seeded simulation. Everything observed is counted, and world_check holds the counts
 * against the promises of troupe/admission.h.
 */

#include "mailbox/atomic.h"

#include <troupe/admission.h>
#include <troupe/pool.h>

#define WORLD_KEYS_MAX    512u
#define WORLD_SENDERS_MAX 8u

/* What a delivered message asks its client to do. */
enum action {
    ACT_HANDLE, /* say handled at once */
    ACT_ROUTE,  /* open a route, say handled; the route closes after delay_ns (0: when poked) */
    ACT_KEEP,   /* say handled after delay_ns (0: when poked) */
    ACT_LEAVE,  /* say handled and leave */
    ACT_FAIL,   /* fail without saying handled */
    ACTIONS,
};

struct job {
    uint32_t id;
    uint32_t key;
    uint32_t sender;
    uint32_t action;
    uint64_t seq;
    uint64_t delay_ns;
};

struct world;

/* Called on each tick until it says true. */
typedef bool (*world_script)(struct troupe_ctx *ctx, struct world *world);

struct world_config {
    struct troupe_admission_config admission; /* client_type, callbacks and users are the world's */
    uint32_t workers;
    uint32_t keys;
    uint32_t senders;
    uint32_t jobs_per_sender;
    uint32_t outstanding_max; /* of all senders together */
    uint32_t weights[ACTIONS];
    uint64_t delay_max_ns;
    bool check_order;
    bool fail_init; /* client actors cannot be started */
    bool no_drain;  /* stop the pool as soon as the script is done */
    bool may_end_with_holds;
    void (*after)(struct world *world); /* further checks after the drain; optional */
    world_script script;
};

/* What was seen of one key; written on any worker, relaxed. */
struct key_seen {
    uint32_t received;
    uint32_t given_back;
    uint32_t busy;
    uint32_t closed;
    uint32_t dead;
    uint32_t started;
    uint32_t alive;
    uint32_t ended_with_holds; /* not by its own doing: an eviction of a holder */
    uint32_t released[TROUPE_RELEASE_REASONS];
    uint32_t home;
    uint32_t hint_low; /* retry hints outside of +-50 % */
    uint64_t actor;
    uint64_t last_seq[WORLD_SENDERS_MAX];
};

struct world {
    struct world_config config;
    struct troupe_pool *pool;
    struct troupe_admission *admission;
    troupe_ref conductor;
    struct key_seen keys[WORLD_KEYS_MAX];
    uint32_t *ended; /* per job id: how often it ended; exactly once is right */
    uint32_t jobs_max;
    uint32_t sent; /* ids given out to accepted messages */
    uint32_t ended_total;
    uint32_t senders_done;
    uint32_t undelivered; /* deliveries answered with an error */
    uint32_t alive;
    uint32_t alive_peak;
    uint32_t order_wrong;
    uint32_t home_wrong;
    uint32_t start_log[4 * WORLD_KEYS_MAX]; /* keys in the order in which their actors started */
    uint32_t starts;
    struct troupe_admission_stats final; /* after the drain */
    bool is_done;
    /* of the script */
    uint32_t step;
    uint32_t ticks;
    uint64_t since_ns;
    troupe_ref remembered;
};

struct world *world_create(const struct world_config *config);
/* For the pool's configuration. */
void world_dead_letter(void *world, const struct troupe_msg *msg, enum troupe_drop_reason reason);
/* Sets up admission and the actors on a pool that has not started. */
void world_attach(struct world *world, struct troupe_pool *pool);
/* After join: ends admission and asserts what must hold of every run. */
void world_check(struct world *world);
void world_destroy(struct world *world);

/* Runs the world on threads with the futex driver. */
void world_run_threads(const struct world_config *config);
/* Runs it in the simulation; until_ns is virtual. */
void world_run_simulated(const struct world_config *config, uint64_t seed, uint64_t until_ns);

/* --- for scripts --- */

struct troupe_key world_key(uint32_t index);
/* Delivers one message; the status of the delivery. */
enum troupe_status
world_deliver(struct troupe_ctx *ctx, struct world *world, uint32_t key, enum action action);
/* The same with a time after which what it opened ends. */
enum troupe_status world_deliver_for(struct troupe_ctx *ctx,
                                     struct world *world,
                                     uint32_t key,
                                     enum action action,
                                     uint64_t delay_ns);
/* Ends routes and kept messages of a client's actor. */
void world_poke(struct troupe_ctx *ctx, struct world *world, uint32_t key);
/* The client's actor calls leave, keeping what it has. */
void world_poke_leave(struct troupe_ctx *ctx, struct world *world, uint32_t key);
struct troupe_admission_stats world_stats(struct world *world);

static inline uint32_t seen(const uint32_t *counter)
{
    return trp_load_relaxed_u32(counter);
}

#endif
