#ifndef TRP_PROCESS_SPAWNER_PROTO_H
#define TRP_PROCESS_SPAWNER_PROTO_H

/**
 * Packets between the server and its spawner.
 *
 * One packet of a SOCK_SEQPACKET pair is one request or one event, in the byte order of the
 * machine: both ends are the same program. Encoding and decoding are pure. The spawner trusts no
 * length it reads: a server that went wrong must not take its cleaner with it.
 *
 *   head     u32 type, u32 length of the whole packet, u64 request id
 *   SPAWN    head, u32 argc, u32 envc, u32 has cwd, u32 stderr mode, then NUL-ended texts
 *   STOP     head, u32 grace in milliseconds
 *   KILL     head
 *   STARTED  head, i32 pid; with SCM_RIGHTS: stdin, stdout and, if piped, stderr
 *   FAILED   head, i32 errno, text to the end of the packet
 *   EXITED   head, u32 exit kind, i32 value
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include <troupe/status.h>

#include "io/process/spawner.h"

enum trp_spawn_packet_type {
    TRP_SPAWN_PACKET_SPAWN = 1,
    TRP_SPAWN_PACKET_STOP = 2,
    TRP_SPAWN_PACKET_KILL = 3,
    TRP_SPAWN_PACKET_STARTED = 17,
    TRP_SPAWN_PACKET_FAILED = 18,
    TRP_SPAWN_PACKET_EXITED = 19,
};

struct trp_spawn_head {
    uint32_t type;
    uint32_t length;
    uint64_t id;
};

/** The fixed part of SPAWN. */
struct trp_spawn_body {
    uint32_t argc;
    uint32_t envc;
    uint32_t has_cwd;
    uint32_t stderr_mode;
};

/* argv, environment, working directory, head and body */
#define TRP_SPAWN_PACKET_MAX                                                                       \
    (TRP_SPAWN_ARGV_BYTES_MAX + TRP_SPAWN_ENV_BYTES_MAX + TRP_SPAWN_CWD_BYTES_MAX + 64u)
#define TRP_SPAWN_EVENT_MAX (32u + TRP_SPAWN_TEXT_MAX)
#define TRP_SPAWN_IOV_MAX   (TRP_SPAWN_ARGC_MAX + TRP_SPAWN_ENVC_MAX + 3u)
#define TRP_SPAWN_FDS_MAX   3u

/** A SPAWN ready for sendmsg: the texts are borrowed from the request. Address-bound. */
struct trp_spawn_encoding {
    struct trp_spawn_head head;
    struct trp_spawn_body body;
    struct iovec iov[TRP_SPAWN_IOV_MAX];
    size_t iov_count;
};

/** A decoded request; the texts lie in the packet. argv ends with NULL. */
struct trp_spawn_order {
    enum trp_spawn_packet_type type; /* SPAWN, STOP or KILL */
    uint64_t id;
    char *argv[TRP_SPAWN_ARGC_MAX + 1];
    char *env[TRP_SPAWN_ENVC_MAX];
    uint32_t argc;
    uint32_t envc;
    char *cwd; /* NULL: the server's */
    enum trp_spawn_stderr stderr_mode;
    uint32_t grace_ms;
};

/**
 * Checks a request against every limit and lays it out.
 *
 * @return TROUPE_OK; TROUPE_EINVAL for no or an empty program, a variable without a name, an empty
 *         cwd, an unknown stderr mode; TROUPE_ETOOLARGE beyond a limit
 */
TROUPE_MUST_USE enum troupe_status trp_spawn_encode(struct trp_spawn_encoding *out,
                                                    uint64_t id,
                                                    const struct trp_spawn_request *request);

/**
 * Reads a request.
 *
 * @param[out]    order   the request; on TROUPE_EPROTO only type and id may be used, and only when
 *                        *has_id is true
 * @param[out]    has_id  whether the packet was a SPAWN with a readable head, so that it can be
 *                        answered
 * @param[in,out] packet  bytes, borrowed by the order
 * @return TROUPE_OK; TROUPE_EPROTO when malformed
 */
TROUPE_MUST_USE enum troupe_status
trp_spawn_order_decode(struct trp_spawn_order *order, bool *has_id, char *packet, size_t len);

/**
 * Writes an event, without its descriptors. A text too long is cut.
 *
 * @param[out] packet  u8[TRP_SPAWN_EVENT_MAX]
 * @return its length in bytes
 */
size_t trp_spawn_event_encode(char *packet, const struct trp_spawn_event *event);

/** Reads an event; the descriptors become -1. TROUPE_EPROTO when malformed, out untouched. */
TROUPE_MUST_USE enum troupe_status
trp_spawn_event_decode(struct trp_spawn_event *event, const char *packet, size_t len);

#endif
