#include "nostr_world.h"

#include "io/codec/nostr_packet.h"
#include "tests/unit/io/park_watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DEADLINE_S 20

enum { MSG_SCRIPT = 1, MSG_DONE = 2 };

struct script_call {
    void (*script)(struct troupe_ctx *ctx, struct world *world, void *arg);
    void *arg;
};

static struct world *the_world;

static void bump(struct world *world, uint32_t *word)
{
    (void)pthread_mutex_lock(&world->lock);
    (*word)++;
    (void)pthread_cond_broadcast(&world->changed);
    (void)pthread_mutex_unlock(&world->lock);
}

static void wait_for(struct world *world, const uint32_t *word, uint32_t value)
{
    struct timespec deadline;
    int error = 0;
    (void)clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += DEADLINE_S;
    (void)pthread_mutex_lock(&world->lock);
    while (*word < value && error == 0) {
        error = pthread_cond_timedwait(&world->changed, &world->lock, &deadline);
    }
    uint32_t found = *word;
    (void)pthread_mutex_unlock(&world->lock);
    assert_int_equal(found, value);
}

uint32_t world_get(struct world *world, const uint32_t *word)
{
    (void)pthread_mutex_lock(&world->lock);
    uint32_t value = *word;
    (void)pthread_mutex_unlock(&world->lock);
    return value;
}

/* --- on the workers --- */

static void record_delivery(struct troupe_ctx *ctx,
                            struct trp_mcp_service *service,
                            const struct trp_mcp_inbound *inbound)
{
    (void)service;
    struct world *world = the_world;
    (void)pthread_mutex_lock(&world->lock);
    if (world->delivered < WORLD_DELIVERIES_MAX) {
        struct world_delivery *delivery = &world->deliveries[world->delivered];
        uint32_t len =
            inbound->text_len < WORLD_TEXT_MAX - 1 ? inbound->text_len : WORLD_TEXT_MAX - 1;
        memcpy(delivery->text, inbound->buf->data + inbound->text_offset, len);
        delivery->text[len] = '\0';
        delivery->text_len = inbound->text_len;
        delivery->worker = troupe_self_worker(ctx);
        delivery->reply_to = inbound->reply_to;
    }
    world->delivered++;
    (void)pthread_cond_broadcast(&world->changed);
    (void)pthread_mutex_unlock(&world->lock);
    troupe_buf_release(inbound->buf);
}

static enum troupe_verdict run_script(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)state;
    if (msg->type == MSG_DONE) {
        bump(the_world, &the_world->done);
        return TROUPE_CONTINUE;
    }
    struct script_call call;
    memcpy(&call, troupe_msg_data(msg), sizeof(call));
    call.script(ctx, the_world, call.arg);
    bump(the_world, &the_world->ran);
    return TROUPE_CONTINUE;
}

static void on_ready(struct troupe_ctx *ctx, void *arg, const char *relay)
{
    (void)ctx;
    (void)relay;
    struct world *world = arg;
    bump(world, &world->ready);
}

/* --- set-up --- */

void world_init(struct world *world, uint32_t relay_count)
{
    static const struct troupe_actor_type agent = {.name = "agent", .receive_cb = run_script};
    struct troupe_pool_config pool = {
        .workers = 2, .pin = "none", .spin = TROUPE_SPIN_PARK, .driver = park_watch_driver()};
    char error[256] = "";
    static uint8_t secret[32] = {[31] = 99};
    memset(world, 0, sizeof(*world));
    the_world = world;
    nostr_stub_deliver = record_delivery;
    nostr_stub_home = 1;
    (void)pthread_mutex_init(&world->lock, NULL);
    (void)pthread_cond_init(&world->changed, NULL);
    world->crypto = trp_nostr_crypto_create();
    assert_non_null(world->crypto);
    assert_int_equal(trp_nostr_key_init(world->crypto, &world->server, secret), TROUPE_OK);
    struct trp_text hex = trp_text_init(world->server_hex, 64);
    trp_text_hex(&hex, world->server.pubkey, 32);
    assert_int_equal(troupe_pool_create(&world->pool, &pool, error, sizeof(error)), TROUPE_OK);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(troupe_pool_spawn(world->pool, &world->agents[i], i, &agent, NULL),
                         TROUPE_OK);
    }
    world->config.secret = secret;
    world->config.relays = world->relays;
    world->config.relay_count = relay_count;
    world->config.ready_cb = on_ready;
    world->config.ready_arg = world;
    struct trp_nostr_front_limits *limits = &world->config.limits;
    trp_nostr_front_limits_default(limits);
    limits->content_bytes_max = 64 << 10;
    limits->event_bytes_max = 64 << 10;
    limits->probe_ns = 0;
    limits->retry_quick_min_ns = 1 * WORLD_MS;
    limits->retry_quick_max_ns = 2 * WORLD_MS;
    limits->retry_base_ns = 5 * WORLD_MS;
    limits->retry_max_ns = 20 * WORLD_MS;
}

void world_start(struct world *world)
{
    char error[256] = "";
    enum troupe_status status = trp_nostr_front_create(&world->front, world->pool, NULL,
                                                       &world->config, error, sizeof(error));
    assert_string_equal(error, "");
    assert_int_equal(status, TROUPE_OK);
    status = troupe_pool_start(world->pool, error, sizeof(error));
    assert_string_equal(error, "");
    assert_int_equal(status, TROUPE_OK);
    assert_int_equal(troupe_port_open(world->pool, &world->port), TROUPE_OK);
}

void world_finish(struct world *world)
{
    uint64_t accepted = 0;
    uint64_t ended = 0;
    troupe_port_close(world->port);
    troupe_pool_stop(world->pool);
    troupe_pool_join(world->pool);
    for (uint32_t i = 0; i < 2; i++) {
        struct troupe_worker_stats stats;
        troupe_pool_stats(world->pool, i, &stats);
        accepted += stats.accepted;
        ended += stats.processed + stats.reported;
        assert_int_equal(stats.alive, 0);
    }
    assert_int_equal(accepted, ended);
    trp_nostr_front_destroy(world->front);
    troupe_pool_destroy(world->pool);
    trp_nostr_crypto_destroy(world->crypto);
    (void)pthread_mutex_destroy(&world->lock);
    (void)pthread_cond_destroy(&world->changed);
}

/* --- clients --- */

void world_client_init(struct world *world, struct world_client *client, uint8_t secret)
{
    uint8_t bytes[32] = {0};
    bytes[31] = secret;
    memset(client, 0, sizeof(*client));
    assert_int_equal(trp_nostr_key_init(world->crypto, &client->key, bytes), TROUPE_OK);
    struct trp_text hex = trp_text_init(client->hex, 64);
    trp_text_hex(&hex, client->key.pubkey, 32);
}

uint64_t world_now_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec;
}

struct trp_nostr_event *
world_sign(struct world *world, const struct world_client *client, const struct world_event *event)
{
    static uint32_t serial;
    char number[16];
    (void)snprintf(number, sizeof(number), "%u", serial++);
    struct troupe_span to[] = {troupe_span_cstr("p"),
                               troupe_span_cstr(event->to != NULL ? event->to : world->server_hex)};
    struct troupe_span nonce[] = {troupe_span_cstr("n"), troupe_span_cstr(number)};
    struct trp_nostr_draft_tag tags[] = {{to, 2}, {nonce, 2}};
    struct trp_nostr_draft draft = {
        .created_at = (uint64_t)((int64_t)world_now_s() + event->date_offset),
        .kind = event->kind != 0 ? event->kind : TRP_NOSTR_KIND_MESSAGE,
        .tags = tags,
        .tag_count = 2,
        .content = troupe_span_cstr(event->content != NULL ? event->content : "x"),
    };
    size_t cap = trp_nostr_draft_bound(&draft);
    struct trp_nostr_event *made = malloc(cap);
    assert_non_null(made);
    assert_int_equal(trp_nostr_event_sign(world->crypto, made, cap, &client->key, &draft, NULL),
                     TROUPE_OK);
    return made;
}

char *
world_event(struct world *world, const struct world_client *client, const struct world_event *event)
{
    struct trp_nostr_event *made = world_sign(world, client, event);
    struct trp_text measure = trp_text_init(NULL, 0);
    trp_nostr_event_write_json(&measure, made);
    char *json = malloc(measure.needed + 1);
    assert_non_null(json);
    struct trp_text text = trp_text_init(json, measure.needed);
    trp_nostr_event_write_json(&text, made);
    json[text.len] = '\0';
    free(made);
    return json;
}

void world_say(struct world *world,
               struct fake_conn *conn,
               const char *sub,
               const struct world_client *client,
               const char *content)
{
    struct world_event event = {.content = content};
    char *json = world_event(world, client, &event);
    fake_conn_send(conn, "[\"EVENT\",\"%s\",%s]", sub, json);
    free(json);
}

/* --- waiting --- */

static void post_script(struct world *world, uint32_t worker, const struct script_call *call)
{
    struct troupe_msg *msg = troupe_port_msg_new(world->port, MSG_SCRIPT, sizeof(*call));
    assert_non_null(msg);
    memcpy(troupe_msg_data(msg), call, sizeof(*call));
    assert_int_equal(troupe_port_send(world->port, world->agents[worker], &msg), TROUPE_OK);
}

void world_run(struct world *world,
               uint32_t worker,
               void (*script)(struct troupe_ctx *ctx, struct world *world, void *arg),
               void *arg)
{
    struct script_call call = {script, arg};
    uint32_t before = world_get(world, &world->ran);
    post_script(world, worker, &call);
    wait_for(world, &world->ran, before + 1);
}

static void block_script(struct troupe_ctx *ctx, struct world *world, void *arg)
{
    (void)ctx;
    (void)arg;
    (void)pthread_mutex_lock(&world->lock);
    world->blocked++;
    (void)pthread_cond_broadcast(&world->changed);
    while (world->unblocked < world->blocked) {
        (void)pthread_cond_wait(&world->changed, &world->lock);
    }
    (void)pthread_mutex_unlock(&world->lock);
}

void world_block(struct world *world, uint32_t worker)
{
    struct script_call call = {block_script, NULL};
    post_script(world, worker, &call);
    wait_for(world, &world->blocked, 1);
}

void world_unblock(struct world *world)
{
    bump(world, &world->unblocked);
}

void world_wait_delivered(struct world *world, uint32_t count)
{
    wait_for(world, &world->delivered, count);
}

const struct world_delivery *world_last(struct world *world)
{
    uint32_t count = world_get(world, &world->delivered);
    assert_in_range(count, 1, WORLD_DELIVERIES_MAX);
    return &world->deliveries[count - 1];
}

void world_wait_done(struct world *world)
{
    wait_for(world, &world->done, 1);
}

void world_wait_ready(struct world *world)
{
    wait_for(world, &world->ready, 1);
}

void world_wait_published(struct world *world, uint32_t count)
{
    wait_for(world, &world->published, count);
}

struct trp_nostr_front_stats world_stats(struct world *world)
{
    struct trp_nostr_front_stats stats;
    trp_nostr_front_stats(world->front, &stats);
    return stats;
}

/* What world_wait_counter waits for, and what it found. */
struct counter_goal {
    struct world *world;
    size_t offset;
    uint64_t value;
    uint64_t found;
};

static bool is_reached(void *arg)
{
    struct counter_goal *goal = arg;
    struct trp_nostr_front_stats stats = world_stats(goal->world);
    memcpy(&goal->found, (const char *)&stats + goal->offset, sizeof(goal->found));
    return goal->found >= goal->value;
}

void world_wait_counter(struct world *world, size_t offset, uint64_t value)
{
    struct counter_goal goal = {.world = world, .offset = offset, .value = value};
    (void)park_watch_until(is_reached, &goal, DEADLINE_S);
    assert_in_range(goal.found, value, UINT64_MAX);
}

/* --- ending --- */

static void drain_script(struct troupe_ctx *ctx, struct world *world, void *arg)
{
    (void)arg;
    trp_nostr_front_drain(ctx, world->front);
}

void world_drain(struct world *world)
{
    world_run(world, 0, drain_script, NULL);
}

static void stop_script(struct troupe_ctx *ctx, struct world *world, void *arg)
{
    trp_nostr_front_stop(ctx, world->front, *(uint64_t *)arg, world->agents[0], MSG_DONE);
}

void world_stop(struct world *world, uint64_t flush_ns)
{
    world_run(world, 1, stop_script, &flush_ns);
}

/* --- answers --- */

struct answer_call {
    const struct world_delivery *delivery;
    enum trp_mcp_outbound kind;
    struct troupe_span text;
    enum troupe_status status;
};

static void answer_script(struct troupe_ctx *ctx, struct world *world, void *arg)
{
    (void)world;
    struct answer_call *call = arg;
    const struct trp_mcp_address *to = &call->delivery->reply_to;
    call->status = to->frontend->send(ctx, to->frontend->arg, to, call->kind, call->text);
}

enum troupe_status world_answer(struct world *world,
                                const struct world_delivery *delivery,
                                enum trp_mcp_outbound kind,
                                struct troupe_span text)
{
    struct answer_call call = {delivery, kind, text, TROUPE_EINVAL};
    world_run(world, 0, answer_script, &call);
    return call.status;
}
