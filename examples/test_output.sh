#!/bin/bash
# test_output.sh PROGRAM SOURCE: the program prints exactly the lines that the comment at the top of
# its source promises after "Output:", says nothing else, and ends with status 0.
set -euo pipefail
expected=$(sed -n '/^ \* Output:$/,/^ \*\/$/p' "$2" | sed -n 's/^ \*     //p')
if [ -z "$expected" ]; then
    echo "$2 promises no output"
    exit 1
fi
output=$("$1" 2>&1) || {
    printf '%s\n%s ended with status %d\n' "$output" "$1" $?
    exit 1
}
diff <(echo "$expected") <(echo "$output") || {
    echo "(< promised, > printed)"
    exit 1
}
echo "$output"
