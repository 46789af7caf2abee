# Memcheck needs a build without sanitizers, and one that it can explain: the debug preset. It sees
# the system heap and undefined values; the slabs are AddressSanitizer's.
if(TROUPE_SANITIZE OR NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
    return()
endif()

# memcheck(NAME PROGRAM [ARGUMENT...])
function(memcheck name program)
    add_test(NAME memcheck_${name} COMMAND bash ${CMAKE_CURRENT_SOURCE_DIR}/memcheck.sh
             $<TARGET_FILE:${program}> ${ARGN})
    set_tests_properties(memcheck_${name} PROPERTIES LABELS "full;memcheck" TIMEOUT 600
                         SKIP_RETURN_CODE 77)
    add_dependencies(memcheck_programs ${program})
endfunction()

add_custom_target(memcheck_programs)
foreach(program
        test_lane test_inbox test_slab test_status
        test_wheel test_actor test_ports test_offload test_offload_stats test_ending test_deadline
        test_send_many test_stop_after test_slack test_drain test_observe test_recorder
        test_port_window
        test_relations test_relations_race test_links test_supervise test_supervise_ops
        test_supervise_tree test_supervise_sweep)
    memcheck(${program} ${program})
endforeach()
memcheck(sim_runtime sim_runtime --seeds 1..3)
memcheck(sim_drain sim_drain --seeds 1..5)
memcheck(sim_net sim_net --seeds 1..3)
