#include "actors/server/option_value.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <troupe/assert.h>

#define NS_PER_S   UINT64_C(1000000000)
#define CPUS_MAX   1024u
#define DIGITS_MAX 10u /* of a whole number */

static const char not_available[] = "not available yet";

void trp_option_text_add(struct trp_option_text *text, const char *format, ...)
{
    size_t room = sizeof(text->text) - text->len;
    va_list arguments;
    int n;

    va_start(arguments, format);
    n = vsnprintf(text->text + text->len, room, format, arguments);
    va_end(arguments);
    if (n > 0) {
        text->len += (size_t)n < room ? (size_t)n : room - 1;
    }
}

void trp_option_text_add_seconds(struct trp_option_text *text, uint64_t ns)
{
    char fraction[10];
    size_t len = 9;

    snprintf(fraction, sizeof(fraction), "%09u", (unsigned)(ns % NS_PER_S));
    while (len > 0 && fraction[len - 1] == '0') {
        len--;
    }
    trp_option_text_add(text, "%llu%s%.*s", (unsigned long long)(ns / NS_PER_S), len > 0 ? "." : "",
                        (int)len, fraction);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Digits at *at, moving it behind them; false if there are none or too many. */
static bool take_number(uint64_t *out, const char **at)
{
    const char *start = *at;
    const char *end = start;
    uint64_t value = 0;

    while (is_digit(*end) && (size_t)(end - start) <= DIGITS_MAX) {
        value = value * 10 + (uint64_t)(*end - '0');
        end++;
    }
    if (end == start || (size_t)(end - start) > DIGITS_MAX) {
        return false;
    }
    *out = value;
    *at = end;
    return true;
}

static bool set_count(uint32_t *out,
                      struct trp_option_text *why,
                      const struct trp_option_row *row,
                      const char *value)
{
    uint64_t number = 0;

    if (!take_number(&number, &value) || *value != '\0' || number < row->min || number > row->max) {
        trp_option_text_add(why, "expected a whole number from %llu to %llu",
                            (unsigned long long)row->min, (unsigned long long)row->max);
        return false;
    }
    *out = (uint32_t)number;
    return true;
}

/* Decimal seconds with at most nine digits after the point. */
static bool take_seconds(uint64_t *out_ns, const char *at)
{
    uint64_t seconds = 0;
    uint64_t unit = NS_PER_S / 10;
    uint64_t fraction = 0;

    if (!take_number(&seconds, &at)) {
        return false;
    }
    if (*at == '.') {
        at++;
        if (!is_digit(*at)) {
            return false;
        }
        while (is_digit(*at) && unit > 0) {
            fraction += (uint64_t)(*at - '0') * unit;
            unit /= 10;
            at++;
        }
    }
    if (*at != '\0') {
        return false;
    }
    /* take_number gives at most ten digits, and 10^10 s are fewer than 2^64 ns. */
    *out_ns = seconds * NS_PER_S + fraction;
    return true;
}

static bool set_seconds(uint64_t *out_ns,
                        struct trp_option_text *why,
                        const struct trp_option_row *row,
                        const char *value)
{
    uint64_t ns = 0;

    if (!take_seconds(&ns, value) || ns < row->min || ns > row->max) {
        trp_option_text_add(why, "expected seconds from ");
        trp_option_text_add_seconds(why, row->min);
        trp_option_text_add(why, " to ");
        trp_option_text_add_seconds(why, row->max);
        return false;
    }
    *out_ns = ns;
    return true;
}

/* Position of a word in "a|b|c", -1 if it is not there. */
static int find_word(const char *words, const char *word)
{
    size_t len = strlen(word);

    for (int i = 0; words != NULL; i++) {
        const char *bar = strchr(words, '|');
        size_t width = bar != NULL ? (size_t)(bar - words) : strlen(words);
        if (width == len && memcmp(words, word, len) == 0) {
            return i;
        }
        words = bar != NULL ? bar + 1 : NULL;
    }
    return -1;
}

static bool set_choice(uint32_t *out,
                       struct trp_option_text *why,
                       const struct trp_option_row *row,
                       const char *value)
{
    int at = find_word(row->choices, value);

    if (at < 0) {
        trp_option_text_add(why, "expected one of %s", row->choices);
        return false;
    }
    if (find_word(row->later, value) >= 0) {
        trp_option_text_add(why, "%s", not_available);
        return false;
    }
    *out = (uint32_t)at;
    return true;
}

/* N or N-M, joined by commas; all below the size of a CPU set. */
static bool is_cpu_list(const char *at)
{
    do {
        uint64_t first = 0;
        uint64_t last;
        if (!take_number(&first, &at)) {
            return false;
        }
        last = first;
        if (*at == '-') {
            at++;
            if (!take_number(&last, &at)) {
                return false;
            }
        }
        if (last < first || last >= CPUS_MAX) {
            return false;
        }
    } while (*at++ == ',');
    return at[-1] == '\0';
}

static bool set_pin(const char **out, struct trp_option_text *why, const char *value)
{
    if (strcmp(value, "auto") != 0 && strcmp(value, "none") != 0 && !is_cpu_list(value)) {
        trp_option_text_add(why, "expected auto, none or a list of CPUs such as 0,2-3");
        return false;
    }
    *out = value;
    return true;
}

static bool set_text(const char **out, struct trp_option_text *why, const char *value)
{
    if (*value == '\0') {
        trp_option_text_add(why, "must not be empty");
        return false;
    }
    *out = value;
    return true;
}

static bool set_key_path(const char **out, struct trp_option_text *why, const char *value)
{
    uint8_t secret[32];
    bool is_secret = trp_option_hex32(secret, value);

    explicit_bzero(secret, sizeof(secret));
    if (is_secret) {
        trp_option_text_add(why, "takes the name of a file, not the key itself: other users can "
                                 "read command lines; consider this key compromised");
        return false;
    }
    return set_text(out, why, value);
}

static bool
set_address(struct trp_option_address *out, struct trp_option_text *why, const char *value)
{
    const char *problem = NULL;

    if (trp_listen_parse(&out->listen, &problem, troupe_span_cstr(value)) != TROUPE_OK) {
        trp_option_text_add(why, "%s; expected ADDR:PORT such as 127.0.0.1:7447 or [::1]:7447",
                            problem);
        return false;
    }
    out->is_set = true;
    return true;
}

static bool
add_relay(struct trp_option_relays *relays, struct trp_option_text *why, const char *value)
{
    struct trp_url url;
    const char *problem = NULL;

    if (trp_url_parse(&url, &problem, troupe_span_cstr(value)) != TROUPE_OK) {
        trp_option_text_add(why, "%s; expected ws://HOST[:PORT][/PATH]", problem);
        return false;
    }
    if (url.scheme != TRP_URL_WS) {
        trp_option_text_add(why, "%s",
                            url.scheme == TRP_URL_WSS ? not_available : "a relay is ws://");
        return false;
    }
    if (strlen(value) >= TRP_OPTION_URL_MAX) {
        trp_option_text_add(why, "longer than %u bytes", TRP_OPTION_URL_MAX - 1);
        return false;
    }
    for (uint32_t i = 0; i < relays->count; i++) {
        if (strcmp(relays->entries[i].url, value) == 0) {
            trp_option_text_add(why, "given twice");
            return false;
        }
    }
    if (relays->count == TRP_OPTION_RELAYS_MAX) {
        trp_option_text_add(why, "at most %u relays", TRP_OPTION_RELAYS_MAX);
        return false;
    }
    memcpy(relays->entries[relays->count].url, value, strlen(value) + 1);
    relays->count++;
    return true;
}

static bool
set_backend(struct trp_option_backend *out, struct trp_option_text *why, const char *value)
{
    static const struct {
        const char *prefix;
        enum trp_backend_kind kind;
        bool takes_argument;
        bool is_later;
    } kinds[] = {
        {"builtin:demo", TRP_BACKEND_BUILTIN_DEMO, false, false},
        {"builtin:conformance", TRP_BACKEND_BUILTIN_CONFORMANCE, false, true},
        {"stdio:", TRP_BACKEND_STDIO, true, false},
        {"pool:", TRP_BACKEND_POOL, true, true},
        {"uds:", TRP_BACKEND_UDS, true, true},
    };

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        size_t len = strlen(kinds[i].prefix);
        const char *argument = value + len;
        if (strncmp(value, kinds[i].prefix, len) != 0 ||
            (!kinds[i].takes_argument && *argument != '\0')) {
            continue;
        }
        if (kinds[i].is_later) {
            trp_option_text_add(why, "%s", not_available);
            return false;
        }
        if (kinds[i].takes_argument && argument[strspn(argument, " \t\r\n")] == '\0') {
            trp_option_text_add(why, "needs a command after \"%s\"", kinds[i].prefix);
            return false;
        }
        out->kind = kinds[i].kind;
        out->argument = argument;
        return true;
    }
    trp_option_text_add(why, "expected builtin:demo or stdio:COMMAND");
    return false;
}

static int hex_digit(char c)
{
    if (is_digit(c)) {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool trp_option_hex32(uint8_t out[32], const char *text)
{
    if (strlen(text) != 64) {
        return false;
    }
    for (size_t i = 0; i < 32; i++) {
        int high = hex_digit(text[2 * i]);
        int low = hex_digit(text[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static bool
set_pubkey(struct trp_option_pubkey *out, struct trp_option_text *why, const char *value)
{
    struct trp_option_pubkey key = {.is_set = true};

    if (!trp_option_hex32(key.bytes, value)) {
        trp_option_text_add(why, "expected a public key of 64 hex digits");
        return false;
    }
    *out = key;
    return true;
}

bool trp_option_value_set(struct trp_options *options,
                          struct trp_option_text *why,
                          const struct trp_option_row *row,
                          const char *value)
{
    void *member = (char *)options + row->offset;

    TROUPE_ASSERT(!row->is_later);
    switch (row->kind) {
    case TRP_OPTION_COUNT:
        return set_count(member, why, row, value);
    case TRP_OPTION_SECONDS:
        return set_seconds(member, why, row, value);
    case TRP_OPTION_CHOICE:
        return set_choice(member, why, row, value);
    case TRP_OPTION_PIN:
        return set_pin(member, why, value);
    case TRP_OPTION_TEXT:
        return set_text(member, why, value);
    case TRP_OPTION_SECRET:
        return set_key_path(member, why, value);
    case TRP_OPTION_ADDRESS:
        return set_address(member, why, value);
    case TRP_OPTION_RELAY:
        return add_relay(member, why, value);
    case TRP_OPTION_BACKEND:
        return set_backend(member, why, value);
    case TRP_OPTION_PUBKEY:
        return set_pubkey(member, why, value);
    case TRP_OPTION_FLAG:
        *(bool *)member = true;
        return true;
    }
    return false;
}
