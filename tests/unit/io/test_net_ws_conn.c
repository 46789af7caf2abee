/* WebSocket connections over the ring driver: real sockets, well and badly behaved peers. */

#include "net_harness.h"

#include "../../cmocka.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MS 1000000u

static struct net net;

static int set_up(void **state)
{
    (void)state;
    net_init(&net);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    net_stop(&net);
    return 0;
}

static void start(void)
{
    net_start(&net, 1, "127.0.0.1:0");
}

/* Reads one small unmasked frame; returns the payload length. */
static size_t read_frame(int fd, uint8_t *first_byte, void *payload, size_t cap)
{
    uint8_t header[2];
    raw_recv(fd, header, 2);
    assert_true(header[1] <= 125);
    assert_true(header[1] <= cap);
    *first_byte = header[0];
    raw_recv(fd, payload, header[1]);
    return header[1];
}

static void expect_close(int fd, unsigned code)
{
    uint8_t first;
    uint8_t payload[125];
    size_t len = read_frame(fd, &first, payload, sizeof(payload));
    assert_int_equal(first, 0x88);
    assert_true(len >= 2);
    assert_int_equal(payload[0] << 8 | payload[1], code);
}

static void expect_eof(int fd)
{
    char rest[64];
    assert_int_equal(raw_recv_all(fd, rest, sizeof(rest)), 0);
    close(fd);
}

static int upgraded(void)
{
    int fd = raw_connect(&net);
    raw_upgrade(fd);
    return fd;
}

static void expect_end(const struct net_side *of, uint16_t code, enum troupe_status status)
{
    net_wait(&net, &of->closed, 1);
    struct net_side side = net_look(&net, of);
    assert_int_equal(side.status, status);
    assert_int_equal(side.code, code);
    assert_int_equal(side.closed, 1);
}

/* --- both ends ours --- */

static void test_echo(void **state)
{
    (void)state;
    start();
    net_connect(&net, NULL);
    net_wait(&net, &net.client.opened, 1);
    for (uint32_t i = 1; i <= 50; i++) {
        char text[32];
        snprintf(text, sizeof(text), "message %u", i);
        net_command(&net, net.client.newest, CMD_SEND, 0, text);
        net_wait(&net, &net.client.messages, i);
        assert_string_equal(net_look(&net, &net.client).text, text);
    }
    net_command(&net, net.client.newest, CMD_CLOSE, 1000, "done");
    expect_end(&net.server, 1000, TROUPE_OK);
    assert_string_equal(net_look(&net, &net.server).reason, "done");
    expect_end(&net.client, 1000, TROUPE_OK);
    net_wait(&net, &net.client.ended, 1);
    net_wait(&net, &net.server.ended, 1);
}

static void test_server_closes(void **state)
{
    (void)state;
    start();
    net_connect(&net, NULL);
    net_wait(&net, &net.server.opened, 1);
    net_wait(&net, &net.client.opened, 1);
    net_command(&net, net.server.newest, CMD_CLOSE, 1001, "going away");
    expect_end(&net.client, 1001, TROUPE_OK);
    assert_string_equal(net_look(&net, &net.client).reason, "going away");
    expect_end(&net.server, 1001, TROUPE_OK);
}

static void test_client_aborts(void **state)
{
    (void)state;
    start();
    net_connect(&net, NULL);
    net_wait(&net, &net.client.opened, 1);
    net_command(&net, net.client.newest, CMD_ABORT, 0, "");
    expect_end(&net.client, 1006, TROUPE_ECANCELED);
    expect_end(&net.server, 1006, TROUPE_ECLOSED);
}

static void test_big_messages_masked(void **state)
{
    (void)state;
    net.is_silent = true;
    start();
    net_connect(&net, NULL);
    net_wait(&net, &net.client.opened, 1);
    net_command(&net, net.client.newest, CMD_FILL, 0, "");
    net_wait(&net, &net.client.commands, 1);
    struct net_side client = net_look(&net, &net.client);
    assert_true(client.sent >= 60);
    assert_true(client.queue_bytes_max <= net.client_config.stream.queue_bytes_max);
    net_wait(&net, &net.server.messages, client.sent);
    assert_int_equal(net_look(&net, &net.server).bytes, client.sent * 65536ull);
    net_wait(&net, &net.client.drained, 1);
}

static void test_shared_buffer_not_copied_and_released(void **state)
{
    (void)state;
    start();
    net_connect(&net, NULL);
    net_wait(&net, &net.server.opened, 1);
    net_wait(&net, &net.client.opened, 1);
    net_command(&net, net.server.newest, CMD_FILL, 0, "");
    net_wait(&net, &net.server.commands, 1);
    net_wait(&net, &net.client.messages, net_look(&net, &net.server).sent);
    net_wait(&net, &net.server.drained, 1);
    net_command(&net, net.server.newest, CMD_CLOSE, 1000, "");
    net_wait(&net, &net.server.ended, 1); /* leaks are counted there, checked at stop */
}

static void test_500_connections(void **state)
{
    (void)state;
    start();
    for (uint32_t i = 0; i < 500; i++) {
        net_connect(&net, NULL);
    }
    net_wait(&net, &net.client.opened, 500);
    net_wait(&net, &net.server.opened, 500);
    assert_int_equal(trp_listener_stats_read(&net.stats).accepted, 500);
    /* the pool ends them all */
}

/* --- client against trouble --- */

static void test_connect_errors(void **state)
{
    (void)state;
    start();
    net_connect(&net, "http://127.0.0.1/");
    assert_int_equal(net.connect_status, TROUPE_EINVAL);
    net_connect(&net, "wss://127.0.0.1/");
    assert_int_equal(net.connect_status, TROUPE_EINVAL);
    net_connect(&net, "nonsense");
    assert_int_equal(net.connect_status, TROUPE_EINVAL);
    net_connect(&net, "ws://127.0.0.1:1/"); /* nobody listens there */
    net_wait(&net, &net.client.closed, 1);
    assert_int_equal(net_look(&net, &net.client).opened, 0);
    assert_int_not_equal(net_look(&net, &net.client).status, TROUPE_OK);
    net_connect(&net, "ws://name.invalid/");
    net_wait(&net, &net.client.closed, 2);
    assert_int_equal(net_look(&net, &net.client).status, TROUPE_ENOTFOUND);
}

static void test_client_refused_upgrade(void **state)
{
    char url[64];
    (void)state;
    start();
    snprintf(url, sizeof(url), "ws://127.0.0.1:%u/full", net.set.port);
    net_connect(&net, url);
    expect_end(&net.client, 1006, TROUPE_EPROTO);
    assert_int_equal(net_look(&net, &net.client).http_status, 503);
    assert_int_equal(net_look(&net, &net.client).opened, 0);
}

/* Listens, accepts one connection and hands it to the test. */
static int accept_one(int *listener, char *url, size_t cap)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    *listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(*listener, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(*listener, 1), 0);
    assert_int_equal(getsockname(*listener, (struct sockaddr *)&address, &len), 0);
    snprintf(url, cap, "ws://127.0.0.1:%u/", ntohs(address.sin_port));
    net_connect(&net, url);
    struct pollfd poller = {.fd = *listener, .events = POLLIN};
    assert_int_equal(poll(&poller, 1, NET_WAIT_S * 1000), 1);
    int fd = accept(*listener, NULL, NULL);
    assert_true(fd >= 0);
    return fd;
}

static void test_client_handshake_timeout(void **state)
{
    int listener;
    char url[64];
    (void)state;
    net.client_config.handshake_ns = 50 * MS;
    start();
    int fd = accept_one(&listener, url, sizeof(url));
    expect_end(&net.client, 1006, TROUPE_EEXPIRED);
    close(fd);
    close(listener);
}

static void test_client_bad_server(void **state)
{
    static const char *const answers[] = {
        "garbage\r\n\r\n",
        "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n",
        "",
    };
    (void)state;
    start();
    for (uint32_t i = 0; i < 3; i++) {
        int listener;
        char url[64];
        int fd = accept_one(&listener, url, sizeof(url));
        raw_send_text(fd, answers[i]);
        shutdown(fd, SHUT_WR);
        net_wait(&net, &net.client.closed, i + 1);
        assert_int_equal(net_look(&net, &net.client).opened, 0);
        assert_int_not_equal(net_look(&net, &net.client).status, TROUPE_OK);
        close(fd);
        close(listener);
    }
}

/* --- server against raw peers --- */

static void test_split_at_every_byte(void **state)
{
    (void)state;
    start();
    int fd = raw_connect(&net);
    const char *request = "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n"
                          "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &one, sizeof(one));
    for (size_t i = 0; request[i] != '\0'; i++) {
        raw_send(fd, request + i, 1);
    }
    /* "Hello" in two fragments with a ping between them, then a close */
    static const uint8_t frames[] = {0x01, 0x83, 0,    0,    0,   0,    'H',  'e', 'l',  0x89, 0x81,
                                     0,    0,    0,    0,    'p', 0x80, 0x82, 0,   0,    0,    0,
                                     'l',  'o',  0x88, 0x82, 0,   0,    0,    0,   0x03, 0xe8};
    char answer[129];
    raw_recv(fd, answer, sizeof(answer));
    assert_memory_equal(answer + sizeof(answer) - 4, "\r\n\r\n", 4);
    for (size_t i = 0; i < sizeof(frames); i++) {
        raw_send(fd, frames + i, 1);
    }
    uint8_t first;
    char payload[126];
    assert_int_equal(read_frame(fd, &first, payload, sizeof(payload)), 1);
    assert_int_equal(first, 0x8a);
    assert_int_equal(payload[0], 'p');
    assert_int_equal(read_frame(fd, &first, payload, sizeof(payload)), 5);
    assert_int_equal(first, 0x81);
    assert_memory_equal(payload, "Hello", 5);
    expect_close(fd, 1000);
    expect_eof(fd);
    expect_end(&net.server, 1000, TROUPE_OK);
}

static void test_frames_behind_the_request(void **state)
{
    (void)state;
    start();
    int fd = raw_connect(&net);
    raw_send_text(fd, "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n"
                      "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
                      "\x81\x82\x01\x01\x01\x01hi");
    net_wait(&net, &net.server.messages, 1);
    assert_int_equal(net_look(&net, &net.server).bytes, 2);
    close(fd);
    expect_end(&net.server, 1006, TROUPE_ECLOSED);
}

/* Opens, sends these bytes, expects this close code. */
static void expect_violation(const void *bytes, size_t len, unsigned code)
{
    uint32_t before = net_look(&net, &net.server).closed;
    int fd = upgraded();
    raw_send(fd, bytes, len);
    expect_close(fd, code);
    expect_eof(fd);
    net_wait(&net, &net.server.closed, before + 1);
    assert_int_equal(net_look(&net, &net.server).code, code);
    assert_int_equal(net_look(&net, &net.server).status,
                     code == 1009 ? TROUPE_ETOOLARGE : TROUPE_EPROTO);
}

static void test_violations(void **state)
{
    (void)state;
    net.server_config.message_max = 1000;
    start();
    expect_violation("\x81\x02hi", 4, 1002);               /* not masked */
    expect_violation("\xf1\x80\0\0\0\0", 6, 1002);         /* reserved bits */
    expect_violation("\x80\x80\0\0\0\0", 6, 1002);         /* continues nothing */
    expect_violation("\x81\x81\0\0\0\0\xff", 7, 1007);     /* not UTF-8 */
    expect_violation("\x82\xfe\x03\xe9\0\0\0\0", 8, 1009); /* 1001 bytes promised */
    expect_violation("GET / HTTP/1.1\r\n\r\n", 18, 1002);  /* garbage */
    expect_violation("\x88\x82\0\0\0\0\x03\xed", 8, 1002); /* 1005 on the wire */
    expect_violation("\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", 14, 1002);
}

static void test_peer_vanishes_midway(void **state)
{
    (void)state;
    start();
    int fd = upgraded();
    raw_send(fd, "\x81\xfe\x10\x00\0\0\0\0 only the beginning", 27);
    shutdown(fd, SHUT_WR);
    expect_end(&net.server, 1006, TROUPE_ECLOSED);
    close(fd);
}

static void test_handshake_timeout(void **state)
{
    (void)state;
    net.server_config.handshake_ns = 50 * MS;
    start();
    int fd = raw_connect(&net);
    raw_send_text(fd, "GET / HTTP/1.1\r\nHost:");
    expect_end(&net.server, 1006, TROUPE_EEXPIRED);
    expect_eof(fd);
}

static void test_half_open_is_noticed(void **state)
{
    (void)state;
    net.server_config.ping_after_ns = 30 * MS;
    net.server_config.dead_after_ns = 120 * MS;
    start();
    int fd = upgraded();
    uint8_t ping[2];
    raw_recv(fd, ping, 2);
    assert_int_equal(ping[0], 0x89);
    assert_int_equal(ping[1], 0);
    raw_frame(fd, 0x8a, "", 0); /* a pong: silence begins anew, the next ping comes */
    raw_recv(fd, ping, 2);
    assert_int_equal(ping[0], 0x89);
    expect_end(&net.server, 1006, TROUPE_EEXPIRED);
    expect_eof(fd);
}

static void test_never_reading_peer(void **state)
{
    (void)state;
    net.server_config.stream.queue_bytes_max = 1u << 20;
    net.server_config.close_ns = 100 * MS;
    start();
    int fd = upgraded();
    net_wait(&net, &net.server.opened, 1);
    net_command(&net, net.server.newest, CMD_FILL, 0, "");
    net_wait(&net, &net.server.commands, 1);
    net_command(&net, net.server.newest, CMD_FILL, 0, ""); /* still bounded */
    net_wait(&net, &net.server.commands, 2);
    struct net_side server = net_look(&net, &net.server);
    assert_true(server.queue_bytes_max <= 1u << 20);
    assert_true(server.queue_bytes_max > 900000);
    /* the close frame waits behind all that and is never answered */
    net_command(&net, net.server.newest, CMD_CLOSE, 1013, "too slow");
    expect_end(&net.server, 1006, TROUPE_EEXPIRED);
    net_wait(&net, &net.server.ended, 1);
    close(fd);
}

static void test_close_is_not_answered(void **state)
{
    (void)state;
    net.server_config.close_ns = 50 * MS;
    start();
    int fd = upgraded();
    net_wait(&net, &net.server.opened, 1);
    net_command(&net, net.server.newest, CMD_CLOSE, 1001, "");
    expect_close(fd, 1001);
    expect_end(&net.server, 1006, TROUPE_EEXPIRED);
    expect_eof(fd);
}

static void test_peer_never_hangs_up(void **state)
{
    (void)state;
    net.server_config.stream.linger_ns = 50 * MS;
    start();
    int fd = upgraded();
    raw_frame(fd, 0x88, "\x03\xe8", 2);
    expect_close(fd, 1000);
    /* the socket stays open on our side; the server does not wait for ever */
    expect_end(&net.server, 1000, TROUPE_OK);
    close(fd);
}

static void test_long_turns_are_cut(void **state)
{
    (void)state;
    net.server_config.turn_frames_max = 3;
    start();
    int fd = upgraded();
    uint8_t burst[300 * 7];
    for (size_t i = 0; i < 300; i++) {
        memcpy(burst + 7 * i, "\x82\x81\0\0\0\0x", 7);
        burst[7 * i + 6] = (uint8_t)i;
    }
    raw_send(fd, burst, sizeof(burst));
    shutdown(fd, SHUT_WR); /* the end must not overtake what is kept back */
    uint8_t echo[300 * 3];
    raw_recv(fd, echo, sizeof(echo));
    for (size_t i = 0; i < 300; i++) {
        assert_int_equal(echo[3 * i], 0x82);
        assert_int_equal(echo[3 * i + 2], (uint8_t)i);
    }
    expect_end(&net.server, 1006, TROUPE_ECLOSED);
    close(fd);
}

static void test_pause_and_resume(void **state)
{
    (void)state;
    start();
    int fd = upgraded();
    net_wait(&net, &net.server.opened, 1);
    net_command(&net, net.server.newest, CMD_PAUSE, 0, "");
    net_wait(&net, &net.server.commands, 1);
    /* more than the kernel takes for a peer that does not read */
    size_t sent = 0;
    uint8_t block[4096 + 8] = {0x82, 0xfe, 0x10, 0x00};
    struct pollfd poller = {.fd = fd, .events = POLLOUT};
    int size = 65536;
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    while (sent < 64 && poll(&poller, 1, 0) == 1) {
        raw_send(fd, block, sizeof(block));
        sent++;
    }
    assert_int_equal(net_look(&net, &net.server).messages, 0);
    net_command(&net, net.server.newest, CMD_RESUME, 0, "");
    net_wait(&net, &net.server.messages, (uint32_t)sent);
    close(fd);
}

static void test_stop_with_send_in_flight(void **state)
{
    (void)state;
    net.is_silent = true;
    start();
    int fd = upgraded();
    net_wait(&net, &net.server.opened, 1);
    net_command(&net, net.server.newest, CMD_FILL, 0, "");
    net_command(&net, net.server.newest, CMD_STOP, 0, "");
    net_wait(&net, &net.server.ended, 1);
    /* the connection ends for the peer, without a byte that was never sent */
    char *rest = malloc(8u << 20);
    size_t len = raw_recv_all(fd, rest, 8u << 20);
    for (size_t at = 0; at < len; at++) {
        size_t in_frame = at % (65536 + 10);
        assert_true(in_frame < 10 || rest[at] == 'x');
    }
    free(rest);
    close(fd);
    assert_int_equal(net_look(&net, &net.server).closed, 0);
}

/* --- plain HTTP --- */

static void expect_answer(const char *request, const char *status_line, const char *end)
{
    char answer[1024];
    int fd = raw_connect(&net);
    raw_send_text(fd, request);
    size_t len = raw_recv_all(fd, answer, sizeof(answer) - 1);
    answer[len] = '\0';
    assert_memory_equal(answer, status_line, strlen(status_line));
    assert_true(len >= strlen(end));
    assert_string_equal(answer + len - strlen(end), end);
    close(fd);
}

static void test_plain_http(void **state)
{
    (void)state;
    start();
    expect_answer("GET /info HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 200 OK\r\n",
                  "{\"name\":\"test\"}");
    expect_end(&net.server, 1006, TROUPE_OK);
    expect_answer("HEAD /info HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 200 OK\r\n", "\r\n\r\n");
    expect_answer("GET / HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 426 ", "\n");
    expect_answer("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 405 ", "\n");
    expect_answer("NONSENSE\r\n\r\n", "HTTP/1.1 400 ", "\n");
    expect_answer("GET /full HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n"
                  "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                  "HTTP/1.1 503 ", "\r\n\r\n");
    expect_answer("GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n"
                  "Connection: Upgrade\r\nSec-WebSocket-Version: 12\r\n"
                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                  "HTTP/1.1 426 ", "\n");
    net_wait(&net, &net.server.closed, 7);
    assert_int_equal(net_look(&net, &net.server).opened, 0);
}

static void test_head_too_large(void **state)
{
    (void)state;
    net.server_config.head_max = 600;
    start();
    char request[700];
    memset(request, 'a', sizeof(request));
    memcpy(request, "GET / HTTP/1.1\r\nX: ", 19);
    request[sizeof(request) - 1] = '\0';
    expect_answer(request, "HTTP/1.1 431 ", "\n");
    expect_end(&net.server, 1006, TROUPE_EPROTO);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_echo),
        TEST(test_server_closes),
        TEST(test_client_aborts),
        TEST(test_big_messages_masked),
        TEST(test_shared_buffer_not_copied_and_released),
        TEST(test_500_connections),
        TEST(test_connect_errors),
        TEST(test_client_refused_upgrade),
        TEST(test_client_handshake_timeout),
        TEST(test_client_bad_server),
        TEST(test_split_at_every_byte),
        TEST(test_frames_behind_the_request),
        TEST(test_violations),
        TEST(test_peer_vanishes_midway),
        TEST(test_handshake_timeout),
        TEST(test_half_open_is_noticed),
        TEST(test_never_reading_peer),
        TEST(test_close_is_not_answered),
        TEST(test_peer_never_hangs_up),
        TEST(test_long_turns_are_cut),
        TEST(test_pause_and_resume),
        TEST(test_stop_with_send_in_flight),
        TEST(test_plain_http),
        TEST(test_head_too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
