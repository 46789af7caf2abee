/*
 * Fuzz entry of the WebSocket decoder. The first byte chooses role and limits, the second how the
 * rest is cut into pieces. Checked besides what the sanitizers see: everything is consumed, sizes
 * stay below the limit, text is UTF-8, and one uncut run gives as many events as the cut one.
 */

#include <stdlib.h>

#include "io/codec/ws.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MESSAGE_MAX 300
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static void *grow(void *arg, size_t used, size_t size)
{
    uint8_t **held = arg;
    uint8_t *fresh = malloc(size);
    CHECK(fresh != NULL && size > 0 && size <= MESSAGE_MAX && used < size);
    if (used > 0) {
        memcpy(fresh, *held, used);
    }
    free(*held);
    *held = fresh;
    return fresh;
}

struct tally {
    unsigned counts[6];
    uint64_t bytes;
    unsigned error_code;
};

static void check_event(struct tally *tally, const struct trp_ws_event *event)
{
    CHECK(event->payload.len <= MESSAGE_MAX);
    tally->counts[event->kind]++;
    for (size_t i = 0; i < event->payload.len; i++) {
        tally->bytes = tally->bytes * 31 + (uint8_t)event->payload.data[i];
    }
    if (event->kind == TRP_WS_MESSAGE && event->is_text) {
        CHECK(trp_utf8_valid(event->payload));
    }
    if (event->kind == TRP_WS_ERROR) {
        CHECK(trp_ws_code_is_valid(event->code) && event->error != NULL);
        tally->error_code = event->code;
    }
    if (event->kind == TRP_WS_CLOSE) {
        CHECK(event->code == TRP_WS_CODE_NONE || trp_ws_code_is_valid(event->code));
    }
}

static struct tally run(uint8_t choice, size_t step, const uint8_t *data, size_t size)
{
    uint8_t *held = NULL;
    struct trp_ws_storage storage = {grow, &held};
    struct trp_ws_limits limits = {MESSAGE_MAX, 1U + (choice >> 4)};
    struct trp_ws_decoder decoder;
    struct trp_ws_event event = {0};
    struct tally tally = {0};
    trp_ws_decoder_init(&decoder, choice & 1 ? TRP_WS_CLIENT : TRP_WS_SERVER, limits, storage);
    for (size_t at = 0; at < size && event.kind != TRP_WS_ERROR; at += step) {
        size_t len = size - at < step ? size - at : step;
        uint8_t *piece = malloc(len);
        size_t used = 0;
        CHECK(piece != NULL);
        memcpy(piece, data + at, len);
        do {
            size_t consumed = 0;
            trp_ws_decode(&decoder, &event, &consumed, piece + used, len - used);
            used += consumed;
            CHECK(used <= len);
            if (event.kind != TRP_WS_NEED_MORE) {
                check_event(&tally, &event);
            }
        } while (event.kind != TRP_WS_NEED_MORE && event.kind != TRP_WS_ERROR);
        CHECK(used == len);
        free(piece);
    }
    free(held);
    return tally;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tally whole;
    struct tally cut;
    if (size < 3) {
        return 0;
    }
    whole = run(data[0], size, data + 2, size - 2);
    cut = run(data[0], 1U + data[1] % 40, data + 2, size - 2);
    CHECK(memcmp(whole.counts, cut.counts, sizeof(whole.counts)) == 0);
    CHECK(whole.bytes == cut.bytes && whole.error_code == cut.error_code);
    return 0;
}
