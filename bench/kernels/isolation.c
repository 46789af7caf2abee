/* A handler that takes very long: what others notice on another worker, and on its own. */

#include <stdlib.h>
#include <troupe/relations.h>

#include "bench/kernels/cast.h"
#include "bench/kernels/study.h"

#define SLOW_NS        100000000u
#define SLOW_PERIOD_NS 300000000u
#define ASK_PERIOD_NS  1000000u
#define ASK_TIMEOUT_NS 60000000000ull
#define CATCH_UP_MAX   64u /* asks at once after the worker was held up */

enum { MSG_GO = TRP_KERNEL_FIRST_TYPE, MSG_TICK, MSG_SLOW, MSG_ASK, MSG_OVER };

enum {
    OTHER_ALONE_P99,
    OTHER_P99,
    OTHER_RATIO,
    OTHER_DUE_ALONE_P99,
    OTHER_DUE_P99,
    OTHER_DUE_MAX,
    SHARED_P50,
    SHARED_P99,
    SHARED_MAX,
    SLOW_HANDLERS,
    FIGURES,
};

/*
 * "due": from the moment at which the ask was due, so that what a held-up asker did not send counts
 * with the time it was late. Without: from the sending.
 */
static const struct trp_figure figures[FIGURES] = {
    [OTHER_ALONE_P99] = {"other-worker-p99-before", "us", TRP_FIGURE_SHOWN, 0},
    [OTHER_P99] = {"other-worker-p99", "us", TRP_FIGURE_SHOWN, 0},
    [OTHER_RATIO] = {"other-worker-p99-ratio", "", TRP_FIGURE_SHOWN, 0},
    [OTHER_DUE_ALONE_P99] = {"other-worker-due-p99-before", "ms", TRP_FIGURE_SHOWN, 0},
    [OTHER_DUE_P99] = {"other-worker-due-p99", "ms", TRP_FIGURE_SHOWN, 0},
    [OTHER_DUE_MAX] = {"other-worker-due-max", "ms", TRP_FIGURE_SHOWN, 0},
    [SHARED_P50] = {"same-worker-due-p50", "ms", TRP_FIGURE_SHOWN, 0},
    [SHARED_P99] = {"same-worker-due-p99", "ms", TRP_FIGURE_SHOWN, 0},
    [SHARED_MAX] = {"same-worker-due-max", "ms", TRP_FIGURE_SHOWN, 0},
    [SLOW_HANDLERS] = {"slow-handlers", "", TRP_FIGURE_SHOWN, 0},
};

/* What one asker saw. */
struct view {
    struct trp_hist asks;
    struct trp_hist due;
};

struct isolation {
    struct view views[2]; /* asker on the first and on the last worker */
    uint64_t time_ns;
    bool is_slow;
    uint64_t slow_handlers;
    uint32_t over;
};

struct asker {
    struct trp_part part;
    struct troupe_timer tick;
    uint64_t due_ns;  /* of the next ask */
    uint64_t end_ns;  /* nothing is due from here on */
    uint64_t pending; /* asks that have not ended */
};

struct slow {
    struct trp_part part;
    struct troupe_timer timer;
};

/* The cast: two echoes, two askers, the slow one, which is the lead. */
#define FIRST_ASKER 2u

static struct view *view_of(const struct asker *asker)
{
    struct isolation *isolation = asker->part.run->data;
    return &isolation->views[asker->part.index - FIRST_ASKER];
}

static enum troupe_verdict receive_echo(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    const struct trp_part *part = state;
    uint64_t times_ns[2];
    memcpy(times_ns, troupe_msg_data(msg), sizeof(times_ns));
    if (troupe_reply(ctx, msg, MSG_ASK, troupe_span(times_ns, sizeof(times_ns))) != TROUPE_OK) {
        trp_kernel_fail(part->run, "a reply was refused");
    }
    return TROUPE_CONTINUE;
}

static enum troupe_verdict continue_ask(struct troupe_ctx *ctx,
                                        void *state,
                                        const struct troupe_answer *answer,
                                        uint64_t cookie)
{
    struct asker *asker = state;
    uint64_t times_ns[2];
    uint64_t now_ns = trp_machine_now_ns();
    (void)ctx;
    (void)cookie;
    asker->pending--;
    if (answer->status != TROUPE_OK) {
        trp_kernel_fail(asker->part.run, "an ask was not answered");
        return TROUPE_CONTINUE;
    }
    memcpy(times_ns, troupe_msg_data(answer->msg), sizeof(times_ns));
    trp_hist_record(&view_of(asker)->asks, now_ns - times_ns[0], 1);
    trp_hist_record(&view_of(asker)->due, now_ns - times_ns[1], 1);
    return TROUPE_CONTINUE;
}

static void ask_due(struct troupe_ctx *ctx, struct asker *asker)
{
    struct trp_kernel_run *run = asker->part.run;
    uint64_t now_ns = trp_machine_now_ns();
    troupe_ref echo = run->refs[asker->part.index - FIRST_ASKER];
    for (uint32_t i = 0; i < CATCH_UP_MAX && asker->due_ns <= now_ns; i++) {
        uint64_t times_ns[2] = {trp_machine_now_ns(), asker->due_ns};
        if (asker->due_ns >= asker->end_ns) {
            return;
        }
        if (troupe_ask(ctx, echo, MSG_ASK, troupe_span(times_ns, sizeof(times_ns)), ASK_TIMEOUT_NS,
                       continue_ask, 0) != TROUPE_OK) {
            trp_kernel_fail(run, "an ask was refused");
            return;
        }
        asker->pending++;
        asker->due_ns += ASK_PERIOD_NS;
    }
}

static enum troupe_verdict
receive_asker(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct asker *asker = state;
    struct trp_kernel_run *run = asker->part.run;
    const struct isolation *isolation = run->data;
    if (msg->type == MSG_GO) {
        /* Its own time begins here: a machine may be slow to let it begin. */
        uint64_t now_ns = trp_machine_now_ns();
        asker->due_ns = now_ns + ASK_PERIOD_NS;
        asker->end_ns = now_ns + isolation->time_ns;
        troupe_timer_start(ctx, &asker->tick, ASK_PERIOD_NS, ASK_PERIOD_NS, MSG_TICK);
        return TROUPE_CONTINUE;
    }
    ask_due(ctx, asker);
    if (asker->due_ns >= asker->end_ns && asker->pending == 0) {
        troupe_timer_cancel(ctx, &asker->tick);
        trp_kernel_tell(ctx, run, trp_cast_lead(run), MSG_OVER, troupe_span(NULL, 0));
    }
    return TROUPE_CONTINUE;
}

static void be_slow(struct isolation *isolation)
{
    uint64_t begin_ns = trp_machine_now_ns();
    isolation->slow_handlers++;
    while (trp_machine_now_ns() - begin_ns < SLOW_NS) {
    }
}

static enum troupe_verdict receive_slow(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct slow *slow = state;
    struct trp_kernel_run *run = slow->part.run;
    struct isolation *isolation = run->data;
    if (msg->type == TRP_KERNEL_START) {
        if (isolation->is_slow) {
            /* also in short trials at least once */
            troupe_timer_start(ctx, &slow->timer, 10 * ASK_PERIOD_NS, SLOW_PERIOD_NS, MSG_SLOW);
        }
        trp_cast_tell(ctx, run, FIRST_ASKER, 2, MSG_GO, troupe_span(NULL, 0));
    } else if (msg->type == MSG_SLOW) {
        be_slow(isolation);
    } else if (++isolation->over == 2) {
        troupe_pool_stop(run->pool);
    }
    return TROUPE_CONTINUE;
}

static const struct troupe_actor_type echo_type = {
    .name = "isolated-echo",
    .state_size = sizeof(struct trp_part),
    .init_cb = trp_part_init,
    .receive_cb = receive_echo,
};

static const struct troupe_actor_type asker_type = {
    .name = "isolated-asker",
    .state_size = sizeof(struct asker),
    .init_cb = trp_part_init,
    .receive_cb = receive_asker,
};

static const struct troupe_actor_type slow_type = {
    .name = "slow-on-purpose",
    .state_size = sizeof(struct slow),
    .init_cb = trp_part_init,
    .receive_cb = receive_slow,
};

static bool play(struct trp_study_run *study, struct isolation *isolation)
{
    /* What the watchdog would say is known. */
    const struct troupe_pool_config more = {.watchdog_ns = UINT64_MAX};
    const struct trp_role roles[] = {
        {&echo_type, 2, TRP_PLACE_IN_TURN},
        {&asker_type, 2, TRP_PLACE_IN_TURN},
        {&slow_type, 1, TRP_PLACE_FIRST},
    };
    struct trp_kernel_run *run = trp_study_open(study, isolation, &more);
    if (run == NULL) {
        return false;
    }
    bool is_good = trp_cast(run, roles, 3) ? trp_study_play(study, run)
                                           : trp_study_fail(study, "no room for the actors");
    /* Exactly, however late they were: one period after the beginning, and so on before the end. */
    uint64_t expected = (isolation->time_ns - 1) / ASK_PERIOD_NS;
    for (uint32_t i = 0; is_good && i < 2; i++) {
        if (isolation->views[i].asks.total != expected) {
            is_good = trp_study_fail(study, "asks are missing, or too many");
        }
    }
    if (is_good && isolation->is_slow && isolation->slow_handlers == 0 &&
        !trp_study_is_trial(study)) {
        is_good = trp_study_fail(study, "the slow handler never ran");
    }
    trp_study_close(run);
    return is_good;
}

static bool init(struct isolation *isolation, uint64_t time_ns, bool is_slow)
{
    *isolation = (struct isolation){.time_ns = time_ns, .is_slow = is_slow};
    bool is_good = true;
    for (uint32_t i = 0; i < 2; i++) {
        is_good = trp_hist_init_latency(&isolation->views[i].asks) && is_good;
        is_good = trp_hist_init_latency(&isolation->views[i].due) && is_good;
    }
    return is_good;
}

static void fini(struct isolation *isolation)
{
    for (uint32_t i = 0; i < 2; i++) {
        trp_hist_fini(&isolation->views[i].asks);
        trp_hist_fini(&isolation->views[i].due);
    }
}

static double percentile(const struct trp_hist *hist, double percent, double unit_ns)
{
    return (double)trp_hist_percentile(hist, percent) / unit_ns;
}

static bool measure(struct trp_study_run *study)
{
    double *values = study->values;
    struct isolation before;
    struct isolation slow;
    bool is_ready = init(&before, study->time_ns, false);
    is_ready = init(&slow, study->time_ns, true) && is_ready;
    bool is_good = is_ready ? play(study, &before) && play(study, &slow)
                            : trp_study_fail(study, "out of memory");
    if (is_good) {
        values[OTHER_ALONE_P99] = percentile(&before.views[1].asks, 99, 1e3);
        values[OTHER_P99] = percentile(&slow.views[1].asks, 99, 1e3);
        values[OTHER_RATIO] = values[OTHER_P99] / values[OTHER_ALONE_P99];
        values[OTHER_DUE_ALONE_P99] = percentile(&before.views[1].due, 99, 1e6);
        values[OTHER_DUE_P99] = percentile(&slow.views[1].due, 99, 1e6);
        values[OTHER_DUE_MAX] = (double)slow.views[1].due.max / 1e6;
        values[SHARED_P50] = percentile(&slow.views[0].due, 50, 1e6);
        values[SHARED_P99] = percentile(&slow.views[0].due, 99, 1e6);
        values[SHARED_MAX] = (double)slow.views[0].due.max / 1e6;
        values[SLOW_HANDLERS] = (double)slow.slow_handlers;
    }
    fini(&before);
    fini(&slow);
    return is_good;
}

static const struct trp_study_case cases[] = {
    {.name = "slow-handler",
     .parameters = "asks every 1 ms within each of two workers, {time} without and {time} with a "
                   "handler on the first one that takes 100 ms of each 300 ms",
     .figures = figures,
     .figure_count = FIGURES,
     .workers = 2,
     .time_ms = 2000,
     .measure = measure},
};

const struct trp_study trp_study_isolation = {
    .name = "isolation",
    .about = "what others notice of a handler that takes very long",
    .cases = cases,
    .case_count = sizeof(cases) / sizeof(cases[0]),
};
