/* How long an ask takes while a thousand other actors have work. */

#include <stdlib.h>
#include <troupe/relations.h>

#include "bench/kernels/cast.h"
#include "bench/kernels/study.h"
#include "bench/kernels/work.h"

#define WORK_NS        1000u
#define ASK_PERIOD_NS  5000000u
#define ASK_TIMEOUT_NS 60000000000ull
#define WARM_UP_PART   10u /* of the time */

enum { MSG_BALL = TRP_KERNEL_FIRST_TYPE, MSG_TICK, MSG_ASK };

enum { P50, P99, MOST, BOUND, AGAINST_BOUND, WORK, BUSY, FIGURES };

static const struct trp_figure figures[FIGURES] = {
    [P50] = {"ask-p50", "us", TRP_FIGURE_SHOWN, 0},
    [P99] = {"ask-p99", "us", TRP_FIGURE_AT_MOST, 700},
    [MOST] = {"ask-max", "us", TRP_FIGURE_AT_MOST, 2000},
    [BOUND] = {"fair-queue-bound", "us", TRP_FIGURE_SHOWN, 0},
    [AGAINST_BOUND] = {"p99-against-bound", "", TRP_FIGURE_SHOWN, 0},
    [WORK] = {"work-per-message", "us", TRP_FIGURE_SHOWN, 0},
    [BUSY] = {"time-in-work", "", TRP_FIGURE_SHOWN, 0},
};

struct crowd {
    struct trp_work work;
    struct trp_hist asks;
    uint32_t players;
    uint64_t warm_ns; /* asks from here on count */
    uint64_t end_ns;
    uint64_t time_ns;
    uint64_t asked;
    uint64_t answered;
    /* messages of each player, written by it alone, read after the join */
    uint64_t handled[TRP_KERNEL_ACTORS_MAX];
};

struct asker {
    struct trp_part part;
    struct troupe_timer tick;
};

static enum troupe_verdict
receive_player(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    const struct trp_part *part = state;
    struct crowd *crowd = part->run->data;
    trp_work_do(&crowd->work);
    crowd->handled[part->index]++;
    trp_kernel_forward(ctx, part->run, part->run->refs[part->index ^ 1], MSG_BALL, msg);
    return TROUPE_CONTINUE;
}

static enum troupe_verdict receive_echo(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    const struct trp_part *part = state;
    if (troupe_reply(ctx, msg, MSG_ASK, troupe_span(NULL, 0)) != TROUPE_OK) {
        trp_kernel_fail(part->run, "a reply was refused");
    }
    return TROUPE_CONTINUE;
}

static enum troupe_verdict continue_ask(struct troupe_ctx *ctx,
                                        void *state,
                                        const struct troupe_answer *answer,
                                        uint64_t asked_ns)
{
    const struct asker *asker = state;
    struct crowd *crowd = asker->part.run->data;
    (void)ctx;
    if (answer->status != TROUPE_OK) {
        trp_kernel_fail(asker->part.run, "an ask was not answered");
        return TROUPE_CONTINUE;
    }
    crowd->answered++;
    if (asked_ns >= crowd->warm_ns) {
        trp_hist_record(&crowd->asks, trp_machine_now_ns() - asked_ns, 1);
    }
    return TROUPE_CONTINUE;
}

static void start(struct troupe_ctx *ctx, struct asker *asker)
{
    struct trp_kernel_run *run = asker->part.run;
    struct crowd *crowd = run->data;
    uint64_t now_ns = trp_machine_now_ns();
    for (uint32_t i = 0; i < crowd->players; i += 2) {
        trp_kernel_tell(ctx, run, run->refs[i], MSG_BALL, troupe_span(NULL, 0));
    }
    crowd->warm_ns = now_ns + crowd->time_ns / WARM_UP_PART;
    crowd->end_ns = crowd->warm_ns + crowd->time_ns;
    troupe_timer_start(ctx, &asker->tick, ASK_PERIOD_NS, ASK_PERIOD_NS, MSG_TICK);
}

/* The asker is the lead. */
static enum troupe_verdict
receive_asker(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct asker *asker = state;
    struct trp_kernel_run *run = asker->part.run;
    struct crowd *crowd = run->data;
    if (msg->type == TRP_KERNEL_START) {
        start(ctx, asker);
        return TROUPE_CONTINUE;
    }
    uint64_t now_ns = trp_machine_now_ns();
    if (now_ns < crowd->end_ns) {
        crowd->asked++;
        if (troupe_ask(ctx, run->refs[crowd->players], MSG_ASK, troupe_span(NULL, 0),
                       ASK_TIMEOUT_NS, continue_ask, now_ns) != TROUPE_OK) {
            trp_kernel_fail(run, "an ask was refused");
        }
    } else if (crowd->answered == crowd->asked) {
        crowd->time_ns = now_ns - (crowd->warm_ns - crowd->time_ns / WARM_UP_PART);
        troupe_pool_stop(run->pool);
    }
    return TROUPE_CONTINUE;
}

static const struct troupe_actor_type player_type = {
    .name = "busy-player",
    .state_size = sizeof(struct trp_part),
    .init_cb = trp_part_init,
    .receive_cb = receive_player,
};

static const struct troupe_actor_type echo_type = {
    .name = "echo",
    .state_size = sizeof(struct trp_part),
    .init_cb = trp_part_init,
    .receive_cb = receive_echo,
};

static const struct troupe_actor_type asker_type = {
    .name = "asker",
    .state_size = sizeof(struct asker),
    .init_cb = trp_part_init,
    .receive_cb = receive_asker,
};

static bool play(struct trp_study_run *study, struct crowd *crowd)
{
    struct trp_kernel_run *run = trp_study_open(study, crowd, NULL);
    if (run == NULL) {
        return false;
    }
    const struct trp_role roles[] = {
        {&player_type, crowd->players, TRP_PLACE_IN_BLOCKS},
        {&echo_type, 1, TRP_PLACE_FIRST},
        {&asker_type, 1, TRP_PLACE_LAST},
    };
    bool is_good = trp_cast(run, roles, 3) ? trp_study_play(study, run)
                                           : trp_study_fail(study, "no room for the actors");
    trp_study_close(run);
    return is_good;
}

/* Everybody got their turns. */
static bool check(struct trp_study_run *study, const struct crowd *crowd, uint64_t *handled)
{
    for (uint32_t i = 0; i < crowd->players; i++) {
        if (crowd->handled[i] == 0 && !trp_study_is_trial(study)) {
            return trp_study_fail(study, "an actor never had its turn");
        }
        *handled += crowd->handled[i];
    }
    return crowd->asks.total != 0 || trp_study_is_trial(study) ||
           trp_study_fail(study, "no ask was answered in time");
}

static void take_figures(struct trp_study_run *study, const struct crowd *crowd, uint64_t handled)
{
    double *values = study->values;
    double work_us = crowd->work.ns / 1e3;
    values[P50] = (double)trp_hist_percentile(&crowd->asks, 50) / 1e3;
    values[P99] = (double)trp_hist_percentile(&crowd->asks, 99) / 1e3;
    values[MOST] = (double)crowd->asks.max / 1e3;
    /*
     * A pair has one message under way, so each worker has a queue of pairs / workers messages, and
     * an ask waits its turn twice: where it arrives and where its reply does.
     */
    values[BOUND] = crowd->players * work_us / study->workers;
    values[AGAINST_BOUND] = values[P99] / values[BOUND];
    values[WORK] = work_us;
    values[BUSY] = (double)handled * crowd->work.ns / ((double)crowd->time_ns * study->workers);
}

static bool measure(struct trp_study_run *study)
{
    uint64_t handled = 0;
    struct crowd *crowd = calloc(1, sizeof(*crowd));
    if (crowd == NULL || !trp_hist_init_latency(&crowd->asks)) {
        free(crowd);
        return trp_study_fail(study, "out of memory");
    }
    trp_work_calibrate(&crowd->work, WORK_NS);
    crowd->time_ns = study->time_ns;
    /* whole pairs, as many on each worker */
    uint32_t pairs = (uint32_t)study->amount / study->workers;
    study->amount = study->workers * (pairs == 0 ? 1 : pairs);
    crowd->players = 2 * (uint32_t)study->amount;
    bool is_good = play(study, crowd) && check(study, crowd, &handled);
    if (is_good) {
        take_figures(study, crowd, handled);
    }
    trp_hist_fini(&crowd->asks);
    free(crowd);
    return is_good;
}

static const struct trp_study_case cases[] = {
    {.name = "busy",
     .parameters = "{n} pairs play with 1 us of work per message on two workers; an ask from one "
                   "worker to the other every 5 ms, {time}",
     .figures = figures,
     .figure_count = FIGURES,
     .workers = 2,
     .amount = 500,
     .time_ms = 3000,
     .measure = measure},
};

const struct trp_study trp_study_ask_latency = {
    .name = "ask-latency",
    .about = "an ask while 1000 actors are busy",
    .cases = cases,
    .case_count = sizeof(cases) / sizeof(cases[0]),
};
