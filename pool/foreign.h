#ifndef POOL_FOREIGN_H
#define POOL_FOREIGN_H

/* What pool.c asks of the threads that are no workers: ports and offload threads. */

#include <troupe/pool.h>

/* Sends of ports, open or closed, that were answered TROUPE_EBUSY. Threads: any. */
uint64_t trp_ports_refused(struct troupe_pool *pool);

/* True on an offload thread of this pool, that is inside a work_cb or the dead-letter hook. */
bool trp_offload_is_own_thread(struct troupe_pool *pool);

#endif
