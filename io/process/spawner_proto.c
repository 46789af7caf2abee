#include "io/process/spawner_proto.h"

#include <string.h>

#include <troupe/assert.h>

TROUPE_STATIC_ASSERT(sizeof(struct trp_spawn_head) == 16, "no padding on the wire");
TROUPE_STATIC_ASSERT(sizeof(struct trp_spawn_body) == 16, "no padding on the wire");

static void append(struct trp_spawn_encoding *out, const void *data, size_t len)
{
    TROUPE_ASSERT(out->iov_count < TRP_SPAWN_IOV_MAX);
    /* sendmsg only reads what an iovec points to. */
    out->iov[out->iov_count].iov_base = (void *)(uintptr_t)data;
    out->iov[out->iov_count].iov_len = len;
    out->iov_count++;
    out->head.length += (uint32_t)len;
}

/* Appends texts with their NULs; refuses when they exceed the bytes. */
static bool append_texts(struct trp_spawn_encoding *out,
                         const char *const *texts,
                         uint32_t count,
                         size_t bytes_max)
{
    size_t left = bytes_max;
    for (uint32_t i = 0; i < count; i++) {
        size_t len = strnlen(texts[i], left);
        if (len == left) {
            return false;
        }
        append(out, texts[i], len + 1);
        left -= len + 1;
    }
    return true;
}

static bool is_variable(const char *text)
{
    const char *equals = strchr(text, '=');
    return equals != NULL && equals != text;
}

static bool is_valid(const struct trp_spawn_request *request)
{
    if (request->argc == 0 || request->argv[0][0] == '\0') {
        return false;
    }
    for (uint32_t i = 0; i < request->envc && i < TRP_SPAWN_ENVC_MAX; i++) {
        if (!is_variable(request->env[i])) {
            return false;
        }
    }
    if (request->cwd != NULL && request->cwd[0] == '\0') {
        return false;
    }
    return (unsigned)request->stderr_mode <= TRP_SPAWN_STDERR_NULL;
}

enum troupe_status trp_spawn_encode(struct trp_spawn_encoding *out,
                                    uint64_t id,
                                    const struct trp_spawn_request *request)
{
    if (!is_valid(request)) {
        return TROUPE_EINVAL;
    }
    if (request->argc > TRP_SPAWN_ARGC_MAX || request->envc > TRP_SPAWN_ENVC_MAX) {
        return TROUPE_ETOOLARGE;
    }
    out->iov_count = 0;
    out->head = (struct trp_spawn_head){.type = TRP_SPAWN_PACKET_SPAWN, .id = id};
    out->body = (struct trp_spawn_body){.argc = request->argc,
                                        .envc = request->envc,
                                        .has_cwd = request->cwd != NULL ? 1 : 0,
                                        .stderr_mode = (uint32_t)request->stderr_mode};
    append(out, &out->head, sizeof(out->head));
    append(out, &out->body, sizeof(out->body));
    if (!append_texts(out, request->argv, request->argc, TRP_SPAWN_ARGV_BYTES_MAX) ||
        !append_texts(out, request->env, request->envc, TRP_SPAWN_ENV_BYTES_MAX) ||
        !append_texts(out, &request->cwd, out->body.has_cwd, TRP_SPAWN_CWD_BYTES_MAX)) {
        return TROUPE_ETOOLARGE;
    }
    return TROUPE_OK;
}

/* Takes the next NUL-ended text of a packet, NULL when there is none. */
static char *take_text(char **at, const char *end)
{
    char *text = *at;
    char *nul = memchr(text, '\0', (size_t)(end - text));
    if (nul == NULL) {
        return NULL;
    }
    *at = nul + 1;
    return text;
}

static bool decode_spawn(struct trp_spawn_order *order, char *at, const char *end)
{
    struct trp_spawn_body body;
    if ((size_t)(end - at) < sizeof(body)) {
        return false;
    }
    memcpy(&body, at, sizeof(body));
    at += sizeof(body);
    if (body.argc == 0 || body.argc > TRP_SPAWN_ARGC_MAX || body.envc > TRP_SPAWN_ENVC_MAX ||
        body.has_cwd > 1 || body.stderr_mode > TRP_SPAWN_STDERR_NULL) {
        return false;
    }
    order->argc = body.argc;
    order->envc = body.envc;
    order->cwd = NULL;
    order->stderr_mode = (enum trp_spawn_stderr)body.stderr_mode;
    for (uint32_t i = 0; i < body.argc; i++) {
        order->argv[i] = take_text(&at, end);
        if (order->argv[i] == NULL) {
            return false;
        }
    }
    order->argv[body.argc] = NULL;
    for (uint32_t i = 0; i < body.envc; i++) {
        order->env[i] = take_text(&at, end);
        if (order->env[i] == NULL || !is_variable(order->env[i])) {
            return false;
        }
    }
    if (body.has_cwd == 1) {
        order->cwd = take_text(&at, end);
        if (order->cwd == NULL || order->cwd[0] == '\0') {
            return false;
        }
    }
    return at == end && order->argv[0][0] != '\0';
}

enum troupe_status
trp_spawn_order_decode(struct trp_spawn_order *order, bool *has_id, char *packet, size_t len)
{
    struct trp_spawn_head head;
    *has_id = false;
    if (len < sizeof(head)) {
        return TROUPE_EPROTO;
    }
    memcpy(&head, packet, sizeof(head));
    char *at = packet + sizeof(head);
    const char *end = packet + len;
    bool is_whole = head.length == len;
    order->id = head.id;
    switch (head.type) {
    case TRP_SPAWN_PACKET_SPAWN:
        order->type = TRP_SPAWN_PACKET_SPAWN;
        *has_id = true;
        return is_whole && decode_spawn(order, at, end) ? TROUPE_OK : TROUPE_EPROTO;
    case TRP_SPAWN_PACKET_STOP:
        order->type = TRP_SPAWN_PACKET_STOP;
        if (!is_whole || (size_t)(end - at) != sizeof(order->grace_ms)) {
            return TROUPE_EPROTO;
        }
        memcpy(&order->grace_ms, at, sizeof(order->grace_ms));
        return TROUPE_OK;
    case TRP_SPAWN_PACKET_KILL:
        order->type = TRP_SPAWN_PACKET_KILL;
        return is_whole && at == end ? TROUPE_OK : TROUPE_EPROTO;
    default:
        return TROUPE_EPROTO;
    }
}

static size_t put_bytes(char *packet, size_t at, const void *data, size_t len)
{
    TROUPE_ASSERT(at + len <= TRP_SPAWN_EVENT_MAX);
    memcpy(packet + at, data, len);
    return at + len;
}

size_t trp_spawn_event_encode(char *packet, const struct trp_spawn_event *event)
{
    struct trp_spawn_head head = {.id = event->id};
    size_t at = sizeof(head);
    switch (event->type) {
    case TRP_SPAWN_EVENT_STARTED: {
        int32_t pid = event->pid;
        head.type = TRP_SPAWN_PACKET_STARTED;
        at = put_bytes(packet, at, &pid, sizeof(pid));
        break;
    }
    case TRP_SPAWN_EVENT_FAILED: {
        int32_t error = event->error;
        head.type = TRP_SPAWN_PACKET_FAILED;
        at = put_bytes(packet, at, &error, sizeof(error));
        at = put_bytes(packet, at, event->text, strnlen(event->text, TRP_SPAWN_TEXT_MAX - 1));
        break;
    }
    case TRP_SPAWN_EVENT_EXITED: {
        uint32_t kind = (uint32_t)event->exit_kind;
        int32_t value = event->value;
        head.type = TRP_SPAWN_PACKET_EXITED;
        at = put_bytes(packet, at, &kind, sizeof(kind));
        at = put_bytes(packet, at, &value, sizeof(value));
        break;
    }
    case TRP_SPAWN_EVENT_CLOSED:
        TROUPE_ASSERT(event->type != TRP_SPAWN_EVENT_CLOSED); /* never sent */
    }
    head.length = (uint32_t)at;
    memcpy(packet, &head, sizeof(head));
    return at;
}

enum troupe_status
trp_spawn_event_decode(struct trp_spawn_event *event, const char *packet, size_t len)
{
    struct trp_spawn_head head;
    struct trp_spawn_event out = {.stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1};
    int32_t words[2] = {0, 0};
    if (len < sizeof(head)) {
        return TROUPE_EPROTO;
    }
    memcpy(&head, packet, sizeof(head));
    size_t body = len - sizeof(head);
    if (head.length != len || body < sizeof(words[0])) {
        return TROUPE_EPROTO;
    }
    out.id = head.id;
    memcpy(words, packet + sizeof(head), body < sizeof(words) ? body : sizeof(words));
    if (head.type == TRP_SPAWN_PACKET_STARTED && body == sizeof(words[0]) && words[0] > 0) {
        out.type = TRP_SPAWN_EVENT_STARTED;
        out.pid = words[0];
    } else if (head.type == TRP_SPAWN_PACKET_FAILED &&
               body - sizeof(words[0]) < TRP_SPAWN_TEXT_MAX) {
        out.type = TRP_SPAWN_EVENT_FAILED;
        out.error = words[0];
        memcpy(out.text, packet + sizeof(head) + sizeof(words[0]), body - sizeof(words[0]));
    } else if (head.type == TRP_SPAWN_PACKET_EXITED && body == sizeof(words) &&
               (words[0] == TRP_SPAWN_EXIT_STATUS || words[0] == TRP_SPAWN_EXIT_SIGNAL)) {
        out.type = TRP_SPAWN_EVENT_EXITED;
        out.exit_kind = (enum trp_spawn_exit)words[0];
        out.value = words[1];
    } else {
        return TROUPE_EPROTO;
    }
    *event = out;
    return TROUPE_OK;
}
