/*
 * Receive buffers of one ring. The kernel picks one when bytes arrive, the completion names it, the
 * handler's turn ends with its return. Each buffer has a preallocated node, so delivering needs no
 * memory.
 */

#include "io/ring/ring.h"

#include <errno.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
/* A buffer that is with the kernel must not be read here; neither may bytes behind the padding. */
#define POISON(memory, len)   ASAN_POISON_MEMORY_REGION(memory, len)
#define UNPOISON(memory, len) ASAN_UNPOISON_MEMORY_REGION(memory, len)
#else
#define POISON(memory, len)   ((void)(memory), (void)(len))
#define UNPOISON(memory, len) ((void)(memory), (void)(len))
#endif

#define MEMORY_BYTES ((size_t)TROUPE_RING_BUFFERS * TRP_RING_STRIDE)
#define RING_BYTES   ((size_t)TROUPE_RING_BUFFERS * sizeof(struct io_uring_buf))

static uint8_t *buffer_at(const struct trp_ring_buffers *buffers, uint32_t buffer_id)
{
    TROUPE_ASSERT(buffer_id < TROUPE_RING_BUFFERS);
    return buffers->memory + (size_t)buffer_id * TRP_RING_STRIDE;
}

static void *map_pages(size_t bytes)
{
    return mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

int trp_ring_buffers_open(struct trp_ring *ring)
{
    struct trp_ring_buffers *buffers = &ring->buffers;
    int result;

    TROUPE_ASSERT(buffers->memory == NULL);
    void *memory = map_pages(MEMORY_BYTES);
    if (memory == MAP_FAILED) {
        return -errno;
    }
    void *shared = map_pages(RING_BYTES);
    if (shared == MAP_FAILED) {
        result = -errno;
        goto fail_shared;
    }
    struct io_uring_buf_reg registration = {
        .ring_addr = (uint64_t)(uintptr_t)shared,
        .ring_entries = TROUPE_RING_BUFFERS,
        .bgid = TRP_RING_BUFFER_GROUP,
    };
    result = io_uring_register_buf_ring(&ring->uring, &registration, 0);
    if (result < 0) {
        goto fail_register;
    }
    buffers->memory = memory;
    buffers->ring = shared;
    buffers->is_registered = true;
    io_uring_buf_ring_init(buffers->ring);
    for (uint32_t i = 0; i < TROUPE_RING_BUFFERS; i++) {
        struct trp_rx *rx = &buffers->rx[i];
        rx->msg.type = TRP_MSG_RX;
        rx->msg.flags = TROUPE_MSG_EMBEDDED | TROUPE_LANE_REPLY;
        rx->data = buffer_at(buffers, i);
        rx->buffer_id = i;
        trp_ring_buffer_give(ring, i);
    }
    trp_ring_buffers_publish(ring);
    return 0;

fail_register:
    munmap(shared, RING_BYTES);
fail_shared:
    munmap(memory, MEMORY_BYTES);
    return result;
}

void trp_ring_buffers_close(struct trp_ring *ring)
{
    struct trp_ring_buffers *buffers = &ring->buffers;

    if (!buffers->is_registered) {
        return;
    }
    UNPOISON(buffers->memory, MEMORY_BYTES);
    munmap(buffers->ring, RING_BYTES);
    munmap(buffers->memory, MEMORY_BYTES);
    buffers->ring = NULL;
    buffers->memory = NULL;
    buffers->is_registered = false;
}

struct trp_rx *trp_ring_buffer_take(struct trp_ring *ring, uint32_t buffer_id, uint32_t len)
{
    struct trp_ring_buffers *buffers = &ring->buffers;
    struct trp_rx *rx = &buffers->rx[buffer_id];

    TROUPE_ASSERT(buffer_id < TROUPE_RING_BUFFERS);
    TROUPE_ASSERT(buffers->free_count > 0);
    TROUPE_ASSERT(len <= TROUPE_RING_BUFFER_SIZE);
    buffers->free_count--;
    UNPOISON(rx->data, (size_t)len + TRP_RING_PADDING);
    rx->len = len;
    return rx;
}

void trp_ring_buffer_give(struct trp_ring *ring, uint32_t buffer_id)
{
    struct trp_ring_buffers *buffers = &ring->buffers;
    uint8_t *data = buffer_at(buffers, buffer_id);

    TROUPE_ASSERT(buffers->free_count + buffers->unpublished < TROUPE_RING_BUFFERS);
    POISON(data, TRP_RING_STRIDE);
    buffers->rx[buffer_id].op = NULL;
    io_uring_buf_ring_add(buffers->ring, data, TROUPE_RING_BUFFER_SIZE, (unsigned short)buffer_id,
                          io_uring_buf_ring_mask(TROUPE_RING_BUFFERS), (int)buffers->unpublished);
    buffers->unpublished++;
}

void trp_ring_buffers_publish(struct trp_ring *ring)
{
    struct trp_ring_buffers *buffers = &ring->buffers;

    if (buffers->unpublished > 0) {
        io_uring_buf_ring_advance(buffers->ring, (int)buffers->unpublished);
        buffers->free_count += buffers->unpublished;
        buffers->unpublished = 0;
    }
    TROUPE_ASSERT(buffers->free_count <= TROUPE_RING_BUFFERS);
}
