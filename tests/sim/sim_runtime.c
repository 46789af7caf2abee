/*
 * The whole runtime under the seeded simulation: a crowd of actors, ports and supervisors that does
 * everything at random, checked from outside after each event (crowd.h) and from inside between
 * steps (trp_sim_check).
 *
 *     sim_runtime --seeds A..B [--actors N] [--steps M] [--here]
 *
 * The seeds run in a child process. When one fails it is run again with fewer actors and with fewer
 * steps; the smallest run that still fails is printed as a command. --here runs in this process,
 * for a debugger.
 */

#include "tests/sim/crowd.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define ACTORS    24u
#define STEPS_MAX 200000u

struct run {
    unsigned long long first;
    unsigned long long last;
    unsigned long long actors;
    unsigned long long steps;
    bool is_here;
};

/* --- many seeds --- */

static unsigned long long *current_seed; /* shared with the parent */

static void run_seeds(const struct run *run)
{
    struct crowd_totals totals = {0};
    for (*current_seed = run->first; *current_seed <= run->last; ++*current_seed) {
        struct crowd_run one = {*current_seed, (uint32_t)run->actors, run->steps, 80};
        bool is_made = crowd_run(&one, &totals);
        TROUPE_ASSERT(is_made);
    }
    printf(
        "sim_runtime: seeds %llu..%llu passed (%llu settled, %llu answered, %llu downs, %llu "
        "exits, %llu expired, %llu refused, %llu out of memory, %llu restarts, %llu timers, "
        "%llu told of room, %llu shut out, %llu reported of %llu, %llu steps, %llu books full)\n",
        run->first, run->last, (unsigned long long)totals.settled,
        (unsigned long long)totals.answered, (unsigned long long)totals.downs,
        (unsigned long long)totals.exits, (unsigned long long)totals.expired,
        (unsigned long long)totals.refused, (unsigned long long)totals.no_memory,
        (unsigned long long)totals.restarts, (unsigned long long)totals.fired,
        (unsigned long long)totals.told, (unsigned long long)totals.shut_out,
        (unsigned long long)totals.letters, (unsigned long long)totals.messages,
        (unsigned long long)totals.steps, (unsigned long long)totals.full);
    if (run->last - run->first >= 200 && run->actors == ACTORS) {
        TROUPE_ASSERT(totals.settled > 0 && totals.answered > 0 && totals.downs > 0);
        TROUPE_ASSERT(totals.exits > 0 && totals.expired > 0 && totals.refused > 0);
        TROUPE_ASSERT(totals.no_memory > 0 && totals.restarts > 0 && totals.fired > 0);
        TROUPE_ASSERT(totals.told > 0 && totals.shut_out > 0);
    }
}

/* In a child; true when it passed. */
static bool is_passing(const struct run *run, bool is_silent)
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        int nowhere = is_silent ? open("/dev/null", O_WRONLY | O_CLOEXEC) : -1;
        if (nowhere >= 0) {
            (void)dup2(nowhere, STDERR_FILENO);
            (void)dup2(nowhere, STDOUT_FILENO);
        }
        run_seeds(run);
        exit(0);
    }
    int status = -1;
    return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) &&
           WEXITSTATUS(status) == 0;
}

/* The fewest steps with which it still fails: a shorter run is the beginning of a longer one. */
static void shrink_steps(struct run *run)
{
    unsigned long long good = 0;
    while (run->steps - good > 1) {
        struct run half = *run;
        half.steps = good + (run->steps - good) / 2;
        if (is_passing(&half, true)) {
            good = half.steps;
        } else {
            run->steps = half.steps;
        }
    }
}

static void shrink(struct run run)
{
    shrink_steps(&run);
    for (unsigned long long actors = 3; actors < run.actors; actors += actors < 8 ? 1 : 4) {
        struct run fewer = run;
        fewer.actors = actors;
        fewer.steps = STEPS_MAX; /* another crowd: it may take longer to go wrong */
        if (!is_passing(&fewer, true)) {
            run = fewer;
            shrink_steps(&run);
            break;
        }
    }
    fprintf(
        stderr,
        "smallest: ./dev sim --only sim_runtime --seeds %llu..%llu --actors %llu --steps %llu\n",
        run.first, run.last, run.actors, run.steps);
}

static bool parse(int argc, char **argv, struct run *run)
{
    *run = (struct run){0, 0, ACTORS, STEPS_MAX, false};
    for (int i = 1; i < argc; i++) {
        bool has_next = i + 1 < argc;
        if (strcmp(argv[i], "--here") == 0) {
            run->is_here = true;
        } else if (has_next && strcmp(argv[i], "--seeds") == 0) {
            if (sscanf(argv[++i], "%llu..%llu", &run->first, &run->last) != 2) {
                return false;
            }
        } else if (has_next && strcmp(argv[i], "--actors") == 0) {
            run->actors = strtoull(argv[++i], NULL, 10);
        } else if (has_next && strcmp(argv[i], "--steps") == 0) {
            run->steps = strtoull(argv[++i], NULL, 10);
        } else {
            return false;
        }
    }
    return run->first <= run->last && run->last != 0 && run->actors >= 3 &&
           run->actors <= PLACES_MAX && run->steps > 0;
}

int main(int argc, char **argv)
{
    struct run run;
    if (!parse(argc, argv, &run)) {
        fprintf(stderr, "usage: sim_runtime --seeds A..B [--actors 3..%u] [--steps M] [--here]\n",
                PLACES_MAX);
        return 2;
    }
    current_seed = mmap(NULL, sizeof(*current_seed), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (current_seed == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    if (run.is_here) {
        run_seeds(&run);
        return 0;
    }
    if (is_passing(&run, false)) {
        return 0;
    }
    run.first = run.last = *current_seed;
    fprintf(stderr, "replay: ./dev sim --seeds %llu..%llu\n", run.first, run.last);
    shrink(run);
    return 1;
}
