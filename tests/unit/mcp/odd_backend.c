#include "odd_backend.h"

#include "actors/mcp/client_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MSG_TICK = 0x701 };

struct odd {
    struct trp_mcp_worker *worker;
    troupe_ref user;
    uint32_t cancels;
    uint32_t ticks;
    uint64_t tick_number;
    struct troupe_timer timer;
    char replies[512];
};

static void say(struct troupe_ctx *ctx, struct odd *odd, const char *text)
{
    size_t len = strlen(text);
    struct troupe_buf *buf = trp_backend_text_buf(ctx, len);
    if (buf == NULL) {
        abort();
    }
    memcpy(buf->data, text, len);
    buf->size = (uint32_t)len;
    struct troupe_msg *msg = trp_backend_text_msg(ctx, TRP_BACKEND_MSG_TEXT, buf, 0, buf->size);
    if (msg == NULL || troupe_send(ctx, odd->user, &msg) != TROUPE_OK) {
        troupe_msg_free(ctx, msg);
    }
}

static void answer(struct troupe_ctx *ctx, struct odd *odd, uint64_t number, const char *result)
{
    char *text = NULL;
    if (asprintf(&text, "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"result\":%s}",
                 (unsigned long long)number, result) < 0) {
        abort();
    }
    say(ctx, odd, text);
    free(text);
}

static void big(struct troupe_ctx *ctx, struct odd *odd, uint64_t number)
{
    enum { SIZE = 100000 };
    char *result = malloc(SIZE + 1);
    if (result == NULL) {
        abort();
    }
    memset(result, 'x', SIZE);
    result[0] = '"';
    result[SIZE - 1] = '"';
    result[SIZE] = '\0';
    answer(ctx, odd, number, result);
    free(result);
}

static enum troupe_verdict down(struct troupe_ctx *ctx, struct odd *odd)
{
    struct trp_backend_down news = {.retry_after_ms = 1234, .reason = "odd end"};
    if (troupe_send_copy(ctx, odd->user, TRP_BACKEND_MSG_DOWN, &news, (uint32_t)sizeof(news)) !=
        TROUPE_OK) {
        abort();
    }
    return TROUPE_STOP;
}

static void stranger(struct troupe_ctx *ctx, struct odd *odd)
{
    answer(ctx, odd, 999999, "{}");
    say(ctx, odd,
        "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{"
        "\"progressToken\":999999,\"progress\":1}}");
    say(ctx, odd, "{\"x\":1}");
}

static enum troupe_verdict
request(struct troupe_ctx *ctx, struct odd *odd, const struct trp_mcp_text *text)
{
    char result[512];
    uint64_t number = 0;
    (void)trp_json_u64(&text->doc, text->rpc.id, &number);
    struct troupe_span method = text->rpc.method;
    (void)snprintf(result, sizeof(result), "%s", "{}");
    if (troupe_span_is(method, "odd/mute")) {
        return TROUPE_CONTINUE;
    }
    if (troupe_span_is(method, "odd/down")) {
        return down(ctx, odd);
    }
    if (troupe_span_is(method, "odd/tick")) {
        odd->tick_number = number;
        odd->ticks = 0;
        troupe_timer_start(ctx, &odd->timer, UINT64_C(3000000000), UINT64_C(3000000000), MSG_TICK);
        return TROUPE_CONTINUE;
    }
    if (troupe_span_is(method, "odd/big")) {
        big(ctx, odd, number);
        return TROUPE_CONTINUE;
    }
    if (troupe_span_is(method, "odd/twice")) {
        answer(ctx, odd, number, result);
    } else if (troupe_span_is(method, "odd/stranger")) {
        stranger(ctx, odd);
    } else if (troupe_span_is(method, "odd/notify")) {
        say(ctx, odd, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\"}");
    } else if (troupe_span_is(method, "odd/ask")) {
        say(ctx, odd, "{\"jsonrpc\":\"2.0\",\"id\":\"s1\",\"method\":\"sampling/createMessage\"}");
        say(ctx, odd, "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"ping\"}");
    } else if (troupe_span_is(method, "odd/asked")) {
        (void)snprintf(result, sizeof(result), "[%.500s]", odd->replies);
    } else if (troupe_span_is(method, "odd/cancels")) {
        (void)snprintf(result, sizeof(result), "%u", odd->cancels);
    } else if (troupe_span_is(method, "odd/params")) {
        struct troupe_span params = trp_jsonrpc_raw(&text->doc, text->rpc.params);
        (void)snprintf(result, sizeof(result), "%.*s", (int)params.len, params.data);
    }
    answer(ctx, odd, number, result);
    return troupe_span_is(method, "odd/fail") ? TROUPE_FAIL : TROUPE_CONTINUE;
}

static void tick(struct troupe_ctx *ctx, struct odd *odd)
{
    char text[256];
    if (++odd->ticks > 4) {
        troupe_timer_cancel(ctx, &odd->timer);
        answer(ctx, odd, odd->tick_number, "\"ticked\"");
        return;
    }
    (void)snprintf(text, sizeof(text),
                   "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{"
                   "\"progressToken\":%llu,\"progress\":%u}}",
                   (unsigned long long)odd->tick_number, odd->ticks);
    say(ctx, odd, text);
}

static enum troupe_status init(struct troupe_ctx *ctx, void *state, const void *arg)
{
    const struct trp_backend_arg *given = arg;
    struct odd *odd = state;
    odd->user = given->user;
    odd->worker = trp_mcp_here(given->backend_state, ctx);
    return TROUPE_OK;
}

static enum troupe_verdict receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct odd *odd = state;
    struct trp_mcp_text text;
    if (msg->type == MSG_TICK) {
        tick(ctx, odd);
        return TROUPE_CONTINUE;
    }
    if (msg->type == TRP_BACKEND_MSG_KILL) {
        return TROUPE_STOP;
    }
    struct troupe_span bytes = trp_backend_text_span(msg);
    if (!trp_mcp_text_read(odd->worker, &text, bytes, bytes.len + TROUPE_BUF_PADDING)) {
        abort(); /* clients send valid texts only */
    }
    if (text.rpc.kind == TRP_JSONRPC_REQUEST) {
        return request(ctx, odd, &text);
    }
    if (text.rpc.request_id != NULL) {
        odd->cancels++;
    } else if (text.rpc.kind == TRP_JSONRPC_RESPONSE) {
        size_t used = strlen(odd->replies);
        (void)snprintf(odd->replies + used, sizeof(odd->replies) - used, "%s%.*s",
                       used != 0 ? "," : "", (int)bytes.len, bytes.data);
    }
    return TROUPE_CONTINUE;
}

const struct troupe_actor_type odd_backend_type = {
    .name = "odd backend",
    .state_size = sizeof(struct odd),
    .init_cb = init,
    .receive_cb = receive,
};
