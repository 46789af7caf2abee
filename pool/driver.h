#ifndef POOL_DRIVER_H
#define POOL_DRIVER_H

/*
 * The seam between the pool and the outside world: one table of functions, implemented by the ring
 * driver (io/ring), the simulated driver (io/sim) and the futex driver (pool/driver_futex.c, no
 * operations). The pool knows only this file.
 *
 * Operations. An operation is memory of the actor that owns it (inside its state). Submitting pins
 * the actor: its state is not freed before the operation's final completion, even when the actor
 * ends; operations still armed then are cancelled by the pool. Completions arrive as messages on
 * the reply lane, in the order in which the kernel reported them:
 *
 *   TRP_MSG_RX  a received buffer (struct trp_rx) of a RECV or READ operation. The handler uses
 *               the bytes during its turn; the buffer goes back to the kernel when it returns.
 *   TRP_MSG_OP  anything else (struct trp_op): accepted sockets, a finished send or connect, the
 *               end of a multishot operation. `is_armed` false = final: may be submitted again.
 *
 * An operation is armed at most once at a time. A cancelled operation completes with -ECANCELED.
 */

#include <troupe/actor.h>

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

struct trp_worker;

enum {
    TRP_MSG_RX = TROUPE_MSG_RESERVED + 1,
    TRP_MSG_OP = TROUPE_MSG_RESERVED + 2,
    TRP_MSG_STOP = TROUPE_MSG_RESERVED + 3,
    TRP_MSG_DOWN = TROUPE_MSG_RESERVED + 4,
    /* an embedded node of the sender, on the reply lane: handed to receive_cb, never freed */
    TRP_MSG_NOTE = TROUPE_MSG_RESERVED + 5,
    /* carries the user's message on the data lane; the receiver stops after it */
    TRP_MSG_STOP_AFTER = TROUPE_MSG_RESERVED + 6,
    /* in an inbox only: carries the addresses of several messages, oldest first */
    TRP_MSG_BATCH = TROUPE_MSG_RESERVED + 7,
    /* a notice of room on its way to who waits (actors/core, reply lane); dropped, nobody misses it
     */
    TRP_MSG_ROOM = TROUPE_MSG_RESERVED + 8,
    TRP_MSG_CORE = TROUPE_MSG_RESERVED + 0x10, /* first of those that belong to actors/core */
};

enum trp_op_kind {
    TRP_OP_ACCEPT,  /* multishot; fd = listening socket */
    TRP_OP_CONNECT, /* one shot; fd = socket, address */
    TRP_OP_RECV,    /* multishot into provided buffers; fd = socket; res 0 = end of stream */
    TRP_OP_READ,    /* the same for pipes and other non-sockets */
    TRP_OP_SEND,    /* one shot, gathered; fd = socket; waits until all is sent or an error */
    TRP_OP_WRITE,   /* the same for pipes; may be short */
    TRP_OP_POLL,    /* multishot readability of fd (POLLIN); result = poll mask */
};

#define TRP_ACCEPT_BATCH 64 /* accepted sockets that one completion message can carry */
#define TRP_IOV_MAX      64 /* parts of one gathered send */

union trp_address {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    struct sockaddr_un un;
};

/* Sockets that an ACCEPT completion carries: non-blocking, close-on-exec, the handler's own. */
struct trp_accepted {
    uint32_t count;   /* the handler sets it back to 0 */
    uint32_t refused; /* closed by the driver because the batch was full */
    int fds[TRP_ACCEPT_BATCH];
};

struct trp_op {
    struct troupe_msg msg; /* first: the completion node, TRP_MSG_OP, flags EMBEDDED | REPLY lane */
    struct trp_op *armed_next; /* pool: list of armed operations of the owner */
    struct trp_op **armed_pprev;
    enum trp_op_kind kind;
    int fd;               /* not owned; must stay open until the final completion */
    int32_t result;       /* >= 0 or -errno of the newest completion */
    bool is_armed;        /* false in the final completion */
    bool is_queued;       /* completion node waits in the mailbox */
    uint8_t driver_state; /* private to the driver */
    union {
        struct {
            union trp_address address;
            socklen_t len;
        } connect;
        struct {
            struct iovec *iov; /* must live until the completion; the driver may change it */
            uint32_t iov_count;
            struct msghdr header; /* private to the driver */
        } send;
        struct trp_accepted *accept; /* memory of the owner, given at submit */
    };
    /*
     * Optional: called once when the owner has ended and this operation is final, before the
     * state is freed: for memory and descriptors that had to outlive the owner's terminate_cb. The
     * context has no running actor: it may free messages and release buffers, nothing else.
     */
    void (*orphan_cb)(struct troupe_ctx *ctx, struct trp_op *op);
    void *driver_data; /* private to the driver */
};

/* A received buffer; memory of the driver. */
struct trp_rx {
    struct troupe_msg msg; /* first: TRP_MSG_RX, EMBEDDED, reply lane */
    struct trp_op *op;     /* which operation; valid while the receiving handler runs */
    uint8_t *data;         /* at least 64 readable bytes behind len */
    uint32_t len;          /* bytes received, > 0 */
    uint32_t buffer_id;    /* private to the driver */
};

struct troupe_driver {
    const char *name;

    /*
     * Sets up the worker's instance on the worker's own thread; *state is handed to every other
     * call. On failure error tells cause and remedy.
     */
    enum troupe_status (*open)(void **state,
                               struct trp_worker *worker,
                               char *error,
                               size_t error_cap);
    /* Called when all workers' threads have ended (troupe_pool_destroy), from another thread. */
    void (*close)(void *state);

    uint64_t (*now)(void *state);      /* monotonic ns */
    uint64_t (*wall_now)(void *state); /* ns since 1970 */

    /*
     * Arms an operation: never fails, never calls back; errors come as completions. NULL in a
     * driver without I/O: submitting then asserts.
     */
    void (*submit)(void *state, struct trp_op *op);
    /* Asks for an armed operation to end; its final completion still arrives, never inside this
     * call. */
    void (*cancel)(void *state, struct trp_op *op);
    /* The handler is done with a received buffer. */
    void (*release)(void *state, struct trp_rx *rx);

    /* Submits what is pending, collects completions (trp_worker_complete), does not block. */
    void (*poll)(void *state);
    /* Submits pending doorbells; cheap when there are none. Called before each actor's turn. */
    void (*flush)(void *state);
    /*
     * Submits, then waits for a completion, a wake or the deadline (monotonic ns, UINT64_MAX =
     * none), collects completions. Spurious returns are fine.
     */
    void (*park)(void *state, uint64_t deadline_ns);
    /*
     * Wakes a worker that is in park or about to enter it (a wake may not be lost in between).
     * caller_state: the calling worker's instance, NULL from a foreign thread.
     */
    void (*wake)(void *target_state, void *caller_state);
};

/* --- what the pool offers to drivers and to the io layer (worker thread only) --- */

/*
 * Puts a completion node (of a trp_op or trp_rx) into its owner's reply lane. The driver sets
 * result and is_armed first; an op whose node is still queued is not queued again.
 */
void trp_worker_complete_op(struct trp_worker *worker, struct trp_op *op);
void trp_worker_complete_rx(struct trp_worker *worker, struct trp_rx *rx);

/* The driver instance of a worker, NULL before open. */
void *trp_worker_driver_state(struct trp_worker *worker);
uint32_t trp_worker_index(const struct trp_worker *worker);

/* Arms an operation of the running actor; op must not be armed. */
void trp_op_submit(struct troupe_ctx *ctx, struct trp_op *op);
/* Cancels an armed operation of the running actor; a no-op when it is not armed. */
void trp_op_cancel(struct troupe_ctx *ctx, struct trp_op *op);

/* The worker behind a context. */
struct trp_worker *trp_ctx_worker(struct troupe_ctx *ctx);

/*
 * Pushes everything gathered for other workers now. For protocols that publish something right
 * after a message must have reached another worker's inbox.
 */
void trp_flush(struct troupe_ctx *ctx);

/*
 * Sends a note: a node embedded in another object (type TRP_MSG_NOTE, size 0; the receiver knows it
 * by its address). Never refused, needs no memory. The sender must not post it again before the
 * receiver said, by a flag of their own, that it has arrived; a dead receiver drops it silently.
 */
void trp_note_post(struct troupe_ctx *ctx, troupe_ref to, struct troupe_msg *note);

#endif
