#ifndef ACTORS_SERVER_READY_H
#define ACTORS_SERVER_READY_H

/** The line on standard output that says where the program can be reached. */

#include <stdint.h>

struct trp_ready {
    const uint8_t *pubkey; /* 32 bytes; NULL = left out */
    const char *const *relays;
    uint32_t relay_count;
    uint32_t workers;
};

/**
 * Writes {"event":"ready","pubkey":HEX,"relays":[...],"workers":N} and a newline with one write(2).
 * Threads: any
 */
void trp_ready_print(const struct trp_ready *ready);

#endif
