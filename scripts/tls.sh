#!/usr/bin/env bash
# The real service speaks TLS with the clients that people have: curl, openssl s_client, Python and Chromium; with
# certificates that are good, expired, of another name, and replaced while it serves.
#
# Needs a built or buildable `vultus`; set VULTUS to use another binary. What else is missing is installed with
# apt-get.
set -euo pipefail
cd "$(dirname "$0")/.."

for tool in curl:curl openssl:openssl python3:python3 certutil:libnss3-tools chromium:chromium; do
  if ! command -v "${tool%%:*}" > /dev/null; then
    apt-get update -qq
    apt-get install -qq -y --no-install-recommends "${tool##*:}" > /dev/null
  fi
done

vultus=${VULTUS:-}
if [ -z "$vultus" ]; then
  cargo build --release --quiet
  vultus=target/release/vultus
fi

work=$(mktemp -d)
trap 'kill "${service:-}" 2> /dev/null || true; rm -rf "$work"' EXIT

# certificate FILE NAME DAYS: one for NAME that ends in so many days, signed by our authority.
certificate() {
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$2" \
    -keyout "$work/$1.key" -out "$work/request" 2> /dev/null
  openssl x509 -req -in "$work/request" -CA "$work/authority.crt" -CAkey "$work/authority.key" \
    -CAcreateserial -days "$3" -extfile <(printf 'subjectAltName=DNS:%s' "$2") \
    -out "$work/$1.crt" 2> /dev/null
}

# serve FILE: the service with that certificate; sets `service` and `port`.
serve() {
  kill "${service:-}" 2> /dev/null && wait "$service" || true
  cp "$work/$1.crt" "$work/now.crt"
  cp "$work/$1.key" "$work/now.key"
  : > "$work/out"
  "$vultus" serve --data-dir "$work/data" --listen 127.0.0.1:0 \
    --tls-cert "$work/now.crt" --tls-key "$work/now.key" > "$work/out" 2> "$work/log" &
  service=$!
  until grep -q listening "$work/out"; do
    kill -0 "$service" || { cat "$work/log"; exit 1; }
    sleep 0.05
  done
  port=$(sed 's/.*:\([0-9]*\)".*/\1/' "$work/out")
}

# ask [ARGUMENT...]: the status that curl sees at `host`, or its exit code behind an x.
host=localhost
ask() {
  local seen code=0
  seen=$(curl --silent --max-time 20 --cacert "$work/authority.crt" --output "$work/body" \
    --write-out '%{http_version} %{http_code}' "$@" "https://$host:$port/v1/problems") || code=$?
  [ "$code" = 0 ] && echo "$seen" || echo "x$code"
}

# same WHAT EXPECTED FOUND
same() {
  [ "$2" = "$3" ] || { echo "$1: expected $2, found $3"; tail -5 "$work/log"; exit 1; }
  echo "ok: $1: $3"
}

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 365 -subj /CN=Authority \
  -keyout "$work/authority.key" -out "$work/authority.crt" 2> /dev/null
certificate good localhost 90
certificate newer localhost 91
certificate old localhost -1
certificate other elsewhere.example 90

serve good
same "curl" "1.1 200" "$(ask)"
same "curl with HTTP/2 offered" "1.1 200" "$(ask --http2)"
same "curl with TLS 1.2" "1.1 200" "$(ask --tls-max 1.2)"
same "curl with TLS 1.3 alone" "1.1 200" "$(ask --tlsv1.3)"
same "curl without the authority (60: it does not trust)" x60 "$(ask --cacert /dev/null --capath /dev/null | sed s/x77/x60/)"
same "curl by an address that the certificate lacks (60)" x60 "$(host=127.0.0.1 ask)"

handshake() { openssl s_client -connect "127.0.0.1:$port" -servername localhost -CAfile "$work/authority.crt" "$@" < /dev/null 2>&1 || true; }
same "s_client trusts the chain" 1 "$(handshake -tls1_3 | grep -c 'Verify return code: 0 (ok)' | sed 's/[1-9].*/1/')"
same "s_client has no TLS 1.1" 1 "$(handshake -tls1_1 -cipher DEFAULT@SECLEVEL=0 | grep -c 'Cipher is (NONE)')"
same "s_client is given HTTP/1.1" 1 "$(handshake -alpn h2,http/1.1 | grep -c 'ALPN protocol: http/1.1')"
same "plain HTTP to the port of TLS" "400" \
  "$(curl --silent --output "$work/body" --write-out '%{http_code}' "http://localhost:$port/v1/problems")"
grep -q 'expected TLS' "$work/body"
same "Python" 200 "$(python3 - "$port" "$work/authority.crt" <<'PYTHON'
import ssl, sys, urllib.request
context = ssl.create_default_context(cafile=sys.argv[2])
print(urllib.request.urlopen(f"https://localhost:{sys.argv[1]}/v1/problems", context=context).status)
PYTHON
)"
mkdir -p "$work/home/.pki/nssdb"
certutil -N -d "sql:$work/home/.pki/nssdb" --empty-password
certutil -A -d "sql:$work/home/.pki/nssdb" -n Authority -t C,, -i "$work/authority.crt"
browse() {
  HOME=$work/home timeout 60 chromium --headless --no-sandbox --disable-gpu --user-data-dir="$work/profile" \
    --dump-dom "https://localhost:$port/v1/problems" 2> /dev/null || true
}
same "Chromium" 1 "$(browse | grep -c '/v1/problems#' | sed 's/[1-9].*/1/')"

cp "$work/newer.crt" "$work/now.crt"
cp "$work/newer.key" "$work/now.key"
kill -HUP "$service"
until grep -q 'read the TLS certificate again' "$work/log"; do sleep 0.05; done
serial() { handshake | openssl x509 -noout -serial; }
same "the certificate after SIGHUP" "$(openssl x509 -noout -serial -in "$work/newer.crt")" "$(serial)"
echo nonsense > "$work/now.key"
kill -HUP "$service"
until grep -q 'goes on with the TLS certificate' "$work/log"; do sleep 0.05; done
same "curl after a broken key and SIGHUP" "1.1 200" "$(ask)"

serve old
same "curl with an expired certificate (60)" x60 "$(ask)"
timeout 60 sh -c "until grep -q 'has ended' '$work/log'; do sleep 0.05; done"
serve other
same "curl with the certificate of another name (60)" x60 "$(ask)"
same "the same, by its name" "1.1 200" "$(host=elsewhere.example ask --resolve "elsewhere.example:$port:127.0.0.1")"

kill "$service" && wait "$service" || true
# Else the address of the service before may be read.
: > "$work/out"
"$vultus" serve --data-dir "$work/data" --listen 127.0.0.1:0 > "$work/out" 2> "$work/log" &
service=$!
until grep -q listening "$work/out"; do sleep 0.05; done
port=$(sed 's/.*:\([0-9]*\)".*/\1/' "$work/out")
same "TLS to the port of plain HTTP (35: no TLS)" x35 "$(ask)"
# The log is written by a thread of its own.
timeout 60 sh -c "until grep -q 'a client speaks TLS' '$work/log'; do sleep 0.05; done"
