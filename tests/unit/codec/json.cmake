troupe_test(codec_json
    SOURCES test_json.c
    LINK trp_json trp_mailbox ${CMAKE_DL_LIBS})
target_link_options(codec_json PRIVATE -Wl,--wrap=malloc)
troupe_test(codec_jsonrpc
    SOURCES test_jsonrpc.c
    LINK trp_jsonrpc trp_json trp_codec trp_llhttp trp_mailbox)
# The fuzz entry over a fixed number of seeded mutations, so that it never rots.
troupe_test(codec_json_fuzz
    SOURCES test_json_fuzz.c ${PROJECT_SOURCE_DIR}/tests/fuzz/fuzz_json.cc
    LINK trp_jsonrpc trp_json trp_codec trp_llhttp trp_mailbox)
