#include "io/process/command.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <troupe/assert.h>

struct splitter {
    const char *text;
    size_t len;
    size_t at;
    struct trp_command command;
    size_t used; /* bytes of command.words */
    struct trp_command_error *error;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f';
}

static enum troupe_status
fail(struct splitter *s, enum troupe_status status, const char *text, size_t offset)
{
    s->error->text = text;
    s->error->offset = offset;
    return status;
}

static void put(struct splitter *s, char c)
{
    /* Every byte put consumed at least one of the text, every word's NUL a separator or the end. */
    TROUPE_ASSERT(s->used <= s->len);
    s->command.words[s->used++] = c;
}

static enum troupe_status take_single_quoted(struct splitter *s)
{
    size_t open = s->at++;
    while (s->at < s->len) {
        char c = s->text[s->at++];
        if (c == '\'') {
            return TROUPE_OK;
        }
        put(s, c);
    }
    return fail(s, TROUPE_EPARSE, "single quote is never closed", open);
}

static enum troupe_status take_double_quoted(struct splitter *s)
{
    size_t open = s->at++;
    while (s->at < s->len) {
        char c = s->text[s->at++];
        if (c == '"') {
            return TROUPE_OK;
        }
        if (c == '\\' && s->at < s->len && strchr("\\\"$`\n", s->text[s->at]) != NULL) {
            c = s->text[s->at++];
            if (c == '\n') {
                continue;
            }
        }
        put(s, c);
    }
    return fail(s, TROUPE_EPARSE, "double quote is never closed", open);
}

/* Takes one word that starts here; *is_word stays false when it was only line continuations. */
static enum troupe_status take_word(struct splitter *s, bool *is_word)
{
    enum troupe_status status = TROUPE_OK;
    while (status == TROUPE_OK && s->at < s->len && !is_blank(s->text[s->at])) {
        char c = s->text[s->at];
        if (c == '\'') {
            *is_word = true;
            status = take_single_quoted(s);
        } else if (c == '"') {
            *is_word = true;
            status = take_double_quoted(s);
        } else if (c == '\\') {
            if (s->at + 1 == s->len) {
                return fail(s, TROUPE_EPARSE, "backslash at the end", s->at);
            }
            c = s->text[s->at + 1];
            s->at += 2;
            if (c != '\n') {
                *is_word = true;
                put(s, c);
            }
        } else {
            *is_word = true;
            put(s, c);
            s->at++;
        }
    }
    return status;
}

static enum troupe_status split(struct splitter *s)
{
    const char *nul = memchr(s->text, '\0', s->len);
    if (nul != NULL) {
        return fail(s, TROUPE_EPARSE, "NUL byte", (size_t)(nul - s->text));
    }
    for (;;) {
        while (s->at < s->len && is_blank(s->text[s->at])) {
            s->at++;
        }
        if (s->at == s->len) {
            break;
        }
        size_t start = s->at;
        size_t word = s->used;
        bool is_word = false;
        enum troupe_status status = take_word(s, &is_word);
        if (status != TROUPE_OK) {
            return status;
        }
        if (!is_word) {
            continue;
        }
        if (s->command.argc == TRP_COMMAND_ARGC_MAX) {
            return fail(s, TROUPE_ETOOLARGE, "too many words", start);
        }
        put(s, '\0');
        s->command.argv[s->command.argc++] = &s->command.words[word];
    }
    if (s->command.argc == 0) {
        return fail(s, TROUPE_EPARSE, "no command", 0);
    }
    if (s->command.argv[0][0] == '\0') {
        return fail(s, TROUPE_EPARSE, "empty program name", 0);
    }
    return TROUPE_OK;
}

enum troupe_status trp_command_split(struct trp_command *command,
                                     struct trp_command_error *error,
                                     const char *text,
                                     size_t len)
{
    struct splitter s = {.text = text, .len = len, .error = error};
    if (len > TRP_COMMAND_LEN_MAX) {
        return fail(&s, TROUPE_ETOOLARGE, "command line is too long", TRP_COMMAND_LEN_MAX);
    }
    s.command.words = malloc(len + 1);
    s.command.argv = calloc(TRP_COMMAND_ARGC_MAX + 1, sizeof(char *));
    enum troupe_status status;
    if (s.command.words == NULL || s.command.argv == NULL) {
        status = fail(&s, TROUPE_ENOMEM, "out of memory", 0);
    } else {
        status = split(&s);
    }
    if (status != TROUPE_OK) {
        trp_command_fini(&s.command);
        return status;
    }
    *command = s.command;
    return TROUPE_OK;
}

void trp_command_fini(struct trp_command *command)
{
    free(command->words);
    free(command->argv);
    memset(command, 0, sizeof(*command));
}
