#include "tests/cmocka.h"

#include "mailbox/inbox.h"

#include <pthread.h>
#include <stdlib.h>

#define PRODUCERS    3u
#define PER_PRODUCER 100000u

struct producer {
    pthread_t thread;
    struct trp_inbox *inbox;
    struct troupe_msg *messages;
    uint32_t pushed; /* accepted before the inbox closed */
};

static void chains_come_out_in_order(void **state)
{
    (void)state;
    struct trp_inbox inbox = {0};
    struct troupe_msg m[4] = {0};
    assert_null(trp_inbox_take(&inbox));
    assert_true(trp_inbox_push(&inbox, &m[0], &m[0]));
    m[2].next = &m[1]; /* a chain is linked newest first */
    assert_true(trp_inbox_push(&inbox, &m[2], &m[1]));
    assert_true(trp_inbox_push(&inbox, &m[3], &m[3]));
    struct troupe_msg *msg = trp_inbox_take(&inbox);
    for (int i = 0; i < 4; i++) {
        assert_ptr_equal(msg, &m[i]);
        msg = msg->next;
    }
    assert_null(msg);
}

static void closed_refuses_and_keeps_nothing(void **state)
{
    (void)state;
    struct trp_inbox inbox = {0};
    struct troupe_msg m[2] = {0};
    assert_true(trp_inbox_push(&inbox, &m[0], &m[0]));
    assert_ptr_equal(trp_inbox_close(&inbox), &m[0]);
    assert_false(trp_inbox_push(&inbox, &m[1], &m[1]));
    assert_false(trp_inbox_has_work(&inbox));
    assert_null(trp_inbox_take(&inbox));
    assert_null(trp_inbox_close(&inbox));
}

static void *produce(void *arg)
{
    struct producer *producer = arg;
    for (uint32_t i = 0; i < PER_PRODUCER; i++) {
        struct troupe_msg *msg = &producer->messages[i];
        msg->size = i;
        if (!trp_inbox_push(producer->inbox, msg, msg)) {
            break;
        }
        producer->pushed++;
    }
    return NULL;
}

static uint32_t check_order(struct troupe_msg *msg, uint32_t next[PRODUCERS])
{
    uint32_t seen = 0;
    for (; msg != NULL; msg = msg->next, seen++) {
        assert_true(msg->from < PRODUCERS);
        assert_int_equal(msg->size, next[msg->from]);
        next[msg->from]++;
    }
    return seen;
}

static void run_producers(uint32_t close_after)
{
    struct trp_inbox inbox = {0};
    struct producer producers[PRODUCERS];
    uint32_t next[PRODUCERS] = {0};
    for (uint32_t p = 0; p < PRODUCERS; p++) {
        producers[p].inbox = &inbox;
        producers[p].pushed = 0;
        producers[p].messages = calloc(PER_PRODUCER, sizeof(struct troupe_msg));
        for (uint32_t i = 0; i < PER_PRODUCER; i++) {
            producers[p].messages[i].from = p;
        }
        assert_int_equal(pthread_create(&producers[p].thread, NULL, produce, &producers[p]), 0);
    }
    uint32_t seen = 0;
    while (seen < close_after) {
        seen += check_order(trp_inbox_take(&inbox), next);
        trp_spin_pause();
    }
    seen += check_order(trp_inbox_close(&inbox), next);
    uint32_t pushed = 0;
    for (uint32_t p = 0; p < PRODUCERS; p++) {
        pthread_join(producers[p].thread, NULL);
        pushed += producers[p].pushed;
        free(producers[p].messages);
    }
    assert_int_equal(seen, pushed); /* accepted = taken, whenever it closed */
}

static void producers_keep_their_order(void **state)
{
    (void)state;
    run_producers(PRODUCERS * PER_PRODUCER);
}

static void closing_under_fire_loses_nothing(void **state)
{
    (void)state;
    for (uint32_t round = 0; round < 20; round++) {
        run_producers(round * 1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chains_come_out_in_order),
        cmocka_unit_test(closed_refuses_and_keeps_nothing),
        cmocka_unit_test(producers_keep_their_order),
        cmocka_unit_test(closing_under_fire_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
