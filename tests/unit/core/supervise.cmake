# Links, supervisors and lanes, all in the simulation.
foreach(name control_runs lanes links links_here supervise supervise_ops supervise_sweep
             supervise_tree supervise_takeout supervise_orphans)
    troupe_test(test_${name} SOURCES test_${name}.c puppet.c LINK trp_core trp_pool trp_mailbox
                TIMEOUT 120)
endforeach()
troupe_test(test_relations_race SOURCES test_relations_race.c LINK trp_core trp_pool trp_mailbox
            LABELS concurrency TIMEOUT 120)
