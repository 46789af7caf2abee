#include "bench/load/command.h"

#include <stdio.h>
#include <string.h>

#include "bench/args.h"
#include "bench/load/nostr.h"

static const char *const later[] = {"http", "ws", "uds", "grpc", "relay"};

static void print_help(FILE *file)
{
    fprintf(file, "usage: troupe-bench load nostr [OPTION]...\n\n"
                  "  nostr      MCP over Nostr: clients that call a tool through a relay\n"
                  "  http, ws, uds, grpc, relay   not available yet\n\n"
                  "`troupe-bench load nostr --help` lists the options.\n");
}

int trp_bench_load(int argc, char **argv)
{
    if (argc < 1) {
        print_help(stderr);
        return TRP_BENCH_USAGE;
    }
    if (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0) {
        print_help(stdout);
        return TRP_BENCH_GOOD;
    }
    if (strcmp(argv[0], "nostr") == 0) {
        return trp_bench_load_nostr(argc - 1, argv + 1);
    }
    for (size_t i = 0; i < sizeof(later) / sizeof(later[0]); i++) {
        if (strcmp(argv[0], later[i]) == 0) {
            fprintf(stderr, "troupe-bench load %s: not available yet\n", argv[0]);
            return TRP_BENCH_USAGE;
        }
    }
    fprintf(stderr, "troupe-bench load: no target `%s` (see troupe-bench load --help)\n", argv[0]);
    return TRP_BENCH_USAGE;
}
