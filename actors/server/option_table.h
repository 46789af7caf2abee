#ifndef ACTORS_SERVER_OPTION_TABLE_H
#define ACTORS_SERVER_OPTION_TABLE_H

/** The tables behind the command line: commands and options. */

#include "actors/server/options.h"

/** How the value of an option is read and stored. */
enum trp_option_kind {
    TRP_OPTION_FLAG,    /* no value; bool */
    TRP_OPTION_COUNT,   /* whole number; uint32_t */
    TRP_OPTION_SECONDS, /* decimal seconds; uint64_t, ns */
    TRP_OPTION_CHOICE,  /* one of a few words; an enum, by position */
    TRP_OPTION_PIN,     /* auto, none or CPU list; const char * */
    TRP_OPTION_TEXT,    /* not empty; const char * */
    TRP_OPTION_SECRET,  /* path of a key file; const char * */
    TRP_OPTION_ADDRESS, /* ADDR:PORT; struct trp_option_address */
    TRP_OPTION_RELAY,   /* URL, may be given again; struct trp_option_relays */
    TRP_OPTION_BACKEND, /* struct trp_option_backend */
    TRP_OPTION_PUBKEY,  /* 64 hex digits; struct trp_option_pubkey */
};

struct trp_option_row {
    const char *name;        /* "--workers" */
    const char *environment; /* "TROUPE_WORKERS" */
    const char *value;       /* placeholder in the help, "N"; NULL for a flag */
    const char *initial;     /* default as text, NULL = none */
    const char *help;        /* one line */
    const char *choices;     /* the words of a choice, "logfmt|json", or NULL */
    const char *later;       /* the words of `choices` that are not available yet, or NULL */
    uint64_t min;            /* of counts and seconds (ns) */
    uint64_t max;
    size_t offset; /* into struct trp_options */
    enum trp_option_kind kind;
    uint32_t commands; /* bit set: 1 << enum trp_program_command */
    bool is_later;     /* the whole option is not available yet */
};

#define TRP_OPTION_ROWS_MAX 64u

extern const struct trp_option_row trp_option_rows[];
extern const size_t trp_option_row_count;

struct trp_command_row {
    const char *name;
    const char *arguments; /* positional ones, as in the help */
    const char *summary;   /* one line */
    bool is_later;
};

/** By enum trp_program_command. */
extern const struct trp_command_row trp_command_rows[TRP_COMMAND_COUNT];

/** True when the option belongs to the command. */
static inline bool trp_option_belongs(const struct trp_option_row *row,
                                      enum trp_program_command command)
{
    return (row->commands >> (unsigned)command & 1u) != 0;
}

#endif
