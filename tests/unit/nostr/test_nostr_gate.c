#include "nostr_world.h"

#include "io/codec/json.h"
#include "io/codec/nostr_packet.h"

#include <stdlib.h>
#include <string.h>

struct scene {
    struct world world;
    struct fake_relay relay;
    struct fake_conn conn;
    char sub[17];
    struct world_client alice;
    struct world_client bob;
    uint32_t said; /* markers that were delivered */
};

static struct scene scene;

static void prepare(void)
{
    memset(&scene, 0, sizeof(scene));
    world_init(&scene.world, 1);
    fake_relay_open(&scene.relay, 0);
    scene.world.relays[0] = scene.relay.url;
    world_client_init(&scene.world, &scene.alice, 1);
    world_client_init(&scene.world, &scene.bob, 2);
}

static void start(void)
{
    world_start(&scene.world);
    fake_relay_accept(&scene.relay, &scene.conn);
    (void)fake_conn_expect_req(&scene.conn, scene.sub);
}

static void finish(void)
{
    world_finish(&scene.world);
    fake_conn_cut(&scene.conn);
    fake_relay_close(&scene.relay);
}

static void send_json(const char *json)
{
    fake_conn_send(&scene.conn, "[\"EVENT\",\"%s\",%s]", scene.sub, json);
}

/* One more good event of bob: when it is there, everything sent before was dealt with. */
static void expect_delivered(uint32_t before)
{
    world_say(&scene.world, &scene.conn, scene.sub, &scene.bob, "marker");
    world_wait_delivered(&scene.world, before + 1);
    assert_string_equal(world_last(&scene.world)->text, "marker");
}

/* Changes one hex digit of a member's value. */
static void spoil(char *json, const char *member)
{
    char *at = strstr(json, member);
    assert_non_null(at);
    at += strlen(member) + 3; /* past ":" and quotes */
    at[10] = at[10] == '0' ? '1' : '0';
}

static void a_good_event_is_delivered(void **state)
{
    (void)state;
    prepare();
    start();
    world_say(&scene.world, &scene.conn, scene.sub, &scene.alice, "{\"a\":\"\\u00e9 \\\"q\\\"\"}");
    world_wait_delivered(&scene.world, 1);
    const struct world_delivery *delivery = world_last(&scene.world);
    assert_string_equal(delivery->text, "{\"a\":\"\\u00e9 \\\"q\\\"\"}");
    assert_int_equal(delivery->worker, 1); /* the home, not the connection's worker */
    assert_memory_equal(delivery->reply_to.key.bytes, scene.alice.key.pubkey, 32);
    assert_ptr_equal(delivery->reply_to.frontend, trp_nostr_front_frontend(scene.world.front));
    assert_true(delivery->reply_to.frontend->initialize_replaces);
    assert_memory_equal(trp_nostr_front_pubkey(scene.world.front), scene.world.server.pubkey, 32);
    finish();
}

static void what_is_not_meant_for_us_is_dropped(void **state)
{
    (void)state;
    prepare();
    start();
    struct world_event events[] = {
        {.to = scene.bob.hex}, {.kind = 1}, {.kind = 1059}, {.kind = 21059}, {.date_offset = -3600},
    };
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
        char *json = world_event(&scene.world, &scene.alice, &events[i]);
        send_json(json);
        free(json);
    }
    struct world_event good = {0};
    char *json = world_event(&scene.world, &scene.alice, &good);
    fake_conn_send(&scene.conn, "[\"EVENT\",\"other\",%s]", json);
    free(json);
    expect_delivered(0);
    struct trp_nostr_front_stats stats = world_stats(&scene.world);
    assert_int_equal(stats.wrong_addressee, 1);
    assert_int_equal(stats.wrong_kind, 1);
    assert_int_equal(stats.wraps, 2);
    assert_int_equal(stats.stale, 1);
    assert_int_equal(stats.stray, 1);
    assert_int_equal(stats.verified, 1);
    finish();
}

static void forged_events_are_dropped(void **state)
{
    (void)state;
    prepare();
    start();
    struct world_event plain = {.content = "forged"};
    char *json = world_event(&scene.world, &scene.alice, &plain);
    spoil(json, "\"sig");
    send_json(json);
    free(json);
    json = world_event(&scene.world, &scene.alice, &plain);
    spoil(json, "\"id");
    send_json(json);
    free(json);
    /* alice's event under bob's name: the id is no longer right */
    json = world_event(&scene.world, &scene.alice, &plain);
    memcpy(strstr(json, scene.alice.hex), scene.bob.hex, 64);
    send_json(json);
    free(json);
    expect_delivered(0);
    struct trp_nostr_front_stats stats = world_stats(&scene.world);
    assert_int_equal(stats.bad_signature, 1);
    assert_int_equal(stats.bad_id, 2);
    assert_int_equal(stats.delivered, 1);
    finish();
}

static void a_key_that_is_no_point_is_dropped(void **state)
{
    (void)state;
    prepare();
    start();
    /* an event whose id is right, by a "key" that is on no curve */
    struct world_event plain = {.content = "nobody"};
    struct trp_nostr_event *event = world_sign(&scene.world, &scene.alice, &plain);
    char *preimage = (char *)event + event->preimage.at;
    char *hex = strstr(preimage, scene.alice.hex);
    memset(hex, 'f', 64);
    memset(event->pubkey, 0xff, 32);
    trp_nostr_sha256(event->id, trp_nostr_event_slice(event, event->preimage));
    struct trp_text measure = trp_text_init(NULL, 0);
    trp_nostr_event_write_json(&measure, event);
    char *json = malloc(measure.needed + 1);
    assert_non_null(json);
    struct trp_text text = trp_text_init(json, measure.needed);
    trp_nostr_event_write_json(&text, event);
    json[text.len] = '\0';
    send_json(json);
    expect_delivered(0);
    struct trp_nostr_front_stats stats = world_stats(&scene.world);
    assert_int_equal(stats.bad_id, 0);
    assert_int_equal(stats.bad_key, 1);
    free(json);
    free(event);
    finish();
}

static void malformed_and_oversized_events_are_dropped(void **state)
{
    (void)state;
    prepare();
    start();
    send_json("{\"id\":1}");
    send_json("{}");
    char *big = malloc((64 << 10) + 2);
    assert_non_null(big);
    memset(big, 'x', (64 << 10) + 1);
    big[(64 << 10) + 1] = '\0';
    world_say(&scene.world, &scene.conn, scene.sub, &scene.alice, big);
    big[64 << 10] = '\0'; /* exactly the limit */
    world_say(&scene.world, &scene.conn, scene.sub, &scene.alice, big);
    expect_delivered(1);
    struct trp_nostr_front_stats stats = world_stats(&scene.world);
    assert_int_equal(stats.garbage, 2);
    assert_int_equal(stats.oversized, 1);
    assert_int_equal(scene.world.deliveries[0].text_len, 64 << 10);
    free(big);
    finish();
}

static void a_bad_copy_ahead_does_not_kill_the_good_one(void **state)
{
    (void)state;
    prepare();
    start();
    struct world_event plain = {.content = "wanted"};
    char *good = world_event(&scene.world, &scene.alice, &plain);
    char *bad = strdup(good);
    assert_non_null(bad);
    spoil(bad, "\"sig");
    for (uint32_t i = 0; i < 6; i++) {
        send_json(bad);
    }
    send_json(good);
    send_json(bad);
    send_json(good);
    expect_delivered(1);
    assert_string_equal(scene.world.deliveries[0].text, "wanted");
    struct trp_nostr_front_stats stats = world_stats(&scene.world);
    assert_int_equal(stats.bad_signature, 6);
    assert_int_equal(stats.duplicates, 2); /* once verified, a bad copy costs no verification */
    assert_int_equal(stats.verified, 2);
    free(good);
    free(bad);
    finish();
}

static void two_relays_mean_one_execution(void **state)
{
    (void)state;
    prepare();
    struct fake_relay second;
    struct fake_conn other;
    char other_sub[17];
    fake_relay_open(&second, 0);
    scene.world.relays[1] = second.url;
    scene.world.config.relay_count = 2;
    start();
    fake_relay_accept(&second, &other);
    (void)fake_conn_expect_req(&other, other_sub);
    for (uint32_t i = 0; i < 50; i++) {
        struct world_event plain = {.content = "once"};
        char *json = world_event(&scene.world, &scene.alice, &plain);
        send_json(json);
        fake_conn_send(&other, "[\"EVENT\",\"%s\",%s]", other_sub, json);
        fake_conn_send(&other, "[\"EVENT\",\"%s\",%s]", other_sub, json);
        free(json);
    }
    world_wait_stat(&scene.world, duplicates, 100);
    world_wait_delivered(&scene.world, 50);
    fake_conn_cut(&other);
    fake_relay_close(&second);
    finish();
}

static void an_author_over_the_rate_is_dropped(void **state)
{
    (void)state;
    prepare();
    scene.world.config.limits.key_rate = 1;
    scene.world.config.limits.key_rate_burst = 3;
    start();
    for (uint32_t i = 0; i < 5; i++) {
        world_say(&scene.world, &scene.conn, scene.sub, &scene.alice, "many");
    }
    expect_delivered(3); /* bob has a bucket of his own */
    assert_int_equal(world_stats(&scene.world).rate_key, 2);
    finish();
}

static void all_authors_over_the_rate_are_dropped(void **state)
{
    (void)state;
    prepare();
    scene.world.config.limits.rate = 1;
    scene.world.config.limits.rate_burst = 2;
    start();
    for (uint8_t i = 0; i < 5; i++) {
        struct world_client client;
        world_client_init(&scene.world, &client, (uint8_t)(10 + i));
        world_say(&scene.world, &scene.conn, scene.sub, &client, "many");
    }
    world_wait_stat(&scene.world, rate_global, 3);
    world_wait_delivered(&scene.world, 2);
    finish();
}

/* --- the embedded relay --- */

struct tap {
    const struct trp_nostr_event *event;
    enum troupe_status status;
};

static void tap_script(struct troupe_ctx *ctx, struct world *world, void *arg)
{
    struct tap *tap = arg;
    struct troupe_buf *packet = troupe_buf_new(ctx, (uint32_t)trp_nostr_packet_bound(tap->event));
    if (packet == NULL || !trp_nostr_packet_write(packet, tap->event)) {
        tap->status = TROUPE_ENOMEM;
    } else {
        tap->status = trp_nostr_front_event(ctx, world->front, packet);
    }
    troupe_buf_release(packet);
}

static void embedded_events_skip_the_signature(void **state)
{
    (void)state;
    prepare();
    start();
    struct world_event plain = {.content = "tapped"};
    struct world_event foreign = {.to = scene.bob.hex};
    struct world_event stale = {.date_offset = -7200};
    struct tap tap = {.event = world_sign(&scene.world, &scene.alice, &plain)};
    world_run(&scene.world, 0, tap_script, &tap);
    assert_int_equal(tap.status, TROUPE_OK);
    world_wait_delivered(&scene.world, 1);
    assert_string_equal(world_last(&scene.world)->text, "tapped");
    assert_int_equal(world_last(&scene.world)->worker, 1);
    world_run(&scene.world, 1, tap_script, &tap); /* again: a duplicate */
    assert_int_equal(tap.status, TROUPE_OK);
    free((void *)(uintptr_t)tap.event);
    const struct world_event *others[] = {&foreign, &stale};
    for (size_t i = 0; i < 2; i++) {
        tap.event = world_sign(&scene.world, &scene.alice, others[i]);
        world_run(&scene.world, 0, tap_script, &tap);
        assert_int_equal(tap.status, TROUPE_OK);
        free((void *)(uintptr_t)tap.event);
    }
    expect_delivered(1);
    struct trp_nostr_front_stats stats = world_stats(&scene.world);
    assert_int_equal(stats.duplicates, 1);
    assert_int_equal(stats.wrong_addressee, 1);
    assert_int_equal(stats.stale, 1);
    assert_int_equal(stats.verified, 1); /* the marker's */
    finish();
}

/* --- answers --- */

/* Finds the event in ["EVENT",{...}], checks id, signature and author; the caller frees it. */
static struct trp_nostr_event *read_published(const char *text)
{
    struct trp_json_parser *parser = trp_json_create(trp_json_limits_default());
    struct trp_json_doc doc;
    assert_int_equal(trp_json_read(parser, &doc, text, strlen(text), strlen(text)), TROUPE_OK);
    const struct trp_json_node *node = trp_json_at(&doc, trp_json_root(&doc), 1);
    assert_non_null(node);
    size_t cap = trp_nostr_event_bound(&doc, node);
    struct trp_nostr_event *event = malloc(cap);
    assert_non_null(event);
    struct trp_nostr_event_limits limits = trp_nostr_event_limits_default();
    assert_int_equal(trp_nostr_event_read(event, cap, &doc, node, &limits, NULL), TROUPE_OK);
    assert_true(trp_nostr_event_check_id(event));
    assert_true(trp_nostr_event_check_sig(event, scene.world.crypto));
    assert_memory_equal(event->pubkey, scene.world.server.pubkey, 32);
    assert_int_equal(event->kind, TRP_NOSTR_KIND_MESSAGE);
    trp_json_destroy(parser);
    return event;
}

static void
assert_tag(const struct trp_nostr_event *event, uint32_t tag, const char *name, const char *value)
{
    assert_true(troupe_span_is(trp_nostr_event_element(event, tag, 0), name));
    assert_true(troupe_span_is(trp_nostr_event_element(event, tag, 1), value));
    assert_int_equal(trp_nostr_event_tag_len(event, tag), 2);
}

static struct trp_nostr_event *
answer_and_read(const struct world_delivery *delivery, enum trp_mcp_outbound kind, const char *text)
{
    assert_int_equal(world_answer(&scene.world, delivery, kind, troupe_span_cstr(text)), TROUPE_OK);
    struct trp_nostr_event *event = read_published(fake_conn_expect(&scene.conn, "[\"EVENT\",{"));
    assert_true(troupe_span_is(trp_nostr_event_content(event), text));
    assert_tag(event, 0, "p", scene.alice.hex);
    return event;
}

static void hex_of(char hex[65], const uint8_t bytes[32])
{
    struct trp_text text = trp_text_init(hex, 64);
    trp_text_hex(&text, bytes, 32);
    hex[64] = '\0';
}

static void answers_carry_the_right_tags(void **state)
{
    (void)state;
    prepare();
    scene.world.config.discovery.name = "Tester \"T\"";
    scene.world.config.discovery.website = "https://example.com";
    start();
    struct world_event ahead = {.content = "ask", .date_offset = 500};
    struct trp_nostr_event *request = world_sign(&scene.world, &scene.alice, &ahead);
    char request_hex[65];
    hex_of(request_hex, request->id);
    char json[4096];
    struct trp_text text = trp_text_init(json, sizeof(json) - 1);
    trp_nostr_event_write_json(&text, request);
    json[text.len] = '\0';
    send_json(json);
    world_wait_delivered(&scene.world, 1);
    const struct world_delivery *delivery = world_last(&scene.world);

    struct trp_nostr_event *event = answer_and_read(delivery, TRP_MCP_RESPONSE, "{\"x\":\"é\\n\"}");
    assert_int_equal(event->tag_count, 4); /* discovery rides on the first message */
    assert_tag(event, 1, "e", request_hex);
    assert_tag(event, 2, "name", "Tester \"T\"");
    assert_tag(event, 3, "website", "https://example.com");
    assert_int_equal(event->created_at, request->created_at); /* a client whose clock is ahead */
    free(event);
    event = answer_and_read(delivery, TRP_MCP_NOTIFICATION, "n");
    assert_int_equal(event->tag_count, 2);
    assert_tag(event, 1, "e", request_hex);
    free(event);
    event = answer_and_read(delivery, TRP_MCP_BROADCAST, "b");
    assert_int_equal(event->tag_count, 1);
    free(event);
    free(request);
    finish();
}

static void forget_script(struct troupe_ctx *ctx, struct world *world, void *arg)
{
    trp_nostr_front_forget(ctx, world->front, arg);
}

static void a_forgotten_client_is_told_again(void **state)
{
    (void)state;
    prepare();
    nostr_stub_home = 0; /* where world_answer runs */
    scene.world.config.discovery.name = "Tester";
    start();
    world_say(&scene.world, &scene.conn, scene.sub, &scene.alice, "ask");
    world_wait_delivered(&scene.world, 1);
    const struct world_delivery *delivery = world_last(&scene.world);
    static const uint32_t wanted[] = {3, 2};
    for (size_t i = 0; i < 2; i++) {
        struct trp_nostr_event *event = answer_and_read(delivery, TRP_MCP_RESPONSE, "a");
        assert_int_equal(event->tag_count, wanted[i]);
        free(event);
    }
    struct troupe_key key = delivery->reply_to.key;
    world_run(&scene.world, 0, forget_script, &key);
    expect_delivered(1); /* the gate has handled what came before it */
    struct trp_nostr_event *event =
        answer_and_read(&scene.world.deliveries[0], TRP_MCP_RESPONSE, "b");
    assert_int_equal(event->tag_count, 3);
    free(event);
    finish();
}

static void answers_have_a_size_limit(void **state)
{
    (void)state;
    prepare();
    start();
    world_say(&scene.world, &scene.conn, scene.sub, &scene.alice, "ask");
    world_wait_delivered(&scene.world, 1);
    const struct world_delivery *delivery = world_last(&scene.world);
    size_t max = 64 << 10;
    char *big = malloc(max + 1);
    assert_non_null(big);
    memset(big, '"', max + 1); /* doubles as JSON */
    static const size_t sizes[] = {(64 << 10) + 1, 64 << 10, 33 << 10};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(
            world_answer(&scene.world, delivery, TRP_MCP_RESPONSE, troupe_span(big, sizes[i])),
            TROUPE_ETOOLARGE);
    }
    assert_int_equal(
        world_answer(&scene.world, delivery, TRP_MCP_RESPONSE, troupe_span(big, 31 << 10)),
        TROUPE_OK);
    struct trp_nostr_event *event = read_published(fake_conn_expect(&scene.conn, "[\"EVENT\",{"));
    assert_int_equal(trp_nostr_event_content(event).len, 31 << 10);
    assert_int_equal(world_stats(&scene.world).send_too_large, 3);
    /* text that is not UTF-8 cannot be an event */
    assert_int_equal(world_answer(&scene.world, delivery, TRP_MCP_RESPONSE, troupe_span("\xff", 1)),
                     TROUPE_EINVAL);
    assert_int_equal(world_stats(&scene.world).send_failed, 1);
    free(event);
    free(big);
    finish();
}

static enum troupe_status take_packet(struct troupe_ctx *ctx, void *arg, struct troupe_buf *packet)
{
    (void)ctx;
    struct world *world = arg;
    struct troupe_span json = trp_nostr_packet_json(packet);
    (void)pthread_mutex_lock(&world->lock);
    if (world->refusals > 0) {
        world->refusals--;
        (void)pthread_mutex_unlock(&world->lock);
        return TROUPE_EBUSY;
    }
    world->published++;
    (void)pthread_cond_broadcast(&world->changed);
    size_t len =
        json.len < sizeof(world->published_text) - 1 ? json.len : sizeof(world->published_text) - 1;
    memcpy(world->published_text, json.data, len);
    world->published_text[len] = '\0';
    (void)pthread_mutex_unlock(&world->lock);
    return TROUPE_OK;
}

static void the_embedded_relay_gets_answers_too(void **state)
{
    (void)state;
    prepare();
    scene.world.config.embedded.publish = take_packet;
    scene.world.config.embedded.arg = &scene.world;
    start();
    world_say(&scene.world, &scene.conn, scene.sub, &scene.alice, "ask");
    world_wait_delivered(&scene.world, 1);
    struct trp_nostr_event *event =
        answer_and_read(world_last(&scene.world), TRP_MCP_RESPONSE, "both");
    assert_int_equal(world_get(&scene.world, &scene.world.published), 1);
    assert_non_null(strstr(scene.world.published_text, "\"content\":\"both\""));
    assert_int_equal(world_stats(&scene.world).sent, 1);
    free(event);
    finish();
}

static void a_busy_embedded_relay_is_asked_again(void **state)
{
    (void)state;
    prepare();
    scene.world.config.embedded.publish = take_packet;
    scene.world.config.embedded.arg = &scene.world;
    scene.world.refusals = 5;
    start();
    world_say(&scene.world, &scene.conn, scene.sub, &scene.alice, "ask");
    world_wait_delivered(&scene.world, 1);
    free(answer_and_read(world_last(&scene.world), TRP_MCP_RESPONSE, "first"));
    free(answer_and_read(world_last(&scene.world), TRP_MCP_RESPONSE, "second"));
    world_wait_published(&scene.world, 2);
    assert_non_null(strstr(scene.world.published_text, "\"content\":\"second\""));
    assert_in_range(world_stats(&scene.world).delayed, 1, 2);
    finish();
}

#define TAPPED 5000u

static void tap_many_script(struct troupe_ctx *ctx, struct world *world, void *arg)
{
    struct tap *taps = arg;
    for (uint32_t i = 0; i < TAPPED; i++) {
        tap_script(ctx, world, &taps[i]);
    }
}

static void embedded_events_wait_for_a_full_gate(void **state)
{
    (void)state;
    prepare();
    start();
    struct tap *taps = calloc(TAPPED, sizeof(*taps));
    assert_non_null(taps);
    for (uint32_t i = 0; i < TAPPED; i++) {
        struct world_event plain = {.content = "tapped"};
        taps[i].event = world_sign(&scene.world, &scene.alice, &plain);
    }
    world_block(&scene.world, 1);
    struct world *world = &scene.world;
    world_run(world, 0, tap_many_script, taps);
    assert_in_range(world_stats(world).delayed, TAPPED - 4097, TAPPED);
    world_unblock(world);
    world_wait_delivered(world, TAPPED);
    for (uint32_t i = 0; i < TAPPED; i++) {
        assert_int_equal(taps[i].status, TROUPE_OK);
        free((void *)(uintptr_t)taps[i].event);
    }
    free(taps);
    finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_event_is_delivered),
        cmocka_unit_test(what_is_not_meant_for_us_is_dropped),
        cmocka_unit_test(forged_events_are_dropped),
        cmocka_unit_test(a_key_that_is_no_point_is_dropped),
        cmocka_unit_test(malformed_and_oversized_events_are_dropped),
        cmocka_unit_test(a_bad_copy_ahead_does_not_kill_the_good_one),
        cmocka_unit_test(two_relays_mean_one_execution),
        cmocka_unit_test(an_author_over_the_rate_is_dropped),
        cmocka_unit_test(all_authors_over_the_rate_are_dropped),
        cmocka_unit_test(embedded_events_skip_the_signature),
        cmocka_unit_test(answers_carry_the_right_tags),
        cmocka_unit_test(a_forgotten_client_is_told_again),
        cmocka_unit_test(answers_have_a_size_limit),
        cmocka_unit_test(the_embedded_relay_gets_answers_too),
        cmocka_unit_test(a_busy_embedded_relay_is_asked_again),
        cmocka_unit_test(embedded_events_wait_for_a_full_gate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
