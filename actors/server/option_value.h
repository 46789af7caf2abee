#ifndef ACTORS_SERVER_OPTION_VALUE_H
#define ACTORS_SERVER_OPTION_VALUE_H

/** Reading the value of one option. */

#include "actors/server/option_table.h"

/** Appends formatted text; what does not fit is cut. */
void trp_option_text_add(struct trp_option_text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/** Appends a number of nanoseconds as decimal seconds without needless zeros: "0.5". */
void trp_option_text_add_seconds(struct trp_option_text *text, uint64_t ns);

/**
 * Reads a value into the option's member.
 *
 * @param[in,out] options  written on success only
 * @param[in,out] why      on failure what was expected, appended without a newline
 * @param[in] value        any bytes; an address that is kept for texts
 * @return false if the value is not one that the option takes
 */
bool trp_option_value_set(struct trp_options *options,
                          struct trp_option_text *why,
                          const struct trp_option_row *row,
                          const char *value);

/** Reads exactly 64 hex digits of either case. */
bool trp_option_hex32(uint8_t out[32], const char *text);

#endif
