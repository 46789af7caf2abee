foreach(name text ws http1 ws_handshake url)
    troupe_test(test_${name} SOURCES test_${name}.c
                LINK trp_codec trp_mailbox trp_llhttp PkgConfig::LIBCRYPTO LABELS codec)
endforeach()
