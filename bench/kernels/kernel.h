#ifndef BENCH_KERNELS_KERNEL_H
#define BENCH_KERNELS_KERNEL_H

/*
 * A kernel: a few actors that do one thing over and over, in one or more cases. The runner makes a
 * fresh pool for each run, calls setup, starts the pool and waits until a handler stopped it.
 *
 * Each run does the same work twice: a first round that faults memory in and teaches branch
 * predictors, and the one that is measured. One actor, the lead, conducts: it starts the first
 * round, calls trp_kernel_done when the work of a round is over, checks the results, and calls
 * trp_kernel_next, which says whether to start another round.
 *
 * Handlers report what must not happen with trp_kernel_fail; the run is invalid then.
 */

#include <troupe/actor.h>
#include <troupe/pool.h>

#include "bench/kernels/limit.h"

/* Actors of one run, the lead included. */
#define TRP_KERNEL_ACTORS_MAX 1008u

/* Bounds of a mailbox that is meant to meet none: the kernel measures sending and draining. */
#define TRP_KERNEL_LANE_COUNT 0x40000000u
#define TRP_KERNEL_LANE_BYTES 0xffffffffu

/* Who says which worker an actor lives on. */
enum trp_placement {
    TRP_PLACEMENT_SPREAD = 0,  /* the kernel: over all workers */
    TRP_PLACEMENT_RUNTIME = 1, /* the runtime: all are spawned by a handler on worker 0 */
};

#define TRP_KERNEL_OTHERS_MAX 3u

struct trp_kernel_case {
    const char *name;
    const char *parameters; /* for people: "1 pair, {n} round trips", see label.h */
    uint64_t ops;           /* operations of one run */
    uint32_t actors;        /* how many of the many: senders, creatures, accounts */
    uint32_t workers;       /* 0 = as many as were asked for; more than usable CPUs: left out */
    enum troupe_spin spin;
    enum trp_placement placement;                 /* with one worker there is nothing to choose */
    enum trp_limit limit;                         /* what it is held against */
    double share_min;                             /* target: limit / ours at least; 0 = none */
    enum trp_limit others[TRP_KERNEL_OTHERS_MAX]; /* limits shown besides */
    uint32_t other_count;
    bool is_unbounded; /* mailboxes that meet no bound, where the kernel has such a case */
};

struct trp_kernel_run;

struct trp_kernel {
    const char *name;
    const char *about;
    const char *op; /* what one operation is */
    const struct trp_kernel_case *cases;
    uint32_t case_count; /* at most TRP_KERNEL_CASES_MAX */
    /* Reserves the actors. False when that failed. */
    bool (*setup)(struct trp_kernel_run *run);
};

#define TRP_KERNEL_CASES_MAX 16u

/* What init of an actor in a cast gets; first member of its state (see cast.h). */
struct trp_part {
    struct trp_kernel_run *run;
    uint32_t index; /* its place in refs */
};

/* Where the actors of a role live when the kernel spreads them. */
enum trp_place {
    TRP_PLACE_IN_TURN,   /* one after the other over the workers */
    TRP_PLACE_IN_BLOCKS, /* neighbours together: an equal run of them on each worker */
    TRP_PLACE_FIRST,     /* on worker 0 */
    TRP_PLACE_LAST,      /* on the last worker */
};

/* Actors of one kind in a cast. */
struct trp_role {
    const struct troupe_actor_type *type; /* init_cb: trp_part_init */
    uint32_t count;
    enum trp_place place;
};

#define TRP_KERNEL_ROLES_MAX 4u

/* One run. Written by handlers through the functions below, read after the pool was joined. */
struct trp_kernel_run {
    const struct trp_kernel_case *the_case;
    struct troupe_pool *pool;
    uint32_t workers;
    bool is_measured;                      /* the second round; the lead's */
    uint64_t ops;                          /* of one round: those of the case, scaled */
    uint64_t share;                        /* of each actor, where setup divided them */
    uint64_t begin_ns[TROUPE_WORKERS_MAX]; /* each by its own worker; 0 = never */
    uint64_t end_ns;
    uint64_t joined_ns;                          /* the pool had ended */
    void *data;                                  /* of a study; NULL in kernels */
    void *failure;                               /* a static cstr; NULL = none */
    struct trp_role roles[TRP_KERNEL_ROLES_MAX]; /* of the cast */
    uint32_t role_count;
    uint32_t actors; /* in refs and parts */
    troupe_ref
        refs[TRP_KERNEL_ACTORS_MAX]; /* the kernel's own, complete before the first message */
    struct trp_part parts[TRP_KERNEL_ACTORS_MAX];
};

/* Setup: shares the operations out equally among `actors`, at least one each. */
void trp_kernel_divide(struct trp_kernel_run *run, uint32_t actors);

/* The measured part begins on this worker; only the first call counts. */
void trp_kernel_begin(struct troupe_ctx *ctx, struct trp_kernel_run *run);

/* The work of this round is done, checks may follow: takes the time of the measured one. */
void trp_kernel_done(struct trp_kernel_run *run);

/*
 * The results of this round are right. True: the measured round begins now, start it. False: that
 * was it, the pool stops. The lead only.
 */
bool trp_kernel_next(struct troupe_ctx *ctx, struct trp_kernel_run *run);

/* Something went wrong: the run is invalid. Stops the pool. text: static. */
void trp_kernel_fail(struct trp_kernel_run *run, const char *text);

extern const struct trp_kernel trp_kernel_pingpong;
extern const struct trp_kernel trp_kernel_count;
extern const struct trp_kernel trp_kernel_fanin;
extern const struct trp_kernel trp_kernel_fjthrput;
extern const struct trp_kernel trp_kernel_fjcreate;
extern const struct trp_kernel trp_kernel_threadring;
extern const struct trp_kernel trp_kernel_chameneos;
extern const struct trp_kernel trp_kernel_big;
extern const struct trp_kernel trp_kernel_concdict;
extern const struct trp_kernel trp_kernel_bndbuffer;
extern const struct trp_kernel trp_kernel_banking;
extern const struct trp_kernel trp_kernel_logmap;

#endif
