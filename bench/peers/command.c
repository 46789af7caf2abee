#include "bench/peers/command.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/args.h"
#include "bench/peers/child.h"
#include "bench/peers/recipe.h"
#include "bench/peers/table.h"
#include "bench/report/json_report.h"
#include "pool/affinity.h"

#define TABLES_MAX 8u

struct command {
    struct trp_machine machine;
    struct trp_cpus cpus;
    char source[TRP_RECIPE_PATH_MAX];
    char build[TRP_RECIPE_PATH_MAX];
    bool is_wanted[TRP_CONTESTANTS];
    char programs[TRP_CONTESTANTS][TRP_RECIPE_PATH_MAX];
    enum trp_peer_kernel kernels[TRP_PEER_KERNELS];
    uint32_t kernel_count;
    uint32_t threads[TABLES_MAX];
    uint32_t table_count;
    struct trp_peer_table *tables; /* TABLES_MAX */
    uint64_t runs;
    uint64_t scale;
    uint64_t timeout_s;
};

static enum trp_contestant contestant_of(enum trp_recipe_id id)
{
    static const enum trp_contestant contestants[TRP_RECIPES] = {
        [TRP_RECIPE_CAF] = TRP_CONTESTANT_CAF,     [TRP_RECIPE_ERLANG] = TRP_CONTESTANT_ERLANG,
        [TRP_RECIPE_GO] = TRP_CONTESTANT_GO,       [TRP_RECIPE_NAIVE] = TRP_CONTESTANT_NAIVE,
        [TRP_RECIPE_FLOOR] = TRP_CONTESTANT_FLOOR,
    };
    return contestants[id];
}

/* --- lists of the command line --- */

/* The next item of a comma-separated list; false at its end. An item that is too long is cut. */
static bool next_item(const char **list, char *item, size_t cap)
{
    if (**list == '\0') {
        return false;
    }
    size_t len = strcspn(*list, ",");
    snprintf(item, cap, "%.*s", (int)(len < cap ? len : cap), *list);
    *list += len + ((*list)[len] == ',' ? 1 : 0);
    return true;
}

static bool read_kernels(struct command *command, const char *list)
{
    char item[64];
    if (list == NULL) {
        for (int i = 0; i < TRP_PEER_KERNELS; i++) {
            command->kernels[command->kernel_count++] = (enum trp_peer_kernel)i;
        }
        return true;
    }
    while (next_item(&list, item, sizeof(item))) {
        enum trp_peer_kernel kernel;
        if (!trp_peer_find(item, &kernel)) {
            fprintf(stderr, "troupe-bench peers: no kernel `%s`; there are", item);
            for (int i = 0; i < TRP_PEER_KERNELS; i++) {
                fprintf(stderr, " %s", trp_peer_name((enum trp_peer_kernel)i));
            }
            fprintf(stderr, "\n");
            return false;
        }
        if (command->kernel_count == TRP_PEER_KERNELS) {
            fprintf(stderr, "troupe-bench peers: too many kernels\n");
            return false;
        }
        command->kernels[command->kernel_count++] = kernel;
    }
    if (command->kernel_count == 0) {
        fprintf(stderr, "troupe-bench peers: --kernels is empty\n");
    }
    return command->kernel_count > 0;
}

static bool read_peers(struct command *command, const char *list)
{
    char item[64];
    command->is_wanted[TRP_CONTESTANT_OURS] = true;
    command->is_wanted[TRP_CONTESTANT_SPREAD] = true;
    if (list == NULL) {
        for (int i = 0; i < TRP_RECIPES; i++) {
            command->is_wanted[contestant_of((enum trp_recipe_id)i)] = true;
        }
        return true;
    }
    while (next_item(&list, item, sizeof(item))) {
        enum trp_recipe_id id;
        if (!trp_recipe_find(item, &id)) {
            fprintf(stderr, "troupe-bench peers: no peer `%s`; there are", item);
            for (int i = 0; i < TRP_RECIPES; i++) {
                fprintf(stderr, " %s", trp_recipe_name((enum trp_recipe_id)i));
            }
            fprintf(stderr, "\n");
            return false;
        }
        command->is_wanted[contestant_of(id)] = true;
    }
    return true;
}

static bool read_threads(struct command *command, const char *list)
{
    char item[64];
    uint32_t usable = command->machine.usable < command->cpus.count ? command->machine.usable
                                                                    : command->cpus.count;
    bool is_empty = *list == '\0';
    while (next_item(&list, item, sizeof(item))) {
        char *end = NULL;
        unsigned long threads = strtoul(item, &end, 10);
        if (item[0] < '0' || item[0] > '9' || *end != '\0' || threads < 1 ||
            threads > TROUPE_WORKERS_MAX || command->table_count == TABLES_MAX) {
            fprintf(stderr, "troupe-bench peers: --threads takes at most %u numbers from 1 to %u\n",
                    TABLES_MAX, TROUPE_WORKERS_MAX);
            return false;
        }
        if (threads > usable) {
            printf("threads %lu: left out, there are %u CPUs\n", threads, usable);
            continue;
        }
        command->threads[command->table_count++] = (uint32_t)threads;
    }
    if (is_empty) {
        fprintf(stderr, "troupe-bench peers: --threads is empty\n");
    } else if (command->table_count == 0) {
        fprintf(stderr,
                "troupe-bench peers: nothing was run: no number of --threads fits on %u CPUs\n",
                usable);
    }
    return command->table_count > 0;
}

/* --- folders --- */

/* From where the program lies (build/ inside the sources), else from where it was called. */
static bool find_source(struct command *command, const char *given)
{
    char from[TRP_RECIPE_PATH_MAX];

    if (given != NULL) {
        return trp_recipe_find_source(command->source, sizeof(command->source), given);
    }
    ssize_t len = readlink("/proc/self/exe", from, sizeof(from) - 1);
    if (len > 0) {
        from[len] = '\0';
        if (trp_recipe_find_source(command->source, sizeof(command->source), from)) {
            return true;
        }
    }
    return getcwd(from, sizeof(from)) != NULL &&
           trp_recipe_find_source(command->source, sizeof(command->source), from);
}

/* Absolute, because compilers run in other folders. */
static bool find_folders(struct command *command, const char *source, const char *build)
{
    char given[PATH_MAX];
    char whole[PATH_MAX];

    if (!find_source(command, source)) {
        fprintf(stderr, "troupe-bench peers: no folder bench/peers here or above; name the "
                        "project's folder with --source\n");
        return false;
    }
    if (build != NULL) {
        snprintf(given, sizeof(given), "%s", build);
    } else {
        snprintf(given, sizeof(given), "%s/build/peers", command->source);
    }
    if (!trp_recipe_make_folder(given) || realpath(given, whole) == NULL ||
        strlen(whole) >= sizeof(command->build)) {
        fprintf(stderr, "troupe-bench peers: cannot make %s\n", given);
        return false;
    }
    memcpy(command->build, whole, strlen(whole) + 1);
    if (realpath(command->source, whole) != NULL && strlen(whole) < sizeof(command->source)) {
        memcpy(command->source, whole, strlen(whole) + 1);
    }
    return true;
}

/* What cannot be built is left out with a word why. */
static void build_peers(struct command *command)
{
    for (int i = 0; i < TRP_RECIPES; i++) {
        enum trp_recipe_id id = (enum trp_recipe_id)i;
        enum trp_contestant who = contestant_of(id);
        char why[TRP_RECIPE_PATH_MAX + 64];
        if (!command->is_wanted[who]) {
            continue;
        }
        if (!trp_recipe_build(id, command->programs[who], why, sizeof(why), command->source,
                              command->build)) {
            printf("peer %s left out: %s\n", trp_recipe_name(id), why);
            command->is_wanted[who] = false;
        }
    }
}

/* --- running --- */

static void note_end(struct trp_peer_cell *cell,
                     const struct command *command,
                     const struct trp_child_result *result)
{
    switch (result->end) {
    case TRP_CHILD_EXITED:
        if (result->code == 0) {
            snprintf(cell->note, sizeof(cell->note), "printed something else than its figures");
        } else {
            snprintf(cell->note, sizeof(cell->note), "exit status %d", result->code);
        }
        break;
    case TRP_CHILD_SIGNALLED:
        snprintf(cell->note, sizeof(cell->note), "killed by signal %d", result->code);
        break;
    case TRP_CHILD_TIMEOUT:
        snprintf(cell->note, sizeof(cell->note), "killed after %llu s",
                 (unsigned long long)command->timeout_s);
        break;
    case TRP_CHILD_FAILED:
        snprintf(cell->note, sizeof(cell->note), "could not be started");
        break;
    }
}

static void run_one(const struct command *command,
                    const struct trp_peer_table *table,
                    struct trp_peer_row *row,
                    enum trp_contestant who)
{
    struct trp_peer_cell *cell = &row->cells[who];
    bool is_ours = who == TRP_CONTESTANT_OURS || who == TRP_CONTESTANT_SPREAD;
    struct trp_child_result result;
    struct trp_peer_result figures;
    const char *argv[12];
    size_t words = 0;
    char threads[24];
    char scale[24];

    snprintf(threads, sizeof(threads), "%u", table->threads);
    snprintf(scale, sizeof(scale), "%llu", (unsigned long long)command->scale);
    argv[words++] = is_ours ? "/proc/self/exe" : command->programs[who];
    if (is_ours) {
        argv[words++] = "peer-self";
    }
    argv[words++] = trp_peer_name(row->kernel);
    argv[words++] = "--threads";
    argv[words++] = threads;
    if (command->scale > 1) {
        argv[words++] = "--scale";
        argv[words++] = scale;
    }
    if (who == TRP_CONTESTANT_SPREAD) {
        argv[words++] = "--placement";
        argv[words++] = "spread";
    }
    argv[words] = NULL;
    const struct trp_child_options options = {
        .argv = argv,
        .cpus = command->cpus.ids,
        .cpu_count = table->threads,
        .timeout_ms = (uint32_t)command->timeout_s * 1000u,
    };
    if (!trp_child_run(&result, &options) ||
        !trp_peer_read_line(&figures, result.text, result.len)) {
        note_end(cell, command, &result);
        return;
    }
    row->ops = figures.ops;
    trp_sample_add(&cell->rate, 1e9 * (double)figures.ops / (double)figures.ns);
}

/* Everybody in turn, then again: what the machine does meanwhile happens to all. */
static void run_kernel(const struct command *command,
                       const struct trp_peer_table *table,
                       struct trp_peer_row *row)
{
    for (uint64_t run = 0; run < command->runs; run++) {
        for (int who = 0; who < TRP_CONTESTANTS; who++) {
            /* Who failed once is not asked again: five times 60 s would be lost. */
            if (table->has[who] && row->cells[who].note[0] == '\0') {
                run_one(command, table, row, (enum trp_contestant)who);
            }
        }
    }
}

static void run_table(const struct command *command, struct trp_peer_table *table)
{
    memcpy(table->has, command->is_wanted, sizeof(table->has));
    if (table->threads == 1) {
        table->has[TRP_CONTESTANT_SPREAD] = false;
    } else {
        table->has[TRP_CONTESTANT_FLOOR] = false;
    }
    for (uint32_t i = 0; i < command->kernel_count; i++) {
        struct trp_peer_row *row = &table->rows[table->count++];
        row->kernel = command->kernels[i];
        if (isatty(STDERR_FILENO)) {
            fprintf(stderr, "\r\033[Kthreads %u: %s", table->threads, trp_peer_name(row->kernel));
        }
        run_kernel(command, table, row);
    }
    if (isatty(STDERR_FILENO)) {
        fprintf(stderr, "\r\033[K");
    }
}

static const struct trp_peer_table *one_thread_of(const struct command *command, uint32_t upto)
{
    for (uint32_t i = 0; i < upto; i++) {
        if (command->tables[i].threads == 1) {
            return &command->tables[i];
        }
    }
    return NULL;
}

/* Ours has to run; a peer that does not is a note. */
static bool is_ours_whole(const struct command *command)
{
    for (uint32_t i = 0; i < command->table_count; i++) {
        for (uint32_t k = 0; k < command->tables[i].count; k++) {
            if (!isfinite(trp_peer_median(&command->tables[i].rows[k], TRP_CONTESTANT_OURS))) {
                return false;
            }
        }
    }
    return true;
}

static int run_tables(struct command *command)
{
    printf("machine: %s, %u CPUs, affinity %s, %s\n", command->machine.cpu_model,
           command->machine.cpus, command->machine.affinity, command->machine.kernel);
    for (uint32_t i = 0; i < command->table_count; i++) {
        struct trp_peer_table *table = &command->tables[i];
        table->threads = command->threads[i];
        run_table(command, table);
        printf("\nthreads %u, CPUs", table->threads);
        for (uint32_t k = 0; k < table->threads; k++) {
            printf("%c%d", k == 0 ? ' ' : ',', command->cpus.ids[k]);
        }
        printf(": operations per second, medians of %llu runs in turn; spread = (max - min) / "
               "median of ours\n",
               (unsigned long long)command->runs);
        trp_peer_table_print(stdout, table, one_thread_of(command, i));
        fflush(stdout);
    }
    return is_ours_whole(command) ? TRP_BENCH_GOOD : TRP_BENCH_INVALID;
}

static bool write_report(const struct command *command, const char *path, int status)
{
    struct trp_report report;
    if (!trp_report_open(&report, path)) {
        return false;
    }
    trp_report_object(&report, NULL);
    trp_report_header(&report, &command->machine);
    trp_report_string(&report, "command", "peers");
    trp_report_object(&report, "parameters");
    trp_report_number(&report, "runs", command->runs);
    trp_report_number(&report, "scale", command->scale);
    trp_report_number(&report, "timeout_s", command->timeout_s);
    trp_report_end(&report);
    trp_report_array(&report, "results");
    for (uint32_t i = 0; i < command->table_count; i++) {
        trp_peer_table_report(&report, &command->tables[i], one_thread_of(command, i));
    }
    trp_report_end(&report);
    trp_report_number(&report, "exit_status", (uint64_t)status);
    trp_report_end(&report);
    return trp_report_close(&report);
}

/* What the command line says, as it stands there. */
struct texts {
    const char *only;
    const char *kernels;
    const char *threads;
    const char *json;
    const char *build;
    const char *source;
};

static int run_command(struct command *command, const struct texts *texts)
{
    trp_machine_read(&command->machine);
    trp_cpus_allowed(&command->cpus);
    if (!read_peers(command, texts->only) || !read_kernels(command, texts->kernels) ||
        !read_threads(command, texts->threads) ||
        !find_folders(command, texts->source, texts->build)) {
        return TRP_BENCH_USAGE;
    }
    build_peers(command);
    fflush(stdout);
    int status = run_tables(command);
    if (texts->json != NULL && !write_report(command, texts->json, status)) {
        return status == TRP_BENCH_GOOD ? TRP_BENCH_FAILED : status;
    }
    return status;
}

static bool read_arguments(
    struct command *command, struct texts *texts, int argc, char **argv, int *exit_status)
{
    struct trp_arg table[] = {
        {"--only", TRP_ARG_TEXT, &texts->only, 0, 0, NULL, false, "NAME,..",
         "peers: caf, erlang, go, naive, floor (default: all that can be built)", false},
        {"--kernels", TRP_ARG_TEXT, &texts->kernels, 0, 0, NULL, false, "NAME,..",
         "pingpong count fanin8 fanin64 fanin1000 fjthrput fjcreate fjcreate-waves threadring100 "
         "threadring503 big chameneos",
         false},
        {"--threads", TRP_ARG_TEXT, &texts->threads, 0, 0, NULL, false, "N,..",
         "a table for each number of threads (default 1,2)", false},
        {"--runs", TRP_ARG_NUMBER, &command->runs, 1, TRP_RUNS_MAX, NULL, false, "N",
         "runs of each, in turn", false},
        {"--timeout", TRP_ARG_NUMBER, &command->timeout_s, 1, 3600, NULL, false, "S",
         "a run that takes longer is killed and shown as -", false},
        {"--scale", TRP_ARG_NUMBER, &command->scale, 1, TRP_PEER_SCALE_MAX, NULL, false, "D",
         "divide the work, to try it out", false},
        {"--json", TRP_ARG_TEXT, &texts->json, 0, 0, NULL, false, "FILE", "write the results there",
         false},
        {"--build", TRP_ARG_TEXT, &texts->build, 0, 0, NULL, false, "DIR",
         "build the peers there (default: build/peers of the project)", false},
        {"--source", TRP_ARG_TEXT, &texts->source, 0, 0, NULL, false, "DIR",
         "the project's folder (default: above this program or the current folder)", false},
    };
    struct trp_args args = {
        .command = "peers",
        .usage = "peers [OPTION]...",
        .about =
            "Runs the same kernels here and on other runtimes, in turn, on the same CPUs.\n"
            "Exit status: 0 a table for each number of threads, 1 FILE cannot be written or no "
            "memory,\n2 wrong usage, or no number of threads fits on the CPUs here, 4 a kernel "
            "of ours did\nnot finish.",
        .table = table,
        .count = sizeof(table) / sizeof(table[0]),
    };
    return trp_args_read(&args, argc, argv, exit_status);
}

int trp_bench_peers(int argc, char **argv)
{
    struct texts texts = {.threads = "1,2"};
    struct command *command = calloc(1, sizeof(*command));
    struct trp_peer_table *tables = calloc(TABLES_MAX, sizeof(*tables));
    int status = TRP_BENCH_FAILED;

    if (command == NULL || tables == NULL) {
        fprintf(stderr, "troupe-bench peers: out of memory\n");
    } else {
        command->tables = tables;
        command->runs = 5;
        command->scale = 1;
        command->timeout_s = 60;
        if (read_arguments(command, &texts, argc, argv, &status)) {
            status = run_command(command, &texts);
        }
    }
    free(tables);
    free(command);
    return status;
}
