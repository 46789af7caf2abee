#!/bin/bash
# check_symbols.sh BUILD_DIR: every symbol that an object of a layer shows to the linker begins with
# troupe_ or trp_. Objects come from compile_commands.json, so that left-overs of removed files in
# an old build folder do not count.
set -euo pipefail
# shellcheck source=layers.sh
. "$(dirname "$0")/layers.sh"
cd "$1"

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
nm -A -P -g --defined-only "${objects[@]}" |
    awk '$3 ~ /^[TDBRCGS]$/ && $2 !~ /^(troupe_|trp_|main$|llhttp_|__asan|__odr_asan|_ZTI|_ZTS|_ZTV)/ {
             sub(/:$/, "", $1)
             print $1 ": " $2 " has neither the prefix troupe_ nor trp_"
         }' | finish "symbol prefixes"
