#!/usr/bin/env bash
# Compares Vultus with its peers on this machine. Arguments go to compare.py; --help lists them.
#
# Needs CPython 3.11 (set PYTHON to name it), pip, a C++ compiler, and cargo unless VULTUS names a
# built binary and WHEEL a built module. Packages and data are kept in benches/compare/cache and never committed.
set -euo pipefail
# Settings of the machine for matrix products would favour one library or slow another.
unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
cache=$here/cache
venv=$cache/venv
python=${PYTHON:-python3.11}

if ! "$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))'; then
  echo "\`$python\` is not CPython 3.11, for which the packages are pinned: set PYTHON" >&2
  exit 2
fi
mkdir -p "$cache"
if ! cmp --silent "$here/requirements.txt" "$venv/installed.txt"; then
  "$python" -m venv "$venv"
  "$venv/bin/python" -m pip install --quiet --requirement "$here/requirements.txt"
  cp "$here/requirements.txt" "$venv/installed.txt"
fi

# The module is built each time: cargo knows what has changed. WHEEL names one that is built already.
CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target} \
  "$venv/bin/python" -m pip install --quiet --force-reinstall --no-deps "${WHEEL:-$root/python}"

vultus=${VULTUS:-}
if [ -z "$vultus" ]; then
  cargo build --release --quiet --manifest-path "$root/Cargo.toml"
  vultus=${CARGO_TARGET_DIR:-$root/target}/release/vultus
fi
exec "$venv/bin/python" "$here/compare.py" --vultus "$vultus" "$@"
