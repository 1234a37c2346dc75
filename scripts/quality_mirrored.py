#!/usr/bin/env python3
"""How alike strangers are as they are, in the mirror, and with both embeddings added.

    quality_mirrored.py VULTUS PICTURE=PERSON...

Prints, for each of the three, how many pairs of different people reach the threshold of a verification,
the similarity that one pair of them in ten thousand reaches, and how many pairs of one person do not
reach it. `scripts/quality.sh` calls it with MIRRORED=1.
"""

import csv
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from PIL import Image, ImageOps

THRESHOLD = 0.41


def embedded(vultus, pictures, folder):
    """A row for each picture whose only face is found."""
    for number, path in enumerate(pictures):
        image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
        image.save(folder / f"{number}.natural.png", compress_level=1)
        ImageOps.mirror(image).save(folder / f"{number}.mirrored.png", compress_level=1)
    out = folder / "embeddings.npy"
    subprocess.run([vultus, "embed", "-q", "--faces", "one", "--output", out, folder], check=False)
    rows = np.load(out).astype(np.float64)
    with open(out.with_suffix(".csv"), newline="") as lines:
        found = {pathlib.Path(line["picture"]).stem: rows[int(line["row"])] for line in csv.DictReader(lines)}
    return found


def main():
    vultus, arguments = sys.argv[1], [argument.rpartition("=") for argument in sys.argv[2:]]
    with tempfile.TemporaryDirectory() as folder:
        found = embedded(vultus, [path for path, _, _ in arguments], pathlib.Path(folder))
    both = [n for n in range(len(arguments)) if f"{n}.natural" in found and f"{n}.mirrored" in found]
    people = np.array([arguments[n][2] for n in both])
    upper = np.triu_indices(len(both), 1)
    is_same = (people[:, None] == people)[upper]
    print("| embedding | strangers who reach 0.41 | of | one in 10,000 reaches | one person below that | of |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    unit = {
        kind: np.array([found[f"{n}.{kind}"] / np.linalg.norm(found[f"{n}.{kind}"]) for n in both])
        for kind in ("natural", "mirrored")
    }
    unit["both, added"] = unit["natural"] + unit["mirrored"]
    unit["both, added"] /= np.linalg.norm(unit["both, added"], axis=1, keepdims=True)
    for kind, rows in unit.items():
        alike = (rows @ rows.T)[upper]
        strangers, mated = alike[~is_same], alike[is_same]
        rare = np.quantile(strangers, 1 - 1e-4)
        reached, below = (strangers >= THRESHOLD).sum(), (mated < rare).sum()
        print(f"| {kind} | {reached} | {len(strangers)} | {rare:.3f} | {below} | {len(mated)} |")


main()
