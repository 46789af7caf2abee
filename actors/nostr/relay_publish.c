/* Publishing through one relay: the queue's effects on the wire. */

#include "actors/nostr/relay_conn.h"

#include "actors/core/log.h"
#include "io/codec/nostr_packet.h"

#include <string.h>
#include <troupe/assert.h>

/* When the connection could not take an event for want of memory. */
#define MEMORY_RETRY_NS 50000000u

/* What fits into a node of the slab together with its frame header. */
#define SMALL_MAX (TRP_STREAM_COPY_MAX - 14u)

static const char frame_head[] = "[\"EVENT\",";
#define FRAME_HEAD_LEN (sizeof(frame_head) - 1)

static struct trp_log_field log_relay(const struct trp_relay_conn *conn)
{
    return trp_log_str("relay", conn->relay->url);
}

static void write_frame(uint8_t *out, struct troupe_span tail)
{
    memcpy(out, frame_head, FRAME_HEAD_LEN);
    memcpy(out + FRAME_HEAD_LEN, tail.data, tail.len);
}

/* ["EVENT",{...}] of a packet; the bracket at the end is in the packet. */
static enum troupe_status
write_event(struct troupe_ctx *ctx, struct trp_relay_conn *conn, const struct troupe_buf *packet)
{
    struct trp_nostr_slice slice = trp_nostr_packet_tail(packet);
    struct troupe_span tail = troupe_span(packet->data + slice.at, slice.len);
    size_t len = FRAME_HEAD_LEN + tail.len;
    if (len <= SMALL_MAX) {
        uint8_t small[SMALL_MAX];
        write_frame(small, tail);
        return trp_ws_conn_send_copy(ctx, &conn->ws, troupe_span(small, len), true);
    }
    struct troupe_buf *frame = troupe_buf_new(ctx, (uint32_t)len);
    if (frame == NULL) {
        return TROUPE_ENOMEM;
    }
    write_frame(frame->data, tail);
    frame->size = (uint32_t)len;
    enum troupe_status status = trp_ws_conn_send(ctx, &conn->ws, frame);
    troupe_buf_release(frame);
    return status;
}

void trp_relay_publish_flush(struct troupe_ctx *ctx, struct trp_relay_conn *conn)
{
    while (trp_ws_conn_is_open(&conn->ws)) {
        struct trp_publish *entry = trp_publish_next(&conn->queue);
        if (entry == NULL) {
            return;
        }
        enum troupe_status status = write_event(ctx, conn, entry->packet);
        if (status != TROUPE_OK) {
            if (status != TROUPE_EBUSY && status != TROUPE_ECLOSED) {
                conn->queue_timer_ns = troupe_now(ctx) + MEMORY_RETRY_NS;
                troupe_timer_start(ctx, &conn->queue_timer, MEMORY_RETRY_NS, 0,
                                   TRP_NOSTR_MSG_QUEUE);
            }
            return; /* busy: drained_cb comes back here */
        }
        trp_publish_sent(&conn->queue, entry, troupe_now(ctx));
    }
}

void trp_relay_publish_take(struct troupe_ctx *ctx,
                            struct trp_relay_conn *conn,
                            struct troupe_msg *borrowed)
{
    struct troupe_msg *msg = troupe_msg_take(ctx, borrowed);
    struct trp_publish *entry = troupe_msg_data(msg);
    TROUPE_ASSERT(trp_nostr_packet_is(entry->packet));
    entry->msg = msg;
    entry->bytes = (uint32_t)trp_nostr_packet_json(entry->packet).len;
    memcpy(entry->id, trp_nostr_packet_event(entry->packet)->id, sizeof(entry->id));
    enum troupe_status status =
        conn->is_finished ? TROUPE_EBUSY : trp_publish_push(&conn->queue, entry, troupe_now(ctx));
    if (status == TROUPE_OK) {
        trp_nostr_count(conn->part, TRP_NOSTR_N_publish_queued);
        trp_relay_publish_flush(ctx, conn);
        return;
    }
    if (status == TROUPE_EBUSY) {
        trp_nostr_count(conn->part, TRP_NOSTR_N_publish_full);
        trp_log_warn("answer not published: the queue of the relay is full", log_relay(conn));
    }
    troupe_msg_free(ctx, msg);
}

void trp_relay_publish_answer(struct troupe_ctx *ctx,
                              struct trp_relay_conn *conn,
                              const struct trp_nostr_relay_msg *msg)
{
    struct trp_publish *entry = trp_publish_answer(&conn->queue, msg->id);
    if (entry == NULL) {
        return; /* late, or never ours */
    }
    switch (trp_publish_judge(msg->accepted, msg->text)) {
    case TRP_PUBLISH_ACCEPTED:
        trp_nostr_count(conn->part, TRP_NOSTR_N_publish_ok);
        break;
    case TRP_PUBLISH_DUPLICATE:
        trp_nostr_count(conn->part, TRP_NOSTR_N_publish_duplicate);
        break;
    case TRP_PUBLISH_REFUSED:
        trp_nostr_count(conn->part, TRP_NOSTR_N_publish_refused);
        trp_log_warn("relay refused an answer", log_relay(conn),
                     trp_log_bytes("text", msg->text.data, msg->text.len));
        break;
    }
    troupe_msg_free(ctx, entry->msg);
}

void trp_relay_publish_expire(struct troupe_ctx *ctx, struct trp_relay_conn *conn)
{
    struct trp_publish *entry = NULL;
    uint64_t now_ns = troupe_now(ctx);
    for (;;) {
        switch (trp_publish_expire(&conn->queue, &entry, now_ns)) {
        case TRP_PUBLISH_NONE:
            trp_relay_publish_flush(ctx, conn);
            return;
        case TRP_PUBLISH_RETRY:
            trp_nostr_count(conn->part, TRP_NOSTR_N_publish_retried);
            break;
        case TRP_PUBLISH_UNANSWERED:
            trp_nostr_count(conn->part, TRP_NOSTR_N_publish_unanswered);
            trp_log_warn("relay never confirmed an answer", log_relay(conn));
            troupe_msg_free(ctx, entry->msg);
            break;
        case TRP_PUBLISH_EXPIRED:
            trp_nostr_count(conn->part, TRP_NOSTR_N_publish_expired);
            trp_log_warn("answer given up: the relay was away too long", log_relay(conn));
            troupe_msg_free(ctx, entry->msg);
            break;
        }
    }
}

void trp_relay_publish_arm(struct troupe_ctx *ctx, struct trp_relay_conn *conn)
{
    uint64_t due_ns = trp_publish_due_ns(&conn->queue);
    bool is_armed = troupe_timer_is_armed(&conn->queue_timer) || conn->queue_timer.is_queued;
    if (due_ns == UINT64_MAX || (is_armed && conn->queue_timer_ns <= due_ns)) {
        return; /* a timer that fires too early finds nothing and is set again */
    }
    uint64_t now_ns = troupe_now(ctx);
    conn->queue_timer_ns = due_ns;
    troupe_timer_start(ctx, &conn->queue_timer, due_ns > now_ns ? due_ns - now_ns : 0, 0,
                       TRP_NOSTR_MSG_QUEUE);
}

void trp_relay_publish_drop(struct troupe_ctx *ctx, struct trp_relay_conn *conn)
{
    struct trp_publish *entry;
    while ((entry = trp_publish_take(&conn->queue)) != NULL) {
        trp_nostr_count(conn->part, TRP_NOSTR_N_publish_expired);
        troupe_msg_free(ctx, entry->msg);
    }
}
