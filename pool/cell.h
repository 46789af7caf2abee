#ifndef POOL_CELL_H
#define POOL_CELL_H

/*
 * The cell of an actor, 128 bytes, in a table of its worker that only grows. A ref is worker (8
 * bits), slot (24) and generation (32); a cell that is reused gets a new generation, so a stale ref
 * finds nobody. Everything in a cell is private to its worker except `end_word`.
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
    TRP_CELL_DRAINING = 3, /* takes no new data messages */
    TRP_CELL_ZOMBIE = 4,   /* ended; waits for armed operations and for the end node */
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

struct trp_cell {
    uint64_t end_word; /* generation << 32 | verb and queued bit; any thread */
    const struct troupe_actor_type *type;
    void *state;
    struct trp_cell *run_next; /* run queue, or list of free cells */
    struct trp_lane control;
    struct trp_lane reply;
    struct trp_lane data;
    uint64_t data_bytes;         /* 64 bits: shared buffers weigh full in each message */
    struct troupe_timer *timers; /* armed timers */
    struct trp_op *ops;          /* armed or queued operations */
    struct troupe_msg *watchers; /* monitors set on this actor (actors/core) */
    uint32_t data_count;
    uint32_t data_count_max; /* bounds of the type, defaults filled in */
    uint32_t data_bytes_max;
    uint32_t relations; /* first slot of its own asks, monitors, names (actors/core) */
    enum trp_cell_status status : 8;
    uint32_t is_scheduled : 1;  /* in the run queue or running */
    uint32_t is_end_coming : 1; /* zombie: end_msg is on its way */
    uint32_t is_full : 1;       /* mirrored in the published byte */
    uint32_t generation;
    struct troupe_msg end_msg; /* for stop, drain, kill; its `to` is the actor's own ref */
};

TROUPE_STATIC_ASSERT(sizeof(struct trp_cell) <= 144, "a cell is two cache lines and a bit");

#define TRP_CELLS_PER_CHUNK 1024u
#define TRP_CELL_CHUNKS_MAX 2048u

struct trp_cell_chunk {
    struct trp_cell cells[TRP_CELLS_PER_CHUNK];
    /* 1 = data lane at its bound; written by the owner on change, read by remote senders */
    uint8_t full[TRP_CELLS_PER_CHUNK] __attribute__((aligned(TRP_CACHE_LINE)));
};

struct trp_cell_table {
    struct trp_cell_chunk *chunks[TRP_CELL_CHUNKS_MAX]; /* release store by the owner */
    uint32_t used;                                      /* slots ever used */
    uint32_t limit;                                     /* most slots */
    uint32_t worker;                                    /* index, part of every ref */
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
    return cell->end_msg.to;
}

static inline bool trp_cell_has_messages(const struct trp_cell *cell)
{
    return !trp_lane_is_empty(&cell->control) || !trp_lane_is_empty(&cell->reply) ||
           !trp_lane_is_empty(&cell->data);
}

void trp_cells_init(struct trp_cell_table *table, uint32_t worker, uint32_t limit);
void trp_cells_fini(struct trp_cell_table *table);

/* A cell for a new actor of this type with a fresh generation; NULL at the limit. */
struct trp_cell *trp_cells_take(struct trp_cell_table *table, const struct troupe_actor_type *type);
/* The generation ends: every ref to it is stale from now on. */
void trp_cells_give(struct trp_cell_table *table, struct trp_cell *cell);

/* The live (or reserved, draining, zombie) cell behind a ref of this table; NULL when stale. */
static inline struct trp_cell *trp_cells_find(const struct trp_cell_table *table, troupe_ref ref)
{
    uint32_t slot = trp_ref_slot(ref);
    if (slot == 0 || slot >= table->used) {
        return NULL;
    }
    struct trp_cell_chunk *chunk = table->chunks[slot / TRP_CELLS_PER_CHUNK];
    struct trp_cell *cell = &chunk->cells[slot % TRP_CELLS_PER_CHUNK];
    return cell->generation == trp_ref_generation(ref) && cell->status != TRP_CELL_FREE ? cell
                                                                                        : NULL;
}

/* Publishes whether the data lane is at its bound. Owner. */
void trp_cells_publish_full(struct trp_cell_table *table, struct trp_cell *cell, bool is_full);

/* What the owner published, a hint for remote senders. Threads: any. */
bool trp_cells_is_full_hint(const struct trp_cell_table *table, troupe_ref ref);

/*
 * Asks a cell to end, from any thread. Returns the node to deliver to the cell's worker on the
 * control lane, or NULL when the ref is stale or the node is on its way already.
 */
struct troupe_msg *
trp_cells_request_end(struct trp_cell_table *table, troupe_ref ref, enum trp_end_verb verb);

/* The owner received the node: the verb asked for so far. */
enum trp_end_verb trp_cell_take_end(struct trp_cell *cell);

/*
 * The actor has ended: later requests are folded into nothing. True when the node is still on its
 * way: the cell must not be reused before it arrived.
 */
bool trp_cell_close_end(struct trp_cell *cell);

#endif
