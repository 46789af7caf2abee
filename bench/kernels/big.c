/* Everybody pings everybody: many to many, each waits for an answer before it asks the next. */

#include "bench/kernels/cast.h"

enum { MSG_GO = TRP_KERNEL_FIRST_TYPE, MSG_PING, MSG_PONG, MSG_DONE, MSG_AUDIT, MSG_ANSWERED };

struct pinger {
    struct trp_part part;
    uint64_t random;
    uint64_t left;     /* pings to send */
    uint64_t answered; /* pings of others in this round */
};

struct lead {
    struct trp_part part;
    uint32_t waiting;  /* pingers that are not done, or not audited */
    uint64_t answered; /* pings that the others say they answered */
};

/* Any other pinger. */
static troupe_ref draw_other(struct pinger *pinger)
{
    const struct trp_kernel_run *run = pinger->part.run;
    uint32_t i = trp_kernel_draw(&pinger->random, run->actors - 2);
    return run->refs[i < pinger->part.index ? i : i + 1];
}

static void ping(struct troupe_ctx *ctx, struct pinger *pinger, struct troupe_msg *msg)
{
    struct trp_kernel_run *run = pinger->part.run;
    if (pinger->left == 0) {
        trp_kernel_forward(ctx, run, trp_cast_lead(run), MSG_DONE, msg);
        return;
    }
    pinger->left--;
    trp_kernel_forward(ctx, run, draw_other(pinger), MSG_PING, msg);
}

static enum troupe_verdict
receive_pinger(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct pinger *pinger = state;
    struct trp_kernel_run *run = pinger->part.run;
    switch (msg->type) {
    case MSG_PING:
        pinger->answered++;
        trp_kernel_forward(ctx, run, msg->from, MSG_PONG, msg);
        break;
    case MSG_PONG:
        ping(ctx, pinger, msg);
        break;
    case MSG_GO:
        pinger->random = pinger->part.index + 1;
        pinger->left = run->share;
        ping(ctx, pinger, msg);
        break;
    default: /* MSG_AUDIT: everybody is done */
        memcpy(troupe_msg_data(msg), &pinger->answered, sizeof(pinger->answered));
        pinger->answered = 0;
        trp_kernel_forward(ctx, run, msg->from, MSG_ANSWERED, msg);
        break;
    }
    return TROUPE_CONTINUE;
}

static void tell_all(struct troupe_ctx *ctx, struct lead *lead, uint16_t type)
{
    struct trp_kernel_run *run = lead->part.run;
    uint64_t room = 0;
    lead->waiting = run->actors - 1;
    lead->answered = 0;
    trp_cast_tell(ctx, run, 0, lead->waiting, type, troupe_span(&room, sizeof(room)));
}

static void end_round(struct troupe_ctx *ctx, struct lead *lead)
{
    struct trp_kernel_run *run = lead->part.run;
    if (lead->answered != run->ops) {
        trp_kernel_fail(run, "pings were lost or answered twice");
    } else if (trp_kernel_next(ctx, run)) {
        tell_all(ctx, lead, MSG_GO);
    }
}

static enum troupe_verdict receive_lead(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct lead *lead = state;
    if (msg->type == TRP_KERNEL_START) {
        tell_all(ctx, lead, MSG_GO);
    } else if (msg->type == MSG_ANSWERED) {
        lead->answered += trp_kernel_value(msg);
        if (--lead->waiting == 0) {
            end_round(ctx, lead);
        }
    } else if (--lead->waiting == 0) {
        trp_kernel_done(lead->part.run);
        tell_all(ctx, lead, MSG_AUDIT);
    }
    return TROUPE_CONTINUE;
}

static const struct troupe_actor_type pinger_type = {
    .name = "pinger",
    .state_size = sizeof(struct pinger),
    .init_cb = trp_part_init,
    .receive_cb = receive_pinger,
};

static const struct troupe_actor_type lead_type = {
    .name = "big-lead",
    .state_size = sizeof(struct lead),
    .init_cb = trp_part_init,
    .receive_cb = receive_lead,
};

static bool setup(struct trp_kernel_run *run)
{
    const struct trp_role roles[] = {
        {&pinger_type, run->the_case->actors, TRP_PLACE_IN_TURN},
        {&lead_type, 1, TRP_PLACE_LAST},
    };
    trp_kernel_divide(run, run->the_case->actors);
    return trp_cast(run, roles, 2);
}

#define BIG(name_, workers_, placement_)                                                           \
    {                                                                                              \
        .name = (name_), .parameters = "120 actors, {each} pings from each", .ops = 2400000,       \
        .actors = 120, .workers = (workers_), .placement = (placement_),                           \
        .limit = TRP_LIMIT_FLOOR_BIG, .share_min = (workers_) == 1 ? 0.75 : 0                      \
    }

static const struct trp_kernel_case cases[] = {
    BIG("1-worker", 1, TRP_PLACEMENT_RUNTIME),
    BIG("placed", 0, TRP_PLACEMENT_RUNTIME),
    BIG("spread", 0, TRP_PLACEMENT_SPREAD),
};

const struct trp_kernel trp_kernel_big = {
    .name = "big",
    .about = "many to many: a ping to anybody and its pong",
    .op = "ping",
    .cases = cases,
    .case_count = sizeof(cases) / sizeof(cases[0]),
    .setup = setup,
};
