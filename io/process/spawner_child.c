#include "io/process/spawner_main.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* The exit status shells use for a program that could not be run. */
#define EXIT_NOT_RUN 127

static _Noreturn void
fail(const struct trp_spawn_launch *launch, const char *stage, const char *what)
{
    struct trp_spawn_failure failure = {.error = errno};
    const char *reason = strerrordesc_np(failure.error);
    snprintf(failure.text, sizeof(failure.text), "%s: %s%s%s", stage,
             reason == NULL ? "unknown error" : reason, what == NULL ? "" : ": ",
             what == NULL ? "" : what);
    ssize_t n;
    do {
        n = write(launch->error_fd, &failure, sizeof(failure));
    } while (n < 0 && errno == EINTR);
    _exit(EXIT_NOT_RUN);
}

static void set_descriptors(const struct trp_spawn_launch *launch)
{
    if (dup2(launch->stdin_fd, 0) < 0 || dup2(launch->stdout_fd, 1) < 0 ||
        (launch->stderr_fd >= 0 && dup2(launch->stderr_fd, 2) < 0)) {
        fail(launch, "descriptors", NULL);
    }
    /* Not left to close-on-exec: while this exec hangs on a slow file system, no other child's
       pipe may be held open here. */
    unsigned error_fd = (unsigned)launch->error_fd;
    if ((error_fd > 3 && close_range(3, error_fd - 1, 0) != 0) ||
        close_range(error_fd + 1, ~0u, 0) != 0) {
        fail(launch, "descriptors", NULL);
    }
}

static void set_signals(void)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigset_t none;
    for (int signal_number = 1; signal_number < NSIG; signal_number++) {
        /* Fails for SIGKILL, SIGSTOP and those of the C library: they are default anyway. */
        (void)sigaction(signal_number, &action, NULL);
    }
    sigemptyset(&none);
    /* Last: a stop that came since the fork is pending and takes effect here. */
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

void trp_spawn_exec(const struct trp_spawn_launch *launch)
{
    const struct rlimit no_core = {0, 0};
    /* The spawner does the same: whoever comes first, the group exists for both. */
    if (setpgid(0, 0) != 0) {
        fail(launch, "process group", NULL);
    }
    /* Subreaper survives exec and is not inherited: exactly the leader keeps its own tree. */
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) {
        fail(launch, "prctl", NULL);
    }
    if (getppid() != launch->spawner_pid) {
        _exit(EXIT_NOT_RUN); /* died before the death signal was set */
    }
    set_descriptors(launch);
    if (setrlimit(RLIMIT_CORE, &no_core) != 0 || setrlimit(RLIMIT_NOFILE, &launch->files) != 0) {
        fail(launch, "limits", NULL);
    }
    if (launch->cwd != NULL && chdir(launch->cwd) != 0) {
        fail(launch, "chdir", launch->cwd);
    }
    set_signals();
    /* execvp looks the program up in this PATH, as env(1) would. */
    environ = (char **)(uintptr_t)launch->environment;
    execvp(launch->argv[0], launch->argv);
    fail(launch, "exec", launch->argv[0]);
}
