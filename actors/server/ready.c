#include "actors/server/ready.h"

#include "io/codec/text.h"

#include <unistd.h>

void trp_ready_print(const struct trp_ready *ready)
{
    char line[16384];
    struct trp_text text = trp_text_init(line, sizeof(line));
    trp_text_cstr(&text, "{\"event\":\"ready\"");
    if (ready->pubkey != NULL) {
        trp_text_cstr(&text, ",\"pubkey\":\"");
        trp_text_hex(&text, ready->pubkey, 32);
        trp_text_cstr(&text, "\"");
    }
    if (ready->relay_count != 0) {
        trp_text_cstr(&text, ",\"relays\":[");
        for (uint32_t i = 0; i < ready->relay_count; i++) {
            trp_text_cstr(&text, i == 0 ? "" : ",");
            trp_text_json(&text, troupe_span_cstr(ready->relays[i]));
        }
        trp_text_cstr(&text, "]");
    }
    trp_text_cstr(&text, ",\"workers\":");
    trp_text_u64(&text, ready->workers);
    trp_text_cstr(&text, "}\n");
    (void)!write(STDOUT_FILENO, line, text.len);
}
