/* A tree of supervisors under which some of the crowd lives: top, two in the middle, the leaves. */

#include "tests/sim/crowd.h"

/* What the specs point at must stay valid. */
static struct {
    struct troupe_child_spec leaves[PLACES_MAX];
    struct troupe_child_spec middles[2];
    struct troupe_supervisor_spec specs[3];
    struct member_arg args[PLACES_MAX];
} tree;

static void random_policy(struct trp_random *random, struct troupe_supervisor_spec *spec)
{
    spec->strategy = (enum troupe_strategy)trp_random_below(random, 3);
    spec->intensity_max = (uint32_t)(1 + trp_random_below(random, 8));
    spec->period_ns = 40 * MS;
    spec->backoff_min_ns = trp_random_below(random, 3) * MS;
    spec->backoff_max_ns = 8 * MS;
    spec->jitter_percent = (uint32_t)trp_random_below(random, 101);
    spec->stable_ns = 20 * MS;
}

static void random_leaf(struct trp_random *random, struct troupe_child_spec *leaf, uint32_t place)
{
    memset(leaf, 0, sizeof(*leaf));
    tree.args[place].place = place;
    leaf->type = &member_types[trp_random_below(random, MEMBER_TYPES)];
    leaf->arg = &tree.args[place];
    leaf->arg_len = sizeof(tree.args[place]);
    leaf->worker = (uint32_t)trp_random_below(random, book.pool->worker_count);
    leaf->restart = (enum troupe_restart)(trp_random_below(random, 8) / 3);
    leaf->shutdown = (enum troupe_shutdown)trp_random_below(random, 3);
    leaf->shutdown_ns = trp_random_below(random, 2) == 0 ? 2 * MS : 0;
}

void crowd_plant(struct trp_random *random)
{
    memset(&tree, 0, sizeof(tree));
    uint32_t half = book.leaves / 2;
    for (uint32_t i = 0; i < book.leaves; i++) {
        random_leaf(random, &tree.leaves[i], i);
    }
    for (uint32_t i = 0; i < 2; i++) {
        random_policy(random, &tree.specs[i]);
        tree.specs[i].children = &tree.leaves[i * half];
        tree.specs[i].child_count = i == 0 ? half : book.leaves - half;
        tree.middles[i].type = &troupe_supervisor_type;
        tree.middles[i].arg = &tree.specs[i];
        tree.middles[i].arg_len = sizeof(tree.specs[i]);
        tree.middles[i].worker = TROUPE_WORKER_SPREAD;
        tree.middles[i].shutdown_ns = UINT64_MAX;
    }
    random_policy(random, &tree.specs[2]);
    tree.specs[2].intensity_max = 20;
    tree.specs[2].children = tree.middles;
    tree.specs[2].child_count = 2;
    enum troupe_status status =
        troupe_pool_spawn(book.pool, &book.top, 0, &troupe_supervisor_type, &tree.specs[2]);
    TROUPE_ASSERT(status == TROUPE_OK || status == TROUPE_ENOMEM);
}

static enum troupe_verdict
on_answer(struct troupe_ctx *ctx, void *state, const struct troupe_answer *answer, uint64_t cookie)
{
    struct member *member = state;
    (void)ctx;
    crowd_ask_ended((uint32_t)cookie, member->life, answer);
    return TROUPE_CONTINUE;
}

/* Adds, ends or lists children of the tree. */
void crowd_supervise(struct troupe_ctx *ctx, struct member *member)
{
    uint64_t timeout_ns = (1 + below(ctx, 30)) * MS;
    uint32_t place = book.leaves + below(ctx, book.places - book.leaves);
    uint32_t ask = crowd_ask_new(member->life, timeout_ns);
    if (ask == 0 || book.top == TROUPE_NOBODY) {
        if (ask != 0) {
            book.asks[ask].state = OPEN_TAKEN_BACK;
        }
        return;
    }
    struct trp_random random = {troupe_random(ctx)};
    struct troupe_child_spec spec;
    enum troupe_status status;
    switch (below(ctx, 3)) {
    case 0:
        random_leaf(&random, &spec, place);
        status = troupe_supervise_start(ctx, book.top, &spec, timeout_ns, on_answer, ask);
        break;
    case 1:
        status = troupe_supervise_stop(ctx, book.top, book.refs[place], timeout_ns, on_answer, ask);
        break;
    default:
        status = troupe_supervise_list(ctx, book.top, 0, timeout_ns, on_answer, ask);
        break;
    }
    crowd_refused(status);
    if (status != TROUPE_OK) {
        book.asks[ask].state = OPEN_TAKEN_BACK;
    }
}
