#include "io/codec/nostr_error.h"

#include <stdio.h>

void trp_nostr_error_set(struct trp_nostr_error *error, const char *subject, const char *what)
{
    if (error == NULL) {
        return;
    }
    if (subject == NULL) {
        (void)snprintf(error->text, sizeof(error->text), "%s", what);
    } else {
        (void)snprintf(error->text, sizeof(error->text), "%s: %s", subject, what);
    }
}
