#include "tests/cmocka.h"

#include "fake_peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench/args.h"
#include "bench/load/nostr.h"
#include "io/codec/json.h"

/* The generator against a peer that does one thing wrong: it must see it, and nothing else. */

struct result {
    int status;
    struct trp_json_parser *json;
    struct trp_json_doc doc;
    char *text;
};

static char *read_all(int fd)
{
    off_t size = lseek(fd, 0, SEEK_END);
    char *text = malloc((size_t)size + 1);
    assert_non_null(text);
    assert_int_equal(pread(fd, text, (size_t)size, 0), size);
    text[size] = '\0';
    return text;
}

static void run(struct result *result, const char *url, const char *server, const char *verify)
{
    char path[64];
    int fd = memfd_create("result", MFD_CLOEXEC);
    assert_true(fd >= 0);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    const char *argv[] = {"--relay",    url,    "--server",      server, "--clients", "4",
                          "--inflight", "2",    "--duration",    "1",    "--warmup",  "0",
                          "--json",     path,   "--connections", "2",    "--timeout", "1",
                          "--verify",   verify, "--server-pid",  "1",    "--payload", "50"};
    result->status =
        trp_bench_load_nostr((int)(sizeof(argv) / sizeof(argv[0])), (char **)(uintptr_t)argv);
    result->text = read_all(fd);
    close(fd);
    result->json = trp_json_create(trp_json_limits_default());
    assert_non_null(result->json);
    size_t len = strlen(result->text);
    assert_int_equal(trp_json_read(result->json, &result->doc, result->text, len, len), TROUPE_OK);
}

static void run_fault(struct result *result, enum fake_fault fault, const char *verify)
{
    struct fake_peer peer;
    fake_peer_start(&peer, fault, 20);
    run(result, peer.url, peer.pubkey_hex, verify);
    fake_peer_stop(&peer);
}

static void release(struct result *result)
{
    trp_json_destroy(result->json);
    free(result->text);
}

static uint64_t number_of(const struct result *result, const char *group, const char *name)
{
    uint64_t value = 0;
    const struct trp_json_node *object =
        trp_json_member(&result->doc, trp_json_root(&result->doc), group);
    assert_non_null(object);
    assert_true(trp_json_u64(&result->doc, trp_json_member(&result->doc, object, name), &value));
    return value;
}

static uint64_t count_of(const struct result *result, const char *name)
{
    return number_of(result, "counts", name);
}

static uint64_t problems_of(const struct result *result)
{
    static const char *const names[] = {"refused", "errors", "rejected",    "wrong",
                                        "lost",    "late",   "unconfirmed", "setup_refused"};
    uint64_t sum = 0;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        sum += count_of(result, names[i]);
    }
    return sum;
}

static void a_good_peer(void **state)
{
    struct fake_peer peer;
    struct result result;
    (void)state;
    fake_peer_start(&peer, FAKE_NONE, 1);
    run(&result, peer.url, peer.pubkey_hex, "all");
    fake_peer_stop(&peer);

    assert_int_equal(result.status, TRP_BENCH_GOOD);
    assert_int_equal(problems_of(&result), 0);
    uint64_t good = count_of(&result, "good");
    assert_true(good > 0);
    assert_int_equal(count_of(&result, "sent"), good);
    assert_int_equal(good, peer.calls);
    assert_int_equal(peer.inits, 4);
    assert_int_equal(peer.ready, 4);
    assert_int_equal(count_of(&result, "verified"), good + 4);
    assert_int_equal(number_of(&result, "parameters", "clients"), 4);
    release(&result);
}

static void notifications_are_no_fault(void **state)
{
    struct result result;
    (void)state;
    run_fault(&result, FAKE_NOTIFICATION, "sample");
    assert_int_equal(result.status, TRP_BENCH_GOOD);
    assert_int_equal(problems_of(&result), 0);
    assert_true(count_of(&result, "ignored") > 0);
    assert_in_range(count_of(&result, "verified"), 1, count_of(&result, "good") / 4 + 4);
    release(&result);
}

/* The one counter that must have moved, and the status. */
static void expect(enum fake_fault fault, const char *counter, int status)
{
    struct result result;
    run_fault(&result, fault, "all");
    print_message("fault %d: %s\n", fault, counter);
    assert_int_equal(result.status, status);
    assert_true(count_of(&result, counter) > 0);
    assert_int_equal(count_of(&result, counter), problems_of(&result));
    assert_true(count_of(&result, "good") > 0);
    release(&result);
}

static void lost_calls(void **state)
{
    (void)state;
    expect(FAKE_SILENT, "lost", TRP_BENCH_THRESHOLD);
    expect(FAKE_UNCONFIRMED, "unconfirmed", TRP_BENCH_GOOD);
}

static void wrong_answers(void **state)
{
    (void)state;
    expect(FAKE_TEXT, "wrong", TRP_BENCH_THRESHOLD);
    expect(FAKE_ID, "wrong", TRP_BENCH_THRESHOLD);
    expect(FAKE_TWICE, "wrong", TRP_BENCH_THRESHOLD);
    expect(FAKE_GARBAGE, "wrong", TRP_BENCH_THRESHOLD);
}

/* A forged answer is no answer: it is wrong and the call is lost besides. */
static void forged_answers(void **state)
{
    static const enum fake_fault faults[] = {FAKE_SIGNATURE, FAKE_AUTHOR};
    struct result result;
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        run_fault(&result, faults[i], "all");
        assert_int_equal(result.status, TRP_BENCH_THRESHOLD);
        assert_true(count_of(&result, "wrong") > 0);
        assert_int_equal(count_of(&result, "wrong"), count_of(&result, "lost"));
        release(&result);
    }
    run_fault(&result, FAKE_SIGNATURE, "none");
    assert_int_equal(result.status, TRP_BENCH_GOOD);
    assert_int_equal(count_of(&result, "verified"), 0);
    release(&result);
}

static void refusals_and_errors(void **state)
{
    (void)state;
    expect(FAKE_BUSY, "refused", TRP_BENCH_GOOD);
    expect(FAKE_BUSY_SETUP, "setup_refused", TRP_BENCH_GOOD);
    expect(FAKE_ERROR, "errors", TRP_BENCH_GOOD);
    expect(FAKE_IS_ERROR, "errors", TRP_BENCH_GOOD);
    expect(FAKE_REJECT, "rejected", TRP_BENCH_GOOD);
}

static void runs_that_say_nothing(void **state)
{
    struct result result;
    (void)state;
    run_fault(&result, FAKE_CUT, "all");
    assert_int_equal(result.status, TRP_BENCH_INVALID);
    release(&result);
    run_fault(&result, FAKE_CLOSED, "all");
    assert_int_equal(result.status, TRP_BENCH_FAILED);
    release(&result);
}

static void nobody_there(void **state)
{
    struct fake_peer peer;
    struct result result;
    (void)state;
    fake_peer_start(&peer, FAKE_NONE, 1);
    fake_peer_stop(&peer); /* its port is free again */
    run(&result, peer.url, peer.pubkey_hex, "all");
    assert_int_equal(result.status, TRP_BENCH_FAILED);
    release(&result);
}

static int run_args(const char *relay, const char *server)
{
    const char *argv[] = {"--relay", relay, "--server", server};
    return trp_bench_load_nostr(4, (char **)(uintptr_t)argv);
}

static void bad_command_lines(void **state)
{
    const char *key = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
    (void)state;
    assert_int_equal(run_args("nonsense", key), TRP_BENCH_USAGE);
    assert_int_equal(run_args("wss://127.0.0.1:1", key), TRP_BENCH_USAGE);
    assert_int_equal(run_args("ws://127.0.0.1:1", "79BE"), TRP_BENCH_USAGE);
    assert_int_equal(trp_bench_load_nostr(0, NULL), TRP_BENCH_USAGE);
    const char *argv[] = {"--relay", "ws://127.0.0.1:1", "--server",
                          key,       "--server-pid",     "4194304"};
    assert_int_equal(trp_bench_load_nostr(6, (char **)(uintptr_t)argv), TRP_BENCH_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_peer),
        cmocka_unit_test(notifications_are_no_fault),
        cmocka_unit_test(lost_calls),
        cmocka_unit_test(wrong_answers),
        cmocka_unit_test(forged_answers),
        cmocka_unit_test(refusals_and_errors),
        cmocka_unit_test(runs_that_say_nothing),
        cmocka_unit_test(nobody_there),
        cmocka_unit_test(bad_command_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
