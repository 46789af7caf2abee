#!/bin/bash
# run.sh: checks the Promela models beside this script with spin, and that each of their mutants
# (-DBREAK_x, named in the model's comment) is found to be wrong. Works in a temporary folder.
# Exit: 0 as expected, 1 surprise, 77 when spin is not installed.
set -uo pipefail
here=$(dirname "$(readlink -f "$0")")

if ! command -v spin >/dev/null; then
    echo "skipped: spin is not installed (Debian package: spin)"
    exit 77
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1

memory_mb=1024
steps_max=1000000
surprises=0
lines=()

# Prints the number after "errors:" and the number of states, or nothing when the search was not
# complete, in which case it proves nothing.
read_result() { # OUTPUT
    if grep -qE 'max search depth too small|out of memory|reached -DMEMLIM|aborting' "$1"; then
        return
    fi
    sed -nE 's/.*errors: ([0-9]+).*/\1/p' "$1"
}

# check MODEL DEFINE: two searches: assertions and end states without the claim, then, if these
# hold, the claim under weak fairness. Leaves the verdict in `errors` (a number, or "none" without a result).
check() {
    local model=$1 define=$2 claim
    errors=none
    states=
    rm -f pan* safety.log claim.log ./*.trail
    if ! spin ${define:+"-D$define"} -a "$here/$model" >spin.log 2>&1; then
        cat spin.log
        return
    fi
    claim=$(sed -nE 's/^ltl ([a-z_]+) .*/\1/p' "$here/$model")
    if ! { "${CC:-cc}" -O2 -w -DMEMLIM=$memory_mb -DSAFETY -DNOCLAIM -o pan_safety pan.c &&
        "${CC:-cc}" -O2 -w -DMEMLIM=$memory_mb -DNFAIR=3 -o pan_claim pan.c; } >cc.log 2>&1; then
        cat cc.log
        return
    fi
    ./pan_safety -m$steps_max >safety.log 2>&1
    errors=$(read_result safety.log)
    if [ "$errors" = 0 ]; then
        ./pan_claim -m$steps_max -a -f -N "$claim" >claim.log 2>&1
        errors=$(read_result claim.log)
    fi
    errors=${errors:-none}
    states=$(sed -nE 's/^ *([0-9]+) states, stored.*/\1/p' safety.log claim.log 2>/dev/null | paste -sd+ -)
}

report() { # MODEL VARIANT EXPECTED
    local verdict=ok
    case $3:$errors in
    right:0 | wrong:[1-9]*) ;;
    *)
        verdict=SURPRISE
        surprises=$((surprises + 1))
        tail -n 30 safety.log claim.log 2>/dev/null
        ;;
    esac
    lines+=("$(printf '%-14s %-16s errors: %-5s expected: %-5s states: %-20s %s' \
        "$1" "$2" "$errors" "$3" "$states" "$verdict")")
}

for path in "$here"/*.pml; do
    model=${path##*/}
    check "$model" ''
    report "$model" - right
    for mutant in $(sed -nE 's/^ \* mutants: (.*)/\1/p' "$path"); do
        check "$model" "$mutant"
        report "$model" "$mutant" wrong
    done
done
printf '%s\n' "${lines[@]}"
echo "$surprises surprises"
[ "$surprises" -eq 0 ]
