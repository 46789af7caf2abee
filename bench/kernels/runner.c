#include "bench/kernels/runner.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/kernels/guard.h"
#include "mailbox/atomic.h"

#define PATIENCE_MS 300000u

void trp_kernel_begin(struct troupe_ctx *ctx, struct trp_kernel_run *run)
{
    uint64_t *begin_ns = &run->begin_ns[troupe_self_worker(ctx)];
    if (*begin_ns == 0) {
        *begin_ns = trp_machine_now_ns();
    }
}

void trp_kernel_done(struct trp_kernel_run *run)
{
    if (run->is_measured) {
        run->end_ns = trp_machine_now_ns();
    }
}

bool trp_kernel_next(struct troupe_ctx *ctx, struct trp_kernel_run *run)
{
    if (run->is_measured) {
        troupe_pool_stop(run->pool);
        return false;
    }
    run->is_measured = true;
    trp_kernel_begin(ctx, run);
    return true;
}

void trp_kernel_divide(struct trp_kernel_run *run, uint32_t actors)
{
    run->share = run->ops / actors;
    if (run->share == 0) {
        run->share = 1;
    }
    run->ops = run->share * actors;
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

bool trp_runner_add_stats(struct troupe_worker_stats *sum, const struct trp_kernel_run *run)
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
        sum->memory += stats.memory;
    }
    return accepted == ended;
}

bool trp_runner_play(struct trp_kernel_run *run,
                     uint64_t patience_ms,
                     char *error,
                     size_t error_cap)
{
    struct trp_guard guard;
    if (troupe_pool_start(run->pool, error, error_cap) != TROUPE_OK) {
        return false;
    }
    bool is_guarded = trp_guard_start(&guard, run, patience_ms != 0 ? patience_ms : PATIENCE_MS);
    if (!is_guarded) {
        trp_kernel_fail(run, "no thread to guard the run");
    }
    troupe_pool_join(run->pool);
    run->joined_ns = trp_machine_now_ns();
    if (is_guarded) {
        trp_guard_stop(&guard);
    }
    return true;
}

/* The time of a run that has ended well. */
static bool take_figures(struct trp_runner_result *result, const struct trp_kernel_run *run)
{
    if (run->failure != NULL) {
        snprintf(result->error, sizeof(result->error), "%s", (const char *)run->failure);
        return false;
    }
    if (!trp_runner_add_stats(&result->stats, run)) {
        snprintf(result->error, sizeof(result->error),
                 "messages accepted differ from messages processed and reported");
        return false;
    }
    uint64_t begin_ns = first_begin(run);
    if (begin_ns >= run->end_ns) {
        snprintf(result->error, sizeof(result->error), "the kernel did not finish");
        return false;
    }
    result->ops = run->ops;
    trp_sample_add(&result->ns_per_op, (double)(run->end_ns - begin_ns) / (double)run->ops);
    return true;
}

static bool run_pool(struct trp_runner_result *result,
                     struct trp_kernel_run *run,
                     const struct trp_kernel *kernel,
                     uint64_t patience_ms)
{
    if (!kernel->setup(run)) {
        snprintf(result->error, sizeof(result->error), "no room for the actors");
        return false;
    }
    return trp_runner_play(run, patience_ms, result->error, sizeof(result->error)) &&
           take_figures(result, run);
}

static bool run_fresh(struct trp_runner_result *result,
                      const struct trp_kernel *kernel,
                      const struct trp_kernel_case *the_case,
                      const struct trp_runner_options *options)
{
    struct troupe_pool_config config = {
        .watchdog_ns = UINT64_MAX, /* a kernel may send a million messages in one turn */
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
    run->ops = the_case->ops / options->scale;
    run->ops = run->ops == 0 ? 1 : run->ops;
    bool is_good = false;
    if (troupe_pool_create(&run->pool, &config, result->error, sizeof(result->error)) ==
        TROUPE_OK) {
        is_good = run_pool(result, run, kernel, options->patience_ms);
        troupe_pool_destroy(run->pool);
    } else {
        result->is_refused = true;
    }
    free(run);
    return is_good;
}

bool trp_runner_has_limit(const struct trp_kernel_case *the_case,
                          const struct trp_runner_options *options)
{
    return the_case->limit != TRP_LIMIT_NONE && options->scale == 1;
}

bool trp_runner_once(struct trp_runner_result *result,
                     const struct trp_kernel *kernel,
                     const struct trp_kernel_case *the_case,
                     const struct trp_runner_options *options)
{
    bool has_limit = trp_runner_has_limit(the_case, options);
    double limit_ns = has_limit ? trp_limit_measure(the_case->limit, options->machine) : NAN;
    double other_ns[TRP_KERNEL_OTHERS_MAX] = {NAN, NAN, NAN};
    for (uint32_t i = 0; has_limit && i < the_case->other_count; i++) {
        other_ns[i] = trp_limit_measure(the_case->others[i], options->machine);
    }
    result->workers = the_case->workers != 0 ? the_case->workers : options->workers;
    if (!run_fresh(result, kernel, the_case, options)) {
        return false;
    }
    trp_sample_add(&result->limit_ns, limit_ns);
    trp_sample_add(&result->share,
                   limit_ns / result->ns_per_op.values[result->ns_per_op.count - 1]);
    for (uint32_t i = 0; i < the_case->other_count; i++) {
        trp_sample_add(&result->other_ns[i], other_ns[i]);
    }
    return true;
}

bool trp_runner_run(struct trp_runner_result *result,
                    const struct trp_kernel *kernel,
                    const struct trp_kernel_case *the_case,
                    const struct trp_runner_options *options)
{
    memset(result, 0, sizeof(*result));
    for (uint32_t i = 0; i < options->runs; i++) {
        if (!trp_runner_once(result, kernel, the_case, options)) {
            return false;
        }
    }
    return true;
}

bool trp_runner_is_pair(const struct trp_kernel_case *one, const struct trp_kernel_case *placed)
{
    return one->workers == 1 && placed->workers != 1 &&
           placed->placement == TRP_PLACEMENT_RUNTIME && one->ops == placed->ops &&
           one->actors == placed->actors && one->spin == placed->spin;
}

void trp_runner_compare(struct trp_sample *ratio,
                        const struct trp_runner_result *one,
                        const struct trp_runner_result *placed)
{
    trp_sample_divide(ratio, &one->ns_per_op, &placed->ns_per_op);
}
