# Everything comes from Debian packages; `dev` installs what is missing.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(LIBURING REQUIRED IMPORTED_TARGET liburing>=2.3)
pkg_check_modules(LIBCK REQUIRED IMPORTED_TARGET ck>=0.7)
pkg_check_modules(LIBSECP REQUIRED IMPORTED_TARGET libsecp256k1)
pkg_check_modules(LIBCRYPTO REQUIRED IMPORTED_TARGET libcrypto>=3.0)

# simdjson has a CMake package and a .pc file depending on how it was packaged; take either.
find_package(simdjson CONFIG QUIET)
if(NOT TARGET simdjson::simdjson)
    pkg_check_modules(SIMDJSON REQUIRED IMPORTED_TARGET simdjson)
    add_library(simdjson::simdjson ALIAS PkgConfig::SIMDJSON)
endif()

# llhttp is shipped as C sources inside the package node-llhttp.
find_path(LLHTTP_INCLUDE_DIR llhttp.h PATHS /usr/share/include/llhttp REQUIRED)
find_path(LLHTTP_SOURCE_DIR llhttp.c PATHS /usr/share/llhttp REQUIRED)
add_library(trp_llhttp OBJECT ${LLHTTP_SOURCE_DIR}/llhttp.c ${LLHTTP_SOURCE_DIR}/api.c
            ${LLHTTP_SOURCE_DIR}/http.c)
target_include_directories(trp_llhttp SYSTEM PUBLIC ${LLHTTP_INCLUDE_DIR})
