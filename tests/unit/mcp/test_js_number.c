/* Numbers as JavaScript prints them; the expected texts are those of its specification. */

#include "actors/mcp/js_number.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void check(double value, const char *expected)
{
    char bytes[64];
    struct trp_text text = trp_text_init(bytes, sizeof(bytes) - 1);
    trp_js_number(&text, value);
    assert_false(text.overflow);
    bytes[text.len] = '\0';
    assert_string_equal(bytes, expected);
}

static void test_numbers(void **state)
{
    (void)state;
    check(0, "0");
    check(-0.0, "0");
    check(5, "5");
    check(-17, "-17");
    check(0.1 + 0.2, "0.30000000000000004");
    check(1.5, "1.5");
    check(100, "100");
    check(123456.789, "123456.789");
    check(9007199254740993.0, "9007199254740992");
    check(1e20, "100000000000000000000");
    check(1e21, "1e+21");
    check(1.5e300, "1.5e+300");
    check(0.000001, "0.000001");
    check(0.0000015, "0.0000015");
    check(0.0000001, "1e-7");
    check(1.25e-7, "1.25e-7");
    check(5e-324, "5e-324");
    check(DBL_MAX, "1.7976931348623157e+308");
    check(-DBL_MAX, "-1.7976931348623157e+308");
    check(HUGE_VAL, "Infinity");
    check(-HUGE_VAL, "-Infinity");
    check((double)NAN, "NaN");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_numbers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
