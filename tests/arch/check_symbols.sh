#!/bin/bash
# check_symbols.sh BUILD_DIR [LIBRARY SOURCE_DIR]: every symbol that an object of a layer shows to the
# linker begins with troupe_ or trp_. Objects come from compile_commands.json, so that left-overs of
# removed files in an old build folder do not count. The shared library exports what the public
# headers of the core declare with TROUPE_API, and nothing else.
set -euo pipefail
# shellcheck source=layers.sh
. "$(dirname "$0")/layers.sh"
cd "$1"
library=${2:-}
source=${3:-}
if [ -n "$library" ] && [ ! -f "$library" ]; then
    echo "${library##*/} is not built: objects only"
    library=
fi

layers=$(IFS='|' && echo "${LAYERS[*]}")
mapfile -t objects < <(
    { grep -oE ' -o [^ ]+ -c ' compile_commands.json || true; } |
        awk '{ print $2 }' | { grep -E "^($layers)/" || true; } | LC_ALL=C sort -u |
        while read -r object; do
            [ ! -f "$object" ] || echo "$object"
        done
)
if [ ${#objects[@]} -eq 0 ]; then
    echo "no built objects under $1: build first" | finish "symbol prefixes"
fi
echo "${#objects[@]} objects"
# Strong definitions only: weak ones are templates and inline functions of C++ headers, and what
# sanitizers add has prefixes of its own.
check_objects() {
    nm -A -P -g --defined-only "${objects[@]}" |
        awk '$3 ~ /^[TDBRCGS]$/ && $2 !~ /^(troupe_|trp_|main$|llhttp_|__asan|__odr_asan|_ZTI|_ZTS|_ZTV)/ {
                 sub(/:$/, "", $1)
                 print $1 ": " $2 " has neither the prefix troupe_ nor trp_"
             }'
}

# Names that the public headers of the core promise: after each TROUPE_API the last word before the
# first parenthesis (a function) or semicolon (an object), comments aside.
declared() {
    cat "$source"/{mailbox,pool,io,actors/core,actors/admission}/include/troupe/*.h |
        sed 's/#.*//; s/TROUPE_MUST_USE//' | tr '\n' ' ' | sed 's/\/\*/\n&/g; s/\*\//&\n/g' |
        grep -v '^/\*' | tr '\n' ' ' | grep -oE 'TROUPE_API[^;(]*[;(]' |
        sed -E 's/.*[^A-Za-z0-9_]([A-Za-z0-9_]+) *[;(]$/\1/' | LC_ALL=C sort -u
}

# What the sanitizers add is not ours to judge.
exported() {
    nm -D -P --defined-only "$library" | awk '{ print $1 }' |
        { grep -vE '^(__asan|__odr_asan|__ubsan|__tsan|_init$|_fini$)' || true; } | LC_ALL=C sort -u
}

check_library() {
    exported | { grep -v '^troupe_' || true; } | sed "s|^|${library##*/} exports |"
    LC_ALL=C comm -13 <(declared) <(exported) | { grep '^troupe_' || true; } |
        sed 's/$/ is exported, but no public header declares it/'
    LC_ALL=C comm -23 <(declared) <(exported) |
        sed 's/$/ is declared in a public header, but not exported/'
}

{
    check_objects
    [ -z "$library" ] || check_library
} | finish "symbol prefixes"
