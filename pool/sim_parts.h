#ifndef POOL_SIM_PARTS_H
#define POOL_SIM_PARTS_H

/* What the two files of the simulation share: sim.c steps, sim_check.c checks. */

#include "pool/sim.h"

#include <troupe/assert.h>

struct trp_sim_worker {
    struct trp_sim *sim;
    struct trp_worker *worker;
    bool is_parked;
    bool is_rung;
    uint64_t deadline_ns;
};

struct trp_sim {
    struct troupe_pool *pool;
    struct trp_random random;
    uint64_t now_ns;
    uint64_t steps;
    uint32_t opened;       /* workers that have their driver state */
    uint32_t check_budget; /* nodes per step */
    uint64_t check_credit; /* nodes that may be looked at */
    uint64_t check_cost;   /* nodes that the newest check looked at */
    bool has_io;
    struct trp_sim_io io;
    struct trp_sim_worker workers[TROUPE_WORKERS_MAX];
};

/* The worker whose code runs from now on. */
struct trp_worker *trp_sim_enter(struct trp_sim *sim, uint32_t index);
/* None does. */
void trp_sim_leave(void);

/* trp_sim_check when the budget allows it. */
void trp_sim_check_sometimes(struct trp_sim *sim);

/* The counters that count messages, of all workers together; dropped[0] has those of any reason. */
void trp_sim_sum(struct trp_sim *sim, struct troupe_worker_stats *sum);

#endif
