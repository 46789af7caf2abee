#ifndef TROUPE_MSG_H
#define TROUPE_MSG_H

/**
 * Messages: a 32-byte header and up to 1 KiB of payload in one slab node; more travels in a counted
 * buffer that the message owns.
 *
 * A message has one owner. Sending takes `struct troupe_msg **`: on success the callee owns it and
 * the pointer is NULL; on any failure it is unchanged and still the caller's. A handler borrows its
 * message; the worker frees it after the handler returned, unless the handler kept it
 * (troupe_msg_take) or sent it on. A payload is read-only once sent, except for its new owner.
 *
 * The calls below read a message that the caller owns or borrows.
 * Threads: the owner's, or the handler's that borrows it. Cost: none.
 */

#include <troupe/buf.h>
#include <troupe/span.h>
#include <troupe/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Handle of an actor: worker, slot and generation in 64 bits. A plain value: copy, store and send
 * it freely; it stays safe to use after the actor died. 0 names nobody.
 */
typedef uint64_t troupe_ref;

#define TROUPE_NOBODY ((troupe_ref)0)

/**
 * Where a message waits. Users send data and replies; control belongs to the runtime. Control comes
 * before replies and replies before data, but after 7 control messages in a row another one has its
 * turn, and after 15 replies a data message: no lane starves.
 */
enum troupe_lane {
    TROUPE_LANE_DATA = 0,    /**< bounded by count and bytes of the actor's type */
    TROUPE_LANE_REPLY = 1,   /**< never refused: replies, timers, I/O completions */
    TROUPE_LANE_CONTROL = 2, /**< never refused: stop, drain, kill, DOWN */
};

/** Largest payload inside a message, bytes. */
#define TROUPE_MSG_PAYLOAD_MAX 1024u

/** Types from here on belong to the runtime; users number theirs below. */
#define TROUPE_MSG_RESERVED 0xF000u

/** Message flags; all but TROUPE_MSG_OWNS_BUF are private to the runtime. */
enum {
    TROUPE_MSG_LANE_MASK = 0x03,
    TROUPE_MSG_OWNS_BUF = 0x04, /**< the payload's first member is a `struct troupe_buf *` that the
                                     message owns: released with it (NULL is fine) */
    TROUPE_MSG_EMBEDDED = 0x08, /**< node inside another object: never freed by itself */
    TROUPE_MSG_EXTENDED = 0x10, /**< 16 bytes of deadline and ask id before the payload */
    TROUPE_MSG_ASK = 0x20,      /**< the sender waits for an answer */
    TROUPE_MSG_REPLY = 0x40,    /**< this is the answer to an ask */
    TROUPE_MSG_OWNS_MSG = 0x80, /**< the payload's first member is a `struct troupe_msg *` that the
                                     message carries: freed, weighed and reported with it */
};

struct troupe_msg {
    struct troupe_msg *next; /**< private: queue link */
    troupe_ref to;           /**< receiver, set by send */
    troupe_ref from;         /**< sender, set by send; TROUPE_NOBODY from a foreign thread */
    uint16_t type;           /**< what it means, chosen by the sender */
    uint8_t flags;           /**< see above */
    uint8_t size_class;      /**< private */
    uint32_t size;           /**< bytes of payload */
};

/** What an extended message carries between header and payload; private to the runtime. */
struct troupe_msg_extension {
    uint64_t deadline_ns; /* 0 = none; in an answer: the status */
    uint64_t ask;         /* slot and generation of the pending ask, 0 = none */
};

/**
 * The payload of a message: `size` bytes, aligned to 16 bytes. Lives as long as the message is the
 * caller's; sending ends that.
 */
static inline void *troupe_msg_data(const struct troupe_msg *msg)
{
    /* The flag's value is the size of the extension: no branch. */
    return (char *)(uintptr_t)(msg + 1) + (msg->flags & TROUPE_MSG_EXTENDED);
}

/** The payload as a span, which lives as long. */
static inline struct troupe_span troupe_msg_span(const struct troupe_msg *msg)
{
    return troupe_span(troupe_msg_data(msg), msg->size);
}

/**
 * The buffer that a message with TROUPE_MSG_OWNS_BUF carries, otherwise NULL. Borrowed from the
 * message: who keeps it longer retains it.
 */
static inline struct troupe_buf *troupe_msg_buf(const struct troupe_msg *msg)
{
    return (msg->flags & TROUPE_MSG_OWNS_BUF) != 0 ? *(struct troupe_buf **)troupe_msg_data(msg)
                                                   : (struct troupe_buf *)0;
}

/** The lane a message came on; of one that was not sent yet it says nothing. */
static inline enum troupe_lane troupe_msg_lane(const struct troupe_msg *msg)
{
    return (enum troupe_lane)(msg->flags & TROUPE_MSG_LANE_MASK);
}

#ifdef __cplusplus
}
#endif

#endif
