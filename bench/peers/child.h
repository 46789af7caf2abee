#ifndef BENCH_PEERS_CHILD_H
#define BENCH_PEERS_CHILD_H

/*
 * A program run to its end, in a process group of its own, on given CPUs, within a time limit. What
 * it says on standard output is kept, the rest goes where ours goes.
 *
 * Threads: the process should have one only, it is forked. Blocks.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRP_CHILD_TEXT_MAX 4096u

enum trp_child_end {
    TRP_CHILD_EXITED,
    TRP_CHILD_SIGNALLED,
    TRP_CHILD_TIMEOUT, /* it was killed, its whole group with it */
    TRP_CHILD_FAILED,  /* it was not started: no memory, no process */
};

struct trp_child_options {
    const char *const
        *argv;          /* NULL at the end; argv[0] is looked for in PATH; not found: exit 127 */
    const char *folder; /* to run in; NULL = this one */
    const int *cpus;    /* to run on; NULL = those of this process */
    uint32_t cpu_count;
    uint32_t timeout_ms;
    bool is_quiet; /* standard error is dropped */
};

struct trp_child_result {
    enum trp_child_end end;
    int code;                      /* exit status, or the number of the signal */
    size_t len;                    /* of text; what came beyond was dropped */
    char text[TRP_CHILD_TEXT_MAX]; /* cstr */
};

/* True: it exited with status 0. */
bool trp_child_run(struct trp_child_result *result, const struct trp_child_options *options);

/* True when a program of this name is in PATH. */
bool trp_child_is_there(const char *program);

#endif
