#ifndef ACTORS_MCP_JS_NUMBER_H
#define ACTORS_MCP_JS_NUMBER_H

/* Numbers as JavaScript prints them. */

#include "io/codec/text.h"

/*
 * Appends the shortest decimal that reads back as the same double, in the form of JavaScript's
 * Number.toString: 0.30000000000000004, 1e+21, 1.5e-7, Infinity, NaN; -0 is 0.
 */
void trp_js_number(struct trp_text *out, double value);

#endif
