troupe_test(test_registry SOURCES test_registry.c puppet.c LINK trp_core trp_pool trp_mailbox
            TIMEOUT 120)
troupe_test(test_registry_race SOURCES test_registry_race.c LINK trp_core trp_pool trp_mailbox
            LABELS concurrency TIMEOUT 120)

# The registry compiled anew, with a stop before each atomic operation; the rest as it is.
get_target_property(core_sources trp_core SOURCES)
list(FILTER core_sources EXCLUDE REGEX "^(log|/)")
list(TRANSFORM core_sources PREPEND ${PROJECT_SOURCE_DIR}/actors/core/)
set_source_files_properties(test_registry_step.c ${PROJECT_SOURCE_DIR}/actors/core/registry.c
                            PROPERTIES COMPILE_DEFINITIONS TROUPE_STEPPER)
troupe_test(test_registry_step SOURCES test_registry_step.c puppet.c ${core_sources}
            LINK trp_pool trp_mailbox)
target_include_directories(test_registry_step PRIVATE ${PROJECT_SOURCE_DIR}/actors/core/include)
