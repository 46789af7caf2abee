#!/bin/bash
# run.sh [NUMBER|NAME]...: breaks the source in one way after the other and shows that the tests
# notice each of them.
#
# A mutant is a file NN-name.mutant beside this script:
#
#     breaks: what is wrong then, one sentence
#     notices: TEST [ARGUMENT]...      a test program that must fail; several lines: all must
#     sanitizer: thread                optional; otherwise address,undefined
#     file: pool/*.c                   or one file; a pattern survives a move between files
#     --- from
#     a text that these files have exactly once, as short as possible
#     --- to
#     what is there instead
#     --- end
#
# with as many blocks from `file` to `end` as needed. A text that is no longer found, or no longer
# unique, is a failure: then the code has changed and the mutant has to follow.
#
# The tree is copied to a temporary folder, once per job. First all tests named run without any
# mutant and must pass, so that "caught" means something. Then each mutant is applied alone, the
# tests it names are built and run, and the tree is restored. A test that does not end has noticed
# as well: it gets MUTANT_SECONDS and three times what it took without a mutant. One that cannot be
# built has not.
#
# One kind is not here: the announcement of a park as a plain store, which the look at the inbox may
# overtake. No interleaving of whole operations shows it and real processors do it too rarely; the
# model park.pml has that mutant (tests/model).
#
# Environment: MUTANT_JOBS (the CPUs), MUTANT_SECONDS (20; see above), CC.
# Exit: 0 all caught, 1 one survived or does not apply, 77 when a tool is missing.
set -uo pipefail
here=$(dirname "$(readlink -f "$0")")
root=$(readlink -f "$here/../..")
jobs=${MUTANT_JOBS:-$(nproc)}
patience=${MUTANT_SECONDS:-20}

for tool in cmake ninja perl; do
    if ! command -v "$tool" >/dev/null; then
        echo "skipped: $tool is not installed"
        exit 77
    fi
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
mkdir "$work/claims" "$work/results" "$work/took"

# Sanitizers end a program at once and print little: what counts is that it fails.
export ASAN_OPTIONS=abort_on_error=0:symbolize=0:detect_leaks=1
export UBSAN_OPTIONS=halt_on_error=1
export TSAN_OPTIONS=suppressions=$root/tests/tsan.supp:halt_on_error=1
no_random=()
if setarch "$(uname -m)" -R true 2>/dev/null; then
    no_random=(setarch "$(uname -m)" -R) # ThreadSanitizer of gcc 12 needs it
fi

choose() { # what to run: all, or those whose number or name was given
    local path name wanted
    for path in "$here"/*.mutant; do
        name=$(basename "$path" .mutant)
        [ $# -gt 0 ] || echo "$name"
        for wanted in "$@"; do
            [ "$name" != "$wanted" ] && [ "${name%%-*}" != "$wanted" ] &&
                [ "${name#*-}" != "$wanted" ] || echo "$name"
        done
    done
}

lines_of() { # FIELD NAME
    sed -n "s/^$1: //p" "$here/$2.mutant"
}

sanitizer_of() { # NAME
    local sanitizer
    sanitizer=$(lines_of sanitizer "$1")
    echo "${sanitizer:-address,undefined}"
}

# configure SLOT SANITIZER: a build folder of this slot; made when first needed.
configure() {
    local slot=$1 sanitizer=$2 folder=$1/build-${2%%,*} launcher=()
    [ ! -f "$folder/build.ninja" ] || return 0
    if command -v ccache >/dev/null; then
        launcher=(-DCMAKE_C_COMPILER_LAUNCHER=ccache -DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
    fi
    cmake -S "$slot/tree" -B "$folder" -G Ninja -DCMAKE_BUILD_TYPE=Debug \
        "-DCMAKE_C_FLAGS_DEBUG=-O1 -g" "-DCMAKE_CXX_FLAGS_DEBUG=-O1 -g" \
        "-DTROUPE_SANITIZE=$sanitizer" "${launcher[@]}" >"$slot/log" 2>&1
}

# build SLOT SANITIZER TARGET
build() {
    # with the same paths in both slots ccache serves them both
    configure "$1" "$2" && CCACHE_BASEDIR=$1 CCACHE_NOHASHDIR=1 \
        cmake --build "$1/build-${2%%,*}" -j 1 --target "$3" >"$1/log" 2>&1
}

# A name for files about a test run.
key_of() { # SANITIZER COMMAND
    echo "$1-${2// /_}"
}

seconds_of() { # SANITIZER COMMAND: how long it may take
    local took
    took=$(cat "$work/took/$(key_of "$1" "$2")" 2>/dev/null)
    echo $((${took:-100} * 3 + patience))
}

# test_fails SLOT SANITIZER TEST [ARGUMENT]...: 0 it failed or did not end, 1 it passed.
test_fails() {
    local slot=$1 sanitizer=$2 test=$3 prefix=() seconds
    seconds=$(seconds_of "$sanitizer" "${*:3}")
    shift 3
    [ "$sanitizer" != thread ] || prefix=("${no_random[@]}")
    # in a shell of its own, which keeps what bash says about signals to itself
    ! (exec 2>/dev/null && timeout -k 5 "$seconds" "${prefix[@]}" \
        "$slot/build-${sanitizer%%,*}/tests/$test" "$@" >"$slot/output" 2>&1 </dev/null)
}

# The line that says what was noticed, for people.
why() { # OUTPUT
    local line
    line=$(grep -m 1 -aE 'FAILED:|assert|Sanitizer|ERROR|\[  ERROR|stepper' "$1" | tail -n 1)
    printf '%.90s' "${line:-did not end}"
}

note() { # NAME VERDICT TEXT
    printf '%-9s %-32s %s\n' "$2" "$1" "$3" | tee "$work/results/$1"
}

claim() { # one of the slots gets it
    mkdir "$work/claims/$1" 2>/dev/null
}

# Without a mutant each test must pass.
run_unbroken() { # SLOT
    local slot=$1 sanitizer command began
    while read -r sanitizer command; do
        claim "unbroken-$(key_of "$sanitizer" "$command")" || continue
        if ! build "$slot" "$sanitizer" "${command%% *}"; then
            tail -n 20 "$slot/log"
            note "unbroken: $command" BROKEN 'cannot be built'
            continue
        fi
        began=$SECONDS
        # shellcheck disable=SC2086 # a command line of words
        if test_fails "$slot" "$sanitizer" $command; then
            tail -n 20 "$slot/output"
            note "unbroken: $command" BROKEN 'fails without any mutant'
        fi
        echo $((SECONDS - began)) >"$work/took/$(key_of "$sanitizer" "$command")"
    done <"$work/commands"
}

# mutate SLOT NAME
mutate() {
    local slot=$1 name=$2 sanitizer commands command noticed=''
    sanitizer=$(sanitizer_of "$name")
    if ! perl "$here/apply.pl" "$slot/tree" "$here/$name.mutant" >"$slot/changed" 2>"$slot/log"; then
        cat "$slot/log"
        note "$name" 'NO PLACE' 'the text that it replaces is not there'
        return
    fi
    mapfile -t commands < <(lines_of notices "$name")
    for command in "${commands[@]}"; do
        # shellcheck disable=SC2086 # a command line of words
        if ! build "$slot" "$sanitizer" "${command%% *}"; then
            grep -m 5 error "$slot/log"
            note "$name" 'NO BUILD' "$command cannot be built"
            return
        elif ! test_fails "$slot" "$sanitizer" $command; then
            note "$name" SURVIVED "$command; $(lines_of breaks "$name")"
            return
        fi
        noticed+="$command: $(why "$slot/output") "
    done
    note "$name" caught "$noticed"
}

restore() { # SLOT
    local file
    while read -r file; do
        cp "$work/pristine/$file" "$1/tree/$file" # newer than what was built from the mutant
    done <"$1/changed"
}

run_slot() { # SLOT NAME...
    local slot=$1 name
    shift
    for name in "$@"; do
        claim "$name" || continue
        mutate "$slot" "$name"
        restore "$slot"
    done
}

mapfile -t names < <(choose "$@")
if [ ${#names[@]} -eq 0 ]; then
    echo "no such mutant" >&2
    exit 1
fi
for name in "${names[@]}"; do
    lines_of notices "$name" | sed "s/^/$(sanitizer_of "$name") /"
done | sort -u >"$work/commands"
# From here on the tree may change without harm.
mkdir "$work/pristine"
tar -C "$root" --exclude=./build --exclude=./.git --exclude=node_modules -cf - . |
    tar -C "$work/pristine" -xf - || exit 1
slots=()
for ((i = 0; i < jobs; i++)); do
    slot=$work/slot$i
    mkdir "$slot"
    cp -rp "$work/pristine" "$slot/tree" || exit 1
    slots+=("$slot")
done
for slot in "${slots[@]}"; do
    run_unbroken "$slot" &
done
wait
echo "$(wc -l <"$work/commands") test runs pass without a mutant, unless said otherwise above"
for slot in "${slots[@]}"; do
    run_slot "$slot" "${names[@]}" &
done
wait
caught=$(cat "$work"/results/* 2>/dev/null | grep -c '^caught ')
bad=$(cat "$work"/results/* 2>/dev/null | grep -vc '^caught ')
echo "$caught of ${#names[@]} mutants caught, $bad troubles"
[ "$caught" -eq "${#names[@]}" ] && [ "$bad" -eq 0 ]
