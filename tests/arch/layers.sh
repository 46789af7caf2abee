# What the checks share. Source it: . "$(dirname "$0")/layers.sh"
# shellcheck shell=bash

# Folders with code of the product, from the bottom up; tests are not among them.
LAYERS=(mailbox pool io actors bench examples)

# list_sources ROOT EXTENSION... : files of the layers, one per line, relative to ROOT.
list_sources() {
    local root=$1 layer extension
    shift
    for layer in "${LAYERS[@]}"; do
        [ -d "$root/$layer" ] || continue
        for extension in "$@"; do
            (cd "$root" && find "$layer" -type f -name "*.$extension")
        done
    done | LC_ALL=C sort
}

# Prints the verdict for the problems on standard input and exits: 1 if there are any.
finish() {
    local name=$1 problems
    problems=$(cat)
    if [ -n "$problems" ]; then
        printf '%s\n' "$problems"
        printf '%s: failed\n' "$name"
        exit 1
    fi
    printf '%s: ok\n' "$name"
    exit 0
}

# Refuses a folder that does not hold the layers: a check of nothing would always be content.
need_layers() {
    [ -d mailbox ] && [ -d actors ] && return
    echo "no layers in $PWD"
    exit 1
}
