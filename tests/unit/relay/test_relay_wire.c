/* Every message of NIP-01 over real sockets, good and bad; NIP-11; limits. */

#include "tests/cmocka.h"

#include "tests/unit/relay/fixture.h"

#include "pool/random.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define HEX_0 "0000000000000000000000000000000000000000000000000000000000000000"

static struct fixture fixture;

static int set_up(void **state)
{
    (void)state;
    fixture_init(&fixture);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fixture_stop(&fixture);
    return 0;
}

static void events_are_stored_sent_and_forwarded(void **state)
{
    (void)state;
    struct ws_client a;
    struct ws_client b;
    char id[65];
    fixture_start(&fixture, 1);
    fixture_open(&fixture, &a);
    fixture_open(&fixture, &b);
    fixture_send(&a, "[\"REQ\",\"s\\\"1\",{\"kinds\":[1]}]");
    fixture_expect(&a, "[\"EOSE\",\"s\\\"1\"]");
    struct event_spec spec = {.kind = 1, .content = "one", .tags = {{"t", "x"}}};
    fixture_event(&fixture, &b, &spec, id);
    fixture_expect(&b, "[\"OK\",\"%s\",true,\"\"]", id);
    fixture_expect_event(&a, "s\\\"1", "one");
    assert_non_null(strstr(a.text, id));
    assert_non_null(strstr(a.text, "\"tags\":[[\"t\",\"x\"]]"));
    fixture_event(&fixture, &b, &spec, id);
    fixture_expect(&b, "[\"OK\",\"%s\",true,\"duplicate: ", id);
    /* what is stored comes before EOSE, in each of two subscriptions */
    fixture_send(&b, "[\"REQ\",\"x\",{\"kinds\":[1]},{\"#t\":[\"x\"]}]");
    fixture_expect_event(&b, "x", "one");
    fixture_expect(&b, "[\"EOSE\",\"x\"]");
    fixture_send(&b, "[\"REQ\",\"y\",{\"ids\":[\"%s\"]}]", id);
    fixture_expect_event(&b, "y", "one");
    fixture_expect(&b, "[\"EOSE\",\"y\"]");
    /* after CLOSE nothing comes any more */
    fixture_send(&a, "[\"CLOSE\",\"s\\\"1\"]");
    fixture_send(&a, "[\"CLOSE\",\"never opened\"]");
    fixture_send(&a, "[\"REQ\",\"z\",{\"kinds\":[2]}]");
    fixture_expect(&a, "[\"EOSE\",\"z\"]");
    spec.content = "two";
    fixture_event(&fixture, &b, &spec, id);
    fixture_expect(&b, "[\"OK\",\"%s\",true,\"\"]", id);
    fixture_expect_event(&b, "x", "two");
    spec.kind = 2;
    fixture_event(&fixture, &b, &spec, id);
    fixture_expect(&b, "[\"OK\",\"%s\",true,\"\"]", id);
    fixture_expect_event(&b, "x", "two");
    fixture_expect_event(&a, "z", "two");
    assert_non_null(strstr(a.text, "\"kind\":2"));
    ws_client_drop(&a);
    ws_client_drop(&b);
    WAIT_UNTIL(&fixture, connections, 0);
    assert_int_equal(fixture_stats(&fixture).subscriptions, 0);
}

static void a_new_req_replaces_the_old_one(void **state)
{
    (void)state;
    struct ws_client a;
    char id[65];
    fixture_start(&fixture, 1);
    fixture_open(&fixture, &a);
    fixture_send(&a, "[\"REQ\",\"s\",{\"kinds\":[1]}]");
    fixture_expect(&a, "[\"EOSE\",\"s\"]");
    fixture_send(&a, "[\"REQ\",\"s\",{\"kinds\":[2]}]");
    fixture_expect(&a, "[\"EOSE\",\"s\"]");
    assert_int_equal(fixture_stats(&fixture).subscriptions, 1);
    struct event_spec spec = {.kind = 1, .content = "one"};
    fixture_event(&fixture, &a, &spec, id);
    fixture_expect(&a, "[\"OK\",\"%s\",true,\"\"]", id);
    spec.kind = 2;
    fixture_event(&fixture, &a, &spec, id);
    fixture_expect(&a, "[\"OK\",\"%s\",true,\"\"]", id);
    fixture_expect_event(&a, "s", "one");
    assert_non_null(strstr(a.text, "\"kind\":2"));
    ws_client_drop(&a);
}

static void ephemeral_events_are_not_stored(void **state)
{
    (void)state;
    struct ws_client a;
    char id[65];
    fixture_start(&fixture, 1);
    fixture_open(&fixture, &a);
    fixture_send(&a, "[\"REQ\",\"s\",{\"#p\":[\"%s\"],\"kinds\":[25910]}]",
                 fixture.maker.pubkeys[1]);
    fixture_expect(&a, "[\"EOSE\",\"s\"]");
    const uint32_t kinds[3] = {20000, 25910, 29999};
    for (int i = 0; i < 3; i++) {
        struct event_spec spec = {
            .kind = kinds[i], .content = "x", .tags = {{"p", fixture.maker.pubkeys[1]}}};
        fixture_event(&fixture, &a, &spec, id);
        fixture_expect(&a, "[\"OK\",\"%s\",true,\"\"]", id);
        if (kinds[i] == 25910) {
            fixture_expect_event(&a, "s", "x");
        }
    }
    fixture_send(&a, "[\"REQ\",\"all\",{}]");
    fixture_expect(&a, "[\"EOSE\",\"all\"]");
    assert_int_equal(fixture_stats(&fixture).stored, 0);
    assert_int_equal(fixture_stats(&fixture).accepted, 3);
    ws_client_drop(&a);
}

static void newer_versions_replace_older_ones(void **state)
{
    (void)state;
    struct ws_client a;
    char id[65];
    fixture_start(&fixture, 1);
    fixture_open(&fixture, &a);
    struct event_spec spec = {.kind = 11316, .created_at = 1000, .content = "v1"};
    fixture_event(&fixture, &a, &spec, id);
    fixture_expect(&a, "[\"OK\",\"%s\",true,\"\"]", id);
    fixture_send(&a, "[\"REQ\",\"s\",{\"kinds\":[11316]}]");
    fixture_expect_event(&a, "s", "v1");
    fixture_expect(&a, "[\"EOSE\",\"s\"]");
    spec.content = "v2";
    spec.created_at = 2000;
    fixture_event(&fixture, &a, &spec, id);
    fixture_expect(&a, "[\"OK\",\"%s\",true,\"\"]", id);
    fixture_expect_event(&a, "s", "v2");
    spec.content = "v0";
    spec.created_at = 500;
    fixture_event(&fixture, &a, &spec, id);
    fixture_expect(&a, "[\"OK\",\"%s\",true,\"duplicate: ", id);
    fixture_send(&a, "[\"REQ\",\"s\",{\"kinds\":[11316]}]");
    fixture_expect_event(&a, "s", "v2");
    fixture_expect(&a, "[\"EOSE\",\"s\"]");
    /* and a deletion takes it away for good */
    fixture_send(&a, "[\"CLOSE\",\"s\"]");
    spec.content = "v2";
    spec.created_at = 2000;
    fixture_event(&fixture, &a, &spec, id);
    fixture_expect(&a, "[\"OK\",\"%s\",true,\"duplicate: ", id);
    struct event_spec deletion = {.kind = 5, .created_at = 3000, .tags = {{"e", id}}};
    char deletion_id[65];
    fixture_event(&fixture, &a, &deletion, deletion_id);
    fixture_expect(&a, "[\"OK\",\"%s\",true,\"\"]", deletion_id);
    fixture_event(&fixture, &a, &spec, id);
    fixture_expect(&a, "[\"OK\",\"%s\",false,\"blocked: ", id);
    fixture_send(&a, "[\"REQ\",\"s\",{\"kinds\":[11316]}]");
    fixture_expect(&a, "[\"EOSE\",\"s\"]");
    ws_client_drop(&a);
}

static void filters_select(void **state)
{
    (void)state;
    struct ws_client a;
    char id[65];
    fixture_start(&fixture, 1);
    fixture_open(&fixture, &a);
    const struct event_spec specs[] = {
        {.kind = 1, .created_at = 100, .content = "a", .tags = {{"t", "x"}, {"p", "q"}}},
        {.key = 1, .kind = 1, .created_at = 200, .content = "b", .tags = {{"t", "y"}}},
        {.kind = 7, .created_at = 300, .content = "c", .tags = {{"p", "q"}}},
        {.key = 2, .kind = 1059, .created_at = 400, .content = "d"},
    };
    for (size_t i = 0; i < sizeof(specs) / sizeof(specs[0]); i++) {
        fixture_event(&fixture, &a, &specs[i], id);
        fixture_expect(&a, "[\"OK\",\"%s\",true,\"\"]", id);
    }
    char author[100];
    char last[100];
    (void)snprintf(author, sizeof(author), "{\"authors\":[\"%s\"]}", fixture.maker.pubkeys[0]);
    (void)snprintf(last, sizeof(last), "{\"ids\":[\"%s\"]}", id);
    const struct {
        const char *filters;
        const char *wanted;
    } table[] = {
        {"{}", "dcba"},
        {"{\"kinds\":[1]}", "ba"},
        {"{\"kinds\":[1,7],\"limit\":2}", "cb"},
        {author, "ca"},
        {last, "d"},
        {"{\"ids\":[\"" HEX_0 "\"]}", ""},
        {"{\"#t\":[\"x\",\"z\"]}", "a"},
        {"{\"#p\":[\"q\"]}", "ca"},
        {"{\"#p\":[\"q\"],\"#t\":[\"x\"]}", "a"},
        {"{\"since\":200,\"until\":300}", "cb"},
        {"{\"since\":401}", ""},
        {"{\"until\":99}", ""},
        {"{\"limit\":0}", ""},
        {"{\"kinds\":[7]},{\"kinds\":[1],\"limit\":1},{\"#p\":[\"q\"]}", "cba"},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        fixture_send(&a, "[\"REQ\",\"s\",%s]", table[i].filters);
        for (const char *wanted = table[i].wanted; *wanted != '\0'; wanted++) {
            char content[2] = {*wanted, '\0'};
            fixture_expect_event(&a, "s", content);
        }
        fixture_expect(&a, "[\"EOSE\",\"s\"]");
    }
    ws_client_drop(&a);
}

/* The JSON of a good event with one piece replaced by another of the same length. */
static void send_forged(struct ws_client *client, const char *piece, const char *by)
{
    struct event_spec spec = {.kind = 1, .created_at = 1000, .content = "forged"};
    struct trp_nostr_event *event = event_make(&fixture.maker, &spec);
    char *json = event_json(event);
    char *at = strstr(json, piece);
    assert_non_null(at);
    assert_int_equal(strlen(piece), strlen(by));
    memcpy(at, by, strlen(by));
    fixture_send(client, "[\"EVENT\",%s]", json);
    free(json);
    free(event);
}

static void forged_events_are_refused(void **state)
{
    (void)state;
    struct ws_client a;
    fixture_start(&fixture, 1);
    fixture_open(&fixture, &a);
    send_forged(&a, "forged", "FORGED");
    fixture_expect(&a, "[\"OK\",\"");
    assert_non_null(strstr(a.text, ",false,\"invalid: id"));
    send_forged(&a, "\"created_at\":1000", "\"created_at\":1001");
    fixture_expect(&a, "[\"OK\",\"");
    assert_non_null(strstr(a.text, ",false,\"invalid: id"));
    struct event_spec spec = {.kind = 1, .created_at = 1000, .content = "forged"};
    struct trp_nostr_event *event = event_make(&fixture.maker, &spec);
    event->sig[10] ^= 1;
    char *json = event_json(event);
    fixture_send(&a, "[\"EVENT\",%s]", json);
    fixture_expect(&a, "[\"OK\",\"");
    assert_non_null(strstr(a.text, ",false,\"invalid: signature"));
    free(json);
    free(event);
    send_forged(&a, "\"kind\":1", "\"kind\":x");
    fixture_expect(&a, "[\"NOTICE\",\"invalid: ");
    send_forged(&a, "\"kind\":1", "\"kinD\":1");
    fixture_expect(&a, "[\"OK\",\"");
    assert_non_null(strstr(a.text, ",false,\"invalid: kind"));
    char id[65];
    spec.created_at = (uint64_t)time(NULL) + 1000;
    fixture_event(&fixture, &a, &spec, id);
    fixture_expect(&a, "[\"OK\",\"%s\",false,\"invalid: created_at", id);
    spec.created_at = (uint64_t)time(NULL) + 800;
    fixture_event(&fixture, &a, &spec, id);
    fixture_expect(&a, "[\"OK\",\"%s\",true,\"\"]", id);
    struct trp_relay_stats stats = fixture_stats(&fixture);
    assert_int_equal(stats.bad_ids, 2);
    assert_int_equal(stats.bad_signatures, 1);
    assert_int_equal(stats.malformed, 2);
    assert_int_equal(stats.accepted, 1);
    assert_int_equal(stats.stored, 1);
    ws_client_drop(&a);
}

static void bad_messages_are_answered(void **state)
{
    (void)state;
    static const struct {
        const char *sent;
        const char *answer;
    } table[] = {
        {"", "[\"NOTICE\",\"invalid: "},
        {"hello", "[\"NOTICE\",\"invalid: "},
        {"{}", "[\"NOTICE\",\"invalid: "},
        {"[]", "[\"NOTICE\",\"invalid: "},
        {"[1]", "[\"NOTICE\",\"invalid: "},
        {"[\"\"]", "[\"NOTICE\",\"invalid: unknown"},
        {"[\"COUNT\",\"s\",{}]", "[\"NOTICE\",\"invalid: unknown"},
        {"[\"event\",{}]", "[\"NOTICE\",\"invalid: unknown"},
        {"[\"EVENT\"]", "[\"NOTICE\",\"invalid: "},
        {"[\"EVENT\",7]", "[\"NOTICE\",\"invalid: "},
        {"[\"EVENT\",{}]", "[\"NOTICE\",\"invalid: "},
        {"[\"EVENT\",{\"id\":\"" HEX_0 "\"}]", "[\"OK\",\"" HEX_0 "\",false,\"invalid: "},
        {"[\"AUTH\",{}]", "[\"NOTICE\",\"invalid: "},
        {"[\"REQ\"]", "[\"NOTICE\",\"invalid: "},
        {"[\"REQ\",\"\",{}]", "[\"NOTICE\",\"invalid: "},
        {"[\"REQ\",5,{}]", "[\"NOTICE\",\"invalid: "},
        {"[\"REQ\",\"s\"]", "[\"CLOSED\",\"s\",\"invalid: "},
        {"[\"REQ\",\"s\",[]]", "[\"CLOSED\",\"s\",\"invalid: "},
        {"[\"REQ\",\"s\",{},5]", "[\"CLOSED\",\"s\",\"invalid: "},
        {"[\"REQ\",\"s\",{\"kinds\":[-1]}]", "[\"CLOSED\",\"s\",\"invalid: "},
        {"[\"REQ\",\"s\",{\"ids\":[\"ab\"]}]", "[\"CLOSED\",\"s\",\"invalid: "},
        {"[\"REQ\",\"s\",{},{},{}]", "[\"CLOSED\",\"s\",\"invalid: "},
        {"[\"REQ\",\"s\",{\"kinds\":[1,2,3,4,5]}]", "[\"CLOSED\",\"s\",\"invalid: "},
        {"[\"CLOSE\"]", "[\"NOTICE\",\"invalid: "},
        {"[\"REQ\",\"s\",{}] x", "[\"NOTICE\",\"invalid: "},
        {"[\"REQ\",\"s\",{\"a\":\"\\ud800\"}]", "[\"NOTICE\",\"invalid: "},
    };
    struct ws_client a;
    fixture.config.filters_max = 2;
    fixture.config.filter_values_max = 4;
    fixture_start(&fixture, 1);
    fixture_open(&fixture, &a);
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        ws_client_send(&a, table[i].sent);
        fixture_expect(&a, "%s", table[i].answer);
    }
    assert_true(ws_client_frame(&a, 0x82, "binary", 6));
    fixture_expect(&a, "[\"NOTICE\",\"invalid: only text");
    char *deep = malloc(30001);
    assert_non_null(deep);
    memset(deep, '[', 30000);
    deep[30000] = '\0';
    ws_client_send(&a, deep);
    fixture_expect(&a, "[\"NOTICE\",\"invalid: ");
    free(deep);
    assert_int_equal(fixture_stats(&fixture).subscriptions, 0);
    /* and it still works */
    fixture_send(&a, "[\"REQ\",\"s\",{}]");
    fixture_expect(&a, "[\"EOSE\",\"s\"]");
    ws_client_drop(&a);
}

static void mutated_messages_do_no_harm(void **state)
{
    (void)state;
    static const char *const seeds[] = {
        "[\"REQ\",\"s\",{\"kinds\":[1,2],\"#p\":[\"a\",\"b\"],\"since\":1,\"limit\":5}]",
        "[\"REQ\",\"s\",{\"ids\":[\"" HEX_0 "\"],\"until\":99},{\"#t\":[\"x\"]}]",
        "[\"EVENT\",{\"id\":\"" HEX_0 "\",\"pubkey\":\"" HEX_0 "\",\"created_at\":1,\"kind\":1,"
        "\"tags\":[[\"p\",\"a\"],[\"d\",\"b\",\"c\"]],\"content\":\"\\u00e9\",\"sig\":\"" HEX_0
            HEX_0 "\"}]",
        "[\"CLOSE\",\"s\"]",
    };
    static const char letters[] = "[]{}\",:#\\0123456789-.eEptnull \x01\x7f";
    struct ws_client a;
    struct trp_random random = {20251};
    fixture.config.bad_messages_max = UINT32_MAX;
    fixture_start(&fixture, 1);
    fixture_open(&fixture, &a);
    for (int round = 0; round < 100; round++) {
        for (int n = 0; n < 40; n++) {
            char text[600];
            const char *seed = seeds[trp_random_below(&random, 4)];
            size_t len = strlen(seed);
            memcpy(text, seed, len);
            for (uint64_t i = trp_random_below(&random, 4); i > 0; i--) {
                text[trp_random_below(&random, len)] =
                    letters[trp_random_below(&random, sizeof(letters) - 1)];
            }
            if (trp_random_below(&random, 8) == 0) {
                len = trp_random_below(&random, len + 1);
            }
            assert_true(ws_client_frame(&a, 0x81, text, len));
        }
        fixture_send(&a, "[\"REQ\",\"round %d\",{\"limit\":0}]", round);
        char end[40];
        (void)snprintf(end, sizeof(end), "[\"EOSE\",\"round %d\"]", round);
        do {
            assert_int_equal(ws_client_receive(&a), WS_CLIENT_TEXT);
        } while (strcmp(a.text, end) != 0);
        fixture_send(&a, "[\"CLOSE\",\"round %d\"]", round);
    }
    struct trp_relay_stats stats = fixture_stats(&fixture);
    assert_int_equal(stats.accepted, 0);
    assert_true(stats.bad_messages > 100);
    assert_true(stats.bad_requests > 10);
    assert_true(stats.bad_ids > 10);
    ws_client_drop(&a);
}

static void limits_hold(void **state)
{
    (void)state;
    struct ws_client a;
    struct ws_client b;
    fixture.config.subs_max = 2;
    fixture.config.sub_bytes_max = 4096;
    fixture.config.message_bytes_max = 4096;
    fixture.config.bad_messages_max = 3;
    fixture.config.connections_max = 2;
    fixture_start(&fixture, 1);
    fixture_open(&fixture, &a);
    fixture_send(&a, "[\"REQ\",\"1\",{}]");
    fixture_expect(&a, "[\"EOSE\",\"1\"]");
    fixture_send(&a, "[\"REQ\",\"2\",{}]");
    fixture_expect(&a, "[\"EOSE\",\"2\"]");
    fixture_send(&a, "[\"REQ\",\"3\",{}]");
    fixture_expect(&a, "[\"CLOSED\",\"3\",\"error: too many subscriptions\"]");
    fixture_send(&a, "[\"REQ\",\"2\",{\"kinds\":[1]}]"); /* replacing is fine */
    fixture_expect(&a, "[\"EOSE\",\"2\"]");
    char kinds[3000] = "1";
    while (strlen(kinds) < sizeof(kinds) - 3) {
        memcpy(kinds + strlen(kinds), ",1", 3);
    }
    fixture_send(&a, "[\"REQ\",\"2\",{\"kinds\":[%s]}]", kinds);
    fixture_expect(&a, "[\"CLOSED\",\"2\",");
    /* connections */
    fixture_open(&fixture, &b);
    struct ws_client c;
    assert_false(ws_client_open(&c, fixture.port, 0));
    assert_int_equal(fixture_stats(&fixture).refused, 1);
    /* unreadable messages in a row */
    ws_client_send(&b, "x");
    ws_client_send(&b, "x");
    fixture_send(&b, "[\"CLOSE\",\"s\"]");
    ws_client_send(&b, "x");
    ws_client_send(&b, "x");
    ws_client_send(&b, "x");
    for (int i = 0; i < 5; i++) {
        fixture_expect(&b, "[\"NOTICE\"");
    }
    fixture_expect_close(&b, 1008);
    ws_client_drop(&b);
    WAIT_UNTIL(&fixture, connections, 1);
    assert_int_equal(fixture_stats(&fixture).abusive, 1);
    /* a place is free again; size of a message */
    fixture_open(&fixture, &b);
    char *large = malloc(5000);
    assert_non_null(large);
    memset(large, ' ', 4999);
    large[4999] = '\0';
    ws_client_send(&b, large);
    fixture_expect_close(&b, 1009);
    ws_client_drop(&b);
    free(large);
    /* UTF-8 */
    WAIT_UNTIL(&fixture, connections, 1);
    fixture_open(&fixture, &b);
    ws_client_send(&b, "[\"CLOSE\",\"\xC3\x28\"]");
    fixture_expect_close(&b, 1007);
    ws_client_drop(&b);
    ws_client_drop(&a);
    WAIT_UNTIL(&fixture, connections, 0);
}

static void the_store_is_bounded(void **state)
{
    (void)state;
    struct ws_client a;
    char id[65];
    char content[16];
    fixture.config.store_count_max = 5;
    fixture.config.limit_max = 4;
    fixture_start(&fixture, 1);
    fixture_open(&fixture, &a);
    for (uint32_t i = 0; i < 12; i++) {
        (void)snprintf(content, sizeof(content), "%u", i);
        struct event_spec spec = {.kind = 1, .created_at = 1000 + i, .content = content};
        fixture_event(&fixture, &a, &spec, id);
        fixture_expect(&a, "[\"OK\",\"%s\",true,\"\"]", id);
    }
    assert_int_equal(fixture_stats(&fixture).stored, 5);
    fixture_send(&a, "[\"REQ\",\"s\",{\"limit\":1000}]");
    for (int i = 11; i >= 8; i--) {
        (void)snprintf(content, sizeof(content), "%d", i);
        fixture_expect_event(&a, "s", content);
    }
    fixture_expect(&a, "[\"EOSE\",\"s\"]");
    ws_client_drop(&a);
}

static void the_information_document_is_served(void **state)
{
    (void)state;
    char answer[4096];
    fixture.config.name = "a \"relay\"";
    fixture.config.version = "9.9";
    fixture_start(&fixture, 1);
    ws_client_http(fixture.port,
                   "GET / HTTP/1.1\r\nHost: x\r\nAccept: application/nostr+json\r\n\r\n", answer,
                   sizeof(answer));
    assert_memory_equal(answer, "HTTP/1.1 200 ", 13);
    assert_non_null(strcasestr(answer, "\r\ncontent-type: application/nostr+json\r\n"));
    assert_non_null(strcasestr(answer, "\r\naccess-control-allow-origin: *\r\n"));
    const char *body = strstr(answer, "\r\n\r\n");
    assert_non_null(body);
    struct trp_json_doc doc;
    uint64_t number;
    size_t len = strlen(body + 4);
    assert_int_equal(trp_json_read(fixture.maker.parser, &doc, body + 4, len, len), TROUPE_OK);
    const struct trp_json_node *root = trp_json_root(&doc);
    assert_true(trp_json_is(&doc, trp_json_member(&doc, root, "name"), "a \"relay\""));
    assert_true(trp_json_is(&doc, trp_json_member(&doc, root, "version"), "9.9"));
    const struct trp_json_node *limits = trp_json_member(&doc, root, "limitation");
    assert_non_null(limits);
    assert_true(trp_json_u64(&doc, trp_json_member(&doc, limits, "max_message_length"), &number));
    assert_int_equal(number, fixture.config.message_bytes_max);
    assert_non_null(trp_json_member(&doc, root, "supported_nips"));
    /* anything else is told to upgrade */
    ws_client_http(fixture.port, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", answer, sizeof(answer));
    assert_memory_equal(answer, "HTTP/1.1 426 ", 13);
    ws_client_http(fixture.port, "nonsense\r\n\r\n", answer, sizeof(answer));
    assert_memory_equal(answer, "HTTP/1.1 400 ", 13);
    WAIT_UNTIL(&fixture, connections, 0);
}

static void bad_configurations_are_named(void **state)
{
    (void)state;
    char error[400] = "";
    struct trp_relay *relay = NULL;
    fixture_start(&fixture, 1);
    fixture.config.subs_max = 0;
    assert_int_equal(trp_relay_create(&relay, fixture.pool, &fixture.config, error, sizeof(error)),
                     TROUPE_EINVAL);
    assert_non_null(strstr(error, "subs_max"));
    fixture.config.subs_max = 1;
    fixture.config.address = "nonsense";
    assert_int_equal(trp_relay_create(&relay, fixture.pool, &fixture.config, error, sizeof(error)),
                     TROUPE_EINVAL);
    fixture.config.address = "./socket-of-a-relay";
    assert_int_equal(trp_relay_create(&relay, fixture.pool, &fixture.config, error, sizeof(error)),
                     TROUPE_EINVAL);
    assert_null(relay);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(events_are_stored_sent_and_forwarded),
        CASE(a_new_req_replaces_the_old_one),
        CASE(ephemeral_events_are_not_stored),
        CASE(newer_versions_replace_older_ones),
        CASE(filters_select),
        CASE(forged_events_are_refused),
        CASE(bad_messages_are_answered),
        CASE(mutated_messages_do_no_harm),
        CASE(limits_hold),
        CASE(the_store_is_bounded),
        CASE(the_information_document_is_served),
        CASE(bad_configurations_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
