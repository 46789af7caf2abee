/* Listening: errors at startup, ports, Unix files, running out of descriptors, stopping. */

#include "net_harness.h"
#include "socket_folder.h"

#include "../../cmocka.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static struct net net;

static int set_up(void **state)
{
    (void)state;
    net_init(&net);
    socket_folder_make();
    return 0;
}

static void expect_error(const char *address, enum troupe_status status, const char *part)
{
    struct trp_listener_set set = {.count = 77};
    char error[256] = "";
    assert_int_equal(trp_listener_open(&set, address, 1, 0, error, sizeof(error)), status);
    assert_non_null(strstr(error, part));
    assert_int_equal(set.count, 77);
    assert_int_equal(trp_listener_open(&set, address, 1, 0, NULL, 0), status);
}

static void open_set(struct trp_listener_set *set, const char *address, uint32_t count)
{
    char error[256] = "";
    if (trp_listener_open(set, address, count, 0, error, sizeof(error)) != TROUPE_OK) {
        fail_msg("%s", error);
    }
}

static void test_tcp_addresses(void **state)
{
    struct trp_listener_set set;
    struct trp_listener_set other;
    char address[128];
    (void)state;
    expect_error("nonsense", TROUPE_EINVAL, "nonsense");
    expect_error("127.0.0.1:99999", TROUPE_EINVAL, "port");
    expect_error("192.0.2.1:0", TROUPE_EIO, "no such address");
    open_set(&set, "localhost:0", 3);
    assert_int_equal(set.count, 3);
    assert_true(set.port != 0);
    snprintf(address, sizeof(address), "127.0.0.1:%u", set.port);
    assert_string_equal(set.address, address);
    for (uint32_t i = 0; i < 3; i++) {
        struct sockaddr_in bound;
        socklen_t len = sizeof(bound);
        int value = 0;
        assert_int_equal(getsockname(set.fds[i], (struct sockaddr *)&bound, &len), 0);
        assert_int_equal(ntohs(bound.sin_port), set.port);
        len = sizeof(value);
        assert_int_equal(getsockopt(set.fds[i], SOL_SOCKET, SO_ACCEPTCONN, &value, &len), 0);
        assert_int_equal(value, 1);
    }
    /* a second server must be told, although both would share their port with themselves */
    expect_error(address, TROUPE_EEXIST, "in use");
    trp_listener_close(&set);
    open_set(&other, address, 1);
    trp_listener_close(&other);
}

static void test_unix_file_rules(void **state)
{
    struct trp_listener_set set;
    struct trp_listener_set second;
    struct stat info;
    char text[128];
    (void)state;
    expect_error("unix:", TROUPE_EINVAL, "bytes");
    expect_error("/nowhere/at/all/socket", TROUPE_EIO, "directory");
    open_set(&set, socket_path, 4);
    assert_int_equal(set.count, 1);
    snprintf(text, sizeof(text), "unix:%s", socket_path);
    assert_string_equal(set.address, text);
    assert_int_equal(stat(socket_path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    expect_error(socket_path, TROUPE_EEXIST, "listens"); /* a live one is left alone */
    assert_int_equal(stat(socket_path, &info), 0);
    /* killed: the descriptor goes, the file stays */
    close(set.fds[0]);
    set.fds[0] = -1;
    assert_int_equal(stat(socket_path, &info), 0);
    open_set(&second, text, 1);
    trp_listener_close(&second);
    assert_int_equal(stat(socket_path, &info), -1);
    /* a file that somebody else has put there is spared */
    open_set(&set, socket_path, 1);
    snprintf(text, sizeof(text), "%s.moved", socket_path);
    assert_int_equal(rename(socket_path, text), 0);
    open_set(&second, socket_path, 1);
    trp_listener_close(&set);
    assert_int_equal(stat(socket_path, &info), 0);
    trp_listener_close(&second);
    assert_int_equal(stat(socket_path, &info), -1);
    assert_int_equal(unlink(text), 0);
    /* something else of that name */
    int fd = open(socket_path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
    expect_error(socket_path, TROUPE_EEXIST, "no socket");
    assert_int_equal(stat(socket_path, &info), 0);
}

static void test_unix_connections_and_stop(void **state)
{
    struct stat info;
    char answer[4];
    (void)state;
    net_start(&net, 1, socket_path);
    int fd = raw_connect(&net);
    raw_upgrade(fd);
    raw_frame(fd, 0x81, "hi", 2);
    raw_recv(fd, answer, 4);
    assert_memory_equal(answer, "\x81\x02hi", 4);
    struct troupe_msg *msg = troupe_port_msg_new(net.port, TRP_MSG_NET_LISTENER_STOP, 0);
    assert_non_null(msg);
    assert_int_equal(troupe_port_send(net.port, net.listener, &msg), TROUPE_OK);
    /* the connection goes on; its echo comes after the stop in the worker's order of things */
    do {
        raw_frame(fd, 0x81, "hi", 2);
        raw_recv(fd, answer, 4);
    } while (stat(socket_path, &info) == 0);
    net_stop(&net);
    char rest[8];
    assert_int_equal(raw_recv_all(fd, rest, sizeof(rest)), 0);
    close(fd);
}

static void test_pool_stop_removes_the_file(void **state)
{
    struct stat info;
    (void)state;
    net_start(&net, 1, socket_path);
    assert_int_equal(stat(socket_path, &info), 0);
    net_stop(&net);
    assert_int_equal(stat(socket_path, &info), -1);
}

#define FEW 128

static void test_out_of_descriptors(void **state)
{
    struct rlimit old;
    int dups[FEW];
    uint32_t count = 0;
    char answer[4];
    (void)state;
    /* before the start: an armed accept remembers the limit it was armed under */
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    struct rlimit few = {.rlim_cur = FEW, .rlim_max = old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    net_start(&net, 1, "127.0.0.1:0");
    int fd = raw_connect(&net);
    raw_upgrade(fd);
    while (count < FEW && (dups[count] = dup(fd)) >= 0) {
        count++;
    }
    assert_int_equal(errno, EMFILE);
    /* one is free: the peer gets it, the server gets none */
    close(dups[--count]);
    int waiting = raw_connect(&net);
    while (trp_listener_stats_read(&net.stats).pauses == 0) {
        raw_frame(fd, 0x81, "hi", 2); /* others are served meanwhile */
        raw_recv(fd, answer, 4);
    }
    assert_int_equal(trp_listener_stats_read(&net.stats).accepted, 1);
    while (count > 0) {
        close(dups[--count]);
    }
    raw_upgrade(waiting);
    assert_int_equal(trp_listener_stats_read(&net.stats).accepted, 2);
    close(waiting);
    close(fd);
    net_stop(&net);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, socket_folder_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_tcp_addresses),
        TEST(test_unix_file_rules),
        TEST(test_unix_connections_and_stop),
        TEST(test_pool_stop_removes_the_file),
        TEST(test_out_of_descriptors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
