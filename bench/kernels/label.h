#ifndef BENCH_KERNELS_LABEL_H
#define BENCH_KERNELS_LABEL_H

/*
 * What a case says about itself. Its text has {n}, {each} and {time} where --scale and --seconds
 * change the numbers, so that the label of a run tells what was run.
 */

#include <stddef.h>
#include <stdint.h>

#define TRP_LABEL_MAX 256u

struct trp_label {
    uint64_t amount;  /* {n}: operations, actors or timers, after scaling */
    uint64_t actors;  /* {each}: the amount divided by this; 0 counts as 1 */
    uint64_t time_ns; /* {time}: "2 s", "0.05 s" */
};

/* out: cstr[cap], cut when it is too long. Other words in braces stay as they are. */
void trp_label_write(char *out, size_t cap, const char *text, const struct trp_label *label);

#endif
