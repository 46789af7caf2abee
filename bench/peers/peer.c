#include "bench/peers/peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* is_product: ops = actors x each; otherwise each counts for all of them together. */
static const struct {
    const char *name;
    const char *op;
    uint32_t actors;
    uint64_t each;
    bool is_product;
} sizes[TRP_PEER_KERNELS] = {
    [TRP_PEER_PINGPONG] = {"pingpong", "round trip", 2, 1000000, false},
    [TRP_PEER_COUNT] = {"count", "message", 1, 1000000, true},
    [TRP_PEER_FANIN8] = {"fanin8", "message", 8, 125000, true},
    [TRP_PEER_FANIN64] = {"fanin64", "message", 64, 15625, true},
    [TRP_PEER_FANIN1000] = {"fanin1000", "message", 1000, 1000, true},
    [TRP_PEER_FJTHRPUT] = {"fjthrput", "message", 60, 10000, true},
    [TRP_PEER_FJCREATE] = {"fjcreate", "actor", 1000000, 1, true},
    [TRP_PEER_FJCREATE_WAVES] = {"fjcreate-waves", "actor", 1000, 1000, true},
    [TRP_PEER_THREADRING100] = {"threadring100", "hop", 100, 1000000, false},
    [TRP_PEER_THREADRING503] = {"threadring503", "hop", 503, 1000000, false},
    [TRP_PEER_BIG] = {"big", "ping", 120, 20000, true},
    [TRP_PEER_CHAMENEOS] = {"chameneos", "meeting", 100, 200000, false},
};

const char *trp_peer_name(enum trp_peer_kernel kernel)
{
    return sizes[kernel].name;
}

bool trp_peer_find(const char *name, enum trp_peer_kernel *kernel)
{
    for (int i = 0; i < TRP_PEER_KERNELS; i++) {
        if (strcmp(name, sizes[i].name) == 0) {
            *kernel = (enum trp_peer_kernel)i;
            return true;
        }
    }
    return false;
}

void trp_peer_size(struct trp_peer_work *work, enum trp_peer_kernel kernel, uint64_t scale)
{
    uint32_t actors = sizes[kernel].actors;
    uint64_t each = sizes[kernel].each / scale;

    if (kernel == TRP_PEER_FJCREATE) { /* one wave: what is divided is its size */
        actors = (uint32_t)(actors / scale) > 0 ? (uint32_t)(actors / scale) : 1;
    }
    if (each == 0) {
        each = 1;
    }
    *work = (struct trp_peer_work){
        .kernel = kernel,
        .name = sizes[kernel].name,
        .op = sizes[kernel].op,
        .actors = actors,
        .each = each,
        .ops = sizes[kernel].is_product ? actors * each : each,
    };
}

/* Reads `name` and a number from 1 to 2^63 - 1; false when they are not there. */
static bool read_field(const char **at, const char *end, const char *name, uint64_t *number)
{
    size_t len = strlen(name);
    uint64_t value = 0;

    if ((size_t)(end - *at) <= len || memcmp(*at, name, len) != 0) {
        return false;
    }
    const char *digit = *at + len;
    for (; digit < end && *digit >= '0' && *digit <= '9'; digit++) {
        if (value > (uint64_t)INT64_MAX / 10 - 1) {
            return false;
        }
        value = value * 10 + (uint64_t)(*digit - '0');
    }
    *at = digit;
    *number = value;
    return value > 0;
}

bool trp_peer_read_line(struct trp_peer_result *result, const char *text, size_t len)
{
    const char *at = text;
    const char *end = text + len;
    struct trp_peer_result found;

    if (!read_field(&at, end, "ops=", &found.ops) || !read_field(&at, end, " ns=", &found.ns) ||
        end - at != 1 || *at != '\n') {
        return false;
    }
    *result = found;
    return true;
}

uint64_t trp_peer_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static bool read_number(const char *text, uint64_t max, uint64_t *number)
{
    char *end = NULL;
    *number = strtoull(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && *number >= 1 && *number <= max;
}

static int usage(const char *program)
{
    fprintf(stderr, "usage: %s KERNEL --threads N [--scale D]\nkernels:", program);
    for (int i = 0; i < TRP_PEER_KERNELS; i++) {
        fprintf(stderr, " %s", sizes[i].name);
    }
    fprintf(stderr, "\n");
    return 2;
}

int trp_peer_main(int argc, char **argv, trp_peer_run_fn *run)
{
    enum trp_peer_kernel kernel;
    uint64_t threads = 1;
    uint64_t scale = 1;

    if (argc < 2 || argc % 2 != 0 || !trp_peer_find(argv[1], &kernel)) {
        return usage(argv[0]);
    }
    for (int at = 2; at < argc; at += 2) {
        bool is_threads = strcmp(argv[at], "--threads") == 0;
        if ((!is_threads && strcmp(argv[at], "--scale") != 0) ||
            !read_number(argv[at + 1], is_threads ? TRP_PEER_THREADS_MAX : TRP_PEER_SCALE_MAX,
                         is_threads ? &threads : &scale)) {
            return usage(argv[0]);
        }
    }
    struct trp_peer_work work;
    struct trp_peer_result result;
    trp_peer_size(&work, kernel, scale);
    if (!run(&work, (uint32_t)threads, &result)) {
        fprintf(stderr, "%s: %s: wrong result, or out of memory\n", argv[0], work.name);
        return 1;
    }
    printf("ops=%llu ns=%llu\n", (unsigned long long)result.ops, (unsigned long long)result.ns);
    return fflush(stdout) == 0 ? 0 : 1;
}
