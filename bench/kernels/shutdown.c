/* Stopping a pool whose mailboxes are full. */

#include "bench/kernels/cast.h"
#include "bench/kernels/study.h"
#include "mailbox/atomic.h"

#define MESSAGES 100u /* a full mailbox */

enum { MSG_ITEM = TRP_KERNEL_FIRST_TYPE, MSG_GO };

enum { TIME_MS, PER_MESSAGE, PER_ACTOR, REPORTED, FIGURES };

static const struct trp_figure figures[FIGURES] = {
    [TIME_MS] = {"stop-to-joined", "ms", TRP_FIGURE_SHOWN, 0},
    [PER_MESSAGE] = {"per-message", "ns", TRP_FIGURE_SHOWN, 0},
    [PER_ACTOR] = {"per-actor", "us", TRP_FIGURE_SHOWN, 0},
    [REPORTED] = {"messages-reported", "", TRP_FIGURE_SHOWN, 0},
};

struct ending {
    uint64_t stopped_ns;                     /* by the lead */
    uint32_t arrived;                        /* workers whose mailboxes are full */
    uint64_t terminated[TROUPE_WORKERS_MAX]; /* actors, each by its own worker */
    uint64_t hooked;                         /* messages the dead-letter hook was shown */
    uint64_t hooked_otherwise;               /* for another reason than the shutdown */
};

static enum troupe_verdict receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)ctx;
    (void)state;
    (void)msg;
    return TROUPE_CONTINUE;
}

static void count_end(struct troupe_ctx *ctx, void *state, enum troupe_down_reason reason)
{
    const struct trp_part *part = state;
    struct ending *ending = part->run->data;
    if (reason == TROUPE_DOWN_SHUTDOWN) {
        ending->terminated[troupe_self_worker(ctx)]++;
    }
}

static const struct troupe_actor_type type = {
    .name = "full-mailbox",
    .state_size = sizeof(struct trp_part),
    .data_count_max = MESSAGES,
    .init_cb = trp_part_init,
    .receive_cb = receive,
    .terminate_cb = count_end,
};

/* Fills the mailbox of each actor on this worker; none of them runs before this handler returns. */
static void fill_all(struct troupe_ctx *ctx, struct trp_kernel_run *run)
{
    uint32_t actors = run->roles[0].count;
    for (uint32_t i = 0; i < actors; i++) {
        if (troupe_ref_worker(run->refs[i]) != troupe_self_worker(ctx)) {
            continue;
        }
        for (uint32_t k = 0; k < MESSAGES; k++) {
            trp_kernel_tell(ctx, run, run->refs[i], MSG_ITEM, troupe_span(&k, sizeof(k)));
        }
        if (troupe_send_copy(ctx, run->refs[i], MSG_ITEM, NULL, 0) != TROUPE_EBUSY) {
            trp_kernel_fail(run, "a mailbox is not full");
        }
    }
}

/* Keeps this worker from emptying its mailboxes before all are full. */
static void wait_for_stop(const struct trp_kernel_run *run)
{
    const struct ending *ending = run->data;
    /* acquire: pairs with the release in stop_pool; the failure with that of trp_kernel_fail */
    while (trp_load_acquire_u64(&ending->stopped_ns) == 0 &&
           trp_load_acquire_ptr(&run->failure) == NULL) {
        trp_spin_pause();
    }
}

static enum troupe_verdict
receive_filler(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    const struct trp_part *part = state;
    struct ending *ending = part->run->data;
    (void)msg;
    fill_all(ctx, part->run);
    trp_faa_u32(&ending->arrived, 1); /* pairs with the load of the lead */
    wait_for_stop(part->run);
    return TROUPE_CONTINUE;
}

/* Comes back to itself, so that its messages leave, until the others wait; then its own turn. */
static enum troupe_verdict receive_lead(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    const struct trp_part *part = state;
    struct trp_kernel_run *run = part->run;
    struct ending *ending = run->data;
    if (msg->type == TRP_KERNEL_START) {
        trp_cast_tell(ctx, run, run->roles[0].count, run->workers - 1, MSG_GO,
                      troupe_span(NULL, 0));
    }
    /* acquire: pairs with the add in receive_filler */
    if (trp_load_acquire_u32(&ending->arrived) < run->workers - 1) {
        trp_kernel_forward(ctx, run, troupe_self(ctx), MSG_GO, msg);
        return TROUPE_CONTINUE;
    }
    fill_all(ctx, run);
    uint64_t now_ns = trp_machine_now_ns();
    troupe_pool_stop(run->pool);
    trp_store_release_u64(&ending->stopped_ns, now_ns); /* pairs with wait_for_stop */
    return TROUPE_CONTINUE;
}

static const struct troupe_actor_type filler_type = {
    .name = "filler",
    .state_size = sizeof(struct trp_part),
    .init_cb = trp_part_init,
    .receive_cb = receive_filler,
};

static const struct troupe_actor_type lead_type = {
    .name = "shutdown-lead",
    .state_size = sizeof(struct trp_part),
    .init_cb = trp_part_init,
    .receive_cb = receive_lead,
};

static void
count_dead_letter(void *arg, const struct troupe_msg *msg, enum troupe_drop_reason reason)
{
    struct ending *ending = arg;
    (void)msg;
    trp_faa_u64(&ending->hooked, 1); /* read after the join */
    if (reason != TROUPE_DROP_SHUTDOWN) {
        trp_faa_u64(&ending->hooked_otherwise, 1);
    }
}

/* Every message was counted, and every actor told; that the sums add up was checked before. */
static bool check(struct trp_study_run *study, const struct ending *ending, uint64_t actors)
{
    uint64_t terminated = 0;
    for (uint32_t i = 0; i < study->workers; i++) {
        terminated += ending->terminated[i];
    }
    if (terminated != actors) {
        return trp_study_fail(study, "an actor was not told of the end, or told twice");
    }
    if (ending->hooked != study->stats.reported || ending->hooked_otherwise != 0) {
        return trp_study_fail(study, "the dead-letter hook saw other messages than were reported");
    }
    if (study->stats.accepted < actors * MESSAGES) {
        return trp_study_fail(study, "messages were accepted and not counted");
    }
    return true;
}

static bool play(struct trp_study_run *study, struct ending *ending)
{
    const struct troupe_pool_config more = {.dead_letter_cb = count_dead_letter,
                                            .dead_letter_arg = ending};
    const struct trp_role roles[] = {
        {&type, (uint32_t)study->amount, TRP_PLACE_IN_TURN},
        {&filler_type, study->workers - 1, TRP_PLACE_IN_TURN},
        {&lead_type, 1, TRP_PLACE_LAST},
    };
    struct trp_kernel_run *run = trp_study_open(study, ending, &more);
    if (run == NULL) {
        return false;
    }
    bool is_good = trp_cast(run, roles, 3)
                       ? trp_study_play(study, run) && check(study, ending, study->amount)
                       : trp_study_fail(study, "no room for the actors");
    if (is_good) {
        double took_ns = (double)(run->joined_ns - ending->stopped_ns);
        study->values[TIME_MS] = took_ns / 1e6;
        study->values[PER_MESSAGE] = took_ns / (double)(study->amount * MESSAGES);
        study->values[PER_ACTOR] = took_ns / 1e3 / (double)study->amount;
        study->values[REPORTED] = (double)study->stats.reported;
    }
    trp_study_close(run);
    return is_good;
}

static bool measure(struct trp_study_run *study)
{
    struct ending ending = {.arrived = 0};
    return play(study, &ending);
}

static const struct trp_study_case cases[] = {
    {.name = "full-mailboxes",
     .parameters = "{n} actors with 100 messages each, from the stop to the end of the threads; "
                   "accepted = processed + reported",
     .figures = figures,
     .figure_count = FIGURES,
     .amount = 1000,
     .measure = measure},
};

const struct trp_study trp_study_shutdown = {
    .name = "shutdown",
    .about = "stopping a pool whose mailboxes are full",
    .cases = cases,
    .case_count = sizeof(cases) / sizeof(cases[0]),
};
