#!/bin/bash
# test_usage.sh PROGRAM [ARGUMENTS]...: asked for help the program prints its usage and ends with 0;
# arguments that it does not know, and each of the ARGUMENTS (several words in one), make it say so
# on standard error and end with 2. None of that starts anything.
set -euo pipefail
program=$1
name=$(basename "$program")
shift

die() {
    echo "$name: $*"
    exit 1
}

# run ARGUMENT...: sets `status`, `output` and `errors`.
run() {
    local folder
    folder=$(mktemp -d)
    status=0
    timeout 20 "$program" "$@" >"$folder/output" 2>"$folder/errors" || status=$?
    output=$(<"$folder/output")
    errors=$(<"$folder/errors")
    rm -r "$folder"
}

run --help
[ "$status" -eq 0 ] || die "--help ends with status $status"
[[ $output == "usage: $name"* ]] || die "--help says: $output"
[ -z "$errors" ] || die "--help complains: $errors"
for words in '--nonsense' 'nonsense' '--help more' '1 2 3' "$@"; do
    # Several words on purpose.
    # shellcheck disable=SC2086
    run $words
    [ "$status" -eq 2 ] || die "\"$words\" ends with status $status"
    [[ $errors == "usage: $name"* ]] || die "\"$words\" is answered: $errors"
    [ -z "$output" ] || die "\"$words\" prints: $output"
done
echo "$name refuses what it does not know"
