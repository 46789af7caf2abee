#ifndef IO_CODEC_NOSTR_ERROR_H
#define IO_CODEC_NOSTR_ERROR_H

/*
 * Why a Nostr event, filter or message was refused: one short line that names the member, fit to be
 * sent back to the peer after "invalid: ". Holds nothing the peer sent except single letters.
 */

#include <troupe/status.h>

struct trp_nostr_error {
    char text[96]; /* NUL-terminated, no full stop */
};

/*
 * Writes "<what>" or, with a subject, "<subject>: <what>" (cut when too long). error and subject
 * are optional.
 */
void trp_nostr_error_set(struct trp_nostr_error *error, const char *subject, const char *what);

#endif
