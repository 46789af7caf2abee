#include "bench/args.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int trp_bench_worse(int a, int b)
{
    static const int order[] = {
        [TRP_BENCH_GOOD] = 0,   [TRP_BENCH_THRESHOLD] = 1, [TRP_BENCH_INVALID] = 2,
        [TRP_BENCH_FAILED] = 3, [TRP_BENCH_USAGE] = 4,
    };
    return order[a] >= order[b] ? a : b;
}

static void print_help(const struct trp_args *args)
{
    printf("usage: troupe-bench %s\n\n%s\n\noptions:\n", args->usage, args->about);
    for (size_t i = 0; i < args->count; i++) {
        const struct trp_arg *arg = &args->table[i];
        char left[64];
        snprintf(left, sizeof(left), "%s %s", arg->name, arg->metavar);
        printf("  %-26s %s", left, arg->help);
        if (arg->kind == TRP_ARG_NUMBER) {
            uint64_t value;
            memcpy(&value, arg->out, sizeof(value));
            printf(" (%llu to %llu", (unsigned long long)arg->min, (unsigned long long)arg->max);
            printf(value != 0 || arg->min == 0 ? ", default %llu)" : ")",
                   (unsigned long long)value);
        }
        printf("%s\n", arg->is_required ? " (required)" : "");
    }
    printf("  %-26s %s\n", "--help", "this text");
}

static struct trp_arg *find(const struct trp_args *args, const char *text, size_t len)
{
    for (size_t i = 0; i < args->count; i++) {
        struct trp_arg *arg = &args->table[i];
        if (strlen(arg->name) == len && memcmp(arg->name, text, len) == 0) {
            return arg;
        }
    }
    return NULL;
}

static bool set_number(const struct trp_args *args, struct trp_arg *arg, const char *value)
{
    char *end = NULL;
    errno = 0;
    unsigned long long number = strtoull(value, &end, 10);
    if (value[0] < '0' || value[0] > '9' || *end != '\0' || errno != 0 || number < arg->min ||
        number > arg->max) {
        fprintf(stderr, "troupe-bench %s: %s: `%s` is not a whole number from %llu to %llu\n",
                args->command, arg->name, value, (unsigned long long)arg->min,
                (unsigned long long)arg->max);
        return false;
    }
    uint64_t kept = number;
    memcpy(arg->out, &kept, sizeof(kept));
    return true;
}

static bool set_choice(const struct trp_args *args, struct trp_arg *arg, const char *value)
{
    for (uint64_t i = 0; arg->choices[i] != NULL; i++) {
        if (strcmp(arg->choices[i], value) == 0) {
            memcpy(arg->out, &i, sizeof(i));
            return true;
        }
    }
    fprintf(stderr, "troupe-bench %s: %s: `%s` is not one of %s\n", args->command, arg->name, value,
            arg->metavar);
    return false;
}

static bool set(const struct trp_args *args, struct trp_arg *arg, const char *value)
{
    if (arg->is_given) {
        fprintf(stderr, "troupe-bench %s: %s is given twice\n", args->command, arg->name);
        return false;
    }
    arg->is_given = true;
    switch (arg->kind) {
    case TRP_ARG_NUMBER:
        return set_number(args, arg, value);
    case TRP_ARG_CHOICE:
        return set_choice(args, arg, value);
    case TRP_ARG_TEXT:
        break;
    }
    memcpy(arg->out, &value, sizeof(value));
    return true;
}

/* One option; *at is moved past it and its value. */
static bool read_option(struct trp_args *args, int argc, char **argv, int *at)
{
    const char *text = argv[*at];
    const char *equals = strchr(text, '=');
    size_t len = equals != NULL ? (size_t)(equals - text) : strlen(text);
    struct trp_arg *arg = find(args, text, len);

    if (arg == NULL) {
        fprintf(stderr, "troupe-bench %s: unknown option `%.*s` (see troupe-bench %s --help)\n",
                args->command, (int)len, text, args->command);
        return false;
    }
    const char *value = equals != NULL ? equals + 1 : NULL;
    if (value == NULL) {
        if (*at + 1 >= argc) {
            fprintf(stderr, "troupe-bench %s: %s needs a value\n", args->command, arg->name);
            return false;
        }
        value = argv[++*at];
    }
    ++*at;
    return set(args, arg, value);
}

static bool check_required(const struct trp_args *args)
{
    for (size_t i = 0; i < args->count; i++) {
        if (args->table[i].is_required && !args->table[i].is_given) {
            fprintf(stderr, "troupe-bench %s: %s %s is missing\n", args->command,
                    args->table[i].name, args->table[i].metavar);
            return false;
        }
    }
    return true;
}

bool trp_args_read(struct trp_args *args, int argc, char **argv, int *exit_status)
{
    *exit_status = TRP_BENCH_USAGE;
    args->word_count = 0;
    for (int at = 0; at < argc;) {
        if (strcmp(argv[at], "--help") == 0 || strcmp(argv[at], "-h") == 0) {
            print_help(args);
            *exit_status = TRP_BENCH_GOOD;
            return false;
        }
        if (argv[at][0] == '-' && argv[at][1] != '\0') {
            if (!read_option(args, argc, argv, &at)) {
                return false;
            }
        } else if (args->word_count < args->words_max) {
            args->words[args->word_count++] = argv[at++];
        } else {
            fprintf(stderr, "troupe-bench %s: what is `%s` for? (see troupe-bench %s --help)\n",
                    args->command, argv[at], args->command);
            return false;
        }
    }
    return check_required(args);
}
