#include "actors/mcp/js_number.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Shortest digits d1d2..dn with value = 0.d1d2..dn * 10^point; returns n. */
static int shortest_digits(double value, char digits[32], int *point)
{
    char text[64];
    for (int precision = 0; precision < 17; precision++) {
        (void)snprintf(text, sizeof(text), "%.*e", precision, value);
        if (strtod(text, NULL) == value || precision == 16) {
            break;
        }
    }
    int count = 0;
    const char *it = text;
    for (; *it != 'e'; it++) {
        if (*it >= '0' && *it <= '9') {
            digits[count++] = *it;
        }
    }
    *point = (int)strtol(it + 1, NULL, 10) + 1;
    return count;
}

static void zeros(struct trp_text *out, int count)
{
    for (int i = 0; i < count; i++) {
        trp_text_cstr(out, "0");
    }
}

static void scientific(struct trp_text *out, const char *digits, int count, int point)
{
    trp_text_bytes(out, digits, 1);
    if (count > 1) {
        trp_text_cstr(out, ".");
        trp_text_bytes(out, digits + 1, (size_t)count - 1);
    }
    trp_text_cstr(out, point - 1 < 0 ? "e-" : "e+");
    trp_text_u64(out, (uint64_t)abs(point - 1));
}

void trp_js_number(struct trp_text *out, double value)
{
    char digits[32];
    int point = 0;
    if (isnan(value)) {
        trp_text_cstr(out, "NaN");
        return;
    }
    if (value < 0) {
        trp_text_cstr(out, "-");
        value = -value;
    }
    if (isinf(value)) {
        trp_text_cstr(out, "Infinity");
        return;
    }
    if (!(value > 0)) {
        trp_text_cstr(out, "0");
        return;
    }
    int count = shortest_digits(value, digits, &point);
    if (point > 21 || point < -5) {
        scientific(out, digits, count, point);
    } else if (point <= 0) {
        trp_text_cstr(out, "0.");
        zeros(out, -point);
        trp_text_bytes(out, digits, (size_t)count);
    } else if (point >= count) {
        trp_text_bytes(out, digits, (size_t)count);
        zeros(out, point - count);
    } else {
        trp_text_bytes(out, digits, (size_t)point);
        trp_text_cstr(out, ".");
        trp_text_bytes(out, digits + point, (size_t)(count - point));
    }
}
