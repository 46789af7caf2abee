#include "actors/server/option_help.h"

#include "actors/server/option_value.h"

#include <stdio.h>
#include <string.h>

#define NAME_COLUMN 34

void trp_option_help_program(struct trp_option_text *text)
{
    trp_option_text_add(text, "usage: troupe COMMAND [OPTION]...\n\ncommands:\n");
    for (size_t i = 0; i < TRP_COMMAND_COUNT; i++) {
        const struct trp_command_row *row = &trp_command_rows[i];
        trp_option_text_add(text, "  %-10s %s%s\n", row->name, row->summary,
                            row->is_later ? " (not available yet)" : "");
    }
    trp_option_text_add(text, "\n`troupe COMMAND --help` lists the options of a command; "
                              "`troupe --version` prints the version.\n");
}

/* The range, for numbers only. */
static void add_range(struct trp_option_text *text, const struct trp_option_row *row)
{
    if (row->kind == TRP_OPTION_COUNT) {
        trp_option_text_add(text, "; %llu to %llu", (unsigned long long)row->min,
                            (unsigned long long)row->max);
    } else if (row->kind == TRP_OPTION_SECONDS) {
        trp_option_text_add(text, "; ");
        trp_option_text_add_seconds(text, row->min);
        trp_option_text_add(text, " to ");
        trp_option_text_add_seconds(text, row->max);
        trp_option_text_add(text, " seconds");
    }
}

static void add_option(struct trp_option_text *text, const struct trp_option_row *row)
{
    char name[128];

    snprintf(name, sizeof(name), "%s%s%s", row->name, row->value != NULL ? " " : "",
             row->value != NULL ? row->value : "");
    trp_option_text_add(text, "  %-*s", NAME_COLUMN, name);
    /* A name that fills its column gets a line of its own. */
    if (strlen(name) >= NAME_COLUMN) {
        trp_option_text_add(text, "\n  %-*s", NAME_COLUMN, "");
    }
    trp_option_text_add(text, "%s\n  %-*s[%s", row->help, NAME_COLUMN, "", row->environment);
    if (row->is_later) {
        trp_option_text_add(text, "; not available yet");
    }
    if (row->later != NULL) {
        trp_option_text_add(text, "; %s is not available yet", row->later);
    }
    if (row->initial != NULL) {
        trp_option_text_add(text, "; default %s", row->initial);
    }
    add_range(text, row);
    trp_option_text_add(text, "]\n");
}

void trp_option_help_command(struct trp_option_text *text, enum trp_program_command command)
{
    const struct trp_command_row *row = &trp_command_rows[command];

    trp_option_text_add(text, "usage: troupe %s%s [OPTION]...\n\n%s%s.\n\noptions:\n", row->name,
                        row->arguments, row->summary, row->is_later ? " (not available yet)" : "");
    for (size_t i = 0; i < trp_option_row_count; i++) {
        if (trp_option_belongs(&trp_option_rows[i], command)) {
            add_option(text, &trp_option_rows[i]);
        }
    }
    trp_option_text_add(text,
                        "  %-*sthis text\n\nAn option is taken from the command line, else from "
                        "the variable in brackets, else\nfrom its default. Times are seconds and "
                        "may have decimals.\n",
                        NAME_COLUMN, "-h, --help");
}

void trp_option_help_version(struct trp_option_text *text)
{
    trp_option_text_add(text, "troupe %s\n", TROUPE_VERSION);
}
