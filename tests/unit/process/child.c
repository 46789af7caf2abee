/*
 * The program the spawner tests start. The first argument says what to do. Everything it writes
 * is one line per fact, so that a test can wait for it.
 */

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

static void say_to(int fd, const char *line)
{
    size_t len = strlen(line);
    if (write(fd, line, len) != (ssize_t)len) {
        _exit(90);
    }
}

static void say(const char *line)
{
    say_to(1, line);
}

static void ignore_sigterm(void)
{
    struct sigaction action = {.sa_handler = SIG_IGN};
    if (sigaction(SIGTERM, &action, NULL) != 0) {
        _exit(91);
    }
}

static void say_bye(int signal_number)
{
    (void)signal_number;
    if (write(1, "bye\n", 4) == 4) {
        _exit(0);
    }
    _exit(98);
}

static void leave_politely(void)
{
    struct sigaction action = {.sa_handler = say_bye};
    if (sigaction(SIGTERM, &action, NULL) != 0) {
        _exit(99);
    }
}

static _Noreturn void wait_for_ever(void)
{
    for (;;) {
        pause();
    }
}

/* Copies lines from 0 to 1 until the end of input. */
static void echo(void)
{
    char bytes[4096];
    ssize_t n;
    while ((n = read(0, bytes, sizeof(bytes))) > 0) {
        for (ssize_t at = 0; at < n;) {
            ssize_t put = write(1, bytes + at, (size_t)(n - at));
            if (put < 0) {
                _exit(92);
            }
            at += put;
        }
    }
}

static void list_descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    if (directory == NULL) {
        _exit(93);
    }
    struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) {
        int fd = atoi(entry->d_name);
        if (entry->d_name[0] != '.' && fd != dirfd(directory)) {
            char line[32];
            snprintf(line, sizeof(line), "%d\n", fd);
            say(line);
        }
    }
    closedir(directory);
}

static void list_state(void)
{
    char line[256];
    sigset_t mask;
    struct rlimit core;
    int blocked = 0;
    int ignored = 0;
    int death_signal = 0;
    sigprocmask(SIG_BLOCK, NULL, &mask);
    for (int i = 1; i < NSIG; i++) {
        struct sigaction action;
        blocked += sigismember(&mask, i) == 1 ? 1 : 0;
        if (sigaction(i, NULL, &action) == 0 && action.sa_handler == SIG_IGN) {
            ignored++;
        }
    }
    getrlimit(RLIMIT_CORE, &core);
    prctl(PR_GET_PDEATHSIG, &death_signal);
    snprintf(line, sizeof(line), "leader=%d blocked=%d ignored=%d core=%d death=%d\n",
             getpgrp() == getpid() ? 1 : 0, blocked, ignored,
             core.rlim_cur == 0 && core.rlim_max == 0 ? 0 : 1, death_signal);
    say(line);
}

/* fork that cannot fail unnoticed */
static pid_t split(void)
{
    pid_t pid = fork();
    if (pid < 0) {
        _exit(94);
    }
    return pid;
}

static void spawn_in_group(int fd)
{
    ignore_sigterm();
    if (split() == 0) {
        if (split() == 0) {
            say_to(fd, "grandchild\n");
        } else {
            say_to(fd, "child\n");
        }
        wait_for_ever();
    }
}

/* The classic daemon: setsid, fork again, the middle process ends. It starts a child of its own
   in yet another session, so that several generations have to be found. */
static void daemonise(int fd, bool echoes)
{
    ignore_sigterm();
    if (split() != 0) {
        return;
    }
    setsid();
    if (split() != 0) {
        _exit(0);
    }
    setsid();
    if (split() == 0) {
        setsid();
        say_to(fd, "deep\n");
        wait_for_ever();
    }
    say_to(fd, "daemon\n");
    if (echoes) {
        echo();
    }
    wait_for_ever();
}

/* Waits for one byte on the input. */
static void wait_for_input(void)
{
    char byte;
    if (read(0, &byte, 1) < 0) {
        _exit(95);
    }
}

static void run(const char *mode, int argc, char **argv)
{
    if (strcmp(mode, "exit") == 0) {
        _exit(argc > 2 ? atoi(argv[2]) : 0);
    } else if (strcmp(mode, "signal") == 0) {
        raise(argc > 2 ? atoi(argv[2]) : SIGKILL);
    } else if (strcmp(mode, "stderr") == 0) {
        say_to(2, "to stderr\n");
    } else if (strcmp(mode, "cat") == 0) {
        echo();
    } else if (strcmp(mode, "stubborn") == 0) {
        ignore_sigterm();
        say("ready\n");
        wait_for_ever();
    } else if (strcmp(mode, "meek") == 0) {
        say("ready\n");
        wait_for_ever();
    } else if (strcmp(mode, "polite") == 0) {
        leave_politely();
        say("ready\n");
        wait_for_ever();
    } else if (strcmp(mode, "polite-member") == 0) {
        ignore_sigterm();
        if (split() == 0) {
            leave_politely();
            say("ready\n");
        }
        wait_for_ever();
    } else if (strcmp(mode, "stopped") == 0) {
        say("ready\n");
        raise(SIGSTOP);
        wait_for_ever();
    } else if (strcmp(mode, "group") == 0) {
        spawn_in_group(1);
        wait_for_input();
    } else if (strcmp(mode, "daemon") == 0) {
        daemonise(1, false);
        wait_for_input();
    } else if (strcmp(mode, "echo-daemon") == 0) {
        daemonise(1, true);
        wait_for_ever();
    } else if (strcmp(mode, "all-on-stderr") == 0) {
        spawn_in_group(2);
        daemonise(2, false);
        say_to(2, "leader\n");
        wait_for_ever();
    } else if (strcmp(mode, "fds") == 0) {
        list_descriptors();
    } else if (strcmp(mode, "state") == 0) {
        list_state();
    } else if (strcmp(mode, "env") == 0) {
        for (char **variable = environ; *variable != NULL; variable++) {
            say(*variable);
            say("\n");
        }
    } else if (strcmp(mode, "cwd") == 0) {
        char path[4096];
        say(getcwd(path, sizeof(path)) == NULL ? "none" : path);
    } else if (strcmp(mode, "measure") == 0) {
        char line[64];
        size_t bytes = 0;
        for (int i = 0; i < argc; i++) {
            bytes += strlen(argv[i]) + 1;
        }
        snprintf(line, sizeof(line), "%d %zu\n", argc, bytes);
        say(line);
    } else {
        _exit(96);
    }
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        return 97;
    }
    run(argv[1], argc, argv);
    /* No leak check at exit: it would fork helpers the tests did not ask for. */
    _exit(0);
}
