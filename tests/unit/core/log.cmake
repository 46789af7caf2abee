troupe_test(test_log
    SOURCES test_log.c
    LINK trp_log trp_mailbox Threads::Threads
    LABELS concurrency)
