#ifndef BENCH_KERNELS_RUNNER_H
#define BENCH_KERNELS_RUNNER_H

/* Runs one case of a kernel several times, its limit measured between the runs. */

#include "bench/kernels/kernel.h"

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

struct trp_runner_options {
    uint32_t runs;    /* 1..TRP_RUNS_MAX */
    uint32_t workers; /* for cases that leave it open */
    const char *pin;  /* as in troupe_pool_config */
    const struct troupe_driver *driver;
    const struct trp_machine *machine;
};

struct trp_runner_result {
    uint32_t workers;
    struct trp_sample ns_per_op;
    struct trp_sample limit_ns;
    struct trp_sample share;          /* limit / ours of each run: 1 = at the limit */
    struct troupe_worker_stats stats; /* sums over workers and runs */
    char error[256];                  /* cstr: why there is no result */
    bool is_refused;                  /* the pool takes these options not at all */
};

/* False: see error. */
bool trp_runner_run(struct trp_runner_result *result,
                    const struct trp_kernel *kernel,
                    const struct trp_kernel_case *the_case,
                    const struct trp_runner_options *options);

#endif
