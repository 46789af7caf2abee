#!/bin/bash
# test_install.sh BUILD_DIR SOURCE_DIR CC CXX: installs the build into a fresh prefix, moves it, and
# uses it the ways its users do: find_package and pkg-config, shared and static.
set -euo pipefail
build=$1
source=$2
cc=$3
cxx=$4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
prefix=$work/moved

say() {
    printf '%s\n' "$*"
}

die() {
    say "FAILED: $*"
    exit 1
}

# run TEXT COMMAND...: says what it does; shows the output of what fails.
run() {
    local text=$1
    shift
    "$@" >"$work/log" 2>&1 || {
        cat "$work/log"
        die "$text"
    }
    say "ok: $text"
}

# --- install ---

run "cmake --install" cmake --install "$build" --prefix "$work/first"
mv "$work/first" "$prefix" # nothing may depend on where it was first
libdir=$(dirname "$(cd "$prefix" && find . -name troupe.pc -printf '%h\n')")
libdir=$prefix/${libdir#./}
for file in lib:libtroupe.a lib:libtroupe.so lib:cmake/troupe/troupe-config.cmake \
    lib:cmake/troupe/troupe-config-version.cmake lib:pkgconfig/troupe.pc \
    top:include/troupe/actor.h top:include/troupe/net.h top:bin/troupe top:bin/troupe-bench; do
    case $file in
    lib:*) file=$libdir/${file#lib:} ;;
    *) file=$prefix/${file#top:} ;;
    esac
    [ -e "$file" ] || die "not installed: ${file#"$prefix/"}"
done
run "programs run" "$prefix/bin/troupe" --version
expected=$(cd "$source" && find mailbox pool io actors/core actors/admission \
    -path '*/include/troupe/*.h' -printf '%f\n' | sort)
diff <(echo "$expected") <(ls "$prefix/include/troupe") || die "(< headers of the core, > installed)"
say "ok: installed $(wc -l <<<"$expected") headers, both libraries, CMake package, troupe.pc, programs"

for header in $expected; do
    grep -qF "| \`troupe/$header\` |" "$source/docs/library.md" ||
        die "docs/library.md does not mention troupe/$header"
done
say "ok: docs/library.md has a line for each header"

soname=$(readelf -d "$libdir/libtroupe.so" | sed -n 's/.*SONAME.*\[\(.*\)\]/\1/p')
[ -e "$libdir/$soname" ] || die "the soname $soname is not installed"
needed=$(readelf -d "$libdir/libtroupe.so" | sed -n 's/.*NEEDED.*\[\(.*\)\.so.*\]/\1/p' |
    grep -v '^ld-linux' | sort | xargs)
[ "$needed" = "libc libck liburing" ] || die "libtroupe.so needs $needed"
say "ok: $soname needs $needed"

# --- every header alone ---

for header in "$prefix"/include/troupe/*.h; do
    "$cc" -std=c11 -Wall -Wextra -Wpedantic -Werror -fsyntax-only -x c \
        -I "$prefix/include" "$header" || die "$header alone in C"
    "$cxx" -Wall -Wextra -fsyntax-only -x c++ -I "$prefix/include" "$header" ||
        die "$header alone in C++"
done
say "ok: every header compiles alone, in C11 and in C++"

# --- find_package ---

is_shared() {
    readelf -d "$1" | grep -q 'NEEDED.*libtroupe'
}

# try_cmake NAME STATIC: all examples, built and tested outside of the tree.
try_cmake() {
    cp -r "$source/examples" "$work/$1-source"
    run "find_package, $1: configure" cmake -S "$work/$1-source" -B "$work/$1" \
        -DCMAKE_C_COMPILER="$cc" -DCMAKE_PREFIX_PATH="$prefix" -DTROUPE_EXAMPLES_STATIC="$2"
    run "find_package, $1: build" cmake --build "$work/$1"
    run "find_package, $1: run" ctest --test-dir "$work/$1" --output-on-failure
    sed -n 's/^ *[0-9]*\/[0-9]* Test *#[0-9]*: \([a-z_]*\).*Passed.*/    \1 passed/p' "$work/log"
}
try_cmake shared OFF
is_shared "$work/shared/hello" || die "hello should use libtroupe.so"
try_cmake static ON
! is_shared "$work/static/hello" || die "hello should not use libtroupe.so"

mkdir "$work/strange"
printf 'cmake_minimum_required(VERSION 3.25)\nproject(strange LANGUAGES C)\nfind_package(troupe 99)\nif(troupe_FOUND)\nmessage(FATAL_ERROR "found")\nendif()\nfind_package(troupe REQUIRED COMPONENTS static)\n' \
    >"$work/strange/CMakeLists.txt"
run "find_package: another version is refused, a component found" \
    cmake -S "$work/strange" -B "$work/strange/build" -DCMAKE_PREFIX_PATH="$prefix"

# --- pkg-config ---

export PKG_CONFIG_PATH=$libdir/pkgconfig
# The first actor of the manual is a whole program: it compiles as it stands, and works.
# shellcheck disable=SC2016
sed -n '/^## The first actor$/,/^## /p' "$source/docs/library.md" |
    sed -n '/^```c$/,/^```$/p' | sed '/^```/d' >"$work/service.c"
# The options are several words on purpose.
# shellcheck disable=SC2046
{
    run "docs/library.md, the first actor: build" "$cc" -std=c11 -Wall -Wextra -Wpedantic -Werror \
        -o "$work/service" "$work/service.c" $(pkg-config --cflags --libs troupe) \
        "-Wl,-rpath,$libdir"
    run "docs/library.md, the first actor: run" "$work/service"
    [ "$(<"$work/log")" = "hello, world" ] || die "it printed: $(<"$work/log")"
    run "pkg-config, shared: build" "$cc" -o "$work/hello" "$source/examples/hello.c" \
        $(pkg-config --cflags --libs troupe)
    is_shared "$work/hello" || die "it should use libtroupe.so"
    run "pkg-config, shared: run" env LD_LIBRARY_PATH="$libdir" bash \
        "$source/examples/test_output.sh" "$work/hello" "$source/examples/hello.c"
    run "pkg-config, static: build" "$cc" -static -o "$work/hello-static" \
        "$source/examples/hello.c" $(pkg-config --static --cflags --libs troupe)
    ! readelf -d "$work/hello-static" | grep -q NEEDED || die "it should need no library"
    run "pkg-config, static: run" bash "$source/examples/test_output.sh" "$work/hello-static" \
        "$source/examples/hello.c"
}

# --- no traces of this machine ---

for folder in "$build" "$source" "$work/first"; do
    if grep -rlF -- "$folder" "$prefix" >"$work/log"; then
        cat "$work/log"
        die "these name $folder"
    fi
done
say "ok: nothing installed names the folders it was built, installed or written in"
