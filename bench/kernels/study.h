#ifndef BENCH_KERNELS_STUDY_H
#define BENCH_KERNELS_STUDY_H

/*
 * A study: a kernel whose result is several figures instead of the time of one operation, such as
 * the percentiles of a latency, beside what they are held against. A study has cases; a case is
 * measured several times, each time on pools of its own, and each time fills in all its figures.
 *
 * The actors are those of any kernel (kernel.h, cast.h); what they share hangs on run->data.
 */

#include "bench/kernels/runner.h"
#include "bench/load/hist.h"

#include <semaphore.h>

#define TRP_FIGURES_MAX     16u
#define TRP_STUDY_CASES_MAX 4u

enum trp_figure_goal {
    TRP_FIGURE_SHOWN = 0, /* held against nothing */
    TRP_FIGURE_AT_MOST,
    TRP_FIGURE_AT_LEAST,
};

struct trp_figure {
    const char *name;
    const char *unit; /* "" = a ratio */
    enum trp_figure_goal goal;
    double target; /* in that unit */
};

enum trp_study_driver {
    TRP_STUDY_GIVEN_DRIVER = 0, /* the one of the command line */
    TRP_STUDY_FUTEX,            /* left out when another one was asked for */
    TRP_STUDY_RING,
};

struct trp_study_run;

struct trp_study_case {
    const char *name;
    const char *parameters; /* for people, with the words of label.h */
    const struct trp_figure *figures;
    uint32_t figure_count; /* at most TRP_FIGURES_MAX */
    uint32_t workers;      /* 0 = as many as were asked for; more than usable CPUs: left out */
    enum troupe_spin spin;
    enum trp_study_driver driver;
    uint64_t amount;  /* of operations, actors, timers; divided by --scale */
    uint64_t time_ms; /* of watching, for studies that do: --seconds, divided by --scale */
    /* One run. False: study->error says why it has no figures. */
    bool (*measure)(struct trp_study_run *study);
};

struct trp_study {
    const char *name;
    const char *about;
    const struct trp_study_case *cases;
    uint32_t case_count; /* at most TRP_STUDY_CASES_MAX */
};

/* One run of a case. */
struct trp_study_run {
    const struct trp_runner_options *options;
    const struct trp_study_case *the_case;
    uint32_t workers;
    uint64_t amount;                  /* after scaling, at least 1; rounded by the study */
    uint64_t time_ns;                 /* after scaling, at least TRP_STUDY_TIME_MIN_NS */
    double values[TRP_FIGURES_MAX];   /* in the order of the figures; NaN = could not be measured */
    struct troupe_worker_stats stats; /* sums over workers and pools */
    char error[256];                  /* cstr */
    bool is_refused;                  /* the pool takes these options not at all */
};

#define TRP_STUDY_TIME_MIN_NS 50000000u

/* A trial: no limits are measured, and what only takes time to happen may be missing. */
static inline bool trp_study_is_trial(const struct trp_study_run *study)
{
    return study->options->scale != 1;
}

/* Whether limits are measured: not in trials. */
static inline bool trp_study_has_limits(const struct trp_study_run *study)
{
    return study->options->scale == 1;
}

/* Says why there are no figures. Returns false. */
bool trp_study_fail(struct trp_study_run *study, const char *text);

/*
 * A pool for one part of the study and the run on it; the study spawns its actors next. `more`
 * holds what the pool needs beyond the options, optional. NULL: study->error says why.
 */
struct trp_kernel_run *
trp_study_open(struct trp_study_run *study, void *data, const struct troupe_pool_config *more);

/* Starts the pool, waits until a handler stopped it, checks that every message is accounted for. */
bool trp_study_play(struct trp_study_run *study, struct trp_kernel_run *run);

/*
 * The same in steps, for studies that look on: start, await as often as wanted, finish. Await
 * returns when a handler has posted `event`; false when the run failed or takes too long. Finish
 * must follow every start that succeeded; it stops the pool.
 */
bool trp_study_start(struct trp_study_run *study, struct trp_kernel_run *run);
bool trp_study_await(struct trp_study_run *study, struct trp_kernel_run *run, sem_t *event);
bool trp_study_finish(struct trp_study_run *study, struct trp_kernel_run *run);

/* Frees the pool and the run. NULL is a no-op. */
void trp_study_close(struct trp_kernel_run *run);

/* Bytes of this process that are in memory; 0 when the system does not say. */
uint64_t trp_study_resident_bytes(void);

/* Sleeps; for the thread that looks on. */
void trp_study_sleep(uint64_t ns);

/* --- how a case is run several times and shown: study_print.c --- */

struct trp_study_verdict {
    uint32_t missed; /* targets */
};

/*
 * Runs all the cases of a study, prints their figures and adds them to the report (NULL = none). A
 * case that has become invalid is not run again, is said to be so, and the others go on. Returns
 * the worst enum trp_bench_exit; a missed target is no failure, it is counted in *verdict.
 */
int trp_study_run_all(const struct trp_study *study,
                      const struct trp_runner_options *options,
                      struct trp_report *report,
                      struct trp_study_verdict *verdict);

/* The same for the study of this name, or for "all"; after an invalid one the next goes on. */
int trp_studies_run(const struct trp_study *const *studies,
                    size_t count,
                    const char *name,
                    const struct trp_runner_options *options,
                    struct trp_report *report,
                    struct trp_study_verdict *verdict);

/* Prints the target of a figure and whether this value meets it; counts it when not. */
void trp_figure_judge(const struct trp_figure *figure,
                      double value,
                      struct trp_study_verdict *verdict);

/* What to exit with: with `is_strict` a missed target is a missed threshold. */
int trp_study_exit(int status, const struct trp_study_verdict *verdict, bool is_strict);

/* Whether a value meets the goal of its figure. NaN does not. Figures only shown: always. */
bool trp_figure_is_met(const struct trp_figure *figure, double value);

extern const struct trp_study trp_study_wake;
extern const struct trp_study trp_study_ask_latency;
extern const struct trp_study trp_study_idle;
extern const struct trp_study trp_study_overload;
extern const struct trp_study trp_study_isolation;
extern const struct trp_study trp_study_memory;
extern const struct trp_study trp_study_shutdown;
extern const struct trp_study trp_study_timers;

#endif
