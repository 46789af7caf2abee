#ifndef BENCH_PEERS_TABLE_H
#define BENCH_PEERS_TABLE_H

/* What came out, per number of threads: figures, notes, and the arithmetic of the table. */

#include <stdio.h>

#include "bench/kernels/runner.h"
#include "bench/peers/peer.h"

struct trp_report;

/* Who runs. */
enum trp_contestant {
    TRP_CONTESTANT_OURS,
    TRP_CONTESTANT_SPREAD, /* ours, the actors spread by hand; with more than one thread */
    TRP_CONTESTANT_CAF,
    TRP_CONTESTANT_ERLANG,
    TRP_CONTESTANT_GO,
    TRP_CONTESTANT_NAIVE,
    TRP_CONTESTANT_FLOOR, /* with one thread */
    TRP_CONTESTANTS,
};

struct trp_peer_cell {
    struct trp_sample rate; /* operations per second, of each run */
    char note[96]; /* cstr: why there is no figure; "" = there is, or it was not asked for */
};

struct trp_peer_row {
    enum trp_peer_kernel kernel;
    uint64_t ops; /* of one run; 0 = nobody finished */
    struct trp_peer_cell cells[TRP_CONTESTANTS];
};

struct trp_peer_table {
    uint32_t threads;
    bool has[TRP_CONTESTANTS]; /* columns */
    uint32_t count;
    struct trp_peer_row rows[TRP_PEER_KERNELS];
};

const char *trp_contestant_name(enum trp_contestant who);

/* Median of a cell; NaN when it has a note or nothing ran. */
double trp_peer_median(const struct trp_peer_row *row, enum trp_contestant who);

/* The highest median of the packaged peers (CAF, Erlang, Go, naive pool); NaN: none. */
double trp_peer_best(const struct trp_peer_row *row, enum trp_contestant *who);

/* a / b; NaN unless both are numbers above 0. */
double trp_peer_ratio(double a, double b);

/* Ours of this row against ours of the same kernel in another table (NULL: NaN). */
double trp_peer_against(const struct trp_peer_row *row, const struct trp_peer_table *one_thread);

/* 12345678 -> "12.3M", NaN -> "-". out: cap at least 16. */
void trp_peer_format_rate(char *out, size_t cap, double per_second);

/* one_thread: the table of one thread to compare with; NULL = none. */
void trp_peer_table_print(FILE *file,
                          const struct trp_peer_table *table,
                          const struct trp_peer_table *one_thread);

/* The rows as members of an array that is open. */
void trp_peer_table_report(struct trp_report *report,
                           const struct trp_peer_table *table,
                           const struct trp_peer_table *one_thread);

#endif
