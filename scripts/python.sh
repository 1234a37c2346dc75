#!/usr/bin/env bash
# Builds the Python modules, the engine and its networks, in a fresh environment as their users do, with pip, and
# tests them; clients and faces against the real program.
#
#   scripts/python.sh
#
# `VULTUS` names a program that is built already; without it that of `cargo build` is taken.
# Needs cargo, a C++ compiler and Python 3.10 or later (`PYTHON` names it), and fetches the packages that the tests
# use. What cargo has built stays in target/, so that a second run is quick.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
export PATH="$work/venv/bin:$PATH"
export CARGO_TARGET_DIR="$PWD/target"

cargo fmt --check -p vultus-python -p vultus-faces
if [ -z "${VULTUS:-}" ]; then
    cargo build --quiet
    VULTUS=$CARGO_TARGET_DIR/debug/vultus
fi
VULTUS=$(realpath "$VULTUS")
export VULTUS
# What tests ask of it, and the libraries whose columns and tensors it takes; CI has no PyTorch, which is large.
pip install --quiet './python[faces,test,examples]' ./python/faces 'numpy>=2' pyarrow polars pandas tqdm array-api-strict apache-tvm-ffi
ruff format --check --quiet python
ruff check --quiet python
# From elsewhere, so that the installed modules are tested and not their source.
cd "$work"
python -m pytest --quiet --rootdir "$OLDPWD/python" -p no:cacheprovider "$OLDPWD/python/tests"

# The notebooks, cell by cell: an exception or an assertion that fails ends this.
for notebook in "$OLDPWD"/examples/*.ipynb; do
    echo "running ${notebook##*/}"
    python -W ignore - "$notebook" <<'END'
import sys

import nbformat
from nbclient import NotebookClient

NotebookClient(nbformat.read(sys.argv[1], as_version=4), timeout=120, kernel_name="python3").execute()
END
done
