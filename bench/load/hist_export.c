#include "bench/load/hist_export.h"

#include <string.h>

#include <openssl/evp.h>
#include <zlib.h>

#define COOKIE_PLAIN      0x1c849313u /* version 2, counts as LEB128 */
#define COOKIE_COMPRESSED 0x1c849314u
#define HEADER_LEN        40u
#define NUMBER_MAX        9u /* bytes of one LEB128 number here */

static uint8_t *put_u32(uint8_t *at, uint32_t value)
{
    for (int shift = 24; shift >= 0; shift -= 8) {
        *at++ = (uint8_t)(value >> shift);
    }
    return at;
}

static uint8_t *put_u64(uint8_t *at, uint64_t value)
{
    return put_u32(put_u32(at, (uint32_t)(value >> 32)), (uint32_t)value);
}

/* 7 bits a byte, least significant first; the 9th byte holds 8 bits. */
static uint8_t *put_number(uint8_t *at, int64_t value)
{
    uint64_t left = ((uint64_t)value << 1) ^ (uint64_t)(value < 0 ? -1 : 0);
    for (uint32_t i = 0; i < NUMBER_MAX - 1; i++) {
        if (left < 0x80) {
            *at++ = (uint8_t)left;
            return at;
        }
        *at++ = (uint8_t)(left | 0x80);
        left >>= 7;
    }
    *at++ = (uint8_t)left;
    return at;
}

static uint8_t *put_counts(uint8_t *at, const struct trp_hist *hist)
{
    uint32_t used = trp_hist_used(hist);
    int64_t empty = 0;

    for (uint32_t i = 0; i < used; i++) {
        if (hist->counts[i] == 0) {
            empty++;
            continue;
        }
        if (empty > 0) {
            at = empty == 1 ? put_number(at, 0) : put_number(at, -empty);
            empty = 0;
        }
        at = put_number(at, (int64_t)hist->counts[i]);
    }
    return at;
}

static size_t encode_plain(uint8_t *out, const struct trp_hist *hist)
{
    uint8_t *end = put_counts(out + HEADER_LEN, hist);
    uint8_t *at = put_u32(out, COOKIE_PLAIN);
    at = put_u32(at, (uint32_t)(end - out - HEADER_LEN));
    at = put_u32(at, 0);
    at = put_u32(at, hist->digits);
    at = put_u64(at, hist->lowest);
    at = put_u64(at, hist->highest);
    put_u64(at, 0x3ff0000000000000u); /* 1.0 */
    return (size_t)(end - out);
}

static char *encode_base64(const uint8_t *bytes, size_t len)
{
    char *text = malloc(4 * ((len + 2) / 3) + 1);
    if (text != NULL) {
        EVP_EncodeBlock((unsigned char *)text, bytes, (int)len);
    }
    return text;
}

char *trp_hist_export_base64(const struct trp_hist *hist)
{
    size_t plain_cap = HEADER_LEN + (size_t)(trp_hist_used(hist) + 1) * NUMBER_MAX;
    uLong packed_cap = compressBound((uLong)plain_cap);
    uint8_t *plain = malloc(plain_cap);
    uint8_t *packed = malloc(8 + packed_cap);
    char *text = NULL;

    if (plain != NULL && packed != NULL) {
        size_t plain_len = encode_plain(plain, hist);
        uLongf packed_len = packed_cap;
        if (compress(packed + 8, &packed_len, plain, (uLong)plain_len) == Z_OK) {
            put_u32(put_u32(packed, COOKIE_COMPRESSED), (uint32_t)packed_len);
            text = encode_base64(packed, 8 + packed_len);
        }
    }
    free(plain);
    free(packed);
    return text;
}
