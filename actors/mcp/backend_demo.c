#include "actors/mcp/backend_demo.h"

#include "actors/core/log.h"
#include "actors/mcp/client_parts.h"
#include "actors/mcp/js_number.h"

#include <math.h>
#include <stdlib.h>

enum { MSG_DUE = 0x2E0 };

#define ID_MAX 64u /* raw ids and tokens; our numbers have at most 16 digits */

/* A call that ends later. */
struct task {
    struct task *next; /* by due time */
    struct troupe_buf *memory;
    uint64_t due_ns;
    uint64_t step_ns;
    uint32_t steps; /* 0 = a sleep */
    uint32_t steps_done;
    uint32_t id_len;
    uint32_t token_len;
    char id[ID_MAX];
    char token[ID_MAX];
    double ms; /* as asked for */
};

struct demo {
    struct trp_mcp_service *service;
    struct trp_mcp_worker *worker;
    troupe_ref user;
    uint8_t client[32];
    uint32_t instance;
    uint64_t count;
    struct task *tasks;
    uint32_t task_count;
    struct troupe_timer timer;
    struct trp_mcp_outbox outbox;
};

struct call {
    struct demo *demo;
    const struct trp_mcp_text *text;
    struct troupe_span id;                 /* raw */
    const struct trp_json_node *arguments; /* object or NULL */
    const char *tool;
};

static const char tools_list[] =
    "{\"tools\":["
    "{\"name\":\"echo\",\"description\":\"Returns the message as it came\",\"inputSchema\":"
    "{\"type\":\"object\",\"properties\":{\"message\":{\"type\":\"string\"}},"
    "\"required\":[\"message\"]}},"
    "{\"name\":\"sleep\",\"description\":\"Answers after a number of milliseconds\","
    "\"inputSchema\":{\"type\":\"object\",\"properties\":{\"ms\":{\"type\":\"number\","
    "\"minimum\":0,\"maximum\":86400000}},\"required\":[\"ms\"]}},"
    "{\"name\":\"add\",\"description\":\"Adds two numbers\",\"inputSchema\":"
    "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"number\"},"
    "\"b\":{\"type\":\"number\"}},\"required\":[\"a\",\"b\"]}},"
    "{\"name\":\"count\",\"description\":\"Counts the calls to this instance\","
    "\"inputSchema\":{\"type\":\"object\",\"properties\":{}}},"
    "{\"name\":\"whoami\",\"description\":\"Names the client, its worker and its instance\","
    "\"inputSchema\":{\"type\":\"object\",\"properties\":{}}},"
    "{\"name\":\"progress\",\"description\":\"Reports progress in steps, then answers\","
    "\"inputSchema\":{\"type\":\"object\",\"properties\":{\"steps\":{\"type\":\"integer\","
    "\"minimum\":0,\"maximum\":100000},\"ms\":{\"type\":\"number\",\"minimum\":0,"
    "\"maximum\":86400000}},\"required\":[\"steps\",\"ms\"]}},"
    "{\"name\":\"fail\",\"description\":\"Always fails\",\"inputSchema\":"
    "{\"type\":\"object\",\"properties\":{}}}]}";

/* Newest first. */
static const char *const versions[] = {"2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"};

/* --- answering --- */

static void send_buf(struct troupe_ctx *ctx, struct demo *demo, struct troupe_buf *buf, size_t len)
{
    buf->size = (uint32_t)len;
    struct troupe_msg *msg = trp_backend_text_msg(ctx, TRP_BACKEND_MSG_TEXT, buf, 0, (uint32_t)len);
    if (msg != NULL) {
        trp_mcp_outbox_send(ctx, &demo->outbox, demo->user, msg);
    }
}

static struct troupe_buf *room(struct troupe_ctx *ctx, size_t cap)
{
    struct troupe_buf *buf = trp_backend_text_buf(ctx, cap);
    if (buf == NULL) {
        trp_log_error("demo backend is out of memory");
    }
    return buf;
}

static void reply_result(struct troupe_ctx *ctx,
                         struct demo *demo,
                         struct troupe_span id,
                         struct troupe_span result)
{
    size_t cap = id.len + result.len + 64;
    struct troupe_buf *buf = room(ctx, cap);
    if (buf != NULL) {
        struct trp_text out = trp_text_init((char *)buf->data, cap);
        trp_jsonrpc_write_result(&out, id, result);
        send_buf(ctx, demo, buf, out.len);
    }
}

static void reply_error(
    struct troupe_ctx *ctx, struct demo *demo, struct troupe_span id, int code, const char *message)
{
    size_t cap = id.len + 256;
    struct troupe_buf *buf = room(ctx, cap);
    if (buf != NULL) {
        struct trp_text out = trp_text_init((char *)buf->data, cap);
        trp_jsonrpc_write_error(&out, id, code, troupe_span_cstr(message), TRP_JSONRPC_NO_RETRY);
        send_buf(ctx, demo, buf, out.len);
    }
}

/* A tool's result with one text, given as a raw JSON string. */
static void reply_raw_text(struct troupe_ctx *ctx,
                           struct demo *demo,
                           struct troupe_span id,
                           struct troupe_span json,
                           bool is_error)
{
    size_t cap = id.len + json.len + 128;
    struct troupe_buf *buf = room(ctx, cap);
    if (buf == NULL) {
        return;
    }
    struct trp_text out = trp_text_init((char *)buf->data, cap);
    trp_text_cstr(&out, "{\"jsonrpc\":\"2.0\",\"id\":");
    trp_text_span(&out, id);
    trp_text_cstr(&out, ",\"result\":{\"content\":[{\"type\":\"text\",\"text\":");
    trp_text_span(&out, json);
    trp_text_cstr(&out, is_error ? "}],\"isError\":true}}" : "}]}}");
    send_buf(ctx, demo, buf, out.len);
}

/* The same for a text of ours, at most 512 bytes. */
static void reply_text(struct troupe_ctx *ctx,
                       struct demo *demo,
                       struct troupe_span id,
                       const struct trp_text *text,
                       bool is_error)
{
    char json[6 * 512 + 2];
    struct trp_text out = trp_text_init(json, sizeof(json));
    trp_text_json(&out, troupe_span(text->data, text->len));
    reply_raw_text(ctx, demo, id, troupe_span(json, out.len), is_error);
}

static void bad_arguments(struct troupe_ctx *ctx, const struct call *call, const char *what)
{
    char bytes[512];
    struct trp_text text = trp_text_init(bytes, sizeof(bytes));
    trp_text_cstr(&text, "MCP error -32602: Invalid arguments for tool ");
    trp_text_cstr(&text, call->tool);
    trp_text_cstr(&text, ": ");
    trp_text_cstr(&text, what);
    reply_text(ctx, call->demo, call->id, &text, true);
}

static const struct trp_json_node *argument(const struct call *call, const char *name)
{
    return call->arguments != NULL ? trp_json_member(&call->text->doc, call->arguments, name)
                                   : NULL;
}

static bool number_argument(const struct call *call, const char *name, double *value)
{
    char digits[400];
    const struct trp_json_node *node = argument(call, name);
    if (node == NULL || (node->kind != TRP_JSON_INTEGER && node->kind != TRP_JSON_NUMBER) ||
        node->len >= sizeof(digits)) {
        return false;
    }
    struct troupe_span raw = trp_json_raw(&call->text->doc, node);
    memcpy(digits, raw.data, raw.len);
    digits[raw.len] = '\0';
    *value = strtod(digits, NULL);
    return true;
}

/* --- calls that end later --- */

static void insert_task(struct troupe_ctx *ctx, struct demo *demo, struct task *task)
{
    struct task **link = &demo->tasks;
    while (*link != NULL && (*link)->due_ns <= task->due_ns) {
        link = &(*link)->next;
    }
    task->next = *link;
    *link = task;
    if (demo->tasks == task) {
        uint64_t now_ns = troupe_now(ctx);
        troupe_timer_start(ctx, &demo->timer, task->due_ns > now_ns ? task->due_ns - now_ns : 0, 0,
                           MSG_DUE);
    }
}

static void start_task(struct troupe_ctx *ctx, const struct call *call, double ms, uint32_t steps)
{
    struct demo *demo = call->demo;
    struct troupe_span token = trp_jsonrpc_raw(&call->text->doc, call->text->rpc.token);
    if (demo->task_count >= TRP_MCP_DEMO_TASKS_MAX) {
        reply_error(ctx, demo, call->id, -32000, troupe_status_text(TROUPE_EBUSY));
        return;
    }
    if (call->id.len > ID_MAX || token.len > ID_MAX) {
        reply_error(ctx, demo, call->id, -32600, "id or progressToken is too long");
        return;
    }
    struct troupe_buf *memory = troupe_buf_new(ctx, (uint32_t)sizeof(struct task));
    if (memory == NULL) {
        reply_error(ctx, demo, call->id, -32603, troupe_status_text(TROUPE_ENOMEM));
        return;
    }
    struct task *task = (struct task *)(void *)memory->data;
    uint64_t step_ns = (uint64_t)(ms * 1e6);
    *task = (struct task){
        .memory = memory,
        .due_ns = troupe_now(ctx) + step_ns,
        .step_ns = step_ns,
        .steps = steps,
        .id_len = (uint32_t)call->id.len,
        .token_len = (uint32_t)token.len,
        .ms = ms,
    };
    memcpy(task->id, call->id.data, call->id.len);
    if (token.len != 0) {
        memcpy(task->token, token.data, token.len);
    }
    demo->task_count++;
    insert_task(ctx, demo, task);
}

static void free_task(struct demo *demo, struct task *task)
{
    demo->task_count--;
    troupe_buf_release(task->memory);
}

static void finish_task(struct troupe_ctx *ctx, struct demo *demo, struct task *task)
{
    char bytes[128];
    struct trp_text text = trp_text_init(bytes, sizeof(bytes));
    if (task->steps == 0) {
        trp_text_cstr(&text, "slept ");
        trp_js_number(&text, task->ms);
    } else {
        trp_text_cstr(&text, "finished ");
        trp_text_u64(&text, task->steps);
        trp_text_cstr(&text, " steps");
    }
    reply_text(ctx, demo, troupe_span(task->id, task->id_len), &text, false);
    free_task(demo, task);
}

static void tell_progress(struct troupe_ctx *ctx, struct demo *demo, const struct task *task)
{
    struct troupe_buf *buf = task->token_len != 0 ? room(ctx, 256) : NULL;
    if (buf == NULL) {
        return;
    }
    struct trp_text out = trp_text_init((char *)buf->data, 256);
    trp_text_cstr(&out, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{"
                        "\"progressToken\":");
    trp_text_bytes(&out, task->token, task->token_len);
    trp_text_cstr(&out, ",\"progress\":");
    trp_text_u64(&out, task->steps_done);
    trp_text_cstr(&out, ",\"total\":");
    trp_text_u64(&out, task->steps);
    trp_text_cstr(&out, "}}");
    send_buf(ctx, demo, buf, out.len);
}

static void run_due_tasks(struct troupe_ctx *ctx, struct demo *demo)
{
    uint64_t now_ns = troupe_now(ctx);
    while (demo->tasks != NULL && demo->tasks->due_ns <= now_ns) {
        struct task *task = demo->tasks;
        demo->tasks = task->next;
        if (task->steps_done < task->steps) {
            task->steps_done++;
            tell_progress(ctx, demo, task);
        }
        if (task->steps_done == task->steps) {
            finish_task(ctx, demo, task);
        } else {
            /* at least the timer's resolution, so that this loop ends */
            task->due_ns = now_ns + (task->step_ns != 0 ? task->step_ns : 1000000);
            insert_task(ctx, demo, task);
        }
    }
    if (demo->tasks != NULL) {
        troupe_timer_start(ctx, &demo->timer, demo->tasks->due_ns - now_ns, 0, MSG_DUE);
    }
}

static void cancel_task(struct demo *demo, const struct trp_mcp_text *text)
{
    struct troupe_span id = trp_jsonrpc_raw(&text->doc, text->rpc.request_id);
    for (struct task **link = &demo->tasks; *link != NULL; link = &(*link)->next) {
        struct task *task = *link;
        if (troupe_span_equal(troupe_span(task->id, task->id_len), id)) {
            *link = task->next;
            free_task(demo, task);
            return;
        }
    }
}

/* --- tools --- */

static void tool_echo(struct troupe_ctx *ctx, const struct call *call)
{
    const struct trp_json_node *message = argument(call, "message");
    if (message == NULL || message->kind != TRP_JSON_STRING) {
        bad_arguments(ctx, call, "message must be a string");
        return;
    }
    /* as it was spelled: the same text without unescaping and escaping it */
    reply_raw_text(ctx, call->demo, call->id, trp_json_raw(&call->text->doc, message), false);
}

static void tool_sleep(struct troupe_ctx *ctx, const struct call *call)
{
    double ms;
    if (!number_argument(call, "ms", &ms) || !(ms >= 0 && ms <= TRP_MCP_DEMO_MS_MAX)) {
        bad_arguments(ctx, call, "ms must be a number from 0 to 86400000");
        return;
    }
    start_task(ctx, call, ms, 0);
}

static void tool_add(struct troupe_ctx *ctx, const struct call *call)
{
    double a;
    double b;
    char bytes[64];
    if (!number_argument(call, "a", &a) || !number_argument(call, "b", &b)) {
        bad_arguments(ctx, call, "a and b must be numbers");
        return;
    }
    struct trp_text text = trp_text_init(bytes, sizeof(bytes));
    trp_js_number(&text, a + b);
    reply_text(ctx, call->demo, call->id, &text, false);
}

static void tool_count(struct troupe_ctx *ctx, const struct call *call)
{
    char bytes[64];
    struct trp_text text = trp_text_init(bytes, sizeof(bytes));
    trp_text_cstr(&text, "{\"count\":");
    trp_text_u64(&text, ++call->demo->count);
    trp_text_cstr(&text, "}");
    reply_text(ctx, call->demo, call->id, &text, false);
}

static void tool_whoami(struct troupe_ctx *ctx, const struct call *call)
{
    char bytes[160];
    struct trp_text text = trp_text_init(bytes, sizeof(bytes));
    trp_text_cstr(&text, "{\"client\":\"");
    trp_text_hex(&text, call->demo->client, sizeof(call->demo->client));
    trp_text_cstr(&text, "\",\"worker\":");
    trp_text_u64(&text, troupe_self_worker(ctx));
    trp_text_cstr(&text, ",\"instance\":");
    trp_text_u64(&text, call->demo->instance);
    trp_text_cstr(&text, "}");
    reply_text(ctx, call->demo, call->id, &text, false);
}

static void tool_progress(struct troupe_ctx *ctx, const struct call *call)
{
    double steps;
    double ms;
    if (!number_argument(call, "steps", &steps) ||
        !(steps >= 0 && steps <= TRP_MCP_DEMO_STEPS_MAX && steps == floor(steps))) {
        bad_arguments(ctx, call, "steps must be an integer from 0 to 100000");
        return;
    }
    if (!number_argument(call, "ms", &ms) || !(ms >= 0 && ms <= TRP_MCP_DEMO_MS_MAX)) {
        bad_arguments(ctx, call, "ms must be a number from 0 to 86400000");
        return;
    }
    if (steps < 1) {
        reply_raw_text(ctx, call->demo, call->id, troupe_span_cstr("\"finished 0 steps\""), false);
        return;
    }
    start_task(ctx, call, ms, (uint32_t)steps);
}

static void tool_fail(struct troupe_ctx *ctx, const struct call *call)
{
    reply_raw_text(ctx, call->demo, call->id, troupe_span_cstr("\"failed as asked\""), true);
}

static const struct {
    const char *name;
    void (*run)(struct troupe_ctx *ctx, const struct call *call);
} tools[] = {
    {"echo", tool_echo},   {"sleep", tool_sleep},   {"add", tool_add},
    {"count", tool_count}, {"whoami", tool_whoami}, {"progress", tool_progress},
    {"fail", tool_fail},
};

/* --- methods --- */

static void tools_call(struct troupe_ctx *ctx, struct call *call)
{
    const struct trp_json_doc *doc = &call->text->doc;
    const struct trp_json_node *params = call->text->rpc.params;
    const struct trp_json_node *name = params != NULL ? trp_json_member(doc, params, "name") : NULL;
    if (name == NULL || name->kind != TRP_JSON_STRING) {
        reply_error(ctx, call->demo, call->id, -32602, "params.name must be a string");
        return;
    }
    call->arguments = trp_json_member(doc, params, "arguments");
    if (call->arguments != NULL && call->arguments->kind != TRP_JSON_OBJECT) {
        reply_error(ctx, call->demo, call->id, -32602, "params.arguments must be an object");
        return;
    }
    for (size_t i = 0; i < sizeof(tools) / sizeof(tools[0]); i++) {
        if (trp_json_is(doc, name, tools[i].name)) {
            call->tool = tools[i].name;
            tools[i].run(ctx, call);
            return;
        }
    }
    char bytes[512];
    struct troupe_span shown = trp_json_text(doc, name);
    struct trp_text text = trp_text_init(bytes, sizeof(bytes));
    trp_text_cstr(&text, "MCP error -32602: Tool ");
    if (shown.len > 400) {
        shown = troupe_span_cstr("of that name");
    }
    trp_text_span(&text, shown);
    trp_text_cstr(&text, " not found");
    reply_text(ctx, call->demo, call->id, &text, true);
}

static void initialize(struct troupe_ctx *ctx, const struct call *call)
{
    char bytes[256];
    const struct trp_json_doc *doc = &call->text->doc;
    const struct trp_json_node *params = call->text->rpc.params;
    const struct trp_json_node *asked =
        params != NULL ? trp_json_member(doc, params, "protocolVersion") : NULL;
    const char *version = versions[0];
    for (size_t i = 1; i < sizeof(versions) / sizeof(versions[0]); i++) {
        if (trp_json_is(doc, asked, versions[i])) {
            version = versions[i];
        }
    }
    struct trp_text text = trp_text_init(bytes, sizeof(bytes));
    trp_text_cstr(&text, "{\"protocolVersion\":\"");
    trp_text_cstr(&text, version);
    trp_text_cstr(&text, "\",\"capabilities\":{\"tools\":{}},\"serverInfo\":{\"name\":"
                         "\"troupe-demo\",\"version\":\"" TROUPE_VERSION "\"}}");
    reply_result(ctx, call->demo, call->id, troupe_span(bytes, text.len));
}

static void request(struct troupe_ctx *ctx, struct demo *demo, const struct trp_mcp_text *text)
{
    struct call call = {
        .demo = demo,
        .text = text,
        .id = trp_jsonrpc_raw(&text->doc, text->rpc.id),
    };
    if (troupe_span_is(text->rpc.method, "tools/call")) {
        tools_call(ctx, &call);
    } else if (troupe_span_is(text->rpc.method, "tools/list")) {
        reply_result(ctx, demo, call.id, troupe_span_cstr(tools_list));
    } else if (troupe_span_is(text->rpc.method, "initialize")) {
        initialize(ctx, &call);
    } else if (troupe_span_is(text->rpc.method, "ping")) {
        reply_result(ctx, demo, call.id, troupe_span_cstr("{}"));
    } else {
        reply_error(ctx, demo, call.id, -32601, "Method not found");
    }
}

/* --- the actor --- */

static enum troupe_status demo_init(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct demo *demo = state;
    const struct trp_backend_arg *given = arg;
    demo->service = given->backend_state;
    demo->worker = trp_mcp_here(demo->service, ctx);
    demo->user = given->user;
    demo->instance = given->instance;
    memcpy(demo->client, given->client, sizeof(demo->client));
    struct troupe_msg *ready = troupe_msg_new(ctx, TRP_BACKEND_MSG_READY, 0);
    if (ready != NULL) {
        trp_mcp_outbox_send(ctx, &demo->outbox, demo->user, ready);
    }
    return TROUPE_OK;
}

static enum troupe_verdict demo_receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct demo *demo = state;
    struct trp_mcp_text text;
    struct troupe_span bytes;
    switch (msg->type) {
    case TRP_BACKEND_MSG_SEND:
        bytes = trp_backend_text_span(msg);
        if (!trp_mcp_text_read(demo->worker, &text, bytes, bytes.len + TROUPE_BUF_PADDING)) {
            return TROUPE_CONTINUE; /* users send valid texts only */
        }
        if (text.rpc.kind == TRP_JSONRPC_REQUEST) {
            request(ctx, demo, &text);
        } else if (text.rpc.request_id != NULL) {
            cancel_task(demo, &text);
        }
        return TROUPE_CONTINUE;
    case TRP_BACKEND_MSG_KILL:
        return TROUPE_STOP;
    case MSG_DUE:
        run_due_tasks(ctx, demo);
        return TROUPE_CONTINUE;
    case TRP_MCP_MSG_OUTBOX:
        trp_mcp_outbox_retry(ctx, &demo->outbox);
        return TROUPE_CONTINUE;
    default:
        return TROUPE_CONTINUE;
    }
}

static void demo_terminate(struct troupe_ctx *ctx, void *state, enum troupe_down_reason reason)
{
    struct demo *demo = state;
    (void)reason;
    while (demo->tasks != NULL) {
        struct task *task = demo->tasks;
        demo->tasks = task->next;
        free_task(demo, task);
    }
    trp_mcp_outbox_fini(ctx, &demo->outbox);
}

const struct troupe_actor_type trp_mcp_demo_type = {
    .name = "mcp demo",
    .state_size = sizeof(struct demo),
    .data_count_max = 0,
    .data_bytes_max = 64u << 20,
    .init_cb = demo_init,
    .receive_cb = demo_receive,
    .terminate_cb = demo_terminate,
};
