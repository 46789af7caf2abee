/* Child processes as backends, on a real pool: pipes, limits, deaths. */

#include "harness.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ASK  "{\"jsonrpc\":\"2.0\",\"id\":%u,\"method\":\"t/%s\"}"
#define ASKN "{\"jsonrpc\":\"2.0\",\"id\":%u,\"method\":\"t/%s\",\"params\":{\"n\":%u}}"

static const struct h_setup child = {
    .workers = 2,
    .is_real = true,
    .mcp = {.backend = "stdio:" TRP_TEST_CHILD, .backoff_first_ns = 200000000},
};

static long result_of(const char *answer)
{
    const char *result = strstr(answer, "\"result\":");
    assert_non_null(result);
    return strtol(result + 9, NULL, 10);
}

static bool all_ended(struct h *h, uint64_t count)
{
    struct trp_mcp_stats stats = h_stats(h);
    return stats.processes_alive == 0 && stats.processes_ended == count;
}

static bool is_idle(struct h *h, uint64_t arg)
{
    (void)arg;
    return h_stats(h).routes_open == 0;
}

static bool has_backoffs(struct h *h, uint64_t count)
{
    return h_stats(h).backoffs >= count;
}

static bool has_requests(struct h *h, uint64_t count)
{
    return h_stats(h).requests >= count;
}

static void test_child_per_client(void **state)
{
    struct h h;
    long pids[6];
    (void)state;
    h_start(&h, &child);
    for (uint32_t i = 0; i < 6; i++) {
        h_send(&h, i, 1, ASK, 7u, "pid");
    }
    for (uint32_t i = 0; i < 6; i++) {
        const char *answer = h_wait(&h, i, 1, TRP_MCP_RESPONSE);
        assert_non_null(strstr(answer, "\"id\":7,"));
        pids[i] = result_of(answer);
        for (uint32_t k = 0; k < i; k++) {
            assert_int_not_equal(pids[i], pids[k]);
        }
    }
    /* the same child again, from a text of several lines */
    h_send(&h, 3, 2, "{\"jsonrpc\":\"2.0\",\n\"id\":\"x\",\r\n\"method\":\"t/pid\"\n}");
    const char *answer = h_wait(&h, 3, 2, TRP_MCP_RESPONSE);
    assert_non_null(strstr(answer, "\"id\":\"x\","));
    assert_int_equal(result_of(answer), pids[3]);
    h_send(&h, 3, 3, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{}}");
    (void)h_wait(&h, 3, 3, TRP_MCP_RESPONSE);
    h_send(&h, 3, 4, ASK, 1u, "pid");
    assert_int_not_equal(result_of(h_wait(&h, 3, 4, TRP_MCP_RESPONSE)), pids[3]);
    assert_int_equal(h_stats(&h).instances_replaced, 1);
    assert_int_equal(h_stats(&h).processes_started, 7);
    h_stop(&h);
}

static void test_output_rules(void **state)
{
    struct h h;
    struct h_setup setup = child;
    (void)state;
    setup.mcp.line_bytes_max = 200000;
    h_start(&h, &setup);
    h_send(&h, 1, 1, ASK, 1u, "garbage");
    (void)h_wait(&h, 1, 1, TRP_MCP_RESPONSE);
    assert_int_equal(h_stats(&h).backend_invalid, 3);
    h_send(&h, 1, 2, ASK, 2u, "flood");
    (void)h_wait(&h, 1, 2, TRP_MCP_RESPONSE);
    h_send(&h, 1, 3, ASKN, 3u, "long", 150000u);
    assert_int_equal(strlen(h_wait(&h, 1, 3, TRP_MCP_RESPONSE)),
                     strlen("{\"jsonrpc\":\"2.0\",\"id\":3,\"result\":\"\"}") + 150000);
    h_send(&h, 1, 4, ASK, 4u, "mute");
    h_send(&h, 1, 5, ASKN, 5u, "long", 250000u);
    assert_non_null(strstr(h_wait(&h, 1, 4, TRP_MCP_RESPONSE), "\"code\":-32603"));
    assert_non_null(
        strstr(h_wait(&h, 1, 5, TRP_MCP_RESPONSE), "Backend wrote a line that is too long"));
    h_until(&h, all_ended, 1);
    h_stop(&h);
}

static void test_death(void **state)
{
    struct h h;
    (void)state;
    h_start(&h, &child);
    h_send(&h, 1, 1, ASK, 1u, "mute");
    h_until(&h, has_requests, 1);
    h_send(&h, 1, 2, ASK, 2u, "die");
    for (uint32_t tag = 1; tag <= 2; tag++) {
        const char *error = h_wait(&h, 1, tag, TRP_MCP_RESPONSE);
        assert_non_null(strstr(error, "\"code\":-32603"));
        assert_non_null(strstr(error, "Backend exited with status 3"));
        assert_non_null(strstr(error, "retryAfterMs"));
    }
    /* the command is in backoff: the next one hears so at once */
    h_send(&h, 2, 3, ASK, 3u, "pid");
    const char *error = h_wait(&h, 2, 3, TRP_MCP_RESPONSE);
    assert_non_null(strstr(error, "Backend is in backoff: Backend exited with status 3"));
    assert_non_null(strstr(error, "retryAfterMs"));
    /* and some time later it runs again; both clients may be there */
    uint32_t tag = 4;
    for (;; tag++) {
        h_send(&h, 1, tag, ASK, tag, "pid");
        const char *answer = h_wait(&h, 1, tag, TRP_MCP_RESPONSE);
        if (strstr(answer, "result") != NULL) {
            break;
        }
    }
    assert_int_equal(h_stats(&h).backoffs, 1);
    h_stop(&h);
}

/* What a child wrote before its end arrives. */
static void test_last_words(void **state)
{
    struct h h;
    (void)state;
    h_start(&h, &child);
    h_send(&h, 1, 1, ASK, 1u, "mute");
    h_send(&h, 1, 2, ASK, 2u, "last");
    h_expect(&h, 1, 2, "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":\"last\"}");
    assert_non_null(strstr(h_wait(&h, 1, 1, TRP_MCP_RESPONSE), "Backend exited with status 4"));
    h_until(&h, all_ended, 1);
    h_stop(&h);
}

static void test_closed_output(void **state)
{
    struct h h;
    (void)state;
    h_start(&h, &child);
    h_send(&h, 1, 1, ASK, 1u, "close");
    assert_non_null(strstr(h_wait(&h, 1, 1, TRP_MCP_RESPONSE), "Backend closed its output"));
    h_until(&h, all_ended, 1);
    h_stop(&h);
}

static void test_start_failures(void **state)
{
    struct h h;
    struct h_setup setup = child;
    (void)state;
    setup.mcp.backend = "stdio:/no/such/program --really";
    h_start(&h, &setup);
    h_send(&h, 1, 1, ASK, 1u, "pid");
    assert_non_null(strstr(h_wait(&h, 1, 1, TRP_MCP_RESPONSE),
                           "\"code\":-32603,\"message\":\"Backend could not be started: "));
    assert_int_equal(h_stats(&h).processes_failed, 1);
    h_stop(&h);

    setup.mcp.backend = "stdio:" TRP_TEST_CHILD " crash";
    h_start(&h, &setup);
    uint32_t tag = 1;
    for (; h_stats(&h).backoffs < 3; tag++) {
        h_send(&h, 1, tag, ASK, tag, "pid");
        assert_non_null(strstr(h_wait(&h, 1, tag, TRP_MCP_RESPONSE), "\"code\":-32603"));
    }
    h_until(&h, has_backoffs, 3);
    h_until(&h, all_ended, 3);
    h_stop(&h);
}

/* More clients than processes: they take turns, and nobody is forgotten. */
static void test_process_limit(void **state)
{
    struct h h;
    struct h_setup setup = child;
    (void)state;
    setup.mcp.backend_max = 3;
    setup.mcp.starting_max = 1;
    h_start(&h, &setup);
    for (uint32_t i = 0; i < 20; i++) {
        h_send(&h, i, 1, ASK, i, "pid");
    }
    for (uint32_t i = 0; i < 20; i++) {
        (void)result_of(h_wait(&h, i, 1, TRP_MCP_RESPONSE));
    }
    assert_int_equal(h_admission(&h).capacity, 3);
    assert_true(h_stats(&h).processes_peak <= 3);
    assert_int_equal(h_stats(&h).processes_started, 20);
    h_stop(&h);
}

/* No process comes free for a second session: it is told that the server is busy. */
static void test_no_place(void **state)
{
    struct h h;
    struct h_setup setup = child;
    const char *ask = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"t/pid\"}";
    (void)state;
    setup.mcp.backend_max = 1;
    setup.mcp.start_timeout_ns = 300000000;
    h_start(&h, &setup);
    h_send_session(&h, 1, 1, 1, ask);
    long first = result_of(h_wait(&h, 1, 1, TRP_MCP_RESPONSE));
    h_send_session(&h, 1, 2, 2, ask);
    const char *busy = h_wait(&h, 1, 2, TRP_MCP_RESPONSE);
    assert_non_null(strstr(busy, "\"code\":-32000,\"message\":\"Server busy, please retry\""));
    assert_non_null(strstr(busy, "retryAfterMs"));
    h_send_session(&h, 1, 3, 1, ask); /* the first session is untouched */
    assert_int_equal(result_of(h_wait(&h, 1, 3, TRP_MCP_RESPONSE)), first);
    assert_int_equal(h_stats(&h).processes_peak, 1);
    assert_int_equal(h_stats(&h).backoffs, 0);
    h_stop(&h);
}

/* A child that does not read: its queue is bounded, the rest is answered busy. */
static void test_deaf(void **state)
{
    struct h h;
    struct h_setup setup = child;
    char *padding = malloc(20001);
    uint32_t busy = 0;
    (void)state;
    assert_non_null(padding);
    memset(padding, 'p', 20000);
    padding[20000] = '\0';
    setup.mcp.child_queue_max = 100000;
    setup.mcp.route_timeout_ns = UINT64_C(3000000000);
    h_start(&h, &setup);
    h_send(&h, 1, 0, ASK, 0u, "deaf");
    (void)h_wait(&h, 1, 0, TRP_MCP_RESPONSE);
    for (uint32_t i = 1; i <= 40; i++) {
        h_send(&h, 1, i, "{\"jsonrpc\":\"2.0\",\"id\":%u,\"method\":\"t/pid\",\"params\":[\"%s\"]}",
               i, padding);
    }
    for (uint32_t i = 1; i <= 40; i++) {
        const char *answer = h_wait(&h, 1, i, TRP_MCP_RESPONSE);
        busy += strstr(answer, "-32000") != NULL ? 1 : 0;
        assert_true(strstr(answer, "-32000") != NULL ||
                    strstr(answer, "Request timed out") != NULL);
    }
    assert_true(busy >= 20 && busy <= 37);
    h_until(&h, is_idle, 0);
    free(padding);
    h_stop(&h);
}

static bool is_dead(struct h *h, uint64_t pid)
{
    (void)h;
    return kill((pid_t)pid, 0) != 0 && errno == ESRCH;
}

/* Idle clients go, their children with all descendants too, willing or not. */
static void test_no_orphans(void **state)
{
    struct h h;
    struct h_setup setup = child;
    (void)state;
    setup.mcp.backend = "stdio:" TRP_TEST_CHILD " stubborn";
    setup.mcp.stop_grace_ms = 100;
    setup.admission.idle_timeout_ns = 300000000;
    h_start(&h, &setup);
    h_send(&h, 1, 1, ASK, 1u, "fork");
    long grandchild = result_of(h_wait(&h, 1, 1, TRP_MCP_RESPONSE));
    h_until(&h, all_ended, 1);
    h_until(&h, is_dead, (uint64_t)grandchild);
    assert_int_equal(h_stats(&h).backoffs, 0);
    /* an end that we asked for is no crash: the next one starts at once */
    h_send(&h, 1, 2, ASK, 2u, "pid");
    (void)result_of(h_wait(&h, 1, 2, TRP_MCP_RESPONSE));
    h_stop(&h);
}

static void test_spawner_dies(void **state)
{
    struct h h;
    (void)state;
    h_start(&h, &child);
    h_send(&h, 1, 1, ASK, 1u, "pid");
    (void)h_wait(&h, 1, 1, TRP_MCP_RESPONSE);
    h_send(&h, 1, 2, ASK, 2u, "mute");
    h_until(&h, has_requests, 2);
    assert_int_equal(kill(h.spawner.pid, SIGKILL), 0);
    assert_non_null(strstr(h_wait(&h, 1, 2, TRP_MCP_RESPONSE), "\"code\":-32603"));
    h_send(&h, 1, 3, ASK, 3u, "pid");
    assert_non_null(strstr(h_wait(&h, 1, 3, TRP_MCP_RESPONSE), "Process spawner ended"));
    h_stop(&h);
}

/* More lines at once than a mailbox holds: all arrive, in order. */
static void test_many_lines(void **state)
{
    struct h h;
    (void)state;
    h_start(&h, &child);
    h_send(&h, 1, 1, ASK, 1u, "pid");
    (void)h_wait(&h, 1, 1, TRP_MCP_RESPONSE);
    h_send(&h, 1, 2, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}");
    h_send(&h, 1, 3, ASKN, 3u, "many", 30000u);
    (void)h_wait(&h, 1, 3, TRP_MCP_RESPONSE);
    assert_int_equal(h_stats(&h).broadcasts, 30000);
    uint32_t expected = 1;
    for (const struct h_output *it = h.outputs; it != NULL; it = it->next) {
        if (it->kind == TRP_MCP_BROADCAST) {
            assert_int_equal(strtol(strchr(it->text, '[') + 1, NULL, 10), expected++);
        }
    }
    h_stop(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_child_per_client),
        cmocka_unit_test(test_output_rules),
        cmocka_unit_test(test_death),
        cmocka_unit_test(test_last_words),
        cmocka_unit_test(test_closed_output),
        cmocka_unit_test(test_start_failures),
        cmocka_unit_test(test_process_limit),
        cmocka_unit_test(test_deaf),
        cmocka_unit_test(test_no_orphans),
        cmocka_unit_test(test_spawner_dies),
        cmocka_unit_test(test_many_lines),
        cmocka_unit_test(test_no_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
