#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/process/spawner_proto.h"
#include "tests/unit/process/fixture.h"

#define PIPED  TRP_SPAWN_STDERR_PIPE
#define SILENT TRP_SPAWN_STDERR_NULL

static int open_spawner(void **state)
{
    static struct trp_spawner spawner;
    fx_open(&spawner, 8);
    *state = &spawner;
    return 0;
}

static int close_spawner(void **state)
{
    fx_close(*state);
    return 0;
}

static void bytes_go_through_both_pipes(void **state)
{
    char bytes[64];
    struct trp_spawn_event cat = fx_run(*state, 1, SILENT, "cat", NULL);
    int fds[2] = {cat.stdin_fd, cat.stdout_fd};
    for (int i = 0; i < 2; i++) {
        assert_true((fcntl(fds[i], F_GETFL) & O_NONBLOCK) != 0);
        assert_true((fcntl(fds[i], F_GETFD) & FD_CLOEXEC) != 0);
    }
    fx_write(cat.stdin_fd, "hello\n", 6);
    fx_expect_line(cat.stdout_fd, "hello");
    close(cat.stdin_fd);
    cat.stdin_fd = -1;
    assert_int_equal(fx_rest(cat.stdout_fd, bytes, sizeof(bytes)), 0);
    fx_expect_exit(*state, 1, TRP_SPAWN_EXIT_STATUS, 0);
    fx_forget(&cat);
}

static void stderr_has_a_pipe_of_its_own(void **state)
{
    char bytes[64];
    struct trp_spawn_event child = fx_run(*state, 1, PIPED, "stderr", NULL);
    assert_int_equal(fx_rest(child.stderr_fd, bytes, sizeof(bytes)), 10);
    assert_string_equal(bytes, "to stderr\n");
    assert_int_equal(fx_rest(child.stdout_fd, bytes, sizeof(bytes)), 0);
    fx_expect_exit(*state, 1, TRP_SPAWN_EXIT_STATUS, 0);
    fx_forget(&child);
}

static void exit_status_and_signal_are_told(void **state)
{
    struct trp_spawn_event child = fx_run(*state, 1, SILENT, "exit", "42");
    fx_expect_exit(*state, 1, TRP_SPAWN_EXIT_STATUS, 42);
    fx_forget(&child);
    child = fx_run(*state, 1, SILENT, "signal", "9");
    fx_expect_exit(*state, 1, TRP_SPAWN_EXIT_SIGNAL, SIGKILL);
    fx_forget(&child);
    child = fx_run(*state, 1, SILENT, "signal", "15");
    fx_expect_exit(*state, 1, TRP_SPAWN_EXIT_SIGNAL, SIGTERM);
    fx_forget(&child);
}

static void a_program_that_cannot_run_is_a_failure(void **state)
{
    const char *argv[1] = {"no-such-program-anywhere"};
    struct trp_spawn_request request = {.argv = argv, .argc = 1};
    assert_int_equal(trp_spawner_send_spawn(*state, 5, &request), TROUPE_OK);
    fx_expect_failure(*state, 5, ENOENT,
                      "exec: No such file or directory: no-such-program-anywhere");
    argv[0] = "/";
    assert_int_equal(trp_spawner_send_spawn(*state, 5, &request), TROUPE_OK);
    fx_expect_failure(*state, 5, EACCES, "exec: Permission denied: /");
    argv[0] = TRP_TEST_CHILD;
    request.cwd = "/no/such/folder";
    assert_int_equal(trp_spawner_send_spawn(*state, 5, &request), TROUPE_OK);
    fx_expect_failure(*state, 5, ENOENT, "chdir: No such file or directory: /no/such/folder");
    /* The failures hold no place of the eight. */
    for (uint64_t id = 0; id < 20; id++) {
        assert_int_equal(trp_spawner_send_spawn(*state, id, &request), TROUPE_OK);
        fx_expect_failure(*state, id, ENOENT, "chdir: No such file or directory: /no/such/folder");
    }
}

static void a_reason_too_long_is_cut(void **state)
{
    char name[1000];
    const char *argv[1] = {name};
    struct trp_spawn_request request = {.argv = argv, .argc = 1};
    struct trp_spawn_event event;
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    assert_int_equal(trp_spawner_send_spawn(*state, 5, &request), TROUPE_OK);
    fx_event(*state, &event);
    assert_int_equal(event.type, TRP_SPAWN_EVENT_FAILED);
    assert_int_equal(event.error, ENAMETOOLONG);
    assert_int_equal(strlen(event.text), TRP_SPAWN_TEXT_MAX - 1);
}

static void the_folder_is_the_one_asked_for(void **state)
{
    char bytes[64];
    const char *argv[2] = {TRP_TEST_CHILD, "cwd"};
    struct trp_spawn_request request = {
        .argv = argv, .argc = 2, .cwd = "/proc", .stderr_mode = SILENT};
    struct trp_spawn_event child;
    assert_int_equal(trp_spawner_send_spawn(*state, 1, &request), TROUPE_OK);
    fx_event(*state, &child);
    assert_int_equal(child.type, TRP_SPAWN_EVENT_STARTED);
    fx_rest(child.stdout_fd, bytes, sizeof(bytes));
    assert_string_equal(bytes, "/proc");
    fx_expect_exit(*state, 1, TRP_SPAWN_EXIT_STATUS, 0);
    fx_forget(&child);
}

static bool has_line(const char *text, const char *line)
{
    size_t len = strlen(line);
    for (const char *at = strstr(text, line); at != NULL; at = strstr(at + 1, line)) {
        if ((at == text || at[-1] == '\n') && at[len] == '\n') {
            return true;
        }
    }
    return false;
}

static void the_environment_is_filtered_and_extended(void **state)
{
    (void)state;
    static char bytes[256 * 1024];
    struct trp_spawner spawner;
    struct trp_spawn_event child;
    const char *argv[2] = {TRP_TEST_CHILD, "env"};
    const char *env[5] = {"ADDED=1", "REPLACED=new", "TWICE=first", "EMPTY=", "TWICE=second"};
    struct trp_spawn_request request = {
        .argv = argv, .argc = 2, .env = env, .envc = 5, .stderr_mode = SILENT};
    setenv("TROUPE_SECRET", "hidden", 1);
    setenv("TROUPER", "shown", 1);
    setenv("REPLACED", "old", 1);
    setenv("REPLACED_NOT", "kept", 1);
    fx_open(&spawner, 1);
    assert_int_equal(trp_spawner_send_spawn(&spawner, 1, &request), TROUPE_OK);
    fx_event(&spawner, &child);
    assert_int_equal(child.type, TRP_SPAWN_EVENT_STARTED);
    fx_rest(child.stdout_fd, bytes, sizeof(bytes));
    assert_null(strstr(bytes, "TROUPE_SECRET"));
    assert_null(strstr(bytes, "hidden"));
    assert_true(has_line(bytes, "TROUPER=shown"));
    assert_true(has_line(bytes, "ADDED=1"));
    assert_true(has_line(bytes, "REPLACED=new"));
    assert_false(has_line(bytes, "REPLACED=old"));
    assert_true(has_line(bytes, "REPLACED_NOT=kept"));
    assert_true(has_line(bytes, "TWICE=second"));
    assert_false(has_line(bytes, "TWICE=first"));
    assert_true(has_line(bytes, "EMPTY="));
    fx_forget(&child);
    fx_close(&spawner);
}

static void the_path_asked_for_is_searched(void **state)
{
    static char folder[4096];
    const char *argv[2] = {"trp_process_child", "exit"};
    const char *env[1] = {folder};
    struct trp_spawn_request request = {.argv = argv, .argc = 2, .stderr_mode = SILENT};
    struct trp_spawn_event child;
    snprintf(folder, sizeof(folder), "PATH=%s", TRP_TEST_CHILD);
    *strrchr(folder, '/') = '\0';
    assert_int_equal(trp_spawner_send_spawn(*state, 1, &request), TROUPE_OK);
    fx_expect_failure(*state, 1, ENOENT, "exec: No such file or directory: trp_process_child");
    request.env = env;
    request.envc = 1;
    assert_int_equal(trp_spawner_send_spawn(*state, 1, &request), TROUPE_OK);
    fx_event(*state, &child);
    assert_int_equal(child.type, TRP_SPAWN_EVENT_STARTED);
    fx_expect_exit(*state, 1, TRP_SPAWN_EXIT_STATUS, 0);
    fx_forget(&child);
}

static void a_child_sees_three_descriptors_only(void **state)
{
    (void)state;
    char bytes[256];
    struct trp_spawner spawner;
    /* Without close-on-exec: what careless code of the server would leave open. */
    int leaks[2] = {open("/dev/null", O_RDWR), open("/", O_RDONLY)};
    assert_true(leaks[0] > 2 && leaks[1] > 2);
    fx_open(&spawner, 4);
    close(leaks[0]);
    close(leaks[1]);
    struct trp_spawn_event neighbour = fx_run(&spawner, 1, PIPED, "cat", NULL);
    struct trp_spawn_event child = fx_run(&spawner, 2, PIPED, "fds", NULL);
    fx_rest(child.stdout_fd, bytes, sizeof(bytes));
    assert_true(has_line(bytes, "0") && has_line(bytes, "1") && has_line(bytes, "2"));
    assert_int_equal(strlen(bytes), 6);
    fx_forget(&neighbour);
    fx_forget(&child);
    fx_close(&spawner);
}

static void a_child_starts_with_a_clean_state(void **state)
{
    (void)state;
    struct trp_spawner spawner;
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    struct sigaction before;
    sigset_t usr1;
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    assert_int_equal(sigaction(SIGPIPE, &ignore, &before), 0);
    assert_int_equal(sigprocmask(SIG_BLOCK, &usr1, NULL), 0);
    fx_open(&spawner, 1);
    assert_int_equal(sigaction(SIGPIPE, &before, NULL), 0);
    assert_int_equal(sigprocmask(SIG_UNBLOCK, &usr1, NULL), 0);
    struct trp_spawn_event child = fx_run(&spawner, 1, SILENT, "state", NULL);
    fx_expect_line(child.stdout_fd, "leader=1 blocked=0 ignored=0 core=0 death=9");
    fx_forget(&child);
    fx_close(&spawner);
}

static void stop_ends_a_meek_child_by_sigterm(void **state)
{
    struct trp_spawn_event child = fx_run(*state, 1, SILENT, "meek", NULL);
    fx_expect_line(child.stdout_fd, "ready");
    assert_int_equal(trp_spawner_send_stop(*state, 1, TRP_SPAWN_GRACE_MS_MAX), TROUPE_OK);
    fx_expect_exit(*state, 1, TRP_SPAWN_EXIT_SIGNAL, SIGTERM);
    fx_forget(&child);
}

static void stop_reaches_a_child_before_its_exec(void **state)
{
    struct trp_spawn_event event;
    fx_ask(*state, 1, SILENT, "meek", NULL);
    assert_int_equal(trp_spawner_send_stop(*state, 1, TRP_SPAWN_GRACE_MS_MAX), TROUPE_OK);
    fx_event(*state, &event);
    assert_int_equal(event.type, TRP_SPAWN_EVENT_STARTED);
    fx_expect_exit(*state, 1, TRP_SPAWN_EXIT_SIGNAL, SIGTERM);
    fx_forget(&event);
}

static void stop_kills_a_stubborn_child_after_the_grace(void **state)
{
    struct trp_spawn_event child = fx_run(*state, 1, SILENT, "stubborn", NULL);
    fx_expect_line(child.stdout_fd, "ready");
    assert_int_equal(trp_spawner_send_stop(*state, 1, TRP_SPAWN_GRACE_MS_MAX), TROUPE_OK);
    /* A second, more impatient stop counts. */
    assert_int_equal(trp_spawner_send_stop(*state, 1, 20), TROUPE_OK);
    fx_expect_exit(*state, 1, TRP_SPAWN_EXIT_SIGNAL, SIGKILL);
    fx_forget(&child);
}

static void stop_wakes_a_stopped_child(void **state)
{
    struct trp_spawn_event child = fx_run(*state, 1, SILENT, "stopped", NULL);
    fx_expect_line(child.stdout_fd, "ready");
    assert_int_equal(trp_spawner_send_stop(*state, 1, TRP_SPAWN_GRACE_MS_MAX), TROUPE_OK);
    fx_expect_exit(*state, 1, TRP_SPAWN_EXIT_SIGNAL, SIGTERM);
    fx_forget(&child);
}

static void kill_ends_a_stubborn_child_at_once(void **state)
{
    struct trp_spawn_event child = fx_run(*state, 1, SILENT, "stubborn", NULL);
    fx_expect_line(child.stdout_fd, "ready");
    assert_int_equal(trp_spawner_send_kill(*state, 1), TROUPE_OK);
    fx_expect_exit(*state, 1, TRP_SPAWN_EXIT_SIGNAL, SIGKILL);
    fx_forget(&child);
    /* Nobody has this id now. */
    assert_int_equal(trp_spawner_send_kill(*state, 1), TROUPE_OK);
    assert_int_equal(trp_spawner_send_stop(*state, 1, 0), TROUPE_OK);
}

static void the_process_cap_holds_and_frees(void **state)
{
    (void)state;
    struct trp_spawner spawner;
    fx_open(&spawner, 2);
    struct trp_spawn_event first = fx_run(&spawner, 1, SILENT, "cat", NULL);
    struct trp_spawn_event second = fx_run(&spawner, 2, SILENT, "cat", NULL);
    fx_ask(&spawner, 3, SILENT, "cat", NULL);
    fx_expect_failure(&spawner, 3, EAGAIN,
                      "process limit reached: Resource temporarily unavailable");
    fx_ask(&spawner, 2, SILENT, "cat", NULL);
    fx_expect_failure(&spawner, 2, EEXIST, "request id in use: File exists");
    fx_forget(&first);
    fx_expect_exit(&spawner, 1, TRP_SPAWN_EXIT_STATUS, 0);
    first = fx_run(&spawner, 3, SILENT, "cat", NULL);
    fx_forget(&first);
    fx_forget(&second);
    fx_close(&spawner);
}

static void sixty_four_children_at_once(void **state)
{
    (void)state;
    enum { COUNT = 64 };
    struct trp_spawner spawner;
    struct trp_spawn_event children[COUNT];
    struct trp_spawn_event event;
    bool has_exited[COUNT] = {false};
    fx_open(&spawner, COUNT);
    for (uint64_t id = 0; id < COUNT; id++) {
        fx_ask(&spawner, id, PIPED, "cat", NULL);
    }
    for (int i = 0; i < COUNT; i++) {
        fx_event(&spawner, &event);
        assert_int_equal(event.type, TRP_SPAWN_EVENT_STARTED);
        assert_true(event.id < COUNT);
        children[event.id] = event;
    }
    for (int i = 0; i < COUNT; i++) {
        char line[32];
        int len = snprintf(line, sizeof(line), "number %d\n", i);
        fx_write(children[i].stdin_fd, line, (size_t)len);
    }
    for (int i = 0; i < COUNT; i++) {
        char line[32];
        snprintf(line, sizeof(line), "number %d", i);
        fx_expect_line(children[i].stdout_fd, line);
        fx_forget(&children[i]);
    }
    for (int i = 0; i < COUNT; i++) {
        fx_event(&spawner, &event);
        assert_int_equal(event.type, TRP_SPAWN_EVENT_EXITED);
        assert_true(event.id < COUNT);
        assert_false(has_exited[event.id]);
        has_exited[event.id] = true;
    }
    assert_int_equal(trp_spawner_receive(&spawner, &event), TROUPE_EBUSY);
    fx_close(&spawner);
}

/* The server does not read for a while: thousands of answers pile up, none is lost. */
static void a_server_that_does_not_read_loses_no_event(void **state)
{
    enum { COUNT = 3000 };
    struct trp_spawner *spawner = *state;
    struct trp_spawn_event event;
    struct trp_spawn_event cat = fx_run(spawner, COUNT, SILENT, "cat", NULL);
    uint32_t sent = 0;
    uint32_t answered = 0;
    uint32_t was_busy = 0;
    while (answered < COUNT) {
        const char *argv[1] = {TRP_TEST_CHILD};
        struct trp_spawn_request request = {.argv = argv, .argc = 1};
        /* The id in use makes each of them one quick FAILED. */
        enum troupe_status status =
            sent < COUNT ? trp_spawner_send_spawn(spawner, COUNT, &request) : TROUPE_EBUSY;
        if (status == TROUPE_OK) {
            sent++;
            continue;
        }
        assert_int_equal(status, TROUPE_EBUSY);
        was_busy += sent < COUNT ? 1 : 0;
        fx_event(spawner, &event);
        assert_int_equal(event.type, TRP_SPAWN_EVENT_FAILED);
        assert_int_equal(event.error, EEXIST);
        answered++;
    }
    assert_true(was_busy > 0);
    assert_int_equal(trp_spawner_receive(spawner, &event), TROUPE_EBUSY);
    fx_forget(&cat);
    fx_expect_exit(spawner, COUNT, TRP_SPAWN_EXIT_STATUS, 0);
}

static void send_raw(struct trp_spawner *spawner, const void *bytes, size_t len)
{
    assert_int_equal(send(trp_spawner_fd(spawner), bytes, len, MSG_NOSIGNAL), (ssize_t)len);
}

static void malformed_packets_do_no_harm(void **state)
{
    struct trp_spawner *spawner = *state;
    static char large[TRP_SPAWN_PACKET_MAX + 4096];
    struct {
        struct trp_spawn_head head;
        struct trp_spawn_body body;
        char texts[8];
    } packet = {{TRP_SPAWN_PACKET_SPAWN, 32, 0}, {1, 0, 0, 0}, "a"};
    struct trp_spawn_event cat = fx_run(spawner, 99, SILENT, "cat", NULL);
    send_raw(spawner, "", 0);
    send_raw(spawner, "x", 1);
    send_raw(spawner, large, 16); /* type 0 */
    /* SPAWN: no body text, then every shorter length, then lies about the counts. */
    for (uint32_t len = 16; len <= 33; len++) {
        packet.head.length = len;
        packet.head.id = len;
        send_raw(spawner, &packet, len);
        fx_expect_failure(spawner, len, EBADMSG, "malformed request: Bad message");
    }
    packet.head.length = 34;
    packet.body.argc = UINT32_MAX;
    send_raw(spawner, &packet, 34);
    fx_expect_failure(spawner, 33, EBADMSG, "malformed request: Bad message");
    packet.body.argc = 2;
    send_raw(spawner, &packet, 34);
    fx_expect_failure(spawner, 33, EBADMSG, "malformed request: Bad message");
    packet.head.type = TRP_SPAWN_PACKET_STOP;
    packet.head.id = 99;
    send_raw(spawner, &packet, 34);
    packet.head.type = TRP_SPAWN_PACKET_KILL;
    send_raw(spawner, &packet, 34);
    memcpy(large, &packet, sizeof(packet.head));
    ((struct trp_spawn_head *)(void *)large)->type = TRP_SPAWN_PACKET_SPAWN;
    ((struct trp_spawn_head *)(void *)large)->length = sizeof(large);
    ((struct trp_spawn_head *)(void *)large)->id = 7;
    send_raw(spawner, large, sizeof(large));
    fx_expect_failure(spawner, 7, EBADMSG, "malformed request: Bad message");
    fx_write(cat.stdin_fd, "alive\n", 6);
    fx_expect_line(cat.stdout_fd, "alive");
    fx_forget(&cat);
    fx_expect_exit(spawner, 99, TRP_SPAWN_EXIT_STATUS, 0);
}

static void descriptors_sent_to_the_spawner_are_dropped(void **state)
{
    struct trp_spawner *spawner = *state;
    char byte = 'x';
    char rest[8];
    int held[2];
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec iov = {&byte, 1};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof(control)};
    assert_int_equal(pipe2(held, O_CLOEXEC | O_NONBLOCK), 0);
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &held[1], sizeof(int));
    assert_int_equal(sendmsg(trp_spawner_fd(spawner), &message, 0), 1);
    close(held[1]);
    assert_int_equal(fx_rest(held[0], rest, sizeof(rest)), 0);
    close(held[0]);
}

static void the_largest_request_passes_and_a_larger_one_is_refused(void **state)
{
    static char word[TRP_SPAWN_ARGV_BYTES_MAX];
    static char variable[TRP_SPAWN_ENV_BYTES_MAX];
    static char folder[TRP_SPAWN_CWD_BYTES_MAX];
    const char *argv[TRP_SPAWN_ARGC_MAX + 1];
    const char *env[TRP_SPAWN_ENVC_MAX + 1];
    char expected[64];
    struct trp_spawn_event child;
    argv[0] = TRP_TEST_CHILD;
    argv[1] = "measure";
    argv[2] = word;
    for (size_t i = 3; i <= TRP_SPAWN_ARGC_MAX; i++) {
        argv[i] = "";
    }
    for (size_t i = 0; i <= TRP_SPAWN_ENVC_MAX; i++) {
        env[i] = "A=";
    }
    env[0] = variable;
    /* Everything else and every NUL, subtracted from the limits. */
    size_t others = strlen(argv[0]) + strlen(argv[1]) + TRP_SPAWN_ARGC_MAX;
    memset(word, 'w', TRP_SPAWN_ARGV_BYTES_MAX - others);
    memset(variable, 'v', TRP_SPAWN_ENV_BYTES_MAX - 3 * (TRP_SPAWN_ENVC_MAX - 1) - 1);
    variable[1] = '=';
    memset(folder, '/', sizeof(folder) - 1);
    struct trp_spawn_request request = {.argv = argv,
                                        .argc = TRP_SPAWN_ARGC_MAX,
                                        .env = env,
                                        .envc = TRP_SPAWN_ENVC_MAX,
                                        .cwd = folder,
                                        .stderr_mode = SILENT};
    assert_int_equal(trp_spawner_send_spawn(*state, 1, &request), TROUPE_OK);
    fx_event(*state, &child);
    assert_int_equal(child.type, TRP_SPAWN_EVENT_STARTED);
    snprintf(expected, sizeof(expected), "%u %u", TRP_SPAWN_ARGC_MAX, TRP_SPAWN_ARGV_BYTES_MAX);
    fx_expect_line(child.stdout_fd, expected);
    fx_expect_exit(*state, 1, TRP_SPAWN_EXIT_STATUS, 0);
    fx_forget(&child);

    request.argc++;
    assert_int_equal(trp_spawner_send_spawn(*state, 1, &request), TROUPE_ETOOLARGE);
    request.argc--;
    request.envc++;
    assert_int_equal(trp_spawner_send_spawn(*state, 1, &request), TROUPE_ETOOLARGE);
    request.envc--;
    argv[3] = "x";
    assert_int_equal(trp_spawner_send_spawn(*state, 1, &request), TROUPE_ETOOLARGE);
    argv[3] = "";
    env[1] = "A=x";
    assert_int_equal(trp_spawner_send_spawn(*state, 1, &request), TROUPE_ETOOLARGE);
}

static void a_server_short_of_descriptors_learns_it(void **state)
{
    struct trp_spawner *spawner = *state;
    struct trp_spawn_event event;
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int next = dup(0);
    assert_true(next >= 0);
    close(next);
    struct rlimit tight = {(rlim_t)next + 1, before.rlim_max}; /* room for one of three */
    fx_ask(spawner, 1, PIPED, "stubborn", NULL);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    fx_event(spawner, &event);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(event.type, TRP_SPAWN_EVENT_STARTED);
    assert_int_equal(event.error, EMFILE);
    assert_true(event.stdin_fd == -1 && event.stdout_fd == -1 && event.stderr_fd == -1);
    assert_int_equal(dup(0), next); /* the one that came was closed */
    close(next);
    assert_int_equal(trp_spawner_send_kill(spawner, 1), TROUPE_OK);
    fx_expect_exit(spawner, 1, TRP_SPAWN_EXIT_SIGNAL, SIGKILL);
}

static void the_end_of_the_spawner_is_told_once(void **state)
{
    (void)state;
    char bytes[8];
    struct trp_spawner spawner;
    struct trp_spawn_event event;
    struct trp_spawn_request request = {.argv = (const char *const[]){"x"}, .argc = 1};
    int status;
    fx_open(&spawner, 1);
    struct trp_spawn_event child = fx_run(&spawner, 1, SILENT, "stubborn", NULL);
    fx_expect_line(child.stdout_fd, "ready");
    assert_int_equal(kill(spawner.pid, SIGKILL), 0);
    fx_event(&spawner, &event);
    assert_int_equal(event.type, TRP_SPAWN_EVENT_CLOSED);
    assert_int_equal(trp_spawner_receive(&spawner, &event), TROUPE_ECLOSED);
    assert_int_equal(trp_spawner_send_spawn(&spawner, 2, &request), TROUPE_ECLOSED);
    assert_int_equal(trp_spawner_send_kill(&spawner, 1), TROUPE_ECLOSED);
    assert_int_equal(trp_spawner_wait(&spawner, &status, 30000), TROUPE_OK);
    assert_int_equal(status, SIGKILL);
    /* The death signal took the child along. */
    assert_int_equal(fx_rest(child.stdout_fd, bytes, sizeof(bytes)), 0);
    fx_forget(&child);
    trp_spawner_close(&spawner);
    assert_int_equal(trp_spawner_wait(&spawner, &status, 0), TROUPE_OK);
    assert_int_equal(status, 0);
}

static void terminal_signals_do_not_end_the_spawner(void **state)
{
    struct trp_spawner *spawner = *state;
    struct trp_spawn_event cat = fx_run(spawner, 1, SILENT, "cat", NULL);
    assert_int_equal(getsid(spawner->pid), spawner->pid);
    assert_int_equal(kill(spawner->pid, SIGINT), 0);
    assert_int_equal(kill(spawner->pid, SIGTERM), 0);
    assert_int_equal(kill(spawner->pid, SIGHUP), 0);
    fx_forget(&cat);
    fx_expect_exit(spawner, 1, TRP_SPAWN_EXIT_STATUS, 0);
    cat = fx_run(spawner, 2, SILENT, "exit", "3");
    fx_expect_exit(spawner, 2, TRP_SPAWN_EXIT_STATUS, 3);
    fx_forget(&cat);
}

static void a_bad_cap_is_refused(void **state)
{
    (void)state;
    struct trp_spawner spawner;
    assert_int_equal(trp_spawner_start(&spawner, 0), TROUPE_EINVAL);
    assert_int_equal(trp_spawner_start(&spawner, TRP_SPAWN_CHILDREN_MAX + 1), TROUPE_EINVAL);
    fx_open(&spawner, TRP_SPAWN_CHILDREN_MAX);
    fx_close(&spawner);
}

#define WITH_SPAWNER(name) cmocka_unit_test_setup_teardown(name, open_spawner, close_spawner)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SPAWNER(bytes_go_through_both_pipes),
        WITH_SPAWNER(stderr_has_a_pipe_of_its_own),
        WITH_SPAWNER(exit_status_and_signal_are_told),
        WITH_SPAWNER(a_program_that_cannot_run_is_a_failure),
        WITH_SPAWNER(a_reason_too_long_is_cut),
        WITH_SPAWNER(the_folder_is_the_one_asked_for),
        cmocka_unit_test(the_environment_is_filtered_and_extended),
        WITH_SPAWNER(the_path_asked_for_is_searched),
        cmocka_unit_test(a_child_sees_three_descriptors_only),
        cmocka_unit_test(a_child_starts_with_a_clean_state),
        WITH_SPAWNER(stop_ends_a_meek_child_by_sigterm),
        WITH_SPAWNER(stop_reaches_a_child_before_its_exec),
        WITH_SPAWNER(stop_kills_a_stubborn_child_after_the_grace),
        WITH_SPAWNER(stop_wakes_a_stopped_child),
        WITH_SPAWNER(kill_ends_a_stubborn_child_at_once),
        cmocka_unit_test(the_process_cap_holds_and_frees),
        cmocka_unit_test(sixty_four_children_at_once),
        WITH_SPAWNER(a_server_that_does_not_read_loses_no_event),
        WITH_SPAWNER(malformed_packets_do_no_harm),
        WITH_SPAWNER(descriptors_sent_to_the_spawner_are_dropped),
        WITH_SPAWNER(the_largest_request_passes_and_a_larger_one_is_refused),
        WITH_SPAWNER(a_server_short_of_descriptors_learns_it),
        cmocka_unit_test(the_end_of_the_spawner_is_told_once),
        WITH_SPAWNER(terminal_signals_do_not_end_the_spawner),
        cmocka_unit_test(a_bad_cap_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
