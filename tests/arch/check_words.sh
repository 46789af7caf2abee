#!/bin/bash
# check_words.sh ROOT: no call that the house style bans, no atomics in the layers outside
# mailbox/atomic.h, no parts of Concurrency Kit with known defects, no markers of unfinished work.
set -euo pipefail
# shellcheck source=layers.sh
. "$(dirname "$0")/layers.sh"
cd "$1"
need_layers

# Removes comments and the contents of strings, so that only code is searched.
# shellcheck disable=SC2016
program='
FNR == 1 { in_comment = 0 }
{
    rest = $0
    code = ""
    while (rest != "") {
        if (in_comment) {
            at = index(rest, "*/")
            if (at == 0) { break }
            rest = substr(rest, at + 2)
            in_comment = 0
        } else if (match(rest, /\/\*|\/\/|"|\047/) == 0) {
            code = code rest
            break
        } else {
            code = code substr(rest, 1, RSTART - 1) " "
            mark = substr(rest, RSTART, RLENGTH)
            rest = substr(rest, RSTART + RLENGTH)
            if (mark == "//") { break }
            if (mark == "/*") { in_comment = 1; continue }
            while (rest != "") {
                c = substr(rest, 1, 1)
                rest = substr(rest, c == "\\" ? 3 : 2)
                if (c == mark) { break }
            }
        }
    }
    if (code ~ "(^|[^A-Za-z0-9_])(" calls ")[ \t]*\\(") {
        print FILENAME ":" FNR ": banned call: " $0
    }
    if (code ~ /(^|[^A-Za-z0-9_])(__atomic_|__sync_|atomic_(load|store|exchange|fetch|compare|thread)|_Atomic)/ &&
        FILENAME !~ /^tests\// && FILENAME !~ /^mailbox\/(atomic|tsan_shim)/) {
        print FILENAME ":" FNR ": atomics belong into mailbox/atomic.h: " $0
    }
    if ($0 ~ /^[ \t]*#[ \t]*include[ \t]*<(stdatomic|ck_fifo|ck_ht|ck_hp)\.h>/) {
        print FILENAME ":" FNR ": banned header: " $0
    }
}'
banned='strcpy|stpcpy|strcat|sprintf|vsprintf|strtok|rand|srand|alloca|gets'
{
    list_sources . c h cc cpp | tr '\n' '\0' | xargs -0 -r awk -v calls="$banned|usleep" "$program"
    if [ -d tests ]; then
        find tests -name node_modules -prune -o -type f -name "*.[ch]" -print0 | LC_ALL=C sort -z |
            xargs -0 -r awk -v calls="$banned" "$program"
    fi
    # The folder of these checks is left out: it has to name what it looks for.
    find . \( -name .git -o -name build -o -name node_modules -o -path ./tests/arch \) -prune -o \
        -type f \( -name '*.[ch]' -o -name '*.cc' -o -name '*.cpp' -o -name '*.txt' -o -name '*.cmake' \
        -o -name '*.sh' -o -name '*.js' -o -name '*.mjs' -o -name '*.ts' -o -name '*.md' -o -name dev \) -print0 |
        LC_ALL=C sort -z |
        { xargs -0 -r grep -nHE '(^|[^A-Za-z0-9_])(TODO|FIXME)([^A-Za-z0-9_]|$)' || true; } |
        sed 's/$/ (marker of unfinished work)/'
} | finish "banned words"
