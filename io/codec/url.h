#ifndef IO_CODEC_URL_H
#define IO_CODEC_URL_H

/*
 * URLs of relays and servers, and addresses to listen on. Only what can be meant is accepted:
 * every refusal comes with a text for the person who wrote the address.
 *
 * Threads: any.
 */

#include <troupe/span.h>
#include <troupe/status.h>

#include "io/codec/text.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TRP_URL_MAX 2048 /* bytes of a URL */

enum trp_url_scheme {
    TRP_URL_WS,
    TRP_URL_WSS,
    TRP_URL_HTTP,
    TRP_URL_HTTPS,
};

/* Spans point into the text that was parsed, or at static text. */
struct trp_url {
    enum trp_url_scheme scheme;
    bool is_tls;              /* wss, https */
    bool is_websocket;        /* ws, wss */
    bool is_ipv6;             /* host is an IPv6 address, given here without its brackets */
    struct troupe_span host;  /* name or address as written; compare names without case */
    uint16_t port;            /* 1..65535; the scheme's default when none was written */
    struct troupe_span path;  /* "/" when none was written */
    struct troupe_span query; /* with its question mark; empty when none was written */
};

/*
 * Parses an absolute ws, wss, http or https URL.
 *
 * TROUPE_EINVAL: *error is a static text saying why; *out is untouched. User names, fragments,
 * control bytes, spaces and anything outside ASCII are refused.
 */
enum troupe_status
trp_url_parse(struct trp_url *out, const char **error, struct troupe_span text) TROUPE_MUST_USE;

/* Writes what belongs into a Host header: brackets around IPv6, the port unless it is the default.
 */
void trp_url_host_write(struct trp_text *out, const struct trp_url *url);

/* Writes the request target: path and query. */
void trp_url_target_write(struct trp_text *out, const struct trp_url *url);

/* An address to listen on. */
struct trp_listen {
    bool is_ipv6;
    uint8_t bytes[16]; /* network order; IPv4 uses the first 4 */
    char host[46];     /* cstr: the address in canonical form, without brackets */
    uint16_t port;     /* 0 = the system chooses */
};

/*
 * Parses ADDR:PORT: 127.0.0.1:8080, [::1]:8080, localhost:0 (which means 127.0.0.1).
 *
 * TROUPE_EINVAL: *error is a static text saying why; *out is untouched.
 */
enum troupe_status trp_listen_parse(struct trp_listen *out,
                                    const char **error,
                                    struct troupe_span text) TROUPE_MUST_USE;

/* The way back: "127.0.0.1:8080", "[::1]:8080". Cut at cap; 54 bytes are always enough. */
void trp_listen_write(char *out, size_t cap, const struct trp_listen *listen);

#ifdef __cplusplus
}
#endif

#endif
