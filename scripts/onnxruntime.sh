#!/bin/sh
# Runs the tests of the face pipeline, golden numbers and all, with ONNX Runtime in place of the built-in
# runtime wherever it finds faces. Fetches its shared library from the Python package that holds it into
# scripts/cache (ignored by git) and checks it; none of the package's Python code runs.
#
# Needs python3 with pip, and scripts/golden.sh to have been run once. Prints the path of the library at
# the end: VULTUS_ONNXRUNTIME for a program that was built with the feature `onnxruntime`.
set -eu

cd "$(dirname "$0")/.."
cache=$PWD/scripts/cache/onnxruntime
version=1.32.0
mkdir -p "$cache"
library=$cache/libonnxruntime.so.$version

if [ ! -f "$library" ]; then
    python3 -m pip download --quiet --no-deps --only-binary :all: --dest "$cache" "onnxruntime==$version"
    python3 - "$cache" "$version" <<'UNPACK'
import glob, pathlib, sys, zipfile
folder, version = sys.argv[1:]
[wheel] = glob.glob(f"{folder}/onnxruntime-{version}-*.whl")
name = f"libonnxruntime.so.{version}"
library = zipfile.ZipFile(wheel).read(f"onnxruntime/capi/{name}")
part = pathlib.Path(folder, f"{name}.part")
part.write_bytes(library)
part.rename(pathlib.Path(folder, name))
UNPACK
fi

export VULTUS_ONNXRUNTIME="$library"
export VULTUS_GOLDEN_PICTURES="$PWD/scripts/cache/pictures"
cargo test --features onnxruntime --test it face:: -- --include-ignored "$@"
echo "$library"
