/* Remote ends that are not actors. */

#include "io/sim/sim_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SYN_AGAIN_NS  1000000000u
#define SYN_TRIES_MAX 5u

static struct trp_sim_peer *
peer_new(struct trp_sim_net *net, const struct trp_sim_peer_type *type, void *user)
{
    struct trp_sim_peer *peer = trp_sim_allocate(sizeof(*peer));
    peer->net = net;
    peer->type = type;
    peer->user = user;
    peer->all_next = net->peers;
    net->peers = peer;
    return peer;
}

/* Its end, or both. */
static void hold(struct trp_sim_peer *peer, struct trp_sim_end *in, struct trp_sim_end *out)
{
    peer->read_end = in;
    peer->write_end = out;
    in->peer = peer;
    out->peer = peer;
}

/* --- the end of a peer --- */

static void finish(struct trp_sim_peer *peer, int error)
{
    if (peer->is_closed) {
        return;
    }
    peer->is_closed = true;
    trp_sim_end_close(peer->read_end);
    if (peer->write_end != peer->read_end) {
        trp_sim_end_close(peer->write_end);
    }
    if (peer->type->closed_cb != NULL) {
        peer->type->closed_cb(peer, error, peer->user);
    }
}

static void settle(struct trp_sim_peer *peer)
{
    if (peer->is_ended && peer->write_end->is_write_shut) {
        finish(peer, 0);
    }
}

void trp_sim_peer_reset(struct trp_sim_peer *peer)
{
    if (peer->is_closed) {
        return;
    }
    if (peer->write_end == peer->read_end) {
        trp_sim_end_reset(peer->read_end);
    }
    finish(peer, -ECONNRESET);
}

/* --- looks --- */

static bool is_pausing(struct trp_sim_end *end, enum trp_sim_slot_kind kind)
{
    uint64_t due_ns = end->slots[kind].due_ns;
    if (trp_sim_net_now(end->net) >= due_ns) {
        return false;
    }
    trp_sim_look_at(end, kind, due_ns);
    return true;
}

static void pause_for(struct trp_sim_end *end, enum trp_sim_slot_kind kind, uint64_t most_ns)
{
    if (most_ns > 0) {
        end->slots[kind].due_ns = trp_sim_net_now(end->net) + trp_sim_draw(end->net, most_ns);
    }
    trp_sim_look_soon(end, kind);
}

static void look_read(struct trp_sim_peer *peer)
{
    struct trp_sim_end *end = peer->read_end;
    uint8_t data[TRP_SIM_BUFFER_SIZE];
    bool is_fin;
    if (!peer->is_connected || is_pausing(end, TRP_SIM_READ)) {
        return;
    }
    uint32_t len = trp_sim_end_arrived(end, &is_fin);
    if (len > 0) {
        uint32_t most = peer->pace.read_max;
        len = len < sizeof(data) ? len : (uint32_t)sizeof(data);
        len = most > 0 && most < len ? most : len;
        trp_sim_end_take(end, data, len);
        pause_for(end, TRP_SIM_READ, peer->pace.read_pause_ns);
        if (peer->type->received_cb != NULL) {
            peer->type->received_cb(peer, data, len, peer->user);
        }
    } else if (end->is_reset) {
        int error = trp_sim_end_error(end);
        finish(peer, error != 0 ? error : -ECONNRESET);
    } else if (is_fin && !peer->is_ended) {
        peer->is_ended = true;
        if (peer->type->ended_cb != NULL) {
            peer->type->ended_cb(peer, peer->user);
        }
        if (!peer->is_closed) {
            settle(peer);
        }
    } else if (end->in.head != NULL && !is_fin) {
        trp_sim_look_at(end, TRP_SIM_READ, end->in.head->at_ns);
    }
}

static bool has_queued(const struct trp_sim_peer *peer)
{
    return peer->queue_sent < peer->queue_len;
}

static void send_some(struct trp_sim_peer *peer, uint32_t room)
{
    struct trp_sim_end *end = peer->write_end;
    size_t len = peer->queue_len - peer->queue_sent;
    uint32_t most = peer->pace.write_max;
    len = len < room ? len : room;
    len = most > 0 && most < len ? most : len;
    trp_sim_end_push(end, peer->queue + peer->queue_sent, (uint32_t)len);
    peer->queue_sent += len;
    if (!has_queued(peer)) {
        peer->queue_len = 0;
        peer->queue_sent = 0;
    }
    pause_for(end, TRP_SIM_WRITE, peer->pace.write_pause_ns);
}

static void look_write(struct trp_sim_peer *peer)
{
    struct trp_sim_end *end = peer->write_end;
    if (!peer->is_connected || end->is_write_shut) {
        return;
    }
    if (end->is_reset) {
        /* a socket's reader sees it, behind what arrived before */
        if (end == peer->read_end) {
            trp_sim_look_soon(end, TRP_SIM_READ);
        } else {
            finish(peer, trp_sim_end_error(end));
        }
        return;
    }
    if (end->kind == TRP_SIM_PIPE && end->other->is_gone) {
        peer->queue_sent = peer->queue_len; /* nobody reads it */
        peer->is_shut_wanted = true;
    }
    if (has_queued(peer)) {
        if (!is_pausing(end, TRP_SIM_WRITE) && trp_sim_end_room(end) > 0) {
            send_some(peer, trp_sim_end_room(end));
        }
        return;
    }
    if (peer->is_shut_wanted) {
        trp_sim_end_shut_write(end);
        settle(peer);
    }
}

void trp_sim_peer_look(struct trp_sim_end *end, enum trp_sim_slot_kind kind)
{
    struct trp_sim_peer *peer = end->peer;
    if (peer->is_closed) {
        return;
    }
    if (kind == TRP_SIM_READ && end == peer->read_end) {
        look_read(peer);
    } else if (kind == TRP_SIM_WRITE && end == peer->write_end) {
        look_write(peer);
    }
}

/* --- beginnings --- */

static void begin(struct trp_sim_peer *peer)
{
    peer->is_connected = true;
    trp_sim_look_soon(peer->read_end, TRP_SIM_READ);
    trp_sim_look_soon(peer->write_end, TRP_SIM_WRITE);
    if (peer->type->connected_cb != NULL) {
        peer->type->connected_cb(peer, peer->user);
    }
}

static void plan_connect(struct trp_sim_peer *peer, uint64_t delay_ns)
{
    struct trp_sim_net *net = peer->net;
    trp_sim_plan(net, 0,
                 (struct trp_sim_event){.at_ns = trp_sim_net_now(net) + delay_ns,
                                        .kind = TRP_SIM_EVENT_CONNECT,
                                        .target = peer});
}

void trp_sim_peer_try_connect(struct trp_sim_peer *peer)
{
    if (peer->is_closed) {
        return;
    }
    int result = trp_sim_end_connect(peer->read_end, &peer->address, peer->address_len);
    if (result == 0) {
        begin(peer);
    } else if (result == -EAGAIN && peer->tries++ < SYN_TRIES_MAX) {
        plan_connect(peer, SYN_AGAIN_NS);
    } else {
        peer->net->stats.refused++;
        finish(peer, result == -EAGAIN ? -ETIMEDOUT : result);
    }
}

struct trp_sim_peer *trp_sim_peer_connect(struct trp_sim_net *net,
                                          const union trp_address *address,
                                          socklen_t len,
                                          const struct trp_sim_peer_type *type,
                                          void *user)
{
    struct trp_sim_peer *peer = peer_new(net, type, user);
    struct trp_sim_end *end = trp_sim_end_new(net, TRP_SIM_FRESH);
    hold(peer, end, end);
    peer->address = *address;
    peer->address_len = len;
    plan_connect(peer, trp_sim_delay(net));
    return peer;
}

void trp_sim_peer_answer(struct trp_sim_end *listener, struct trp_sim_end *end)
{
    struct trp_sim_peer *peer = peer_new(end->net, listener->peer_type, listener->peer_user);
    hold(peer, end, end);
    begin(peer);
}

void trp_sim_peer_listen(struct trp_sim_net *net,
                         const union trp_address *address,
                         socklen_t len,
                         const struct trp_sim_peer_type *type,
                         void *user)
{
    struct trp_sim_end *end = trp_sim_end_new(net, TRP_SIM_LISTENER);
    end->address = *address;
    end->address_len = len;
    end->is_bound = true;
    end->peer_type = type;
    end->peer_user = user;
}

struct trp_sim_peer *trp_sim_peer_pipes(struct trp_sim_net *net,
                                        int *read_fd,
                                        int *write_fd,
                                        const struct trp_sim_peer_type *type,
                                        void *user)
{
    struct trp_sim_peer *peer = peer_new(net, type, user);
    struct trp_sim_end *ends[4];
    for (uint32_t i = 0; i < 4; i++) {
        ends[i] = trp_sim_end_new(net, TRP_SIM_PIPE);
    }
    trp_sim_end_join(ends[0], ends[1], true); /* to the actor */
    trp_sim_end_join(ends[2], ends[3], true); /* to the peer */
    hold(peer, ends[2], ends[1]);
    *read_fd = trp_sim_end_give_fd(ends[0]);
    *write_fd = trp_sim_end_give_fd(ends[3]);
    begin(peer);
    return peer;
}

/* --- wishes --- */

void trp_sim_peer_set_user(struct trp_sim_peer *peer, void *user)
{
    peer->user = user;
}

void *trp_sim_peer_user(const struct trp_sim_peer *peer)
{
    return peer->user;
}

void trp_sim_peer_set_pace(struct trp_sim_peer *peer, const struct trp_sim_pace *pace)
{
    peer->pace = *pace;
}

void trp_sim_peer_write(struct trp_sim_peer *peer, const void *data, size_t len)
{
    if (peer->is_closed || peer->is_shut_wanted || len == 0) {
        return;
    }
    peer->queue = realloc(peer->queue, peer->queue_len + len);
    TROUPE_ASSERT(peer->queue != NULL);
    memcpy(peer->queue + peer->queue_len, data, len);
    peer->queue_len += len;
    trp_sim_look_soon(peer->write_end, TRP_SIM_WRITE);
}

void trp_sim_peer_shut(struct trp_sim_peer *peer)
{
    if (!peer->is_closed) {
        peer->is_shut_wanted = true;
        trp_sim_look_soon(peer->write_end, TRP_SIM_WRITE);
    }
}

bool trp_sim_peer_was_cut(const struct trp_sim_peer *peer)
{
    return peer->read_end->is_cut || peer->write_end->is_cut;
}
