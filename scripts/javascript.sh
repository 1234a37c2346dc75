#!/usr/bin/env bash
# The JavaScript package: what it sends and reads, its calls against the description of the API, its types with the
# compiler of TypeScript, and both clients against the real program.
#
# Needs a built or buildable `vultus`; set VULTUS to use another binary. Node and npm are installed with apt-get when
# they are missing. TypeScript is fetched into scripts/cache and never committed.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v node > /dev/null || ! command -v npm > /dev/null; then
  apt-get update -qq
  apt-get install -qq -y --no-install-recommends nodejs npm > /dev/null
fi

cache=scripts/cache/javascript
mkdir -p "$cache"
archive=$cache/typescript-5.9.3.tgz
[ -f "$archive" ] || (cd "$cache" && npm pack --silent typescript@5.9.3 > /dev/null)
echo "10e108c9cf7d5f2879053dff18515fb405abf2ccef63eaaf017d9c571687a1d3  $archive" | sha256sum --check --quiet
[ -d "$cache/typescript" ] || { mkdir "$cache/typescript" && tar -xzf "$archive" -C "$cache/typescript" --strip-components 1; }

vultus=${VULTUS:-}
if [ -z "$vultus" ]; then
  cargo build --release --quiet
  vultus=target/release/vultus
fi
node "$cache/typescript/bin/tsc" --noEmit --strict --target es2022 --module nodenext \
  --lib es2022,dom,dom.asynciterable javascript/test/types.ts
VULTUS=$(realpath "$vultus") node --test javascript/test/
