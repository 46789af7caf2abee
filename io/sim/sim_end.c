/* Ends and the wires between them: segments under way, half-close, resets, cuts. */

#include "io/sim/sim_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SEGMENT_MAX 16384u

struct trp_sim_end *trp_sim_end_new(struct trp_sim_net *net, enum trp_sim_end_kind kind)
{
    struct trp_sim_end *end = trp_sim_allocate(sizeof(*end));
    end->net = net;
    end->kind = kind;
    end->fd_index = UINT32_MAX;
    end->in.capacity = (uint32_t)trp_sim_draw(net, net->faults.wire_bytes);
    for (uint32_t i = 0; i < TRP_SIM_SLOTS; i++) {
        end->slots[i].look_ns = TRP_SIM_NEVER;
        end->slots[i].cancel_ns = TRP_SIM_NEVER;
    }
    end->all_next = net->ends;
    net->ends = end;
    return end;
}

static void drop_segments(struct trp_sim_wire *wire)
{
    while (wire->head != NULL) {
        struct trp_sim_segment *segment = wire->head;
        wire->head = segment->next;
        free(segment);
    }
    wire->tail = NULL;
    wire->bytes = 0;
}

void trp_sim_end_free(struct trp_sim_end *end)
{
    drop_segments(&end->in);
    free(end);
}

/* --- descriptors --- */

int trp_sim_end_give_fd(struct trp_sim_end *end)
{
    struct trp_sim_net *net = end->net;
    TROUPE_ASSERT(!end->has_fd);
    TROUPE_ASSERT(end->fd_index == UINT32_MAX);
    if (net->fd_count == net->fd_cap) {
        net->fd_cap = net->fd_cap == 0 ? 64 : 2 * net->fd_cap;
        net->fds = realloc(net->fds, net->fd_cap * sizeof(*net->fds));
        TROUPE_ASSERT(net->fds != NULL);
    }
    end->fd_index = net->fd_count++;
    end->has_fd = true;
    net->fds[end->fd_index] = end;
    net->open_count++;
    return TRP_SIM_FD_FIRST + (int)end->fd_index;
}

struct trp_sim_end *trp_sim_end_of(struct trp_sim_net *net, int fd)
{
    TROUPE_ASSERT(net != NULL);
    TROUPE_ASSERT(fd >= TRP_SIM_FD_FIRST);
    TROUPE_ASSERT((uint32_t)(fd - TRP_SIM_FD_FIRST) < net->fd_count);
    struct trp_sim_end *end = net->fds[fd - TRP_SIM_FD_FIRST];
    TROUPE_ASSERT(end->has_fd); /* closed already */
    return end;
}

/* --- wires --- */

void trp_sim_end_join(struct trp_sim_end *a, struct trp_sim_end *b, bool is_pipe)
{
    a->kind = is_pipe ? TRP_SIM_PIPE : TRP_SIM_CONNECTED;
    b->kind = a->kind;
    a->other = b;
    b->other = a;
    a->can_read = true;
    b->can_write = true;
    a->can_write = !is_pipe;
    b->can_read = !is_pipe;
}

uint32_t trp_sim_end_arrived(const struct trp_sim_end *end, bool *is_fin)
{
    uint64_t now_ns = trp_sim_net_now(end->net);
    uint32_t bytes = 0;
    const struct trp_sim_segment *segment = end->in.head;
    while (segment != NULL && !segment->is_fin && segment->at_ns <= now_ns) {
        bytes += segment->len - segment->used;
        segment = segment->next;
    }
    *is_fin = segment != NULL && segment->is_fin && segment->at_ns <= now_ns;
    return bytes;
}

void trp_sim_end_take(struct trp_sim_end *end, uint8_t *to, uint32_t len)
{
    struct trp_sim_wire *wire = &end->in;
    end->net->stats.bytes += len;
    end->net->stats.pipe_bytes += end->kind == TRP_SIM_PIPE ? len : 0;
    TROUPE_ASSERT(len <= wire->bytes);
    wire->bytes -= len;
    while (len > 0) {
        struct trp_sim_segment *segment = wire->head;
        uint32_t left = segment->len - segment->used;
        uint32_t take = left < len ? left : len;
        TROUPE_ASSERT(!segment->is_fin);
        memcpy(to, segment->data + segment->used, take);
        segment->used += take;
        to += take;
        len -= take;
        if (segment->used == segment->len) {
            wire->head = segment->next;
            if (wire->head == NULL) {
                wire->tail = NULL;
            }
            free(segment);
        }
    }
    if (!end->other->is_gone) {
        trp_sim_look_soon(end->other, TRP_SIM_WRITE); /* there is room */
    }
}

/* Nobody reads there. */
static bool is_deaf(const struct trp_sim_end *end)
{
    return end->is_gone || end->is_read_shut || end->is_reset;
}

uint32_t trp_sim_end_room(const struct trp_sim_end *end)
{
    const struct trp_sim_wire *wire = &end->other->in;
    if (is_deaf(end->other)) {
        return SEGMENT_MAX; /* taken, and lost */
    }
    uint32_t room = wire->capacity - wire->bytes;
    return room < SEGMENT_MAX ? room : SEGMENT_MAX;
}

static void append(struct trp_sim_end *to, const uint8_t *data, uint32_t len)
{
    struct trp_sim_net *net = to->net;
    struct trp_sim_segment *segment = trp_sim_allocate(sizeof(*segment) + len);
    uint64_t at_ns = trp_sim_net_now(net) + trp_sim_delay(net);
    segment->at_ns = at_ns > to->in.last_ns ? at_ns : to->in.last_ns;
    segment->len = len;
    segment->is_fin = len == 0;
    if (len > 0) {
        memcpy(segment->data, data, len);
    }
    to->in.last_ns = segment->at_ns;
    to->in.bytes += len;
    if (to->in.tail == NULL) {
        to->in.head = segment;
    } else {
        to->in.tail->next = segment;
    }
    to->in.tail = segment;
    trp_sim_look_at(to, TRP_SIM_READ, segment->at_ns);
    trp_sim_look_at(to, TRP_SIM_POLL, segment->at_ns);
}

static void plan_break(struct trp_sim_end *end, int error)
{
    struct trp_sim_net *net = end->net;
    if (end->is_doomed || end->is_reset || end->is_gone) {
        return;
    }
    end->is_doomed = true;
    trp_sim_plan(net, 0,
                 (struct trp_sim_event){.at_ns = trp_sim_net_now(net) + trp_sim_delay(net),
                                        .kind = TRP_SIM_EVENT_CUT,
                                        .number = error,
                                        .target = end});
}

void trp_sim_end_push(struct trp_sim_end *end, const uint8_t *data, uint32_t len)
{
    TROUPE_ASSERT(end->can_write);
    TROUPE_ASSERT(!end->is_write_shut);
    TROUPE_ASSERT(len > 0);
    TROUPE_ASSERT(len <= trp_sim_end_room(end));
    if (is_deaf(end->other)) {
        plan_break(end, -ECONNRESET); /* nobody is there, says the answer */
        return;
    }
    append(end->other, data, len);
}

/* --- ends of ends --- */

static void look_everywhere(struct trp_sim_end *end)
{
    for (uint32_t i = 0; i < TRP_SIM_SLOTS; i++) {
        trp_sim_look_soon(end, (enum trp_sim_slot_kind)i);
    }
}

void trp_sim_end_shut_write(struct trp_sim_end *end)
{
    if (end->is_write_shut || !end->can_write) {
        return;
    }
    end->is_write_shut = true;
    if (!end->is_reset && !end->other->is_gone) {
        append(end->other, NULL, 0);
    }
    trp_sim_look_soon(end, TRP_SIM_WRITE);
}

void trp_sim_end_shut_read(struct trp_sim_end *end)
{
    end->is_read_shut = true;
    look_everywhere(end);
}

/* What was under way to the end is lost; what arrived may be read yet, or not. */
static void lose_segments(struct trp_sim_end *end)
{
    struct trp_sim_net *net = end->net;
    if (trp_sim_chance(net, 500)) {
        drop_segments(&end->in);
        return;
    }
    struct trp_sim_wire kept = {.capacity = end->in.capacity, .last_ns = end->in.last_ns};
    uint64_t now_ns = trp_sim_net_now(net);
    while (end->in.head != NULL && end->in.head->at_ns <= now_ns && !end->in.head->is_fin) {
        struct trp_sim_segment *segment = end->in.head;
        end->in.head = segment->next;
        segment->next = NULL;
        if (kept.tail == NULL) {
            kept.head = segment;
        } else {
            kept.tail->next = segment;
        }
        kept.tail = segment;
        kept.bytes += segment->len - segment->used;
    }
    drop_segments(&end->in);
    end->in = kept;
}

void trp_sim_end_break(struct trp_sim_end *end, int error)
{
    if (end->is_reset || end->is_gone) {
        return;
    }
    end->net->stats.resets += end->is_cut ? 0 : 1;
    end->is_reset = true;
    end->error = error;
    lose_segments(end);
    look_everywhere(end);
}

void trp_sim_end_reset(struct trp_sim_end *end)
{
    end->is_reset = true;
    if (end->other != NULL && !end->other->is_gone) {
        plan_break(end->other, -ECONNRESET);
    }
}

void trp_sim_end_cut(struct trp_sim_end *end)
{
    int error = trp_sim_chance(end->net, 750) ? -ECONNRESET : -ETIMEDOUT;
    end->net->stats.cuts++;
    end->is_cut = true;
    end->other->is_cut = true;
    if (end->kind == TRP_SIM_PIPE) {
        error = 0; /* somebody died: the reader sees the end, the writer EPIPE */
    }
    trp_sim_end_break(end, error);
    plan_break(end->other, error);
}

int trp_sim_end_error(struct trp_sim_end *end)
{
    int error = end->error;
    end->error = 0;
    return error;
}

static void close_listener(struct trp_sim_end *end)
{
    while (end->pending_head != NULL) {
        struct trp_sim_end *pending = end->pending_head;
        end->pending_head = pending->pending_next;
        pending->is_gone = true;
        drop_segments(&pending->in);
        plan_break(pending->other, -ECONNRESET);
    }
    end->pending_tail = NULL;
    end->pending_count = 0;
}

void trp_sim_end_close(struct trp_sim_end *end)
{
    TROUPE_ASSERT(!end->is_gone);
    for (uint32_t i = 0; i < TRP_SIM_SLOTS; i++) {
        TROUPE_ASSERT(end->slots[i].op == NULL); /* a descriptor outlives its operations */
    }
    if (end->has_fd) {
        end->has_fd = false;
        end->net->open_count--;
    }
    if (end->kind == TRP_SIM_LISTENER) {
        close_listener(end);
    }
    if (end->other != NULL && !end->is_reset) {
        bool is_unread = end->can_read && end->kind == TRP_SIM_CONNECTED && end->in.bytes > 0;
        if (is_unread && !end->other->is_gone) {
            end->is_write_shut = true;
            plan_break(end->other, -ECONNRESET);
        } else {
            trp_sim_end_shut_write(end);
        }
    }
    end->is_gone = true;
    drop_segments(&end->in);
    if (end->other != NULL) {
        trp_sim_look_soon(end->other, TRP_SIM_WRITE); /* nothing fills up any more */
    }
}

/* --- connecting --- */

static bool
is_listening_at(const struct trp_sim_end *end, const union trp_address *address, socklen_t len)
{
    return end->kind == TRP_SIM_LISTENER && !end->is_gone && !end->is_read_shut &&
           end->address_len == len && memcmp(&end->address, address, len) == 0;
}

struct trp_sim_end *
trp_sim_end_find(struct trp_sim_net *net, const union trp_address *address, socklen_t len)
{
    struct trp_sim_end *chosen = NULL;
    uint32_t seen = 0;
    for (struct trp_sim_end *end = net->ends; end != NULL; end = end->all_next) {
        if (is_listening_at(end, address, len) && trp_random_below(&net->random, ++seen) == 0) {
            chosen = end;
        }
    }
    return chosen;
}

int trp_sim_end_connect(struct trp_sim_end *end, const union trp_address *address, socklen_t len)
{
    struct trp_sim_net *net = end->net;
    struct trp_sim_end *listener = trp_sim_end_find(net, address, len);
    TROUPE_ASSERT(end->kind == TRP_SIM_FRESH);
    if (listener == NULL) {
        return -ECONNREFUSED;
    }
    if (listener->peer_type == NULL && listener->pending_count >= listener->pending_max) {
        return -EAGAIN;
    }
    struct trp_sim_end *accepted = trp_sim_end_new(net, TRP_SIM_FRESH);
    trp_sim_end_join(end, accepted, false);
    accepted->address = listener->address;
    accepted->address_len = listener->address_len;
    net->stats.connected++;
    if (listener->peer_type != NULL) {
        trp_sim_peer_answer(listener, accepted);
        return 0;
    }
    if (listener->pending_tail == NULL) {
        listener->pending_head = accepted;
    } else {
        listener->pending_tail->pending_next = accepted;
    }
    listener->pending_tail = accepted;
    listener->pending_count++;
    trp_sim_look_at(listener, TRP_SIM_ACCEPT, trp_sim_net_now(net) + trp_sim_delay(net));
    trp_sim_look_soon(listener, TRP_SIM_POLL);
    return 0;
}
