/* What one may ask of a supervisor: starting, stopping and listing children. */

#include "actors/core/supervise.h"

#include <string.h>
#include <troupe/assert.h>

/* Payload of a request to start: a spec without pointers but the type. */
struct start_request {
    const struct troupe_actor_type *type;
    uint64_t shutdown_ns;
    uint32_t worker;
    enum troupe_restart restart;
    enum troupe_shutdown shutdown;
    uint32_t arg_len;
    char name[TROUPE_CHILD_NAME_MAX + 1];
    _Alignas(16) char arg[TROUPE_CHILD_ARG_MAX];
};

TROUPE_STATIC_ASSERT(sizeof(struct start_request) <= TROUPE_MSG_PAYLOAD_MAX, "fits into a message");
TROUPE_STATIC_ASSERT(sizeof(struct troupe_child_list) <= TROUPE_MSG_PAYLOAD_MAX,
                     "fits into a message");

/* --- the asker's side --- */

enum troupe_status troupe_supervise_start(struct troupe_ctx *ctx,
                                          troupe_ref sup,
                                          const struct troupe_child_spec *spec,
                                          uint64_t timeout_ns,
                                          troupe_answer_cb answer_cb,
                                          uint64_t cookie)
{
    struct start_request request;
    enum troupe_status status = trp_child_check(ctx, spec);
    if (status != TROUPE_OK) {
        return status;
    }
    memset(&request, 0, sizeof(request));
    request.type = spec->type;
    request.shutdown_ns = spec->shutdown_ns;
    request.worker = spec->worker;
    request.restart = spec->restart;
    request.shutdown = spec->shutdown;
    request.arg_len = spec->arg_len;
    if (spec->name != NULL) {
        memcpy(request.name, spec->name, strnlen(spec->name, TROUPE_CHILD_NAME_MAX));
    }
    if (spec->arg_len != 0) {
        memcpy(request.arg, spec->arg, spec->arg_len);
    }
    return troupe_ask(ctx, sup, TRP_SUPERVISOR_START, troupe_span(&request, sizeof(request)),
                      timeout_ns, answer_cb, cookie);
}

enum troupe_status troupe_supervise_stop(struct troupe_ctx *ctx,
                                         troupe_ref sup,
                                         troupe_ref child,
                                         uint64_t timeout_ns,
                                         troupe_answer_cb answer_cb,
                                         uint64_t cookie)
{
    return troupe_ask(ctx, sup, TRP_SUPERVISOR_STOP, troupe_span(&child, sizeof(child)), timeout_ns,
                      answer_cb, cookie);
}

enum troupe_status troupe_supervise_stop_named(struct troupe_ctx *ctx,
                                               troupe_ref sup,
                                               struct troupe_span name,
                                               uint64_t timeout_ns,
                                               troupe_answer_cb answer_cb,
                                               uint64_t cookie)
{
    if (name.len == 0 || name.len > TROUPE_CHILD_NAME_MAX) {
        return TROUPE_EINVAL;
    }
    return troupe_ask(ctx, sup, TRP_SUPERVISOR_STOP_NAMED, name, timeout_ns, answer_cb, cookie);
}

enum troupe_status troupe_supervise_list(struct troupe_ctx *ctx,
                                         troupe_ref sup,
                                         uint32_t first,
                                         uint64_t timeout_ns,
                                         troupe_answer_cb answer_cb,
                                         uint64_t cookie)
{
    return troupe_ask(ctx, sup, TRP_SUPERVISOR_LIST, troupe_span(&first, sizeof(first)), timeout_ns,
                      answer_cb, cookie);
}

/* --- the supervisor's side --- */

static void refuse(struct troupe_ctx *ctx, struct troupe_msg *msg, enum troupe_status status)
{
    trp_ask_unanswered(ctx->worker, troupe_msg_take(ctx, msg), status);
}

static enum troupe_verdict
start(struct troupe_ctx *ctx, struct trp_supervisor *sup, struct troupe_msg *msg)
{
    const struct start_request *request = troupe_msg_data(msg);
    struct troupe_child_spec spec = {.name = request->name,
                                     .type = request->type,
                                     .arg = request->arg_len != 0 ? request->arg : NULL,
                                     .arg_len = request->arg_len,
                                     .worker = request->worker,
                                     .restart = request->restart,
                                     .shutdown = request->shutdown,
                                     .shutdown_ns = request->shutdown_ns};
    struct trp_child *child;
    enum troupe_status status = trp_child_check(ctx, &spec);
    if (status == TROUPE_OK) {
        status = trp_child_add(ctx, sup, &child, &spec);
    }
    if (status != TROUPE_OK) {
        refuse(ctx, msg, status);
        return TROUPE_CONTINUE;
    }
    child->starter = troupe_msg_take(ctx, msg);
    trp_child_send_up(ctx, child);
    return TROUPE_CONTINUE;
}

/* The child that is meant: the one with this ref, or the first one of this name. */
static struct trp_child *find_child(const struct trp_supervisor *sup, const struct troupe_msg *msg)
{
    struct troupe_span name = troupe_msg_span(msg);
    troupe_ref ref = TROUPE_NOBODY;
    if (msg->type == TRP_SUPERVISOR_STOP) {
        memcpy(&ref, name.data, sizeof(ref));
        if (ref == TROUPE_NOBODY) {
            return NULL; /* that is what those have that never started */
        }
    }
    for (struct trp_child *child = sup->first; child != NULL; child = child->next) {
        if (ref != TROUPE_NOBODY ? child->ref == ref : troupe_span_is(name, child->name)) {
            return child;
        }
    }
    return NULL;
}

/* The one who asked for the child's end before does not wait any more. */
static void forget_expired(struct troupe_ctx *ctx, struct trp_child *child)
{
    if (child->stopper != NULL && trp_ask_is_over(ctx->worker, child->stopper)) {
        trp_ask_unanswered(ctx->worker, child->stopper, TROUPE_EEXPIRED);
        child->stopper = NULL;
    }
}

static enum troupe_verdict
stop(struct troupe_ctx *ctx, struct trp_supervisor *sup, struct troupe_msg *msg)
{
    struct trp_child *child = find_child(sup, msg);
    if (child != NULL) {
        forget_expired(ctx, child);
    }
    if (child == NULL || child->stopper != NULL) {
        refuse(ctx, msg, child == NULL ? TROUPE_ENOTFOUND : TROUPE_EBUSY);
        return TROUPE_CONTINUE;
    }
    child->stopper = troupe_msg_take(ctx, msg);
    if (child->state == TROUPE_CHILD_ENDING) {
        return TROUPE_CONTINUE;
    }
    child->is_end_wanted = true;
    if (child->order == NULL) {
        return TROUPE_CONTINUE; /* when it is back */
    }
    if (child->ref == TROUPE_NOBODY) {
        return trp_supervisor_drop(ctx, sup, child);
    }
    child->is_due = false;
    trp_child_send_end(ctx, child);
    return TROUPE_CONTINUE;
}

static enum troupe_verdict
list(struct troupe_ctx *ctx, const struct trp_supervisor *sup, struct troupe_msg *msg)
{
    struct troupe_child_list answer;
    memset(&answer, 0, sizeof(answer));
    memcpy(&answer.first, troupe_msg_data(msg), sizeof(answer.first));
    answer.total = sup->child_count;
    uint32_t place = 0;
    for (const struct trp_child *child = sup->first; child != NULL; child = child->next) {
        if (place++ >= answer.first && answer.count < TROUPE_CHILD_LIST_MAX) {
            trp_child_status(child, &answer.entries[answer.count++]);
        }
    }
    size_t len =
        offsetof(struct troupe_child_list, entries) + answer.count * sizeof(answer.entries[0]);
    if (troupe_reply(ctx, msg, TRP_SUPERVISOR_LIST, troupe_span(&answer, len)) != TROUPE_OK) {
        refuse(ctx, msg, TROUPE_ENOMEM);
    }
    return TROUPE_CONTINUE;
}

enum troupe_verdict
trp_supervisor_asked(struct troupe_ctx *ctx, struct trp_supervisor *sup, struct troupe_msg *msg)
{
    if (!troupe_wants_reply(msg)) {
        return TROUPE_CONTINUE;
    }
    if (msg->type == TRP_SUPERVISOR_LIST && msg->size == sizeof(uint32_t)) {
        return list(ctx, sup, msg);
    }
    if (sup->is_ending) {
        refuse(ctx, msg, TROUPE_ECLOSED);
        return TROUPE_CONTINUE;
    }
    if (msg->type == TRP_SUPERVISOR_START && msg->size == sizeof(struct start_request)) {
        return start(ctx, sup, msg);
    }
    bool is_ref = msg->type == TRP_SUPERVISOR_STOP && msg->size == sizeof(troupe_ref);
    bool is_name = msg->type == TRP_SUPERVISOR_STOP_NAMED && msg->size != 0;
    if (is_ref || is_name) {
        return stop(ctx, sup, msg);
    }
    return TROUPE_CONTINUE; /* not for a supervisor: its asker gets "no reply" */
}
