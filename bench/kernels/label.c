#include "bench/kernels/label.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static bool is_at(const char *text, const char *word)
{
    return strncmp(text, word, strlen(word)) == 0;
}

/* What stands for the word at the beginning of text; how long that word is. */
static size_t write_piece(char *out, size_t cap, const char *text, const struct trp_label *label)
{
    if (is_at(text, "{n}")) {
        snprintf(out, cap, "%" PRIu64, label->amount);
        return strlen("{n}");
    }
    if (is_at(text, "{each}")) {
        snprintf(out, cap, "%" PRIu64, label->amount / (label->actors != 0 ? label->actors : 1));
        return strlen("{each}");
    }
    if (is_at(text, "{time}")) {
        snprintf(out, cap, "%g s", (double)label->time_ns / 1e9);
        return strlen("{time}");
    }
    snprintf(out, cap, "%c", text[0]);
    return 1;
}

void trp_label_write(char *out, size_t cap, const char *text, const struct trp_label *label)
{
    size_t len = 0;
    out[0] = '\0';
    while (text[0] != '\0' && len + 1 < cap) {
        text += write_piece(out + len, cap - len, text, label);
        len += strlen(out + len);
    }
}
