/*
 * Histograms, statistics per actor type, over-budget handlers and the top actors. Most tests play
 * the workers' part themselves, on a pool that is never started, so that every moment can be
 * chosen.
 */

#include "tests/cmocka.h"

#include "pool/futex.h"
#include "pool/observe.h"
#include "pool/random.h"
#include "pool_fixture.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <troupe/assert.h>
#include <troupe/observe.h>

#define FOREVER_NS 20000000000ull

/* --- histograms --- */

static void buckets_meet_without_gaps(void **state)
{
    (void)state;
    assert_int_equal(trp_histogram_bucket(0), 0);
    for (uint32_t i = 0; i + 1 < TRP_HISTOGRAM_BUCKETS; i++) {
        uint64_t upper = trp_histogram_upper(i);
        assert_int_equal(trp_histogram_bucket(upper), i);
        assert_int_equal(trp_histogram_bucket(upper + 1), i + 1);
    }
    assert_true(trp_histogram_upper(TRP_HISTOGRAM_BUCKETS - 1) == UINT64_MAX);
    assert_int_equal(trp_histogram_bucket(UINT64_MAX), TRP_HISTOGRAM_BUCKETS - 1);
}

static int compare(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

static void percentiles_are_a_quarter_too_high_at_most(void **state)
{
    (void)state;
    enum { COUNT = 20000 };
    static uint64_t values[COUNT];
    static const uint32_t asked[] = {1, 5000, 9000, 9900, 9990, 10000};
    struct trp_histogram histogram = {0};
    struct trp_random random = {.state = 7};
    for (uint32_t i = 0; i < COUNT; i++) {
        values[i] = trp_random_next(&random) >> (24 + trp_random_next(&random) % 40);
        trp_histogram_add(&histogram, values[i]);
    }
    qsort(values, COUNT, sizeof(values[0]), compare);
    for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
        uint64_t exact = values[(asked[i] * (uint64_t)COUNT + 9999) / 10000 - 1];
        uint64_t given = trp_histogram_percentile(&histogram, asked[i]);
        assert_true(given >= exact);
        assert_true(given <= exact + exact / 4 + 64);
    }
    assert_int_equal(trp_histogram_total(&histogram), COUNT);
    assert_true(histogram.max_ns == values[COUNT - 1]);
    assert_true(trp_histogram_percentile(&histogram, 10000) == values[COUNT - 1]);
}

static void empty_and_single_histograms_have_percentiles(void **state)
{
    (void)state;
    struct trp_histogram histogram = {0};
    assert_int_equal(trp_histogram_percentile(&histogram, 9900), 0);
    trp_histogram_add(&histogram, 1000);
    assert_int_equal(trp_histogram_percentile(&histogram, 1), 1000); /* not above the maximum */
    assert_int_equal(trp_histogram_percentile(&histogram, 10000), 1000);
    struct trp_histogram sum = {0};
    trp_histogram_merge(&sum, &histogram);
    trp_histogram_merge(&sum, &histogram);
    assert_int_equal(trp_histogram_total(&sum), 2);
    assert_int_equal(sum.sum_ns, 2000);
    assert_int_equal(sum.max_ns, 1000);
}

/* --- a pool whose workers the test plays --- */

static const struct troupe_actor_type red = {.name = "red", .receive_cb = fixture_ignore};
static const struct troupe_actor_type blue = {.name = "blue", .receive_cb = fixture_ignore};

static struct trp_cell *
add_actor(struct troupe_pool *pool, uint32_t worker, const struct troupe_actor_type *type)
{
    struct trp_cell *cell = trp_cells_take(&pool->workers[worker].cells, type);
    assert_non_null(cell);
    trp_cell_set_status(cell, TRP_CELL_ALIVE);
    return cell;
}

/* --- types --- */

static const struct troupe_type_stats *
find(const struct troupe_type_stats *stats, uint32_t count, const char *name)
{
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(stats[i].name, name) == 0) {
            return &stats[i];
        }
    }
    fail_msg("no type %s", name);
    return NULL;
}

static void types_are_summed_over_the_workers(void **state)
{
    (void)state;
    struct troupe_pool *pool = fixture_create_parking(2);
    struct trp_worker *workers = pool->workers;
    struct trp_cell *red0 = add_actor(pool, 0, &red);
    struct trp_cell *red1 = add_actor(pool, 1, &red);
    struct trp_cell *blue1 = add_actor(pool, 1, &blue);
    for (uint32_t i = 0; i < 99; i++) {
        trp_observe_handled(&workers[0], red0, 1, 1000, 128);
        trp_observe_waited(&workers[0], red0, 5000);
    }
    trp_observe_handled(&workers[1], red1, 1, 300000, 1);
    trp_observe_handled(&workers[1], blue1, 1, 100, 64);
    struct troupe_type_stats stats[8];
    uint32_t count;
    troupe_pool_type_stats(pool, stats, 8, &count);
    assert_int_equal(count, 2);
    const struct troupe_type_stats *of_red = find(stats, count, "red");
    assert_int_equal(of_red->messages, 99 * 128 + 1);
    assert_int_equal(of_red->overruns, 1);
    assert_int_equal(of_red->busy_ns, 99 * 128 * 1000 + 300000);
    assert_int_equal(of_red->handled.samples, 100);
    assert_in_range(of_red->handled.p50_ns, 1000, 1250);
    assert_in_range(of_red->handled.p99_ns, 1000, 1250);
    assert_int_equal(of_red->handled.p999_ns, 300000);
    assert_int_equal(of_red->handled.max_ns, 300000);
    assert_int_equal(of_red->handled.mean_ns, (99 * 1000 + 300000) / 100);
    assert_int_equal(of_red->waited.samples, 99);
    assert_in_range(of_red->waited.p90_ns, 5000, 6250);
    assert_int_equal(find(stats, count, "blue")->messages, 64);
    assert_int_equal(find(stats, count, "blue")->waited.samples, 0);
    assert_int_equal(red0->extra.busy_ns, 99 * 128 * 1000);
    /* less room than types */
    troupe_pool_type_stats(pool, stats, 1, &count);
    assert_int_equal(count, 2);
    troupe_pool_type_stats(pool, NULL, 0, &count);
    assert_int_equal(count, 2);
    troupe_pool_destroy(pool);
}

static void types_beyond_the_table_share_an_entry(void **state)
{
    (void)state;
    enum { TYPES = 300 };
    static struct troupe_actor_type types[TYPES];
    static char names[TYPES][16];
    static struct troupe_type_stats stats[TYPES];
    struct troupe_pool *pool = fixture_create_parking(2);
    for (uint32_t i = 0; i < TYPES; i++) {
        snprintf(names[i], sizeof(names[i]), "type%u", i);
        types[i] = (struct troupe_actor_type){.name = names[i], .receive_cb = fixture_ignore};
        trp_observe_handled(&pool->workers[1], add_actor(pool, 1, &types[i]), 1, 100, 2);
        trp_observe_handled(&pool->workers[1], add_actor(pool, 1, &types[i]), 1, 100, 2);
    }
    uint32_t count;
    troupe_pool_type_stats(pool, stats, TYPES, &count);
    assert_int_equal(count, TROUPE_OBSERVED_TYPES + 1);
    uint64_t messages = 0;
    for (uint32_t i = 0; i < count; i++) {
        messages += stats[i].messages;
    }
    assert_int_equal(messages, 4 * TYPES);
    assert_int_equal(find(stats, count, "(other)")->messages, 4 * (TYPES - TROUPE_OBSERVED_TYPES));
    assert_int_equal(find(stats, count, "type17")->handled.samples, 2);
    troupe_pool_destroy(pool);
}

/* --- over-budget handlers --- */

static void the_newest_overruns_are_kept(void **state)
{
    (void)state;
    struct troupe_pool *pool = fixture_create_parking(2);
    struct trp_cell *cells[] = {add_actor(pool, 0, &red), add_actor(pool, 1, &blue)};
    struct troupe_overrun overruns[2 * TROUPE_OVERRUNS_KEPT + 1];
    uint32_t count;
    trp_observe_handled(&pool->workers[0], cells[0], 1, TRP_TURN_NS, 1); /* just within */
    troupe_pool_overruns(pool, overruns, 8, &count);
    assert_int_equal(count, 0);
    for (uint32_t i = 1; i <= 100; i++) { /* in turn on both workers */
        struct trp_worker *worker = &pool->workers[i % 2];
        worker->now_ns = i * 1000;
        trp_observe_handled(worker, cells[i % 2], (uint16_t)i, TRP_TURN_NS + i * 1000, 1);
    }
    troupe_pool_overruns(pool, overruns, sizeof(overruns) / sizeof(overruns[0]), &count);
    assert_int_equal(count, 2 * TROUPE_OVERRUNS_KEPT);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t expected = 100 - i;
        assert_int_equal(overruns[i].at_ns, expected * 1000);
        assert_int_equal(overruns[i].took_ns, TRP_TURN_NS + expected * 1000);
        assert_int_equal(overruns[i].msg_type, expected);
        assert_int_equal(overruns[i].actor, trp_cell_ref(cells[expected % 2]));
        assert_string_equal(overruns[i].type_name, expected % 2 == 0 ? "red" : "blue");
    }
    troupe_pool_overruns(pool, overruns, 5, &count);
    assert_int_equal(count, 5);
    assert_int_equal(overruns[4].msg_type, 96);
    troupe_pool_overruns(pool, overruns, 0, &count);
    assert_int_equal(count, 0);
    /* the flight recorder has them too */
    struct trp_recorded event;
    uint64_t first;
    uint64_t end;
    trp_recorder_range(&pool->workers[0].recorder, &first, &end);
    assert_true(trp_recorder_get(&pool->workers[0].recorder, end - 1, &event));
    assert_int_equal(event.kind, TRP_EVENT_OVERRUN);
    assert_int_equal(event.type, 100);
    assert_in_range(trp_event_unfold(event.count), 297, 300);
    troupe_pool_destroy(pool);
}

/* --- the top actors --- */

struct asker {
    struct troupe_pool *pool;
    enum troupe_top_by by;
    uint32_t cap;
    uint64_t timeout_ns;
    enum troupe_status status;
    uint32_t count;
    struct troupe_top_entry entries[TROUPE_TOP_MAX];
    uint32_t is_back;
    pthread_t thread;
};

static void *ask(void *arg)
{
    struct asker *asker = arg;
    asker->status = troupe_pool_top(asker->pool, asker->by, asker->entries, asker->cap,
                                    &asker->count, asker->timeout_ns);
    trp_store_release_u32(&asker->is_back, 1); /* pairs with is_back */
    return NULL;
}

static bool is_back(const struct asker *asker)
{
    return trp_load_acquire_u32(&asker->is_back) != 0; /* pairs with ask */
}

static void start_asking(struct asker *asker)
{
    asker->is_back = 0;
    assert_int_equal(pthread_create(&asker->thread, NULL, ask, asker), 0);
}

static bool is_asked(struct troupe_pool *pool, uint32_t worker)
{
    return trp_load_relaxed_ptr(&pool->workers[worker].request) != NULL;
}

static void wait_for_question(struct troupe_pool *pool, uint32_t worker)
{
    while (!is_asked(pool, worker)) {
        sched_yield();
    }
}

/* Asks and plays all workers until the answer is there. */
static void ask_and_serve(struct asker *asker)
{
    start_asking(asker);
    while (!is_back(asker)) {
        for (uint32_t i = 0; i < asker->pool->worker_count; i++) {
            (void)trp_observe_serve(&asker->pool->workers[i]);
        }
        sched_yield();
    }
    pthread_join(asker->thread, NULL);
}

/* Messages into an actor's data lane. */
static void fill(struct troupe_pool *pool, struct trp_cell *cell, uint32_t messages, uint32_t size)
{
    struct trp_worker *worker = &pool->workers[troupe_ref_worker(trp_cell_ref(cell))];
    trp_heap_current = &worker->heap;
    for (uint32_t i = 0; i < messages; i++) {
        struct troupe_msg *msg = trp_msg_alloc(&worker->heap, 1, size, false);
        assert_non_null(msg);
        msg->to = trp_cell_ref(cell);
        msg->flags = TROUPE_LANE_DATA;
        trp_cell_enqueue(worker, cell, msg);
    }
    trp_heap_current = NULL;
}

static void the_top_is_chosen_by_what_was_asked(void **state)
{
    (void)state;
    struct troupe_pool *pool = fixture_create_parking(2);
    struct trp_cell *deep = add_actor(pool, 0, &red);
    struct trp_cell *heavy = add_actor(pool, 1, &blue);
    struct trp_cell *busy = add_actor(pool, 0, &blue);
    struct trp_cell *dying = add_actor(pool, 1, &red);
    struct trp_cell *waiting = add_actor(pool, 1, &red);
    trp_cell_set_status(dying, TRP_CELL_ZOMBIE);
    trp_cell_set_status(waiting, TRP_CELL_SUSPENDED); /* for its restart */
    fill(pool, deep, 10, 16);
    fill(pool, heavy, 3, 1000);
    fill(pool, waiting, 1, 16);
    trp_observe_handled(&pool->workers[0], busy, 1, 50000, 100);
    heavy->processed = 12;
    trp_record(&pool->workers[1].recorder, TRP_EVENT_TURN, trp_cell_ref(heavy), 1, 1);
    struct asker asker = {.pool = pool, .by = TROUPE_TOP_DEPTH, .cap = 3, .timeout_ns = FOREVER_NS};
    ask_and_serve(&asker);
    assert_int_equal(asker.status, TROUPE_OK);
    assert_int_equal(asker.count, 3);
    assert_int_equal(asker.entries[0].actor, trp_cell_ref(deep));
    assert_int_equal(asker.entries[0].depth, 10);
    assert_true(asker.entries[0].depth_max >= 10);
    assert_string_equal(asker.entries[0].type_name, "red");
    assert_true(asker.entries[0].since_turn_ns == UINT64_MAX);
    assert_int_equal(asker.entries[1].actor, trp_cell_ref(heavy));
    assert_true(asker.entries[1].since_turn_ns < UINT64_MAX);
    assert_int_equal(asker.entries[1].processed, 12);
    assert_int_equal(asker.entries[2].actor, trp_cell_ref(waiting));
    asker.by = TROUPE_TOP_BYTES;
    asker.cap = TROUPE_TOP_MAX;
    ask_and_serve(&asker);
    assert_int_equal(asker.count, 4); /* without the zombie */
    assert_int_equal(asker.entries[0].actor, trp_cell_ref(heavy));
    assert_true(asker.entries[0].bytes >= 3000);
    asker.by = TROUPE_TOP_BUSY;
    asker.cap = 1;
    ask_and_serve(&asker);
    assert_int_equal(asker.count, 1);
    assert_int_equal(asker.entries[0].actor, trp_cell_ref(busy));
    assert_int_equal(asker.entries[0].busy_ns, 5000000);
    troupe_pool_destroy(pool);
}

static void the_highest_of_many_are_kept(void **state)
{
    (void)state;
    enum { ACTORS = 10000 }; /* more than one step */
    struct troupe_pool *pool = fixture_create_parking(1);
    for (uint32_t i = 0; i < ACTORS; i++) {
        struct trp_cell *cell = add_actor(pool, 0, &red);
        /* a permutation: 7919 is prime to the count */
        cell->extra.busy_ns = (uint64_t)i * 7919 % ACTORS;
    }
    struct asker asker = {
        .pool = pool, .by = TROUPE_TOP_BUSY, .cap = TROUPE_TOP_MAX, .timeout_ns = FOREVER_NS};
    start_asking(&asker);
    wait_for_question(pool, 0);
    uint32_t steps = 1;
    while (trp_observe_serve(&pool->workers[0])) {
        steps++;
    }
    pthread_join(asker.thread, NULL);
    assert_int_equal(steps, 3);
    assert_int_equal(asker.status, TROUPE_OK);
    assert_int_equal(asker.count, TROUPE_TOP_MAX);
    for (uint32_t i = 0; i < asker.count; i++) {
        assert_int_equal(asker.entries[i].busy_ns, ACTORS - 1 - i);
    }
    assert_false(is_asked(pool, 0));
    troupe_pool_destroy(pool);
}

static void a_worker_that_does_not_answer_is_left_out(void **state)
{
    (void)state;
    struct troupe_pool *pool = fixture_create_parking(2);
    fill(pool, add_actor(pool, 0, &red), 2, 16);
    fill(pool, add_actor(pool, 1, &blue), 3, 16);
    struct asker asker = {.pool = pool, .by = TROUPE_TOP_DEPTH, .cap = 8, .timeout_ns = 30000000};
    start_asking(&asker);
    while (!is_back(&asker)) { /* worker 1 is stuck */
        (void)trp_observe_serve(&pool->workers[0]);
        sched_yield();
    }
    pthread_join(asker.thread, NULL);
    assert_int_equal(asker.status, TROUPE_EEXPIRED);
    assert_int_equal(asker.count, 1);
    assert_string_equal(asker.entries[0].type_name, "red");
    /* it comes too late and finds nothing to do */
    assert_true(is_asked(pool, 1));
    assert_false(trp_observe_serve(&pool->workers[1]));
    assert_false(is_asked(pool, 1));
    asker.timeout_ns = FOREVER_NS;
    ask_and_serve(&asker);
    assert_int_equal(asker.status, TROUPE_OK);
    assert_int_equal(asker.count, 2);
    assert_string_equal(asker.entries[0].type_name, "blue");
    troupe_pool_destroy(pool);
}

static void a_question_given_up_halfway_starts_anew(void **state)
{
    (void)state;
    struct troupe_pool *pool = fixture_create_parking(1);
    struct trp_worker *worker = &pool->workers[0];
    for (uint32_t i = 0; i < 9000; i++) {
        struct trp_cell *cell = add_actor(pool, 0, &red);
        cell->extra.busy_ns = i + 1;
    }
    for (uint32_t round = 0; round < 2; round++) {
        struct asker asker = {
            .pool = pool, .by = TROUPE_TOP_DEPTH, .cap = 5, .timeout_ns = 30000000};
        start_asking(&asker);
        wait_for_question(pool, 0);
        assert_true(trp_observe_serve(worker)); /* the first of three steps */
        pthread_join(asker.thread, NULL);
        assert_int_equal(asker.status, TROUPE_EEXPIRED);
        assert_int_equal(asker.count, 0);
        if (round == 1) {
            assert_false(trp_observe_serve(worker)); /* this time it notices in between */
            assert_false(is_asked(pool, 0));
        }
        asker.by = TROUPE_TOP_BUSY;
        asker.timeout_ns = FOREVER_NS;
        ask_and_serve(&asker);
        assert_int_equal(asker.status, TROUPE_OK);
        assert_int_equal(asker.count, 5);
        assert_int_equal(asker.entries[0].busy_ns, 9000);
        assert_int_equal(asker.entries[4].busy_ns, 8996);
    }
    troupe_pool_destroy(pool);
}

static struct {
    struct troupe_pool *pool;
    uint32_t is_over;
} server;

/* A worker that does nothing but answer. */
static void *serve(void *arg)
{
    (void)arg;
    while (trp_load_acquire_u32(&server.is_over) == 0) { /* pairs with the test */
        if (is_asked(server.pool, 0)) {
            (void)trp_observe_serve(&server.pool->workers[0]);
        }
    }
    return NULL;
}

/* The next question may come while the worker still puts the last one away. */
static void no_question_is_lost_behind_another(void **state)
{
    (void)state;
    struct troupe_top_entry entries[2];
    uint32_t count;
    pthread_t thread;
    server.is_over = 0;
    server.pool = fixture_create_parking(1);
    (void)add_actor(server.pool, 0, &red);
    assert_int_equal(pthread_create(&thread, NULL, serve, NULL), 0);
    enum troupe_status status = TROUPE_OK;
    for (uint32_t i = 0; i < 20000 && status == TROUPE_OK; i++) {
        (void)!troupe_pool_top(server.pool, TROUPE_TOP_DEPTH, entries, 2, &count, i % 7 * 100);
        status = troupe_pool_top(server.pool, TROUPE_TOP_BYTES, entries, 2, &count, FOREVER_NS);
    }
    trp_store_release_u32(&server.is_over, 1); /* pairs with serve */
    pthread_join(thread, NULL);
    assert_int_equal(status, TROUPE_OK);
    assert_int_equal(count, 1);
    troupe_pool_destroy(server.pool);
}

static void questions_out_of_place_are_refused(void **state)
{
    (void)state;
    struct troupe_pool *pool = fixture_create_parking(1);
    struct troupe_top_entry entries[TROUPE_TOP_MAX];
    uint32_t count = 77;
    assert_int_equal(troupe_pool_top(pool, TROUPE_TOP_DEPTH, entries, 0, &count, 0), TROUPE_EINVAL);
    assert_int_equal(
        troupe_pool_top(pool, TROUPE_TOP_DEPTH, entries, TROUPE_TOP_MAX + 1, &count, 0),
        TROUPE_EINVAL);
    trp_heap_current = &pool->workers[0].heap; /* as on a worker's thread */
    assert_int_equal(troupe_pool_top(pool, TROUPE_TOP_DEPTH, entries, 1, &count, 0), TROUPE_EINVAL);
    trp_heap_current = NULL;
    struct asker asker = {.pool = pool, .by = TROUPE_TOP_DEPTH, .cap = 1, .timeout_ns = FOREVER_NS};
    start_asking(&asker);
    wait_for_question(pool, 0);
    assert_int_equal(troupe_pool_top(pool, TROUPE_TOP_DEPTH, entries, 1, &count, 0), TROUPE_EBUSY);
    while (trp_observe_serve(&pool->workers[0])) {
    }
    pthread_join(asker.thread, NULL);
    assert_int_equal(asker.status, TROUPE_OK);
    assert_int_equal(count, 77); /* untouched by what was refused */
    assert_int_equal(troupe_pool_top(pool, TROUPE_TOP_DEPTH, entries, 1, &count, 0),
                     TROUPE_EEXPIRED); /* nobody serves */
    assert_int_equal(count, 0);
    troupe_pool_stop(pool);
    assert_int_equal(troupe_pool_top(pool, TROUPE_TOP_DEPTH, entries, 1, &count, 0),
                     TROUPE_ECLOSED);
    troupe_pool_destroy(pool);
}

/* --- a pool that runs --- */

enum { MSG_HOLD = 1, MSG_ASK_INSIDE, MSG_COUNT };

static enum troupe_status asked_inside; /* what a handler was told that asked */

static enum troupe_verdict hold(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)state;
    (void)ctx;
    if (msg->type == MSG_ASK_INSIDE) {
        struct troupe_top_entry entry;
        uint32_t count;
        asked_inside =
            troupe_pool_top(fixture.pool, TROUPE_TOP_DEPTH, &entry, 1, &count, FOREVER_NS);
    }
    if (msg->type != MSG_COUNT) {
        sem_post(&fixture.entered);
        sem_wait(&fixture.leave);
    }
    return TROUPE_CONTINUE;
}

static const struct troupe_actor_type holder = {.name = "holder", .receive_cb = hold};

static void tell(struct troupe_port *port, troupe_ref to, uint16_t type)
{
    struct troupe_msg *msg = troupe_port_msg_new(port, type, 0);
    assert_non_null(msg);
    enum troupe_status status;
    while ((status = troupe_port_send(port, to, &msg)) == TROUPE_EBUSY) {
        sched_yield(); /* more than a window of messages: its worker has to deal first */
    }
    assert_int_equal(status, TROUPE_OK);
}

static void parked_workers_answer_and_stuck_ones_expire(void **state)
{
    (void)state;
    struct troupe_pool *pool = fixture_create_parking(2);
    troupe_ref refs[] = {fixture_add(0, &holder, NULL), fixture_add(1, &holder, NULL)};
    fixture_start();
    struct troupe_port *port = fixture_port();
    struct troupe_top_entry entries[4];
    uint32_t count;
    for (uint32_t i = 0; i < 20; i++) { /* whether parked yet or not */
        assert_int_equal(troupe_pool_top(pool, TROUPE_TOP_DEPTH, entries, 4, &count, FOREVER_NS),
                         TROUPE_OK);
        assert_int_equal(count, 2);
    }
    for (uint32_t i = 0; i < 300; i++) { /* impatient askers do no harm */
        enum troupe_status status =
            troupe_pool_top(pool, TROUPE_TOP_DEPTH, entries, 4, &count, i * 200);
        assert_true(status == TROUPE_OK || status == TROUPE_EEXPIRED);
        assert_true(count <= 2);
    }
    tell(port, refs[0], MSG_HOLD);
    sem_wait(&fixture.entered);
    assert_int_equal(troupe_pool_top(pool, TROUPE_TOP_DEPTH, entries, 4, &count, 30000000),
                     TROUPE_EEXPIRED);
    assert_int_equal(count, 1);
    assert_int_equal(entries[0].actor, refs[1]);
    sem_post(&fixture.leave);
    assert_int_equal(troupe_pool_top(pool, TROUPE_TOP_DEPTH, entries, 4, &count, FOREVER_NS),
                     TROUPE_OK);
    assert_int_equal(count, 2);
    /* a handler must not ask */
    tell(port, refs[1], MSG_ASK_INSIDE);
    sem_wait(&fixture.entered);
    sem_post(&fixture.leave);
    assert_int_equal(asked_inside, TROUPE_EINVAL);
    troupe_port_close(port);
    fixture_stop();
}

static void working_actors_leave_samples(void **state)
{
    (void)state;
    enum { MESSAGES = 5000 };
    struct troupe_pool *pool = fixture_create_parking(1);
    troupe_ref ref = fixture_add(0, &holder, NULL);
    fixture_start();
    struct troupe_port *port = fixture_port();
    sem_post(&fixture.leave);
    for (uint32_t i = 0; i < MESSAGES; i++) {
        tell(port, ref, MSG_COUNT);
    }
    tell(port, ref, MSG_HOLD);
    sem_wait(&fixture.entered);
    struct troupe_type_stats stats[4];
    struct troupe_top_entry entry;
    uint32_t count;
    troupe_pool_type_stats(pool, stats, 4, &count);
    assert_int_equal(count, 1);
    assert_string_equal(stats[0].name, "holder");
    assert_true(stats[0].handled.samples >= 1);
    assert_true(stats[0].messages >= 1);
    assert_int_equal(troupe_pool_top(pool, TROUPE_TOP_BUSY, &entry, 1, &count, FOREVER_NS),
                     TROUPE_OK);
    assert_int_equal(count, 1);
    assert_int_equal(entry.actor, ref);
    assert_int_equal(entry.processed, MESSAGES + 1);
    assert_true(entry.busy_ns > 0);
    assert_true(entry.since_turn_ns < UINT64_MAX);
    troupe_port_close(port);
    fixture_stop();
}

/* --- looking on while everything moves --- */

struct rusher {
    troupe_ref other;
    uint32_t sent;
};

#define RUSH_PART 500u /* turns of rushers from one look to the next */

static uint64_t rushed; /* atomic, by both workers */

static enum troupe_verdict die(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)ctx;
    (void)state;
    (void)msg;
    return TROUPE_STOP;
}

static const struct troupe_actor_type fly = {.name = "fly", .receive_cb = die};

/* Sends to the other worker and lets short lives begin and end. */
static enum troupe_verdict rush(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct rusher *rusher = state;
    troupe_ref ref;
    (void)msg;
    TROUPE_ASSERT(troupe_spawn(ctx, &ref, &fly, NULL) == TROUPE_OK);
    TROUPE_ASSERT(troupe_send_copy(ctx, ref, MSG_COUNT, NULL, 0) == TROUPE_OK);
    troupe_record(ctx, 1, rusher->sent++);
    if (trp_faa_u64(&rushed, 1) % RUSH_PART == RUSH_PART - 1) {
        sem_post(&fixture.entered);
    }
    enum troupe_status status = troupe_send_copy(ctx, rusher->other, MSG_COUNT, NULL, 0);
    TROUPE_ASSERT(status == TROUPE_OK || status == TROUPE_ECLOSED);
    return TROUPE_CONTINUE;
}

static enum troupe_status init_rusher(struct troupe_ctx *ctx, void *state, const void *arg)
{
    ((struct rusher *)state)->other = *(const troupe_ref *)arg;
    return troupe_send_copy(ctx, troupe_self(ctx), MSG_COUNT, NULL, 0);
}

static const struct troupe_actor_type rusher_type = {.name = "rusher",
                                                     .state_size = sizeof(struct rusher),
                                                     .init_cb = init_rusher,
                                                     .receive_cb = rush};

static void all_can_be_looked_at_while_it_moves(void **state)
{
    (void)state;
    struct troupe_pool *pool = fixture_create_parking(2);
    static troupe_ref refs[2];
    for (uint32_t i = 0; i < 2; i++) {
        refs[i] = fixture_add(i, &rusher_type, &refs[1 - i]);
    }
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    assert_true(nowhere >= 0);
    fixture_start();
    for (uint32_t i = 0; i < 20; i++) {
        struct troupe_type_stats stats[4];
        struct troupe_overrun overruns[4];
        struct troupe_top_entry entries[8];
        uint32_t count;
        troupe_recorder_dump(pool, nowhere);
        troupe_pool_type_stats(pool, stats, 4, &count);
        assert_true(count <= 2);
        troupe_pool_overruns(pool, overruns, 4, &count);
        assert_int_equal(troupe_pool_top(pool, TROUPE_TOP_DEPTH, entries, 8, &count, FOREVER_NS),
                         TROUPE_OK);
        assert_true(count >= 2);
        sem_wait(&fixture.entered);
    }
    fixture_stop();
    close(nowhere);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buckets_meet_without_gaps),
        cmocka_unit_test(percentiles_are_a_quarter_too_high_at_most),
        cmocka_unit_test(empty_and_single_histograms_have_percentiles),
        cmocka_unit_test(types_are_summed_over_the_workers),
        cmocka_unit_test(types_beyond_the_table_share_an_entry),
        cmocka_unit_test(the_newest_overruns_are_kept),
        cmocka_unit_test(the_top_is_chosen_by_what_was_asked),
        cmocka_unit_test(the_highest_of_many_are_kept),
        cmocka_unit_test(a_worker_that_does_not_answer_is_left_out),
        cmocka_unit_test(a_question_given_up_halfway_starts_anew),
        cmocka_unit_test(no_question_is_lost_behind_another),
        cmocka_unit_test(questions_out_of_place_are_refused),
        cmocka_unit_test(parked_workers_answer_and_stuck_ones_expire),
        cmocka_unit_test(working_actors_leave_samples),
        cmocka_unit_test(all_can_be_looked_at_while_it_moves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
