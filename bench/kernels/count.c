/* One sender, one counter: a one-way stream. */

#include "bench/kernels/flow.h"

static const struct trp_kernel_case cases[] = {
    {.name = "1-worker",
     .parameters = "1 sender, 1 counter, {n} messages",
     .ops = 1000000,
     .actors = 1,
     .workers = 1,
     .limit = TRP_LIMIT_FLOOR_COUNT,
     .share_min = 0.80},
    {.name = "unbounded-1-worker",
     .parameters = "1 sender, 1 counter without a bound, {n} messages",
     .ops = 1000000,
     .actors = 1,
     .workers = 1,
     .limit = TRP_LIMIT_FLOOR_COUNT,
     .is_unbounded = true},
    {.name = "placed",
     .parameters = "1 sender, 1 counter where the runtime puts them, {n} messages",
     .ops = 1000000,
     .actors = 1,
     .placement = TRP_PLACEMENT_RUNTIME,
     .limit = TRP_LIMIT_FLOOR_COUNT},
    {.name = "all-workers",
     .parameters = "1 sender on the first worker, 1 counter on the last, {n} messages",
     .ops = 1000000,
     .actors = 1,
     .limit = TRP_LIMIT_FLOOR_COUNT},
};

const struct trp_kernel trp_kernel_count = {
    .name = "count",
    .about = "one actor sends, another counts",
    .op = "message",
    .cases = cases,
    .case_count = sizeof(cases) / sizeof(cases[0]),
    .setup = trp_flow_setup,
};
