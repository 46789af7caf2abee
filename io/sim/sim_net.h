#ifndef IO_SIM_SIM_NET_H
#define IO_SIM_SIM_NET_H

/*
 * A network without a kernel, for the seeded simulation: it performs the operations of
 * pool/driver.h on simulated sockets and pipes, in virtual time, with faults drawn from a seed.
 * Listeners and streams of io/net run on it unchanged.
 *
 *     net = trp_sim_net_create(seed, NULL);
 *     io = trp_sim_net_io(net);
 *     sim = trp_sim_create(seed, &config, &io);
 *     trp_sim_net_attach(net, sim);
 *     ... listeners, peers, actors; trp_sim_start, trp_sim_run, trp_sim_stop ...
 *     trp_sim_net_check(net);
 *     trp_sim_destroy(sim);
 *     trp_sim_net_destroy(net);
 *
 * Descriptors. The direct calls of io/net and pool (socket, bind, listen, shutdown, close,
 * setsockopt, getsockopt, getsockname, getpeername) are replaced when the program is linked
 * (--wrap, in the CMake target trp_sim_io), so the code under test is the one that runs in
 * production and pays nothing. While a net exists every new stream socket is simulated; its number
 * is TRP_SIM_FD_FIRST or above and is not used twice. Calls on other numbers reach the kernel. What
 * is asserted: no operation and no call on a closed descriptor, none closed twice, none closed
 * while an operation is armed on it. Listening works on TCP addresses only (port 0 = chosen);
 * connecting also reaches Unix addresses where a peer listens.
 *
 * Bytes travel in segments that arrive in order after a delay. Each direction holds a bounded
 * number of bytes under way and unread; then writers wait. As in the kernel, closing a socket with
 * unread bytes resets the connection, and writing to one that is gone brings a reset.
 *
 * Faults (struct trp_sim_faults) are drawn at each attempt of an operation to make progress:
 *
 *     starting    socket() fails with EMFILE, bind() with EADDRNOTAVAIL; connect is refused, or
 * never answered (ETIMEDOUT after 130 s); accepting ends with EMFILE, ENFILE, ENOBUFS or ENOMEM
 *     accepting   stalls; a full batch: the socket waits, or is closed and counted
 *     moving      short reads, short writes (WRITE ends short, SEND goes on), stalls up to 50 ms,
 *                 cuts: both ends get ECONNRESET, or ETIMEDOUT at a time of their own, and bytes
 *                 under way are lost; a write after the error gets EPIPE, a read the end of stream.
 *                 The ends of a cut pipe see the end of stream and EPIPE
 *     buffers     each worker has few; released ones come back late; receivers without one wait
 *     ending      a completion waits on its way, so that a cancel meets an operation that is over:
 *                 its real result is the final completion then, otherwise -ECANCELED
 *
 * Limits: one operation of each group (RECV or READ; SEND, WRITE or CONNECT; ACCEPT; POLL) on a
 * descriptor at a time. Allocates from the system heap. Threads: the one of the simulation; one net
 * at a time.
 */

#include "pool/sim.h"

#include <netinet/in.h>

#define TRP_SIM_FD_FIRST    0x40000000
#define TRP_SIM_BUFFER_SIZE 4096u

/* Probabilities in per mille of each attempt, unless named otherwise. */
struct trp_sim_faults {
    uint32_t socket_fails; /* bind() too */
    uint32_t connect_refused;
    uint32_t connect_lost;
    uint32_t accept_fails;
    uint32_t accept_stall;
    uint32_t accept_refused; /* of attempts that find the batch full: the socket is closed */
    uint32_t cut;
    uint32_t stall;
    uint32_t short_read;
    uint32_t short_write;
    uint32_t late_release;    /* a released buffer comes back after up to 5 ms */
    uint32_t late_completion; /* a result waits for up to 4 x latency_ns */
    uint64_t latency_ns;      /* largest usual delay of a segment, of a connect, of a cancel */
    uint32_t wire_bytes;      /* largest capacity of one direction; each draws its own */
    uint32_t buffers;         /* receive buffers of each worker, at least 1 */
};

struct trp_sim_net_stats {
    uint64_t sockets_failed;
    uint64_t connected;
    uint64_t refused; /* connects without success, for any reason */
    uint64_t lost;    /* connects that got no answer */
    uint64_t accepted;
    uint64_t accept_failed;
    uint64_t accept_refused;
    uint64_t cuts;
    uint64_t resets; /* connections reset by one side: unread bytes, writing to the dead */
    uint64_t stalls;
    uint64_t short_reads;
    uint64_t short_writes;
    uint64_t starved; /* receivers that found no buffer */
    uint64_t late_releases;
    uint64_t cancels;
    uint64_t cancels_late; /* of these, met by a real result */
    uint64_t pipe_bytes;   /* delivered through pipes */
    uint64_t bytes;        /* delivered to actors and peers in all */
};

struct trp_sim_net;

/* What a seed draws: one in four is calm (no faults, short delays), the others differ widely. */
void trp_sim_faults_draw(struct trp_sim_faults *faults, uint64_t seed);

/* faults NULL = trp_sim_faults_draw. NULL without memory; asserts when there is a net already. */
struct trp_sim_net *trp_sim_net_create(uint64_t seed, const struct trp_sim_faults *faults);
struct trp_sim_io trp_sim_net_io(struct trp_sim_net *net);
void trp_sim_net_attach(struct trp_sim_net *net, struct trp_sim *sim);
void trp_sim_net_destroy(struct trp_sim_net *net);

/*
 * After trp_sim_stop: asserts that no operation is armed, that every receive buffer came back and
 * that every simulated descriptor was closed.
 */
void trp_sim_net_check(const struct trp_sim_net *net);

struct trp_sim_net_stats trp_sim_net_stats(const struct trp_sim_net *net);
struct trp_random *trp_sim_net_random(struct trp_sim_net *net);

/* Whether a fault cut the connection of this descriptor; works after it was closed too. */
bool trp_sim_net_was_cut(const struct trp_sim_net *net, int fd);

/* Calls cb once at a virtual time, from inside a step. The context is nobody's: no actor calls. */
void trp_sim_net_at(struct trp_sim_net *net, uint64_t at_ns, void (*cb)(void *arg), void *arg);

/* 127.0.0.1 and a port; returns the length of the address. */
socklen_t trp_sim_address(union trp_address *address, uint16_t port);

/* --- peers: remote ends that are not actors --- */

struct trp_sim_peer;

/*
 * What a peer does when something happens; each may be NULL. Callbacks may call the functions
 * below. closed comes exactly once for each peer, last: 0 after both directions ended, -errno after
 * a failed connect or an error.
 */
struct trp_sim_peer_type {
    void (*connected_cb)(struct trp_sim_peer *peer, void *user);
    void (*received_cb)(struct trp_sim_peer *peer, const uint8_t *data, uint32_t len, void *user);
    void (*ended_cb)(struct trp_sim_peer *peer, void *user); /* the other side sends no more */
    void (*closed_cb)(struct trp_sim_peer *peer, int error, void *user);
};

/* How fast a peer goes; zero = as fast as the network. */
struct trp_sim_pace {
    uint32_t write_max; /* bytes of one piece */
    uint32_t read_max;
    uint64_t write_pause_ns; /* largest pause between two pieces */
    uint64_t read_pause_ns;
};

/* Connects to a listener, an actor's or a peer's. The peer belongs to the net. */
struct trp_sim_peer *trp_sim_peer_connect(struct trp_sim_net *net,
                                          const union trp_address *address,
                                          socklen_t len,
                                          const struct trp_sim_peer_type *type,
                                          void *user);

/* From now on a connect to the address is answered by a new peer of that type. */
void trp_sim_peer_listen(struct trp_sim_net *net,
                         const union trp_address *address,
                         socklen_t len,
                         const struct trp_sim_peer_type *type,
                         void *user);

/* Two pipes to a peer, as to a child process; the descriptors are the caller's. */
struct trp_sim_peer *trp_sim_peer_pipes(struct trp_sim_net *net,
                                        int *read_fd,
                                        int *write_fd,
                                        const struct trp_sim_peer_type *type,
                                        void *user);

void trp_sim_peer_set_user(struct trp_sim_peer *peer, void *user);
void *trp_sim_peer_user(const struct trp_sim_peer *peer);
void trp_sim_peer_set_pace(struct trp_sim_peer *peer, const struct trp_sim_pace *pace);

/* Queues a copy of any length; before the connection stands too. Dropped once it is shut. */
void trp_sim_peer_write(struct trp_sim_peer *peer, const void *data, size_t len);
/* Half-close, when everything queued is sent. */
void trp_sim_peer_shut(struct trp_sim_peer *peer);
/* Ends at once with a reset (pipes: both ends close); closed_cb is called with -ECONNRESET. */
void trp_sim_peer_reset(struct trp_sim_peer *peer);

/* Whether a fault cut its connection. */
bool trp_sim_peer_was_cut(const struct trp_sim_peer *peer);

#endif
