/*
 * Eviction and arrival raced: few places, many keys, senders on both workers, holds of short random
 * length. On real threads, and in the seeded simulation. A failing seed is printed;
 * ADMISSION_SEED=n replays it alone, ADMISSION_JOBS=n sets the number of messages on threads.
 */

#include "tests/unit/admission/scenario.h"

#include "tests/cmocka.h"

#include <stdio.h>
#include <stdlib.h>

#define MS 1000000u

#if defined(__SANITIZE_THREAD__)
#define JOBS_DEFAULT 20000u
#define SEEDS        20u
#elif defined(__SANITIZE_ADDRESS__)
#define JOBS_DEFAULT 100000u
#define SEEDS        40u
#else
#define JOBS_DEFAULT 100000u
#define SEEDS        100u
#endif
#define SIM_JOBS_TOTAL 100000u

static uint32_t setting(const char *name, uint32_t fallback)
{
    const char *text = getenv(name);
    return text != NULL ? (uint32_t)strtoul(text, NULL, 10) : fallback;
}

/* Everything at once: queue, backlog, leaving and failing actors. */
static struct world_config storm(uint32_t jobs)
{
    return (struct world_config){
        .admission = {.capacity = 8,
                      .queue_max = 16,
                      .backlog_max = 8,
                      .queue_timeout_ns = 5 * MS,
                      .idle_timeout_ns = 3 * MS,
                      .retry_after_ms = 100},
        .workers = 2,
        .keys = 64,
        .senders = 4,
        .jobs_per_sender = jobs / 4,
        .outstanding_max = 64,
        .weights =
            {[ACT_HANDLE] = 70, [ACT_ROUTE] = 15, [ACT_KEEP] = 8, [ACT_LEAVE] = 4, [ACT_FAIL] = 3},
        .delay_max_ns = 2 * MS,
    };
}

/* No queue and nobody leaves by itself: order must be kept too. */
static struct world_config orderly(uint32_t jobs)
{
    struct world_config config = storm(jobs);
    config.admission.queue_max = UINT32_MAX;
    config.admission.idle_timeout_ns = 0;
    config.keys = 24;
    config.weights[ACT_LEAVE] = 0;
    config.weights[ACT_FAIL] = 0;
    config.check_order = true;
    return config;
}

/* Queue long enough for nobody to be refused: nothing may get stuck. */
static struct world_config patient(uint32_t jobs)
{
    struct world_config config = orderly(jobs);
    config.admission.queue_max = 64;
    config.admission.backlog_max = 1000;
    config.admission.queue_timeout_ns = 3600000ull * MS;
    config.admission.idle_timeout_ns = 3600000ull * MS;
    config.weights[ACT_ROUTE] = 5;
    config.weights[ACT_KEEP] = 3;
    config.delay_max_ns = MS / 2;
    return config;
}

/* More under way than mailboxes take: deliveries are refused after their hold was opened. */
static struct world_config flood(uint32_t jobs)
{
    struct world_config config = orderly(jobs);
    config.outstanding_max = UINT32_MAX;
    config.keys = 8;
    config.senders = 8;
    config.jobs_per_sender = jobs / 8;
    return config;
}

static void flood_on_threads(void **state)
{
    (void)state;
    struct world_config config = flood(setting("ADMISSION_JOBS", JOBS_DEFAULT));
    world_run_threads(&config);
}

static void storm_on_threads(void **state)
{
    (void)state;
    uint32_t jobs = setting("ADMISSION_JOBS", JOBS_DEFAULT);
    print_message("%u messages\n", jobs);
    struct world_config config = storm(jobs);
    world_run_threads(&config);
}

static void orderly_on_threads(void **state)
{
    (void)state;
    struct world_config config = orderly(setting("ADMISSION_JOBS", JOBS_DEFAULT) / 2);
    world_run_threads(&config);
}

static void check_nobody_refused(struct world *world)
{
    assert_int_equal(world->final.refused_busy, 0);
    assert_int_equal(world->final.refused_timeout, 0);
    assert_int_equal(world->final.handled, world->final.delivered);
}

static void patient_on_threads(void **state)
{
    (void)state;
    struct world_config config = patient(setting("ADMISSION_JOBS", JOBS_DEFAULT) / 4);
    config.after = check_nobody_refused;
    world_run_threads(&config);
}

static void simulate(struct world_config (*make)(uint32_t jobs), void (*after)(struct world *world))
{
    uint32_t first = setting("ADMISSION_SEED", 1);
    uint32_t count = getenv("ADMISSION_SEED") != NULL ? 1 : SEEDS;
    struct world_config config = make(SIM_JOBS_TOTAL / SEEDS);
    config.after = after;
    for (uint32_t seed = first; seed < first + count; seed++) {
        config.workers = 1 + seed % 4;
        config.admission.placement = (enum troupe_placement)(seed % 3);
        fprintf(stderr, "\rseed %u ", seed);
        world_run_simulated(&config, seed, 600000ull * MS); /* before any of its hours pass */
    }
    fprintf(stderr, "\n");
}

static void storm_simulated(void **state)
{
    (void)state;
    simulate(storm, NULL);
}

static void orderly_simulated(void **state)
{
    (void)state;
    simulate(orderly, NULL);
}

static void patient_simulated(void **state)
{
    (void)state;
    simulate(patient, check_nobody_refused);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(storm_simulated),    cmocka_unit_test(orderly_simulated),
        cmocka_unit_test(patient_simulated),  cmocka_unit_test(storm_on_threads),
        cmocka_unit_test(flood_on_threads),   cmocka_unit_test(orderly_on_threads),
        cmocka_unit_test(patient_on_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
