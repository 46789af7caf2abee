#include "bench/kernels/command.h"

#include <math.h>
#include <string.h>

#include <troupe/io.h>

#include "bench/args.h"
#include "bench/kernels/runner.h"
#include "bench/report/json_report.h"

static const struct trp_kernel *const kernels[] = {
    &trp_kernel_pingpong,
    &trp_kernel_count,
    &trp_kernel_fanin,
};

#define KERNEL_COUNT (sizeof(kernels) / sizeof(kernels[0]))

static const char *const spin_names[] = {
    [TROUPE_SPIN_ADAPTIVE] = "adaptive",
    [TROUPE_SPIN_BUSY] = "busy",
    [TROUPE_SPIN_PARK] = "park",
};

struct command {
    struct trp_machine machine;
    struct trp_runner_options options;
    const char *driver_name;
    struct trp_report *report; /* NULL = none wanted */
};

static void print_list(void)
{
    for (size_t i = 0; i < KERNEL_COUNT; i++) {
        printf("%-10s %s\n", kernels[i]->name, kernels[i]->about);
        for (uint32_t k = 0; k < kernels[i]->case_count; k++) {
            printf("           %-22s %s\n", kernels[i]->cases[k].name,
                   kernels[i]->cases[k].parameters);
        }
    }
    printf("%-10s %s\n", "limits", "what the machine itself can do");
}

static void print_machine(const struct command *command)
{
    const struct trp_machine *machine = &command->machine;
    printf("machine: %s, %u CPUs, affinity %s, %s\n", machine->cpu_model, machine->cpus,
           machine->affinity, machine->kernel);
    printf(
        "options: %u runs, %u workers, pin %s, driver %s; medians, spread = (max - min) / median\n",
        command->options.runs, command->options.workers, command->options.pin,
        command->driver_name);
}

/* 12345678 -> 12.35 M */
static void print_rate(double per_second, const char *op)
{
    if (per_second >= 1e6) {
        printf("  %.2f M %ss/s", per_second / 1e6, op);
    } else {
        printf("  %.2f k %ss/s", per_second / 1e3, op);
    }
}

static void print_result(const struct command *command,
                         const struct trp_kernel *kernel,
                         const struct trp_kernel_case *the_case,
                         const struct trp_runner_result *result)
{
    double ns = trp_sample_median(&result->ns_per_op);
    double share = trp_sample_median(&result->share);

    printf("\n%s %s: %s\n", kernel->name, the_case->name, the_case->parameters);
    printf("  workers %u, pin %s, CPUs %s, spin %s\n", result->workers, command->options.pin,
           command->machine.affinity, spin_names[the_case->spin]);
    print_rate(1e9 / ns, kernel->op);
    printf("   %.1f ns per %s   spread %.0f %%\n", ns, kernel->op,
           100 * trp_sample_spread(&result->ns_per_op));
    if (isfinite(share)) {
        printf("  limit %s %.1f ns: %.2f of it (%.2f times its time)\n",
               trp_limit_rows[the_case->limit].name, trp_sample_median(&result->limit_ns), share,
               1 / share);
    } else {
        printf("  limit %s cannot be measured here\n", trp_limit_rows[the_case->limit].name);
    }
}

static void
report_sample(struct trp_report *report, const char *name, const struct trp_sample *sample)
{
    trp_report_object(report, name);
    trp_report_real(report, "median", trp_sample_median(sample));
    trp_report_real(report, "min", trp_sample_min(sample));
    trp_report_real(report, "max", trp_sample_max(sample));
    trp_report_array(report, "runs");
    for (uint32_t i = 0; i < sample->count; i++) {
        trp_report_real(report, NULL, sample->values[i]);
    }
    trp_report_end(report);
    trp_report_end(report);
}

static void report_stats(struct trp_report *report, const struct troupe_worker_stats *stats)
{
    trp_report_object(report, "stats");
    trp_report_number(report, "accepted", stats->accepted);
    trp_report_number(report, "processed", stats->processed);
    trp_report_number(report, "reported", stats->reported);
    trp_report_number(report, "refused", stats->refused);
    trp_report_number(report, "remote_out", stats->remote_out);
    trp_report_number(report, "batches_out", stats->batches_out);
    trp_report_number(report, "wakes", stats->wakes);
    trp_report_number(report, "wakes_saved", stats->wakes_saved);
    trp_report_number(report, "parks", stats->parks);
    trp_report_number(report, "turns", stats->turns);
    trp_report_number(report, "overruns", stats->overruns);
    trp_report_end(report);
}

static void report_result(const struct command *command,
                          const struct trp_kernel *kernel,
                          const struct trp_kernel_case *the_case,
                          const struct trp_runner_result *result)
{
    struct trp_report *report = command->report;
    trp_report_object(report, NULL);
    trp_report_string(report, "kernel", kernel->name);
    trp_report_string(report, "case", the_case->name);
    trp_report_string(report, "parameters", the_case->parameters);
    trp_report_string(report, "op", kernel->op);
    trp_report_number(report, "ops", the_case->ops);
    trp_report_number(report, "workers", result->workers);
    trp_report_string(report, "pin", command->options.pin);
    trp_report_string(report, "cpus", command->machine.affinity);
    trp_report_string(report, "spin", spin_names[the_case->spin]);
    trp_report_real(report, "ops_per_second", 1e9 / trp_sample_median(&result->ns_per_op));
    report_sample(report, "ns_per_op", &result->ns_per_op);
    trp_report_string(report, "limit", trp_limit_rows[the_case->limit].name);
    report_sample(report, "limit_ns", &result->limit_ns);
    report_sample(report, "share_of_limit", &result->share);
    report_stats(report, &result->stats);
    trp_report_end(report);
}

static int run_kernel(const struct command *command, const struct trp_kernel *kernel)
{
    static struct trp_runner_result result; /* 2 KiB of samples */

    for (uint32_t i = 0; i < kernel->case_count; i++) {
        const struct trp_kernel_case *the_case = &kernel->cases[i];
        if (the_case->workers > command->machine.usable) {
            printf("\n%s %s: left out, it needs %u CPUs\n", kernel->name, the_case->name,
                   the_case->workers);
            continue;
        }
        if (the_case->workers == 0 && command->options.workers == 1) {
            continue; /* the case of one worker is this one */
        }
        if (!trp_runner_run(&result, kernel, the_case, &command->options)) {
            fprintf(stderr, "troupe-bench kernel: %s %s: %s\n", kernel->name, the_case->name,
                    result.error);
            return result.is_refused ? TRP_BENCH_USAGE : TRP_BENCH_INVALID;
        }
        print_result(command, kernel, the_case, &result);
        fflush(stdout);
        if (command->report != NULL) {
            report_result(command, kernel, the_case, &result);
        }
    }
    return TRP_BENCH_GOOD;
}

static void run_limits(const struct command *command)
{
    printf("\nlimits of this machine, ns per operation\n");
    for (int limit = 0; limit < TRP_LIMITS; limit++) {
        const struct trp_limit_row *row = &trp_limit_rows[limit];
        struct trp_sample sample = {.count = 0};
        for (uint32_t i = 0; i < command->options.runs; i++) {
            trp_sample_add(&sample, row->measure(&command->machine));
        }
        printf("  %-15s %10.1f   spread %3.0f %%   %s\n", row->name, trp_sample_median(&sample),
               100 * trp_sample_spread(&sample), row->about);
        fflush(stdout);
        if (command->report != NULL) {
            trp_report_object(command->report, NULL);
            trp_report_string(command->report, "limit", row->name);
            trp_report_string(command->report, "about", row->about);
            report_sample(command->report, "ns_per_op", &sample);
            trp_report_end(command->report);
        }
    }
}

static bool begin_report(struct command *command, struct trp_report *report, const char *path)
{
    if (!trp_report_open(report, path)) {
        return false;
    }
    command->report = report;
    trp_report_object(report, NULL);
    trp_report_header(report, &command->machine);
    trp_report_string(report, "command", "kernel");
    trp_report_object(report, "parameters");
    trp_report_number(report, "runs", command->options.runs);
    trp_report_number(report, "workers", command->options.workers);
    trp_report_string(report, "pin", command->options.pin);
    trp_report_string(report, "driver", command->driver_name);
    trp_report_end(report);
    trp_report_array(report, "results");
    return true;
}

static int run_named(const struct command *command, const char *name)
{
    bool is_all = strcmp(name, "all") == 0;
    bool is_limits = strcmp(name, "limits") == 0;
    int status = TRP_BENCH_GOOD;

    for (size_t i = 0; i < KERNEL_COUNT && status == TRP_BENCH_GOOD; i++) {
        if (is_all || strcmp(name, kernels[i]->name) == 0) {
            status = run_kernel(command, kernels[i]);
        }
    }
    if ((is_all || is_limits) && status == TRP_BENCH_GOOD) {
        run_limits(command);
    }
    return status;
}

static bool is_known(const char *name)
{
    for (size_t i = 0; i < KERNEL_COUNT; i++) {
        if (strcmp(name, kernels[i]->name) == 0) {
            return true;
        }
    }
    return strcmp(name, "all") == 0 || strcmp(name, "limits") == 0;
}

static int run_command(struct command *command, const char *name, const char *json_path)
{
    struct trp_report report;

    if (!is_known(name)) {
        fprintf(stderr, "troupe-bench kernel: no kernel `%s` (see troupe-bench kernel list)\n",
                name);
        return TRP_BENCH_USAGE;
    }
    if (json_path != NULL && !begin_report(command, &report, json_path)) {
        return TRP_BENCH_FAILED;
    }
    print_machine(command);
    int status = run_named(command, name);
    if (command->report != NULL) {
        trp_report_end(&report);
        trp_report_number(&report, "exit_status", (uint64_t)status);
        trp_report_end(&report);
        if (!trp_report_close(&report) && status == TRP_BENCH_GOOD) {
            status = TRP_BENCH_FAILED;
        }
    }
    return status;
}

int trp_bench_kernel(int argc, char **argv)
{
    static const char *const drivers[] = {"futex", "ring", NULL};
    struct command command = {.report = NULL};
    const char *name = NULL;
    const char *json_path = NULL;
    const char *pin = "auto";
    uint64_t runs = 5;
    uint64_t driver = 0;
    int status;

    trp_machine_read(&command.machine);
    uint64_t workers = command.machine.usable;
    workers = workers > TROUPE_WORKERS_MAX ? TROUPE_WORKERS_MAX : workers;
    struct trp_arg table[] = {
        {"--workers", TRP_ARG_NUMBER, &workers, 1, TROUPE_WORKERS_MAX, NULL, false, "N",
         "workers of the cases that use all", false},
        {"--runs", TRP_ARG_NUMBER, &runs, 1, TRP_RUNS_MAX, NULL, false, "N",
         "runs of each case, a fresh pool for each", false},
        {"--pin", TRP_ARG_TEXT, &pin, 0, 0, NULL, false, "auto|none|LIST", "where workers run",
         false},
        {"--driver", TRP_ARG_CHOICE, &driver, 0, 0, drivers, false, "futex|ring",
         "how workers park", false},
        {"--json", TRP_ARG_TEXT, &json_path, 0, 0, NULL, false, "FILE", "write the results there",
         false},
    };
    struct trp_args args = {
        .command = "kernel",
        .usage = "kernel NAME|all|list [OPTION]...",
        .about = "Runs small actor programs and holds them against what the machine can do.",
        .table = table,
        .count = sizeof(table) / sizeof(table[0]),
        .words = &name,
        .words_max = 1,
    };
    if (!trp_args_read(&args, argc, argv, &status)) {
        return status;
    }
    if (name == NULL) {
        fprintf(stderr, "troupe-bench kernel: name a kernel (see troupe-bench kernel list)\n");
        return TRP_BENCH_USAGE;
    }
    if (strcmp(name, "list") == 0) {
        print_list();
        return TRP_BENCH_GOOD;
    }
    command.driver_name = drivers[driver];
    command.options = (struct trp_runner_options){
        .runs = (uint32_t)runs,
        .workers = (uint32_t)workers,
        .pin = pin,
        .driver = driver == 1 ? troupe_ring_driver() : troupe_futex_driver(),
        .machine = &command.machine,
    };
    return run_command(&command, name, json_path);
}
