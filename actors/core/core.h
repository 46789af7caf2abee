#ifndef ACTORS_CORE_CORE_H
#define ACTORS_CORE_CORE_H

/*
 * What core keeps per worker: a table of slots, one per relation that an actor of this worker began
 * (a pending ask, a monitor it set, a name it bears). An id is slot and generation, so an answer
 * that comes after its relation ended finds nothing.
 */

#include "pool/worker.h"

#include <stddef.h>
#include <troupe/assert.h>
#include <troupe/relations.h>

enum {
    TRP_MSG_CORE_MONITOR = TRP_MSG_CORE + 0,     /* request; then the record at the watched actor */
    TRP_MSG_CORE_DEMONITOR = TRP_MSG_CORE + 1,   /* takes a record away */
    TRP_MSG_CORE_DOWN = TRP_MSG_CORE + 2,        /* the record, on its way back */
    TRP_MSG_CORE_SPAWN = TRP_MSG_CORE + 3,       /* spawn on another worker */
    TRP_MSG_CORE_TIMEOUT = TRP_MSG_CORE + 4,     /* deadline of an ask (timer, reply lane) */
    TRP_MSG_CORE_LINK = TRP_MSG_CORE + 5,        /* request; then the record at the other end */
    TRP_MSG_CORE_UNRECORD = TRP_MSG_CORE + 6,    /* from who asked for the link: it ended */
    TRP_MSG_CORE_EXIT = TRP_MSG_CORE + 7,        /* the record, on its way back: the link ended */
    TRP_MSG_CORE_CHILD_START = TRP_MSG_CORE + 8, /* supervisor to the worker of a child */
    TRP_MSG_CORE_CHILD_ORDER = TRP_MSG_CORE + 9, /* supervisor to its child */
    TRP_MSG_CORE_CHILD_NOTICE = TRP_MSG_CORE + 10, /* child to its supervisor */
    TRP_MSG_CORE_ROOM = TRP_MSG_CORE + 11,         /* request; then the record at the receiver */
    TRP_MSG_CORE_ROOM_END = TRP_MSG_CORE + 12,     /* from who waited: it was told, or it ended */
};

enum trp_relation_kind {
    TRP_RELATION_FREE = 0,
    TRP_RELATION_ASK,
    TRP_RELATION_MONITOR,
    TRP_RELATION_NAME,
    TRP_RELATION_LINK,  /* a link that this actor asked for */
    TRP_RELATION_TRAP,  /* it wants exits as messages; always the actor's first */
    TRP_RELATION_CHILD, /* a child that this supervisor looks after */
    TRP_RELATION_ROOM,  /* a wait for room in another one's lane */
};

struct trp_registry_entry;
struct trp_child;

struct trp_relation {
    uint32_t generation;
    uint32_t slot;
    enum trp_relation_kind kind;
    uint32_t next; /* slots of the same actor; or free list; 0 = end */
    uint32_t previous;
    struct trp_cell *owner;
    union {
        struct {
            struct troupe_timer timer;
            troupe_answer_cb answer_cb;
            uint64_t cookie;
        } ask;
        struct {
            troupe_ref target;
            struct troupe_msg *demonitor; /* reserved, so that ending needs no memory */
        } monitor;
        struct {
            struct trp_registry_entry *entry;
        } name;
        struct {
            troupe_ref target;
            struct troupe_msg *ending; /* reserved, so that ending needs no memory */
            uint32_t chain;            /* slots in trp_link_table; 0 = end */
        } link;
        struct {
            troupe_ref target;
            struct troupe_msg *ending; /* reserved, so that ending needs no memory */
        } room;
        struct {
            uint16_t type;
        } trap;
        struct {
            struct trp_child *child;
        } child;
    };
};

/*
 * A record in an actor's list of watchers (cell->extra.watchers, linked by msg->next): what a
 * monitor or a link left there. The payload of its node begins with this.
 */
struct trp_watcher {
    struct troupe_down down;   /* first: what a handler gets when it travels back */
    troupe_ref asker;          /* who set the monitor, asked for the link */
    uint64_t id;               /* its relation */
    struct troupe_msg **place; /* what points at the record */
};

#define TRP_RELATIONS_PER_CHUNK 256u
#define TRP_RELATION_CHUNKS_MAX 16384u

struct trp_core {
    struct trp_relation *chunks[TRP_RELATION_CHUNKS_MAX];
    uint32_t used; /* slots ever used; slot 0 is never used */
    uint32_t free_slot;
};

#define TRP_LINK_CHAINS 16384u

/* Per worker, hash tables by the two actors of a link. Fixed, so that no link has to wait for a
 * larger one; mostly never touched. */
struct trp_link_table {
    uint32_t links[TRP_LINK_CHAINS];             /* relations: links that actors here asked for */
    struct troupe_msg *records[TRP_LINK_CHAINS]; /* at actors here */
};

/* Installs the hooks and makes the worker's table; NULL when out of memory. */
struct trp_core *trp_core_get(struct trp_worker *worker);

/* A slot linked to its owner; NULL when out of memory. */
struct trp_relation *
trp_relation_new(struct trp_worker *worker, struct trp_cell *owner, enum trp_relation_kind kind);
/* Unlinks and frees; the id is stale from now on. */
void trp_relation_free(struct trp_worker *worker, struct trp_relation *relation);

/* What a relation begins with, and what is kept for its end, which then needs no memory. */
struct trp_pair {
    uint16_t request_type;
    uint16_t ending_type;
    uint32_t request_size; /* bytes of payload */
    uint32_t ending_size;
    struct troupe_msg *request; /* made, payload zeroed */
    struct troupe_msg *ending;
};
/* All three or, when out of memory, NULL and nothing. */
struct trp_relation *trp_relation_reserve(struct trp_worker *worker,
                                          struct trp_cell *owner,
                                          enum trp_relation_kind kind,
                                          struct trp_pair *pair);
/* Undoes it before anything was sent. */
void trp_relation_unreserve(struct trp_worker *worker,
                            struct trp_relation *relation,
                            const struct trp_pair *pair);

/* The live relation behind an id, NULL when stale. */
struct trp_relation *
trp_relation_find(struct trp_worker *worker, uint64_t id, enum trp_relation_kind kind);
struct trp_relation *trp_relation_at(struct trp_worker *worker, uint32_t slot);

static inline uint64_t trp_relation_id(const struct trp_relation *relation)
{
    return (uint64_t)relation->slot << 32 | relation->generation;
}

/* --- ask.c --- */
enum troupe_verdict trp_ask_reply(struct troupe_ctx *ctx, struct troupe_msg *msg);
void trp_ask_unanswered(struct trp_worker *worker,
                        struct troupe_msg *msg,
                        enum troupe_status status);
/* The deadline of a request that is kept has passed: nobody waits for its answer any more. */
bool trp_ask_is_over(struct trp_worker *worker, struct troupe_msg *msg);
void trp_ask_end(struct trp_worker *worker, struct trp_relation *relation);
/* Answers with a payload from outside a handler of the asked actor. Takes the message. */
enum troupe_status trp_ask_answer(struct trp_worker *worker,
                                  struct troupe_msg *msg,
                                  uint16_t type,
                                  struct troupe_span payload);
/* Reserves the asker's side and builds the request; *relation has no timer yet. */
struct troupe_msg *trp_ask_prepare(struct troupe_ctx *ctx,
                                   struct trp_relation **relation,
                                   uint16_t type,
                                   uint32_t size,
                                   uint64_t timeout_ns);
void trp_spawn_request(struct troupe_ctx *ctx, struct troupe_msg *msg);

/* --- watchers --- */
static inline struct trp_watcher *trp_watcher_of(const struct troupe_msg *msg)
{
    return troupe_msg_data(msg);
}

static inline void trp_watcher_hang(struct trp_cell *cell, struct troupe_msg *msg)
{
    struct troupe_msg *next = cell->extra.watchers;
    msg->next = next;
    if (next != NULL) {
        trp_watcher_of(next)->place = &msg->next;
    }
    trp_watcher_of(msg)->place = &cell->extra.watchers;
    cell->extra.watchers = msg;
}

static inline void trp_watcher_take(struct troupe_msg *msg)
{
    struct troupe_msg **place = trp_watcher_of(msg)->place;
    TROUPE_ASSERT(*place == msg);
    *place = msg->next;
    if (msg->next != NULL) {
        trp_watcher_of(msg->next)->place = place;
    }
}

/*
 * The cell of an actor of this worker that did not end, otherwise NULL: what one would tell it may
 * be written there at once. Then it is there before the actor's next message, also one that ends it
 * and was sent before.
 */
static inline struct trp_cell *trp_core_cell_here(struct trp_worker *worker, troupe_ref ref)
{
    struct trp_cell *cell =
        troupe_ref_worker(ref) == worker->index ? trp_cells_find(&worker->cells, ref) : NULL;
    bool is_there =
        cell != NULL && cell->status != TRP_CELL_FREE && cell->status != TRP_CELL_ZOMBIE;
    return is_there ? cell : NULL;
}

/* --- monitor.c --- */
enum troupe_verdict
trp_monitor_control(struct troupe_ctx *ctx, struct trp_cell *cell, struct troupe_msg *msg);
/* Tells the watchers: all of them, or only the other ends of links (monitors outlast a restart). */
void trp_monitor_tell(struct trp_worker *worker,
                      struct trp_cell *cell,
                      enum troupe_down_reason reason,
                      bool is_only_links);
void trp_monitor_end(struct trp_worker *worker, struct trp_relation *relation);

/* A message from core for the user: hands it to the actor and frees it, or reports a failed one. */
enum troupe_verdict
trp_core_hand_over(struct troupe_ctx *ctx, struct trp_cell *cell, struct troupe_msg *msg);

/* Ends everything that the actor began: asks, monitors, links, names, children. */
void trp_relations_end_all(struct trp_worker *worker,
                           struct trp_cell *cell,
                           enum troupe_down_reason reason);

/* --- link.c --- */
enum troupe_verdict
trp_link_control(struct troupe_ctx *ctx, struct trp_cell *cell, struct troupe_msg *msg);
/* A record of a link, out of the actor's list of watchers: its other end hears of the end. */
void trp_link_tell(struct trp_worker *worker,
                   struct trp_cell *cell,
                   struct troupe_msg *msg,
                   enum troupe_down_reason reason);
void trp_link_end(struct trp_worker *worker,
                  struct trp_relation *relation,
                  enum troupe_down_reason reason);

/* --- ward.c --- */
/* Of a suspended actor: how its last life ended. */
enum troupe_down_reason trp_ward_reason(const struct trp_cell *cell);

/* --- room.c --- */
enum troupe_verdict
trp_room_control(struct troupe_ctx *ctx, struct trp_cell *cell, struct troupe_msg *msg);
/* A notice arrived at who waits; it stays in the context unless the handler takes it. */
enum troupe_verdict trp_room_notice(struct troupe_ctx *ctx, struct troupe_msg *msg);
/* Tells as many as may go on now. */
void trp_room_tell(struct trp_worker *worker, struct trp_cell *cell);
/* The receiver is gone: tells all. */
void trp_room_tell_dead(struct trp_worker *worker, struct trp_cell *cell);
void trp_room_end(struct trp_worker *worker, struct trp_relation *relation);

/* --- registry.c: what is kept per pool --- */
/* Of this worker; NULL without memory, or when nobody in the pool asked for it to be made. Once it
 * was made for one worker, it is there for all. */
struct trp_link_table *trp_registry_links(struct trp_worker *worker, bool is_made);
void trp_registry_end(struct trp_worker *worker, struct trp_relation *relation);
void trp_registry_free(struct trp_registry *registry);

#endif
