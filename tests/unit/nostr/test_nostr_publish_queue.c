#include "tests/cmocka.h"

#include "actors/nostr/publish_queue.h"

#include <string.h>

static struct trp_publish_queue *make_queue(void)
{
    static struct trp_publish_queue queue;
    memset(&queue, 0, sizeof(queue));
    queue.limits = (struct trp_publish_limits){
        .count_max = 4, .bytes_max = 1000, .publish_ns = 300, .ok_ns = 100};
    return &queue;
}

static void make_entry(struct trp_publish *entry, uint8_t number, uint32_t bytes)
{
    memset(entry, 0, sizeof(*entry));
    entry->id[0] = number;
    entry->id[31] = 7;
    entry->bytes = bytes;
}

static void push(struct trp_publish_queue *queue, struct trp_publish *entry, uint64_t now)
{
    assert_int_equal(trp_publish_push(queue, entry, now), TROUPE_OK);
}

static void an_answered_event_is_done(void **state)
{
    (void)state;
    struct trp_publish_queue *queue = make_queue();
    struct trp_publish a;
    make_entry(&a, 1, 10);
    push(queue, &a, 0);
    assert_null(trp_publish_answer(queue, a.id)); /* an OK for what was never sent */
    assert_ptr_equal(trp_publish_next(queue), &a);
    trp_publish_sent(queue, &a, 5);
    assert_null(trp_publish_next(queue));
    assert_int_equal(queue->count, 1);
    assert_ptr_equal(trp_publish_answer(queue, a.id), &a);
    assert_null(trp_publish_answer(queue, a.id));
    assert_int_equal(queue->count, 0);
    assert_int_equal(queue->bytes, 0);
    assert_int_equal(trp_publish_due_ns(queue), UINT64_MAX);
}

static void the_queue_is_bounded(void **state)
{
    (void)state;
    struct trp_publish_queue *queue = make_queue();
    struct trp_publish e[6];
    for (uint8_t i = 0; i < 6; i++) {
        make_entry(&e[i], i, 200);
    }
    e[0].bytes = 5000; /* alone it may exceed the bytes */
    push(queue, &e[0], 0);
    assert_int_equal(trp_publish_push(queue, &e[1], 0), TROUPE_EBUSY);
    assert_ptr_equal(trp_publish_take(queue), &e[0]);
    for (uint8_t i = 1; i < 5; i++) {
        push(queue, &e[i], 0);
    }
    assert_int_equal(trp_publish_push(queue, &e[5], 0), TROUPE_EBUSY); /* the count */
    assert_ptr_equal(trp_publish_take(queue), &e[1]);
    e[5].bytes = 401;
    assert_int_equal(trp_publish_push(queue, &e[5], 0), TROUPE_EBUSY); /* the bytes */
    e[5].bytes = 400;
    push(queue, &e[5], 0);
}

static void the_same_event_is_refused(void **state)
{
    (void)state;
    struct trp_publish_queue *queue = make_queue();
    struct trp_publish a;
    struct trp_publish b;
    make_entry(&a, 1, 10);
    make_entry(&b, 1, 10);
    push(queue, &a, 0);
    assert_int_equal(trp_publish_push(queue, &b, 0), TROUPE_EEXIST);
}

static void an_unanswered_event_is_sent_once_more(void **state)
{
    (void)state;
    struct trp_publish_queue *queue = make_queue();
    struct trp_publish a;
    struct trp_publish b;
    struct trp_publish c;
    struct trp_publish *gone = NULL;
    make_entry(&a, 1, 10);
    make_entry(&b, 2, 10);
    make_entry(&c, 3, 10);
    push(queue, &a, 0);
    push(queue, &b, 0);
    trp_publish_sent(queue, &a, 0);
    trp_publish_sent(queue, &b, 0);
    push(queue, &c, 50);
    assert_int_equal(trp_publish_due_ns(queue), 100);
    assert_int_equal(trp_publish_expire(queue, &gone, 99), TRP_PUBLISH_NONE);
    assert_int_equal(trp_publish_expire(queue, &gone, 100), TRP_PUBLISH_RETRY);
    assert_int_equal(trp_publish_expire(queue, &gone, 100), TRP_PUBLISH_RETRY);
    assert_int_equal(trp_publish_expire(queue, &gone, 100), TRP_PUBLISH_NONE);
    /* a late OK is still good */
    assert_ptr_equal(trp_publish_next(queue), &a);
    assert_ptr_equal(trp_publish_answer(queue, a.id), &a);
    assert_ptr_equal(trp_publish_next(queue), &b);
    trp_publish_sent(queue, &b, 110);
    assert_ptr_equal(trp_publish_next(queue), &c);
    trp_publish_sent(queue, &c, 115);
    assert_int_equal(trp_publish_expire(queue, &gone, 210), TRP_PUBLISH_UNANSWERED);
    assert_ptr_equal(gone, &b);
    assert_int_equal(trp_publish_expire(queue, &gone, 214), TRP_PUBLISH_NONE);
    assert_int_equal(trp_publish_expire(queue, &gone, 215), TRP_PUBLISH_RETRY);
}

static void an_event_past_its_deadline_is_given_up(void **state)
{
    (void)state;
    struct trp_publish_queue *queue = make_queue();
    struct trp_publish a;
    struct trp_publish b;
    struct trp_publish *gone = NULL;
    make_entry(&a, 1, 10);
    make_entry(&b, 2, 10);
    push(queue, &a, 0);
    push(queue, &b, 200);
    assert_int_equal(trp_publish_due_ns(queue), 300);
    assert_int_equal(trp_publish_expire(queue, &gone, 300), TRP_PUBLISH_EXPIRED);
    assert_ptr_equal(gone, &a);
    /* sent just before its deadline: no second try after it */
    trp_publish_sent(queue, &b, 450);
    assert_int_equal(trp_publish_expire(queue, &gone, 549), TRP_PUBLISH_NONE);
    assert_int_equal(trp_publish_expire(queue, &gone, 550), TRP_PUBLISH_UNANSWERED);
    assert_ptr_equal(gone, &b);
    assert_null(trp_publish_take(queue));
}

static void a_cut_brings_the_unanswered_back_in_order(void **state)
{
    (void)state;
    struct trp_publish_queue *queue = make_queue();
    struct trp_publish e[4];
    struct trp_publish *gone = NULL;
    for (uint8_t i = 0; i < 4; i++) {
        make_entry(&e[i], i, 1);
        push(queue, &e[i], i);
    }
    for (uint8_t i = 0; i < 3; i++) {
        trp_publish_sent(queue, &e[i], i);
    }
    trp_publish_requeue(queue);
    assert_null(trp_publish_answer(queue, e[0].id)); /* of the old connection */
    for (uint8_t i = 0; i < 4; i++) {
        assert_ptr_equal(trp_publish_next(queue), &e[i]);
        trp_publish_sent(queue, &e[i], 200);
    }
    /* a new connection is a new chance, the deadline stands */
    assert_int_equal(trp_publish_expire(queue, &gone, 299), TRP_PUBLISH_NONE);
    assert_int_equal(trp_publish_expire(queue, &gone, 300), TRP_PUBLISH_UNANSWERED);
    assert_ptr_equal(gone, &e[0]);
}

static void the_decision_table(void **state)
{
    (void)state;
    static const struct {
        bool accepted;
        const char *text;
        enum trp_publish_answer_kind kind;
    } rows[] = {
        {true, "", TRP_PUBLISH_ACCEPTED},
        {true, "pow: difficulty 25>=24", TRP_PUBLISH_ACCEPTED},
        {true, "duplicate: already have this event", TRP_PUBLISH_DUPLICATE},
        {false, "duplicate: already have this event", TRP_PUBLISH_DUPLICATE},
        {false, "duplicate", TRP_PUBLISH_REFUSED},
        {false, "blocked: you are banned", TRP_PUBLISH_REFUSED},
        {false, "rate-limited: slow down", TRP_PUBLISH_REFUSED},
        {false, "mute: nobody listens", TRP_PUBLISH_REFUSED},
        {false, "invalid: date", TRP_PUBLISH_REFUSED},
        {false, "something new", TRP_PUBLISH_REFUSED},
        {false, "", TRP_PUBLISH_REFUSED},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(trp_publish_judge(rows[i].accepted, troupe_span_cstr(rows[i].text)),
                         rows[i].kind);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answered_event_is_done),
        cmocka_unit_test(the_queue_is_bounded),
        cmocka_unit_test(the_same_event_is_refused),
        cmocka_unit_test(an_unanswered_event_is_sent_once_more),
        cmocka_unit_test(an_event_past_its_deadline_is_given_up),
        cmocka_unit_test(a_cut_brings_the_unanswered_back_in_order),
        cmocka_unit_test(the_decision_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
