/* The arithmetic of `troupe-bench peers`: the line of a peer, the sizes, the table. */

#include "tests/cmocka.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/peers/own.h"
#include "bench/peers/table.h"

static bool read_line(const char *text, struct trp_peer_result *result)
{
    return trp_peer_read_line(result, text, strlen(text));
}

static void line_of_a_peer(void **state)
{
    static const char *const wrong[] = {
        "",
        "\n",
        "ops=",
        "ops=1",
        "ops=1 ns=",
        "ops=1 ns=2",
        "ops=1 ns=2\nops=1 ns=2\n",
        "ops=1 ns=2 \n",
        " ops=1 ns=2\n",
        "ops=0 ns=2\n",
        "ops=1 ns=0\n",
        "ops=-1 ns=2\n",
        "ops=1.5 ns=2\n",
        "ns=2 ops=1\n",
        "ops=1  ns=2\n",
        "ops=99999999999999999999 ns=2\n",
        "ops=1 ns=18446744073709551616\n",
        "warning: something\nops=1 ns=2\n",
    };
    struct trp_peer_result result = {7, 8};
    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_false(read_line(wrong[i], &result));
    }
    assert_false(trp_peer_read_line(&result, "ops=1 ns=2\0\n", 12));
    assert_int_equal(result.ops, 7);
    assert_int_equal(result.ns, 8);
    assert_true(read_line("ops=1000000 ns=123456789012\n", &result));
    assert_int_equal(result.ops, 1000000);
    assert_int_equal(result.ns, 123456789012);
}

static void names_and_sizes(void **state)
{
    enum trp_peer_kernel kernel;
    struct trp_peer_work work;
    (void)state;
    assert_false(trp_peer_find("", &kernel));
    assert_false(trp_peer_find("fanin", &kernel));
    for (int i = 0; i < TRP_PEER_KERNELS; i++) {
        assert_true(trp_peer_find(trp_peer_name((enum trp_peer_kernel)i), &kernel));
        assert_int_equal(kernel, i);
        for (uint64_t scale = 1; scale <= TRP_PEER_SCALE_MAX; scale *= 10) {
            trp_peer_size(&work, kernel, scale);
            assert_true(work.actors >= 1 && work.each >= 1 && work.ops >= 1);
        }
    }
    trp_peer_size(&work, TRP_PEER_BIG, 1);
    assert_int_equal(work.ops, 2400000);
    trp_peer_size(&work, TRP_PEER_FANIN64, 1);
    assert_int_equal(work.ops, 1000000);
    trp_peer_size(&work, TRP_PEER_FJTHRPUT, 1);
    assert_int_equal(work.ops, 600000);
    trp_peer_size(&work, TRP_PEER_FJCREATE, 1000);
    assert_int_equal(work.ops, 1000);
    trp_peer_size(&work, TRP_PEER_FJCREATE_WAVES, 100);
    assert_int_equal(work.actors, 1000);
    assert_int_equal(work.ops, 10000);
    trp_peer_size(&work, TRP_PEER_CHAMENEOS, 1);
    assert_int_equal(work.ops, 200000);
}

static void numbers_of_the_kernels(void **state)
{
    uint32_t random = 1;
    bool is_met[4] = {false};
    (void)state;
    assert_int_equal(trp_peer_complement(0, 1), 2);
    assert_int_equal(trp_peer_complement(2, 1), 0);
    assert_int_equal(trp_peer_complement(1, 1), 1);
    for (int i = 0; i < 1000; i++) {
        random = trp_peer_random(random);
        assert_int_not_equal(random, 0);
        uint32_t other = trp_peer_other(random, 2, 4);
        assert_in_range(other, 0, 3);
        is_met[other] = true;
    }
    assert_true(is_met[0] && is_met[1] && !is_met[2] && is_met[3]);
    assert_int_equal(trp_peer_other(0, 0, 2), 1);
    assert_int_equal(trp_peer_other(UINT32_MAX, 1, 2), 0);
}

/* Every kernel of the peers has its case here, for one thread and for more, both placements. */
static void our_cases(void **state)
{
    const struct trp_kernel *kernel;
    const struct trp_kernel_case *found;
    (void)state;
    for (int i = 0; i < TRP_PEER_KERNELS; i++) {
        enum trp_peer_kernel id = (enum trp_peer_kernel)i;
        struct trp_peer_work work;
        trp_peer_size(&work, id, 1);
        assert_true(trp_own_find(id, 1, false, &kernel, &found));
        assert_int_equal(found->workers, 1);
        assert_int_equal(found->ops, work.ops);
        assert_true(trp_own_find(id, 2, false, &kernel, &found));
        assert_int_equal(found->workers, 0);
        assert_int_equal(found->ops, work.ops);
        assert_true(trp_own_find(id, 2, true, &kernel, &found));
        assert_int_equal(found->ops, work.ops);
    }
}

static bool is_near(double a, double b)
{
    return fabs(a - b) < 1e-9;
}

static void set(struct trp_peer_row *row, enum trp_contestant who, double a, double b, double c)
{
    trp_sample_add(&row->cells[who].rate, a);
    trp_sample_add(&row->cells[who].rate, b);
    trp_sample_add(&row->cells[who].rate, c);
}

static void best_peer_and_ratios(void **state)
{
    static struct trp_peer_table one = {.threads = 1, .count = 1};
    static struct trp_peer_table two = {.threads = 2, .count = 2};
    struct trp_peer_row *row = &two.rows[1];
    enum trp_contestant who = TRP_CONTESTANT_OURS;
    (void)state;

    one.rows[0].kernel = TRP_PEER_BIG;
    set(&one.rows[0], TRP_CONTESTANT_OURS, 50, 40, 60);
    two.rows[0].kernel = TRP_PEER_COUNT;
    row->kernel = TRP_PEER_BIG;
    assert_true(isnan(trp_peer_best(row, &who)));
    assert_int_equal(who, TRP_CONTESTANT_OURS);
    set(row, TRP_CONTESTANT_OURS, 90, 100, 110);
    set(row, TRP_CONTESTANT_SPREAD, 900, 900, 900); /* ours is no peer of ours */
    set(row, TRP_CONTESTANT_FLOOR, 800, 800, 800);  /* and the floor is none */
    set(row, TRP_CONTESTANT_CAF, 10, 10, 10);
    set(row, TRP_CONTESTANT_GO, 20, 25, 30);
    set(row, TRP_CONTESTANT_ERLANG, 70, 70, 70);
    snprintf(row->cells[TRP_CONTESTANT_ERLANG].note, 96, "killed after 60 s");
    assert_true(is_near(trp_peer_best(row, &who), 25));
    assert_int_equal(who, TRP_CONTESTANT_GO);
    assert_true(isnan(trp_peer_median(row, TRP_CONTESTANT_ERLANG)));
    assert_true(isnan(trp_peer_median(row, TRP_CONTESTANT_NAIVE)));
    assert_true(is_near(trp_peer_ratio(100, 25), 4));
    assert_true(isnan(trp_peer_ratio(100, NAN)));
    assert_true(isnan(trp_peer_ratio(0, 100)));
    assert_true(isnan(trp_peer_ratio(100, 0)));
    assert_true(is_near(trp_peer_against(row, &one), 2));
    assert_true(isnan(trp_peer_against(row, NULL)));
    assert_true(isnan(trp_peer_against(&two.rows[0], &one)));
}

static void expect_rate(double per_second, const char *text)
{
    char out[24];
    trp_peer_format_rate(out, sizeof(out), per_second);
    assert_string_equal(out, text);
}

static void rates_in_three_digits(void **state)
{
    (void)state;
    expect_rate(NAN, "-");
    expect_rate(12345678, "12.3M");
    expect_rate(1234567, "1.23M");
    expect_rate(123456789, "123M");
    expect_rate(999900, "1.00M");
    expect_rate(45678, "45.7k");
    expect_rate(12, "12.0");
}

/* The table as people see it: a dash and a note for a peer that was killed. */
static void a_table(void **state)
{
    static struct trp_peer_table table = {.threads = 1, .count = 1};
    char text[2048] = "";
    FILE *file = fmemopen(text, sizeof(text), "w");
    (void)state;
    assert_non_null(file);
    table.has[TRP_CONTESTANT_OURS] = true;
    table.has[TRP_CONTESTANT_CAF] = true;
    table.has[TRP_CONTESTANT_GO] = true;
    table.has[TRP_CONTESTANT_FLOOR] = true;
    table.rows[0].kernel = TRP_PEER_THREADRING100;
    set(&table.rows[0], TRP_CONTESTANT_OURS, 9e6, 10e6, 11e6);
    set(&table.rows[0], TRP_CONTESTANT_GO, 4e6, 4e6, 4e6);
    set(&table.rows[0], TRP_CONTESTANT_FLOOR, 20e6, 20e6, 20e6);
    snprintf(table.rows[0].cells[TRP_CONTESTANT_CAF].note, 96, "killed after 60 s");
    trp_peer_table_print(file, &table, NULL);
    fclose(file);
    const char *row = strstr(text, "\nthreadring100");
    assert_non_null(row);
    char name[32], ours[16], caf[16], go[16], floor[16], best[16];
    double to_best = 0, to_floor = 0, spread = 0;
    assert_int_equal(sscanf(row, " %31s %15s %15s %15s %15s %15s %lf %lf %lf %%", name, ours, caf,
                            go, floor, best, &to_best, &to_floor, &spread),
                     9);
    assert_string_equal(ours, "10.0M");
    assert_string_equal(caf, "-");
    assert_string_equal(go, "4.00M");
    assert_string_equal(floor, "20.0M");
    assert_string_equal(best, "go");
    assert_true(is_near(to_best, 2.5) && is_near(to_floor, 0.5) && is_near(spread, 20));
    assert_non_null(strstr(text, "note: threadring100 caf: killed after 60 s\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(line_of_a_peer),
        cmocka_unit_test(names_and_sizes),
        cmocka_unit_test(numbers_of_the_kernels),
        cmocka_unit_test(our_cases),
        cmocka_unit_test(best_peer_and_ratios),
        cmocka_unit_test(rates_in_three_digits),
        cmocka_unit_test(a_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
