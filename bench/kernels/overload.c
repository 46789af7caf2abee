#include "bench/kernels/overload.h"

#include <stdlib.h>
#include <troupe/relations.h>

#define WORK_NS      10000u
#define LANE_COUNT   500u  /* of the server, messages: 5 ms of work */
#define LANE_ASKS    4000u /* 40 ms of work: longer than the deadline */
#define OVERLOAD     2.0   /* what is offered, in units of the capacity */
#define WARM_UP_PART 4u    /* of the time */

/*
 * What both cases show, and then each its own. Memory: what the slabs of the pool hold when it has
 * ended, and how much the process grew in the measured time: by less than one chunk of a slab.
 */
enum { CAPACITY, OFFERED, GOODPUT, REFUSED, MEMORY, MEMORY_GROWTH, COMMON_FIGURES };

#define COMMON_ROWS                                                                                \
    [CAPACITY] = {"capacity-alone", "k/s", TRP_FIGURE_SHOWN, 0},                                   \
    [OFFERED] = {"offered-against-capacity", "", TRP_FIGURE_SHOWN, 0},                             \
    [GOODPUT] = {"goodput-against-capacity", "", TRP_FIGURE_AT_LEAST, 0.95},                       \
    [REFUSED] = {"refused-of-offered", "", TRP_FIGURE_SHOWN, 0},                                   \
    [MEMORY] = {"slabs-at-end", "KiB", TRP_FIGURE_SHOWN, 0},                                       \
    [MEMORY_GROWTH] = {"resident-growth", "KiB", TRP_FIGURE_AT_MOST, 256}

enum { REFUSAL_P50 = COMMON_FIGURES, REFUSAL_P99, REFUSAL_MAX, MESSAGE_FIGURES };

static const struct trp_figure message_figures[MESSAGE_FIGURES] = {
    COMMON_ROWS,
    [REFUSAL_P50] = {"refusal-p50", "us", TRP_FIGURE_SHOWN, 0},
    [REFUSAL_P99] = {"refusal-p99", "us", TRP_FIGURE_AT_MOST, 5},
    [REFUSAL_MAX] = {"refusal-max", "us", TRP_FIGURE_SHOWN, 0},
};

enum { ANSWERED = COMMON_FIGURES, EXPIRED, LATE, ASK_FIGURES };

/* The goodput of asks is what was handled: that the answer came too late is told beside it. */
static const struct trp_figure ask_figures[ASK_FIGURES] = {
    COMMON_ROWS,
    [ANSWERED] = {"answered-against-capacity", "", TRP_FIGURE_SHOWN, 0},
    [EXPIRED] = {"expired-of-accepted", "", TRP_FIGURE_SHOWN, 0},
    [LATE] = {"handled-after-deadline", "", TRP_FIGURE_AT_MOST, 0},
};

/* --- the server --- */

static void begin(struct troupe_ctx *ctx, struct trp_kernel_run *run)
{
    struct trp_overload *overload = run->data;
    uint64_t time_ns = overload->end_ns; /* handed over as a duration */
    overload->begin_ns = trp_machine_now_ns();
    overload->warm_ns = overload->begin_ns + time_ns / WARM_UP_PART;
    overload->end_ns = overload->begin_ns + time_ns;
    trp_cast_tell(ctx, run, 0, TRP_OVERLOAD_SENDERS, TRP_OVERLOAD_GO, troupe_span(NULL, 0));
}

static void serve(struct troupe_ctx *ctx, struct trp_kernel_run *run, struct troupe_msg *msg)
{
    struct trp_overload *overload = run->data;
    uint64_t deadline_ns = trp_kernel_value(msg);
    uint64_t now_ns = trp_machine_now_ns();
    trp_work_do(&overload->work);
    overload->handled++;
    if (now_ns >= overload->warm_ns && now_ns < overload->end_ns) {
        overload->counted++;
        if (overload->resident_early == 0) {
            overload->resident_early = trp_study_resident_bytes();
        }
    } else if (now_ns >= overload->end_ns && overload->resident_end == 0) {
        overload->resident_end = trp_study_resident_bytes();
    }
    if (!overload->is_asked) {
        return;
    }
    overload->late += now_ns > deadline_ns + TRP_OVERLOAD_LATE_NS;
    if (troupe_reply(ctx, msg, TRP_OVERLOAD_ITEM, troupe_span(NULL, 0)) != TROUPE_OK) {
        trp_kernel_fail(run, "a reply was refused");
    }
}

static enum troupe_verdict
receive_server(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    const struct trp_part *part = state;
    struct trp_overload *overload = part->run->data;
    if (msg->type == TRP_KERNEL_START) {
        begin(ctx, part->run);
    } else if (msg->type == TRP_OVERLOAD_ITEM) {
        serve(ctx, part->run, msg);
    } else if (++overload->senders_over == TRP_OVERLOAD_SENDERS) {
        troupe_pool_stop(part->run->pool); /* what they sent before has been handled */
    }
    return TROUPE_CONTINUE;
}

static const struct troupe_actor_type server_type = {
    .name = "overloaded",
    .state_size = sizeof(struct trp_part),
    .data_count_max = LANE_COUNT,
    .init_cb = trp_part_init,
    .receive_cb = receive_server,
};

static const struct troupe_actor_type asked_server_type = {
    .name = "overloaded-with-asks",
    .state_size = sizeof(struct trp_part),
    .data_count_max = LANE_ASKS,
    .init_cb = trp_part_init,
    .receive_cb = receive_server,
};

/* --- the capacity: a lane full of work again and again, and nobody else --- */

struct alone {
    struct trp_work work;
    uint64_t left;    /* of this burst */
    uint64_t burst;   /* messages of one */
    uint64_t busy_ns; /* from the first to the last of each burst */
    uint64_t began_ns;
    uint64_t handled;
    uint64_t time_ns; /* to be busy */
};

static enum troupe_verdict
receive_alone(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    const struct trp_part *part = state;
    struct alone *alone = part->run->data;
    if (msg->type == TRP_OVERLOAD_ITEM) {
        if (alone->left == alone->burst) {
            alone->began_ns = trp_machine_now_ns();
        }
        trp_work_do(&alone->work);
        alone->handled++;
        if (--alone->left > 0) {
            return TROUPE_CONTINUE;
        }
        alone->busy_ns += trp_machine_now_ns() - alone->began_ns;
        if (alone->busy_ns >= alone->time_ns) {
            troupe_pool_stop(part->run->pool);
            return TROUPE_CONTINUE;
        }
    }
    alone->left = alone->burst;
    trp_kernel_tell(ctx, part->run, part->run->refs[0], TRP_OVERLOAD_GO, troupe_span(NULL, 0));
    return TROUPE_CONTINUE;
}

static enum troupe_verdict
receive_feeder(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    const struct trp_part *part = state;
    const struct alone *alone = part->run->data;
    uint64_t nothing = 0;
    (void)msg;
    for (uint64_t i = 0; i < alone->burst; i++) {
        trp_kernel_tell(ctx, part->run, trp_cast_lead(part->run), TRP_OVERLOAD_ITEM,
                        troupe_span(&nothing, sizeof(nothing)));
    }
    return TROUPE_CONTINUE;
}

static const struct troupe_actor_type alone_type = {
    .name = "alone",
    .state_size = sizeof(struct trp_part),
    .init_cb = trp_part_init,
    .receive_cb = receive_alone,
};

static const struct troupe_actor_type feeder_type = {
    .name = "feeder",
    .state_size = sizeof(struct trp_part),
    .init_cb = trp_part_init,
    .receive_cb = receive_feeder,
};

/* --- measuring --- */

static bool
play(struct trp_study_run *study, void *data, const struct trp_role *roles, uint32_t role_count)
{
    struct trp_kernel_run *run = trp_study_open(study, data, NULL);
    if (run == NULL) {
        return false;
    }
    bool is_good = trp_cast(run, roles, role_count)
                       ? trp_study_play(study, run)
                       : trp_study_fail(study, "no room for the actors");
    trp_study_close(run);
    return is_good;
}

/* Time per message of the server when nobody offers more than it can do, ns. */
static bool measure_alone(struct trp_study_run *study, struct trp_work work, double *message_ns)
{
    struct alone alone = {.work = work, .burst = LANE_COUNT, .time_ns = study->time_ns / 4};
    const struct trp_role roles[] = {
        {&feeder_type, 1, TRP_PLACE_FIRST},
        {&alone_type, 1, TRP_PLACE_LAST},
    };
    if (!play(study, &alone, roles, 2)) {
        return false;
    }
    *message_ns = (double)alone.busy_ns / (double)alone.handled;
    return true;
}

/* Nothing was lost, and there was an overload. */
static bool check(struct trp_study_run *study, const struct trp_overload *overload)
{
    if (overload->offered != overload->accepted + overload->refused) {
        return trp_study_fail(study, "an offer was neither accepted nor refused");
    }
    if (!overload->is_asked && overload->handled != overload->accepted) {
        return trp_study_fail(study, "an accepted message was not handled");
    }
    if (overload->is_asked &&
        (overload->answered + overload->expired != overload->accepted || overload->lost != 0)) {
        return trp_study_fail(study, "an ask ended in another way than answered or expired");
    }
    if (overload->is_asked && overload->handled < overload->answered) {
        return trp_study_fail(study, "an ask was answered and not handled");
    }
    /* a trial may be over before the senders have their CPU */
    if (!trp_study_is_trial(study) &&
        (overload->refused + overload->expired == 0 || overload->counted == 0)) {
        return trp_study_fail(study, "the server was never overloaded");
    }
    return true;
}

static void take_figures(struct trp_study_run *study,
                         const struct trp_overload *overload,
                         double alone_ns,
                         uint64_t memory)
{
    double *values = study->values;
    double time_ns = (double)(overload->end_ns - overload->begin_ns);
    double counted_ns = (double)(overload->end_ns - overload->warm_ns);
    values[CAPACITY] = 1e6 / alone_ns;
    values[OFFERED] = (double)overload->offered / time_ns * alone_ns;
    values[GOODPUT] = (double)overload->counted / counted_ns * alone_ns;
    values[REFUSED] = (double)overload->refused / (double)overload->offered;
    if (!overload->is_asked && overload->refused != 0) {
        values[REFUSAL_P50] = (double)trp_hist_percentile(&overload->refusals, 50) / 1e3;
        values[REFUSAL_P99] = (double)trp_hist_percentile(&overload->refusals, 99) / 1e3;
        values[REFUSAL_MAX] = (double)overload->refusals.max / 1e3;
    }
    values[MEMORY] = (double)memory / 1024;
    if (overload->resident_end != 0) {
        values[MEMORY_GROWTH] =
            ((double)overload->resident_end - (double)overload->resident_early) / 1024;
    }
    if (overload->is_asked) {
        values[ANSWERED] = (double)overload->answered_counted / counted_ns * alone_ns;
        values[EXPIRED] = (double)overload->expired / (double)overload->accepted;
        values[LATE] = (double)overload->late;
    }
}

static bool measure(struct trp_study_run *study, bool is_asked)
{
    struct trp_overload overload = {.is_asked = is_asked, .end_ns = study->time_ns};
    const struct trp_role roles[] = {
        {&trp_overload_sender_type, TRP_OVERLOAD_SENDERS, TRP_PLACE_FIRST},
        {is_asked ? &asked_server_type : &server_type, 1, TRP_PLACE_LAST},
    };
    double alone_ns;
    trp_work_calibrate(&overload.work, WORK_NS);
    if (!measure_alone(study, overload.work, &alone_ns)) {
        return false;
    }
    overload.interval_ns = alone_ns * TRP_OVERLOAD_SENDERS / OVERLOAD;
    if (!trp_hist_init_latency(&overload.refusals)) {
        return trp_study_fail(study, "out of memory");
    }
    uint64_t memory_alone = study->stats.memory;
    bool is_good = play(study, &overload, roles, 2) && check(study, &overload);
    if (is_good) {
        take_figures(study, &overload, alone_ns, study->stats.memory - memory_alone);
    }
    trp_hist_fini(&overload.refusals);
    return is_good;
}

static bool measure_messages(struct trp_study_run *study)
{
    return measure(study, false);
}

static bool measure_asks(struct trp_study_run *study)
{
    return measure(study, true);
}

static const struct trp_study_case cases[] = {
    {.name = "messages",
     .parameters = "10 us of work per message, twice the capacity offered by 4 senders on the "
                   "other worker, {time}; a lane of 500",
     .figures = message_figures,
     .figure_count = MESSAGE_FIGURES,
     .workers = 2,
     .time_ms = 2000,
     .measure = measure_messages},
    {.name = "asks",
     .parameters =
         "the same with asks that expire after 20 ms, {time}; a lane of 4000, 40 ms of work",
     .figures = ask_figures,
     .figure_count = ASK_FIGURES,
     .workers = 2,
     .time_ms = 2000,
     .measure = measure_asks},
};

const struct trp_study trp_study_overload = {
    .name = "overload",
    .about = "a server that is offered twice what it can do",
    .cases = cases,
    .case_count = sizeof(cases) / sizeof(cases[0]),
};
