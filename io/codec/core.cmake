# The codecs of the library core: C only, no JSON.
troupe_layer(trp_codec
    SOURCES text.c ws.c http1.c ws_handshake.c url.c
    LINK trp_mailbox PkgConfig::LIBCRYPTO trp_llhttp)

# Without strict mode llhttp skips any byte where a chunk must end with CR LF, which lets two
# readers of one connection disagree about where messages begin.
target_compile_definitions(trp_llhttp PUBLIC LLHTTP_STRICT_MODE=1)
