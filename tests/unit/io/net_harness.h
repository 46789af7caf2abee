#ifndef TESTS_NET_HARNESS_H
#define TESTS_NET_HARNESS_H

/*
 * A pool over the ring driver with a listener whose connections echo, an actor that spawns clients
 * on demand, and blocking sockets for misbehaving peers. Actors tell the test thread what happened
 * through counters under a lock; waiting has a deadline.
 */

#include "io/net/listener.h"
#include "io/net/ws_conn.h"

#include <pthread.h>
#include <troupe/pool.h>

#define NET_WAIT_S 20

/* What the connections of one role have seen. */
struct net_side {
    uint32_t opened;
    uint32_t closed;
    uint32_t messages;
    uint32_t drained;
    uint32_t requests;
    uint32_t commands; /* carried out */
    uint32_t sent;     /* by CMD_FILL, before TROUPE_EBUSY */
    uint32_t ended;    /* terminate_cb ran */
    uint32_t leaks;    /* shared buffers that still had other owners after the end */
    uint64_t bytes;
    bool was_text;
    uint16_t code; /* of the newest end */
    unsigned http_status;
    enum troupe_status status;
    char reason[128]; /* cstr */
    char text[256];   /* cstr: start of the newest message */
    troupe_ref newest;
    uint32_t queue_bytes_max;
};

struct net {
    struct troupe_pool *pool;
    struct troupe_port *port;
    troupe_ref spawner;
    troupe_ref listener;
    struct trp_listener_set set;
    struct trp_listener_stats stats;
    struct trp_listener_config listener_config;
    struct trp_ws_config server_config;
    struct trp_ws_config client_config;
    bool is_silent; /* the server does not echo */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct net_side server;
    struct net_side client;
    enum troupe_status connect_status; /* of the newest connect */
    uint32_t connects;
    char url[96];
    char host[32];
};

enum net_command_kind {
    CMD_SEND,
    CMD_CLOSE,
    CMD_ABORT,
    CMD_PAUSE,
    CMD_RESUME,
    CMD_FILL, /* 64 KiB messages from one shared buffer until the queue is full */
    CMD_STOP, /* the actor ends without closing first */
};

/* Configurations may be changed between init and start. */
void net_init(struct net *net);
void net_start(struct net *net, uint32_t workers, const char *address);
void net_stop(struct net *net);

/* Spawns a client; url NULL = the server's. */
void net_connect(struct net *net, const char *url);
void net_command(
    struct net *net, troupe_ref to, enum net_command_kind kind, uint16_t code, const char *text);

/* Waits until *counter >= value. */
void net_wait(struct net *net, const uint32_t *counter, uint32_t value);
struct net_side net_look(struct net *net, const struct net_side *side);

/* Raw peers; sockets are non-blocking, calls wait with a deadline. */
void raw_wait(int fd, short events); /* for one of these, as poll(2) has them */
int raw_connect(const struct net *net);
void raw_send(int fd, const void *data, size_t len);
void raw_send_text(int fd, const char *text);
/* Reads exactly len bytes. */
void raw_recv(int fd, void *data, size_t len);
/* Reads up to the end of the connection or cap bytes; a reset counts as an end. */
size_t raw_recv_all(int fd, void *data, size_t cap);
/* Sends an upgrade request and reads the 101. */
void raw_upgrade(int fd);
/* A masked frame. */
void raw_frame(int fd, uint8_t first_byte, const void *payload, size_t len);

#endif
