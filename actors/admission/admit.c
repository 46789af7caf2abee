/* The admission actor: arrivals, places, releases, drain. */

#include "actors/admission/admission_internal.h"

#include <stddef.h>
#include <troupe/assert.h>

struct admission_state {
    struct troupe_admission *admission;
};

TROUPE_STATIC_ASSERT(sizeof(struct troupe_client) <= 512, "a record is one small slab node");

#define DONE_RETRY_NS 10000000u

static void publish_done(struct troupe_admission *admission, uint32_t worker, uint32_t slot)
{
    struct trp_agent *agent = &admission->agents[worker];
    /* release: pairs with the load in troupe_admission_deliver */
    trp_store_release_u32(&agent->miss_done[slot], agent->miss_done_now[slot]);
}

void trp_miss_done(struct troupe_admission *admission, struct troupe_msg *carrier)
{
    struct trp_carrier *data = trp_carrier_of(carrier);
    if (data->is_counted) {
        uint64_t hash = trp_key_hash(&admission->secret, &data->key);
        uint32_t slot = (uint32_t)(hash % TRP_MISS_SLOTS);
        data->is_counted = false;
        admission->agents[data->from_worker].miss_done_now[slot]++;
        publish_done(admission, data->from_worker, slot);
    }
}

/* --- records --- */

static struct troupe_client *new_record(struct troupe_ctx *ctx,
                                        struct troupe_admission *admission,
                                        const struct troupe_key *key,
                                        uint64_t hash)
{
    struct troupe_client *client = trp_heap_alloc(&ctx->worker->heap, sizeof(*client));
    if (client == NULL) {
        return NULL;
    }
    TROUPE_ASSERT((uintptr_t)client % TRP_CACHE_LINE == 0);
    memset(client, 0, sizeof(*client));
    client->entry.key = *key;
    client->entry.hash = hash;
    client->admission = admission;
    client->heap_index = TRP_NOT_IN_HEAP;
    client->arrived_ns = troupe_now(ctx);
    return client;
}

static void reclaim_record(ck_epoch_entry_t *entry)
{
    struct troupe_client *client =
        (struct troupe_client *)(void *)((char *)entry - offsetof(struct troupe_client, reclaim));
    TRP_TSAN_ACQUIRE(&client->admission->directory.epoch);
    TROUPE_ASSERT(client->stage == TRP_STAGE_RELEASED);
    /* The sections that could post are over; a note they posted may still be under way. */
    if (trp_load_acquire_u32(&client->is_posted) != 0) {
        client->is_reclaimable = true;
        return;
    }
    trp_heap_free(client);
}

static uint32_t choose_home(struct troupe_ctx *ctx,
                            struct troupe_admission *admission,
                            const struct troupe_client *client)
{
    uint32_t workers = admission->workers;
    uint32_t home = 0;
    switch (admission->config.placement) {
    case TROUPE_PLACE_KEY_HASH:
        home = (uint32_t)((client->entry.hash >> 32) * workers >> 32);
        break;
    case TROUPE_PLACE_ROUND_ROBIN:
        home = admission->next_worker++ % workers;
        break;
    case TROUPE_PLACE_LEAST_LOADED: {
        struct trp_random random = {troupe_random(ctx)};
        home = (uint32_t)trp_random_below(&random, workers);
        uint32_t other = (uint32_t)trp_random_below(&random, workers);
        if (admission->agents[other].clients < admission->agents[home].clients) {
            home = other;
        }
        break;
    }
    }
    return home;
}

/* The long way of the backlog's carriers ends; which workers may be told after the flush. */
static uint64_t count_backlog_done(struct troupe_admission *admission, struct troupe_client *client)
{
    uint32_t slot = (uint32_t)(client->entry.hash % TRP_MISS_SLOTS);
    uint64_t told = 0;
    struct troupe_msg *msg = client->backlog.tail;
    for (uint32_t n = 0; n < client->backlog_count; n++, msg = msg->next) {
        struct trp_carrier *carrier = trp_carrier_of(msg);
        if (carrier->is_counted && carrier->from_worker != client->home) {
            carrier->is_counted = false;
            admission->agents[carrier->from_worker].miss_done_now[slot]++;
            told |= 1ull << carrier->from_worker;
        }
    }
    return told;
}

TROUPE_STATIC_ASSERT(TROUPE_WORKERS_MAX <= 64, "a set of workers is one word");

/* A waiting client gets a place. */
static void
admit(struct troupe_ctx *ctx, struct troupe_admission *admission, struct troupe_client *client)
{
    TROUPE_ASSERT(client->stage == TRP_STAGE_QUEUED);
    TROUPE_ASSERT(client->backlog_count != 0);
    TROUPE_ASSERT(admission->active < admission->config.capacity);
    uint64_t now_ns = troupe_now(ctx);
    struct trp_admission_counts *counts = &admission->counts;
    trp_waiters_remove(&admission->queue, client);
    client->stage = TRP_STAGE_LIVE;
    client->home = choose_home(ctx, admission, client);
    client->word = client->backlog_count; /* born with a hold for each message */
    client->last_active_ns = now_ns;
    admission->active++;
    admission->agents[client->home].clients++;
    trp_count(&counts->active, 1);
    if (admission->active > counts->active_peak) {
        trp_store_relaxed_u64(&counts->active_peak, admission->active);
    }
    trp_count(&counts->admitted, 1);
    if (client->is_counted) {
        trp_count(&counts->queue_wait_ns, now_ns - client->arrived_ns);
    }
    trp_lru_insert(admission, client);
    uint64_t told = count_backlog_done(admission, client);
    trp_note_post(ctx, admission->agents[client->home].ref, &client->home_note);
    trp_flush(ctx); /* the backlog is at home before anybody can find the record */
    (void)trp_directory_put(&admission->directory, &client->entry); /* else found by us alone */
    for (uint32_t worker = 0; told != 0; worker++, told >>= 1) {
        if ((told & 1) != 0) {
            publish_done(admission, worker, (uint32_t)(client->entry.hash % TRP_MISS_SLOTS));
        }
    }
}

static void
release(struct troupe_ctx *ctx, struct troupe_admission *admission, struct troupe_client *client)
{
    TROUPE_ASSERT(client->stage == TRP_STAGE_LIVE);
    TROUPE_ASSERT(client->heap_index == TRP_NOT_IN_HEAP);
    TROUPE_ASSERT(trp_lane_is_empty(&client->backlog));
    struct troupe_client *successor = client->successor;
    client->stage = TRP_STAGE_RELEASED;
    admission->active--;
    admission->agents[client->home].clients--;
    if (client->is_stop_sent) {
        admission->stopping--;
    }
    trp_count(&admission->counts.active, (uint64_t)-1);
    trp_count(&admission->counts.released[client->reason], 1);
    trp_directory_remove(&admission->directory, &client->entry);
    trp_table_remove(admission, client);
    if (successor != NULL) {
        client->successor = NULL;
        successor->before = NULL;
        successor->stage = TRP_STAGE_QUEUED;
        trp_waiters_remove(&admission->blocked, successor);
        trp_waiters_insert(&admission->queue, successor);
        trp_table_insert(admission, successor);
    }
    admission->config.released_cb(ctx, admission->config.released_user, &client->entry.key,
                                  client->reason);
    trp_directory_defer(&admission->directory, &client->reclaim, reclaim_record);
    trp_directory_poll(&admission->directory);
}

/* --- drain --- */

static void tell_done(struct troupe_ctx *ctx, struct troupe_admission *admission)
{
    bool is_owing = false;
    for (uint32_t i = 0; i < admission->workers; i++) {
        struct trp_agent *agent = &admission->agents[i];
        if (!agent->is_done_owed) {
            continue;
        }
        enum troupe_status status =
            troupe_send_copy(ctx, agent->done_to, agent->done_type, NULL, 0);
        agent->is_done_owed = status == TROUPE_EBUSY || status == TROUPE_ENOMEM;
        is_owing |= agent->is_done_owed;
    }
    if (is_owing && !troupe_timer_is_armed(&admission->done_timer)) {
        troupe_timer_start(ctx, &admission->done_timer, DONE_RETRY_NS, 0, TRP_ADMISSION_DONE_TIMER);
    }
}

static void
on_drain(struct troupe_ctx *ctx, struct troupe_admission *admission, struct trp_agent *agent)
{
    agent->is_done_owed = agent->done_to != TROUPE_NOBODY;
    admission->is_draining = true;
    trp_waiters_refuse_all(ctx, admission, TRP_REFUSE_SHUTDOWN);
}

/* --- what follows from any change --- */

static void progress(struct troupe_ctx *ctx, struct troupe_admission *admission)
{
    while (admission->queue.count != 0 && admission->active < admission->config.capacity) {
        admit(ctx, admission, admission->queue.head);
    }
    /* after the admissions: those who go on waiting must watch the ones just admitted too */
    trp_lru_sweep(ctx, admission);
    trp_waiters_bound(ctx, admission);
    trp_waiters_expire(ctx, admission);
    trp_store_relaxed_u64(&admission->counts.waiting,
                          admission->queue.count + admission->blocked.count);
    if (admission->is_draining && admission->active == 0) {
        tell_done(ctx, admission);
    }
}

/* --- messages --- */

static void forward(struct troupe_ctx *ctx,
                    struct troupe_admission *admission,
                    struct troupe_client *client,
                    struct troupe_msg *carrier)
{
    struct trp_carrier *data = trp_carrier_of(carrier);
    uint32_t worker = data->from_worker;
    uint32_t slot = (uint32_t)(client->entry.hash % TRP_MISS_SLOTS);
    /* the home itself counts its own when its agent has them */
    bool is_to_count = data->is_counted && worker != client->home;
    data->is_counted = data->is_counted && worker == client->home;
    data->client = client;
    carrier->type = TRP_ADMISSION_HIT;
    enum troupe_status status = troupe_send(ctx, admission->agents[client->home].ref, &carrier);
    if (status == TROUPE_OK) {
        trp_flush(ctx); /* at home before its worker may take the short way */
    }
    if (is_to_count) {
        admission->agents[worker].miss_done_now[slot]++;
        publish_done(admission, worker, slot);
    }
    if (status != TROUPE_OK) {
        trp_miss_done(admission, carrier);
        trp_refuse_carrier(ctx, admission, carrier, trp_refusal_of(status));
        trp_client_close(ctx, client);
    }
}

/* A new waiter, or a successor when `before` still lives. Takes the carrier. */
static void wait_for_place(struct troupe_ctx *ctx,
                           struct troupe_admission *admission,
                           struct troupe_client *before,
                           uint64_t hash,
                           struct troupe_msg *carrier)
{
    enum trp_refusal why = TRP_REFUSE_SHUTDOWN;
    struct troupe_client *client = NULL;
    if (!admission->is_draining) {
        why = TRP_REFUSE_BUSY;
        client = new_record(ctx, admission, &trp_carrier_of(carrier)->key, hash);
    }
    if (client == NULL) {
        trp_miss_done(admission, carrier);
        trp_refuse_carrier(ctx, admission, carrier, why);
        return;
    }
    if (before != NULL) {
        client->stage = TRP_STAGE_BLOCKED;
        client->before = before;
        before->successor = client;
        trp_waiters_insert(&admission->blocked, client);
    } else {
        client->stage = TRP_STAGE_QUEUED;
        trp_waiters_insert(&admission->queue, client);
        trp_table_insert(admission, client);
    }
    trp_waiter_join(ctx, admission, client, carrier);
}

static void
on_miss(struct troupe_ctx *ctx, struct troupe_admission *admission, struct troupe_msg *carrier)
{
    const struct troupe_key *key = &trp_carrier_of(carrier)->key;
    uint64_t hash = trp_key_hash(&admission->secret, key);
    struct troupe_client *client = trp_table_find(admission, key, hash);
    if (client != NULL && client->stage == TRP_STAGE_LIVE) {
        if (trp_client_open(ctx, trp_agent_here(ctx, admission), client)) {
            forward(ctx, admission, client, carrier);
            return;
        }
        if (client->successor == NULL) {
            wait_for_place(ctx, admission, client, hash, carrier);
            return;
        }
        client = client->successor;
    }
    if (client != NULL) {
        trp_waiter_join(ctx, admission, client, carrier);
    } else {
        wait_for_place(ctx, admission, NULL, hash, carrier);
    }
}

/* Something about a record has changed: look at everything again. */
static void
on_client_note(struct troupe_ctx *ctx, struct troupe_admission *admission, struct troupe_msg *msg)
{
    struct troupe_client *client =
        (struct troupe_client *)(void *)((char *)msg - offsetof(struct troupe_client, note));
    if (client->stage == TRP_STAGE_RELEASED) {
        trp_fas_u32(&client->is_posted, 0);
        if (client->is_reclaimable) {
            trp_heap_free(client);
        }
        return;
    }
    /* full barrier: cleared before the look, so a later change posts again (client.c: post) */
    trp_fas_u32(&client->is_posted, 0);
    uint64_t word = trp_load_acquire_u64(&client->word);
    if ((word & TRP_WORD_CLOSING) == 0) {
        if (client->heap_index == TRP_NOT_IN_HEAP) {
            trp_lru_insert(admission, client);
        }
        return;
    }
    trp_lru_remove(admission, client);
    if (!trp_word_is_final(word)) {
        return; /* the closer of its last hold posts */
    }
    if (trp_load_acquire_u32(&client->is_down) == 0) {
        if (!client->is_stop_sent) {
            trp_client_send_stop(ctx, client);
        }
    } else if (!client->is_stop_sent || trp_load_acquire_u32(&client->stop_seen) != 0) {
        release(ctx, admission, client);
    }
}

static void
on_note(struct troupe_ctx *ctx, struct troupe_admission *admission, struct troupe_msg *msg)
{
    if (msg == &admission->sweep_note) {
        admission->is_sweep_note_out = false;
        return;
    }
    for (uint32_t i = 0; i < admission->workers; i++) {
        if (msg == &admission->agents[i].drain_note) {
            on_drain(ctx, admission, &admission->agents[i]);
            return;
        }
    }
    on_client_note(ctx, admission, msg);
}

static enum troupe_verdict
receive_at_admission(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct troupe_admission *admission = ((struct admission_state *)state)->admission;
    switch (msg->type) {
    case TRP_ADMISSION_MISS:
        on_miss(ctx, admission, troupe_msg_take(ctx, msg));
        break;
    case TRP_ADMISSION_LRU_TIMER:
        admission->lru_due_ns = UINT64_MAX;
        break;
    case TRP_ADMISSION_WAIT_TIMER:
        admission->wait_due_ns = UINT64_MAX;
        break;
    case TRP_ADMISSION_DONE_TIMER:
        break;
    default:
        TROUPE_ASSERT(msg->type == TRP_MSG_NOTE);
        on_note(ctx, admission, msg);
        break;
    }
    progress(ctx, admission);
    return TROUPE_CONTINUE;
}

static enum troupe_status init_admission(struct troupe_ctx *ctx, void *state, const void *arg)
{
    (void)ctx;
    ((struct admission_state *)state)->admission = (struct troupe_admission *)(uintptr_t)arg;
    return TROUPE_OK;
}

/* The pool goes down: nobody waits any more, and every record has ended. */
static void terminate_admission(struct troupe_ctx *ctx, void *state, enum troupe_down_reason reason)
{
    (void)reason;
    struct troupe_admission *admission = ((struct admission_state *)state)->admission;
    trp_waiters_refuse_all(ctx, admission, TRP_REFUSE_SHUTDOWN);
    for (uint32_t i = 0; i <= admission->table_mask; i++) {
        struct troupe_client *client = admission->table[i];
        for (; client != NULL; client = client->hash_next) {
            TROUPE_ASSERT(client->stage == TRP_STAGE_LIVE);
            /* its home may still work on it: the memory stays until the pool is gone */
            client->stage = TRP_STAGE_RELEASED;
            trp_count(&admission->counts.active, (uint64_t)-1);
            trp_count(&admission->counts.released[TROUPE_RELEASE_SHUTDOWN], 1);
            admission->config.released_cb(ctx, admission->config.released_user, &client->entry.key,
                                          TROUPE_RELEASE_SHUTDOWN);
        }
    }
    trp_store_relaxed_u64(&admission->counts.waiting, 0);
}

const struct troupe_actor_type trp_admission_type = {
    .name = "admission",
    .state_size = sizeof(struct admission_state),
    .init_cb = init_admission,
    .receive_cb = receive_at_admission,
    .terminate_cb = terminate_admission,
};
