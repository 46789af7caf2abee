/* Many connections, several workers, slow readers, the embedding interface, the end. */

#include "tests/cmocka.h"

#include "tests/unit/relay/fixture.h"

#include "mailbox/atomic.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#define SUBSCRIBERS 300
#define EVENTS      40

static struct fixture fixture;

static int set_up(void **state)
{
    (void)state;
    fixture_init(&fixture);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fixture_stop(&fixture);
    return 0;
}

static void subscribe(struct ws_client *client, const char *filter)
{
    fixture_send(client, "[\"REQ\",\"s\",%s]", filter);
    fixture_expect(client, "[\"EOSE\",\"s\"]");
}

/* Opens connections until one lives on the worker; the others are closed. */
static void open_on(struct ws_client *client, uint32_t worker)
{
    for (int tries = 0; tries < 64; tries++) {
        uint64_t before[TROUPE_WORKERS_MAX];
        fixture_connections(&fixture, before);
        fixture_open(&fixture, client);
        if (fixture_worker_of_newest(&fixture, before) == worker) {
            return;
        }
        ws_client_drop(client);
    }
    fail_msg("no connection reached worker %u", worker);
}

static void connections_of_different_workers_exchange(void **state)
{
    (void)state;
    struct ws_client clients[2];
    char id[65];
    fixture_start(&fixture, 2);
    open_on(&clients[0], 0);
    open_on(&clients[1], 1);
    char filters[2][100];
    for (int i = 0; i < 2; i++) {
        (void)snprintf(filters[i], sizeof(filters[i]), "{\"#p\":[\"%s\"],\"kinds\":[25910,1]}",
                       fixture.maker.pubkeys[i]);
        subscribe(&clients[i], filters[i]);
    }
    for (int n = 0; n < 50; n++) {
        int from = n % 2;
        char content[16];
        (void)snprintf(content, sizeof(content), "%d", n);
        struct event_spec spec = {.key = (uint32_t)from,
                                  .kind = n < 40 ? 25910 : 1,
                                  .content = content,
                                  .tags = {{"p", fixture.maker.pubkeys[1 - from]}}};
        fixture_event(&fixture, &clients[from], &spec, id);
        fixture_expect(&clients[from], "[\"OK\",\"%s\",true,\"\"]", id);
        fixture_expect_event(&clients[1 - from], "s", content);
    }
    /* what one worker took the other one answers from its own store */
    for (int i = 0; i < 2; i++) {
        fixture_send(&clients[i], "[\"REQ\",\"all\",{}]");
        for (int n = 0; n < 10; n++) {
            fixture_expect(&clients[i], "[\"EVENT\",\"all\",");
        }
        fixture_expect(&clients[i], "[\"EOSE\",\"all\"]");
    }
    assert_int_equal(fixture_stats(&fixture).stored, 10);
    assert_int_equal(fixture_stats(&fixture).delivered, 50);
    ws_client_drop(&clients[0]);
    ws_client_drop(&clients[1]);
}

static void each_subscriber_gets_each_event_once_in_order(void **state)
{
    (void)state;
    static struct ws_client subscribers[SUBSCRIBERS];
    struct ws_client publisher;
    char content[16];
    char id[65];
    struct rlimit files;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
    if (files.rlim_cur < 1024) {
        files.rlim_cur = files.rlim_max < 4096 ? files.rlim_max : 4096;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
    }
    fixture_start(&fixture, 2);
    for (int i = 0; i < SUBSCRIBERS; i++) {
        fixture_open(&fixture, &subscribers[i]);
        /* by key, by kind, and through two filters at once */
        subscribe(&subscribers[i], i % 3 == 0   ? "{\"#p\":[\"k\"],\"kinds\":[25910]}"
                                   : i % 3 == 1 ? "{\"kinds\":[25910]}"
                                                : "{\"#p\":[\"k\"]},{\"kinds\":[25910]}");
    }
    fixture_open(&fixture, &publisher);
    for (int n = 0; n < EVENTS; n++) {
        (void)snprintf(content, sizeof(content), "%d", n);
        struct event_spec spec = {.kind = 25910, .content = content, .tags = {{"p", "k"}}};
        fixture_event(&fixture, &publisher, &spec, id);
    }
    for (int n = 0; n < EVENTS; n++) {
        fixture_expect(&publisher, "[\"OK\",\"");
        assert_non_null(strstr(publisher.text, ",true,\"\"]"));
    }
    for (int i = 0; i < SUBSCRIBERS; i++) {
        for (int n = 0; n < EVENTS; n++) {
            (void)snprintf(content, sizeof(content), "%d", n);
            fixture_expect_event(&subscribers[i], "s", content);
        }
        fixture_send(&subscribers[i], "[\"REQ\",\"end\",{\"limit\":0}]");
        fixture_expect(&subscribers[i], "[\"EOSE\",\"end\"]"); /* and nothing else */
        ws_client_drop(&subscribers[i]);
    }
    ws_client_drop(&publisher);
    assert_int_equal(fixture_stats(&fixture).delivered, SUBSCRIBERS * EVENTS);
    WAIT_UNTIL(&fixture, connections, 0);
}

static void a_slow_reader_is_cut_off_and_others_are_not(void **state)
{
    (void)state;
    struct ws_client slow;
    struct ws_client quick;
    struct ws_client publisher;
    char *content = malloc(20001);
    char id[65];
    assert_non_null(content);
    memset(content, 'x', 20000);
    content[20000] = '\0';
    fixture.config.queue_bytes_max = 200000;
    fixture_start(&fixture, 2);
    assert_true(ws_client_open(&slow, fixture.port, 4096));
    fixture_open(&fixture, &quick);
    fixture_open(&fixture, &publisher);
    subscribe(&slow, "{\"kinds\":[25910]}");
    subscribe(&quick, "{\"kinds\":[25910]}");
    uint64_t sent = 0;
    while (fixture_stats(&fixture).slow == 0) {
        assert_true(sent < 2000);
        content[0] = (char)('a' + sent % 26);
        content[1] = (char)('a' + sent / 26 % 26);
        struct event_spec spec = {.kind = 25910, .content = content};
        fixture_event(&fixture, &publisher, &spec, id);
        fixture_expect(&publisher, "[\"OK\",\"%s\",true,\"\"]", id);
        fixture_expect_event(&quick, "s", content);
        sent++;
    }
    assert_int_equal(fixture_stats(&fixture).slow, 1);
    /* what was queued still comes, whole, and then the reason */
    fixture_expect_close(&slow, 1008);
    ws_client_drop(&slow);
    WAIT_UNTIL(&fixture, connections, 2);
    assert_int_equal(fixture_stats(&fixture).subscriptions, 1);
    struct event_spec spec = {.kind = 25910, .content = "after"};
    fixture_event(&fixture, &publisher, &spec, id);
    fixture_expect(&publisher, "[\"OK\",\"%s\",true,\"\"]", id);
    fixture_expect_event(&quick, "s", "after");
    ws_client_drop(&quick);
    ws_client_drop(&publisher);
    free(content);
}

static void stored_events_beyond_the_queue_come_in_pieces(void **state)
{
    (void)state;
    enum { COUNT = 1500 };
    struct ws_client a;
    struct ws_client b;
    char content[16];
    char id[65];
    fixture.config.queue_events_max = 64;
    fixture.config.queue_bytes_max = 65536;
    fixture.config.limit_max = COUNT;
    fixture_start(&fixture, 1);
    fixture_open(&fixture, &a);
    for (int n = 0; n < COUNT; n++) {
        (void)snprintf(content, sizeof(content), "%d", n);
        struct event_spec spec = {.kind = 1, .created_at = 1000 + (uint64_t)n, .content = content};
        fixture_event(&fixture, &a, &spec, id);
        fixture_expect(&a, "[\"OK\",\"%s\",true,\"\"]", id);
    }
    assert_true(ws_client_open(&b, fixture.port, 4096));
    /* the first finds much, the second looks at everything and finds nothing, a live one passes */
    fixture_send(&b, "[\"REQ\",\"s\",{\"kinds\":[1]}]");
    fixture_send(&b, "[\"REQ\",\"none\",{\"kinds\":[2]}]");
    WAIT_FOR(&fixture, requests, 2);
    struct event_spec live = {.kind = 2, .content = "live"};
    fixture_event(&fixture, &a, &live, id);
    fixture_expect(&a, "[\"OK\",\"%s\",true,\"\"]", id);
    int next = COUNT - 1;
    int ends = 0;
    bool has_live = false;
    while (next >= 0 || ends < 2 || !has_live) {
        assert_int_equal(ws_client_receive(&b), WS_CLIENT_TEXT);
        if (strncmp(b.text, "[\"EOSE\",", 8) == 0) {
            ends++;
        } else if (strncmp(b.text, "[\"EVENT\",\"none\",", 16) == 0) {
            assert_false(has_live);
            assert_non_null(strstr(b.text, "\"content\":\"live\""));
            has_live = true;
        } else {
            (void)snprintf(content, sizeof(content), "\"%d\"", next--);
            assert_memory_equal(b.text, "[\"EVENT\",\"s\",", 13);
            assert_non_null(strstr(b.text, content));
        }
    }
    assert_int_equal(fixture_stats(&fixture).replayed, COUNT);
    assert_int_equal(fixture_stats(&fixture).slow, 0);
    ws_client_drop(&a);
    ws_client_drop(&b);
}

/* --- embedding --- */

static struct {
    uint32_t count;
    bool is_wrong;
} tapped;

static void on_tap(struct troupe_ctx *ctx,
                   void *arg,
                   struct troupe_buf *packet,
                   const struct trp_nostr_event *event)
{
    if (ctx == NULL || arg != &tapped || trp_nostr_packet_event(packet) != event) {
        tapped.is_wrong = true;
    }
    trp_faa_u32(&tapped.count, 1);
}

static void the_tap_sees_what_is_addressed_to_it(void **state)
{
    (void)state;
    struct ws_client a;
    char id[65];
    tapped.count = 0;
    memcpy(fixture.config.tap_pubkey, fixture.maker.keys[2].pubkey, 32);
    fixture.config.tap_cb = on_tap;
    fixture.config.tap_arg = &tapped;
    fixture_start(&fixture, 2);
    fixture_open(&fixture, &a);
    const char *key = fixture.maker.pubkeys[2];
    const struct event_spec specs[] = {
        {.kind = 25910, .content = "1", .tags = {{"p", key}}},
        {.kind = 25910, .content = "2", .tags = {{"p", fixture.maker.pubkeys[1]}}},
        {.kind = 25910, .content = "3"},
        {.kind = 1059, .created_at = 1000, .content = "4", .tags = {{"x", "y"}, {"p", key}}},
        {.kind = 1059, .created_at = 1000, .content = "4", .tags = {{"x", "y"}, {"p", key}}},
        {.kind = 25910, .content = "5", .tags = {{"e", key}}},
    };
    for (size_t i = 0; i < sizeof(specs) / sizeof(specs[0]); i++) {
        fixture_event(&fixture, &a, &specs[i], id);
        fixture_expect(&a, "[\"OK\",\"%s\",true,\"", id);
    }
    struct event_spec bad = {.kind = 25910, .created_at = 1, .tags = {{"p", key}}};
    struct trp_nostr_event *event = event_make(&fixture.maker, &bad);
    event->sig[0] ^= 1;
    char *json = event_json(event);
    fixture_send(&a, "[\"EVENT\",%s]", json);
    fixture_expect(&a, "[\"OK\",\"");
    assert_non_null(strstr(a.text, ",false,"));
    free(json);
    free(event);
    assert_int_equal(trp_load_acquire_u32(&tapped.count), 2);
    assert_false(tapped.is_wrong);
    assert_int_equal(fixture_stats(&fixture).tapped, 2);
    ws_client_drop(&a);
}

static void the_server_publishes_its_own_events(void **state)
{
    (void)state;
    struct ws_client clients[2];
    fixture_start(&fixture, 2);
    for (uint32_t i = 0; i < 2; i++) {
        open_on(&clients[i], i);
        subscribe(&clients[i], "{\"kinds\":[25910,11316]}");
    }
    struct event_spec reply = {.kind = 25910, .content = "reply"};
    struct event_spec announcement = {.kind = 11316, .created_at = 1000, .content = "hello"};
    assert_int_equal(fixture_publish(&fixture, &reply), TROUPE_OK);
    assert_int_equal(fixture_publish(&fixture, &announcement), TROUPE_OK);
    assert_int_equal(fixture_publish(&fixture, &announcement), TROUPE_OK); /* a duplicate */
    for (int i = 0; i < 2; i++) {
        fixture_expect_event(&clients[i], "s", "reply");
        fixture_expect_event(&clients[i], "s", "hello");
        fixture_send(&clients[i], "[\"REQ\",\"t\",{}]");
        fixture_expect_event(&clients[i], "t", "hello");
        fixture_expect(&clients[i], "[\"EOSE\",\"t\"]");
        ws_client_drop(&clients[i]);
    }
    assert_int_equal(fixture_stats(&fixture).published, 2);
    assert_int_equal(fixture_stats(&fixture).duplicates, 1);
}

/* More than the window between two workers takes in one turn. */
#define BURST 6000u

static void a_burst_waits_for_the_other_worker(void **state)
{
    (void)state;
    struct ws_client a;
    char content[16];
    fixture.config.queue_events_max = 2 * BURST;
    fixture_start(&fixture, 2);
    open_on(&a, 1); /* the helper lives on worker 0 */
    subscribe(&a, "{\"kinds\":[25910]}");
    fixture_hold(&fixture);
    assert_int_equal(fixture_publish_many(&fixture, BURST), BURST);
    fixture_let_go(&fixture);
    /* later ones may not overtake what waits */
    for (uint32_t n = 0; n < 50; n++) {
        (void)snprintf(content, sizeof(content), "late %u", n);
        struct event_spec spec = {.kind = 25910, .content = content};
        assert_int_equal(fixture_publish(&fixture, &spec), TROUPE_OK);
    }
    for (uint32_t n = 0; n < BURST; n++) {
        (void)snprintf(content, sizeof(content), "%u", n);
        fixture_expect_event(&a, "s", content);
    }
    for (uint32_t n = 0; n < 50; n++) {
        (void)snprintf(content, sizeof(content), "late %u", n);
        fixture_expect_event(&a, "s", content);
    }
    assert_int_equal(fixture_stats(&fixture).slow, 0);
    ws_client_drop(&a);
}

static void a_burst_beyond_the_outbox_is_refused_whole(void **state)
{
    (void)state;
    struct ws_client clients[2];
    char content[16];
    fixture.config.queue_events_max = 2 * BURST;
    fixture.config.outbox_max = 100;
    fixture_start(&fixture, 2);
    for (uint32_t i = 0; i < 2; i++) {
        open_on(&clients[i], i);
        subscribe(&clients[i], "{\"kinds\":[25910]}");
    }
    fixture_hold(&fixture);
    uint32_t taken = fixture_publish_many(&fixture, BURST);
    fixture_let_go(&fixture);
    assert_in_range(taken, 100, BURST - 1);
    assert_int_equal(fixture_stats(&fixture).busy, 1);
    struct event_spec after = {.kind = 25910, .content = "after"};
    WAIT_FOR(&fixture, delivered, 2 * (uint64_t)taken);
    assert_int_equal(fixture_publish(&fixture, &after), TROUPE_OK);
    for (uint32_t i = 0; i < 2; i++) {
        for (uint32_t n = 0; n < taken; n++) {
            (void)snprintf(content, sizeof(content), "%u", n);
            fixture_expect_event(&clients[i], "s", content);
        }
        fixture_expect_event(&clients[i], "s", "after");
        ws_client_drop(&clients[i]);
    }
}

static void a_full_mailbox_ends_the_connection(void **state)
{
    (void)state;
    struct ws_client a;
    struct ws_client b;
    fixture.config.queue_events_max = 20000;
    fixture_start(&fixture, 1);
    fixture_open(&fixture, &a);
    fixture_open(&fixture, &b);
    subscribe(&a, "{\"kinds\":[25910]}");
    subscribe(&b, "{\"kinds\":[1]}");
    assert_int_equal(fixture_publish_many(&fixture, 9000), 9000); /* its mailbox takes 8192 */
    fixture_expect_close(&a, 1008);
    assert_int_equal(fixture_stats(&fixture).slow, 1);
    struct event_spec spec = {.kind = 1, .content = "others go on"};
    assert_int_equal(fixture_publish(&fixture, &spec), TROUPE_OK);
    fixture_expect_event(&b, "s", "others go on");
    ws_client_drop(&a);
    ws_client_drop(&b);
}

/* --- the end --- */

#define BUSY_CLIENTS 20

/* Clients that talk without listening to the answers. */
static void make_noise(struct ws_client *clients)
{
    char content[32];
    for (int i = 0; i < BUSY_CLIENTS; i++) {
        fixture_open(&fixture, &clients[i]);
        fixture_send(&clients[i], "[\"REQ\",\"s\",{\"kinds\":[25910,1]}]");
    }
    for (int n = 0; n < 10; n++) {
        for (int i = 0; i < BUSY_CLIENTS; i++) {
            (void)snprintf(content, sizeof(content), "%d-%d", i, n);
            struct event_spec spec = {.kind = n % 2 == 0 ? 25910 : 1, .content = content};
            fixture_event(&fixture, &clients[i], &spec, NULL);
        }
    }
}

static void stopping_the_relay_closes_with_1001(void **state)
{
    (void)state;
    static struct ws_client clients[BUSY_CLIENTS];
    fixture_start(&fixture, 2);
    make_noise(clients);
    fixture_stop_relay(&fixture);
    fixture_stop_relay(&fixture);
    for (int i = 0; i < BUSY_CLIENTS; i++) {
        fixture_expect_close(&clients[i], 1001);
    }
    WAIT_UNTIL(&fixture, connections, 0);
    struct ws_client late;
    assert_false(ws_client_open(&late, fixture.port, 0));
    struct event_spec spec = {.kind = 25910, .content = "late"};
    assert_int_equal(fixture_publish(&fixture, &spec), TROUPE_ECLOSED);
    for (int i = 0; i < BUSY_CLIENTS; i++) {
        ws_client_drop(&clients[i]);
    }
}

static struct ws_client left_open[BUSY_CLIENTS];

static void stopping_the_pool_under_load_loses_nothing(void **state)
{
    (void)state;
    fixture_start(&fixture, 2);
    make_noise(left_open);
    WAIT_FOR(&fixture, accepted, BUSY_CLIENTS);
    for (int i = 0; i < BUSY_CLIENTS; i += 2) {
        ws_client_drop(&left_open[i]);
    }
    struct trp_relay_stats stats = fixture_stats(&fixture);
    assert_int_equal(stats.malformed + stats.bad_ids + stats.bad_signatures, 0);
    /* the pool ends with connections open and events under way; tear_down checks */
    troupe_pool_stop(fixture.pool);
    for (int i = 1; i < BUSY_CLIENTS; i += 2) {
        enum ws_client_got got = WS_CLIENT_TEXT;
        while (got == WS_CLIENT_TEXT) {
            got = ws_client_receive(&left_open[i]);
        }
        assert_int_equal(got, WS_CLIENT_ENDED);
        ws_client_drop(&left_open[i]);
    }
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(connections_of_different_workers_exchange),
        CASE(each_subscriber_gets_each_event_once_in_order),
        CASE(a_slow_reader_is_cut_off_and_others_are_not),
        CASE(stored_events_beyond_the_queue_come_in_pieces),
        CASE(the_tap_sees_what_is_addressed_to_it),
        CASE(the_server_publishes_its_own_events),
        CASE(a_burst_waits_for_the_other_worker),
        CASE(a_burst_beyond_the_outbox_is_refused_whole),
        CASE(a_full_mailbox_ends_the_connection),
        CASE(stopping_the_relay_closes_with_1001),
        CASE(stopping_the_pool_under_load_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
