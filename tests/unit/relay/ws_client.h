#ifndef TESTS_UNIT_RELAY_WS_CLIENT_H
#define TESTS_UNIT_RELAY_WS_CLIENT_H

/* A small blocking WebSocket client for tests. Every call has a deadline of WS_CLIENT_WAIT_MS. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WS_CLIENT_WAIT_MS 10000

struct ws_client {
    int fd;
    uint8_t *data; /* received, not taken yet */
    size_t cap;
    size_t begin;
    size_t end;
    char *text; /* the last message, with a NUL behind it */
    size_t text_cap;
    size_t text_len;
    uint16_t close_code; /* when the peer sent a close frame */
};

enum ws_client_got {
    WS_CLIENT_TEXT,    /* text, text_len */
    WS_CLIENT_CLOSED,  /* close frame: close_code */
    WS_CLIENT_ENDED,   /* end of stream or reset */
    WS_CLIENT_TIMEOUT, /* nothing came */
};

/* A TCP connection to 127.0.0.1; receive_buffer: 0 = the system's. -1 when refused. */
int ws_client_dial(uint16_t port, int receive_buffer);

/* Connects and does the opening handshake. False when the server does not upgrade. */
bool ws_client_open(struct ws_client *client, uint16_t port, int receive_buffer);

/* Without a closing handshake. */
void ws_client_drop(struct ws_client *client);

void ws_client_send(struct ws_client *client, const char *text);

/* One frame, masked: first is the byte with FIN and opcode. False when the server hung up. */
bool ws_client_frame(struct ws_client *client, uint8_t first, const void *data, size_t len);

/* The next text message or the end; answers pings. */
enum ws_client_got ws_client_receive(struct ws_client *client);

/* One HTTP request; the whole answer until the server closes, cstr in out. */
void ws_client_http(uint16_t port, const char *request, char *out, size_t cap);

#endif
