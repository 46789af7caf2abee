#include "actors/relay/store.h"

#include "actors/relay/hash.h"

#include <stdlib.h>
#include <troupe/assert.h>

#define NONE          UINT32_MAX
#define COUNT_LIMIT   (1u << 24)
#define DELETED_SLOTS 4096u
#define KIND_DELETION 5u

struct entry {
    struct troupe_buf *packet;
    uint64_t sequence;     /* of arrival */
    uint64_t address_hash; /* of replaceable and addressable events */
    uint32_t id_next;      /* chains of the two tables; id_next also links free entries */
    uint32_t address_next;
    bool has_address;
};

/* What a deletion named; only its author's event of that id is kept out. */
struct deleted {
    bool is_used;
    uint8_t id[TRP_NOSTR_ID_LEN];
    uint8_t author[TRP_NOSTR_PUBKEY_LEN];
};

struct trp_relay_store {
    struct trp_relay_store_limits limits;
    uint64_t seed;
    uint64_t sequence;
    uint64_t bytes;
    struct entry *entries;
    uint32_t *order; /* entries by age, oldest first, from order[first]; twice count_max slots */
    uint32_t first;
    uint32_t count;
    uint32_t free_entry;
    uint32_t bucket_mask;
    uint32_t *id_buckets;
    uint32_t *address_buckets;
    struct deleted *deleted;
};

/* What names a replaceable event. */
struct address {
    uint32_t kind;
    const uint8_t *author;
    struct troupe_span d; /* empty unless addressable */
};

static const struct trp_nostr_event *event_of(const struct trp_relay_store *store, uint32_t index)
{
    return trp_nostr_packet_event(store->entries[index].packet);
}

static uint64_t weight_of(const struct troupe_buf *packet)
{
    return (uint64_t)packet->capacity + sizeof(struct troupe_buf) + TROUPE_BUF_PADDING +
           sizeof(struct entry);
}

/* > 0 when the event is newer than the one described, < 0 when older, 0 when it is that one. */
static int compare_age(const struct trp_nostr_event *event, uint64_t created_at, const uint8_t *id)
{
    if (event->created_at != created_at) {
        return event->created_at > created_at ? 1 : -1;
    }
    int order = memcmp(event->id, id, TRP_NOSTR_ID_LEN);
    return order < 0 ? 1 : order > 0 ? -1 : 0;
}

static bool is_newer(const struct trp_nostr_event *a, const struct trp_nostr_event *b)
{
    return compare_age(a, b->created_at, b->id) > 0;
}

/* How many entries are older than the event described. */
static uint32_t count_older(const struct trp_relay_store *store,
                            uint64_t created_at,
                            const uint8_t id[TRP_NOSTR_ID_LEN])
{
    uint32_t low = 0;
    uint32_t high = store->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct trp_nostr_event *event = event_of(store, store->order[store->first + middle]);
        if (compare_age(event, created_at, id) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* --- tables --- */

static uint32_t *id_bucket(const struct trp_relay_store *store, const uint8_t *id)
{
    uint64_t hash = trp_relay_hash(store->seed, troupe_span(id, TRP_NOSTR_ID_LEN));
    return &store->id_buckets[hash & store->bucket_mask];
}

static uint32_t find_id(const struct trp_relay_store *store, const uint8_t *id)
{
    uint32_t index = *id_bucket(store, id);
    while (index != NONE && memcmp(event_of(store, index)->id, id, TRP_NOSTR_ID_LEN) != 0) {
        index = store->entries[index].id_next;
    }
    return index;
}

static bool address_of(const struct trp_nostr_event *event, struct address *address)
{
    address->kind = event->kind;
    address->author = event->pubkey;
    address->d = troupe_span(NULL, 0);
    if (trp_nostr_kind_is_addressable(event->kind)) {
        address->d = trp_nostr_event_tag_value(event, "d");
        return true;
    }
    return trp_nostr_kind_is_replaceable(event->kind);
}

static uint64_t hash_address(const struct trp_relay_store *store, const struct address *address)
{
    uint64_t hash = trp_relay_hash(store->seed, address->d);
    hash = trp_relay_hash(hash, troupe_span(address->author, TRP_NOSTR_PUBKEY_LEN));
    return trp_relay_hash_mix(hash, address->kind);
}

static uint32_t
find_address(const struct trp_relay_store *store, const struct address *address, uint64_t hash)
{
    uint32_t index = store->address_buckets[hash & store->bucket_mask];
    for (; index != NONE; index = store->entries[index].address_next) {
        struct address other;
        if (store->entries[index].address_hash == hash &&
            address_of(event_of(store, index), &other) && other.kind == address->kind &&
            memcmp(other.author, address->author, TRP_NOSTR_PUBKEY_LEN) == 0 &&
            troupe_span_equal(other.d, address->d)) {
            break;
        }
    }
    return index;
}

static void unlink_id(struct trp_relay_store *store, uint32_t index)
{
    uint32_t *link = id_bucket(store, event_of(store, index)->id);
    while (*link != index) {
        TROUPE_ASSERT(*link != NONE);
        link = &store->entries[*link].id_next;
    }
    *link = store->entries[index].id_next;
}

static void unlink_address(struct trp_relay_store *store, uint32_t index)
{
    const struct entry *entry = &store->entries[index];
    uint32_t *link = &store->address_buckets[entry->address_hash & store->bucket_mask];
    while (*link != index) {
        TROUPE_ASSERT(*link != NONE);
        link = &store->entries[*link].address_next;
    }
    *link = entry->address_next;
}

/* --- life --- */

static void link_free(struct trp_relay_store *store)
{
    for (uint32_t i = 0; i < store->limits.count_max; i++) {
        store->entries[i].id_next = i + 1 < store->limits.count_max ? i + 1 : NONE;
    }
    store->free_entry = 0;
    for (uint32_t i = 0; i <= store->bucket_mask; i++) {
        store->id_buckets[i] = NONE;
        store->address_buckets[i] = NONE;
    }
}

struct trp_relay_store *trp_relay_store_create(struct trp_relay_store_limits limits, uint64_t seed)
{
    TROUPE_ASSERT(limits.count_max > 0);
    TROUPE_ASSERT(limits.count_max <= COUNT_LIMIT);
    struct trp_relay_store *store = calloc(1, sizeof(*store));
    if (store == NULL) {
        return NULL;
    }
    uint32_t buckets = 64;
    while (buckets < limits.count_max) {
        buckets *= 2;
    }
    store->limits = limits;
    store->seed = seed;
    store->bucket_mask = buckets - 1;
    store->entries = calloc(limits.count_max, sizeof(*store->entries));
    store->order = calloc(2 * (size_t)limits.count_max, sizeof(*store->order));
    store->id_buckets = calloc(buckets, sizeof(*store->id_buckets));
    store->address_buckets = calloc(buckets, sizeof(*store->address_buckets));
    store->deleted = calloc(DELETED_SLOTS, sizeof(*store->deleted));
    if (store->entries == NULL || store->order == NULL || store->id_buckets == NULL ||
        store->address_buckets == NULL || store->deleted == NULL) {
        trp_relay_store_destroy(store);
        return NULL;
    }
    link_free(store);
    return store;
}

void trp_relay_store_clear(struct trp_relay_store *store)
{
    for (uint32_t i = 0; i < store->count; i++) {
        struct entry *entry = &store->entries[store->order[store->first + i]];
        troupe_buf_release(entry->packet);
        entry->packet = NULL;
    }
    store->first = 0;
    store->count = 0;
    store->bytes = 0;
    link_free(store);
}

void trp_relay_store_destroy(struct trp_relay_store *store)
{
    if (store == NULL) {
        return;
    }
    if (store->count > 0) {
        trp_relay_store_clear(store);
    }
    free(store->entries);
    free(store->order);
    free(store->id_buckets);
    free(store->address_buckets);
    free(store->deleted);
    free(store);
}

/* --- in and out --- */

static void remove_at(struct trp_relay_store *store, uint32_t position)
{
    TROUPE_ASSERT(position < store->count);
    uint32_t *slot = &store->order[store->first + position];
    uint32_t index = *slot;
    struct entry *entry = &store->entries[index];
    unlink_id(store, index);
    if (entry->has_address) {
        unlink_address(store, index);
    }
    if (position == 0) {
        store->first++;
    } else {
        memmove(slot, slot + 1, (store->count - position - 1) * sizeof(*slot));
    }
    store->count--;
    store->bytes -= weight_of(entry->packet);
    troupe_buf_release(entry->packet);
    entry->packet = NULL;
    entry->id_next = store->free_entry;
    store->free_entry = index;
}

static void remove_entry(struct trp_relay_store *store, uint32_t index)
{
    const struct trp_nostr_event *event = event_of(store, index);
    uint32_t position = count_older(store, event->created_at, event->id);
    TROUPE_ASSERT(store->order[store->first + position] == index);
    remove_at(store, position);
}

/* Lets older events go until there is room; false when that is not enough. */
static bool
make_room(struct trp_relay_store *store, const struct trp_nostr_event *event, uint64_t weight)
{
    if (weight > store->limits.bytes_max) {
        return false;
    }
    while (store->count >= store->limits.count_max ||
           store->bytes > store->limits.bytes_max - weight) {
        TROUPE_ASSERT(store->count > 0);
        if (!is_newer(event, event_of(store, store->order[store->first]))) {
            return false;
        }
        remove_at(store, 0);
    }
    return true;
}

static void insert(struct trp_relay_store *store,
                   struct troupe_buf *packet,
                   const struct address *address,
                   uint64_t address_hash)
{
    const struct trp_nostr_event *event = trp_nostr_packet_event(packet);
    uint32_t position = count_older(store, event->created_at, event->id);
    uint32_t index = store->free_entry;
    TROUPE_ASSERT(index != NONE);
    struct entry *entry = &store->entries[index];
    store->free_entry = entry->id_next;
    if (store->first + store->count == 2 * store->limits.count_max) {
        memmove(store->order, store->order + store->first, store->count * sizeof(*store->order));
        store->first = 0;
    }
    uint32_t *slot = &store->order[store->first + position];
    memmove(slot + 1, slot, (store->count - position) * sizeof(*slot));
    *slot = index;
    store->count++;
    store->bytes += weight_of(packet);
    entry->packet = troupe_buf_retain(packet);
    entry->sequence = ++store->sequence;
    entry->has_address = address != NULL;
    entry->address_hash = address_hash;
    uint32_t *bucket = id_bucket(store, event->id);
    entry->id_next = *bucket;
    *bucket = index;
    if (address != NULL) {
        bucket = &store->address_buckets[address_hash & store->bucket_mask];
        entry->address_next = *bucket;
        *bucket = index;
    }
}

/* --- deletion --- */

static struct deleted *deleted_slot(const struct trp_relay_store *store, const uint8_t *id)
{
    uint64_t hash = trp_relay_hash(store->seed, troupe_span(id, TRP_NOSTR_ID_LEN));
    return &store->deleted[hash % DELETED_SLOTS];
}

static bool is_deleted(const struct trp_relay_store *store, const struct trp_nostr_event *event)
{
    const struct deleted *slot = deleted_slot(store, event->id);
    return slot->is_used && memcmp(slot->id, event->id, TRP_NOSTR_ID_LEN) == 0 &&
           memcmp(slot->author, event->pubkey, TRP_NOSTR_PUBKEY_LEN) == 0 &&
           event->kind != KIND_DELETION;
}

static void delete_id(struct trp_relay_store *store,
                      const struct trp_nostr_event *deletion,
                      struct troupe_span hex)
{
    uint8_t id[TRP_NOSTR_ID_LEN];
    if (!trp_hex_decode_lower(id, sizeof(id), hex)) {
        return;
    }
    struct deleted *slot = deleted_slot(store, id);
    slot->is_used = true;
    memcpy(slot->id, id, sizeof(id));
    memcpy(slot->author, deletion->pubkey, TRP_NOSTR_PUBKEY_LEN);
    uint32_t index = find_id(store, id);
    if (index != NONE && event_of(store, index)->kind != KIND_DELETION &&
        memcmp(event_of(store, index)->pubkey, deletion->pubkey, TRP_NOSTR_PUBKEY_LEN) == 0) {
        remove_entry(store, index);
    }
}

/* The value of an a tag: kind:pubkey:d */
static bool parse_address(struct troupe_span text, struct address *address, uint8_t *author)
{
    size_t at = 0;
    uint32_t kind = 0;
    while (at < text.len && at < 5 && text.data[at] >= '0' && text.data[at] <= '9') {
        kind = kind * 10 + (uint32_t)(text.data[at++] - '0');
    }
    const size_t hex_len = 2 * (size_t)TRP_NOSTR_PUBKEY_LEN;
    if (at == 0 || text.len - at < hex_len + 2 || text.data[at] != ':' ||
        text.data[at + 1 + hex_len] != ':' ||
        !trp_hex_decode_lower(author, TRP_NOSTR_PUBKEY_LEN,
                              troupe_span(text.data + at + 1, hex_len))) {
        return false;
    }
    at += hex_len + 2;
    address->kind = kind;
    address->author = author;
    address->d = troupe_span(text.data + at, text.len - at);
    return true;
}

static void delete_address(struct trp_relay_store *store,
                           const struct trp_nostr_event *deletion,
                           struct troupe_span text)
{
    struct address address;
    uint8_t author[TRP_NOSTR_PUBKEY_LEN];
    if (!parse_address(text, &address, author) ||
        memcmp(author, deletion->pubkey, sizeof(author)) != 0) {
        return;
    }
    uint32_t index = find_address(store, &address, hash_address(store, &address));
    if (index != NONE && event_of(store, index)->created_at <= deletion->created_at) {
        remove_entry(store, index);
    }
}

static void apply_deletion(struct trp_relay_store *store, const struct trp_nostr_event *deletion)
{
    for (uint32_t tag = 0; tag < deletion->tag_count; tag++) {
        struct troupe_span name = trp_nostr_event_element(deletion, tag, 0);
        struct troupe_span value = trp_nostr_event_element(deletion, tag, 1);
        if (value.data == NULL) {
            continue;
        }
        if (troupe_span_is(name, "e")) {
            delete_id(store, deletion, value);
        } else if (troupe_span_is(name, "a")) {
            delete_address(store, deletion, value);
        }
    }
}

/* --- the face --- */

enum trp_relay_put trp_relay_store_put(struct trp_relay_store *store, struct troupe_buf *packet)
{
    TROUPE_ASSERT(trp_nostr_packet_is(packet));
    const struct trp_nostr_event *event = trp_nostr_packet_event(packet);
    struct address address;
    bool has_address = address_of(event, &address);
    uint64_t hash = has_address ? hash_address(store, &address) : 0;
    if (find_id(store, event->id) != NONE) {
        return TRP_RELAY_PUT_DUPLICATE;
    }
    if (is_deleted(store, event)) {
        return TRP_RELAY_PUT_DELETED;
    }
    if (has_address) {
        uint32_t index = find_address(store, &address, hash);
        if (index != NONE && !is_newer(event, event_of(store, index))) {
            return TRP_RELAY_PUT_OUTDATED;
        }
        if (index != NONE) {
            remove_entry(store, index);
        }
    }
    if (event->kind == KIND_DELETION) {
        apply_deletion(store, event);
    }
    if (!make_room(store, event, weight_of(packet))) {
        return TRP_RELAY_PUT_UNKEPT;
    }
    insert(store, packet, has_address ? &address : NULL, hash);
    return TRP_RELAY_PUT_STORED;
}

bool trp_relay_store_has(const struct trp_relay_store *store, const uint8_t id[TRP_NOSTR_ID_LEN])
{
    return find_id(store, id) != NONE;
}

uint32_t trp_relay_store_count(const struct trp_relay_store *store)
{
    return store->count;
}

uint64_t trp_relay_store_bytes(const struct trp_relay_store *store)
{
    return store->bytes;
}

/* --- searching --- */

void trp_relay_query_begin(const struct trp_relay_store *store,
                           struct trp_relay_query *query,
                           const struct trp_nostr_filter *const *filters,
                           uint32_t filter_count,
                           uint32_t *remaining,
                           uint32_t limit_max)
{
    uint64_t until = 0;
    bool is_wanted = false;
    memset(query, 0, sizeof(*query));
    query->filters = filters;
    query->filter_count = filter_count;
    query->remaining = remaining;
    query->sequence = store->sequence;
    query->since = UINT64_MAX;
    for (uint32_t i = 0; i < filter_count; i++) {
        const struct trp_nostr_filter *filter = filters[i];
        remaining[i] = filter->limit < limit_max ? filter->limit : limit_max;
        if (remaining[i] == 0) {
            continue;
        }
        is_wanted = true;
        until = filter->until > until ? filter->until : until;
        query->since = filter->since < query->since ? filter->since : query->since;
    }
    query->created_at = until < UINT64_MAX ? until + 1 : until;
    memset(query->id, 0xFF, sizeof(query->id));
    query->is_done = !is_wanted;
}

/* Which filters want the event: true if any does. */
static bool is_wanted_by(struct trp_relay_query *query, const struct trp_nostr_event *event)
{
    bool is_wanted = false;
    for (uint32_t i = 0; i < query->filter_count; i++) {
        if (query->remaining[i] > 0 && trp_nostr_filter_match(query->filters[i], event)) {
            query->remaining[i]--;
            is_wanted = true;
        }
    }
    return is_wanted;
}

static bool is_satisfied(const struct trp_relay_query *query)
{
    for (uint32_t i = 0; i < query->filter_count; i++) {
        if (query->remaining[i] > 0) {
            return false;
        }
    }
    return true;
}

void trp_relay_query_run(const struct trp_relay_store *store,
                         struct trp_relay_query *query,
                         uint32_t *budget,
                         trp_relay_found_cb found_cb,
                         void *arg)
{
    if (query->is_done) {
        return;
    }
    uint32_t position = count_older(store, query->created_at, query->id);
    bool is_going_on = true;
    while (position > 0 && *budget > 0 && is_going_on) {
        const struct entry *entry = &store->entries[store->order[store->first + --position]];
        const struct trp_nostr_event *event = trp_nostr_packet_event(entry->packet);
        if (event->created_at < query->since) {
            query->is_done = true;
            return;
        }
        --*budget;
        query->created_at = event->created_at;
        memcpy(query->id, event->id, sizeof(query->id));
        if (entry->sequence <= query->sequence && is_wanted_by(query, event)) {
            is_going_on = found_cb(arg, entry->packet);
            if (is_satisfied(query)) {
                query->is_done = true;
                return;
            }
        }
    }
    query->is_done = position == 0;
}
