#ifndef BENCH_KERNELS_COMMAND_H
#define BENCH_KERNELS_COMMAND_H

/* `troupe-bench kernel ...`; argv without these two words. Returns the exit status. */
int trp_bench_kernel(int argc, char **argv);

#endif
