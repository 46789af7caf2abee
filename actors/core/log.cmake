# Logging of the service layer; on its own so that programs without actors can log too.
troupe_layer(trp_log
    SOURCES log.c log_line.c
    LINK trp_mailbox)
