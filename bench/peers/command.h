#ifndef BENCH_PEERS_COMMAND_H
#define BENCH_PEERS_COMMAND_H

/* `troupe-bench peers ...`; argv without these two words. Returns the exit status. */
int trp_bench_peers(int argc, char **argv);

#endif
