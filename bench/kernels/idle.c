/* What a pool costs whose actors have nothing to do. */

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "bench/kernels/cast.h"
#include "bench/kernels/study.h"

#define SETTLE_NS 200000000u /* workers spin for a moment, the watchdog looks around once more */

enum { MSG_WORK = TRP_KERNEL_FIRST_TYPE, MSG_DONE };

enum { SWITCHES, CPU_MS, THREADS, FIGURES };

static const struct trp_figure figures[FIGURES] = {
    [SWITCHES] = {"voluntary-switches", "", TRP_FIGURE_AT_MOST, 0},
    [CPU_MS] = {"cpu-time", "ms", TRP_FIGURE_AT_MOST, 1},
    [THREADS] = {"threads", "", TRP_FIGURE_SHOWN, 0},
};

struct idle {
    sem_t is_idle; /* posted when every actor has done something */
    uint64_t working;
};

static enum troupe_verdict receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    const struct trp_part *part = state;
    trp_kernel_forward(ctx, part->run, msg->from, MSG_DONE, msg);
    return TROUPE_CONTINUE;
}

static enum troupe_verdict receive_lead(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    const struct trp_part *part = state;
    struct trp_kernel_run *run = part->run;
    struct idle *idle = run->data;
    if (msg->type == TRP_KERNEL_START) {
        idle->working = run->actors - 1;
        trp_cast_tell(ctx, run, 0, run->actors - 1, MSG_WORK, troupe_span(NULL, 0));
    } else if (--idle->working == 0) {
        sem_post(&idle->is_idle);
    }
    return TROUPE_CONTINUE;
}

static const struct troupe_actor_type type = {
    .name = "idler",
    .state_size = sizeof(struct trp_part),
    .init_cb = trp_part_init,
    .receive_cb = receive,
};

static const struct troupe_actor_type lead_type = {
    .name = "idle-lead",
    .state_size = sizeof(struct trp_part),
    .init_cb = trp_part_init,
    .receive_cb = receive_lead,
};

/* What all threads but the one that looks have used so far. */
struct usage {
    uint64_t switches;
    uint64_t cpu_ns;
    uint32_t threads;
};

static bool add_switches(struct usage *usage, const char *tid)
{
    char path[64];
    char line[128];
    bool is_found = false;
    snprintf(path, sizeof(path), "/proc/self/task/%.20s/status", tid);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    while (!is_found && fgets(line, sizeof(line), file) != NULL) {
        uint64_t count;
        if (sscanf(line, "voluntary_ctxt_switches: %" SCNu64, &count) == 1) {
            usage->switches += count;
            is_found = true;
        }
    }
    fclose(file);
    return is_found;
}

static bool add_cpu(struct usage *usage, pid_t tid)
{
    /* The clock of a thread of one's own, as clock_gettime(2) numbers them: exact, not in ticks. */
    clockid_t clock = (clockid_t)((~(unsigned)tid << 3) | 6u);
    struct timespec used;
    if (clock_gettime(clock, &used) != 0) {
        return false;
    }
    usage->cpu_ns += (uint64_t)used.tv_sec * 1000000000 + (uint64_t)used.tv_nsec;
    return true;
}

static bool read_usage(struct usage *usage)
{
    bool is_good = true;
    const struct dirent *entry;
    DIR *tasks = opendir("/proc/self/task");
    *usage = (struct usage){0};
    if (tasks == NULL) {
        return false;
    }
    while (is_good && (entry = readdir(tasks)) != NULL) {
        pid_t tid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (tid > 0 && tid != gettid()) {
            is_good = add_switches(usage, entry->d_name) && add_cpu(usage, tid);
            usage->threads++;
        }
    }
    closedir(tasks);
    return is_good;
}

/* Looks before and after sleeping itself. */
static bool watch(struct trp_study_run *study)
{
    struct usage before;
    struct usage after;
    trp_study_sleep(study->time_ns < SETTLE_NS ? study->time_ns : SETTLE_NS);
    bool is_good = read_usage(&before);
    trp_study_sleep(study->time_ns);
    if (!is_good || !read_usage(&after) || after.threads != before.threads) {
        return trp_study_fail(study, "the threads of the pool cannot be watched");
    }
    study->values[SWITCHES] = (double)(after.switches - before.switches);
    study->values[CPU_MS] = (double)(after.cpu_ns - before.cpu_ns) / 1e6;
    study->values[THREADS] = after.threads;
    return true;
}

static bool play(struct trp_study_run *study, struct idle *idle)
{
    const struct trp_role roles[] = {
        {&type, (uint32_t)study->amount, TRP_PLACE_IN_TURN},
        {&lead_type, 1, TRP_PLACE_LAST},
    };
    struct trp_kernel_run *run = trp_study_open(study, idle, NULL);
    if (run == NULL) {
        return false;
    }
    bool is_good = false;
    if (!trp_cast(run, roles, 2)) {
        trp_study_fail(study, "no room for the actors");
    } else if (trp_study_start(study, run)) {
        bool is_watched = trp_study_await(study, run, &idle->is_idle) && watch(study);
        is_good = trp_study_finish(study, run) && is_watched;
    }
    trp_study_close(run);
    return is_good;
}

static bool measure(struct trp_study_run *study)
{
    struct idle idle = {.working = 0};
    sem_init(&idle.is_idle, 0, 0);
    bool is_good = play(study, &idle);
    sem_destroy(&idle.is_idle);
    return is_good;
}

static const struct trp_study_case cases[] = {
    {.name = "pool",
     .parameters =
         "{n} actors that did something once, then nothing for {time}; all threads of the "
         "process but the one that looks",
     .figures = figures,
     .figure_count = FIGURES,
     .amount = 1000,
     .time_ms = 10000,
     .measure = measure},
};

const struct trp_study trp_study_idle = {
    .name = "idle",
    .about = "what a pool costs that has nothing to do",
    .cases = cases,
    .case_count = sizeof(cases) / sizeof(cases[0]),
};
