#include "tests/cmocka.h"

#include <errno.h>
#include <string.h>
#include <troupe/status.h>

static void every_status_has_name_and_text(void **state)
{
    (void)state;
#define CHECK(name, value, text, rpc)                                                              \
    assert_string_equal(troupe_status_name(name), #name);                                          \
    assert_string_equal(troupe_status_text(name), text);                                           \
    assert_int_equal(troupe_status_jsonrpc(name), rpc);
    TROUPE_STATUS_LIST(CHECK)
#undef CHECK
    assert_string_equal(troupe_status_text((enum troupe_status)12345), "unknown status");
}

static void busy_is_what_clients_expect(void **state)
{
    (void)state;
    assert_int_equal(troupe_status_jsonrpc(TROUPE_EBUSY), -32000);
    assert_string_equal(troupe_status_text(TROUPE_EBUSY), "Server busy, please retry");
}

static void errno_is_translated(void **state)
{
    (void)state;
    assert_int_equal(troupe_status_from_errno(0), TROUPE_OK);
    assert_int_equal(troupe_status_from_errno(17), TROUPE_OK);
    assert_int_equal(troupe_status_from_errno(-ENOMEM), TROUPE_ENOMEM);
    assert_int_equal(troupe_status_from_errno(-ECONNRESET), TROUPE_ECLOSED);
    assert_int_equal(troupe_status_from_errno(-ECANCELED), TROUPE_ECANCELED);
    assert_int_equal(troupe_status_from_errno(-EXDEV), TROUPE_EIO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_status_has_name_and_text),
        cmocka_unit_test(busy_is_what_clients_expect),
        cmocka_unit_test(errno_is_translated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
