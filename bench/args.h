#ifndef BENCH_ARGS_H
#define BENCH_ARGS_H

/*
 * The command line of one subcommand: a table of options, `--name value` or `--name=value`, and a
 * few words besides. `--help` is always there.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Exit statuses of the program. */
enum trp_bench_exit {
    TRP_BENCH_GOOD = 0,
    TRP_BENCH_FAILED = 1,    /* something outside went wrong: no relay, no memory, no file */
    TRP_BENCH_USAGE = 2,     /* wrong command line */
    TRP_BENCH_THRESHOLD = 3, /* the run is valid, its result is not good enough */
    TRP_BENCH_INVALID = 4,   /* the figures say nothing */
};

/* The worse of two: good, then threshold, invalid, failed, usage. */
int trp_bench_worse(int a, int b);

enum trp_arg_kind {
    TRP_ARG_TEXT,   /* const char * */
    TRP_ARG_NUMBER, /* uint64_t, min..max */
    TRP_ARG_CHOICE, /* uint64_t: index into choices */
};

struct trp_arg {
    const char *name; /* with its two dashes */
    enum trp_arg_kind kind;
    void *out; /* the default stands there before */
    uint64_t min;
    uint64_t max;
    const char *const *choices; /* NULL-terminated */
    bool is_required;
    const char *metavar;
    const char *help;
    bool is_given; /* set by the parser */
};

struct trp_args {
    const char *command; /* "kernel", for messages */
    const char *usage;   /* line of --help behind "usage: troupe-bench " */
    const char *about;   /* paragraph of --help */
    struct trp_arg *table;
    size_t count;
    const char **words; /* receives what is no option, at most words_max */
    size_t words_max;
    size_t word_count;
};

/*
 * Reads argv[0..argc). Returns TRP_BENCH_GOOD to go on; otherwise a message or the help was printed
 * and *exit_status holds what to leave with (0 after --help).
 */
bool trp_args_read(struct trp_args *args, int argc, char **argv, int *exit_status);

#endif
