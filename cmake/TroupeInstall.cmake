# cmake --install: the library in both forms, its headers, the CMake package, troupe.pc, programs.
# The prefix may be moved afterwards: nothing in it names the prefix or the build.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/troupe)

install(TARGETS libtroupe EXPORT troupe-shared LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
        INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(TARGETS libtroupe_static EXPORT troupe-static
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
        INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
foreach(folder ${TROUPE_LIBRARY_FOLDERS})
    install(DIRECTORY ${PROJECT_SOURCE_DIR}/${folder}/include/troupe
            DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
endforeach()
foreach(program troupe troupe-bench)
    if(TARGET ${program})
        install(TARGETS ${program} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
    endif()
endforeach()

foreach(form shared static)
    install(EXPORT troupe-${form} NAMESPACE troupe:: FILE troupe-${form}-targets.cmake
            DESTINATION ${package_dir})
endforeach()
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/troupe-config.cmake.in
                              ${PROJECT_BINARY_DIR}/package/troupe-config.cmake
                              INSTALL_DESTINATION ${package_dir})
# A minor version may break programs before 1.0, afterwards a major one.
if(PROJECT_VERSION_MAJOR EQUAL 0)
    set(compatibility SameMinorVersion)
else()
    set(compatibility SameMajorVersion)
endif()
write_basic_package_version_file(${PROJECT_BINARY_DIR}/package/troupe-config-version.cmake
                                 COMPATIBILITY ${compatibility})
install(FILES ${PROJECT_BINARY_DIR}/package/troupe-config.cmake
              ${PROJECT_BINARY_DIR}/package/troupe-config-version.cmake
        DESTINATION ${package_dir})

# troupe.pc finds its prefix from its own place, unless folders were chosen outside of the prefix.
if(IS_ABSOLUTE ${CMAKE_INSTALL_LIBDIR} OR IS_ABSOLUTE ${CMAKE_INSTALL_INCLUDEDIR})
    set(pc_prefix ${CMAKE_INSTALL_PREFIX})
    set(pc_libdir ${CMAKE_INSTALL_FULL_LIBDIR})
    set(pc_includedir ${CMAKE_INSTALL_FULL_INCLUDEDIR})
else()
    file(RELATIVE_PATH up /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
    string(REGEX REPLACE "/$" "" up ${up})
    set(pc_prefix "\${pcfiledir}/${up}")
    set(pc_libdir "\${prefix}/${CMAKE_INSTALL_LIBDIR}")
    set(pc_includedir "\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}")
endif()
configure_file(${CMAKE_CURRENT_LIST_DIR}/troupe.pc.in ${PROJECT_BINARY_DIR}/package/troupe.pc
               @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/package/troupe.pc
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
