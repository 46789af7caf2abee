/*
 * The inbox under all interleavings: what was accepted is taken exactly once and in order per
 * producer, what was refused is still the producer's, chain and all.
 */

#include "mailbox/inbox.h"
#include "tests/step/stepper.h"

#include <string.h>

#define PRODUCERS    2u
#define MESSAGES_MAX 4u
#define OWNER        PRODUCERS
#define TAKEN_MAX    (PRODUCERS * MESSAGES_MAX)

static struct trp_inbox inbox;
static struct troupe_msg messages[PRODUCERS][MESSAGES_MAX];
static uint32_t accepted[PRODUCERS]; /* messages, from the first on; by the producer */
static uint32_t refused[PRODUCERS];
static struct troupe_msg *taken[TAKEN_MAX]; /* by the owner */
static uint32_t taken_count;

static void reset(void)
{
    memset(&inbox, 0, sizeof(inbox));
    memset(messages, 0, sizeof(messages));
    memset(accepted, 0, sizeof(accepted));
    memset(refused, 0, sizeof(refused));
    taken_count = 0;
    for (uint32_t p = 0; p < PRODUCERS; p++) {
        for (uint32_t i = 0; i < MESSAGES_MAX; i++) {
            messages[p][i].from = p;
            messages[p][i].size = i;
        }
    }
}

/* Pushes the next `count` messages of this producer as one chain. */
static void push(uint32_t count)
{
    uint32_t me = step_thread();
    uint32_t first = accepted[me] + refused[me];
    struct troupe_msg *oldest = &messages[me][first];
    struct troupe_msg *newest = &messages[me][first + count - 1];
    for (uint32_t i = 1; i < count; i++) {
        oldest[i].next = &oldest[i - 1];
    }
    if (trp_inbox_push(&inbox, newest, oldest)) {
        STEP_CHECK(refused[me] == 0); /* closed is for ever */
        accepted[me] += count;
        return;
    }
    refused[me] += count;
    for (uint32_t i = 1; i < count; i++) {
        STEP_CHECK(oldest[i].next == &oldest[i - 1]);
    }
}

static void push_one_and_one(void)
{
    push(1);
    push(1);
}

static void push_three_and_one(void)
{
    push(3);
    push(1);
}

static void push_two(void)
{
    push(2);
}

static void push_one(void)
{
    push(1);
}

static void note(struct troupe_msg *msg)
{
    for (; msg != NULL; msg = msg->next) {
        STEP_CHECK(taken_count < TAKEN_MAX);
        taken[taken_count++] = msg;
    }
}

static void take_take_close(void)
{
    note(trp_inbox_take(&inbox));
    note(trp_inbox_take(&inbox));
    note(trp_inbox_close(&inbox));
    STEP_CHECK(trp_inbox_take(&inbox) == NULL);
}

static void take_close_close(void)
{
    note(trp_inbox_take(&inbox));
    note(trp_inbox_close(&inbox));
    STEP_CHECK(trp_inbox_close(&inbox) == NULL);
}

static void close_at_once(void)
{
    note(trp_inbox_close(&inbox));
}

static void accepted_is_taken(void)
{
    uint32_t next[PRODUCERS] = {0};
    for (uint32_t i = 0; i < taken_count; i++) {
        STEP_CHECK(taken[i]->from < PRODUCERS);
        STEP_CHECK(taken[i]->size == next[taken[i]->from]); /* neither twice nor out of order */
        next[taken[i]->from]++;
    }
    for (uint32_t p = 0; p < PRODUCERS; p++) {
        STEP_CHECK(next[p] == accepted[p]);
    }
    STEP_CHECK(!trp_inbox_has_work(&inbox));
}

int main(int argc, char **argv)
{
    static const struct step_case cases[] = {
        {.name = "singles",
         .thread_count = 3,
         .threads = {push_one_and_one, push_one_and_one, take_take_close},
         .setup = reset,
         .check = accepted_is_taken},
        {.name = "chains",
         .thread_count = 3,
         .threads = {push_three_and_one, push_two, take_close_close},
         .setup = reset,
         .check = accepted_is_taken},
        {.name = "close_at_once",
         .thread_count = 3,
         .threads = {push_two, push_one, close_at_once},
         .setup = reset,
         .check = accepted_is_taken},
    };
    return step_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
