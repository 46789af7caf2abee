#ifndef BENCH_LOAD_SLOT_TABLE_H
#define BENCH_LOAD_SLOT_TABLE_H

/*
 * Finds the call that an event id belongs to: a hash table of fixed size with linear probing.
 * Nothing is allocated after init. Threads: one at a time.
 */

#include <stdbool.h>
#include <stdint.h>

#define TRP_SLOT_ID_LEN 32u
#define TRP_SLOT_NONE   UINT32_MAX

struct trp_slot_entry {
    uint8_t id[TRP_SLOT_ID_LEN];
    uint32_t value; /* TRP_SLOT_NONE = empty */
};

struct trp_slot_table {
    struct trp_slot_entry *entries;
    uint32_t mask;
    uint32_t count;
    uint32_t count_max;
};

/* Room for count_max (1 .. 2^28) entries. False when memory is short. */
bool trp_slot_table_init(struct trp_slot_table *table, uint32_t count_max);
void trp_slot_table_fini(struct trp_slot_table *table);

/* False when the id is there already or the table is full. value: below TRP_SLOT_NONE. */
bool trp_slot_table_add(struct trp_slot_table *table,
                        const uint8_t id[TRP_SLOT_ID_LEN],
                        uint32_t value);

/* TRP_SLOT_NONE when it is not there. */
uint32_t trp_slot_table_find(const struct trp_slot_table *table, const uint8_t id[TRP_SLOT_ID_LEN]);

/* False when it was not there. */
bool trp_slot_table_remove(struct trp_slot_table *table, const uint8_t id[TRP_SLOT_ID_LEN]);

#endif
