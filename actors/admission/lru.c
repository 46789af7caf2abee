/*
 * Who leaves. Live records that may be idle are in a heap ordered by the stamp last seen, so the
 * one at the top has been idle for longest if its stamp has not moved. Those found with holds are
 * taken out and come back when their last hold ends.
 */

#include "actors/admission/admission_internal.h"

#include <troupe/assert.h>

/* Records looked at in one handler before the sweep lets others run. */
#define LOOKS_MAX 64u

static void place(struct troupe_admission *admission, struct troupe_client *client, uint32_t index)
{
    admission->heap[index] = client;
    client->heap_index = index;
}

static void sift_up(struct troupe_admission *admission, struct troupe_client *client)
{
    uint32_t index = client->heap_index;
    while (index != 0) {
        struct troupe_client *parent = admission->heap[(index - 1) / 2];
        if (parent->known_ns <= client->known_ns) {
            break;
        }
        place(admission, parent, index);
        index = (index - 1) / 2;
    }
    place(admission, client, index);
}

static void sift_down(struct troupe_admission *admission, struct troupe_client *client)
{
    uint32_t index = client->heap_index;
    for (;;) {
        uint32_t child = 2 * index + 1;
        if (child >= admission->heap_count) {
            break;
        }
        if (child + 1 < admission->heap_count &&
            admission->heap[child + 1]->known_ns < admission->heap[child]->known_ns) {
            child++;
        }
        if (client->known_ns <= admission->heap[child]->known_ns) {
            break;
        }
        place(admission, admission->heap[child], index);
        index = child;
    }
    place(admission, client, index);
}

void trp_lru_insert(struct troupe_admission *admission, struct troupe_client *client)
{
    TROUPE_ASSERT(client->heap_index == TRP_NOT_IN_HEAP);
    TROUPE_ASSERT(admission->heap_count < admission->config.capacity);
    client->known_ns = trp_load_relaxed_u64(&client->last_active_ns);
    client->heap_index = admission->heap_count++;
    sift_up(admission, client);
}

void trp_lru_remove(struct troupe_admission *admission, struct troupe_client *client)
{
    uint32_t index = client->heap_index;
    if (index == TRP_NOT_IN_HEAP) {
        return;
    }
    client->heap_index = TRP_NOT_IN_HEAP;
    struct troupe_client *last = admission->heap[--admission->heap_count];
    if (last != client) {
        last->heap_index = index;
        sift_up(admission, last);
        sift_down(admission, last);
    }
}

void trp_client_send_stop(struct troupe_ctx *ctx, struct troupe_client *client)
{
    struct troupe_admission *admission = client->admission;
    TROUPE_ASSERT(!client->is_stop_sent);
    client->is_stop_sent = true;
    admission->stopping++;
    trp_note_post(ctx, admission->agents[client->home].ref, &client->home_note);
}

/* Tries to end a record that has been idle; one with holds is put aside. */
static void close_or_watch(struct troupe_ctx *ctx,
                           struct troupe_admission *admission,
                           struct troupe_client *client,
                           enum troupe_release_reason reason)
{
    trp_lru_remove(admission, client);
    switch (trp_word_evict(&client->word)) {
    case TRP_LOOK_CLOSED:
        client->reason = reason;
        trp_count(&trp_agent_here(ctx, admission)->counts.went_busy, 1);
        trp_client_send_stop(ctx, client);
        break;
    case TRP_LOOK_WATCHED: /* its note brings it back */
    case TRP_LOOK_LEAVING: /* its note ends it */
        break;
    }
}

static bool is_wanted(const struct troupe_admission *admission)
{
    return admission->is_draining || trp_waiters_uncovered(admission) != 0;
}

static void arm(struct troupe_ctx *ctx, struct troupe_admission *admission)
{
    if (admission->heap_count == 0 || admission->is_sweeping) {
        troupe_timer_cancel(ctx, &admission->lru_timer);
        admission->lru_due_ns = UINT64_MAX;
        return;
    }
    uint64_t after_ns = admission->config.idle_timeout_ns;
    if (is_wanted(admission) && admission->config.evict_min_idle_ns < after_ns) {
        after_ns = admission->config.evict_min_idle_ns;
    }
    uint64_t due_ns = admission->heap[0]->known_ns + after_ns;
    if (due_ns < admission->lru_due_ns) {
        uint64_t now_ns = troupe_now(ctx);
        admission->lru_due_ns = due_ns;
        troupe_timer_start(ctx, &admission->lru_timer, due_ns > now_ns ? due_ns - now_ns : 0, 0,
                           TRP_ADMISSION_LRU_TIMER);
    }
}

void trp_lru_sweep(struct troupe_ctx *ctx, struct troupe_admission *admission)
{
    const struct troupe_admission_config *config = &admission->config;
    uint64_t now_ns = troupe_now(ctx);
    uint32_t looks = 0;
    admission->is_sweeping = false;
    while (admission->heap_count != 0) {
        struct troupe_client *client = admission->heap[0];
        uint64_t idle_ns = now_ns > client->known_ns ? now_ns - client->known_ns : 0;
        bool is_expired = idle_ns >= config->idle_timeout_ns;
        bool is_victim = is_wanted(admission) &&
                         (admission->is_draining || idle_ns >= config->evict_min_idle_ns);
        if (!is_expired && !is_victim) {
            break;
        }
        if (looks++ == LOOKS_MAX) {
            admission->is_sweeping = true;
            break;
        }
        uint64_t stamp_ns = trp_load_relaxed_u64(&client->last_active_ns); /* partner: stamp */
        if (stamp_ns > client->known_ns) {
            client->known_ns = stamp_ns;
            sift_down(admission, client);
        } else if (admission->is_draining) {
            close_or_watch(ctx, admission, client, TROUPE_RELEASE_SHUTDOWN);
        } else {
            close_or_watch(ctx, admission, client,
                           is_victim ? TROUPE_RELEASE_EVICTED : TROUPE_RELEASE_IDLE);
        }
    }
    if (admission->is_sweeping && !admission->is_sweep_note_out) {
        admission->is_sweep_note_out = true;
        trp_note_post(ctx, admission->actor, &admission->sweep_note);
    }
    arm(ctx, admission);
}
