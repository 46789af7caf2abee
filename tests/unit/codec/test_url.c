#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "io/codec/url.h"

static const struct {
    const char *text;
    enum trp_url_scheme scheme;
    const char *host;
    unsigned port;
    const char *host_header;
    const char *target;
} good[] = {
    {"ws://relay.example", TRP_URL_WS, "relay.example", 80, "relay.example", "/"},
    {"wss://relay.example/", TRP_URL_WSS, "relay.example", 443, "relay.example", "/"},
    {"WSS://Relay.Example:443/a/b", TRP_URL_WSS, "Relay.Example", 443, "Relay.Example", "/a/b"},
    {"ws://127.0.0.1:7777", TRP_URL_WS, "127.0.0.1", 7777, "127.0.0.1:7777", "/"},
    {"http://localhost:3000/mcp?x=1&y=%20", TRP_URL_HTTP, "localhost", 3000, "localhost:3000",
     "/mcp?x=1&y=%20"},
    {"https://h?q", TRP_URL_HTTPS, "h", 443, "h", "/?q"},
    {"https://h:80?", TRP_URL_HTTPS, "h", 80, "h:80", "/?"},
    {"ws://[::1]:65535/p", TRP_URL_WS, "::1", 65535, "[::1]:65535", "/p"},
    {"wss://[2001:db8::5]", TRP_URL_WSS, "2001:db8::5", 443, "[2001:db8::5]", "/"},
    {"ws://a-b_c.4.example:1/@:?/?", TRP_URL_WS, "a-b_c.4.example", 1, "a-b_c.4.example:1",
     "/@:?/?"},
    {"ws://4.example", TRP_URL_WS, "4.example", 80, "4.example", "/"},
    {"ws://example.4a", TRP_URL_WS, "example.4a", 80, "example.4a", "/"},
    {"ws://example.com.", TRP_URL_WS, "example.com.", 80, "example.com.", "/"},
};

static void parses_good_urls(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct trp_url url;
        char room[128];
        struct trp_text text = trp_text_init(room, sizeof(room));
        const char *error = NULL;
        assert_int_equal(trp_url_parse(&url, &error, troupe_span_cstr(good[i].text)), TROUPE_OK);
        assert_null(error);
        assert_int_equal(url.scheme, good[i].scheme);
        assert_int_equal(url.is_tls, url.scheme == TRP_URL_WSS || url.scheme == TRP_URL_HTTPS);
        assert_int_equal(url.is_websocket, url.scheme == TRP_URL_WS || url.scheme == TRP_URL_WSS);
        assert_true(troupe_span_is(url.host, good[i].host));
        assert_int_equal(url.is_ipv6, strchr(good[i].host, ':') != NULL);
        assert_int_equal(url.port, good[i].port);
        trp_url_host_write(&text, &url);
        assert_true(troupe_span_is(troupe_span(room, text.len), good[i].host_header));
        text = trp_text_init(room, sizeof(room));
        trp_url_target_write(&text, &url);
        assert_true(troupe_span_is(troupe_span(room, text.len), good[i].target));
    }
}

static const struct {
    const char *text;
    const char *error;
} bad_urls[] = {
    {"", "URL does not begin with ws://, wss://, http:// or https://"},
    {"relay.example", "URL does not begin with ws://, wss://, http:// or https://"},
    {"ftp://h", "URL does not begin with ws://, wss://, http:// or https://"},
    {"ws:/h", "URL does not begin with ws://, wss://, http:// or https://"},
    {"ws", "URL does not begin with ws://, wss://, http:// or https://"},
    {"ws://", "host is empty"},
    {"ws:///path", "host is empty"},
    {"ws://:80", "host is empty"},
    {"ws://?q", "host is empty"},
    {"ws://user@h/", "URL has a user name or password"},
    {"ws://user:secret@h", "URL has a user name or password"},
    {"ws://@h", "URL has a user name or password"},
    {"ws://h/#top", "URL has a fragment (#)"},
    {"ws://h#", "URL has a fragment (#)"},
    {"ws://h/\r\nX: y", "URL has a control byte"},
    {"ws://h/\x7f", "URL has a control byte"},
    {"ws://h/a b", "URL has a space"},
    {" ws://h", "URL has a space"},
    {"ws://h/\xc3\xa9", "URL has a byte outside ASCII; encode it with %"},
    {"ws://h:", "port is empty"},
    {"ws://h:/", "port is empty"},
    {"ws://h:0", "port is 0"},
    {"ws://h:65536", "port is over 65535"},
    {"ws://h:99999999999999999999", "port is over 65535"},
    {"ws://h:8o", "port is not a number"},
    {"ws://h:-1", "port is not a number"},
    {"ws://h:+1", "port is not a number"},
    {"ws://a:1:2", "more than one colon; IPv6 addresses need brackets, as in [::1]"},
    {"ws://::1", "more than one colon; IPv6 addresses need brackets, as in [::1]"},
    {"ws://[::1", "IPv6 address has no closing bracket"},
    {"ws://[::1]x", "only a port may follow the closing bracket"},
    {"ws://[::1]:", "port is empty"},
    {"ws://[]", "not an IPv6 address between the brackets"},
    {"ws://[1.2.3.4]", "not an IPv6 address between the brackets"},
    {"ws://[fe80::1%25eth0]", "not an IPv6 address between the brackets"},
    {"ws://[1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa]",
     "not an IPv6 address between the brackets"},
    {"ws://1.2.3.256", "host is not an IPv4 address, though it ends in a number"},
    {"ws://1.2.3", "host is not an IPv4 address, though it ends in a number"},
    {"ws://example.4", "host is not an IPv4 address, though it ends in a number"},
    {"ws://a..b", "host name has an empty part"},
    {"ws://.a", "host name has an empty part"},
    {"ws://.", "host name has an empty part"},
    {"ws://a%20b", "host name has a byte that is not allowed in names"},
    {"ws://a\\b", "host name has a byte that is not allowed in names"},
};

static void refuses_bad_urls(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bad_urls) / sizeof(bad_urls[0]); i++) {
        struct trp_url url;
        const char *error = NULL;
        memset(&url, 0x5a, sizeof(url));
        assert_int_equal(trp_url_parse(&url, &error, troupe_span_cstr(bad_urls[i].text)),
                         TROUPE_EINVAL);
        assert_non_null(error);
        assert_string_equal(error, bad_urls[i].error);
        for (size_t at = 0; at < sizeof(url); at++) {
            assert_int_equal(((unsigned char *)&url)[at], 0x5a);
        }
    }
}

static void refuses_what_is_too_long(void **state)
{
    char text[TRP_URL_MAX + 2];
    struct trp_url url;
    const char *error = NULL;
    (void)state;
    memset(text, 'a', sizeof(text));
    memcpy(text, "ws://h/", 7);
    assert_int_equal(trp_url_parse(&url, &error, troupe_span(text, TRP_URL_MAX)), TROUPE_OK);
    assert_int_equal(trp_url_parse(&url, &error, troupe_span(text, TRP_URL_MAX + 1)),
                     TROUPE_EINVAL);
    assert_string_equal(error, "URL is longer than 2048 bytes");
    text[6] = 'a';
    assert_int_equal(trp_url_parse(&url, &error, troupe_span(text, 5 + 253)), TROUPE_OK);
    assert_int_equal(trp_url_parse(&url, &error, troupe_span(text, 5 + 254)), TROUPE_EINVAL);
    assert_string_equal(error, "host name is longer than 253 bytes");
    assert_int_equal(trp_url_parse(&url, &error, troupe_span("ws://h/\0", 8)), TROUPE_EINVAL);
    assert_string_equal(error, "URL has a control byte");
}

static void parses_listen_addresses(void **state)
{
    static const struct {
        const char *text;
        const char *host;
        unsigned port;
        unsigned char first;
        unsigned char last;
    } cases[] = {
        {"127.0.0.1:8080", "127.0.0.1", 8080, 127, 1},
        {"0.0.0.0:0", "0.0.0.0", 0, 0, 0},
        {"localhost:0", "127.0.0.1", 0, 127, 1},
        {"LocalHost:1", "127.0.0.1", 1, 127, 1},
        {"[::1]:65535", "::1", 65535, 0, 1},
        {"[::]:0", "::", 0, 0, 0},
        {"[2001:0DB8:0::5]:7", "2001:db8::5", 7, 0x20, 5},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct trp_listen listen;
        const char *error = NULL;
        assert_int_equal(trp_listen_parse(&listen, &error, troupe_span_cstr(cases[i].text)),
                         TROUPE_OK);
        assert_string_equal(listen.host, cases[i].host);
        assert_int_equal(listen.port, cases[i].port);
        assert_int_equal(listen.is_ipv6, cases[i].text[0] == '[');
        assert_int_equal(listen.bytes[0], cases[i].first);
        assert_int_equal(listen.bytes[listen.is_ipv6 ? 15 : 3], cases[i].last);
    }
}

static void refuses_bad_listen_addresses(void **state)
{
    static const struct {
        const char *text;
        const char *error;
    } cases[] = {
        {"", "address has no port; write ADDR:PORT"},
        {"8080", "address has no port; write ADDR:PORT"},
        {"127.0.0.1", "address has no port; write ADDR:PORT"},
        {"[::1]", "address has no port; write ADDR:PORT"},
        {":8080", "address is empty; write 0.0.0.0:PORT to listen everywhere"},
        {"127.0.0.1:", "port is empty"},
        {"127.0.0.1:65536", "port is over 65535"},
        {"127.0.0.1:80 ", "port is not a number"},
        {"::1:80", "more than one colon; IPv6 addresses need brackets, as in [::1]"},
        {"[::1:80", "IPv6 address has no closing bracket"},
        {"[::1]80", "only a port may follow the closing bracket"},
        {"[]:80", "not an IPv6 address between the brackets"},
        {"[127.0.0.1]:80", "not an IPv6 address between the brackets"},
        {"127.1:80", "address is neither IPv4, [IPv6] nor localhost"},
        {"example.com:80", "address is neither IPv4, [IPv6] nor localhost"},
        {"*:80", "address is neither IPv4, [IPv6] nor localhost"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct trp_listen listen;
        const char *error = NULL;
        assert_int_equal(trp_listen_parse(&listen, &error, troupe_span_cstr(cases[i].text)),
                         TROUPE_EINVAL);
        assert_string_equal(error, cases[i].error);
    }
}

/* Every string of up to four bytes from the ones that mean something, behind each beginning. */
static void survives_short_strings(void **state)
{
    static const char alphabet[] = {'[', ']', ':', '/', '?', '.', '0', 'a', '@', '\0', '%'};
    const size_t count = sizeof(alphabet);
    (void)state;
    for (size_t code = 0; code < count * count * count * count; code++) {
        for (size_t len = 0; len <= 4; len++) {
            char *text = malloc(5 + len);
            size_t rest = code;
            struct trp_url url;
            struct trp_listen listen;
            const char *error = NULL;
            assert_non_null(text);
            memcpy(text, "ws://", 5);
            for (size_t i = 0; i < len; i++) {
                text[5 + i] = alphabet[rest % count];
                rest /= count;
            }
            if (trp_url_parse(&url, &error, troupe_span(text, 5 + len)) != TROUPE_OK) {
                assert_non_null(error);
            }
            error = NULL;
            if (trp_listen_parse(&listen, &error, troupe_span(text + 5, len)) != TROUPE_OK) {
                assert_non_null(error);
            }
            free(text);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses_good_urls),
        cmocka_unit_test(refuses_bad_urls),
        cmocka_unit_test(refuses_what_is_too_long),
        cmocka_unit_test(parses_listen_addresses),
        cmocka_unit_test(refuses_bad_listen_addresses),
        cmocka_unit_test(survives_short_strings),
    };
    return cmocka_run_group_tests_name("url", tests, NULL, NULL);
}
