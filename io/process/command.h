#ifndef TRP_PROCESS_COMMAND_H
#define TRP_PROCESS_COMMAND_H

/**
 * Splits a command line from a configuration into the words of an argv.
 *
 * Quoting is the shell's: white space separates words; single quotes keep everything; double
 * quotes keep everything but a backslash before one of \ " $ ` or a newline; a backslash outside
 * quotes keeps the next character; a backslash before a newline disappears with it. Nothing is
 * expanded: $, *, ~, |, ;, < and > are ordinary characters. Who wants a shell writes sh -c '...'.
 */

#include <stddef.h>
#include <stdint.h>

#include <troupe/status.h>

#define TRP_COMMAND_ARGC_MAX 256u
#define TRP_COMMAND_LEN_MAX  (64u * 1024u)

/** The words; argv[argc] is NULL. All memory belongs to the struct. */
struct trp_command {
    char **argv;
    uint32_t argc; /* 1..TRP_COMMAND_ARGC_MAX */
    char *words;   /* the storage behind argv */
};

/** What is wrong with a command line, and where. */
struct trp_command_error {
    const char *text; /* static, one line without a full stop */
    size_t offset;    /* bytes from the start: the quote left open, the word too many, ... */
};

/**
 * Splits a command line.
 *
 * @param[out] command  the words on success; untouched otherwise
 * @param[out] error    the reason when the result is not TROUPE_OK; untouched otherwise
 * @param[in]  text     bytes, not NUL-terminated
 * @param[in]  len      at most TRP_COMMAND_LEN_MAX
 * @return TROUPE_OK; TROUPE_EPARSE for an open quote, a backslash at the end, a NUL byte, no word
 *         or an empty program name; TROUPE_ETOOLARGE beyond a limit; TROUPE_ENOMEM
 * Ownership: on success the caller ends with trp_command_fini
 * Threads:   any
 * Cost:      O(len), allocates (configuration time only)
 */
TROUPE_MUST_USE enum troupe_status trp_command_split(struct trp_command *command,
                                                     struct trp_command_error *error,
                                                     const char *text,
                                                     size_t len);

/** Frees the words; harmless on a zeroed struct. Threads: any */
void trp_command_fini(struct trp_command *command);

#endif
