#!/usr/bin/env bash
# Two drills of docs/operations.md with the real program.
#
# From nothing: the lines of its section "Restore drill" are run as they stand there, on a machine that has nothing of
# Vultus (this one, seen through namespaces in which whatever is written is thrown away), until somebody is identified
# who was enrolled before the snapshot.
#
# From older: a snapshot of the first format, kept in tests/fixtures, is restored and verified, and a segment of a
# format that is newer than the program is refused by name.
#
# Needs root, python3, curl, and a built or buildable `vultus`; set VULTUS to use another binary.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v curl > /dev/null || { apt-get update -qq && apt-get install -qq -y --no-install-recommends curl > /dev/null; }

vultus=${VULTUS:-}
if [ -z "$vultus" ]; then
  vultus=target/release/vultus
  [ -x "$vultus" ] || cargo build --release --quiet
fi
vultus=$(realpath "$vultus")
source=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

echo "== from older"
"$vultus" gallery restore --from tests/fixtures/format/v1/snapshot.tar.zst --data-dir "$work/older"
"$vultus" gallery verify --data-dir "$work/older"
newer=$(find "$work/older" -name '*.vseg' | head -1)
python3 - "$newer" <<'EOF'
import pathlib, struct, sys
sys.path.insert(0, "scripts")
from read_segment import crc64
path = pathlib.Path(sys.argv[1])
data = bytearray(path.read_bytes())
struct.pack_into("<I", data, 8, 99)
struct.pack_into("<Q", data, 4088, crc64(bytes(data[:4088])))
path.write_bytes(data)
EOF
if said=$("$vultus" gallery info --data-dir "$work/older" 2>&1); then
  echo "a newer format was not refused: $said" >&2
  exit 1
fi
case $said in
  *"has format 99, and this build reads 1 to "*": use a newer build"*) echo "a newer format is refused by name" ;;
  *) echo "a newer format was refused otherwise: $said" >&2; exit 1 ;;
esac

echo "== from nothing"
# A container without rights cannot show a machine that has nothing.
if ! unshare --mount --net --pid --fork --kill-child bash -euc '
  mount --make-rprivate /
  mount -t tmpfs none /mnt
  mkdir /mnt/changed /mnt/scratch /mnt/root
  mount -t overlay -o lowerdir=/,upperdir=/mnt/changed,workdir=/mnt/scratch none /mnt/root
  mount -t proc none /mnt/root/proc
  mount --rbind /dev /mnt/root/dev' 2> "$work/why"; then
  echo "NOT RUN: no namespaces or mounts here: $(tail -1 "$work/why")"
  exit
fi
old=$work/old
mkdir "$work/new"
"$vultus" enroll --data-dir "$old" --partition bws.1 --class 4711 data/faces/obama-portrait.jpg
key=$("$vultus" key create --data-dir "$old" --name desk --scopes identify --storage bws --json |
  python3 -c 'import json, sys; print(json.load(sys.stdin)["key"])')
"$vultus" gallery snapshot --data-dir "$old" --to "$work/new/backup.tar.zst"
rm -rf "$old"
cp "$vultus" "$work/new/vultus"
cp packaging/vultus.toml "$work/new/vultus.toml"
cp data/faces/obama-speech.jpg "$work/new/visitor.jpg"

# The fences of the section, and nothing else.
python3 - docs/operations.md > "$work/new/drill.sh" <<'EOF'
import pathlib, re, sys
text = pathlib.Path(sys.argv[1]).read_text()
section = text.split("\n## Restore drill\n", 1)[1].split("\n## ", 1)[0]
print("set -euxo pipefail")
print("\n".join(re.findall(r"```sh\n(.*?)```", section, re.S)))
EOF
export KEY=$key WORK=$work SOURCE=$source
unshare --mount --net --pid --fork --kill-child bash -euo pipefail -c '
  mount --make-rprivate /
  mount -t tmpfs none "$WORK/new-machine" 2> /dev/null || { mkdir "$WORK/new-machine"; mount -t tmpfs none "$WORK/new-machine"; }
  machine=$WORK/new-machine
  mkdir "$machine/changed" "$machine/scratch" "$machine/root"
  mount -t overlay -o "lowerdir=/,upperdir=$machine/changed,workdir=$machine/scratch" none "$machine/root"
  mount -t proc none "$machine/root/proc"
  mount --rbind /dev "$machine/root/dev"
  mkdir "$machine/root/drill"
  mount --bind "$WORK/new" "$machine/root/drill"
  rm -rf "$machine/root/etc/vultus" "$machine/root/var/lib/vultus" "$machine/root/usr/local/bin/vultus"
  python3 -c "
import fcntl, socket, struct
# The network of a new machine is down, also to itself.
with socket.socket() as any: fcntl.ioctl(any, 0x8914, struct.pack(\"16sH14x\", b\"lo\", 0x41))
"
  chroot "$machine/root" bash -c "cd /drill && VULTUS_LOG=warn bash drill.sh"
' > "$work/said"
cat "$work/said"
tail -1 "$work/said" | python3 -c '
import json, sys
found = json.loads(sys.stdin.read().rpartition("{\"matches\"")[2].join(["{\"matches\"", ""]))["matches"]
assert [match["class"] for match in found] == ["4711"], found
print("identified whom the machine before had enrolled")'
