#include "io/codec/url.h"

#include <stdio.h>

#include <arpa/inet.h>

#include <troupe/assert.h>

#define HOST_MAX 253 /* bytes of a DNS name */

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

static bool is_alnum(char byte)
{
    return is_digit(byte) || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

/* inet_pton wants a cstr. False when it is not an address of the family. */
static bool parse_address(uint8_t bytes[16], int family, struct troupe_span text)
{
    char cstr[INET6_ADDRSTRLEN];
    if (text.len == 0 || text.len >= sizeof(cstr) || memchr(text.data, 0, text.len) != NULL) {
        return false;
    }
    memcpy(cstr, text.data, text.len);
    cstr[text.len] = '\0';
    return inet_pton(family, cstr, bytes) == 1;
}

/* NULL, or what is wrong. */
static const char *parse_port(uint16_t *out, struct troupe_span text)
{
    unsigned port = 0;
    if (text.len == 0) {
        return "port is empty";
    }
    for (size_t i = 0; i < text.len; i++) {
        if (!is_digit(text.data[i])) {
            return "port is not a number";
        }
        port = port * 10 + (unsigned)(text.data[i] - '0');
        if (port > UINT16_MAX) {
            return "port is over 65535";
        }
    }
    *out = (uint16_t)port;
    return NULL;
}

/*
 * Cuts host and port apart. *port is what stands behind the colon, with data NULL when there is no
 * colon. NULL, or what is wrong.
 */
static const char *split_host(struct troupe_span *host,
                              struct troupe_span *port,
                              bool *is_ipv6,
                              struct troupe_span text)
{
    const char *end = text.data + text.len;
    const char *mark;
    *is_ipv6 = text.len > 0 && text.data[0] == '[';
    *port = troupe_span(NULL, 0);
    if (*is_ipv6) {
        mark = memchr(text.data, ']', text.len);
        if (mark == NULL) {
            return "IPv6 address has no closing bracket";
        }
        *host = troupe_span(text.data + 1, (size_t)(mark - text.data) - 1);
        mark++;
        if (mark < end && *mark != ':') {
            return "only a port may follow the closing bracket";
        }
    } else {
        mark = text.len == 0 ? end : memchr(text.data, ':', text.len);
        mark = mark == NULL ? end : mark;
        *host = troupe_span(text.data, (size_t)(mark - text.data));
        if (mark < end && memchr(mark + 1, ':', (size_t)(end - mark) - 1) != NULL) {
            return "more than one colon; IPv6 addresses need brackets, as in [::1]";
        }
    }
    if (mark < end) {
        *port = troupe_span(mark + 1, (size_t)(end - mark) - 1);
    }
    return NULL;
}

/* A name of letters, digits, hyphens, underscores and single dots, or an IPv4 address. */
static const char *check_name(struct troupe_span host)
{
    uint8_t bytes[16];
    size_t label = 0;
    bool is_numeric = false;
    if (host.len == 0) {
        return "host is empty";
    }
    if (host.len > HOST_MAX) {
        return "host name is longer than 253 bytes";
    }
    for (size_t i = 0; i < host.len; i++) {
        char byte = host.data[i];
        if (byte == '.') {
            if (i == label) {
                return "host name has an empty part";
            }
            label = i + 1;
        } else if (!is_alnum(byte) && byte != '-' && byte != '_') {
            return "host name has a byte that is not allowed in names";
        } else {
            /* Decides by the last part, as resolvers do: 1.2.3.4 is an address, 4.example not. */
            is_numeric = is_digit(byte) && (is_numeric || i == label);
        }
    }
    if (is_numeric && !parse_address(bytes, AF_INET, host)) {
        return "host is not an IPv4 address, though it ends in a number";
    }
    return NULL;
}

static const char *check_host(struct troupe_span host, bool is_ipv6)
{
    uint8_t bytes[16];
    if (!is_ipv6) {
        return check_name(host);
    }
    return parse_address(bytes, AF_INET6, host) ? NULL : "not an IPv6 address between the brackets";
}

static const struct {
    const char *prefix;
    uint16_t port;
    enum trp_url_scheme scheme;
} schemes[] = {
    {"ws://", 80, TRP_URL_WS},
    {"wss://", 443, TRP_URL_WSS},
    {"http://", 80, TRP_URL_HTTP},
    {"https://", 443, TRP_URL_HTTPS},
};

static uint16_t default_port(enum trp_url_scheme scheme)
{
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        if (schemes[i].scheme == scheme) {
            return schemes[i].port;
        }
    }
    return 0;
}

/* Takes the scheme off the front of *rest; false when there is none that we know. */
static bool take_scheme(struct trp_url *url, struct troupe_span *rest)
{
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        const char *prefix = schemes[i].prefix;
        size_t len = strlen(prefix);
        if (rest->len >= len && strncasecmp(rest->data, prefix, len) == 0) {
            url->scheme = schemes[i].scheme;
            url->is_tls = url->scheme == TRP_URL_WSS || url->scheme == TRP_URL_HTTPS;
            url->is_websocket = url->scheme == TRP_URL_WS || url->scheme == TRP_URL_WSS;
            rest->data += len;
            rest->len -= len;
            return true;
        }
    }
    return false;
}

static const char *check_bytes(struct troupe_span text)
{
    if (text.len > TRP_URL_MAX) {
        return "URL is longer than 2048 bytes";
    }
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = (uint8_t)text.data[i];
        if (byte < 0x20 || byte == 0x7f) {
            return "URL has a control byte";
        }
        if (byte == ' ') {
            return "URL has a space";
        }
        if (byte > 0x7f) {
            return "URL has a byte outside ASCII; encode it with %";
        }
        if (byte == '#') {
            return "URL has a fragment (#)";
        }
    }
    return NULL;
}

/* Path and query: what stands behind the authority, beginning with '/' or '?' or empty. */
static void split_target(struct trp_url *url, struct troupe_span target)
{
    const char *mark = target.len == 0 ? NULL : memchr(target.data, '?', target.len);
    size_t path_len = mark == NULL ? target.len : (size_t)(mark - target.data);
    url->path = path_len == 0 ? troupe_span_cstr("/") : troupe_span(target.data, path_len);
    url->query = troupe_span(target.data + path_len, target.len - path_len);
}

static const char *parse_url(struct trp_url *url, struct troupe_span text)
{
    struct troupe_span rest = text;
    struct troupe_span authority;
    struct troupe_span port;
    size_t len = 0;
    const char *error = check_bytes(text);
    if (error != NULL) {
        return error;
    }
    if (!take_scheme(url, &rest)) {
        return "URL does not begin with ws://, wss://, http:// or https://";
    }
    while (len < rest.len && rest.data[len] != '/' && rest.data[len] != '?') {
        len++;
    }
    authority = troupe_span(rest.data, len);
    if (len > 0 && memchr(authority.data, '@', len) != NULL) {
        return "URL has a user name or password";
    }
    error = split_host(&url->host, &port, &url->is_ipv6, authority);
    if (error == NULL) {
        error = check_host(url->host, url->is_ipv6);
    }
    url->port = default_port(url->scheme);
    if (error == NULL && port.data != NULL) {
        error = parse_port(&url->port, port);
        if (error == NULL && url->port == 0) {
            error = "port is 0";
        }
    }
    split_target(url, troupe_span(rest.data + len, rest.len - len));
    return error;
}

enum troupe_status trp_url_parse(struct trp_url *out, const char **error, struct troupe_span text)
{
    struct trp_url url;
    const char *problem;
    memset(&url, 0, sizeof(url));
    problem = parse_url(&url, text);
    if (problem != NULL) {
        *error = problem;
        return TROUPE_EINVAL;
    }
    *out = url;
    return TROUPE_OK;
}

void trp_url_host_write(struct trp_text *out, const struct trp_url *url)
{
    trp_text_cstr(out, url->is_ipv6 ? "[" : "");
    trp_text_span(out, url->host);
    trp_text_cstr(out, url->is_ipv6 ? "]" : "");
    if (url->port != default_port(url->scheme)) {
        trp_text_cstr(out, ":");
        trp_text_u64(out, url->port);
    }
}

void trp_url_target_write(struct trp_text *out, const struct trp_url *url)
{
    trp_text_span(out, url->path);
    trp_text_span(out, url->query);
}

static const char *parse_listen(struct trp_listen *listen, struct troupe_span text)
{
    struct troupe_span host;
    struct troupe_span port;
    const char *error = split_host(&host, &port, &listen->is_ipv6, text);
    int family = listen->is_ipv6 ? AF_INET6 : AF_INET;
    if (error != NULL) {
        return error;
    }
    if (port.data == NULL) {
        return "address has no port; write ADDR:PORT";
    }
    if (!listen->is_ipv6 && host.len == 0) {
        return "address is empty; write 0.0.0.0:PORT to listen everywhere";
    }
    if (!listen->is_ipv6 && host.len == 9 && strncasecmp(host.data, "localhost", 9) == 0) {
        host = troupe_span_cstr("127.0.0.1");
    }
    if (!parse_address(listen->bytes, family, host)) {
        return listen->is_ipv6 ? "not an IPv6 address between the brackets"
                               : "address is neither IPv4, [IPv6] nor localhost";
    }
    if (inet_ntop(family, listen->bytes, listen->host, sizeof(listen->host)) == NULL) {
        return "address cannot be written as text";
    }
    return parse_port(&listen->port, port);
}

enum troupe_status
trp_listen_parse(struct trp_listen *out, const char **error, struct troupe_span text)
{
    struct trp_listen listen;
    const char *problem;
    memset(&listen, 0, sizeof(listen));
    problem = parse_listen(&listen, text);
    if (problem != NULL) {
        *error = problem;
        return TROUPE_EINVAL;
    }
    *out = listen;
    return TROUPE_OK;
}

void trp_listen_write(char *out, size_t cap, const struct trp_listen *listen)
{
    if (listen->is_ipv6) {
        snprintf(out, cap, "[%s]:%u", listen->host, (unsigned)listen->port);
    } else {
        snprintf(out, cap, "%s:%u", listen->host, (unsigned)listen->port);
    }
}
