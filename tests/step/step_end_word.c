/*
 * Stop, drain and kill from several threads against the cell's owner, under all interleavings: the
 * embedded node is on its way at most once at a time, the harshest verb arrives, none is lost, and
 * a request with a stale ref never reaches the cell's next actor.
 */

#include "mailbox/inbox.h"
#include "pool/cell.h"
#include "tests/step/stepper.h"

#include <string.h>

#define REQUESTERS 2u
#define TAKEN_MAX  4u

static struct trp_cell_table table;
static struct trp_cell *cell;
static troupe_ref ref;
static struct trp_inbox inbox;             /* carries the node to the owner */
static enum trp_end_verb taken[TAKEN_MAX]; /* by the owner */
static uint32_t taken_count;
static bool is_coming; /* what close said */
static const struct troupe_actor_type type = {.name = "ended"};

/* The table stays, so that its memory is at the same address each time; the generation moves on. */
static void reset(void)
{
    if (table.used == 0) {
        STEP_CHECK(trp_cells_init(&table, 0, 16) == TROUPE_OK);
    }
    if (cell != NULL) {
        trp_cells_give(&table, cell);
    }
    cell = trp_cells_take(&table, &type);
    STEP_CHECK(cell != NULL);
    trp_cell_set_status(cell, TRP_CELL_ALIVE);
    ref = trp_cell_ref(cell);
    memset(&inbox, 0, sizeof(inbox));
    memset(taken, 0, sizeof(taken));
    taken_count = 0;
    is_coming = false;
}

static void request(enum trp_end_verb verb)
{
    struct troupe_msg *node = trp_cells_request_end(&table, ref, verb);
    if (node != NULL) {
        STEP_CHECK(trp_inbox_push(&inbox, node, node));
    }
}

static void request_drain(void)
{
    request(TRP_END_DRAIN);
}

static void request_stop(void)
{
    request(TRP_END_STOP);
}

static void request_kill(void)
{
    request(TRP_END_KILL);
}

static void request_drain_and_kill(void)
{
    request(TRP_END_DRAIN);
    request(TRP_END_KILL);
}

/* The owner looks into its inbox once. */
static void receive(void)
{
    struct troupe_msg *msg = trp_inbox_take(&inbox);
    if (msg != NULL) {
        STEP_CHECK(msg == &cell->end_msg);
        STEP_CHECK(msg->next == NULL); /* queued once */
        STEP_CHECK(taken_count < TAKEN_MAX);
        taken[taken_count++] = trp_cell_take_end(cell);
    }
}

static void receive_twice(void)
{
    receive();
    receive();
}

static void receive_and_close(void)
{
    receive();
    is_coming = trp_cell_close_end(cell);
}

/* As when an actor ends and its cell is used again as soon as it may be. */
static void close_and_reuse(void)
{
    is_coming = trp_cell_close_end(cell);
    if (is_coming) {
        receive();
        is_coming = taken_count == 0;
    }
    if (!is_coming) {
        trp_cells_give(&table, cell);
        struct trp_cell *next = trp_cells_take(&table, &type);
        STEP_CHECK(next == cell);
        STEP_CHECK(trp_cell_ref(next) != ref);
    }
}

/* --- checks --- */

static void harshest_arrived(enum trp_end_verb harshest)
{
    receive();
    receive();
    STEP_CHECK(taken_count != 0);
    STEP_CHECK(taken[taken_count - 1] == harshest);
    for (uint32_t i = 1; i < taken_count; i++) {
        STEP_CHECK(taken[i] > taken[i - 1]); /* each node says something new */
    }
}

static void kill_arrived(void)
{
    harshest_arrived(TRP_END_KILL);
}

static void stop_arrived(void)
{
    harshest_arrived(TRP_END_STOP);
    STEP_CHECK(taken_count == 1);
}

/* After the close exactly the announced node arrives, and later requests bring none. */
static void closed_means_closed(void)
{
    uint32_t before = taken_count;
    receive();
    STEP_CHECK((taken_count != before) == is_coming);
    STEP_CHECK(trp_cells_request_end(&table, ref, TRP_END_KILL) == NULL);
    STEP_CHECK(!trp_inbox_has_work(&inbox));
}

static void next_actor_is_untouched(void)
{
    if (is_coming) {
        closed_means_closed();
        return;
    }
    STEP_CHECK(!trp_inbox_has_work(&inbox));
    STEP_CHECK(trp_cells_request_end(&table, ref, TRP_END_KILL) == NULL);
    STEP_CHECK(trp_cell_take_end(cell) == TRP_END_NONE);
    /* and can be ended like any other */
    STEP_CHECK(trp_cells_request_end(&table, trp_cell_ref(cell), TRP_END_STOP) == &cell->end_msg);
    STEP_CHECK(trp_cell_take_end(cell) == TRP_END_STOP);
}

int main(int argc, char **argv)
{
    static const struct step_case cases[] = {
        {.name = "different_verbs",
         .thread_count = 3,
         .threads = {request_drain, request_kill, receive_twice},
         .setup = reset,
         .check = kill_arrived},
        {.name = "same_verb",
         .thread_count = 3,
         .threads = {request_stop, request_stop, receive_twice},
         .setup = reset,
         .check = stop_arrived},
        {.name = "harsher_and_harsher",
         .thread_count = 3,
         .threads = {request_drain_and_kill, request_stop, receive_twice},
         .setup = reset,
         .check = kill_arrived},
        {.name = "close",
         .thread_count = 3,
         .threads = {request_drain_and_kill, request_stop, receive_and_close},
         .setup = reset,
         .check = closed_means_closed},
        {.name = "reuse",
         .thread_count = 3,
         .threads = {request_kill, request_drain, close_and_reuse},
         .setup = reset,
         .check = next_actor_is_untouched},
    };
    return step_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
