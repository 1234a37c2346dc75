#!/usr/bin/env bash
# Asks every operation that /openapi.json describes, of both doors, of the real program, with what the description
# allows and with what it does not, and fails on an answer that is a server error or not as described.
#
# Needs python3 with venv and pip, and a built or buildable `vultus`; set VULTUS to use another binary, and EXAMPLES
# for more than the usual number of requests for each operation.
set -euo pipefail
cd "$(dirname "$0")/.."

version=4.32.5
venv=$PWD/scripts/cache/schemathesis-$version
if [ ! -x "$venv/bin/schemathesis" ]; then
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check "schemathesis==$version"
fi

vultus=${VULTUS:-}
if [ -z "$vultus" ]; then
  vultus=target/release/vultus
  [ -x "$vultus" ] || cargo build --release --quiet
fi

work=$(mktemp -d)
server=
cleanup() {
  [ -z "$server" ] || kill "$server" 2> /dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT

export VULTUS_DATA_DIR=$work/data
"$vultus" app create --name schemathesis --storage bws --json > "$work/app.json"
"$vultus" key create --name schemathesis --everything --json \
  --scopes enroll,identify,verify,read,delete,snapshot,embeddings,scores > "$work/key.json"
VULTUS_LOG=error "$vultus" serve --listen 127.0.0.1:0 --snapshot-dir "$work/snapshots" > "$work/listening.json" &
server=$!
for _ in $(seq 300); do
  [ ! -s "$work/listening.json" ] || break
  sleep 0.1
done
url=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["listening"])' "$work/listening.json")

# Credentials, and pictures of faces where the description can only say that it is a text, come from hooks.py.
export VULTUS_WORK=$work VULTUS_URL=$url VULTUS_FACES=$PWD/data/faces
export PYTHONPATH=$PWD/scripts/schemathesis SCHEMATHESIS_HOOKS=hooks
cd "$work"
"$venv/bin/schemathesis" run "$url/openapi.json" \
  --checks not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance \
  --phases examples,coverage,fuzzing \
  --max-examples "${EXAMPLES:-20}" --seed 1 --continue-on-failure --request-timeout 60 --no-color \
  --suppress-health-check all
