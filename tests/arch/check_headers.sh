#!/bin/bash
# check_headers.sh ROOT CC CXX: each public header compiles alone, in C11 and in C++17, seeing only
# the public headers of its own layer and of those below.
set -euo pipefail
# shellcheck source=layers.sh
. "$(dirname "$0")/layers.sh"
cd "$1"
need_layers
cc=$2
cxx=$3
warnings=(-Wall -Wextra -Wpedantic -Werror)

check() {
    local header includes folder
    while read -r header; do
        includes=()
        for folder in "${folders[@]}"; do
            includes+=(-I "$folder")
            [ "$folder" = "${header%/troupe/*}" ] && break
        done
        "$cc" -x c -std=c11 -fsyntax-only "${warnings[@]}" "${includes[@]}" "$header" 2>&1 ||
            echo "$header: does not compile alone in C11"
        "$cxx" -x c++ -std=c++17 -fsyntax-only "${warnings[@]}" "${includes[@]}" "$header" 2>&1 ||
            echo "$header: does not compile alone in C++17"
    done
}

# Include folders from the bottom up; the services of actors stand above core and admission.
folders=()
for folder in mailbox/include pool/include io/include actors/core/include \
    actors/admission/include actors/*/include bench/include; do
    case " ${folders[*]-} " in
    *" $folder "*) continue ;;
    esac
    [ ! -d "$folder" ] || folders+=("$folder")
done
list_sources . h | { grep '/include/troupe/[^/]*\.h$' || true; } | check |
    finish "public headers alone"
