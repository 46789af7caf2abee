#include "io/net/ws_parts.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <troupe/assert.h>

#define RESERVE_LEN 1024u

static _Thread_local uint8_t reserve[RESERVE_LEN];
static _Thread_local uint32_t reserve_left;

bool trp_ws_random(uint8_t *out, uint32_t len)
{
    TROUPE_ASSERT(len <= RESERVE_LEN);
    if (reserve_left < len) {
        if (RAND_bytes(reserve, (int)RESERVE_LEN) != 1) {
            return false;
        }
        reserve_left = RESERVE_LEN;
    }
    reserve_left -= len;
    memcpy(out, reserve + reserve_left, len);
    OPENSSL_cleanse(reserve + reserve_left, len); /* nothing is handed out twice */
    return true;
}
