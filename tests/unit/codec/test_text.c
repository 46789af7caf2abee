#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "io/codec/text.h"

static struct troupe_span cstr(const char *text)
{
    return troupe_span_cstr(text);
}

static void expect_json(struct troupe_span in, const char *want)
{
    char room[512];
    struct trp_text text = trp_text_init(room, sizeof(room));
    trp_text_json(&text, in);
    assert_false(text.overflow);
    assert_int_equal(text.len, text.needed);
    assert_int_equal(text.len, strlen(want));
    assert_memory_equal(room, want, text.len);
}

static void writes_numbers(void **state)
{
    char room[128];
    struct trp_text text = trp_text_init(room, sizeof(room));
    (void)state;
    trp_text_u64(&text, 0);
    trp_text_cstr(&text, " ");
    trp_text_u64(&text, UINT64_MAX);
    trp_text_cstr(&text, " ");
    trp_text_i64(&text, INT64_MIN);
    trp_text_cstr(&text, " ");
    trp_text_i64(&text, -7);
    trp_text_cstr(&text, " ");
    trp_text_i64(&text, INT64_MAX);
    assert_true(troupe_span_is(troupe_span(room, text.len),
                               "0 18446744073709551615 -9223372036854775808 -7 "
                               "9223372036854775807"));
}

static void writes_and_reads_hex(void **state)
{
    uint8_t bytes[200];
    uint8_t back[200];
    char room[400];
    struct trp_text text = trp_text_init(room, sizeof(room));
    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)(i * 37 + 1);
    }
    trp_text_hex(&text, bytes, sizeof(bytes));
    assert_false(text.overflow);
    assert_int_equal(text.len, 400);
    assert_memory_equal(room, "01264b7095", 10);
    assert_true(trp_hex_decode_lower(back, sizeof(back), troupe_span(room, 400)));
    assert_memory_equal(back, bytes, sizeof(bytes));
}

static void hex_refuses_what_is_not_hex(void **state)
{
    uint8_t out[2] = {9, 9};
    (void)state;
    assert_true(trp_hex_decode(out, 2, cstr("aBCd")));
    assert_int_equal(out[0], 0xab);
    assert_int_equal(out[1], 0xcd);
    assert_false(trp_hex_decode_lower(out, 2, cstr("aBcd")));
    assert_false(trp_hex_decode(out, 2, cstr("abc")));
    assert_false(trp_hex_decode(out, 2, cstr("abcde")));
    assert_false(trp_hex_decode(out, 2, cstr("abcdef")));
    assert_false(trp_hex_decode(out, 2, cstr("abcg")));
    assert_false(trp_hex_decode(out, 2, cstr("ab/0")));
    assert_false(trp_hex_decode(out, 2, cstr("ab:0")));
    assert_false(trp_hex_decode(out, 2, cstr("ab@0")));
    assert_false(trp_hex_decode(out, 2, cstr("ab`0")));
    assert_true(trp_hex_decode(out, 0, cstr("")));
}

/* Whatever the room: never a byte past it, and needed always tells the same truth. */
static void stops_at_the_end_of_its_room(void **state)
{
    (void)state;
    for (size_t cap = 0; cap < 24; cap++) {
        char room[24];
        struct trp_text text = trp_text_init(room, cap);
        memset(room, '#', sizeof(room));
        trp_text_cstr(&text, "abc");
        trp_text_json(&text, cstr("x\n\x01y"));
        trp_text_u64(&text, 12345);
        assert_int_equal(text.needed, 3 + 12 + 5);
        assert_int_equal(text.overflow, cap < 20);
        assert_true(text.len <= cap);
        for (size_t i = text.len; i < sizeof(room); i++) {
            assert_int_equal(room[i], '#');
        }
    }
}

static void writes_nothing_after_an_overflow(void **state)
{
    char room[4];
    struct trp_text text = trp_text_init(room, sizeof(room));
    (void)state;
    trp_text_cstr(&text, "abc");
    trp_text_cstr(&text, "too long");
    trp_text_cstr(&text, "d");
    assert_true(text.overflow);
    assert_int_equal(text.len, 3);
    assert_int_equal(text.needed, 12);
}

static void measures_without_room(void **state)
{
    struct trp_text text = trp_text_init(NULL, 0);
    (void)state;
    trp_text_span(&text, troupe_span(NULL, 0));
    assert_false(text.overflow);
    trp_text_json(&text, cstr("a\"b"));
    assert_int_equal(text.needed, 6);
    assert_int_equal(text.len, 0);
}

static void escapes_as_javascript_does(void **state)
{
    (void)state;
    expect_json(cstr(""), "\"\"");
    expect_json(cstr("plain"), "\"plain\"");
    expect_json(cstr("\"\\\b\f\n\r\t"), "\"\\\"\\\\\\b\\f\\n\\r\\t\"");
    expect_json(troupe_span("\0\x01\x0b\x1f", 4), "\"\\u0000\\u0001\\u000b\\u001f\"");
    expect_json(cstr("/\x7f"), "\"/\x7f\"");
    expect_json(cstr("\xe2\x80\xa8 \xf0\x9f\x98\x80"), "\"\xe2\x80\xa8 \xf0\x9f\x98\x80\"");
}

/* Each byte value at each place of a word, against an escape written out here again. */
static void escapes_every_byte_at_every_place(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++) {
        for (size_t place = 0; place < 20; place++) {
            char in[20];
            char want[64];
            size_t fill = 0;
            const char *names = "\b\f\n\r\t\"\\";
            const char *name = byte == 0 ? NULL : strchr(names, (int)byte);
            memset(in, 0xe9, sizeof(in)); /* not UTF-8, but neighbours with the top bit set */
            in[place] = (char)byte;
            want[fill++] = '"';
            for (size_t i = 0; i < sizeof(in); i++) {
                if (i != place || (byte >= 0x20 && name == NULL)) {
                    want[fill++] = in[i];
                } else if (name != NULL) {
                    want[fill++] = '\\';
                    want[fill++] = "bfnrt\"\\"[name - names];
                } else {
                    fill += (size_t)snprintf(want + fill, sizeof(want) - fill, "\\u%04x", byte);
                }
            }
            want[fill++] = '"';
            want[fill] = '\0';
            expect_json(troupe_span(in, sizeof(in)), want);
        }
    }
}

static const struct {
    const char *text;
    bool is_valid;
} utf8_cases[] = {
    {"", true},
    {"ascii only, and longer than one word", true},
    {"\x7f", true},
    {"\xc2\x80\xdf\xbf", true},
    {"\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf", true},
    {"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", true},
    {"sixteen bytes...\xf0\x9f\x98\x80 and more after it", true},
    {"\x80", false},
    {"\xbf", false},
    {"\xc0\x80", false},         /* long form of NUL */
    {"\xc1\xbf", false},         /* long form */
    {"\xe0\x9f\xbf", false},     /* long form */
    {"\xf0\x8f\xbf\xbf", false}, /* long form */
    {"\xed\xa0\x80", false},     /* surrogate */
    {"\xed\xbf\xbf", false},     /* surrogate */
    {"\xf4\x90\x80\x80", false}, /* above U+10FFFF */
    {"\xf5\x80\x80\x80", false},
    {"\xff", false},
    {"\xc2", false},
    {"\xe1\x80", false},
    {"\xf1\x80\x80", false},
    {"\xc2\x41", false},
    {"\xe1\x80\xc0", false},
    {"01234567\xf1\x80\x80zz", false},
};

static void utf8_is_judged_right_wherever_it_is_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(utf8_cases) / sizeof(utf8_cases[0]); i++) {
        struct troupe_span text = cstr(utf8_cases[i].text);
        assert_int_equal(trp_utf8_valid(text), utf8_cases[i].is_valid);
        for (size_t cut = 0; cut <= text.len; cut++) {
            struct trp_utf8 utf8 = {0};
            bool is_valid = trp_utf8_feed(&utf8, text.data, cut) &&
                            trp_utf8_feed(&utf8, text.data + cut, text.len - cut) &&
                            trp_utf8_done(&utf8);
            assert_int_equal(is_valid, utf8_cases[i].is_valid);
        }
    }
}

/* Encodes every number up to past the end of Unicode; exactly the scalar values are valid. */
static void utf8_knows_every_code_point(void **state)
{
    (void)state;
    for (unsigned point = 0x80; point < 0x120000; point++) {
        unsigned char text[4];
        size_t len = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
        bool want = point < 0x110000 && !(point >= 0xd800 && point <= 0xdfff);
        unsigned rest = point;
        for (size_t i = len - 1; i > 0; i--) {
            text[i] = (unsigned char)(0x80 | (rest & 0x3f));
            rest >>= 6;
        }
        text[0] = (unsigned char)((0xf00U >> len & 0xff) | rest);
        if (trp_utf8_valid(troupe_span(text, len)) != want) {
            fail_msg("U+%04X", point);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_numbers),
        cmocka_unit_test(writes_and_reads_hex),
        cmocka_unit_test(hex_refuses_what_is_not_hex),
        cmocka_unit_test(stops_at_the_end_of_its_room),
        cmocka_unit_test(writes_nothing_after_an_overflow),
        cmocka_unit_test(measures_without_room),
        cmocka_unit_test(escapes_as_javascript_does),
        cmocka_unit_test(escapes_every_byte_at_every_place),
        cmocka_unit_test(utf8_is_judged_right_wherever_it_is_cut),
        cmocka_unit_test(utf8_knows_every_code_point),
    };
    return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
