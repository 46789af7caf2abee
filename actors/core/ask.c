#include "actors/core/core.h"

#include <string.h>
#include <troupe/assert.h>

#define TIMEOUT_MIN_NS 1000000ull
#define TIMEOUT_MAX_NS (24ull * 3600 * 1000000000)

static struct troupe_msg_extension *extension(struct troupe_msg *msg)
{
    TROUPE_ASSERT((msg->flags & TROUPE_MSG_EXTENDED) != 0);
    return (struct troupe_msg_extension *)(msg + 1);
}

struct troupe_msg *trp_ask_prepare(struct troupe_ctx *ctx,
                                   struct trp_relation **relation,
                                   uint16_t type,
                                   uint32_t size,
                                   uint64_t timeout_ns)
{
    struct trp_worker *worker = ctx->worker;
    TROUPE_ASSERT(ctx->cell != NULL);
    struct trp_relation *made = trp_relation_new(worker, ctx->cell, TRP_RELATION_ASK);
    if (made == NULL) {
        return NULL;
    }
    struct troupe_msg *msg = trp_msg_alloc(&worker->heap, type, size, true);
    if (msg == NULL) {
        trp_relation_free(worker, made);
        return NULL;
    }
    uint64_t clamped = timeout_ns < TIMEOUT_MIN_NS   ? TIMEOUT_MIN_NS
                       : timeout_ns > TIMEOUT_MAX_NS ? TIMEOUT_MAX_NS
                                                     : timeout_ns;
    trp_worker_read_clock(worker);
    msg->flags |= TROUPE_MSG_ASK;
    msg->from = trp_cell_ref(ctx->cell);
    extension(msg)->deadline_ns = worker->now_ns + clamped;
    extension(msg)->ask = trp_relation_id(made);
    trp_timer_arm(worker, ctx->cell, &made->ask.timer, clamped, TRP_MSG_CORE_TIMEOUT,
                  TROUPE_MSG_REPLY);
    *relation = made;
    return msg;
}

/* Undoes trp_ask_prepare for a request that was not sent. */
static void unprepare(struct troupe_ctx *ctx, struct trp_relation *relation, struct troupe_msg *msg)
{
    msg->flags &= (uint8_t)~TROUPE_MSG_ASK; /* nobody waits any more */
    trp_msg_free(msg);
    trp_ask_end(ctx->worker, relation);
}

enum troupe_status troupe_ask(struct troupe_ctx *ctx,
                              troupe_ref to,
                              uint16_t type,
                              struct troupe_span payload,
                              uint64_t timeout_ns,
                              troupe_answer_cb answer_cb,
                              uint64_t cookie)
{
    TROUPE_ASSERT(type < TROUPE_MSG_RESERVED);
    TROUPE_ASSERT(payload.len <= TROUPE_MSG_PAYLOAD_MAX);
    struct trp_relation *relation;
    struct troupe_msg *msg =
        trp_ask_prepare(ctx, &relation, type, (uint32_t)payload.len, timeout_ns);
    if (msg == NULL) {
        return TROUPE_ENOMEM;
    }
    if (payload.len != 0) {
        memcpy(troupe_msg_data(msg), payload.data, payload.len);
    }
    relation->ask.answer_cb = answer_cb;
    relation->ask.cookie = cookie;
    struct troupe_msg *sent = msg;
    enum troupe_status status = troupe_send(ctx, to, &sent);
    if (status != TROUPE_OK) {
        unprepare(ctx, relation, msg);
    }
    return status;
}

void trp_ask_end(struct trp_worker *worker, struct trp_relation *relation)
{
    struct troupe_ctx *ctx = &worker->ctx;
    troupe_timer_cancel(ctx, &relation->ask.timer);
    trp_relation_free(worker, relation);
}

/* The node goes back to the asker, whatever it carries now. */
static void send_back(struct trp_worker *worker, struct troupe_msg *msg, enum troupe_status status)
{
    troupe_ref asker = msg->from;
    msg->flags &= (uint8_t)~TROUPE_MSG_ASK;
    msg->flags |= TROUPE_MSG_REPLY;
    msg->from = msg->to;
    extension(msg)->deadline_ns = (uint64_t)(int64_t)status;
    trp_worker_post(worker, asker, TROUPE_LANE_REPLY, msg);
}

static void strip_payload(struct troupe_msg *msg)
{
    if ((msg->flags & TROUPE_MSG_OWNS_BUF) != 0) {
        troupe_buf_release(troupe_msg_buf(msg));
        msg->flags &= (uint8_t)~TROUPE_MSG_OWNS_BUF;
    }
    msg->size = 0;
}

void trp_ask_unanswered(struct trp_worker *worker,
                        struct troupe_msg *msg,
                        enum troupe_status status)
{
    strip_payload(msg);
    send_back(worker, msg, status);
}

bool trp_ask_is_over(struct trp_worker *worker, struct troupe_msg *msg)
{
    trp_worker_read_clock(worker); /* the asker's timer may have fired this very moment */
    return worker->now_ns >= extension(msg)->deadline_ns;
}

enum troupe_status trp_ask_answer(struct trp_worker *worker,
                                  struct troupe_msg *msg,
                                  uint16_t type,
                                  struct troupe_span payload)
{
    struct troupe_msg *reply = msg;
    if (payload.len > trp_msg_room(msg)) {
        reply = trp_msg_alloc(&worker->heap, type, (uint32_t)payload.len, true);
        if (reply == NULL) {
            return TROUPE_ENOMEM;
        }
        reply->from = msg->from;
        reply->to = msg->to;
        extension(reply)->ask = extension(msg)->ask;
        memcpy(troupe_msg_data(reply), payload.data, payload.len);
        msg->flags &= (uint8_t)~TROUPE_MSG_ASK;
        trp_msg_free(msg);
    } else {
        /* the payload may lie in the request's own buffer or node: copy first */
        struct troupe_buf *buf = troupe_msg_buf(msg);
        if (payload.len != 0) {
            memmove(troupe_msg_data(msg), payload.data, payload.len);
        }
        msg->flags &= (uint8_t)~TROUPE_MSG_OWNS_BUF;
        troupe_buf_release(buf);
        reply->size = (uint32_t)payload.len;
    }
    reply->type = type;
    send_back(worker, reply, TROUPE_OK);
    return TROUPE_OK;
}

enum troupe_status troupe_reply(struct troupe_ctx *ctx,
                                struct troupe_msg *msg,
                                uint16_t type,
                                struct troupe_span payload)
{
    TROUPE_ASSERT(type < TROUPE_MSG_RESERVED);
    TROUPE_ASSERT(payload.len <= TROUPE_MSG_PAYLOAD_MAX);
    if (!troupe_wants_reply(msg)) {
        return TROUPE_EINVAL;
    }
    enum troupe_status status = trp_ask_answer(ctx->worker, msg, type, payload);
    if (status == TROUPE_OK && ctx->msg == msg) {
        ctx->msg = NULL;
    }
    return status;
}

/* Ends the relation first: the continuation may ask again. */
static enum troupe_verdict
conclude(struct troupe_ctx *ctx, struct trp_relation *relation, const struct troupe_answer *answer)
{
    troupe_answer_cb answer_cb = relation->ask.answer_cb;
    uint64_t cookie = relation->ask.cookie;
    trp_ask_end(ctx->worker, relation);
    return answer_cb(ctx, ctx->cell->state, answer, cookie);
}

enum troupe_verdict trp_ask_reply(struct troupe_ctx *ctx, struct troupe_msg *msg)
{
    struct trp_worker *worker = ctx->worker;
    if ((msg->flags & TROUPE_MSG_EMBEDDED) != 0) {
        struct troupe_timer *timer = (struct troupe_timer *)msg;
        struct trp_relation *relation =
            (struct trp_relation *)(void *)((char *)timer -
                                            offsetof(struct trp_relation, ask.timer));
        trp_timer_received(timer);
        struct troupe_answer answer = {TROUPE_EEXPIRED, NULL};
        return conclude(ctx, relation, &answer);
    }
    struct trp_relation *relation =
        trp_relation_find(worker, extension(msg)->ask, TRP_RELATION_ASK);
    if (relation == NULL || relation->owner != ctx->cell) {
        ctx->msg = NULL;
        worker->handled--; /* trp_handle_rest will take it for one that was kept */
        trp_worker_drop(worker, msg, TROUPE_DROP_LATE);
        return TROUPE_CONTINUE;
    }
    struct troupe_answer answer = {(enum troupe_status)(int64_t)extension(msg)->deadline_ns, NULL};
    if (answer.status == TROUPE_OK) {
        answer.msg = msg;
    }
    return conclude(ctx, relation, &answer);
}

/* --- spawning elsewhere --- */

struct spawn_request {
    const struct troupe_actor_type *type;
    uint32_t arg_len;
    _Alignas(16) char arg[512]; /* init reads a struct there */
};

enum troupe_status troupe_spawn_on(struct troupe_ctx *ctx,
                                   uint32_t worker,
                                   const struct troupe_actor_type *type,
                                   struct troupe_span arg,
                                   troupe_answer_cb answer_cb,
                                   uint64_t cookie)
{
    TROUPE_ASSERT(arg.len <= sizeof(((struct spawn_request *)0)->arg));
    if (worker >= troupe_worker_count(ctx)) {
        return TROUPE_EINVAL;
    }
    if (trp_load_relaxed_u32(&ctx->worker->pool->is_stopping) != 0) {
        return TROUPE_ECLOSED;
    }
    struct trp_relation *relation;
    struct troupe_msg *msg = trp_ask_prepare(ctx, &relation, TRP_MSG_CORE_SPAWN,
                                             sizeof(struct spawn_request), TIMEOUT_MAX_NS);
    if (msg == NULL) {
        return TROUPE_ENOMEM;
    }
    struct spawn_request *request = troupe_msg_data(msg);
    request->type = type;
    request->arg_len = (uint32_t)arg.len;
    if (arg.len != 0) {
        memcpy(request->arg, arg.data, arg.len);
    }
    relation->ask.answer_cb = answer_cb;
    relation->ask.cookie = cookie;
    /* slot 0 is nobody's: the message reaches core itself on that worker */
    trp_worker_post(ctx->worker, trp_ref_make(worker, 0, 0), TROUPE_LANE_CONTROL, msg);
    return TROUPE_OK;
}

void trp_spawn_request(struct troupe_ctx *ctx, struct troupe_msg *msg)
{
    const struct spawn_request *request = troupe_msg_data(msg);
    struct troupe_ctx saved = *ctx;
    troupe_ref ref;
    ctx->cell = NULL;
    ctx->msg = NULL;
    enum troupe_status status =
        troupe_spawn(ctx, &ref, request->type, request->arg_len != 0 ? request->arg : NULL);
    *ctx = saved;
    if (status != TROUPE_OK) {
        trp_ask_unanswered(ctx->worker, msg, status);
        return;
    }
    /* always fits into the request's node */
    status = trp_ask_answer(ctx->worker, msg, 0, troupe_span(&ref, sizeof(ref)));
    TROUPE_ASSERT(status == TROUPE_OK);
}
