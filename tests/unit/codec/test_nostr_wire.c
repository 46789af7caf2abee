#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/codec/nostr_helper.h"

#define CHARS_64 "0123456789012345678901234567890123456789012345678901234567890123"
#define SMILE    "\xf0\x9f\x99\x82"
#define SMILE_8  SMILE SMILE SMILE SMILE SMILE SMILE SMILE SMILE
#define SMILE_64 SMILE_8 SMILE_8 SMILE_8 SMILE_8 SMILE_8 SMILE_8 SMILE_8 SMILE_8

static enum troupe_status
read_client(struct nostr_fixture *fixture, struct trp_nostr_client_msg *msg, const char *json)
{
    nostr_parse(fixture, troupe_span_cstr(json));
    return trp_nostr_wire_read_client(msg, &fixture->doc, 3, &fixture->error);
}

static enum troupe_status
read_relay(struct nostr_fixture *fixture, struct trp_nostr_relay_msg *msg, const char *json)
{
    nostr_parse(fixture, troupe_span_cstr(json));
    return trp_nostr_wire_read_relay(msg, &fixture->doc, &fixture->error);
}

static void test_client_messages(void **state)
{
    struct nostr_fixture *fixture = *state;
    struct trp_nostr_client_msg msg;
    assert_int_equal(read_client(fixture, &msg, "[\"EVENT\",{\"a\":1}]"), TROUPE_OK);
    assert_int_equal(msg.type, TRP_NOSTR_CLIENT_EVENT);
    nostr_assert_span(trp_json_raw(&fixture->doc, msg.event), "{\"a\":1}");

    assert_int_equal(
        read_client(fixture, &msg, "[\"REQ\",\"s\\u0031\",{\"a\":1},{},{\"kinds\":[[2]]}]"),
        TROUPE_OK);
    assert_int_equal(msg.type, TRP_NOSTR_CLIENT_REQ);
    nostr_assert_span(msg.sub, "s1");
    assert_int_equal(msg.filter_count, 3);
    nostr_assert_span(trp_json_raw(&fixture->doc, msg.filter), "{\"a\":1}");
    const struct trp_json_node *filter = trp_nostr_wire_next_filter(&fixture->doc, msg.filter);
    nostr_assert_span(trp_json_raw(&fixture->doc, filter), "{}");
    filter = trp_nostr_wire_next_filter(&fixture->doc, filter);
    nostr_assert_span(trp_json_raw(&fixture->doc, filter), "{\"kinds\":[[2]]}");
    assert_null(trp_nostr_wire_next_filter(&fixture->doc, filter));

    assert_int_equal(read_client(fixture, &msg, "[\"CLOSE\",\"" CHARS_64 "\",1]"), TROUPE_OK);
    assert_int_equal(msg.type, TRP_NOSTR_CLIENT_CLOSE);
    nostr_assert_span(msg.sub, CHARS_64);
    assert_int_equal(read_client(fixture, &msg, "[\"CLOSE\",\"" SMILE_64 "\"]"), TROUPE_OK);
    nostr_assert_span(msg.sub, SMILE_64);

    assert_int_equal(read_client(fixture, &msg, " [ \"AUTH\" , { } ] "), TROUPE_OK);
    assert_int_equal(msg.type, TRP_NOSTR_CLIENT_AUTH);
    assert_non_null(msg.event);
}

static void test_malformed_client_messages(void **state)
{
    struct nostr_fixture *fixture = *state;
    static const struct {
        const char *json;
        enum troupe_status status;
        const char *text;
    } cases[] = {
        {"{}", TROUPE_EPARSE, "message must be an array"},
        {"\"EVENT\"", TROUPE_EPARSE, "message must be an array"},
        {"[]", TROUPE_EPARSE, "message must begin with its name"},
        {"[1]", TROUPE_EPARSE, "message must begin with its name"},
        {"[[\"EVENT\"]]", TROUPE_EPARSE, "message must begin with its name"},
        {"[\"COUNT\",\"a\",{}]", TROUPE_ENOTFOUND, "unknown message"},
        {"[\"event\",{}]", TROUPE_ENOTFOUND, "unknown message"},
        {"[\"\"]", TROUPE_ENOTFOUND, "unknown message"},
        {"[\"EVENT\"]", TROUPE_EPARSE, "EVENT: "},
        {"[\"EVENT\",null]", TROUPE_EPARSE, "EVENT: "},
        {"[\"EVENT\",\"sub\",{}]", TROUPE_EPARSE, "EVENT: "},
        {"[\"REQ\"]", TROUPE_EPARSE, "REQ: subscription id"},
        {"[\"REQ\",1,{}]", TROUPE_EPARSE, "REQ: subscription id"},
        {"[\"REQ\",\"\",{}]", TROUPE_EPARSE, "REQ: subscription id"},
        {"[\"REQ\",\"" CHARS_64 "x\",{}]", TROUPE_EPARSE, "REQ: subscription id"},
        {"[\"REQ\",\"" SMILE_64 "x\",{}]", TROUPE_EPARSE, "REQ: subscription id"},
        {"[\"REQ\",\"s\"]", TROUPE_EPARSE, "REQ: needs at least one filter"},
        {"[\"REQ\",\"s\",[]]", TROUPE_EPARSE, "REQ: filter must be an object"},
        {"[\"REQ\",\"s\",{},1]", TROUPE_EPARSE, "REQ: filter must be an object"},
        {"[\"REQ\",\"s\",{},{},{},{}]", TROUPE_ETOOLARGE, "REQ: too many filters"},
        {"[\"CLOSE\"]", TROUPE_EPARSE, "CLOSE: "},
        {"[\"CLOSE\",{}]", TROUPE_EPARSE, "CLOSE: "},
        {"[\"AUTH\"]", TROUPE_EPARSE, "AUTH: "},
        {"[\"AUTH\",\"challenge\"]", TROUPE_EPARSE, "AUTH: "},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct trp_nostr_client_msg msg;
        struct trp_nostr_client_msg before;
        memset(&msg, 0x33, sizeof(msg));
        memcpy(&before, &msg, sizeof(msg));
        assert_int_equal(read_client(fixture, &msg, cases[i].json), cases[i].status);
        assert_memory_equal(fixture->error.text, cases[i].text, strlen(cases[i].text));
        assert_memory_equal(&msg, &before, sizeof(msg));
    }
}

static void test_relay_messages(void **state)
{
    struct nostr_fixture *fixture = *state;
    struct trp_nostr_relay_msg msg;
    assert_int_equal(read_relay(fixture, &msg, "[\"EVENT\",\"s\",{\"a\":1}]"), TROUPE_OK);
    assert_int_equal(msg.type, TRP_NOSTR_RELAY_EVENT);
    nostr_assert_span(msg.sub, "s");
    nostr_assert_span(trp_json_raw(&fixture->doc, msg.event), "{\"a\":1}");

    assert_int_equal(read_relay(fixture, &msg, "[\"OK\",\"" HEX_A "\",true,\"\"]"), TROUPE_OK);
    assert_int_equal(msg.type, TRP_NOSTR_RELAY_OK);
    assert_int_equal(msg.id[0], 0xaa);
    assert_int_equal(msg.id[31], 0xaa);
    assert_true(msg.accepted);
    assert_int_equal(msg.text.len, 0);
    assert_int_equal(read_relay(fixture, &msg, "[\"OK\",\"" HEX_A "\",false,\"invalid: \\u0078\"]"),
                     TROUPE_OK);
    assert_false(msg.accepted);
    nostr_assert_span(msg.text, "invalid: x");
    assert_int_equal(read_relay(fixture, &msg, "[\"OK\",\"" HEX_A "\",true]"), TROUPE_OK);
    assert_int_equal(msg.text.len, 0);

    assert_int_equal(read_relay(fixture, &msg, "[\"EOSE\",\"s\"]"), TROUPE_OK);
    assert_int_equal(msg.type, TRP_NOSTR_RELAY_EOSE);
    nostr_assert_span(msg.sub, "s");

    assert_int_equal(read_relay(fixture, &msg, "[\"CLOSED\",\"s\",\"error: y\"]"), TROUPE_OK);
    assert_int_equal(msg.type, TRP_NOSTR_RELAY_CLOSED);
    nostr_assert_span(msg.sub, "s");
    nostr_assert_span(msg.text, "error: y");
    assert_int_equal(read_relay(fixture, &msg, "[\"CLOSED\",\"s\"]"), TROUPE_OK);
    assert_int_equal(msg.text.len, 0);

    assert_int_equal(read_relay(fixture, &msg, "[\"NOTICE\",\"hi\",null]"), TROUPE_OK);
    assert_int_equal(msg.type, TRP_NOSTR_RELAY_NOTICE);
    nostr_assert_span(msg.text, "hi");

    assert_int_equal(read_relay(fixture, &msg, "[\"AUTH\",\"challenge\"]"), TROUPE_OK);
    assert_int_equal(msg.type, TRP_NOSTR_RELAY_AUTH);
    nostr_assert_span(msg.text, "challenge");
}

static void test_malformed_relay_messages(void **state)
{
    struct nostr_fixture *fixture = *state;
    static const struct {
        const char *json;
        enum troupe_status status;
        const char *text;
    } cases[] = {
        {"null", TROUPE_EPARSE, "message must be an array"},
        {"[{}]", TROUPE_EPARSE, "message must begin with its name"},
        {"[\"REQ\",\"s\",{}]", TROUPE_ENOTFOUND, "unknown message"},
        {"[\"EVENT\",{}]", TROUPE_EPARSE, "EVENT: subscription id"},
        {"[\"EVENT\",\"s\"]", TROUPE_EPARSE, "EVENT: event"},
        {"[\"EVENT\",\"s\",\"{}\"]", TROUPE_EPARSE, "EVENT: event"},
        {"[\"OK\"]", TROUPE_EPARSE, "OK: id"},
        {"[\"OK\",\"aa\",true,\"\"]", TROUPE_EPARSE, "OK: id"},
        {"[\"OK\",1,true,\"\"]", TROUPE_EPARSE, "OK: id"},
        {"[\"OK\",\"" HEX_A "\"]", TROUPE_EPARSE, "OK: third"},
        {"[\"OK\",\"" HEX_A "\",\"true\",\"\"]", TROUPE_EPARSE, "OK: third"},
        {"[\"OK\",\"" HEX_A "\",true,null]", TROUPE_EPARSE, "OK: text"},
        {"[\"EOSE\"]", TROUPE_EPARSE, "EOSE: "},
        {"[\"EOSE\",\"\"]", TROUPE_EPARSE, "EOSE: "},
        {"[\"EOSE\",\"" CHARS_64 "x\"]", TROUPE_EPARSE, "EOSE: "},
        {"[\"CLOSED\"]", TROUPE_EPARSE, "CLOSED: subscription id"},
        {"[\"CLOSED\",\"s\",1]", TROUPE_EPARSE, "CLOSED: text"},
        {"[\"NOTICE\"]", TROUPE_EPARSE, "NOTICE: "},
        {"[\"NOTICE\",{}]", TROUPE_EPARSE, "NOTICE: "},
        {"[\"AUTH\",{}]", TROUPE_EPARSE, "AUTH: "},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct trp_nostr_relay_msg msg;
        struct trp_nostr_relay_msg before;
        memset(&msg, 0x33, sizeof(msg));
        memcpy(&before, &msg, sizeof(msg));
        assert_int_equal(read_relay(fixture, &msg, cases[i].json), cases[i].status);
        assert_memory_equal(fixture->error.text, cases[i].text, strlen(cases[i].text));
        assert_memory_equal(&msg, &before, sizeof(msg));
    }
    /* The reason is optional. */
    struct trp_nostr_relay_msg msg;
    nostr_parse(fixture, troupe_span_cstr("[]"));
    assert_int_equal(trp_nostr_wire_read_relay(&msg, &fixture->doc, NULL), TROUPE_EPARSE);
}

static char written[4096];

static struct trp_text begin(void)
{
    return trp_text_init(written, sizeof(written) - 1);
}

static const char *end(const struct trp_text *text)
{
    assert_false(text->overflow);
    written[text->len] = '\0';
    return written;
}

static void test_relay_writers(void **state)
{
    struct nostr_fixture *fixture = *state;
    struct trp_nostr_relay_msg msg;
    uint8_t id[32];
    memset(id, 0xaa, sizeof(id));
    struct troupe_span sub = troupe_span_cstr("s\"1");
    struct troupe_span why = troupe_span_cstr("error: a\nb");

    struct trp_text text = begin();
    trp_nostr_wire_write_event(&text, sub, troupe_span_cstr("{\"x\": 1}"));
    assert_string_equal(end(&text), "[\"EVENT\",\"s\\\"1\",{\"x\": 1}]");
    assert_int_equal(read_relay(fixture, &msg, written), TROUPE_OK);
    assert_true(troupe_span_equal(msg.sub, sub));

    text = begin();
    trp_nostr_wire_write_ok(&text, id, true, troupe_span("", 0));
    assert_string_equal(end(&text), "[\"OK\",\"" HEX_A "\",true,\"\"]");
    text = begin();
    trp_nostr_wire_write_ok(&text, id, false, why);
    assert_string_equal(end(&text), "[\"OK\",\"" HEX_A "\",false,\"error: a\\nb\"]");
    assert_int_equal(read_relay(fixture, &msg, written), TROUPE_OK);
    assert_true(troupe_span_equal(msg.text, why));
    assert_memory_equal(msg.id, id, 32);

    text = begin();
    trp_nostr_wire_write_eose(&text, sub);
    assert_string_equal(end(&text), "[\"EOSE\",\"s\\\"1\"]");
    text = begin();
    trp_nostr_wire_write_closed(&text, sub, why);
    assert_string_equal(end(&text), "[\"CLOSED\",\"s\\\"1\",\"error: a\\nb\"]");
    text = begin();
    trp_nostr_wire_write_notice(&text, why);
    assert_string_equal(end(&text), "[\"NOTICE\",\"error: a\\nb\"]");
    text = begin();
    trp_nostr_wire_write_challenge(&text, troupe_span_cstr("abc"));
    assert_string_equal(end(&text), "[\"AUTH\",\"abc\"]");
    assert_int_equal(read_relay(fixture, &msg, written), TROUPE_OK);
    assert_int_equal(msg.type, TRP_NOSTR_RELAY_AUTH);
}

static void test_client_writers(void **state)
{
    struct nostr_fixture *fixture = *state;
    struct trp_nostr_client_msg msg;
    struct trp_nostr_event_limits limits = trp_nostr_event_limits_default();
    struct trp_nostr_draft draft = {.kind = 22242, .content = troupe_span_cstr("\"x\"")};
    struct trp_nostr_event *event = nostr_sign(fixture, &draft);
    for (int is_auth = 0; is_auth < 2; is_auth++) {
        struct trp_text text = begin();
        if (is_auth) {
            trp_nostr_wire_write_auth(&text, event);
        } else {
            trp_nostr_wire_write_publish(&text, event);
        }
        assert_int_equal(read_client(fixture, &msg, end(&text)), TROUPE_OK);
        assert_int_equal(msg.type, is_auth ? TRP_NOSTR_CLIENT_AUTH : TRP_NOSTR_CLIENT_EVENT);
        static uint64_t area[256];
        assert_int_equal(
            trp_nostr_event_read(area, sizeof(area), &fixture->doc, msg.event, &limits, NULL),
            TROUPE_OK);
        assert_memory_equal(area, event, event->size);
    }
    free(event);

    static const uint16_t kinds[] = {1};
    const struct trp_nostr_filter_draft filters[] = {
        {.kinds = kinds, .kind_count = 1},
        {.limit = 5, .has_limit = true},
    };
    struct trp_text text = begin();
    trp_nostr_wire_write_req(&text, troupe_span_cstr("s"), filters, 2);
    assert_string_equal(end(&text), "[\"REQ\",\"s\",{\"kinds\":[1]},{\"limit\":5}]");
    assert_int_equal(read_client(fixture, &msg, written), TROUPE_OK);
    assert_int_equal(msg.filter_count, 2);

    text = begin();
    trp_nostr_wire_write_close(&text, troupe_span_cstr("s\\"));
    assert_string_equal(end(&text), "[\"CLOSE\",\"s\\\\\"]");
    assert_int_equal(read_client(fixture, &msg, written), TROUPE_OK);
    nostr_assert_span(msg.sub, "s\\");

    /* Too little room is noticed, not overrun. */
    char small[8];
    text = trp_text_init(small, sizeof(small));
    trp_nostr_wire_write_close(&text, troupe_span_cstr("subscription"));
    assert_true(text.overflow);
    assert_int_equal(text.needed, strlen("[\"CLOSE\",\"subscription\"]"));
}

static void test_subscription_ids(void **state)
{
    (void)state;
    assert_true(trp_nostr_wire_sub_valid(troupe_span_cstr("a")));
    assert_true(trp_nostr_wire_sub_valid(troupe_span_cstr(CHARS_64)));
    assert_true(trp_nostr_wire_sub_valid(troupe_span_cstr(SMILE_64)));
    assert_false(trp_nostr_wire_sub_valid(troupe_span_cstr("")));
    assert_false(trp_nostr_wire_sub_valid(troupe_span_cstr(CHARS_64 "a")));
    assert_false(trp_nostr_wire_sub_valid(troupe_span_cstr(SMILE_64 "a")));
    assert_false(trp_nostr_wire_sub_valid(troupe_span_cstr("\x80\x80")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_client_messages),  cmocka_unit_test(test_malformed_client_messages),
        cmocka_unit_test(test_relay_messages),   cmocka_unit_test(test_malformed_relay_messages),
        cmocka_unit_test(test_relay_writers),    cmocka_unit_test(test_client_writers),
        cmocka_unit_test(test_subscription_ids),
    };
    return cmocka_run_group_tests(tests, nostr_fixture_setup, nostr_fixture_teardown);
}
