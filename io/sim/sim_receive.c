/* Receiving: the buffers of each worker, and those who wait for one. */

#include "io/sim/sim_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PADDING      64u /* readable bytes behind a receive buffer */
#define PADDING_BYTE 0xA5
#define LATE_BACK_NS 5000000u

/* A receive buffer; allocated for each delivery, so that late readers are seen. */
struct received {
    struct trp_rx rx; /* first */
    uint32_t worker;
    uint8_t data[];
};

static void starve(struct trp_sim_end *end, struct trp_sim_post *post)
{
    end->net->stats.starved++;
    if (end->is_starved) {
        return;
    }
    end->is_starved = true;
    end->starved_next = NULL;
    if (post->starved_tail == NULL) {
        post->starved_head = end;
    } else {
        post->starved_tail->starved_next = end;
    }
    post->starved_tail = end;
}

void trp_sim_buffer_back(struct trp_sim_net *net, uint32_t worker)
{
    struct trp_sim_post *post = &net->posts[worker];
    struct trp_sim_end *end = post->starved_head;
    TROUPE_ASSERT(post->buffers_free < net->faults.buffers);
    post->buffers_free++;
    post->starved_head = NULL;
    post->starved_tail = NULL;
    while (end != NULL) {
        struct trp_sim_end *next = end->starved_next;
        end->is_starved = false;
        trp_sim_look_soon(end, TRP_SIM_READ);
        end = next;
    }
}

static void receive(struct trp_sim_end *end, uint32_t arrived)
{
    struct trp_sim_net *net = end->net;
    struct trp_sim_slot *slot = &end->slots[TRP_SIM_READ];
    struct trp_worker *worker = slot->worker;
    struct trp_sim_post *post = &net->posts[trp_worker_index(worker)];
    uint32_t len = arrived < TRP_SIM_BUFFER_SIZE ? arrived : TRP_SIM_BUFFER_SIZE;
    if (trp_sim_is_disturbed(end, TRP_SIM_READ)) {
        return;
    }
    if (post->buffers_free == 0) {
        starve(end, post);
        return;
    }
    if (trp_sim_chance(net, net->faults.short_read)) {
        net->stats.short_reads++;
        len = (uint32_t)trp_sim_draw(net, len);
    }
    struct received *received = trp_sim_allocate(sizeof(*received) + len + PADDING);
    received->worker = trp_worker_index(worker);
    received->rx.op = slot->op;
    received->rx.data = received->data;
    received->rx.len = len;
    trp_sim_end_take(end, received->data, len);
    memset(received->data + len, PADDING_BYTE, PADDING);
    post->buffers_free--;
    net->rx_out++;
    trp_sim_look_soon(end, TRP_SIM_READ);
    trp_worker_complete_rx(worker, &received->rx); /* may release it at once */
}

void trp_sim_net_release(void *arg, struct trp_worker *worker, struct trp_rx *rx)
{
    struct trp_sim_net *net = arg;
    struct received *received = (struct received *)(void *)rx;
    uint32_t index = trp_worker_index(worker);
    TROUPE_ASSERT(received->worker == index);
    TROUPE_ASSERT(net->rx_out > 0);
    net->rx_out--;
    free(received);
    if (!trp_sim_chance(net, net->faults.late_release)) {
        trp_sim_buffer_back(net, index);
        return;
    }
    net->stats.late_releases++;
    uint64_t at_ns = trp_sim_net_now(net) + trp_sim_draw(net, LATE_BACK_NS);
    trp_sim_plan(net, index, (struct trp_sim_event){.at_ns = at_ns, .kind = TRP_SIM_EVENT_BUFFER});
}

void trp_sim_try_read(struct trp_sim_end *end)
{
    bool is_fin;
    if (!end->can_read) {
        trp_sim_conclude(end, TRP_SIM_READ, end->kind == TRP_SIM_PIPE ? -EBADF : -ENOTCONN);
        return;
    }
    uint32_t arrived = trp_sim_end_arrived(end, &is_fin);
    if (arrived > 0) {
        receive(end, arrived);
    } else if (end->is_reset) {
        trp_sim_conclude(end, TRP_SIM_READ, trp_sim_end_error(end));
    } else if (is_fin || end->is_read_shut) {
        trp_sim_conclude(end, TRP_SIM_READ, 0);
    } else if (end->in.head != NULL) {
        trp_sim_look_at(end, TRP_SIM_READ, end->in.head->at_ns);
    }
}
