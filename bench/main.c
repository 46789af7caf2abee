/* troupe-bench: measures actor kernels and puts load on servers. */

#include <stdio.h>
#include <string.h>

#include "bench/args.h"
#include "bench/kernels/command.h"
#include "bench/load/command.h"
#include "bench/peers/command.h"
#include "bench/peers/own.h"

static int not_yet(int argc, char **argv)
{
    (void)argc;
    fprintf(stderr, "troupe-bench %s: not available yet\n", argv[-1]);
    return TRP_BENCH_USAGE;
}

static const struct {
    const char *name;
    const char *about;
    int (*run)(int argc, char **argv); /* without the program's and the command's name */
} commands[] = {
    {"kernel", "small actor programs against what the machine can do", trp_bench_kernel},
    {"load", "load on a server, every answer checked", trp_bench_load},
    {"peers", "the kernels on other runtimes", trp_bench_peers},
    {"peer-self", "one kernel here, as a peer runs it", trp_bench_peer_self},
    {"compare", "two results against each other (not available yet)", not_yet},
    {"report", "a result as a page (not available yet)", not_yet},
};

static void print_help(FILE *file)
{
    fprintf(file, "usage: troupe-bench COMMAND [OPTION]...\n\ncommands:\n");
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        fprintf(file, "  %-10s %s\n", commands[i].name, commands[i].about);
    }
    fprintf(file, "\n`troupe-bench COMMAND --help` lists the options of a command.\n"
                  "Exit status: 0 good, 1 failed, 2 wrong usage, 3 threshold missed, "
                  "4 the run is invalid.\n");
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        print_help(stderr);
        return TRP_BENCH_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_help(stdout);
        return TRP_BENCH_GOOD;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("troupe-bench %s\n", TROUPE_VERSION);
        return TRP_BENCH_GOOD;
    }
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(argv[1], commands[i].name) == 0) {
            return commands[i].run(argc - 2, argv + 2);
        }
    }
    fprintf(stderr, "troupe-bench: no command `%s` (see troupe-bench --help)\n", argv[1]);
    return TRP_BENCH_USAGE;
}
