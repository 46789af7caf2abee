/*
 * Descendants: those in the child's group, those that left it, and all of them when the server
 * dies. A descriptor that only the descendants hold open tells when the last of them is gone.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/process/fixture.h"

#define SILENT TRP_SPAWN_STDERR_NULL

/* Waits until this many lines came; their order is the scheduler's. */
static void skip_lines(int fd, int count)
{
    char line[64];
    for (int i = 0; i < count; i++) {
        fx_line(fd, line, sizeof(line));
    }
}

static void expect_end(int fd)
{
    char rest[64];
    assert_int_equal(fx_rest(fd, rest, sizeof(rest)), 0);
}

static void the_group_dies_with_its_leader(void **state)
{
    (void)state;
    struct trp_spawner spawner;
    fx_open(&spawner, 2);
    struct trp_spawn_event child = fx_run(&spawner, 1, SILENT, "group", NULL);
    skip_lines(child.stdout_fd, 2);
    fx_write(child.stdin_fd, "x", 1); /* the leader exits by itself */
    fx_expect_exit(&spawner, 1, TRP_SPAWN_EXIT_STATUS, 0);
    expect_end(child.stdout_fd);
    fx_forget(&child);
    fx_close(&spawner);
}

static void daemons_die_with_their_root(void **state)
{
    (void)state;
    struct trp_spawner spawner;
    fx_open(&spawner, 2);
    struct trp_spawn_event child = fx_run(&spawner, 1, SILENT, "daemon", NULL);
    skip_lines(child.stdout_fd, 2);
    fx_write(child.stdin_fd, "x", 1);
    fx_expect_exit(&spawner, 1, TRP_SPAWN_EXIT_STATUS, 0);
    expect_end(child.stdout_fd);
    fx_forget(&child);

    child = fx_run(&spawner, 1, SILENT, "daemon", NULL);
    skip_lines(child.stdout_fd, 2);
    assert_int_equal(trp_spawner_send_stop(&spawner, 1, 10), TROUPE_OK);
    fx_expect_exit(&spawner, 1, TRP_SPAWN_EXIT_SIGNAL, SIGKILL);
    expect_end(child.stdout_fd);
    fx_forget(&child);
    fx_close(&spawner);
}

static void a_daemon_of_another_root_lives_on(void **state)
{
    (void)state;
    struct trp_spawner spawner;
    fx_open(&spawner, 2);
    struct trp_spawn_event kept = fx_run(&spawner, 1, SILENT, "echo-daemon", NULL);
    skip_lines(kept.stdout_fd, 2);
    struct trp_spawn_event ended = fx_run(&spawner, 2, SILENT, "daemon", NULL);
    skip_lines(ended.stdout_fd, 2);
    fx_write(ended.stdin_fd, "x", 1);
    fx_expect_exit(&spawner, 2, TRP_SPAWN_EXIT_STATUS, 0);
    /* The same look that finds the daemons of 2 could have found those of 1. */
    expect_end(ended.stdout_fd);
    fx_write(kept.stdin_fd, "alive\n", 6);
    fx_expect_line(kept.stdout_fd, "alive");
    assert_int_equal(trp_spawner_send_kill(&spawner, 1), TROUPE_OK);
    fx_expect_exit(&spawner, 1, TRP_SPAWN_EXIT_SIGNAL, SIGKILL);
    expect_end(kept.stdout_fd);
    fx_forget(&kept);
    fx_forget(&ended);
    fx_close(&spawner);
}

static void closing_ends_everything(void **state)
{
    (void)state;
    struct trp_spawner spawner;
    struct trp_spawn_event children[3];
    fx_open(&spawner, 4);
    children[0] = fx_run(&spawner, 0, SILENT, "daemon", NULL);
    children[1] = fx_run(&spawner, 1, SILENT, "group", NULL);
    children[2] = fx_run(&spawner, 2, SILENT, "meek", NULL);
    skip_lines(children[0].stdout_fd, 2);
    skip_lines(children[1].stdout_fd, 2);
    skip_lines(children[2].stdout_fd, 1);
    fx_ask(&spawner, 3, SILENT, "stubborn", NULL); /* caught anywhere between fork and exec */
    fx_close(&spawner);
    for (int i = 0; i < 3; i++) {
        expect_end(children[i].stdout_fd);
        fx_forget(&children[i]);
    }
}

static void closing_lets_children_say_goodbye(void **state)
{
    (void)state;
    struct trp_spawner spawner;
    fx_open(&spawner, 1);
    struct trp_spawn_event child = fx_run(&spawner, 1, SILENT, "polite", NULL);
    fx_expect_line(child.stdout_fd, "ready");
    fx_close(&spawner);
    fx_expect_line(child.stdout_fd, "bye");
    expect_end(child.stdout_fd);
    fx_forget(&child);
}

static void stop_signals_the_whole_group(void **state)
{
    (void)state;
    struct trp_spawner spawner;
    fx_open(&spawner, 1);
    struct trp_spawn_event child = fx_run(&spawner, 1, SILENT, "polite-member", NULL);
    fx_expect_line(child.stdout_fd, "ready");
    assert_int_equal(trp_spawner_send_stop(&spawner, 1, TRP_SPAWN_GRACE_MS_MAX), TROUPE_OK);
    fx_expect_line(child.stdout_fd, "bye");
    assert_int_equal(trp_spawner_send_kill(&spawner, 1), TROUPE_OK);
    fx_expect_exit(&spawner, 1, TRP_SPAWN_EXIT_SIGNAL, SIGKILL);
    expect_end(child.stdout_fd);
    fx_forget(&child);
    fx_close(&spawner);
}

/* Runs as the server that will be killed; its stderr is the pipe the test watches. */
static _Noreturn void be_server(int stderr_fd)
{
    struct trp_spawner spawner;
    struct trp_spawn_event event;
    if (dup2(stderr_fd, 2) < 0 || trp_spawner_start(&spawner, 8) != TROUPE_OK) {
        _exit(80);
    }
    for (uint64_t id = 0; id < 4; id++) {
        const char *argv[2] = {TRP_TEST_CHILD, "all-on-stderr"};
        struct trp_spawn_request request = {
            .argv = argv, .argc = 2, .stderr_mode = TRP_SPAWN_STDERR_INHERIT};
        if (trp_spawner_send_spawn(&spawner, id, &request) != TROUPE_OK) {
            _exit(81);
        }
    }
    for (;;) {
        struct pollfd p = {.fd = trp_spawner_fd(&spawner), .events = POLLIN};
        (void)poll(&p, 1, -1);
        if (trp_spawner_receive(&spawner, &event) == TROUPE_OK &&
            event.type != TRP_SPAWN_EVENT_STARTED) {
            _exit(82);
        }
    }
}

static void kill_9_of_the_server_leaves_nothing(void **state)
{
    (void)state;
    int held[2];
    /* The orphaned spawner comes to this process, and so would anything it left behind. */
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    assert_int_equal(pipe2(held, O_CLOEXEC), 0);
    assert_int_equal(fcntl(held[0], F_SETFL, O_NONBLOCK), 0);
    pid_t server = fork();
    assert_true(server >= 0);
    if (server == 0) {
        be_server(held[1]);
    }
    close(held[1]);
    skip_lines(held[0], 4 * 5); /* each: child, grandchild, deep, daemon, leader */
    assert_int_equal(kill(server, SIGKILL), 0);
    expect_end(held[0]);
    close(held[0]);
    int status = -1;
    assert_int_equal(waitpid(server, &status, 0), server);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_true(waitpid(-1, &status, 0) > 0); /* the spawner, content */
    assert_int_equal(status, 0);
    assert_int_equal(waitpid(-1, &status, 0), -1);
    assert_int_equal(errno, ECHILD);
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_group_dies_with_its_leader),
        cmocka_unit_test(daemons_die_with_their_root),
        cmocka_unit_test(a_daemon_of_another_root_lives_on),
        cmocka_unit_test(closing_ends_everything),
        cmocka_unit_test(closing_lets_children_say_goodbye),
        cmocka_unit_test(stop_signals_the_whole_group),
        cmocka_unit_test(kill_9_of_the_server_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
