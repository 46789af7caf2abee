# Helpers that keep each folder's list short.

add_library(trp_flags INTERFACE)
target_compile_definitions(trp_flags INTERFACE _GNU_SOURCE)
target_include_directories(trp_flags INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_options(trp_flags INTERFACE
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wvla -Wundef -Wformat=2 -Wswitch-enum
    $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes -Wmissing-prototypes>
    -fvisibility=hidden -fno-omit-frame-pointer
    $<$<COMPILE_LANGUAGE:CXX>:-fno-exceptions -fno-rtti>)
if(TROUPE_WERROR)
    target_compile_options(trp_flags INTERFACE -Werror)
endif()
if(TROUPE_SANITIZE)
    target_compile_options(trp_flags INTERFACE -fsanitize=${TROUPE_SANITIZE})
    target_link_options(trp_flags INTERFACE -fsanitize=${TROUPE_SANITIZE})
endif()
if(TROUPE_SANITIZE STREQUAL "thread")
    # Concurrency Kit's inline assembly is invisible to ThreadSanitizer; see the shim's own comment.
    target_compile_options(trp_flags INTERFACE
        "$<$<COMPILE_LANGUAGE:C>:SHELL:-include ${PROJECT_SOURCE_DIR}/mailbox/tsan_shim.h>")
endif()

# troupe_layer(NAME SOURCES a.c b.c [LINK targets...])
# One object library per folder; its public headers are in <folder>/include.
function(troupe_layer name)
    cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
    add_library(${name} OBJECT ${ARG_SOURCES})
    if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/include)
        target_include_directories(${name} PUBLIC ${CMAKE_CURRENT_SOURCE_DIR}/include)
    endif()
    target_link_libraries(${name} PUBLIC trp_flags ${ARG_LINK})
endfunction()

# troupe_program(NAME SOURCES a.c LINK targets...)
function(troupe_program name)
    cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
    add_executable(${name} ${ARG_SOURCES})
    target_link_libraries(${name} PRIVATE trp_flags ${ARG_LINK})
endfunction()

# troupe_test(NAME SOURCES a.c LINK targets... [LABELS l...] [TIMEOUT s])
# One cmocka program = one ctest test.
function(troupe_test name)
    cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;LINK;LABELS" ${ARGN})
    if(NOT ARG_TIMEOUT)
        set(ARG_TIMEOUT 60)
    endif()
    add_executable(${name} ${ARG_SOURCES})
    target_link_libraries(${name} PRIVATE trp_flags trp_testing ${ARG_LINK})
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
    add_test(NAME ${name} COMMAND ${name})
    set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT}
                         SKIP_RETURN_CODE 77)
endfunction()
