#include "tests/cmocka.h"

#include "bench/args.h"

static const char *const choices[] = {"one", "two", NULL};

struct parsed {
    const char *text;
    uint64_t number;
    uint64_t choice;
    const char *words[1];
    size_t word_count;
    int status;
};

static bool parse(struct parsed *out, bool is_required, int argc, const char *const *argv)
{
    *out = (struct parsed){.number = 7};
    struct trp_arg table[] = {
        {"--text", TRP_ARG_TEXT, &out->text, 0, 0, NULL, is_required, "T", "a text", false},
        {"--number", TRP_ARG_NUMBER, &out->number, 5, 10, NULL, false, "N", "a number", false},
        {"--choice", TRP_ARG_CHOICE, &out->choice, 0, 0, choices, false, "one|two", "x", false},
    };
    struct trp_args args = {"test", "test", "About.", table, 3, out->words, 1, 0};
    bool is_good = trp_args_read(&args, argc, (char **)(uintptr_t)argv, &out->status);
    out->word_count = args.word_count;
    return is_good;
}

#define PARSE(out, ...)                                                                            \
    parse((out), false, (int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)),             \
          (const char *[]){__VA_ARGS__})

static void reads_both_spellings(void **state)
{
    struct parsed out;
    (void)state;
    assert_true(PARSE(&out, "--text", "a", "word", "--number=9", "--choice=two"));
    assert_string_equal(out.text, "a");
    assert_int_equal(out.number, 9);
    assert_int_equal(out.choice, 1);
    assert_int_equal(out.word_count, 1);
    assert_string_equal(out.words[0], "word");
    assert_true(PARSE(&out, "--text=", "-"));
    assert_string_equal(out.text, "");
    assert_int_equal(out.number, 7);
}

static void refuses(void **state)
{
    static const char *const bad[] = {"--number=4",     "--number=11",
                                      "--number=9x",    "--number=",
                                      "--number=-6",    "--number=18446744073709551622",
                                      "--choice=three", "--unknown",
                                      "--tex=1",        "-n",
                                      "--text"};
    struct parsed out;
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(PARSE(&out, bad[i]));
        assert_int_equal(out.status, TRP_BENCH_USAGE);
    }
    assert_false(PARSE(&out, "one", "two"));
    assert_false(PARSE(&out, "--number=5", "--number=6"));
    assert_int_equal(out.status, TRP_BENCH_USAGE);
}

static void wants_what_is_required(void **state)
{
    static const char *const number[] = {"--number=5"};
    static const char *const help[] = {"--help"};
    struct parsed out;
    (void)state;
    assert_false(parse(&out, true, 1, number));
    assert_int_equal(out.status, TRP_BENCH_USAGE);
    assert_false(parse(&out, true, 1, help));
    assert_int_equal(out.status, TRP_BENCH_GOOD);
}

/* From best to worst; whichever comes first. */
static void the_worse_of_two(void **state)
{
    static const int order[] = {TRP_BENCH_GOOD, TRP_BENCH_THRESHOLD, TRP_BENCH_INVALID,
                                TRP_BENCH_FAILED, TRP_BENCH_USAGE};
    (void)state;
    for (size_t a = 0; a < 5; a++) {
        for (size_t b = 0; b < 5; b++) {
            assert_int_equal(trp_bench_worse(order[a], order[b]), order[a > b ? a : b]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_both_spellings),
        cmocka_unit_test(refuses),
        cmocka_unit_test(wants_what_is_required),
        cmocka_unit_test(the_worse_of_two),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
