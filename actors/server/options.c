#include "actors/server/options.h"

#include "actors/server/option_help.h"
#include "actors/server/option_value.h"

#include <stdio.h>
#include <string.h>
#include <troupe/assert.h>

#define SHOWN_BYTES_MAX 80u

struct parser {
    struct trp_options *options;
    struct trp_option_text *text;
    char *const *argv;
    int argc;
    int at;         /* next argument */
    int positional; /* arguments seen that are no options */
    bool only_positional;
    bool is_given[TRP_OPTION_ROWS_MAX]; /* by row: on the command line */
};

/* "troupe serve: ", the start of each error. */
static void begin_error(const struct parser *parser)
{
    trp_option_text_add(parser->text,
                        "troupe %s: ", trp_command_rows[parser->options->command].name);
}

/* A value from outside, in quotes, cut, without bytes that a terminal would obey. */
static void show_value(struct trp_option_text *text, const char *value)
{
    char shown[SHOWN_BYTES_MAX + 1];
    size_t len = 0;

    for (; value[len] != '\0' && len < SHOWN_BYTES_MAX; len++) {
        bool is_printable = value[len] >= ' ' && value[len] < 0x7f;
        shown[len] = (char)(is_printable ? value[len] : '?');
    }
    shown[len] = '\0';
    trp_option_text_add(text, "\"%s%s\"", shown, value[len] != '\0' ? "..." : "");
}

static enum trp_options_outcome end_error(const struct parser *parser)
{
    trp_option_text_add(parser->text, "\nTry: troupe %s --help\n",
                        trp_command_rows[parser->options->command].name);
    return TRP_OPTIONS_USAGE;
}

static enum trp_options_outcome fail(const struct parser *parser, const char *what)
{
    begin_error(parser);
    trp_option_text_add(parser->text, "%s", what);
    return end_error(parser);
}

static enum trp_options_outcome
fail_value(const struct parser *parser, const char *what, const char *value)
{
    begin_error(parser);
    trp_option_text_add(parser->text, "%s ", what);
    show_value(parser->text, value);
    return end_error(parser);
}

/* `from` is the option or the variable that the value came by. */
static enum trp_options_outcome set_value(const struct parser *parser,
                                          const struct trp_option_row *row,
                                          const char *from,
                                          const char *value)
{
    size_t mark = parser->text->len;

    begin_error(parser);
    trp_option_text_add(parser->text, "%s", from);
    if (row->is_later) {
        trp_option_text_add(parser->text, ": not available yet");
        return end_error(parser);
    }
    if (row->kind != TRP_OPTION_FLAG && row->kind != TRP_OPTION_SECRET) {
        trp_option_text_add(parser->text, " ");
        show_value(parser->text, value);
    }
    trp_option_text_add(parser->text, ": ");
    if (!trp_option_value_set(parser->options, parser->text, row, value)) {
        return end_error(parser);
    }
    parser->text->len = mark;
    parser->text->text[mark] = '\0';
    return TRP_OPTIONS_RUN;
}

static void set_defaults(const struct parser *parser)
{
    for (size_t i = 0; i < trp_option_row_count; i++) {
        const struct trp_option_row *row = &trp_option_rows[i];
        if (row->initial != NULL) {
            enum trp_options_outcome outcome = set_value(parser, row, row->name, row->initial);
            TROUPE_ASSERT(outcome == TRP_OPTIONS_RUN);
        }
    }
}

/* The row of an option of this command, whose name ends at '=' or NUL. */
static const struct trp_option_row *find_row(const struct parser *parser, const char *argument)
{
    size_t len = strcspn(argument, "=");

    for (size_t i = 0; i < trp_option_row_count; i++) {
        const struct trp_option_row *row = &trp_option_rows[i];
        if (trp_option_belongs(row, parser->options->command) && strlen(row->name) == len &&
            memcmp(row->name, argument, len) == 0) {
            return row;
        }
    }
    return NULL;
}

static enum trp_options_outcome take_option(struct parser *parser, const char *argument)
{
    const struct trp_option_row *row = find_row(parser, argument);
    const char *equals = strchr(argument, '=');
    const char *value = equals != NULL ? equals + 1 : NULL;

    if (row == NULL) {
        return fail_value(parser, "unknown option", argument);
    }
    parser->is_given[row - trp_option_rows] = true;
    if (row->kind == TRP_OPTION_FLAG && value != NULL) {
        begin_error(parser);
        trp_option_text_add(parser->text, "%s: takes no value", row->name);
        return end_error(parser);
    }
    /* What looks like an option is not taken for a value: "--key --relay" has a hole. */
    if (row->kind != TRP_OPTION_FLAG && value == NULL && parser->at < parser->argc &&
        strncmp(parser->argv[parser->at], "--", 2) != 0) {
        value = parser->argv[parser->at++];
    }
    if (row->kind != TRP_OPTION_FLAG && value == NULL && !row->is_later) {
        begin_error(parser);
        trp_option_text_add(parser->text, "%s: needs a value, %s", row->name, row->value);
        return end_error(parser);
    }
    return set_value(parser, row, row->name, value != NULL ? value : "");
}

static enum trp_options_outcome take_positional(struct parser *parser, const char *argument)
{
    struct trp_options *options = parser->options;
    int place = parser->positional++;

    if (options->command == TRP_COMMAND_KEY && place == 0) {
        if (strcmp(argument, "new") != 0 && strcmp(argument, "show") != 0) {
            return fail_value(parser, "expected new or show, not", argument);
        }
        options->key_action = strcmp(argument, "new") == 0 ? TRP_KEY_NEW : TRP_KEY_SHOW;
        return TRP_OPTIONS_RUN;
    }
    if (options->command == TRP_COMMAND_CALL && place < 2 && *argument != '\0') {
        *(place == 0 ? &options->method : &options->params) = argument;
        return TRP_OPTIONS_RUN;
    }
    return fail_value(parser, "unexpected argument", argument);
}

static enum trp_options_outcome take_arguments(struct parser *parser)
{
    bool is_later = trp_command_rows[parser->options->command].is_later;

    while (parser->at < parser->argc) {
        const char *argument = parser->argv[parser->at++];
        enum trp_options_outcome outcome = TRP_OPTIONS_RUN;

        if (!parser->only_positional &&
            (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0)) {
            trp_option_help_command(parser->text, parser->options->command);
            outcome = TRP_OPTIONS_SHOW;
        } else if (is_later) {
            /* The whole command is refused at the end; its arguments have no meaning yet. */
            continue;
        } else if (parser->only_positional || argument[0] != '-') {
            outcome = take_positional(parser, argument);
        } else if (strcmp(argument, "--") == 0) {
            parser->only_positional = true;
        } else {
            outcome = take_option(parser, argument);
        }
        if (outcome != TRP_OPTIONS_RUN) {
            return outcome;
        }
    }
    return TRP_OPTIONS_RUN;
}

/* The value of a variable; NULL if it is unset or empty. */
static const char *find_variable(char *const *environment, const char *name)
{
    size_t len = strlen(name);

    for (; *environment != NULL; environment++) {
        if (strncmp(*environment, name, len) == 0 && (*environment)[len] == '=') {
            return (*environment)[len + 1] != '\0' ? *environment + len + 1 : NULL;
        }
    }
    return NULL;
}

/* A variable holds several relays separated by commas or blanks. */
static enum trp_options_outcome
take_relay_list(const struct parser *parser, const struct trp_option_row *row, const char *list)
{
    enum trp_options_outcome outcome = TRP_OPTIONS_RUN;

    for (list += strspn(list, ", \t\n"); *list != '\0' && outcome == TRP_OPTIONS_RUN;
         list += strspn(list, ", \t\n")) {
        char url[TRP_OPTION_URL_MAX + 1];
        size_t len = strcspn(list, ", \t\n");
        /* Longer than any URL may be: cut, so that it fails as too long. */
        size_t kept = len < sizeof(url) ? len : sizeof(url) - 1;
        memcpy(url, list, kept);
        url[kept] = '\0';
        outcome = set_value(parser, row, row->environment, url);
        list += len;
    }
    return outcome;
}

static enum trp_options_outcome take_environment(const struct parser *parser,
                                                 char *const *environment)
{
    enum trp_options_outcome outcome = TRP_OPTIONS_RUN;

    for (size_t i = 0; i < trp_option_row_count && outcome == TRP_OPTIONS_RUN; i++) {
        const struct trp_option_row *row = &trp_option_rows[i];
        const char *value = find_variable(environment, row->environment);
        if (value == NULL || parser->is_given[i] ||
            !trp_option_belongs(row, parser->options->command)) {
            continue;
        }
        if (row->kind == TRP_OPTION_RELAY) {
            outcome = take_relay_list(parser, row, value);
        } else {
            outcome = set_value(parser, row, row->environment, value);
        }
    }
    return outcome;
}

/* What one option alone cannot tell. */
static enum trp_options_outcome check_whole(const struct parser *parser)
{
    const struct trp_options *options = parser->options;

    switch (options->command) {
    case TRP_COMMAND_SERVE:
        if (options->relays.count == 0 && !options->embedded_relay.is_set) {
            return fail(parser, "no front end: give --relay URL or --embedded-relay ADDR:PORT");
        }
        break;
    case TRP_COMMAND_RELAY:
        if (!options->listen.is_set) {
            return fail(parser, "--listen ADDR:PORT is required");
        }
        break;
    case TRP_COMMAND_KEY:
        if (parser->positional == 0) {
            return fail(parser, "say what to do: new or show");
        }
        break;
    case TRP_COMMAND_CALL:
        if (options->relays.count != 1) {
            return fail(parser, "exactly one --relay URL is required");
        }
        if (!options->server.is_set) {
            return fail(parser, "--server HEX is required");
        }
        if (options->method == NULL) {
            return fail(parser, "a method is required, such as tools/list");
        }
        break;
    case TRP_COMMAND_WORKER:
    case TRP_COMMAND_CONNECTOR:
    case TRP_COMMAND_SUBSCRIBE:
        return fail(parser, "not available yet");
    case TRP_COMMAND_COUNT:
        break;
    }
    return TRP_OPTIONS_RUN;
}

/* The first argument: a command, or a wish for help or version. */
static enum trp_options_outcome take_command(struct parser *parser)
{
    const char *name = parser->argc > 1 ? parser->argv[1] : NULL;

    if (name == NULL) {
        trp_option_help_program(parser->text);
        return TRP_OPTIONS_USAGE;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        trp_option_help_program(parser->text);
        return TRP_OPTIONS_SHOW;
    }
    if (strcmp(name, "--version") == 0) {
        trp_option_help_version(parser->text);
        return TRP_OPTIONS_SHOW;
    }
    for (size_t i = 0; i < TRP_COMMAND_COUNT; i++) {
        if (strcmp(trp_command_rows[i].name, name) == 0) {
            parser->options->command = (enum trp_program_command)i;
            return TRP_OPTIONS_RUN;
        }
    }
    trp_option_text_add(parser->text, "troupe: unknown command ");
    show_value(parser->text, name);
    trp_option_text_add(parser->text, "\nTry: troupe --help\n");
    return TRP_OPTIONS_USAGE;
}

enum trp_options_outcome trp_options_parse(struct trp_options *options,
                                           struct trp_option_text *text,
                                           int argc,
                                           char *const *argv,
                                           char *const *environment)
{
    struct parser parser = {.options = options, .text = text, .argv = argv, .argc = argc, .at = 2};
    enum trp_options_outcome outcome;

    memset(options, 0, sizeof(*options));
    text->len = 0;
    text->text[0] = '\0';
    outcome = take_command(&parser);
    if (outcome != TRP_OPTIONS_RUN) {
        return outcome;
    }
    set_defaults(&parser);
    outcome = take_arguments(&parser);
    if (outcome != TRP_OPTIONS_RUN) {
        return outcome;
    }
    /* A command that is not there yet says so, whatever the variables hold. */
    if (!trp_command_rows[options->command].is_later) {
        outcome = take_environment(&parser, environment);
        if (outcome != TRP_OPTIONS_RUN) {
            return outcome;
        }
    }
    return check_whole(&parser);
}

int trp_options_print(enum trp_options_outcome outcome, const struct trp_option_text *text)
{
    FILE *stream = outcome == TRP_OPTIONS_USAGE ? stderr : stdout;

    fwrite(text->text, 1, text->len, stream);
    fflush(stream);
    return outcome == TRP_OPTIONS_USAGE ? 2 : 0;
}
