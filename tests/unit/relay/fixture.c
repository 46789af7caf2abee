#include "tests/cmocka.h"

#include "tests/unit/io/park_watch.h"
#include "tests/unit/relay/fixture.h"

#include "actors/relay/shard.h"
#include "mailbox/slab.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <troupe/assert.h>

enum { MSG_PUBLISH = 1, MSG_PUBLISH_MANY, MSG_STOP_RELAY, MSG_HOLD };

/* What the helper actor is asked; in the test's memory, which waits until it is done. */
struct job {
    struct fixture *fixture;
    const struct trp_nostr_event *event;
    struct trp_nostr_event *const *events; /* PUBLISH_MANY */
    uint32_t count;
    uint32_t taken;
    enum troupe_status status;
};

static int count_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int count = 0;
    assert_non_null(dir);
    while (readdir(dir) != NULL) {
        count++;
    }
    closedir(dir);
    return count;
}

static enum troupe_status
publish(struct troupe_ctx *ctx, const struct job *job, const struct trp_nostr_event *event)
{
    struct troupe_buf *packet = troupe_buf_new(ctx, (uint32_t)trp_nostr_packet_bound(event));
    TROUPE_ASSERT(packet != NULL);
    bool is_written = trp_nostr_packet_write(packet, event);
    TROUPE_ASSERT(is_written);
    enum troupe_status status = trp_relay_publish(ctx, job->fixture->relay, packet);
    troupe_buf_release(packet);
    return status;
}

static enum troupe_verdict
helper_receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct job *job = *(struct job **)troupe_msg_data(msg);
    (void)state;
    if (msg->type == MSG_PUBLISH) {
        job->status = publish(ctx, job, job->event);
    } else if (msg->type == MSG_PUBLISH_MANY) {
        job->status = TROUPE_OK;
        while (job->taken < job->count && job->status == TROUPE_OK) {
            job->status = publish(ctx, job, job->events[job->taken]);
            job->taken += job->status == TROUPE_OK ? 1 : 0;
        }
    } else if (msg->type == MSG_STOP_RELAY) {
        trp_relay_stop(ctx, job->fixture->relay);
    } else {
        struct fixture *fixture = job->fixture;
        sem_post(&fixture->done); /* the job is gone from here on */
        sem_wait(&fixture->let_go);
        return TROUPE_CONTINUE;
    }
    sem_post(&job->fixture->done);
    return TROUPE_CONTINUE;
}

static const struct troupe_actor_type helper_type = {
    .name = "helper",
    .state_size = 8,
    .receive_cb = helper_receive,
};

static void send_job(struct fixture *fixture, troupe_ref to, struct job *job, uint16_t type)
{
    struct troupe_msg *msg = troupe_port_msg_new(fixture->foreign, type, sizeof(job));
    assert_non_null(msg);
    job->fixture = fixture;
    memcpy(troupe_msg_data(msg), &job, sizeof(job));
    assert_int_equal(troupe_port_send(fixture->foreign, to, &msg), TROUPE_OK);
}

static void run_job_on(struct fixture *fixture, troupe_ref to, struct job *job, uint16_t type)
{
    struct timespec deadline;
    send_job(fixture, to, job, type);
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += WS_CLIENT_WAIT_MS / 1000;
    assert_int_equal(sem_timedwait(&fixture->done, &deadline), 0);
}

void fixture_hold(struct fixture *fixture)
{
    struct job job = {.count = 0};
    run_job_on(fixture, fixture->other, &job, MSG_HOLD);
}

void fixture_let_go(struct fixture *fixture)
{
    sem_post(&fixture->let_go);
}

static void run_job(struct fixture *fixture, struct job *job, uint16_t type)
{
    run_job_on(fixture, fixture->helper, job, type);
}

enum troupe_status fixture_publish(struct fixture *fixture, const struct event_spec *spec)
{
    struct event_spec dated = *spec;
    dated.created_at = spec->created_at != NOW_SECONDS ? spec->created_at : (uint64_t)time(NULL);
    struct trp_nostr_event *event = event_make(&fixture->maker, &dated);
    struct job job = {.event = event};
    run_job(fixture, &job, MSG_PUBLISH);
    free(event);
    return job.status;
}

uint32_t fixture_publish_many(struct fixture *fixture, uint32_t count)
{
    struct trp_nostr_event **events = calloc(count, sizeof(struct trp_nostr_event *));
    char content[16];
    assert_non_null(events);
    for (uint32_t i = 0; i < count; i++) {
        (void)snprintf(content, sizeof(content), "%u", i);
        struct event_spec spec = {
            .kind = 25910, .created_at = (uint64_t)time(NULL), .content = content};
        events[i] = event_make(&fixture->maker, &spec);
    }
    struct job job = {.events = events, .count = count};
    run_job(fixture, &job, MSG_PUBLISH_MANY);
    assert_true(job.status == (job.taken == count ? TROUPE_OK : TROUPE_EBUSY));
    for (uint32_t i = 0; i < count; i++) {
        free(events[i]);
    }
    free(events);
    return job.taken;
}

void fixture_stop_relay(struct fixture *fixture)
{
    struct job job = {.status = TROUPE_OK};
    run_job(fixture, &job, MSG_STOP_RELAY);
}

void fixture_init(struct fixture *fixture)
{
    memset(fixture, 0, sizeof(*fixture));
    fixture->descriptors = count_descriptors();
    sem_init(&fixture->done, 0, 0);
    sem_init(&fixture->let_go, 0, 0);
    event_maker_init(&fixture->maker);
    trp_relay_config_default(&fixture->config);
    fixture->config.address = "127.0.0.1:0";
}

void fixture_start(struct fixture *fixture, uint32_t workers)
{
    char error[400] = "";
    struct troupe_pool_config config = {
        .workers = workers,
        .pin = "none",
        .spin = TROUPE_SPIN_PARK,
        .driver = park_watch_driver(),
    };
    if (troupe_pool_create(&fixture->pool, &config, error, sizeof(error)) != TROUPE_OK ||
        trp_relay_create(&fixture->relay, fixture->pool, &fixture->config, error, sizeof(error)) !=
            TROUPE_OK) {
        fail_msg("%s", error);
    }
    assert_int_equal(troupe_pool_spawn(fixture->pool, &fixture->helper, 0, &helper_type, NULL),
                     TROUPE_OK);
    if (workers > 1) {
        assert_int_equal(troupe_pool_spawn(fixture->pool, &fixture->other, 1, &helper_type, NULL),
                         TROUPE_OK);
    }
    assert_int_equal(troupe_port_open(fixture->pool, &fixture->foreign), TROUPE_OK);
    if (troupe_pool_start(fixture->pool, error, sizeof(error)) != TROUPE_OK) {
        fail_msg("%s", error);
    }
    const char *url = trp_relay_url(fixture->relay);
    assert_memory_equal(url, "ws://127.0.0.1:", 15);
    fixture->port = (uint16_t)strtoul(url + 15, NULL, 10);
    assert_true(fixture->port != 0);
}

void fixture_stop(struct fixture *fixture)
{
    troupe_port_close(fixture->foreign);
    troupe_pool_stop(fixture->pool);
    troupe_pool_join(fixture->pool);
    struct troupe_worker_stats sum = {0};
    for (uint32_t i = 0; i < troupe_pool_workers(fixture->pool); i++) {
        struct troupe_worker_stats stats;
        troupe_pool_stats(fixture->pool, i, &stats);
        sum.accepted += stats.accepted;
        sum.processed += stats.processed;
        sum.reported += stats.reported;
        sum.alive += stats.alive;
    }
    struct trp_relay_stats stats = fixture_stats(fixture);
    assert_int_equal(sum.alive, 0);
    assert_int_equal(sum.accepted, sum.processed + sum.reported);
    assert_int_equal(stats.connections, 0);
    assert_int_equal(stats.subscriptions, 0);
    assert_int_equal(stats.stored, 0);
    assert_int_equal(stats.stored_bytes, 0);
    trp_relay_destroy(fixture->relay);
    troupe_pool_destroy(fixture->pool);
    sem_destroy(&fixture->done);
    sem_destroy(&fixture->let_go);
    event_maker_fini(&fixture->maker);
    assert_int_equal(count_descriptors(), fixture->descriptors);
}

struct trp_relay_stats fixture_stats(const struct fixture *fixture)
{
    struct trp_relay_stats stats;
    trp_relay_stats(fixture->relay, &stats);
    return stats;
}

/* What fixture_wait waits for, and what it found. */
struct counter_goal {
    const struct fixture *fixture;
    size_t counter;
    uint64_t value;
    bool is_exact;
    uint64_t found;
};

static bool is_reached(void *arg)
{
    struct counter_goal *goal = arg;
    struct trp_relay_stats stats = fixture_stats(goal->fixture);
    memcpy(&goal->found, (const char *)&stats + goal->counter, sizeof(goal->found));
    return goal->is_exact ? goal->found == goal->value : goal->found >= goal->value;
}

void fixture_wait(const struct fixture *fixture, size_t counter, uint64_t value, bool is_exact)
{
    struct counter_goal goal = {fixture, counter, value, is_exact, 0};
    if (!park_watch_until(is_reached, &goal, WS_CLIENT_WAIT_MS / 1000)) {
        fail_msg("counter is %llu, wanted %llu", (unsigned long long)goal.found,
                 (unsigned long long)value);
    }
}

void fixture_connections(const struct fixture *fixture, uint64_t *counts)
{
    for (uint32_t i = 0; i < fixture->relay->worker_count; i++) {
        counts[i] = trp_load_relaxed_u64(&fixture->relay->shards[i].stats.connected);
    }
}

uint32_t fixture_worker_of_newest(struct fixture *fixture, const uint64_t *before)
{
    uint64_t counts[TROUPE_WORKERS_MAX];
    uint32_t found = UINT32_MAX;
    fixture_connections(fixture, counts);
    for (uint32_t i = 0; i < fixture->relay->worker_count; i++) {
        if (counts[i] != before[i]) {
            assert_int_equal(counts[i], before[i] + 1);
            assert_int_equal(found, UINT32_MAX);
            found = i;
        }
    }
    assert_true(found != UINT32_MAX);
    return found;
}

void fixture_open(struct fixture *fixture, struct ws_client *client)
{
    assert_true(ws_client_open(client, fixture->port, 0));
}

void fixture_event(struct fixture *fixture,
                   struct ws_client *client,
                   const struct event_spec *spec,
                   char *id)
{
    struct event_spec dated = *spec;
    dated.created_at = spec->created_at != NOW_SECONDS ? spec->created_at : (uint64_t)time(NULL);
    struct trp_nostr_event *event = event_make(&fixture->maker, &dated);
    char *json = event_json(event);
    if (id != NULL) {
        event_id_hex(id, event);
    }
    fixture_send(client, "[\"EVENT\",%s]", json);
    free(json);
    free(event);
}

void fixture_send(struct ws_client *client, const char *format, ...)
{
    char *text;
    va_list args;
    va_start(args, format);
    assert_true(vasprintf(&text, format, args) >= 0);
    va_end(args);
    ws_client_send(client, text);
    free(text);
}

void fixture_expect(struct ws_client *client, const char *format, ...)
{
    char *wanted;
    va_list args;
    va_start(args, format);
    assert_true(vasprintf(&wanted, format, args) >= 0);
    va_end(args);
    enum ws_client_got got = ws_client_receive(client);
    if (got != WS_CLIENT_TEXT) {
        fail_msg("got %d (close code %u), wanted %s", (int)got, client->close_code, wanted);
    }
    if (strncmp(client->text, wanted, strlen(wanted)) != 0) {
        fail_msg("got %.300s\nwanted %s", client->text, wanted);
    }
    free(wanted);
}

void fixture_expect_event(struct ws_client *client, const char *sub, const char *content)
{
    char *part;
    fixture_expect(client, "[\"EVENT\",\"%s\",{", sub);
    assert_true(asprintf(&part, ",\"content\":\"%s\",", content) >= 0);
    if (strstr(client->text, part) == NULL) {
        fail_msg("got %.300s\nwanted %s", client->text, part);
    }
    assert_string_equal(client->text + client->text_len - 2, "}]");
    free(part);
}

void fixture_expect_close(struct ws_client *client, uint16_t code)
{
    enum ws_client_got got = ws_client_receive(client);
    while (got == WS_CLIENT_TEXT) {
        got = ws_client_receive(client);
    }
    assert_int_equal(got, WS_CLIENT_CLOSED);
    assert_int_equal(client->close_code, code);
}
