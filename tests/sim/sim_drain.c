/*
 * Draining under the seeded simulation: tokens hop over the workers, split and end; timers start
 * new ones; at a random moment the pool is told to drain, from outside or by an actor, with or
 * without a deadline. Checked: a drain in time leaves no token unfinished, a drain without a
 * deadline is always in time, one that is late had a deadline that has passed, the report agrees
 * with the counters, and nothing is lost (trp_sim_stop).
 *
 *     sim_drain --seeds A..B
 */

#include "pool/sim.h"

#include <stdio.h>
#include <string.h>
#include <troupe/assert.h>

#define CROWD     16u
#define TOKENS    12u
#define HOPS_MAX  60u
#define TICKS_MAX 20u
#define MS        1000000ull
#define RUN_NS    (100000 * MS)

enum { MSG_TOKEN = 1, MSG_TICK };

struct token {
    uint32_t hops_left;
};

struct member {
    uint32_t place;
    uint32_t ticks;
    struct troupe_timer tick;
};

/* One simulation at a time, one thread. */
static struct {
    struct trp_sim *sim;
    troupe_ref refs[CROWD];
    uint64_t begun;
    uint64_t ended;
    uint64_t letters;
    uint64_t timeout_ns;
    uint64_t asked_ns;      /* when the drain was asked for, 0 = not yet */
    uint64_t hops_to_drain; /* an actor asks when these are made */
} book;

static void count_letter(void *arg, const struct troupe_msg *msg, enum troupe_drop_reason reason)
{
    (void)arg;
    (void)msg;
    (void)reason;
    book.letters++;
}

static void ask_for_drain(void)
{
    if (book.asked_ns == 0) {
        book.asked_ns = trp_sim_now(book.sim);
        troupe_pool_drain(trp_sim_pool(book.sim), book.timeout_ns);
    }
}

static void send_token(struct troupe_ctx *ctx, uint32_t hops)
{
    struct token token = {hops};
    if (troupe_send_copy(ctx, book.refs[troupe_random(ctx) % CROWD], MSG_TOKEN, &token,
                         sizeof(token)) == TROUPE_OK) {
        book.begun++;
    }
}

static enum troupe_verdict on_token(struct troupe_ctx *ctx, const struct troupe_msg *msg)
{
    struct token token;
    memcpy(&token, troupe_msg_data(msg), sizeof(token));
    if (book.hops_to_drain != 0 && --book.hops_to_drain == 0) {
        ask_for_drain();
    }
    book.ended++; /* this leg of it; the next one begins before the handler returns */
    if (token.hops_left > 0) {
        send_token(ctx, token.hops_left - 1);
        if (troupe_random(ctx) % 16 == 0) {
            send_token(ctx, token.hops_left / 2);
        }
    }
    return TROUPE_CONTINUE;
}

static enum troupe_verdict receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct member *member = state;
    if (msg->type == MSG_TOKEN) {
        return on_token(ctx, msg);
    }
    if (member->ticks++ < TICKS_MAX) {
        send_token(ctx, (uint32_t)(troupe_random(ctx) % 8));
        troupe_timer_start(ctx, &member->tick, MS + troupe_random(ctx) % (20 * MS), 0, MSG_TICK);
    }
    return TROUPE_CONTINUE;
}

static enum troupe_status begin(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct member *member = state;
    member->place = *(const uint32_t *)arg;
    if (member->place < TOKENS) {
        send_token(ctx, (uint32_t)(troupe_random(ctx) % HOPS_MAX));
    }
    troupe_timer_start(ctx, &member->tick, troupe_random(ctx) % (30 * MS), 0, MSG_TICK);
    return TROUPE_OK;
}

static const struct troupe_actor_type member_type = {
    .name = "member", .state_size = sizeof(struct member), .init_cb = begin, .receive_cb = receive};

static void check(const struct troupe_pool_report *report)
{
    TROUPE_ASSERT(report->was_drained);
    TROUPE_ASSERT(report->accepted == report->processed + report->reported);
    TROUPE_ASSERT(report->reported == book.letters);
    TROUPE_ASSERT(report->accepted == book.begun);
    TROUPE_ASSERT(report->processed == book.ended);
    TROUPE_ASSERT(report->abandoned == report->reported);
    if (report->is_drained_in_time) {
        TROUPE_ASSERT(report->reported == 0);
        TROUPE_ASSERT(report->actor_count == 0);
    } else {
        TROUPE_ASSERT(book.timeout_ns != UINT64_MAX);
        TROUPE_ASSERT(report->drain_ns >= book.timeout_ns);
    }
    uint64_t named = 0;
    for (uint32_t i = 0; i < report->actor_count; i++) {
        named += report->actors[i].messages;
        TROUPE_ASSERT(i == 0 || report->actors[i - 1].messages >= report->actors[i].messages);
    }
    TROUPE_ASSERT(named <= report->abandoned);
}

/* Returns true when it was in time. */
static bool run_seed(uint64_t seed)
{
    static uint32_t places[CROWD];
    struct troupe_pool_config config = {.memory_max = 64u << 20, .dead_letter_cb = count_letter};
    struct troupe_pool_report report;
    memset(&book, 0, sizeof(book));
    book.sim = trp_sim_create(seed, &config, NULL);
    TROUPE_ASSERT(book.sim != NULL);
    struct troupe_pool *pool = trp_sim_pool(book.sim);
    struct trp_random *random = trp_sim_random(book.sim);
    book.timeout_ns =
        trp_random_below(random, 2) == 0 ? UINT64_MAX : trp_random_below(random, 2 * MS);
    book.hops_to_drain = trp_random_below(random, 2) == 0 ? 0 : 1 + trp_random_below(random, 400);
    for (uint32_t place = 0; place < CROWD; place++) {
        places[place] = place;
        TROUPE_ASSERT(troupe_pool_spawn(pool, &book.refs[place], place % troupe_pool_workers(pool),
                                        &member_type, &places[place]) == TROUPE_OK);
    }
    trp_sim_start(book.sim);
    if (book.hops_to_drain == 0) {
        (void)trp_sim_run(book.sim, trp_sim_now(book.sim) + trp_random_below(random, 40 * MS));
        ask_for_drain();
    }
    bool is_over = trp_sim_run(book.sim, trp_sim_now(book.sim) + RUN_NS);
    if (is_over && book.asked_ns == 0) {
        ask_for_drain(); /* fewer hops than the actor waited for: everybody sleeps */
        is_over = trp_sim_run(book.sim, trp_sim_now(book.sim) + RUN_NS);
    }
    TROUPE_ASSERT(is_over);
    bool is_stopped = trp_load_relaxed_u32(&pool->is_stopping) != 0;
    TROUPE_ASSERT(is_stopped); /* not merely asleep for ever */
    trp_sim_stop(book.sim);
    troupe_pool_report(pool, &report);
    check(&report);
    trp_sim_destroy(book.sim);
    return report.is_drained_in_time;
}

static uint64_t current_seed;

static void print_replay(void)
{
    fprintf(stderr, "replay: ./dev sim --only sim_drain --seeds %llu..%llu\n",
            (unsigned long long)current_seed, (unsigned long long)current_seed);
}

int main(int argc, char **argv)
{
    unsigned long long first;
    unsigned long long last;
    uint64_t in_time = 0;
    if (argc != 3 || strcmp(argv[1], "--seeds") != 0 ||
        sscanf(argv[2], "%llu..%llu", &first, &last) != 2 || first > last) {
        fprintf(stderr, "usage: sim_drain --seeds A..B\n");
        return 2;
    }
    troupe_assert_set_hook(print_replay);
    for (current_seed = first; current_seed <= last; current_seed++) {
        in_time += run_seed(current_seed) ? 1 : 0;
    }
    printf("sim_drain: seeds %llu..%llu passed, %llu in time\n", first, last,
           (unsigned long long)in_time);
    return 0;
}
