#include "actors/mcp/backend_stdio.h"

#include "actors/core/log.h"
#include "actors/mcp/client_parts.h"
#include "actors/mcp/lines.h"
#include "actors/mcp/processes.h"
#include "io/net/stream.h"
#include "pool/driver.h"

#include <stdio.h>
#include <troupe/assert.h>

enum { MSG_DEADLINE = 0x290 };

#define DRAIN_NS    UINT64_C(1000000000)  /* from the child's end to the end of its output */
#define END_NS      UINT64_C(10000000000) /* from our kill to the news of its end */
#define PENDING_MAX 1000u                 /* texts before the start */
#define STDERR_LINE 1024u                 /* bytes of a line of standard error that are kept */

enum state {
    STATE_STARTING,
    STATE_RUNNING,
    STATE_ENDING, /* the child is gone or must go; its output is still read */
    STATE_DOWN,   /* DOWN is on its way */
};

struct stdio {
    struct trp_mcp_service *service;
    struct trp_mcp_worker *worker;
    troupe_ref user;
    uint32_t instance;
    uint8_t client[32];
    enum state state;
    bool is_exited;
    bool is_out_ended;
    bool is_paused;
    uint64_t process_id;
    struct trp_backend_down down;
    struct trp_stream_limits limits;
    struct trp_stream in; /* ours to write */
    struct trp_stream out;
    struct trp_stream err;
    struct troupe_msg *pending_head; /* SENDs before the start */
    struct troupe_msg *pending_tail;
    uint32_t pending_count;
    uint64_t pending_bytes;
    struct trp_mcp_lines lines;
    struct trp_mcp_outbox outbox;
    struct troupe_timer deadline;
    uint32_t err_len;
    char err_line[STDERR_LINE];
};

/* --- towards the user --- */

static void
send_text(struct troupe_ctx *ctx, struct stdio *stdio, struct troupe_buf *buf, uint32_t len)
{
    struct troupe_msg *msg = trp_backend_text_msg(ctx, TRP_BACKEND_MSG_TEXT, buf, 0, len);
    if (msg != NULL) {
        trp_mcp_outbox_send(ctx, &stdio->outbox, stdio->user, msg);
    }
}

/* A text that cannot reach the child: its request is answered here. */
static void refuse(struct troupe_ctx *ctx,
                   struct stdio *stdio,
                   const struct troupe_msg *msg,
                   int code,
                   const char *message)
{
    struct trp_mcp_text text;
    struct troupe_span bytes = trp_backend_text_span(msg);
    if (!trp_mcp_text_read(stdio->worker, &text, bytes, bytes.len + TROUPE_BUF_PADDING) ||
        text.rpc.kind != TRP_JSONRPC_REQUEST) {
        return;
    }
    struct troupe_span id = trp_jsonrpc_raw(&text.doc, text.rpc.id);
    size_t cap = id.len + 256;
    struct troupe_buf *buf = trp_backend_text_buf(ctx, cap);
    if (buf == NULL) {
        return;
    }
    struct trp_text out = trp_text_init((char *)buf->data, cap);
    trp_jsonrpc_write_error(&out, id, code, troupe_span_cstr(message),
                            code == -32000 ? (int64_t)trp_mcp_retry_after(ctx, stdio->service)
                                           : TRP_JSONRPC_NO_RETRY);
    buf->size = (uint32_t)out.len;
    send_text(ctx, stdio, buf, buf->size);
}

static enum troupe_verdict finish(struct troupe_ctx *ctx, struct stdio *stdio)
{
    if (stdio->state != STATE_DOWN) {
        stdio->state = STATE_DOWN;
        struct troupe_msg *msg =
            troupe_msg_new(ctx, TRP_BACKEND_MSG_DOWN, (uint32_t)sizeof(stdio->down));
        if (msg == NULL) {
            return TROUPE_FAIL; /* the user's monitor says the rest */
        }
        memcpy(troupe_msg_data(msg), &stdio->down, sizeof(stdio->down));
        trp_mcp_outbox_send(ctx, &stdio->outbox, stdio->user, msg);
    }
    return trp_mcp_outbox_is_blocked(&stdio->outbox) ? TROUPE_CONTINUE : TROUPE_STOP;
}

/* Done when the child is gone and its last words are read. */
static enum troupe_verdict check_end(struct troupe_ctx *ctx, struct stdio *stdio)
{
    if (stdio->state == STATE_DOWN || (stdio->is_exited && stdio->is_out_ended)) {
        return finish(ctx, stdio);
    }
    return TROUPE_CONTINUE;
}

/* The child must go: it broke the rules. */
static void condemn(struct troupe_ctx *ctx, struct stdio *stdio, const char *reason)
{
    if (stdio->state != STATE_RUNNING) {
        return;
    }
    stdio->state = STATE_ENDING;
    (void)snprintf(stdio->down.reason, sizeof(stdio->down.reason), "%s", reason);
    trp_log_warn("backend process must end", trp_log_u64("instance", stdio->instance),
                 trp_log_str("reason", reason));
    trp_processes_kill(ctx, stdio->service->processes, stdio->process_id, true);
    troupe_timer_start(ctx, &stdio->deadline, END_NS, 0, MSG_DEADLINE);
}

/* --- towards the child --- */

/* Adds the line end in place where there is room, which users of ours always leave. */
static enum troupe_status
write_line(struct troupe_ctx *ctx, struct stdio *stdio, const struct troupe_msg *msg)
{
    struct trp_backend_text *text = troupe_msg_data(msg);
    char *bytes = (char *)text->buf->data + text->offset;
    trp_jsonrpc_one_line(bytes, text->len);
    if (text->offset + text->len < text->buf->capacity) {
        bytes[text->len] = '\n';
        text->buf->size = text->offset + text->len + 1;
        return trp_stream_write(ctx, &stdio->in, text->buf, text->offset, text->len + 1);
    }
    struct troupe_buf *copy = trp_backend_text_buf(ctx, text->len);
    if (copy == NULL) {
        return TROUPE_ENOMEM;
    }
    memcpy(copy->data, bytes, text->len);
    copy->data[text->len] = '\n';
    copy->size = text->len + 1;
    enum troupe_status status = trp_stream_write(ctx, &stdio->in, copy, 0, copy->size);
    troupe_buf_release(copy);
    return status;
}

static void write_text(struct troupe_ctx *ctx, struct stdio *stdio, const struct troupe_msg *msg)
{
    enum troupe_status status = write_line(ctx, stdio, msg);
    if (status == TROUPE_EBUSY) {
        refuse(ctx, stdio, msg, -32000, troupe_status_text(TROUPE_EBUSY));
    } else if (status != TROUPE_OK) {
        refuse(ctx, stdio, msg, -32603, "Backend does not read any more");
    }
}

static void keep_pending(struct troupe_ctx *ctx, struct stdio *stdio, struct troupe_msg *msg)
{
    size_t len = trp_backend_text_span(msg).len;
    if (stdio->pending_count >= PENDING_MAX ||
        (stdio->pending_count != 0 && stdio->pending_bytes + len > stdio->limits.queue_bytes_max)) {
        refuse(ctx, stdio, msg, -32000, troupe_status_text(TROUPE_EBUSY));
        return;
    }
    msg = troupe_msg_take(ctx, msg);
    msg->next = NULL;
    if (stdio->pending_tail != NULL) {
        stdio->pending_tail->next = msg;
    } else {
        stdio->pending_head = msg;
    }
    stdio->pending_tail = msg;
    stdio->pending_count++;
    stdio->pending_bytes += len;
}

static struct troupe_msg *pop_pending(struct stdio *stdio)
{
    struct troupe_msg *msg = stdio->pending_head;
    if (msg != NULL) {
        stdio->pending_head = msg->next;
        if (msg->next == NULL) {
            stdio->pending_tail = NULL;
        }
        stdio->pending_count--;
    }
    return msg;
}

static void outgoing(struct troupe_ctx *ctx, struct stdio *stdio, struct troupe_msg *msg)
{
    switch (stdio->state) {
    case STATE_STARTING:
        keep_pending(ctx, stdio, msg);
        break;
    case STATE_RUNNING:
        write_text(ctx, stdio, msg);
        trp_stream_flush(ctx, &stdio->in);
        break;
    case STATE_ENDING:
    case STATE_DOWN:
        break; /* DOWN answers it */
    }
}

/* --- from the child --- */

static void on_line(struct troupe_ctx *ctx, void *arg, struct troupe_buf *line)
{
    struct stdio *stdio = arg;
    struct trp_mcp_text text;
    struct troupe_span bytes = troupe_buf_span(line);
    bool is_json = trp_mcp_text_read(stdio->worker, &text, bytes, bytes.len + TROUPE_BUF_PADDING);
    if (!is_json || text.rpc.kind == TRP_JSONRPC_INVALID) {
        trp_mcp_count(stdio->worker, backend_invalid);
        trp_log_warn("backend wrote a line that is no JSON-RPC",
                     trp_log_u64("instance", stdio->instance),
                     trp_log_str("problem", is_json ? text.rpc.problem
                                                    : trp_json_error(stdio->worker->parser)));
        troupe_buf_release(line);
        return;
    }
    send_text(ctx, stdio, line, line->size);
}

static void incoming(struct troupe_ctx *ctx, struct stdio *stdio, struct troupe_span bytes)
{
    if (stdio->is_out_ended) {
        return;
    }
    enum troupe_status status = trp_mcp_lines_feed(ctx, &stdio->lines, bytes, on_line, stdio);
    if (status != TROUPE_OK) {
        stdio->is_out_ended = true;
        trp_mcp_lines_fini(&stdio->lines);
        trp_stream_abort(ctx, &stdio->out, status);
        condemn(ctx, stdio,
                status == TROUPE_ETOOLARGE ? "Backend wrote a line that is too long"
                                           : "Out of memory for a line of the backend");
        return;
    }
    if (trp_mcp_outbox_is_blocked(&stdio->outbox)) {
        stdio->is_paused = true;
        trp_stream_pause(ctx, &stdio->out);
    }
}

static void log_stderr(struct stdio *stdio)
{
    char line[STDERR_LINE + 1];
    if (stdio->err_len == 0) {
        return;
    }
    memcpy(line, stdio->err_line, stdio->err_len);
    line[stdio->err_len] = '\0';
    trp_log_info("backend says", trp_log_u64("instance", stdio->instance),
                 trp_log_client(stdio->client), trp_log_str("text", line));
    stdio->err_len = 0;
}

static void complaint(struct stdio *stdio, const struct trp_stream_event *event)
{
    for (uint32_t i = 0; i < event->len; i++) {
        char c = (char)event->data[i];
        if (c == '\n') {
            log_stderr(stdio);
        } else if (stdio->err_len < STDERR_LINE && c != '\r' && c != '\0') {
            stdio->err_line[stdio->err_len++] = c; /* the rest of a long line is cut */
        }
    }
}

/* --- events --- */

static enum troupe_verdict
out_event(struct troupe_ctx *ctx, struct stdio *stdio, const struct trp_stream_event *event)
{
    switch (event->kind) {
    case TRP_STREAM_DATA:
        incoming(ctx, stdio, troupe_span(event->data, event->len));
        return TROUPE_CONTINUE;
    case TRP_STREAM_END:
    case TRP_STREAM_CLOSED:
        stdio->is_out_ended = true;
        if (!stdio->is_exited && stdio->state == STATE_RUNNING) {
            /* usually its end is on the way; if not, it is no server any more */
            troupe_timer_start(ctx, &stdio->deadline, DRAIN_NS, 0, MSG_DEADLINE);
        }
        return check_end(ctx, stdio);
    case TRP_STREAM_NONE:
    case TRP_STREAM_CONNECTED:
    case TRP_STREAM_DRAINED:
        break;
    }
    return TROUPE_CONTINUE;
}

static bool stream_message(struct troupe_ctx *ctx,
                           struct stdio *stdio,
                           struct troupe_msg *msg,
                           enum troupe_verdict *verdict)
{
    struct trp_stream_event event;
    *verdict = TROUPE_CONTINUE;
    if (trp_stream_receive(ctx, &stdio->out, msg, &event)) {
        *verdict = out_event(ctx, stdio, &event);
        return true;
    }
    if (trp_stream_receive(ctx, &stdio->in, msg, &event)) {
        return true; /* its end shows as TROUPE_ECLOSED of the next write */
    }
    if (trp_stream_receive(ctx, &stdio->err, msg, &event)) {
        if (event.kind == TRP_STREAM_DATA) {
            complaint(stdio, &event);
        } else if (event.kind == TRP_STREAM_END) {
            log_stderr(stdio);
            trp_stream_close(ctx, &stdio->err);
        }
        return true;
    }
    return false;
}

static void
started(struct troupe_ctx *ctx, struct stdio *stdio, const struct trp_process_started *news)
{
    int fds[3];
    if (stdio->state != STATE_STARTING) {
        return; /* too late: the manager closes the descriptors when this actor ends */
    }
    for (unsigned i = 0; i < 3; i++) {
        fds[i] = trp_process_take_fd(news->process, i);
    }
    troupe_timer_cancel(ctx, &stdio->deadline);
    stdio->process_id = news->id;
    stdio->state = STATE_RUNNING;
    trp_stream_open(ctx, &stdio->in, -1, fds[0], &stdio->limits);
    trp_stream_open(ctx, &stdio->out, fds[1], -1, &stdio->limits);
    trp_stream_open(ctx, &stdio->err, fds[2], -1, &stdio->limits);
    trp_stream_resume(ctx, &stdio->out);
    trp_stream_resume(ctx, &stdio->err);
    trp_log_info("backend process started", trp_log_u64("instance", stdio->instance),
                 trp_log_client(stdio->client), trp_log_u64("pid", (uint64_t)news->pid));
    struct troupe_msg *msg = troupe_msg_new(ctx, TRP_BACKEND_MSG_READY, 0);
    if (msg != NULL) {
        trp_mcp_outbox_send(ctx, &stdio->outbox, stdio->user, msg);
    }
    while ((msg = pop_pending(stdio)) != NULL) {
        write_text(ctx, stdio, msg);
        troupe_msg_free(ctx, msg);
    }
    trp_stream_flush(ctx, &stdio->in);
}

static enum troupe_verdict
exited(struct troupe_ctx *ctx, struct stdio *stdio, const struct trp_backend_down *news)
{
    stdio->is_exited = true;
    stdio->down.was_early = news->was_early;
    stdio->down.retry_after_ms = news->retry_after_ms;
    if (stdio->state == STATE_RUNNING) {
        memcpy(stdio->down.reason, news->reason, sizeof(news->reason));
        stdio->state = STATE_ENDING;
    }
    troupe_timer_start(ctx, &stdio->deadline, DRAIN_NS, 0, MSG_DEADLINE);
    return check_end(ctx, stdio);
}

static enum troupe_verdict deadline(struct troupe_ctx *ctx, struct stdio *stdio)
{
    switch (stdio->state) {
    case STATE_STARTING:
        (void)snprintf(stdio->down.reason, sizeof(stdio->down.reason), "%s",
                       "Backend did not start in time");
        return finish(ctx, stdio);
    case STATE_RUNNING:
        condemn(ctx, stdio, "Backend closed its output");
        return TROUPE_CONTINUE;
    case STATE_ENDING: /* somebody else holds its output, or the news was lost */
    case STATE_DOWN:
        break;
    }
    return finish(ctx, stdio);
}

/* --- the actor --- */

static enum troupe_status stdio_init(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct stdio *stdio = state;
    const struct trp_backend_arg *given = arg;
    stdio->service = given->backend_state;
    stdio->worker = trp_mcp_here(stdio->service, ctx);
    stdio->user = given->user;
    stdio->instance = given->instance;
    memcpy(stdio->client, given->client, sizeof(stdio->client));
    const struct trp_mcp_config *config = &stdio->service->config;
    stdio->lines.bytes_max = config->line_bytes_max;
    stdio->limits = (struct trp_stream_limits){
        .queue_bytes_max = config->child_queue_max,
        .queue_entries_max = 10000,
        .linger_ns = DRAIN_NS,
    };
    if (!trp_processes_start(ctx, stdio->service->processes)) {
        return TROUPE_ENOMEM;
    }
    /* waiting and starting have this limit each; the manager tells us, this is for lost news */
    troupe_timer_start(ctx, &stdio->deadline, 2 * config->start_timeout_ns + END_NS, 0,
                       MSG_DEADLINE);
    return TROUPE_OK;
}

static enum troupe_verdict
stdio_receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct stdio *stdio = state;
    enum troupe_verdict verdict;
    if (stream_message(ctx, stdio, msg, &verdict)) {
        return verdict;
    }
    switch (msg->type) {
    case TRP_BACKEND_MSG_SEND:
        outgoing(ctx, stdio, msg);
        return TROUPE_CONTINUE;
    case TRP_BACKEND_MSG_KILL:
        if (stdio->process_id != 0) {
            trp_processes_kill(ctx, stdio->service->processes, stdio->process_id, false);
            trp_flush(ctx); /* before the child can see that its input is closed */
        }
        return TROUPE_STOP;
    case TRP_PROC_MSG_STARTED:
        started(ctx, stdio, troupe_msg_data(msg));
        return TROUPE_CONTINUE;
    case TRP_PROC_MSG_FAILED:
        memcpy(&stdio->down, troupe_msg_data(msg), sizeof(stdio->down));
        return finish(ctx, stdio);
    case TRP_PROC_MSG_EXITED:
        return exited(ctx, stdio, troupe_msg_data(msg));
    case TRP_MCP_MSG_OUTBOX:
        trp_mcp_outbox_retry(ctx, &stdio->outbox);
        if (stdio->is_paused && !trp_mcp_outbox_is_blocked(&stdio->outbox)) {
            stdio->is_paused = false;
            trp_stream_resume(ctx, &stdio->out);
        }
        return check_end(ctx, stdio);
    case MSG_DEADLINE:
        return deadline(ctx, stdio);
    default:
        return TROUPE_CONTINUE;
    }
}

static void stdio_terminate(struct troupe_ctx *ctx, void *state, enum troupe_down_reason reason)
{
    struct stdio *stdio = state;
    struct troupe_msg *msg;
    (void)reason;
    trp_stream_fini(ctx, &stdio->in);
    trp_stream_fini(ctx, &stdio->out);
    trp_stream_fini(ctx, &stdio->err);
    trp_mcp_lines_fini(&stdio->lines);
    while ((msg = pop_pending(stdio)) != NULL) {
        troupe_msg_free(ctx, msg);
    }
    trp_mcp_outbox_fini(ctx, &stdio->outbox);
}

const struct troupe_actor_type trp_mcp_stdio_type = {
    .name = "mcp stdio",
    .state_size = sizeof(struct stdio),
    .data_count_max = 0,
    .data_bytes_max = 64u << 20,
    .init_cb = stdio_init,
    .receive_cb = stdio_receive,
    .terminate_cb = stdio_terminate,
};
