#!/bin/bash
# selftest.sh CC CXX: plants one violation after the other into a small clean tree and expects the
# check to find it (by its text), and to be content without it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cc=$1
cxx=$2
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
failures=0

# A fresh tree that breaks no rule.
plant_clean() {
    rm -rf "${tree:?}"/*
    (
        cd "$tree"
        mkdir -p mailbox/include/troupe pool/include/troupe io/codec io/process \
            actors/{core,admission}/include/troupe actors/{nostr,mcp,relay,server} bench tests/unit
        printf '#ifndef A_H\n#define A_H\n#include <stdint.h>\nuint8_t troupe_a(void);\n#endif\n' \
            >mailbox/include/troupe/a.h
        printf '#ifndef P_H\n#define P_H\n#include <troupe/a.h>\n#endif\n' >pool/include/troupe/p.h
        printf 'int troupe_admit(void);\n' >actors/admission/include/troupe/admission.h
        touch mailbox/atomic.h pool/p.h io/ring.h io/codec/{json,nostr,ws}.h io/process/child.h \
            actors/core/log.h actors/nostr/nostr.h \
            actors/mcp/{frontend,backend,client}.h actors/relay/relay.h actors/server/options.h
        printf '#include <troupe/p.h>\n#include "io/codec/ws.h"\n#include "child.h"\n' >io/process/child.c
        printf '#include "actors/mcp/frontend.h"\n#include "actors/core/log.h"\n#include "io/codec/json.h"\n#include <troupe/admission.h>\n' \
            >actors/nostr/nostr.c
        printf '#include "actors/relay/relay.h"\n#include "actors/mcp/client.h"\n' >actors/server/main.c
        printf '/* Says strcpy(a, b), it'"'"'s a comment. */\nstatic const char *text = "rand()";\nint my_rand(int);\nint strtok_r(void);\n// gets(x)\n' \
            >bench/words.c
    )
}

expect_ok() { # NAME CHECK ARGUMENT...
    local name=$1 output
    shift
    if ! output=$("$here/$1" "${@:2}" 2>&1); then
        printf 'self-test: %s: refused a clean tree:\n%s\n' "$name" "$output"
        failures=$((failures + 1))
    fi
}

expect_found() { # NAME TEXT CHECK ARGUMENT...
    local name=$1 text=$2 output
    shift 2
    if output=$("$here/$1" "${@:2}" 2>&1); then
        printf 'self-test: %s: not found\n' "$name"
        failures=$((failures + 1))
    elif ! grep -qF -- "$text" <<<"$output"; then
        printf 'self-test: %s: expected "%s", got:\n%s\n' "$name" "$text" "$output"
        failures=$((failures + 1))
    fi
}

# import FILE INCLUDE TEXT: planting this include into this file must be found.
import() {
    plant_clean
    printf '#include %s\n' "$2" >>"$tree/$1"
    expect_found "$1 includes $2" "$3" check_imports.sh "$tree"
}

plant_clean
expect_ok imports check_imports.sh "$tree"
import mailbox/atomic.h '<troupe/p.h>' 'mailbox must not include pool/'
import mailbox/x.c '"io/codec/ws.h"' 'mailbox must not include'
import pool/x.c '"io/ring.h"' 'pool must not include io/ring.h'
import pool/x.c '"io/codec/ws.h"' 'pool must not include'
import io/codec/x.c '<troupe/p.h>' 'io/codec must not include'
import io/codec/x.c '"io/ring.h"' 'io/codec must not include'
import io/x.c '"actors/core/log.h"' 'io must not include'
import io/x.c '"io/codec/json.h"' 'io must not include io/codec/json.h'
import actors/core/x.c '"io/codec/nostr.h"' 'actors/core must not include io/codec/nostr.h'
import actors/core/x.c '<troupe/admission.h>' 'actors/core must not include'
import actors/admission/x.c '"actors/mcp/frontend.h"' 'actors/admission must not include'
import actors/nostr/nostr.c '"actors/relay/relay.h"' 'actors/nostr must not include actors/relay'
import actors/nostr/nostr.c '"actors/mcp/client.h"' 'actors/nostr must not include actors/mcp/client.h'
import actors/mcp/x.c '"actors/nostr/nostr.h"' 'actors/mcp must not include'
import actors/mcp/x.c '"actors/server/options.h"' 'actors/mcp must not include'
import bench/x.c '"actors/server/options.h"' 'bench must not include'
import io/x.c '"../pool/p.h"' 'relative path'
import actors/core/x.c '<liburing.h>' 'only io may use'

for check in imports headers sizes words; do
    expect_found "$check of an empty folder" 'no layers in' "check_$check.sh" "$tree/tests" "$cc" "$cxx"
done

plant_clean
expect_ok headers check_headers.sh "$tree" "$cc" "$cxx"
printf 'size_t troupe_b(void);\n' >"$tree/pool/include/troupe/b.h"
expect_found "header with a missing include" 'b.h: does not compile alone in C11' \
    check_headers.sh "$tree" "$cc" "$cxx"
printf 'int troupe_b(int class);\n' >"$tree/pool/include/troupe/b.h"
expect_found "header that is no C++" 'b.h: does not compile alone in C++17' \
    check_headers.sh "$tree" "$cc" "$cxx"
printf '#include <troupe/p.h>\n' >"$tree/mailbox/include/troupe/b.h"
rm "$tree/pool/include/troupe/b.h"
expect_found "public header that looks up" 'mailbox/include/troupe/b.h: does not compile' \
    check_headers.sh "$tree" "$cc" "$cxx"

# function LINES NAME: a function of so many lines, with its braces and signature.
function_of() {
    printf 'static int %s(void)\n{\n' "$2"
    for ((i = 0; i < $1 - 4; i++)); do
        echo '    count();'
    done
    printf '    return 0;\n}\n'
}

plant_clean
{ function_of 79 short && echo && printf '/* long: flat switch over frame types */\n' && function_of 90 flat; } \
    >"$tree/pool/sizes.c"
seq 1 999 >"$tree/pool/long.h"
expect_ok sizes check_sizes.sh "$tree"
{ function_of 20 first && echo && printf '/* Comment. */\n' && function_of 80 second; } >"$tree/pool/sizes.c"
expect_found "long function" 'pool/sizes.c:23: function of 80 lines' check_sizes.sh "$tree"
{ printf '/* long: */\n' && function_of 80 second; } >"$tree/pool/sizes.c"
expect_found "long function without a reason" 'function of 80 lines' check_sizes.sh "$tree"
rm "$tree/pool/sizes.c"
seq 1 1000 >"$tree/pool/long.h"
expect_found "long file" 'pool/long.h: file of 1000 lines' check_sizes.sh "$tree"

plant_clean
expect_ok words check_words.sh "$tree"
for call in strcpy sprintf strtok rand alloca gets strcat usleep; do
    plant_clean
    printf '/* a */ int x = %s (1); // b\n' "$call" >"$tree/io/x.c"
    expect_found "call of $call" 'io/x.c:1: banned call' check_words.sh "$tree"
done
plant_clean
printf '/* begins\nends */ void f(void) { strcpy(a, "/*"); }\n' >"$tree/tests/unit/x.c"
expect_found "call after a comment" 'tests/unit/x.c:2: banned call' check_words.sh "$tree"
plant_clean
printf 'int f(int *a) { return __atomic_load_n(a, 0); }\n' | tee "$tree/mailbox/atomic.h" >"$tree/pool/x.c"
expect_found "atomic" 'pool/x.c:1: atomics belong' check_words.sh "$tree"
plant_clean
printf '#include <ck_fifo.h>\n' >"$tree/mailbox/x.c"
expect_found "defective queue" 'banned header' check_words.sh "$tree"
for marker in TODO FIXME; do
    plant_clean
    printf '# %s: later\n' "$marker" >"$tree/pool/CMakeLists.txt"
    expect_found "marker $marker" 'pool/CMakeLists.txt:1' check_words.sh "$tree"
done

# symbols TEXT-OF-C-FILE: compiled as an object of pool, listed as the build lists it.
symbols() {
    plant_clean
    mkdir -p "$tree/build/pool"
    printf '%s\n' "$1" >"$tree/pool/x.c"
    "$cc" -c "$tree/pool/x.c" -o "$tree/build/pool/x.o"
    printf '[{ "command": "cc -g -o pool/x.o -c x.c" },\n { "command": "cc -o pool/gone.o -c y.c" }]\n' \
        >"$tree/build/compile_commands.json"
}

symbols 'static int hidden; int troupe_x(void) { return hidden; } int trp_y = 1; int main(void) { return 0; }'
printf 'int left_over = 1;\n' >"$tree/old.c"
"$cc" -c "$tree/old.c" -o "$tree/build/pool/old.o"
expect_ok symbols check_symbols.sh "$tree/build"
symbols 'int helper(void) { return 0; }'
expect_found "function without a prefix" 'helper has neither' check_symbols.sh "$tree/build"
symbols '__attribute__((visibility("hidden"))) int table = 3;'
expect_found "variable without a prefix" 'table has neither' check_symbols.sh "$tree/build"
rm "$tree/build/pool/x.o"
expect_found "nothing built" 'no built objects' check_symbols.sh "$tree/build"

# library TEXT-OF-C-FILE: the same as a shared library beside a tree with one public header.
library() {
    symbols "$1"
    mkdir -p "$tree"/{io,actors/core,actors/admission}/include/troupe
    for folder in io actors/core actors/admission; do
        touch "$tree/$folder/include/troupe/none.h"
    done
    printf '/* TROUPE_API int troupe_never(void); */\n#define TROUPE_API __attribute__((visibility("default")))\nTROUPE_API int\ntroupe_x(int (*cb)(void)) TROUPE_MUST_USE;\nTROUPE_API extern const struct t troupe_z;\n' \
        >"$tree/mailbox/include/troupe/a.h"
    rm -f "$tree/actors/admission/include/troupe/admission.h"
    "$cc" -shared -fPIC -fvisibility=hidden -o "$tree/build/lib.so" "$tree/pool/x.c"
}
shown='__attribute__((visibility("default")))'

library "$shown int troupe_z; $shown int troupe_x(void) { return 0; } int trp_y(void) { return 0; }"
expect_ok "exports" check_symbols.sh "$tree/build" "$tree/build/lib.so" "$tree"
library "$shown int troupe_z; $shown int troupe_x(void) { return 0; } $shown int trp_y(void) { return 0; }"
expect_found "internal export" 'lib.so exports trp_y' \
    check_symbols.sh "$tree/build" "$tree/build/lib.so" "$tree"
library "$shown int troupe_z; $shown int troupe_x(void) { return 0; } $shown int troupe_y(void) { return 0; }"
expect_found "secret export" 'troupe_y is exported, but no public header' \
    check_symbols.sh "$tree/build" "$tree/build/lib.so" "$tree"
library "int troupe_x(void) { return 0; }"
expect_found "missing export" 'troupe_x is declared in a public header, but not exported' \
    check_symbols.sh "$tree/build" "$tree/build/lib.so" "$tree"

if [ "$failures" -ne 0 ]; then
    echo "self-test: $failures failed"
    exit 1
fi
echo "self-test: ok"
