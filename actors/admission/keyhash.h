#ifndef ACTORS_ADMISSION_KEYHASH_H
#define ACTORS_ADMISSION_KEYHASH_H

/*
 * Keys are chosen by strangers, so tables and placement use a keyed hash (SipHash-2-4) whose secret
 * nobody outside can guess.
 */

#include <troupe/admission.h>

struct trp_hash_secret {
    uint64_t words[2];
};

uint64_t trp_key_hash(const struct trp_hash_secret *secret, const struct troupe_key *key);

#endif
