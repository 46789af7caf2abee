/* The result of a Nostr load: as text and as JSON. */

#include "bench/load/nostr_run.h"

#include <math.h>
#include <stdio.h>

#include "bench/args.h"
#include "bench/load/hist_export.h"
#include "bench/report/json_report.h"
#include "bench/report/machine.h"

/* A generator that uses more than this share of its workers measures itself. */
#define BUSY_SHARE 0.9

static const char *const verify_names[] = {
    [LOAD_VERIFY_ALL] = "all",
    [LOAD_VERIFY_SAMPLE] = "sample",
    [LOAD_VERIFY_NONE] = "none",
};

static const struct {
    const char *name;
    double percent;
} percentiles[] = {{"p50", 50}, {"p90", 90}, {"p99", 99}, {"p99_9", 99.9}};

/* Everything of all workers. */
struct summary {
    struct load_counts counts;
    struct trp_hist latency;
    struct trp_hist lateness;
    const char *error;  /* NULL = the run came to its end */
    const char *notice; /* NULL = none */
    double seconds;     /* of the window */
    double calls_per_second;
    double crypto_per_second; /* what one core's cryptography allows */
    double own_share;         /* CPU of this process, in cores */
    double server_share;      /* NaN without --server-pid */
    double server_us;         /* CPU of the server per call, us; NaN as well */
};

/* The struct is a list of counters and nothing else. */
static void add_counts(struct load_counts *sum, const struct load_counts *more)
{
    sum->sent += more->sent;
    sum->good += more->good;
    sum->good_measured += more->good_measured;
    sum->refused += more->refused;
    sum->errors += more->errors;
    sum->rejected += more->rejected;
    sum->wrong += more->wrong;
    sum->late += more->late;
    sum->unconfirmed += more->unconfirmed;
    sum->lost += more->lost;
    sum->verified += more->verified;
    sum->ignored += more->ignored;
    sum->setup_refused += more->setup_refused;
}

static void compute_rates(struct summary *sum, const struct load_run *run)
{
    const struct load_cpu *begin = &run->cpu[0];
    const struct load_cpu *end = &run->cpu[1];
    double wall_ns = (double)(end->now_ns - begin->now_ns);

    sum->seconds = (double)run->options.duration_ns / 1e9;
    sum->calls_per_second = (double)sum->counts.good_measured / sum->seconds;
    sum->crypto_per_second = 1e9 / run->crypto_ns;
    sum->own_share = (double)(end->own_ns - begin->own_ns) / wall_ns;
    sum->server_share = NAN;
    sum->server_us = NAN;
    if (begin->has_server && end->has_server) {
        double server_ns = (double)(end->server_ns - begin->server_ns);
        sum->server_share = server_ns / wall_ns;
        sum->server_us = server_ns / 1e3 / ((double)sum->counts.good_measured);
    }
}

static bool make_summary(struct summary *sum, const struct load_run *run)
{
    *sum = (struct summary){.error = NULL};
    if (!trp_hist_init_latency(&sum->latency) || !trp_hist_init_latency(&sum->lateness)) {
        return false;
    }
    for (uint32_t i = 0; i < run->options.workers; i++) {
        const struct load_worker *worker = &run->workers[i];
        add_counts(&sum->counts, &worker->counts);
        trp_hist_merge(&sum->latency, &worker->latency);
        trp_hist_merge(&sum->lateness, &worker->lateness);
        sum->error = sum->error == NULL && worker->error[0] != '\0' ? worker->error : sum->error;
        sum->notice =
            sum->notice == NULL && worker->notice[0] != '\0' ? worker->notice : sum->notice;
    }
    if (sum->error == NULL && !run->is_complete) {
        sum->error = "the run ended before its time";
    }
    if (sum->error == NULL) {
        compute_rates(sum, run);
    }
    return true;
}

static int exit_status(const struct summary *sum, const struct load_run *run)
{
    if (sum->error != NULL) {
        /* Before the start something outside is missing; after it the figures are worthless. */
        return run->window.end_ns == 0 ? TRP_BENCH_FAILED : TRP_BENCH_INVALID;
    }
    if (sum->counts.lost > 0 || sum->counts.wrong > 0) {
        return TRP_BENCH_THRESHOLD;
    }
    return sum->counts.good_measured == 0 ? TRP_BENCH_INVALID : TRP_BENCH_GOOD;
}

/* --- text --- */

static void print_parameters(const struct load_run *run, const struct trp_machine *machine)
{
    const struct load_options *options = &run->options;
    printf("machine: %s, %u CPUs, affinity %s, %s\n", machine->cpu_model, machine->cpus,
           machine->affinity, machine->kernel);
    printf("load nostr, closed loop: %u clients x %u in flight over %u connections, payload %u B, "
           "%llu s after %llu s of warm-up, verify %s, workers %u, pin %s\n",
           options->clients, options->inflight, options->connections, options->payload,
           (unsigned long long)(options->duration_ns / 1000000000u),
           (unsigned long long)(options->warmup_ns / 1000000000u), verify_names[options->verify],
           options->workers, options->pin);
}

/* Calls that have no outcome: the relay itself went away under them. */
static uint64_t unfinished(const struct load_counts *counts)
{
    uint64_t ended = counts->good + counts->refused + counts->errors + counts->rejected +
                     counts->lost + counts->unconfirmed;
    return counts->sent > ended ? counts->sent - ended : 0;
}

static void print_counts(const struct load_counts *counts)
{
    printf("calls: %llu sent, %llu good, %llu refused, %llu errors, %llu rejected by the relay, "
           "%llu wrong, %llu lost, %llu unconfirmed, %llu late\n",
           (unsigned long long)counts->sent, (unsigned long long)counts->good,
           (unsigned long long)counts->refused, (unsigned long long)counts->errors,
           (unsigned long long)counts->rejected, (unsigned long long)counts->wrong,
           (unsigned long long)counts->lost, (unsigned long long)counts->unconfirmed,
           (unsigned long long)counts->late);
    printf("       %llu unfinished, %llu signatures checked, %llu notifications ignored, "
           "%llu refusals during set-up\n",
           (unsigned long long)unfinished(counts), (unsigned long long)counts->verified,
           (unsigned long long)counts->ignored, (unsigned long long)counts->setup_refused);
}

static void print_figures(const struct summary *sum, uint32_t workers)
{
    printf("throughput: %.0f calls/s; one core's cryptography (verify + sign + 2 hashes) allows "
           "%.0f/s: ratio %.2f\n",
           sum->calls_per_second, sum->crypto_per_second,
           sum->calls_per_second / sum->crypto_per_second);
    printf("latency, from send to answer:");
    for (size_t i = 0; i < sizeof(percentiles) / sizeof(percentiles[0]); i++) {
        printf(" %s %.3f ms,", percentiles[i].name,
               (double)trp_hist_percentile(&sum->latency, percentiles[i].percent) / 1e6);
    }
    printf(" max %.3f ms\n", (double)sum->latency.max / 1e6);
    if (isfinite(sum->server_us)) {
        printf("server: %.1f us of CPU per call, %.2f cores\n", sum->server_us, sum->server_share);
    }
    printf("generator: %.2f cores; its timers came late by p50 %.3f ms, p99 %.3f ms, max %.3f ms\n",
           sum->own_share, (double)trp_hist_percentile(&sum->lateness, 50) / 1e6,
           (double)trp_hist_percentile(&sum->lateness, 99) / 1e6, (double)sum->lateness.max / 1e6);
    if (sum->own_share > BUSY_SHARE * workers) {
        printf("note: the generator was busy all the time; the server may be capable of more\n");
    }
}

static void print_summary(const struct summary *sum,
                          const struct load_run *run,
                          const struct trp_machine *machine)
{
    print_parameters(run, machine);
    print_counts(&sum->counts);
    if (sum->error == NULL) {
        print_figures(sum, run->options.workers);
    }
    if (sum->notice != NULL) {
        printf("first complaint: %s\n", sum->notice);
    }
    fflush(stdout);
    if (sum->error != NULL) {
        fprintf(stderr, "troupe-bench load nostr: %s\n", sum->error);
    }
}

/* --- JSON --- */

static void report_parameters(struct trp_report *report, const struct load_options *options)
{
    trp_report_object(report, "parameters");
    trp_report_string(report, "relay", options->relay);
    trp_report_string(report, "server", options->server_hex);
    trp_report_number(report, "clients", options->clients);
    trp_report_number(report, "inflight", options->inflight);
    trp_report_number(report, "connections", options->connections);
    trp_report_number(report, "workers", options->workers);
    trp_report_string(report, "pin", options->pin);
    trp_report_number(report, "payload_bytes", options->payload);
    trp_report_real(report, "duration_s", (double)options->duration_ns / 1e9);
    trp_report_real(report, "warmup_s", (double)options->warmup_ns / 1e9);
    trp_report_real(report, "timeout_s", (double)options->timeout_ns / 1e9);
    trp_report_number(report, "seed", options->seed);
    trp_report_string(report, "verify", verify_names[options->verify]);
    trp_report_end(report);
}

static void report_counts(struct trp_report *report, const struct load_counts *counts)
{
    trp_report_object(report, "counts");
    trp_report_number(report, "sent", counts->sent);
    trp_report_number(report, "good", counts->good);
    trp_report_number(report, "good_measured", counts->good_measured);
    trp_report_number(report, "refused", counts->refused);
    trp_report_number(report, "errors", counts->errors);
    trp_report_number(report, "rejected", counts->rejected);
    trp_report_number(report, "wrong", counts->wrong);
    trp_report_number(report, "lost", counts->lost);
    trp_report_number(report, "unconfirmed", counts->unconfirmed);
    trp_report_number(report, "late", counts->late);
    trp_report_number(report, "unfinished", unfinished(counts));
    trp_report_number(report, "verified", counts->verified);
    trp_report_number(report, "ignored", counts->ignored);
    trp_report_number(report, "setup_refused", counts->setup_refused);
    trp_report_end(report);
}

static void report_hist(struct trp_report *report, const char *name, const struct trp_hist *hist)
{
    char *encoded = trp_hist_export_base64(hist);

    trp_report_object(report, name);
    trp_report_number(report, "count", hist->total);
    trp_report_number(report, "min", trp_hist_min(hist));
    trp_report_real(report, "mean", trp_hist_mean(hist));
    trp_report_real(report, "stddev", trp_hist_stddev(hist));
    for (size_t i = 0; i < sizeof(percentiles) / sizeof(percentiles[0]); i++) {
        trp_report_number(report, percentiles[i].name,
                          trp_hist_percentile(hist, percentiles[i].percent));
    }
    trp_report_number(report, "max", hist->max);
    trp_report_string(report, "hdr_v2_base64", encoded != NULL ? encoded : "");
    trp_report_end(report);
    free(encoded);
}

static void report_figures(struct trp_report *report, const struct summary *sum)
{
    trp_report_object(report, "results");
    trp_report_real(report, "calls_per_second", sum->calls_per_second);
    trp_report_real(report, "crypto_limit_per_second", sum->crypto_per_second);
    trp_report_real(report, "share_of_crypto_limit",
                    sum->calls_per_second / sum->crypto_per_second);
    trp_report_real(report, "server_cpu_us_per_call", sum->server_us);
    trp_report_real(report, "server_cores", sum->server_share);
    trp_report_real(report, "generator_cores", sum->own_share);
    report_hist(report, "latency_ns", &sum->latency);
    report_hist(report, "generator_lateness_ns", &sum->lateness);
    trp_report_end(report);
}

static bool write_report(const struct summary *sum,
                         const struct load_run *run,
                         const struct trp_machine *machine,
                         int status)
{
    struct trp_report report;
    if (!trp_report_open(&report, run->options.json_path)) {
        return false;
    }
    trp_report_object(&report, NULL);
    trp_report_header(&report, machine);
    trp_report_string(&report, "command", "load nostr");
    trp_report_string(&report, "loop", "closed");
    report_parameters(&report, &run->options);
    report_counts(&report, &sum->counts);
    if (sum->error == NULL) {
        report_figures(&report, sum);
    } else {
        trp_report_string(&report, "error", sum->error);
    }
    if (sum->notice != NULL) {
        trp_report_string(&report, "first_complaint", sum->notice);
    }
    trp_report_number(&report, "exit_status", (uint64_t)status);
    trp_report_end(&report);
    return trp_report_close(&report);
}

int trp_load_report(struct load_run *run)
{
    struct summary sum;
    struct trp_machine machine;
    int status = TRP_BENCH_FAILED;

    trp_machine_read(&machine);
    if (make_summary(&sum, run)) {
        status = exit_status(&sum, run);
        print_summary(&sum, run, &machine);
        if (run->options.json_path != NULL && !write_report(&sum, run, &machine, status) &&
            status == TRP_BENCH_GOOD) {
            status = TRP_BENCH_FAILED;
        }
    } else {
        fprintf(stderr, "troupe-bench load nostr: out of memory\n");
    }
    trp_hist_fini(&sum.latency);
    trp_hist_fini(&sum.lateness);
    return status;
}
