#!/bin/bash
# check_sizes.sh ROOT: files below 1000 lines, functions below 80. A function may be longer when the
# line above it, or its comment, says why: /* long: reason */
set -euo pipefail
# shellcheck source=layers.sh
. "$(dirname "$0")/layers.sh"
cd "$1"
need_layers

# House formatting puts a function's braces alone into column 1, and nobody else's.
# shellcheck disable=SC2016
program='
FNR == 1 {
    if (file != "") { end_file() }
    file = FILENAME; lines = 0; start = 0; inside = 0; excuse = ""; previous = ""
}
{ lines = FNR }
!inside && /\/\*[* ]*long: *[^ *]/ { excuse = FNR }
!inside && (/^$/ || /^[#}]/ || /;[ \t]*$/ || /\*\/[ \t]*$/ || /^[ \t]*\/?\*/) { start = 0; next_start = 1 }
!inside && !(/^$/ || /^[#}]/ || /;[ \t]*$/ || /\*\/[ \t]*$/ || /^[ \t]*\/?\*/) && start == 0 { start = FNR }
!inside && /^\{$/ {
    if (previous ~ /^(namespace|class|struct|union|enum|extern)/) { start = 0 }
    else { inside = 1 }
}
inside && /^\}/ {
    inside = 0
    size = FNR - start + 1
    if (size >= 80 && !(excuse != "" && excuse >= start - 12 && excuse <= start)) {
        print file ":" start ": function of " size " lines; fewer than 80 are allowed"
    }
    start = 0; excuse = ""
}
{ previous = $0 }
END { if (file != "") { end_file() } }
function end_file() {
    if (lines >= 1000) {
        print file ": file of " lines " lines; fewer than 1000 are allowed"
    }
}'
{
    list_sources . c h cc cpp
    [ ! -d tests ] || find tests -name node_modules -prune -o -type f -name '*.[ch]' -print
} |
    tr '\n' '\0' | xargs -0 -r awk "$program" | finish "sizes"
