#ifndef BENCH_LOAD_COMMAND_H
#define BENCH_LOAD_COMMAND_H

/* `troupe-bench load ...`; argv without these two words. Returns the exit status. */
int trp_bench_load(int argc, char **argv);

#endif
