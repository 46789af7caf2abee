#include "io/process/orphans.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PID_DIGITS_MAX 10

static ssize_t read_some(int fd, void *buffer, size_t cap)
{
    ssize_t n;
    do {
        n = read(fd, buffer, cap);
    } while (n < 0 && errno == EINTR);
    return n;
}

/* Adds a digit; a number that no pid can have becomes -1 and stays so. */
static long add_digit(long value, char c)
{
    if (value < 0 || value > (INT_MAX - (c - '0')) / 10) {
        return -1;
    }
    return value * 10 + (c - '0');
}

/* The pid a directory entry names, -1 for any other name. */
static pid_t pid_of_name(const char *name)
{
    long value = 0;
    size_t i = 0;
    for (; name[i] != '\0'; i++) {
        if (name[i] < '0' || name[i] > '9' || i == PID_DIGITS_MAX) {
            return -1;
        }
        value = add_digit(value, name[i]);
    }
    return i == 0 ? -1 : (pid_t)value;
}

pid_t trp_orphans_stat_parent(const char *line, size_t len)
{
    const char *bracket = memrchr(line, ')', len);
    if (bracket == NULL) {
        return -1;
    }
    /* ") S 123 " follows: the state is one letter. */
    size_t at = (size_t)(bracket - line) + 4;
    if (at >= len || line[at - 1] != ' ' || line[at - 3] != ' ') {
        return -1;
    }
    long value = 0;
    size_t digits = 0;
    for (; at < len && line[at] >= '0' && line[at] <= '9'; at++, digits++) {
        value = add_digit(value, line[at]);
    }
    return digits == 0 || at == len || line[at] != ' ' ? -1 : (pid_t)value;
}

enum troupe_status trp_orphans_each_listed(const char *path, trp_orphans_cb *cb, void *arg)
{
    char bytes[4096];
    long value = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return TROUPE_EUNAVAIL;
    }
    ssize_t n;
    while ((n = read_some(fd, bytes, sizeof(bytes))) > 0) {
        for (ssize_t i = 0; i < n; i++) {
            if (bytes[i] >= '0' && bytes[i] <= '9') {
                value = add_digit(value, bytes[i]);
                continue;
            }
            if (value > 0) {
                cb(arg, (pid_t)value);
            }
            value = 0;
        }
    }
    if (value > 0) {
        cb(arg, (pid_t)value);
    }
    close(fd);
    return n < 0 ? TROUPE_EUNAVAIL : TROUPE_OK;
}

static pid_t parent_of(int proc_fd, pid_t pid)
{
    char path[PID_DIGITS_MAX + sizeof("/stat") + 1];
    char line[512]; /* the parent stands in the first hundred bytes */
    snprintf(path, sizeof(path), "%d/stat", (int)pid);
    int fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -1; /* ended meanwhile */
    }
    ssize_t n = read_some(fd, line, sizeof(line));
    close(fd);
    return n <= 0 ? -1 : trp_orphans_stat_parent(line, (size_t)n);
}

enum troupe_status trp_orphans_each_scanned(pid_t parent, trp_orphans_cb *cb, void *arg)
{
    /* getdents64 itself: opendir would allocate. */
    _Alignas(struct dirent64) char bytes[8192];
    int proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (proc_fd < 0) {
        return TROUPE_EUNAVAIL;
    }
    long n;
    while ((n = syscall(SYS_getdents64, proc_fd, bytes, sizeof(bytes))) > 0) {
        for (long at = 0; at < n;) {
            const char *entry = &bytes[at];
            uint16_t length;
            memcpy(&length, entry + offsetof(struct dirent64, d_reclen), sizeof(length));
            pid_t pid = pid_of_name(entry + offsetof(struct dirent64, d_name));
            if (pid > 0 && parent_of(proc_fd, pid) == parent) {
                cb(arg, pid);
            }
            at += length;
        }
    }
    close(proc_fd);
    return n < 0 ? TROUPE_EUNAVAIL : TROUPE_OK;
}

enum troupe_status trp_orphans_each(pid_t parent, trp_orphans_cb *cb, void *arg)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)parent, (int)parent);
    if (trp_orphans_each_listed(path, cb, arg) == TROUPE_OK) {
        return TROUPE_OK;
    }
    return trp_orphans_each_scanned(parent, cb, arg);
}
