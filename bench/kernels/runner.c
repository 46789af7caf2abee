#include "bench/kernels/runner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mailbox/atomic.h"

void trp_kernel_begin(struct troupe_ctx *ctx, struct trp_kernel_run *run)
{
    uint64_t *begin_ns = &run->begin_ns[troupe_self_worker(ctx)];
    if (*begin_ns == 0) {
        *begin_ns = trp_machine_now_ns();
    }
}

void trp_kernel_end(struct trp_kernel_run *run)
{
    run->end_ns = trp_machine_now_ns();
    troupe_pool_stop(run->pool);
}

void trp_kernel_fail(struct trp_kernel_run *run, const char *text)
{
    void *seen = NULL;
    /* The first failure counts; read after the join, which orders it. */
    (void)trp_cas_ptr(&run->failure, &seen, (void *)(uintptr_t)text);
    troupe_pool_stop(run->pool);
}

static uint64_t first_begin(const struct trp_kernel_run *run)
{
    uint64_t first = UINT64_MAX;
    for (uint32_t i = 0; i < run->workers; i++) {
        if (run->begin_ns[i] != 0 && run->begin_ns[i] < first) {
            first = run->begin_ns[i];
        }
    }
    return first;
}

/* Adds the counters of a joined pool; false when messages do not add up. */
static bool add_stats(struct troupe_worker_stats *sum, const struct trp_kernel_run *run)
{
    uint64_t accepted = 0;
    uint64_t ended = 0;
    for (uint32_t i = 0; i < run->workers; i++) {
        struct troupe_worker_stats stats;
        troupe_pool_stats(run->pool, i, &stats);
        accepted += stats.accepted;
        ended += stats.processed + stats.reported;
        sum->accepted += stats.accepted;
        sum->processed += stats.processed;
        sum->reported += stats.reported;
        sum->refused += stats.refused;
        sum->remote_out += stats.remote_out;
        sum->batches_out += stats.batches_out;
        sum->wakes += stats.wakes;
        sum->wakes_saved += stats.wakes_saved;
        sum->parks += stats.parks;
        sum->turns += stats.turns;
        sum->overruns += stats.overruns;
    }
    return accepted == ended;
}

static bool run_pool(struct trp_runner_result *result,
                     struct trp_kernel_run *run,
                     const struct trp_kernel *kernel)
{
    if (!kernel->setup(run)) {
        snprintf(result->error, sizeof(result->error), "no room for the actors");
        return false;
    }
    if (troupe_pool_start(run->pool, result->error, sizeof(result->error)) != TROUPE_OK) {
        return false;
    }
    troupe_pool_join(run->pool);
    if (run->failure != NULL) {
        snprintf(result->error, sizeof(result->error), "%s", (const char *)run->failure);
        return false;
    }
    if (!add_stats(&result->stats, run)) {
        snprintf(result->error, sizeof(result->error),
                 "messages accepted differ from messages processed and reported");
        return false;
    }
    uint64_t begin_ns = first_begin(run);
    if (begin_ns >= run->end_ns) {
        snprintf(result->error, sizeof(result->error), "the kernel did not finish");
        return false;
    }
    trp_sample_add(&result->ns_per_op,
                   (double)(run->end_ns - begin_ns) / (double)run->the_case->ops);
    return true;
}

static bool run_once(struct trp_runner_result *result,
                     const struct trp_kernel *kernel,
                     const struct trp_kernel_case *the_case,
                     const struct trp_runner_options *options)
{
    struct troupe_pool_config config = {
        .workers = result->workers,
        .pin = options->pin,
        .spin = the_case->spin,
        .driver = options->driver,
        .seed = 1,
    };
    struct trp_kernel_run *run = calloc(1, sizeof(*run));
    if (run == NULL) {
        snprintf(result->error, sizeof(result->error), "out of memory");
        return false;
    }
    run->the_case = the_case;
    run->workers = result->workers;
    bool is_good = false;
    if (troupe_pool_create(&run->pool, &config, result->error, sizeof(result->error)) ==
        TROUPE_OK) {
        is_good = run_pool(result, run, kernel);
        troupe_pool_destroy(run->pool);
    } else {
        result->is_refused = true;
    }
    free(run);
    return is_good;
}

bool trp_runner_run(struct trp_runner_result *result,
                    const struct trp_kernel *kernel,
                    const struct trp_kernel_case *the_case,
                    const struct trp_runner_options *options)
{
    memset(result, 0, sizeof(*result));
    result->workers = the_case->workers != 0 ? the_case->workers : options->workers;
    for (uint32_t i = 0; i < options->runs; i++) {
        double limit_ns = trp_limit_measure(the_case->limit, options->machine);
        if (!run_once(result, kernel, the_case, options)) {
            return false;
        }
        trp_sample_add(&result->limit_ns, limit_ns);
        trp_sample_add(&result->share, limit_ns / result->ns_per_op.values[i]);
    }
    return true;
}
