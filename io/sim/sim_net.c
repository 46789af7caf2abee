/* The net as a whole: what happens when, faults, life. */

#include "io/sim/sim_parts.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_PORT 20000u

/* The wrapped calls have no other way to find it. One thread by definition. */
__thread struct trp_sim_net *trp_sim_net_current;

void *trp_sim_allocate(size_t bytes)
{
    void *memory = calloc(1, bytes);
    TROUPE_ASSERT(memory != NULL);
    return memory;
}

uint64_t trp_sim_net_now(const struct trp_sim_net *net)
{
    TROUPE_ASSERT(net->sim != NULL); /* trp_sim_net_attach comes first */
    return trp_sim_now(net->sim);
}

/* --- draws --- */

bool trp_sim_chance(struct trp_sim_net *net, uint32_t per_mille)
{
    return per_mille > 0 && trp_random_below(&net->random, 1000) < per_mille;
}

uint64_t trp_sim_draw(struct trp_sim_net *net, uint64_t most)
{
    TROUPE_ASSERT(most > 0);
    return 1 + trp_random_below(&net->random, most);
}

uint64_t trp_sim_delay(struct trp_sim_net *net)
{
    uint64_t most = net->faults.latency_ns;
    return trp_sim_draw(net, trp_random_below(&net->random, 16) == 0 ? 16 * most : most);
}

void trp_sim_faults_draw(struct trp_sim_faults *faults, uint64_t seed)
{
    struct trp_random random = {seed ^ 0x6661756c7473u};
    bool is_calm = trp_random_below(&random, 4) == 0;
    uint32_t most = is_calm ? 0 : 1 + (uint32_t)trp_random_below(&random, 100);
    uint32_t *const of_most[] = {
        &faults->connect_refused, &faults->connect_lost,   &faults->stall,
        &faults->short_read,      &faults->short_write,    &faults->late_release,
        &faults->late_completion, &faults->accept_refused, &faults->accept_stall,
    };
    memset(faults, 0, sizeof(*faults));
    for (size_t i = 0; i < sizeof(of_most) / sizeof(of_most[0]); i++) {
        *of_most[i] = (uint32_t)trp_random_below(&random, most + 1);
    }
    faults->short_read *= 5;
    faults->short_write *= 5;
    faults->late_completion *= 5;
    faults->accept_refused *= 9;
    faults->accept_stall *= 9;
    faults->socket_fails = (uint32_t)trp_random_below(&random, most / 4 + 1);
    faults->accept_fails = (uint32_t)trp_random_below(&random, most / 4 + 1);
    faults->cut = (uint32_t)trp_random_below(&random, most / 8 + 1);
    faults->latency_ns = 1000u << trp_random_below(&random, is_calm ? 4 : 10);
    faults->wire_bytes = 512u << trp_random_below(&random, 9);
    faults->buffers = is_calm ? 256 : 1 + (uint32_t)trp_random_below(&random, 64);
}

/* --- what happens next --- */

static bool is_before(const struct trp_sim_event *a, const struct trp_sim_event *b)
{
    if (a->at_ns != b->at_ns) {
        return a->at_ns < b->at_ns;
    }
    return a->order != b->order ? a->order < b->order : a->serial < b->serial;
}

static void agenda_push(struct trp_sim_agenda *agenda, struct trp_sim_event event)
{
    if (agenda->count == agenda->cap) {
        agenda->cap = agenda->cap == 0 ? 64 : 2 * agenda->cap;
        agenda->events = realloc(agenda->events, agenda->cap * sizeof(event));
        TROUPE_ASSERT(agenda->events != NULL);
    }
    uint32_t at = agenda->count++;
    while (at > 0 && is_before(&event, &agenda->events[(at - 1) / 2])) {
        agenda->events[at] = agenda->events[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    agenda->events[at] = event;
}

static struct trp_sim_event agenda_pop(struct trp_sim_agenda *agenda)
{
    TROUPE_ASSERT(agenda->count > 0);
    struct trp_sim_event first = agenda->events[0];
    struct trp_sim_event last = agenda->events[--agenda->count];
    uint32_t at = 0;
    for (uint32_t child = 1; child < agenda->count; child = 2 * at + 1) {
        if (child + 1 < agenda->count &&
            is_before(&agenda->events[child + 1], &agenda->events[child])) {
            child++;
        }
        if (!is_before(&agenda->events[child], &last)) {
            break;
        }
        agenda->events[at] = agenda->events[child];
        at = child;
    }
    agenda->events[at] = last;
    return first;
}

void trp_sim_plan(struct trp_sim_net *net, uint32_t worker, struct trp_sim_event event)
{
    uint64_t now_ns = trp_sim_net_now(net);
    if (event.at_ns <= now_ns) {
        event.at_ns = now_ns + 1; /* so that one delivery ends */
    }
    event.order = trp_random_next(&net->random);
    event.serial = net->serial++;
    agenda_push(&net->posts[worker].agenda, event);
}

void trp_sim_look_at(struct trp_sim_end *end, enum trp_sim_slot_kind kind, uint64_t at_ns)
{
    struct trp_sim_slot *slot = &end->slots[kind];
    uint64_t now_ns = trp_sim_net_now(end->net);
    if (slot->op == NULL && end->peer == NULL) {
        return;
    }
    at_ns = at_ns <= now_ns ? now_ns + 1 : at_ns;
    if (slot->look_ns <= at_ns) {
        return;
    }
    slot->look_ns = at_ns;
    trp_sim_plan(
        end->net, slot->op != NULL ? trp_worker_index(slot->worker) : 0,
        (struct trp_sim_event){
            .at_ns = at_ns, .kind = TRP_SIM_EVENT_LOOK, .number = (int32_t)kind, .target = end});
}

void trp_sim_look_soon(struct trp_sim_end *end, enum trp_sim_slot_kind kind)
{
    trp_sim_look_at(end, kind, trp_sim_net_now(end->net) + trp_sim_draw(end->net, 2000));
}

static void look(const struct trp_sim_event *event)
{
    struct trp_sim_end *end = event->target;
    struct trp_sim_slot *slot = &end->slots[event->number];
    if (slot->look_ns != event->at_ns) {
        return; /* an earlier look took its place */
    }
    slot->look_ns = TRP_SIM_NEVER;
    if (end->peer != NULL) {
        trp_sim_peer_look(end, (enum trp_sim_slot_kind)event->number);
    } else if (slot->op != NULL) {
        trp_sim_slot_look(end, (enum trp_sim_slot_kind)event->number);
    }
}

static void deliver(void *arg, struct trp_worker *worker, uint64_t now_ns)
{
    struct trp_sim_net *net = arg;
    uint32_t index = trp_worker_index(worker);
    struct trp_sim_agenda *agenda = &net->posts[index].agenda;
    while (agenda->count > 0 && agenda->events[0].at_ns <= now_ns) {
        struct trp_sim_event event = agenda_pop(agenda);
        switch (event.kind) {
        case TRP_SIM_EVENT_LOOK:
            look(&event);
            break;
        case TRP_SIM_EVENT_CUT:
            trp_sim_end_break(event.target, event.number);
            break;
        case TRP_SIM_EVENT_BUFFER:
            trp_sim_buffer_back(net, index);
            break;
        case TRP_SIM_EVENT_CONNECT:
            trp_sim_peer_try_connect(event.target);
            break;
        case TRP_SIM_EVENT_CALL:
            event.cb(event.target);
            break;
        default:
            TROUPE_ASSERT(false);
        }
    }
}

static uint64_t next_ns(void *arg, struct trp_worker *worker)
{
    struct trp_sim_net *net = arg;
    const struct trp_sim_agenda *agenda = &net->posts[trp_worker_index(worker)].agenda;
    return agenda->count > 0 ? agenda->events[0].at_ns : UINT64_MAX;
}

void trp_sim_net_at(struct trp_sim_net *net, uint64_t at_ns, void (*cb)(void *arg), void *arg)
{
    trp_sim_plan(net, 0,
                 (struct trp_sim_event){
                     .at_ns = at_ns, .kind = TRP_SIM_EVENT_CALL, .target = arg, .cb = cb});
}

/* --- life --- */

struct trp_sim_net *trp_sim_net_create(uint64_t seed, const struct trp_sim_faults *faults)
{
    TROUPE_ASSERT(trp_sim_net_current == NULL);
    struct trp_sim_net *net = calloc(1, sizeof(*net));
    if (net == NULL) {
        return NULL;
    }
    net->random.state = seed ^ 0x6e6574776f726bu;
    net->next_port = FIRST_PORT;
    if (faults != NULL) {
        net->faults = *faults;
    } else {
        trp_sim_faults_draw(&net->faults, seed);
    }
    TROUPE_ASSERT(net->faults.buffers > 0);
    TROUPE_ASSERT(net->faults.latency_ns > 0);
    TROUPE_ASSERT(net->faults.wire_bytes > 0);
    for (uint32_t i = 0; i < TROUPE_WORKERS_MAX; i++) {
        net->posts[i].buffers_free = net->faults.buffers;
    }
    trp_sim_net_current = net;
    return net;
}

struct trp_sim_io trp_sim_net_io(struct trp_sim_net *net)
{
    return (struct trp_sim_io){
        .arg = net,
        .submit = trp_sim_net_submit,
        .cancel = trp_sim_net_cancel,
        .release = trp_sim_net_release,
        .deliver = deliver,
        .next_ns = next_ns,
    };
}

void trp_sim_net_attach(struct trp_sim_net *net, struct trp_sim *sim)
{
    TROUPE_ASSERT(net->sim == NULL);
    net->sim = sim;
}

void trp_sim_net_destroy(struct trp_sim_net *net)
{
    if (net == NULL) {
        return;
    }
    TROUPE_ASSERT(net == trp_sim_net_current);
    trp_sim_net_current = NULL;
    while (net->ends != NULL) {
        struct trp_sim_end *end = net->ends;
        net->ends = end->all_next;
        trp_sim_end_free(end);
    }
    while (net->peers != NULL) {
        struct trp_sim_peer *peer = net->peers;
        net->peers = peer->all_next;
        free(peer->queue);
        free(peer);
    }
    for (uint32_t i = 0; i < TROUPE_WORKERS_MAX; i++) {
        free(net->posts[i].agenda.events);
    }
    free(net->fds);
    free(net);
}

void trp_sim_net_check(const struct trp_sim_net *net)
{
    TROUPE_ASSERT(net->armed == 0);
    TROUPE_ASSERT(net->rx_out == 0);
    TROUPE_ASSERT(net->open_count == 0);
}

struct trp_sim_net_stats trp_sim_net_stats(const struct trp_sim_net *net)
{
    return net->stats;
}

struct trp_random *trp_sim_net_random(struct trp_sim_net *net)
{
    return &net->random;
}

bool trp_sim_net_was_cut(const struct trp_sim_net *net, int fd)
{
    TROUPE_ASSERT(fd >= TRP_SIM_FD_FIRST);
    TROUPE_ASSERT((uint32_t)(fd - TRP_SIM_FD_FIRST) < net->fd_count);
    return net->fds[fd - TRP_SIM_FD_FIRST]->is_cut;
}
