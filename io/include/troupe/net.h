#ifndef TROUPE_NET_H
#define TROUPE_NET_H

/**
 * Sockets for actors: listening on TCP and Unix addresses, one actor per connection.
 *
 *     create a pool with troupe_ring_driver()
 *     troupe_listener_create      binds; each worker accepts connections from troupe_pool_start on
 *     ... per connection an actor of your type is spawned on the worker that accepted it:
 *         init_cb       troupe_conn_accept(ctx, &state->conn, arg, NULL)
 *         receive_cb    if (troupe_conn_receive(ctx, &state->conn, msg, &event)) { look at event }
 *         terminate_cb  troupe_conn_fini(ctx, &state->conn)
 *     troupe_listener_destroy     after troupe_pool_join
 *
 * What happens to a connection, in this order:
 *
 *     accept  ------------->  { DATA | DRAINED }* -> END? -> ... -> CLOSED
 *     connect -> CONNECTED -> { DATA | DRAINED }* -> END? -> ... -> CLOSED
 *
 * CLOSED comes exactly once for each accept and each successful connect, always as an event of
 * troupe_conn_receive, never from inside another call, whoever ended it. Then the descriptor is
 * closed, the buffers are released, and the actor may return TROUPE_STOP or connect again.
 *
 * Threads: everything is called from the owner's handlers unless stated otherwise.
 * Cost: unless stated otherwise O(1); nothing blocks and nothing is allocated from the system heap.
 * Operations are gathered, and one system call of the worker hands many of them to the kernel.
 */

#include <troupe/pool.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Message types from here to 0xEF7F arrive at actors that own a connection and belong to
 * troupe_conn_receive (the list of ranges is in troupe/actor.h). Such actors number their own
 * messages below.
 */
#define TROUPE_NET_MSG 0xEF00u

/* --- listening --- */

/** Listening sockets of one address and the actors that accept on them. */
struct troupe_listener;

/** What init_cb of a connection's actor gets as its argument; valid for that call. */
struct troupe_accept;

struct troupe_listener_config {
    /**
     * ADDR:PORT with a numeric address ("127.0.0.1:8080", "[::1]:8080", "localhost:0"; port 0 = the
     * system chooses one), or a path that contains a slash, or unix:PATH. A Unix socket file has
     * mode 0600, replaces one whose server is dead, and is removed at the end.
     */
    const char *address;
    int backlog; /**< connections that may wait for being accepted; 0 = 1024 */

    /** Spawned for each connection, on the worker that accepted it. */
    const struct troupe_actor_type *conn_type;
    void *user; /**< for troupe_accept_user; optional */
};

/**
 * Binds and listens, and reserves an accepting actor on each worker (on worker 0 only for a Unix
 * path). The kernel spreads TCP connections over the workers.
 *
 * Connections are accepted from troupe_pool_start on; those that come earlier wait in the backlog.
 * When descriptors or memory run out accepting pauses for 100 ms at a time. A connection whose
 * actor cannot be spawned, or whose init_cb fails, is closed and counted.
 *
 * @param[out] listener  written on success
 * @param[in] pool       not started, with the ring driver
 * @param[in] config     read during the call; conn_type must outlive the pool
 * @param[out] error     cause and remedy, cstr; written on failure; optional
 * @param[in] error_cap  bytes at error
 * @return TROUPE_OK; TROUPE_EINVAL (address, or a pool whose driver has no sockets); TROUPE_EEXIST
 *         (in use); TROUPE_EIO (anything else the system refuses); TROUPE_ENOMEM (the pool must not
 *         be started then); TROUPE_ECLOSED when the pool was started before and has ended
 * Ownership: the listener is the caller's, who destroys it
 * Threads: startup. Blocks for up to a second when the address is in use: the kernel gives back
 * the address of a killed server a moment after its death.
 */
TROUPE_API enum troupe_status troupe_listener_create(struct troupe_listener **listener,
                                                     struct troupe_pool *pool,
                                                     const struct troupe_listener_config *config,
                                                     char *error,
                                                     size_t error_cap) TROUPE_MUST_USE;

/**
 * Frees it and closes what is still open. NULL is a no-op.
 *
 * Threads: foreign; the pool is joined or was never started, and is not destroyed yet
 */
TROUPE_API void troupe_listener_destroy(struct troupe_listener *listener);

/**
 * Where it listens, cstr: ADDR:PORT with the real port, or unix:PATH. Lives as long as the
 * listener. Threads: any
 */
TROUPE_API const char *troupe_listener_address(const struct troupe_listener *listener);

/** The real port, 0 for a Unix path. Threads: any */
TROUPE_API uint16_t troupe_listener_port(const struct troupe_listener *listener);

/**
 * Stops accepting on all workers, each in its own turn: the sockets are closed and the Unix file is
 * removed. Connections go on. It cannot be undone; called again it does nothing more.
 *
 * Threads: any worker's, from a handler. Cost: one message per worker
 *
 * @return TROUPE_OK; TROUPE_ENOMEM, TROUPE_EBUSY: some workers were not told, call again;
 *         TROUPE_ECLOSED when the pool stops, which ends the listener anyway
 */
TROUPE_API enum troupe_status
troupe_listener_stop(struct troupe_ctx *ctx, struct troupe_listener *listener) TROUPE_MUST_USE;

struct troupe_listener_stats {
    uint64_t accepted; /**< actors spawned */
    uint64_t refused;  /**< connections closed: spawn or init failed, too many at once */
    uint64_t pauses;   /**< times accepting paused for want of descriptors or memory */
};

/** A relaxed snapshot, summed over the workers. Threads: any. Cost: O(workers). */
TROUPE_API void troupe_listener_stats(const struct troupe_listener *listener,
                                      struct troupe_listener_stats *stats);

/** `user` of the listener's configuration. In init_cb only, like the next two. */
TROUPE_API void *troupe_accept_user(const struct troupe_accept *accept);

/** User id of the peer's process, checked by the kernel; UINT32_MAX unless a Unix socket. */
TROUPE_API uint32_t troupe_accept_uid(const struct troupe_accept *accept);

/**
 * Writes the peer's address: ADDR:PORT, "unix" for a Unix socket, "" when it has gone already.
 *
 * @param[out] text  cstr, cut at cap; TROUPE_NET_ADDRESS_MAX bytes are always enough
 * @param[in] cap    bytes at text; 0 = nothing is written
 */
TROUPE_API void troupe_accept_peer(const struct troupe_accept *accept, char *text, size_t cap);

/** Bytes of the longest text of troupe_accept_peer with its NUL. */
#define TROUPE_NET_ADDRESS_MAX 64u

/* --- connections --- */

/** Zeroed members = the defaults named. */
struct troupe_conn_limits {
    uint32_t queue_bytes_max;  /**< unsent bytes, those under way included; 0 = 1 MiB. One write
                                    into an empty queue may exceed it. */
    uint32_t queue_writes_max; /**< queued writes; 0 = 256 */
    uint64_t linger_ns; /**< from troupe_conn_close to the end, however slow the peer; 0 = 5 s */
};

/** Size of a connection in words. */
#define TROUPE_CONN_WORDS 80u

/**
 * A connection. It lives in the state of the actor that owns it (zeroed = none) and must not be
 * moved or copied. The owner should not be ended with troupe_kill: without terminate_cb nobody
 * closes an idle descriptor.
 */
struct troupe_conn {
    uint64_t words[TROUPE_CONN_WORDS]; /**< private */
};

enum troupe_conn_event_kind {
    TROUPE_CONN_NONE = 0,      /**< the message was the connection's, there is nothing to do */
    TROUPE_CONN_CONNECTED = 1, /**< after troupe_conn_connect: it is open */
    TROUPE_CONN_DATA = 2,      /**< data: what arrived, any part of what the peer wrote */
    TROUPE_CONN_END = 3,       /**< the peer will send nothing more; sending is still possible */
    TROUPE_CONN_DRAINED = 4,   /**< everything queued was handed to the kernel */
    TROUPE_CONN_CLOSED = 5,    /**< it is over; status says why */
};

struct troupe_conn_event {
    enum troupe_conn_event_kind kind;

    /**
     * CLOSED: TROUPE_OK after an orderly close; TROUPE_ECANCELED after troupe_conn_abort;
     * TROUPE_EEXPIRED when the connect or the linger time ran out; otherwise the error of the
     * kernel (TROUPE_ECLOSED, TROUPE_EIO, ...).
     */
    enum troupe_status status;

    /** DATA: 1 .. 4096 bytes, valid until the handler returns; readable up to 64 bytes beyond. */
    struct troupe_span data;
};

/**
 * For init_cb of a connection's actor: takes the accepted socket over and starts receiving.
 *
 * It cannot fail. A socket that init_cb does not take over is closed when init_cb has returned.
 *
 * @param[in] conn    not open
 * @param[in] accept  init_cb's argument; taken over at most once
 * @param[in] limits  copied; optional
 */
TROUPE_API void troupe_conn_accept(struct troupe_ctx *ctx,
                                   struct troupe_conn *conn,
                                   const struct troupe_accept *accept,
                                   const struct troupe_conn_limits *limits);

/**
 * Connects to a server: CONNECTED or CLOSED follows. Receiving starts by itself.
 *
 * @param[in] conn        not open: zeroed, or after its CLOSED
 * @param[in] address     as in troupe_listener_config; names other than localhost are not looked
 *                        up (that blocks: see troupe_offload)
 * @param[in] timeout_ns  until CONNECTED
 * @param[in] limits      copied; optional
 * @return TROUPE_OK; TROUPE_EINVAL (address, or port 0); or the error of socket(2), such as
 *         TROUPE_EIO without descriptors. On an error no event follows.
 * Cost: two system calls
 */
TROUPE_API enum troupe_status
troupe_conn_connect(struct troupe_ctx *ctx,
                    struct troupe_conn *conn,
                    const char *address,
                    uint64_t timeout_ns,
                    const struct troupe_conn_limits *limits) TROUPE_MUST_USE;

/**
 * For receive_cb: finds out what a message means for the connection. An actor with several
 * connections asks one after the other until one says true.
 *
 * @param[in] msg     the message of the handler, borrowed and not taken
 * @param[out] event  always written
 * @return true when the message was the connection's (also with TROUPE_CONN_NONE); false when it is
 *         one of the owner's own, or another connection's
 */
TROUPE_API bool troupe_conn_receive(struct troupe_ctx *ctx,
                                    struct troupe_conn *conn,
                                    struct troupe_msg *msg,
                                    struct troupe_conn_event *event) TROUPE_MUST_USE;

/**
 * Queues the whole content of a counted buffer, without copying it. The same buffer may be queued
 * on any number of connections; it must not change any more. Call troupe_conn_flush at the end of
 * the handler: everything queued then goes out in one system call.
 *
 * @return TROUPE_OK (an empty buffer is accepted and not queued); TROUPE_EBUSY when the queue is
 *         full (wait for DRAINED, or drop, or close); TROUPE_ECLOSED unless open: before CONNECTED,
 *         after troupe_conn_close or troupe_conn_abort, after an error; TROUPE_ENOMEM
 * Ownership: the connection takes a reference of its own on success; the caller keeps his
 * Cost: one small message from the worker's slabs, one atomic add
 */
TROUPE_API enum troupe_status troupe_conn_send(struct troupe_ctx *ctx,
                                               struct troupe_conn *conn,
                                               struct troupe_buf *buf) TROUPE_MUST_USE;

/** Longest text of troupe_conn_send_copy, bytes. */
#define TROUPE_CONN_COPY_MAX 896u

/**
 * As troupe_conn_send with a copy of a few bytes.
 *
 * @return as troupe_conn_send; TROUPE_ETOOLARGE beyond TROUPE_CONN_COPY_MAX
 */
TROUPE_API enum troupe_status troupe_conn_send_copy(struct troupe_ctx *ctx,
                                                    struct troupe_conn *conn,
                                                    struct troupe_span data) TROUPE_MUST_USE;

/**
 * Starts sending what is queued. What is queued while a send is under way follows by itself. Cost:
 * none when nothing is queued or a send is under way.
 */
TROUPE_API void troupe_conn_flush(struct troupe_ctx *ctx, struct troupe_conn *conn);

/** Unsent bytes, those under way included: 0 when none is open. */
TROUPE_API uint32_t troupe_conn_queue_bytes(const struct troupe_conn *conn);

/**
 * Stops and starts receiving, so that a sender who is too fast waits (TCP's own flow control).
 * What the kernel had already delivered still arrives after a pause. No-ops when nothing changes.
 */
TROUPE_API void troupe_conn_pause(struct troupe_ctx *ctx, struct troupe_conn *conn);
TROUPE_API void troupe_conn_resume(struct troupe_ctx *ctx, struct troupe_conn *conn);

/**
 * Orderly end: sends what is queued, ends our side, waits for the peer's end, all within linger_ns.
 * What still arrives is dropped. CLOSED follows. A no-op when closing or not open.
 */
TROUPE_API void troupe_conn_close(struct troupe_ctx *ctx, struct troupe_conn *conn);

/** Ends at once and drops the queue. CLOSED follows. A no-op when not open. */
TROUPE_API void troupe_conn_abort(struct troupe_ctx *ctx, struct troupe_conn *conn);

/**
 * For terminate_cb: ends it without an event. Safe when it is closed or never was open. What the
 * kernel still uses is kept until it is done, also after the actor has gone.
 */
TROUPE_API void troupe_conn_fini(struct troupe_ctx *ctx, struct troupe_conn *conn);

#ifdef __cplusplus
}
#endif

#endif
