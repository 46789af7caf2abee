/*
 * chat: a chat room over TCP. What one client writes as a line, all others read.
 *
 *     chat PORT     0 = any port; then nc 127.0.0.1 PORT in several terminals
 *
 * Ends on SIGTERM. A line is one counted buffer that all share.
 */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <troupe/io.h>
#include <troupe/net.h>
#include <troupe/relations.h>
#include <unistd.h>

enum { MSG_JOIN = 1, MSG_LINE, MSG_LEFT };
enum { GUESTS_MAX = 1000, LINE_SIZE = 500 }; /* longer lines come in parts */
static troupe_ref room_ref;

static void send_line(struct troupe_ctx *ctx, troupe_ref to, struct troupe_buf *buf)
{
    struct troupe_msg *msg = troupe_msg_new_buf(ctx, MSG_LINE, sizeof(buf), buf);
    if (msg == NULL) {
        troupe_buf_release(buf);
    } else if (troupe_send(ctx, to, &msg) != TROUPE_OK) {
        troupe_msg_free(ctx, msg); /* busy: it misses this line; frees the buffer too */
    }
}

struct guest {
    struct troupe_conn conn;
    struct troupe_buf *line; /* what has come of the next one: TCP knows no lines */
};

static enum troupe_status guest_start(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct guest *guest = state;
    troupe_conn_accept(ctx, &guest->conn, arg, NULL);
    return troupe_send_copy(ctx, room_ref, MSG_JOIN, NULL, 0); /* `from` says who we are */
}

static void guest_read(struct troupe_ctx *ctx, struct guest *guest, struct troupe_span data)
{
    for (size_t i = 0; i < data.len; i++) {
        if (guest->line == NULL && (guest->line = troupe_buf_new(ctx, LINE_SIZE)) == NULL) {
            return; /* no memory: what came is lost */
        }
        guest->line->data[guest->line->size++] = (uint8_t)data.data[i];
        if (data.data[i] == '\n' || guest->line->size == LINE_SIZE) {
            send_line(ctx, room_ref, guest->line);
            guest->line = NULL;
        }
    }
}

static enum troupe_verdict guest(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct guest *guest = state;
    struct troupe_conn_event event;
    if (!troupe_conn_receive(ctx, &guest->conn, msg, &event)) {
        (void)!troupe_conn_send(ctx, &guest->conn, troupe_msg_buf(msg)); /* busy: reads slowly */
    } else if (event.kind == TROUPE_CONN_DATA) {
        guest_read(ctx, guest, event.data);
    } else if (event.kind == TROUPE_CONN_END) {
        troupe_conn_close(ctx, &guest->conn);
    } else if (event.kind == TROUPE_CONN_CLOSED) {
        return TROUPE_STOP; /* the room hears of it through its monitor */
    }
    troupe_conn_flush(ctx, &guest->conn);
    return TROUPE_CONTINUE;
}

static void guest_end(struct troupe_ctx *ctx, void *state, enum troupe_down_reason reason)
{
    struct guest *guest = state;
    (void)reason;
    troupe_buf_release(guest->line); /* NULL is fine */
    troupe_conn_fini(ctx, &guest->conn);
}
static const struct troupe_actor_type guest_type = {
    .name = "guest",
    .state_size = sizeof(struct guest),
    .init_cb = guest_start,
    .receive_cb = guest,
    .terminate_cb = guest_end,
};

struct room {
    uint32_t count;
    troupe_ref guests[GUESTS_MAX];
};

static enum troupe_verdict room(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct room *room = state;
    const struct troupe_down *down = troupe_msg_data(msg); /* of MSG_LEFT */
    if (msg->type == MSG_JOIN && room->count < GUESTS_MAX &&
        troupe_monitor(ctx, msg->from, MSG_LEFT, 0, NULL) == TROUPE_OK) {
        room->guests[room->count++] = msg->from;
    } else if (msg->type == MSG_JOIN) {
        troupe_stop(ctx, msg->from);
    }
    for (uint32_t i = 0; i < room->count; i++) {
        if (msg->type == MSG_LINE && room->guests[i] != msg->from) {
            send_line(ctx, room->guests[i], troupe_buf_retain(troupe_msg_buf(msg)));
        } else if (msg->type == MSG_LEFT && room->guests[i] == down->ref) {
            room->guests[i] = room->guests[--room->count];
        }
    }
    return TROUPE_CONTINUE;
}
static const struct troupe_actor_type room_type = {
    .name = "room", .state_size = sizeof(struct room), .receive_cb = room};

int main(int argc, char **argv)
{
    char address[32], error[256] = "no memory";
    bool is_help = argc == 2 && strcmp(argv[1], "--help") == 0;
    size_t digits = argc == 2 ? strspn(argv[1], "0123456789") : 0;
    if (digits == 0 || digits > 5 || argv[1][digits] != '\0' || atoi(argv[1]) > 65535) {
        fprintf(is_help ? stdout : stderr, "usage: chat PORT\n");
        return is_help ? 0 : 2;
    }
    const struct troupe_pool_config sockets = {.driver = troupe_ring_driver()};
    const struct troupe_listener_config at = {.address = address, .conn_type = &guest_type};
    struct troupe_pool *pool;
    struct troupe_listener *listener;
    sigset_t signals;
    snprintf(address, sizeof(address), "127.0.0.1:%d", atoi(argv[1]));
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL); /* for all threads: it is for sigwaitinfo alone */
    if (troupe_pool_create(&pool, &sockets, error, sizeof(error)) != TROUPE_OK ||
        troupe_pool_spawn(pool, &room_ref, 0, &room_type, NULL) != TROUPE_OK ||
        troupe_listener_create(&listener, pool, &at, error, sizeof(error)) != TROUPE_OK ||
        troupe_pool_start(pool, error, sizeof(error)) != TROUPE_OK) {
        fprintf(stderr, "%s\n", error);
        return 1;
    }
    dprintf(STDOUT_FILENO, "chat on %s\n", troupe_listener_address(listener));
    sigwaitinfo(&signals, NULL);
    troupe_pool_stop(pool);
    troupe_pool_join(pool);
    troupe_listener_destroy(listener);
    troupe_pool_destroy(pool);
    return 0;
}
