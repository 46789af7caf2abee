#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/codec/nostr_helper.h"

/* Reads a filter into exactly as many bytes as its bound says; caller frees. NULL when refused. */
static struct trp_nostr_filter *
read_filter(struct nostr_fixture *fixture, const char *json, enum troupe_status wanted)
{
    const struct trp_json_node *root = nostr_parse(fixture, troupe_span_cstr(json));
    struct trp_nostr_filter_limits limits = trp_nostr_filter_limits_default();
    size_t cap = trp_nostr_filter_bound(&fixture->doc, root);
    struct trp_nostr_filter *filter = malloc(cap);
    assert_non_null(filter);
    enum troupe_status status =
        trp_nostr_filter_read(filter, cap, &fixture->doc, root, &limits, &fixture->error);
    if (status != wanted) {
        print_error("%s: %s\n", json, fixture->error.text);
    }
    assert_int_equal(status, wanted);
    if (status != TROUPE_OK) {
        assert_true(fixture->error.text[0] != '\0');
        free(filter);
        return NULL;
    }
    assert_true(filter->size <= cap);
    return filter;
}

static void test_malformed_members(void **state)
{
    struct nostr_fixture *fixture = *state;
    static const struct {
        const char *json;
        const char *text;
    } cases[] = {
        {"[]", "filter must be an object"},
        {"null", "filter must be an object"},
        {"{\"ids\":\"" HEX_A "\"}", "ids: "},
        {"{\"ids\":[\"aa\"]}", "ids: "},
        {"{\"ids\":[\"" HEX_A "aa\"]}", "ids: "},
        {"{\"ids\":[\"AAaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"]}",
         "ids: "},
        {"{\"ids\":[1]}", "ids: "},
        {"{\"ids\":[null]}", "ids: "},
        {"{\"ids\":[1,2,3,4,5,6,7,8,9]}", "ids: "}, /* less text than the hashes would take */
        {"{\"authors\":[0,-2]}", "authors: "},
        {"{\"ids\":null}", "ids: "},
        {"{\"authors\":{}}", "authors: "},
        {"{\"authors\":[\"" HEX_A "\",\"x\"]}", "authors: "},
        {"{\"kinds\":1}", "kinds: "},
        {"{\"kinds\":[65536]}", "kinds: "},
        {"{\"kinds\":[-1]}", "kinds: "},
        {"{\"kinds\":[1.0]}", "kinds: "},
        {"{\"kinds\":[\"1\"]}", "kinds: "},
        {"{\"#p\":\"x\"}", "#p: "},
        {"{\"#Z\":[1]}", "#Z: "},
        {"{\"#e\":[[\"x\"]]}", "#e: "},
        {"{\"since\":-1}", "since: "},
        {"{\"since\":1.5}", "since: "},
        {"{\"since\":null}", "since: "},
        {"{\"until\":\"1\"}", "until: "},
        {"{\"limit\":-1}", "limit: "},
        {"{\"limit\":true}", "limit: "},
        {"{\"kinds\":[1],\"kinds\":[1]}", "kinds: is there twice"},
        {"{\"authors\":[],\"authors\":[]}", "authors: is there twice"},
        {"{\"#p\":[],\"\\u0023p\":[]}", "#p: is there twice"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_null(read_filter(fixture, cases[i].json, TROUPE_EPARSE));
        assert_memory_equal(fixture->error.text, cases[i].text, strlen(cases[i].text));
    }
}

static void test_reads_all_members(void **state)
{
    struct nostr_fixture *fixture = *state;
    struct trp_nostr_filter *filter = read_filter(
        fixture,
        "{\"ids\":[\"" HEX_A "\",\"" HEX_0 "\",\"" HEX_A "\"],\"authors\":[\"" PUBKEY_1
        "\"],\"kinds\":[7,1,65535,1],\"#p\":[\"b\",\"a\",\"\"],\"#E\":[],\"since\":5,"
        "\"until\":9007199254740993,\"limit\":4294967296,\"search\":\"x\",\"#ab\":3,\"#1\":4,"
        "\"#\":1,\"search\":{}}",
        TROUPE_OK);
    assert_true(filter->has_ids && filter->has_authors && filter->has_kinds && filter->has_limit);
    assert_int_equal(filter->id_count, 3);
    assert_int_equal(filter->author_count, 1);
    assert_int_equal(filter->kind_count, 4);
    assert_int_equal(filter->tag_count, 2);
    assert_int_equal(filter->value_count, 3);
    assert_int_equal(filter->since, 5);
    assert_int_equal(filter->until, 9007199254740993);
    assert_int_equal(filter->limit, UINT32_MAX);
    free(filter);

    filter = read_filter(fixture, "{}", TROUPE_OK);
    assert_false(filter->has_ids || filter->has_authors || filter->has_kinds || filter->has_limit);
    assert_int_equal(filter->tag_count, 0);
    assert_int_equal(filter->since, 0);
    assert_int_equal(filter->until, UINT64_MAX);
    assert_int_equal(filter->limit, UINT32_MAX);
    free(filter);

    filter = read_filter(fixture, "{\"limit\":0}", TROUPE_OK);
    assert_true(filter->has_limit);
    assert_int_equal(filter->limit, 0);
    free(filter);
}

static void test_limits(void **state)
{
    struct nostr_fixture *fixture = *state;
    const struct trp_nostr_filter_limits limits = {
        .filters_max = 1, .values_max = 2, .value_bytes_max = 3};
    static const struct {
        const char *json;
        const char *text; /* NULL: accepted */
    } cases[] = {
        {"{\"kinds\":[1,2],\"#p\":[\"abc\",\"\"],\"#q\":[\"a\",\"b\"]}", NULL},
        {"{\"kinds\":[1,2,3]}", "kinds: too many values"},
        {"{\"ids\":[1,2,3]}", "ids: too many values"},
        {"{\"authors\":[1,2,3]}", "authors: too many values"},
        {"{\"#p\":[\"\",\"\",\"\"]}", "#p: too many values"},
        {"{\"#p\":[\"abcd\"]}", "#p: value too long"},
    };
    static uint64_t area[256];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct trp_json_node *root = nostr_parse(fixture, troupe_span_cstr(cases[i].json));
        enum troupe_status status = trp_nostr_filter_read(area, sizeof(area), &fixture->doc, root,
                                                          &limits, &fixture->error);
        assert_int_equal(status, cases[i].text == NULL ? TROUPE_OK : TROUPE_ETOOLARGE);
        assert_string_equal(fixture->error.text, cases[i].text == NULL ? "" : cases[i].text);
    }
}

static void test_small_areas(void **state)
{
    struct nostr_fixture *fixture = *state;
    static const char json[] = "{\"ids\":[\"" HEX_A "\"],\"kinds\":[3,1],\"#p\":[\"xyz\",\"b\"]}";
    struct trp_nostr_filter_limits limits = trp_nostr_filter_limits_default();
    struct trp_nostr_filter *whole = read_filter(fixture, json, TROUPE_OK);
    const struct trp_json_node *root = nostr_parse(fixture, troupe_span_cstr(json));
    for (size_t cap = 0; cap <= whole->size; cap++) {
        void *area = malloc(cap + 1);
        assert_non_null(area);
        enum troupe_status status =
            trp_nostr_filter_read(area, cap, &fixture->doc, root, &limits, NULL);
        assert_int_equal(status, cap < whole->size ? TROUPE_ENOMEM : TROUPE_OK);
        if (status == TROUPE_OK) {
            assert_memory_equal(area, whole, whole->size);
        }
        free(area);
    }
    free(whole);
}

/* An event by key 1 with known tags, its id set to HEX_A (nothing here looks at signatures). */
static struct trp_nostr_event *make_event(struct nostr_fixture *fixture)
{
    static const char json[] =
        "{\"id\":\"" HEX_A "\",\"pubkey\":\"" PUBKEY_1 "\",\"sig\":\"" HEX_A HEX_A "\","
        "\"created_at\":1000,\"kind\":7,\"content\":\"\",\"tags\":[[],[\"p\"],[\"p\",\"" PUBKEY_2
        "\",\"third\"],[\"t\",\"one\"],[\"t\",\"two\"],[\"long\",\"three\"],[\"d\",\"\"]]}";
    return nostr_read_event(fixture, troupe_span_cstr(json), TROUPE_OK);
}

static void test_matching(void **state)
{
    struct nostr_fixture *fixture = *state;
    static const struct {
        const char *filter;
        bool matches;
    } cases[] = {
        {"{}", true},
        {"{\"limit\":0}", true},
        {"{\"search\":\"nothing\"}", true},
        {"{\"kinds\":[7]}", true},
        {"{\"kinds\":[1,2,3,4,5,6,7,8,9]}", true},
        {"{\"kinds\":[9,7,7,7,1]}", true},
        {"{\"kinds\":[6,8]}", false},
        {"{\"kinds\":[]}", false},
        {"{\"ids\":[\"" HEX_A "\"]}", true},
        {"{\"ids\":[\"" HEX_0 "\",\"" HEX_A "\",\"" PUBKEY_1 "\"]}", true},
        {"{\"ids\":[\"" HEX_0 "\"]}", false},
        {"{\"ids\":[]}", false},
        {"{\"authors\":[\"" PUBKEY_2 "\",\"" PUBKEY_1 "\"]}", true},
        {"{\"authors\":[\"" PUBKEY_2 "\"]}", false},
        {"{\"authors\":[]}", false},
        {"{\"since\":1000}", true},
        {"{\"since\":1001}", false},
        {"{\"until\":1000}", true},
        {"{\"until\":999}", false},
        {"{\"since\":1000,\"until\":1000}", true},
        {"{\"since\":1001,\"until\":999}", false},
        {"{\"#p\":[\"" PUBKEY_2 "\"]}", true},
        {"{\"#p\":[\"" PUBKEY_1 "\"]}", false},
        {"{\"#p\":[\"third\"]}", false},
        {"{\"#p\":[]}", false},
        {"{\"#p\":[\"\"]}", false},
        {"{\"#P\":[\"" PUBKEY_2 "\"]}", false},
        {"{\"#t\":[\"two\"]}", true},
        {"{\"#t\":[\"zero\",\"two\",\"x\",\"two\"]}", true},
        {"{\"#t\":[\"zero\"]}", false},
        {"{\"#t\":[\"tw\",\"twoo\",\"Two\"]}", false},
        {"{\"#d\":[\"\"]}", true},
        {"{\"#l\":[\"three\"]}", false},
        {"{\"#x\":[\"two\"]}", false},
        {"{\"#p\":[\"" PUBKEY_2 "\"],\"#t\":[\"one\"],\"kinds\":[7]}", true},
        {"{\"#p\":[\"" PUBKEY_2 "\"],\"#t\":[\"none\"],\"kinds\":[7]}", false},
        {"{\"#p\":[\"" PUBKEY_2 "\"],\"#t\":[\"one\"],\"kinds\":[8]}", false},
        {"{\"ids\":[\"" HEX_A "\"],\"authors\":[\"" PUBKEY_2 "\"]}", false},
    };
    struct trp_nostr_event *event = make_event(fixture);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct trp_nostr_filter *read = read_filter(fixture, cases[i].filter, TROUPE_OK);
        struct trp_nostr_filter *filter = malloc(read->size); /* as after travelling */
        assert_non_null(filter);
        memcpy(filter, read, read->size);
        memset(read, 0x5a, read->size);
        free(read);
        if (trp_nostr_filter_match(filter, event) != cases[i].matches) {
            fail_msg("wrong answer for %s", cases[i].filter);
        }
        free(filter);
    }
    free(event);
}

/* Long lists in a disorder: every member is found, its neighbours are not. */
static void test_long_lists(void **state)
{
    struct nostr_fixture *fixture = *state;
    enum { COUNT = 999 };
    static char kinds[COUNT * 8];
    static char tags[COUNT * 12];
    size_t kinds_len = 0;
    size_t tags_len = 0;
    for (unsigned i = 0; i < COUNT; i++) {
        unsigned value = (i * 7919u) % 1000003u % 30000u * 2u; /* even numbers only */
        const char *comma = i == 0 ? "" : ",";
        kinds_len +=
            (size_t)snprintf(kinds + kinds_len, sizeof(kinds) - kinds_len, "%s%u", comma, value);
        tags_len +=
            (size_t)snprintf(tags + tags_len, sizeof(tags) - tags_len, "%s\"%u\"", comma, value);
    }
    static char json[sizeof(kinds) + sizeof(tags) + 64];
    snprintf(json, sizeof(json), "{\"kinds\":[%s],\"#n\":[%s]}", kinds, tags);
    struct trp_nostr_filter *filter = read_filter(fixture, json, TROUPE_OK);
    for (unsigned i = 0; i < COUNT; i++) {
        unsigned value = (i * 7919u) % 1000003u % 30000u * 2u;
        char digits[16];
        int len = snprintf(digits, sizeof(digits), "%u", value);
        const struct troupe_span elements[] = {{"n", 1}, {digits, (size_t)len}};
        const struct troupe_span others[] = {{"n", 1}, {digits, (size_t)len + 1}};
        const struct trp_nostr_draft_tag tag = {elements, 2};
        const struct trp_nostr_draft_tag other = {others, 2};
        struct trp_nostr_draft draft = {.kind = value, .tags = &tag, .tag_count = 1};
        static uint64_t area[128];
        struct trp_nostr_event *event = (struct trp_nostr_event *)area;
        const uint8_t aux[32] = {0};
        assert_int_equal(
            trp_nostr_event_sign(fixture->crypto, area, sizeof(area), &fixture->key, &draft, aux),
            TROUPE_OK);
        assert_true(trp_nostr_filter_match(filter, event));
        event->kind++;
        assert_false(trp_nostr_filter_match(filter, event));
        draft.tags = &other;
        assert_int_equal(
            trp_nostr_event_sign(fixture->crypto, area, sizeof(area), &fixture->key, &draft, aux),
            TROUPE_OK);
        assert_false(trp_nostr_filter_match(filter, event));
    }
    free(filter);
}

static void test_many_hashes(void **state)
{
    struct nostr_fixture *fixture = *state;
    enum { COUNT = 300 };
    static char json[COUNT * 67 + 16];
    static uint8_t hashes[COUNT][32];
    struct trp_text text = trp_text_init(json, sizeof(json) - 1);
    trp_text_cstr(&text, "{\"ids\":[");
    for (uint32_t i = 0; i < COUNT; i++) {
        trp_nostr_sha256(hashes[i], troupe_span(&i, sizeof(i)));
        trp_text_cstr(&text, i == 0 ? "\"" : ",\"");
        trp_text_hex(&text, hashes[i], 32);
        trp_text_cstr(&text, "\"");
    }
    trp_text_cstr(&text, "]}");
    json[text.len] = '\0';
    struct trp_nostr_filter *filter = read_filter(fixture, json, TROUPE_OK);
    struct trp_nostr_event *event = make_event(fixture);
    assert_false(trp_nostr_filter_match(filter, event));
    for (uint32_t i = 0; i < COUNT; i++) {
        memcpy(event->id, hashes[i], 32);
        assert_true(trp_nostr_filter_match(filter, event));
        event->id[31] ^= 1;
        assert_false(trp_nostr_filter_match(filter, event));
    }
    free(event);
    free(filter);
}

static void test_writing(void **state)
{
    struct nostr_fixture *fixture = *state;
    static const uint16_t kinds[] = {25910, 1059, 21059};
    const struct troupe_span to[] = {troupe_span_cstr(PUBKEY_1)};
    const struct troupe_span texts[] = {troupe_span_cstr("a\"b"), troupe_span_cstr("c")};
    const struct trp_nostr_filter_draft_tag tags[] = {
        {'p', to, 1}, {'T', texts, 2}, {'x', NULL, 0}};
    static uint8_t hashes[2][32];
    memset(hashes[0], 0xaa, 32);
    struct trp_nostr_filter_draft draft = {0};
    static char area[2048];
    struct trp_text text = trp_text_init(area, sizeof(area));
    trp_nostr_filter_write(&text, &draft);
    nostr_assert_span(troupe_span(area, text.len), "{}");

    draft.kinds = kinds;
    draft.kind_count = 3;
    draft.tags = tags;
    draft.tag_count = 1;
    draft.since = 1700000000;
    draft.has_since = true;
    text = trp_text_init(area, sizeof(area));
    trp_nostr_filter_write(&text, &draft);
    nostr_assert_span(troupe_span(area, text.len),
                      "{\"kinds\":[25910,1059,21059],\"#p\":[\"" PUBKEY_1
                      "\"],\"since\":1700000000}");

    draft.tag_count = 3;
    draft.ids = (const uint8_t(*)[32])hashes;
    draft.id_count = 2;
    draft.authors = (const uint8_t(*)[32])hashes;
    draft.author_count = 1;
    draft.until = UINT64_MAX;
    draft.limit = 10;
    draft.has_until = true;
    draft.has_limit = true;
    text = trp_text_init(area, sizeof(area) - 1);
    trp_nostr_filter_write(&text, &draft);
    area[text.len] = '\0';
    assert_string_equal(area, "{\"ids\":[\"" HEX_A "\",\"" HEX_0 "\"],\"authors\":[\"" HEX_A
                              "\"],\"kinds\":[25910,1059,21059],\"#p\":[\"" PUBKEY_1
                              "\"],\"#T\":[\"a\\\"b\",\"c\"],\"since\":1700000000,"
                              "\"until\":18446744073709551615,\"limit\":10}");
    struct trp_nostr_filter *filter = read_filter(fixture, area, TROUPE_OK);
    assert_int_equal(filter->id_count, 2);
    assert_int_equal(filter->tag_count, 2);
    assert_int_equal(filter->limit, 10);
    free(filter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_malformed_members),
        cmocka_unit_test(test_reads_all_members),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_small_areas),
        cmocka_unit_test(test_matching),
        cmocka_unit_test(test_long_lists),
        cmocka_unit_test(test_many_hashes),
        cmocka_unit_test(test_writing),
    };
    return cmocka_run_group_tests(tests, nostr_fixture_setup, nostr_fixture_teardown);
}
