#ifndef TROUPE_STATUS_H
#define TROUPE_STATUS_H

/**
 * Results of public calls: code, name, text and JSON-RPC code in one list.
 *
 * TROUPE_OK is 0, every error is negative. Unless a function says otherwise its outputs are
 * untouched when it returns an error. A JSON-RPC code of 0 means that the status never reaches a
 * JSON-RPC client.
 *
 * Threads: any. Cost: O(1), no memory; the texts are static and live for ever.
 */

#ifdef __cplusplus
extern "C" {
#endif

/* X(name, value, text, JSON-RPC code) */
#define TROUPE_STATUS_LIST(X)                                                                      \
    X(TROUPE_OK, 0, "ok", 0)                                                                       \
    X(TROUPE_EBUSY, -1, "Server busy, please retry", -32000)                                       \
    X(TROUPE_ECLOSED, -2, "closed", -32000)                                                        \
    X(TROUPE_EDEAD, -3, "actor is dead", -32603)                                                   \
    X(TROUPE_EEXPIRED, -4, "deadline passed", -32603)                                              \
    X(TROUPE_ENOREPLY, -5, "request was dropped without a reply", -32603)                          \
    X(TROUPE_ENOMEM, -6, "out of memory or over the byte budget", -32603)                          \
    X(TROUPE_EINVAL, -7, "invalid argument", -32602)                                               \
    X(TROUPE_ETOOLARGE, -8, "too large", -32600)                                                   \
    X(TROUPE_EPROTO, -9, "protocol violation", -32600)                                             \
    X(TROUPE_EIO, -10, "input or output error", -32603)                                            \
    X(TROUPE_ENOTFOUND, -11, "not found", -32601)                                                  \
    X(TROUPE_EEXIST, -12, "exists already", -32603)                                                \
    X(TROUPE_ECANCELED, -13, "canceled", -32603)                                                   \
    X(TROUPE_EUNAVAIL, -14, "not available on this system", -32603)                                \
    X(TROUPE_EPARSE, -15, "malformed input", -32700)                                               \
    X(TROUPE_EAUTH, -16, "Unauthorized", -32000)

enum troupe_status {
#define TROUPE_STATUS_ENUM(name, value, text, rpc) name = (value),
    TROUPE_STATUS_LIST(TROUPE_STATUS_ENUM)
#undef TROUPE_STATUS_ENUM
};

/** Marks a result that must not be ignored. */
#define TROUPE_MUST_USE __attribute__((warn_unused_result))

/**
 * Marks a function as exported from the shared library; everything else is hidden.
 */
#define TROUPE_API __attribute__((visibility("default")))

/**
 * One line of English for a status, without a full stop.
 *
 * @return cstr, static; "unknown status" for a value outside the list
 */
TROUPE_API const char *troupe_status_text(enum troupe_status status);

/** The name of a status as written in C, for logs ("TROUPE_EBUSY"): cstr, static. */
TROUPE_API const char *troupe_status_name(enum troupe_status status);

/** The JSON-RPC error code for a status, 0 if it has none or is not in the list. */
TROUPE_API int troupe_status_jsonrpc(enum troupe_status status);

/**
 * Translates a kernel result (-errno, as io_uring gives it) into a status.
 *
 * @param[in] negative_errno  0 or a negative errno; a positive value counts as success
 * @return TROUPE_OK; what fits best of the list; TROUPE_EIO for everything without an entry of its
 *         own
 */
TROUPE_API enum troupe_status troupe_status_from_errno(int negative_errno);

#ifdef __cplusplus
}
#endif

#endif
