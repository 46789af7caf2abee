/*
 * The crowd without memory: in a small run of it the k-th allocation fails, for every k of the run
 * that goes well; then several in a row. Whatever is missing, the book must be right at the end:
 * nothing lost, nothing leaked, every ask ended, every monitor told, and the calls that were
 * refused said so in one of the ways that are written down.
 *
 *     sim_oom SEED               all of that
 *     sim_oom SEED FIRST LAST    one run, in which the allocations FIRST to LAST fail (0 0 = none)
 */

#include "tests/sim/crowd.h"
#include "tests/sim/fail_alloc.h"

#include <stdlib.h>

#define ACTORS    6u
#define ACTIONS   16u
#define STEPS_MAX 4000u
#define BURST     40u /* so many fail in a row */

static struct {
    uint64_t seed;
    uint64_t first;
    uint64_t last;
} current;

static void print_replay(void)
{
    (void)fail_no_more();
    fprintf(stderr, "replay: sim_oom %llu %llu %llu\n", (unsigned long long)current.seed,
            (unsigned long long)current.first, (unsigned long long)current.last);
}

/* Returns how many allocations there were. */
static uint64_t run_one(uint64_t seed, uint64_t first, uint64_t last, struct crowd_totals *totals)
{
    struct crowd_run run = {seed, ACTORS, STEPS_MAX, ACTIONS};
    current.seed = seed;
    current.first = first;
    current.last = last;
    fail_allocations(first, last);
    bool is_made = crowd_run(&run, totals);
    uint64_t count = fail_no_more();
    TROUPE_ASSERT(is_made || first != 0);
    return count;
}

static void run_all(uint64_t seed, struct crowd_totals *totals)
{
    struct crowd_totals good = {0};
    uint64_t count = run_one(seed, 0, 0, &good);
    TROUPE_ASSERT(count == run_one(seed, 0, 0, &good)); /* the same run each time */
    for (uint64_t k = 1; k <= count; k++) {
        (void)run_one(seed, k, k, totals);
    }
    for (uint64_t k = 1; k <= count; k += BURST / 2) {
        (void)run_one(seed, k, k + BURST - 1, totals);
    }
    printf("seed %llu: %llu allocations\n", (unsigned long long)seed, (unsigned long long)count);
}

/* The runs must have come to where memory matters. */
static void check_worth(const struct crowd_totals *totals)
{
    TROUPE_ASSERT(totals->settled > 0);
    TROUPE_ASSERT(totals->no_memory > 0);
    TROUPE_ASSERT(totals->answered > 0 && totals->downs > 0);
    TROUPE_ASSERT(totals->restarts > 0 && totals->told > 0);
}

int main(int argc, char **argv)
{
    struct crowd_totals totals = {0};
    troupe_assert_set_hook(print_replay);
    if (argc == 4) {
        uint64_t count = run_one(strtoull(argv[1], NULL, 10), strtoull(argv[2], NULL, 10),
                                 strtoull(argv[3], NULL, 10), &totals);
        printf("%llu allocations, %llu steps, %llu answered, %llu downs, %llu restarts, %llu told "
               "of room\n",
               (unsigned long long)count, (unsigned long long)totals.steps,
               (unsigned long long)totals.answered, (unsigned long long)totals.downs,
               (unsigned long long)totals.restarts, (unsigned long long)totals.told);
        return 0;
    }
    if (argc != 2) {
        fprintf(stderr, "usage: sim_oom SEED [FIRST LAST]\n");
        return 2;
    }
    run_all(strtoull(argv[1], NULL, 10), &totals);
    check_worth(&totals);
    return 0;
}
