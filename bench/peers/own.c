#include "bench/peers/own.h"

#include <stdio.h>
#include <string.h>

#include "bench/args.h"
#include "bench/kernels/runner.h"

/* The case's name is the prefix and one of the endings. */
static const struct {
    const struct trp_kernel *kernel;
    const char *prefix;
} own_kernels[TRP_PEER_KERNELS] = {
    [TRP_PEER_PINGPONG] = {&trp_kernel_pingpong, ""},
    [TRP_PEER_COUNT] = {&trp_kernel_count, ""},
    [TRP_PEER_FANIN8] = {&trp_kernel_fanin, "8-senders-"},
    [TRP_PEER_FANIN64] = {&trp_kernel_fanin, "64-senders-"},
    [TRP_PEER_FANIN1000] = {&trp_kernel_fanin, "1000-senders-"},
    [TRP_PEER_FJTHRPUT] = {&trp_kernel_fjthrput, ""},
    [TRP_PEER_FJCREATE] = {&trp_kernel_fjcreate, "at-once-"},
    [TRP_PEER_FJCREATE_WAVES] = {&trp_kernel_fjcreate, "waves-"},
    [TRP_PEER_THREADRING100] = {&trp_kernel_threadring, "100-actors-"},
    [TRP_PEER_THREADRING503] = {&trp_kernel_threadring, "503-actors-"},
    [TRP_PEER_BIG] = {&trp_kernel_big, ""},
    [TRP_PEER_CHAMENEOS] = {&trp_kernel_chameneos, ""},
};

enum placement { ONE, PLACED, SPREAD };

/* What the endings are called; the later ones where a kernel has a name of its own for the case. */
static const char *const endings[][4] = {
    [ONE] = {"1-worker", "same-worker", NULL},
    [PLACED] = {"placed", NULL},
    [SPREAD] = {"spread", "all-workers", "cross-hot", NULL},
};

static const struct trp_kernel_case *
find_case(const struct trp_kernel *kernel, const char *prefix, const char *ending)
{
    size_t len = strlen(prefix);
    for (uint32_t i = 0; i < kernel->case_count; i++) {
        const char *name = kernel->cases[i].name;
        if (strncmp(name, prefix, len) == 0 && strcmp(name + len, ending) == 0) {
            return &kernel->cases[i];
        }
    }
    return NULL;
}

bool trp_own_find(enum trp_peer_kernel kernel,
                  uint32_t threads,
                  bool is_spread,
                  const struct trp_kernel **own,
                  const struct trp_kernel_case **own_case)
{
    enum placement placement = threads == 1 ? ONE : (is_spread ? SPREAD : PLACED);
    for (size_t i = 0; endings[placement][i] != NULL; i++) {
        const struct trp_kernel_case *found = find_case(
            own_kernels[kernel].kernel, own_kernels[kernel].prefix, endings[placement][i]);
        if (found != NULL) {
            *own = own_kernels[kernel].kernel;
            *own_case = found;
            return true;
        }
    }
    return false;
}

static int run_own(enum trp_peer_kernel kernel, uint32_t threads, bool is_spread, uint64_t scale)
{
    static struct trp_runner_result result; /* some KiB of samples */
    const struct trp_kernel *own;
    const struct trp_kernel_case *found;
    struct trp_machine machine;

    if (!trp_own_find(kernel, threads, is_spread, &own, &found)) {
        fprintf(stderr, "troupe-bench peer-self: %s has no such case\n", trp_peer_name(kernel));
        return TRP_BENCH_USAGE;
    }
    trp_machine_read(&machine);
    const struct trp_runner_options options = {
        .runs = 1,
        .workers = threads,
        .pin = "auto",
        .driver = troupe_futex_driver(),
        .scale = scale,
        .machine = &machine,
    };
    struct trp_kernel_case unlimited = *found; /* the floor is a peer of its own here */
    unlimited.limit = TRP_LIMIT_NONE;
    if (!trp_runner_run(&result, own, &unlimited, &options)) {
        fprintf(stderr, "troupe-bench peer-self: %s: %s\n", trp_peer_name(kernel), result.error);
        return TRP_BENCH_FAILED;
    }
    double ns = result.ns_per_op.values[0] * (double)result.ops;
    printf("ops=%llu ns=%llu\n", (unsigned long long)result.ops, (unsigned long long)ns);
    return fflush(stdout) == 0 ? TRP_BENCH_GOOD : TRP_BENCH_FAILED;
}

int trp_bench_peer_self(int argc, char **argv)
{
    static const char *const placements[] = {"runtime", "spread", NULL};
    enum trp_peer_kernel kernel;
    const char *name = NULL;
    uint64_t threads = 1;
    uint64_t scale = 1;
    uint64_t placement = 0;
    int status;

    struct trp_arg table[] = {
        {"--threads", TRP_ARG_NUMBER, &threads, 1, TROUPE_WORKERS_MAX, NULL, true, "N",
         "workers, each on a CPU of its own", false},
        {"--scale", TRP_ARG_NUMBER, &scale, 1, TRP_PEER_SCALE_MAX, NULL, false, "D",
         "divide the work", false},
        {"--placement", TRP_ARG_CHOICE, &placement, 0, 0, placements, false, "runtime|spread",
         "who places the actors", false},
    };
    struct trp_args args = {
        .command = "peer-self",
        .usage = "peer-self KERNEL --threads N [OPTION]...",
        .about = "Runs one kernel as a peer does: once to warm up, once measured, prints one line.",
        .table = table,
        .count = sizeof(table) / sizeof(table[0]),
        .words = &name,
        .words_max = 1,
    };
    if (!trp_args_read(&args, argc, argv, &status)) {
        return status;
    }
    if (name == NULL || !trp_peer_find(name, &kernel)) {
        fprintf(stderr, "troupe-bench peer-self: name a kernel (see troupe-bench peers --help)\n");
        return TRP_BENCH_USAGE;
    }
    return run_own(kernel, (uint32_t)threads, placement == 1, scale);
}
