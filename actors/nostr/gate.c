/*
 * The gate of a worker: every event whose author lives here passes it once, whichever relay brought
 * it. Per-key rate, recomputed id, duplicates, signature; then admission.
 */

#include "actors/nostr/front_parts.h"

#include "actors/core/log.h"
#include "io/codec/nostr_packet.h"

#include <string.h>

/* How often what a full receiver refused is tried again. */
#define OVERFLOW_RETRY_NS 1000000u

struct gate {
    struct trp_nostr_front *front;
    struct trp_nostr_part *part;
    struct troupe_timer overflow_timer;
};

static enum troupe_status start_gate(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct gate *gate = state;
    gate->front = (struct trp_nostr_front *)arg;
    gate->part = trp_nostr_part_here(ctx, gate->front);
    return TROUPE_OK;
}

/* Tries again what full receivers refused on this worker. */
static void flush_overflow(struct troupe_ctx *ctx, struct gate *gate)
{
    if (trp_nostr_overflow_flush(ctx, gate->front)) {
        troupe_timer_start(ctx, &gate->overflow_timer, OVERFLOW_RETRY_NS, 0,
                           TRP_NOSTR_MSG_OVERFLOW);
    }
}

/* The signature, with the author's parsed key from the cache when it is there. */
static bool check_signature(struct trp_nostr_part *part, const struct trp_nostr_event *event)
{
    const struct trp_nostr_pubkey *known = trp_key_cache_find(part->keys, event->pubkey);
    if (known != NULL) {
        return trp_nostr_verify_parsed(part->crypto, event->sig, event->id, known);
    }
    struct trp_nostr_pubkey parsed;
    if (!trp_nostr_pubkey_parse(part->crypto, &parsed, event->pubkey)) {
        trp_nostr_count(part, TRP_NOSTR_N_bad_key);
        return false;
    }
    if (!trp_nostr_verify_parsed(part->crypto, event->sig, event->id, &parsed)) {
        return false;
    }
    trp_key_cache_put(part->keys, event->pubkey, &parsed);
    return true;
}

/*
 * All the checks of the gate. The signature is checked within this turn, so no copy can arrive
 * while another one is pending: an id is either not in the set or verified.
 */
static bool let_pass(struct troupe_ctx *ctx,
                     struct gate *gate,
                     const struct trp_nostr_incoming *incoming,
                     const struct trp_nostr_event *event)
{
    struct trp_nostr_part *part = gate->part;
    uint64_t now_ns = troupe_now(ctx);
    uint64_t *bucket = trp_key_words_get(part->rates, event->pubkey, NULL);
    if (!trp_rate_allow(&gate->front->key_rate, bucket, now_ns)) {
        trp_nostr_count(part, TRP_NOSTR_N_rate_key);
        trp_log_warn("author over the rate limit", trp_log_client(event->pubkey));
        return false;
    }
    if (!incoming->is_verified && !trp_nostr_event_check_id(event)) {
        trp_nostr_count(part, TRP_NOSTR_N_bad_id);
        trp_log_warn("event with a wrong id dropped", trp_log_client(event->pubkey));
        return false;
    }
    if (trp_seen_has(part->seen, event->id)) {
        trp_nostr_count(part, TRP_NOSTR_N_duplicates);
        return false;
    }
    if (!incoming->is_verified) {
        if (!check_signature(part, event)) {
            trp_nostr_count(part, TRP_NOSTR_N_bad_signature);
            trp_log_warn("event with a wrong signature dropped", trp_log_client(event->pubkey));
            return false;
        }
        trp_nostr_count(part, TRP_NOSTR_N_verified);
    }
    (void)trp_seen_add(part->seen, event->id, now_ns);
    return true;
}

static void deliver(struct troupe_ctx *ctx,
                    struct gate *gate,
                    struct troupe_buf *buf,
                    const struct trp_nostr_event *event)
{
    TROUPE_STATIC_ASSERT(sizeof(struct trp_nostr_cookie) <= TRP_MCP_COOKIE_BYTES, "must fit");
    struct troupe_span content = trp_nostr_event_content(event);
    struct trp_nostr_cookie cookie = {.created_at = event->created_at};
    memcpy(cookie.id, event->id, sizeof(cookie.id));
    struct trp_mcp_inbound inbound = {
        .buf = troupe_buf_retain(buf),
        .text_offset = (uint32_t)(content.data - (const char *)buf->data),
        .text_len = (uint32_t)content.len,
        .reply_to = {.frontend = &gate->front->frontend},
    };
    memcpy(inbound.reply_to.key.bytes, event->pubkey, sizeof(inbound.reply_to.key.bytes));
    memcpy(inbound.reply_to.cookie, &cookie, sizeof(cookie));
    trp_nostr_count(gate->part, TRP_NOSTR_N_delivered);
    trp_mcp_deliver(ctx, gate->front->service, &inbound);
}

static enum troupe_verdict receive_gate(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct gate *gate = state;
    if (msg->type == TRP_MSG_NOTE || msg->type == TRP_NOSTR_MSG_OVERFLOW) {
        flush_overflow(ctx, gate);
        return TROUPE_CONTINUE;
    }
    if (msg->type == TRP_NOSTR_MSG_FORGET) {
        const struct troupe_key *key = troupe_msg_data(msg);
        trp_key_words_forget(gate->part->greeted, key->bytes);
        return TROUPE_CONTINUE;
    }
    const struct trp_nostr_incoming *incoming = troupe_msg_data(msg);
    const struct trp_nostr_event *event = (const void *)(incoming->buf->data + incoming->event_at);
    if (trp_nostr_is_draining(gate->front)) {
        trp_nostr_count(gate->part, TRP_NOSTR_N_dropped_drain);
    } else if (let_pass(ctx, gate, incoming, event)) {
        deliver(ctx, gate, incoming->buf, event);
    }
    return TROUPE_CONTINUE;
}

static void end_gate(struct troupe_ctx *ctx, void *state, enum troupe_down_reason reason)
{
    (void)reason;
    const struct gate *gate = state;
    trp_nostr_overflow_drop(ctx, gate->front);
}

const struct troupe_actor_type trp_nostr_gate_type = {
    .name = "nostr-gate",
    .state_size = sizeof(struct gate),
    .data_count_max = 16384,
    .data_bytes_max = 64u << 20,
    .init_cb = start_gate,
    .receive_cb = receive_gate,
    .terminate_cb = end_gate,
};

/* --- before the gate --- */

uint64_t trp_nostr_start_s(const struct troupe_ctx *ctx, struct trp_nostr_front *front)
{
    uint64_t seen = trp_load_relaxed_u64(&front->start_s);
    if (seen == 0) {
        uint64_t now_s = trp_nostr_seconds(ctx);
        /* the first one's clock counts for all; the value is all there is to see */
        seen = trp_cas_u64(&front->start_s, &seen, now_s) ? now_s : seen;
    }
    return seen;
}

troupe_ref trp_nostr_gate_of(const struct trp_nostr_front *front,
                             const struct trp_nostr_event *event)
{
    struct troupe_key key;
    memcpy(key.bytes, event->pubkey, sizeof(key.bytes));
    return front->parts[troupe_admission_home(front->admission, &key)].gate;
}

/* Kind and addressee; the counter of what is wrong, or TRP_NOSTR_N. */
static enum trp_nostr_counter judge_address(const struct trp_nostr_front *front,
                                            const struct trp_nostr_event *event)
{
    if (event->kind == TRP_NOSTR_KIND_WRAP || event->kind == TRP_NOSTR_KIND_WRAP_EPHEMERAL) {
        return TRP_NOSTR_N_wraps;
    }
    if (event->kind != TRP_NOSTR_KIND_MESSAGE) {
        return TRP_NOSTR_N_wrong_kind;
    }
    struct troupe_span own = troupe_span(front->pubkey_hex, sizeof(front->pubkey_hex));
    return trp_nostr_event_has_value(event, 'p', own) ? TRP_NOSTR_N : TRP_NOSTR_N_wrong_addressee;
}

bool trp_nostr_admissible(struct troupe_ctx *ctx,
                          struct trp_nostr_front *front,
                          const struct trp_nostr_event *event,
                          uint64_t since_s,
                          const char *source)
{
    struct trp_nostr_part *part = trp_nostr_part_here(ctx, front);
    trp_nostr_count(part, TRP_NOSTR_N_received);
    enum trp_nostr_counter wrong = judge_address(front, event);
    if (wrong == TRP_NOSTR_N_wraps) {
        trp_log_warn("encrypted message dropped: encryption is not available yet",
                     trp_log_str("relay", source), trp_log_u64("kind", event->kind));
    } else if (wrong == TRP_NOSTR_N_wrong_kind || wrong == TRP_NOSTR_N_wrong_addressee) {
        trp_log_debug("event that was not asked for", trp_log_str("relay", source),
                      trp_log_u64("kind", event->kind));
    } else if (event->content.len > front->limits.content_bytes_max) {
        wrong = TRP_NOSTR_N_oversized;
        trp_log_warn("oversized event dropped", trp_log_str("relay", source),
                     trp_log_u64("bytes", event->content.len));
    } else if (event->created_at < since_s) {
        wrong = TRP_NOSTR_N_stale;
        trp_log_debug("event older than the subscription", trp_log_str("relay", source));
    } else if (trp_nostr_is_draining(front)) {
        wrong = TRP_NOSTR_N_dropped_drain;
    } else if (!trp_rate_allow_shared(&front->rate, &front->bucket, troupe_now(ctx))) {
        wrong = TRP_NOSTR_N_rate_global;
        trp_log_warn("all authors together over the rate limit", trp_log_str("relay", source));
    }
    if (wrong != TRP_NOSTR_N) {
        trp_nostr_count(part, wrong);
    }
    return wrong == TRP_NOSTR_N;
}

/* --- the embedded relay's way in --- */

enum troupe_status trp_nostr_front_event(struct troupe_ctx *ctx,
                                         struct trp_nostr_front *front,
                                         struct troupe_buf *packet)
{
    TROUPE_ASSERT(trp_nostr_packet_is(packet));
    const struct trp_nostr_event *event = trp_nostr_packet_event(packet);
    uint64_t start_s = trp_nostr_start_s(ctx, front);
    uint64_t margin_s = front->limits.since_margin_s;
    uint64_t since_s = start_s > margin_s ? start_s - margin_s : 0;
    if (!trp_nostr_admissible(ctx, front, event, since_s, "embedded")) {
        return TROUPE_OK;
    }
    struct trp_nostr_part *part = trp_nostr_part_here(ctx, front);
    struct troupe_msg *msg =
        troupe_msg_new_buf(ctx, TRP_NOSTR_MSG_EVENT, sizeof(struct trp_nostr_incoming), packet);
    if (msg == NULL) {
        trp_nostr_count(part, TRP_NOSTR_N_dropped_memory);
        return TROUPE_ENOMEM;
    }
    (void)troupe_buf_retain(packet); /* for the message */
    struct trp_nostr_incoming *incoming = troupe_msg_data(msg);
    incoming->event_at = trp_nostr_packet_head(packet)->event_at;
    incoming->is_verified = true;
    enum troupe_status status = trp_nostr_send_or_wait(ctx, front, TRP_NOSTR_TO_GATES, &msg);
    if (status != TROUPE_OK) {
        trp_nostr_count(part, TRP_NOSTR_N_dropped_busy);
        trp_log_warn("event dropped: its gate is full", trp_log_status(status));
        troupe_msg_free(ctx, msg);
    }
    return status;
}

void trp_nostr_front_forget(struct troupe_ctx *ctx,
                            struct trp_nostr_front *front,
                            const struct troupe_key *key)
{
    if (!front->has_discovery) {
        return;
    }
    /* only a hint: when it does not get through, the client is not told the name a second time */
    troupe_ref gate = front->parts[troupe_admission_home(front->admission, key)].gate;
    enum troupe_status status =
        troupe_send_copy(ctx, gate, TRP_NOSTR_MSG_FORGET, key, sizeof(*key));
    (void)status;
}
