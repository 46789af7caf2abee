#include "bench/kernels/command.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include <troupe/assert.h>
#include <troupe/io.h>

#include "bench/args.h"
#include "bench/kernels/label.h"
#include "bench/kernels/study.h"
#include "bench/report/json_report.h"

static const struct trp_kernel *const kernels[] = {
    &trp_kernel_pingpong, &trp_kernel_count,      &trp_kernel_fanin,     &trp_kernel_fjthrput,
    &trp_kernel_fjcreate, &trp_kernel_threadring, &trp_kernel_chameneos, &trp_kernel_big,
    &trp_kernel_concdict, &trp_kernel_bndbuffer,  &trp_kernel_banking,   &trp_kernel_logmap,
};

#define KERNEL_COUNT (sizeof(kernels) / sizeof(kernels[0]))

static const struct trp_study *const studies[] = {
    &trp_study_wake,      &trp_study_ask_latency, &trp_study_idle,     &trp_study_overload,
    &trp_study_isolation, &trp_study_memory,      &trp_study_shutdown, &trp_study_timers,
};

#define STUDY_COUNT (sizeof(studies) / sizeof(studies[0]))

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
    bool is_strict;            /* a missed target is a failure */
    struct trp_study_verdict *verdict;
};

/* A case under way, and the case of one worker it is compared with. */
struct entry {
    const struct trp_kernel_case *the_case;
    const struct entry *one; /* NULL = none */
    bool is_invalid;         /* result.error says why */
    struct trp_runner_result result;
};

static const char *const placement_names[] = {
    [TRP_PLACEMENT_SPREAD] = "spread",
    [TRP_PLACEMENT_RUNTIME] = "runtime",
};

static bool is_trial(const struct command *command)
{
    return command->options.scale > 1;
}

/* A line of the list, with the numbers of a whole run. */
static void
print_case(const char *name, const char *parameters, uint64_t amount, uint32_t actors, uint64_t ms)
{
    const struct trp_label label = {amount, actors, ms * 1000000};
    char text[TRP_LABEL_MAX];
    trp_label_write(text, sizeof(text), parameters, &label);
    printf("            %-25s %s\n", name, text);
}

static void print_list(void)
{
    for (size_t i = 0; i < KERNEL_COUNT; i++) {
        printf("%-11s %s\n", kernels[i]->name, kernels[i]->about);
        for (uint32_t k = 0; k < kernels[i]->case_count; k++) {
            const struct trp_kernel_case *one = &kernels[i]->cases[k];
            print_case(one->name, one->parameters, one->ops, one->actors, 0);
        }
    }
    for (size_t i = 0; i < STUDY_COUNT; i++) {
        printf("%-11s %s\n", studies[i]->name, studies[i]->about);
        for (uint32_t k = 0; k < studies[i]->case_count; k++) {
            const struct trp_study_case *one = &studies[i]->cases[k];
            print_case(one->name, one->parameters, one->amount, 0, one->time_ms);
        }
    }
    printf("%-11s %s\n", "limits", "what the machine itself can do");
}

/* What `all` is about to do. */
static void print_plan(const struct command *command)
{
    printf("runs: ");
    for (size_t i = 0; i < KERNEL_COUNT; i++) {
        printf("%s (%u), ", kernels[i]->name, kernels[i]->case_count);
    }
    for (size_t i = 0; i < STUDY_COUNT; i++) {
        printf("%s%s (%u)", i == 0 ? "" : ", ", studies[i]->name, studies[i]->case_count);
    }
    printf("%s; cases in brackets, %u runs each\n", is_trial(command) ? "" : ", limits",
           command->options.runs);
    fflush(stdout);
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
    if (command->options.scale > 1) {
        printf("operations divided by %" PRIu64 ": a trial, held against nothing\n",
               command->options.scale);
    }
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

/* What the runtime makes of several workers against one, wherever it places actors. */
static const struct trp_figure placed_figure = {"", "", TRP_FIGURE_AT_LEAST, 0.9};

static struct trp_figure share_figure(const struct trp_kernel_case *the_case)
{
    return (struct trp_figure){"", "", TRP_FIGURE_AT_LEAST, the_case->share_min};
}

/* Leaves the line open. */
static void
print_share(enum trp_limit limit, const struct trp_sample *limit_ns, const struct trp_sample *share)
{
    const char *name = trp_limit_rows[limit].name;
    double median = trp_sample_median(share);
    if (isfinite(median)) {
        printf("  limit %s %.1f ns: %.2f of it (%.2f times its time)", name,
               trp_sample_median(limit_ns), median, 1 / median);
    } else {
        printf("  limit %s cannot be measured here", name);
    }
}

static void print_limits(const struct command *command,
                         const struct trp_kernel_case *the_case,
                         const struct trp_runner_result *result)
{
    const struct trp_figure figure = share_figure(the_case);
    double share = trp_sample_median(&result->share);
    print_share(the_case->limit, &result->limit_ns, &result->share);
    if (isfinite(share) && the_case->share_min > 0) {
        trp_figure_judge(&figure, share, command->verdict);
    }
    printf("\n");
    for (uint32_t i = 0; i < the_case->other_count; i++) {
        struct trp_sample ratio;
        trp_sample_divide(&ratio, &result->other_ns[i], &result->ns_per_op);
        print_share(the_case->others[i], &result->other_ns[i], &ratio);
        printf("   %s\n", trp_limit_rows[the_case->others[i]].about);
    }
}

static void write_label(char *out, const struct entry *entry)
{
    const struct trp_label label = {.amount = entry->result.ops, .actors = entry->the_case->actors};
    trp_label_write(out, TRP_LABEL_MAX, entry->the_case->parameters, &label);
}

static void print_result(const struct command *command,
                         const struct trp_kernel *kernel,
                         const struct entry *entry)
{
    const struct trp_kernel_case *the_case = entry->the_case;
    const struct trp_runner_result *result = &entry->result;
    double ns = trp_sample_median(&result->ns_per_op);
    char label[TRP_LABEL_MAX];

    if (entry->is_invalid) {
        printf("\n%s %s: invalid, %s\n", kernel->name, the_case->name, result->error);
        return;
    }
    write_label(label, entry);
    printf("\n%s %s: %s\n", kernel->name, the_case->name, label);
    printf("  workers %u, pin %s, CPUs %s, spin %s\n", result->workers, command->options.pin,
           command->machine.affinity, spin_names[the_case->spin]);
    print_rate(1e9 / ns, kernel->op);
    printf("   %.1f ns per %s   spread %.0f %%\n", ns, kernel->op,
           100 * trp_sample_spread(&result->ns_per_op));
    if (trp_runner_has_limit(the_case, &command->options)) {
        print_limits(command, the_case, result);
    }
}

static bool is_compared(const struct entry *entry)
{
    return entry->one != NULL && !entry->one->is_invalid && !entry->is_invalid;
}

/* What placing by the runtime gives: speed on all workers in units of that on one. */
static void print_ratio(const struct command *command,
                        const struct trp_kernel *kernel,
                        const struct entry *entry)
{
    struct trp_sample ratio;
    trp_runner_compare(&ratio, &entry->one->result, &entry->result);
    printf("\n%s %s, %u workers against 1: %.2f", kernel->name, entry->the_case->name,
           entry->result.workers, trp_sample_median(&ratio));
    if (!is_trial(command)) {
        trp_figure_judge(&placed_figure, trp_sample_median(&ratio), command->verdict);
    }
    printf("\n");
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

static void report_limits(struct trp_report *report, const struct entry *entry)
{
    const struct trp_kernel_case *the_case = entry->the_case;
    const struct trp_runner_result *result = &entry->result;

    trp_report_string(report, "limit", trp_limit_rows[the_case->limit].name);
    trp_sample_report(report, "limit_ns", &result->limit_ns);
    trp_sample_report(report, "share_of_limit", &result->share);
    if (the_case->share_min > 0) {
        const struct trp_figure figure = share_figure(the_case);
        trp_report_real(report, "share_target", the_case->share_min);
        trp_report_bool(report, "is_met",
                        trp_figure_is_met(&figure, trp_sample_median(&result->share)));
    }
    trp_report_array(report, "other_limits");
    for (uint32_t i = 0; i < the_case->other_count; i++) {
        struct trp_sample ratio;
        trp_sample_divide(&ratio, &result->other_ns[i], &result->ns_per_op);
        trp_report_object(report, NULL);
        trp_report_string(report, "limit", trp_limit_rows[the_case->others[i]].name);
        trp_sample_report(report, "limit_ns", &result->other_ns[i]);
        trp_sample_report(report, "share_of_limit", &ratio);
        trp_report_end(report);
    }
    trp_report_end(report);
}

static void report_figures(const struct command *command,
                           const struct trp_kernel *kernel,
                           const struct entry *entry)
{
    struct trp_report *report = command->report;
    const struct trp_kernel_case *the_case = entry->the_case;
    const struct trp_runner_result *result = &entry->result;
    char label[TRP_LABEL_MAX];

    write_label(label, entry);
    trp_report_string(report, "parameters", label);
    trp_report_string(report, "op", kernel->op);
    trp_report_number(report, "ops", result->ops);
    trp_report_number(report, "workers", result->workers);
    trp_report_string(report, "placement", placement_names[the_case->placement]);
    trp_report_string(report, "pin", command->options.pin);
    trp_report_string(report, "cpus", command->machine.affinity);
    trp_report_string(report, "spin", spin_names[the_case->spin]);
    trp_report_real(report, "ops_per_second", 1e9 / trp_sample_median(&result->ns_per_op));
    trp_sample_report(report, "ns_per_op", &result->ns_per_op);
    if (trp_runner_has_limit(the_case, &command->options)) {
        report_limits(report, entry);
    }
    if (is_compared(entry)) {
        struct trp_sample ratio;
        trp_runner_compare(&ratio, &entry->one->result, result);
        trp_sample_report(report, "speed_against_one_worker", &ratio);
    }
    report_stats(report, &result->stats);
}

static void report_entry(const struct command *command,
                         const struct trp_kernel *kernel,
                         const struct entry *entry)
{
    struct trp_report *report = command->report;
    trp_report_object(report, NULL);
    trp_report_string(report, "kernel", kernel->name);
    trp_report_string(report, "case", entry->the_case->name);
    if (entry->is_invalid) {
        trp_report_string(report, "invalid", entry->result.error);
    } else {
        report_figures(command, kernel, entry);
    }
    trp_report_end(report);
}

/* The cases that can run here, those of one worker before what is compared with them. */
static uint32_t
list_cases(const struct command *command, const struct trp_kernel *kernel, struct entry *entries)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < kernel->case_count; i++) {
        const struct trp_kernel_case *the_case = &kernel->cases[i];
        struct entry *entry = &entries[count];
        if (the_case->workers > command->machine.usable) {
            printf("\n%s %s: left out, it needs %u CPUs\n", kernel->name, the_case->name,
                   the_case->workers);
            continue;
        }
        if (the_case->workers == 0 && command->options.workers == 1) {
            continue; /* the case of one worker is this one */
        }
        memset(entry, 0, sizeof(*entry));
        entry->the_case = the_case;
        for (uint32_t k = 0; k < count; k++) {
            if (trp_runner_is_pair(entries[k].the_case, the_case)) {
                entry->one = &entries[k];
            }
        }
        count++;
    }
    return count;
}

/*
 * All cases once, then all again: what is compared was measured at the same time. One that has
 * become invalid is not run again.
 */
static int measure_cases(const struct command *command,
                         const struct trp_kernel *kernel,
                         struct entry *entries,
                         uint32_t count)
{
    int status = TRP_BENCH_GOOD;
    for (uint32_t run = 0; run < command->options.runs; run++) {
        for (uint32_t i = 0; i < count; i++) {
            struct trp_runner_result *result = &entries[i].result;
            if (entries[i].is_invalid ||
                trp_runner_once(result, kernel, entries[i].the_case, &command->options)) {
                continue;
            }
            fprintf(stderr, "troupe-bench kernel: %s %s: %s\n", kernel->name,
                    entries[i].the_case->name, result->error);
            if (result->is_refused) {
                return TRP_BENCH_USAGE;
            }
            entries[i].is_invalid = true;
            status = TRP_BENCH_INVALID;
        }
    }
    return status;
}

static int run_kernel(const struct command *command, const struct trp_kernel *kernel)
{
    static struct entry entries[TRP_KERNEL_CASES_MAX]; /* 5 KiB each */

    TROUPE_ASSERT(kernel->case_count <= TRP_KERNEL_CASES_MAX);
    uint32_t count = list_cases(command, kernel, entries);
    int status = measure_cases(command, kernel, entries, count);
    if (status == TRP_BENCH_USAGE) {
        return status;
    }
    for (uint32_t i = 0; i < count; i++) {
        print_result(command, kernel, &entries[i]);
        if (command->report != NULL) {
            report_entry(command, kernel, &entries[i]);
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        if (is_compared(&entries[i])) {
            print_ratio(command, kernel, &entries[i]);
        }
    }
    fflush(stdout);
    return status;
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
        printf("  %-22s %10.1f   spread %3.0f %%   %s\n", row->name, trp_sample_median(&sample),
               100 * trp_sample_spread(&sample), row->about);
        fflush(stdout);
        if (command->report != NULL) {
            trp_report_object(command->report, NULL);
            trp_report_string(command->report, "limit", row->name);
            trp_report_string(command->report, "about", row->about);
            trp_sample_report(command->report, "ns_per_op", &sample);
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
    trp_report_number(report, "scale", command->options.scale);
    trp_report_number(report, "seconds", command->options.seconds);
    trp_report_string(report, "pin", command->options.pin);
    trp_report_string(report, "driver", command->driver_name);
    trp_report_end(report);
    trp_report_array(report, "results");
    return true;
}

/* After an invalid kernel or study the next one goes on; the worst status counts. */
static int run_named(const struct command *command, const char *name)
{
    bool is_all = strcmp(name, "all") == 0;
    bool is_limits = strcmp(name, "limits") == 0;
    int status = TRP_BENCH_GOOD;

    if (is_all) {
        print_plan(command);
    }
    for (size_t i = 0; i < KERNEL_COUNT && status != TRP_BENCH_USAGE; i++) {
        if (is_all || strcmp(name, kernels[i]->name) == 0) {
            status = trp_bench_worse(status, run_kernel(command, kernels[i]));
        }
    }
    if (is_limits || (is_all && !is_trial(command) && status != TRP_BENCH_USAGE)) {
        run_limits(command);
    }
    if (status != TRP_BENCH_USAGE) {
        status =
            trp_bench_worse(status, trp_studies_run(studies, STUDY_COUNT, name, &command->options,
                                                    command->report, command->verdict));
    }
    uint32_t missed = command->verdict->missed;
    if (missed > 0) {
        printf("\n%u %s missed\n", missed, missed == 1 ? "target" : "targets");
    }
    return trp_study_exit(status, command->verdict, command->is_strict);
}

static bool is_known(const char *name)
{
    for (size_t i = 0; i < KERNEL_COUNT; i++) {
        if (strcmp(name, kernels[i]->name) == 0) {
            return true;
        }
    }
    for (size_t i = 0; i < STUDY_COUNT; i++) {
        if (strcmp(name, studies[i]->name) == 0) {
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
    if (strcmp(name, "limits") == 0 && is_trial(command)) {
        fprintf(stderr, "troupe-bench kernel: limits are not divided, --scale says nothing\n");
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

static bool is_given(const struct trp_args *args, const char *name)
{
    for (size_t i = 0; i < args->count; i++) {
        if (strcmp(args->table[i].name, name) == 0) {
            return args->table[i].is_given;
        }
    }
    return false;
}

/* It shows what there is: an option would change nothing. */
static int list(const struct trp_args *args, bool is_strict)
{
    bool has_option = is_strict;
    for (size_t i = 0; i < args->count; i++) {
        has_option = has_option || args->table[i].is_given;
    }
    if (has_option) {
        fprintf(stderr, "troupe-bench kernel: list takes no option\n");
        return TRP_BENCH_USAGE;
    }
    print_list();
    return TRP_BENCH_GOOD;
}

static int run_words(int argc, char **argv, bool is_strict)
{
    static const char *const drivers[] = {"futex", "ring", NULL};
    struct trp_study_verdict verdict = {0};
    struct command command = {.is_strict = is_strict, .verdict = &verdict};
    const char *name = NULL;
    const char *json_path = NULL;
    const char *pin = "auto";
    uint64_t runs = 5;
    uint64_t scale = 1;
    uint64_t seconds = 0;
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
        {"--scale", TRP_ARG_NUMBER, &scale, 1, 1000000, NULL, false, "DIVISOR",
         "divide the operations by this and measure no limits: a trial", false},
        {"--pin", TRP_ARG_TEXT, &pin, 0, 0, NULL, false, "auto|none|LIST", "where workers run",
         false},
        {"--driver", TRP_ARG_CHOICE, &driver, 0, 0, drivers, false, "futex|ring",
         "how workers park", false},
        {"--seconds", TRP_ARG_NUMBER, &seconds, 0, 3600, NULL, false, "S",
         "how long studies watch, 0 = as each says", false},
        {"--json", TRP_ARG_TEXT, &json_path, 0, 0, NULL, false, "FILE", "write the results there",
         false},
    };
    struct trp_args args = {
        .command = "kernel",
        .usage = "kernel NAME|all|list [OPTION]...",
        .about = "Runs small actor programs and holds them against what the machine can do.\n"
                 "Exit status: 0 the figures are valid, 1 FILE cannot be written, 2 wrong usage,\n"
                 "3 with --strict (no value) a figure misses its target, 4 a run is invalid (the "
                 "others\n"
                 "still run).",
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
        return list(&args, is_strict);
    }
    command.driver_name = drivers[driver];
    command.options = (struct trp_runner_options){
        .runs = (uint32_t)runs,
        .workers = (uint32_t)workers,
        .scale = scale,
        .seconds = seconds,
        .pin = pin,
        .driver = driver == 1 ? troupe_ring_driver() : troupe_futex_driver(),
        .is_driver_chosen = is_given(&args, "--driver"),
        .machine = &command.machine,
    };
    return run_command(&command, name, json_path);
}

/* Takes a word without a value out of a command line; whether it was there. */
static bool take_flag(const char *flag, int *argc, char **argv)
{
    int kept = 0;
    for (int i = 0; i < *argc; i++) {
        if (strcmp(argv[i], flag) != 0) {
            argv[kept++] = argv[i];
        }
    }
    bool is_there = kept < *argc;
    *argc = kept;
    return is_there;
}

#define WORDS_MAX 64

int trp_bench_kernel(int argc, char **argv)
{
    char *words[WORDS_MAX]; /* the caller's own stay as they are */
    if (argc > WORDS_MAX) {
        fprintf(stderr, "troupe-bench kernel: too many words\n");
        return TRP_BENCH_USAGE;
    }
    for (int i = 0; i < argc; i++) {
        words[i] = argv[i];
    }
    bool is_strict = take_flag("--strict", &argc, words);
    return run_words(argc, words, is_strict);
}
