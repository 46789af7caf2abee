#ifndef TESTS_UNIT_POOL_FIXTURE_H
#define TESTS_UNIT_POOL_FIXTURE_H

/*
 * The pool under test, on threads or in the simulation: one at a time, with a dead-letter hook that
 * counts, two semaphores for tests that hold a handler or a job, and an end that checks that no
 * message was lost.
 */

#include <semaphore.h>
#include <troupe/pool.h>

struct trp_sim;

enum { MSG_GO = 1 }; /* of fixture_go; a test's own types come behind it */

extern struct fixture {
    struct troupe_pool *pool;
    struct trp_sim *sim;                   /* NULL = on threads */
    uint32_t letters[TROUPE_DROP_REASONS]; /* calls of the dead-letter hook; atomic */
    sem_t entered;                         /* these two are the test's, both begin at 0 */
    sem_t leave;
} fixture;

/*
 * Begins anew with a pool of this configuration, which may name a dead-letter hook of the test's
 * own that calls fixture_count_letter.
 */
void fixture_create(const struct troupe_pool_config *config);
void fixture_create_sim(uint64_t seed, const struct troupe_pool_config *config);

/* For most tests: workers that park at once. The pool is also fixture.pool. */
struct troupe_pool *fixture_create_parking(uint32_t workers);

troupe_ref fixture_add(uint32_t worker, const struct troupe_actor_type *type, const void *arg);
void fixture_start(void);

/* In the simulation: runs until nothing can happen any more, which must be within this time. */
void fixture_run_sim(uint64_t ns);

struct fixture_end {
    struct troupe_worker_stats sum; /* of the members that are checked, and spawned */
    struct troupe_pool_report report;
};

/*
 * Waits until the pool has stopped (in the simulation: stops it) and destroys it. Checks, by the
 * sums over the workers and by the report, that what was accepted was processed or reported, that
 * the hook heard of each reported message, and that no actor is left.
 */
struct fixture_end fixture_finish(void);

/* Asks the pool to stop, then the same. */
struct fixture_end fixture_stop(void);

/* A way in for a foreign thread. Threads: any. */
struct troupe_port *fixture_port(void);

/* The hook, and what it has counted. Threads: any. */
void fixture_count_letter(void *arg, const struct troupe_msg *msg, enum troupe_drop_reason reason);
uint32_t fixture_letters(void);

/* Callbacks of actor types: init_cb that sends itself MSG_GO; receive_cb that does nothing. */
enum troupe_status fixture_go(struct troupe_ctx *ctx, void *state, const void *arg);
enum troupe_verdict fixture_ignore(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg);

#endif
