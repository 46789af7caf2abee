#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "io/codec/json.h"

/* --- Allocation failures: malloc of our objects, nothrow new of ours and of the library --- */

static long allocations_left = -1; /* -1: no limit */

static bool allocation_fails(void)
{
    if (allocations_left == 0) {
        return true;
    }
    if (allocations_left > 0) {
        allocations_left--;
    }
    return false;
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
    return allocation_fails() ? NULL : __real_malloc(size);
}

typedef void *new_function(size_t size, const void *nothrow);

static void *next_new(const char *symbol, size_t size, const void *nothrow)
{
    new_function *next = NULL;
    void *address = dlsym(RTLD_NEXT, symbol);
    memcpy(&next, &address, sizeof next);
    return allocation_fails() ? NULL : next(size, nothrow);
}

/* operator new(size_t, nothrow) and operator new[](size_t, nothrow) of the whole process. */
__attribute__((visibility("default"))) void *
new_one(size_t size, const void *nothrow) __asm__("_ZnwmRKSt9nothrow_t");
__attribute__((visibility("default"))) void *
new_many(size_t size, const void *nothrow) __asm__("_ZnamRKSt9nothrow_t");

void *new_one(size_t size, const void *nothrow)
{
    return next_new("_ZnwmRKSt9nothrow_t", size, nothrow);
}

void *new_many(size_t size, const void *nothrow)
{
    return next_new("_ZnamRKSt9nothrow_t", size, nothrow);
}

/* --- Helpers --- */

static struct trp_json_parser *parser;

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
    parser = NULL;
    return 0;
}

/* Reads from a heap block of exactly len bytes, so that a sanitizer sees any step beyond it. */
static enum troupe_status read_bytes(struct trp_json_doc *doc, const char *text, size_t len)
{
    char *exact = malloc(len > 0 ? len : 1);
    assert_non_null(exact);
    memcpy(exact, text, len);
    enum troupe_status status = trp_json_read(parser, doc, exact, len, len);
    free(exact);
    return status;
}

static struct trp_json_doc read_ok(const char *text)
{
    struct trp_json_doc doc;
    memset(&doc, 0, sizeof doc);
    enum troupe_status status = read_bytes(&doc, text, strlen(text));
    if (status != TROUPE_OK) {
        fail_msg("%s: %s", text, trp_json_error(parser));
    }
    return doc;
}

static void assert_refused(const char *text)
{
    struct trp_json_doc doc;
    memset(&doc, 0x5a, sizeof doc);
    struct trp_json_doc before = doc;
    if (read_bytes(&doc, text, strlen(text)) != TROUPE_EPARSE) {
        fail_msg("accepted: %s", text);
    }
    assert_true(strlen(trp_json_error(parser)) > 0);
    assert_memory_equal(&doc, &before, sizeof doc);
}

static void
assert_raw(const struct trp_json_doc *doc, const struct trp_json_node *node, const char *raw)
{
    assert_non_null(node);
    assert_true(troupe_span_is(trp_json_raw(doc, node), raw));
}

static void assert_text(const char *json, const char *text, size_t len)
{
    struct trp_json_doc doc = read_ok(json);
    const struct trp_json_node *root = trp_json_root(&doc);
    assert_int_equal(root->kind, TRP_JSON_STRING);
    assert_true(troupe_span_equal(trp_json_text(&doc, root), troupe_span(text, len)));
    assert_raw(&doc, root, json);
}

static void assert_kind(const char *json, enum trp_json_kind kind)
{
    struct trp_json_doc doc = read_ok(json);
    assert_int_equal(doc.node_count, 1);
    assert_int_equal(trp_json_root(&doc)->kind, kind);
    assert_int_equal(trp_json_root(&doc)->after, 1);
    assert_raw(&doc, trp_json_root(&doc), json);
}

/* --- Tests --- */

static void test_kinds(void **state)
{
    (void)state;
    assert_kind("null", TRP_JSON_NULL);
    assert_kind("true", TRP_JSON_TRUE);
    assert_kind("false", TRP_JSON_FALSE);
    assert_kind("0", TRP_JSON_INTEGER);
    assert_kind("-0", TRP_JSON_INTEGER);
    assert_kind("18446744073709551615", TRP_JSON_INTEGER);
    assert_kind("-9223372036854775808", TRP_JSON_INTEGER);
    assert_kind("18446744073709551616", TRP_JSON_NUMBER);
    assert_kind("-9223372036854775809", TRP_JSON_NUMBER);
    assert_kind("123456789012345678901234567890", TRP_JSON_NUMBER);
    assert_kind("1e400", TRP_JSON_NUMBER);
    assert_kind("1.0", TRP_JSON_NUMBER);
    assert_kind("-0.5E-7", TRP_JSON_NUMBER);
    assert_kind("1e+2", TRP_JSON_NUMBER);
    assert_kind("\"\"", TRP_JSON_STRING);
    assert_kind("[]", TRP_JSON_ARRAY);
    assert_kind("[ \n ]", TRP_JSON_ARRAY);
    assert_kind("{}", TRP_JSON_OBJECT);
}

static void test_spans_and_tree(void **state)
{
    (void)state;
    const char *json = " \t{ \"a\" : [1 , -2.50,\"x\\ny\"\r\n] ,\"b\":{\"c\":null},\"d\":[] } \n";
    struct trp_json_doc doc = read_ok(json);
    const struct trp_json_node *root = trp_json_root(&doc);
    assert_int_equal(doc.node_count, 12);
    assert_int_equal(root->kind, TRP_JSON_OBJECT);
    assert_int_equal(root->count, 3);
    assert_int_equal(root->after, 12);
    assert_int_equal(root->start, 2);
    assert_int_equal(root->len, strlen(json) - 4);

    const struct trp_json_node *a = trp_json_member(&doc, root, "a");
    assert_raw(&doc, a, "[1 , -2.50,\"x\\ny\"\r\n]");
    assert_int_equal(a->count, 3);
    assert_raw(&doc, trp_json_at(&doc, a, 0), "1");
    assert_raw(&doc, trp_json_at(&doc, a, 1), "-2.50");
    assert_raw(&doc, trp_json_at(&doc, a, 2), "\"x\\ny\"");
    assert_true(trp_json_is(&doc, trp_json_at(&doc, a, 2), "x\ny"));
    assert_null(trp_json_at(&doc, a, 3));
    assert_null(trp_json_at(&doc, root, 0));
    assert_null(trp_json_member(&doc, a, "a"));

    const struct trp_json_node *b = trp_json_member(&doc, root, "b");
    assert_raw(&doc, b, "{\"c\":null}");
    assert_raw(&doc, trp_json_member(&doc, b, "c"), "null");
    assert_null(trp_json_member(&doc, root, "c"));

    const struct trp_json_node *d = trp_json_member(&doc, root, "d");
    assert_raw(&doc, d, "[]");
    assert_null(trp_json_first(&doc, d));
    assert_null(trp_json_next(&doc, root, d));
    assert_null(trp_json_first(&doc, trp_json_at(&doc, a, 0)));

    /* Walking with first and next meets key, value, key, value. */
    const char *walk[] = {"\"a\"", "[1 , -2.50,\"x\\ny\"\r\n]", "\"b\"", "{\"c\":null}", "\"d\"",
                          "[]"};
    size_t at = 0;
    for (const struct trp_json_node *node = trp_json_first(&doc, root); node != NULL;
         node = trp_json_next(&doc, root, node)) {
        assert_true(at < 6);
        assert_raw(&doc, node, walk[at++]);
    }
    assert_int_equal(at, 6);
}

static void test_duplicate_keys(void **state)
{
    (void)state;
    struct trp_json_doc doc = read_ok("{\"a\":1,\"b\":2,\"\\u0061\":3}");
    assert_int_equal(trp_json_root(&doc)->count, 3);
    assert_raw(&doc, trp_json_member(&doc, trp_json_root(&doc), "a"), "3");
}

static void test_escapes(void **state)
{
    (void)state;
    assert_text("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t", 8);
    assert_text("\"a\\u0000b\"", "a\0b", 3);
    assert_text("\"\\u0041\\u00e9\\u20AC\\uFFFF\"", "A\xc3\xa9\xe2\x82\xac\xef\xbf\xbf", 9);
    assert_text("\"\\u007f\\u0080\\u07ff\\u0800\"", "\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80", 8);
    assert_text("\"\\ud83d\\ude00|\\uDBFF\\uDFFF|\\uD800\\uDC00\"",
                "\xf0\x9f\x98\x80|\xf4\x8f\xbf\xbf|\xf0\x90\x80\x80", 14);
    assert_text("\"gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80\"", "gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80",
                11);
    const char *bad[] = {
        "\"\\ud800\"",
        "\"\\udc00\"",
        "\"\\ud800x\"",
        "\"\\ud800\\n\"",
        "\"\\ud800\\ud800\"",
        "\"\\ud800\\u0041\"",
        "\"\\udfff\\ud800\"",
        "\"\\ud83d\\ude0\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\u+123\"",
        "\"\\x41\"",
        "\"\\'\"",
        "\"\\U0041\"",
        "\"\\0\"",
        "\"\\u\"",
        "\"\\",
        "\"\\\"",
        "{\"\\q\":1}",
        "\"\\\n\"",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_refused(bad[i]);
    }
}

static const char *const syntax_errors[] = {
    "",
    " ",
    "\n\t\r ",
    "nul",
    "nulll",
    "True",
    "tru e",
    "falsey",
    "01",
    "-",
    "+1",
    "1.",
    ".5",
    "1e",
    "1e+",
    "-01",
    "0x10",
    "1 2",
    "NaN",
    "Infinity",
    "1_0",
    "--1",
    "[",
    "]",
    "{",
    "}",
    "[1",
    "[1,",
    "[1,]",
    "[,1]",
    "[1 2]",
    "[1}",
    "{]",
    "{\"a\"}",
    "{\"a\":}",
    "{\"a\":1",
    "{\"a\":1,",
    "{\"a\":1,}",
    "{1:2}",
    "{\"a\" 1}",
    "{a:1}",
    "{\"a\":1]",
    "[]]",
    "{}{}",
    "[] x",
    "\"a\"b",
    "\"a\"\"b\"",
    "1\"a\"",
    "\"a",
    "'a'",
    "// x\n1",
    "[1]//",
    "\"\x01\"",
    "\"\n\"",
    "[1\x0c]",
    "\x0c"
    "1",
    "1\x1a",
    ":",
    ",",
    "[:]",
    "{\"a\"::1}",
    "\xef\xbb\xbf"
    "1",
    "\"a\\\\\\\"",
    "{\"a\":1 \"b\":2}",
    "[\"a\":1]",
    "{\"a\",1}",
    "nullnull",
    "[true false]",
    "1true",
};

static void test_syntax_errors(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof syntax_errors / sizeof syntax_errors[0]; i++) {
        assert_refused(syntax_errors[i]);
    }
    struct trp_json_doc doc;
    assert_int_equal(read_bytes(&doc, "1\0", 2), TROUPE_EPARSE);
    assert_int_equal(read_bytes(&doc, "\0", 1), TROUPE_EPARSE);
}

static void test_error_text(void **state)
{
    (void)state;
    assert_refused("[1, 2, tru]");
    assert_string_equal(trp_json_error(parser), "not a JSON value at byte 7");
    assert_refused("{\"a\" 1}");
    assert_string_equal(trp_json_error(parser), "':' expected at byte 5");
    assert_refused("[\"ab\\q\"]");
    assert_string_equal(trp_json_error(parser), "bad escape sequence at byte 4");
    assert_refused("[1] 2");
    assert_string_equal(trp_json_error(parser), "something after the value at byte 4");
    assert_refused("[[1]");
    assert_string_equal(trp_json_error(parser), "text ends too early at byte 4");
    assert_refused("\"\xff\"");
    assert_string_equal(trp_json_error(parser), "text is not UTF-8");
}

static void test_utf8(void **state)
{
    (void)state;
    const char *bad[] = {
        "\"\x80\"",
        "\"\xc3\"",
        "\"\xc0\x80\"",
        "\"\xed\xa0\x80\"",
        "\"\xf4\x90\x80\x80\"",
        "\"\xe0\x80\x80\"",
        "\"\xf0\x80\x80\x80\"",
        "\"\xff\"",
        "\"\xe2\x82\"",
        "[1]\xc3",
        "\xc3\xa9",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_refused(bad[i]);
    }
}

/* Every proper beginning of a text that needs its last byte is refused, padded or not. */
static void test_truncations(void **state)
{
    (void)state;
    const char *json =
        "{\"jsonrpc\":\"2.0\",\"id\":\"\\ud83d\\ude00\",\"params\":{\"list\":[1,-2.5e3,"
        "true,false,null,\"\xf0\x9f\x98\x80\",{}],\"s\":\"\\\\\\\"\"}}";
    char padded[512];
    struct trp_json_doc doc;
    for (size_t len = 0; len <= strlen(json); len++) {
        enum troupe_status wanted = len == strlen(json) ? TROUPE_OK : TROUPE_EPARSE;
        assert_int_equal(read_bytes(&doc, json, len), wanted);
        /* What lies behind the end must not complete the text. */
        memset(padded, '}', sizeof padded);
        memcpy(padded, json, strlen(json));
        assert_int_equal(trp_json_read(parser, &doc, padded, len, sizeof padded), wanted);
    }
}

static void test_padded_is_read_in_place(void **state)
{
    (void)state;
    char text[128] = "[\"x\", 1]";
    size_t len = strlen(text);
    struct trp_json_doc doc;
    assert_int_equal(trp_json_read(parser, &doc, text, len, len + 64), TROUPE_OK);
    assert_ptr_equal(doc.source, text);
    assert_raw(&doc, trp_json_at(&doc, trp_json_root(&doc), 0), "\"x\"");
    assert_int_equal(trp_json_read(parser, &doc, text, len, len + 63), TROUPE_OK);
    assert_ptr_not_equal(doc.source, text);
    memset(text, '?', sizeof text);
    assert_raw(&doc, trp_json_root(&doc), "[\"x\", 1]");
    assert_true(trp_json_is(&doc, trp_json_at(&doc, trp_json_root(&doc), 0), "x"));
}

/* depth opening brackets and as many closing ones; array or object at each level. */
static size_t nest(char *out, size_t depth, bool objects)
{
    char *at = out;
    for (size_t i = 0; i < depth; i++) {
        size_t used = objects && i + 1 < depth ? 5 : 1;
        memcpy(at, objects ? "{\"a\":" : "[", used);
        at += used;
    }
    memset(at, objects ? '}' : ']', depth);
    return (size_t)(at - out) + depth;
}

static void test_depth(void **state)
{
    (void)state;
    static char text[70000];
    struct trp_json_doc doc;
    for (int objects = 0; objects < 2; objects++) {
        size_t len = nest(text, 128, objects == 1);
        assert_int_equal(read_bytes(&doc, text, len), TROUPE_OK);
        len = nest(text, 129, objects == 1);
        assert_int_equal(read_bytes(&doc, text, len), TROUPE_ETOOLARGE);
        assert_non_null(strstr(trp_json_error(parser), "nested too deep"));
        len = nest(text, 10000, objects == 1);
        assert_int_equal(read_bytes(&doc, text, len), TROUPE_ETOOLARGE);
    }
    memset(text, '[', sizeof text);
    assert_int_equal(read_bytes(&doc, text, sizeof text), TROUPE_ETOOLARGE);
    memset(text, ']', sizeof text);
    assert_int_equal(read_bytes(&doc, text, sizeof text), TROUPE_EPARSE);
}

static void test_depth_of_one(void **state)
{
    (void)state;
    struct trp_json_limits limits = {1000, 1, 100};
    struct trp_json_parser *flat = trp_json_create(limits);
    assert_non_null(flat);
    struct trp_json_doc doc;
    assert_int_equal(trp_json_read(flat, &doc, "{}", 2, 2), TROUPE_OK);
    assert_int_equal(trp_json_read(flat, &doc, "17", 2, 2), TROUPE_OK);
    assert_int_equal(trp_json_read(flat, &doc, "[1]", 3, 3), TROUPE_ETOOLARGE);
    trp_json_destroy(flat);
}

static void test_size_limits(void **state)
{
    (void)state;
    struct trp_json_limits limits = {16, 10, 4};
    struct trp_json_parser *small = trp_json_create(limits);
    assert_non_null(small);
    struct trp_json_doc doc;
    assert_int_equal(trp_json_read(small, &doc, "[1,2,3]", 7, 7), TROUPE_OK);
    assert_int_equal(doc.node_count, 4);
    assert_int_equal(trp_json_read(small, &doc, "[1,2,3,4]", 9, 9), TROUPE_ETOOLARGE);
    assert_string_equal(trp_json_error(small), "too many values at byte 7");
    assert_int_equal(trp_json_read(small, &doc, "\"12345678901234\"", 16, 16), TROUPE_OK);
    assert_int_equal(trp_json_read(small, &doc, "\"123456789012345\"", 17, 17), TROUPE_ETOOLARGE);
    assert_string_equal(trp_json_error(small), "text is too long");
    trp_json_destroy(small);
    trp_json_destroy(NULL);
}

static void test_integers(void **state)
{
    (void)state;
    struct trp_json_doc doc = read_ok("[0,-0,-1,9223372036854775807,9223372036854775808,"
                                      "-9223372036854775808,18446744073709551615,1.0,\"1\"]");
    const struct trp_json_node *root = trp_json_root(&doc);
    uint64_t u = 7;
    int64_t i = 7;
    assert_true(trp_json_u64(&doc, trp_json_at(&doc, root, 0), &u) && u == 0);
    assert_true(trp_json_u64(&doc, trp_json_at(&doc, root, 1), &u) && u == 0);
    assert_true(trp_json_i64(&doc, trp_json_at(&doc, root, 1), &i) && i == 0);
    assert_false(trp_json_u64(&doc, trp_json_at(&doc, root, 2), &u));
    assert_true(trp_json_i64(&doc, trp_json_at(&doc, root, 2), &i) && i == -1);
    assert_true(trp_json_i64(&doc, trp_json_at(&doc, root, 3), &i) && i == INT64_MAX);
    assert_false(trp_json_i64(&doc, trp_json_at(&doc, root, 4), &i));
    assert_true(trp_json_u64(&doc, trp_json_at(&doc, root, 4), &u) && u == UINT64_C(1) << 63);
    assert_true(trp_json_i64(&doc, trp_json_at(&doc, root, 5), &i) && i == INT64_MIN);
    assert_true(trp_json_u64(&doc, trp_json_at(&doc, root, 6), &u) && u == UINT64_MAX);
    for (uint32_t at = 7; at < 9; at++) {
        assert_false(trp_json_u64(&doc, trp_json_at(&doc, root, at), &u));
        assert_false(trp_json_i64(&doc, trp_json_at(&doc, root, at), &i));
    }
    assert_false(trp_json_u64(&doc, NULL, &u));
    assert_false(trp_json_i64(&doc, NULL, &i));
    assert_false(trp_json_is(&doc, NULL, ""));
    assert_false(trp_json_is(&doc, trp_json_at(&doc, root, 0), "0"));
    assert_int_equal(u, UINT64_MAX);
    assert_int_equal(i, INT64_MIN);
}

/* Grows over several reads, with text at every position relative to the scanner's blocks. */
static void test_growth_and_reuse(void **state)
{
    (void)state;
    static char text[300000];
    for (size_t count = 1; count < 20000; count = count * 2 + 1) {
        size_t len = 0;
        text[len++] = '[';
        for (size_t i = 0; i < count; i++) {
            len += (size_t)snprintf(text + len, sizeof text - len, "\"n%zu\",", i);
        }
        text[len - 1] = ']';
        struct trp_json_doc doc;
        assert_int_equal(read_bytes(&doc, text, len), TROUPE_OK);
        assert_int_equal(trp_json_root(&doc)->count, count);
        const struct trp_json_node *node = trp_json_first(&doc, trp_json_root(&doc));
        for (size_t i = 0; i < count; i++) {
            char wanted[24];
            (void)snprintf(wanted, sizeof wanted, "n%zu", i);
            assert_true(trp_json_is(&doc, node, wanted));
            node = trp_json_next(&doc, trp_json_root(&doc), node);
        }
        assert_null(node);
        assert_int_equal(read_bytes(&doc, "7", 1), TROUPE_OK);
    }
}

static void test_every_offset(void **state)
{
    (void)state;
    const char *json = "[\"a\\\\\",-12,{\"k\":true}]";
    char text[256];
    for (size_t shift = 0; shift < 130; shift++) {
        memset(text, ' ', sizeof text);
        memcpy(text + shift, json, strlen(json));
        struct trp_json_doc doc;
        assert_int_equal(read_bytes(&doc, text, shift + strlen(json)), TROUPE_OK);
        const struct trp_json_node *root = trp_json_root(&doc);
        assert_int_equal(root->start, shift);
        assert_raw(&doc, trp_json_at(&doc, root, 0), "\"a\\\\\"");
        assert_raw(&doc, trp_json_at(&doc, root, 1), "-12");
        assert_raw(&doc, trp_json_at(&doc, root, 2), "{\"k\":true}");
    }
}

/* Fails the k-th allocation of a create and a growing read, for every k until all succeed. */
static void test_out_of_memory(void **state)
{
    (void)state;
    static char text[5000];
    memset(text, ' ', sizeof text);
    memcpy(text, "[\"a\",1]", 7);
    bool complete = false;
    long failures = 0;
    for (long k = 0; !complete; k++) {
        assert_true(k < 100);
        allocations_left = k;
        struct trp_json_parser *fresh = trp_json_create(trp_json_limits_default());
        if (fresh == NULL) {
            allocations_left = -1;
            failures++;
            continue;
        }
        struct trp_json_doc doc;
        enum troupe_status status = trp_json_read(fresh, &doc, text, sizeof text, sizeof text);
        allocations_left = -1;
        if (status == TROUPE_OK) {
            complete = true;
        } else {
            assert_int_equal(status, TROUPE_ENOMEM);
            assert_string_equal(trp_json_error(fresh), "out of memory");
            failures++;
            /* The parser recovers. */
            status = trp_json_read(fresh, &doc, text, sizeof text, sizeof text);
            assert_int_equal(status, TROUPE_OK);
        }
        assert_true(trp_json_is(&doc, trp_json_at(&doc, trp_json_root(&doc), 0), "a"));
        trp_json_destroy(fresh);
    }
    /* parser, scanner with its three arrays; then scanner, copy, nodes, texts */
    assert_true(failures >= 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_spans_and_tree),
        cmocka_unit_test(test_duplicate_keys),
        cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_syntax_errors),
        cmocka_unit_test(test_error_text),
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_truncations),
        cmocka_unit_test(test_padded_is_read_in_place),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_depth_of_one),
        cmocka_unit_test(test_size_limits),
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_growth_and_reuse),
        cmocka_unit_test(test_every_offset),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, make_parser, drop_parser);
}
