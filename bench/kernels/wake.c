/* How long it takes to reach an actor whose worker sleeps, and one whose worker is awake. */

#include <math.h>

#include "bench/kernels/cast.h"
#include "bench/kernels/study.h"

/* The first of this many parts of the trips is not measured. */
#define WARM_UP_PART 10u

enum { MSG_BALL = TRP_KERNEL_FIRST_TYPE };

enum {
    PARKED_P50,
    PARKED_P99,
    PARKED_P999,
    PARKED_MSG_RING,
    PARKED_FUTEX,
    PARKED_AGAINST_MSG_RING,
    PARKED_AGAINST_FUTEX,
    PARKED_FIGURES,
};

static const struct trp_figure parked_figures[PARKED_FIGURES] = {
    [PARKED_P50] = {"round-trip-p50", "us", TRP_FIGURE_SHOWN, 0},
    [PARKED_P99] = {"round-trip-p99", "us", TRP_FIGURE_SHOWN, 0},
    [PARKED_P999] = {"round-trip-p99.9", "us", TRP_FIGURE_SHOWN, 0},
    [PARKED_MSG_RING] = {"limit-msg-ring-p50", "us", TRP_FIGURE_SHOWN, 0},
    [PARKED_FUTEX] = {"limit-futex-p50", "us", TRP_FIGURE_SHOWN, 0},
    [PARKED_AGAINST_MSG_RING] = {"p50-against-msg-ring", "", TRP_FIGURE_AT_MOST, 1.15},
    [PARKED_AGAINST_FUTEX] = {"p50-against-futex", "", TRP_FIGURE_SHOWN, 0},
};

enum { HOT_P50, HOT_P99, HOT_P999, HOT_HOP, HOT_AGAINST_HOP, HOT_FIGURES };

static const struct trp_figure hot_figures[HOT_FIGURES] = {
    [HOT_P50] = {"round-trip-p50", "us", TRP_FIGURE_SHOWN, 0},
    [HOT_P99] = {"round-trip-p99", "us", TRP_FIGURE_SHOWN, 0},
    [HOT_P999] = {"round-trip-p99.9", "us", TRP_FIGURE_SHOWN, 0},
    [HOT_HOP] = {"limit-cache-line", "us", TRP_FIGURE_SHOWN, 0},
    [HOT_AGAINST_HOP] = {"p50-against-cache-line", "", TRP_FIGURE_AT_MOST, 5},
};

struct wake {
    struct trp_hist trips;
    uint64_t left;     /* trips still to be made */
    uint64_t measured; /* the last so many of them */
    uint64_t served_ns;
};

static enum troupe_verdict receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    const struct trp_part *part = state;
    trp_kernel_forward(ctx, part->run, msg->from, MSG_BALL, msg);
    return TROUPE_CONTINUE;
}

/* Takes the time of the trip that ends, and with the same look at the clock begins the next one. */
static enum troupe_verdict receive_lead(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    const struct trp_part *part = state;
    struct wake *wake = part->run->data;
    uint64_t now_ns = trp_machine_now_ns();
    if (msg->type == MSG_BALL) {
        if (wake->left <= wake->measured) {
            trp_hist_record(&wake->trips, now_ns - wake->served_ns, 1);
        }
        if (--wake->left == 0) {
            troupe_pool_stop(part->run->pool);
            return TROUPE_CONTINUE;
        }
    }
    wake->served_ns = now_ns;
    trp_kernel_forward(ctx, part->run, part->run->refs[0], MSG_BALL, msg);
    return TROUPE_CONTINUE;
}

static const struct troupe_actor_type type = {
    .name = "sleeper",
    .state_size = sizeof(struct trp_part),
    .init_cb = trp_part_init,
    .receive_cb = receive,
};

static const struct troupe_actor_type lead_type = {
    .name = "waker",
    .state_size = sizeof(struct trp_part),
    .init_cb = trp_part_init,
    .receive_cb = receive_lead,
};

static bool play(struct trp_study_run *study, struct wake *wake)
{
    const struct trp_role roles[] = {
        {&type, 1, TRP_PLACE_FIRST},
        {&lead_type, 1, TRP_PLACE_LAST},
    };
    struct trp_kernel_run *run = trp_study_open(study, wake, NULL);
    if (run == NULL) {
        return false;
    }
    wake->measured = study->amount;
    wake->left = study->amount + study->amount / WARM_UP_PART;
    bool is_good = trp_cast(run, roles, 2) ? trp_study_play(study, run)
                                           : trp_study_fail(study, "no room for the actors");
    if (is_good && wake->trips.total != study->amount) {
        is_good = trp_study_fail(study, "round trips are missing");
    }
    trp_study_close(run);
    return is_good;
}

static bool play_measured(struct trp_study_run *study, double *p50_us)
{
    struct wake wake = {.left = 0};
    if (!trp_hist_init_latency(&wake.trips)) {
        return trp_study_fail(study, "out of memory");
    }
    bool is_good = play(study, &wake);
    p50_us[0] = (double)trp_hist_percentile(&wake.trips, 50) / 1e3;
    p50_us[1] = (double)trp_hist_percentile(&wake.trips, 99) / 1e3;
    p50_us[2] = (double)trp_hist_percentile(&wake.trips, 99.9) / 1e3;
    trp_hist_fini(&wake.trips);
    return is_good;
}

/* The median round trip of bare threads, us. */
static double bare_p50_us(const struct trp_study_run *study, enum trp_limit limit)
{
    static uint64_t trips_ns[TRP_LIMIT_WAKE_TRIPS]; /* 24 KiB */
    struct trp_hist hist;
    if (!trp_study_has_limits(study) ||
        !trp_limit_wake_trips(limit, study->options->machine, trips_ns) ||
        !trp_hist_init_latency(&hist)) {
        return NAN;
    }
    for (uint32_t i = 0; i < TRP_LIMIT_WAKE_TRIPS; i++) {
        trp_hist_record(&hist, trips_ns[i], 1);
    }
    double p50_us = (double)trp_hist_percentile(&hist, 50) / 1e3;
    trp_hist_fini(&hist);
    return p50_us;
}

static bool measure_parked(struct trp_study_run *study)
{
    double *values = study->values;
    values[PARKED_MSG_RING] = bare_p50_us(study, TRP_LIMIT_WAKE_MSG_RING);
    values[PARKED_FUTEX] = bare_p50_us(study, TRP_LIMIT_WAKE_FUTEX);
    if (!play_measured(study, &values[PARKED_P50])) {
        return false;
    }
    values[PARKED_AGAINST_MSG_RING] = values[PARKED_P50] / values[PARKED_MSG_RING];
    values[PARKED_AGAINST_FUTEX] = values[PARKED_P50] / values[PARKED_FUTEX];
    return true;
}

static bool measure_hot(struct trp_study_run *study)
{
    double *values = study->values;
    if (trp_study_has_limits(study)) {
        values[HOT_HOP] = trp_limit_measure(TRP_LIMIT_HOP, study->options->machine) / 1e3;
    }
    if (!play_measured(study, &values[HOT_P50])) {
        return false;
    }
    values[HOT_AGAINST_HOP] = values[HOT_P50] / values[HOT_HOP];
    return true;
}

static const struct trp_study_case cases[] = {
    {.name = "parked-futex",
     .parameters = "1 pair on two workers that park at once, {n} round trips, futex driver",
     .figures = parked_figures,
     .figure_count = PARKED_FIGURES,
     .workers = 2,
     .spin = TROUPE_SPIN_PARK,
     .driver = TRP_STUDY_FUTEX,
     .amount = 5000,
     .measure = measure_parked},
    {.name = "parked-ring",
     .parameters = "1 pair on two workers that park at once, {n} round trips, ring driver",
     .figures = parked_figures,
     .figure_count = PARKED_FIGURES,
     .workers = 2,
     .spin = TROUPE_SPIN_PARK,
     .driver = TRP_STUDY_RING,
     .amount = 5000,
     .measure = measure_parked},
    {.name = "hot",
     .parameters = "1 pair on two workers that never park, {n} round trips, each timed",
     .figures = hot_figures,
     .figure_count = HOT_FIGURES,
     .workers = 2,
     .spin = TROUPE_SPIN_BUSY,
     .amount = 500000,
     .measure = measure_hot},
};

const struct trp_study trp_study_wake = {
    .name = "wake",
    .about = "a message to a worker that sleeps and back, and to one that is awake",
    .cases = cases,
    .case_count = sizeof(cases) / sizeof(cases[0]),
};
