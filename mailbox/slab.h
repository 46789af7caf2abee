#ifndef MAILBOX_SLAB_H
#define MAILBOX_SLAB_H

/*
 * The slab heap of a worker (or port): nodes of a few sizes, cut from chunks of 256 KiB aligned to
 * their size, so that the owner of a node is found by masking its address.
 *
 *  - Allocation and local free touch no atomic and no system heap.
 *  - A node freed by another thread is gathered (up to 32) and pushed home as one chain; the owner
 *    takes them in when it runs dry and before it parks.
 *  - Allocation refuses at the byte budget; it never grows beyond it.
 *  - Free nodes are poisoned for AddressSanitizer.
 *
 * Threads: alloc and free act on the heap of the calling thread (trp_heap_current); a thread
 * without one may free but not allocate.
 */

#include "mailbox/atomic.h"

#include <troupe/assert.h>
#include <troupe/buf.h>
#include <troupe/msg.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
/* the first word stays readable: it links free nodes */
#define TRP_SLAB_POISON(node, bytes)                                                               \
    __asan_poison_memory_region((char *)(node) + sizeof(void *), (bytes) - sizeof(void *))
#define TRP_SLAB_UNPOISON(node, bytes) __asan_unpoison_memory_region(node, bytes)
#else
/* not even evaluated: the size would be looked up in the chunk's first line */
#define TRP_SLAB_POISON(node, bytes)   ((void)sizeof(node), (void)sizeof(bytes))
#define TRP_SLAB_UNPOISON(node, bytes) ((void)sizeof(node), (void)sizeof(bytes))
#endif

#define TRP_SLAB_CHUNK_BYTES (256u << 10)
#define TRP_SLAB_CLASSES     12u
#define TRP_SLAB_NODE_MAX    66048u /* largest node: 64 KiB plus headers and padding */
#define TRP_SLAB_BOUNCE_MAX  32u
#define TRP_SLAB_BOUNCES     8u

#define TRP_SLAB_MAGIC 0x74727063u
#define TRP_SLAB_CARGO 6u

/* A free node. */
struct trp_slab_node {
    struct trp_slab_node *next;
};

/*
 * A node on its way home. It carries the addresses of up to six others, so that the owner can
 * fetch their cache lines all at once instead of one after the other along a list; the six are not
 * touched by the thread that frees them.
 */
struct trp_slab_carrier {
    struct trp_slab_carrier *next;
    uint64_t count;
    void *cargo[TRP_SLAB_CARGO];
};

struct trp_heap;

/* Foreign nodes gathered for one owner; the newest carrier is still being filled. */
struct trp_slab_bounce {
    struct trp_heap *owner;
    struct trp_slab_carrier *newest;
    struct trp_slab_carrier *oldest;
    uint32_t count;
};

/* First bytes of each chunk; nodes follow. */
struct trp_slab_chunk {
    struct trp_heap *owner;
    uint32_t magic;
    uint32_t size_class;
    uint32_t node_bytes;
    uint32_t free_count; /* scratch of reclaim */
    struct trp_slab_chunk *next;
} __attribute__((aligned(TRP_CACHE_LINE)));

struct trp_heap {
    /* written by other threads: chain of nodes that came home */
    void *returned __attribute__((aligned(TRP_CACHE_LINE)));
    uint64_t large_bytes; /* buffers above the largest class, still alive; any thread */

    /* private to the owner */
    struct trp_slab_node *free_nodes[TRP_SLAB_CLASSES] __attribute__((aligned(TRP_CACHE_LINE)));
    char *fresh[TRP_SLAB_CLASSES]; /* rest of the newest chunk, never used yet */
    char *fresh_end[TRP_SLAB_CLASSES];
    struct trp_slab_bounce bounces[TRP_SLAB_BOUNCES];
    struct trp_slab_chunk *chunks;
    uint64_t mapped_bytes;
    uint64_t budget_bytes;
    char *spare; /* chunks mapped and not in use yet */
    uint32_t spare_chunks;
    uint32_t reclaim_wait;  /* failures to let pass before the next search for an empty chunk */
    uint32_t reclaim_pause; /* how many that were last time */
};

/* The heap of the running thread (set by the worker loop, the port, the simulation), or NULL. */
extern __thread struct trp_heap *trp_heap_current __attribute__((tls_model("initial-exec")));

void trp_heap_init(struct trp_heap *heap, uint64_t budget_bytes);

/* Unmaps every chunk. All its nodes must be dead: nobody may touch them any more. */
void trp_heap_fini(struct trp_heap *heap);

/* At least `bytes` (at most TRP_SLAB_NODE_MAX), 16-byte aligned; NULL over the budget. */
void *trp_heap_alloc(struct trp_heap *heap, size_t bytes);

/* The free list of a class is empty: nodes that came home, or fresh ones. */
void *trp_heap_alloc_slow(struct trp_heap *heap, uint32_t size_class);

/* The node belongs to another heap; mine: the caller's, or NULL. */
void trp_heap_free_remote(struct trp_heap *mine, void *node);

static inline struct trp_slab_chunk *trp_slab_chunk_of(void *node)
{
    uintptr_t mask = ~(uintptr_t)(TRP_SLAB_CHUNK_BYTES - 1);
    struct trp_slab_chunk *chunk = (struct trp_slab_chunk *)((uintptr_t)node & mask);
    TROUPE_ASSERT(chunk->magic == TRP_SLAB_MAGIC);
    return chunk;
}

static inline void *trp_heap_alloc_class(struct trp_heap *heap, uint32_t size_class)
{
    struct trp_slab_node *node = heap->free_nodes[size_class];
    if (__builtin_expect(node == NULL, 0)) {
        return trp_heap_alloc_slow(heap, size_class);
    }
    heap->free_nodes[size_class] = node->next;
    TRP_SLAB_UNPOISON(node, trp_slab_chunk_of(node)->node_bytes);
    return node;
}

/* Gives a node back to whoever owns it; mine: the heap of the calling thread, or NULL. */
static inline void trp_heap_free_to(struct trp_heap *mine, void *node)
{
    uintptr_t mask = ~(uintptr_t)(TRP_SLAB_CHUNK_BYTES - 1);
    struct trp_slab_chunk *chunk = (struct trp_slab_chunk *)((uintptr_t)node & mask);
    if (__builtin_expect(chunk->owner != mine, 0)) {
        trp_heap_free_remote(mine, node);
        return;
    }
    struct trp_slab_node *free_node = node;
    free_node->next = mine->free_nodes[chunk->size_class];
    mine->free_nodes[chunk->size_class] = free_node;
    TRP_SLAB_POISON(node, chunk->node_bytes);
}

/* Gives a node back to whoever owns it. Threads: any. */
static inline void trp_heap_free(void *node)
{
    trp_heap_free_to(trp_heap_current, node);
}

/* Sends gathered foreign nodes home and takes in one's own. Called before parking. */
void trp_heap_settle(struct trp_heap *heap);

/* --- messages and buffers on top --- */

/* Class of a small size, by its number of 64-byte steps. */
extern const uint8_t trp_slab_small_classes[];
#define TRP_SLAB_SMALL_MAX 1088u /* header, extension and largest payload of a message */

/* A node of this class becomes a message. */
static inline struct troupe_msg *
trp_msg_init(void *node, uint16_t type, uint32_t size, uint8_t size_class)
{
    struct troupe_msg *msg = node;
    msg->to = TROUPE_NOBODY;
    msg->from = TROUPE_NOBODY;
    msg->type = type;
    msg->flags = 0;
    msg->size_class = size_class;
    msg->size = size;
    return msg;
}

/* The rest of trp_msg_alloc: with an extension, or when the free list is empty. */
struct troupe_msg *
trp_msg_alloc_slow(struct trp_heap *heap, uint16_t type, uint32_t size, bool is_extended);

/* A message with `size` payload bytes; extended = room for deadline and ask id, both zero. NULL
 * over budget. */
static inline struct troupe_msg *
trp_msg_alloc(struct trp_heap *heap, uint16_t type, uint32_t size, bool is_extended)
{
    TROUPE_ASSERT(size <= TROUPE_MSG_PAYLOAD_MAX);
    uint8_t size_class = trp_slab_small_classes[(sizeof(struct troupe_msg) + size + 63) / 64];
    struct trp_slab_node *node = heap->free_nodes[size_class];
    if (__builtin_expect(node == NULL || is_extended, 0)) {
        return trp_msg_alloc_slow(heap, type, size, is_extended);
    }
    heap->free_nodes[size_class] = node->next;
    TRP_SLAB_UNPOISON(node, trp_slab_chunk_of(node)->node_bytes);
    return trp_msg_init(node, type, size, size_class);
}

/* Payload bytes that fit into the node of this message. */
uint32_t trp_msg_room(const struct troupe_msg *msg);

/*
 * A sampled message carries the time of its sending in the unused end of its node; the top bit of
 * its size class says so. Where there is no room it stays without.
 */
#define TRP_MSG_STAMPED 0x80u

void trp_msg_put_stamp(struct troupe_msg *msg, uint64_t now_ns);
uint64_t trp_msg_take_stamp(struct troupe_msg *msg);

/* The message that a message with TROUPE_MSG_OWNS_MSG carries, otherwise NULL; it carries none. */
static inline struct troupe_msg *trp_msg_carried(const struct troupe_msg *msg)
{
    return (msg->flags & TROUPE_MSG_OWNS_MSG) != 0 ? *(struct troupe_msg **)troupe_msg_data(msg)
                                                   : NULL;
}

/* As trp_msg_free for one that owns something or is embedded. */
void trp_msg_free_owner(struct troupe_msg *msg);

/* Releases the buffer or message it owns and frees the node, unless embedded. Threads: any. */
static inline void trp_msg_free(struct troupe_msg *msg)
{
    if ((msg->flags & (TROUPE_MSG_OWNS_BUF | TROUPE_MSG_OWNS_MSG | TROUPE_MSG_EMBEDDED)) == 0) {
        trp_heap_free(msg);
    } else {
        trp_msg_free_owner(msg);
    }
}

/* The weight of a message that owns something; use trp_msg_weight. */
uint32_t trp_msg_weight_owner(const struct troupe_msg *msg);

/* What a message weighs against a byte bound: header, payload, buffer. */
static inline uint32_t trp_msg_weight(const struct troupe_msg *msg)
{
    if ((msg->flags & (TROUPE_MSG_OWNS_BUF | TROUPE_MSG_OWNS_MSG)) != 0) {
        return trp_msg_weight_owner(msg);
    }
    return (uint32_t)sizeof(*msg) + msg->size;
}

struct troupe_buf *trp_buf_alloc(struct trp_heap *heap, uint32_t capacity);

#endif
