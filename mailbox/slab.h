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

#include <troupe/buf.h>
#include <troupe/msg.h>

#define TRP_SLAB_CHUNK_BYTES (256u << 10)
#define TRP_SLAB_CLASSES     12u
#define TRP_SLAB_NODE_MAX    66048u /* largest node: 64 KiB plus headers and padding */
#define TRP_SLAB_BOUNCE_MAX  32u
#define TRP_SLAB_BOUNCES     8u

/* A free node. */
struct trp_slab_node {
    struct trp_slab_node *next;
};

struct trp_heap;

/* Foreign nodes gathered for one owner, linked newest first. */
struct trp_slab_bounce {
    struct trp_heap *owner;
    struct trp_slab_node *newest;
    struct trp_slab_node *oldest;
    uint32_t count;
};

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
    uint64_t freed_bytes; /* given back since the last vain search for an empty chunk */
};

/* The heap of the running thread (set by the worker loop, the port, the simulation), or NULL. */
extern __thread struct trp_heap *trp_heap_current;

void trp_heap_init(struct trp_heap *heap, uint64_t budget_bytes);

/* Unmaps every chunk. All its nodes must be dead: nobody may touch them any more. */
void trp_heap_fini(struct trp_heap *heap);

/* At least `bytes` (at most TRP_SLAB_NODE_MAX), 16-byte aligned; NULL over the budget. */
void *trp_heap_alloc(struct trp_heap *heap, size_t bytes);

/* Gives a node back to whoever owns it. Threads: any. */
void trp_heap_free(void *node);

/* Sends gathered foreign nodes home and takes in one's own. Called before parking. */
void trp_heap_settle(struct trp_heap *heap);

/* --- messages and buffers on top --- */

/* A message with `size` payload bytes; extended = room for deadline and ask id. NULL over budget.
 */
struct troupe_msg *
trp_msg_alloc(struct trp_heap *heap, uint16_t type, uint32_t size, bool is_extended);

/* Payload bytes that fit into the node of this message. */
uint32_t trp_msg_room(const struct troupe_msg *msg);

/* The message that a message with TROUPE_MSG_OWNS_MSG carries, otherwise NULL; it carries none. */
static inline struct troupe_msg *trp_msg_carried(const struct troupe_msg *msg)
{
    return (msg->flags & TROUPE_MSG_OWNS_MSG) != 0 ? *(struct troupe_msg **)troupe_msg_data(msg)
                                                   : NULL;
}

/* Releases the buffer or message it owns and frees the node, unless embedded. Threads: any. */
void trp_msg_free(struct troupe_msg *msg);

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
