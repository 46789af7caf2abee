troupe_layer(trp_nostr
    SOURCES nostr_crypto.c nostr_error.c nostr_event.c nostr_filter.c nostr_wire.c
    LINK trp_mailbox trp_codec trp_json PkgConfig::LIBSECP PkgConfig::LIBCRYPTO)
