#!/bin/bash
# memcheck.sh PROGRAM [ARGUMENT]...: runs a test program under valgrind's memcheck.
# Exit: that of the program; 99 when memcheck found an error or a definite leak; 77 without valgrind.
set -u
if ! command -v valgrind >/dev/null; then
    echo "skipped: valgrind is not installed (Debian package: valgrind)"
    exit 77
fi
# Fair scheduling: otherwise a thread that waits for another one may wait for very long.
exec valgrind --quiet --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite \
    --fair-sched=yes "$@"
