#!/bin/sh
# run.sh KERNEL --threads N [--scale D]: runs the Erlang peer with N schedulers.
# troupe_peer.beam has to lie beside this script; troupe_peer.erl explains the flags.
usage()
{
    echo "usage: run.sh KERNEL --threads N [--scale D]" >&2
    exit 2
}

# number TEXT MOST: a whole number from 1 to MOST, or the end.
number()
{
    case $1 in
    '' | *[!0-9]*) usage ;;
    esac
    # digits too many for the shell's own numbers are an error of [
    [ "$1" -ge 1 ] 2>/dev/null && [ "$1" -le "$2" ] || usage
}

threads=1
previous=
for argument in "$@"; do
    case $previous in
    --threads)
        number "$argument" 256
        threads=$argument
        ;;
    --scale) number "$argument" 1000000 ;;
    esac
    previous=$argument
done
case $previous in
--threads | --scale) usage ;;
esac
HOME=${HOME:-/} exec erl -noshell -noinput -boot start_clean -mode minimal \
    +S "$threads:$threads" +SDcpu 1:1 +SDio 1 +A 1 +P 2000000 +sbwt "${TROUPE_PEER_SBWT:-medium}" \
    -pa "$(dirname "$0")" -s troupe_peer main -extra "$@"
