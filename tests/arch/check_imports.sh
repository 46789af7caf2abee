#!/bin/bash
# check_imports.sh ROOT: every #include of ours goes downwards, and service actors meet only
# through the interfaces of actors/mcp.
set -euo pipefail
# shellcheck source=layers.sh
. "$(dirname "$0")/layers.sh"
cd "$1"
need_layers

# <troupe/x.h> -> the file that provides it.
declare -A public
while read -r file; do
    public[${file##*/}]=$file
done < <(list_sources . h | grep '/include/troupe/[^/]*\.h$' || true)

# Prints the group of a file: the layer, or for actors and io the folder inside.
group_of() {
    local file=$1
    case $file in
    io/codec/*) echo io/codec ;;
    io/*) echo io ;;
    actors/*/*) file=${file#actors/} && echo "actors/${file%%/*}" ;;
    *) echo "${file%%/*}" ;;
    esac
}

is_allowed() { # FROM-GROUP TO-GROUP TO-FILE
    local from=$1 to=$2 file=$3
    [ "$from" = "$to" ] && return 0
    case $to in
    mailbox) return 0 ;; # below everything
    pool) [ "$from" != mailbox ] && [ "$from" != io/codec ] && return 0 ;;
    io/codec)
        case $from in
        io | actors/core | actors/admission)
            # The library core reads neither JSON nor Nostr.
            case $file in
            io/codec/json* | io/codec/nostr*) return 1 ;;
            esac
            return 0
            ;;
        actors/* | bench | examples) return 0 ;;
        esac
        ;;
    io) case $from in actors/* | bench | examples) return 0 ;; esac ;;
    actors/server) ;; # a program: nothing includes it
    actors/core) case $from in actors/* | bench | examples) return 0 ;; esac ;;
    actors/admission)
        case $from in
        actors/core) ;;
        actors/* | bench | examples) return 0 ;;
        esac
        ;;
    actors/*)
        case $from in
        actors/server | bench | examples) return 0 ;;
        actors/core | actors/admission) ;;
        actors/*)
            case $file in
            actors/mcp/frontend.h | actors/mcp/backend.h) return 0 ;;
            esac
            ;;
        esac
        ;;
    esac
    return 1
}

# Prints the file that an include names, nothing for a system header, "?" for one we cannot find.
resolve() { # FILE INCLUDED (with its quotes or brackets)
    local name=${2:1:-1} beside
    beside=$(dirname "$1")/$name
    case $2 in
    '<troupe/'*) echo "${public[${name#troupe/}]:-?}" ;;
    '<'*) ;;
    *)
        if [ -f "$name" ]; then
            echo "$name"
        elif [ -f "$beside" ]; then
            echo "$beside"
        else
            echo '?'
        fi
        ;;
    esac
}

check() {
    local file line included target
    while IFS=: read -r file line included; do
        case $included in
        *../*)
            echo "$file:$line: include through a relative path: $included"
            continue
            ;;
        esac
        target=$(resolve "$file" "$included")
        if [ -z "$target" ]; then
            case $included:$file in
            '<liburing'*:io/codec/*) ;;
            '<liburing'*:io/* | '<liburing'*:bench/*) continue ;;
            '<liburing'*) ;;
            *) continue ;;
            esac
            echo "$file:$line: only io may use $included"
        elif [ "$target" = '?' ]; then
            # Made by the build (a version header, say), or a mistake that the compiler finds.
            continue
        elif ! is_allowed "$(group_of "$file")" "$(group_of "$target")" "$target"; then
            echo "$file:$line: $(group_of "$file") must not include $target"
        fi
    done
}

list_sources . c h cc cpp | tr '\n' '\0' |
    { xargs -0 -r grep -nHE '^[[:space:]]*#[[:space:]]*include[[:space:]]*["<](\.\.|troupe/|liburing|mailbox/|pool/|io/|actors/|bench/|examples/|[^<>"/]*\.h")' || true; } |
    sed -E 's/^([^:]*):([0-9]*):[^"<]*((<[^>]*>)|("[^"]*")).*/\1:\2:\3/' |
    check | finish "import direction"
