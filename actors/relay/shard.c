#include "actors/relay/shard.h"

#include "actors/relay/connection.h"

#include <troupe/assert.h>

#define RETRY_NS 1000000u

struct shard_actor {
    struct trp_relay_shard *shard;
    struct troupe_timer retry;
};

/* --- to the connections of this worker --- */

/* What a match needs. */
struct match {
    struct troupe_ctx *ctx;
    struct troupe_buf *packet;
};

static void deliver(void *arg, struct trp_relay_sub *sub)
{
    const struct match *match = arg;
    struct trp_relay_conn *conn = sub->owner;
    if (conn->is_overrun) {
        return;
    }
    struct troupe_msg *msg =
        troupe_msg_new_buf(match->ctx, TRP_RELAY_MSG_DELIVER, sizeof(struct trp_relay_deliver),
                           troupe_buf_retain(match->packet));
    if (msg == NULL) {
        troupe_buf_release(match->packet);
        conn->is_overrun = true;
    } else {
        struct trp_relay_deliver *payload = troupe_msg_data(msg);
        payload->serial = sub->serial;
        if (troupe_send(match->ctx, conn->ref, &msg) != TROUPE_OK) {
            troupe_msg_free(match->ctx, msg);
            conn->is_overrun = true;
        }
    }
    if (conn->is_overrun) {
        /* its mailbox is full or memory is short: this reaches it all the same */
        trp_note_post(match->ctx, conn->ref, &conn->note);
    }
}

static void
match_all(struct troupe_ctx *ctx, struct trp_relay_shard *shard, struct troupe_buf *packet)
{
    struct match match = {ctx, packet};
    trp_relay_subs_match(shard->subs, trp_nostr_packet_event(packet), deliver, &match);
}

static void update_stored(struct trp_relay_shard *shard)
{
    /* relaxed, single writer: partner trp_relay_stats */
    trp_store_relaxed_u64(&shard->stats.stored, trp_relay_store_count(shard->store));
    trp_store_relaxed_u64(&shard->stats.stored_bytes, trp_relay_store_bytes(shard->store));
}

/* --- to the other shards --- */

static void outbox_push(struct trp_relay_shard *shard, struct troupe_msg *msg, uint32_t worker)
{
    uint32_t size = shard->relay->config.outbox_max;
    TROUPE_ASSERT(shard->outbox_count < size);
    struct trp_relay_waiting *slot =
        &shard->outbox[(shard->outbox_first + shard->outbox_count) % size];
    slot->msg = msg;
    slot->worker = worker;
    shard->outbox_count++;
}

/* Sends what waits, in order, until a worker is busy. */
static void outbox_drain(struct troupe_ctx *ctx, struct trp_relay_shard *shard)
{
    while (shard->outbox_count > 0) {
        struct trp_relay_waiting *slot = &shard->outbox[shard->outbox_first];
        enum troupe_status status =
            troupe_send(ctx, shard->relay->shards[slot->worker].ref, &slot->msg);
        if (status == TROUPE_EBUSY) {
            return;
        }
        if (status != TROUPE_OK) { /* the pool stops */
            troupe_msg_free(ctx, slot->msg);
        }
        slot->msg = NULL;
        shard->outbox_first = (shard->outbox_first + 1) % shard->relay->config.outbox_max;
        shard->outbox_count--;
    }
}

/* One message per other worker; false when there is no memory, nothing is held then. */
static bool make_copies(struct troupe_ctx *ctx,
                        const struct trp_relay_shard *shard,
                        struct troupe_buf *packet,
                        struct troupe_msg **copies)
{
    for (uint32_t i = 0; i < shard->relay->worker_count; i++) {
        copies[i] = NULL;
        if (i == shard->worker) {
            continue;
        }
        copies[i] =
            troupe_msg_new_buf(ctx, TRP_RELAY_MSG_EVENT, sizeof(void *), troupe_buf_retain(packet));
        if (copies[i] == NULL) {
            troupe_buf_release(packet);
            while (i-- > 0) {
                troupe_msg_free(ctx, copies[i]);
            }
            return false;
        }
    }
    return true;
}

static void
send_copies(struct troupe_ctx *ctx, struct trp_relay_shard *shard, struct troupe_msg **copies)
{
    for (uint32_t i = 0; i < shard->relay->worker_count; i++) {
        if (copies[i] == NULL) {
            continue;
        }
        enum troupe_status status = TROUPE_EBUSY; /* behind what waits already, to keep the order */
        if (shard->outbox_count == 0) {
            status = troupe_send(ctx, shard->relay->shards[i].ref, &copies[i]);
        }
        if (status == TROUPE_EBUSY) {
            outbox_push(shard, copies[i], i);
        } else if (status != TROUPE_OK) {
            troupe_msg_free(ctx, copies[i]); /* the pool stops */
        }
    }
    if (shard->outbox_count > 0 && !shard->is_note_posted) {
        shard->is_note_posted = true;
        trp_note_post(ctx, shard->ref, &shard->note);
    }
}

static enum trp_relay_verdict put(struct trp_relay_shard *shard, struct troupe_buf *packet)
{
    const struct trp_nostr_event *event = trp_nostr_packet_event(packet);
    if (trp_nostr_kind_is_ephemeral(event->kind)) {
        return TRP_RELAY_ACCEPTED;
    }
    enum trp_relay_verdict verdict = TRP_RELAY_ACCEPTED;
    switch (trp_relay_store_put(shard->store, packet)) {
    case TRP_RELAY_PUT_STORED:
    case TRP_RELAY_PUT_UNKEPT:
        break;
    case TRP_RELAY_PUT_DUPLICATE:
        verdict = TRP_RELAY_DUPLICATE;
        break;
    case TRP_RELAY_PUT_OUTDATED:
        verdict = TRP_RELAY_OUTDATED;
        break;
    case TRP_RELAY_PUT_DELETED:
        verdict = TRP_RELAY_DELETED;
        break;
    }
    update_stored(shard);
    return verdict;
}

enum trp_relay_verdict
trp_relay_accept(struct troupe_ctx *ctx, struct trp_relay_shard *shard, struct troupe_buf *packet)
{
    struct troupe_msg *copies[TROUPE_WORKERS_MAX];
    TROUPE_ASSERT(shard->worker == troupe_self_worker(ctx));
    TROUPE_ASSERT(trp_nostr_packet_is(packet));
    if (!shard->is_open) {
        return TRP_RELAY_STOPPED;
    }
    if (shard->outbox_count + shard->relay->worker_count > shard->relay->config.outbox_max) {
        return TRP_RELAY_BUSY;
    }
    if (!make_copies(ctx, shard, packet, copies)) {
        return TRP_RELAY_NO_MEMORY;
    }
    enum trp_relay_verdict verdict = put(shard, packet);
    if (verdict != TRP_RELAY_ACCEPTED) {
        for (uint32_t i = 0; i < shard->relay->worker_count; i++) {
            troupe_msg_free(ctx, copies[i]);
        }
        return verdict;
    }
    trp_relay_count(&shard->stats.accepted, 1);
    match_all(ctx, shard, packet);
    send_copies(ctx, shard, copies);
    return TRP_RELAY_ACCEPTED;
}

/* --- the actor --- */

static enum troupe_status start(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct shard_actor *actor = state;
    /* the shard is the relay's and lives longer than the pool runs */
    actor->shard = (struct trp_relay_shard *)arg;
    TROUPE_ASSERT(actor->shard->worker == troupe_self_worker(ctx));
    actor->shard->is_open = true;
    return TROUPE_OK;
}

static enum troupe_verdict receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct shard_actor *actor = state;
    struct trp_relay_shard *shard = actor->shard;
    if (msg->type == TRP_RELAY_MSG_EVENT) {
        struct troupe_buf *packet = troupe_msg_buf(msg);
        if (put(shard, packet) == TRP_RELAY_ACCEPTED) {
            match_all(ctx, shard, packet);
        }
    } else if (msg == &shard->note || msg == &actor->retry.msg) {
        shard->is_note_posted = false;
        outbox_drain(ctx, shard);
        if (shard->outbox_count > 0) {
            shard->is_note_posted = true; /* until then nobody needs to wake it */
            troupe_timer_start(ctx, &actor->retry, RETRY_NS, 0, TRP_RELAY_MSG_RETRY);
        }
    }
    return TROUPE_CONTINUE;
}

static void end(struct troupe_ctx *ctx, void *state, enum troupe_down_reason reason)
{
    struct shard_actor *actor = state;
    struct trp_relay_shard *shard = actor->shard;
    shard->is_open = false;
    for (; shard->outbox_count > 0; shard->outbox_count--) {
        troupe_msg_free(ctx, shard->outbox[shard->outbox_first].msg);
        shard->outbox_first = (shard->outbox_first + 1) % shard->relay->config.outbox_max;
    }
    trp_relay_store_clear(shard->store);
    update_stored(shard);
    if (reason == TROUPE_DOWN_SHUTDOWN) {
        return; /* the pool ends the others itself */
    }
    troupe_stop(ctx, shard->listener);
    for (struct trp_relay_conn *conn = shard->conns; conn != NULL; conn = conn->next) {
        if (!conn->is_overrun) { /* else its note is under way and leads to the same */
            trp_note_post(ctx, conn->ref, &conn->note);
        }
    }
}

const struct troupe_actor_type trp_relay_shard_type = {
    .name = "relay-shard",
    .state_size = sizeof(struct shard_actor),
    .data_count_max = 65536,
    .data_bytes_max = 256u << 20,
    .init_cb = start,
    .receive_cb = receive,
    .terminate_cb = end,
};
