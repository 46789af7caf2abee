#include "actors/server/control.h"

#include "actors/core/log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define SAME_WISH_NS 200000000u

static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit); /* more is better; what there is will do */
    }
}

bool trp_control_open(struct trp_control *control)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP); /* these three will mean something later; until then they do no harm */
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    raise_file_limit();
    if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR) {
        return false;
    }
    control->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    control->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (control->signal_fd < 0 || control->done_fd < 0) {
        trp_control_close(control);
        return false;
    }
    return true;
}

void trp_control_close(struct trp_control *control)
{
    if (control->signal_fd >= 0) {
        close(control->signal_fd);
        control->signal_fd = -1;
    }
    if (control->done_fd >= 0) {
        close(control->done_fd);
        control->done_fd = -1;
    }
}

/*
 * Tools that end a whole process group send a signal twice within a moment; that is one wish, not
 * an order to skip the drain.
 */
static bool is_new_wish(struct trp_control *control)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t now_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    bool is_new = control->wished_ns == 0 || now_ns - control->wished_ns >= SAME_WISH_NS;
    if (is_new) {
        control->wished_ns = now_ns;
    }
    return is_new;
}

enum trp_control_event trp_control_wait(struct trp_control *control)
{
    struct pollfd fds[2] = {{control->done_fd, POLLIN, 0}, {control->signal_fd, POLLIN, 0}};
    for (;;) {
        struct signalfd_siginfo info;
        if (poll(fds, 2, -1) < 0 && errno != EINTR) {
            return TRP_CONTROL_DONE;
        }
        if ((fds[0].revents & POLLIN) != 0) {
            return TRP_CONTROL_DONE;
        }
        if ((fds[1].revents & POLLIN) == 0 ||
            read(control->signal_fd, &info, sizeof(info)) != sizeof(info)) {
            continue;
        }
        if (info.ssi_signo != SIGTERM && info.ssi_signo != SIGINT) {
            trp_log_warn("signal ignored: not available yet",
                         trp_log_u64("signal", info.ssi_signo));
        } else if (is_new_wish(control)) {
            return TRP_CONTROL_TERMINATE;
        }
    }
}

void trp_control_done(struct trp_control *control)
{
    uint64_t one = 1;
    (void)!write(control->done_fd, &one, sizeof(one));
}
