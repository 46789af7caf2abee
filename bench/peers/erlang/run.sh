#!/bin/sh
# run.sh KERNEL --threads N [--scale D]: runs the Erlang peer with N schedulers.
# troupe_peer.beam has to lie beside this script; troupe_peer.erl explains the flags.
threads=1
previous=
for argument in "$@"; do
    [ "$previous" != --threads ] || threads=$argument
    previous=$argument
done
HOME=${HOME:-/} exec erl -noshell -noinput -boot start_clean -mode minimal \
    +S "$threads:$threads" +SDcpu 1:1 +SDio 1 +A 1 +P 2000000 +sbwt "${TROUPE_PEER_SBWT:-medium}" \
    -pa "$(dirname "$0")" -s troupe_peer main -extra "$@"
