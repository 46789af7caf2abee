#ifndef POOL_SIM_H
#define POOL_SIM_H

/*
 * The seeded simulation: one thread steps N logical workers in an order drawn from a seed, on a
 * virtual clock. The workers run the same code as the threads do (loop turn, park announcement,
 * wake, shutdown); only the driver differs. The same seed gives the same run.
 *
 * I/O is optional: io/sim supplies the table below.
 */

#include "pool/worker.h"

struct trp_sim;

/* Simulated operations; all called from inside trp_sim_step. */
struct trp_sim_io {
    void *arg;
    void (*submit)(void *arg, struct trp_worker *worker, struct trp_op *op);
    void (*cancel)(void *arg, struct trp_worker *worker, struct trp_op *op);
    void (*release)(void *arg, struct trp_worker *worker, struct trp_rx *rx);
    /* Completes what is due for this worker at now_ns. */
    void (*deliver)(void *arg, struct trp_worker *worker, uint64_t now_ns);
    /* When deliver has something for this worker next; UINT64_MAX = nothing under way. */
    uint64_t (*next_ns)(void *arg, struct trp_worker *worker);
};

/*
 * Builds a pool for simulation; config->driver is ignored. Spawn the first actors with
 * troupe_pool_spawn(trp_sim_pool(sim), ...), then trp_sim_start.
 */
struct trp_sim *
trp_sim_create(uint64_t seed, const struct troupe_pool_config *config, const struct trp_sim_io *io);
struct troupe_pool *trp_sim_pool(struct trp_sim *sim);
void trp_sim_start(struct trp_sim *sim);

/*
 * Runs one turn of one worker, or moves the clock to the next deadline when all sleep. False when
 * nothing can ever happen again (all parked, no timer, no I/O), or the pool was stopped, be it by
 * troupe_pool_stop or by the end of a troupe_pool_drain. Checks that a pool that calls itself quiet
 * is, and that nobody sleeps with work; asserts otherwise. Every so often it does trp_sim_check.
 * troupe_pool_report may be called after trp_sim_stop.
 */
bool trp_sim_step(struct trp_sim *sim);

/*
 * Walks over everything the workers have, between two steps, and asserts what holds at any moment:
 *
 *  - accepted = processed + reported + waiting (in lanes, gathered or in inboxes);
 *  - data messages sent and not dealt out are those on their way, at most the window per pair of
 *    workers, and the same for foreign threads;
 *  - lanes hold what their counters of messages and bytes say, for their own actor; the full flag,
 *    private and published, says whether the lane is at its bound;
 *  - whoever has messages is in exactly one run queue, whoever is in one is alive;
 *  - the actors alive are those counted; who is free or ended has nothing;
 *  - who waits for room is found by the flag of the cell, and was told if half of the lane is free;
 *  - an end was asked for exactly as often as its node is on its way;
 *  - timers are in the wheel or in their own actor's lane, and nowhere else;
 *  - who sleeps has nothing to do until its deadline, and its park word says so.
 *
 * Cost: O(actors + messages + timers).
 */
void trp_sim_check(struct trp_sim *sim);

/*
 * How many actors, messages and timers trp_sim_step may look at for the check per step, on average;
 * 0 = it never checks, UINT32_MAX = after each step.
 */
void trp_sim_set_check_budget(struct trp_sim *sim, uint32_t nodes_per_step);

/* Steps until trp_sim_step says false or the virtual time is reached; false if time ran out. */
bool trp_sim_run(struct trp_sim *sim, uint64_t until_ns);

/*
 * Stops the pool and runs the shutdown; afterwards troupe_pool_stats are exact. Checks that no
 * worker was parked with work and that accepted = processed + reported; asserts otherwise.
 */
void trp_sim_stop(struct trp_sim *sim);

/*
 * After trp_sim_stop: slab nodes of the workers of at most so many bytes that nobody gave back, and
 * buffers that are larger than any node. Messages, buffers and states are all gone by then; actors
 * that kept messages and were killed leave those behind, and actors/core keeps some large nodes.
 */
uint64_t trp_sim_live_nodes(struct trp_sim *sim, uint32_t bytes_max);

void trp_sim_destroy(struct trp_sim *sim);

uint64_t trp_sim_now(const struct trp_sim *sim);
uint64_t trp_sim_steps(const struct trp_sim *sim);
struct trp_random *trp_sim_random(struct trp_sim *sim);

#endif
