/* Those who wait: the queue for places, successors of leaving clients, and the table of keys. */

#include "actors/admission/admission_internal.h"

#include <troupe/assert.h>

/* How far the queue may go beyond its bound while a sweep still looks for places. */
#define SWEEP_WAITERS_MAX 1024u
/* Waiters refused in one handler. */
#define EXPIRE_MAX 64u

/* --- table of keys --- */

struct troupe_client *
trp_table_find(struct troupe_admission *admission, const struct troupe_key *key, uint64_t hash)
{
    struct troupe_client *client = admission->table[hash & admission->table_mask];
    while (client != NULL &&
           (client->entry.hash != hash || memcmp(&client->entry.key, key, sizeof(*key)) != 0)) {
        client = client->hash_next;
    }
    return client;
}

void trp_table_insert(struct troupe_admission *admission, struct troupe_client *client)
{
    struct troupe_client **head = &admission->table[client->entry.hash & admission->table_mask];
    client->hash_next = *head;
    *head = client;
}

void trp_table_remove(struct troupe_admission *admission, struct troupe_client *client)
{
    struct troupe_client **link = &admission->table[client->entry.hash & admission->table_mask];
    while (*link != client) {
        TROUPE_ASSERT(*link != NULL);
        link = &(*link)->hash_next;
    }
    *link = client->hash_next;
    client->hash_next = NULL;
}

/* --- lists --- */

void trp_waiters_insert(struct trp_waiters *waiters, struct troupe_client *client)
{
    struct troupe_client *after = waiters->tail;
    while (after != NULL && after->arrived_ns > client->arrived_ns) {
        after = after->prev;
    }
    client->prev = after;
    client->next = after != NULL ? after->next : waiters->head;
    *(client->next != NULL ? &client->next->prev : &waiters->tail) = client;
    *(after != NULL ? &after->next : &waiters->head) = client;
    waiters->count++;
}

void trp_waiters_remove(struct trp_waiters *waiters, struct troupe_client *client)
{
    TROUPE_ASSERT(waiters->count != 0);
    *(client->prev != NULL ? &client->prev->next : &waiters->head) = client->next;
    *(client->next != NULL ? &client->next->prev : &waiters->tail) = client->prev;
    client->prev = NULL;
    client->next = NULL;
    waiters->count--;
}

/* --- waiting --- */

void trp_waiter_join(struct troupe_ctx *ctx,
                     struct troupe_admission *admission,
                     struct troupe_client *client,
                     struct troupe_msg *carrier)
{
    TROUPE_ASSERT(client->stage == TRP_STAGE_QUEUED || client->stage == TRP_STAGE_BLOCKED);
    if (client->backlog_count >= admission->config.backlog_max) {
        trp_miss_done(admission, carrier);
        trp_refuse_carrier(ctx, admission, carrier, TRP_REFUSE_BUSY);
        return;
    }
    trp_lane_push(&client->backlog, carrier);
    client->backlog_count++;
}

void trp_waiter_refuse(struct troupe_ctx *ctx,
                       struct troupe_admission *admission,
                       struct troupe_client *client,
                       enum trp_refusal why)
{
    if (client->stage == TRP_STAGE_BLOCKED) {
        trp_waiters_remove(&admission->blocked, client);
        client->before->successor = NULL;
    } else {
        TROUPE_ASSERT(client->stage == TRP_STAGE_QUEUED);
        trp_waiters_remove(&admission->queue, client);
        trp_table_remove(admission, client);
    }
    struct troupe_msg *carrier;
    while ((carrier = trp_lane_pop(&client->backlog)) != NULL) {
        trp_miss_done(admission, carrier);
        trp_refuse_carrier(ctx, admission, carrier, why);
    }
    trp_heap_free(client); /* no reader ever saw it */
}

void trp_waiters_refuse_all(struct troupe_ctx *ctx,
                            struct troupe_admission *admission,
                            enum trp_refusal why)
{
    while (admission->queue.head != NULL) {
        trp_waiter_refuse(ctx, admission, admission->queue.head, why);
    }
    while (admission->blocked.head != NULL) {
        trp_waiter_refuse(ctx, admission, admission->blocked.head, why);
    }
}

static struct troupe_client *longest_waiting(const struct troupe_admission *admission)
{
    struct troupe_client *queued = admission->queue.head;
    struct troupe_client *blocked = admission->blocked.head;
    if (queued == NULL || blocked == NULL) {
        return queued != NULL ? queued : blocked;
    }
    return queued->arrived_ns <= blocked->arrived_ns ? queued : blocked;
}

void trp_waiters_expire(struct troupe_ctx *ctx, struct troupe_admission *admission)
{
    uint64_t timeout_ns = admission->config.queue_timeout_ns;
    uint64_t now_ns = troupe_now(ctx);
    struct troupe_client *client = longest_waiting(admission);
    for (uint32_t n = 0; n < EXPIRE_MAX && client != NULL; n++) {
        if (now_ns < client->arrived_ns + timeout_ns) {
            break;
        }
        trp_waiter_refuse(ctx, admission, client, TRP_REFUSE_TIMEOUT);
        client = longest_waiting(admission);
    }
    if (client == NULL) {
        troupe_timer_cancel(ctx, &admission->wait_timer);
        admission->wait_due_ns = UINT64_MAX;
        return;
    }
    uint64_t due_ns = client->arrived_ns + timeout_ns;
    if (due_ns < admission->wait_due_ns) {
        admission->wait_due_ns = due_ns;
        troupe_timer_start(ctx, &admission->wait_timer, due_ns > now_ns ? due_ns - now_ns : 0, 0,
                           TRP_ADMISSION_WAIT_TIMER);
    }
}

void trp_waiters_bound(struct troupe_ctx *ctx, struct troupe_admission *admission)
{
    uint32_t bound = admission->config.queue_max;
    if (admission->is_sweeping) {
        bound += SWEEP_WAITERS_MAX;
    }
    while (trp_waiters_uncovered(admission) > bound) {
        trp_waiter_refuse(ctx, admission, admission->queue.tail, TRP_REFUSE_BUSY);
    }
    if (admission->is_sweeping) {
        return;
    }
    struct troupe_client *client = admission->queue.tail;
    while (client != NULL && !client->is_counted) {
        client->is_counted = true;
        trp_count(&admission->counts.queued, 1);
        client = client->prev;
    }
}
