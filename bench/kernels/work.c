#include "bench/kernels/work.h"

#include "bench/report/machine.h"

#define TRIALS      64u
#define TRIAL_STEPS 16384u

/* The quickest of many trials: the others were interrupted. */
static double quickest_ns(const struct trp_work *work, uint32_t pieces)
{
    uint64_t quickest = UINT64_MAX;
    for (uint32_t trial = 0; trial < TRIALS; trial++) {
        uint64_t begin_ns = trp_machine_now_ns();
        for (uint32_t i = 0; i < pieces; i++) {
            trp_work_do(work);
        }
        uint64_t took_ns = trp_machine_now_ns() - begin_ns;
        quickest = took_ns < quickest ? took_ns : quickest;
    }
    return (double)quickest / pieces;
}

void trp_work_calibrate(struct trp_work *work, double wanted_ns)
{
    work->steps = TRIAL_STEPS;
    double step_ns = quickest_ns(work, 1) / TRIAL_STEPS;
    work->steps = (uint64_t)(wanted_ns / step_ns) + 1;
    work->ns = quickest_ns(work, wanted_ns < 5000 ? 20 : 2);
}
