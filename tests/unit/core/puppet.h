#ifndef TESTS_UNIT_CORE_PUPPET_H
#define TESTS_UNIT_CORE_PUPPET_H

/*
 * Actors that do what a test tells them, in a simulated pool; what happens to them goes into a book
 * that the test reads between steps. One simulation at a time.
 */

#include "tests/cmocka.h"

#include "pool/sim.h"

#include <troupe/relations.h>
#include <troupe/supervise.h>

#define PUPPETS 24u
#define LOG_MAX 512u

enum {
    MSG_WORK = 1,  /* logs its value */
    MSG_FAIL,      /* returns TROUPE_FAIL */
    MSG_QUIT,      /* returns TROUPE_STOP */
    MSG_DO,        /* calls a function of the test */
    MSG_DOWN,      /* of a monitor */
    MSG_EXIT,      /* of a link, when trapped */
    MSG_QUESTION,  /* logs its value and replies with it */
    MSG_FAIL_TOLD, /* as MSG_FAIL, whoever asks */
};

struct puppet; /* state of one */

typedef void (*act_fn)(struct troupe_ctx *ctx, uint32_t who, uint64_t value);

enum event_kind { EVENT_INIT, EVENT_INIT_FAILED, EVENT_TERMINATE };

struct event {
    uint32_t who;
    enum event_kind kind;
    enum troupe_down_reason reason;
    uint64_t at_ns;
};

struct book {
    troupe_ref ref; /* of the newest life */
    uint32_t lives;
    uint32_t terminates;
    uint32_t inits_to_fail; /* the next so many inits fail */
    uint32_t state_seen;    /* what init found in its state, or-ed: 0 = always zeroed */
    uint64_t log[LOG_MAX];
    uint32_t logged;
    uint32_t downs;
    struct troupe_down last_down;
    uint32_t exits;
    struct troupe_down last_exit;
    uint32_t answers;
    enum troupe_status answer_statuses[LOG_MAX];
    uint64_t answer_values[LOG_MAX];
};

extern struct world {
    struct trp_sim *sim;
    struct troupe_pool *pool;
    struct troupe_port *port;
    struct book books[PUPPETS];
    struct event events[LOG_MAX];
    uint32_t event_count;
    uint64_t drops[TROUPE_DROP_REASONS]; /* of messages of puppets */
    struct troupe_child_list list;       /* answer to act_list */
    uint32_t ghosts;                     /* messages to puppets by somebody who should not */
} world;

/* The argument of a puppet: its number. */
struct puppet_arg {
    uint32_t who;
    uint32_t check; /* PUPPET_CHECK: the argument came whole */
};
#define PUPPET_CHECK 0xC0FFEEu

extern const struct troupe_actor_type puppet_type;
extern const struct puppet_arg puppet_args[PUPPETS];

void world_open(uint64_t seed, uint32_t workers);
void world_open_with(uint64_t seed, uint32_t workers, uint64_t memory_max);
/* A puppet outside of all supervision, from the start. */
troupe_ref world_puppet(uint32_t worker, uint32_t who);
/* A supervisor outside of all supervision, from the start. */
troupe_ref world_supervisor(uint32_t worker, const struct troupe_supervisor_spec *spec);
void world_start(void);
void world_run_ms(uint64_t ms);
/* Stops the pool; the simulation checks that no message was lost. */
void world_close(void);

/* A child of a spec: the puppet `who` on a worker. */
struct troupe_child_spec child_of(uint32_t who, uint32_t worker, enum troupe_restart restart);

/* From outside the pool. */
void tell(troupe_ref to, uint16_t type, uint64_t value);
void make(troupe_ref to, act_fn act, uint64_t value);

/* Things to make a puppet do. */
void act_stop(struct troupe_ctx *ctx, uint32_t who, uint64_t ref);
void act_drain(struct troupe_ctx *ctx, uint32_t who, uint64_t ref);
void act_kill(struct troupe_ctx *ctx, uint32_t who, uint64_t ref);
void act_monitor(struct troupe_ctx *ctx, uint32_t who, uint64_t ref);
void act_link(struct troupe_ctx *ctx, uint32_t who, uint64_t ref);
void act_unlink(struct troupe_ctx *ctx, uint32_t who, uint64_t ref);
void act_trap(struct troupe_ctx *ctx, uint32_t who, uint64_t type);

/* Takes all memory of its worker that messages can have. */
void act_hoard(struct troupe_ctx *ctx, uint32_t who, uint64_t value);
/* Lists the children of a supervisor into world.list. */
void act_list(struct troupe_ctx *ctx, uint32_t who, uint64_t sup);

/* Answers of asks go into the asker's book; a u64 payload is its value. */
enum troupe_verdict note_answer(struct troupe_ctx *ctx,
                                void *state,
                                const struct troupe_answer *answer,
                                uint64_t cookie);

#endif
