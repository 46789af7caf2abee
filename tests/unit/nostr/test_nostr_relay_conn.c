#include "nostr_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct scene {
    struct world world;
    struct fake_relay relay;
    struct fake_conn conn;
    char sub[17];
    struct world_client alice;
};

static struct scene scene;

static void prepare(void)
{
    memset(&scene, 0, sizeof(scene));
    world_init(&scene.world, 1);
    fake_relay_open(&scene.relay, 0);
    scene.world.relays[0] = scene.relay.url;
    world_client_init(&scene.world, &scene.alice, 1);
}

static const char *accept_relay(void)
{
    fake_relay_accept(&scene.relay, &scene.conn);
    return fake_conn_expect_req(&scene.conn, scene.sub);
}

static void start(void)
{
    world_start(&scene.world);
    (void)accept_relay();
}

static void finish(void)
{
    world_finish(&scene.world);
    if (scene.conn.text != NULL) {
        fake_conn_cut(&scene.conn);
    }
    if (scene.relay.fd >= 0) {
        fake_relay_close(&scene.relay);
    }
}

static void say(const char *content)
{
    world_say(&scene.world, &scene.conn, scene.sub, &scene.alice, content);
}

/* One more good event: when it is there, everything sent before was dealt with. */
static const struct world_delivery *expect_delivered(uint32_t count)
{
    say("marker");
    world_wait_delivered(&scene.world, count);
    return world_last(&scene.world);
}

static void answer(const char *text)
{
    assert_int_equal(world_answer(&scene.world, &scene.world.deliveries[0], TRP_MCP_RESPONSE,
                                  troupe_span_cstr(text)),
                     TROUPE_OK);
}

/* Reads a published event and copies its id. */
static const char *expect_published(struct fake_conn *conn, const char *content, char id[65])
{
    const char *text = fake_conn_expect(conn, "[\"EVENT\",{");
    char wanted[128];
    (void)snprintf(wanted, sizeof(wanted), "\"content\":\"%s\"", content);
    if (strstr(text, wanted) == NULL) {
        fail_msg("expected %s in %s", wanted, text);
    }
    const char *at = strstr(text, "\"id\":\"");
    assert_non_null(at);
    memcpy(id, at + 6, 64);
    id[64] = '\0';
    return text;
}

static uint64_t since_of(const char *req)
{
    const char *at = strstr(req, "\"since\":");
    assert_non_null(at);
    return strtoull(at + 8, NULL, 10);
}

/* --- subscribing --- */

static void it_subscribes_and_reports_readiness_once(void **state)
{
    (void)state;
    prepare();
    uint64_t before = world_now_s();
    world_start(&scene.world);
    const char *req = accept_relay();
    char wanted[200];
    (void)snprintf(wanted, sizeof(wanted), "\"#p\":[\"%s\"]", scene.world.server_hex);
    assert_non_null(strstr(req, wanted));
    assert_non_null(strstr(req, "\"kinds\":[25910,1059,21059]"));
    assert_in_range(since_of(req), before, world_now_s());
    assert_int_equal(world_get(&scene.world, &scene.world.ready), 0);
    fake_conn_send(&scene.conn, "[\"EOSE\",\"other\"]");
    fake_conn_send(&scene.conn, "[\"EOSE\",\"%s\"]", scene.sub);
    world_wait_ready(&scene.world);
    fake_conn_send(&scene.conn, "[\"EOSE\",\"%s\"]", scene.sub);
    (void)expect_delivered(1);
    assert_int_equal(world_get(&scene.world, &scene.world.ready), 1);
    assert_int_equal(world_stats(&scene.world).relays_connected, 1);
    finish();
}

static void it_comes_back_after_a_cut(void **state)
{
    (void)state;
    prepare();
    scene.world.config.limits.since_margin_s = 2;
    world_start(&scene.world);
    uint64_t first = since_of(accept_relay());
    struct world_event future = {.content = "f", .date_offset = 100000};
    char *json = world_event(&scene.world, &scene.alice, &future);
    fake_conn_send(&scene.conn, "[\"EVENT\",\"%s\",%s]", scene.sub, json);
    free(json);
    world_wait_delivered(&scene.world, 1);
    char old_sub[17];
    memcpy(old_sub, scene.sub, sizeof(old_sub));
    for (uint32_t i = 0; i < 3; i++) {
        fake_conn_cut(&scene.conn);
        uint64_t since = since_of(accept_relay());
        /* never before the start, and a date in the future does not make it deaf */
        assert_in_range(since, first, world_now_s());
        assert_string_not_equal(scene.sub, old_sub);
        (void)expect_delivered(2 + i);
    }
    struct trp_nostr_front_stats stats = world_stats(&scene.world);
    assert_int_equal(stats.connects, 4);
    assert_int_equal(stats.disconnects, 3);
    finish();
}

static void it_keeps_trying_until_the_relay_is_there(void **state)
{
    (void)state;
    prepare();
    uint16_t port = scene.relay.port;
    fake_relay_close(&scene.relay);
    world_start(&scene.world);
    world_wait_stat(&scene.world, connect_failures, 4);
    fake_relay_open(&scene.relay, port);
    (void)accept_relay();
    (void)expect_delivered(1);
    finish();
}

static void it_subscribes_again_when_closed(void **state)
{
    (void)state;
    prepare();
    start();
    for (uint32_t i = 0; i < 4; i++) {
        fake_conn_send(&scene.conn, "[\"CLOSED\",\"%s\",\"error: shutting down\"]", scene.sub);
        (void)fake_conn_expect_req(&scene.conn, scene.sub);
    }
    (void)expect_delivered(1);
    assert_int_equal(world_stats(&scene.world).subscriptions_closed, 4);
    assert_int_equal(world_stats(&scene.world).connects, 1);
    finish();
}

/* --- what relays may say --- */

static void nonsense_is_counted_and_survived(void **state)
{
    (void)state;
    prepare();
    start();
    static const char *const garbage[] = {"",
                                          "hello",
                                          "{",
                                          "{}",
                                          "[]",
                                          "[1]",
                                          "null",
                                          "[\"EVENT\"]",
                                          "[\"EVENT\",\"s\",5]",
                                          "[\"OK\",\"xy\"]",
                                          "[\"EOSE\",7]"};
    uint32_t count = sizeof(garbage) / sizeof(garbage[0]);
    for (uint32_t i = 0; i < count; i++) {
        fake_conn_send_frame(&scene.conn, 1, garbage[i], (uint32_t)strlen(garbage[i]));
    }
    fake_conn_send_frame(&scene.conn, 2, "[\"EOSE\",\"x\"]", 12); /* binary */
    char *deep = malloc(20001);
    assert_non_null(deep);
    memset(deep, '[', 10000);
    memset(deep + 10000, ']', 10000);
    deep[20000] = '\0';
    fake_conn_send(&scene.conn, "%s", deep);
    free(deep);
    fake_conn_send(&scene.conn, "[\"COUNT\",\"s\",{}]");
    for (uint32_t i = 0; i < 3000; i++) {
        fake_conn_send(&scene.conn, "[\"NOTICE\",\"slow down\\n%u\"]", i);
    }
    fake_conn_send(&scene.conn, "[\"AUTH\",\"challenge\"]");
    fake_conn_send(&scene.conn, "[\"OK\",\"%064d\",true,\"\"]", 7); /* never ours */
    fake_conn_send(&scene.conn, "[\"CLOSED\",\"other\",\"\"]");
    (void)expect_delivered(1);
    struct trp_nostr_front_stats stats = world_stats(&scene.world);
    assert_int_equal(stats.garbage, count + 2);
    assert_int_equal(stats.unknown, 1);
    assert_int_equal(stats.notices, 3000);
    assert_int_equal(stats.disconnects, 0);
    finish();
}

static void broken_frames_cost_the_connection_only(void **state)
{
    (void)state;
    prepare();
    start();
    fake_conn_send_frame(&scene.conn, 0x0b, "x", 1); /* an opcode that does not exist */
    fake_conn_expect_end(&scene.conn);
    fake_conn_cut(&scene.conn);
    (void)accept_relay();
    (void)expect_delivered(1);
    finish();
}

/* --- liveness --- */

static void a_probe_that_is_answered_keeps_the_connection(void **state)
{
    (void)state;
    prepare();
    scene.world.config.limits.probe_ns = 20 * WORLD_MS;
    scene.world.config.limits.probe_wait_ns = 10000 * WORLD_MS;
    start();
    char probe[17];
    for (uint32_t i = 0; i < 3; i++) {
        const char *req = fake_conn_expect_req(&scene.conn, probe);
        assert_non_null(strstr(req, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
        assert_non_null(strstr(req, "\"limit\":0"));
        if (i == 1) {
            fake_conn_send(&scene.conn, "[\"CLOSED\",\"%s\",\"blocked: no\"]", probe);
            continue; /* it lives, and there is nothing to close */
        }
        fake_conn_send(&scene.conn, "[\"EOSE\",\"%s\"]", probe);
        char wanted[64];
        (void)snprintf(wanted, sizeof(wanted), "[\"CLOSE\",\"%s\"]", probe);
        (void)fake_conn_expect(&scene.conn, wanted);
    }
    assert_int_equal(world_stats(&scene.world).probes_failed, 0);
    finish();
}

static void a_half_open_connection_is_replaced(void **state)
{
    (void)state;
    prepare();
    scene.world.config.limits.probe_ns = 20 * WORLD_MS;
    scene.world.config.limits.probe_wait_ns = 100 * WORLD_MS;
    start();
    struct fake_conn half_open = scene.conn;
    (void)accept_relay(); /* the old one was never answered */
    assert_true(world_stats(&scene.world).probes_failed >= 1);
    world_wait_stat(&scene.world, disconnects, 1);
    fake_conn_cut(&half_open);
    finish();
}

static void a_relay_that_never_answers_the_handshake_is_left(void **state)
{
    (void)state;
    prepare();
    scene.world.config.limits.handshake_ns = 50 * WORLD_MS;
    world_start(&scene.world);
    struct fake_conn silent;
    fake_relay_accept_silent(&scene.relay, &silent);
    world_wait_stat(&scene.world, connect_failures, 1);
    fake_conn_cut(&silent);
    /* it may have tried again before this; only the last attempt lives */
    struct fake_conn next;
    fake_relay_accept_silent(&scene.relay, &next);
    fake_conn_cut(&next);
    finish();
}

/* --- publishing --- */

static void oks_decide_what_happens_to_an_answer(void **state)
{
    (void)state;
    prepare();
    start();
    (void)expect_delivered(1);
    char id[65];
    static const char *const oks[] = {"true,\"\"", "true,\"duplicate: have it\"",
                                      "false,\"duplicate: have it\"",
                                      "false,\"rate-limited: slow down\"", "false,\"mute: no\""};
    for (size_t i = 0; i < 5; i++) {
        char text[16];
        (void)snprintf(text, sizeof(text), "answer %zu", i);
        answer(text);
        (void)expect_published(&scene.conn, text, id);
        fake_conn_send(&scene.conn, "[\"OK\",\"%s\",%s]", id, oks[i]);
        fake_conn_send(&scene.conn, "[\"OK\",\"%s\",true,\"\"]", id); /* a second one is nothing */
    }
    (void)expect_delivered(2);
    struct trp_nostr_front_stats stats = world_stats(&scene.world);
    assert_int_equal(stats.publish_ok, 1);
    assert_int_equal(stats.publish_duplicate, 2);
    assert_int_equal(stats.publish_refused, 2);
    assert_int_equal(stats.publish_retried, 0);
    assert_int_equal(stats.publish_queued, 5);
    finish();
}

static void a_missing_ok_means_one_more_try(void **state)
{
    (void)state;
    prepare();
    scene.world.config.limits.ok_ns = 40 * WORLD_MS;
    start();
    (void)expect_delivered(1);
    char id[65];
    char again[65];
    answer("lost");
    (void)expect_published(&scene.conn, "lost", id);
    (void)expect_published(&scene.conn, "lost", again);
    assert_string_equal(id, again);
    world_wait_stat(&scene.world, publish_unanswered, 1);
    fake_conn_send(&scene.conn, "[\"OK\",\"%s\",true,\"\"]", id); /* too late */
    (void)expect_delivered(2);
    struct trp_nostr_front_stats stats = world_stats(&scene.world);
    assert_int_equal(stats.publish_retried, 1);
    assert_int_equal(stats.publish_unanswered, 1);
    assert_int_equal(stats.publish_ok, 0);
    finish();
}

static void the_second_try_may_be_answered(void **state)
{
    (void)state;
    prepare();
    scene.world.config.limits.ok_ns = 1500 * WORLD_MS;
    start();
    (void)expect_delivered(1);
    char id[65];
    answer("late");
    (void)expect_published(&scene.conn, "late", id);
    (void)expect_published(&scene.conn, "late", id);
    fake_conn_send(&scene.conn, "[\"OK\",\"%s\",true,\"\"]", id);
    world_wait_stat(&scene.world, publish_ok, 1);
    assert_int_equal(world_stats(&scene.world).publish_unanswered, 0);
    finish();
}

static void answers_survive_a_cut(void **state)
{
    (void)state;
    prepare();
    start();
    (void)expect_delivered(1);
    char id[65];
    answer("one");
    answer("two");
    (void)expect_published(&scene.conn, "one", id);
    (void)expect_published(&scene.conn, "two", id);
    fake_conn_send(&scene.conn, "[\"OK\",\"%s\",true,\"\"]", id); /* two */
    world_wait_stat(&scene.world, publish_ok, 1);
    fake_conn_cut(&scene.conn);
    fake_relay_close(&scene.relay);
    uint16_t port = scene.relay.port;
    world_wait_stat(&scene.world, connect_failures, 1);
    answer("three"); /* while it is away */
    fake_relay_open(&scene.relay, port);
    (void)accept_relay();
    (void)expect_published(&scene.conn, "one", id);
    (void)expect_published(&scene.conn, "three", id);
    finish();
}

static void answers_for_a_relay_that_stays_away_expire(void **state)
{
    (void)state;
    prepare();
    scene.world.config.limits.publish_ns = 1500 * WORLD_MS;
    start();
    (void)expect_delivered(1);
    fake_conn_cut(&scene.conn);
    fake_relay_close(&scene.relay);
    world_wait_stat(&scene.world, disconnects, 1);
    answer("for nobody");
    world_wait_stat(&scene.world, publish_expired, 1);
    /* after that long the relay is no longer tried */
    enum troupe_status status;
    uint32_t tries = 0;
    do {
        status = world_answer(&scene.world, &scene.world.deliveries[0], TRP_MCP_RESPONSE,
                              troupe_span_cstr("nobody"));
    } while (status == TROUPE_OK && ++tries < 1000000);
    assert_int_equal(status, TROUPE_EUNAVAIL);
    assert_int_equal(world_stats(&scene.world).send_nowhere, 1);
    finish();
}

static void a_slow_relay_is_bounded_and_harms_no_other(void **state)
{
    (void)state;
    prepare();
    struct fake_relay slow;
    struct fake_conn slow_conn;
    char slow_sub[17];
    fake_relay_open(&slow, 0);
    scene.world.relays[1] = slow.url;
    scene.world.config.relay_count = 2;
    scene.world.config.limits.publish_max = 100;
    start();
    fake_relay_accept(&slow, &slow_conn);
    (void)fake_conn_expect_req(&slow_conn, slow_sub);
    (void)expect_delivered(1);
    char id[65];
    for (uint32_t i = 0; i < 300; i++) {
        char text[24];
        (void)snprintf(text, sizeof(text), "answer %u", i);
        answer(text);
        (void)expect_published(&scene.conn, text, id);
        fake_conn_send(&scene.conn, "[\"OK\",\"%s\",true,\"\"]", id);
    }
    world_wait_stat(&scene.world, publish_ok, 300);
    world_wait_stat(&scene.world, publish_full, 200);
    assert_int_equal(world_stats(&scene.world).publish_queued, 400);
    (void)expect_published(&slow_conn, "answer 0", id); /* slow, but not lost */
    fake_conn_cut(&slow_conn);
    fake_relay_close(&slow);
    finish();
}

#define BURST      1000u
#define BURST_SIZE 50000u

/* More than the mailbox of the connection takes, within one handler of its own worker. */
static void burst_script(struct troupe_ctx *ctx, struct world *world, void *arg)
{
    const struct trp_mcp_address *to = &world->deliveries[0].reply_to;
    char *text = arg;
    for (uint32_t i = 0; i < BURST; i++) {
        (void)snprintf(text, 8, "%07u", i);
        text[7] = '.';
        if (to->frontend->send(ctx, to->frontend->arg, to, TRP_MCP_RESPONSE,
                               troupe_span(text, BURST_SIZE)) != TROUPE_OK) {
            return;
        }
    }
    text[0] = 'd';
}

static void a_burst_beyond_the_mailbox_is_kept_in_order(void **state)
{
    (void)state;
    prepare();
    scene.world.config.limits.publish_max = 2 * BURST;
    scene.world.config.limits.publish_bytes_max = 256u << 20;
    start();
    (void)expect_delivered(1);
    char *text = malloc(BURST_SIZE);
    assert_non_null(text);
    memset(text, 'z', BURST_SIZE);
    world_run(&scene.world, 0, burst_script, text);
    assert_int_equal(text[0], 'd'); /* all were taken */
    free(text);
    for (uint32_t i = 0; i < BURST; i++) {
        char wanted[32];
        (void)snprintf(wanted, sizeof(wanted), "\"content\":\"%07u.", i);
        assert_non_null(strstr(fake_conn_expect(&scene.conn, "[\"EVENT\",{"), wanted));
    }
    struct trp_nostr_front_stats stats = world_stats(&scene.world);
    assert_in_range(stats.delayed, 1, BURST);
    assert_int_equal(stats.publish_full, 0);
    assert_int_equal(stats.publish_queued, BURST);
    finish();
}

#define FLOOD 5000u

static void *flood(void *arg)
{
    char **events = arg;
    for (uint32_t i = 0; i < FLOOD; i++) {
        fake_conn_send(&scene.conn, "[\"EVENT\",\"%s\",%s]", scene.sub, events[i]);
    }
    return NULL;
}

static void a_full_gate_makes_the_connection_wait(void **state)
{
    (void)state;
    prepare();
    start();
    char **events = calloc(FLOOD, sizeof(*events));
    assert_non_null(events);
    for (uint32_t i = 0; i < FLOOD; i++) {
        struct world_event plain = {.content = "flood"};
        events[i] = world_event(&scene.world, &scene.alice, &plain);
    }
    pthread_t thread;
    world_block(&scene.world, 1); /* the home of alice takes nothing */
    assert_int_equal(pthread_create(&thread, NULL, flood, events), 0);
    world_wait_stat(&scene.world, received, 4097); /* the window to it is full */
    assert_int_equal(world_get(&scene.world, &scene.world.delivered), 0);
    world_unblock(&scene.world);
    assert_int_equal(pthread_join(thread, NULL), 0);
    world_wait_delivered(&scene.world, FLOOD);
    for (uint32_t i = 0; i < FLOOD; i++) {
        free(events[i]);
    }
    free(events);
    finish();
}

static void large_answers_pass(void **state)
{
    (void)state;
    prepare();
    scene.world.config.limits.event_bytes_max = 2u << 20;
    start();
    (void)expect_delivered(1);
    static const size_t sizes[] = {300, 500, 600, 1000, 66000, 1500000};
    char *big = malloc(1500001);
    assert_non_null(big);
    for (size_t i = 0; i < 6; i++) {
        memset(big, 'y', sizes[i]);
        big[sizes[i]] = '\0';
        answer(big);
        const char *text = fake_conn_expect(&scene.conn, "[\"EVENT\",{");
        const char *at = strstr(text, "yyy");
        assert_non_null(at);
        assert_int_equal(strspn(at, "y"), sizes[i]);
        assert_string_equal(text + strlen(text) - 2, "}]");
    }
    free(big);
    finish();
}

/* --- the end --- */

static void draining_closes_the_subscription_and_still_answers(void **state)
{
    (void)state;
    prepare();
    start();
    (void)expect_delivered(1);
    world_drain(&scene.world);
    char wanted[64];
    (void)snprintf(wanted, sizeof(wanted), "[\"CLOSE\",\"%s\"]", scene.sub);
    (void)fake_conn_expect(&scene.conn, wanted);
    say("too late");
    answer("still");
    char id[65];
    (void)expect_published(&scene.conn, "still", id);
    fake_conn_send(&scene.conn, "[\"OK\",\"%s\",true,\"\"]", id);
    world_wait_stat(&scene.world, publish_ok, 1);
    struct trp_nostr_front_stats stats = world_stats(&scene.world);
    assert_int_equal(stats.delivered, 1);
    assert_int_equal(stats.stray, 1);
    /* no new subscription after a cut either */
    fake_conn_cut(&scene.conn);
    fake_relay_accept(&scene.relay, &scene.conn);
    answer("afterwards");
    (void)expect_published(&scene.conn, "afterwards", id);
    finish();
}

static void stopping_flushes_first(void **state)
{
    (void)state;
    prepare();
    start();
    (void)expect_delivered(1);
    answer("last words");
    world_stop(&scene.world, 15000 * WORLD_MS);
    /* the order to stop may overtake the answer on its way to the connection */
    char id[65] = "";
    bool is_closed = false;
    while (!is_closed || id[0] == '\0') {
        const char *text = fake_conn_read(&scene.conn);
        assert_non_null(text);
        if (strncmp(text, "[\"CLOSE\",", 9) == 0) {
            is_closed = true;
        } else {
            const char *at = strstr(text, "\"id\":\"");
            assert_non_null(at);
            assert_non_null(strstr(text, "last words"));
            memcpy(id, at + 6, 64);
        }
    }
    assert_int_equal(world_get(&scene.world, &scene.world.done), 0);
    fake_conn_send(&scene.conn, "[\"OK\",\"%s\",true,\"\"]", id);
    fake_conn_expect_end(&scene.conn);
    fake_conn_cut(&scene.conn);
    world_wait_done(&scene.world);
    assert_int_equal(world_answer(&scene.world, &scene.world.deliveries[0], TRP_MCP_RESPONSE,
                                  troupe_span_cstr("x")),
                     TROUPE_EUNAVAIL);
    finish();
}

static void stopping_has_a_deadline(void **state)
{
    (void)state;
    prepare();
    struct fake_relay second;
    fake_relay_open(&second, 0);
    fake_relay_close(&second); /* nobody is there at all */
    scene.world.relays[1] = second.url;
    scene.world.config.relay_count = 2;
    start();
    (void)expect_delivered(1);
    answer("never confirmed");
    world_stop(&scene.world, 50 * WORLD_MS);
    fake_conn_expect_end(&scene.conn);
    fake_conn_cut(&scene.conn);
    world_wait_done(&scene.world);
    finish();
}

static void stopping_without_relays_is_immediate(void **state)
{
    (void)state;
    prepare();
    scene.world.config.relay_count = 0;
    world_start(&scene.world);
    world_stop(&scene.world, 10000 * WORLD_MS);
    world_wait_done(&scene.world);
    finish();
}

/* --- set-up --- */

static void bad_configurations_are_explained(void **state)
{
    (void)state;
    prepare();
    static const struct {
        const char *relay;
        enum troupe_status status;
        const char *text;
    } rows[] = {
        {"wss://127.0.0.1/", TROUPE_EUNAVAIL, "not available yet"},
        {"http://127.0.0.1/", TROUPE_EINVAL, "a relay is ws://"},
        {"nonsense", TROUPE_EINVAL, "nonsense"},
    };
    struct trp_nostr_front *front = NULL;
    char error[256];
    for (size_t i = 0; i < 3; i++) {
        scene.world.relays[0] = rows[i].relay;
        assert_int_equal(trp_nostr_front_create(&front, scene.world.pool, NULL, &scene.world.config,
                                                error, sizeof(error)),
                         rows[i].status);
        assert_non_null(strstr(error, rows[i].text));
    }
    scene.world.relays[0] = scene.relay.url;
    static const uint8_t zero[32] = {0};
    struct trp_nostr_front_config config = scene.world.config;
    config.secret = zero;
    assert_int_equal(
        trp_nostr_front_create(&front, scene.world.pool, NULL, &config, error, sizeof(error)),
        TROUPE_EINVAL);
    config = scene.world.config;
    config.encryption = TRP_NOSTR_ENCRYPTION_REQUIRED;
    assert_int_equal(
        trp_nostr_front_create(&front, scene.world.pool, NULL, &config, error, sizeof(error)),
        TROUPE_EUNAVAIL);
    config = scene.world.config;
    config.limits.publish_max = 0;
    assert_int_equal(
        trp_nostr_front_create(&front, scene.world.pool, NULL, &config, error, sizeof(error)),
        TROUPE_EINVAL);
    assert_null(front);
    start();
    (void)expect_delivered(1);
    finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_subscribes_and_reports_readiness_once),
        cmocka_unit_test(it_comes_back_after_a_cut),
        cmocka_unit_test(it_keeps_trying_until_the_relay_is_there),
        cmocka_unit_test(it_subscribes_again_when_closed),
        cmocka_unit_test(nonsense_is_counted_and_survived),
        cmocka_unit_test(broken_frames_cost_the_connection_only),
        cmocka_unit_test(a_probe_that_is_answered_keeps_the_connection),
        cmocka_unit_test(a_half_open_connection_is_replaced),
        cmocka_unit_test(a_relay_that_never_answers_the_handshake_is_left),
        cmocka_unit_test(oks_decide_what_happens_to_an_answer),
        cmocka_unit_test(a_missing_ok_means_one_more_try),
        cmocka_unit_test(the_second_try_may_be_answered),
        cmocka_unit_test(answers_survive_a_cut),
        cmocka_unit_test(answers_for_a_relay_that_stays_away_expire),
        cmocka_unit_test(a_slow_relay_is_bounded_and_harms_no_other),
        cmocka_unit_test(a_burst_beyond_the_mailbox_is_kept_in_order),
        cmocka_unit_test(a_full_gate_makes_the_connection_wait),
        cmocka_unit_test(large_answers_pass),
        cmocka_unit_test(draining_closes_the_subscription_and_still_answers),
        cmocka_unit_test(stopping_flushes_first),
        cmocka_unit_test(stopping_has_a_deadline),
        cmocka_unit_test(stopping_without_relays_is_immediate),
        cmocka_unit_test(bad_configurations_are_explained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
