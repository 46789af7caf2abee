/* Operations: what each tries at a look, and how it ends. */

#include "io/sim/sim_parts.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define STALL_NS      50000000u
#define LOST_NS       130000000000ull
#define SYN_AGAIN_NS  1000000000u
#define SYN_TRIES_MAX 5u
#define BATCH_FULL_NS 20000u

static enum trp_sim_slot_kind slot_of(enum trp_op_kind kind)
{
    switch (kind) {
    case TRP_OP_ACCEPT:
        return TRP_SIM_ACCEPT;
    case TRP_OP_RECV:
    case TRP_OP_READ:
        return TRP_SIM_READ;
    case TRP_OP_CONNECT:
    case TRP_OP_SEND:
    case TRP_OP_WRITE:
        return TRP_SIM_WRITE;
    case TRP_OP_POLL:
        return TRP_SIM_POLL;
    default:
        TROUPE_ASSERT(false);
        return TRP_SIM_SLOTS;
    }
}

/* --- endings --- */

static void finish(struct trp_sim_end *end, enum trp_sim_slot_kind kind, int32_t result)
{
    struct trp_sim_slot *slot = &end->slots[kind];
    struct trp_op *op = slot->op;
    TROUPE_ASSERT(op != NULL);
    TROUPE_ASSERT(op->is_armed);
    if (slot->cancel_ns != TRP_SIM_NEVER && result != -ECANCELED) {
        end->net->stats.cancels_late++;
    }
    slot->op = NULL; /* planned looks are of no interest any more */
    slot->look_ns = TRP_SIM_NEVER;
    slot->cancel_ns = TRP_SIM_NEVER;
    TROUPE_ASSERT(end->net->armed > 0);
    end->net->armed--;
    op->driver_data = NULL;
    op->result = result;
    op->is_armed = false;
    trp_worker_complete_op(slot->worker, op); /* may close the descriptor */
}

void trp_sim_conclude(struct trp_sim_end *end, enum trp_sim_slot_kind kind, int32_t result)
{
    struct trp_sim_net *net = end->net;
    struct trp_sim_slot *slot = &end->slots[kind];
    if (!trp_sim_chance(net, net->faults.late_completion)) {
        finish(end, kind, result);
        return;
    }
    slot->has_result = true;
    slot->result = result;
    slot->due_ns = trp_sim_net_now(net) + trp_sim_draw(net, 4 * net->faults.latency_ns);
    trp_sim_look_at(end, kind, slot->due_ns);
}

static bool is_stalled(struct trp_sim_end *end, enum trp_sim_slot_kind kind, uint32_t per_mille)
{
    struct trp_sim_net *net = end->net;
    if (!trp_sim_chance(net, per_mille)) {
        return false;
    }
    net->stats.stalls++;
    end->slots[kind].due_ns = trp_sim_net_now(net) + trp_sim_draw(net, STALL_NS);
    trp_sim_look_at(end, kind, end->slots[kind].due_ns);
    return true;
}

bool trp_sim_is_disturbed(struct trp_sim_end *end, enum trp_sim_slot_kind kind)
{
    struct trp_sim_net *net = end->net;
    if (trp_sim_chance(net, net->faults.cut)) {
        trp_sim_end_cut(end);
        trp_sim_look_soon(end, kind);
        return true;
    }
    return is_stalled(end, kind, net->faults.stall);
}

/* --- sending --- */

static uint64_t left_to_send(const struct trp_sim_slot *slot)
{
    uint64_t left = 0;
    for (uint32_t i = slot->part; i < slot->op->send.iov_count; i++) {
        left += slot->op->send.iov[i].iov_len;
    }
    return left;
}

/* Moves at most `most` bytes onto the wire; changes the parts, as drivers may. */
static uint32_t move(struct trp_sim_end *end, uint64_t most)
{
    struct trp_sim_slot *slot = &end->slots[TRP_SIM_WRITE];
    uint32_t moved = 0;
    while (moved < most && slot->part < slot->op->send.iov_count) {
        struct iovec *part = &slot->op->send.iov[slot->part];
        uint32_t room = trp_sim_end_room(end);
        uint64_t len = part->iov_len < most - moved ? part->iov_len : most - moved;
        len = len < room ? len : room;
        if (len == 0 && part->iov_len > 0) {
            break;
        }
        if (len > 0) {
            trp_sim_end_push(end, part->iov_base, (uint32_t)len);
        }
        part->iov_base = (char *)part->iov_base + len;
        part->iov_len -= len;
        moved += (uint32_t)len;
        if (part->iov_len == 0) {
            slot->part++;
        }
    }
    return moved;
}

/* Why nothing can be sent, 0 = it can. */
static int send_error(struct trp_sim_end *end)
{
    if (!end->can_write) {
        return end->kind == TRP_SIM_PIPE ? -EBADF : -ENOTCONN;
    }
    if (end->is_reset) {
        int error = trp_sim_end_error(end);
        return error != 0 ? error : -EPIPE;
    }
    bool is_broken_pipe = end->kind == TRP_SIM_PIPE && end->other->is_gone;
    return end->is_write_shut || is_broken_pipe ? -EPIPE : 0;
}

static void try_send(struct trp_sim_end *end)
{
    struct trp_sim_net *net = end->net;
    struct trp_sim_slot *slot = &end->slots[TRP_SIM_WRITE];
    int error = send_error(end);
    if (error != 0) {
        trp_sim_conclude(end, TRP_SIM_WRITE, error);
        return;
    }
    uint64_t left = left_to_send(slot);
    if (left > 0) {
        if (trp_sim_end_room(end) == 0 || trp_sim_is_disturbed(end, TRP_SIM_WRITE)) {
            return; /* the reader makes room, or a look is planned */
        }
        uint64_t most = left;
        if (trp_sim_chance(net, net->faults.short_write)) {
            net->stats.short_writes++;
            most = trp_sim_draw(net, left);
        }
        uint32_t moved = move(end, most);
        slot->sent += moved;
        left -= moved;
    }
    if (left == 0 || slot->op->kind == TRP_OP_WRITE) {
        trp_sim_conclude(end, TRP_SIM_WRITE, (int32_t)slot->sent);
    } else if (trp_sim_end_room(end) > 0) {
        trp_sim_look_soon(end, TRP_SIM_WRITE);
    }
}

/* --- connecting and accepting --- */

static void start_connect(struct trp_sim_end *end, struct trp_sim_slot *slot)
{
    struct trp_sim_net *net = end->net;
    uint64_t now_ns = trp_sim_net_now(net);
    slot->is_lost = trp_sim_chance(net, net->faults.connect_lost);
    net->stats.lost += slot->is_lost ? 1 : 0;
    slot->due_ns = now_ns + (slot->is_lost ? LOST_NS : trp_sim_delay(net));
}

static void try_connect(struct trp_sim_end *end)
{
    struct trp_sim_net *net = end->net;
    struct trp_sim_slot *slot = &end->slots[TRP_SIM_WRITE];
    const struct trp_op *op = slot->op;
    int result;
    if (end->kind != TRP_SIM_FRESH) {
        result = -EISCONN;
    } else if (slot->is_lost) {
        result = -ETIMEDOUT;
    } else if (trp_sim_chance(net, net->faults.connect_refused)) {
        result = -ECONNREFUSED;
    } else {
        result = trp_sim_end_connect(end, &op->connect.address, op->connect.len);
    }
    if (result == -EAGAIN && slot->tries++ < SYN_TRIES_MAX) {
        slot->due_ns = trp_sim_net_now(net) + SYN_AGAIN_NS;
        trp_sim_look_at(end, TRP_SIM_WRITE, slot->due_ns);
        return;
    }
    net->stats.refused += result < 0 ? 1 : 0;
    trp_sim_conclude(end, TRP_SIM_WRITE, result == -EAGAIN ? -ETIMEDOUT : result);
}

static struct trp_sim_end *pop_pending(struct trp_sim_end *listener)
{
    struct trp_sim_end *end = listener->pending_head;
    TROUPE_ASSERT(end != NULL);
    listener->pending_head = end->pending_next;
    if (listener->pending_head == NULL) {
        listener->pending_tail = NULL;
    }
    listener->pending_count--;
    return end;
}

/* One of those that wait; false when the batch is full and may have room later. */
static bool accept_one(struct trp_sim_end *listener, struct trp_accepted *batch)
{
    struct trp_sim_net *net = listener->net;
    TROUPE_ASSERT(batch->count <= TRP_ACCEPT_BATCH);
    if (batch->count < TRP_ACCEPT_BATCH) {
        batch->fds[batch->count++] = trp_sim_end_give_fd(pop_pending(listener));
        net->stats.accepted++;
        return true;
    }
    if (!trp_sim_chance(net, net->faults.accept_refused)) {
        return false;
    }
    struct trp_sim_end *refused = pop_pending(listener);
    refused->is_cut = true;
    refused->other->is_cut = true;
    trp_sim_end_reset(refused);
    trp_sim_end_close(refused);
    batch->refused++;
    net->stats.accept_refused++;
    return true;
}

static void try_accept(struct trp_sim_end *end)
{
    static const int errors[] = {-EMFILE, -ENFILE, -ENOBUFS, -ENOMEM};
    struct trp_sim_net *net = end->net;
    struct trp_sim_slot *slot = &end->slots[TRP_SIM_ACCEPT];
    struct trp_op *op = slot->op;
    if (end->kind != TRP_SIM_LISTENER || end->is_read_shut) {
        trp_sim_conclude(end, TRP_SIM_ACCEPT, -EINVAL);
        return;
    }
    if (end->pending_count == 0 || slot->cancel_ns != TRP_SIM_NEVER) {
        return;
    }
    if (is_stalled(end, TRP_SIM_ACCEPT, net->faults.accept_stall)) {
        return; /* connections pile up */
    }
    if (trp_sim_chance(net, net->faults.accept_fails)) {
        net->stats.accept_failed++;
        trp_sim_conclude(end, TRP_SIM_ACCEPT, errors[trp_sim_draw(net, 4) - 1]);
        return;
    }
    uint64_t burst = trp_sim_draw(net, end->pending_count);
    while (burst > 0 && accept_one(end, op->accept)) {
        burst--;
    }
    if (end->pending_count > 0) {
        trp_sim_look_at(end, TRP_SIM_ACCEPT, trp_sim_net_now(net) + BATCH_FULL_NS);
    }
    op->result = 0;
    trp_worker_complete_op(slot->worker, op);
}

/* --- readiness --- */

static void try_poll(struct trp_sim_end *end)
{
    struct trp_sim_slot *slot = &end->slots[TRP_SIM_POLL];
    bool is_fin = false;
    bool is_ready = end->kind == TRP_SIM_LISTENER ? end->pending_count > 0
                                                  : trp_sim_end_arrived(end, &is_fin) > 0;
    if (end->is_reset) {
        trp_sim_conclude(end, TRP_SIM_POLL, POLLIN | POLLERR | POLLHUP);
    } else if (end->is_read_shut || (is_fin && (end->is_write_shut || !end->can_write))) {
        trp_sim_conclude(end, TRP_SIM_POLL, POLLIN | POLLHUP);
    } else if (is_ready || is_fin) {
        slot->op->result = POLLIN;
        trp_worker_complete_op(slot->worker, slot->op); /* the next segment looks again */
    } else if (end->in.head != NULL) {
        trp_sim_look_at(end, TRP_SIM_POLL, end->in.head->at_ns);
    }
}

/* --- looks --- */

static void try(struct trp_sim_end *end, enum trp_sim_slot_kind kind)
{
    switch (kind) {
    case TRP_SIM_READ:
        trp_sim_try_read(end);
        break;
    case TRP_SIM_WRITE:
        if (end->slots[kind].op->kind == TRP_OP_CONNECT) {
            try_connect(end);
        } else {
            try_send(end);
        }
        break;
    case TRP_SIM_ACCEPT:
        try_accept(end);
        break;
    case TRP_SIM_POLL:
        try_poll(end);
        break;
    case TRP_SIM_SLOTS:
    default:
        TROUPE_ASSERT(false);
    }
}

void trp_sim_slot_look(struct trp_sim_end *end, enum trp_sim_slot_kind kind)
{
    struct trp_sim_slot *slot = &end->slots[kind];
    uint64_t now_ns = trp_sim_net_now(end->net);
    bool is_due = now_ns >= slot->due_ns;
    TROUPE_ASSERT(slot->op != NULL);
    if (slot->has_result && is_due) {
        finish(end, kind, slot->result);
        return;
    }
    if (!slot->has_result && now_ns >= slot->cancel_ns) {
        finish(end, kind, -ECANCELED);
        return;
    }
    if (is_due) {
        try(end, kind);
    } else {
        trp_sim_look_at(end, kind, slot->due_ns);
    }
    if (slot->op != NULL && slot->cancel_ns != TRP_SIM_NEVER && !slot->has_result) {
        trp_sim_look_at(end, kind, slot->cancel_ns);
    }
}

/* --- from the pool --- */

void trp_sim_net_submit(void *arg, struct trp_worker *worker, struct trp_op *op)
{
    struct trp_sim_net *net = arg;
    struct trp_sim_end *end = trp_sim_end_of(net, op->fd);
    enum trp_sim_slot_kind kind = slot_of(op->kind);
    struct trp_sim_slot *slot = &end->slots[kind];
    TROUPE_ASSERT(op->is_armed);
    TROUPE_ASSERT(slot->op == NULL); /* one of each group at a time */
    *slot = (struct trp_sim_slot){
        .op = op, .worker = worker, .look_ns = TRP_SIM_NEVER, .cancel_ns = TRP_SIM_NEVER};
    net->armed++;
    op->driver_data = end;
    op->result = 0;
    if (op->kind == TRP_OP_CONNECT) {
        start_connect(end, slot);
    }
    if (op->kind == TRP_OP_SEND || op->kind == TRP_OP_WRITE) {
        TROUPE_ASSERT(op->send.iov_count <= TRP_IOV_MAX);
    }
    trp_sim_look_soon(end, kind);
}

void trp_sim_net_cancel(void *arg, struct trp_worker *worker, struct trp_op *op)
{
    struct trp_sim_net *net = arg;
    struct trp_sim_end *end = trp_sim_end_of(net, op->fd);
    struct trp_sim_slot *slot = &end->slots[slot_of(op->kind)];
    TROUPE_ASSERT(op->is_armed);
    TROUPE_ASSERT(slot->op == op);
    TROUPE_ASSERT(slot->worker == worker);
    if (slot->cancel_ns == TRP_SIM_NEVER) {
        net->stats.cancels++;
        slot->cancel_ns = trp_sim_net_now(net) + trp_sim_draw(net, net->faults.latency_ns);
        trp_sim_look_at(end, slot_of(op->kind), slot->cancel_ns);
    }
}
