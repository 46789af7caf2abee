# The driver alone: the test stands in for the pool and can refuse rings.
foreach(name ops control probe wake)
    troupe_test(test_ring_${name} SOURCES test_ring_${name}.c ring_harness.c
                LINK trp_ring trp_mailbox)
    target_link_options(test_ring_${name} PRIVATE -Wl,--wrap=io_uring_queue_init_params)
endforeach()
set_tests_properties(test_ring_wake PROPERTIES LABELS concurrency)

# The driver under a real pool.
foreach(name streams actors)
    troupe_test(test_ring_${name} SOURCES test_ring_${name}.c ring_pool.c
                LINK trp_ring trp_pool trp_mailbox LABELS concurrency)
endforeach()
