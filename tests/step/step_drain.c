/*
 * How a draining pool finds out that it is quiet, with the pool's own turn, parking, ports and
 * look, under all interleavings (some cases: bounded preemptions): it never calls itself quiet while a message is under way, and it
 * always finds the quiet (a drain that sleeps for ever leaves all threads waiting, which the
 * stepper reports).
 *
 * Two workers hand a token back and forth; each message is an embedded node for an actor that does
 * not exist, so that dealing it out drops it silently and stats.remote_in says that it was there.
 *
 * In one case an actor of worker 1 waits for its restart with a message in its lane: a stranger
 * plays the timer that ends the waiting.
 */

#include "pool/worker.h"
#include "tests/step/stepper.h"

#include <stddef.h>
#include <string.h>

#define WORKERS 3u
#define ROUNDS  64u /* of one worker; more means that it spins */

static struct troupe_pool pool;
static struct trp_worker workers[WORKERS];
static uint32_t bells[WORKERS];
static struct troupe_msg token;
static struct troupe_msg foreign;
static struct troupe_port *port; /* made once, so that it stays at its address */
static uint32_t sent;            /* by the port's thread: accepted messages */
static uint32_t hops;            /* the token makes; constant */
static uint32_t expected;        /* foreign messages at most; constant */
static struct trp_cell waiting;  /* the only one of worker 1, when it has any */
static struct troupe_msg mail;   /* in its lane */
static uint32_t is_time;         /* to restart it */

static void ring(void *target_state, void *caller_state)
{
    uint32_t *bell = target_state;
    (void)caller_state;
    trp_fas_u32(bell, 1); /* partner: sleep_until_rung */
}

static bool is_set(const void *word)
{
    return trp_load_relaxed_u32(word) != 0;
}

static uint64_t no_time(void *state)
{
    (void)state;
    return 1;
}

static void nothing(void *state)
{
    (void)state;
}

static const struct troupe_driver driver = {
    .name = "bell", .now = no_time, .poll = nothing, .flush = nothing, .wake = ring};

static void reset(void)
{
    memset(&pool, 0, sizeof(pool));
    if (port == NULL && troupe_port_open(&pool, &port) != TROUPE_OK) {
        STEP_CHECK(!"a port");
    }
    memset(&pool, 0, sizeof(pool));
    memset(workers, 0, sizeof(workers));
    memset(bells, 0, sizeof(bells));
    sent = 0;
    pool.worker_count = 2;
    pool.workers = workers;
    pool.drain.deadline_ns = UINT64_MAX;
    for (uint32_t i = 0; i < WORKERS; i++) {
        static uint32_t dealt[WORKERS][WORKERS];
        static uint32_t dealt_now[WORKERS][WORKERS];
        static struct trp_outgoing out[WORKERS][WORKERS];
        memset(dealt[i], 0, sizeof(dealt[i]));
        memset(dealt_now[i], 0, sizeof(dealt_now[i]));
        memset(out[i], 0, sizeof(out[i]));
        static uint64_t events[WORKERS][2];
        workers[i].recorder.words = events[i]; /* a ring of one */
        workers[i].pool = &pool;
        workers[i].index = i;
        workers[i].driver = &driver;
        workers[i].driver_state = &bells[i];
        workers[i].out = out[i];
        workers[i].dealt = dealt[i];
        workers[i].dealt_now = dealt_now[i];
        workers[i].turn_messages_max = 1;
        trp_heap_init(&workers[i].heap, TRP_SLAB_CHUNK_BYTES);
        trp_wheel_init(&workers[i].wheel, 0);
    }
    memset(&waiting, 0, sizeof(waiting));
    is_time = 0;
    expected = 0;
}

static void prepare(struct troupe_msg *msg, troupe_ref from, uint32_t to)
{
    memset(msg, 0, sizeof(*msg));
    msg->flags = TROUPE_MSG_EMBEDDED | TROUPE_LANE_DATA;
    msg->from = from;
    msg->to = trp_ref_make(to, 5, 1);
}

static void one_hop(void)
{
    reset();
    hops = 1;
}

/* From the start on it drains: two threads are enough to see how they agree. */
static void one_hop_draining(void)
{
    one_hop();
    pool.drain.is_on = 1;
}

static void two_hops_draining(void)
{
    one_hop_draining();
    hops = 2;
}

/* Nobody has anything to do, but worker 1 an actor that waits. */
static void one_waits(void)
{
    reset();
    pool.drain.is_on = 1;
    hops = 0;
    workers[1].cells.cells = &waiting;
    workers[1].cells.used = 1;
    waiting.status = TRP_CELL_SUSPENDED;
    trp_lane_push(&waiting.data, &mail);
}

/* The one that looks is asleep as far as the others can see. */
static void third_looks(void)
{
    reset();
    pool.worker_count = WORKERS;
    workers[0].park_word = TRP_PARKED;
    hops = 3;
}

/* A single worker: what matters is between it and the stranger. */
static void only_foreign(void)
{
    reset();
    pool.worker_count = 1;
    hops = 0;
    expected = 1;
}

/* --- a worker, as trp_worker_main --- */

static void send_token(struct trp_worker *worker, uint32_t to, uint32_t hop)
{
    prepare(&token, trp_ref_make(worker->index, 1, 1), to);
    token.size = hop;
    trp_worker_send_remote(worker, to, &token);
}

static void pass_token_on(struct trp_worker *worker, uint32_t hop)
{
    send_token(worker, 1 - worker->index, hop);
}

static void sleep_until_rung(struct trp_worker *worker)
{
    uint64_t deadline_ns;
    if (trp_worker_announce_park(worker, &deadline_ns)) {
        step_wait(&bells[worker->index], is_set);
        trp_fas_u32(&bells[worker->index], 0); /* partner: ring */
        trp_worker_unpark(worker);
    }
}

/* The waiting is over: the actor handles what it has, all in this turn. */
static void restart(struct trp_worker *worker)
{
    /* partner: tell_time */
    if (worker->cells.used != 0 && trp_load_acquire_u32(&is_time) != 0) {
        waiting.status = TRP_CELL_ALIVE;
        (void)trp_lane_pop(&waiting.data);
        worker->cells.used = 0;
    }
}

static void tell_time(void)
{
    trp_fas_u32(&is_time, 1); /* partner: restart */
    ring(&bells[1], NULL);    /* not a wake: a park ends at its deadline */
}

static void work(void)
{
    struct trp_worker *worker = &workers[step_thread()];
    uint32_t round = 0;
    if (worker->index == 0 && hops > 0) {
        pass_token_on(worker, 1);
    }
    while (trp_load_acquire_u32(&pool.is_stopping) == 0) {
        uint64_t before = worker->stats.remote_in;
        STEP_CHECK(round++ < ROUNDS);
        (void)trp_worker_turn(worker);
        restart(worker);
        if (worker->stats.remote_in == before) {
            sleep_until_rung(worker);
        } else if (token.to == trp_ref_make(worker->index, 5, 1) && token.size < hops) {
            pass_token_on(worker, token.size + 1);
        } else if (token.to == trp_ref_make(worker->index, 5, 1)) {
            token.to = TROUPE_NOBODY; /* at its end */
        }
    }
}

/* --- the others --- */

static void drain(void)
{
    troupe_pool_drain(&pool, UINT64_MAX);
}

static void send_foreign(void)
{
    struct troupe_msg *msg = &foreign;
    prepare(msg, TROUPE_NOBODY, 0);
    enum troupe_status status = troupe_port_send(port, msg->to, &msg);
    STEP_CHECK(status == TROUPE_OK || status == TROUPE_ECLOSED);
    sent = status == TROUPE_OK ? 1 : 0;
}

/*
 * One looks, just once, while two others hand the token about; those do not look themselves. What
 * the look finds asleep can have woken, worked and gone to sleep again before it looks a second
 * time.
 */
static void look_once(void)
{
    uint64_t deadline_ns = UINT64_MAX;
    (void)trp_drain_look(&workers[0], &deadline_ns);
}

static void sleep_or_not(struct trp_worker *worker, bool is_at_end)
{
    uint64_t deadline_ns;
    bool is_asleep = trp_worker_announce_park(worker, &deadline_ns);
    /* says, as if it had been asked, that nobody waits with messages; partner: mail_of */
    trp_fas_u64(&pool.drain.mails[worker->index].said, worker->stats.turns << 1);
    if (is_asleep && !is_at_end) {
        step_wait(&bells[worker->index], is_set);
        trp_fas_u32(&bells[worker->index], 0); /* partner: ring */
        trp_worker_unpark(worker);
    }
}

/* Takes its turns until it has had the token so many times, and ends asleep. */
static void hand_about(uint32_t times)
{
    struct trp_worker *worker = &workers[step_thread()];
    uint32_t other = 3 - worker->index;
    for (uint32_t round = 0; worker->stats.remote_in < times; round++) {
        uint64_t before = worker->stats.remote_in;
        STEP_CHECK(round < ROUNDS);
        (void)trp_worker_turn(worker);
        if (worker->stats.remote_in == before) {
            sleep_or_not(worker, false);
        } else if (token.size < hops) {
            send_token(worker, other, token.size + 1);
        }
    }
    sleep_or_not(worker, true);
}

static void hand_about_second(void)
{
    hand_about(2);
}

static void hand_about_first(void)
{
    send_token(&workers[2], 1, 1);
    hand_about(1);
}

/* --- what must hold --- */

static uint64_t arrived(void)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < WORKERS; i++) {
        sum += workers[i].stats.remote_in;
    }
    return sum;
}

/* Once the pool calls itself quiet nothing may be under way, nor come. */
static void quiet_is_quiet(void)
{
    if (pool.drain.outcome == TRP_DRAIN_QUIET) {
        for (uint32_t i = 0; i < WORKERS; i++) {
            STEP_CHECK(!trp_inbox_has_work(&workers[i].inbox));
        }
        STEP_CHECK(arrived() >= hops);
        STEP_CHECK(arrived() <= hops + expected);
        STEP_CHECK(waiting.status != TRP_CELL_SUSPENDED);
    }
}

static void all_arrived(void)
{
    STEP_CHECK(pool.drain.outcome == TRP_DRAIN_QUIET);
    STEP_CHECK(arrived() == hops + sent);
    STEP_CHECK(workers[0].foreign_sent + workers[1].foreign_sent ==
               workers[0].foreign_dealt + workers[1].foreign_dealt);
}

static bool is_of_mail(const void *word)
{
    for (uint32_t i = 0; i < WORKERS; i++) {
        if (word == &pool.drain.mails[i].said || word == &pool.drain.mails[i].is_asked) {
            return true;
        }
    }
    return false;
}

/* Counters that nobody decides by, and words of one thread only. */
static bool is_hint(const void *word)
{
    for (uint32_t i = 0; i < WORKERS; i++) {
        const char *base = (const char *)&workers[i];
        size_t offset = (size_t)((const char *)word - base);
        if ((const char *)word < base || offset >= sizeof(workers[i])) {
            continue;
        }
        return word != &workers[i].inbox && word != &workers[i].park_word &&
               word != &workers[i].foreign_sent && word != &workers[i].foreign_dealt &&
               word != &workers[i].stats.turns;
    }
    return word != &pool.is_stopping && word != &pool.drain.is_on && word != &pool.drain.outcome &&
           word != &bells[0] && word != &bells[1] && word != &bells[2] && word != &is_time &&
           !is_of_mail(word);
}

/* Without ports, a drain or a stop their words never change. */
static bool is_hint_of_hands(const void *word)
{
    for (uint32_t i = 0; i < WORKERS; i++) {
        if (word == &workers[i].foreign_sent || word == &workers[i].foreign_dealt) {
            return true;
        }
    }
    return word == &pool.is_stopping || word == &pool.drain.is_on || is_hint(word);
}

int main(int argc, char **argv)
{
    static const struct step_case cases[] = {
        {.name = "agree",
         .thread_count = 2,
         .threads = {work, work},
         .setup = one_hop_draining,
         .invariant = quiet_is_quiet,
         .check = all_arrived,
         .is_hint = is_hint,
         .preemptions_max = 3},
        {.name = "agree_later",
         .thread_count = 2,
         .threads = {work, work},
         .setup = two_hops_draining,
         .invariant = quiet_is_quiet,
         .check = all_arrived,
         .is_hint = is_hint,
         .preemptions_max = 3},
        {.name = "third_looks",
         .thread_count = 3,
         .threads = {look_once, hand_about_second, hand_about_first},
         .setup = third_looks,
         .invariant = quiet_is_quiet,
         .is_hint = is_hint_of_hands,
         .preemptions_max = 3},
        {.name = "drain_comes",
         .thread_count = 3,
         .threads = {work, work, drain},
         .setup = one_hop,
         .invariant = quiet_is_quiet,
         .check = all_arrived,
         .is_hint = is_hint,
         .preemptions_max = 2},
        {.name = "one_waits",
         .thread_count = 3,
         .threads = {work, work, tell_time},
         .setup = one_waits,
         .invariant = quiet_is_quiet,
         .check = all_arrived,
         .is_hint = is_hint,
         .preemptions_max = 2},
        {.name = "port",
         .thread_count = 3,
         .threads = {work, send_foreign, drain},
         .setup = only_foreign,
         .invariant = quiet_is_quiet,
         .check = all_arrived,
         .is_hint = is_hint,
         .preemptions_max = 3},
    };
    return step_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
