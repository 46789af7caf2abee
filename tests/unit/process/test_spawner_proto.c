#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "io/process/spawner_proto.h"

static char packet[TRP_SPAWN_PACKET_MAX];

static size_t flatten(const struct trp_spawn_encoding *encoding)
{
    size_t len = 0;
    for (size_t i = 0; i < encoding->iov_count; i++) {
        assert_true(len + encoding->iov[i].iov_len <= sizeof(packet));
        memcpy(packet + len, encoding->iov[i].iov_base, encoding->iov[i].iov_len);
        len += encoding->iov[i].iov_len;
    }
    return len;
}

static const char *const argv3[3] = {"prog", "", "two words"};
static const char *const env2[2] = {"A=1", "B="};

static const struct trp_spawn_request sample = {.argv = argv3,
                                                .argc = 3,
                                                .env = env2,
                                                .envc = 2,
                                                .cwd = "/somewhere",
                                                .stderr_mode = TRP_SPAWN_STDERR_NULL};

static void a_request_survives_the_way(void **state)
{
    (void)state;
    static struct trp_spawn_encoding encoding;
    static struct trp_spawn_order order;
    bool has_id = false;
    assert_int_equal(trp_spawn_encode(&encoding, UINT64_MAX, &sample), TROUPE_OK);
    size_t len = flatten(&encoding);
    assert_int_equal(trp_spawn_order_decode(&order, &has_id, packet, len), TROUPE_OK);
    assert_true(has_id);
    assert_int_equal(order.type, TRP_SPAWN_PACKET_SPAWN);
    assert_true(order.id == UINT64_MAX);
    assert_int_equal(order.argc, 3);
    assert_string_equal(order.argv[0], "prog");
    assert_string_equal(order.argv[1], "");
    assert_string_equal(order.argv[2], "two words");
    assert_null(order.argv[3]);
    assert_int_equal(order.envc, 2);
    assert_string_equal(order.env[0], "A=1");
    assert_string_equal(order.env[1], "B=");
    assert_string_equal(order.cwd, "/somewhere");
    assert_int_equal(order.stderr_mode, TRP_SPAWN_STDERR_NULL);
}

static void bad_requests_are_not_encoded(void **state)
{
    (void)state;
    static struct trp_spawn_encoding encoding;
    static char long_folder[TRP_SPAWN_CWD_BYTES_MAX + 1];
    const char *none[1] = {""};
    const char *nameless[1] = {"=x"};
    const char *no_equals[1] = {"x"};
    struct trp_spawn_request r = sample;
    r.argc = 0;
    assert_int_equal(trp_spawn_encode(&encoding, 1, &r), TROUPE_EINVAL);
    r = sample;
    r.argv = none;
    r.argc = 1;
    assert_int_equal(trp_spawn_encode(&encoding, 1, &r), TROUPE_EINVAL);
    r = sample;
    r.envc = 1;
    r.env = nameless;
    assert_int_equal(trp_spawn_encode(&encoding, 1, &r), TROUPE_EINVAL);
    r.env = no_equals;
    assert_int_equal(trp_spawn_encode(&encoding, 1, &r), TROUPE_EINVAL);
    r = sample;
    r.cwd = "";
    assert_int_equal(trp_spawn_encode(&encoding, 1, &r), TROUPE_EINVAL);
    r = sample;
    r.stderr_mode = (enum trp_spawn_stderr)3;
    assert_int_equal(trp_spawn_encode(&encoding, 1, &r), TROUPE_EINVAL);
    r = sample;
    memset(long_folder, 'f', sizeof(long_folder) - 1);
    r.cwd = long_folder;
    assert_int_equal(trp_spawn_encode(&encoding, 1, &r), TROUPE_ETOOLARGE);
}

/* Every cut and every changed byte of a good packet: refused or read, never more. */
static void damaged_requests_are_refused_or_read_safely(void **state)
{
    (void)state;
    static struct trp_spawn_encoding encoding;
    static struct trp_spawn_order order;
    static char copy[4096];
    bool has_id;
    assert_int_equal(trp_spawn_encode(&encoding, 1, &sample), TROUPE_OK);
    size_t len = flatten(&encoding);
    for (size_t cut = 0; cut < len; cut++) {
        memcpy(copy, packet, cut);
        assert_int_equal(trp_spawn_order_decode(&order, &has_id, copy, cut), TROUPE_EPROTO);
        assert_int_equal(has_id, cut >= sizeof(struct trp_spawn_head));
    }
    for (size_t at = 0; at < len; at++) {
        for (int bit = 0; bit < 8; bit++) {
            memcpy(copy, packet, len);
            copy[at] = (char)(copy[at] ^ (1 << bit));
            enum troupe_status status = trp_spawn_order_decode(&order, &has_id, copy, len);
            assert_true(status == TROUPE_OK || status == TROUPE_EPROTO);
            if (status == TROUPE_OK && order.type == TRP_SPAWN_PACKET_SPAWN) {
                assert_true(order.argc <= TRP_SPAWN_ARGC_MAX);
                assert_null(order.argv[order.argc]);
            }
        }
    }
}

static void events_survive_the_way(void **state)
{
    (void)state;
    char bytes[TRP_SPAWN_EVENT_MAX];
    struct trp_spawn_event out;
    struct trp_spawn_event started = {.type = TRP_SPAWN_EVENT_STARTED, .id = 7, .pid = 4711};
    size_t len = trp_spawn_event_encode(bytes, &started);
    assert_int_equal(trp_spawn_event_decode(&out, bytes, len), TROUPE_OK);
    assert_int_equal(out.type, TRP_SPAWN_EVENT_STARTED);
    assert_int_equal(out.id, 7);
    assert_int_equal(out.pid, 4711);
    assert_int_equal(out.stdin_fd, -1);

    struct trp_spawn_event failed = {.type = TRP_SPAWN_EVENT_FAILED, .id = 8, .error = EPERM};
    memset(failed.text, 't', sizeof(failed.text)); /* not even ended */
    len = trp_spawn_event_encode(bytes, &failed);
    assert_int_equal(trp_spawn_event_decode(&out, bytes, len), TROUPE_OK);
    assert_int_equal(out.type, TRP_SPAWN_EVENT_FAILED);
    assert_int_equal(out.error, EPERM);
    assert_int_equal(strlen(out.text), TRP_SPAWN_TEXT_MAX - 1);

    struct trp_spawn_event exited = {
        .type = TRP_SPAWN_EVENT_EXITED, .id = 9, .exit_kind = TRP_SPAWN_EXIT_SIGNAL, .value = 15};
    len = trp_spawn_event_encode(bytes, &exited);
    assert_int_equal(trp_spawn_event_decode(&out, bytes, len), TROUPE_OK);
    assert_int_equal(out.type, TRP_SPAWN_EVENT_EXITED);
    assert_int_equal(out.exit_kind, TRP_SPAWN_EXIT_SIGNAL);
    assert_int_equal(out.value, 15);
    for (size_t cut = 0; cut < len; cut++) {
        assert_int_equal(trp_spawn_event_decode(&out, bytes, cut), TROUPE_EPROTO);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_survives_the_way),
        cmocka_unit_test(bad_requests_are_not_encoded),
        cmocka_unit_test(damaged_requests_are_refused_or_read_safely),
        cmocka_unit_test(events_survive_the_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
