#include "io/net/listener.h"

#include "mailbox/atomic.h"

#include <errno.h>
#include <stddef.h>
#include <troupe/assert.h>
#include <unistd.h>

/* How long accepting rests when descriptors or memory are short. */
#define PAUSE_NS 100000000u

struct listener {
    struct trp_op op;
    struct trp_accepted accepted;
    struct troupe_timer timer;
    const struct troupe_actor_type *type;
    void *user;
    struct trp_listener_stats *stats;
    struct trp_listener_stats own_stats; /* when the caller wants none */
    int fd;
    bool is_armed; /* op armed, its final completion not handled yet */
    bool is_stopping;
    struct trp_listener_set file; /* only its path and identity */
};

static void count(uint64_t *counter, uint64_t delta)
{
    /* relaxed: single writer; partner trp_listener_stats_read */
    trp_store_relaxed_u64(counter, *counter + delta);
}

struct trp_listener_stats trp_listener_stats_read(const struct trp_listener_stats *stats)
{
    struct trp_listener_stats copy = {
        .accepted = trp_load_relaxed_u64(&stats->accepted),
        .refused = trp_load_relaxed_u64(&stats->refused),
        .pauses = trp_load_relaxed_u64(&stats->pauses),
    };
    return copy;
}

static void arm(struct troupe_ctx *ctx, struct listener *listener)
{
    TROUPE_ASSERT(!listener->is_armed);
    TROUPE_ASSERT(!listener->is_stopping);
    listener->op.kind = TRP_OP_ACCEPT;
    listener->op.fd = listener->fd;
    listener->op.accept = &listener->accepted;
    listener->is_armed = true;
    trp_op_submit(ctx, &listener->op);
}

static enum troupe_status start(struct troupe_ctx *ctx, void *state, const void *arg)
{
    struct listener *listener = state;
    const struct trp_listener_config *config = arg;
    struct trp_listener_set *set = config->set;
    listener->fd = -1;
    if (config->index >= set->count || set->fds[config->index] < 0) {
        return TROUPE_EINVAL;
    }
    listener->fd = set->fds[config->index];
    set->fds[config->index] = -1;
    listener->type = config->type;
    listener->user = config->user;
    listener->stats = config->stats != NULL ? config->stats : &listener->own_stats;
    if (set->path[0] != '\0') {
        memcpy(listener->file.path, set->path, sizeof(set->path));
        listener->file.path_device = set->path_device;
        listener->file.path_inode = set->path_inode;
        listener->file.path_made_ns = set->path_made_ns;
        set->path[0] = '\0'; /* ours to remove from here */
    }
    arm(ctx, listener);
    return TROUPE_OK;
}

static void spawn_one(struct troupe_ctx *ctx, struct listener *listener, int fd)
{
    struct trp_accept accept = {
        .fd = &fd,
        .peer_len = sizeof(accept.peer),
        .uid = UINT32_MAX,
        .user = listener->user,
    };
    if (getpeername(fd, &accept.peer.any, &accept.peer_len) != 0) {
        accept.peer_len = 0; /* gone already; the actor finds out by reading */
    } else if (accept.peer.any.sa_family == AF_UNIX) {
        struct ucred peer;
        socklen_t len = sizeof(peer);
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0) {
            accept.uid = peer.uid;
            accept.pid = (uint32_t)peer.pid;
        }
    }
    troupe_ref ref;
    enum troupe_status status = troupe_spawn(ctx, &ref, listener->type, &accept);
    if (fd >= 0) {
        close(fd);
    }
    count(status == TROUPE_OK ? &listener->stats->accepted : &listener->stats->refused, 1);
}

static enum troupe_verdict on_accept(struct troupe_ctx *ctx, struct listener *listener)
{
    struct trp_accepted *accepted = &listener->accepted;
    for (uint32_t i = 0; i < accepted->count; i++) {
        spawn_one(ctx, listener, accepted->fds[i]);
    }
    accepted->count = 0;
    if (accepted->refused > 0) {
        count(&listener->stats->refused, accepted->refused);
        accepted->refused = 0;
    }
    if (listener->op.is_armed) {
        return TROUPE_CONTINUE;
    }
    listener->is_armed = false;
    if (listener->is_stopping) {
        return TROUPE_STOP;
    }
    if (listener->op.result >= 0) {
        arm(ctx, listener);
    } else {
        /* out of descriptors or memory: connections wait in the backlog until some are free */
        count(&listener->stats->pauses, 1);
        troupe_timer_start(ctx, &listener->timer, PAUSE_NS, 0, TRP_MSG_NET_TIMER);
    }
    return TROUPE_CONTINUE;
}

static enum troupe_verdict receive(struct troupe_ctx *ctx, void *state, struct troupe_msg *msg)
{
    struct listener *listener = state;
    if (msg == &listener->op.msg) {
        return on_accept(ctx, listener);
    }
    if (msg == &listener->timer.msg) {
        arm(ctx, listener);
        return TROUPE_CONTINUE;
    }
    if (msg->type == TRP_MSG_NET_LISTENER_STOP && !listener->is_stopping) {
        listener->is_stopping = true;
        troupe_timer_cancel(ctx, &listener->timer);
        if (!listener->is_armed) {
            return TROUPE_STOP;
        }
        trp_op_cancel(ctx, &listener->op);
    }
    return TROUPE_CONTINUE;
}

static void orphan_accept(struct troupe_ctx *ctx, struct trp_op *op)
{
    struct listener *listener = (struct listener *)((char *)op - offsetof(struct listener, op));
    TROUPE_ASSERT(ctx != NULL);
    close(listener->fd);
}

static void end(struct troupe_ctx *ctx, void *state, enum troupe_down_reason reason)
{
    struct listener *listener = state;
    (void)ctx;
    (void)reason;
    if (listener->fd < 0) {
        return;
    }
    trp_listener_unlink(&listener->file);
    for (uint32_t i = 0; i < listener->accepted.count; i++) {
        close(listener->accepted.fds[i]);
    }
    listener->accepted.count = 0;
    if (listener->is_armed) {
        (void)shutdown(listener->fd, SHUT_RDWR); /* nobody gets into the backlog from now on */
        listener->op.orphan_cb = orphan_accept;
        return;
    }
    close(listener->fd);
}

const struct troupe_actor_type trp_listener_type = {
    .name = "listener",
    .state_size = sizeof(struct listener),
    .init_cb = start,
    .receive_cb = receive,
    .terminate_cb = end,
};

enum troupe_status trp_listener_stop(struct troupe_ctx *ctx, troupe_ref listener)
{
    return troupe_send_copy(ctx, listener, TRP_MSG_NET_LISTENER_STOP, NULL, 0);
}
