#ifndef ACTORS_SERVER_OPTIONS_H
#define ACTORS_SERVER_OPTIONS_H

/**
 * The command lines of the program `troupe`, parsed into plain values.
 *
 * A value is taken from the command line, else from the environment, else from the default; an
 * empty environment variable counts as unset. Every option, with its name, variable, range, default
 * and help text, is one row of the table in option_table.c: parsing, errors and --help all come
 * from it. An option whose work does not exist yet is refused with "not available yet", wherever it
 * was given, and never ignored.
 *
 * Threads: startup. Nothing here allocates, opens a file or prints, except trp_options_print.
 */

#include "actors/core/log.h"
#include "io/codec/url.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRP_OPTION_RELAYS_MAX    16u
#define TRP_OPTION_URL_MAX       512u /* bytes of a relay URL, with its NUL */
#define TRP_OPTION_TEXT_MAX      16384u
#define TRP_OPTION_WORKERS_MAX   64u
#define TRP_OPTION_PROCESSES_MAX 1024u

enum trp_program_command {
    TRP_COMMAND_SERVE,
    TRP_COMMAND_RELAY,
    TRP_COMMAND_KEY,
    TRP_COMMAND_CALL,
    TRP_COMMAND_WORKER,
    TRP_COMMAND_CONNECTOR,
    TRP_COMMAND_SUBSCRIBE,
    TRP_COMMAND_COUNT,
};

enum trp_key_action { TRP_KEY_NEW, TRP_KEY_SHOW };
enum trp_encryption { TRP_ENCRYPTION_DISABLED, TRP_ENCRYPTION_OPTIONAL, TRP_ENCRYPTION_REQUIRED };
enum trp_backend_mode { TRP_BACKEND_PER_CLIENT, TRP_BACKEND_SHARED };

enum trp_backend_kind {
    TRP_BACKEND_BUILTIN_DEMO,
    TRP_BACKEND_BUILTIN_CONFORMANCE, /* not available yet */
    TRP_BACKEND_STDIO,
    TRP_BACKEND_POOL, /* not available yet */
    TRP_BACKEND_UDS,  /* not available yet */
};

/** Where to answer requests. */
struct trp_option_backend {
    enum trp_backend_kind kind;
    const char *argument; /* what follows "stdio:", "pool:" or "uds:"; "" for the builtin ones */
};

/** An address to listen on. */
struct trp_option_address {
    bool is_set;
    struct trp_listen listen;
};

/** A ws:// URL as given; trp_url_parse has accepted it. */
struct trp_option_relay {
    char url[TRP_OPTION_URL_MAX];
};

struct trp_option_relays {
    uint32_t count;
    struct trp_option_relay entries[TRP_OPTION_RELAYS_MAX];
};

/** A 32-byte public key. */
struct trp_option_pubkey {
    bool is_set;
    uint8_t bytes[32];
};

/**
 * What was asked for. Members that do not belong to the command hold their defaults. Texts are
 * borrowed from argv and the environment. Times are nanoseconds.
 */
struct trp_options {
    enum trp_program_command command;
    enum trp_log_format log_format;
    enum trp_log_level log_level;

    /* serve and relay */
    uint32_t workers; /* 0 = usable CPUs: affinity mask and cgroup quota */
    const char *pin;  /* "auto", "none" or a well-formed CPU list */

    /* serve */
    uint32_t capacity;       /* clients */
    uint32_t queue;          /* clients waiting at capacity */
    uint32_t client_routes;  /* running requests of one client */
    uint32_t client_backlog; /* waiting requests of one client */
    uint32_t routes;         /* running requests in total */
    uint64_t queue_timeout_ns;
    uint64_t idle_timeout_ns;
    uint64_t route_timeout_ns;
    uint64_t evict_min_idle_ns;
    struct trp_option_address embedded_relay;
    enum trp_encryption encryption; /* never REQUIRED yet */
    struct trp_option_backend backend;
    enum trp_backend_mode backend_mode;
    uint32_t backend_max;      /* processes */
    uint32_t backend_starting; /* processes starting at once */
    uint64_t backend_start_timeout_ns;

    /* serve and call */
    struct trp_option_relays relays; /* call: exactly one */

    /* serve, key and call */
    const char *key_path; /* NULL = default path (call: a fresh key for each run) */

    /* relay */
    struct trp_option_address listen;

    /* key */
    enum trp_key_action key_action;

    /* call */
    struct trp_option_pubkey server;
    uint64_t call_timeout_ns;
    const char *method;
    const char *params; /* NULL if absent; not checked here to be JSON */
};

/** Text for the user: help, version or an error, whole lines. Cut at its size. */
struct trp_option_text {
    char text[TRP_OPTION_TEXT_MAX];
    size_t len;
};

enum trp_options_outcome {
    TRP_OPTIONS_RUN,   /* go on with the options */
    TRP_OPTIONS_SHOW,  /* help or version was asked for: print the text, exit 0 */
    TRP_OPTIONS_USAGE, /* something is wrong: print the text to standard error, exit 2 */
};

/**
 * Parses a command line.
 *
 * @param[out] options  valid when the outcome is TRP_OPTIONS_RUN
 * @param[out] text     what to print; empty when the outcome is TRP_OPTIONS_RUN
 * @param[in] argc,argv as main() got them
 * @param[in] environment  NULL-terminated NAME=VALUE list (environ)
 */
enum trp_options_outcome trp_options_parse(struct trp_options *options,
                                           struct trp_option_text *text,
                                           int argc,
                                           char *const *argv,
                                           char *const *environment);

/** Prints the text where the outcome says and returns the exit code for it (0 or 2). */
int trp_options_print(enum trp_options_outcome outcome, const struct trp_option_text *text);

#endif
