/* Creatures that meet in pairs at one mall and change their colours: contention at one mailbox. */

#include "bench/kernels/cast.h"

enum { MSG_GO = TRP_KERNEL_FIRST_TYPE, MSG_MEET, MSG_PARTNER, MSG_CLOSED, MSG_COUNT };

#define COLOURS 3u

/* Of the creature that asks; in MSG_PARTNER of the one it met. */
struct visit {
    uint32_t creature;
    uint32_t colour;
    uint64_t meetings; /* in MSG_COUNT */
};

struct creature {
    struct trp_part part;
    uint32_t colour;
    uint64_t meetings;
};

struct mall {
    struct trp_part part;
    uint64_t left;              /* meetings of this round */
    struct troupe_msg *waiting; /* the visit of a creature that waits for a partner; ours */
    uint32_t inside;            /* creatures that have not gone home */
    uint64_t seen;              /* meetings that the others saw */
};

/* Two of a colour keep it, two of different colours both take the third. */
static uint32_t meet(uint32_t mine, uint32_t other)
{
    return mine == other ? mine : COLOURS - mine - other;
}

/* Everything travels in the one message that the creature got in the beginning. */
static enum troupe_verdict
receive_creature(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct creature *creature = state;
    struct trp_kernel_run *run = creature->part.run;
    struct visit *visit = troupe_msg_data(msg);

    if (msg->type == MSG_CLOSED) {
        visit->meetings = creature->meetings;
        trp_kernel_forward(ctx, run, msg->from, MSG_COUNT, msg);
        return TROUPE_CONTINUE;
    }
    if (msg->type == MSG_GO) {
        creature->colour = creature->part.index % COLOURS;
        creature->meetings = 0;
    } else if (visit->creature == creature->part.index || visit->colour >= COLOURS) {
        trp_kernel_fail(run, "a creature met itself or a ghost");
    } else {
        creature->colour = meet(creature->colour, visit->colour);
        creature->meetings++;
    }
    *visit = (struct visit){.creature = creature->part.index, .colour = creature->colour};
    trp_kernel_forward(ctx, run, msg->from, MSG_MEET, msg);
    return TROUPE_CONTINUE;
}

static void start_round(struct troupe_ctx *ctx, struct mall *mall)
{
    struct trp_kernel_run *run = mall->part.run;
    struct visit visit = {.creature = 0};
    mall->left = run->ops;
    mall->inside = run->actors - 1;
    mall->seen = 0;
    trp_cast_tell(ctx, run, 0, mall->inside, MSG_GO, troupe_span(&visit, sizeof(visit)));
}

/* The two visits change places: each creature gets its own message with the other's visit. */
static void introduce(struct troupe_ctx *ctx, struct mall *mall, struct troupe_msg *msg)
{
    struct trp_kernel_run *run = mall->part.run;
    struct troupe_msg *first = mall->waiting;
    struct visit *a = troupe_msg_data(first);
    struct visit *b = troupe_msg_data(msg);
    struct visit swapped = *a;

    *a = *b;
    *b = swapped;
    mall->waiting = NULL;
    mall->left--;
    first->type = MSG_PARTNER;
    trp_kernel_send(ctx, run, first->from, first);
    trp_kernel_forward(ctx, run, msg->from, MSG_PARTNER, msg);
}

static void count(struct troupe_ctx *ctx, struct mall *mall, const struct visit *visit)
{
    struct trp_kernel_run *run = mall->part.run;
    mall->seen += visit->meetings;
    if (--mall->inside > 0) {
        return;
    }
    trp_kernel_done(run);
    if (mall->seen != 2 * run->ops) {
        trp_kernel_fail(run, "the creatures saw another number of meetings than the mall");
    } else if (trp_kernel_next(ctx, run)) {
        start_round(ctx, mall);
    }
}

static enum troupe_verdict receive_mall(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct mall *mall = state;
    if (msg->type == TRP_KERNEL_START) {
        start_round(ctx, mall);
    } else if (msg->type == MSG_COUNT) {
        count(ctx, mall, troupe_msg_data(msg));
    } else if (mall->left == 0) {
        trp_kernel_forward(ctx, mall->part.run, msg->from, MSG_CLOSED, msg);
    } else if (mall->waiting == NULL) {
        mall->waiting = troupe_msg_take(ctx, msg);
    } else {
        introduce(ctx, mall, msg);
    }
    return TROUPE_CONTINUE;
}

static void end_mall(struct troupe_ctx *ctx, void *state, enum troupe_down_reason reason)
{
    struct mall *mall = state;
    (void)reason;
    troupe_msg_free(ctx, mall->waiting);
}

static const struct troupe_actor_type creature_type = {
    .name = "creature",
    .state_size = sizeof(struct creature),
    .init_cb = trp_part_init,
    .receive_cb = receive_creature,
};

static const struct troupe_actor_type mall_type = {
    .name = "mall",
    .state_size = sizeof(struct mall),
    .init_cb = trp_part_init,
    .receive_cb = receive_mall,
    .terminate_cb = end_mall,
};

static bool setup(struct trp_kernel_run *run)
{
    const struct trp_role roles[] = {
        {&creature_type, run->the_case->actors, TRP_PLACE_IN_TURN},
        {&mall_type, 1, TRP_PLACE_LAST},
    };
    return trp_cast(run, roles, 2);
}

#define CHAMENEOS(name_, workers_, placement_)                                                     \
    {                                                                                              \
        .name = (name_), .parameters = "100 creatures, 1 mall, {n} meetings", .ops = 200000,       \
        .actors = 100, .workers = (workers_), .placement = (placement_),                           \
        .limit = TRP_LIMIT_FLOOR_CHAMENEOS, .share_min = (workers_) == 1 ? 0.45 : 0                \
    }

static const struct trp_kernel_case cases[] = {
    CHAMENEOS("1-worker", 1, TRP_PLACEMENT_RUNTIME),
    CHAMENEOS("placed", 0, TRP_PLACEMENT_RUNTIME),
    CHAMENEOS("spread", 0, TRP_PLACEMENT_SPREAD),
};

const struct trp_kernel trp_kernel_chameneos = {
    .name = "chameneos",
    .about = "creatures meet in pairs at one mall",
    .op = "meeting",
    .cases = cases,
    .case_count = sizeof(cases) / sizeof(cases[0]),
    .setup = setup,
};
