#!/usr/bin/env bash
# New users, who do what the pages say: docs/quickstart-*.md and docs/migration.md are followed line by line, each
# from an empty folder, and what comes is compared with what they promise. Then examples/side_by_side.py between two
# real services, with all that can go wrong. Names of pages may be given to follow those alone.
#
# Needs python3 (3.10 or later) with venv, openssl, curl, and a built or buildable `vultus`; set VULTUS to use another
# binary. NumPy, mitmproxy and requests, which pages want, are fetched into scripts/cache if they are not there. Not
# covered: the fences that a page marks as `not run`, which build or install programs.
set -euo pipefail
cd "$(dirname "$0")/.."

for tool in curl openssl; do
  command -v "$tool" > /dev/null || missing="${missing:-} $tool"
done
if [ -n "${missing:-}" ]; then
  apt-get update -qq
  # shellcheck disable=SC2086
  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing > /dev/null
fi
if ! python3 -s -c 'import mitmproxy, numpy, requests' 2> /dev/null || ! command -v mitmdump > /dev/null; then
  tools=scripts/cache/quickstarts
  if [ ! -f "$tools/ready-2" ]; then
    python3 -m venv "$tools"
    # What docs/migration.md names.
    "$tools/bin/pip" install --quiet 'numpy>=1.26' 'mitmproxy>=11,<13' 'requests>=2.31,<3'
    touch "$tools/ready-2"
  fi
  export PATH="$PWD/$tools/bin:$PATH"
fi

vultus=${VULTUS:-}
if [ -z "$vultus" ]; then
  vultus=target/release/vultus
  [ -x "$vultus" ] || cargo build --release --quiet
fi

if [ $# -gt 0 ]; then
  pages=("$@")
else
  pages=(docs/quickstart-*.md docs/migration.md)
fi
python3 scripts/quickstarts/pages.py --vultus "$vultus" --sources . "${pages[@]}"
[ $# -gt 0 ] ||
  python3 scripts/quickstarts/side_by_side.py --vultus "$vultus" --proxy examples/side_by_side.py --faces data/faces
