#!/bin/bash
# test_chat.sh PROGRAM: two clients see each other's lines, whole and in order, and not their own;
# the program ends on SIGTERM, whether somebody is there or not.
set -euo pipefail
program=$1
chat=

die() {
    echo "chat: $*"
    exit 1
}
trap '[ -z "$chat" ] || kill "$chat"' EXIT

# Sets `chat` and `port`.
start() {
    local line
    coproc CHAT { exec "$program" 0 2>&1; }
    chat=$CHAT_PID
    IFS= read -r -t 20 -u "${CHAT[0]}" line || die "says nothing"
    [[ $line =~ ^chat\ on\ 127\.0\.0\.1:([0-9]+)$ ]] || die "said: $line"
    port=${BASH_REMATCH[1]}
}

expect() { # DESCRIPTOR LINE
    local line
    IFS= read -r -t 20 -u "$1" line || die "no line came, expected: $2"
    [ "$line" = "$2" ] || die "expected: $2, came: $line"
}

ended() {
    wait "$chat" || die "ended with status $?"
    chat=
}

start
exec 3<>"/dev/tcp/127.0.0.1/$port" 4<>"/dev/tcp/127.0.0.1/$port"

# Both have joined when a line of each has reached the other; earlier ones may be missed.
hello() { # FROM TO
    local line
    for _ in $(seq 200); do
        echo knock >&"$1"
        if IFS= read -r -t 0.1 -u "$2" line; then
            echo end of knocking >&"$1"
            while [ "$line" != 'end of knocking' ]; do
                IFS= read -r -t 20 -u "$2" line || die "the end of knocking did not come"
            done
            return
        fi
    done
    die "a line never arrived"
}
hello 3 4
hello 4 3

printf 'in ' >&3
printf 'parts\nand two ' >&3
printf 'at once\n' >&3
expect 4 'in parts'
expect 4 'and two at once'
echo 'heard you' >&4
expect 3 'heard you'
head -c 1200 /dev/zero | tr '\0' x >&4
echo >&4
expect 3 "$(head -c 1200 /dev/zero | tr '\0' x)"
exec 3>&- 4>&-
kill -TERM "$chat"
ended

start
exec 3<>"/dev/tcp/127.0.0.1/$port"
kill -TERM "$chat"
if IFS= read -r -t 20 -u 3 line; then
    die "a line came from nobody: $line"
fi
exec 3>&-
ended
echo "two clients heard each other; both ends were orderly"
