#!/usr/bin/env bash
# Jobs over whole galleries on Apache Spark: a standalone master and two workers as processes of their own on this
# machine, with authentication and encryption as docs/jobs.md has them. Workers, executors and drivers are killed in
# the middle, and what is found is compared with all comparisons in double precision.
#
# Needs Java 17 or later, and Python with venv; PySpark is fetched into scripts/cache. The module is built with cargo
# unless VULTUS_PYTHON names a Python that has it.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v java > /dev/null; then
  apt-get update -qq || true
  if ! DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends openjdk-17-jre-headless > /dev/null
  then
    echo "NOT RUN: Java cannot be had here"
    exit 0
  fi
fi

tools=scripts/cache/spark
if [ ! -f "$tools/ready" ]; then
  rm -rf "$tools"
  python3 -m venv "$tools"
  if ! "$tools/bin/pip" install --quiet 'pyspark==4.3.0' 'pandas>=2.2,<3' 'pyarrow>=18' 'numpy>=1.23' pytest; then
    echo "NOT RUN: PySpark cannot be had here"
    exit 0
  fi
  touch "$tools/ready"
fi
python=$PWD/$tools/bin/python

if [ -n "${VULTUS_PYTHON:-}" ]; then
  # Only the module of that Python, and none of its other packages.
  place=$(cd / && "$VULTUS_PYTHON" -c 'import pathlib, vultus; print(pathlib.Path(vultus.__file__).parent)')
  link=$(mktemp -d)
  trap 'rm -rf "$link"' EXIT
  ln -s "$place" "$link/vultus"
  export PYTHONPATH="$link"
else
  CARGO_TARGET_DIR="$PWD/target" "$python" -m pip install --quiet --force-reinstall --no-deps ./python
fi
export PYTHONPATH="${PYTHONPATH:+$PYTHONPATH:}$PWD/python/tests"
"$python" scripts/spark/proof.py
