#include "fake_relay.h"

#include "io/codec/ws_handshake.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define DEADLINE_MS 20000

void fake_relay_open(struct fake_relay *relay, uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t len = sizeof(address);
    int on = 1;
    relay->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(relay->fd >= 0);
    assert_int_equal(setsockopt(relay->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
    assert_int_equal(bind(relay->fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(relay->fd, 16), 0);
    assert_int_equal(getsockname(relay->fd, (struct sockaddr *)&address, &len), 0);
    relay->port = ntohs(address.sin_port);
    (void)snprintf(relay->url, sizeof(relay->url), "ws://127.0.0.1:%u/", relay->port);
}

void fake_relay_close(struct fake_relay *relay)
{
    (void)close(relay->fd);
    relay->fd = -1;
}

static bool wait_readable(int fd, int ms)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    int ready;
    do {
        ready = poll(&poll_fd, 1, ms);
    } while (ready < 0 && errno == EINTR);
    return ready > 0;
}

/* False at the end of the stream. */
static bool read_exactly(int fd, void *out, size_t len)
{
    uint8_t *at = out;
    while (len > 0) {
        if (!wait_readable(fd, DEADLINE_MS)) {
            fail_msg("nothing to read within the deadline");
        }
        ssize_t got = recv(fd, at, len, 0);
        if (got <= 0) {
            return false;
        }
        at += got;
        len -= (size_t)got;
    }
    return true;
}

static void write_all(int fd, const void *data, size_t len)
{
    const uint8_t *at = data;
    while (len > 0) {
        ssize_t sent = send(fd, at, len, MSG_NOSIGNAL);
        if (sent < 0) {
            return; /* the peer went away: the reader will notice */
        }
        at += sent;
        len -= (size_t)sent;
    }
}

void fake_relay_accept_silent(struct fake_relay *relay, struct fake_conn *conn)
{
    if (!wait_readable(relay->fd, DEADLINE_MS)) {
        fail_msg("no connection within the deadline");
    }
    conn->fd = accept4(relay->fd, NULL, NULL, SOCK_CLOEXEC);
    assert_true(conn->fd >= 0);
    conn->text = malloc(FAKE_TEXT_MAX + 1);
    assert_non_null(conn->text);
    conn->len = 0;
}

void fake_relay_accept(struct fake_relay *relay, struct fake_conn *conn)
{
    static const char key_name[] = "Sec-WebSocket-Key:";
    char head[4096];
    size_t len = 0;
    char accept_text[TRP_WS_ACCEPT_LEN];
    char answer[256];
    fake_relay_accept_silent(relay, conn);
    do {
        assert_true(len < sizeof(head) - 1);
        assert_true(read_exactly(conn->fd, head + len, 1));
        head[++len] = '\0';
    } while (len < 4 || memcmp(head + len - 4, "\r\n\r\n", 4) != 0);
    const char *key = strcasestr(head, key_name);
    assert_non_null(key);
    key += sizeof(key_name) - 1;
    key += strspn(key, " ");
    assert_true(trp_ws_accept(accept_text, troupe_span(key, strcspn(key, "\r "))));
    int size = snprintf(answer, sizeof(answer),
                        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                        "Connection: Upgrade\r\nSec-WebSocket-Accept: %.28s\r\n\r\n",
                        accept_text);
    write_all(conn->fd, answer, (size_t)size);
}

void fake_conn_cut(struct fake_conn *conn)
{
    (void)close(conn->fd);
    free(conn->text);
    conn->fd = -1;
    conn->text = NULL;
}

/* One frame into conn->text; its opcode, -1 at the end. */
static int read_frame(struct fake_conn *conn)
{
    uint8_t head[2];
    uint8_t extended[8];
    uint8_t mask[4];
    if (!read_exactly(conn->fd, head, 2)) {
        return -1;
    }
    assert_int_equal(head[0] & 0x80, 0x80);
    assert_int_equal(head[1] & 0x80, 0x80); /* clients mask */
    uint64_t len = head[1] & 0x7f;
    size_t extra = len == 126 ? 2 : len == 127 ? 8 : 0;
    if (extra > 0) {
        if (!read_exactly(conn->fd, extended, extra)) {
            return -1;
        }
        len = 0;
        for (size_t i = 0; i < extra; i++) {
            len = len << 8 | extended[i];
        }
    }
    assert_true(len <= FAKE_TEXT_MAX);
    if (!read_exactly(conn->fd, mask, 4) || !read_exactly(conn->fd, conn->text, (size_t)len)) {
        return -1;
    }
    for (uint64_t i = 0; i < len; i++) {
        conn->text[i] = (char)((uint8_t)conn->text[i] ^ mask[i % 4]);
    }
    conn->text[len] = '\0';
    conn->len = (uint32_t)len;
    return head[0] & 0x0f;
}

const char *fake_conn_read(struct fake_conn *conn)
{
    for (;;) {
        int opcode = read_frame(conn);
        if (opcode == 1) {
            return conn->text;
        }
        if (opcode == 9) {
            fake_conn_send_frame(conn, 10, conn->text, conn->len);
        } else if (opcode != 10) {
            return NULL; /* close, or the end */
        }
    }
}

const char *fake_conn_expect(struct fake_conn *conn, const char *prefix)
{
    const char *text = fake_conn_read(conn);
    assert_non_null(text);
    if (strncmp(text, prefix, strlen(prefix)) != 0) {
        fail_msg("expected %s..., got %.200s", prefix, text);
    }
    return text;
}

const char *fake_conn_expect_req(struct fake_conn *conn, char sub[17])
{
    const char *text = fake_conn_expect(conn, "[\"REQ\",\"");
    const char *id = text + strlen("[\"REQ\",\"");
    assert_int_equal(strcspn(id, "\""), 16);
    memcpy(sub, id, 16);
    sub[16] = '\0';
    return text;
}

void fake_conn_expect_silence(struct fake_conn *conn, int ms)
{
    assert_false(wait_readable(conn->fd, ms));
}

void fake_conn_expect_end(struct fake_conn *conn)
{
    while (fake_conn_read(conn) != NULL) {
    }
}

void fake_conn_send_frame(struct fake_conn *conn, uint8_t opcode, const void *data, uint32_t len)
{
    uint8_t head[10] = {(uint8_t)(0x80 | opcode)};
    size_t head_len = 2;
    if (len < 126) {
        head[1] = (uint8_t)len;
    } else if (len < 65536) {
        head[1] = 126;
        head[2] = (uint8_t)(len >> 8);
        head[3] = (uint8_t)len;
        head_len = 4;
    } else {
        head[1] = 127;
        for (unsigned i = 0; i < 4; i++) {
            head[6 + i] = (uint8_t)(len >> (24 - 8 * i));
        }
        head_len = 10;
    }
    write_all(conn->fd, head, head_len);
    write_all(conn->fd, data, len);
}

void fake_conn_send(struct fake_conn *conn, const char *format, ...)
{
    va_list args;
    char *text;
    va_start(args, format);
    int len = vasprintf(&text, format, args);
    va_end(args);
    assert_true(len >= 0);
    fake_conn_send_frame(conn, 1, text, (uint32_t)len);
    free(text);
}
