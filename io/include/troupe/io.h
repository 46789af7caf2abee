#ifndef TROUPE_IO_H
#define TROUPE_IO_H

/**
 * The ring driver: workers wait for sockets, pipes, timers and each other in io_uring.
 *
 *     struct troupe_pool_config config = {.driver = troupe_ring_driver()};
 *
 * Each worker owns one ring and TROUPE_RING_BUFFERS receive buffers; nothing is allocated after the
 * pool has started. Needs Linux 6.1 or newer, and a container that lets io_uring through. SIGPIPE
 * is blocked on worker threads: writing to a closed pipe is a result (-EPIPE), never a signal.
 */

#include <troupe/pool.h>

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Receive buffers of one worker and their size in bytes. The number is fixed: a worker's turn holds
 * few of them, because a handler gives its buffer back when it returns. When all are lent, armed
 * receives pause and go on by themselves.
 */
#define TROUPE_RING_BUFFERS     256u
#define TROUPE_RING_BUFFER_SIZE 4096u

/** Bytes that an error text of this driver needs at most, with its NUL. */
#define TROUPE_RING_ERROR_MAX 256u

/**
 * The driver for programs with sockets and pipes: static, lives for ever. Whether it works here is
 * found out by troupe_pool_start, or before that by troupe_ring_probe. Threads: any. Cost: none.
 */
TROUPE_API const struct troupe_driver *troupe_ring_driver(void);

/**
 * Finds out whether the ring driver would work here: builds a ring with its buffers, receives one
 * byte through it, takes it down again. The same is done for every worker at troupe_pool_start.
 *
 * @param[out] error  cause and remedy, cstr, cut at error_cap; written on failure; optional
 * @param[in] error_cap  bytes at error; TROUPE_RING_ERROR_MAX is enough for every text
 * @return TROUPE_OK; TROUPE_EUNAVAIL when the kernel, a container or a setting refuses it;
 *         TROUPE_ENOMEM when locked memory is too small; TROUPE_EIO for anything else
 * Threads: any but a worker's: it may block for a moment. Cost: about ten system calls
 */
TROUPE_API enum troupe_status troupe_ring_probe(char *error, size_t error_cap) TROUPE_MUST_USE;

#ifdef __cplusplus
}
#endif

#endif
