/* The client actor over real admission in the simulation, with builtin:demo and an odd backend. */

#include "harness.h"
#include "odd_backend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CALL                                                                                       \
    "{\"jsonrpc\":\"2.0\",\"id\":%s,\"method\":\"tools/"                                           \
    "call\",\"params\":{\"name\":\"%s\",\"arguments\":%s}}"
#define TEXT(id, text)                                                                             \
    "{\"jsonrpc\":\"2.0\",\"id\":" id                                                              \
    ",\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"" text "\"}]}}"
#define FAILED(id, text)                                                                           \
    "{\"jsonrpc\":\"2.0\",\"id\":" id                                                              \
    ",\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"" text "\"}],\"isError\":true}}"
#define ODD "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"odd/%s\"}"

static const struct h_setup demo = {.workers = 2};
static const struct h_setup odd = {
    .workers = 2,
    .backend = &odd_backend_type,
    .mcp = {.route_timeout_ns = UINT64_C(5000000000)},
};

static bool has_routes(struct h *h, uint64_t count)
{
    return h_stats(h).routes_open == count;
}

static bool has_requests(struct h *h, uint64_t count)
{
    return h_stats(h).requests == count;
}

static bool has_active(struct h *h, uint64_t count)
{
    return h_admission(h).active == count;
}

static void test_demo_methods(void **state)
{
    struct h h;
    (void)state;
    h_start(&h, &demo);
    h_send(&h, 1, 1,
           "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"initialize\",\"params\":"
           "{\"protocolVersion\":\"2025-03-26\",\"capabilities\":{},\"clientInfo\":{}}}");
    h_expect(&h, 1, 1,
             "{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":{\"protocolVersion\":\"2025-03-26\","
             "\"capabilities\":{\"tools\":{}},\"serverInfo\":{\"name\":\"troupe-demo\","
             "\"version\":\"0.1.0\"}}}");
    h_send(&h, 2, 2,
           "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":"
           "{\"protocolVersion\":\"1999-01-01\"}}");
    assert_non_null(
        strstr(h_wait(&h, 2, 2, TRP_MCP_RESPONSE), "\"protocolVersion\":\"2025-11-25\""));
    h_send(&h, 1, 3, "{\"jsonrpc\":\"2.0\",\"id\":-5,\"method\":\"ping\"}");
    h_expect(&h, 1, 3, "{\"jsonrpc\":\"2.0\",\"id\":-5,\"result\":{}}");
    h_send(&h, 1, 4, "{\"jsonrpc\":\"2.0\",\"id\":\"l\",\"method\":\"tools/list\"}");
    const char *list = h_wait(&h, 1, 4, TRP_MCP_RESPONSE);
    const char *names[] = {"echo", "sleep", "add", "count", "whoami", "progress", "fail"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char member[32];
        (void)snprintf(member, sizeof(member), "\"name\":\"%s\"", names[i]);
        assert_non_null(strstr(list, member));
    }
    h_send(&h, 1, 5, "{\"jsonrpc\":\"2.0\",\"id\":6,\"method\":\"resources/list\"}");
    h_expect(&h, 1, 5,
             "{\"jsonrpc\":\"2.0\",\"id\":6,\"error\":{\"code\":-32601,\"message\":"
             "\"Method not found\"}}");
    h_stop(&h);
}

static void test_demo_tools(void **state)
{
    struct h h;
    (void)state;
    h_start(&h, &demo);
    h_send(&h, 1, 1, CALL, "1", "echo", "{\"message\":\"a\\u00e9 \\\" \\n \xc3\xa9\"}");
    h_expect(&h, 1, 1, TEXT("1", "a\\u00e9 \\\" \\n \xc3\xa9"));
    h_send(&h, 1, 2, CALL, "2", "add", "{\"a\":0.1,\"b\":0.2}");
    h_expect(&h, 1, 2, TEXT("2", "0.30000000000000004"));
    h_send(&h, 1, 3, CALL, "3", "count", "{}");
    h_send(&h, 1, 4, CALL, "4", "count", "{}");
    h_send(&h, 2, 5, CALL, "5", "count", "{}");
    h_expect(&h, 1, 3, TEXT("3", "{\\\"count\\\":1}"));
    h_expect(&h, 1, 4, TEXT("4", "{\\\"count\\\":2}"));
    h_expect(&h, 2, 5, TEXT("5", "{\\\"count\\\":1}")); /* an instance of its own */
    h_send(&h, 1, 6, CALL, "6", "fail", "{}");
    h_expect(&h, 1, 6, FAILED("6", "failed as asked"));
    h_send(&h, 1, 7, CALL, "7", "no\\\"pe", "{}");
    h_expect(&h, 1, 7, FAILED("7", "MCP error -32602: Tool no\\\"pe not found"));
    h_send(&h, 1, 8, CALL, "8", "sleep", "{\"ms\":25}");
    h_send(&h, 1, 9, CALL, "9", "sleep", "{\"ms\":5}");
    h_expect(&h, 1, 8, TEXT("8", "slept 25"));
    h_expect(&h, 1, 9, TEXT("9", "slept 5"));
    h_send(&h, 1, 10, CALL, "10", "sleep", "{\"ms\":-1}");
    assert_non_null(strstr(h_wait(&h, 1, 10, TRP_MCP_RESPONSE), "\"isError\":true"));
    h_send(&h, 1, 11, CALL, "11", "echo", "[1]");
    assert_non_null(strstr(h_wait(&h, 1, 11, TRP_MCP_RESPONSE), "\"code\":-32602"));
    h_send(&h, 1, 12, CALL, "12", "whoami", "{}");
    h_send(&h, 1, 13, CALL, "13", "whoami", "{}");
    const char *me = strstr(h_wait(&h, 1, 12, TRP_MCP_RESPONSE), "\"text\"");
    assert_non_null(strstr(me, "{\\\"client\\\":\\\"01000000"));
    assert_string_equal(me, strstr(h_wait(&h, 1, 13, TRP_MCP_RESPONSE), "\"text\""));
    h_stop(&h);
}

static void test_ids(void **state)
{
    const char *ids[] = {"0",    "-1",    "9007199254740993",   "18446744073709551615", "\"a\"",
                         "\"\"", "\"1\"", "\"\\u0041\\n\\\"\"", "-9223372036854775808"};
    struct h h;
    (void)state;
    h_start(&h, &demo);
    for (uint32_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        char expected[256];
        h_send(&h, 3, i, "{\"jsonrpc\":\"2.0\",\"id\":%s,\"method\":\"ping\"}", ids[i]);
        (void)snprintf(expected, sizeof(expected), "{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{}}",
                       ids[i]);
        h_expect(&h, 3, i, expected);
    }
    static char huge[TRP_MCP_ID_MAX + 64];
    memset(huge, 'i', TRP_MCP_ID_MAX);
    huge[TRP_MCP_ID_MAX - 2] = '\0';
    h_send(&h, 3, 100, "{\"jsonrpc\":\"2.0\",\"id\":\"%s\",\"method\":\"ping\"}", huge);
    assert_non_null(strstr(h_wait(&h, 3, 100, TRP_MCP_RESPONSE), huge));
    huge[TRP_MCP_ID_MAX - 2] = 'i'; /* one too long: refused */
    huge[TRP_MCP_ID_MAX - 1] = '\0';
    h_send(&h, 3, 101, "{\"jsonrpc\":\"2.0\",\"id\":\"%s\",\"method\":\"ping\"}", huge);
    assert_non_null(strstr(h_wait(&h, 3, 101, TRP_MCP_RESPONSE), "id is too long"));
    assert_int_equal(h_stats(&h).refused_invalid, 1);
    h_stop(&h);
}

static void test_invalid(void **state)
{
    struct h h;
    (void)state;
    h_start(&h, &demo);
    h_send(&h, 1, 1, "not json");
    h_send(&h, 1, 2, "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}]");
    h_send(&h, 1, 3, "{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"ping\"}");
    h_send(&h, 1, 4, "{\"jsonrpc\":\"2.0\",\"id\":4,\"result\":{}}");
    h_send(&h, 1, 5, "{\"jsonrpc\":\"1.0\",\"id\":\"x\",\"method\":\"ping\"}");
    const char *answer = h_wait(&h, 1, 5, TRP_MCP_RESPONSE);
    assert_non_null(strstr(answer, "\"id\":\"x\",\"error\":{\"code\":-32600"));
    for (uint32_t tag = 1; tag < 5; tag++) {
        assert_int_equal(h_count(&h, 1, tag, TRP_MCP_RESPONSE), 0);
    }
    struct trp_mcp_stats stats = h_stats(&h);
    assert_int_equal(stats.dropped_responses, 1);
    assert_int_equal(stats.dropped_invalid, 3);
    assert_int_equal(stats.instances, 0); /* nothing of it needed a backend */
    h_stop(&h);
}

#define PROGRESS_CALL                                                                              \
    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"progress\","   \
    "\"arguments\":{\"steps\":%d,\"ms\":7},\"_meta\":{\"progressToken\":%s}}}"

static void test_progress_does_not_mix(void **state)
{
    struct h h;
    (void)state;
    h_start(&h, &demo);
    for (uint32_t client = 0; client < 6; client++) {
        h_send(&h, client, 10 + client, PROGRESS_CALL, (int)(client + 1),
               client % 2 == 0 ? "1" : "\"t\\u0031\"");
    }
    for (uint32_t client = 0; client < 6; client++) {
        (void)h_wait(&h, client, 10 + client, TRP_MCP_RESPONSE);
        assert_int_equal(h_count(&h, client, 10 + client, TRP_MCP_NOTIFICATION), client + 1);
        const char *text = h_wait(&h, client, 10 + client, TRP_MCP_NOTIFICATION);
        assert_non_null(strstr(text, client % 2 == 0 ? "\"progressToken\":1,"
                                                     : "\"progressToken\":\"t\\u0031\","));
    }
    assert_int_equal(h_stats(&h).progress, 1 + 2 + 3 + 4 + 5 + 6);
    assert_int_equal(h_stats(&h).answered, 6);
    h_stop(&h);
}

static void test_cancel(void **state)
{
    struct h h;
    (void)state;
    h_start(&h, &demo);
    h_send(&h, 1, 1, CALL, "\"A\"", "sleep", "{\"ms\":60000}");
    h_send(&h, 1, 2, CALL, "2", "sleep", "{\"ms\":100}");
    h_until(&h, has_requests, 2);
    /* the same id, spelled otherwise */
    h_send(&h, 1, 3,
           "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":"
           "{\"requestId\":\"\\u0041\"}}");
    h_expect(&h, 1, 2, TEXT("2", "slept 100"));
    assert_int_equal(h_stats(&h).canceled, 1);
    h_until(&h, has_routes, 0); /* after the grace */
    h_pass(&h, 61000);
    assert_int_equal(h_count(&h, 1, 1, TRP_MCP_RESPONSE), 0);
    h_stop(&h);
}

static void test_cancel_before_request(void **state)
{
    struct h h;
    (void)state;
    h_start(&h, &demo);
    h_send(&h, 1, 1,
           "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":"
           "{\"requestId\":7}}");
    h_send(&h, 1, 2, "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"ping\"}");
    h_send(&h, 1, 3, "{\"jsonrpc\":\"2.0\",\"id\":\"7\",\"method\":\"ping\"}");
    h_send(&h, 1, 4, "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"ping\"}"); /* meant once */
    (void)h_wait(&h, 1, 3, TRP_MCP_RESPONSE);
    (void)h_wait(&h, 1, 4, TRP_MCP_RESPONSE);
    assert_int_equal(h_count(&h, 1, 2, TRP_MCP_RESPONSE), 0);
    assert_int_equal(h_stats(&h).canceled_early, 1);
    /* of another client it means nothing, and after 5 s it is forgotten */
    h_send(&h, 1, 5,
           "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":"
           "{\"requestId\":8}}");
    h_send(&h, 3, 6, "{\"jsonrpc\":\"2.0\",\"id\":8,\"method\":\"ping\"}");
    (void)h_wait(&h, 3, 6, TRP_MCP_RESPONSE);
    h_pass(&h, 5100);
    h_send(&h, 1, 7, "{\"jsonrpc\":\"2.0\",\"id\":8,\"method\":\"ping\"}");
    (void)h_wait(&h, 1, 7, TRP_MCP_RESPONSE);
    h_stop(&h);
}

static void test_busy_at_limits(void **state)
{
    struct h h;
    struct h_setup setup = demo;
    (void)state;
    setup.mcp.running_max = 2;
    setup.mcp.waiting_max = 2;
    h_start(&h, &setup);
    for (uint32_t i = 0; i < 5; i++) {
        char id[16];
        (void)snprintf(id, sizeof(id), "%u", i);
        h_send(&h, 1, i, CALL, id, "sleep", "{\"ms\":100}");
    }
    const char *busy = h_wait(&h, 1, 4, TRP_MCP_RESPONSE);
    assert_non_null(strstr(busy, "\"id\":4,\"error\":{\"code\":-32000,\"message\":"
                                 "\"Server busy, please retry\",\"data\":{\"retryAfterMs\":"));
    /* a waiting one can be cancelled: nothing of it reaches the backend */
    h_send(&h, 1, 9,
           "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":"
           "{\"requestId\":3}}");
    for (uint32_t i = 0; i < 3; i++) {
        (void)h_wait(&h, 1, i, TRP_MCP_RESPONSE);
    }
    h_until(&h, has_routes, 0);
    assert_int_equal(h_count(&h, 1, 3, TRP_MCP_RESPONSE), 0);
    struct trp_mcp_stats stats = h_stats(&h);
    assert_int_equal(stats.refused_client, 1);
    assert_int_equal(stats.answered, 3);
    assert_int_equal(stats.canceled, 1);
    h_stop(&h);
}

static void test_no_waiting_at_all(void **state)
{
    struct h h;
    struct h_setup setup = demo;
    (void)state;
    setup.mcp.running_max = 1;
    setup.mcp.waiting_max = UINT32_MAX; /* none; 0 would be the default */
    h_start(&h, &setup);
    h_send(&h, 1, 1, CALL, "1", "sleep", "{\"ms\":100}");
    h_send(&h, 1, 2, CALL, "2", "echo", "{\"message\":\"x\"}");
    assert_non_null(
        strstr(h_wait(&h, 1, 2, TRP_MCP_RESPONSE), "\"id\":2,\"error\":{\"code\":-32000"));
    (void)h_wait(&h, 1, 1, TRP_MCP_RESPONSE);
    h_send(&h, 1, 3, CALL, "3", "echo", "{\"message\":\"x\"}");
    h_expect(&h, 1, 3, TEXT("3", "x"));
    struct trp_mcp_stats stats = h_stats(&h);
    assert_int_equal(stats.refused_client, 1);
    assert_int_equal(stats.answered, 2);
    h_stop(&h);
}

static void test_giving_up_answers_what_is_open(void **state)
{
    struct h h;
    struct h_setup setup = demo;
    (void)state;
    setup.workers = 2;
    setup.mcp.running_max = 2;
    h_start(&h, &setup);
    for (uint32_t client = 1; client <= 4; client++) {
        for (uint32_t tag = 0; tag < 3; tag++) { /* two run, one waits */
            h_send(&h, client, tag, CALL, tag == 0 ? "\"a\"" : "7", "sleep", "{\"ms\":3600000}");
        }
    }
    h_until(&h, has_requests, 12);
    h_give_up(&h);
    for (uint32_t client = 1; client <= 4; client++) {
        for (uint32_t tag = 0; tag < 3; tag++) {
            h_expect(&h, client, tag,
                     tag == 0 ? "{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"error\":{\"code\":-32603,"
                                "\"message\":\"Server is shutting down\"}}"
                              : "{\"jsonrpc\":\"2.0\",\"id\":7,\"error\":{\"code\":-32603,"
                                "\"message\":\"Server is shutting down\"}}");
        }
    }
    h_until(&h, has_routes, 0);
    struct trp_mcp_stats stats = h_stats(&h);
    assert_int_equal(stats.failed, 12);
    assert_int_equal(h_admission(&h).routes, 0);
    h_stop(&h);
}

static void test_busy_in_total(void **state)
{
    struct h h;
    struct h_setup setup = demo;
    (void)state;
    setup.mcp.routes_max = 3;
    h_start(&h, &setup);
    for (uint32_t i = 0; i < 3; i++) {
        h_send(&h, i, i, CALL, "1", "sleep", "{\"ms\":500}");
    }
    h_until(&h, has_requests, 3);
    h_send(&h, 9, 9, CALL, "\"q\"", "echo", "{\"message\":\"x\"}");
    assert_non_null(
        strstr(h_wait(&h, 9, 9, TRP_MCP_RESPONSE), "\"id\":\"q\",\"error\":{\"code\":-32000"));
    for (uint32_t i = 0; i < 3; i++) {
        (void)h_wait(&h, i, i, TRP_MCP_RESPONSE);
    }
    h_send(&h, 9, 10, CALL, "1", "echo", "{\"message\":\"x\"}");
    h_expect(&h, 9, 10, TEXT("1", "x"));
    h_stop(&h);
}

static void test_refused_by_admission(void **state)
{
    struct h h;
    struct h_setup setup = demo;
    (void)state;
    setup.admission.capacity = 1;
    setup.admission.queue_max = UINT32_MAX;
    h_start(&h, &setup);
    h_send(&h, 1, 1, CALL, "1", "sleep", "{\"ms\":1000}");
    h_until(&h, has_requests, 1);
    h_send(&h, 2, 2, CALL, "\"two\"", "echo", "{\"message\":\"x\"}");
    h_send(&h, 2, 3, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}");
    const char *busy = h_wait(&h, 2, 2, TRP_MCP_RESPONSE);
    assert_non_null(strstr(busy, "\"id\":\"two\",\"error\":{\"code\":-32000,\"message\":"
                                 "\"Server busy, please retry\",\"data\":{\"retryAfterMs\":"));
    h_expect(&h, 1, 1, TEXT("1", "slept 1000"));
    assert_int_equal(h_count(&h, 2, 3, TRP_MCP_RESPONSE), 0);
    assert_int_equal(h_stats(&h).dropped_notes, 1);
    assert_int_equal(h_stats(&h).refused_admission, 1);
    /* the first one is idle now and makes room; it comes back to a fresh instance */
    h_send(&h, 2, 4, CALL, "4", "count", "{}");
    h_expect(&h, 2, 4, TEXT("4", "{\\\"count\\\":1}"));
    h_send(&h, 1, 5, CALL, "5", "count", "{}");
    h_expect(&h, 1, 5, TEXT("5", "{\\\"count\\\":1}"));
    assert_int_equal(h_admission(&h).active_peak, 1);
    h_stop(&h);
}

static void test_initialize_replaces(void **state)
{
    struct h h;
    (void)state;
    h_start(&h, &demo);
    h_send(&h, 1, 1, CALL, "1", "count", "{}");
    h_send(&h, 1, 2, CALL, "2", "sleep", "{\"ms\":60000}");
    h_until(&h, has_requests, 2);
    h_send(&h, 1, 3, "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"initialize\",\"params\":{}}");
    h_expect(&h, 1, 2,
             "{\"jsonrpc\":\"2.0\",\"id\":2,\"error\":{\"code\":-32603,\"message\":"
             "\"Backend was replaced by a new initialize\"}}");
    (void)h_wait(&h, 1, 3, TRP_MCP_RESPONSE);
    h_send(&h, 1, 4, CALL, "4", "count", "{}");
    h_expect(&h, 1, 4, TEXT("4", "{\\\"count\\\":1}"));
    assert_int_equal(h_stats(&h).instances, 2);
    assert_int_equal(h_stats(&h).instances_replaced, 1);
    assert_int_equal(h_admission(&h).active, 1);
    h_stop(&h);
}

static void test_timeout(void **state)
{
    struct h h;
    (void)state;
    h_start(&h, &odd);
    h_send(&h, 1, 1, ODD, 1, "mute");
    h_expect(&h, 1, 1,
             "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32603,\"message\":"
             "\"Request timed out\"}}");
    h_send(&h, 1, 2, ODD, 2, "cancels");
    h_expect(&h, 1, 2, "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":1}");
    /* progress keeps a request alive: 15 s in steps of 3 with a limit of 5 */
    h_send(&h, 1, 3,
           "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"odd/tick\",\"params\":{\"_meta\":"
           "{\"progressToken\":0}}}");
    h_expect(&h, 1, 3, "{\"jsonrpc\":\"2.0\",\"id\":3,\"result\":\"ticked\"}");
    assert_int_equal(h_count(&h, 1, 3, TRP_MCP_NOTIFICATION), 4);
    /* without a token the same notifications count for nothing */
    h_send(&h, 1, 4, ODD, 4, "tick");
    assert_non_null(strstr(h_wait(&h, 1, 4, TRP_MCP_RESPONSE), "Request timed out"));
    struct trp_mcp_stats stats = h_stats(&h);
    assert_int_equal(stats.timed_out, 2);
    assert_int_equal(h_admission(&h).routes, 0);
    h_stop(&h);
}

static void test_odd_answers(void **state)
{
    struct h h;
    (void)state;
    h_start(&h, &odd);
    h.too_large = 50000;
    h_send(&h, 1, 1, ODD, 1, "twice");
    h_send(&h, 1, 2, ODD, 2, "stranger");
    h_expect(&h, 1, 1, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}");
    h_expect(&h, 1, 2, "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{}}");
    h_send(&h, 1, 3, ODD, 3, "big");
    h_expect(&h, 1, 3,
             "{\"jsonrpc\":\"2.0\",\"id\":3,\"error\":{\"code\":-32603,\"message\":"
             "\"Response is too large\"}}");
    h_send(&h, 1, 4, ODD, 4, "ask");
    (void)h_wait(&h, 1, 4, TRP_MCP_RESPONSE);
    h_pass(&h, 10);
    h_send(&h, 1, 5, ODD, 5, "asked");
    h_expect(&h, 1, 5,
             "{\"jsonrpc\":\"2.0\",\"id\":5,\"result\":[{\"jsonrpc\":\"2.0\",\"id\":\"s1\","
             "\"error\":{\"code\":-32601,\"message\":\"Method not found\"}},"
             "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{}}]}");
    assert_int_equal(h_count(&h, 1, 1, TRP_MCP_RESPONSE), 1);
    struct trp_mcp_stats stats = h_stats(&h);
    assert_int_equal(stats.late, 2);
    assert_int_equal(stats.progress_unknown, 1);
    assert_int_equal(stats.backend_invalid, 1);
    assert_int_equal(stats.too_large, 1);
    assert_int_equal(stats.server_requests, 2);
    h_stop(&h);
}

static void test_broadcast(void **state)
{
    struct h h;
    (void)state;
    h_start(&h, &odd);
    h_send(&h, 1, 1, ODD, 1, "notify");
    (void)h_wait(&h, 1, 1, TRP_MCP_RESPONSE);
    assert_int_equal(h_count(&h, 1, 1, TRP_MCP_BROADCAST), 0); /* not initialized */
    h_send(&h, 1, 2, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}");
    h_send(&h, 1, 3, ODD, 3, "notify");
    h_send(&h, 2, 4, ODD, 4, "cancels");
    assert_string_equal(h_wait(&h, 1, 3, TRP_MCP_BROADCAST),
                        "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\"}");
    (void)h_wait(&h, 2, 4, TRP_MCP_RESPONSE);
    assert_int_equal(h_stats(&h).broadcasts, 1);
    assert_int_equal(h_stats(&h).broadcasts_held, 1);
    h_stop(&h);
}

/* The backend ends: open requests are answered, the client leaves and is admitted afresh. */
static void test_backend_ends(void **state)
{
    struct h h;
    (void)state;
    h_start(&h, &odd);
    h_send(&h, 1, 1, ODD, 1, "mute");
    h_send(&h, 1, 2, ODD, 2, "down");
    for (uint32_t i = 3; i < 30; i++) {
        h_send(&h, 1, i, ODD, (int)i, "cancels"); /* on the way while it leaves */
    }
    const char *error = "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32603,\"message\":"
                        "\"odd end\",\"data\":{\"retryAfterMs\":1234}}}";
    h_expect(&h, 1, 1, error);
    for (uint32_t i = 2; i < 30; i++) {
        (void)h_wait(&h, 1, i, TRP_MCP_RESPONSE);
        assert_int_equal(h_count(&h, 1, i, TRP_MCP_RESPONSE), 1);
    }
    /* ends without a word, after an answer that must not be lost */
    h_send(&h, 5, 31, ODD, 31, "mute");
    h_send(&h, 5, 32, ODD, 32, "fail");
    h_expect(&h, 5, 32, "{\"jsonrpc\":\"2.0\",\"id\":32,\"result\":{}}");
    h_expect(&h, 5, 31,
             "{\"jsonrpc\":\"2.0\",\"id\":31,\"error\":{\"code\":-32603,\"message\":"
             "\"Backend ended unexpectedly\"}}");
    h_send(&h, 5, 33, ODD, 33, "cancels");
    h_expect(&h, 5, 33, "{\"jsonrpc\":\"2.0\",\"id\":33,\"result\":0}");
    struct troupe_admission_stats admission = h_admission(&h);
    assert_true(admission.released[TROUPE_RELEASE_LEFT] >= 2);
    assert_int_equal(admission.released[TROUPE_RELEASE_DIED], 0);
    assert_int_equal(h_stats(&h).instances_down, admission.released[TROUPE_RELEASE_LEFT]);
    h_stop(&h);
}

static void test_sessions(void **state)
{
    struct h h;
    const char *count =
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"count\"}}";
    (void)state;
    h_start(&h, &demo);
    for (uint32_t i = 0; i < 8; i++) {
        h_send_session(&h, 1, i, 100 + i, count);
        h_expect(&h, 1, i, TEXT("1", "{\\\"count\\\":1}"));
    }
    h_send_session(&h, 1, 8, 108, count);
    assert_non_null(strstr(h_wait(&h, 1, 8, TRP_MCP_RESPONSE), "-32000"));
    h_send_session(&h, 1, 9, 103, count);
    h_expect(&h, 1, 9, TEXT("1", "{\\\"count\\\":2}"));
    assert_int_equal(h_admission(&h).active, 1);
    h_stop(&h);
}

static void test_many_clients(void **state)
{
    struct h h;
    struct h_setup setup = demo;
    (void)state;
    setup.admission.capacity = 10;
    setup.admission.queue_max = 100;
    setup.admission.idle_timeout_ns = UINT64_C(1000000000);
    h_start(&h, &setup);
    for (uint32_t i = 0; i < 200; i++) {
        char id[16];
        (void)snprintf(id, sizeof(id), "%u", i);
        h_send(&h, i, 1, CALL, id, "sleep", "{\"ms\":20}");
    }
    for (uint32_t i = 0; i < 200; i++) {
        char id[32];
        (void)snprintf(id, sizeof(id), "\"id\":%u,", i);
        assert_non_null(strstr(h_wait(&h, i, 1, TRP_MCP_RESPONSE), id));
        assert_int_equal(h_count(&h, i, 1, TRP_MCP_RESPONSE), 1);
    }
    struct trp_mcp_stats stats = h_stats(&h);
    assert_int_equal(stats.answered + stats.refused_admission, 200);
    assert_true(stats.answered >= 110);
    assert_true(h_admission(&h).active_peak <= 10);
    h_until(&h, has_active, 0); /* capacity comes back after the idle timeout */
    h_stop(&h);
}

/* Stopping in the middle of everything leaves nothing behind. */
static void test_stop_busy(void **state)
{
    struct h h;
    (void)state;
    h_start(&h, &demo);
    for (uint32_t i = 0; i < 20; i++) {
        h_send(&h, i, 1, CALL, "1", "sleep", "{\"ms\":60000}");
        h_send(&h, i, 2, PROGRESS_CALL, 100, "5");
    }
    h_until(&h, has_requests, 40);
    h_pass(&h, 50);
    h_stop(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_demo_methods),
        cmocka_unit_test(test_demo_tools),
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_invalid),
        cmocka_unit_test(test_progress_does_not_mix),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_cancel_before_request),
        cmocka_unit_test(test_busy_at_limits),
        cmocka_unit_test(test_no_waiting_at_all),
        cmocka_unit_test(test_giving_up_answers_what_is_open),
        cmocka_unit_test(test_busy_in_total),
        cmocka_unit_test(test_refused_by_admission),
        cmocka_unit_test(test_initialize_replaces),
        cmocka_unit_test(test_timeout),
        cmocka_unit_test(test_odd_answers),
        cmocka_unit_test(test_broadcast),
        cmocka_unit_test(test_backend_ends),
        cmocka_unit_test(test_sessions),
        cmocka_unit_test(test_many_clients),
        cmocka_unit_test(test_stop_busy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
