/* Bytes of an actor that has nothing to do. */

#include "bench/kernels/cast.h"
#include "bench/kernels/study.h"
#include "pool/cell.h"

#define STATE_BYTES    64u
#define BATCH          64u /* messages under way at most, per worker: they are not to be counted */
#define MEMORY_MAX     (8ull << 30)
#define SETTLE_NS      50000000u
#define WARM_UP_ACTORS BATCH

enum { MSG_GO = TRP_KERNEL_FIRST_TYPE, MSG_NEXT, MSG_HELLO, MSG_DONE, MSG_WAKE };

enum { RESIDENT, ACCOUNTED, ACTORS, FIGURES };

static const struct trp_figure figures[FIGURES] = {
    [RESIDENT] = {"resident-beyond-state", "bytes", TRP_FIGURE_AT_MOST, 192},
    [ACCOUNTED] = {"accounted-beyond-state", "bytes", TRP_FIGURE_AT_MOST, 192},
    [ACTORS] = {"actors", "", TRP_FIGURE_SHOWN, 0},
};

struct crowd {
    sem_t is_there; /* posted when all have had their message */
    uint64_t actors;
    uint64_t greeted[TROUPE_WORKERS_MAX]; /* each by its worker, read after the join */
};

/* One per worker: spawns the actors there. */
struct nursery {
    struct trp_part part;
    uint64_t left;
};

/* The user's state: every byte of it is used. */
struct resident {
    struct trp_kernel_run *run;
    unsigned char filled[STATE_BYTES - sizeof(struct trp_kernel_run *)];
};

static enum troupe_status init_resident(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct resident *resident = state;
    (void)ctx;
    resident->run = (struct trp_kernel_run *)(uintptr_t)arg;
    memset(resident->filled, 1, sizeof(resident->filled));
    return TROUPE_OK;
}

static enum troupe_verdict
receive_resident(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct resident *resident = state;
    struct crowd *crowd = resident->run->data;
    (void)msg;
    crowd->greeted[troupe_self_worker(ctx)]++;
    return TROUPE_CONTINUE;
}

static const struct troupe_actor_type resident_type = {
    .name = "resident",
    .state_size = sizeof(struct resident),
    .init_cb = init_resident,
    .receive_cb = receive_resident,
};

static void spawn_batch(struct troupe_ctx *ctx, struct nursery *nursery)
{
    struct trp_kernel_run *run = nursery->part.run;
    for (uint32_t i = 0; i < BATCH && nursery->left > 0; i++) {
        troupe_ref ref;
        if (troupe_spawn(ctx, &ref, &resident_type, run) != TROUPE_OK) {
            trp_kernel_fail(run, "no room for the actors");
            return;
        }
        trp_kernel_tell(ctx, run, ref, MSG_HELLO, troupe_span(NULL, 0));
        nursery->left--;
    }
}

static enum troupe_verdict
receive_nursery(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct nursery *nursery = state;
    struct trp_kernel_run *run = nursery->part.run;
    if (msg->type == MSG_WAKE) {
        return TROUPE_CONTINUE;
    }
    if (msg->type == MSG_GO) {
        nursery->left = trp_kernel_value(msg);
    } else if (nursery->left == 0) {
        /* its own message came behind those of the last batch */
        trp_kernel_forward(ctx, run, trp_cast_lead(run), MSG_DONE, msg);
        return TROUPE_CONTINUE;
    }
    spawn_batch(ctx, nursery);
    trp_kernel_tell(ctx, run, troupe_self(ctx), MSG_NEXT, troupe_span(NULL, 0));
    return TROUPE_CONTINUE;
}

/* Twice over: a few actors first, so that what the pool has anyway is there before the count. */
static enum troupe_verdict receive_lead(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct nursery *lead = state;
    struct trp_kernel_run *run = lead->part.run;
    struct crowd *crowd = run->data;
    uint64_t share = WARM_UP_ACTORS;
    if (msg->type == MSG_DONE) {
        if (--lead->left == 0) {
            sem_post(&crowd->is_there);
        }
        return TROUPE_CONTINUE;
    }
    if (msg->type == MSG_GO) {
        share = crowd->actors / run->workers;
    }
    lead->left = run->workers;
    trp_cast_tell(ctx, run, 0, run->workers, MSG_GO, troupe_span(&share, sizeof(share)));
    return TROUPE_CONTINUE;
}

static const struct troupe_actor_type nursery_type = {
    .name = "nursery",
    .state_size = sizeof(struct nursery),
    .init_cb = trp_part_init,
    .receive_cb = receive_nursery,
};

static const struct troupe_actor_type lead_type = {
    .name = "memory-lead",
    .state_size = sizeof(struct nursery),
    .init_cb = trp_part_init,
    .receive_cb = receive_lead,
};

/* Bytes at one moment. */
struct footprint {
    double resident;
    double accounted; /* slabs and the tables of cells, as the pool counts them */
};

static bool read_footprint(struct footprint *footprint, const struct trp_kernel_run *run)
{
    trp_study_sleep(SETTLE_NS); /* until all have parked */
    footprint->resident = (double)trp_study_resident_bytes();
    footprint->accounted = 0;
    for (uint32_t i = 0; i < run->workers; i++) {
        struct troupe_worker_stats stats;
        troupe_pool_stats(run->pool, i, &stats);
        footprint->accounted +=
            (double)stats.memory + (double)(stats.alive * (sizeof(struct trp_cell) + 1));
    }
    return footprint->resident > 0;
}

static bool tell(struct troupe_port *port, troupe_ref to, uint16_t type)
{
    struct troupe_msg *msg = troupe_port_msg_new(port, type, 0);
    if (msg == NULL) {
        return false;
    }
    if (troupe_port_send(port, to, &msg) != TROUPE_OK) {
        troupe_port_msg_free(port, msg);
        return false;
    }
    return true;
}

/* Tells the lead, from outside, to fill the pool. */
static bool fill(struct trp_study_run *study,
                 struct trp_kernel_run *run,
                 struct crowd *crowd,
                 struct troupe_port *port)
{
    if (!tell(port, trp_cast_lead(run), MSG_GO)) {
        return trp_study_fail(study, "the pool cannot be told to begin");
    }
    if (!trp_study_await(study, run, &crowd->is_there)) {
        return false;
    }
    /* A worker that has slept publishes how much memory it has: let all sleep, and wake them. */
    trp_study_sleep(SETTLE_NS);
    for (uint32_t i = 0; i < run->workers; i++) {
        if (!tell(port, run->refs[i], MSG_WAKE)) {
            return trp_study_fail(study, "the pool cannot be woken");
        }
    }
    return true;
}

static bool count(struct trp_study_run *study, struct trp_kernel_run *run, struct crowd *crowd)
{
    struct footprint before;
    struct footprint after;
    struct troupe_port *port;
    if (!trp_study_await(study, run, &crowd->is_there)) {
        return false;
    }
    if (troupe_port_open(run->pool, &port) != TROUPE_OK) {
        return trp_study_fail(study, "out of memory");
    }
    bool is_read = read_footprint(&before, run);
    bool is_filled = fill(study, run, crowd, port);
    is_read = read_footprint(&after, run) && is_read;
    troupe_port_close(port);
    if (!is_filled || !is_read) {
        return is_read ? false : trp_study_fail(study, "the memory of this process cannot be read");
    }
    double actors = (double)crowd->actors;
    study->values[RESIDENT] = (after.resident - before.resident) / actors - STATE_BYTES;
    study->values[ACCOUNTED] = (after.accounted - before.accounted) / actors - STATE_BYTES;
    study->values[ACTORS] = actors;
    return true;
}

static bool play(struct trp_study_run *study, struct crowd *crowd)
{
    /* Ending a million actors takes a while, and the watchdog would say so. */
    const struct troupe_pool_config more = {.memory_max = MEMORY_MAX, .watchdog_ns = UINT64_MAX};
    const struct trp_role roles[] = {
        {&nursery_type, study->workers, TRP_PLACE_IN_TURN},
        {&lead_type, 1, TRP_PLACE_LAST},
    };
    struct trp_kernel_run *run = trp_study_open(study, crowd, &more);
    if (run == NULL) {
        return false;
    }
    bool is_good = false;
    uint64_t greeted = 0;
    if (!trp_cast(run, roles, 2)) {
        trp_study_fail(study, "no room for the actors");
    } else if (trp_study_start(study, run)) {
        bool is_counted = count(study, run, crowd);
        is_good = trp_study_finish(study, run) && is_counted;
        for (uint32_t i = 0; i < run->workers; i++) {
            greeted += crowd->greeted[i];
        }
        if (is_good && greeted != crowd->actors + WARM_UP_ACTORS * run->workers) {
            is_good = trp_study_fail(study, "an actor has not had its message");
        }
    }
    trp_study_close(run);
    return is_good;
}

static bool measure(struct trp_study_run *study)
{
    struct crowd crowd = {.actors = study->amount};
    uint64_t rest = crowd.actors % study->workers;
    crowd.actors += rest == 0 ? 0 : study->workers - rest;
    study->amount = crowd.actors;
    sem_init(&crowd.is_there, 0, 0);
    bool is_good = play(study, &crowd);
    sem_destroy(&crowd.is_there);
    return is_good;
}

static const struct trp_study_case cases[] = {
    {.name = "idle-actors",
     .parameters = "{n} actors with 64 bytes of state after one message each; growth of the "
                   "process minus 64 bytes per actor",
     .figures = figures,
     .figure_count = FIGURES,
     .spin = TROUPE_SPIN_PARK,
     .amount = 1000000,
     .measure = measure},
};

const struct trp_study trp_study_memory = {
    .name = "memory",
    .about = "bytes per idle actor",
    .cases = cases,
    .case_count = sizeof(cases) / sizeof(cases[0]),
};
