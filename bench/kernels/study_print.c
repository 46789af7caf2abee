/* Runs the cases of a study in turns and shows their figures. */

#include "bench/kernels/study.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <troupe/assert.h>
#include <troupe/io.h>

#include "bench/args.h"
#include "bench/kernels/label.h"

/* A case under way. */
struct entry {
    const struct trp_study_case *the_case;
    uint32_t workers;
    uint64_t amount; /* as the last run had it */
    uint64_t time_ns;
    bool is_invalid;
    char error[sizeof(((struct trp_study_run *)NULL)->error)]; /* cstr: why */
    struct trp_sample samples[TRP_FIGURES_MAX];
    struct troupe_worker_stats stats;
};

bool trp_figure_is_met(const struct trp_figure *figure, double value)
{
    switch (figure->goal) {
    case TRP_FIGURE_AT_MOST:
        return value <= figure->target;
    case TRP_FIGURE_AT_LEAST:
        return value >= figure->target;
    case TRP_FIGURE_SHOWN:
        break;
    }
    return true;
}

static uint64_t scaled_time_ns(const struct trp_study_case *the_case,
                               const struct trp_runner_options *options)
{
    uint64_t time_ns =
        options->seconds != 0 ? options->seconds * 1000000000 : the_case->time_ms * 1000000;
    time_ns /= options->scale;
    return time_ns < TRP_STUDY_TIME_MIN_NS ? TRP_STUDY_TIME_MIN_NS : time_ns;
}

static int measure_once(const struct trp_study *study,
                        struct entry *entry,
                        const struct trp_runner_options *options)
{
    const struct trp_study_case *the_case = entry->the_case;
    struct trp_study_run run = {
        .options = options,
        .the_case = the_case,
        .workers = entry->workers,
        .amount = the_case->amount / options->scale,
        .time_ns = scaled_time_ns(the_case, options),
    };
    run.amount = run.amount == 0 ? 1 : run.amount;
    for (uint32_t i = 0; i < TRP_FIGURES_MAX; i++) {
        run.values[i] = NAN;
    }
    if (!the_case->measure(&run)) {
        fprintf(stderr, "troupe-bench kernel: %s %s: %s\n", study->name, the_case->name, run.error);
        entry->is_invalid = true;
        memcpy(entry->error, run.error, sizeof(entry->error));
        return run.is_refused ? TRP_BENCH_USAGE : TRP_BENCH_INVALID;
    }
    entry->amount = run.amount;
    entry->time_ns = run.time_ns;
    for (uint32_t i = 0; i < the_case->figure_count; i++) {
        trp_sample_add(&entry->samples[i], run.values[i]);
    }
    entry->stats.accepted += run.stats.accepted;
    entry->stats.processed += run.stats.processed;
    entry->stats.reported += run.stats.reported;
    entry->stats.refused += run.stats.refused;
    return TRP_BENCH_GOOD;
}

/* Why a case cannot run here; NULL = it can. */
static const char *why_left_out(const struct trp_study_case *the_case,
                                const struct trp_runner_options *options)
{
    static char text[TROUPE_RING_ERROR_MAX];
    bool is_ring = options->driver == troupe_ring_driver();

    if (the_case->workers > options->machine->usable) {
        snprintf(text, sizeof(text), "it needs %u CPUs", the_case->workers);
        return text;
    }
    if (the_case->driver == TRP_STUDY_GIVEN_DRIVER) {
        return NULL;
    }
    if (options->is_driver_chosen) {
        return is_ring == (the_case->driver == TRP_STUDY_RING) ? NULL : "another driver was chosen";
    }
    /* Nobody asked for the ring: where there is none, the rest still runs. */
    return the_case->driver != TRP_STUDY_RING || troupe_ring_probe(text, sizeof(text)) == TROUPE_OK
               ? NULL
               : text;
}

/* 1234.5 with as many digits as say something */
static void print_value(double value, const char *unit)
{
    double size = fabs(value);
    if (!isfinite(value)) {
        printf("not measured");
        return;
    }
    printf("%.*f", size >= 1000 || size == floor(size) ? 0 : (size >= 10 ? 1 : 3), value);
    if (unit[0] != '\0') {
        printf(" %s", unit);
    }
}

static void print_figure(const struct trp_figure *figure, const struct trp_sample *sample)
{
    double median = trp_sample_median(sample);
    printf("  %-28s ", figure->name);
    print_value(median, figure->unit);
    if (sample->count > 1 && isfinite(median)) {
        printf("   (");
        print_value(trp_sample_min(sample), "");
        printf(" .. ");
        print_value(trp_sample_max(sample), "");
        printf(")");
    }
}

static bool is_judged(const struct trp_figure *figure, const struct trp_runner_options *options)
{
    return figure->goal != TRP_FIGURE_SHOWN && options->scale == 1;
}

void trp_figure_judge(const struct trp_figure *figure,
                      double value,
                      struct trp_study_verdict *verdict)
{
    bool is_met = trp_figure_is_met(figure, value);
    printf("   target %s ", figure->goal == TRP_FIGURE_AT_MOST ? "<=" : ">=");
    print_value(figure->target, figure->unit);
    printf(": %s", is_met ? "met" : "missed");
    verdict->missed += !is_met;
}

static void write_label(char *out, const struct entry *entry)
{
    const struct trp_label label = {.amount = entry->amount, .time_ns = entry->time_ns};
    trp_label_write(out, TRP_LABEL_MAX, entry->the_case->parameters, &label);
}

static void print_entry(const struct trp_study *study,
                        const struct entry *entry,
                        const struct trp_runner_options *options,
                        struct trp_study_verdict *verdict)
{
    const struct trp_study_case *the_case = entry->the_case;
    char label[TRP_LABEL_MAX];
    if (entry->is_invalid) {
        printf("\n%s %s: invalid, %s\n", study->name, the_case->name, entry->error);
        return;
    }
    write_label(label, entry);
    printf("\n%s %s: %s\n", study->name, the_case->name, label);
    printf("  workers %u, pin %s, CPUs %s; medians of %u (smallest .. largest)\n", entry->workers,
           options->pin, options->machine->affinity, options->runs);
    for (uint32_t i = 0; i < the_case->figure_count; i++) {
        const struct trp_figure *figure = &the_case->figures[i];
        if (options->scale > 1 && !isfinite(trp_sample_median(&entry->samples[i]))) {
            continue; /* limits are not measured in trials */
        }
        print_figure(figure, &entry->samples[i]);
        if (is_judged(figure, options)) {
            trp_figure_judge(figure, trp_sample_median(&entry->samples[i]), verdict);
        }
        printf("\n");
    }
}

static void report_figure(struct trp_report *report,
                          const struct trp_figure *figure,
                          const struct trp_sample *sample,
                          const struct trp_runner_options *options)
{
    trp_report_object(report, NULL);
    trp_report_string(report, "figure", figure->name);
    trp_report_string(report, "unit", figure->unit);
    trp_sample_report(report, "value", sample);
    if (is_judged(figure, options)) {
        trp_report_string(report, "goal",
                          figure->goal == TRP_FIGURE_AT_MOST ? "at most" : "at least");
        trp_report_real(report, "target", figure->target);
        trp_report_bool(report, "is_met", trp_figure_is_met(figure, trp_sample_median(sample)));
    }
    trp_report_end(report);
}

static void report_entry(struct trp_report *report,
                         const struct trp_study *study,
                         const struct entry *entry,
                         const struct trp_runner_options *options)
{
    const struct trp_study_case *the_case = entry->the_case;
    char label[TRP_LABEL_MAX];
    trp_report_object(report, NULL);
    trp_report_string(report, "kernel", study->name);
    trp_report_string(report, "case", the_case->name);
    if (entry->is_invalid) {
        trp_report_string(report, "invalid", entry->error);
        trp_report_end(report);
        return;
    }
    write_label(label, entry);
    trp_report_string(report, "parameters", label);
    trp_report_number(report, "workers", entry->workers);
    trp_report_string(report, "pin", options->pin);
    trp_report_string(report, "cpus", options->machine->affinity);
    trp_report_array(report, "figures");
    for (uint32_t i = 0; i < the_case->figure_count; i++) {
        report_figure(report, &the_case->figures[i], &entry->samples[i], options);
    }
    trp_report_end(report);
    trp_report_object(report, "stats");
    trp_report_number(report, "accepted", entry->stats.accepted);
    trp_report_number(report, "processed", entry->stats.processed);
    trp_report_number(report, "reported", entry->stats.reported);
    trp_report_number(report, "refused", entry->stats.refused);
    trp_report_end(report);
    trp_report_end(report);
}

/* The cases that can run here. */
static uint32_t list_cases(const struct trp_study *study,
                           const struct trp_runner_options *options,
                           struct entry *entries)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < study->case_count; i++) {
        const struct trp_study_case *the_case = &study->cases[i];
        const char *why = why_left_out(the_case, options);
        TROUPE_ASSERT(the_case->figure_count <= TRP_FIGURES_MAX);
        if (why != NULL) {
            printf("\n%s %s: left out, %s\n", study->name, the_case->name, why);
            continue;
        }
        memset(&entries[count], 0, sizeof(entries[count]));
        entries[count].the_case = the_case;
        entries[count].workers = the_case->workers != 0 ? the_case->workers : options->workers;
        count++;
    }
    return count;
}

int trp_study_run_all(const struct trp_study *study,
                      const struct trp_runner_options *options,
                      struct trp_report *report,
                      struct trp_study_verdict *verdict)
{
    static struct entry entries[TRP_STUDY_CASES_MAX]; /* 13 KiB each */

    TROUPE_ASSERT(study->case_count <= TRP_STUDY_CASES_MAX);
    int status = TRP_BENCH_GOOD;
    uint32_t count = list_cases(study, options, entries);
    for (uint32_t run = 0; run < options->runs; run++) {
        for (uint32_t i = 0; i < count; i++) {
            if (!entries[i].is_invalid) {
                status = trp_bench_worse(status, measure_once(study, &entries[i], options));
            }
            if (status == TRP_BENCH_USAGE) {
                return status; /* the others would be refused as well */
            }
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        print_entry(study, &entries[i], options, verdict);
        if (report != NULL) {
            report_entry(report, study, &entries[i], options);
        }
    }
    fflush(stdout);
    return status;
}

int trp_studies_run(const struct trp_study *const *studies,
                    size_t count,
                    const char *name,
                    const struct trp_runner_options *options,
                    struct trp_report *report,
                    struct trp_study_verdict *verdict)
{
    int status = TRP_BENCH_GOOD;
    for (size_t i = 0; i < count && status != TRP_BENCH_USAGE; i++) {
        if (strcmp(name, "all") == 0 || strcmp(name, studies[i]->name) == 0) {
            status =
                trp_bench_worse(status, trp_study_run_all(studies[i], options, report, verdict));
        }
    }
    return status;
}

int trp_study_exit(int status, const struct trp_study_verdict *verdict, bool is_strict)
{
    bool is_missed = is_strict && verdict->missed > 0;
    return trp_bench_worse(status, is_missed ? TRP_BENCH_THRESHOLD : TRP_BENCH_GOOD);
}
