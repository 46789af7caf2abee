/* One run of the crowd: its world, its length, its end. */

#include "tests/sim/crowd.h"

/* Nodes per step that trp_sim_check may visit; in one of twelve seeds it runs after every step. */
#define CHECK_BUDGET 100u

/* How a run ends. */
enum ending { END_SETTLED, END_STOPPED, END_DRAINED, END_BY_ACTOR, ENDINGS };

static void open_book(struct trp_sim *sim, const struct crowd_run *run, struct trp_random *random)
{
    memset(&book, 0, sizeof(book));
    book.sim = sim;
    book.pool = trp_sim_pool(sim);
    book.places = run->actors;
    book.leaves = trp_random_below(random, 3) == 0 ? 0 : book.places / 3;
    book.actions = (uint32_t)(run->actions / 8 + trp_random_below(random, run->actions));
    book.record_count = book.life_count = book.ask_count = book.watch_count = 1;
}

static struct trp_sim *make_sim(uint64_t seed, struct trp_random *random)
{
    struct troupe_pool_config config = {.memory_max = 64u << 20,
                                        .dead_letter_cb = crowd_dead_letter};
    if (trp_random_below(random, 4) == 0) {
        config.memory_max = (5 + trp_random_below(random, 8)) << 18;
    }
    if (trp_random_below(random, 8) == 0) {
        config.actors_max = (uint32_t)(16 + trp_random_below(random, 8));
    }
    struct trp_sim *sim = trp_sim_create(seed, &config, NULL);
    if (sim == NULL) {
        return NULL;
    }
    trp_sim_set_check_budget(sim, trp_random_below(random, 12) == 0 ? UINT32_MAX : CHECK_BUDGET);
    return sim;
}

static void people(struct trp_random *random)
{
    static struct member_arg args[PLACES_MAX];
    if (book.leaves > 0) {
        crowd_plant(random);
    }
    for (uint32_t place = book.leaves; place < book.places; place++) {
        args[place].place = place;
        enum troupe_status status =
            troupe_pool_spawn(book.pool, &book.refs[place], place % book.pool->worker_count,
                              &member_types[trp_random_below(random, MEMBER_TYPES)], &args[place]);
        TROUPE_ASSERT(status == TROUPE_OK || status == TROUPE_ENOMEM);
    }
}

/* Returns true when everything came to rest. */
static bool go(const struct crowd_run *run, struct trp_random *random, enum ending ending)
{
    uint64_t until = ending == END_SETTLED ? UINT64_MAX : 200 + trp_random_below(random, 8000);
    uint64_t port_until = 4000; /* then the outside falls silent, so that the crowd may settle */
    for (uint64_t step = 0; step < run->steps; step++) {
        if (!trp_sim_step(book.sim)) {
            return trp_load_relaxed_u32(&book.pool->is_stopping) == 0;
        }
        if (step < port_until && trp_random_below(random, 24) == 0) {
            crowd_ports_act(random);
        }
        if (step == until) {
            if (ending == END_STOPPED) {
                return false; /* trp_sim_stop does it */
            }
            troupe_pool_drain(book.pool, trp_random_below(random, 2) == 0
                                             ? UINT64_MAX
                                             : trp_random_below(random, 20 * MS));
        }
    }
    return false;
}

static void add(struct crowd_totals *totals, bool is_settled)
{
    totals->answered += book.answered;
    totals->downs += book.downs;
    totals->exits += book.exits;
    totals->expired += book.expired;
    totals->refused += book.refused;
    totals->no_memory += book.no_memory;
    totals->restarts += book.restarts;
    totals->fired += book.fired;
    totals->told += book.told;
    totals->shut_out += book.shut_out;
    totals->letters += book.letters;
    totals->steps += trp_sim_steps(book.sim);
    totals->messages += book.record_count;
    totals->full += book.record_count == RECORDS_MAX || book.ask_count == ASKS_MAX ||
                            book.life_count == LIVES_MAX || book.watch_count == WATCHES_MAX ||
                            book.wait_count == WAITS_MAX
                        ? 1
                        : 0;
    totals->settled += is_settled ? 1 : 0;
}

bool crowd_run(const struct crowd_run *run, struct crowd_totals *totals)
{
    struct trp_random random = {run->seed * 2654435761u + 1};
    struct trp_sim *sim = make_sim(run->seed, &random);
    if (sim == NULL) {
        return false;
    }
    open_book(sim, run, &random);
    enum ending ending = (enum ending)trp_random_below(&random, ENDINGS);
    book.may_end_pool = ending == END_BY_ACTOR;
    people(&random);
    crowd_ports_open();
    trp_sim_start(sim);
    bool is_settled = go(run, &random, ending);
    if (is_settled) {
        trp_sim_check(sim);
        crowd_check_settled();
    }
    trp_sim_stop(sim);
    crowd_ports_close();
    crowd_check_over();
    add(totals, is_settled);
    trp_sim_destroy(sim);
    return true;
}
