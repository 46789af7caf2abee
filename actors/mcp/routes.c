#include "actors/mcp/routes.h"

#include <stdlib.h>
#include <troupe/assert.h>

/* --- index --- */

enum troupe_status trp_mcp_route_index_init(struct trp_mcp_route_index *index, uint32_t size)
{
    uint32_t buckets = 64;
    while (buckets < size && buckets < (1u << 20)) {
        buckets *= 2;
    }
    index->buckets = calloc(buckets, sizeof(struct trp_mcp_route *));
    if (index->buckets == NULL) {
        return TROUPE_ENOMEM;
    }
    index->mask = buckets - 1;
    index->count = 0;
    return TROUPE_OK;
}

void trp_mcp_route_index_fini(struct trp_mcp_route_index *index)
{
    free(index->buckets);
    index->buckets = NULL;
}

/* Numbers of one worker count up: their low bits spread perfectly. */
static struct trp_mcp_route **bucket(const struct trp_mcp_route_index *index, uint64_t number)
{
    return &index->buckets[(uint32_t)number & index->mask];
}

void trp_mcp_route_index_add(struct trp_mcp_route_index *index, struct trp_mcp_route *route)
{
    struct trp_mcp_route **head = bucket(index, route->number);
    route->hash_next = *head;
    *head = route;
    index->count++;
}

void trp_mcp_route_index_remove(struct trp_mcp_route_index *index, struct trp_mcp_route *route)
{
    struct trp_mcp_route **link = bucket(index, route->number);
    while (*link != route) {
        TROUPE_ASSERT(*link != NULL);
        link = &(*link)->hash_next;
    }
    *link = route->hash_next;
    route->hash_next = NULL;
    index->count--;
}

struct trp_mcp_route *trp_mcp_route_index_find(const struct trp_mcp_route_index *index,
                                               uint64_t number)
{
    struct trp_mcp_route *route = *bucket(index, number);
    while (route != NULL && route->number != number) {
        route = route->hash_next;
    }
    return route;
}

/* --- lists --- */

void trp_mcp_route_list_push(struct trp_mcp_route_list *list, struct trp_mcp_route *route)
{
    route->next = NULL;
    route->prev = list->tail;
    if (list->tail != NULL) {
        list->tail->next = route;
    } else {
        list->head = route;
    }
    list->tail = route;
    list->count++;
}

void trp_mcp_route_list_remove(struct trp_mcp_route_list *list, struct trp_mcp_route *route)
{
    TROUPE_ASSERT(list->count != 0);
    if (route->prev != NULL) {
        route->prev->next = route->next;
    } else {
        TROUPE_ASSERT(list->head == route);
        list->head = route->next;
    }
    if (route->next != NULL) {
        route->next->prev = route->prev;
    } else {
        TROUPE_ASSERT(list->tail == route);
        list->tail = route->prev;
    }
    route->next = NULL;
    route->prev = NULL;
    list->count--;
}

struct trp_mcp_route *
trp_mcp_route_list_find(const struct trp_mcp_route_list *list, uint32_t session, uint64_t id_hash)
{
    struct trp_mcp_route *route = list->tail;
    while (route != NULL && (route->id_hash != id_hash || route->session != session)) {
        route = route->prev;
    }
    return route;
}

/* --- early cancels --- */

void trp_mcp_early_cancel_put(struct trp_mcp_early_cancels *cancels,
                              uint32_t session,
                              uint64_t id_hash,
                              uint64_t now_ns)
{
    struct trp_mcp_early_cancel *place = &cancels->entries[0];
    for (uint32_t i = 1; i < TRP_MCP_EARLY_CANCELS; i++) {
        if (cancels->entries[i].until_ns < place->until_ns) {
            place = &cancels->entries[i];
        }
    }
    place->id_hash = id_hash;
    place->session = session;
    place->until_ns = now_ns + TRP_MCP_EARLY_CANCEL_NS;
}

bool trp_mcp_early_cancel_take(struct trp_mcp_early_cancels *cancels,
                               uint32_t session,
                               uint64_t id_hash,
                               uint64_t now_ns)
{
    for (uint32_t i = 0; i < TRP_MCP_EARLY_CANCELS; i++) {
        struct trp_mcp_early_cancel *entry = &cancels->entries[i];
        if (entry->until_ns > now_ns && entry->id_hash == id_hash && entry->session == session) {
            entry->until_ns = 0;
            return true;
        }
    }
    return false;
}

void trp_mcp_early_cancel_clear(struct trp_mcp_early_cancels *cancels, uint32_t session)
{
    for (uint32_t i = 0; i < TRP_MCP_EARLY_CANCELS; i++) {
        if (cancels->entries[i].session == session) {
            cancels->entries[i].until_ns = 0;
        }
    }
}

uint64_t trp_mcp_id_hash(struct troupe_span key)
{
    /* FNV-1a, then a final mix so that short ids differ in all bits. */
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < key.len; i++) {
        hash = (hash ^ (uint8_t)key.data[i]) * UINT64_C(0x100000001b3);
    }
    hash ^= hash >> 32;
    hash *= UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 29;
}
