#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/codec/nostr_helper.h"

#define HEX_SIG HEX_A HEX_A
#define SPAN(text)                                                                                 \
    {                                                                                              \
        (text), sizeof(text) - 1                                                                   \
    }

/* An event whose members a test replaces one by one. */
struct parts {
    const char *id;
    const char *pubkey;
    const char *created_at;
    const char *kind;
    const char *tags;
    const char *content;
    const char *sig;
    const char *extra;
};

static const struct parts good = {
    .id = "\"id\":\"" HEX_A "\",",
    .pubkey = "\"pubkey\":\"" PUBKEY_1 "\",",
    .created_at = "\"created_at\":1700000000,",
    .kind = "\"kind\":25910,",
    .tags = "\"tags\":[[\"p\",\"" PUBKEY_2 "\"]],",
    .content = "\"content\":\"hello\",",
    .sig = "\"sig\":\"" HEX_SIG "\"",
    .extra = "",
};

static struct troupe_span join(const struct parts *parts)
{
    static char text[4096];
    int len = snprintf(text, sizeof(text), "{%s%s%s%s%s%s%s%s}", parts->id, parts->pubkey,
                       parts->created_at, parts->kind, parts->tags, parts->content, parts->sig,
                       parts->extra);
    assert_in_range(len, 1, sizeof(text) - 1);
    return troupe_span(text, (size_t)len);
}

static void assert_id(const struct trp_nostr_event *event, const char *hex)
{
    uint8_t wanted[32];
    assert_true(trp_hex_decode(wanted, 32, troupe_span_cstr(hex)));
    assert_memory_equal(event->id, wanted, 32);
}

static void test_known_ids(void **state)
{
    struct nostr_fixture *fixture = *state;
    const struct troupe_span to[] = {SPAN("p"), SPAN(PUBKEY_2)};
    const struct troupe_span reply[] = {SPAN("e"), SPAN(HEX_0)};
    const struct trp_nostr_draft_tag tags[] = {{to, 2}, {reply, 2}};
    struct trp_nostr_draft draft = {
        .created_at = 1700000000,
        .kind = 25910,
        .tags = tags,
        .tag_count = 1,
        .content = troupe_span_cstr("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}"),
    };
    struct trp_nostr_event *event = nostr_sign(fixture, &draft);
    assert_id(event, "57aeabc7736ce610e5349ee5fbd986241c085c1f30bad8c495def49cb0ba82f8");
    free(event);

    draft.tag_count = 2;
    draft.content = troupe_span_cstr("q\" b\\ n\n r\r t\t bs\b ff\f c1\x01 del\x7f sep\xe2\x80\xa8 "
                                     "\xc3\xa9 \xf0\x9f\x99\x82 /");
    event = nostr_sign(fixture, &draft);
    assert_id(event, "bff1cd7d1402b7526b2b28a249bd05dc89595e41ed23f255b428a8a3a72b912c");
    assert_true(trp_nostr_event_check_id(event));
    assert_true(trp_nostr_event_check_sig(event, fixture->crypto));

    /* The same event read back from JSON, with the escapes another writer might have chosen. */
    struct trp_text json = nostr_json(event);
    struct trp_nostr_event *again =
        nostr_read_event(fixture, troupe_span(json.data, json.len), TROUPE_OK);
    assert_int_equal(again->size, event->size);
    assert_memory_equal(again, event, event->size);
    free(again);
    free(event);
    free(json.data);
}

static void test_other_escapes_give_the_same_preimage(void **state)
{
    struct nostr_fixture *fixture = *state;
    struct parts parts = good;
    parts.tags = "\"tags\" : [ [ \"t\" , \"\\u0041\\/\\u00e9\" ], [ ] , [\"\\u000a\\u0022\"] ],";
    parts.content = "\"content\": \"\\u0008\\u000C\\u001F\\ud83d\\ude42\\u2028\\u0000\\u007f\",";
    struct trp_nostr_event *event = nostr_read_event(fixture, join(&parts), TROUPE_OK);
    nostr_assert_span(trp_nostr_event_slice(event, event->preimage),
                      "[0,\"" PUBKEY_1 "\",1700000000,25910,"
                      "[[\"t\",\"A/\xc3\xa9\"],[],[\"\\n\\\"\"]],"
                      "\"\\b\\f\\u001f\xf0\x9f\x99\x82\xe2\x80\xa8\\u0000\x7f\"]");
    static const char content[] = "\b\f\x1f\xf0\x9f\x99\x82\xe2\x80\xa8\0\x7f";
    struct troupe_span found = trp_nostr_event_content(event);
    assert_int_equal(found.len, sizeof(content) - 1);
    assert_memory_equal(found.data, content, found.len);
    nostr_assert_span(trp_nostr_event_element(event, 0, 1), "A/\xc3\xa9");
    nostr_assert_span(trp_nostr_event_element(event, 2, 0), "\n\"");
    assert_false(trp_nostr_event_check_id(event));
    free(event);
}

static void test_escaping_of_every_byte(void **state)
{
    struct nostr_fixture *fixture = *state;
    char content[127];
    for (int i = 0; i < 127; i++) {
        content[i] = (char)(i + 1);
    }
    char wanted[1024];
    size_t at = 0;
    wanted[at++] = '"';
    for (int c = 1; c <= 127; c++) {
        static const char short_names[] = "\b\f\n\r\t\"\\";
        static const char short_texts[] = "bfnrt\"\\";
        const char *known = strchr(short_names, c);
        if (known != NULL) {
            wanted[at++] = '\\';
            wanted[at++] = short_texts[known - short_names];
        } else if (c < 0x20) {
            at += (size_t)snprintf(wanted + at, sizeof(wanted) - at, "\\u%04x", (unsigned)c);
        } else {
            wanted[at++] = (char)c;
        }
    }
    wanted[at++] = '"';
    wanted[at] = '\0';
    struct trp_nostr_draft draft = {.content = troupe_span(content, sizeof(content))};
    struct trp_nostr_event *event = nostr_sign(fixture, &draft);
    nostr_assert_span(trp_nostr_event_slice(event, event->content_json), wanted);
    struct troupe_span plain = trp_nostr_event_content(event);
    assert_int_equal(plain.len, sizeof(content));
    assert_memory_equal(plain.data, content, sizeof(content));
    free(event);
}

static void test_reads_all_members(void **state)
{
    struct nostr_fixture *fixture = *state;
    struct parts parts = good;
    parts.extra = ",\"more\":{\"id\":[1,2]},\"x\":null,\"x\":1";
    struct trp_nostr_event *event = nostr_read_event(fixture, join(&parts), TROUPE_OK);
    assert_id(event, HEX_A);
    assert_memory_equal(event->pubkey, fixture->key.pubkey, 32);
    assert_int_equal(event->sig[63], 0xaa);
    assert_int_equal(event->kind, 25910);
    assert_int_equal(event->created_at, 1700000000);
    assert_int_equal(event->tag_count, 1);
    nostr_assert_span(trp_nostr_event_content(event), "hello");
    nostr_assert_span(trp_nostr_event_tag_value(event, "p"), PUBKEY_2);
    free(event);

    uint8_t id[32] = {0};
    const struct trp_json_node *root = nostr_parse(fixture, join(&parts));
    assert_true(trp_nostr_event_peek_id(&fixture->doc, root, id));
    assert_int_equal(id[0], 0xaa);
    root = nostr_parse(fixture, troupe_span_cstr("{\"id\":\"" HEX_A "\"}"));
    assert_true(trp_nostr_event_peek_id(&fixture->doc, root, id));
    root = nostr_parse(fixture, troupe_span_cstr("{\"id\":\"aa\"}"));
    assert_false(trp_nostr_event_peek_id(&fixture->doc, root, id));
    root = nostr_parse(fixture, troupe_span_cstr("{}"));
    assert_false(trp_nostr_event_peek_id(&fixture->doc, root, id));
    root = nostr_parse(fixture, troupe_span_cstr("[]"));
    assert_false(trp_nostr_event_peek_id(&fixture->doc, root, id));
}

static void test_malformed_members(void **state)
{
    struct nostr_fixture *fixture = *state;
    static const struct {
        size_t member;
        const char *replaced;
        const char *named;
    } cases[] = {
#define CASE(member, text) {offsetof(struct parts, member), (text), #member ": "}
        CASE(id, ""),
        CASE(id, "\"id\":1,"),
        CASE(id, "\"id\":null,"),
        CASE(id, "\"id\":\"\","),
        CASE(id, "\"id\":\"" HEX_A "a\","),
        CASE(id, "\"id\":\"" HEX_A "aa\","),
        CASE(id, "\"id\":\"gaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\","),
        CASE(id, "\"id\":\"Aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\","),
        CASE(id, "\"id\":\"" HEX_A "\",\"id\":\"" HEX_A "\","),
        CASE(pubkey, ""),
        CASE(pubkey, "\"pubkey\":[\"" PUBKEY_1 "\"],"),
        CASE(pubkey, "\"pubkey\":\"79be667e\","),
        CASE(pubkey, "\"pubkey\":\"" PUBKEY_1 "\",\"pub\\u006bey\":\"" PUBKEY_1 "\","),
        CASE(created_at, ""),
        CASE(created_at, "\"created_at\":-1,"),
        CASE(created_at, "\"created_at\":1.5,"),
        CASE(created_at, "\"created_at\":1e3,"),
        CASE(created_at, "\"created_at\":\"1700000000\","),
        CASE(created_at, "\"created_at\":9007199254740992,"),
        CASE(created_at, "\"created_at\":18446744073709551615,"),
        CASE(created_at, "\"created_at\":1,\"created_at\":1,"),
        CASE(kind, ""),
        CASE(kind, "\"kind\":-1,"),
        CASE(kind, "\"kind\":65536,"),
        CASE(kind, "\"kind\":true,"),
        CASE(kind, "\"kind\":1,\"kind\":1,"),
        CASE(tags, ""),
        CASE(tags, "\"tags\":{},"),
        CASE(tags, "\"tags\":null,"),
        CASE(tags, "\"tags\":[\"p\"],"),
        CASE(tags, "\"tags\":[[\"p\",1]],"),
        CASE(tags, "\"tags\":[[\"p\",null]],"),
        CASE(tags, "\"tags\":[[[\"p\"]]],"),
        CASE(tags, "\"tags\":[{}],"),
        CASE(tags, "\"tags\":[],\"tags\":[],"),
        CASE(content, ""),
        CASE(content, "\"content\":{},"),
        CASE(content, "\"content\":5,"),
        CASE(content, "\"content\":null,"),
        CASE(content, "\"content\":\"\",\"content\":\"\","),
        CASE(sig, "\"s\":1"),
        CASE(sig, "\"sig\":\"" HEX_A "\""),
        CASE(sig, "\"sig\":\"" HEX_SIG "a\""),
        CASE(sig, "\"sig\":false"),
        CASE(sig, "\"sig\":\"" HEX_SIG "\",\"sig\":\"" HEX_SIG "\""),
#undef CASE
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct parts parts = good;
        *(const char **)((char *)&parts + cases[i].member) = cases[i].replaced;
        assert_null(nostr_read_event(fixture, join(&parts), TROUPE_EPARSE));
        assert_memory_equal(fixture->error.text, cases[i].named, strlen(cases[i].named));
    }
    static const char *const no_objects[] = {"[]", "null", "1", "\"x\"", "true"};
    for (size_t i = 0; i < 5; i++) {
        assert_null(nostr_read_event(fixture, troupe_span_cstr(no_objects[i]), TROUPE_EPARSE));
        assert_string_equal(fixture->error.text, "event must be an object");
    }
    free(nostr_read_event(fixture, join(&good), TROUPE_OK));
}

static void test_ends_of_ranges(void **state)
{
    struct nostr_fixture *fixture = *state;
    struct parts parts = good;
    parts.created_at = "\"created_at\":9007199254740991,";
    parts.kind = "\"kind\":65535,";
    parts.tags = "\"tags\":[],";
    parts.content = "\"content\":\"\",";
    struct trp_nostr_event *event = nostr_read_event(fixture, join(&parts), TROUPE_OK);
    assert_int_equal(event->created_at, TRP_NOSTR_SECONDS_MAX);
    assert_int_equal(event->kind, 65535);
    assert_int_equal(event->tag_count, 0);
    assert_int_equal(trp_nostr_event_content(event).len, 0);
    free(event);
    parts.created_at = "\"created_at\":0,";
    parts.kind = "\"kind\":0,";
    event = nostr_read_event(fixture, join(&parts), TROUPE_OK);
    nostr_assert_span(trp_nostr_event_slice(event, event->preimage),
                      "[0,\"" PUBKEY_1 "\",0,0,[],\"\"]");
    free(event);
}

static void test_limits(void **state)
{
    struct nostr_fixture *fixture = *state;
    struct parts parts = good;
    parts.tags = "\"tags\":[[\"a\",\"bb\",\"ccc\"],[\"d\"]],";
    static const struct {
        struct trp_nostr_event_limits limits;
        enum troupe_status status;
        const char *text;
    } cases[] = {
        {{2, 3, 3, 5}, TROUPE_OK, ""},
        {{1, 3, 3, 5}, TROUPE_ETOOLARGE, "tags: too many tags"},
        {{2, 2, 3, 5}, TROUPE_ETOOLARGE, "tags: too many elements in one tag"},
        {{2, 3, 2, 5}, TROUPE_ETOOLARGE, "tags: element too long"},
        {{2, 3, 3, 4}, TROUPE_ETOOLARGE, "content: too long"},
    };
    static uint64_t area[256];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct trp_json_node *root = nostr_parse(fixture, join(&parts));
        assert_int_equal(trp_nostr_event_read(area, sizeof(area), &fixture->doc, root,
                                              &cases[i].limits, &fixture->error),
                         cases[i].status);
        assert_string_equal(fixture->error.text, cases[i].text);
    }
}

/* Every size of area below the one needed is refused without a byte written behind it. */
static void test_small_areas(void **state)
{
    struct nostr_fixture *fixture = *state;
    struct parts parts = good;
    parts.tags = "\"tags\":[[\"a\\n\",\"b\\n\"],[],[\"plain\"]],";
    parts.content = "\"content\":\"x\\\"y\",";
    struct trp_nostr_event_limits limits = trp_nostr_event_limits_default();
    struct trp_nostr_event *whole = nostr_read_event(fixture, join(&parts), TROUPE_OK);
    const struct trp_json_node *root = nostr_parse(fixture, join(&parts));
    for (size_t cap = 0; cap <= whole->size; cap++) {
        void *area = malloc(cap + 1); /* behind it AddressSanitizer watches */
        assert_non_null(area);
        enum troupe_status status =
            trp_nostr_event_read(area, cap, &fixture->doc, root, &limits, NULL);
        assert_int_equal(status, cap < whole->size ? TROUPE_ENOMEM : TROUPE_OK);
        if (status == TROUPE_OK) {
            assert_memory_equal(area, whole, whole->size);
        }
        free(area);
    }
    const struct troupe_span elements[] = {SPAN("a\n"), SPAN("b")};
    const struct trp_nostr_draft_tag tags[] = {{elements, 2}};
    struct trp_nostr_draft draft = {
        .kind = 1, .tags = tags, .tag_count = 1, .content = troupe_span_cstr("\n\n")};
    struct trp_nostr_event *own = nostr_sign(fixture, &draft);
    for (size_t cap = 0; cap < own->size; cap++) {
        void *area = malloc(cap + 1);
        assert_non_null(area);
        assert_int_equal(
            trp_nostr_event_sign(fixture->crypto, area, cap, &fixture->key, &draft, NULL),
            TROUPE_ENOMEM);
        free(area);
    }
    free(own);
    free(whole);
}

static void test_tags(void **state)
{
    struct nostr_fixture *fixture = *state;
    struct parts parts = good;
    parts.tags = "\"tags\":[[],[\"flag\"],[\"p\",\"one\",\"x\"],[\"p\",\"t\\\"wo\"],[\"\",\"e\"],"
                 "[\"pp\",\"three\"]],";
    struct trp_nostr_event *read = nostr_read_event(fixture, join(&parts), TROUPE_OK);
    /* A copy elsewhere is as good: nothing inside points at the original. */
    struct trp_nostr_event *event = malloc(read->size);
    assert_non_null(event);
    memcpy(event, read, read->size);
    memset(read, 0x5a, read->size);
    free(read);
    static const uint32_t lens[] = {0, 1, 3, 2, 2, 2, 0, 0};
    assert_int_equal(event->tag_count, 6);
    assert_int_equal(event->element_count, 10);
    for (uint32_t i = 0; i < 8; i++) {
        assert_int_equal(trp_nostr_event_tag_len(event, i), lens[i]);
    }
    nostr_assert_span(trp_nostr_event_element(event, 2, 2), "x");
    assert_null(trp_nostr_event_element(event, 2, 3).data);
    assert_null(trp_nostr_event_element(event, 0, 0).data);
    assert_null(trp_nostr_event_element(event, UINT32_MAX, 0).data);
    assert_int_equal(trp_nostr_event_find_tag(event, "flag", 0), 1);
    assert_int_equal(trp_nostr_event_find_tag(event, "p", 0), 2);
    assert_int_equal(trp_nostr_event_find_tag(event, "p", 3), 3);
    assert_int_equal(trp_nostr_event_find_tag(event, "p", 4), TRP_NOSTR_NO_TAG);
    assert_int_equal(trp_nostr_event_find_tag(event, "", 0), 4);
    assert_int_equal(trp_nostr_event_find_tag(event, "none", 0), TRP_NOSTR_NO_TAG);
    assert_int_equal(trp_nostr_event_find_tag(event, "p", UINT32_MAX), TRP_NOSTR_NO_TAG);
    nostr_assert_span(trp_nostr_event_tag_value(event, "p"), "one");
    assert_null(trp_nostr_event_tag_value(event, "flag").data);
    assert_null(trp_nostr_event_tag_value(event, "none").data);
    assert_true(trp_nostr_event_has_value(event, 'p', troupe_span_cstr("one")));
    assert_true(trp_nostr_event_has_value(event, 'p', troupe_span_cstr("t\"wo")));
    assert_false(trp_nostr_event_has_value(event, 'p', troupe_span_cstr("three")));
    assert_false(trp_nostr_event_has_value(event, 'p', troupe_span_cstr("x")));
    assert_false(trp_nostr_event_has_value(event, 'e', troupe_span_cstr("e")));
    free(event);
}

static void test_wrong_id_and_signature(void **state)
{
    struct nostr_fixture *fixture = *state;
    struct trp_nostr_draft draft = {.kind = 1, .content = troupe_span_cstr("hello")};
    struct trp_nostr_event *event = nostr_sign(fixture, &draft);
    assert_true(trp_nostr_event_check_id(event));
    assert_true(trp_nostr_event_check_sig(event, fixture->crypto));
    event->id[31] ^= 1;
    assert_false(trp_nostr_event_check_id(event));
    assert_false(trp_nostr_event_check_sig(event, fixture->crypto));
    event->id[31] ^= 1;
    event->sig[0] ^= 1;
    assert_true(trp_nostr_event_check_id(event));
    assert_false(trp_nostr_event_check_sig(event, fixture->crypto));
    event->sig[0] ^= 1;
    event->pubkey[0] ^= 1;
    assert_false(trp_nostr_event_check_sig(event, fixture->crypto));
    event->pubkey[0] ^= 1;
    assert_true(trp_nostr_event_check_sig(event, fixture->crypto));
    free(event);

    /* Another key's signature of the same id, and a changed content with the old id. */
    event = nostr_sign(fixture, &draft);
    struct trp_nostr_key other;
    assert_int_equal(trp_nostr_key_generate(fixture->crypto, &other, NULL), TROUPE_OK);
    assert_int_equal(trp_nostr_sign(fixture->crypto, event->sig, &other, event->id, NULL),
                     TROUPE_OK);
    assert_false(trp_nostr_event_check_sig(event, fixture->crypto));
    struct trp_text json = nostr_json(event);
    char *hello = strstr(json.data, "hello");
    assert_non_null(hello);
    hello[0] = 'j';
    struct trp_nostr_event *changed =
        nostr_read_event(fixture, troupe_span(json.data, json.len), TROUPE_OK);
    assert_false(trp_nostr_event_check_id(changed));
    free(changed);
    free(json.data);
    free(event);
}

static void test_refused_drafts(void **state)
{
    struct nostr_fixture *fixture = *state;
    static uint64_t area[128];
    const struct troupe_span bad_element = SPAN("\xff");
    const struct trp_nostr_draft_tag bad_tag = {&bad_element, 1};
    const struct trp_nostr_draft drafts[] = {
        {.kind = 65536},
        {.created_at = TRP_NOSTR_SECONDS_MAX + 1},
        {.content = troupe_span_cstr("\xc3")},
        {.content = troupe_span_cstr("\xed\xa0\x80")}, /* a surrogate */
        {.tags = &bad_tag, .tag_count = 1},
    };
    for (size_t i = 0; i < sizeof(drafts) / sizeof(drafts[0]); i++) {
        assert_int_equal(trp_nostr_event_sign(fixture->crypto, area, sizeof(area), &fixture->key,
                                              &drafts[i], NULL),
                         TROUPE_EINVAL);
    }
}

static void test_same_aux_gives_the_same_event(void **state)
{
    struct nostr_fixture *fixture = *state;
    static uint64_t first[128];
    static uint64_t second[128];
    const uint8_t aux[32] = {9};
    struct trp_nostr_draft draft = {.kind = 7, .created_at = 5, .content = troupe_span_cstr("+")};
    assert_int_equal(
        trp_nostr_event_sign(fixture->crypto, first, sizeof(first), &fixture->key, &draft, aux),
        TROUPE_OK);
    assert_int_equal(
        trp_nostr_event_sign(fixture->crypto, second, sizeof(second), &fixture->key, &draft, aux),
        TROUPE_OK);
    assert_memory_equal(first, second, ((struct trp_nostr_event *)first)->size);
}

static void test_kind_classes(void **state)
{
    (void)state;
    assert_true(trp_nostr_kind_is_ephemeral(20000));
    assert_true(trp_nostr_kind_is_ephemeral(29999));
    assert_false(trp_nostr_kind_is_ephemeral(19999));
    assert_false(trp_nostr_kind_is_ephemeral(30000));
    assert_true(trp_nostr_kind_is_replaceable(0));
    assert_true(trp_nostr_kind_is_replaceable(3));
    assert_true(trp_nostr_kind_is_replaceable(10000));
    assert_true(trp_nostr_kind_is_replaceable(19999));
    assert_false(trp_nostr_kind_is_replaceable(1));
    assert_false(trp_nostr_kind_is_replaceable(20000));
    assert_true(trp_nostr_kind_is_addressable(30000));
    assert_true(trp_nostr_kind_is_addressable(39999));
    assert_false(trp_nostr_kind_is_addressable(29999));
    assert_false(trp_nostr_kind_is_addressable(40000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_ids),
        cmocka_unit_test(test_other_escapes_give_the_same_preimage),
        cmocka_unit_test(test_escaping_of_every_byte),
        cmocka_unit_test(test_reads_all_members),
        cmocka_unit_test(test_malformed_members),
        cmocka_unit_test(test_ends_of_ranges),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_small_areas),
        cmocka_unit_test(test_tags),
        cmocka_unit_test(test_wrong_id_and_signature),
        cmocka_unit_test(test_refused_drafts),
        cmocka_unit_test(test_same_aux_gives_the_same_event),
        cmocka_unit_test(test_kind_classes),
    };
    return cmocka_run_group_tests(tests, nostr_fixture_setup, nostr_fixture_teardown);
}
