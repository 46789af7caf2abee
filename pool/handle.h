#ifndef POOL_HANDLE_H
#define POOL_HANDLE_H

/* What more than one file needs to hand a message over; the calls themselves are in worker.h. */

#include "pool/worker.h"

/*
 * True for a data message whose deadline has passed. In an answer that place holds a status. The
 * clock is read for it: what the turn goes by may be old after slow handlers.
 */
static inline bool trp_is_expired(struct trp_worker *worker, const struct troupe_msg *msg)
{
    if ((msg->flags & TROUPE_MSG_EXTENDED) == 0 || troupe_msg_lane(msg) != TROUPE_LANE_DATA) {
        return false;
    }
    uint64_t deadline_ns = ((const struct troupe_msg_extension *)(msg + 1))->deadline_ns;
    if (deadline_ns == 0) {
        return false;
    }
    trp_worker_read_clock(worker);
    return worker->now_ns >= deadline_ns;
}

#endif
