#include "mailbox/slab.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <troupe/assert.h>

#define RECLAIM_PAUSE_MAX 1023u

#define HUGE_PAGE_BYTES  (2u << 20)
#define LARGE_HEAP_BYTES (4u << 20)

/*
 * 64 to 1,088 for messages, actor state and small buffers; the last one holds a 64 KiB buffer with
 * its header and padding. All are multiples of 16.
 */
static const uint32_t class_bytes[TRP_SLAB_CLASSES] = {
    64, 128, 192, 256, 512, 1088, 2176, 4352, 8704, 17408, 34816, TRP_SLAB_NODE_MAX,
};

__thread struct trp_heap *trp_heap_current __attribute__((tls_model("initial-exec")));

/* One to 18 steps of 64 bytes. */
const uint8_t trp_slab_small_classes[] = {0, 0, 1, 2, 3, 4, 4, 4, 4, 5, 5, 5, 5, 5, 5, 5, 5, 5};

TROUPE_STATIC_ASSERT(sizeof(trp_slab_small_classes) == TRP_SLAB_SMALL_MAX / 64 + 1,
                     "one entry per step");

static uint32_t class_of(size_t bytes)
{
    if (bytes <= TRP_SLAB_SMALL_MAX) {
        return trp_slab_small_classes[(bytes + 63) / 64];
    }
    uint32_t size_class = trp_slab_small_classes[TRP_SLAB_SMALL_MAX / 64];
    while (class_bytes[size_class] < bytes) {
        size_class++;
    }
    return size_class;
}

void trp_heap_init(struct trp_heap *heap, uint64_t budget_bytes)
{
    memset(heap, 0, sizeof(*heap));
    heap->budget_bytes = budget_bytes;
}

void trp_heap_fini(struct trp_heap *heap)
{
    struct trp_slab_chunk *chunk = heap->chunks;
    while (chunk != NULL) {
        struct trp_slab_chunk *next = chunk->next;
        TRP_SLAB_UNPOISON(chunk, TRP_SLAB_CHUNK_BYTES);
        munmap(chunk, TRP_SLAB_CHUNK_BYTES);
        chunk = next;
    }
    if (heap->spare_chunks > 0) {
        munmap(heap->spare, (size_t)heap->spare_chunks * TRP_SLAB_CHUNK_BYTES);
    }
    memset(heap, 0, sizeof(*heap));
}

/* Maps memory aligned to its size by mapping twice as much and giving the ends back. */
static void *map_aligned(size_t bytes)
{
    char *raw = mmap(NULL, 2 * bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (raw == MAP_FAILED) {
        return NULL;
    }
    uintptr_t aligned = ((uintptr_t)raw + bytes - 1) & ~(uintptr_t)(bytes - 1);
    size_t before = aligned - (uintptr_t)raw;
    if (before != 0) {
        munmap(raw, before);
    }
    munmap((char *)aligned + bytes, bytes - before);
    return (void *)aligned;
}

/*
 * One chunk. A heap that has grown large takes the memory of eight at once, in a huge page where
 * the system has them: a million actors otherwise spend their time on page faults and TLB misses.
 */
static void *map_chunk(struct trp_heap *heap)
{
    if (heap->spare_chunks > 0) {
        heap->spare_chunks--;
        heap->spare += TRP_SLAB_CHUNK_BYTES;
        return heap->spare - TRP_SLAB_CHUNK_BYTES;
    }
    if (heap->mapped_bytes < LARGE_HEAP_BYTES ||
        heap->mapped_bytes + HUGE_PAGE_BYTES > heap->budget_bytes) {
        return map_aligned(TRP_SLAB_CHUNK_BYTES);
    }
    char *memory = map_aligned(HUGE_PAGE_BYTES);
    if (memory != NULL) {
        (void)madvise(memory, HUGE_PAGE_BYTES, MADV_HUGEPAGE); /* a wish */
        heap->spare = memory + TRP_SLAB_CHUNK_BYTES;
        heap->spare_chunks = HUGE_PAGE_BYTES / TRP_SLAB_CHUNK_BYTES - 1;
    }
    return memory;
}

static void free_local(struct trp_heap *heap, void *node)
{
    struct trp_slab_chunk *chunk = trp_slab_chunk_of(node);
    struct trp_slab_node *free_node = node;
    free_node->next = heap->free_nodes[chunk->size_class];
    heap->free_nodes[chunk->size_class] = free_node;
}

/* Takes in the nodes that other threads sent home. */
static void take_returned(struct trp_heap *heap)
{
    if (trp_load_relaxed_ptr(&heap->returned) == NULL) {
        return;
    }
    /* full barrier: pairs with the compare-and-swap in push_home */
    struct trp_slab_carrier *carrier = trp_fas_ptr(&heap->returned, NULL);
    while (carrier != NULL) {
        struct trp_slab_carrier *next = carrier->next;
        for (uint64_t i = 0; i < carrier->count; i++) {
            free_local(heap, carrier->cargo[i]);
        }
        free_local(heap, carrier);
        TRP_SLAB_POISON(carrier, sizeof(*carrier));
        carrier = next;
    }
}

static uint32_t nodes_of(const struct trp_slab_chunk *chunk)
{
    return (TRP_SLAB_CHUNK_BYTES - (uint32_t)sizeof(*chunk)) / chunk->node_bytes;
}

static bool is_fresh(const struct trp_heap *heap, const struct trp_slab_chunk *chunk)
{
    return heap->fresh_end[chunk->size_class] ==
           (const char *)(chunk + 1) + (size_t)nodes_of(chunk) * chunk->node_bytes;
}

/* Fresh nodes have no link yet: all of the node is poisoned. */
static void poison_chunk(struct trp_slab_chunk *chunk)
{
    TRP_SLAB_POISON((char *)(chunk + 1) - sizeof(void *),
                    TRP_SLAB_CHUNK_BYTES - sizeof(*chunk) + sizeof(void *));
}

/* Makes a chunk without live nodes the newest of a class. */
static void give_chunk(struct trp_heap *heap, struct trp_slab_chunk *chunk, uint32_t size_class)
{
    chunk->size_class = size_class;
    chunk->node_bytes = class_bytes[size_class];
    heap->fresh[size_class] = (char *)(chunk + 1);
    heap->fresh_end[size_class] =
        heap->fresh[size_class] + (size_t)nodes_of(chunk) * chunk->node_bytes;
    poison_chunk(chunk);
}

/* Counts the free nodes of every chunk. */
static void count_free(struct trp_heap *heap)
{
    for (struct trp_slab_chunk *chunk = heap->chunks; chunk != NULL; chunk = chunk->next) {
        uint32_t size_class = chunk->size_class;
        chunk->free_count = 0;
        if (is_fresh(heap, chunk)) {
            chunk->free_count = (uint32_t)(heap->fresh_end[size_class] - heap->fresh[size_class]) /
                                chunk->node_bytes;
        }
    }
    for (uint32_t i = 0; i < TRP_SLAB_CLASSES; i++) {
        for (struct trp_slab_node *node = heap->free_nodes[i]; node != NULL; node = node->next) {
            trp_slab_chunk_of(node)->free_count++;
        }
    }
}

/* Takes the nodes of a chunk out of the list of its class. */
static void unlist(struct trp_heap *heap, const struct trp_slab_chunk *chunk)
{
    struct trp_slab_node **link = &heap->free_nodes[chunk->size_class];
    while (*link != NULL) {
        if (trp_slab_chunk_of(*link) == chunk) {
            *link = (*link)->next;
        } else {
            link = &(*link)->next;
        }
    }
    if (is_fresh(heap, chunk)) {
        heap->fresh[chunk->size_class] = NULL;
        heap->fresh_end[chunk->size_class] = NULL;
    }
}

/*
 * The budget is used up: a chunk of another class in which nothing lives changes its class, so that
 * a burst of one size does not keep the memory for good. Cost: O(free nodes); after a search in
 * vain twice as many failures as before pass until the next one.
 */
static bool reclaim(struct trp_heap *heap, uint32_t size_class)
{
    if (heap->reclaim_wait > 0) {
        heap->reclaim_wait--;
        return false;
    }
    count_free(heap);
    for (struct trp_slab_chunk *chunk = heap->chunks; chunk != NULL; chunk = chunk->next) {
        if (chunk->free_count == nodes_of(chunk)) {
            unlist(heap, chunk);
            give_chunk(heap, chunk, size_class);
            heap->reclaim_pause = 0;
            return true;
        }
    }
    heap->reclaim_pause =
        heap->reclaim_pause < RECLAIM_PAUSE_MAX ? 2 * heap->reclaim_pause + 1 : RECLAIM_PAUSE_MAX;
    heap->reclaim_wait = heap->reclaim_pause;
    return false;
}

static bool add_chunk(struct trp_heap *heap, uint32_t size_class)
{
    uint64_t large = trp_load_relaxed_u64(&heap->large_bytes);
    if (heap->mapped_bytes + large + TRP_SLAB_CHUNK_BYTES > heap->budget_bytes) {
        return reclaim(heap, size_class);
    }
    struct trp_slab_chunk *chunk = map_chunk(heap);
    if (chunk == NULL) {
        return reclaim(heap, size_class);
    }
    chunk->owner = heap;
    chunk->magic = TRP_SLAB_MAGIC;
    chunk->next = heap->chunks;
    heap->chunks = chunk;
    heap->mapped_bytes += TRP_SLAB_CHUNK_BYTES;
    give_chunk(heap, chunk, size_class);
    return true;
}

void *trp_heap_alloc_slow(struct trp_heap *heap, uint32_t size_class)
{
    take_returned(heap);
    struct trp_slab_node *node = heap->free_nodes[size_class];
    if (node != NULL) {
        heap->free_nodes[size_class] = node->next;
    } else {
        if (heap->fresh[size_class] == heap->fresh_end[size_class] &&
            !add_chunk(heap, size_class)) {
            return NULL;
        }
        node = (struct trp_slab_node *)heap->fresh[size_class];
        heap->fresh[size_class] += class_bytes[size_class];
    }
    TRP_SLAB_UNPOISON(node, class_bytes[size_class]);
    return node;
}

void *trp_heap_alloc(struct trp_heap *heap, size_t bytes)
{
    TROUPE_ASSERT(bytes <= TRP_SLAB_NODE_MAX);
    return trp_heap_alloc_class(heap, class_of(bytes));
}

/* Pushes a chain of carriers onto its owner's list of returned nodes. */
static void
push_home(struct trp_heap *owner, struct trp_slab_carrier *newest, struct trp_slab_carrier *oldest)
{
    void *head = trp_load_relaxed_ptr(&owner->returned);
    do {
        oldest->next = head;
        /* full barrier: hands the nodes over, pairs with the swap in take_returned */
    } while (!trp_cas_ptr(&owner->returned, &head, newest));
}

static void flush_bounce(struct trp_slab_bounce *bounce)
{
    if (bounce->count != 0) {
        push_home(bounce->owner, bounce->newest, bounce->oldest);
        bounce->count = 0;
        bounce->newest = NULL;
        bounce->oldest = NULL;
    }
}

static struct trp_slab_carrier *
make_carrier(const struct trp_slab_chunk *chunk, void *node, struct trp_slab_carrier *next)
{
    struct trp_slab_carrier *carrier = node;
    TRP_SLAB_POISON((void **)(carrier + 1) - 1,
                    chunk->node_bytes - sizeof(*carrier) + sizeof(void *));
    carrier->next = next;
    carrier->count = 0;
    return carrier;
}

/* Adds a node to what is gathered for its owner: as cargo, or as the next carrier. */
static void gather(struct trp_heap *mine, struct trp_slab_chunk *chunk, void *node)
{
    struct trp_heap *owner = chunk->owner;
    uintptr_t spread = (uintptr_t)owner / sizeof(struct trp_heap);
    struct trp_slab_bounce *bounce = &mine->bounces[spread % TRP_SLAB_BOUNCES];
    if (bounce->owner != owner) {
        flush_bounce(bounce);
        bounce->owner = owner;
    }
    struct trp_slab_carrier *carrier = bounce->newest;
    if (carrier != NULL && carrier->count < TRP_SLAB_CARGO) {
        TRP_SLAB_POISON(node, chunk->node_bytes);
        carrier->cargo[carrier->count++] = node;
    } else {
        bounce->newest = make_carrier(chunk, node, carrier);
        if (carrier == NULL) {
            bounce->oldest = bounce->newest;
        }
    }
    if (++bounce->count == TRP_SLAB_BOUNCE_MAX) {
        flush_bounce(bounce);
    }
}

void trp_heap_free_remote(struct trp_heap *mine, void *node)
{
    struct trp_slab_chunk *chunk = trp_slab_chunk_of(node);
    if (mine != NULL) {
        gather(mine, chunk, node);
    } else {
        struct trp_slab_carrier *carrier = make_carrier(chunk, node, NULL);
        push_home(chunk->owner, carrier, carrier);
    }
}

void trp_heap_settle(struct trp_heap *heap)
{
    for (uint32_t i = 0; i < TRP_SLAB_BOUNCES; i++) {
        flush_bounce(&heap->bounces[i]);
    }
    take_returned(heap);
}

/* All that lies behind the header and the extension. */
static uint32_t behind_header(const struct troupe_msg *msg)
{
    uint32_t header = (uint32_t)sizeof(*msg) + (msg->flags & TROUPE_MSG_EXTENDED);
    return class_bytes[msg->size_class & ~TRP_MSG_STAMPED] - header;
}

struct troupe_msg *
trp_msg_alloc_slow(struct trp_heap *heap, uint16_t type, uint32_t size, bool is_extended)
{
    uint32_t extension = is_extended ? (uint32_t)sizeof(struct troupe_msg_extension) : 0;
    uint32_t bytes = (uint32_t)sizeof(struct troupe_msg) + extension + size;
    uint8_t size_class = trp_slab_small_classes[(bytes + 63) / 64];
    void *node = trp_heap_alloc_class(heap, size_class);
    if (node == NULL) {
        return NULL;
    }
    struct troupe_msg *msg = trp_msg_init(node, type, size, size_class);
    if (is_extended) {
        msg->flags = TROUPE_MSG_EXTENDED;
        *(struct troupe_msg_extension *)(msg + 1) = (struct troupe_msg_extension){0, 0};
    }
    return msg;
}

uint32_t trp_msg_room(const struct troupe_msg *msg)
{
    uint32_t room = behind_header(msg);
    return room < TROUPE_MSG_PAYLOAD_MAX ? room : TROUPE_MSG_PAYLOAD_MAX;
}

static void *stamp_of(const struct troupe_msg *msg)
{
    return (char *)troupe_msg_data(msg) + behind_header(msg) - sizeof(uint64_t);
}

void trp_msg_put_stamp(struct troupe_msg *msg, uint64_t now_ns)
{
    if (behind_header(msg) - msg->size >= sizeof(now_ns)) {
        memcpy(stamp_of(msg), &now_ns, sizeof(now_ns));
        msg->size_class |= TRP_MSG_STAMPED;
    }
}

uint64_t trp_msg_take_stamp(struct troupe_msg *msg)
{
    uint64_t sent_ns;
    memcpy(&sent_ns, stamp_of(msg), sizeof(sent_ns));
    msg->size_class &= (uint8_t)~TRP_MSG_STAMPED;
    return sent_ns;
}

static void free_one(struct troupe_msg *msg)
{
    if ((msg->flags & TROUPE_MSG_OWNS_BUF) != 0) {
        troupe_buf_release(troupe_msg_buf(msg));
    }
    if ((msg->flags & TROUPE_MSG_EMBEDDED) == 0) {
        trp_heap_free(msg);
    }
}

void trp_msg_free_owner(struct troupe_msg *msg)
{
    struct troupe_msg *carried = trp_msg_carried(msg);
    if (carried != NULL) {
        free_one(carried);
    }
    free_one(msg);
}

static uint32_t weigh_one(const struct troupe_msg *msg)
{
    uint32_t weight = (uint32_t)sizeof(*msg) + msg->size;
    const struct troupe_buf *buf = troupe_msg_buf(msg);
    return buf == NULL ? weight : weight + buf->size;
}

uint32_t trp_msg_weight_owner(const struct troupe_msg *msg)
{
    const struct troupe_msg *carried = trp_msg_carried(msg);
    return carried == NULL ? weigh_one(msg) : weigh_one(msg) + weigh_one(carried);
}

/* A buffer above the largest class comes from the system heap, charged to its heap until freed. */
struct large_prefix {
    struct trp_heap *owner;
    uint64_t bytes;
};

static bool is_large(uint32_t capacity)
{
    return sizeof(struct troupe_buf) + capacity + TROUPE_BUF_PADDING > TRP_SLAB_NODE_MAX;
}

static struct troupe_buf *alloc_large(struct trp_heap *heap, size_t bytes)
{
    uint64_t large = trp_load_relaxed_u64(&heap->large_bytes);
    if (heap->mapped_bytes + large + bytes > heap->budget_bytes) {
        return NULL;
    }
    struct large_prefix *prefix = malloc(sizeof(*prefix) + bytes);
    if (prefix == NULL) {
        return NULL;
    }
    prefix->owner = heap;
    prefix->bytes = bytes;
    trp_faa_u64(&heap->large_bytes, bytes); /* counter only; partner: troupe_buf_release */
    return (struct troupe_buf *)(prefix + 1);
}

struct troupe_buf *trp_buf_alloc(struct trp_heap *heap, uint32_t capacity)
{
    if (capacity > TROUPE_BUF_MAX) {
        return NULL;
    }
    size_t bytes = sizeof(struct troupe_buf) + capacity + TROUPE_BUF_PADDING;
    struct troupe_buf *buf =
        is_large(capacity) ? alloc_large(heap, bytes) : trp_heap_alloc(heap, bytes);
    if (buf == NULL) {
        return NULL;
    }
    buf->count = 1;
    buf->capacity = capacity;
    buf->size = 0;
    buf->reserved = 0;
    /* readers may look past the end; give them defined bytes */
    memset(buf->data + capacity, 0, TROUPE_BUF_PADDING);
    return buf;
}

struct troupe_buf *troupe_buf_retain(struct troupe_buf *buf)
{
    uint32_t before = trp_faa_u32(&buf->count, 1); /* partner: troupe_buf_release */
    TROUPE_ASSERT(before != 0);
    return buf;
}

void troupe_buf_release(struct troupe_buf *buf)
{
    if (buf == NULL) {
        return;
    }
    /* The last owner needs no atomic: nobody else can reach the buffer. Acquire pairs with the
     * full barrier below, so that all other owners' reads are over. */
    if (trp_load_acquire_u32(&buf->count) != 1) {
        uint32_t before = trp_faa_u32(&buf->count, (uint32_t)-1);
        TROUPE_ASSERT(before != 0);
        if (before != 1) {
            return;
        }
    }
    if (is_large(buf->capacity)) {
        struct large_prefix *prefix = (struct large_prefix *)buf - 1;
        trp_faa_u64(&prefix->owner->large_bytes, 0 - prefix->bytes);
        free(prefix);
        return;
    }
    trp_heap_free(buf);
}
