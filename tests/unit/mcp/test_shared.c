/* One backend for all clients: the demo in the simulation, a child process on a real pool. */

#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ASK  "{\"jsonrpc\":\"2.0\",\"id\":%u,\"method\":\"t/%s\"}"
#define ASKN "{\"jsonrpc\":\"2.0\",\"id\":%u,\"method\":\"t/%s\",\"params\":{\"n\":%u}}"
#define CALL                                                                                       \
    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"%s\","         \
    "\"arguments\":%s,\"_meta\":{\"progressToken\":1}}}"
#define INITIALIZE  "{\"jsonrpc\":\"2.0\",\"id\":\"i\",\"method\":\"initialize\",\"params\":{}}"
#define INITIALIZED "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}"

static const struct h_setup demo = {.workers = 3, .mcp = {.is_shared = true}};
static const struct h_setup child = {
    .workers = 2,
    .is_real = true,
    .mcp = {.backend = "stdio:" TRP_TEST_CHILD, .is_shared = true, .backoff_first_ns = 100000000},
};

static long result_of(const char *answer)
{
    const char *result = strstr(answer, "\"result\":");
    assert_non_null(result);
    return strtol(result + 9, NULL, 10);
}

static bool has_requests(struct h *h, uint64_t count)
{
    return h_stats(h).requests >= count;
}

static bool has_routes(struct h *h, uint64_t count)
{
    return h_stats(h).routes_open == count;
}

static bool has_started(struct h *h, uint64_t count)
{
    return h_stats(h).processes_started >= count;
}

static void test_one_for_all(void **state)
{
    struct h h;
    (void)state;
    h_start(&h, &demo);
    for (uint32_t i = 0; i < 10; i++) {
        h_send(&h, i, 1, CALL, "count", "{}");
    }
    bool seen[11] = {false};
    for (uint32_t i = 0; i < 10; i++) {
        const char *answer = h_wait(&h, i, 1, TRP_MCP_RESPONSE);
        const char *count = strstr(answer, "count\\\":");
        assert_non_null(count);
        long n = strtol(count + 8, NULL, 10);
        assert_in_range(n, 1, 10);
        assert_false(seen[n]);
        seen[n] = true;
    }
    assert_int_equal(h_stats(&h).instances, 1);
    /* equal ids, equal tokens, different workers */
    for (uint32_t i = 0; i < 5; i++) {
        char arguments[64];
        (void)snprintf(arguments, sizeof(arguments), "{\"steps\":%u,\"ms\":3}", i + 1);
        h_send(&h, i, 2, CALL, "progress", arguments);
    }
    for (uint32_t i = 0; i < 5; i++) {
        (void)h_wait(&h, i, 2, TRP_MCP_RESPONSE);
        assert_int_equal(h_count(&h, i, 2, TRP_MCP_NOTIFICATION), i + 1);
    }
    h_stop(&h);
}

static void test_cancel(void **state)
{
    struct h h;
    (void)state;
    h_start(&h, &demo);
    h_send(&h, 1, 1, CALL, "sleep", "{\"ms\":60000}");
    h_send(&h, 2, 2, CALL, "sleep", "{\"ms\":500}");
    h_until(&h, has_requests, 2);
    h_send(&h, 1, 3,
           "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":"
           "{\"requestId\":1}}");
    (void)h_wait(&h, 2, 2, TRP_MCP_RESPONSE); /* the other's is untouched */
    h_until(&h, has_routes, 0);
    h_pass(&h, 61000);
    assert_int_equal(h_count(&h, 1, 1, TRP_MCP_RESPONSE), 0);
    assert_int_equal(h_stats(&h).late, 0); /* the backend was told and said nothing */
    h_stop(&h);
}

static void test_initialize_once(void **state)
{
    struct h h;
    (void)state;
    h_start(&h, &child);
    for (uint32_t i = 0; i < 4; i++) {
        h_send(&h, i, 1, INITIALIZE);
        h_expect(&h, i, 1,
                 "{\"jsonrpc\":\"2.0\",\"id\":\"i\",\"result\":{\"protocolVersion\":"
                 "\"2025-06-18\",\"capabilities\":{}}}");
    }
    h_send(&h, 1, 2, ASK, 2u, "inits");
    assert_int_equal(result_of(h_wait(&h, 1, 2, TRP_MCP_RESPONSE)), 1);
    /* notifications of the server go to those that are initialized */
    h_send(&h, 1, 3, INITIALIZED);
    h_send(&h, 1, 4, ASK, 4u, "pid");
    h_send(&h, 2, 5, INITIALIZED);
    h_send(&h, 2, 6, ASK, 6u, "pid");
    assert_int_equal(result_of(h_wait(&h, 1, 4, TRP_MCP_RESPONSE)),
                     result_of(h_wait(&h, 2, 6, TRP_MCP_RESPONSE)));
    h_send(&h, 3, 7, ASKN, 7u, "many", 5u);
    (void)h_wait(&h, 3, 7, TRP_MCP_RESPONSE);
    h_send(&h, 1, 8, ASK, 8u, "pid"); /* behind the broadcasts */
    h_send(&h, 2, 8, ASK, 8u, "pid");
    (void)h_wait(&h, 1, 8, TRP_MCP_RESPONSE);
    (void)h_wait(&h, 2, 8, TRP_MCP_RESPONSE);
    uint32_t got[4] = {0};
    for (const struct h_output *it = h.outputs; it != NULL; it = it->next) {
        got[it->client] += it->kind == TRP_MCP_BROADCAST ? 1 : 0;
    }
    assert_int_equal(got[0], 0);
    assert_int_equal(got[1], 5);
    assert_int_equal(got[2], 5);
    assert_int_equal(got[3], 0);
    h_stop(&h);
}

static void test_restart(void **state)
{
    struct h h;
    (void)state;
    h_start(&h, &child);
    h_send(&h, 1, 1, ASK, 1u, "pid");
    long first = result_of(h_wait(&h, 1, 1, TRP_MCP_RESPONSE));
    h_send(&h, 1, 2, ASK, 2u, "mute");
    h_send(&h, 2, 3, ASK, 3u, "mute");
    h_until(&h, has_requests, 3);
    h_send(&h, 3, 4, ASK, 4u, "die");
    for (uint32_t client = 1; client <= 3; client++) {
        const char *error = h_wait(&h, client, client + 1, TRP_MCP_RESPONSE);
        assert_non_null(strstr(error, "\"code\":-32603"));
        assert_non_null(strstr(error, "Backend exited with status 3"));
    }
    long second = 0;
    for (uint32_t tag = 10; second == 0; tag++) {
        h_send(&h, 1, tag, ASK, tag, "pid");
        const char *answer = h_wait(&h, 1, tag, TRP_MCP_RESPONSE);
        if (strstr(answer, "\"result\"") != NULL) {
            second = result_of(answer);
        } else {
            assert_non_null(strstr(answer, "retryAfterMs"));
        }
    }
    assert_int_not_equal(first, second);
    /* clients stay */
    struct troupe_admission_stats admission = h_admission(&h);
    assert_int_equal(admission.active, 3);
    assert_int_equal(admission.admitted, 3);
    h_send(&h, 2, 5, ASK, 5u, "inits");
    assert_int_equal(result_of(h_wait(&h, 2, 5, TRP_MCP_RESPONSE)), 1);
    h_stop(&h);
}

/* A server that never answers initialize is given up, and tried again. */
static void test_initialize_unanswered(void **state)
{
    struct h h;
    struct h_setup setup = child;
    (void)state;
    setup.mcp.backend = "stdio:" TRP_TEST_CHILD " noinit";
    setup.mcp.start_timeout_ns = 200000000;
    h_start(&h, &setup);
    h_send(&h, 1, 1, ASK, 1u, "pid");
    const char *error = h_wait(&h, 1, 1, TRP_MCP_RESPONSE);
    assert_non_null(strstr(error, "Backend did not answer initialize in time"));
    assert_non_null(strstr(error, "retryAfterMs"));
    h_until(&h, has_started, 2);
    assert_int_equal(h_admission(&h).active, 1);
    h_stop(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_for_all),           cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_initialize_once),       cmocka_unit_test(test_restart),
        cmocka_unit_test(test_initialize_unanswered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
