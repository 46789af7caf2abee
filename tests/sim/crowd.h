#ifndef TESTS_SIM_CROWD_H
#define TESTS_SIM_CROWD_H

/*
 * A crowd of actors that does everything the runtime offers, and the book that an observer who sees
 * all of it keeps: which message was accepted, handled or reported, which ask, monitor, timer and
 * job is open. One simulation at a time, one thread, so the book is shared by all.
 */

#include "pool/sim.h"

#include <stdio.h>
#include <string.h>
#include <troupe/assert.h>
#include <troupe/supervise.h>

#define MS 1000000ull

#define PLACES_MAX  64u
#define RECORDS_MAX 60000u
#define LIVES_MAX   2000u
#define ASKS_MAX    8000u
#define WATCHES_MAX 4000u
#define BONDS_MAX   2000u
#define WAITS_MAX   4000u
#define GROUPS_MAX  1000u
#define KEPT_MAX    256u
#define NAMES       8u
#define TIMERS      3u
#define SHARE_MAX   12u
#define PORTS_MAX   3u

/* Types of messages; those before MSG_TRACKED_END are in the book. */
enum {
    MSG_NUMBER = 1,
    MSG_LAST,     /* sent with troupe_stop_after */
    MSG_QUESTION, /* an ask, and its answer */
    MSG_SHARED,   /* one buffer for several */
    MSG_JOB,      /* comes back from offload */
    MSG_TRACKED_END,
    MSG_DOWN,
    MSG_EXIT,
    MSG_ROOM,
    MSG_TICK,
    MSG_TIMER, /* TIMERS of them */
};

enum fate {
    FATE_UNSENT = 0,
    FATE_ACCEPTED,
    FATE_MAYBE, /* one of a group of which not all were accepted */
    FATE_HANDLED,
    FATE_REPORTED,
};

/* Of one message. */
struct record {
    troupe_ref to;
    uint64_t deadline_ns; /* 0 = none */
    uint32_t previous;    /* the one before from the same sender to the same receiver, 0 = none */
    uint32_t shut_life;   /* the receiver drained in this life when it was sent, 0 = it did not */
    uint8_t fate;
};

/* At the beginning of each tracked payload, or of the buffer. */
struct tag {
    uint32_t id;
    uint32_t count; /* MSG_SHARED: ids id .. id + count - 1, one per receiver */
    uint32_t is_deadly;
    uint32_t is_worked; /* MSG_JOB: how often work was done on it */
    troupe_ref partner; /* MSG_NUMBER: link with this one; TROUPE_NOBODY = no */
};

/* What one sender sent last to one receiver. */
struct line {
    troupe_ref to;
    uint32_t last;
};

enum open_state { OPEN_UNUSED = 0, OPEN_YES, OPEN_ENDED, OPEN_TAKEN_BACK };

struct ask {
    uint32_t life;
    uint32_t request; /* its record, 0 = none */
    uint64_t due_ns;  /* UINT64_MAX = it always hears in time */
    uint8_t state;
};

struct watch {
    uint32_t life; /* who watches */
    troupe_ref target;
    troupe_monitor_id id;
    uint8_t state;
};

/* For room at another actor. */
struct wait {
    troupe_ref ref;
    uint32_t life;       /* who waits */
    uint32_t asked_life; /* of the other one when it was asked, 0 = none or it drained */
    bool is_open;
};

/* A link that one actor asked for, and nobody took away. */
struct bond {
    uint32_t life;
    uint32_t other_life;
    bool is_void;
};

/* From the start of an actor to its end or restart. */
struct life {
    troupe_ref ref;
    bool is_over; /* terminate_cb ran */
};

/* A request that an actor keeps to answer it later. */
struct kept {
    struct troupe_msg *msg;
    uint32_t life;
    uint32_t ask; /* passed on by way of this ask of its own, 0 = not */
};

/* One call of troupe_send_many that was not accepted everywhere. */
struct group {
    uint32_t first;
    uint32_t count;
    uint32_t sent;
};

struct book {
    struct trp_sim *sim;
    struct troupe_pool *pool;
    uint32_t places;   /* actors that are to be alive at the same time */
    uint32_t leaves;   /* of these, children of the tree */
    uint32_t actions;  /* of one life */
    bool may_end_pool; /* an actor stops or drains the pool some time */
    bool is_over;      /* no new lives */
    troupe_ref top;    /* of the tree, TROUPE_NOBODY = none */
    troupe_ref refs[PLACES_MAX];
    struct record records[RECORDS_MAX];
    struct life lives[LIVES_MAX];
    struct ask asks[ASKS_MAX];
    struct watch watches[WATCHES_MAX];
    struct bond bonds[BONDS_MAX];
    struct wait waits[WAITS_MAX];
    struct group groups[GROUPS_MAX];
    struct kept kept[KEPT_MAX];
    uint32_t record_count; /* used entries; entry 0 is never used */
    uint32_t life_count;
    uint32_t ask_count;
    uint32_t watch_count;
    uint32_t bond_count;
    uint32_t wait_count;
    uint32_t group_count;
    uint64_t letters;  /* messages reported to the dead-letter hook */
    uint64_t answered; /* asks that were answered in fact */
    uint64_t downs;
    uint64_t exits; /* links felt by actors that trap */
    uint64_t expired;
    uint64_t refused; /* sends answered TROUPE_EBUSY */
    uint64_t no_memory;
    uint64_t told;     /* notices of room */
    uint64_t shut_out; /* messages reported because their receiver drained */
    uint64_t restarts;
    uint64_t fired; /* timers */
};

extern struct book book;

/* State of an actor of the crowd. */
struct member {
    uint32_t place;
    uint32_t life;
    uint32_t actions_left;
    struct troupe_timer tick;
    struct troupe_timer timers[TIMERS];
    bool is_expected[TIMERS];
    uint64_t due_ns[TIMERS];
    uint64_t period_ns[TIMERS];
    bool is_trapping;
    uint32_t quarry;        /* a place that it told to drain */
    uint32_t pursuits_left; /* turns in which it goes on sending there */
    struct line lines[PLACES_MAX];
};

/* Argument of a member. */
struct member_arg {
    uint32_t place;
};

/* Types that differ in their bounds only. */
#define MEMBER_TYPES 3u
extern const struct troupe_actor_type member_types[MEMBER_TYPES];

static inline uint32_t below(struct troupe_ctx *ctx, uint32_t bound)
{
    return (uint32_t)(troupe_random(ctx) % bound);
}

static inline bool one_in(struct troupe_ctx *ctx, uint32_t times)
{
    return below(ctx, times) == 0;
}

/* --- crowd_run.c --- */

/* What a run is made of; together with the program it is always the same run. */
struct crowd_run {
    uint64_t seed;
    uint32_t actors;
    uint64_t steps;   /* at most */
    uint32_t actions; /* of one life, about */
};

/* What many seeds together must have seen, or the sweep proves little. */
struct crowd_totals {
    uint64_t answered, downs, exits, expired, refused, no_memory, restarts, fired, told, shut_out,
        letters, settled, steps, messages, full;
};

/* False when there was no memory for the pool. Everything is checked; *totals grows. */
bool crowd_run(const struct crowd_run *run, struct crowd_totals *totals);

/* --- crowd_book.c --- */

/*
 * A new record at the end of a line; 0 when the book is full. line NULL: not for the data lane, so
 * there is no order with the rest and one that drains takes it too.
 */
uint32_t crowd_record(troupe_ref to, struct line *line, uint64_t deadline_ns);
/* What a call answered that may be refused: nothing but the ways that are written down. */
void crowd_refused(enum troupe_status status);
/* What troupe_send said about it. */
void crowd_sent(uint32_t id, enum troupe_status status);
/* A tracked message reached its handler: finds its record and checks what can be checked. */
uint32_t crowd_received(struct troupe_ctx *ctx, const struct troupe_msg *msg);
void crowd_handled(uint32_t id);
/* For config.dead_letter_cb. */
void crowd_dead_letter(void *arg, const struct troupe_msg *msg, enum troupe_drop_reason reason);

/* New entries; 0 when there is no place. */
uint32_t crowd_life_begins(troupe_ref ref);
uint32_t crowd_ask_new(uint32_t life, uint64_t timeout_ns);
uint32_t crowd_watch_new(uint32_t life, troupe_ref target);
void crowd_life_ends(uint32_t life);
void crowd_ask_ended(uint32_t id, uint32_t life, const struct troupe_answer *answer);
void crowd_down(uint32_t life, const struct troupe_msg *msg);
/* The actor asked for a link, or took one away. */
void crowd_linked(uint32_t life, troupe_ref other);
void crowd_unlinked(uint32_t life, troupe_ref other);

/* The cell of an actor that has not ended for good, on any worker; NULL when it has. */
struct trp_cell *crowd_cell(troupe_ref ref);

/* The life that a member of the crowd lives with this status (enum trp_cell_status); 0 = none. */
uint32_t crowd_life_of(troupe_ref ref, uint8_t status);
/* Nobody has ended or restarted it since. */
bool crowd_is_current(uint32_t life);
/* Where the actor lives; book.places = nowhere any more. */
uint32_t crowd_place_of(troupe_ref ref);

/* While nothing is under way: what is open has a living owner. */
void crowd_check_settled(void);
/* After the pool has stopped: every message was handled or reported, all memory is back. */
void crowd_check_over(void);

/* --- crowd_act.c, crowd_talk.c, crowd_keep.c --- */

/* Does something at random; the verdict is the actor's own. */
enum troupe_verdict crowd_act(struct troupe_ctx *ctx, struct member *member);
void crowd_pursue(struct troupe_ctx *ctx, struct member *member);
bool crowd_send(struct troupe_ctx *ctx, struct member *member, uint32_t place);
/* Tells two actors to link with each other, so that they do it at the same time. */
void crowd_match(struct troupe_ctx *ctx, struct member *member);
void crowd_link(struct troupe_ctx *ctx, struct member *member, troupe_ref other);
void crowd_share(struct troupe_ctx *ctx, struct member *member);
void crowd_send_last(struct troupe_ctx *ctx, struct member *member, uint32_t place);
void crowd_flood(struct troupe_ctx *ctx, struct member *member);
void crowd_offload(struct troupe_ctx *ctx, struct member *member);
uint32_t crowd_ask(struct troupe_ctx *ctx, struct member *member, uint32_t place);
/* A question arrived: answers, keeps or drops it. */
void crowd_question(struct troupe_ctx *ctx, struct member *member, struct troupe_msg *msg);
/* Answers or drops one of the requests that it keeps. */
void crowd_settle_kept(struct troupe_ctx *ctx, struct member *member);
void crowd_drop_kept(struct troupe_ctx *ctx, uint32_t life);

/* --- crowd_room.c --- */

/* The actor asks to be told when that one has room. */
void crowd_await(struct troupe_ctx *ctx, struct member *member, troupe_ref ref);
/* It was told. */
enum troupe_verdict
crowd_told(struct troupe_ctx *ctx, struct member *member, struct troupe_msg *msg);
/* While nothing is under way: who still waits, does so at an actor that nobody restarts. */
void crowd_check_waits(void);

/* --- crowd_tree.c --- */

/* Reserves a tree of supervisors whose leaves are places 0 .. leaves - 1. */
void crowd_plant(struct trp_random *random);
void crowd_supervise(struct troupe_ctx *ctx, struct member *member);

/* --- crowd_port.c --- */

void crowd_ports_open(void);
/* Something from outside, between two steps. */
void crowd_ports_act(struct trp_random *random);
void crowd_ports_close(void);

#endif
