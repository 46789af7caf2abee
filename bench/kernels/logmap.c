/* Series of the logistic map, each with an actor that computes its terms: asks in lockstep. */

#include "bench/kernels/cast.h"

#include <troupe/relations.h>

enum { MSG_NEXT = TRP_KERNEL_FIRST_TYPE, MSG_COMPUTE, MSG_TERM };

#define TIMEOUT_NS (60 * 1000000000ull)
#define FIRST_TERM 0x40000000u /* 0.25 */
#define SERIES_MAX 16u

/* Serves one series. */
struct computer {
    struct trp_part part;
};

struct series {
    struct trp_part part;
    uint32_t term;
};

struct master {
    struct trp_part part;
    uint32_t waiting; /* series that are not done */
    uint64_t left[SERIES_MAX];
    uint32_t terms[SERIES_MAX];    /* the last of each series */
    uint32_t expected[SERIES_MAX]; /* the last of each series in the round before */
};

/* Rates from 3.46 up, a little more for each series, in units of 2^-30. */
static uint32_t rate_of(uint32_t series)
{
    return 3715146588u + series * 53687091u;
}

/* rate * x * (1 - x) in fixed point, x in units of 2^-32: exact, so that the check can be. */
static uint32_t next_term(uint32_t rate, uint32_t x)
{
    uint64_t square = ((uint64_t)x * (0x100000000ull - x)) >> 32; /* at most 2^30 */
    return (uint32_t)((rate * square) >> 30);
}

static uint32_t series_count(const struct trp_kernel_run *run)
{
    return run->the_case->actors;
}

static enum troupe_status init_series(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct series *series = state;
    series->term = FIRST_TERM;
    return trp_part_init(ctx, state, arg);
}

static uint32_t term_of(const struct troupe_msg *msg)
{
    uint32_t term;
    memcpy(&term, troupe_msg_data(msg), sizeof(term));
    return term;
}

static void
reply(struct troupe_ctx *ctx, struct trp_kernel_run *run, struct troupe_msg *request, uint32_t term)
{
    if (troupe_reply(ctx, request, MSG_TERM, troupe_span(&term, sizeof(term))) != TROUPE_OK) {
        trp_kernel_fail(run, "an answer was refused");
    }
}

/* Place i of the cast computes for the series at place i + count. */
static enum troupe_verdict
receive_computer(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    const struct trp_part *part = &((struct computer *)state)->part;
    reply(ctx, part->run, msg, next_term(rate_of(part->index), term_of(msg)));
    return TROUPE_CONTINUE;
}

/* `cookie` is the master's request, ours. */
static enum troupe_verdict
computed(struct troupe_ctx *ctx, void *state, const struct troupe_answer *answer, uint64_t cookie)
{
    struct series *series = state;
    struct troupe_msg *request = (struct troupe_msg *)(uintptr_t)cookie;
    if (answer->status != TROUPE_OK) {
        troupe_msg_free(ctx, request); /* the master hears "no reply" */
        trp_kernel_fail(series->part.run, "a term was not computed");
        return TROUPE_CONTINUE;
    }
    series->term = term_of(answer->msg);
    reply(ctx, series->part.run, request, series->term);
    return TROUPE_CONTINUE;
}

static enum troupe_verdict
receive_series(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct series *series = state;
    struct trp_kernel_run *run = series->part.run;
    troupe_ref computer = run->refs[series->part.index - series_count(run)];
    msg = troupe_msg_take(ctx, msg);
    if (troupe_ask(ctx, computer, MSG_COMPUTE, troupe_span(&series->term, sizeof(series->term)),
                   TIMEOUT_NS, computed, (uintptr_t)msg) != TROUPE_OK) {
        troupe_msg_free(ctx, msg);
        trp_kernel_fail(run, "a series could not ask its computer");
    }
    return TROUPE_CONTINUE;
}

static enum troupe_verdict
next_came(struct troupe_ctx *ctx, void *state, const struct troupe_answer *answer, uint64_t cookie);

static void ask_series(struct troupe_ctx *ctx, struct master *master, uint32_t i)
{
    struct trp_kernel_run *run = master->part.run;
    if (troupe_ask(ctx, run->refs[series_count(run) + i], MSG_NEXT, troupe_span(NULL, 0),
                   TIMEOUT_NS, next_came, i) != TROUPE_OK) {
        trp_kernel_fail(run, "the master could not ask a series");
    }
}

static void start_round(struct troupe_ctx *ctx, struct master *master)
{
    struct trp_kernel_run *run = master->part.run;
    master->waiting = series_count(run);
    for (uint32_t i = 0; i < series_count(run); i++) {
        master->left[i] = run->share;
        ask_series(ctx, master, i);
    }
}

/* Goes on from where the round before ended. */
static bool are_terms_right(struct master *master)
{
    const struct trp_kernel_run *run = master->part.run;
    for (uint32_t i = 0; i < series_count(run); i++) {
        for (uint64_t k = 0; k < run->share; k++) {
            master->expected[i] = next_term(rate_of(i), master->expected[i]);
        }
        if (master->terms[i] != master->expected[i]) {
            return false;
        }
    }
    return true;
}

static void end_round(struct troupe_ctx *ctx, struct master *master)
{
    struct trp_kernel_run *run = master->part.run;
    trp_kernel_done(run);
    if (!are_terms_right(master)) {
        trp_kernel_fail(run, "a series went wrong");
    } else if (trp_kernel_next(ctx, run)) {
        start_round(ctx, master);
    }
}

/* `cookie` is the number of the series. */
static enum troupe_verdict
next_came(struct troupe_ctx *ctx, void *state, const struct troupe_answer *answer, uint64_t cookie)
{
    struct master *master = state;
    uint32_t i = (uint32_t)cookie;
    if (answer->status != TROUPE_OK) {
        trp_kernel_fail(master->part.run, "a series did not answer");
        return TROUPE_CONTINUE;
    }
    master->terms[i] = term_of(answer->msg);
    if (--master->left[i] > 0) {
        ask_series(ctx, master, i);
    } else if (--master->waiting == 0) {
        end_round(ctx, master);
    }
    return TROUPE_CONTINUE;
}

static enum troupe_verdict
receive_master(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct master *master = state;
    (void)msg; /* TRP_KERNEL_START; the rest are answers */
    for (uint32_t i = 0; i < SERIES_MAX; i++) {
        master->expected[i] = FIRST_TERM;
    }
    start_round(ctx, master);
    return TROUPE_CONTINUE;
}

static const struct troupe_actor_type computer_type = {
    .name = "rate-computer",
    .state_size = sizeof(struct computer),
    .init_cb = trp_part_init,
    .receive_cb = receive_computer,
};

static const struct troupe_actor_type series_type = {
    .name = "series",
    .state_size = sizeof(struct series),
    .init_cb = init_series,
    .receive_cb = receive_series,
};

static const struct troupe_actor_type master_type = {
    .name = "logmap-master",
    .state_size = sizeof(struct master),
    .init_cb = trp_part_init,
    .receive_cb = receive_master,
};

static bool setup(struct trp_kernel_run *run)
{
    const struct trp_role roles[] = {
        {&computer_type, series_count(run), TRP_PLACE_IN_TURN},
        {&series_type, series_count(run), TRP_PLACE_IN_TURN},
        {&master_type, 1, TRP_PLACE_LAST},
    };
    if (series_count(run) > SERIES_MAX) {
        return false;
    }
    trp_kernel_divide(run, series_count(run));
    return trp_cast(run, roles, 3);
}

#define LOGMAP(name_, workers_, placement_)                                                        \
    {                                                                                              \
        .name = (name_), .parameters = "10 series, {each} terms of each", .ops = 250000,           \
        .actors = 10, .workers = (workers_), .placement = (placement_), .limit = TRP_LIMIT_NONE    \
    }

static const struct trp_kernel_case cases[] = {
    LOGMAP("1-worker", 1, TRP_PLACEMENT_RUNTIME),
    LOGMAP("placed", 0, TRP_PLACEMENT_RUNTIME),
    LOGMAP("spread", 0, TRP_PLACEMENT_SPREAD),
};

const struct trp_kernel trp_kernel_logmap = {
    .name = "logmap",
    .about = "terms of series: the master asks a series, which asks its computer",
    .op = "term",
    .cases = cases,
    .case_count = sizeof(cases) / sizeof(cases[0]),
    .setup = setup,
};
