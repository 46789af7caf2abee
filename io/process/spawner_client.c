#include "io/process/spawner.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <troupe/assert.h>

#include "io/process/spawner_main.h"
#include "io/process/spawner_proto.h"

#define SPAWNER_MAGIC     0x5350574eu
#define SOCKET_BYTES_WANT (512 * 1024)

static pid_t fork_spawner(struct trp_spawner_state *state, const int fds[2])
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    /* No handler of the server may run in the spawner. */
    (void)sigprocmask(SIG_SETMASK, &all, &before);
    pid_t pid = fork();
    if (pid == 0) {
        close(fds[0]); /* whatever its number: holding it would hide the end of the server */
        trp_spawner_run(state, fds[1]);
    }
    int error = errno;
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    errno = error;
    return pid;
}

enum troupe_status trp_spawner_start(struct trp_spawner *spawner, uint32_t children_max)
{
    int fds[2];
    int bytes = SOCKET_BYTES_WANT;
    if (children_max == 0 || children_max > TRP_SPAWN_CHILDREN_MAX) {
        return TROUPE_EINVAL;
    }
    struct trp_spawner_state *state = trp_spawner_state_create(children_max);
    if (state == NULL) {
        return TROUPE_ENOMEM;
    }
    int error;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0) {
        error = errno;
        goto fail_socket;
    }
    /* Room for the largest request; the kernel's default suffices where this is refused. */
    (void)setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
    pid_t pid = fork_spawner(state, fds);
    if (pid < 0) {
        error = errno;
        goto fail_fork;
    }
    close(fds[1]);
    trp_spawner_state_destroy(state);
    *spawner = (struct trp_spawner){.magic = SPAWNER_MAGIC, .fd = fds[0], .pid = pid};
    return TROUPE_OK;
fail_fork:
    close(fds[0]);
    close(fds[1]);
fail_socket:
    trp_spawner_state_destroy(state);
    errno = error;
    return TROUPE_EIO;
}

void trp_spawner_close(struct trp_spawner *spawner)
{
    TROUPE_ASSERT(spawner->magic == SPAWNER_MAGIC);
    if (spawner->fd >= 0) {
        close(spawner->fd);
        spawner->fd = -1;
    }
    spawner->is_closed = true;
}

enum troupe_status
trp_spawner_wait(struct trp_spawner *spawner, int *wait_status, uint32_t timeout_ms)
{
    TROUPE_ASSERT(spawner->magic == SPAWNER_MAGIC);
    /* While the socket is open and healthy the spawner would stay. */
    TROUPE_ASSERT(spawner->is_closed);
    int status = 0;
    if (spawner->pid == 0) {
        *wait_status = 0;
        return TROUPE_OK;
    }
    int pid_fd = pidfd_open(spawner->pid, 0);
    if (pid_fd < 0) {
        return TROUPE_EIO;
    }
    struct pollfd p = {.fd = pid_fd, .events = POLLIN};
    int timeout = timeout_ms > INT_MAX ? INT_MAX : (int)timeout_ms;
    int ready;
    do {
        ready = poll(&p, 1, timeout);
    } while (ready < 0 && errno == EINTR);
    close(pid_fd);
    if (ready <= 0) {
        return ready == 0 ? TROUPE_EEXPIRED : TROUPE_EIO;
    }
    if (waitpid(spawner->pid, &status, WNOHANG) != spawner->pid) {
        return TROUPE_EIO;
    }
    spawner->pid = 0;
    *wait_status = status;
    return TROUPE_OK;
}

int trp_spawner_fd(const struct trp_spawner *spawner)
{
    TROUPE_ASSERT(spawner->magic == SPAWNER_MAGIC);
    return spawner->fd;
}

static enum troupe_status send_iov(struct trp_spawner *spawner, struct iovec *iov, size_t count)
{
    TROUPE_ASSERT(spawner->magic == SPAWNER_MAGIC);
    if (spawner->is_closed) {
        return TROUPE_ECLOSED;
    }
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = count};
    ssize_t n;
    do {
        n = sendmsg(spawner->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    if (n >= 0) {
        return TROUPE_OK;
    }
    if (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM) {
        return TROUPE_EBUSY;
    }
    return errno == EMSGSIZE ? TROUPE_ETOOLARGE : TROUPE_ECLOSED;
}

enum troupe_status trp_spawner_send_spawn(struct trp_spawner *spawner,
                                          uint64_t id,
                                          const struct trp_spawn_request *request)
{
    struct trp_spawn_encoding encoding;
    enum troupe_status status = trp_spawn_encode(&encoding, id, request);
    if (status != TROUPE_OK) {
        return status;
    }
    return send_iov(spawner, encoding.iov, encoding.iov_count);
}

enum troupe_status
trp_spawner_send_stop(struct trp_spawner *spawner, uint64_t id, uint32_t grace_ms)
{
    struct trp_spawn_head head = {
        .type = TRP_SPAWN_PACKET_STOP, .length = sizeof(head) + sizeof(grace_ms), .id = id};
    struct iovec iov[2] = {{&head, sizeof(head)}, {&grace_ms, sizeof(grace_ms)}};
    return send_iov(spawner, iov, 2);
}

enum troupe_status trp_spawner_send_kill(struct trp_spawner *spawner, uint64_t id)
{
    struct trp_spawn_head head = {.type = TRP_SPAWN_PACKET_KILL, .length = sizeof(head), .id = id};
    struct iovec iov = {&head, sizeof(head)};
    return send_iov(spawner, &iov, 1);
}

/* Collects the descriptors of a packet; returns how many came. */
static size_t take_fds(struct msghdr *message, int fds[TRP_SPAWN_FDS_MAX])
{
    size_t count = 0;
    struct cmsghdr *c = CMSG_FIRSTHDR(message);
    if (c != NULL && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
        count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        TROUPE_ASSERT(count <= TRP_SPAWN_FDS_MAX); /* the control buffer has no room for more */
        memcpy(fds, CMSG_DATA(c), count * sizeof(int));
    }
    return count;
}

static void close_fds(const int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        close(fds[i]);
    }
}

static void report_closed(struct trp_spawner *spawner, struct trp_spawn_event *event)
{
    *event = (struct trp_spawn_event){
        .type = TRP_SPAWN_EVENT_CLOSED, .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1};
    spawner->is_closed = true;
}

static void attach_fds(struct trp_spawn_event *event, const int *fds, size_t count, bool is_cut)
{
    if (event->type != TRP_SPAWN_EVENT_STARTED || is_cut || count < 2) {
        close_fds(fds, count);
        event->error = event->type == TRP_SPAWN_EVENT_STARTED ? EMFILE : event->error;
        return;
    }
    event->stdin_fd = fds[0];
    event->stdout_fd = fds[1];
    event->stderr_fd = count > 2 ? fds[2] : -1;
}

enum troupe_status trp_spawner_receive(struct trp_spawner *spawner, struct trp_spawn_event *event)
{
    TROUPE_ASSERT(spawner->magic == SPAWNER_MAGIC);
    if (spawner->is_closed) {
        return TROUPE_ECLOSED;
    }
    char packet[TRP_SPAWN_EVENT_MAX];
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(TRP_SPAWN_FDS_MAX * sizeof(int))];
    int fds[TRP_SPAWN_FDS_MAX];
    for (;;) {
        struct iovec iov = {packet, sizeof(packet)};
        struct msghdr message = {.msg_iov = &iov,
                                 .msg_iovlen = 1,
                                 .msg_control = control,
                                 .msg_controllen = sizeof(control)};
        ssize_t n = recvmsg(spawner->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM)) {
            return TROUPE_EBUSY;
        }
        if (n <= 0) {
            report_closed(spawner, event);
            return TROUPE_OK;
        }
        size_t count = take_fds(&message, fds);
        if (trp_spawn_event_decode(event, packet, (size_t)n) == TROUPE_OK) {
            attach_fds(event, fds, count, (message.msg_flags & MSG_CTRUNC) != 0);
            return TROUPE_OK;
        }
        close_fds(fds, count); /* not ours: a spawner never sends such a packet */
    }
}
