/*
 * The runtime under the seeded simulation: a crowd of actors that spawn, send, ask, watch, arm
 * timers, end themselves and each other at random. Independent checkers: order per sender and
 * receiver, every ask answered once, every monitor told once, no message lost (trp_sim_stop).
 *
 *     sim_runtime --seeds A..B
 */

#include "pool/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <troupe/assert.h>
#include <troupe/relations.h>

#define CROWD   40u
#define ACTIONS 60u
#define REFILLS 100u
#define RUN_NS  20000000000ull

enum { MSG_NUMBER = 1, MSG_TICK, MSG_DOWN, MSG_QUESTION, MSG_KICK };

/* What the checkers know; one simulation at a time, one thread. */
static struct {
    troupe_ref refs[CROWD];      /* newest actor in each place */
    uint64_t sent[CROWD][CROWD]; /* next number from place to place, per incarnation */
    uint64_t asks_begun;
    uint64_t asks_ended;
    uint64_t asks_orphaned; /* the asker ended first */
    uint64_t watches_begun;
    uint64_t downs;
    uint64_t watches_orphaned;
    uint32_t incarnation[CROWD];
    uint32_t refills;
} book;

struct numbered {
    uint32_t from_place;
    uint32_t from_incarnation;
    uint32_t to_incarnation;
    uint64_t number;
};

struct member {
    uint32_t place;
    uint32_t incarnation;
    uint32_t actions_left;
    uint32_t asks_open;
    uint32_t watches_open;
    uint64_t expected[CROWD]; /* next number from each place's incarnation */
    uint32_t expected_incarnation[CROWD];
    struct troupe_timer tick;
    struct troupe_timer extra;
};

struct member_arg {
    uint32_t place;
};

static const struct troupe_actor_type member_type;

static uint32_t below(struct troupe_ctx *ctx, uint32_t bound)
{
    return (uint32_t)(troupe_random(ctx) % bound);
}

static enum troupe_status begin(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct member *member = state;
    member->place = ((const struct member_arg *)arg)->place;
    member->incarnation = ++book.incarnation[member->place];
    member->actions_left = ACTIONS;
    book.refs[member->place] = troupe_self(ctx);
    memset(book.sent[member->place], 0, sizeof(book.sent[member->place]));
    troupe_timer_start(ctx, &member->tick, 1000000 + below(ctx, 5000000), 0, MSG_TICK);
    return TROUPE_OK;
}

static void end(struct troupe_ctx *ctx, void *state, enum troupe_down_reason reason)
{
    struct member *member = state;
    (void)ctx;
    (void)reason;
    book.asks_orphaned += member->asks_open;
    book.watches_orphaned += member->watches_open;
}

static enum troupe_verdict
on_answer(struct troupe_ctx *ctx, void *state, const struct troupe_answer *answer, uint64_t cookie)
{
    struct member *member = state;
    (void)ctx;
    TROUPE_ASSERT(cookie == member->incarnation);
    TROUPE_ASSERT(member->asks_open > 0);
    member->asks_open--;
    book.asks_ended++;
    if (answer->status == TROUPE_OK) {
        TROUPE_ASSERT(answer->msg->type == MSG_QUESTION);
    }
    return TROUPE_CONTINUE;
}

static void send_number(struct troupe_ctx *ctx, struct member *member, uint32_t to)
{
    struct numbered numbered = {member->place, member->incarnation, book.incarnation[to],
                                book.sent[member->place][to]};
    enum troupe_status status =
        troupe_send_copy(ctx, book.refs[to], MSG_NUMBER, &numbered, sizeof(numbered));
    if (status == TROUPE_OK) {
        book.sent[member->place][to]++;
    }
}

static void ask(struct troupe_ctx *ctx, struct member *member, uint32_t to)
{
    static char large[900];
    size_t len = below(ctx, 2) == 0 ? 4 : sizeof(large);
    if (troupe_ask(ctx, book.refs[to], MSG_QUESTION, troupe_span(large, len),
                   1000000 + below(ctx, 30000000), on_answer, member->incarnation) == TROUPE_OK) {
        member->asks_open++;
        book.asks_begun++;
    }
}

static void watch(struct troupe_ctx *ctx, struct member *member, uint32_t to)
{
    troupe_monitor_id id;
    if (troupe_monitor(ctx, book.refs[to], MSG_DOWN, member->incarnation, &id) != TROUPE_OK) {
        return;
    }
    if (below(ctx, 4) == 0) {
        troupe_demonitor(ctx, id);
        return;
    }
    member->watches_open++;
    book.watches_begun++;
}

static enum troupe_verdict act(struct troupe_ctx *ctx, struct member *member)
{
    uint32_t to = below(ctx, CROWD);
    switch (below(ctx, 16)) {
    case 0:
        ask(ctx, member, to);
        break;
    case 1:
        watch(ctx, member, to);
        break;
    case 2:
        troupe_stop(ctx, book.refs[to]);
        break;
    case 3:
        troupe_drain(ctx, book.refs[to]);
        break;
    case 4:
        troupe_timer_start(ctx, &member->extra, below(ctx, 90000000), 0, MSG_KICK);
        break;
    case 5:
        troupe_timer_cancel(ctx, &member->extra);
        break;
    case 6:
        return below(ctx, 8) == 0 ? TROUPE_FAIL : TROUPE_CONTINUE;
    default:
        for (uint32_t n = below(ctx, 50); n > 0; n--) {
            send_number(ctx, member, to);
        }
        break;
    }
    return TROUPE_CONTINUE;
}

static void check_number(struct member *member, const struct troupe_msg *msg)
{
    struct numbered numbered;
    memcpy(&numbered, troupe_msg_data(msg), sizeof(numbered));
    uint32_t from = numbered.from_place;
    TROUPE_ASSERT(numbered.to_incarnation == member->incarnation);
    if (member->expected_incarnation[from] != numbered.from_incarnation) {
        member->expected_incarnation[from] = numbered.from_incarnation;
        member->expected[from] = numbered.number; /* a new sender starts somewhere */
    }
    TROUPE_ASSERT(member->expected[from] == numbered.number);
    member->expected[from]++;
}

/* A place whose actor ended gets a new one, wherever the asker of it lives. */
static void refill(struct troupe_ctx *ctx, uint32_t place)
{
    if (troupe_ref_worker(book.refs[place]) == troupe_self_worker(ctx) &&
        !troupe_is_alive_here(ctx, book.refs[place]) && book.refills < REFILLS) {
        book.refills++;
        struct member_arg arg = {place};
        troupe_ref ref;
        TROUPE_ASSERT(troupe_spawn(ctx, &ref, &member_type, &arg) == TROUPE_OK);
    }
}

static enum troupe_verdict receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct member *member = state;
    switch (msg->type) {
    case MSG_NUMBER:
        check_number(member, msg);
        break;
    case MSG_DOWN:
        TROUPE_ASSERT(member->watches_open > 0);
        member->watches_open--;
        book.downs++;
        break;
    case MSG_QUESTION:
        if (below(ctx, 4) != 0) {
            static char large[1000];
            size_t len = below(ctx, 2) == 0 ? 8 : sizeof(large);
            TROUPE_ASSERT(troupe_reply(ctx, msg, MSG_QUESTION, troupe_span(large, len)) ==
                          TROUPE_OK);
        }
        break;
    case MSG_TICK:
        refill(ctx, below(ctx, CROWD));
        if (member->actions_left-- == 0) {
            return TROUPE_CONTINUE;
        }
        troupe_timer_start(ctx, &member->tick, below(ctx, 8000000), 0, MSG_TICK);
        return act(ctx, member);
    default:
        break;
    }
    return TROUPE_CONTINUE;
}

static const struct troupe_actor_type member_type = {.name = "member",
                                                     .state_size = sizeof(struct member),
                                                     .data_count_max = 64,
                                                     .init_cb = begin,
                                                     .receive_cb = receive,
                                                     .terminate_cb = end};

static void run_seed(uint64_t seed)
{
    static struct member_arg args[CROWD];
    memset(&book, 0, sizeof(book));
    struct troupe_pool_config config = {.memory_max = 256u << 20};
    struct trp_sim *sim = trp_sim_create(seed, &config, NULL);
    TROUPE_ASSERT(sim != NULL);
    struct troupe_pool *pool = trp_sim_pool(sim);
    for (uint32_t place = 0; place < CROWD; place++) {
        args[place].place = place;
        TROUPE_ASSERT(troupe_pool_spawn(pool, &book.refs[place], place % troupe_pool_workers(pool),
                                        &member_type, &args[place]) == TROUPE_OK);
    }
    trp_sim_start(sim);
    bool is_settled = trp_sim_run(sim, trp_sim_now(sim) + RUN_NS);
    TROUPE_ASSERT(is_settled); /* all actions done, all asks over */
    TROUPE_ASSERT(book.asks_begun == book.asks_ended + book.asks_orphaned);
    TROUPE_ASSERT(book.asks_begun > 0);
    trp_sim_stop(sim);
    /* watchers that lived on were told exactly once, or still watch somebody who lived on */
    TROUPE_ASSERT(book.watches_begun == book.downs + book.watches_orphaned);
    trp_sim_destroy(sim);
}

static uint64_t current_seed;

static void print_replay(void)
{
    fprintf(stderr, "replay: ./dev sim --seeds %llu..%llu\n", (unsigned long long)current_seed,
            (unsigned long long)current_seed);
}

int main(int argc, char **argv)
{
    unsigned long long first;
    unsigned long long last;
    if (argc != 3 || strcmp(argv[1], "--seeds") != 0 ||
        sscanf(argv[2], "%llu..%llu", &first, &last) != 2 || first > last) {
        fprintf(stderr, "usage: sim_runtime --seeds A..B\n");
        return 2;
    }
    troupe_assert_set_hook(print_replay);
    for (current_seed = first; current_seed <= last; current_seed++) {
        run_seed(current_seed);
    }
    printf("sim_runtime: seeds %llu..%llu passed\n", first, last);
    return 0;
}
