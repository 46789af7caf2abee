#ifndef BENCH_LOAD_NOSTR_H
#define BENCH_LOAD_NOSTR_H

/* `troupe-bench load nostr ...`; argv without these words. Returns the exit status. */
int trp_bench_load_nostr(int argc, char **argv);

#endif
