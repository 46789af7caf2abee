# Streams, listeners and WebSocket connections over the ring driver with real sockets.
foreach(name stream listener ws_conn)
    troupe_test(test_net_${name} SOURCES test_net_${name}.c net_harness.c LABELS concurrency
                LINK trp_net trp_ring trp_pool trp_codec trp_mailbox trp_llhttp)
endforeach()
target_sources(test_net_listener PRIVATE socket_folder.c)

# The public interface, as users get it: from the shared library.
troupe_test(test_net SOURCES test_net.c socket_folder.c LINK troupe::troupe LABELS concurrency)
