# libtroupe, shared and static: the objects of the core layers, without the service actors, JSON,
# WebSocket and whatever needs OpenSSL. The program has the target name `troupe` already.
set(TROUPE_LIBRARY_FOLDERS mailbox pool io actors/core actors/admission)
set(TROUPE_LIBRARY_OBJECTS
    $<TARGET_OBJECTS:trp_mailbox>
    $<TARGET_OBJECTS:trp_pool>
    $<TARGET_OBJECTS:trp_ring>
    "$<FILTER:$<TARGET_OBJECTS:trp_net>,EXCLUDE,/ws_[a-z]+[.]c>"
    "$<FILTER:$<TARGET_OBJECTS:trp_codec>,INCLUDE,/text[.]c|/url[.]c>"
    $<TARGET_OBJECTS:trp_core>
    $<TARGET_OBJECTS:trp_admission>)

add_library(libtroupe SHARED ${TROUPE_LIBRARY_OBJECTS})
add_library(libtroupe_static STATIC ${TROUPE_LIBRARY_OBJECTS})
add_library(troupe::troupe ALIAS libtroupe)
add_library(troupe::troupe_static ALIAS libtroupe_static)

# Before 1.0 every minor version may change the binary interface.
set(TROUPE_SOVERSION ${PROJECT_VERSION_MAJOR})
if(PROJECT_VERSION_MAJOR EQUAL 0)
    set(TROUPE_SOVERSION 0.${PROJECT_VERSION_MINOR})
endif()
set_target_properties(libtroupe PROPERTIES EXPORT_NAME troupe VERSION ${PROJECT_VERSION}
                      SOVERSION ${TROUPE_SOVERSION})
set_target_properties(libtroupe_static PROPERTIES EXPORT_NAME troupe_static)

foreach(library libtroupe libtroupe_static)
    set_target_properties(${library} PROPERTIES OUTPUT_NAME troupe LINKER_LANGUAGE C)
    foreach(folder ${TROUPE_LIBRARY_FOLDERS})
        target_include_directories(${library} INTERFACE
            $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/${folder}/include>)
    endforeach()
    target_include_directories(${library} INTERFACE $<INSTALL_INTERFACE:include>)
    target_link_libraries(${library} PRIVATE PkgConfig::LIBURING PkgConfig::LIBCK Threads::Threads)
endforeach()
if(TROUPE_SANITIZE)
    # The sanitizer's run-time library is the program's, so symbols stay open until then.
    target_link_options(libtroupe PRIVATE -fsanitize=${TROUPE_SANITIZE})
    target_link_options(libtroupe_static INTERFACE
                        $<BUILD_INTERFACE:-fsanitize=${TROUPE_SANITIZE}>)
else()
    target_link_options(libtroupe PRIVATE -Wl,--no-undefined)
endif()
