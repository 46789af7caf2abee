/* What timers cost: arming, cancelling, firing. */

#include <math.h>

#include <troupe/assert.h>

#include "bench/kernels/cast.h"
#include "bench/kernels/study.h"

#define TIMERS_EACH 500u           /* as many as fit into the state of one actor, and round */
#define FAR_NS      3600000000000u /* they are cancelled long before */
#define SPREAD_NS   1000000000u    /* over this much time, so that they lie all over the wheel */
#define FIRE_NS     200000000u     /* arming them all takes less, or firing is not measured */

enum {
    MSG_ARM = TRP_KERNEL_FIRST_TYPE,
    MSG_CANCEL,
    MSG_ARM_TO_FIRE,
    MSG_FIRED,
    MSG_DONE,
    MSG_OVER
};

enum { ARM, CANCEL, FIRE, RMW, FIGURES };

static const struct trp_figure figures[FIGURES] = {
    [ARM] = {"arm", "ns", TRP_FIGURE_SHOWN, 0},
    [CANCEL] = {"cancel", "ns", TRP_FIGURE_SHOWN, 0},
    [FIRE] = {"fire-and-handle", "ns", TRP_FIGURE_SHOWN, 0},
    [RMW] = {"limit-rmw", "ns", TRP_FIGURE_SHOWN, 0},
};

struct ticking {
    uint64_t actors;
    uint64_t spent_ns[3]; /* CPU time of arming, cancelling, firing */
    uint64_t fired;
    uint64_t waiting; /* actors that have not finished the step */
    uint64_t over;    /* actors whose timers have all fired */
    uint64_t due_ns;
    bool is_mixed; /* timers fired while others were still being armed */
};

struct holder {
    struct trp_part part;
    uint64_t random;
    uint32_t fired;
    struct troupe_timer timers[TIMERS_EACH];
};

TROUPE_STATIC_ASSERT(sizeof(struct holder) <= TROUPE_ACTOR_STATE_MAX, "timers live in the state");

static void arm_far(struct troupe_ctx *ctx, struct holder *holder)
{
    for (uint32_t i = 0; i < TIMERS_EACH; i++) {
        uint64_t after_ns = FAR_NS + trp_kernel_draw(&holder->random, SPREAD_NS);
        troupe_timer_start(ctx, &holder->timers[i], after_ns, 0, MSG_FIRED);
    }
}

/* Whether all timers of an actor are armed, or none. */
static void check_armed(const struct holder *holder, bool is_armed)
{
    for (uint32_t i = 0; i < TIMERS_EACH; i++) {
        if (troupe_timer_is_armed(&holder->timers[i]) != is_armed) {
            trp_kernel_fail(holder->part.run, "a timer is armed that should not be, or not armed");
        }
    }
}

static void cancel_all(struct troupe_ctx *ctx, struct holder *holder)
{
    for (uint32_t i = 0; i < TIMERS_EACH; i++) {
        troupe_timer_cancel(ctx, &holder->timers[i]);
    }
}

static void arm_to_fire(struct troupe_ctx *ctx, struct holder *holder)
{
    const struct ticking *ticking = holder->part.run->data;
    uint64_t now_ns = troupe_now(ctx);
    for (uint32_t i = 0; i < TIMERS_EACH; i++) {
        uint64_t after_ns = now_ns < ticking->due_ns ? ticking->due_ns - now_ns : 0;
        troupe_timer_start(ctx, &holder->timers[i], after_ns, 0, MSG_FIRED);
    }
}

static void note_fired(struct troupe_ctx *ctx, struct holder *holder)
{
    struct trp_kernel_run *run = holder->part.run;
    struct ticking *ticking = run->data;
    ticking->fired++;
    if (troupe_now(ctx) < ticking->due_ns) {
        trp_kernel_fail(run, "a timer fired early, or although it was cancelled");
    }
    if (++holder->fired == TIMERS_EACH) {
        trp_kernel_tell(ctx, run, trp_cast_lead(run), MSG_OVER, troupe_span(NULL, 0));
    }
}

static enum troupe_verdict receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct holder *holder = state;
    struct trp_kernel_run *run = holder->part.run;
    struct ticking *ticking = run->data;
    if (msg->type == MSG_FIRED) {
        note_fired(ctx, holder);
        return TROUPE_CONTINUE;
    }
    uint64_t begin_ns = trp_machine_thread_cpu_ns();
    switch (msg->type) {
    case MSG_ARM:
        holder->random = holder->part.index + 1;
        arm_far(ctx, holder);
        ticking->spent_ns[ARM] += trp_machine_thread_cpu_ns() - begin_ns;
        check_armed(holder, true);
        break;
    case MSG_CANCEL:
        cancel_all(ctx, holder);
        ticking->spent_ns[CANCEL] += trp_machine_thread_cpu_ns() - begin_ns;
        check_armed(holder, false);
        break;
    default:
        arm_to_fire(ctx, holder);
        break;
    }
    trp_kernel_tell(ctx, run, trp_cast_lead(run), MSG_DONE, troupe_span(NULL, 0));
    return TROUPE_CONTINUE;
}

struct conductor {
    struct trp_part part;
    uint16_t step; /* the message all were told */
};

static void begin_step(struct troupe_ctx *ctx, struct conductor *lead, uint16_t step)
{
    struct trp_kernel_run *run = lead->part.run;
    struct ticking *ticking = run->data;
    lead->step = step;
    ticking->waiting = ticking->actors;
    trp_cast_tell(ctx, run, 0, run->actors - 1, step, troupe_span(NULL, 0));
}

/* All timers have fired. */
static void end_firing(struct conductor *lead, uint64_t cpu_ns)
{
    struct ticking *ticking = lead->part.run->data;
    ticking->spent_ns[FIRE] = cpu_ns - ticking->spent_ns[FIRE];
    troupe_pool_stop(lead->part.run->pool);
}

/* The step that ends decides on the next one. */
static void end_step(struct troupe_ctx *ctx, struct conductor *lead)
{
    struct ticking *ticking = lead->part.run->data;
    uint64_t cpu_ns = trp_machine_thread_cpu_ns();
    switch (lead->step) {
    case MSG_ARM:
        begin_step(ctx, lead, MSG_CANCEL);
        break;
    case MSG_CANCEL:
        ticking->due_ns = troupe_now(ctx) + FIRE_NS;
        begin_step(ctx, lead, MSG_ARM_TO_FIRE);
        break;
    default: /* nothing is left to do but to wait for them */
        ticking->spent_ns[FIRE] = cpu_ns;
        ticking->is_mixed = ticking->fired != 0;
        break;
    }
}

static enum troupe_verdict receive_lead(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct conductor *lead = state;
    struct ticking *ticking = lead->part.run->data;
    if (msg->type == TRP_KERNEL_START) {
        begin_step(ctx, lead, MSG_ARM);
    } else if (msg->type == MSG_OVER) {
        ticking->over++;
    } else if (--ticking->waiting == 0) {
        end_step(ctx, lead);
    }
    if (ticking->over == ticking->actors && ticking->waiting == 0) {
        end_firing(lead, trp_machine_thread_cpu_ns());
    }
    return TROUPE_CONTINUE;
}

static const struct troupe_actor_type type = {
    .name = "timer-holder",
    .state_size = sizeof(struct holder),
    .init_cb = trp_part_init,
    .receive_cb = receive,
};

static const struct troupe_actor_type lead_type = {
    .name = "timer-lead",
    .state_size = sizeof(struct conductor),
    .init_cb = trp_part_init,
    .receive_cb = receive_lead,
};

static bool play(struct trp_study_run *study, struct ticking *ticking)
{
    const struct trp_role roles[] = {
        {&type, (uint32_t)ticking->actors, TRP_PLACE_FIRST},
        {&lead_type, 1, TRP_PLACE_LAST},
    };
    struct trp_kernel_run *run = trp_study_open(study, ticking, NULL);
    if (run == NULL) {
        return false;
    }
    bool is_good = trp_cast(run, roles, 2) ? trp_study_play(study, run)
                                           : trp_study_fail(study, "no room for the actors");
    trp_study_close(run);
    return is_good;
}

static bool measure(struct trp_study_run *study)
{
    struct ticking ticking = {.actors = (study->amount + TIMERS_EACH - 1) / TIMERS_EACH};
    study->amount = ticking.actors * TIMERS_EACH;
    double timers = (double)study->amount;
    if (trp_study_has_limits(study)) {
        study->values[RMW] = trp_limit_measure(TRP_LIMIT_RMW, study->options->machine);
    }
    if (!play(study, &ticking)) {
        return false;
    }
    if (ticking.fired != study->amount) {
        return trp_study_fail(study, "a timer fired twice, or although it was cancelled");
    }
    for (uint32_t i = ARM; i <= FIRE; i++) {
        study->values[i] = (double)ticking.spent_ns[i] / timers;
    }
    if (ticking.is_mixed) {
        study->values[FIRE] = NAN;
    }
    return true;
}

static const struct trp_study_case cases[] = {
    {.name = "armed-and-fired",
     .parameters = "{n} timers on one worker, 500 to an actor: armed, cancelled, armed again, all "
                   "fired at once; CPU time",
     .figures = figures,
     .figure_count = FIGURES,
     .workers = 1,
     .spin = TROUPE_SPIN_PARK,
     .amount = 100000,
     .measure = measure},
};

const struct trp_study trp_study_timers = {
    .name = "timers",
    .about = "arming, cancelling and firing",
    .cases = cases,
    .case_count = sizeof(cases) / sizeof(cases[0]),
};
