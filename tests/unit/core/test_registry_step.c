/*
 * A lookup in whose middle names change. The registry is compiled with a stop before each of its
 * atomic operations; there the steps of a scenario are made, distributed over the stops of a lookup
 * in every way. A second test also stops the changes, in the middle of which the lookup goes on.
 */

#include "mailbox/atomic.h"
#include "pool/worker.h"
#include "tests/unit/core/puppet.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <troupe/assert.h>

enum { A = 0, B = 1, C = 2, ACTORS = 3, NONE = 3 };

/* FIRST to LAST are in one chain, FIRST at its end; STRANGER is in another one. */
enum { FIRST = 0, SECOND = 1, THIRD = 2, LAST = 3, STRANGER = 4, NAMES = 5 };

#define STEPS_MAX 4u
#define STOPS_MAX 32u

struct step {
    uint32_t who;
    bool is_register; /* or it takes the name back */
    uint32_t name;
};

struct scenario {
    uint32_t wanted; /* name that is looked up */
    uint32_t step_count;
    struct step steps[STEPS_MAX];
};

static troupe_ref refs[ACTORS + 1]; /* the last one is nobody */
static char names[NAMES][TROUPE_NAME_MAX + 1];
static uint32_t owners[NAMES];

static struct {
    struct troupe_ctx *ctx;
    const struct scenario *scenario; /* NULL = the stops are only counted */
    uint32_t places[STEPS_MAX];      /* the stop of each step, ascending */
    uint32_t done;                   /* steps made */
    uint32_t seen;                   /* stops */
    uint32_t legal;                  /* who owned the name meanwhile, a bit each */
    const void *second_word;         /* that the lookup touched: the head of its chain */
    bool is_acting;
} stop;

/* --- acting --- */

static struct troupe_span name_at(uint32_t name)
{
    return troupe_span_cstr(names[name]);
}

static void make_step(struct troupe_ctx *ctx, const struct step *step)
{
    struct trp_cell *self = ctx->cell;
    ctx->cell = trp_cells_find(&ctx->worker->cells, refs[step->who]);
    if (step->is_register) {
        TROUPE_ASSERT(troupe_register(ctx, name_at(step->name)) == TROUPE_OK);
        owners[step->name] = step->who;
    } else {
        TROUPE_ASSERT(owners[step->name] == step->who);
        troupe_unregister(ctx, name_at(step->name));
        owners[step->name] = NONE;
    }
    ctx->cell = self;
}

/* A thread that changes names and stops in the middle; it and the lookup run by turns. */
static struct {
    sem_t go;
    sem_t stopped;
    pthread_t thread;
    uint32_t lookup_place; /* the stop of the lookup at which it begins */
    uint32_t place;        /* its own stop */
    uint32_t seen;
    bool is_due;
    bool has_begun;
} writer;

static __thread bool is_writer;

static void *write_names(void *arg)
{
    (void)arg;
    is_writer = true;
    make_step(stop.ctx, &(struct step){A, false, SECOND});
    make_step(stop.ctx, &(struct step){B, true, LAST}); /* in the same place */
    sem_post(&writer.stopped);                          /* for one that did not stop */
    return NULL;
}

void trp_step(const void *word, bool may_write, const char *operation)
{
    (void)may_write;
    (void)operation;
    if (is_writer && writer.seen++ == writer.place) {
        sem_post(&writer.stopped);
        sem_wait(&writer.go);
    }
    if (is_writer || stop.is_acting) {
        return;
    }
    uint32_t here = stop.seen++;
    if (writer.is_due && here == writer.lookup_place) {
        writer.has_begun = true;
        writer.seen = 0;
        TROUPE_ASSERT(pthread_create(&writer.thread, NULL, write_names, NULL) == 0);
        sem_wait(&writer.stopped);
    }
    if (here == 1) {
        stop.second_word = word;
    }
    stop.is_acting = true;
    while (stop.scenario != NULL && stop.done < stop.scenario->step_count &&
           stop.places[stop.done] == here) {
        make_step(stop.ctx, &stop.scenario->steps[stop.done++]);
        stop.legal |= 1u << owners[stop.scenario->wanted];
    }
    stop.is_acting = false;
}

/* Everything as it is at the beginning: A has the first three, in this order. */
static void set_up(struct troupe_ctx *ctx)
{
    for (uint32_t name = 0; name < NAMES; name++) {
        if (owners[name] != NONE) {
            make_step(ctx, &(struct step){owners[name], false, name});
        }
    }
    for (uint32_t name = FIRST; name <= THIRD; name++) {
        make_step(ctx, &(struct step){A, true, name});
    }
}

static const void *chain_of(struct troupe_ctx *ctx, const char *name)
{
    stop.seen = 0;
    stop.is_acting = false;
    (void)troupe_whereis(ctx, troupe_span_cstr(name));
    stop.is_acting = true;
    return stop.second_word;
}

/* Numbers are counted up until enough of them meet in one chain. */
static void find_names(struct troupe_ctx *ctx)
{
    stop.is_acting = true;
    TROUPE_ASSERT(troupe_register(ctx, troupe_span_cstr("somebody")) == TROUPE_OK);
    (void)snprintf(names[FIRST], sizeof(names[FIRST]), "name 0");
    const void *chain = chain_of(ctx, names[FIRST]);
    uint32_t found = 1;
    uint32_t tried = 1;
    for (; found <= LAST; tried++) {
        char text[TROUPE_NAME_MAX + 1] = "";
        (void)snprintf(text, sizeof(text), "name %u", tried);
        bool is_friend = chain_of(ctx, text) == chain;
        memcpy(names[is_friend ? found++ : STRANGER], text, sizeof(text));
    }
    TROUPE_ASSERT(tried > 10000); /* names that differ in a digit are spread */
    for (uint32_t name = 0; name < NAMES; name++) {
        owners[name] = NONE;
    }
}

/* --- looking --- */

/* Returns whether all steps were made within the lookup. */
static bool look_up(struct troupe_ctx *ctx, const struct scenario *scenario)
{
    set_up(ctx);
    stop.ctx = ctx;
    stop.scenario = scenario;
    stop.done = 0;
    stop.seen = 0;
    stop.legal = 1u << owners[scenario->wanted];
    stop.is_acting = false;
    troupe_ref found = troupe_whereis(ctx, name_at(scenario->wanted));
    stop.is_acting = true;
    stop.scenario = NULL;
    bool is_legal = false;
    for (uint32_t who = A; who <= NONE; who++) {
        is_legal = is_legal || ((stop.legal & 1u << who) != 0 && found == refs[who]);
    }
    TROUPE_ASSERT(is_legal);
    return stop.done == scenario->step_count;
}

/* The next ascending places; false after the last. */
static bool next_places(uint32_t count)
{
    for (uint32_t i = count; i-- > 0;) {
        if (stop.places[i] + 1 < STOPS_MAX) {
            uint32_t place = stop.places[i] + 1;
            for (; i < count; i++) {
                stop.places[i] = place;
            }
            return true;
        }
    }
    return false;
}

static const struct scenario scenarios[] = {
    /* the neighbour moves to another chain, perhaps with the lookup on it */
    {FIRST, 2, {{A, false, THIRD}, {B, true, STRANGER}}},
    {FIRST, 4, {{A, false, SECOND}, {B, true, STRANGER}, {B, false, STRANGER}, {B, true, LAST}}},
    /* it comes back to the same one */
    {FIRST, 2, {{A, false, THIRD}, {B, true, THIRD}}},
    {FIRST, 4, {{A, false, SECOND}, {B, true, LAST}, {A, false, THIRD}, {C, true, SECOND}}},
    /* the entry gets another name and ref, and perhaps the old name with a third ref */
    {SECOND, 2, {{A, false, SECOND}, {B, true, STRANGER}}},
    {SECOND, 4, {{A, false, SECOND}, {B, true, STRANGER}, {B, false, STRANGER}, {C, true, SECOND}}},
    {SECOND, 2, {{A, false, SECOND}, {B, true, SECOND}}},
    /* the name comes while it is looked up */
    {LAST, 2, {{A, false, THIRD}, {B, true, LAST}}},
    {STRANGER, 2, {{A, false, FIRST}, {B, true, STRANGER}}},
};

static uint64_t lookups;

static void act_look(struct troupe_ctx *ctx, uint32_t who, uint64_t value)
{
    (void)who;
    (void)value;
    find_names(ctx);
    for (uint32_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
        uint32_t inside = 0;
        memset(stop.places, 0, sizeof(stop.places));
        do {
            inside += look_up(ctx, &scenarios[i]) ? 1 : 0;
            lookups++;
        } while (next_places(scenarios[i].step_count));
        TROUPE_ASSERT(inside > 0); /* a lookup in an empty chain has but two stops */
    }
}

static void a_lookup_finds_who_bears_the_name(void **state)
{
    (void)state;
    stop.is_acting = true;
    world_open(1, 1);
    for (uint32_t who = A; who <= C; who++) {
        refs[who] = world_puppet(0, who);
    }
    refs[NONE] = TROUPE_NOBODY;
    world_start();
    make(refs[A], act_look, 0);
    world_run_ms(5);
    assert_in_range(lookups, 1000, UINT32_MAX);
    world_close();
}

/* --- changes that stop --- */

/* False when the lookup has no such stop. */
static bool look_amid(struct troupe_ctx *ctx, uint32_t lookup_place, uint32_t place)
{
    set_up(ctx);
    stop.ctx = ctx;
    stop.seen = 0;
    stop.is_acting = false;
    writer.lookup_place = lookup_place;
    writer.place = place;
    writer.is_due = true;
    writer.has_begun = false;
    troupe_ref found = troupe_whereis(ctx, name_at(LAST));
    writer.is_due = false;
    stop.is_acting = true;
    if (writer.has_begun) {
        sem_post(&writer.go);
        TROUPE_ASSERT(pthread_join(writer.thread, NULL) == 0);
        while (sem_trywait(&writer.go) == 0 || sem_trywait(&writer.stopped) == 0) {
        }
    }
    TROUPE_ASSERT(found == TROUPE_NOBODY || found == refs[B]);
    lookups++;
    return writer.has_begun;
}

static void act_look_amid(struct troupe_ctx *ctx, uint32_t who, uint64_t value)
{
    (void)who;
    (void)value;
    find_names(ctx);
    for (uint32_t place = 0; place < 40; place++) {
        uint32_t lookup_place = 0;
        while (look_amid(ctx, lookup_place, place)) {
            lookup_place++;
        }
        TROUPE_ASSERT(lookup_place > 6);
    }
}

static void a_change_that_stops_is_not_seen(void **state)
{
    (void)state;
    lookups = 0;
    stop.is_acting = true;
    assert_int_equal(sem_init(&writer.go, 0, 0), 0);
    assert_int_equal(sem_init(&writer.stopped, 0, 0), 0);
    world_open(1, 1);
    for (uint32_t who = A; who <= C; who++) {
        refs[who] = world_puppet(0, who);
    }
    refs[NONE] = TROUPE_NOBODY;
    world_start();
    make(refs[A], act_look_amid, 0);
    world_run_ms(5);
    assert_in_range(lookups, 200, UINT32_MAX);
    world_close();
    sem_destroy(&writer.go);
    sem_destroy(&writer.stopped);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lookup_finds_who_bears_the_name),
        cmocka_unit_test(a_change_that_stops_is_not_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
