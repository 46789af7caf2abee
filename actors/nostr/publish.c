/* Outgoing: one JSON-RPC text becomes one signed event in one counted buffer, for all relays. */

#include "actors/nostr/front_parts.h"

#include "actors/core/log.h"
#include "actors/nostr/publish_queue.h"
#include "io/codec/nostr_packet.h"

#include <string.h>

/* p, e, and the four of the discovery. */
#define TAGS_MAX 6u

struct outgoing {
    struct trp_nostr_draft draft;
    struct trp_nostr_draft_tag tags[TAGS_MAX];
    struct troupe_span elements[TAGS_MAX][2];
    char client_hex[2 * TRP_NOSTR_PUBKEY_LEN];
    char request_hex[2 * TRP_NOSTR_ID_LEN];
};

static void add_tag(struct outgoing *out, const char *name, struct troupe_span value)
{
    uint32_t i = out->draft.tag_count++;
    TROUPE_ASSERT(i < TAGS_MAX);
    out->elements[i][0] = troupe_span_cstr(name);
    out->elements[i][1] = value;
    out->tags[i].elements = out->elements[i];
    out->tags[i].count = 2;
}

static struct troupe_span to_hex(char *hex, const uint8_t *bytes, size_t len)
{
    struct trp_text text = trp_text_init(hex, 2 * len);
    trp_text_hex(&text, bytes, len);
    return troupe_span(hex, 2 * len);
}

/* The tags that belong on the first message to a client, once per record of it. */
static void add_discovery(struct trp_nostr_front *front,
                          struct trp_nostr_part *part,
                          struct outgoing *out,
                          const struct troupe_key *client)
{
    static const char *const names[] = {"name", "about", "website", "picture"};
    if (!front->has_discovery) {
        return;
    }
    bool is_first;
    uint64_t *used = trp_key_words_get(part->greeted, client->bytes, &is_first);
    *used = ++part->greet_clock;
    for (uint32_t i = 0; is_first && i < 4; i++) {
        if (front->discovery[i] != NULL) {
            add_tag(out, names[i], troupe_span_cstr(front->discovery[i]));
        }
    }
}

static void make_draft(struct troupe_ctx *ctx,
                       struct outgoing *out,
                       const struct trp_mcp_address *to,
                       enum trp_mcp_outbound kind,
                       struct troupe_span text)
{
    struct trp_nostr_cookie cookie;
    memcpy(&cookie, to->cookie, sizeof(cookie));
    memset(&out->draft, 0, sizeof(out->draft));
    out->draft.kind = TRP_NOSTR_KIND_MESSAGE;
    out->draft.tags = out->tags;
    out->draft.content = text;
    /* A client whose clock is ahead subscribed from its own now on. */
    uint64_t now_s = trp_nostr_seconds(ctx);
    out->draft.created_at = cookie.created_at > now_s ? cookie.created_at : now_s;
    add_tag(out, "p", to_hex(out->client_hex, to->key.bytes, sizeof(to->key.bytes)));
    if (kind != TRP_MCP_BROADCAST) {
        add_tag(out, "e", to_hex(out->request_hex, cookie.id, sizeof(cookie.id)));
    }
}

/* Signs and wraps; the buffer is the caller's. */
static enum troupe_status make_packet(struct troupe_ctx *ctx,
                                      struct trp_nostr_part *part,
                                      const struct trp_nostr_draft *draft,
                                      struct troupe_buf **packet)
{
    size_t area_cap = trp_nostr_draft_bound(draft);
    if (area_cap > TROUPE_BUF_MAX) {
        return TROUPE_ETOOLARGE;
    }
    struct troupe_buf *area = troupe_buf_new(ctx, (uint32_t)area_cap);
    if (area == NULL) {
        return TROUPE_ENOMEM;
    }
    struct troupe_buf *made = NULL;
    enum troupe_status status =
        trp_nostr_event_sign(part->crypto, area->data, area_cap, &part->key, draft, NULL);
    if (status != TROUPE_OK) {
        goto out;
    }
    const struct trp_nostr_event *event = (const void *)area->data;
    size_t bound = trp_nostr_packet_bound(event);
    if (bound > TROUPE_BUF_MAX) {
        status = TROUPE_ETOOLARGE;
        goto out;
    }
    made = troupe_buf_new(ctx, (uint32_t)bound);
    if (made == NULL) {
        status = TROUPE_ENOMEM;
        goto out;
    }
    bool is_written = trp_nostr_packet_write(made, event);
    TROUPE_ASSERT(is_written);
    *packet = made;
out:
    troupe_buf_release(area);
    return status;
}

/* Hands the packet to one connection, or the embedded relay; false when it was not taken. */
static bool hand_to(struct troupe_ctx *ctx,
                    struct trp_nostr_front *front,
                    uint32_t target,
                    struct troupe_buf *packet)
{
    struct trp_nostr_part *part = trp_nostr_part_here(ctx, front);
    struct troupe_msg *msg =
        troupe_msg_new_buf(ctx, TRP_NOSTR_MSG_PUBLISH, sizeof(struct trp_publish), packet);
    if (msg == NULL) {
        trp_nostr_count(part, TRP_NOSTR_N_publish_full);
        return false;
    }
    (void)troupe_buf_retain(packet); /* for the message */
    enum troupe_status status = trp_nostr_send_or_wait(ctx, front, target, &msg);
    if (status != TROUPE_OK) {
        trp_nostr_count(part, TRP_NOSTR_N_publish_full);
        trp_log_warn("answer not published: the relay is too slow",
                     trp_log_str("relay", target == TRP_NOSTR_TO_EMBEDDED
                                              ? "embedded"
                                              : front->relays[target].url),
                     trp_log_status(status));
        troupe_msg_free(ctx, msg);
        return false;
    }
    return true;
}

static enum troupe_status
hand_out(struct troupe_ctx *ctx, struct trp_nostr_front *front, struct troupe_buf *packet)
{
    struct trp_nostr_part *part = trp_nostr_part_here(ctx, front);
    bool is_taken = false;
    for (uint32_t i = 0; i < front->relay_count; i++) {
        /* relaxed: a hint; the connection decides */
        if (trp_load_relaxed_u32(&front->relays[i].accepts) != 0) {
            is_taken |= hand_to(ctx, front, i, packet);
        }
    }
    if (front->embedded.publish != NULL) {
        is_taken |= hand_to(ctx, front, TRP_NOSTR_TO_EMBEDDED, packet);
    }
    if (!is_taken) {
        trp_nostr_count(part, TRP_NOSTR_N_send_nowhere);
        trp_log_warn("answer lost: no relay takes it");
        return TROUPE_EUNAVAIL;
    }
    trp_nostr_count(part, TRP_NOSTR_N_sent);
    return TROUPE_OK;
}

enum troupe_status trp_nostr_send(struct troupe_ctx *ctx,
                                  void *arg,
                                  const struct trp_mcp_address *to,
                                  enum trp_mcp_outbound kind,
                                  struct troupe_span text)
{
    struct trp_nostr_front *front = arg;
    struct trp_nostr_part *part = trp_nostr_part_here(ctx, front);
    struct outgoing out;
    struct troupe_buf *packet = NULL;
    enum troupe_status status = TROUPE_ETOOLARGE;
    if (text.len <= front->limits.event_bytes_max) {
        make_draft(ctx, &out, to, kind, text);
        add_discovery(front, part, &out, &to->key);
        status = make_packet(ctx, part, &out.draft, &packet);
    }
    if (status == TROUPE_OK && trp_nostr_packet_json(packet).len > front->limits.event_bytes_max) {
        troupe_buf_release(packet);
        status = TROUPE_ETOOLARGE;
        /* the small error that follows is then the first message */
        trp_key_words_forget(part->greeted, to->key.bytes);
    }
    if (status == TROUPE_OK) {
        status = hand_out(ctx, front, packet);
        troupe_buf_release(packet);
        return status;
    }
    trp_nostr_count(part, status == TROUPE_ETOOLARGE ? TRP_NOSTR_N_send_too_large
                                                     : TRP_NOSTR_N_send_failed);
    trp_log_warn("answer not sent", trp_log_client(to->key.bytes), trp_log_status(status),
                 trp_log_u64("bytes", text.len));
    return status;
}
