#ifndef TESTS_UNIT_NOSTR_FAKE_RELAY_H
#define TESTS_UNIT_NOSTR_FAKE_RELAY_H

/* A relay that the test itself plays, over blocking sockets; every wait has a deadline. */

#include "tests/cmocka.h"

#include <stdbool.h>
#include <stdint.h>

#define FAKE_TEXT_MAX (3u << 20)

struct fake_relay {
    int fd;
    uint16_t port;
    char url[64];
};

struct fake_conn {
    int fd;
    char *text; /* the newest message, with a NUL behind it */
    uint32_t len;
};

/* Listens on 127.0.0.1. port 0 = any. */
void fake_relay_open(struct fake_relay *relay, uint16_t port);
void fake_relay_close(struct fake_relay *relay);

/* Waits for a connection and does the handshake. */
void fake_relay_accept(struct fake_relay *relay, struct fake_conn *conn);
/* The same without answering the handshake. */
void fake_relay_accept_silent(struct fake_relay *relay, struct fake_conn *conn);
/* Closes the socket at once. */
void fake_conn_cut(struct fake_conn *conn);

/* The next text message; NULL when the peer ended. Pings are answered. */
const char *fake_conn_read(struct fake_conn *conn);
/* Reads a message that must begin with this. */
const char *fake_conn_expect(struct fake_conn *conn, const char *prefix);
/* Reads a REQ and copies its subscription id. */
const char *fake_conn_expect_req(struct fake_conn *conn, char sub[17]);
/* Nothing must come for this long. */
void fake_conn_expect_silence(struct fake_conn *conn, int ms);
/* The peer must end the connection; its messages until then are dropped. */
void fake_conn_expect_end(struct fake_conn *conn);

void fake_conn_send(struct fake_conn *conn, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void fake_conn_send_frame(struct fake_conn *conn, uint8_t opcode, const void *data, uint32_t len);

#endif
