/* Listening sockets made at startup, with errors a person can act on. */

#include "io/net/listener.h"

#include "io/codec/url.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <troupe/assert.h>
#include <unistd.h>

#define BACKLOG_DEFAULT 1024
#define IN_USE_TRIES    50u /* for an address that a dying server still holds: one second */
#define IN_USE_PAUSE_NS 20000000

struct failure {
    char *text;
    size_t cap;
};

static enum troupe_status
fail(struct failure failure, enum troupe_status status, const char *what, const char *why)
{
    if (failure.cap > 0) {
        snprintf(failure.text, failure.cap, "cannot listen on %s: %s", what, why);
    }
    return status;
}

static enum troupe_status fail_errno(struct failure failure, const char *what, int error)
{
    switch (error) {
    case EADDRINUSE:
        return fail(failure, TROUPE_EEXIST, what,
                    "the address is in use; stop the other program or choose another port");
    case EADDRNOTAVAIL:
        return fail(failure, TROUPE_EIO, what, "this machine has no such address");
    case EACCES:
    case EPERM:
        return fail(failure, TROUPE_EIO, what,
                    "permission denied; choose a port above 1023 or a directory of one's own");
    case ENOENT:
    case ENOTDIR:
        return fail(failure, TROUPE_EIO, what, "the directory does not exist");
    case EMFILE:
    case ENFILE:
        return fail(failure, TROUPE_EIO, what, "too many open files; raise the limit (ulimit -n)");
    default:
        return fail(failure, TROUPE_EIO, what, strerrordesc_np(error));
    }
}

/* --- TCP --- */

static socklen_t tcp_address(union trp_address *address, const struct trp_listen *listen_at)
{
    memset(address, 0, sizeof(*address));
    if (listen_at->is_ipv6) {
        address->in6.sin6_family = AF_INET6;
        address->in6.sin6_port = htons(listen_at->port);
        memcpy(&address->in6.sin6_addr, listen_at->bytes, 16);
        return sizeof(address->in6);
    }
    address->in.sin_family = AF_INET;
    address->in.sin_port = htons(listen_at->port);
    memcpy(&address->in.sin_addr, listen_at->bytes, 4);
    return sizeof(address->in);
}

/* Returns the descriptor or -errno. */
static int tcp_socket(const union trp_address *address, socklen_t len, bool is_first, int backlog)
{
    int one = 1;
    int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)); /* inherited on accept */
    /*
     * Sharing the port is switched on after the first bind: before it, the bind would also succeed
     * beside another server of the same user, who would then lose half of its clients to us.
     */
    bool is_bad = !is_first && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) != 0;
    is_bad = is_bad || bind(fd, &address->any, len) != 0;
    is_bad = is_bad || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) != 0;
    is_bad = is_bad || listen(fd, backlog) != 0;
    if (is_bad) {
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

static void close_all(struct trp_listener_set *set)
{
    for (uint32_t i = 0; i < TROUPE_WORKERS_MAX; i++) {
        if (set->fds[i] >= 0) {
            close(set->fds[i]);
            set->fds[i] = -1;
        }
    }
}

static enum troupe_status open_tcp(struct trp_listener_set *set,
                                   const char *text,
                                   uint32_t count,
                                   int backlog,
                                   struct failure failure)
{
    struct trp_listen listen_at;
    const char *why;
    if (trp_listen_parse(&listen_at, &why, troupe_span_cstr(text)) != TROUPE_OK) {
        return fail(failure, TROUPE_EINVAL, text, why);
    }
    union trp_address address;
    socklen_t len = tcp_address(&address, &listen_at);
    for (uint32_t i = 0; i < count; i++) {
        int fd = tcp_socket(&address, len, i == 0, backlog);
        if (fd < 0) {
            close_all(set);
            return fail_errno(failure, text, -fd);
        }
        set->fds[i] = fd;
        if (i == 0) { /* the others bind to the port that the system chose */
            socklen_t got = sizeof(address);
            if (getsockname(fd, &address.any, &got) != 0) {
                int error = errno;
                close_all(set);
                return fail_errno(failure, text, error);
            }
        }
    }
    set->port = ntohs(listen_at.is_ipv6 ? address.in6.sin6_port : address.in.sin_port);
    snprintf(set->address, sizeof(set->address), listen_at.is_ipv6 ? "[%s]:%u" : "%s:%u",
             listen_at.host, set->port);
    set->count = count;
    return TROUPE_OK;
}

/* --- Unix --- */

/* Removes a socket file that nobody listens on. TROUPE_OK when the name is free afterwards. */
static enum troupe_status
clear_stale(const struct sockaddr_un *address, const char *text, struct failure failure)
{
    struct stat before;
    struct stat after;
    if (lstat(address->sun_path, &before) != 0) {
        return errno == ENOENT ? TROUPE_OK : fail_errno(failure, text, errno);
    }
    if (!S_ISSOCK(before.st_mode)) {
        return fail(failure, TROUPE_EEXIST, text, "a file of that name exists and is no socket");
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return fail_errno(failure, text, errno);
    }
    int error = connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ? 0 : errno;
    close(fd);
    if (error != ECONNREFUSED) {
        return fail(failure, TROUPE_EEXIST, text,
                    "another program listens there; stop it or choose another path");
    }
    if (lstat(address->sun_path, &after) == 0 && after.st_ino == before.st_ino &&
        after.st_dev == before.st_dev) {
        (void)unlink(address->sun_path);
    }
    return TROUPE_OK;
}

/* Inode numbers are used again at once, so the time belongs to the identity. */
static uint64_t made_ns(const struct stat *info)
{
    return (uint64_t)info->st_mtim.tv_sec * 1000000000u + (uint64_t)info->st_mtim.tv_nsec;
}

void trp_listener_unlink(const struct trp_listener_set *set)
{
    struct stat now;
    if (set->path[0] != '\0' && lstat(set->path, &now) == 0 &&
        (uint64_t)now.st_dev == set->path_device && (uint64_t)now.st_ino == set->path_inode &&
        made_ns(&now) == set->path_made_ns) {
        (void)unlink(set->path);
    }
}

static enum troupe_status
open_unix(struct trp_listener_set *set, const char *path, int backlog, struct failure failure)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof(address.sun_path)) {
        return fail(failure, TROUPE_EINVAL, path, "a socket path has 1 to 107 bytes");
    }
    memcpy(address.sun_path, path, len);
    enum troupe_status status = clear_stale(&address, path, failure);
    if (status != TROUPE_OK) {
        return status;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return fail_errno(failure, path, errno);
    }
    struct stat made;
    /* the mode of the socket becomes that of the file: there is no moment with a wider one */
    if (fchmod(fd, 0600) != 0 ||
        bind(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        int error = errno;
        close(fd);
        return fail_errno(failure, path, error);
    }
    if (listen(fd, backlog) != 0 || lstat(path, &made) != 0) {
        int error = errno;
        (void)unlink(path);
        close(fd);
        return fail_errno(failure, path, error);
    }
    set->fds[0] = fd;
    set->count = 1;
    set->path_device = (uint64_t)made.st_dev;
    set->path_inode = (uint64_t)made.st_ino;
    set->path_made_ns = made_ns(&made);
    memcpy(set->path, path, len + 1);
    snprintf(set->address, sizeof(set->address), "unix:%s", path);
    return TROUPE_OK;
}

static enum troupe_status open_once(struct trp_listener_set *set,
                                    const char *address,
                                    uint32_t count,
                                    int backlog,
                                    struct failure failure)
{
    memset(set, 0, sizeof(*set));
    for (uint32_t i = 0; i < TROUPE_WORKERS_MAX; i++) {
        set->fds[i] = -1;
    }
    if (strncmp(address, "unix:", 5) == 0) {
        return open_unix(set, address + 5, backlog, failure);
    }
    if (strchr(address, '/') != NULL) {
        return open_unix(set, address, backlog, failure);
    }
    return open_tcp(set, address, count, backlog, failure);
}

/*
 * A server that was killed gives its address back a moment after its death: the kernel takes its
 * rings, which hold the listening sockets, apart on its own time. So an address in use is tried
 * again for a second before it is believed to be somebody else's.
 */
enum troupe_status trp_listener_open(struct trp_listener_set *set,
                                     const char *address,
                                     uint32_t count,
                                     int backlog,
                                     char *error,
                                     size_t error_cap)
{
    TROUPE_ASSERT(count >= 1);
    TROUPE_ASSERT(count <= TROUPE_WORKERS_MAX);
    struct failure failure = {error, error != NULL ? error_cap : 0};
    struct trp_listener_set made;
    backlog = backlog > 0 ? backlog : BACKLOG_DEFAULT;
    enum troupe_status status = open_once(&made, address, count, backlog, failure);
    for (uint32_t n = 0; status == TROUPE_EEXIST && n < IN_USE_TRIES; n++) {
        struct timespec pause = {0, IN_USE_PAUSE_NS};
        (void)nanosleep(&pause, NULL);
        status = open_once(&made, address, count, backlog, failure);
    }
    if (status == TROUPE_OK) {
        *set = made;
    }
    return status;
}

void trp_listener_close(struct trp_listener_set *set)
{
    close_all(set);
    trp_listener_unlink(set);
    set->path[0] = '\0';
}
