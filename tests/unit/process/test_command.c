#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "io/process/command.h"

struct good {
    const char *text;
    const char *words[6];
};

static const struct good good_lines[] = {
    {"node server.js stdio", {"node", "server.js", "stdio"}},
    {"  a\t b\nc\r\n", {"a", "b", "c"}},
    {"a", {"a"}},
    {"'a b' \"c d\"", {"a b", "c d"}},
    {"a'b'\"c\"d", {"abcd"}},
    {"a '' \"\" b", {"a", "", "", "b"}},
    {"a\\ b c", {"a b", "c"}},
    {"'a\\b' '\"'", {"a\\b", "\""}},
    {"\"a\\\"b\\\\c\\$d\\`e\\nf\"", {"a\"b\\c$d`e\\nf"}},
    {"\"a\\\nb\" c\\\nd \\\n e", {"ab", "cd", "e"}},
    {"sh -c 'echo \"$HOME\" | cat > /x; #y'", {"sh", "-c", "echo \"$HOME\" | cat > /x; #y"}},
    {"a $HOME ~ * ?", {"a", "$HOME", "~", "*", "?"}},
    {"a | b", {"a", "|", "b"}},
    {"\\'a \\\"b \\\\", {"'a", "\"b", "\\"}},
    {"gr\xc3\xbc\xc3\x9f 'x\xc3\xa9'", {"gr\xc3\xbc\xc3\x9f", "x\xc3\xa9"}},
};

static void words_are_split_like_a_shell_would(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(good_lines) / sizeof(good_lines[0]); i++) {
        const struct good *g = &good_lines[i];
        struct trp_command command;
        struct trp_command_error error = {NULL, 0};
        assert_int_equal(trp_command_split(&command, &error, g->text, strlen(g->text)), TROUPE_OK);
        uint32_t count = 0;
        while (count < 6 && g->words[count] != NULL) {
            count++;
        }
        assert_int_equal(command.argc, count);
        for (uint32_t w = 0; w < count; w++) {
            assert_string_equal(command.argv[w], g->words[w]);
        }
        assert_null(command.argv[count]);
        trp_command_fini(&command);
        assert_null(command.argv);
    }
}

struct bad {
    const char *text;
    size_t len;
    enum troupe_status status;
    const char *reason;
    size_t offset;
};

static const struct bad bad_lines[] = {
    {"", 0, TROUPE_EPARSE, "no command", 0},
    {" \t\n", 3, TROUPE_EPARSE, "no command", 0},
    {"\\\n", 2, TROUPE_EPARSE, "no command", 0},
    {"'' a", 4, TROUPE_EPARSE, "empty program name", 0},
    {"ab 'c d", 7, TROUPE_EPARSE, "single quote is never closed", 3},
    {"ab c\"d ", 7, TROUPE_EPARSE, "double quote is never closed", 4},
    {"\"a\\\"", 4, TROUPE_EPARSE, "double quote is never closed", 0},
    {"\"a\\", 3, TROUPE_EPARSE, "double quote is never closed", 0},
    {"ab c\\", 5, TROUPE_EPARSE, "backslash at the end", 4},
    {"a\0b", 3, TROUPE_EPARSE, "NUL byte", 1},
};

static void malformed_lines_are_refused_with_reason_and_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bad_lines) / sizeof(bad_lines[0]); i++) {
        const struct bad *b = &bad_lines[i];
        struct trp_command command = {.argc = 77};
        struct trp_command_error error = {NULL, 0};
        assert_int_equal(trp_command_split(&command, &error, b->text, b->len), b->status);
        assert_string_equal(error.text, b->reason);
        assert_int_equal(error.offset, b->offset);
        assert_int_equal(command.argc, 77);
    }
}

static void limits_hold_exactly(void **state)
{
    (void)state;
    struct trp_command command;
    struct trp_command_error error;
    char *text = malloc(TRP_COMMAND_LEN_MAX + 1);
    assert_non_null(text);

    memset(text, 'x', TRP_COMMAND_LEN_MAX + 1);
    assert_int_equal(trp_command_split(&command, &error, text, TRP_COMMAND_LEN_MAX), TROUPE_OK);
    assert_int_equal(strlen(command.argv[0]), TRP_COMMAND_LEN_MAX);
    trp_command_fini(&command);
    assert_int_equal(trp_command_split(&command, &error, text, TRP_COMMAND_LEN_MAX + 1),
                     TROUPE_ETOOLARGE);
    assert_string_equal(error.text, "command line is too long");

    for (size_t i = 0; i < 2 * (size_t)TRP_COMMAND_ARGC_MAX + 2; i += 2) {
        text[i] = 'w';
        text[i + 1] = ' ';
    }
    assert_int_equal(trp_command_split(&command, &error, text, 2 * TRP_COMMAND_ARGC_MAX),
                     TROUPE_OK);
    assert_int_equal(command.argc, TRP_COMMAND_ARGC_MAX);
    trp_command_fini(&command);
    assert_int_equal(trp_command_split(&command, &error, text, 2 * TRP_COMMAND_ARGC_MAX + 1),
                     TROUPE_ETOOLARGE);
    assert_string_equal(error.text, "too many words");
    assert_int_equal(error.offset, 2 * TRP_COMMAND_ARGC_MAX);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_split_like_a_shell_would),
        cmocka_unit_test(malformed_lines_are_refused_with_reason_and_place),
        cmocka_unit_test(limits_hold_exactly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
