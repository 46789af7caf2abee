/* The handful of direct calls that io/net and the pool make on descriptors. */

#include "io/sim/sim_parts.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* What --wrap leaves of the kernel's. */
int __real_socket(int domain, int type, int protocol);
int __real_bind(int fd, const struct sockaddr *address, socklen_t len);
int __real_listen(int fd, int backlog);
int __real_shutdown(int fd, int how);
int __real_close(int fd);
int __real_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
int __real_getsockopt(int fd, int level, int name, void *value, socklen_t *len);
int __real_getsockname(int fd, struct sockaddr *address, socklen_t *len);
int __real_getpeername(int fd, struct sockaddr *address, socklen_t *len);

static int fail(int error)
{
    errno = error;
    return -1;
}

static bool is_simulated(int fd)
{
    return fd >= TRP_SIM_FD_FIRST;
}

static struct trp_sim_end *end_of(int fd)
{
    return trp_sim_end_of(trp_sim_net_current, fd);
}

int trp_sim_sys_socket(int domain, int type, int protocol)
{
    struct trp_sim_net *net = trp_sim_net_current;
    if (net == NULL || (type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) != SOCK_STREAM) {
        return __real_socket(domain, type, protocol);
    }
    TROUPE_ASSERT((type & SOCK_NONBLOCK) != 0); /* ours all are */
    TROUPE_ASSERT((type & SOCK_CLOEXEC) != 0);
    if (trp_sim_chance(net, net->faults.socket_fails)) {
        net->stats.sockets_failed++;
        return fail(EMFILE);
    }
    return trp_sim_end_give_fd(trp_sim_end_new(net, TRP_SIM_FRESH));
}

static bool is_taken(const struct trp_sim_end *wanted, const union trp_address *address)
{
    for (const struct trp_sim_end *end = wanted->net->ends; end != NULL; end = end->all_next) {
        if (end != wanted && end->is_bound && !end->is_gone &&
            end->address_len == wanted->address_len &&
            memcmp(&end->address, address, end->address_len) == 0 &&
            !(end->is_port_shared && wanted->is_port_shared)) {
            return true;
        }
    }
    return false;
}

int trp_sim_sys_bind(int fd, const struct sockaddr *address, socklen_t len)
{
    if (!is_simulated(fd)) {
        return __real_bind(fd, address, len);
    }
    struct trp_sim_end *end = end_of(fd);
    union trp_address wanted;
    if (end->is_bound || len > sizeof(wanted)) {
        return fail(EINVAL);
    }
    memset(&wanted, 0, sizeof(wanted));
    memcpy(&wanted, address, len);
    bool is_ipv4 = wanted.any.sa_family == AF_INET && len == sizeof(wanted.in);
    bool is_ipv6 = wanted.any.sa_family == AF_INET6 && len == sizeof(wanted.in6);
    if (!is_ipv4 && !is_ipv6) {
        return fail(EAFNOSUPPORT);
    }
    if (trp_sim_chance(end->net, end->net->faults.socket_fails)) {
        end->net->stats.sockets_failed++;
        return fail(EADDRNOTAVAIL);
    }
    in_port_t *port = is_ipv4 ? &wanted.in.sin_port : &wanted.in6.sin6_port;
    if (*port == 0) {
        *port = htons(end->net->next_port++);
    }
    end->address_len = len;
    if (is_taken(end, &wanted)) {
        return fail(EADDRINUSE);
    }
    end->address = wanted;
    end->is_bound = true;
    return 0;
}

int trp_sim_sys_listen(int fd, int backlog)
{
    if (!is_simulated(fd)) {
        return __real_listen(fd, backlog);
    }
    struct trp_sim_end *end = end_of(fd);
    if (end->kind != TRP_SIM_FRESH || !end->is_bound) {
        return fail(EINVAL);
    }
    end->kind = TRP_SIM_LISTENER;
    end->pending_max = backlog > 0 ? (uint32_t)backlog : 1;
    return 0;
}

int trp_sim_sys_shutdown(int fd, int how)
{
    if (!is_simulated(fd)) {
        return __real_shutdown(fd, how);
    }
    struct trp_sim_end *end = end_of(fd);
    if (end->kind == TRP_SIM_PIPE) {
        return fail(ENOTSOCK);
    }
    if (end->kind == TRP_SIM_LISTENER && how != SHUT_WR) {
        trp_sim_end_shut_read(end);
        return 0;
    }
    if (end->kind != TRP_SIM_CONNECTED || end->is_reset) {
        return fail(ENOTCONN);
    }
    if (how != SHUT_RD) {
        trp_sim_end_shut_write(end);
    }
    if (how != SHUT_WR) {
        trp_sim_end_shut_read(end);
    }
    return 0;
}

int trp_sim_sys_close(int fd)
{
    if (!is_simulated(fd)) {
        return __real_close(fd);
    }
    trp_sim_end_close(end_of(fd));
    return 0;
}

int trp_sim_sys_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    if (!is_simulated(fd)) {
        return __real_setsockopt(fd, level, name, value, len);
    }
    struct trp_sim_end *end = end_of(fd);
    if (level == SOL_SOCKET && name == SO_REUSEPORT && len == sizeof(int)) {
        int is_on;
        memcpy(&is_on, value, sizeof(is_on));
        end->is_port_shared = is_on != 0;
    }
    return 0;
}

int trp_sim_sys_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
    if (!is_simulated(fd)) {
        return __real_getsockopt(fd, level, name, value, len);
    }
    (void)end_of(fd);
    memset(value, 0, *len);
    if (level == SOL_SOCKET && name == SO_PEERCRED && *len == sizeof(struct ucred)) {
        struct ucred self = {.pid = getpid(), .uid = getuid(), .gid = getgid()};
        memcpy(value, &self, sizeof(self));
    }
    return 0;
}

static int
give_address(struct sockaddr *to, socklen_t *cap, const union trp_address *address, socklen_t len)
{
    memcpy(to, address, *cap < len ? *cap : len);
    *cap = len;
    return 0;
}

int trp_sim_sys_getsockname(int fd, struct sockaddr *address, socklen_t *len)
{
    if (!is_simulated(fd)) {
        return __real_getsockname(fd, address, len);
    }
    const struct trp_sim_end *end = end_of(fd);
    union trp_address nothing = {.any.sa_family = AF_UNSPEC};
    return end->address_len > 0 ? give_address(address, len, &end->address, end->address_len)
                                : give_address(address, len, &nothing, sizeof(nothing.in));
}

int trp_sim_sys_getpeername(int fd, struct sockaddr *address, socklen_t *len)
{
    if (!is_simulated(fd)) {
        return __real_getpeername(fd, address, len);
    }
    const struct trp_sim_end *end = end_of(fd);
    if (end->kind != TRP_SIM_CONNECTED || end->is_reset) {
        return fail(ENOTCONN);
    }
    if (end->other->address_len > 0) {
        return give_address(address, len, &end->other->address, end->other->address_len);
    }
    union trp_address client;
    socklen_t client_len = trp_sim_address(&client, (uint16_t)(40000 + end->fd_index % 20000));
    return give_address(address, len, &client, client_len);
}

socklen_t trp_sim_address(union trp_address *address, uint16_t port)
{
    memset(address, 0, sizeof(*address));
    address->in.sin_family = AF_INET;
    address->in.sin_port = htons(port);
    address->in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return sizeof(address->in);
}
