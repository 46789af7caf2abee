#ifndef TESTS_STRESS_STRESS_H
#define TESTS_STRESS_STRESS_H

/*
 * What the parts of the stress program share: the book that the independent checkers keep.
 *
 * There are PLACES places. In each lives one actor at a time, and the next one when it is gone;
 * those in the first CHILDREN places are children of a supervisor. Every sender numbers its
 * messages per receiver, so that a receiver sees what is lost, doubled or out of order.
 */

#include "mailbox/atomic.h"

#include <troupe/assert.h>
#include <troupe/net.h>
#include <troupe/supervise.h>

#define CHILDREN 16u
#define PLACES   96u
#define FOREIGN  2u
#define SENDERS  (PLACES + FOREIGN)
#define STREAMS  (1u << 20) /* more than a pool ever begins */

enum {
    MSG_NUMBER = 1, /* struct numbered; sent == handled + lost, counted by the program itself */
    MSG_LAST,       /* the same, with troupe_stop_after */
    MSG_TICK,
    MSG_KICK,
    MSG_QUESTION,
    MSG_DOWN,
    MSG_EXIT,
    MSG_JOB,
};

enum count {
    COUNT_SENT = 0, /* numbered messages that a send answered TROUPE_OK */
    COUNT_HANDLED,
    COUNT_LOST, /* reported to the dead-letter hook */
    COUNT_GAPS, /* of them, those whose successors were handled */
    COUNT_REFUSED,
    COUNT_REPORTED, /* messages of any kind that the hook saw */
    COUNT_ASKS,
    COUNT_ANSWERS,
    COUNT_BIRTHS,
    COUNT_DOWNS,
    COUNT_JOBS,
    COUNT_ECHOES,
    COUNTS,
};

struct numbered {
    struct troupe_buf *buf; /* with TROUPE_MSG_OWNS_BUF, else NULL */
    uint64_t stream;        /* unique for a sender, a place and whoever was seen to live there */
    uint64_t number;        /* in that stream */
    uint32_t from_place;
};

/* Of one sender, per receiver. */
struct numbering {
    troupe_ref refs[PLACES];
    uint64_t streams[PLACES];
    uint64_t next[PLACES];
};

struct book {
    /* of the current pool, constant while it runs */
    struct troupe_pool *pool;
    bool has_sockets;
    char address[TROUPE_NET_ADDRESS_MAX];
    troupe_ref stopper; /* stops the pool from inside when it gets MSG_KICK */
    /* shared words */
    uint64_t refs[PLACES]; /* who lives there, a hint */
    uint64_t numbers;      /* newest unique number */
    uint64_t counts[COUNTS];
    uint64_t lost[STREAMS]; /* reported messages of each stream, by stream % STREAMS */
};

extern struct book book;

/* Relaxed in effect, a full barrier in fact: counters are compared after all threads ended. */
static inline void count(enum count which)
{
    trp_faa_u64(&book.counts[which], 1); /* no partner: a sum */
}

static inline uint64_t unique_number(void)
{
    return trp_faa_u64(&book.numbers, 1) + 1; /* no partner */
}

/* Fills in stream and number of the next message to a place; returns to whom it goes. */
troupe_ref number_next(struct numbering *numbering, uint32_t place, struct numbered *numbered);
/* It was accepted. */
void number_used(struct numbering *numbering, uint32_t place);

/* crowd.c: reserves a gardener on each worker, who fills the places. */
void crowd_spawn(struct troupe_pool *pool);

/* wire.c */
extern const struct troupe_actor_type echo_server_type;
void echo_clients_spawn(struct troupe_pool *pool, uint32_t per_worker);
/* A foreign thread that sends numbered messages until the pool is closed; arg = its number. */
void *foreign_main(void *arg);

#endif
