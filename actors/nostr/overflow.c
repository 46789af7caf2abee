/*
 * Messages of the front end that a full receiver refused wait on the worker they came from, in
 * order per target, and its gate tries them again: a short jam costs no answer and no request.
 */

#include "actors/nostr/front_parts.h"

#include "actors/core/log.h"

static void append(struct trp_nostr_overflow *overflow, struct troupe_msg *msg)
{
    msg->next = NULL;
    if (overflow->tail != NULL) {
        overflow->tail->next = msg;
    } else {
        overflow->head = msg;
    }
    overflow->tail = msg;
    overflow->count++;
}

static struct troupe_msg *take(struct trp_nostr_overflow *overflow)
{
    struct troupe_msg *msg = overflow->head;
    overflow->head = msg->next;
    if (overflow->head == NULL) {
        overflow->tail = NULL;
    }
    overflow->count--;
    msg->next = NULL;
    return msg;
}

static void give_back(struct trp_nostr_overflow *overflow, struct troupe_msg *msg)
{
    msg->next = overflow->head;
    overflow->head = msg;
    if (overflow->tail == NULL) {
        overflow->tail = msg;
    }
    overflow->count++;
}

/* One attempt; on TROUPE_OK the message is gone. */
static enum troupe_status offer(struct troupe_ctx *ctx,
                                struct trp_nostr_front *front,
                                uint32_t target,
                                struct troupe_msg **msg)
{
    if (target == TRP_NOSTR_TO_GATES) {
        const struct trp_nostr_incoming *incoming = troupe_msg_data(*msg);
        const struct trp_nostr_event *event =
            (const void *)(incoming->buf->data + incoming->event_at);
        return troupe_send(ctx, trp_nostr_gate_of(front, event), msg);
    }
    if (target == TRP_NOSTR_TO_EMBEDDED) {
        enum troupe_status status =
            front->embedded.publish(ctx, front->embedded.arg, troupe_msg_buf(*msg));
        if (status == TROUPE_OK) {
            troupe_msg_free(ctx, *msg);
            *msg = NULL;
        }
        return status;
    }
    return troupe_send(ctx, front->relays[target].conn, msg);
}

static void
drop(struct troupe_ctx *ctx, struct trp_nostr_part *part, uint32_t target, struct troupe_msg *msg)
{
    bool is_request = target == TRP_NOSTR_TO_GATES;
    trp_nostr_count(part, is_request ? TRP_NOSTR_N_dropped_busy : TRP_NOSTR_N_publish_full);
    trp_log_warn(is_request ? "event dropped after waiting" : "answer dropped after waiting");
    troupe_msg_free(ctx, msg);
}

enum troupe_status trp_nostr_send_or_wait(struct troupe_ctx *ctx,
                                          struct trp_nostr_front *front,
                                          uint32_t target,
                                          struct troupe_msg **msg)
{
    struct trp_nostr_part *part = trp_nostr_part_here(ctx, front);
    struct trp_nostr_overflow *overflow = &part->overflow[target];
    enum troupe_status status = TROUPE_EBUSY;
    if (overflow->head == NULL) {
        status = offer(ctx, front, target, msg);
    }
    if (status != TROUPE_EBUSY || overflow->count >= front->limits.publish_max) {
        return status;
    }
    append(overflow, *msg);
    *msg = NULL;
    trp_nostr_count(part, TRP_NOSTR_N_delayed);
    if (!part->is_overflow_noted) {
        part->is_overflow_noted = true;
        trp_note_post(ctx, part->gate, &part->overflow_note);
    }
    return TROUPE_OK;
}

bool trp_nostr_overflow_flush(struct troupe_ctx *ctx, struct trp_nostr_front *front)
{
    struct trp_nostr_part *part = trp_nostr_part_here(ctx, front);
    bool is_left = false;
    for (uint32_t target = 0; target < TRP_NOSTR_TARGETS; target++) {
        struct trp_nostr_overflow *overflow = &part->overflow[target];
        while (overflow->head != NULL) {
            struct troupe_msg *msg = take(overflow);
            enum troupe_status status = offer(ctx, front, target, &msg);
            if (status == TROUPE_EBUSY) {
                give_back(overflow, msg);
                is_left = true;
                break;
            }
            if (status != TROUPE_OK) {
                drop(ctx, part, target, msg);
            }
        }
    }
    part->is_overflow_noted = is_left;
    return is_left;
}

void trp_nostr_overflow_drop(struct troupe_ctx *ctx, struct trp_nostr_front *front)
{
    struct trp_nostr_part *part = trp_nostr_part_here(ctx, front);
    for (uint32_t target = 0; target < TRP_NOSTR_TARGETS; target++) {
        while (part->overflow[target].head != NULL) {
            drop(ctx, part, target, take(&part->overflow[target]));
        }
    }
}
