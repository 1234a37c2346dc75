#!/usr/bin/env bash
# Runs the benchmarks of the service once over next to nothing: whether they still run with the program of
# today. What they print then says nothing of how fast anything is. VULTUS names the program.
#
# Not run: `calibrating.py`, which waits minutes for what it measures. `benches/jobs.py` and
# `benches/wheel.py` need the Python modules: docs/jobs.md and docs/python.md.
set -euo pipefail
cd "$(dirname "$0")/../benches/service"
vultus=${VULTUS:-../../target/release/vultus}
case $vultus in /* | ../*) ;; *) vultus=../../$vultus ;; esac

run() {
    printf -- '-- %s\n' "$*"
    "./$1" "$vultus" "${@:2}"
}

# With fewer rows overload would have the load wait for what it asked (docs/benchmarks.md).
run run.py --rows 300000 --rounds 1 --seconds 1 --overload 1 --bws 8 --before "$vultus"
run latency.py --rows 2000 --dim 64 --seconds 1 --beyond 0.8
run encrypted.py --rows 2000 --dim 64 --rounds 1 --questions 3 --passes 2
run records.py --rows 2000 --dim 64 --questions 3
run audit.py --rows 2000 --dim 64 --rounds 1 --seconds 1
./joining.py 1:9.0,64:60.4 --pieces 2 > /dev/null
