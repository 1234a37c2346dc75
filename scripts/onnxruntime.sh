#!/bin/sh
# Runs the tests of the face pipeline, golden numbers and all, with ONNX Runtime in place of the built-in
# runtime wherever it finds faces. Fetches its shared library from the Python package that holds it into
# scripts/cache (ignored by git) and checks it; none of the package's Python code runs.
#
# Needs an x86-64 machine, python3 with pip, and scripts/golden.sh to have been run once. Prints the path of the library at
# the end: VULTUS_ONNXRUNTIME for a program that was built with the feature `onnxruntime`.
set -eu

cd "$(dirname "$0")/.."
cache=$PWD/scripts/cache/onnxruntime
version=1.32.0
wheel=onnxruntime-$version-cp311-cp311-manylinux_2_28_x86_64.whl
library=$cache/libonnxruntime.so.$version
mkdir -p "$cache"
cd "$cache"

# The same wheel whatever Python there is: only the library in it is used.
[ -f "$wheel" ] || python3 -m pip download --quiet --no-deps --only-binary :all: \
    --platform manylinux_2_28_x86_64 --implementation cp --python-version 3.11 "onnxruntime==$version"
echo "5a34fc4dfeb5a7b4a74c95dcba1e773d722abda720b474edf1b0c419dc6d163d  $wheel" | sha256sum --check --quiet -
python3 -c '
import sys, zipfile
wheel, library = sys.argv[1:]
with open(library, "wb") as out:
    out.write(zipfile.ZipFile(wheel).read("onnxruntime/capi/" + library))
' "$wheel" "${library##*/}"

cd ../../..
export VULTUS_ONNXRUNTIME="$library"
export VULTUS_GOLDEN_PICTURES="$PWD/scripts/cache/pictures"
# With the other features that are off, as .ci/run tests them: nothing is compiled for this alone then.
cargo test --features onnxruntime,opentelemetry,packed-networks --test it face:: -- --include-ignored "$@"
echo "$library"
