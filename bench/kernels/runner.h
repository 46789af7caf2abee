#ifndef BENCH_KERNELS_RUNNER_H
#define BENCH_KERNELS_RUNNER_H

/* Runs cases of a kernel several times, their limits measured between the runs. */

#include "bench/kernels/kernel.h"
#include "bench/report/json_report.h"

#define TRP_RUNS_MAX 99u

/* Figures of several runs. */
struct trp_sample {
    double values[TRP_RUNS_MAX];
    uint32_t count;
};

void trp_sample_add(struct trp_sample *sample, double value);
double trp_sample_median(const struct trp_sample *sample); /* NaN when empty */
double trp_sample_min(const struct trp_sample *sample);
double trp_sample_max(const struct trp_sample *sample);
/* (largest - smallest) / median. */
double trp_sample_spread(const struct trp_sample *sample);
/* a / b of each run that both have. */
void trp_sample_divide(struct trp_sample *ratio,
                       const struct trp_sample *a,
                       const struct trp_sample *b);

/* An object of that name: median, smallest, largest and all values. */
void trp_sample_report(struct trp_report *report,
                       const char *name,
                       const struct trp_sample *sample);

struct trp_runner_options {
    uint32_t runs;        /* 1..TRP_RUNS_MAX */
    uint32_t workers;     /* for cases that leave it open */
    uint64_t scale;       /* operations are divided by this; above 1: a trial, without limits */
    uint64_t seconds;     /* how long studies watch; 0 = each as long as it needs */
    uint64_t patience_ms; /* a run that takes longer is invalid; 0 = 5 minutes */
    const char *pin;      /* as in troupe_pool_config */
    const struct troupe_driver *driver;
    bool is_driver_chosen; /* by the user: nothing runs with another one */
    const struct trp_machine *machine;
};

struct trp_runner_result {
    uint32_t workers;
    uint64_t ops; /* of each run, after scaling */
    struct trp_sample ns_per_op;
    struct trp_sample limit_ns;
    struct trp_sample share; /* limit / ours of each run: 1 = at the limit */
    struct trp_sample other_ns[TRP_KERNEL_OTHERS_MAX];
    struct troupe_worker_stats stats; /* sums over workers and runs */
    char error[256];                  /* cstr: why there is no result */
    bool is_refused;                  /* the pool takes these options not at all */
};

/*
 * Starts the pool of a run and waits for its end, at most `patience_ms` (0 = 5 minutes). False,
 * with the reason, when it does not start; how it ended is in run->failure.
 */
bool trp_runner_play(struct trp_kernel_run *run,
                     uint64_t patience_ms,
                     char *error,
                     size_t error_cap);

/* Adds the counters of a joined pool; false when messages do not add up. */
bool trp_runner_add_stats(struct troupe_worker_stats *sum, const struct trp_kernel_run *run);

/* The limit and one run, added to a result that began as zeroes. False: see error. */
bool trp_runner_once(struct trp_runner_result *result,
                     const struct trp_kernel *kernel,
                     const struct trp_kernel_case *the_case,
                     const struct trp_runner_options *options);

/* All the runs of one case. False: see error. */
bool trp_runner_run(struct trp_runner_result *result,
                    const struct trp_kernel *kernel,
                    const struct trp_kernel_case *the_case,
                    const struct trp_runner_options *options);

/* Whether results of this case are held against a limit. */
bool trp_runner_has_limit(const struct trp_kernel_case *the_case,
                          const struct trp_runner_options *options);

/*
 * Whether two cases do the same work, `one` on one worker and `placed` where the runtime puts it on
 * several: then their speeds say what more workers cost or give.
 */
bool trp_runner_is_pair(const struct trp_kernel_case *one, const struct trp_kernel_case *placed);

/* Speed of `placed` in units of that of `one`, run by run. */
void trp_runner_compare(struct trp_sample *ratio,
                        const struct trp_runner_result *one,
                        const struct trp_runner_result *placed);

#endif
