#include "actors/server/key_command.h"

#include "actors/server/key_file.h"

#include <stdlib.h>

static enum troupe_status
run(struct trp_nostr_key *key, struct trp_key_error *error, const struct trp_options *options)
{
    char default_path[PATH_MAX];
    const char *path = options->key_path;

    if (path == NULL) {
        enum troupe_status status = trp_key_file_default_path(
            default_path, error, getenv("XDG_STATE_HOME"), getenv("HOME"));
        if (status == TROUPE_OK && options->key_action == TRP_KEY_NEW) {
            status = trp_key_file_make_directories(default_path, error);
        }
        if (status != TROUPE_OK) {
            return status;
        }
        path = default_path;
    }
    return options->key_action == TRP_KEY_NEW ? trp_key_file_create(key, error, path)
                                              : trp_key_file_load(key, error, path);
}

int trp_key_command_run(const struct trp_options *options, FILE *out, FILE *err)
{
    struct trp_key_error error;
    struct trp_nostr_key key;

    if (run(&key, &error, options) != TROUPE_OK) {
        fprintf(err, "troupe key: %s\n", error.text);
        return 1;
    }
    for (size_t i = 0; i < sizeof(key.pubkey); i++) {
        fprintf(out, "%02x", key.pubkey[i]);
    }
    fputc('\n', out);
    trp_nostr_key_wipe(&key);
    if (fflush(out) != 0) {
        fprintf(err, "troupe key: cannot write the public key\n");
        return 1;
    }
    return 0;
}
