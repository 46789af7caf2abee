/* Many senders, one counter: what contention at one mailbox costs. */

#include "bench/kernels/flow.h"

#define FANIN(name_, senders_, workers_)                                                           \
    {                                                                                              \
        .name = (name_), .parameters = #senders_ " senders, 1 counter, 1000000 messages",          \
        .ops = 1000000, .senders = (senders_), .workers = (workers_),                              \
        .limit = TRP_LIMIT_FLOOR_FANIN                                                             \
    }

static const struct trp_kernel_case cases[] = {
    FANIN("8-senders-1-worker", 8, 1),
    FANIN("64-senders-1-worker", 64, 1),
    FANIN("1000-senders-1-worker", 1000, 1),
    FANIN("8-senders", 8, 0),
    FANIN("64-senders", 64, 0),
    FANIN("1000-senders", 1000, 0),
};

const struct trp_kernel trp_kernel_fanin = {
    .name = "fanin",
    .about = "many actors send to one",
    .op = "message",
    .cases = cases,
    .case_count = sizeof(cases) / sizeof(cases[0]),
    .setup = trp_flow_setup,
};
