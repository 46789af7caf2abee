/*
 * Parking and waking with the pool's own functions, under all interleavings: nobody sleeps while
 * there is work, and a park is rung for at most once.
 *
 * The driver is a bell that stays rung until the sleeper has heard it, which is what driver.h asks
 * for. A wake that is lost leaves the sleeper waiting when all others have ended, and that is what
 * the stepper reports.
 */

#include "pool/worker.h"
#include "tests/step/stepper.h"

#include <string.h>
#include <troupe/assert.h>

#define SLEEPER   0u
#define PARKS_MAX 32u

static struct troupe_pool pool;
static struct trp_worker workers[3]; /* the sleeper and two that send to it */
static struct troupe_msg messages[3];
static uint32_t bell;             /* 1 = rung, not heard yet */
static uint32_t park;             /* number of the sleeper's newest announcement; by the sleeper */
static uint32_t rings[PARKS_MAX]; /* by announcement; see ring */
static uint32_t taken;            /* messages; by the sleeper */
static uint32_t wanted;           /* messages; constant */

/*
 * Without a caller to count for, nothing stops between the compare-and-swap that claims the ring
 * and this; and `park` does not change while the park word says PARKED.
 */
static void ring(void *target_state, void *caller_state)
{
    (void)target_state;
    if (caller_state == NULL) {
        rings[park]++;
        STEP_CHECK(rings[park] == 1);
    }
    trp_fas_u32(&bell, 1); /* partner: sleep_until_rung */
}

static bool is_set(const void *word)
{
    return trp_load_relaxed_u32(word) != 0;
}

static void sleep_until_rung(void)
{
    step_wait(&bell, is_set);
    trp_fas_u32(&bell, 0);
}

static const struct troupe_driver driver = {.name = "bell", .wake = ring};

static void reset(void)
{
    memset(&pool, 0, sizeof(pool));
    memset(workers, 0, sizeof(workers));
    memset(messages, 0, sizeof(messages));
    memset(rings, 0, sizeof(rings));
    pool.worker_count = 1;
    pool.workers = workers;
    for (uint32_t i = 0; i < 3; i++) {
        static uint64_t events[3][2];
        workers[i].recorder.words = events[i]; /* a ring of one */
        workers[i].pool = &pool;
        workers[i].index = i;
        workers[i].driver = &driver;
        workers[i].driver_state = &workers[i];
        trp_heap_init(&workers[i].heap, TRP_SLAB_CHUNK_BYTES);
        trp_wheel_init(&workers[i].wheel, 0);
    }
    bell = 0;
    park = 0;
    taken = 0;
}

static void want_one(void)
{
    reset();
    wanted = 1;
}

static void want_two(void)
{
    reset();
    wanted = 2;
}

static void want_stop(void)
{
    reset();
    wanted = UINT32_MAX;
}

/* --- the sleeper --- */

static void take(void)
{
    for (struct troupe_msg *msg = trp_inbox_take(&workers[SLEEPER].inbox); msg != NULL;
         msg = msg->next) {
        taken++;
    }
}

static void park_once(void)
{
    uint64_t deadline_ns;
    park++;
    STEP_CHECK(park < PARKS_MAX);
    if (trp_worker_announce_park(&workers[SLEEPER], &deadline_ns)) {
        STEP_CHECK(deadline_ns == UINT64_MAX);
        sleep_until_rung();
        trp_worker_unpark(&workers[SLEEPER]);
    }
}

static void work_and_sleep(void)
{
    for (;;) {
        take();
        if (taken >= wanted) {
            return;
        }
        park_once();
    }
}

/* As trp_worker_main: what is still in the inbox at the stop is the shutdown's business. */
static void sleep_until_stopped(void)
{
    while (trp_load_acquire_u32(&pool.is_stopping) == 0) {
        take();
        park_once();
    }
}

/* --- those who wake --- */

static void push(struct trp_worker *caller)
{
    struct troupe_msg *msg = &messages[step_thread()];
    STEP_CHECK(trp_inbox_push(&workers[SLEEPER].inbox, msg, msg));
    trp_worker_wake(&workers[SLEEPER], caller);
}

static void push_from_outside(void)
{
    push(NULL);
}

static void push_from_worker(void)
{
    push(&workers[step_thread()]);
}

static void stop(void)
{
    troupe_pool_stop(&pool);
}

/* --- the end --- */

static void all_was_seen(void)
{
    STEP_CHECK(taken == wanted);
    STEP_CHECK(workers[SLEEPER].park_word == TRP_RUNNING);
}

static void nobody_sleeps(void)
{
    STEP_CHECK(workers[SLEEPER].park_word == TRP_RUNNING);
}

int main(int argc, char **argv)
{
    static const struct step_case cases[] = {
        {.name = "one_outside",
         .thread_count = 2,
         .threads = {work_and_sleep, push_from_outside},
         .setup = want_one,
         .check = all_was_seen},
        {.name = "one_worker",
         .thread_count = 2,
         .threads = {work_and_sleep, push_from_worker},
         .setup = want_one,
         .check = all_was_seen},
        {.name = "two_outside",
         .thread_count = 3,
         .threads = {work_and_sleep, push_from_outside, push_from_outside},
         .setup = want_two,
         .check = all_was_seen},
        {.name = "worker_and_outside",
         .thread_count = 3,
         .threads = {work_and_sleep, push_from_worker, push_from_outside},
         .setup = want_two,
         .check = all_was_seen},
        {.name = "stop",
         .thread_count = 2,
         .threads = {sleep_until_stopped, stop},
         .setup = want_stop,
         .check = nobody_sleeps},
        {.name = "stop_and_push",
         .thread_count = 3,
         .threads = {sleep_until_stopped, stop, push_from_outside},
         .setup = want_stop,
         .check = nobody_sleeps},
    };
    return step_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
