#!/usr/bin/env bash
# What is handed out: how large the program is, whether systemd takes the unit and lets the program do what it does,
# and whether the image works: its steps are carried out without a daemon, in a clean root of Debian's packages.
#
# Needs root, python3, and a built or buildable `vultus`; set VULTUS to use another binary. mmdebstrap, gpgv, strace
# and systemd are installed with apt-get when they are missing.
#
# Not covered: the build inside the image, which is `packaging/build.sh` (without VULTUS, the program that it makes is
# taken if there is one and must have at most 75 MB, else that of `release`, stripped: larger by what the optimisation
# across crates and the linker save), and the base images of the registry, of which the packages are those of Debian.
set -euo pipefail
cd "$(dirname "$0")/.."

for need in mmdebstrap:mmdebstrap gpgv:gpgv strace:strace systemd-analyze:systemd strip:binutils; do
  command -v "${need%%:*}" > /dev/null || missing="${missing:-} ${need##*:}"
done
if [ -n "${missing:-}" ]; then
  apt-get update -qq
  # shellcheck disable=SC2086
  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing > /dev/null
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"

vultus=${VULTUS:-}
if [ -z "$vultus" ]; then
  vultus=target/packaging/vultus
  [ -x "$vultus" ] || vultus=target/release/vultus
  [ -x "$vultus" ] || cargo build --release --quiet
fi
cp "$vultus" "$work/vultus"
strip "$work/vultus"
bytes=$(stat -c %s "$work/vultus")
echo "the stripped program ($vultus) has $bytes bytes"
case $vultus in
  */packaging/*) [ "$bytes" -le 75000000 ] || { echo "more than 75 MB" >&2; exit 1; } ;;
esac

echo "== the unit"
sed "s|/usr/local/bin/vultus|$work/vultus|" packaging/vultus.service > "$work/vultus.service"
systemd-analyze verify --man=no "$work/vultus.service"
systemd-analyze security --offline=true --threshold=20 "$work/vultus.service" | tail -1
if strace -f -qq -o "$work/probe" true 2> /dev/null; then
  python3 scripts/packaging/calls.py "$work/vultus" packaging/vultus.service data/faces
else
  echo "NOT RUN: no process may be traced here, so what the unit allows is not compared"
fi

echo "== the image"
root=$work/root
# Debian's packages from wherever this machine has them. Where it has none, nothing is known of the image, which is not
# the same as an image that fails.
# shellcheck disable=SC2046
if ! mmdebstrap --quiet --variant=extract --include=libc6,libgcc-s1,bash,coreutils,grep bookworm "$root" \
  $(ls /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2> /dev/null); then
  echo "NOT RUN: Debian's packages cannot be had here, so the image is not made"
  exit
fi
if ! unshare --mount --net --pid --fork --kill-child true 2> /dev/null; then
  echo "NOT RUN: no namespaces here, so the image is not started"
  exit
fi
unshare --mount --net --pid --fork --kill-child python3 scripts/packaging/image.py Dockerfile "$root" "$work/vultus"
