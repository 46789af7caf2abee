# What the program does before any actor runs: its command line and its key file.
troupe_layer(trp_server_base
    SOURCES options.c option_value.c option_help.c option_table.c key_file.c key_command.c
    LINK trp_log trp_codec trp_nostr)
set_source_files_properties(option_help.c PROPERTIES
    COMPILE_DEFINITIONS "TROUPE_VERSION=\"${PROJECT_VERSION}\"")
