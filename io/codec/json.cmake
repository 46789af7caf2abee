# JSON reading: the one C++ file. C programs that link it need the C++ run-time library.
troupe_layer(trp_json
    SOURCES json.cc
    LINK trp_mailbox simdjson::simdjson stdc++)
troupe_layer(trp_jsonrpc
    SOURCES jsonrpc.c
    LINK trp_json trp_codec)
