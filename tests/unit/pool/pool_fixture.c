#include "pool_fixture.h"

#include "pool/sim.h"
#include "tests/cmocka.h"

#include <string.h>
#include <troupe/assert.h>

struct fixture fixture;

/* --- set-up --- */

static struct troupe_pool_config begin(const struct troupe_pool_config *config)
{
    struct troupe_pool_config hooked = *config;
    if (hooked.dead_letter_cb == NULL) {
        hooked.dead_letter_cb = fixture_count_letter;
    }
    memset(&fixture, 0, sizeof(fixture));
    sem_init(&fixture.entered, 0, 0);
    sem_init(&fixture.leave, 0, 0);
    return hooked;
}

void fixture_create(const struct troupe_pool_config *config)
{
    struct troupe_pool_config hooked = begin(config);
    char error[200] = "";
    if (troupe_pool_create(&fixture.pool, &hooked, error, sizeof(error)) != TROUPE_OK) {
        fail_msg("%s", error);
    }
}

void fixture_create_sim(uint64_t seed, const struct troupe_pool_config *config)
{
    struct troupe_pool_config hooked = begin(config);
    fixture.sim = trp_sim_create(seed, &hooked, NULL);
    assert_non_null(fixture.sim);
    fixture.pool = trp_sim_pool(fixture.sim);
}

struct troupe_pool *fixture_create_parking(uint32_t workers)
{
    fixture_create(&(struct troupe_pool_config){.workers = workers, .spin = TROUPE_SPIN_PARK});
    return fixture.pool;
}

troupe_ref fixture_add(uint32_t worker, const struct troupe_actor_type *type, const void *arg)
{
    troupe_ref ref;
    assert_int_equal(troupe_pool_spawn(fixture.pool, &ref, worker, type, arg), TROUPE_OK);
    return ref;
}

void fixture_start(void)
{
    char error[200] = "";
    if (fixture.sim != NULL) {
        trp_sim_start(fixture.sim);
    } else if (troupe_pool_start(fixture.pool, error, sizeof(error)) != TROUPE_OK) {
        fail_msg("%s", error);
    }
}

void fixture_run_sim(uint64_t ns)
{
    assert_true(trp_sim_run(fixture.sim, trp_sim_now(fixture.sim) + ns));
}

/* --- the end --- */

static struct troupe_worker_stats sum_up(void)
{
    struct troupe_worker_stats sum = {0};
    for (uint32_t i = 0; i < troupe_pool_workers(fixture.pool); i++) {
        struct troupe_worker_stats stats;
        troupe_pool_stats(fixture.pool, i, &stats);
        sum.accepted += stats.accepted;
        sum.processed += stats.processed;
        sum.reported += stats.reported;
        sum.alive += stats.alive;
        sum.spawned += stats.spawned;
    }
    return sum;
}

static void check(const struct fixture_end *end)
{
    uint64_t dropped = 0;
    for (uint32_t i = 0; i < TROUPE_DROP_REASONS; i++) {
        dropped += end->report.dropped[i];
    }
    assert_int_equal(end->sum.accepted, end->sum.processed + end->sum.reported);
    assert_int_equal(end->sum.reported, fixture_letters());
    assert_int_equal(end->sum.alive, 0);
    assert_int_equal(end->report.accepted, end->report.processed + end->report.reported);
    assert_int_equal(end->report.reported, dropped);
    assert_int_equal(end->report.reported, fixture_letters());
    assert_true(end->report.abandoned <= end->report.reported);
}

struct fixture_end fixture_finish(void)
{
    struct fixture_end end;
    memset(&end, 0xA5, sizeof(end)); /* the report has to overwrite all of it */
    if (fixture.sim != NULL) {
        trp_sim_stop(fixture.sim);
    } else {
        troupe_pool_join(fixture.pool);
    }
    end.sum = sum_up();
    troupe_pool_report(fixture.pool, &end.report);
    if (fixture.sim != NULL) {
        trp_sim_destroy(fixture.sim);
    } else {
        troupe_pool_destroy(fixture.pool);
    }
    check(&end);
    return end;
}

struct fixture_end fixture_stop(void)
{
    troupe_pool_stop(fixture.pool);
    return fixture_finish();
}

/* --- what tests do --- */

struct troupe_port *fixture_port(void)
{
    struct troupe_port *port = NULL;
    TROUPE_ASSERT(troupe_port_open(fixture.pool, &port) == TROUPE_OK);
    return port;
}

void fixture_count_letter(void *arg, const struct troupe_msg *msg, enum troupe_drop_reason reason)
{
    (void)arg;
    (void)msg;
    __atomic_add_fetch(&fixture.letters[reason], 1, __ATOMIC_SEQ_CST);
}

uint32_t fixture_letters(void)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < TROUPE_DROP_REASONS; i++) {
        sum += __atomic_load_n(&fixture.letters[i], __ATOMIC_SEQ_CST);
    }
    return sum;
}

enum troupe_status fixture_go(struct troupe_ctx *ctx, void *state, const void *arg)
{
    (void)state;
    (void)arg;
    return troupe_send_copy(ctx, troupe_self(ctx), MSG_GO, NULL, 0);
}

enum troupe_verdict fixture_ignore(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)ctx;
    (void)state;
    (void)msg;
    return TROUPE_CONTINUE;
}
