#!/usr/bin/env bash
# nginx and Caddy, with the examples of docs/operations.md, in front of the real program: the calls of a classic
# client and of one of /v1 through each of them, with pictures of 2 MB, CORS, error answers and streamed lines.
# Every answer must be the one that the service gives without a proxy.
#
# Needs python3, openssl, and a built or buildable `vultus`; set VULTUS to use another binary. nginx and caddy are
# installed with apt-get when they are missing. Only addresses, ports and the paths of certificates are put in the
# place of those in packaging/nginx.conf and packaging/Caddyfile.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v nginx > /dev/null || ! command -v caddy > /dev/null; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends nginx-light caddy > /dev/null
fi

vultus=${VULTUS:-}
if [ -z "$vultus" ]; then
  vultus=target/release/vultus
  [ -x "$vultus" ] || cargo build --release --quiet
fi
exec python3 scripts/proxies/drive.py --vultus "$vultus" --packaging packaging --faces data/faces
