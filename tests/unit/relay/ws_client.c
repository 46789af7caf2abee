#include "tests/unit/relay/ws_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <troupe/assert.h>
#include <unistd.h>

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Waits for the descriptor; false at the deadline. */
static bool wait_for(int fd, short events, int64_t deadline_ms)
{
    for (;;) {
        struct pollfd waited = {.fd = fd, .events = events};
        int64_t left_ms = deadline_ms - now_ms();
        int count = left_ms > 0 ? poll(&waited, 1, (int)left_ms) : 0;
        if (count >= 0 || errno != EINTR) {
            return count > 0;
        }
    }
}

static bool send_all(int fd, const void *data, size_t len)
{
    int64_t deadline_ms = now_ms() + WS_CLIENT_WAIT_MS;
    const char *at = data;
    while (len > 0) {
        ssize_t sent = send(fd, at, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0) {
            at += sent;
            len -= (size_t)sent;
        } else if (errno == EAGAIN || errno == EINTR) {
            if (!wait_for(fd, POLLOUT, deadline_ms)) {
                return false;
            }
        } else {
            return false;
        }
    }
    return true;
}

int ws_client_dial(uint16_t port, int receive_buffer)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    TROUPE_ASSERT(fd >= 0);
    if (receive_buffer > 0) {
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer));
    }
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* Reads more; 1 = some, 0 = the end, -1 = nothing until the deadline. */
static int fill(struct ws_client *client, int64_t deadline_ms)
{
    if (client->begin > 0) {
        memmove(client->data, client->data + client->begin, client->end - client->begin);
        client->end -= client->begin;
        client->begin = 0;
    }
    if (client->cap - client->end < 4096) {
        client->cap = client->cap * 2 + 8192;
        client->data = realloc(client->data, client->cap);
        TROUPE_ASSERT(client->data != NULL);
    }
    if (!wait_for(client->fd, POLLIN, deadline_ms)) {
        return -1;
    }
    ssize_t got = recv(client->fd, client->data + client->end, client->cap - client->end, 0);
    if (got <= 0) {
        return 0;
    }
    client->end += (size_t)got;
    return 1;
}

bool ws_client_open(struct ws_client *client, uint16_t port, int receive_buffer)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
                                  "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                                  "Sec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\n\r\n";
    memset(client, 0, sizeof(*client));
    client->fd = ws_client_dial(port, receive_buffer);
    if (client->fd < 0 || !send_all(client->fd, request, sizeof(request) - 1)) {
        ws_client_drop(client);
        return false;
    }
    int64_t deadline_ms = now_ms() + WS_CLIENT_WAIT_MS;
    uint8_t *end = NULL;
    while (end == NULL && fill(client, deadline_ms) == 1) {
        end = memmem(client->data, client->end, "\r\n\r\n", 4);
    }
    if (end == NULL || memcmp(client->data, "HTTP/1.1 101", 12) != 0) {
        ws_client_drop(client);
        return false;
    }
    client->begin = (size_t)(end - client->data) + 4;
    return true;
}

void ws_client_drop(struct ws_client *client)
{
    if (client->fd >= 0) {
        close(client->fd);
    }
    free(client->data);
    free(client->text);
    memset(client, 0, sizeof(*client));
    client->fd = -1;
}

bool ws_client_frame(struct ws_client *client, uint8_t first, const void *data, size_t len)
{
    static const uint8_t mask[4] = {0x12, 0x34, 0x56, 0x78};
    uint8_t *frame = malloc(len + 14);
    size_t at = 0;
    TROUPE_ASSERT(frame != NULL);
    frame[at++] = first;
    if (len < 126) {
        frame[at++] = (uint8_t)(0x80 | len);
    } else if (len < 65536) {
        frame[at++] = 0x80 | 126;
        frame[at++] = (uint8_t)(len >> 8);
        frame[at++] = (uint8_t)len;
    } else {
        frame[at++] = 0x80 | 127;
        for (int shift = 56; shift >= 0; shift -= 8) {
            frame[at++] = (uint8_t)((uint64_t)len >> shift);
        }
    }
    memcpy(frame + at, mask, sizeof(mask));
    at += sizeof(mask);
    for (size_t i = 0; i < len; i++) {
        frame[at + i] = ((const uint8_t *)data)[i] ^ mask[i % 4];
    }
    bool is_sent = send_all(client->fd, frame, at + len);
    free(frame);
    return is_sent;
}

void ws_client_send(struct ws_client *client, const char *text)
{
    (void)ws_client_frame(client, 0x81, text, strlen(text));
}

/* A whole frame in the buffer: true with its parts, the payload not taken yet. */
static bool parse(const struct ws_client *client, uint8_t *opcode, size_t *head, size_t *len)
{
    const uint8_t *data = client->data + client->begin;
    size_t have = client->end - client->begin;
    if (have < 2) {
        return false;
    }
    *opcode = data[0] & 0x0F;
    *len = data[1] & 0x7F;
    TROUPE_ASSERT((data[0] & 0x80) != 0); /* the relay does not cut its messages */
    TROUPE_ASSERT((data[1] & 0x80) == 0); /* servers do not mask */
    *head = *len == 126 ? 4 : *len == 127 ? 10 : 2;
    if (have < *head) {
        return false;
    }
    if (*head > 2) {
        *len = 0;
        for (size_t i = 2; i < *head; i++) {
            *len = *len << 8 | data[i];
        }
    }
    return have - *head >= *len;
}

static void take_text(struct ws_client *client, const uint8_t *data, size_t len)
{
    if (client->text_cap < len + 1) {
        client->text_cap = 2 * len + 64;
        client->text = realloc(client->text, client->text_cap);
        TROUPE_ASSERT(client->text != NULL);
    }
    memcpy(client->text, data, len);
    client->text[len] = '\0';
    client->text_len = len;
}

enum ws_client_got ws_client_receive(struct ws_client *client)
{
    int64_t deadline_ms = now_ms() + WS_CLIENT_WAIT_MS;
    for (;;) {
        uint8_t opcode;
        size_t head;
        size_t len;
        while (!parse(client, &opcode, &head, &len)) {
            int got = fill(client, deadline_ms);
            if (got <= 0) {
                return got == 0 ? WS_CLIENT_ENDED : WS_CLIENT_TIMEOUT;
            }
        }
        const uint8_t *payload = client->data + client->begin + head;
        client->begin += head + len;
        if (opcode == 1) {
            take_text(client, payload, len);
            return WS_CLIENT_TEXT;
        }
        if (opcode == 8) {
            unsigned code = len >= 2 ? (unsigned)payload[0] << 8 | payload[1] : 1005u;
            client->close_code = (uint16_t)code;
            (void)ws_client_frame(client, 0x88, payload, len >= 2 ? 2 : 0);
            return WS_CLIENT_CLOSED;
        }
        if (opcode == 9) {
            (void)ws_client_frame(client, 0x8A, payload, len);
        }
    }
}

void ws_client_http(uint16_t port, const char *request, char *out, size_t cap)
{
    int64_t deadline_ms = now_ms() + WS_CLIENT_WAIT_MS;
    int fd = ws_client_dial(port, 0);
    size_t len = 0;
    TROUPE_ASSERT(fd >= 0);
    (void)send_all(fd, request, strlen(request));
    while (len + 1 < cap && wait_for(fd, POLLIN, deadline_ms)) {
        ssize_t got = recv(fd, out + len, cap - 1 - len, 0);
        if (got <= 0) {
            break;
        }
        len += (size_t)got;
    }
    out[len] = '\0';
    close(fd);
}
