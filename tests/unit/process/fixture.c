#include "tests/unit/process/fixture.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define DEADLINE_MS 30000

static void wait_for(int fd, short events)
{
    struct pollfd p = {.fd = fd, .events = events};
    int ready;
    do {
        ready = poll(&p, 1, DEADLINE_MS);
    } while (ready < 0 && errno == EINTR);
    assert_int_equal(ready, 1);
}

void fx_open(struct trp_spawner *spawner, uint32_t children_max)
{
    assert_int_equal(trp_spawner_start(spawner, children_max), TROUPE_OK);
    assert_true(trp_spawner_fd(spawner) >= 0);
}

void fx_close(struct trp_spawner *spawner)
{
    int status = -1;
    trp_spawner_close(spawner);
    assert_int_equal(trp_spawner_fd(spawner), -1);
    assert_int_equal(trp_spawner_wait(spawner, &status, DEADLINE_MS), TROUPE_OK);
    assert_int_equal(status, 0);
}

void fx_event(struct trp_spawner *spawner, struct trp_spawn_event *event)
{
    enum troupe_status status;
    while ((status = trp_spawner_receive(spawner, event)) == TROUPE_EBUSY) {
        wait_for(trp_spawner_fd(spawner), POLLIN);
    }
    assert_int_equal(status, TROUPE_OK);
}

void fx_ask(struct trp_spawner *spawner,
            uint64_t id,
            enum trp_spawn_stderr stderr_mode,
            const char *mode,
            const char *argument)
{
    const char *argv[3] = {TRP_TEST_CHILD, mode, argument};
    struct trp_spawn_request request = {
        .argv = argv, .argc = argument == NULL ? 2 : 3, .stderr_mode = stderr_mode};
    assert_int_equal(trp_spawner_send_spawn(spawner, id, &request), TROUPE_OK);
}

struct trp_spawn_event fx_run(struct trp_spawner *spawner,
                              uint64_t id,
                              enum trp_spawn_stderr stderr_mode,
                              const char *mode,
                              const char *argument)
{
    struct trp_spawn_event event;
    fx_ask(spawner, id, stderr_mode, mode, argument);
    fx_event(spawner, &event);
    assert_int_equal(event.type, TRP_SPAWN_EVENT_STARTED);
    assert_int_equal(event.id, id);
    assert_int_equal(event.error, 0);
    assert_true(event.pid > 0);
    assert_true(event.stdin_fd >= 0 && event.stdout_fd >= 0);
    assert_true((event.stderr_fd >= 0) == (stderr_mode == TRP_SPAWN_STDERR_PIPE));
    return event;
}

void fx_expect_exit(struct trp_spawner *spawner, uint64_t id, enum trp_spawn_exit kind, int value)
{
    struct trp_spawn_event event;
    fx_event(spawner, &event);
    assert_int_equal(event.type, TRP_SPAWN_EVENT_EXITED);
    assert_int_equal(event.id, id);
    assert_int_equal(event.exit_kind, kind);
    assert_int_equal(event.value, value);
}

void fx_expect_failure(struct trp_spawner *spawner, uint64_t id, int error, const char *text)
{
    struct trp_spawn_event event;
    fx_event(spawner, &event);
    assert_int_equal(event.type, TRP_SPAWN_EVENT_FAILED);
    assert_int_equal(event.id, id);
    assert_int_equal(event.error, error);
    assert_string_equal(event.text, text);
}

/* 0 at the end of the stream. */
static size_t read_some(int fd, char *bytes, size_t cap)
{
    for (;;) {
        ssize_t n = read(fd, bytes, cap);
        if (n >= 0) {
            return (size_t)n;
        }
        assert_true(errno == EAGAIN || errno == EINTR);
        wait_for(fd, POLLIN);
    }
}

void fx_line(int fd, char *line, size_t cap)
{
    size_t at = 0;
    for (;;) {
        assert_true(at < cap);
        assert_int_equal(read_some(fd, line + at, 1), 1);
        if (line[at] == '\n') {
            line[at] = '\0';
            return;
        }
        at++;
    }
}

void fx_expect_line(int fd, const char *expected)
{
    char line[256];
    fx_line(fd, line, sizeof(line));
    assert_string_equal(line, expected);
}

size_t fx_rest(int fd, char *bytes, size_t cap)
{
    size_t at = 0;
    size_t n;
    do {
        assert_true(at + 1 < cap);
        n = read_some(fd, bytes + at, cap - at - 1);
        at += n;
    } while (n > 0);
    bytes[at] = '\0';
    return at;
}

void fx_write(int fd, const char *bytes, size_t len)
{
    for (size_t at = 0; at < len;) {
        ssize_t n = write(fd, bytes + at, len - at);
        if (n >= 0) {
            at += (size_t)n;
            continue;
        }
        assert_true(errno == EAGAIN || errno == EINTR);
        wait_for(fd, POLLOUT);
    }
}

void fx_forget(struct trp_spawn_event *started)
{
    int *fds[] = {&started->stdin_fd, &started->stdout_fd, &started->stderr_fd};
    for (size_t i = 0; i < 3; i++) {
        if (*fds[i] >= 0) {
            close(*fds[i]);
            *fds[i] = -1;
        }
    }
}
