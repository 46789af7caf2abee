#ifndef BENCH_KERNELS_WORK_H
#define BENCH_KERNELS_WORK_H

/* Work that takes a known time: a chain of multiplications that touches no memory. */

#include <stdint.h>

struct trp_work {
    uint64_t steps; /* of one piece of work */
    double ns;      /* what one piece was measured to take, undisturbed */
};

/* Finds out how many steps take `wanted_ns` on this machine now, and measures them. About 3 ms. */
void trp_work_calibrate(struct trp_work *work, double wanted_ns);

static inline void trp_work_do(const struct trp_work *work)
{
    uint64_t x = 1;
    for (uint64_t i = 0; i < work->steps; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        __asm__ volatile("" : "+r"(x)); /* each step really happens */
    }
}

#endif
