#ifndef IO_NET_LISTENER_H
#define IO_NET_LISTENER_H

/*
 * Listening: sockets made at startup, and the actor that accepts on one of them and spawns an actor
 * for each connection on its own worker.
 *
 *     trp_listener_open(&set, ...)                    startup: errors are told at once
 *     for each worker w: troupe_pool_spawn(pool, &ref, w, &trp_listener_type, &config)
 *     ...
 *     stop with troupe_stop(ref) or with the pool
 *
 * TCP: one socket per worker with SO_REUSEPORT, the kernel spreads connections over them. Unix: one
 * socket; its file has mode 0600 and is removed when the listener ends.
 */

#include <troupe/actor.h>
#include <troupe/pool.h>

#include "io/net/stream.h"

#define TRP_LISTENER_PATH_MAX (sizeof(((struct sockaddr_un *)0)->sun_path)) /* with NUL */

/* Listening sockets of one address. */
struct trp_listener_set {
    uint32_t count;                   /* sockets; 1 for a Unix path */
    int fds[TROUPE_WORKERS_MAX];      /* -1 once a listener actor has taken it */
    char address[128];                /* cstr: ADDR:PORT with the real port, or unix:PATH */
    uint16_t port;                    /* 0 for a Unix path */
    char path[TRP_LISTENER_PATH_MAX]; /* cstr: file to remove at the end; empty for TCP, and once
                                         the listener actor has taken it over */
    uint64_t path_device;             /* which file it is: another one of that name is spared */
    uint64_t path_inode;
    uint64_t path_made_ns;
};

/*
 * Binds and listens.
 *
 * address: ADDR:PORT ("127.0.0.1:8080", "[::1]:8080", "localhost:0"; port 0 = the system chooses
 *          one), or a path that contains a slash, or unix:PATH.
 * count:   sockets wanted, 1 .. TROUPE_WORKERS_MAX; all share the port.
 * backlog: 0 = 1024.
 *
 * A Unix socket file left behind by a killed server (connecting is refused) is replaced; one that
 * somebody listens on, and anything that is not a socket, is left alone: TROUPE_EEXIST.
 *
 * TROUPE_OK; TROUPE_EINVAL (address); TROUPE_EEXIST (in use); TROUPE_EIO (anything else). On an
 * error *set is untouched and error tells cause and remedy.
 * Threads: startup. Blocks for up to a second when the address is in use: a killed server's rings
 * give it back a moment after its death.
 */
enum troupe_status trp_listener_open(struct trp_listener_set *set,
                                     const char *address,
                                     uint32_t count,
                                     int backlog,
                                     char *error,
                                     size_t error_cap) TROUPE_MUST_USE;

/* Closes the sockets that no listener has taken and removes the file unless one has. */
void trp_listener_close(struct trp_listener_set *set);

/* Removes a socket file if it still is the one that was bound. Private to io/net. */
void trp_listener_unlink(const struct trp_listener_set *set);

/* Handed to the init_cb of the actor spawned for a connection; borrowed for the call. */
struct trp_accept {
    int *fd; /* take it with trp_accept_take; one that was not taken is closed by the listener */
    union trp_address peer;
    socklen_t peer_len;
    uint32_t uid; /* of the peer process, Unix sockets only; else UINT32_MAX */
    uint32_t pid; /* the same; else 0 */
    void *user;
};

/*
 * The non-blocking socket: the caller's from here, whatever its init_cb returns. Not to be called
 * twice.
 */
static inline int trp_accept_take(const struct trp_accept *accept)
{
    int fd = *accept->fd;
    *accept->fd = -1;
    return fd;
}

/* Counters of one listener, written by its worker; read them with trp_listener_stats_read. */
struct trp_listener_stats {
    uint64_t accepted; /* actors spawned */
    uint64_t refused;  /* connections closed: spawn failed or too many at once */
    uint64_t pauses;   /* times accepting paused for want of descriptors or memory */
};

struct trp_listener_config {
    struct trp_listener_set *set;         /* init takes the descriptor out of it */
    uint32_t index;                       /* which socket of the set */
    const struct troupe_actor_type *type; /* spawned per connection with a struct trp_accept */
    void *user;                           /* handed on in struct trp_accept */
    struct trp_listener_stats *stats;     /* optional; outlives the listener */
};

/* arg of its spawn: struct trp_listener_config. */
extern const struct troupe_actor_type trp_listener_type;

/* A relaxed snapshot. Threads: any. */
struct trp_listener_stats trp_listener_stats_read(const struct trp_listener_stats *stats);

/*
 * Asks a listener to stop in its own turn: no further connection is accepted, the socket is closed,
 * the Unix file removed, then it ends with TROUPE_DOWN_NORMAL. Same as sending an empty message of
 * type TRP_MSG_NET_LISTENER_STOP.
 */
enum troupe_status trp_listener_stop(struct troupe_ctx *ctx, troupe_ref listener) TROUPE_MUST_USE;

#endif
