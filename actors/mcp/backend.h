#ifndef ACTORS_MCP_BACKEND_H
#define ACTORS_MCP_BACKEND_H

/*
 * What answers MCP clients. A backend instance is an actor on the worker of its user (the client
 * actor; for a shared backend: wherever it lives). The two exchange whole JSON-RPC texts:
 *
 *   user -> instance   TRP_BACKEND_MSG_SEND      a text towards the server
 *   instance -> user   TRP_BACKEND_MSG_TEXT      a validated JSON-RPC text from the server
 *   instance -> user   TRP_BACKEND_MSG_READY     it runs (for limits and metrics; texts sent before
 *                                                are kept in order)
 *   instance -> user   TRP_BACKEND_MSG_DOWN      it is gone; the last message, exactly once
 *   user -> instance   TRP_BACKEND_MSG_KILL      end now, without grace; no DOWN follows
 *
 * The user ends an instance with troupe_stop (its process gets a grace) or with KILL; no DOWN
 * follows then. Requests carry the user's own integer ids ("routes"), so an instance never sees two
 * equal ids. What an instance cannot hand over because its user's mailbox is full it keeps in order
 * and tries again.
 */

#include <troupe/actor.h>

enum {
    TRP_BACKEND_MSG_SEND = 0x200,
    TRP_BACKEND_MSG_TEXT = 0x201,
    TRP_BACKEND_MSG_READY = 0x202,
    TRP_BACKEND_MSG_DOWN = 0x203,
    TRP_BACKEND_MSG_KILL = 0x204, /* no payload */
};

/*
 * Payload of SEND and TEXT: the message owns a reference of buf. A SEND is the only owner: the
 * instance may change the bytes, and the one behind the text when the buffer's capacity has it.
 * A TEXT may be shared and is read-only.
 */
struct trp_backend_text {
    struct troupe_buf *buf; /* first: released with the message */
    uint32_t offset;        /* the text inside buf, without a line end */
    uint32_t len;
};

#define TRP_BACKEND_REASON_MAX 160u

/* Payload of DOWN. */
struct trp_backend_down {
    bool was_early;          /* ended within 10 s of its start: the command goes into backoff */
    bool is_busy;            /* there was no place for it: requests are answered busy, not failed */
    uint32_t retry_after_ms; /* 0 = no hint */
    char reason[TRP_BACKEND_REASON_MAX]; /* for the log and the client, cstr */
};

/* What init of an instance gets. */
struct trp_backend_arg {
    troupe_ref user;     /* who gets the messages */
    uint8_t client[32];  /* key of the client; zero for a shared instance */
    uint32_t instance;   /* number of the instance, unique in the server run */
    void *backend_state; /* of the kind of backend */
};

/* A kind of backend, set up once at startup. */
struct trp_backend {
    const char *name;
    const struct troupe_actor_type *type; /* actor of an instance; its arg is trp_backend_arg */
    void *backend_state;
    bool is_shared; /* one instance for all clients */
};

#endif
