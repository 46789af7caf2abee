#ifndef POOL_CELL_H
#define POOL_CELL_H

/*
 * The cell of an actor, in a table of its worker that only grows. A ref is worker (8 bits), slot
 * (24) and generation (32); a cell that is given back gets a new generation, so a stale ref finds
 * nobody. Everything here is private to the worker except `end_word` and the published full byte.
 */

#include "mailbox/atomic.h"
#include "mailbox/lane.h"
#include "pool/driver.h"

#include <troupe/actor.h>
#include <troupe/assert.h>

enum trp_cell_status {
    TRP_CELL_FREE = 0,
    TRP_CELL_RESERVED = 1, /* spawned before start; init has not run */
    TRP_CELL_ALIVE = 2,
    TRP_CELL_DRAINING = 3,  /* takes no new data messages */
    TRP_CELL_ZOMBIE = 4,    /* ended; waits for armed operations and for the end node */
    TRP_CELL_SUSPENDED = 5, /* failed; keeps its mailbox until its supervisor restarts it */
};

/* Why a data message may not simply be appended; 0 = it may. */
enum {
    TRP_GATE_STATUS = 1,  /* not alive */
    TRP_GATE_FULL = 2,    /* data lane at its bound; mirrored in the published byte */
    TRP_GATE_AWAITED = 4, /* refuses nothing: actors wait for room, a turn's end has to look */
};

/* `priority`: a flag and two runs. */
enum {
    TRP_PRIORITY_LANES = 0x01, /* the control or reply lane is not empty (or was so lately) */
    TRP_PRIORITY_CONTROL = 0x02,
    TRP_PRIORITY_CONTROLS = 0x0E, /* control messages in a row: after 7 others have a turn */
    TRP_PRIORITY_REPLY = 0x10,
    TRP_PRIORITY_REPLIES = 0xF0, /* replies since the last data message: after 15 it has its turn */
};

/* The low bits of end_word; the generation is above them. */
enum {
    TRP_END_VERB_MASK = 0x0F, /* enum trp_end_verb asked for, the harshest so far */
    TRP_END_QUEUED = 0x10,    /* the embedded node is on its way */
};

enum trp_end_verb {
    TRP_END_NONE = 0,
    TRP_END_DRAIN = 1,
    TRP_END_STOP = 2,
    TRP_END_KILL = 3,
    TRP_END_OVER = 15, /* ended: nothing is harsher */
};

/* What is rarely needed of an actor; zero for a new one. */
struct trp_cell_extra {
    struct troupe_msg *watchers; /* monitors set on this actor (actors/core) */
    void *child;                 /* its place at a supervisor (actors/core), NULL = none */
    uint64_t busy_ns;            /* time in its handler, from samples */
    struct trp_lane waiters;     /* who waits for room, oldest first (actors/core) */
};

/* In the order of use: sending and running touch the first two cache lines. */
struct trp_cell {
    troupe_ref ref;       /* its own; a free cell has the one that it will get next */
    uint8_t status;       /* enum trp_cell_status; written by trp_cell_set_status */
    uint8_t gate;         /* TRP_GATE_* */
    uint8_t is_scheduled; /* in the run queue or running */
    uint8_t priority;     /* TRP_PRIORITY_*, 0 = only the data lane matters */
    uint32_t processed;   /* messages handled (wraps) */
    void *state;
    const struct troupe_actor_type *type;
    struct trp_cell *run_next; /* run queue, or list of free cells */
    struct trp_lane data;
    int64_t byte_room; /* bytes until the bound, less one; shared buffers weigh full each time */
    int32_t data_room; /* messages until the bound, less one: negative = full */
    int32_t data_room_min; /* smallest data_room at the start of a turn */
    struct trp_lane reply;
    struct trp_lane control;
    /* for stop, drain, kill; its `to` is the actor's own ref, its `size` how many messages of the
     * reply lane a draining actor still has to see */
    struct troupe_msg end_msg;
    uint64_t end_word;           /* generation << 32 | verb and queued bit; any thread */
    struct troupe_timer *timers; /* armed timers */
    struct trp_op *ops;          /* armed or queued operations */
    struct trp_cell_extra extra;
    uint32_t relations;    /* first slot of its own asks, monitors, names (actors/core) */
    uint8_t is_end_coming; /* zombie: end_msg is on its way */
    uint8_t room_ramp;     /* at most 1 << this are told of room at a time (actors/core) */
    uint16_t room_told;    /* notices of room that were not obeyed yet; stays at its most */
};

TROUPE_STATIC_ASSERT(sizeof(struct trp_cell) <= 176, "a million idle actors must stay cheap");

#define TRP_CELLS_MAX (1u << 21)

/*
 * The table: one run of addresses reserved for all cells the worker may ever have, of which only
 * the beginning is memory.
 */
struct trp_cell_table {
    struct trp_cell *cells; /* constant after init */
    /* per cell, 1 = data lane at its bound; written by the owner on change, read by remote senders
     */
    uint8_t *full;
    uint32_t used;      /* slots ever used, 0 = not even slot 0, which is nobody's */
    uint32_t committed; /* slots that are memory; release store by the owner */
    uint32_t limit;     /* most slots */
    uint32_t worker;    /* index, part of every ref */
    struct trp_cell *free_cells;
};

static inline troupe_ref trp_ref_make(uint32_t worker, uint32_t slot, uint32_t generation)
{
    return (uint64_t)worker << 56 | (uint64_t)slot << 32 | generation;
}

static inline uint32_t trp_ref_slot(troupe_ref ref)
{
    return (uint32_t)(ref >> 32) & 0xFFFFFFu;
}

static inline uint32_t trp_ref_generation(troupe_ref ref)
{
    return (uint32_t)ref;
}

static inline troupe_ref trp_cell_ref(const struct trp_cell *cell)
{
    return cell->ref;
}

static inline bool trp_cell_has_messages(const struct trp_cell *cell)
{
    return !trp_lane_is_empty(&cell->control) || !trp_lane_is_empty(&cell->reply) ||
           !trp_lane_is_empty(&cell->data);
}

/* limit: most cells, 0 = all that a table can hold. TROUPE_ENOMEM without address space. */
enum troupe_status
trp_cells_init(struct trp_cell_table *table, uint32_t worker, uint32_t limit) TROUPE_MUST_USE;
void trp_cells_fini(struct trp_cell_table *table);

/* A cell for a new actor of this type with a fresh generation; NULL at the limit. */
struct trp_cell *trp_cells_take(struct trp_cell_table *table, const struct troupe_actor_type *type);
/* The generation ends: every ref to it is stale from now on. */
void trp_cells_give(struct trp_cell_table *table, struct trp_cell *cell);

/* The cell behind a ref of this table, whatever its status but free; NULL when stale. */
static inline struct trp_cell *trp_cells_find(const struct trp_cell_table *table, troupe_ref ref)
{
    uint32_t slot = trp_ref_slot(ref);
    if (__builtin_expect(slot >= table->used, 0)) {
        return NULL;
    }
    struct trp_cell *cell = &table->cells[slot];
    return cell->ref == ref ? cell : NULL; /* a free cell's ref nobody has yet */
}

/* The cell in a slot below `used`, also a free one. Owner. */
static inline struct trp_cell *trp_cells_at(const struct trp_cell_table *table, uint32_t slot)
{
    return &table->cells[slot];
}

/* The cell in a slot, free or not; NULL when there is no memory yet. Threads: any. */
static inline struct trp_cell *trp_cells_peek(const struct trp_cell_table *table, uint32_t slot)
{
    /* acquire: pairs with the release store in trp_cells_take */
    return slot < trp_load_acquire_u32(&table->committed) ? &table->cells[slot] : NULL;
}

static inline void trp_cell_set_status(struct trp_cell *cell, enum trp_cell_status status)
{
    cell->status = (uint8_t)status;
    cell->gate = (uint8_t)((cell->gate & ~TRP_GATE_STATUS) |
                           (status == TRP_CELL_ALIVE ? 0 : TRP_GATE_STATUS));
}

/* Bounds of the data lane; what the type leaves open is filled in. */
int32_t trp_cell_count_max(const struct trp_cell *cell);
int64_t trp_cell_bytes_max(const struct trp_cell *cell);

static inline bool trp_cell_is_at_bound(const struct trp_cell *cell)
{
    return ((int64_t)cell->data_room | cell->byte_room) < 0;
}

/* Messages and bytes in the data lane. */
static inline uint32_t trp_cell_depth(const struct trp_cell *cell)
{
    return (uint32_t)(trp_cell_count_max(cell) - 1 - cell->data_room);
}

/* The most messages that waited at the start of a turn. */
static inline uint32_t trp_cell_depth_max(const struct trp_cell *cell)
{
    return (uint32_t)(trp_cell_count_max(cell) - 1 - cell->data_room_min);
}

static inline uint64_t trp_cell_bytes(const struct trp_cell *cell)
{
    return (uint64_t)(trp_cell_bytes_max(cell) - 1 - cell->byte_room);
}

/* The data lane reached its bound, or is below it again. Owner. */
void trp_cells_publish_full(struct trp_cell_table *table, struct trp_cell *cell, bool is_full);

/* What the owner published, a hint for remote senders. Threads: any. */
bool trp_cells_is_full_hint(const struct trp_cell_table *table, troupe_ref ref);

/*
 * Asks a cell to end, from any thread. Returns the node to deliver to the cell's worker on the
 * control lane, or NULL when the ref is stale or the node is on its way already.
 */
struct troupe_msg *
trp_cells_request_end(struct trp_cell_table *table, troupe_ref ref, enum trp_end_verb verb);

/* The verb asked for so far. Owner. */
static inline enum trp_end_verb trp_cell_asked_end(const struct trp_cell *cell)
{
    /* relaxed: partner trp_cells_request_end */
    return (enum trp_end_verb)(trp_load_relaxed_u64(&cell->end_word) & TRP_END_VERB_MASK);
}

/* The owner received the node: the verb asked for so far. */
enum trp_end_verb trp_cell_take_end(struct trp_cell *cell);

/*
 * The actor has ended: later requests are folded into nothing. True when the node is still on its
 * way: the cell must not be reused before it arrived.
 */
bool trp_cell_close_end(struct trp_cell *cell);

#endif
