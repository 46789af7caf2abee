/* Routes, their index and lists, cancels ahead of time: as pure data. */

#include "actors/mcp/routes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_numbers(void **state)
{
    uint64_t counter = 0;
    uint64_t counter_63 = (UINT64_C(1) << TRP_MCP_NUMBER_WORKER_SHIFT) - 2;
    (void)state;
    assert_int_equal(trp_mcp_number(0, &counter), 1);
    assert_int_equal(trp_mcp_number(0, &counter), 2);
    /* exact as a double, and below those that are made for no client */
    assert_true(trp_mcp_number(63, &counter_63) < TRP_MCP_NUMBER_OWN);
    assert_true((TRP_MCP_NUMBER_OWN | UINT64_C(0x3fffffffffff)) < (UINT64_C(1) << 53));
    assert_int_equal(trp_mcp_number(1, &counter) >> TRP_MCP_NUMBER_WORKER_SHIFT, 1);
}

static void test_index(void **state)
{
    enum { COUNT = 500 };
    struct trp_mcp_route_index index;
    struct trp_mcp_route *routes = calloc(COUNT, sizeof(*routes));
    (void)state;
    assert_non_null(routes);
    assert_int_equal(trp_mcp_route_index_init(&index, 10), TROUPE_OK);
    assert_null(trp_mcp_route_index_find(&index, 1));
    for (uint32_t i = 0; i < COUNT; i++) {
        routes[i].number = (uint64_t)(i % 3) << TRP_MCP_NUMBER_WORKER_SHIFT | (i + 1);
        trp_mcp_route_index_add(&index, &routes[i]);
    }
    assert_int_equal(index.count, COUNT);
    for (uint32_t i = 0; i < COUNT; i++) {
        assert_ptr_equal(trp_mcp_route_index_find(&index, routes[i].number), &routes[i]);
    }
    for (uint32_t i = 0; i < COUNT; i += 2) {
        trp_mcp_route_index_remove(&index, &routes[i]);
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        struct trp_mcp_route *found = trp_mcp_route_index_find(&index, routes[i].number);
        assert_ptr_equal(found, i % 2 == 0 ? NULL : &routes[i]);
    }
    assert_int_equal(index.count, COUNT / 2);
    trp_mcp_route_index_fini(&index);
    free(routes);
}

static void test_list(void **state)
{
    struct trp_mcp_route_list list = {0};
    struct trp_mcp_route *routes = calloc(3, sizeof(*routes));
    (void)state;
    assert_non_null(routes);
    for (uint32_t i = 0; i < 3; i++) {
        routes[i].id_hash = i == 2 ? 0 : i; /* first and last have the same id */
        trp_mcp_route_list_push(&list, &routes[i]);
    }
    assert_int_equal(list.count, 3);
    assert_ptr_equal(trp_mcp_route_list_find(&list, 0, 0), &routes[2]); /* the newest */
    assert_null(trp_mcp_route_list_find(&list, 1, 0));                  /* another session */
    trp_mcp_route_list_remove(&list, &routes[2]);
    assert_ptr_equal(trp_mcp_route_list_find(&list, 0, 0), &routes[0]);
    trp_mcp_route_list_push(&list, &routes[2]);
    trp_mcp_route_list_remove(&list, &routes[1]);
    assert_ptr_equal(list.head, &routes[0]);
    assert_ptr_equal(list.tail, &routes[2]);
    trp_mcp_route_list_remove(&list, &routes[0]);
    trp_mcp_route_list_remove(&list, &routes[2]);
    assert_null(list.head);
    assert_null(list.tail);
    assert_int_equal(list.count, 0);
    free(routes);
}

static void test_early_cancels(void **state)
{
    struct trp_mcp_early_cancels cancels = {0};
    const uint64_t now = 1000;
    (void)state;
    assert_false(trp_mcp_early_cancel_take(&cancels, 0, 0, now));
    trp_mcp_early_cancel_put(&cancels, 0, 77, now);
    assert_false(trp_mcp_early_cancel_take(&cancels, 1, 77, now)); /* of another session */
    assert_true(trp_mcp_early_cancel_take(&cancels, 0, 77, now));
    assert_false(trp_mcp_early_cancel_take(&cancels, 0, 77, now)); /* once */

    trp_mcp_early_cancel_put(&cancels, 0, 77, now);
    assert_false(trp_mcp_early_cancel_take(&cancels, 0, 77, now + TRP_MCP_EARLY_CANCEL_NS));

    for (uint32_t i = 0; i <= TRP_MCP_EARLY_CANCELS; i++) {
        trp_mcp_early_cancel_put(&cancels, 0, 100 + i, now + i);
    }
    assert_false(trp_mcp_early_cancel_take(&cancels, 0, 100, now + 20)); /* the oldest went */
    assert_true(trp_mcp_early_cancel_take(&cancels, 0, 101, now + 20));
    trp_mcp_early_cancel_clear(&cancels, 0);
    assert_false(trp_mcp_early_cancel_take(&cancels, 0, 102, now + 20));
}

static void test_id_hash(void **state)
{
    (void)state;
    assert_int_equal(trp_mcp_id_hash(troupe_span_cstr("i1")),
                     trp_mcp_id_hash(troupe_span_cstr("i1")));
    assert_int_not_equal(trp_mcp_id_hash(troupe_span_cstr("i1")),
                         trp_mcp_id_hash(troupe_span_cstr("s1")));
    assert_int_not_equal(trp_mcp_id_hash(troupe_span("s\0", 2)),
                         trp_mcp_id_hash(troupe_span("s", 1)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers), cmocka_unit_test(test_index),
        cmocka_unit_test(test_list),    cmocka_unit_test(test_early_cancels),
        cmocka_unit_test(test_id_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
