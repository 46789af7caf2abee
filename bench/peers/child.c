#include "bench/peers/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/report/machine.h"

static void pin_to(const int *cpus, uint32_t count)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    for (uint32_t i = 0; i < count; i++) {
        if (cpus[i] >= 0 && cpus[i] < CPU_SETSIZE) {
            CPU_SET((size_t)cpus[i], &set);
        }
    }
    if (sched_setaffinity(0, sizeof(set), &set) != 0) {
        _exit(126); /* an unpinned figure would be compared with pinned ones */
    }
}

/* In the child, after fork: never returns. */
static void become(const struct trp_child_options *options, int out)
{
    (void)setpgid(0, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (options->cpus != NULL) {
        pin_to(options->cpus, options->cpu_count);
    }
    if (options->folder != NULL && chdir(options->folder) != 0) {
        _exit(127);
    }
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 ||
        (options->is_quiet && dup2(null, STDERR_FILENO) < 0)) {
        _exit(126);
    }
    execvp(options->argv[0], (char *const *)(uintptr_t)options->argv);
    _exit(127);
}

/* Keeps what fits; false at the end of the stream. */
static bool read_some(struct trp_child_result *result, int fd)
{
    char text[1024];
    ssize_t got = read(fd, text, sizeof(text));
    if (got <= 0) {
        return got < 0 && (errno == EINTR || errno == EAGAIN);
    }
    size_t room = TRP_CHILD_TEXT_MAX - 1 - result->len;
    size_t kept = (size_t)got < room ? (size_t)got : room;
    memcpy(result->text + result->len, text, kept);
    result->len += kept;
    return true;
}

/*
 * Reads until the child is gone. False: the time is over. What grandchildren that hold the pipe
 * still write afterwards is of no interest.
 */
static bool follow(struct trp_child_result *result, int fd, int pidfd, uint32_t timeout_ms)
{
    uint64_t end_ns = trp_machine_now_ns() + (uint64_t)timeout_ms * 1000000u;
    struct pollfd fds[2] = {{.fd = fd, .events = POLLIN}, {.fd = pidfd, .events = POLLIN}};

    for (;;) {
        uint64_t now_ns = trp_machine_now_ns();
        if (now_ns >= end_ns) {
            return false;
        }
        int got = poll(fds, 2, (int)((end_ns - now_ns) / 1000000u) + 1);
        if (got < 0 && errno != EINTR) {
            return false;
        }
        if (got > 0 && fds[0].revents != 0 && !read_some(result, fd)) {
            fds[0].fd = -1; /* poll leaves it out from now on */
            fds[0].revents = 0;
        }
        if (got > 0 && fds[1].revents != 0 && fds[0].revents == 0) {
            return true;
        }
    }
}

static void reap(struct trp_child_result *result, pid_t pid, bool is_over)
{
    int status = 0;
    if (!is_over) {
        result->end = TRP_CHILD_TIMEOUT;
        (void)kill(pid, SIGKILL); /* should it not have made its group yet */
    }
    (void)kill(-pid, SIGKILL); /* what it left behind as well */
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (!is_over) {
        return;
    }
    bool is_exit = WIFEXITED(status);
    result->end = is_exit ? TRP_CHILD_EXITED : TRP_CHILD_SIGNALLED;
    result->code = is_exit ? WEXITSTATUS(status) : WTERMSIG(status);
}

bool trp_child_run(struct trp_child_result *result, const struct trp_child_options *options)
{
    int pipe_fds[2];

    *result = (struct trp_child_result){.end = TRP_CHILD_FAILED};
    if (pipe2(pipe_fds, O_CLOEXEC) != 0) {
        return false;
    }
    pid_t pid = fork();
    if (pid == 0) {
        become(options, pipe_fds[1]);
    }
    close(pipe_fds[1]);
    if (pid > 0) {
        (void)setpgid(pid, pid); /* both sides: whoever comes first */
        int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
        (void)fcntl(pipe_fds[0], F_SETFL, O_NONBLOCK);
        reap(result, pid, pidfd >= 0 && follow(result, pipe_fds[0], pidfd, options->timeout_ms));
        if (pidfd >= 0) {
            close(pidfd);
        }
    }
    close(pipe_fds[0]);
    result->text[result->len] = '\0';
    return result->end == TRP_CHILD_EXITED && result->code == 0;
}

bool trp_child_is_there(const char *program)
{
    const char *path = getenv("PATH");
    char name[1024];

    while (path != NULL && *path != '\0') {
        size_t len = strcspn(path, ":");
        int written = snprintf(name, sizeof(name), "%.*s/%s", (int)len, path, program);
        if (written > 0 && (size_t)written < sizeof(name) && access(name, X_OK) == 0) {
            return true;
        }
        path += len + (path[len] == ':' ? 1 : 0);
    }
    return false;
}
