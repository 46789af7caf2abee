#ifndef MAILBOX_LANE_H
#define MAILBOX_LANE_H

/*
 * A lane: a private first-in-first-out queue of messages, one pointer wide (the tail of a circular
 * list). No atomics: only its actor's worker touches it.
 */

#include <troupe/msg.h>

struct trp_lane {
    struct troupe_msg *tail; /* newest; tail->next is the oldest; NULL = empty */
};

static inline bool trp_lane_is_empty(const struct trp_lane *lane)
{
    return lane->tail == NULL;
}

static inline void trp_lane_push(struct trp_lane *lane, struct troupe_msg *msg)
{
    if (lane->tail == NULL) {
        msg->next = msg;
    } else {
        msg->next = lane->tail->next;
        lane->tail->next = msg;
    }
    lane->tail = msg;
}

static inline struct troupe_msg *trp_lane_pop(struct trp_lane *lane)
{
    struct troupe_msg *tail = lane->tail;
    if (tail == NULL) {
        return NULL;
    }
    struct troupe_msg *oldest = tail->next;
    if (oldest == tail) {
        lane->tail = NULL;
    } else {
        tail->next = oldest->next;
    }
    return oldest;
}

/* Cost: O(length). */
static inline uint32_t trp_lane_length(const struct trp_lane *lane)
{
    uint32_t length = 0;
    if (lane->tail != NULL) {
        const struct troupe_msg *msg = lane->tail;
        do {
            length++;
            msg = msg->next;
        } while (msg != lane->tail);
    }
    return length;
}

/* Takes one message out of the middle; false when it is not there. Cost: O(length). */
static inline bool trp_lane_remove(struct trp_lane *lane, struct troupe_msg *msg)
{
    struct troupe_msg *before = lane->tail;
    if (before == NULL) {
        return false;
    }
    do {
        if (before->next == msg) {
            if (msg == before) {
                lane->tail = NULL;
            } else {
                before->next = msg->next;
                if (lane->tail == msg) {
                    lane->tail = before;
                }
            }
            return true;
        }
        before = before->next;
    } while (before != lane->tail);
    return false;
}

#endif
