/* Links and supervisors on real threads: requests that cross, restarts under load. */

#include "tests/cmocka.h"

#include <stdio.h>
#include <string.h>
#include <troupe/assert.h>
#include <troupe/pool.h>
#include <troupe/supervise.h>

#define PAIRS   400u
#define ROUNDS  5u
#define TIMEOUT 60000000000ull

enum { MSG_GO = 1, MSG_LINK, MSG_SYNC, MSG_FAIL, MSG_EXIT, MSG_WORK, MSG_DOWN };

static void run(uint32_t workers, const struct troupe_actor_type *type, void (*check)(void))
{
    struct troupe_pool_config config = {.workers = workers};
    char error[200] = "";
    struct troupe_pool *pool;
    troupe_ref ref;
    assert_int_equal(troupe_pool_create(&pool, &config, error, sizeof(error)), TROUPE_OK);
    assert_int_equal(troupe_pool_spawn(pool, &ref, 0, type, &pool), TROUPE_OK);
    assert_int_equal(troupe_pool_start(pool, error, sizeof(error)), TROUPE_OK);
    troupe_pool_join(pool);
    struct troupe_worker_stats sum = {0};
    for (uint32_t i = 0; i < workers; i++) {
        struct troupe_worker_stats stats;
        troupe_pool_stats(pool, i, &stats);
        sum.accepted += stats.accepted;
        sum.processed += stats.processed;
        sum.reported += stats.reported;
    }
    assert_int_equal(sum.accepted, sum.processed + sum.reported);
    check();
    troupe_pool_destroy(pool);
}

/* --- links that cross --- */

/* One half of a pair: links when told, counts exits, tells its count when asked. */
struct half {
    uint64_t exits;
};

static enum troupe_status half_begin(struct troupe_ctx *ctx, void *state, const void *arg)
{
    (void)state;
    (void)arg;
    return troupe_trap_exits(ctx, MSG_EXIT);
}

static enum troupe_verdict half_receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct half *half = state;
    troupe_ref other;
    switch (msg->type) {
    case MSG_LINK:
        memcpy(&other, troupe_msg_data(msg), sizeof(other));
        TROUPE_ASSERT(troupe_link(ctx, other) == TROUPE_OK);
        return TROUPE_CONTINUE;
    case MSG_SYNC:
        TROUPE_ASSERT(troupe_reply(ctx, msg, MSG_SYNC,
                                   troupe_span(&half->exits, sizeof(half->exits))) == TROUPE_OK);
        return TROUPE_CONTINUE;
    case MSG_EXIT:
        half->exits++;
        return TROUPE_CONTINUE;
    default:
        return TROUPE_FAIL;
    }
}

static const struct troupe_actor_type half_type = {.name = "half",
                                                   .state_size = sizeof(struct half),
                                                   .init_cb = half_begin,
                                                   .receive_cb = half_receive};

struct matchmaker {
    struct troupe_pool *pool;
    troupe_ref halves[2][PAIRS]; /* on worker 0 and on worker 1 */
    uint64_t exits;              /* of the newest round of questions */
    uint32_t waiting;
    uint32_t phase;
};

static uint64_t exits_seen;
static uint32_t rounds_done;

static void pairs_step(struct troupe_ctx *ctx, struct matchmaker *maker);

static enum troupe_verdict
pair_made(struct troupe_ctx *ctx, void *state, const struct troupe_answer *answer, uint64_t cookie)
{
    struct matchmaker *maker = state;
    TROUPE_ASSERT(answer->status == TROUPE_OK);
    memcpy(&maker->halves[cookie / PAIRS][cookie % PAIRS], troupe_msg_data(answer->msg),
           sizeof(troupe_ref));
    if (--maker->waiting == 0) {
        pairs_step(ctx, maker);
    }
    return TROUPE_CONTINUE;
}

static enum troupe_verdict pair_synced(struct troupe_ctx *ctx,
                                       void *state,
                                       const struct troupe_answer *answer,
                                       uint64_t cookie)
{
    struct matchmaker *maker = state;
    uint64_t exits;
    (void)cookie;
    TROUPE_ASSERT(answer->status == TROUPE_OK);
    memcpy(&exits, troupe_msg_data(answer->msg), sizeof(exits));
    maker->exits += exits;
    if (--maker->waiting == 0) {
        pairs_step(ctx, maker);
    }
    return TROUPE_CONTINUE;
}

static void sync_halves(struct troupe_ctx *ctx, struct matchmaker *maker, uint32_t worker)
{
    for (uint32_t i = 0; i < PAIRS; i++) {
        maker->waiting++;
        TROUPE_ASSERT(troupe_ask(ctx, maker->halves[worker][i], MSG_SYNC, troupe_span(NULL, 0),
                                 TIMEOUT, pair_synced, 0) == TROUPE_OK);
    }
}

static void pairs_step(struct troupe_ctx *ctx, struct matchmaker *maker)
{
    switch (maker->phase++) {
    case 0:
        for (uint32_t i = 0; i < 2 * PAIRS; i++) {
            maker->waiting++;
            TROUPE_ASSERT(troupe_spawn_on(ctx, i / PAIRS, &half_type, troupe_span(NULL, 0),
                                          pair_made, i) == TROUPE_OK);
        }
        break;
    case 1: /* both ask at the same moment */
        for (uint32_t i = 0; i < PAIRS; i++) {
            for (uint32_t side = 2; side-- > 0;) {
                TROUPE_ASSERT(troupe_send_copy(ctx, maker->halves[side][i], MSG_LINK,
                                               &maker->halves[1 - side][i],
                                               sizeof(troupe_ref)) == TROUPE_OK);
            }
        }
        sync_halves(ctx, maker, 0);
        sync_halves(ctx, maker, 1);
        break;
    case 2: { /* one of each pair fails */
        uint32_t loser = rounds_done % 2;
        for (uint32_t i = 0; i < PAIRS; i++) {
            TROUPE_ASSERT(troupe_send_copy(ctx, maker->halves[loser][i], MSG_FAIL, NULL, 0) ==
                          TROUPE_OK);
            TROUPE_ASSERT(troupe_monitor(ctx, maker->halves[loser][i], MSG_DOWN, 0, NULL) ==
                          TROUPE_OK);
            maker->waiting++;
        }
        break;
    }
    case 3: /* all are down: what they sent is there before this question */
    case 4: /* ... and handled before this one, should data have overtaken control */
        maker->exits = 0;
        sync_halves(ctx, maker, 1 - rounds_done % 2);
        break;
    default:
        for (uint32_t i = 0; i < PAIRS; i++) {
            troupe_stop(ctx, maker->halves[1 - rounds_done % 2][i]);
        }
        exits_seen += maker->exits;
        maker->phase = 0;
        if (++rounds_done == ROUNDS) {
            troupe_pool_stop(maker->pool);
        } else {
            pairs_step(ctx, maker);
        }
        break;
    }
}

static enum troupe_status maker_begin(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct matchmaker *maker = state;
    memcpy(&maker->pool, arg, sizeof(maker->pool));
    return troupe_send_copy(ctx, troupe_self(ctx), MSG_GO, NULL, 0);
}

static enum troupe_verdict
maker_receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct matchmaker *maker = state;
    if (msg->type == MSG_GO || (msg->type == MSG_DOWN && --maker->waiting == 0)) {
        pairs_step(ctx, maker);
    }
    return TROUPE_CONTINUE;
}

static const struct troupe_actor_type maker_type = {.name = "matchmaker",
                                                    .state_size = sizeof(struct matchmaker),
                                                    .init_cb = maker_begin,
                                                    .receive_cb = maker_receive};

static void check_pairs(void)
{
    assert_int_equal(rounds_done, ROUNDS);
    assert_int_equal(exits_seen, ROUNDS * PAIRS); /* one per pair, whoever asked */
}

static void crossing_requests_make_one_link(void **state)
{
    (void)state;
    exits_seen = 0;
    rounds_done = 0;
    run(2, &maker_type, check_pairs);
}

/* --- restarts under load --- */

#define CHILDREN 6u
#define MESSAGES 3000u

static uint64_t handled[CHILDREN]; /* next number expected; each written on one worker */
static uint64_t failures[CHILDREN];

struct load {
    uint32_t child;
    uint64_t number;
};

static enum troupe_status child_begin(struct troupe_ctx *ctx, void *state, const void *arg)
{
    (void)ctx;
    memcpy(state, arg, sizeof(uint32_t));
    return TROUPE_OK;
}

static enum troupe_verdict
child_receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct load load;
    (void)ctx;
    (void)state;
    memcpy(&load, troupe_msg_data(msg), sizeof(load));
    TROUPE_ASSERT(handled[load.child] == load.number);
    handled[load.child]++;
    if (load.number % 10 == 3) {
        failures[load.child]++;
        return TROUPE_FAIL;
    }
    return TROUPE_CONTINUE;
}

static const struct troupe_actor_type child_type = {
    .name = "child", .state_size = 16, .init_cb = child_begin, .receive_cb = child_receive};

struct driver {
    struct troupe_pool *pool;
    troupe_ref supervisor;
    troupe_ref children[CHILDREN];
    uint64_t sent[CHILDREN];
    uint32_t settled;
    struct troupe_timer tick;
};

static enum troupe_verdict
listed(struct troupe_ctx *ctx, void *state, const struct troupe_answer *answer, uint64_t cookie)
{
    struct driver *driver = state;
    struct troupe_child_list list;
    (void)cookie;
    TROUPE_ASSERT(answer->status == TROUPE_OK);
    memcpy(&list, troupe_msg_data(answer->msg), answer->msg->size);
    TROUPE_ASSERT(list.total == CHILDREN);
    for (uint32_t i = 0; i < CHILDREN; i++) {
        TROUPE_ASSERT(driver->children[i] == TROUPE_NOBODY ||
                      driver->children[i] == list.entries[i].ref); /* a restart keeps it */
        driver->children[i] = list.entries[i].ref;
    }
    troupe_timer_start(ctx, &driver->tick, 1000000, 0, MSG_GO);
    return TROUPE_CONTINUE;
}

static enum troupe_status driver_begin(struct troupe_ctx *ctx, void *state, const void *arg)
{
    static uint32_t numbers[CHILDREN];
    struct driver *driver = state;
    struct troupe_child_spec children[CHILDREN];
    memset(children, 0, sizeof(children));
    for (uint32_t i = 0; i < CHILDREN; i++) {
        numbers[i] = i;
        children[i].type = &child_type;
        children[i].arg = &numbers[i];
        children[i].arg_len = sizeof(numbers[i]);
        children[i].worker = TROUPE_WORKER_SPREAD;
    }
    struct troupe_supervisor_spec spec = {.strategy = TROUPE_ONE_FOR_ONE,
                                          .intensity_max = TROUPE_INTENSITY_MAX,
                                          .period_ns = 1, /* never too many */
                                          .children = children,
                                          .child_count = CHILDREN};
    memcpy(&driver->pool, arg, sizeof(driver->pool));
    enum troupe_status status = troupe_supervisor_spawn(ctx, &driver->supervisor, &spec);
    if (status == TROUPE_OK) {
        troupe_timer_start(ctx, &driver->tick, 1000000, 0, MSG_GO);
    }
    return status;
}

static enum troupe_verdict
driver_receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct driver *driver = state;
    bool is_done = true;
    (void)msg;
    for (uint32_t i = 0; i < CHILDREN && driver->children[i] != TROUPE_NOBODY; i++) {
        for (uint32_t n = 0; n < 200 && driver->sent[i] < MESSAGES; n++) {
            struct load load = {.child = i, .number = driver->sent[i]};
            if (troupe_send_copy(ctx, driver->children[i], MSG_WORK, &load, sizeof(load)) !=
                TROUPE_OK) {
                break;
            }
            driver->sent[i]++;
        }
    }
    for (uint32_t i = 0; i < CHILDREN; i++) {
        is_done = is_done && driver->sent[i] == MESSAGES;
    }
    /* the supervisor knows of every end that happened before all work was done */
    if (is_done && driver->settled++ == 300) {
        troupe_pool_stop(driver->pool);
        return TROUPE_CONTINUE;
    }
    TROUPE_ASSERT(troupe_supervise_list(ctx, driver->supervisor, 0, TIMEOUT, listed, 0) ==
                  TROUPE_OK);
    return TROUPE_CONTINUE;
}

static const struct troupe_actor_type driver_type = {.name = "driver",
                                                     .state_size = sizeof(struct driver),
                                                     .init_cb = driver_begin,
                                                     .receive_cb = driver_receive};

static void check_children(void)
{
    for (uint32_t i = 0; i < CHILDREN; i++) {
        assert_int_equal(handled[i], MESSAGES);
        assert_int_equal(failures[i], MESSAGES / 10);
    }
}

static void restarts_under_load_lose_nothing(void **state)
{
    (void)state;
    memset(handled, 0, sizeof(handled));
    memset(failures, 0, sizeof(failures));
    run(3, &driver_type, check_children);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crossing_requests_make_one_link),
        cmocka_unit_test(restarts_under_load_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
