#ifndef TESTS_UNIT_BENCH_FAKE_PEER_H
#define TESTS_UNIT_BENCH_FAKE_PEER_H

/*
 * A relay and the MCP server behind it in one: takes subscriptions, says OK, answers initialize and
 * the tool echo with signed events, and misbehaves on demand. Runs in a pool of its own inside the
 * test.
 */

#include <stdbool.h>
#include <stdint.h>

#include <troupe/pool.h>

#include "io/codec/nostr_crypto.h"
#include "io/net/listener.h"

enum fake_fault {
    FAKE_NONE,
    FAKE_SILENT,       /* the call is taken and never answered */
    FAKE_UNCONFIRMED,  /* neither OK nor answer */
    FAKE_TEXT,         /* another text */
    FAKE_ID,           /* another JSON-RPC id */
    FAKE_SIGNATURE,    /* a signature that is none */
    FAKE_AUTHOR,       /* signed by somebody else */
    FAKE_TWICE,        /* the answer comes twice (two events) */
    FAKE_BUSY,         /* -32000 */
    FAKE_BUSY_SETUP,   /* the first initialize of each client gets -32000 */
    FAKE_ERROR,        /* -32603 */
    FAKE_IS_ERROR,     /* a result with isError */
    FAKE_REJECT,       /* the relay says OK false */
    FAKE_CUT,          /* the connection ends */
    FAKE_CLOSED,       /* CLOSED instead of EOSE */
    FAKE_GARBAGE,      /* the relay sends no JSON */
    FAKE_NOTIFICATION, /* a notification of the server before the answer: nothing wrong */
};

struct fake_peer {
    enum fake_fault fault;
    uint32_t every; /* the fault hits one call in so many */
    uint64_t calls; /* tools/call seen */
    uint64_t inits; /* initialize seen */
    uint64_t ready; /* notifications/initialized seen */
    struct troupe_pool *pool;
    struct trp_listener_set listeners;
    struct trp_listener_config listener;
    struct trp_nostr_crypto *crypto;
    struct trp_nostr_key key;
    struct trp_nostr_key stranger;
    struct trp_json_parser *json;
    char url[160];
    char pubkey_hex[65];
};

void fake_peer_start(struct fake_peer *peer, enum fake_fault fault, uint32_t every);
void fake_peer_stop(struct fake_peer *peer);

#endif
