/*
 * Operations: how each kind is written into the submission queue and what its completions mean.
 *
 * Owners see multishot operations that last until they end; the kernel ends them earlier for
 * reasons of its own (no buffer, completion queue full). Those ends are hidden here: the operation
 * is listed and armed again.
 */

#include "io/ring/ring.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

/* driver_state of an operation. */
enum {
    PLACE_IDLE = 0,
    PLACE_KERNEL = 1,
    PLACE_LISTED = 2,
    PLACE_MASK = 3,
    /*
     * The kernel answered -EAGAIN instead of waiting, as older ones do for O_NONBLOCK files that
     * are not sockets: wait for readiness first. Clearing O_NONBLOCK would do too, but it belongs
     * to everybody who shares the open file.
     */
    POLL_FIRST = 4,
    CANCELED = 8,
};

static bool is_in(const struct trp_op *op, uint8_t place)
{
    return (op->driver_state & PLACE_MASK) == place;
}

static void set_place(struct trp_op *op, uint8_t place)
{
    op->driver_state = (uint8_t)((op->driver_state & ~PLACE_MASK) | place);
}

static bool is_receive(const struct trp_op *op)
{
    return op->kind == TRP_OP_RECV || op->kind == TRP_OP_READ;
}

/* --- lists --- */

static void list_push(struct trp_ring_list *list, struct trp_op *op)
{
    TROUPE_ASSERT(is_in(op, PLACE_IDLE));
    set_place(op, PLACE_LISTED);
    op->driver_data = NULL;
    if (list->tail != NULL) {
        list->tail->driver_data = op;
    } else {
        list->head = op;
    }
    list->tail = op;
    list->count++;
}

static struct trp_op *list_pop(struct trp_ring_list *list)
{
    struct trp_op *op = list->head;

    TROUPE_ASSERT(op != NULL);
    TROUPE_ASSERT(list->count > 0);
    list->head = op->driver_data;
    if (list->head == NULL) {
        list->tail = NULL;
    }
    list->count--;
    op->driver_data = NULL;
    set_place(op, PLACE_IDLE);
    return op;
}

/* --- results for the owner --- */

static void deliver(struct trp_ring *ring, struct trp_op *op)
{
    ring->delivered++;
    if (!ring->is_closing) {
        trp_worker_complete_op(ring->worker, op);
    }
}

static void finish(struct trp_ring *ring, struct trp_op *op, int32_t result)
{
    TROUPE_ASSERT(is_in(op, PLACE_IDLE));
    op->driver_state = PLACE_IDLE;
    op->result = result;
    op->is_armed = false;
    deliver(ring, op);
}

/* The kernel is done with the operation, its owner is not. */
static void list_again(struct trp_ring *ring, struct trp_op *op)
{
    if ((op->driver_state & CANCELED) != 0 || ring->is_closing) {
        finish(ring, op, -ECANCELED);
        return;
    }
    bool needs_buffer = is_receive(op) && (op->driver_state & POLL_FIRST) == 0;
    list_push(needs_buffer ? &ring->starved : &ring->again, op);
    trp_ring_count(&ring->stats.rearmed, 1);
}

/* --- sockets that wait for room in a batch --- */

static void deliver_accepted(struct trp_ring *ring, struct trp_op *op, int fd)
{
    struct trp_accepted *batch = op->accept;

    TROUPE_ASSERT(batch->count < TRP_ACCEPT_BATCH);
    batch->fds[batch->count++] = fd;
    op->result = 0;
    deliver(ring, op);
}

static bool has_accepted(const struct trp_ring *ring, const struct trp_op *op)
{
    for (uint32_t i = 0; i < ring->accepted_count; i++) {
        if (ring->accepted[i].op == op) {
            return true;
        }
    }
    return false;
}

static void drop_accepted(struct trp_ring *ring, const struct trp_op *op)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < ring->accepted_count; i++) {
        if (ring->accepted[i].op == op) {
            close(ring->accepted[i].fd);
        } else {
            ring->accepted[kept++] = ring->accepted[i];
        }
    }
    ring->accepted_count = kept;
}

void trp_ring_hand_over(struct trp_ring *ring)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < ring->accepted_count; i++) {
        struct trp_ring_accepted *waiting = &ring->accepted[i];
        if (waiting->op->accept->count < TRP_ACCEPT_BATCH) {
            deliver_accepted(ring, waiting->op, waiting->fd);
        } else {
            ring->accepted[kept++] = *waiting;
        }
    }
    ring->accepted_count = kept;
}

/* A new socket: into the batch, behind those that wait already, or away. */
static void take_accepted(struct trp_ring *ring, struct trp_op *op, int fd)
{
    if ((op->driver_state & CANCELED) != 0 || ring->is_closing) {
        close(fd); /* nobody waits for it any more */
    } else if (op->accept->count < TRP_ACCEPT_BATCH && ring->accepted_count == 0) {
        deliver_accepted(ring, op, fd);
    } else if (ring->accepted_count < TRP_RING_ACCEPTED_MAX) {
        ring->accepted[ring->accepted_count++] = (struct trp_ring_accepted){op, fd};
    } else {
        close(fd);
        op->accept->refused++;
        trp_ring_count(&ring->stats.refused, 1);
    }
}

/* --- arming --- */

static unsigned poll_mask(const struct trp_op *op)
{
    return op->kind == TRP_OP_SEND || op->kind == TRP_OP_WRITE ? POLLOUT : POLLIN;
}

static void write_receive(struct io_uring_sqe *sqe, const struct trp_op *op)
{
    if (op->kind == TRP_OP_RECV) {
        io_uring_prep_recv_multishot(sqe, op->fd, NULL, 0, 0);
    } else {
        /* One shot: multishot read is younger (6.7) than what this driver asks for (6.1). */
        io_uring_prep_read(sqe, op->fd, NULL, TROUPE_RING_BUFFER_SIZE, (uint64_t)-1);
    }
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = TRP_RING_BUFFER_GROUP;
}

static void write_entry(struct io_uring_sqe *sqe, struct trp_op *op)
{
    switch (op->kind) {
    case TRP_OP_ACCEPT:
        io_uring_prep_multishot_accept(sqe, op->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        break;
    case TRP_OP_CONNECT:
        io_uring_prep_connect(sqe, op->fd, &op->connect.address.any, op->connect.len);
        break;
    case TRP_OP_RECV:
    case TRP_OP_READ:
        write_receive(sqe, op);
        break;
    case TRP_OP_SEND:
        io_uring_prep_sendmsg(sqe, op->fd, &op->send.header, MSG_WAITALL | MSG_NOSIGNAL);
        break;
    case TRP_OP_WRITE:
        io_uring_prep_writev(sqe, op->fd, op->send.iov, op->send.iov_count, (uint64_t)-1);
        break;
    case TRP_OP_POLL:
        io_uring_prep_poll_multishot(sqe, op->fd, POLLIN);
        break;
    default:
        TROUPE_ASSERT(false);
    }
}

static void arm(struct trp_ring *ring, struct trp_op *op)
{
    TROUPE_ASSERT(is_in(op, PLACE_IDLE));
    TROUPE_ASSERT(((uintptr_t)op & TRP_RING_TAG_MASK) == TRP_RING_TAG_OP);
    struct io_uring_sqe *sqe = trp_ring_sqe(ring);
    if ((op->driver_state & POLL_FIRST) != 0) {
        io_uring_prep_poll_add(sqe, op->fd, poll_mask(op));
    } else {
        write_entry(sqe, op);
    }
    io_uring_sqe_set_data(sqe, op);
    set_place(op, PLACE_KERNEL);
    ring->in_kernel++;
}

void trp_ring_submit_op(void *state, struct trp_op *op)
{
    struct trp_ring *ring = state;

    TROUPE_ASSERT(ring->magic == TRP_RING_MAGIC);
    TROUPE_ASSERT(op->is_armed);
    op->driver_state = PLACE_IDLE;
    op->driver_data = NULL;
    op->result = 0;
    if (op->kind == TRP_OP_SEND) {
        TROUPE_ASSERT(op->send.iov_count <= TRP_IOV_MAX);
        op->send.header = (struct msghdr){
            .msg_iov = op->send.iov,
            .msg_iovlen = op->send.iov_count,
        };
    }
    if (op->kind == TRP_OP_ACCEPT) {
        TROUPE_ASSERT(op->accept->count <= TRP_ACCEPT_BATCH);
    }
    arm(ring, op);
}

void trp_ring_cancel_op(void *state, struct trp_op *op)
{
    struct trp_ring *ring = state;

    TROUPE_ASSERT(ring->magic == TRP_RING_MAGIC);
    TROUPE_ASSERT(op->is_armed);
    if ((op->driver_state & CANCELED) != 0) {
        return;
    }
    op->driver_state |= CANCELED;
    if (op->kind == TRP_OP_ACCEPT) {
        drop_accepted(ring, op);
    }
    if (is_in(op, PLACE_LISTED)) {
        ring->has_canceled = true; /* it ends at the next poll or park */
        return;
    }
    TROUPE_ASSERT(is_in(op, PLACE_KERNEL));
    struct io_uring_sqe *sqe = trp_ring_sqe(ring);
    io_uring_prep_cancel(sqe, op, 0);
    /* Not found and too late are normal: the operation's own completion tells how it ended. */
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data64(sqe, TRP_RING_TAG_CANCEL);
}

static void end_canceled(struct trp_ring *ring, struct trp_ring_list *list)
{
    for (uint32_t left = list->count; left > 0; left--) {
        struct trp_op *op = list_pop(list);
        if ((op->driver_state & CANCELED) != 0) {
            finish(ring, op, -ECANCELED);
        } else {
            list_push(list, op);
        }
    }
}

void trp_ring_arm_listed(struct trp_ring *ring)
{
    if (ring->has_canceled) {
        ring->has_canceled = false;
        end_canceled(ring, &ring->starved);
        end_canceled(ring, &ring->again);
    }
    while (ring->again.count > 0) {
        arm(ring, list_pop(&ring->again));
    }
    /* No more than there are buffers: a receive fails without one even when nothing has arrived. */
    uint32_t most = ring->buffers.free_count;
    if (most > ring->starved.count) {
        most = ring->starved.count;
    }
    for (; most > 0; most--) {
        arm(ring, list_pop(&ring->starved));
    }
}

/* --- completions --- */

static void
complete_receive(struct trp_ring *ring, struct trp_op *op, const struct io_uring_cqe *cqe)
{
    if ((cqe->flags & IORING_CQE_F_BUFFER) != 0) {
        uint32_t len = cqe->res > 0 ? (uint32_t)cqe->res : 0;
        struct trp_rx *rx = trp_ring_buffer_take(ring, cqe->flags >> IORING_CQE_BUFFER_SHIFT, len);
        if (len > 0 && !ring->is_closing) {
            rx->op = op;
            ring->delivered++;
            trp_worker_complete_rx(ring->worker, rx);
        } else {
            trp_ring_buffer_give(ring, rx->buffer_id);
        }
    }
    if ((cqe->flags & IORING_CQE_F_MORE) != 0) {
        return;
    }
    if (cqe->res > 0) {
        list_again(ring, op); /* a read, or a receive that the kernel ended for its own reasons */
        return;
    }
    switch (-cqe->res) {
    case ENOBUFS:
        trp_ring_count(&ring->stats.starved, 1);
        list_again(ring, op);
        break;
    case EAGAIN:
        op->driver_state |= POLL_FIRST;
        list_again(ring, op);
        break;
    case EINTR:
        list_again(ring, op);
        break;
    default:
        finish(ring, op, cqe->res);
    }
}

static void
complete_accept(struct trp_ring *ring, struct trp_op *op, const struct io_uring_cqe *cqe)
{
    bool is_more = (cqe->flags & IORING_CQE_F_MORE) != 0;

    if (cqe->res >= 0) {
        take_accepted(ring, op, cqe->res);
        if (!is_more) {
            list_again(ring, op);
        }
        return;
    }
    if (is_more) {
        return;
    }
    switch (-cqe->res) {
    case ECONNABORTED: /* the peer was faster than us: says nothing about the listener */
    case EPROTO:
    case EINTR:
    case EAGAIN:
        list_again(ring, op);
        break;
    default:
        /* EMFILE and the like: the owner arms again after a pause. Sockets kept back come first;
         * the error comes again when they are gone. */
        if (has_accepted(ring, op)) {
            list_again(ring, op);
        } else {
            finish(ring, op, cqe->res);
        }
    }
}

/* Moves the cursor over `sent` bytes; true while something is left. */
static bool send_advance(struct msghdr *header, size_t sent)
{
    while (header->msg_iovlen > 0) {
        struct iovec *part = header->msg_iov;
        if (sent < part->iov_len) {
            part->iov_base = (char *)part->iov_base + sent;
            part->iov_len -= sent;
            return true;
        }
        sent -= part->iov_len;
        header->msg_iov++;
        header->msg_iovlen--;
    }
    return false;
}

/*
 * A short send is a failure whose reason the kernel keeps: sending the rest brings it out, so that
 * the owner sees the total or an error and nothing between.
 */
static void complete_send(struct trp_ring *ring, struct trp_op *op, const struct io_uring_cqe *cqe)
{
    if ((cqe->flags & IORING_CQE_F_MORE) != 0) {
        return;
    }
    if (cqe->res == -EAGAIN || cqe->res == -EINTR) {
        op->driver_state |= cqe->res == -EAGAIN ? POLL_FIRST : 0;
        list_again(ring, op);
        return;
    }
    if (cqe->res < 0) {
        finish(ring, op, cqe->res);
        return;
    }
    int32_t room = INT32_MAX - op->result;
    op->result = cqe->res > room ? INT32_MAX : op->result + cqe->res;
    if (!send_advance(&op->send.header, (size_t)cqe->res)) {
        finish(ring, op, op->result);
    } else if (cqe->res > 0) {
        list_again(ring, op);
    } else {
        finish(ring, op, -EIO); /* nothing sent and no reason given */
    }
}

static void complete_once(struct trp_ring *ring, struct trp_op *op, const struct io_uring_cqe *cqe)
{
    if ((cqe->flags & IORING_CQE_F_MORE) != 0) {
        return;
    }
    if (op->kind == TRP_OP_WRITE && (cqe->res == -EAGAIN || cqe->res == -EINTR)) {
        op->driver_state |= cqe->res == -EAGAIN ? POLL_FIRST : 0;
        list_again(ring, op);
        return;
    }
    finish(ring, op, cqe->res);
}

static void complete_poll(struct trp_ring *ring, struct trp_op *op, const struct io_uring_cqe *cqe)
{
    bool is_more = (cqe->flags & IORING_CQE_F_MORE) != 0;

    if (cqe->res <= 0) {
        if (!is_more) {
            finish(ring, op, cqe->res);
        }
        return;
    }
    /* After an error or hang-up the next poll would report the same at once, without end. */
    bool is_over = (cqe->res & (POLLERR | POLLHUP | POLLNVAL)) != 0;
    if (!is_more && is_over) {
        finish(ring, op, cqe->res);
        return;
    }
    op->result = cqe->res;
    deliver(ring, op);
    if (!is_more) {
        list_again(ring, op);
    }
}

/* The file is ready, or never will be; an error of the poll is an error of the operation. */
static void complete_poll_first(struct trp_ring *ring, struct trp_op *op, int32_t result)
{
    op->driver_state &= (uint8_t)~POLL_FIRST;
    if (result < 0 && result != -EINTR) {
        finish(ring, op, result);
    } else {
        list_again(ring, op);
    }
}

void trp_ring_complete(struct trp_ring *ring, struct trp_op *op, const struct io_uring_cqe *cqe)
{
    TROUPE_ASSERT(is_in(op, PLACE_KERNEL));
    if ((cqe->flags & IORING_CQE_F_MORE) == 0) {
        TROUPE_ASSERT(ring->in_kernel > 0);
        ring->in_kernel--;
        set_place(op, PLACE_IDLE);
    }
    if ((op->driver_state & POLL_FIRST) != 0) {
        TROUPE_ASSERT(is_in(op, PLACE_IDLE));
        complete_poll_first(ring, op, cqe->res);
        return;
    }
    switch (op->kind) {
    case TRP_OP_RECV:
    case TRP_OP_READ:
        complete_receive(ring, op, cqe);
        break;
    case TRP_OP_ACCEPT:
        complete_accept(ring, op, cqe);
        break;
    case TRP_OP_SEND:
        complete_send(ring, op, cqe);
        break;
    case TRP_OP_CONNECT:
    case TRP_OP_WRITE:
        complete_once(ring, op, cqe);
        break;
    case TRP_OP_POLL:
        complete_poll(ring, op, cqe);
        break;
    default:
        TROUPE_ASSERT(false);
    }
}
