/*
 * Pools on threads without memory: the k-th allocation of create, spawn and start fails, for every
 * k, be it memory, address space or a thread. Each time the call that failed says so with a status
 * and a text, nothing is left behind, and where nothing failed the pool works.
 *
 *     start_oom [K]
 */

#include "tests/sim/fail_alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <troupe/assert.h>
#include <troupe/pool.h>

#define WORKERS 2u

/* Where a run ended. */
enum ending { AT_CREATE, AT_SPAWN, AT_START, AT_STOP, ENDINGS };

static uint64_t current;

static void print_replay(void)
{
    (void)fail_no_more();
    fprintf(stderr, "replay: start_oom %llu\n", (unsigned long long)current);
}

static enum troupe_verdict receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)ctx;
    (void)state;
    (void)msg;
    return TROUPE_CONTINUE;
}

static const struct troupe_actor_type type = {
    .name = "nothing", .state_size = 64, .receive_cb = receive};

static void expect_failure(enum troupe_status status, const char *error)
{
    TROUPE_ASSERT(status == TROUPE_ENOMEM);
    TROUPE_ASSERT(error[0] != '\0'); /* a text for the operator */
}

/* Starts and stops; *ending says how far it came. */
static void live(struct troupe_pool *pool, enum ending *ending)
{
    char error[200] = "";
    troupe_ref ref;
    enum troupe_status status = troupe_pool_spawn(pool, &ref, WORKERS - 1, &type, NULL);
    if (status != TROUPE_OK) {
        TROUPE_ASSERT(status == TROUPE_ENOMEM);
        *ending = AT_SPAWN;
        return;
    }
    status = troupe_pool_start(pool, error, sizeof(error));
    if (status != TROUPE_OK) {
        expect_failure(status, error);
        *ending = AT_START;
        return;
    }
    *ending = AT_STOP;
    troupe_pool_stop(pool);
    troupe_pool_join(pool);
    struct troupe_pool_report report;
    troupe_pool_report(pool, &report);
    TROUPE_ASSERT(report.accepted == report.processed + report.reported);
}

/* Returns how many allocations there were. */
static uint64_t run_one(uint64_t k, enum ending *ending)
{
    struct troupe_pool_config config = {.workers = WORKERS, .pin = "none", .seed = 1};
    char error[200] = "";
    struct troupe_pool *pool = NULL;
    current = k;
    fail_allocations(k, k);
    enum troupe_status status = troupe_pool_create(&pool, &config, error, sizeof(error));
    if (status == TROUPE_OK) {
        live(pool, ending);
        troupe_pool_destroy(pool);
    } else {
        expect_failure(status, error);
        TROUPE_ASSERT(pool == NULL);
        *ending = AT_CREATE;
    }
    return fail_no_more();
}

int main(int argc, char **argv)
{
    uint32_t endings[ENDINGS] = {0};
    enum ending ending;
    troupe_assert_set_hook(print_replay);
    if (argc == 2) {
        (void)run_one(strtoull(argv[1], NULL, 10), &ending);
        return 0;
    }
    uint64_t count = run_one(0, &ending);
    TROUPE_ASSERT(ending == AT_STOP);
    for (uint64_t k = 1; k <= count; k++) {
        (void)run_one(k, &ending);
        endings[ending]++;
    }
    TROUPE_ASSERT(endings[AT_CREATE] > 0 && endings[AT_SPAWN] > 0 && endings[AT_START] > 0);
    printf("start_oom: %llu allocations; failed at create %u, spawn %u, start %u, nowhere %u\n",
           (unsigned long long)count, endings[AT_CREATE], endings[AT_SPAWN], endings[AT_START],
           endings[AT_STOP]);
    return 0;
}
