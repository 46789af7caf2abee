#include "harness.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <troupe/io.h>

#define FEED_NS  UINT64_C(1000000)
#define LIMIT_NS UINT64_C(20000000000)

enum { MSG_FEED = 0x700 };

/* --- the front end --- */

static enum troupe_status keep(struct troupe_ctx *ctx,
                               void *arg,
                               const struct trp_mcp_address *to,
                               enum trp_mcp_outbound kind,
                               struct troupe_span text)
{
    struct h *h = arg;
    (void)ctx;
    if (h->too_large != 0 && text.len >= h->too_large) {
        return TROUPE_ETOOLARGE;
    }
    struct h_output *output = malloc(sizeof(*output) + text.len + 1);
    if (output == NULL) {
        abort();
    }
    memcpy(&output->tag, to->cookie, sizeof(output->tag));
    memcpy(&output->client, to->key.bytes, sizeof(output->client));
    output->kind = kind;
    memcpy(output->text, text.data, text.len);
    output->text[text.len] = '\0';
    pthread_mutex_lock(&h->lock);
    output->next = h->outputs;
    h->outputs = output;
    h->output_count++;
    pthread_mutex_unlock(&h->lock);
    return TROUPE_OK;
}

static void released(struct troupe_ctx *ctx,
                     void *user,
                     const struct troupe_key *key,
                     enum troupe_release_reason reason)
{
    (void)ctx;
    (void)user;
    (void)key;
    (void)reason;
}

/* --- feeders --- */

struct feeder {
    struct h *h;
    struct troupe_timer timer;
};

static enum troupe_status feeder_init(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct feeder *feeder = state;
    feeder->h = (struct h *)(uintptr_t)arg;
    troupe_timer_start(ctx, &feeder->timer, FEED_NS, FEED_NS, MSG_FEED);
    return TROUPE_OK;
}

static void deliver(struct troupe_ctx *ctx, struct h *h, const struct h_input *input)
{
    size_t len = strlen(input->text);
    struct trp_mcp_inbound inbound = {
        .buf = troupe_buf_new(ctx, (uint32_t)len),
        .text_len = (uint32_t)len,
        .session = input->session,
        .reply_to = {.frontend = &h->frontend},
    };
    if (inbound.buf == NULL) {
        abort();
    }
    memcpy(inbound.buf->data, input->text, len);
    inbound.buf->size = (uint32_t)len;
    memcpy(inbound.reply_to.key.bytes, &input->client, sizeof(input->client));
    memcpy(inbound.reply_to.cookie, &input->tag, sizeof(input->tag));
    trp_mcp_deliver(ctx, h->service, &inbound);
}

static enum troupe_verdict
feeder_receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct feeder *feeder = state;
    struct h *h = feeder->h;
    (void)msg;
    uint32_t index = troupe_self_worker(ctx);
    pthread_mutex_lock(&h->lock);
    struct h_input *input = h->inputs[index];
    h->inputs[index] = NULL;
    bool is_giving_up = h->is_giving_up;
    h->is_giving_up = false;
    pthread_mutex_unlock(&h->lock);
    while (input != NULL) {
        struct h_input *next = input->next;
        deliver(ctx, h, input);
        free(input);
        input = next;
    }
    if (is_giving_up) {
        trp_mcp_service_give_up(ctx, h->service);
    }
    return TROUPE_CONTINUE;
}

static const struct troupe_actor_type feeder_type = {
    .name = "feeder",
    .state_size = sizeof(struct feeder),
    .init_cb = feeder_init,
    .receive_cb = feeder_receive,
};

static void queue(struct h *h, struct h_input *input)
{
    pthread_mutex_lock(&h->lock);
    struct h_input **link = &h->inputs[input->client % h->workers];
    while (*link != NULL) {
        link = &(*link)->next;
    }
    *link = input;
    pthread_mutex_unlock(&h->lock);
}

void h_send_session(struct h *h, uint32_t client, uint32_t tag, uint64_t session, const char *text)
{
    size_t len = strlen(text);
    struct h_input *input = malloc(sizeof(*input) + len + 1);
    assert_non_null(input);
    *input = (struct h_input){.client = client, .tag = tag, .session = session};
    memcpy(input->text, text, len + 1);
    queue(h, input);
}

void h_send(struct h *h, uint32_t client, uint32_t tag, const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int len = vasprintf(&text, format, args);
    va_end(args);
    assert_true(len >= 0);
    h_send_session(h, client, tag, 0, text);
    free(text);
}

void h_give_up(struct h *h)
{
    pthread_mutex_lock(&h->lock);
    h->is_giving_up = true;
    pthread_mutex_unlock(&h->lock);
}

/* --- start and stop --- */

static uint32_t count_fds(void)
{
    uint32_t count = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir) != NULL) {
        count++;
    }
    closedir(dir);
    return count;
}

void h_start(struct h *h, const struct h_setup *setup)
{
    char error[256] = "";
    const char *problem = "";
    struct troupe_pool_config config = {
        .workers = setup->workers != 0 ? setup->workers : 1,
        .pin = "none",
        .spin = TROUPE_SPIN_PARK,
        .seed = 7,
        .driver = setup->is_real ? troupe_ring_driver() : NULL,
    };
    memset(h, 0, sizeof(*h));
    pthread_mutex_init(&h->lock, NULL);
    h->fd_count = count_fds();
    h->workers = config.workers;
    h->frontend = (struct trp_mcp_frontend){
        .name = "test", .arg = h, .send = keep, .initialize_replaces = true};
    if (setup->is_real) {
        assert_int_equal(trp_spawner_start(&h->spawner, 256), TROUPE_OK);
        assert_int_equal(troupe_pool_create(&h->pool, &config, error, sizeof(error)), TROUPE_OK);
    } else {
        h->sim = trp_sim_create(11, &config, NULL);
        assert_non_null(h->sim);
        h->pool = trp_sim_pool(h->sim);
    }
    struct troupe_admission_config admission = setup->admission;
    admission.released_cb = released;
    enum troupe_status status =
        trp_mcp_service_create(&h->service, h->pool, &setup->mcp, &admission,
                               setup->is_real ? &h->spawner : NULL, &problem);
    if (status != TROUPE_OK) {
        fail_msg("service: %s", problem);
    }
    if (setup->backend != NULL) {
        h->service->backend.type = setup->backend;
    }
    for (uint32_t i = 0; i < h->workers; i++) {
        troupe_ref ref;
        assert_int_equal(troupe_pool_spawn(h->pool, &ref, i, &feeder_type, h), TROUPE_OK);
    }
    if (h->sim != NULL) {
        trp_sim_start(h->sim);
        return;
    }
    status = troupe_pool_start(h->pool, error, sizeof(error));
    assert_string_equal(error, "");
    assert_int_equal(status, TROUPE_OK);
}

void h_stop(struct h *h)
{
    int wait_status = 0;
    if (h->sim != NULL) {
        trp_sim_stop(h->sim);
    } else {
        troupe_pool_stop(h->pool);
        troupe_pool_join(h->pool);
    }
    struct trp_mcp_stats stats;
    trp_mcp_service_stats(h->service, &stats);
    assert_int_equal(stats.routes_open, 0);
    assert_int_equal(stats.requests, stats.answered + stats.too_large + stats.timed_out +
                                         stats.failed + stats.busy_late + stats.canceled +
                                         stats.abandoned);
    trp_mcp_service_destroy(h->service);
    if (h->sim != NULL) {
        trp_sim_destroy(h->sim);
    } else {
        troupe_pool_destroy(h->pool);
        trp_spawner_close(&h->spawner);
        assert_int_equal(trp_spawner_wait(&h->spawner, &wait_status, 10000), TROUPE_OK);
    }
    assert_int_equal(count_fds(), h->fd_count);
    while (h->outputs != NULL) {
        struct h_output *next = h->outputs->next;
        free(h->outputs);
        h->outputs = next;
    }
    for (uint32_t i = 0; i < H_FEEDERS_MAX; i++) {
        assert_null(h->inputs[i]);
    }
    pthread_mutex_destroy(&h->lock);
}

/* --- waiting --- */

static uint64_t now_of(struct h *h)
{
    struct timespec now;
    if (h->sim != NULL) {
        return trp_sim_now(h->sim);
    }
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* A little time for the others. */
static void give_way(struct h *h)
{
    const struct timespec moment = {.tv_nsec = 1000000};
    if (h->sim != NULL) {
        assert_true(trp_sim_step(h->sim));
    } else {
        nanosleep(&moment, NULL);
    }
}

void h_until(struct h *h, bool (*is_true)(struct h *h, uint64_t arg), uint64_t arg)
{
    uint64_t deadline_ns = now_of(h) + LIMIT_NS * (h->sim != NULL ? 60 : 1);
    while (!is_true(h, arg)) {
        if (now_of(h) > deadline_ns) {
            fail_msg("waited too long");
        }
        give_way(h);
    }
}

void h_pass(struct h *h, uint64_t ms)
{
    assert_non_null(h->sim);
    uint64_t until_ns = now_of(h) + ms * 1000000;
    while (now_of(h) < until_ns) {
        give_way(h);
    }
}

static const struct h_output *
look(struct h *h, uint32_t client, uint32_t tag, enum trp_mcp_outbound kind, uint32_t *count)
{
    const struct h_output *found = NULL;
    *count = 0;
    pthread_mutex_lock(&h->lock);
    for (const struct h_output *it = h->outputs; it != NULL; it = it->next) {
        if (it->client == client && it->tag == tag && it->kind == kind) {
            found = it;
            (*count)++;
        }
    }
    pthread_mutex_unlock(&h->lock);
    return found;
}

uint32_t h_count(struct h *h, uint32_t client, uint32_t tag, enum trp_mcp_outbound kind)
{
    uint32_t count;
    (void)look(h, client, tag, kind, &count);
    return count;
}

const char *h_wait(struct h *h, uint32_t client, uint32_t tag, enum trp_mcp_outbound kind)
{
    uint64_t deadline_ns = now_of(h) + LIMIT_NS * (h->sim != NULL ? 60 : 1);
    for (;;) {
        uint32_t count;
        const struct h_output *output = look(h, client, tag, kind, &count);
        if (output != NULL) {
            return output->text;
        }
        if (now_of(h) > deadline_ns) {
            fail_msg("no output for client %u, tag %u", client, tag);
        }
        give_way(h);
    }
}

void h_expect(struct h *h, uint32_t client, uint32_t tag, const char *text)
{
    assert_string_equal(h_wait(h, client, tag, TRP_MCP_RESPONSE), text);
}

struct trp_mcp_stats h_stats(struct h *h)
{
    struct trp_mcp_stats stats;
    trp_mcp_service_stats(h->service, &stats);
    return stats;
}

struct troupe_admission_stats h_admission(struct h *h)
{
    struct troupe_admission_stats stats;
    troupe_admission_stats(h->service->admission, &stats);
    return stats;
}
