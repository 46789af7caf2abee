#include "tests/unit/admission/scenario.h"

#include "pool/random.h"
#include "pool/sim.h"
#include "tests/cmocka.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <troupe/assert.h>

enum { MSG_JOB = 1, MSG_GO, MSG_TICK, MSG_POKE, MSG_POKE_LEAVE, MSG_TIMER, MSG_DRAINED };

#define TICK_NS         1000000u
#define SCRIPT_JOBS_MAX 32768u /* deliveries of one script */

static void add(uint32_t *counter)
{
    trp_faa_u32(counter, 1);
}

struct troupe_key world_key(uint32_t index)
{
    struct troupe_key key = {{0}};
    memcpy(key.bytes, &index, sizeof(index));
    key.bytes[31] = 0xA5;
    return key;
}

static uint32_t index_of(const struct troupe_key *key)
{
    uint32_t index;
    memcpy(&index, key->bytes, sizeof(index));
    TROUPE_ASSERT(index < WORLD_KEYS_MAX);
    return index;
}

static void end_job(struct world *world, const struct job *job)
{
    TROUPE_ASSERT(job->id < world->jobs_max);
    add(&world->ended[job->id]);
    add(&world->ended_total);
}

/* --- the client's actor --- */

struct client_state {
    struct world *world;
    struct troupe_client *client;
    struct key_seen *seen;
    uint32_t key;
    uint32_t routes;
    uint32_t kept;
    bool is_leaving;
    bool is_failing;
    struct troupe_timer timer;
};

static enum troupe_status start_client(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct client_state *me = state;
    const struct troupe_client_arg *from = arg;
    struct world *world = from->user;
    if (world->config.fail_init) {
        return TROUPE_ENOMEM;
    }
    me->world = world;
    me->client = from->client;
    me->key = index_of(&from->key);
    me->seen = &world->keys[me->key];
    TROUPE_ASSERT(memcmp(troupe_client_key(me->client), &from->key, sizeof(from->key)) == 0);
    uint32_t alive = trp_faa_u32(&me->seen->alive, 1);
    TROUPE_ASSERT(alive == 0); /* at most one actor for a client */
    add(&me->seen->started);
    uint32_t slot = trp_faa_u32(&world->starts, 1);
    if (slot < sizeof(world->start_log) / sizeof(world->start_log[0])) {
        world->start_log[slot] = me->key;
    }
    uint32_t home = troupe_admission_home(world->admission, &from->key);
    if (world->config.admission.placement == TROUPE_PLACE_KEY_HASH &&
        home != troupe_self_worker(ctx)) {
        add(&world->home_wrong);
    }
    trp_store_relaxed_u32(&me->seen->home, troupe_self_worker(ctx));
    trp_store_relaxed_u64(&me->seen->actor, troupe_self(ctx));
    uint32_t total = trp_faa_u32(&world->alive, 1) + 1;
    uint32_t peak = trp_load_relaxed_u32(&world->alive_peak);
    while (total > peak && !trp_cas_u32(&world->alive_peak, &peak, total)) {
    }
    return TROUPE_OK;
}

static void end_client(struct troupe_ctx *ctx, void *state, enum troupe_down_reason reason)
{
    struct client_state *me = state;
    (void)ctx;
    if (me->world == NULL) {
        return; /* its init failed */
    }
    bool is_own_doing = me->is_failing || reason == TROUPE_DOWN_SHUTDOWN;
    if (!is_own_doing && me->routes + me->kept != 0) {
        add(&me->seen->ended_with_holds);
    }
    trp_faa_u32(&me->seen->alive, (uint32_t)-1);
    trp_faa_u32(&me->world->alive, (uint32_t)-1);
}

static enum troupe_verdict end_holds(struct troupe_ctx *ctx, struct client_state *me)
{
    while (me->routes != 0) {
        me->routes--;
        troupe_client_close_route(ctx, me->client);
    }
    while (me->kept != 0) {
        me->kept--;
        troupe_client_handled(ctx, me->client);
    }
    /* Half of them ask again, the others rely on being stopped. */
    if (me->is_leaving && me->key % 2 == 0 && troupe_client_leave(ctx, me->client)) {
        return TROUPE_STOP;
    }
    return TROUPE_CONTINUE;
}

static void check_order(struct client_state *me, const struct job *job)
{
    if (me->world->config.check_order) {
        uint64_t *last = &me->seen->last_seq[job->sender];
        if (job->seq <= *last) {
            add(&me->world->order_wrong);
        }
        *last = job->seq;
    }
}

static enum troupe_verdict
do_job(struct troupe_ctx *ctx, struct client_state *me, struct troupe_msg *msg)
{
    const struct job *job = troupe_msg_data(msg);
    TROUPE_ASSERT(job->key == me->key);
    if (me->is_leaving) {
        add(&me->seen->given_back);
        troupe_client_give_back(ctx, me->client, msg);
        return TROUPE_CONTINUE;
    }
    add(&me->seen->received);
    check_order(me, job);
    end_job(me->world, job);
    if (job->delay_ns != 0 && !troupe_timer_is_armed(&me->timer)) {
        troupe_timer_start(ctx, &me->timer, job->delay_ns, 0, MSG_TIMER);
    }
    switch ((enum action)job->action) {
    case ACT_ROUTE: {
        bool is_open = troupe_client_open_route(ctx, me->client);
        TROUPE_ASSERT(is_open);
        me->routes++;
        troupe_client_handled(ctx, me->client);
        break;
    }
    case ACT_KEEP:
        me->kept++;
        break;
    case ACT_LEAVE:
        me->is_leaving = true;
        troupe_client_handled(ctx, me->client);
        if (troupe_client_leave(ctx, me->client)) {
            return TROUPE_STOP;
        }
        break;
    case ACT_FAIL:
        me->is_failing = true;
        return TROUPE_FAIL;
    case ACT_HANDLE:
    case ACTIONS:
        troupe_client_handled(ctx, me->client);
        break;
    }
    return TROUPE_CONTINUE;
}

static enum troupe_verdict run_client(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct client_state *me = state;
    switch (msg->type) {
    case MSG_JOB:
        return do_job(ctx, me, msg);
    case MSG_POKE_LEAVE:
        me->is_leaving = true;
        return troupe_client_leave(ctx, me->client) ? TROUPE_STOP : TROUPE_CONTINUE;
    default:
        return end_holds(ctx, me);
    }
}

static const struct troupe_actor_type client_type = {
    .name = "client",
    .state_size = sizeof(struct client_state),
    .init_cb = start_client,
    .receive_cb = run_client,
    .terminate_cb = end_client,
};

/* --- callbacks --- */

static void on_refused(struct troupe_ctx *ctx,
                       void *user,
                       const struct troupe_key *key,
                       struct troupe_msg *msg,
                       enum troupe_status status,
                       uint64_t retry_after_ms)
{
    struct world *world = user;
    struct key_seen *seen_key = &world->keys[index_of(key)];
    const struct job *job = troupe_msg_data(msg);
    (void)ctx;
    TROUPE_ASSERT(msg->type == MSG_JOB);
    TROUPE_ASSERT(job->key == index_of(key));
    TROUPE_ASSERT(status == TROUPE_EBUSY || status == TROUPE_ECLOSED);
    uint64_t base = world->config.admission.retry_after_ms;
    if (base != 0 && (retry_after_ms < base - base / 2 || retry_after_ms > base + base / 2)) {
        add(&seen_key->hint_low);
    }
    add(status == TROUPE_EBUSY ? &seen_key->busy : &seen_key->closed);
    end_job(world, job);
}

static void on_released(struct troupe_ctx *ctx,
                        void *user,
                        const struct troupe_key *key,
                        enum troupe_release_reason reason)
{
    struct world *world = user;
    TROUPE_ASSERT(troupe_self_worker(ctx) == 0);
    add(&world->keys[index_of(key)].released[reason]);
}

void world_dead_letter(void *arg, const struct troupe_msg *msg, enum troupe_drop_reason reason)
{
    struct world *world = arg;
    if (reason == TROUPE_DROP_FAILED) {
        return; /* its receiver counted it before it failed */
    }
    if (msg->type == MSG_JOB && msg->size == sizeof(struct job)) {
        const struct job *job = troupe_msg_data(msg);
        add(&world->keys[job->key].dead);
        end_job(world, job);
    }
}

/* --- delivering --- */

static enum troupe_status
deliver(struct troupe_ctx *ctx, struct world *world, struct job *job, uint32_t sender)
{
    struct troupe_key key = world_key(job->key);
    struct troupe_msg *msg = troupe_msg_new(ctx, MSG_JOB, sizeof(*job));
    if (msg == NULL) {
        return TROUPE_ENOMEM;
    }
    job->sender = sender;
    memcpy(troupe_msg_data(msg), job, sizeof(*job));
    enum troupe_status status = troupe_admission_deliver(ctx, world->admission, &key, &msg);
    if (status == TROUPE_OK) {
        TROUPE_ASSERT(msg == NULL);
        add(&world->sent);
    } else {
        add(&world->undelivered);
        troupe_msg_free(ctx, msg);
    }
    return status;
}

struct sender_arg {
    struct world *world;
    uint32_t index;
};

struct sender_state {
    struct world *world;
    uint32_t index;
    uint32_t next;
    struct troupe_timer pause;
};

static enum troupe_status start_sender(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct sender_state *me = state;
    const struct sender_arg *from = arg;
    me->world = from->world;
    me->index = from->index;
    return troupe_send_copy(ctx, troupe_self(ctx), MSG_GO, NULL, 0);
}

static enum action choose_action(const struct world_config *config, struct trp_random *random)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < ACTIONS; i++) {
        total += config->weights[i];
    }
    uint64_t ticket = trp_random_below(random, total);
    for (uint32_t i = 0; i < ACTIONS; i++) {
        if (ticket < config->weights[i]) {
            return (enum action)i;
        }
        ticket -= config->weights[i];
    }
    return ACT_HANDLE;
}

static void pause_sender(struct troupe_ctx *ctx, struct sender_state *me)
{
    troupe_timer_start(ctx, &me->pause, TICK_NS, 0, MSG_TICK);
}

static enum troupe_verdict send_some(struct troupe_ctx *ctx, struct sender_state *me)
{
    struct world *world = me->world;
    const struct world_config *config = &world->config;
    for (uint32_t n = 0; n < 16; n++) {
        if (me->next == config->jobs_per_sender) {
            add(&world->senders_done);
            return TROUPE_STOP;
        }
        if (seen(&world->sent) - seen(&world->ended_total) >= config->outstanding_max) {
            pause_sender(ctx, me);
            return TROUPE_CONTINUE;
        }
        struct trp_random random = {troupe_random(ctx)};
        struct job job = {.id = me->index * config->jobs_per_sender + me->next,
                          .key = (uint32_t)trp_random_below(&random, config->keys),
                          .seq = me->next + 1u,
                          .delay_ns = 1 + trp_random_below(&random, config->delay_max_ns + 1)};
        job.action = choose_action(config, &random);
        if (deliver(ctx, world, &job, me->index) != TROUPE_OK) {
            pause_sender(ctx, me);
            return TROUPE_CONTINUE;
        }
        me->next++;
    }
    return troupe_send_copy(ctx, troupe_self(ctx), MSG_GO, NULL, 0) == TROUPE_OK ? TROUPE_CONTINUE
                                                                                 : TROUPE_FAIL;
}

static enum troupe_verdict run_sender(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    (void)msg;
    return send_some(ctx, state);
}

static const struct troupe_actor_type sender_type = {
    .name = "sender",
    .state_size = sizeof(struct sender_state),
    .init_cb = start_sender,
    .receive_cb = run_sender,
};

/* --- the conductor --- */

struct conductor_state {
    struct world *world;
    struct troupe_timer tick;
};

static enum troupe_status start_conductor(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct conductor_state *me = state;
    me->world = (struct world *)(uintptr_t)arg;
    troupe_timer_start(ctx, &me->tick, TICK_NS, TICK_NS, MSG_TICK);
    return TROUPE_OK;
}

static bool is_over(struct troupe_ctx *ctx, struct world *world)
{
    if (world->config.script != NULL) {
        world->ticks++;
        return world->config.script(ctx, world);
    }
    return seen(&world->senders_done) == world->config.senders &&
           seen(&world->sent) == seen(&world->ended_total);
}

static void finish(struct world *world)
{
    world->final = world_stats(world);
    world->is_done = true;
    troupe_pool_stop(world->pool);
}

static enum troupe_verdict
run_conductor(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct conductor_state *me = state;
    struct world *world = me->world;
    if (msg->type == MSG_DRAINED) {
        finish(world);
    } else if (is_over(ctx, world)) {
        troupe_timer_cancel(ctx, &me->tick);
        if (world->config.no_drain) {
            finish(world);
        } else {
            troupe_admission_drain(ctx, world->admission, troupe_self(ctx), MSG_DRAINED);
        }
    }
    return TROUPE_CONTINUE;
}

static const struct troupe_actor_type conductor_type = {
    .name = "conductor",
    .state_size = sizeof(struct conductor_state),
    .init_cb = start_conductor,
    .receive_cb = run_conductor,
};

/* --- for scripts --- */

enum troupe_status
world_deliver(struct troupe_ctx *ctx, struct world *world, uint32_t key, enum action action)
{
    return world_deliver_for(ctx, world, key, action, 0);
}

enum troupe_status world_deliver_for(struct troupe_ctx *ctx,
                                     struct world *world,
                                     uint32_t key,
                                     enum action action,
                                     uint64_t delay_ns)
{
    /* scripts run on one worker: the count of accepted messages is the next id */
    struct job job = {.id = seen(&world->sent),
                      .key = key,
                      .action = action,
                      .seq = seen(&world->sent) + 1u,
                      .delay_ns = delay_ns};
    return deliver(ctx, world, &job, 0);
}

static void poke(struct troupe_ctx *ctx, struct world *world, uint32_t key, uint16_t type)
{
    troupe_ref actor = trp_load_relaxed_u64(&world->keys[key].actor);
    TROUPE_ASSERT(troupe_send_copy(ctx, actor, type, NULL, 0) == TROUPE_OK);
}

void world_poke(struct troupe_ctx *ctx, struct world *world, uint32_t key)
{
    poke(ctx, world, key, MSG_POKE);
}

void world_poke_leave(struct troupe_ctx *ctx, struct world *world, uint32_t key)
{
    poke(ctx, world, key, MSG_POKE_LEAVE);
}

struct troupe_admission_stats world_stats(struct world *world)
{
    struct troupe_admission_stats stats;
    troupe_admission_stats(world->admission, &stats);
    return stats;
}

/* --- setting up and checking --- */

static struct sender_arg sender_args[WORLD_SENDERS_MAX];

struct world *world_create(const struct world_config *config)
{
    struct world *world = calloc(1, sizeof(*world));
    assert_non_null(world);
    assert_true(config->keys <= WORLD_KEYS_MAX && config->senders <= WORLD_SENDERS_MAX);
    world->config = *config;
    world->config.admission.client_type = &client_type;
    world->config.admission.client_user = world;
    world->config.admission.refused_cb = on_refused;
    world->config.admission.released_cb = on_released;
    world->config.admission.user = world;
    world->config.admission.released_user = world;
    world->jobs_max = config->senders * config->jobs_per_sender + SCRIPT_JOBS_MAX;
    world->ended = calloc(world->jobs_max, sizeof(world->ended[0]));
    assert_non_null(world->ended);
    return world;
}

void world_attach(struct world *world, struct troupe_pool *pool)
{
    world->pool = pool;
    assert_int_equal(troupe_admission_create(&world->admission, pool, &world->config.admission),
                     TROUPE_OK);
    assert_int_equal(troupe_pool_spawn(pool, &world->conductor, 0, &conductor_type, world),
                     TROUPE_OK);
    for (uint32_t i = 0; i < world->config.senders; i++) {
        troupe_ref ref;
        sender_args[i] = (struct sender_arg){world, i};
        assert_int_equal(troupe_pool_spawn(pool, &ref, i % troupe_pool_workers(pool), &sender_type,
                                           &sender_args[i]),
                         TROUPE_OK);
    }
}

static void check_keys(struct world *world, const struct troupe_admission_stats *stats)
{
    uint64_t started = 0;
    uint64_t released = 0;
    for (uint32_t i = 0; i < WORLD_KEYS_MAX; i++) {
        const struct key_seen *key = &world->keys[i];
        assert_int_equal(key->alive, 0);
        assert_true(key->ended_with_holds == 0 || world->config.may_end_with_holds);
        assert_int_equal(key->hint_low, 0);
        uint64_t released_here = 0;
        for (uint32_t r = 0; r < TROUPE_RELEASE_REASONS; r++) {
            released_here += key->released[r];
        }
        if (!world->config.fail_init && !world->config.no_drain) {
            assert_int_equal(released_here, key->started);
        }
        started += key->started;
        released += released_here;
    }
    assert_int_equal(stats->admitted, released);
    if (!world->config.fail_init && !world->config.no_drain) {
        assert_int_equal(stats->admitted, started);
    }
}

void world_check(struct world *world)
{
    struct troupe_admission_stats end = world_stats(world);
    troupe_admission_destroy(world->admission); /* reports a backlog caught on its way home */
    world->admission = NULL;
    assert_true(world->is_done);
    assert_int_equal(world->order_wrong, 0);
    assert_int_equal(world->home_wrong, 0);
    assert_int_equal(world->sent, world->ended_total);
    uint64_t ends = 0;
    for (uint32_t i = 0; i < world->jobs_max; i++) {
        assert_true(world->ended[i] <= 1);
        ends += world->ended[i];
    }
    assert_int_equal(ends, world->sent);
    uint64_t capacity = world->final.capacity;
    assert_true(world->alive_peak <= capacity);
    check_keys(world, &end);
    assert_true(end.active_peak <= capacity);
    assert_int_equal(end.active, 0);
    assert_int_equal(end.waiting, 0);
    assert_int_equal(end.delivered, world->sent);
    if (world->config.no_drain) {
        return;
    }
    const struct troupe_admission_stats *final = &world->final;
    assert_int_equal(final->delivered, final->handled + final->abandoned + final->refused_busy +
                                           final->refused_timeout + final->refused_shutdown);
    assert_int_equal(final->active, 0);
    assert_int_equal(final->idle, 0);
    assert_int_equal(final->routes, 0);
    assert_int_equal(final->waiting, 0);
    if (world->config.after != NULL) {
        world->config.after(world);
    }
}

void world_destroy(struct world *world)
{
    free(world->ended);
    free(world);
}

static void check_pool(struct troupe_pool *pool)
{
    struct troupe_worker_stats sum = {0};
    for (uint32_t i = 0; i < troupe_pool_workers(pool); i++) {
        struct troupe_worker_stats stats;
        troupe_pool_stats(pool, i, &stats);
        sum.accepted += stats.accepted;
        sum.processed += stats.processed;
        sum.reported += stats.reported;
        sum.alive += stats.alive;
    }
    assert_int_equal(sum.accepted, sum.processed + sum.reported);
    assert_int_equal(sum.alive, 0);
}

void world_run_threads(const struct world_config *config)
{
    struct world *world = world_create(config);
    struct troupe_pool_config pool_config = {.workers = config->workers,
                                             .spin = TROUPE_SPIN_PARK,
                                             .dead_letter_cb = world_dead_letter,
                                             .dead_letter_arg = world};
    struct troupe_pool *pool;
    char error[200] = "";
    if (troupe_pool_create(&pool, &pool_config, error, sizeof(error)) != TROUPE_OK) {
        fail_msg("%s", error);
    }
    world_attach(world, pool);
    if (troupe_pool_start(pool, error, sizeof(error)) != TROUPE_OK) {
        fail_msg("%s", error);
    }
    troupe_pool_join(pool);
    check_pool(pool);
    world_check(world);
    troupe_pool_destroy(pool);
    world_destroy(world);
}

void world_run_simulated(const struct world_config *config, uint64_t seed, uint64_t until_ns)
{
    struct world *world = world_create(config);
    struct troupe_pool_config pool_config = {
        .workers = config->workers, .dead_letter_cb = world_dead_letter, .dead_letter_arg = world};
    struct trp_sim *sim = trp_sim_create(seed, &pool_config, NULL);
    assert_non_null(sim);
    world_attach(world, trp_sim_pool(sim));
    trp_sim_start(sim);
    (void)trp_sim_run(sim, trp_sim_now(sim) + until_ns);
    if (!world->is_done) {
        fail_msg("seed %llu: not done at %llu ms of virtual time, %u of %u ended",
                 (unsigned long long)seed, (unsigned long long)(trp_sim_now(sim) / 1000000),
                 seen(&world->ended_total), seen(&world->sent));
    }
    trp_sim_stop(sim);
    world_check(world);
    trp_sim_destroy(sim);
    world_destroy(world);
}
