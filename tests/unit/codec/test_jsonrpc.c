#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "io/codec/jsonrpc.h"

static struct trp_json_parser *parser;
static struct trp_json_doc doc;
static struct trp_jsonrpc msg;
static char storage[4096];

static int make_parser(void **state)
{
    (void)state;
    parser = trp_json_create(trp_json_limits_default());
    return parser == NULL ? -1 : 0;
}

static int drop_parser(void **state)
{
    (void)state;
    trp_json_destroy(parser);
    return 0;
}

static enum trp_jsonrpc_kind classify(const char *json)
{
    size_t len = strlen(json);
    if (trp_json_read(parser, &doc, json, len, len) != TROUPE_OK) {
        fail_msg("%s: %s", json, trp_json_error(parser));
    }
    return trp_jsonrpc_read(&msg, &doc);
}

static void assert_kind(const char *json, enum trp_jsonrpc_kind kind)
{
    if (classify(json) != kind) {
        fail_msg("%s: %s", json, msg.problem != NULL ? msg.problem : "another kind");
    }
    assert_true((msg.problem != NULL) == (kind == TRP_JSONRPC_INVALID));
}

static void assert_invalid(const char *json, const char *problem)
{
    assert_kind(json, TRP_JSONRPC_INVALID);
    if (strstr(msg.problem, problem) == NULL) {
        fail_msg("%s: %s", json, msg.problem);
    }
    assert_null(msg.params);
    assert_null(msg.token);
    assert_null(msg.request_id);
    assert_int_equal(msg.method.len, 0);
}

static void assert_raw(const struct trp_json_node *node, const char *raw)
{
    assert_true(troupe_span_is(trp_jsonrpc_raw(&doc, node), raw));
}

static void assert_written(const struct trp_text *text, const char *wanted)
{
    assert_false(text->overflow);
    assert_int_equal(text->len, strlen(wanted));
    assert_memory_equal(text->data, wanted, text->len);
}

static struct trp_text fresh_text(void)
{
    return trp_text_init(storage, sizeof storage);
}

/* The message with `number` in place of its references. */
static void assert_renumbered(const char *json, uint64_t number, const char *wanted)
{
    assert_true(classify(json) != TRP_JSONRPC_INVALID);
    struct trp_text text = fresh_text();
    trp_jsonrpc_renumber(&text, &doc, &msg, number);
    assert_written(&text, wanted);
}

static void assert_restored(const char *json, const char *raw, const char *wanted)
{
    assert_true(classify(json) != TRP_JSONRPC_INVALID);
    struct trp_text text = fresh_text();
    trp_jsonrpc_restore(&text, &doc, &msg, troupe_span_cstr(raw));
    assert_written(&text, wanted);
}

static void test_request(void **state)
{
    (void)state;
    assert_kind("{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"tools\\/call\",\"params\":{\"a\":1,"
                "\"_meta\":{\"progressToken\":\"t\\u0031\"}}}",
                TRP_JSONRPC_REQUEST);
    assert_raw(msg.id, "7");
    assert_true(troupe_span_is(msg.method, "tools/call"));
    assert_raw(msg.params, "{\"a\":1,\"_meta\":{\"progressToken\":\"t\\u0031\"}}");
    assert_raw(msg.token, "\"t\\u0031\"");
    assert_null(msg.request_id);
    assert_null(msg.result);

    assert_kind("{\"method\":\"ping\",\"id\":\"x\",\"jsonrpc\":\"2.0\"}", TRP_JSONRPC_REQUEST);
    assert_raw(msg.id, "\"x\"");
    assert_null(msg.params);
    assert_null(msg.token);
    assert_int_equal(trp_jsonrpc_raw(&doc, msg.params).len, 0);

    assert_kind("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"params\":[{\"_meta\":1}]}",
                TRP_JSONRPC_REQUEST);
    assert_null(msg.token);
    /* An unset optional member may be written as null. */
    assert_kind("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"params\":{\"_meta\":null}}",
                TRP_JSONRPC_REQUEST);
    assert_null(msg.token);
    assert_kind("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"params\":{\"_meta\":"
                "{\"progressToken\":null}}}",
                TRP_JSONRPC_REQUEST);
    assert_null(msg.token);
    /* Only params._meta counts. */
    assert_kind("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"_meta\":{\"progressToken\":1},"
                "\"params\":{\"progressToken\":2,\"a\":{\"_meta\":{\"progressToken\":3}}}}",
                TRP_JSONRPC_REQUEST);
    assert_null(msg.token);
}

static void test_notifications(void **state)
{
    (void)state;
    assert_kind("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}",
                TRP_JSONRPC_NOTIFICATION);
    assert_null(msg.id);
    assert_kind("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":"
                "{\"progressToken\":-5,\"progress\":0.5}}",
                TRP_JSONRPC_NOTIFICATION);
    assert_raw(msg.token, "-5");
    assert_kind("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":"
                "{\"requestId\":\"r\",\"progressToken\":1}}",
                TRP_JSONRPC_NOTIFICATION);
    assert_raw(msg.request_id, "\"r\"");
    assert_null(msg.token);
    assert_kind("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\"}",
                TRP_JSONRPC_NOTIFICATION);
    assert_null(msg.request_id);
}

static void test_responses(void **state)
{
    (void)state;
    assert_kind("{\"jsonrpc\":\"2.0\",\"id\":3,\"result\":{\"ok\": [1, 2]}}", TRP_JSONRPC_RESPONSE);
    assert_raw(msg.id, "3");
    assert_raw(msg.result, "{\"ok\": [1, 2]}");
    assert_null(msg.error);
    assert_kind("{\"jsonrpc\":\"2.0\",\"id\":3,\"result\":null}", TRP_JSONRPC_RESPONSE);
    assert_raw(msg.result, "null");
    assert_kind("{\"error\":{\"code\":-32601,\"message\":\"no\"},\"id\":\"3\",\"jsonrpc\":\"2.0\"}",
                TRP_JSONRPC_RESPONSE);
    assert_raw(msg.error, "{\"code\":-32601,\"message\":\"no\"}");
    assert_null(msg.result);
    assert_kind("{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32700,\"message\":\"\"}}",
                TRP_JSONRPC_RESPONSE);
    assert_raw(msg.id, "null");
}

static void test_invalid(void **state)
{
    (void)state;
    assert_invalid("[]", "batches");
    assert_invalid("[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\"}]", "batches");
    assert_invalid("7", "must be an object");
    assert_invalid("{}", "jsonrpc must be");
    assert_invalid("{\"id\":1,\"method\":\"m\"}", "jsonrpc must be");
    assert_invalid("{\"jsonrpc\":2.0,\"id\":1,\"method\":\"m\"}", "jsonrpc must be");
    assert_invalid("{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"m\"}", "jsonrpc must be");
    assert_invalid("{\"jsonrpc\":\"2.0\",\"id\":1}", "neither method");
    assert_invalid("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":5}", "method must be");
    assert_invalid("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"result\":1}", "both method");
    assert_invalid("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"error\":{}}", "both method");
    const char *ids[] = {"null", "1.0", "1e2", "true", "[1]", "{}", "18446744073709551616"};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        char json[128];
        (void)snprintf(json, sizeof json, "{\"jsonrpc\":\"2.0\",\"id\":%s,\"method\":\"m\"}",
                       ids[i]);
        assert_invalid(json, "id must be");
        assert_null(msg.id);
        (void)snprintf(json, sizeof json, "{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":1}", ids[i]);
        assert_invalid(json, "id must be");
    }
    const char *params[] = {"null", "1", "\"x\"", "false"};
    for (size_t i = 0; i < sizeof params / sizeof params[0]; i++) {
        char json[128];
        (void)snprintf(json, sizeof json, "{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"params\":%s}",
                       params[i]);
        assert_invalid(json, "params must be");
    }
    assert_invalid("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"params\":{\"_meta\":[]}}",
                   "_meta must be");
    assert_invalid("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"params\":{\"_meta\":"
                   "{\"progressToken\":1.5}}}",
                   "progressToken must be");
    assert_invalid("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":"
                   "{\"progressToken\":{}}}",
                   "progressToken must be");
    assert_invalid("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":"
                   "{\"requestId\":true}}",
                   "requestId must be");
    assert_invalid("{\"jsonrpc\":\"2.0\",\"result\":1}", "no id");
    assert_invalid("{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":1,\"error\":{\"code\":1,"
                   "\"message\":\"\"}}",
                   "both result");
    const char *errors[] = {"null",
                            "\"x\"",
                            "{}",
                            "{\"code\":1}",
                            "{\"code\":\"1\",\"message\":\"\"}",
                            "{\"code\":1.5,\"message\":\"\"}",
                            "{\"code\":1,\"message\":2}"};
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        char json[128];
        (void)snprintf(json, sizeof json, "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":%s}", errors[i]);
        assert_invalid(json, "error must have");
    }
}

/* An invalid request is answered with its own id whenever that is beyond doubt. */
static void test_invalid_keeps_id(void **state)
{
    (void)state;
    assert_invalid("{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":5}", "method must be");
    assert_raw(msg.id, "\"a\"");
    assert_invalid("{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"m\",\"method\":\"n\"}", "twice");
    assert_raw(msg.id, "9");
}

static void test_duplicate_members(void **state)
{
    (void)state;
    const char *twice[] = {
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"id\":2,\"method\":\"m\"}",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"\\u0069d\":2,\"method\":\"m\"}",
        "{\"jsonrpc\":\"2.0\",\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\"}",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"method\":\"m\"}",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"params\":{},\"params\":{}}",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":1,\"result\":1}",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":1,\"code\":2,\"message\":\"\"}}",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"params\":{\"_meta\":{},\"_meta\":{}}}",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"params\":{\"_meta\":"
        "{\"progressToken\":1,\"progressToken\":1}}}",
        "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":"
        "{\"progressToken\":1,\"progressToken\":2}}",
        "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":"
        "{\"requestId\":1,\"requestId\":2}}",
    };
    for (size_t i = 0; i < sizeof twice / sizeof twice[0]; i++) {
        assert_invalid(twice[i], "twice");
    }
    assert_invalid(twice[0], "twice");
    assert_null(msg.id);
    /* Elsewhere doubles are none of our business. */
    assert_kind("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"params\":{\"id\":1,\"id\":2},"
                "\"x\":1,\"x\":2}",
                TRP_JSONRPC_REQUEST);
}

static void test_renumber(void **state)
{
    (void)state;
    assert_renumbered("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\"}", 123456789,
                      "{\"jsonrpc\":\"2.0\",\"id\":123456789,\"method\":\"m\"}");
    assert_renumbered("{\"jsonrpc\":\"2.0\",\"id\":\"a\\\"\\\\\\u0000,}\",\"method\":\"m\"}",
                      UINT64_MAX,
                      "{\"jsonrpc\":\"2.0\",\"id\":18446744073709551615,\"method\":\"m\"}");
    assert_renumbered("{\"jsonrpc\":\"2.0\",\"id\":18446744073709551615,\"method\":\"m\"}", 0,
                      "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"m\"}");
    /* White space, spelling of numbers, escapes, nested ids and order of keys survive. */
    assert_renumbered(
        " \n{ \"params\" : {\"id\":\"keep\", \"n\":1.50e+01,\r\n \"_meta\" :{\"x\":[1],"
        "\"progressToken\" : \"tok\\u0065n\" , \"y\":\"\\/\"}, \"z\":{\"id\":5}} ,"
        "\"id\" :  -3 , \"method\":\"m\", \"jsonrpc\":\"2.0\", \"extra\":[{}]} ",
        42,
        "{ \"params\" : {\"id\":\"keep\", \"n\":1.50e+01,\r\n \"_meta\" :{\"x\":[1],"
        "\"progressToken\" : 42 , \"y\":\"\\/\"}, \"z\":{\"id\":5}} ,"
        "\"id\" :  42 , \"method\":\"m\", \"jsonrpc\":\"2.0\", \"extra\":[{}]}");
    assert_renumbered("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":"
                      "{\"reason\":\"x\",\"requestId\":\"r\"}}",
                      8,
                      "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":"
                      "{\"reason\":\"x\",\"requestId\":8}}");
    /* Nothing is added to what has no reference. */
    assert_renumbered("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}", 8,
                      "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}");
}

static void test_restore(void **state)
{
    (void)state;
    assert_restored("{\"result\":{\"id\":42},\"jsonrpc\":\"2.0\",\"id\":42}", "\"a\\u0062\"",
                    "{\"result\":{\"id\":42},\"jsonrpc\":\"2.0\",\"id\":\"a\\u0062\"}");
    assert_restored("{\"jsonrpc\":\"2.0\",\"id\":42,\"error\":{\"code\":1,\"message\":\"x\"}}",
                    "-7",
                    "{\"jsonrpc\":\"2.0\",\"id\":-7,\"error\":{\"code\":1,\"message\":\"x\"}}");
    assert_restored("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":"
                    "{\"progress\":1,\"progressToken\":42,\"total\":2}}",
                    "\"tok\"",
                    "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":"
                    "{\"progress\":1,\"progressToken\":\"tok\",\"total\":2}}");
}

/* There and back again gives the original bytes. */
static void test_round_trip(void **state)
{
    (void)state;
    static const char *ids[] = {
        "0", "-0", "18446744073709551615", "\"\"", "\"\\ud83d\\ude00\\n\"", "\"1\""};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        char original[160];
        char numbered[160];
        (void)snprintf(original, sizeof original, "{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{ }}",
                       ids[i]);
        assert_kind(original, TRP_JSONRPC_RESPONSE);
        struct trp_text text = trp_text_init(numbered, sizeof numbered - 1);
        trp_jsonrpc_renumber(&text, &doc, &msg, 31);
        numbered[text.len] = '\0';
        assert_string_equal(numbered, "{\"jsonrpc\":\"2.0\",\"id\":31,\"result\":{ }}");
        assert_restored(numbered, ids[i], original);
    }
}

static void test_splice_limits(void **state)
{
    (void)state;
    assert_kind("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"params\":{\"a\":[1,2,3,4,5]}}",
                TRP_JSONRPC_REQUEST);
    const struct trp_json_node *list = trp_json_member(&doc, msg.params, "a");
    struct trp_jsonrpc_patch patches[5];
    for (uint32_t i = 0; i < 5; i++) {
        patches[i].node = trp_json_at(&doc, list, 4 - i);
        patches[i].with = troupe_span_cstr(i % 2 == 0 ? "null" : "\"long enough\"");
    }
    struct trp_text text = fresh_text();
    assert_int_equal(trp_jsonrpc_splice(&text, &doc, patches, 5), TROUPE_EINVAL);
    assert_int_equal(text.needed, 0);
    assert_int_equal(trp_jsonrpc_splice(&text, &doc, patches, 4), TROUPE_OK);
    assert_written(&text, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"params\":{\"a\":"
                          "[1,\"long enough\",null,\"long enough\",null]}}");

    text = fresh_text();
    patches[1].node = patches[0].node;
    assert_int_equal(trp_jsonrpc_splice(&text, &doc, patches, 2), TROUPE_EINVAL);
    patches[1].node = msg.params; /* holds the first one */
    assert_int_equal(trp_jsonrpc_splice(&text, &doc, patches, 2), TROUPE_EINVAL);
    struct trp_json_node stranger = *patches[0].node;
    patches[0].node = &stranger;
    assert_int_equal(trp_jsonrpc_splice(&text, &doc, patches, 1), TROUPE_EINVAL);
    patches[0].node = NULL;
    assert_int_equal(trp_jsonrpc_splice(&text, &doc, patches, 1), TROUPE_EINVAL);
    assert_int_equal(text.needed, 0);

    patches[0].node = msg.id;
    patches[0].with = troupe_span_cstr("12345");
    struct trp_text measure = trp_text_init(NULL, 0);
    assert_int_equal(trp_jsonrpc_splice(&measure, &doc, patches, 1), TROUPE_OK);
    assert_int_equal(measure.needed, trp_json_root(&doc)->len + 4);
    text = trp_text_init(storage, measure.needed - 1);
    assert_int_equal(trp_jsonrpc_splice(&text, &doc, patches, 1), TROUPE_OK);
    assert_true(text.overflow);
    text = trp_text_init(storage, measure.needed);
    assert_int_equal(trp_jsonrpc_splice(&text, &doc, patches, 1), TROUPE_OK);
    assert_false(text.overflow);
}

static void assert_key(const char *id, const char *key, size_t len)
{
    assert_int_equal(trp_json_read(parser, &doc, id, strlen(id), strlen(id)), TROUPE_OK);
    struct trp_text text = fresh_text();
    trp_jsonrpc_id_key(&text, &doc, trp_json_root(&doc));
    assert_int_equal(text.len, len);
    assert_memory_equal(storage, key, len);
}

static void test_id_keys(void **state)
{
    (void)state;
    assert_key("1", "i1", 2);
    assert_key("\"1\"", "s1", 2);
    assert_key("-0", "i0", 2);
    assert_key("-12", "i-12", 4);
    assert_key("18446744073709551615", "i18446744073709551615", 21);
    assert_key("\"\\u0061\"", "sa", 2);
    assert_key("\"\\u0000\"", "s\0", 2);
    assert_key("\"\"", "s", 1);
    assert_key("1.0", "", 0);
    assert_key("null", "", 0);
    struct trp_text text = fresh_text();
    trp_jsonrpc_id_key(&text, &doc, NULL);
    assert_int_equal(text.len, 0);
}

static void test_newlines(void **state)
{
    (void)state;
    assert_false(trp_jsonrpc_has_newline(troupe_span(NULL, 0)));
    assert_false(trp_jsonrpc_has_newline(troupe_span_cstr("{\"a\":\"\\n\\r\"}")));
    assert_true(trp_jsonrpc_has_newline(troupe_span_cstr("{\n}")));
    assert_true(trp_jsonrpc_has_newline(troupe_span_cstr("{\r}")));
    char json[] = "{\r\n\t\"a\\n\":\n\"b\"\r}";
    trp_jsonrpc_one_line(json, strlen(json));
    assert_string_equal(json, "{  \t\"a\\n\": \"b\" }");
    trp_jsonrpc_one_line(NULL, 0);
}

static void test_writers(void **state)
{
    (void)state;
    struct trp_text text = fresh_text();
    trp_jsonrpc_write_error(&text, troupe_span_cstr("\"x\""), -32000,
                            troupe_span_cstr("Server busy, please retry"), 1500);
    assert_written(&text,
                   "{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"error\":{\"code\":-32000,\"message\":"
                   "\"Server busy, please retry\",\"data\":{\"retryAfterMs\":1500}}}");
    text = fresh_text();
    trp_jsonrpc_write_error(&text, troupe_span(NULL, 0), -32700, troupe_span_cstr("a \"b\""),
                            TRP_JSONRPC_NO_RETRY);
    assert_written(&text, "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32700,\"message\":"
                          "\"a \\\"b\\\"\"}}");
    text = fresh_text();
    trp_jsonrpc_write_result(&text, troupe_span_cstr("7"), troupe_span_cstr("{\"a\":[]}"));
    assert_written(&text, "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{\"a\":[]}}");
    text = fresh_text();
    trp_jsonrpc_write_request(&text, troupe_span_cstr("7"), troupe_span_cstr("tools/call"),
                              troupe_span_cstr("{}"));
    assert_written(&text, "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"tools/call\",\"params\":{}}");
    text = fresh_text();
    trp_jsonrpc_write_request(&text, troupe_span_cstr("\"q\""), troupe_span_cstr("ping"),
                              troupe_span(NULL, 0));
    assert_written(&text, "{\"jsonrpc\":\"2.0\",\"id\":\"q\",\"method\":\"ping\"}");
    text = fresh_text();
    trp_jsonrpc_write_notification(&text, troupe_span_cstr("notifications/initialized"),
                                   troupe_span(NULL, 0));
    assert_written(&text, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}");
    text = fresh_text();
    trp_jsonrpc_write_notification(&text, troupe_span_cstr("n"), troupe_span_cstr("[1]"));
    assert_written(&text, "{\"jsonrpc\":\"2.0\",\"method\":\"n\",\"params\":[1]}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request),          cmocka_unit_test(test_notifications),
        cmocka_unit_test(test_responses),        cmocka_unit_test(test_invalid),
        cmocka_unit_test(test_invalid_keeps_id), cmocka_unit_test(test_duplicate_members),
        cmocka_unit_test(test_renumber),         cmocka_unit_test(test_restore),
        cmocka_unit_test(test_round_trip),       cmocka_unit_test(test_splice_limits),
        cmocka_unit_test(test_id_keys),          cmocka_unit_test(test_newlines),
        cmocka_unit_test(test_writers),
    };
    return cmocka_run_group_tests(tests, make_parser, drop_parser);
}
