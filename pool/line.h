#ifndef POOL_LINE_H
#define POOL_LINE_H

/*
 * Lines of text for the worst moments: built on the caller's stack and written with write(2) only.
 * No memory, no stdio, no locale, errno untouched: usable in signal handlers and after a failed
 * assertion.
 *
 * A line longer than the buffer is written in pieces, so nothing is cut off but names (at most
 * TRP_LINE_NAME_MAX characters of one).
 */

#include <stdint.h>

#define TRP_LINE_NAME_MAX 64u

struct trp_line {
    int fd;
    uint32_t used;
    char text[400];
};

void trp_line_init(struct trp_line *line, int fd);

/* A text of the program's own, cstr. */
void trp_line_text(struct trp_line *line, const char *text);

/* A name given by the user, cstr or NULL: cut off, unprintable bytes replaced. */
void trp_line_name(struct trp_line *line, const char *name);

/* A number, at least `width` digits (at most 20), filled up with zeros. */
void trp_line_number(struct trp_line *line, uint64_t number, uint32_t width);

/* An actor as worker/slot.generation; "nobody" for 0. */
void trp_line_ref(struct trp_line *line, uint64_t ref);

/* Microseconds as seconds with six places. */
void trp_line_seconds(struct trp_line *line, uint64_t us);

/* Ends the line and writes it; what cannot be written is given up. */
void trp_line_end(struct trp_line *line);

#endif
