#include "bench/peers/recipe.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "bench/peers/child.h"

#define BUILD_TIMEOUT_MS 600000u
#define ARGS_MAX         64u
#define MARK             "bench/peers/peer.h" /* what makes a folder the source folder */

/* The words of one command; those that were made here live in text. */
struct command {
    const char *argv[ARGS_MAX + 1];
    size_t count;
    char text[8 * TRP_RECIPE_PATH_MAX];
    size_t text_len;
    bool is_full;
};

/* Where one build happens. */
struct place {
    char folder[TRP_RECIPE_PATH_MAX]; /* of the sources */
    char build[TRP_RECIPE_PATH_MAX];
    char program[TRP_RECIPE_PATH_MAX];
    const char *source;
};

struct recipe {
    const char *name;
    const char *folder;     /* below bench/peers, "" = itself */
    const char *program;    /* below the build folder */
    const char *sources[4]; /* patterns in the folder: what the compiler gets */
    const char *others[3];  /* patterns: what it depends on besides */
    const char *tool;
    const char *package; /* with the tool */
    /* NULL: the tool is all it takes. False: the package is missing all the same. */
    bool (*is_there)(void);
    bool (*build)(const struct recipe *recipe, const struct place *place);
};

static void add(struct command *command, const char *word)
{
    if (command->count == ARGS_MAX) {
        command->is_full = true;
        return;
    }
    command->argv[command->count++] = word;
    command->argv[command->count] = NULL;
}

/* A word of two parts. */
static void add_joined(struct command *command, const char *first, const char *second)
{
    char *word = command->text + command->text_len;
    size_t room = sizeof(command->text) - command->text_len;
    int len = snprintf(word, room, "%s%s", first, second);
    if (len < 0 || (size_t)len >= room) {
        command->is_full = true;
        return;
    }
    command->text_len += (size_t)len + 1;
    add(command, word);
}

static void add_files(struct command *command, const char *folder, const char *const *patterns)
{
    for (size_t i = 0; patterns[i] != NULL; i++) {
        char path[TRP_RECIPE_PATH_MAX];
        glob_t found;
        snprintf(path, sizeof(path), "%s/%s", folder, patterns[i]);
        if (glob(path, 0, NULL, &found) != 0) {
            continue; /* the compiler says what it lacks */
        }
        for (size_t k = 0; k < found.gl_pathc; k++) {
            add_joined(command, found.gl_pathv[k], "");
        }
        globfree(&found);
    }
}

static bool run(const struct command *command, const char *folder)
{
    struct trp_child_result result;
    const struct trp_child_options options = {
        .argv = command->argv, .folder = folder, .timeout_ms = BUILD_TIMEOUT_MS};
    return !command->is_full && trp_child_run(&result, &options);
}

static bool build_c(const struct recipe *recipe, const struct place *place)
{
    struct command command = {.count = 0};
    add(&command, "cc");
    add(&command, "-std=c11");
    add(&command, "-O2");
    add(&command, "-D_GNU_SOURCE");
    add_joined(&command, "-I", place->source);
    add(&command, "-o");
    add(&command, place->program);
    add_files(&command, place->folder, recipe->sources);
    add(&command, "-lpthread");
    return run(&command, NULL);
}

static bool build_caf(const struct recipe *recipe, const struct place *place)
{
    struct command command = {.count = 0};
    add(&command, "g++");
    add(&command, "-std=c++17");
    add(&command, "-O2");
    add(&command, "-o");
    add(&command, place->program);
    add_files(&command, place->folder, recipe->sources);
    add(&command, "-lcaf_core");
    add(&command, "-lpthread");
    return run(&command, NULL);
}

static bool is_caf_there(void)
{
    static const char *const argv[] = {
        "g++",      "-std=c++17",           "-E",        "-o", "/dev/null", "-x", "c++",
        "-include", "caf/actor_system.hpp", "/dev/null", NULL};
    const struct trp_child_options options = {
        .argv = argv, .timeout_ms = BUILD_TIMEOUT_MS, .is_quiet = true};
    struct trp_child_result result;
    return trp_child_run(&result, &options);
}

/* The compiled module lies beside the script that starts it. */
static bool build_erlang(const struct recipe *recipe, const struct place *place)
{
    struct command compile = {.count = 0};
    struct command copy = {.count = 0};
    char folder[TRP_RECIPE_PATH_MAX];

    snprintf(folder, sizeof(folder), "%.*s", (int)(strrchr(place->program, '/') - place->program),
             place->program);
    if (!trp_recipe_make_folder(folder)) {
        return false;
    }
    add(&compile, "erlc");
    add(&compile, "-o");
    add(&compile, folder);
    add_files(&compile, place->folder, recipe->sources);
    add(&copy, "install");
    add(&copy, "-m");
    add(&copy, "755");
    add_joined(&copy, place->folder, "/run.sh");
    add(&copy, place->program);
    return run(&compile, NULL) && run(&copy, NULL);
}

/* With a cache of its own, and nothing from the network. */
static bool build_go(const struct recipe *recipe, const struct place *place)
{
    struct command command = {.count = 0};
    (void)recipe;
    add(&command, "env");
    add_joined(&command, "GOCACHE=", place->build);
    add_joined(&command, "GOPATH=", place->build);
    add(&command, "GOPROXY=off");
    add(&command, "GOFLAGS=-mod=mod");
    add(&command, "GOTOOLCHAIN=local");
    add(&command, "go");
    add(&command, "build");
    add(&command, "-o");
    add(&command, place->program);
    add(&command, ".");
    return run(&command, place->folder);
}

static const struct recipe recipes[TRP_RECIPES] = {
    [TRP_RECIPE_CAF] = {"caf",
                        "caf",
                        "peer-caf",
                        {"*.cpp", "*.cc"},
                        {"*.hpp"},
                        "g++",
                        "libcaf-dev",
                        is_caf_there,
                        build_caf},
    [TRP_RECIPE_ERLANG] = {"erlang",
                           "erlang",
                           "erlang/run.sh",
                           {"*.erl"},
                           {"*.sh", "*.hrl"},
                           "erlc",
                           "erlang-base",
                           NULL,
                           build_erlang},
    [TRP_RECIPE_GO] =
        {"go", "go", "peer-go", {"*.go"}, {"go.mod"}, "go", "golang-go", NULL, build_go},
    [TRP_RECIPE_NAIVE] = {"naive",
                          "",
                          "peer-naive",
                          {"naive_*.c", "peer.c"},
                          {"naive_*.h", "peer.h"},
                          "cc",
                          "build-essential",
                          NULL,
                          build_c},
    [TRP_RECIPE_FLOOR] = {"floor",
                          "",
                          "peer-floor",
                          {"floor*.c", "peer.c"},
                          {"floor*.h", "peer.h"},
                          "cc",
                          "build-essential",
                          NULL,
                          build_c},
};

const char *trp_recipe_name(enum trp_recipe_id id)
{
    return recipes[id].name;
}

bool trp_recipe_find(const char *name, enum trp_recipe_id *id)
{
    for (int i = 0; i < TRP_RECIPES; i++) {
        if (strcmp(recipes[i].name, name) == 0) {
            *id = (enum trp_recipe_id)i;
            return true;
        }
    }
    return false;
}

bool trp_recipe_make_folder(const char *path)
{
    char part[TRP_RECIPE_PATH_MAX];
    size_t len = strlen(path);

    if (len == 0 || len >= sizeof(part)) {
        errno = len == 0 ? ENOENT : ENAMETOOLONG;
        return false;
    }
    for (size_t i = 1; i <= len; i++) {
        if (path[i] == '/' || path[i] == '\0') {
            memcpy(part, path, i);
            part[i] = '\0';
            if (mkdir(part, 0777) != 0 && errno != EEXIST) {
                return false;
            }
        }
    }
    return true;
}

bool trp_recipe_find_source(char *out, size_t cap, const char *from)
{
    char folder[TRP_RECIPE_PATH_MAX];
    char mark[TRP_RECIPE_PATH_MAX + sizeof(MARK) + 1];
    struct stat about;

    if ((size_t)snprintf(folder, sizeof(folder), "%s", from) >= sizeof(folder)) {
        return false;
    }
    for (;;) {
        snprintf(mark, sizeof(mark), "%s/%s", folder, MARK);
        if (stat(mark, &about) == 0) {
            return (size_t)snprintf(out, cap, "%s", folder) < cap;
        }
        char *slash = strrchr(folder, '/');
        if (slash == NULL) {
            return false;
        }
        *slash = '\0';
    }
}

static bool
is_older(const struct timespec *program, const char *folder, const char *const *patterns)
{
    struct command files = {.count = 0};
    struct stat about;
    add_files(&files, folder, patterns);
    for (size_t i = 0; i < files.count; i++) {
        if (stat(files.argv[i], &about) != 0 || about.st_mtim.tv_sec > program->tv_sec ||
            (about.st_mtim.tv_sec == program->tv_sec &&
             about.st_mtim.tv_nsec >= program->tv_nsec)) {
            return true;
        }
    }
    return files.is_full;
}

static bool is_up_to_date(const struct recipe *recipe, const struct place *place)
{
    struct stat about;
    return stat(place->program, &about) == 0 &&
           !is_older(&about.st_mtim, place->folder, recipe->sources) &&
           !is_older(&about.st_mtim, place->folder, recipe->others);
}

/* False: a path is too long. */
static bool
find_place(struct place *place, const struct recipe *recipe, const char *source, const char *build)
{
    int folder = snprintf(place->folder, sizeof(place->folder), "%s/bench/peers%s%s", source,
                          recipe->folder[0] != '\0' ? "/" : "", recipe->folder);
    int made = snprintf(place->build, sizeof(place->build), "%s/cache-%s", build, recipe->name);
    int program = snprintf(place->program, sizeof(place->program), "%s/%s", build, recipe->program);
    int most = (int)TRP_RECIPE_PATH_MAX - 64; /* room for the names of the files in them */
    place->source = source;
    return folder < most && made < most && program < most;
}

static bool is_tool_there(const struct recipe *recipe)
{
    return trp_child_is_there(recipe->tool) && (recipe->is_there == NULL || recipe->is_there());
}

bool trp_recipe_build(enum trp_recipe_id id,
                      char *program,
                      char *why,
                      size_t why_cap,
                      const char *source,
                      const char *build)
{
    static struct place place; /* some KiB; one build at a time */
    const struct recipe *recipe = &recipes[id];

    if (!find_place(&place, recipe, source, build)) {
        snprintf(why, why_cap, "a path is too long");
        return false;
    }
    if (!trp_recipe_make_folder(build)) {
        snprintf(why, why_cap, "cannot make %s: %s", build, strerror(errno));
        return false;
    }
    if (!is_tool_there(recipe)) {
        snprintf(why, why_cap, "needs package %s", recipe->package);
        return false;
    }
    if (!is_up_to_date(recipe, &place) && !recipe->build(recipe, &place)) {
        snprintf(why, why_cap, "did not build from %s", place.folder);
        return false;
    }
    snprintf(program, TRP_RECIPE_PATH_MAX, "%s", place.program);
    return true;
}
