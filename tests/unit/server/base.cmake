set(base_link trp_server_base trp_log trp_nostr trp_json trp_codec trp_llhttp trp_mailbox)
troupe_test(test_options
    SOURCES test_options.c
    LINK ${base_link})
troupe_test(test_key_file
    SOURCES test_key_file.c
    LINK ${base_link})
