#ifndef ACTORS_ADMISSION_INTERNAL_H
#define ACTORS_ADMISSION_INTERNAL_H

/*
 * Who owns what, and why nothing is lost.
 *
 *   deliver --HIT--> agent of the home worker --> client's actor
 *   deliver --MISS--> admission actor --(ADMIT note, or HIT)--> agent of the home worker
 *
 * Carriers. A delivered message travels inside a carrier (TROUPE_MSG_OWNS_MSG), from the delivering
 * worker to the agent at home, also while its client waits. A carrier that the pool drops reports
 * and frees what it carries. Each carrier towards a record owns one hold of it.
 *
 * Places. `active` counts live records, leaving ones included; a newcomer is made a live record
 * only while active < capacity, and a record is live until the release, so active never exceeds the
 * capacity. There is at most one live record per key; a message that comes for a leaving one waits
 * as its successor.
 *
 * Release. A record ends when its word is final (closing, no holds), its actor is gone (is_down),
 * and a STOP note sent to its home has arrived (stop_seen). Whoever makes one of these true posts
 * the record's own note to the admission actor, which looks at all three again: whoever comes last
 * completes the picture, since each change is a full barrier before the post.
 *
 * Notes never need memory. `note` (home or any worker -> admission) may be posted again once the
 * admission actor has cleared is_posted, which it does before it looks. `home_note` (admission ->
 * agent) is sent at most twice: first ADMIT, later STOP; the second only after a word that the home
 * can make final only after it has handled the first.
 *
 * Lifetime of a record. Its home may touch it until it sets is_down, a worker with a hold until it
 * ends the hold; whoever has to look at it after such a change does both inside one epoch section.
 * Memory is reclaimed after the epoch, and not before a posted note has come in.
 *
 * No lost wake. A newcomer waits only if each live record is leaving, is idle for less than
 * evict_min_idle (a timer looks again), or has holds and is WATCHED in the same word: then the one
 * closer that brings it to 0 holds sees the flag in its own compare-and-swap and posts the note.
 *
 * Order. Messages of one worker for one client are handed over in order: while misses of a hash
 * slot are under way from a worker (miss_sent != miss_done + miss_home), its later messages of that
 * slot take the same way. Under way means until they are in the home's inbox; for the home itself,
 * whose own messages do not pass through its inbox, until its agent has them. Backlogs are in the
 * home's inbox before the record is in the directory; what reaches the agent before it has read its
 * inbox joins the backlog.
 */

#include "actors/admission/directory.h"
#include "actors/admission/keyhash.h"
#include "actors/admission/word.h"
#include "mailbox/lane.h"
#include "pool/worker.h"

#include <troupe/relations.h>

/* Message types between deliver, agents and the admission actor. */
enum {
    TRP_ADMISSION_MISS = 1,       /* carrier: for whoever the key belongs to */
    TRP_ADMISSION_HIT = 2,        /* carrier with a hold on `client` */
    TRP_ADMISSION_DOWN = 3,       /* monitor of a client's actor; cookie = record */
    TRP_ADMISSION_LRU_TIMER = 4,  /* somebody may have been idle for long enough */
    TRP_ADMISSION_WAIT_TIMER = 5, /* somebody may have waited for too long */
    TRP_ADMISSION_DONE_TIMER = 6, /* tell again that the drain is done */
};

/* Payload of MISS and HIT. */
struct trp_carrier {
    struct troupe_msg *inner; /* first: owned with TROUPE_MSG_OWNS_MSG */
    struct troupe_client *client;
    struct troupe_key key;
    uint32_t from_worker;
    bool is_counted; /* in miss_sent of from_worker, and not yet in miss_done or miss_home */
};

#define TRP_MISS_SLOTS 2048u

/* Where a record stands; private to the admission actor. */
enum trp_stage {
    TRP_STAGE_QUEUED = 1,   /* waits for a place */
    TRP_STAGE_BLOCKED = 2,  /* waits for its key's old record to end */
    TRP_STAGE_LIVE = 3,     /* has a place */
    TRP_STAGE_RELEASED = 4, /* memory waits for the epoch */
};

/* What the home knows; private to the home worker. */
enum trp_home_phase {
    TRP_HOME_NEW = 0,     /* the ADMIT note is on its way */
    TRP_HOME_RUNNING = 1, /* the actor has been spawned */
    TRP_HOME_ENDED = 2,   /* it is gone, or never came to be */
};

#define TRP_NOT_IN_HEAP UINT32_MAX

struct troupe_client {
    /* --- constant --- */
    struct trp_directory_entry entry; /* first: key and hash */
    struct troupe_admission *admission;
    uint32_t home;

    /* --- any worker --- */
    uint64_t word __attribute__((aligned(TRP_CACHE_LINE)));
    uint64_t last_active_ns; /* relaxed: refreshed when a hold opens and when the last one ends */
    uint32_t is_posted;      /* `note` is on its way */
    uint32_t is_down;        /* the actor is gone; set by the home */
    uint32_t stop_seen;      /* the STOP note has arrived; set by the home */
    enum troupe_release_reason reason; /* by whoever set CLOSING */
    struct troupe_msg note;            /* to the admission actor */

    /* --- home --- */
    troupe_ref actor;
    uint32_t unhandled; /* messages handed to the actor and not yet handled */
    uint32_t routes;
    enum trp_home_phase phase;
    struct trp_lane backlog; /* carriers; of the admission actor until ADMIT is posted */

    /* --- admission actor --- */
    struct troupe_msg home_note; /* ADMIT, then STOP */
    enum trp_stage stage;
    uint32_t backlog_count;
    uint32_t heap_index;
    bool is_stop_sent;
    bool is_counted;                 /* in the statistics of those that waited */
    bool is_reclaimable;             /* the epoch is over; only the note is missing */
    uint64_t known_ns;               /* key in the heap: stamp as last seen */
    uint64_t arrived_ns;             /* began to wait */
    struct troupe_client *hash_next; /* chain of the key table */
    struct troupe_client *successor; /* waits for this one to end */
    struct troupe_client *before;    /* a successor's predecessor */
    struct troupe_client *prev;      /* list of waiters */
    struct troupe_client *next;
    ck_epoch_entry_t reclaim;
};

struct trp_waiters {
    struct troupe_client *head; /* earliest arrival */
    struct troupe_client *tail;
    uint32_t count;
};

/* Relaxed counters of one worker; only it writes them. */
struct trp_agent_counts {
    uint64_t delivered;
    uint64_t handled;
    uint64_t abandoned;
    uint64_t refused_busy;
    uint64_t refused_timeout;
    uint64_t refused_shutdown;
    uint64_t routes_opened;
    uint64_t routes_closed;
    uint64_t went_idle; /* words brought to 0 holds, not closing */
    uint64_t went_busy; /* words brought from 0 holds, or from there to closing */
};

/* The agent of one worker. */
struct trp_agent {
    ck_epoch_record_t epoch; /* sections of this worker */
    struct troupe_admission *admission;
    troupe_ref ref;
    uint32_t worker;
    struct trp_agent_counts counts;
    /* drain asked for on this worker */
    struct troupe_msg drain_note;
    bool is_drain_asked;
    troupe_ref done_to;
    uint16_t done_type;
    /* admission actor */
    bool is_done_owed;
    uint32_t clients; /* live records at home here */
    uint32_t miss_done_now[TRP_MISS_SLOTS];
    /* written by the admission actor, read here */
    uint32_t miss_done[TRP_MISS_SLOTS] __attribute__((aligned(TRP_CACHE_LINE)));
    /* private to the worker */
    uint32_t miss_sent[TRP_MISS_SLOTS] __attribute__((aligned(TRP_CACHE_LINE)));
    uint32_t miss_home[TRP_MISS_SLOTS]; /* of its own misses, those that came back home */
};

/* Relaxed counters of the admission actor. */
struct trp_admission_counts {
    uint64_t active;
    uint64_t active_peak;
    uint64_t waiting;
    uint64_t admitted;
    uint64_t released[TROUPE_RELEASE_REASONS];
    uint64_t queued;
    uint64_t queue_wait_ns;
};

struct troupe_admission {
    struct troupe_admission_config config; /* defaults filled in */
    struct troupe_pool *pool;
    troupe_ref actor;
    uint32_t workers;
    struct trp_agent *agents; /* one per worker */
    struct trp_hash_secret secret;
    struct trp_directory directory;

    /* --- private to the admission actor --- */
    struct troupe_client **table; /* all records by key; successors hang on their predecessor */
    uint32_t table_mask;
    struct troupe_client **heap; /* live records to look at, least recently active first */
    uint32_t heap_count;
    struct trp_waiters queue;   /* in order of arrival */
    struct trp_waiters blocked; /* in order of arrival */
    uint32_t active;
    uint32_t stopping; /* live records that were sent STOP: their places come back soon */
    uint32_t next_worker;
    bool is_draining;
    bool is_sweeping; /* the sweep goes on with sweep_note */
    bool is_sweep_note_out;
    struct troupe_msg sweep_note;
    struct troupe_timer lru_timer;
    struct troupe_timer wait_timer;
    struct troupe_timer done_timer;
    uint64_t lru_due_ns; /* UINT64_MAX = not armed */
    uint64_t wait_due_ns;
    struct trp_admission_counts counts;
};

/* Why a message is refused. */
enum trp_refusal {
    TRP_REFUSE_BUSY,
    TRP_REFUSE_TIMEOUT,
    TRP_REFUSE_SHUTDOWN,
};

/* The agent of the running worker. */
static inline struct trp_agent *trp_agent_here(struct troupe_ctx *ctx,
                                               struct troupe_admission *admission)
{
    return &admission->agents[troupe_self_worker(ctx)];
}

/* --- deliver.c: carriers and refusals --- */

/* NULL when out of memory; the inner message is then still the caller's. */
struct troupe_msg *
trp_carrier_new(struct troupe_ctx *ctx, const struct troupe_key *key, struct troupe_msg *inner);
static inline struct trp_carrier *trp_carrier_of(const struct troupe_msg *msg)
{
    return troupe_msg_data(msg);
}
/* Takes the inner message out and frees the carrier. */
struct troupe_msg *trp_carrier_unwrap(struct troupe_ctx *ctx, struct troupe_msg *msg);

/* Tells refused_cb and frees the message. */
void trp_refuse(struct troupe_ctx *ctx,
                struct troupe_admission *admission,
                const struct troupe_key *key,
                struct troupe_msg *inner,
                enum trp_refusal why);
void trp_refuse_carrier(struct troupe_ctx *ctx,
                        struct troupe_admission *admission,
                        struct troupe_msg *msg,
                        enum trp_refusal why);
/* What a failed send means for the message. */
static inline enum trp_refusal trp_refusal_of(enum troupe_status status)
{
    return status == TROUPE_EBUSY || status == TROUPE_ENOMEM ? TRP_REFUSE_BUSY
                                                             : TRP_REFUSE_SHUTDOWN;
}
/* Sends a carrier back to the admission actor, or refuses it. It owns no hold any more. */
void trp_carrier_return(struct troupe_ctx *ctx,
                        struct troupe_admission *admission,
                        struct troupe_msg *msg);

/* --- client.c: holds --- */

/* Opens one from any worker; the record must be protected by a section or by its owner. */
bool trp_client_open(struct troupe_ctx *ctx, struct trp_agent *agent, struct troupe_client *client);
/* Ends one from any worker. The record may be gone afterwards. */
void trp_client_close(struct troupe_ctx *ctx, struct troupe_client *client);
/* The home's actor is gone: ends `owned` holds, closes, says so. The record may be gone then. */
void trp_client_down(struct troupe_ctx *ctx, struct troupe_client *client, uint32_t owned);
/* The home saw the STOP note. The record may be gone afterwards when the actor is. */
void trp_client_stop_seen(struct troupe_ctx *ctx, struct troupe_client *client);

/* --- agent.c, admit.c: the actors --- */
extern const struct troupe_actor_type trp_agent_type;
extern const struct troupe_actor_type trp_admission_type;
/* A carrier's long way has ended: its worker may use the directory for this slot again. */
void trp_miss_done(struct troupe_admission *admission, struct troupe_msg *carrier);

/* --- waiters.c: queue, successors, key table --- */
struct troupe_client *
trp_table_find(struct troupe_admission *admission, const struct troupe_key *key, uint64_t hash);
void trp_table_insert(struct troupe_admission *admission, struct troupe_client *client);
void trp_table_remove(struct troupe_admission *admission, struct troupe_client *client);
/* In order of arrival; mostly at the end. */
void trp_waiters_insert(struct trp_waiters *waiters, struct troupe_client *client);
void trp_waiters_remove(struct trp_waiters *waiters, struct troupe_client *client);
/* Adds a carrier to a waiting client's backlog, or refuses it. */
void trp_waiter_join(struct troupe_ctx *ctx,
                     struct troupe_admission *admission,
                     struct troupe_client *client,
                     struct troupe_msg *carrier);
/* Refuses the backlog and forgets the waiter. */
void trp_waiter_refuse(struct troupe_ctx *ctx,
                       struct troupe_admission *admission,
                       struct troupe_client *client,
                       enum trp_refusal why);
void trp_waiters_refuse_all(struct troupe_ctx *ctx,
                            struct troupe_admission *admission,
                            enum trp_refusal why);
/* Refuses those who waited too long; arms the timer for the next. */
void trp_waiters_expire(struct troupe_ctx *ctx, struct troupe_admission *admission);
/* Refuses the newest beyond the bound; counts the others. */
void trp_waiters_bound(struct troupe_ctx *ctx, struct troupe_admission *admission);
/* Waiting clients for whom neither a place is free nor one is coming. */
static inline uint32_t trp_waiters_uncovered(const struct troupe_admission *admission)
{
    uint32_t free_places = admission->config.capacity - admission->active;
    uint32_t covered = free_places + admission->stopping;
    return admission->queue.count > covered ? admission->queue.count - covered : 0;
}

/* --- lru.c: who leaves --- */
void trp_lru_insert(struct troupe_admission *admission, struct troupe_client *client);
/* A no-op when it is not in. */
void trp_lru_remove(struct troupe_admission *admission, struct troupe_client *client);
/* Evicts for waiting clients, for idle timeouts and for a drain; bounded, goes on by itself. */
void trp_lru_sweep(struct troupe_ctx *ctx, struct troupe_admission *admission);
/* Sends the home of a final record its STOP. */
void trp_client_send_stop(struct troupe_ctx *ctx, struct troupe_client *client);

#endif
