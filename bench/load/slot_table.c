#include "bench/load/slot_table.h"

#include <stdlib.h>
#include <string.h>

#include <troupe/assert.h>

bool trp_slot_table_init(struct trp_slot_table *table, uint32_t count_max)
{
    TROUPE_ASSERT(count_max >= 1 && count_max <= 1u << 28);
    uint32_t capacity = 4;
    while (capacity < 2 * count_max) {
        capacity *= 2;
    }
    table->entries = malloc(capacity * sizeof(*table->entries));
    if (table->entries == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < capacity; i++) {
        table->entries[i].value = TRP_SLOT_NONE;
    }
    table->mask = capacity - 1;
    table->count = 0;
    table->count_max = count_max;
    return true;
}

void trp_slot_table_fini(struct trp_slot_table *table)
{
    free(table->entries);
    memset(table, 0, sizeof(*table));
}

/* Ids are hashes: any of their bytes are as good as a hash of them. */
static uint32_t home_of(const struct trp_slot_table *table, const uint8_t *id)
{
    uint32_t word;
    memcpy(&word, id, sizeof(word));
    return word & table->mask;
}

/* Where the id is, or the empty place where it would go. At least half of all places are empty. */
static uint32_t place_of(const struct trp_slot_table *table, const uint8_t *id)
{
    uint32_t at = home_of(table, id);
    while (table->entries[at].value != TRP_SLOT_NONE &&
           memcmp(table->entries[at].id, id, TRP_SLOT_ID_LEN) != 0) {
        at = (at + 1) & table->mask;
    }
    return at;
}

bool trp_slot_table_add(struct trp_slot_table *table,
                        const uint8_t id[TRP_SLOT_ID_LEN],
                        uint32_t value)
{
    TROUPE_ASSERT(value != TRP_SLOT_NONE);
    uint32_t at = place_of(table, id);
    if (table->entries[at].value != TRP_SLOT_NONE || table->count == table->count_max) {
        return false;
    }
    memcpy(table->entries[at].id, id, TRP_SLOT_ID_LEN);
    table->entries[at].value = value;
    table->count++;
    return true;
}

uint32_t trp_slot_table_find(const struct trp_slot_table *table, const uint8_t id[TRP_SLOT_ID_LEN])
{
    return table->entries[place_of(table, id)].value;
}

bool trp_slot_table_remove(struct trp_slot_table *table, const uint8_t id[TRP_SLOT_ID_LEN])
{
    uint32_t hole = place_of(table, id);
    if (table->entries[hole].value == TRP_SLOT_NONE) {
        return false;
    }
    /* Entries behind the hole that could not be found across it move into it. */
    for (uint32_t at = (hole + 1) & table->mask; table->entries[at].value != TRP_SLOT_NONE;
         at = (at + 1) & table->mask) {
        uint32_t distance = (at - home_of(table, table->entries[at].id)) & table->mask;
        if (distance >= ((at - hole) & table->mask)) {
            table->entries[hole] = table->entries[at];
            hole = at;
        }
    }
    table->entries[hole].value = TRP_SLOT_NONE;
    table->count--;
    return true;
}
