foreach(part crypto event filter wire)
    troupe_test(test_nostr_${part}
        SOURCES test_nostr_${part}.c
        LINK trp_nostr trp_json trp_codec trp_mailbox trp_llhttp)
endforeach()
