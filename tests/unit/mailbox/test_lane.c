#include "tests/cmocka.h"

#include "mailbox/lane.h"

static void order_is_first_in_first_out(void **state)
{
    (void)state;
    struct troupe_msg messages[5] = {0};
    struct trp_lane lane = {0};
    assert_null(trp_lane_pop(&lane));
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 5; i++) {
            trp_lane_push(&lane, &messages[i]);
        }
        for (int i = 0; i < 5; i++) {
            assert_ptr_equal(trp_lane_pop(&lane), &messages[i]);
        }
        assert_true(trp_lane_is_empty(&lane));
    }
}

/* Removes each position of each length and checks what is left, in order. */
static void any_message_can_be_removed(void **state)
{
    (void)state;
    struct troupe_msg messages[6] = {0};
    for (int length = 1; length <= 6; length++) {
        for (int gone = 0; gone < length; gone++) {
            struct trp_lane lane = {0};
            for (int i = 0; i < length; i++) {
                trp_lane_push(&lane, &messages[i]);
            }
            assert_true(trp_lane_remove(&lane, &messages[gone]));
            assert_false(trp_lane_remove(&lane, &messages[gone]));
            for (int i = 0; i < length; i++) {
                if (i != gone) {
                    assert_ptr_equal(trp_lane_pop(&lane), &messages[i]);
                }
            }
            assert_null(trp_lane_pop(&lane));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_is_first_in_first_out),
        cmocka_unit_test(any_message_can_be_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
