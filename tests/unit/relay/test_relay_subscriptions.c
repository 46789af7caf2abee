#include "tests/cmocka.h"

#include "tests/unit/relay/events.h"

#include "actors/relay/subscriptions.h"
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

/* A subscription with these filters; the list ends with NULL. */
static struct trp_relay_sub *make_sub(const char *id, const char *const *filters)
{
    static uint64_t area[4096];
    size_t used = 0;
    uint32_t count = 0;
    for (; filters[count] != NULL; count++) {
        struct trp_nostr_filter *filter = event_filter(&maker, filters[count]);
        memcpy((char *)area + used, filter, filter->size);
        used += trp_relay_filter_room(filter->size);
        assert_true(used <= sizeof(area));
        free(filter);
    }
    struct trp_relay_filters read = {area, count};
    size_t size = trp_relay_sub_size(&read, troupe_span_cstr(id));
    struct troupe_buf *memory = trp_buf_alloc(&heap, (uint32_t)size);
    assert_non_null(memory);
    struct trp_relay_sub *sub = trp_relay_sub_init(memory, &read, troupe_span_cstr(id));
    memset(area, 0xEE, sizeof(area)); /* nothing points into it */
    return sub;
}

struct matched {
    char text[256];
};

static void remember(void *arg, struct trp_relay_sub *sub)
{
    struct matched *matched = arg;
    size_t len = strlen(matched->text);
    (void)snprintf(matched->text + len, sizeof(matched->text) - len, "%.*s", (int)sub->id.len,
                   sub->id.data);
}

static int compare_bytes(const void *a, const void *b)
{
    return *(const char *)a - *(const char *)b;
}

/* Ids of the subscriptions (one letter each) that get the event, sorted. */
static void
expect_match(struct trp_relay_subs *subs, const struct event_spec *spec, const char *wanted)
{
    struct matched matched = {.text = ""};
    struct trp_nostr_event *event = event_make(&maker, spec);
    trp_relay_subs_match(subs, event, remember, &matched);
    qsort(matched.text, strlen(matched.text), 1, compare_bytes);
    assert_string_equal(matched.text, wanted);
    free(event);
}

static void events_reach_the_subscriptions_that_want_them(void **state)
{
    (void)state;
    const struct {
        const char *id;
        const char *filters[4];
    } specs[] = {
        {"a", {"{\"#p\":[\"k1\"],\"kinds\":[25910]}"}},
        {"b", {"{\"#p\":[\"k1\",\"k2\"]}"}},
        {"c", {"{\"kinds\":[25910]}"}},
        {"d", {"{\"#p\":[\"k2\"]}", "{\"kinds\":[1]}"}},
        {"e", {"{\"#p\":[\"k1\"],\"#t\":[\"x\"]}"}},
        {"f", {"{\"#p\":[]}"}},
        {"g", {"{\"#p\":[\"k1\"]}", "{\"#p\":[\"k1\"],\"kinds\":[25910]}", "{}"}},
        {"h", {"{\"#p\":[\"\"]}"}},
    };
    struct trp_relay_subs *subs = trp_relay_subs_create(64, 7);
    struct trp_relay_sub *made[8];
    for (int i = 0; i < 8; i++) {
        made[i] = make_sub(specs[i].id, specs[i].filters);
        trp_relay_subs_add(subs, made[i]);
    }
    struct event_spec spec = {.kind = 25910, .tags = {{"p", "k1"}}};
    expect_match(subs, &spec, "abcg");
    struct event_spec both = {.kind = 25910, .tags = {{"p", "k1"}, {"p", "k2"}, {"p", "k1"}}};
    expect_match(subs, &both, "abcdg");
    struct event_spec note = {.kind = 1};
    expect_match(subs, &note, "dg");
    struct event_spec tagged = {.kind = 7, .tags = {{"t", "x"}, {"p", "k1"}}};
    expect_match(subs, &tagged, "beg");
    struct event_spec other = {.kind = 7, .tags = {{"p", "k3"}}};
    expect_match(subs, &other, "g");
    struct event_spec empty = {.kind = 7, .tags = {{"p", ""}}};
    expect_match(subs, &empty, "gh");
    for (int i = 0; i < 8; i += 2) {
        trp_relay_subs_remove(subs, made[i]);
        trp_relay_sub_free(made[i]);
    }
    expect_match(subs, &both, "bd");
    for (int i = 1; i < 8; i += 2) {
        trp_relay_subs_remove(subs, made[i]);
        trp_relay_sub_free(made[i]);
    }
    expect_match(subs, &both, "");
    trp_relay_subs_destroy(subs);
}

static void thousands_of_keys_stay_apart(void **state)
{
    (void)state;
    enum { COUNT = 2000 };
    static struct trp_relay_sub *made[COUNT];
    struct trp_relay_subs *subs = trp_relay_subs_create(256, 7);
    char filter[64];
    char id[2] = "x";
    for (int i = 0; i < COUNT; i++) {
        const char *filters[2] = {filter, NULL};
        (void)snprintf(filter, sizeof(filter), "{\"#p\":[\"key-%d\"]}", i);
        made[i] = make_sub(id, filters);
        made[i]->serial = (uint64_t)i;
        trp_relay_subs_add(subs, made[i]);
    }
    for (int i = 0; i < COUNT; i += 97) {
        char value[16];
        (void)snprintf(value, sizeof(value), "key-%d", i);
        struct event_spec spec = {.kind = 25910, .tags = {{"p", value}}};
        expect_match(subs, &spec, "x");
    }
    for (int i = 0; i < COUNT; i++) {
        trp_relay_subs_remove(subs, made[i]);
        trp_relay_sub_free(made[i]);
    }
    trp_relay_subs_destroy(subs);
}

static void the_prefix_is_json_for_every_id(void **state)
{
    (void)state;
    const char *filters[2] = {"{}", NULL};
    struct trp_relay_sub *sub = make_sub("a\"b\\c\n", filters);
    const char wanted[] = "[\"EVENT\",\"a\\\"b\\\\c\\n\",";
    assert_int_equal(sub->prefix.len, strlen(wanted));
    assert_memory_equal(sub->prefix.data, wanted, sub->prefix.len);
    trp_relay_sub_free(sub);
    char longest[TRP_NOSTR_SUB_CHARS_MAX + 1];
    memset(longest, 1, sizeof(longest) - 1); /* each takes 6 bytes */
    longest[sizeof(longest) - 1] = '\0';
    sub = make_sub(longest, filters);
    assert_true(sub->prefix.len > 6 * TRP_NOSTR_SUB_CHARS_MAX);
    assert_true(sub->prefix.len <= TRP_RELAY_PREFIX_MAX);
    trp_relay_sub_free(sub);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_reach_the_subscriptions_that_want_them),
        cmocka_unit_test(thousands_of_keys_stay_apart),
        cmocka_unit_test(the_prefix_is_json_for_every_id),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
