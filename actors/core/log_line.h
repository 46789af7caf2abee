#ifndef ACTORS_CORE_LOG_LINE_H
#define ACTORS_CORE_LOG_LINE_H

/** Building one log line in a bounded buffer. Pure: no clock, no descriptor, no shared state. */

#include "actors/core/log.h"

struct trp_log_line {
    char text[TRP_LOG_LINE_MAX];
    size_t len;
    enum trp_log_format format;
    bool is_truncated;
};

/** Starts a line; a leading newline ends a line that an earlier write left torn. */
void trp_log_line_begin(struct trp_log_line *line, enum trp_log_format format, bool after_torn);

/** Appends ts=, RFC 3339 in UTC with microseconds. @param[in] now_ns  ns since 1970 */
void trp_log_line_time(struct trp_log_line *line, uint64_t now_ns);

/** Appends one field. Once something was cut, further fields are left out. */
void trp_log_line_field(struct trp_log_line *line, const struct trp_log_field *field);

/** Adds the truncation mark if needed and the newline; text[0..len) is then the line. */
void trp_log_line_end(struct trp_log_line *line);

#endif
