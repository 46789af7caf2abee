#ifndef IO_SIM_SIM_PARTS_H
#define IO_SIM_SIM_PARTS_H

/*
 * The parts of the simulated network, private to io/sim.
 *
 * An *end* is one end of a connection or pipe, or a listening socket; ends live until the net is
 * destroyed. It has four *slots*, each for one armed operation. Everything that happens is a *look*
 * at a slot: an event that tries to make progress and says when to look again. Peers have ends
 * whose read and write slots carry no operation but their own wishes.
 */

#include "io/sim/sim_net.h"

#include <troupe/assert.h>

#define TRP_SIM_NEVER UINT64_MAX

struct trp_sim_segment {
    struct trp_sim_segment *next;
    uint64_t at_ns; /* arrives */
    uint32_t len;
    uint32_t used;
    bool is_fin;
    uint8_t data[];
};

/* One direction, seen from its reader. */
struct trp_sim_wire {
    struct trp_sim_segment *head;
    struct trp_sim_segment *tail;
    uint64_t last_ns; /* arrival of the newest segment: they stay in order */
    uint32_t bytes;   /* under way and unread */
    uint32_t capacity;
    bool is_fin_sent;
};

enum trp_sim_slot_kind {
    TRP_SIM_READ,
    TRP_SIM_WRITE, /* and connect */
    TRP_SIM_ACCEPT,
    TRP_SIM_POLL,
    TRP_SIM_SLOTS,
};

struct trp_sim_slot {
    struct trp_op *op; /* NULL = not armed */
    struct trp_worker *worker;
    uint64_t look_ns;   /* when the next look is planned */
    uint64_t due_ns;    /* nothing happens before: a stall, a pause, the way of a result */
    uint64_t cancel_ns; /* TRP_SIM_NEVER = not cancelled */
    int32_t result;     /* of an operation that is over */
    bool has_result;    /* it is on its way */
    bool is_lost;       /* a connect that gets no answer */
    uint32_t part;      /* first unsent part of a send */
    uint32_t sent;
    uint32_t tries; /* of a connect */
};

enum trp_sim_end_kind {
    TRP_SIM_FRESH, /* a socket that does nothing yet */
    TRP_SIM_LISTENER,
    TRP_SIM_CONNECTED,
    TRP_SIM_PIPE,
};

struct trp_sim_end {
    struct trp_sim_net *net;
    struct trp_sim_end *all_next;
    enum trp_sim_end_kind kind;
    uint32_t fd_index; /* UINT32_MAX = none */
    bool has_fd;       /* an open descriptor */
    bool is_gone;      /* closed, by whoever held it */
    bool is_read_shut;
    bool is_write_shut; /* our FIN is sent */
    bool is_doomed;     /* a reset is on its way to it */
    bool is_reset;
    bool is_cut; /* a fault did it */
    bool is_bound;
    bool is_port_shared;
    bool is_starved;
    int error;                 /* -errno to report once after a reset */
    struct trp_sim_end *other; /* NULL: none (yet) */
    bool can_read;             /* in is connected to something */
    bool can_write;
    struct trp_sim_wire in;
    struct trp_sim_slot slots[TRP_SIM_SLOTS];
    struct trp_sim_end *starved_next;
    struct trp_sim_peer *peer; /* whose end it is, NULL = an actor's */
    union trp_address address; /* bound to */
    socklen_t address_len;
    /* listening sockets */
    struct trp_sim_end *pending_head; /* connections nobody accepted yet */
    struct trp_sim_end *pending_tail;
    struct trp_sim_end *pending_next; /* of a pending one */
    uint32_t pending_count;
    uint32_t pending_max;
    const struct trp_sim_peer_type *peer_type; /* a peer answers, at once */
    void *peer_user;
};

struct trp_sim_peer {
    struct trp_sim_net *net;
    struct trp_sim_peer *all_next;
    struct trp_sim_end *read_end;
    struct trp_sim_end *write_end; /* the same for sockets */
    const struct trp_sim_peer_type *type;
    void *user;
    struct trp_sim_pace pace;
    union trp_address address;
    socklen_t address_len;
    uint8_t *queue;
    size_t queue_len;
    size_t queue_sent;
    uint32_t tries; /* of connecting */
    bool is_connected;
    bool is_shut_wanted;
    bool is_ended;
    bool is_closed;
};

enum trp_sim_event_kind {
    TRP_SIM_EVENT_LOOK,    /* at slot `number` of an end */
    TRP_SIM_EVENT_CUT,     /* an end gets error `number` */
    TRP_SIM_EVENT_BUFFER,  /* a receive buffer came back */
    TRP_SIM_EVENT_CONNECT, /* a peer tries to connect */
    TRP_SIM_EVENT_CALL,
};

struct trp_sim_event {
    uint64_t at_ns;
    uint64_t order; /* drawn: events of one moment come in any order */
    uint64_t serial;
    enum trp_sim_event_kind kind;
    int32_t number;
    void *target;
    void (*cb)(void *arg);
};

struct trp_sim_agenda {
    struct trp_sim_event *events; /* binary heap */
    uint32_t count;
    uint32_t cap;
};

/* What belongs to one worker. */
struct trp_sim_post {
    struct trp_sim_agenda agenda;
    uint32_t buffers_free;
    struct trp_sim_end *starved_head;
    struct trp_sim_end *starved_tail;
};

struct trp_sim_net {
    struct trp_sim *sim;
    struct trp_random random;
    struct trp_sim_faults faults;
    struct trp_sim_net_stats stats;
    uint64_t serial;
    uint32_t armed;      /* operations */
    uint32_t rx_out;     /* receive buffers with actors */
    uint32_t open_count; /* descriptors */
    uint16_t next_port;
    struct trp_sim_end *ends;
    struct trp_sim_peer *peers;
    struct trp_sim_end **fds; /* by number - TRP_SIM_FD_FIRST */
    uint32_t fd_count;
    uint32_t fd_cap;
    struct trp_sim_post posts[TROUPE_WORKERS_MAX];
};

/* --- sim_net.c --- */

/* The net that exists, or NULL. */
extern __thread struct trp_sim_net *trp_sim_net_current;

void *trp_sim_allocate(size_t bytes); /* zeroed; asserts on failure */
uint64_t trp_sim_net_now(const struct trp_sim_net *net);
/* True with a probability in per mille. */
bool trp_sim_chance(struct trp_sim_net *net, uint32_t per_mille);
/* 1 .. most, most > 0 */
uint64_t trp_sim_draw(struct trp_sim_net *net, uint64_t most);
/* A delay of the network: mostly up to latency_ns, sometimes far above. */
uint64_t trp_sim_delay(struct trp_sim_net *net);
void trp_sim_plan(struct trp_sim_net *net, uint32_t worker, struct trp_sim_event event);
/* Looks at a slot at that time, or earlier when a look is planned already. */
void trp_sim_look_at(struct trp_sim_end *end, enum trp_sim_slot_kind kind, uint64_t at_ns);
void trp_sim_look_soon(struct trp_sim_end *end, enum trp_sim_slot_kind kind);

/* --- sim_end.c: ends and wires --- */

struct trp_sim_end *trp_sim_end_new(struct trp_sim_net *net, enum trp_sim_end_kind kind);
void trp_sim_end_free(struct trp_sim_end *end);
int trp_sim_end_give_fd(struct trp_sim_end *end);
/* Asserts that the descriptor is open. */
struct trp_sim_end *trp_sim_end_of(struct trp_sim_net *net, int fd);
/* Makes two ends a connection; for pipes a reads what b writes and nothing else. */
void trp_sim_end_join(struct trp_sim_end *a, struct trp_sim_end *b, bool is_pipe);

/* Bytes that a reader could have now; *is_fin: the end is behind them. */
uint32_t trp_sim_end_arrived(const struct trp_sim_end *end, bool *is_fin);
/* Takes len arrived bytes off the wire. */
void trp_sim_end_take(struct trp_sim_end *end, uint8_t *to, uint32_t len);
uint32_t trp_sim_end_room(const struct trp_sim_end *end);
/* len <= room. */
void trp_sim_end_push(struct trp_sim_end *end, const uint8_t *data, uint32_t len);

void trp_sim_end_shut_write(struct trp_sim_end *end);
void trp_sim_end_shut_read(struct trp_sim_end *end);
/* The descriptor or the peer lets go of it. */
void trp_sim_end_close(struct trp_sim_end *end);
/* The end gets an error now. */
void trp_sim_end_break(struct trp_sim_end *end, int error);
/* This end is given up with a reset: the other one gets an error. */
void trp_sim_end_reset(struct trp_sim_end *end);
/* A fault of the network: both ends get errors. */
void trp_sim_end_cut(struct trp_sim_end *end);
/* As the kernel: the error once. 0 = none (any more). */
int trp_sim_end_error(struct trp_sim_end *end);

/* A listener for the address, drawn when several share it; NULL = none. */
struct trp_sim_end *
trp_sim_end_find(struct trp_sim_net *net, const union trp_address *address, socklen_t len);
/* Connects a fresh end: 0, -ECONNREFUSED, or -EAGAIN when the backlog is full. */
int trp_sim_end_connect(struct trp_sim_end *end, const union trp_address *address, socklen_t len);

/* --- sim_ops.c --- */

void trp_sim_net_submit(void *arg, struct trp_worker *worker, struct trp_op *op);
void trp_sim_net_cancel(void *arg, struct trp_worker *worker, struct trp_op *op);
void trp_sim_slot_look(struct trp_sim_end *end, enum trp_sim_slot_kind kind);
/* The operation is over; the news may take a while. */
void trp_sim_conclude(struct trp_sim_end *end, enum trp_sim_slot_kind kind, int32_t result);
/* Faults of anything that moves bytes: true when this look is over. */
bool trp_sim_is_disturbed(struct trp_sim_end *end, enum trp_sim_slot_kind kind);

/* --- sim_receive.c --- */

void trp_sim_net_release(void *arg, struct trp_worker *worker, struct trp_rx *rx);
void trp_sim_buffer_back(struct trp_sim_net *net, uint32_t worker);
void trp_sim_try_read(struct trp_sim_end *end);

/* --- sim_peer.c --- */

void trp_sim_peer_look(struct trp_sim_end *end, enum trp_sim_slot_kind kind);
void trp_sim_peer_try_connect(struct trp_sim_peer *peer);
/* Makes a peer for the accepting side of a connection. */
void trp_sim_peer_answer(struct trp_sim_end *listener, struct trp_sim_end *end);

/* --- sim_sockets.c: what the wrapped calls become --- */

int trp_sim_sys_socket(int domain, int type, int protocol);
int trp_sim_sys_bind(int fd, const struct sockaddr *address, socklen_t len);
int trp_sim_sys_listen(int fd, int backlog);
int trp_sim_sys_shutdown(int fd, int how);
int trp_sim_sys_close(int fd);
int trp_sim_sys_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
int trp_sim_sys_getsockopt(int fd, int level, int name, void *value, socklen_t *len);
int trp_sim_sys_getsockname(int fd, struct sockaddr *address, socklen_t *len);
int trp_sim_sys_getpeername(int fd, struct sockaddr *address, socklen_t *len);

#endif
