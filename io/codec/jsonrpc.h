#ifndef IO_CODEC_JSONRPC_H
#define IO_CODEC_JSONRPC_H

/*
 * JSON-RPC 2.0 as MCP uses it: telling messages apart, replacing ids and progress tokens inside the
 * raw bytes, and writing small messages. Everything that is not replaced is forwarded byte for
 * byte, so number spellings, escapes and unknown members survive.
 *
 * Pure: no allocation, no clock. Threads: any, each with its own documents and texts.
 */

#include "io/codec/json.h"
#include "io/codec/text.h"

#ifdef __cplusplus
extern "C" {
#endif

enum trp_jsonrpc_kind {
    TRP_JSONRPC_INVALID,      /* see problem; id is set when it could be made out */
    TRP_JSONRPC_REQUEST,      /* method, id */
    TRP_JSONRPC_NOTIFICATION, /* method, no id */
    TRP_JSONRPC_RESPONSE,     /* id and either result or error */
};

/*
 * One message. The nodes and `method` live as long as the document they came from; absent parts are
 * NULL. Raw bytes of a node, type preserved: trp_jsonrpc_raw.
 */
struct trp_jsonrpc {
    enum trp_jsonrpc_kind kind;
    const char *problem;       /* INVALID: a static text for the sender; otherwise NULL */
    struct troupe_span method; /* unescaped; empty for responses */

    /* A string or an integer; in an error response it may be null. */
    const struct trp_json_node *id;
    const struct trp_json_node *params; /* object or array */
    const struct trp_json_node *result; /* response: any value */
    const struct trp_json_node *error;  /* response: object with integer code and string message */

    /*
     * Request: params._meta.progressToken. notifications/progress: params.progressToken.
     * A string or an integer; null counts as absent.
     */
    const struct trp_json_node *token;

    /* notifications/cancelled: params.requestId, a string or an integer; null counts as absent. */
    const struct trp_json_node *request_id;
};

/*
 * Looks at a document as one message and returns msg->kind.
 *
 * INVALID: no object (batches included), jsonrpc not "2.0", an id that is neither string nor
 * integer of 64 bits, a method that is no string, params that are neither object nor array, a token
 * or requestId of another type, method together with result or error, both or none of result and
 * error, an error without integer code and string message; also any member named here that occurs
 * twice in its object: two readers could take different ones, so after a replacement the peers
 * would disagree.
 *
 * Cost: one look at the members of the message, of params and of _meta.
 */
enum trp_jsonrpc_kind trp_jsonrpc_read(struct trp_jsonrpc *msg, const struct trp_json_doc *doc);

/* Raw bytes of a node of the message; empty when the node is NULL. */
struct troupe_span trp_jsonrpc_raw(const struct trp_json_doc *doc,
                                   const struct trp_json_node *node);

/*
 * Appends a form of an id or token under which equal values are equal bytes: 'i' and the decimal
 * value, or 's' and the unescaped text. So "1" differs from 1, "\u0061" equals "a", -0 equals 0.
 * Writes nothing for NULL or another type. Keys may hold any byte, NUL included.
 */
void trp_jsonrpc_id_key(struct trp_text *out,
                        const struct trp_json_doc *doc,
                        const struct trp_json_node *node);

/* --- Replacing ---------------------------------------------------------------------------- */

enum { TRP_JSONRPC_PATCHES_MAX = 4 };

struct trp_jsonrpc_patch {
    const struct trp_json_node *node; /* a node of the document, whole */
    struct troupe_span with;          /* raw JSON that takes its place */
};

/*
 * Appends the message (without white space around it) with some nodes replaced, all other bytes as
 * they are. Patches may come in any order. The replacements must be JSON: they are not checked.
 *
 * TROUPE_OK (whether it fitted is out->overflow); TROUPE_EINVAL with nothing written: more than 4
 * patches, a node outside the document, two patches that overlap.
 */
enum troupe_status trp_jsonrpc_splice(struct trp_text *out,
                                      const struct trp_json_doc *doc,
                                      const struct trp_jsonrpc_patch *patches,
                                      size_t count) TROUPE_MUST_USE;

/*
 * Appends the message with our own number in place of its id, its token and its requestId, as far
 * as it has them; nothing is added. This is how requests, cancels and client progress go on.
 */
void trp_jsonrpc_renumber(struct trp_text *out,
                          const struct trp_json_doc *doc,
                          const struct trp_jsonrpc *msg,
                          uint64_t number);

/*
 * The way back: appends a response with this raw id, a progress notification with this raw token,
 * or a cancel with this raw requestId. A message that has none of them is copied.
 */
void trp_jsonrpc_restore(struct trp_text *out,
                         const struct trp_json_doc *doc,
                         const struct trp_jsonrpc *msg,
                         struct troupe_span raw);

/* --- JSON lines ---------------------------------------------------------------------------- */

/* True when the bytes hold a raw line feed or carriage return. */
bool trp_jsonrpc_has_newline(struct troupe_span json);

/*
 * Makes one line of a JSON text in place: line feeds and carriage returns become spaces. Only for
 * bytes that trp_json_read accepted (or made from such): there they occur between tokens only.
 */
void trp_jsonrpc_one_line(char *json, size_t len);

/* --- Writing ------------------------------------------------------------------------------- */

enum { TRP_JSONRPC_NO_RETRY = -1 };

/*
 * {"jsonrpc":"2.0","id":ID,"error":{"code":C,"message":M,"data":{"retryAfterMs":R}}}
 *
 * id: raw JSON, empty for null. message: UTF-8, escaped here. retry_after_ms: milliseconds, 0 or
 * more; negative leaves data out.
 */
void trp_jsonrpc_write_error(struct trp_text *out,
                             struct troupe_span id,
                             int code,
                             struct troupe_span message,
                             int64_t retry_after_ms);

/* {"jsonrpc":"2.0","id":ID,"result":RESULT}; both raw JSON, an empty id is written as null. */
void trp_jsonrpc_write_result(struct trp_text *out,
                              struct troupe_span id,
                              struct troupe_span result);

/* {"jsonrpc":"2.0","id":ID,"method":M,"params":P}; id and params raw, empty params left out. */
void trp_jsonrpc_write_request(struct trp_text *out,
                               struct troupe_span id,
                               struct troupe_span method,
                               struct troupe_span params);

/* {"jsonrpc":"2.0","method":M,"params":P}; params raw, left out when empty. */
void trp_jsonrpc_write_notification(struct trp_text *out,
                                    struct troupe_span method,
                                    struct troupe_span params);

#ifdef __cplusplus
}
#endif

#endif
