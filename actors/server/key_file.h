#ifndef ACTORS_SERVER_KEY_FILE_H
#define ACTORS_SERVER_KEY_FILE_H

/**
 * The server's secret key in a file: 64 hex digits and a newline, mode 0600.
 *
 * A file that others may read is refused, as is a symbolic link; an existing file is never
 * replaced. All copies of the secret made here are wiped.
 *
 * Threads: startup. May block on the disk.
 */

#include "io/codec/nostr_crypto.h"

#include <limits.h>

#define TRP_KEY_ERROR_MAX 1024u

/** What went wrong with a file, and the remedy: one line without a newline; never key material. */
struct trp_key_error {
    char text[TRP_KEY_ERROR_MAX];
};

/**
 * Default place: $XDG_STATE_HOME/troupe/key, or $HOME/.local/state/troupe/key.
 *
 * @param[out] path     cstr
 * @param[in] state_home,home  the values of the two variables; NULL or empty = unset, and a
 *                      relative state_home is ignored, as the XDG rules say
 * @return TROUPE_OK; TROUPE_ENOTFOUND if neither is usable; TROUPE_ETOOLARGE
 */
enum troupe_status trp_key_file_default_path(char path[PATH_MAX],
                                             struct trp_key_error *error,
                                             const char *state_home,
                                             const char *home) TROUPE_MUST_USE;

/**
 * Makes the missing directories above a file, mode 0700.
 *
 * @return TROUPE_OK, also when they exist; TROUPE_EIO; TROUPE_ETOOLARGE
 */
enum troupe_status trp_key_file_make_directories(const char *path,
                                                 struct trp_key_error *error) TROUPE_MUST_USE;

/**
 * Makes a new random key and its file. The file appears whole or not at all.
 *
 * @param[out] key  wipe it with trp_nostr_key_wipe
 * @return TROUPE_OK; TROUPE_EEXIST if anything has that name already; TROUPE_EIO
 */
enum troupe_status trp_key_file_create(struct trp_nostr_key *key,
                                       struct trp_key_error *error,
                                       const char *path) TROUPE_MUST_USE;

/**
 * Reads a key.
 *
 * @param[out] key  wipe it with trp_nostr_key_wipe
 * @return TROUPE_OK; TROUPE_ENOTFOUND if there is no such file; TROUPE_EAUTH if its mode, owner or
 *         kind makes it unsafe; TROUPE_EPARSE if it does not hold a valid key; TROUPE_EIO
 */
enum troupe_status trp_key_file_load(struct trp_nostr_key *key,
                                     struct trp_key_error *error,
                                     const char *path) TROUPE_MUST_USE;

/**
 * What `troupe serve` does: reads the file at path, or without a path the default one, which is
 * made (with its directories and one log line) when it is absent.
 *
 * @param[in] path  optional
 * @return as trp_key_file_load; with a path, TROUPE_ENOTFOUND is an error like the others
 */
enum troupe_status trp_key_file_for_server(struct trp_nostr_key *key,
                                           struct trp_key_error *error,
                                           const char *path) TROUPE_MUST_USE;

#endif
