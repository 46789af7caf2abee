#ifndef BENCH_PEERS_RECIPE_H
#define BENCH_PEERS_RECIPE_H

/*
 * The peers, and how each is built from bench/peers/ into a folder. Packages are named where they
 * are missing and never installed.
 *
 * Threads: one; builds run one after the other and block.
 */

#include <stdbool.h>
#include <stddef.h>

#define TRP_RECIPE_PATH_MAX 1024u

enum trp_recipe_id {
    TRP_RECIPE_CAF,
    TRP_RECIPE_ERLANG,
    TRP_RECIPE_GO,
    TRP_RECIPE_NAIVE,
    TRP_RECIPE_FLOOR,
    TRP_RECIPES,
};

/* "caf", "erlang", ... */
const char *trp_recipe_name(enum trp_recipe_id id);
bool trp_recipe_find(const char *name, enum trp_recipe_id *id);

/*
 * Builds a peer, unless its program is younger than all its sources.
 *
 * @param[out] program  cstr[TRP_RECIPE_PATH_MAX]: what to run
 * @param[out] why      cstr[why_cap]: on failure what is missing
 * @param[in]  source   folder with bench/peers in it
 * @param[in]  build    folder for programs and caches; made when missing
 */
bool trp_recipe_build(enum trp_recipe_id id,
                      char *program,
                      char *why,
                      size_t why_cap,
                      const char *source,
                      const char *build);

/* Makes a folder and those above it. False: errno. */
bool trp_recipe_make_folder(const char *path);

/* The folder at or above `from` that has bench/peers in it. False: none. */
bool trp_recipe_find_source(char *out, size_t cap, const char *from);

#endif
