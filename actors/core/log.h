#ifndef ACTORS_CORE_LOG_H
#define ACTORS_CORE_LOG_H

/**
 * Logging for the service layer: one line per event, written with one write(2) to standard error.
 *
 *     trp_log_warn("relay refused the event", trp_log_str("relay", url), trp_log_client(key));
 *
 * gives, as logfmt,
 *
 *     ts=2026-01-31T12:00:00.000123Z level=warn msg="relay refused the event" worker=1
 *     relay=ws://127.0.0.1:7447 client=0badc0de
 *
 * (on one line) or one JSON object with the same keys in the same order. Keys are literals of ours;
 * values may come from outside: they are escaped, so no value can start a line, end a quoted text,
 * send a terminal escape or produce invalid UTF-8.
 *
 * Limits. A line is at most TRP_LOG_LINE_MAX bytes; what does not fit is cut and the line ends with
 * truncated=true. One place in the source writes at most TRP_LOG_BURST lines per second; what it
 * suppressed is counted and printed with its next line (suppressed=N) or by
 * trp_log_flush_suppressed(). A line that would have to wait for the reader of standard error is
 * dropped and counted, and the next line that gets through says dropped=N.
 *
 * Threads: everything here may be called from any thread, except where "startup" is said. Cost of a
 * call below the level: one load. Cost of a line: about 4 KiB of stack, no allocation, two system
 * calls (poll, write).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <troupe/status.h>

/** Longest line with its newline, bytes. Equal to PIPE_BUF: a line on a pipe is never interleaved.
 */
#define TRP_LOG_LINE_MAX 4096
/** Lines per second and call site before suppression starts. */
#define TRP_LOG_BURST 20u

enum trp_log_level { TRP_LOG_DEBUG, TRP_LOG_INFO, TRP_LOG_WARN, TRP_LOG_ERROR };
enum trp_log_format { TRP_LOG_LOGFMT, TRP_LOG_JSON };

/** How and where lines go. */
struct trp_log_config {
    enum trp_log_format format;
    enum trp_log_level level; /* lines below it are not made */
    int fd;                   /* usually STDERR_FILENO */
    uint64_t (*now_ns)(void); /* wall clock, ns since 1970; NULL = CLOCK_REALTIME */
};

/** What happened to the lines so far. */
struct trp_log_counters {
    uint64_t written;    /* lines that went out whole */
    uint64_t suppressed; /* over the rate of their call site */
    uint64_t dropped;    /* the reader was slow, gone, or took a part only */
};

/** A call site's own rate window; made by the macros, zero at first. */
struct trp_log_site {
    uint64_t window_ns;        /* start of the running second */
    uint64_t count;            /* lines asked for in it */
    uint64_t suppressed;       /* not yet printed */
    uint32_t is_listed;        /* 1 once in the list that the flush walks */
    uint32_t level;            /* written before listing */
    const char *message;       /* as above */
    struct trp_log_site *next; /* as above */
};

enum trp_log_kind {
    TRP_LOG_KIND_END, /* no more fields */
    TRP_LOG_KIND_TEXT,
    TRP_LOG_KIND_U64,
    TRP_LOG_KIND_I64,
    TRP_LOG_KIND_BOOL,
    TRP_LOG_KIND_HEX,
};

/** One key=value; borrowed for the duration of the call. */
struct trp_log_field {
    const char *key; /* literal: letters, digits, '_' */
    enum trp_log_kind kind;
    uint32_t hex_digits; /* of TRP_LOG_KIND_HEX: how many to print */
    union {
        uint64_t u64;
        int64_t i64;
        struct {
            const void *data;
            size_t len;
        } bytes;
    } value;
};

/**
 * Sets format, level, descriptor and clock. Without it: logfmt, info, standard error.
 *
 * Threads: startup (before other threads log)
 */
void trp_log_init(const struct trp_log_config *config);

/** Switches the level at run time. Threads: any */
void trp_log_set_level(enum trp_log_level level);

/** True when a line of this level would be made. Threads: any */
bool trp_log_is_enabled(enum trp_log_level level);

/** Names the calling thread in its lines (worker=N); negative takes the name away. Threads: any */
void trp_log_set_worker(int worker);

/**
 * Prints one line for every call site that still has suppressed lines to report; these lines are
 * not rate-limited themselves. Call it at the end and now and then (once a minute).
 *
 * Threads: any
 */
void trp_log_flush_suppressed(void);

/** Reads the counters. Threads: any (values of different counters may be of different moments) */
void trp_log_counters(struct trp_log_counters *out);

/** @return false, out untouched, if the text is not debug, info, warn or error. Threads: any */
bool trp_log_level_parse(enum trp_log_level *out, const char *text);

/** "debug", "info", "warn" or "error". Threads: any */
const char *trp_log_level_name(enum trp_log_level level);

/** Writes one line if the site's rate allows it. Use the macros. */
void trp_log_write(struct trp_log_site *site,
                   enum trp_log_level level,
                   const char *message,
                   const struct trp_log_field *fields);

/** A NUL-terminated text; NULL prints as empty. */
struct trp_log_field trp_log_str(const char *key, const char *text);
/** Bytes of any content. */
struct trp_log_field trp_log_bytes(const char *key, const void *data, size_t len);
struct trp_log_field trp_log_u64(const char *key, uint64_t value);
struct trp_log_field trp_log_i64(const char *key, int64_t value);
struct trp_log_field trp_log_bool(const char *key, bool value);
/** Bytes as lower-case hex digits, at most 64 bytes of them. */
struct trp_log_field trp_log_hex(const char *key, const void *data, size_t len);
/** client=, the first 8 hex digits of a client's 32-byte key. */
struct trp_log_field trp_log_client(const uint8_t *key);
/** err=, the text of a status. */
struct trp_log_field trp_log_status(enum troupe_status status);
/** err=, the text of an errno of either sign. */
struct trp_log_field trp_log_errno(int error);
/** Ends a list of fields; the macros add it. */
struct trp_log_field trp_log_end(void);

/* Each use has its own site; the arguments are evaluated only when the level is enabled. */
#define TRP_LOG_AT_LEVEL(level, message, ...)                                                      \
    do {                                                                                           \
        if (trp_log_is_enabled(level)) {                                                           \
            static struct trp_log_site trp_log_site_here;                                          \
            trp_log_write(&trp_log_site_here, (level), (message),                                  \
                          (const struct trp_log_field[]){__VA_ARGS__});                            \
        }                                                                                          \
    } while (0)

/** trp_log_warn("message", fields...): the message is a literal, zero or more fields follow it. */
#define trp_log_debug(...) TRP_LOG_AT_LEVEL(TRP_LOG_DEBUG, __VA_ARGS__, trp_log_end())
#define trp_log_info(...)  TRP_LOG_AT_LEVEL(TRP_LOG_INFO, __VA_ARGS__, trp_log_end())
#define trp_log_warn(...)  TRP_LOG_AT_LEVEL(TRP_LOG_WARN, __VA_ARGS__, trp_log_end())
#define trp_log_error(...) TRP_LOG_AT_LEVEL(TRP_LOG_ERROR, __VA_ARGS__, trp_log_end())

#endif
