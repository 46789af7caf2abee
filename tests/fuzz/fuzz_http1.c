/*
 * Fuzz entry of the HTTP/1 reader, the handshake and the URL parsers. The first byte chooses the
 * kind of message, the second where the input is cut. A head read whole and read in two pieces
 * must come out the same.
 */

#include <stdlib.h>

#include "io/codec/http1.h"
#include "io/codec/url.h"
#include "io/codec/ws_handshake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static void count_bytes(void *arg, struct troupe_span piece)
{
    size_t *total = arg;
    *total += piece.len;
}

static void use_head(const struct trp_http1_head *head)
{
    static const uint8_t key[TRP_WS_KEY_LEN] = {1};
    char room[512];
    struct trp_text text = trp_text_init(room, sizeof(room));
    struct trp_ws_refusal refusal;
    (void)trp_http1_accepts(head, "application/nostr+json");
    if (head->status == 0) {
        (void)trp_ws_handshake_answer(&text, &refusal, head);
        CHECK(!text.overflow);
    } else {
        (void)trp_ws_handshake_check(head, key);
    }
}

static void read_message(enum trp_http1_kind kind, size_t cut, struct troupe_span input)
{
    struct trp_http1 whole;
    struct trp_http1 pieces;
    struct trp_http1_head head;
    struct trp_http1_head again;
    size_t used = 0;
    size_t used_again = 0;
    size_t total = 0;
    enum trp_http1_result result;
    enum trp_http1_result result_again;
    trp_http1_init(&whole, kind);
    trp_http1_init(&pieces, kind);
    result = trp_http1_head(&whole, &head, &used, input);
    result_again = trp_http1_head(&pieces, &again, &used_again, troupe_span(input.data, cut));
    if (result_again == TRP_HTTP1_NEED_MORE) {
        result_again = trp_http1_head(&pieces, &again, &used_again, input);
    }
    CHECK(result == result_again && whole.status == pieces.status && used == used_again);
    if (result != TRP_HTTP1_DONE) {
        return;
    }
    CHECK(head.header_count == again.header_count && used <= input.len);
    use_head(&head);
    input = troupe_span(input.data + used, input.len - used);
    result = trp_http1_body(&whole, &used, input, count_bytes, &total);
    CHECK(result == TRP_HTTP1_ERROR || (used <= input.len && total <= used));
    (void)trp_http1_end(&whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct trp_url url;
    struct trp_listen listen;
    const char *error = NULL;
    struct troupe_span input;
    if (size < 2) {
        return 0;
    }
    input = troupe_span(data + 2, size - 2);
    CHECK(trp_url_parse(&url, &error, input) == TROUPE_OK || error != NULL);
    error = NULL;
    CHECK(trp_listen_parse(&listen, &error, input) == TROUPE_OK || error != NULL);
    read_message(data[0] % 2 == 0 ? TRP_HTTP1_REQUEST : TRP_HTTP1_RESPONSE,
                 data[1] % (input.len + 1), input);
    return 0;
}
