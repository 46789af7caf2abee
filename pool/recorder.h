#ifndef POOL_RECORDER_H
#define POOL_RECORDER_H

/*
 * The flight recorder: per worker a ring of the last events, 16 bytes each, always on. Recording is
 * two or three stores and an addition; nothing is formatted before somebody asks for a dump.
 *
 * Written by the worker alone, read by anybody at any time. All words are atomic (relaxed), the
 * count of events is released after each one. A reader takes the events whose index lies within one
 * ring length behind that count, looks at the count again afterwards, and leaves out what the
 * writer may have run over meanwhile; so the oldest few events may be missing, and none is mixed
 * (on CPUs that reorder stores the very oldest might be).
 *
 * An event: who (64 bits, mostly an actor), when (32 bits of microseconds, from the worker's last
 * look at the clock; wraps after 71 minutes), type (16), kind (4), count (12, saturated).
 */

#include "mailbox/atomic.h"

#include <troupe/observe.h>
#include <troupe/status.h>

#define TRP_RECORDER_EVENTS 4096u /* default ring length */
#define TRP_EVENT_COUNT_MAX 0xFFFu

struct troupe_pool;
struct troupe_actor_type;
struct trp_worker;

enum trp_event {
    TRP_EVENT_NONE = 0,
    TRP_EVENT_TURN = 1,    /* who: actor; type: of the last message; count: messages handled */
    TRP_EVENT_SPAWN = 2,   /* who: actor */
    TRP_EVENT_END = 3,     /* who: actor; count: enum troupe_down_reason */
    TRP_EVENT_SUSPEND = 4, /* who: actor; type: of the message that failed, 0 = none */
    TRP_EVENT_RESTART = 5, /* who: actor; count: how often so far */
    TRP_EVENT_DROP = 6,    /* who: receiver; type: of the message; count: enum troupe_drop_reason */
    TRP_EVENT_FULL = 7,    /* who: actor whose data lane reached its bound; type: of the message */
    TRP_EVENT_PARK = 8,    /* who: deadline in ns, UINT64_MAX = none */
    TRP_EVENT_WAKE = 9,    /* who: index of the worker that this one rang */
    TRP_EVENT_TIMER = 10,  /* who: actor; type: of the timer's message */
    TRP_EVENT_OVERRUN = 11, /* who: actor; type: of the message; count: trp_event_squeeze(us) */
    TRP_EVENT_POLL = 12,    /* who: 0; count: completions collected */
    TRP_EVENT_USER = 13,    /* who: the user's value; type: the user's tag */
    TRP_EVENT_KINDS = 14,
};

struct trp_recorder {
    uint64_t *words;  /* two per event; set at init, then constant */
    uint64_t next;    /* events ever recorded; released by the worker */
    uint32_t mask;    /* events in the ring - 1 */
    uint32_t time_us; /* coarse clock; the worker stores, anybody reads */
};

/* Allocates the ring from the system heap. events: power of two, 16 .. 2^20. Threads: startup */
enum troupe_status trp_recorder_init(struct trp_recorder *recorder, uint32_t events);
void trp_recorder_fini(struct trp_recorder *recorder);

/* The worker read its clock. */
static inline void trp_recorder_tick(struct trp_recorder *recorder, uint64_t now_ns)
{
    /* relaxed: a reader wants any recent value */
    trp_store_relaxed_u32(&recorder->time_us, (uint32_t)(now_ns / 1000u));
}

/* Records an event. Threads: the worker's own. Cost: three stores, no branch. */
static inline void trp_record(
    struct trp_recorder *recorder, enum trp_event kind, uint64_t who, uint16_t type, uint16_t count)
{
    uint64_t at = recorder->next;
    uint64_t *words = &recorder->words[2 * (at & recorder->mask)];
    uint64_t bounded = count < TRP_EVENT_COUNT_MAX ? count : TRP_EVENT_COUNT_MAX;
    /* relaxed: ordered by the release below; partner trp_recorder_get */
    trp_store_relaxed_u64(&words[0], who);
    trp_store_relaxed_u64(&words[1], (uint64_t)recorder->time_us << 32 | (uint64_t)type << 16 |
                                         (uint64_t)kind << 12 | bounded);
    /* release: who sees this count sees the event; partner trp_recorder_get */
    trp_store_release_u64(&recorder->next, at + 1);
}

/* An actor's turn; as trp_record, for counts that are known to fit. */
static inline void
trp_record_turn(struct trp_recorder *recorder, uint64_t who, uint16_t type, uint32_t count)
{
    uint64_t at = recorder->next;
    uint64_t *words = &recorder->words[2 * (at & recorder->mask)];
    trp_store_relaxed_u64(&words[0], who);
    trp_store_relaxed_u64(&words[1], (uint64_t)recorder->time_us << 32 | (uint32_t)type << 16 |
                                         (uint32_t)TRP_EVENT_TURN << 12 | count);
    trp_store_release_u64(&recorder->next, at + 1); /* as above */
}

/*
 * A number of 32 bits in the 12 bits of a count: 8 significant bits and an exponent, rounded down,
 * exact below 256, less than 1 % off above, at most 8,355,840. Unfold gives the number back.
 */
uint16_t trp_event_squeeze(uint64_t number);
uint32_t trp_event_unfold(uint32_t squeezed);

struct trp_recorded {
    uint64_t who;
    uint32_t time_us;
    uint16_t type;
    uint16_t count;
    enum trp_event kind;
};

/*
 * The indices that can be read at present: [*first, *end). Threads: any.
 */
void trp_recorder_range(const struct trp_recorder *recorder, uint64_t *first, uint64_t *end);

/* Event `index`; false when it was overwritten (or is not there yet). Threads: any. */
bool trp_recorder_get(const struct trp_recorder *recorder,
                      uint64_t index,
                      struct trp_recorded *event);

/*
 * What a worker does now, as seen from outside: the actor (0 = none) with its type and the type of
 * the message. A guess taken from words that may change while they are read, but each of them is a
 * value that was there. Threads: any; async-signal-safe.
 */
struct trp_peek {
    troupe_ref actor;
    const struct troupe_actor_type *type; /* NULL = none or gone */
    uint32_t msg_type; /* TRP_PEEK_NO_TYPE for timers, completions and messages taken */
};
#define TRP_PEEK_NO_TYPE UINT32_MAX
void trp_peek(const struct trp_worker *worker, struct trp_peek *peek);

/* The type of a live actor of any worker of the pool, NULL when it is gone. As trp_peek. */
const struct troupe_actor_type *trp_peek_type(const struct troupe_pool *pool, troupe_ref ref);

/*
 * Pools whose recorders are dumped by a failed assertion; at most 16, more are left out. The first
 * one hooks the dump into failed assertions, in front of a hook that is there already. Threads: any
 */
void trp_recorder_register(struct troupe_pool *pool);
void trp_recorder_unregister(struct troupe_pool *pool);

#endif
