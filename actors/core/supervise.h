#ifndef ACTORS_CORE_SUPERVISE_H
#define ACTORS_CORE_SUPERVISE_H

/*
 * The two halves of supervision. At the supervisor: struct trp_child, one per child, in start
 * order. At the child's worker: struct trp_ward, behind the cell's `child` pointer. They talk
 * through messages that are reserved when the child is made, and each has its place:
 *
 *   order   supervisor -> child and back as a notice (STARTED, NOT_STARTED, SUSPENDED). While it is
 *           away the supervisor gives this child no other order. It begins as the request to start
 *           and keeps the argument, so that a start that failed can be repeated.
 *   notice  child -> supervisor (ENDED: an end that it did not order) and back (BACK), before any
 *           order to restart, so that it is there when the next life ends.
 *   gone    child -> supervisor, once: the end for good.
 *   last    supervisor -> child, once: the supervisor ended itself (ABANDON).
 */

#include "actors/core/core.h"
#include "pool/life.h"

#include <troupe/supervise.h>

enum trp_child_order {
    TRP_CHILD_BACK,
    TRP_CHILD_SUSPEND,
    TRP_CHILD_RESTART,
    TRP_CHILD_END,
    TRP_CHILD_ABANDON,
};

enum trp_child_notice {
    TRP_CHILD_STARTED,
    TRP_CHILD_NOT_STARTED,
    TRP_CHILD_SUSPENDED,
    TRP_CHILD_ENDED,
    TRP_CHILD_GONE,
};

/* Payload of every order and notice. */
struct trp_child_note {
    uint64_t id; /* the supervisor's relation */
    troupe_ref supervisor;
    troupe_ref child;
    enum trp_child_order order;
    enum trp_child_notice notice;
    enum troupe_status status;     /* NOT_STARTED: why */
    enum troupe_shutdown shutdown; /* END: how */
};

/* Payload of the order node. */
struct trp_child_start {
    struct trp_child_note note; /* first */
    const struct troupe_actor_type *type;
    enum troupe_restart restart;
    uint32_t arg_len;
    _Alignas(16) char arg[]; /* init reads a struct there */
};

static inline struct trp_child_note *trp_child_note_of(const struct troupe_msg *msg)
{
    return troupe_msg_data(msg);
}

/* A child as its supervisor sees it. */
struct trp_child {
    struct trp_child *next; /* in start order */
    struct trp_child *previous;
    struct trp_relation *relation;
    struct troupe_msg *order; /* NULL while it is away */
    struct troupe_msg *last;
    struct troupe_msg *starter; /* ask for its start, optional */
    struct troupe_msg *stopper; /* ask for its end, optional */
    struct troupe_timer timer;  /* until its restart (one-for-one), or until it is killed */
    troupe_ref ref;
    uint64_t started_ns; /* 0 = does not run */
    uint64_t shutdown_ns;
    uint32_t number; /* ascending in start order */
    uint32_t worker;
    uint32_t restarts;
    uint32_t failures; /* since it last ran stably */
    enum troupe_child_state state;
    enum troupe_restart restart;
    enum troupe_shutdown shutdown;
    bool is_due;        /* its wait is over, the order was still away */
    bool is_end_wanted; /* to be ended, or taken out, when the order is back */
    char name[TROUPE_CHILD_NAME_MAX + 1];
};

/* State of a supervisor. */
struct trp_supervisor {
    struct trp_child *first;
    struct trp_child *last;
    struct trp_child *fresh; /* one-for-one: the next one of the spec to be started */
    struct troupe_timer timer;
    enum troupe_strategy strategy;
    uint32_t child_count;
    uint32_t next_number;
    uint64_t period_ns;
    uint64_t backoff_min_ns;
    uint64_t backoff_max_ns;
    uint64_t stable_ns;
    uint32_t jitter_percent;
    /* one-for-all, rest-for-one: children from this number on are being suspended, then started */
    bool is_recovering;
    bool is_restarting; /* the second half of it */
    uint32_t recover_from;
    uint64_t due_ns;
    /* it ends its children and then itself, with this verdict */
    bool is_ending;
    enum troupe_verdict end_verdict;
    /* times of the newest restarts, a ring */
    uint32_t intensity_max;
    uint32_t restart_next;
    uint32_t restart_count;
    uint64_t restart_ns[TROUPE_INTENSITY_MAX];
};

/* Types of messages to and within a supervisor, of the range that troupe/actor.h lists. An ask may
 * reach any actor by mistake, so no type means anything to somebody else. */
enum {
    TRP_SUPERVISOR_START = 0xEF81, /* asks */
    TRP_SUPERVISOR_STOP = 0xEF82,
    TRP_SUPERVISOR_LIST = 0xEF83,
    TRP_SUPERVISOR_DUE = 0xEF84,       /* timer of the supervisor */
    TRP_SUPERVISOR_CHILD_DUE = 0xEF85, /* timer of a child */
    TRP_SUPERVISOR_STOP_NAMED = 0xEF86,
};

/* --- supervise_child.c: one child, at its supervisor --- */

/* TROUPE_OK when a child can be made of it. */
enum troupe_status trp_child_check(const struct troupe_ctx *ctx,
                                   const struct troupe_child_spec *spec);

/* Appends a child, not started; needs a checked spec. */
enum troupe_status trp_child_add(struct troupe_ctx *ctx,
                                 struct trp_supervisor *sup,
                                 struct trp_child **child,
                                 const struct troupe_child_spec *spec);

/* Takes a child out that is gone or never was; whoever waits for it hears so. */
void trp_child_remove(struct troupe_ctx *ctx, struct trp_supervisor *sup, struct trp_child *child);

/* The relation of a child ends with its supervisor: tells the child, frees this half. */
void trp_child_abandon(struct trp_worker *worker, struct trp_relation *relation);

/* Orders; the order node must be there. */
void trp_child_send_up(struct troupe_ctx *ctx, struct trp_child *child); /* START or RESTART */
void trp_child_send_suspend(struct troupe_ctx *ctx, struct trp_child *child);
void trp_child_send_end(struct troupe_ctx *ctx, struct trp_child *child);

void trp_child_status(const struct trp_child *child, struct troupe_child_status *status);

/* --- supervise_ask.c --- */

/* An ask that arrived at a supervisor. */
enum troupe_verdict
trp_supervisor_asked(struct troupe_ctx *ctx, struct trp_supervisor *sup, struct troupe_msg *msg);

/* --- supervise.c --- */

/* A notice arrived for a supervisor, which may be gone. */
enum troupe_verdict
trp_supervisor_notice(struct troupe_ctx *ctx, struct trp_cell *cell, struct troupe_msg *msg);

/* Takes out a child that never started, whose order is there. */
enum troupe_verdict
trp_supervisor_drop(struct troupe_ctx *ctx, struct trp_supervisor *sup, struct trp_child *child);

/* Ends its children in reverse order, then the supervisor. */
enum troupe_verdict trp_supervisor_shut(struct troupe_ctx *ctx,
                                        struct trp_supervisor *sup,
                                        enum troupe_verdict end_verdict);

/* --- ward.c: the child's side --- */

void trp_ward_start(struct troupe_ctx *ctx, struct troupe_msg *msg);
enum troupe_verdict
trp_ward_order(struct troupe_ctx *ctx, struct trp_cell *cell, struct troupe_msg *msg);
/* A supervisor that is a child itself leaves a child behind; that one has ended. */
void trp_ward_add_orphan(struct trp_cell *cell);
void trp_ward_orphan_ended(struct trp_worker *worker, struct trp_cell *cell);
/* True when the supervised actor stays for a restart. */
bool trp_ward_keeps(struct trp_worker *worker,
                    struct trp_cell *cell,
                    enum troupe_down_reason reason);
void trp_ward_ended(struct trp_worker *worker,
                    struct trp_cell *cell,
                    enum troupe_down_reason reason);

#endif
