/* Many senders, one counter: what contention at one mailbox costs. */

#include "bench/kernels/flow.h"

#define FANIN(senders_, name_, workers_, placement_)                                               \
    {                                                                                              \
        .name = #senders_ "-senders" name_,                                                        \
        .parameters = #senders_ " senders, 1 counter, {n} messages", .ops = 1000000,               \
        .actors = (senders_), .workers = (workers_), .placement = (placement_),                    \
        .limit = TRP_LIMIT_FLOOR_FANIN##senders_, .share_min = (workers_) == 1 ? 0.80 : 0          \
    }

static const struct trp_kernel_case cases[] = {
    FANIN(8, "-1-worker", 1, TRP_PLACEMENT_RUNTIME),
    FANIN(64, "-1-worker", 1, TRP_PLACEMENT_RUNTIME),
    FANIN(1000, "-1-worker", 1, TRP_PLACEMENT_RUNTIME),
    FANIN(8, "-placed", 0, TRP_PLACEMENT_RUNTIME),
    FANIN(64, "-placed", 0, TRP_PLACEMENT_RUNTIME),
    FANIN(1000, "-placed", 0, TRP_PLACEMENT_RUNTIME),
    FANIN(8, "-all-workers", 0, TRP_PLACEMENT_SPREAD),
    FANIN(64, "-all-workers", 0, TRP_PLACEMENT_SPREAD),
    FANIN(1000, "-all-workers", 0, TRP_PLACEMENT_SPREAD),
};

const struct trp_kernel trp_kernel_fanin = {
    .name = "fanin",
    .about = "many actors send to one",
    .op = "message",
    .cases = cases,
    .case_count = sizeof(cases) / sizeof(cases[0]),
    .setup = trp_flow_setup,
};
