#include "tests/cmocka.h"

#include "bench/load/slot_table.h"

#include <string.h>

/* Ids whose first bytes, which choose the place, are the given number. */
static const uint8_t *make_id(uint32_t place, uint32_t number)
{
    static uint8_t id[TRP_SLOT_ID_LEN];
    memset(id, 0, sizeof(id));
    memcpy(id, &place, sizeof(place));
    memcpy(id + 20, &number, sizeof(number));
    return id;
}

static void add_find_remove(void **state)
{
    struct trp_slot_table table;
    (void)state;
    assert_true(trp_slot_table_init(&table, 2));

    assert_int_equal(trp_slot_table_find(&table, make_id(1, 1)), TRP_SLOT_NONE);
    assert_true(trp_slot_table_add(&table, make_id(1, 1), 11));
    assert_false(trp_slot_table_add(&table, make_id(1, 1), 12));
    assert_true(trp_slot_table_add(&table, make_id(1, 2), 0));
    assert_false(trp_slot_table_add(&table, make_id(1, 3), 13)); /* full */
    assert_int_equal(trp_slot_table_find(&table, make_id(1, 1)), 11);
    assert_int_equal(trp_slot_table_find(&table, make_id(1, 2)), 0);
    assert_true(trp_slot_table_remove(&table, make_id(1, 1)));
    assert_false(trp_slot_table_remove(&table, make_id(1, 1)));
    assert_int_equal(trp_slot_table_find(&table, make_id(1, 2)), 0);
    assert_int_equal(table.count, 1);
    trp_slot_table_fini(&table);
}

/* Every order of removal from a cluster that wraps around the end leaves the others findable. */
static void removal_keeps_clusters_whole(void **state)
{
    enum { COUNT = 6 };
    static const uint32_t places[COUNT] = {14, 14, 15, 14, 0, 15};
    struct trp_slot_table table;
    (void)state;

    for (uint32_t first = 0; first < COUNT; first++) {
        for (uint32_t second = 0; second < COUNT; second++) {
            assert_true(trp_slot_table_init(&table, 8));
            assert_int_equal(table.mask, 15);
            for (uint32_t i = 0; i < COUNT; i++) {
                assert_true(trp_slot_table_add(&table, make_id(places[i], i), i));
            }
            assert_true(trp_slot_table_remove(&table, make_id(places[first], first)));
            assert_true(first == second ||
                        trp_slot_table_remove(&table, make_id(places[second], second)));
            for (uint32_t i = 0; i < COUNT; i++) {
                uint32_t wanted = i == first || i == second ? TRP_SLOT_NONE : i;
                assert_int_equal(trp_slot_table_find(&table, make_id(places[i], i)), wanted);
            }
            trp_slot_table_fini(&table);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(add_find_remove),
        cmocka_unit_test(removal_keeps_clusters_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
