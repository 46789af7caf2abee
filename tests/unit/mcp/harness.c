#include "harness.h"

#include "tests/unit/io/park_watch.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FEED_NS      UINT64_C(1000000)
#define LIMIT_S      20u
#define SIM_LIMIT_NS UINT64_C(1200000000000)

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
    if (feeder->h->sim != NULL) { /* on a real pool they are told, see tell_feeder */
        troupe_timer_start(ctx, &feeder->timer, FEED_NS, FEED_NS, MSG_FEED);
    }
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

/*
 * That something is queued. In the simulation they look by themselves, so that the virtual time
 * never stands still.
 */
static void tell_feeder(struct h *h, uint32_t worker)
{
    if (h->port == NULL) {
        return;
    }
    struct troupe_msg *msg = troupe_port_msg_new(h->port, MSG_FEED, 0);
    assert_non_null(msg);
    enum troupe_status status = troupe_port_send(h->port, h->feeders[worker], &msg);
    assert_true(status == TROUPE_OK || status == TROUPE_EBUSY); /* busy: it was told often */
    troupe_port_msg_free(h->port, msg);
}

static void queue(struct h *h, struct h_input *input)
{
    uint32_t worker = input->client % h->workers;
    pthread_mutex_lock(&h->lock);
    struct h_input **link = &h->inputs[worker];
    while (*link != NULL) {
        link = &(*link)->next;
    }
    *link = input;
    pthread_mutex_unlock(&h->lock);
    tell_feeder(h, worker);
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
    tell_feeder(h, 0);
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
        .driver = setup->is_real ? park_watch_driver() : NULL,
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
        assert_int_equal(troupe_pool_spawn(h->pool, &h->feeders[i], i, &feeder_type, h), TROUPE_OK);
    }
    if (h->sim != NULL) {
        trp_sim_start(h->sim);
        return;
    }
    status = troupe_pool_start(h->pool, error, sizeof(error));
    assert_string_equal(error, "");
    assert_int_equal(status, TROUPE_OK);
    assert_int_equal(troupe_port_open(h->pool, &h->port), TROUPE_OK);
}

void h_stop(struct h *h)
{
    int wait_status = 0;
    if (h->sim != NULL) {
        trp_sim_stop(h->sim);
    } else {
        troupe_port_close(h->port);
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

/* Waits until it is true: step by step in the simulation, else from one park to the next. */
static bool wait_until(struct h *h, bool (*is_true)(void *arg), void *arg)
{
    if (h->sim == NULL) {
        return park_watch_until(is_true, arg, LIMIT_S);
    }
    uint64_t deadline_ns = trp_sim_now(h->sim) + SIM_LIMIT_NS;
    while (!is_true(arg)) {
        if (trp_sim_now(h->sim) > deadline_ns) {
            return false;
        }
        assert_true(trp_sim_step(h->sim));
    }
    return true;
}

struct condition {
    struct h *h;
    bool (*is_true)(struct h *h, uint64_t arg);
    uint64_t arg;
};

static bool holds(void *arg)
{
    const struct condition *condition = arg;
    return condition->is_true(condition->h, condition->arg);
}

void h_until(struct h *h, bool (*is_true)(struct h *h, uint64_t arg), uint64_t arg)
{
    struct condition condition = {h, is_true, arg};
    if (!wait_until(h, holds, &condition)) {
        fail_msg("waited too long");
    }
}

void h_pass(struct h *h, uint64_t ms)
{
    assert_non_null(h->sim);
    uint64_t until_ns = trp_sim_now(h->sim) + ms * 1000000;
    while (trp_sim_now(h->sim) < until_ns) {
        assert_true(trp_sim_step(h->sim));
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

/* What h_wait waits for, and what it found. */
struct expectation {
    struct h *h;
    uint32_t client;
    uint32_t tag;
    enum trp_mcp_outbound kind;
    const struct h_output *output;
};

static bool is_there(void *arg)
{
    struct expectation *it = arg;
    uint32_t count;
    it->output = look(it->h, it->client, it->tag, it->kind, &count);
    return it->output != NULL;
}

const char *h_wait(struct h *h, uint32_t client, uint32_t tag, enum trp_mcp_outbound kind)
{
    struct expectation expectation = {h, client, tag, kind, NULL};
    if (!wait_until(h, is_there, &expectation)) {
        fail_msg("no output for client %u, tag %u", client, tag);
    }
    return expectation.output->text;
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
