#include "tests/cmocka.h"

#include "tests/unit/relay/events.h"

#include "actors/relay/store.h"
#include "mailbox/slab.h"

#include <stdio.h>
#include <stdlib.h>

static struct trp_heap heap;
static struct event_maker maker;

static int set_up(void **state)
{
    (void)state;
    trp_heap_init(&heap, 256u << 20);
    trp_heap_current = &heap;
    event_maker_init(&maker);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    event_maker_fini(&maker);
    trp_heap_fini(&heap);
    trp_heap_current = NULL;
    return 0;
}

static struct trp_relay_store *make_store(uint32_t count_max, uint64_t bytes_max)
{
    struct trp_relay_store_limits limits = {count_max, bytes_max};
    struct trp_relay_store *store = trp_relay_store_create(limits, 42);
    assert_non_null(store);
    return store;
}

/* Offers the event; the store alone holds it afterwards. */
static enum trp_relay_put put(struct trp_relay_store *store, const struct event_spec *spec)
{
    struct troupe_buf *packet = event_packet(&maker, spec);
    enum trp_relay_put result = trp_relay_store_put(store, packet);
    assert_int_equal(packet->count, result == TRP_RELAY_PUT_STORED ? 2 : 1);
    troupe_buf_release(packet);
    return result;
}

static enum trp_relay_put put_note(struct trp_relay_store *store, uint64_t at, const char *text)
{
    struct event_spec spec = {.kind = 1, .created_at = at, .content = text};
    return put(store, &spec);
}

struct found {
    char text[512]; /* contents, separated by blanks */
    uint32_t count;
    uint32_t stop_at;
};

static bool remember(void *arg, struct troupe_buf *packet)
{
    struct found *found = arg;
    struct troupe_span content = trp_nostr_event_content(trp_nostr_packet_event(packet));
    size_t len = strlen(found->text);
    (void)snprintf(found->text + len, sizeof(found->text) - len, "%s%.*s", len > 0 ? " " : "",
                   (int)content.len, content.data);
    return ++found->count != found->stop_at;
}

/* All that the filters find, in one go. */
static void expect_found(const struct trp_relay_store *store,
                         const char *first,
                         const char *second,
                         uint32_t limit_max,
                         const char *wanted)
{
    struct trp_nostr_filter *filters[2] = {event_filter(&maker, first),
                                           second != NULL ? event_filter(&maker, second) : NULL};
    const struct trp_nostr_filter *const pointers[2] = {filters[0], filters[1]};
    uint32_t remaining[2];
    struct trp_relay_query query;
    struct found found = {.text = ""};
    uint32_t budget = 10000;
    trp_relay_query_begin(store, &query, pointers, second != NULL ? 2 : 1, remaining, limit_max);
    trp_relay_query_run(store, &query, &budget, remember, &found);
    assert_true(query.is_done);
    assert_string_equal(found.text, wanted);
    free(filters[0]);
    free(filters[1]);
}

static void events_come_newest_first_and_once(void **state)
{
    (void)state;
    struct trp_relay_store *store = make_store(100, 1u << 20);
    assert_int_equal(put_note(store, 20, "b"), TRP_RELAY_PUT_STORED);
    assert_int_equal(put_note(store, 30, "c"), TRP_RELAY_PUT_STORED);
    assert_int_equal(put_note(store, 10, "a"), TRP_RELAY_PUT_STORED);
    assert_int_equal(put_note(store, 10, "a"), TRP_RELAY_PUT_DUPLICATE);
    assert_int_equal(trp_relay_store_count(store), 3);
    expect_found(store, "{}", NULL, 500, "c b a");
    expect_found(store, "{\"limit\":2}", NULL, 500, "c b");
    expect_found(store, "{\"limit\":0}", NULL, 500, "");
    expect_found(store, "{}", NULL, 1, "c");
    expect_found(store, "{\"since\":20}", NULL, 500, "c b");
    expect_found(store, "{\"until\":20}", NULL, 500, "b a");
    expect_found(store, "{\"since\":11,\"until\":29}", NULL, 500, "b");
    /* an event that two filters want comes once, and counts for both */
    expect_found(store, "{\"limit\":1}", "{\"limit\":2}", 500, "c b");
    expect_found(store, "{\"until\":10}", "{\"since\":30}", 500, "c a");
    expect_found(store, "{\"kinds\":[]}", "{\"kinds\":[1],\"until\":10}", 500, "a");
    trp_relay_store_destroy(store);
}

static void ties_are_ordered_by_id(void **state)
{
    (void)state;
    struct trp_relay_store *store = make_store(100, 1u << 20);
    const char *texts[4] = {"p", "q", "r", "s"};
    struct trp_nostr_event *events[4];
    for (int i = 0; i < 4; i++) {
        struct event_spec spec = {.kind = 1, .created_at = 5, .content = texts[i]};
        events[i] = event_make(&maker, &spec);
        assert_int_equal(put(store, &spec), TRP_RELAY_PUT_STORED);
    }
    char wanted[16] = "";
    for (int n = 0; n < 4; n++) {
        int lowest = -1;
        for (int i = 0; i < 4; i++) {
            if (events[i] != NULL &&
                (lowest < 0 || memcmp(events[i]->id, events[lowest]->id, 32) < 0)) {
                lowest = i;
            }
        }
        (void)snprintf(wanted + strlen(wanted), sizeof(wanted) - strlen(wanted), "%s%s",
                       n > 0 ? " " : "", texts[lowest]);
        free(events[lowest]);
        events[lowest] = NULL;
    }
    expect_found(store, "{}", NULL, 500, wanted);
    trp_relay_store_destroy(store);
}

static void the_oldest_leave_at_the_bounds(void **state)
{
    (void)state;
    struct trp_relay_store *store = make_store(3, 1u << 20);
    assert_int_equal(put_note(store, 10, "a"), TRP_RELAY_PUT_STORED);
    assert_int_equal(put_note(store, 20, "b"), TRP_RELAY_PUT_STORED);
    assert_int_equal(put_note(store, 30, "c"), TRP_RELAY_PUT_STORED);
    assert_int_equal(put_note(store, 5, "z"), TRP_RELAY_PUT_UNKEPT);
    assert_int_equal(put_note(store, 15, "d"), TRP_RELAY_PUT_STORED);
    expect_found(store, "{}", NULL, 500, "c b d");
    trp_relay_store_destroy(store);

    struct event_spec spec = {.kind = 1, .created_at = 1, .content = "0000"};
    struct troupe_buf *packet = event_packet(&maker, &spec);
    store = make_store(100, 1u << 20);
    assert_int_equal(trp_relay_store_put(store, packet), TRP_RELAY_PUT_STORED);
    uint64_t weight = trp_relay_store_bytes(store);
    troupe_buf_release(packet);
    trp_relay_store_destroy(store);

    store = make_store(100, 3 * weight + 16);
    char text[8];
    for (uint64_t i = 1; i <= 10; i++) {
        (void)snprintf(text, sizeof(text), "%04d", (int)i);
        assert_int_equal(put_note(store, i, text), TRP_RELAY_PUT_STORED);
        assert_true(trp_relay_store_bytes(store) <= 3 * weight + 16);
    }
    expect_found(store, "{}", NULL, 500, "0010 0009 0008");
    char huge[2000];
    memset(huge, 'x', sizeof(huge) - 1);
    huge[sizeof(huge) - 1] = '\0';
    uint64_t before = trp_relay_store_bytes(store);
    assert_true(before < sizeof(huge) * 2);
    assert_int_equal(put_note(store, 11, huge), TRP_RELAY_PUT_UNKEPT);
    assert_int_equal(trp_relay_store_bytes(store), before);
    trp_relay_store_clear(store);
    assert_int_equal(trp_relay_store_bytes(store), 0);
    expect_found(store, "{}", NULL, 500, "");
    trp_relay_store_destroy(store);
}

static void many_events_in_any_order(void **state)
{
    (void)state;
    struct trp_relay_store *store = make_store(50, 1u << 20);
    char text[8];
    for (uint64_t i = 0; i < 400; i++) {
        uint64_t at = (i * 167) % 400; /* every number below 400 once */
        (void)snprintf(text, sizeof(text), "%d", (int)at);
        enum trp_relay_put result = put_note(store, at, text);
        assert_true(result == TRP_RELAY_PUT_STORED || result == TRP_RELAY_PUT_UNKEPT);
    }
    assert_int_equal(trp_relay_store_count(store), 50);
    expect_found(store, "{\"limit\":3}", NULL, 500, "399 398 397");
    expect_found(store, "{\"until\":352}", NULL, 500, "352 351 350");
    trp_relay_store_destroy(store);
}

static void replaceable_events_have_one_version(void **state)
{
    (void)state;
    struct trp_relay_store *store = make_store(100, 1u << 20);
    struct event_spec spec = {.kind = 10002, .created_at = 10, .content = "old"};
    assert_int_equal(put(store, &spec), TRP_RELAY_PUT_STORED);
    spec.content = "new";
    spec.created_at = 11;
    assert_int_equal(put(store, &spec), TRP_RELAY_PUT_STORED);
    spec.content = "older";
    spec.created_at = 9;
    assert_int_equal(put(store, &spec), TRP_RELAY_PUT_OUTDATED);
    spec.key = 1;
    assert_int_equal(put(store, &spec), TRP_RELAY_PUT_STORED); /* somebody else's */
    spec.kind = 10003;
    spec.content = "kind";
    assert_int_equal(put(store, &spec), TRP_RELAY_PUT_STORED);
    expect_found(store, "{\"kinds\":[10002]}", NULL, 500, "new older");
    expect_found(store, "{\"kinds\":[10003]}", NULL, 500, "kind");
    const uint32_t kinds[3] = {0, 3, 19999};
    for (int i = 0; i < 3; i++) {
        struct event_spec other = {.kind = kinds[i], .created_at = 1, .content = "1"};
        assert_int_equal(put(store, &other), TRP_RELAY_PUT_STORED);
        other.created_at = 2;
        assert_int_equal(put(store, &other), TRP_RELAY_PUT_STORED);
    }
    expect_found(store, "{\"kinds\":[0,3,19999]}", NULL, 500, "1 1 1");
    trp_relay_store_destroy(store);
}

static void in_one_second_the_lower_id_wins(void **state)
{
    (void)state;
    struct event_spec specs[2] = {{.kind = 10002, .created_at = 10, .content = "x"},
                                  {.kind = 10002, .created_at = 10, .content = "y"}};
    struct trp_nostr_event *events[2] = {event_make(&maker, &specs[0]),
                                         event_make(&maker, &specs[1])};
    int low = memcmp(events[0]->id, events[1]->id, 32) < 0 ? 0 : 1;
    struct trp_relay_store *store = make_store(100, 1u << 20);
    assert_int_equal(put(store, &specs[1 - low]), TRP_RELAY_PUT_STORED);
    assert_int_equal(put(store, &specs[low]), TRP_RELAY_PUT_STORED);
    assert_int_equal(put(store, &specs[1 - low]), TRP_RELAY_PUT_OUTDATED);
    expect_found(store, "{}", NULL, 500, specs[low].content);
    trp_relay_store_destroy(store);
    free(events[0]);
    free(events[1]);
}

static void addressable_events_have_one_version_per_d(void **state)
{
    (void)state;
    struct trp_relay_store *store = make_store(100, 1u << 20);
    struct event_spec spec = {
        .kind = 30001, .created_at = 10, .content = "a1", .tags = {{"d", "a"}}};
    assert_int_equal(put(store, &spec), TRP_RELAY_PUT_STORED);
    struct event_spec other = {
        .kind = 30001, .created_at = 11, .content = "b1", .tags = {{"d", "b"}}};
    assert_int_equal(put(store, &other), TRP_RELAY_PUT_STORED);
    spec.content = "a2";
    spec.created_at = 12;
    assert_int_equal(put(store, &spec), TRP_RELAY_PUT_STORED);
    /* no d tag and an empty one are the same address */
    struct event_spec none = {.kind = 30001, .created_at = 13, .content = "n1"};
    assert_int_equal(put(store, &none), TRP_RELAY_PUT_STORED);
    struct event_spec empty = {
        .kind = 30001, .created_at = 14, .content = "n2", .tags = {{"d", ""}}};
    assert_int_equal(put(store, &empty), TRP_RELAY_PUT_STORED);
    expect_found(store, "{\"kinds\":[30001]}", NULL, 500, "n2 a2 b1");
    trp_relay_store_destroy(store);
}

static void authors_delete_their_own_events_only(void **state)
{
    (void)state;
    struct trp_relay_store *store = make_store(100, 1u << 20);
    struct event_spec mine = {.kind = 1, .created_at = 10, .content = "mine"};
    struct event_spec yours = {.key = 1, .kind = 1, .created_at = 11, .content = "yours"};
    struct event_spec list = {
        .kind = 30001, .created_at = 12, .content = "list", .tags = {{"d", "a:b"}}};
    struct event_spec later = {
        .kind = 30001, .created_at = 99, .content = "later", .tags = {{"d", "c"}}};
    assert_int_equal(put(store, &mine), TRP_RELAY_PUT_STORED);
    assert_int_equal(put(store, &yours), TRP_RELAY_PUT_STORED);
    assert_int_equal(put(store, &list), TRP_RELAY_PUT_STORED);
    assert_int_equal(put(store, &later), TRP_RELAY_PUT_STORED);
    char ids[2][65];
    struct trp_nostr_event *event = event_make(&maker, &mine);
    event_id_hex(ids[0], event);
    free(event);
    event = event_make(&maker, &yours);
    event_id_hex(ids[1], event);
    free(event);
    char addresses[2][100];
    (void)snprintf(addresses[0], sizeof(addresses[0]), "30001:%s:a:b", maker.pubkeys[0]);
    (void)snprintf(addresses[1], sizeof(addresses[1]), "30001:%s:c", maker.pubkeys[0]);
    struct event_spec deletion = {.kind = 5,
                                  .created_at = 50,
                                  .content = "deletion",
                                  .tags = {{"e", ids[0]},
                                           {"e", ids[1]},
                                           {"e", "nonsense"},
                                           {"a", addresses[0]},
                                           {"a", addresses[1]},
                                           {"a", "30001:zz:"}}};
    assert_int_equal(put(store, &deletion), TRP_RELAY_PUT_STORED);
    expect_found(store, "{}", NULL, 500, "later deletion yours");
    assert_int_equal(put(store, &mine), TRP_RELAY_PUT_DELETED);
    assert_int_equal(put(store, &yours), TRP_RELAY_PUT_DUPLICATE);
    /* a deletion itself cannot be deleted */
    event = event_make(&maker, &deletion);
    event_id_hex(ids[0], event);
    free(event);
    struct event_spec again = {
        .kind = 5, .created_at = 51, .content = "again", .tags = {{"e", ids[0]}}};
    assert_int_equal(put(store, &again), TRP_RELAY_PUT_STORED);
    expect_found(store, "{\"kinds\":[5]}", NULL, 500, "again deletion");
    trp_relay_store_destroy(store);
}

static void a_search_in_pieces_misses_and_repeats_nothing(void **state)
{
    (void)state;
    struct trp_relay_store *store = make_store(10, 1u << 20);
    char text[8];
    for (uint64_t i = 0; i < 10; i++) {
        (void)snprintf(text, sizeof(text), "%d", (int)i);
        assert_int_equal(put_note(store, 100 + i, text), TRP_RELAY_PUT_STORED);
    }
    struct trp_nostr_filter *filter = event_filter(&maker, "{\"kinds\":[1]}");
    const struct trp_nostr_filter *const pointers[1] = {filter};
    uint32_t remaining[1];
    struct trp_relay_query query;
    struct found found = {.text = "", .stop_at = 2};
    uint32_t budget = 100;
    trp_relay_query_begin(store, &query, pointers, 1, remaining, 500);
    trp_relay_query_run(store, &query, &budget, remember, &found);
    assert_false(query.is_done);
    assert_string_equal(found.text, "9 8");
    assert_int_equal(budget, 98);
    /* what comes in between is not part of it; what leaves is not found */
    assert_int_equal(put_note(store, 104, "x"), TRP_RELAY_PUT_STORED);
    assert_int_equal(put_note(store, 110, "y"), TRP_RELAY_PUT_STORED);
    budget = 2;
    trp_relay_query_run(store, &query, &budget, remember, &found);
    assert_false(query.is_done);
    assert_int_equal(budget, 0);
    assert_string_equal(found.text, "9 8 7 6");
    budget = 100;
    trp_relay_query_run(store, &query, &budget, remember, &found);
    assert_true(query.is_done);
    assert_string_equal(found.text, "9 8 7 6 5 4 3 2");
    trp_relay_query_run(store, &query, &budget, remember, &found);
    assert_int_equal(found.count, 8);
    free(filter);
    trp_relay_store_destroy(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_come_newest_first_and_once),
        cmocka_unit_test(ties_are_ordered_by_id),
        cmocka_unit_test(the_oldest_leave_at_the_bounds),
        cmocka_unit_test(many_events_in_any_order),
        cmocka_unit_test(replaceable_events_have_one_version),
        cmocka_unit_test(in_one_second_the_lower_id_wins),
        cmocka_unit_test(addressable_events_have_one_version_per_d),
        cmocka_unit_test(authors_delete_their_own_events_only),
        cmocka_unit_test(a_search_in_pieces_misses_and_repeats_nothing),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
